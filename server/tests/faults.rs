//! Each kind of fault as it looks on the wire.
#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

mod support;

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use alphaengine_server::Server;
use support::{
    ask, connect, fills, next_text, open, open_private, order, post, read_answer, read_to_end, request, start,
    start_with_faults, until,
};

/// What comes back when the first request of a server with this fault is sent.
fn first_request(fault: &str) -> (Server, TcpStream) {
    let server = start_with_faults(&format!(r#"[{{"on": {{"path": "/fapi/*", "nth": 1}}, "fault": {fault}}}]"#));
    let mut stream = connect(server.address());
    stream.write_all(request("GET", "/fapi/v1/time").as_bytes()).unwrap();
    (server, stream)
}

#[test]
fn another_status_stands_for_the_answer() {
    let fault = r#"{"kind": "status", "code": 503, "headers": {"retry-after": "3"}, "body": "Service Unavailable."}"#;
    let (server, mut stream) = first_request(fault);
    let answer = read_answer(&mut stream);
    assert_eq!((answer.status, answer.body.as_str()), (503, "Service Unavailable."));
    assert_eq!(answer.header("Retry-After"), Some("3"));
    // The connection lives, and the second request is none of the plan's business.
    stream.write_all(request("GET", "/fapi/v1/time").as_bytes()).unwrap();
    assert_eq!(read_answer(&mut stream).status, 200);
    drop(server);
}

#[test]
fn an_error_has_the_exchanges_shape() {
    let (_server, mut stream) = first_request(r#"{"kind": "error", "code": -1021, "message": "Too late."}"#);
    let answer = read_answer(&mut stream);
    assert_eq!(answer.status, 400);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.json(), serde_json::json!({"code": -1021, "msg": "Too late."}));
}

#[test]
fn a_page_comes_where_json_is_due() {
    let (_server, mut stream) = first_request(r#"{"kind": "html", "status": 403}"#);
    let answer = read_answer(&mut stream);
    assert_eq!((answer.status, answer.header("content-type")), (403, Some("text/html")));
    assert!(answer.body.starts_with("<html>"));
}

#[test]
fn a_redirect_names_another_place() {
    let (_server, mut stream) = first_request(r#"{"kind": "redirect", "location": "http://elsewhere/"}"#);
    let answer = read_answer(&mut stream);
    assert_eq!((answer.status, answer.header("location")), (307, Some("http://elsewhere/")));
}

#[test]
fn headers_are_replaced_and_left_out() {
    let fault = r#"{"kind": "headers", "set": {"X-MBX-USED-WEIGHT-1M": "2399"}, "remove": ["content-type"]}"#;
    let (_server, mut stream) = first_request(fault);
    let answer = read_answer(&mut stream);
    assert_eq!(answer.header("x-mbx-used-weight-1m"), Some("2399"));
    assert_eq!(answer.head.to_lowercase().matches("x-mbx-used-weight-1m").count(), 1);
    assert_eq!(answer.header("content-type"), None);
}

#[test]
fn a_delay_comes_before_the_exchange_or_after_it() {
    for way in ["request", "answer"] {
        let begin = Instant::now();
        let (_server, mut stream) = first_request(&format!(r#"{{"kind": "delay", "ms": 300, "of": "{way}"}}"#));
        assert_eq!(read_answer(&mut stream).status, 200);
        assert!(begin.elapsed() >= Duration::from_millis(300));
    }
}

#[test]
fn a_body_is_cut_short_below_its_announced_length() {
    for (how, end) in [("eof", None), ("reset", Some(ErrorKind::ConnectionReset))] {
        let (_server, mut stream) =
            first_request(&format!(r#"{{"kind": "truncate_body", "keep": 5, "how": "{how}"}}"#));
        let (text, ended) = read_to_end(&mut stream);
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"));
        assert!(!head.to_lowercase().contains("content-length: 5\r\n"));
        assert_eq!((body.len(), ended), (5, end), "{text}");
    }
}

#[test]
fn a_body_stalls_and_the_connection_stays() {
    let (_server, mut stream) = first_request(r#"{"kind": "stall_body", "keep": 4}"#);
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let (text, ended) = read_to_end(&mut stream);
    assert_eq!(text.split_once("\r\n\r\n").unwrap().1.len(), 4);
    assert_eq!(ended, Some(ErrorKind::WouldBlock));
}

#[test]
fn a_slow_body_comes_whole() {
    let begin = Instant::now();
    let (_server, mut stream) = first_request(r#"{"kind": "slow_body", "ms": 300}"#);
    assert!(read_answer(&mut stream).json()["serverTime"].is_i64());
    assert!(begin.elapsed() >= Duration::from_millis(300));
}

#[test]
fn an_upgrade_can_be_refused() {
    let plan = r#"[{"on": {"path": "/market/*", "nth": 1}, "fault": {"kind": "status", "code": 503}}]"#;
    let server = start_with_faults(plan);
    let target = format!("ws://{}/market/ws", server.address());
    let refused = tokio_tungstenite::tungstenite::client(&target, connect(server.address()));
    assert!(refused.unwrap_err().to_string().contains("503"));
    assert_eq!(support::status(&server)["connections"]["market"], 0);
    open(server.address(), "/market/ws");
}

#[test]
fn a_frame_that_nobody_knows_can_be_said() {
    let server = start(support::config());
    let mut socket = open(server.address(), "/market/ws");
    let fault = r#"{"fault": {"kind": "say", "route": "market", "text": "{\"e\":\"newEvent\"}"}}"#;
    assert_eq!(post(server.address(), "/sim/v1/fault", fault).status, 200);
    assert_eq!(next_text(&mut socket), r#"{"e":"newEvent"}"#);
}

/// How the connection ends for an order under this fault, and the orders that were filled nevertheless.
fn lost_order(fault: &str) -> (Option<ErrorKind>, Vec<String>) {
    let plan = format!(r#"[{{"on": {{"method": "POST", "path": "/fapi/v1/order", "nth": 1}}, "fault": {fault}}}]"#);
    let server = start_with_faults(&plan);
    step(&server, 4);
    let mut stream = connect(server.address());
    stream.write_all(order("lost").as_bytes()).unwrap();
    if fault.contains("timeout") {
        stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    }
    let (text, ended) = read_to_end(&mut stream);
    assert_eq!(text, "");
    step(&server, 4);
    (ended, fills(&server))
}

fn step(server: &Server, times: usize) {
    (0..times).for_each(|_| assert_eq!(ask(server.address(), "POST", "/sim/v1/step").status, 200));
}

#[test]
fn a_dropped_request_never_reaches_the_exchange() {
    for (how, end) in
        [("eof", None), ("reset", Some(ErrorKind::ConnectionReset)), ("timeout", Some(ErrorKind::WouldBlock))]
    {
        let (ended, filled) = lost_order(&format!(r#"{{"kind": "drop_request", "how": "{how}"}}"#));
        assert_eq!((ended, filled), (end, Vec::new()), "{how}");
    }
}

#[test]
fn a_dropped_answer_leaves_an_executed_order() {
    for (how, end) in
        [("eof", None), ("reset", Some(ErrorKind::ConnectionReset)), ("timeout", Some(ErrorKind::WouldBlock))]
    {
        let (ended, filled) = lost_order(&format!(r#"{{"kind": "drop_answer", "how": "{how}"}}"#));
        assert_eq!((ended, filled), (end, vec!["lost".to_owned()]), "{how}");
    }
}

#[test]
fn an_executed_error_is_a_lie_about_the_outcome() {
    let plan = r#"[{"on": {"method": "POST", "path": "/fapi/v1/order", "nth": 1},
                    "fault": {"kind": "error", "status": 503, "code": -1007, "message": "Timeout", "executed": true}}]"#;
    let server = start_with_faults(plan);
    step(&server, 4);
    let mut stream = connect(server.address());
    stream.write_all(order("told-wrong").as_bytes()).unwrap();
    assert_eq!(read_answer(&mut stream).status, 503);
    step(&server, 4);
    assert_eq!(fills(&server), ["told-wrong"]);
}

/// The ids of answers to three control frames on a route, in their order of arrival, under a plan for the second one.
fn replies_under(kind: &str) -> Vec<i64> {
    let server = start_with_faults(&format!(
        r#"[{{"on": {{"route": "market", "contains": "\"id\":2", "nth": 1}}, "fault": {{"kind": "{kind}"}}}}]"#
    ));
    let mut socket = open(server.address(), "/market/ws");
    for id in 1..=4 {
        let text = format!(r#"{{"method":"LIST_SUBSCRIPTIONS","id":{id}}}"#);
        socket.send(text.into()).unwrap();
    }
    let mut ids = Vec::new();
    while ids.last() != Some(&4) {
        let reply: serde_json::Value = serde_json::from_str(&next_text(&mut socket)).unwrap();
        ids.push(reply["id"].as_i64().unwrap());
    }
    ids
}

#[test]
fn a_frame_is_lost_doubled_or_late() {
    assert_eq!(replies_under("lose_frame"), [1, 3, 4]);
    assert_eq!(replies_under("duplicate_frame"), [1, 2, 2, 3, 4]);
    assert_eq!(replies_under("reorder"), [1, 3, 2, 4]);
}

#[test]
fn a_half_open_route_says_nothing_and_stays() {
    let server = start(support::config());
    let mut socket = open(server.address(), "/market/ws/btcusdt@aggTrade");
    step(&server, 4);
    assert!(next_text(&mut socket).contains("aggTrade"));
    let answer = post(server.address(), "/sim/v1/fault", r#"{"fault": {"kind": "half_open", "route": "market"}}"#);
    assert_eq!(answer.status, 200, "{}", answer.body);
    let sent = support::status(&server)["frames"].clone();
    step(&server, 8);
    assert_eq!(support::status(&server)["frames"], sent);
    // What was on its way before is read first; then there is silence.
    socket.get_ref().set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let end = loop {
        if let Err(error) = socket.read() {
            break error;
        }
    };
    assert!(end.to_string().contains("temporarily unavailable"), "{end}");
    assert_eq!(support::status(&server)["connections"]["market"], 1);
}

#[test]
fn a_route_is_closed_in_each_way() {
    for how in ["close", "eof", "reset"] {
        let server = start(support::config());
        let mut closed = open(server.address(), "/public/ws");
        let mut other = open(server.address(), "/market/ws");
        let fault = format!(r#"{{"fault": {{"kind": "close_socket", "route": "public", "how": "{how}"}}}}"#);
        assert_eq!(post(server.address(), "/sim/v1/fault", &fault).status, 200);
        match (how, closed.read()) {
            ("close", Ok(message)) => assert!(message.is_close()),
            ("eof" | "reset", Err(_)) => {}
            (how, other) => panic!("{how}: {other:?}"),
        }
        drop(closed);
        until("the connection is gone", || support::status(&server)["connections"]["public"] == 0);
        other.send(r#"{"method":"LIST_SUBSCRIPTIONS","id":7}"#.into()).unwrap();
        assert!(next_text(&mut other).contains("7"));
    }
}

#[test]
fn a_fault_of_the_world_can_hang_on_a_request() {
    let plan =
        r#"[{"on": {"path": "/fapi/v1/ping", "nth": 2}, "fault": {"kind": "close_socket", "route": "private"}}]"#;
    let server = start_with_faults(plan);
    let mut socket = open_private(server.address());
    assert_eq!(ask(server.address(), "GET", "/fapi/v1/ping").status, 200);
    assert_eq!(support::status(&server)["connections"]["private"], 1);
    assert_eq!(ask(server.address(), "GET", "/fapi/v1/ping").status, 200);
    assert!(socket.read().unwrap().is_close());
}

#[test]
fn bans_and_throttles_are_answered_as_the_exchange_does() {
    let server = start(support::config());
    for (call, status) in [("throttle?seconds=60", 429), ("ban?seconds=60", 418)] {
        assert_eq!(ask(server.address(), "POST", &format!("/sim/v1/{call}")).status, 200);
        let answer = ask(server.address(), "GET", "/fapi/v1/time");
        assert_eq!(answer.status, status);
        assert_eq!(answer.json()["code"], -1003);
    }
}
