//! The local clock, for those who carry time to the parts that have none.

#![allow(clippy::disallowed_methods, reason = "this is where time comes from")]

use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use alphaengine_core::units::{Nanos, Timestamp};

/// The local clock, as one that is never set back: a step forward is followed (a machine that slept), after a step back it goes on
/// from where it was. A clock that stood still until the wall's had caught up would silence every deadline for so long.
pub fn now() -> Timestamp {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    static LEAD: AtomicI64 = AtomicI64::new(0);
    let elapsed = nanos(BEGAN.elapsed());
    steady(&LEAD, elapsed, nanos(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()))
}

/// The wall's time, or later where it was set back; `lead` is the most that it ever was ahead of the time that has `elapsed`.
fn steady(lead: &AtomicI64, elapsed: Nanos, wall: Nanos) -> Timestamp {
    let ahead = wall.saturating_sub(elapsed);
    let most = lead.fetch_max(ahead, Ordering::Relaxed).max(ahead);
    Timestamp::from_nanos(most.saturating_add(elapsed))
}

fn nanos(span: Duration) -> Nanos {
    i64::try_from(span.as_nanos()).unwrap_or(i64::MAX)
}

/// When `due` comes on the clock that waits; `None` where nothing is due.
pub fn deadline(now: Timestamp, due: Timestamp) -> Option<Instant> {
    if due == Timestamp::MAX {
        return None;
    }
    let left = u64::try_from(due.since(now).max(0)).unwrap_or(0);
    Some(Instant::now() + Duration::from_nanos(left))
}

/// The clock that the watchdog is fed by.
pub fn instant() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_forward_is_followed_and_a_step_back_is_not() {
        let lead = AtomicI64::new(0);
        let times: Vec<i64> = [(0, 1_000), (10, 1_010), (20, 5_020), (30, 1_030), (40, 1_040), (50, 6_050)]
            .map(|(elapsed, wall)| steady(&lead, elapsed, wall).nanos())
            .into();
        assert_eq!(times, [1_000, 1_010, 5_020, 5_030, 5_040, 6_050]);
    }
}
