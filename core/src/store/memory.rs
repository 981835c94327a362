//! Logs without a file: one that keeps events in memory, and one that keeps nothing.

use std::collections::BTreeSet;

use super::row::{Encoder, Hash, NAMED_BY_PLACE};
use super::{Error, EventLog};
use crate::event::Recorded;

/// Keeps the events in memory, with the same hash chain that a file would have.
#[derive(Debug)]
pub struct MemoryLog {
    encoder: Encoder,
    events: Vec<Recorded>,
    /// Dedup keys of what others could tell us twice; what is named by its place is unique by itself.
    keys: BTreeSet<Box<str>>,
}

impl MemoryLog {
    pub fn new(encoder: Encoder) -> MemoryLog {
        MemoryLog { encoder, events: Vec::new(), keys: BTreeSet::new() }
    }

    pub fn events(&self) -> &[Recorded] {
        &self.events
    }

    /// The hash of the last row.
    pub fn hash(&self) -> Hash {
        self.encoder.last_hash()
    }
}

impl EventLog for MemoryLog {
    fn append(&mut self, events: &[Recorded]) -> Result<(), Error> {
        for recorded in events {
            let dedup_key = self.encoder.encode(recorded)?.dedup_key;
            if !dedup_key.starts_with(NAMED_BY_PLACE) && !self.keys.insert(dedup_key.into()) {
                return Err(Error::Duplicate { dedup_key: dedup_key.to_owned() });
            }
        }
        self.events.extend_from_slice(events);
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn contains(&mut self, dedup_key: &str) -> Result<bool, Error> {
        Ok(self.keys.contains(dedup_key))
    }
}

/// Keeps nothing: for measuring the engine alone. It cannot recognise a fact that is told twice.
#[derive(Debug, Default)]
pub struct NoLog;

impl EventLog for NoLog {
    fn append(&mut self, _: &[Recorded]) -> Result<(), Error> {
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn contains(&mut self, _: &str) -> Result<bool, Error> {
        Ok(false)
    }
}
