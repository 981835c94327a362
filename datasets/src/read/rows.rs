//! Rows checks each row of a table and gathers the good ones into chunks.

use std::path::{Path, PathBuf};

use alphaengine_core::market::{Bar, BookTicker, Funding, Timeframe, Trade};
use alphaengine_core::units::{Price, Qty, Rate, Timestamp};

use super::layout::{Layout, slot};
use super::value::{Cells, Checked, flaw, flaw_with_hint, named, without_jitter};
use crate::Error;
use crate::chunk::{CHUNK_ROWS, Chunk, Timed};
use crate::kind::Kind;

/// Bars of many symbols are read side by side, so their chunks are smaller.
const BARS_PER_CHUNK: usize = 8_192;

/// Gathers the rows of one file.
#[derive(Debug)]
pub(crate) struct Rows {
    file: PathBuf,
    layout: Layout,
    /// Of the bars; `None` while it is being found out, when the distance of bars is not checked.
    timeframe: Option<Timeframe>,
    chunk: Chunk,
    capacity: usize,
    last: Timestamp,
    any: bool,
    /// Takes rows that contradict themselves or each other: somebody else will look at them.
    is_lenient: bool,
}

impl Rows {
    pub fn new(file: &Path, layout: Layout, timeframe: Option<Timeframe>) -> Rows {
        let is_bars = layout.kind.has_timeframe();
        let chunk = empty_chunk(layout.kind, 0);
        Rows {
            file: file.to_owned(),
            layout,
            timeframe,
            chunk,
            capacity: if is_bars { BARS_PER_CHUNK } else { CHUNK_ROWS },
            last: Timestamp::MIN,
            any: false,
            is_lenient: false,
        }
    }

    pub fn kind(&self) -> Kind {
        self.layout.kind
    }

    /// Gives smaller chunks, for a look at the beginning.
    pub fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity;
    }

    /// Takes every row whose cells can be read.
    pub fn set_lenient(&mut self) {
        self.is_lenient = true;
    }

    pub fn is_full(&self) -> bool {
        self.chunk.len() >= self.capacity
    }

    /// The rows since the last call; `None` at the end. A file without any row is an error.
    pub fn take(&mut self) -> Result<Option<Chunk>, Error> {
        if self.chunk.is_empty() {
            let empty = || Error::new("the file holds no rows").file(&self.file);
            return if self.any { Ok(None) } else { Err(empty()) };
        }
        self.any = true;
        let next = empty_chunk(self.layout.kind, 0);
        Ok(Some(std::mem::replace(&mut self.chunk, next)))
    }

    /// Checks and keeps a row. `number` counts from 1, a header included.
    #[inline]
    pub fn push(&mut self, cells: &impl Cells, number: u64) -> Result<(), Error> {
        match self.read(cells) {
            Ok(()) => Ok(()),
            Err(flaw) => Err(Error::from(flaw).file(&self.file).row(number)),
        }
    }

    fn read(&mut self, cells: &impl Cells) -> Checked<()> {
        if self.chunk.is_empty() {
            self.chunk = empty_chunk(self.layout.kind, self.capacity);
        }
        let row = Row { cells, layout: &self.layout, is_lenient: self.is_lenient };
        let mut at = row.time()?;
        if at <= self.last && !self.is_lenient {
            refuse_order(self.layout.kind, self.last, at)?;
        }
        match &mut self.chunk {
            Chunk::Bars(bars) => {
                let last = if self.is_lenient { Timestamp::MIN } else { self.last };
                let timeframe = spaced(self.timeframe, last, at)?;
                let volume = row.qty(slot::VOLUME, "volume")?;
                bars.push(row.bar(at, timeframe, volume)?);
            }
            Chunk::MarkBars(bars) => {
                let last = if self.is_lenient { Timestamp::MIN } else { self.last };
                let timeframe = spaced(self.timeframe, last, at)?;
                bars.push(row.bar(at, timeframe, Qty::ZERO)?);
            }
            Chunk::Funding(rows) => {
                at = without_jitter(at);
                if at <= self.last && !self.is_lenient {
                    refuse_order(self.layout.kind, self.last, at)?;
                }
                rows.push(Timed { at, row: row.funding()? });
            }
            Chunk::Books(rows) => rows.push(Timed { at, row: row.book()? }),
            Chunk::Trades(rows) => rows.push(Timed { at, row: row.trade()? }),
            Chunk::Marks(_) => return flaw("mark prices come from recordings only"),
        }
        self.last = at;
        Ok(())
    }
}

fn empty_chunk(kind: Kind, capacity: usize) -> Chunk {
    match kind {
        Kind::Klines => Chunk::Bars(Vec::with_capacity(capacity)),
        Kind::MarkPriceKlines => Chunk::MarkBars(Vec::with_capacity(capacity)),
        Kind::FundingRate => Chunk::Funding(Vec::with_capacity(capacity.min(1_024))),
        Kind::BookTicker => Chunk::Books(Vec::with_capacity(capacity)),
        Kind::Trades | Kind::AggTrades => Chunk::Trades(Vec::with_capacity(capacity)),
        Kind::Recording => Chunk::Marks(Vec::new()),
    }
}

/// Times do not go back; bars and settlements have one each.
#[cold]
fn refuse_order(kind: Kind, last: Timestamp, at: Timestamp) -> Checked<()> {
    let sort = "sort the file by time; rows must be in the order in which the exchange gave them";
    if at < last {
        return flaw_with_hint(format!("the time goes back from {last} to {at}"), sort);
    }
    match kind {
        Kind::Klines | Kind::MarkPriceKlines => {
            flaw_with_hint(format!("the opening time {at} comes twice"), "remove the duplicate rows")
        }
        Kind::FundingRate => flaw_with_hint(format!("the settlement of {at} comes twice"), "remove the duplicate rows"),
        _ => Ok(()),
    }
}

#[inline]
fn spaced(timeframe: Option<Timeframe>, last: Timestamp, at: Timestamp) -> Checked<Timeframe> {
    match timeframe {
        None => Ok(Timeframe::M1),
        Some(timeframe) if last == Timestamp::MIN || at.since(last) >= timeframe.nanos() => Ok(timeframe),
        Some(timeframe) => flaw_with_hint(
            format!("the bar of {at} opens before the {timeframe} bar of {last} has closed"),
            "the timeframe is told by the file's name: rename the file or correct its times",
        ),
    }
}

/// One row, seen through the layout.
struct Row<'a, C> {
    cells: &'a C,
    layout: &'a Layout,
    is_lenient: bool,
}

impl<C: Cells> Row<'_, C> {
    #[inline]
    fn column(&self, slot: usize, name: &str) -> Checked<usize> {
        match self.layout.column(slot) {
            Some(column) => Ok(column),
            None => flaw(format!("the column `{name}` is missing")),
        }
    }

    #[inline]
    fn number(&self, slot: usize, name: &str) -> Checked<i64> {
        self.cells.number(self.column(slot, name)?).map_err(|flaw| named(name, flaw))
    }

    #[inline]
    fn flag(&self, slot: usize, name: &str) -> Checked<bool> {
        self.cells.flag(self.column(slot, name)?).map_err(|flaw| named(name, flaw))
    }

    #[inline]
    fn integer(&self, slot: usize, name: &str) -> Checked<i64> {
        self.cells.integer(self.column(slot, name)?).map_err(|flaw| named(name, flaw))
    }

    #[inline]
    fn time(&self) -> Checked<Timestamp> {
        self.layout.unit.timestamp(self.integer(slot::TIME, self.layout.time_name())?)
    }

    #[inline]
    fn price(&self, slot: usize, name: &str) -> Checked<Price> {
        let price = Price::from_steps(self.number(slot, name)?);
        if price.is_positive() || self.is_lenient {
            Ok(price)
        } else {
            flaw(format!("`{name}` is {price}: a price must be positive"))
        }
    }

    #[inline]
    fn qty(&self, slot: usize, name: &str) -> Checked<Qty> {
        let qty = Qty::from_steps(self.number(slot, name)?);
        if qty.is_negative() && !self.is_lenient {
            flaw(format!("`{name}` is {qty}: it must not be negative"))
        } else {
            Ok(qty)
        }
    }

    fn bar(&self, open_time: Timestamp, timeframe: Timeframe, volume: Qty) -> Checked<Bar> {
        let open = self.price(slot::OPEN, "open")?;
        let high = self.price(slot::HIGH, "high")?;
        let low = self.price(slot::LOW, "low")?;
        let close = self.price(slot::CLOSE, "close")?;
        if high < open.max(close) && !self.is_lenient {
            return flaw(format!("`high` {high} is below open {open} or close {close}"));
        }
        if low > open.min(close) && !self.is_lenient {
            return flaw(format!("`low` {low} is above open {open} or close {close}"));
        }
        Ok(Bar { open_time, open, high, low, close, volume, timeframe })
    }

    fn funding(&self) -> Checked<Funding> {
        let rate = Rate::from_steps(self.number(slot::RATE, "funding_rate")?);
        let mark = match self.layout.column(slot::MARK) {
            Some(column) if !self.cells.is_blank(column) => {
                // The exchange writes 0 or nothing where it has no mark price.
                let mark = Price::from_steps(self.number(slot::MARK, "mark_price")?);
                if mark.is_negative() {
                    return flaw(format!("`mark_price` is {mark}: a price must be positive"));
                }
                (!mark.is_zero()).then_some(mark)
            }
            _ => None,
        };
        Ok(Funding { rate, mark })
    }

    #[inline]
    fn book(&self) -> Checked<BookTicker> {
        Ok(BookTicker {
            update_id: self.integer(slot::UPDATE_ID, "update_id")?,
            bid: self.price(slot::BID, "best_bid_price")?,
            bid_qty: self.qty(slot::BID_QTY, "best_bid_qty")?,
            ask: self.price(slot::ASK, "best_ask_price")?,
            ask_qty: self.qty(slot::ASK_QTY, "best_ask_qty")?,
        })
    }

    #[inline]
    fn trade(&self) -> Checked<Trade> {
        let price = self.price(slot::PRICE, "price")?;
        let qty = self.qty(slot::QTY, "qty")?;
        let id = self.integer(slot::TRADE_ID, "id")?;
        let is_buyer_maker = self.flag(slot::MAKER, "is_buyer_maker")?;
        Ok(Trade { id, price, qty, is_buyer_maker })
    }
}
