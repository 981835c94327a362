//! The event store: an append-only, hash-chained log of events with everything derived from it, in one SQLite file.
//!
//! [`SqliteStore`] writes it, [`StoreReader`] reads it, [`verify`](StoreReader::verify) proves it. One schema serves every
//! world (`schema.sql`). What is not durable was not promised: a row counts after [`EventLog::commit`].

pub mod commands;
mod disk;
mod error;
mod head;
mod memory;
mod patience;
#[cfg(test)]
mod planted;
mod projection;
mod reader;
mod row;
mod salvage;
mod schema;
mod sqlite;
mod verify;

pub use disk::{Disk, Mark, Place};
pub use error::Error;
pub use memory::{MemoryLog, NoLog};
pub use reader::{Answer, Checkpoint, CurveRow, SessionRow, Stats, StoreReader};
pub use row::{Column, Encoder, EventRow, Hash, Scope, funding_key, hex, storage_key, trade_key, transfer_key};
pub use salvage::repair;
pub use schema::VERSION;
pub use sqlite::SqliteStore;
pub use verify::Verdict;

use crate::event::Recorded;

/// Where events go.
pub trait EventLog {
    /// Takes events, in the order of their numbers. They are durable after the next [`EventLog::commit`]. A fact that is in the
    /// log already is an error: whoever appends asks first with [`EventLog::contains`].
    fn append(&mut self, events: &[Recorded]) -> Result<(), Error>;

    /// Makes everything durable that was appended.
    fn commit(&mut self) -> Result<(), Error>;

    /// Whether a fact with this dedup key is in the log: a trade, a payment, a transfer, an order or an operator's word. What only
    /// this program could tell is told once, so nobody asks about it.
    fn contains(&mut self, dedup_key: &str) -> Result<bool, Error>;

    /// Derives everything anew that is derived from the events. A log that derives nothing has nothing to do.
    fn rebuild_projections(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

impl<L: EventLog + ?Sized> EventLog for Box<L> {
    fn append(&mut self, events: &[Recorded]) -> Result<(), Error> {
        (**self).append(events)
    }

    fn commit(&mut self) -> Result<(), Error> {
        (**self).commit()
    }

    fn contains(&mut self, dedup_key: &str) -> Result<bool, Error> {
        (**self).contains(dedup_key)
    }

    fn rebuild_projections(&mut self) -> Result<(), Error> {
        (**self).rebuild_projections()
    }
}
