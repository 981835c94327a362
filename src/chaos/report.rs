//! A Report is a campaign at its end: what was run, what it found, and how each finding is seen again.

use std::path::PathBuf;
use std::time::Duration;

use alphaengine_core::units::NANOS_PER_SECOND;
use alphaengine_sim::faults::FaultPlan;

use super::tally::Tally;
use super::{json, text};
use crate::error::Error;

/// What is said of a campaign.
#[derive(Debug)]
pub struct Report {
    pub header: Header,
    pub tally: Tally,
    pub wall: Duration,
    pub failures: Vec<Failure>,
}

/// What was run.
#[derive(Debug)]
pub struct Header {
    pub strategy: String,
    pub params: Vec<(String, String)>,
    pub symbols: Vec<String>,
    pub timeframe: String,
    pub first_seed: u64,
    pub length: i64,
    pub jobs: usize,
    pub is_synthetic: bool,
    pub notes: Vec<String>,
}

/// A seed that broke laws.
#[derive(Debug)]
pub struct Failure {
    pub seed: u64,
    pub violations: Vec<super::run::Broken>,
    pub plan: FaultPlan,
    /// Where the plan was saved.
    pub file: Option<PathBuf>,
    /// What runs it again.
    pub command: String,
    pub shrunk: Option<Shrunk>,
}

/// The least plan that still breaks the law.
#[derive(Debug)]
pub struct Shrunk {
    pub plan: FaultPlan,
    pub runs: usize,
    pub entries_before: usize,
}

impl Report {
    /// Whether no law was broken.
    pub fn is_clean(&self) -> bool {
        self.tally.broken == 0
    }

    pub fn seeds_per_second(&self) -> f64 {
        self.tally.seeds as f64 / self.wall.as_secs_f64().max(1e-9)
    }

    pub fn simulated_hours(&self) -> f64 {
        self.tally.simulated as f64 / (3_600.0 * NANOS_PER_SECOND as f64)
    }

    /// For a person.
    pub fn text(&self) -> String {
        text::report(self)
    }

    /// One object, on one line.
    pub fn json(&self) -> Result<String, Error> {
        let text = serde_json::to_string(&json::report(self)).map_err(|error| Error::new(error.to_string()))?;
        Ok(text + "\n")
    }
}
