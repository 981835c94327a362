//! `sma_cross` against a computation that shares nothing with the engine but the reader: plain integers, to the last unit.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

mod support;

use alphaengine::core::market::{Bar, Timeframe};
use alphaengine::datasets::chunk::Chunk;
use alphaengine::datasets::read;
use support::{Desk, shared_data};

const FAST: usize = 10;
const SLOW: usize = 30;
const CASH: i128 = 100_000 * UNIT;
const UNIT: i128 = 100_000_000;

/// When an order that is decided at a close fills.
#[derive(Clone, Copy, PartialEq)]
enum Fills {
    AtClose,
    /// At the next open, one basis point worse, rounded to the tick against the taker.
    AtNextOpen {
        tick: i128,
    },
}

/// Cash, position and what was paid, all at 1e-8.
struct Books {
    cash: i128,
    held: i128,
    fees: i128,
    fills: u64,
}

impl Books {
    fn trade(&mut self, qty: i128, price: i128) {
        let notional = price * qty.abs();
        assert_eq!(notional % UNIT, 0, "price times quantity is not exact at 1e-8");
        let fee = half_even(notional / UNIT * 5, 10_000);
        self.cash -= price * qty / UNIT + fee;
        self.held += qty;
        self.fees += fee;
        self.fills += 1;
    }
}

fn half_even(value: i128, divisor: i128) -> i128 {
    let (whole, rest) = (value / divisor, value % divisor);
    whole + i128::from(2 * rest > divisor || 2 * rest == divisor && whole % 2 == 1)
}

fn ceil(value: i128, step: i128) -> i128 {
    (value + step - 1) / step * step
}

/// The whole strategy and its exchange in one loop.
fn compute(bars: &[Bar], qty: i128, long_short: bool, fills: Fills) -> (Books, i128) {
    let price = |price: alphaengine::core::units::Price| i128::from(price.steps());
    let mut books = Books { cash: CASH, held: 0, fees: 0, fills: 0 };
    let (mut waiting, mut was_above) = (0, None);
    for (index, bar) in bars.iter().enumerate() {
        if let Fills::AtNextOpen { tick } = fills
            && waiting != 0
        {
            let open = price(bar.open);
            let worse = (open + 9_999) / 10_000;
            let paid = if waiting > 0 { ceil(open + worse, tick) } else { (open - worse) / tick * tick };
            books.trade(waiting, paid);
            waiting = 0;
        }
        if index + 1 < SLOW {
            continue;
        }
        let sum = |count: usize| bars[index + 1 - count..=index].iter().map(|bar| price(bar.close)).sum::<i128>();
        let is_above = sum(FAST) * SLOW as i128 > sum(SLOW) * FAST as i128;
        let order = match was_above.replace(is_above) {
            Some(false) if is_above => qty - books.held,
            Some(true) if !is_above && long_short => -qty - books.held,
            Some(true) if !is_above => -books.held,
            _ => 0,
        };
        if order != 0 && fills == Fills::AtClose {
            books.trade(order, price(bar.close));
        } else {
            waiting = order;
        }
    }
    let last = price(bars.last().unwrap().close);
    let equity = books.cash + books.held * last / UNIT;
    (books, equity)
}

fn bars(symbol: &str) -> Vec<Bar> {
    let mut source = read::open(&shared_data(&format!("klines-1m/{symbol}.parquet")), Some(Timeframe::M1)).unwrap();
    let mut bars = Vec::new();
    while let Some(chunk) = source.next_chunk().unwrap() {
        match chunk {
            Chunk::Bars(rows) => bars.extend(rows),
            other => panic!("these are no bars: {other:?}"),
        }
    }
    bars
}

/// A decimal with as many digits as it needs, from units of 1e-8.
fn decimal(units: i128) -> String {
    let text = format!("{}.{:08}", units / UNIT, units % UNIT);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[test]
#[cfg_attr(not(shared_data), ignore = "needs the recordings in ../shared/data")]
fn final_equity_is_right_to_the_last_unit() {
    let desk = Desk::new();
    // Symbol, quantity and price tick, both at 1e-8.
    let table = [
        ("BTCUSDT", "0.1", 10_000_000, 10_000_000),
        ("ETHUSDT", "1.5", 150_000_000, 1_000_000),
        ("SOLUSDT", "7", 700_000_000, 1_000_000),
        ("XRPUSDT", "300.1", 30_010_000_000, 10_000),
    ];
    for (symbol, qty, units, tick) in table {
        let bars = bars(symbol);
        assert!(bars.len() > 70_000, "{symbol}: {} bars", bars.len());
        for (mode, fill) in
            [("long", "close"), ("long", "next-open"), ("long_short", "close"), ("long_short", "next-open")]
        {
            let fills = if fill == "close" { Fills::AtClose } else { Fills::AtNextOpen { tick } };
            let (books, equity) = compute(&bars, units, mode == "long_short", fills);
            let report = desk.json(&[
                "--data",
                shared_data(&format!("klines-1m/{symbol}.parquet")).to_str().unwrap(),
                "--fill",
                fill,
                "--taker-fee",
                "0.0005",
                "--cash",
                "100000",
                "--store",
                "none",
                "--param",
                &format!("qty={qty}"),
                "--param",
                &format!("mode={mode}"),
            ]);
            let case = format!("{symbol} {mode} {fill}");
            assert!(books.fills > 1_000, "{case}: {} fills", books.fills);
            assert_eq!(report["fills"], books.fills, "{case}");
            assert_eq!(report["fees"], decimal(books.fees), "{case}");
            assert_eq!(report["final_equity"], decimal(equity), "{case}");
        }
    }
}
