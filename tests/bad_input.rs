//! What the command says to input that cannot be used: one sentence with the place, a hint where there is one, exit 2, and a
//! folder that looks as it did before.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

mod support;

use std::io::Write;
use std::process::{Command, Stdio};

use support::{Desk, Ended, rows};

const HEADER: &str = "open_time,open,high,low,close,volume\n";

/// Bars of 2024-05-01, one a minute, as lines of a CSV file.
fn klines(count: i64) -> String {
    let line = |minute: i64| {
        let open = 60_000 + 50 * (minute % 7);
        format!("{},{open},{},{},{open},5\n", 1_714_521_600_000 + 60_000 * minute, open + 10, open - 10)
    };
    (0..count).map(line).collect()
}

/// A desk with a file of good bars.
fn desk() -> Desk {
    let desk = Desk::new();
    desk.write("BTCUSDT-1m.csv", HEADER.to_owned() + &klines(100));
    desk
}

/// The same with one more file, or with another one of that name.
fn desk_with(name: &str, bytes: impl AsRef<[u8]>) -> Desk {
    let desk = desk();
    desk.write(name, bytes);
    desk
}

/// The arguments of a quick backtest that keeps its events, so that there is something to leave behind.
fn backtest<'a>(args: &[&'a str]) -> Vec<&'a str> {
    [&["backtest", "--timerange", "20250101-20250102"], args].concat()
}

#[test]
fn options_that_cannot_be_are_named() {
    let desk = desk();
    for (args, sentence) in [
        // The strategy and its parameters.
        (
            "--strategy sma_cros",
            "unknown strategy `sma_cros`; known are sma_cross donchian_breakout atr_risk grid market_maker buy_and_hold drill\n\
             hint: did you mean `--strategy sma_cross`?",
        ),
        ("--strategy gird", "unknown strategy `gird`; *hint: did you mean `--strategy grid`?"),
        ("--strategy ichimoku", "unknown strategy `ichimoku`; known are *drill"),
        (
            "--param fats=5",
            "option --param: unknown parameter `fats` of sma_cross; it has fast slow qty risk mode\n\
             hint: did you mean `--param fast=...`?",
        ),
        (
            "--param fast=0",
            "option --param: parameter `fast`: `0` is not allowed; give 1 to 10000\n\
             hint: `alphaengine strategies sma_cross` lists its parameters",
        ),
        ("--param fast=10001", "option --param: parameter `fast`: `10001` is not allowed; give 1 to 10000*"),
        ("--param fast=99999999999999999999", "option --param: parameter `fast`: *is not allowed; give 1 to 10000*"),
        ("--param fast=2.5", "option --param: parameter `fast`: `2.5` is not allowed; give 1 to 10000*"),
        (
            "--param qty=0.000000001",
            "option --param: parameter `qty`: `0.000000001` is not allowed; give 0 to 1000000*",
        ),
        ("--param mode=short", "option --param: parameter `mode`: `short` is not allowed; give long | long_short*"),
        ("--param fast", "option --param: `fast` is not a parameter: write name=value*"),
        ("--param fast=5 --param fast=6", "option --param: parameter `fast` is given twice*"),
        ("--param fast=40", "strategy sma_cross: fast=40 must be less than slow=30*"),
        // What is traded, and when.
        (
            "--symbol BTCUSD",
            "option --symbol: there are no data of BTCUSD; the data have BTCUSDT ETHUSDT\n\
             hint: did you mean `--symbol BTCUSDT`?",
        ),
        ("--symbol BTC/USDT", "option --symbol: `BTC/USDT` is not a symbol: *"),
        (
            "--data BTCUSDT-1m.csv --symbol SOLUSDT",
            "option --symbol: there are no data of SOLUSDT; the data have BTCUSDT\nhint: the symbol is told by the beginning of the file's name",
        ),
        (
            "--data sample --data BTCUSDT-1m.csv",
            "option --data: the SYNTHETIC sample cannot be mixed with files\nhint: *",
        ),
        ("--timeframe 7m", "option --timeframe: `7m` is not a timeframe: use one of 1m 3m 5m *"),
        ("--timerange 2025", "option --timerange: `2025` has no `-`\nhint: write it as 20250504-20250601; *"),
        ("--timerange 20251304-", "option --timerange: `20251304` is not a UTC time: *\nhint: *"),
        (
            "--timerange 20250201-20250101",
            "option --timerange: 2025-02-01T00:00:00.000Z is not before 2025-01-01*\nhint: *",
        ),
        (
            "--timerange 20250101-20250101",
            "option --timerange: 2025-01-01T00:00:00.000Z is not before 2025-01-01*\nhint: *",
        ),
        (
            "--timerange 20240101-20240201",
            "there are no data between 2024-01-01T00:00:00.000Z and 2024-02-01T00:00:00.000Z\n\
             hint: `alphaengine data check FILE` says what a file holds",
        ),
        ("--data BTCUSDT-1m.csv --timerange 20250101-", "there are no data from 2025-01-01T00:00:00.000Z on\nhint: *"),
        (
            "--timerange 20250101-20250101T0010",
            "not enough warm-up: sma_cross needs 30 bars before its first decision, BTCUSDT has 10\n\
             hint: use more data, a finer --timeframe, or smaller periods",
        ),
        // Money and costs.
        ("--cash 0", "option --cash: 0 is not positive"),
        ("--cash -5", "option --cash: -5 is not positive"),
        ("--cash ten", "option --cash: `ten` is not a decimal number"),
        ("--cash 1e30", "option --cash: `1e30` is out of range: the largest value is 92233720368.54775807"),
        ("--cash 0.000000001", "option --cash: `0.000000001` has more than 8 decimals"),
        ("--leverage 0", "option --leverage: 0 is not allowed for BTCUSDT: give 1 to 150"),
        ("--leverage 126", "option --leverage: 126 is not allowed for ETHUSDT: give 1 to 125"),
        ("--leverage -1", "option --leverage: `-1` is not a whole number in its range"),
        ("--leverage 1.5", "option --leverage: `1.5` is not a whole number in its range"),
        ("--taker-fee 5", "option --taker-fee: 5 is more than 10 %\nhint: a rate is a share: *"),
        ("--maker-fee 0.02%", "option --maker-fee: `0.02%` is not a decimal number"),
        ("--slippage-bps -1", "option --slippage-bps: -1 is not between 0 and 1000"),
        ("--volume-cap 1.5", "option --volume-cap: 1.5 is not above 0 and at most 1"),
        ("--seed x", "option --seed: `x` is not a whole number in its range"),
        ("--max-order 0", "option --max-order: 0 is not positive"),
        ("--max-open-orders -1", "option --max-open-orders: `-1` is not a whole number in its range"),
        ("--latency soon", "option --latency: `soon` is not a span of time from 0 to 1 hour: *\nhint: write 5ms, or *"),
        ("--latency -5ms", "option --latency: `-5ms` is not a span of time from 0 to 1 hour: *\nhint: *"),
        ("--latency way=5ms", "option --latency: `way` is not one of feed, entry, answer\nhint: *"),
        ("--latency entry=uniform:9ms:1ms", "option --latency: `uniform:9ms:1ms`: *\nhint: *"),
        ("--latency entry=rows:delays.txt", "option --latency: delays.txt: cannot be read: *\nhint: *"),
        ("--exchange-info rules.json", "option --exchange-info: rules.json: cannot be read: *"),
        ("--brackets BTCUSDT-1m.csv", "option --brackets: BTCUSDT-1m.csv: *"),
        // Where the events go.
        (
            "--store missing/run.db",
            "missing/run.db: cannot be written: the directory does not exist\nhint: make the directory missing first",
        ),
        (
            "--store BTCUSDT-1m.csv",
            "BTCUSDT-1m.csv: the file exists already\nhint: name a new file, or move this one away",
        ),
        ("--store .", ".: the file exists already\nhint: *"),
        ("--store none --export out", "option --export: there is no store to export from\nhint: *"),
    ] {
        // The time range of a case replaces the usual one.
        let args: Vec<&str> = args.split(' ').collect();
        let args = if args.contains(&"--timerange") || args.contains(&"BTCUSDT-1m.csv") {
            [&["backtest"], args.as_slice()].concat()
        } else {
            backtest(&args)
        };
        assert_says(&desk.refusal(&args), sentence, &format!("{args:?}"));
    }
    // Names that are empty cannot be written in a table that is split at spaces.
    for (option, sentence) in [
        ("--strategy", "unknown strategy ``; known are *drill"),
        ("--param", "option --param: `` is not a parameter: write name=value\nhint: *"),
        ("--data", "option --data: the name is empty"),
        ("--store", "option --store: the name is empty"),
        ("--symbol", "option --symbol: `` is not a symbol: *"),
    ] {
        assert_says(&desk.refusal(&backtest(&[option, ""])), sentence, option);
    }
}

/// Checks what was said; a `*` stands for anything. Nothing may follow where the pattern ends without one.
#[track_caller]
fn assert_says(said: &str, pattern: &str, case: &str) {
    let pattern = format!("error: {pattern}\n");
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap();
    let mut rest = said.strip_prefix(first).unwrap_or_else(|| panic!("{case}\nsaid: {said}not: {pattern}"));
    let mut ends_open = false;
    for part in parts {
        let at = if part == "\n" { Some(rest.len() - 1) } else { rest.find(part) };
        let at = at.unwrap_or_else(|| panic!("{case}\nsaid: {said}not: {pattern}"));
        rest = &rest[at + part.len()..];
        ends_open = part == "\n";
    }
    assert!(rest.is_empty() || ends_open, "{case}\nsaid: {said}not: {pattern}");
}

/// Usage that clap refuses by itself has its own form, and the same exit code and silence on stdout.
#[test]
fn usage_that_cannot_be_is_explained() {
    let desk = Desk::new();
    for (args, sentence) in [
        (&["bactest"][..], "unrecognized subcommand 'bactest'"),
        (&["backtest", "--stratgy", "grid"], "unexpected argument '--stratgy' found"),
        (&["backtest", "grid"], "unexpected argument 'grid' found"),
        (&["backtest", "--fill", "open"], "[possible values: next-open, close]"),
        (&["backtest", "--margin", "both"], "[possible values: cross, isolated]"),
        (&["backtest", "--store"], "a value is required for '--store"),
        (&["backtest", "--export", "out", "--no-export"], "cannot be used with"),
        (&["export"], "--out <DIR>"),
        (&["export", "--out", "out", "--format", "xlsx"], "[possible values: csv, parquet]"),
        (&["data", "import"], "<FILES>..."),
        (&["store", "sql"], "<SQL>"),
    ] {
        let ended = desk.run(args);
        assert_eq!((ended.code, ended.out.as_str()), (2, ""), "{args:?}: {ended:?}");
        assert!(ended.err.starts_with("error: ") && ended.err.contains(sentence), "{args:?}: {}", ended.err);
    }
    assert_eq!(desk.files(), Vec::<String>::new());
}

#[test]
fn rows_that_cannot_be_are_named_with_file_and_row() {
    let good = HEADER.to_owned() + &klines(40);
    for (row, sentence) in [
        ("1714524000000,NaN,60010,59990,60000,5", "`open`: `NaN` is not a number\nhint: *"),
        ("1714524000000,60000,inf,59990,60000,5", "`high`: `inf` is not a number\nhint: *"),
        ("1714524000000,60000,60010,-59990,60000,5", "`low` is -59990: a price must be positive"),
        ("1714524000000,60000,60010,0,60000,5", "`low` is 0: a price must be positive"),
        ("1714524000000,60000,60010,59990,60000,-5", "`volume` is -5: it must not be negative"),
        ("1714524000000,60000,60010,59990,sixty,5", "`close`: `sixty` is not a decimal number*"),
        ("1714524000000,60000,60010,59990,,5", "`close`: the cell is empty*"),
        ("1714524000000,60000,60010,59990,60000", "5 columns where the first row has 6*"),
        ("1714524000000,99999999999999999999,60010,59990,60000,5", "`open`: `99999999999999999999` is out of range: *"),
        (
            "1714521600000,60000,60010,59990,60000,5",
            "the time goes back from 2024-05-01T00:39:00.000Z to 2024-05-01T00:00:00.000Z*",
        ),
        ("1714523940000,60000,60010,59990,60000,5", "the opening time 2024-05-01T00:39:00.000Z comes twice*"),
        (
            "1714524000,60000,60010,59990,60000,5",
            "the time 1714524000 has 10 digits: *\nhint: these look like seconds: *",
        ),
    ] {
        let desk = desk_with("bad/BTCUSDT-1m.csv", format!("{good}{row}\n"));
        let said = desk.refusal(&["backtest", "--data", "bad/BTCUSDT-1m.csv"]);
        assert_says(&said, &format!("bad/BTCUSDT-1m.csv: row 42: {sentence}"), row);
        let said = desk.refusal(&["data", "import", "bad/BTCUSDT-1m.csv"]);
        assert_says(&said, &format!("bad/BTCUSDT-1m.csv: row 42: {sentence}"), row);
    }
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let text = HEADER.to_owned() + &klines(20_000);
    let zip = zipped("BTCUSDT-1m.csv", text.as_bytes());
    let gz = gzipped(text.as_bytes());
    let parquet = parquet(text.as_bytes());
    let noise: Vec<u8> = (0..20_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let half = |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec();
    for (name, bytes, sentence) in [
        ("BTCUSDT.csv", Vec::new(), "the file is empty"),
        ("BTCUSDT.zip", Vec::new(), "*"),
        ("BTCUSDT.gz", Vec::new(), "*"),
        ("BTCUSDT.parquet", Vec::new(), "*"),
        ("BTCUSDT-1m.csv", HEADER.into(), "the file holds no rows"),
        ("BTCUSDT.csv", noise.clone(), "*"),
        ("BTCUSDT.zip", noise.clone(), "the zip cannot be read: *\nhint: download it again"),
        ("BTCUSDT.gz", noise.clone(), "the packed file is damaged: *\nhint: download it again"),
        ("BTCUSDT.parquet", noise, "cannot be read: *"),
        ("BTCUSDT-1m.zip", half(&zip), "the zip cannot be read: *\nhint: download it again"),
        ("BTCUSDT-1m.csv.gz", half(&gz), "the packed file ends too early\nhint: download it again"),
        ("BTCUSDT-1m.parquet", half(&parquet), "cannot be read: *"),
        (
            "BTCUSDT.csv",
            "open_time,open,high,low\n1,1,1,1\n".into(),
            "the column `close` of klines is missing; *\nhint: known are *",
        ),
        (
            "BTCUSDT.csv",
            "red,green\n1,2\n".into(),
            "the columns red, green are of no known kind of file\nhint: known are *",
        ),
        (
            "BTCUSDT.csv",
            text.replace(',', ";").into(),
            "the columns open_time;open;*are of no known kind of file\nhint: *",
        ),
        (
            "BTCUSDT.csv",
            "<html>404</html>\n".into(),
            "the columns <html>404</html> are of no known kind of file\nhint: *",
        ),
        (
            "BTCUSDT.json",
            "{}".into(),
            "a file that ends in `.json` is of no known kind\nhint: known are csv, zip, gz, parquet *",
        ),
        ("prices.csv", text.clone().into(), "the name of the file does not tell its symbol\nhint: *"),
    ] {
        let name = format!("the data/{name}");
        let desk = desk_with(&name, &bytes);
        let case = format!("{name}, {} bytes", bytes.len());
        assert_says(&desk.refusal(&["backtest", "--data", &name]), &format!("{name}: {sentence}"), &case);
        assert_says(&desk.refusal(&["data", "import", &name]), &format!("{name}: {sentence}"), &case);
    }
    // What cannot be traded on, and what is not there in the time that is wanted.
    let desk = desk_with("markPriceKlines/BTCUSDT-1m.csv", &text);
    for (args, sentence) in [
        (
            "--data markPriceKlines/BTCUSDT-1m.csv",
            "there is nothing to trade BTCUSDT on in these files: no klines, trades or book tickers\nhint: *--data*",
        ),
        (
            "--data BTCUSDT-1m.csv --symbol BTCUSDT --timerange 20230101-20230201",
            "there are no data of BTCUSDT between 2023-01-01T00:00:00.000Z and 2023-02-01T00:00:00.000Z\nhint: *",
        ),
    ] {
        let args: Vec<&str> = ["backtest"].into_iter().chain(args.split(' ')).collect();
        assert_says(&desk.refusal(&args), sentence, &format!("{args:?}"));
    }
    for (args, sentence) in [
        (
            "list --catalog nope",
            "option --catalog: there is no folder nope\nhint: `alphaengine data import FILE --catalog nope` makes it",
        ),
        (
            "fetch --symbol BTCUSDT --from 2024-01 --kind foo",
            "option --kind: `foo` is not a kind of data; known are klines markPriceKlines fundingRate bookTicker trades aggTrades",
        ),
        ("fetch --symbol BTCUSDT --from 2024-01 --kind recording", "the archive has no recordings\nhint: *"),
    ] {
        let args: Vec<&str> = ["data"].into_iter().chain(args.split(' ')).collect();
        assert_says(&desk.refusal(&args), sentence, &format!("{args:?}"));
    }
    desk.ok(&["data", "import", "BTCUSDT-1m.csv"]);
    assert_says(
        &desk.refusal(&["data", "import", "BTCUSDT-1m.csv"]),
        "data/catalog/*: the catalogue already has 2024-05\nhint: *--replace",
        "a month that is there",
    );
    assert_says(
        &desk.refusal(&["data", "list", "--symbol", "BTCUSD"]),
        "option --symbol: there are no data of BTCUSD; the data have BTCUSDT\nhint: did you mean `--symbol BTCUSDT`?",
        "a symbol that the catalogue lacks",
    );
    let desk = desk_with("notes/README.md", "no data here");
    for args in [["backtest", "--data"], ["data", "import"], ["data", "check"], ["data", "list"]] {
        let said = |name| desk.refusal(&[args[0], args[1], name]);
        assert_says(&said("missing.csv"), "missing.csv: cannot be read: No such file*", &format!("{args:?}"));
        let nothing =
            if args[1] == "check" { "there are no data to check*" } else { "no data found in notes\nhint: name *" };
        assert_says(&said("notes"), nothing, &format!("{args:?}"));
    }
    let said = desk.refusal(&[
        "backtest",
        "--data",
        "BTCUSDT-1m.csv",
        "--data",
        "./notes/../BTCUSDT-1m.csv",
        "--data",
        "x.csv",
    ]);
    assert_says(&said, "x.csv: cannot be read: No such file*", "a file that is there does not hide one that is not");
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zipped(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap().into_inner()
}

/// Bars as Parquet, made by the import.
fn parquet(csv: &[u8]) -> Vec<u8> {
    let desk = desk_with("BTCUSDT-1m.csv", csv);
    desk.ok(&["data", "import", "BTCUSDT-1m.csv"]);
    std::fs::read(desk.path("data/catalog/BTCUSDT/klines-1m/BTCUSDT-1m-2024-05.parquet")).unwrap()
}

/// A symbol whose rules nobody told.
#[test]
fn a_symbol_without_rules_is_named() {
    let desk = desk_with("UNHEARDUSDT-1m.csv", HEADER.to_owned() + &klines(100));
    let said = desk.refusal(&["backtest", "--data", "UNHEARDUSDT-1m.csv"]);
    assert_says(&said, "*UNHEARDUSDT*\nhint: name the exchange's rules with --exchange-info FILE*", "unknown symbol");
}

#[test]
fn runs_and_stores_that_are_not_there_are_named() {
    let desk = desk_with("notes.txt", "these are no events");
    let stranger = rusqlite::Connection::open(desk.path("stranger.db")).unwrap();
    stranger.execute_batch("CREATE TABLE cats (name TEXT)").unwrap();
    drop(stranger);
    for (run, sentence) in [
        ("latest", "there are no runs under data/runs\nhint: run `alphaengine backtest` first, or name a store file"),
        ("7", "there is no run `7` under data/runs\nhint: `alphaengine runs list` shows the runs there are"),
        (
            "notes.txt",
            "notes.txt: is not an event store\nhint: name a file that `alphaengine backtest --store FILE` wrote",
        ),
        ("stranger.db", "stranger.db: is not an event store\nhint: *"),
    ] {
        for args in [
            &["runs", "show", run][..],
            &["export", "--out", "out", "--run", run],
            &["store", "verify", run],
            &["store", "stats", run],
            &["store", "sql", run, "SELECT 1"],
        ] {
            assert_says(&desk.refusal(args), sentence, &format!("{args:?}"));
        }
    }
    let said = desk.refusal(&["store", "verify", "missing.db"]);
    assert_says(
        &said,
        "missing.db: there is no such store\nhint: `alphaengine runs list` shows the runs there are",
        "",
    );
}

#[test]
fn a_store_of_a_newer_schema_is_left_alone() {
    let desk = Desk::new();
    desk.ok(&backtest(&["--store", "run.db"]));
    let store = rusqlite::Connection::open(desk.path("run.db")).unwrap();
    store.pragma_update(None, "user_version", 99).unwrap();
    store.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(store);
    let before = std::fs::read(desk.path("run.db")).unwrap();
    for args in [
        &["runs", "show", "run.db"][..],
        &["export", "--out", "out", "--run", "run.db"],
        &["store", "verify", "run.db"],
        &["store", "stats", "run.db"],
        &["store", "sql", "run.db", "SELECT 1"],
    ] {
        let ended = desk.run(args);
        ended.check_refusal(&format!("{args:?}"));
        let sentence = "run.db: the store has schema version 99, this program knows up to 3\n\
                        hint: use the program that wrote it, or a newer one";
        assert_says(&ended.err, sentence, &format!("{args:?}"));
    }
    assert!(!desk.path("out").exists());
    assert_eq!(std::fs::read(desk.path("run.db")).unwrap(), before);
}

/// SQL that would change something is refused, whatever it is hidden in.
#[test]
fn sql_only_reads() {
    let desk = Desk::new();
    desk.ok(&backtest(&["--store", "run.db"]));
    let count = || rows(&desk.path("run.db"), "SELECT COUNT(*) FROM event_store");
    let before = count();
    for sql in
        ["DELETE FROM event_store", "SELECT 1; DROP TABLE event_store", "VACUUM", "PRAGMA user_version = 7", "selec"]
    {
        let ended = desk.run(&["store", "sql", "run.db", sql]);
        assert_eq!(ended.code, 2, "{sql}: {ended:?}");
        assert!(ended.err.starts_with("error: the SQL cannot be run: "), "{sql}: {}", ended.err);
    }
    assert_eq!(count(), before);
}

/// Two processes that were told the same file: one makes it, the other says that it is there, and the file is whole.
#[test]
fn a_second_process_does_not_touch_the_store_of_the_first() {
    let desk = Desk::new();
    let start = || {
        let mut command = desk.command(&backtest(&["--store", "run.db", "--json"]));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let ends = [start(), start(), start()].map(|process| process.wait_with_output().unwrap());
    let winners = ends.iter().filter(|end| end.status.success()).count();
    assert_eq!(winners, 1, "{ends:?}");
    for loser in ends.iter().filter(|end| !end.status.success()) {
        let err = String::from_utf8_lossy(&loser.stderr).into_owned();
        let ended = Ended { code: loser.status.code().unwrap(), out: String::new(), err };
        ended.check_refusal("the second process");
        assert_says(&ended.err, "run.db: the file exists already\nhint: *", "the second process");
    }
    assert_eq!(desk.run(&["store", "verify", "run.db"]).code, 0);
}

/// Without a name each process takes a number of its own, also where they want the same one.
#[test]
fn numbered_runs_do_not_collide() {
    let desk = Desk::new();
    let start = || desk.command(&backtest(&["--json"])).stdout(Stdio::null()).spawn().unwrap();
    let processes: Vec<_> = (0..4).map(|_| start()).collect();
    for mut process in processes {
        assert!(process.wait().unwrap().success());
    }
    let files = desk.files();
    let stores = files.iter().filter(|file| file.ends_with(".db"));
    assert_eq!(stores.count(), 4, "{files:?}");
}

/// Places where nobody may write, root neither, which is who runs tests in many containers.
#[test]
#[cfg(target_os = "linux")]
fn a_place_that_cannot_be_written_is_named() {
    let desk = desk();
    desk.ok(&backtest(&["--store", "run.db"]));
    let said = desk.refusal(&backtest(&["--store", "/sys/run.db"]));
    assert_says(&said, "/sys/run.db: cannot be written: *\nhint: check owner, permissions *", "a store");
    let said = desk.refusal(&["export", "--run", "run.db", "--out", "/sys/out"]);
    assert_says(&said, "/sys/out: cannot be made: *\nhint: *", "an export");
    let said = desk.refusal(&["data", "import", "BTCUSDT-1m.csv", "--catalog", "/sys/catalog"]);
    assert_says(&said, "/sys/catalog*: this folder cannot be made: *\nhint: *", "an import");
    let ended = Ended::of(desk.command(&backtest(&[])).current_dir("/sys"));
    ended.check_refusal("a numbered run");
    assert_says(
        &ended.err,
        "data/runs: cannot be made: *\nhint: run it where you may write, or use --store *",
        "a run",
    );
}

/// A limit on the size of files stands in for a full disk, because it needs no rights.
#[test]
#[cfg(unix)]
fn a_file_that_cannot_grow_leaves_nothing_behind() {
    let desk = Desk::new();
    // Of this run's export only the last table, the curve of equity, does not fit into 36 KB.
    let days = ["--timerange", "20250101-20250102T12", "--strategy", "donchian_breakout"];
    desk.ok(&[&["backtest", "--store", "run.db", "--export", "whole"], &days[..]].concat());
    desk.write("BTCUSDT-1m.csv", HEADER.to_owned() + &klines(20_000));
    let contents = || desk.files().into_iter().map(|file| std::fs::read(desk.path(&file)).unwrap()).collect::<Vec<_>>();
    for args in [
        &backtest(&["--store", "full.db"])[..],
        &backtest(&["--strategy", "grid"]),
        &["export", "--run", "run.db", "--out", "out"],
        &["export", "--run", "run.db", "--out", "whole"],
        &["data", "import", "BTCUSDT-1m.csv"],
    ] {
        let before = (desk.files(), contents());
        let ended = Ended::of(&mut in_a_shell(&desk, "ulimit -f 72 && trap '' XFSZ", args));
        ended.check_refusal(&format!("{args:?}"));
        assert_eq!(desk.files(), before.0, "{args:?}: {ended:?}");
        assert!(contents() == before.1, "{args:?} changed a file");
    }
    assert!(!desk.path("out").exists());
}

/// The real thing: a file system of 300 KB, mounted in a name space of its own.
#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_named() {
    let desk = Desk::new();
    std::fs::create_dir(desk.path("small")).unwrap();
    let mount = "mount -t tmpfs -o size=300k none small";
    let as_root = |command: &str, args: &[&str]| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--user", "--map-root-user", "--mount", "sh", "-c", command]);
        unshare.arg(env!("CARGO_BIN_EXE_alphaengine")).args(args).current_dir(desk.path(""));
        unshare
    };
    if !as_root(mount, &[]).output().is_ok_and(|tried| tried.status.success()) {
        // Past the capture of the test harness: what was not tested is to be seen.
        let _ = writeln!(std::io::stderr(), "a_full_disk_is_named: skipped, no file system can be mounted here");
        return;
    }
    // The report of what is left goes after the command's own words.
    let script = format!("{mount} && {{ \"$0\" \"$@\"; code=$?; ls -A small >&2; exit $code; }}");
    let ended = Ended::of(&mut as_root(&script, &backtest(&["--store", "small/run.db"])));
    ended.check_refusal("a full disk");
    assert_says(&ended.err, "small/run.db: the disk is full\nhint: make room, or put the store on another disk *", "");
}

/// The command behind what a shell does first.
#[cfg(unix)]
fn in_a_shell(desk: &Desk, first: &str, args: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{first} && exec \"$0\" \"$@\"")).arg(env!("CARGO_BIN_EXE_alphaengine"));
    command.args(args).current_dir(desk.path(""));
    command
}

/// A result that nobody could read is no success; words that nobody could hear are no failure.
#[test]
#[cfg(target_os = "linux")]
fn standard_streams_that_are_full() {
    let desk = Desk::new();
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let args = backtest(&["--store", "none", "--json"]);
    let ended = Ended::of(desk.command(&args).stdout(full()));
    assert_eq!(ended.code, 2, "{ended:?}");
    assert_says(&ended.err, "the result cannot be written to the standard output: *", "stdout");
    let deaf = desk.command(&backtest(&[])).stdout(Stdio::null()).stderr(full()).status().unwrap();
    assert_eq!(deaf.code(), Some(0));
    let deaf = desk.command(&backtest(&["--cash", "x"])).stderr(full()).status().unwrap();
    assert_eq!(deaf.code(), Some(2));
}
