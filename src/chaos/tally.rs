//! A Tally adds up what came of seeds, in whatever order they come. It keeps figures of all, and stories only of those that broke a law.

use std::collections::BTreeMap;

use alphaengine_core::units::Nanos;

use super::effect::{FIGURES, Figures, Spread};
use super::plan::split_label;
use super::run::{Broken, SeedRun};

/// Seeds whose violations are told in full: the first ones.
const TOLD: usize = 5;
/// Laws that a seed's story holds, one sentence each.
const SENTENCES: usize = 5;

/// What came of a campaign's seeds.
#[derive(Debug, Default)]
pub struct Tally {
    pub seeds: u64,
    pub steps: u64,
    pub simulated: Nanos,
    /// By the code of a family, or empty, and the kind.
    pub fired: BTreeMap<(String, String), u64>,
    /// By the code of a law: how often it was checked, and how often it was broken.
    pub laws: BTreeMap<String, Law>,
    /// Seeds that broke a law.
    pub broken: u64,
    /// The first of them.
    pub stories: BTreeMap<u64, Vec<Broken>>,
    /// Runs whose second run was another one.
    pub doubled: u64,
    pub mismatches: u64,
    /// Trace hashes of the seeds that run once more in another process.
    hashes: BTreeMap<u64, String>,
    figures: Vec<Figures>,
    /// Without faults, and with.
    pairs: Vec<(Figures, Figures)>,
}

/// How a law fared.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Law {
    pub checks: u64,
    pub violations: u64,
}

/// The law that the same seed gives the same run.
const SAME: &str = "I27";

impl Tally {
    /// Adds a seed.
    pub fn add(&mut self, run: SeedRun) {
        self.seeds += 1;
        self.steps += run.steps;
        self.simulated = self.simulated.saturating_add(run.simulated);
        for (label, times) in &run.fired {
            let (name, kind) = split_label(label);
            *self.fired.entry((name.to_owned(), kind.to_owned())).or_default() += times;
        }
        for (law, checks) in &run.checks {
            self.laws.entry(law.clone()).or_default().checks += checks;
        }
        if !run.has_crashed() {
            self.figures.push(run.figures);
            self.pairs.extend(run.fault_free.map(|free| (free, run.figures)));
        }
        if let Some(again) = &run.again {
            self.compare(run.seed, &run.trace_hash, again, "in the same process");
            self.hashes.insert(run.seed, run.trace_hash.clone());
        }
        self.violations(run.seed, run.violations);
    }

    /// Seeds that ran twice in their process and wait for another one.
    pub fn to_run_again(&self) -> Vec<u64> {
        self.hashes.keys().copied().collect()
    }

    /// Adds the run of a seed in another process, of which only the trace counts.
    pub fn add_again(&mut self, run: SeedRun) {
        if run.has_crashed() {
            return self.violations(run.seed, run.violations);
        }
        if let Some(first) = self.hashes.remove(&run.seed) {
            self.doubled += 1;
            self.compare(run.seed, &first, &run.trace_hash, "in another process");
        }
    }

    fn compare(&mut self, seed: u64, first: &str, second: &str, place: &str) {
        self.laws.entry(SAME.to_owned()).or_default().checks += 1;
        if first != second {
            self.mismatches += 1;
            let sentence = format!("run again {place}, the same seed left the trace {second} instead of {first}");
            let broken = Broken { law: SAME.to_owned(), at: String::new(), step: 0, sentence };
            self.violations(seed, vec![broken]);
        }
    }

    fn violations(&mut self, seed: u64, violations: Vec<Broken>) {
        if violations.is_empty() {
            return;
        }
        for broken in &violations {
            self.laws.entry(broken.law.clone()).or_default().violations += 1;
        }
        let is_new = !self.stories.contains_key(&seed);
        self.broken += u64::from(is_new);
        let story = self.stories.entry(seed).or_default();
        for broken in violations {
            if story.len() < SENTENCES && !story.iter().any(|told| told.law == broken.law) {
                story.push(broken);
            }
        }
        // A seed that falls out may come back when its doubled run differs; it is then counted twice, which is honest enough.
        while self.stories.len() > TOLD {
            self.stories.pop_last();
        }
    }

    pub fn pairs(&self) -> usize {
        self.pairs.len()
    }

    /// Each figure: without faults, with faults, and the difference that they made in the same window.
    pub fn effects(&self) -> Vec<[Option<Spread>; 3]> {
        let each = FIGURES.iter().enumerate();
        let spread = |values: Vec<i64>, index: usize| Spread::of(values, FIGURES[index].is_good);
        each.map(|(index, _)| {
            [
                spread(self.pairs.iter().map(|(free, _)| free[index]).collect(), index),
                spread(self.figures.iter().map(|figures| figures[index]).collect(), index),
                spread(self.pairs.iter().map(|(free, with)| with[index].saturating_sub(free[index])).collect(), index),
            ]
        })
        .collect()
    }

    /// The mean difference that faults made to each figure.
    pub fn mean_differences(&self) -> Vec<Option<i64>> {
        let count = self.pairs.len() as i128;
        let mean = |index: usize| {
            let sum: i128 =
                self.pairs.iter().map(|(free, with)| i128::from(with[index]) - i128::from(free[index])).sum();
            (count > 0).then(|| (sum / count.max(1)) as i64)
        };
        (0..FIGURES.len()).map(mean).collect()
    }
}

#[cfg(test)]
mod tests {
    use alphaengine_chaos::RunReport;

    use super::*;

    fn run(seed: u64) -> SeedRun {
        SeedRun::of(seed, &RunReport::default())
    }

    fn broken(law: &str) -> Broken {
        Broken { law: law.to_owned(), at: String::new(), step: 1, sentence: "a fill is not in the log".to_owned() }
    }

    #[test]
    fn the_first_seeds_are_told_whatever_order_they_come_in() {
        let mut tally = Tally::default();
        for seed in [9, 3, 7, 1, 8, 5, 2] {
            tally.add(SeedRun { violations: vec![broken("I5"), broken("I5"), broken("I9")], ..run(seed) });
        }
        assert_eq!(tally.stories.keys().copied().collect::<Vec<_>>(), [1, 2, 3, 5, 7]);
        assert_eq!((tally.broken, tally.laws["I5"].violations, tally.laws["I9"].violations), (7, 14, 7));
        assert_eq!(tally.stories[&1].len(), 2, "a law is told once");
    }

    #[test]
    fn a_second_run_that_differs_breaks_the_law_of_determinism_wherever_it_ran() {
        let mut tally = Tally::default();
        tally.add(SeedRun { again: Some(run(1).trace_hash), ..run(1) });
        tally.add(SeedRun { again: Some("other".to_owned()), ..run(2) });
        tally.add_again(SeedRun { trace_hash: "other".to_owned(), ..run(1) });
        tally.add_again(run(2));
        assert_eq!((tally.doubled, tally.mismatches, tally.laws[SAME]), (2, 2, Law { checks: 4, violations: 2 }));
        assert_eq!(tally.stories.keys().copied().collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn differences_are_those_of_the_same_window() {
        let mut tally = Tally::default();
        for (seed, free, with) in [(1, 100, 90), (2, -50, -80), (3, 0, 5)] {
            let [mut figures, mut fault_free] = [[0; FIGURES.len()]; 2];
            (figures[0], fault_free[0]) = (with, free);
            tally.add(SeedRun { figures, fault_free: Some(fault_free), ..run(seed) });
        }
        let [free, with, difference] = tally.effects()[0];
        assert_eq!((free.unwrap().median, with.unwrap().worst), (0, -80));
        assert_eq!((difference.unwrap().median, difference.unwrap().worst), (-10, -30));
        assert_eq!(tally.mean_differences()[0], Some(-11));
    }
}
