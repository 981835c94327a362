//! A Session speaks with Binance for the engine. It is told what happened and says what to do; it never waits.

use alphaengine_core::exchange::{ExchangeUpdate, Outcome, Request};
use alphaengine_core::id::{ClientOrderId, RequestId};
use alphaengine_core::link::Route;
use alphaengine_core::market::SymbolId;
use alphaengine_core::order::OrderSpec;
use alphaengine_core::rate_limit::{Cost, Report, Urgency};
use alphaengine_core::units::{NANOS_PER_MILLI, Nanos, Price, Qty, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

use super::account::Account;
use super::alarm::Alarm;
use super::call::{Call, Purpose};
use super::config::{SessionConfig, UsedWeight};
use super::depth::Book;
use super::figures::{Figures, Strangers};
use super::freshness::Freshness;
use super::history::History;
use super::line::Line;
use super::listen_key::{Fate, ListenKey};
use super::market::Newest;
use super::orders;
use super::owners::Owners;
use super::query::Query;
use super::sockets::{Change, Sockets};
use super::streams::{self, Directory};
use super::trades::Trades;
use super::user::User;
use crate::wire::{Effect, HttpId, HttpResponse, Method, SocketId, TimerId, TransportError};

/// The most orders of one batch.
const BATCH: usize = 5;

/// The state machine between the engine and the exchange.
///
/// Each call is told the time and may leave effects, to be taken with [`Session::effects`] and carried out in their order.
#[derive(Debug)]
pub struct Session {
    pub(super) config: SessionConfig,
    pub(super) line: Line,
    pub(super) sockets: Sockets,
    pub(super) directory: Directory,
    pub(super) listen_key: ListenKey,
    pub(super) history: History,
    pub(super) trades: Trades,
    pub(super) books: Vec<Book>,
    pub(super) newest: Vec<Newest>,
    pub(super) user: User,
    pub(super) account: Account,
    pub(super) owners: Owners,
    pub(super) strangers: Strangers,
    /// Orders of this engine step that wait for `flush`.
    pub(super) unsent: Vec<(RequestId, ClientOrderId, OrderSpec)>,
    /// Answers of a "cancel all" that are still out, and the worst so far.
    pub(super) sweeps: BTreeMap<RequestId, (usize, Outcome)>,
    /// Conditional orders whose child is asked about.
    pub(super) children: BTreeMap<RequestId, (SymbolId, ClientOrderId, u64)>,
    /// Changes of the position mode that are on their way.
    pub(super) mode_changes: BTreeMap<RequestId, bool>,
    /// Symbols with a dead man's switch.
    pub(super) guarded: BTreeSet<SymbolId>,
    pub(super) started: bool,
    pub(super) warming: bool,
    pub(super) ready: bool,
    pub(super) latency: Option<Nanos>,
    pub(super) frames: u64,
}

impl Session {
    pub fn new(config: SessionConfig) -> Session {
        let streams = streams::wanted(&config.instruments, &config.streams, &config.silence);
        let count = config.instruments.len();
        let mut line = Line::new(config.key.as_ref().map(|key| key.signer.clone()), config.limits);
        if let Some(UsedWeight { weight, at }) = config.used_weight {
            let report = Report { weight_1m: Some(weight), ..Report::default() };
            line.limiter.answered(at, at, Cost::weight(0), report);
        }
        line.freshness = Freshness::new(config.silence.late_after);
        Session {
            line,
            directory: Directory::new(&streams),
            sockets: Sockets::new(&config, streams),
            listen_key: ListenKey::default(),
            history: History::new(&config.instruments, config.streams.timeframe),
            trades: Trades::new(count),
            books: (0..count).map(|_| Book::default()).collect(),
            newest: vec![Newest::default(); count],
            user: User::new(config.hedge),
            account: Account::default(),
            owners: Owners::default(),
            strangers: Strangers::default(),
            unsent: Vec::new(),
            sweeps: BTreeMap::new(),
            children: BTreeMap::new(),
            mode_changes: BTreeMap::new(),
            guarded: BTreeSet::new(),
            started: false,
            warming: false,
            ready: false,
            latency: None,
            frames: 0,
            config,
        }
    }

    /// A session in the place of an earlier one of this process, which ends at once: its sockets are closed, and answers to what it
    /// asked are heard by nobody. Numbers, the exchange's clock, limits and dead man's switches go on.
    #[must_use]
    pub fn after(mut earlier: Session, config: SessionConfig) -> Session {
        earlier.sockets.stop(&mut earlier.line);
        let mut session = Session::new(config);
        session.guarded = earlier.guarded;
        session.line.go_on_from(earlier.line);
        session
    }

    /// Measures the exchange's clock, opens the sockets, fetches the history, and tells `Ready` when all of them deliver.
    pub fn start(&mut self, at: Timestamp) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        self.line.measure();
        for route in [Route::Public, Route::Market] {
            self.sockets.connect(&mut self.line, at, route);
        }
        self.warming = true;
        if !self.guarded.is_empty() {
            self.refresh_countdown(at);
        }
        self.settle(at);
    }

    /// A request of the engine. It may leave at once, or with `flush`, or when a limit allows it.
    pub fn on_request(&mut self, at: Timestamp, outgoing: &alphaengine_core::exchange::Outgoing) {
        let (id, request) = (outgoing.id, outgoing.request);
        if self.config.key.is_none() || self.line.is_stopped() {
            let why = if self.line.is_stopped() { "the session has stopped" } else { "there is no key" };
            let outcome = Outcome::Rejected(super::answer::error(0, &format!("not sent: {why}")));
            return self.answer(id, outcome);
        }
        match request {
            Request::PlaceOrder { client_order_id, spec }
                if self.config.batch_orders && !spec.order_type.is_conditional() =>
            {
                self.guard(at, spec.symbol);
                self.unsent.push((id, client_order_id, spec));
                return;
            }
            Request::PlaceOrder { spec, .. } => self.guard(at, spec.symbol),
            Request::Snapshot => account_of!(self, ask_snapshot, at, id),
            Request::Trades { symbol, from_id, since } => account_of!(self, ask_trades, at, id, symbol, from_id, since),
            Request::Income { since } => self.account.ask_income(&mut self.line, at, Some(id), since),
            Request::CancelAll { .. } => {
                self.sweeps.insert(id, (2, Outcome::Done));
            }
            // A session that began after the order fired learns here whose its child is.
            Request::CancelOrder { client_order_id, symbol, child: Some(child), .. }
            | Request::QueryOrder { client_order_id, symbol, child: Some(child), .. }
            | Request::ModifyOrder { client_order_id, symbol, child: Some(child), .. } => {
                self.owners.learn_child(symbol, child, client_order_id);
            }
            Request::SetHedgeMode { hedge } => {
                self.mode_changes.insert(id, hedge);
            }
            _ => {}
        }
        let recv_window = self.config.recv_window_ms;
        // What came before in this step must not be overtaken.
        self.flush_batches(at);
        for call in orders::calls(at, id, &request, &self.config.instruments, recv_window) {
            self.line.call(call);
        }
        self.settle(at);
    }

    /// The requests of one engine step are all there.
    pub fn flush(&mut self, at: Timestamp) {
        self.flush_batches(at);
        self.settle(at);
    }

    fn flush_batches(&mut self, at: Timestamp) {
        let unsent = std::mem::take(&mut self.unsent);
        let recv_window = self.config.recv_window_ms;
        // Closes do not share a batch with openings: these may be held back where those must leave.
        let alike = unsent.chunk_by(|(.., one), (.., other)| one.only_reduces() == other.only_reduces());
        for orders in alike.flat_map(|orders| orders.chunks(BATCH)) {
            match orders {
                [(id, client_order_id, spec)] => {
                    let request = Request::PlaceOrder { client_order_id: *client_order_id, spec: *spec };
                    for call in orders::calls(at, *id, &request, &self.config.instruments, recv_window) {
                        self.line.call(call);
                    }
                }
                _ => {
                    let worth_until = at.plus(i64::from(recv_window) * NANOS_PER_MILLI);
                    let instruments = &self.config.instruments;
                    self.line.call(orders::batch(orders, instruments, recv_window, worth_until));
                }
            }
        }
    }

    pub fn on_http(&mut self, at: Timestamp, id: HttpId, answer: Result<HttpResponse, TransportError>) {
        self.line.answered(at, id, answer);
        self.settle(at);
    }

    pub fn on_opened(&mut self, at: Timestamp, socket: SocketId) {
        let change = self.sockets.opened(&mut self.line, at, socket);
        self.changed(at, change);
        self.settle(at);
    }

    pub fn on_closed(&mut self, at: Timestamp, socket: SocketId, why: &str) {
        self.sockets.closed(&mut self.line, at, socket, why);
        self.settle(at);
    }

    pub fn on_timer(&mut self, at: Timestamp, timer: TimerId) {
        let Some(alarm) = self.line.alarmed(timer) else {
            return;
        };
        if self.line.is_stopped() {
            return;
        }
        match alarm {
            Alarm::Pump => {}
            Alarm::Measure => self.line.measure_due(at),
            Alarm::LimitOver => self.line.limit_over(at),
            Alarm::KeepAlive if self.listen_key.lives() => self.listen_key.keep(&mut self.line),
            Alarm::KeepAlive => self.listen_key.rest(),
            Alarm::ListenKey => self.connect(at, Route::Private),
            Alarm::Silence(socket) => self.sockets.check_silence(&mut self.line, at, socket),
            Alarm::Reconnect(route) => {
                if self.sockets.lacks(route) || self.sockets.wants_successor(route, at) {
                    self.connect(at, route);
                }
            }
            Alarm::Replace(socket) => self.replace(at, socket),
            Alarm::Retire(socket) => self.sockets.retire(&mut self.line, socket),
            Alarm::BarLate(symbol) => self.history.late(&mut self.line, at, symbol),
            Alarm::Income => {
                if let Some(since) = self.user.income_since {
                    self.account.ask_income(&mut self.line, at, None, since);
                }
            }
            Alarm::Countdown => self.refresh_countdown(at),
            Alarm::Book(symbol) => {
                let name = self.config.instruments.get(symbol).symbol.as_str();
                self.books[symbol.index()].ask(&mut self.line, symbol, name, Timestamp::MIN);
            }
            Alarm::Untold { socket, symbol, untold } => self.check_hearing(at, socket, symbol, untold),
            Alarm::Orphans => user_of!(self, release_orphans, at),
        }
        self.settle(at);
    }

    /// Closes the sockets; nothing is sent any more. A dead man's switch is taken back first, so that orders which were meant to
    /// stay do. The listen key is left to live out its hour: another process of the account may use it.
    pub fn stop(&mut self, at: Timestamp) {
        self.flush_batches(at);
        for symbol in std::mem::take(&mut self.guarded) {
            self.countdown(at, symbol, 0);
        }
        self.line.pump(at);
        self.line.stop();
        self.sockets.stop(&mut self.line);
        self.settle(at);
    }

    /// What is to be done, in order. Taking them forgets them.
    pub fn effects(&mut self) -> std::vec::Drain<'_, Effect> {
        self.line.effects()
    }

    /// What the session knows of its own state. `at` is our clock.
    pub fn figures(&self) -> Figures {
        let (used_weight, orders_10s, orders_1m) = self.line.limiter.last_seen();
        Figures {
            used_weight,
            weight_limit: self.config.limits.weight_1m,
            orders_10s,
            orders_1m,
            offset_ms: self.line.clock.is_set().then(|| self.line.clock.offset() / NANOS_PER_MILLI),
            streams_up: self.sockets.up().collect(),
            latency: self.latency,
            frames: self.frames,
            strangers: self.strangers.clone(),
        }
    }

    /// The best levels of the local book, bids and asks, while it is whole; only where depth is wanted.
    pub fn book(&self, symbol: SymbolId, levels: usize) -> Option<[Vec<(Price, Qty)>; 2]> {
        self.books.get(symbol.index())?.levels(levels)
    }

    /// Carries on until nothing more can be done at this time.
    pub(super) fn settle(&mut self, at: Timestamp) {
        loop {
            self.line.pump(at);
            let Some(finished) = self.line.finished.pop_front() else { break };
            self.finished(at, finished);
        }
        self.go_on(at);
        self.line.pump(at);
    }

    /// The steps of the start that wait for others.
    fn go_on(&mut self, at: Timestamp) {
        if self.warming && self.line.clock.is_set() {
            self.warming = false;
            self.history.warm_up(&mut self.line, at, self.config.warm_up_bars);
            if self.config.key.is_some() {
                self.connect(at, Route::Private);
            }
        }
        if self.started && !self.ready && !self.warming && self.line.clock.is_set() && self.history.is_warm() {
            let wanted = |route: &Route| match route {
                Route::Private => self.config.key.is_some(),
                route => self.sockets.has_streams(*route),
            };
            if Route::ALL.iter().filter(|route| wanted(route)).all(|route| self.sockets.was_up(*route)) {
                self.ready = true;
                self.line.ready();
            }
        }
    }

    fn connect(&mut self, at: Timestamp, route: Route) {
        if route != Route::Private {
            self.sockets.connect(&mut self.line, at, route);
        } else if let Some(key) = self.listen_key.ask(&mut self.line, at) {
            self.sockets.connect_private(&mut self.line, at, &key);
        }
    }

    /// Opens a second connection beside an old one.
    pub(super) fn replace(&mut self, at: Timestamp, socket: SocketId) {
        match self.sockets.replace(socket) {
            Some(Route::Private) => match self.listen_key.known().map(str::to_owned) {
                Some(key) => self.sockets.connect_private(&mut self.line, at, &key),
                None => self.connect(at, Route::Private),
            },
            Some(route) => self.sockets.connect(&mut self.line, at, route),
            None => {}
        }
    }

    pub(super) fn changed(&mut self, at: Timestamp, change: Change) {
        match change {
            Change::Up(Route::Market) if self.ready => self.history.catch_up(&mut self.line, at),
            Change::Up(Route::Public) if self.ready => self.books.iter_mut().for_each(Book::doubt),
            Change::None | Change::Up(_) => {}
        }
    }

    pub(super) fn key_is(&mut self, at: Timestamp, fate: Fate) {
        match fate {
            Fate::Kept => {}
            Fate::Fresh(key) => {
                self.sockets.drop_route(&mut self.line, Route::Private, "another listen key");
                self.sockets.connect_private(&mut self.line, at, &key);
            }
            Fate::Gone => {
                self.sockets.drop_route(&mut self.line, Route::Private, "the listen key expired");
                self.connect(at, Route::Private);
            }
        }
    }

    pub(super) fn answer(&mut self, id: RequestId, outcome: Outcome) {
        self.line.exchange(ExchangeUpdate::Answer { id, outcome });
    }

    /// Sets the dead man's switch of a symbol with its first order.
    fn guard(&mut self, at: Timestamp, symbol: SymbolId) {
        if let Some(countdown) = self.config.countdown {
            if self.guarded.is_empty() {
                self.line.alarm(at.plus(countdown / 3), Alarm::Countdown);
            }
            if self.guarded.insert(symbol) {
                self.countdown(at, symbol, countdown);
            }
        }
    }

    fn refresh_countdown(&mut self, at: Timestamp) {
        let Some(countdown) = self.config.countdown else { return };
        for symbol in self.guarded.clone() {
            self.countdown(at, symbol, countdown);
        }
        self.line.alarm(at.plus(countdown / 3), Alarm::Countdown);
    }

    /// Sets the switch, or with 0 takes it back. One that waited until the next is due is worth nothing.
    fn countdown(&mut self, at: Timestamp, symbol: SymbolId, countdown: Nanos) {
        let name = &self.config.instruments.get(symbol).symbol;
        let query = Query::new().with("symbol", name).with("countdownTime", countdown / NANOS_PER_MILLI);
        let path = "/fapi/v1/countdownCancelAll";
        let call = Call::change(Purpose::Countdown(symbol), Method::Post, path, query, self.config.recv_window_ms);
        self.line.call(call.cost(Cost::weight(10)).urgency(Urgency::Vital).useless_after(at.plus(countdown / 3)));
    }
}
