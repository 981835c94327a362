//! Regular orders: what each type and time in force does, who gives way to whom, and what a change or a cancel does
//! (`binance-usdm.md` sections 3.3, 8.8 and 8.10).

mod support;

use alphaengine_sim::{LimitFill, SimConfig};
use support::config;
use support::scenario::check;

fn touching() -> SimConfig {
    SimConfig { limit_fill: LimitFill::Touch, ..config() }
}

#[test]
fn a_market_order_waits_for_the_next_trade() {
    check(
        config(),
        "
        0       buy early 1 market
                  refused -1112
        0       trade 100 5
        1       buy a 1 market
                  placed
        2       trade 101 5
                  a trades 1 @ 101 as taker, fee 0.0505
        3       sell b 1 market
                  placed
        4       trade 102 5
                  b trades 1 @ 102 as taker, fee 0.051, realized 1
        4       account
                  wallet 10000.8985
        ",
    );
}

#[test]
fn a_limit_order_rests_until_the_market_goes_through_it() {
    check(
        config(),
        "
        0       trade 100 5
        1       buy a 2 limit 99
                  placed
        1       sell b 2 limit 101
                  placed
        2       trade 99 5
        3       trade 101 5
        4       trade 98.9 0.01
                  a trades 2 @ 99 as maker, fee 0.0396
        5       trade 101.1 0.01
                  b trades 2 @ 101 as maker, fee 0.0404, realized 4
        5       account
                  wallet 10003.92
        ",
    );
}

#[test]
fn a_limit_order_that_crosses_takes_and_pays_at_most_its_limit() {
    check(
        SimConfig { slippage: support::rate("0.01"), ..config() },
        "
        0       trade 100 5
        1       buy a 1 limit 100.5
                  placed
        2       trade 100 5
                  a trades 1 @ 100.5 as taker, fee 0.05025
        3       buy b 1 limit 103
                  placed
        4       trade 100 5
                  b trades 1 @ 101 as taker, fee 0.0505
        5       buy c 1 limit 101
                  placed
        6       trade 101.1 5
        7       account
                  wallet 9999.89925, BOTH 2 @ 100.75, open orders 1
        ",
    );
}

#[test]
fn immediate_or_cancel_rests_never() {
    check(
        config(),
        "
        0       book 99x5 101x3
        1       buy a 2 limit 100 ioc
                  placed
                  a expires: IocRemainder
        2       buy b 2 limit 101 ioc
                  placed
                  b trades 2 @ 101 as taker, fee 0.101
        3       buy c 5 limit 101 ioc
                  placed
                  c trades 3 @ 101 as taker, fee 0.1515
                  c expires: IocRemainder
        4       account
                  wallet 9999.7475, BOTH 5 @ 101
        ",
    );
}

/// Section 3.3: refused synchronously, without a record.
#[test]
fn fill_or_kill_is_all_or_a_refusal() {
    check(
        config(),
        "
        0       book 99x5 101x3
        1       buy a 2 limit 100 fok
                  refused -5021
        2       buy b 5 limit 101 fok
                  refused -5021
        3       query b
                  not found
        4       buy c 3 limit 101 fok
                  placed
                  c trades 3 @ 101 as taker, fee 0.1515
        5       sell d 5 limit 99 fok
                  placed
                  d trades 5 @ 99 as taker, fee 0.2475, realized -6
        ",
    );
}

#[test]
fn post_only_never_takes() {
    check(
        config(),
        "
        0       book 99x5 101x3
        1       buy a 1 limit 101 gtx
                  refused -5022
        2       buy b 1 limit 100.9 gtx
                  placed
        # The order of our own that rests at 100.9 is a part of the book.
        3       sell c 1 limit 100.9 gtx
                  refused -5022
        4       sell d 1 limit 99 gtx
                  refused -5022
        5       book 98x5 100x3
                  b trades 1 @ 100.9 as maker, fee 0.02018
        ",
    );
}

#[test]
fn good_till_date_ends_at_its_date() {
    check(
        config(),
        "
        0       trade 100 5
        1       buy soon 1 limit 99 gtd:601
                  refused -5040
        1       buy crooked 1 limit 99 gtd:700.5
                  refused -5040
        1       buy a 1 limit 99 gtd:602
                  placed
        1       buy b 1 limit 98 gtd:900
                  placed
        601     trade 98.9 5
                  a trades 1 @ 99 as maker, fee 0.0198
        602     buy c 1 limit 97 gtd:1300
                  placed
        900     trade 97.9 5
                  b expires: GoodTillDate
        # Whoever speaks after its date finds it gone, though the market has not moved since.
        1300    cancel c
                  c expires: GoodTillDate
                  refused -2011
        1301    query c
                  found over: expired, filled 0
        ",
    );
}

#[test]
fn modifying_changes_price_and_quantity_and_loses_the_place_in_the_queue() {
    check(
        touching(),
        "
        0       trade 100 5
        1       buy a 2 limit 99
                  placed
        1       buy b 2 limit 99
                  placed
        # Both are asked for, and two are there: the older one is served.
        2       trade 99 2
                  a trades 2 @ 99 as maker, fee 0.0396
        3       buy c 2 limit 99
                  placed
        4       modify b buy 1.5 99
                  done
                  b is now 1.5 @ 99
        5       trade 99 2
                  c trades 2 @ 99 as maker, fee 0.0396
        6       modify b buy 3 98
                  done
                  b is now 3 @ 98
        7       trade 98.9 5
        8       modify b buy 3 100
                  done
                  b is now 3 @ 100
        9       trade 100 5
                  b trades 3 @ 100 as maker, fee 0.06
        ",
    );
}

/// A market that goes through several orders fills them all, whatever order they stand in after a modification.
#[test]
fn a_modified_order_is_not_passed_over() {
    check(
        config(),
        "
        0       trade 100 5
        1       buy a 1 limit 99
                  placed
        1       buy b 1 limit 99
                  placed
        2       modify a buy 2 99
                  done
                  a is now 2 @ 99
        3       trade 98 5
                  b trades 1 @ 99 as maker, fee 0.0198
                  a trades 2 @ 99 as maker, fee 0.0396
        ",
    );
}

#[test]
fn a_modification_that_cannot_be_leaves_the_order_as_it_was() {
    check(
        touching(),
        "
        0       trade 100 5
        1       buy a 2 limit 99
                  placed
        2       modify a buy 2 99
                  refused -5027
        2       modify a buy 2 99.05
                  refused -4014
        2       modify a buy 0.005 99
                  refused -4004
        2       modify a buy 0.02 99
                  refused -5029
        2       modify a buy 2 106
                  refused -4016
        2       modify a buy 1200 99
                  refused -2019
        2       modify nobody buy 2 99
                  refused -2013
        3       sell s 1 stop-market 90
                  placed
        3       modify s sell 1 91
                  refused -2013
        4       trade 99 1
                  a trades 1 @ 99 as maker, fee 0.0198
        # Its quantity is the total: one is filled, so one ends it.
        5       modify a buy 1 99
                  done
                  a is canceled
        6       buy g 1 limit 98 gtx
                  placed
        7       modify g buy 1 99.1
                  done
                  g expires: IocRemainder
        ",
    );
}

/// The margin for a dearer order is looked at even when its quantity stays.
#[test]
fn a_dearer_order_needs_more_margin() {
    check(
        SimConfig { leverage: 1, cash: support::money("1000"), ..config() },
        "
        0       trade 100 5
        1       buy a 10 limit 96
                  placed
        2       modify a buy 10 100
                  done
                  a is now 10 @ 100
        3       modify a buy 10.5 96
                  refused -2019
        4       modify a buy 10 101
                  refused -2019
        ",
    );
}

#[test]
fn a_cancel_that_comes_too_late_is_refused() {
    check(
        config(),
        "
        0       trade 100 5
        1       buy a 1 limit 99
                  placed
        2       cancel a
                  done
                  a is canceled
        3       cancel a
                  refused -2011
        4       buy b 1 limit 99
                  placed
        5       trade 98 5
                  b trades 1 @ 99 as maker, fee 0.0198
        6       cancel b
                  refused -2011
        7       query b
                  found over: filled, filled 1
        8       query nobody
                  not found
        8       B query b
                  not found
        9       sell s 1 stop-market 90
                  placed
        # The two services do not see each other's orders.
        9       cancel s
                  refused -2011
        9       cancel s algo
                  done
                  s is canceled
        ",
    );
}

#[test]
fn a_name_is_free_again_when_its_order_is_over() {
    check(
        config(),
        "
        0       trade 100 5
        1       buy a 1 limit 99
                  placed
        2       buy a 1 limit 98
                  refused -4116
        3       cancel a
                  done
                  a is canceled
        4       buy a 1 limit 98
                  placed
        5       buy not/a:bad.name_- 1 limit 98
                  placed
        6       buy b@d 1 limit 98
                  refused -4015
        ",
    );
}

/// Section 8.10: the taker's mode decides.
#[test]
fn the_taker_says_which_of_two_own_orders_gives_way() {
    check(
        config(),
        "
        0       book 99x5 101x5
        1       sell m 1 limit 101
                  placed
        2       buy maker 1 limit 101 stp-maker
                  placed
                  m expires: SelfTradePrevention
                  maker trades 1 @ 101 as taker, fee 0.0505
        3       sell m 1 limit 101
                  placed
        4       buy taker 1 limit 101 stp-taker
                  placed
                  taker expires: SelfTradePrevention
        5       buy both 1 limit 101 stp-both
                  placed
                  m expires: SelfTradePrevention
                  both expires: SelfTradePrevention
        6       sell m 1 limit 101
                  placed
        7       buy none 1 limit 101 stp-none
                  placed
                  none trades 1 @ 101 as taker, fee 0.0505
        # Not effective for FOK.
        8       buy fok 1 limit 101 stp-both fok
                  placed
                  fok trades 1 @ 101 as taker, fee 0.0505
        9       account
                  wallet 9999.8485, BOTH 3 @ 101, open orders 1
        ",
    );
}

#[test]
fn an_order_that_would_rest_beyond_an_own_one_meets_it() {
    check(
        config(),
        "
        0       book 99x5 101x5
        1       sell m 1 limit 100
                  placed
        2       buy t 1 limit 100.5
                  placed
                  m expires: SelfTradePrevention
        3       sell u 1 limit 100.5 stp-taker
                  placed
                  u expires: SelfTradePrevention
        4       sell v 1 limit 100.6 stp-taker
                  placed
        ",
    );
}

/// The part that the touch holds trades; only the rest goes as far as the own order.
#[test]
fn the_rest_of_a_taker_may_meet_an_own_order() {
    check(
        SimConfig { slippage: support::rate("0.01"), ..config() },
        "
        0       book 99x5 101x3
        1       sell m 1 limit 101.5
                  placed
        2       buy t 5 market
                  placed
                  t trades 3 @ 101 as taker, fee 0.1515
                  m expires: SelfTradePrevention
                  t trades 2 @ 102.1 as taker, fee 0.1021
        3       sell m 1 limit 101.5
                  placed
        4       buy t 5 market stp-taker
                  placed
                  t trades 3 @ 101 as taker, fee 0.1515
                  t expires: SelfTradePrevention
        5       buy t 3 market stp-taker
                  placed
                  t trades 3 @ 101 as taker, fee 0.1515
        6       buy t 5 limit 101.6 stp-both
                  placed
                  t trades 3 @ 101 as taker, fee 0.1515
                  m expires: SelfTradePrevention
                  t expires: SelfTradePrevention
        7       account
                  wallet 9999.2919, BOTH 14 @ 101.15714286
        ",
    );
}

/// MAX_NUM_ORDERS counts what is in the book; conditional orders are not.
#[test]
fn only_so_many_orders_may_be_open() {
    let mut table = String::from("0       trade 100 5\n");
    for number in 0..20 {
        table += &format!("1       buy o{number} 0.1 limit 99\n          placed\n");
    }
    table += "2       buy s 0.1 stop-market 110\n          placed\n";
    table += "3       buy one-too-many 0.1 limit 99\n          refused -2025\n";
    table += "4       trade 110 5\n          s is refused as it fires: -2025\n";
    check(config(), &table);
}
