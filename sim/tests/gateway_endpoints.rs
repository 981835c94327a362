//! Every endpoint that real clients ask: its status, and the fields that they demand with their types (`binance-clients.md`).

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot run should say so at once")]

mod gateway_support;

use gateway_support::*;
use serde_json::{Value, json};

/// How a row is asked.
#[derive(Clone, Copy, PartialEq)]
enum Ask {
    Open,
    Keyed,
    Signed,
}
use Ask::{Keyed, Open, Signed};

/// Fields as `name:type`, type `s` text of a decimal, `t` text, `i` integer, `b` boolean, `l` list, `n` number, `*` anything.
fn check_fields(value: &Value, fields: &str, place: &str) {
    let decimal = |value: &Value| value.as_str().is_some_and(|text| text.parse::<f64>().is_ok_and(f64::is_finite));
    for field in fields.split_whitespace() {
        let (name, kind) = field.split_once(':').unwrap();
        let found = value.get(name).unwrap_or_else(|| panic!("{place}: no field {name} in {value}"));
        let fits = match kind {
            "s" => decimal(found),
            "t" => found.is_string(),
            "i" => found.is_i64() || found.is_u64(),
            "b" => found.is_boolean(),
            "l" => found.is_array(),
            "n" => found.is_number(),
            "*" => true,
            kind => panic!("unknown kind {kind}"),
        };
        assert!(fits, "{place}: {name} is {found}, not {kind}");
    }
}

const ORDER: &str = "orderId:i symbol:t status:t clientOrderId:t price:s origQty:s executedQty:s cumQty:s timeInForce:t type:t \
     reduceOnly:b closePosition:b side:t positionSide:t stopPrice:s workingType:t priceProtect:b origType:t priceMatch:t \
     selfTradePreventionMode:t goodTillDate:i updateTime:i";
const QUERIED: &str = "avgPrice:s cumQuote:s time:i";
const ALGO: &str = "algoId:i clientAlgoId:t algoType:t orderType:t symbol:t side:t positionSide:t timeInForce:t quantity:s \
     algoStatus:t triggerPrice:s price:s workingType:t closePosition:b priceProtect:b reduceOnly:b createTime:i updateTime:i \
     triggerTime:i goodTillDate:i";
const TOTALS: &str = "totalInitialMargin:s totalMaintMargin:s totalWalletBalance:s totalUnrealizedProfit:s totalMarginBalance:s \
     totalPositionInitialMargin:s totalOpenOrderInitialMargin:s totalCrossWalletBalance:s totalCrossUnPnl:s availableBalance:s \
     maxWithdrawAmount:s assets:l positions:l";
const RISK: &str = "symbol:t positionSide:t positionAmt:s entryPrice:s breakEvenPrice:s markPrice:s unRealizedProfit:s \
     liquidationPrice:s isolatedMargin:s notional:s isolatedWallet:s updateTime:i";

/// A position, a resting order, a watching order, a funding payment, and closed ones.
fn busy() -> Exchange {
    let mut exchange = Exchange::new();
    exchange.ok("POST", "/fapi/v1/order", "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.01&newClientOrderId=m");
    exchange.ok("POST", "/fapi/v1/order", "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.005");
    exchange.ok(
        "POST",
        "/fapi/v1/order",
        "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.01&price=99000&newClientOrderId=l",
    );
    exchange.ok(
        "POST",
        "/fapi/v1/algoOrder",
        "algoType=CONDITIONAL&symbol=BTCUSDT&side=SELL&type=STOP_MARKET&triggerPrice=90000&quantity=0.005&clientAlgoId=c",
    );
    exchange.mark(BTC, "100000.5");
    exchange
}

/// Each row in a fresh, busy exchange: asked, answered with 200, and the answer (or the first element of its list) has the fields.
fn check(rows: &[(&str, &str, Ask, &str, &str)]) {
    for (method, path, ask, params, fields) in rows {
        let mut exchange = busy();
        let place = format!("{method} {path}?{params}");
        let answer = match ask {
            Signed => exchange.ok(method, path, params),
            Open | Keyed => {
                let key = (*ask == Keyed).then_some(KEY);
                let response = exchange.raw(method, path, params, "", key);
                assert_eq!(response.status, 200, "{place}: {}", json(&response));
                assert!(header(&response, "x-mbx-used-weight-1m").is_some(), "{place}");
                assert_eq!(header(&response, "content-type"), Some("application/json"));
                json(&response)
            }
        };
        let is_list = fields.starts_with('[');
        let one = if is_list { answer.get(0).unwrap_or_else(|| panic!("{place}: {answer}")) } else { &answer };
        check_fields(one, fields.trim_start_matches('['), &place);
    }
}

#[test]
fn market_data_have_their_fields() {
    let premium = "symbol:t markPrice:s indexPrice:s estimatedSettlePrice:s lastFundingRate:s interestRate:s \
                   nextFundingTime:i time:i";
    let day = "symbol:t priceChange:s priceChangePercent:s weightedAvgPrice:s lastPrice:s lastQty:s openPrice:s highPrice:s \
               lowPrice:s volume:s quoteVolume:s openTime:i closeTime:i firstId:i lastId:i count:i";
    let book = "symbol:t bidPrice:s bidQty:s askPrice:s askQty:s time:i lastUpdateId:i";
    let list = |fields: &str| format!("[{fields}");
    check(&[
        ("GET", "/fapi/v1/ping", Open, "", ""),
        ("GET", "/fapi/v1/time", Open, "", "serverTime:i"),
        (
            "GET",
            "/fapi/v1/exchangeInfo",
            Open,
            "",
            "timezone:t serverTime:i rateLimits:l exchangeFilters:l assets:l symbols:l",
        ),
        ("GET", "/fapi/v1/depth", Open, "symbol=BTCUSDT&limit=1000", "lastUpdateId:i E:i T:i bids:l asks:l"),
        ("GET", "/fapi/v1/trades", Open, "symbol=BTCUSDT", "[id:i price:s qty:s quoteQty:s time:i isBuyerMaker:b"),
        ("GET", "/fapi/v1/historicalTrades", Keyed, "symbol=BTCUSDT&limit=1", "[id:i price:s qty:s time:i"),
        ("GET", "/fapi/v1/aggTrades", Open, "symbol=BTCUSDT&fromId=3", "[a:i p:s q:s f:i l:i T:i m:b"),
        ("GET", "/fapi/v1/premiumIndex", Open, "symbol=BTCUSDT", premium),
        ("GET", "/fapi/v1/premiumIndex", Open, "", &list(premium)),
        ("GET", "/fapi/v1/fundingRate", Open, "", "[symbol:t fundingRate:s fundingTime:i markPrice:s"),
        (
            "GET",
            "/fapi/v1/fundingInfo",
            Open,
            "",
            "[symbol:t adjustedFundingRateCap:s adjustedFundingRateFloor:s fundingIntervalHours:i",
        ),
        ("GET", "/fapi/v1/ticker/24hr", Open, "symbol=BTCUSDT", day),
        ("GET", "/fapi/v1/ticker/24hr", Open, "", &list(day)),
        ("GET", "/fapi/v1/ticker/price", Open, "symbol=BTCUSDT", "symbol:t price:s time:i"),
        ("GET", "/fapi/v2/ticker/price", Open, "", "[symbol:t price:s time:i"),
        ("GET", "/fapi/v1/ticker/bookTicker", Open, "symbol=ETHUSDT", book),
        ("GET", "/fapi/v1/ticker/bookTicker", Open, "", &list(book)),
        ("GET", "/fapi/v1/openInterest", Open, "symbol=BTCUSDT", "openInterest:s symbol:t time:i"),
        ("GET", "/futures/data/openInterestHist", Open, "symbol=BTCUSDT&period=5m", ""),
        ("GET", "/api/v3/exchangeInfo", Open, "", "symbols:l"),
        ("GET", "/dapi/v1/exchangeInfo", Open, "", "symbols:l"),
        ("GET", "/api/v3/ping", Open, "", ""),
        ("GET", "/api/v3/time", Open, "", "serverTime:i"),
    ]);
}

#[test]
fn the_account_has_its_fields() {
    let balance = "[accountAlias:t asset:t balance:s crossWalletBalance:s crossUnPnl:s availableBalance:s \
                   maxWithdrawAmount:s marginAvailable:b updateTime:i";
    let legacy_risk = format!("[{RISK} leverage:s marginType:t isAutoAddMargin:t maxNotionalValue:s");
    let risk = format!(
        "[{RISK} marginAsset:t initialMargin:s maintMargin:s positionInitialMargin:s openOrderInitialMargin:s adl:i \
         bidNotional:s askNotional:s"
    );
    let legacy = format!("{TOTALS} feeTier:i canTrade:b canDeposit:b canWithdraw:b updateTime:i multiAssetsMargin:b");
    check(&[
        ("GET", "/fapi/v2/account", Signed, "", &legacy),
        ("GET", "/fapi/v3/account", Signed, "", TOTALS),
        ("GET", "/fapi/v2/balance", Signed, "", balance),
        ("GET", "/fapi/v3/balance", Signed, "", balance),
        ("GET", "/fapi/v2/positionRisk", Signed, "", &legacy_risk),
        ("GET", "/fapi/v3/positionRisk", Signed, "", &risk),
        ("GET", "/fapi/v1/leverageBracket", Signed, "", "[symbol:t brackets:l"),
        ("GET", "/fapi/v1/leverageBracket", Signed, "symbol=BTCUSDT", "symbol:t brackets:l"),
        (
            "GET",
            "/fapi/v1/symbolConfig",
            Signed,
            "",
            "[symbol:t marginType:t isAutoAddMargin:b leverage:i maxNotionalValue:s",
        ),
        ("GET", "/fapi/v1/accountConfig", Signed, "", "feeTier:i canTrade:b dualSidePosition:b multiAssetsMargin:b"),
        ("GET", "/fapi/v1/positionSide/dual", Signed, "", "dualSidePosition:b"),
        ("GET", "/fapi/v1/multiAssetsMargin", Signed, "", "multiAssetsMargin:b"),
        ("POST", "/fapi/v1/multiAssetsMargin", Signed, "multiAssetsMargin=True", "code:i msg:t"),
        (
            "GET",
            "/fapi/v1/commissionRate",
            Signed,
            "symbol=BTCUSDT",
            "symbol:t makerCommissionRate:s takerCommissionRate:s",
        ),
        ("POST", "/fapi/v1/leverage", Signed, "symbol=BTCUSDT&leverage=10", "leverage:i maxNotionalValue:s symbol:t"),
        ("POST", "/fapi/v1/marginType", Signed, "symbol=ETHUSDT&marginType=ISOLATED", "code:i msg:t"),
        ("GET", "/fapi/v1/adlQuantile", Signed, "", "[symbol:t adlQuantile:*"),
        ("GET", "/fapi/v1/feeBurn", Signed, "", "feeBurn:b"),
        ("POST", "/fapi/v1/feeBurn", Signed, "feeBurn=false", "code:i"),
        ("GET", "/fapi/v1/rateLimit/order", Signed, "", "[rateLimitType:t interval:t intervalNum:i limit:i"),
        (
            "GET",
            "/fapi/v1/income",
            Signed,
            "",
            "[symbol:t incomeType:t income:s asset:t info:t time:i tranId:i tradeId:t",
        ),
        ("POST", "/fapi/v1/listenKey", Keyed, "", "listenKey:t"),
        ("DELETE", "/fapi/v1/listenKey", Keyed, "", ""),
        ("GET", "/sapi/v1/capital/config/getall", Signed, "", "[coin:t networkList:l"),
        ("GET", "/sapi/v1/account/apiRestrictions", Signed, "", "enableFutures:b"),
    ]);
}

#[test]
fn orders_have_their_fields() {
    let queried = format!("{ORDER} {QUERIED}");
    let listed = format!("[{queried}");
    let trade = "[symbol:t id:i orderId:i side:t price:s qty:s quoteQty:s realizedPnl:s commission:s commissionAsset:t \
                 time:i positionSide:t buyer:b maker:b";
    let limit = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.01&price=98000&positionSide=BOTH&reduceOnly=False";
    let result = format!("{limit}&newOrderRespType=RESULT");
    let result_fields = format!("{ORDER} avgPrice:s cumQuote:s");
    let algo = "algoType=CONDITIONAL&symbol=BTCUSDT&side=SELL&type=TRAILING_STOP_MARKET&quantity=0.005&callbackRate=1&activatePrice=101000";
    let algo_queried = format!("{ALGO} actualOrderId:t actualPrice:s");
    let algo_listed = format!("[{algo_queried}");
    check(&[
        ("POST", "/fapi/v1/order", Signed, limit, ORDER),
        ("POST", "/fapi/v1/order", Signed, &result, &result_fields),
        ("POST", "/fapi/v1/order/test", Signed, limit, ""),
        ("GET", "/fapi/v1/order", Signed, "symbol=BTCUSDT&origClientOrderId=m", &queried),
        ("GET", "/fapi/v1/openOrder", Signed, "symbol=BTCUSDT&origClientOrderId=l", &queried),
        (
            "PUT",
            "/fapi/v1/order",
            Signed,
            "symbol=BTCUSDT&side=BUY&origClientOrderId=l&quantity=0.01&price=98000",
            ORDER,
        ),
        ("DELETE", "/fapi/v1/order", Signed, "symbol=BTCUSDT&origClientOrderId=l", ORDER),
        ("GET", "/fapi/v1/openOrders", Signed, "", &listed),
        ("GET", "/fapi/v1/allOrders", Signed, "symbol=BTCUSDT", &listed),
        ("DELETE", "/fapi/v1/allOpenOrders", Signed, "symbol=BTCUSDT", "code:i msg:t"),
        ("GET", "/fapi/v1/userTrades", Signed, "symbol=BTCUSDT&fromId=1", trade),
        ("GET", "/fapi/v1/forceOrders", Signed, "", ""),
        ("GET", "/fapi/v1/orderAmendment", Signed, "symbol=BTCUSDT", ""),
        ("POST", "/fapi/v1/countdownCancelAll", Signed, "symbol=BTCUSDT&countdownTime=0", "symbol:t countdownTime:s"),
        ("POST", "/fapi/v1/algoOrder", Signed, algo, ALGO),
        ("GET", "/fapi/v1/algoOrder", Signed, "clientAlgoId=c", &algo_queried),
        ("GET", "/fapi/v1/openAlgoOrders", Signed, "", &algo_listed),
        ("GET", "/fapi/v1/allAlgoOrders", Signed, "symbol=BTCUSDT", &algo_listed),
        ("DELETE", "/fapi/v1/algoOrder", Signed, "clientAlgoId=c", "algoId:i clientAlgoId:t code:t msg:t"),
        ("DELETE", "/fapi/v1/algoOpenOrders", Signed, "symbol=BTCUSDT", "code:i msg:t"),
    ]);
}

#[test]
fn every_symbol_is_listed_with_its_rules() {
    let mut exchange = Exchange::new();
    let info = exchange.get("/fapi/v1/exchangeInfo", "");
    let symbol = &info["symbols"][0];
    check_fields(
        symbol,
        "symbol:t pair:t contractType:t deliveryDate:i onboardDate:i status:t maintMarginPercent:s requiredMarginPercent:s \
         baseAsset:t quoteAsset:t marginAsset:t pricePrecision:i quantityPrecision:i baseAssetPrecision:i quotePrecision:i \
         underlyingType:t underlyingSubType:l settlePlan:i triggerProtect:s liquidationFee:s marketTakeBound:s filters:l \
         orderTypes:l timeInForce:l",
        "exchangeInfo",
    );
    assert_eq!((&symbol["deliveryDate"], &symbol["pricePrecision"]), (&json!(4_133_404_800_000_i64), &json!(2)));
    check_fields(&info["assets"][0], "asset:t marginAvailable:b autoAssetExchange:t", "assets");
    let known = ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"];
    assert!(symbol["orderTypes"].as_array().unwrap().iter().all(|kind| known.contains(&kind.as_str().unwrap())));
    for filter in symbol["filters"].as_array().unwrap() {
        let kind = filter["filterType"].as_str().unwrap();
        let fields = match kind {
            "PRICE_FILTER" => "minPrice:s maxPrice:s tickSize:s",
            "LOT_SIZE" | "MARKET_LOT_SIZE" => "minQty:s maxQty:s stepSize:s",
            "MAX_NUM_ORDERS" | "MAX_NUM_ALGO_ORDERS" => "limit:i",
            "MIN_NOTIONAL" => "notional:s",
            "PERCENT_PRICE" => "multiplierUp:s multiplierDown:s multiplierDecimal:s",
            "POSITION_RISK_CONTROL" => "positionControlSide:t",
            kind => panic!("{kind} makes strict clients refuse the whole answer"),
        };
        check_fields(filter, fields, kind);
    }
    // What is listed reads back as the rules under which we trade.
    let catalog = alphaengine_core::instrument::Catalog::from_exchange_info(&info.to_string()).unwrap();
    let (read, ours) = (catalog.get(&"BTCUSDT".parse().unwrap()).unwrap(), instruments());
    let ours = ours.get(BTC);
    assert_eq!((read.price, read.lot, read.market_lot), (ours.price, ours.lot, ours.market_lot));
    assert_eq!(
        (read.min_notional, read.percent_up, read.max_orders),
        (ours.min_notional, ours.percent_up, ours.max_orders)
    );
    let brackets = exchange.ok("GET", "/fapi/v1/leverageBracket", "symbol=BTCUSDT");
    check_fields(
        &brackets["brackets"][2],
        "bracket:i initialLeverage:i notionalCap:n notionalFloor:n maintMarginRatio:n cum:n",
        "brackets",
    );
    let mut catalog = catalog;
    catalog.read_brackets(&brackets.to_string()).unwrap();
    assert_eq!(catalog.get(&"BTCUSDT".parse().unwrap()).unwrap().brackets, ours.brackets);
}

#[test]
fn candles_have_twelve_columns_and_the_newest_runs() {
    let mut exchange = Exchange::new();
    let rows = exchange.get("/fapi/v1/klines", "symbol=BTCUSDT&interval=1m");
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 11);
    let newest = rows.last().unwrap().as_array().unwrap();
    assert_eq!((newest.len(), newest[0].as_i64(), newest[6].as_i64()), (12, Some(START), Some(START + 59_999)));
    for (column, value) in newest.iter().enumerate() {
        assert_eq!(value.is_i64(), [0, 6, 8].contains(&column), "column {column}: {value}");
    }
    assert_eq!(newest[11], json!("0"));
    let ask = |exchange: &mut Exchange, query: &str| {
        let rows = exchange.get("/fapi/v1/klines", &format!("symbol=BTCUSDT&{query}"));
        rows.as_array().unwrap().iter().map(|row| (row[0].as_i64().unwrap() - START) / 60_000).collect::<Vec<i64>>()
    };
    assert_eq!(ask(&mut exchange, "interval=1m&startTime=0&limit=1"), [-10]);
    assert_eq!(ask(&mut exchange, &format!("interval=1m&startTime={}&limit=2", START - 120_000)), [-2, -1]);
    assert_eq!(ask(&mut exchange, "interval=5m&limit=2"), [-5, 0]);
    assert!(ask(&mut exchange, &format!("interval=1m&startTime={}", START + 600_000)).is_empty());
    let refused = exchange.raw("GET", "/fapi/v1/klines", "symbol=BTCUSDT&interval=1s", "", None);
    assert_eq!(json(&refused), json!({"code": -1120, "msg": "Invalid interval."}));
    for path in [
        "continuousKlines?pair=BTCUSDT&contractType=PERPETUAL",
        "indexPriceKlines?pair=BTCUSDT",
        "markPriceKlines?symbol=BTCUSDT",
        "premiumIndexKlines?symbol=BTCUSDT",
    ] {
        let (path, query) = path.split_once('?').unwrap();
        let rows = exchange.get(&format!("/fapi/v1/{path}"), &format!("{query}&interval=1m&limit=3"));
        assert_eq!((rows.as_array().unwrap().len(), rows[0].as_array().unwrap().len()), (3, 12), "{path}");
    }
}

#[test]
fn trades_are_numbered_without_gaps() {
    let mut exchange = Exchange::new();
    let rows = exchange.get("/fapi/v1/aggTrades", "symbol=BTCUSDT&fromId=4&limit=5");
    let ids: Vec<i64> = rows.as_array().unwrap().iter().map(|row| row["a"].as_i64().unwrap()).collect();
    assert_eq!(ids, [4, 5, 6, 7, 8]);
}

#[test]
fn before_the_first_price_everything_is_answered() {
    let mut exchange = Exchange::fresh(gateway_config(), sim_config());
    assert_eq!(exchange.get("/fapi/v1/time", ""), json!({"serverTime": START}));
    assert_eq!(exchange.get("/fapi/v1/klines", "symbol=BTCUSDT&interval=1m"), json!([]));
    assert_eq!(exchange.get("/fapi/v1/trades", "symbol=BTCUSDT"), json!([]));
    assert_eq!(exchange.get("/fapi/v1/depth", "symbol=BTCUSDT")["bids"], json!([]));
    for path in ["ticker/24hr", "ticker/bookTicker", "premiumIndex", "ticker/price"] {
        exchange.get(&format!("/fapi/v1/{path}"), "symbol=BTCUSDT");
    }
    assert_eq!(exchange.ok("GET", "/fapi/v3/balance", "")[0]["balance"], json!("10000.00000000"));
    let income = exchange.ok("GET", "/fapi/v1/income", "");
    assert_eq!((&income[0]["incomeType"], &income[0]["time"]), (&json!("TRANSFER"), &json!(START - 1)));
    assert_eq!(exchange.ok("GET", "/fapi/v3/positionRisk", ""), json!([]));
    let market = "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.01";
    assert_eq!(exchange.code("POST", "/fapi/v1/order", market), -1112);
    let limit = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.01&price=99000";
    exchange.ok("POST", "/fapi/v1/order", limit);
    assert_eq!(exchange.ok("GET", "/fapi/v1/openOrders", "").as_array().unwrap().len(), 1);
}
