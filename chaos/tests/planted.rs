//! A campaign is worth what it catches: each mistake that is put into the engine on purpose is found within its budget of seeds.
//!
//! A violation counts only where the correct build has none with the same seed. To be run in release, with `--nocapture` for the
//! figures: `.ci/chaos` does.

#![cfg(feature = "planted-bugs")]
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may ask the environment how long it shall be"
)]

mod support;

use std::collections::BTreeSet;

use alphaengine_core::planted::{Bug, plant};
use support::{from_environment, run_seed, turn};

/// Looks for a mistake and says with which seed and by which laws it was seen.
fn hunt(bug: Bug) -> Option<(u64, BTreeSet<&'static str>)> {
    for seed in 0..from_environment("ALPHAENGINE_CHAOS_BUDGET", 500) {
        plant(Some(bug));
        let (_, report) = run_seed(seed);
        plant(None);
        if report.violations.is_empty() || !run_seed(seed).1.violations.is_empty() {
            continue;
        }
        return Some((seed, report.violations.iter().map(|violation| violation.invariant.code()).collect()));
    }
    None
}

fn check(bug: Bug) {
    let _turn = turn();
    let found = hunt(bug);
    plant(None);
    let (seed, laws) =
        found.unwrap_or_else(|| panic!("nobody saw the planted mistake {}: {}", bug.name(), bug.about()));
    let laws: Vec<&str> = laws.into_iter().collect();
    println!("planted {}: found after {} seeds by {}", bug.name(), seed + 1, laws.join(" "));
}

macro_rules! planted {
    ($($name:ident $bug:ident)*) => {
        $(#[test]
        fn $name() {
            check(Bug::$bug);
        })*

        #[test]
        fn every_planted_mistake_is_hunted() {
            assert_eq!([$(Bug::$bug),*], Bug::ALL);
        }
    };
}

planted! {
    resend_new_id ResendNewId
    resend_same_id ResendSameId
    believe_early_absence BelieveEarlyAbsence
    no_backfill NoBackfill
    synchronous_normal SynchronousNormal
    send_before_persist SendBeforePersist
    no_fill_dedup NoFillDedup
    ledger_rounds LedgerRounds
    cancel_done_on_timeout CancelDoneOnTimeout
    stale_stream_unnoticed StaleStreamUnnoticed
    retry_after_ignored RetryAfterIgnored
}
