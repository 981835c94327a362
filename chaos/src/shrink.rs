//! Shrinking: the least of a plan that still fails. First whole parts of it are left out, then what is left becomes plainer.

use alphaengine_sim::faults::{Fault, FaultPlan, How, On, Planned};

/// What is left of a plan, and how many runs that took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shrunk {
    /// It fails as the first one did; without any one of its entries it would not, unless the budget ended before.
    pub plan: FaultPlan,
    pub runs: usize,
}

/// Shrinks a plan that fails. `fails` runs it once more and says whether it still does; it is asked at most `budget` times.
///
/// The first plan is not run again: that it fails is the caller's word. No plan is tried twice.
///
/// ```
/// use alphaengine_chaos::shrink;
/// use alphaengine_sim::faults::{Fault, Knobs, draw};
///
/// let plan = draw(1, &Knobs::default());
/// let kind = plan.0[0].fault.kind();
/// let shrunk = shrink(&plan, 200, |plan| plan.0.iter().any(|planned| planned.fault.kind() == kind));
/// assert_eq!(shrunk.plan.0.len(), 1);
/// ```
pub fn shrink(plan: &FaultPlan, budget: usize, fails: impl FnMut(&FaultPlan) -> bool) -> Shrunk {
    let mut search = Search { best: plan.clone(), budget, runs: 0, tried: Vec::new(), fails };
    search.leave_out();
    search.make_plainer();
    // Plainer entries may have made others needless.
    search.leave_out();
    Shrunk { plan: search.best, runs: search.runs }
}

struct Search<F> {
    best: FaultPlan,
    budget: usize,
    runs: usize,
    /// What was run and did not fail.
    tried: Vec<FaultPlan>,
    fails: F,
}

impl<F: FnMut(&FaultPlan) -> bool> Search<F> {
    /// Takes the candidate if it still fails.
    fn is_taken(&mut self, candidate: FaultPlan) -> bool {
        if self.runs >= self.budget || candidate == self.best || self.tried.contains(&candidate) {
            return false;
        }
        self.runs += 1;
        let taken = (self.fails)(&candidate);
        if taken {
            self.best = candidate;
        } else {
            self.tried.push(candidate);
        }
        taken
    }

    /// Delta debugging (Zeller's ddmin): halves, quarters, and at last single entries, until none of them can go.
    fn leave_out(&mut self) {
        let mut parts = 2;
        while !self.best.0.is_empty() && self.runs < self.budget {
            let length = self.best.0.len();
            parts = parts.min(length);
            // Of a failure of few entries most parts hold none, so leaving a part out comes before keeping it alone.
            let is_smaller = (0..parts).any(|part| {
                let (from, to) = (length * part / parts, length * (part + 1) / parts);
                let entries = self.best.0.iter().enumerate();
                let rest = entries.filter(|(index, _)| !(from..to).contains(index)).map(|(_, planned)| planned.clone());
                let rest = FaultPlan(rest.collect());
                self.is_taken(rest)
            });
            match is_smaller {
                true => parts = (parts - 1).max(2),
                false if parts >= length => return,
                false => parts = (parts * 2).min(length),
            }
        }
    }

    /// Entry by entry, whatever is plainer and fails as well, until nothing is.
    fn make_plainer(&mut self) {
        for index in 0..self.best.0.len() {
            while let Some(planned) = self.best.0.get(index).cloned() {
                let is_plainer = plainer(&planned).into_iter().any(|simple| {
                    let mut candidate = self.best.clone();
                    candidate.0[index] = simple;
                    self.is_taken(candidate)
                });
                if !is_plainer {
                    break;
                }
            }
        }
    }
}

/// Entries that are one step plainer than this one, the boldest first. Each is valid, and a chain of them ends.
fn plainer(planned: &Planned) -> Vec<Planned> {
    let with_on = plainer_on(&planned.on).into_iter().map(|on| Planned { on, ..planned.clone() });
    let with_fault = plainer_fault(&planned.fault).into_iter().map(|fault| Planned { fault, ..planned.clone() });
    let mut all: Vec<Planned> = with_fault.chain(with_on).collect();
    all.retain(|simple| simple != planned && simple.check().is_ok());
    all
}

fn plainer_on(on: &On) -> Vec<On> {
    let mut all = Vec::new();
    if let Some(every) = on.every {
        // The first, once.
        all.push(On { every: None, nth: Some(on.nth.unwrap_or(every)), ..on.clone() });
    }
    if let (Some(after), Some(until)) = (on.after, on.until) {
        all.push(On { after: None, until: None, nth: Some(after + 1), ..on.clone() });
        all.extend(smaller(until - after.min(until), 1).map(|lasts| On { until: Some(after + lasts), ..on.clone() }));
        all.extend(smaller(after, 0).map(|from| On {
            after: Some(from),
            until: Some(from + (until - after.min(until))),
            ..on.clone()
        }));
    } else if let Some(after) = on.after {
        all.push(On { after: None, nth: Some(after + 1), ..on.clone() });
    } else if let Some(until) = on.until {
        all.extend(smaller(until, 1).map(|until| On { until: Some(until), ..on.clone() }));
    }
    all.extend(on.nth.into_iter().flat_map(|nth| smaller(nth, 1)).map(|nth| On { nth: Some(nth), ..on.clone() }));
    all.extend(on.step.into_iter().flat_map(|step| smaller(step, 1)).map(|step| On { step: Some(step), ..on.clone() }));
    let moments = on.at_ms.into_iter().flat_map(|at| smaller(at, 0));
    all.extend(moments.map(|at| On { at_ms: Some(at), ..on.clone() }));
    all
}

fn plainer_fault(fault: &Fault) -> Vec<Fault> {
    match fault {
        Fault::Delay { ms, of } => smaller(*ms, 1).map(|ms| Fault::Delay { ms, of: *of }).collect(),
        Fault::SlowBody { ms } => smaller(*ms, 1).map(|ms| Fault::SlowBody { ms }).collect(),
        Fault::DelayFrame { ms } => smaller(*ms, 1).map(|ms| Fault::DelayFrame { ms }).collect(),
        Fault::DropRequest { how } if *how != How::default() => vec![Fault::DropRequest { how: How::default() }],
        Fault::DropAnswer { how } if *how != How::default() => vec![Fault::DropAnswer { how: How::default() }],
        Fault::TruncateBody { keep: Some(_), how } => vec![Fault::TruncateBody { keep: None, how: *how }],
        Fault::StallBody { keep: Some(_) } => vec![Fault::StallBody { keep: None }],
        Fault::Outage { seconds } => smaller(*seconds, 1).map(|seconds| Fault::Outage { seconds }).collect(),
        Fault::Ban { seconds } => smaller(*seconds, 1).map(|seconds| Fault::Ban { seconds }).collect(),
        Fault::Throttle { seconds } => smaller(*seconds, 1).map(|seconds| Fault::Throttle { seconds }).collect(),
        Fault::StuckReader { seconds } => smaller(*seconds, 1).map(|seconds| Fault::StuckReader { seconds }).collect(),
        Fault::Lag { ms, seconds } => {
            let shorter = smaller(*seconds, 1).map(|seconds| Fault::Lag { ms: *ms, seconds });
            shorter.chain(smaller(*ms, 1).map(|ms| Fault::Lag { ms, seconds: *seconds })).collect()
        }
        Fault::Filters { symbol, times } => smaller(u64::from(*times), 2)
            .map(|times| Fault::Filters { symbol: symbol.clone(), times: times as u32 })
            .collect(),
        Fault::BitFlip { file, bit } => smaller(*bit, 0).map(|bit| Fault::BitFlip { file: *file, bit }).collect(),
        Fault::Crash { down_ms } => smaller(*down_ms, 1).map(|down_ms| Fault::Crash { down_ms }).collect(),
        Fault::PowerLoss { down_ms, seed } => {
            let shorter = smaller(*down_ms, 1).map(|down_ms| Fault::PowerLoss { down_ms, seed: *seed });
            shorter.chain(smaller(*seed, 0).map(|seed| Fault::PowerLoss { down_ms: *down_ms, seed })).collect()
        }
        _ => Vec::new(),
    }
}

/// Numbers that close in on `number` from the least one: the bold steps first, so that a search takes few runs.
fn smaller(number: u64, least: u64) -> impl Iterator<Item = u64> {
    let room = number.saturating_sub(least);
    let lefts = std::iter::successors(Some(room), |left| Some(left / 2)).take_while(|left| *left > 0);
    lefts.map(move |left| number - left)
}

#[cfg(test)]
mod tests {
    use alphaengine_sim::faults::{Knobs, draw};
    use proptest::prelude::*;

    use super::*;

    /// An entry that is told from others by its number.
    fn entry(number: u64) -> Planned {
        Planned::new(On { step: Some(number + 1), ..On::default() }, Fault::SecondInstance)
    }

    fn numbers(plan: &FaultPlan) -> Vec<u64> {
        plan.0.iter().filter_map(|planned| planned.on.step).map(|step| step - 1).collect()
    }

    proptest! {
        #[test]
        fn a_pair_that_is_hidden_in_sixty_entries_is_found_in_few_runs(one in 0_u64..60, other in 0_u64..60) {
            let plan = FaultPlan((0..60).map(entry).collect());
            // The entries' numbers are what tells them apart here, so a smaller one is another entry.
            let fails = |plan: &FaultPlan| [one, other].iter().all(|wanted| numbers(plan).contains(wanted));
            let shrunk = shrink(&plan, 200, fails);
            let mut wanted = vec![one.min(other), one.max(other)];
            wanted.dedup();
            prop_assert_eq!(numbers(&shrunk.plan), wanted);
            prop_assert!(shrunk.runs <= 120, "{} runs", shrunk.runs);
        }

        #[test]
        fn what_is_left_fails_and_no_entry_of_it_can_go(wanted in prop::collection::btree_set(0_u64..40, 0..6)) {
            let plan = FaultPlan((0..40).map(entry).collect());
            let fails = |plan: &FaultPlan| wanted.iter().all(|one| numbers(plan).contains(one));
            let shrunk = shrink(&plan, 2_000, fails);
            prop_assert_eq!(numbers(&shrunk.plan), wanted.iter().copied().collect::<Vec<_>>());
        }

        #[test]
        fn the_budget_is_kept_and_the_rest_fails_all_the_same(seed in 0_u64..500, budget in 0_usize..30) {
            let plan = draw(seed, &Knobs::default());
            let kind = plan.0[plan.0.len() / 2].fault.kind();
            let mut asked = 0;
            let has_kind = |plan: &FaultPlan| plan.0.iter().any(|planned| planned.fault.kind() == kind);
            let shrunk = shrink(&plan, budget, |plan| { asked += 1; has_kind(plan) });
            prop_assert_eq!(shrunk.runs, asked);
            prop_assert!(asked <= budget);
            prop_assert!(has_kind(&shrunk.plan));
        }

        #[test]
        fn plainer_entries_are_valid_and_a_chain_of_them_ends(seed in 0_u64..2_000) {
            for planned in draw(seed, &Knobs::default()).0 {
                let (mut now, mut steps) = (planned, 0);
                while let Some(next) = plainer(&now).into_iter().next() {
                    prop_assert!(plainer(&now).iter().all(|simple| simple.check().is_ok() && *simple != now));
                    now = next;
                    steps += 1;
                    prop_assert!(steps < 50, "{:?}", now);
                }
            }
        }
    }

    #[test]
    fn numbers_become_as_small_as_they_may() {
        let on = On {
            method: Some("POST".to_owned()),
            path: Some("/fapi/v1/order".to_owned()),
            every: Some(4),
            ..On::default()
        };
        let plan = FaultPlan(vec![
            Planned::new(on, Fault::DropAnswer { how: How::Timeout }),
            Planned::new(On { at_ms: Some(90_000), ..On::default() }, Fault::Ban { seconds: 100 }),
        ]);
        let fails = |plan: &FaultPlan| {
            let bans = plan.0.iter().any(|planned| {
                matches!(planned.fault, Fault::Ban { seconds } if seconds >= 37) && planned.on.at_ms >= Some(12_345)
            });
            bans && plan.0.iter().any(|planned| matches!(planned.fault, Fault::DropAnswer { .. }))
        };
        let shrunk = shrink(&plan, 500, fails);
        let first = &shrunk.plan.0[0];
        assert_eq!((first.on.every, first.on.nth), (None, Some(1)));
        assert_eq!(first.fault, Fault::DropAnswer { how: How::Eof });
        assert_eq!(
            shrunk.plan.0[1],
            Planned::new(On { at_ms: Some(12_345), ..On::default() }, Fault::Ban { seconds: 37 })
        );
    }

    #[test]
    fn what_fails_without_any_fault_is_shrunk_to_nothing() {
        let shrunk = shrink(&FaultPlan((0..9).map(entry).collect()), 50, |_| true);
        assert_eq!((shrunk.plan.0.len(), shrunk.runs <= 10), (0, true));
    }
}
