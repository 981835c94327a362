//! What the engine does when the exchange speaks: it records the fact once, however often it is heard, and tells the strategy.

use super::{Engine, Error};
use crate::event::{
    CancelRejected, FundingApplied, LiquidationStarted, MarginMoved, ModifyRejected, OrderAmended, OrderCanceled,
    OrderExpired, OrderOutcomeUnknown, OrderPlaced, OrderProvenAbsent, OrderRejected, OrderTriggered, Setting,
    SettingRejected, TradeExecuted, TransferBooked,
};
use crate::exchange::{ExchangeError, ExchangeUpdate, Execution, FundingPayment, OrderUpdate, Outcome};
use crate::executor::Sent;
use crate::id::{ClientOrderId, RequestId};
use crate::market::SymbolId;
use crate::order::{Order, OrderStatus};
use crate::state;
use crate::store::EventLog;
use crate::strategy::{OrderNews, Strategy};

/// The exchange already has an order with this name: very likely the first attempt arrived (`binance-usdm.md` section 6.4).
const DUPLICATE_CLIENT_ORDER_ID: i32 = -4116;

impl<S: Strategy, L: EventLog> Engine<S, L> {
    pub(super) fn on_exchange(&mut self, update: &ExchangeUpdate) -> Result<(), Error> {
        match *update {
            ExchangeUpdate::Answer { id, ref outcome } => self.on_answer(id, outcome.clone()),
            ExchangeUpdate::Order(ref update) => self.on_order(update),
            ExchangeUpdate::Funding(payment) => self.on_funding_payment(payment),
            ExchangeUpdate::IsolatedMargin { symbol, position_side, wallet } => {
                let amount = wallet.saturating_sub(self.state.margin(symbol, position_side));
                if amount.is_zero() {
                    return Ok(());
                }
                let moved = MarginMoved { position_side, amount, margin: wallet };
                self.record(self.heard(true), None, Some(symbol), moved)
            }
            ExchangeUpdate::Setting { symbol, setting } => self.on_setting(symbol, setting, true),
            ExchangeUpdate::Transfer { id, asset, amount, reason } => {
                let booked = TransferBooked { id, asset, amount, reason };
                self.record(self.heard(true), None, None, booked)?;
                self.money_moved(None);
                Ok(())
            }
            ExchangeUpdate::Liquidation { symbol, mark, margin_balance, maintenance } => {
                let started = LiquidationStarted { mark, margin_balance, maintenance };
                self.record(self.heard(true), None, symbol, started)
            }
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
            (Sent::Cancel(order), Outcome::Rejected(error)) => self.cancel_rejected(&order, error),
            (Sent::Modify(order), Outcome::Rejected(error)) => self.modify_rejected(&order, error),
            (Sent::Cancel(order) | Sent::Modify(order), Outcome::Unknown { .. }) => {
                self.doubt(order);
                Ok(())
            }
            (Sent::Query(order), Outcome::Found { order_id, .. }) => {
                self.executor.settled(&order);
                self.schedule();
                self.placed(&order, order_id, false)
            }
            (Sent::Query(order), Outcome::NotFound) => self.not_found(&order),
            (Sent::Set { symbol, setting }, Outcome::Done) => self.on_setting(symbol, setting, false),
            (Sent::Set { symbol, setting }, Outcome::Rejected(error)) => {
                self.record(self.heard(false), None, symbol, SettingRejected { setting, error })
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

    fn on_order(&mut self, update: &OrderUpdate) -> Result<(), Error> {
        let id = update.client_order_id;
        if let Execution::Trade(fill) = update.execution {
            let trade = TradeExecuted {
                client_order_id: id,
                order_id: update.order_id,
                side: update.side,
                position_side: update.position_side,
                traded_at: update.at,
                fill,
            };
            return self.on_trade_executed(update.symbol, trade);
        }
        // An update of an order that is over, or was never ours, is an echo.
        let Some(order) = self.state.orders.get(&id).copied() else {
            return Ok(());
        };
        let (source, command, symbol) = (self.heard(true), Some(order.command), Some(order.symbol));
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
                if order.status == OrderStatus::Triggered {
                    return Ok(());
                }
                self.record(source, command, symbol, OrderTriggered { client_order_id: id, child, qty })?;
                self.tell(&id, OrderNews::Triggered)
            }
            Execution::TriggerRejected { code } => {
                let error = ExchangeError { code, message: "the order was refused when it fired".into() };
                self.rejected(&id, error)
            }
            Execution::Trade(_) => Ok(()),
        }
    }

    /// Books a fill, once: the exchange's trade ids say which it is.
    fn on_trade_executed(&mut self, symbol: SymbolId, trade: TradeExecuted) -> Result<(), Error> {
        let order = self.state.orders.get(&trade.client_order_id).copied();
        if trade.fill.trade_id <= self.state.symbols[symbol.index()].last_trade_id {
            let name = self.config.instruments.get(symbol).symbol.as_str();
            if self.log.contains(&crate::store::trade_key(name, trade.fill.trade_id))? {
                return Ok(());
            }
        }
        let command = order.as_ref().map(|order| order.command);
        self.record(self.heard(true), command, Some(symbol), trade.clone())?;
        self.money_moved(Some(symbol));
        self.executor.settled(&trade.client_order_id);
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

    fn on_funding_payment(&mut self, payment: FundingPayment) -> Result<(), Error> {
        self.record(self.heard(true), None, Some(payment.symbol), FundingApplied { payment })?;
        self.money_moved(Some(payment.symbol));
        Ok(())
    }

    fn placed(&mut self, id: &ClientOrderId, order_id: u64, stream: bool) -> Result<(), Error> {
        let Some(order) = self.state.orders.get(id) else {
            return Ok(());
        };
        if order.order_id != 0 {
            return Ok(());
        }
        let (command, symbol) = (Some(order.command), Some(order.symbol));
        self.executor.settled(id);
        self.record(self.heard(stream), command, symbol, OrderPlaced { client_order_id: *id, order_id })?;
        self.tell(id, OrderNews::Placed)
    }

    fn rejected(&mut self, id: &ClientOrderId, error: ExchangeError) -> Result<(), Error> {
        let Some(order) = self.state.orders.get(id).copied() else {
            return Ok(());
        };
        let rejected = OrderRejected { client_order_id: *id, error: error.clone() };
        self.record(self.heard(false), Some(order.command), Some(order.symbol), rejected)?;
        self.over(order, OrderStatus::Rejected, OrderNews::Rejected(&error))
    }

    fn cancel_rejected(&mut self, id: &ClientOrderId, error: ExchangeError) -> Result<(), Error> {
        let order = self.state.orders.get(id).copied();
        let (command, symbol) = (order.map(|order| order.command), order.map(|order| order.symbol));
        let rejected = CancelRejected { client_order_id: *id, error: error.clone() };
        self.record(self.heard(false), command, symbol, rejected)?;
        self.tell(id, OrderNews::ChangeRejected(&error))
    }

    fn modify_rejected(&mut self, id: &ClientOrderId, error: ExchangeError) -> Result<(), Error> {
        let order = self.state.orders.get(id).copied();
        let (command, symbol) = (order.map(|order| order.command), order.map(|order| order.symbol));
        let rejected = ModifyRejected { client_order_id: *id, error: error.clone() };
        self.record(self.heard(false), command, symbol, rejected)?;
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
        }
        self.doubt(id);
        Ok(())
    }

    fn doubt(&mut self, id: ClientOrderId) {
        if let Some(order) = self.state.orders.get(&id) {
            self.executor.doubt(id, order.requested_at, self.now);
            self.schedule();
        }
    }

    fn not_found(&mut self, id: &ClientOrderId) -> Result<(), Error> {
        let Some(order) = self.state.orders.get(id).copied() else {
            self.executor.settled(id);
            return Ok(());
        };
        let never_seen = order.order_id == 0;
        if !never_seen || !self.executor.proves_absence(id) {
            return Ok(());
        }
        self.executor.settled(id);
        self.schedule();
        let absent = OrderProvenAbsent { client_order_id: *id };
        self.record(self.heard(false), Some(order.command), Some(order.symbol), absent)?;
        self.over(order, OrderStatus::Rejected, OrderNews::ProvenAbsent)
    }

    /// Tells the strategy about an order that is open.
    fn tell(&mut self, id: &ClientOrderId, news: OrderNews<'_>) -> Result<(), Error> {
        match self.state.orders.get(id).copied() {
            Some(order) => self.call(|strategy, ctx| strategy.on_order_update(ctx, &order, news)),
            None => Ok(()),
        }
    }

    /// Tells the strategy about an order that is over.
    fn over(&mut self, mut order: Order, status: OrderStatus, news: OrderNews<'_>) -> Result<(), Error> {
        self.executor.settled(&order.client_order_id);
        order.status = status;
        self.call(|strategy, ctx| strategy.on_order_update(ctx, &order, news))
    }

    fn money_moved(&mut self, symbol: Option<SymbolId>) {
        self.account.refresh(&self.state, symbol);
        self.performance.observe(self.now, &self.account);
    }
}
