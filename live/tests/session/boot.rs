//! The start: clock, listen key, sockets, history, and then `Ready`.

use alphaengine_core::exchange::Outcome;
use alphaengine_live::wire::{Heard, Method};

use crate::world::{MINUTE, World, closed_bar, config, frame, kline_rows};

#[test]
fn ready_comes_when_every_stream_delivered_and_the_history_was_heard() {
    let mut config = config();
    config.warm_up_bars = 3;
    let mut world = World::new(config);
    world.session.start(world.at);
    world.take();
    for _ in 0..3 {
        assert!(!world.sent.iter().any(|request| request.path.ends_with("listenKey")));
        world.answer_time();
    }
    world.answer("/fapi/v1/listenKey", 200, r#"{"listenKey":"K1"}"#);
    world.open_all();
    world.deliver_all();
    assert!(!world.heard.contains(&Heard::Ready), "the history is missing");
    // A bar that closes meanwhile waits for its place.
    world.at = world.at.plus(MINUTE);
    let market = world.socket("/market/");
    world.frame(market, &closed_bar("btcusdt@kline_1m", 0));
    assert_eq!(world.bars(), []);
    let rows = kline_rows(-3..1);
    world.answer("/fapi/v1/klines", 200, &rows);
    assert_eq!(world.bars(), [], "symbols warm up together");
    world.answer("/fapi/v1/klines", 200, &rows);
    let both = |minute| [(0, minute), (1, minute)];
    assert_eq!(world.bars(), [both(-3), both(-2), both(-1), both(0)].concat());
    assert_eq!(world.heard.last(), Some(&Heard::Ready));
    assert!(world.sockets.values().any(|url| {
        url.starts_with("wss://fstream.binance.com/private/ws?listenKey=K1&events=ORDER_TRADE_UPDATE/ACCOUNT_UPDATE/")
    }));
}

#[test]
fn without_a_key_nothing_is_signed_and_the_private_route_is_not_waited_for() {
    let mut config = config();
    config.key = None;
    let world = World::ready(config);
    assert!(world.sockets.values().all(|url| !url.contains("private")));
}

#[test]
fn a_listen_key_that_cannot_be_made_is_asked_for_again() {
    let mut world = World::new(config());
    world.session.start(world.at);
    world.take();
    for _ in 0..3 {
        world.answer_time();
    }
    world.answer("/fapi/v1/listenKey", 500, "");
    world.live(6_000_000_000);
    assert_eq!(world.asked.iter().filter(|request| request.method == Method::Post).count(), 1);
    world.answer("/fapi/v1/listenKey", 200, r#"{"listenKey":"K2"}"#);
    assert!(world.socket("/private/ws?listenKey=K2").0 > 0);
}

#[test]
fn stopping_closes_the_sockets_and_sends_nothing_more() {
    let mut world = World::ready(config());
    world.session.stop(world.at);
    world.take();
    assert!(world.sockets.is_empty() && world.sent.is_empty());
    world.pass(60 * MINUTE);
    assert!(world.sockets.is_empty() && world.sent.is_empty());
    let stream = frame("btcusdt@bookTicker", 1);
    world.session.on_frame(world.at, alphaengine_live::wire::SocketId(1), stream.as_bytes());
    world.take();
    assert!(world.market().is_empty());
}

#[test]
fn after_the_stop_answers_are_heard_and_nothing_is_sent_again() {
    let mut world = World::ready(config());
    for id in ["ae-1", "ae-2", "ae-3"] {
        world.request(crate::orders::place(id));
    }
    world.session.stop(world.at);
    world.take();
    world.answer("/fapi/v1/order", 200, r#"{"orderId":1}"#);
    world.answer("/fapi/v1/order", 503, "Service Unavailable.");
    world.answer("/fapi/v1/order", 429, "");
    let outcomes = world.outcomes();
    assert_eq!(outcomes[0].1, Outcome::Placed { order_id: 1 });
    assert!(outcomes[1..].iter().all(|(_, outcome)| matches!(outcome, Outcome::Rejected(_))), "{outcomes:?}");
    assert_eq!((outcomes.len(), world.sent.len()), (3, 3));
}
