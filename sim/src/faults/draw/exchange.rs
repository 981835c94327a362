//! What the exchange says and does, F9, F10, F12 and F17 to F22.

use alphaengine_core::units::Money;

use super::hand::{At, BATCH, Hand, ORDER, ORDERS, request};
use crate::faults::{Fault, On};

pub(super) fn throttled(hand: &mut Hand<'_>) {
    if hand.once_in(2) {
        let (at, ms) = hand.span(2_000, 40_000);
        hand.add(At::ms(at), Fault::Throttle { seconds: ms / 1_000 });
    } else {
        // While orders or cancels are waiting behind it.
        let on = if hand.once_in(2) { hand.cancels() } else { hand.orders() };
        let seconds = hand.between(1, 30);
        hand.add(on, Fault::Throttle { seconds });
    }
}

pub(super) fn banned(hand: &mut Hand<'_>) {
    if hand.once_in(2) {
        let (at, ms) = hand.span(10_000, 120_000);
        hand.add(At::ms(at), Fault::Ban { seconds: ms / 1_000 });
    } else {
        let on = hand.orders();
        let seconds = hand.between(5, 60);
        hand.add(on, Fault::Ban { seconds });
    }
}

pub(super) fn clock(hand: &mut Hand<'_>) {
    match hand.below(3) {
        0 => {
            // Just beyond what is taken: a second ahead, or the window behind.
            let shift_ms = hand.pick(&[1_500, -1_500, 900, -2_500, 6_000, -6_000]);
            let on = hand.at();
            hand.add(on, Fault::Clock { shift_ms });
        }
        1 => {
            let shift_ms = hand.pick(&[120, -120, 300, -300]);
            let mut at = hand.moment() / 2;
            for _ in 0..hand.between(3, 8) {
                hand.add(At::ms(at), Fault::Clock { shift_ms });
                at += hand.between(2_000, 10_000);
            }
        }
        _ => {
            // Ahead, and back again.
            let shift_ms = hand.between(800, 4_000) as i64;
            let (at, lasts) = hand.span(5_000, 60_000);
            hand.add(At::ms(at), Fault::Clock { shift_ms });
            hand.add(At::ms((at + lasts).min(hand.scaled(240_000))), Fault::Clock { shift_ms: -shift_ms });
        }
    }
}

fn refused(hand: &mut Hand<'_>, on: On, code: i64, message: &str) {
    hand.add(on, Fault::Error { code, message: message.to_owned(), status: 400, executed: false });
}

pub(super) fn post_only_refused(hand: &mut Hand<'_>) {
    for _ in 0..hand.between(1, 3) {
        let nth = hand.nth(ORDERS);
        let message = "Due to the order could not be executed as maker, the Post Only order will be rejected.";
        refused(hand, request("POST", ORDER, nth), -5022, message);
    }
}

pub(super) fn liquidated(hand: &mut Hand<'_>) {
    // All but a little, once there may be a position; later it comes back.
    let most = hand.money(90, 110);
    let leaves = Money::ZERO.saturating_sub(most);
    let (at, lasts) = hand.span(10_000, 60_000);
    if hand.once_in(2) {
        hand.add(At::ms(at), Fault::Transfer { amount: leaves });
    } else {
        let on = hand.orders();
        hand.add(on, Fault::Transfer { amount: leaves });
    }
    hand.add(At::ms((at + lasts).min(hand.scaled(240_000))), Fault::Transfer { amount: most });
}

pub(super) fn wrong_endpoint(hand: &mut Hand<'_>) {
    for _ in 0..hand.between(1, 2) {
        let on = hand.orders();
        let message = "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.";
        refused(hand, on, -4120, message);
    }
}

pub(super) fn filters(hand: &mut Hand<'_>) {
    let symbol = hand.symbol();
    let times = hand.pick(&[2, 5, 10]);
    let on = if hand.once_in(3) { hand.orders() } else { hand.at() };
    hand.add(on, Fault::Filters { symbol, times });
}

pub(super) fn replica_lags(hand: &mut Hand<'_>) {
    // From less than a query's pause to more than the patience with an order.
    let ms = hand.pick(&[200, 1_000, 3_000, 8_000, 20_000, 90_000]);
    if hand.once_in(2) {
        let (at, lasts) = hand.span(5_000, 120_000);
        hand.add(At::ms(at), Fault::Lag { ms, seconds: lasts / 1_000 });
        return;
    }
    // And the answer to an order is lost just then, so that somebody asks the replica.
    let nth = hand.nth(ORDERS);
    let seconds = hand.between(5, 60);
    let how = hand.how();
    hand.add(request("POST", ORDER, nth), Fault::Lag { ms, seconds });
    hand.add(request("POST", ORDER, nth), Fault::DropAnswer { how });
}

pub(super) fn batch_in_part(hand: &mut Hand<'_>) {
    // The exchange must refuse a part by its own rules: an answer made up here would lie about what was carried out.
    let nth = hand.between(1, 4);
    if hand.once_in(2) {
        let symbol = hand.symbol();
        let times = hand.pick(&[2, 5, 10]);
        hand.add(request("POST", BATCH, nth), Fault::Filters { symbol, times });
    } else {
        let most = hand.money(80, 99);
        hand.add(request("POST", BATCH, nth), Fault::Transfer { amount: Money::ZERO.saturating_sub(most) });
        let at = hand.scaled(240_000);
        hand.add(At::ms(at), Fault::Transfer { amount: most });
    }
    if hand.once_in(3) {
        let how = hand.how();
        hand.add(request("POST", BATCH, nth), Fault::DropAnswer { how });
    }
}
