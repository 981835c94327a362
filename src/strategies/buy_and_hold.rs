//! buy_and_hold: buys once at the first bar, trade or quote and waits. The yardstick for every other strategy.

use alphaengine_core::prelude::*;

use super::Sizing;

/// One purchase of each symbol.
pub struct BuyAndHold {
    sizing: Sizing,
    bought: Vec<bool>,
}

impl Strategy for BuyAndHold {
    fn info() -> StrategyInfo {
        StrategyInfo {
            name: "buy_and_hold",
            about: "Buys once and holds to the end.",
            params: Sizing::params("0.5").to_vec(),
        }
    }

    fn new(params: &Params, instruments: &Instruments) -> Result<Self, String> {
        Ok(BuyAndHold { sizing: Sizing::read(params), bought: vec![false; instruments.len()] })
    }

    /// What was bought before a restart is not bought again.
    fn on_start(&mut self, ctx: &mut Context<'_>) {
        for symbol in ctx.symbols() {
            self.bought[symbol.index()] = ctx.load(ctx.instrument(symbol).symbol.as_str()).unwrap_or(false);
        }
    }

    fn on_bar(&mut self, ctx: &mut Context<'_>, symbol: SymbolId, _: &Bar) {
        self.buy_once(ctx, symbol);
    }

    fn on_trade(&mut self, ctx: &mut Context<'_>, symbol: SymbolId, _: &Trade) {
        self.buy_once(ctx, symbol);
    }

    fn on_book_ticker(&mut self, ctx: &mut Context<'_>, symbol: SymbolId, _: &BookTicker) {
        self.buy_once(ctx, symbol);
    }
}

impl BuyAndHold {
    fn buy_once(&mut self, ctx: &mut Context<'_>, symbol: SymbolId) {
        if self.bought[symbol.index()] {
            return;
        }
        let qty = self.sizing.qty(ctx, symbol);
        if qty.is_positive() {
            ctx.buy(symbol, qty);
            self.bought[symbol.index()] = true;
            ctx.save(ctx.instrument(symbol).symbol.as_str(), &true);
        }
    }
}
