//! Every figure of a report on runs that are small enough to compute by hand.

use crate::run::{Run, Trade};
use alphaengine_core::command::{Actor, Refusal};
use alphaengine_core::event::{
    CommandRefused, LiquidationStarted, OrderCanceled, OrderExpired, OrderPlaced, OrderRejected, OrderRequested,
};
use alphaengine_core::exchange::{ExchangeError, ExpiryReason, TransferReason};
use alphaengine_core::market::SymbolId;
use alphaengine_core::order::{OrderSpec, PositionSide, Side};
use alphaengine_core::units::{Money, NANOS_PER_SECOND, Price, Qty, Timestamp};

const BTC: SymbolId = SymbolId(0);
const ETH: SymbolId = SymbolId(1);
const DAY: i64 = 86_400;
const START: &str = "2025-05-01T00:00:00Z";

fn close(value: Option<f64>, expected: f64) {
    let value = value.unwrap();
    assert!((value - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{value} is not {expected}");
}

#[test]
fn a_run_of_one_trade() {
    let mut run = Run::new(&["BTCUSDT"], START, 1_000);
    run.price(BTC, Price::whole(100));
    run.wait(DAY / 2);
    run.fill("2", 100, 1);
    run.wait(DAY / 4);
    run.fund(BTC, PositionSide::Both, Money::whole(-2));
    run.price(BTC, Price::whole(90));
    run.price(BTC, Price::whole(150));
    run.wait(DAY / 4);
    run.fill("-2", 160, 3);
    run.wait(DAY);
    let report = run.finish();

    let result = &report.result;
    assert_eq!((result.initial_equity, result.final_equity), (Money::whole(1_000), Money::whole(1_114)));
    assert_eq!((result.net_profit, result.total_return), (Money::whole(114), Some(0.114)));
    assert_eq!((result.gross_pnl, result.cagr), (Money::whole(120), None));
    assert_eq!(result.buy_and_hold, Some(((160.0 / 100.0 / 1.0005 - 1.0) * 1e10f64).round() / 1e10));
    // At the end of the first day the price was 150: 1000 - 1 - 2 + 100.
    assert_eq!(run.performance.curve().days[0].equity, Money::whole(1_097));
    close(result.best_day.map(|day| day.earned), 0.097);
    close(result.worst_day.map(|day| day.earned), 1_114.0 / 1_097.0 - 1.0);

    let risk = &report.risk;
    let (first, second) = (0.097, 1_114.0 / 1_097.0 - 1.0);
    let (mean, distance): (f64, f64) = ((first + second) / 2.0, (first - second) / 2.0);
    close(risk.volatility, (2.0 * distance * distance).sqrt() * 365f64.sqrt());
    close(risk.sharpe, mean / (2.0 * distance * distance).sqrt() * 365f64.sqrt());
    assert_eq!((risk.sortino, risk.calmar), (None, None));
    // From 1000 to 977: the fee, the funding and twice ten.
    assert_eq!((risk.max_drawdown, risk.max_drawdown_ratio, risk.drawdowns), (Money::whole(23), Some(0.023), 2));

    let trades = &report.trades;
    assert_eq!((trades.trades, trades.wins, trades.pnl), (1, 1, Money::whole(114)));
    assert_eq!((trades.fees, trades.funding), (Money::whole(4), Money::whole(-2)));
    assert_eq!((trades.profit_factor, trades.sqn), (None, None));
    assert_eq!((report.long.trades, report.short.trades, report.short.win_rate), (1, 0, None));
    let best = trades.best.unwrap();
    assert_eq!((best.entry_price, best.exit_price, best.qty), (Price::whole(100), Price::whole(160), Qty::whole(2)));
    assert_eq!((best.fills, best.closed_at.since(best.opened_at)), (2, DAY / 2 * NANOS_PER_SECOND));
    assert_eq!(report.durations.all.median_ns, Some(DAY / 2 * NANOS_PER_SECOND));
    assert_eq!((report.durations.winners, report.durations.losers.mean_ns), (report.durations.all, None));

    let exposure = &report.exposure;
    assert_eq!((exposure.in_market_ratio, exposure.traded), (Some(0.25), Money::whole(520)));
    let mean_equity = (1_000.0 + 1_097.0 + 1_114.0) / 3.0;
    close(exposure.turnover, 520.0 / mean_equity);
    close(exposure.turnover_per_day, 260.0 / mean_equity);
    // 200 by 999 after the fill; the close is sampled when it is flat again.
    assert!(exposure.max_leverage.unwrap() >= 0.2002);

    let costs = &report.costs;
    assert_eq!((costs.fees, costs.taker_fees, costs.maker_fees), (Money::whole(4), Money::whole(4), Money::ZERO));
    assert_eq!((costs.funding, costs.funding_paid), (Money::whole(-2), Money::whole(2)));
    close(costs.fees_of_gross, 4.0 / 120.0);
    close(costs.funding_of_gross, -2.0 / 120.0);

    assert_eq!(
        (report.final_equity(), report.fees(), report.funding()),
        (Money::whole(1_114), Money::whole(4), Money::whole(-2))
    );
    assert_eq!(
        (report.total_return(), report.max_drawdown(), report.sharpe()),
        (Some(0.114), Some(0.023), risk.sharpe)
    );
}

#[test]
fn a_reversal_is_two_trades() {
    let mut run = Run::new(&["BTCUSDT"], START, 1_000);
    run.fill("1", 100, 1);
    run.fund(BTC, PositionSide::Both, Money::whole(-1));
    run.wait(60);
    run.fill("-4", 110, 8);
    run.fund(BTC, PositionSide::Both, Money::whole(5));
    run.wait(60);
    run.fill("3", 120, 3);
    let report = run.finish();
    // Long 1 from 100 to 110 with a quarter of the fee of 8; short 3 from 110 to 120 with the rest.
    assert_eq!(
        (report.long.pnl, report.long.fees, report.long.funding),
        (Money::whole(6), Money::whole(3), Money::whole(-1))
    );
    assert_eq!(
        (report.short.pnl, report.short.fees, report.short.funding),
        (Money::whole(-34), Money::whole(9), Money::whole(5))
    );
    let short = report.short.best.unwrap();
    assert_eq!((short.entry_price, short.exit_price, short.qty), (Price::whole(110), Price::whole(120), Qty::whole(3)));
    assert_eq!((short.is_long, short.fills, report.execution.fills), (false, 2, 3));
    assert_eq!(report.result.net_profit, Money::whole(-28));
    assert_eq!(report.open.trades, 0);
}

#[test]
fn partial_fills_and_additions_are_one_trade() {
    let mut run = Run::new(&["BTCUSDT"], START, 1_000);
    for (signed, price) in [("1", 100), ("1", 120), ("-0.5", 130), ("-1.5", 90)] {
        run.fill(signed, price, 0);
        run.wait(1);
    }
    let report = run.finish();
    let trip = report.trades.best.unwrap();
    assert_eq!((report.trades.trades, trip.fills, trip.qty), (1, 4, Qty::whole(2)));
    assert_eq!((trip.entry_price, trip.exit_price), (Price::whole(110), Price::whole(100)));
    assert_eq!((trip.pnl(), report.trades.pnl), (Money::whole(-20), Money::whole(-20)));
}

#[test]
fn long_and_short_of_hedge_mode_are_trades_of_their_own() {
    let mut run = Run::new(&["BTCUSDT"], START, 1_000);
    let mut trade = |position_side, side, price| {
        run.price(BTC, Price::whole(price));
        let (qty, price) = (Qty::ONE, Price::whole(price));
        run.trade(Trade {
            symbol: BTC,
            position_side,
            side,
            qty,
            price,
            fee: Money::ZERO,
            fee_asset: "USDT",
            is_maker: true,
        });
    };
    trade(PositionSide::Long, Side::Buy, 100);
    trade(PositionSide::Short, Side::Sell, 100);
    trade(PositionSide::Long, Side::Sell, 130);
    trade(PositionSide::Short, Side::Buy, 110);
    run.fund(BTC, PositionSide::Long, Money::whole(7));
    let report = run.finish();
    assert_eq!((report.long.pnl, report.short.pnl), (Money::whole(30), Money::whole(-10)));
    assert_eq!(report.execution.maker_ratio, Some(1.0));
    // Long and short at once are a notional of 200.
    close(report.exposure.max_leverage, 0.2);
    assert_eq!((report.open.unattributed_funding, report.trades.funding), (Money::whole(7), Money::ZERO));
}

#[test]
fn without_trades_nothing_is_claimed() {
    let mut run = Run::new(&["BTCUSDT"], START, 1_000);
    run.wait(3 * DAY);
    let report = run.finish();
    assert_eq!((report.result.total_return, report.risk.volatility), (Some(0.0), Some(0.0)));
    assert_eq!((report.risk.sharpe, report.risk.sortino, report.risk.calmar), (None, None, None));
    assert_eq!((report.risk.max_drawdown_ratio, report.risk.mean_drawdown_ns), (Some(0.0), None));
    assert_eq!((report.trades.win_rate, report.trades.expectancy), (None, None));
    assert_eq!((report.result.buy_and_hold, report.execution.fill_ratio), (None, None));
    assert_eq!((report.execution.maker_ratio, report.execution.latency_p50_ns), (None, None));
    assert_eq!((report.costs.fees_of_gross, report.exposure.turnover), (None, Some(0.0)));
    assert!(report.table().contains("n/a"));
}

#[test]
fn a_run_that_never_began_has_no_figures() {
    let run = Run::new(&["BTCUSDT"], START, 0);
    let mut performance = alphaengine_core::performance::Performance::new(1);
    performance.finish(run.now, &run.state, &run.account);
    let report = alphaengine_core::report::Report::new(&performance, &run.instruments, "0".parse().unwrap());
    assert_eq!((report.total_return(), report.sharpe(), report.max_drawdown()), (None, None, None));
    assert!(!report.table().is_empty());
}

#[test]
fn all_is_lost() {
    let mut run = Run::new(&["BTCUSDT"], START, 100);
    run.fill("10", 100, 0);
    run.wait(40 * DAY);
    run.price(BTC, Price::whole(80));
    run.wait(2 * DAY);
    let report = run.finish();
    assert_eq!((report.result.total_return, report.result.cagr), (Some(-2.0), Some(-1.0)));
    // The last day began below zero: it has no return, and so there is no figure that rests on all of them.
    assert_eq!(report.risk.max_drawdown_ratio, Some(2.0));
    assert_eq!((report.risk.calmar, report.risk.sharpe), (Some(-0.5), None));
    assert_eq!((report.open.trades, report.open.pnl), (1, Money::whole(-200)));
    assert!(report.risk.longest_is_ongoing);
}

#[test]
fn growth_of_a_year() {
    let mut run = Run::new(&["BTCUSDT"], START, 1_000);
    run.fill("1", 1_000, 0);
    run.wait(73 * DAY);
    run.price(BTC, Price::whole(1_100));
    let report = run.finish();
    // A fifth of a year: 1.1^5.
    close(report.result.cagr, 0.61051);
}

#[test]
fn buy_and_hold_splits_equally() {
    let mut run = Run::new(&["BTCUSDT", "ETHUSDT", "SOLUSDT"], START, 1_000);
    for (btc, eth) in [(100, 10), (150, 10), (200, 5)] {
        run.price(BTC, Price::whole(btc));
        run.price(ETH, Price::whole(eth));
    }
    run.wait(1);
    let report = run.finish();
    // +100 % and -50 %, each after the fee; the third has no prices.
    close(report.result.buy_and_hold, ((2.0 / 1.0005 - 1.0) + (0.5 / 1.0005 - 1.0)) / 2.0);
    assert_eq!(report.by_symbol[1].last_price, Some(Price::whole(5)));
    assert_eq!((report.by_symbol[2].first_price, report.by_symbol[2].buy_and_hold), (None, None));
}

#[test]
fn fees_in_another_asset_are_told_apart() {
    let mut run = Run::new(&["BTCUSDT"], START, 1_000);
    run.price(BTC, Price::whole(100));
    for side in [Side::Buy, Side::Sell] {
        run.trade(Trade {
            symbol: BTC,
            position_side: PositionSide::Both,
            side,
            qty: Qty::ONE,
            price: Price::whole(100),
            fee: Money::whole(1),
            fee_asset: "BNB",
            is_maker: false,
        });
    }
    let report = run.finish();
    assert_eq!((report.fees(), report.trades.fees, report.trades.draws), (Money::ZERO, Money::ZERO, 1));
    assert_eq!(
        (report.costs.fees_by_asset[0].asset.as_str(), report.costs.fees_by_asset[0].taker),
        ("BNB", Money::whole(2))
    );
}

#[test]
fn transfers_are_told() {
    let mut run = Run::new(&["BTCUSDT"], START, 1_000);
    run.wait(1);
    run.transfer(1, "USDT", Money::whole(500), TransferReason::Deposit);
    run.transfer(2, "USDT", Money::whole(-200), TransferReason::Withdraw);
    run.transfer(3, "BNB", Money::whole(7), TransferReason::Deposit);
    run.transfer(4, "USDT", Money::whole(20), TransferReason::InsuranceClear);
    let report = run.finish();
    assert_eq!((report.result.transfers, report.result.insurance), (Money::whole(300), Money::whole(20)));
    assert_eq!(report.final_equity(), Money::whole(1_320));
}

#[test]
fn orders_are_counted_and_timed() {
    let mut run = Run::new(&["BTCUSDT"], START, 1_000);
    let spec = OrderSpec::market(BTC, Side::Buy, Qty::ONE);
    let id = |number: u64| format!("order-{number}").parse().unwrap();
    let some = Some(BTC);
    for number in 1..=5 {
        run.record(some, OrderRequested { client_order_id: id(number), actor: Actor::Strategy, spec });
    }
    let wait = |run: &mut Run, millis: i64| run.now = run.now.plus(millis * 1_000_000);
    wait(&mut run, 3);
    run.record(some, OrderPlaced { client_order_id: id(1), order_id: 1 });
    run.record(some, OrderPlaced { client_order_id: id(2), order_id: 2 });
    wait(&mut run, 3);
    run.fill("1", 100, 0);
    run.record(some, OrderCanceled { client_order_id: id(2) });
    let error = ExchangeError { code: -2019, message: "Margin is insufficient.".into() };
    run.record(some, OrderRejected { client_order_id: id(3), error });
    run.record(some, OrderExpired { client_order_id: id(4), reason: ExpiryReason::IocRemainder });
    let refused = CommandRefused {
        actor: Actor::Strategy,
        wish: "PLACE".into(),
        client_order_id: Some(id(6)),
        refusal: Refusal::NoPrice,
    };
    run.record(some, refused);
    let money = Money::whole(1);
    run.record(some, LiquidationStarted { mark: Price::ONE, margin_balance: money, maintenance: money });
    let report = run.finish();
    let execution = &report.execution;
    assert_eq!((execution.orders, execution.filled, execution.open, execution.fills), (5, 1, 1, 1));
    assert_eq!((execution.canceled, execution.rejected, execution.expired), (1, 1, 1));
    assert_eq!((execution.fill_ratio, execution.maker_ratio), (Some(0.25), Some(0.0)));
    assert_eq!((execution.rejects[&-2019], execution.refusals["NO_PRICE"], execution.liquidations), (1, 1, 1));
    // 3, 3, 6, 6 milliseconds; the fifth has no answer.
    assert_eq!((execution.latency_p50_ns, execution.latency_p99_ns), (Some(3_000_000), Some(6_000_000)));
}

#[test]
fn as_json_money_is_text_and_the_undefined_null() {
    let mut run = Run::new(&["BTCUSDT"], START, 1_000);
    run.fill("1", 100, 1);
    run.fill("-1", 103, 1);
    run.wait(60);
    let report = run.finish();
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["result"]["final_equity"], "1001");
    assert_eq!(json["result"]["total_return"], 0.001);
    assert!(json["risk"]["sharpe"].is_null() && json["trades"]["profit_factor"].is_null());
    assert_eq!(json["by_symbol"][0]["symbol"], "BTCUSDT");
    assert_eq!(json["by_symbol"][0]["pnl"], "1");
    assert_eq!(json["start"], run.performance.curve().start.nanos());
}

#[test]
fn what_comes_after_the_end_is_not_counted() {
    let mut run = Run::new(&["BTCUSDT"], START, 1_000);
    run.fill("1", 100, 0);
    run.wait(60);
    run.finish();
    run.wait(60);
    run.price(BTC, Price::whole(50));
    let report = run.finish();
    assert_eq!(report.final_equity(), Money::whole(1_000));
    assert_eq!(report.end, START.parse::<Timestamp>().unwrap().plus(60 * NANOS_PER_SECOND));
}
