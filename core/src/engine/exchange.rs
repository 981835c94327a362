//! What the engine does when the exchange speaks: it records the fact once, however often it is heard, and tells the strategy.

use super::{Engine, Error};
use crate::event::{
    CancelRejected, FundingApplied, LiquidationStarted, MarginMoved, ModifyRejected, OrderAmended, OrderCanceled,
    OrderExpired, OrderOutcomeUnknown, OrderPlaced, OrderProvenAbsent, OrderRejected, OrderTriggered, SettingRejected,
    TradeExecuted, TransferBooked,
};
use crate::exchange::{
    ExchangeError, ExchangeUpdate, Execution, FundingPayment, OrderUpdate, Outcome, Request, Setting, Standing,
};
use crate::executor::Sent;
use crate::id::{ClientOrderId, CommandId, RequestId, client_order_id, order_by_number};
use crate::market::SymbolId;
use crate::order::{Order, OrderStatus};
use crate::planted::{self, Bug};
use crate::state;
use crate::store::{self, EventLog};
use crate::strategy::{OrderNews, Strategy};
use crate::units::{NANOS_PER_MINUTE, Nanos, Timestamp};

/// The exchange already has an order with this name: very likely the first attempt arrived (`binance-usdm.md` section 6.4).
const DUPLICATE_CLIENT_ORDER_ID: i32 = -4116;
/// A cancel found no such open order.
const UNKNOWN_ORDER: i32 = -2011;
/// Funding is paid within this time after its nominal settlement.
const SETTLED_WITHIN: Nanos = NANOS_PER_MINUTE;
/// Ours, not the exchange's: a request that is proven never to have arrived.
const NEVER_ARRIVED: i32 = 0;

impl<S: Strategy, L: EventLog> Engine<S, L> {
    pub(super) fn on_exchange(&mut self, update: &ExchangeUpdate) -> Result<(), Error> {
        self.take_update(update)?;
        // Whatever resolved the last order in doubt ends the boot.
        if self.reconciler.is_on { self.try_start() } else { Ok(()) }
    }

    fn take_update(&mut self, update: &ExchangeUpdate) -> Result<(), Error> {
        match *update {
            ExchangeUpdate::Answer { id, ref outcome } => {
                self.on_answer(id, outcome.clone())?;
                if self.reconciler.is_on {
                    self.reconcile_further()?;
                }
                Ok(())
            }
            ExchangeUpdate::Order(ref update) => self.on_order(update, true),
            ExchangeUpdate::Funding(payment) => self.on_funding_payment(payment, true),
            ExchangeUpdate::IsolatedMargin { symbol, position_side, wallet } => {
                let amount = wallet.saturating_sub(self.state.margin(symbol, position_side));
                if amount.is_zero() {
                    return Ok(());
                }
                let moved = MarginMoved { position_side, amount, margin: wallet };
                self.record(self.heard(true), None, Some(symbol), moved)
            }
            ExchangeUpdate::Setting { symbol, setting } => self.on_setting(symbol, setting, true),
            ExchangeUpdate::Transfer { at, id, asset, amount, reason } => {
                self.on_transfer(at, TransferBooked { id, asset, amount, reason }, true)
            }
            ExchangeUpdate::Liquidation { symbol, mark, margin_balance, maintenance } => {
                let started = LiquidationStarted { mark, margin_balance, maintenance };
                self.record(self.heard(true), None, symbol, started)
            }
            ExchangeUpdate::Link(ref link) => self.on_link(link),
        }
    }

    fn on_answer(&mut self, id: RequestId, outcome: Outcome) -> Result<(), Error> {
        let Some(sent) = self.executor.answered(id) else {
            return Ok(());
        };
        match (sent, outcome) {
            (Sent::Place(order), Outcome::Placed { order_id }) => self.placed(&order, order_id, false),
            (Sent::Place(order), Outcome::Rejected(error)) if error.code == DUPLICATE_CLIENT_ORDER_ID => {
                self.in_doubt(order, error.to_string())
            }
            (Sent::Place(order), Outcome::Rejected(error)) => self.rejected(&order, error),
            (Sent::Place(order), Outcome::Unknown { reason }) => self.in_doubt(order, reason),
            (Sent::Cancel { order, command }, Outcome::Rejected(error)) => self.cancel_rejected(&order, command, error),
            (Sent::Modify { order, command }, Outcome::Rejected(error)) => self.modify_rejected(&order, command, error),
            (Sent::Cancel { order, .. }, Outcome::Unknown { .. }) if planted::has(Bug::CancelDoneOnTimeout) => {
                // Wrong: the cancel may never have arrived, and the order still be filled.
                self.state.orders.get(&order).copied().map_or(Ok(()), |order| self.close_as(order, Standing::Canceled))
            }
            (Sent::Cancel { order, .. } | Sent::Modify { order, .. }, Outcome::Unknown { .. }) => {
                self.doubt(order);
                Ok(())
            }
            (Sent::Query { order, asked_at }, Outcome::Found { order_id, standing, filled }) => {
                self.placed(&order, order_id, false)?;
                if self.reconciler.is_on && self.found_to_be(&order, order_id, filled, standing)? {
                    return Ok(());
                }
                self.found(&order, standing.is_open(), asked_at)
            }
            (Sent::Query { order, asked_at }, Outcome::NotFound) => {
                if self.reconciler.is_on {
                    self.forgotten(&order)?;
                }
                self.not_found(&order, asked_at)
            }
            (Sent::Query { order, .. }, _) => {
                self.query_failed(&order);
                Ok(())
            }
            (Sent::Reconcile { round, what }, outcome) => self.on_reconcile_answer(round, what, outcome),
            (Sent::Set { symbol, setting, .. }, Outcome::Done) => self.on_setting(symbol, setting, false),
            (Sent::Set { symbol, setting, command }, Outcome::Rejected(error)) => {
                self.record(self.heard(false), Some(command), symbol, SettingRejected { setting, error })
            }
            // What a cancel or a modification did follows as an order update. A question without an answer is asked again.
            _ => Ok(()),
        }
    }

    /// A setting is a fact once, whether the answer or the stream tells it first.
    fn on_setting(&mut self, symbol: Option<SymbolId>, setting: Setting, stream: bool) -> Result<(), Error> {
        if self.state.has_setting(symbol, setting) {
            return Ok(());
        }
        self.record(self.heard(stream), None, symbol, state::setting_event(setting))
    }

    pub(super) fn on_order(&mut self, update: &OrderUpdate, stream: bool) -> Result<(), Error> {
        let known = self.state.orders.get(&update.client_order_id);
        let is_namesake = known.is_some_and(|order| order.symbol != update.symbol);
        // Somebody else's order with the name of one of another symbol: its trades count, under its number.
        let id = if is_namesake { order_by_number(update.order_id) } else { update.client_order_id };
        if let Execution::Trade(fill) = update.execution {
            let trade = TradeExecuted {
                client_order_id: id,
                order_id: update.order_id,
                side: update.side,
                position_side: update.position_side,
                traded_at: update.at,
                fill,
            };
            return self.on_trade_executed(update.symbol, trade, stream);
        }
        // An update of an order that is over, or was never ours, is an echo.
        let Some(order) = self.state.orders.get(&id).copied() else {
            return Ok(());
        };
        let (source, command, symbol) = (self.heard(stream), Some(order.command), Some(order.symbol));
        match update.execution {
            Execution::New => self.placed(&id, update.order_id, true),
            Execution::Canceled => {
                self.record(source, command, symbol, OrderCanceled { client_order_id: id })?;
                self.over(order, OrderStatus::Canceled, OrderNews::Canceled)
            }
            Execution::Expired(reason) => {
                let expired = OrderExpired { client_order_id: id, reason };
                self.record(source, command, symbol, expired.clone())?;
                self.over(order, OrderStatus::Expired, OrderNews::Expired(&expired))
            }
            Execution::Amended { qty, price } => {
                let amended = OrderAmended { client_order_id: id, qty, price, amended_at: update.at };
                self.record(source, command, symbol, amended)?;
                self.tell(&id, OrderNews::Amended)
            }
            Execution::Triggered { child, qty } => {
                // A fill may overtake the trigger, but only the trigger names the child.
                let names_child = order.child == 0 && child != 0;
                let is_told = match order.status {
                    OrderStatus::Triggered => !names_child,
                    OrderStatus::PartiallyFilled => order.qty == qty && !names_child,
                    _ => false,
                };
                if is_told {
                    return Ok(());
                }
                self.record(source, command, symbol, OrderTriggered { client_order_id: id, child, qty })?;
                match self.state.orders.get(&id) {
                    Some(_) => self.tell(&id, OrderNews::Triggered),
                    // Its fills came first, and now it is known that they were all.
                    None => self.over(order, OrderStatus::Filled, OrderNews::Triggered),
                }
            }
            Execution::TriggerRejected { code } => {
                let error = ExchangeError { code, message: "the order was refused when it fired".into() };
                self.rejected(&id, error)
            }
            Execution::Trade(_) => Ok(()),
        }
    }

    /// Books a fill, once: the exchange's trade ids say which it is.
    fn on_trade_executed(&mut self, symbol: SymbolId, trade: TradeExecuted, stream: bool) -> Result<(), Error> {
        let order = self.state.orders.get(&trade.client_order_id).copied();
        // Wrong where it is planted: the stream, a page of trades and a second connection all tell the same trade.
        let may_be_known = trade.fill.trade_id <= self.state.symbols[symbol.index()].last_trade_id;
        if may_be_known && !planted::has(Bug::NoFillDedup) {
            let name = self.config.instruments.get(symbol).symbol.as_str();
            if self.log.contains(&store::trade_key(name, trade.fill.trade_id))? {
                return Ok(());
            }
        }
        let command = order.as_ref().map(|order| order.command);
        if self.reconciler.is_on {
            self.make_room(&trade, stream)?;
        }
        self.record(self.heard(stream), command, Some(symbol), trade.clone())?;
        if trade.traded_at >= self.heard_until {
            // The market itself says this price only after the fill.
            self.account.last_price(symbol, trade.fill.price);
        }
        self.money_moved(Some(symbol));
        self.showed_itself(&trade.client_order_id);
        self.call(|strategy, ctx| strategy.on_fill(ctx, symbol, &trade))?;
        let Some(mut order) = order else {
            return Ok(());
        };
        match self.state.orders.get(&order.client_order_id) {
            Some(open) => order = *open,
            None => {
                order.filled = order.qty;
                order.status = OrderStatus::Filled;
            }
        }
        self.call(|strategy, ctx| strategy.on_order_update(ctx, &order, OrderNews::Traded(&trade)))
    }

    /// Books a payment of funding, once: no position is charged twice for one settlement.
    pub(super) fn on_funding_payment(&mut self, payment: FundingPayment, stream: bool) -> Result<(), Error> {
        // Of a settlement in the minute of the meeting nothing tells whether it was before or after it.
        if self.state.met_at.is_some_and(|met_at| payment.settled_at.plus(SETTLED_WITHIN) < met_at) {
            return Ok(());
        }
        let last = self.state.symbols[payment.symbol.index()].last_funding[payment.position_side as usize];
        if payment.id.is_some() || payment.settled_at <= last {
            let name = self.config.instruments.get(payment.symbol).symbol.as_str();
            if self.log.contains(&store::funding_key(name, &payment))? {
                return Ok(());
            }
        }
        self.record(self.heard(stream), None, Some(payment.symbol), FundingApplied { payment })?;
        self.money_moved(Some(payment.symbol));
        Ok(())
    }

    /// Whether money moved before this store met the account, and so is part of the balances with which it began. Rows of income reach
    /// further back than what they are asked for.
    fn is_in_the_opening(&mut self, at: Timestamp) -> bool {
        if !self.reconciler.is_on {
            return false;
        }
        match self.state.met_at {
            Some(met_at) => at < met_at,
            None => {
                // The balance that is on its way may be from before or after it.
                self.reconciler.money_moved(self.now);
                true
            }
        }
    }

    /// Books money that came or went, once: the exchange's number says which it is.
    pub(super) fn on_transfer(&mut self, at: Timestamp, booked: TransferBooked, stream: bool) -> Result<(), Error> {
        if self.is_in_the_opening(at) {
            return Ok(());
        }
        if self.log.contains(&store::transfer_key(booked.reason, booked.asset, booked.id))? {
            return Ok(());
        }
        self.book_transfer(booked, stream)
    }

    pub(super) fn book_transfer(&mut self, booked: TransferBooked, stream: bool) -> Result<(), Error> {
        // A difference that nobody explained is neither profit nor loss here: one that is booked and taken back would leave a peak
        // that never was. Of the day's result it is part all the same.
        if booked.asset == self.account.asset() {
            self.peak.transfer(booked.amount);
        }
        self.record(self.heard(stream), None, None, booked)?;
        self.money_moved(None);
        Ok(())
    }

    pub(super) fn placed(&mut self, id: &ClientOrderId, order_id: u64, stream: bool) -> Result<(), Error> {
        let Some(order) = self.state.orders.get(id) else {
            return Ok(());
        };
        if order.order_id != 0 {
            return Ok(());
        }
        let (command, symbol) = (Some(order.command), Some(order.symbol));
        self.showed_itself(id);
        self.record(self.heard(stream), command, symbol, OrderPlaced { client_order_id: *id, order_id })?;
        self.tell(id, OrderNews::Placed)
    }

    pub(super) fn rejected(&mut self, id: &ClientOrderId, error: ExchangeError) -> Result<(), Error> {
        let Some(order) = self.state.orders.get(id).copied() else {
            return Ok(());
        };
        if order.status == OrderStatus::PartiallyFilled {
            // An exchange that refuses what it has filled contradicts itself; a fill is the better witness.
            self.doubt(*id);
            return Ok(());
        }
        let rejected = OrderRejected { client_order_id: *id, error: error.clone() };
        self.record(self.heard(false), Some(order.command), Some(order.symbol), rejected)?;
        self.over(order, OrderStatus::Rejected, OrderNews::Rejected(&error))
    }

    fn cancel_rejected(&mut self, id: &ClientOrderId, command: CommandId, error: ExchangeError) -> Result<(), Error> {
        let symbol = self.state.orders.get(id).map(|order| order.symbol);
        let rejected = CancelRejected { client_order_id: *id, error: error.clone() };
        self.record(self.heard(false), Some(command), symbol, rejected)?;
        if self.reconciler.is_on && error.code == UNKNOWN_ORDER {
            // It is filled, cancelled, expired or fired, and its stream did not say so: a question will.
            self.doubt(*id);
        } else if self.state.orders.get(id).is_some_and(|order| order.order_id != 0) {
            self.settled(id);
        }
        self.tell(id, OrderNews::ChangeRejected(&error))
    }

    pub(super) fn modify_rejected(
        &mut self,
        id: &ClientOrderId,
        command: CommandId,
        error: ExchangeError,
    ) -> Result<(), Error> {
        let symbol = self.state.orders.get(id).map(|order| order.symbol);
        let rejected = ModifyRejected { client_order_id: *id, error: error.clone() };
        self.record(self.heard(false), Some(command), symbol, rejected)?;
        self.tell(id, OrderNews::ChangeRejected(&error))
    }

    /// The answer is lost: from here only a query, or the order showing itself, leads out.
    fn in_doubt(&mut self, id: ClientOrderId, reason: String) -> Result<(), Error> {
        let Some(order) = self.state.orders.get(&id).copied() else {
            return Ok(());
        };
        if order.status == OrderStatus::Requested {
            let unknown = OrderOutcomeUnknown { client_order_id: id, reason };
            self.record(self.heard(false), Some(order.command), Some(order.symbol), unknown)?;
            self.tell(&id, OrderNews::OutcomeUnknown)?;
            self.resend(&order);
        }
        self.doubt(id);
        Ok(())
    }

    /// Does nothing, as it should: an order whose fate is unknown is never sent again.
    fn resend(&mut self, order: &Order) {
        let (spec, name) = (order.spec, order.client_order_id);
        if planted::has(Bug::ResendNewId) {
            // Wrong: the first attempt may be at the exchange, and then there are two. That the log knows only one name is the same
            // mistake: whoever tries again like this thinks of one order.
            self.outbox.orders_given += 1;
            let client_order_id = client_order_id(&self.outbox.session, self.outbox.orders_given);
            self.send(Sent::Place(client_order_id), Request::PlaceOrder { client_order_id, spec });
        }
        if planted::has(Bug::ResendSameId) {
            // Wrong: the exchange refuses a name only while an order of this name is open. Once the first is filled it is free again.
            self.send(Sent::Place(name), Request::PlaceOrder { client_order_id: name, spec });
        }
    }

    fn doubt(&mut self, id: ClientOrderId) {
        if self.state.orders.contains_key(&id) {
            self.executor.doubt(id, self.now);
            if planted::has(Bug::BelieveEarlyAbsence) {
                // Wrong together with what `not_found` makes of the answer: the request may still be on its way.
                self.ask_about(id);
            }
            self.schedule();
        }
    }

    /// The order need not be asked about any more.
    pub(super) fn settled(&mut self, id: &ClientOrderId) {
        self.executor.settled(id);
        self.schedule();
    }

    /// The order is there. Whether a cancel of it arrived is another question, which stays open.
    pub(super) fn showed_itself(&mut self, id: &ClientOrderId) {
        if !self.state.cancels.contains_key(id) {
            self.executor.settled(id);
        }
    }

    /// A question found the order.
    fn found(&mut self, id: &ClientOrderId, open: bool, asked_at: Timestamp) -> Result<(), Error> {
        match self.state.cancels.get(id).copied() {
            Some(cancel) if open => {
                if !self.executor.proves_absence(id, cancel.at, asked_at) {
                    return Ok(());
                }
                // Said as a refusal, so that whoever wanted the cancel knows that the order stands and may try again.
                let message = "the cancel never arrived: the order is still open".into();
                self.cancel_rejected(id, cancel.command, ExchangeError { code: NEVER_ARRIVED, message })
            }
            _ => {
                self.settled(id);
                Ok(())
            }
        }
    }

    fn not_found(&mut self, id: &ClientOrderId, asked_at: Timestamp) -> Result<(), Error> {
        let Some(order) = self.state.orders.get(id).copied() else {
            self.settled(id);
            return Ok(());
        };
        // An order that was seen or filled is not absent: what became of it, its own updates will say.
        let never_seen = order.order_id == 0 && matches!(order.status, OrderStatus::Requested | OrderStatus::Unknown);
        // Wrong where it is planted: the request may be accepted after the question, and a replica may lag behind.
        let is_proven =
            planted::has(Bug::BelieveEarlyAbsence) || self.executor.proves_absence(id, order.requested_at, asked_at);
        if !never_seen || !is_proven {
            return Ok(());
        }
        self.settled(id);
        let absent = OrderProvenAbsent { client_order_id: *id };
        self.record(self.heard(false), Some(order.command), Some(order.symbol), absent)?;
        self.over(order, OrderStatus::Rejected, OrderNews::ProvenAbsent)
    }

    /// Tells the strategy about an order that is open.
    pub(super) fn tell(&mut self, id: &ClientOrderId, news: OrderNews<'_>) -> Result<(), Error> {
        match self.state.orders.get(id).copied() {
            Some(order) => self.call(|strategy, ctx| strategy.on_order_update(ctx, &order, news)),
            None => Ok(()),
        }
    }

    /// Tells the strategy about an order that is over.
    pub(super) fn over(&mut self, mut order: Order, status: OrderStatus, news: OrderNews<'_>) -> Result<(), Error> {
        self.executor.settled(&order.client_order_id);
        self.reconciler.remember(&order);
        order.status = status;
        self.call(|strategy, ctx| strategy.on_order_update(ctx, &order, news))
    }

    pub(super) fn money_moved(&mut self, symbol: Option<SymbolId>) {
        self.account.refresh(&self.state, symbol);
        self.is_unobserved = true;
    }
}
