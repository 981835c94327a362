//! `exchangeInfo`: the contracts and their rules, made from the instruments or given (`binance-usdm.md` section 3.2).

use alphaengine_core::units::SCALE;
use serde_json::{Value, json};

use super::encode::decimal;
use super::error::ApiError;
use super::json::JsonText;
use super::{Call, Contract, Gateway};

/// When the first contracts were listed, for those of which nothing is known.
const ONBOARD: i64 = 1_569_398_400_000;
/// The delivery of a contract that is never delivered.
const NEVER: i64 = 4_133_404_800_000;

pub(super) fn show(gateway: &mut Gateway, _: &Call<'_>) -> Result<JsonText, ApiError> {
    let now = gateway.server_time().millis();
    if let Some(mut given) = gateway.config.exchange_info.clone()
        && let Some(fields) = given.as_object_mut()
    {
        fields.insert("serverTime".into(), now.into());
        fields.insert("rateLimits".into(), gateway.limits.listed());
        fields.entry("timezone").or_insert("UTC".into());
        fields.entry("exchangeFilters").or_insert(json!([]));
        fields.entry("assets").or_insert(gateway.assets());
        return Ok(given.into());
    }
    let symbols: Vec<Value> = gateway.contracts.iter().map(symbol_info).collect();
    let info = json!({
        "timezone": "UTC", "serverTime": now, "futuresType": "U_MARGINED", "rateLimits": gateway.limits.listed(),
        "exchangeFilters": [], "assets": gateway.assets(), "symbols": symbols,
    });
    Ok(info.into())
}

impl Gateway {
    fn assets(&self) -> Value {
        json!([{"asset": self.exchange.config().asset.as_str(), "marginAvailable": true,
            "autoAssetExchange": "-10000"}])
    }
}

fn symbol_info(contract: &Contract) -> Value {
    let instrument = &contract.instrument;
    let digits = contract.digits;
    let quote = &instrument.margin_asset;
    let tick = |price: alphaengine_core::units::Price| decimal(price.steps(), digits.price);
    let percent = |rate: alphaengine_core::units::Rate| decimal(rate.steps(), 4);
    let lot = |kind: &str, lot: &alphaengine_core::instrument::LotFilter| {
        json!({"filterType": kind, "minQty": digits.qty(lot.min), "maxQty": decimal(lot.max.steps(), 0),
            "stepSize": digits.qty(lot.step)})
    };
    let maintenance = instrument.brackets.first().map_or(0, |bracket| bracket.mmr.steps().saturating_mul(100));
    let required = 100 * SCALE / i64::from(instrument.max_leverage().max(1));
    json!({
        "symbol": contract.name, "pair": contract.name, "contractType": "PERPETUAL", "deliveryDate": NEVER,
        "onboardDate": ONBOARD, "status": instrument.status, "maintMarginPercent": decimal(maintenance, 4),
        "requiredMarginPercent": decimal(required / 10_000 * 10_000, 4), "baseAsset": instrument.base_asset,
        "quoteAsset": quote, "marginAsset": quote, "pricePrecision": digits.price, "quantityPrecision": digits.qty,
        "baseAssetPrecision": 8, "quotePrecision": 8, "underlyingType": "COIN", "underlyingSubType": ["PoW"],
        "settlePlan": 0, "triggerProtect": percent(instrument.trigger_protect),
        "liquidationFee": decimal(instrument.liquidation_fee.steps(), 6),
        "marketTakeBound": decimal(instrument.market_take_bound.steps(), 2), "maxMoveOrderLimit": 10_000,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick(instrument.price.min),
                "maxPrice": decimal(instrument.price.max.steps(), 0), "tickSize": tick(instrument.price.tick)},
            lot("LOT_SIZE", &instrument.lot),
            lot("MARKET_LOT_SIZE", &instrument.market_lot),
            {"filterType": "MAX_NUM_ORDERS", "limit": instrument.max_orders},
            {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": 200},
            {"filterType": "MIN_NOTIONAL", "notional": decimal(instrument.min_notional.steps(), 0)},
            {"filterType": "PERCENT_PRICE", "multiplierUp": percent(instrument.percent_up),
                "multiplierDown": percent(instrument.percent_down), "multiplierDecimal": "4"},
            {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE"},
        ],
        "orderTypes": ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET",
            "TRAILING_STOP_MARKET"],
        "timeInForce": ["GTC", "IOC", "FOK", "GTX", "GTD"],
        "permissionSets": ["GRID", "COPY"],
    })
}
