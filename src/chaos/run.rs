//! A SeedRun is what came of one seed: small, and the same line of JSON in every process.

use std::collections::BTreeMap;

use alphaengine_chaos::{RunOptions, RunReport, Scenario};
use alphaengine_core::store::hex;
use alphaengine_core::units::Nanos;
use alphaengine_sim::faults::FaultPlan;
use serde::{Deserialize, Serialize};

use super::effect::{Figures, figures};
use super::{ChaosJob, Data, Plans, plan};
use crate::error::Error;
use crate::registry::Entry;

/// What a worker is asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Task {
    pub seed: u64,
    /// Without faults as well.
    #[serde(default, skip_serializing_if = "is_false")]
    pub pair: bool,
    /// A second time, to compare.
    #[serde(default, skip_serializing_if = "is_false")]
    pub twice: bool,
    /// With this plan in place of the seed's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<FaultPlan>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_false(value: &bool) -> bool {
    !value
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeedRun {
    pub seed: u64,
    pub steps: u64,
    pub simulated: Nanos,
    pub trace_hash: String,
    /// Of the second run, where there was one.
    pub again: Option<String>,
    /// Name and kind of the entries that came to pass.
    pub fired: BTreeMap<String, u64>,
    /// By the codes of the laws.
    pub checks: BTreeMap<String, u64>,
    pub violations: Vec<Broken>,
    pub figures: Figures,
    /// The same window without faults.
    pub fault_free: Option<Figures>,
}

/// A broken law.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Broken {
    /// `I7`, or `CRASH` where the process did not survive.
    pub law: String,
    /// Virtual time.
    pub at: String,
    pub step: u64,
    pub sentence: String,
}

/// The law that a process which dies has broken.
pub const CRASH: &str = "CRASH";

impl Task {
    /// Runs the seed in this process.
    pub fn run(&self, entry: &Entry, data: &Data, plans: &Plans) -> Result<SeedRun, Error> {
        let scenario = data.scenario(self.seed)?;
        let plan = self.plan.clone().unwrap_or_else(|| plans.of(self.seed, &scenario));
        let report = run(entry, &scenario, &plan, self.options())?;
        let again = self.twice.then(|| run(entry, &scenario, &plan, self.options())).transpose()?;
        let mut found = SeedRun::of(self.seed, &report);
        found.again = again.map(|again| hex(&again.trace_hash));
        if self.pair {
            let free = run(entry, &scenario, &FaultPlan::default(), self.options())?;
            found.fault_free = Some(figures(&free.effect));
            for violation in &free.violations {
                let mut broken = Broken::of(violation);
                broken.sentence = format!("without any fault: {}", broken.sentence);
                found.violations.push(broken);
            }
        }
        Ok(found)
    }

    fn options(&self) -> RunOptions {
        RunOptions { seed: self.seed, ..RunOptions::default() }
    }
}

/// One run, with the plan's kinds counted.
pub fn run(entry: &Entry, scenario: &Scenario, plan: &FaultPlan, options: RunOptions) -> Result<RunReport, Error> {
    (entry.chaos)(ChaosJob { scenario, plan: &plan::labelled(plan), options })
}

impl SeedRun {
    pub fn of(seed: u64, report: &RunReport) -> SeedRun {
        SeedRun {
            seed,
            steps: report.steps,
            simulated: report.simulated,
            trace_hash: hex(&report.trace_hash),
            again: None,
            fired: report.fired.clone(),
            checks: report.checks.iter().map(|(law, checks)| (law.code().to_owned(), *checks)).collect(),
            violations: report.violations.iter().map(Broken::of).collect(),
            figures: figures(&report.effect),
            fault_free: None,
        }
    }

    /// Of a process that died over this seed.
    pub fn crashed(seed: u64, how: &str) -> SeedRun {
        let broken = Broken { law: CRASH.to_owned(), at: String::new(), step: 0, sentence: how.to_owned() };
        SeedRun { violations: vec![broken], ..SeedRun::of(seed, &RunReport::default()) }
    }

    pub fn has_crashed(&self) -> bool {
        self.violations.iter().any(|broken| broken.law == CRASH)
    }

    pub fn breaks(&self, law: &str) -> bool {
        self.violations.iter().any(|broken| broken.law == law)
    }
}

impl Broken {
    fn of(violation: &alphaengine_sim::auditor::Violation) -> Broken {
        Broken {
            law: violation.invariant.code().to_owned(),
            at: violation.at.to_string(),
            step: violation.step,
            sentence: violation.sentence.clone(),
        }
    }
}
