//! A MarketUpdate is one thing that the market said, at the time at which the exchange said it.
//!
//! Updates are plain `Copy` structs without strings, so that a loop over millions of them allocates nothing. A [`SymbolId`]
//! is an index into the session's [`Instruments`](crate::instrument::Instruments).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::units::{NANOS_PER_DAY, NANOS_PER_MILLI, NANOS_PER_MINUTE, Nanos, Price, Qty, Rate, Timestamp};

/// The index of a symbol in the session's instruments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SymbolId(pub u16);

impl SymbolId {
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// One thing that the market said. `at` is exchange time; when it reaches the engine is the world's business.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MarketUpdate {
    pub at: Timestamp,
    pub symbol: SymbolId,
    pub data: MarketData,
}

impl MarketUpdate {
    /// A place to write updates to.
    pub const NOTHING: MarketUpdate = MarketUpdate {
        at: Timestamp::MIN,
        symbol: SymbolId(0),
        data: MarketData::MarkPrice(MarkPrice { price: Price::ZERO }),
    };
}

/// What was said. The order of the variants is the tie order: of updates with the same `at`, a mark price comes before the
/// funding that is charged at it, funding before a bar opens, and an opening before trades and book.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MarketData {
    /// The mark price now.
    MarkPrice(MarkPrice),
    /// A closed bar of the mark price. Its `volume` is zero.
    MarkBar(Bar),
    /// A funding settlement.
    Funding(Funding),
    /// A bar of this timeframe has closed.
    Bar(Bar),
    /// A bar has begun: its first price is known, and nothing else of it. The simulated exchange fills at it; strategies
    /// are not called.
    BarOpen(BarOpen),
    BookTicker(BookTicker),
    Trade(Trade),
}

/// Open, high, low, close and volume of one span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bar {
    pub open_time: Timestamp,
    pub open: Price,
    pub high: Price,
    pub low: Price,
    pub close: Price,
    /// In the base asset. Saturates at the largest quantity (92 billion).
    pub volume: Qty,
    pub timeframe: Timeframe,
}

impl Bar {
    /// The last instant that belongs to the bar: one millisecond before the next one opens, as Binance counts.
    #[inline]
    pub fn close_time(&self) -> Timestamp {
        self.timeframe.close_time(self.open_time)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BarOpen {
    pub price: Price,
    pub timeframe: Timeframe,
}

/// One trade between others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trade {
    /// Increasing per symbol. For an aggregated trade, the aggregate's id.
    pub id: i64,
    pub price: Price,
    pub qty: Qty,
    /// True when the buyer was resting, so that the seller was the taker.
    pub is_buyer_maker: bool,
}

/// Best bid and ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BookTicker {
    pub update_id: i64,
    pub bid: Price,
    pub bid_qty: Qty,
    pub ask: Price,
    pub ask_qty: Qty,
}

impl BookTicker {
    /// Halfway between bid and ask, rounded down to a step.
    pub fn mid(&self) -> Price {
        Price::from_steps(self.bid.steps() + (self.ask.steps() - self.bid.steps()) / 2)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MarkPrice {
    pub price: Price,
}

/// A settlement: longs pay `position * mark * rate` to shorts when the rate is positive
/// (`binance-usdm.md` section 8.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Funding {
    pub rate: Rate,
    /// The mark price of the settlement where the data have it; else the exchange uses the last mark it knows.
    pub mark: Option<Price>,
}

/// The length of a bar, one of the exchange's intervals. `1M` is left out: months differ in length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Timeframe {
    #[serde(rename = "1m")]
    M1,
    #[serde(rename = "3m")]
    M3,
    #[serde(rename = "5m")]
    M5,
    #[serde(rename = "15m")]
    M15,
    #[serde(rename = "30m")]
    M30,
    #[serde(rename = "1h")]
    H1,
    #[serde(rename = "2h")]
    H2,
    #[serde(rename = "4h")]
    H4,
    #[serde(rename = "6h")]
    H6,
    #[serde(rename = "8h")]
    H8,
    #[serde(rename = "12h")]
    H12,
    #[serde(rename = "1d")]
    D1,
    #[serde(rename = "3d")]
    D3,
    #[serde(rename = "1w")]
    W1,
}

impl Timeframe {
    pub const ALL: [Timeframe; 14] = [
        Timeframe::M1,
        Timeframe::M3,
        Timeframe::M5,
        Timeframe::M15,
        Timeframe::M30,
        Timeframe::H1,
        Timeframe::H2,
        Timeframe::H4,
        Timeframe::H6,
        Timeframe::H8,
        Timeframe::H12,
        Timeframe::D1,
        Timeframe::D3,
        Timeframe::W1,
    ];

    /// Its name on the exchange: `1m`, `4h`, `1d`.
    pub const fn name(self) -> &'static str {
        match self {
            Timeframe::M1 => "1m",
            Timeframe::M3 => "3m",
            Timeframe::M5 => "5m",
            Timeframe::M15 => "15m",
            Timeframe::M30 => "30m",
            Timeframe::H1 => "1h",
            Timeframe::H2 => "2h",
            Timeframe::H4 => "4h",
            Timeframe::H6 => "6h",
            Timeframe::H8 => "8h",
            Timeframe::H12 => "12h",
            Timeframe::D1 => "1d",
            Timeframe::D3 => "3d",
            Timeframe::W1 => "1w",
        }
    }

    #[inline]
    pub const fn minutes(self) -> i64 {
        match self {
            Timeframe::M1 => 1,
            Timeframe::M3 => 3,
            Timeframe::M5 => 5,
            Timeframe::M15 => 15,
            Timeframe::M30 => 30,
            Timeframe::H1 => 60,
            Timeframe::H2 => 120,
            Timeframe::H4 => 240,
            Timeframe::H6 => 360,
            Timeframe::H8 => 480,
            Timeframe::H12 => 720,
            Timeframe::D1 => 1_440,
            Timeframe::D3 => 4_320,
            Timeframe::W1 => 10_080,
        }
    }

    #[inline]
    pub const fn nanos(self) -> Nanos {
        self.minutes() * NANOS_PER_MINUTE
    }

    /// The opening time of the bar that holds `at`. Weeks begin on Monday.
    #[inline]
    pub fn open_time(self, at: Timestamp) -> Timestamp {
        /// 1970-01-01 was a Thursday; the Monday before it was three days earlier.
        const MONDAY: Nanos = -3 * NANOS_PER_DAY;
        let origin = if matches!(self, Timeframe::W1) { MONDAY } else { 0 };
        at.plus(-origin).floor_to(self.nanos()).plus(origin)
    }

    /// The last millisecond of the bar that opened at `open_time`.
    #[inline]
    pub fn close_time(self, open_time: Timestamp) -> Timestamp {
        open_time.plus(self.nanos() - NANOS_PER_MILLI)
    }
}

impl fmt::Display for Timeframe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A timeframe that does not exist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a timeframe: use one of 1m 3m 5m 15m 30m 1h 2h 4h 6h 8h 12h 1d 3d 1w")]
pub struct UnknownTimeframe(pub String);

impl FromStr for Timeframe {
    type Err = UnknownTimeframe;

    fn from_str(text: &str) -> Result<Timeframe, UnknownTimeframe> {
        let found = Timeframe::ALL.into_iter().find(|timeframe| timeframe.name() == text);
        found.ok_or_else(|| UnknownTimeframe(text.to_owned()))
    }
}

/// Where market updates come from, in the order of their times: a tape, or a vector in a test.
pub trait Feed {
    type Error: std::error::Error + Send + Sync + 'static;

    /// Writes the next update into a place of the caller's, which spares the hot loop a copy. False at the end.
    fn next_into(&mut self, update: &mut MarketUpdate) -> Result<bool, Self::Error>;

    /// The next update, or `None` at the end.
    fn next_update(&mut self) -> Result<Option<MarketUpdate>, Self::Error> {
        let mut update = MarketUpdate::NOTHING;
        Ok(self.next_into(&mut update)?.then_some(update))
    }
}

/// A feed from memory.
impl Feed for std::vec::IntoIter<MarketUpdate> {
    type Error = std::convert::Infallible;

    fn next_into(&mut self, update: &mut MarketUpdate) -> Result<bool, Self::Error> {
        let next = self.next();
        Ok(next.map(|next| *update = next).is_some())
    }
}
