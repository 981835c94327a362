//! Refusals: status, code and text as Binance has them, and who is let in.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot run should say so at once")]

mod gateway_support;

use alphaengine_core::units::Timestamp;
use alphaengine_sim::gateway::GatewayConfig;
use gateway_support::*;
use serde_json::json;

const ORDER: &str = "/fapi/v1/order";

#[test]
fn every_refusal_has_its_code() {
    let limit = |rest: &str| format!("symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&{rest}");
    let algo = |rest: &str| format!("algoType=CONDITIONAL&symbol=BTCUSDT&side=SELL&{rest}");
    let rows: Vec<(i64, &str, &str, String)> = vec![
        (-1102, "POST", ORDER, "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&price=1000".into()),
        (-1102, "POST", ORDER, "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=1000".into()),
        (-1102, "POST", ORDER, "side=BUY&type=LIMIT".into()),
        (-1102, "GET", ORDER, "symbol=BTCUSDT".into()),
        (-1102, "GET", "/fapi/v1/algoOrder", String::new()),
        (-1106, "POST", ORDER, "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.01&timeInForce=GTC".into()),
        (-1111, "POST", ORDER, limit("quantity=0.0101&price=99000")),
        (-1111, "POST", ORDER, limit("quantity=0.01&price=99000.123")),
        (-1115, "POST", ORDER, "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=XXX&quantity=1&price=1000".into()),
        (-1116, "POST", ORDER, "symbol=BTCUSDT&side=BUY&type=BRACKET&quantity=1".into()),
        (-1117, "POST", ORDER, "symbol=BTCUSDT&side=HOLD&type=MARKET&quantity=1".into()),
        (-1121, "POST", ORDER, "symbol=XXXUSDT&side=BUY&type=MARKET&quantity=1".into()),
        (-1121, "POST", ORDER, "symbol=btcusdt&side=BUY&type=MARKET&quantity=1".into()),
        (-1136, "POST", ORDER, limit("quantity=0.01&price=99000&newOrderRespType=ALL")),
        (-2011, "DELETE", ORDER, "symbol=BTCUSDT&orderId=77".into()),
        (-2013, "GET", ORDER, "symbol=BTCUSDT&orderId=77".into()),
        (-2013, "GET", "/fapi/v1/algoOrder", "algoId=77".into()),
        (-2011, "DELETE", "/fapi/v1/algoOrder", "algoId=77".into()),
        (-2013, "PUT", ORDER, "symbol=BTCUSDT&side=BUY&quantity=1&price=99000&orderId=77".into()),
        (-2019, "POST", ORDER, "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=20".into()),
        (-2021, "POST", "/fapi/v1/algoOrder", algo("type=STOP_MARKET&triggerPrice=110000&quantity=0.01")),
        (-2022, "POST", ORDER, "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.01&reduceOnly=true".into()),
        (-4003, "POST", ORDER, limit("quantity=0&price=99000")),
        (-4014, "POST", ORDER, limit("quantity=0.01&price=99000.05")),
        (-4015, "POST", ORDER, limit(&format!("quantity=0.01&price=99000&newClientOrderId={}", "x".repeat(37)))),
        (-1100, "POST", ORDER, limit("quantity=0.01&price=99000&newClientOrderId=a%20b")),
        (-4016, "POST", ORDER, limit("quantity=0.01&price=120000")),
        (-4028, "POST", "/fapi/v1/leverage", "symbol=BTCUSDT&leverage=500".into()),
        (-4028, "POST", "/fapi/v1/leverage", "symbol=BTCUSDT&leverage=0".into()),
        (-4032, "DELETE", "/fapi/v1/batchOrders", "symbol=BTCUSDT&orderIdList=[1,2,3,4,5,6,7,8,9,10,11]".into()),
        (-4046, "POST", "/fapi/v1/marginType", "symbol=BTCUSDT&marginType=CROSSED".into()),
        (-4048, "POST", "/fapi/v1/marginType", "symbol=ETHUSDT&marginType=ISOLATED".into()),
        (-4054, "POST", "/fapi/v1/positionMargin", "symbol=BTCUSDT&amount=10&type=1".into()),
        (-4055, "POST", "/fapi/v1/positionMargin", "symbol=BTCUSDT&amount=0&type=1".into()),
        (-4059, "POST", "/fapi/v1/positionSide/dual", "dualSidePosition=false".into()),
        (-4061, "POST", ORDER, limit("quantity=0.01&price=99000&positionSide=LONG")),
        (-4082, "POST", "/fapi/v1/batchOrders", "batchOrders=[]".into()),
        (-4120, "POST", ORDER, "symbol=BTCUSDT&side=SELL&type=TRAILING_STOP_MARKET&quantity=1".into()),
        (
            -4137,
            "POST",
            "/fapi/v1/algoOrder",
            algo("type=STOP_MARKET&triggerPrice=90000&closePosition=true&quantity=1"),
        ),
        (-4164, "POST", ORDER, "symbol=ETHUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.001&price=3990".into()),
        (-4165, "GET", "/fapi/v1/userTrades", "symbol=BTCUSDT&startTime=1&endTime=999999999".into()),
        (-1023, "GET", "/fapi/v1/userTrades", "symbol=BTCUSDT&startTime=2&endTime=1".into()),
        (-4171, "POST", "/fapi/v1/multiAssetsMargin", "multiAssetsMargin=FALSE".into()),
        (-5021, "POST", ORDER, "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=FOK&quantity=0.01&price=99000".into()),
        (-5022, "POST", ORDER, "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTX&quantity=0.01&price=101000".into()),
        (
            -5040,
            "POST",
            ORDER,
            format!(
                "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTD&quantity=0.01&price=99000&goodTillDate={}",
                START + 1_000
            ),
        ),
    ];
    let mut exchange = Exchange::new();
    exchange.ok("POST", ORDER, "symbol=ETHUSDT&side=BUY&type=MARKET&quantity=0.1");
    for (expected, method, path, params) in rows {
        let (status, body) = exchange.send(method, path, &params);
        assert_eq!((status, body["code"].as_i64()), (400, Some(expected)), "{method} {path} {params}: {body}");
        assert!(body["msg"].is_string());
    }
}

#[test]
fn texts_that_clients_compare_are_exact() {
    let mut exchange = Exchange::new();
    let (_, body) = exchange.send("POST", "/fapi/v1/marginType", "symbol=BTCUSDT&marginType=CROSSED");
    assert_eq!(body, json!({"code": -4046, "msg": "No need to change margin type."}));
    let limit = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.01&price=99000&newClientOrderId=twice";
    exchange.ok("POST", ORDER, limit);
    let (_, body) = exchange.send("POST", ORDER, limit);
    assert_eq!(body, json!({"code": -4116, "msg": "ClientOrderId is duplicated."}));
    let (_, body) = exchange.send("DELETE", ORDER, "symbol=BTCUSDT&orderId=99");
    assert_eq!(body, json!({"code": -2011, "msg": "Unknown order sent."}));
}

#[test]
fn only_the_key_with_its_secret_in_its_time_is_let_in() {
    let mut exchange = Exchange::new();
    let stamp = format!("timestamp={START}");
    let good = format!("{stamp}&signature={}", sign(SECRET, &stamp));
    let mut code = |query: &str, key| {
        let response = exchange.raw("GET", "/fapi/v3/balance", query, "", key);
        (response.status, json(&response)["code"].as_i64())
    };
    assert_eq!(code(&good, Some(KEY)), (200, None));
    assert_eq!(code(&good, None), (401, Some(-2014)));
    assert_eq!(code(&good, Some("other")), (401, Some(-2015)));
    assert_eq!(code(&format!("{stamp}&signature={}", sign("wrong", &stamp)), Some(KEY)), (400, Some(-1022)));
    assert_eq!(code(&stamp, Some(KEY)), (400, Some(-1102)));
    let old = format!("timestamp={}", START - 5_001);
    assert_eq!(code(&format!("{old}&signature={}", sign(SECRET, &old)), Some(KEY)), (400, Some(-1021)));
    exchange.gateway.shift_clock(1_500);
    assert_eq!(exchange.get("/fapi/v1/time", "")["serverTime"], json!(START + 1_500));
}

#[test]
fn parameters_come_in_the_query_or_in_the_body_and_both_are_signed() {
    let mut exchange = Exchange::new();
    let order = "side=BUY&type=MARKET&quantity=0.010";
    let (query, body) = ("symbol=BTCUSDT".to_owned(), format!("{order}&timestamp={START}"));
    let signature = sign(SECRET, &(query.clone() + &body));
    for (query, body) in [
        (query.clone(), format!("{body}&signature={signature}")),
        (format!("{query}&signature={signature}"), body.clone()),
    ] {
        let response = exchange.raw("POST", ORDER, &query, &body, Some(KEY));
        assert_eq!(response.status, 200, "{}", json(&response));
        assert!(header(&response, "x-mbx-order-count-10s").is_some());
    }
    let body = format!("symbol=BTCUSDT&orderId=1&timestamp={START}");
    let body = format!("{body}&signature={}", sign(SECRET, &body));
    let response = exchange.raw("DELETE", ORDER, "", &body, Some(KEY));
    assert_eq!(json(&response)["code"], json!(-2011));
}

#[test]
fn too_much_is_429_and_insisting_is_418() {
    let config = GatewayConfig { weight_per_minute: 100, ..gateway_config() };
    let mut exchange = Exchange::with(config, sim_config());
    let mut statuses = Vec::new();
    for _ in 0..40 {
        let response = exchange.raw("GET", "/fapi/v1/ticker/24hr", "", "", None);
        statuses.push(response.status);
        if response.status != 200 {
            assert_eq!(json(&response)["code"], json!(-1003));
            assert!(header(&response, "retry-after").unwrap().parse::<i64>().unwrap() >= 1);
        }
    }
    assert_eq!(statuses[..3], [200, 200, 429]);
    assert_eq!(statuses.last(), Some(&418));
    exchange.now += 60_000;
    assert_eq!(exchange.raw("GET", "/fapi/v1/ping", "", "", None).status, 418);
    exchange.now += 60_000;
    assert_eq!(exchange.raw("GET", "/fapi/v1/ping", "", "", None).status, 200);
    let until = |exchange: &Exchange| Timestamp::from_millis(exchange.now + 2_500).unwrap();
    exchange.gateway.throttle(until(&exchange));
    let response = exchange.raw("GET", "/fapi/v1/ping", "", "", None);
    assert_eq!((response.status, header(&response, "retry-after")), (429, Some("3")));
    exchange.gateway.ban(until(&exchange));
    let response = exchange.raw("GET", "/fapi/v1/ping", "", "", None);
    assert_eq!(response.status, 418);
    let message = json(&response)["msg"].as_str().unwrap().to_owned();
    assert!(message.contains(&format!("banned until {}", exchange.now + 2_500)), "{message}");
}

#[test]
fn too_many_orders_are_refused_and_cancels_need_no_slot() {
    let config = GatewayConfig { orders_per_10s: 2, ..gateway_config() };
    let mut exchange = Exchange::with(config, sim_config());
    let limit = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.01&price=99000";
    let first = exchange.ok("POST", ORDER, limit);
    exchange.ok("POST", ORDER, limit);
    let (status, body) = exchange.send("POST", ORDER, limit);
    assert_eq!((status, &body["code"]), (429, &json!(-1015)));
    exchange.ok("DELETE", ORDER, &format!("symbol=BTCUSDT&orderId={}", first["orderId"]));
    exchange.now += 10_000;
    exchange.ok("POST", ORDER, limit);
}

#[test]
fn unknown_paths_and_methods_are_not_found() {
    let mut exchange = Exchange::new();
    for (method, path) in [("GET", "/fapi/v9/nothing"), ("PATCH", "/fapi/v1/order"), ("GET", "/")] {
        let response = exchange.raw(method, path, "", "", None);
        assert_eq!((response.status, json(&response)["code"].as_i64()), (404, Some(-5000)), "{method} {path}");
    }
}
