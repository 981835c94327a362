//! How wishes become requests: name, risk check, record, release.

use super::{Engine, Error, MOST_COMMANDS_AT_ONCE};
use crate::command::{Actor, Command, OperatorCommand, OperatorOrder, Refusal, Wish};
use crate::context::{cancels, closes};
use crate::event::{
    CancelRequested, CommandRefused, EngineMode, ModifyRequested, OperatorCommandReceived, OrderRequested, Setting,
    SettingRequested, Source, StrategyStateSaved, TimerSet,
};
use crate::exchange::{Outgoing, Request};
use crate::executor::Sent;
use crate::id::{ClientOrderId, CommandId, client_order_id};
use crate::market::SymbolId;
use crate::order::Order;
use crate::risk;
use crate::store::EventLog;
use crate::strategy::Strategy;

impl<S: Strategy, L: EventLog> Engine<S, L> {
    /// Takes everything that the strategy said in its last callback, and in the callbacks to which that leads.
    #[cold]
    #[inline(never)]
    pub(super) fn take_commands(&mut self) -> Result<(), Error> {
        for (symbol, timeframe, keep) in std::mem::take(&mut self.outbox.subscriptions) {
            self.market.subscribe(symbol, timeframe, keep);
        }
        for (symbol, timeframe, kind) in std::mem::take(&mut self.outbox.indicators) {
            self.market.subscribe(symbol, timeframe, 1);
            self.market.attach(symbol, timeframe, &kind);
        }
        for (key, value) in std::mem::take(&mut self.outbox.saved) {
            if self.state.memory.get(&key) != Some(&value) {
                self.record(Source::Bot, None, None, StrategyStateSaved { key, value })?;
            }
        }
        if !self.outbox.timers.is_empty() {
            for (name, due) in std::mem::take(&mut self.outbox.timers) {
                self.record(Source::Bot, None, None, TimerSet { name, due })?;
            }
            self.schedule();
        }
        if self.outbox.commands.is_empty() {
            return Ok(());
        }
        let mut commands = std::mem::take(&mut self.outbox.commands);
        commands.sort_by_key(Command::priority);
        for command in commands.drain(..) {
            self.carry_out(&command)?;
        }
        if self.outbox.commands.is_empty() {
            // Keeps the room for the next callback.
            self.outbox.commands = commands;
        }
        Ok(())
    }

    fn carry_out(&mut self, command: &Command) -> Result<(), Error> {
        self.commands_now += 1;
        if self.commands_now > MOST_COMMANDS_AT_ONCE {
            return self.change_mode(EngineMode::Safe, "the strategy gave more than 10,000 commands at one instant");
        }
        if let Wish::Cancel { client_order_id } = &command.wish
            && self.state.cancels.contains(client_order_id)
        {
            return Ok(());
        }
        let id = CommandId(self.state.last_command.0 + 1);
        match risk::check(&command.wish, &self.config.limits, &self.state, &self.account) {
            Ok(()) => self.release(id, command),
            Err(refusal) => self.refuse(id, command, refusal),
        }
    }

    /// Records the intent; the request leaves when the step ends.
    fn release(&mut self, id: CommandId, command: &Command) -> Result<(), Error> {
        let actor = command.actor;
        match command.wish {
            Wish::Place(spec) => {
                let client_order_id = command.client_order_id.unwrap_or_default();
                let requested = OrderRequested { client_order_id, actor, spec };
                self.record(Source::Bot, Some(id), Some(spec.symbol), requested)?;
                self.send(Sent::Place(client_order_id), Request::PlaceOrder { client_order_id, spec });
            }
            Wish::Cancel { client_order_id } => {
                let order = self.state.orders[&client_order_id];
                let requested = CancelRequested { client_order_id, actor };
                self.record(Source::Bot, Some(id), Some(order.symbol), requested)?;
                self.send_cancel(&order);
            }
            Wish::Modify { client_order_id, qty, price } => {
                let order = self.state.orders[&client_order_id];
                let requested = ModifyRequested { client_order_id, actor, qty, price };
                self.record(Source::Bot, Some(id), Some(order.symbol), requested)?;
                let (symbol, side) = (order.symbol, order.spec.side);
                let request = Request::ModifyOrder { client_order_id, symbol, side, qty, price };
                self.send(Sent::Modify(client_order_id), request);
            }
            Wish::SetLeverage { symbol, leverage } => {
                self.set(id, Some(symbol), Setting::Leverage { leverage }, Request::SetLeverage { symbol, leverage })?;
            }
            Wish::SetMarginType { symbol, isolated } => {
                let request = Request::SetMarginType { symbol, isolated };
                self.set(id, Some(symbol), Setting::MarginType { isolated }, request)?;
            }
            Wish::SetHedgeMode { hedge } => {
                self.set(id, None, Setting::HedgeMode { hedge }, Request::SetHedgeMode { hedge })?;
            }
        }
        Ok(())
    }

    fn refuse(&mut self, id: CommandId, command: &Command, refusal: Refusal) -> Result<(), Error> {
        let symbol = match &command.wish {
            Wish::Place(spec) => Some(spec.symbol),
            Wish::Cancel { client_order_id } | Wish::Modify { client_order_id, .. } => {
                self.state.orders.get(client_order_id).map(|order| order.symbol)
            }
            Wish::SetLeverage { symbol, .. } | Wish::SetMarginType { symbol, .. } => Some(*symbol),
            Wish::SetHedgeMode { .. } => None,
        };
        let client_order_id = command.client_order_id;
        let wish = command.wish.name().into();
        let refused = CommandRefused { actor: command.actor, wish, client_order_id, refusal };
        self.record(Source::Bot, Some(id), symbol, refused)?;
        if matches!(refusal, Refusal::MinBalance { .. }) {
            self.change_mode(EngineMode::Safe, "the equity is below the minimum balance")?;
        }
        self.call(|strategy, ctx| strategy.on_refusal(ctx, &command.wish, client_order_id, &refusal))
    }

    fn set(
        &mut self,
        id: CommandId,
        symbol: Option<SymbolId>,
        setting: Setting,
        request: Request,
    ) -> Result<(), Error> {
        self.record(Source::Bot, Some(id), symbol, SettingRequested { setting })?;
        self.send(Sent::Set { symbol, setting }, request);
        Ok(())
    }

    #[inline]
    pub(super) fn send(&mut self, sent: Sent, request: Request) {
        let id = self.executor.send(sent);
        self.outgoing.push(Outgoing { id, request });
    }

    fn send_cancel(&mut self, order: &Order) {
        let (client_order_id, symbol) = (order.client_order_id, order.symbol);
        let conditional = is_in_algo_service(order);
        self.send(Sent::Cancel(client_order_id), Request::CancelOrder { client_order_id, symbol, conditional });
    }

    /// Asks what became of an order whose answer was lost.
    pub(super) fn ask_about(&mut self, client_order_id: ClientOrderId) {
        let Some(order) = self.state.orders.get(&client_order_id) else {
            self.executor.settled(&client_order_id);
            return;
        };
        let (symbol, conditional) = (order.symbol, is_in_algo_service(order));
        self.send(Sent::Query(client_order_id), Request::QueryOrder { client_order_id, symbol, conditional });
    }

    /// An operator's word counts once, however often it arrives.
    pub(super) fn on_operator(&mut self, command: &OperatorCommand) -> Result<(), Error> {
        if self.state.operator_keys.contains(&command.key) {
            return Ok(());
        }
        let (order, who) = (command.order, command.who.clone());
        let received = OperatorCommandReceived { key: command.key.clone(), who: who.clone(), order };
        self.record(Source::Web, None, None, received)?;
        match order {
            OperatorOrder::Pause => self.change_mode(EngineMode::Paused, &format!("paused by {who}")),
            OperatorOrder::Resume => self.change_mode(EngineMode::Running, &format!("resumed by {who}")),
            OperatorOrder::CancelAll { symbol } => {
                let commands: Vec<Command> = cancels(&self.state, symbol, Actor::User).collect();
                commands.iter().try_for_each(|command| self.carry_out(command))
            }
            OperatorOrder::Close { symbol } => {
                for spec in closes(&self.state, &self.config.instruments, symbol) {
                    self.outbox.orders_given += 1;
                    let id = client_order_id(&self.outbox.session, self.outbox.orders_given);
                    let wish = Wish::Place(spec);
                    self.carry_out(&Command { actor: Actor::User, client_order_id: Some(id), wish })?;
                }
                Ok(())
            }
        }
    }
}

/// A conditional order is found, and cancelled, in the algo service until it has fired.
fn is_in_algo_service(order: &Order) -> bool {
    let fired =
        matches!(order.status, crate::order::OrderStatus::Triggered | crate::order::OrderStatus::PartiallyFilled);
    order.spec.order_type.is_conditional() && !fired
}
