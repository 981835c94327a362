//! Limits and the clock: what waits, what is given up, and what is sent again under the same name.

use alphaengine_core::exchange::{ExchangeUpdate, Outcome, Outgoing, Request};
use alphaengine_core::id::RequestId;
use alphaengine_core::link::LinkUpdate;
use alphaengine_core::units::Timestamp;
use alphaengine_live::binance::UsedWeight;
use alphaengine_live::wire::{Heard, TransportError};

use crate::orders::{cancel, place, spec};
use crate::world::{BTC, MS, SECOND, T0, World, config};

const ILL_TIMED: &str = r#"{"code":-1021,"msg":"Timestamp for this request is outside of the recvWindow."}"#;

/// The times that the requests of a path were signed with.
fn stamps(world: &World, path: &str) -> Vec<i64> {
    let stamp = |query: &str| query.split("timestamp=").nth(1).unwrap()[..13].parse::<i64>().unwrap();
    world.sent.iter().filter(|request| request.path == path).map(|request| stamp(&request.query)).collect()
}

#[test]
fn a_wrong_time_is_repaired_once_and_the_same_order_sent_again() {
    let mut world = World::ready(config());
    world.offset = 1_500 * MS;
    world.request(place("ae-1"));
    world.answer("/fapi/v1/order", 400, ILL_TIMED);
    assert_eq!(world.outcomes(), []);
    for _ in 0..3 {
        world.answer_time();
    }
    assert_eq!(world.links(), [LinkUpdate::ClockStepped { from_ms: 0, to_ms: 1_500 }]);
    let orders = world.trace("/fapi/v1/order");
    assert_eq!(orders[0], orders[1], "the same client order id");
    let stamps = stamps(&world, "/fapi/v1/order");
    assert_eq!(stamps[1] - stamps[0], 1_500);
    world.answer("/fapi/v1/order", 400, ILL_TIMED);
    assert!(matches!(&world.outcomes()[..], [(1, Outcome::Rejected(error))] if error.code == -1021));
    assert_eq!(world.trace("/fapi/v1/order").len(), 2);
}

#[test]
fn one_answer_about_the_time_repairs_the_clock_when_limits_hold_the_next_question_back() {
    let mut world = World::ready(config());
    let used_up = [("x-mbx-used-weight-1m", "999999")];
    world.offset = -1_500 * MS;
    world.request(cancel("ae-1"));
    world.answer_with("/fapi/v1/order", 400, &used_up, ILL_TIMED);
    world.pass(31 * SECOND);
    let server = world.at.plus(world.offset).millis();
    world.answer_with("/fapi/v1/time", 200, &used_up, &format!(r#"{{"serverTime":{server}}}"#));
    assert!(world.links().contains(&LinkUpdate::ClockStepped { from_ms: 0, to_ms: -1_500 }), "{:?}", world.links());
    world.request(cancel("ae-2"));
    assert_eq!(world.trace("/fapi/v1/order").len(), 1, "there is no budget");
    // The next minute, on the exchange's clock.
    world.pass(61_499 * MS);
    assert_eq!(world.trace("/fapi/v1/order").len(), 1);
    world.pass(MS);
    assert_eq!(stamps(&world, "/fapi/v1/order")[1..], [T0 + 121_000, T0 + 121_000]);
}

#[test]
fn a_time_that_was_asked_for_before_the_refusal_does_not_repair_the_clock() {
    let mut world = World::ready(config());
    world.pass(30 * SECOND);
    let before = world.at.millis();
    world.offset = 5_000 * MS;
    world.request(cancel("ae-1"));
    world.answer("/fapi/v1/order", 400, ILL_TIMED);
    world.answer("/fapi/v1/time", 200, &format!(r#"{{"serverTime":{before}}}"#));
    assert_eq!(world.trace("/fapi/v1/order").len(), 1);
    world.answer_time();
    assert_eq!(stamps(&world, "/fapi/v1/order"), [before, before + 5_000]);
}

#[test]
fn a_doubted_clock_does_not_wait_out_the_pause_after_questions_without_an_answer() {
    let mut world = World::ready(config());
    world.pass(30 * SECOND);
    for seconds in 1..=5 {
        world.respond("/fapi/v1/time", Err(TransportError::Lost("reset".into())));
        world.pass(if seconds < 5 { seconds * SECOND } else { 0 });
    }
    let asked = world.trace("/fapi/v1/time").len();
    world.offset = 5_000 * MS;
    world.request(cancel("ae-1"));
    world.answer("/fapi/v1/order", 400, ILL_TIMED);
    assert_eq!(world.trace("/fapi/v1/time").len(), asked + 1, "five seconds are not over");
    world.answer_time();
    let stamps = stamps(&world, "/fapi/v1/order");
    assert_eq!(stamps[1] - stamps[0], 5_000);
}

#[test]
fn what_the_clock_signed_before_it_was_measured_is_signed_anew_and_doubts_nothing() {
    let mut world = World::ready(config());
    let at = world.at.millis();
    world.offset = 5_000 * MS;
    world.request(cancel("ae-1"));
    world.request(cancel("ae-2"));
    world.answer("/fapi/v1/order", 400, ILL_TIMED);
    world.answer_time();
    world.answer("/fapi/v1/order", 400, ILL_TIMED);
    assert_eq!(stamps(&world, "/fapi/v1/order"), [at, at, at + 5_000, at + 5_000]);
    world.answer_time();
    world.answer_time();
    assert_eq!(world.trace("/fapi/v1/time").len(), 3);
    // Only what the measured clock signed says that it is wrong again.
    world.offset = 9_000 * MS;
    world.answer("/fapi/v1/order", 400, ILL_TIMED);
    world.answer("/fapi/v1/order", 400, ILL_TIMED);
    assert!(matches!(&world.outcomes()[..], [(1, Outcome::Rejected(error))] if error.code == -1021));
    world.answer_time();
    assert_eq!(stamps(&world, "/fapi/v1/order")[4..], [at + 9_000]);
}

#[test]
fn a_clock_that_was_repaired_is_not_measured_more_often_afterwards() {
    let mut world = World::ready(config());
    world.pass(10 * SECOND);
    world.request(cancel("ae-1"));
    world.answer("/fapi/v1/order", 400, ILL_TIMED);
    for _ in 0..3 {
        world.answer_time();
    }
    world.live(301 * SECOND);
    assert_eq!(world.trace("/fapi/v1/time").len(), 3 + 30);
}

#[test]
fn what_was_not_executed_is_sent_again_after_doubling_pauses_and_then_given_up() {
    for refusal in [
        Err(TransportError::NotSent("connection refused".into())),
        Ok((503, "Service Unavailable.")),
        Ok((503, r#"{"code":-1008,"msg":"Request throttled by system-level protection."}"#)),
    ] {
        let mut world = World::ready(config());
        world.request(place("ae-1"));
        for (attempt, pause) in [200, 400, 800].into_iter().enumerate() {
            refuse(&mut world, &refusal);
            world.pass((pause - 1) * MS);
            assert_eq!(world.trace("/fapi/v1/order").len(), attempt + 1);
            world.pass(MS);
            assert_eq!(world.trace("/fapi/v1/order").len(), attempt + 2);
        }
        refuse(&mut world, &refusal);
        assert!(matches!(&world.outcomes()[..], [(1, Outcome::Rejected(_))]), "{:?}", world.outcomes());
        let orders = world.trace("/fapi/v1/order");
        assert!(orders.iter().all(|order| *order == orders[0]));
    }
}

fn refuse(world: &mut World, refusal: &Result<(u16, &str), TransportError>) {
    match refusal {
        Ok((status, body)) => world.answer("/fapi/v1/order", *status, body),
        Err(error) => world.respond("/fapi/v1/order", Err(error.clone())),
    }
}

#[test]
fn after_a_429_nothing_leaves_before_retry_after_and_then_the_cancel_first() {
    let mut world = World::ready(config());
    world.request(place("ae-1"));
    world.request(cancel("ae-2"));
    let body = r#"{"code":-1003,"msg":"Too many requests."}"#;
    world.answer_with("/fapi/v1/order", 429, &[("retry-after", "7")], body);
    assert!(matches!(world.links()[..], [LinkUpdate::RateLimited { status: 429, .. }]));
    world.answer_with("/fapi/v1/order", 429, &[("retry-after", "7")], body);
    world.request(Request::Snapshot);
    let before = world.sent.len();
    world.pass(7 * SECOND - MS);
    assert_eq!(world.sent.len(), before);
    // The entry waited longer than it was of use; the cancel did not lose its use.
    assert!(matches!(&world.outcomes()[..], [(1, Outcome::Rejected(error))] if error.code == -1003));
    world.pass(MS);
    let after = world.trace("/fapi");
    assert!(after[before].starts_with("DELETE /fapi/v1/order?symbol=BTCUSDT&origClientOrderId=ae-2"), "{after:?}");
    assert_eq!(world.links().last(), Some(&LinkUpdate::RateLimitOver));
    assert!(world.sent.len() > before + 1, "the snapshot goes on");
}

#[test]
fn during_a_ban_there_is_no_request_at_all_and_streams_live() {
    let mut world = World::ready(config());
    let reduce = spec().reduce_only();
    world.request(place("ae-1"));
    let until = T0 + 30_000 + 120_000;
    let body = format!(r#"{{"code":-1003,"msg":"Way too many requests; IP(1.2.3.4) banned until {until}."}}"#);
    world.answer("/fapi/v1/order", 418, &body);
    world.request(Request::PlaceOrder { client_order_id: "ae-2".parse().unwrap(), spec: reduce });
    let before = world.sent.len();
    world.live(119 * SECOND);
    world.close("/private/");
    world.pass(SECOND - MS);
    assert_eq!(world.sent.len(), before);
    assert!(world.socket("listenKey=K1").0 > 0, "the key was good lately: no request is needed");
    world.pass(MS);
    assert!(world.trace("/fapi/v1/order").last().unwrap().ends_with("newClientOrderId=ae-2"), "what reduces waited");
}

#[test]
fn an_entry_that_waits_for_a_limit_ends_when_a_stream_goes_down() {
    for batched in [false, true] {
        let mut config = config();
        config.batch_orders = batched;
        let mut world = World::ready(config);
        world.request(place("ae-1"));
        world.answer_with("/fapi/v1/order", 429, &[("retry-after", "1")], "{}");
        world.request(place("ae-2"));
        // Of one step: a batch would hold the close back together with the entry.
        let close = Request::PlaceOrder { client_order_id: "ae-3".parse().unwrap(), spec: spec().reduce_only() };
        for (id, request) in [(13, close), (14, place("ae-4"))] {
            world.session.on_request(world.at, &Outgoing { id: RequestId(id), request });
        }
        world.session.flush(world.at);
        world.request(cancel("ae-9"));
        world.heard.clear();
        world.close("/market/");
        let Heard::Exchange(ExchangeUpdate::Link(LinkUpdate::StreamDown { .. })) = world.heard[0] else { panic!() };
        let ended: Vec<u64> = world.outcomes().iter().map(|(id, _)| *id).collect();
        assert_eq!(ended, [1, 2, 14], "{:?}", world.outcomes());
        for (_, outcome) in world.outcomes() {
            let Outcome::Rejected(error) = outcome else { panic!("{outcome:?}") };
            assert_eq!(error.message, "not sent: the MARKET stream is stale");
        }
        world.request(place("ae-5"));
        assert!(matches!(world.outcomes().last(), Some((_, Outcome::Rejected(_)))), "decided before it was heard");
        world.sent.clear();
        world.pass(2 * SECOND);
        let left = world.trace("/fapi/v1/order");
        assert_eq!(left.len(), 2, "{left:?}");
        assert!(left[0].ends_with("newClientOrderId=ae-3") && left[1].starts_with("DELETE"), "{left:?}");
        world.open_all();
        world.deliver_all();
        world.request(place("ae-6"));
        assert!(world.trace("/fapi/v1/order").last().unwrap().ends_with("newClientOrderId=ae-6"), "it is up again");
    }
}

#[test]
fn questions_that_a_ban_holds_up_do_not_pile_up() {
    let mut config = config();
    config.countdown = Some(30 * SECOND);
    let mut world = World::ready(config);
    let close = Request::PlaceOrder { client_order_id: "ae-2".parse().unwrap(), spec: spec().reduce_only() };
    world.request(close);
    world.answer_with("/fapi/v1/order", 418, &[("retry-after", "1800")], "{}");
    let before = world.sent.len();
    for _ in 0..25 {
        let (client_order_id, symbol) = ("ae-1".parse().unwrap(), BTC);
        world.request(Request::Snapshot);
        world.request(Request::Income { since: world.at });
        world.request(Request::Trades { symbol, from_id: 1, since: world.at });
        for _ in 0..6 {
            world.request(Request::QueryOrder { client_order_id, symbol, conditional: false, child: None });
            world.live(10 * SECOND);
        }
    }
    assert_eq!(world.sent.len(), before);
    world.live(6 * 60 * SECOND);
    assert_eq!(world.trace("/fapi/v1/order").len(), 2, "the close, and no question");
    let asked = world.sent.len() - before;
    assert!(asked < 20, "{asked}");
}

#[test]
fn what_the_bootstrap_used_of_the_minute_is_not_used_again() {
    for weight in [100, 2_330] {
        let mut config = config();
        config.warm_up_bars = 10;
        config.used_weight = Some(UsedWeight { weight, at: Timestamp::from_millis(T0 + 29_000).unwrap() });
        let mut world = World::new(config);
        world.start();
        let is_used_up = weight > 2_280;
        assert!(world.session.figures().used_weight >= weight);
        assert_eq!(world.trace("/fapi/v1/klines").is_empty(), is_used_up, "{weight}");
        assert_eq!(world.heard.contains(&Heard::Ready), !is_used_up, "{weight}");
        world.pass(35 * SECOND);
        assert_eq!(world.trace("/fapi/v1/klines").len(), 2, "the next minute is free");
    }
}

#[test]
fn polls_stop_before_the_limit_and_cancels_do_not() {
    let mut world = World::ready(config());
    world.request(Request::Snapshot);
    let used = [("x-mbx-used-weight-1m", "2330")];
    world.answer_with("/fapi/v1/openOrders", 200, &used, "[]");
    assert!(matches!(world.links()[..], [LinkUpdate::RateLimited { status: 0, .. }]));
    let before = world.sent.len();
    world.request(Request::Income { since: world.at });
    assert_eq!(world.sent.len(), before);
    world.request(cancel("ae-1"));
    assert_eq!(world.sent.len(), before + 1);
    assert!(world.session.figures().used_weight >= 2330);
    world.pass(35 * SECOND);
    assert_eq!(world.trace("/fapi/v1/income").len(), 1, "the next minute is free");
    assert!(world.links().contains(&LinkUpdate::RateLimitOver));
}

#[test]
fn too_many_orders_hold_orders_only() {
    let mut world = World::ready(config());
    world.request(place("ae-1"));
    world.answer("/fapi/v1/order", 429, r#"{"code":-1015,"msg":"Too many new orders; current limit is 300."}"#);
    world.request(Request::Income { since: world.at });
    assert_eq!(world.trace("/fapi/v1/income").len(), 1);
    assert_eq!(world.trace("/fapi/v1/order").len(), 1);
    world.pass(11 * SECOND);
    assert!(matches!(&world.outcomes()[..], [(1, Outcome::Rejected(error))] if error.code == -1015));
}

#[test]
fn a_lost_access_is_told_once() {
    let mut world = World::ready(config());
    for id in ["ae-1", "ae-2"] {
        world.request(place(id));
        let body = r#"{"code":-2015,"msg":"Invalid API-key, IP, or permissions for action."}"#;
        world.answer("/fapi/v1/order", 401, body);
    }
    assert!(matches!(world.links()[..], [LinkUpdate::AccessLost { code: -2015, .. }]));
    assert_eq!(world.outcomes().len(), 2);
}

#[test]
fn the_dead_man_s_switch_is_set_refreshed_and_taken_back() {
    let mut config = config();
    config.countdown = Some(30 * SECOND);
    let mut world = World::ready(config);
    world.request(place("ae-1"));
    world.pass(10 * SECOND);
    world.session.stop(world.at);
    world.take();
    let set = |time| format!("POST /fapi/v1/countdownCancelAll?symbol=BTCUSDT&countdownTime={time}");
    assert_eq!(world.trace("/fapi/v1/countdownCancelAll"), [set(30_000), set(30_000), set(0)]);
}

#[test]
fn the_clock_is_measured_again_and_drift_is_no_event() {
    let mut world = World::ready(config());
    world.offset = 50 * MS;
    world.live(301 * SECOND);
    assert_eq!(world.trace("/fapi/v1/time").len(), 30);
    assert_eq!(world.session.figures().offset_ms, Some(50));
    assert_eq!(world.links(), []);
}
