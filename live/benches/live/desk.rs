//! A Desk is a bot at work without sockets: whatever it asks is answered at once, as an exchange would where all is well.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Instant;

use alphaengine_core::engine::{Config, Engine, LiveConfig};
use alphaengine_core::instrument::{Catalog, Instruments};
use alphaengine_core::link::Route;
use alphaengine_core::market::Timeframe;
use alphaengine_core::mode::{EngineMode, Mode};
use alphaengine_core::params::Params;
use alphaengine_core::prelude::*;
use alphaengine_core::risk::Limits;
use alphaengine_core::store::{EventLog, Scope};
use alphaengine_core::units::{NANOS_PER_DAY, NANOS_PER_MILLI, NANOS_PER_MINUTE, NANOS_PER_SECOND, Nanos};
use alphaengine_live::binance::{ApiKey, Hosts, Session, SessionConfig, Signer, StreamsWanted};
use alphaengine_live::bot::{Bot, News};
use alphaengine_live::wire::{Effect, HttpId, HttpRequest, HttpResponse, Method, SocketId};

pub const SYMBOLS: [&str; 2] = ["BTCUSDT", "ETHUSDT"];
/// So long before the first frame a bot is started.
pub const STARTED_BEFORE: Nanos = 5 * NANOS_PER_SECOND;
const SESSION: &str = "0123456789abcdef";

/// Which callback heard a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Callback {
    BookTicker,
    Trade,
    MarkPrice,
    Bar,
}

/// What the strategy is to do with the next book ticker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    Watch,
    Place,
    Cancel,
}

/// Notes when it was called, and does what the plan says.
pub struct Probe {
    /// Whether it looks at the clock.
    is_timed: bool,
    pub called: Cell<Option<(Callback, Instant)>>,
    /// When it had said what it wanted.
    pub decided: Cell<Option<Instant>>,
    pub plan: Cell<Plan>,
    pub order: Cell<Option<ClientOrderId>>,
    pub calls: Cell<u64>,
}

impl Probe {
    pub fn new(is_timed: bool) -> Probe {
        Probe {
            is_timed,
            called: Cell::new(None),
            decided: Cell::new(None),
            plan: Cell::new(Plan::Watch),
            order: Cell::new(None),
            calls: Cell::new(0),
        }
    }

    fn hears(&self, callback: Callback) {
        self.calls.set(self.calls.get() + 1);
        if self.is_timed {
            self.called.set(Some((callback, Instant::now())));
        }
    }
}

impl Strategy for Probe {
    fn info() -> StrategyInfo {
        StrategyInfo { name: "probe", about: "Notes when it is called.", params: vec![] }
    }

    fn new(_: &Params, _: &Instruments) -> Result<Self, String> {
        Ok(Probe::new(true))
    }

    fn on_book_ticker(&mut self, ctx: &mut Context<'_>, symbol: SymbolId, book: &BookTicker) {
        self.hears(Callback::BookTicker);
        match self.plan.replace(Plan::Watch) {
            Plan::Watch => return,
            Plan::Place => {
                // A tenth below the market, in ticks of 0.1.
                let price = Price::from_steps(book.bid.steps() / 10 * 9 / 10_000_000 * 10_000_000);
                self.order.set(Some(ctx.limit(symbol, Side::Buy, Qty::from_steps(1_000_000), price)));
            }
            Plan::Cancel => ctx.cancel(self.order.get().unwrap()),
        }
        self.decided.set(Some(Instant::now()));
    }

    fn on_trade(&mut self, _: &mut Context<'_>, _: SymbolId, _: &Trade) {
        self.hears(Callback::Trade);
    }

    fn on_mark_price(&mut self, _: &mut Context<'_>, _: SymbolId, _: Price) {
        self.hears(Callback::MarkPrice);
    }

    fn on_bar(&mut self, _: &mut Context<'_>, _: SymbolId, _: &Bar) {
        self.hears(Callback::Bar);
    }
}

pub fn instruments() -> Instruments {
    let catalog = Catalog::builtin();
    Instruments::new(SYMBOLS.map(|name| catalog.get(&name.parse().unwrap()).unwrap().clone()).to_vec()).unwrap()
}

pub fn scope() -> Scope {
    Scope::binance_futures(Mode::Testnet, SESSION.parse().unwrap(), "main")
}

pub fn engine_config() -> Config {
    Config {
        session: SESSION.parse().unwrap(),
        mode: Mode::Testnet,
        strategy: "probe".into(),
        description: serde_json::Value::Null,
        asset: "USDT".parse().unwrap(),
        instruments: instruments(),
        base_timeframes: vec![Some(Timeframe::M1); SYMBOLS.len()],
        trade_bars: Timeframe::M1,
        limits: Limits { max_position: Some(Money::whole(1_000_000)), ..Limits::default() },
        recv_window: 2_000 * NANOS_PER_MILLI,
        commit_each_step: true,
        live: Some(LiveConfig::default()),
    }
}

pub fn session() -> Session {
    let key = ApiKey { id: "key".into(), signer: Signer::hmac("secret").unwrap() };
    let mut config = SessionConfig::new(Hosts::production(), Some(key), instruments());
    config.streams = StreamsWanted { agg_trades: true, ..StreamsWanted::default() };
    Session::new(config)
}

pub struct Desk<L> {
    pub bot: Bot<Probe, L>,
    pub at: Timestamp,
    pub exchange: Exchange,
    sockets: BTreeMap<Route, SocketId>,
    /// Everything that was subscribed.
    streams: Vec<(SocketId, String)>,
}

impl<L: EventLog> Desk<L> {
    /// A bot that is connected and reconciled and whose strategy runs, before `until`.
    pub fn running(is_timed: bool, log: L, until: Timestamp) -> Desk<L> {
        let bot = Bot::new(Engine::new(engine_config(), Probe::new(is_timed), log), session(), None);
        let at = until.plus(-STARTED_BEFORE);
        let mut desk = Desk { bot, at, exchange: Exchange::default(), sockets: BTreeMap::new(), streams: Vec::new() };
        desk.bot.start(at).unwrap();
        desk.settle();
        while desk.bot.engine().state().mode != EngineMode::Running {
            desk.at = desk.at.plus(100 * NANOS_PER_MILLI);
            assert!(desk.at < until, "the bot does not come to run");
            desk.settle();
        }
        desk
    }

    pub fn socket(&self, route: Route) -> SocketId {
        self.sockets[&route]
    }

    pub fn probe(&self) -> &Probe {
        self.bot.engine().strategy()
    }

    /// Whether something is due before a frame of this time is heard.
    pub fn is_due(&mut self, at: Timestamp) -> bool {
        self.at = self.at.max(at);
        self.bot.wake_at() <= self.at
    }

    /// Lets time pass until nothing is due for a while.
    pub fn settle_for(&mut self, span: Nanos) {
        while self.bot.wake_at() <= self.at.plus(span) {
            self.at = self.at.max(self.bot.wake_at());
            self.settle();
        }
    }

    /// Lets everything happen that is due, and answers everything that is asked.
    pub fn settle(&mut self) {
        loop {
            if self.bot.wake_at() <= self.at {
                self.bot.hear(self.at, News::Wake).unwrap();
            }
            let effects: Vec<Effect> = self.bot.effects().collect();
            if effects.is_empty() && self.bot.wake_at() > self.at {
                return;
            }
            effects.into_iter().for_each(|effect| self.carry_out(effect));
        }
    }

    /// Says something old on every stream, so that none counts as dead.
    pub fn deliver_all(&mut self) {
        for (socket, stream) in self.streams.clone() {
            let text = first_frame(&stream, self.at);
            self.bot.hear(self.at, News::Frame { socket, text: text.as_bytes() }).unwrap();
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Http(request) => self.answer(&request),
            Effect::Open { socket, url } => {
                let route = Route::ALL.into_iter().find(|route| url.contains(&route.name().to_lowercase())).unwrap();
                self.sockets.insert(route, socket);
                self.bot.hear(self.at, News::Opened { socket }).unwrap();
                let streams = url.split_once("streams=").map_or("", |(_, streams)| streams);
                let streams = streams.split('/').filter(|stream| !stream.is_empty());
                self.streams.extend(streams.map(|stream| (socket, stream.to_owned())));
                self.deliver_all();
            }
            Effect::Close { socket } => {
                panic!("the bot closes socket {} of {:?}", socket.0, self.sockets)
            }
            Effect::Send { .. } | Effect::Timer { .. } | Effect::Input(_) => {}
        }
    }

    /// Lets the exchange answer one request.
    pub fn answer(&mut self, request: &HttpRequest) {
        let body = self.exchange.answer(request, self.at).into_bytes();
        let answer = Ok(HttpResponse { status: 200, headers: Vec::new(), body });
        let id: HttpId = request.id;
        self.bot.hear(self.at, News::Http { id, answer }).unwrap();
    }

    /// An event of the account about the one order of the strategy.
    pub fn tell_order(&mut self, execution: &str, status: &str) {
        let (name, at, order_id) = (self.probe().order.get().unwrap(), self.at.millis(), self.exchange.orders);
        let text = format!(
            r#"{{"e":"ORDER_TRADE_UPDATE","E":{at},"T":{at},"o":{{"s":"BTCUSDT","c":"{name}","S":"BUY","o":"LIMIT","f":"GTC","q":"0.010","p":"57000.00","ap":"0","sp":"0","x":"{execution}","X":"{status}","i":{order_id},"l":"0","z":"0","L":"0","n":"0","N":"USDT","T":{at},"t":0,"b":"0","a":"0","m":false,"R":false,"wt":"CONTRACT_PRICE","ot":"LIMIT","ps":"BOTH","cp":false,"rp":"0","pP":false,"si":0,"ss":0,"V":"EXPIRE_MAKER","pm":"NONE","gtd":0}}}}"#
        );
        let socket = self.socket(Route::Private);
        self.bot.hear(self.at, News::Frame { socket, text: text.as_bytes() }).unwrap();
    }
}

/// Canned answers. It holds no orders: questions are let through only while the strategy has none.
#[derive(Default)]
pub struct Exchange {
    pub orders: u64,
}

impl Exchange {
    fn answer(&mut self, request: &HttpRequest, at: Timestamp) -> String {
        match (request.method, request.path) {
            (_, "/fapi/v1/time") => format!(r#"{{"serverTime":{}}}"#, at.millis()),
            (_, "/fapi/v1/listenKey") => r#"{"listenKey":"K1"}"#.into(),
            (_, "/fapi/v3/account") => {
                r#"{"assets":[{"asset":"USDT","walletBalance":"100000.00000000"}],"positions":[]}"#.into()
            }
            (_, "/fapi/v1/symbolConfig") => {
                let row = |name| format!(r#"{{"symbol":"{name}","marginType":"CROSSED","leverage":20}}"#);
                format!("[{}]", SYMBOLS.map(row).join(","))
            }
            (_, "/fapi/v1/accountConfig") => r#"{"dualSidePosition":false}"#.into(),
            (Method::Post, "/fapi/v1/order") => {
                self.orders += 1;
                format!(r#"{{"orderId":{},"symbol":"BTCUSDT","status":"NEW"}}"#, self.orders)
            }
            (Method::Delete, "/fapi/v1/order") => {
                format!(r#"{{"orderId":{},"symbol":"BTCUSDT","status":"CANCELED"}}"#, self.orders)
            }
            (Method::Get, _) => "[]".into(),
            (method, path) => panic!("nobody answers {} {path}", method.name()),
        }
    }
}

/// The opening time of the bar that forms when a bot has started.
pub fn first_bar(at: Timestamp) -> Timestamp {
    at.plus(-NANOS_PER_DAY).floor_to(NANOS_PER_MINUTE)
}

/// A first message of a stream, older than anything that follows.
fn first_frame(stream: &str, at: Timestamp) -> String {
    let (symbol, kind) = stream.split_once('@').unwrap();
    let (symbol, millis) = (symbol.to_uppercase(), at.millis());
    let data = match kind {
        "bookTicker" => format!(
            r#"{{"e":"bookTicker","u":1,"E":{millis},"T":{millis},"s":"{symbol}","b":"3000.00","B":"1","a":"3000.10","A":"2"}}"#
        ),
        "markPrice@1s" => {
            format!(
                r#"{{"e":"markPriceUpdate","E":{millis},"s":"{symbol}","p":"3000.05","i":"3000","P":"3000","r":"0.0001","T":{millis}}}"#
            )
        }
        "aggTrade" => agg_trade(&symbol, 1, "3000.00", "0.5", false, millis),
        _ => kline(&symbol, first_bar(at), false, 3_000, millis),
    };
    format!(r#"{{"stream":"{stream}","data":{data}}}"#)
}

pub fn agg_trade(symbol: &str, id: u64, price: &str, qty: &str, is_buyer_maker: bool, at: i64) -> String {
    format!(
        r#"{{"e":"aggTrade","E":{at},"a":{id},"s":"{symbol}","p":"{price}","q":"{qty}","nq":"{qty}","f":{id},"l":{id},"T":{at},"m":{is_buyer_maker}}}"#
    )
}

pub fn kline(symbol: &str, open: Timestamp, is_closed: bool, price: u32, at: i64) -> String {
    let (open, close) = (open.millis(), open.plus(NANOS_PER_MINUTE).millis() - 1);
    format!(
        r#"{{"e":"kline","E":{at},"s":"{symbol}","k":{{"t":{open},"T":{close},"s":"{symbol}","i":"1m","f":100,"L":200,"o":"{price}.00","c":"{price}.50","h":"{price}.90","l":"{price}.00","v":"1013.250","n":2100,"x":{is_closed},"q":"65000000.12","V":"500.100","Q":"32000000.50","B":"0"}}}}"#
    )
}
