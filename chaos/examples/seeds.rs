//! Runs seeds of the synthetic scenario and prints what was violated: `seeds FROM TO [--trace] [--none]`.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a tool for who works on the campaign, outside of any run"
)]
#[path = "../../src/strategies/drill.rs"]
mod drill;
use alphaengine_chaos::*;
use alphaengine_core::instrument::{Catalog, Instruments};
use alphaengine_core::params::Params;
use alphaengine_core::strategy::Strategy;
use alphaengine_sim::faults::{self, FaultPlan};
fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (from, to): (u64, u64) = (args[0].parse().unwrap(), args[1].parse().unwrap());
    let trace = args.iter().any(|a| a == "--trace");
    let none = args.iter().any(|a| a == "--none");
    let instruments =
        Instruments::new(vec![Catalog::builtin().get(&"BTCUSDT".parse().unwrap()).unwrap().clone()]).unwrap();
    let mut checks = std::collections::BTreeMap::new();
    let begun = std::time::Instant::now();
    for seed in from..to {
        let info = drill::Drill::info();
        let params = Params::read("drill", &info.params, &[]).unwrap();
        let scenario = Scenario::synthetic("drill", params, instruments.clone(), seed, 5);
        let knobs = faults::Knobs::default();
        let plan = if none { FaultPlan::default() } else { faults::draw(seed, &knobs) };
        if trace {
            println!("{}", plan.to_json());
        }
        let report =
            run::<drill::Drill>(&scenario, &plan, &RunOptions { seed, trace, ..RunOptions::default() }).unwrap();
        for line in &report.trace {
            println!("{line}");
        }
        for (law, count) in &report.checks {
            *checks.entry(*law).or_insert(0u64) += count;
        }
        println!(
            "seed {seed}: steps {} simulated {} s restarts {} orders {} fills {} violations {}",
            report.steps,
            report.simulated / 1_000_000_000,
            report.effect.restarts,
            report.effect.orders,
            report.effect.fills,
            report.violations.len()
        );
        for v in report.violations.iter().take(6) {
            println!("  VIOLATION {v}");
        }
        if !report.violations.is_empty() {
            println!("  fired {:?}", report.fired);
        }
    }
    println!("checks {checks:?}\n{:?} in all", begun.elapsed());
}
