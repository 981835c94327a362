//! A ChaosJob is one run of a strategy through a scenario with a plan of faults.

use alphaengine_chaos::{RunOptions, RunReport, Scenario};
use alphaengine_core::strategy::Strategy;
use alphaengine_sim::faults::FaultPlan;

use crate::error::Error;

/// What a run needs.
#[derive(Debug, Clone, Copy)]
pub struct ChaosJob<'a> {
    pub scenario: &'a Scenario,
    pub plan: &'a FaultPlan,
    pub options: RunOptions,
}

/// Runs it. One at a time in a process.
pub fn run_chaos<S: Strategy>(job: ChaosJob<'_>) -> Result<RunReport, Error> {
    alphaengine_chaos::run::<S>(job.scenario, job.plan, &job.options).map_err(|error| Error::new(error.to_string()))
}
