//! Reads the real recordings, where they are at hand.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use alphaengine_core::market::{Bar, Feed, MarketData, MarketUpdate, SymbolId, Timeframe};
use alphaengine_core::units::Timestamp;
use alphaengine_datasets::Error;
use alphaengine_datasets::discover::{Discovery, OpenOptions, discover};
use alphaengine_datasets::kind::Kind;
use alphaengine_datasets::tape::Counts;

fn shared(path: &str) -> PathBuf {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    std::env::var_os("ALPHAENGINE_SHARED_DATA").map_or_else(beside, PathBuf::from).join(path)
}

fn find(paths: &[&str], options: &OpenOptions) -> Result<Discovery, Error> {
    discover(&paths.iter().map(|path| shared(path)).collect::<Vec<_>>(), options)
}

/// All updates of all symbols, numbered in the order of their appearance.
fn read(discovery: Discovery) -> (Vec<MarketUpdate>, Counts) {
    let symbols: Vec<String> = discovery.symbols().into_iter().map(str::to_owned).collect();
    let id = |symbol: &str| symbols.iter().position(|other| other == symbol).map(|index| SymbolId(index as u16));
    let mut tape = discovery.open(id).unwrap();
    let mut updates = Vec::new();
    while let Some(update) = tape.next_update().unwrap() {
        updates.push(update);
    }
    (updates, tape.counts())
}

fn bars_per_symbol(updates: &[MarketUpdate]) -> BTreeMap<u16, usize> {
    let mut counts = BTreeMap::new();
    for update in updates {
        if matches!(update.data, MarketData::Bar(_)) {
            *counts.entry(update.symbol.0).or_default() += 1;
        }
    }
    counts
}

#[test]
#[cfg_attr(not(shared_data), ignore = "no recordings: set ALPHAENGINE_SHARED_DATA")]
fn minutes_of_four_symbols_funding_and_mark_prices_merge() {
    let discovery = find(&["klines-1m", "funding", "mark-8h"], &OpenOptions::default()).unwrap();
    assert_eq!(discovery.symbols(), ["BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"]);
    assert_eq!(discovery.streams.len(), 12);
    for stream in discovery.streams.iter().filter(|stream| stream.kind == Kind::Klines) {
        assert_eq!(stream.first.to_string(), "2025-05-04T16:00:00.000Z");
        assert_eq!(stream.last.unwrap().to_string(), "2025-06-24T09:59:00.000Z");
        assert_eq!(stream.timeframe, Some(Timeframe::M1));
    }
    let marks = discovery.streams.iter().filter(|stream| stream.kind == Kind::MarkPriceKlines);
    assert!(marks.clone().count() == 4 && marks.clone().all(|stream| stream.timeframe == Some(Timeframe::H8)));
    let (updates, counts) = read(discovery);
    assert_eq!(counts.bars, 4 * 73_080);
    assert!(counts.funding > 10_000 && counts.mark_bars > 1_000, "{counts:?}");
    assert_eq!(updates.len() as u64, counts.total() + counts.bars);
    assert!(bars_per_symbol(&updates).values().all(|&bars| bars == 73_080));
    assert!(updates.is_sorted_by_key(|update| (update.at, order(&update.data), update.symbol)));
}

/// The documented order of updates of one time.
fn order(data: &MarketData) -> usize {
    match data {
        MarketData::MarkPrice(_) => 0,
        MarketData::MarkBar(_) => 1,
        MarketData::Funding(_) => 2,
        MarketData::Bar(_) => 3,
        MarketData::BarOpen(_) => 4,
        MarketData::BookTicker(_) => 5,
        MarketData::Trade(_) => 6,
    }
}

#[test]
#[cfg_attr(not(shared_data), ignore = "no recordings: set ALPHAENGINE_SHARED_DATA")]
fn a_window_keeps_bars_that_open_and_close_in_it() {
    let options = OpenOptions {
        symbols: vec!["btcusdt".to_owned()],
        from: Some("2025-05-05".parse().unwrap()),
        to: Some("2025-05-06T00:00:30".parse().unwrap()),
        ..OpenOptions::default()
    };
    let (updates, counts) = read(find(&["klines-1m"], &options).unwrap());
    assert_eq!(counts.bars, 1_440);
    assert_eq!(updates[0].at.to_string(), "2025-05-05T00:00:00.000Z");
    assert_eq!(updates[updates.len() - 1].at.to_string(), "2025-05-05T23:59:59.999Z");
}

#[test]
#[cfg_attr(not(shared_data), ignore = "no recordings: set ALPHAENGINE_SHARED_DATA")]
fn hours_are_made_of_minutes() {
    let bars = |timeframe| {
        let symbols = vec!["SOLUSDT".to_owned()];
        let options = OpenOptions { symbols, timeframe, ..OpenOptions::default() };
        let (updates, _) = read(find(&["klines-1m"], &options).unwrap());
        let bars = updates.into_iter().filter_map(|update| match update.data {
            MarketData::Bar(bar) => Some(bar),
            _ => None,
        });
        bars.collect::<Vec<Bar>>()
    };
    let (minutes, hours) = (bars(None), bars(Some(Timeframe::H1)));
    assert_eq!(hours.len(), 73_080 / 60);
    for (hour, minutes) in hours.iter().zip(minutes.chunks(60)) {
        assert_eq!(hour.open_time, minutes[0].open_time);
        assert_eq!((hour.open, hour.close), (minutes[0].open, minutes[59].close));
        assert_eq!(hour.high, minutes.iter().map(|bar| bar.high).max().unwrap());
        assert_eq!(hour.low, minutes.iter().map(|bar| bar.low).min().unwrap());
        assert_eq!(hour.volume.steps(), minutes.iter().map(|bar| bar.volume.steps()).sum::<i64>());
    }
}

#[test]
#[cfg_attr(not(shared_data), ignore = "no recordings: set ALPHAENGINE_SHARED_DATA")]
fn hours_since_the_listing_are_read() {
    let discovery = find(&["klines-1h"], &OpenOptions::default()).unwrap();
    assert!(discovery.streams.iter().all(|stream| stream.timeframe == Some(Timeframe::H1)));
    let (_, counts) = read(discovery);
    assert!(counts.bars > 3 * 40_000, "{counts:?}");
}

#[test]
#[cfg_attr(not(shared_data), ignore = "no recordings: set ALPHAENGINE_SHARED_DATA")]
fn finer_bars_than_the_data_are_an_error() {
    let options = OpenOptions { timeframe: Some(Timeframe::M5), ..OpenOptions::default() };
    let error = find(&["klines-1h"], &options).unwrap_err();
    assert_eq!(error.problem, "BTCUSDT: bars of 5m cannot be made from klines of 1h");
    assert!(error.hint.is_some());
}

#[test]
#[cfg_attr(not(shared_data), ignore = "no recordings: set ALPHAENGINE_SHARED_DATA")]
fn the_finest_of_several_timeframes_is_used() {
    let discovery = find(&["klines-1h", "klines-1m"], &OpenOptions::default()).unwrap();
    assert!(discovery.streams.iter().all(|stream| stream.timeframe == Some(Timeframe::M1)));
    assert_eq!(discovery.warnings[0], "BTCUSDT: klines of 1h are not used, those of 1m are");
    let options = OpenOptions { timeframe: Some(Timeframe::H1), ..OpenOptions::default() };
    let discovery = find(&["klines-1h", "klines-1m"], &options).unwrap();
    let btc = &discovery.streams[0];
    assert_eq!((btc.timeframe, btc.first.date().0), (Some(Timeframe::H1), 2019));
}

#[test]
#[cfg_attr(not(shared_data), ignore = "no recordings: set ALPHAENGINE_SHARED_DATA")]
fn months_of_the_archive_are_whole() {
    let discovery = find(&["archive"], &OpenOptions::default()).unwrap();
    assert_eq!(discovery.symbols(), ["AVAXUSDT", "DOTUSDT", "FILUSDT", "LINKUSDT", "NEARUSDT"]);
    let mut minutes = BTreeMap::new();
    for (index, symbol) in discovery.symbols().into_iter().enumerate() {
        let files = discovery.streams.iter().filter(|stream| stream.symbol == symbol).flat_map(|stream| &stream.files);
        let days = files.map(|file| days_of_month(&file.file_stem().unwrap().to_string_lossy()));
        minutes.insert(index as u16, days.sum::<i64>() as usize * 1_440);
    }
    let (updates, counts) = read(discovery);
    assert_eq!(bars_per_symbol(&updates), minutes);
    assert_eq!(counts.bars as usize, minutes.values().sum::<usize>());
}

fn days_of_month(name: &str) -> i64 {
    let month: Vec<&str> = name.rsplit('-').take(2).collect();
    let (year, month): (i16, i8) = (month[1].parse().unwrap(), month[0].parse().unwrap());
    let (next_year, next) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    Timestamp::from_date(next_year, next, 1).unwrap().day() - Timestamp::from_date(year, month, 1).unwrap().day()
}

#[test]
#[cfg_attr(not(shared_data), ignore = "no recordings: set ALPHAENGINE_SHARED_DATA")]
fn recordings_give_books_and_trades() {
    let discovery = find(&["ticks"], &OpenOptions::default()).unwrap();
    assert_eq!(discovery.symbols(), ["BTCUSDT", "ETHUSDT"]);
    let kinds: Vec<_> = discovery.streams.iter().map(|stream| (stream.symbol.as_str(), stream.kind)).collect();
    let expected = [
        ("BTCUSDT", Kind::BookTicker),
        ("BTCUSDT", Kind::Trades),
        ("ETHUSDT", Kind::BookTicker),
        ("ETHUSDT", Kind::Trades),
    ];
    assert_eq!(kinds, expected);
    assert_eq!(discovery.skipped, ["4 recordings: 17951 depth updates left out", "2 recordings: 2 snapshots left out"]);
    let (updates, counts) = read(discovery);
    assert_eq!(counts.books, 7_113 + 45_147 + 9_089 + 38_239);
    assert_eq!(counts.trades, 974 + 9_727 + 1_640 + 12_015);
    assert!(updates.is_sorted_by_key(|update| (update.at, order(&update.data), update.symbol)));
}

#[test]
#[cfg_attr(not(shared_data), ignore = "no recordings: set ALPHAENGINE_SHARED_DATA")]
fn a_whole_folder_of_everything_is_sorted_out() {
    let discovery = find(&[""], &OpenOptions::default()).unwrap();
    assert_eq!(discovery.symbols().len(), 9);
    assert!(discovery.warnings.iter().any(|warning| warning.ends_with("files that are no data left out")));
    let options = OpenOptions { symbols: vec!["LINKUSDT".to_owned()], ..OpenOptions::default() };
    assert_eq!(find(&[""], &options).unwrap().symbols(), ["LINKUSDT"]);
}
