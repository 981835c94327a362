//! What goes wrong with the streams, F23 to F33.

use super::hand::{At, BOOK, Hand, MARKS, ORDER, ORDERS, PRIVATE, frame, request};
use crate::faults::{Fault, On, Route, Way};

const LISTEN_KEY: &str = "/fapi/v1/listenKey";
/// What the private stream tells.
const EVENTS: [&str; 4] = ["ORDER_TRADE_UPDATE", "TRADE_LITE", "ACCOUNT_UPDATE", "\"x\":\"TRADE\""];

/// A frame of a route, near one that the session reads.
fn any_frame(hand: &mut Hand<'_>, route: Route) -> On {
    match route {
        Route::Private | Route::Other => private(hand),
        Route::Public => {
            let typical = hand.of_symbols(BOOK);
            let nth = hand.nth(typical);
            frame(Route::Public, None, nth)
        }
        Route::Market => {
            let (contains, each) = hand.pick(&[("markPriceUpdate", MARKS), ("kline", 60)]);
            let typical = hand.of_symbols(each);
            let nth = hand.nth(typical);
            frame(Route::Market, Some(contains), nth)
        }
    }
}

fn private(hand: &mut Hand<'_>) -> On {
    let event = hand.pick(&EVENTS);
    let nth = hand.nth(PRIVATE / 3);
    frame(Route::Private, Some(event), nth)
}

fn mostly_private(hand: &mut Hand<'_>) -> On {
    let route = if hand.once_in(3) { hand.stream() } else { Route::Private };
    any_frame(hand, route)
}

pub(super) fn key_dies(hand: &mut Hand<'_>) {
    let at = hand.moment();
    hand.add(At::ms(at), Fault::ExpireListenKeys);
    if hand.once_in(2) {
        // Before it can say so.
        let before = at.saturating_sub(hand.between(0, 500));
        hand.add(At::ms(before), Fault::HalfOpen { route: Route::Private });
    }
}

pub(super) fn keepalive_refused(hand: &mut Hand<'_>) {
    let refusal = Fault::Error {
        code: -1125,
        message: "This listenKey does not exist.".to_owned(),
        status: 400,
        executed: false,
    };
    let until = hand.between(1, 3);
    hand.add(On { nth: None, until: Some(until), ..request("PUT", LISTEN_KEY, 1) }, refusal);
    if hand.once_in(2) {
        // A new one is not had at once either. The first belongs to the boot.
        let nth = hand.between(2, 4);
        let how = hand.how();
        hand.add(request("POST", LISTEN_KEY, nth), Fault::DropRequest { how });
        let on = hand.at();
        hand.add(on, Fault::CloseSocket { route: Route::Private, how: crate::faults::How::Close });
    }
}

pub(super) fn closed_in_flight(hand: &mut Hand<'_>) {
    let nth = hand.nth(ORDERS);
    let how = hand.end();
    hand.add(request("POST", ORDER, nth), Fault::CloseSocket { route: Route::Private, how });
    if hand.once_in(2) {
        let ms = hand.between(100, 3_000);
        hand.add(request("POST", ORDER, nth), Fault::Delay { ms, of: Way::Answer });
    }
}

pub(super) fn half_open(hand: &mut Hand<'_>) {
    for _ in 0..hand.between(1, 2) {
        let route = hand.stream();
        let on = if hand.once_in(3) { hand.orders() } else { hand.at() };
        hand.add(on, Fault::HalfOpen { route });
    }
}

pub(super) fn lost_or_twice(hand: &mut Hand<'_>) {
    for _ in 0..hand.between(1, 4) {
        let on = mostly_private(hand);
        let fault = if hand.once_in(2) { Fault::LoseFrame } else { Fault::DuplicateFrame };
        hand.add(on, fault);
    }
}

pub(super) fn reordered(hand: &mut Hand<'_>) {
    for _ in 0..hand.between(1, 4) {
        let on = mostly_private(hand);
        // Later than the next of its own connection, or than what other connections tell meanwhile.
        let fault = if hand.once_in(3) { Fault::DelayFrame { ms: hand.between(50, 3_000) } } else { Fault::Reorder };
        hand.add(on, fault);
    }
}

pub(super) fn fill_first(hand: &mut Hand<'_>) {
    if hand.once_in(2) {
        let on = hand.orders();
        let ms = hand.between(200, 4_500);
        hand.add(on, Fault::Delay { ms, of: Way::Answer });
    } else {
        let on = private(hand);
        let ms = hand.between(200, 8_000);
        hand.add(on, Fault::DelayFrame { ms });
    }
    if hand.once_in(2) {
        let event = hand.pick(&["ACCOUNT_UPDATE", "\"x\":\"TRADE\"", "TRADE_LITE"]);
        let nth = hand.nth(PRIVATE / 3);
        hand.add(frame(Route::Private, Some(event), nth), Fault::Reorder);
    }
}

pub(super) fn book_gap(hand: &mut Hand<'_>) {
    let typical = hand.of_symbols(BOOK);
    let gap = |hand: &mut Hand<'_>, contains: Option<&str>| {
        let on = hand.for_a_while(frame(Route::Public, contains, 1), typical, 10);
        hand.add(on, Fault::LoseFrame);
    };
    match hand.below(3) {
        0 => gap(hand, Some("depthUpdate")),
        1 => gap(hand, None),
        _ => {
            gap(hand, Some("depthUpdate"));
            // The snapshot that is asked for then is old when it comes.
            let until = hand.between(1, 4);
            let ms = hand.between(500, 6_000);
            let snapshot = On { nth: None, until: Some(until), ..request("GET", "/fapi/v1/depth", 1) };
            hand.add(snapshot, Fault::Delay { ms, of: Way::Answer });
        }
    }
}

/// What nobody knows, and on which route it would be told. None of it concerns an order or a contract of ours.
const WORDS: [(Route, &str); 10] = [
    (Route::Private, r#"{"e":"SOMETHING_NEW","E":1795608000000,"x":{"y":[1,2,{"z":null}]}}"#),
    (
        Route::Private,
        r#"{"e":"ACCOUNT_UPDATE","E":1795608000000,"T":1795608000000,"q":"?","a":{"m":"A_NEW_REASON","B":[],"P":[],"n":{}}}"#,
    ),
    (
        Route::Private,
        r#"{"e":"ORDER_TRADE_UPDATE","E":1795608000000,"T":1795608000000,"o":{"s":"币安人生USDT","c":"web_unknown","S":"BUY","o":"A_NEW_TYPE","f":"GTQ","q":"1","p":"1","ap":"0","sp":"0","x":"A_NEW_EXECUTION","X":"A_NEW_STATUS","i":1,"l":"0","z":"0","L":"0","T":1795608000000,"t":0,"m":false,"R":false,"wt":"CONTRACT_PRICE","ot":"A_NEW_TYPE","ps":"BOTH","cp":false,"rp":"0","V":"NEW","pm":"NONE","gtd":0,"er":"99"}}"#,
    ),
    (Route::Private, r#"{"e":"ACCOUNT_CONFIG_UPDATE","E":1795608000000,"T":1795608000000,"zz":{"new":true}}"#),
    (Route::Private, r#"["an","array"]"#),
    (
        Route::Market,
        r#"{"stream":"!contractInfo","data":{"e":"contractInfo","E":1795608000000,"s":"币安人生USDT","ct":"PERPETUAL","cs":"A_NEW_STATUS"}}"#,
    ),
    (Route::Market, r#"{"stream":"btcusdt@somethingNew","data":{"e":"somethingNew","E":1795608000000}}"#),
    (
        Route::Market,
        r#"{"e":"markPriceUpdate","E":1795608000000,"s":"币安人生USDT","p":"0.1","i":"0.1","P":"0.1","r":"0","T":1795622400000,"new":"field"}"#,
    ),
    (
        Route::Public,
        r#"{"stream":"币安人生usdt@bookTicker","data":{"e":"bookTicker","u":1,"s":"币安人生USDT","b":"0.1","B":"1","a":"0.2","A":"1","T":1795608000000,"E":1795608000000,"new":"field"}}"#,
    ),
    (Route::Public, "null"),
];

pub(super) fn unknown_words(hand: &mut Hand<'_>) {
    for _ in 0..hand.between(1, 4) {
        let (route, text) = hand.pick(&WORDS);
        let on = if hand.once_in(3) { any_frame(hand, route) } else { hand.at() };
        hand.add(on, Fault::Say { route, text: text.to_owned() });
    }
}

pub(super) fn reconnect_storm(hand: &mut Hand<'_>) {
    let mut at = hand.moment();
    let last = hand.scaled(240_000);
    for _ in 0..hand.between(2, 5) {
        let how = hand.end();
        let fault = if hand.once_in(4) {
            Fault::Outage { seconds: hand.between(1, 15) }
        } else {
            Fault::CloseSocket { route: hand.stream(), how }
        };
        hand.add(At::ms(at.min(last)), fault);
        at += hand.between(500, 8_000);
    }
    // The first upgrade of each route belongs to the boot.
    let path = hand.pick(&["/public*", "/market*", "/private*"]);
    let after = hand.between(1, 3);
    let until = after + hand.between(1, 4);
    let on = On { nth: None, after: Some(after), until: Some(until), ..request("GET", path, 1) };
    let how = hand.how();
    let fault = if hand.once_in(2) { Fault::DropRequest { how } } else { Fault::Html { status: 429, executed: false } };
    hand.add(on, fault);
}

pub(super) fn slow_consumer(hand: &mut Hand<'_>) {
    let route = hand.stream();
    let on = any_frame(hand, route);
    let nth = on.nth.unwrap_or(1);
    // What comes after each waits behind it.
    for step in 0..hand.between(1, 6) {
        let ms = hand.between(200, 8_000);
        hand.add(On { nth: Some(nth + 3 * step), ..on.clone() }, Fault::DelayFrame { ms });
    }
}
