//! Each law of the fault campaign is broken by hand once, and caught; and the same run without the fault is clean.

mod auditor_support;
mod gateway_support;

use alphaengine_core::order::OrderSpec;
use alphaengine_core::units::Money;
use alphaengine_sim::auditor::{Invariant, Seen};
use auditor_support::{Stage, Way, buy, executed, name, sell};
use gateway_support::{BTC, price, qty};

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
fn i2_a_request_that_is_not_its_intent_is_caught() {
    let mut stage = Stage::new();
    stage.wants("ae-1", buy("0.5"));
    stage.sends("ae-1", &buy("0.6"), Way::Clear);
    stage.breaks("I2");
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

#[test]
fn names_and_specs_of_the_stage_are_those_of_the_log() {
    let spec = OrderSpec::limit(BTC, alphaengine_core::order::Side::Buy, qty("0.5"), price("90000"));
    let (path, params) = auditor_support::order_params("ae-9", &spec);
    assert_eq!(path, "/fapi/v1/order");
    assert!(params.ends_with("newClientOrderId=ae-9") && name("ae-9").as_str() == "ae-9");
}
