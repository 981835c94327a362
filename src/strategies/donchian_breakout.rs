//! donchian_breakout: buys a close above the highest high of the bars before, and leaves below the lowest low of fewer.

use alphaengine_core::indicator::{Donchian, Indicator};
use alphaengine_core::prelude::*;

use super::Sizing;

/// Channel breakout after Donchian, for each symbol on its own. The channel is that of the bars *before* the one that closes.
pub struct DonchianBreakout {
    entry: usize,
    sizing: Sizing,
    short_too: bool,
    symbols: Vec<Channels>,
}

struct Channels {
    entry: Donchian,
    exit: Donchian,
}

impl Strategy for DonchianBreakout {
    fn info() -> StrategyInfo {
        let [qty, risk] = Sizing::params("0.5");
        StrategyInfo {
            name: "donchian_breakout",
            about: "Buys a close above the channel of the last bars, leaves below a shorter channel.",
            params: vec![
                Param::int("entry", 240, 2, 100_000, "bars in the entry channel"),
                Param::int("exit", 120, 1, 100_000, "bars in the exit channel"),
                qty,
                risk,
                Param::choice("mode", &["long", "long_short"], "which sides to take"),
            ],
        }
    }

    fn new(params: &Params, instruments: &Instruments) -> Result<Self, String> {
        let (entry, exit) = (params.count("entry"), params.count("exit"));
        if exit > entry {
            return Err(format!("exit={exit} must not be more than entry={entry}"));
        }
        let channels = |_| {
            let channel = |period| Period::new(period).map(Donchian::new).map_err(|error| error.to_string());
            Ok(Channels { entry: channel(entry)?, exit: channel(exit)? })
        };
        let symbols = (0..instruments.len()).map(channels).collect::<Result<Vec<_>, String>>()?;
        let short_too = params.choice("mode") == "long_short";
        Ok(DonchianBreakout { entry, sizing: Sizing::read(params), short_too, symbols })
    }

    fn warm_up(&self) -> usize {
        self.entry + 1
    }

    fn on_bar(&mut self, ctx: &mut Context<'_>, symbol: SymbolId, bar: &Bar) {
        let channels = &mut self.symbols[symbol.index()];
        let before = channels.entry.value().zip(channels.exit.value());
        channels.entry.update(*bar);
        channels.exit.update(*bar);
        let Some((entry, exit)) = before else {
            return;
        };
        let held = ctx.position(symbol).qty();
        let (above, below) = (bar.close > entry.upper, bar.close < entry.lower);
        if (held.is_positive() && bar.close < exit.lower) || (held.is_negative() && bar.close > exit.upper) {
            ctx.close(symbol);
        } else if held.is_zero() && (above || (below && self.short_too)) {
            let qty = self.sizing.qty(ctx, symbol);
            if qty.is_positive() {
                let side = if above { Side::Buy } else { Side::Sell };
                ctx.place(OrderSpec::market(symbol, side, qty));
            }
        }
    }
}
