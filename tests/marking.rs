//! The equity never shows what never was: no loss between a fill and its price, none between a liquidation and its end.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

mod support;

use support::Desk;

/// Open, high, low and close of one-minute bars.
type Bars<'a> = &'a [[u32; 4]];

const fn flat(price: u32) -> [u32; 4] {
    [price; 4]
}

const FREE: [&str; 6] = ["--slippage-bps", "0", "--taker-fee", "0", "--maker-fee", "0"];

/// What a run over these bars reports.
fn report(bars: Bars<'_>, args: &[&str]) -> serde_json::Value {
    let desk = Desk::new();
    let rows = bars.iter().enumerate().map(|(minute, [open, high, low, close])| {
        format!("{},{open},{high},{low},{close},1000\n", 1_746_057_600_000 + 60_000 * minute as u64)
    });
    let text = "open_time,open,high,low,close,volume\n".to_owned() + &rows.collect::<String>();
    let file = desk.write("BTCUSDT-1m.csv", &text);
    let given = ["--data", file.to_str().unwrap(), "--store", "none"];
    desk.json(&[&given[..], args].concat())
}

/// Final equity and deepest fall, in money.
fn run(bars: Bars<'_>, args: &[&str]) -> (String, String) {
    let report = report(bars, args);
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    (text(&report["final_equity"]), text(&report["report"]["risk"]["max_drawdown"]))
}

fn pair(equity: &str, fall: &str) -> (String, String) {
    (equity.to_owned(), fall.to_owned())
}

#[test]
fn a_fill_at_the_next_open_is_no_loss_of_the_gap() {
    let bars: Bars<'_> =
        &[flat(50_000), flat(50_000), flat(49_000), flat(49_000), flat(50_000), flat(60_000), flat(60_000)];
    let args = ["--param", "fast=1", "--param", "slow=2", "--param", "qty=0.1"];
    assert_eq!(run(bars, &[&args[..], &FREE].concat()), pair("10000", "0"));
    // What it pays is a loss: half of a thousandth of 6000.
    let paid = ["--slippage-bps", "0", "--taker-fee", "0.0005"];
    assert_eq!(run(bars, &[&args[..], &paid].concat()), pair("9997", "3"));
}

#[test]
fn a_resting_order_that_fills_in_a_fall_is_no_gain() {
    let bars: Bars<'_> = &[flat(50_000), flat(50_000), flat(50_000), [50_000, 50_000, 45_000, 45_000]];
    let grid = ["--strategy", "grid", "--param", "levels=1", "--param", "spacing=0.01", "--param", "qty=0.1"];
    // Bought at 49500, worth 45000.
    assert_eq!(run(bars, &[&grid[..], &FREE].concat()), pair("9550", "450"));
}

#[test]
fn a_liquidation_loses_its_margin_and_no_more() {
    let bars: Bars<'_> = &[flat(50_000), flat(50_000), flat(50_000), [50_000, 50_000, 40_000, 41_000]];
    let held = ["--strategy", "buy_and_hold", "--param", "risk=20", "--leverage", "100", "--slippage-bps", "0"];
    // 200,000 of notional: a fee of 100 and a margin of 2000.
    assert_eq!(run(bars, &[&held[..], &["--margin", "isolated"]].concat()), pair("7900", "2100"));
    assert_eq!(run(bars, &[&held[..], &["--margin", "cross"]].concat()), pair("0", "10000"));
}

#[test]
fn leverage_is_notional_by_equity_at_one_price() {
    let bars: Bars<'_> = &[flat(50_000), flat(50_000), flat(50_000), [50_000, 52_000, 50_000, 52_000], flat(52_000)];
    let held = ["--strategy", "buy_and_hold", "--param", "qty=2"];
    // 100,000 of notional by 10,000; when the price has risen, 104,000 by 14,000.
    assert_eq!(report(bars, &[&held[..], &FREE].concat())["report"]["exposure"]["max_leverage"], "10.0");
}
