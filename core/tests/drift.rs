//! Differences between a live session and the exchange that are rare, and what becomes of an operator's word that ends badly.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot run should say so at once")]

mod support;

use alphaengine_core::command::OperatorOrder;
use alphaengine_core::event::Event;
use alphaengine_core::exchange::{Outcome, Request, Setting, Standing};
use alphaengine_core::prelude::*;
use alphaengine_core::store::MemoryLog;
use support::venue::{Venue, live};
use support::{BTC, Desk, ETH, SECOND, money, price, qty};

fn limit(quantity: &str, at: &str) -> OrderSpec {
    OrderSpec::limit(BTC, Side::Buy, qty(quantity), price(at))
}

fn drifts(desk: &Desk<MemoryLog>) -> Vec<String> {
    let line = |event: &Event| match event {
        Event::DriftDetected(drift) => {
            Some(format!("{:?} {}: {} / {}", drift.kind, drift.subject, drift.ours, drift.theirs))
        }
        _ => None,
    };
    desk.events().iter().filter_map(|recorded| line(&recorded.event)).collect()
}

/// What the rounds say that they found, in all.
fn differences_of_rounds(desk: &Desk<MemoryLog>) -> u64 {
    let found = |event: &Event| match event {
        Event::ReconcileFinished(finished) => finished.drifts,
        _ => 0,
    };
    desk.events().iter().map(|recorded| found(&recorded.event)).sum()
}

/// Why the operator's commands failed, if they did.
fn errors(desk: &Desk<MemoryLog>) -> Vec<Option<String>> {
    let error = |event: &Event| match event {
        Event::OperatorCommandFinished(finished) => Some(finished.error.clone()),
        _ => None,
    };
    desk.events().iter().filter_map(|recorded| error(&recorded.event)).collect()
}

#[test]
fn an_isolated_margin_that_the_exchange_moved_is_taken_over_and_named() {
    let mut venue = Venue::new();
    let mut desk = venue.boot(live());
    desk.trade("1", "100");
    venue.trade(desk.now, 1_002, 1_001, "1", "100");
    venue.position("1", "100");
    venue.holds("9999.96");
    venue.account.positions[0].margin = money("25");
    venue.wait(&mut desk, 40);
    assert_eq!(drifts(&desk), ["Margin BTCUSDT:BOTH: 0 / 25"]);
    assert_eq!(desk.state().margin(BTC, PositionSide::Both), money("25"));
}

#[test]
fn settings_that_somebody_else_changed_are_taken_over_and_named() {
    let mut venue = Venue::new();
    let leverage = |leverage| (Some(BTC), Setting::Leverage { leverage });
    let isolated = |isolated| (Some(BTC), Setting::MarginType { isolated });
    venue.account.settings = vec![leverage(20), isolated(false)];
    let mut desk = venue.boot(live());
    assert_eq!(drifts(&desk), [""; 0], "what was never believed is no surprise");
    venue.account.settings = vec![leverage(5), isolated(true)];
    venue.wait(&mut desk, 40);
    let found = drifts(&desk);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].ends_with(": leverage 20 / leverage 5"), "{found:?}");
    assert!(found[1].ends_with(": cross margin / isolated margin"), "{found:?}");
    assert_eq!((desk.state().symbols[0].leverage, desk.state().symbols[0].isolated), (Some(5), Some(true)));
}

#[test]
fn an_order_that_traded_more_than_its_size_was_made_larger_by_somebody() {
    let mut venue = Venue::new();
    let mut desk = venue.boot(live());
    let name = desk.placed(limit("3", "95"));
    let order_id = desk.state().orders[&name].order_id;
    venue.trade(desk.now, 5_000, order_id, "5", "95");
    venue.orders.insert(name, (order_id, qty("5"), Standing::Filled));
    venue.position("5", "95");
    venue.wait(&mut desk, 40);
    assert_eq!(drifts(&desk), [format!("OrderChanged {name}: 3 / 5")]);
    assert_eq!(differences_of_rounds(&desk), 2, "the trade that nobody told, and the size");
    assert_eq!(desk.state().position(BTC, PositionSide::Both).qty(), qty("5"));
    assert_eq!(desk.state().orders.len(), 0);
}

#[test]
fn an_order_that_the_exchange_has_forgotten_after_days_ends_and_a_younger_one_does_not() {
    for (days, drift) in [(1, false), (4, true)] {
        let mut venue = Venue::new();
        let mut desk = venue.boot(live());
        let name = desk.placed(limit("3", "95"));
        let order_id = desk.state().orders[&name].order_id;
        venue.open_order(name, order_id, limit("3", "95"));
        desk.now = desk.now.plus(days * 86_400 * SECOND);
        venue.wait(&mut desk, 40);
        assert_eq!(drifts(&desk), [""; 0]);
        // It is neither among the open orders nor found by its name.
        venue.account.orders.clear();
        venue.wait(&mut desk, 70);
        let expected = if drift { vec![format!("OrderMissing {name}: NEW / NOT THERE")] } else { vec![] };
        assert_eq!(drifts(&desk), expected, "after {days} days");
        assert_eq!(desk.state().orders.is_empty(), drift, "after {days} days");
    }
}

#[test]
fn a_setting_that_the_snapshot_does_not_tell_is_not_called_refused() {
    let mut venue = Venue::new();
    let mut desk = venue.boot(live());
    let sent = desk.operator("a", OperatorOrder::SetLeverage { symbol: BTC, leverage: 5 });
    desk.lost(sent[0].id);
    // Another setting of the symbol, and this one of another symbol.
    venue.account.settings =
        vec![(Some(BTC), Setting::MarginType { isolated: false }), (Some(ETH), Setting::Leverage { leverage: 20 })];
    venue.wait(&mut desk, 70);
    assert_eq!(errors(&desk), [], "nothing is known of it");
    venue.account.settings = vec![(Some(BTC), Setting::Leverage { leverage: 20 })];
    venue.wait(&mut desk, 70);
    assert_eq!(errors(&desk).len(), 1, "now it is");
}

#[test]
fn an_order_is_never_made_smaller_than_what_it_traded() {
    let mut venue = Venue::new();
    let mut desk = venue.boot(live());
    let name = desk.placed(limit("3", "95"));
    let order_id = desk.state().orders[&name].order_id;
    desk.fill(name, "2", "95");
    venue.trade(desk.now, order_id + 1, order_id, "2", "95");
    venue.position("2", "95");
    venue.holds("9999.924");
    venue.open_order(name, order_id, limit("1", "95"));
    venue.account.orders[0].filled = qty("2");
    venue.wait(&mut desk, 70);
    assert_eq!((desk.state().orders[&name].qty, desk.state().orders[&name].filled), (qty("3"), qty("2")));
}

#[test]
fn an_operators_order_that_never_arrived_is_a_command_that_failed() {
    let mut venue = Venue::new();
    let mut desk = venue.boot(live());
    let sent = desk.operator("a", OperatorOrder::PlaceOrder { spec: limit("1", "90") });
    assert!(matches!(sent[0].request, Request::PlaceOrder { .. }));
    desk.lost(sent[0].id);
    assert_eq!(errors(&desk), []);
    venue.wait(&mut desk, 15);
    assert_eq!(errors(&desk), [Some("the order never reached the exchange".into())]);
}

#[test]
fn a_cancel_that_is_refused_is_a_command_that_failed() {
    let mut venue = Venue::new();
    let mut desk = venue.boot(live());
    let name = desk.placed(limit("1", "90"));
    venue.open_order(name, desk.state().orders[&name].order_id, limit("1", "90"));
    let sent = desk.operator("a", OperatorOrder::CancelAll { symbol: BTC });
    let error = alphaengine_core::exchange::ExchangeError { code: -1000, message: "no".into() };
    desk.answer(sent[0].id, Outcome::Rejected(error));
    assert_eq!(errors(&desk), [Some("exchange code -1000: no".into())]);
}

#[test]
fn what_an_earlier_process_left_undone_is_ended_and_not_begun_again() {
    let mut venue = Venue::new();
    let mut desk = venue.boot(live());
    desk.operator("a", OperatorOrder::PlaceOrder { spec: limit("1", "90") });
    let mut desk = venue.restart(desk, live());
    // Until it is proven that the order did not arrive, the boot waits.
    venue.wait(&mut desk, 15);
    let ends = errors(&desk);
    assert!(
        matches!(&ends[..], [Some(error)] if error.starts_with("the process ended before it was done")),
        "{ends:?}"
    );
    assert!(desk.state().operator_pending.is_empty());
    let placed = desk.sent.iter().filter(|sent| matches!(sent.request, Request::PlaceOrder { .. }));
    assert_eq!(placed.count(), 0);
}
