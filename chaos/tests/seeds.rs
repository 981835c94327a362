//! A campaign without data frames: the correct build keeps every law, and a seed is a run.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may ask the environment how long it shall be"
)]

mod support;

use alphaengine_chaos::{RunOptions, run};
use alphaengine_sim::faults::FaultPlan;
use support::{Drill, from_environment, run_seed, scenario, turn};

#[test]
fn the_correct_build_keeps_every_law() {
    let _turn = turn();
    for seed in 0..from_environment("ALPHAENGINE_CHAOS_SEEDS", 20) {
        let (plan, report) = run_seed(seed);
        let told: Vec<String> = report.violations.iter().map(ToString::to_string).collect();
        assert!(told.is_empty(), "seed {seed}:\n{}\nwith the plan\n{}", told.join("\n"), plan.to_json());
    }
}

#[test]
fn a_seed_is_a_run_bit_for_bit() {
    let _turn = turn();
    for seed in 0..3 {
        let (first, second) = (run_seed(seed).1, run_seed(seed).1);
        assert_eq!(first.trace_hash, second.trace_hash, "seed {seed}");
        assert_ne!(first.trace_hash, run_seed(seed + 100).1.trace_hash, "a hash that never changes proves nothing");
    }
}

#[test]
fn without_faults_the_drill_trades_and_nothing_is_refused_or_restarted() {
    let _turn = turn();
    let scenario = scenario(7);
    let report =
        run::<Drill>(&scenario, &FaultPlan::default(), &RunOptions { seed: 7, ..RunOptions::default() }).unwrap();
    assert!(report.violations.is_empty(), "{:?}", report.violations);
    assert!(report.effect.orders > 50 && report.effect.fills > 20, "{:?}", report.effect);
    assert_eq!(report.effect.restarts, 0);
    assert!(report.fired.is_empty());
}
