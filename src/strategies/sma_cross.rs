//! sma_cross: buys when a fast moving average of closes crosses above a slow one, and sells when it crosses back.

use std::cmp::Ordering;

use alphaengine_core::indicator::{Indicator, Sma};
use alphaengine_core::prelude::*;

use super::Sizing;

/// Moving-average crossover, for each symbol on its own.
///
/// On each close the averages of the last `fast` and `slow` closes are compared, exactly: as integers, so that no rounding
/// decides. The first comparable bar only sets the side. On the bar where fast goes from not above to above slow it buys; on the
/// bar where it goes back it sells what it bought and, with `mode=long_short`, as much again.
pub struct SmaCross {
    slow: usize,
    sizing: Sizing,
    short_too: bool,
    symbols: Vec<Averages>,
}

struct Averages {
    fast: Sma,
    slow: Sma,
    was_above: Option<bool>,
}

impl Strategy for SmaCross {
    fn info() -> StrategyInfo {
        let [qty, risk] = Sizing::params("0.5");
        StrategyInfo {
            name: "sma_cross",
            about: "Buys when the fast moving average crosses above the slow one, sells when it crosses back.",
            params: vec![
                Param::int("fast", 10, 1, 10_000, "closes in the fast average"),
                Param::int("slow", 30, 2, 10_000, "closes in the slow average"),
                qty,
                risk,
                Param::choice("mode", &["long", "long_short"], "which sides to take"),
            ],
        }
    }

    fn new(params: &Params, instruments: &Instruments) -> Result<Self, String> {
        let (fast, slow) = (params.count("fast"), params.count("slow"));
        if fast >= slow {
            return Err(format!("fast={fast} must be less than slow={slow}"));
        }
        let averages = |_| {
            let sma = |period| Period::new(period).map(Sma::new).map_err(|error| error.to_string());
            Ok(Averages { fast: sma(fast)?, slow: sma(slow)?, was_above: None })
        };
        let symbols = (0..instruments.len()).map(averages).collect::<Result<Vec<_>, String>>()?;
        let short_too = params.choice("mode") == "long_short";
        Ok(SmaCross { slow, sizing: Sizing::read(params), short_too, symbols })
    }

    fn warm_up(&self) -> usize {
        self.slow
    }

    fn on_bar(&mut self, ctx: &mut Context<'_>, symbol: SymbolId, bar: &Bar) {
        let averages = &mut self.symbols[symbol.index()];
        averages.fast.update(bar.close);
        averages.slow.update(bar.close);
        let Some(order) = averages.fast.compare(&averages.slow) else {
            return;
        };
        let is_above = order == Ordering::Greater;
        match averages.was_above.replace(is_above) {
            Some(false) if is_above => self.go_long(ctx, symbol),
            Some(true) if !is_above => self.go_short_or_flat(ctx, symbol),
            _ => {}
        }
    }
}

impl SmaCross {
    fn go_long(&self, ctx: &mut Context<'_>, symbol: SymbolId) {
        let held = ctx.position(symbol).qty();
        let wanted = self.sizing.qty(ctx, symbol);
        let qty = wanted.saturating_sub(held.min(Qty::ZERO));
        if held <= Qty::ZERO && wanted.is_positive() {
            ctx.buy(symbol, qty);
        }
    }

    fn go_short_or_flat(&self, ctx: &mut Context<'_>, symbol: SymbolId) {
        let held = ctx.position(symbol).qty().max(Qty::ZERO);
        let wanted = if self.short_too { self.sizing.qty(ctx, symbol) } else { Qty::ZERO };
        let qty = held.saturating_add(wanted);
        if qty.is_positive() {
            ctx.sell(symbol, qty);
        }
    }
}
