//! A private stream that is open and silent: a quiet account is left in peace, a deaf connection is replaced.

use alphaengine_core::exchange::Request;
use alphaengine_core::link::{LinkUpdate, Route};
use alphaengine_core::order::OrderType;

use crate::orders::place;
use crate::user::{FILL, order};
use crate::world::{BTC, SECOND, T0, World, config};

fn is_deaf(world: &World) -> bool {
    let down = |link: &LinkUpdate| matches!(link, LinkUpdate::StreamDown { route: Route::Private, reason } if reason.contains("deaf"));
    world.links().iter().any(down)
}

#[test]
fn an_order_that_the_stream_does_not_tell_of_ends_the_connection() {
    for (told, expected) in [(Some(7), false), (Some(8), false), (Some(6), true), (None, true)] {
        let mut world = World::ready(config());
        world.pass(SECOND);
        world.request(place("ae-1"));
        world.answer("/fapi/v1/order", 200, r#"{"orderId":7}"#);
        if let Some(number) = told {
            world.user(&order(number, "ae-1", r#""x":"NEW","X":"NEW""#));
        }
        let before = world.socket("/private/");
        world.live(11 * SECOND);
        assert_eq!(is_deaf(&world), expected, "{told:?}");
        assert_eq!(world.sockets.contains_key(&before), !expected);
        world.live(2 * SECOND);
        let asked = world.asked.iter().any(|request| request.path == "/fapi/v1/listenKey");
        assert_eq!(asked, expected, "another key, should the old one be dead");
    }
}

#[test]
fn a_conditional_order_that_the_stream_does_not_tell_of_ends_the_connection() {
    for (told, expected) in [(Some(7), false), (Some(8), false), (Some(6), true), (None, true)] {
        let mut world = World::ready(config());
        world.pass(SECOND);
        let Request::PlaceOrder { client_order_id, spec } = place("ae-1") else { unreachable!() };
        let spec = spec.with_type(OrderType::StopMarket { trigger: "45000".parse().unwrap() });
        world.request(Request::PlaceOrder { client_order_id, spec });
        world.answer("/fapi/v1/algoOrder", 200, r#"{"algoId":7}"#);
        // An order of the other kind says nothing of this one.
        world.user(&order(100, "ae-2", r#""x":"NEW","X":"NEW""#));
        if let Some(number) = told {
            let said = r#"{"e":"ALGO_UPDATE","T":1750003230000,"E":1750003230003,"o":{"caid":"ae-1","aid":NUMBER,"at":"CONDITIONAL","o":"STOP_MARKET","s":"BTCUSDT","S":"SELL","ps":"BOTH","f":"GTC","X":"NEW","tp":"750","p":"0"}}"#;
            world.user(&said.replace("NUMBER", &number.to_string()));
        }
        world.live(11 * SECOND);
        assert_eq!(is_deaf(&world), expected, "{told:?}");
    }
}

#[test]
fn a_trade_that_only_rest_tells_of_ends_the_connection() {
    let opened = T0 + 30_000;
    // Told by the stream, older than the connection, told by REST only.
    for (told, time, expected) in [(true, 9_000, false), (false, 500, false), (false, 9_000, true)] {
        let mut world = World::ready(config());
        world.live(10 * SECOND);
        if told {
            world.user(&order(7, "ae-1", FILL));
        }
        world.request(Request::Trades { symbol: BTC, from_id: 1, since: world.at });
        let row = format!(
            r#"[{{"commission":"0.07","commissionAsset":"USDT","id":777,"maker":false,"orderId":7,"price":"1","qty":"1","side":"SELL","time":{}}}]"#,
            opened + time
        );
        world.answer("/fapi/v1/userTrades", 200, &row);
        world.live(9 * SECOND);
        assert!(!is_deaf(&world), "the stream may be late");
        world.live(2 * SECOND);
        assert_eq!(is_deaf(&world), expected, "{told} {time}");
    }
}
