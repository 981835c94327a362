//! Reduce-only, close-position, one-way and hedge mode (`binance-usdm.md` sections 8.8 and 8.11).

mod support;

use support::config;
use support::scenario::check;

#[test]
fn a_reduce_only_order_needs_something_to_reduce() {
    check(
        config(),
        "
        0       book 99x5 100x5
        1       sell a 1 market reduce
                  refused -2022
        1       sell b 1 limit 101 reduce
                  refused -2022
        2       buy c 2 market
                  placed
                  c trades 2 @ 100 as taker, fee 0.1
        3       buy d 1 market reduce
                  refused -2022
        4       sell e 1 limit 101 reduce
                  placed
        ",
    );
}

/// In one-way mode it may be larger than the position: it is cut when it fills, and never flips.
#[test]
fn a_reduce_only_order_is_cut_to_the_position() {
    check(
        config(),
        "
        0       book 99x2 100x9
        1       buy a 3 market
                  placed
                  a trades 3 @ 100 as taker, fee 0.15
        2       sell b 5 market reduce
                  placed
                  b trades 2 @ 99 as taker, fee 0.099, realized -2
                  b trades 1 @ 99 as taker, fee 0.0495, realized -1
                  b expires: ReduceOnly
        3       buy c 3 market
                  placed
                  c trades 3 @ 100 as taker, fee 0.15
        4       sell d 5 limit 99 reduce
                  placed
                  d trades 2 @ 99 as taker, fee 0.099, realized -2
        # What the touch does not hold rests, and is cut in the end.
        5       book 99.1x9 100x9
                  d trades 1 @ 99 as maker, fee 0.0198, realized -1
                  d expires: ReduceOnly
        6       account
                  wallet 9993.4327
        ",
    );
}

/// Several of them may together be more than the position. The last ones find nothing left, and are told so.
#[test]
fn reduce_only_orders_end_with_their_position() {
    check(
        config(),
        "
        0       book 99x5 100x5
        1       buy a 3 market
                  placed
                  a trades 3 @ 100 as taker, fee 0.15
        2       sell b 2 limit 101 reduce
                  placed
        2       sell c 2 limit 102 reduce
                  placed
        2       sell d 2 limit 103 reduce
                  placed
        2       sell stop 3 stop-market 95 reduce
                  placed
        3       book 101.1x5 102x5
                  b trades 2 @ 101 as maker, fee 0.0404, realized 2
        4       book 102.1x5 103x5
                  c trades 1 @ 102 as maker, fee 0.0204, realized 2
                  c expires: ReduceOnly
                  d expires: ReduceOnly
        # The stop is not in the book: it is refused when it fires.
        5       book 94.9x5 95x5
                  stop is refused as it fires: -2022
        ",
    );
}

/// A market order that waits for its price is cut to what is there when it comes.
#[test]
fn a_reduce_only_order_that_waits_is_cut_when_it_fills() {
    check(
        config(),
        "
        0       trade 100 5
        1       buy a 2 market
                  placed
        2       trade 100 5
                  a trades 2 @ 100 as taker, fee 0.1
        3       sell b 2 market reduce
                  placed
        3       sell c 2 market reduce
                  placed
        4       trade 101 5
                  b trades 2 @ 101 as taker, fee 0.101, realized 2
                  c expires: ReduceOnly
        5       account
                  wallet 10001.799
        ",
    );
}

#[test]
fn close_position_has_rules_of_its_own() {
    check(
        config(),
        "
        0       trade 100 5
        1       sell a all market close
                  refused -4136
        1       sell b all limit 101 close
                  refused -4136
        1       sell c 1 stop-market 95 close
                  refused -4137
        1       sell d all stop-market 95 close reduce
                  refused -4138
        1       sell e all stop-market 95 close
                  placed
        1       sell f all stop-market 95
                  refused -4003
        1       sell g all trailing 0.01 close
                  refused -4136
        ",
    );
}

#[test]
fn in_hedge_mode_there_are_two_positions() {
    check(
        config(),
        "
        0       book 99x5 100x5
        1       hedge
                  done
        1       hedge
                  refused -4059
        2       buy a 1 market
                  refused -4061
        2       buy a 1 market long reduce
                  refused -4062
        3       buy a 3 market long
                  placed
                  a trades 3 @ 100 as taker, fee 0.15
        4       sell b 2 market short
                  placed
                  b trades 2 @ 99 as taker, fee 0.099
        5       account
                  wallet 9999.751, LONG 3 @ 100, SHORT -2 @ 99
        # A closing order may not be larger than its position.
        6       sell c 4 market long
                  refused -2022
        6       buy d 2.5 limit 98 short
                  refused -2022
        7       sell e 1 market long
                  placed
                  e trades 1 @ 99 as taker, fee 0.0495, realized -1
        8       buy f 2 market short
                  placed
                  f trades 2 @ 100 as taker, fee 0.1, realized -2
        9       buy g 1 market short
                  refused -2022
        10      account
                  wallet 9996.6015, LONG 2 @ 100
        11      sell h 2 limit 101 long
                  placed
        12      modify h sell 3 101
                  refused -2022
        13      sell i 2 market long
                  placed
                  i trades 2 @ 99 as taker, fee 0.099, realized -2
                  h expires: ReduceOnly
        14      account
                  wallet 9994.5025
        ",
    );
}

#[test]
fn close_position_in_hedge_mode_only_closes() {
    check(
        config(),
        "
        0       book 99x5 100x5
        1       hedge
                  done
        2       buy a 3 market long
                  placed
                  a trades 3 @ 100 as taker, fee 0.15
        2       sell b 2 market short
                  placed
                  b trades 2 @ 99 as taker, fee 0.099
        3       buy c all stop-market 105 close long
                  refused -4061
        3       sell d all stop-market 95 close short
                  refused -4061
        4       sell e all stop-market 95 close long
                  placed
        4       buy f all stop-market 105 close short
                  placed
        5       book 94x5 95x5
                  e fires 3
                  e trades 3 @ 94 as taker, fee 0.141, realized -18
        6       book 105x5 106x5
                  f fires 2
                  f trades 2 @ 106 as taker, fee 0.106, realized -14
        7       account
                  wallet 9967.504
        ",
    );
}

/// A closing stop in hedge mode that has become larger than its position is refused like any such order.
#[test]
fn a_closing_stop_in_hedge_mode_must_fit_when_it_fires() {
    check(
        config(),
        "
        0       book 99x5 100x5
        1       hedge
                  done
        2       buy a 3 market long
                  placed
                  a trades 3 @ 100 as taker, fee 0.15
        3       sell stop 3 stop-market 95 long
                  placed
        4       sell part 1 market long
                  placed
                  part trades 1 @ 99 as taker, fee 0.0495, realized -1
        5       book 94.9x5 95x5
                  stop is refused as it fires: -2022
        ",
    );
}

#[test]
fn modes_change_only_while_nothing_stands() {
    check(
        config(),
        "
        0       trade 100 5
        1       one-way
                  refused -4059
        1       cross
                  refused -4046
        1       buy a 1 limit 99
                  placed
        2       hedge
                  refused -4067
        2       isolated
                  refused -4047
        3       trade 98 5
                  a trades 1 @ 99 as maker, fee 0.0198
        4       hedge
                  refused -4068
        4       isolated
                  refused -4048
        5       sell b 1 market
                  placed
        6       trade 98 5
                  b trades 1 @ 98 as taker, fee 0.049, realized -1
        7       hedge
                  done
        7       isolated
                  done
        8       sell c 1 market
                  refused -4061
        9       sell c 1 market short
                  placed
        10      buy d 1 stop-market 110 long
                  placed
        11      one-way
                  refused -4067
        12      cancel d algo
                  done
                  d is canceled
        13      cross
                  refused -4047
        ",
    );
}

#[test]
fn an_order_may_turn_a_position_around() {
    check(
        config(),
        "
        0       book 99x9 100x9
        1       buy a 2 market
                  placed
                  a trades 2 @ 100 as taker, fee 0.1
        2       sell b 5 market
                  placed
                  b trades 5 @ 99 as taker, fee 0.2475, realized -2
        3       account
                  wallet 9997.6525, BOTH -3 @ 99
        ",
    );
}
