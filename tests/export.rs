//! The export of a run adds up by itself: what a notebook can sum from the tables is what the report says, to the last unit.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use alphaengine::core::units::{Timestamp, parse_steps};
use polars::prelude::{ParquetReader, SerReader};
use serde_json::Value;
use support::{Desk, rows};

/// The tables of an export and their columns.
const TABLES: [(&str, &str); 7] = [
    ("equity", "time equity wallet low drawdown notional"),
    (
        "orders",
        "requested_at client_order_id order_id symbol side position_side type qty price trigger reduce_only close_position \
         status filled average_price fee finished_at reason",
    ),
    (
        "fills",
        "time heard_at symbol trade_id client_order_id side position_side price qty notional fee fee_asset realized is_maker \
         is_liquidation",
    ),
    (
        "trades",
        "opened_at closed_at symbol direction qty entry_price exit_price gross_pnl fees funding net_pnl fills duration_s",
    ),
    ("events", "seq time event_type source symbol command_id causation_id payload_json"),
    ("ledger", "entry time event_type symbol account asset amount"),
    ("funding", "time symbol position_side rate mark position amount"),
];

/// Columns that hold times, and those that hold exact decimals.
const TIMES: &str = "time requested_at finished_at heard_at opened_at closed_at";
const DECIMALS: &str = "equity wallet low drawdown notional qty price trigger filled average_price fee realized entry_price \
                        exit_price gross_pnl fees funding net_pnl amount rate mark position";

/// One table of an export, as text.
#[derive(Debug, PartialEq)]
struct Table {
    names: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    fn csv(path: &Path) -> Table {
        let mut reader = csv::Reader::from_path(path).unwrap();
        let names = reader.headers().unwrap().iter().map(str::to_owned).collect();
        let rows = reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect();
        Table { names, rows }
    }

    fn parquet(path: &Path) -> Table {
        let frame = ParquetReader::new(std::fs::File::open(path).unwrap()).finish().unwrap();
        let names = frame.get_column_names().into_iter().map(|name| name.to_string()).collect();
        let columns: Vec<_> = frame.columns().iter().map(|column| column.str().unwrap().clone()).collect();
        let cell = |row: usize, column: usize| columns[column].get(row).unwrap_or("").to_owned();
        let rows = (0..frame.height()).map(|row| (0..columns.len()).map(|column| cell(row, column)).collect());
        Table { names, rows: rows.collect() }
    }

    /// The rows, each by the names of its columns.
    fn records(&self) -> impl Iterator<Item = BTreeMap<&str, &str>> {
        let names = self.names.iter().map(String::as_str);
        self.rows.iter().map(move |row| names.clone().zip(row.iter().map(String::as_str)).collect())
    }

    /// The exact sum of a column.
    fn sum(&self, name: &str) -> i128 {
        self.records().map(|row| steps(row[name])).sum()
    }
}

/// An exact decimal in units of 1e-8.
fn steps(text: &str) -> i128 {
    i128::from(parse_steps(text).unwrap_or_else(|error| panic!("`{text}`: {error}")))
}

fn figure(value: &Value) -> i128 {
    steps(value.as_str().unwrap_or_else(|| panic!("{value} is no decimal as text")))
}

fn signed(row: &BTreeMap<&str, &str>) -> i128 {
    if row["side"] == "BUY" { steps(row["qty"]) } else { -steps(row["qty"]) }
}

/// A run, and its tables by name.
struct Exported {
    desk: Desk,
    report: Value,
    tables: BTreeMap<&'static str, Table>,
}

fn export(scenario: &[&str]) -> Exported {
    let desk = Desk::new();
    let report = desk.json(&[scenario, &["--store", "run.db", "--export", "out"]].concat());
    let tables = TABLES.map(|(name, _)| (name, Table::csv(&desk.path(&format!("out/{name}.csv")))));
    Exported { desk, report, tables: tables.into_iter().collect() }
}

/// Runs that between them have longs and shorts, reversals, limit and conditional orders, expiries, cancels, makers, funding,
/// open orders and open positions at the end.
fn scenarios() -> [Exported; 4] {
    let week = ["--timerange", "20250101-20250108"];
    [
        &["--strategy", "sma_cross", "--param", "mode=long_short"][..],
        &["--strategy", "atr_risk", "--latency", "50ms"],
        &["--strategy", "grid", "--param", "spacing=0.002", "--volume-cap", "0.01"],
        &["--strategy", "buy_and_hold", "--symbol", "BTCUSDT", "--margin", "isolated", "--leverage", "3"],
    ]
    .map(|scenario| export(&[scenario, &week].concat()))
}

#[test]
fn every_table_has_its_columns_times_and_decimals() {
    for Exported { tables, report, .. } in scenarios() {
        for (name, columns) in TABLES {
            let table = &tables[name];
            assert_eq!(table.names.join(" "), columns, "{name}");
            for row in table.records() {
                for (column, text) in row.iter().filter(|(_, text)| !text.is_empty()) {
                    let has = |names: &str| names.split(' ').any(|name| name == *column);
                    // Latency brings times between two milliseconds; they are told to the nanosecond.
                    if has(TIMES) {
                        let at: Timestamp = text.parse().unwrap();
                        assert!(text.ends_with('Z') && at.to_string() == *text, "{name}.{column}: {text}");
                    }
                    if has(DECIMALS) {
                        steps(text);
                        assert!(!text.contains(['e', 'E', '+']), "{name}.{column}: {text}");
                    }
                }
            }
        }
        assert!(report["fills"].as_u64().unwrap() > 0, "{report}");
    }
}

#[test]
fn the_tables_add_up_to_the_report() {
    for Exported { desk, tables, report } in scenarios() {
        let case = &report["strategy"];
        let count = |name: &str| tables[name].rows.len();
        assert_eq!(report["orders"], count("orders"), "{case}");
        assert_eq!(report["fills"], count("fills"), "{case}");
        assert_eq!(report["trades"], count("trades"), "{case}");
        assert_eq!(report["events"], count("events"), "{case}");
        assert_eq!(figure(&report["fees"]), tables["fills"].sum("fee"), "{case}");
        assert_eq!(figure(&report["fees"]), tables["orders"].sum("fee"), "{case}");
        assert_eq!(figure(&report["funding"]), tables["funding"].sum("amount"), "{case}");

        // What came in and went out is what is in the wallet.
        let flow = tables["fills"].sum("realized") - tables["fills"].sum("fee") + tables["funding"].sum("amount");
        let wallet = figure(&report["initial_equity"]) + flow;
        assert_eq!(figure(&report["final_wallet"]), wallet, "{case}");
        let last = tables["equity"].records().last().unwrap();
        assert_eq!(steps(last["wallet"]), wallet, "{case}");
        assert_eq!(steps(last["equity"]), figure(&report["final_equity"]), "{case}");

        // Closed trades and what is still open make the change of equity.
        let open = &report["report"]["open"];
        let result = figure(&report["final_equity"]) - figure(&report["initial_equity"]);
        let unattributed = figure(&open["unattributed_funding"]);
        assert_eq!(tables["trades"].sum("net_pnl") + figure(&open["pnl"]) + unattributed, result, "{case}");
        for trade in tables["trades"].records() {
            let net = steps(trade["gross_pnl"]) - steps(trade["fees"]) + steps(trade["funding"]);
            assert_eq!(net, steps(trade["net_pnl"]), "{case}: {trade:?}");
        }

        // Fills make the positions, which the store keeps apart from them.
        let mut held: BTreeMap<String, i128> = BTreeMap::new();
        for fill in tables["fills"].records() {
            *held.entry(fill["symbol"].to_owned()).or_default() += signed(&fill);
        }
        held.retain(|_, qty| *qty != 0);
        let positions = rows(&desk.path("run.db"), "SELECT symbol, qty_e8 FROM projection_position WHERE qty_e8 <> 0");
        let positions = positions.into_iter().map(|row| match row.as_slice() {
            [rusqlite::types::Value::Text(symbol), rusqlite::types::Value::Integer(qty)] => {
                (symbol.clone(), i128::from(*qty))
            }
            other => panic!("{other:?}"),
        });
        assert_eq!(held, positions.collect(), "{case}");
    }
}

#[test]
fn the_ledger_balances_entry_by_entry() {
    for Exported { tables, report, .. } in scenarios() {
        let mut entries: BTreeMap<(u64, &str), i128> = BTreeMap::new();
        let mut accounts: BTreeMap<&str, i128> = BTreeMap::new();
        for line in tables["ledger"].records() {
            *entries.entry((line["entry"].parse().unwrap(), line["asset"])).or_default() += steps(line["amount"]);
            *accounts.entry(line["account"]).or_default() += steps(line["amount"]);
        }
        assert!(entries.len() > 2, "{report}");
        for (entry, sum) in entries {
            assert_eq!(sum, 0, "{}: entry {entry:?}", report["strategy"]);
        }
        // The wallet is what is free and what isolated positions hold.
        let own: i128 = ["wallet", "margin"].iter().filter_map(|name| accounts.get(name)).sum();
        assert_eq!(own, figure(&report["final_wallet"]), "{accounts:?}");
    }
}

#[test]
fn every_fill_belongs_to_an_order_and_every_order_to_its_fills() {
    for Exported { tables, report, .. } in scenarios() {
        let mut fills: BTreeMap<&str, Vec<BTreeMap<&str, &str>>> = BTreeMap::new();
        for fill in tables["fills"].records() {
            fills.entry(fill["client_order_id"]).or_default().push(fill);
        }
        for order in tables["orders"].records() {
            let fills = fills.remove(order["client_order_id"]).unwrap_or_default();
            let case = format!("{}: {order:?} {fills:?}", report["strategy"]);
            let sum = |name: &str| fills.iter().map(|fill| steps(fill[name])).sum::<i128>();
            assert_eq!((steps(order["filled"]), steps(order["fee"])), (sum("qty"), sum("fee")), "{case}");
            assert!(steps(order["filled"]) <= steps(order["qty"]), "{case}");
            assert_eq!(order["status"] == "FILLED", steps(order["filled"]) == steps(order["qty"]), "{case}");
            assert_eq!(order["finished_at"].is_empty(), is_open(order["status"]), "{case}");
            let paid: i128 = fills.iter().map(|fill| steps(fill["price"]) * steps(fill["qty"])).sum();
            let filled = steps(order["filled"]);
            match order["average_price"] {
                "" => assert_eq!(filled, 0, "{case}"),
                average => assert!(2 * (paid - steps(average) * filled).abs() <= filled, "{case}"),
            }
            for fill in &fills {
                assert_eq!((fill["symbol"], fill["side"]), (order["symbol"], order["side"]), "{case}");
                assert!(order["requested_at"] <= fill["heard_at"] && fill["time"] <= fill["heard_at"], "{case}");
                // A limit order fills at its price or better.
                let worse = |by: i128| if fill["side"] == "BUY" { by > 0 } else { by < 0 };
                if order["type"] == "LIMIT" {
                    assert!(!worse(steps(fill["price"]) - steps(order["price"])), "{case}");
                }
            }
        }
        assert!(fills.is_empty(), "fills without an order: {fills:?}");
    }
}

fn is_open(status: &str) -> bool {
    ["REQUESTED", "NEW", "PARTIALLY_FILLED", "TRIGGERED", "UNKNOWN"].contains(&status)
}

#[test]
fn events_are_the_log_and_the_summary_is_the_report() {
    let Exported { desk, tables, report } = export(&["--strategy", "atr_risk", "--timerange", "20250101-20250108"]);
    let sql = "SELECT CAST(seq AS TEXT), event_type, source, COALESCE(symbol, ''), payload_json FROM event_store ORDER BY seq";
    let log: Vec<Vec<String>> = rows(&desk.path("run.db"), sql)
        .into_iter()
        .map(|row| {
            row.into_iter()
                .map(|value| match value {
                    rusqlite::types::Value::Text(text) => text,
                    other => panic!("{other:?}"),
                })
                .collect()
        })
        .collect();
    let exported: Vec<Vec<String>> = tables["events"]
        .records()
        .map(|row| ["seq", "event_type", "source", "symbol", "payload_json"].map(|name| row[name].to_owned()).to_vec())
        .collect();
    assert_eq!(exported, log);

    let read = |path| serde_json::from_str::<Value>(&std::fs::read_to_string(desk.path(path)).unwrap()).unwrap();
    let summary = read("out/summary.json");
    let shown: Value = serde_json::from_str(&desk.ok(&["runs", "show", "run.db"])).unwrap();
    assert_eq!(summary, shown);
    let mut printed = report;
    // What depends on the machine and the moment is printed and not kept.
    for name in ["store", "timing", "peak_rss_mb"] {
        assert!(printed.as_object_mut().unwrap().remove(name).is_some(), "{name}");
    }
    assert_eq!(summary, printed);
}

#[test]
fn both_formats_hold_the_same_values() {
    let Exported { desk, tables, .. } = export(&["--strategy", "grid", "--timerange", "20250101-20250105"]);
    desk.ok(&["export", "--run", "run.db", "--out", "parquet", "--format", "parquet"]);
    desk.ok(&["export", "--run", "run.db", "--out", "csv"]);
    for (name, _) in TABLES {
        let parquet = Table::parquet(&desk.path(&format!("parquet/{name}.parquet")));
        assert_eq!(parquet, tables[name], "{name}");
        let [once, again] =
            ["out", "csv"].map(|folder| std::fs::read(desk.path(&format!("{folder}/{name}.csv"))).unwrap());
        assert_eq!(once, again, "{name}");
    }
    let of = |folder: &str| {
        let files = desk.files().into_iter().filter_map(|file| file.strip_prefix(folder).map(str::to_owned));
        files.collect::<Vec<_>>()
    };
    let names = |ending: &str| {
        let mut names: Vec<String> = TABLES.iter().map(|(name, _)| format!("{name}.{ending}")).collect();
        names.push("summary.json".to_owned());
        names.sort();
        names
    };
    assert_eq!((of("csv/"), of("parquet/")), (names("csv"), names("parquet")));
}

/// A run is found by what one knows of it: that it is the latest, its number, its session, or its file.
#[test]
fn runs_are_numbered_listed_and_found() {
    let desk = Desk::new();
    let ended = desk.run(&["runs", "list"]);
    assert_eq!((ended.code, ended.out.as_str(), ended.err.as_str()), (0, "", "there are no runs under data/runs\n"));
    let days = ["20250101-20250102", "20250102-20250103", "20250103-20250104"];
    let reports = days.map(|days| desk.json(&["--timerange", days]));
    let ids = reports.each_ref().map(|report| report["session_id"].as_str().unwrap());

    let list = desk.ok(&["runs", "list"]);
    let lines: Vec<Vec<&str>> = list.lines().skip(1).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines.len(), 3, "{list}");
    for (index, (line, report)) in lines.iter().zip(&reports).enumerate() {
        let number = format!("{:04}", index + 1);
        assert_eq!(line[..4], [&number, "sma_cross", "BTCUSDT", "ETHUSDT"], "{list}");
        assert!(line.contains(&report["final_equity"].as_str().unwrap()) && line.contains(&ids[index]), "{list}");
    }
    let store = reports[1]["store"].as_str().unwrap();
    for (run, report) in [("latest", 2), ("2", 1), ("0002", 1), (ids[0], 0), (&ids[0][..6], 0), (store, 1)] {
        let shown: Value = serde_json::from_str(&desk.ok(&["runs", "show", run])).unwrap();
        assert_eq!(shown["session_id"], reports[report]["session_id"], "{run}");
        let listed = desk.ok(&["export", "--run", run, "--out", run.split('/').next_back().unwrap()]);
        assert_eq!(listed.lines().count(), 8, "{listed}");
        for file in listed.lines() {
            assert!(desk.path(file).is_file(), "{file}");
        }
    }
    // The export of a numbered run lies beside its store from the beginning.
    let beside = Path::new(store).with_extension("");
    assert_eq!(std::fs::read_dir(desk.path(beside.to_str().unwrap())).unwrap().count(), 8);
}

/// A run that broke off has events and no report: it is listed, and not exported as if it had ended.
#[test]
fn a_run_that_broke_off_is_told_from_one_that_ended() {
    let desk = Desk::new();
    desk.json(&["--timerange", "20250101-20250102", "--no-export"]);
    let store = desk.files().into_iter().find(|file| file.ends_with(".db")).unwrap();
    let connection = rusqlite::Connection::open(desk.path(&store)).unwrap();
    connection.execute_batch("DELETE FROM session_report; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(connection);
    assert!(desk.ok(&["runs", "list"]).contains("did not end"));
    let said = desk.refusal(&["export", "--out", "out"]);
    assert!(said.contains("its run did not come to an end, so there is no report to export"), "{said}");
    let said = desk.refusal(&["runs", "show"]);
    assert!(said.contains("the run did not come to an end"), "{said}");
    assert!(!desk.path("out").exists());
}
