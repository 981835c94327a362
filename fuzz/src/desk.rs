//! A Desk has a session before it and plays the exchange from a script, one line a step.
//!
//! ```text
//! F0 {"stream":...}     a frame on the first socket
//! A0a- {"orderId":7}    the oldest open request is answered: status `a` (200), no header
//! L0  N0                its answer is lost; it was never sent
//! O0  C0                the first socket opens, closes
//! R0                    the engine asks for something
//! T5                    time passes
//! ```
//!
//! Lines that make no sense are passed over. What must hold whatever is said: each request of the engine has at most one outcome,
//! and an order whose answer was lost is not sent again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use alphaengine_core::exchange::{ExchangeUpdate, Outgoing, Request};
use alphaengine_core::id::RequestId;
use alphaengine_core::instrument::{Catalog, Instruments};
use alphaengine_core::market::SymbolId;
use alphaengine_core::order::{OrderSpec, Side};
use alphaengine_core::units::{NANOS_PER_MILLI, NANOS_PER_SECOND, Price, Qty, Timestamp};

use crate::binance::{ApiKey, Hosts, Session, SessionConfig, Signer};
use crate::say::{self, T0};
use crate::wire::{Effect, Heard, HttpRequest, HttpResponse, Method, SocketId, TimerId, TransportError};

const BTC: SymbolId = SymbolId(0);

/// A session and the world around it.
pub struct Desk {
    pub session: Session,
    pub at: Timestamp,
    /// Requests without an answer, oldest first.
    pub asked: Vec<HttpRequest>,
    pub sockets: BTreeMap<SocketId, String>,
    timers: BTreeSet<(Timestamp, TimerId)>,
    requests: u64,
    answered: BTreeSet<RequestId>,
    /// Names of orders whose answer was lost.
    lost: BTreeSet<String>,
    pub is_ready: bool,
}

impl Desk {
    /// A session that has just begun.
    pub fn new() -> Option<Desk> {
        let config = config()?.clone();
        let mut desk = Desk {
            session: Session::new(config),
            at: Timestamp::from_millis(T0 + 30_000)?,
            asked: Vec::new(),
            sockets: BTreeMap::new(),
            timers: BTreeSet::new(),
            requests: 0,
            answered: BTreeSet::new(),
            lost: BTreeSet::new(),
            is_ready: false,
        };
        desk.session.start(desk.at);
        desk.take();
        Some(desk)
    }

    /// A session whose start went well.
    pub fn ready() -> Option<Desk> {
        let mut desk = Desk::new()?;
        for _ in 0..50 {
            let known = desk.asked.iter().position(|asked| say::usual(asked.path, desk.at.millis()).is_some());
            let Some(index) = known else { break };
            let asked = desk.asked.remove(index);
            let body = say::usual(asked.path, desk.at.millis())?.into_bytes();
            desk.session.on_http(desk.at, asked.id, Ok(HttpResponse { status: 200, headers: Vec::new(), body }));
            desk.take();
        }
        for (socket, url) in desk.sockets.clone() {
            desk.session.on_opened(desk.at, socket);
            desk.take();
            for stream in url.split_once("streams=").map_or("", |(_, streams)| streams).split('/') {
                if let Some(frame) = say::frame(stream, desk.at.millis()) {
                    desk.session.on_frame(desk.at, socket, frame.as_bytes());
                    desk.take();
                }
            }
        }
        assert!(desk.is_ready, "the usual start does not lead to a session that is ready");
        Some(desk)
    }

    /// Plays a script.
    pub fn play(&mut self, script: &[u8]) {
        for line in script.split(|byte| *byte == b'\n').take(200) {
            self.line(line);
        }
    }

    /// Plays one line.
    pub fn line(&mut self, line: &[u8]) {
        let (kind, which) = (line.first().copied().unwrap_or(0), line.get(1).copied().unwrap_or(b'0'));
        let which = usize::from(which.wrapping_sub(b'0'));
        match kind {
            b'F' => {
                if let Some(socket) = self.socket(which) {
                    self.session.on_frame(self.at, socket, line.get(3..).unwrap_or_default());
                }
            }
            b'A' => {
                if let (Some(asked), Some(rest)) = (self.open_request(which), line.get(2..)) {
                    self.session.on_http(self.at, asked.id, Ok(response(rest)));
                }
            }
            b'L' => {
                if let Some(asked) = self.open_request(which) {
                    if asked.method == Method::Post && asked.path == "/fapi/v1/order" {
                        self.lost.extend(name_of(&asked).map(str::to_owned));
                    }
                    self.session.on_http(self.at, asked.id, Err(TransportError::Lost("reset".into())));
                }
            }
            b'N' => {
                if let Some(asked) = self.open_request(which) {
                    self.session.on_http(self.at, asked.id, Err(TransportError::NotSent("refused".into())));
                }
            }
            b'O' => {
                if let Some(socket) = self.socket(which) {
                    self.session.on_opened(self.at, socket);
                }
            }
            b'C' => {
                if let Some(socket) = self.socket(which) {
                    self.sockets.remove(&socket);
                    self.session.on_closed(self.at, socket, "reset");
                }
            }
            b'R' => self.ask(which),
            b'T' => self.pass((1 << (which % 20)) * NANOS_PER_MILLI),
            _ => {}
        }
        self.take();
    }

    fn socket(&self, which: usize) -> Option<SocketId> {
        self.sockets.keys().nth(which % self.sockets.len().max(1)).copied()
    }

    fn open_request(&mut self, which: usize) -> Option<HttpRequest> {
        let index = which % self.asked.len().max(1);
        (index < self.asked.len()).then(|| self.asked.remove(index))
    }

    fn pass(&mut self, nanos: i64) {
        let until = self.at.plus(nanos);
        // A timer that sets itself again and again would be a defect of its own; a script lasts minutes, not days.
        for _ in 0..10_000 {
            let Some((due, timer)) = self.timers.first().copied().filter(|(due, _)| *due <= until) else {
                self.at = until;
                return;
            };
            self.timers.remove(&(due, timer));
            self.at = self.at.max(due);
            self.session.on_timer(self.at, timer);
            self.take();
        }
        panic!("10,000 timers fired within {} ms", nanos / NANOS_PER_MILLI);
    }

    fn ask(&mut self, which: usize) {
        self.requests += 1;
        let id = RequestId(self.requests);
        let Ok(client_order_id) = format!("ae-{}", self.requests).parse() else { return };
        let Ok(earlier) = format!("ae-{}", self.requests / 2).parse() else { return };
        let (qty, price) = (Qty::from_steps(1_000_000), Price::from_steps(10_000_000_000));
        let spec = OrderSpec::limit(BTC, Side::Buy, qty, price);
        let stop = OrderSpec::market(BTC, Side::Sell, qty)
            .with_type(alphaengine_core::order::OrderType::StopMarket { trigger: price });
        let (symbol, side, child) = (BTC, Side::Buy, None);
        let request = match which % 12 {
            0 => Request::PlaceOrder { client_order_id, spec },
            1 => Request::PlaceOrder { client_order_id, spec: stop },
            2 => Request::CancelOrder { client_order_id: earlier, symbol, conditional: false, child },
            3 => Request::ModifyOrder { client_order_id: earlier, symbol, side, qty, price, child },
            4 => Request::QueryOrder { client_order_id: earlier, symbol, conditional: false, child },
            5 => Request::QueryOrder { client_order_id: earlier, symbol, conditional: true, child: Some(7) },
            6 => Request::Snapshot,
            7 => Request::Trades { symbol, from_id: 0, since: self.at },
            8 => Request::Income { since: self.at },
            9 => Request::CancelAll { symbol },
            10 => Request::SetLeverage { symbol, leverage: 5 },
            _ => Request::SetMarginType { symbol, isolated: true },
        };
        self.session.on_request(self.at, &Outgoing { id, request });
        self.session.flush(self.at);
    }

    fn take(&mut self) {
        for effect in self.session.effects() {
            match effect {
                Effect::Http(request) => {
                    if request.method == Method::Post && request.path == "/fapi/v1/order" {
                        let again = name_of(&request).is_some_and(|name| self.lost.contains(name));
                        assert!(!again, "an order whose answer was lost was sent again: {}", request.query);
                    }
                    self.asked.push(request);
                }
                Effect::Open { socket, url } => {
                    self.sockets.insert(socket, url);
                }
                Effect::Close { socket } => {
                    self.sockets.remove(&socket);
                }
                Effect::Timer { timer, at } => {
                    self.timers.insert((at, timer));
                }
                Effect::Input(Heard::Exchange(ExchangeUpdate::Answer { id, outcome })) => {
                    assert!(self.answered.insert(id), "request {} has a second outcome: {outcome:?}", id.0);
                }
                Effect::Input(Heard::Ready) => self.is_ready = true,
                Effect::Input(_) | Effect::Send { .. } => {}
            }
        }
    }
}

/// Read once: the built-in table takes longer than a script.
fn config() -> Option<&'static SessionConfig> {
    static CONFIG: OnceLock<Option<SessionConfig>> = OnceLock::new();
    let make = || {
        let key = ApiKey { id: "key".into(), signer: Signer::hmac("secret").ok()? };
        let mut config = SessionConfig::new(Hosts::testnet(), Some(key), instruments()?);
        config.streams.depth = true;
        config.streams.agg_trades = true;
        config.batch_orders = true;
        config.countdown = Some(60 * NANOS_PER_SECOND);
        Some(config)
    };
    CONFIG.get_or_init(make).as_ref()
}

pub fn instruments() -> Option<Instruments> {
    let catalog = Catalog::builtin();
    let instrument = |name: &str| Some(catalog.get(&name.parse().ok()?).ok()?.clone());
    Instruments::new(vec![instrument("BTCUSDT")?, instrument("ETHUSDT")?]).ok()
}

/// What the letters `a` to `l` stand for.
pub const STATUSES: [u16; 12] = [200, 400, 401, 403, 404, 307, 408, 418, 429, 500, 502, 503];

/// An answer: a letter for the status, a letter for a header, a space, the body.
pub fn response(rest: &[u8]) -> HttpResponse {
    let letter = |at: usize| usize::from(rest.get(at).copied().unwrap_or(b'a').wrapping_sub(b'a'));
    let header = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    let headers = match rest.get(1) {
        Some(b'r') => header("retry-after", "5"),
        Some(b'l') => header("location", "https://elsewhere.example/"),
        Some(b'u') => header("x-mbx-used-weight-1m", "2399"),
        Some(b'o') => header("x-mbx-order-count-10s", "299"),
        _ => Vec::new(),
    };
    let status = STATUSES[letter(0) % STATUSES.len()];
    HttpResponse { status, headers, body: rest.get(3..).unwrap_or_default().to_vec() }
}

fn name_of(request: &HttpRequest) -> Option<&str> {
    request.query.split('&').find_map(|pair| pair.strip_prefix("newClientOrderId="))
}
