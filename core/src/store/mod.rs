//! The event store: an append-only log of events with everything derived from it, in one SQLite file.

use crate::event::Recorded;

/// What can go wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{0}")]
    Other(String),
}

/// Where events go.
pub trait EventLog {
    /// Takes events, in the order of their numbers. They are durable after the next [`EventLog::commit`].
    fn append(&mut self, events: &[Recorded]) -> Result<(), Error>;

    /// Makes everything durable that was appended.
    fn commit(&mut self) -> Result<(), Error>;

    /// Whether a fact with this dedup key is in the log.
    fn contains(&mut self, dedup_key: &str) -> Result<bool, Error>;
}

/// The dedup key of a trade: what it *is*, wherever it was heard.
pub fn trade_key(symbol: &str, trade_id: u64) -> String {
    format!("binance:futures:{symbol}:trade:{trade_id:020}")
}
