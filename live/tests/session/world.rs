//! A World plays the exchange for one session: it keeps what the session asked for and lets a test answer.

use std::collections::{BTreeMap, BTreeSet};

use alphaengine_core::exchange::{ExchangeUpdate, Outcome, Outgoing, Request};
use alphaengine_core::id::RequestId;
use alphaengine_core::instrument::{Catalog, Instruments};
use alphaengine_core::link::LinkUpdate;
use alphaengine_core::market::{MarketData, MarketUpdate, SymbolId, Timeframe};
use alphaengine_core::units::{NANOS_PER_MILLI, Nanos, Timestamp};
use alphaengine_live::binance::{ApiKey, Hosts, Session, SessionConfig, Signer, StreamsWanted};
use alphaengine_live::wire::{Effect, Heard, HttpRequest, HttpResponse, Method, SocketId, TimerId, TransportError};

pub const BTC: SymbolId = SymbolId(0);
pub const MS: Nanos = NANOS_PER_MILLI;
pub const SECOND: Nanos = 1_000 * MS;
pub const MINUTE: Nanos = 60 * SECOND;

/// The start of a minute and of an hour: 2025-06-15T16:00:00Z.
pub const T0: i64 = 1_750_003_200_000;

pub struct World {
    pub session: Session,
    pub at: Timestamp,
    /// The exchange's clock minus ours.
    pub offset: Nanos,
    /// Requests that are not answered yet, oldest first.
    pub asked: Vec<HttpRequest>,
    /// Every request that ever left.
    pub sent: Vec<HttpRequest>,
    pub sockets: BTreeMap<SocketId, String>,
    opened: BTreeSet<SocketId>,
    pub said: Vec<String>,
    pub heard: Vec<Heard>,
    timers: BTreeMap<(Timestamp, TimerId), ()>,
    last_request: u64,
}

pub fn config() -> SessionConfig {
    let catalog = Catalog::builtin();
    let instrument = |name: &str| catalog.get(&name.parse().unwrap()).unwrap().clone();
    let instruments = Instruments::new(vec![instrument("BTCUSDT"), instrument("ETHUSDT")]).unwrap();
    let key = ApiKey { id: "key".into(), signer: Signer::hmac("secret").unwrap() };
    let mut config = SessionConfig::new(Hosts::production(), Some(key), instruments);
    config.streams = StreamsWanted {
        timeframe: Timeframe::M1,
        mark_price: true,
        book_ticker: true,
        agg_trades: false,
        depth: false,
    };
    config
}

impl World {
    pub fn new(config: SessionConfig) -> World {
        World {
            session: Session::new(config),
            at: Timestamp::from_millis(T0 + 30_000).unwrap(),
            offset: 0,
            asked: Vec::new(),
            sent: Vec::new(),
            sockets: BTreeMap::new(),
            opened: BTreeSet::new(),
            said: Vec::new(),
            heard: Vec::new(),
            timers: BTreeMap::new(),
            last_request: 0,
        }
    }

    /// A session that is ready, with everything before that forgotten.
    pub fn ready(config: SessionConfig) -> World {
        let mut world = World::new(config);
        world.start();
        world.sent.clear();
        assert!(world.heard.contains(&Heard::Ready), "{:?}", world.heard);
        world.heard.clear();
        world
    }

    /// Starts the session and plays an exchange where all is well.
    pub fn start(&mut self) {
        self.session.start(self.at);
        self.take();
        for _ in 0..50 {
            let before = self.sent.len();
            self.answer_start();
            if before == self.sent.len() && self.asked.is_empty() {
                break;
            }
        }
        self.open_all();
        self.deliver_all();
    }

    fn answer_start(&mut self) {
        let paths: Vec<(Method, &'static str)> =
            self.asked.iter().map(|request| (request.method, request.path)).collect();
        for (method, path) in paths {
            match (method, path) {
                (Method::Get, "/fapi/v1/time") => self.answer_time(),
                (Method::Post, "/fapi/v1/listenKey") => self.answer(path, 200, r#"{"listenKey":"K1"}"#),
                (Method::Get, "/fapi/v1/klines") => self.answer(path, 200, "[]"),
                _ => return,
            }
        }
    }

    pub fn answer_time(&mut self) {
        let server = self.at.plus(self.offset).millis();
        self.answer("/fapi/v1/time", 200, &format!(r#"{{"serverTime":{server}}}"#));
    }

    pub fn open(&mut self, socket: SocketId) {
        self.opened.insert(socket);
        self.session.on_opened(self.at, socket);
        self.take();
    }

    /// Opens what is asked for and not open.
    pub fn open_all(&mut self) {
        for socket in self.sockets.keys().copied().collect::<Vec<_>>() {
            if !self.opened.contains(&socket) {
                self.open(socket);
            }
        }
    }

    /// One message of every stream.
    pub fn deliver_all(&mut self) {
        for (socket, url) in self.sockets.clone() {
            if !self.opened.contains(&socket) {
                continue;
            }
            let Some((_, streams)) = url.split_once("streams=") else { continue };
            for stream in streams.split('/') {
                self.frame(socket, &frame(stream, self.at.plus(self.offset).millis()));
            }
        }
    }

    pub fn frame(&mut self, socket: SocketId, frame: &str) {
        self.session.on_frame(self.at, socket, frame.as_bytes());
        self.take();
    }

    pub fn socket(&self, route: &str) -> SocketId {
        let found = self.sockets.iter().rev().find(|(_, url)| url.contains(route));
        *found.unwrap_or_else(|| panic!("no socket on {route}: {:?}", self.sockets)).0
    }

    pub fn user(&mut self, event: &str) {
        let socket = self.socket("/private/");
        self.frame(socket, event);
    }

    pub fn close(&mut self, route: &str) {
        let socket = self.socket(route);
        self.sockets.remove(&socket);
        self.session.on_closed(self.at, socket, "reset");
        self.take();
    }

    /// Takes the effects.
    pub fn take(&mut self) {
        for effect in self.session.effects() {
            match effect {
                Effect::Http(request) => {
                    self.asked.push(request.clone());
                    self.sent.push(request);
                }
                Effect::Open { socket, url } => {
                    self.sockets.insert(socket, url);
                }
                Effect::Send { text, .. } => self.said.push(text),
                Effect::Close { socket } => {
                    self.sockets.remove(&socket);
                }
                Effect::Timer { timer, at } => {
                    self.timers.insert((at, timer), ());
                }
                Effect::Input(heard) => self.heard.push(heard),
            }
        }
    }

    pub fn request(&mut self, request: Request) -> RequestId {
        self.last_request += 1;
        let id = RequestId(self.last_request);
        self.session.on_request(self.at, &Outgoing { id, request });
        self.session.flush(self.at);
        self.take();
        id
    }

    /// Answers the oldest request of this path.
    pub fn answer(&mut self, path: &str, status: u16, body: &str) {
        self.answer_with(path, status, &[], body);
    }

    pub fn answer_with(&mut self, path: &str, status: u16, headers: &[(&str, &str)], body: &str) {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.respond(path, Ok(HttpResponse { status, headers, body: body.as_bytes().to_vec() }));
    }

    pub fn respond(&mut self, path: &str, answer: Result<HttpResponse, TransportError>) {
        let index = self.asked.iter().position(|request| request.path == path);
        let index = index.unwrap_or_else(|| panic!("nothing asks {path}: {:?}", self.asked));
        let request = self.asked.remove(index);
        self.session.on_http(self.at, request.id, answer);
        self.take();
    }

    /// Lets time pass; timers fire at their times.
    pub fn pass(&mut self, span: Nanos) {
        let until = self.at.plus(span);
        while let Some((&(due, timer), ())) = self.timers.first_key_value().filter(|((due, _), ())| *due <= until) {
            self.timers.remove(&(due, timer));
            self.at = self.at.max(due);
            self.session.on_timer(self.at, timer);
            self.take();
        }
        self.at = until;
    }

    /// The same with one message of every stream each ten seconds, as on a living market.
    pub fn live(&mut self, span: Nanos) {
        let until = self.at.plus(span);
        while self.at < until {
            self.pass((10 * SECOND).min(until.since(self.at)));
            while self.asked.iter().any(|request| request.path == "/fapi/v1/time") {
                self.answer_time();
            }
            self.deliver_all();
        }
    }

    /// Answers that the engine got, with what it asked.
    pub fn outcomes(&self) -> Vec<(u64, Outcome)> {
        let answer = |heard: &Heard| match heard {
            Heard::Exchange(ExchangeUpdate::Answer { id, outcome }) => Some((id.0, outcome.clone())),
            _ => None,
        };
        self.heard.iter().filter_map(answer).collect()
    }

    pub fn links(&self) -> Vec<LinkUpdate> {
        let link = |heard: &Heard| match heard {
            Heard::Exchange(ExchangeUpdate::Link(link)) => Some(link.clone()),
            _ => None,
        };
        self.heard.iter().filter_map(link).collect()
    }

    pub fn updates(&self) -> Vec<ExchangeUpdate> {
        let update = |heard: &Heard| match heard {
            Heard::Exchange(ExchangeUpdate::Link(_) | ExchangeUpdate::Answer { .. }) => None,
            Heard::Exchange(update) => Some(update.clone()),
            _ => None,
        };
        self.heard.iter().filter_map(update).collect()
    }

    pub fn market(&self) -> Vec<MarketUpdate> {
        let update = |heard: &Heard| match heard {
            Heard::Market(update) => Some(*update),
            _ => None,
        };
        self.heard.iter().filter_map(update).collect()
    }

    /// The opening times of the bars that were heard, in minutes from the start.
    pub fn bars(&self) -> Vec<(u16, i64)> {
        let bar = |update: MarketUpdate| match update.data {
            MarketData::Bar(bar) => Some((update.symbol.0, (bar.open_time.millis() - T0) / 60_000)),
            _ => None,
        };
        self.market().into_iter().filter_map(bar).collect()
    }

    /// The requests of these paths that left, as `POST /path?query` without what differs each time.
    pub fn trace(&self, path: &str) -> Vec<String> {
        let sent = self.sent.iter().filter(|request| request.path.starts_with(path));
        sent.map(|request| {
            let query = request.query.split("&recvWindow").next().unwrap_or("");
            format!("{} {}?{query}", request.method.name(), request.path)
        })
        .collect()
    }
}

/// A message of a stream, as the exchange writes it.
pub fn frame(stream: &str, at: i64) -> String {
    let (symbol, kind) = stream.split_once('@').unwrap();
    let symbol = symbol.to_uppercase();
    let data = match kind {
        "bookTicker" => format!(
            r#"{{"e":"bookTicker","u":{at},"E":{at},"T":{at},"s":"{symbol}","b":"100.1","B":"1","a":"100.2","A":"2"}}"#
        ),
        "markPrice@1s" => format!(
            r#"{{"e":"markPriceUpdate","E":{at},"s":"{symbol}","p":"100.15","i":"100","P":"100","r":"0.0001","T":{at}}}"#
        ),
        "aggTrade" => trade(&symbol, at / 10_000, at),
        "depth@100ms" => format!(
            r#"{{"e":"depthUpdate","E":{at},"T":{at},"s":"{symbol}","U":{at},"u":{at},"pu":1,"b":[],"a":[["100.2","1"]]}}"#
        ),
        "kline_1m" => kline(&symbol, at / 60_000 * 60_000, false),
        other => panic!("{other}"),
    };
    format!(r#"{{"stream":"{stream}","data":{data}}}"#)
}

pub fn trade(symbol: &str, id: i64, at: i64) -> String {
    format!(
        r#"{{"e":"aggTrade","E":{at},"s":"{symbol}","a":{id},"p":"100.1","q":"0.5","nq":"0.5","f":1,"l":2,"T":{at},"m":true}}"#
    )
}

pub fn kline(symbol: &str, open: i64, closed: bool) -> String {
    let close = open + 59_999;
    format!(
        r#"{{"e":"kline","E":{close},"s":"{symbol}","k":{{"t":{open},"T":{close},"s":"{symbol}","i":"1m","f":1,"L":2,"o":"100","c":"101","h":"102","l":"99","v":"5","n":2,"x":{closed},"q":"1","V":"1","Q":"1","B":"0"}}}}"#
    )
}

/// A closed bar on the stream; `minute` counts from [`T0`].
pub fn closed_bar(stream: &str, minute: i64) -> String {
    let symbol = stream.split('@').next().unwrap().to_uppercase();
    format!(r#"{{"stream":"{stream}","data":{}}}"#, kline(&symbol, T0 + minute * 60_000, true))
}

/// Rows of `klines`.
pub fn kline_rows(minutes: impl Iterator<Item = i64>) -> String {
    let row = |minute: i64| {
        let open = T0 + minute * 60_000;
        format!(r#"[{open},"100","102","99","101","5",{},"1",2,"1","1","0"]"#, open + 59_999)
    };
    format!("[{}]", minutes.map(row).collect::<Vec<_>>().join(","))
}
