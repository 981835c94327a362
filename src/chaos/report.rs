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

    /// All that was run: the seeds, their windows without faults, and the doubled ones again in the same process and in another.
    pub fn runs(&self) -> u64 {
        self.tally.seeds + self.tally.pairs() as u64 + 2 * self.tally.doubled
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chaos::run::{Broken, SeedRun};

    fn broken() -> Broken {
        let (law, at) = ("I5".to_owned(), "2025-01-01T00:02:00.000Z".to_owned());
        Broken { law, at, step: 77, sentence: "the log lacks trade 9".to_owned() }
    }

    fn plan(json: &str) -> FaultPlan {
        FaultPlan::parse(json).unwrap()
    }

    /// A campaign of two seeds of which the second broke a law.
    fn report() -> Report {
        let mut tally = Tally::default();
        for seed in [4, 5] {
            let violations = if seed == 5 { vec![broken()] } else { vec![] };
            let fired = [("F1 drop_request".to_owned(), 3), ("crash".to_owned(), 1)].into();
            let checks = [("I5".to_owned(), 20)].into();
            let run = SeedRun::of(seed, &alphaengine_chaos::RunReport::default());
            tally.add(SeedRun { violations, fired, checks, simulated: 3_600 * NANOS_PER_SECOND, ..run });
        }
        let whole = plan(
            r#"[{"on": {"at_ms": 5}, "fault": {"kind": "crash"}}, {"on": {"at_ms": 6}, "fault": {"kind": "ban", "seconds": 9}}]"#,
        );
        let shrunk = plan(r#"[{"on": {"at_ms": 5}, "fault": {"kind": "crash"}}]"#);
        Report {
            header: Header {
                strategy: "drill".to_owned(),
                params: vec![("pace".to_owned(), "1500".to_owned())],
                symbols: vec!["BTCUSDT".to_owned()],
                timeframe: "1m".to_owned(),
                first_seed: 4,
                length: 300 * NANOS_PER_SECOND,
                jobs: 2,
                is_synthetic: true,
                notes: vec!["a note".to_owned()],
            },
            tally,
            wall: Duration::from_secs(1),
            failures: vec![Failure {
                seed: 5,
                violations: vec![broken()],
                plan: whole,
                file: Some("chaos-5.json".into()),
                command: "alphaengine chaos --seed 5 --seeds 1 --plan chaos-5.json".to_owned(),
                shrunk: Some(Shrunk { plan: shrunk, runs: 12, entries_before: 2 }),
            }],
        }
    }

    #[test]
    fn a_finding_comes_with_its_law_its_least_plan_and_the_command_that_shows_it_again() {
        let text = report().text();
        let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in [
            "2 seeds from 4, 5m each: 2.0 simulated hours in 1.0 s, 2.0 seeds/s",
            "F1 6 drop_request 6",
            "violation: seed 5, I5 at 2025-01-01T00:02:00.000Z, step 77: the log lacks trade 9",
            "shrunk from 2 entries to 1 in 12 runs",
            "plan: chaos-5.json (1 entries)",
            "again: alphaengine chaos --seed 5 --seeds 1 --plan chaos-5.json",
            "1 of 2 seeds broke a law",
        ] {
            assert!(words.contains(part), "no `{part}` in:\n{text}");
        }
    }

    #[test]
    fn the_object_has_the_same_and_its_decimals_are_text() {
        let object: serde_json::Value = serde_json::from_str(&report().json().unwrap()).unwrap();
        assert_eq!(object["simulated_hours"], "2");
        assert_eq!(object["violating_seeds"], 1);
        let laws = object["laws"].as_array().unwrap();
        let law = laws.iter().find(|law| law["law"] == "I5").unwrap();
        assert_eq!((&law["checked"], &law["broken"]), (&40.into(), &1.into()));
        let crash = object["faults"].as_array().unwrap().iter().find(|fault| fault["kind"] == "crash").unwrap();
        assert_eq!((&crash["family"], &crash["fired"]), (&serde_json::Value::Null, &2.into()));
        let finding = &object["violations"][0];
        assert_eq!((&finding["seed"], &finding["plan_file"]), (&5.into(), &"chaos-5.json".into()));
        assert_eq!(finding["plan"].as_array().unwrap().len(), 2);
        assert_eq!(finding["shrunk"]["plan"].as_array().unwrap().len(), 1);
    }
}
