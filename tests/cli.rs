//! The command as a user meets it: what it accepts, what it prints and where, and what it leaves behind.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

mod support;

use std::io::{Read, Write};
use std::process::Stdio;

use serde_json::{Value, json};
use support::{Desk, Ended, rows, shared_data};

/// 2024-05-01T00:00:00Z in milliseconds.
const START: i64 = 1_714_521_600_000;
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const KLINES: &str = "open_time,open,high,low,close,volume\n";

/// Lines of a file, one for each number.
fn lines(count: i64, line: impl Fn(i64) -> String) -> String {
    (0..count).map(|n| line(n) + "\n").collect()
}

/// A bar that opens at `at`, whatever unit that is in.
fn bar(at: i64, n: i64) -> String {
    let open = 60_000 + 40 * ((n * n) % 11);
    format!("{at},{open},{},{},{},5", open + 30, open - 30, open + 10)
}

fn minutes(count: i64) -> String {
    lines(count, |n| bar(START + n * MINUTE, n))
}

fn gzipped(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn zipped(name: &str, text: &str) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
    writer.write_all(text.as_bytes()).unwrap();
    writer.finish().unwrap().into_inner()
}

/// The report of a quick backtest that keeps nothing, on two days of the sample.
fn quick(desk: &Desk, args: &[&str]) -> Value {
    desk.json(&[&["--timerange", "20250101-20250103", "--store", "none"], args].concat())
}

#[test]
fn the_json_has_every_key_and_exact_decimals() {
    let desk = Desk::new();
    let report = desk.json(&["--timerange", "20250101-20250108", "--store", "run.db", "--seed", "3"]);
    for (name, is_right) in [
        ("session_id", Value::is_string as fn(&Value) -> bool),
        ("strategy", Value::is_string),
        ("params", Value::is_object),
        ("symbols", Value::is_array),
        ("mode", Value::is_string),
        ("from", Value::is_string),
        ("to", Value::is_string),
        ("bars", Value::is_u64),
        ("ticks", Value::is_u64),
        ("orders", Value::is_u64),
        ("fills", Value::is_u64),
        ("trades", Value::is_u64),
        ("final_equity", is_decimal),
        ("total_return", is_decimal),
        ("max_drawdown", is_decimal),
        ("sharpe", is_decimal),
        ("fees", is_decimal),
        ("funding", is_decimal),
        ("events", Value::is_u64),
        ("log_hash", Value::is_string),
        ("state_hash", Value::is_string),
        ("store", Value::is_string),
        ("timing", Value::is_object),
        ("peak_rss_mb", |value| value.is_u64() || value.is_null()),
    ] {
        let value = report.get(name).unwrap_or_else(|| panic!("`{name}` is missing"));
        assert!(is_right(value), "`{name}` is {value}");
    }
    for name in ["load_s", "run_s", "store_s", "inputs_per_s"] {
        assert!(report["timing"][name].is_number(), "timing.{name}: {}", report["timing"]);
    }
    assert_eq!(report["params"]["fast"], "10");
    assert_eq!(report["symbols"], serde_json::json!(["BTCUSDT", "ETHUSDT"]));
    assert_eq!(
        (&report["from"], &report["to"]),
        (&"2025-01-01T00:00:00.000Z".into(), &"2025-01-07T23:59:59.999Z".into())
    );
    assert_eq!((&report["mode"], &report["store"]), (&"BACKTEST".into(), &"run.db".into()));
    assert_eq!(report["bars"], 2 * 7 * 1_440);
}

fn is_decimal(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.parse::<f64>().is_ok() && !text.contains(['e', 'E']))
}

/// A result can be piped into another program as it is: everything else goes to stderr.
#[test]
fn stdout_carries_results_only() {
    let desk = Desk::new();
    let run = |args: &[&str]| {
        let ended = desk.run(&[&["backtest", "--timerange", "20250101-20250103"], args].concat());
        assert_eq!(ended.code, 0, "{ended:?}");
        (ended.out, ended.err)
    };
    let (out, err) = run(&["--json"]);
    assert_eq!((out.lines().count(), err.as_str()), (1, ""));
    serde_json::from_str::<Value>(&out).unwrap();
    let (out, err) = run(&[]);
    assert!(
        out.starts_with("sma_cross  fast=10 ") && out.contains("Max drawdown") && out.contains("SYNTHETIC"),
        "{out}"
    );
    assert!(err.starts_with("export: data/runs/0002-sma_cross-") && err.lines().count() == 1, "{err}");
    let (_, err) = run(&["--no-export"]);
    assert_eq!(err, "");
    assert!(!out.contains('\x1b'), "a pipe gets no colours");
}

/// `| head` closes the pipe before all is written: nobody wants the rest, and nothing went wrong.
#[test]
fn a_reader_that_goes_away_is_no_error() {
    let desk = Desk::new();
    desk.ok(&["backtest", "--timerange", "20250101-20250115", "--store", "run.db"]);
    for args in [&["store", "sql", "run.db", "SELECT * FROM event_store"][..], &["strategies"], &["backtest", "--json"]]
    {
        let mut process = desk.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut reader = process.stdout.take().unwrap();
        let mut first = [0];
        // The first of what is written, or nothing at all, has been read when the pipe breaks.
        assert_eq!(reader.read(&mut first).unwrap(), 1, "{args:?}");
        drop(reader);
        let mut err = String::new();
        process.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        assert_eq!((process.wait().unwrap().code(), err.as_str()), (Some(0), ""), "{args:?}");
    }
}

/// Files of every kind: their names, what is in them, and what they are told to be.
fn files_of_every_kind() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let at = |n: i64| START + n * MINUTE;
    let table = |header: &str, rows: &str| format!("{header}\n{rows}").into_bytes();
    let bars = minutes(60);
    let hours = lines(60, |n| bar(START + n * HOUR, n));
    let micros = lines(60, |n| bar(1_000 * at(n), n));
    let archive = lines(60, |n| format!("{},{},1,1,1,1,0", bar(at(n), n), at(n) + 59_999));
    let mixed = lines(60, |n| format!("\"a, b\",60010,{},59990,60020,60000,1\r", at(n)));
    let agg_trades = lines(60, |n| format!("{n},{}.5,0.1,{n},{n},{},true", 60_000 + n, at(n)));
    let trades = lines(60, |n| format!("{n},{}.5,0.1,6000,{},false", 60_000 + n, at(n)));
    let books = lines(60, |n| format!("{n},60000.1,1,60000.2,2,{0},{0}", at(n)));
    let rates = lines(60, |n| format!("{},0.0001", START + 8 * n * HOUR));

    let klines = KLINES.trim_end();
    let of_books = "update_id,best_bid_price,best_bid_qty,best_ask_price,best_ask_qty,transaction_time,event_time";
    let of_agg = "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker";
    vec![
        ("BTCUSDT.csv", table(klines, &bars), "klines 1m"),
        ("BTCUSDT-1m-2024-05.csv", bars.clone().into(), "klines 1m"),
        ("BTCUSDT-1m-2024-05-01.csv", archive.into(), "klines 1m"),
        ("BTCUSDT.CSV.GZ", gzipped(&(KLINES.to_owned() + &bars)), "klines 1m"),
        ("BTCUSDT-1m-2024-05.zip", zipped("BTCUSDT-1m-2024-05.csv", &bars), "klines 1m"),
        ("BTCUSDT-1h.csv", table(klines, &hours), "klines 1h"),
        // Microseconds, told by their digits or by the header.
        ("BTCUSDT.csv", table(klines, &micros), "klines 1m"),
        ("BTCUSDT.csv", table("open_time_us,open,high,low,close,volume", &micros), "klines 1m"),
        // Another order, a column more, other line ends, a name in small letters.
        ("btcusdt.csv", table("note,close,open_time,low,high,open,volume\r", &mixed), "klines 1m"),
        ("mark-1m/BTCUSDT.csv", table(klines, &bars), "markPriceKlines 1m"),
        ("markPriceKlines/BTCUSDT-1m.csv", bars.into(), "markPriceKlines 1m"),
        ("BTCUSDT.csv", table(of_agg, &agg_trades), "aggTrades"),
        ("BTCUSDT-aggTrades-2024-05.csv", agg_trades.into(), "aggTrades"),
        ("BTCUSDT.csv", table("id,price,qty,quote_qty,time,is_buyer_maker", &trades), "trades"),
        ("BTCUSDT-trades-2024-05.zip", zipped("BTCUSDT-trades-2024-05.csv", &trades), "trades"),
        ("BTCUSDT.csv", table(of_books, &books), "bookTicker"),
        ("BTCUSDT-bookTicker-2024-05.csv", books.into(), "bookTicker"),
        ("BTCUSDT.csv", table("funding_time,funding_rate", &rates), "fundingRate"),
        ("BTCUSDT.csv", table("calc_time,last_funding_rate", &rates), "fundingRate"),
    ]
}

#[test]
fn the_kind_of_a_file_is_told_by_its_columns() {
    for (name, bytes, kind) in files_of_every_kind() {
        // A path may have spaces and letters of any language.
        let name = format!("über uns/{name}");
        let desk = Desk::new();
        desk.write(&name, bytes);
        let told = |file: &str| {
            let list = desk.ok(&["data", "list", file]);
            let row = list.lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(row.contains(" 1 2024-05-01T00:00:00.000Z"), "{file}: {list}");
            row.split(" 1 2024").next().unwrap().to_owned()
        };
        assert_eq!(told(&name), format!("BTCUSDT {kind}"), "{name}");

        // The import writes the same rows as Parquet, and what it wrote is recognised like the file that it came from.
        desk.ok(&["data", "import", &name]);
        let imported = desk.files().into_iter().find(|file| file.ends_with(".parquet")).unwrap();
        assert_eq!(told(&imported), format!("BTCUSDT {kind}"), "{name}");
        if !(kind.starts_with("klines") || kind.ends_with("rades")) {
            continue;
        }
        let run = |file: &str| desk.json(&["--data", file, "--strategy", "grid", "--store", "memory"]);
        let (first, second) = (run(&name), run(&imported));
        assert_eq!(first["bars"].as_u64().unwrap() + first["ticks"].as_u64().unwrap(), 60, "{name}: {first}");
        assert!(first["orders"].as_u64().unwrap() > 0, "{name}: {first}");
        assert_eq!(first["report"], second["report"], "{name}");
    }
}

/// The name of a file tells its symbol; where it does not, `--symbol` does, in capitals or not.
#[test]
fn symbols_come_from_names_or_from_the_option() {
    let desk = Desk::new();
    desk.write("prices.csv", KLINES.to_owned() + &minutes(60));
    desk.write("ETHUSDT.csv", KLINES.to_owned() + &minutes(60));
    for (args, symbols) in [
        (&["--data", "prices.csv", "--symbol", "SOLUSDT"][..], &["SOLUSDT"][..]),
        (&["--data", "prices.csv", "--symbol", "solusdt"], &["SOLUSDT"]),
        (&["--data", "ETHUSDT.csv"], &["ETHUSDT"]),
        (&["--data", "ETHUSDT.csv", "--symbol", "ethusdt", "--symbol", "ETHUSDT"], &["ETHUSDT"]),
        (&["--symbol", "ethusdt", "--timerange", "-20250103"], &["ETHUSDT"]),
        (&["--symbol", "ETHUSDT", "--symbol", "BTCUSDT", "--timerange", "-20250103"], &["ETHUSDT", "BTCUSDT"]),
    ] {
        let report = desk.json(&[args, &["--store", "none"]].concat());
        assert_eq!(report["symbols"], serde_json::json!(symbols), "{args:?}");
    }
}

/// Files of one stream may be named in any order and in folders: the times decide.
#[test]
fn files_and_folders_are_put_in_order() {
    let desk = Desk::new();
    let month = "archive/data/futures/um/monthly/klines/BTCUSDT/1m";
    let part = |from: i64, count| lines(count, |n| bar(START + (from + n) * MINUTE, from + n));
    desk.write(&format!("{month}/BTCUSDT-1m-2024-05.zip"), zipped("a.csv", &part(0, 40)));
    desk.write(&format!("{month}/BTCUSDT-1m-2024-05.zip.CHECKSUM"), "0  a");
    desk.write(&format!("{month}/BTCUSDT-1m-2024-06.csv"), KLINES.to_owned() + &part(40, 60));
    desk.write("whole/BTCUSDT-1m.csv", KLINES.to_owned() + &part(0, 100));
    let run = |args: &[&str]| desk.json(&[args, &["--store", "none"]].concat());
    let whole = run(&["--data", "whole"]);
    let (zip, csv) = (format!("{month}/BTCUSDT-1m-2024-05.zip"), format!("{month}/BTCUSDT-1m-2024-06.csv"));
    for args in [&["--data", "archive"][..], &["--data", &csv, "--data", &zip]] {
        let report = run(args);
        assert_eq!(report["bars"], 100);
        assert_eq!(report["report"], whole["report"], "{args:?}");
    }
}

#[test]
fn a_timerange_is_cut_and_a_timeframe_made() {
    let desk = Desk::new();
    let klines = KLINES.to_owned() + &minutes(3 * 1_440);
    desk.write("BTCUSDT.csv", &klines);
    for (args, bars, from, to) in [
        ("", 3 * 1_440, "2024-05-01T00:00:00.000Z", "2024-05-03T23:59:59.999Z"),
        ("--timerange 20240502-20240503", 1_440, "2024-05-02T00:00:00.000Z", "2024-05-02T23:59:59.999Z"),
        ("--timerange 20240502-", 2_880, "2024-05-02T00:00:00.000Z", "2024-05-03T23:59:59.999Z"),
        ("--timerange -20240502", 1_440, "2024-05-01T00:00:00.000Z", "2024-05-01T23:59:59.999Z"),
        ("--timerange 2024-05-02-2024-05-03", 1_440, "2024-05-02T00:00:00.000Z", "2024-05-02T23:59:59.999Z"),
        ("--timerange 1714608000000-1714611600000", 60, "2024-05-02T00:00:00.000Z", "2024-05-02T00:59:59.999Z"),
        ("--timeframe 5m", 864, "2024-05-01T00:00:00.000Z", "2024-05-03T23:59:59.999Z"),
        (
            "--timeframe 15m --timerange 2024-05-01T00:07-2024-05-02T12:01",
            143,
            "2024-05-01T00:15:00.000Z",
            "2024-05-02T11:59:59.999Z",
        ),
        ("--timeframe 1h", 72, "2024-05-01T00:00:00.000Z", "2024-05-03T23:59:59.999Z"),
    ] {
        let extra: Vec<&str> = args.split_whitespace().collect();
        let report = desk.json(&[&["--data", "BTCUSDT.csv", "--store", "none"], extra.as_slice()].concat());
        assert_eq!(report["bars"], bars, "{args}");
        assert_eq!((&report["from"], &report["to"]), (&from.into(), &to.into()), "{args}");
    }
    // A bar of five minutes is the five of one minute: bars made beforehand give the same run.
    let five = lines(864, |n| {
        let ones: Vec<Vec<i64>> = (5 * n..5 * n + 5)
            .map(|n| bar(START + n * MINUTE, n).split(',').map(|cell| cell.parse().unwrap()).collect())
            .collect();
        let column = |index: usize| ones.iter().map(move |one| one[index]);
        let (high, low) = (column(2).max().unwrap(), column(3).min().unwrap());
        format!("{},{},{high},{low},{},25", ones[0][0], ones[0][1], ones[4][4])
    });
    desk.write("made/BTCUSDT-5m.csv", KLINES.to_owned() + &five);
    let run = |args: &[&str]| desk.json(&[args, &["--store", "none"]].concat());
    let (made, ready) = (run(&["--data", "BTCUSDT.csv", "--timeframe", "5m"]), run(&["--data", "made"]));
    assert!(made["orders"].as_u64().unwrap() > 10);
    assert_eq!(made["report"], ready["report"]);
}

/// The sample has no week that began before it: a coarser bar is whole or not there.
#[test]
fn the_sample_has_every_timeframe() {
    let desk = Desk::new();
    for (timeframe, bars) in [("1m", 259_200), ("3m", 86_400), ("4h", 1_080), ("1d", 180), ("3d", 58), ("1w", 24)] {
        let report = desk.json(&["--timeframe", timeframe, "--store", "none", "--strategy", "buy_and_hold"]);
        assert_eq!((&report["bars"], &report["timeframes"][1]), (&bars.into(), &timeframe.into()), "{timeframe}");
    }
}

#[test]
fn every_strategy_runs_and_its_store_is_whole() {
    let desk = Desk::new();
    let list = desk.ok(&["strategies"]);
    let names: Vec<&str> = list.lines().skip(1).map(|line| line.split_whitespace().next().unwrap()).collect();
    assert_eq!(names.len(), 7, "{list}");
    for name in names {
        let params = desk.ok(&["strategies", name]);
        assert!(params.starts_with(&format!("{name}: ")) && params.contains("PARAMETER"), "{params}");
        if name == "market_maker" {
            let said = desk.refusal(&["backtest", "--strategy", name, "--timerange", "-20250111"]);
            assert!(
                said.starts_with(
                    "error: market_maker follows the book ticker, and the data of BTCUSDT have none\nhint: "
                )
            );
            continue;
        }
        let store = format!("{name}.db");
        let report = desk.json(&["--strategy", name, "--store", &store, "--timerange", "-20250111"]);
        assert!(report["orders"].as_u64().unwrap() > 0, "{name}: {report}");
        let verdict = desk.ok(&["store", "verify", &store]);
        assert!(verdict.contains("good: ") && verdict.contains(report["log_hash"].as_str().unwrap()), "{verdict}");
        assert!(verdict.contains(report["state_hash"].as_str().unwrap()), "{verdict}");
    }
}

#[test]
#[cfg_attr(not(shared_data), ignore = "needs the recordings in ../shared/data")]
fn recordings_run_as_they_are() {
    let desk = Desk::new();
    let ticks = shared_data("ticks");
    for (strategy, params) in [("market_maker", "half_spread=0.0001"), ("grid", "spacing=0.0002")] {
        let args = ["--data", ticks.to_str().unwrap(), "--strategy", strategy, "--param", params, "--store", "run.db"];
        let report = desk.json(&args);
        assert_eq!(report["symbols"], serde_json::json!(["BTCUSDT", "ETHUSDT"]));
        assert_eq!((&report["bars"], &report["ticks"]), (&0.into(), &123_944.into()), "{strategy}");
        assert!(report["fills"].as_u64().unwrap() > 0, "{strategy}: {report}");
        let notes = report["notes"].to_string();
        assert!(notes.contains("depth updates left out"), "what is not used is said: {notes}");
        desk.ok(&["store", "verify", "run.db"]);
        std::fs::remove_file(desk.path("run.db")).unwrap();
        std::fs::remove_file(desk.path("run.db.head")).unwrap();
    }
}

#[test]
#[cfg_attr(not(shared_data), ignore = "needs the recordings in ../shared/data")]
fn the_archive_runs_with_the_exchanges_own_rules() {
    let desk = Desk::new();
    let (archive, info) =
        (shared_data("archive"), shared_data("exchange-info/mainnet-exchangeInfo-2024-10-20.json.gz"));
    let args = ["--data", archive.to_str().unwrap(), "--symbol", "FILUSDT", "--timerange", "20240901-20240908"];
    let report = desk.json(
        &[&args[..], &["--exchange-info", info.to_str().unwrap(), "--leverage", "5", "--store", "none"]].concat(),
    );
    assert_eq!((&report["bars"], &report["symbols"][0]), (&(7 * 1_440).into(), &"FILUSDT".into()));
    assert!(report["fills"].as_u64().unwrap() > 100, "{report}");
}

/// Rates that are missing are said, refused on demand, and never taken for zero.
#[test]
fn funding_is_paid_said_or_refused() {
    let desk = Desk::new();
    let sample =
        desk.json(&["--strategy", "buy_and_hold", "--require-funding", "--store", "none", "--timerange", "-20250108"]);
    assert_eq!(sample["without_funding"], serde_json::json!([]));
    assert_ne!(sample["funding"], "0");

    desk.write("BTCUSDT-1m.csv", KLINES.to_owned() + &minutes(2 * 1_440));
    let settlements = |hours: &[i64]| {
        let rows: Vec<String> = hours.iter().map(|hour| format!("{},0.0001\n", START + hour * HOUR)).collect();
        desk.write("BTCUSDT-fundingRate.csv", "funding_time,funding_rate\n".to_owned() + &rows.concat())
    };
    let (bars, rates) = (["--data", "BTCUSDT-1m.csv"], ["--data", "BTCUSDT-fundingRate.csv"]);
    let quiet = ["--strategy", "buy_and_hold", "--store", "none"];
    let without = desk.json(&[bars, ["--strategy", "buy_and_hold"], ["--store", "none"]].concat());
    assert_eq!((&without["without_funding"], &without["funding"]), (&serde_json::json!(["BTCUSDT"]), &"0".into()));
    let note = "no funding rates in the data of BTCUSDT: positions paid and received none";
    assert!(without["notes"].to_string().contains(note), "{}", without["notes"]);
    let table = desk.ok(&[&["backtest"], &bars[..], &quiet].concat());
    assert!(table.contains(&format!("note: {note}")), "{table}");
    let said = desk.refusal(&[&["backtest", "--require-funding"], &bars[..], &quiet].concat());
    assert_eq!(
        said,
        "error: there are no funding rates of BTCUSDT\nhint: add its funding file with --data, or leave --require-funding out\n"
    );

    // A long position pays a rate above zero: five settlements after the one at which it was not yet there.
    settlements(&[0, 8, 16, 24, 32, 40]);
    let report = desk.json(&[&bars[..], &rates, &quiet, &["--require-funding"]].concat());
    assert!(report["funding"].as_str().unwrap().starts_with('-'), "{report}");
    for (hours, edge, when) in [
        (&[24, 32, 40][..], "begin at 2024-05-02T00:00:00.000Z", "before"),
        (&[0, 8, 16, 24], "end at 2024-05-02T00:00:00.000Z", "after"),
    ] {
        settlements(hours);
        let report = desk.json(&[&bars[..], &rates, &quiet].concat());
        let note = format!("funding rates of BTCUSDT {edge}: {when} that positions paid and received none");
        assert!(report["notes"].to_string().contains(&note), "{}", report["notes"]);
        let said = desk.refusal(&[&["backtest", "--require-funding"], &bars[..], &rates, &quiet].concat());
        let refusal = format!("error: funding rates of BTCUSDT {edge}: there are none {when} that");
        assert!(said.starts_with(&refusal), "{said}");
    }

    settlements(&[0, 8, 24, 32, 40]);
    let said = desk.refusal(&[&["backtest"], &bars[..], &rates, &["--store", "run.db"]].concat());
    let hole = "between 2024-05-01T08:00:00.000Z and 2024-05-02T00:00:00.000Z";
    assert!(said.starts_with(&format!("error: funding rates of BTCUSDT are missing {hole}\nhint: ")), "{said}");
    assert!(said.contains("--timerange"), "{said}");
}

#[test]
fn costs_may_be_rebates_and_delays_may_be_measured() {
    let desk = Desk::new();
    let paid = quick(&desk, &["--strategy", "grid", "--param", "spacing=0.001"]);
    let given = quick(&desk, &["--strategy", "grid", "--param", "spacing=0.001", "--maker-fee", "-0.0001"]);
    assert!(!paid["fees"].as_str().unwrap().starts_with('-'), "{paid}");
    assert!(given["fees"].as_str().unwrap().starts_with('-'), "{given}");

    desk.write("delays.txt", "5\n250us\n\n1.5s\n");
    let measured = quick(&desk, &["--latency", "entry=rows:delays.txt,answer=1ms"]);
    let rows = &measured["config"]["exchange"]["latency"]["entry"]["rows"];
    assert_eq!(*rows, serde_json::json!([5_000_000, 250_000, 1_500_000_000i64]));
    let close = quick(&desk, &["--fill", "close"]);
    assert!(close["notes"].to_string().contains("--fill close fills at the price that decided: optimistic"), "{close}");
}

#[test]
fn the_store_is_where_it_was_asked_for() {
    let desk = Desk::new();
    let run = |args: &[&str]| desk.json(&[&["--timerange", "20250101-20250102"], args].concat());
    assert_eq!(run(&["--store", "none"])["store"], "none");
    assert_eq!(run(&["--store", "memory"])["store"], "memory");
    assert_eq!(desk.files(), Vec::<String>::new());
    let name = "my runs/erster Versuch.db";
    std::fs::create_dir(desk.path("my runs")).unwrap();
    assert_eq!(run(&["--store", name])["store"], name);
    assert_eq!(desk.files(), [name, "my runs/erster Versuch.db.head"]);
    desk.ok(&["store", "verify", name]);

    let report = run(&["--no-export"]);
    let store = report["store"].as_str().unwrap();
    assert_eq!(store, format!("data/runs/0001-sma_cross-{}.db", &report["session_id"].as_str().unwrap()[..8]));
    let files = desk.files();
    assert!(files.contains(&store.to_owned()) && files.len() == 4, "{files:?}");
}

#[test]
fn data_are_imported_listed_and_checked() {
    let desk = Desk::new();
    let empty = desk.run(&["data", "list"]);
    assert_eq!((empty.code, empty.out.as_str()), (0, ""));
    assert_eq!(empty.err, "the catalogue data/catalog holds nothing\nhint: `alphaengine data import FILE` fills it\n");
    // Twenty minutes before a month ends and twenty after it.
    let june = START + 31 * 24 * HOUR;
    desk.write("BTCUSDT-1m.csv", KLINES.to_owned() + &lines(40, |n| bar(june + (n - 20) * MINUTE, n)));
    let printed = desk.ok(&["data", "import", "BTCUSDT-1m.csv"]);
    assert!(printed.ends_with("2 files under data/catalog, 40 rows\n"), "{printed}");
    let list = desk.ok(&["data", "list"]);
    let row: Vec<&str> = list.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(
        row[..7],
        ["BTCUSDT", "klines", "1m", "40", "2024-05-31T23:40:00.000Z", "2024-06-01T00:19:00.000Z", "2"]
    );
    let report = desk.json(&["--data", "data/catalog", "--store", "none"]);
    assert_eq!(report["bars"], 40);

    // What is there is not written over by accident.
    let said = desk.refusal(&["data", "import", "BTCUSDT-1m.csv"]);
    assert!(said.contains("BTCUSDT-1m-2024-05.parquet") && said.contains("hint: "), "{said}");
    desk.ok(&["data", "import", "--replace", "BTCUSDT-1m.csv"]);

    let clean = desk.run(&["data", "check", "BTCUSDT-1m.csv"]);
    assert_eq!((clean.code, clean.err.as_str()), (0, ""), "{clean:?}");
    assert!(clean.out.contains("BTCUSDT klines 1m: 40 rows") && clean.out.contains("nothing wrong"), "{}", clean.out);
    for (name, rows, finding) in [
        ("gap", minutes(20) + &bar(START + 25 * MINUTE, 25), "problem: missing: 5"),
        ("twice", minutes(20) + &bar(START + 19 * MINUTE, 19), "problem: duplicates: 1"),
        ("back", minutes(20) + &bar(START, 0), "problem: times that go back: 1"),
        (
            "ohlc",
            minutes(20) + &format!("{},60000,59990,60010,60000,1", START + 20 * MINUTE),
            "problem: contradictory bars: 1",
        ),
        (
            "nan",
            minutes(20) + &format!("{},NaN,1,1,1,1", START + 20 * MINUTE),
            "problem: unreadable: row 22: `open`: `NaN` is",
        ),
        // Further down than what is looked at to tell what a file is.
        ("late", minutes(2_000) + "1,NaN,1,1,1,1", "problem: unreadable from here on: late/BTCUSDT-1m.csv: row 2002: "),
    ] {
        let file = format!("{name}/BTCUSDT-1m.csv");
        desk.write(&file, KLINES.to_owned() + &rows + "\n");
        let ended = desk.run(&["data", "check", &file]);
        assert_eq!((ended.code, ended.err.as_str()), (1, ""), "{ended:?}");
        assert!(ended.out.contains(finding), "{name}: {}", ended.out);
    }
}

/// Each file is whole by itself; what is missing lies between them.
#[test]
fn missing_bars_between_files_are_told_by_a_backtest_and_by_a_check() {
    let desk = Desk::new();
    let month = |from: i64| KLINES.to_owned() + &lines(30, |n| bar(START + (from + n) * MINUTE, n));
    desk.write("data/BTCUSDT-1m-a.csv", month(0));
    desk.write("data/BTCUSDT-1m-b.csv", month(30));
    let notes = || {
        let report = desk.json(&["--data", "data", "--param", "fast=2", "--param", "slow=5", "--store", "none"]);
        report["notes"].to_string()
    };
    assert!(!notes().contains("missing"), "{}", notes());
    let whole = desk.run(&["data", "check", "data"]);
    assert_eq!((whole.code, whole.err.as_str()), (0, ""), "{whole:?}");
    assert!(whole.out.ends_with("\nBTCUSDT klines 1m: 2 files, nothing missing between them\n"), "{}", whole.out);

    desk.write("data/BTCUSDT-1m-c.csv", month(120));
    let told = "BTCUSDT klines: 60 bars are missing, from 2024-05-01T00:59:59.999Z to 2024-05-01T02:00:00.000Z";
    assert!(notes().contains(told), "{}", notes());
    let holed = desk.run(&["data", "check", "data"]);
    assert_eq!((holed.code, holed.err.as_str()), (1, ""), "{holed:?}");
    let expected = "\nBTCUSDT klines 1m: 3 files, problems\n  problem: missing between files: 60\n    \
                    2024-05-01T01:00:00.000Z: 60 rows up to 2024-05-01T02:00:00.000Z\n";
    assert!(holed.out.ends_with(expected), "{}", holed.out);
    assert_eq!(holed.out.matches("nothing wrong").count(), 3, "{}", holed.out);
}

#[test]
fn a_catalogue_is_listed_by_its_name_and_symbols() {
    let desk = Desk::new();
    desk.write("BTCUSDT-1m.csv", KLINES.to_owned() + &minutes(20));
    desk.write("ETHUSDT-1m.csv", KLINES.to_owned() + &minutes(20));
    desk.ok(&["data", "import", "--catalog", "mine", "BTCUSDT-1m.csv", "ETHUSDT-1m.csv"]);
    let list = |args: &[&str]| desk.ok(&[&["data", "list"], args].concat()).lines().count();
    assert_eq!(list(&["--catalog", "mine"]), 3, "a head and two streams");
    assert_eq!(list(&["--catalog", "mine", "--symbol", "ethusdt"]), 2);
    assert_eq!(list(&["--symbol", "BTCUSDT", "BTCUSDT-1m.csv"]), 2);
    // A file whose name tells no symbol is listed by the option that the error names.
    desk.write("prices/1m.csv", KLINES.to_owned() + &minutes(20));
    assert!(desk.refusal(&["data", "list", "prices/1m.csv"]).contains("--symbol"));
    assert_eq!(list(&["--symbol", "BTCUSDT", "prices/1m.csv"]), 2);
}

#[test]
fn a_store_can_be_measured_and_asked() {
    let desk = Desk::new();
    let report = desk.json(&["--timerange", "20250101-20250102"]);
    let store = report["store"].as_str().unwrap();
    let stats = desk.ok(&["store", "stats"]);
    assert!(stats.starts_with(&format!("{store}  schema 3, ")), "{stats}");
    let counted = stats.lines().find(|line| line.starts_with("event_store")).unwrap();
    assert_eq!(counted.split_whitespace().nth(1).unwrap(), report["events"].to_string());

    // The questions that the design promises to answer.
    let sql = "SELECT dedup_key, COUNT(*) AS cnt FROM event_store GROUP BY dedup_key HAVING cnt > 1;
               SELECT 'event_store' AS table_name, COUNT(*) AS row_count FROM event_store
               UNION ALL SELECT 'command_store', COUNT(*) FROM command_store;
               PRAGMA integrity_check;";
    let commands = rows(&desk.path(store), "SELECT COUNT(*) FROM command_store");
    let [rusqlite::types::Value::Integer(commands)] = commands[0].as_slice() else { panic!("{commands:?}") };
    let answers = format!(
        "dedup_key|cnt\ntable_name|row_count\nevent_store|{}\ncommand_store|{commands}\nintegrity_check\nok\n",
        report["events"]
    );
    assert_eq!(desk.ok(&["store", "sql", sql]), answers);
    assert_eq!(
        desk.ok(&["store", "sql", store, "SELECT 1 AS one, NULL, x'0aff', 'a|b'"]).lines().nth(1),
        Some("1||0aff|a|b")
    );
}

/// Changes that a database does not mind and a log does: each is found, and the answer is "no", which is no failure to answer.
/// All rows of one text, as one.
fn all(connection: &rusqlite::Connection, sql: &str) -> String {
    let mut statement = connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get::<_, String>(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

#[test]
fn a_store_that_was_changed_is_found_out() {
    let desk = Desk::new();
    let tampered = |change: &str| {
        let name = "run.db";
        for file in desk.files() {
            std::fs::remove_file(desk.path(&file)).unwrap();
        }
        desk.ok(&["backtest", "--timerange", "20250101-20250103", "--store", name]);
        let connection = rusqlite::Connection::open(desk.path(name)).unwrap();
        // Who tampers leaves no other trace than in the rows.
        let triggers = "SELECT 'DROP TRIGGER ' || name || ';' FROM sqlite_schema WHERE type = 'trigger'";
        let again = "SELECT sql || ';' FROM sqlite_schema WHERE type = 'trigger'";
        let (free, again) = (all(&connection, triggers), all(&connection, again));
        connection.execute_batch(&format!("{free} {change}; {again} PRAGMA wal_checkpoint(TRUNCATE);")).unwrap();
        drop(connection);
        desk.run(&["store", "verify", name])
    };
    for (change, finding) in [
        (
            "UPDATE event_store SET payload_json = replace(payload_json, '\"fee\":\"', '\"fee\":\"1')",
            "was changed: its hash does not follow from the row before it",
        ),
        ("UPDATE event_store SET ts = ts + 1 WHERE seq = 20", "event 20 was changed"),
        ("DELETE FROM event_store WHERE seq = 20", "event 19 is followed by 21: rows are missing"),
        ("DELETE FROM event_store WHERE seq > 100", "was durable, but the log is in order only up to 100"),
        ("UPDATE journal_line SET amount_e8 = amount_e8 + 1 WHERE line_id = 9", "journal"),
        ("UPDATE checkpoint_store SET state_hash = zeroblob(32)", "checkpoint"),
    ] {
        let ended = tampered(change);
        assert_eq!((ended.code, ended.err.as_str()), (1, ""), "{change}: {ended:?}");
        assert!(ended.out.contains("DAMAGED: ") && ended.out.contains(finding), "{change}: {}", ended.out);
    }
    let untouched = tampered("SELECT 1");
    assert_eq!(untouched.code, 0, "{untouched:?}");
    std::fs::remove_file(desk.path("run.db.head")).unwrap();
    let without_mark = desk.run(&["store", "verify", "run.db"]);
    assert!(without_mark.code == 1 && without_mark.out.contains("head mark"), "{without_mark:?}");
    std::fs::write(desk.path("run.db"), "SQLite format 3\0 and then nothing that makes sense").unwrap();
    let Ended { code, out, err } = desk.run(&["store", "verify", "run.db"]);
    assert!(code == 2 && out.is_empty() && err.starts_with("error: run.db: "), "{err}");
}

#[test]
fn help_and_version_are_results() {
    let desk = Desk::new();
    for args in
        [&["--help"][..], &["--version"], &["backtest", "--help"], &["store", "sql", "--help"], &["help", "data"]]
    {
        let ended = desk.run(args);
        assert_eq!((ended.code, ended.err.as_str()), (0, ""), "{args:?}: {ended:?}");
        assert!(!ended.out.is_empty(), "{args:?}");
    }
    // Whoever types nothing needs help, and did not get a result.
    let ended = desk.run(&[]);
    assert!(ended.code == 2 && ended.out.is_empty() && ended.err.contains("Usage: alphaengine <COMMAND>"), "{ended:?}");
}

/// Beside every table there is an object or an array for programs.
#[test]
fn every_table_has_a_form_for_programs() {
    let desk = Desk::new();
    let empty = |args: &[&str]| assert_eq!(desk.ok(args).trim(), "[]", "{args:?}");
    empty(&["runs", "list", "--json"]);
    empty(&["data", "list", "--json"]);
    desk.ok(&["backtest", "--timerange", "20250101-20250103", "--no-export"]);
    let file = desk.write("BTCUSDT-1m.csv", "open_time,open,high,low,close,volume\n1714000020000,10,12,9,11,5\n");
    let first = |args: &[&str]| -> Value { serde_json::from_str::<Vec<Value>>(&desk.ok(args)).unwrap().remove(0) };
    let run = first(&["runs", "list", "--json"]);
    assert_eq!((&run["run"], &run["strategy"], &run["problem"]), (&json!(1), &json!("sma_cross"), &Value::Null));
    assert!(run["final_equity"].as_str().unwrap().parse::<f64>().unwrap() > 0.0);
    let stream = first(&["data", "list", "--json", file.to_str().unwrap()]);
    assert_eq!((&stream["symbol"], &stream["kind"]), (&json!("BTCUSDT"), &json!("klines")));
    assert_eq!(first(&["strategies", "--json"])["strategy"], "sma_cross");
    assert_eq!(first(&["strategies", "sma_cross", "--json"])["parameter"], "fast");
    let stats: Value = serde_json::from_str(&desk.ok(&["store", "stats", "--json"])).unwrap();
    assert_eq!(stats["events"]["SessionStarted"], 1);
    assert_eq!(stats["tables"]["session"], 1);
}

/// Funding comes in one folder for all symbols: those that nobody can trade are told and left out.
#[test]
fn symbols_without_prices_are_left_out_where_nobody_named_them() {
    let desk = Desk::new();
    let bars: String =
        (0..40).map(|minute| format!("{},10,12,9,11,5\n", 1_714_000_020_000_u64 + 60_000 * minute)).collect();
    desk.write("all/BTCUSDT-1m.csv", format!("open_time,open,high,low,close,volume\n{bars}"));
    desk.write("all/ETHUSDT-fundingRate.csv", "calc_time,last_funding_rate\n1714003200000,0.0001\n");
    let report = desk.json(&["--data", "all", "--store", "none"]);
    assert_eq!(report["symbols"], json!(["BTCUSDT"]));
    let notes = report["notes"].to_string();
    assert!(notes.contains("ETHUSDT is left out: there is nothing to trade ETHUSDT on"), "{notes}");
    let named = desk.run(&["backtest", "--data", "all", "--symbol", "ETHUSDT"]);
    assert!(named.code == 2 && named.err.contains("there is nothing to trade ETHUSDT on"), "{named:?}");
}
