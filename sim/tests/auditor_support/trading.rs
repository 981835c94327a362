//! The laws of trading: limits, freshness, clocks and storage (I17 to I24, I26).

use alphaengine_core::event::{LinkChanged, OrderOutcomeUnknown};
use alphaengine_core::link::{LinkUpdate, Route};
use alphaengine_core::mode::EngineMode;
use alphaengine_core::order::{OrderSpec, OrderType, Side};
use alphaengine_core::risk::Limits;
use alphaengine_core::units::NANOS_PER_SECOND;
use alphaengine_sim::auditor::{Invariant, Seen};

use super::{Stage, Way, buy, name, order_params, sell};
use crate::gateway_support::{BTC, minute_bar, money, price, qty};

fn limit(size: &str, at: &str) -> OrderSpec {
    OrderSpec::limit(BTC, Side::Buy, qty(size), price(at))
}

fn limited(limits: Limits) -> Stage {
    let mut stage = Stage::with(|rules| rules.limits = limits);
    let (at, update) = (stage.at(), minute_bar(stage.exchange.now, BTC, "100000"));
    stage.auditor.see(at, 0, Seen::Market(&update));
    stage
}

#[test]
fn i17_position_open_and_unknown_orders_count_together() {
    let limits = Limits { max_position: Some(money("100000")), ..Limits::default() };
    let run = |last: &str| {
        let mut stage = limited(limits);
        stage.trades("ae-1", buy("0.4"));
        stage.wants("ae-2", limit("0.3", "100000"));
        stage.sends("ae-2", &limit("0.3", "100000"), Way::Lost);
        let unknown = OrderOutcomeUnknown { client_order_id: name("ae-2"), reason: "lost".into() };
        stage.logs(Some(2), Some(BTC), unknown);
        stage.wants("ae-3", limit(last, "100000"));
        stage
    };
    run("0.3").is_clean(Invariant::I17);
    run("0.301").breaks("I17");
}

#[test]
fn i17_an_order_without_a_price_is_valued_at_the_market() {
    let limits = Limits { max_order: Some(money("50000")), ..Limits::default() };
    let mut stage = limited(limits);
    stage.wants("ae-1", buy("0.5"));
    stage.wants("ae-2", sell("0.9").reduce_only());
    stage.is_clean(Invariant::I17);
    stage.wants("ae-3", buy("0.501"));
    stage.breaks("I17");
}

#[test]
fn i17_open_orders_are_counted() {
    let mut stage = limited(Limits { max_open_orders: Some(2), ..Limits::default() });
    stage.wants("ae-1", limit("0.1", "90000"));
    stage.wants("ae-2", limit("0.1", "90000"));
    stage.wants("ae-3", sell("0.1").reduce_only());
    stage.is_clean(Invariant::I17);
    stage.wants("ae-4", limit("0.1", "90000"));
    stage.breaks("I17");
}

#[test]
fn i18_what_may_only_reduce_says_so_to_the_exchange() {
    let run = |sent: OrderSpec| {
        let mut stage = Stage::new();
        stage.exchange.listen_to_user();
        stage.trades("ae-1", buy("0.5"));
        stage.wants("ae-2", sell("0.5").reduce_only());
        stage.sends("ae-2", &sent, Way::Clear);
        stage
    };
    run(sell("0.5").reduce_only()).is_clean(Invariant::I18);
    run(sell("0.5")).breaks("I18");
}

#[test]
fn i18_a_close_that_turns_the_position_is_caught_in_the_end() {
    let mut stage = Stage::new();
    stage.trades("ae-1", buy("0.3"));
    stage.wants("ae-2", sell("0.5").reduce_only());
    stage.sends("ae-2", &sell("0.5"), Way::Clear);
    stage.books();
    stage.steps();
    let seen = stage.auditor.violations().len();
    stage.quiet();
    let found = stage.auditor.violations()[seen..].iter().any(|violation| violation.invariant == Invariant::I18);
    assert!(found, "{:#?}", stage.auditor.violations());
}

#[test]
fn i19_weight_is_counted_in_minutes() {
    let mut stage = Stage::with(|rules| rules.weight_per_minute = 100);
    // The stage begins with a minute; an income question weighs 30.
    for _ in 0..2 {
        for _ in 0..3 {
            stage.asks("GET", "/fapi/v1/income", "", None, Way::Clear);
        }
        stage.is_clean(Invariant::I19);
        stage.wait_ms(60_000);
    }
    for _ in 0..4 {
        stage.asks("GET", "/fapi/v1/income", "", None, Way::Clear);
    }
    stage.breaks("I19");
}

#[test]
fn i19_orders_are_counted_in_tens_of_seconds() {
    let mut stage = Stage::with(|rules| rules.orders_per_10s = 2);
    stage.trades("ae-1", buy("0.1"));
    stage.trades("ae-2", buy("0.1"));
    stage.wait_ms(10_000);
    stage.trades("ae-3", buy("0.1"));
    stage.trades("ae-4", buy("0.1"));
    stage.is_clean(Invariant::I19);
    stage.trades("ae-5", buy("0.1"));
    stage.breaks("I19");
}

#[test]
fn i19_nothing_leaves_before_the_stated_time() {
    for ban in [false, true] {
        let run = |waits_ms: i64| {
            let mut stage = Stage::new();
            let until = stage.at().plus(20 * NANOS_PER_SECOND);
            if ban {
                stage.exchange.gateway.ban(until);
            } else {
                stage.exchange.gateway.throttle(until);
            }
            let response = stage.asks("GET", "/fapi/v1/time", "", None, Way::Clear).unwrap();
            assert_eq!(response.status, if ban { 418 } else { 429 });
            stage.wait_ms(waits_ms);
            stage.asks("GET", "/fapi/v1/time", "", None, Way::Clear);
            stage
        };
        run(20_000).is_clean(Invariant::I19);
        run(10_000).breaks("I19");
    }
}

#[test]
fn i19_what_left_before_the_answer_came_is_no_breach() {
    let mut stage = Stage::new();
    stage.exchange.gateway.throttle(stage.at().plus(20 * NANOS_PER_SECOND));
    let (first, query) = stage.hands_over("GET", "/fapi/v1/time", "", None);
    let response = stage.arrives(first, "GET", "/fapi/v1/time", &query);
    stage.asks("GET", "/fapi/v1/time", "", None, Way::Lost);
    stage.gets(first, Some(&response));
    stage.see(Seen::ProcessEnded);
    // A new process was told nothing, and asks for the rules before it begins to trade.
    stage.wait_ms(100);
    stage.asks("GET", "/fapi/v1/time", "", None, Way::Lost);
    stage.began();
    stage.asks("GET", "/fapi/v1/time", "", None, Way::Lost);
    stage.is_clean(Invariant::I19);
}

/// A resting order whose cancel is wanted.
fn cancel_is_wanted() -> Stage {
    let mut stage = Stage::new();
    let command = stage.wants("ae-1", limit("0.1", "90000"));
    let response = stage.sends("ae-1", &limit("0.1", "90000"), Way::Clear).unwrap();
    stage.placed(command, "ae-1", &response);
    stage.steps();
    stage.wants_cancel("ae-1");
    stage
}

#[test]
fn i20_a_cancel_leaves_in_time() {
    let mut stage = cancel_is_wanted();
    stage.wait_ms(9_000);
    stage.steps();
    stage.is_clean(Invariant::I20);
    stage.wait_ms(2_000);
    stage.steps();
    stage.breaks("I20");
    let mut sent = cancel_is_wanted();
    sent.steps();
    sent.asks("DELETE", "/fapi/v1/order", "symbol=BTCUSDT&origClientOrderId=ae-1", Some(true), Way::Lost);
    sent.wait_ms(20_000);
    sent.steps();
    sent.is_clean(Invariant::I20);
}

#[test]
fn i20_a_cancel_waits_for_the_end_of_a_ban() {
    let mut stage = cancel_is_wanted();
    stage.exchange.gateway.ban(stage.at().plus(60 * NANOS_PER_SECOND));
    stage.asks("GET", "/fapi/v1/time", "", None, Way::Clear);
    for _ in 0..6 {
        stage.wait_ms(10_000);
        stage.steps();
    }
    stage.is_clean(Invariant::I20);
    stage.wait_ms(20_000);
    stage.steps();
    stage.wait_ms(11_000);
    stage.steps();
    stage.breaks("I20");
}

#[test]
fn i20_what_another_life_wanted_is_not_sent_whether_or_not_its_store_has_it() {
    for is_durable in [true, false] {
        let mut stage = cancel_is_wanted();
        // The commit failed, and a store was opened again.
        stage.see(Seen::Committed { ok: false });
        if !is_durable {
            let lost = stage.log.pop().unwrap();
            assert_eq!(lost.event.event_type(), "CancelRequested");
        }
        stage.began();
        stage.wait_ms(20_000);
        stage.steps();
        assert_eq!(stage.broken(), "");
    }
}

#[test]
fn i20_a_close_waits_while_the_exchange_says_that_its_orders_are_used_up() {
    let run = |told: &str| {
        let mut stage = Stage::new();
        stage.trades("ae-1", buy("0.5"));
        stage.wants("ae-2", sell("0.5").reduce_only());
        let headers = [("X-MBX-ORDER-COUNT-10S".to_owned(), told.to_owned())];
        for _ in 0..4 {
            stage.see(Seen::Got { id: 0, status: Some(200), headers: &headers, body: b"{}" });
            stage.steps();
            stage.wait_ms(5_000);
            stage.steps();
        }
        stage
    };
    run("2400").is_clean(Invariant::I20);
    run("12").breaks("I20");
}

#[test]
fn i20_a_close_leaves_in_time() {
    let mut stage = Stage::new();
    stage.trades("ae-1", buy("0.5"));
    stage.wants("ae-2", sell("0.5").reduce_only());
    stage.steps();
    stage.wait_ms(11_000);
    stage.steps();
    stage.breaks("I20");
}

fn down(route: Route) -> LinkChanged {
    LinkChanged { link: LinkUpdate::StreamDown { route, reason: "silent".into() } }
}

#[test]
fn i21_nothing_opens_while_the_log_says_that_a_stream_is_down() {
    let mut stage = Stage::new();
    stage.logs(None, None, down(Route::Market));
    stage.wants("ae-1", sell("0.5").reduce_only());
    assert_eq!(stage.broken(), "");
    stage.logs(None, None, LinkChanged { link: LinkUpdate::StreamUp { route: Route::Market } });
    stage.compared();
    stage.wants("ae-2", buy("0.5"));
    stage.is_clean(Invariant::I21);
    stage.logs(None, None, down(Route::Private));
    stage.wants("ae-3", buy("0.5"));
    stage.breaks("I21");
}

#[test]
fn i21_nothing_opens_before_the_account_is_compared() {
    let mut stage = Stage::bare(|_| {});
    stage.began();
    stage.start_session();
    stage.mode(EngineMode::Running);
    stage.wants("ae-1", buy("0.5"));
    stage.breaks("I21");
    let mut after_a_gap = Stage::new();
    after_a_gap.logs(None, None, down(Route::Private));
    after_a_gap.logs(None, None, LinkChanged { link: LinkUpdate::StreamUp { route: Route::Private } });
    after_a_gap.wants("ae-1", buy("0.5"));
    after_a_gap.breaks("I21");
}

#[test]
fn i21_nothing_opens_while_only_closes_may_leave() {
    for mode in [EngineMode::Safe, EngineMode::Paused] {
        let mut stage = Stage::new();
        stage.mode(mode);
        stage.wants("ae-1", sell("0.5").reduce_only());
        stage.steps();
        assert_eq!(stage.broken(), "");
        stage.wants("ae-2", buy("0.5"));
        stage.breaks("I21");
    }
}

#[test]
fn i21_a_dead_stream_must_be_noticed_in_time() {
    let run = |route: &'static str, waits_ms: i64| {
        let mut stage = Stage::new();
        stage.see(Seen::Said { route: "market", text: r#"{"e":"markPriceUpdate","E":1}"# });
        stage.see(Seen::StreamTruth { route, fresh: false });
        stage.wait_ms(waits_ms);
        stage.wants("ae-1", buy("0.5"));
        stage
    };
    for (route, deadline) in [("public", 35_000), ("market", 20_000)] {
        run(route, deadline).is_clean(Invariant::I21);
        run(route, deadline + 1).breaks("I21");
    }
    // The account's stream may be quiet for days.
    run("private", 3_600_000).is_clean(Invariant::I21);
}

#[test]
fn i21_a_frame_that_still_comes_keeps_the_belief_and_an_old_one_does_not() {
    let run = |lag_ms: i64| {
        let mut stage = Stage::new();
        stage.see(Seen::StreamTruth { route: "public", fresh: false });
        for _ in 0..20 {
            stage.wait_ms(1_000);
            let frame = format!(r#"{{"e":"bookTicker","E":{}}}"#, stage.exchange.now - lag_ms);
            stage.see(Seen::Delivered { route: "public", text: &frame });
        }
        stage.wait_ms(1_000);
        stage.wants("ae-1", buy("0.5"));
        stage
    };
    run(3_000).is_clean(Invariant::I21);
    run(6_000).breaks("I21");
}

#[test]
fn i21_a_deaf_account_stream_is_noticed_by_the_order_that_it_does_not_tell() {
    let run = |waits_ms: i64| {
        let mut stage = Stage::new();
        stage.see(Seen::StreamTruth { route: "private", fresh: false });
        stage.trades("ae-1", buy("0.5"));
        stage.wait_ms(waits_ms);
        stage.wants("ae-2", buy("0.5"));
        stage
    };
    run(15_000).is_clean(Invariant::I21);
    run(15_001).breaks("I21");
}

#[test]
fn i21_a_deaf_account_stream_is_not_noticed_by_an_order_that_it_told_before_it_died() {
    let run = |told: &str| {
        let mut stage = Stage::new();
        let frame = format!(
            r#"{{"e":"ORDER_TRADE_UPDATE","E":1,"o":{{"c":"{told}","i":1,"s":"BTCUSDT","X":"NEW","q":"0.500","z":"0.000"}}}}"#
        );
        stage.see(Seen::Delivered { route: "private", text: &frame });
        stage.see(Seen::StreamTruth { route: "private", fresh: false });
        stage.trades("ae-1", buy("0.5"));
        stage.wait_ms(15_001);
        stage.wants("ae-2", buy("0.5"));
        stage
    };
    run("ae-1").is_clean(Invariant::I21);
    run("ae-0").breaks("I21");
}

#[test]
fn i21_an_order_that_waited_may_leave_for_one_window_more() {
    let run = |waits_ms: i64| {
        let mut stage = Stage::new();
        stage.see(Seen::StreamTruth { route: "public", fresh: false });
        stage.wants("ae-1", buy("0.5"));
        stage.wait_ms(35_000 + waits_ms);
        stage.sends("ae-1", &buy("0.5"), Way::Clear);
        stage
    };
    run(3_000).is_clean(Invariant::I21);
    run(3_001).breaks("I21");
}

#[test]
fn i22_after_the_last_fault_everything_is_well_again() {
    let run = |heals: bool| {
        let mut stage = Stage::new();
        stage.logs(None, None, down(Route::Public));
        stage.see(Seen::FaultsOver);
        stage.wait_ms(30_000);
        stage.steps();
        assert_eq!(stage.broken(), "");
        if heals {
            stage.logs(None, None, LinkChanged { link: LinkUpdate::StreamUp { route: Route::Public } });
            stage.compared();
        }
        stage.wait_ms(30_001);
        stage.steps();
        stage
    };
    run(true).is_clean(Invariant::I22);
    run(false).breaks("I22");
}

#[test]
fn i22_no_doubt_is_left_in_the_end() {
    let mut stage = Stage::new();
    stage.wants("ae-1", buy("0.5"));
    stage.sends("ae-1", &buy("0.5"), Way::Lost);
    let unknown = OrderOutcomeUnknown { client_order_id: name("ae-1"), reason: "lost".into() };
    stage.logs(Some(1), Some(BTC), unknown);
    stage.steps();
    stage.quiet();
    stage.breaks("I11 I22");
    let mut deaf = Stage::new();
    deaf.see(Seen::StreamTruth { route: "market", fresh: false });
    deaf.quiet();
    deaf.breaks("I22");
}

#[test]
fn i22_that_the_account_s_stream_is_dead_shows_when_it_does_not_tell_of_an_order() {
    let run = |orders: bool| {
        let mut stage = Stage::new();
        stage.see(Seen::StreamTruth { route: "private", fresh: false });
        if orders {
            stage.trades("ae-1", buy("0.5"));
        }
        stage.wait_ms(15_001);
        stage.quiet();
        stage
    };
    run(false).is_clean(Invariant::I22);
    run(true).breaks("I22");
}

#[test]
fn i23_time_never_goes_back() {
    let mut stage = Stage::new();
    stage.wait_ms(1_000);
    stage.steps();
    stage.is_clean(Invariant::I23);
    stage.exchange.now -= 1;
    stage.steps();
    stage.breaks("I23");
}

#[test]
fn i23_the_times_of_the_log_never_go_back() {
    let mut stage = Stage::new();
    let mut recorded = stage.recorded(None, None, alphaengine_core::event::TimerFired { name: "a".into() }.into());
    recorded.at = recorded.at.plus(-1);
    stage.appends(recorded);
    stage.breaks("I23");
}

/// A signed request whose stamp is off by so much. Its status.
fn stamped(stage: &mut Stage, off_ms: i64) -> u16 {
    stage.exchange.now += off_ms;
    let (path, params) = ("/fapi/v1/openOrders", "symbol=BTCUSDT");
    let stamp = format!("{params}&recvWindow=2000&timestamp={}", stage.exchange.now);
    stage.exchange.now -= off_ms;
    let query = format!("{stamp}&signature={}", crate::gateway_support::sign(crate::gateway_support::SECRET, &stamp));
    stage.requests += 1;
    let id = stage.requests;
    stage.see(Seen::Sent { id, method: "GET", path, query: &query, durable: None });
    stage.wait_ms(10);
    let response = stage.arrives(id, "GET", path, &query);
    stage.gets(id, Some(&response));
    response.status
}

fn measures(stage: &mut Stage) {
    let response = stage.asks("GET", "/fapi/v1/time", "", None, Way::Clear).unwrap();
    assert_eq!(response.status, 200);
}

#[test]
fn i23_a_clock_that_was_measured_is_right() {
    let run = |steps_between: bool, second_off: i64| {
        let mut stage = Stage::new();
        assert_eq!(stamped(&mut stage, 5_000), 400, "the clock is off, and nobody knew");
        measures(&mut stage);
        if steps_between {
            stage.exchange.gateway.shift_clock(-20_000);
        }
        let status = stamped(&mut stage, second_off);
        assert_eq!(status, if steps_between || second_off > 0 { 400 } else { 200 });
        measures(&mut stage);
        stage
    };
    run(false, 0).is_clean(Invariant::I23);
    run(false, 5_000).breaks("I23");
    run(true, 0).is_clean(Invariant::I23);
}

#[test]
fn i23_a_step_that_is_undone_before_the_next_question_excuses_who_signed_by_the_measured_clock() {
    let run = |second_off: i64, third_off: i64| {
        let mut stage = Stage::new();
        assert_eq!(stamped(&mut stage, 5_000), 400);
        measures(&mut stage);
        stage.exchange.gateway.shift_clock(-20_000);
        assert_eq!(stamped(&mut stage, second_off), 400);
        stage.exchange.gateway.shift_clock(20_000);
        assert_eq!(stamped(&mut stage, third_off), if third_off > 1_000 { 400 } else { 200 });
        measures(&mut stage);
        stage
    };
    run(0, 0).is_clean(Invariant::I23);
    run(-400, 400).is_clean(Invariant::I23);
    run(5_000, 0).breaks("I23");
    run(0, 5_000).breaks("I23");
}

#[test]
fn i23_a_request_that_was_under_way_too_long_is_nobodys_mistake() {
    let mut stage = Stage::new();
    assert_eq!(stamped(&mut stage, 5_000), 400);
    measures(&mut stage);
    let (path, params) = order_params("ae-1", &buy("0.5"));
    stage.wants("ae-1", buy("0.5"));
    let (id, query) = stage.hands_over("POST", path, &params, Some(true));
    stage.wait_ms(2_001);
    assert_eq!(stage.arrives(id, "POST", path, &query).status, 400);
    measures(&mut stage);
    stage.is_clean(Invariant::I23);
}

#[test]
fn i24_the_strategy_hears_nothing_from_the_future() {
    let mut stage = Stage::new();
    let update = minute_bar(stage.exchange.now - 60_000, BTC, "100000");
    stage.see(Seen::Market(&update));
    stage.see(Seen::StrategyHeard { until: update.at });
    stage.is_clean(Invariant::I24);
    let mut ahead_of_the_market = Stage::new();
    ahead_of_the_market.see(Seen::Market(&update));
    ahead_of_the_market.see(Seen::StrategyHeard { until: update.at.plus(1) });
    ahead_of_the_market.breaks("I24");
    let until = stage.at().plus(1);
    stage.see(Seen::StrategyHeard { until });
    stage.breaks("I24");
}

#[test]
fn i26_nothing_opens_while_the_storage_is_not_trusted() {
    let mut stage = Stage::new();
    stage.see(Seen::StorageDistrusted);
    stage.wants("ae-1", sell("0.5").reduce_only());
    stage.sends("ae-1", &sell("0.5").reduce_only(), Way::Lost);
    stage.see(Seen::StorageTrusted);
    stage.wants("ae-2", buy("0.5"));
    stage.sends("ae-2", &buy("0.5"), Way::Clear);
    stage.is_clean(Invariant::I26);
    stage.see(Seen::StorageDistrusted);
    stage.wants("ae-3", buy("0.5"));
    stage.breaks("I26");
}

#[test]
fn i26_an_order_from_before_the_distrust_leaves_soon_or_not_at_all() {
    let run = |waits_ms: i64| {
        let mut stage = Stage::new();
        stage.wants("ae-1", buy("0.5"));
        stage.see(Seen::StorageDistrusted);
        stage.wait_ms(waits_ms);
        stage.sends("ae-1", &buy("0.5"), Way::Clear);
        stage
    };
    run(3_000).is_clean(Invariant::I26);
    run(3_001).breaks("I26");
}

#[test]
fn a_conditional_order_lives_from_trigger_to_fill() {
    let mut stage = Stage::new();
    stage.exchange.listen_to_user();
    stage.trades("ae-1", buy("0.5"));
    let stop = sell("0.5").with_type(OrderType::StopMarket { trigger: price("95000") }).reduce_only();
    let command = stage.wants("ae-2", stop);
    let response = stage.sends("ae-2", &stop, Way::Clear).unwrap();
    stage.placed(command, "ae-2", &response);
    stage.commits();
    stage.steps();
    stage.exchange.close_minute(BTC, ["100000", "100000", "94000", "94000"]);
    stage.hears();
    stage.market("94000");
    let fills = stage.unbooked();
    assert_eq!(fills.len(), 1);
    let triggered = alphaengine_core::event::OrderTriggered {
        client_order_id: name("ae-2"),
        child: fills[0].order_id,
        qty: qty("0.5"),
    };
    stage.logs(Some(command), Some(BTC), triggered);
    stage.logs(Some(command), Some(BTC), super::executed(&fills[0]));
    stage.commits();
    stage.steps();
    stage.quiet();
    stage.is_clean(Invariant::I7);
}
