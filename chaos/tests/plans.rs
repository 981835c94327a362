//! Every violation that a campaign found on the way is kept as a plan, and runs again here. A file is named after its seed, which
//! makes the market, and after what was wrong.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

mod support;

use std::path::Path;

use alphaengine_chaos::{RunOptions, run};
use alphaengine_sim::faults::FaultPlan;
use support::{Drill, scenario, turn};

#[test]
fn what_was_found_once_is_not_found_again() {
    let _turn = turn();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/plans");
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 3, "the plans have moved: {}", folder.display());
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap();
        let seed = name.split('-').next().unwrap().parse().unwrap();
        let plan = FaultPlan::parse(&std::fs::read_to_string(&file).unwrap()).unwrap();
        let report = run::<Drill>(&scenario(seed), &plan, &RunOptions { seed, ..RunOptions::default() }).unwrap();
        let told: Vec<String> = report.violations.iter().map(ToString::to_string).collect();
        assert!(told.is_empty(), "{name}: {}", told.join("\n"));
        assert!(plan.0.is_empty() || !report.fired.is_empty(), "{name} has nothing that comes to pass any more");
    }
}
