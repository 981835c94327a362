//! Sessions with our Binance as a client has them: what is asked, what is answered, and what the streams say in which order.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot run should say so at once")]

mod gateway_support;

use alphaengine_core::order::PositionSide;
use alphaengine_core::units::Money;
use gateway_support::*;
use serde_json::{Value, json};

const ORDER: &str = "/fapi/v1/order";

#[test]
fn a_market_order_is_new_then_traded_then_accounted() {
    let mut exchange = Exchange::new();
    let user = exchange.listen_to_user();
    let ack = exchange.ok("POST", ORDER, "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.010&newClientOrderId=one");
    assert_eq!((ack["status"].as_str(), ack["executedQty"].as_str()), (Some("NEW"), Some("0.000")));
    assert!(ack.get("avgPrice").is_none() && ack.get("cumQuote").is_none(), "{ack}");
    let events = exchange.frames(user);
    assert_eq!(kinds(&events), "NEW TRADE_LITE TRADE ACCOUNT_UPDATE");
    let order = &events[2]["o"];
    let expected = json!({"s": "BTCUSDT", "c": "one", "S": "BUY", "o": "MARKET", "f": "GTC", "q": "0.010", "p": "0",
        "ap": "100000.00", "sp": "0", "x": "TRADE", "X": "FILLED", "i": ack["orderId"], "l": "0.010", "z": "0.010",
        "L": "100000.00", "N": "USDT", "n": "0.5", "T": START, "t": 1, "b": "0.00000000", "a": "0.00000000", "m": false,
        "R": false, "wt": "CONTRACT_PRICE", "ot": "MARKET", "ps": "BOTH", "cp": false, "pP": false, "si": 0, "ss": 0,
        "rp": "0", "V": "EXPIRE_MAKER", "pm": "NONE", "gtd": 0, "er": "0"});
    assert_eq!(order, &expected);
    let account = &events[3]["a"];
    assert_eq!(account["B"], json!([{"a": "USDT", "wb": "9999.50000000", "cw": "9999.50000000", "bc": "0.00000000"}]));
    let position = &account["P"][0];
    assert_eq!((position["pa"].as_str(), position["ep"].as_str()), (Some("0.010"), Some("100000.00")));
    // The order that is over is found, and its name is free again: the trap of an unknown outcome.
    let found = exchange.ok("GET", ORDER, "symbol=BTCUSDT&origClientOrderId=one");
    assert_eq!((found["status"].as_str(), found["avgPrice"].as_str()), (Some("FILLED"), Some("100000.00")));
    let twin = "symbol=BTCUSDT&side=SELL&type=MARKET&quantity=0.010&newClientOrderId=one&newOrderRespType=RESULT";
    let result = exchange.ok("POST", ORDER, twin);
    assert_eq!((result["status"].as_str(), result["cumQuote"].as_str()), (Some("FILLED"), Some("1000")));
    assert_eq!(exchange.gateway.duplicate_client_ids(), [("one".parse().unwrap(), 2)]);
}

#[test]
fn a_limit_order_rests_is_amended_and_cancelled() {
    let mut exchange = Exchange::new();
    let user = exchange.listen_to_user();
    let limit = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.010&price=99000.00&newClientOrderId=a";
    let order = exchange.ok("POST", ORDER, limit);
    let id = order["orderId"].as_i64().unwrap();
    assert_eq!(exchange.code("POST", ORDER, limit), -4116);
    let open = exchange.ok("GET", "/fapi/v1/openOrders", "");
    assert_eq!((open.as_array().unwrap().len(), open[0]["time"].as_i64()), (1, Some(START)));
    let change = format!("symbol=BTCUSDT&side=BUY&orderId={id}&origClientOrderId=a&quantity=0.020&price=98000.00");
    let changed = exchange.ok("PUT", ORDER, &change);
    assert_eq!((changed["price"].as_str(), changed["origQty"].as_str()), (Some("98000.00"), Some("0.020")));
    assert_eq!(exchange.code("PUT", ORDER, &change), -5027);
    let risk = exchange.ok("GET", "/fapi/v3/positionRisk", "");
    assert_eq!(risk[0]["bidNotional"].as_str(), Some("1960"));
    assert_eq!(risk[0]["openOrderInitialMargin"].as_str(), Some("98.00000000"));
    let gone = exchange.ok("DELETE", ORDER, &format!("symbol=BTCUSDT&orderId={id}"));
    assert_eq!(gone["status"].as_str(), Some("CANCELED"));
    assert_eq!(exchange.code("DELETE", ORDER, &format!("symbol=BTCUSDT&orderId={id}")), -2011);
    assert_eq!(exchange.code("GET", "/fapi/v1/openOrder", &format!("symbol=BTCUSDT&orderId={id}")), -2013);
    assert_eq!(kinds(&exchange.frames(user)), "NEW AMENDMENT CANCELED");
}

#[test]
fn a_stop_lives_in_the_algo_service_until_it_fires() {
    let mut exchange = Exchange::new();
    exchange.ok("POST", ORDER, "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.010");
    let user = exchange.listen_to_user();
    let stop = "symbol=BTCUSDT&side=SELL&type=STOP_MARKET";
    assert_eq!(exchange.code("POST", ORDER, &format!("{stop}&stopPrice=99000&quantity=0.010")), -4120);
    let algo = exchange.ok(
        "POST",
        "/fapi/v1/algoOrder",
        &format!("{stop}&algoType=CONDITIONAL&triggerPrice=99000&closePosition=true&clientAlgoId=stop"),
    );
    assert_eq!(algo["algoStatus"].as_str(), Some("NEW"));
    let id = algo["algoId"].as_i64().unwrap();
    // The two services do not see each other's orders.
    assert_eq!(exchange.ok("GET", "/fapi/v1/openOrders", ""), json!([]));
    assert_eq!(exchange.code("GET", ORDER, "symbol=BTCUSDT&origClientOrderId=stop"), -2013);
    assert_eq!(exchange.code("DELETE", ORDER, "symbol=BTCUSDT&origClientOrderId=stop"), -2011);
    assert_eq!(exchange.ok("GET", "/fapi/v1/openAlgoOrders", "")[0]["actualOrderId"].as_str(), Some(""));
    exchange.close_minute(BTC, ["100000", "100000", "98000", "98500"]);
    let events = exchange.frames(user);
    assert_eq!(
        kinds(&events),
        "algo:NEW algo:TRIGGERING algo:TRIGGERED NEW TRADE_LITE TRADE ACCOUNT_UPDATE algo:FINISHED"
    );
    let child = &events[5]["o"];
    assert_eq!((child["c"].as_str(), child["X"].as_str()), (Some("stop"), Some("FILLED")));
    assert_eq!(events[7]["o"]["ai"].as_str().unwrap(), child["i"].to_string());
    let asked = exchange.ok("GET", "/fapi/v1/algoOrder", &format!("algoId={id}"));
    assert_eq!(asked["algoStatus"].as_str(), Some("FINISHED"));
    assert_eq!(asked["actualOrderId"].as_str().unwrap(), child["i"].to_string());
    assert_eq!(exchange.ok("GET", "/fapi/v1/openAlgoOrders", ""), json!([]));
    assert_eq!(exchange.ok("GET", "/fapi/v3/positionRisk", ""), json!([]));
}

#[test]
fn a_conditional_order_is_cancelled_without_a_symbol() {
    let mut exchange = Exchange::new();
    let user = exchange.listen_to_user();
    let place = |exchange: &mut Exchange, name: &str| {
        let params = format!(
            "algoType=CONDITIONAL&symbol=BTCUSDT&side=BUY&type=TAKE_PROFIT&triggerPrice=98000&price=98000.10&quantity=0.01&clientAlgoId={name}"
        );
        exchange.ok("POST", "/fapi/v1/algoOrder", &params)
    };
    let first = place(&mut exchange, "first");
    let gone = exchange.ok("DELETE", "/fapi/v1/algoOrder", "clientAlgoId=first");
    assert_eq!(gone, json!({"algoId": first["algoId"], "clientAlgoId": "first", "code": "200", "msg": "success"}));
    assert_eq!(exchange.code("DELETE", "/fapi/v1/algoOrder", "clientAlgoId=first"), -2011);
    place(&mut exchange, "second");
    place(&mut exchange, "third");
    assert_eq!(exchange.ok("DELETE", "/fapi/v1/allOpenOrders", "symbol=BTCUSDT")["code"], json!(200));
    assert_eq!(exchange.ok("GET", "/fapi/v1/openAlgoOrders", "symbol=BTCUSDT").as_array().unwrap().len(), 2);
    exchange.ok("DELETE", "/fapi/v1/algoOpenOrders", "symbol=BTCUSDT");
    assert_eq!(exchange.ok("GET", "/fapi/v1/openAlgoOrders", "symbol=BTCUSDT"), json!([]));
    assert_eq!(exchange.ok("GET", "/fapi/v1/allAlgoOrders", "symbol=BTCUSDT").as_array().unwrap().len(), 3);
    let expected = "algo:NEW algo:CANCELED algo:NEW algo:NEW algo:CANCELED algo:CANCELED";
    assert_eq!(kinds(&exchange.frames(user)), expected);
}

#[test]
fn in_hedge_mode_both_sides_are_held() {
    let mut exchange = Exchange::new();
    let mode = "/fapi/v1/positionSide/dual";
    assert_eq!(exchange.ok("GET", mode, ""), json!({"dualSidePosition": false}));
    assert_eq!(exchange.code("POST", mode, "dualSidePosition=False"), -4059);
    exchange.ok("POST", mode, "dualSidePosition=TRUE");
    let user = exchange.listen_to_user();
    let market = |side: &str| format!("symbol=BTCUSDT&side={side}&type=MARKET&quantity=0.010");
    assert_eq!(exchange.code("POST", ORDER, &market("BUY")), -4061);
    assert_eq!(exchange.code("POST", ORDER, &(market("BUY") + "&positionSide=LONG&reduceOnly=true")), -4062);
    exchange.ok("POST", ORDER, &(market("BUY") + "&positionSide=LONG"));
    exchange.ok("POST", ORDER, &(market("SELL") + "&positionSide=SHORT"));
    let risk = exchange.ok("GET", "/fapi/v3/positionRisk", "symbol=BTCUSDT");
    let sides: Vec<_> =
        risk.as_array().unwrap().iter().map(|row| (&row["positionSide"], &row["positionAmt"])).collect();
    assert_eq!(sides, [(&json!("LONG"), &json!("0.010")), (&json!("SHORT"), &json!("-0.010"))]);
    assert_eq!(exchange.ok("GET", "/fapi/v2/positionRisk", "symbol=BTCUSDT").as_array().unwrap().len(), 3);
    exchange.ok("POST", ORDER, &(market("SELL") + "&positionSide=LONG"));
    assert!(exchange.gateway.exchange().position(BTC, PositionSide::Long).is_flat());
    let sides: Vec<Value> = exchange
        .frames(user)
        .iter()
        .filter(|event| event["e"] == "ACCOUNT_UPDATE")
        .map(|event| event["a"]["P"][0]["ps"].clone())
        .collect();
    assert_eq!(sides, [json!("LONG"), json!("SHORT"), json!("LONG")]);
    assert_eq!(exchange.code("POST", mode, "dualSidePosition=false"), -4068);
}

/// Signs the parameters of a frame: sorted, without escapes.
fn framed(exchange: &Exchange, id: Value, method: &str, mut params: Value) -> String {
    params["apiKey"] = json!(KEY);
    params["timestamp"] = json!(exchange.now);
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut pairs: Vec<String> =
        params.as_object().unwrap().iter().map(|(name, value)| format!("{name}={}", text(value))).collect();
    pairs.sort();
    params["signature"] = json!(sign(SECRET, &pairs.join("&")));
    json!({"id": id, "method": method, "params": params}).to_string()
}

#[test]
fn the_websocket_api_places_and_cancels() {
    let mut exchange = Exchange::new();
    let user = exchange.listen_to_user();
    let api = exchange.connect("/ws-fapi/v1", "");
    let order = json!({"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": "99000.10",
        "quantity": "0.010", "newClientOrderId": "ws", "reduceOnly": false});
    let frame = framed(&exchange, json!("a-b-c"), "order.place", order);
    exchange.text(api, &frame);
    let answer = exchange.frames(api).remove(0);
    assert_eq!((&answer["id"], &answer["status"]), (&json!("a-b-c"), &json!(200)));
    assert_eq!(answer["result"]["clientOrderId"], json!("ws"));
    assert_eq!(answer["rateLimits"].as_array().unwrap().len(), 3);
    let frame = framed(&exchange, json!(0), "order.cancel", json!({"symbol": "BTCUSDT", "origClientOrderId": "ws"}));
    exchange.text(api, &frame);
    let answer = exchange.frames(api).remove(0);
    assert_eq!((&answer["id"], &answer["result"]["status"]), (&json!(0), &json!("CANCELED")));
    exchange.text(api, &frame);
    let answer = exchange.frames(api).remove(0);
    assert_eq!((&answer["status"], &answer["error"]["code"]), (&json!(400), &json!(-2011)));
    exchange.text(api, &frame.replace("BTCUSDT", "ETHUSDT"));
    assert_eq!(exchange.frames(api).remove(0)["error"]["code"], json!(-1022));
    let frame = framed(&exchange, Value::Null, "v2/account.balance", json!({"returnRateLimits": false}));
    exchange.text(api, &frame);
    let answer = exchange.frames(api).remove(0);
    assert_eq!(answer["result"][0]["balance"], json!("10000.00000000"));
    assert!(answer.get("rateLimits").is_none());
    // User events go to the private stream, not here.
    assert_eq!(kinds(&exchange.frames(user)), "NEW CANCELED");
    assert!(exchange.frames(api).is_empty());
}

#[test]
fn after_a_logon_frames_need_no_signature() {
    let mut exchange = Exchange::new();
    let api = exchange.connect("/ws-fapi/v1", "returnRateLimits=false");
    let bare = json!({"id": 1, "method": "account.status", "params": {"timestamp": START}}).to_string();
    exchange.text(api, &bare);
    assert_eq!(exchange.frames(api)[0]["error"]["code"], json!(-2014));
    let logon = framed(&exchange, json!(2), "session.logon", json!({}));
    exchange.text(api, &logon);
    assert_eq!(exchange.frames(api)[0]["result"]["apiKey"], json!(KEY));
    exchange.text(api, &bare);
    assert_eq!(exchange.frames(api)[0]["status"], json!(200));
    exchange.text(api, &json!({"id": 3, "method": "session.logout"}).to_string());
    exchange.frames(api);
    exchange.text(api, &bare);
    assert_eq!(exchange.frames(api)[0]["status"], json!(401));
}

/// REST, the stream and the exchange say the same, to the last unit.
#[test]
fn amounts_agree_wherever_they_are_told() {
    for isolated in [false, true] {
        let mut exchange = Exchange::new();
        if isolated {
            exchange.ok("POST", "/fapi/v1/marginType", "symbol=BTCUSDT&marginType=ISOLATED");
        }
        let user = exchange.listen_to_user();
        let orders = [("BUY", "0.013"), ("BUY", "0.007"), ("SELL", "0.011"), ("SELL", "0.015"), ("BUY", "0.003")];
        let prices = ["100000", "100123.4", "99876.5", "100321.9", "99999.9"];
        let (mut fees, mut realized) = (Money::ZERO, Money::ZERO);
        for ((side, size), at) in orders.into_iter().zip(prices) {
            exchange.close_minute(BTC, [at, at, at, at]);
            exchange.open(BTC, at);
            exchange.ok("POST", ORDER, &format!("symbol=BTCUSDT&side={side}&type=MARKET&quantity={size}"));
            let events = exchange.frames(user);
            let told = |text: &Value| money(text.as_str().unwrap());
            let order = events.iter().find(|event| event["o"]["x"] == "TRADE").unwrap();
            fees = fees.checked_add(told(&order["o"]["n"])).unwrap();
            realized = realized.checked_add(told(&order["o"]["rp"])).unwrap();
            let account = &events.iter().rev().find(|event| event["e"] == "ACCOUNT_UPDATE").unwrap()["a"];
            let sim = exchange.gateway.exchange();
            let position = *sim.position(BTC, PositionSide::Both);
            let (cross, margin) = (sim.wallet(), sim.margin(BTC, PositionSide::Both));
            assert_eq!(told(&account["B"][0]["cw"]), cross);
            assert_eq!(told(&account["B"][0]["wb"]), exchange.gateway.wallet_total());
            assert_eq!(told(&account["P"][0]["iw"]), margin);
            assert_eq!(qty(account["P"][0]["pa"].as_str().unwrap()), position.qty());
            assert_eq!(told(&account["P"][0]["cr"]), realized);
            let rest = exchange.ok("GET", "/fapi/v3/account", "");
            assert_eq!(told(&rest["totalWalletBalance"]), exchange.gateway.wallet_total());
            assert_eq!(told(&rest["assets"][0]["crossWalletBalance"]), cross);
            assert_eq!(qty(rest["positions"][0]["positionAmt"].as_str().unwrap()), position.qty());
        }
        let trades = exchange.ok("GET", "/fapi/v1/userTrades", "symbol=BTCUSDT");
        let sum = |rows: &Value, field: &str| -> Money {
            rows.as_array().unwrap().iter().map(|row| money(row[field].as_str().unwrap())).sum()
        };
        assert_eq!((sum(&trades, "commission"), sum(&trades, "realizedPnl")), (fees, realized));
        let income = exchange.ok("GET", "/fapi/v1/income", "limit=1000");
        assert_eq!(sum(&income, "income"), exchange.gateway.wallet_total());
        assert_eq!(exchange.gateway.fills().len(), orders.len());
        let expected = Money::whole(10_000).checked_add(realized).unwrap().checked_sub(fees).unwrap();
        assert_eq!(exchange.gateway.wallet_total(), expected);
    }
}

#[test]
fn funding_is_told_with_its_symbol_and_stands_in_the_income() {
    use alphaengine_core::market::{Funding, MarketData};
    let mut exchange = Exchange::new();
    exchange.ok("POST", ORDER, "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.010");
    let user = exchange.listen_to_user();
    exchange.now += 1_000;
    let funding = Funding { rate: "0.0001".parse().unwrap(), mark: Some(price("100000")) };
    exchange.market(BTC, MarketData::Funding(funding));
    let events = exchange.frames(user);
    assert_eq!(kinds(&events), "ACCOUNT_UPDATE");
    let account = &events[0]["a"];
    assert_eq!((&account["m"], &account["S"], &account["P"]), (&json!("FUNDING_FEE"), &json!("BTCUSDT"), &json!([])));
    assert_eq!(account["B"][0]["bc"], json!("-0.10000000"));
    let income = exchange.ok("GET", "/fapi/v1/income", "incomeType=FUNDING_FEE");
    let row = &income[0];
    assert_eq!((&row["income"], &row["symbol"]), (&json!("-0.10000000"), &json!("BTCUSDT")));
    assert!(row["tranId"].is_i64() && row["tradeId"].is_string(), "{row}");
    let rates = exchange.get("/fapi/v1/fundingRate", "symbol=BTCUSDT&limit=1");
    assert_eq!(rates[0]["fundingRate"], json!("0.00010000"));
}

#[test]
fn a_liquidation_is_calculated_under_a_name_of_its_own() {
    let mut exchange = Exchange::new();
    exchange.ok("POST", "/fapi/v1/leverage", "symbol=BTCUSDT&leverage=100");
    exchange.ok("POST", ORDER, "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=5");
    let user = exchange.listen_to_user();
    exchange.close_minute(BTC, ["100000", "100000", "90000", "90000"]);
    let events = exchange.frames(user);
    assert_eq!(kinds(&events), "TRADE_LITE CALCULATED ACCOUNT_UPDATE ACCOUNT_UPDATE");
    let order = &events[1]["o"];
    assert!(order["c"].as_str().unwrap().starts_with("autoclose-"), "{order}");
    assert_eq!(order["o"], json!("LIQUIDATION"));
    assert_eq!(events[3]["a"]["m"], json!("INSURANCE_CLEAR"));
    assert_eq!(exchange.ok("GET", "/fapi/v1/forceOrders", "").as_array().unwrap().len(), 1);
    assert_eq!(exchange.ok("GET", "/fapi/v3/balance", "")[0]["balance"], json!("0.00000000"));
}

#[test]
fn the_dead_mans_switch_cancels_what_rests_and_nothing_else() {
    let mut exchange = Exchange::new();
    exchange.ok("POST", ORDER, "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.01&price=99000");
    exchange.ok("POST", ORDER, "symbol=ETHUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.1&price=3900");
    let set = |exchange: &mut Exchange, millis: i64| {
        exchange.ok("POST", "/fapi/v1/countdownCancelAll", &format!("symbol=BTCUSDT&countdownTime={millis}"))
    };
    assert_eq!(set(&mut exchange, 5_000), json!({"symbol": "BTCUSDT", "countdownTime": "5000"}));
    assert_eq!(exchange.gateway.next_tick().millis(), START + 5_000);
    exchange.now += 4_000;
    set(&mut exchange, 5_000);
    exchange.now += 4_999;
    exchange.tick();
    assert_eq!(exchange.gateway.exchange().open_orders(), 2);
    exchange.now += 1;
    exchange.tick();
    let open = exchange.ok("GET", "/fapi/v1/openOrders", "");
    assert_eq!((open.as_array().unwrap().len(), &open[0]["symbol"]), (1, &json!("ETHUSDT")));
}

#[test]
fn batches_answer_in_their_order_with_errors_among_them() {
    let mut exchange = Exchange::new();
    let orders = json!([
        {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01",
            "price": "99000", "newClientOrderId": "b1"},
        {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": 0.02,
            "price": 99000, "reduceOnly": "true"},
        {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.03",
            "price": "98000", "newClientOrderId": "b3"},
    ]);
    let encoded = orders.to_string().replace('"', "%22").replace('{', "%7B").replace('}', "%7D");
    let answers = exchange.ok("POST", "/fapi/v1/batchOrders", &format!("batchOrders={encoded}"));
    assert_eq!(answers[0]["clientOrderId"], json!("b1"));
    assert_eq!(answers[1]["code"], json!(-2022));
    assert_eq!(answers[2]["origQty"], json!("0.030"));
    let (first, last) = (&answers[0]["orderId"], &answers[2]["orderId"]);
    for ids in [format!("[{first}]"), format!("[%22{last}%22]")] {
        let gone = exchange.ok("DELETE", "/fapi/v1/batchOrders", &format!("symbol=BTCUSDT&orderidlist={ids}"));
        assert_eq!(gone[0]["status"], json!("CANCELED"));
    }
    // A bare list is read as well.
    let gone = exchange.ok("DELETE", "/fapi/v1/batchOrders", &format!("symbol=BTCUSDT&orderIdList={first},{last}"));
    assert_eq!((&gone[0]["code"], &gone[1]["code"]), (&json!(-2011), &json!(-2011)));
    let gone = exchange.ok("DELETE", "/fapi/v1/batchOrders", "symbol=BTCUSDT&origClientOrderIdList=[%22b1%22]");
    assert_eq!(gone[0]["code"], json!(-2011));
}

/// The same script gives the same bytes, twice.
#[test]
fn a_run_in_steps_is_repeatable() {
    let run = || {
        let mut exchange = Exchange::new();
        let user = exchange.listen_to_user();
        let names = "streams=btcusdt@kline_1m/btcusdt@depth/btcusdt@bookTicker/btcusdt@markPrice@1s/btcusdt@aggTrade";
        exchange.connect("/stream", names);
        let mut answers = Vec::new();
        for step in 0..50_i64 {
            let (a, b) = (format!("{}", 100_000 + step * 37 % 500), format!("{}", 100_000 + step * 53 % 500));
            let high = if a > b { a.clone() } else { b.clone() };
            let low = if a > b { b.clone() } else { a.clone() };
            exchange.close_minute(BTC, [&a, &high, &low, &b]);
            exchange.open(BTC, &b);
            let side = if step % 3 == 0 { "SELL" } else { "BUY" };
            answers.push(exchange.ok(
                "POST",
                ORDER,
                &format!("symbol=BTCUSDT&side={side}&type=LIMIT&timeInForce=GTC&quantity=0.010&price=100200"),
            ));
        }
        let frames: Vec<String> = exchange.heard.iter().map(|frame| format!("{frame:?}")).collect();
        assert!(kinds(&exchange.frames(user)).contains("TRADE"));
        (answers, frames)
    };
    let (first, second) = (run(), run());
    assert_eq!(first.0, second.0);
    assert!(first.1.len() > 200);
    assert_eq!(first.1, second.1);
}

#[test]
fn marks_before_the_first_price_are_passed_over_as_in_a_backtest() {
    let mut exchange = Exchange::fresh(gateway_config(), sim_config());
    exchange.mark(BTC, "50000");
    assert!(exchange.gateway.exchange().mark_price(BTC).is_zero());
    assert_eq!(exchange.get("/fapi/v1/premiumIndex", "symbol=BTCUSDT")["markPrice"], json!("50000.00000000"));
    exchange.open(BTC, "100000");
    assert_eq!(exchange.gateway.exchange().mark_price(BTC), price("100000"));
    exchange.mark(BTC, "100001");
    assert_eq!(exchange.gateway.exchange().mark_price(BTC), price("100001"));
}

/// With the name of the child its own, it is found and cancelled under that name.
#[test]
fn a_child_may_get_a_name_of_its_own() {
    let config = alphaengine_sim::gateway::GatewayConfig { child_keeps_client_id: false, ..gateway_config() };
    let mut exchange = Exchange::with(config, sim_config());
    let user = exchange.listen_to_user();
    let stop = "algoType=CONDITIONAL&symbol=BTCUSDT&side=SELL&type=STOP&triggerPrice=99950&price=100100&quantity=0.01&clientAlgoId=s";
    exchange.ok("POST", "/fapi/v1/algoOrder", stop);
    exchange.close_minute(BTC, ["100000", "100000", "99900", "99900"]);
    let events = exchange.frames(user);
    assert_eq!(kinds(&events), "algo:NEW algo:TRIGGERING algo:TRIGGERED NEW");
    let name = events[3]["o"]["c"].as_str().unwrap().to_owned();
    assert!(name.starts_with("web_"), "{name}");
    exchange.ok("DELETE", ORDER, &format!("symbol=BTCUSDT&origClientOrderId={name}"));
    assert_eq!(kinds(&exchange.frames(user)), "CANCELED algo:FINISHED");
    assert_eq!(exchange.code("DELETE", ORDER, "symbol=BTCUSDT&origClientOrderId=s"), -2011);
}

/// Between the halves of an update the account knows of the fill, and the public not yet of the price.
#[test]
fn the_exchange_moves_before_the_public_is_told() {
    use alphaengine_core::market::{BarOpen, MarketData, Timeframe};
    let sim = alphaengine_sim::SimConfig { market_fill: alphaengine_sim::MarketFill::NextPrice, ..sim_config() };
    let mut exchange = Exchange::with(gateway_config(), sim);
    exchange.close_minute(BTC, ["100000", "100000", "100000", "100000"]);
    let ack = exchange.ok("POST", ORDER, "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.010&newOrderRespType=RESULT");
    assert_eq!(ack["status"], json!("NEW"), "it waits for the next price");
    let opening = MarketData::BarOpen(BarOpen { price: price("100500"), timeframe: Timeframe::M1 });
    let next = update(exchange.now, BTC, opening);
    exchange.gateway.market_moves(exchange.wall(), &next);
    let found = exchange.ok("GET", ORDER, &format!("symbol=BTCUSDT&orderId={}", ack["orderId"]));
    assert_eq!((&found["status"], &found["avgPrice"]), (&json!("FILLED"), &json!("100500.00")));
    assert_eq!(exchange.get("/fapi/v1/ticker/price", "symbol=BTCUSDT")["price"], json!("100000.00"));
    exchange.gateway.market_is_told(exchange.wall(), &next);
    assert_eq!(exchange.get("/fapi/v1/ticker/price", "symbol=BTCUSDT")["price"], json!("100500.00"));
}

/// `binance-usdm.md` section 7.2.
#[test]
fn orders_are_forgotten_in_their_time() {
    const DAY: i64 = 24 * 3_600_000;
    let mut exchange = Exchange::new();
    exchange.ok("POST", ORDER, "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.010&newClientOrderId=filled");
    for name in ["canceled", "open"] {
        let order = "symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.01&price=99000";
        exchange.ok("POST", ORDER, &format!("{order}&newClientOrderId={name}"));
    }
    exchange.ok("DELETE", ORDER, "symbol=BTCUSDT&origClientOrderId=canceled");
    let known = |exchange: &mut Exchange| -> Vec<&str> {
        let query =
            |name: &&str| exchange.send("GET", ORDER, &format!("symbol=BTCUSDT&origClientOrderId={name}")).0 == 200;
        ["filled", "canceled", "open"].into_iter().filter(query).collect()
    };
    exchange.now = START + 3 * DAY;
    exchange.open(BTC, "100000");
    assert_eq!(known(&mut exchange), ["filled", "canceled", "open"]);
    exchange.now += 1;
    exchange.open(BTC, "100000");
    assert_eq!(known(&mut exchange), ["filled", "open"]);
    exchange.now = START + 90 * DAY + 1;
    exchange.open(BTC, "100000");
    assert_eq!(known(&mut exchange), ["open"]);
}
