//! Sizing turns the parameters `qty` and `risk` into a quantity: a fixed one, or a share of the equity.

use alphaengine_core::prelude::*;

/// How much to trade.
#[derive(Debug, Clone, Copy)]
pub enum Sizing {
    /// This quantity of the base asset, always.
    Fixed(Qty),
    /// A position worth this share of the equity.
    Share(Rate),
}

impl Sizing {
    /// The declarations of `qty` and `risk`. A `qty` above zero wins.
    pub fn params(default_share: &'static str) -> [Param; 2] {
        [
            Param::decimal("qty", "0", "0", "1000000", "fixed quantity of the base asset; 0 means: use `risk`"),
            Param::decimal("risk", default_share, "0.0001", "20", "notional of a position as a share of the equity"),
        ]
    }

    pub fn read(params: &Params) -> Sizing {
        let qty = params.decimal("qty");
        if qty.is_positive() {
            Sizing::Fixed(Qty::from_steps(qty.steps()))
        } else {
            Sizing::Share(params.decimal("risk"))
        }
    }

    /// The quantity to trade now; zero when it cannot be told yet or is below the symbol's step.
    pub fn qty(&self, ctx: &Context<'_>, symbol: SymbolId) -> Qty {
        match *self {
            Sizing::Fixed(qty) => qty,
            Sizing::Share(share) => {
                let money = ctx.equity().max(Money::ZERO).times(share, Rounding::Floor).unwrap_or(Money::ZERO);
                ctx.qty_for(symbol, money)
            }
        }
    }
}
