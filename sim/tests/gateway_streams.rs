//! Streams: every way in that a client knows, what each carries, and how connections live and end.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot run should say so at once")]

mod gateway_support;

use alphaengine_core::units::{NANOS_PER_SECOND, Nanos};
use alphaengine_sim::gateway::{ConnectionId, Frame, GatewayConfig};
use gateway_support::*;
use serde_json::{Value, json};

const MARKET: &str = "symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.010";

fn loose() -> Exchange {
    Exchange::with(GatewayConfig { strict_routes: false, ..gateway_config() }, sim_config())
}

fn strict() -> Exchange {
    Exchange::with(GatewayConfig { strict_routes: true, ..gateway_config() }, sim_config())
}

#[test]
fn the_id_of_a_control_frame_comes_back_as_it_was() {
    let mut exchange = loose();
    let socket = exchange.connect("/market/ws/0", "");
    for id in [json!(0), json!(7), json!("7e1b7f0a-8a3c-4a63-9c2e-94a1e5e8d9c1"), json!(null)] {
        let frame = json!({"method": "SUBSCRIBE", "params": ["btcusdt@aggTrade"], "id": id});
        exchange.text(socket, &frame.to_string());
        assert_eq!(exchange.frames(socket), [json!({"result": null, "id": id})]);
    }
    let list = json!({"method": "LIST_SUBSCRIPTIONS", "id": 1}).to_string();
    exchange.text(socket, &list);
    assert_eq!(exchange.frames(socket), [json!({"result": ["btcusdt@aggTrade"], "id": 1})]);
    exchange.text(socket, &json!({"method": "UNSUBSCRIBE", "params": ["btcusdt@aggTrade"], "id": 2}).to_string());
    exchange.text(socket, &list);
    assert_eq!(exchange.frames(socket)[1]["result"], json!([]));
    exchange.now += 1_000;
    for (broken, code) in [("{", 3), (r#"{"method":"DANCE","id":1}"#, 2), (r#"{"method":"SUBSCRIBE","id":1}"#, 2)] {
        exchange.text(socket, broken);
        assert_eq!(exchange.frames(socket)[0]["code"], json!(code), "{broken}");
    }
}

/// Subscribes in some way and says whether a trade arrives, and how.
#[track_caller]
fn check_way(exchange: &mut Exchange, path: &str, query: &str, names: &[&str], expected: &str) {
    exchange.now += 5_000;
    let socket = exchange.connect(path, query);
    if !names.is_empty() {
        exchange.text(socket, &json!({"method": "SUBSCRIBE", "params": names, "id": 1}).to_string());
        exchange.frames(socket);
    }
    exchange.close_minute(BTC, ["100000", "100000", "100000", "100000"]);
    exchange.open(BTC, "100000");
    let got = match exchange.frames(socket).first() {
        None => "silent".to_owned(),
        Some(frame) if frame["stream"].is_string() => format!("wrapped {}", frame["stream"].as_str().unwrap()),
        Some(frame) => format!("bare {}", frame["e"].as_str().unwrap()),
    };
    assert_eq!(got, expected, "{path}?{query} {names:?}");
    exchange.gateway.disconnect(socket);
}

#[test]
fn every_way_in_leads_to_the_stream() {
    let mut exchange = loose();
    let name = "btcusdt@aggTrade";
    for route in ["", "/market", "/public", "/private"] {
        check_way(&mut exchange, &format!("{route}/ws/{name}"), "", &[], "bare aggTrade");
        check_way(&mut exchange, &format!("{route}/ws"), "", &[name], "bare aggTrade");
        check_way(&mut exchange, &format!("{route}/ws/3"), "", &[name], "bare aggTrade");
        let query = format!("streams={name}/ethusdt@aggTrade");
        check_way(&mut exchange, &format!("{route}/stream"), &query, &[], "wrapped btcusdt@aggTrade");
        check_way(&mut exchange, &format!("{route}/stream"), "streams=", &[name], "wrapped btcusdt@aggTrade");
    }
}

#[test]
fn with_strict_routes_the_wrong_route_is_silent() {
    let mut exchange = strict();
    check_way(&mut exchange, "/market/ws/btcusdt@aggTrade", "", &[], "bare aggTrade");
    check_way(&mut exchange, "/public/ws/btcusdt@aggTrade", "", &[], "silent");
    check_way(&mut exchange, "/ws/btcusdt@aggTrade", "", &[], "silent");
    check_way(&mut exchange, "/market/ws", "", &["btcusdt@kline_1m"], "bare kline");
    check_way(&mut exchange, "/public/ws", "", &["btcusdt@depth5"], "silent");
    exchange.quote(BTC, "99999.9", "100000");
    let public = exchange.connect("/public/ws/btcusdt@bookTicker", "");
    let market = exchange.connect("/market/ws/btcusdt@bookTicker", "");
    let legacy = exchange.connect("/ws/btcusdt@bookTicker", "");
    exchange.quote(BTC, "100000", "100000.1");
    assert_eq!(exchange.frames(public).len(), 1);
    assert_eq!(exchange.frames(market).len(), 0);
    assert_eq!(exchange.frames(legacy).len(), 1);
}

#[test]
fn user_events_come_in_every_form_that_clients_use() {
    let mut exchange = loose();
    let key = exchange.listen_key();
    let query = format!("listenKey={key}");
    let streams = format!("streams={key}");
    let bare = [
        exchange.connect("/private/ws", &query),
        exchange.connect(&format!("/private/ws/{key}"), ""),
        exchange.connect(&format!("/ws/{key}"), ""),
    ];
    let wrapped = [
        exchange.connect("/private/stream", &query),
        exchange.connect("/private/stream", &streams),
        exchange.connect("/private/stream", ""),
    ];
    exchange.text(wrapped[2], &json!({"method": "SUBSCRIBE", "params": [key], "id": "x"}).to_string());
    exchange.frames(wrapped[2]);
    let some = exchange.connect("/private/ws", &format!("{query}&events=ORDER_TRADE_UPDATE/ALGO_UPDATE"));
    let other = exchange.connect("/private/ws", &format!("listenKey={}", "x".repeat(64)));
    exchange.ok("POST", "/fapi/v1/order", MARKET);
    for socket in bare {
        assert_eq!(kinds(&exchange.frames(socket)), "NEW TRADE_LITE TRADE ACCOUNT_UPDATE");
    }
    for socket in wrapped {
        let frames = exchange.frames(socket);
        assert!(frames.iter().all(|frame| frame["stream"] == json!(key)), "{frames:?}");
        let events: Vec<Value> = frames.into_iter().map(|frame| frame["data"].clone()).collect();
        assert_eq!(kinds(&events), "NEW TRADE_LITE TRADE ACCOUNT_UPDATE");
    }
    assert_eq!(kinds(&exchange.frames(some)), "NEW TRADE");
    assert!(exchange.frames(other).is_empty());
}

#[test]
fn settings_are_pushed() {
    let mut exchange = loose();
    let user = exchange.listen_to_user();
    exchange.ok("POST", "/fapi/v1/leverage", "symbol=BTCUSDT&leverage=7");
    exchange.ok("POST", "/fapi/v1/marginType", "symbol=BTCUSDT&marginType=ISOLATED");
    let events = exchange.frames(user);
    assert_eq!(events[0]["ac"], json!({"s": "BTCUSDT", "l": 7}));
    assert_eq!(events[1]["a"]["m"], json!("MARGIN_TYPE_CHANGE"));
    assert_eq!(events[1]["a"]["P"][0]["mt"], json!("isolated"));
}

#[test]
fn an_isolated_margin_can_be_moved() {
    let mut exchange = loose();
    exchange.ok("POST", "/fapi/v1/marginType", "symbol=BTCUSDT&marginType=ISOLATED");
    exchange.ok("POST", "/fapi/v1/order", MARKET);
    let user = exchange.listen_to_user();
    let answer = exchange.ok("POST", "/fapi/v1/positionMargin", "symbol=BTCUSDT&amount=25.5&type=1");
    assert_eq!((&answer["amount"], &answer["type"]), (&json!(25.5), &json!(1)));
    let events = exchange.frames(user);
    assert_eq!(
        (&events[0]["a"]["m"], &events[0]["a"]["P"][0]["iw"]),
        (&json!("MARGIN_TRANSFER"), &json!("75.50000000"))
    );
    assert_eq!(exchange.code("POST", "/fapi/v1/positionMargin", "symbol=BTCUSDT&amount=26&type=2"), -4051);
    exchange.ok("POST", "/fapi/v1/positionMargin", "symbol=BTCUSDT&amount=25.5&type=2");
    assert_eq!(exchange.ok("GET", "/fapi/v3/positionRisk", "")[0]["isolatedWallet"], json!("50.00000000"));
    assert_eq!(exchange.gateway.wallet_total(), money("9999.5"));
}

/// The candle of REST as the stream writes it.
fn as_stream(row: &Value) -> Vec<Value> {
    row.as_array().unwrap()[..11].to_vec()
}

fn as_row(event: &Value) -> Vec<Value> {
    ["t", "o", "h", "l", "c", "v", "T", "q", "n", "V", "Q"].iter().map(|field| event["k"][*field].clone()).collect()
}

#[test]
fn the_last_push_of_a_candle_is_the_candle_of_rest() {
    let mut exchange = loose();
    let socket = exchange.connect("/market/ws", "");
    let names = json!(["btcusdt@kline_1m", "btcusdt@kline_3m", "btcusdt_perpetual@continuousKline_1m"]);
    exchange.text(socket, &json!({"method": "SUBSCRIBE", "params": names, "id": 1}).to_string());
    exchange.frames(socket);
    // START is the first minute of three.
    for (number, close) in ["100010", "100020", "100005"].iter().enumerate() {
        exchange.close_minute(BTC, ["100000", "100050", "99900", close]);
        let events = exchange.frames(socket);
        assert_eq!(events.len(), 3);
        for event in &events {
            let interval = event["k"]["i"].as_str().unwrap();
            let closes = interval == "1m" || number == 2;
            assert_eq!(event["k"]["x"], json!(closes), "{event}");
            let rows = exchange.get("/fapi/v1/klines", &format!("symbol=BTCUSDT&interval={interval}&limit=1"));
            assert_eq!(as_row(event), as_stream(&rows[0]));
        }
        assert_eq!(events[2]["ps"], json!("BTCUSDT"), "continuous candles name the pair");
        exchange.open(BTC, close);
        assert!(exchange.frames(socket).iter().all(|event| event["k"]["x"] == json!(false)));
    }
}

#[test]
fn candles_of_trades_end_with_their_time() {
    let mut exchange = Exchange::fresh(gateway_config(), sim_config());
    let socket = exchange.connect("/market/ws/btcusdt@kline_1m", "");
    exchange.trade(BTC, 10, "100000", "1");
    exchange.now += 1_000;
    exchange.trade(BTC, 11, "100010", "2");
    exchange.now += 10;
    // Too soon after the push before it.
    exchange.trade(BTC, 12, "99990", "1");
    assert_eq!(exchange.frames(socket).len(), 2);
    // Two minutes later the first one is told to be over, and a flat one after it.
    exchange.now = START + 120_500;
    exchange.trade(BTC, 13, "100020", "1");
    let events = exchange.frames(socket);
    let shape = |event: &Value| {
        let k = &event["k"];
        (
            k["t"].as_i64().unwrap() - START,
            k["x"].as_bool().unwrap(),
            k["c"].as_str().unwrap().to_owned(),
            k["n"].as_i64().unwrap(),
        )
    };
    let shapes: Vec<_> = events.iter().map(shape).collect();
    assert_eq!(
        shapes,
        [
            (0, true, "99990.00".into(), 3),
            (60_000, true, "99990.00".into(), 0),
            (120_000, false, "100020.00".into(), 1)
        ]
    );
    let rows = exchange.get("/fapi/v1/klines", "symbol=BTCUSDT&interval=1m");
    assert_eq!(as_row(&events[0]), as_stream(&rows[0]));
    assert_eq!(as_row(&events[1]), as_stream(&rows[1]));
    assert_eq!(
        (&events[0]["k"]["f"], &events[0]["k"]["L"], &events[0]["k"]["v"]),
        (&json!(10), &json!(12), &json!("4.000"))
    );
}

#[test]
fn bars_make_trades_quotes_and_marks() {
    let mut exchange = loose();
    let names = "btcusdt@aggTrade/btcusdt@trade/btcusdt@bookTicker/btcusdt@markPrice@1s/btcusdt@ticker/btcusdt@miniTicker/!markPrice@arr@1s/!bookTicker/!ticker@arr";
    let socket = exchange.connect("/stream", &format!("streams={names}"));
    exchange.close_minute(BTC, ["100000", "100050", "99900", "100010"]);
    let frames = exchange.frames(socket);
    let of = |name: &str| {
        let found = frames.iter().find(|frame| frame["stream"] == json!(name));
        found.unwrap_or_else(|| panic!("nothing of {name} in {frames:?}"))["data"].clone()
    };
    let trade = of("btcusdt@aggTrade");
    assert_eq!((&trade["p"], &trade["T"]), (&json!("100010.00"), &json!(START + 59_999)));
    assert_eq!(of("btcusdt@trade")["t"], trade["a"]);
    let quote = of("btcusdt@bookTicker");
    assert_eq!((&quote["b"], &quote["a"]), (&json!("100009.90"), &json!("100010.10")));
    assert_eq!(of("!bookTicker"), quote);
    let mark = of("btcusdt@markPrice@1s");
    assert_eq!(mark["p"], json!("100010.00"));
    assert!(mark["T"].as_i64().unwrap() > mark["E"].as_i64().unwrap(), "the next funding lies ahead: {mark}");
    assert_eq!(of("!markPrice@arr@1s"), json!([mark]));
    assert_eq!(of("btcusdt@ticker")["c"], json!("100010.00"));
    assert_eq!(of("btcusdt@miniTicker")["e"], json!("24hrMiniTicker"));
    assert!(of("!ticker@arr").is_array());
}

#[test]
fn the_book_follows_from_a_snapshot_and_its_changes() {
    use std::collections::BTreeMap;
    let mut exchange = Exchange::fresh(gateway_config(), sim_config());
    exchange.quote(BTC, "100000", "100000.1");
    let socket = exchange.connect("/public/ws/btcusdt@depth@100ms", "");
    let top = exchange.connect("/public/ws/btcusdt@depth5@100ms", "");
    exchange.quote(BTC, "100000.1", "100000.2");
    let snapshot = exchange.get("/fapi/v1/depth", "symbol=BTCUSDT&limit=1000");
    let last_id = snapshot["lastUpdateId"].as_i64().unwrap();
    let mut book: BTreeMap<(bool, String), String> = BTreeMap::new();
    let mut set = |is_bid: bool, levels: &Value| {
        for level in levels.as_array().unwrap() {
            let (price, size) = (level[0].as_str().unwrap(), level[1].as_str().unwrap());
            if qty(size).is_zero() {
                book.remove(&(is_bid, price.into()));
            } else {
                book.insert((is_bid, price.into()), size.into());
            }
        }
    };
    set(true, &snapshot["bids"]);
    set(false, &snapshot["asks"]);
    for (bid, ask) in [("100000.3", "100000.5"), ("99990", "99990.1"), ("100020", "100020.1")] {
        exchange.quote(BTC, bid, ask);
    }
    let events: Vec<Value> = exchange.frames(socket);
    let mut previous = None;
    let mut applied = 0;
    for event in events {
        let id = |field: &str| event[field].as_i64().unwrap();
        assert!(previous.is_none_or(|previous| previous == id("pu")), "the chain is whole: {event}");
        previous = Some(id("u"));
        if id("u") < last_id {
            continue;
        }
        applied += 1;
        assert!(applied > 1 || id("U") <= last_id, "the first one covers the snapshot: {event}");
        set(true, &event["b"]);
        set(false, &event["a"]);
    }
    assert_eq!(applied, 3);
    let now = exchange.get("/fapi/v1/depth", "symbol=BTCUSDT&limit=1000");
    let mut expected = BTreeMap::new();
    for (is_bid, side) in [(true, "bids"), (false, "asks")] {
        for level in now[side].as_array().unwrap() {
            expected.insert((is_bid, level[0].as_str().unwrap().to_owned()), level[1].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(book, expected);
    let top = exchange.frames(top).pop().unwrap();
    assert_eq!(top["b"], json!(now["bids"].as_array().unwrap()[..5]));
}

#[test]
fn a_listen_key_lives_an_hour_and_its_end_is_told() {
    let mut exchange = loose();
    let user = exchange.listen_to_user();
    let key = exchange.listen_key();
    exchange.now += 59 * 60_000;
    assert_eq!(exchange.raw("PUT", "/fapi/v1/listenKey", "", "", Some(KEY)).status, 200);
    exchange.now += 59 * 60_000;
    assert_eq!(exchange.listen_key(), key, "a live key is given again");
    exchange.now += 60 * 60_000;
    exchange.tick();
    let events = exchange.frames(user);
    assert_eq!((&events[0]["e"], &events[0]["listenKey"]), (&json!("listenKeyExpired"), &json!(key)));
    let response = exchange.raw("PUT", "/fapi/v1/listenKey", "", "", Some(KEY));
    assert_eq!((response.status, json(&response)["code"].as_i64()), (400, Some(-1125)));
    exchange.ok("POST", "/fapi/v1/order", MARKET);
    assert!(exchange.frames(user).is_empty(), "the old connection stays open and silent");
    assert_ne!(exchange.listen_key(), key);
    exchange.ok("POST", "/fapi/v1/order", MARKET);
    assert!(exchange.frames(user).is_empty());
}

#[test]
fn keys_can_be_expired_and_routes_closed_by_a_test() {
    let mut exchange = loose();
    let user = exchange.listen_to_user();
    let market = exchange.connect("/market/ws/btcusdt@aggTrade", "");
    exchange.gateway.expire_listen_keys(exchange.wall());
    exchange.tick();
    assert_eq!(exchange.frames(user)[0]["e"], json!("listenKeyExpired"));
    exchange.gateway.close_route("private");
    exchange.tick();
    assert_eq!(closed(&exchange), [(user, 1001)]);
    exchange.gateway.close_route("market");
    exchange.tick();
    assert_eq!(closed(&exchange), [(user, 1001), (market, 1001)]);
}

fn closed(exchange: &Exchange) -> Vec<(ConnectionId, u16)> {
    let close = |(id, frame): &(ConnectionId, Frame)| match frame {
        Frame::Close { code, .. } => Some((*id, *code)),
        _ => None,
    };
    exchange.heard.iter().filter_map(close).collect()
}

fn pings(exchange: &mut Exchange) -> usize {
    let before = exchange.heard.len();
    exchange.heard.retain(|(_, frame)| !matches!(frame, Frame::Ping(_)));
    before - exchange.heard.len()
}

#[test]
fn connections_are_pinged_and_must_answer() {
    let mut exchange = loose();
    let quiet = exchange.connect("/market/ws/btcusdt@aggTrade", "");
    let polite = exchange.connect("/market/ws/btcusdt@aggTrade", "");
    for _ in 0..3 {
        assert_eq!(exchange.gateway.next_tick().millis(), exchange.now + 180_000);
        exchange.now += 180_000;
        exchange.tick();
        assert_eq!(pings(&mut exchange), 2);
        exchange.gateway.pong(exchange.wall(), polite);
    }
    exchange.now += 60_000;
    exchange.tick();
    assert_eq!(closed(&exchange), [(quiet, 1008)]);
}

#[test]
fn a_connection_lives_a_day() {
    const DAY: i64 = 24 * 3_600_000;
    let mut exchange = loose();
    let socket = exchange.connect("/market/ws/btcusdt@aggTrade", "");
    let end = exchange.now + DAY;
    while exchange.gateway.next_tick().millis() < end {
        exchange.now = exchange.gateway.next_tick().millis();
        exchange.tick();
        exchange.gateway.pong(exchange.wall(), socket);
    }
    assert_eq!(closed(&exchange), []);
    exchange.now = end;
    exchange.tick();
    assert_eq!(closed(&exchange), [(socket, 1001)]);
}

#[test]
fn who_talks_too_much_is_disconnected() {
    let mut exchange = loose();
    let socket = exchange.connect("/market/ws", "");
    for number in 0..30 {
        exchange.text(socket, r#"{"method":"LIST_SUBSCRIPTIONS","id":1}"#);
        exchange.now += if number < 20 { 100 } else { 0 };
    }
    assert_eq!(closed(&exchange), [(socket, 1008)]);
    assert!(exchange.frames(socket).len() >= 20);
}

#[test]
fn unknown_places_refuse_the_upgrade() {
    let mut exchange = loose();
    for path in ["/", "", "/nothing", "/market", "/market/feed/x", "/ws-fapi/v9"] {
        let refused = exchange.gateway.connect(exchange.wall(), ConnectionId(99), path, "");
        assert_eq!(refused.map_err(|response| response.status), Err(404), "{path}");
    }
}

/// Market time runs ahead of the wall clock: market events carry the one, server time and listen keys the other.
#[test]
fn the_two_clocks_are_kept_apart() {
    let mut exchange = loose();
    let user = exchange.listen_to_user();
    let ahead = update(
        START + 7_200_000,
        BTC,
        alphaengine_core::market::MarketData::BarOpen(alphaengine_core::market::BarOpen {
            price: price("100000"),
            timeframe: alphaengine_core::market::Timeframe::M1,
        }),
    );
    exchange.gateway.market_moves(exchange.wall(), &ahead);
    exchange.gateway.market_is_told(exchange.wall(), &ahead);
    exchange.tick();
    assert!(exchange.frames(user).is_empty(), "the listen key lives by the wall clock");
    assert_eq!(exchange.get("/fapi/v1/time", "")["serverTime"], json!(START));
    let order = exchange.ok("POST", "/fapi/v1/order", MARKET);
    assert_eq!(order["updateTime"], json!(START + 7_200_000));
    assert_eq!(exchange.frames(user)[0]["E"], json!(START + 7_200_000));
    let span: Nanos = exchange.gateway.next_tick().since(exchange.wall());
    assert_eq!(span / NANOS_PER_SECOND, 180);
}

#[test]
fn a_market_that_stands_repeats_its_mark_and_its_quote_with_times_that_go_on() {
    let mut exchange = loose();
    exchange.open(BTC, "100000");
    let socket = exchange.connect("/stream", "streams=btcusdt@markPrice@1s/btcusdt@bookTicker/btcusdt@aggTrade");
    let mut told = Vec::new();
    for _ in 0..3 {
        exchange.now += 2_000;
        let wall = exchange.wall();
        exchange.gateway.market_stands(wall, wall);
        exchange.tick();
        let frames = exchange.frames(socket);
        let kinds: Vec<&str> = frames.iter().map(|frame| frame["data"]["e"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["markPriceUpdate", "bookTicker"], "and no trade, because there was none");
        told.push(frames[1]["data"]["E"].as_i64().unwrap());
    }
    assert_eq!((told[1] - told[0], told[2] - told[1]), (2_000, 2_000));
}
