//! What an operator says: each word counts once, and what is not done at once is followed until it is.

use std::collections::BTreeSet;

use super::{Engine, Error};
use crate::command::{Actor, Command, OperatorCommand, OperatorOrder, StopPolicy, Wish};
use crate::context::{cancels, closes};
use crate::event::{ConfigUpdated, Event, OperatorCommandFinished, OperatorCommandReceived, Recorded, Source};
use crate::id::{ClientOrderId, CommandId, client_order_id};
use crate::market::SymbolId;
use crate::mode::EngineMode;
use crate::order::{OrderSpec, OrderStatus};
use crate::state::State;
use crate::store::EventLog;
use crate::strategy::Strategy;

/// An operator's command that is not done.
#[derive(Debug)]
pub(super) struct Pending {
    key: String,
    command: CommandId,
    waits: BTreeSet<Wait>,
    orders: Vec<ClientOrderId>,
    error: Option<String>,
}

/// What a command waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wait {
    /// The exchange has the order, or it is over.
    Placed(ClientOrderId),
    /// The cancel of an order is answered.
    Canceled(ClientOrderId),
    /// A setting of this command is answered.
    Set(CommandId),
    Reconciled,
}

impl Pending {
    /// Notes why something that was wanted failed.
    pub fn hear(&mut self, recorded: &Recorded) {
        let waits_for =
            |id: &ClientOrderId| self.waits.contains(&Wait::Placed(*id)) || self.waits.contains(&Wait::Canceled(*id));
        let error = match &recorded.event {
            Event::OrderRejected(event) if waits_for(&event.client_order_id) => event.error.to_string(),
            Event::CancelRejected(event) if waits_for(&event.client_order_id) => event.error.to_string(),
            Event::OrderProvenAbsent(event) if waits_for(&event.client_order_id) => {
                "the order never reached the exchange".into()
            }
            Event::SettingRejected(event) if recorded.command.is_some_and(|id| self.waits.contains(&Wait::Set(id))) => {
                event.error.to_string()
            }
            _ => return,
        };
        self.error.get_or_insert(error);
    }

    fn is_done(&mut self, state: &State, is_reconciled: bool) -> bool {
        self.waits.retain(|wait| match wait {
            Wait::Placed(id) => {
                let order = state.orders.get(id);
                order.is_some_and(|order| matches!(order.status, OrderStatus::Requested | OrderStatus::Unknown))
            }
            Wait::Canceled(id) => state.cancels.contains_key(id),
            Wait::Set(command) => state.settings_asked.iter().any(|(_, _, asked)| asked.command == *command),
            Wait::Reconciled => !is_reconciled,
        });
        self.waits.is_empty()
    }
}

impl<S: Strategy, L: EventLog> Engine<S, L> {
    /// An operator's word counts once, however often it arrives.
    pub(super) fn on_operator(&mut self, command: &OperatorCommand) -> Result<(), Error> {
        if self.state.operator_keys.contains(&command.key) {
            return Ok(());
        }
        let (order, who, key) = (command.order, command.who.clone(), command.key.clone());
        let id = self.next_command();
        let pending = self.reconciler.is_on && is_followed(&order);
        let received = OperatorCommandReceived { key: key.clone(), who: who.clone(), order, pending };
        self.record(Source::Web, Some(id), order.symbol(), received)?;
        if pending {
            let (waits, orders) = (BTreeSet::new(), Vec::new());
            self.pending.push(Pending { key, command: id, waits, orders, error: None });
        }
        self.obey(order, &who)?;
        // What the strategy said about refusals.
        self.take_commands()
    }

    fn obey(&mut self, order: OperatorOrder, who: &str) -> Result<(), Error> {
        let is_booting = self.state.mode == EngineMode::Booting;
        match order {
            // The fold has kept the word for when the engine runs.
            OperatorOrder::Pause | OperatorOrder::Resume | OperatorOrder::Safe if is_booting => Ok(()),
            OperatorOrder::Pause => self.change_mode(EngineMode::Paused, &format!("paused by {who}")),
            OperatorOrder::Resume => {
                self.peak.forget();
                self.change_mode(EngineMode::Running, &format!("resumed by {who}"))
            }
            OperatorOrder::Safe => self.change_mode(EngineMode::Safe, &format!("made safe by {who}")),
            OperatorOrder::CancelAll { symbol } => self.cancel_all(symbol, Actor::User),
            OperatorOrder::Close { symbol } => self.close_all(symbol, Actor::User),
            OperatorOrder::PlaceOrder { spec } => self.place_for(spec, Actor::User),
            OperatorOrder::SetLeverage { symbol, leverage } => {
                let wish = Wish::SetLeverage { symbol, leverage };
                let next = self.next_command();
                self.carry_out(&Command { actor: Actor::User, client_order_id: None, wish })?;
                self.wait_for(Actor::User, Wait::Set(next));
                Ok(())
            }
            OperatorOrder::Reconcile if !self.reconciler.is_on => Ok(()),
            OperatorOrder::Reconcile => {
                self.wait_for(Actor::User, Wait::Reconciled);
                // The boot compares anyway.
                if self.reconciler.is_ready { self.begin_round(Some(&format!("asked for by {who}"))) } else { Ok(()) }
            }
            OperatorOrder::RebuildProjection => {
                self.rebuild = true;
                Ok(())
            }
            OperatorOrder::UpdateConfig { limits } => {
                let configured = self.configured_limits;
                self.record(Source::Web, None, None, ConfigUpdated { limits, configured })?;
                self.config.limits = limits;
                Ok(())
            }
            OperatorOrder::Stop { policy } => self.on_stop(policy, &format!("stopped by {who}")),
        }
    }

    /// Begins the end of the session. The driver ends it when [`Engine::is_stopped`] says so, or its patience is over.
    pub(super) fn on_stop(&mut self, policy: StopPolicy, reason: &str) -> Result<(), Error> {
        self.stop = Some((policy, format!("{reason} ({} orders and positions)", policy.name())));
        if policy == StopPolicy::Keep {
            return Ok(());
        }
        for symbol in (0..self.config.instruments.len()).map(|index| SymbolId(index as u16)) {
            self.cancel_all(symbol, Actor::System)?;
            if policy == StopPolicy::Close {
                self.close_all(symbol, Actor::System)?;
            }
        }
        self.take_commands()
    }

    /// Cancels each known order by its name, so that each cancel leaves its trace; the request that cancels all of a symbol at
    /// once would tell of none. Orders of others are cancelled only for the operator.
    fn cancel_all(&mut self, symbol: SymbolId, actor: Actor) -> Result<(), Error> {
        let commands: Vec<Command> = cancels(&self.state, symbol, actor).collect();
        for command in commands {
            if let Wish::Cancel { client_order_id } = command.wish {
                self.carry_out(&command)?;
                self.wait_for(actor, Wait::Canceled(client_order_id));
            }
        }
        Ok(())
    }

    fn close_all(&mut self, symbol: SymbolId, actor: Actor) -> Result<(), Error> {
        for spec in closes(&self.state, &self.config.instruments, symbol) {
            self.place_for(spec, actor)?;
        }
        Ok(())
    }

    fn place_for(&mut self, spec: OrderSpec, actor: Actor) -> Result<(), Error> {
        self.outbox.orders_given += 1;
        let id = client_order_id(&self.outbox.session, self.outbox.orders_given);
        let command = Command { actor, client_order_id: Some(id), wish: Wish::Place(spec) };
        match self.judge_command(&command) {
            Ok(()) => self.wait_for(actor, Wait::Placed(id)),
            Err(refusal) => {
                if let Some(pending) = self.pending.last_mut().filter(|_| actor == Actor::User) {
                    pending.error.get_or_insert(refusal.to_string());
                }
            }
        }
        self.carry_out(&command)
    }

    /// Has the operator's newest command wait for something.
    fn wait_for(&mut self, actor: Actor, wait: Wait) {
        if let Some(pending) = self.pending.last_mut().filter(|_| actor == Actor::User) {
            pending.waits.insert(wait);
            if let Wait::Placed(id) = wait {
                pending.orders.push(id);
            }
        }
    }

    /// Ends the operator's commands that are done.
    #[cold]
    pub(super) fn finish_pending(&mut self) -> Result<(), Error> {
        let is_reconciled = self.reconciler.is_complete && self.reconciler.is_idle();
        for mut pending in std::mem::take(&mut self.pending) {
            if !pending.is_done(&self.state, is_reconciled) {
                self.pending.push(pending);
                continue;
            }
            let orders: Vec<&str> = pending.orders.iter().map(ClientOrderId::as_str).collect();
            let result =
                if orders.is_empty() { serde_json::json!({}) } else { serde_json::json!({ "orders": orders }) };
            let finished = OperatorCommandFinished { key: pending.key, error: pending.error, result };
            self.record(Source::Bot, Some(pending.command), None, finished)?;
        }
        Ok(())
    }

    /// Commands that an earlier process left undone: what they led to is resolved by the boot, and nothing is begun again.
    pub(super) fn finish_inherited(&mut self) -> Result<(), Error> {
        for (key, command) in self.state.operator_pending.clone() {
            if self.pending.iter().any(|pending| pending.key == key) {
                continue;
            }
            let error = Some("the process ended before it was done; see what became of its orders".into());
            let finished = OperatorCommandFinished { key, error, result: serde_json::json!({}) };
            self.record(Source::Bot, Some(command), None, finished)?;
        }
        Ok(())
    }
}

/// Whether an order is not done with the event that records it.
const fn is_followed(order: &OperatorOrder) -> bool {
    matches!(
        order,
        OperatorOrder::CancelAll { .. }
            | OperatorOrder::Close { .. }
            | OperatorOrder::PlaceOrder { .. }
            | OperatorOrder::SetLeverage { .. }
            | OperatorOrder::Reconcile
            | OperatorOrder::RebuildProjection
    )
}
