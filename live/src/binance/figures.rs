//! Figures are what a session can say about itself at any time: for a status line, for metrics, for tests.

use std::collections::BTreeSet;

use alphaengine_core::link::Route;
use alphaengine_core::units::Nanos;

use super::json::Fields;

/// What a session counts and knows of its own state.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Figures {
    /// Request weight used in this minute, and its limit.
    pub used_weight: u32,
    pub weight_limit: u32,
    /// Orders of these ten seconds and of this minute.
    pub orders_10s: u32,
    pub orders_1m: u32,
    /// The exchange's clock minus ours, in milliseconds; `None` until it was measured.
    pub offset_ms: Option<i64>,
    pub streams_up: Vec<Route>,
    /// From the exchange's event time to our hearing of it, of the last frame. Negative where the clocks disagree.
    pub latency: Option<Nanos>,
    pub frames: u64,
    pub strangers: Strangers,
}

/// What was heard and not understood, or is none of our business.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Strangers {
    /// Event types that are not known.
    pub events: u64,
    /// Fields of known events that are not known.
    pub fields: u64,
    /// Values of known fields that are not known.
    pub values: u64,
    /// Events of symbols that this session does not trade.
    pub symbols: u64,
    /// Client order ids that are longer than the exchange allows.
    pub long_ids: u64,
    /// Frames and rows that could not be read, and why the last one could not.
    pub malformed: u64,
    pub last_malformed: Option<String>,
    /// Account events that were heard before.
    pub duplicates: u64,
    /// Streams that were not asked for.
    pub streams: u64,
    pub margin_calls: u64,
}

impl Strangers {
    pub(crate) fn malformed(&mut self, why: impl std::fmt::Display) {
        self.malformed += 1;
        self.last_malformed = Some(why.to_string());
    }

    pub(crate) fn count_fields(&mut self, fields: Fields<'_>, known: &[&str]) {
        let unknown: BTreeSet<&str> = fields.names().filter(|name| !known.contains(name)).collect();
        self.fields += unknown.len() as u64;
    }
}
