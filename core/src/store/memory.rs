//! Logs without a file: one that keeps events in memory, and one that keeps nothing.

use super::row::{Encoder, Hash};
use super::{Error, EventLog};
use crate::event::Recorded;

/// Keeps the events in memory, with the same hash chain that a file would have.
#[derive(Debug)]
pub struct MemoryLog {
    encoder: Encoder,
    events: Vec<Recorded>,
}

impl MemoryLog {
    pub fn new(encoder: Encoder) -> MemoryLog {
        MemoryLog { encoder, events: Vec::new() }
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
            self.encoder.encode(recorded)?;
        }
        self.events.extend_from_slice(events);
        Ok(())
    }

    fn commit(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn contains(&mut self, dedup_key: &str) -> Result<bool, Error> {
        Ok(self.events.iter().any(|recorded| self.encoder.dedup_key(recorded) == dedup_key))
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
