//! The control calls below `/sim/v1/`, by which tests and operators look behind the curtain.

use alphaengine_core::order::PositionSide;
use alphaengine_sim::faults::{Fault, How, On, Planned, Route, Subject};
use alphaengine_sim::gateway::{OwnTrade, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::config::Speed;
use crate::exchange::{Exchange, wall};
use crate::faults;
use crate::server::Shared;

/// Answers one call; `call` is the path behind `/sim/v1/`.
pub(crate) fn answer(shared: &Shared, method: &str, call: &str, query: &str, body: &[u8]) -> Response {
    let answer = match (method, call) {
        ("GET", "status") => Ok(status(shared)),
        ("POST", "step") => step(shared),
        ("POST", "fault") => add_fault(&mut shared.exchange(), body),
        ("POST", "expire-listen-keys") => happen(shared, Ok(Fault::ExpireListenKeys)),
        ("POST", "close") => happen(shared, route(query).map(|route| Fault::CloseSocket { route, how: How::Close })),
        ("POST", "ban") => happen(shared, number(query, "seconds").map(|seconds| Fault::Ban { seconds })),
        ("POST", "throttle") => happen(shared, number(query, "seconds").map(|seconds| Fault::Throttle { seconds })),
        ("POST", "clock") => happen(shared, number(query, "shift_ms").map(|shift_ms| Fault::Clock { shift_ms })),
        ("POST", "outage") => happen(shared, number(query, "seconds").map(|seconds| Fault::Outage { seconds })),
        ("GET", "fills") => Ok(fills(&shared.exchange())),
        ("GET", "wallet") => Ok(wallet(&shared.exchange())),
        _ => Err(format!("there is no {method} /sim/v1/{call}: see the server's documentation for what there is")),
    };
    let (status, value) = match answer {
        Ok(value) => (200, value),
        Err(error) => (400, json!({ "error": error })),
    };
    let headers = vec![("content-type".to_owned(), "application/json".to_owned())];
    Response { status, headers, body: value.to_string().into_bytes() }
}

fn status(shared: &Shared) -> Value {
    let exchange = shared.exchange();
    let speed = match shared.speed {
        Speed::Times(times) => json!(times),
        Speed::Max => json!("max"),
        Speed::Stepped => json!("stepped"),
    };
    let connections: serde_json::Map<String, Value> =
        Route::ALL.iter().map(|route| (route.name().to_owned(), json!(exchange.connections(*route)))).collect();
    json!({
        "at": exchange.replay.at().millis(),
        "opening": exchange.replay.opening().millis(),
        "wall": wall().millis(),
        "speed": speed,
        "done": exchange.is_done(),
        "connections": connections,
        "frames": exchange.sent,
        "orders": exchange.gateway.exchange().open_orders(),
        "fills": exchange.gateway.fills().len(),
        "wallet": exchange.gateway.wallet_total(),
        "positions": positions(&exchange),
    })
}

fn step(shared: &Shared) -> Result<Value, String> {
    if shared.speed != Speed::Stepped {
        return Err("the market runs by itself: start the server with --speed step to move it by hand".to_owned());
    }
    let mut exchange = shared.exchange();
    exchange.step().map_err(|error| error.to_string())?;
    let done = exchange.is_done();
    let answer = json!({
        "at": exchange.replay.at().millis(), "done": done, "phase": exchange.half, "frames": exchange.sent,
    });
    drop(exchange);
    if done {
        shared.data_are_over();
    }
    Ok(answer)
}

/// What `POST fault` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Injected {
    on: Option<On>,
    fault: Fault,
}

fn add_fault(exchange: &mut Exchange, body: &[u8]) -> Result<Value, String> {
    let Injected { on, fault } = serde_json::from_slice(body)
        .map_err(|error| format!(r#"{error}; give {{"on": {{...}}, "fault": {{"kind": ...}}}}"#))?;
    if on.is_none() && fault.subject() == Subject::World {
        let planned = Planned::new(On::default(), fault.clone());
        check(exchange, &planned)?;
        exchange.happen(&fault);
        exchange.flush();
        return Ok(json!({}));
    }
    let planned = Planned::new(on.unwrap_or(On { nth: Some(1), ..On::default() }), fault);
    check(exchange, &planned)?;
    exchange.faults.add(planned);
    Ok(json!({}))
}

fn check(exchange: &Exchange, planned: &Planned) -> Result<(), String> {
    planned.check()?;
    if !faults::is_ours(planned) {
        return Err("an exchange does not reach the bot's disk, steps and process: give that to a campaign".to_owned());
    }
    match planned.fault.unknown_symbol(&exchange.instruments) {
        Some(name) => Err(format!("`{name}` is not served: see GET /fapi/v1/exchangeInfo for what is")),
        None => Ok(()),
    }
}

fn happen(shared: &Shared, fault: Result<Fault, String>) -> Result<Value, String> {
    let mut exchange = shared.exchange();
    exchange.happen(&fault?);
    exchange.flush();
    Ok(json!({}))
}

fn fills(exchange: &Exchange) -> Value {
    let row = |fill: &OwnTrade| {
        json!({
            "at": fill.at.millis(),
            "symbol": fill.symbol.as_str(),
            "id": fill.id,
            "order_id": fill.order_id,
            "client_order_id": fill.client_order_id.as_str(),
            "side": fill.side,
            "position_side": fill.position_side,
            "price": fill.price,
            "qty": fill.qty,
            "fee": fill.fee,
            "fee_asset": fill.fee_asset.as_str(),
            "realized": fill.realized,
            "is_maker": fill.is_maker,
        })
    };
    exchange.gateway.fills().iter().map(row).collect()
}

fn wallet(exchange: &Exchange) -> Value {
    json!({
        "asset": exchange.gateway.exchange().config().asset,
        "wallet": exchange.gateway.wallet_total(),
        "positions": positions(exchange),
    })
}

fn positions(exchange: &Exchange) -> Vec<Value> {
    let mut held = Vec::new();
    for (id, instrument) in exchange.instruments.iter() {
        for side in PositionSide::ALL {
            let position = exchange.gateway.exchange().position(id, side);
            if !position.is_flat() {
                held.push(json!({
                    "symbol": instrument.symbol.as_str(),
                    "side": side,
                    "qty": position.qty(),
                    "entry": position.entry_price(),
                }));
            }
        }
    }
    held
}

fn value<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name).map(|(_, value)| value)
}

fn number<T: std::str::FromStr>(query: &str, name: &str) -> Result<T, String> {
    let number = value(query, name).and_then(|text| text.parse().ok());
    number.ok_or_else(|| format!("`{name}` is missing or not a whole number: add ?{name}=5"))
}

fn route(query: &str) -> Result<Route, String> {
    let route = value(query, "route").and_then(Route::parse);
    route.ok_or_else(|| "`route` is missing or unknown: add ?route=public, market, private or other".to_owned())
}
