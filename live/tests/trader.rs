//! A bot that outlives its store: whichever commit fails, nothing opens without it, cancels and closes leave, and afterwards the
//! store tells what the exchange knows.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

mod exchange;

use std::collections::BTreeSet;

use alphaengine_core::command::StopPolicy;
use alphaengine_core::event::Event;
use alphaengine_core::mode::EngineMode;
use alphaengine_core::params::Params;
use alphaengine_core::prelude::*;
use alphaengine_core::reconcile::DriftKind;
use alphaengine_core::units::NANOS_PER_SECOND;
use alphaengine_live::bot::News;
use exchange::{BTC, Failure, SECOND, Shelf, World, begun, instruments};

/// How long it trades.
const TRADES_FOR: i64 = 60;

/// Buys and closes in turn every ten seconds, with a bid far below the market that is replaced each time; then it rests.
struct Pulse {
    beat: i64,
}

impl Strategy for Pulse {
    fn info() -> StrategyInfo {
        StrategyInfo { name: "pulse", about: "Trades in turns.", params: vec![] }
    }

    fn new(_: &Params, _: &Instruments) -> Result<Pulse, String> {
        Ok(Pulse { beat: -1 })
    }

    fn on_trade(&mut self, ctx: &mut Context<'_>, symbol: SymbolId, _: &Trade) {
        let beat = ctx.now().since(begun()) / (5 * NANOS_PER_SECOND);
        if beat <= self.beat || beat * 5 > TRADES_FOR {
            return;
        }
        self.beat = beat;
        ctx.cancel_all(symbol);
        if ctx.position(symbol).is_flat() {
            ctx.buy(symbol, "0.01".parse().unwrap());
        } else {
            ctx.close(symbol);
        }
        ctx.limit(symbol, Side::Buy, "0.01".parse().unwrap(), Price::whole(40_000));
    }
}

fn world(fails_at: Option<(u64, Failure)>, closed_for: u32) -> World<Pulse> {
    World::new(Shelf { fails_at, closed_for, ..Shelf::default() })
}

fn count(world: &World<Pulse>, event_type: &str) -> usize {
    world.shelf.borrow().durable.iter().filter(|recorded| recorded.event.event_type() == event_type).count()
}

/// The laws that hold whatever happened.
fn check(world: &World<Pulse>, case: &str) {
    let names: Vec<&str> = world
        .placed()
        .map(|sent| sent.line.split("newClientOrderId=").nth(1).unwrap().split('&').next().unwrap())
        .collect();
    let different: BTreeSet<&str> = names.iter().copied().collect();
    assert_eq!(names.len(), different.len(), "{case}: a name was given twice: {names:?}");
    for sent in world.placed().filter(|sent| sent.without_store) {
        assert!(sent.line.contains("reduceOnly=true"), "{case}: it opened without a store: {}", sent.line);
    }
}

/// Store and exchange tell the same story.
fn compare(world: &World<Pulse>, case: &str) {
    let state = world.remembered();
    assert_eq!(state.position(BTC, PositionSide::Both).qty(), world.held(), "{case}");
    let told: BTreeSet<u64> = world.gateway.fills().iter().map(|fill| fill.id).collect();
    let durable = &world.shelf.borrow().durable;
    let booked: BTreeSet<u64> = durable
        .iter()
        .filter_map(|recorded| match &recorded.event {
            Event::TradeExecuted(trade) => Some(trade.fill.trade_id),
            _ => None,
        })
        .collect();
    assert_eq!(booked, told, "{case}");
    assert_eq!(state.ledger.holdings("USDT".parse().unwrap()), world.gateway.wallet_total(), "{case}");
    let drifts: Vec<&Event> = durable
        .iter()
        .map(|recorded| &recorded.event)
        // That an order was cancelled meanwhile, no list of the exchange tells but that of open orders.
        .filter(|event| matches!(event, Event::DriftDetected(drift) if drift.kind != DriftKind::OrderMissing))
        .collect();
    assert_eq!(drifts, Vec::<&Event>::new(), "{case}: something had to be taken as the exchange says");
    let in_doubt = state.orders.values().filter(|order| order.order_id == 0).count();
    assert_eq!(in_doubt, 0, "{case}: {:?}", state.orders);
}

#[test]
fn without_a_failure_it_trades() {
    let mut world = world(None, 0);
    world.pass(90 * SECOND);
    check(&world, "well");
    compare(&world, "well");
    assert!(world.gateway.fills().len() >= 8, "{}", world.gateway.fills().len());
    assert_eq!(world.shelf.borrow().opened, 1);
    println!("{} commits, {} events", world.shelf.borrow().commits, world.shelf.borrow().durable.len());
}

#[test]
fn whichever_commit_fails_nothing_is_lost_or_doubled_and_nothing_opens_without_the_store() {
    let commits = {
        let mut well = world(None, 0);
        well.pass(90 * SECOND);
        well.shelf.borrow().commits
    };
    let mut closed_without_store = 0;
    for at in 1..=commits {
        let hows = [Failure::Append, Failure::Commit, Failure::CommitButDurable];
        // The boot and the first orders in every way, the rest in turn.
        let is_all = at <= 16;
        for how in hows.into_iter().enumerate().filter(|(turn, _)| is_all || at % 3 == *turn as u64).map(|(_, how)| how)
        {
            let case = format!("{how:?} at commit {at}");
            let closed_for = (at % 4) as u32;
            let mut world = world(Some((at, how)), closed_for);
            world.pass(130 * SECOND);
            check(&world, &case);
            assert_eq!(world.trader.is_distrusting(), None, "{case}");
            compare(&world, &case);
            assert_eq!(world.trader.engine().state().mode, EngineMode::Running, "{case}");
            assert_eq!((world.shelf.borrow().opened, world.shelf.borrow().refused), (2, closed_for), "{case}");
            assert_eq!((count(&world, "StorageDistrusted"), count(&world, "StorageTrusted")), (1, 1), "{case}");
            closed_without_store += world.placed().filter(|sent| sent.without_store).count();
        }
    }
    assert!(closed_without_store > 0, "in no case anything left without the store");
}

#[test]
fn a_store_that_fails_again_and_again_is_tried_at_longer_and_longer_intervals() {
    let mut world = world(Some((30, Failure::Commit)), 1_000);
    world.pass(40 * SECOND);
    let since = world.trader.last_resort().unwrap().clone();
    assert_eq!(since.problem, "shelf.db: the disk is full");
    assert!(since.hint.unwrap().contains("make room"));
    world.pass(300 * SECOND);
    // After 1, 3, 7, 15, 31 seconds, and then each thirty.
    let refused = world.shelf.borrow().refused;
    assert!((12..=16).contains(&refused), "{refused}");
    assert_eq!(world.trader.life(), 1);
    assert_eq!(world.trader.engine().state().mode, EngineMode::Safe);
    world.shelf.borrow_mut().closed_for = 0;
    world.pass(60 * SECOND);
    assert_eq!(world.trader.is_distrusting(), None);
    assert_eq!(world.trader.engine().state().mode, EngineMode::Running);
    check(&world, "a long night");
    compare(&world, "a long night");
}

#[test]
fn a_store_that_opens_and_cannot_be_written_is_not_trusted() {
    for how in [Failure::Append, Failure::Commit, Failure::CommitButDurable] {
        let mut world = world(Some((30, Failure::Commit)), 0);
        while world.trader.is_distrusting().is_none() {
            world.pass(SECOND / 100);
        }
        // It opens at each attempt, and the first thing that is written fails.
        let mut failed = 0;
        while failed < 4 {
            let commits = world.shelf.borrow().commits;
            world.shelf.borrow_mut().fails_at = Some((commits + 1, how));
            world.pass(SECOND / 100);
            failed += world.shelf.borrow().commits - commits;
            assert!(world.trader.is_distrusting().is_some(), "{how:?}: trusted before anything was written to it");
            assert!(matches!(world.trader.engine().state().mode, EngineMode::Safe | EngineMode::Booting), "{how:?}");
        }
        // After 1, 3, 7 and 15 seconds.
        let since = world.trader.last_resort().unwrap().clone();
        let after = world.now.since(since.since);
        assert!((14 * SECOND..17 * SECOND).contains(&after), "{how:?}: {after}");
        assert_eq!((since.attempts, world.shelf.borrow().opened), (4, 5), "{how:?}");
        world.pass(60 * SECOND);
        assert_eq!(world.trader.is_distrusting(), None, "{how:?}");
        assert_eq!(world.trader.engine().state().mode, EngineMode::Running, "{how:?}");
        assert_eq!(count(&world, "StorageDistrusted"), 1, "{how:?}");
        let state = world.remembered();
        for sent in world.placed().filter(|sent| sent.without_store) {
            let name = sent.line.split("newClientOrderId=").nth(1).unwrap().split('&').next().unwrap();
            assert!(state.is_ours(&name.parse().unwrap()), "{how:?}: the store does not know whose {name} is");
        }
        check(&world, &format!("{how:?}"));
        world.pass(30 * SECOND);
        compare(&world, &format!("{how:?}"));
    }
}

#[test]
fn a_stop_cancels_and_closes_without_the_store_whenever_it_comes() {
    for (fails, stops) in [(30, 0), (30, 1), (30, 5), (31, 20), (45, 2)] {
        let case = format!("fails at commit {fails}, stopped {stops} s later");
        let mut world = world(Some((fails, Failure::Commit)), 1_000);
        while world.trader.is_distrusting().is_none() {
            world.pass(SECOND / 100);
        }
        world.pass(stops * SECOND);
        world.hear(News::Stop(StopPolicy::Close));
        assert!(world.trader.is_stopping());
        let begun = world.now;
        while !world.trader.is_stopped() && world.now.since(begun) < 30 * SECOND {
            world.pass(SECOND / 10);
        }
        assert!(world.trader.is_stopped(), "{case}: {:?}", world.trader.engine().state().orders);
        assert!(world.held().is_zero(), "{case}: {}", world.held());
        assert!(!world.gateway.exchange().has_orders(BTC), "{case}");
        world.hear(News::End);
        check(&world, &case);
    }
}

#[test]
fn a_stop_during_which_the_store_fails_is_carried_out_all_the_same() {
    let mut at = 1;
    loop {
        let mut world = world(None, 1_000);
        world.pass(12 * SECOND);
        let commits = world.shelf.borrow().commits;
        world.shelf.borrow_mut().fails_at = Some((commits + at, Failure::Commit));
        world.hear(News::Stop(StopPolicy::Close));
        let begun = world.now;
        while !world.trader.is_stopped() && world.now.since(begun) < 60 * SECOND {
            world.pass(SECOND / 10);
        }
        assert!(world.trader.is_stopped(), "{at}");
        assert!(world.held().is_zero() && !world.gateway.exchange().has_orders(BTC), "{at}");
        check(&world, &format!("the stop's commit {at}"));
        if world.trader.is_distrusting().is_none() {
            break;
        }
        at += 1;
    }
    assert!(at > 4, "too few commits to prove anything: {at}");
    assert_eq!(instruments().len(), 1);
}
