//! A Chunk is a run of rows of one stream, decoded: what readers give and the tape merges.

use alphaengine_core::market::{Bar, BookTicker, Funding, Trade};
use alphaengine_core::units::{Price, Timestamp};

use crate::gaps::Gaps;

/// Rows per chunk, at most. Large enough that switching chunks costs nothing, small enough that memory stays flat.
pub const CHUNK_ROWS: usize = 65_536;

/// A row and when the exchange said it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timed<T> {
    pub at: Timestamp,
    pub row: T,
}

/// Rows of one kind and one symbol, in the order of the file; times do not go back.
#[derive(Debug, Clone, PartialEq)]
pub enum Chunk {
    /// Ordered by opening time.
    Bars(Vec<Bar>),
    /// Bars of the mark price, ordered by opening time.
    MarkBars(Vec<Bar>),
    Marks(Vec<Timed<Price>>),
    Funding(Vec<Timed<Funding>>),
    Books(Vec<Timed<BookTicker>>),
    Trades(Vec<Timed<Trade>>),
}

impl Chunk {
    pub fn len(&self) -> usize {
        match self {
            Chunk::Bars(rows) | Chunk::MarkBars(rows) => rows.len(),
            Chunk::Marks(rows) => rows.len(),
            Chunk::Funding(rows) => rows.len(),
            Chunk::Books(rows) => rows.len(),
            Chunk::Trades(rows) => rows.len(),
        }
    }

    /// The time of the first row; of bars, when it opened.
    pub fn first_at(&self) -> Option<Timestamp> {
        match self {
            Chunk::Bars(rows) | Chunk::MarkBars(rows) => rows.first().map(|bar| bar.open_time),
            Chunk::Marks(rows) => rows.first().map(|row| row.at),
            Chunk::Funding(rows) => rows.first().map(|row| row.at),
            Chunk::Books(rows) => rows.first().map(|row| row.at),
            Chunk::Trades(rows) => rows.first().map(|row| row.at),
        }
    }

    /// The time of the last row; of bars, when it opened.
    pub fn last_at(&self) -> Option<Timestamp> {
        match self {
            Chunk::Bars(rows) | Chunk::MarkBars(rows) => rows.last().map(|bar| bar.open_time),
            Chunk::Marks(rows) => rows.last().map(|row| row.at),
            Chunk::Funding(rows) => rows.last().map(|row| row.at),
            Chunk::Books(rows) => rows.last().map(|row| row.at),
            Chunk::Trades(rows) => rows.last().map(|row| row.at),
        }
    }

    /// Leaves only the rows that lie within `from` and before `to`. A bar lies there when it opens and closes there.
    pub(crate) fn keep_within(&mut self, from: Timestamp, to: Timestamp) {
        match self {
            Chunk::Bars(rows) | Chunk::MarkBars(rows) => {
                let whole = |bar: &Bar| bar.open_time.plus(bar.timeframe.nanos()) <= to;
                keep(rows, |bar| bar.open_time < from, whole);
            }
            Chunk::Marks(rows) => keep(rows, |row| row.at < from, |row| row.at < to),
            Chunk::Funding(rows) => keep(rows, |row| row.at < from, |row| row.at < to),
            Chunk::Books(rows) => keep(rows, |row| row.at < from, |row| row.at < to),
            Chunk::Trades(rows) => keep(rows, |row| row.at < from, |row| row.at < to),
        }
    }

    /// Moves rows before `at` to `at`, and says how many. Bars and settlements stay where they are.
    pub(crate) fn not_before(&mut self, at: Timestamp) -> usize {
        fn raise<T>(rows: &mut [Timed<T>], at: Timestamp) -> usize {
            let early = rows.iter_mut().take_while(|row| row.at < at);
            early.map(|row| row.at = at).count()
        }
        match self {
            Chunk::Bars(_) | Chunk::MarkBars(_) | Chunk::Funding(_) => 0,
            Chunk::Marks(rows) => raise(rows, at),
            Chunk::Books(rows) => raise(rows, at),
            Chunk::Trades(rows) => raise(rows, at),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Drops the rows at the beginning that are `early` and those at the end that are not `within`.
fn keep<T>(rows: &mut Vec<T>, early: impl Fn(&T) -> bool, within: impl Fn(&T) -> bool) {
    rows.truncate(rows.partition_point(within));
    let start = rows.partition_point(early);
    rows.drain(..start);
}

/// Gives the chunks of one stream, one after the other.
pub trait ChunkSource: Send {
    /// The next chunk, never empty, or `None` at the end.
    fn next_chunk(&mut self) -> Result<Option<Chunk>, crate::Error>;

    /// The gaps between the bars that were given so far; none where nobody counts them.
    fn gaps(&self) -> Gaps {
        Gaps::default()
    }
}
