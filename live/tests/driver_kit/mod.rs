//! What the driver's tests share: a driver with its inbox, and a loopback server that does exactly what a test tells it.

#![allow(clippy::disallowed_methods, reason = "sockets and processes live in real time")]
#![allow(dead_code, reason = "each test program uses its own part of it")]
#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use alphaengine_live::driver::{Arrival, Driver, DriverConfig, Inbox, Received};
use alphaengine_live::secrets::SecretText;
use alphaengine_live::wire::{Effect, HttpId, HttpRequest, HttpResponse, Method, SocketId, TransportError};

/// Longer than anything takes that is expected to happen; only a failing test waits so long.
pub const PATIENCE: Duration = Duration::from_secs(20);
pub const KEY: &str = "the-api-key";

pub type Answer = Result<HttpResponse, TransportError>;

/// A driver and the engine's end of its queue.
pub struct Kit {
    pub driver: Driver,
    pub inbox: Inbox,
    next: u64,
}

impl Kit {
    pub fn new(rest: &str) -> Kit {
        Kit::with(rest, |_| {})
    }

    pub fn with(rest: &str, change: impl FnOnce(&mut DriverConfig)) -> Kit {
        let mut config = DriverConfig::new(rest);
        config.api_key = Some(SecretText::new(KEY));
        change(&mut config);
        let (driver, inbox) = Driver::start(config).unwrap();
        Kit { driver, inbox, next: 0 }
    }

    pub fn request(&mut self, method: Method, path: &'static str, query: &str, timeout: Duration) -> HttpRequest {
        self.next += 1;
        let timeout = i64::try_from(timeout.as_nanos()).unwrap();
        HttpRequest { id: HttpId(self.next), method, path, query: query.to_owned(), with_key: true, timeout }
    }

    pub fn send(&self, request: HttpRequest) -> HttpId {
        let id = request.id;
        assert_eq!(self.driver.carry_out(Effect::Http(request)), None);
        id
    }

    /// Sends one request and waits for its answer.
    pub fn ask(&mut self, method: Method, path: &'static str, query: &str, timeout: Duration) -> Answer {
        let request = self.request(method, path, query, timeout);
        let id = self.send(request);
        let (answered, answer) = self.answer();
        assert_eq!(answered, id);
        answer
    }

    /// An order, as the session places it, with a generous time-out.
    pub fn order(&mut self) -> Answer {
        self.ask(Method::Post, "/fapi/v1/order", "symbol=BTCUSDT&signature=abc", PATIENCE)
    }

    pub fn answer(&mut self) -> (HttpId, Answer) {
        match self.next() {
            Arrival::Http { id, answer } => (id, answer),
            other => panic!("no answer but {other:?}"),
        }
    }

    pub fn next(&mut self) -> Arrival {
        match self.inbox.recv_until(Some(Instant::now() + PATIENCE)) {
            Received::Arrival(_, arrival) => arrival,
            other => panic!("{other:?} instead of an arrival"),
        }
    }

    pub fn open(&self, socket: u64, url: &str) {
        assert_eq!(self.driver.carry_out(Effect::Open { socket: SocketId(socket), url: url.to_owned() }), None);
    }

    pub fn text(&self, socket: u64, text: &str) {
        assert_eq!(self.driver.carry_out(Effect::Send { socket: SocketId(socket), text: text.to_owned() }), None);
    }

    pub fn close(&self, socket: u64) {
        assert_eq!(self.driver.carry_out(Effect::Close { socket: SocketId(socket) }), None);
    }

    pub fn opened(&mut self, socket: u64) {
        assert_eq!(self.next(), Arrival::Opened { socket: SocketId(socket) });
    }

    /// The reason of the closing that must come next.
    pub fn closed(&mut self, socket: u64) -> String {
        match self.next() {
            Arrival::Closed { socket: closed, why } if closed == SocketId(socket) => why,
            other => panic!("no closing but {other:?}"),
        }
    }

    pub fn frame(&mut self, socket: u64) -> String {
        match self.next() {
            Arrival::Frame { socket: from, text } if from == SocketId(socket) => {
                String::from_utf8(text.to_vec()).unwrap()
            }
            other => panic!("no frame but {other:?}"),
        }
    }
}

/// The answer is lost, with these words: the order's state is unknown.
#[track_caller]
pub fn lost(answer: &Answer, words: &str) {
    match answer {
        Err(TransportError::Lost(why)) => {
            assert!(why.contains(words), "`{words}` is missing in: {why}");
            assert!(!why.contains("signature"), "the URL is told: {why}");
        }
        other => panic!("not lost but {other:?}"),
    }
}

/// The request was not sent, with these words: the order was not placed.
#[track_caller]
pub fn not_sent(answer: &Answer, words: &str) {
    match answer {
        Err(TransportError::NotSent(why)) => {
            assert!(why.contains(words), "`{words}` is missing in: {why}");
            assert!(!why.contains("signature"), "the URL is told: {why}");
        }
        other => panic!("not unsent but {other:?}"),
    }
}

/// A server on loopback that hands each connection to a script, with its number from 0.
pub struct Loopback {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Loopback {
    pub fn start(script: impl Fn(Peer) + Send + Sync + 'static) -> Loopback {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (count, seen, script) = (Arc::clone(&connections), Arc::clone(&requests), Arc::new(script));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let number = count.fetch_add(1, Ordering::SeqCst);
                let stream = stream.unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                let peer = Peer { stream, number, requests: Arc::clone(&seen) };
                let script = Arc::clone(&script);
                thread::spawn(move || script(peer));
            }
        });
        Loopback { address, connections, requests }
    }

    pub fn http(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn ws(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The first lines of all requests that were seen.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

/// The server's side of one connection.
pub struct Peer {
    pub stream: TcpStream,
    pub number: usize,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Peer {
    /// Reads the head of one request; `None` at the end of the connection.
    pub fn read_request(&mut self) -> Option<String> {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            match self.stream.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                _ => return None,
            }
        }
        let head = String::from_utf8(head).unwrap();
        self.requests.lock().unwrap().push(head.lines().next().unwrap().to_owned());
        Some(head)
    }

    pub fn write(&mut self, text: &str) {
        // The other side may have given up already.
        let _ = self.stream.write_all(text.as_bytes());
    }

    /// A whole answer with a length.
    pub fn answer(&mut self, body: &str) {
        self.write(&format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()));
    }

    /// Ends the connection with a reset: the kernel sends one when received bytes were never read.
    pub fn reset_unread(self) {
        drop(self.stream);
    }

    /// Stays silent, with the connection open, until the other side ends it.
    pub fn be_silent(&mut self) {
        let _ = self.stream.read(&mut [0; 1024]);
    }
}

/// An address of this machine on which nothing listens.
pub fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}
