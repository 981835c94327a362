//! atr_risk: risks a fixed share of the equity a trade. The stop stands some average ranges away, the target a multiple of
//! that.

use alphaengine_core::indicator::{Atr, Indicator, Sma};
use alphaengine_core::prelude::*;

/// The two-percent rule: the quantity is such that a stop-out costs `risk` of the equity.
///
/// It enters long on a close above the moving average while the bar before closed below it (short the other way round with
/// `mode=long_short`), places a stop `stop_atr` average true ranges away and a take profit at `reward` times that distance.
/// When one of them fills, the other is cancelled.
pub struct AtrRisk {
    warm_up: usize,
    risk: Rate,
    stop_atr: Rate,
    reward: Rate,
    short_too: bool,
    symbols: Vec<Setup>,
}

struct Setup {
    atr: Atr,
    trend: Sma,
    was_above: Option<bool>,
    /// The entry that is on its way, with the distance of its stop.
    entry: Option<(ClientOrderId, Price)>,
}

impl Strategy for AtrRisk {
    fn info() -> StrategyInfo {
        StrategyInfo {
            name: "atr_risk",
            about: "Risks a fixed share of the equity a trade, with an ATR stop and a target by reward ratio.",
            params: vec![
                Param::int("atr", 14, 1, 10_000, "bars in the average true range"),
                Param::int("trend", 240, 2, 100_000, "closes in the trend's moving average"),
                Param::decimal("risk", "0.02", "0.0001", "0.5", "share of the equity that a stop-out costs"),
                Param::decimal("stop_atr", "4", "0.1", "100", "distance of the stop in average true ranges"),
                Param::decimal("reward", "2", "0.1", "100", "distance of the target in distances of the stop"),
                Param::choice("mode", &["long", "long_short"], "which sides to take"),
            ],
        }
    }

    fn new(params: &Params, instruments: &Instruments) -> Result<Self, String> {
        let (atr, trend) = (params.count("atr"), params.count("trend"));
        let setup = |_| {
            let period = |bars| Period::new(bars).map_err(|error| error.to_string());
            Ok(Setup { atr: Atr::new(period(atr)?), trend: Sma::new(period(trend)?), was_above: None, entry: None })
        };
        Ok(AtrRisk {
            warm_up: atr.max(trend) + 1,
            risk: params.decimal("risk"),
            stop_atr: params.decimal("stop_atr"),
            reward: params.decimal("reward"),
            short_too: params.choice("mode") == "long_short",
            symbols: (0..instruments.len()).map(setup).collect::<Result<Vec<_>, String>>()?,
        })
    }

    fn warm_up(&self) -> usize {
        self.warm_up
    }

    fn on_bar(&mut self, ctx: &mut Context<'_>, symbol: SymbolId, bar: &Bar) {
        let setup = &mut self.symbols[symbol.index()];
        setup.atr.update(*bar);
        setup.trend.update(bar.close);
        let (Some(atr), Some(trend)) = (setup.atr.value(), setup.trend.value()) else {
            return;
        };
        let is_above = bar.close.to_f64() > trend;
        let crossed = setup.was_above.replace(is_above).is_some_and(|was_above| was_above != is_above);
        let is_free = ctx.position(symbol).is_flat() && setup.entry.is_none();
        if crossed && is_free && (is_above || self.short_too) {
            self.enter(ctx, symbol, if is_above { Side::Buy } else { Side::Sell }, atr);
        }
    }

    /// The entry is in: protect it. An exit is in: what protected the position is of no use any more.
    fn on_fill(&mut self, ctx: &mut Context<'_>, symbol: SymbolId, fill: &TradeExecuted) {
        let setup = &mut self.symbols[symbol.index()];
        let held = ctx.position(symbol).qty();
        match setup.entry {
            Some((entry, distance)) if entry == fill.client_order_id => {
                let done = ctx.order(&entry).is_none();
                if done {
                    setup.entry = None;
                    self.protect(ctx, symbol, fill.fill.price, distance);
                }
            }
            _ if held.is_zero() => ctx.cancel_all(symbol),
            _ => {}
        }
    }

    /// An exit is refused when the price is beyond it already (-2021): a position without its stop is closed.
    fn on_order_update(&mut self, ctx: &mut Context<'_>, order: &Order, _: OrderNews<'_>) {
        let setup = &mut self.symbols[order.symbol.index()];
        if order.status.is_terminal() {
            setup.entry.take_if(|(entry, _)| *entry == order.client_order_id);
        }
        if order.status == OrderStatus::Rejected && order.spec.only_reduces() && order.spec.order_type.is_conditional()
        {
            ctx.cancel_all(order.symbol);
            ctx.close(order.symbol);
        }
    }

    fn on_refusal(
        &mut self,
        _: &mut Context<'_>,
        _: &alphaengine_core::command::Wish,
        id: Option<ClientOrderId>,
        _: &alphaengine_core::command::Refusal,
    ) {
        for setup in &mut self.symbols {
            setup.entry.take_if(|(entry, _)| Some(*entry) == id);
        }
    }
}

impl AtrRisk {
    fn enter(&mut self, ctx: &mut Context<'_>, symbol: SymbolId, side: Side, atr: f64) {
        let tick = ctx.instrument(symbol).price.tick;
        let range = Price::nearest_from_f64(atr).unwrap_or(Price::ZERO);
        let distance = range.times(self.stop_atr, Rounding::Ceil).unwrap_or(Price::ZERO).ceil_to_tick(tick);
        let budget = ctx.equity().times(self.risk, Rounding::Floor).unwrap_or(Money::ZERO);
        if !distance.is_positive() {
            return;
        }
        // The equity also caps the size: a quiet market must not lead to a position that no margin carries.
        let by_risk = budget.qty_at(distance, Rounding::Floor).unwrap_or(Qty::ZERO);
        let qty = by_risk.min(ctx.qty_for(symbol, ctx.equity())).floor_to_step(ctx.instrument(symbol).market_lot.step);
        if qty.is_positive() {
            let entry = ctx.place(OrderSpec::market(symbol, side, qty));
            self.symbols[symbol.index()].entry = Some((entry, distance));
        }
    }

    fn protect(&self, ctx: &mut Context<'_>, symbol: SymbolId, entry: Price, distance: Price) {
        let held = ctx.position(symbol).qty();
        let instrument = ctx.instrument(symbol);
        let reward = distance.times(self.reward, Rounding::HalfEven).unwrap_or(distance);
        let (exit, stop, target) = if held.is_positive() {
            (Side::Sell, entry.saturating_sub(distance), entry.saturating_add(reward))
        } else {
            (Side::Buy, entry.saturating_add(distance), entry.saturating_sub(reward))
        };
        let tick = instrument.price.tick;
        ctx.stop(symbol, exit, held.abs(), stop.floor_to_tick(tick));
        if target.is_positive() {
            ctx.take_profit(symbol, exit, held.abs(), target.floor_to_tick(tick));
        }
    }
}
