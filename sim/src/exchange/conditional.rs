//! Conditional orders: they watch a price, and when it reaches their trigger they become an order in the book
//! (`binance-usdm.md` sections 3.4 and 8.9).

use alphaengine_core::exchange::Execution;
use alphaengine_core::market::SymbolId;
use alphaengine_core::order::{OrderSpec, OrderType, Side, WorkingType};
use alphaengine_core::units::{Price, Rate, Rounding};

use super::SimExchange;
use super::matching::{worse, worse_of};
use crate::order::{LiveOrder, Stage};

impl SimExchange {
    /// Fires every conditional order that `price` (the mark price if `is_mark`) triggers, oldest first.
    pub(super) fn fire_at(&mut self, symbol: SymbolId, price: Price, is_mark: bool) {
        self.trail(symbol, price, is_mark, |_| true);
        let mut after = 0;
        loop {
            let fires = |order: &LiveOrder| {
                order.id > after && self.watches(symbol, order, is_mark) && is_reached(order, price)
            };
            let Some(index) = self.find(symbol, fires) else {
                return;
            };
            after = self.market(symbol).orders[index].id;
            let price = if is_mark { self.price_beside_mark(symbol, index, price) } else { price };
            self.fire(symbol, index, price);
        }
    }

    /// Where the last price is taken to be while the mark price `mark` fires an order: where it is known, else at the worse of
    /// the newest one and the mark. Bars do not say where it was when the mark came to the trigger.
    fn price_beside_mark(&self, symbol: SymbolId, index: usize, mark: Price) -> Price {
        let market = self.market(symbol);
        let is_known = !market.is_driven_by_bars() || self.now <= market.fresh_until;
        if is_known { market.last } else { worse_of(market.orders[index].spec.side, market.last, mark) }
    }

    /// Whether an order watches this price. Without mark prices in the data, the last price stands for the mark.
    pub(super) fn watches(&self, symbol: SymbolId, order: &LiveOrder, is_mark: bool) -> bool {
        let wants_mark = order.spec.working_type == WorkingType::Mark && !self.market(symbol).mark.is_zero();
        order.is_conditional() && wants_mark == is_mark
    }

    /// Trailing orders follow the price.
    pub(super) fn trail(
        &mut self,
        symbol: SymbolId,
        price: Price,
        is_mark: bool,
        is_eligible: impl Fn(&LiveOrder) -> bool,
    ) {
        for index in 0..self.market(symbol).orders.len() {
            let order = self.market(symbol).orders[index];
            if !is_eligible(&order) || !self.watches(symbol, &order, is_mark) {
                continue;
            }
            if let (Stage::Trailing { is_active, best }, OrderType::TrailingStopMarket { activation, .. }) =
                (order.stage, order.spec.order_type)
            {
                // A buy follows the lowest price, a sell the highest. Zero is no price: the order came before the first.
                let best = if best.is_zero() || worse(order.spec.side, best, price) { price } else { best };
                let is_active =
                    is_active || activation.is_none_or(|activation| !worse(order.spec.side, best, activation));
                self.market_mut(symbol).orders[index].stage = Stage::Trailing { is_active, best };
            }
        }
    }

    /// An order fires while the last price is `price`: its child enters the book, or is refused like any new order.
    pub(super) fn fire(&mut self, symbol: SymbolId, index: usize, price: Price) {
        let order = self.market(symbol).orders[index];
        if order.spec.price_protect && !self.is_protected_price(symbol) {
            return;
        }
        let spec = self.child_of(&order);
        if let Err(error) = self.accept_child(&spec) {
            self.remove(symbol, index, Execution::TriggerRejected { code: error.code });
            return;
        }
        let child = self.next_order_id();
        self.tell(&order, Execution::Triggered { child, qty: spec.qty });
        let orders = &mut self.market_mut(symbol).orders;
        orders.remove(index);
        // Its place in the queue is that of an order that comes now.
        orders.push(LiveOrder {
            id: child,
            algo_id: Some(order.id),
            spec,
            qty: spec.qty,
            stage: Stage::Taking,
            ..order
        });
        let index = orders.len() - 1;
        self.enter_at(symbol, index, Some(price));
    }

    /// The order that goes to the book in place of a conditional one.
    fn child_of(&self, order: &LiveOrder) -> OrderSpec {
        let spec = &order.spec;
        let order_type = match spec.order_type {
            OrderType::Stop { price, tif, .. } | OrderType::TakeProfit { price, tif, .. } => {
                OrderType::Limit { price, tif }
            }
            _ => OrderType::Market,
        };
        let qty = if spec.close_position {
            self.market(spec.symbol).reducible(spec.side, spec.position_side)
        } else {
            order.qty
        };
        OrderSpec { qty, order_type, ..*spec }
    }

    /// `priceProtect`: the last price is close enough to the mark.
    fn is_protected_price(&self, symbol: SymbolId) -> bool {
        let market = self.market(symbol);
        market.mark_beside_last().is_none_or(|mark| {
            let distance = market.last.saturating_sub(mark).abs();
            distance <= mark.times(market.instrument.trigger_protect, Rounding::Floor).unwrap_or(Price::MAX)
        })
    }
}

/// The price at which an order fires now; `None` for a trailing one that is not active yet.
pub(super) fn trigger_of(order: &LiveOrder) -> Option<Price> {
    match (order.stage, order.spec.order_type) {
        (Stage::Trailing { is_active: true, best }, OrderType::TrailingStopMarket { callback, .. }) => {
            Some(match order.spec.side {
                Side::Sell => best.times(Rate::ONE.saturating_sub(callback), Rounding::Ceil).unwrap_or(best),
                Side::Buy => best.times(Rate::ONE.saturating_add(callback), Rounding::Floor).unwrap_or(best),
            })
        }
        (Stage::Watching, order_type) => order_type.trigger(),
        _ => None,
    }
}

/// Whether `price` has reached an order's trigger.
pub(super) fn is_reached(order: &LiveOrder, price: Price) -> bool {
    trigger_of(order).is_some_and(|trigger| if order.fires_downwards() { price <= trigger } else { price >= trigger })
}
