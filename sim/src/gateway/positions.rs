//! Positions and their risk (`binance-usdm.md` section 3.5).

use alphaengine_core::market::SymbolId;
use alphaengine_core::order::{PositionSide, Side};
use alphaengine_core::units::Money;

use super::account::isolated_margin;
use super::encode::{amount, decimal};
use super::error::ApiError;
use super::json::{Composer, JsonText, json};
use super::orders::position_side;
use super::{Call, Gateway};

type Answer = Result<JsonText, ApiError>;

/// v3: symbols with a position or open orders only.
pub(super) fn risk(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let symbol = gateway.symbol_if_any(call.params)?;
    let shown = gateway.shown_positions(true).into_iter();
    let rows = shown.filter(|(of, _)| symbol.is_none_or(|symbol| symbol == *of)).map(|(symbol, side)| {
        let contract = gateway.contract(symbol);
        let digits = contract.digits;
        let figures = gateway.exchange.position_figures(symbol, side);
        let holding = gateway.ledger.holding(symbol, side);
        let orders = gateway.order_margin_shown(symbol, side);
        json!({
            "symbol": contract.name, "positionSide": side.name(),
            "positionAmt": digits.qty(figures.position.qty()),
            "entryPrice": digits.price(figures.position.entry_price()),
            "breakEvenPrice": digits.price(holding.break_even()), "markPrice": decimal(figures.mark.steps(), 8),
            "unRealizedProfit": amount(figures.unrealized), "liquidationPrice": gateway.liquidation_text(symbol, side),
            "isolatedMargin": amount(isolated_margin(&figures)), "notional": amount(figures.notional),
            "marginAsset": contract.instrument.margin_asset, "isolatedWallet": amount(figures.isolated_wallet),
            "initialMargin": amount(figures.initial_margin.saturating_add(orders)),
            "maintMargin": amount(figures.maintenance), "positionInitialMargin": amount(figures.initial_margin),
            "openOrderInitialMargin": amount(orders), "adl": u8::from(!figures.position.is_flat()),
            "bidNotional": decimal(gateway.exchange.order_notional(symbol, Side::Buy).steps(), 0),
            "askNotional": decimal(gateway.exchange.order_notional(symbol, Side::Sell).steps(), 0),
            "updateTime": holding.updated.millis(),
        })
    });
    Ok(rows.collect())
}

/// v2: flat symbols too, with leverage and margin type.
pub(super) fn legacy_risk(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let symbol = gateway.symbol_if_any(call.params)?;
    let shown = gateway.shown_positions(false).into_iter();
    let rows = shown.filter(|(of, _)| symbol.is_none_or(|symbol| symbol == *of)).map(|(symbol, side)| {
        let contract = gateway.contract(symbol);
        let digits = contract.digits;
        let figures = gateway.exchange.position_figures(symbol, side);
        let holding = gateway.ledger.holding(symbol, side);
        json!({
            "symbol": contract.name, "positionAmt": digits.qty(figures.position.qty()),
            "entryPrice": digits.price(figures.position.entry_price()),
            "breakEvenPrice": digits.price(holding.break_even()), "markPrice": decimal(figures.mark.steps(), 8),
            "unRealizedProfit": amount(figures.unrealized), "liquidationPrice": gateway.liquidation_text(symbol, side),
            "leverage": gateway.exchange.leverage(symbol).to_string(),
            "maxNotionalValue": decimal(gateway.largest_notional(symbol).steps(), 0),
            "marginType": if gateway.exchange.is_isolated(symbol) { "isolated" } else { "cross" },
            "isolatedMargin": amount(isolated_margin(&figures)), "isAutoAddMargin": "false",
            "positionSide": side.name(), "notional": decimal(figures.notional.steps(), 0),
            "isolatedWallet": amount(figures.isolated_wallet), "updateTime": holding.updated.millis(),
        })
    });
    Ok(rows.collect())
}

pub(super) fn move_margin(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let symbol = gateway.symbol(call.params)?;
    let side = position_side(call.params)?;
    let sum = call.params.decimal::<Money>("amount")?.ok_or_else(|| ApiError::missing("amount"))?;
    let kind = call.params.integer("type")?.ok_or_else(|| ApiError::missing("type"))?;
    if !sum.is_positive() {
        return Err(ApiError::new(-4055, "Amount must be positive."));
    }
    let signed = match kind {
        1 => sum,
        2 => Money::ZERO.saturating_sub(sum),
        _ => return Err(ApiError::malformed("type")),
    };
    gateway.exchange.move_margin(symbol, side, signed)?;
    gateway.absorb(None);
    gateway.tell_account("MARGIN_TRANSFER", Some((symbol, side)), Money::ZERO, None);
    Ok(json!({"amount": super::encode::number(sum.steps()), "code": 200, "msg": "Successfully modify position margin.",
        "type": kind}))
}

pub(super) fn adl_quantiles(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let symbol = gateway.symbol_if_any(call.params)?;
    let shown = gateway.shown_positions(true).into_iter();
    let shown = shown.filter(|(of, _)| symbol.is_none_or(|symbol| symbol == *of));
    let rows = shown.map(|(symbol, side)| {
        let mut quantile = Composer::object();
        quantile.field(side.name(), &1_u8);
        json!({"symbol": gateway.contract(symbol).name, "adlQuantile": quantile.end()})
    });
    Ok(rows.collect())
}

impl Gateway {
    /// Symbols and sides as the account shows them; `only_used`: with a position or open orders.
    pub(super) fn shown_positions(&self, only_used: bool) -> Vec<(SymbolId, PositionSide)> {
        let sides: &[PositionSide] = if self.exchange.is_hedged() {
            if only_used {
                &[PositionSide::Long, PositionSide::Short]
            } else {
                &[PositionSide::Both, PositionSide::Long, PositionSide::Short]
            }
        } else {
            &[PositionSide::Both]
        };
        let all = self.contracts.iter().flat_map(|contract| sides.iter().map(|side| (contract.id, *side)));
        let is_used = |(symbol, side): &(SymbolId, PositionSide)| {
            let has_orders =
                self.records.open().any(|order| order.spec.symbol == *symbol && order.spec.position_side == *side);
            !only_used || has_orders || !self.exchange.position(*symbol, *side).is_flat()
        };
        all.filter(is_used).collect()
    }

    /// The margin of the open orders, on the side that has them; of a hedged symbol with both, on the long one.
    pub(super) fn order_margin_shown(&self, symbol: SymbolId, side: PositionSide) -> Money {
        let first = self.records.open().filter(|order| order.spec.symbol == symbol);
        let first = first.map(|order| order.spec.position_side).min();
        if first == Some(side) { self.exchange.order_margin(symbol) } else { Money::ZERO }
    }

    /// The largest notional at the symbol's leverage.
    pub(super) fn largest_notional(&self, symbol: SymbolId) -> Money {
        self.contract(symbol).instrument.max_notional(self.exchange.leverage(symbol))
    }

    /// `0` where there is none. Of hedged positions the formula of one side alone is shown.
    fn liquidation_text(&self, symbol: SymbolId, side: PositionSide) -> String {
        let price = self.exchange.liquidation_price_of(symbol, side);
        price.map_or_else(|| "0".to_owned(), |price| decimal(price.steps(), self.contract(symbol).digits.price))
    }
}
