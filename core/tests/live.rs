//! A live session against an exchange that knows better: what is missed is fetched, what is foreign is named, what is stale blocks,
//! and nothing is ever sent twice.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot run should say so at once")]

mod support;

use alphaengine_core::command::{OperatorOrder, StopPolicy};
use alphaengine_core::engine::{Config, Engine};
use alphaengine_core::event::{Event, Source};
use alphaengine_core::exchange::{
    ExchangeError, ExchangeUpdate, Execution, FundingPayment, Input, Outcome, Request, Setting, Standing,
    TransferReason,
};
use alphaengine_core::ledger::Account;
use alphaengine_core::link::{LinkUpdate, Route};
use alphaengine_core::market::{MarketData, MarketUpdate};
use alphaengine_core::mode::EngineMode;
use alphaengine_core::prelude::*;
use alphaengine_core::reconcile::DriftKind;
use alphaengine_core::risk::Limits;
use alphaengine_core::state::State;
use alphaengine_core::store::{Encoder, MemoryLog};
use support::venue::{Venue, down, live, up};
use support::{BTC, Desk, ETH, Puppet, SECOND, instruments, money, noon, price, qty, recovered, scope, words};

fn buy(quantity: &str) -> OrderSpec {
    OrderSpec::market(BTC, Side::Buy, qty(quantity))
}

fn limit(quantity: &str, at: &str) -> OrderSpec {
    OrderSpec::limit(BTC, Side::Buy, qty(quantity), price(at))
}

fn held(desk: &Desk<MemoryLog>) -> String {
    desk.state().position(BTC, PositionSide::Both).qty().to_string()
}

/// The differences that were found, one line each.
fn drifts(desk: &Desk<MemoryLog>) -> Vec<String> {
    let line = |event: &Event| match event {
        Event::DriftDetected(drift) => {
            Some(format!("{:?} {}: {} / {}", drift.kind, drift.subject, drift.ours, drift.theirs))
        }
        _ => None,
    };
    desk.events().iter().filter_map(|recorded| line(&recorded.event)).collect()
}

/// Whether the log, folded anew, is the state; and nothing was sent twice.
fn check(desk: &Desk<MemoryLog>) {
    let mut state = State::new(&instruments());
    desk.events().iter().for_each(|recorded| state.apply(recorded).unwrap());
    assert_eq!(&state, desk.state());
    assert_eq!(State::from_json(&state.to_json()).unwrap(), state, "a checkpoint is read as it was written");
    let placed: Vec<_> = desk.sent.iter().filter(|sent| matches!(sent.request, Request::PlaceOrder { .. })).collect();
    let names: std::collections::BTreeSet<_> = placed
        .iter()
        .map(|sent| match sent.request {
            Request::PlaceOrder { client_order_id, .. } => client_order_id,
            _ => unreachable!(),
        })
        .collect();
    assert_eq!(names.len(), placed.len(), "an order was sent twice");
}

mod boot {
    use super::*;

    #[test]
    fn a_store_that_never_met_the_account_takes_it_as_it_is_and_books_no_old_trade() {
        let mut venue = Venue::new();
        venue.position("2", "90");
        venue.trade(noon().plus(-SECOND), 7, 70, "2", "90");
        venue.account.settings = vec![(Some(BTC), Setting::Leverage { leverage: 20 })];
        let desk = venue.boot(live());
        assert_eq!(venue.asked(), ["snapshot"]);
        assert_eq!(desk.state().mode, EngineMode::Running);
        assert_eq!(held(&desk), "2");
        assert_eq!(desk.state().position(BTC, PositionSide::Both).entry_price(), price("90"));
        assert_eq!(desk.balance(Account::InitialCapital), "-10000");
        assert_eq!(desk.state().symbols[0].leverage, Some(20));
        assert_eq!(desk.engine.account().equity(), money("10020"));
        assert_eq!(drifts(&desk), ["Position BTCUSDT:BOTH: 0 / 2"]);
        check(&desk);
    }

    #[test]
    fn the_next_boot_fetches_what_was_missed_before_it_calls_the_strategy() {
        let mut venue = Venue::new();
        let mut desk = venue.boot(live());
        desk.trade("1", "100");
        let now = desk.now;
        let name = desk.placed(limit("3", "95"));
        let order_id = desk.state().orders[&name].order_id;
        // While nobody listened the order was filled, funding was paid and money was brought.
        venue.trade(now.plus(SECOND), 5_000, order_id, "3", "95");
        venue.orders.insert(name, (order_id, qty("3"), Standing::Filled));
        let asset = "USDT".parse().unwrap();
        let (amount, reason) = (money("50"), TransferReason::Deposit);
        let transfer = ExchangeUpdate::Transfer { at: now.plus(SECOND), id: 9, asset, amount, reason };
        let payment = FundingPayment {
            symbol: BTC,
            position_side: PositionSide::Both,
            settled_at: now.plus(SECOND),
            rate: None,
            mark: None,
            position: Qty::ONE,
            amount: money("-0.5"),
            id: None,
        };
        venue.income = vec![transfer, ExchangeUpdate::Funding(payment)];
        venue.position("4", "96.25");
        venue.holds("10049.46");
        let desk = venue.restart(desk, live());
        assert_eq!(venue.asked()[1..], ["trades 0 since", "trades 1 since", "income", "snapshot"]);
        assert_eq!(desk.state().mode, EngineMode::Running);
        assert_eq!((held(&desk), desk.state().orders.len()), ("4".into(), 0));
        assert_eq!(desk.engine.account().wallet(), money("10049.46"));
        assert_eq!(drifts(&desk), [""; 0], "missing facts were appended, and then nothing differed");
        let trade = desk.events().iter().rfind(|recorded| matches!(recorded.event, Event::TradeExecuted(_))).unwrap();
        assert_eq!(trade.source, Source::Rest);
        check(&desk);
    }

    #[test]
    fn an_order_without_an_answer_is_resolved_by_a_question_before_the_boot_ends() {
        for (standing, expected) in [
            (None, ("OrderProvenAbsent", 0)),
            (Some((77, Qty::ZERO, Standing::Open)), ("OrderPlaced", 1)),
            (Some((77, Qty::ZERO, Standing::Canceled)), ("OrderCanceled", 0)),
            (
                Some((77, Qty::ZERO, Standing::Expired(alphaengine_core::exchange::ExpiryReason::GoodTillDate))),
                ("OrderExpired", 0),
            ),
            (Some((77, Qty::ZERO, Standing::Rejected)), ("OrderRejected", 0)),
        ] {
            let mut venue = Venue::new();
            let mut desk = venue.boot(live());
            let (name, _) = desk.place(limit("1", "90"));
            if let Some(standing) = standing {
                venue.orders.insert(name, standing);
            }
            if matches!(standing, Some((_, _, Standing::Open))) {
                venue.open_order(name, 77, limit("1", "90"));
            }
            let mut desk = venue.restart(desk, live());
            venue.wait(&mut desk, 15);
            assert!(desk.types().contains(&expected.0), "{expected:?}: {:?}", desk.types());
            assert_eq!(desk.state().orders.len(), expected.1, "{expected:?}");
            assert_eq!(desk.state().mode, EngineMode::Running);
            check(&desk);
        }
    }

    #[test]
    fn the_strategy_waits_while_an_order_is_in_doubt() {
        let mut venue = Venue::new();
        let mut desk = venue.boot(live());
        let (name, _) = desk.place(limit("1", "90"));
        venue.silent = vec!["query"];
        let mut desk = venue.restart(desk, live());
        venue.wait(&mut desk, 60);
        assert_eq!(desk.state().mode, EngineMode::Booting);
        assert_eq!(desk.puppet.heard(), [""; 0]);
        venue.silent.clear();
        venue.orders.insert(name, (77, Qty::ZERO, Standing::Canceled));
        venue.wait(&mut desk, 10);
        assert_eq!(desk.state().mode, EngineMode::Running);
        assert_eq!(desk.puppet.heard(), ["start"]);
        check(&desk);
    }

    /// A row of income, or what the stream told of it, reaches the engine after the balance that has it already (seed 8).
    #[test]
    fn money_that_moved_before_the_store_met_the_account_is_in_the_opening_balance_already() {
        let mut venue = Venue::new();
        let mut desk = venue.boot(live());
        let (asset, met_at) = ("USDT".parse().unwrap(), desk.state().met_at.unwrap());
        let came = |at: Timestamp, id: u64, amount: &str| {
            let (amount, reason) = (money(amount), TransferReason::Internal);
            ExchangeUpdate::Transfer { at, id, asset, amount, reason }
        };
        desk.hear(&came(met_at.plus(-SECOND), 1, "10000"));
        desk.hear(&ExchangeUpdate::Funding(FundingPayment {
            symbol: BTC,
            position_side: PositionSide::Both,
            settled_at: met_at.plus(-61 * SECOND),
            rate: None,
            mark: None,
            position: Qty::ONE,
            amount: money("-0.5"),
            id: None,
        }));
        assert_eq!(desk.engine.account().wallet(), money("10000"));
        desk.hear(&came(met_at, 2, "50"));
        assert_eq!(desk.engine.account().wallet(), money("10050"));
        check(&desk);
    }

    #[test]
    fn money_that_moves_while_an_account_is_met_is_in_a_balance_that_is_asked_for_after_it() {
        let mut venue = Venue::new();
        let (puppet, config) = (Puppet::default(), live());
        let log = MemoryLog::new(Encoder::new(scope(), &config.instruments));
        let mut desk = Desk::over(Engine::new(config, puppet.clone(), log), puppet, noon());
        up(&mut desk, Route::Private);
        desk.price(BTC, "100");
        desk.step(Input::Ready);
        venue.serve_but_snapshot(&mut desk);
        let (id, asset, amount, reason) = (1, "USDT".parse().unwrap(), money("50"), TransferReason::Internal);
        desk.hear(&ExchangeUpdate::Transfer { at: desk.now, id, asset, amount, reason });
        venue.serve(&mut desk);
        assert_eq!(desk.state().met_at, None);
        venue.holds("10050");
        venue.wait(&mut desk, 2);
        assert!(desk.state().met_at.is_some());
        assert_eq!(desk.engine.account().wallet(), money("10050"));
        assert_eq!((desk.balance(Account::InitialCapital), drifts(&desk)), ("-10050".into(), vec![]));
        check(&desk);
    }

    #[test]
    fn a_boot_waits_until_a_balance_is_explained_or_believed() {
        for is_explained in [true, false] {
            let mut venue = Venue::new();
            let desk = venue.boot(live());
            venue.holds("10050");
            let mut desk = venue.restart(desk, live());
            venue.wait(&mut desk, 10);
            assert_eq!(desk.state().mode, EngineMode::Booting);
            assert_eq!(desk.engine.account().wallet(), money("10000"));
            if is_explained {
                let (id, asset, amount, reason) = (9, "USDT".parse().unwrap(), money("50"), TransferReason::Deposit);
                venue.income = vec![ExchangeUpdate::Transfer { at: desk.now, id, asset, amount, reason }];
            }
            venue.wait(&mut desk, 5);
            assert_eq!(desk.state().mode, EngineMode::Running);
            assert_eq!(desk.engine.account().wallet(), money("10050"));
            assert_eq!(drifts(&desk).is_empty(), is_explained);
            check(&desk);
        }
    }

    #[test]
    fn an_order_that_shows_itself_ends_the_boot() {
        let mut venue = Venue::new();
        let mut desk = venue.boot(live());
        let (name, _) = desk.place(limit("1", "90"));
        venue.silent = vec!["query"];
        let mut desk = venue.restart(desk, live());
        venue.open_order(name, 77, limit("1", "90"));
        venue.wait(&mut desk, 20);
        assert_eq!(desk.state().mode, EngineMode::Booting);
        desk.update(name, Execution::New);
        assert_eq!(desk.state().mode, EngineMode::Running);
        assert!(
            desk.sent.iter().all(|sent| !matches!(sent.request, Request::PlaceOrder { .. })),
            "nothing is sent again"
        );
    }

    #[test]
    fn a_question_without_an_answer_is_asked_again_after_five_seconds() {
        let mut venue = Venue::new();
        venue.silent = vec!["snapshot"];
        let mut desk = venue.boot(live());
        assert_eq!(venue.asked(), ["snapshot"]);
        assert_eq!(desk.state().mode, EngineMode::Booting);
        venue.silent.clear();
        venue.wait(&mut desk, 1);
        assert_eq!(venue.asked(), [""; 0]);
        venue.wait(&mut desk, 2);
        assert_eq!(venue.asked(), ["snapshot"]);
        assert_eq!(desk.state().mode, EngineMode::Running);
    }
}

mod rounds {
    use super::*;

    #[test]
    fn an_idle_session_asks_every_thirty_seconds_and_writes_nothing() {
        let mut venue = Venue::new();
        let mut desk = venue.boot(live());
        venue.asked();
        let before = desk.events().len();
        venue.wait(&mut desk, 91);
        let round = ["trades 0 since", "trades 1 since", "income", "snapshot"];
        assert_eq!(venue.asked(), [round, round, round].concat());
        assert_eq!(desk.events().len(), before);
    }

    #[test]
    fn a_fill_that_the_stream_lost_is_fetched_although_a_later_one_was_heard() {
        let mut venue = Venue::new();
        let mut desk = venue.boot(live());
        let name = desk.placed(limit("3", "95"));
        let order_id = desk.state().orders[&name].order_id;
        venue.open_order(name, order_id, limit("3", "95"));
        venue.account.orders[0].filled = qty("2");
        // The first of two fills was lost.
        venue.trade(desk.now, 50, order_id, "1", "95");
        venue.trade(desk.now, 51, order_id, "1", "95");
        let heard = alphaengine_core::exchange::OrderUpdate { client_order_id: name, ..venue.trades[1].1 };
        desk.hear(&ExchangeUpdate::Order(heard));
        venue.position("2", "95");
        venue.wait(&mut desk, 31);
        assert_eq!((held(&desk).as_str(), desk.state().orders[&name].filled), ("2", qty("2")));
        assert_eq!(drifts(&desk), [""; 0]);
        check(&desk);
    }

    #[test]
    fn an_order_that_ended_unheard_ends_here_with_all_its_fills() {
        let mut venue = Venue::new();
        let mut desk = venue.boot(live());
        let name = desk.placed(limit("3", "95"));
        let order_id = desk.state().orders[&name].order_id;
        venue.trade(desk.now, 50, order_id, "1", "95");
        venue.orders.insert(name, (order_id, qty("1"), Standing::Canceled));
        venue.position("1", "95");
        venue.wait(&mut desk, 31);
        assert_eq!((held(&desk).as_str(), desk.state().orders.len()), ("1", 0));
        assert_eq!(drifts(&desk), [format!("OrderMissing {name}: PARTIALLY_FILLED / CANCELED")]);
        check(&desk);
    }

    #[test]
    fn an_order_whose_fills_the_exchange_tells_no_more_ends_all_the_same() {
        let mut venue = Venue::new();
        let mut desk = venue.boot(live());
        let name = desk.placed(limit("3", "95"));
        let order_id = desk.state().orders[&name].order_id;
        venue.orders.insert(name, (order_id, qty("3"), Standing::Filled));
        venue.position("3", "95");
        venue.wait(&mut desk, 40);
        // While they may still come, the position is not put right by force.
        assert_eq!((held(&desk).as_str(), desk.state().orders.len()), ("0", 0));
        venue.wait(&mut desk, 35);
        assert_eq!(held(&desk), "3");
        let expected = [format!("OrderMissing {name}: NEW / FILLED"), "Position BTCUSDT:BOTH: 0 / 3".into()];
        assert_eq!(drifts(&desk), expected);
        check(&desk);
    }

    #[test]
    fn an_open_order_whose_fills_the_exchange_tells_no_more_is_taken_at_its_word() {
        let mut venue = Venue::new();
        let mut desk = venue.boot(live());
        let name = desk.placed(limit("3", "95"));
        let order_id = desk.state().orders[&name].order_id;
        venue.open_order(name, order_id, limit("3", "95"));
        venue.account.orders[0].filled = qty("2");
        venue.wait(&mut desk, 40);
        assert_eq!(drifts(&desk), [format!("OrderFilled {name}: 0 / 2")]);
        assert_eq!(desk.state().orders[&name].filled, qty("2"));
        venue.asked();
        venue.wait(&mut desk, 31);
        assert_eq!(venue.asked().len(), 4, "after that it is at peace");
        desk.fill(name, "1", "95");
        assert_eq!(desk.state().orders.len(), 0);
        check(&desk);
    }

    #[test]
    fn the_child_of_a_conditional_order_brings_its_fills_home() {
        let mut venue = Venue::new();
        let mut desk = venue.boot(live());
        desk.trade("1", "100");
        venue.trade(desk.now, 1_002, 1_001, "1", "100");
        let stop = OrderSpec::market(BTC, Side::Sell, qty("1"))
            .with_type(OrderType::StopMarket { trigger: price("90") })
            .reduce_only();
        let name = desk.placed(stop);
        // It fired and was filled; the list of trades knows only the number of its child.
        venue.trade(desk.now, 2_000, 999, "-1", "89");
        venue.orders.insert(name, (999, qty("1"), Standing::Filled));
        venue.position("0", "0");
        venue.holds("9999.96");
        venue.wait(&mut desk, 31);
        assert_eq!((held(&desk).as_str(), desk.state().orders.len()), ("0", 0));
        let owner = desk.events().iter().rev().find_map(|recorded| match &recorded.event {
            Event::TradeExecuted(trade) => Some(trade.client_order_id),
            _ => None,
        });
        assert_eq!(owner, Some(name));
        assert_eq!(drifts(&desk), [""; 0]);
        check(&desk);
    }

    #[test]
    fn the_number_of_a_conditional_order_is_no_number_that_trades_name() {
        for is_over in [false, true] {
            let mut venue = Venue::new();
            let mut desk = venue.boot(live());
            let stop = OrderSpec::market(BTC, Side::Sell, qty("1"))
                .with_type(OrderType::StopMarket { trigger: price("90") })
                .reduce_only();
            let name = desk.placed(stop);
            let number = desk.state().orders[&name].order_id;
            if is_over {
                desk.update(name, Execution::Canceled);
            } else {
                venue.open_order(name, number, stop);
                venue.orders.insert(name, (number, Qty::ZERO, Standing::Open));
            }
            // Somebody sells by an order that has this number among the regular ones.
            venue.trade(desk.now, 5, number, "-1", "100");
            venue.position("-1", "100");
            venue.wait(&mut desk, 40);
            let owner = desk.events().iter().rev().find_map(|recorded| match &recorded.event {
                Event::TradeExecuted(trade) => Some(trade.client_order_id),
                _ => None,
            });
            assert_eq!(owner, Some(format!("order-{number}").parse().unwrap()));
            assert_eq!(desk.state().orders.contains_key(&name), !is_over);
            assert_eq!(drifts(&desk), [""; 0]);
            check(&desk);
        }
    }

    #[test]
    fn two_orders_of_one_name_on_two_symbols_are_told_and_kept_apart() {
        let mut venue = Venue::new();
        let mut desk = venue.boot(live());
        let name: ClientOrderId = "web_1".parse().unwrap();
        venue.open_order(name, 5, limit("2", "80"));
        venue.open_order(name, 5, OrderSpec::limit(ETH, Side::Buy, qty("3"), price("8")));
        venue.wait(&mut desk, 35);
        let adopted = "OrderForeign web_1: UNKNOWN / OPEN";
        let told = [adopted, "OrderForeign web_1: THE NAME OF ANOTHER SYMBOL'S ORDER / OPEN"];
        assert_eq!(drifts(&desk), told);
        assert_eq!(desk.state().orders[&name].symbol, BTC);
        venue.asked();
        venue.wait(&mut desk, 31);
        assert_eq!(venue.asked().len(), 4, "it is told once and asks for no second look");
        // What the stream tells of the one is not taken for news of the other.
        let (side, position_side) = (Side::Buy, PositionSide::Both);
        let (at, symbol, client_order_id, order_id) = (desk.now, ETH, name, 5);
        let fill = alphaengine_core::exchange::Fill {
            trade_id: 9,
            price: price("8"),
            qty: qty("3"),
            fee: Money::ZERO,
            fee_asset: "USDT".parse().unwrap(),
            is_maker: true,
            is_liquidation: false,
            realized: Money::ZERO,
        };
        for execution in [Execution::Trade(fill), Execution::Canceled] {
            let update = alphaengine_core::exchange::OrderUpdate {
                at,
                client_order_id,
                order_id,
                symbol,
                side,
                position_side,
                execution,
            };
            desk.hear(&ExchangeUpdate::Order(update));
        }
        let order = desk.state().orders[&name];
        assert_eq!((order.symbol, order.filled, order.qty), (BTC, Qty::ZERO, qty("2")));
        assert_eq!(desk.state().position(ETH, PositionSide::Both).qty(), qty("3"));
        assert_eq!(drifts(&desk), told);
        check(&desk);
        // When the one is over, the other is adopted.
        desk.update(name, Execution::Canceled);
        venue.account.orders.remove(0);
        venue.position("0", "0");
        venue.wait(&mut desk, 65);
        assert_eq!(desk.state().orders[&name].symbol, ETH);
        check(&desk);
    }

    #[test]
    fn what_somebody_else_does_is_adopted_and_named_after_a_second_look() {
        let mut venue = Venue::new();
        let mut desk = venue.boot(live());
        let by_hand: ClientOrderId = "web_1".parse().unwrap();
        venue.open_order(by_hand, 5, limit("2", "80"));
        venue.position("-3", "101");
        venue.holds("9000");
        venue.account.elsewhere = vec!["DOGEUSDT".into()];
        let due = desk.engine.wake_at().since(desk.now) / SECOND;
        venue.wait(&mut desk, due);
        assert_eq!(drifts(&desk), ["Elsewhere DOGEUSDT: not traded by this session / positions or open orders"]);
        venue.wait(&mut desk, 2);
        assert_eq!(drifts(&desk)[1..], ["OrderForeign web_1: UNKNOWN / OPEN", "Position BTCUSDT:BOTH: 0 / -3"]);
        venue.wait(&mut desk, 16);
        assert_eq!(drifts(&desk)[3..], ["Balance USDT: 10000 / 9000"], "what explains a balance may come later");
        assert_eq!(held(&desk), "-3");
        assert_eq!(desk.state().orders[&by_hand].status, OrderStatus::New);
        assert_eq!(desk.balance(Account::Adjustments), "1000");
        assert!(
            desk.sent
                .iter()
                .all(|sent| !matches!(sent.request, Request::PlaceOrder { .. } | Request::CancelOrder { .. }))
        );
        // The strategy's own cancels leave it alone, the operator's do not.
        assert_eq!(desk.say(|ctx| ctx.cancel_all(BTC)), []);
        assert_eq!(words(&desk.operator("all", OperatorOrder::CancelAll { symbol: BTC })), ["cancel"]);
        check(&desk);
    }

    #[test]
    fn a_balance_that_is_explained_ten_seconds_later_is_booked_once() {
        let mut venue = Venue::new();
        let mut desk = venue.boot(live());
        let due = desk.engine.wake_at().since(desk.now) / SECOND;
        venue.holds("10050");
        venue.wait(&mut desk, due + 10);
        assert_eq!(desk.engine.account().wallet(), money("10000"));
        let (id, asset, amount, reason) = (9, "USDT".parse().unwrap(), money("50"), TransferReason::Deposit);
        venue.income = vec![ExchangeUpdate::Transfer { at: desk.now, id, asset, amount, reason }];
        venue.wait(&mut desk, 60);
        assert_eq!(desk.engine.account().wallet(), money("10050"));
        assert_eq!(desk.balance(Account::Adjustments), "0");
        assert_eq!(drifts(&desk), [""; 0]);
        check(&desk);
    }

    #[test]
    fn a_balance_that_nothing_explains_is_believed_after_fifteen_seconds_also_while_it_goes_on_changing() {
        let mut venue = Venue::new();
        let mut desk = venue.boot(live());
        let due = desk.engine.wake_at().since(desk.now) / SECOND;
        venue.holds("9000");
        venue.wait(&mut desk, due + 14);
        assert_eq!(drifts(&desk), [""; 0]);
        venue.wait(&mut desk, 2);
        assert_eq!(drifts(&desk), ["Balance USDT: 10000 / 9000"]);
        // One that is another at every look would else never be believed.
        for second in 1..=110 {
            venue.holds(&(9_000 + second).to_string());
            venue.wait(&mut desk, 1);
        }
        assert_eq!(drifts(&desk).len(), 2, "{:?}", drifts(&desk));
        check(&desk);
    }

    #[test]
    fn a_difference_that_passes_by_itself_is_none() {
        let mut venue = Venue::new();
        let mut desk = venue.boot(live());
        venue.position("1", "100");
        let due = desk.engine.wake_at().since(desk.now) / SECOND;
        venue.wait(&mut desk, due);
        venue.position("0", "0");
        venue.wait(&mut desk, 40);
        assert_eq!(drifts(&desk), [""; 0]);
        assert_eq!(held(&desk), "0");
    }

    #[test]
    fn an_order_that_is_over_is_not_adopted_from_a_list_that_is_old() {
        let mut venue = Venue::new();
        let mut desk = venue.boot(live());
        let (canceled, id) = desk.place(limit("2", "80"));
        desk.answer(id.unwrap(), Outcome::Placed { order_id: 4 });
        let (filled, id) = desk.place(buy("1"));
        desk.answer(id.unwrap(), Outcome::Placed { order_id: 5 });
        desk.update(canceled, Execution::Canceled);
        desk.fill(filled, "1", "100");
        venue.position("1", "100");
        venue.holds("9999.96");
        venue.open_order(canceled, 4, limit("2", "80"));
        venue.open_order(filled, 5, buy("1"));
        venue.wait(&mut desk, 40);
        assert_eq!(drifts(&desk), [""; 0]);
        assert_eq!(desk.state().orders.len(), 0);
        // The next process reads it in its log.
        let mut desk = venue.restart(desk, live());
        venue.wait(&mut desk, 40);
        assert_eq!(drifts(&desk), [""; 0]);
        // One that was made larger after its last fill is open again, whoever did it.
        venue.account.orders.clear();
        venue.open_order(filled, 5, buy("3"));
        venue.wait(&mut desk, 60);
        assert_eq!(drifts(&desk), [format!("OrderForeign {filled}: NOT OPEN / OPEN")]);
        check(&desk);
    }

    #[test]
    fn an_order_whose_number_was_never_told_is_not_adopted_from_an_old_list_either() {
        let mut venue = Venue::new();
        let mut desk = venue.boot(live());
        let (name, _) = desk.place(limit("2", "80"));
        desk.update(name, Execution::Canceled);
        assert!(desk.state().has_ended(BTC, &name, 4, qty("2")));
        venue.open_order(name, 4, limit("2", "80"));
        venue.wait(&mut desk, 40);
        assert_eq!(drifts(&desk), [""; 0]);
        check(&desk);
    }

    #[test]
    fn an_account_is_not_met_by_an_answer_that_was_long_on_its_way() {
        let mut venue = Venue::new();
        let config = live();
        let (puppet, log) = (Puppet::default(), MemoryLog::new(Encoder::new(scope(), &config.instruments)));
        let mut desk = Desk::over(Engine::new(config, puppet.clone(), log), puppet, noon());
        for route in Route::ALL {
            desk.hear(&ExchangeUpdate::Link(LinkUpdate::StreamUp { route }));
        }
        desk.price(BTC, "100");
        desk.step(Input::Ready);
        venue.serve_but_snapshot(&mut desk);
        // Money leaves while the answer, which is of before, is on its way.
        desk.wait(5 * SECOND);
        venue.serve(&mut desk);
        assert!(desk.state().met_at.is_none());
        venue.holds("7000");
        venue.wait(&mut desk, 3);
        assert!(desk.state().met_at.is_some());
        assert_eq!(desk.engine.account().wallet(), money("7000"));
        assert_eq!(drifts(&desk), [""; 0]);
        check(&desk);
    }

    #[test]
    fn a_trade_that_the_list_hid_is_asked_for_by_the_next_process_although_the_stream_told_a_later_one() {
        let mut venue = Venue::new();
        let mut desk = venue.boot(live());
        let bought = |desk: &mut Desk<MemoryLog>, order_id: u64| {
            let (name, id) = desk.place(buy("1"));
            desk.answer(id.unwrap(), Outcome::Placed { order_id });
            desk.fill(name, "1", "100");
            desk.state().symbols[BTC.index()].last_trade_id
        };
        let listed = bought(&mut desk, 4);
        venue.trade(desk.now, listed, 4, "1", "100");
        venue.position("1", "100");
        venue.holds("9999.96");
        venue.wait(&mut desk, 40);
        // A later one comes by the stream; the list is behind, and may hide another between the two.
        assert!(bought(&mut desk, 5) > listed);
        venue.position("2", "100");
        venue.holds("9999.9");
        venue.wait(&mut desk, 120);
        assert_eq!(drifts(&desk), ["Balance USDT: 9999.92 / 9999.9"], "the end of the comparison is told");
        venue.asked.clear();
        let mut desk = venue.restart(desk, live());
        venue.wait(&mut desk, 5);
        let next = format!("trades 0 from {}", listed + 1);
        assert!(venue.asked.contains(&next), "{:?}", venue.asked);
        check(&desk);
    }

    #[test]
    fn a_process_that_begins_with_questions_long_due_is_not_woken_for_ever_at_its_first_instant() {
        let mut venue = Venue::new();
        let mut desk = venue.boot(live());
        desk.place(limit("2", "80"));
        let mut desk = recovered(live(), desk.puppet.clone(), desk.engine.log().events(), desk.now.plus(600 * SECOND));
        for _ in 0..20 {
            desk.engine.step(desk.now, Input::Wake).unwrap();
            if desk.engine.wake_at() > desk.now {
                return;
            }
        }
        panic!("it wants to be woken at {} and it is {}", desk.engine.wake_at(), desk.now);
    }

    #[test]
    fn of_the_orders_that_ended_the_last_are_remembered_and_those_that_were_never_there_are_not() {
        let mut venue = Venue::new();
        let mut desk = venue.boot(live());
        let mut names = Vec::new();
        for number in 1..=300 {
            let (name, id) = desk.place(limit("2", "80"));
            desk.answer(id.unwrap(), Outcome::Placed { order_id: 1_000 + number });
            desk.update(name, Execution::Canceled);
            names.push(name);
        }
        let (refused, id) = desk.place(limit("2", "80"));
        desk.answer(id.unwrap(), Outcome::Rejected(ExchangeError { code: -2019, message: "no margin".into() }));
        let state = desk.state();
        assert_eq!(state.ended.len(), 256);
        assert!(
            state.has_ended(BTC, &names[299], 1_300, qty("2")) && state.has_ended(BTC, &names[44], 1_045, qty("2"))
        );
        assert!(!state.has_ended(BTC, &names[43], 1_044, qty("2")), "it ended long ago");
        assert!(!state.has_ended(ETH, &names[299], 1_300, qty("2")), "another symbol's");
        assert!(!state.has_ended(BTC, &names[299], 1_299, qty("2")), "the name was given again");
        assert!(!state.has_ended(BTC, &refused, 0, qty("2")) && !state.has_ended(BTC, &refused, 1_301, qty("2")));
        check(&desk);
    }

    #[test]
    fn what_moved_while_the_snapshot_was_on_its_way_is_not_judged_by_it() {
        let mut venue = Venue::new();
        let mut desk = venue.boot(live());
        let (name, id) = desk.place(buy("1"));
        desk.answer(id.unwrap(), Outcome::Placed { order_id: 4 });
        venue.silent = vec![];
        // Until the snapshot is asked for, then a fill, then the old picture.
        while !desk
            .sent
            .iter()
            .skip(1)
            .any(|sent| sent.request == Request::Snapshot && desk.now > noon().plus(10 * SECOND))
        {
            desk.wait(SECOND);
            let last = *desk.sent.last().unwrap();
            if last.request == Request::Snapshot {
                break;
            }
            venue.serve_but_snapshot(&mut desk);
        }
        desk.fill(name, "1", "100");
        venue.trade(desk.now, 1_001, 4, "1", "100");
        venue.serve(&mut desk);
        venue.position("1", "100");
        venue.holds("9999.96");
        venue.wait(&mut desk, 40);
        assert_eq!(drifts(&desk), [""; 0]);
        assert_eq!(held(&desk), "1");
    }

    /// It trades while the first snapshot of every round is on its way.
    #[test]
    fn a_symbol_that_always_moves_is_judged_when_it_pauses() {
        let mut venue = Venue::new();
        let mut desk = venue.boot(live());
        // Five that nobody told.
        venue.position("5", "100");
        for crossed in 1..=5_u64 {
            while desk.sent.last().is_none_or(|last| last.request != Request::Snapshot) || venue.is_served(&desk) {
                desk.wait(SECOND);
                venue.serve_but_snapshot(&mut desk);
            }
            assert_eq!(drifts(&desk), [""; 0]);
            venue.trade(desk.now, 50 + crossed, 7, "1", "100");
            let heard = venue.trades.last().unwrap().1;
            let client_order_id = "web_7".parse().unwrap();
            desk.hear(&ExchangeUpdate::Order(alphaengine_core::exchange::OrderUpdate { client_order_id, ..heard }));
            venue.position(&(5 + crossed).to_string(), "100");
            venue.serve(&mut desk);
            if crossed < 5 {
                venue.wait(&mut desk, 5);
            }
        }
        // The next look of this round waits for a pause, and so does the second one.
        venue.asked();
        venue.wait(&mut desk, 5);
        assert_eq!(drifts(&desk), ["Position BTCUSDT:BOTH: 5 / 10"]);
        assert_eq!(held(&desk), "10");
        check(&desk);
    }

    #[test]
    fn the_open_order_tells_what_became_of_a_modification_without_an_answer() {
        for (found, expected) in [("96", "OrderAmended"), ("95", "ModifyRejected")] {
            let mut venue = Venue::new();
            let mut desk = venue.boot(live());
            let name = desk.placed(limit("3", "95"));
            let order_id = desk.state().orders[&name].order_id;
            let modify = desk.say(move |ctx| ctx.modify(name, qty("3"), price("96")));
            desk.lost(modify[0].id);
            venue.open_order(name, order_id, limit("3", found));
            venue.orders.insert(name, (order_id, Qty::ZERO, Standing::Open));
            venue.wait(&mut desk, 35);
            assert!(desk.types().contains(&expected), "{expected}: {:?}", desk.types());
            assert!(desk.state().modifies.is_empty());
            assert_eq!(desk.state().orders[&name].spec.order_type.price(), Some(price(found)));
            assert_eq!(drifts(&desk), [""; 0], "what we asked for is no surprise");
            check(&desk);
        }
    }

    #[test]
    fn an_order_that_waits_to_be_sent_is_not_proven_absent() {
        let mut venue = Venue::new();
        let mut desk = venue.boot(live());
        // A ban holds it back, and nobody has answered. Meanwhile somebody else trades, so it is asked about.
        let (name, id) = desk.place(limit("1", "90"));
        venue.wait(&mut desk, 60);
        venue.trade(desk.now, 7, 70, "1", "90");
        venue.wait(&mut desk, 35);
        assert!(venue.asked().iter().any(|line| line.starts_with("query")), "{:?}", venue.asked);
        assert!(desk.state().orders.contains_key(&name), "{:?}", desk.types());
        desk.answer(id.unwrap(), Outcome::Placed { order_id: 71 });
        assert_eq!(desk.state().orders[&name].order_id, 71);
        check(&desk);
    }

    #[test]
    fn a_setting_without_an_answer_is_settled_by_the_snapshot() {
        for (found, expected) in [(7, "LeverageSet"), (20, "SettingRejected")] {
            let mut venue = Venue::new();
            venue.account.settings = vec![(Some(BTC), Setting::Leverage { leverage: 20 })];
            let mut desk = venue.boot(live());
            let set = desk.say(|ctx| ctx.set_leverage(BTC, 7));
            desk.lost(set[0].id);
            venue.account.settings = vec![(Some(BTC), Setting::Leverage { leverage: found })];
            venue.wait(&mut desk, 35);
            assert_eq!(desk.types().iter().filter(|kind| **kind == expected).count(), if found == 7 { 2 } else { 1 });
            assert!(desk.state().settings_asked.is_empty());
            check(&desk);
        }
    }

    /// From when on income was asked for last.
    fn income_since(desk: &Desk<MemoryLog>) -> Timestamp {
        let since = |request: Request| if let Request::Income { since } = request { Some(since) } else { None };
        desk.sent.iter().rev().find_map(|sent| since(sent.request)).unwrap()
    }

    #[test]
    fn income_is_asked_for_by_the_exchange_s_clock_when_ours_is_ahead() {
        let mut venue = Venue::new();
        let mut desk = venue.boot(live());
        let hour = 3_600 * SECOND;
        venue.wait(&mut desk, 3 * 3_600);
        // From here on our clock is two hours ahead.
        let trade = Trade { id: 2, price: price("100"), qty: Qty::ONE, is_buyer_maker: false };
        for _ in 0..3 {
            let at = desk.now.plus(-2 * hour);
            desk.step(Input::Market(&MarketUpdate { at, symbol: BTC, data: MarketData::Trade(trade) }));
            venue.wait(&mut desk, 31);
        }
        let exchange_time = desk.now.plus(-2 * hour);
        assert!(income_since(&desk) < exchange_time, "{} < {exchange_time}", income_since(&desk));
        assert!(income_since(&desk) > exchange_time.plus(-hour));
    }

    #[test]
    fn after_a_gap_income_is_asked_for_from_an_hour_before_it() {
        let mut venue = Venue::new();
        let mut desk = venue.boot(live());
        for _ in 0..240 {
            desk.price(BTC, "100");
            venue.wait(&mut desk, 31);
        }
        let steady = desk.now.since(income_since(&desk));
        down(&mut desk, Route::Private);
        up(&mut desk, Route::Private);
        venue.serve(&mut desk);
        let after_gap = desk.now.since(income_since(&desk));
        assert!((600 * SECOND..720 * SECOND).contains(&steady), "{steady}");
        assert!(after_gap >= 3_600 * SECOND, "{after_gap}");
        let desk = venue.restart(desk, live());
        assert!(desk.now.since(income_since(&desk)) >= 3_600 * SECOND);
    }

    #[test]
    fn pages_are_read_to_the_end() {
        let mut venue = Venue::new();
        venue.page = 2;
        let mut desk = venue.boot(live());
        for id in 1..=7 {
            venue.trade(desk.now, id, 70, "1", "100");
        }
        venue.position("7", "100");
        venue.asked();
        venue.wait(&mut desk, 31);
        assert_eq!(venue.asked()[..4], ["trades 0 since", "trades 1 since", "trades 0 from 3", "trades 0 from 5"]);
        assert_eq!(held(&desk), "7");
        assert_eq!(drifts(&desk), [""; 0]);
    }
}

mod link {
    use super::*;

    #[test]
    fn entries_wait_until_streams_are_up_and_the_account_is_compared() {
        for route in Route::ALL {
            let mut venue = Venue::new();
            let mut desk = venue.boot(live());
            desk.trade("1", "100");
            venue.trade(desk.now, 1_002, 1_001, "1", "100");
            venue.position("1", "100");
            venue.holds("9999.96");
            let resting = desk.placed(limit("1", "90"));
            let order_id = desk.state().orders[&resting].order_id;
            venue.open_order(resting, order_id, limit("1", "90"));
            venue.serve(&mut desk);
            venue.asked();
            down(&mut desk, route);
            down(&mut desk, route);
            assert_eq!(desk.types().iter().filter(|kind| **kind == "LinkChanged").count(), 4);
            desk.puppet.heard();
            assert_eq!(desk.place(buy("1")).1, None);
            let refusal = format!(
                "refused PLACE: the {} streams are down, so what is known may be stale: only cancels and closes may leave",
                route.name()
            );
            assert_eq!(desk.puppet.heard(), [refusal]);
            assert_eq!(words(&desk.say(|ctx| ctx.close(BTC))), ["place SELL MARKET 1 reduce-only"]);
            assert_eq!(words(&desk.cancel(resting)), ["cancel"]);
            // Five seconds between rounds while it is down.
            venue.wait(&mut desk, 11);
            assert_eq!(venue.asked().iter().filter(|line| *line == "snapshot").count(), 2);
            up(&mut desk, route);
            assert_eq!(desk.place(buy("1")).1, None);
            assert!(desk.puppet.heard().join(" ").contains("is being compared with the exchange"));
            venue.wait(&mut desk, 8);
            assert!(desk.place(buy("1")).1.is_some(), "{:?}", desk.puppet.heard());
            check(&desk);
        }
    }

    #[test]
    fn nothing_opens_on_data_that_are_late_and_no_comparison_is_needed_afterwards() {
        let route = Route::Market;
        for ends_with in [LinkUpdate::OnTime { route }, LinkUpdate::StreamUp { route }] {
            let mut venue = Venue::new();
            let mut desk = venue.boot(live());
            desk.trade("1", "100");
            let resting = desk.placed(limit("1", "90"));
            venue.asked();
            let before = desk.events().len();
            for millis in [3_100, 5_000] {
                desk.hear(&ExchangeUpdate::Link(LinkUpdate::Late { route, millis }));
            }
            assert_eq!(desk.events().len() - before, 1, "it is one event");
            desk.puppet.heard();
            assert_eq!(desk.place(buy("1")).1, None);
            assert!(desk.puppet.heard().join(" ").contains("the MARKET streams are late"));
            assert_eq!(words(&desk.say(|ctx| ctx.close(BTC))), ["place SELL MARKET 1 reduce-only"]);
            assert_eq!(words(&desk.cancel(resting)), ["cancel"]);
            if let LinkUpdate::StreamUp { .. } = ends_with {
                down(&mut desk, route);
                desk.hear(&ExchangeUpdate::Link(ends_with));
                assert!(desk.state().links_late.is_empty(), "another connection has its own age");
            } else {
                desk.hear(&ExchangeUpdate::Link(ends_with));
                desk.hear(&ExchangeUpdate::Link(LinkUpdate::OnTime { route }));
                assert!(desk.place(buy("1")).1.is_some(), "{:?}", desk.puppet.heard());
                assert_eq!(venue.asked(), [""; 0]);
            }
            check(&desk);
        }
    }

    #[test]
    fn what_happens_on_the_way_is_an_event_once() {
        let mut venue = Venue::new();
        let mut desk = venue.boot(live());
        let before = desk.events().len();
        let stepped = LinkUpdate::ClockStepped { from_ms: 0, to_ms: 1_500 };
        let limited = LinkUpdate::RateLimited { status: 429, until: noon().plus(60 * SECOND) };
        for link in [
            stepped.clone(),
            stepped,
            limited.clone(),
            limited,
            LinkUpdate::RateLimitOver,
            LinkUpdate::ListenKeyExpired,
        ] {
            desk.hear(&ExchangeUpdate::Link(link));
        }
        for _ in 0..10 {
            desk.hear(&ExchangeUpdate::Link(LinkUpdate::Conflated { left_out: 3 }));
        }
        assert_eq!(desk.events().len() - before, 5);
        venue.wait(&mut desk, 61);
        desk.hear(&ExchangeUpdate::Link(LinkUpdate::Conflated { left_out: 3 }));
        let told = desk.events().iter().rev().find_map(|recorded| match &recorded.event {
            Event::LinkChanged(event) => Some(event.link.clone()),
            _ => None,
        });
        assert_eq!(told, Some(LinkUpdate::Conflated { left_out: 30 }), "what was left out meanwhile is counted");
        desk.hear(&ExchangeUpdate::Link(LinkUpdate::AccessLost { code: -2015, message: "Invalid API-key".into() }));
        assert_eq!(desk.state().mode, EngineMode::Safe);
        check(&desk);
    }
}

mod losses {
    use super::*;

    fn with(limits: Limits) -> Config {
        Config { limits, ..live() }
    }

    #[test]
    fn a_loss_beyond_a_limit_is_noticed_without_an_order() {
        let daily = Limits { max_daily_loss: Some(money("100")), ..Limits::default() };
        let drawdown = Limits { max_drawdown: Some(money("100")), ..Limits::default() };
        let minimum = Limits { min_balance: Some(money("9900")), ..Limits::default() };
        for (limits, reason) in [
            (daily, "today's loss is 100.4, the limit is 100"),
            (drawdown, "the equity is 100.4 below its peak, the limit is 100"),
            (minimum, "the equity is 9899.6, below the minimum of 9900"),
        ] {
            let mut venue = Venue::new();
            let mut desk = venue.boot(with(limits));
            desk.trade("10", "100");
            desk.price(BTC, "91");
            assert_eq!(desk.state().mode, EngineMode::Running);
            desk.price(BTC, "90");
            assert_eq!(desk.state().mode, EngineMode::Safe);
            let Event::EngineModeChanged(changed) = &desk.events().last().unwrap().event else { panic!() };
            assert_eq!(changed.reason, reason);
            check(&desk);
        }
    }

    #[test]
    fn the_peak_knows_profits_but_no_transfers_and_begins_anew_when_the_operator_resumes() {
        let mut venue = Venue::new();
        let mut desk = venue.boot(with(Limits { max_drawdown: Some(money("100")), ..Limits::default() }));
        desk.trade("10", "100");
        desk.price(BTC, "120");
        desk.transfer(1, "-5000", TransferReason::Withdraw);
        assert_eq!(desk.state().mode, EngineMode::Running, "what was taken is no loss");
        desk.price(BTC, "110");
        assert_eq!(desk.state().mode, EngineMode::Safe, "what was gained and lost again is");
        desk.operator("go", OperatorOrder::Resume);
        desk.price(BTC, "109");
        assert_eq!(desk.state().mode, EngineMode::Running);
        desk.price(BTC, "100");
        assert_eq!(desk.state().mode, EngineMode::Safe);
    }

    #[test]
    fn a_balance_that_was_believed_and_is_taken_back_leaves_no_peak() {
        let mut venue = Venue::new();
        let mut desk = venue.boot(with(Limits { max_drawdown: Some(money("100")), ..Limits::default() }));
        venue.holds("15000");
        venue.wait(&mut desk, 60);
        assert_eq!(desk.engine.account().wallet(), money("15000"));
        venue.holds("10000");
        venue.wait(&mut desk, 60);
        assert_eq!(desk.engine.account().wallet(), money("10000"));
        assert_eq!(desk.state().mode, EngineMode::Running);
        check(&desk);
    }

    #[test]
    fn in_a_backtest_a_drawdown_refuses_and_nothing_more() {
        let limits = Limits { max_drawdown: Some(money("100")), ..Limits::default() };
        let mut desk = Desk::with(Config { limits, ..support::config() });
        desk.trade("10", "100");
        desk.price(BTC, "90");
        assert_eq!(desk.place(buy("1")).1, None);
        assert_eq!(
            desk.puppet.heard().last().unwrap(),
            "refused PLACE: the equity is 100.4 below its peak, the limit is 100"
        );
        assert_eq!(desk.state().mode, EngineMode::Running);
    }
}

mod stop {
    use super::*;

    #[test]
    fn a_session_ends_as_its_policy_says() {
        for (policy, left) in [
            (StopPolicy::Keep, vec![]),
            (StopPolicy::Cancel, vec!["cancel"]),
            (StopPolicy::Close, vec!["cancel", "place SELL MARKET 1 reduce-only"]),
        ] {
            let mut venue = Venue::new();
            let by_hand: ClientOrderId = "web_1".parse().unwrap();
            venue.open_order(by_hand, 5, limit("2", "80"));
            let mut desk = venue.boot(live());
            desk.trade("1", "100");
            let resting = desk.placed(limit("1", "90"));
            let sent = desk.step(Input::Stop { policy, reason: "SIGTERM" });
            assert_eq!(words(&sent), left);
            assert_eq!(desk.engine.is_stopped(), policy == StopPolicy::Keep);
            assert_eq!(desk.place(buy("1")).1, None, "nothing opens any more");
            if policy != StopPolicy::Keep {
                desk.answer(sent[0].id, Outcome::Done);
                assert!(!desk.engine.is_stopped());
                desk.update(resting, Execution::Canceled);
                assert_eq!(desk.engine.is_stopped(), policy == StopPolicy::Cancel);
            }
            if policy == StopPolicy::Close {
                let Request::PlaceOrder { client_order_id, .. } = sent[1].request else { panic!() };
                desk.answer(sent[1].id, Outcome::Placed { order_id: 8 });
                desk.fill(client_order_id, "1", "100");
                assert!(desk.engine.is_stopped());
            }
            assert!(desk.state().orders.contains_key(&by_hand), "what is foreign is left alone");
            desk.step(Input::End);
            let Event::SessionStopped(stopped) = &desk.events().last().unwrap().event else { panic!() };
            assert_eq!(stopped.reason, format!("SIGTERM ({} orders and positions)", policy.name()));
            check(&desk);
        }
    }
}

mod operator {
    use super::*;

    fn ends(desk: &Desk<MemoryLog>) -> Vec<String> {
        let line = |event: &Event| match event {
            Event::OperatorCommandFinished(end) => Some(format!("{} {:?} {}", end.key, end.error, end.result)),
            _ => None,
        };
        desk.events().iter().filter_map(|recorded| line(&recorded.event)).collect()
    }

    #[test]
    fn a_command_is_done_when_the_exchange_has_answered() {
        let mut venue = Venue::new();
        let mut desk = venue.boot(live());
        let sent = desk.operator("a", OperatorOrder::PlaceOrder { spec: limit("1", "90") });
        assert_eq!(ends(&desk), [""; 0]);
        let Request::PlaceOrder { client_order_id: name, .. } = sent[0].request else { panic!() };
        desk.answer(sent[0].id, Outcome::Placed { order_id: 4 });
        assert_eq!(ends(&desk), [format!("a None {{\"orders\":[\"{name}\"]}}")]);
        let sent = desk.operator("b", OperatorOrder::SetLeverage { symbol: BTC, leverage: 5 });
        let error =
            alphaengine_core::exchange::ExchangeError { code: -4028, message: "Leverage 5 is not valid".into() };
        desk.answer(sent[0].id, Outcome::Rejected(error));
        assert_eq!(ends(&desk)[1], "b Some(\"exchange code -4028: Leverage 5 is not valid\") {}");
        desk.operator("c", OperatorOrder::Safe);
        desk.operator("d", OperatorOrder::PlaceOrder { spec: limit("1", "90") });
        assert!(ends(&desk)[2].starts_with("d Some(\"the engine is Safe"), "{:?}", ends(&desk));
        venue.open_order(name, 4, limit("1", "90"));
        venue.serve(&mut desk);
        venue.asked();
        desk.operator("e", OperatorOrder::Reconcile);
        assert_eq!(ends(&desk).len(), 3);
        venue.serve(&mut desk);
        assert_eq!(ends(&desk)[3], "e None {}");
        assert_eq!(venue.asked().last().unwrap(), "snapshot");
        assert!(desk.state().operator_pending.is_empty());
        check(&desk);
    }

    #[test]
    fn limits_that_an_operator_gave_outlive_the_process_but_not_another_configuration() {
        let mut venue = Venue::new();
        let limits = Limits { max_order: Some(money("50")), ..Limits::default() };
        let mut desk = venue.boot(live());
        desk.operator("limits", OperatorOrder::UpdateConfig { limits });
        assert_eq!(desk.place(buy("1")).1, None);
        let desk = venue.restart(desk, live());
        assert_eq!(desk.engine.limits(), &limits);
        let configured = Limits { max_order: Some(money("500")), ..Limits::default() };
        let desk = venue.restart(desk, Config { limits: configured, ..live() });
        assert_eq!(desk.engine.limits(), &configured);
    }
}

/// Kinds of differences have the names of the log.
#[test]
fn every_kind_of_difference_has_a_name() {
    let names: Vec<_> = [DriftKind::OrderMissing, DriftKind::Position, DriftKind::Balance]
        .iter()
        .map(|kind| serde_json::to_value(kind).unwrap())
        .collect();
    assert_eq!(names, ["ORDER_MISSING", "POSITION", "BALANCE"]);
}

#[test]
fn a_cancel_that_finds_no_order_is_followed_by_a_question() {
    let mut venue = Venue::new();
    let mut desk = venue.boot(live());
    let name = desk.placed(limit("1", "90"));
    let order_id = desk.state().orders[&name].order_id;
    // It was cancelled at the exchange, and the stream's word of it is lost.
    venue.orders.insert(name, (order_id, Qty::ZERO, Standing::Canceled));
    let sent = desk.cancel(name);
    let error = ExchangeError { code: -2011, message: "Unknown order sent.".into() };
    desk.answer(sent[0].id, Outcome::Rejected(error));
    assert_eq!(desk.state().orders.len(), 1);
    venue.wait(&mut desk, 1);
    assert_eq!(desk.state().orders.len(), 0, "known within a second, not at the next look at the account");
    check(&desk);
}
