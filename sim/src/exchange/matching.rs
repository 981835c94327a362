//! Matching: who takes, who rests, at what price, and what a fill does.

use alphaengine_core::exchange::{ExchangeUpdate, Execution, ExpiryReason, Fill};
use alphaengine_core::market::{BookTicker, SymbolId};
use alphaengine_core::order::{OrderType, SelfTradePrevention, Side, TimeInForce};
use alphaengine_core::units::{Price, Qty, Rate, Rounding};

use super::SimExchange;
use crate::config::LimitFill;
use crate::order::{LiveOrder, Stage};

impl SimExchange {
    /// The price is now `price`: everything that acts at it acts. `printed` is the quantity of a trade.
    pub(super) fn price_is(&mut self, symbol: SymbolId, price: Price, printed: Option<Qty>) {
        self.market_mut(symbol).last = price;
        self.check_margin_at(symbol);
        while let Some(index) = self.find(symbol, |order| order.stage == Stage::Taking) {
            self.take(symbol, index, price);
        }
        self.fire_at(symbol, price, false);
        self.fill_resting_at(symbol, price, printed);
    }

    /// Resting orders that a price beyond (or at) their limit fills, oldest first.
    fn fill_resting_at(&mut self, symbol: SymbolId, price: Price, printed: Option<Qty>) {
        let touch = self.config.limit_fill == LimitFill::Touch;
        let mut left = printed.unwrap_or(Qty::MAX);
        let mut after = 0;
        loop {
            let reached = |order: &LiveOrder| {
                order.id > after
                    && order.stage == Stage::Resting
                    && (beyond(order, price) || touch && order.limit() == price)
            };
            let Some(index) = self.find(symbol, reached) else {
                return;
            };
            let order = self.market(symbol).orders[index];
            after = order.id;
            // A trade beyond the limit has served the whole queue; one at the limit served its own quantity.
            let qty = if beyond(&order, price) { order.remaining() } else { order.remaining().min(left) };
            let qty = self.on_step(symbol, qty, order.remaining());
            if qty.is_positive() {
                left = left.saturating_sub(qty);
                self.execute(symbol, index, qty, order.limit(), true);
            }
        }
    }

    /// Resting orders that the other side of the book has reached.
    pub(super) fn fill_against_book(&mut self, symbol: SymbolId, book: &BookTicker) {
        while let Some(index) = self.find(symbol, |order| order.stage == Stage::Taking) {
            let price = self.market(symbol).last;
            self.take(symbol, index, price);
        }
        let touch = self.config.limit_fill == LimitFill::Touch;
        let mut after = 0;
        loop {
            let facing = |side| if side == Side::Buy { (book.ask, book.ask_qty) } else { (book.bid, book.bid_qty) };
            let reached = |order: &LiveOrder| {
                let (price, _) = facing(order.spec.side);
                order.id > after
                    && order.stage == Stage::Resting
                    && (beyond(order, price) || touch && order.limit() == price)
            };
            let Some(index) = self.find(symbol, reached) else {
                return;
            };
            let order = self.market(symbol).orders[index];
            after = order.id;
            let (price, size) = facing(order.spec.side);
            let qty = if beyond(&order, price) { order.remaining() } else { order.remaining().min(size) };
            let qty = self.on_step(symbol, qty, order.remaining());
            if qty.is_positive() {
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

    /// Whether an order with this limit would take now. Without a book, a limit at the very last price does not.
    pub(super) fn would_take(&self, symbol: SymbolId, side: Side, limit: Price) -> bool {
        let market = self.market(symbol);
        match (&market.touch, side) {
            (Some(book), Side::Buy) => limit >= book.ask,
            (Some(book), Side::Sell) => limit <= book.bid,
            (None, _) if market.last.is_zero() => false,
            (None, Side::Buy) => limit > market.last,
            (None, Side::Sell) => limit < market.last,
        }
    }

    /// An order takes at the market's price, which without a book is `price`. Afterwards it is over, or rests.
    pub(super) fn take(&mut self, symbol: SymbolId, index: usize, price: Price) {
        let order = self.market(symbol).orders[index];
        let (limit, side) = (order.limit(), order.spec.side);
        let book = self.market(symbol).touch;
        let (best, size) = match (&book, side) {
            (Some(book), Side::Buy) => (book.ask, book.ask_qty),
            (Some(book), Side::Sell) => (book.bid, book.bid_qty),
            (None, _) => (price, Qty::MAX),
        };
        if worse(side, best, limit) {
            return self.rest(symbol, index);
        }
        let slipped = self.slip(symbol, best, side);
        let worst = if worse(side, slipped, limit) { limit } else { slipped };
        let first = if book.is_some() { best } else { worst };
        if order.limit() == Price::MAX || order.limit().is_zero() {
            if self.is_out_of_bounds(symbol, side, first) {
                self.remove(symbol, index, Execution::Expired(ExpiryReason::MarketRemainder));
                return;
            }
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
        let id = order.id;
        if at_first.is_positive() {
            self.execute(symbol, index, at_first, first, false);
        }
        let rest = wanted.saturating_sub(at_first);
        let is_market = order.spec.order_type.price().is_none();
        if rest.is_positive()
            && is_market
            && let Some(index) = self.find(symbol, |order| order.id == id)
        {
            self.execute(symbol, index, rest, worst, false);
        }
        if let Some(index) = self.find(symbol, |order| order.id == id) {
            if is_market || wanted < order.remaining() {
                self.remove(symbol, index, Execution::Expired(ExpiryReason::ReduceOnly));
            } else {
                self.rest(symbol, index);
            }
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

    /// A market order may not go further from the mark than `market_take_bound`. Only where the data have marks.
    fn is_out_of_bounds(&self, symbol: SymbolId, side: Side, price: Price) -> bool {
        let market = self.market(symbol);
        let bound = market.instrument.market_take_bound;
        if market.mark.is_zero() || !bound.is_positive() {
            return false;
        }
        let up = Rate::ONE.saturating_add(bound);
        let down = Rate::ONE.saturating_sub(bound);
        match side {
            Side::Buy => price > market.mark.times(up, Rounding::Floor).unwrap_or(Price::MAX),
            Side::Sell => price < market.mark.times(down, Rounding::Ceil).unwrap_or(Price::ZERO),
        }
    }

    /// Ends what the account's own orders would meet at `price`. The order's new index, or `None` when it is over itself.
    pub(super) fn prevent_self_trade(&mut self, symbol: SymbolId, index: usize, price: Price) -> Option<usize> {
        let taker = self.market(symbol).orders[index];
        let mode = taker.spec.stp;
        if mode == SelfTradePrevention::None || matches!(taker.tif(), TimeInForce::Fok | TimeInForce::Gtx) {
            return Some(index);
        }
        let meets = |order: &LiveOrder| {
            order.stage == Stage::Resting
                && order.spec.side != taker.spec.side
                && !worse(taker.spec.side, order.limit(), price)
        };
        if self.find(symbol, meets).is_none() {
            return Some(index);
        }
        if mode != SelfTradePrevention::ExpireTaker {
            while let Some(maker) = self.find(symbol, meets) {
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
            self.forget(&order);
        }
        self.sweep_reducing(symbol);
        self.check_margin(symbol);
    }

    /// Reduce-only orders without anything left to reduce are expired (reason 4); so are those that a smaller position makes
    /// too large, unless they are conditional.
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
        fee: alphaengine_core::units::Money,
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
        let order = self.market(symbol).orders[index];
        let takes = match order.spec.order_type {
            OrderType::Market => true,
            _ => self.would_take(symbol, order.spec.side, order.limit()),
        };
        if !takes {
            if let Some(index) = self.prevent_self_trade(symbol, index, order.limit()) {
                self.rest(symbol, index);
            }
        } else if let Some(price) = self.price_now(symbol) {
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

/// Whether `price` is worse for the side than `than`.
pub(super) fn worse(side: Side, price: Price, than: Price) -> bool {
    match side {
        Side::Buy => price > than,
        Side::Sell => price < than,
    }
}
