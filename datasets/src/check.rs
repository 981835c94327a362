//! A Checker looks over data row by row and counts what is wrong or odd with them. It refuses nothing.

use std::collections::BTreeMap;
use std::fmt;

use alphaengine_core::market::{Bar, BookTicker, Funding, Timeframe, Trade};
use alphaengine_core::units::{NANOS_PER_MINUTE, Nanos, Price, Timestamp};

use crate::chunk::{Chunk, Timed};
use crate::kind::Kind;

/// Examples that a finding keeps.
pub const EXAMPLES: usize = 5;

/// What can be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FindingKind {
    /// Bars whose opening times are missing; times between fundings of more than twice the usual.
    Gap,
    /// The same time (bars, funding) or id (trades, books) as the row before.
    Duplicate,
    /// A time before the one of the row before.
    TimeBack,
    /// A bar that does not open at a multiple of its timeframe, or is of another one.
    Misaligned,
    /// A bar whose prices contradict one another, or that has an impossible volume.
    Ohlc,
    /// A price or a quantity that is not positive where it has to be.
    BadValue,
    /// An id before the one of the row before.
    IdBack,
    /// A best bid at or above the best ask.
    CrossedBook,
    /// Rows of another kind than the file's.
    WrongKind,
    /// Prices beside the tick grid. Real history has a few.
    OffGrid,
    /// Trade ids that do not occur. The exchange leaves some out on purpose.
    IdGap,
    /// Bars without a trade. They are data, not gaps.
    ZeroVolume,
    /// A move of more than 10 % within a minute.
    LargeMove,
}

impl FindingKind {
    /// Whether it is only good to know: such rows are valid.
    pub const fn is_information(self) -> bool {
        matches!(self, FindingKind::OffGrid | FindingKind::IdGap | FindingKind::ZeroVolume | FindingKind::LargeMove)
    }

    /// What is counted, for people.
    pub const fn name(self) -> &'static str {
        match self {
            FindingKind::Gap => "missing",
            FindingKind::Duplicate => "duplicates",
            FindingKind::TimeBack => "times that go back",
            FindingKind::Misaligned => "bars off their timeframe",
            FindingKind::Ohlc => "contradictory bars",
            FindingKind::BadValue => "impossible values",
            FindingKind::IdBack => "ids that go back",
            FindingKind::CrossedBook => "crossed books",
            FindingKind::WrongKind => "rows of another kind",
            FindingKind::OffGrid => "prices off the tick grid",
            FindingKind::IdGap => "ids left out",
            FindingKind::ZeroVolume => "bars without volume",
            FindingKind::LargeMove => "moves above 10 % in a minute",
        }
    }
}

impl fmt::Display for FindingKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One place where something was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Example {
    pub at: Timestamp,
    pub what: String,
}

/// Everything of one kind that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub kind: FindingKind,
    pub count: u64,
    /// The first [`EXAMPLES`] places.
    pub examples: Vec<Example>,
}

/// What a check found in one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport {
    pub symbol: String,
    pub kind: Kind,
    pub timeframe: Option<Timeframe>,
    pub rows: u64,
    pub first: Option<Timestamp>,
    pub last: Option<Timestamp>,
    /// How far rows are apart: the timeframe of bars, the usual time between fundings. Of other rows nothing says that.
    pub spacing: Option<Nanos>,
    /// Problems before information.
    pub findings: Vec<Finding>,
}

impl CheckReport {
    /// Whether nothing is wrong; there may still be something to know.
    pub fn is_clean(&self) -> bool {
        self.findings.iter().all(|finding| finding.kind.is_information())
    }

    /// How often something of this kind was found.
    pub fn count(&self, kind: FindingKind) -> u64 {
        self.findings.iter().find(|finding| finding.kind == kind).map_or(0, |finding| finding.count)
    }
}

impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.symbol, self.kind)?;
        if let Some(timeframe) = self.timeframe {
            write!(f, " {timeframe}")?;
        }
        write!(f, ": {} rows", self.rows)?;
        if let (Some(first), Some(last)) = (self.first, self.last) {
            write!(f, ", {first} to {last}")?;
        }
        write!(f, ", {}", if self.is_clean() { "nothing wrong" } else { "problems" })?;
        for Finding { kind, count, examples } in &self.findings {
            let weight = if kind.is_information() { "information" } else { "problem" };
            write!(f, "\n  {weight}: {kind}: {count}")?;
            for Example { at, what } in examples {
                write!(f, "\n    {at}: {what}")?;
            }
        }
        Ok(())
    }
}

/// What is missing between the files of one stream, where each file by itself may be whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Between {
    pub symbol: String,
    pub kind: Kind,
    pub timeframe: Option<Timeframe>,
    pub files: usize,
    /// Rows that are missing between one file and the next, in all.
    pub missing: u64,
    /// The first [`EXAMPLES`] holes.
    pub examples: Vec<Example>,
}

impl Between {
    /// Looks at the streams that have several files, by the reports of these. Streams of which nothing says when the next
    /// row should come are left out.
    pub fn files(reports: &[CheckReport]) -> Vec<Between> {
        let mut streams: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for report in reports {
            if let (Some(first), Some(last)) = (report.first, report.last) {
                let key = (&report.symbol, report.kind, report.timeframe);
                streams.entry(key).or_default().push((first, last, report.spacing));
            }
        }
        let several = streams.into_iter().filter(|(_, files)| files.len() > 1);
        several.filter_map(|((symbol, kind, timeframe), files)| Between::of(symbol, kind, timeframe, files)).collect()
    }

    fn of(
        symbol: &str,
        kind: Kind,
        timeframe: Option<Timeframe>,
        mut files: Vec<(Timestamp, Timestamp, Option<Nanos>)>,
    ) -> Option<Between> {
        // A file with a single funding does not tell how far apart they are. Of two that differ the longer time holds,
        // because the exchange changes it now and then.
        let widest = files.iter().filter_map(|(_, _, spacing)| *spacing).max().filter(|spacing| *spacing > 0)?;
        files.sort_unstable();
        let symbol = symbol.to_owned();
        let mut between = Between { symbol, kind, timeframe, files: files.len(), missing: 0, examples: Vec::new() };
        let mut before: Option<(Timestamp, Option<Nanos>)> = None;
        for (first, last, spacing) in files {
            if let Some((latest, earlier)) = before {
                let usual = earlier.max(spacing).unwrap_or(widest);
                let missing = missing_within(first.since(latest), usual);
                if missing > 0 {
                    between.missing = between.missing.saturating_add(missing);
                    if between.examples.len() < EXAMPLES {
                        let what = format!("{missing} rows up to {first}");
                        between.examples.push(Example { at: latest.plus(usual), what });
                    }
                }
            }
            let goes_on = before.is_none_or(|(latest, _)| latest < last);
            before = if goes_on { Some((last, spacing)) } else { before };
        }
        Some(between)
    }

    pub fn is_clean(&self) -> bool {
        self.missing == 0
    }
}

impl fmt::Display for Between {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.symbol, self.kind)?;
        if let Some(timeframe) = self.timeframe {
            write!(f, " {timeframe}")?;
        }
        if self.is_clean() {
            return write!(f, ": {} files, nothing missing between them", self.files);
        }
        write!(f, ": {} files, problems\n  problem: missing between files: {}", self.files, self.missing)?;
        for Example { at, what } in &self.examples {
            write!(f, "\n    {at}: {what}")?;
        }
        Ok(())
    }
}

/// Rows that are missing between two that are `span` apart. Fundings come with a few milliseconds of jitter, so that only
/// whole ones count.
fn missing_within(span: Nanos, usual: Nanos) -> u64 {
    (span.saturating_add(usual / 2) / usual - 1).max(0).unsigned_abs()
}

/// What contradicts itself in a bar, if anything: the one rule for readers and checks.
pub fn check_ohlc(bar: &Bar) -> Option<String> {
    let Bar { open, high, low, close, volume, .. } = *bar;
    if !low.is_positive() {
        Some(format!("the low {low} is not positive"))
    } else if high < low {
        Some(format!("the high {high} is below the low {low}"))
    } else if high < open.max(close) {
        Some(format!("the high {high} is below the open {open} or the close {close}"))
    } else if low > open.min(close) {
        Some(format!("the low {low} is above the open {open} or the close {close}"))
    } else if volume.is_negative() {
        Some(format!("the volume {volume} is negative"))
    } else {
        None
    }
}

/// Looks over one stream. Give it the rows in the order of the file.
#[derive(Debug)]
pub struct Checker {
    symbol: String,
    kind: Kind,
    timeframe: Option<Timeframe>,
    tick: Option<Price>,
    rows: u64,
    first: Option<Timestamp>,
    /// The latest time so far.
    latest: Option<Timestamp>,
    /// Of the row before.
    time: Option<Timestamp>,
    id: Option<i64>,
    price: Option<Price>,
    /// Bars that have not come: when the first of them opens, when the bar after them does, and how many they are. A bar that
    /// comes late is none of them, so that what is missing shows only at the end.
    missing: BTreeMap<Timestamp, (Timestamp, u64)>,
    /// Times of fundings: few, and what is usual shows only at the end.
    fundings: Vec<Timestamp>,
    findings: BTreeMap<FindingKind, Finding>,
}

impl Checker {
    /// `timeframe` is for bars, and `tick` where off-grid prices are to be counted. Mark prices are averages and have no grid.
    pub fn new(kind: Kind, timeframe: Option<Timeframe>, symbol: &str, tick: Option<Price>) -> Checker {
        Checker {
            symbol: symbol.to_owned(),
            kind,
            timeframe,
            tick: tick.filter(|tick| tick.is_positive() && kind != Kind::MarkPriceKlines),
            rows: 0,
            first: None,
            latest: None,
            time: None,
            id: None,
            price: None,
            missing: BTreeMap::new(),
            fundings: Vec::new(),
            findings: BTreeMap::new(),
        }
    }

    /// Looks at the next rows.
    pub fn push(&mut self, chunk: &Chunk) {
        match (chunk, self.kind) {
            (Chunk::Bars(rows), Kind::Klines) => rows.iter().for_each(|bar| self.bar(bar)),
            (Chunk::MarkBars(rows), Kind::MarkPriceKlines) => rows.iter().for_each(|bar| self.bar(bar)),
            (Chunk::Funding(rows), Kind::FundingRate) => rows.iter().for_each(|row| self.funding(row)),
            (Chunk::Books(rows), Kind::BookTicker) => rows.iter().for_each(|row| self.book(row)),
            (Chunk::Trades(rows), Kind::Trades | Kind::AggTrades) => rows.iter().for_each(|row| self.trade(row)),
            // Those of a recording, which come one by one.
            (Chunk::Marks(rows), Kind::MarkPriceKlines) => rows.iter().for_each(|row| self.mark(row)),
            // A recording holds several streams, each of its own order.
            (Chunk::Books(rows), Kind::Recording) => rows.iter().for_each(|row| self.book_values(row.at, &row.row)),
            (Chunk::Trades(rows), Kind::Recording) => rows.iter().for_each(|row| self.trade_values(row.at, &row.row)),
            (Chunk::Marks(rows), Kind::Recording) => rows.iter().for_each(|row| self.mark_value(row)),
            (chunk, kind) => {
                let at = self.latest.unwrap_or(Timestamp::ZERO);
                self.found(FindingKind::WrongKind, at, chunk.len() as u64, || format!("these rows are not {kind}"));
            }
        }
        self.rows += chunk.len() as u64;
    }

    /// What was found in all rows.
    pub fn finish(mut self) -> CheckReport {
        self.bar_gaps();
        let usual = self.funding_gaps();
        let spacing = if self.kind.has_timeframe() { self.timeframe.map(Timeframe::nanos) } else { usual };
        let mut findings: Vec<Finding> = self.findings.into_values().collect();
        findings.sort_by_key(|finding| (finding.kind.is_information(), finding.kind));
        CheckReport {
            symbol: self.symbol,
            kind: self.kind,
            timeframe: self.timeframe,
            rows: self.rows,
            first: self.first,
            last: self.latest,
            spacing,
            findings,
        }
    }

    fn found(&mut self, kind: FindingKind, at: Timestamp, count: u64, what: impl FnOnce() -> String) {
        let finding = self.findings.entry(kind).or_insert(Finding { kind, count: 0, examples: Vec::new() });
        finding.count = finding.count.saturating_add(count);
        if finding.examples.len() < EXAMPLES {
            finding.examples.push(Example { at, what: what() });
        }
    }

    /// Follows the times; gives the latest one before this row.
    fn follow(&mut self, at: Timestamp, unique: bool) -> Option<Timestamp> {
        match self.time {
            Some(before) if at < before => {
                self.found(FindingKind::TimeBack, at, 1, || format!("comes after {before}"));
            }
            Some(before) if at == before && unique => {
                self.found(FindingKind::Duplicate, at, 1, || "the same time as the row before".to_owned());
            }
            _ => {}
        }
        let latest = self.latest;
        self.time = Some(at);
        self.latest = latest.max(Some(at));
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        latest
    }

    fn follow_id(&mut self, at: Timestamp, id: i64, dense: bool) {
        match self.id {
            Some(before) if id < before => {
                self.found(FindingKind::IdBack, at, 1, || format!("id {id} comes after {before}"));
            }
            Some(before) if id == before => self.found(FindingKind::Duplicate, at, 1, || format!("id {id} twice")),
            Some(before) if dense && id.abs_diff(before) > 1 => {
                let left_out = id.abs_diff(before) - 1;
                self.found(FindingKind::IdGap, at, left_out, || format!("{left_out} between {before} and {id}"));
            }
            _ => {}
        }
        self.id = Some(id);
    }

    fn bar(&mut self, bar: &Bar) {
        let (at, timeframe) = (bar.open_time, self.timeframe.unwrap_or(bar.timeframe));
        let latest = self.follow(at, true);
        if bar.timeframe != timeframe || timeframe.open_time(at) != at {
            self.found(FindingKind::Misaligned, at, 1, || format!("a bar of {} that opens here", bar.timeframe));
        }
        if let Some(latest) = latest {
            self.miss(latest.plus(timeframe.nanos()), at, timeframe);
            if at < latest {
                self.came_late(at, timeframe);
            }
        }
        if let Some(what) = check_ohlc(bar) {
            self.found(FindingKind::Ohlc, at, 1, || what);
        }
        for price in [bar.open, bar.high, bar.low, bar.close] {
            self.on_grid(at, price);
        }
        if bar.volume.is_zero() && self.kind == Kind::Klines {
            self.found(FindingKind::ZeroVolume, at, 1, || "no trade".to_owned());
        }
        if timeframe == Timeframe::M1 {
            // From the close before, so that a jump between two bars counts too.
            let adjacent = latest.is_some_and(|latest| at.since(latest) == NANOS_PER_MINUTE);
            let before = self.price.filter(|_| adjacent).unwrap_or(bar.open);
            self.large_move(at, bar.low.min(before), bar.high.max(before));
        }
        self.price = Some(bar.close);
    }

    /// Keeps in mind the bars that should open from `from` on and before `to`, if any.
    fn miss(&mut self, from: Timestamp, to: Timestamp, timeframe: Timeframe) {
        let count = to.since(from) / timeframe.nanos();
        if count > 0 {
            self.missing.insert(from, (to, count.unsigned_abs()));
        }
    }

    /// Takes a bar out of those that have not come.
    fn came_late(&mut self, at: Timestamp, timeframe: Timeframe) {
        let span = self.missing.range(..=at).next_back().map(|(from, (to, _))| (*from, *to));
        if let Some((from, to)) = span.filter(|(_, to)| at < *to) {
            self.missing.remove(&from);
            self.miss(from, at, timeframe);
            self.miss(at.plus(timeframe.nanos()), to, timeframe);
        }
    }

    fn bar_gaps(&mut self) {
        for (from, (to, missing)) in std::mem::take(&mut self.missing) {
            self.found(FindingKind::Gap, from, missing, || format!("{missing} bars up to {to}"));
        }
    }

    fn funding(&mut self, row: &Timed<Funding>) {
        self.follow(row.at, true);
        self.fundings.push(row.at);
        if let Some(mark) = row.row.mark.filter(|mark| !mark.is_positive()) {
            self.found(FindingKind::BadValue, row.at, 1, || format!("a mark price of {mark}"));
        }
    }

    fn book(&mut self, row: &Timed<BookTicker>) {
        self.follow(row.at, false);
        self.follow_id(row.at, row.row.update_id, false);
        self.book_values(row.at, &row.row);
    }

    fn book_values(&mut self, at: Timestamp, book: &BookTicker) {
        self.seen(at);
        let BookTicker { bid, ask, bid_qty, ask_qty, .. } = *book;
        if bid >= ask {
            self.found(FindingKind::CrossedBook, at, 1, || format!("bid {bid}, ask {ask}"));
        }
        if !bid_qty.is_positive() || !ask_qty.is_positive() {
            self.found(FindingKind::BadValue, at, 1, || format!("quantities of {bid_qty} and {ask_qty}"));
        }
        self.price(at, bid);
        self.price(at, ask);
    }

    fn trade(&mut self, row: &Timed<Trade>) {
        self.follow(row.at, false);
        self.follow_id(row.at, row.row.id, true);
        self.trade_values(row.at, &row.row);
        if let Some(before) = self.price.filter(|price| price.is_positive()) {
            self.large_move(row.at, before.min(row.row.price), before.max(row.row.price));
        }
        self.price = Some(row.row.price);
    }

    fn trade_values(&mut self, at: Timestamp, trade: &Trade) {
        if !trade.qty.is_positive() {
            self.found(FindingKind::BadValue, at, 1, || format!("a quantity of {}", trade.qty));
        }
        self.price(at, trade.price);
    }

    fn mark(&mut self, row: &Timed<Price>) {
        self.follow(row.at, false);
        self.mark_value(row);
    }

    fn mark_value(&mut self, row: &Timed<Price>) {
        self.seen(row.at);
        self.positive(row.at, row.row);
    }

    fn price(&mut self, at: Timestamp, price: Price) {
        self.seen(at);
        if self.positive(at, price) {
            self.on_grid(at, price);
        }
    }

    fn positive(&mut self, at: Timestamp, price: Price) -> bool {
        if !price.is_positive() {
            self.found(FindingKind::BadValue, at, 1, || format!("a price of {price}"));
        }
        price.is_positive()
    }

    /// The span of rows whose order says nothing.
    fn seen(&mut self, at: Timestamp) {
        self.latest = self.latest.max(Some(at));
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
    }

    fn on_grid(&mut self, at: Timestamp, price: Price) {
        if let Some(tick) = self.tick
            && price.steps() % tick.steps() != 0
        {
            self.found(FindingKind::OffGrid, at, 1, || format!("{price} with a tick of {tick}"));
        }
    }

    fn large_move(&mut self, at: Timestamp, low: Price, high: Price) {
        if low.is_positive() && i128::from(high.steps()) * 10 > i128::from(low.steps()) * 11 {
            self.found(FindingKind::LargeMove, at, 1, || format!("between {low} and {high}"));
        }
    }

    /// Finds the settlements that are missing, and says how far apart they usually are.
    fn funding_gaps(&mut self) -> Option<Nanos> {
        let mut times = std::mem::take(&mut self.fundings);
        times.sort_unstable();
        let mut spans: Vec<Nanos> = times.windows(2).map(|pair| pair[1].since(pair[0])).collect();
        spans.sort_unstable();
        let usual = spans.get(spans.len() / 2).copied().filter(|usual| *usual > 0)?;
        for pair in times.windows(2) {
            let span = pair[1].since(pair[0]);
            let missing = missing_within(span, usual);
            if span / 2 > usual || missing >= 1 {
                let minutes = span / NANOS_PER_MINUTE;
                let what =
                    || format!("{minutes} minutes without a settlement, where {} are usual", usual / NANOS_PER_MINUTE);
                self.found(FindingKind::Gap, pair[0], missing, what);
            }
        }
        Some(usual)
    }
}
