//! Funding: who pays whom, on what, and that a missing rate is never taken for a free one (`binance-usdm.md` section 8.2).

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

mod support;

use alphaengine_core::exchange::Input;
use alphaengine_core::market::MarketUpdate;
use alphaengine_core::units::{NANOS_PER_MILLI, Timestamp};
use alphaengine_sim::{Error, SimConfig, SimWorld};
use support::scenario::check;
use support::{A, B, config, contracts, money, rate, update};

fn free() -> SimConfig {
    SimConfig { taker_fee: rate("0"), ..config() }
}

/// "Amount at settlement: positionAmt * mark * rate; positive rate: longs pay shorts."
#[test]
fn longs_pay_shorts_when_the_rate_is_positive() {
    check(
        free(),
        "
        0       book 100x500 100x500
        0       mark 101
        0       funding 0.0001
        1       buy a 2 market
                  placed
                  a trades 2 @ 100 as taker, fee 0
        # 2 * 101 * 0.0001
        2       funding 0.0001
                  funding -0.0202 on BOTH 2 @ 101
        3       funding -0.0003
                  funding 0.0606 on BOTH 2 @ 101
        4       sell b 5 market
                  placed
                  b trades 5 @ 100 as taker, fee 0
        5       funding 0.0001
                  funding 0.0303 on BOTH -3 @ 101
        6       funding -0.0003
                  funding -0.0909 on BOTH -3 @ 101
        7       account
                  wallet 9999.9798, BOTH -3 @ 100
        ",
    );
}

#[test]
fn both_positions_of_hedge_mode_are_charged() {
    check(
        free(),
        "
        0       book 100x500 100x500
        0       hedge
                  done
        1       buy a 2 market long
                  placed
                  a trades 2 @ 100 as taker, fee 0
        1       sell b 3 market short
                  placed
                  b trades 3 @ 100 as taker, fee 0
        2       funding 0.001
                  funding -0.2 on LONG 2 @ 100
                  funding 0.3 on SHORT -3 @ 100
        3       account
                  wallet 10000.1, LONG 2 @ 100, SHORT -3 @ 100
        ",
    );
}

/// The mark of the settlement where the data have it; else the newest mark, even of a bar too coarse for anything else; else the
/// last price.
#[test]
fn funding_is_charged_at_the_best_mark_there_is() {
    check(
        free(),
        "
        0       open 100
        0       buy a 1 market
                  placed
                  a trades 1 @ 100 as taker, fee 0
        1       funding 0.01
                  funding -1 on BOTH 1 @ 100
        2       mark 102
        3       funding 0.01
                  funding -1.02 on BOTH 1 @ 102
        4       funding 0.01 at 103
                  funding -1.03 on BOTH 1 @ 103
        59.999  mark-bar 104 104 104 104
        60      funding 0.01
                  funding -1.04 on BOTH 1 @ 104
        61      mark-hour 105
        61      funding 0.01
                  funding -1.05 on BOTH 1 @ 105
        ",
    );
}

/// A settlement comes before the bar that opens at its time: who buys at that open is not charged.
#[test]
fn a_position_that_opens_at_the_settlement_is_not_charged() {
    check(
        free(),
        "
        0       open 100
        59.999  bar 100 100 100 100 50
        59.999  buy a 1 market
                  placed
        60      funding 0.01
        60      open 100
                  a trades 1 @ 100 as taker, fee 0
        119.999 bar 100 100 100 100 50
        119.999 sell b 1 market
                  placed
        120     funding 0.01
                  funding -1 on BOTH 1 @ 100
        120     open 100
                  b trades 1 @ 100 as taker, fee 0
        ",
    );
}

/// "Paid from available balance; if short, from the position margin."
#[test]
fn an_isolated_position_pays_from_its_margin_when_nothing_is_free() {
    check(
        SimConfig { cash: money("1010"), ..free() },
        "
        0       isolated
                  done
        0       book 100x500 100x500
        0       mark 100
        1       buy a 100 market
                  placed
                  a trades 100 @ 100 as taker, fee 0
                  margin of BOTH is 1000
        2       liquidation-price
                  90.90909091
        # 20 are due, and 10 are free.
        3       funding 0.002
                  funding -20 on BOTH 100 @ 100
                  margin of BOTH is 990
        4       account
                  wallet 0, BOTH 100 @ 100 margin 990
        5       liquidation-price
                  91.01010101
        6       funding -0.001
                  funding 10 on BOTH 100 @ 100
        7       account
                  wallet 10, BOTH 100 @ 100 margin 990
        ",
    );
}

/// What funding takes may be what was missing.
#[test]
fn funding_may_end_a_position() {
    check(
        SimConfig { cash: money("1000"), ..free() },
        "
        0       book 100x500 100x500
        0       mark 100
        1       buy a 90 market
                  placed
                  a trades 90 @ 100 as taker, fee 0
        2       mark 90
        3       funding 0.003
                  funding -24.3 on BOTH 90 @ 90
                  liquidation @ 90: balance 75.7, maintenance 81
                  autoclose-000000000001 trades 90 @ 90 in liquidation, fee 101.25, realized -900
                  InsuranceClear 25.55
        ",
    );
}

/// Plays updates through a world and tells how it ended.
fn play(config: SimConfig, updates: Vec<MarketUpdate>) -> Result<Vec<String>, String> {
    let mut world = SimWorld::new(config, &contracts(), updates.into_iter());
    loop {
        match world.next(Timestamp::MAX) {
            Ok(Some((_, Input::End))) => return Ok(world.without_funding().map(str::to_owned).collect()),
            Ok(Some(_)) => {}
            Ok(None) => panic!("a world says when it ends"),
            Err(error @ (Error::FundingHole { .. } | Error::NoFunding { .. })) => return Err(error.to_string()),
            Err(error) => panic!("{error}"),
        }
    }
}

fn hours(hours: i64) -> Timestamp {
    Timestamp::from_nanos(hours * 3_600_000 * NANOS_PER_MILLI)
}

fn at_hours(settlements: &[i64], end: i64) -> Vec<MarketUpdate> {
    let funding = |hour: &i64| update(hours(*hour), A, support::funding(rate("0.0001"), Some(support::price("100"))));
    let mut updates = vec![update(hours(0), A, support::mark(support::price("100")))];
    updates.extend(settlements.iter().map(funding));
    updates.push(update(hours(end), B, support::mark(support::price("100"))));
    updates
}

/// The interval is a property of symbol and time, at most eight hours.
#[test]
fn settlements_may_come_every_eight_four_or_one_hours() {
    assert_eq!(play(config(), at_hours(&[8, 16, 20, 24, 25, 26, 34], 42)), Ok(vec!["BUSDT".to_owned()]));
}

#[test]
fn a_hole_is_an_error_wherever_it_is() {
    let said = |from: &str, to: &str| {
        Err(format!("funding rates of AUSDT are missing between 1970-01-{from}.000Z and 1970-01-{to}.000Z"))
    };
    for require_funding in [false, true] {
        let config = || SimConfig { require_funding, ..config() };
        assert_eq!(play(config(), at_hours(&[8, 24], 26)), said("01T08:00:00", "02T00:00:00"), "inside");
        assert_eq!(play(config(), at_hours(&[16, 24], 26)), said("01T00:00:00", "01T16:00:00"), "at the beginning");
        assert_eq!(play(config(), at_hours(&[8, 16], 26)), said("01T16:00:00", "02T02:00:00"), "at the end");
    }
}

#[test]
fn no_funding_at_all_is_named_and_may_be_refused() {
    assert_eq!(play(config(), at_hours(&[], 100)), Ok(vec!["AUSDT".to_owned(), "BUSDT".to_owned()]));
    let required = SimConfig { require_funding: true, ..config() };
    assert_eq!(play(required, at_hours(&[], 100)), Err("there are no funding rates of AUSDT".into()));
}
