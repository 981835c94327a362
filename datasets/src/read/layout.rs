//! A Layout says what a table holds and in which columns: told by the header, or without one by the file's name and shape.

use std::path::Path;

use alphaengine_core::market::Timeframe;

use super::value::{Checked, TimeUnit, flag, flaw, flaw_with_hint};
use crate::kind::Kind;

/// The most columns that a kind needs.
const SLOTS: usize = 6;

/// A column that a kind needs: its name in the archive, then other names that are understood.
struct Need {
    names: &'static [&'static str],
    optional: bool,
    is_time: bool,
}

const fn need(names: &'static [&'static str]) -> Need {
    Need { names, optional: false, is_time: false }
}

const fn time(names: &'static [&'static str]) -> Need {
    Need { names, optional: false, is_time: true }
}

const fn optional(names: &'static [&'static str]) -> Need {
    Need { names, optional: true, is_time: false }
}

// Names are compared in lower case without `_`, so that `openTime` and `open_time` are one.
const KLINES: &[Need] = &[
    time(&["open_time", "timestamp", "time", "datetime", "date"]),
    need(&["open"]),
    need(&["high"]),
    need(&["low"]),
    need(&["close"]),
    optional(&["volume"]),
];
const FUNDING: &[Need] = &[
    time(&["calc_time", "funding_time", "timestamp", "time", "datetime", "date"]),
    need(&["last_funding_rate", "funding_rate"]),
    optional(&["mark_price"]),
];
const BOOK: &[Need] = &[
    time(&["transaction_time", "transact_time", "timestamp", "time", "event_time"]),
    need(&["best_bid_price", "bid_price"]),
    need(&["best_bid_qty", "bid_qty"]),
    need(&["best_ask_price", "ask_price"]),
    need(&["best_ask_qty", "ask_qty"]),
    need(&["update_id"]),
];
const TRADES: &[Need] = &[
    time(&["time", "transact_time", "timestamp"]),
    need(&["price"]),
    need(&["qty", "quantity"]),
    need(&["is_buyer_maker"]),
    need(&["id", "trade_id"]),
];
const AGG_TRADES: &[Need] = &[
    time(&["transact_time", "time", "timestamp"]),
    need(&["price"]),
    need(&["quantity", "qty"]),
    need(&["is_buyer_maker"]),
    need(&["agg_trade_id"]),
];

/// The column numbers of each slot.
pub(crate) mod slot {
    pub const TIME: usize = 0;
    pub const OPEN: usize = 1;
    pub const HIGH: usize = 2;
    pub const LOW: usize = 3;
    pub const CLOSE: usize = 4;
    pub const VOLUME: usize = 5;
    pub const RATE: usize = 1;
    pub const MARK: usize = 2;
    pub const BID: usize = 1;
    pub const BID_QTY: usize = 2;
    pub const ASK: usize = 3;
    pub const ASK_QTY: usize = 4;
    pub const UPDATE_ID: usize = 5;
    pub const PRICE: usize = 1;
    pub const QTY: usize = 2;
    pub const MAKER: usize = 3;
    pub const TRADE_ID: usize = 4;
}

const fn needs(kind: Kind) -> &'static [Need] {
    match kind {
        Kind::Klines | Kind::MarkPriceKlines => KLINES,
        Kind::FundingRate => FUNDING,
        Kind::BookTicker => BOOK,
        Kind::Trades => TRADES,
        Kind::AggTrades => AGG_TRADES,
        Kind::Recording => &[],
    }
}

/// The kinds that tables hold, those first whose columns tell them from the others.
const TABLES: [Kind; 5] = [Kind::AggTrades, Kind::BookTicker, Kind::FundingRate, Kind::Klines, Kind::Trades];

/// Column orders of the archive's files, for tables without a header.
fn archive_order(kind: Kind, width: usize) -> &'static [&'static str] {
    match kind {
        Kind::Klines | Kind::MarkPriceKlines => &["open_time", "open", "high", "low", "close", "volume"],
        Kind::FundingRate if width == 2 => &["calc_time", "last_funding_rate"],
        Kind::FundingRate => &["calc_time", "funding_interval_hours", "last_funding_rate"],
        Kind::BookTicker => &[
            "update_id",
            "best_bid_price",
            "best_bid_qty",
            "best_ask_price",
            "best_ask_qty",
            "transaction_time",
            "event_time",
        ],
        Kind::Trades => &["id", "price", "qty", "quote_qty", "time", "is_buyer_maker"],
        Kind::AggTrades => {
            &["agg_trade_id", "price", "quantity", "first_trade_id", "last_trade_id", "transact_time", "is_buyer_maker"]
        }
        Kind::Recording => &[],
    }
}

/// What a table holds and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    pub kind: Kind,
    columns: [Option<usize>; SLOTS],
    pub unit: TimeUnit,
}

impl Layout {
    /// The number of the column that fills a slot. Slots that a kind needs are always filled.
    #[inline]
    pub fn column(&self, slot: usize) -> Option<usize> {
        self.columns.get(slot).copied().flatten()
    }

    /// What the archive calls the time.
    pub fn time_name(&self) -> &'static str {
        needs(self.kind).first().and_then(|need| need.names.first()).copied().unwrap_or("time")
    }

    /// The numbers of all columns that are read.
    pub fn columns(&self) -> impl Iterator<Item = usize> + '_ {
        self.columns.iter().flatten().copied()
    }

    /// The same layout over a table that has only the columns that are read, in the order of `kept`.
    pub fn narrowed(&self, kept: &[usize]) -> Layout {
        let mut layout = self.clone();
        for column in layout.columns.iter_mut() {
            *column = column.and_then(|column| kept.iter().position(|&other| other == column));
        }
        layout
    }

    /// From the names of the columns.
    pub fn from_header<S: AsRef<str>>(names: &[S], path: &Path) -> Checked<Layout> {
        let mut closest: Option<(usize, usize, Kind, &'static str)> = None;
        let plain: Vec<String> = names.iter().map(|name| plain_name(name.as_ref())).collect();
        for kind in TABLES {
            let mut columns = [None; SLOTS];
            let mut unit = TimeUnit::ByDigits;
            let (mut missing, mut found, mut first_missing) = (0, 0, "");
            for (slot, need) in needs(kind).iter().enumerate() {
                match find(need, &plain) {
                    Some((column, named_unit)) => {
                        found += 1;
                        if need.is_time {
                            unit = named_unit;
                        }
                        if let Some(place) = columns.get_mut(slot) {
                            *place = Some(column);
                        }
                    }
                    None if need.optional => {}
                    None => {
                        missing += 1;
                        if first_missing.is_empty() {
                            first_missing = need.names.first().copied().unwrap_or_default();
                        }
                    }
                }
            }
            if missing == 0 {
                refuse_twice(&columns, &plain, names)?;
                let kind = price_of(kind, columns.get(slot::VOLUME).copied().flatten().is_some(), path)?;
                return Ok(Layout { kind, columns, unit });
            }
            if found > missing && closest.is_none_or(|(fewest, ..)| missing < fewest) {
                closest = Some((missing, found, kind, first_missing));
            }
        }
        let came: Vec<String> = names.iter().take(20).map(|name| shown(name.as_ref())).collect();
        let hint = known_kinds();
        match closest {
            Some((_, _, kind, name)) => flaw_with_hint(
                format!("the column `{name}` of {kind} is missing; the columns are {}", came.join(", ")),
                hint,
            ),
            None => flaw_with_hint(format!("the columns {} are of no known kind of file", came.join(", ")), hint),
        }
    }

    /// From the first row of a table without a header.
    pub fn from_shape(cells: &[&[u8]], path: &Path) -> Checked<Layout> {
        let width = cells.len();
        let last_is_flag = cells.last().is_some_and(|cell| flag(cell).is_some() && cell.len() > 1);
        let kind = match kind_in_path(path)? {
            Some(kind) => kind,
            None => match (width, last_is_flag) {
                (6, true) => Kind::Trades,
                (7, true) => Kind::AggTrades,
                (7, false) => Kind::BookTicker,
                (2 | 3, false) => Kind::FundingRate,
                (5, false) => Kind::MarkPriceKlines,
                (6 | 11 | 12, false) => Kind::Klines,
                _ => {
                    return flaw_with_hint(
                        format!("the file has no header, and {width} columns are of no known kind of file"),
                        format!("add a header; {}", known_kinds()),
                    );
                }
            },
        };
        let kind = if kind == Kind::Klines && width == 5 { Kind::MarkPriceKlines } else { kind };
        let names: Vec<&str> = archive_order(kind, width).iter().take(width).copied().collect();
        match Layout::from_header(&names, path) {
            Ok(layout) => Ok(Layout { kind: if kind == Kind::Klines { layout.kind } else { kind }, ..layout }),
            Err(_) => flaw_with_hint(
                format!("the file has no header, and {width} columns are too few for {kind}"),
                format!("the columns of {kind} are {}", archive_order(kind, width).join(", ")),
            ),
        }
    }
}

/// A name that may be anything: the beginning of a picture has control characters that would reach a terminal.
fn shown(name: &str) -> String {
    let start = name.chars().take(60);
    start.map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

fn plain_name(name: &str) -> String {
    name.trim()
        .trim_start_matches('\u{feff}')
        .chars()
        .filter(|&c| c != '_' && c != ' ')
        .collect::<String>()
        .to_lowercase()
}

/// The column of a need, and the unit that its name says.
fn find(need: &Need, plain: &[String]) -> Option<(usize, TimeUnit)> {
    const UNITS: [(&str, TimeUnit); 4] =
        [("", TimeUnit::ByDigits), ("ms", TimeUnit::Millis), ("us", TimeUnit::Micros), ("ns", TimeUnit::Nanos)];
    for name in need.names {
        let name = plain_name(name);
        for (suffix, unit) in UNITS.iter().take(if need.is_time { UNITS.len() } else { 1 }) {
            let found = plain.iter().position(|other| other.strip_prefix(name.as_str()) == Some(suffix));
            if let Some(column) = found {
                return Some((column, *unit));
            }
        }
    }
    None
}

fn refuse_twice<S: AsRef<str>>(columns: &[Option<usize>; SLOTS], plain: &[String], names: &[S]) -> Checked<()> {
    for column in columns.iter().flatten() {
        let twice = plain.iter().enumerate().any(|(other, name)| other != *column && plain.get(*column) == Some(name));
        if twice {
            let name = names.get(*column).map(AsRef::as_ref).unwrap_or_default();
            return flaw(format!("the column `{name}` comes twice"));
        }
    }
    Ok(())
}

/// Klines are of the mark price when the path says so or when they have no volume.
fn price_of(kind: Kind, has_volume: bool, path: &Path) -> Checked<Kind> {
    if kind != Kind::Klines {
        return Ok(kind);
    }
    let named = kind_in_path(path)?;
    Ok(if named == Some(Kind::MarkPriceKlines) || !has_volume { Kind::MarkPriceKlines } else { Kind::Klines })
}

fn known_kinds() -> String {
    let line = |kind: Kind| {
        let names = needs(kind).iter().filter(|need| !need.optional).filter_map(|need| need.names.first().copied());
        format!("{kind} ({})", names.collect::<Vec<_>>().join(", "))
    };
    format!("known are {}", TABLES.map(line).join("; "))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(['-', '_', '.', ' '])
}

fn component_names(path: &Path) -> impl DoubleEndedIterator<Item = &str> {
    path.iter().filter_map(|part| part.to_str())
}

/// The kind that the path names: the archive's folders and file names. `mark` as a word of the file's name or of its
/// folder's name says mark price klines.
pub(crate) fn kind_in_path(path: &Path) -> Checked<Option<Kind>> {
    // The archive's deepest path is kind, symbol, timeframe, file; what stands before is the user's own.
    for part in component_names(path).rev().take(4) {
        for word in words(part) {
            if word.eq_ignore_ascii_case("indexPriceKlines") || word.eq_ignore_ascii_case("premiumIndexKlines") {
                return flaw(format!("{word} are not read: they are prices of an index, at which nobody trades"));
            }
            if let Ok(kind) = word.parse::<Kind>() {
                let near_mark = component_names(path)
                    .rev()
                    .take(2)
                    .any(|part| words(part).any(|word| word.eq_ignore_ascii_case("mark")));
                return Ok(Some(if kind == Kind::Klines && near_mark { Kind::MarkPriceKlines } else { kind }));
            }
        }
    }
    let mut near = component_names(path).rev().take(2).flat_map(words);
    if near.any(|word| word.eq_ignore_ascii_case("mark") || word.eq_ignore_ascii_case("markprice")) {
        return Ok(Some(Kind::MarkPriceKlines));
    }
    let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    Ok(words(file).any(|word| word.parse::<Timeframe>().is_ok()).then_some(Kind::Klines))
}

/// The timeframe that the path names: `BTCUSDT-1m-2024-01.zip`, `klines-1h/BTCUSDT.parquet`, `.../1h/...`.
pub(crate) fn timeframe_in_path(path: &Path) -> Option<Timeframe> {
    component_names(path).rev().take(3).find_map(|part| words(part).find_map(|word| word.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_kinds_and_timeframes() {
        for (path, kind, timeframe) in [
            (
                "data/futures/um/monthly/markPriceKlines/BTCUSDT/1h/BTCUSDT-1h-2024-01.zip",
                Some(Kind::MarkPriceKlines),
                "1h",
            ),
            ("BTCUSDT-1m-2024-01.csv", Some(Kind::Klines), "1m"),
            ("BTCUSDT-aggTrades-2024-03.csv", Some(Kind::AggTrades), ""),
            ("mark-8h/BTCUSDT.parquet", Some(Kind::MarkPriceKlines), "8h"),
            ("klines-1h/BTCUSDT.parquet", Some(Kind::Klines), "1h"),
            ("market/BTCUSDT.parquet", None, ""),
        ] {
            assert_eq!(kind_in_path(Path::new(path)).unwrap(), kind, "{path}");
            assert_eq!(timeframe_in_path(Path::new(path)).map_or("", Timeframe::name), timeframe, "{path}");
        }
        assert!(kind_in_path(Path::new("indexPriceKlines/BTCUSDT/1m/BTCUSDT-1m-2024-01.zip")).is_err());
    }

    #[test]
    fn headers_tell_the_kind_in_any_order() {
        let path = Path::new("x.csv");
        let of = |names: &[&str]| Layout::from_header(names, path).map(|layout| (layout.kind, layout.unit));
        assert_eq!(
            of(&["volume", "close", "low", "high", "open", "openTime", "more"]).unwrap(),
            (Kind::Klines, TimeUnit::ByDigits)
        );
        assert_eq!(
            of(&["open_time_us", "open", "high", "low", "close"]).unwrap(),
            (Kind::MarkPriceKlines, TimeUnit::Micros)
        );
        let error = of(&["open_time", "open", "high", "low"]).unwrap_err();
        assert_eq!(
            error.problem,
            "the column `close` of klines is missing; the columns are open_time, open, high, low"
        );
        let error = of(&["a", "b"]).unwrap_err();
        assert_eq!(error.problem, "the columns a, b are of no known kind of file");
        assert!(error.hint.unwrap().contains("fundingRate (calc_time, last_funding_rate)"));
        let error = of(&["open_time", "open", "high", "low", "close", "close", "volume"]).unwrap_err();
        assert_eq!(error.problem, "the column `close` comes twice");
    }
}
