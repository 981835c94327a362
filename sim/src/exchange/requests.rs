//! Requests: what the exchange answers to each, with its own codes.

use alphaengine_core::exchange::{ExchangeError, ExchangeUpdate, Execution, ExpiryReason, Outcome, Standing};
use alphaengine_core::id::{ClientOrderId, RequestId};
use alphaengine_core::market::SymbolId;
use alphaengine_core::order::{OrderSpec, OrderType, PositionSide, Side, TimeInForce, WorkingType};
use alphaengine_core::units::{NANOS_PER_SECOND, Nanos, Price, Qty, Rounding};

use super::SimExchange;
use crate::filters::{self, refuse};
use crate::margin;
use crate::order::{LiveOrder, Stage};

/// A good-till-date order stands at least this long.
const SHORTEST_DATE: Nanos = 600 * NANOS_PER_SECOND;
/// Conditional orders of an account.
const MOST_CONDITIONAL: usize = 200;

impl SimExchange {
    pub(super) fn answer(&mut self, id: RequestId, outcome: Outcome) {
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
        let order = LiveOrder::new(order_id, client_order_id, *spec, self.now, stage);
        let orders = &mut self.market_mut(symbol).orders;
        orders.push(order);
        let index = orders.len() - 1;
        if stage == Stage::Taking {
            self.enter(symbol, index);
        }
        self.settle(symbol);
    }

    /// Whether an order would be taken now. Nothing happens to it.
    pub fn would_accept(&self, client_order_id: &ClientOrderId, spec: &OrderSpec) -> Result<(), ExchangeError> {
        self.accept(client_order_id, spec)
    }

    /// Whether an order may come in.
    fn accept(&self, client_order_id: &ClientOrderId, spec: &OrderSpec) -> Result<(), ExchangeError> {
        filters::check_name(client_order_id)?;
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

    /// Whether the child of a conditional order that fires may go to the book.
    pub(super) fn accept_child(&self, spec: &OrderSpec) -> Result<(), ExchangeError> {
        let market = self.market(spec.symbol);
        let mark = market.mark_beside_last().unwrap_or(market.last);
        filters::check_child(spec, &market.instrument, mark)?;
        self.accept_regular(spec)
    }

    fn accept_regular(&self, spec: &OrderSpec) -> Result<(), ExchangeError> {
        let market = self.market(spec.symbol);
        let open = market.orders.iter().filter(|order| !order.is_conditional()).count();
        if open >= market.instrument.max_orders as usize {
            return Err(refuse(-2025, "Reach max open order limit."));
        }
        match spec.order_type {
            OrderType::Limit { price, tif } => self.accept_limit(spec, price, tif)?,
            _ => self.accept_market(spec)?,
        }
        if spec.only_reduces() {
            return self.accept_reduction(spec, spec.qty);
        }
        self.accept_size(spec, spec.qty, None)?;
        if self.can_afford(spec, spec.qty, None) { Ok(()) } else { Err(refuse(-2019, "Margin is insufficient.")) }
    }

    fn accept_market(&self, spec: &OrderSpec) -> Result<(), ExchangeError> {
        let market = self.market(spec.symbol);
        if market.last.is_zero() && market.touch.is_none() {
            return Err(refuse(-1112, "No orders on book for symbol."));
        }
        let first = self.market_price_now(spec.symbol, spec.side);
        if first.is_some_and(|first| self.is_out_of_bounds(spec.symbol, spec.side, first)) {
            return Err(refuse(-4131, "The counterparty's best price does not meet the PERCENT_PRICE filter limit."));
        }
        Ok(())
    }

    fn accept_limit(&self, spec: &OrderSpec, price: Price, tif: TimeInForce) -> Result<(), ExchangeError> {
        let takes = self.would_take(spec.symbol, spec.side, price);
        match tif {
            TimeInForce::Gtx if takes || self.meets_own(spec.symbol, spec.side, price) => Err(refuse(
                -5022,
                "Due to the order could not be executed as maker, the Post Only order will be rejected.",
            )),
            TimeInForce::Fok if !takes || self.best(spec.symbol, spec.side, price).1 < spec.qty => {
                Err(refuse(-5021, "Due to the order could not be filled immediately, the FOK order has been rejected."))
            }
            _ => Ok(()),
        }
    }

    /// There must be something to reduce. In one-way mode an order that is too large for it is cut when it fills; in hedge mode
    /// it is refused.
    fn accept_reduction(&self, spec: &OrderSpec, qty: Qty) -> Result<(), ExchangeError> {
        let reducible = self.market(spec.symbol).reducible(spec.side, spec.position_side);
        let is_too_large = spec.position_side != PositionSide::Both && qty > reducible;
        if reducible.is_zero() || is_too_large {
            return Err(refuse(-2022, "ReduceOnly Order is rejected."));
        }
        Ok(())
    }

    /// The position as it would be must fit the bracket of the leverage. The order numbered `without` gives way to this one.
    fn accept_size(&self, spec: &OrderSpec, qty: Qty, without: Option<u64>) -> Result<(), ExchangeError> {
        let market = self.market(spec.symbol);
        let price = spec.order_type.price().unwrap_or(market.mark());
        let held = spec.side.signed(market.position(spec.position_side).qty());
        let resting = market
            .orders
            .iter()
            .filter(|order| !order.is_conditional() && order.spec.side == spec.side && Some(order.id) != without)
            .filter(|order| order.spec.position_side == spec.position_side && !order.spec.only_reduces())
            .fold(Qty::ZERO, |sum, order| sum.saturating_add(order.remaining()));
        let would_be = held.saturating_add(resting).saturating_add(qty);
        let notional = price.notional(would_be.max(Qty::ZERO), Rounding::Ceil);
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

    /// Both services, whoever gave the orders.
    pub(super) fn cancel_all(&mut self, id: RequestId, symbol: SymbolId) {
        self.answer(id, Outcome::Done);
        while !self.market(symbol).orders.is_empty() {
            self.remove(symbol, 0, Execution::Canceled);
        }
        self.settle(symbol);
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
        let side = order.spec.side;
        let would_meet = self.would_take(symbol, side, price) || self.meets_own(symbol, side, price);
        let end = if qty <= order.filled {
            Some(Execution::Canceled)
        } else if order.tif() == TimeInForce::Gtx && would_meet {
            Some(Execution::Expired(ExpiryReason::IocRemainder))
        } else {
            None
        };
        if let Some(end) = end {
            self.remove(symbol, index, end);
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
        let rest = qty.saturating_sub(order.filled);
        if !rest.is_positive() {
            return Ok(());
        }
        let changed = OrderSpec { order_type: OrderType::Limit { price, tif: order.tif() }, ..order.spec };
        if changed.only_reduces() {
            return self.accept_reduction(&changed, rest);
        }
        self.accept_size(&changed, rest, Some(order.id))?;
        let affordable = self.can_afford(&changed, rest, Some(order.id));
        if affordable { Ok(()) } else { Err(refuse(-2019, "Margin is insufficient.")) }
    }

    pub(super) fn query(&mut self, id: RequestId, name: ClientOrderId, symbol: SymbolId, conditional: bool) {
        let is_it = |order: &LiveOrder| order.client_order_id == name && order.is_known(conditional);
        let found = |order: &LiveOrder, standing| {
            let order_id = if conditional { order.algo_id.unwrap_or(order.id) } else { order.id };
            Outcome::Found { order_id, filled: order.filled, standing }
        };
        let over = || self.over.iter().rev().find(|(order, _)| order.spec.symbol == symbol && is_it(order));
        let outcome = match self.find(symbol, is_it) {
            Some(index) => found(&self.market(symbol).orders[index], Standing::Open),
            None => over().map_or(Outcome::NotFound, |(order, standing)| found(order, *standing)),
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
        let before = market.leverage;
        self.market_mut(symbol).leverage = leverage;
        if leverage < before && self.available().is_negative() {
            self.market_mut(symbol).leverage = before;
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
        self.liquidation_price_of(symbol, PositionSide::Both)
    }

    /// The same of a position of hedge mode, as if its other side stayed as it is.
    pub fn liquidation_price_of(&self, symbol: SymbolId, position_side: PositionSide) -> Option<Price> {
        let market = self.market(symbol);
        let position = market.position(position_side);
        let side = if position.qty().is_positive() { Side::Buy } else { Side::Sell };
        let wallet = if market.isolated {
            market.margins[position_side as usize]
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

fn tif(spec: &OrderSpec) -> TimeInForce {
    match spec.order_type {
        OrderType::Limit { tif, .. } | OrderType::Stop { tif, .. } | OrderType::TakeProfit { tif, .. } => tif,
        _ => TimeInForce::Gtc,
    }
}
