//! Patience: another process may hold the store for a while, a backup or a shell. Nothing was written then, so it is tried again.

use rusqlite::{Error, ErrorCode};

/// How long SQLite itself waits in one attempt.
pub(super) const WAITS_MS: u32 = 2_000;
/// With [`WAITS_MS`] ten seconds in all.
const ATTEMPTS: u32 = 5;

/// Tries what changes nothing while the store is in use. SQLite does the waiting: no clock is read here.
pub(super) fn patiently<T>(mut attempt: impl FnMut() -> Result<T, Error>) -> Result<T, Error> {
    for _ in 1..ATTEMPTS {
        match attempt() {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {}
            ended => return ended,
        }
    }
    attempt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(code: i32) -> Error {
        Error::SqliteFailure(rusqlite::ffi::Error::new(code), None)
    }

    #[test]
    fn what_is_busy_is_tried_five_times_and_any_other_failure_once() {
        let (busy, full) = (rusqlite::ffi::SQLITE_BUSY, rusqlite::ffi::SQLITE_FULL);
        for (code, busy_for, tries, is_done) in
            [(busy, 0, 1, true), (busy, 4, 5, true), (busy, 9, 5, false), (full, 1, 1, false)]
        {
            let mut tried = 0;
            let ended = patiently(|| {
                tried += 1;
                if tried <= busy_for { Err(failure(code)) } else { Ok(()) }
            });
            assert_eq!((tried, ended.is_ok()), (tries, is_done), "{code} for {busy_for}");
        }
    }
}
