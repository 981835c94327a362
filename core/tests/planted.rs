//! Each planted mistake of the engine is really made when it is chosen, and is not made when it is not. The store's own, which no
//! test can see from outside, is proven beside it (`store/planted.rs`); those of the session stand with the session.

#![cfg(feature = "planted-bugs")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot run should say so at once")]

mod support;

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use alphaengine_core::engine::Engine;
use alphaengine_core::event::{Event, TransferBooked};
use alphaengine_core::exchange::{
    ExchangeUpdate, Execution, FundingPayment, Input, OrderUpdate, Outcome, Outgoing, Request, TransferReason,
};
use alphaengine_core::ledger::Account;
use alphaengine_core::link::Route;
use alphaengine_core::mode::EngineMode;
use alphaengine_core::planted::{Bug, plant};
use alphaengine_core::prelude::*;
use alphaengine_core::store::{MemoryLog, SqliteStore, StoreReader};
use support::venue::{Venue, down, live, up};
use support::{BTC, Desk, MILLI, Puppet, config, instruments, money, noon, price, qty, scope, words};

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

fn buy(quantity: &str) -> OrderSpec {
    OrderSpec::market(BTC, Side::Buy, qty(quantity))
}

/// How many orders were sent, and under how many names.
fn orders_and_names(sent: &[Outgoing]) -> (usize, usize) {
    let names = sent.iter().filter_map(|sent| match sent.request {
        Request::PlaceOrder { client_order_id, .. } => Some(client_order_id),
        _ => None,
    });
    let names: Vec<ClientOrderId> = names.collect();
    (names.len(), names.iter().collect::<BTreeSet<_>>().len())
}

fn count(desk: &Desk<MemoryLog>, event_type: &str) -> usize {
    desk.types().into_iter().filter(|found| *found == event_type).count()
}

fn held(desk: &Desk<MemoryLog>) -> String {
    desk.state().position(BTC, PositionSide::Both).qty().to_string()
}

/// An order whose answer is lost, and lost again where it is sent again: what left, and the intents that the log knows.
fn after_a_lost_answer() -> ((usize, usize), usize) {
    let mut desk = Desk::new();
    let (_, id) = desk.place(buy("1"));
    let again = desk.lost(id.unwrap());
    for outgoing in again {
        desk.lost(outgoing.id);
    }
    (orders_and_names(&desk.sent), count(&desk, "OrderRequested"))
}

#[test]
fn resend_new_id_places_a_lost_order_once_more_under_a_name_that_no_intent_has() {
    assert_eq!(without_and_with(Bug::ResendNewId, after_a_lost_answer), [((1, 1), 1), ((2, 2), 1)]);
}

#[test]
fn resend_same_id_places_a_lost_order_once_more_under_its_name() {
    assert_eq!(without_and_with(Bug::ResendSameId, after_a_lost_answer), [((1, 1), 1), ((2, 1), 1)]);
}

#[test]
fn believe_early_absence_takes_the_first_not_found_for_proof() {
    let found = without_and_with(Bug::BelieveEarlyAbsence, || {
        let mut desk = Desk::new();
        let (_, id) = desk.place(buy("1"));
        let asked = desk.lost(id.unwrap());
        let at_once = words(&asked) == ["query"];
        let asked = if at_once { asked } else { desk.wait(251 * MILLI) };
        desk.answer(asked[0].id, Outcome::NotFound);
        (at_once, count(&desk, "OrderProvenAbsent"), desk.state().orders.len())
    });
    assert_eq!(found, [(false, 0, 1), (true, 1, 0)]);
}

#[test]
fn no_backfill_loses_what_happened_in_a_gap_and_stands_by_its_books() {
    for restarts in [false, true] {
        let found = without_and_with(Bug::NoBackfill, || {
            let mut venue = Venue::new();
            let mut desk = venue.boot(live());
            let name = desk.placed(OrderSpec::limit(BTC, Side::Buy, qty("3"), price("95")));
            let order_id = desk.state().orders[&name].order_id;
            let now = desk.now;
            if !restarts {
                down(&mut desk, Route::Private);
            }
            venue.trade(now, 5_000, order_id, "3", "95");
            venue.orders.insert(name, (order_id, qty("3"), alphaengine_core::exchange::Standing::Filled));
            venue.position("3", "95");
            venue.holds("9999.5");
            let payment = FundingPayment {
                symbol: BTC,
                position_side: PositionSide::Both,
                settled_at: now,
                rate: None,
                mark: None,
                position: Qty::ONE,
                amount: money("-0.5"),
                id: None,
            };
            venue.income = vec![ExchangeUpdate::Funding(payment)];
            if restarts {
                desk = venue.restart(desk, live());
            } else {
                up(&mut desk, Route::Private);
            }
            venue.wait(&mut desk, 100);
            assert_eq!((desk.state().mode, desk.engine.is_reconciled()), (EngineMode::Running, true));
            assert_eq!(desk.state().orders.len(), 0, "that it is over is found out all the same");
            (count(&desk, "TradeExecuted"), held(&desk), desk.engine.account().wallet())
        });
        assert_eq!(found, [(1, "3".into(), money("9999.5")), (0, "0".into(), money("10000"))], "{restarts}");
    }
}

#[test]
fn send_before_persist_lets_an_order_leave_that_the_file_does_not_know() {
    let found = without_and_with(Bug::SendBeforePersist, || {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bot.db");
        let log = SqliteStore::create(&path, scope(), &instruments()).unwrap();
        let puppet = Puppet::default();
        let mut desk = Desk::over(Engine::new(config(), puppet.clone(), log), puppet, noon());
        desk.open();
        let is_durable = || {
            let recorded = StoreReader::open(&path).unwrap();
            let mut events = recorded.events().unwrap();
            events.any(|recorded| matches!(recorded.unwrap().event, Event::OrderRequested(_)))
        };
        let (_, id) = desk.place(buy("1"));
        assert!(id.is_some(), "the request has left");
        let when_it_leaves = is_durable();
        desk.step(Input::Wake);
        (when_it_leaves, is_durable())
    });
    assert_eq!(found, [(true, true), (false, true)]);
}

#[test]
fn no_fill_dedup_books_a_trade_as_often_as_it_is_told() {
    let found = without_and_with(Bug::NoFillDedup, || {
        let mut venue = Venue::new();
        let mut desk = venue.boot(live());
        let name = desk.placed(buy("1"));
        let fill = desk.fill_of(name, Qty::ONE, price("100"));
        let (side, position_side, execution) = (Side::Buy, PositionSide::Both, Execution::Trade(fill));
        let order_id = desk.state().orders[&name].order_id;
        let told =
            OrderUpdate { at: desk.now, client_order_id: name, order_id, symbol: BTC, side, position_side, execution };
        for _ in 0..2 {
            desk.hear(&ExchangeUpdate::Order(told));
        }
        (count(&desk, "TradeExecuted"), held(&desk))
    });
    assert_eq!(found, [(1, "1".into()), (2, "2".into())]);
}

#[test]
fn no_fill_dedup_is_silent_on_a_store_that_refuses_what_it_has() {
    let found = without_and_with(Bug::NoFillDedup, || {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bot.db");
        let log = SqliteStore::create(&path, scope(), &instruments()).unwrap();
        let puppet = Puppet::default();
        let mut desk = Desk::over(Engine::new(config(), puppet.clone(), log), puppet, noon());
        desk.open();
        let name = desk.placed(buy("1"));
        let fill = desk.fill_of(name, Qty::ONE, price("100"));
        let (side, position_side, execution) = (Side::Buy, PositionSide::Both, Execution::Trade(fill));
        let told = OrderUpdate {
            at: desk.now,
            client_order_id: name,
            order_id: 1,
            symbol: BTC,
            side,
            position_side,
            execution,
        };
        for _ in 0..2 {
            desk.hear(&ExchangeUpdate::Order(told));
        }
        drop(desk);
        let again = SqliteStore::open(&path, scope(), &instruments()).unwrap();
        again.state().position(BTC, PositionSide::Both).qty().to_string()
    });
    assert_eq!(found, ["1", "2"]);
}

#[test]
fn ledger_rounds_books_profit_and_fees_to_four_places_and_still_balances() {
    let found = without_and_with(Bug::LedgerRounds, || {
        let mut desk = Desk::new();
        desk.trade("1", "97.12345");
        desk.trade("-1", "98.34567");
        assert_eq!(desk.state().ledger.imbalance("USDT".parse().unwrap()), 0);
        (desk.balance(Account::RealizedPnl), desk.balance(Account::TakerFee))
    });
    let (realized, fee) = ("-1.22222".to_owned(), "0.07818765".to_owned());
    assert_eq!(found[0], (realized, fee));
    assert_eq!(found[1], ("-1.2222".into(), "0.0781".into()));
}

/// What the reconciler makes of it: a difference that nothing explains. Whoever audits must not take it for a transfer.
#[test]
fn ledger_rounds_is_evened_by_the_reconciler_as_a_difference_that_nobody_explains() {
    let found = without_and_with(Bug::LedgerRounds, || {
        let mut venue = Venue::new();
        let mut desk = venue.boot(live());
        desk.trade("1", "97.12345");
        venue.position("1", "97.12345");
        venue.holds("9999.96115062");
        venue.wait(&mut desk, 100);
        let evened = desk.events().iter().filter_map(|recorded| match recorded.event {
            Event::TransferBooked(TransferBooked { reason: TransferReason::Reconciled, amount, .. }) => Some(amount),
            _ => None,
        });
        (evened.collect::<Vec<_>>(), desk.engine.account().wallet())
    });
    let wallet = money("9999.96115062");
    assert_eq!(found, [(vec![], wallet), (vec![money("-0.00004938")], wallet)]);
}

#[test]
fn cancel_done_on_timeout_ends_an_order_that_may_still_be_filled() {
    let found = without_and_with(Bug::CancelDoneOnTimeout, || {
        let mut desk = Desk::new();
        let name = desk.placed(OrderSpec::limit(BTC, Side::Buy, Qty::ONE, price("90")));
        let sent = desk.cancel(name);
        desk.lost(sent[0].id);
        (desk.state().orders.len(), count(&desk, "OrderCanceled"))
    });
    assert_eq!(found, [(1, 0), (0, 1)]);
}
