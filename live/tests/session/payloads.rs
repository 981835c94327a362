//! Every futures payload of the recordings: read, or refused with a named reason; never a panic.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use alphaengine_core::exchange::{Outcome, Request};
use alphaengine_core::instrument::{Instrument, Instruments};
use alphaengine_live::binance::{Bootstrap, Hosts, SessionConfig};
use alphaengine_live::wire::{Effect, HttpResponse, Method};
use serde_json::Value;

use crate::orders::{cancel, place, spec};
use crate::world::{BTC, MINUTE, World, config};

fn root() -> PathBuf {
    let shared =
        std::env::var_os("ALPHAENGINE_SHARED_DATA").map_or_else(|| PathBuf::from("../../shared/data"), PathBuf::from);
    shared.join("payloads")
}

/// The symbols that a payload names, BTCUSDT first, so that nothing in it is foreign.
fn config_for(payload: &Value) -> SessionConfig {
    let mut names = vec!["BTCUSDT".to_owned()];
    collect_symbols(payload, &mut names);
    names.truncate(30);
    let mut config = config();
    let one = config.instruments.get(BTC).clone();
    let known = |name: &String| Some(Instrument { symbol: name.parse().ok()?, ..one.clone() });
    config.instruments = Instruments::new(names.iter().filter_map(known).collect()).unwrap();
    config.streams.agg_trades = true;
    config.streams.depth = true;
    config
}

fn collect_symbols(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_str().filter(|_| matches!(name.as_str(), "symbol" | "s" | "S")) {
                    Some(symbol) if symbol.len() > 4 && !names.iter().any(|known| known == symbol) => {
                        names.push(symbol.to_owned());
                    }
                    _ => collect_symbols(value, names),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| collect_symbols(value, names)),
        _ => {}
    }
}

/// What became of a payload.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Clone)]
enum Fate {
    Read,
    Refused(String),
    /// The session never asks this.
    NotAsked,
}

fn frame_fate(event: &Value) -> Fate {
    let data = event.get("data").filter(|data| data.is_object()).unwrap_or(event);
    let symbol = data.get("s").and_then(Value::as_str).unwrap_or("BTCUSDT").to_ascii_lowercase();
    let stream = match data.get("e").and_then(Value::as_str).unwrap_or("") {
        "aggTrade" => "aggTrade",
        "kline" => "kline_1m",
        "markPriceUpdate" => "markPrice@1s",
        "bookTicker" => "bookTicker",
        "depthUpdate" => "depth@100ms",
        _ => {
            let mut world = World::ready(config_for(event));
            world.user(&event.to_string());
            return fate(&world);
        }
    };
    let mut world = World::ready(config_for(event));
    let route = if matches!(stream, "bookTicker" | "depth@100ms") { "/public/" } else { "/market/" };
    let socket = world.socket(route);
    world.frame(socket, &format!(r#"{{"stream":"{symbol}@{stream}","data":{data}}}"#));
    fate(&world)
}

fn fate(world: &World) -> Fate {
    let strangers = world.session.figures().strangers;
    let unknown = world.outcomes().into_iter().find_map(|(_, outcome)| match outcome {
        Outcome::Unknown { reason } => Some(reason),
        Outcome::Rejected(error) => Some(error.to_string()),
        _ => None,
    });
    match (strangers.last_malformed, unknown) {
        (Some(why), _) | (None, Some(why)) => Fate::Refused(why),
        (None, None) if strangers.events > 0 => Fate::Refused("unknown event".into()),
        (None, None) => Fate::Read,
    }
}

/// Makes a session ask this path and gives it the payload.
fn rest_fate(method: Method, path: &str, payload: &Value) -> Fate {
    let body = payload.to_string();
    if matches!(path, "/fapi/v1/exchangeInfo" | "/fapi/v1/leverageBracket" | "/fapi/v1/commissionRate") {
        return bootstrap_fate(path, payload);
    }
    let mut config = config_for(payload);
    config.countdown = Some(MINUTE);
    let mut world = World::ready(config);
    let id = |name: &str| name.parse().unwrap();
    let conditional = alphaengine_core::order::OrderType::StopMarket { trigger: "45000".parse().unwrap() };
    match (method, path) {
        (Method::Post, "/fapi/v1/order" | "/fapi/v1/countdownCancelAll") => world.request(place("ae-1")),
        (Method::Get, "/fapi/v1/order") => world.request(Request::QueryOrder {
            client_order_id: id("ae-1"),
            symbol: BTC,
            conditional: false,
            child: None,
        }),
        (Method::Put, "/fapi/v1/order") => world.request(Request::ModifyOrder {
            client_order_id: id("ae-1"),
            symbol: BTC,
            side: spec().side,
            qty: spec().qty,
            price: "1".parse().unwrap(),
            child: None,
        }),
        (Method::Delete, "/fapi/v1/order") => world.request(cancel("ae-1")),
        (Method::Post, "/fapi/v1/algoOrder") => {
            world.request(Request::PlaceOrder { client_order_id: id("ae-1"), spec: spec().with_type(conditional) })
        }
        (Method::Get, "/fapi/v1/algoOrder") => world.request(Request::QueryOrder {
            client_order_id: id("ae-1"),
            symbol: BTC,
            conditional: true,
            child: None,
        }),
        (Method::Delete, "/fapi/v1/algoOrder") => world.request(Request::CancelOrder {
            client_order_id: id("ae-1"),
            symbol: BTC,
            conditional: true,
            child: None,
        }),
        (Method::Delete, "/fapi/v1/allOpenOrders" | "/fapi/v1/algoOpenOrders") => {
            world.request(Request::CancelAll { symbol: BTC })
        }
        (Method::Post, "/fapi/v1/leverage") => world.request(Request::SetLeverage { symbol: BTC, leverage: 2 }),
        (Method::Post, "/fapi/v1/marginType") => world.request(Request::SetMarginType { symbol: BTC, isolated: true }),
        (Method::Post, "/fapi/v1/positionSide/dual") => world.request(Request::SetHedgeMode { hedge: true }),
        (
            Method::Get,
            "/fapi/v1/openOrders"
            | "/fapi/v1/openAlgoOrders"
            | "/fapi/v3/account"
            | "/fapi/v3/positionRisk"
            | "/fapi/v1/symbolConfig"
            | "/fapi/v1/accountConfig",
        ) => world.request(Request::Snapshot),
        (Method::Get, "/fapi/v1/userTrades") => {
            world.request(Request::Trades { symbol: BTC, from_id: 1, since: world.at })
        }
        (Method::Get, "/fapi/v1/income") => world.request(Request::Income { since: world.at }),
        (Method::Get, "/fapi/v1/klines") => {
            let market = world.socket("/market/");
            world.frame(market, &crate::world::closed_bar("btcusdt@kline_1m", -5));
            world.frame(market, &crate::world::closed_bar("btcusdt@kline_1m", -1));
            Default::default()
        }
        (Method::Get, "/fapi/v1/depth") => Default::default(),
        (Method::Get, "/fapi/v1/aggTrades") => {
            let market = world.socket("/market/");
            for id in [1_800_000_000, 1_800_000_005] {
                let trade = crate::world::trade("BTCUSDT", id, world.at.millis());
                world.frame(market, &format!(r#"{{"stream":"btcusdt@aggTrade","data":{trade}}}"#));
            }
            Default::default()
        }
        (Method::Post, "/fapi/v1/listenKey") => {
            world.user(r#"{"e":"listenKeyExpired"}"#);
            Default::default()
        }
        _ => return Fate::NotAsked,
    };
    world.answer(path, 200, &body);
    // What a page of trades and a joined snapshot ask further.
    for _ in 0..60 {
        let Some(request) = world.asked.first() else { break };
        let (path, empty) = match request.path {
            path @ ("/fapi/v3/account" | "/fapi/v1/listenKey") => (path, r#"{"listenKey":"K1"}"#),
            path @ "/fapi/v1/accountConfig" => (path, r#"{"dualSidePosition":false}"#),
            path @ "/fapi/v1/order" => (path, r#"{"orderId":1,"status":"FILLED","executedQty":"1"}"#),
            path => (path, "[]"),
        };
        world.answer(path, 200, empty);
    }
    fate(&world)
}

fn bootstrap_fate(path: &str, payload: &Value) -> Fate {
    let config = config_for(payload);
    let symbol = if path.ends_with("exchangeInfo") {
        let listed = payload.pointer("/symbols/0/symbol").and_then(Value::as_str);
        listed.unwrap_or("BTCUSDT").to_owned()
    } else {
        config.instruments.iter().last().unwrap().1.symbol.to_string()
    };
    let mut boot = Bootstrap::new(Hosts::production(), config.key.clone(), vec![symbol.parse().unwrap()]);
    let at = alphaengine_core::units::Timestamp::from_millis(crate::world::T0).unwrap();
    boot.start(at);
    for _ in 0..20 {
        let effects: Vec<Effect> = boot.effects().collect();
        for effect in effects {
            let Effect::Http(request) = effect else { continue };
            let body = match request.path {
                asked if asked == path => payload.to_string(),
                "/fapi/v1/time" => format!(r#"{{"serverTime":{}}}"#, at.millis()),
                "/fapi/v1/exchangeInfo" => exchange_info(&symbol),
                "/fapi/v1/commissionRate" => {
                    r#"{"makerCommissionRate":"0.0002","takerCommissionRate":"0.0005"}"#.into()
                }
                "/fapi/v1/accountConfig" => r#"{"canTrade":true}"#.into(),
                _ => "[]".into(),
            };
            boot.on_http(
                at,
                request.id,
                Ok(HttpResponse { status: 200, headers: Vec::new(), body: body.into_bytes() }),
            );
        }
    }
    match boot.result() {
        Some(Ok(_)) => Fate::Read,
        Some(Err(problem)) => Fate::Refused(problem.to_string()),
        None => panic!("{path}: no result"),
    }
}

pub fn exchange_info(symbol: &str) -> String {
    format!(
        r#"{{"rateLimits":[{{"rateLimitType":"REQUEST_WEIGHT","interval":"MINUTE","intervalNum":1,"limit":6000}}],"symbols":[{{"symbol":"{symbol}","status":"TRADING","filters":[{{"filterType":"PRICE_FILTER","minPrice":"0.1","maxPrice":"1000000","tickSize":"0.1"}},{{"filterType":"LOT_SIZE","minQty":"0.001","maxQty":"1000","stepSize":"0.001"}}]}},{{"symbol":"测试USDT","status":"TRADING","filters":[{{"filterType":"NEW"}}]}}]}}"#
    )
}

/// (what, fate) of every futures payload.
fn fates() -> Vec<(String, Fate)> {
    let root = root();
    let mut fates = Vec::new();
    let mut files = Vec::new();
    walk(&root.join("binance.net"), &mut files);
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let what = file.strip_prefix(&root).unwrap().display().to_string();
        let is_endpoint = what.contains("/Endpoints/");
        let (head, body) = if is_endpoint {
            let mut lines = text.splitn(4, '\n');
            let head = [lines.next().unwrap_or(""), lines.next().unwrap_or("")].map(|line| line.trim().to_owned());
            lines.next();
            (head, lines.next().unwrap_or("").to_owned())
        } else {
            let body = text.split_once("\n= ").map_or("", |(_, body)| body);
            ([String::new(), String::new()], body.to_owned())
        };
        let Ok(payload) = serde_json::from_str::<Value>(&body) else {
            fates.push((what, Fate::Refused("the recording is not JSON".into())));
            continue;
        };
        let fate = match head[0].as_str() {
            "GET" => rest_fate(Method::Get, &head[1], &payload),
            "POST" => rest_fate(Method::Post, &head[1], &payload),
            "PUT" => rest_fate(Method::Put, &head[1], &payload),
            "DELETE" => rest_fate(Method::Delete, &head[1], &payload),
            _ => frame_fate(&payload),
        };
        fates.push((what, fate));
    }
    for source in ["go-binance-futures", "crypto-msg-parser", "barter-data"] {
        let text = std::fs::read_to_string(root.join(source).join("payloads.jsonl")).unwrap();
        for (number, line) in text.lines().enumerate() {
            let entry: Value = serde_json::from_str(line).unwrap();
            let source_line = entry["src"].as_str().unwrap_or("");
            let what = format!("{source}:{} {source_line}", number + 1);
            let raw = entry["raw"].as_str().unwrap_or("");
            let Ok(payload) = serde_json::from_str::<Value>(raw) else {
                fates.push((what, Fate::Refused("the recording is not JSON".into())));
                continue;
            };
            let is_frame = payload.get("e").is_some() || payload.get("data").is_some();
            let fate = match go_endpoint(source_line) {
                _ if is_frame => frame_fate(&payload),
                Some((method, path)) => rest_fate(method, path, &payload),
                None => Fate::NotAsked,
            };
            fates.push((what, fate));
        }
    }
    let text = std::fs::read_to_string(root.join("gocryptotrader/http.json")).unwrap();
    let recorded: Value = serde_json::from_str(&text).unwrap();
    for (path, methods) in recorded["routes"].as_object().unwrap() {
        if !path.starts_with("/fapi") && !path.starts_with("/futures") {
            continue;
        }
        for call in methods["GET"].as_array().into_iter().flatten() {
            let fate = rest_fate(Method::Get, path, &call["data"]);
            fates.push((format!("gocryptotrader {path}"), fate));
        }
    }
    fates
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() { walk(&path, files) } else { files.push(path) }
    }
}

fn go_endpoint(source: &str) -> Option<(Method, &'static str)> {
    let test = source.split('#').nth(1)?;
    Some(match test {
        "TestCreateOrder" | "TestCreateOrderId" => (Method::Post, "/fapi/v1/order"),
        "TestGetOrder" => (Method::Get, "/fapi/v1/order"),
        "TestModifyOrder" => (Method::Put, "/fapi/v1/order"),
        "TestCancelOrder" => (Method::Delete, "/fapi/v1/order"),
        "TestCancelAllOpenOrders" => (Method::Delete, "/fapi/v1/allOpenOrders"),
        "TestListOpenOrders" => (Method::Get, "/fapi/v1/openOrders"),
        "TestIncomeHistory" => (Method::Get, "/fapi/v1/income"),
        "TestAccountTradeList" => (Method::Get, "/fapi/v1/userTrades"),
        "TestAggregateTrades" => (Method::Get, "/fapi/v1/aggTrades"),
        "TestDepth" => (Method::Get, "/fapi/v1/depth"),
        "TestExchangeInfo" => (Method::Get, "/fapi/v1/exchangeInfo"),
        "TestGetLeverageBracket" => (Method::Get, "/fapi/v1/leverageBracket"),
        "TestGetPositionRisk" => (Method::Get, "/fapi/v3/positionRisk"),
        "TestChangeLeverage" => (Method::Post, "/fapi/v1/leverage"),
        "TestChangeMarginType" => (Method::Post, "/fapi/v1/marginType"),
        "TestChangePositionMode" => (Method::Post, "/fapi/v1/positionSide/dual"),
        "TestStartUserStream" => (Method::Post, "/fapi/v1/listenKey"),
        "TestKlines" if source.contains("/kline_service_test") => (Method::Get, "/fapi/v1/klines"),
        _ => return None,
    })
}

#[test]
#[cfg_attr(not(shared_data), ignore = "no recordings: set ALPHAENGINE_SHARED_DATA")]
fn every_recorded_futures_payload_is_read_or_refused_with_a_named_reason() {
    let fates = fates();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut refused = Vec::new();
    for (what, fate) in &fates {
        let name = match fate {
            Fate::Read => "read",
            Fate::NotAsked => "not asked",
            Fate::Refused(why) => {
                refused.push(format!("{what}: {why}"));
                "refused"
            }
        };
        *counts.entry(name).or_default() += 1;
    }
    println!("{counts:?}\n{}", refused.join("\n"));
    assert!(counts["read"] >= 80, "{counts:?}");
    for line in &refused {
        assert!(EXPECTED.iter().any(|part| line.contains(part)), "refused unexpectedly: {line}");
    }
}

/// Why a recording may be refused.
const EXPECTED: &[&str] = &[
    // Streams that no session subscribes, and events that are not of futures.
    ": unknown event",
    // Differences of the spot book, which has no `pu`; bars of leveraged tokens, which never close.
    ": Depth: missing field `pu`",
    "#TestBLVTKlineServe: Bars: missing field `x`",
    // A sample that was cut when it was written down.
    "#TestListOpenOrders: Orders of the snapshot: field `executedQty`",
    "Concurrent.txt: the recording is not JSON",
];
