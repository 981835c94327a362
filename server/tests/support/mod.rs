//! What the server's tests share: a server on a free port, and clients that see every byte.
#![allow(dead_code, reason = "each test binary uses its share")]
#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

pub mod market;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant, SystemTime};

use alphaengine_core::units::NANOS_PER_MINUTE;
use alphaengine_server::{FaultPlan, Server, ServerConfig, Speed};
use serde_json::Value;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

/// No answer takes this long.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A stepped server on a free port, with a key and no secret.
pub fn config() -> ServerConfig {
    let mut config = ServerConfig {
        address: "127.0.0.1:0".parse().unwrap(),
        speed: Speed::Stepped,
        history: 5 * NANOS_PER_MINUTE,
        ..ServerConfig::default()
    };
    config.gateway.key = "key".to_owned();
    config.gateway.secret = None;
    config
}

pub fn start(config: ServerConfig) -> Server {
    Server::start(config, &market::instruments(), market::Swings::minutes(60)).unwrap()
}

pub fn start_with_faults(plan: &str) -> Server {
    start(ServerConfig { faults: FaultPlan::parse(plan).unwrap(), ..config() })
}

/// A TCP connection with a deadline for each read.
pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// The text of a request with an API key.
pub fn request(method: &str, target: &str) -> String {
    format!("{method} {target} HTTP/1.1\r\nHost: exchange\r\nX-MBX-APIKEY: key\r\nContent-Length: 0\r\n\r\n")
}

/// A market order, signed with nothing, as the gateway without a secret takes it.
pub fn order(client_id: &str) -> String {
    request("POST", &order_target(client_id))
}

pub fn order_target(client_id: &str) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis();
    format!(
        "/fapi/v1/order?symbol=BTCUSDT&side=BUY&type=MARKET&quantity=0.010&newClientOrderId={client_id}&timestamp={now}&signature=none"
    )
}

/// Everything that comes until the connection ends, and how it ended.
pub fn read_to_end(stream: &mut TcpStream) -> (String, Option<ErrorKind>) {
    let (mut text, mut buffer) = (Vec::new(), [0; 4_096]);
    let how = loop {
        match stream.read(&mut buffer) {
            Ok(0) => break None,
            Ok(n) => text.extend_from_slice(&buffer[..n]),
            Err(error) => break Some(error.kind()),
        }
    };
    (String::from_utf8(text).unwrap(), how)
}

/// One answer.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

/// Reads exactly one answer of a connection that stays open.
pub fn read_answer(stream: &mut TcpStream) -> Answer {
    let (mut text, mut byte) = (Vec::new(), [0]);
    while !text.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        text.push(byte[0]);
    }
    let head = String::from_utf8(text).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut answer = Answer { status, head, body: String::new() };
    let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    answer.body = String::from_utf8(body).unwrap();
    answer
}

/// One request on a connection of its own.
pub fn ask(address: SocketAddr, method: &str, target: &str) -> Answer {
    let mut stream = connect(address);
    stream.write_all(request(method, target).as_bytes()).unwrap();
    read_answer(&mut stream)
}

pub fn post(address: SocketAddr, target: &str, body: &str) -> Answer {
    let mut stream = connect(address);
    let head = format!("POST {target} HTTP/1.1\r\nHost: exchange\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all(head.as_bytes()).unwrap();
    read_answer(&mut stream)
}

pub fn status(server: &Server) -> Value {
    ask(server.address(), "GET", "/sim/v1/status").json()
}

/// The client ids of the account's trades.
pub fn fills(server: &Server) -> Vec<String> {
    let fills = ask(server.address(), "GET", "/sim/v1/fills").json();
    let of = |fill: &Value| fill["client_order_id"].as_str().unwrap_or_else(|| panic!("{fill}")).to_owned();
    fills.as_array().unwrap().iter().map(of).collect()
}

pub type Stream = WebSocket<TcpStream>;

/// A stream connection.
pub fn open(address: SocketAddr, target: &str) -> Stream {
    let (socket, _) = tungstenite::client(format!("ws://{address}{target}"), connect(address)).unwrap();
    socket
}

/// The private stream of the key's user.
pub fn open_private(address: SocketAddr) -> Stream {
    let key = ask(address, "POST", "/fapi/v1/listenKey").json();
    open(address, &format!("/private/ws?listenKey={}", key["listenKey"].as_str().unwrap()))
}

/// The next text frame.
pub fn next_text(socket: &mut Stream) -> String {
    loop {
        if let Message::Text(text) = socket.read().unwrap() {
            return text.as_str().to_owned();
        }
    }
}

/// Waits for a condition with a deadline; polling is only how it looks.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "in vain: {what}");
        std::thread::yield_now();
    }
}
