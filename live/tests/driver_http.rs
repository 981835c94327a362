//! The faults of HTTP (`simulation.md` section 2, F1, F2, F6 to F13) through the real driver.
//!
//! Each test shows what arrives; what the session makes of it is shown by `driver_outcomes.rs`.

#![allow(clippy::disallowed_methods, reason = "sockets and processes live in real time")]
#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

mod driver_kit;

use std::thread::sleep;
use std::time::{Duration, Instant};

use alphaengine_live::wire::{HttpResponse, Method, TransportError};
use driver_kit::{Answer, KEY, Kit, Loopback, PATIENCE, lost, nobody, not_sent};
use wiremock::matchers::{any, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

const SHORT: Duration = Duration::from_millis(300);

/// An exchange that answers every request alike.
async fn exchange(answer: ResponseTemplate) -> (MockServer, Kit) {
    let server = MockServer::start().await;
    Mock::given(any()).respond_with(answer).mount(&server).await;
    let kit = Kit::new(&server.uri());
    (server, kit)
}

fn json(status: u16, body: &str) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_raw(body.to_owned(), "application/json")
}

#[track_caller]
fn arrived(answer: Answer) -> HttpResponse {
    answer.unwrap()
}

/// The answer arrived with this status and exactly this body.
#[track_caller]
fn assert_arrived(answer: Answer, status: u16, body: &str) {
    let answer = arrived(answer);
    assert_eq!((answer.status, String::from_utf8(answer.body).unwrap().as_str()), (status, body));
}

async fn assert_passed_through(status: u16, body: &str) {
    let (server, mut kit) = exchange(json(status, body)).await;
    assert_arrived(kit.order(), status, body);
    assert_eq!(server.received_requests().await.unwrap().len(), 1, "asked more than once");
}

#[tokio::test]
async fn a_request_leaves_as_it_was_signed() {
    let (server, mut kit) = exchange(json(200, "{}")).await;
    let query =
        "symbol=%E6%B5%8B%E8%AF%95USDT&side=BUY&x=%5B%22a%22%5D&y=a%2Bb%20c*-._~&timestamp=1&signature=a%2Fb%3D";
    kit.ask(Method::Post, "/fapi/v1/order", query, PATIENCE).unwrap();
    let seen = &server.received_requests().await.unwrap()[0];
    assert_eq!(seen.url.query(), Some(query));
    assert_eq!((seen.method.as_str(), seen.url.path(), seen.body.len()), ("POST", "/fapi/v1/order", 0));
    assert_eq!(seen.headers["x-mbx-apikey"], KEY);
    assert!(seen.headers["user-agent"].to_str().unwrap().starts_with("alphaengine/"));
    assert!(!seen.headers.contains_key("accept-encoding"));
    assert_eq!(seen.headers["content-length"], "0", "some gateways refuse a POST without a length");
}

#[tokio::test]
async fn the_key_goes_only_with_requests_that_ask_for_it() {
    let (server, mut kit) = exchange(json(200, "{}")).await;
    let mut request = kit.request(Method::Get, "/fapi/v1/time", "", PATIENCE);
    request.with_key = false;
    kit.send(request);
    arrived(kit.answer().1);
    let seen = &server.received_requests().await.unwrap()[0];
    assert!(!seen.headers.contains_key("x-mbx-apikey"));
    assert_eq!(seen.url.query(), None);

    let mut keyless = Kit::with(&server.uri(), |config| config.api_key = None);
    not_sent(&keyless.order(), "needs an API key");
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
}

#[tokio::test]
async fn every_method_arrives_as_itself() {
    let server = MockServer::start().await;
    for name in ["GET", "POST", "PUT", "DELETE"] {
        let answer = json(200, name);
        Mock::given(method(name)).and(path("/fapi/v1/listenKey")).respond_with(answer).mount(&server).await;
    }
    let mut kit = Kit::new(&format!("{}/", server.uri()));
    for method in [Method::Get, Method::Post, Method::Put, Method::Delete] {
        assert_arrived(kit.ask(method, "/fapi/v1/listenKey", "", PATIENCE), 200, method.name());
    }
}

#[test]
fn f1_a_refused_connection_is_not_sent() {
    let mut kit = Kit::new(&format!("http://{}", nobody()));
    not_sent(&kit.order(), "refused the connection: nothing listens there; check --rest-url");
}

#[test]
fn f1_a_name_that_does_not_resolve_is_not_sent() {
    let mut kit = Kit::new("http://no-such-host.invalid");
    not_sent(&kit.order(), "the name of no-such-host.invalid:80 did not resolve");
}

#[test]
fn f1_a_failed_tls_handshake_is_not_sent() {
    let server = Loopback::start(|mut peer| {
        let mut hello = [0; 5];
        let _ = std::io::Read::read_exact(&mut peer.stream, &mut hello);
        peer.write("HTTP/1.1 400 Bad Request\r\n\r\n");
        peer.be_silent();
    });
    let mut kit = Kit::new(&format!("https://{}", server.address));
    not_sent(&kit.order(), "TLS with 127.0.0.1");
}

#[test]
fn f1_a_tls_handshake_that_hangs_is_not_sent() {
    let server = Loopback::start(|mut peer| {
        loop {
            if matches!(std::io::Read::read(&mut peer.stream, &mut [0; 1024]), Ok(0) | Err(_)) {
                return;
            }
        }
    });
    let mut kit = Kit::with(&format!("https://{}", server.address), |config| config.connect_timeout = SHORT);
    not_sent(&kit.order(), "no connection to 127.0.0.1");
}

#[tokio::test]
async fn f2_an_answer_that_does_not_come_in_time_is_lost() {
    let (server, mut kit) = exchange(json(200, "{}").set_delay(PATIENCE)).await;
    let start = Instant::now();
    lost(&kit.ask(Method::Post, "/fapi/v1/order", "signature=a", SHORT), "no complete answer within 300ms");
    assert!(start.elapsed() < PATIENCE / 2);
    drop(server);
}

#[test]
fn f2_a_connection_that_ends_before_the_answer_loses_it() {
    let server = Loopback::start(|mut peer| {
        peer.read_request();
    });
    lost(&Kit::new(&server.http()).order(), "before the answer");
    assert_eq!(server.requests().len(), 1, "an order was sent again");
}

#[test]
fn f2_a_reset_before_the_answer_loses_it() {
    let server = Loopback::start(|mut peer| {
        // The rest of the request stays unread, so that closing resets.
        let _ = std::io::Read::read(&mut peer.stream, &mut [0; 1]);
        peer.reset_unread();
    });
    lost(&Kit::new(&server.http()).order(), "before the answer");
    assert_eq!(server.connections(), 1, "an order was sent again");
}

#[test]
fn f6_a_200_with_a_truncated_body_is_lost() {
    let server = Loopback::start(|mut peer| {
        peer.read_request();
        peer.write("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"orderId\":1}");
    });
    lost(&Kit::new(&server.http()).order(), "in the middle of the answer");
    assert_eq!(server.requests().len(), 1, "an order was sent again");
}

#[test]
fn f6_a_200_with_truncated_chunks_is_lost() {
    let server = Loopback::start(|mut peer| {
        peer.read_request();
        peer.write("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nd\r\n{\"orderId\":1}\r\n");
    });
    lost(&Kit::new(&server.http()).order(), "in the middle of the answer");
}

#[test]
fn f6_a_200_with_a_stalled_body_is_lost_when_the_time_is_over() {
    let server = Loopback::start(|mut peer| {
        peer.read_request();
        peer.write("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"orderId\":1");
        peer.be_silent();
    });
    let mut kit = Kit::new(&server.http());
    lost(&kit.ask(Method::Post, "/fapi/v1/order", "signature=a", SHORT), "no complete answer");
}

#[test]
fn f6_a_truncated_head_is_lost() {
    let server = Loopback::start(|mut peer| {
        peer.read_request();
        peer.write("HTTP/1.1 200 OK\r\ncontent-len");
    });
    lost(&Kit::new(&server.http()).order(), "before the answer");
}

#[test]
fn f6_a_body_over_the_limit_is_lost_and_not_collected() {
    let server = Loopback::start(|mut peer| {
        peer.read_request();
        peer.answer(&"x".repeat(1_000));
        peer.be_silent();
    });
    let mut kit = Kit::with(&server.http(), |config| config.max_body = 999);
    lost(&kit.order(), "longer than 999 bytes");
    let mut kit = Kit::with(&server.http(), |config| config.max_body = 1_000);
    assert_eq!(arrived(kit.order()).body.len(), 1_000);
}

#[tokio::test]
async fn f7_a_503_whose_outcome_is_unknown_arrives_with_its_text() {
    let text = r#"{"code":-1000,"msg":"Unknown error, please check your request or try again later."}"#;
    assert_passed_through(503, text).await;
}

#[tokio::test]
async fn f7_codes_1006_and_1007_arrive_with_their_status() {
    let text =
        r#"{"code":-1006,"msg":"An unexpected response was received from the message bus. Execution status unknown."}"#;
    assert_passed_through(400, text).await;
    let text = r#"{"code":-1007,"msg":"Timeout waiting for response from backend server. Send status unknown; execution status unknown."}"#;
    assert_passed_through(408, text).await;
}

#[tokio::test]
async fn f8_a_throttled_1008_arrives() {
    assert_passed_through(503, r#"{"code":-1008,"msg":"Request throttled by system-level protection."}"#).await;
}

#[tokio::test]
async fn f8_other_503_texts_arrive_whether_or_not_they_are_json() {
    for text in
        ["Service Unavailable.", r#"{"msg":"Internal error; unable to process your request. Please try again."}"#, ""]
    {
        assert_passed_through(503, text).await;
    }
}

#[tokio::test]
async fn f8_html_of_a_gateway_arrives_byte_for_byte() {
    for status in [403, 502, 504, 200] {
        assert_passed_through(status, "<html><body>504 Gateway Time-out</body></html>\r\n").await;
    }
}

#[tokio::test]
async fn f9_a_429_and_its_retry_after_arrive_for_an_order_and_a_cancel_at_once() {
    let body = r#"{"code":-1003,"msg":"Too many requests."}"#;
    let answer = json(429, body).insert_header("Retry-After", "7").insert_header("X-MBX-USED-WEIGHT-1M", "2401");
    let (server, mut kit) = exchange(answer).await;
    let order = kit.request(Method::Post, "/fapi/v1/order", "a=1", PATIENCE);
    let cancel = kit.request(Method::Delete, "/fapi/v1/order", "a=1", PATIENCE);
    let mut waiting = vec![kit.send(order), kit.send(cancel)];
    while !waiting.is_empty() {
        let (id, answer) = kit.answer();
        waiting.retain(|&waits| waits != id);
        let answer = arrived(answer);
        assert_eq!((answer.status, answer.header("retry-after")), (429, Some("7")));
        assert_eq!(answer.header("x-mbx-used-weight-1m"), Some("2401"));
    }
    assert_eq!(server.received_requests().await.unwrap().len(), 2, "a refused request was repeated");
}

#[tokio::test]
async fn f10_a_418_ban_arrives_with_its_end() {
    let body = r#"{"code":-1003,"msg":"Way too many requests; IP(1.2.3.4) banned until 1573648899000."}"#;
    let (server, mut kit) = exchange(json(418, body).insert_header("Retry-After", "120")).await;
    let answer = arrived(kit.order());
    assert_eq!((answer.status, answer.header("retry-after")), (418, Some("120")));
    assert_eq!(answer.body, body.as_bytes());
    drop(server);
}

#[tokio::test]
async fn f11_weight_headers_arrive_as_they_are_or_not_at_all() {
    for value in [None, Some("0"), Some("2399"), Some("-1"), Some("99999999999999999999"), Some("many"), Some("")] {
        let mut answer = json(200, "{}");
        if let Some(value) = value {
            answer = answer.insert_header("X-Mbx-Used-Weight-1m", value);
        }
        let (server, mut kit) = exchange(answer).await;
        assert_eq!(arrived(kit.order()).header("x-mbx-used-weight-1m"), value);
        drop(server);
    }
}

#[test]
fn f11_a_header_that_is_no_text_harms_nothing() {
    let server = Loopback::start(|mut peer| {
        peer.read_request();
        let head: &[u8] = b"HTTP/1.1 200 OK\r\nx-mbx-used-weight-1m: \xff\xfe\r\ncontent-length: 2\r\n\r\n{}";
        std::io::Write::write_all(&mut peer.stream, head).unwrap();
        peer.be_silent();
    });
    let answer = arrived(Kit::new(&server.http()).order());
    assert_eq!((answer.status, answer.header("x-mbx-used-weight-1m")), (200, None));
}

#[tokio::test]
async fn f12_a_1021_arrives() {
    let body = r#"{"code":-1021,"msg":"Timestamp for this request was 1000ms ahead of the server's time."}"#;
    assert_passed_through(400, body).await;
}

#[tokio::test]
async fn f13_a_redirect_arrives_as_its_status_and_is_not_followed() {
    for status in [301, 302, 303, 307, 308] {
        let elsewhere = MockServer::start().await;
        let answer = json(status, "").insert_header("Location", format!("{}/fapi/v1/order", elsewhere.uri()));
        let (server, mut kit) = exchange(answer).await;
        let answer = arrived(kit.order());
        assert_eq!(answer.status, status);
        assert!(answer.header("location").unwrap().contains("/fapi/v1/order"));
        assert_eq!(server.received_requests().await.unwrap().len(), 1, "{status}: asked again");
        assert!(elsewhere.received_requests().await.unwrap().is_empty(), "{status}: followed");
    }
}

#[tokio::test]
async fn each_request_is_answered_exactly_once_under_its_own_id() {
    let (server, mut kit) = exchange(json(200, "{}").set_delay(Duration::from_millis(20))).await;
    let mut waiting = Vec::new();
    for _ in 0..100 {
        let request = kit.request(Method::Get, "/fapi/v1/time", "", PATIENCE);
        waiting.push(kit.send(request));
    }
    while !waiting.is_empty() {
        let (id, answer) = kit.answer();
        arrived(answer);
        let at = waiting.iter().position(|&waits| waits == id).expect("answered twice");
        waiting.remove(at);
    }
    assert_eq!(kit.inbox.try_recv(), None);
    drop(server);
}

#[tokio::test]
async fn orders_do_not_queue_behind_reads_and_reads_are_bounded() {
    let server = MockServer::start().await;
    let slow = json(200, "{}").set_delay(PATIENCE);
    Mock::given(method("GET")).respond_with(slow).mount(&server).await;
    Mock::given(method("POST")).respond_with(json(200, "{}")).mount(&server).await;
    let mut kit = Kit::with(&server.uri(), |config| {
        config.requests_in_flight = 2;
        config.requests_waiting = 4;
    });
    for _ in 0..3 {
        let request = kit.request(Method::Get, "/fapi/v1/klines", "", PATIENCE);
        kit.send(request);
    }
    arrived(kit.order());
    let gets = || async {
        server.received_requests().await.unwrap().iter().filter(|seen| seen.method.as_str() == "GET").count()
    };
    let deadline = Instant::now() + PATIENCE;
    while gets().await < 2 && Instant::now() < deadline {
        sleep(Duration::from_millis(1));
    }
    assert_eq!(gets().await, 2, "the third read waits for its turn");
    // The fourth place is taken by a read that gets no turn in time; a fifth request finds no place.
    let late = kit.request(Method::Get, "/fapi/v1/klines", "", SHORT);
    let late = kit.send(late);
    not_sent(&kit.order(), "4 requests are waiting already");
    let (id, answer) = kit.answer();
    assert_eq!(id, late);
    not_sent(&answer, "no turn within 300ms");
}

#[test]
fn a_bad_base_url_is_refused_at_the_start() {
    for url in ["", "fapi.binance.com", "ftp://fapi.binance.com", "http://", "https://host?x=1", "wss://host"] {
        let error =
            alphaengine_live::driver::Driver::start(alphaengine_live::driver::DriverConfig::new(url)).unwrap_err();
        assert!(error.to_string().contains("--rest-url"), "{url}: {error}");
    }
}

#[test]
fn a_path_that_makes_no_url_is_not_sent() {
    let mut kit = Kit::new("http://127.0.0.1:1");
    assert!(matches!(kit.ask(Method::Get, ":bad", "", PATIENCE), Err(TransportError::NotSent(_))));
}

#[test]
fn what_was_said_last_is_heard_and_waited_for_only_so_long() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let slow = json(200, "{}").set_delay(SHORT);
    let (server, mut kit) = runtime.block_on(exchange(slow));
    kit.driver.farewell(PATIENCE);
    let request = kit.request(Method::Post, "/fapi/v1/countdownCancelAll", "countdownTime=0", PATIENCE);
    let id = kit.send(request);
    kit.driver.farewell(PATIENCE);
    let (answered, answer) = kit.answer();
    assert_eq!(answered, id);
    assert_arrived(answer, 200, "{}");
    assert_eq!(runtime.block_on(server.received_requests()).unwrap().len(), 1);
    let request = kit.request(Method::Get, "/fapi/v1/income", "", PATIENCE);
    kit.send(request);
    let begun = Instant::now();
    kit.driver.farewell(SHORT / 6);
    assert!(begun.elapsed() < SHORT, "{:?}", begun.elapsed());
}
