//! drill: says everything that a strategy can say to an exchange, one thing after the other. It is made to be interrupted.

use alphaengine_core::prelude::*;
use alphaengine_core::units::NANOS_PER_MILLI;

/// Exercises the connection to an exchange: market, limit, post-only and reduce-only orders, stops, take profits and trailing stops,
/// changes, cancels, closes and timers, in an order that its own counter chooses. It has no opinion on the market and pays for
/// every trade.
///
/// Its positions stay within a few of its orders, and so do its open orders. Nothing of it is left to chance: the same market
/// makes it do the same.
pub struct Drill {
    /// Nanoseconds between two actions on a symbol.
    pace: i64,
    size: Money,
    symbols: Vec<Post>,
}

/// Where the drill of one symbol stands.
struct Post {
    /// Actions so far.
    count: u64,
    next: Timestamp,
}

/// Orders that are open at once on a symbol, at most.
const MOST_OPEN: usize = 6;
/// The largest position, in orders.
const MOST_HELD: i64 = 4;

impl Strategy for Drill {
    fn info() -> StrategyInfo {
        StrategyInfo {
            name: "drill",
            about: "Exercises the connection to an exchange with orders of every kind. It exists for faults and trials, and loses money.",
            params: vec![
                Param::int("pace", 1_500, 50, 86_400_000, "milliseconds between two actions on a symbol"),
                Param::decimal("size", "200", "1", "1000000", "notional of an order in the margin asset"),
            ],
        }
    }

    fn new(params: &Params, instruments: &Instruments) -> Result<Self, String> {
        let posts = (0..instruments.len()).map(|_| Post { count: 0, next: Timestamp::MIN });
        let size = Money::from_steps(params.decimal("size").steps());
        Ok(Drill { pace: params.int("pace") * NANOS_PER_MILLI, size, symbols: posts.collect() })
    }

    /// The counters go on where they were.
    fn on_start(&mut self, ctx: &mut Context<'_>) {
        for symbol in ctx.symbols() {
            self.symbols[symbol.index()].count = ctx.load(key(ctx, symbol)).unwrap_or(0);
        }
    }

    fn on_bar(&mut self, ctx: &mut Context<'_>, symbol: SymbolId, _: &Bar) {
        self.tick(ctx, symbol);
    }

    fn on_book_ticker(&mut self, ctx: &mut Context<'_>, symbol: SymbolId, _: &BookTicker) {
        self.tick(ctx, symbol);
    }

    fn on_mark_price(&mut self, ctx: &mut Context<'_>, symbol: SymbolId, _: Price) {
        self.tick(ctx, symbol);
    }

    fn on_trade(&mut self, ctx: &mut Context<'_>, symbol: SymbolId, _: &Trade) {
        self.tick(ctx, symbol);
    }

    /// A trade that opened is now and then protected at once, as many strategies do.
    fn on_fill(&mut self, ctx: &mut Context<'_>, symbol: SymbolId, fill: &TradeExecuted) {
        if fill.fill.trade_id.is_multiple_of(3) {
            Hand::new(ctx, symbol, self.size).protect(fill.fill.trade_id / 3);
        }
    }

    fn on_timer(&mut self, ctx: &mut Context<'_>, name: &str) {
        let named = ctx.symbols().find(|symbol| ctx.instrument(*symbol).symbol.as_str() == name);
        if let Some(symbol) = named {
            ctx.close(symbol);
        }
    }
}

/// What a symbol's counter is saved under.
fn key<'a>(ctx: &Context<'a>, symbol: SymbolId) -> &'a str {
    ctx.instrument(symbol).symbol.as_str()
}

/// Spreads a counter over all numbers: one step of SplitMix64.
fn mix(count: u64) -> u64 {
    let mut z = count.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Drill {
    /// Does the next thing when it is time for it.
    fn tick(&mut self, ctx: &mut Context<'_>, symbol: SymbolId) {
        let post = &mut self.symbols[symbol.index()];
        if ctx.now() < post.next {
            return;
        }
        post.next = ctx.now().plus(self.pace);
        post.count += 1;
        let (count, chosen) = (post.count, mix(post.count << 8 | u64::from(symbol.0)));
        if count.is_multiple_of(8) {
            ctx.save(key(ctx, symbol), &count);
        }
        Hand::new(ctx, symbol, self.size).act(chosen);
    }
}

/// One symbol at one moment: what an action needs to know, and the voice.
struct Hand<'c, 'w> {
    ctx: &'c mut Context<'w>,
    symbol: SymbolId,
    size: Money,
    tick: Price,
}

impl<'c, 'w> Hand<'c, 'w> {
    fn new(ctx: &'c mut Context<'w>, symbol: SymbolId, size: Money) -> Hand<'c, 'w> {
        let tick = ctx.instrument(symbol).price.tick.max(Price::STEP);
        Hand { ctx, symbol, size, tick }
    }

    /// The middle of the book, which is heard alike in every world; without a book the last price.
    fn newest(&self) -> Option<Price> {
        self.ctx.book(self.symbol).map(|book| book.mid()).or(self.ctx.last_price(self.symbol))
    }

    fn act(&mut self, chosen: u64) {
        if self.ctx.open_orders(self.symbol).count() >= MOST_OPEN {
            return self.cancel_oldest();
        }
        match chosen % 20 {
            0..=3 => self.market(chosen),
            4 | 5 => self.rest(chosen, TimeInForce::Gtc),
            6 | 7 => self.rest(chosen, TimeInForce::Gtx),
            8 => self.cross(chosen),
            9 | 10 => self.reduce(),
            11..=13 => self.protect(chosen),
            14 | 15 => self.modify(chosen),
            16 => self.cancel_oldest(),
            17 => self.ctx.cancel_all(self.symbol),
            18 => self.ctx.close(self.symbol),
            _ => self.ctx.set_timer_in(key(self.ctx, self.symbol), 5 * 1_000 * NANOS_PER_MILLI),
        }
    }

    fn market(&mut self, chosen: u64) {
        let (side, qty) = (self.side(chosen), self.qty());
        if !qty.is_positive() {
        } else if side == Side::Buy {
            self.ctx.buy(self.symbol, qty);
        } else {
            self.ctx.sell(self.symbol, qty);
        }
    }

    /// An order that waits, a few ticks from the touch.
    fn rest(&mut self, chosen: u64, tif: TimeInForce) {
        let (side, qty, ticks) = (self.side(chosen), self.qty(), 1 + (chosen >> 16) % 20);
        if let Some(price) = self.price(side, ticks as i64)
            && qty.is_positive()
        {
            match tif {
                TimeInForce::Gtx => self.ctx.post_only(self.symbol, side, qty, price),
                _ => self.ctx.limit(self.symbol, side, qty, price),
            };
        }
    }

    /// An order that takes what is there up to a price beyond the touch, and leaves the rest.
    fn cross(&mut self, chosen: u64) {
        let (side, qty) = (self.side(chosen), self.qty());
        if let Some(price) = self.price(side, -20)
            && qty.is_positive()
        {
            let order_type = OrderType::Limit { price, tif: TimeInForce::Ioc };
            self.ctx.place(OrderSpec::market(self.symbol, side, qty).with_type(order_type));
        }
    }

    /// A reduce-only order for the whole position, unless one waits already.
    fn reduce(&mut self) {
        let held = self.ctx.position(self.symbol).qty();
        let waits = |order: &Order| order.spec.reduce_only && !order.spec.order_type.is_conditional();
        if held.is_zero() || self.ctx.open_orders(self.symbol).any(waits) {
            return;
        }
        let side = if held.is_positive() { Side::Sell } else { Side::Buy };
        if let Some(price) = self.price(side, 3) {
            self.ctx.place(OrderSpec::limit(self.symbol, side, held.abs(), price).reduce_only());
        }
    }

    /// A conditional order that closes the position, of a kind of which none waits already.
    fn protect(&mut self, chosen: u64) {
        let (held, symbol) = (self.ctx.position(self.symbol).qty(), self.symbol);
        let Some(last) = self.newest().filter(|_| !held.is_zero()) else { return };
        let kind = chosen % 3;
        let waits = |order: &Order| match order.spec.order_type {
            OrderType::StopMarket { .. } => kind == 0,
            OrderType::TakeProfitMarket { .. } => kind == 1,
            OrderType::TrailingStopMarket { .. } => kind == 2,
            _ => false,
        };
        if self.ctx.open_orders(symbol).any(waits) {
            return;
        }
        // A distance that the market goes within minutes: between 0.05 % and 0.2 %.
        let away = last.times(Rate::from_steps(50_000 * (1 + (chosen >> 20) % 4) as i64), Rounding::Ceil);
        let away = away.unwrap_or(Price::ZERO).max(self.tick);
        let side = if held.is_positive() { Side::Sell } else { Side::Buy };
        let below = last.saturating_sub(away).floor_to_tick(self.tick).max(self.tick);
        let above = last.saturating_add(away).ceil_to_tick(self.tick);
        let (stop, profit) = if side == Side::Sell { (below, above) } else { (above, below) };
        match kind {
            0 => self.ctx.stop(symbol, side, held.abs(), stop),
            1 => self.ctx.take_profit(symbol, side, held.abs(), profit),
            _ => self.ctx.trailing(symbol, side, held.abs(), Rate::from_steps(200_000)),
        };
    }

    /// Moves the oldest order that waits by a tick or a few, away from the market.
    fn modify(&mut self, chosen: u64) {
        let waits = |order: &&Order| {
            order.status == OrderStatus::New && matches!(order.spec.order_type, OrderType::Limit { .. })
        };
        let oldest = self.ctx.open_orders(self.symbol).find(waits).copied();
        let Some((order, price)) = oldest.and_then(|order| Some((order, order.spec.order_type.price()?))) else {
            return;
        };
        let move_by = Price::from_steps(self.tick.steps().saturating_mul(1 + (chosen >> 16) as i64 % 5));
        let moved = match order.spec.side {
            Side::Buy => price.saturating_sub(move_by).max(self.tick),
            Side::Sell => price.saturating_add(move_by),
        };
        self.ctx.modify(order.client_order_id, order.qty, moved);
    }

    fn cancel_oldest(&mut self) {
        let known = |order: &&Order| !matches!(order.status, OrderStatus::Requested | OrderStatus::Unknown);
        let oldest = self.ctx.open_orders(self.symbol).find(known).map(|order| order.client_order_id);
        oldest.into_iter().for_each(|id| self.ctx.cancel(id));
    }

    /// Either side, and back to nothing when much is held.
    fn side(&self, chosen: u64) -> Side {
        let (held, most) = (self.ctx.position(self.symbol).qty(), self.qty().steps().saturating_mul(MOST_HELD));
        match held.steps() {
            held if held >= most && held > 0 => Side::Sell,
            held if held <= -most && held < 0 => Side::Buy,
            _ if (chosen >> 8).is_multiple_of(2) => Side::Buy,
            _ => Side::Sell,
        }
    }

    /// The size as a quantity, and at least what the exchange takes; zero before the first price.
    fn qty(&self) -> Qty {
        let instrument = self.ctx.instrument(self.symbol);
        let Some(last) = self.newest() else { return Qty::ZERO };
        let step = instrument.market_lot.step.max(instrument.lot.step).max(Qty::STEP);
        // A quarter more than the least notional, so that an order some way below the last price is still large enough.
        let least = Money::from_steps(instrument.min_notional.steps() / 4 * 5);
        let needed = self.size.max(least).qty_at(last, Rounding::Ceil).unwrap_or(Qty::ZERO);
        let up = needed.saturating_add(Qty::from_steps(step.steps() - 1)).floor_to_step(step);
        up.max(instrument.lot.min).max(instrument.market_lot.min)
    }

    /// So many ticks behind the own side of the book, or with a minus beyond the other side.
    fn price(&self, side: Side, ticks: i64) -> Option<Price> {
        let last = self.newest()?;
        let (bid, ask) = self.ctx.book(self.symbol).map_or((last, last), |book| (book.bid, book.ask));
        let away = Price::from_steps(self.tick.steps().saturating_mul(ticks));
        let price = match (side, ticks >= 0) {
            (Side::Buy, true) => bid.saturating_sub(away),
            (Side::Buy, false) => ask.saturating_sub(away),
            (Side::Sell, true) => ask.saturating_add(away),
            (Side::Sell, false) => bid.saturating_add(away),
        };
        let price = if side == Side::Buy { price.floor_to_tick(self.tick) } else { price.ceil_to_tick(self.tick) };
        price.is_positive().then_some(price)
    }
}
