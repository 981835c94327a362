//! Requests: keep-alive, pipelining, bodies, the control calls, and what a port can say no to.
#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

mod support;

use std::io::Write;
use std::net::TcpListener;

use alphaengine_core::market::{Feed, MarkPrice, MarketData, MarketUpdate, SymbolId};
use alphaengine_core::units::Price;
use alphaengine_server::{Error, Server, ServerConfig, Speed, Start};
use support::{ask, config, connect, market, order, read_answer, request, start, status};

#[test]
fn one_connection_carries_many_requests() {
    let server = start(config());
    let mut stream = connect(server.address());
    for _ in 0..3 {
        stream.write_all(request("GET", "/fapi/v1/time").as_bytes()).unwrap();
        let answer = read_answer(&mut stream);
        assert_eq!(answer.status, 200);
        assert!(answer.json()["serverTime"].is_i64());
        assert!(answer.header("X-MBX-USED-WEIGHT-1M").is_some());
    }
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let server = start(config());
    let mut stream = connect(server.address());
    let paths = ["/fapi/v1/time", "/sim/v1/status", "/fapi/v1/ping", "/fapi/v1/time"];
    let all: String = paths.iter().map(|path| request("GET", path)).collect();
    stream.write_all(all.as_bytes()).unwrap();
    let bodies = paths.map(|_| read_answer(&mut stream).json());
    assert!(bodies[0].get("serverTime").is_some());
    assert!(bodies[1].get("wall").is_some());
    assert_eq!(bodies[2], serde_json::json!({}));
    assert!(bodies[3].get("serverTime").is_some());
}

#[test]
fn a_port_in_use_is_told_in_a_sentence() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    let config = ServerConfig { address, ..config() };
    let error = Server::start(config, &market::instruments(), market::Swings::minutes(60)).err().unwrap();
    assert!(matches!(error, Error::PortInUse(_)));
    let wanted =
        format!("{address} is in use by another program: stop it, or choose another port (0 takes a free one)");
    assert_eq!(error.to_string(), wanted);
}

#[test]
fn data_without_anything_behind_the_history_are_refused() {
    let empty = Server::start(config(), &market::instruments(), Vec::new().into_iter());
    assert!(matches!(empty.err().unwrap(), Error::NoData));
    let short = Server::start(config(), &market::instruments(), market::Swings::minutes(5));
    assert!(short.err().unwrap().to_string().contains("ask for less history"));
}

/// Three updates, then the disk goes away.
struct Failing(i64);

#[derive(Debug, thiserror::Error)]
#[error("the disk went away")]
struct DiskWentAway;

impl Feed for Failing {
    type Error = DiskWentAway;

    fn next_into(&mut self, update: &mut MarketUpdate) -> Result<bool, DiskWentAway> {
        self.0 += 1;
        if self.0 > 3 {
            return Err(DiskWentAway);
        }
        let mark = MarkPrice { price: Price::from_steps(6_000_000_000_000) };
        let at = market::begin().plus(self.0);
        *update = MarketUpdate { at, symbol: SymbolId(0), data: MarketData::MarkPrice(mark) };
        Ok(true)
    }
}

#[test]
fn data_that_cannot_be_read_on_are_told_and_the_server_still_answers() {
    let config = ServerConfig { speed: Speed::Times(1), history: 0, ..config() };
    let server = Server::start(config, &market::instruments(), Failing(0)).unwrap();
    assert_eq!(server.wait().unwrap_err().to_string(), "reading the market data: the disk went away");
    assert_eq!(ask(server.address(), "GET", "/fapi/v1/ping").status, 200);
}

/// One update, then a mistake in the program.
struct Mistaken(bool);

impl Feed for Mistaken {
    type Error = DiskWentAway;

    fn next_into(&mut self, update: &mut MarketUpdate) -> Result<bool, DiskWentAway> {
        assert!(!self.0, "a mistake that this test makes on purpose");
        self.0 = true;
        Failing(0).next_into(update)
    }
}

#[test]
fn a_server_that_died_does_not_keep_its_owner_waiting() {
    let config = ServerConfig { speed: Speed::Times(1), history: 0, ..config() };
    let server = Server::start(config, &market::instruments(), Mistaken(false)).unwrap();
    assert!(matches!(server.wait(), Err(Error::Died)));
}

#[test]
fn who_holds_the_server_can_look_at_the_gateway_and_turn_its_clock() {
    let server = start(config());
    let time = || ask(server.address(), "GET", "/fapi/v1/time").json()["serverTime"].as_i64().unwrap();
    let before = time();
    server.with_gateway(|gateway| gateway.shift_clock(3_600_000));
    assert!(time() >= before + 3_600_000);
    ask(server.address(), "POST", "/sim/v1/clock?shift_ms=-7200000");
    assert!(time() < before);
    assert_eq!(server.with_gateway(|gateway| gateway.fills().len()), 0);
}

#[test]
fn before_the_first_step_there_is_history_and_no_market() {
    let server = start(ServerConfig { start: Start::Recording, ..config() });
    let klines = ask(server.address(), "GET", "/fapi/v1/klines?symbol=BTCUSDT&interval=1m").json();
    assert_eq!(klines.as_array().unwrap().len(), 5);
    let mut stream = connect(server.address());
    stream.write_all(order("early").as_bytes()).unwrap();
    assert_eq!(read_answer(&mut stream).json()["code"], -1112);
    step_whole(&server);
    stream.write_all(order("early").as_bytes()).unwrap();
    let taken = read_answer(&mut stream).json();
    assert_eq!(taken["updateTime"], status(&server)["at"]);
}

#[test]
fn an_order_is_counted_in_fills_wallet_and_positions() {
    let server = start(config());
    let before = status(&server);
    step_whole(&server);
    let mut stream = connect(server.address());
    stream.write_all(order("one").as_bytes()).unwrap();
    let answer = read_answer(&mut stream);
    assert_eq!(answer.status, 200, "{}", answer.body);
    step_whole(&server);
    let after = status(&server);
    assert_eq!((&before["fills"], &after["fills"]), (&0.into(), &1.into()));
    assert_eq!(after["positions"][0]["qty"], "0.01");
    assert_eq!(support::fills(&server), ["one"]);
    assert_ne!(ask(server.address(), "GET", "/sim/v1/wallet").json()["wallet"], "10000");
}

fn step_whole(server: &Server) {
    for _ in 0..4 {
        ask(server.address(), "POST", "/sim/v1/step");
    }
}

#[test]
fn what_the_control_does_not_know_it_says() {
    let server = start(config());
    for (method, target, reason) in [
        ("GET", "/sim/v1/nothing", "there is no GET /sim/v1/nothing"),
        ("POST", "/sim/v1/ban", "`seconds` is missing"),
        ("POST", "/sim/v1/close?route=left", "`route` is missing or unknown"),
    ] {
        let answer = ask(server.address(), method, target);
        assert_eq!(answer.status, 400);
        assert!(answer.json()["error"].as_str().unwrap().contains(reason), "{}", answer.body);
    }
}
