//! The engine against a world that is played by hand: what it lets through, what it names, what it makes of silence, and what
//! it still knows after a restart.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot run should say so at once")]

mod support;

use std::collections::BTreeSet;

use alphaengine_core::command::OperatorOrder;
use alphaengine_core::engine::{Config, Engine, Error};
use alphaengine_core::event::{Event, Recorded};
use alphaengine_core::exchange::{
    ExchangeError, ExchangeUpdate, Execution, ExpiryReason, Input, Outcome, Request, Setting, Standing, TransferReason,
};
use alphaengine_core::ledger::Account;
use alphaengine_core::market::MarketData;
use alphaengine_core::mode::EngineMode;
use alphaengine_core::prelude::*;
use alphaengine_core::risk::Limits;
use alphaengine_core::store::{self, Encoder, EventLog, MemoryLog};
use alphaengine_core::units::{NANOS_PER_DAY, NANOS_PER_MINUTE};
use support::{BTC, Desk, ETH, MILLI, Puppet, SECOND, config, money, noon, price, qty, recovered, scope, words};

fn buy(quantity: &str) -> OrderSpec {
    OrderSpec::market(BTC, Side::Buy, qty(quantity))
}

fn sell(quantity: &str) -> OrderSpec {
    OrderSpec::market(BTC, Side::Sell, qty(quantity))
}

fn limit(quantity: &str, at: &str) -> OrderSpec {
    OrderSpec::limit(BTC, Side::Buy, qty(quantity), price(at))
}

fn rejected(code: i32) -> Outcome {
    Outcome::Rejected(ExchangeError { code, message: "no".into() })
}

fn limited(limits: Limits) -> Desk<MemoryLog> {
    Desk::with(Config { limits, ..config() })
}

/// What the puppet was refused when it said this.
fn refusal(desk: &mut Desk<MemoryLog>, spec: OrderSpec) -> String {
    desk.puppet.heard();
    let (_, sent) = desk.place(spec);
    assert_eq!(sent, None, "the order left");
    assert!(matches!(desk.events().last().unwrap().event, Event::CommandRefused(_) | Event::EngineModeChanged(_)));
    desk.puppet.heard().join("; ")
}

mod valuation {
    use super::*;

    /// A mark that is older than the last price does not hide what the price did since.
    #[test]
    fn only_marks_as_fine_as_the_bars_value_the_account() {
        let equities = |base: Option<Timeframe>, timeframe| {
            let mut desk = Desk::with(Config { base_timeframes: vec![base, Some(Timeframe::H8)], ..config() });
            desk.trade("10", "100");
            let before = desk.engine.account().equity();
            let mark = price("130");
            let (open_time, volume) = (noon(), Qty::ZERO);
            let bar = Bar { open_time, open: mark, high: mark, low: mark, close: mark, volume, timeframe };
            desk.puppet.heard();
            desk.market(BTC, MarketData::MarkBar(bar));
            assert_eq!(desk.puppet.heard(), ["mark 130"], "the strategy is told in any case");
            assert_eq!(desk.engine.market().mark_price(BTC), Some(mark));
            let at_mark = desk.engine.account().equity();
            desk.price(BTC, "90");
            let gained = |after: Money| after.saturating_sub(before).to_string();
            (gained(at_mark), gained(desk.engine.account().equity()))
        };
        let valued = ("300".to_owned(), "300".to_owned());
        let ignored = ("0".to_owned(), "-100".to_owned());
        assert_eq!(equities(Some(Timeframe::M1), Timeframe::M1), valued);
        assert_eq!(equities(Some(Timeframe::M1), Timeframe::M3), ignored);
        assert_eq!(equities(Some(Timeframe::M1), Timeframe::H8), ignored);
        assert_eq!(equities(Some(Timeframe::H1), Timeframe::H1), valued);
        // Where ticks decide, bars of a minute are the coarsest that do.
        assert_eq!(equities(None, Timeframe::M1), valued);
        assert_eq!(equities(None, Timeframe::M3), ignored);
    }

    /// Where nobody tells of trades, the middle of the quotes is the price; where somebody does, it is not.
    #[test]
    fn quotes_value_the_account_only_where_there_is_nothing_else() {
        let quote = |bid: &str, ask: &str| {
            let (bid, ask) = (price(bid), price(ask));
            MarketData::BookTicker(BookTicker { update_id: 1, bid, bid_qty: Qty::ONE, ask, ask_qty: Qty::ONE })
        };
        let log = MemoryLog::new(Encoder::new(scope(), &support::instruments()));
        let puppet = Puppet::default();
        let engine = Engine::new(config(), puppet.clone(), log);
        let mut quoted = Desk::over(engine, puppet, noon());
        quoted.step(Input::Ready);
        for (bid, ask, middle) in [("99", "101", "100"), ("119", "121", "120")] {
            quoted.market(BTC, quote(bid, ask));
            assert_eq!(quoted.engine.account().price(BTC), Some(price(middle)));
            assert_eq!(quoted.engine.market().last_price(BTC), Some(price(middle)));
        }
        quoted.price(BTC, "110");
        quoted.market(BTC, quote("129", "131"));
        assert_eq!(quoted.engine.account().price(BTC), Some(price("110")));
    }
}

mod risk {
    use super::*;

    #[test]
    fn an_order_without_a_quantity_or_a_price_is_refused() {
        let mut desk = limited(Limits { max_order: Some(money("1000")), ..Limits::default() });
        assert_eq!(refusal(&mut desk, buy("0")), "refused PLACE: the quantity is not positive");
        assert_eq!(refusal(&mut desk, buy("-1")), "refused PLACE: the quantity is not positive");
        let log = MemoryLog::new(Encoder::new(scope(), &support::instruments()));
        let limits = Limits { max_order: Some(money("1000")), ..Limits::default() };
        let puppet = Puppet::default();
        let engine = Engine::new(Config { limits, ..config() }, puppet.clone(), log);
        let mut unpriced = Desk::over(engine, puppet, noon());
        unpriced.step(Input::Ready);
        let spec = OrderSpec::market(ETH, Side::Buy, Qty::ONE);
        let expected = "refused PLACE: no price is known yet, so the order cannot be valued";
        assert_eq!(refusal(&mut unpriced, spec), expected);
    }

    #[test]
    fn one_order_may_be_worth_so_much() {
        let mut desk = limited(Limits { max_order: Some(money("1000")), ..Limits::default() });
        assert!(desk.place(buy("10")).1.is_some(), "exactly the limit");
        assert_eq!(
            refusal(&mut desk, buy("10.001")),
            "refused PLACE: the order is worth 1000.1, above the limit of 1000"
        );
        // Orders with a price of their own are valued at it; a stop at its trigger.
        assert!(desk.place(limit("20", "50")).1.is_some());
        let stop = buy("6").with_type(OrderType::StopMarket { trigger: price("200") });
        assert_eq!(refusal(&mut desk, stop), "refused PLACE: the order is worth 1200, above the limit of 1000");
        let huge = limit("90000000000", "90000000000");
        let expected = "refused PLACE: the order, its position or its value does not fit the number range";
        assert_eq!(refusal(&mut desk, huge), expected);
    }

    #[test]
    fn a_position_may_be_worth_so_much_open_orders_included() {
        let mut desk = limited(Limits { max_position: Some(money("1000")), ..Limits::default() });
        desk.trade("4", "100");
        desk.placed(limit("3", "90"));
        assert_eq!(
            refusal(&mut desk, buy("4")),
            "refused PLACE: the position would be worth 1100, above the limit of 1000"
        );
        assert!(desk.place(buy("3")).1.is_some(), "exactly the limit");
        // The other direction has its own sum: from 4 long to 10 short.
        assert!(desk.place(sell("14")).1.is_some());
        assert_eq!(
            refusal(&mut desk, sell("1")),
            "refused PLACE: the position would be worth 1100, above the limit of 1000"
        );
        // Getting out is never refused.
        assert!(desk.place(sell("4").reduce_only()).1.is_some());
    }

    #[test]
    fn what_only_reduces_does_not_count_as_a_position_to_be() {
        let mut desk = limited(Limits { max_position: Some(money("1000")), ..Limits::default() });
        desk.trade("-4", "100");
        desk.placed(limit("4", "100").reduce_only());
        assert!(desk.place(limit("14", "100")).1.is_some(), "from 4 short to 10 long");
    }

    #[test]
    fn an_order_cannot_grow_past_a_limit_that_it_could_not_have_been_placed_at() {
        let limits = Limits { max_position: Some(money("1000")), max_order: Some(money("800")), ..Limits::default() };
        let mut desk = limited(limits);
        desk.trade("4", "100");
        let name = desk.placed(limit("5", "100"));
        desk.puppet.heard();
        for (quantity, at) in [("7", "100"), ("9", "100"), ("5", "150"), ("0", "100"), ("-5", "100")] {
            let (quantity, at) = (qty(quantity), price(at));
            assert_eq!(desk.say(move |ctx| ctx.modify(name, quantity, at)), []);
        }
        let expected = [
            "refused MODIFY: the position would be worth 1100, above the limit of 1000",
            "refused MODIFY: the order is worth 900, above the limit of 800",
            // Four are held: at the new price they count as well.
            "refused MODIFY: the position would be worth 1350, above the limit of 1000",
            "refused MODIFY: the quantity is not positive",
            "refused MODIFY: the quantity is not positive",
        ];
        assert_eq!(desk.puppet.heard(), expected);
        assert_eq!(words(&desk.say(move |ctx| ctx.modify(name, qty("6"), price("100")))), ["modify to 6 at 100"]);
    }

    #[test]
    fn so_many_orders_may_be_open() {
        let mut desk = limited(Limits { max_open_orders: Some(2), ..Limits::default() });
        desk.trade("1", "100");
        let first = desk.placed(limit("1", "90"));
        desk.placed(limit("1", "80"));
        assert_eq!(refusal(&mut desk, limit("1", "70")), "refused PLACE: 2 orders are open, the limit is 2");
        let stop = sell("1").with_type(OrderType::StopMarket { trigger: price("50") }).reduce_only();
        assert_eq!(refusal(&mut desk, stop), "refused PLACE: 2 orders are open, the limit is 2");
        let (exit, _) = desk.place(sell("1").reduce_only());
        assert!(desk.state().orders.contains_key(&exit), "an exit at market does not rest");
        desk.fill(exit, "1", "100");
        desk.update(first, Execution::Canceled);
        assert!(desk.place(limit("1", "70")).1.is_some());
    }

    #[test]
    fn a_days_loss_closes_the_day_and_a_withdrawal_is_no_loss() {
        let mut desk = limited(Limits { max_daily_loss: Some(money("500")), ..Limits::default() });
        desk.transfer(1, "-2000", TransferReason::Withdraw);
        desk.trade("10", "100");
        desk.price(BTC, "60");
        assert!(desk.place(buy("1")).1.is_some(), "a loss of 400.4 is below the limit");
        desk.price(BTC, "50");
        assert_eq!(refusal(&mut desk, buy("1")), "refused PLACE: today's loss is 500.4, the limit is 500");
        assert!(desk.place(sell("10").reduce_only()).1.is_some());
        desk.transfer(2, "1000", TransferReason::Deposit);
        assert_eq!(refusal(&mut desk, buy("1")), "refused PLACE: today's loss is 500.4, the limit is 500");

        let name = desk.placed(limit("1", "40").reduce_only());
        let resting = desk.state().orders[&name].qty;
        assert_eq!(resting, Qty::ONE);
        desk.wait(NANOS_PER_DAY / 2);
        assert!(desk.place(buy("1")).1.is_some(), "a new day");
        assert_eq!(desk.state().day_start_equity, money("8499.6"));
    }

    #[test]
    fn a_days_loss_stops_an_order_from_growing() {
        let mut desk = limited(Limits { max_daily_loss: Some(money("500")), ..Limits::default() });
        let name = desk.placed(limit("1", "40"));
        desk.trade("10", "100");
        desk.price(BTC, "50");
        desk.puppet.heard();
        assert_eq!(desk.say(move |ctx| ctx.modify(name, qty("50"), price("40"))), []);
        assert_eq!(desk.puppet.heard(), ["refused MODIFY: today's loss is 500.4, the limit is 500"]);
        assert_eq!(words(&desk.say(move |ctx| ctx.modify(name, qty("0.5"), price("40")))), ["modify to 0.5 at 40"]);
    }

    #[test]
    fn below_the_minimum_balance_only_ways_out_are_open() {
        let mut desk = limited(Limits { min_balance: Some(money("9800")), ..Limits::default() });
        desk.trade("10", "100");
        desk.price(BTC, "70");
        let expected = "refused PLACE: the equity is 9699.6, below the minimum of 9800";
        assert_eq!(refusal(&mut desk, buy("1")), expected);
        assert_eq!(desk.state().mode, EngineMode::Safe);
        // The mode stays when the market comes back: only an operator ends it.
        desk.price(BTC, "200");
        assert_eq!(
            refusal(&mut desk, buy("1")),
            "refused PLACE: the engine is Safe: only cancels and closes may leave"
        );
        assert!(desk.place(sell("10").reduce_only()).1.is_some());
        desk.operator("resume-1", OperatorOrder::Resume);
        assert!(desk.place(buy("1")).1.is_some());
    }

    #[test]
    fn what_does_not_exist_cannot_be_cancelled_or_changed() {
        let mut desk = Desk::new();
        desk.puppet.heard();
        let nobody: ClientOrderId = "ae-nobody".parse().unwrap();
        assert_eq!(desk.cancel(nobody), []);
        assert_eq!(desk.say(move |ctx| ctx.modify(nobody, Qty::ONE, Price::ONE)), []);
        let heard = desk.puppet.heard();
        assert_eq!(
            heard,
            ["refused CANCEL: there is no such open order", "refused MODIFY: there is no such open order"]
        );
    }
}

mod commands {
    use super::*;

    #[test]
    fn commands_of_one_callback_leave_cancels_first_and_openings_last() {
        let mut desk = Desk::new();
        desk.trade("1", "100");
        let resting = desk.placed(limit("1", "90"));
        let sent = desk.say(move |ctx| {
            ctx.buy(BTC, qty("2"));
            ctx.set_leverage(BTC, 5);
            ctx.stop(BTC, Side::Sell, qty("1"), price("80"));
            ctx.modify(resting, qty("3"), price("91"));
            ctx.cancel(resting);
            ctx.close(BTC);
        });
        let expected = [
            "cancel",
            "place SELL STOP_MARKET 1 reduce-only",
            "place SELL MARKET 1 reduce-only",
            "place BUY MARKET 2",
            "leverage 5",
            "modify to 3 at 91",
        ];
        assert_eq!(words(&sent), expected);
    }

    #[test]
    fn names_are_derived_unique_and_fit_the_exchange() {
        let play = || {
            let mut desk = Desk::new();
            let mut names = Vec::new();
            for _ in 0..20 {
                names.push(desk.place(buy("1")).0);
                names.push(desk.place(buy("0")).0);
            }
            (names, desk.engine.log().hash())
        };
        let (names, hash) = play();
        assert_eq!((&names, &hash), (&play().0, &play().1), "the same run gives the same names and the same log");
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        assert!(names.is_sorted());
        for name in names {
            let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".:/_-".contains(&byte);
            assert!(name.as_str().len() <= 36 && name.as_str().bytes().all(is_allowed), "{name}");
        }
    }

    #[test]
    fn a_name_is_never_given_again_in_any_process_or_session() {
        let other = || Config { session: "fedcba9876543210".parse().unwrap(), ..config() };
        let mut desk = Desk::new();
        let mut names = BTreeSet::new();
        for round in 0..6 {
            for spec in [buy("1"), buy("0"), buy("2")] {
                assert!(names.insert(desk.place(spec).0), "round {round}");
            }
            // A store may see the same session again after another one.
            desk = desk.restart(if round % 3 == 1 { other() } else { config() });
            desk.step(Input::Ready);
        }
    }

    #[test]
    fn a_name_that_was_given_to_a_dropped_command_is_not_given_again() {
        let mut desk = Desk::new();
        // The last five are more than the engine takes at one instant.
        desk.say(|ctx| {
            for _ in 0..10_005 {
                ctx.buy(BTC, Qty::ZERO);
            }
        });
        desk.wait(SECOND);
        let (last, _) = desk.place(buy("1"));
        let mut desk = desk.restart(config());
        desk.step(Input::Ready);
        for _ in 0..10 {
            assert!(desk.place(buy("1")).0 > last);
        }
    }

    #[test]
    fn an_intent_is_in_the_log_before_its_request_leaves() {
        let mut desk = Desk::new();
        let name = desk.placed(limit("1", "90"));
        desk.say(move |ctx| {
            ctx.buy(BTC, qty("1"));
            ctx.modify(name, qty("2"), price("91"));
            ctx.cancel(name);
            ctx.set_leverage(ETH, 7);
        });
        let has = |wanted: &dyn Fn(&Event) -> bool| desk.events().iter().any(|recorded| wanted(&recorded.event));
        for outgoing in &desk.sent {
            let is_known = match outgoing.request {
                Request::PlaceOrder { client_order_id: id, .. } => {
                    has(&|event| matches!(event, Event::OrderRequested(event) if event.client_order_id == id))
                }
                Request::CancelOrder { client_order_id: id, .. } => {
                    has(&|event| matches!(event, Event::CancelRequested(event) if event.client_order_id == id))
                }
                Request::ModifyOrder { client_order_id: id, .. } => {
                    has(&|event| matches!(event, Event::ModifyRequested(event) if event.client_order_id == id))
                }
                _ => has(&|event| matches!(event, Event::SettingRequested(_))),
            };
            assert!(is_known, "{outgoing:?}");
        }
        assert_eq!(desk.sent.len(), 5);
    }

    #[test]
    fn closing_takes_pieces_that_the_market_lot_allows_and_never_more_than_is_held() {
        let mut config = config();
        let rules: Vec<Instrument> = config.instruments.iter().map(|(_, rules)| rules.clone()).collect();
        let most = qty("3");
        let small = rules.into_iter().map(|mut rules| {
            rules.market_lot.max = most;
            rules
        });
        config.instruments = Instruments::new(small.collect()).unwrap();
        let mut desk = Desk::with(config);
        for held in ["7.5", "-7.5", "3"] {
            desk.trade(held, "100");
            let sent = desk.say(|ctx| ctx.close(BTC));
            let mut closed = Qty::ZERO;
            for outgoing in &sent {
                let Request::PlaceOrder { client_order_id, spec } = outgoing.request else { panic!("{outgoing:?}") };
                assert!(spec.reduce_only && spec.qty <= most, "{spec:?}");
                closed = closed.checked_add(spec.side.signed(spec.qty)).unwrap();
                desk.fill(client_order_id, &spec.qty.to_string(), "100");
            }
            assert_eq!(closed, qty(held).checked_neg().unwrap());
            assert!(desk.state().position(BTC, PositionSide::Both).is_flat());
        }
        assert_eq!(desk.say(|ctx| ctx.close(BTC)), []);
    }

    #[test]
    fn a_setting_is_asked_for_once_and_a_fact_once() {
        let mut desk = Desk::new();
        let sent = desk.say(|ctx| ctx.set_leverage(BTC, 5));
        desk.hear(&ExchangeUpdate::Setting { symbol: Some(BTC), setting: Setting::Leverage { leverage: 5 } });
        desk.answer(sent[0].id, Outcome::Done);
        assert_eq!(desk.types().iter().filter(|kind| **kind == "LeverageSet").count(), 1);
        assert_eq!(desk.say(|ctx| ctx.set_leverage(BTC, 5)), [], "it is so already");
        let sent = desk.say(|ctx| ctx.set_leverage(BTC, 500));
        desk.answer(sent[0].id, rejected(-4028));
        assert_eq!(desk.state().symbols[0].leverage, Some(5));
        let last = desk.events().last().unwrap();
        assert!(matches!(last.event, Event::SettingRejected(_)) && last.command.is_some());
    }

    #[test]
    fn a_strategy_that_answers_itself_for_ever_is_stopped() {
        // By its refusals, by its timers, and by the answers of an exchange that takes no time.
        let again = |ctx: &mut Context<'_>, _: &str| {
            ctx.buy(BTC, Qty::ZERO);
        };
        let mut desk = Desk::of(config(), Puppet::with_reflex(again));
        assert_eq!(desk.state().mode, EngineMode::Safe);
        let refused = desk.types().iter().filter(|kind| **kind == "CommandRefused").count();
        assert_eq!(refused, 10_000);
        desk.wait(SECOND);
        assert_eq!(desk.types().iter().filter(|kind| **kind == "EngineModeChanged").count(), 2, "it said so once");

        let alarm = |ctx: &mut Context<'_>, _: &str| ctx.set_timer("now", ctx.now());
        let desk = Desk::of(config(), Puppet::with_reflex(alarm));
        assert_eq!(desk.state().mode, EngineMode::Safe);

        let more = |ctx: &mut Context<'_>, what: &str| {
            if what.starts_with("fill") {
                ctx.buy(BTC, Qty::ONE);
            }
        };
        let mut desk = Desk::of(config(), Puppet::with_reflex(more));
        let mut name = desk.placed(buy("1"));
        let mut rounds = 0;
        while let [outgoing] = desk.fill(name, "1", "100")[..] {
            let Request::PlaceOrder { client_order_id, .. } = outgoing.request else { panic!("{outgoing:?}") };
            (name, rounds) = (client_order_id, rounds + 1);
        }
        assert_eq!((rounds, desk.state().mode), (9_999, EngineMode::Safe));
        // The way out stays open, and the operator's word counts.
        assert_eq!(words(&desk.operator("close-1", OperatorOrder::Close { symbol: BTC })).len(), 84);
    }
}

mod doubt {
    use super::*;

    #[test]
    fn an_order_whose_answer_is_lost_is_asked_about_and_never_sent_again() {
        let mut desk = Desk::new();
        let (name, id) = desk.place(buy("1"));
        desk.puppet.heard();
        desk.lost(id.unwrap());
        assert_eq!(desk.state().orders[&name].status, OrderStatus::Unknown);

        // The window is two seconds and the margin five. Whatever is answered before, the order may still arrive.
        let mut asked = Vec::new();
        for _ in 0..5 {
            desk.now = desk.engine.wake_at();
            let sent = desk.step(Input::Wake);
            assert_eq!(words(&sent), ["query"]);
            asked.push(desk.now.since(noon()) / MILLI);
            desk.answer(sent[0].id, Outcome::NotFound);
            let is_open = desk.state().orders.contains_key(&name);
            assert_eq!(is_open, desk.now.since(noon()) <= 7 * SECOND, "after {} ms", asked[asked.len() - 1]);
            if !is_open {
                break;
            }
        }
        assert_eq!(asked, [250, 1_000, 2_000, 5_000, 10_000]);
        assert_eq!(desk.puppet.heard(), ["UNKNOWN OutcomeUnknown", "REJECTED ProvenAbsent"]);
        let placed = desk.sent.iter().filter(|outgoing| matches!(outgoing.request, Request::PlaceOrder { .. }));
        assert_eq!(placed.count(), 1);
        assert_eq!(desk.wait(NANOS_PER_MINUTE), [], "what is settled is not asked about");
    }

    #[test]
    fn the_late_answer_to_an_early_question_proves_nothing() {
        let mut desk = Desk::new();
        let (name, id) = desk.place(buy("1"));
        desk.lost(id.unwrap());
        let early = desk.wait(6 * SECOND);
        let late = desk.wait(6 * SECOND);
        for outgoing in &early {
            desk.answer(outgoing.id, Outcome::NotFound);
        }
        assert!(desk.state().orders.contains_key(&name), "it was asked when the order could still arrive");
        desk.answer(late[0].id, Outcome::NotFound);
        assert!(!desk.state().orders.contains_key(&name));
    }

    #[test]
    fn an_order_that_is_found_or_shows_itself_is_not_in_doubt() {
        for way in ["found", "pushed", "filled"] {
            let mut desk = Desk::new();
            let (name, id) = desk.place(buy("1"));
            desk.lost(id.unwrap());
            match way {
                "found" => {
                    let asked = desk.wait(300 * MILLI);
                    desk.answer(
                        asked[0].id,
                        Outcome::Found { order_id: 5, filled: Qty::ZERO, standing: Standing::Open },
                    );
                    assert_eq!(desk.state().orders[&name].order_id, 5);
                }
                "pushed" => drop(desk.update(name, Execution::New)),
                _ => drop(desk.fill(name, "0.5", "100")),
            }
            assert_eq!(desk.wait(NANOS_PER_MINUTE), [], "{way}");
            assert!(desk.state().orders.contains_key(&name), "{way}");
        }
    }

    #[test]
    fn a_duplicate_name_means_that_the_first_attempt_very_likely_arrived() {
        let mut desk = Desk::new();
        let (name, id) = desk.place(buy("1"));
        desk.answer(id.unwrap(), rejected(-4116));
        assert_eq!(desk.state().orders[&name].status, OrderStatus::Unknown);
        assert_eq!(words(&desk.wait(300 * MILLI)), ["query"]);
        let mut desk = Desk::new();
        let (name, id) = desk.place(buy("1"));
        desk.answer(id.unwrap(), rejected(-2019));
        assert!(!desk.state().orders.contains_key(&name), "any other no is a no");
    }

    #[test]
    fn a_lost_cancel_is_proven_not_to_have_arrived_before_it_may_be_tried_again() {
        let mut desk = Desk::new();
        let name = desk.placed(limit("1", "90"));
        desk.wait(NANOS_PER_MINUTE);
        let cancel = desk.cancel(name);
        desk.lost(cancel[0].id);
        desk.puppet.heard();
        let here = Outcome::Found { order_id: 1_001, filled: Qty::ZERO, standing: Standing::Open };
        for outgoing in desk.wait(6 * SECOND) {
            desk.answer(outgoing.id, here.clone());
        }
        assert_eq!(desk.cancel(name), [], "the first one may still arrive");
        // A fill shows that the order is there, which says nothing about the cancel.
        desk.fill(name, "0.5", "90");
        desk.puppet.heard();
        let late = desk.wait(6 * SECOND);
        desk.answer(late[0].id, here);
        assert_eq!(desk.puppet.heard(), ["PARTIALLY_FILLED ChangeRejected"]);
        assert_eq!(words(&desk.cancel(name)), ["cancel"]);
        desk.update(name, Execution::Canceled);
        assert_eq!(desk.wait(NANOS_PER_MINUTE), []);
    }

    #[test]
    fn an_answer_about_the_order_says_nothing_about_a_cancel_that_is_still_on_its_way() {
        let mut desk = Desk::new();
        let (name, id) = desk.place(limit("1", "90"));
        desk.lost(id.unwrap());
        desk.wait(9 * SECOND);
        desk.cancel(name);
        let asked = desk.wait(2 * SECOND);
        desk.puppet.heard();
        desk.answer(asked[0].id, Outcome::Found { order_id: 5, filled: Qty::ZERO, standing: Standing::Open });
        assert_eq!(desk.puppet.heard(), ["NEW Placed"]);
        desk.update(name, Execution::Canceled);
        assert_eq!((desk.puppet.heard(), desk.wait(NANOS_PER_MINUTE)), (vec!["CANCELED Canceled".to_owned()], vec![]));
    }

    #[test]
    fn a_cancel_that_lost_the_race_leaves_the_order_as_it_is() {
        let mut desk = Desk::new();
        let name = desk.placed(limit("1", "90"));
        let cancel = desk.cancel(name);
        assert_eq!(desk.cancel(name), [], "one cancel at a time");
        desk.puppet.heard();
        desk.answer(cancel[0].id, rejected(-2011));
        assert_eq!(desk.puppet.heard(), ["NEW ChangeRejected"]);
        assert_eq!(words(&desk.cancel(name)), ["cancel"]);
        desk.fill(name, "1", "90");
        assert!(desk.state().orders.is_empty() && desk.state().cancels.is_empty());
    }
}

mod exchange {
    use super::*;
    use alphaengine_core::exchange::{Fill, OrderUpdate};

    #[test]
    fn what_is_heard_twice_happened_once() {
        let mut desk = Desk::new();
        let name = desk.placed(limit("2", "90"));
        let fill = desk.fill_of(name, qty("1"), price("90"));
        let funding = desk.now;
        for _ in 0..3 {
            desk.update(name, Execution::Trade(fill));
            desk.fund("-0.5", funding);
            desk.transfer(0, "10000", TransferReason::Deposit);
            desk.transfer(1, "100", TransferReason::Deposit);
            desk.transfer(1, "-40", TransferReason::Withdraw);
            desk.update(name, Execution::New);
        }
        // One that is older than the newest is still told apart from one that was never heard.
        desk.update(name, Execution::Trade(Fill { trade_id: fill.trade_id - 1, ..fill }));
        desk.fund("-0.25", funding.plus(-SECOND));
        desk.fund("-0.5", funding);
        assert_eq!(desk.state().position(BTC, PositionSide::Both).qty(), qty("2"));
        assert_eq!(desk.engine.account().wallet(), money("10059.178"));
        assert_eq!(desk.types().iter().filter(|kind| **kind == "OrderPlaced").count(), 1);
    }

    #[test]
    fn a_fill_may_overtake_the_acknowledgement() {
        let mut desk = Desk::new();
        let (name, id) = desk.place(buy("1"));
        desk.puppet.heard();
        desk.fill(name, "0.4", "100");
        desk.answer(id.unwrap(), Outcome::Placed { order_id: 9 });
        desk.fill(name, "0.6", "100");
        let expected = [
            "fill 0.4 at 100",
            "PARTIALLY_FILLED Traded",
            "PARTIALLY_FILLED Placed",
            "fill 0.6 at 100",
            "FILLED Traded",
        ];
        assert_eq!(desk.puppet.heard(), expected);
    }

    #[test]
    fn news_of_orders_that_are_over_or_were_never_ours_change_no_order() {
        let mut desk = Desk::new();
        let (name, id) = desk.place(buy("1"));
        let order = desk.state().orders[&name];
        desk.answer(id.unwrap(), rejected(-2019));
        let before = desk.events().len();
        for execution in [Execution::New, Execution::Canceled, Execution::Expired(ExpiryReason::IocRemainder)] {
            let update = OrderUpdate {
                at: desk.now,
                client_order_id: order.client_order_id,
                order_id: 4,
                symbol: BTC,
                side: Side::Buy,
                position_side: PositionSide::Both,
                execution,
            };
            desk.hear(&ExchangeUpdate::Order(update));
        }
        desk.answer(id.unwrap(), Outcome::Placed { order_id: 4 });
        assert_eq!(desk.events().len(), before);
    }

    #[test]
    fn the_exchange_may_close_a_position_itself() {
        let mut desk = Desk::new();
        desk.trade("2", "100");
        let name = desk.placed(limit("1", "50"));
        let fill = Fill { is_liquidation: true, ..desk.fill_of(name, qty("2"), price("60")) };
        let update = OrderUpdate {
            at: desk.now,
            client_order_id: "autoclose-1746360000000".parse().unwrap(),
            order_id: 77,
            symbol: BTC,
            side: Side::Sell,
            position_side: PositionSide::Both,
            execution: Execution::Trade(Fill { realized: money("-80"), ..fill }),
        };
        desk.hear(&ExchangeUpdate::Order(update));
        assert!(desk.state().position(BTC, PositionSide::Both).is_flat());
        assert_eq!(desk.balance(Account::LiquidationFee), "0.048");
        assert!(desk.state().orders.contains_key(&name), "ours are untouched");
    }

    #[test]
    fn an_order_that_is_filled_beyond_its_size_stops_the_engine() {
        let mut desk = Desk::new();
        let name = desk.placed(buy("1"));
        desk.fill(name, "0.7", "100");
        let fill = desk.fill_of(name, qty("0.4"), price("100"));
        let order = desk.state().orders[&name];
        let update = OrderUpdate {
            at: desk.now,
            client_order_id: name,
            order_id: order.order_id,
            symbol: BTC,
            side: Side::Buy,
            position_side: PositionSide::Both,
            execution: Execution::Trade(fill),
        };
        let stopped = desk.try_step(Input::Exchange(&ExchangeUpdate::Order(update))).unwrap_err();
        assert!(stopped.to_string().ends_with("an order of 1 is filled by 1.1"), "{stopped}");
        assert!(matches!(desk.try_step(Input::Wake), Err(Error::Stopped)));
    }

    #[test]
    fn a_conditional_order_lives_twice() {
        let mut desk = Desk::new();
        desk.trade("3", "100");
        let stop = sell("1").with_type(OrderType::StopMarket { trigger: price("80") }).reduce_only();
        let name = desk.placed(stop);
        assert_eq!(words(&desk.cancel(name)), ["cancel conditional"]);
        desk.puppet.heard();
        desk.update(name, Execution::Triggered { child: 6, qty: qty("1") });
        desk.update(name, Execution::Triggered { child: 6, qty: qty("1") });
        desk.fill(name, "1", "79");
        assert_eq!(desk.puppet.heard(), ["TRIGGERED Triggered", "fill 1 at 79", "FILLED Traded"]);
        let refused = desk.placed(stop);
        desk.update(refused, Execution::TriggerRejected { code: -2022 });
        assert!(desk.state().orders.is_empty());
    }

    #[test]
    fn a_close_position_order_learns_its_size_even_after_its_fills() {
        let close =
            OrderSpec { close_position: true, ..sell("0").with_type(OrderType::StopMarket { trigger: price("80") }) };
        for fills_first in [false, true] {
            let mut desk = Desk::new();
            desk.trade("3", "100");
            let name = desk.placed(close);
            desk.puppet.heard();
            let triggered = Execution::Triggered { child: 6, qty: qty("3") };
            if fills_first {
                desk.fill(name, "1", "79");
                desk.fill(name, "2", "78");
                assert_eq!(desk.state().orders[&name].status, OrderStatus::PartiallyFilled);
                desk.update(name, triggered);
                assert_eq!(desk.puppet.heard().last().unwrap(), "FILLED Triggered");
            } else {
                desk.update(name, triggered);
                desk.fill(name, "1", "79");
                desk.fill(name, "2", "78");
                assert_eq!(desk.puppet.heard().last().unwrap(), "FILLED Traded");
            }
            assert!(desk.state().orders.is_empty() && desk.state().position(BTC, PositionSide::Both).is_flat());
        }
    }
}

mod operator {
    use super::*;

    #[test]
    fn a_repeated_word_is_one_command() {
        let mut desk = Desk::new();
        desk.trade("2", "100");
        desk.placed(limit("1", "90"));
        let cancel = OperatorOrder::CancelAll { symbol: BTC };
        let close = OperatorOrder::Close { symbol: BTC };
        assert_eq!(words(&desk.operator("a", cancel)), ["cancel"]);
        assert_eq!(words(&desk.operator("b", close)), ["place SELL MARKET 2 reduce-only"]);
        for (key, order) in [("a", cancel), ("b", close), ("b", OperatorOrder::Pause)] {
            assert_eq!(desk.operator(key, order), []);
        }
        assert_eq!(desk.state().mode, EngineMode::Running, "a key that was used says nothing new");
        let mut desk = desk.restart(config());
        desk.step(Input::Ready);
        assert_eq!(desk.operator("b", close), [], "nor after a restart");
        assert_eq!(words(&desk.operator("c", close)), ["place SELL MARKET 2 reduce-only"]);
    }

    #[test]
    fn a_pause_lets_only_ways_out_through_and_outlives_the_process() {
        let mut desk = Desk::new();
        desk.trade("2", "100");
        let resting = desk.placed(limit("1", "90"));
        desk.operator("pause", OperatorOrder::Pause);
        let paused = "refused PLACE: the engine is Paused: only cancels and closes may leave";
        assert_eq!(refusal(&mut desk, buy("1")), paused);
        assert_eq!(words(&desk.cancel(resting)), ["cancel"]);
        let mut desk = desk.restart(config());
        assert_eq!(desk.state().mode, EngineMode::Paused);
        desk.step(Input::Ready);
        assert_eq!(desk.puppet.heard(), ["start"]);
        assert_eq!(refusal(&mut desk, buy("1")), paused);
        assert!(desk.place(sell("2").reduce_only()).1.is_some());
        desk.operator("resume", OperatorOrder::Resume);
        assert!(desk.place(buy("1")).1.is_some());
    }

    #[test]
    fn a_word_during_the_boot_counts_when_the_engine_runs() {
        for (order, mode) in [(OperatorOrder::Pause, EngineMode::Paused), (OperatorOrder::Resume, EngineMode::Running)]
        {
            let mut desk = Desk::new();
            desk.trade("1", "100");
            desk.operator("before", OperatorOrder::Pause);
            let mut desk = desk.restart(config());
            desk.operator("early", order);
            assert_eq!(desk.state().mode, EngineMode::Booting);
            assert_eq!(
                desk.operator("close", OperatorOrder::Close { symbol: BTC }),
                [],
                "nothing leaves but questions"
            );
            desk.step(Input::Ready);
            assert_eq!((desk.state().mode, desk.puppet.heard()), (mode, vec!["start".to_owned()]));
        }
    }
}

mod recovery {
    use super::*;

    #[test]
    fn timers_and_memory_survive() {
        let mut desk = Desk::new();
        desk.say(|ctx| {
            ctx.set_timer_in("soon", 10 * SECOND);
            ctx.set_timer_in("later", 60 * SECOND);
            ctx.set_timer_in("later", 90 * SECOND);
            assert!(ctx.save("plan", &("hold", 3)));
        });
        let mut desk = desk.restart(config());
        // Down for half a minute; while the engine boots, timers wait.
        desk.now = desk.now.plus(30 * SECOND);
        desk.step(Input::Wake);
        assert_eq!(desk.puppet.heard(), [""; 0]);
        desk.step(Input::Ready);
        assert_eq!(desk.puppet.heard(), ["start", "timer soon"]);
        desk.say(|ctx| assert_eq!(ctx.load::<(String, i64)>("plan"), Some(("hold".into(), 3))));
        assert_eq!(desk.engine.wake_at(), noon().plus(90 * SECOND));
        desk.wait(100 * SECOND);
        assert_eq!(desk.puppet.heard(), ["timer later"]);
        let mut desk = desk.restart(config());
        desk.step(Input::Ready);
        assert_eq!(desk.wait(300 * SECOND), []);
        assert_eq!(desk.puppet.heard(), ["start"], "what fired is over");
    }

    #[test]
    fn every_unanswered_request_is_asked_about_and_none_is_sent_again() {
        let mut desk = Desk::new();
        let known = desk.placed(limit("1", "80"));
        let (requested, _) = desk.place(limit("1", "81"));
        let (lost, id) = desk.place(limit("1", "82"));
        desk.lost(id.unwrap());
        let cancelled = desk.placed(limit("1", "83"));
        desk.cancel(cancelled);
        let mut desk = desk.restart(config());
        desk.now = desk.now.plus(20 * SECOND);
        let sent = desk.step(Input::Wake);
        let asked: BTreeSet<ClientOrderId> = sent
            .iter()
            .map(|outgoing| match outgoing.request {
                Request::QueryOrder { client_order_id, .. } => client_order_id,
                other => panic!("{other:?} left"),
            })
            .collect();
        assert_eq!(asked, BTreeSet::from([requested, lost, cancelled]));
        let answer = |desk: &mut Desk<_>, sent: Vec<alphaengine_core::exchange::Outgoing>| {
            for outgoing in sent {
                let Request::QueryOrder { client_order_id, .. } = outgoing.request else { unreachable!() };
                let outcome = match client_order_id {
                    name if name == requested => Outcome::NotFound,
                    name if name == lost => {
                        Outcome::Found { order_id: 90, filled: Qty::ZERO, standing: Standing::Open }
                    }
                    _ => Outcome::Found { order_id: 91, filled: Qty::ZERO, standing: Standing::Open },
                };
                desk.answer(outgoing.id, outcome);
            }
        };
        // They were given long ago, but what waited for a limit may have left until the process ended.
        answer(&mut desk, sent);
        assert!(desk.state().orders.contains_key(&requested) && !desk.state().cancels.is_empty());
        let sent = desk.wait(11 * SECOND);
        answer(&mut desk, sent);
        assert_eq!(
            desk.state().orders.keys().copied().collect::<BTreeSet<_>>(),
            BTreeSet::from([known, lost, cancelled])
        );
        assert!(desk.state().cancels.is_empty(), "the cancel never arrived");
        assert_eq!(desk.wait(NANOS_PER_MINUTE), []);
        desk.step(Input::Ready);
    }

    #[test]
    fn a_day_that_ended_while_nothing_ran_is_closed_first() {
        let limits = Limits { max_daily_loss: Some(money("100")), ..Limits::default() };
        let limited = || Config { limits, ..config() };
        let mut desk = Desk::with(limited());
        desk.trade("1", "100");
        desk.trade("-1", "20");
        desk.trade("1", "100");
        desk.trade("-1", "20");
        assert!(refusal(&mut desk, buy("1")).starts_with("refused PLACE: today's loss is 160"));
        let mut same_day = recovered(limited(), Puppet::default(), desk.events(), desk.now.plus(SECOND));
        same_day.step(Input::Ready);
        same_day.price(BTC, "100");
        assert!(refusal(&mut same_day, buy("1")).starts_with("refused PLACE: today's loss is 160"));
        let mut days_later = recovered(limited(), Puppet::default(), desk.events(), desk.now.plus(3 * NANOS_PER_DAY));
        days_later.step(Input::Ready);
        days_later.price(BTC, "100");
        assert!(days_later.place(buy("1")).1.is_some());
        let closed = days_later.events().iter().filter_map(|recorded| match &recorded.event {
            Event::DayClosed(event) => Some(event.day.to_string()),
            _ => None,
        });
        assert_eq!(closed.collect::<Vec<_>>(), ["2025-05-06T00:00:00.000Z"], "only the last midnight is told");
    }

    #[test]
    fn the_strategy_is_not_called_before_the_world_is_ready() {
        let mut desk = Desk::new();
        let name = desk.placed(limit("1", "90"));
        let mut desk = desk.restart(config());
        desk.price(BTC, "95");
        desk.fill(name, "1", "90");
        assert_eq!(desk.say(|_| unreachable!("it was called")), []);
        assert_eq!(desk.puppet.heard(), [""; 0]);
        assert_eq!(desk.state().position(BTC, PositionSide::Both).qty(), Qty::ONE, "the facts are taken all the same");
    }

    #[test]
    fn time_does_not_go_back() {
        let mut desk = Desk::new();
        desk.wait(SECOND);
        let now = desk.now;
        desk.now = noon();
        let error = desk.try_step(Input::Wake).unwrap_err();
        assert_eq!(error.to_string(), format!("time went back: from {now} to {}", noon()));
        let events = desk.events().to_vec();
        let mut desk = recovered(config(), Puppet::default(), &events, noon().plus(-SECOND));
        assert!(matches!(desk.try_step(Input::Wake), Err(Error::TimeWentBack { .. })), "nor across a restart");
    }
}

/// A log whose writes fail from a certain one on.
struct Failing {
    good: u32,
    fails_at_commit: bool,
}

impl Failing {
    fn next(&mut self) -> Result<(), store::Error> {
        self.good = self.good.saturating_sub(1);
        if self.good > 0 { Ok(()) } else { Err(store::Error::DiskFull { path: "full.db".into() }) }
    }
}

impl EventLog for Failing {
    fn append(&mut self, _: &[Recorded]) -> Result<(), store::Error> {
        if self.fails_at_commit { Ok(()) } else { self.next() }
    }

    fn commit(&mut self) -> Result<(), store::Error> {
        if self.fails_at_commit { self.next() } else { Ok(()) }
    }

    fn contains(&mut self, _: &str) -> Result<bool, store::Error> {
        Ok(false)
    }
}

#[test]
fn no_request_leaves_once_the_log_has_failed() {
    for fails_at_commit in [false, true] {
        let puppet = Puppet::default();
        let log = Failing { good: 4, fails_at_commit };
        let mut desk = Desk::over(Engine::new(config(), puppet.clone(), log), puppet.clone(), noon());
        desk.open();
        let (_, sent) = desk.place(buy("1"));
        assert!(sent.is_some(), "the log still works");
        let order = |ctx: &mut Context<'_>| {
            ctx.buy(BTC, Qty::ONE);
        };
        let error = desk.try_say(order).unwrap_err();
        assert_eq!(error.to_string(), "the event store failed: full.db: the disk is full");
        assert!(matches!(desk.try_say(order), Err(Error::Stopped)));
        assert!(matches!(desk.try_step(Input::Wake), Err(Error::Stopped)));
        assert_eq!(desk.sent.len(), 1, "what the log does not have did not leave");
    }
}
