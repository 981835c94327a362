//! Stream connections: every route, stepped counts, slow readers, many at once, outage and restart.
#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

mod support;

use std::io::Write;
use std::net::TcpStream;

use alphaengine_core::market::{MarketData, MarketUpdate, SymbolId, Trade};
use alphaengine_core::units::{NANOS_PER_MINUTE, Price, Qty};
use alphaengine_server::{QUEUE, Server, ServerConfig, Speed, Start};
use serde_json::Value;
use support::{
    ask, config, connect, fills, market, next_text, open, open_private, order, read_answer, start, status, until,
};

fn step(server: &Server) -> Value {
    ask(server.address(), "POST", "/sim/v1/step").json()
}

#[test]
fn every_route_takes_an_upgrade_and_answers_control_frames() {
    let server = start(config());
    let key = ask(server.address(), "POST", "/fapi/v1/listenKey").json()["listenKey"].as_str().unwrap().to_owned();
    for target in [
        "/ws",
        "/ws/btcusdt@aggTrade",
        "/stream?streams=btcusdt@aggTrade/ethusdt@aggTrade",
        "/public/ws/btcusdt@bookTicker",
        "/public/stream?streams=",
        "/market/ws/0",
        "/market/stream?streams=btcusdt@kline_1m",
        &format!("/private/ws/{key}"),
        &format!("/private/ws?listenKey={key}"),
        &format!("/private/stream?streams={key}"),
    ] {
        let mut socket = open(server.address(), target);
        socket.send(r#"{"method":"LIST_SUBSCRIPTIONS","id":3}"#.into()).unwrap();
        let reply: Value = serde_json::from_str(&next_text(&mut socket)).unwrap();
        assert_eq!(reply["id"], 3, "{target}");
    }
    let mut requests = open(server.address(), "/ws-fapi/v1");
    requests.send(r#"{"id":"a","method":"ticker.price","params":{"symbol":"BTCUSDT"}}"#.into()).unwrap();
    let reply: Value = serde_json::from_str(&next_text(&mut requests)).unwrap();
    assert_eq!(reply["id"], "a");
}

#[test]
fn a_stepped_client_knows_how_many_frames_to_read() {
    let server = start(config());
    let mut market = open(server.address(), "/market/stream?streams=btcusdt@aggTrade/btcusdt@kline_1m");
    let mut private = open_private(server.address());
    let (mut read_market, mut read_private, mut phases) = (0, 0, Vec::new());
    let mut order_sent = false;
    for _ in 0..12 {
        let step = step(&server);
        phases.push(step["phase"].as_str().unwrap().to_owned());
        while read_market < step["frames"]["market"].as_u64().unwrap() {
            next_text(&mut market);
            read_market += 1;
        }
        while read_private < step["frames"]["private"].as_u64().unwrap() {
            next_text(&mut private);
            read_private += 1;
        }
        if !order_sent {
            let mut stream = connect(server.address());
            stream.write_all(order("stepped").as_bytes()).unwrap();
            assert_eq!(read_answer(&mut stream).status, 200);
            order_sent = true;
        }
    }
    assert!(read_market > 0 && read_private > 0);
    // No more than was announced.
    for socket in [&mut market, &mut private] {
        socket.get_ref().set_nonblocking(true).unwrap();
        assert!(socket.read().is_err());
    }
    assert!(phases.iter().all(|phase| phase == "exchange" || phase == "market"));
}

#[test]
fn a_user_event_of_the_market_splits_the_step() {
    let server = start(config());
    step(&server);
    // A buy just below the market: the price swings down to it within the hour, and through it.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let target = format!(
        "/fapi/v1/order?symbol=BTCUSDT&side=BUY&type=LIMIT&timeInForce=GTC&quantity=0.010&price=60010&newClientOrderId=rest&timestamp={now}&signature=none"
    );
    let _private = open_private(server.address());
    let answer = ask(server.address(), "POST", &target);
    assert_eq!(answer.status, 200, "{}", answer.body);
    let mut steps = 0;
    let halved = loop {
        let step = step(&server);
        steps += 1;
        assert!(!step["done"].as_bool().unwrap() && steps < 5_000, "never filled");
        if step["phase"] == "exchange" {
            break step;
        }
    };
    assert_eq!(fills(&server), ["rest"]);
    let second = step(&server);
    assert_eq!((&second["phase"], &second["at"]), (&"market".into(), &halved["at"]));
    assert_eq!(second["frames"]["private"], halved["frames"]["private"]);
}

#[test]
fn stepping_ends_with_done_and_the_server_goes_on() {
    let feed = market::Swings::minutes(6).bars_only();
    let server = Server::start(config(), &market::instruments(), feed).unwrap();
    let mut last = step(&server);
    let mut steps = 1;
    while last["done"] == false {
        last = step(&server);
        steps += 1;
    }
    // The minute's opening and its end.
    assert_eq!(steps, 2);
    assert_eq!(step(&server), last);
    assert_eq!(ask(server.address(), "GET", "/fapi/v1/ping").status, 200);
}

#[test]
fn the_newest_candle_is_the_one_of_this_minute() {
    let server = start(ServerConfig { speed: Speed::Times(1), ..config() });
    let klines = || ask(server.address(), "GET", "/fapi/v1/klines?symbol=BTCUSDT&interval=1m&limit=10").json();
    let minute = |wall: i64| wall - wall.rem_euclid(60_000);
    until("the first bar is open", || {
        let before = minute(status(&server)["wall"].as_i64().unwrap());
        let klines = klines();
        let newest = klines.as_array().unwrap().last().unwrap()[0].as_i64().unwrap();
        let after = minute(status(&server)["wall"].as_i64().unwrap());
        assert!(newest <= after);
        newest >= before && klines.as_array().unwrap().len() >= 6
    });
}

#[test]
fn a_recording_keeps_its_own_times() {
    let server = start(ServerConfig { start: Start::Recording, ..config() });
    let first = step(&server)["at"].as_i64().unwrap();
    assert_eq!(first, market::begin().plus(5 * NANOS_PER_MINUTE).millis());
}

#[test]
fn a_consumer_that_does_not_read_is_cut_off_and_the_others_are_not() {
    /// Trades of one instant. Fewer than the queue holds, so that who reads between the steps is never too slow.
    const AT_ONCE: i64 = QUEUE as i64 / 2;
    let trade = |n: i64| MarketUpdate {
        at: market::begin().plus(n / AT_ONCE),
        symbol: SymbolId(0),
        data: MarketData::Trade(Trade {
            id: n + 1,
            price: Price::from_steps(6_000_000_000_000),
            qty: Qty::from_steps(100_000),
            is_buyer_maker: false,
        }),
    };
    let feed: Vec<MarketUpdate> = (0..200 * AT_ONCE).map(trade).collect();
    let server =
        Server::start(ServerConfig { history: 0, ..config() }, &market::instruments(), feed.into_iter()).unwrap();
    let slow = open(server.address(), "/market/ws/btcusdt@aggTrade");
    let mut quick = open(server.address(), "/market/ws/btcusdt@aggTrade");
    let mut last = 0;
    // The system's own buffers take some megabytes before the queue begins to fill.
    while status(&server)["connections"]["market"] == 2 {
        assert_eq!(step(&server)["done"], false, "the slow one was never cut off");
        last += AT_ONCE;
        while !next_text(&mut quick).contains(&format!("\"a\":{last},")) {}
    }
    step(&server);
    assert!(next_text(&mut quick).contains(&format!("\"a\":{},", last + 1)));
    assert_eq!(status(&server)["connections"]["market"], 1);
    drop(slow);
}

#[test]
fn two_hundred_connections_hear_the_same() {
    let server = start(config());
    let mut sockets: Vec<_> = (0..200).map(|_| open(server.address(), "/market/ws/btcusdt@aggTrade")).collect();
    assert_eq!(status(&server)["connections"]["market"], 200);
    while step(&server)["frames"]["market"].as_u64().unwrap() < 200 {}
    let heard: Vec<String> = sockets.iter_mut().map(next_text).collect();
    assert!(heard.iter().all(|text| *text == heard[0] && text.contains("aggTrade")));
}

#[test]
fn after_an_outage_the_port_and_the_account_are_back() {
    let server = start(config());
    step(&server);
    let mut stream = connect(server.address());
    stream.write_all(order("before").as_bytes()).unwrap();
    assert_eq!(read_answer(&mut stream).status, 200);
    while fills(&server).is_empty() {
        step(&server);
    }
    let mut socket = open(server.address(), "/market/ws");
    ask(server.address(), "POST", "/sim/v1/outage?seconds=3");
    assert!(socket.read().is_err(), "the stream should be reset");
    until("connections are refused", || TcpStream::connect(server.address()).is_err());
    until("the port is back", || TcpStream::connect(server.address()).is_ok());
    assert_eq!(fills(&server), ["before"]);
}

#[test]
fn a_restart_on_the_same_port_keeps_the_account() {
    let server = start(config());
    step(&server);
    let mut stream = connect(server.address());
    stream.write_all(order("before").as_bytes()).unwrap();
    assert_eq!(read_answer(&mut stream).status, 200);
    while fills(&server).is_empty() {
        step(&server);
    }
    let (address, wallet, at) = (server.address(), status(&server)["wallet"].clone(), status(&server)["at"].clone());
    let socket = open(address, "/market/ws");
    let parts = server.stop();
    assert!(TcpStream::connect(address).is_err());
    drop(socket);
    let server = Server::restart(&ServerConfig { address, ..config() }, parts).unwrap();
    assert_eq!(server.address(), address);
    assert_eq!(fills(&server), ["before"]);
    assert_eq!((&status(&server)["wallet"], &status(&server)["at"]), (&wallet, &at));
    assert_eq!(status(&server)["connections"]["market"], 0);
    let mut socket = open(address, "/market/ws");
    socket.send(r#"{"method":"LIST_SUBSCRIPTIONS","id":1}"#.into()).unwrap();
    assert!(next_text(&mut socket).contains("1"));
}

#[test]
fn the_fastest_market_waits_for_its_first_listener_and_loses_nothing() {
    let config = ServerConfig { speed: Speed::Max, idle_at_end: false, ..config() };
    let server = start(config);
    assert_eq!(status(&server)["done"], false);
    let mut socket = open(server.address(), "/market/ws/btcusdt@kline_1m");
    let mut closed = 0;
    while closed < 55 {
        let kline: Value = serde_json::from_str(&next_text(&mut socket)).unwrap();
        closed += i32::from(kline["k"]["x"] == true);
    }
    server.wait().unwrap();
}
