//! Whatever happens, and in whatever order it is heard: the log adds up to the live state, the money adds up, and a log that
//! ends anywhere is a place to go on from.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use alphaengine_core::engine::Engine;
use alphaengine_core::event::{Event, OrderCanceled, Recorded};
use alphaengine_core::exchange::{Input, Request};
use alphaengine_core::id::Asset;
use alphaengine_core::ledger::Account;
use alphaengine_core::prelude::*;
use alphaengine_core::state::State;
use alphaengine_core::store::{Encoder, EventLog, MemoryLog};
use proptest::prelude::{ProptestConfig, any, prop, prop_assert, prop_assert_eq, proptest};
use proptest::sample::Index;
use proptest::test_runner::TestCaseError;
use support::script::{Act, World, act, limited, script};
use support::{BTC, Desk, ETH, Puppet, SECOND, instruments, recovered, scope};

/// A desk with everything that the checks want to know besides.
struct Play {
    world: World,
    /// The log, folded event by event beside the engine.
    shadow: State,
    /// What the log must add up to, from its events alone.
    sums: Sums,
}

#[derive(Default)]
struct Sums {
    positions: BTreeMap<(SymbolId, PositionSide), i64>,
    wallet: i64,
    filled: BTreeMap<ClientOrderId, i64>,
    sizes: BTreeMap<ClientOrderId, i64>,
}

impl Sums {
    fn add(&mut self, recorded: &Recorded) {
        match &recorded.event {
            Event::OrderRequested(event) => {
                self.sizes.insert(event.client_order_id, event.spec.qty.steps());
            }
            Event::OrderTriggered(event) => {
                self.sizes.insert(event.client_order_id, event.qty.steps());
            }
            Event::OrderAmended(event) => {
                self.sizes.insert(event.client_order_id, event.qty.steps());
            }
            Event::TradeExecuted(event) => {
                let held = self.positions.entry((recorded.symbol.unwrap(), event.position_side)).or_default();
                *held += event.side.signed(event.fill.qty).steps();
                *self.filled.entry(event.client_order_id).or_default() += event.fill.qty.steps();
                self.wallet += event.fill.realized.steps() - event.fill.fee.steps();
            }
            Event::FundingApplied(event) => self.wallet += event.payment.amount.steps(),
            Event::TransferBooked(event) => self.wallet += event.amount.steps(),
            _ => {}
        }
    }
}

impl Play {
    fn over(desk: Desk<MemoryLog>) -> Result<Play, TestCaseError> {
        let (shadow, sums) = (State::new(&instruments()), Sums::default());
        let mut play = Play { world: World::over(desk), shadow, sums };
        play.check()?;
        Ok(play)
    }

    fn run(script: &[Act]) -> Result<Play, TestCaseError> {
        let mut play = Play::over(Desk::with(limited()))?;
        play.go_on(script)?;
        Ok(play)
    }

    fn go_on(&mut self, script: &[Act]) -> Result<(), TestCaseError> {
        for act in script {
            self.world.perform(act);
            self.check()?;
        }
        Ok(())
    }

    /// Everything that must hold after every step.
    fn check(&mut self) -> Result<(), TestCaseError> {
        let state = self.world.desk.state();
        let new = &self.world.desk.events()[self.shadow.seq as usize..];
        for recorded in new {
            self.shadow.apply(recorded).unwrap();
            self.sums.add(recorded);
            // Double entry and cash hold within a step, too.
            for asset in self.shadow.ledger.assets() {
                prop_assert_eq!(self.shadow.ledger.imbalance(asset), 0);
            }
            let usdt: Asset = "USDT".parse().unwrap();
            prop_assert_eq!(
                self.shadow.ledger.holdings(usdt).steps(),
                self.sums.wallet,
                "after event {}",
                recorded.seq
            );
        }
        prop_assert_eq!(&self.shadow, state);
        prop_assert_eq!(self.shadow.hash(), state.hash());

        let mut equity = i128::from(self.sums.wallet) * 100_000_000;
        for symbol in [BTC, ETH] {
            for side in PositionSide::ALL {
                let position = state.position(symbol, side);
                let filled = self.sums.positions.get(&(symbol, side)).copied().unwrap_or(0);
                prop_assert_eq!(position.qty().steps(), filled, "a position is the sum of its fills");
                let price = self.world.desk.engine.account().price(symbol).unwrap();
                equity += position.exact_unrealized(price);
            }
        }
        prop_assert_eq!(self.world.desk.engine.account().equity_exact(), equity);
        let held = state.ledger.balance("USDT".parse().unwrap(), Account::Wallet).steps()
            + state.ledger.balance("USDT".parse().unwrap(), Account::Margin).steps();
        prop_assert_eq!(self.world.desk.engine.account().wallet().steps(), held);

        for (name, filled) in &self.sums.filled {
            let size = self.sums.sizes[name];
            prop_assert!(*filled <= size || size == 0, "{name} of {size} is filled by {filled}");
        }
        for order in state.orders.values() {
            prop_assert!(!order.status.is_terminal());
            prop_assert_eq!(order.filled.steps(), self.sums.filled.get(&order.client_order_id).copied().unwrap_or(0));
        }
        for symbol in [BTC, ETH] {
            prop_assert_eq!(state.symbols[symbol.index()].open_orders as usize, state.open_orders(symbol).count());
        }
        prop_assert!(state.cancels.keys().chain(state.modifies.keys()).all(|name| state.orders.contains_key(name)));

        let mut placed = BTreeSet::new();
        for outgoing in &self.world.desk.sent {
            if let Request::PlaceOrder { client_order_id, .. } = outgoing.request {
                prop_assert!(placed.insert(client_order_id), "{client_order_id} was sent twice");
                prop_assert!(
                    self.sums.sizes.contains_key(&client_order_id),
                    "{client_order_id} left without an intent"
                );
            }
        }
        Ok(())
    }
}

fn fold(events: &[Recorded]) -> State {
    let mut state = State::new(&instruments());
    events.iter().for_each(|recorded| state.apply(recorded).unwrap());
    state
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn the_log_adds_up_to_the_live_state_at_every_event(script in script()) {
        Play::run(&script)?;
    }

    #[test]
    fn a_checkpoint_and_its_tail_are_the_whole_log(script in script(), cut in any::<Index>()) {
        let play = Play::run(&script)?;
        let events = play.world.desk.events();
        let cut = cut.index(events.len() + 1);
        let kept = State::from_json(&fold(&events[..cut]).to_json()).unwrap();
        prop_assert_eq!(&kept, &fold(&events[..cut]), "a checkpoint is read as it was written");
        let mut log = MemoryLog::new(Encoder::new(scope(), &instruments()));
        log.append(events).unwrap();
        let tail = events[cut..].iter().cloned().map(Ok);
        let engine = Engine::recover(limited(), Puppet::default(), log, Some(kept), tail).unwrap();
        prop_assert_eq!(engine.state(), play.world.desk.state());
    }

    #[test]
    fn the_same_script_writes_the_same_log(script in script()) {
        let (first, second) = (Play::run(&script)?, Play::run(&script)?);
        prop_assert_eq!(first.world.desk.engine.log().hash(), second.world.desk.engine.log().hash());
        prop_assert_eq!(&first.world.desk.sent, &second.world.desk.sent);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_log_cut_anywhere_recovers_and_goes_on(script in prop::collection::vec(act(), 1..40), rest in script()) {
        let play = Play::run(&script)?;
        let events = play.world.desk.events();
        for length in 0..=events.len() {
            let prefix = &events[..length];
            let mut desk = recovered(limited(), Puppet::default(), prefix, play.world.desk.now.plus(SECOND));
            let folded = fold(prefix);
            prop_assert_eq!(desk.state(), &folded, "cut after event {}", length);
            // Once more up and running it asks, and sends nothing of its own.
            let mut asked = desk.step(Input::Ready);
            asked.extend(desk.wait(SECOND));
            for outgoing in asked {
                prop_assert!(matches!(outgoing.request, Request::QueryOrder { .. }), "{outgoing:?}");
            }
            prop_assert_eq!(&fold(desk.events()), desk.state());
            prop_assert_eq!(desk.events().last().unwrap().seq, desk.events().len() as u64);
        }
        // From one of them the whole world goes on.
        let cut = events.len() / 2;
        let mut desk = recovered(limited(), Puppet::default(), &events[..cut], play.world.desk.now.plus(SECOND));
        desk.step(Input::Ready);
        desk.price(BTC, "100");
        desk.price(ETH, "10");
        Play::over(desk)?.go_on(&rest)?;
    }
}

#[test]
fn what_cannot_follow_is_named() {
    let mut desk = Desk::new();
    desk.trade("1", "100");
    let events = desk.events();
    let last = events.last().unwrap();
    let refused = |change: &dyn Fn(&mut Recorded)| {
        let mut state = fold(events);
        let mut next = Recorded { seq: last.seq + 1, ..last.clone() };
        change(&mut next);
        state.apply(&next).unwrap_err().to_string()
    };
    let nobody = OrderCanceled { client_order_id: "ae-nobody".parse().unwrap() };
    assert_eq!(refused(&|next| next.seq += 1), "event 8 does not follow on event 6");
    assert_eq!(refused(&|next| next.seq -= 1), "event 6 does not follow on event 6");
    for symbol in [None, Some(SymbolId(2))] {
        assert_eq!(refused(&|next| next.symbol = symbol), "event 7 (TradeExecuted) names no known symbol");
    }
    let expected = "event 7 (OrderCanceled): no order ae-nobody is open";
    assert_eq!(refused(&|next| next.event = nobody.clone().into()), expected);
    let taken = events.iter().find(|recorded| matches!(recorded.event, Event::OrderRequested(_))).unwrap();
    let mut state = fold(&events[..taken.seq as usize]);
    let twice = state.apply(&Recorded { seq: taken.seq + 1, ..taken.clone() }).unwrap_err().to_string();
    assert!(twice.ends_with("belongs to another order"), "{twice}");
}
