//! What the campaigns of this crate share: two contracts, a synthetic market, and a strategy that says everything.

#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]
#![allow(clippy::disallowed_methods, reason = "a test may ask the environment how long it shall be")]

#[path = "../../../src/strategies/drill.rs"]
mod drill;

use std::sync::{Mutex, MutexGuard, PoisonError};

use alphaengine_chaos::{RunOptions, RunReport, Scenario, run};
use alphaengine_core::instrument::{Catalog, Instruments};
use alphaengine_core::params::Params;
use alphaengine_core::strategy::Strategy;
use alphaengine_core::units::NANOS_PER_MINUTE;
use alphaengine_sim::faults::{FaultPlan, Knobs, draw};

pub use self::drill::Drill;

/// How long the market of a run is.
pub const MINUTES: i64 = 5;

/// One simulation runs in a process at a time: SQLite's file system is the process's.
pub fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn instruments() -> Instruments {
    let catalog = Catalog::builtin();
    let instrument = |name: &str| catalog.get(&name.parse().unwrap()).unwrap().clone();
    Instruments::new(vec![instrument("BTCUSDT"), instrument("ETHUSDT")]).unwrap()
}

/// The drill on the synthetic market of a seed.
pub fn scenario(seed: u64) -> Scenario {
    let info = Drill::info();
    let params = Params::read(info.name, &info.params, &[]).unwrap();
    Scenario::synthetic(info.name, params, instruments(), seed, MINUTES)
}

/// What goes wrong in the run of a seed.
pub fn plan(seed: u64, scenario: &Scenario) -> FaultPlan {
    let symbols = scenario.instruments.iter().map(|(_, instrument)| instrument.symbol.to_string()).collect();
    let knobs = Knobs {
        families: Vec::new(),
        length: MINUTES * NANOS_PER_MINUTE,
        symbols,
        steps: 100 + 4 * scenario.market.len() as u64,
        cash: scenario.sim.cash,
    };
    draw(seed, &knobs)
}

/// The run of a seed.
pub fn run_seed(seed: u64) -> (FaultPlan, RunReport) {
    let scenario = scenario(seed);
    let plan = plan(seed, &scenario);
    let report = run::<Drill>(&scenario, &plan, &RunOptions { seed, ..RunOptions::default() }).unwrap();
    (plan, report)
}

/// A number that the environment may set, for a longer campaign.
pub fn from_environment(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().map_or(usual, |text| text.parse().unwrap())
}
