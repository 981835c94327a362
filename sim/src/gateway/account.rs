//! The account: balances and settings (`binance-usdm.md` section 3.5).

use alphaengine_core::exchange::Request;
use alphaengine_core::order::PositionSide;
use alphaengine_core::units::{Money, Timestamp};

use super::encode::{amount, decimal, number};
use super::error::ApiError;
use super::json::{JsonText, json};
use super::{Call, Gateway};
use crate::exchange::AccountFigures;

type Answer = Result<JsonText, ApiError>;

/// v2: all symbols, with leverage and margin type.
pub(super) fn legacy_account(gateway: &mut Gateway, _: &Call<'_>) -> Answer {
    let figures = gateway.exchange.account_figures();
    let mut account = json!({
        "feeTier": 0, "feeBurn": gateway.fee_burn, "canTrade": true, "canDeposit": true, "canWithdraw": true,
        "updateTime": gateway.ledger.updated.millis(), "multiAssetsMargin": gateway.multi_assets,
        "tradeGroupId": -1,
    });
    account.append(&gateway.totals(&figures));
    let positions: Vec<JsonText> = gateway
        .shown_positions(false)
        .into_iter()
        .map(|(symbol, side)| {
            let mut position = gateway.account_position(symbol, side);
            let figures = gateway.exchange.position_figures(symbol, side);
            let digits = gateway.contract(symbol).digits;
            position.append(&json!({
                "positionInitialMargin": amount(figures.initial_margin),
                "openOrderInitialMargin": amount(gateway.order_margin_shown(symbol, side)),
                "leverage": gateway.exchange.leverage(symbol).to_string(),
                "isolated": gateway.exchange.is_isolated(symbol),
                "entryPrice": digits.price(figures.position.entry_price()),
                "breakEvenPrice": digits.price(gateway.ledger.holding(symbol, side).break_even()),
                "maxNotional": decimal(gateway.largest_notional(symbol).steps(), 0),
                "bidNotional": "0", "askNotional": "0",
            }));
            position
        })
        .collect();
    account.append(&json!({"assets": [gateway.asset(&figures, true)], "positions": positions}));
    Ok(account)
}

/// v3: symbols with a position or open orders only.
pub(super) fn account(gateway: &mut Gateway, _: &Call<'_>) -> Answer {
    let figures = gateway.exchange.account_figures();
    let mut account = gateway.totals(&figures);
    let shown = gateway.shown_positions(true);
    let positions: Vec<JsonText> =
        shown.into_iter().map(|(symbol, side)| gateway.account_position(symbol, side)).collect();
    account.append(&json!({"assets": [gateway.asset(&figures, false)], "positions": positions}));
    Ok(account)
}

pub(super) fn balance(gateway: &mut Gateway, _: &Call<'_>) -> Answer {
    let figures = gateway.exchange.account_figures();
    Ok(json!([{
        "accountAlias": "SgsR", "asset": gateway.exchange.config().asset.as_str(), "balance": amount(figures.wallet),
        "crossWalletBalance": amount(figures.cross_wallet), "crossUnPnl": amount(figures.cross_unrealized),
        "availableBalance": amount(figures.available), "maxWithdrawAmount": amount(withdrawable(&figures)),
        "marginAvailable": true, "updateTime": gateway.ledger.updated.millis(),
    }]))
}

pub(super) fn account_config(gateway: &mut Gateway, _: &Call<'_>) -> Answer {
    Ok(json!({
        "feeTier": 0, "canTrade": true, "canDeposit": true, "canWithdraw": true,
        "dualSidePosition": gateway.exchange.is_hedged(), "updateTime": 0,
        "multiAssetsMargin": gateway.multi_assets, "tradeGroupId": -1,
    }))
}

pub(super) fn symbol_config(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let wanted = gateway.symbol_if_any(call.params)?;
    let contracts = gateway.contracts.iter().filter(|contract| wanted.is_none_or(|symbol| symbol == contract.id));
    let rows = contracts.map(|contract| {
        let isolated = gateway.exchange.is_isolated(contract.id);
        json!({"symbol": contract.name, "marginType": if isolated { "ISOLATED" } else { "CROSSED" },
            "isAutoAddMargin": false, "leverage": gateway.exchange.leverage(contract.id),
            "maxNotionalValue": decimal(gateway.largest_notional(contract.id).steps(), 0)})
    });
    Ok(rows.collect())
}

/// An object when a symbol is sent, a list otherwise. The numbers are numbers: the exception to the rule.
pub(super) fn brackets(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    gateway.one_or_all(call.params, |symbol| {
        let contract = gateway.contract(symbol);
        let rows = contract.instrument.brackets.iter().enumerate().map(|(index, bracket)| {
            json!({"bracket": index + 1, "initialLeverage": bracket.max_leverage,
                "notionalCap": number(bracket.cap.steps()), "notionalFloor": number(bracket.floor.steps()),
                "maintMarginRatio": number(bracket.mmr.steps()), "cum": number(bracket.cum.steps())})
        });
        json!({"symbol": contract.name, "brackets": rows.collect::<Vec<JsonText>>()})
    })
}

pub(super) fn commission(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let symbol = gateway.symbol(call.params)?;
    let config = gateway.exchange.config();
    Ok(json!({"symbol": gateway.contract(symbol).name,
        "makerCommissionRate": decimal(config.maker_fee.steps(), 4),
        "takerCommissionRate": decimal(config.taker_fee.steps(), 4), "rpiCommissionRate": "0.00005"}))
}

pub(super) fn set_leverage(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let symbol = gateway.symbol(call.params)?;
    let leverage = call.params.integer("leverage")?.ok_or_else(|| ApiError::missing("leverage"))?;
    let leverage = u32::try_from(leverage).unwrap_or(0);
    gateway.ask(Request::SetLeverage { symbol, leverage })?;
    let name = gateway.contract(symbol).name.clone();
    gateway.tell_config(&json!({"ac": {"s": name, "l": leverage}}));
    let most = decimal(gateway.largest_notional(symbol).steps(), 0);
    Ok(json!({"leverage": leverage, "maxNotionalValue": most, "symbol": name}))
}

pub(super) fn set_margin_type(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let symbol = gateway.symbol(call.params)?;
    let isolated = match call.params.required("marginType")? {
        "ISOLATED" => true,
        "CROSSED" | "CROSS" => false,
        _ => return Err(ApiError::malformed("marginType")),
    };
    if isolated && gateway.multi_assets {
        return Err(ApiError::new(-4168, "Unable to adjust to isolated-margin mode under the Multi-Assets mode."));
    }
    gateway.ask(Request::SetMarginType { symbol, isolated })?;
    gateway.tell_account("MARGIN_TYPE_CHANGE", Some((symbol, PositionSide::Both)), Money::ZERO, None);
    Ok(json!({"code": 200, "msg": "success"}))
}

pub(super) fn position_mode(gateway: &mut Gateway, _: &Call<'_>) -> Answer {
    Ok(json!({"dualSidePosition": gateway.exchange.is_hedged()}))
}

pub(super) fn set_position_mode(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let hedge = call.params.flag("dualSidePosition")?.ok_or_else(|| ApiError::missing("dualSidePosition"))?;
    gateway.ask(Request::SetHedgeMode { hedge })?;
    Ok(json!({"code": 200, "msg": "success"}))
}

pub(super) fn multi_assets(gateway: &mut Gateway, _: &Call<'_>) -> Answer {
    Ok(json!({"multiAssetsMargin": gateway.multi_assets}))
}

/// With one margin asset the mode is a word only.
pub(super) fn set_multi_assets(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    let wanted = call.params.flag("multiAssetsMargin")?.ok_or_else(|| ApiError::missing("multiAssetsMargin"))?;
    if wanted == gateway.multi_assets {
        return Err(ApiError::new(-4171, "No need to change multi-assets mode."));
    }
    if wanted && gateway.contracts.iter().any(|contract| gateway.exchange.is_isolated(contract.id)) {
        return Err(ApiError::new(
            -4167,
            "Unable to adjust to Multi-Assets mode with symbols of USDⓈ-M Futures under isolated-margin mode.",
        ));
    }
    gateway.multi_assets = wanted;
    gateway.tell_config(&json!({"ai": {"j": wanted}}));
    Ok(json!({"code": 200, "msg": "success"}))
}

pub(super) fn fee_burn(gateway: &mut Gateway, _: &Call<'_>) -> Answer {
    Ok(json!({"feeBurn": gateway.fee_burn}))
}

pub(super) fn set_fee_burn(gateway: &mut Gateway, call: &Call<'_>) -> Answer {
    gateway.fee_burn = call.params.flag("feeBurn")?.ok_or_else(|| ApiError::missing("feeBurn"))?;
    Ok(json!({"code": 200, "msg": "success"}))
}

pub(super) fn trading_status(gateway: &mut Gateway, _: &Call<'_>) -> Answer {
    Ok(json!({"indicators": {}, "updateTime": gateway.market_millis()}))
}

/// Isolated margins cannot be withdrawn, nor what positions and losses hold.
fn withdrawable(figures: &AccountFigures) -> Money {
    figures.available.min(figures.cross_wallet).max(Money::ZERO)
}

impl Gateway {
    fn tell_config(&mut self, change: &JsonText) {
        let now = self.market_millis();
        let mut event = json!({"E": now, "T": now});
        event.append(change);
        if self.sockets.has_listeners() {
            self.tell_user("ACCOUNT_CONFIG_UPDATE", &event);
        }
    }

    fn totals(&self, figures: &AccountFigures) -> JsonText {
        json!({
            "totalInitialMargin": amount(figures.initial()), "totalMaintMargin": amount(figures.maintenance),
            "totalWalletBalance": amount(figures.wallet), "totalUnrealizedProfit": amount(figures.unrealized),
            "totalMarginBalance": amount(figures.margin_balance()),
            "totalPositionInitialMargin": amount(figures.position_initial),
            "totalOpenOrderInitialMargin": amount(figures.order_initial),
            "totalCrossWalletBalance": amount(figures.cross_wallet),
            "totalCrossUnPnl": amount(figures.cross_unrealized), "availableBalance": amount(figures.available),
            "maxWithdrawAmount": amount(withdrawable(figures)),
        })
    }

    fn asset(&self, figures: &AccountFigures, is_legacy: bool) -> JsonText {
        let mut asset = json!({
            "asset": self.exchange.config().asset.as_str(), "walletBalance": amount(figures.wallet),
            "unrealizedProfit": amount(figures.unrealized), "marginBalance": amount(figures.margin_balance()),
            "maintMargin": amount(figures.maintenance), "initialMargin": amount(figures.initial()),
            "positionInitialMargin": amount(figures.position_initial),
            "openOrderInitialMargin": amount(figures.order_initial),
            "crossWalletBalance": amount(figures.cross_wallet), "crossUnPnl": amount(figures.cross_unrealized),
            "availableBalance": amount(figures.available), "maxWithdrawAmount": amount(withdrawable(figures)),
            "updateTime": self.ledger.updated.millis(),
        });
        if is_legacy {
            asset.append(&json!({"marginAvailable": true}));
        }
        asset
    }

    fn account_position(&self, symbol: alphaengine_core::market::SymbolId, side: PositionSide) -> JsonText {
        let contract = self.contract(symbol);
        let figures = self.exchange.position_figures(symbol, side);
        let holding = self.ledger.holding(symbol, side);
        let initial = figures.initial_margin.saturating_add(self.order_margin_shown(symbol, side));
        json!({
            "symbol": contract.name, "positionSide": side.name(),
            "positionAmt": contract.digits.qty(figures.position.qty()),
            "unrealizedProfit": amount(figures.unrealized), "isolatedMargin": amount(isolated_margin(&figures)),
            "notional": decimal(figures.notional.steps(), 0), "isolatedWallet": amount(figures.isolated_wallet),
            "initialMargin": amount(initial), "maintMargin": amount(figures.maintenance),
            "updateTime": if holding.updated == Timestamp::default() { 0 } else { holding.updated.millis() },
        })
    }
}

/// The margin of an isolated position with its profit.
pub(super) fn isolated_margin(figures: &crate::exchange::PositionFigures) -> Money {
    if figures.isolated_wallet.is_zero() {
        Money::ZERO
    } else {
        figures.isolated_wallet.saturating_add(figures.unrealized)
    }
}
