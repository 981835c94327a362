//! A log that measures what another one takes.

use std::time::{Duration, Instant};

use alphaengine_core::event::Recorded;
use alphaengine_core::store::{Error, EventLog};

pub struct Timed<L> {
    log: L,
    append: Duration,
    commit: Duration,
}

impl<L> Timed<L> {
    pub fn new(log: L) -> Timed<L> {
        Timed { log, append: Duration::ZERO, commit: Duration::ZERO }
    }

    pub fn forget(&mut self) {
        (self.append, self.commit) = (Duration::ZERO, Duration::ZERO);
    }

    /// What appending and committing took since it forgot.
    pub fn spent(&self) -> (Duration, Duration) {
        (self.append, self.commit)
    }
}

impl<L: EventLog> EventLog for Timed<L> {
    fn append(&mut self, events: &[Recorded]) -> Result<(), Error> {
        let begun = Instant::now();
        let done = self.log.append(events);
        self.append += begun.elapsed();
        done
    }

    fn commit(&mut self) -> Result<(), Error> {
        let begun = Instant::now();
        let done = self.log.commit();
        self.commit += begun.elapsed();
        done
    }

    fn contains(&mut self, dedup_key: &str) -> Result<bool, Error> {
        self.log.contains(dedup_key)
    }
}
