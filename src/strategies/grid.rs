//! grid: rests buys below and sells above a centre, and answers each fill with the opposite order one step away.

use std::collections::BTreeMap;

use alphaengine_core::prelude::*;

use super::Sizing;

/// A symmetric grid of limit orders around the first price that it sees, for each symbol on its own. The centre survives a
/// restart.
pub struct Grid {
    levels: i64,
    spacing: Rate,
    sizing: Sizing,
    symbols: Vec<State>,
}

#[derive(Default)]
struct State {
    centre: Option<Price>,
    qty: Qty,
    /// Level of each resting order: negative below the centre.
    resting: BTreeMap<ClientOrderId, i64>,
}

impl Strategy for Grid {
    fn info() -> StrategyInfo {
        let [qty, risk] = Sizing::params("0.1");
        StrategyInfo {
            name: "grid",
            about: "Rests buys below and sells above a centre; each fill is answered one step away.",
            params: vec![
                Param::int("levels", 5, 1, 50, "orders on each side"),
                Param::decimal("spacing", "0.005", "0.0001", "0.2", "distance between levels as a share of the centre"),
                qty,
                risk,
            ],
        }
    }

    fn new(params: &Params, instruments: &Instruments) -> Result<Self, String> {
        let (levels, spacing) = (params.int("levels"), params.decimal("spacing"));
        if spacing.steps().saturating_mul(levels) >= Rate::ONE.steps() {
            return Err(format!("levels={levels} of spacing={spacing} reach below zero"));
        }
        let symbols = (0..instruments.len()).map(|_| State::default()).collect();
        Ok(Grid { levels, spacing, sizing: Sizing::read(params), symbols })
    }

    fn warm_up(&self) -> usize {
        1
    }

    fn on_start(&mut self, ctx: &mut Context<'_>) {
        for symbol in ctx.symbols() {
            let name = ctx.instrument(symbol).symbol.as_str();
            let state = &mut self.symbols[symbol.index()];
            if let Some((centre, qty)) = ctx.load::<(Price, Qty)>(name) {
                (state.centre, state.qty) = (Some(centre), qty);
            }
            // After a restart the exchange still holds the orders; their prices tell their levels.
            let Some(centre) = state.centre else { continue };
            for order in ctx.open_orders(symbol) {
                let level = order.spec.order_type.price().map(|price| level_of(centre, self.spacing, price));
                state.resting.extend(level.map(|level| (order.client_order_id, level)));
            }
        }
    }

    fn on_bar(&mut self, ctx: &mut Context<'_>, symbol: SymbolId, bar: &Bar) {
        if self.symbols[symbol.index()].centre.is_some() {
            return;
        }
        let qty = self.sizing.qty(ctx, symbol);
        if !qty.is_positive() {
            return;
        }
        let state = &mut self.symbols[symbol.index()];
        (state.centre, state.qty) = (Some(bar.close), qty);
        ctx.save(ctx.instrument(symbol).symbol.as_str(), &(bar.close, qty));
        for level in 1..=self.levels {
            self.rest(ctx, symbol, Side::Buy, -level);
            self.rest(ctx, symbol, Side::Sell, level);
        }
    }

    fn on_order_update(&mut self, ctx: &mut Context<'_>, order: &Order, _: OrderNews<'_>) {
        if !order.status.is_terminal() {
            return;
        }
        let Some(level) = self.symbols[order.symbol.index()].resting.remove(&order.client_order_id) else {
            return;
        };
        if order.status == OrderStatus::Filled {
            match order.spec.side {
                Side::Buy => self.rest(ctx, order.symbol, Side::Sell, level + 1),
                Side::Sell => self.rest(ctx, order.symbol, Side::Buy, level - 1),
            }
        }
    }
}

impl Grid {
    fn rest(&mut self, ctx: &mut Context<'_>, symbol: SymbolId, side: Side, level: i64) {
        let state = &mut self.symbols[symbol.index()];
        let Some(centre) = state.centre else { return };
        let tick = ctx.instrument(symbol).price.tick;
        let price = price_of(centre, self.spacing, level);
        let price = if side == Side::Buy { price.floor_to_tick(tick) } else { price.ceil_to_tick(tick) };
        if price.is_positive() {
            let id = ctx.limit(symbol, side, state.qty, price);
            state.resting.insert(id, level);
        }
    }
}

fn price_of(centre: Price, spacing: Rate, level: i64) -> Price {
    let offset = Rate::from_steps(spacing.steps().saturating_mul(level));
    centre.saturating_add(centre.times(offset, Rounding::HalfEven).unwrap_or(Price::ZERO))
}

/// The level whose price is nearest.
fn level_of(centre: Price, spacing: Rate, price: Price) -> i64 {
    let step = centre.times(spacing, Rounding::HalfEven).unwrap_or(Price::ONE).steps().max(1);
    let distance = price.saturating_sub(centre).steps();
    (distance + distance.signum() * step / 2) / step
}
