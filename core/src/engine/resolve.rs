//! How orders and trades are resolved that the stream left unclear: whose a trade is, what a question found, what is forgotten.

use super::{Engine, Error};
use crate::event::{OrderAmended, OrderCanceled, OrderExpired, OrderTriggered, TradeExecuted};
use crate::exchange::{ExchangeError, ExpiryReason, OrderUpdate, Standing};
use crate::id::{ClientOrderId, order_by_number};
use crate::order::{Order, OrderStatus};
use crate::planted::{self, Bug};
use crate::reconcile::DriftKind;
use crate::store::EventLog;
use crate::strategy::{OrderNews, Strategy};
use crate::units::{NANOS_PER_MINUTE, Nanos, Qty};

/// The exchange's clock and ours may differ by so much when an order is looked for by time.
const CLOCK_MARGIN: Nanos = NANOS_PER_MINUTE;
/// An order that ended without a fill is forgotten by the exchange after three days (`binance-usdm.md` section 7.2).
const FORGOTTEN_AFTER: Nanos = 72 * 60 * NANOS_PER_MINUTE;
/// Ours, not the exchange's.
const NO_CODE: i32 = 0;

/// Whether trades of an order name this number. Conditional orders are counted apart from those that trade: the number of one says
/// nothing until it has fired, and then only where the child itself was found under its name.
pub(super) fn is_traded_as(order: &Order, number: u64) -> bool {
    let has_fired = matches!(order.status, OrderStatus::Triggered | OrderStatus::PartiallyFilled);
    let is_own = !order.spec.order_type.is_conditional() || (has_fired && order.child == 0);
    number != 0 && (order.child == number || (is_own && order.order_id == number))
}

impl<S: Strategy, L: EventLog> Engine<S, L> {
    /// Whose trade it is: the exchange's list of trades names the order by its number only. `None` while an order is being asked
    /// about that it may belong to.
    pub(super) fn owner_of(&mut self, update: &OrderUpdate) -> Option<ClientOrderId> {
        if !update.client_order_id.is_empty() {
            return Some(update.client_order_id);
        }
        let number = update.order_id;
        if let Some(order) = self.open_order_of(update) {
            return Some(order.client_order_id);
        }
        if let Some(id) = self.reconciler.numbers.name(update.symbol, number) {
            return Some(id);
        }
        let may_be_its = |order: &&Order| {
            let has_no_number = order.order_id == 0 || (order.spec.order_type.is_conditional() && order.child == 0);
            order.symbol == update.symbol && order.spec.side == update.side && has_no_number
        };
        let suspects: Vec<ClientOrderId> =
            self.state.orders.values().filter(may_be_its).map(|order| order.client_order_id).collect();
        let mut is_open = false;
        for suspect in suspects {
            is_open |= self.query(suspect);
        }
        if is_open { None } else { Some(order_by_number(number)) }
    }

    /// The open order with the number that a trade names.
    fn open_order_of(&self, update: &OrderUpdate) -> Option<&Order> {
        let number = update.order_id;
        let mut of_symbol = self.state.open_orders(update.symbol);
        of_symbol.find(|order| is_traded_as(order, number))
    }

    /// Whether a trade is of an order that this store gave: then it is no older than the store, whatever the clocks say.
    pub(super) fn is_of_our_order(&self, update: &OrderUpdate) -> bool {
        self.open_order_of(update).is_some_and(|order| self.state.is_ours(&order.client_order_id))
    }

    /// Asks about an order, once a look. Whether its answer is awaited.
    pub(super) fn query(&mut self, id: ClientOrderId) -> bool {
        if self.reconciler.queried.insert(id) {
            self.reconciler.queries.insert(id);
            self.ask_about(id);
        }
        self.reconciler.queries.contains(&id)
    }

    /// A question about an order found no answer.
    pub(super) fn query_failed(&mut self, id: &ClientOrderId) {
        if self.reconciler.queries.remove(id) {
            self.reconciler.again = true;
        }
    }

    /// A question found the order over, or filled further than is booked. True where that settles what it was about.
    pub(super) fn found_to_be(
        &mut self,
        id: &ClientOrderId,
        order_id: u64,
        filled: Qty,
        standing: Standing,
    ) -> Result<bool, Error> {
        self.reconciler.answered(id);
        let Some(order) = self.state.orders.get(id).copied() else {
            return Ok(false);
        };
        // Filled is only what has fired, and then it is the child that was found.
        if order.order_id != order_id || (filled.is_positive() && order.spec.order_type.is_conditional()) {
            self.reconciler.numbers.learn(order.symbol, order_id, *id);
        }
        let is_told = self.reconciler.closing.contains_key(id);
        if self.reconciler.missing.remove(id) && !standing.is_open() && !is_told {
            let theirs = format!("{standing:?}").to_uppercase();
            self.drift(DriftKind::OrderMissing, Some(order.symbol), id, order.status.name(), &theirs)?;
        }
        if !standing.is_open() && order.spec.order_type.is_conditional() && filled.is_positive() {
            self.fired(order, order_id, filled)?;
        }
        let is_behind = self.state.orders.get(id).is_some_and(|order| filled > order.filled);
        if is_behind {
            self.backfill(&order);
        }
        if standing.is_open() {
            return Ok(false);
        }
        self.settled(id);
        if !is_behind {
            if let Some(order) = self.state.orders.get(id).copied() {
                self.close_as(order, standing)?;
            }
        } else if self.reconciler.is_idle() {
            // Its fills come with a round; that it is over, the round finds again.
            if self.reconciler.is_ready {
                self.begin_round(None)?;
            }
        } else {
            self.reconciler.closing.insert(*id, (filled, standing));
        }
        Ok(true)
    }

    /// A conditional order has fired, and its size is known.
    pub(super) fn fired(&mut self, order: Order, order_id: u64, filled: Qty) -> Result<(), Error> {
        let has_fired = matches!(order.status, OrderStatus::Triggered | OrderStatus::PartiallyFilled);
        if has_fired && !order.qty.is_zero() {
            return Ok(());
        }
        let child = if order_id == order.order_id { 0 } else { order_id };
        let qty = if order.qty.is_zero() { filled.max(order.filled) } else { order.qty };
        let triggered = OrderTriggered { client_order_id: order.client_order_id, child, qty };
        self.record(self.heard(false), Some(order.command), Some(order.symbol), triggered)?;
        match self.state.orders.get(&order.client_order_id) {
            Some(_) => self.tell(&order.client_order_id, OrderNews::Triggered),
            // Its fills came first, and now it is known that they were all.
            None => self.over(order, OrderStatus::Filled, OrderNews::Triggered),
        }
    }

    /// Fetches the trades of an order again, wherever they lie.
    pub(super) fn backfill(&mut self, order: &Order) {
        // Wrong where it is planted: the fills are lost for good.
        if self.reconciler.is_asking() && !planted::has(Bug::NoBackfill) {
            let since = order.requested_at.plus(-CLOCK_MARGIN);
            self.ask_trades(order.symbol, 0, since, true);
        }
    }

    /// Before a trade is booked that an order has no room for: the order was made larger, and nobody told.
    pub(super) fn make_room(&mut self, trade: &TradeExecuted, stream: bool) -> Result<(), Error> {
        if !stream {
            self.reconciler.drifts += 1;
        }
        let Some(order) = self.state.orders.get(&trade.client_order_id).copied() else {
            return Ok(());
        };
        let filled = order.filled.saturating_add(trade.fill.qty);
        if filled <= order.qty || (order.qty.is_zero() && order.spec.close_position) {
            return Ok(());
        }
        let (client_order_id, amended_at) = (order.client_order_id, self.now);
        self.drift(DriftKind::OrderChanged, Some(order.symbol), &client_order_id, &order.qty, &filled)?;
        let price = order.spec.order_type.price().unwrap_or_default();
        let amended = OrderAmended { client_order_id, qty: filled, price, amended_at };
        self.record(self.heard(stream), Some(order.command), Some(order.symbol), amended)
    }

    /// Ends an order of which nothing more will be heard.
    pub(super) fn close_as(&mut self, order: Order, standing: Standing) -> Result<(), Error> {
        let client_order_id = order.client_order_id;
        let (source, command, symbol) = (self.heard(false), Some(order.command), Some(order.symbol));
        match standing {
            Standing::Open => Ok(()),
            // Fewer fills than the order's size, and no more to come: it was made smaller, or they are lost to the exchange too.
            Standing::Canceled | Standing::Filled => {
                self.record(source, command, symbol, OrderCanceled { client_order_id })?;
                self.over(order, OrderStatus::Canceled, OrderNews::Canceled)
            }
            Standing::Rejected if order.status != OrderStatus::PartiallyFilled => {
                let message = "the order was refused when it fired".into();
                self.rejected(&client_order_id, ExchangeError { code: NO_CODE, message })
            }
            Standing::Expired(_) | Standing::Rejected => {
                let reason = match standing {
                    Standing::Expired(reason) => reason,
                    _ => ExpiryReason::MarketRemainder,
                };
                let expired = OrderExpired { client_order_id, reason };
                self.record(source, command, symbol, expired.clone())?;
                self.over(order, OrderStatus::Expired, OrderNews::Expired(&expired))
            }
        }
    }

    /// A question says that an order which was at the exchange is not there. After three days it forgets those without a fill.
    pub(super) fn forgotten(&mut self, id: &ClientOrderId) -> Result<(), Error> {
        self.reconciler.answered(id);
        let Some(order) = self.state.orders.get(id).copied() else {
            return Ok(());
        };
        let is_missing = self.reconciler.missing.remove(id);
        let is_old = self.now.since(order.requested_at) > FORGOTTEN_AFTER;
        if is_missing && is_old && order.order_id != 0 && order.filled.is_zero() {
            self.drift(DriftKind::OrderMissing, Some(order.symbol), id, order.status.name(), "NOT THERE")?;
            self.close_as(order, Standing::Canceled)?;
        }
        Ok(())
    }
}
