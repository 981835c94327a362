//! Each law of the fault campaign is broken by hand once, and caught; and the same run without the fault is clean.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

mod auditor_support;
mod gateway_support;

use alphaengine_core::command::Actor;
use alphaengine_core::event::{
    OrderCanceled, OrderOutcomeUnknown, OrderPlaced, OrderProvenAbsent, OrderRejected, OrderRequested, TransferBooked,
};
use alphaengine_core::exchange::{ExchangeError, TransferReason};
use alphaengine_core::mode::EngineMode;
use alphaengine_core::order::{OrderSpec, OrderType, Side};
use alphaengine_core::state::State;
use alphaengine_core::units::Money;
use alphaengine_sim::auditor::{Invariant, Seen};
use auditor_support::{Stage, WINDOW_MS, Way, buy, executed, name, sell};
use gateway_support::{BTC, instruments, price, qty};

#[test]
fn every_law_has_its_number_and_a_sentence() {
    for (index, invariant) in Invariant::ALL.into_iter().enumerate() {
        assert_eq!(invariant.code(), format!("I{}", index + 1));
        assert!(invariant.law().ends_with('.') && invariant.law().len() > 20, "{invariant}");
    }
}

/// A round trip as it should be, to the end.
fn round_trip() -> Stage {
    let mut stage = Stage::new();
    stage.exchange.listen_to_user();
    stage.trades("ae-1", buy("0.5"));
    stage.market("101000");
    stage.trades("ae-2", sell("0.5").reduce_only());
    stage
}

#[test]
fn a_round_trip_as_it_should_be_breaks_nothing() {
    let mut stage = round_trip();
    stage.quiet();
    for invariant in
        [Invariant::I1, Invariant::I2, Invariant::I5, Invariant::I6, Invariant::I7, Invariant::I8, Invariant::I9]
    {
        stage.is_clean(invariant);
    }
}

#[test]
fn i1_a_resend_under_a_new_name_makes_two_orders_of_one_command() {
    let mut stage = Stage::new();
    let command = stage.wants("ae-1", buy("0.5"));
    stage.sends("ae-1", &buy("0.5"), Way::AnswerLost);
    stage.wants_by(command, "ae-2", buy("0.5"));
    stage.sends("ae-2", &buy("0.5"), Way::Clear);
    stage.breaks("I1 I3");
}

#[test]
fn i1_a_resend_under_the_same_name_makes_two_orders_of_one_name() {
    let mut stage = Stage::new();
    stage.wants("ae-1", buy("0.5"));
    stage.sends("ae-1", &buy("0.5"), Way::Clear);
    stage.sends("ae-1", &buy("0.5"), Way::Clear);
    stage.breaks("I1");
    let seen = stage.auditor.violations().len();
    stage.quiet();
    let twice = stage.auditor.violations()[seen..].iter().any(|violation| violation.invariant == Invariant::I1);
    assert!(twice, "the end shows it too");
}

#[test]
fn i1_two_commands_may_want_the_same() {
    let mut stage = Stage::new();
    stage.trades("ae-1", buy("0.5"));
    stage.trades("ae-2", buy("0.5"));
    stage.is_clean(Invariant::I1);
}

#[test]
fn i1_the_number_of_a_command_that_was_lost_with_the_disk_is_given_again_to_another_wish() {
    for is_lost in [true, false] {
        let mut stage = Stage::new();
        let command = stage.wants("ae-1", buy("0.5"));
        stage.sends("ae-1", &buy("0.5"), Way::Clear);
        stage.see(Seen::ProcessEnded);
        if is_lost {
            stage.log.pop();
        }
        stage.state = State::new(&instruments());
        stage.log.iter().for_each(|recorded| stage.state.apply(recorded).unwrap());
        stage.began();
        stage.wants_by(command, "ae-2", buy("0.5"));
        stage.sends("ae-2", &buy("0.5"), Way::Clear);
        let is_twice = stage.auditor.violations().iter().any(|violation| violation.invariant == Invariant::I1);
        assert_eq!(is_twice, !is_lost);
    }
}

#[test]
fn i2_a_request_that_leaves_before_its_intent_is_durable_is_caught() {
    let mut stage = Stage::new();
    stage.wants("ae-1", buy("0.5"));
    let (path, params) = auditor_support::order_params("ae-1", &buy("0.5"));
    stage.asks("POST", path, &params, Some(false), Way::Clear);
    stage.breaks("I2");
}

#[test]
fn i2_a_request_without_an_intent_is_caught() {
    let mut stage = Stage::new();
    stage.sends("ae-1", &buy("0.5"), Way::Clear);
    stage.breaks("I2");
}

#[test]
fn i2_without_a_store_what_closes_needs_no_intent_and_what_opens_does() {
    let mut stage = Stage::new();
    stage.exchange.listen_to_user();
    stage.trades("ae-1", buy("0.5"));
    stage.see(Seen::StorageDistrusted);
    stage.sends("last-1", &sell("0.5").reduce_only(), Way::AnswerLost);
    stage.books();
    // Opening a store is not trusting it.
    stage.began();
    stage.sends("last-2", &sell("0.5").reduce_only(), Way::AnswerLost);
    stage.is_clean(Invariant::I2);
    stage.is_clean(Invariant::I26);
    stage.wait_ms(10_000);
    stage.sends("last-3", &buy("0.5"), Way::AnswerLost);
    stage.breaks("I2 I26");
    let seen = stage.auditor.violations().len();
    stage.see(Seen::StorageTrusted);
    stage.sends("last-4", &sell("0.1").reduce_only(), Way::Lost);
    let laws: Vec<Invariant> = stage.auditor.violations()[seen..].iter().map(|found| found.invariant).collect();
    assert_eq!(laws, [Invariant::I2], "on a store it needs one");
}

#[test]
fn i2_without_a_store_an_order_that_cannot_but_close_its_side_needs_no_intent() {
    let mut stage = Stage::new();
    stage.see(Seen::StorageDistrusted);
    stage.wait_ms(10_000);
    let order = |side: &str, of: &str, name: &str| {
        format!("symbol=BTCUSDT&side={side}&positionSide={of}&type=MARKET&quantity=0.5&newClientOrderId={name}")
    };
    for (side, of) in [("SELL", "LONG"), ("BUY", "SHORT")] {
        stage.asks("POST", "/fapi/v1/order", &order(side, of, &format!("last-{side}")), None, Way::Lost);
    }
    stage.is_clean(Invariant::I2);
    stage.asks("POST", "/fapi/v1/order", &order("BUY", "LONG", "last-3"), None, Way::Lost);
    stage.breaks("I2 I26");
}

#[test]
fn i2_a_request_that_is_not_its_intent_is_caught() {
    let mut stage = Stage::new();
    stage.wants("ae-1", buy("0.5"));
    stage.sends("ae-1", &buy("0.6"), Way::Clear);
    stage.breaks("I2");
}

/// The question after an order, and its answer.
fn asks_about(stage: &mut Stage, id: &str, way: Way) -> Option<u16> {
    let params = format!("symbol=BTCUSDT&origClientOrderId={id}");
    stage.asks("GET", "/fapi/v1/order", &params, None, way).map(|response| response.status)
}

/// An order that never arrived, and a question about it so many milliseconds later.
fn lost_and_asked_after(millis: i64) -> Stage {
    let mut stage = Stage::new();
    stage.wants("ae-1", buy("0.5"));
    stage.sends("ae-1", &buy("0.5"), Way::Lost);
    let unknown = OrderOutcomeUnknown { client_order_id: name("ae-1"), reason: "lost".into() };
    stage.logs(Some(1), Some(BTC), unknown);
    stage.wait_ms(millis);
    assert_eq!(asks_about(&mut stage, "ae-1", Way::Clear), Some(400));
    stage
}

#[test]
fn i3_not_there_is_believed_only_after_the_window() {
    let absent = || OrderProvenAbsent { client_order_id: name("ae-1") };
    let mut stage = lost_and_asked_after(WINDOW_MS + 1);
    stage.logs(Some(1), Some(BTC), absent());
    stage.steps();
    stage.is_clean(Invariant::I3);
    let mut early = lost_and_asked_after(WINDOW_MS - 1);
    early.logs(Some(1), Some(BTC), absent());
    early.breaks("I3");
}

#[test]
fn i3_an_order_that_is_proven_absent_may_be_sent_again() {
    let mut stage = lost_and_asked_after(WINDOW_MS + 1);
    stage.sends("ae-1", &buy("0.5"), Way::Clear);
    stage.is_clean(Invariant::I3);
}

#[test]
fn i3_an_order_in_doubt_is_not_sent_again_under_the_same_name() {
    for way in [Way::Lost, Way::AnswerLost] {
        let mut stage = Stage::new();
        stage.wants("ae-1", buy("0.5"));
        stage.sends("ae-1", &buy("0.5"), way);
        stage.sends("ae-1", &buy("0.5"), Way::Lost);
        stage.breaks("I3");
    }
}

/// Sends an order that never arrives, hears this instead of an answer, and sends it again.
fn resends_after(status: u16, body: &str) -> String {
    let mut stage = Stage::new();
    stage.wants("ae-1", buy("0.5"));
    let (path, params) = auditor_support::order_params("ae-1", &buy("0.5"));
    let (id, _) = stage.hands_over("POST", path, &params, Some(true));
    stage.see(Seen::Got { id, status: Some(status), headers: &[], body: body.as_bytes() });
    stage.sends("ae-1", &buy("0.5"), Way::Clear);
    stage.broken()
}

#[test]
fn i3_what_was_not_executed_may_be_sent_again_and_what_may_have_been_may_not() {
    for (status, body) in [
        (400, r#"{"code":-1021,"msg":"Timestamp for this request is outside of the recvWindow."}"#),
        (503, r#"{"code":-1008,"msg":"Request throttled by system-level protection."}"#),
        (503, "Service Unavailable."),
        (503, r#"{"code":-1001,"msg":"Internal error; unable to process your request. Please try again."}"#),
        (403, "<html>"),
        (502, "<html>an error page of a gateway, and the order never arrived</html>"),
    ] {
        assert_eq!(resends_after(status, body), "", "{status} {body}");
    }
    for (status, body) in [
        (503, "Unknown error, please check your request or try again later."),
        (400, r#"{"code":-1007,"msg":"Timeout waiting for response from backend server."}"#),
        (400, r#"{"code":-1006,"msg":"An unexpected response was received."}"#),
        (400, r#"{"code":-4116,"msg":"ClientOrderId is duplicated."}"#),
        (200, r#"{"orderId":1,"clientOrd"#),
        (408, ""),
    ] {
        assert_eq!(resends_after(status, body), "I3", "{status} {body}");
    }
}

#[test]
fn i3_what_never_left_may_be_sent_again() {
    let mut stage = Stage::new();
    stage.wants("ae-1", buy("0.5"));
    let (path, params) = auditor_support::order_params("ae-1", &buy("0.5"));
    let (id, _) = stage.hands_over("POST", path, &params, Some(true));
    stage.see(Seen::NotSent { id });
    stage.sends("ae-1", &buy("0.5"), Way::Clear);
    stage.is_clean(Invariant::I3);
}

#[test]
fn i3_an_answer_that_was_under_way_when_the_process_died_is_unknown() {
    let mut stage = Stage::new();
    stage.wants("ae-1", buy("0.5"));
    let (path, params) = auditor_support::order_params("ae-1", &buy("0.5"));
    stage.hands_over("POST", path, &params, Some(true));
    stage.see(Seen::ProcessEnded);
    stage.began();
    stage.sends("ae-1", &buy("0.5"), Way::Clear);
    stage.breaks("I3");
}

#[test]
fn i3_an_order_in_doubt_is_not_refused() {
    let rejected = || OrderRejected {
        client_order_id: name("ae-1"),
        error: ExchangeError { code: -2010, message: "made up".into() },
    };
    let mut stage = Stage::new();
    stage.wants("ae-1", buy("0.5"));
    stage.sends("ae-1", &buy("0.5"), Way::Lost);
    stage.logs(Some(1), Some(BTC), rejected());
    stage.breaks("I3");
    let mut refused = Stage::new();
    refused.wants("ae-1", buy("5000"));
    let response = refused.sends("ae-1", &buy("5000"), Way::Clear).unwrap();
    assert_eq!(response.status, 400);
    refused.logs(Some(1), Some(BTC), rejected());
    refused.is_clean(Invariant::I3);
}

#[test]
fn i3_each_order_of_a_batch_has_an_answer_of_its_own() {
    let batch = |size: &str| {
        let order = |id: &str, size: &str| {
            format!(
                r#"{{"symbol":"BTCUSDT","side":"BUY","type":"MARKET","quantity":"{size}","newClientOrderId":"{id}"}}"#
            )
        };
        format!("batchOrders=%5B{}%2C{}%5D", order("ae-1", "0.5"), order("ae-2", size)).replace('"', "%22")
    };
    let mut stage = Stage::new();
    stage.wants("ae-1", buy("0.5"));
    stage.wants("ae-2", buy("5000"));
    let response = stage.asks("POST", "/fapi/v1/batchOrders", &batch("5000"), Some(true), Way::Clear).unwrap();
    assert_eq!(response.status, 200, "{}", String::from_utf8_lossy(&response.body));
    // The second was refused, so it may leave again; the first was taken.
    stage.sends("ae-2", &buy("5000"), Way::Clear);
    stage.is_clean(Invariant::I3);
    stage.sends("ae-1", &buy("0.5"), Way::Clear);
    stage.breaks("I1");
}

#[test]
fn i4_a_name_is_given_once() {
    let mut stage = Stage::new();
    stage.wants("ae-1", buy("0.5"));
    let again = OrderRequested { client_order_id: name("ae-1"), actor: Actor::Strategy, spec: sell("0.5") };
    stage.forces(Some(2), Some(BTC), again);
    stage.breaks("I4");
}

#[test]
fn i4_a_name_whose_intent_was_lost_is_not_given_to_another_order() {
    let run = |is_sent: bool| {
        let mut stage = Stage::new();
        let before = (stage.log.len(), stage.state.clone());
        stage.wants("ae-1", buy("0.5"));
        if is_sent {
            let response = stage.sends("ae-1", &buy("0.5"), Way::Clear).unwrap();
            assert_eq!(response.status, 200);
        }
        // Power is lost, and the intent with it.
        stage.see(Seen::ProcessEnded);
        stage.log.truncate(before.0);
        stage.state = before.1;
        stage.wait_ms(1_000);
        stage.began();
        stage.start_session();
        stage.compared();
        stage.mode(EngineMode::Running);
        stage.wants("ae-1", sell("0.5"));
        stage.sends("ae-1", &sell("0.5"), Way::Clear);
        stage
    };
    run(false).is_clean(Invariant::I4);
    assert!(run(true).broken().contains("I4"));
}

#[test]
fn i5_a_fill_that_the_log_lacks_is_caught() {
    let mut stage = round_trip();
    let command = stage.wants("ae-3", buy("0.1"));
    let response = stage.sends("ae-3", &buy("0.1"), Way::Clear).unwrap();
    stage.placed(command, "ae-3", &response);
    stage.quiet();
    assert!(stage.broken().starts_with("I5 I8 I9"), "{}", stage.broken());
}

#[test]
fn i5_what_others_traded_before_the_log_met_the_account_is_no_business_of_it() {
    for is_late in [false, true] {
        let mut stage = Stage::bare(|_| {});
        if is_late {
            stage.boot();
            stage.wait_ms(1);
        }
        stage.sends("web_1", &buy("0.5"), Way::Clear).unwrap();
        stage.wait_ms(1);
        if !is_late {
            stage.boot();
        }
        stage.quiet();
        assert_eq!(stage.broken().contains("I5"), is_late, "{}", stage.broken());
    }
}

#[test]
fn i5_a_fill_that_is_another_one_is_caught() {
    let mut stage = Stage::new();
    stage.wants("ae-1", buy("0.5"));
    stage.sends("ae-1", &buy("0.5"), Way::Clear);
    for mut trade in stage.unbooked() {
        trade.price = price("99999.9");
        stage.logs(None, Some(BTC), executed(&trade));
    }
    stage.steps();
    stage.quiet();
    stage.breaks("I5");
}

#[test]
fn i6_a_fill_that_is_booked_twice_is_caught() {
    let mut stage = Stage::new();
    stage.wants("ae-1", buy("0.5"));
    stage.sends("ae-1", &buy("0.5"), Way::Clear);
    let trades = stage.unbooked();
    stage.logs(None, Some(BTC), executed(&trades[0]));
    stage.logs(None, Some(BTC), executed(&trades[0]));
    assert!(stage.broken().contains("I6"), "{}", stage.broken());
}

#[test]
fn i6_a_position_that_moves_otherwise_than_by_its_fills_is_caught() {
    let mut stage = Stage::new();
    stage.trades("ae-1", buy("0.5"));
    stage.is_clean(Invariant::I6);
    stage.wants("ae-2", buy("0.5"));
    stage.sends("ae-2", &buy("0.5"), Way::Clear);
    let trade = executed(&stage.unbooked()[0]);
    // The log books what happened, and the process half of it.
    let mut half = trade.clone();
    half.fill.qty = qty("0.25");
    let applied = stage.recorded(None, Some(BTC), half.into());
    stage.state.apply(&applied).unwrap();
    stage.forces(None, Some(BTC), trade);
    stage.steps();
    stage.breaks("I6");
}

#[test]
fn i7_an_order_that_is_filled_beyond_its_size_is_caught() {
    let mut stage = Stage::new();
    stage.wants("ae-1", buy("0.5"));
    stage.sends("ae-1", &buy("0.5"), Way::Clear);
    let mut trade = executed(&stage.unbooked()[0]);
    trade.fill.qty = qty("0.6");
    stage.forces(None, Some(BTC), trade);
    stage.breaks("I7");
}

#[test]
fn i7_the_fills_of_a_conditional_order_whose_trigger_nobody_told_are_those_of_its_child() {
    let mut stage = Stage::new();
    stage.trades("ae-1", buy("0.5"));
    let stop = sell("0.5").with_type(OrderType::StopMarket { trigger: price("99000") });
    let command = stage.wants("ae-2", stop);
    let response = stage.sends("ae-2", &stop, Way::Clear).unwrap();
    stage.placed(command, "ae-2", &response);
    stage.exchange.trade(BTC, 1, "98000", "1");
    stage.hears();
    stage.books();
    stage.commits();
    stage.steps();
    assert_eq!(stage.state.orders.len(), 0, "it is filled");
    stage.quiet();
    stage.is_clean(Invariant::I7);
    stage.is_clean(Invariant::I5);
}

#[test]
fn i7_a_cumulative_quantity_that_falls_is_caught() {
    let mut stage = Stage::new();
    let frame = |filled: &str| {
        format!(
            r#"{{"e":"ORDER_TRADE_UPDATE","E":1,"o":{{"s":"BTCUSDT","c":"ae-1","i":7,"X":"PARTIALLY_FILLED","q":"1","z":"{filled}","R":false,"ps":"BOTH"}}}}"#
        )
    };
    for filled in ["0", "0.3", "0.3", "0.4"] {
        stage.see(Seen::Said { route: "private", text: &frame(filled) });
    }
    stage.is_clean(Invariant::I7);
    stage.see(Seen::Said { route: "private", text: &frame("0.35") });
    stage.breaks("I7");
}

#[test]
fn i8_a_position_that_nobody_traded_is_caught() {
    let mut stage = round_trip();
    let adopted = alphaengine_core::event::PositionAdopted {
        position_side: alphaengine_core::order::PositionSide::Both,
        qty: qty("0.1"),
        entry_price: price("100000"),
    };
    stage.logs(None, Some(BTC), adopted);
    stage.steps();
    stage.quiet();
    stage.breaks("I8");
}

#[test]
fn i9_a_fee_that_is_a_step_off_is_caught() {
    let mut stage = Stage::new();
    stage.wants("ae-1", buy("0.5"));
    stage.sends("ae-1", &buy("0.5"), Way::Clear);
    let mut trade = executed(&stage.unbooked()[0]);
    trade.fill.fee = trade.fill.fee.saturating_add(Money::from_steps(1));
    stage.logs(None, Some(BTC), trade);
    stage.steps();
    stage.quiet();
    stage.breaks("I5 I9");
}

#[test]
fn i9_a_correction_that_nothing_explains_is_caught() {
    let mut stage = round_trip();
    let amount = Money::from_steps(7);
    let book =
        |amount, id| TransferBooked { id, asset: "USDT".parse().unwrap(), amount, reason: TransferReason::Reconciled };
    stage.logs(None, None, book(amount, 90));
    stage.logs(None, None, book(Money::from_steps(-7), 91));
    stage.steps();
    stage.quiet();
    stage.is_clean(Invariant::I9);
    stage.logs(None, None, book(amount, 92));
    stage.quiet();
    stage.breaks("I9");
}

#[test]
fn i10_a_ledger_that_is_not_the_sum_of_its_events_is_caught() {
    let mut stage = Stage::new();
    stage.trades("ae-1", buy("0.5"));
    stage.is_clean(Invariant::I10);
    stage.wants("ae-2", sell("0.5"));
    stage.sends("ae-2", &sell("0.5"), Way::Clear);
    let trade = executed(&stage.unbooked()[0]);
    // The process rounds the fee to cents; its own books still balance.
    let mut rounded = trade.clone();
    rounded.fill.fee = Money::from_steps(trade.fill.fee.steps() / 1_000_000 * 1_000_000 + 1_000_000);
    let applied = stage.recorded(None, Some(BTC), rounded.into());
    stage.state.apply(&applied).unwrap();
    stage.forces(None, Some(BTC), trade);
    stage.steps();
    stage.breaks("I6 I10");
}

/// A resting order that was placed.
fn resting() -> Stage {
    let mut stage = Stage::new();
    let spec = OrderSpec::limit(BTC, Side::Buy, qty("0.5"), price("90000"));
    stage.exchange.listen_to_user();
    let command = stage.wants("ae-1", spec);
    let response = stage.sends("ae-1", &spec, Way::Clear).unwrap();
    stage.placed(command, "ae-1", &response);
    stage
}

fn canceled() -> OrderCanceled {
    OrderCanceled { client_order_id: name("ae-1") }
}

#[test]
fn i11_a_cancel_counts_when_the_exchange_says_so() {
    let mut stage = resting();
    stage.wants_cancel("ae-1");
    stage.asks("DELETE", "/fapi/v1/order", "symbol=BTCUSDT&origClientOrderId=ae-1", Some(true), Way::Clear);
    stage.logs(Some(2), Some(BTC), canceled());
    stage.steps();
    stage.quiet();
    stage.is_clean(Invariant::I11);
}

#[test]
fn i11_a_cancel_that_was_lost_is_no_end() {
    let mut stage = resting();
    stage.wants_cancel("ae-1");
    stage.asks("DELETE", "/fapi/v1/order", "symbol=BTCUSDT&origClientOrderId=ae-1", Some(true), Way::Lost);
    stage.logs(Some(2), Some(BTC), canceled());
    stage.breaks("I11");
    let seen = stage.auditor.violations().len();
    stage.quiet();
    assert!(stage.auditor.violations().len() > seen, "in the end the exchange still has it");
}

#[test]
fn i11_an_end_that_only_a_question_shows_is_one() {
    let mut stage = resting();
    // Somebody else cancels it, and no stream tells.
    let (id, query) = stage.hands_over("DELETE", "/fapi/v1/order", "symbol=BTCUSDT&origClientOrderId=ae-1", None);
    stage.exchange.raw("DELETE", "/fapi/v1/order", &query, "", Some(gateway_support::KEY));
    stage.exchange.heard.clear();
    stage.gets(id, None);
    assert_eq!(asks_about(&mut stage, "ae-1", Way::Clear), Some(200));
    stage.logs(None, Some(BTC), canceled());
    stage.is_clean(Invariant::I11);
}

#[test]
fn i11_what_has_ended_stays_so() {
    let mut stage = resting();
    stage.wants_cancel("ae-1");
    stage.asks("DELETE", "/fapi/v1/order", "symbol=BTCUSDT&origClientOrderId=ae-1", Some(true), Way::Clear);
    stage.logs(Some(2), Some(BTC), canceled());
    stage.is_clean(Invariant::I11);
    stage.forces(Some(1), Some(BTC), OrderPlaced { client_order_id: name("ae-1"), order_id: 1 });
    stage.breaks("I11");
}

#[test]
fn i14_a_gap_in_the_log_is_caught() {
    let mut stage = Stage::new();
    let mut recorded = stage.recorded(None, None, alphaengine_core::event::TimerFired { name: "a".into() }.into());
    recorded.seq += 1;
    stage.appends(recorded);
    stage.breaks("I14");
}

#[test]
fn i14_a_store_that_lacks_what_was_written_is_caught() {
    let mut stage = round_trip();
    stage.quiet();
    stage.is_clean(Invariant::I14);
    stage.log.pop();
    stage.quiet();
    assert!(stage.broken().contains("I14"), "{}", stage.broken());
}
