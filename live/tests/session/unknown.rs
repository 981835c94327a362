//! Nobody knows: what may have been executed is never sent a second time. One row for each class.

use alphaengine_core::exchange::Outcome;
use alphaengine_live::wire::{HttpResponse, TransportError};

use crate::orders::{cancel, place};
use crate::world::{MINUTE, World, config};

fn answers() -> Vec<(&'static str, Result<HttpResponse, TransportError>)> {
    let answer = |status, body: &str| Ok(HttpResponse { status, headers: Vec::new(), body: body.as_bytes().to_vec() });
    vec![
        ("answer lost", Err(TransportError::Lost("reset".into()))),
        ("408", answer(408, "")),
        ("200 that is not JSON", answer(200, "<html>")),
        ("200 cut off", answer(200, r#"{"orderId":225421"#)),
        ("200 without an order id", answer(200, r#"{"status":"NEW"}"#)),
        ("200 empty", answer(200, "")),
        ("503 unknown error", answer(503, "Unknown error, please check your request or try again later.")),
        ("-1000", answer(400, r#"{"code":-1000,"msg":"An unknown error occurred."}"#)),
        ("-1001", answer(500, r#"{"code":-1001,"msg":"Internal error; unable to process your request."}"#)),
        ("-1006", answer(400, r#"{"code":-1006,"msg":"Execution status unknown."}"#)),
        ("-1007", answer(408, r#"{"code":-1007,"msg":"Timeout waiting for response from backend server."}"#)),
        ("-1010", answer(400, r#"{"code":-1010,"msg":"ERROR_MSG_RECEIVED"}"#)),
        ("-4116", answer(400, r#"{"code":-4116,"msg":"ClientOrderId is duplicated."}"#)),
        ("502", answer(502, "<html>Bad Gateway</html>")),
        ("504", answer(504, "")),
    ]
}

#[test]
fn an_order_whose_fate_is_unknown_is_never_sent_again() {
    for (name, answer) in answers() {
        let mut world = World::ready(config());
        world.request(place("ae-1"));
        world.respond("/fapi/v1/order", answer);
        assert!(matches!(world.outcomes()[..], [(1, Outcome::Unknown { .. })]), "{name}: {:?}", world.outcomes());
        world.pass(10 * MINUTE);
        assert_eq!(world.trace("/fapi/v1/order").len(), 1, "{name}");
        assert_eq!(world.outcomes().len(), 1, "{name}");
    }
}

#[test]
fn a_redirect_is_refused_and_not_followed() {
    let mut world = World::ready(config());
    world.request(place("ae-1"));
    world.answer_with("/fapi/v1/order", 307, &[("location", "https://elsewhere.example/")], "");
    assert!(matches!(&world.outcomes()[..], [(1, Outcome::Rejected(error))]
        if error.code == 307 && error.message.contains("redirect")));
    world.pass(10 * MINUTE);
    assert_eq!(world.trace("/fapi/v1/order").len(), 1);
}

#[test]
fn a_cancel_that_found_nothing_is_rejected_with_the_exchange_s_code() {
    let mut world = World::ready(config());
    world.request(cancel("ae-1"));
    world.answer("/fapi/v1/order", 400, r#"{"code":-2011,"msg":"Unknown order sent."}"#);
    assert!(matches!(&world.outcomes()[..], [(1, Outcome::Rejected(error))] if error.code == -2011));
}

#[test]
fn an_answer_that_comes_twice_counts_once() {
    let mut world = World::ready(config());
    world.request(place("ae-1"));
    let id = world.asked[0].id;
    world.answer("/fapi/v1/order", 200, r#"{"orderId":1}"#);
    let again = Err(TransportError::Lost("late".into()));
    world.session.on_http(world.at, id, again);
    world.take();
    assert_eq!(world.outcomes().len(), 1);
}
