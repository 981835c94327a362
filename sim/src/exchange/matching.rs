//! Matching: who takes, who rests, at what price, and what a fill does.

use alphaengine_core::exchange::{ExchangeUpdate, Execution, ExpiryReason, Fill, Standing};
use alphaengine_core::market::SymbolId;
use alphaengine_core::order::{OrderType, SelfTradePrevention, Side, TimeInForce};
use alphaengine_core::units::{Money, Price, Qty, Rate, Rounding};

use super::SimExchange;
use crate::config::LimitFill;
use crate::order::{LiveOrder, Stage};

impl SimExchange {
    /// Takers that wait for a price have one now.
    pub(super) fn take_waiting(&mut self, symbol: SymbolId) {
        while let Some(index) = self.find(symbol, |order| order.stage == Stage::Taking) {
            let price = self.market(symbol).last;
            self.take(symbol, index, price);
        }
    }

    /// Resting orders whose limit the market has gone beyond (or touched) fill, in the order of the queue. `facing` says with
    /// which price and size the market meets a side.
    pub(super) fn fill_resting(&mut self, symbol: SymbolId, facing: impl Fn(Side) -> (Price, Qty)) {
        let touch = self.config.limit_fill == LimitFill::Touch;
        let is_reached = |order: &LiveOrder| {
            let (price, _) = facing(order.spec.side);
            order.stage == Stage::Resting && (beyond(order, price) || touch && order.limit() == price)
        };
        let reached: Vec<u64> =
            self.market(symbol).orders.iter().filter(|order| is_reached(order)).map(|order| order.id).collect();
        let (mut left_to_buys, mut left_to_sells) = (facing(Side::Buy).1, facing(Side::Sell).1);
        for id in reached {
            // A fill before this one may have ended it.
            let Some(index) = self.find(symbol, |order| order.id == id) else {
                continue;
            };
            let order = self.market(symbol).orders[index];
            let left = if order.spec.side == Side::Buy { &mut left_to_buys } else { &mut left_to_sells };
            // A market beyond the limit has served the whole queue; one at the limit serves its own size.
            let (price, _) = facing(order.spec.side);
            let qty = if beyond(&order, price) { order.remaining() } else { order.remaining().min(*left) };
            let qty = self.on_step(symbol, qty, order.remaining());
            if qty.is_positive() {
                *left = left.saturating_sub(qty);
                self.execute(symbol, index, qty, order.limit(), true);
            }
        }
    }

    /// The first order, oldest first, of which `is` says yes.
    pub(super) fn find(&self, symbol: SymbolId, is: impl Fn(&LiveOrder) -> bool) -> Option<usize> {
        self.market(symbol).orders.iter().position(is)
    }

    /// A part of an order, on the grid; the whole rest is on it anyway.
    pub(super) fn on_step(&self, symbol: SymbolId, qty: Qty, rest: Qty) -> Qty {
        if qty >= rest { rest } else { qty.floor_to_step(self.market(symbol).instrument.lot.step) }
    }

    /// Whether an order with this limit would take now.
    pub(super) fn would_take(&self, symbol: SymbolId, side: Side, limit: Price) -> bool {
        self.takes_at(symbol, side, limit, self.market(symbol).last)
    }

    /// Whether an order with this limit takes from the book, or without one from a market at `price`. There a limit at that very
    /// price does not.
    fn takes_at(&self, symbol: SymbolId, side: Side, limit: Price, price: Price) -> bool {
        match self.market(symbol).touch {
            Some(_) => !worse(side, self.best(symbol, side, price).0, limit),
            None => !price.is_zero() && worse(side, limit, price),
        }
    }

    /// Price and size at which a taker finds the market: the touch of the book, or without one all it wants at `price`.
    pub(super) fn best(&self, symbol: SymbolId, side: Side, price: Price) -> (Price, Qty) {
        match (&self.market(symbol).touch, side) {
            (Some(book), Side::Buy) => (book.ask, book.ask_qty),
            (Some(book), Side::Sell) => (book.bid, book.bid_qty),
            (None, _) => (price, Qty::MAX),
        }
    }

    /// Where a market order would begin to fill if it came now; `None` when it has to wait for a price.
    pub(super) fn market_price_now(&self, symbol: SymbolId, side: Side) -> Option<Price> {
        let (best, _) = self.best(symbol, side, self.price_now(symbol)?);
        let has_book = self.market(symbol).touch.is_some();
        Some(if has_book { best } else { self.slip(symbol, best, side) })
    }

    /// An order takes at the market's price, which without a book is `price`. Afterwards it is over, or rests.
    pub(super) fn take(&mut self, symbol: SymbolId, index: usize, price: Price) {
        let order = self.market(symbol).orders[index];
        let (limit, side) = (order.limit(), order.spec.side);
        let is_market = order.spec.order_type.price().is_none();
        if !is_market && !self.takes_at(symbol, side, limit, price) {
            return self.rest(symbol, index);
        }
        let (best, size) = self.best(symbol, side, price);
        let slipped = self.slip(symbol, best, side);
        let worst = if worse(side, slipped, limit) { limit } else { slipped };
        let first = if self.market(symbol).touch.is_some() { best } else { worst };
        if is_market && self.is_out_of_bounds(symbol, side, first) {
            self.remove(symbol, index, Execution::Expired(ExpiryReason::MarketRemainder));
            return;
        }
        let Some(index) = self.prevent_self_trade(symbol, index, first) else {
            return;
        };
        let wanted = self.reducible_part(symbol, &order);
        if wanted.is_zero() {
            self.remove(symbol, index, Execution::Expired(ExpiryReason::ReduceOnly));
            return;
        }
        let at_first = self.on_step(symbol, wanted.min(size), wanted);
        if at_first.is_positive() {
            self.execute(symbol, index, at_first, first, false);
        }
        let rest = wanted.saturating_sub(at_first);
        let find_it = |exchange: &SimExchange| exchange.find(symbol, |other| other.id == order.id);
        // What the touch does not hold goes further, and may meet an own order there.
        if rest.is_positive()
            && let Some(index) = find_it(self)
            && let Some(index) = self.prevent_self_trade(symbol, index, if is_market { worst } else { limit })
            && is_market
            && !self.is_out_of_bounds(symbol, side, worst)
        {
            self.execute(symbol, index, rest, worst, false);
        }
        let Some(index) = find_it(self) else {
            return;
        };
        if self.reducible_part(symbol, &order).is_zero() {
            self.remove(symbol, index, Execution::Expired(ExpiryReason::ReduceOnly));
        } else if is_market {
            self.remove(symbol, index, Execution::Expired(ExpiryReason::MarketRemainder));
        } else {
            self.rest(symbol, index);
        }
    }

    /// What did not take rests, or is over when it may not rest.
    fn rest(&mut self, symbol: SymbolId, index: usize) {
        let order = self.market(symbol).orders[index];
        match order.tif() {
            TimeInForce::Ioc | TimeInForce::Fok => {
                self.remove(symbol, index, Execution::Expired(ExpiryReason::IocRemainder));
            }
            _ => self.market_mut(symbol).orders[index].stage = Stage::Resting,
        }
    }

    /// Slippage, rounded to the tick against the taker. Without slippage the price is taken as it is, on the grid or not.
    pub(super) fn slip(&self, symbol: SymbolId, price: Price, side: Side) -> Price {
        let slippage = self.config.slippage;
        if slippage.is_zero() {
            return price;
        }
        let tick = self.market(symbol).instrument.price.tick;
        let share = price.times(slippage, Rounding::Ceil).unwrap_or(Price::ZERO);
        match side {
            Side::Buy => price.saturating_add(share).ceil_to_tick(tick),
            Side::Sell => price.saturating_sub(share).floor_to_tick(tick).max(tick),
        }
    }

    /// A market order may not go further from the mark than `market_take_bound`.
    pub(super) fn is_out_of_bounds(&self, symbol: SymbolId, side: Side, price: Price) -> bool {
        let market = self.market(symbol);
        let bound = market.instrument.market_take_bound;
        let Some(mark) = market.mark_beside_last().filter(|_| bound.is_positive()) else {
            return false;
        };
        let up = Rate::ONE.saturating_add(bound);
        let down = Rate::ONE.saturating_sub(bound);
        match side {
            Side::Buy => price > mark.times(up, Rounding::Floor).unwrap_or(Price::MAX),
            Side::Sell => price < mark.times(down, Rounding::Ceil).unwrap_or(Price::ZERO),
        }
    }

    /// Whether a resting order of our own stands where an order with this limit would meet it.
    pub(super) fn meets_own(&self, symbol: SymbolId, side: Side, limit: Price) -> bool {
        self.find_met(symbol, side, limit).is_some()
    }

    /// The first own order in the book that an order of `side` at `price` would meet. One that the market has gone beyond is not
    /// there any more, although its fill may only be told with the bar.
    fn find_met(&self, symbol: SymbolId, side: Side, price: Price) -> Option<usize> {
        let (facing, _) = self.best(symbol, side.opposite(), self.market(symbol).last);
        self.find(symbol, |order| {
            order.stage == Stage::Resting
                && order.spec.side != side
                && !worse(side, order.limit(), price)
                && !beyond(order, facing)
        })
    }

    /// Ends what the account's own orders would meet at `price`. The order's new index, or `None` when it is over itself.
    fn prevent_self_trade(&mut self, symbol: SymbolId, index: usize, price: Price) -> Option<usize> {
        let taker = self.market(symbol).orders[index];
        let (side, mode) = (taker.spec.side, taker.spec.stp);
        let is_exempt = mode == SelfTradePrevention::None || matches!(taker.tif(), TimeInForce::Fok | TimeInForce::Gtx);
        if is_exempt || !self.meets_own(symbol, side, price) {
            return Some(index);
        }
        if mode != SelfTradePrevention::ExpireTaker {
            while let Some(maker) = self.find_met(symbol, side, price) {
                self.remove(symbol, maker, Execution::Expired(ExpiryReason::SelfTradePrevention));
            }
        }
        let index = self.find(symbol, |order| order.id == taker.id)?;
        if mode == SelfTradePrevention::ExpireMaker {
            return Some(index);
        }
        self.remove(symbol, index, Execution::Expired(ExpiryReason::SelfTradePrevention));
        None
    }

    /// How much of an order may fill: all of it, or what it can still reduce.
    pub(super) fn reducible_part(&self, symbol: SymbolId, order: &LiveOrder) -> Qty {
        if order.spec.only_reduces() {
            order.remaining().min(self.market(symbol).reducible(order.spec.side, order.spec.position_side))
        } else {
            order.remaining()
        }
    }

    /// Fills a part of an order.
    pub(super) fn execute(&mut self, symbol: SymbolId, index: usize, qty: Qty, price: Price, is_maker: bool) {
        let order = self.market(symbol).orders[index];
        let qty = qty.min(self.reducible_part(symbol, &order));
        if !qty.is_positive() {
            self.remove(symbol, index, Execution::Expired(ExpiryReason::ReduceOnly));
            return;
        }
        let rate = if is_maker { self.config.maker_fee } else { self.config.taker_fee };
        let fee = price.fee(qty, rate, Rounding::HalfEven).unwrap_or_default();
        let fill = self.book_fill(symbol, &order, qty, price, fee, is_maker, false);
        self.market_mut(symbol).orders[index].filled = order.filled.saturating_add(qty);
        self.tell(&order, Execution::Trade(fill));
        self.tell_margin(symbol, order.spec.position_side);
        if order.filled.saturating_add(qty) >= order.qty {
            let order = self.market_mut(symbol).orders.remove(index);
            self.forget(&order, Standing::Filled);
        }
        self.sweep_reducing(symbol);
        self.check_margin(symbol);
    }

    /// Resting reduce-only orders without anything left to reduce are expired (reason 4). One that the position has become too
    /// small for stands, and is cut when it fills.
    fn sweep_reducing(&mut self, symbol: SymbolId) {
        let useless = |order: &LiveOrder| {
            let reducible = self.market(symbol).reducible(order.spec.side, order.spec.position_side);
            order.spec.only_reduces() && order.stage == Stage::Resting && reducible.is_zero()
        };
        let Some(index) = self.find(symbol, useless) else {
            return;
        };
        self.remove(symbol, index, Execution::Expired(ExpiryReason::ReduceOnly));
        self.sweep_reducing(symbol);
    }

    /// Writes a fill into position, margin and wallet.
    #[expect(clippy::too_many_arguments, reason = "a fill has that many sides")]
    pub(super) fn book_fill(
        &mut self,
        symbol: SymbolId,
        order: &LiveOrder,
        qty: Qty,
        price: Price,
        fee: Money,
        is_maker: bool,
        is_liquidation: bool,
    ) -> Fill {
        let fee_asset = self.config.asset;
        let side = order.spec.position_side as usize;
        let market = self.market_mut(symbol);
        let signed = order.spec.side.signed(qty);
        let before = market.positions[side];
        let realized = market.positions[side].fill(signed, price).unwrap_or_default();
        let margin = market.margin_after(&before, order.spec.position_side, price);
        let moved = margin.saturating_sub(market.margins[side]);
        market.margins[side] = margin;
        market.last_trade_id += 1;
        let trade_id = market.last_trade_id;
        self.wallet = self.wallet.saturating_add(realized).saturating_sub(fee).saturating_sub(moved);
        Fill { trade_id, price, qty, fee, fee_asset, is_maker, is_liquidation, realized }
    }

    /// Tells the isolated margin of a position where margins are isolated.
    pub(super) fn tell_margin(&mut self, symbol: SymbolId, side: alphaengine_core::order::PositionSide) {
        let market = self.market(symbol);
        if market.isolated {
            let wallet = market.margins[side as usize];
            self.out.push(ExchangeUpdate::IsolatedMargin { symbol, position_side: side, wallet });
        }
    }

    /// A new order that does not rest in the algo service goes to the book: it takes, now or at the next price, or rests.
    pub(super) fn enter(&mut self, symbol: SymbolId, index: usize) {
        self.enter_at(symbol, index, self.price_now(symbol));
    }

    /// The same in a market at `price`; `None` when takers have to wait for the next one.
    pub(super) fn enter_at(&mut self, symbol: SymbolId, index: usize, price: Option<Price>) {
        let market = self.market(symbol);
        let order = market.orders[index];
        let takes = match order.spec.order_type {
            OrderType::Market => true,
            _ => self.takes_at(symbol, order.spec.side, order.limit(), price.unwrap_or(market.last)),
        };
        if !takes {
            if let Some(index) = self.prevent_self_trade(symbol, index, order.limit()) {
                self.rest(symbol, index);
            }
        } else if let Some(price) = price {
            self.take(symbol, index, price);
        }
    }

    /// The price at which a taker trades at once; `None` when it waits for the next one.
    fn price_now(&self, symbol: SymbolId) -> Option<Price> {
        let market = self.market(symbol);
        let is_known = market.touch.is_some()
            || self.config.market_fill == crate::config::MarketFill::LastPrice
            || self.now <= market.fresh_until;
        is_known.then_some(market.last)
    }
}

/// Whether the market's `price` has gone beyond an order's limit: lower than a buy, higher than a sell.
fn beyond(order: &LiveOrder, price: Price) -> bool {
    match order.spec.side {
        Side::Buy => price < order.limit(),
        Side::Sell => price > order.limit(),
    }
}

/// The worse of two prices for a side.
pub(super) fn worse_of(side: Side, one: Price, other: Price) -> Price {
    if worse(side, one, other) { one } else { other }
}

/// Whether `price` is worse for the side than `than`.
pub(super) fn worse(side: Side, price: Price, than: Price) -> bool {
    match side {
        Side::Buy => price > than,
        Side::Sell => price < than,
    }
}
