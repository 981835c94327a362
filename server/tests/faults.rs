//! Each kind of fault as it looks on the wire.
#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

mod support;

use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use alphaengine_server::{FaultPlan, Server, ServerConfig, Speed, Start};
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

#[test]
fn what_is_told_after_a_delayed_frame_waits_behind_it_on_its_connection() {
    let plan = r#"[{"on": {"route": "market", "contains": "\"id\":2", "nth": 1}, "fault": {"kind": "delay_frame", "ms": 400}}]"#;
    let server = start_with_faults(plan);
    let mut socket = open(server.address(), "/market/ws");
    let ask = |socket: &mut support::Stream, id: i64| {
        socket.send(format!(r#"{{"method":"LIST_SUBSCRIPTIONS","id":{id}}}"#).into()).unwrap();
    };
    let id = |text: String| serde_json::from_str::<serde_json::Value>(&text).unwrap()["id"].as_i64().unwrap();
    let begin = Instant::now();
    (1..=3).for_each(|id| ask(&mut socket, id));
    assert_eq!(id(next_text(&mut socket)), 1);
    assert_eq!((id(next_text(&mut socket)), id(next_text(&mut socket))), (2, 3));
    assert!(begin.elapsed() >= Duration::from_millis(400));
}

#[test]
fn what_others_do_to_the_account_and_its_rules_can_be_played() {
    let server = start(support::config());
    step(&server, 4);
    let happen = |fault: &str| post(server.address(), "/sim/v1/fault", &format!(r#"{{"fault": {fault}}}"#));
    let before = support::status(&server)["wallet"].as_str().unwrap().parse::<f64>().unwrap();
    assert_eq!(happen(r#"{"kind": "transfer", "amount": "-250"}"#).status, 200);
    let after = support::status(&server)["wallet"].as_str().unwrap().parse::<f64>().unwrap();
    assert_eq!(before - after, 250.0);
    assert_eq!(happen(r#"{"kind": "manual_order", "symbol": "BTCUSDT", "qty": "0.01"}"#).status, 200);
    step(&server, 4);
    assert!(fills(&server)[0].starts_with("web_"));
    assert_eq!(happen(r#"{"kind": "filters", "symbol": "BTCUSDT", "times": 100}"#).status, 200);
    let refused = ask(server.address(), "POST", &support::order_target("fine"));
    assert_eq!((refused.status, refused.json()["code"].as_i64().unwrap()), (400, -4004));
    assert_eq!(happen(r#"{"kind": "lag", "ms": 60000, "seconds": 600}"#).status, 200);
    let trades = "/fapi/v1/userTrades?symbol=BTCUSDT&signature=none&timestamp=";
    let now = support::order_target("x").rsplit_once("timestamp=").unwrap().1.split('&').next().unwrap().to_owned();
    assert_eq!(ask(server.address(), "GET", &format!("{trades}{now}")).body, "[]");
    for fault in [r#"{"kind": "crash"}"#, r#"{"kind": "manual_order", "symbol": "NOPEUSDT", "qty": "1"}"#] {
        assert_eq!(happen(fault).status, 400, "{fault}");
    }
}

#[test]
fn moments_of_a_plan_are_those_of_the_market() {
    let plan = r#"[{"on": {"at_ms": 60000}, "fault": {"kind": "transfer", "amount": "5"}},
                   {"on": {"at_ms": 180000}, "fault": {"kind": "transfer", "amount": "7"}}]"#;
    let server = start_with_faults(plan);
    let wallet = || support::status(&server)["wallet"].as_str().unwrap().parse::<f64>().unwrap();
    let since_opening = || {
        let status = support::status(&server);
        status["at"].as_i64().unwrap() - status["opening"].as_i64().unwrap()
    };
    let begin = wallet();
    let mut seen = Vec::new();
    while since_opening() < 240_000 {
        step(&server, 1);
        let came = wallet() - begin;
        if seen.last().is_none_or(|(_, last)| *last != came) {
            seen.push((since_opening(), came));
        }
    }
    let amounts: Vec<f64> = seen.iter().map(|(_, came)| *came).collect();
    assert_eq!(amounts, [0.0, 5.0, 12.0]);
    assert!((60_000..120_000).contains(&seen[1].0) && (180_000..240_000).contains(&seen[2].0), "{seen:?}");
}

#[test]
fn moments_come_between_the_updates_of_a_market_that_runs() {
    use alphaengine_core::market::{Bar, BarOpen, MarketData, MarketUpdate, SymbolId, Timeframe};
    // Bars alone, which speak twice a minute; a minute lasts five seconds.
    let (price, timeframe) = ("60000".parse().unwrap(), Timeframe::M1);
    let minute = |number: i64| {
        let open_time = support::market::begin().plus(number * timeframe.nanos());
        let volume = "1".parse().unwrap();
        let bar = Bar { open_time, open: price, high: price, low: price, close: price, volume, timeframe };
        let of = |at, data| MarketUpdate { at, symbol: SymbolId(0), data };
        let open = of(open_time, MarketData::BarOpen(BarOpen { price, timeframe }));
        [open, of(bar.close_time(), MarketData::Bar(bar))]
    };
    let feed: Vec<MarketUpdate> = (0..30).flat_map(minute).collect();
    let plan = r#"[{"on": {"at_ms": 6000}, "fault": {"kind": "transfer", "amount": "5"}}]"#;
    let config = ServerConfig {
        faults: FaultPlan::parse(plan).unwrap(),
        speed: Speed::Times(12),
        start: Start::Recording,
        ..support::config()
    };
    let server = Server::start(config, &support::market::instruments(), feed.into_iter()).unwrap();
    let begin = support::status(&server)["wallet"].clone();
    until("the money has come", || support::status(&server)["wallet"] != begin);
    let status = support::status(&server);
    assert_eq!(status["at"], status["opening"], "it waited for the next update");
}
