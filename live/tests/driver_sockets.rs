//! The faults of sockets through the real driver: reset, end, half-open, slow, and an engine that does not keep up.

#![allow(clippy::disallowed_methods, reason = "sockets and processes live in real time")]
#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

mod driver_kit;

use std::net::TcpStream;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use alphaengine_live::driver::{Arrival, Received};
use alphaengine_live::wire::{Method, SocketId};
use driver_kit::{Kit, Loopback, PATIENCE, Peer, lost, nobody};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

const SHORT: Duration = Duration::from_millis(300);
const NO_REST: &str = "http://127.0.0.1:1";

type Ws = WebSocket<TcpStream>;

/// A server that opens a WebSocket on each connection and goes by a script.
fn ws_server(script: impl Fn(Ws) + Send + Sync + 'static) -> Loopback {
    Loopback::start(move |peer| script(tungstenite::accept(peer.stream).unwrap()))
}

fn tell(ws: &mut Ws, text: impl Into<String>) {
    ws.send(Message::text(text.into())).unwrap();
}

/// Reads until the other side is gone; answers pings and closings on the way.
fn until_gone(mut ws: Ws) {
    while ws.read().is_ok() {}
}

/// Waits until everything that was sent so far was handed over by the driver: its pong follows what came before the ping.
fn fence(ws: &mut Ws) {
    ws.send(Message::Ping("fence".into())).unwrap();
    loop {
        match ws.read().unwrap() {
            Message::Pong(payload) if payload == "fence" => return,
            _ => {}
        }
    }
}

/// A channel whose sending half a script can hold.
fn signal<T: Send>() -> (Mutex<Sender<T>>, Receiver<T>) {
    let (send, receive) = channel();
    (Mutex::new(send), receive)
}

#[test]
fn a_half_open_connection_loses_the_answer_when_the_time_is_over() {
    let server = Loopback::start(|mut peer| {
        peer.read_request();
        peer.be_silent();
    });
    lost(&Kit::new(&server.http()).ask(Method::Post, "/fapi/v1/order", "signature=a", SHORT), "no complete answer");
}

#[test]
fn a_slow_drip_does_not_outlast_the_time_out() {
    let server = Loopback::start(|mut peer| {
        peer.read_request();
        peer.write("HTTP/1.1 200 OK\r\ncontent-length: 10000\r\n\r\n");
        // Each byte would renew a time-out that only watches for silence.
        for _ in 0..10_000 {
            if std::io::Write::write_all(&mut peer.stream, b"x").is_err() {
                return;
            }
            sleep(Duration::from_millis(10));
        }
    });
    let start = Instant::now();
    lost(&Kit::new(&server.http()).ask(Method::Post, "/fapi/v1/order", "signature=a", SHORT), "no complete answer");
    assert!(start.elapsed() < PATIENCE);
}

#[test]
fn a_redirected_order_is_seen_once() {
    let server = Loopback::start(|mut peer| {
        while peer.read_request().is_some() {
            peer.write("HTTP/1.1 307 Temporary Redirect\r\nlocation: /fapi/v1/order\r\ncontent-length: 0\r\n\r\n");
        }
    });
    assert_eq!(Kit::new(&server.http()).order().unwrap().status, 307);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_connection_is_kept_for_the_next_request() {
    let server = Loopback::start(|mut peer| {
        while peer.read_request().is_some() {
            peer.answer("{}");
        }
    });
    let mut kit = Kit::new(&server.http());
    for _ in 0..5 {
        kit.order().unwrap();
    }
    assert_eq!((server.connections(), server.requests().len()), (1, 5));
}

#[test]
fn an_order_on_a_kept_connection_that_then_ends_is_lost_and_not_sent_again() {
    let server = Loopback::start(|mut peer| {
        if peer.number > 0 {
            // Whoever sends the order again finds an exchange that takes it.
            while peer.read_request().is_some() {
                peer.answer("{}");
            }
            return;
        }
        peer.read_request();
        peer.answer("{}");
        // The second order is read whole, and the connection ends without an answer.
        peer.read_request();
    });
    let mut kit = Kit::new(&server.http());
    kit.order().unwrap();
    lost(&kit.order(), "before the answer");
    assert_eq!((server.connections(), server.requests().len()), (1, 2));
    kit.order().unwrap();
    assert_eq!((server.connections(), server.requests().len()), (2, 3));
}

#[test]
fn an_order_on_a_kept_connection_that_was_closed_in_between_is_seen_at_most_once() {
    // The end of the old connection and the next order race; each round may go either way.
    let mut answered = 0;
    for _ in 0..100 {
        let server = Loopback::start(|mut peer| {
            peer.read_request();
            peer.answer("{}");
        });
        let mut kit = Kit::new(&server.http());
        kit.order().unwrap();
        match kit.order() {
            Ok(_) => {
                answered += 1;
                assert_eq!(server.requests().len(), 2);
            }
            failed => {
                lost(&failed, "before the answer");
                assert!(server.requests().len() <= 2, "{:?}", server.requests());
            }
        }
    }
    assert!(answered > 0, "a fresh connection was never used");
}

#[test]
fn frames_arrive_in_order_and_texts_are_delivered() {
    let (heard, hear) = signal();
    let server = ws_server(move |mut ws| {
        for n in 0..500 {
            tell(&mut ws, n.to_string());
        }
        heard.lock().unwrap().send(ws.read().unwrap().into_text().unwrap().to_string()).unwrap();
        until_gone(ws);
    });
    let mut kit = Kit::new(NO_REST);
    kit.open(1, &server.ws("/private/ws?listenKey=a&events=ORDER_TRADE_UPDATE"));
    kit.text(1, r#"{"method":"SUBSCRIBE"}"#);
    kit.opened(1);
    for n in 0..500 {
        assert_eq!(kit.frame(1), n.to_string());
    }
    assert_eq!(hear.recv_timeout(PATIENCE).unwrap(), r#"{"method":"SUBSCRIBE"}"#);
}

#[test]
fn a_ping_is_answered_with_its_payload_though_nothing_else_is_sent() {
    let (ponged, pong) = signal();
    let server = ws_server(move |mut ws| {
        ws.send(Message::Ping("1573648899000".into())).unwrap();
        ponged.lock().unwrap().send(ws.read().unwrap()).unwrap();
        until_gone(ws);
    });
    let mut kit = Kit::new(NO_REST);
    kit.open(1, &server.ws("/market/stream"));
    kit.opened(1);
    assert_eq!(pong.recv_timeout(PATIENCE).unwrap(), Message::Pong("1573648899000".into()));
    assert_eq!(kit.inbox.try_recv(), None, "a ping is no frame");
}

#[test]
fn the_servers_close_frame_is_told_with_code_and_reason_after_the_last_frame() {
    let server = ws_server(|mut ws| {
        tell(&mut ws, "last");
        let frame = CloseFrame { code: CloseCode::Away, reason: "24 hours are over".into() };
        ws.close(Some(frame)).unwrap();
        until_gone(ws);
    });
    let mut kit = Kit::new(NO_REST);
    kit.open(1, &server.ws("/private/ws"));
    kit.opened(1);
    assert_eq!(kit.frame(1), "last");
    assert_eq!(kit.closed(1), "closed by the server: code 1001, 24 hours are over");
}

#[test]
fn a_connection_that_ends_without_a_close_frame_is_told_after_the_last_frame() {
    let server = ws_server(|mut ws| tell(&mut ws, "last"));
    let mut kit = Kit::new(NO_REST);
    kit.open(1, &server.ws("/private/ws"));
    kit.opened(1);
    assert_eq!(kit.frame(1), "last");
    assert_eq!(kit.closed(1), "the connection ended without a close frame");
}

#[test]
fn a_reset_connection_is_told() {
    let server = ws_server(|ws| {
        // What was never read makes the kernel reset instead of ending in order.
        let _ = ws.get_ref().peek(&mut [0]);
    });
    let mut kit = Kit::new(NO_REST);
    kit.open(1, &server.ws("/private/ws"));
    kit.opened(1);
    kit.text(1, "unread");
    assert_eq!(kit.closed(1), "the connection was reset");
}

#[test]
fn bytes_that_are_no_websocket_frame_close_it_with_a_reason() {
    let server = ws_server(|mut ws| {
        std::io::Write::write_all(ws.get_mut(), &[0xff; 64]).unwrap();
        until_gone(ws);
    });
    let mut kit = Kit::new(NO_REST);
    kit.open(1, &server.ws("/private/ws"));
    kit.opened(1);
    let why = kit.closed(1);
    assert!(why.contains("broke the WebSocket protocol"), "{why}");
}

#[test]
fn a_message_over_the_limit_closes_the_socket_with_a_reason() {
    let server = ws_server(|mut ws| {
        tell(&mut ws, "x".repeat(1_000));
        let _ = ws.send(Message::text("x".repeat(1_001)));
        until_gone(ws);
    });
    let mut kit = Kit::with(NO_REST, |config| config.max_message = 1_000);
    kit.open(1, &server.ws("/private/ws"));
    kit.opened(1);
    assert_eq!(kit.frame(1).len(), 1_000);
    let why = kit.closed(1);
    assert!(why.contains("a message was too long"), "{why}");
}

#[test]
fn a_silent_socket_stays_open_until_the_session_closes_it() {
    let server = ws_server(|ws| {
        // A half-open connection: nothing is read, nothing is sent, not even half of a closing handshake.
        let _ = ws.get_ref().set_read_timeout(None);
        let mut stream = ws.get_ref().try_clone().unwrap();
        while std::io::Read::read(&mut stream, &mut [0; 64]).is_ok_and(|read| read > 0) {}
    });
    let mut kit = Kit::new(NO_REST);
    kit.open(1, &server.ws("/market/ws"));
    kit.opened(1);
    assert_eq!(kit.inbox.recv_until(Some(Instant::now() + SHORT)), Received::Deadline);
    kit.close(1);
    assert_eq!(kit.closed(1), "closed as asked");
}

#[test]
fn a_closing_that_was_asked_for_is_said_to_the_server_and_told_once() {
    let (said, say) = signal();
    let server = ws_server(move |mut ws| {
        let heard = ws.read().unwrap();
        said.lock().unwrap().send(heard).unwrap();
        until_gone(ws);
    });
    let mut kit = Kit::new(NO_REST);
    kit.open(1, &server.ws("/private/ws"));
    kit.opened(1);
    kit.close(1);
    kit.close(1);
    kit.text(1, "too late");
    assert_eq!(kit.closed(1), "closed as asked");
    let Message::Close(Some(frame)) = say.recv_timeout(PATIENCE).unwrap() else { panic!("no close frame") };
    assert_eq!(frame.code, CloseCode::Normal);
    kit.close(1);
    assert_eq!(kit.inbox.try_recv(), None);
}

#[test]
fn a_server_that_accepts_and_stays_silent_is_given_up_in_time() {
    let server = Loopback::start(|mut peer| {
        peer.read_request();
        peer.be_silent();
    });
    let mut kit = Kit::with(NO_REST, |config| config.connect_timeout = SHORT);
    kit.open(1, &server.ws("/private/ws"));
    let why = kit.closed(1);
    assert!(why.ends_with("accepted the connection but did not open the WebSocket in time"), "{why}");
}

#[test]
fn a_socket_can_be_closed_while_it_connects() {
    let server = Loopback::start(|mut peer: Peer| {
        peer.read_request();
        peer.be_silent();
    });
    let mut kit = Kit::with(NO_REST, |config| config.connect_timeout = PATIENCE);
    kit.open(1, &server.ws("/private/ws"));
    kit.close(1);
    assert_eq!(kit.closed(1), "closed as asked");
}

#[track_caller]
fn assert_closed_at_once(url: &str, words: &str) {
    let mut kit = Kit::new(NO_REST);
    kit.open(1, url);
    let why = kit.closed(1);
    assert!(why.contains(words), "`{words}` is missing in: {why}");
    assert!(!why.contains("secret-listen-key"), "{why}");
}

#[test]
fn what_prevents_a_socket_is_a_sentence_with_a_next_step() {
    let refused = format!("ws://{}/private/ws/secret-listen-key", nobody());
    assert_closed_at_once(&refused, "refused the connection: nothing listens there; check --ws-url");
    assert_closed_at_once("ws://no-such-host.invalid/private/ws/secret-listen-key", "check --ws-url");
    assert_closed_at_once("http://127.0.0.1/ws", "--ws-url");
    assert_closed_at_once("secret-listen-key", "--ws-url");
    assert_closed_at_once("", "--ws-url");
    for (status, words) in
        [("404 Not Found", "answered 404"), ("429 Too Many", "answered 429"), ("301 Moved", "answered 301")]
    {
        let server = Loopback::start(move |mut peer| {
            peer.read_request();
            peer.write(&format!("HTTP/1.1 {status}\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n"));
        });
        assert_closed_at_once(&server.ws("/private/ws/secret-listen-key"), words);
        assert_eq!(server.connections(), 1, "{status}: connected again");
    }
}

#[test]
fn a_failed_tls_handshake_is_told_as_one() {
    let server = Loopback::start(|mut peer| {
        let mut hello = [0; 5];
        let _ = std::io::Read::read_exact(&mut peer.stream, &mut hello);
        peer.write("HTTP/1.1 400 Bad Request\r\n\r\n");
        peer.be_silent();
    });
    assert_closed_at_once(&format!("wss://{}/private/ws/secret-listen-key", server.address), "TLS with 127.0.0.1");
}

#[test]
fn a_tls_handshake_that_ends_early_is_no_silence() {
    let server = Loopback::start(drop);
    assert_closed_at_once(&format!("wss://{}/private/ws", server.address), "check --ws-url");
}

#[test]
fn at_most_ten_messages_leave_in_any_second() {
    const TEXTS: usize = 20;
    let (arrived, arrivals) = signal();
    let server = ws_server(move |mut ws| {
        for _ in 0..TEXTS {
            ws.read().unwrap();
            arrived.lock().unwrap().send(Instant::now()).unwrap();
        }
        until_gone(ws);
    });
    let mut kit = Kit::new(NO_REST);
    kit.open(1, &server.ws("/market/ws"));
    kit.opened(1);
    for n in 0..TEXTS {
        kit.text(1, &n.to_string());
    }
    let times: Vec<Instant> = (0..TEXTS).map(|_| arrivals.recv_timeout(PATIENCE).unwrap()).collect();
    for window in times.windows(11) {
        assert!(window[10] - window[0] > Duration::from_secs(1), "eleven messages in a second");
    }
}

fn book(n: u32) -> String {
    format!(r#"{{"stream":"btcusdt@bookTicker","data":{{"u":{n}}}}}"#)
}

fn trade(n: u32) -> String {
    format!(r#"{{"stream":"btcusdt@aggTrade","data":{{"a":{n}}}}}"#)
}

/// Everything of one socket until its closing, with what was left out.
fn drain(kit: &mut Kit, socket: u64) -> (Vec<String>, u64, String) {
    let (mut frames, mut missing) = (Vec::new(), 0);
    loop {
        match kit.next() {
            Arrival::Frame { text, .. } => frames.push(String::from_utf8(text.to_vec()).unwrap()),
            Arrival::Conflated { left_out } => missing += left_out,
            Arrival::Closed { socket: closed, why } if closed == SocketId(socket) => return (frames, missing, why),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn under_a_stalled_engine_only_outdated_presents_are_left_out_and_all_are_counted() {
    let (done, wait) = signal();
    let server = ws_server(move |mut ws| {
        for n in 1..=3 {
            tell(&mut ws, trade(n));
        }
        for n in 1..=1_000 {
            tell(&mut ws, book(n));
        }
        fence(&mut ws);
        done.lock().unwrap().send(()).unwrap();
        tell(&mut ws, trade(4));
        tell(&mut ws, trade(5));
        ws.close(None).unwrap();
        until_gone(ws);
    });
    let mut kit = Kit::with(NO_REST, |config| {
        config.market_queue = 4;
        config.market_patience = PATIENCE;
    });
    kit.open(1, &server.ws("/public/stream"));
    kit.opened(1);
    wait.recv_timeout(PATIENCE).unwrap();
    assert_eq!(kit.inbox.len(), 4);
    let (frames, missing, _) = drain(&mut kit, 1);
    assert_eq!(frames, [trade(1), trade(2), trade(3), book(1_000), trade(4), trade(5)]);
    assert_eq!(missing, 999);
}

#[test]
fn a_present_that_moves_to_the_end_overtakes_nothing() {
    let (done, wait) = signal();
    let server = ws_server(move |mut ws| {
        let bar = |n: u32, closed: bool| {
            format!(r#"{{"stream":"btcusdt@kline_1m","data":{{"k":{{"t":{n},"x":{closed}}}}}}}"#)
        };
        for text in [bar(1, false), bar(1, true), trade(1), book(1)] {
            tell(&mut ws, text);
        }
        // The queue is full: the open bar of the next minute takes the place of the first minute's open bar.
        tell(&mut ws, bar(2, false));
        fence(&mut ws);
        done.lock().unwrap().send(()).unwrap();
        ws.close(None).unwrap();
        until_gone(ws);
    });
    let mut kit = Kit::with(NO_REST, |config| config.market_queue = 4);
    kit.open(1, &server.ws("/market/stream"));
    kit.opened(1);
    wait.recv_timeout(PATIENCE).unwrap();
    let (frames, missing, _) = drain(&mut kit, 1);
    let short: Vec<&str> = frames.iter().map(|frame| &frame[frame.find('@').unwrap()..]).collect();
    assert_eq!(
        short,
        [
            r#"@kline_1m","data":{"k":{"t":1,"x":true}}}"#,
            r#"@aggTrade","data":{"a":1}}"#,
            r#"@bookTicker","data":{"u":1}}"#,
            r#"@kline_1m","data":{"k":{"t":2,"x":false}}}"#,
        ]
    );
    assert_eq!(missing, 1);
}

#[test]
fn two_sockets_do_not_replace_each_others_frames() {
    let (done, wait) = signal();
    let server = ws_server(move |mut ws| {
        for n in 1..=100 {
            tell(&mut ws, book(n));
        }
        fence(&mut ws);
        done.lock().unwrap().send(()).unwrap();
        until_gone(ws);
    });
    let mut kit = Kit::with(NO_REST, |config| config.market_queue = 2);
    kit.open(1, &server.ws("/public/stream"));
    kit.opened(1);
    wait.recv_timeout(PATIENCE).unwrap();
    // The old connection's frames fill the queue; the new one's wait for a place of their own.
    kit.open(2, &server.ws("/public/stream"));
    let (mut last, mut missing) = ([0, 0], 0);
    while last != [100, 100] {
        match kit.next() {
            Arrival::Frame { socket, text } => {
                let text = String::from_utf8(text.to_vec()).unwrap();
                let n: u32 = text.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap();
                let known = &mut last[usize::from(socket == SocketId(2))];
                assert!(n > *known, "{n} after {known}");
                *known = n;
            }
            Arrival::Conflated { left_out } => missing += left_out,
            Arrival::Opened { socket: SocketId(2) } => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(missing >= 98);
}

#[test]
fn trades_wait_for_a_place_and_all_arrive_when_the_engine_wakes() {
    let server = ws_server(|mut ws| {
        for n in 0..2_000 {
            tell(&mut ws, trade(n));
        }
        ws.close(None).unwrap();
        until_gone(ws);
    });
    let mut kit = Kit::with(NO_REST, |config| {
        config.market_queue = 4;
        config.market_patience = PATIENCE;
    });
    kit.open(1, &server.ws("/market/stream"));
    kit.opened(1);
    let (frames, missing, why) = drain(&mut kit, 1);
    assert_eq!(frames, (0..2_000).map(trade).collect::<Vec<_>>());
    assert_eq!((missing, why.as_str()), (0, "closed by the server"));
}

#[test]
fn trades_that_find_no_place_in_time_close_their_socket_with_a_reason() {
    let server = ws_server(|mut ws| {
        for n in 0..10 {
            tell(&mut ws, trade(n));
        }
        until_gone(ws);
    });
    let mut kit = Kit::with(NO_REST, |config| {
        config.market_queue = 2;
        config.market_patience = SHORT;
    });
    kit.open(1, &server.ws("/market/stream"));
    kit.opened(1);
    let deadline = Instant::now() + PATIENCE;
    while kit.inbox.len() < 3 && Instant::now() < deadline {
        sleep(Duration::from_millis(1)); // The third is the closing.
    }
    let (frames, missing, why) = drain(&mut kit, 1);
    assert_eq!((frames, missing), (vec![trade(0), trade(1)], 0));
    assert!(why.starts_with("overrun: market frames"), "{why}");
}

#[test]
fn account_frames_all_arrive_in_order_however_long_the_engine_stalls() {
    const FRAMES: usize = 3_000;
    let (sent, progress) = signal();
    let server = ws_server(move |mut ws| {
        let padding = "x".repeat(10_000);
        for n in 0..FRAMES {
            tell(&mut ws, format!("{n} {padding}"));
            sent.lock().unwrap().send(n).unwrap();
        }
        ws.close(None).unwrap();
        until_gone(ws);
    });
    let mut kit = Kit::with(NO_REST, |config| {
        config.account_queue = 4;
        config.market_patience = Duration::ZERO; // Means nothing to account data.
    });
    kit.open(1, &server.ws("/private/ws"));
    kit.opened(1);
    // Back-pressure reaches the server: it stops long before the end.
    let mut last = 0;
    while let Ok(n) = progress.recv_timeout(SHORT) {
        last = n;
    }
    assert!(last < FRAMES - 1, "nothing held the server back");
    assert_eq!(kit.inbox.len(), 4);
    let (frames, missing, _) = drain(&mut kit, 1);
    let numbers: Vec<usize> = frames.iter().map(|frame| frame.split(' ').next().unwrap().parse().unwrap()).collect();
    assert_eq!((numbers, missing), ((0..FRAMES).collect(), 0));
}

#[test]
fn a_full_market_queue_does_not_hold_up_account_frames_answers_and_closings() {
    let markets = ws_server(|mut ws| {
        for n in 0..10 {
            tell(&mut ws, trade(n));
        }
        until_gone(ws);
    });
    let accounts = ws_server(|mut ws| {
        tell(&mut ws, "ORDER_TRADE_UPDATE");
        ws.close(None).unwrap();
        until_gone(ws);
    });
    let rest = Loopback::start(|mut peer| {
        peer.read_request();
        peer.answer("{}");
    });
    let mut kit = Kit::with(&rest.http(), |config| {
        config.market_queue = 2;
        config.market_patience = PATIENCE;
    });
    kit.open(1, &markets.ws("/market/stream"));
    kit.opened(1);
    let deadline = Instant::now() + PATIENCE;
    while kit.inbox.len() < 2 && Instant::now() < deadline {
        sleep(Duration::from_millis(1));
    }
    kit.open(2, &accounts.ws("/private/ws"));
    let request = kit.request(Method::Post, "/fapi/v1/order", "", PATIENCE);
    kit.send(request);
    // Two trades, opened, frame, closed, answer: nothing was taken yet.
    while kit.inbox.len() < 6 && Instant::now() < deadline {
        sleep(Duration::from_millis(1));
    }
    assert_eq!(kit.inbox.len(), 6);
}

#[test]
fn a_deadline_that_has_passed_is_told_before_what_waits() {
    let server = ws_server(|mut ws| {
        tell(&mut ws, "waits");
        until_gone(ws);
    });
    let mut kit = Kit::new(NO_REST);
    kit.open(1, &server.ws("/private/ws"));
    kit.opened(1);
    let deadline = Instant::now() + PATIENCE;
    while kit.inbox.is_empty() && Instant::now() < deadline {
        sleep(Duration::from_millis(1));
    }
    assert_eq!(kit.inbox.recv_until(Some(Instant::now())), Received::Deadline);
    assert_eq!(kit.frame(1), "waits");
}

#[test]
fn what_arrived_is_told_after_the_driver_ended_and_then_it_is_gone() {
    let server = ws_server(|mut ws| {
        tell(&mut ws, "last");
        until_gone(ws);
    });
    let mut kit = Kit::new(NO_REST);
    kit.open(1, &server.ws("/private/ws"));
    kit.opened(1);
    let deadline = Instant::now() + PATIENCE;
    while kit.inbox.is_empty() && Instant::now() < deadline {
        sleep(Duration::from_millis(1));
    }
    let Kit { driver, inbox, .. } = kit;
    drop(driver);
    assert!(matches!(inbox.recv_until(None), Received::Arrival(_, Arrival::Frame { .. })));
    assert_eq!(inbox.recv_until(None), Received::Gone);
}

#[test]
fn an_engine_that_left_lets_the_driver_end() {
    let (ended, end) = signal();
    let server = ws_server(move |mut ws| {
        while ws.send(Message::text("account")).is_ok() {}
        ended.lock().unwrap().send(()).unwrap();
    });
    let mut kit = Kit::with(NO_REST, |config| config.account_queue = 2);
    kit.open(1, &server.ws("/private/ws"));
    kit.opened(1);
    let Kit { driver, inbox, .. } = kit;
    drop(inbox);
    end.recv_timeout(PATIENCE).unwrap();
    drop(driver);
}

#[test]
fn many_sockets_come_and_go_without_a_trace() {
    let server = ws_server(|mut ws| {
        tell(&mut ws, "hello");
        until_gone(ws);
    });
    let mut kit = Kit::new(NO_REST);
    let descriptors = || std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    let shared = Arc::new(server);
    let mut before = 0;
    for n in 1..=200 {
        kit.open(n, &shared.ws("/private/ws"));
        kit.opened(n);
        kit.frame(n);
        kit.close(n);
        kit.closed(n);
        if n == 20 {
            before = descriptors();
        }
    }
    // Other tests of this program open descriptors too: a leak of one or two for each socket would show all the same.
    assert!(descriptors() < before + 150, "{before} descriptors grew to {}", descriptors());
}
