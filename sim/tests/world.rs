//! The world of a backtest: in which order things reach the engine, and how long they are on their way.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

mod support;

use alphaengine_core::exchange::{Input, Request};
use alphaengine_core::market::MarketData;
use alphaengine_core::units::{NANOS_PER_MILLI, Nanos, Timestamp};
use alphaengine_sim::{Delay, Error, Latency, SimConfig, SimWorld};
use support::scenario::parse_request;
use support::world::{Heard, play, table, tape};
use support::{A, B, config, contracts, rate, seconds, update};

const MILLI: Nanos = NANOS_PER_MILLI;

fn late(feed: Delay, entry: Delay, answer: Delay) -> SimConfig {
    SimConfig { latency: Latency { feed, entry, answer }, ..config() }
}

fn constant(millis: i64) -> Delay {
    Delay::Constant(millis * MILLI)
}

/// A trader who sends each of these orders when a trade at its price reaches him for the first time.
fn on_trades(orders: &[(&str, &str)]) -> impl FnMut(Timestamp, &Input<'_>) -> Vec<Request> {
    let mut left: Vec<(String, String)> =
        orders.iter().map(|(price, order)| ((*price).to_owned(), (*order).to_owned())).collect();
    move |_, input| {
        let Input::Market(update) = input else {
            return Vec::new();
        };
        let MarketData::Trade(trade) = update.data else {
            return Vec::new();
        };
        let (now, later) = left.drain(..).partition(|(price, _)| trade.price == support::price(price));
        left = later;
        let now: Vec<(String, String)> = now;
        now.iter().map(|(_, order)| parse_request(A, order)).collect()
    }
}

#[track_caller]
fn check(heard: &[Heard], expected: &str) {
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let heard = table(heard);
    assert!(heard.lines().eq(expected.iter().copied()), "heard was:\n\n{heard}");
}

/// What the exchange does because of an update is told before it; an answer comes at once.
#[test]
fn without_latency_answers_come_before_what_follows() {
    let tape = tape(
        "0 trade 100 5
         1 trade 101 5
         1 trade 102 5
         2 trade 103 5",
    );
    let trader = on_trades(&[("100", "buy a 1 market"), ("101", "buy b 1 market"), ("103", "sell c 1 market")]);
    let heard = play(config(), tape, &[seconds("0.5"), seconds("1"), seconds("9")], trader).unwrap();
    check(
        &heard,
        "
        0       ready
        0       trade 100
        0       placed
        0.5     wake
        1       wake
        1       a trades 1 @ 101 as taker, fee 0.0505
        1       trade 101
        1       placed
        1       b trades 1 @ 102 as taker, fee 0.051
        1       trade 102
        2       trade 103
        2       placed
        2       end
        ",
    );
}

/// An order needs its way, and so does the answer: what happens meanwhile decides.
#[test]
fn every_way_takes_its_time() {
    let tape = tape(
        "0     trade 100 5
         0.015 trade 101 5
         0.025 trade 102 5
         0.035 trade 103 5
         0.200 trade 104 5",
    );
    let trader = on_trades(&[("100", "buy a 1 market")]);
    let heard = play(late(constant(10), constant(20), constant(30)), tape, &[], trader).unwrap();
    // Heard at 10 ms, the order arrives at 30 ms and fills at the trade of 35 ms; both answers need 30 ms.
    check(
        &heard,
        "
        0       ready
        0.01    trade 100
        0.025   trade 101
        0.035   trade 102
        0.045   trade 103
        0.06    placed
        0.065   a trades 1 @ 103 as taker, fee 0.0515
        0.21    trade 104
        0.21    end
        ",
    );
}

/// While a cancel is on its way the order fills: the fill is heard first, then that there is nothing to cancel.
#[test]
fn a_cancel_may_lose_its_race() {
    let tape = tape(
        "0     trade 100 5
         1     trade 101 5
         1.015 trade 98 5
         3     trade 98 5",
    );
    let trader = on_trades(&[("100", "buy a 1 limit 99"), ("101", "cancel a")]);
    let heard = play(late(constant(0), constant(20), constant(5)), tape, &[], trader).unwrap();
    check(
        &heard,
        "
        0       ready
        0       trade 100
        0.025   placed
        1       trade 101
        1.015   trade 98
        1.02    a trades 1 @ 99 as maker, fee 0.0198
        1.025   refused -2011
        3       trade 98
        3       end
        ",
    );
}

/// Measured delays are taken one after the other and begin again at the end.
#[test]
fn measured_delays_are_taken_row_by_row() {
    let tape = tape(
        "0 trade 100 5
         1 trade 101 5
         2 trade 102 5
         3 trade 103 5",
    );
    let rows = Delay::Rows(vec![100 * MILLI, 300 * MILLI, 200 * MILLI]);
    let heard = play(late(rows, constant(0), constant(0)), tape, &[], |_, _| Vec::new()).unwrap();
    check(
        &heard,
        "
        0       ready
        0.1     trade 100
        1.3     trade 101
        2.2     trade 102
        3.1     trade 103
        3.1     end
        ",
    );
}

/// A stream keeps its order, whatever each message takes. Requests travel apart: a fast one may arrive before a slow one.
#[test]
fn streams_keep_their_order_and_requests_may_overtake() {
    let tape = tape(
        "0    trade 100 5
         0.01 trade 101 5
         0.02 trade 102 5
         2    trade 103 5",
    );
    let trader = on_trades(&[("100", "buy a 1 limit 99"), ("101", "buy b 1 limit 98"), ("102", "cancel a")]);
    let feed = Delay::Rows(vec![500 * MILLI, 0]);
    let entry = Delay::Rows(vec![300 * MILLI, 0, 0]);
    let heard = play(late(feed, entry, constant(0)), tape, &[], trader).unwrap();
    check(
        &heard,
        "
        0       ready
        0.5     trade 100
        0.5     trade 101
        0.5     placed
        0.52    trade 102
        0.52    refused -2011
        0.8     placed
        2       trade 103
        2       end
        ",
    );
}

#[test]
fn drawn_delays_repeat_with_their_seed() {
    let run = |seed| {
        let trades: String = (0..200).map(|second| format!("{second} trade {} 5\n", 100 + second % 7)).collect();
        let delay = || Delay::LogNormal { median: 400 * MILLI, sigma: 0.7 };
        let uniform = Delay::Uniform { from: 0, to: 900 * MILLI };
        let config = SimConfig { seed, ..late(delay(), uniform, delay()) };
        let mut orders = 0;
        let trader = |_: Timestamp, input: &Input<'_>| {
            if !matches!(input, Input::Market(_)) {
                return Vec::new();
            }
            orders += 1;
            vec![parse_request(A, &format!("{} o{orders} 1 market", if orders % 2 == 0 { "buy" } else { "sell" }))]
        };
        play(config, tape(&trades), &[], trader).unwrap()
    };
    let heard = run(7);
    assert_eq!(heard, run(7));
    assert_ne!(heard, run(8));
    assert!(heard.windows(2).all(|pair| pair[0].at <= pair[1].at), "time only goes on");
    let markets = |heard: &[Heard]| heard.iter().filter(|heard| heard.at > heard.happened).count();
    assert_eq!(markets(&heard), 200, "every trade needed some time");
}

/// Delays of the three ways are drawn apart: a slower answer does not change when the market is heard.
#[test]
fn the_ways_do_not_share_their_draws() {
    let run = |answers| {
        let trades: String = (0..50).map(|second| format!("{second} trade 100 5\n")).collect();
        let random = || Delay::Uniform { from: 0, to: 500 * MILLI };
        let mut orders = 0;
        let trader = |_: Timestamp, input: &Input<'_>| {
            orders += 1;
            let is_trade = matches!(input, Input::Market(_));
            is_trade.then(|| parse_request(A, &format!("buy o{orders} 1 limit 90"))).into_iter().collect()
        };
        let heard = play(late(random(), random(), answers), tape(&trades), &[], trader).unwrap();
        heard.into_iter().filter(|heard| heard.text.starts_with("trade")).collect::<Vec<_>>()
    };
    assert_eq!(run(constant(0)), run(Delay::Uniform { from: 0, to: 900 * MILLI }));
}

/// Answers that are on their way when the tape ends still arrive.
#[test]
fn the_end_waits_for_what_is_on_its_way() {
    let trader = on_trades(&[("100", "buy a 1 limit 99")]);
    let heard = play(late(constant(1), constant(20), constant(30)), tape("0 trade 100 5"), &[], trader).unwrap();
    check(
        &heard,
        "
        0       ready
        0.001   trade 100
        0.051   placed
        0.051   end
        ",
    );
}

/// A bar is told in two halves, and the order that was decided at a close fills at the open that follows it.
#[test]
fn a_bar_closes_before_the_next_one_opens() {
    let tape = tape(
        "0       open 100
         59.999  bar 100 102 99 101 50
         60      open 103
         119.999 bar 103 104 102 103 50",
    );
    let mut orders = 0;
    let trader = |_: Timestamp, input: &Input<'_>| {
        let is_close = matches!(input, Input::Market(update) if matches!(update.data, MarketData::Bar(_)));
        orders += u32::from(is_close);
        is_close.then(|| parse_request(A, &format!("buy o{orders} 1 market"))).into_iter().collect()
    };
    let config = SimConfig { slippage: rate("0.001"), ..config() };
    let heard = play(config, tape, &[], trader).unwrap();
    check(
        &heard,
        "
        0       ready
        0       open 100
        59.999  bar 100 102 99 101
        59.999  placed
        60      o1 trades 1 @ 103.2 as taker, fee 0.0516
        60      open 103
        119.999 bar 103 104 102 103
        119.999 placed
        119.999 end
        ",
    );
}

#[test]
fn a_tape_that_goes_back_in_time_is_refused() {
    let failure = play(config(), tape("1 trade 100 5\n0 trade 100 5"), &[], |_, _| Vec::new()).unwrap_err();
    assert_eq!(
        failure.to_string(),
        "the data go back in time: from 1970-01-01T00:00:01.000Z to 1970-01-01T00:00:00.000Z"
    );
}

#[test]
fn an_empty_tape_is_no_world() {
    assert_eq!(play(config(), Vec::new(), &[], |_, _| Vec::new()).unwrap(), []);
}

/// Whatever can be traded at opens the account; what comes before it is as if it had never been, up to the very instant.
#[test]
fn the_run_begins_with_the_first_price_that_can_be_traded_at() {
    let before = "
        0       mark 50
        1       funding 0.01
        2       mark-hour 40
        59.999  mark-bar 60 60 60 60
        90      mark 70
        90      funding 0.01
    ";
    for first in ["open 100", "bar 100 100 100 100 50", "trade 100 5", "book 100x5 100x5"] {
        // It buys at market as soon as it may, and the settlement comes before any mark of the run.
        let run = |before: &str| {
            let after = format!("90 {first}\n91 trade 100 5\n92 funding 0.01\n93 mark 101\n94 trade 100 5");
            let trader = on_trades(&[("100", "buy a 1 market")]);
            let buys_at_once = SimConfig { market_fill: alphaengine_sim::MarketFill::LastPrice, ..config() };
            play(buys_at_once, tape(&format!("{before}\n{after}")), &[], trader).unwrap()
        };
        let heard = run(before);
        assert_eq!(heard, run(""), "{first}");
        assert_eq!(heard[0].at, seconds("90"), "{first}");
        let is_charged = |heard: &Heard| heard.text.starts_with("funding -1 on BOTH 1 @ 100");
        assert!(heard.iter().any(is_charged), "at the last price, for no older mark is known: {}", table(&heard));
    }
}

#[test]
fn the_start_is_that_of_any_symbol() {
    let price = || support::trade(support::price("100"), support::qty("1"));
    let updates = vec![
        update(seconds("1"), A, support::mark(support::price("100"))),
        update(seconds("2"), B, price()),
        update(seconds("3"), A, support::mark(support::price("101"))),
        update(seconds("4"), A, price()),
    ];
    let mut world = SimWorld::new(config(), &contracts(), updates.into_iter());
    let mut heard = Vec::new();
    while let Some((at, input)) = world.next(Timestamp::MAX).unwrap() {
        if let Input::Market(update) = input {
            heard.push((at, update.symbol));
        }
    }
    assert_eq!(world.start(), seconds("2"));
    assert_eq!(heard, [(seconds("2"), B), (seconds("3"), A), (seconds("4"), A)]);
}

#[test]
fn without_a_price_nothing_begins_and_time_goes_on_before_it_too() {
    assert_eq!(play(config(), tape("0 mark 100\n1 funding 0.01"), &[], |_, _| Vec::new()).unwrap(), []);
    let failure = play(config(), tape("1 mark 100\n0 trade 100 5"), &[], |_, _| Vec::new()).unwrap_err();
    assert!(matches!(failure, Error::TimeWentBack { .. }), "{failure}");
}
