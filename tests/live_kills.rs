//! A bot that is killed at any moment loses no fill and sends no order twice.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

#[path = "support/live.rs"]
mod live;
#[path = "support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use live::{Dice, Exchange, until};
use rusqlite::types::Value as Sql;
use serde_json::Value;
use support::{Desk, rows};

/// How often it is killed; `just soak` says 200.
fn kills() -> u64 {
    std::env::var("ALPHAENGINE_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(12)
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[test]
fn a_bot_that_is_killed_again_and_again_ends_with_the_fills_and_the_money_of_the_exchange() {
    let desk = Desk::new();
    let folder = desk.path("");
    let market = ["--symbol", "BTCUSDT", "--symbol", "ETHUSDT"];
    let serve = ["--speed", "60", "--history", "2", "--limit-fill", "touch"];
    let exchange = Exchange::start(&folder, &[&market[..], &serve].concat());
    let trader =
        [&market[..], &["--strategy", "market_maker", "--param", "half_spread=0.00001", "--param", "max_inventory=40"]]
            .concat();
    let mut dice = Dice(7);
    for kill in 0..kills() {
        let mut bot = live::live(&folder, &exchange, &trader);
        std::thread::sleep(Duration::from_millis(300 + dice.below(3_200)));
        assert!(bot.is_running(), "kill {kill}: {}", bot.stderr());
        bot.kill();
    }
    // Once more, in order: it reconciles, cancels what is open, closes what is held, and goes.
    let store = desk.path("live.db");
    let begun = last_of(&store, "SessionStarted", "");
    let mut bot = live::live(&folder, &exchange, &[&trader[..], &["--on-stop", "close"]].concat());
    until("it runs again", || {
        assert!(bot.is_running(), "{}", bot.stderr());
        let session = last_of(&store, "SessionStarted", "");
        (session > begun && last_of(&store, "EngineModeChanged", "RUNNING") > session).then_some(())
    });
    std::thread::sleep(Duration::from_secs(4));
    bot.terminate();
    let status = bot.wait();
    assert!(status.success(), "{status}: {}", bot.stderr());
    compare(&store, &exchange);
}

/// The number of the last event of this type that says this.
fn last_of(store: &std::path::Path, event_type: &str, word: &str) -> i64 {
    let sql = format!(
        "SELECT COALESCE(MAX(seq), 0) FROM event_store WHERE event_type = '{event_type}' AND payload_json LIKE '%{word}%'"
    );
    plain(&rows(store, &sql)[0][0]).parse().unwrap()
}

/// Store and exchange tell the same story.
fn compare(store: &std::path::Path, exchange: &Exchange) {
    let twice = "SELECT dedup_key, COUNT(*) AS cnt FROM event_store GROUP BY dedup_key HAVING cnt > 1";
    assert_eq!(rows(store, twice).len(), 0);
    let told = exchange.get("/sim/v1/fills");
    let told: BTreeSet<(String, String, String)> = told
        .as_array()
        .unwrap()
        .iter()
        .map(|fill| (text(&fill["id"]), text(&fill["client_order_id"]), e8(&text(&fill["qty"]))))
        .collect();
    let booked: BTreeSet<(String, String, String)> =
        rows(store, "SELECT trade_id, client_order_id, qty_e8 FROM projection_trade")
            .iter()
            .map(|row| (plain(&row[0]), plain(&row[1]), plain(&row[2])))
            .collect();
    assert_eq!(booked, told);
    assert!(told.len() as u64 > kills() / 2, "too few fills to prove anything: {}", told.len());
    println!(
        "{} kills, {} fills, {} orders",
        kills(),
        told.len(),
        rows(store, "SELECT client_order_id FROM command_to_exchange").len()
    );
    let wallet: i64 =
        rows(store, "SELECT SUM(balance_e8) FROM projection_balance WHERE account IN ('wallet', 'margin')")
            .iter()
            .map(|row| plain(&row[0]).parse::<i64>().unwrap())
            .sum();
    assert_eq!(wallet.to_string(), e8(&text(&exchange.get("/sim/v1/wallet")["wallet"])));
    let held = rows(store, "SELECT SUM(ABS(qty_e8)) FROM projection_position");
    assert!(matches!(held[0][0], Sql::Null | Sql::Integer(0)), "{held:?}");
    let status = exchange.get("/sim/v1/status");
    assert_eq!(status["positions"], serde_json::json!([]), "{status}");
    assert_eq!(status["orders"], 0, "{status}");
}

fn plain(value: &Sql) -> String {
    match value {
        Sql::Integer(number) => number.to_string(),
        Sql::Text(text) => text.clone(),
        other => panic!("{other:?}"),
    }
}

/// A decimal in steps of 1e-8.
fn e8(decimal: &str) -> String {
    let (whole, part) = decimal.split_once('.').unwrap_or((decimal, ""));
    let steps: i128 = format!("{whole}{part:0<8}").parse().unwrap();
    steps.to_string()
}
