//! Whatever is traded: the trades' PnL adds up to what the equity gained.

use crate::run::{Run, Trade};
use alphaengine_core::exchange::TransferReason;
use alphaengine_core::market::SymbolId;
use alphaengine_core::order::{PositionSide, Side};
use alphaengine_core::units::{Money, Price, Qty};
use proptest::prelude::*;

#[derive(Debug, Clone, Copy)]
enum Step {
    Trade { symbol: u16, side: usize, is_buy: bool, qty: i64, price: i64, fee: i64 },
    Price { symbol: u16, price: i64 },
    Fund { symbol: u16, side: usize, amount: i64 },
    Transfer { amount: i64 },
    Wait { seconds: i64 },
}

fn step() -> impl Strategy<Value = Step> {
    let price = || 1i64..5_000_000_000_000;
    prop_oneof![
        4 => (0u16..2, 0usize..3, any::<bool>(), 1i64..300_000_000, price(), -100_000i64..10_000_000)
            .prop_map(|(symbol, side, is_buy, qty, price, fee)| Step::Trade { symbol, side, is_buy, qty, price, fee }),
        4 => (0u16..2, price()).prop_map(|(symbol, price)| Step::Price { symbol, price }),
        1 => (0u16..2, 0usize..3, -10_000_000i64..10_000_000)
            .prop_map(|(symbol, side, amount)| Step::Fund { symbol, side, amount }),
        1 => (-1_000_000i64..1_000_000).prop_map(|amount| Step::Transfer { amount }),
        2 => (1i64..100_000).prop_map(|seconds| Step::Wait { seconds }),
    ]
}

proptest! {
    #[test]
    fn trades_add_up_to_the_equity(steps in prop::collection::vec(step(), 1..200)) {
        let mut run = Run::new(&["BTCUSDT", "ETHUSDT"], "2025-05-01T12:00:00Z", 1_000_000);
        let mut transfers = 0;
        for step in steps {
            match step {
                Step::Trade { symbol, side, is_buy, qty, price, fee } => {
                    // Hedge positions do not go through flat.
                    let position_side = PositionSide::ALL[side];
                    let held = run.state.position(SymbolId(symbol), position_side).qty();
                    let most = match (position_side, is_buy) {
                        (PositionSide::Long, false) | (PositionSide::Short, true) => held.abs().steps(),
                        _ => i64::MAX,
                    };
                    let qty = Qty::from_steps(qty.min(most));
                    if !qty.is_zero() {
                        run.trade(Trade {
                            symbol: SymbolId(symbol),
                            position_side,
                            side: if is_buy { Side::Buy } else { Side::Sell },
                            qty,
                            price: Price::from_steps(price),
                            fee: Money::from_steps(fee),
                            fee_asset: "USDT",
                            is_maker: fee < 0,
                        });
                    }
                }
                Step::Price { symbol, price } => run.price(SymbolId(symbol), Price::from_steps(price)),
                Step::Fund { symbol, side, amount } => {
                    run.fund(SymbolId(symbol), PositionSide::ALL[side], Money::from_steps(amount));
                }
                Step::Transfer { amount } => {
                    transfers += 1;
                    run.transfer(transfers, "USDT", Money::from_steps(amount), TransferReason::Deposit);
                }
                Step::Wait { seconds } => run.wait(seconds),
            }
        }
        let report = run.finish();
        let earned = report.trades.pnl.steps() + report.open.pnl.steps() + report.open.unattributed_funding.steps();
        let gained = report.result.net_profit.steps() - report.result.transfers.steps();
        // Exact but for the open positions' value, which is rounded once here and once in the equity.
        prop_assert!((earned - gained).abs() <= 1, "trades earned {earned}, the equity gained {gained}");
        let by_side = report.long.pnl.steps() + report.short.pnl.steps();
        let by_symbol: i64 = report.by_symbol.iter().map(|symbol| symbol.trades.pnl.steps()).sum();
        prop_assert_eq!((by_side, by_symbol), (report.trades.pnl.steps(), report.trades.pnl.steps()));
        let fees = report.trades.fees.steps() + report.open.fees.steps();
        prop_assert_eq!(fees, report.fees().steps());
        let funding = report.trades.funding.steps() + report.open.funding.steps() + report.open.unattributed_funding.steps();
        prop_assert_eq!(funding, report.funding().steps());
        prop_assert_eq!(report.final_equity(), run.account.equity());
        let gross = report.result.gross_pnl.steps() - report.fees().steps() + report.funding().steps();
        prop_assert!((gross - gained).abs() <= 1);
        // Whatever the numbers are, the page is no wider than it may be.
        for line in report.table().lines() {
            prop_assert!(line.chars().count() <= 100, "too wide: {line}");
        }
    }
}
