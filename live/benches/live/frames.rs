//! The frames that are heard: recordings of the exchange where they are, otherwise a market by chance with a fixed seed.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use alphaengine_core::link::Route;
use alphaengine_core::units::{NANOS_PER_MILLI, NANOS_PER_MINUTE, NANOS_PER_SECOND, Timestamp};
use serde_json::Value;

use crate::desk::{Callback, STARTED_BEFORE, SYMBOLS, agg_trade, first_bar, kline};

/// Of so many frames one closes a bar: far more than on a market, so that there are enough to count.
const BAR_EVERY: usize = 200;
const FORMING_EVERY: usize = 50;
const MARK_EVERY: usize = 40;
/// Book tickers and trades of the market by chance.
const BY_CHANCE: usize = 120_000;

pub struct Frame {
    pub at: Timestamp,
    pub route: Route,
    pub text: Vec<u8>,
    /// Whom it reaches; a bar that forms reaches nobody.
    pub reaches: Option<Callback>,
}

/// What a recording tells.
struct Tick {
    received: u64,
    symbol: usize,
    text: String,
    at: i64,
    callback: Callback,
}

/// The frames, and where they come from.
pub fn load() -> (Vec<Frame>, &'static str) {
    let shared = std::env::var_os("ALPHAENGINE_SHARED_DATA").map(PathBuf::from);
    let shared = shared.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"));
    let ticks = recorded(&shared.join("ticks"));
    let (ticks, from) = if ticks.is_empty() { (by_chance(), "by chance") } else { (ticks, "recorded") };
    (with_marks_and_bars(ticks), from)
}

fn recorded(directory: &Path) -> Vec<Tick> {
    let mut ticks = Vec::new();
    for (symbol, name) in SYMBOLS.iter().enumerate() {
        let mut trades = 1;
        for day in ["20240718", "20240719"] {
            let Ok(file) = std::fs::File::open(directory.join(format!("{}_{day}.gz", name.to_lowercase()))) else {
                return Vec::new();
            };
            for line in std::io::BufReader::new(flate2::read::GzDecoder::new(file)).lines() {
                let line = line.unwrap();
                let (received, text) = line.split_once(' ').unwrap();
                let (is_book, is_trade) = (text.contains("@bookTicker\""), text.contains("@trade\""));
                if !is_book && !is_trade {
                    continue;
                }
                let frame: Value = serde_json::from_str(text).unwrap();
                let data = &frame["data"];
                let at = data["E"].as_i64().unwrap();
                // The recordings have single trades, of which the session hears the aggregated ones.
                let (text, callback) = if is_trade {
                    trades += 1;
                    let text = |field: &str| data[field].as_str().unwrap().to_owned();
                    let is_buyer_maker = data["m"].as_bool().unwrap();
                    (agg_trade(name, trades, &text("p"), &text("q"), is_buyer_maker, at), Callback::Trade)
                } else {
                    (data.to_string(), Callback::BookTicker)
                };
                ticks.push(Tick { received: received.parse().unwrap(), symbol, text, at, callback });
            }
        }
    }
    ticks.sort_by_key(|tick| tick.received);
    ticks
}

/// A random walk of both symbols, a frame each 4 ms.
fn by_chance() -> Vec<Tick> {
    let mut random = 7u64;
    let mut below = move |most: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % most
    };
    let mut cents = [6_394_000u64, 342_500];
    let mut trades = [1u64; 2];
    (0..BY_CHANCE as u64)
        .map(|index| {
            let symbol = below(2) as usize;
            let (name, at) = (SYMBOLS[symbol], 1_721_347_022_000 + 4 * index as i64);
            cents[symbol] = cents[symbol] + below(21) - 10;
            let price = |cents: u64| format!("{}.{:02}", cents / 100, cents % 100);
            let (bid, ask) = (price(cents[symbol]), price(cents[symbol] + 10));
            let (text, callback) = if below(5) == 0 {
                trades[symbol] += 1;
                let qty = format!("0.{:03}", 1 + below(999));
                (agg_trade(name, trades[symbol], &bid, &qty, below(2) == 0, at), Callback::Trade)
            } else {
                let (u, held, asked) = (4_984_028_370_881 + index, below(50_000), below(50_000));
                let text = format!(
                    r#"{{"e":"bookTicker","u":{u},"s":"{name}","b":"{bid}","B":"{}.{:03}","a":"{ask}","A":"{}.{:03}","T":{at},"E":{at}}}"#,
                    held / 1_000,
                    held % 1_000,
                    asked / 1_000,
                    asked % 1_000
                );
                (text, Callback::BookTicker)
            };
            Tick { received: index, symbol, text, at, callback }
        })
        .collect()
}

/// Mark prices and bars, which the recordings lack, in between.
fn with_marks_and_bars(ticks: Vec<Tick>) -> Vec<Frame> {
    let lower = SYMBOLS.map(str::to_lowercase);
    let millis = |at: i64| Timestamp::from_millis(at).unwrap();
    let begin = millis(ticks[0].at);
    let mut forming = [first_bar(begin.plus(-STARTED_BEFORE)); 2];
    let mut last_mark = [0i64; 2];
    let mut frames = Vec::with_capacity(ticks.len() + ticks.len() / 10);
    let (mut now, mut last) = (begin, begin);
    for (index, tick) in ticks.into_iter().enumerate() {
        let Tick { symbol, text, at, callback, .. } = tick;
        // Between two recordings nothing was heard; on a socket that would be a dead stream.
        now = now.plus(millis(at).since(last).clamp(0, NANOS_PER_SECOND));
        last = millis(at);
        let name = SYMBOLS[symbol];
        let mut push = |stream: &str, route: Route, data: &str, reaches: Option<Callback>| {
            let text = format!(r#"{{"stream":"{}@{stream}","data":{data}}}"#, lower[symbol]).into_bytes();
            frames.push(Frame { at: now.plus(2 * NANOS_PER_MILLI), route, text, reaches });
        };
        match callback {
            Callback::BookTicker => push("bookTicker", Route::Public, &text, Some(callback)),
            _ => push("aggTrade", Route::Market, &text, Some(callback)),
        }
        let price = [63_900, 3_425][symbol];
        if index % MARK_EVERY == 0 {
            last_mark[symbol] = now.millis().max(last_mark[symbol] + 1);
            let at = last_mark[symbol];
            let data = format!(
                r#"{{"e":"markPriceUpdate","E":{at},"s":"{name}","p":"{price}.18000000","i":"{price}.62978723","P":"{price}.55000000","r":"0.00010000","T":1721376000000}}"#
            );
            push("markPrice@1s", Route::Market, &data, Some(Callback::MarkPrice));
        }
        if index % BAR_EVERY == 0 {
            push("kline_1m", Route::Market, &kline(name, forming[symbol], true, price, at), Some(Callback::Bar));
            forming[symbol] = forming[symbol].plus(NANOS_PER_MINUTE);
        }
        if index % FORMING_EVERY == 0 {
            push("kline_1m", Route::Market, &kline(name, forming[symbol], false, price, at), None);
        }
    }
    frames
}
