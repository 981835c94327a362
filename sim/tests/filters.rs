//! Every filter refuses with the exchange's own code (`binance-usdm.md` sections 3.2, 3.4 and 6).

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

mod support;

use alphaengine_core::exchange::{ExchangeUpdate, Outcome, Outgoing};
use alphaengine_core::id::RequestId;
use alphaengine_core::instrument::{Instrument, Instruments};
use alphaengine_core::units::{Money, Timestamp};
use alphaengine_sim::SimExchange;
use support::scenario::parse_request;
use support::{A, config, contract, update};

/// What an exchange with this contract, a last price of 100 and a mark of 100 says to one order: 0, or its code.
fn code(contract: Instrument, order: &str) -> i32 {
    let mut exchange = SimExchange::new(config(), &Instruments::new(vec![contract]).unwrap());
    exchange.open_account(Timestamp::ZERO);
    exchange.on_market(&update(Timestamp::ZERO, A, support::mark(support::price("100"))));
    exchange.on_market(&update(Timestamp::ZERO, A, support::trade(support::price("100"), support::qty("1"))));
    exchange.said().for_each(drop);
    exchange.submit(Timestamp::ZERO, &Outgoing { id: RequestId(1), request: parse_request(A, order) });
    match exchange.said().next() {
        Some(ExchangeUpdate::Answer { outcome: Outcome::Placed { .. }, .. }) => 0,
        Some(ExchangeUpdate::Answer { outcome: Outcome::Rejected(error), .. }) => error.code,
        other => panic!("{order}: {other:?}"),
    }
}

#[test]
fn every_filter_has_its_code() {
    let table = "
        # PRICE_FILTER: 0.1 to 10000 by 0.1
        -4001   buy a 1 limit 0
        -4013   buy a 100 limit 0.05
        -4002   sell a 1 limit 10000.1
        -4014   buy a 1 limit 99.95
        0       buy a 1 limit 99.9
        -4006   sell a 1 stop-market 0
        -4007   buy a 1 stop-market 10000.1
        -4014   buy a 1 stop-market 110.05
        -4001   buy a 1 stop 110 0
        -4014   buy a 1 take-profit 90 90.05
        -4135   buy a 1 trailing 0.01 from 0
        -4135   sell a 1 trailing 0.01 from 10000.1
        -4014   sell a 1 trailing 0.01 from 110.05
        # LOT_SIZE: 0.01 to 5000 by 0.01
        -4003   buy a 0 limit 99
        -4003   buy a -1 limit 99
        -4004   buy a 0.001 limit 99
        -4005   buy a 5000.01 limit 99
        -4023   buy a 1.005 limit 99
        # MARKET_LOT_SIZE: 0.01 to 2000 by 0.01
        -4003   buy a 0 market
        -4004   buy a 0.001 market
        -4005   buy a 2000.01 market
        -4023   buy a 1.005 market
        -4005   buy a 2000.01 stop-market 110
        -4005   sell a 2000.01 trailing 0.01
        0       buy a 2000.01 stop 110 110
        # MIN_NOTIONAL: 5, at the limit, the trigger or the mark
        -4164   buy a 0.04 limit 99
        0       buy a 0.06 limit 99
        -4164   buy a 0.04 market
        0       buy a 0.05 market
        -4164   buy a 0.04 stop-market 110
        0       buy a 0.05 stop-market 110
        -4164   buy a 0.04 stop 110 110
        # PERCENT_PRICE: 5 % around the mark
        0       buy a 1 limit 105
        -4016   buy a 1 limit 105.1
        0       sell a 1 limit 95
        -4024   sell a 1 limit 94.9
        0       buy a 1 limit 50
        0       sell a 1 limit 200
        # The limit of a conditional order is measured from its trigger.
        0       buy a 1 stop 120 126
        -4183   buy a 1 stop 120 126.1
        0       sell a 1 stop 80 76
        -4184   sell a 1 stop 80 75.9
        -4183   buy a 1 take-profit 80 84.1
        # Rates of trailing orders: 0.1 % to 20 %, by 0.1 %
        0       sell a 1 trailing 0.001
        0       sell a 1 trailing 0.2
        -1130   sell a 1 trailing 0
        -1130   sell a 1 trailing 0.0005
        -1130   sell a 1 trailing 0.201
        -1130   sell a 1 trailing 0.0015
        # Modes and flags
        -4061   buy a 1 limit 99 long
        -2022   sell a 1 limit 101 reduce
        -4136   sell a all market close
        -4137   sell a 1 stop-market 90 close
        -4138   sell a all stop-market 90 close reduce
        0       sell a all stop-market 90 close
        # Names
        0       buy .:/_-aZ9 1 limit 99
        0       buy 012345678901234567890123456789012345 1 limit 99
        -4015   buy a,b 1 limit 99
        -4015   buy ä 1 limit 99
        # Dates
        -5040   buy a 1 limit 99 gtd:600
        0       buy a 1 limit 99 gtd:601
        -5040   buy a 1 limit 99 gtd:601.5
        # Execution rules
        -5021   buy a 1 limit 99 fok
        -5022   buy a 1 limit 101 gtx
        -2021   buy a 1 stop-market 99
        -2019   buy a 1200 limit 99
    ";
    for line in table.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (expected, order) = line.split_once(' ').unwrap();
        assert_eq!(code(contract("AUSDT"), order.trim()), expected.parse::<i32>().unwrap(), "{order}");
    }
}

#[test]
fn a_zero_disables_a_filter() {
    let mut open = contract("AUSDT");
    (open.price.max, open.price.tick) = Default::default();
    (open.lot.max, open.lot.step) = Default::default();
    (open.percent_up, open.percent_down, open.min_notional) = Default::default();
    for order in ["buy a 0.015 limit 99.953", "sell a 0.01 limit 123456.789", "sell a 1 limit 1"] {
        assert_eq!(code(open.clone(), order), 0, "{order}");
    }
    open.market_take_bound = Default::default();
    assert_eq!(code(open, "buy a 1 market"), 0);
}

#[test]
fn only_a_symbol_that_trades_takes_orders() {
    for status in ["TRADING_HALT", "PRE_SETTLE", "SETTLING", "CLOSE", ""] {
        let halted = Instrument { status: status.into(), ..contract("AUSDT") };
        assert_eq!(code(halted, "buy a 1 market"), -1122, "{status}");
    }
}

/// Reduce-only orders are exempt from the smallest notional; what closes in hedge mode reduces as well.
#[test]
fn reduce_only_orders_may_be_small() {
    let dear = Instrument { min_notional: Money::whole(5_000), ..contract("AUSDT") };
    assert_eq!(code(dear.clone(), "sell a 1 stop-market 90"), -4164);
    assert_eq!(code(dear.clone(), "sell a 1 stop-market 90 reduce"), 0);
    assert_eq!(code(dear, "sell a all stop-market 90 close"), 0);
}
