//! Margin, leverage and liquidation, against the worked examples of `binance-usdm.md` (sections 8.1 and 8.4 to 8.7).

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

mod support;

use alphaengine_core::instrument::{Catalog, Instruments};
use alphaengine_core::order::Side;
use alphaengine_core::units::{Money, Rounding};
use alphaengine_sim::margin::{Exposure, initial, liquidation_price, maintenance};
use alphaengine_sim::{MarketFill, SimConfig};
use support::scenario::{check, check_with};
use support::{config, money, price, qty, rate};

fn bitcoin() -> Instruments {
    Instruments::new(vec![Catalog::builtin().get(&"BTCUSDT".parse().unwrap()).unwrap().clone()]).unwrap()
}

/// Without fees, so that the wallet is a round number.
fn free() -> SimConfig {
    SimConfig { taker_fee: rate("0"), maker_fee: rate("0"), market_fill: MarketFill::LastPrice, ..config() }
}

/// Section 8.1, VIP 0: maker 0.0200 %, taker 0.0500 %; fee = price * qty * rate.
#[test]
fn fees_of_the_first_level() {
    let defaults = SimConfig::default();
    assert_eq!((defaults.maker_fee, defaults.taker_fee), (rate("0.0002"), rate("0.0005")));
    check(
        SimConfig { slippage: rate("0"), ..defaults },
        "
        0       book 123.4x9 123.5x9
        1       buy a 0.37 market
                  placed
                  a trades 0.37 @ 123.5 as taker, fee 0.0228475
        # 123.5 * 0.37 * 0.0005 = 0.0228475
        2       sell b 0.37 limit 123.5
                  placed
        3       book 123.6x9 123.7x9
                  b trades 0.37 @ 123.5 as maker, fee 0.009139
        # 123.5 * 0.37 * 0.0002 = 0.009139
        ",
    );
}

/// Section 8.4: entry = (q0 e0 + q1 p1) / (q0 + q1); a reduction realises (p - entry) * closed * sign and leaves the entry.
#[test]
fn entry_prices_and_realised_profit() {
    check(
        free(),
        "
        0       trade 100 5
        1       buy a 1 market
                  placed
                  a trades 1 @ 100 as taker, fee 0
        2       trade 106 5
        3       buy b 2 market
                  placed
                  b trades 2 @ 106 as taker, fee 0
        4       account
                  wallet 10000, BOTH 3 @ 104
        5       trade 110 5
        6       sell c 1 market
                  placed
                  c trades 1 @ 110 as taker, fee 0, realized 6
        7       account
                  wallet 10006, BOTH 2 @ 104
        8       sell d 3 market
                  placed
                  d trades 3 @ 110 as taker, fee 0, realized 12
        9       trade 105 5
        10      buy e 1 market
                  placed
                  e trades 1 @ 105 as taker, fee 0, realized 5
        11      account
                  wallet 10023
        ",
    );
}

/// Section 8.5, the bracket table of BTCUSDT: `cum_n = cum_{n-1} + floor_n * (mmr_n - mmr_{n-1})`.
#[test]
fn maintenance_amounts_follow_their_rule() {
    let instruments = bitcoin();
    let brackets = &instruments.get(support::A).brackets;
    let cums = ["0", "300", "1500", "12000", "132000", "482000", "2982000", "14482000", "26482000", "41482000"];
    for (bracket, cum) in brackets.iter().zip(cums.iter().copied().chain(["121482000", "421482000"])) {
        assert_eq!(bracket.cum, money(cum));
    }
    for pair in brackets.windows(2) {
        let step = pair[1].floor.times(pair[1].mmr.saturating_sub(pair[0].mmr), Rounding::HalfEven).unwrap();
        assert_eq!(pair[1].cum, pair[0].cum.checked_add(step).unwrap(), "from {}", pair[1].floor);
    }
}

/// Section 8.5: notional * mmr - cum, a cap being inclusive; initial margin is notional / leverage.
#[test]
fn margins_by_hand() {
    let instruments = bitcoin();
    let bitcoin = instruments.get(support::A);
    for (notional, expected) in [
        ("100000", "400"),           // * 0.40 %
        ("300000", "1200"),          // the cap of the first bracket
        ("800000", "3700"),          // * 0.50 % - 300
        ("1000000", "5000"),         // * 0.65 % - 1 500
        ("5000000", "38000"),        // * 1.00 % - 12 000
        ("50000000", "868000"),      // * 2.00 % - 132 000
        ("1800000000", "478518000"), // * 50 % - 421 482 000
        ("0", "0"),
    ] {
        assert_eq!(maintenance(bitcoin, money(notional)), money(expected), "of {notional}");
    }
    assert_eq!(initial(money("100000"), 20), money("5000"));
    assert_eq!(bitcoin.max_notional(150), money("300000"));
    assert_eq!(bitcoin.max_notional(20), money("100000000"));
    assert_eq!(bitcoin.max_notional(21), money("70000000"));
}

/// Section 8.6: "isolated long 1 BTC at 10 000, wallet 1 000, mmr 0.4 %, cum 0 -> 9036.14; short -> 10956.18".
#[test]
fn the_documented_liquidation_prices_liquidate() {
    check_with(
        free(),
        &bitcoin(),
        "
        0       isolated
                  done
        0       mark 10000
        0       trade 10000 5
        1       buy a 1 market
                  placed
                  a trades 1 @ 10000 as taker, fee 0
                  margin of BOTH is 1000
        2       liquidation-price
                  9036.14457831
        3       mark 9036.15
        4       mark 9036.14
                  liquidation @ 9036.14: balance 36.14, maintenance 36.14456
                  autoclose-000000000001 trades 1 @ 9036.14 in liquidation, fee 112.95175, realized -963.86
                  margin of BOTH is 0
                  InsuranceClear 76.81175
        5       account
                  wallet 9000
        ",
    );
    check_with(
        free(),
        &bitcoin(),
        "
        0       isolated
                  done
        0       mark 10000
        0       trade 10000 5
        1       sell a 1 market
                  placed
                  a trades 1 @ 10000 as taker, fee 0
                  margin of BOTH is 1000
        2       liquidation-price
                  10956.1752988
        3       mark 10956.17
        4       mark 10956.18
                  liquidation @ 10956.18: balance 43.82, maintenance 43.82472
                  autoclose-000000000001 trades 1 @ 10956.18 in liquidation, fee 136.95225, realized -956.18
                  margin of BOTH is 0
                  InsuranceClear 93.13225
        5       account
                  wallet 9000
        ",
    );
}

/// The same with cross margin, where the whole wallet stands behind the position.
#[test]
fn with_cross_margin_the_wallet_stands_behind_the_position() {
    check_with(
        SimConfig { cash: money("1000"), ..free() },
        &bitcoin(),
        "
        0       mark 10000
        0       trade 10000 5
        1       buy a 1 market
                  placed
                  a trades 1 @ 10000 as taker, fee 0
        2       liquidation-price
                  9036.14457831
        3       mark 9036.15
        4       mark 9036.14
                  liquidation @ 9036.14: balance 36.14, maintenance 36.14456
                  autoclose-000000000001 trades 1 @ 9036.14 in liquidation, fee 112.95175, realized -963.86
                  InsuranceClear 76.81175
        5       account
                  wallet 0
        ",
    );
}

/// Section 8.6 over the brackets: the price is searched in whose bracket the notional lies.
#[test]
fn a_liquidation_price_lies_in_its_bracket() {
    let instruments = support::contracts();
    let contract = instruments.get(support::A);
    let at = |side, size: &str, wallet: &str| {
        let exposure = Exposure { side, qty: qty(size), entry: price("100") };
        liquidation_price(contract, &exposure, money(wallet)).map(|price| price.to_string())
    };
    // (1 000 - 200 * 100) / (200 * 0.01 - 200) would be 95.96, a notional of 19 191 in the second bracket: with its numbers,
    // (1 000 + 150 - 20 000) / (200 * 0.025 - 200).
    assert_eq!(at(Side::Buy, "200", "1000").as_deref(), Some("96.66666667"));
    // (1 000 + 150 + 20 000) / (200 * 0.025 + 200)
    assert_eq!(at(Side::Sell, "200", "1000").as_deref(), Some("103.17073171"));
    // (1 000 - 9 900) / (99 * 0.01 - 99): a notional of 8 989.9 in the first bracket.
    assert_eq!(at(Side::Buy, "99", "1000").as_deref(), Some("90.8070605"));
    assert_eq!(at(Side::Buy, "99", "9900"), None);
}

/// Other cross positions count with their profit and their maintenance margin; isolated ones do not.
#[test]
fn cross_positions_carry_each_other() {
    check(
        SimConfig { cash: money("1000"), ..free() },
        "
        0       trade 100 5
        0       B trade 50 5
        1       buy a 50 market
                  placed
                  a trades 50 @ 100 as taker, fee 0
        2       B sell b 60 market
                  placed
                  B b trades 60 @ 50 as taker, fee 0
        # (1 000 - 30 - 5 000) / (50 * 0.01 - 50)
        3       liquidation-price
                  81.41414141
        4       B trade 45 5
        # (1 000 + 300 - 27 - 5 000) / (50 * 0.01 - 50)
        5       liquidation-price
                  75.29292929
        6       trade 75.3 5
        7       trade 75.2 5
                  liquidation @ 75.2: balance 60, maintenance 64.6
                  autoclose-000000000001 trades 50 @ 75.2 in liquidation, fee 47, realized -1240
                  B autoclose-000000000002 trades 60 @ 45 in liquidation, fee 33.75, realized 300
                  InsuranceClear 20.75
        8       account
                  wallet 0
        ",
    );
}

/// Section 8.7: cancel all orders, close at the mark, charge the fee; what is missing is the insurance fund's.
#[test]
fn a_cross_liquidation_takes_everything() {
    check(
        SimConfig { cash: money("1000"), ..free() },
        "
        0       mark 100
        0       trade 100 5
        0       B trade 50 5
        1       buy a 90 market
                  placed
                  a trades 90 @ 100 as taker, fee 0
        2       buy rest 1 limit 80
                  placed
        2       B buy other 1 limit 45
                  placed
        2       sell stop 1 stop-market 80 reduce
                  placed
        3       mark 89.8
        4       mark 89.7
                  liquidation @ 89.7: balance 73, maintenance 80.73
                  rest expires: Liquidation
                  stop expires: Liquidation
                  B other expires: Liquidation
                  autoclose-000000000001 trades 90 @ 89.7 in liquidation, fee 100.9125, realized -927
                  InsuranceClear 27.9125
        5       account
                  wallet 0
        ",
    );
}

/// "Margin balance <= maintenance margin": 595 - 100 * 5 and 100 * 95 * 0.01 are both 95.
#[test]
fn a_balance_that_only_equals_the_maintenance_is_too_small() {
    check(
        SimConfig { cash: money("595"), leverage: 50, ..free() },
        "
        0       trade 100 5
        1       buy a 100 market
                  placed
                  a trades 100 @ 100 as taker, fee 0
        2       trade 95.1 5
        3       trade 95 5
                  liquidation @ 95: balance 95, maintenance 95
                  autoclose-000000000001 trades 100 @ 95 in liquidation, fee 118.75, realized -500
                  InsuranceClear 23.75
        ",
    );
}

/// A mark that jumps over a stop and the liquidation price alike: the stop comes too late.
#[test]
fn a_jump_liquidates_before_it_fires() {
    check(
        SimConfig { cash: money("1000"), ..free() },
        "
        0       mark 100
        0       trade 100 5
        1       buy a 90 market
                  placed
                  a trades 90 @ 100 as taker, fee 0
        2       sell stop 90 stop-market 95 reduce on-mark
                  placed
        2       sell last 90 stop-market 95 reduce
                  placed
        3       mark 85
                  liquidation @ 85: balance -350, maintenance 76.5
                  stop expires: Liquidation
                  last expires: Liquidation
                  autoclose-000000000001 trades 90 @ 85 in liquidation, fee 95.625, realized -1350
                  InsuranceClear 445.625
        ",
    );
    check(
        SimConfig { cash: money("1000"), ..free() },
        "
        0       trade 100 5
        1       buy a 90 market
                  placed
                  a trades 90 @ 100 as taker, fee 0
        2       sell stop 90 stop-market 95 reduce
                  placed
        3       trade 85 5
                  liquidation @ 85: balance -350, maintenance 76.5
                  stop expires: Liquidation
                  autoclose-000000000001 trades 90 @ 85 in liquidation, fee 95.625, realized -1350
                  InsuranceClear 445.625
        ",
    );
}

/// A bar of the mark waits for the bar of the last price beside it. Where trades drive the fills there is none to wait for.
#[test]
fn a_mark_bar_beside_trades_acts_at_once() {
    check(
        SimConfig { cash: money("1000"), ..free() },
        "
        0       mark 100
        0       trade 100 5
        1       buy a 90 market
                  placed
                  a trades 90 @ 100 as taker, fee 0
        59.999  mark-bar 100 100 85 100
                  liquidation @ 85: balance -350, maintenance 76.5
                  autoclose-000000000001 trades 90 @ 85 in liquidation, fee 95.625, realized -1350
                  InsuranceClear 445.625
        ",
    );
}

/// An isolated position loses its margin and no more; what the others have stays.
#[test]
fn an_isolated_liquidation_leaves_the_rest_alone() {
    check(
        free(),
        "
        0       isolated
                  done
        0       mark 100
        0       trade 100 5
        0       B trade 50 5
        1       buy a 50 market
                  placed
                  a trades 50 @ 100 as taker, fee 0
                  margin of BOTH is 500
        2       B buy b 10 market
                  placed
                  B b trades 10 @ 50 as taker, fee 0
        2       B sell other 1 limit 55
                  placed
        3       sell rest 1 limit 104
                  placed
        4       mark 90.91
        5       mark 90.8
                  liquidation @ 90.8: balance 40, maintenance 45.4
                  rest expires: Liquidation
                  autoclose-000000000001 trades 50 @ 90.8 in liquidation, fee 56.75, realized -460
                  margin of BOTH is 0
                  InsuranceClear 16.75
        6       account
                  wallet 9500, B BOTH 10 @ 50, open orders 1
        ",
    );
}

/// Orders that would open something in an isolated symbol live on the cross wallet and go with it. What protects an isolated
/// position stays with the position.
#[test]
fn a_cross_liquidation_leaves_isolated_positions_their_protection() {
    check(
        SimConfig { cash: money("1000"), ..free() },
        "
        0       trade 100 5
        0       B isolated
                  done
        0       B trade 100 5
        1       B buy b 10 market
                  placed
                  B b trades 10 @ 100 as taker, fee 0
                  B margin of BOTH is 100
        1       B sell stop 10 stop-market 90 reduce
                  placed
        1       B sell profit 10 limit 120 reduce
                  placed
        1       B buy more 1 limit 95
                  placed
        2       buy a 80 market
                  placed
                  a trades 80 @ 100 as taker, fee 0
        3       trade 89.6 5
                  liquidation @ 89.6: balance 68, maintenance 71.68
                  B more expires: Liquidation
                  autoclose-000000000001 trades 80 @ 89.6 in liquidation, fee 89.6, realized -832
                  InsuranceClear 21.6
        4       account
                  wallet 0, B BOTH 10 @ 100 margin 100, open orders 2
        5       B trade 90 5
                  B liquidation @ 90: balance 0, maintenance 9
                  B stop expires: Liquidation
                  B profit expires: Liquidation
                  B autoclose-000000000002 trades 10 @ 90 in liquidation, fee 11.25, realized -100
                  B margin of BOTH is 0
                  InsuranceClear 11.25
        ",
    );
}

/// What is closed gives its share of the margin back; a flip sets the margin of the new position aside.
#[test]
fn isolated_margin_follows_the_position() {
    check(
        free(),
        "
        0       isolated
                  done
        0       book 100x500 100x500
        1       buy a 30 market
                  placed
                  a trades 30 @ 100 as taker, fee 0
                  margin of BOTH is 300
        2       buy b 10 market
                  placed
                  b trades 10 @ 100 as taker, fee 0
                  margin of BOTH is 400
        3       sell c 10 market
                  placed
                  c trades 10 @ 100 as taker, fee 0
                  margin of BOTH is 300
        4       sell d 50 market
                  placed
                  d trades 50 @ 100 as taker, fee 0
                  margin of BOTH is 200
        5       account
                  wallet 9800, BOTH -20 @ 100 margin 200
        6       buy e 20 market
                  placed
                  e trades 20 @ 100 as taker, fee 0
                  margin of BOTH is 0
        7       account
                  wallet 10000
        ",
    );
}

/// Margin that is set aside for an isolated position is missing behind the cross positions: they are looked at at once.
#[test]
fn setting_margin_aside_may_end_a_cross_position() {
    check(
        SimConfig { cash: money("1000"), ..free() },
        "
        0       trade 100 5
        0       B isolated
                  done
        0       B trade 100 5
        1       buy a 60 market
                  placed
                  a trades 60 @ 100 as taker, fee 0
        2       B buy b 39 market
                  placed
                  B b trades 39 @ 100 as taker, fee 0
                  B margin of BOTH is 390
        3       account
                  wallet 610, BOTH 60 @ 100, B BOTH 39 @ 100 margin 390
        # 610 - 60 * 9.3 = 52 is less than 60 * 90.7 * 0.01 = 54.42; with the 390 it would not be.
        4       trade 90.8 5
        5       trade 90.7 5
                  liquidation @ 90.7: balance 52, maintenance 54.42
                  autoclose-000000000001 trades 60 @ 90.7 in liquidation, fee 68.025, realized -558
                  InsuranceClear 16.025
        ",
    );
    check(
        SimConfig { cash: money("1000"), market_fill: MarketFill::NextPrice, ..free() },
        "
        0       book 100x500 100x500
        0       B isolated
                  done
        0       B trade 100 5
        1       buy a 60 market
                  placed
                  a trades 60 @ 100 as taker, fee 0
        2       B buy b 39 market
                  placed
        3       book 92x500 92x500
        # It fills at a worse price than it was reserved for.
        4       B trade 130 5
                  B b trades 39 @ 130 as taker, fee 0
                  B margin of BOTH is 507
                  liquidation @ 92: balance 13, maintenance 55.2
                  autoclose-000000000001 trades 60 @ 92 in liquidation, fee 69, realized -480
                  InsuranceClear 56
        5       account
                  wallet 0, B BOTH 39 @ 130 margin 507
        ",
    );
}

/// Section 8.5: "price * qty / leverage + open loss".
#[test]
fn an_order_costs_its_margin_and_its_open_loss() {
    check(
        SimConfig { cash: money("1000"), ..free() },
        "
        0       book 99x500 100x500
        0       mark 98
        # 100 * 83.3 / 10 = 833, and (100 - 98) * 83.3 = 166.6 are 999.6.
        1       buy a 83.4 limit 100
                  refused -2019
        2       buy b 83.3 limit 100
                  placed
                  b trades 83.3 @ 100 as taker, fee 0
        ",
    );
}

/// Who sells below the mark has sold at the mark, as far as margin goes.
#[test]
fn a_cheap_sale_is_margined_at_the_mark() {
    check(
        SimConfig { cash: money("1000"), market_fill: MarketFill::NextPrice, ..free() },
        "
        0       trade 100 5
        1       sell a 60 limit 99
                  placed
        # 600 are reserved for it, not 594.
        2       sell b 40 limit 100.1
                  refused -2019
        2       sell b 39.9 limit 100.1
                  placed
        ",
    );
}

/// Per symbol, the larger of what buying everything and selling everything would lead to.
#[test]
fn orders_on_both_sides_need_the_margin_of_one() {
    check(
        SimConfig { cash: money("1000"), ..free() },
        "
        0       trade 100 5
        1       buy a 90 limit 100
                  placed
        2       sell b 90 limit 100.5
                  placed
        3       sell c 11 limit 100.5
                  refused -2019
        # The other symbol has a margin of its own.
        4       B trade 100 5
        4       B buy d 11 limit 100
                  refused -2019
        4       B buy e 9 limit 100
                  placed
        ",
    );
}

/// An order against the position needs nothing until it would turn it around, however far away its price is.
#[test]
fn an_order_against_the_position_needs_no_margin() {
    check(
        SimConfig { cash: money("1000"), ..free() },
        "
        0       trade 100 5
        1       buy a 95 market
                  placed
                  a trades 95 @ 100 as taker, fee 0
        2       sell b 95 limit 190
                  placed
        3       sell c 5 limit 190
                  placed
        4       sell d 90 limit 190
                  refused -2019
        ",
    );
}

#[test]
fn too_little_margin_is_refused() {
    check(
        SimConfig { cash: money("1000"), ..free() },
        "
        0       trade 100 5
        1       buy a 100.01 market
                  refused -2019
        2       buy a 100 market
                  placed
                  a trades 100 @ 100 as taker, fee 0
        3       buy b 0.1 market
                  refused -2019
        4       sell c 50 market
                  placed
                  c trades 50 @ 100 as taker, fee 0
        5       buy b 1 market
                  placed
                  b trades 1 @ 100 as taker, fee 0
        # Profit may be used, and is gone with the price.
        6       trade 110 5
        7       buy d 40 market
                  placed
                  d trades 40 @ 110 as taker, fee 0
        8       trade 101 5
        9       buy e 0.1 market
                  refused -2019
        ",
    );
}

/// -2027: the position, with everything that stands on its side, must fit the bracket of the leverage.
#[test]
fn a_position_must_fit_its_leverage() {
    check(
        SimConfig { cash: money("1000000"), ..free() },
        "
        0       trade 100 5
        1       leverage 50
                  done
        2       buy a 100.01 market
                  refused -2027
        3       buy a 60 market
                  placed
                  a trades 60 @ 100 as taker, fee 0
        4       buy b 40 limit 99
                  placed
        5       buy c 2 limit 99
                  refused -2027
        # What reduces is measured by where it leads.
        6       sell d 160 limit 101
                  refused -2027
        7       modify b buy 42 99
                  refused -2027
        8       leverage 20
                  done
        9       buy c 2 limit 99
                  placed
        10      leverage 21
                  done
        11      trade 200 5
        12      leverage 50
                  refused -2027
        ",
    );
}

#[test]
fn a_refused_leverage_changes_nothing() {
    check(
        SimConfig { cash: money("1000"), ..free() },
        "
        0       trade 100 5
        1       leverage 0
                  refused -4028
        1       leverage 51
                  refused -4028
        2       buy a 90 market
                  placed
                  a trades 90 @ 100 as taker, fee 0
        # At 5 the position alone would need 1 800.
        3       leverage 5
                  refused -2028
        # It is still 10: 95 are paid for with 950.
        4       buy b 5 market
                  placed
                  b trades 5 @ 100 as taker, fee 0
        5       leverage 20
                  done
        6       buy c 40 market
                  placed
                  c trades 40 @ 100 as taker, fee 0
        ",
    );
}

/// -4161, and a higher leverage is no reason to refuse although money is short.
#[test]
fn leverage_of_an_isolated_position_only_rises() {
    check(
        free(),
        "
        0       isolated
                  done
        0       trade 100 5
        1       buy a 10 market
                  placed
                  a trades 10 @ 100 as taker, fee 0
                  margin of BOTH is 100
        2       leverage 5
                  refused -4161
        3       leverage 20
                  done
        4       buy b 10 market
                  placed
                  b trades 10 @ 100 as taker, fee 0
                  margin of BOTH is 150
        5       account
                  wallet 9850, BOTH 20 @ 100 margin 150
        ",
    );
    check(
        SimConfig { cash: money("1000"), ..free() },
        "
        0       trade 100 5
        1       buy a 99 market
                  placed
                  a trades 99 @ 100 as taker, fee 0
        2       trade 95 5
        3       leverage 12
                  done
        ",
    );
}

#[test]
fn rounding_is_against_the_account() {
    assert_eq!(initial(money("0.00000001"), 3), Money::STEP);
    let instruments = support::contracts();
    let contract = instruments.get(support::A);
    assert_eq!(maintenance(contract, money("0.00000001")), Money::STEP);
}
