//! What an answer proves about an order: a refusal is one only where the exchange says so in order.

use alphaengine_core::exchange::{Outcome, Request, Standing};

use crate::orders::place;
use crate::world::{BTC, World, config};

#[test]
fn a_refusal_with_the_status_of_a_breakdown_proves_nothing() {
    for status in [500, 502, 503, 504] {
        for code in [-2019, -9999] {
            let mut world = World::ready(config());
            world.request(place("ae-1"));
            world.answer("/fapi/v1/order", status, &format!(r#"{{"code":{code},"msg":"Margin is insufficient."}}"#));
            assert!(matches!(world.outcomes()[..], [(1, Outcome::Unknown { .. })]), "{status} {code}");
        }
    }
    let mut world = World::ready(config());
    world.request(place("ae-1"));
    world.answer("/fapi/v1/order", 400, r#"{"code":-2019,"msg":"Margin is insufficient."}"#);
    assert!(matches!(&world.outcomes()[..], [(1, Outcome::Rejected(error))] if error.code == -2019));
}

#[test]
fn only_the_code_for_it_says_that_an_order_is_not_there() {
    for (code, is_absent) in [(-2013, true), (-2015, false), (-1102, false), (-9999, false)] {
        for conditional in [false, true] {
            let mut world = World::ready(config());
            let client_order_id = "ae-1".parse().unwrap();
            world.request(Request::QueryOrder { client_order_id, symbol: BTC, conditional, child: None });
            let path = world.asked[0].path;
            world.answer(path, 400, &format!(r#"{{"code":{code},"msg":"x"}}"#));
            let found = world.outcomes();
            assert_eq!(matches!(found[..], [(1, Outcome::NotFound)]), is_absent, "{code} {found:?}");
        }
    }
}

#[test]
fn a_conditional_order_that_was_cancelled_is_found_as_such() {
    let mut world = World::ready(config());
    let client_order_id = "ae-1".parse().unwrap();
    world.request(Request::QueryOrder { client_order_id, symbol: BTC, conditional: true, child: None });
    let path = world.asked[0].path;
    world.answer(path, 200, r#"{"algoId":7,"clientAlgoId":"ae-1","algoStatus":"CANCELED"}"#);
    let found = world.outcomes();
    assert!(matches!(found[..], [(1, Outcome::Found { order_id: 7, standing: Standing::Canceled, .. })]), "{found:?}");
}
