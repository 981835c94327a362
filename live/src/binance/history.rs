//! A History hands on closed bars without a gap: the warm-up before everything else, and what the stream left out in its place.

use alphaengine_core::instrument::Instruments;
use alphaengine_core::market::{Bar, MarketData, MarketUpdate, SymbolId, Timeframe};
use alphaengine_core::units::{NANOS_PER_MILLI, NANOS_PER_SECOND, Nanos, Price, Qty, Timestamp};
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::alarm::Alarm;
use super::call::{Answer, Call, Purpose};
use super::json::volume;
use super::line::Line;
use super::market::millis;
use super::query::Query;

/// Bars in one page: up to 99 cost 1, up to 499 cost 2, up to 1000 cost 5 (`binance-usdm.md` section 3.1).
const SMALLEST_PAGE: i64 = 50;
const LARGEST_PAGE: i64 = 1_000;
/// A closing bar may come after the first message of its successor.
const LATE: Nanos = 2 * NANOS_PER_SECOND;
/// The pause after which a warm-up that failed is asked for again.
const ASK_AGAIN: Nanos = 5 * NANOS_PER_SECOND;

#[derive(Debug)]
pub(crate) struct History {
    timeframe: Timeframe,
    names: Vec<String>,
    tracks: Vec<Track>,
    warming: usize,
}

#[derive(Debug, Clone, Default)]
struct Track {
    /// The opening time of the newest bar that was handed on.
    last: Option<Timestamp>,
    /// Bars of the warm-up, until all symbols have theirs.
    warm: Vec<Bar>,
    warming_from: Option<Timestamp>,
    /// Bars that wait until what is missing before them is fetched.
    held: Vec<Bar>,
    filling: bool,
    /// How many bars were asked for: fewer are the last ones.
    page: usize,
    forming: Option<Timestamp>,
    late_alarm: bool,
}

/// A row of `klines`: the opening time, four prices, the volume, and columns that are skipped, however many there are.
struct Row(i64, [Price; 4], Qty);

#[derive(Deserialize)]
struct Volume(#[serde(deserialize_with = "volume")] Qty);

impl<'de> Deserialize<'de> for Row {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Row, D::Error> {
        struct Columns;

        impl<'de> Visitor<'de> for Columns {
            type Value = Row;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a row of klines")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut columns: A) -> Result<Row, A::Error> {
                let short = || serde::de::Error::invalid_length(6, &self);
                let open_time = columns.next_element()?.ok_or_else(short)?;
                let mut prices = [Price::ZERO; 4];
                for price in &mut prices {
                    *price = columns.next_element()?.ok_or_else(short)?;
                }
                let Volume(volume) = columns.next_element()?.ok_or_else(short)?;
                while columns.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Row(open_time, prices, volume))
            }
        }

        deserializer.deserialize_seq(Columns)
    }
}

impl History {
    pub fn new(instruments: &Instruments, timeframe: Timeframe) -> History {
        let names: Vec<String> = instruments.iter().map(|(_, it)| it.symbol.to_string()).collect();
        let tracks = vec![Track::default(); names.len()];
        History { timeframe, names, tracks, warming: 0 }
    }

    /// Asks for the last `bars` closed bars of each symbol.
    pub fn warm_up(&mut self, line: &mut Line, at: Timestamp, bars: usize) {
        if bars == 0 {
            return;
        }
        let forming = self.timeframe.open_time(line.clock.server(at));
        let span = self.timeframe.nanos().saturating_mul(i64::try_from(bars).unwrap_or(i64::MAX));
        let from = forming.plus(span.saturating_neg());
        self.warming = self.tracks.len();
        for index in 0..self.tracks.len() {
            self.tracks[index].warming_from = Some(from);
            self.ask(line, at, index, from, Timestamp::MIN);
        }
    }

    pub fn is_warm(&self) -> bool {
        self.warming == 0
    }

    fn ask(&mut self, line: &mut Line, at: Timestamp, index: usize, from: Timestamp, due: Timestamp) {
        let missing = line.clock.server(at).since(from) / self.timeframe.nanos();
        let page = missing.saturating_add(2).clamp(SMALLEST_PAGE, LARGEST_PAGE);
        let weight = match page {
            ..100 => 1,
            100..500 => 2,
            _ => 5,
        };
        self.tracks[index].page = usize::try_from(page).unwrap_or(usize::MAX);
        let query = Query::new()
            .with("symbol", &self.names[index])
            .with("interval", self.timeframe)
            .with("startTime", from.millis())
            .with("limit", page);
        line.call(Call::get(Purpose::Bars(SymbolId(index as u16)), "/fapi/v1/klines", query, weight).due(due));
    }

    /// A bar closed on the stream.
    pub fn closed(&mut self, line: &mut Line, at: Timestamp, symbol: SymbolId, bar: Bar) {
        let index = symbol.index();
        let track = &mut self.tracks[index];
        if track.warming_from.is_some() || track.filling {
            track.held.push(bar);
            return;
        }
        match track.last {
            Some(last) if bar.open_time <= last => {}
            Some(last) if bar.open_time > last.plus(self.timeframe.nanos()) => {
                track.held.push(bar);
                track.filling = true;
                self.ask(line, at, index, last.plus(self.timeframe.nanos()), Timestamp::MIN);
            }
            _ => self.hand_on(line, symbol, bar),
        }
    }

    /// A bar forms: the one before it should have closed.
    pub fn forming(&mut self, line: &mut Line, at: Timestamp, symbol: SymbolId, open_time: Timestamp) {
        let span = self.timeframe.nanos();
        let track = &mut self.tracks[symbol.index()];
        track.forming = Some(open_time);
        if track.late_alarm || track.filling || track.warming_from.is_some() {
            return;
        }
        if track.last.is_some_and(|last| open_time > last.plus(span)) {
            track.late_alarm = true;
            line.alarm(at.plus(LATE), Alarm::BarLate(symbol));
        }
    }

    /// A closing bar did not come in time.
    pub fn late(&mut self, line: &mut Line, at: Timestamp, symbol: SymbolId) {
        let span = self.timeframe.nanos();
        let track = &mut self.tracks[symbol.index()];
        track.late_alarm = false;
        let (Some(last), Some(forming)) = (track.last, track.forming) else {
            return;
        };
        if !track.filling && forming > last.plus(span) {
            track.filling = true;
            self.ask(line, at, symbol.index(), last.plus(span), Timestamp::MIN);
        }
    }

    /// The stream delivers again: what closed meanwhile is fetched now rather than with the next bar.
    pub fn catch_up(&mut self, line: &mut Line, at: Timestamp) {
        let span = self.timeframe.nanos();
        let server = line.clock.server(at);
        for index in 0..self.tracks.len() {
            let track = &mut self.tracks[index];
            let Some(last) = track.last else { continue };
            if !track.filling && track.warming_from.is_none() && server >= last.plus(2 * span) {
                track.filling = true;
                self.ask(line, at, index, last.plus(span), Timestamp::MIN);
            }
        }
    }

    /// An answer with bars. What cannot be read counts as no bars.
    pub fn fetched(&mut self, line: &mut Line, at: Timestamp, symbol: SymbolId, answer: &Answer) {
        let index = symbol.index();
        let rows = match answer {
            Answer::Accepted(body) => serde_json::from_slice::<Vec<Row>>(body).ok(),
            Answer::Refused(_) | Answer::Unknown(_) => None,
        };
        let server = line.clock.server(at);
        let full = rows.as_ref().is_some_and(|rows| rows.len() >= self.tracks[index].page);
        let timeframe = self.timeframe;
        let bars = rows.as_deref().unwrap_or(&[]).iter().map(|Row(time, [open, high, low, close], volume)| Bar {
            open_time: millis(*time),
            open: *open,
            high: *high,
            low: *low,
            close: *close,
            volume: *volume,
            timeframe,
        });
        // The last row is the bar that still forms.
        let closed: Vec<Bar> = bars.filter(|bar| bar.close_time() < server).collect();
        let newest = closed.last().map(|bar| bar.open_time);
        let next = newest.filter(|_| full).map(|newest| newest.plus(timeframe.nanos()));
        let track = &mut self.tracks[index];
        if let Some(from) = track.warming_from {
            track.warm.extend(closed);
            match (next, &rows) {
                (Some(next), _) => self.ask(line, at, index, next, Timestamp::MIN),
                (None, Some(_)) => {
                    self.warming = self.warming.saturating_sub(1);
                    if self.warming == 0 {
                        self.release_warm_up(line, at);
                    }
                }
                (None, None) => {
                    let from = track.warm.last().map_or(from, |bar| bar.open_time.plus(timeframe.nanos()));
                    self.ask(line, at, index, from, at.plus(ASK_AGAIN));
                }
            }
            return;
        }
        if !std::mem::take(&mut self.tracks[index].filling) {
            return;
        }
        for bar in closed {
            if self.tracks[index].last.is_none_or(|last| bar.open_time > last) {
                self.hand_on(line, symbol, bar);
            }
        }
        let before_held = self.tracks[index].held.first().map_or(Timestamp::MAX, |bar| bar.open_time);
        if let Some(next) = next.filter(|next| *next < before_held) {
            self.tracks[index].filling = true;
            return self.ask(line, at, index, next, Timestamp::MIN);
        }
        self.release_held(line, symbol);
    }

    /// Everything that was held goes on, with the holes that the exchange has too.
    fn release_held(&mut self, line: &mut Line, symbol: SymbolId) {
        let held = std::mem::take(&mut self.tracks[symbol.index()].held);
        for bar in held {
            if self.tracks[symbol.index()].last.is_none_or(|last| bar.open_time > last) {
                self.hand_on(line, symbol, bar);
            }
        }
    }

    /// The warm-up of all symbols in the order of time.
    fn release_warm_up(&mut self, line: &mut Line, at: Timestamp) {
        let mut bars: Vec<(SymbolId, Bar)> = Vec::new();
        for (index, track) in self.tracks.iter_mut().enumerate() {
            track.warming_from = None;
            bars.extend(track.warm.drain(..).map(|bar| (SymbolId(index as u16), bar)));
        }
        bars.sort_by_key(|(symbol, bar)| (bar.open_time, *symbol));
        bars.dedup_by_key(|(symbol, bar)| (bar.open_time, *symbol));
        for (symbol, bar) in bars {
            self.hand_on(line, symbol, bar);
        }
        for index in 0..self.tracks.len() {
            for bar in std::mem::take(&mut self.tracks[index].held) {
                self.closed(line, at, SymbolId(index as u16), bar);
            }
        }
    }

    fn hand_on(&mut self, line: &mut Line, symbol: SymbolId, bar: Bar) {
        self.tracks[symbol.index()].last = Some(bar.open_time);
        let at = bar.open_time.plus(self.timeframe.nanos() - NANOS_PER_MILLI);
        line.market(MarketUpdate { at, symbol, data: MarketData::Bar(bar) });
    }
}
