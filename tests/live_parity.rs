//! The same strategy over the same data gives the same orders in a backtest and live against a stepped exchange; and a tape of the
//! live run gives the same events again.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

#[path = "support/live.rs"]
mod live;
#[path = "support/mod.rs"]
mod support;

use live::Exchange;
use rusqlite::types::Value as Sql;
use serde_json::Value;
use support::{Desk, Ended, rows};

/// What was ordered, in order: side, type, quantity and price, without names and times.
fn orders(store: &std::path::Path) -> Vec<String> {
    let sql = "SELECT symbol, payload_json FROM event_store WHERE event_type = 'OrderRequested' ORDER BY seq";
    let wanted = |row: &support::Row| {
        let (Sql::Text(symbol), Sql::Text(json)) = (&row[0], &row[1]) else { panic!("{row:?}") };
        let spec = &serde_json::from_str::<Value>(json).unwrap()["spec"];
        format!("{symbol} {spec}")
    };
    rows(store, sql).iter().map(wanted).collect()
}

fn check_parity(strategy: &[&str]) {
    let desk = Desk::new();
    let folder = desk.path("");
    let data = ["--data", "sample", "--symbol", "BTCUSDT", "--timerange", "20250101-20250102"];
    let backtest = [&["backtest", "--store", "backtest.db", "--no-export"], &data[..], strategy].concat();
    let ended =
        Ended::of(std::process::Command::new(env!("CARGO_BIN_EXE_alphaengine")).current_dir(&folder).args(backtest));
    assert_eq!(ended.code, 0, "{ended:?}");

    let exchange = Exchange::start(&folder, &[&data[..], &["--speed", "step", "--history", "0"]].concat());
    let own = ["--symbol", "BTCUSDT", "--streams", "bars,mark", "--stepped", "--record", "tape", "--on-stop", "keep"];
    let mut bot = live::live(&folder, &exchange, &[&own[..], strategy].concat());
    let status = bot.wait();
    assert!(status.success(), "{status}: {}", bot.stderr());

    let (expected, found) = (orders(&desk.path("backtest.db")), orders(&desk.path("live.db")));
    assert!(expected.len() > 15, "too few orders to prove anything: {}", expected.len());
    for (index, (expected, found)) in expected.iter().zip(&found).enumerate() {
        assert_eq!(found, expected, "order {index}");
    }
    assert_eq!(found.len(), expected.len());

    let replay = ["replay", "--tape", "tape", "--diff"];
    let ended =
        Ended::of(std::process::Command::new(env!("CARGO_BIN_EXE_alphaengine")).current_dir(&folder).args(replay));
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.out.contains("the same"), "{ended:?}");
}

#[test]
fn market_orders_are_those_of_the_backtest() {
    check_parity(&["--strategy", "sma_cross", "--param", "fast=5", "--param", "slow=13"]);
}

#[test]
fn resting_and_conditional_orders_are_those_of_the_backtest() {
    check_parity(&["--strategy", "grid"]);
}
