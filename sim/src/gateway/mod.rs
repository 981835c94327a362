//! The Gateway speaks Binance: bytes in, calls on the simulated exchange, bytes out. It does no I/O and reads no clock.
//!
//! There are two clocks. Protocol time is the wall clock (`wall`): server time, signatures, listen keys, rate windows, the age of
//! connections. Market time is that of the market updates, and may run faster: the times of candles, trades and orders. Before the
//! first update market time is the wall clock.
//!
//! The market moves in two halves, so that a run in steps is deterministic: [`Gateway::market_moves`] is the exchange (fills,
//! funding, user events), [`Gateway::market_is_told`] is the public (candles, trades, the book). What a client asks between them
//! it is answered from the public state before the update.
//!
//! Encoders stand here; the live session has decoders of its own, written apart, so that one misreading cannot hide another. The
//! shapes are those of `binance-usdm.md` (November 2026) and what `binance-clients.md` says that clients demand.
//!
//! What is not there: brokers, sub-accounts, COIN-M, statistics under `/futures/data` (empty lists), bulk downloads, RPI orders.

mod account;
mod algo;
mod bookings;
mod candles;
mod encode;
mod endpoints;
mod error;
mod exchange_info;
mod faults;
mod json;
mod ledger;
mod limits;
mod listen_key;
mod market_data;
mod market_streams;
mod order_reports;
mod orders;
mod other_apis;
mod positions;
mod records;
mod request;
mod signature;
mod sockets;
mod states;
mod streams;
mod tape;
mod tickers;
mod topic;
mod user_events;
mod wire;
mod ws_api;

use std::collections::{BTreeMap, BTreeSet};

use alphaengine_core::exchange::{Outcome, Outgoing};
use alphaengine_core::id::{ClientOrderId, RequestId};
use alphaengine_core::instrument::{Instrument, Instruments};
use alphaengine_core::market::{MarketData, MarketUpdate, SymbolId};
use alphaengine_core::order::OrderSpec;
use alphaengine_core::units::{Money, Timestamp};

pub use self::ledger::OwnTrade;
pub use self::wire::{ConnectionId, Frame, GatewayConfig, Request, Response};

use self::encode::Digits;
use self::error::ApiError;
use self::json::{JsonText, json};
use self::ledger::Ledger;
use self::limits::Limits;
use self::listen_key::ListenKeys;
use self::market_streams::Pace;
use self::records::Records;
use self::request::Params;
use self::sockets::{Door, Sockets};
use self::tape::Tape;
use self::wire::refusal;
use crate::config::SimConfig;
use crate::exchange::SimExchange;

/// A contract with what is looked up for every message.
#[derive(Debug)]
struct Contract {
    id: SymbolId,
    name: String,
    instrument: Instrument,
    digits: Digits,
    pace: Pace,
}

/// An order on its way into the exchange.
#[derive(Debug, Clone, Copy)]
struct Intent {
    name: ClientOrderId,
    spec: OrderSpec,
    price_match: &'static str,
}

/// What a handler is given.
struct Call<'a> {
    params: &'a Params,
}

/// Our Binance.
///
/// ```
/// use alphaengine_core::instrument::{Catalog, Instruments};
/// use alphaengine_core::units::Timestamp;
/// use alphaengine_sim::SimConfig;
/// use alphaengine_sim::gateway::{Gateway, GatewayConfig, Request};
///
/// let instruments = Instruments::new(vec![Catalog::builtin().get(&"BTCUSDT".parse()?)?.clone()])?;
/// let mut gateway = Gateway::new(GatewayConfig::default(), SimConfig::default(), &instruments);
/// let request = Request { method: "GET", path: "/fapi/v1/time", query: "", headers: &[], body: b"" };
/// let response = gateway.handle(Timestamp::from_date(2026, 11, 25).unwrap_or_default(), &request);
/// assert_eq!((response.status, response.body.as_slice()), (200, br#"{"serverTime":1795564800000}"#.as_slice()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Gateway {
    config: GatewayConfig,
    exchange: SimExchange,
    contracts: Vec<Contract>,
    /// By their names and their lower-case names.
    symbols: BTreeMap<String, SymbolId>,
    tapes: Vec<Tape>,
    /// Market time; `None` before the first update.
    clock: Option<Timestamp>,
    /// The newest protocol time heard.
    wall: Timestamp,
    /// Milliseconds by which the exchange's clock is off.
    shift: i64,
    requests: u64,
    names_made: u64,
    modifications: i64,
    intent: Option<Intent>,
    limits: Limits,
    keys: ListenKeys,
    sockets: Sockets,
    records: Records,
    ledger: Ledger,
    /// Dead man's switches: when each fires, in protocol time.
    countdowns: BTreeMap<SymbolId, Timestamp>,
    /// Fault: queries are answered as of a while ago.
    lag: Option<faults::Lag>,
    multi_assets: bool,
    fee_burn: bool,
    is_open: bool,
    /// A price came at which somebody could trade.
    has_begun: bool,
}

impl Gateway {
    pub fn new(config: GatewayConfig, sim: SimConfig, instruments: &Instruments) -> Gateway {
        let contract = |(id, instrument): (SymbolId, &Instrument)| Contract {
            id,
            name: instrument.symbol.to_string(),
            instrument: instrument.clone(),
            digits: Digits::of(instrument),
            pace: Pace::default(),
        };
        let names = instruments.iter().map(|(id, instrument)| (instrument.symbol.to_string(), id));
        let lower = instruments.iter().map(|(id, instrument)| (instrument.symbol.as_str().to_lowercase(), id));
        let mut gateway = Gateway {
            limits: Limits::new(config.weight_per_minute, config.orders_per_10s, config.orders_per_minute),
            config,
            exchange: SimExchange::new(sim, instruments),
            contracts: instruments.iter().map(contract).collect(),
            symbols: names.chain(lower).collect(),
            tapes: instruments.iter().map(|_| Tape::default()).collect(),
            clock: None,
            wall: Timestamp::from_nanos(0),
            shift: 0,
            requests: 0,
            names_made: 0,
            modifications: 0,
            intent: None,
            keys: ListenKeys::default(),
            sockets: Sockets::default(),
            records: Records::default(),
            ledger: Ledger::default(),
            countdowns: BTreeMap::new(),
            lag: None,
            multi_assets: false,
            fee_burn: false,
            is_open: false,
            has_begun: false,
        };
        gateway.exchange.open_account(gateway.wall);
        gateway.absorb(None);
        gateway
    }

    /// Answers a request. What it makes the exchange say is among the [`Gateway::frames`] afterwards.
    pub fn handle(&mut self, wall: Timestamp, request: &Request<'_>) -> Response {
        self.hear_time(wall);
        let params = Params::of_request(request.query, request.body);
        let (result, placed) = match endpoints::find(request.method, request.path) {
            Ok(endpoint) => (self.serve(endpoint, request, &params), endpoint.orders > 0),
            Err(error) => (self.limits.ask(wall, 1).and(Err(error)), false),
        };
        let mut response = match &result {
            Ok(value) => Response::json(200, value),
            Err(error) => refusal(error),
        };
        let mut header = |name: &str, value: String| response.headers.push((name.into(), value));
        header("x-mbx-used-weight-1m", self.limits.used_weight(wall).to_string());
        if placed {
            let (in_10s, in_1m) = self.limits.order_counts(wall);
            header("x-mbx-order-count-10s", in_10s.to_string());
            header("x-mbx-order-count-1m", in_1m.to_string());
        }
        response
    }

    fn serve(
        &mut self,
        endpoint: &endpoints::Endpoint,
        request: &Request<'_>,
        params: &Params,
    ) -> Result<JsonText, ApiError> {
        let wall = self.wall;
        self.limits.ask(wall, endpoint.weight.of(params))?;
        if endpoint.weight == endpoints::Weight::Funding {
            self.limits.ask_funding(wall)?;
        }
        if endpoint.security != endpoints::Security::None {
            signature::check_key(request.header("x-mbx-apikey"), &self.config.key)?;
        }
        if endpoint.security == endpoints::Security::Signed {
            let sent = params.required("signature")?;
            signature::check_time(self.server_time(), params)?;
            signature::check_request(self.config.secret.as_deref(), request.query, request.body, sent)?;
        }
        if endpoint.orders > 0 {
            self.limits.order(wall, endpoint.orders, 1)?;
        }
        (endpoint.call)(self, &Call { params })
    }

    /// A WebSocket connection comes in. Refused, it gets an HTTP answer instead of the upgrade.
    pub fn connect(
        &mut self,
        wall: Timestamp,
        connection: ConnectionId,
        path: &str,
        query: &str,
    ) -> Result<(), Response> {
        self.hear_time(wall);
        let opened = self.open_connection(wall, connection, path, query);
        if opened.is_err() {
            self.sockets.forget(connection);
        }
        opened
    }

    /// A text frame came in.
    pub fn text(&mut self, wall: Timestamp, connection: ConnectionId, text: &str) {
        self.hear_time(wall);
        if !self.sockets.count_message(connection, wall) {
            return;
        }
        match self.sockets.get(connection).map(|connection| connection.door) {
            Some(Door::WsApi) => self.ws_api_frame(connection, text),
            Some(_) => self.stream_frame(connection, text),
            None => {}
        }
    }

    /// A pong came in, with or without a payload.
    pub fn pong(&mut self, wall: Timestamp, connection: ConnectionId) {
        self.hear_time(wall);
        if let Some(connection) = self.sockets.get_mut(connection) {
            connection.ponged = wall;
        }
    }

    pub fn disconnect(&mut self, connection: ConnectionId) {
        self.sockets.forget(connection);
    }

    /// Before the start: becomes history (candles, trades, settlements) and does not touch the exchange.
    pub fn history(&mut self, update: &MarketUpdate) {
        if let (Some(tape), Some(contract)) =
            (self.tapes.get_mut(update.symbol.index()), self.contracts.get(update.symbol.index()))
        {
            tape.hear(update, &contract.instrument);
            // Else an order before the first live update would be of the wall clock's time, and a recording's market behind it.
            self.clock = Some(self.clock.map_or(update.at, |clock| clock.max(update.at)));
        }
    }

    /// The first half of an update: the exchange matches, charges funding, and tells the account.
    pub fn market_moves(&mut self, wall: Timestamp, update: &MarketUpdate) {
        self.hear_time(wall);
        if update.symbol.index() >= self.contracts.len() {
            return;
        }
        self.clock = Some(self.clock.map_or(update.at, |clock| clock.max(update.at)));
        // As in a backtest: marks and funding before the first price at which somebody could trade are passed over.
        let is_price =
            !matches!(update.data, MarketData::MarkPrice(_) | MarketData::MarkBar(_) | MarketData::Funding(_));
        self.has_begun |= is_price;
        if self.has_begun {
            self.exchange.on_market(update);
        }
        if self.exchange.has_said() {
            self.absorb(None);
        }
    }

    /// The second half: the public is told.
    pub fn market_is_told(&mut self, wall: Timestamp, update: &MarketUpdate) {
        self.hear_time(wall);
        let (Some(tape), Some(contract)) =
            (self.tapes.get_mut(update.symbol.index()), self.contracts.get(update.symbol.index()))
        else {
            return;
        };
        let before = tape.ladder_if(self.sockets.has_depth(update.symbol), &contract.instrument);
        let news = tape.hear(update, &contract.instrument);
        self.tell_public(update, news, before);
    }

    /// The market has said nothing new for a while: marks are told each second all the same, as the exchange does, and the quote
    /// with them, which a market made of bars does not move between them. `at` is the market's time now.
    pub fn market_stands(&mut self, wall: Timestamp, at: Timestamp) {
        self.hear_time(wall);
        for symbol in (0..self.tapes.len()).map(|index| SymbolId(index as u16)) {
            self.repeat_prices(symbol, at);
        }
    }

    /// The market's time goes on between two updates. For a world in which market and wire have one clock: there what is ordered
    /// between them has its own time, as at the real exchange.
    pub fn market_time_is(&mut self, at: Timestamp) {
        if let Some(clock) = &mut self.clock {
            *clock = (*clock).max(at);
        }
    }

    /// Does what the time has come for: pings, closes, expired listen keys, countdowns.
    pub fn tick(&mut self, wall: Timestamp) {
        self.hear_time(wall);
        let config = &self.config;
        self.sockets.tick(wall, config.ping_every, config.pong_within, config.connection_life);
    }

    /// When [`Gateway::tick`] is needed next.
    pub fn next_tick(&self) -> Timestamp {
        let config = &self.config;
        let sockets = self.sockets.next_tick(config.ping_every, config.pong_within, config.connection_life);
        let countdown = self.countdowns.values().copied().min().unwrap_or(Timestamp::MAX);
        sockets.min(countdown).min(self.keys.expires())
    }

    /// What is to be sent, in order.
    pub fn frames(&mut self) -> std::vec::Drain<'_, (ConnectionId, Frame)> {
        self.sockets.frames()
    }

    pub fn exchange(&self) -> &SimExchange {
        &self.exchange
    }

    /// Every trade that the account ever made, oldest first, for audits.
    pub fn fills(&self) -> &[OwnTrade] {
        &self.ledger.trades
    }

    /// The wallet with isolated margins.
    pub fn wallet_total(&self) -> Money {
        self.exchange.wallet_total()
    }

    /// Client order ids (regular and conditional) under which more than one order was taken, and how many.
    pub fn duplicate_client_ids(&self) -> Vec<(ClientOrderId, u32)> {
        self.records.reused_names()
    }

    /// The names of what is open: regular orders, without the children of conditional ones, and conditional orders, for audits.
    pub fn open_names(&self) -> BTreeSet<ClientOrderId> {
        let regular = self.records.open().filter(|order| order.algo_id.is_none()).map(|order| order.client_order_id);
        regular.chain(self.records.open_algos().map(|algo| algo.client_algo_id)).collect()
    }

    /// Fault: the listen key expires now. Its connections are told, stay open and are silent.
    pub fn expire_listen_keys(&mut self, wall: Timestamp) {
        self.hear_time(wall);
        self.expire_key(true);
    }

    /// Fault: the connections of a route (`public`, `market`, `private`, `legacy`, `ws-api`) are closed.
    pub fn close_route(&mut self, route: &str) {
        self.sockets.close_door(route);
    }

    /// Fault: 418 until then.
    pub fn ban(&mut self, until: Timestamp) {
        self.limits.ban(until);
    }

    /// Fault: 429 with Retry-After until then.
    pub fn throttle(&mut self, until: Timestamp) {
        self.limits.throttle(until);
    }

    /// Fault: the exchange's clock steps by so many milliseconds.
    pub fn shift_clock(&mut self, millis: i64) {
        self.shift = self.shift.saturating_add(millis);
    }

    /// Protocol time goes on. What it ends, ends before anything else is heard.
    fn hear_time(&mut self, wall: Timestamp) {
        self.wall = self.wall.max(wall);
        (self.records.wall, self.ledger.wall) = (self.wall, self.wall);
        if !self.is_open {
            self.is_open = true;
            // The deposit was there before anybody could ask for it.
            self.ledger.opened_at(self.market_now().plus(-alphaengine_core::units::NANOS_PER_MILLI));
        }
        self.expire_key(false);
        let due = |countdowns: &BTreeMap<SymbolId, Timestamp>, wall| {
            countdowns.iter().find(|(_, at)| **at <= wall).map(|(symbol, _)| *symbol)
        };
        while let Some(symbol) = due(&self.countdowns, self.wall) {
            self.countdowns.remove(&symbol);
            self.cancel_regular(symbol);
        }
    }

    fn expire_key(&mut self, at_once: bool) {
        if let Some(key) = self.keys.expire(self.wall, at_once) {
            let event = json!({"e": "listenKeyExpired", "E": self.wall.millis(), "listenKey": key});
            self.sockets.publish_user(&key, "listenKeyExpired", event.as_str(), self.config.strict_routes);
        }
    }

    /// The exchange's clock.
    fn server_time(&self) -> Timestamp {
        self.wall.plus(self.shift.saturating_mul(alphaengine_core::units::NANOS_PER_MILLI))
    }

    fn market_now(&self) -> Timestamp {
        self.clock.unwrap_or(self.wall)
    }

    fn market_millis(&self) -> i64 {
        self.market_now().millis()
    }

    /// Asks the exchange, and takes in everything that it says to it.
    fn ask(&mut self, request: alphaengine_core::exchange::Request) -> Result<Outcome, ApiError> {
        self.requests += 1;
        let id = RequestId(self.requests);
        let at = self.market_now();
        self.exchange.submit(at, &Outgoing { id, request });
        match self.absorb(Some(id)) {
            Some(Outcome::Rejected(error)) => Err(error.into()),
            Some(outcome) => Ok(outcome),
            None => Err(ApiError::new(-1000, "An unknown error occurred while processing the request.")),
        }
    }

    /// A name for an order without one.
    fn make_name(&mut self) -> ClientOrderId {
        self.names_made += 1;
        format!("web_{:018}", self.names_made).parse().unwrap_or_default()
    }

    fn contract(&self, symbol: SymbolId) -> &Contract {
        &self.contracts[symbol.index()]
    }

    fn tape(&self, symbol: SymbolId) -> &Tape {
        &self.tapes[symbol.index()]
    }

    /// The symbol that a request names.
    fn symbol(&self, params: &Params) -> Result<SymbolId, ApiError> {
        self.symbol_named(params.required("symbol")?)
    }

    fn symbol_named(&self, name: &str) -> Result<SymbolId, ApiError> {
        // Lower-case names are for streams only.
        let found = self.symbols.get(name).copied().filter(|symbol| self.contract(*symbol).name == name);
        found.ok_or_else(ApiError::bad_symbol)
    }

    /// The symbol, where one is named.
    fn symbol_if_any(&self, params: &Params) -> Result<Option<SymbolId>, ApiError> {
        params.text("symbol").map(|name| self.symbol_named(name)).transpose()
    }
}
