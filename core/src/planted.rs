//! Mistakes that can be put into the engine on purpose, to prove that the campaign finds them. Not in any build that trades.
//!
//! With the feature `planted-bugs` one of them can be chosen for the whole process; without it [`has`] is a constant `false` and the
//! places that ask are compiled away. A campaign runs one simulation a process, so the choice may be the process's.
//!
//! Each place reads `if planted::has(Bug::..)` with a word on what is wrong with what follows.

/// A mistake that somebody who writes such an engine may well make.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Bug {
    ResendNewId,
    ResendSameId,
    BelieveEarlyAbsence,
    NoBackfill,
    SynchronousNormal,
    SendBeforePersist,
    NoFillDedup,
    LedgerRounds,
    CancelDoneOnTimeout,
    StaleStreamUnnoticed,
    RetryAfterIgnored,
}

impl Bug {
    pub const ALL: [Bug; 11] = [
        Bug::ResendNewId,
        Bug::ResendSameId,
        Bug::BelieveEarlyAbsence,
        Bug::NoBackfill,
        Bug::SynchronousNormal,
        Bug::SendBeforePersist,
        Bug::NoFillDedup,
        Bug::LedgerRounds,
        Bug::CancelDoneOnTimeout,
        Bug::StaleStreamUnnoticed,
        Bug::RetryAfterIgnored,
    ];

    /// As it is written on a command line.
    pub const fn name(self) -> &'static str {
        match self {
            Bug::ResendNewId => "resend-new-id",
            Bug::ResendSameId => "resend-same-id",
            Bug::BelieveEarlyAbsence => "believe-early-absence",
            Bug::NoBackfill => "no-backfill",
            Bug::SynchronousNormal => "synchronous-normal",
            Bug::SendBeforePersist => "send-before-persist",
            Bug::NoFillDedup => "no-fill-dedup",
            Bug::LedgerRounds => "ledger-rounds",
            Bug::CancelDoneOnTimeout => "cancel-done-on-timeout",
            Bug::StaleStreamUnnoticed => "stale-stream-unnoticed",
            Bug::RetryAfterIgnored => "retry-after-ignored",
        }
    }

    pub fn from_name(name: &str) -> Option<Bug> {
        Bug::ALL.into_iter().find(|bug| bug.name() == name)
    }

    /// What is done wrong, in a sentence.
    pub const fn about(self) -> &'static str {
        match self {
            Bug::ResendNewId => "An order whose answer is lost is placed again at once under a new client order id.",
            Bug::ResendSameId => {
                "An order whose answer is lost is placed again at once under the same client order id, without asking first."
            }
            Bug::BelieveEarlyAbsence => {
                "An order whose answer is lost is asked about at once, and the first \"not found\" is taken as proof that it is not there."
            }
            Bug::NoBackfill => {
                "After a gap of the account's stream neither trades nor income are fetched, and our own books are believed."
            }
            Bug::SynchronousNormal => "The store commits without waiting for the disk.",
            Bug::SendBeforePersist => {
                "The requests of a step leave before its events are durable: the commit comes with the next step."
            }
            Bug::NoFillDedup => "A trade is booked again whenever it is heard again.",
            Bug::LedgerRounds => "Realised profit and fees are rounded to 0.0001 of the asset when they are booked.",
            Bug::CancelDoneOnTimeout => "A cancel whose answer is lost counts as done.",
            Bug::StaleStreamUnnoticed => "A stream that is silent, late or deaf is taken for a living one.",
            Bug::RetryAfterIgnored => {
                "After a 429 or a 418 requests go on leaving, whatever the exchange said about when they may."
            }
        }
    }
}

/// The number of the chosen mistake, counted from 1; 0 is none.
#[cfg(feature = "planted-bugs")]
static PLANTED: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(0);

/// Chooses the mistake of this process, or none. To be called before the engine and its store are made.
#[cfg(feature = "planted-bugs")]
pub fn plant(bug: Option<Bug>) {
    PLANTED.store(bug.map_or(0, |bug| bug as u8 + 1), std::sync::atomic::Ordering::Relaxed);
}

/// Whether this mistake is to be made.
#[cfg(feature = "planted-bugs")]
#[inline(always)]
pub fn has(bug: Bug) -> bool {
    PLANTED.load(std::sync::atomic::Ordering::Relaxed) == bug as u8 + 1
}

/// Whether this mistake is to be made: never, in a build without the feature `planted-bugs`.
#[cfg(not(feature = "planted-bugs"))]
#[inline(always)]
pub const fn has(_: Bug) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mistake_has_a_name_of_its_own_and_a_sentence() {
        for (number, bug) in Bug::ALL.into_iter().enumerate() {
            assert_eq!(bug as usize, number, "ALL is in the order of the declaration");
            assert_eq!(Bug::from_name(bug.name()), Some(bug));
            assert!(bug.about().ends_with('.'));
        }
        assert_eq!(Bug::from_name("resend"), None);
    }

    #[cfg(not(feature = "planted-bugs"))]
    #[test]
    fn a_build_without_the_feature_makes_none_of_them() {
        assert!(!Bug::ALL.into_iter().any(has));
    }
}
