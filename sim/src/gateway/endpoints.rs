//! Every endpoint with its security and weight (`binance-usdm.md` section 3).

use super::error::ApiError;
use super::json::JsonText;
use super::request::Params;
use super::{Call, Gateway};
use super::{
    account, algo, exchange_info, listen_key, market_data, order_reports, orders, other_apis, positions, tickers,
};

/// What a request must prove.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Security {
    None,
    /// The key in the header.
    Key,
    /// The key, a timestamp and a signature.
    Signed,
}

/// What a request weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    Flat(u32),
    /// With a symbol, and without one.
    Symbol(u32, u32),
    /// By the number of levels.
    Depth,
    /// By the number of candles.
    Candles,
    /// From the bucket of the funding endpoints.
    Funding,
}

impl Weight {
    pub fn of(self, params: &Params) -> u32 {
        let limit = || params.text("limit").and_then(|limit| limit.parse::<u32>().ok()).unwrap_or(500);
        match self {
            Weight::Flat(weight) => weight,
            Weight::Symbol(one, all) => {
                if params.text("symbol").is_some() {
                    one
                } else {
                    all
                }
            }
            Weight::Depth => match limit() {
                0..=50 => 2,
                51..=100 => 5,
                101..=500 => 10,
                _ => 20,
            },
            Weight::Candles => match limit() {
                0..100 => 1,
                100..500 => 2,
                500..=1_000 => 5,
                _ => 10,
            },
            Weight::Funding => 0,
        }
    }
}

type Handler = fn(&mut Gateway, &Call<'_>) -> Result<JsonText, ApiError>;

/// One method of one path.
pub(super) struct Endpoint {
    pub method: &'static str,
    pub path: &'static str,
    pub security: Security,
    pub weight: Weight,
    /// Slots of the order counter of ten seconds.
    pub orders: u32,
    pub call: Handler,
}

const fn open(path: &'static str, weight: Weight, call: Handler) -> Endpoint {
    Endpoint { method: "GET", path, security: Security::None, weight, orders: 0, call }
}

const fn keyed(method: &'static str, path: &'static str, weight: Weight, call: Handler) -> Endpoint {
    Endpoint { method, path, security: Security::Key, weight, orders: 0, call }
}

const fn signed(method: &'static str, path: &'static str, weight: Weight, call: Handler) -> Endpoint {
    Endpoint { method, path, security: Security::Signed, weight, orders: 0, call }
}

const fn ordering(method: &'static str, path: &'static str, weight: u32, orders: u32, call: Handler) -> Endpoint {
    Endpoint { method, path, security: Security::Signed, weight: Weight::Flat(weight), orders, call }
}

use Weight::{Candles, Depth, Flat, Funding, Symbol};

static ENDPOINTS: &[Endpoint] = &[
    // Market data.
    open("/fapi/v1/ping", Flat(1), market_data::ping),
    open("/fapi/v1/time", Flat(1), market_data::time),
    open("/fapi/v1/exchangeInfo", Flat(1), exchange_info::show),
    open("/fapi/v1/depth", Depth, market_data::depth),
    open("/fapi/v1/rpiDepth", Flat(20), market_data::depth),
    open("/fapi/v1/trades", Flat(5), market_data::trades),
    keyed("GET", "/fapi/v1/historicalTrades", Flat(20), market_data::trades),
    open("/fapi/v1/aggTrades", Flat(20), market_data::aggregated_trades),
    open("/fapi/v1/klines", Candles, market_data::klines),
    open("/fapi/v1/continuousKlines", Candles, market_data::continuous_klines),
    open("/fapi/v1/indexPriceKlines", Candles, market_data::index_klines),
    open("/fapi/v1/markPriceKlines", Candles, market_data::mark_klines),
    open("/fapi/v1/premiumIndexKlines", Candles, market_data::premium_klines),
    open("/fapi/v1/premiumIndex", Symbol(1, 10), market_data::premium_index),
    open("/fapi/v1/fundingRate", Funding, market_data::funding_rates),
    open("/fapi/v1/fundingInfo", Funding, market_data::funding_info),
    open("/fapi/v1/ticker/24hr", Symbol(1, 40), tickers::day),
    open("/fapi/v1/ticker/price", Symbol(1, 2), tickers::price),
    open("/fapi/v2/ticker/price", Symbol(1, 2), tickers::price),
    open("/fapi/v1/ticker/bookTicker", Symbol(2, 5), tickers::book),
    open("/fapi/v1/openInterest", Flat(1), market_data::open_interest),
    open("/fapi/v1/indexInfo", Flat(1), market_data::nothing),
    open("/fapi/v1/assetIndex", Flat(10), market_data::nothing),
    open("/fapi/v1/constituents", Flat(2), market_data::nothing),
    open("/fapi/v1/insuranceBalance", Flat(1), market_data::nothing),
    open("/fapi/v1/symbolAdlRisk", Flat(1), market_data::nothing),
    open("/fapi/v1/tradingSchedule", Flat(5), market_data::nothing),
    open("/futures/data/openInterestHist", Flat(0), market_data::nothing),
    open("/futures/data/topLongShortAccountRatio", Flat(0), market_data::nothing),
    open("/futures/data/topLongShortPositionRatio", Flat(0), market_data::nothing),
    open("/futures/data/globalLongShortAccountRatio", Flat(0), market_data::nothing),
    open("/futures/data/takerlongshortRatio", Flat(0), market_data::nothing),
    open("/futures/data/basis", Flat(0), market_data::nothing),
    open("/futures/data/delivery-price", Flat(0), market_data::nothing),
    // Orders.
    ordering("POST", "/fapi/v1/order", 0, 1, orders::place),
    ordering("PUT", "/fapi/v1/order", 0, 1, orders::amend),
    ordering("POST", "/fapi/v1/order/test", 0, 1, orders::test),
    ordering("POST", "/fapi/v1/batchOrders", 5, 5, orders::place_batch),
    ordering("PUT", "/fapi/v1/batchOrders", 5, 5, orders::amend_batch),
    signed("DELETE", "/fapi/v1/order", Flat(1), orders::cancel),
    signed("DELETE", "/fapi/v1/batchOrders", Flat(1), orders::cancel_batch),
    signed("DELETE", "/fapi/v1/allOpenOrders", Flat(1), orders::cancel_all),
    signed("POST", "/fapi/v1/countdownCancelAll", Flat(10), orders::countdown),
    signed("GET", "/fapi/v1/order", Flat(1), order_reports::order),
    signed("GET", "/fapi/v1/openOrder", Flat(1), order_reports::open_order),
    signed("GET", "/fapi/v1/openOrders", Symbol(1, 40), order_reports::open_orders),
    signed("GET", "/fapi/v1/allOrders", Flat(5), order_reports::all_orders),
    signed("GET", "/fapi/v1/userTrades", Flat(5), order_reports::own_trades),
    signed("GET", "/fapi/v1/income", Flat(30), order_reports::income),
    signed("GET", "/fapi/v1/forceOrders", Symbol(20, 50), order_reports::force_orders),
    signed("GET", "/fapi/v1/orderAmendment", Flat(1), order_reports::amendments),
    signed("GET", "/fapi/v1/rateLimit/order", Flat(1), order_reports::order_limits),
    // Conditional orders.
    ordering("POST", "/fapi/v1/algoOrder", 0, 1, algo::place),
    signed("GET", "/fapi/v1/algoOrder", Flat(1), algo::query),
    signed("DELETE", "/fapi/v1/algoOrder", Flat(1), algo::cancel),
    signed("GET", "/fapi/v1/openAlgoOrders", Symbol(1, 40), algo::open),
    signed("GET", "/fapi/v1/allAlgoOrders", Flat(5), algo::all),
    signed("DELETE", "/fapi/v1/algoOpenOrders", Flat(1), algo::cancel_all),
    // The account.
    signed("GET", "/fapi/v1/account", Flat(5), account::legacy_account),
    signed("GET", "/fapi/v2/account", Flat(5), account::legacy_account),
    signed("GET", "/fapi/v3/account", Flat(5), account::account),
    signed("GET", "/fapi/v2/balance", Flat(5), account::balance),
    signed("GET", "/fapi/v3/balance", Flat(5), account::balance),
    signed("GET", "/fapi/v1/positionRisk", Flat(5), positions::legacy_risk),
    signed("GET", "/fapi/v2/positionRisk", Flat(5), positions::legacy_risk),
    signed("GET", "/fapi/v3/positionRisk", Flat(5), positions::risk),
    signed("GET", "/fapi/v1/accountConfig", Flat(5), account::account_config),
    signed("GET", "/fapi/v1/symbolConfig", Flat(5), account::symbol_config),
    signed("GET", "/fapi/v1/leverageBracket", Flat(1), account::brackets),
    signed("GET", "/fapi/v1/commissionRate", Flat(20), account::commission),
    signed("POST", "/fapi/v1/leverage", Flat(1), account::set_leverage),
    signed("POST", "/fapi/v1/marginType", Flat(1), account::set_margin_type),
    signed("GET", "/fapi/v1/positionSide/dual", Flat(30), account::position_mode),
    signed("POST", "/fapi/v1/positionSide/dual", Flat(1), account::set_position_mode),
    signed("GET", "/fapi/v1/multiAssetsMargin", Flat(30), account::multi_assets),
    signed("POST", "/fapi/v1/multiAssetsMargin", Flat(1), account::set_multi_assets),
    signed("POST", "/fapi/v1/positionMargin", Flat(1), positions::move_margin),
    signed("GET", "/fapi/v1/positionMargin/history", Flat(1), market_data::nothing),
    signed("GET", "/fapi/v1/adlQuantile", Flat(5), positions::adl_quantiles),
    signed("GET", "/fapi/v1/feeBurn", Flat(30), account::fee_burn),
    signed("POST", "/fapi/v1/feeBurn", Flat(1), account::set_fee_burn),
    signed("GET", "/fapi/v1/apiTradingStatus", Flat(1), account::trading_status),
    keyed("POST", "/fapi/v1/listenKey", Flat(1), listen_key::create),
    keyed("PUT", "/fapi/v1/listenKey", Flat(1), listen_key::keep),
    keyed("DELETE", "/fapi/v1/listenKey", Flat(1), listen_key::delete),
    // The other Binances, as far as clients ask them at the start.
    open("/api/v3/ping", Flat(1), market_data::ping),
    open("/api/v3/time", Flat(1), market_data::time),
    open("/api/v3/exchangeInfo", Flat(1), other_apis::empty_exchange_info),
    signed("GET", "/api/v3/account", Flat(5), other_apis::spot_account),
    open("/dapi/v1/ping", Flat(1), market_data::ping),
    open("/dapi/v1/time", Flat(1), market_data::time),
    open("/dapi/v1/exchangeInfo", Flat(1), other_apis::empty_exchange_info),
    open("/eapi/v1/exchangeInfo", Flat(1), other_apis::empty_exchange_info),
    open("/sapi/v1/system/status", Flat(1), other_apis::status),
    signed("GET", "/sapi/v1/capital/config/getall", Flat(1), other_apis::coins),
    signed("GET", "/sapi/v1/account/apiRestrictions", Flat(1), other_apis::restrictions),
    signed("GET", "/sapi/v1/margin/allPairs", Flat(1), market_data::nothing),
    signed("GET", "/sapi/v1/margin/isolated/allPairs", Flat(1), market_data::nothing),
];

/// The endpoint of a method and path. The query is not part of the path; one slash at its end is.
pub(super) fn find(method: &str, path: &str) -> Result<&'static Endpoint, ApiError> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let found = ENDPOINTS.iter().find(|endpoint| endpoint.path == path && endpoint.method.eq_ignore_ascii_case(method));
    found.ok_or_else(|| {
        let message = format!("Path {path}, Method {method} is invalid");
        ApiError { status: 404, ..ApiError::new(-5000, message) }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_endpoint_stands_once() {
        for (index, endpoint) in ENDPOINTS.iter().enumerate() {
            let twin =
                ENDPOINTS[..index].iter().find(|other| (other.method, other.path) == (endpoint.method, endpoint.path));
            assert!(twin.is_none(), "{} {}", endpoint.method, endpoint.path);
        }
        assert_eq!(find("GET", "/fapi/v1/nothing").map(|_| ()).unwrap_err().status, 404);
        assert!(find("get", "/fapi/v1/time/").is_ok());
    }

    #[test]
    fn weights_are_those_of_the_documents() {
        let weight = |path: &str, query: &str| find("GET", path).unwrap().weight.of(&Params::of_request(query, b""));
        assert_eq!(weight("/fapi/v1/klines", ""), 5);
        assert_eq!(weight("/fapi/v1/klines", "limit=99"), 1);
        assert_eq!(weight("/fapi/v1/klines", "limit=1500"), 10);
        assert_eq!(weight("/fapi/v1/depth", "limit=1000"), 20);
        assert_eq!(weight("/fapi/v1/openOrders", ""), 40);
        assert_eq!(weight("/fapi/v1/openOrders", "symbol=BTCUSDT"), 1);
    }
}
