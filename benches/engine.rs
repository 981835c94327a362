//! How fast the engine is, as ratios to the bare loop over the same arrays, within one run.
//!
//! `cargo bench --bench engine` runs every workload; `cargo bench --bench engine -- trades` one. Data come from a fixed seed,
//! and every count is checked. The bare loop walks the arrays and keeps cash and position: what the same machine does at
//! best at the same moment. `docs/benchmarks.md` says what was measured and how it compares.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot run should say so at once")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use alphaengine::core::engine::{Config, Engine};
use alphaengine::core::instrument::{Catalog, Instruments};
use alphaengine::core::market::{Bar, MarketData, Timeframe};
use alphaengine::core::mode::Mode;
use alphaengine::core::params::Params;
use alphaengine::core::prelude::*;
use alphaengine::core::risk::Limits;
use alphaengine::core::store::{Encoder, EventLog, MemoryLog, NoLog, Scope, SqliteStore};
use alphaengine::datasets::chunk::{Chunk, Timed};
use alphaengine::datasets::{Tape, workload};
use alphaengine::sim::{SimConfig, SimWorld};
use alphaengine::strategies::SmaCross;
use alphaengine::writer::FileWriter;

/// Each measurement is the fastest of so many.
const TRIES: usize = 5;
const TOGGLE_EVERY: u64 = 10_000;
const QUOTE_EVERY: u64 = 1_000;

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|word| word == name);
    println!(
        "{:<8} {:>11} {:>8} {:>10} {:>10} {:>7} {:>12}",
        "workload", "inputs", "fills", "bare ms", "engine ms", "ratio", "M inputs/s"
    );
    if is_wanted("bars") {
        bars();
    }
    if is_wanted("trades") {
        trades();
    }
    if is_wanted("book") {
        book();
    }
    if is_wanted("quote") {
        quote();
    }
    if is_wanted("store") {
        store();
    }
    if is_wanted("process") {
        process();
    }
}

/// The fastest of several tries, and what the last one came to.
fn fastest<T>(mut run: impl FnMut() -> (Duration, T)) -> (Duration, T) {
    let (mut best, mut result) = run();
    for _ in 1..TRIES {
        let (time, again) = run();
        best = best.min(time);
        result = again;
    }
    (best, result)
}

fn timed<T>(run: impl FnOnce() -> T) -> (Duration, T) {
    let begun = Instant::now();
    let result = run();
    (begun.elapsed(), result)
}

fn line(name: &str, inputs: u64, fills: u64, bare: Duration, engine: Duration) {
    println!(
        "{name:<8} {inputs:>11} {fills:>8} {:>10.2} {:>10.2} {:>7.1} {:>12.1}",
        bare.as_secs_f64() * 1e3,
        engine.as_secs_f64() * 1e3,
        engine.as_secs_f64() / bare.as_secs_f64(),
        inputs as f64 / engine.as_secs_f64() / 1e6
    );
}

fn instruments() -> Instruments {
    let catalog = Catalog::builtin();
    Instruments::new(vec![catalog.get(&"BTCUSDT".parse().unwrap()).unwrap().clone()]).unwrap()
}

fn config(timeframe: Option<Timeframe>) -> Config {
    Config {
        session: "0123456789abcdef".parse().unwrap(),
        mode: Mode::Backtest,
        strategy: "bench".into(),
        description: serde_json::Value::Null,
        asset: "USDT".parse().unwrap(),
        instruments: instruments(),
        base_timeframes: vec![timeframe],
        trade_bars: Timeframe::M1,
        limits: Limits::default(),
        recv_window: 2_000_000_000,
        commit_each_step: false,
        live: None,
    }
}

/// One run of the engine: how long, how many inputs, how many fills, and the log.
fn run<S: Strategy, L: EventLog>(
    strategy: S,
    log: L,
    timeframe: Option<Timeframe>,
    chunks: Vec<Vec<Chunk>>,
) -> (Duration, (u64, u64, L)) {
    let sim = SimConfig { cash: Money::whole(1_000_000), ..SimConfig::default() };
    let tape = Tape::from_chunks(chunks.into_iter().map(|chunks| (SymbolId(0), chunks)).collect());
    let mut world = SimWorld::new(sim, &instruments(), tape);
    let mut engine = Engine::new(config(timeframe), strategy, log);
    let (time, inputs) = timed(|| {
        let mut inputs = 0u64;
        while let Some((at, input)) = world.next(engine.wake_at()).unwrap() {
            for outgoing in engine.step(at, input).unwrap() {
                world.submit(at, outgoing);
            }
            inputs += 1;
        }
        inputs
    });
    let finished = engine.finish();
    (time, (inputs, finished.state.trades, finished.log))
}

/// Cash and position of a bare loop.
#[derive(Default)]
struct Books {
    cash: i128,
    position: i64,
    fills: u64,
}

impl Books {
    fn trade(&mut self, qty: i64, price: i64) {
        self.cash -= i128::from(qty) * i128::from(price);
        self.position += qty;
        self.fills += 1;
    }
}

fn sma_cross() -> SmaCross {
    let declared = SmaCross::info().params;
    let given = ["fast=10".to_owned(), "slow=30".to_owned(), "qty=0.01".to_owned()];
    let params = Params::read("sma_cross", &declared, &given).unwrap();
    SmaCross::new(&params, &instruments()).unwrap()
}

fn bars() {
    let chunks = workload::bars();
    let rows = bar_rows(&chunks);
    let (bare, books) = fastest(|| timed(|| bare_sma(black_box(&rows))));
    let (engine, (inputs, fills, _)) = fastest(|| run(sma_cross(), NoLog, Some(Timeframe::M1), vec![chunks.clone()]));
    assert_eq!(rows.len(), workload::BARS);
    assert!((20_000..21_500).contains(&fills), "{fills} fills");
    assert_eq!(fills, books.fills);
    line("bars", inputs, fills, bare, engine);
}

/// The averages of the last 10 and 30 closes, as sums; a fill at the next open.
fn bare_sma(rows: &[Bar]) -> Books {
    let mut books = Books::default();
    let (mut fast, mut slow, mut was_above, mut order) = (0i64, 0i64, None, 0i64);
    let close = |index: usize| rows[index].close.steps() / 1_000;
    for (index, bar) in rows.iter().enumerate() {
        if order != 0 {
            books.trade(order, bar.open.steps());
            order = 0;
        }
        fast += close(index);
        slow += close(index);
        if index >= 10 {
            fast -= close(index - 10);
        }
        if index >= 30 {
            slow -= close(index - 30);
        }
        if index >= 29 {
            let is_above = 3 * fast > slow;
            match was_above.replace(is_above) {
                Some(false) if is_above => order = 1_000_000,
                Some(true) if !is_above && books.position > 0 => order = -1_000_000,
                _ => {}
            }
        }
    }
    books
}

/// Buys and sells in turn, one market order every so many trades.
struct Toggle {
    seen: u64,
    is_long: bool,
}

impl Strategy for Toggle {
    fn info() -> StrategyInfo {
        StrategyInfo { name: "toggle", about: "Buys and sells in turn.", params: vec![] }
    }

    fn new(_: &Params, _: &Instruments) -> Result<Self, String> {
        Ok(Toggle { seen: 0, is_long: false })
    }

    fn on_trade(&mut self, ctx: &mut Context<'_>, symbol: SymbolId, _: &Trade) {
        self.seen += 1;
        if self.seen.is_multiple_of(TOGGLE_EVERY) {
            let qty = Qty::from_steps(1_000_000);
            if self.is_long {
                ctx.sell(symbol, qty);
            } else {
                ctx.buy(symbol, qty);
            }
            self.is_long = !self.is_long;
        }
    }
}

fn bar_rows(chunks: &[Chunk]) -> Vec<Bar> {
    let rows = chunks.iter().flat_map(|chunk| match chunk {
        Chunk::Bars(bars) => bars.clone(),
        _ => Vec::new(),
    });
    rows.collect()
}

fn trade_rows(chunks: &[Chunk]) -> Vec<Timed<Trade>> {
    let rows = chunks.iter().flat_map(|chunk| match chunk {
        Chunk::Trades(rows) => rows.clone(),
        _ => Vec::new(),
    });
    rows.collect()
}

fn book_rows(chunks: &[Chunk]) -> Vec<Timed<BookTicker>> {
    let rows = chunks.iter().flat_map(|chunk| match chunk {
        Chunk::Books(rows) => rows.clone(),
        _ => Vec::new(),
    });
    rows.collect()
}

/// Walks the trades and trades at every ten thousandth.
fn bare_toggle(rows: &[Timed<Trade>]) -> Books {
    let mut books = Books::default();
    let (mut seen, mut qty, mut last, mut volume) = (0u64, 1_000_000i64, 0i64, 0i64);
    for trade in rows {
        last = trade.row.price.steps();
        volume = volume.wrapping_add(trade.row.qty.steps());
        seen += 1;
        if seen.is_multiple_of(TOGGLE_EVERY) {
            books.trade(qty, last);
            qty = -qty;
        }
    }
    black_box((last, volume));
    books
}

fn trades() {
    let chunks = workload::trades();
    let rows = trade_rows(&chunks);
    assert_eq!(rows.len(), workload::TRADES);
    let (bare, books) = fastest(|| timed(|| bare_toggle(black_box(&rows))));
    drop(rows);
    let toggle = || Toggle { seen: 0, is_long: false };
    let (engine, (inputs, fills, _)) = fastest(|| run(toggle(), NoLog, None, vec![chunks.clone()]));
    // The order of the very last trade meets no later one.
    assert_eq!((books.fills, fills), (500, 499));
    line("trades", inputs, fills, bare, engine);
}

/// Walks both arrays in the order of their times.
fn bare_merge(trades: &[Timed<Trade>], books: &[Timed<BookTicker>], mut each: impl FnMut(Option<&Trade>, &BookTicker)) {
    let mut quotes = books.iter().peekable();
    let mut quote = books[0].row;
    for trade in trades {
        while let Some(next) = quotes.next_if(|next| next.at <= trade.at) {
            quote = next.row;
            each(None, &quote);
        }
        each(Some(&trade.row), &quote);
    }
    quotes.for_each(|last| each(None, &last.row));
}

fn bare_book(trades: &[Timed<Trade>], quotes: &[Timed<BookTicker>]) -> Books {
    let mut books = Books::default();
    let (mut seen, mut qty) = (0u64, 1_000_000i64);
    bare_merge(trades, quotes, |trade, quote| {
        if trade.is_some() {
            seen += 1;
            if seen.is_multiple_of(TOGGLE_EVERY) {
                books.trade(qty, if qty > 0 { quote.ask.steps() } else { quote.bid.steps() });
                qty = -qty;
            }
        }
    });
    books
}

fn book() {
    let (trade_chunks, book_chunks) = (workload::trades(), workload::books());
    let (trades, quotes) = (trade_rows(&trade_chunks), book_rows(&book_chunks));
    assert_eq!(quotes.len(), workload::BOOKS);
    let (bare, books) = fastest(|| timed(|| bare_book(black_box(&trades), black_box(&quotes))));
    drop((trades, quotes));
    let toggle = || Toggle { seen: 0, is_long: false };
    let (engine, (inputs, fills, _)) =
        fastest(|| run(toggle(), NoLog, None, vec![trade_chunks.clone(), book_chunks.clone()]));
    assert_eq!(books.fills, 500);
    assert!(fills >= 500, "{fills} fills: a taker may need two prices");
    line("book", inputs, fills, bare, engine);
}

/// Keeps one bid at the touch and places it anew every so many trades; what it bought it sells the same way.
struct Quote {
    seen: u64,
    order: Option<ClientOrderId>,
}

impl Strategy for Quote {
    fn info() -> StrategyInfo {
        StrategyInfo { name: "quote", about: "Keeps an order at the touch.", params: vec![] }
    }

    fn new(_: &Params, _: &Instruments) -> Result<Self, String> {
        Ok(Quote { seen: 0, order: None })
    }

    fn on_trade(&mut self, ctx: &mut Context<'_>, symbol: SymbolId, _: &Trade) {
        self.seen += 1;
        if self.seen.is_multiple_of(QUOTE_EVERY)
            && let Some(book) = ctx.book(symbol).copied()
        {
            if let Some(id) = self.order.take().filter(|id| ctx.order(id).is_some()) {
                ctx.cancel(id);
            }
            let qty = Qty::from_steps(1_000_000);
            let is_flat = !ctx.position(symbol).qty().is_positive();
            let (side, price) = if is_flat { (Side::Buy, book.bid) } else { (Side::Sell, book.ask) };
            self.order = Some(ctx.limit(symbol, side, qty, price));
        }
    }
}

/// The same, an order filling when a trade goes beyond its price.
fn bare_quote(trades: &[Timed<Trade>], quotes: &[Timed<BookTicker>]) -> Books {
    let mut books = Books::default();
    let (mut seen, mut order): (u64, Option<(i64, i64)>) = (0, None);
    bare_merge(trades, quotes, |trade, quote| {
        let (ask, bid) = trade.map_or((quote.ask, quote.bid), |trade| (trade.price, trade.price));
        if let Some((qty, price)) = order
            && (if qty > 0 { ask.steps() < price } else { bid.steps() > price })
        {
            books.trade(qty, price);
            order = None;
        }
        if trade.is_some() {
            seen += 1;
            if seen.is_multiple_of(QUOTE_EVERY) {
                let is_flat = books.position <= 0;
                order = Some(if is_flat { (1_000_000, quote.bid.steps()) } else { (-1_000_000, quote.ask.steps()) });
            }
        }
    });
    books
}

fn quote() {
    let (trade_chunks, book_chunks) = (workload::trades(), workload::books());
    let (trades, quotes) = (trade_rows(&trade_chunks), book_rows(&book_chunks));
    let (bare, books) = fastest(|| timed(|| bare_quote(black_box(&trades), black_box(&quotes))));
    drop((trades, quotes));
    let strategy = || Quote { seen: 0, order: None };
    let (engine, (inputs, fills, _)) =
        fastest(|| run(strategy(), NoLog, None, vec![trade_chunks.clone(), book_chunks.clone()]));
    assert!(books.fills > 1_000, "{} fills", books.fills);
    assert_eq!(fills, books.fills);
    line("quote", inputs, fills, bare, engine);
}

/// What the store costs: the writer alone, and the run of `bars` with it.
fn store() {
    let chunks = workload::bars();
    let scope = || Scope::binance_futures(Mode::Backtest, "0123456789abcdef".parse().unwrap(), "sim");
    let memory = || MemoryLog::new(Encoder::new(scope(), &instruments()));
    let (off, _) = fastest(|| run(sma_cross(), NoLog, Some(Timeframe::M1), vec![chunks.clone()]));
    let (_, (_, _, log)) = run(sma_cross(), memory(), Some(Timeframe::M1), vec![chunks.clone()]);
    let directory = tempfile::tempdir().unwrap();
    let mut number = 0;
    let mut create = || {
        number += 1;
        SqliteStore::create(&directory.path().join(format!("{number}.db")), scope(), &instruments()).unwrap()
    };
    let (alone, rows) = fastest(|| {
        let mut store = create();
        timed(|| {
            for events in log.events().chunks(16_384) {
                store.append(events).unwrap();
                store.commit().unwrap();
            }
            store.rows_written()
        })
    });
    let (beside, _) = fastest(|| {
        let writer = FileWriter::start(create()).unwrap();
        let begun = Instant::now();
        let (_, (_, _, writer)) = run(sma_cross(), writer, Some(Timeframe::M1), vec![chunks.clone()]);
        writer.finish().unwrap().close().unwrap();
        (begun.elapsed(), ())
    });
    println!();
    println!("store: {} events, {rows} rows", log.events().len());
    println!(
        "writer alone, FULL, batches of 16,384 events: {:.0} ms, {:.0} rows/s",
        alone.as_secs_f64() * 1e3,
        rows as f64 / alone.as_secs_f64()
    );
    println!(
        "run of `bars` without store {:.0} ms, with it {:.0} ms",
        off.as_secs_f64() * 1e3,
        beside.as_secs_f64() * 1e3
    );
    black_box(MarketData::Trade);
}

/// The whole command on files of these workloads: from the start of the process to its report, and the memory it took.
fn process() {
    let directory = tempfile::tempdir().unwrap();
    let bars_file = directory.path().join("BTCUSDT-1m.csv");
    let mut text = String::from("open_time,open,high,low,close,volume\n");
    for bar in bar_rows(&workload::bars()) {
        let Bar { open, high, low, close, volume, .. } = bar;
        writeln!(text, "{},{open},{high},{low},{close},{volume}", bar.open_time.millis()).unwrap();
    }
    std::fs::write(&bars_file, &text).unwrap();
    let trades_file = directory.path().join("BTCUSDT-trades.csv");
    text = String::from("id,price,qty,quote_qty,time,is_buyer_maker\n");
    for Timed { at, row } in trade_rows(&workload::trades()) {
        let Trade { id, price, qty, is_buyer_maker } = row;
        writeln!(text, "{id},{price},{qty},0,{},{is_buyer_maker}", at.millis()).unwrap();
    }
    std::fs::write(&trades_file, &text).unwrap();
    drop(text);
    println!();
    println!("{:<8} {:<8} {:>12} {:>12} {:>8}", "process", "store", "inputs/s", "whole ms", "RSS MB");
    for (name, file) in [("bars", &bars_file), ("trades", &trades_file)] {
        for store in ["none", "memory", "file"] {
            let (time, report) = fastest(|| {
                let kept = directory.path().join("kept.db");
                let given = if store == "file" { kept.as_os_str() } else { store.as_ref() };
                let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_alphaengine"));
                command.args(["backtest", "--json", "--cash", "1000000", "--param", "qty=0.01"]);
                command.arg("--data").arg(file).arg("--store").arg(given).current_dir(directory.path());
                let (time, output) = timed(|| command.output().unwrap());
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                for ending in ["", "-wal", "-shm", ".head"] {
                    let _ = std::fs::remove_file(directory.path().join(format!("kept.db{ending}")));
                }
                (time, serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap())
            });
            let rate = report["timing"]["inputs_per_s"].as_f64().unwrap_or_default();
            let whole = time.as_secs_f64() * 1e3;
            println!("{name:<8} {store:<8} {rate:>12.0} {whole:>12.0} {:>8}", report["peak_rss_mb"].to_string());
        }
    }
}
