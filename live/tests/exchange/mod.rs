//! A World in which all is well but the store: the simulated exchange behind its gateway, a trader, and one virtual clock.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use alphaengine_core::engine::{Config, LiveConfig};
use alphaengine_core::event::Recorded;
use alphaengine_core::id::SessionId;
use alphaengine_core::instrument::{Catalog, Instruments};
use alphaengine_core::market::{MarketData, MarketUpdate, SymbolId, Timeframe, Trade};
use alphaengine_core::mode::Mode;
use alphaengine_core::order::PositionSide;
use alphaengine_core::params::Params;
use alphaengine_core::risk::Limits;
use alphaengine_core::state::State;
use alphaengine_core::store::{self, Encoder, EventLog, Scope};
use alphaengine_core::strategy::Strategy;
use alphaengine_core::units::{NANOS_PER_MILLI, NANOS_PER_SECOND, Nanos, Price, Qty, Timestamp};
use alphaengine_live::binance::{ApiKey, Hosts, SessionConfig, Signer, Silence, StreamsWanted};
use alphaengine_live::bot::News;
use alphaengine_live::trader::{Factory, Trader};
use alphaengine_live::wire::{Effect, HttpId, HttpRequest, HttpResponse, SocketId};
use alphaengine_sim::SimConfig;
use alphaengine_sim::gateway::{ConnectionId, Frame, Gateway, GatewayConfig, Request};

pub const BTC: SymbolId = SymbolId(0);
pub const SECOND: Nanos = NANOS_PER_SECOND;
const MILLI: Nanos = NANOS_PER_MILLI;

pub fn begun() -> Timestamp {
    Timestamp::from_millis(1_750_003_230_000).unwrap()
}

pub fn instruments() -> Instruments {
    Instruments::new(vec![Catalog::builtin().get(&"BTCUSDT".parse().unwrap()).unwrap().clone()]).unwrap()
}

/// How the store fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Nothing of the step is taken.
    Append,
    /// The commit fails, and nothing is durable.
    Commit,
    /// The commit fails, and everything is durable all the same.
    CommitButDurable,
}

/// A store that survives its process, and breaks when it is told to.
#[derive(Debug, Default)]
pub struct Shelf {
    pub durable: Vec<Recorded>,
    pub keys: BTreeSet<String>,
    pub commits: u64,
    /// The commit that fails, and how.
    pub fails_at: Option<(u64, Failure)>,
    /// So many attempts to open it fail after that.
    pub closed_for: u32,
    pub opened: u32,
    pub refused: u32,
}

pub struct ShelfLog {
    shelf: Rc<RefCell<Shelf>>,
    pending: Vec<Recorded>,
    encoder: Encoder,
    has_failed: bool,
}

impl ShelfLog {
    fn key(&mut self, recorded: &Recorded) -> String {
        self.encoder.encode(recorded).unwrap().dedup_key.to_owned()
    }

    fn fail(&mut self) -> store::Error {
        self.has_failed = true;
        store::Error::DiskFull { path: "shelf.db".into() }
    }

    fn is_due(&self, failures: &[Failure]) -> bool {
        let shelf = self.shelf.borrow();
        shelf.fails_at.is_some_and(|(at, how)| at == shelf.commits + 1 && failures.contains(&how))
    }
}

impl EventLog for ShelfLog {
    fn append(&mut self, events: &[Recorded]) -> Result<(), store::Error> {
        assert!(!self.has_failed, "a store that has failed is written to");
        if self.is_due(&[Failure::Append]) {
            self.shelf.borrow_mut().commits += 1;
            return Err(self.fail());
        }
        self.pending.extend_from_slice(events);
        Ok(())
    }

    fn commit(&mut self) -> Result<(), store::Error> {
        assert!(!self.has_failed, "a store that has failed is written to");
        if self.is_due(&[Failure::Commit]) {
            self.shelf.borrow_mut().commits += 1;
            return Err(self.fail());
        }
        let but_fails = self.is_due(&[Failure::CommitButDurable]);
        for recorded in std::mem::take(&mut self.pending) {
            let key = self.key(&recorded);
            let mut shelf = self.shelf.borrow_mut();
            assert_eq!(recorded.seq, shelf.durable.len() as u64 + 1, "the log has a gap");
            assert!(shelf.keys.insert(key.clone()), "{key} is told twice");
            shelf.durable.push(recorded);
        }
        self.shelf.borrow_mut().commits += 1;
        if but_fails { Err(self.fail()) } else { Ok(()) }
    }

    fn contains(&mut self, dedup_key: &str) -> Result<bool, store::Error> {
        Ok(self.shelf.borrow().keys.contains(dedup_key))
    }
}

/// Makes traders over one shelf.
pub struct ShelfFactory<S> {
    pub shelf: Rc<RefCell<Shelf>>,
    strategy: std::marker::PhantomData<S>,
}

impl<S: Strategy> Factory for ShelfFactory<S> {
    type Strategy = S;
    type Log = ShelfLog;

    fn session_id(&self, life: u64) -> SessionId {
        format!("{life:016x}").parse().unwrap()
    }

    fn open(&mut self, session: SessionId, _: bool) -> Result<(ShelfLog, State), store::Error> {
        let mut shelf = self.shelf.borrow_mut();
        if shelf.opened > 0 && shelf.closed_for > 0 {
            shelf.closed_for -= 1;
            shelf.refused += 1;
            return Err(store::Error::DiskFull { path: "shelf.db".into() });
        }
        shelf.opened += 1;
        let mut state = State::new(&instruments());
        shelf.durable.iter().for_each(|recorded| state.apply(recorded).unwrap());
        let encoder = Encoder::new(Scope::binance_futures(Mode::Testnet, session, "main"), &instruments());
        let (shelf, pending, has_failed) = (Rc::clone(&self.shelf), Vec::new(), false);
        Ok((ShelfLog { shelf, pending, encoder, has_failed }, state))
    }

    fn strategy(&self) -> Result<S, String> {
        S::new(&Params::read("pulse", &[], &[]).unwrap(), &instruments())
    }

    fn engine_config(&self, session: SessionId) -> Config {
        Config {
            session,
            mode: Mode::Testnet,
            strategy: "pulse".into(),
            description: serde_json::json!({}),
            asset: "USDT".parse().unwrap(),
            base_timeframes: vec![Some(Timeframe::M1)],
            instruments: instruments(),
            trade_bars: Timeframe::M1,
            limits: Limits::default(),
            recv_window: 2 * SECOND,
            commit_each_step: true,
            live: Some(LiveConfig::default()),
        }
    }

    fn session_config(&self) -> SessionConfig {
        let key = ApiKey { id: "key".into(), signer: Signer::hmac("secret").unwrap() };
        SessionConfig {
            streams: StreamsWanted {
                timeframe: Timeframe::M1,
                mark_price: false,
                book_ticker: false,
                agg_trades: true,
                depth: false,
            },
            silence: Silence::ALLOWED,
            ..SessionConfig::new(Hosts::testnet(), Some(key), instruments())
        }
    }
}

enum Happening {
    Request(HttpRequest),
    Answer(HttpId, HttpResponse),
    Open(SocketId, String),
    Opened(SocketId),
    Frame(SocketId, String),
    Market(u64),
}

/// What was asked, and whether there was a store then.
pub struct Sent {
    pub line: String,
    pub without_store: bool,
}

pub struct World<S: Strategy> {
    pub trader: Trader<ShelfFactory<S>>,
    pub gateway: Gateway,
    pub shelf: Rc<RefCell<Shelf>>,
    pub now: Timestamp,
    pub sent: Vec<Sent>,
    pub requests: BTreeSet<HttpId>,
    agenda: BTreeMap<(Timestamp, u64), Happening>,
    last: u64,
    sockets: BTreeMap<ConnectionId, SocketId>,
}

impl<S: Strategy> World<S> {
    pub fn new(shelf: Shelf) -> World<S> {
        let shelf = Rc::new(RefCell::new(shelf));
        let factory = ShelfFactory { shelf: Rc::clone(&shelf), strategy: std::marker::PhantomData };
        let trader = Trader::new(factory, None).unwrap();
        let gateway = Gateway::new(GatewayConfig::default(), SimConfig::default(), &instruments());
        let mut world = World {
            trader,
            gateway,
            shelf,
            now: begun(),
            sent: Vec::new(),
            requests: BTreeSet::new(),
            agenda: BTreeMap::new(),
            last: 0,
            sockets: BTreeMap::new(),
        };
        world.market(0);
        world.trader.start(world.now).unwrap();
        world.after();
        world
    }

    fn put(&mut self, after: Nanos, happening: Happening) {
        self.last += 1;
        self.agenda.insert((self.now.plus(after), self.last), happening);
    }

    /// A trade each quarter of a second, at a price that goes up and down.
    fn market(&mut self, number: u64) {
        let price = Price::whole(50_000 + [0, 10, 25, 5, -15, -20, -5][(number % 7) as usize]);
        let trade = Trade { id: number as i64 + 1, price, qty: Qty::whole(10), is_buyer_maker: false };
        let update = MarketUpdate { at: self.now, symbol: BTC, data: MarketData::Trade(trade) };
        self.gateway.market_moves(self.now, &update);
        self.gateway.market_is_told(self.now, &update);
        self.put(250 * MILLI, Happening::Market(number + 1));
    }

    pub fn hear(&mut self, news: News<'_>) {
        self.trader.hear(self.now, news).unwrap();
        self.after();
    }

    /// Carries out what the trader said.
    pub fn after(&mut self) {
        let without_store = self.trader.is_distrusting().is_some();
        let effects: Vec<Effect> = self.trader.effects().collect();
        for effect in effects {
            match effect {
                Effect::Http(request) => {
                    assert!(self.requests.insert(request.id), "the number {:?} is used twice", request.id);
                    let line = format!("{} {}?{}", request.method.name(), request.path, request.query);
                    self.sent.push(Sent { line, without_store });
                    self.put(20 * MILLI, Happening::Request(request));
                }
                Effect::Open { socket, url } => self.put(20 * MILLI, Happening::Open(socket, url)),
                Effect::Close { socket } => {
                    let of = |known: &SocketId| *known == socket;
                    if let Some(id) = self.sockets.iter().find(|(_, known)| of(known)).map(|(id, _)| *id) {
                        self.gateway.disconnect(id);
                        self.sockets.remove(&id);
                    }
                }
                Effect::Send { .. } | Effect::Timer { .. } | Effect::Input(_) => {}
            }
        }
        self.frames();
    }

    fn frames(&mut self) {
        let frames: Vec<(ConnectionId, Frame)> = self.gateway.frames().collect();
        for (id, frame) in frames {
            match (frame, self.sockets.get(&id).copied()) {
                (Frame::Text(text), Some(socket)) => self.put(20 * MILLI, Happening::Frame(socket, text.to_string())),
                (Frame::Ping(_), _) => self.gateway.pong(self.now, id),
                _ => {}
            }
        }
    }

    /// Lets time pass.
    pub fn pass(&mut self, span: Nanos) {
        let until = self.now.plus(span);
        loop {
            let next = self.agenda.first_key_value().map_or(Timestamp::MAX, |((at, _), _)| *at);
            let wake_at = self.trader.wake_at().max(self.now);
            if next.min(wake_at) > until {
                break;
            }
            if wake_at < next {
                self.now = wake_at.max(self.now.plus(1));
                self.hear(News::Wake);
                continue;
            }
            self.now = next.max(self.now);
            let Some((_, happening)) = self.agenda.pop_first() else { break };
            self.happen(happening);
        }
        self.now = until;
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Request(request) => {
                let headers = [("x-mbx-apikey".to_owned(), "key".to_owned())];
                let (method, path, query) = (request.method.name(), request.path, request.query.as_str());
                let asked = Request { method, path, query, headers: &headers, body: b"" };
                let response = self.gateway.handle(self.now, &asked);
                let (status, headers, body) = (response.status, response.headers, response.body);
                self.put(20 * MILLI, Happening::Answer(request.id, HttpResponse { status, headers, body }));
                self.frames();
            }
            Happening::Answer(id, response) => self.hear(News::Http { id, answer: Ok(response) }),
            Happening::Open(socket, url) => {
                let rest = url.split_once("://").unwrap().1;
                let path = &rest[rest.find('/').unwrap()..];
                let (path, query) = path.split_once('?').unwrap_or((path, ""));
                self.last += 1;
                let id = ConnectionId(self.last);
                self.gateway.connect(self.now, id, path, query).unwrap();
                self.sockets.insert(id, socket);
                self.put(20 * MILLI, Happening::Opened(socket));
            }
            Happening::Opened(socket) => self.hear(News::Opened { socket }),
            Happening::Frame(socket, text) => self.hear(News::Frame { socket, text: text.as_bytes() }),
            Happening::Market(number) => {
                self.market(number);
                self.frames();
            }
        }
    }

    /// Places of orders that left.
    pub fn placed(&self) -> impl Iterator<Item = &Sent> {
        self.sent.iter().filter(|sent| sent.line.starts_with("POST /fapi/v1/order?"))
    }

    pub fn held(&self) -> Qty {
        self.gateway.exchange().position_figures(BTC, PositionSide::Both).position.qty()
    }

    /// What the durable log adds up to.
    pub fn remembered(&self) -> State {
        let mut state = State::new(&instruments());
        self.shelf.borrow().durable.iter().for_each(|recorded| state.apply(recorded).unwrap());
        state
    }
}
