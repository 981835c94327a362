//! Orders become calls: each request of the engine about orders and settings, in the words of its endpoint.

use alphaengine_core::exchange::{ExpiryReason, Request, Standing};
use alphaengine_core::id::{ClientOrderId, RequestId};
use alphaengine_core::instrument::Instruments;
use alphaengine_core::order::{OrderSpec, OrderType, PositionSide, SelfTradePrevention, TimeInForce, WorkingType};
use alphaengine_core::rate_limit::{Cost, Urgency};
use alphaengine_core::units::{NANOS_PER_MILLI, Timestamp};
use serde_json::{Value, json};

use super::call::{Call, Lane, Purpose, QUERY_WORTH};
use super::json::Fields;
use super::query::Query;
use crate::wire::Method;

const ORDER: &str = "/fapi/v1/order";
const ALGO_ORDER: &str = "/fapi/v1/algoOrder";

/// The calls of one request, in the order in which they leave. `Snapshot`, `Trades` and `Income` are not of this file.
pub(crate) fn calls(
    at: Timestamp,
    id: RequestId,
    request: &Request,
    instruments: &Instruments,
    recv_window_ms: u32,
) -> Vec<Call> {
    let name = |symbol| instruments.get(symbol).symbol.as_str();
    let change = |method, path, query| Call::change(Purpose::Change(id), method, path, query, recv_window_ms);
    let lane = |client_order_id, symbol, places| Lane::Order { id: client_order_id, symbol, places };
    let worth_until = at.plus(i64::from(recv_window_ms) * NANOS_PER_MILLI);
    match *request {
        Request::PlaceOrder { client_order_id, ref spec } => {
            vec![place(id, client_order_id, spec, name(spec.symbol), recv_window_ms, worth_until)]
        }
        Request::ModifyOrder { client_order_id, symbol, side, qty, price } => {
            let query = Query::new()
                .with("symbol", name(symbol))
                .with("side", side.name())
                .with("quantity", qty)
                .with("price", price)
                .with("origClientOrderId", client_order_id);
            let call = change(Method::Put, ORDER, query).cost(Cost::ORDER).urgency(Urgency::Order);
            vec![call.lane(lane(client_order_id, symbol, false)).useless_after(worth_until)]
        }
        Request::CancelOrder { client_order_id, symbol, conditional } => {
            let call = if conditional {
                change(Method::Delete, ALGO_ORDER, Query::new().with("clientAlgoId", client_order_id))
            } else {
                let query = Query::new().with("symbol", name(symbol)).with("origClientOrderId", client_order_id);
                change(Method::Delete, ORDER, query)
            };
            vec![call.lane(lane(client_order_id, symbol, false))]
        }
        Request::QueryOrder { client_order_id, symbol, conditional } => {
            let call = if conditional {
                let purpose = Purpose::QueryConditional { id, symbol, client_order_id };
                Call::signed(purpose, ALGO_ORDER, Query::new().with("clientAlgoId", client_order_id), 1)
            } else {
                let query = Query::new().with("symbol", name(symbol)).with("origClientOrderId", client_order_id);
                Call::signed(Purpose::Query { id, symbol, client_order_id }, ORDER, query, 1)
            };
            // The engine has a schedule of its own for questions.
            vec![call.urgency(Urgency::Vital).asks_again(0).useless_after(at.plus(QUERY_WORTH))]
        }
        Request::SetLeverage { symbol, leverage } => {
            let query = Query::new().with("symbol", name(symbol)).with("leverage", leverage);
            vec![change(Method::Post, "/fapi/v1/leverage", query).lane(Lane::Setting(Some(symbol)))]
        }
        Request::SetMarginType { symbol, isolated } => {
            let margin_type = if isolated { "ISOLATED" } else { "CROSSED" };
            let query = Query::new().with("symbol", name(symbol)).with("marginType", margin_type);
            vec![change(Method::Post, "/fapi/v1/marginType", query).lane(Lane::Setting(Some(symbol)))]
        }
        Request::SetHedgeMode { hedge } => {
            let query = Query::new().with("dualSidePosition", hedge);
            vec![change(Method::Post, "/fapi/v1/positionSide/dual", query).lane(Lane::Setting(None))]
        }
        Request::CancelAll { symbol } => {
            let all = |path| {
                let query = Query::new().with("symbol", name(symbol));
                Call::change(Purpose::CancelAll(id), Method::Delete, path, query, recv_window_ms)
                    .lane(Lane::Sweep(symbol))
            };
            vec![all("/fapi/v1/allOpenOrders"), all("/fapi/v1/algoOpenOrders")]
        }
        Request::Snapshot | Request::Trades { .. } | Request::Income { .. } => Vec::new(),
    }
}

fn place(
    id: RequestId,
    client_order_id: ClientOrderId,
    spec: &OrderSpec,
    symbol: &str,
    recv_window_ms: u32,
    worth_until: Timestamp,
) -> Call {
    let conditional = spec.order_type.is_conditional();
    let mut query = Query::new();
    for (name, value) in parameters(client_order_id, spec, symbol) {
        query.put(name, value);
    }
    let path = if conditional { ALGO_ORDER } else { ORDER };
    let purpose = Purpose::Place { id, symbol: spec.symbol, client_order_id, conditional };
    let call = Call::change(purpose, Method::Post, path, query, recv_window_ms).cost(Cost::ORDER).lane(Lane::Order {
        id: client_order_id,
        symbol: spec.symbol,
        places: true,
    });
    if spec.only_reduces() { call } else { call.urgency(Urgency::Order).useless_after(worth_until) }
}

/// The parameters of an order; regular and conditional ones use other names for the same things (section 3.4).
pub(crate) fn parameters(
    client_order_id: ClientOrderId,
    spec: &OrderSpec,
    symbol: &str,
) -> Vec<(&'static str, String)> {
    let conditional = spec.order_type.is_conditional();
    let mut out: Vec<(&'static str, String)> = Vec::with_capacity(16);
    if conditional {
        out.push(("algoType", "CONDITIONAL".to_owned()));
    }
    out.push(("symbol", symbol.to_owned()));
    out.push(("side", spec.side.name().to_owned()));
    if spec.position_side != PositionSide::Both {
        out.push(("positionSide", spec.position_side.name().to_owned()));
    }
    out.push(("type", spec.order_type.name().to_owned()));
    if !spec.close_position {
        out.push(("quantity", spec.qty.to_string()));
    }
    if let Some(price) = spec.order_type.price() {
        out.push(("price", price.to_string()));
    }
    match spec.order_type {
        OrderType::Limit { tif, .. } | OrderType::Stop { tif, .. } | OrderType::TakeProfit { tif, .. } => {
            out.push(("timeInForce", time_in_force(tif).to_owned()));
            if let TimeInForce::Gtd { until } = tif {
                out.push(("goodTillDate", until.millis().to_string()));
            }
        }
        _ => {}
    }
    if conditional {
        match spec.order_type {
            OrderType::TrailingStopMarket { activation, callback } => {
                if let Some(activation) = activation {
                    out.push(("activatePrice", activation.to_string()));
                }
                // A rate of 0.01 is a callbackRate of 1, in percent.
                let percent = alphaengine_core::units::Rate::from_steps(callback.steps().saturating_mul(100));
                out.push(("callbackRate", percent.to_string()));
            }
            _ => out.extend(spec.order_type.trigger().map(|trigger| ("triggerPrice", trigger.to_string()))),
        }
        let working_type = match spec.working_type {
            WorkingType::Contract => "CONTRACT_PRICE",
            WorkingType::Mark => "MARK_PRICE",
        };
        out.push(("workingType", working_type.to_owned()));
        if spec.price_protect {
            out.push(("priceProtect", "true".to_owned()));
        }
        if spec.close_position {
            out.push(("closePosition", "true".to_owned()));
        }
    }
    // Not allowed in hedge mode (-4062), where the side of the position says it, and beside closePosition (-1106). The order decides
    // and not what we believe of the account: a close that is taken for hedge mode's but meets one-way mode would open.
    if spec.reduce_only && !spec.close_position && spec.position_side == PositionSide::Both {
        out.push(("reduceOnly", "true".to_owned()));
    }
    // The default of the exchange is not documented the same everywhere (section 8.10): it is always sent. `NONE` is not taken
    // by the REST endpoints, so it is left out.
    let stp = match spec.stp {
        SelfTradePrevention::ExpireTaker => Some("EXPIRE_TAKER"),
        SelfTradePrevention::ExpireMaker => Some("EXPIRE_MAKER"),
        SelfTradePrevention::ExpireBoth => Some("EXPIRE_BOTH"),
        SelfTradePrevention::None => None,
    };
    out.extend(stp.map(|stp| ("selfTradePreventionMode", stp.to_owned())));
    let id_name = if conditional { "clientAlgoId" } else { "newClientOrderId" };
    out.push((id_name, client_order_id.to_string()));
    out
}

/// Up to five regular orders in one call (section 3.3).
pub(crate) fn batch(
    orders: &[(RequestId, ClientOrderId, OrderSpec)],
    instruments: &Instruments,
    recv_window_ms: u32,
    worth_until: Timestamp,
) -> Call {
    let list: Vec<Value> = orders
        .iter()
        .map(|(_, client_order_id, spec)| {
            let symbol = instruments.get(spec.symbol).symbol.as_str();
            let parameters = parameters(*client_order_id, spec, symbol);
            parameters.into_iter().map(|(name, value)| (name.to_owned(), json!(value))).collect::<Value>()
        })
        .collect();
    let query = Query::new().with("batchOrders", Value::Array(list));
    let ids = orders.iter().map(|(id, client_order_id, spec)| (*id, spec.symbol, *client_order_id)).collect();
    let call = Call::change(Purpose::Batch(ids), Method::Post, "/fapi/v1/batchOrders", query, recv_window_ms)
        .cost(Cost { weight: 5, orders_10s: 5, orders_1m: 1 })
        .lane(Lane::Orders(orders.iter().map(|(_, client_order_id, _)| *client_order_id).collect()));
    if orders.iter().all(|(.., spec)| spec.only_reduces()) {
        call
    } else {
        call.urgency(Urgency::Order).useless_after(worth_until)
    }
}

fn time_in_force(tif: TimeInForce) -> &'static str {
    match tif {
        TimeInForce::Gtc => "GTC",
        TimeInForce::Ioc => "IOC",
        TimeInForce::Fok => "FOK",
        TimeInForce::Gtx => "GTX",
        TimeInForce::Gtd { .. } => "GTD",
    }
}

/// Where an order stands, from the `status` of a query.
pub(crate) fn standing(order: Fields<'_>) -> Option<Standing> {
    match order.text("status") {
        "NEW" | "PARTIALLY_FILLED" => Some(Standing::Open),
        "FILLED" => Some(Standing::Filled),
        "CANCELED" => Some(Standing::Canceled),
        "EXPIRED_IN_MATCH" => Some(Standing::Expired(ExpiryReason::SelfTradePrevention)),
        "EXPIRED" => Some(Standing::Expired(likely_expiry(order.text("type"), order.text("timeInForce")))),
        "REJECTED" => Some(Standing::Rejected),
        _ => None,
    }
}

/// Why an order expired, when nothing but its kind tells.
pub(crate) fn likely_expiry(order_type: &str, tif: &str) -> ExpiryReason {
    match (order_type, tif) {
        ("LIQUIDATION", _) => ExpiryReason::Liquidation,
        ("MARKET", _) => ExpiryReason::MarketRemainder,
        (_, "IOC" | "FOK") => ExpiryReason::IocRemainder,
        (_, "GTE_GTC") => ExpiryReason::ReduceOnly,
        _ => ExpiryReason::GoodTillDate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alphaengine_core::market::SymbolId;
    use alphaengine_core::order::Side;

    fn sent(spec: &OrderSpec) -> String {
        let mut query = Query::new();
        for (name, value) in parameters("ae-1".parse().unwrap(), spec, "BTCUSDT") {
            query.put(name, value);
        }
        query.into_string()
    }

    #[test]
    fn every_order_type_speaks_the_words_of_its_endpoint() {
        let symbol = SymbolId(0);
        let price = |text: &str| text.parse().unwrap();
        let base = OrderSpec::limit(symbol, Side::Buy, "0.5".parse().unwrap(), price("100.1"));
        let tail = "selfTradePreventionMode=EXPIRE_MAKER";
        assert_eq!(
            sent(&base),
            format!(
                "symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=0.5&price=100.1&timeInForce=GTC&{tail}&newClientOrderId=ae-1"
            )
        );
        let stop = base.with_type(OrderType::StopMarket { trigger: price("99") }).reduce_only();
        assert_eq!(
            sent(&stop),
            format!(
                "algoType=CONDITIONAL&symbol=BTCUSDT&side=BUY&type=STOP_MARKET&quantity=0.5&triggerPrice=99\
                 &workingType=CONTRACT_PRICE&reduceOnly=true&{tail}&clientAlgoId=ae-1"
            )
        );
        let mut of_long = stop.reduce_only();
        of_long.position_side = PositionSide::Long;
        assert!(!sent(&of_long).contains("reduceOnly"), "hedge mode does not take it");
        let trailing =
            OrderType::TrailingStopMarket { activation: Some(price("90")), callback: "0.015".parse().unwrap() };
        let trailing = sent(&base.with_type(trailing));
        assert!(trailing.contains("&activatePrice=90&callbackRate=1.5&"), "{trailing}");
        let mut closing = base.with_type(OrderType::TakeProfitMarket { trigger: price("120") }).reduce_only();
        closing.close_position = true;
        let closing = sent(&closing);
        assert!(
            closing.contains("closePosition=true") && !closing.contains("quantity") && !closing.contains("reduceOnly")
        );
    }

    #[test]
    fn what_follows_an_order_waits_for_it_and_what_does_not_concern_it_passes() {
        let order = |id: &str, places| Lane::Order { id: id.parse().unwrap(), symbol: SymbolId(0), places };
        assert!(order("a", false).must_follow(&order("a", true)));
        assert!(!order("b", false).must_follow(&order("a", true)));
        assert!(order("b", true).must_follow(&Lane::Setting(None)));
        assert!(order("b", true).must_follow(&Lane::Sweep(SymbolId(0))));
        assert!(!order("b", false).must_follow(&Lane::Sweep(SymbolId(0))));
        assert!(!Lane::Sweep(SymbolId(0)).must_follow(&order("a", true)), "an emergency does not queue");
    }
}
