//! The faults of HTTP (`simulation.md` section 2) from a socket to the outcome that the engine hears: a real session on a real driver.
//!
//! Only orders and cancels go over the wire. What else the session asks for (time, listen key, history) is answered here, so that a
//! fault hits nothing but the order.

#![allow(clippy::disallowed_methods, reason = "sockets and processes live in real time")]
#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

mod driver_kit;

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use alphaengine_core::exchange::{ExchangeUpdate, Outcome, Outgoing, Request};
use alphaengine_core::id::RequestId;
use alphaengine_core::instrument::{Catalog, Instruments};
use alphaengine_core::market::SymbolId;
use alphaengine_core::order::{OrderSpec, Side};
use alphaengine_core::units::Timestamp;
use alphaengine_live::binance::{ApiKey, Hosts, Session, SessionConfig, Signer};
use alphaengine_live::driver::{Arrival, Received};
use alphaengine_live::wire::{Effect, Heard, HttpRequest, HttpResponse, TimerId};
use driver_kit::{Kit, Loopback, PATIENCE, Peer, nobody};

const PLACED: &str = r#"{"orderId":7,"clientOrderId":"ae-1","status":"NEW"}"#;

/// A session, and a driver for its orders.
struct Desk {
    session: Session,
    kit: Kit,
    timers: BTreeMap<(Timestamp, TimerId), ()>,
    outcomes: Vec<(u64, Outcome)>,
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap())
}

impl Desk {
    /// Started, and with a measured clock, so that signed requests leave at once.
    fn new(rest: &str) -> Desk {
        let instrument = Catalog::builtin().get(&"BTCUSDT".parse().unwrap()).unwrap().clone();
        let key = ApiKey { id: "key".into(), signer: Signer::hmac("secret").unwrap() };
        let config = SessionConfig::new(Hosts::production(), Some(key), Instruments::new(vec![instrument]).unwrap());
        let mut desk =
            Desk { session: Session::new(config), kit: Kit::new(rest), timers: BTreeMap::new(), outcomes: Vec::new() };
        desk.session.start(now());
        desk.take();
        desk
    }

    fn order(&mut self) {
        let spec = OrderSpec::limit(SymbolId(0), Side::Buy, "0.01".parse().unwrap(), "50000".parse().unwrap());
        self.request(1, Request::PlaceOrder { client_order_id: "ae-1".parse().unwrap(), spec });
    }

    fn request(&mut self, id: u64, request: Request) {
        self.session.on_request(now(), &Outgoing { id: RequestId(id), request });
        self.session.flush(now());
        self.take();
    }

    /// Carries out what the session wants, until it wants nothing more.
    fn take(&mut self) {
        loop {
            let effects: Vec<Effect> = self.session.effects().collect();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                match effect {
                    Effect::Http(request) if request.path.ends_with("rder") => {
                        assert_eq!(self.kit.driver.carry_out(Effect::Http(request)), None);
                    }
                    Effect::Http(request) => {
                        let body = well(&request);
                        let answer = HttpResponse { status: 200, headers: Vec::new(), body: body.into_bytes() };
                        self.session.on_http(now(), request.id, Ok(answer));
                    }
                    Effect::Timer { timer, at } => {
                        self.timers.insert((at, timer), ());
                    }
                    Effect::Input(Heard::Exchange(ExchangeUpdate::Answer { id, outcome })) => {
                        self.outcomes.push((id.0, outcome));
                    }
                    Effect::Input(_) | Effect::Open { .. } | Effect::Send { .. } | Effect::Close { .. } => {}
                }
            }
        }
    }

    /// Runs, as the engine's thread does, until so many outcomes were heard.
    fn run(&mut self, outcomes: usize) -> Vec<(u64, Outcome)> {
        let end = Instant::now() + 2 * PATIENCE;
        while self.outcomes.len() < outcomes {
            assert!(Instant::now() < end, "no outcome");
            let next = self.timers.keys().next().copied();
            let wait = next.map_or(i64::MAX, |(at, _)| at.since(now()).max(0));
            let deadline = end.min(Instant::now() + Duration::from_nanos(wait.try_into().unwrap()).min(PATIENCE));
            match self.kit.inbox.recv_until(Some(deadline)) {
                Received::Arrival(at, Arrival::Http { id, answer }) => self.session.on_http(at, id, answer),
                Received::Deadline => {
                    while let Some((&(at, timer), ())) = self.timers.first_key_value()
                        && at <= now()
                    {
                        self.timers.remove(&(at, timer));
                        self.session.on_timer(now(), timer);
                    }
                }
                other => panic!("{other:?}"),
            }
            self.take();
        }
        std::mem::take(&mut self.outcomes)
    }
}

/// What an exchange says to everything but orders while all is well.
fn well(request: &HttpRequest) -> String {
    match request.path {
        "/fapi/v1/time" => format!(r#"{{"serverTime":{}}}"#, now().millis()),
        "/fapi/v1/listenKey" => r#"{"listenKey":"K1"}"#.to_owned(),
        _ => "[]".to_owned(),
    }
}

/// A server that meets the first requests with these faults, one after the other, and places every order after them.
fn exchange(faults: Vec<Fault>) -> Loopback {
    let faults = std::sync::Mutex::new(faults.into_iter());
    Loopback::start(move |mut peer| {
        while peer.read_request().is_some() {
            let fault = faults.lock().unwrap().next();
            match fault {
                None => peer.answer(PLACED),
                Some(Fault::Says(text)) => peer.write(&text),
                Some(Fault::SaysAndEnds(text)) => {
                    peer.write(&text);
                    return;
                }
                Some(Fault::SaysAndStalls(text)) => {
                    peer.write(&text);
                    peer.be_silent();
                    return;
                }
            }
        }
    })
}

enum Fault {
    Says(String),
    SaysAndEnds(String),
    SaysAndStalls(String),
}

fn says(status: &str, headers: &str, body: &str) -> Fault {
    Fault::Says(format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len()))
}

/// What became of one order that met these faults, and the requests that the exchange saw.
fn order_meets(faults: Vec<Fault>) -> (Outcome, Vec<String>) {
    let server = exchange(faults);
    let mut desk = Desk::new(&server.http());
    desk.order();
    let (_, outcome) = desk.run(1).remove(0);
    (outcome, server.requests())
}

/// Nobody knows, and the order was not sent a second time.
#[track_caller]
fn assert_unknown(fault: Fault) {
    let (outcome, seen) = order_meets(vec![fault]);
    assert!(matches!(outcome, Outcome::Unknown { .. }), "{outcome:?}");
    assert_eq!(seen.len(), 1, "{seen:?}");
}

/// Refused for good, and not sent a second time.
#[track_caller]
fn assert_rejected(fault: Fault) {
    let (outcome, seen) = order_meets(vec![fault]);
    assert!(matches!(outcome, Outcome::Rejected(_)), "{outcome:?}");
    assert_eq!(seen.len(), 1, "{seen:?}");
}

/// Not executed, and therefore sent again under the same client order id until it was placed.
#[track_caller]
fn assert_sent_again(fault: Fault) {
    let (outcome, seen) = order_meets(vec![fault]);
    assert_eq!(outcome, Outcome::Placed { order_id: 7 });
    assert_eq!(seen.len(), 2, "{seen:?}");
    assert!(seen.iter().all(|line| line.starts_with("POST ") && line.contains("newClientOrderId=ae-1&")), "{seen:?}");
}

#[test]
fn without_a_fault_an_order_is_placed_by_one_request() {
    let (outcome, seen) = order_meets(Vec::new());
    assert_eq!((outcome, seen.len()), (Outcome::Placed { order_id: 7 }, 1));
}

#[test]
fn f1_an_order_that_was_never_sent_is_rejected_after_a_few_attempts() {
    let mut desk = Desk::new(&format!("http://{}", nobody()));
    desk.order();
    let (_, outcome) = desk.run(1).remove(0);
    let Outcome::Rejected(error) = outcome else { panic!("{outcome:?}") };
    assert!(error.message.contains("refused the connection"), "{error}");
}

#[test]
fn f2_an_order_whose_answer_does_not_come_is_unknown() {
    assert_unknown(Fault::SaysAndStalls(String::new()));
}

#[test]
fn f2_an_order_whose_connection_ends_is_unknown() {
    assert_unknown(Fault::SaysAndEnds(String::new()));
}

#[test]
fn f2_an_order_whose_connection_is_reset_is_unknown() {
    let server = Loopback::start(|mut peer: Peer| {
        // The rest of the request stays unread, so that closing resets.
        let _ = std::io::Read::read(&mut peer.stream, &mut [0; 1]);
        peer.reset_unread();
    });
    let mut desk = Desk::new(&server.http());
    desk.order();
    assert!(matches!(desk.run(1)[..], [(1, Outcome::Unknown { .. })]));
    assert_eq!(server.connections(), 1);
}

#[test]
fn f6_a_200_with_a_truncated_body_is_unknown() {
    assert_unknown(Fault::SaysAndEnds(format!("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{PLACED}")));
}

#[test]
fn f6_a_200_with_a_stalled_body_is_unknown() {
    assert_unknown(Fault::SaysAndStalls("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_owned()));
}

#[test]
fn f6_a_200_without_a_length_that_is_cut_short_is_unknown() {
    assert_unknown(Fault::SaysAndEnds("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"orderId\":7,\"cl".to_owned()));
    assert_unknown(Fault::SaysAndEnds("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_owned()));
}

#[test]
fn f7_unknown_errors_are_unknown() {
    let text = r#"{"code":-1000,"msg":"Unknown error, please check your request or try again later."}"#;
    assert_unknown(says("503 Service Unavailable", "", text));
    assert_unknown(says("503 Service Unavailable", "", "Unknown error, please check your request or try again later."));
    assert_unknown(says("400 Bad Request", "", r#"{"code":-1006,"msg":"Execution status unknown."}"#));
    assert_unknown(says("408 Request Timeout", "", r#"{"code":-1007,"msg":"Timeout waiting for response."}"#));
    assert_unknown(says("408 Request Timeout", "", ""));
    // Some say that this was not executed; but once it was, and was filled, its name is free for a second order (seed 136).
    let internal = r#"{"code":-1001,"msg":"Internal error; unable to process your request. Please try again."}"#;
    assert_unknown(says("503 Service Unavailable", "", internal));
}

#[test]
fn f8_throttling_and_unavailability_are_no_execution() {
    let throttled = r#"{"code":-1008,"msg":"Request throttled by system-level protection."}"#;
    assert_sent_again(says("503 Service Unavailable", "", throttled));
    assert_sent_again(says("503 Service Unavailable", "", "Service Unavailable."));
}

#[test]
fn f8_html_of_a_gateway_is_unknown_and_of_a_firewall_a_refusal() {
    let html = "<html><body>Gateway Time-out</body></html>";
    assert_unknown(says("502 Bad Gateway", "", html));
    assert_unknown(says("504 Gateway Time-out", "", html));
    assert_unknown(says("200 OK", "content-type: text/html\r\n", html));
    assert_rejected(says("403 Forbidden", "", html));
}

#[test]
fn f9_after_a_429_an_order_and_a_cancel_wait_and_both_succeed() {
    let limited =
        || says("429 Too Many Requests", "Retry-After: 1\r\n", r#"{"code":-1003,"msg":"Too many requests."}"#);
    let server = exchange(vec![limited()]);
    let mut desk = Desk::new(&server.http());
    let start = Instant::now();
    desk.order();
    let cancel = Request::CancelOrder {
        client_order_id: "ae-1".parse().unwrap(),
        symbol: SymbolId(0),
        conditional: false,
        child: None,
    };
    desk.request(2, cancel);
    assert_eq!(desk.run(2), [(1, Outcome::Placed { order_id: 7 }), (2, Outcome::Done)]);
    assert!(start.elapsed() >= Duration::from_secs(1), "Retry-After was not heeded");
    let methods: Vec<String> = server.requests().iter().map(|line| line[..4].trim().to_owned()).collect();
    assert_eq!(methods, ["POST", "POST", "DELE"]);
}

#[test]
fn f10_under_a_ban_an_order_is_given_up_and_nothing_else_is_sent() {
    let until = now().millis() + 120_000;
    let body = format!(r#"{{"code":-1003,"msg":"Way too many requests; IP(1.2.3.4) banned until {until}."}}"#);
    assert_rejected(says("418 I'm a teapot", "Retry-After: 120\r\n", &body));
}

#[test]
fn f11_weight_headers_may_say_anything() {
    for header in ["", "X-MBX-USED-WEIGHT-1M: \r\n", "X-MBX-USED-WEIGHT-1M: many\r\n", "X-MBX-ORDER-COUNT-10S: -1\r\n"]
    {
        let (outcome, _) = order_meets(vec![says("200 OK", header, PLACED)]);
        assert_eq!(outcome, Outcome::Placed { order_id: 7 }, "{header}");
    }
}

#[test]
fn f12_after_a_1021_the_clock_is_measured_and_the_order_sent_again() {
    let text = r#"{"code":-1021,"msg":"Timestamp for this request is outside of the recvWindow."}"#;
    assert_sent_again(says("400 Bad Request", "", text));
}

#[test]
fn f13_a_redirected_order_is_refused() {
    for status in
        ["301 Moved Permanently", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"]
    {
        assert_rejected(says(status, "Location: /fapi/v1/order\r\n", ""));
    }
}
