//! Which streams files make, and what a tape of them gives.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use alphaengine_core::market::{Feed, MarketData, MarketUpdate, SymbolId, Timeframe};
use alphaengine_datasets::discover::{Discovery, OpenOptions, discover};
use alphaengine_datasets::kind::Kind;

const START: i64 = 1_714_003_200_000;

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn find(folder: &Path, options: &OpenOptions) -> Discovery {
    discover(&[folder.to_path_buf()], options).unwrap()
}

fn updates(discovery: Discovery) -> Vec<MarketUpdate> {
    let mut tape = discovery.open(|symbol| (symbol == "BTCUSDT").then_some(SymbolId(0))).unwrap();
    std::iter::from_fn(|| tape.next_update().unwrap()).collect()
}

fn klines(timeframe: Timeframe, from: i64, count: i64) -> String {
    let row = |index: i64| {
        let open_time = START + index * timeframe.nanos() / 1_000_000;
        format!("{open_time},{},{},1,{},1\n", 10 + index % 3, 20 + index, 11 + index % 5)
    };
    "open_time,open,high,low,close,volume\n".to_owned() + &(from..from + count).map(row).collect::<String>()
}

fn trades(from: i64, count: i64) -> String {
    let row = |id: i64| format!("{id},1,1,1,{},true\n", START + id);
    "id,price,qty,quote_qty,time,is_buyer_maker\n".to_owned() + &(from..from + count).map(row).collect::<String>()
}

#[test]
fn months_follow_each_other_whatever_their_order_and_packing() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "b/BTCUSDT-trades-2024-04.csv", &trades(0, 100_000));
    write(folder.path(), "a/BTCUSDT-trades-2024-05.csv", &trades(100_000, 50_000));
    write(folder.path(), "a/ETHUSDT-trades-2024-05.csv", &trades(0, 1));
    write(folder.path(), "a/notes.md", "nothing");
    let found = find(folder.path(), &OpenOptions::default());
    assert_eq!(found.symbols(), ["BTCUSDT", "ETHUSDT"]);
    assert!(found.streams[0].files[0].ends_with("b/BTCUSDT-trades-2024-04.csv"));
    assert_eq!(found.warnings, ["1 file that is no data left out"]);
    let ids = updates(found).into_iter().map(|update| match update.data {
        MarketData::Trade(trade) => trade.id,
        _ => -1,
    });
    assert!(ids.eq(0..150_000));
}

#[test]
fn a_window_of_trades_is_cut_at_both_ends() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "BTCUSDT-trades-2024-04.csv", &trades(0, 100_000));
    write(folder.path(), "BTCUSDT-trades-2024-05.csv", &trades(100_000, 100_000));
    let at = |millis: i64| Some((START + millis).to_string().parse().unwrap());
    let options = OpenOptions { from: at(99_990), to: at(100_010), ..OpenOptions::default() };
    let found = find(folder.path(), &options);
    let updates = updates(found);
    assert_eq!((updates.len(), updates[0].at.millis() - START), (20, 99_990));
    let late = OpenOptions { from: at(10_000_000), ..OpenOptions::default() };
    assert!(self::updates(find(folder.path(), &late)).is_empty());
    let early = OpenOptions { to: at(0), ..OpenOptions::default() };
    let found = find(folder.path(), &early);
    assert!(found.streams.is_empty());
    assert_eq!(found.warnings, ["BTCUSDT: no trades in the time that is wanted"]);
}

#[test]
fn timeframes_are_chosen_and_made() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "BTCUSDT-1m-2024-04.csv", &klines(Timeframe::M1, 1, 60));
    write(folder.path(), "BTCUSDT-1h-2024-04.csv", &klines(Timeframe::H1, 0, 3));
    write(folder.path(), "markPriceKlines/BTCUSDT-1h-2024-04.csv", &klines(Timeframe::H1, 0, 3));
    for (wanted, expected, count) in [
        (None, "1m", 60),
        (Some(Timeframe::H1), "1h", 3),
        (Some(Timeframe::M15), "15m", 3),
        (Some(Timeframe::H2), "2h", 0),
    ] {
        let found = find(folder.path(), &OpenOptions { timeframe: wanted, ..OpenOptions::default() });
        let timeframes: Vec<_> =
            found.streams.iter().map(|stream| (stream.kind, stream.timeframe.unwrap().name())).collect();
        assert_eq!(timeframes, [(Kind::Klines, expected), (Kind::MarkPriceKlines, "1h")]);
        let updates = updates(found);
        let bars = updates
            .iter()
            .filter(|update| matches!(update.data, MarketData::Bar(bar) if bar.timeframe.name() == expected));
        assert_eq!(bars.count(), count, "{expected}");
        let marks =
            updates.iter().filter(|update| matches!(update.data, MarketData::MarkBar(bar) if bar.volume.is_zero()));
        assert_eq!(marks.count(), 3);
    }
}

/// What a tape tells when it has delivered all.
fn notes(folder: &Path, options: &OpenOptions) -> Vec<String> {
    let mut tape = find(folder, options).open(|_| Some(SymbolId(0))).unwrap();
    while tape.next_update().unwrap().is_some() {}
    tape.notes()
}

#[test]
fn missing_bars_are_told_within_files_and_between_them() {
    let folder = tempfile::tempdir().unwrap();
    let minute = |minute: i64| Some((START + minute * 60_000).to_string().parse().unwrap());
    let none = OpenOptions::default();
    write(folder.path(), "BTCUSDT-1m-a.csv", &klines(Timeframe::M1, 0, 60));
    write(folder.path(), "BTCUSDT-1m-b.csv", &klines(Timeframe::M1, 60, 60));
    write(folder.path(), "ETHUSDT-trades-2024-04.csv", &trades(0, 10));
    write(folder.path(), "ETHUSDT-trades-2024-05.csv", &trades(100_000_000, 10));
    assert_eq!(notes(folder.path(), &none), [""; 0], "whole bars, and trades come when they come");

    // Two gaps within a file, and the longest, of an hour, before the next one.
    let holed = klines(Timeframe::M1, 120, 60);
    let lines = holed.lines().enumerate().filter(|(line, _)| !(10..13).contains(line) && *line != 20);
    write(folder.path(), "BTCUSDT-1m-c.csv", &lines.map(|(_, line)| format!("{line}\n")).collect::<String>());
    write(folder.path(), "BTCUSDT-1m-d.csv", &klines(Timeframe::M1, 240, 60));
    let longest = "the longest from 2024-04-25T02:59:59.999Z to 2024-04-25T04:00:00.000Z";
    assert_eq!(notes(folder.path(), &none), [format!("BTCUSDT klines: 64 bars are missing in 3 spans, {longest}")]);
    // Coarser bars are made in spite of what is missing in them.
    let hours = OpenOptions { timeframe: Some(Timeframe::H1), ..OpenOptions::default() };
    assert_eq!(
        notes(folder.path(), &hours),
        [format!("BTCUSDT klines of 1m: 64 bars are missing in 3 spans, {longest}")]
    );
    // Of a window counts what is missing within it.
    for (from, to, expected) in [
        (minute(0), minute(129), None),
        (minute(133), minute(180), Some("1 bar is missing, from 2024-04-25T02:18:59.999Z to 2024-04-25T02:20:00.000Z")),
        (minute(140), None, Some("60 bars are missing, from 2024-04-25T02:59:59.999Z to 2024-04-25T04:00:00.000Z")),
        (minute(200), None, None),
        (
            None,
            minute(230),
            Some(
                "4 bars are missing in 2 spans, the longest from 2024-04-25T02:08:59.999Z to 2024-04-25T02:12:00.000Z",
            ),
        ),
    ] {
        let told = notes(folder.path(), &OpenOptions { from, to, ..OpenOptions::default() });
        let expected: Vec<String> =
            expected.map(|expected| format!("BTCUSDT klines: {expected}")).into_iter().collect();
        assert_eq!(told, expected, "{from:?} {to:?}");
    }
}

#[test]
fn trades_go_before_aggregated_ones_and_recordings_join_files() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "BTCUSDT-trades-2024-04.csv", &trades(0, 10));
    let agg = format!("agg_trade_id,price,quantity,transact_time,is_buyer_maker\n1,1,1,{START},true\n");
    write(folder.path(), "BTCUSDT-aggTrades-2024-04.csv", &agg);
    let frame = |id: i64| {
        let at = START + id;
        format!(
            r#"{at}000000 {{"e":"trade","E":{at},"T":{at},"s":"BTCUSDT","t":{id},"p":"1","q":"1","X":"MARKET","m":true}}"#
        )
    };
    let mark = format!(r#"{START}000000 {{"e":"markPriceUpdate","E":{START},"s":"BTCUSDT","p":"2","T":1}}"#);
    let lines = [mark, frame(10), frame(12), frame(11), frame(13)[..40].to_owned()];
    write(folder.path(), "rec.log", &lines.join("\n"));
    let found = find(folder.path(), &OpenOptions::default());
    let kinds: Vec<_> = found.streams.iter().map(|stream| (stream.kind, stream.files.len())).collect();
    assert_eq!(kinds, [(Kind::MarkPriceKlines, 1), (Kind::Trades, 2)]);
    let warnings = found.warnings.join("\n");
    assert!(warnings.contains("rec.log: the last line, 5, is cut off and left out"), "{warnings}");
    assert!(warnings.contains("BTCUSDT: aggTrades are not used, because there are trades"), "{warnings}");
    let moved = found
        .skipped
        .iter()
        .any(|line| line.ends_with("1 rows moved by some milliseconds, because times stepped back"));
    assert!(moved, "{:?}", found.skipped);
    let tape = updates(found);
    assert!(matches!(tape[0].data, MarketData::MarkPrice(_)));
    let times: Vec<i64> = tape[1..].iter().map(|update| update.at.millis() - START).collect();
    assert_eq!(times, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 12]);
}
