//! The ledger: every entry sums to zero, every account has its sign, and what is held is what came, was earned and was paid.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

mod support;

use alphaengine_core::event::{Event, FundingApplied, MarginMoved, TradeExecuted, TransferBooked};
use alphaengine_core::exchange::{ExchangeUpdate, Fill, FundingPayment, TransferReason};
use alphaengine_core::id::Asset;
use alphaengine_core::ledger::{self, Account, Ledger};
use alphaengine_core::position::Position;
use alphaengine_core::prelude::*;
use alphaengine_core::units::SCALE;
use bigdecimal::num_bigint::BigInt;
use bigdecimal::{BigDecimal, RoundingMode, ToPrimitive, Zero};
use proptest::prelude::{Strategy as _, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use support::{BTC, Desk, money};

fn usdt() -> Asset {
    "USDT".parse().unwrap()
}

fn trade(realized: Money, fee: Money, fee_asset: Asset, is_maker: bool, is_liquidation: bool) -> Event {
    let (trade_id, price, qty) = (1, Price::ONE, Qty::ONE);
    let fill = Fill { trade_id, price, qty, fee, fee_asset, is_maker, is_liquidation, realized };
    let (client_order_id, side, position_side) = ("ae-1".parse().unwrap(), Side::Buy, PositionSide::Both);
    let traded_at = Timestamp::ZERO;
    TradeExecuted { client_order_id, order_id: 1, side, position_side, traded_at, fill }.into()
}

fn funding(amount: Money) -> Event {
    let payment = FundingPayment {
        symbol: BTC,
        position_side: PositionSide::Both,
        settled_at: Timestamp::ZERO,
        rate: Some(Rate::ZERO),
        mark: Some(Price::ONE),
        position: Qty::ONE,
        amount,
        id: None,
    };
    FundingApplied { payment }.into()
}

fn margin(amount: Money) -> Event {
    MarginMoved { position_side: PositionSide::Both, amount, margin: amount }.into()
}

fn transfer(id: u64, amount: Money, reason: TransferReason) -> Event {
    TransferBooked { id, asset: usdt(), amount, reason }.into()
}

/// The lines of an event, as `wallet +20`.
fn lines(event: &Event) -> String {
    let entry = ledger::entry(event, usdt()).unwrap();
    let line = |line: &ledger::Line| {
        let sign = if line.amount.is_negative() { "" } else { "+" };
        let asset = if line.asset == usdt() { String::new() } else { format!(" {}", line.asset) };
        format!("{} {sign}{}{asset}", line.account.name(), line.amount)
    };
    entry.lines().iter().map(line).collect::<Vec<_>>().join(", ")
}

#[test]
fn what_each_event_does_to_the_money() {
    let bnb: Asset = "BNB".parse().unwrap();
    let (gain, fee, zero) = (money("20"), money("0.5"), Money::ZERO);
    let cases = [
        (transfer(0, money("10000"), TransferReason::Deposit), "wallet +10000, initial_capital -10000"),
        (transfer(7, money("50"), TransferReason::Deposit), "wallet +50, transfers -50"),
        (transfer(8, money("-50"), TransferReason::Withdraw), "wallet -50, transfers +50"),
        (transfer(9, money("3"), TransferReason::InsuranceClear), "wallet +3, insurance_fund -3"),
        (trade(gain, fee, usdt(), false, false), "wallet +20, realized_pnl -20, taker_fee +0.5, wallet -0.5"),
        (trade(money("-20"), fee, usdt(), true, false), "wallet -20, realized_pnl +20, maker_fee +0.5, wallet -0.5"),
        (trade(zero, money("-0.1"), usdt(), true, false), "maker_fee -0.1, wallet +0.1"),
        (trade(zero, fee, bnb, false, false), "taker_fee +0.5 BNB, wallet -0.5 BNB"),
        (trade(zero, fee, usdt(), true, true), "liquidation_fee +0.5, wallet -0.5"),
        (trade(zero, zero, usdt(), false, false), ""),
        (funding(money("-1.25")), "wallet -1.25, funding_paid +1.25"),
        (funding(money("1.25")), "wallet +1.25, funding_received -1.25"),
        (margin(money("30")), "margin +30, wallet -30"),
        (margin(money("-30")), "margin -30, wallet +30"),
    ];
    for (event, expected) in cases {
        assert_eq!(lines(&event), expected, "{event:?}");
    }
}

#[test]
fn an_amount_without_a_counterpart_is_an_error() {
    let least = Money::from_steps(i64::MIN);
    assert!(ledger::entry(&funding(least), usdt()).is_err());
    let mut ledger = Ledger::default();
    let entry = ledger::entry(&transfer(1, Money::MAX, TransferReason::Deposit), usdt()).unwrap();
    ledger.post(&entry).unwrap();
    assert!(ledger.post(&entry).is_err(), "a balance does not wrap around");
}

fn any_event() -> impl proptest::strategy::Strategy<Value = Event> {
    let amount = || (-SCALE * 1_000..SCALE * 1_000).prop_map(Money::from_steps);
    let asset = prop::sample::select(vec!["USDT", "BNB"]).prop_map(|name| name.parse().unwrap());
    let reason =
        prop::sample::select(vec![TransferReason::Deposit, TransferReason::Withdraw, TransferReason::InsuranceClear]);
    prop_oneof![
        (amount(), amount(), asset, any::<bool>(), any::<bool>())
            .prop_map(|(realized, fee, asset, maker, liquidation)| trade(realized, fee, asset, maker, liquidation)),
        amount().prop_map(funding),
        amount().prop_map(margin),
        (0u64..3, amount(), reason).prop_map(|(id, amount, reason)| transfer(id, amount, reason)),
    ]
}

#[test]
fn a_part_of_a_position_takes_its_share_of_the_cost_and_no_more() {
    let mut position = Position::FLAT;
    let (qty, price) = (|text: &str| text.parse::<Qty>().unwrap(), |text: &str| text.parse::<Price>().unwrap());
    position.fill(qty("1"), price("100")).unwrap();
    position.fill(qty("2"), price("100.00000001")).unwrap();
    // A third of 300.00000002 is 100.00000000667: less than the price by what rounds to one unit.
    assert_eq!(position.fill(qty("-1"), price("100")).unwrap().to_string(), "-0.00000001");
    assert_eq!(position.fill(qty("-2"), price("100")).unwrap().to_string(), "-0.00000001");
}

proptest! {
    #[test]
    fn the_sum_over_all_accounts_is_zero_after_every_entry(events in prop::collection::vec(any_event(), 1..60)) {
        let mut ledger = Ledger::default();
        for event in &events {
            let entry = ledger::entry(event, usdt()).unwrap();
            for asset in [usdt(), "BNB".parse().unwrap()] {
                let of_asset = entry.lines().iter().filter(|line| line.asset == asset);
                prop_assert_eq!(of_asset.map(|line| line.amount.steps()).sum::<i64>(), 0, "an entry is not balanced");
            }
            ledger.post(&entry).unwrap();
            for asset in ledger.assets() {
                prop_assert_eq!(ledger.imbalance(asset), 0);
                let held = Account::ALL[..2].iter().map(|account| ledger.balance(asset, *account).steps()).sum::<i64>();
                let rest = Account::ALL[2..].iter().map(|account| ledger.balance(asset, *account).steps()).sum::<i64>();
                prop_assert_eq!((held, ledger.holdings(asset).steps()), (-rest, held));
            }
        }
    }

    /// The oracle carries the exact average cost in decimals of any length; the position rounds only what it realises.
    #[test]
    fn a_position_loses_no_money_to_rounding(
        fills in prop::collection::vec((-3 * SCALE..3 * SCALE, 1..200_000 * SCALE), 1..80),
    ) {
        let mut position = Position::FLAT;
        let (mut quantity, mut cash, mut realized) = (0i64, BigDecimal::from(0), BigDecimal::from(0));
        for (signed, price) in fills {
            quantity += signed;
            cash -= BigDecimal::new(BigInt::from(i128::from(signed) * i128::from(price)), 16);
            let gain = position.fill(Qty::from_steps(signed), Price::from_steps(price)).unwrap();
            realized += BigDecimal::new(gain.steps().into(), 8);
            prop_assert_eq!(position.qty().steps(), quantity);
            // Realised profit less what the open part cost is what was received less what was paid, to one rounding a closing.
            let open = BigDecimal::new(BigInt::from(position.exact_cost()), 16);
            let difference = (&cash - (&realized - open)).abs();
            if position.is_flat() {
                prop_assert!(position.exact_cost() == 0);
                // The remainders of a whole life are settled with its last closing, to half a step.
                prop_assert!(difference <= BigDecimal::new(5.into(), 9), "{difference}");
                (cash, realized) = (BigDecimal::from(0), BigDecimal::from(0));
            } else if !difference.is_zero() {
                // Only a reversal leaves a remainder, of half a step at most, and begins anew.
                prop_assert!(difference <= BigDecimal::new(5.into(), 9), "{difference}");
                cash = &realized - BigDecimal::new(BigInt::from(position.exact_cost()), 16);
            }
            if !position.is_flat() {
                let average = BigDecimal::new(BigInt::from(position.exact_cost().abs()), 16)
                    / BigDecimal::new(BigInt::from(i128::from(quantity).abs()), 8);
                let (steps, _) = average.with_scale_round(8, RoundingMode::HalfEven).into_bigint_and_exponent();
                prop_assert_eq!(position.entry_price().steps(), steps.to_i64().unwrap());
            }
        }
    }
}

#[test]
fn wallet_equity_and_ledger_agree_through_a_life() {
    let mut desk = Desk::new();
    desk.trade("3", "100");
    desk.trade("-1", "110");
    desk.fund("-0.75", support::noon());
    desk.transfer(1, "-500", TransferReason::Withdraw);
    desk.hear(&ExchangeUpdate::IsolatedMargin { symbol: BTC, position_side: PositionSide::Both, wallet: money("40") });
    desk.price(BTC, "120");

    // Fees are four basis points of 300 and of 110; two are still held at 100.
    let mut table = String::new();
    for account in Account::ALL {
        table += &format!("\n{:<16} {:>11}", account.name(), desk.balance(account));
    }
    let expected = "
wallet              9469.086
margin                    40
initial_capital       -10000
transfers                500
realized_pnl             -10
taker_fee              0.164
maker_fee                  0
liquidation_fee            0
funding_paid            0.75
funding_received           0
insurance_fund             0
rebates                    0
adjustments                0";
    assert_eq!(table, expected);
    let account = desk.engine.account();
    assert_eq!(account.wallet(), money("9509.086"), "wallet and isolated margin");
    assert_eq!(account.unrealized(), money("40"));
    assert_eq!(account.equity(), money("9549.086"));
}

#[test]
fn an_equity_beyond_the_range_saturates_on_its_side() {
    let mut desk = Desk::new();
    let most = "90000000000";
    desk.trade(&format!("-{most}"), "100");
    desk.price(BTC, "100000");
    assert!(desk.engine.account().equity().is_negative(), "a ruin is no fortune");
}
