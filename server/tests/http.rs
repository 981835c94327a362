//! Requests: keep-alive, pipelining, bodies, the control calls, and what a port can say no to.
#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

mod support;

use std::io::Write;
use std::net::TcpListener;

use alphaengine_server::{Error, Server, ServerConfig};
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
