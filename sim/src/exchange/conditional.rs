//! Conditional orders: they watch a price, and when it reaches their trigger they become an order in the book
//! (`binance-usdm.md` sections 3.4 and 8.9).

use alphaengine_core::exchange::Execution;
use alphaengine_core::market::SymbolId;
use alphaengine_core::order::{OrderType, Side, WorkingType};
use alphaengine_core::units::{Price, Rate, Rounding};

use super::SimExchange;
use super::matching::worse;
use crate::order::{LiveOrder, Stage};

impl SimExchange {
    /// Fires every conditional order that `price` (the mark price if `is_mark`) triggers, oldest first.
    pub(super) fn fire_at(&mut self, symbol: SymbolId, price: Price, is_mark: bool) {
        self.trail(symbol, price, is_mark);
        let mut after = 0;
        loop {
            let fires = |order: &LiveOrder| {
                order.id > after && self.watches(symbol, order, is_mark) && is_reached(order, price)
            };
            let Some(index) = self.find(symbol, fires) else {
                return;
            };
            after = self.market(symbol).orders[index].id;
            self.fire(symbol, index, if is_mark { self.market(symbol).last } else { price });
        }
    }

    /// Whether an order watches this price. Without mark prices in the data, the last price stands for the mark.
    pub(super) fn watches(&self, symbol: SymbolId, order: &LiveOrder, is_mark: bool) -> bool {
        let wants_mark = order.spec.working_type == WorkingType::Mark && !self.market(symbol).mark.is_zero();
        order.is_conditional() && wants_mark == is_mark
    }

    /// Trailing orders follow the price.
    pub(super) fn trail(&mut self, symbol: SymbolId, price: Price, is_mark: bool) {
        for index in 0..self.market(symbol).orders.len() {
            let order = self.market(symbol).orders[index];
            if !self.watches(symbol, &order, is_mark) {
                continue;
            }
            if let (Stage::Trailing { is_active, best }, OrderType::TrailingStopMarket { activation, .. }) =
                (order.stage, order.spec.order_type)
            {
                // A buy follows the lowest price, a sell the highest.
                let best = if worse(order.spec.side, best, price) { price } else { best };
                let is_active =
                    is_active || activation.is_none_or(|activation| !worse(order.spec.side, best, activation));
                self.market_mut(symbol).orders[index].stage = Stage::Trailing { is_active, best };
            }
        }
    }

    /// An order fires while the last price is `price`: its child enters the book, or is refused.
    pub(super) fn fire(&mut self, symbol: SymbolId, index: usize, price: Price) {
        let order = self.market(symbol).orders[index];
        if order.spec.price_protect && !self.is_protected_price(symbol) {
            return;
        }
        let reducible = self.market(symbol).reducible(order.spec.side, order.spec.position_side);
        let qty = if order.spec.close_position { reducible } else { order.qty };
        let code = if order.spec.only_reduces() && reducible.is_zero() {
            Some(-2022)
        } else if !order.spec.only_reduces() && !self.can_afford(&order.spec, qty) {
            Some(-2019)
        } else {
            None
        };
        if let Some(code) = code {
            self.remove(symbol, index, Execution::TriggerRejected { code });
            return;
        }
        let child = self.next_order_id();
        self.tell(&order, Execution::Triggered { child, qty });
        let slot = &mut self.market_mut(symbol).orders[index];
        slot.qty = qty;
        slot.stage = Stage::Taking;
        let takes = order.spec.order_type.price().is_none() || !worse(order.spec.side, price, order.limit());
        if takes {
            self.take(symbol, index, price);
        } else {
            self.market_mut(symbol).orders[index].stage = Stage::Resting;
        }
    }

    /// `priceProtect`: the last price is close enough to the mark.
    fn is_protected_price(&self, symbol: SymbolId) -> bool {
        let market = self.market(symbol);
        let distance = market.last.saturating_sub(market.mark()).abs();
        let most = market.mark().times(market.instrument.trigger_protect, Rounding::Floor).unwrap_or(Price::MAX);
        distance <= most
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
