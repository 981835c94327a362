//! market_maker: quotes both sides of the book ticker, post only, and leans its quotes against its inventory.

use alphaengine_core::prelude::*;

use super::Sizing;

/// One bid and one ask around the mid price. The quotes move when they are `requote` away from where they should be; the side
/// that would take the inventory beyond `max_inventory` clips is left out. It follows the book ticker, so it needs such data.
pub struct MarketMaker {
    half_spread: Rate,
    skew: Rate,
    requote: Rate,
    max_inventory: i64,
    sizing: Sizing,
    symbols: Vec<Quotes>,
}

#[derive(Default)]
struct Quotes {
    qty: Qty,
    bid: Option<(ClientOrderId, Price)>,
    ask: Option<(ClientOrderId, Price)>,
}

impl Strategy for MarketMaker {
    fn info() -> StrategyInfo {
        let [qty, risk] = Sizing::params("0.05");
        StrategyInfo {
            name: "market_maker",
            about: "Quotes both sides of the book ticker, post only, leaning against its inventory.",
            params: vec![
                Param::decimal(
                    "half_spread",
                    "0.0002",
                    "0",
                    "0.1",
                    "distance of a quote from the mid as a share of it",
                ),
                Param::decimal("skew", "0.0001", "0", "0.1", "how far one clip of inventory moves both quotes"),
                Param::decimal("requote", "0.0001", "0", "0.1", "how far a quote may be off before it moves"),
                Param::int("max_inventory", 5, 1, 1000, "most clips to hold on either side"),
                qty,
                risk,
            ],
        }
    }

    fn new(params: &Params, instruments: &Instruments) -> Result<Self, String> {
        Ok(MarketMaker {
            half_spread: params.decimal("half_spread"),
            skew: params.decimal("skew"),
            requote: params.decimal("requote"),
            max_inventory: params.int("max_inventory"),
            sizing: Sizing::read(params),
            symbols: (0..instruments.len()).map(|_| Quotes::default()).collect(),
        })
    }

    fn follows_book(&self) -> bool {
        true
    }

    /// Quotes of an earlier process are taken down; new ones follow with the first book.
    fn on_start(&mut self, ctx: &mut Context<'_>) {
        for symbol in ctx.symbols() {
            ctx.cancel_all(symbol);
        }
    }

    fn on_book_ticker(&mut self, ctx: &mut Context<'_>, symbol: SymbolId, book: &BookTicker) {
        let index = symbol.index();
        if self.symbols[index].qty.is_zero() {
            self.symbols[index].qty = self.sizing.qty(ctx, symbol);
        }
        let qty = self.symbols[index].qty;
        if !qty.is_positive() {
            return;
        }
        let clips = ctx.position(symbol).qty().steps() / qty.steps();
        let mid = book.mid();
        let share = |rate: Rate| mid.times(rate, Rounding::HalfEven).unwrap_or(Price::ZERO);
        let lean = Price::from_steps(share(self.skew).steps().saturating_mul(-clips));
        let (centre, half) = (mid.saturating_add(lean), share(self.half_spread));
        let tick = ctx.instrument(symbol).price.tick;
        // Never through the other side: a post-only order that takes is refused.
        let bid = centre.saturating_sub(half).floor_to_tick(tick).min(book.ask.saturating_sub(tick));
        let ask = centre.saturating_add(half).ceil_to_tick(tick).max(book.bid.saturating_add(tick));
        let tolerance = share(self.requote);
        let (wants_bid, wants_ask) = (clips < self.max_inventory, clips > -self.max_inventory);
        let quotes = &mut self.symbols[index];
        requote(ctx, symbol, &mut quotes.bid, Side::Buy, qty, wants_bid.then_some(bid), tolerance);
        requote(ctx, symbol, &mut quotes.ask, Side::Sell, qty, wants_ask.then_some(ask), tolerance);
    }

    fn on_order_update(&mut self, _: &mut Context<'_>, order: &Order, _: OrderNews<'_>) {
        if order.status.is_terminal() {
            self.forget(order.symbol, &order.client_order_id);
        }
    }

    fn on_refusal(
        &mut self,
        ctx: &mut Context<'_>,
        _: &alphaengine_core::command::Wish,
        id: Option<ClientOrderId>,
        _: &alphaengine_core::command::Refusal,
    ) {
        for symbol in ctx.symbols() {
            id.iter().for_each(|id| self.forget(symbol, id));
        }
    }
}

impl MarketMaker {
    fn forget(&mut self, symbol: SymbolId, id: &ClientOrderId) {
        let quotes = &mut self.symbols[symbol.index()];
        quotes.bid.take_if(|(bid, _)| bid == id);
        quotes.ask.take_if(|(ask, _)| ask == id);
    }
}

/// Brings one quote to where it should be: nothing, or within `tolerance` of `price`.
fn requote(
    ctx: &mut Context<'_>,
    symbol: SymbolId,
    quote: &mut Option<(ClientOrderId, Price)>,
    side: Side,
    qty: Qty,
    price: Option<Price>,
    tolerance: Price,
) {
    match (*quote, price) {
        (None, Some(price)) if price.is_positive() => *quote = Some((ctx.post_only(symbol, side, qty, price), price)),
        (Some((id, at)), Some(price)) if price.saturating_sub(at).abs() > tolerance => ctx.cancel(id),
        (Some((id, _)), None) => ctx.cancel(id),
        _ => {}
    }
}
