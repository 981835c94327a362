//! Each planted mistake of the session is really made when it is chosen, and is not made when it is not.

#![cfg(feature = "planted-bugs")]
#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

#[path = "session/world.rs"]
#[allow(dead_code, reason = "each test binary uses a part")]
mod world;

use std::sync::{Mutex, PoisonError};

use alphaengine_core::exchange::Request;
use alphaengine_core::link::LinkUpdate;
use alphaengine_core::order::{OrderSpec, Side};
use alphaengine_core::planted::{Bug, plant};
use world::{BTC, MS, SECOND, World, config, frame};

/// The choice is the process's, so the tests take turns.
static TURN: Mutex<()> = Mutex::new(());

/// What a scenario comes to, first as it should be and then with the mistake.
fn without_and_with<T>(bug: Bug, scenario: impl Fn() -> T) -> [T; 2] {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let found = [None, Some(bug)].map(|planted| {
        plant(planted);
        scenario()
    });
    plant(None);
    found
}

fn place(id: &str) -> Request {
    let spec = OrderSpec::limit(BTC, Side::Buy, "0.01".parse().unwrap(), "50000".parse().unwrap());
    Request::PlaceOrder { client_order_id: id.parse().unwrap(), spec }
}

fn cancel(id: &str) -> Request {
    Request::CancelOrder { client_order_id: id.parse().unwrap(), symbol: BTC, conditional: false, child: None }
}

fn orders_sent(world: &World) -> usize {
    world.trace("/fapi/v1/order").len()
}

fn downs(world: &World) -> usize {
    world.links().iter().filter(|link| matches!(link, LinkUpdate::StreamDown { .. })).count()
}

#[test]
fn stale_stream_unnoticed_trades_on_streams_that_say_nothing_any_more() {
    let found = without_and_with(Bug::StaleStreamUnnoticed, || {
        let mut world = World::ready(config());
        // Both sockets of market data stand, and nothing comes.
        world.pass(120 * SECOND);
        world.request(place("ae-1"));
        (downs(&world), orders_sent(&world))
    });
    assert_eq!(found, [(2, 0), (0, 1)]);
}

#[test]
fn stale_stream_unnoticed_trades_on_a_market_that_is_told_late() {
    let found = without_and_with(Bug::StaleStreamUnnoticed, || {
        let mut world = World::ready(config());
        for _ in 0..5 {
            world.pass(SECOND);
            let told_at = world.at.plus(-10_000 * MS).millis();
            let public = world.socket("/public/");
            world.frame(public, &frame("btcusdt@bookTicker", told_at));
        }
        world.request(place("ae-1"));
        (world.links().len(), orders_sent(&world))
    });
    assert_eq!(found, [(1, 0), (0, 1)]);
}

#[test]
fn stale_stream_unnoticed_keeps_an_account_s_stream_that_is_deaf() {
    let found = without_and_with(Bug::StaleStreamUnnoticed, || {
        let mut world = World::ready(config());
        world.pass(SECOND);
        world.request(place("ae-1"));
        world.answer("/fapi/v1/order", 200, r#"{"orderId":7}"#);
        let private = world.socket("/private/");
        world.live(11 * SECOND);
        (downs(&world), world.sockets.contains_key(&private))
    });
    assert_eq!(found, [(1, false), (0, true)]);
}

#[test]
fn a_connection_that_does_not_open_is_given_up_all_the_same() {
    let found = without_and_with(Bug::StaleStreamUnnoticed, || {
        let mut world = World::ready(config());
        world.close("/public/");
        world.pass(SECOND);
        let unopened = world.socket("/public/");
        world.pass(11 * SECOND);
        world.sockets.contains_key(&unopened)
    });
    assert_eq!(found, [false, false]);
}

#[test]
fn retry_after_ignored_sends_again_and_sends_more_during_a_ban() {
    for status in [429, 418] {
        let found = without_and_with(Bug::RetryAfterIgnored, || {
            let mut world = World::ready(config());
            world.request(cancel("ae-1"));
            let body = r#"{"code":-1003,"msg":"Too many requests."}"#;
            world.answer_with("/fapi/v1/order", status, &[("retry-after", "60")], body);
            world.request(cancel("ae-2"));
            let others = orders_sent(&world) - 1;
            for _ in 0..3 {
                world.pass(SECOND);
                if !world.asked.is_empty() {
                    world.answer_with("/fapi/v1/order", status, &[("retry-after", "60")], body);
                }
            }
            (others, orders_sent(&world))
        });
        assert_eq!(found[0], (0, 1), "{status}: nothing leaves before it may");
        assert_eq!(found[1].0, 1, "{status}: another request leaves at once");
        assert!(found[1].1 >= 4, "{status}: {found:?}");
    }
}
