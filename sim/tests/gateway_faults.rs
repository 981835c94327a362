//! What a fault plan does from outside: replicas that lag, money that moves, other hands on the account, other rules.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot run should say so at once")]

mod gateway_support;

use alphaengine_core::order::PositionSide;
use alphaengine_core::units::{NANOS_PER_MILLI, Nanos};
use alphaengine_sim::SimConfig;
use alphaengine_sim::gateway::GatewayConfig;
use gateway_support::*;
use serde_json::{Value, json};

const SECOND: Nanos = 1_000 * NANOS_PER_MILLI;

/// From now on, for a minute, queries are five seconds behind.
fn lag(exchange: &mut Exchange) {
    let until = exchange.wall().plus(60 * SECOND);
    exchange.gateway.lag_queries(exchange.wall(), 5 * SECOND, until);
}

fn limit(exchange: &mut Exchange, name: &str) {
    let order =
        format!("symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.01&price=99000&newClientOrderId={name}");
    exchange.ok("POST", "/fapi/v1/order", &order);
}

fn rows(answer: &Value) -> usize {
    answer.as_array().unwrap().len()
}

#[test]
fn a_lagging_replica_does_not_know_a_young_order_and_learns_of_it_later() {
    let mut exchange = Exchange::new();
    limit(&mut exchange, "old");
    exchange.now += 6_000;
    lag(&mut exchange);
    limit(&mut exchange, "young");
    let find =
        |exchange: &mut Exchange| exchange.send("GET", "/fapi/v1/order", "symbol=BTCUSDT&origClientOrderId=young").1;
    assert_eq!(find(&mut exchange)["code"], -2013);
    assert_eq!(exchange.code("GET", "/fapi/v1/openOrder", "symbol=BTCUSDT&origClientOrderId=young"), -2013);
    assert_eq!(rows(&exchange.ok("GET", "/fapi/v1/openOrders", "symbol=BTCUSDT")), 1);
    assert_eq!(rows(&exchange.ok("GET", "/fapi/v1/allOrders", "symbol=BTCUSDT")), 1);
    exchange.now += 5_000;
    assert_eq!(find(&mut exchange)["status"], "NEW");
    assert_eq!(rows(&exchange.ok("GET", "/fapi/v1/openOrders", "symbol=BTCUSDT")), 2);
}

#[test]
fn a_lagging_replica_shows_an_order_as_it_was_and_the_engine_cancels_it_as_it_is() {
    let mut exchange = Exchange::new();
    limit(&mut exchange, "a");
    exchange.now += 6_000;
    lag(&mut exchange);
    exchange.ok("DELETE", "/fapi/v1/order", "symbol=BTCUSDT&origClientOrderId=a");
    assert_eq!(exchange.code("DELETE", "/fapi/v1/order", "symbol=BTCUSDT&origClientOrderId=a"), -2011);
    let told = exchange.ok("GET", "/fapi/v1/order", "symbol=BTCUSDT&origClientOrderId=a");
    assert_eq!(told["status"], "NEW");
    assert_eq!(rows(&exchange.ok("GET", "/fapi/v1/openOrders", "")), 1);
    exchange.now += 5_001;
    assert_eq!(exchange.ok("GET", "/fapi/v1/order", "symbol=BTCUSDT&origClientOrderId=a")["status"], "CANCELED");
    assert_eq!(rows(&exchange.ok("GET", "/fapi/v1/openOrders", "")), 0);
}

#[test]
fn a_lagging_replica_hides_young_trades_and_income_until_the_lag_is_over() {
    let mut exchange = Exchange::new();
    exchange.ok("POST", "/fapi/v1/order", "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.01");
    exchange.now += 6_000;
    lag(&mut exchange);
    exchange.ok("POST", "/fapi/v1/order", "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.02");
    let ask = |exchange: &mut Exchange| {
        let trades = exchange.ok("GET", "/fapi/v1/userTrades", "symbol=BTCUSDT");
        (rows(&trades), rows(&exchange.ok("GET", "/fapi/v1/income", "incomeType=COMMISSION")))
    };
    assert_eq!(ask(&mut exchange), (1, 1));
    // Account and positions are another service's.
    assert_eq!(exchange.ok("GET", "/fapi/v3/positionRisk", "")[0]["positionAmt"], "0.030");
    exchange.now += 60_000;
    assert_eq!(ask(&mut exchange), (2, 2));
}

#[test]
fn a_lagging_replica_is_behind_with_conditional_orders_too() {
    let mut exchange = Exchange::new();
    let stop = |name: &str| {
        format!(
            "algoType=CONDITIONAL&symbol=BTCUSDT&side=SELL&type=STOP_MARKET&triggerPrice=90000&quantity=0.01&clientAlgoId={name}"
        )
    };
    exchange.ok("POST", "/fapi/v1/algoOrder", &stop("old"));
    exchange.now += 6_000;
    lag(&mut exchange);
    exchange.ok("POST", "/fapi/v1/algoOrder", &stop("young"));
    exchange.ok("DELETE", "/fapi/v1/algoOrder", "clientAlgoId=old");
    assert_eq!(exchange.code("GET", "/fapi/v1/algoOrder", "clientAlgoId=young"), -2013);
    assert_eq!(exchange.ok("GET", "/fapi/v1/algoOrder", "clientAlgoId=old")["algoStatus"], "NEW");
    let open = exchange.ok("GET", "/fapi/v1/openAlgoOrders", "");
    assert_eq!((rows(&open), &open[0]["clientAlgoId"]), (1, &json!("old")));
    assert_eq!(rows(&exchange.ok("GET", "/fapi/v1/allAlgoOrders", "symbol=BTCUSDT")), 1);
    exchange.now += 5_000;
    assert_eq!(exchange.ok("GET", "/fapi/v1/openAlgoOrders", "")[0]["clientAlgoId"], "young");
}

#[test]
fn money_that_moves_is_told_booked_and_in_the_wallet() {
    let mut exchange = Exchange::new();
    let user = exchange.listen_to_user();
    let before = exchange.gateway.wallet_total();
    exchange.gateway.transfer(exchange.wall(), money("250"));
    exchange.gateway.transfer(exchange.wall(), money("-100.5"));
    exchange.tick();
    assert_eq!(exchange.gateway.wallet_total(), before.saturating_add(money("149.5")));
    let events = exchange.frames(user);
    let told: Vec<(&str, &str)> = events
        .iter()
        .map(|event| (event["a"]["m"].as_str().unwrap(), event["a"]["B"][0]["bc"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [("DEPOSIT", "250.00000000"), ("WITHDRAW", "-100.50000000")]);
    let income = exchange.ok("GET", "/fapi/v1/income", "incomeType=TRANSFER");
    let amounts: Vec<&Value> = income.as_array().unwrap().iter().map(|row| &row["income"]).collect();
    assert_eq!(amounts.last().unwrap().as_str().unwrap(), "-100.50000000");
    let account = exchange.ok("GET", "/fapi/v3/account", "");
    assert_eq!(money(account["totalWalletBalance"].as_str().unwrap()), exchange.gateway.wallet_total());
}

#[test]
fn no_more_leaves_than_there_is() {
    let mut exchange = Exchange::new();
    let all = exchange.gateway.wallet_total();
    let moved = exchange.gateway.transfer(exchange.wall(), money("-1000000"));
    assert_eq!((moved, exchange.gateway.wallet_total()), (money("0").saturating_sub(all), money("0")));
    let rows_before = rows(&exchange.ok("GET", "/fapi/v1/income", "incomeType=TRANSFER"));
    assert_eq!(exchange.gateway.transfer(exchange.wall(), money("-1")), money("0"));
    assert_eq!(rows(&exchange.ok("GET", "/fapi/v1/income", "incomeType=TRANSFER")), rows_before);
}

#[test]
fn what_a_withdrawal_leaves_short_of_margin_is_liquidated_by_the_next_mark() {
    let sim = SimConfig { leverage: 20, ..sim_config() };
    let mut exchange = Exchange::with(gateway_config(), sim);
    exchange.mark(BTC, "100000");
    exchange.ok("POST", "/fapi/v1/order", "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.1");
    let user = exchange.listen_to_user();
    let all_but_a_little = money("10").saturating_sub(exchange.gateway.wallet_total());
    exchange.gateway.transfer(exchange.wall(), all_but_a_little);
    assert!(!exchange.gateway.exchange().position(BTC, PositionSide::Both).is_flat());
    exchange.frames(user);
    exchange.mark(BTC, "100000");
    assert!(exchange.gateway.exchange().position(BTC, PositionSide::Both).is_flat());
    let events = exchange.frames(user);
    let executions = kinds(&events);
    assert!(executions.contains("CALCULATED"), "{executions}");
    assert_eq!(rows(&exchange.ok("GET", "/fapi/v1/forceOrders", "symbol=BTCUSDT")), 1);
}

#[test]
fn an_order_by_hand_has_a_name_of_the_web_page_and_all_its_events() {
    let mut exchange = Exchange::new();
    let user = exchange.listen_to_user();
    let id = exchange.gateway.manual_order(exchange.wall(), BTC, qty("-0.0129")).unwrap();
    exchange.tick();
    let events = exchange.frames(user);
    assert_eq!(kinds(&events), "NEW TRADE_LITE TRADE ACCOUNT_UPDATE");
    let order = exchange.ok("GET", "/fapi/v1/order", &format!("symbol=BTCUSDT&orderId={id}"));
    assert!(order["clientOrderId"].as_str().unwrap().starts_with("web_"), "{order}");
    assert_eq!((&order["side"], &order["executedQty"]), (&json!("SELL"), &json!("0.012")));
    // Too little to be taken is made as much as is taken: here the least notional.
    let id = exchange.gateway.manual_order(exchange.wall(), ETH, qty("0.00000001")).unwrap();
    let order = exchange.ok("GET", "/fapi/v1/order", &format!("symbol=ETHUSDT&orderId={id}"));
    assert_eq!(order["status"], "FILLED", "{order}");
    assert!(exchange.gateway.duplicate_client_ids().is_empty());
}

#[test]
fn an_order_by_hand_that_the_account_cannot_carry_is_refused_with_the_reason() {
    let mut exchange = Exchange::new();
    let refused = exchange.gateway.manual_order(exchange.wall(), BTC, qty("90")).unwrap_err();
    assert!(refused.contains("-2019") || refused.contains("-2027"), "{refused}");
    assert!(exchange.gateway.fills().is_empty());
}

#[test]
fn coarser_filters_hold_for_new_orders_and_are_shown_and_what_rests_stays() {
    for given in [false, true] {
        let mut exchange = Exchange::new();
        if given {
            let info = exchange.get("/fapi/v1/exchangeInfo", "");
            let config = GatewayConfig { exchange_info: Some(info), ..gateway_config() };
            exchange = Exchange::with(config, sim_config());
        }
        let place = |price: &str, qty: &str| {
            format!("symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity={qty}&price={price}")
        };
        exchange.ok("POST", "/fapi/v1/order", &place("99000.1", "0.011"));
        exchange.gateway.filters(exchange.wall(), BTC, 10);
        assert_eq!(exchange.code("POST", "/fapi/v1/order", &place("99000.1", "0.01")), -4014);
        assert_eq!(exchange.code("POST", "/fapi/v1/order", &place("99000", "0.011")), -4023);
        assert_eq!(exchange.code("POST", "/fapi/v1/order", &place("99000", "0.002")), -4004);
        exchange.ok("POST", "/fapi/v1/order", &place("99000", "0.02"));
        assert_eq!(rows(&exchange.ok("GET", "/fapi/v1/openOrders", "")), 2);
        let info = exchange.get("/fapi/v1/exchangeInfo", "");
        let of =
            |name: &str| info["symbols"].as_array().unwrap().iter().find(|one| one["symbol"] == name).unwrap().clone();
        let filters = of("BTCUSDT")["filters"].clone();
        assert_eq!(filters[0]["tickSize"], "1.00");
        assert_eq!((&filters[1]["stepSize"], &filters[1]["minQty"]), (&json!("0.010"), &json!("0.010")));
        assert_eq!(filters[2]["stepSize"], "0.010");
        assert_eq!(of("ETHUSDT")["filters"][0]["tickSize"], "0.01");
    }
}
