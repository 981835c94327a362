//! Findings count what was checked and keep what was wrong.

use std::collections::BTreeMap;

use alphaengine_core::units::Timestamp;

use super::invariant::{Invariant, Violation};

/// One broken law breaks others, step after step; the first tell the story.
const KEPT: usize = 200;

#[derive(Debug)]
pub(super) struct Findings {
    pub violations: Vec<Violation>,
    pub checks: BTreeMap<Invariant, u64>,
    pub at: Timestamp,
    pub step: u64,
}

impl Findings {
    pub fn new() -> Findings {
        Findings {
            violations: Vec::new(),
            checks: Invariant::ALL.into_iter().map(|invariant| (invariant, 0)).collect(),
            at: Timestamp::MIN,
            step: 0,
        }
    }

    /// Counts a check; where the law does not hold, the sentence is made and kept.
    pub fn check(&mut self, invariant: Invariant, holds: bool, sentence: impl FnOnce() -> String) {
        *self.checks.entry(invariant).or_default() += 1;
        if !holds && self.violations.len() < KEPT {
            let (at, step) = (self.at, self.step);
            self.violations.push(Violation { invariant, at, step, sentence: sentence() });
        }
    }
}
