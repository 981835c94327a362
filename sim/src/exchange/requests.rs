//! Requests: what the exchange answers to each, with its own codes.

use alphaengine_core::exchange::{ExchangeError, ExchangeUpdate, Execution, ExpiryReason, Outcome};
use alphaengine_core::id::{ClientOrderId, RequestId};
use alphaengine_core::market::SymbolId;
use alphaengine_core::order::{OrderSpec, OrderType, PositionSide, Side, TimeInForce, WorkingType};
use alphaengine_core::units::{NANOS_PER_SECOND, Nanos, Price, Qty};

use super::SimExchange;
use crate::filters::{self, refuse};
use crate::margin;
use crate::order::{LiveOrder, Stage};

/// A good-till-date order stands at least this long.
const SHORTEST_DATE: Nanos = 600 * NANOS_PER_SECOND;
/// Conditional orders of an account.
const MOST_CONDITIONAL: usize = 200;

impl SimExchange {
    fn answer(&mut self, id: RequestId, outcome: Outcome) {
        self.out.push(ExchangeUpdate::Answer { id, outcome });
    }

    fn answer_with(&mut self, id: RequestId, result: Result<(), ExchangeError>) {
        self.answer(id, result.map_or_else(Outcome::Rejected, |()| Outcome::Done));
    }

    pub(super) fn place(&mut self, id: RequestId, client_order_id: ClientOrderId, spec: &OrderSpec) {
        if let Err(error) = self.accept(&client_order_id, spec) {
            return self.answer(id, Outcome::Rejected(error));
        }
        let symbol = spec.symbol;
        let order_id = self.next_order_id();
        self.answer(id, Outcome::Placed { order_id });
        if let TimeInForce::Gtd { until } = tif(spec) {
            self.next_expiry = self.next_expiry.min(until);
        }
        let stage = match spec.order_type {
            OrderType::TrailingStopMarket { activation, .. } => {
                let best = self.working_price(spec);
                Stage::Trailing { is_active: activation.is_none(), best }
            }
            order_type if order_type.is_conditional() => Stage::Watching,
            _ => Stage::Taking,
        };
        let (qty, arrived) = (spec.qty, self.now);
        let order = LiveOrder { id: order_id, client_order_id, spec: *spec, qty, filled: Qty::ZERO, arrived, stage };
        let orders = &mut self.market_mut(symbol).orders;
        orders.push(order);
        let index = orders.len() - 1;
        if stage == Stage::Taking {
            self.enter(symbol, index);
        }
        self.settle(symbol);
    }

    /// Whether an order may come in.
    fn accept(&self, client_order_id: &ClientOrderId, spec: &OrderSpec) -> Result<(), ExchangeError> {
        filters::check_flags(spec, self.hedge)?;
        let market = self.market(spec.symbol);
        if market.orders.iter().any(|order| order.client_order_id == *client_order_id) {
            return Err(refuse(-4116, "ClientOrderId is duplicated."));
        }
        filters::check(spec, &market.instrument, market.mark())?;
        if let TimeInForce::Gtd { until } = tif(spec)
            && (until <= self.now.plus(SHORTEST_DATE) || until.nanos() % NANOS_PER_SECOND != 0)
        {
            return Err(refuse(
                -5040,
                "The goodTillDate timestamp must be greater than the current time plus 600 seconds.",
            ));
        }
        if spec.order_type.is_conditional() { self.accept_conditional(spec) } else { self.accept_regular(spec) }
    }

    fn accept_regular(&self, spec: &OrderSpec) -> Result<(), ExchangeError> {
        let market = self.market(spec.symbol);
        let open = market.orders.iter().filter(|order| !order.is_conditional()).count();
        if open >= market.instrument.max_orders as usize {
            return Err(refuse(-2025, "Reach max open order limit."));
        }
        if spec.order_type == OrderType::Market && market.last.is_zero() && market.touch.is_none() {
            return Err(refuse(-1112, "No orders on book for symbol."));
        }
        let reducible = market.reducible(spec.side, spec.position_side);
        if spec.only_reduces() {
            // In hedge mode a closing order may not be larger than its position.
            let too_large = spec.position_side != PositionSide::Both && spec.qty > reducible;
            if reducible.is_zero() || too_large {
                return Err(refuse(-2022, "ReduceOnly Order is rejected."));
            }
        }
        if let OrderType::Limit { price, tif } = spec.order_type {
            let takes = self.would_take(spec.symbol, spec.side, price);
            match tif {
                TimeInForce::Gtx if takes => {
                    return Err(refuse(
                        -5022,
                        "Due to the order could not be executed as maker, the Post Only order will be rejected.",
                    ));
                }
                TimeInForce::Fok if !takes || self.touch_size(spec) < spec.qty => {
                    return Err(refuse(
                        -5021,
                        "Due to the order could not be filled immediately, the FOK order has been rejected.",
                    ));
                }
                _ => {}
            }
        }
        if spec.only_reduces() {
            return Ok(());
        }
        self.accept_size(spec)?;
        if self.can_afford(spec, spec.qty) { Ok(()) } else { Err(refuse(-2019, "Margin is insufficient.")) }
    }

    /// The position as it would be must fit the bracket of the leverage.
    fn accept_size(&self, spec: &OrderSpec) -> Result<(), ExchangeError> {
        let market = self.market(spec.symbol);
        let price = spec.order_type.price().unwrap_or(market.mark());
        let held = spec.side.signed(market.position(spec.position_side).qty());
        let resting = market
            .orders
            .iter()
            .filter(|order| !order.is_conditional() && order.spec.side == spec.side)
            .filter(|order| order.spec.position_side == spec.position_side && !order.spec.only_reduces())
            .fold(Qty::ZERO, |sum, order| sum.saturating_add(order.remaining()));
        let would_be = held.saturating_add(resting).saturating_add(spec.qty);
        let notional = price.notional(would_be.max(Qty::ZERO), alphaengine_core::units::Rounding::Ceil);
        let most = market.instrument.max_notional(market.leverage);
        if notional.is_ok_and(|notional| notional <= most) {
            Ok(())
        } else {
            Err(refuse(-2027, "Exceeded the maximum allowable position at current leverage."))
        }
    }

    fn accept_conditional(&self, spec: &OrderSpec) -> Result<(), ExchangeError> {
        let conditional = self.symbols.iter().flat_map(|market| &market.orders).filter(|order| order.is_conditional());
        if conditional.count() >= MOST_CONDITIONAL {
            return Err(refuse(-4045, "Reach max stop order limit."));
        }
        let price = self.working_price(spec);
        if price.is_zero() {
            return Ok(());
        }
        let fires = match (spec.order_type, spec.side) {
            // The activation of a buy lies below the price, that of a sell above it.
            (OrderType::TrailingStopMarket { activation: Some(activation), .. }, Side::Buy) => activation >= price,
            (OrderType::TrailingStopMarket { activation: Some(activation), .. }, Side::Sell) => activation <= price,
            (OrderType::TrailingStopMarket { activation: None, .. }, _) => false,
            (order_type, side) => {
                let trigger = order_type.trigger().unwrap_or(Price::ZERO);
                let takes_profit =
                    matches!(order_type, OrderType::TakeProfit { .. } | OrderType::TakeProfitMarket { .. });
                let downwards = (side == Side::Sell) != takes_profit;
                if downwards { price <= trigger } else { price >= trigger }
            }
        };
        if fires { Err(refuse(-2021, "Order would immediately trigger.")) } else { Ok(()) }
    }

    /// The newest price that a conditional order watches.
    fn working_price(&self, spec: &OrderSpec) -> Price {
        let market = self.market(spec.symbol);
        if spec.working_type == WorkingType::Mark { market.mark() } else { market.last }
    }

    fn touch_size(&self, spec: &OrderSpec) -> Qty {
        match (&self.market(spec.symbol).touch, spec.side) {
            (Some(book), Side::Buy) => book.ask_qty,
            (Some(book), Side::Sell) => book.bid_qty,
            (None, _) => Qty::MAX,
        }
    }

    pub(super) fn cancel(&mut self, id: RequestId, name: ClientOrderId, symbol: SymbolId, conditional: bool) {
        // The two services do not see each other's orders.
        let found = self.find(symbol, |order| order.client_order_id == name && order.is_conditional() == conditional);
        match found {
            Some(index) => {
                self.answer(id, Outcome::Done);
                self.remove(symbol, index, Execution::Canceled);
                self.settle(symbol);
            }
            None => self.answer(id, Outcome::Rejected(refuse(-2011, "Unknown order sent."))),
        }
    }

    pub(super) fn modify(&mut self, id: RequestId, name: ClientOrderId, symbol: SymbolId, qty: Qty, price: Price) {
        let found = self.find(symbol, |order| order.client_order_id == name && !order.is_conditional());
        let Some(index) = found else {
            return self.answer(id, Outcome::Rejected(refuse(-2013, "Order does not exist.")));
        };
        if let Err(error) = self.accept_change(symbol, index, qty, price) {
            return self.answer(id, Outcome::Rejected(error));
        }
        self.answer(id, Outcome::Done);
        let order = self.market(symbol).orders[index];
        let is_post_only = order.tif() == TimeInForce::Gtx;
        if qty <= order.filled || (is_post_only && self.would_take(symbol, order.spec.side, price)) {
            self.remove(
                symbol,
                index,
                if is_post_only { Execution::Expired(ExpiryReason::IocRemainder) } else { Execution::Canceled },
            );
            return self.settle(symbol);
        }
        let mut changed = self.market_mut(symbol).orders.remove(index);
        changed.qty = qty;
        changed.arrived = self.now;
        changed.stage = Stage::Taking;
        if let OrderType::Limit { tif, .. } = changed.spec.order_type {
            changed.spec.order_type = OrderType::Limit { price, tif };
        }
        self.tell(&changed, Execution::Amended { qty, price });
        // It goes to the end of the queue.
        self.market_mut(symbol).orders.push(changed);
        let index = self.market(symbol).orders.len() - 1;
        self.enter(symbol, index);
        self.settle(symbol);
    }

    fn accept_change(&self, symbol: SymbolId, index: usize, qty: Qty, price: Price) -> Result<(), ExchangeError> {
        let market = self.market(symbol);
        let order = market.orders[index];
        if !matches!(order.spec.order_type, OrderType::Limit { .. }) {
            return Err(refuse(-5025, "Only limit order is supported."));
        }
        if order.qty == qty && order.limit() == price {
            return Err(refuse(-5027, "No need to modify the order."));
        }
        filters::check_change(&order.spec, qty, price, &market.instrument, market.mark())?;
        let more = qty.saturating_sub(order.qty);
        let changed = OrderSpec { order_type: OrderType::Limit { price, tif: order.tif() }, ..order.spec };
        if more.is_positive() && !order.spec.only_reduces() && !self.can_afford(&changed, more) {
            return Err(refuse(-2019, "Margin is insufficient."));
        }
        Ok(())
    }

    pub(super) fn query(&mut self, id: RequestId, name: ClientOrderId, symbol: SymbolId, conditional: bool) {
        let found = self.find(symbol, |order| order.client_order_id == name && order.is_conditional() == conditional);
        let outcome = match found.map(|index| self.market(symbol).orders[index]) {
            Some(order) => Outcome::Found { order_id: order.id, filled: order.filled, open: true },
            None => match self.over.iter().rev().find(|(over, ..)| *over == name) {
                Some((_, order_id, filled)) => Outcome::Found { order_id: *order_id, filled: *filled, open: false },
                None => Outcome::NotFound,
            },
        };
        self.answer(id, outcome);
    }

    pub(super) fn set_leverage(&mut self, id: RequestId, symbol: SymbolId, leverage: u32) {
        let result = self.change_leverage(symbol, leverage);
        self.answer_with(id, result);
    }

    fn change_leverage(&mut self, symbol: SymbolId, leverage: u32) -> Result<(), ExchangeError> {
        let market = self.market(symbol);
        if leverage == 0 || leverage > market.instrument.max_leverage() {
            return Err(refuse(-4028, "Leverage is not valid."));
        }
        if market.isolated && leverage < market.leverage && !market.is_flat() {
            return Err(refuse(
                -4161,
                "Leverage reduction is not supported in Isolated Margin Mode with open positions.",
            ));
        }
        let most = market.instrument.max_notional(leverage);
        for side in PositionSide::ALL {
            if market.position(side).notional(market.mark()).is_ok_and(|notional| notional > most) {
                return Err(refuse(-2027, "Exceeded the maximum allowable position at current leverage."));
            }
        }
        self.market_mut(symbol).leverage = leverage;
        if self.available().is_negative() && !market_is_idle(self.market(symbol)) {
            return Err(refuse(-2028, "Leverage is smaller than permitted: insufficient margin balance."));
        }
        Ok(())
    }

    pub(super) fn set_margin_type(&mut self, id: RequestId, symbol: SymbolId, isolated: bool) {
        let market = self.market(symbol);
        let result = if market.isolated == isolated {
            Err(refuse(-4046, "No need to change margin type."))
        } else if !market.orders.is_empty() {
            Err(refuse(-4047, "Margin type cannot be changed if there exists open orders."))
        } else if !market.is_flat() {
            Err(refuse(-4048, "Margin type cannot be changed if there exists position."))
        } else {
            self.market_mut(symbol).isolated = isolated;
            Ok(())
        };
        self.answer_with(id, result);
    }

    pub(super) fn set_hedge_mode(&mut self, id: RequestId, hedge: bool) {
        let result = if self.hedge == hedge {
            Err(refuse(-4059, "No need to change position side."))
        } else if self.symbols.iter().any(|market| !market.orders.is_empty()) {
            Err(refuse(-4067, "Position side cannot be changed if there exists open orders."))
        } else if self.symbols.iter().any(|market| !market.is_flat()) {
            Err(refuse(-4068, "Position side cannot be changed if there exists position."))
        } else {
            self.hedge = hedge;
            Ok(())
        };
        self.answer_with(id, result);
    }

    /// The mark price at which a one-way position is liquidated, by the exchange's formula; `None` while flat.
    pub fn liquidation_price(&self, symbol: SymbolId) -> Option<Price> {
        let market = self.market(symbol);
        let position = market.position(PositionSide::Both);
        let side = if position.qty().is_positive() { Side::Buy } else { Side::Sell };
        let wallet = if market.isolated {
            market.margins[PositionSide::Both as usize]
        } else {
            let others = self.symbols.iter().filter(|other| other.id != symbol && !other.isolated);
            others.fold(self.wallet, |sum, other| {
                PositionSide::ALL.into_iter().fold(sum, |sum, side| {
                    sum.saturating_add(other.unrealized(side)).saturating_sub(other.maintenance(side))
                })
            })
        };
        let exposure = margin::Exposure { side, qty: position.qty().abs(), entry: position.entry_price() };
        if position.is_flat() { None } else { margin::liquidation_price(&market.instrument, &exposure, wallet) }
    }
}

fn market_is_idle(market: &crate::symbol::SymbolMarket) -> bool {
    market.orders.is_empty() && market.is_flat()
}

fn tif(spec: &OrderSpec) -> TimeInForce {
    match spec.order_type {
        OrderType::Limit { tif, .. } | OrderType::Stop { tif, .. } | OrderType::TakeProfit { tif, .. } => tif,
        _ => TimeInForce::Gtc,
    }
}
