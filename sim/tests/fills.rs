//! Fills: where and when orders trade on bars, on trades and on a book, and how much.

mod support;

use alphaengine_sim::{LimitFill, MarketFill, SimConfig};
use support::scenario::check;
use support::{config, rate};

fn touching() -> SimConfig {
    SimConfig { limit_fill: LimitFill::Touch, ..config() }
}

/// A market order that is decided at a close fills at the next open, and loses the slippage.
#[test]
fn a_market_order_fills_at_the_next_open() {
    check(
        SimConfig { slippage: rate("0.001"), ..config() },
        "
        0       open 100
        59.999  bar 100 102 99 101 50
        59.999  buy a 1 market
                  placed
        60      open 103
                  a trades 1 @ 103.2 as taker, fee 0.0516
        119.999 bar 103 104 102 103 50
        119.999 sell b 1 market
                  placed
        120     open 99
                  b trades 1 @ 98.9 as taker, fee 0.04945, realized -4.3
        ",
    );
}

#[test]
fn the_last_close_may_be_chosen_instead() {
    check(
        SimConfig { slippage: rate("0.001"), market_fill: MarketFill::LastPrice, ..config() },
        "
        0       open 100
        59.999  bar 100 102 99 101 50
        59.999  buy a 1 market
                  placed
                  a trades 1 @ 101.2 as taker, fee 0.0506
        60      open 103
        ",
    );
}

/// The open stands for a second. Who comes later has missed it, and everything in the bar but its close.
#[test]
fn an_order_in_the_middle_of_a_bar_has_missed_the_bar() {
    check(
        config(),
        "
        0       open 100
        1       buy at-once 1 market
                  placed
                  at-once trades 1 @ 100 as taker, fee 0.05
        1.001   buy late 1 market
                  placed
        30      buy limit 1 limit 99.5
                  placed
        30      sell stop 1 stop-market 98
                  placed
        30      sell trail 1 trailing 0.05
                  placed
        59.999  bar 100 110 90 99.6 50
        60      open 101
                  late trades 1 @ 101 as taker, fee 0.0505
        119.999 bar 101 101 99 99 50
                  limit trades 1 @ 99.5 as maker, fee 0.0199
        ",
    );
}

#[test]
fn slippage_is_rounded_to_the_tick_against_the_taker() {
    check(
        SimConfig { slippage: rate("0.0001"), ..config() },
        "
        0       open 100
        0       buy a 1 market
                  placed
                  a trades 1 @ 100.1 as taker, fee 0.05005
        0       sell b 1 market
                  placed
                  b trades 1 @ 99.9 as taker, fee 0.04995, realized -0.2
        ",
    );
}

/// Flat: a rising bar goes to its low first, a falling one to its high.
#[test]
fn without_a_position_the_bar_turns_before_it_goes_its_way() {
    check(
        config(),
        "
        0       open 100
        0       buy low 1 limit 95
                  placed
        0       sell high 1 limit 105
                  placed
        59.999  bar 100 106 94 101 50
                  low trades 1 @ 95 as maker, fee 0.019
                  high trades 1 @ 105 as maker, fee 0.021, realized 10
        60      open 100
        60      buy low 1 limit 95
                  placed
        60      sell high 1 limit 105
                  placed
        119.999 bar 100 106 94 99 50
                  high trades 1 @ 105 as maker, fee 0.021
                  low trades 1 @ 95 as maker, fee 0.019, realized 10
        ",
    );
}

/// With a position the extreme that hurts comes first: stops before profits.
#[test]
fn with_a_position_the_bar_hurts_first() {
    check(
        config(),
        "
        0       open 100
        0       buy long 1 market
                  placed
                  long trades 1 @ 100 as taker, fee 0.05
        0       sell stop all stop-market 95 close
                  placed
        0       sell profit all take-profit-market 105 close
                  placed
        59.999  bar 100 106 94 99 50
                  stop fires 1
                  stop trades 1 @ 95 as taker, fee 0.0475, realized -5
                  profit is refused as it fires: -2022
        60      open 100
        60      sell short 1 market
                  placed
                  short trades 1 @ 100 as taker, fee 0.05
        60      buy stop all stop-market 105 close
                  placed
        60      buy profit all take-profit-market 95 close
                  placed
        119.999 bar 100 106 94 101 50
                  stop fires 1
                  stop trades 1 @ 105 as taker, fee 0.0525, realized -5
                  profit is refused as it fires: -2022
        ",
    );
}

/// Orders act along the way at the prices at which it reaches them: a stop opens what a limit then closes.
#[test]
fn orders_act_in_the_order_of_the_way() {
    check(
        config(),
        "
        0       open 100
        0       sell entry 1 stop-market 97
                  placed
        0       buy exit 1 limit 95
                  placed
        0       buy again 1 stop-market 103
                  placed
        59.999  bar 100 104 94 102 50
                  entry fires 1
                  entry trades 1 @ 97 as taker, fee 0.0485
                  exit trades 1 @ 95 as maker, fee 0.019, realized 2
                  again fires 1
                  again trades 1 @ 103 as taker, fee 0.0515
        59.999  account
                  wallet 10001.881, BOTH 1 @ 103
        ",
    );
}

/// What a gap has passed over fills at the open for a stop, and at its own price for a limit.
#[test]
fn a_gap_fills_stops_worse_and_limits_no_better() {
    check(
        config(),
        "
        0       open 100
        0       sell stop 1 stop-market 98
                  placed
        0       buy limit 1 limit 97
                  placed
        59.999  bar 100 100 99 99 50
        60      open 90
        119.999 bar 90 91 89 90 50
                  limit trades 1 @ 97 as maker, fee 0.0194
                  stop fires 1
                  stop trades 1 @ 90 as taker, fee 0.045, realized -7
        ",
    );
    check(
        config(),
        "
        0       trade 100 5
        1       sell stop 1 stop-market 98 reduce
                  placed
        1       buy limit 1 limit 97
                  placed
        2       trade 90 5
                  limit trades 1 @ 97 as maker, fee 0.0194
                  stop fires 1
                  stop trades 1 @ 90 as taker, fee 0.045, realized -7
        ",
    );
}

#[test]
fn a_touch_fills_only_where_it_is_chosen() {
    check(
        config(),
        "
        0       open 100
        0       buy a 1 limit 95
                  placed
        59.999  bar 100 101 95 99 50
        ",
    );
    check(
        touching(),
        "
        0       open 100
        0       buy a 1 limit 95
                  placed
        59.999  bar 100 101 95 99 50
                  a trades 1 @ 95 as maker, fee 0.019
        ",
    );
}

/// A tenth of a bar's volume, by default, is there for all resting orders together; also for those that a gap has passed over.
#[test]
fn resting_orders_share_a_part_of_the_volume() {
    check(
        config(),
        "
        0       open 100
        0       buy a 3 limit 99
                  placed
        0       buy b 3 limit 98
                  placed
        59.999  bar 100 100 97 99.5 40
                  a trades 3 @ 99 as maker, fee 0.0594
                  b trades 1 @ 98 as maker, fee 0.0196
        60      open 96
        119.999 bar 96 97 96 97 10.09
                  b trades 1 @ 98 as maker, fee 0.0196
        120     open 90
        179.999 bar 90 91 90 91 0
        180     open 90
        239.999 bar 90 91 90 91 500
                  b trades 1 @ 98 as maker, fee 0.0196
        ",
    );
    check(
        SimConfig { volume_cap: None, ..config() },
        "
        0       open 100
        0       buy a 3 limit 99
                  placed
        59.999  bar 100 100 97 99.5 0
                  a trades 3 @ 99 as maker, fee 0.0594
        ",
    );
}

/// A trade at the limit serves its own size, in the order of the queue; one beyond it has served everybody.
#[test]
fn a_trade_at_the_limit_serves_its_size() {
    check(
        touching(),
        "
        0       trade 100 5
        1       buy a 2 limit 99
                  placed
        1       buy b 2 limit 99
                  placed
        2       trade 99 3.005
                  a trades 2 @ 99 as maker, fee 0.0396
                  b trades 1 @ 99 as maker, fee 0.0198
        3       trade 98.9 0.01
                  b trades 1 @ 99 as maker, fee 0.0198
        ",
    );
}

#[test]
fn a_book_fills_a_taker_at_the_touch_and_the_rest_one_slippage_worse() {
    check(
        SimConfig { slippage: rate("0.01"), ..config() },
        "
        0       book 99x5 101x3
        1       buy a 2 market
                  placed
                  a trades 2 @ 101 as taker, fee 0.101
        2       buy b 5 market
                  placed
                  b trades 3 @ 101 as taker, fee 0.1515
                  b trades 2 @ 102.1 as taker, fee 0.1021
        3       sell c 6 market
                  placed
                  c trades 5 @ 99 as taker, fee 0.2475, realized -11.57142857
                  c trades 1 @ 98 as taker, fee 0.049, realized -3.31428572
        # A limit order rests with what the touch does not hold.
        4       buy d 5 limit 101
                  placed
                  d trades 3 @ 101 as taker, fee 0.1515
        5       book 99x5 101x4
        6       book 99x5 100.9x1
                  d trades 2 @ 101 as maker, fee 0.0404
        ",
    );
}

/// A resting order inside the spread is not traded through by a price between bid and ask.
#[test]
fn only_the_other_side_of_the_book_fills_a_resting_order() {
    check(
        config(),
        "
        0       book 99x5 105x5
        1       buy a 1 limit 103
                  placed
        1       sell b 1 limit 104
                  placed
        2       book 95x5 103x5
        3       book 95x5 102.9x5
                  a trades 1 @ 103 as maker, fee 0.0206
        4       book 104.1x5 106x5
                  b trades 1 @ 104 as maker, fee 0.0208, realized 1
        ",
    );
}

/// The size at the touch is there once.
#[test]
fn orders_at_the_touch_share_its_size() {
    check(
        touching(),
        "
        0       book 99x5 101x5
        1       buy a 2 limit 100
                  placed
        1       buy b 2 limit 100
                  placed
        2       book 99x5 100x3
                  a trades 2 @ 100 as maker, fee 0.04
                  b trades 1 @ 100 as maker, fee 0.02
        3       book 99x5 100x3
                  b trades 1 @ 100 as maker, fee 0.02
        ",
    );
}

/// How far a market order may go from the mark: what lies beyond stays unfilled, and nothing at all is -4131 (section 3.2).
#[test]
fn a_market_order_does_not_go_further_than_the_bound() {
    check(
        SimConfig { slippage: rate("0.02"), ..config() },
        "
        0       mark 100
        0       book 99x5 104x3
        1       buy a 5 market
                  placed
                  a trades 3 @ 104 as taker, fee 0.156
                  a expires: MarketRemainder
        2       book 99x5 105.1x3
        3       buy b 5 market
                  refused -4131
        4       sell s 1 stop-market 97
                  placed
        5       book 94x3 105.1x3
        6       book 94.9x3 95x3
                  s is refused as it fires: -4131
        ",
    );
    check(
        config(),
        "
        0       mark 100
        0       trade 100 5
        1       buy a 1 market
                  placed
        2       trade 105.1 5
                  a expires: MarketRemainder
        ",
    );
}

/// Of a bar, the mark is only known at its close: a stop in a fast market is not refused because the mark seems far away.
#[test]
fn an_old_mark_holds_nobody_back_inside_a_bar() {
    check(
        config(),
        "
        0       mark 100
        0       open 100
        0       buy a 2 market
                  placed
                  a trades 2 @ 100 as taker, fee 0.1
        0       sell stop 1 stop-market 94 protect reduce
                  placed
        0       sell limit 1 stop 93 92 protect reduce
                  placed
        59.999  mark-bar 100 100 91 91
        59.999  bar 100 100 91 91 50
                  stop fires 1
                  stop trades 1 @ 94 as taker, fee 0.047, realized -6
                  limit fires 1
                  limit trades 1 @ 93 as taker, fee 0.0465, realized -7
        ",
    );
}
