//! What an operator says to a running bot, it does: at the exchange and in the store. And a bot that is asked to stop, stops.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

#[path = "support/live.rs"]
mod live;
#[path = "support/stage.rs"]
mod stage;
#[path = "support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use live::until;
use serde_json::json;
use stage::{Stage, ask_signed, held, low_price, orders, runs, url};
use support::Ended;

#[test]
fn orders_and_cancels_reach_the_exchange_once() {
    let stage = Stage::new();
    let exchange = stage.calm_exchange();
    let _bot = stage.calm_bot(&exchange, &[]);
    let price = low_price(&exchange);
    stage.obeyed(&["order", "BTCUSDT", "buy", "0.01", "--price", &price]);
    assert_eq!((orders(&exchange), stage.count("SELECT COUNT(*) FROM projection_order_open")), (1, 1));
    // The same key is the same command, whatever it says.
    for _ in 0..2 {
        stage.obeyed(&["order", "btcusdt", "buy", "0.02", "--price", &price, "--key", "once"]);
    }
    assert_eq!((orders(&exchange), stage.count("SELECT COUNT(*) FROM projection_order_open")), (2, 2));
    stage.obeyed(&["cancel-all", "BTCUSDT"]);
    assert_eq!((orders(&exchange), stage.count("SELECT COUNT(*) FROM projection_order_open")), (0, 0));

    stage.obeyed(&["order", "BTCUSDT", "buy", "0.01"]);
    assert_eq!(held(&exchange), "0.01");
    let said = stage.declined(&["order", "BTCUSDT", "sell", "0.0000001"]);
    assert!(said.contains("FAILED: "), "{said}");
    stage.obeyed(&["order", "BTCUSDT", "sell", "0.004", "--reduce-only"]);
    assert_eq!(held(&exchange), "0.006");
    stage.obeyed(&["close", "BTCUSDT"]);
    assert_eq!(held(&exchange), "");
    until("its fill is heard", || (stage.events("TradeExecuted") == 3).then_some(()));

    stage.obeyed(&["set-leverage", "BTCUSDT", "7"]);
    let settings = ask_signed(&exchange, "/fapi/v1/symbolConfig", "symbol=BTCUSDT");
    assert_eq!(settings[0]["leverage"], 7);
    let said = stage.declined(&["set-leverage", "BTCUSDT", "5000"]);
    assert!(said.contains("FAILED: ") && said.contains("Leverage is not valid"), "{said}");
}

#[test]
fn modes_and_limits_hold_until_they_are_lifted() {
    let stage = Stage::new();
    let exchange = stage.calm_exchange();
    let _bot = stage.calm_bot(&exchange, &[]);
    let buy = ["order", "BTCUSDT", "buy", "0.01"];
    stage.obeyed(&buy);
    for (word, mode) in [("pause", "PAUSED"), ("safe", "SAFE")] {
        stage.obeyed(&[word]);
        assert_eq!(stage.mode(), mode);
        let said = stage.declined(&buy);
        assert!(said.contains("FAILED: ") && said.to_uppercase().contains(mode), "{said}");
        // What makes a position smaller always leaves.
        stage.obeyed(&["close", "BTCUSDT"]);
        assert_eq!(held(&exchange), "");
        stage.obeyed(&["resume"]);
        assert_eq!(stage.mode(), "RUNNING");
        stage.obeyed(&buy);
        assert_eq!(held(&exchange), "0.01");
    }
    stage.obeyed(&["set-limits", "--max-order", "10"]);
    let said = stage.declined(&buy);
    assert!(said.contains("FAILED: ") && said.contains("10"), "{said}");
    let limits = "SELECT COUNT(*) FROM config_store WHERE json_extract(config_json, '$.limits.max_order') = '10'";
    assert_eq!(stage.count(limits), 1);
    stage.obeyed(&["set-limits"]);
    stage.obeyed(&buy);
    assert_eq!(held(&exchange), "0.02");

    let before = stage.events("ReconcileFinished");
    stage.obeyed(&["reconcile"]);
    assert!(stage.events("ReconcileFinished") > before);
    let positions = "SELECT symbol, qty_e8, entry_price_e8 FROM projection_position";
    let money = "SELECT account, balance_e8 FROM projection_balance ORDER BY account";
    let trades = "SELECT * FROM projection_trade ORDER BY seq";
    let tables = || [positions, money, trades].map(|sql| support::rows(&stage.store(), sql));
    let before = tables();
    let other = rusqlite::Connection::open(stage.store()).unwrap();
    other.execute_batch("UPDATE projection_balance SET balance_e8 = 1; DELETE FROM projection_trade").unwrap();
    drop(other);
    assert_ne!(tables(), before);
    stage.obeyed(&["rebuild-projection"]);
    assert_eq!(tables(), before);
}

#[test]
fn a_bot_stops_by_command_and_then_nobody_obeys() {
    let stage = Stage::new();
    let exchange = stage.calm_exchange();
    let mut bot = stage.calm_bot(&exchange, &[]);
    stage.obeyed(&["order", "BTCUSDT", "buy", "0.01", "--price", &low_price(&exchange)]);
    stage.obeyed(&["order", "BTCUSDT", "buy", "0.01"]);
    stage.obeyed(&["stop", "close"]);
    let status = bot.wait();
    assert!(status.success(), "{status}: {}", bot.stderr());
    assert_eq!((orders(&exchange), held(&exchange)), (0, String::new()));
    let said = Ended::of(&mut stage.command(&["command", "pause", "--store", "live.db", "--wait", "1"]));
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.out.ends_with("NEW: no bot took it; is one running on this store?\n"), "{said:?}");
    // Said while nobody was there: it may not be meant any more.
    let _bot = stage.calm_bot(&exchange, &[]);
    assert_eq!(stage.mode(), "RUNNING");
    let failed = "SELECT COUNT(*) FROM command_store WHERE command_type LIKE '%AUSE%' AND status = 'FAILED'";
    assert_eq!(stage.count(failed), 1);
}

#[test]
fn each_policy_leaves_what_it_says_and_the_next_start_goes_on() {
    let stage = Stage::new();
    let exchange = stage.calm_exchange();
    for (policy, resting, position) in [("keep", 1, "0.01"), ("cancel", 0, "0.02"), ("close", 0, "")] {
        let mut bot = stage.calm_bot(&exchange, &["--on-stop", policy]);
        stage.obeyed(&["order", "BTCUSDT", "buy", "0.01", "--price", &low_price(&exchange)]);
        stage.obeyed(&["order", "BTCUSDT", "buy", "0.01"]);
        let begun = Instant::now();
        bot.terminate();
        let status = bot.wait();
        assert!(status.success(), "{policy}: {status}: {}", bot.stderr());
        assert!(begun.elapsed() < Duration::from_secs(10), "{policy} took {:?}", begun.elapsed());
        assert_eq!((orders(&exchange), &*held(&exchange)), (resting, position), "{policy}");
    }
    let twice = "SELECT COUNT(*) FROM (SELECT 1 FROM event_store GROUP BY dedup_key HAVING COUNT(*) > 1)";
    assert_eq!((stage.count(twice), stage.events("SessionStopped")), (0, 3));
}

#[test]
fn a_stop_that_cannot_be_finished_ends_in_time_and_a_second_signal_ends_it_at_once() {
    let stage = Stage::new();
    let exchange = stage.calm_exchange();
    let slow = json!({"on": {"method": "DELETE"}, "fault": {"kind": "delay", "ms": 60_000}});
    assert_eq!(exchange.post("/sim/v1/fault", &slow.to_string()), json!({}));
    let mut bot = stage.calm_bot(&exchange, &["--on-stop", "cancel"]);
    stage.obeyed(&["order", "BTCUSDT", "buy", "0.01", "--price", &low_price(&exchange)]);
    bot.terminate();
    until("it stops in order", || bot.stderr().contains("stopping in order").then_some(()));
    let begun = Instant::now();
    bot.terminate();
    assert_eq!(bot.wait().code(), Some(2), "{}", bot.stderr());
    assert!(begun.elapsed() < Duration::from_secs(2), "took {:?}", begun.elapsed());
    let said = bot.stderr();
    assert!(
        said.contains("error: stopped at once: open orders and positions stay as they are\nhint: the next start"),
        "{said}"
    );

    let mut bot = stage.calm_bot(&exchange, &["--on-stop", "cancel"]);
    let begun = Instant::now();
    bot.terminate();
    let status = bot.wait();
    assert!(begun.elapsed() < Duration::from_secs(10), "took {:?}", begun.elapsed());
    assert!(status.success(), "{status}: {}", bot.stderr());
    assert_eq!(orders(&exchange), 1);
}

#[test]
fn paper_trades_without_a_key_and_begins_anew_each_time() {
    let stage = Stage::new();
    let exchange = stage.exchange(&["--history", "2", "--speed", "60"]);
    let rest = url(&exchange);
    let stream = rest.replacen("http", "ws", 1);
    let args =
        ["live", "--paper", "--rest-url", &rest, "--ws-url", &stream, "--store", "live.db", "--secrets", "no.yaml"];
    let fast = ["--param", "fast=2", "--param", "slow=3", "--on-stop", "close"];
    let args = [&args[..], &fast].concat();
    let mut command = stage.command(&args);
    let mut bot = live::Process::start(&mut command, &stage.desk.path(""), "paper");
    runs(&mut bot);
    until("it trades on paper", || {
        assert!(bot.is_running(), "{}", bot.stderr());
        (stage.events("TradeExecuted") > 0).then_some(())
    });
    stage.obeyed(&["pause"]);
    assert_eq!(stage.mode(), "PAUSED");
    assert_eq!(exchange.get("/sim/v1/status")["fills"], 0, "the exchange outside knows nothing of it");
    bot.terminate();
    let status = bot.wait();
    assert!(status.success(), "{status}: {}", bot.stderr());
    assert_eq!(stage.count("SELECT COUNT(*) FROM projection_position WHERE qty_e8 != 0"), 0, "closed on paper");
    let scope = support::rows(&stage.store(), "SELECT DISTINCT mode, account_id FROM event_store");
    assert_eq!(format!("{scope:?}"), r#"[[Text("BACKTEST"), Text("paper")]]"#);
    let said = stage.refusal("a paper store that exists", &args);
    assert_eq!(
        said,
        "error: live.db: the store exists, and paper trading begins anew\n\
         hint: move it away, or name a new one with --store FILE\n"
    );
}
