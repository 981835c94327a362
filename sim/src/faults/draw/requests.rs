//! What goes wrong with requests and their answers on the way, F1 to F8, F11, and F13 to F16.

use std::collections::BTreeMap;

use super::hand::{BOOT, CANCELS, Hand, ORDER, ORDERS, request};
use crate::faults::{DiskFile, DiskOp, Fault, How, On, Way};

/// How long a client waits for an answer, in milliseconds; what is later is as good as lost.
const PATIENCE: u64 = 5_000;
/// How long an order is good, in milliseconds.
const RECV_WINDOW: u64 = 2_000;

fn boot(hand: &mut Hand<'_>) -> On {
    // Only the first questions are the boot's.
    let nth = hand.between(1, BOOT * 3 / 2);
    request("GET", "/fapi/*", nth)
}

pub(super) fn lost(hand: &mut Hand<'_>) {
    for _ in 0..hand.between(1, 3) {
        let on = if hand.once_in(6) { boot(hand) } else { hand.requests() };
        let how = hand.how();
        hand.add(on, Fault::DropRequest { how });
    }
}

pub(super) fn answer_lost(hand: &mut Hand<'_>) {
    for _ in 0..hand.between(1, 3) {
        let on = if hand.once_in(3) { hand.cancels() } else { hand.orders() };
        let how = hand.how();
        hand.add(on, Fault::DropAnswer { how });
    }
}

pub(super) fn answer_after_fill(hand: &mut Hand<'_>) {
    let on = hand.orders();
    let how = hand.how();
    hand.add(on, Fault::DropAnswer { how });
    // The queries that look for it are slow, so that the stream is faster.
    let ms = hand.between(500, 4_000);
    let until = hand.between(1, 4);
    let queries = On { nth: None, until: Some(until), ..request("GET", ORDER, 1) };
    hand.add(queries, Fault::Delay { ms, of: Way::Answer });
}

pub(super) fn answer_lost_and_crash(hand: &mut Hand<'_>) {
    let nth = hand.nth(ORDERS);
    let how = hand.how();
    hand.add(request("POST", ORDER, nth), Fault::DropAnswer { how });
    let down_ms = hand.between(500, 8_000);
    // About one commit for each order before it, and what else is written: the crash is near, and sometimes too early.
    let fault = Fault::Crash { down_ms };
    match hand.below(3) {
        0 => {
            let nth = nth * hand.between(3, 8) + hand.between(0, 6);
            let on = On { disk: Some(DiskOp::Sync), file: Some(DiskFile::Wal), nth: Some(nth), ..On::default() };
            hand.add(on, fault);
        }
        1 => {
            // The very event of a fill brings it down.
            let on = super::hand::frame(crate::faults::Route::Private, Some("ORDER_TRADE_UPDATE"), nth * 2);
            hand.add(on, fault);
        }
        _ => hand.add(request("POST", ORDER, nth), fault),
    }
}

pub(super) fn late(hand: &mut Hand<'_>) {
    for _ in 0..hand.between(1, 2) {
        let nth = hand.nth(ORDERS);
        // Around the window in which the exchange still takes it: just within is the worst.
        let ms = match hand.below(3) {
            0 => hand.between(RECV_WINDOW / 2, RECV_WINDOW - 50),
            1 => hand.between(RECV_WINDOW - 200, RECV_WINDOW + 500),
            _ => hand.between(PATIENCE - 500, PATIENCE + 3_000),
        };
        hand.add(request("POST", ORDER, nth), Fault::Delay { ms, of: Way::Request });
        if hand.once_in(2) {
            // Who asks meanwhile asks a cancel, too.
            let nth = hand.nth(CANCELS);
            hand.add(request("DELETE", ORDER, nth), Fault::Delay { ms: ms / 2, of: Way::Request });
        }
    }
}

pub(super) fn broken_body(hand: &mut Hand<'_>) {
    for _ in 0..hand.between(1, 3) {
        let on = hand.requests();
        let keep = if hand.once_in(2) { None } else { Some(hand.below(200) as usize) };
        let fault = match hand.below(3) {
            0 => Fault::TruncateBody { keep, how: hand.how() },
            1 => Fault::StallBody { keep },
            _ => Fault::SlowBody { ms: hand.between(200, PATIENCE + 2_000) },
        };
        hand.add(on, fault);
    }
}

pub(super) fn outcome_unknown(hand: &mut Hand<'_>) {
    for _ in 0..hand.between(1, 3) {
        let on = if hand.once_in(3) { hand.cancels() } else { hand.orders() };
        let executed = hand.once_in(2);
        let error = |code: i64, status: u16, message: &str| Fault::Error {
            code,
            message: message.to_owned(),
            status,
            executed,
        };
        let fault = match hand.below(4) {
            0 => Fault::Status {
                code: 503,
                headers: BTreeMap::new(),
                body: "Unknown error, please check your request or try again later.".to_owned(),
                executed,
            },
            1 => {
                error(-1006, 400, "An unexpected response was received from the message bus. Execution status unknown.")
            }
            2 => error(
                -1007,
                408,
                "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
            ),
            _ => error(-1001, 503, "Internal error; unable to process your request. Please try again."),
        };
        hand.add(on, fault);
    }
}

pub(super) fn failed(hand: &mut Hand<'_>) {
    for _ in 0..hand.between(1, 3) {
        let on = hand.requests();
        let fault = match hand.below(4) {
            0 => Fault::Error {
                code: -1008,
                message: "Request throttled by system-level protection.".to_owned(),
                status: 503,
                executed: false,
            },
            1 => Fault::Status {
                code: 503,
                headers: BTreeMap::new(),
                body: "Service Unavailable.".to_owned(),
                executed: false,
            },
            2 => Fault::Html { status: 502, executed: false },
            _ => Fault::Html { status: 403, executed: false },
        };
        let on = if hand.once_in(3) { hand.for_a_while(on, 6, 5) } else { on };
        hand.add(on, fault);
    }
}

pub(super) fn weight_headers(hand: &mut Hand<'_>) {
    const USED: &str = "x-mbx-used-weight-1m";
    const COUNTED: &str = "x-mbx-order-count-10s";
    let weight = hand.pick(&["0", "1", "2399", "2400", "999999", "many"]).to_owned();
    let fault = match hand.below(3) {
        0 => Fault::Headers { set: BTreeMap::new(), remove: vec![USED.to_owned(), COUNTED.to_owned()] },
        1 => Fault::Headers { set: BTreeMap::from([(USED.to_owned(), weight)]), remove: Vec::new() },
        _ => Fault::Headers { set: BTreeMap::from([(COUNTED.to_owned(), weight)]), remove: Vec::new() },
    };
    let on = On { path: Some("/fapi/*".to_owned()), ..On::default() };
    let on = hand.for_a_while(on, 60, 20);
    hand.add(on, fault);
}

pub(super) fn redirected(hand: &mut Hand<'_>) {
    let on = if hand.once_in(4) { hand.cancels() } else { hand.orders() };
    let status = hand.pick(&[301, 302, 307, 308]);
    hand.add(on, Fault::Redirect { status, location: "https://fapi.example.com/fapi/v1/order".to_owned() });
}

pub(super) fn duplicate_name(hand: &mut Hand<'_>) {
    // Somebody on the way sent it twice: the first was taken, and the second is what is answered.
    let nth = hand.nth(ORDERS);
    hand.add(
        request("POST", ORDER, nth),
        Fault::Error { code: -4116, message: "ClientOrderId is duplicated.".to_owned(), status: 400, executed: true },
    );
}

pub(super) fn cancel_too_late(hand: &mut Hand<'_>) {
    let on = hand.cancels();
    if hand.once_in(2) {
        // A cancel that is slow meets an order that has filled.
        let ms = hand.between(300, RECV_WINDOW - 100);
        return hand.add(on, Fault::Delay { ms, of: Way::Request });
    }
    // It arrives twice: the first one cancelled, and the second is what is answered.
    let (code, message) = hand.pick(&[(-2011, "Unknown order sent."), (-2013, "Order does not exist.")]);
    hand.add(on, Fault::Error { code, message: message.to_owned(), status: 400, executed: true });
}

pub(super) fn cancel_unanswered(hand: &mut Hand<'_>) {
    let nth = hand.nth(CANCELS);
    let on = || request("DELETE", ORDER, nth);
    if hand.once_in(2) {
        let ms = hand.between(200, RECV_WINDOW - 100);
        hand.add(on(), Fault::Delay { ms, of: Way::Request });
    }
    let fault = if hand.once_in(3) {
        Fault::DropRequest { how: How::Timeout }
    } else {
        Fault::DropAnswer { how: How::Timeout }
    };
    hand.add(on(), fault);
}
