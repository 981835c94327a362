//! Orders and settings as calls, and their answers as outcomes.

use alphaengine_core::exchange::{ExchangeUpdate, Execution, Outcome, Request, Standing};
use alphaengine_core::order::{OrderSpec, OrderType, Side};
use alphaengine_live::wire::TransportError;

use crate::world::{BTC, SECOND, World, config};

pub fn spec() -> OrderSpec {
    OrderSpec::limit(BTC, Side::Buy, "0.01".parse().unwrap(), "50000".parse().unwrap())
}

pub fn place(id: &str) -> Request {
    Request::PlaceOrder { client_order_id: id.parse().unwrap(), spec: spec() }
}

pub fn cancel(id: &str) -> Request {
    Request::CancelOrder { client_order_id: id.parse().unwrap(), symbol: BTC, conditional: false }
}

#[test]
fn an_order_is_signed_sent_once_and_placed() {
    let mut world = World::ready(config());
    world.request(place("ae-1"));
    assert_eq!(
        world.trace("/fapi/v1/order"),
        ["POST /fapi/v1/order?symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=0.01&price=50000&timeInForce=GTC\
          &selfTradePreventionMode=EXPIRE_MAKER&newClientOrderId=ae-1"]
    );
    let sent = &world.sent[0];
    assert!(sent.with_key && sent.query.contains("&recvWindow=2000&timestamp=17500032"), "{}", sent.query);
    let (payload, signature) = sent.query.rsplit_once("&signature=").unwrap();
    assert_eq!(signature, alphaengine_live::binance::Signer::hmac("secret").unwrap().sign(payload));
    world.answer("/fapi/v1/order", 200, r#"{"orderId":22542179,"clientOrderId":"ae-1","status":"NEW"}"#);
    assert_eq!(world.outcomes(), [(1, Outcome::Placed { order_id: 22542179 })]);
}

#[test]
fn a_cancel_does_not_overtake_its_order_and_others_do_not_wait() {
    let mut world = World::ready(config());
    world.request(place("ae-1"));
    world.request(cancel("ae-1"));
    world.request(place("ae-2"));
    assert_eq!(world.sent.len(), 2);
    world.respond("/fapi/v1/order", Err(TransportError::Lost("time-out".into())));
    assert!(matches!(world.outcomes()[..], [(1, Outcome::Unknown { .. })]));
    assert!(world.trace("/fapi")[2].starts_with("DELETE /fapi/v1/order?symbol=BTCUSDT&origClientOrderId=ae-1"));
}

#[test]
fn cancel_all_is_both_services_and_one_answer() {
    let mut world = World::ready(config());
    world.request(Request::CancelAll { symbol: BTC });
    world.answer(
        "/fapi/v1/allOpenOrders",
        200,
        r#"{"code":200,"msg":"The operation of cancel all open order is done."}"#,
    );
    assert_eq!(world.outcomes(), []);
    world.answer("/fapi/v1/algoOpenOrders", 200, r#"{"code":"200","msg":"success"}"#);
    assert_eq!(world.outcomes(), [(1, Outcome::Done)]);
}

#[test]
fn what_is_so_already_is_done() {
    let mut world = World::ready(config());
    world.request(Request::SetMarginType { symbol: BTC, isolated: true });
    world.answer("/fapi/v1/marginType", 400, r#"{"code":-4046,"msg":"No need to change margin type."}"#);
    world.request(Request::SetHedgeMode { hedge: false });
    world.answer("/fapi/v1/positionSide/dual", 400, r#"{"code":-4059,"msg":"No need to change position side."}"#);
    world.request(Request::SetLeverage { symbol: BTC, leverage: 20 });
    world.answer("/fapi/v1/leverage", 200, r#"{"leverage":20,"maxNotionalValue":"1000000","symbol":"BTCUSDT"}"#);
    assert_eq!(world.outcomes(), [(1, Outcome::Done), (2, Outcome::Done), (3, Outcome::Done)]);
}

#[test]
fn a_question_tells_where_an_order_stands() {
    let mut world = World::ready(config());
    let query = Request::QueryOrder { client_order_id: "ae-1".parse().unwrap(), symbol: BTC, conditional: false };
    world.request(query);
    let found = r#"{"orderId":7,"status":"PARTIALLY_FILLED","executedQty":"0.004","type":"LIMIT","timeInForce":"GTC"}"#;
    world.answer("/fapi/v1/order", 200, found);
    world.request(query);
    world.answer("/fapi/v1/order", 400, r#"{"code":-2013,"msg":"Order does not exist."}"#);
    let filled = "0.004".parse().unwrap();
    let found = Outcome::Found { order_id: 7, filled, standing: Standing::Open };
    assert_eq!(world.outcomes(), [(1, found), (2, Outcome::NotFound)]);
}

#[test]
fn a_question_about_a_fired_order_goes_on_to_its_child() {
    let mut world = World::ready(config());
    let client_order_id = "ae-1".parse().unwrap();
    let order_type = OrderType::StopMarket { trigger: "60000".parse().unwrap() };
    world.request(Request::PlaceOrder { client_order_id, spec: spec().with_type(order_type) });
    world.answer("/fapi/v1/algoOrder", 200, r#"{"algoId":2146760,"clientAlgoId":"ae-1","algoStatus":"NEW"}"#);
    world.request(Request::QueryOrder { client_order_id, symbol: BTC, conditional: true });
    world.answer(
        "/fapi/v1/algoOrder",
        200,
        r#"{"algoId":2146760,"clientAlgoId":"ae-1","algoStatus":"FINISHED","actualOrderId":"99","quantity":"0.01","side":"BUY","positionSide":"BOTH","triggerTime":1750003230000}"#,
    );
    let order = r#"{"orderId":99,"status":"FILLED","executedQty":"0.01","type":"MARKET"}"#;
    world.answer("/fapi/v1/order", 200, order);
    let qty = "0.01".parse().unwrap();
    let [ExchangeUpdate::Order(update)] = world.updates()[..] else { panic!("{:?}", world.updates()) };
    assert_eq!((update.order_id, update.execution), (2146760, Execution::Triggered { child: 99, qty }));
    let found = Outcome::Found { order_id: 2146760, filled: qty, standing: Standing::Filled };
    assert_eq!(world.outcomes(), [(1, Outcome::Placed { order_id: 2146760 }), (2, found)]);
}

#[test]
fn a_batch_is_one_call_with_an_outcome_for_each() {
    let mut config = config();
    config.batch_orders = true;
    let mut world = World::ready(config);
    for (id, name) in ["ae-1", "ae-2", "ae-3"].into_iter().enumerate() {
        let id = alphaengine_core::id::RequestId(id as u64 + 1);
        world.session.on_request(world.at, &alphaengine_core::exchange::Outgoing { id, request: place(name) });
    }
    world.session.flush(world.at);
    world.take();
    assert_eq!(world.sent.len(), 1);
    assert!(world.sent[0].query.starts_with("batchOrders=%5B%7B%22symbol%22%3A%22BTCUSDT%22%2C"));
    let body = r#"[{"orderId":1},{"code":-2019,"msg":"Margin is insufficient."},{"code":-1007,"msg":"Timeout"}]"#;
    world.answer("/fapi/v1/batchOrders", 200, body);
    let outcomes = world.outcomes();
    assert_eq!(outcomes[0], (1, Outcome::Placed { order_id: 1 }));
    assert!(matches!(&outcomes[1], (2, Outcome::Rejected(error)) if error.code == -2019));
    assert!(matches!(&outcomes[2], (3, Outcome::Unknown { .. })));
}

#[test]
fn a_snapshot_is_joined_from_its_parts() {
    let mut world = World::ready(config());
    world.request(Request::Snapshot);
    let order = r#"[{"orderId":7,"clientOrderId":"ae-1","symbol":"BTCUSDT","side":"BUY","positionSide":"BOTH","type":"LIMIT","timeInForce":"GTX","price":"50000","origQty":"0.01","executedQty":"0.004","time":1750003200000,"reduceOnly":false,"selfTradePreventionMode":"EXPIRE_MAKER"}]"#;
    world.answer("/fapi/v1/openOrders", 200, order);
    world.answer("/fapi/v1/openOrders", 200, "[]");
    let stop = r#"[{"algoId":9,"clientAlgoId":"ae-2","orderType":"STOP_MARKET","symbol":"BTCUSDT","side":"SELL","positionSide":"BOTH","timeInForce":"GTC","quantity":"0.01","triggerPrice":"45000","price":"0","workingType":"MARK_PRICE","closePosition":false,"reduceOnly":true,"createTime":1750003200000}]"#;
    world.answer("/fapi/v1/openAlgoOrders", 200, stop);
    world.answer("/fapi/v1/openAlgoOrders", 200, "[]");
    world.answer(
        "/fapi/v3/account",
        200,
        r#"{"assets":[{"asset":"USDT","walletBalance":"23.72469206"},{"asset":"BNB","walletBalance":"0.00000000"}],"positions":[{"symbol":"SOLUSDT","positionAmt":"0"}]}"#,
    );
    world.answer(
        "/fapi/v3/positionRisk",
        200,
        r#"[{"symbol":"BTCUSDT","positionSide":"BOTH","positionAmt":"-0.5","entryPrice":"50000.123456789","isolatedWallet":"0"}]"#,
    );
    world.answer("/fapi/v1/symbolConfig", 200, r#"[{"symbol":"BTCUSDT","marginType":"CROSSED","leverage":21}]"#);
    assert_eq!(world.outcomes(), []);
    world.answer("/fapi/v1/accountConfig", 200, r#"{"canTrade":true,"dualSidePosition":false}"#);
    let [(1, Outcome::Snapshot(snapshot))] = &world.outcomes()[..] else { panic!("{:?}", world.outcomes()) };
    assert_eq!(snapshot.orders.len(), 2);
    assert_eq!(snapshot.orders[0].filled.to_string(), "0.004");
    assert_eq!(snapshot.orders[1].spec.order_type, OrderType::StopMarket { trigger: "45000".parse().unwrap() });
    assert_eq!(snapshot.positions[0].entry_price.to_string(), "50000.12345678");
    assert_eq!(snapshot.balances.len(), 1);
    assert_eq!(snapshot.settings.len(), 3);
    assert_eq!(snapshot.elsewhere, ["SOLUSDT"]);
}

#[test]
fn a_snapshot_with_a_part_refused_is_no_snapshot() {
    let mut world = World::ready(config());
    world.request(Request::Snapshot);
    while let Some(request) = world.asked.first() {
        let path = request.path;
        let body = if path.starts_with("/fapi/v3/account") { r#"{"code":-2015,"msg":"no"}"# } else { "[]" };
        world.answer(path, if body == "[]" { 200 } else { 401 }, body);
    }
    assert!(matches!(&world.outcomes()[..], [(1, Outcome::Rejected(error))] if error.code == -2015));
}

#[test]
fn trades_carry_the_names_of_their_orders() {
    let mut world = World::ready(config());
    world.request(Request::Trades { symbol: BTC, from_id: 0, since: world.at.plus(-1_000_000_000) });
    assert!(world.sent[0].query.starts_with("symbol=BTCUSDT&startTime=1750003229000&limit=1000"));
    let row = |id: u64, order: u64, maker: bool, fee: &str| {
        format!(
            r#"{{"commission":"{fee}","commissionAsset":"USDT","id":{id},"maker":{maker},"orderId":{order},"price":"7819.01","qty":"0.002","realizedPnl":"-0.91539999","side":"SELL","positionSide":"BOTH","symbol":"BTCUSDT","time":1750003229500}}"#
        )
    };
    let rows = [row(1, 7, false, "0.0782"), row(2, 7, true, "0.01"), row(3, 8, true, "0.01")].join(",");
    world.answer("/fapi/v1/userTrades", 200, &format!("[{rows}]"));
    world.answer("/fapi/v1/order", 200, r#"{"orderId":7,"clientOrderId":"ae-1"}"#);
    assert_eq!(world.outcomes(), []);
    world.answer("/fapi/v1/order", 200, r#"{"orderId":8,"clientOrderId":"autoclose-17"}"#);
    let [(1, Outcome::Trades { trades, more: false })] = &world.outcomes()[..] else {
        panic!("{:?}", world.outcomes())
    };
    let names: Vec<&str> = trades.iter().map(|trade| trade.client_order_id.as_str()).collect();
    assert_eq!(names, ["ae-1", "ae-1", "autoclose-17"]);
    let fills: Vec<(String, bool)> = trades
        .iter()
        .map(|trade| match trade.execution {
            Execution::Trade(fill) => (fill.fee.to_string(), fill.is_liquidation),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(fills, [("0.0782".into(), false), ("0.01".into(), false), ("0.01".into(), true)]);
}

#[test]
fn fees_are_positive_when_paid_whatever_sign_the_page_uses() {
    let mut world = World::ready(config());
    world.request(Request::Trades { symbol: BTC, from_id: 5, since: world.at });
    let rows = r#"[{"commission":"-0.07","commissionAsset":"USDT","id":5,"maker":false,"orderId":7,"price":"1","qty":"1","side":"SELL","time":1750003229500}]"#;
    world.answer("/fapi/v1/userTrades", 200, rows);
    world.answer("/fapi/v1/order", 400, r#"{"code":-2013,"msg":"Order does not exist."}"#);
    let [(1, Outcome::Trades { trades, .. })] = &world.outcomes()[..] else { panic!("{:?}", world.outcomes()) };
    assert!(matches!(trades[0].execution, Execution::Trade(fill) if fill.fee.to_string() == "0.07"));
    assert_eq!(trades[0].client_order_id.as_str(), "order-7", "forgotten orders are called by their number");
}

#[test]
fn income_is_payments_and_transfers_but_not_what_fills_tell() {
    let mut world = World::ready(config());
    world.request(Request::Income { since: world.at.plus(-1) });
    let rows = r#"[
        {"symbol":"BTCUSDT","incomeType":"COMMISSION","income":"-0.01","asset":"USDT","time":1750003200000,"tranId":1,"tradeId":"2"},
        {"symbol":"BTCUSDT","incomeType":"FUNDING_FEE","income":"-0.25","asset":"USDT","time":1750003203000,"tranId":2},
        {"symbol":"","incomeType":"TRANSFER","income":"100","asset":"USDT","time":1750003204000,"tranId":3},
        {"symbol":"","incomeType":"SOMETHING_NEW","income":"1","asset":"USDT","time":1750003205000,"tranId":"4"}]"#;
    world.answer("/fapi/v1/income", 200, rows);
    let [(1, Outcome::Income { rows, until, more: false })] = &world.outcomes()[..] else { panic!() };
    assert_eq!(until.millis(), 1750003205000);
    let ExchangeUpdate::Funding(payment) = &rows[0] else { panic!("{rows:?}") };
    assert_eq!((payment.settled_at.millis(), payment.id), (1750003200000, None));
    assert!(matches!(rows[1], ExchangeUpdate::Transfer { id: 3, .. }));
    assert!(matches!(rows[2], ExchangeUpdate::Transfer { id: 4, .. }));
    assert_eq!(rows.len(), 3);
}

#[test]
fn a_trade_is_given_no_name_while_the_exchange_does_not_say_whose_it_is() {
    let busy = r#"{"code":-1008,"msg":"Request throttled by system-level protection."}"#;
    let owner = r#"{"orderId":99,"clientOrderId":"x-own","origType":"STOP_MARKET"}"#;
    for (path, answers) in [("/fapi/v1/order", vec![]), ("/fapi/v1/allAlgoOrders", vec![("/fapi/v1/order", owner)])] {
        let mut world = World::ready(config());
        world.request(Request::Trades { symbol: BTC, from_id: 1, since: world.at });
        let rows = r#"[{"commission":"0.07","commissionAsset":"USDT","id":5,"maker":false,"orderId":99,"price":"1","qty":"1","side":"SELL","time":1750003229500}]"#;
        world.answer("/fapi/v1/userTrades", 200, rows);
        for (path, body) in answers {
            world.answer(path, 200, body);
        }
        for _ in 0..4 {
            world.answer(path, 503, busy);
            world.pass(SECOND);
        }
        let outcomes = world.outcomes();
        assert!(
            matches!(&outcomes[..], [(1, Outcome::Rejected(error))] if error.code == -1008),
            "{path}: {outcomes:?}"
        );
    }
}

#[test]
fn a_trade_of_a_fired_order_carries_the_name_of_its_parent() {
    let mut world = World::ready(config());
    world.request(Request::Trades { symbol: BTC, from_id: 1, since: world.at });
    let rows = r#"[{"commission":"0.07","commissionAsset":"USDT","id":5,"maker":false,"orderId":99,"price":"1","qty":"1","side":"SELL","time":1750003229500}]"#;
    world.answer("/fapi/v1/userTrades", 200, rows);
    world.answer("/fapi/v1/order", 200, r#"{"orderId":99,"clientOrderId":"x-own","origType":"STOP_MARKET"}"#);
    assert_eq!(world.outcomes(), []);
    world.answer("/fapi/v1/allAlgoOrders", 200, r#"[{"algoId":9,"clientAlgoId":"ae-5","actualOrderId":"99"},{"algoId":10,"clientAlgoId":"ae-6","actualOrderId":""}]"#);
    let [(1, Outcome::Trades { trades, .. })] = &world.outcomes()[..] else { panic!("{:?}", world.outcomes()) };
    assert_eq!(trades[0].client_order_id.as_str(), "ae-5");
}
