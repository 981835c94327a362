//! dip_buyer: buys with a resting order below the market, takes its profit with another, and gives up after a while.

use alphaengine::prelude::*;

/// How long a position is held at most.
const PATIENCE: i64 = 24 * 3_600_000_000_000;

/// Keeps a bid `drop` below the close of each hour. When it fills, an offer `profit` above its price takes over; what has not
/// sold after a day is closed at market. It shows limit orders, timers and state that survives a restart.
pub struct DipBuyer {
    drop: Rate,
    profit: Rate,
    share: Rate,
}

impl Strategy for DipBuyer {
    fn info() -> StrategyInfo {
        StrategyInfo {
            name: "dip_buyer",
            about: "Bids below the market every hour and sells what it gets a little higher.",
            params: vec![
                Param::decimal("drop", "0.01", "0.001", "0.2", "how far below the close to bid"),
                Param::decimal("profit", "0.01", "0.001", "0.2", "how far above the entry to offer"),
                Param::decimal("share", "0.2", "0.01", "1", "notional of a position as a share of the equity"),
            ],
        }
    }

    fn new(params: &Params, _: &Instruments) -> Result<Self, String> {
        Ok(DipBuyer { drop: params.decimal("drop"), profit: params.decimal("profit"), share: params.decimal("share") })
    }

    fn on_start(&mut self, ctx: &mut Context<'_>) {
        for symbol in ctx.symbols() {
            ctx.subscribe(symbol, Timeframe::H1, 24);
        }
    }

    fn on_bar(&mut self, ctx: &mut Context<'_>, symbol: SymbolId, bar: &Bar) {
        if bar.timeframe != Timeframe::H1 || !ctx.position(symbol).is_flat() {
            return;
        }
        ctx.cancel_all(symbol);
        let below = bar.close.times(Rate::ONE.saturating_sub(self.drop), Rounding::Floor).unwrap_or(bar.close);
        let price = below.floor_to_tick(ctx.instrument(symbol).price.tick);
        let money = ctx.equity().times(self.share, Rounding::Floor).unwrap_or(Money::ZERO);
        let qty = ctx.qty_for(symbol, money);
        if qty.is_positive() {
            ctx.limit(symbol, Side::Buy, qty, price);
        }
    }

    fn on_fill(&mut self, ctx: &mut Context<'_>, symbol: SymbolId, fill: &TradeExecuted) {
        if fill.side == Side::Sell {
            return;
        }
        let above = fill.fill.price.times(Rate::ONE.saturating_add(self.profit), Rounding::Ceil);
        let price = above.unwrap_or(fill.fill.price).ceil_to_tick(ctx.instrument(symbol).price.tick);
        let offer = OrderSpec::limit(symbol, Side::Sell, fill.fill.qty, price).reduce_only();
        ctx.place(offer);
        ctx.set_timer_in(ctx.instrument(symbol).symbol.as_str(), PATIENCE);
        let entries = ctx.load::<u64>("entries").unwrap_or(0);
        ctx.save("entries", &(entries + 1));
    }

    /// A day has passed: what is still there goes at market.
    fn on_timer(&mut self, ctx: &mut Context<'_>, name: &str) {
        let Some(symbol) = ctx.instruments().id(name) else {
            return;
        };
        if !ctx.position(symbol).is_flat() {
            ctx.cancel_all(symbol);
            ctx.close(symbol);
        }
    }
}
