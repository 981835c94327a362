//! The same scenario, run by two processes, leaves the same event log: every column of every row, and so the same hashes.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

mod support;

use serde_json::Value;
use support::{Desk, Row, rows, shared_data};

/// What a run left behind.
struct Run {
    log: Vec<Row>,
    report: Value,
}

/// Runs a scenario in a process and a folder of its own, so that nothing but the arguments can carry over.
fn run(scenario: &[&str]) -> Run {
    let desk = Desk::new();
    let report = desk.json(&[scenario, &["--store", "run.db"]].concat());
    Run { log: rows(&desk.path("run.db"), "SELECT * FROM event_store ORDER BY seq"), report }
}

/// Runs a scenario twice and compares what was left. A scenario in which little happens shows little: it must have orders.
fn check(scenario: &[&str]) -> Run {
    let (first, second) = (run(scenario), run(scenario));
    assert!(first.report["orders"].as_u64().unwrap() > 10, "{scenario:?}: {}", first.report);
    for (one, other) in first.log.iter().zip(&second.log) {
        assert_eq!(one, other, "{scenario:?}");
    }
    assert_eq!(first.log.len(), second.log.len(), "{scenario:?}");
    for name in ["log_hash", "state_hash", "session_id", "events", "final_equity", "report"] {
        assert_eq!(first.report[name], second.report[name], "{scenario:?}: {name}");
    }
    assert_eq!(first.report["events"], first.log.len(), "{scenario:?}");
    first
}

const WEEK: [&str; 2] = ["--timerange", "20250101-20250108"];
const LATENCY: [&str; 2] = ["--latency", "feed=lognormal:20ms:0.4,entry=uniform:5ms:90ms,answer=lognormal:30ms:0.6"];

#[test]
fn the_sample_gives_the_same_events_twice() {
    for scenario in [
        &["--strategy", "sma_cross", "--param", "mode=long_short"][..],
        &["--strategy", "grid", "--margin", "isolated", "--limit-fill", "touch", "--seed", "9"],
        &["--strategy", "atr_risk", "--symbol", "ETHUSDT", "--timeframe", "5m", "--max-daily-loss", "300"],
    ] {
        check(&[scenario, &WEEK].concat());
    }
}

/// Random delays come from the seed: the same seed gives the same log, and another one gives another, which shows that the
/// comparison sees what chance does.
#[test]
fn latency_is_drawn_from_the_seed_alone() {
    let scenario = [&["--strategy", "atr_risk"][..], &WEEK, &LATENCY].concat();
    let first = check(&[scenario.as_slice(), &["--seed", "7"]].concat());
    let other = run(&[scenario.as_slice(), &["--seed", "8"]].concat());
    assert_ne!(first.report["session_id"], other.report["session_id"]);
    assert_ne!(first.report["log_hash"], other.report["log_hash"]);
    // The id of the session is in every row, so the times of the events are what shows that other delays were drawn.
    let times = |run: &Run| run.log.iter().map(|row| row[3].clone()).collect::<Vec<_>>();
    assert_ne!(times(&first), times(&other));
}

#[test]
#[cfg_attr(not(shared_data), ignore = "needs the recordings in ../shared/data")]
fn recordings_of_ticks_give_the_same_events_twice() {
    let ticks = [shared_data("ticks/btcusdt_20240718.gz"), shared_data("ticks/ethusdt_20240718.gz")];
    let [btc, eth] = ticks.each_ref().map(|path| path.to_str().unwrap());
    let scenario = ["--strategy", "market_maker", "--data", btc, "--data", eth, "--param", "half_spread=0.00005"];
    check(&[&scenario[..], &LATENCY].concat());
}

/// Where the events are kept is no part of the scenario, and neither is whether they are.
#[test]
fn the_place_of_the_events_changes_nothing() {
    let scenario = [&["--strategy", "grid"][..], &WEEK].concat();
    let desk = Desk::new();
    let [file, numbered, memory, none] =
        [&["--store", "run.db"][..], &[], &["--store", "memory"], &["--store", "none"]]
            .map(|place| desk.json(&[scenario.as_slice(), place].concat()));
    for name in ["session_id", "events", "final_equity", "fees", "funding", "report"] {
        for other in [&numbered, &memory, &none] {
            assert_eq!(file[name], other[name], "{name}");
        }
    }
    for name in ["log_hash", "state_hash"] {
        assert!(file[name].is_string(), "{file}");
        assert_eq!((&file[name], &file[name]), (&numbered[name], &memory[name]), "{name}");
        assert!(none[name].is_null(), "nothing was kept that could have a hash");
    }
}
