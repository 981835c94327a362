//! Whatever comes in, the gateway answers and goes on.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot run should say so at once")]

mod gateway_support;

use alphaengine_sim::gateway::Request;
use gateway_support::*;
use proptest::prelude::*;

const PATHS: [&str; 24] = [
    "/fapi/v1/order",
    "/fapi/v1/algoOrder",
    "/fapi/v1/batchOrders",
    "/fapi/v1/klines",
    "/fapi/v1/depth",
    "/fapi/v1/aggTrades",
    "/fapi/v1/userTrades",
    "/fapi/v1/income",
    "/fapi/v1/allOrders",
    "/fapi/v1/openOrders",
    "/fapi/v1/leverage",
    "/fapi/v1/marginType",
    "/fapi/v1/positionMargin",
    "/fapi/v1/countdownCancelAll",
    "/fapi/v3/account",
    "/fapi/v2/positionRisk",
    "/fapi/v1/fundingRate",
    "/fapi/v1/positionSide/dual",
    "/fapi/v1/premiumIndexKlines",
    "/fapi/v1/allAlgoOrders",
    "/fapi/v1/ticker/24hr",
    "/fapi/v1/openAlgoOrders",
    "/fapi/v1/listenKey",
    "/fapi/v1/order/test",
];
const NAMES: [&str; 26] = [
    "symbol",
    "side",
    "type",
    "quantity",
    "price",
    "timeInForce",
    "orderId",
    "origClientOrderId",
    "newClientOrderId",
    "limit",
    "startTime",
    "endTime",
    "fromId",
    "interval",
    "leverage",
    "amount",
    "positionSide",
    "reduceOnly",
    "triggerPrice",
    "callbackRate",
    "closePosition",
    "algoType",
    "goodTillDate",
    "batchOrders",
    "orderIdList",
    "page",
];
const VALUES: [&str; 34] = [
    "BTCUSDT",
    "ETHUSDT",
    "BUY",
    "SELL",
    "LIMIT",
    "MARKET",
    "STOP",
    "STOP_MARKET",
    "TRAILING_STOP_MARKET",
    "GTC",
    "GTX",
    "GTD",
    "IOC",
    "0",
    "1",
    "-1",
    "0.01",
    "99000",
    "100000",
    "101000.5",
    "92233720368",
    "9223372036854775807",
    "-9223372036854775808",
    "1e5",
    "1m",
    "1M",
    "LONG",
    "true",
    "CONDITIONAL",
    "[]",
    "[1,\"x\",{}]",
    "[{\"symbol\":\"BTCUSDT\",\"side\":\"BUY\",\"type\":\"MARKET\",\"quantity\":0.01}]",
    "%zz",
    "1795608700000",
];

fn parameters() -> impl Strategy<Value = String> {
    let value = prop_oneof![8 => prop::sample::select(&VALUES[..]).prop_map(str::to_owned), 1 => "[ -~]{0,12}"];
    let pair = (prop::sample::select(&NAMES[..]), value);
    prop::collection::vec(pair, 0..12).prop_map(|pairs| {
        let encode = |value: &str| value.replace('%', "%25").replace('&', "%26").replace('#', "%23");
        pairs.iter().map(|(name, value)| format!("{name}={}", encode(value))).collect::<Vec<_>>().join("&")
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn any_parameters_are_answered(
        requests in prop::collection::vec(
            (prop::sample::select(&PATHS[..]), prop::sample::select(&["GET", "POST", "PUT", "DELETE"][..]), parameters()),
            1..24,
        ),
    ) {
        let mut exchange = Exchange::new();
        let user = exchange.listen_to_user();
        for (number, (path, method, params)) in requests.into_iter().enumerate() {
            let (status, body) = exchange.send(method, path, &params);
            prop_assert!(matches!(status, 200 | 400 | 404 | 429), "{method} {path} {params}: {status} {body}");
            prop_assert!(status == 200 || body["code"].is_i64());
            if number % 3 == 2 {
                exchange.close_minute(BTC, ["100000", "100500", "99500", "100100"]);
                exchange.open(BTC, "100100");
                exchange.tick();
            }
        }
        // What the events told last is what the exchange has.
        let events = exchange.frames(user);
        if let Some(last) = events.iter().rev().find(|event| event["e"] == "ACCOUNT_UPDATE") {
            let told = |field: &str| last["a"]["B"][0][field].as_str().map(money);
            prop_assert_eq!(told("wb"), Some(exchange.gateway.wallet_total()));
            prop_assert_eq!(told("cw"), Some(exchange.gateway.exchange().wallet()));
        }
        prop_assert_eq!(
            exchange.ok("GET", "/fapi/v3/balance", "")[0]["balance"].as_str().map(money),
            Some(exchange.gateway.wallet_total())
        );
    }

    #[test]
    fn any_bytes_are_answered(query in any::<String>(), body in any::<Vec<u8>>(), path in "[ -~]{0,40}", header in any::<String>()) {
        let mut exchange = Exchange::new();
        let headers = [("x-mbx-apikey".to_owned(), header)];
        for path in [path.as_str(), "/fapi/v1/order", "/fapi/v1/klines", "/fapi/v1/listenKey"] {
            let request = Request { method: "POST", path, query: &query, headers: &headers, body: &body };
            let response = exchange.gateway.handle(exchange.wall(), &request);
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&response.body).is_ok());
        }
    }

    #[test]
    fn any_frames_and_addresses_are_survived(path in "(/(ws|stream|public|market|private|ws-fapi|v1|[ -~]{0,12})){0,4}", query in "[ -~]{0,60}", frames in prop::collection::vec(prop_oneof![
        any::<String>(),
        "\\{\"method\":\"(SUBSCRIBE|UNSUBSCRIBE|SET_PROPERTY|order.place|depth|session.status)\",\"params\":(\\[[\"a-z@1,]{0,20}\\]|\\{\\}|null|3),\"id\":[0-9]{1,3}\\}",
    ], 0..8)) {
        let mut exchange = Exchange::new();
        let id = alphaengine_sim::gateway::ConnectionId(1);
        let _ = exchange.gateway.connect(exchange.wall(), id, &path, &query);
        for frame in frames {
            exchange.text(id, &frame);
            exchange.now += 200;
        }
        exchange.close_minute(BTC, ["100000", "100500", "99500", "100100"]);
        exchange.tick();
    }
}
