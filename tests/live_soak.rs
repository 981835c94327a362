//! A bot that runs for a long time does not grow: memory, threads, file descriptors and write-ahead log stay what they were.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

#[path = "support/live.rs"]
mod live;
#[path = "support/mod.rs"]
mod support;

use std::time::{Duration, Instant};

use live::{Exchange, Process};
use support::Desk;

/// How long, in real minutes at 60x: 24 are a simulated day, which is what `just soak` asks for.
fn minutes() -> f64 {
    std::env::var("ALPHAENGINE_SOAK_MINUTES").ok().and_then(|text| text.parse().ok()).unwrap_or(0.75)
}

/// What a process holds.
#[derive(Debug, Clone, Copy)]
struct Held {
    memory_kb: u64,
    threads: u64,
    descriptors: u64,
    wal: u64,
}

fn held(process: &Process, desk: &Desk) -> Held {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let field = |name: &str| -> u64 {
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    Held {
        memory_kb: field("VmRSS:"),
        threads: field("Threads:"),
        descriptors: std::fs::read_dir(format!("/proc/{}/fd", process.id())).unwrap().count() as u64,
        wal: std::fs::metadata(desk.path("live.db-wal")).map_or(0, |wal| wal.len()),
    }
}

#[test]
fn a_long_run_holds_no_more_at_its_end_than_after_its_beginning() {
    let desk = Desk::new();
    let folder = desk.path("");
    // A listen key lives for two real minutes and a connection for three, so that a long run renews both many times.
    let serve =
        ["--symbol", "BTCUSDT", "--speed", "60", "--history", "2", "--listen-key-life", "2", "--connection-life", "3"];
    let mut exchange = Exchange::start(&folder, &serve);
    let trade = ["--symbol", "BTCUSDT", "--strategy", "sma_cross", "--param", "fast=2", "--param", "slow=3"];
    let mut bot = live::live(&folder, &exchange, &trade);
    let span = Duration::from_secs_f64(minutes() * 60.0);
    let begun = Instant::now();
    let mut samples = Vec::new();
    while begun.elapsed() < span {
        std::thread::sleep(span / 30);
        assert!(bot.is_running(), "{}", bot.stderr());
        assert!(exchange.process.is_running(), "{}", exchange.process.stderr());
        samples.push(held(&bot, &desk));
    }
    let fills = exchange.get("/sim/v1/status")["fills"].as_u64().unwrap();
    assert!(fills as f64 > minutes() * 5.0, "it hardly traded: {fills} fills");
    // The first third warms up: connections, caches, the first checkpoint.
    let (warm, end) = (samples[samples.len() / 3], samples[samples.len() - 1]);
    println!("{fills} fills in {span:?}\nafter a third {warm:?}\nat the end    {end:?}");
    assert!(end.memory_kb < warm.memory_kb + 32 * 1024, "{warm:?} {end:?}");
    assert!(end.memory_kb < 256 * 1024, "half of what the service may have: {end:?}");
    assert!(end.threads <= warm.threads + 2, "{warm:?} {end:?}");
    assert!(end.descriptors <= warm.descriptors + 6, "{warm:?} {end:?}");
    assert!(end.wal < 64 << 20, "{end:?}");
    bot.terminate();
    let status = bot.wait();
    assert!(status.success(), "{status}: {}", bot.stderr());
}
