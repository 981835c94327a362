//! How wishes become requests: name, risk check, record, release.

use super::{Engine, Error, MOST_COMMANDS_AT_ONCE};
use crate::command::{Actor, Command, Refusal, Wish};
use crate::event::{
    CancelRequested, CommandRefused, ModifyRequested, OrderRequested, SettingRequested, Source, StrategyStateSaved,
    TimerSet,
};
use crate::exchange::{Outgoing, Request, Setting};
use crate::executor::Sent;
use crate::id::{ClientOrderId, CommandId};
use crate::market::SymbolId;
use crate::mode::EngineMode;
use crate::order::Order;
use crate::risk;
use crate::store::EventLog;
use crate::strategy::Strategy;

impl<S: Strategy, L: EventLog> Engine<S, L> {
    /// Takes everything that the strategy said in its last callback, and in the callbacks to which that leads.
    #[cold]
    #[inline(never)]
    pub(super) fn take_commands(&mut self) -> Result<(), Error> {
        // A loop, because a strategy may answer its refusals for ever: a recursion would end the stack before the limit.
        while !self.outbox.is_empty() {
            self.take_batch()?;
        }
        Ok(())
    }

    fn take_batch(&mut self) -> Result<(), Error> {
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
                if !self.is_too_much()? {
                    self.record(Source::Bot, None, None, TimerSet { name, due })?;
                }
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

    /// Counts a command or a timer of the strategy. True beyond the limit, where the engine goes to SAFE and takes no more until
    /// time moves.
    fn is_too_much(&mut self) -> Result<bool, Error> {
        self.commands_now = self.commands_now.saturating_add(1);
        if self.commands_now <= MOST_COMMANDS_AT_ONCE {
            return Ok(false);
        }
        self.change_mode(EngineMode::Safe, "the strategy gave more than 10,000 commands at one instant")?;
        Ok(true)
    }

    pub(super) fn carry_out(&mut self, command: &Command) -> Result<(), Error> {
        let is_strategy = command.actor == Actor::Strategy;
        if (is_strategy && self.is_too_much()?) || self.is_so_already(&command.wish) {
            return Ok(());
        }
        let id = self.next_command();
        match self.judge_command(command) {
            Ok(()) => self.release(id, command),
            Err(refusal) => self.refuse(id, command, refusal),
        }
    }

    /// Whether a command may leave now.
    pub(super) fn judge_command(&self, command: &Command) -> Result<(), Refusal> {
        if let Some(refusal) = self.entries_blocked(&command.wish) {
            return Err(refusal);
        }
        risk::check(&command.wish, &self.config.limits, &self.state, &self.account, &self.peak)
    }

    /// Whether a wish needs no request: an order is being cancelled, or the setting is known to be so.
    fn is_so_already(&self, wish: &Wish) -> bool {
        match *wish {
            Wish::Cancel { client_order_id } => self.state.cancels.contains_key(&client_order_id),
            Wish::SetLeverage { symbol, leverage } => {
                self.state.has_setting(Some(symbol), Setting::Leverage { leverage })
            }
            Wish::SetMarginType { symbol, isolated } => {
                self.state.has_setting(Some(symbol), Setting::MarginType { isolated })
            }
            Wish::Place(_) | Wish::Modify { .. } | Wish::SetHedgeMode { .. } => false,
        }
    }

    pub(super) fn next_command(&self) -> CommandId {
        CommandId(self.state.last_command.0 + 1)
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
                self.send_cancel(&order, id);
            }
            Wish::Modify { client_order_id, qty, price } => {
                let order = self.state.orders[&client_order_id];
                let requested = ModifyRequested { client_order_id, actor, qty, price };
                self.record(Source::Bot, Some(id), Some(order.symbol), requested)?;
                let (symbol, side) = (order.symbol, order.spec.side);
                let request =
                    Request::ModifyOrder { client_order_id, symbol, side, qty, price, child: child_of(&order) };
                self.send(Sent::Modify { order: client_order_id, command: id }, request);
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
        self.ask(|strategy, ctx| strategy.on_refusal(ctx, &command.wish, client_order_id, &refusal));
        Ok(())
    }

    fn set(
        &mut self,
        id: CommandId,
        symbol: Option<SymbolId>,
        setting: Setting,
        request: Request,
    ) -> Result<(), Error> {
        self.record(Source::Bot, Some(id), symbol, SettingRequested { setting })?;
        self.send(Sent::Set { symbol, setting, command: id }, request);
        Ok(())
    }

    #[inline]
    pub(super) fn send(&mut self, sent: Sent, request: Request) {
        let id = self.executor.send(sent);
        self.outgoing.push(Outgoing { id, request });
    }

    fn send_cancel(&mut self, order: &Order, command: CommandId) {
        let (client_order_id, symbol) = (order.client_order_id, order.symbol);
        let (conditional, child) = (is_in_algo_service(order), child_of(order));
        let sent = Sent::Cancel { order: client_order_id, command };
        self.send(sent, Request::CancelOrder { client_order_id, symbol, conditional, child });
    }

    /// Asks what became of an order whose answer was lost.
    pub(super) fn ask_about(&mut self, client_order_id: ClientOrderId) {
        let Some(order) = self.state.orders.get(&client_order_id) else {
            self.executor.settled(&client_order_id);
            return;
        };
        let (symbol, conditional, child) = (order.symbol, is_in_algo_service(order), child_of(order));
        let sent = Sent::Query { order: client_order_id, asked_at: self.now };
        self.send(sent, Request::QueryOrder { client_order_id, symbol, conditional, child });
    }
}

/// A conditional order is found, and cancelled, in the algo service until it has fired.
fn is_in_algo_service(order: &Order) -> bool {
    let fired =
        matches!(order.status, crate::order::OrderStatus::Triggered | crate::order::OrderStatus::PartiallyFilled);
    order.spec.order_type.is_conditional() && !fired
}

/// What names a conditional order that has fired. The id is known as long as the store is kept.
fn child_of(order: &Order) -> Option<u64> {
    (order.child != 0 && !is_in_algo_service(order)).then_some(order.child)
}
