//! The local clock, for those who carry time to the parts that have none.

#![allow(clippy::disallowed_methods, reason = "this is where time comes from")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use alphaengine_core::units::Timestamp;

/// The local clock.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
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
