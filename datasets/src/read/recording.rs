//! Reads recordings of raw stream frames: one line is a local receive time in nanoseconds, a space, and the JSON frame.
//!
//! Book tickers, trades, aggregated trades and mark prices become rows at the exchange's own time, per symbol. Depth
//! updates, snapshots and frames that are not known are counted and left out. The exchange's times may step back by some
//! milliseconds from one frame to the next: such a row keeps its place and takes the time of the row before it. A step
//! back of more than [`MOST_BACK`] is an error, because then the lines are not in their order.

use std::borrow::Cow;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use alphaengine_core::market::{BookTicker, Trade};
use alphaengine_core::units::{NANOS_PER_SECOND, Nanos, Price, Qty, Timestamp};
use serde::Deserialize;

use super::input::{self, Input};
use super::value::{Checked, TimeUnit, flaw, flaw_with_hint, named, number_from_bytes};
use crate::Error;
use crate::chunk::{CHUNK_ROWS, Chunk, ChunkSource, Timed};

/// How far times may step back.
pub const MOST_BACK: Nanos = NANOS_PER_SECOND;

/// What a recorded stream holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Frames {
    MarkPrices,
    BookTickers,
    Trades,
    AggTrades,
}

/// One stream of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    pub symbol: String,
    pub frames: Frames,
    pub first: Timestamp,
    pub last: Timestamp,
    pub rows: u64,
    /// Rows whose time stepped back.
    pub moved: u64,
}

/// What a recording holds, found by reading it once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    pub streams: Vec<Recorded>,
    pub depth_updates: u64,
    pub snapshots: u64,
    /// Trades that no order in the book made: those of the insurance fund and of auto-deleveraging.
    pub other_trades: u64,
    pub unknown: u64,
    /// The number of the last line, where it is cut off.
    pub torn: Option<u64>,
}

/// Whether a line is one of a recording: digits, a space and an object.
pub(crate) fn is_recording_line(line: &[u8]) -> bool {
    let digits = line.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (13..=19).contains(&digits) && line.get(digits..).is_some_and(|rest| rest.starts_with(b" {"))
}

/// Reads a recording once, to know its streams.
pub fn contents(path: &Path) -> Result<Contents, Error> {
    let mut lines = Lines::open(path)?;
    let mut contents = Contents::default();
    while lines.advance()? {
        match lines.frame() {
            Frame::Row { symbol, frames, at } => {
                let at = at.map_err(|flaw| lines.error(flaw))?;
                let known = contents
                    .streams
                    .iter_mut()
                    .find(|stream| stream.frames == frames && stream.symbol == symbol.as_ref());
                if let Some(stream) = known {
                    let kept = in_order(stream.last, at).map_err(|flaw| lines.error(flaw))?;
                    stream.moved += u64::from(kept != at);
                    stream.last = kept;
                    stream.rows += 1;
                } else {
                    let symbol = symbol.into_owned();
                    contents.streams.push(Recorded { symbol, frames, first: at, last: at, rows: 1, moved: 0 });
                }
            }
            Frame::DepthUpdate => contents.depth_updates += 1,
            Frame::Snapshot => contents.snapshots += 1,
            Frame::OtherTrade => contents.other_trades += 1,
            Frame::Unknown => contents.unknown += 1,
            Frame::Torn => contents.torn = Some(lines.number),
        }
    }
    contents.streams.sort_by(|a, b| (&a.symbol, a.frames).cmp(&(&b.symbol, b.frames)));
    Ok(contents)
}

/// The time that a row takes after one of `last`.
fn in_order(last: Timestamp, at: Timestamp) -> Checked<Timestamp> {
    if last.since(at) > MOST_BACK {
        return flaw_with_hint(
            format!("the time goes back from {last} to {at}"),
            "put the recordings into one file each, or sort the lines by their receive times",
        );
    }
    Ok(at.max(last))
}

/// Opens one stream of a recording.
pub fn open(path: &Path, symbol: &str, frames: Frames) -> Result<Box<dyn ChunkSource>, Error> {
    let lines = Lines::open(path)?;
    Ok(Box::new(RecordingReader { lines, symbol: symbol.to_owned(), frames, last: Timestamp::MIN }))
}

struct RecordingReader {
    lines: Lines,
    symbol: String,
    frames: Frames,
    last: Timestamp,
}

impl ChunkSource for RecordingReader {
    fn next_chunk(&mut self) -> Result<Option<Chunk>, Error> {
        let mut chunk = match self.frames {
            Frames::MarkPrices => Chunk::Marks(Vec::new()),
            Frames::BookTickers => Chunk::Books(Vec::new()),
            Frames::Trades | Frames::AggTrades => Chunk::Trades(Vec::new()),
        };
        while chunk.len() < CHUNK_ROWS && self.lines.advance()? {
            let Frame::Row { symbol, frames, at } = self.lines.frame() else { continue };
            if frames != self.frames || symbol != self.symbol {
                continue;
            }
            let at = at.and_then(|at| in_order(self.last, at)).map_err(|flaw| self.lines.error(flaw))?;
            push(&mut chunk, at, self.lines.json()).map_err(|flaw| self.lines.error(flaw))?;
            self.last = at;
        }
        Ok((!chunk.is_empty()).then_some(chunk))
    }
}

fn push(chunk: &mut Chunk, at: Timestamp, json: &[u8]) -> Checked<()> {
    match chunk {
        Chunk::Marks(rows) => {
            let frame: MarkPriceUpdate = payload(json)?;
            rows.push(Timed { at, row: price("p", &frame.p)? });
        }
        Chunk::Books(rows) => {
            let frame: BookTickerFrame = payload(json)?;
            let (bid, ask) = (price("b", &frame.b)?, price("a", &frame.a)?);
            let (bid_qty, ask_qty) = (qty("B", &frame.bid_qty)?, qty("A", &frame.ask_qty)?);
            rows.push(Timed { at, row: BookTicker { update_id: frame.u, bid, bid_qty, ask, ask_qty } });
        }
        Chunk::Trades(rows) => {
            let frame: TradeFrame = payload(json)?;
            let Some(id) = frame.t.or(frame.a) else { return flaw("the trade has no id") };
            let (price, qty) = (price("p", &frame.p)?, qty("q", &frame.q)?);
            rows.push(Timed { at, row: Trade { id, price, qty, is_buyer_maker: frame.m } });
        }
        Chunk::Bars(_) | Chunk::MarkBars(_) | Chunk::Funding(_) => {}
    }
    Ok(())
}

fn price(name: &str, text: &str) -> Checked<Price> {
    let price = Price::from_steps(number(name, text)?);
    if price.is_positive() { Ok(price) } else { flaw(format!("`{name}` is {price}: a price must be positive")) }
}

fn qty(name: &str, text: &str) -> Checked<Qty> {
    let qty = Qty::from_steps(number(name, text)?);
    if qty.is_negative() { flaw(format!("`{name}` is {qty}: it must not be negative")) } else { Ok(qty) }
}

fn number(name: &str, text: &str) -> Checked<i64> {
    number_from_bytes(text.as_bytes()).map_err(|flaw| named(name, flaw))
}

/// The lines of a recording.
struct Lines {
    path: PathBuf,
    input: BufReader<Input>,
    line: Vec<u8>,
    number: u64,
    /// Whether the line ends; the last one may not.
    is_whole: bool,
}

impl Lines {
    fn open(path: &Path) -> Result<Lines, Error> {
        let input = BufReader::with_capacity(1 << 16, input::open(path)?);
        Ok(Lines { path: path.to_owned(), input, line: Vec::new(), number: 0, is_whole: true })
    }

    fn advance(&mut self) -> Result<bool, Error> {
        self.line.clear();
        let count = self
            .input
            .read_until(b'\n', &mut self.line)
            .map_err(|error| input::read_failed(&self.path, &error).row(self.number + 1))?;
        self.number += 1;
        self.is_whole = self.line.ends_with(b"\n");
        Ok(count > 0)
    }

    fn json(&self) -> &[u8] {
        let space = self.line.iter().position(|&byte| byte == b' ');
        space.and_then(|space| self.line.get(space + 1..)).unwrap_or_default().trim_ascii()
    }

    fn frame(&self) -> Frame<'_> {
        match serde_json::from_slice::<Outline<'_>>(self.json()) {
            Ok(Outline { data: Some(data), .. }) => data.classify(),
            Ok(Outline { data: None, bare }) => bare.classify(),
            Err(_) if self.is_whole => Frame::Unknown,
            Err(_) => Frame::Torn,
        }
    }

    fn error(&self, flaw: Box<super::value::Flaw>) -> Error {
        Error::from(flaw).file(&self.path).row(self.number)
    }
}

enum Frame<'a> {
    Row { symbol: Cow<'a, str>, frames: Frames, at: Checked<Timestamp> },
    DepthUpdate,
    Snapshot,
    OtherTrade,
    Unknown,
    Torn,
}

/// A frame, as far as its kind goes: bare, or in the envelope of a combined stream.
struct Outline<'a> {
    data: Option<Event<'a>>,
    bare: Event<'a>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Outline<'a> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Outline<'a>, D::Error> {
        #[derive(Deserialize)]
        struct Both<'a> {
            #[serde(borrow)]
            data: Option<Event<'a>>,
            #[serde(borrow, default)]
            e: Cow<'a, str>,
            #[serde(borrow, default)]
            s: Cow<'a, str>,
            #[serde(borrow, rename = "X", default)]
            execution: Cow<'a, str>,
            #[serde(rename = "T")]
            time: Option<i64>,
            #[serde(rename = "E")]
            event_time: Option<i64>,
            #[serde(rename = "lastUpdateId")]
            last_update_id: Option<i64>,
        }
        let both = Both::deserialize(deserializer)?;
        let Both { data, e, s, execution, time, event_time, last_update_id } = both;
        Ok(Outline { data, bare: Event { e, s, execution, time, event_time, last_update_id } })
    }
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, default)]
    e: Cow<'a, str>,
    #[serde(borrow, default)]
    s: Cow<'a, str>,
    /// How a trade came about.
    #[serde(borrow, rename = "X", default)]
    execution: Cow<'a, str>,
    #[serde(rename = "T")]
    time: Option<i64>,
    #[serde(rename = "E")]
    event_time: Option<i64>,
    #[serde(rename = "lastUpdateId")]
    last_update_id: Option<i64>,
}

impl<'a> Event<'a> {
    fn classify(self) -> Frame<'a> {
        let (frames, time) = match self.e.as_ref() {
            "bookTicker" => (Frames::BookTickers, self.time),
            "trade" if !matches!(self.execution.as_ref(), "" | "MARKET") => return Frame::OtherTrade,
            "trade" => (Frames::Trades, self.time),
            "aggTrade" => (Frames::AggTrades, self.time),
            // Its `T` is the time of the next settlement.
            "markPriceUpdate" => (Frames::MarkPrices, self.event_time),
            "depthUpdate" => return Frame::DepthUpdate,
            "" if self.last_update_id.is_some() => return Frame::Snapshot,
            _ => return Frame::Unknown,
        };
        if self.s.is_empty() {
            return Frame::Unknown;
        }
        let at = match time {
            Some(time) => TimeUnit::ByDigits.timestamp(time),
            None => flaw("the frame has no time"),
        };
        Frame::Row { symbol: self.s, frames, at }
    }
}

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

/// The payload of a frame, bare or in its envelope.
fn payload<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Checked<T> {
    let enveloped = serde_json::from_slice::<Envelope<T>>(json).map(|envelope| envelope.data);
    enveloped
        .or_else(|error| serde_json::from_slice::<T>(json).map_err(|_| error))
        .or_else(|error| flaw(format!("the frame cannot be read: {error}")))
}

#[derive(Deserialize)]
struct MarkPriceUpdate<'a> {
    #[serde(borrow)]
    p: Cow<'a, str>,
}

#[derive(Deserialize)]
struct BookTickerFrame<'a> {
    u: i64,
    #[serde(borrow)]
    b: Cow<'a, str>,
    #[serde(borrow, rename = "B")]
    bid_qty: Cow<'a, str>,
    #[serde(borrow)]
    a: Cow<'a, str>,
    #[serde(borrow, rename = "A")]
    ask_qty: Cow<'a, str>,
}

#[derive(Deserialize)]
struct TradeFrame<'a> {
    t: Option<i64>,
    a: Option<i64>,
    #[serde(borrow)]
    p: Cow<'a, str>,
    #[serde(borrow)]
    q: Cow<'a, str>,
    m: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRADE: &str = r#"1721347021434994132 {"stream":"btcusdt@trade","data":{"e":"trade","E":1721347022956,"T":1721347022956,"s":"BTCUSDT","t":7,"p":"63943.90","q":"0.003","X":"MARKET","m":true}}"#;
    const EARLIER: &str = r#"1721347021434994133 {"e":"trade","E":1,"T":1721347022950,"s":"BTCUSDT","t":8,"p":"63944","q":"1","m":false}"#;
    const INSURANCE: &str = r#"1721347021434994134 {"e":"trade","T":1721347022956,"s":"BTCUSDT","t":9,"p":"0","q":"1","X":"INSURANCE_FUND","m":false}"#;
    const DEPTH: &str = r#"1721347021434994135 {"e":"depthUpdate","E":1,"T":1,"s":"BTCUSDT","b":[["1","2"]],"a":[]}"#;
    const SNAPSHOT: &str = r#"1721347021434994136 {"lastUpdateId":1,"E":1,"T":1,"bids":[],"asks":[]}"#;
    const MARK: &str =
        r#"1721347021434994137 {"e":"markPriceUpdate","E":1721347023000,"s":"ETHUSDT","p":"3400.1","T":1721376000000}"#;
    const BOOK: &str = r#"1721347021434994138 {"e":"bookTicker","u":5,"s":"ETHUSDT","b":"3400","B":"0","a":"3401","A":"2","T":1721347023001}"#;
    const AGGREGATED: &str =
        r#"1721347021434994139 {"e":"aggTrade","s":"ETHUSDT","a":6,"p":"3400","q":"2","T":1721347023001,"m":true}"#;
    const ELSE: &str = r#"1721347021434994140 {"result":null,"id":1}"#;

    fn file(lines: &[&str], torn: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rec.log");
        std::fs::write(&path, format!("{}\n{torn}", lines.join("\n"))).unwrap();
        (folder, path)
    }

    fn read(path: &Path, symbol: &str, frames: Frames) -> Chunk {
        open(path, symbol, frames).unwrap().next_chunk().unwrap().unwrap()
    }

    #[test]
    fn frames_become_streams_and_the_rest_is_counted() {
        let lines = [TRADE, EARLIER, INSURANCE, DEPTH, SNAPSHOT, MARK, BOOK, AGGREGATED, ELSE, "not json"];
        let (_folder, path) = file(&lines, &TRADE[..60]);
        let found = contents(&path).unwrap();
        let streams: Vec<_> = found.streams.iter().map(|s| (s.symbol.as_str(), s.frames, s.rows, s.moved)).collect();
        assert_eq!(
            streams,
            [
                ("BTCUSDT", Frames::Trades, 2, 1),
                ("ETHUSDT", Frames::MarkPrices, 1, 0),
                ("ETHUSDT", Frames::BookTickers, 1, 0),
                ("ETHUSDT", Frames::AggTrades, 1, 0)
            ]
        );
        assert_eq!((found.depth_updates, found.snapshots, found.other_trades, found.unknown), (1, 1, 1, 2));
        assert_eq!(found.torn, Some(11));

        let Chunk::Trades(trades) = read(&path, "BTCUSDT", Frames::Trades) else { panic!() };
        let at = Timestamp::from_millis(1_721_347_022_956).unwrap();
        assert_eq!(trades.iter().map(|trade| (trade.at, trade.row.id)).collect::<Vec<_>>(), [(at, 7), (at, 8)]);
        let Chunk::Marks(marks) = read(&path, "ETHUSDT", Frames::MarkPrices) else { panic!() };
        assert_eq!((marks[0].at.millis(), marks[0].row.to_string()), (1_721_347_023_000, "3400.1".to_owned()));
        let Chunk::Books(books) = read(&path, "ETHUSDT", Frames::BookTickers) else { panic!() };
        assert_eq!((books[0].row.update_id, books[0].row.bid_qty), (5, Qty::ZERO));
        let Chunk::Trades(trades) = read(&path, "ETHUSDT", Frames::AggTrades) else { panic!() };
        assert_eq!(trades[0].row.id, 6);
    }

    #[test]
    fn a_long_way_back_is_an_error() {
        let back = EARLIER.replace("1721347022950", "1721347002950");
        let (_folder, path) = file(&[TRADE, &back], "");
        let error = contents(&path).unwrap_err();
        assert_eq!(error.row, Some(2));
        assert!(error.problem.starts_with("the time goes back from 2024-07-18T23:57:02.956Z"), "{error}");
    }
}
