//! Conditional orders: when they fire, what becomes of them then, and what they watch (`binance-usdm.md` sections 3.4 and 8.9).

mod support;

use alphaengine_sim::SimConfig;
use support::scenario::check;
use support::{config, money, rate};

#[test]
fn each_type_fires_on_its_side_of_the_price() {
    check(
        config(),
        "
        0       trade 100 5
        1       buy stop-buy 1 stop-market 102
                  placed
        1       sell stop-sell 1 stop-market 98
                  placed
        1       buy profit-buy 1 take-profit-market 97
                  placed
        1       sell profit-sell 1 take-profit-market 103
                  placed
        2       trade 101.9 5
        3       trade 102 5
                  stop-buy fires 1
                  stop-buy trades 1 @ 102 as taker, fee 0.051
        4       trade 103 5
                  profit-sell fires 1
                  profit-sell trades 1 @ 103 as taker, fee 0.0515, realized 1
        5       trade 98.1 5
        6       trade 98 5
                  stop-sell fires 1
                  stop-sell trades 1 @ 98 as taker, fee 0.049
        7       trade 97 5
                  profit-buy fires 1
                  profit-buy trades 1 @ 97 as taker, fee 0.0485, realized 1
        8       account
                  wallet 10001.8
        ",
    );
}

/// -2021, as documented: an order that would fire at once is refused.
#[test]
fn what_would_fire_at_once_is_refused() {
    check(
        config(),
        "
        0       trade 100 5
        1       buy a 1 stop-market 100
                  refused -2021
        1       sell b 1 stop-market 100
                  refused -2021
        1       buy c 1 take-profit-market 100
                  refused -2021
        1       sell d 1 take-profit-market 100
                  refused -2021
        1       buy e 1 stop 99 99
                  refused -2021
        1       sell f 1 take-profit 99 99
                  refused -2021
        # The activation of a buy lies below the price, that of a sell above it.
        1       buy g 1 trailing 0.01 from 100
                  refused -2021
        1       sell h 1 trailing 0.01 from 100
                  refused -2021
        1       buy i 1 trailing 0.01 from 99.9
                  placed
        1       sell j 1 trailing 0.01 from 100.1
                  placed
        ",
    );
}

#[test]
fn a_stop_with_a_limit_becomes_a_limit_order() {
    check(
        config(),
        "
        0       trade 100 5
        1       buy a 1 stop 102 103
                  placed
        1       buy b 1 stop 102 101
                  placed
        2       trade 102 5
                  a fires 1
                  a trades 1 @ 102 as taker, fee 0.051
                  b fires 1
        3       modify b buy 1 101.5
                  done
                  b is now 1 @ 101.5
        4       trade 101.4 5
                  b trades 1 @ 101.5 as maker, fee 0.0203
        5       sell c 1 take-profit 104 103
                  placed
        6       trade 104 5
                  c fires 1
                  c trades 1 @ 104 as taker, fee 0.052, realized 2.25
        ",
    );
}

/// Section 3.4: TRIGGERING -> REJECTED is where time in force, margin and reduce-only say no.
#[test]
fn the_child_of_a_stop_obeys_its_time_in_force() {
    check(
        config(),
        "
        0       trade 100 5
        1       buy ioc 1 stop 102 101 ioc
                  placed
        1       buy fok 1 stop 102 101 fok
                  placed
        1       buy gtx 1 stop 102 104 gtx
                  placed
        1       buy rests 1 stop 102 101 gtx
                  placed
        2       trade 102 5
                  ioc fires 1
                  ioc expires: IocRemainder
                  fok is refused as it fires: -5021
                  gtx is refused as it fires: -5022
                  rests fires 1
        3       trade 100.9 5
                  rests trades 1 @ 101 as maker, fee 0.0202
        ",
    );
}

#[test]
fn margin_and_position_are_looked_at_when_an_order_fires() {
    check(
        SimConfig { cash: money("100"), ..config() },
        "
        0       trade 100 5
        # No margin is needed before the trigger.
        1       buy poor 100 stop-market 102
                  placed
        1       sell reducing 1 stop-market 98 reduce
                  placed
        2       trade 102 5
                  poor is refused as it fires: -2019
        3       trade 98 5
                  reducing is refused as it fires: -2022
        ",
    );
    check(
        SimConfig { cash: money("1000000"), leverage: 50, ..config() },
        "
        0       trade 100 5
        1       buy large 99 stop-market 102
                  placed
        2       buy a 2 market
                  placed
        3       trade 101 5
                  a trades 2 @ 101 as taker, fee 0.101
        4       trade 102 5
                  large is refused as it fires: -2027
        ",
    );
}

/// The price band of a child is that of the moment when it fires; before, its limit is measured from its trigger.
#[test]
fn the_price_band_moves_with_the_market() {
    check(
        config(),
        "
        0       mark 100
        0       trade 100 5
        1       buy far 1 stop 112 117
                  placed
        1       buy farther 1 stop 112 118
                  refused -4183
        1       sell low 1 stop 90 85
                  refused -4184
        2       trade 112 5
                  far is refused as it fires: -4016
        ",
    );
}

#[test]
fn close_position_takes_whatever_is_there_when_it_fires() {
    check(
        config(),
        "
        0       trade 100 5
        1       buy a 2 market
                  placed
        2       trade 100 5
                  a trades 2 @ 100 as taker, fee 0.1
        3       sell stop all stop-market 95 close
                  placed
        3       sell profit all take-profit-market 105 close
                  placed
        4       buy b 1 market
                  placed
        5       trade 101 5
                  b trades 1 @ 101 as taker, fee 0.0505
        6       trade 95 5
                  stop fires 3
                  stop trades 3 @ 95 as taker, fee 0.1425, realized -16
        # Nothing is left to close.
        7       trade 105 5
                  profit is refused as it fires: -2022
        ",
    );
}

#[test]
fn a_trailing_stop_follows_the_best_price() {
    check(
        config(),
        "
        0       trade 100 5
        1       buy a 2 market
                  placed
        2       trade 100 5
                  a trades 2 @ 100 as taker, fee 0.1
        3       sell trail 1 trailing 0.01 reduce
                  placed
        4       trade 99.1 5
        5       trade 110 5
        6       trade 109 5
        7       trade 108.9 5
                  trail fires 1
                  trail trades 1 @ 108.9 as taker, fee 0.05445, realized 8.9
        8       sell later 1 trailing 0.02 from 112 reduce
                  placed
        # It is not active below its activation, however far the price falls.
        9       trade 100 5
        10      trade 112 5
        11      trade 115 5
        12      trade 112.8 5
        13      trade 112.7 5
                  later fires 1
                  later trades 1 @ 112.7 as taker, fee 0.05635, realized 12.7
        ",
    );
    check(
        config(),
        "
        0       trade 100 5
        1       buy trail 1 trailing 0.01
                  placed
        2       trade 90 5
        3       trade 90.8 5
        4       trade 90.9 5
                  trail fires 1
                  trail trades 1 @ 90.9 as taker, fee 0.04545
        ",
    );
}

/// An order that came before the first price has seen none, and zero is not one.
#[test]
fn a_trailing_stop_may_come_before_the_first_price() {
    check(
        config(),
        "
        0       buy trail 1 trailing 0.01
                  placed
        1       trade 100 5
        2       trade 101 5
                  trail fires 1
                  trail trades 1 @ 101 as taker, fee 0.0505
        ",
    );
}

#[test]
fn an_order_may_watch_the_mark_instead() {
    check(
        config(),
        "
        0       mark 100
        0       trade 100 5
        1       sell last 1 stop-market 95
                  placed
        1       sell mark 1 stop-market 95 on-mark
                  placed
        2       trade 95 5
                  last fires 1
                  last trades 1 @ 95 as taker, fee 0.0475
        3       trade 97 5
        4       mark 95.1
        5       mark 95
                  mark fires 1
                  mark trades 1 @ 97 as taker, fee 0.0485
        6       account
                  wallet 9999.904, BOTH -2 @ 96
        ",
    );
}

/// Without mark prices in the data, the last price stands for the mark.
#[test]
fn the_last_price_stands_for_a_mark_that_is_not_there() {
    check(
        config(),
        "
        0       trade 100 5
        1       sell mark 1 stop-market 95 on-mark
                  placed
        2       trade 95 5
                  mark fires 1
                  mark trades 1 @ 95 as taker, fee 0.0475
        ",
    );
}

#[test]
fn a_protected_order_waits_while_last_and_mark_are_apart() {
    check(
        config(),
        "
        0       mark 100
        0       trade 100 5
        1       sell a 1 stop-market 95 protect
                  placed
        2       trade 94 5
        3       mark 98
        4       trade 94.1 5
                  a fires 1
                  a trades 1 @ 94.1 as taker, fee 0.04705
        ",
    );
}

/// Bars do not say where the last price was when the mark came to the trigger: the worse of both is taken.
#[test]
fn a_mark_bar_fires_no_better_than_at_the_trigger() {
    check(
        config(),
        "
        0       open 100
        0       mark 100
        0       buy a 2 market
                  placed
                  a trades 2 @ 100 as taker, fee 0.1
        0.5     sell stop 1 stop-market 95 on-mark reduce
                  placed
        59.999  mark-bar 100 101 94 100
        59.999  bar 100 101 94.5 100 50
                  stop fires 1
                  stop trades 1 @ 95 as taker, fee 0.0475, realized -5
        60      open 100
        60.5    sell stop 1 stop-market 95 on-mark reduce
                  placed
        119.999 mark-bar 100 100 94 94
        119.999 bar 100 100 93 93 50
                  stop fires 1
                  stop trades 1 @ 93 as taker, fee 0.0465, realized -7
        ",
    );
}

/// A stop before the liquidation price saves the position, one beyond it does not: both on the way of the mark.
#[test]
fn stops_and_liquidation_come_in_the_order_of_the_way() {
    let poor = || SimConfig { cash: money("900"), maker_fee: rate("0"), ..config() };
    check(
        poor(),
        "
        0       mark 100
        0       open 100
        0.1     buy a 90 limit 100 gtx
                  placed
        59.999  mark-bar 100 100 100 100
        59.999  bar 100 100 99.9 100 1000
                  a trades 90 @ 100 as maker, fee 0
        60      sell stop 90 stop-market 95 on-mark reduce
                  placed
        60      open 100
        119.999 mark-bar 100 100 90 100
        119.999 bar 100 100 90 100 1000
                  stop fires 90
                  stop trades 90 @ 95 as taker, fee 4.275, realized -450
        ",
    );
    check(
        poor(),
        "
        0       mark 100
        0       open 100
        0.1     buy a 90 limit 100 gtx
                  placed
        59.999  mark-bar 100 100 100 100
        59.999  bar 100 100 99.9 100 1000
                  a trades 90 @ 100 as maker, fee 0
        60      sell stop 90 stop-market 90.5 on-mark reduce
                  placed
        60      open 100
        119.999 mark-bar 100 100 90 100
        119.999 bar 100 100 90 100 1000
                  liquidation @ 90.5: balance 45, maintenance 81.45
                  stop expires: Liquidation
                  autoclose-000000000001 trades 90 @ 90.5 in liquidation, fee 101.8125, realized -855
                  InsuranceClear 56.8125
        ",
    );
}

/// Section 5: 200 conditional orders over all symbols.
#[test]
fn only_so_many_conditional_orders_may_wait() {
    let mut table = String::from("0       trade 100 5\n0       B trade 100 5\n");
    for number in 0..200 {
        let symbol = if number % 2 == 0 { "" } else { "B " };
        table += &format!("1       {symbol}sell s{number} 0.1 stop-market 90\n          placed\n");
    }
    table += "2       sell one-too-many 0.1 stop-market 90\n          refused -4045\n";
    check(config(), &table);
}

/// The algo service knows an order after it has fired; the book knows only its child.
#[test]
fn a_fired_order_is_found_in_both_services() {
    check(
        config(),
        "
        0       trade 100 5
        1       sell a 1 stop 98 99
                  placed
        2       query a
                  not found
        2       query a algo
                  found open, filled 0
        3       trade 98 5
                  a fires 1
        4       query a
                  found open, filled 0
        4       query a algo
                  found open, filled 0
        5       cancel a algo
                  refused -2011
        6       cancel a
                  done
                  a is canceled
        7       query a
                  found over: canceled, filled 0
        7       query a algo
                  found over: canceled, filled 0
        8       sell b 1 stop-market 90
                  placed
        9       cancel b algo
                  done
                  b is canceled
        9       query b
                  not found
        9       query b algo
                  found over: canceled, filled 0
        ",
    );
}

/// A child joins the queue when it fires: orders that rest already come first.
#[test]
fn a_child_has_no_older_place_in_the_queue() {
    check(
        SimConfig { limit_fill: alphaengine_sim::LimitFill::Touch, ..config() },
        "
        0       trade 100 5
        1       buy child 1 stop 102 101
                  placed
        2       buy rests 1 limit 99
                  placed
        3       trade 102 5
                  child fires 1
        4       modify rests buy 1 101
                  done
                  rests is now 1 @ 101
        5       buy rests-too 1 limit 101
                  placed
        6       trade 101 2
                  child trades 1 @ 101 as maker, fee 0.0202
                  rests trades 1 @ 101 as maker, fee 0.0202
        ",
    );
}
