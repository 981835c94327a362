//! How fast the live path is: from a frame to the strategy, from its decision to the bytes of a request, and from a store to the
//! first connection.
//!
//! `cargo bench -p alphaengine-live --bench live` runs every workload, each in a process of its own; `-- frames` one. Session
//! and engine are the real ones; sockets are not: what the bot asks is answered at once. Everything runs on one thread.
//! `docs/benchmarks.md` says what was measured.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run should say so at once")]
#![allow(clippy::disallowed_methods, reason = "it measures time")]

mod desk;
mod frames;
mod log;
mod restart;

use std::fs::File;
use std::hint::black_box;
use std::io::{Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use alphaengine_core::link::Route;
use alphaengine_core::store::{Encoder, EventLog, MemoryLog, NoLog, SqliteStore};
use alphaengine_core::units::{NANOS_PER_MILLI, Timestamp};
use alphaengine_live::bot::News;
use alphaengine_live::wire::Effect;

use desk::{Callback, Desk, Plan, instruments, scope};
use frames::Frame;
use log::Timed;

/// Each rate is the fastest of so many.
const TRIES: usize = 5;
/// Frames whose way to the strategy is timed, at least.
const FRAMES: usize = 500_000;
/// The same with a sleep before each.
const QUIET_FRAMES: usize = 5_000;
/// Orders that are placed and cancelled.
const ORDERS: usize = 20_000;
const DURABLE_ORDERS: usize = 1_000;

const WORKLOADS: [(&str, fn()); 5] = [
    ("frames", frames_to_strategy),
    ("orders", decisions_to_bytes),
    ("durable", durable_decisions),
    ("rate", frames_per_second),
    ("restart", restart::run),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    if let [word, path] = args.as_slice()
        && word == restart::MAKE
    {
        return restart::make(path.as_ref());
    }
    match args.first() {
        Some(word) => {
            let (_, run) = WORKLOADS.iter().find(|(name, _)| name == word).unwrap();
            run();
            println!("{:<44} {:>10} MB", "  memory, at most", peak_memory_mb());
        }
        None => {
            for (name, _) in WORKLOADS {
                let status = std::process::Command::new(std::env::current_exe().unwrap()).arg(name).status().unwrap();
                assert!(status.success(), "{name} failed");
            }
        }
    }
}

/// What the process held at most, in MB.
fn peak_memory_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or("");
    line.split_whitespace().nth(1).and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) / 1_024
}

fn title(text: &str) {
    println!("\n{text:<44} {:>9} {:>9} {:>9} {:>9} {:>9}", "count", "p50 us", "p99 us", "p99.9 us", "max us");
}

/// A line with the quantiles of some durations.
fn quantiles(name: &str, times: &mut [Duration]) {
    times.sort_unstable();
    let at = |part: f64| {
        let index = ((times.len() as f64 * part) as usize).min(times.len().saturating_sub(1));
        times.get(index).map_or(0.0, |time| time.as_secs_f64() * 1e6)
    };
    let (p50, p99, p999, most) = (at(0.5), at(0.99), at(0.999), at(1.0));
    println!("  {name:<42} {:>9} {p50:>9.2} {p99:>9.2} {p999:>9.2} {most:>9.1}", times.len());
}

/// What two looks at the clock cost, which is in every figure.
fn clock() {
    let mut times: Vec<Duration> = (0..100_000).map(|_| Instant::now().elapsed()).collect();
    quantiles("two looks at the clock", &mut times);
}

/// From the arrival of a frame at the bot to the strategy's callback.
fn frames_to_strategy() {
    let (frames, from) = frames::load();
    title(&format!("frame to callback ({from})"));
    let mut times: [Vec<Duration>; 4] = Default::default();
    let mut all: Vec<Duration> = Vec::new();
    let mut heard = 0;
    while heard < FRAMES {
        let mut desk = Desk::running(true, NoLog, frames[0].at);
        let sockets = [desk.socket(Route::Public), desk.socket(Route::Market)];
        for frame in &frames {
            if desk.is_due(frame.at) {
                desk.settle();
            }
            let socket = sockets[frame.route as usize];
            desk.probe().called.set(None);
            let begun = Instant::now();
            desk.bot.hear(desk.at, News::Frame { socket, text: &frame.text }).unwrap();
            let called = desk.probe().called.take();
            assert_eq!(called.map(|(callback, _)| callback), frame.reaches);
            if let Some((callback, at)) = called {
                times[callback as usize].push(at - begun);
                all.push(at - begun);
            }
        }
        heard += frames.len();
    }
    quantiles("all", &mut all);
    let names = ["bookTicker", "aggTrade", "markPrice", "kline, closed"];
    for (name, times) in names.iter().zip(&mut times) {
        quantiles(name, times);
    }
    quantiles("all, the thread slept before each", &mut after_sleep(&frames));
    clock();
}

/// The same on a quiet market: the thread wakes for each frame, and what it needs is in no cache any more.
fn after_sleep(frames: &[Frame]) -> Vec<Duration> {
    let mut desk = Desk::running(true, NoLog, frames[0].at);
    let sockets = [desk.socket(Route::Public), desk.socket(Route::Market)];
    let mut times = Vec::new();
    for frame in &frames[..QUIET_FRAMES] {
        if desk.is_due(frame.at) {
            desk.settle();
        }
        std::thread::sleep(Duration::from_millis(1));
        let begun = Instant::now();
        desk.bot.hear(desk.at, News::Frame { socket: sockets[frame.route as usize], text: &frame.text }).unwrap();
        times.extend(desk.probe().called.take().map(|(_, at)| at - begun));
    }
    times
}

/// Everything that is measured of one decision.
#[derive(Default)]
struct Decisions {
    place: Vec<Duration>,
    cancel: Vec<Duration>,
    append: Vec<Duration>,
    commit: Vec<Duration>,
    whole: Vec<Duration>,
}

/// Lets the strategy place orders and cancel them; `between` is called before each. What the log takes is measured apart.
fn decide<L: EventLog>(log: L, count: usize, mut between: impl FnMut()) -> Decisions {
    let begin = Timestamp::from_millis(1_721_347_200_000).unwrap();
    let mut desk = Desk::running(true, Timed::new(log), begin);
    let mut decisions = Decisions::default();
    let socket = desk.socket(Route::Public);
    desk.at = begin;
    for number in 0..count as i64 {
        between();
        if number % 50 == 0 {
            desk.deliver_all();
        }
        desk.settle_for(100 * NANOS_PER_MILLI);
        for (step, plan) in [Plan::Place, Plan::Cancel].into_iter().enumerate() {
            // So far apart that the exchange's limits on orders are never met.
            desk.at = desk.at.plus(35 * NANOS_PER_MILLI);
            let at = desk.at.millis();
            let text = format!(
                r#"{{"stream":"btcusdt@bookTicker","data":{{"e":"bookTicker","u":{},"s":"BTCUSDT","b":"63943.90","B":"46.371","a":"63944.00","A":"0.095","T":{at},"E":{at}}}}}"#,
                10 + 2 * number + step as i64
            );
            desk.probe().plan.set(plan);
            desk.bot.engine_mut().log_mut().forget();
            desk.bot.hear(desk.at, News::Frame { socket, text: text.as_bytes() }).unwrap();
            let effect = desk.bot.effects().next();
            let bytes_at = Instant::now();
            let Some(Effect::Http(request)) = black_box(effect) else { panic!("no request for {plan:?}") };
            assert!(request.path == "/fapi/v1/order" && request.query.contains("&signature="), "{request:?}");
            let whole = bytes_at - desk.probe().decided.take().unwrap();
            let (append, commit) = desk.bot.engine().log().spent();
            let own = whole.saturating_sub(append + commit);
            if plan == Plan::Place {
                decisions.place.push(own)
            } else {
                decisions.cancel.push(own)
            }
            decisions.append.push(append);
            decisions.commit.push(commit);
            decisions.whole.push(whole);
            desk.answer(&request);
            match plan {
                Plan::Place => desk.tell_order("NEW", "NEW"),
                _ => desk.tell_order("CANCELED", "CANCELED"),
            }
        }
    }
    assert!(desk.bot.engine().state().orders.is_empty(), "every order was cancelled");
    decisions
}

/// From the end of the strategy's callback to the signed request, without a file.
fn decisions_to_bytes() {
    title("decision to request bytes, no log");
    let mut decisions = decide(NoLog, ORDERS, || {});
    quantiles("place", &mut decisions.place);
    quantiles("cancel", &mut decisions.cancel);
    title("the same, log in memory");
    let mut decisions = decide(MemoryLog::new(Encoder::new(scope(), &instruments())), ORDERS, || {});
    quantiles("place and cancel, log included", &mut decisions.whole);
    clock();
}

/// The same with a store: what the intent's way to the disk costs.
fn durable_decisions() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::create(&directory.path().join("live.db"), scope(), &instruments()).unwrap();
    title("decision to request bytes, file, FULL");
    // In turn, because a disk that others use is faster at one moment than at another.
    let mut bare = BareSyncs::new(directory.path());
    let mut decisions = decide(store, DURABLE_ORDERS, || bare.sync());
    quantiles("place, less the log", &mut decisions.place);
    quantiles("cancel, less the log", &mut decisions.cancel);
    quantiles("append", &mut decisions.append);
    quantiles("commit", &mut decisions.commit);
    quantiles("all together", &mut decisions.whole);
    quantiles("bare: a page written and synced, twice", &mut bare.times);
}

/// What the disk itself takes for the two waits of a commit: a page of the log, and the head mark.
struct BareSyncs {
    log: File,
    head: File,
    times: Vec<Duration>,
}

impl BareSyncs {
    fn new(directory: &Path) -> BareSyncs {
        let create = |name: &str| File::create(directory.join(name)).unwrap();
        BareSyncs { log: create("bare-log"), head: create("bare-head"), times: Vec::new() }
    }

    fn sync(&mut self) {
        let begun = Instant::now();
        self.log.write_all(&[7; 4_096]).unwrap();
        self.log.sync_data().unwrap();
        self.head.rewind().unwrap();
        self.head.write_all(&[7; 86]).unwrap();
        self.head.sync_data().unwrap();
        self.times.push(begun.elapsed());
    }
}

/// Frames through session and engine, as many as there is time for, beside a bare parser.
fn frames_per_second() {
    let (frames, from) = frames::load();
    let bytes: usize = frames.iter().map(|frame| frame.text.len()).sum();
    let fastest = |run: &mut dyn FnMut() -> Duration| (0..TRIES).map(|_| run()).min().unwrap();
    let bare = fastest(&mut || {
        let begun = Instant::now();
        for frame in &frames {
            black_box(serde_json::from_slice::<serde_json::Value>(&frame.text).unwrap());
        }
        begun.elapsed()
    });
    let whole = fastest(&mut || pass(&frames));
    println!(
        "\n{:<44} {:>9} {:>9} {:>12} {:>9}",
        format!("market frames ({from})"),
        "frames",
        "ms",
        "frames/s",
        "MB/s"
    );
    for (name, time) in [("bare serde_json to a Value", bare), ("session and engine", whole)] {
        let seconds = time.as_secs_f64();
        let (rate, megabytes) = (frames.len() as f64 / seconds, bytes as f64 / seconds / 1e6);
        println!("  {name:<42} {:>9} {:>9.1} {rate:>12.0} {megabytes:>9.0}", frames.len(), seconds * 1e3);
    }
    println!("  {:<42} {:>9.2}", "ratio to the bare parser", whole.as_secs_f64() / bare.as_secs_f64());
}

fn pass(frames: &[Frame]) -> Duration {
    let mut desk = Desk::running(false, NoLog, frames[0].at);
    let sockets = [desk.socket(Route::Public), desk.socket(Route::Market)];
    let before = desk.probe().calls.get();
    let begun = Instant::now();
    for frame in frames {
        if desk.is_due(frame.at) {
            desk.settle();
        }
        let socket = sockets[frame.route as usize];
        desk.bot.hear(desk.at, News::Frame { socket, text: &frame.text }).unwrap();
        if desk.bot.effects().next().is_some() {
            panic!("a market frame led to a request");
        }
    }
    let time = begun.elapsed();
    let reached = frames.iter().filter(|frame| frame.reaches.is_some()).count();
    assert_eq!(desk.probe().calls.get() - before, reached as u64);
    time
}

/// The callbacks are places in arrays.
const _: () = assert!(Callback::Bar as usize == 3);
