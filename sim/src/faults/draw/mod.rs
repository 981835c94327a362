//! A seed draws a plan of faults: which families of faults a run has, how many situations of them, and each situation's entries.
//!
//! Chance ends here. What comes out is an explicit list that can be printed, edited, replayed and shrunk; a seed alone would stop to
//! mean the same run as soon as anything draws in another order.

mod disk;
mod exchange;
mod family;
mod hand;
mod process;
mod requests;
mod streams;

use alphaengine_core::units::{Money, NANOS_PER_MINUTE, Nanos, SCALE};

pub use self::family::{Family, Group, families, parse_families};
use self::hand::Hand;
use super::plan::FaultPlan;

/// What a plan may hold, and what it is drawn for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Knobs {
    /// The codes of the families that may be drawn. Empty is all of them.
    pub families: Vec<&'static str>,
    /// How long the market runs.
    pub length: Nanos,
    pub symbols: Vec<String>,
    /// About how many steps a run has.
    pub steps: u64,
    /// What the account begins with, so that a withdrawal is large enough to matter.
    pub cash: Money,
}

impl Default for Knobs {
    /// Five minutes of one symbol.
    fn default() -> Knobs {
        Knobs {
            families: Vec::new(),
            length: 5 * NANOS_PER_MINUTE,
            symbols: vec!["BTCUSDT".to_owned()],
            steps: 3_000,
            cash: Money::from_steps(10_000 * SCALE),
        }
    }
}

/// Entries of one plan, for each five minutes of its run.
const MOST_ENTRIES: usize = 40;

/// Draws a plan. A third of the seeds has all families at hand, a third a random subset, a third a single one.
///
/// The plan of a seed is the same everywhere, as long as this version draws it: keep the plan, not the seed.
///
/// ```
/// use alphaengine_sim::faults::{Knobs, draw};
///
/// let plan = draw(7, &Knobs::default());
/// assert_eq!(plan, draw(7, &Knobs::default()));
/// assert!(!plan.0.is_empty());
/// println!("{}", plan.to_json());
/// ```
pub fn draw(seed: u64, knobs: &Knobs) -> FaultPlan {
    let mut hand = Hand::new(seed, knobs);
    let is_allowed = |family: &&Family| knobs.families.is_empty() || knobs.families.contains(&family.code);
    let mut allowed: Vec<&'static Family> =
        families().iter().filter(|family| family.is_drawn()).filter(is_allowed).collect();
    if allowed.is_empty() {
        return FaultPlan::default();
    }
    let kept = match hand.below(3) {
        0 => allowed.len() as u64,
        1 => hand.between(2, (allowed.len() as u64 / 2).max(2)),
        _ => 1,
    };
    while allowed.len() as u64 > kept {
        let gone = hand.index(allowed.len());
        allowed.remove(gone);
    }
    // A quiet run finds what a wild one drowns, so the number of situations differs more than evenly.
    let most = if allowed.len() == 1 { 6 } else { 18 };
    let most = hand.pick(&[most / 6, most / 3, most / 2, most]);
    let most = hand.scaled(most);
    let limit = hand.scaled(MOST_ENTRIES as u64) as usize;
    for _ in 0..hand.between(1, most) {
        let family = allowed[hand.index(allowed.len())];
        hand.situation(family);
        if hand.plan.0.len() >= limit {
            break;
        }
    }
    hand.plan
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::faults::{DiskFile, DiskOp, Fault, On, Planned};

    fn knobs() -> Knobs {
        Knobs { symbols: vec!["BTCUSDT".to_owned(), "ETHUSDT".to_owned()], ..Knobs::default() }
    }

    fn plans(count: u64) -> impl Iterator<Item = FaultPlan> {
        (0..count).map(|seed| draw(seed, &knobs()))
    }

    #[test]
    fn a_seed_is_a_plan_and_another_seed_is_another_one() {
        let all: Vec<FaultPlan> = plans(50).collect();
        assert_eq!(all, plans(50).collect::<Vec<_>>());
        let different: BTreeSet<String> = all.iter().map(FaultPlan::to_json).collect();
        assert_eq!(different.len(), 50);
    }

    #[test]
    fn every_family_that_can_be_drawn_is_within_two_hundred_seeds() {
        let named: BTreeSet<String> = plans(200).flat_map(|plan| plan.0).filter_map(|planned| planned.name).collect();
        for family in families() {
            assert_eq!(named.contains(family.code), family.is_drawn(), "{}", family.code);
        }
    }

    #[test]
    fn every_plan_is_valid_and_the_same_after_printing() {
        for (seed, plan) in plans(500).enumerate() {
            for planned in &plan.0 {
                assert!(planned.name.is_some());
                assert_eq!(planned.check(), Ok(()), "seed {seed}: {planned:?}");
            }
            assert_eq!(FaultPlan::parse(&plan.to_json()).unwrap(), plan, "seed {seed}");
            assert!((1..=60).contains(&plan.0.len()), "seed {seed}: {} entries", plan.0.len());
        }
    }

    #[test]
    fn every_kind_of_fault_is_drawn_by_some_family() {
        let drawn: BTreeSet<&str> = plans(2_000).flat_map(|plan| plan.0).map(|planned| planned.fault.kind()).collect();
        let missing: Vec<&&str> = Fault::KINDS.iter().filter(|kind| !drawn.contains(*kind)).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }

    #[test]
    fn a_third_of_the_seeds_has_a_single_family() {
        let is_single = |plan: &FaultPlan| {
            let names: BTreeSet<&Option<String>> = plan.0.iter().map(|planned| &planned.name).collect();
            names.len() == 1
        };
        let singles = plans(900).filter(is_single).count();
        assert!((300..500).contains(&singles), "{singles} of 900");
    }

    #[test]
    fn the_last_fifth_of_a_run_has_no_moments_and_no_steps() {
        let quiet_from = |on: &On| on.at_ms.is_none_or(|at| at <= 240_000) && on.step.is_none_or(|step| step <= 2_400);
        for planned in plans(500).flat_map(|plan| plan.0) {
            assert!(quiet_from(&planned.on), "{planned:?}");
            let (Fault::Ban { seconds } | Fault::Throttle { seconds } | Fault::Outage { seconds }) = planned.fault
            else {
                continue;
            };
            if let Some(at) = planned.on.at_ms {
                assert!(at + seconds * 1_000 <= 285_000, "{planned:?}");
            }
        }
    }

    #[test]
    fn only_allowed_families_are_drawn_and_a_longer_run_has_more() {
        let only = Knobs { families: parse_families("F9,F36").unwrap(), ..knobs() };
        for seed in 0..50 {
            for planned in draw(seed, &only).0 {
                assert!(matches!(planned.name.as_deref(), Some("F9" | "F36")), "{planned:?}");
            }
        }
        let entries = |minutes: i64| -> usize {
            let knobs = Knobs { length: minutes * NANOS_PER_MINUTE, steps: 600 * minutes as u64, ..knobs() };
            (0..100).map(|seed| draw(seed, &knobs).0.len()).sum()
        };
        assert!(entries(20) > 2 * entries(5));
        assert!(entries(1) < entries(5));
    }

    #[test]
    fn crashes_come_at_every_kind_of_disk_operation_and_at_steps() {
        let crashes: Vec<Planned> = plans(3_000)
            .flat_map(|plan| plan.0)
            .filter(|planned| matches!(planned.fault, Fault::Crash { .. } | Fault::PowerLoss { .. }))
            .collect();
        let ops: BTreeSet<DiskOp> = crashes.iter().filter_map(|planned| planned.on.disk).collect();
        assert_eq!(ops.len(), DiskOp::ALL.len(), "{ops:?}");
        let files: BTreeSet<DiskFile> = crashes.iter().filter_map(|planned| planned.on.file).collect();
        assert!(files.contains(&DiskFile::Wal) && files.contains(&DiskFile::Head), "{files:?}");
        assert!(crashes.iter().any(|planned| planned.on.step.is_some()));
    }
}
