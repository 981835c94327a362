//! Funding: who pays whom, on what, and that a missing rate is never taken for a free one (`binance-usdm.md` section 8.2).

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

mod support;

use alphaengine_core::exchange::Input;
use alphaengine_core::market::{MarketData, MarketUpdate, SymbolId};
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

/// What a world says of its funding rates when it ends.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    without: Vec<String>,
    notes: Vec<String>,
}

/// Plays updates through a world and tells how it ended.
fn play(config: SimConfig, updates: Vec<MarketUpdate>) -> Result<Said, String> {
    let mut world = SimWorld::new(config, &contracts(), updates.into_iter());
    loop {
        match world.next(Timestamp::MAX) {
            Ok(Some((_, Input::End))) => {
                let without = world.without_funding().map(str::to_owned).collect();
                return Ok(Said { without, notes: world.funding_notes() });
            }
            Ok(Some(_)) => {}
            Ok(None) => panic!("a world says when it ends"),
            Err(error @ (Error::Feed(_) | Error::TimeWentBack { .. })) => panic!("{error}"),
            Err(error) => return Err(error.to_string()),
        }
    }
}

fn hours(hours: i64) -> Timestamp {
    Timestamp::from_nanos(hours * 3_600_000 * NANOS_PER_MILLI)
}

/// A price of a kind that somebody can trade at.
type Priced = fn() -> MarketData;

const PRICED: [Priced; 4] = [
    || support::trade(support::price("100"), support::qty("1")),
    || support::book((support::price("99"), support::qty("1")), (support::price("101"), support::qty("1"))),
    || support::open(support::price("100")),
    || MarketData::Bar(support::minute(hours(1), [support::price("100"); 4], support::qty("1"))),
];

/// Prices, settlements and mark prices of a contract at these hours.
fn contract_at(
    symbol: SymbolId,
    priced: Priced,
    prices: &[i64],
    settlements: &[i64],
    marks: &[i64],
) -> Vec<MarketUpdate> {
    let at = |hour: &i64, data: MarketData| update(hours(*hour), symbol, data);
    let funding = || support::funding(rate("0.0001"), Some(support::price("100")));
    let mark = || support::mark(support::price("100"));
    let marks = marks.iter().map(|hour| at(hour, mark()));
    let settlements = settlements.iter().map(|hour| at(hour, funding()));
    marks.chain(settlements).chain(prices.iter().map(|hour| at(hour, priced()))).collect()
}

/// In the order in which a tape brings them: of one instant the mark, then the settlement, then the price.
fn merged(mut updates: Vec<MarketUpdate>) -> Vec<MarketUpdate> {
    updates.sort_by_key(|update| update.at);
    updates
}

/// The first contract, with a price every hour from one to another.
fn traded(hours: std::ops::RangeInclusive<i64>, settlements: &[i64]) -> Vec<MarketUpdate> {
    merged(contract_at(A, PRICED[0], &hours.collect::<Vec<_>>(), settlements, &[]))
}

fn required() -> SimConfig {
    SimConfig { require_funding: true, ..config() }
}

/// Without what is said of the second contract, which has no rates in any of these.
fn notes(updates: Vec<MarketUpdate>) -> Result<Vec<String>, String> {
    play(config(), updates).map(|said| said.notes)
}

fn missing(from: &str, to: &str) -> String {
    format!("funding rates of AUSDT are missing between 1970-01-{from}.000Z and 1970-01-{to}.000Z")
}

/// The interval is a property of symbol and time, at most eight hours.
#[test]
fn settlements_may_come_every_eight_four_or_one_hours() {
    let said = play(config(), traded(0..=42, &[8, 16, 20, 24, 25, 26, 34]));
    assert_eq!(said, Ok(Said { without: vec!["BUSDT".to_owned()], notes: Vec::new() }));
}

#[test]
fn a_hole_between_settlements_of_the_traded_time_is_an_error() {
    for config in [config, required] {
        assert_eq!(play(config(), traded(0..=26, &[8, 24])), Err(missing("01T08:00:00", "02T00:00:00")));
        // The settlement before the first price says that the data had begun by then.
        assert_eq!(play(config(), traded(2..=26, &[0, 16, 24])), Err(missing("01T00:00:00", "01T16:00:00")));
        assert_eq!(play(config(), traded(0..=26, &[8, 16, 40])), Err(missing("01T16:00:00", "02T16:00:00")));
    }
}

/// The time may be known only after the settlement: nobody traded before it, and somebody does after it.
#[test]
fn a_hole_is_found_although_the_prices_have_one_too() {
    for priced in PRICED {
        let updates = merged(contract_at(A, priced, &[0, 7, 25], &[8, 24], &[]));
        assert_eq!(notes(updates), Err(missing("01T08:00:00", "02T00:00:00")));
        let updates = merged(contract_at(A, priced, &[0, 7], &[8, 24], &[]));
        assert_eq!(notes(updates), Ok(Vec::new()));
    }
}

/// Nobody can hold what is not traded yet, or no more: neither the marks nor the prices of another contract count.
#[test]
fn a_hole_outside_the_traded_time_is_none() {
    let hours: Vec<i64> = (100..=120).collect();
    for priced in PRICED {
        let play = |settlements: &[i64]| {
            let mut updates = contract_at(A, priced, &hours, settlements, &[1, 300]);
            updates.extend(contract_at(B, PRICED[0], &[0, 300], &[], &[]));
            notes(merged(updates))
        };
        assert_eq!(play(&[0, 50, 98, 106, 114, 122, 200]), Ok(Vec::new()));
        assert_eq!(play(&[0, 50, 98, 114]), Err(missing("05T02:00:00", "05T18:00:00")), "no earlier one hides it");
    }
}

#[test]
fn rates_that_begin_late_or_end_early_are_told_and_may_be_refused() {
    let begin = "funding rates of AUSDT begin at 1970-01-01T09:00:00.000Z";
    let end = "funding rates of AUSDT end at 1970-01-01T17:00:00.000Z";
    let paid_none = |begin: &str, when: &str| format!("{begin}: {when} that positions paid and received none");
    let (before, after) = (paid_none(begin, "before"), paid_none(end, "after"));
    assert_eq!(notes(traded(0..=20, &[9, 17])), Ok(vec![before.clone()]));
    assert_eq!(notes(traded(1..=26, &[9, 17])), Ok(vec![after.clone()]));
    assert_eq!(notes(traded(0..=26, &[9, 17])), Ok(vec![before, after]));
    assert_eq!(notes(traded(1..=25, &[9, 17])), Ok(Vec::new()), "eight hours are no more than settlements are apart");

    let refused = |updates| play(required(), updates).unwrap_err();
    assert_eq!(refused(traded(0..=20, &[9, 17])), format!("{begin}: there are none before that, and it is traded"));
    assert_eq!(refused(traded(1..=26, &[9, 17])), format!("{end}: there are none after that, and it is traded"));
}

/// A contract that is listed later begins later.
#[test]
fn every_contract_has_its_own_time() {
    for priced in PRICED {
        let with_rates = |settlements: &[i64]| {
            let mut updates = contract_at(A, PRICED[0], &(0..=48).collect::<Vec<_>>(), &[8, 16, 24, 32, 40, 48], &[]);
            updates.extend(contract_at(B, priced, &(30..=41).collect::<Vec<_>>(), settlements, &[1, 48]));
            play(config(), merged(updates)).unwrap()
        };
        assert_eq!(with_rates(&[32, 40]), Said { without: Vec::new(), notes: Vec::new() });
        let late =
            "funding rates of BUSDT begin at 1970-01-02T15:00:00.000Z: before that positions paid and received none";
        assert_eq!(with_rates(&[39]).notes, [late]);
        let early =
            "funding rates of BUSDT end at 1970-01-02T08:00:00.000Z: after that positions paid and received none";
        assert_eq!(with_rates(&[32]).notes, [early]);
    }
}

#[test]
fn no_funding_at_all_is_named_and_may_be_refused() {
    let without = vec!["AUSDT".to_owned(), "BUSDT".to_owned()];
    assert_eq!(play(config(), traded(0..=100, &[])), Ok(Said { without, notes: Vec::new() }));
    assert_eq!(play(required(), traded(0..=100, &[])), Err("there are no funding rates of AUSDT".into()));
}
