//! What goes wrong between a bot and its exchange passes by itself, and each trouble is an event in the store.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

#[path = "support/live.rs"]
mod live;
#[path = "support/mod.rs"]
mod support;

use std::path::{Path, PathBuf};

use live::{Exchange, Process, until};
use rusqlite::types::Value as Sql;
use support::{Desk, rows};

/// A bot that trades every few seconds, and its exchange.
struct Stage {
    desk: Desk,
    exchange: Exchange,
    bot: Process,
}

impl Stage {
    fn new(exchange: &[&str], bot: &[&str]) -> Stage {
        let desk = Desk::new();
        let folder = desk.path("");
        let serve = [&["--symbol", "BTCUSDT", "--speed", "60", "--history", "2"], exchange].concat();
        let exchange = Exchange::start(&folder, &serve);
        let trade = ["--symbol", "BTCUSDT", "--strategy", "sma_cross", "--param", "fast=2", "--param", "slow=3"];
        // What it stops with `close` waits for: no order fills when nobody listens any more.
        let bot = live::live(&folder, &exchange, &[&trade[..], &["--on-stop", "close"], bot].concat());
        let mut stage = Stage { desk, exchange, bot };
        stage.waits_for_fills(1);
        stage
    }

    fn store(&self) -> PathBuf {
        self.desk.path("live.db")
    }

    fn fills(&self) -> u64 {
        self.exchange.get("/sim/v1/status")["fills"].as_u64().unwrap()
    }

    /// Waits until so many more fills happened.
    fn waits_for_fills(&mut self, more: u64) {
        let before = self.fills();
        until("it trades", || {
            assert!(self.bot.is_running(), "{}", self.bot.stderr());
            (self.fills() >= before + more).then_some(())
        });
    }

    /// Waits for a change of the link whose JSON holds all of these words, after this event; tells its number.
    fn waits_for_link(&mut self, words: &[&str], after: i64) -> i64 {
        until(&format!("the store tells {words:?}"), || {
            assert!(self.bot.is_running(), "{}", self.bot.stderr());
            let found = links(&self.store(), after);
            found.iter().find(|(_, json)| words.iter().all(|word| json.contains(word))).map(|(seq, _)| *seq)
        })
    }

    fn last_event(&self) -> i64 {
        match rows(&self.store(), "SELECT MAX(seq) FROM event_store")[0][0] {
            Sql::Integer(seq) => seq,
            _ => 0,
        }
    }

    /// Ends the bot in order and checks that store and exchange agree.
    fn ends_well(mut self) {
        self.bot.terminate();
        let status = self.bot.wait();
        assert!(status.success(), "{status}: {}", self.bot.stderr());
        let twice = "SELECT dedup_key FROM event_store GROUP BY dedup_key HAVING COUNT(*) > 1";
        assert_eq!(rows(&self.store(), twice).len(), 0);
        let booked = rows(&self.store(), "SELECT COUNT(*) FROM projection_trade");
        assert_eq!(booked[0][0], Sql::Integer(self.fills() as i64));
        for place in [self.bot.stderr(), self.bot.stdout()] {
            assert!(!place.contains(live::SECRET), "a secret was told");
        }
    }
}

fn links(store: &Path, after: i64) -> Vec<(i64, String)> {
    let sql = format!(
        "SELECT seq, payload_json FROM event_store WHERE event_type = 'LinkChanged' AND seq > {after} ORDER BY seq"
    );
    let pair = |row: &support::Row| match (&row[0], &row[1]) {
        (Sql::Integer(seq), Sql::Text(json)) => (*seq, json.clone()),
        other => panic!("{other:?}"),
    };
    rows(store, &sql).iter().map(pair).collect()
}

#[test]
fn each_route_may_be_lost_and_comes_back() {
    let mut stage = Stage::new(&[], &[]);
    for (route, name) in [("private", "PRIVATE"), ("market", "MARKET"), ("public", "PUBLIC")] {
        let before = stage.last_event();
        stage.exchange.post(&format!("/sim/v1/close?route={route}"), "");
        let down = stage.waits_for_link(&["STREAM_DOWN", name], before);
        stage.waits_for_link(&["STREAM_UP", name], down);
        stage.waits_for_fills(1);
    }
    stage.ends_well();
}

#[test]
fn a_listen_key_that_dies_is_replaced_although_its_socket_stays_open() {
    let mut stage = Stage::new(&[], &[]);
    let before = stage.last_event();
    stage.exchange.post("/sim/v1/expire-listen-keys", "");
    let expired = stage.waits_for_link(&["LISTEN_KEY_EXPIRED"], before);
    stage.waits_for_link(&["STREAM_UP", "PRIVATE"], expired);
    stage.waits_for_fills(2);
    stage.ends_well();
}

#[test]
fn a_clock_that_steps_by_a_second_and_a_half_stops_no_trading() {
    let mut stage = Stage::new(&[], &[]);
    for shift in [-1500, 1500] {
        let before = stage.last_event();
        stage.exchange.post(&format!("/sim/v1/clock?shift_ms={shift}"), "");
        stage.waits_for_link(&["CLOCK_STEPPED"], before);
        stage.waits_for_fills(2);
    }
    stage.ends_well();
}

#[test]
fn a_storm_of_429_and_one_of_418_pass() {
    let mut stage = Stage::new(&[], &[]);
    for (storm, status) in [("throttle", "429"), ("ban", "418")] {
        let before = stage.last_event();
        stage.exchange.post(&format!("/sim/v1/{storm}?seconds=5"), "");
        let limited = stage.waits_for_link(&["RATE_LIMITED", status], before);
        stage.waits_for_link(&["RATE_LIMIT_OVER"], limited);
        stage.waits_for_fills(2);
    }
    stage.ends_well();
}

#[test]
fn an_exchange_that_is_away_for_seconds_finds_its_bot_again() {
    let mut stage = Stage::new(&[], &[]);
    let before = stage.last_event();
    stage.exchange.post("/sim/v1/outage?seconds=4", "");
    let down = stage.waits_for_link(&["STREAM_DOWN", "PRIVATE"], before);
    stage.waits_for_link(&["STREAM_UP", "PRIVATE"], down);
    stage.waits_for_fills(2);
    stage.ends_well();
}
