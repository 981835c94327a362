//! A Session speaks with Binance for the engine. It is told what happened and says what to do; it never waits.

use alphaengine_core::exchange::{ExchangeUpdate, Execution, OrderUpdate, Outcome, Request, Setting, Standing};
use alphaengine_core::id::{ClientOrderId, RequestId};
use alphaengine_core::link::Route;
use alphaengine_core::market::SymbolId;
use alphaengine_core::order::OrderSpec;
use alphaengine_core::rate_limit::{Cost, Urgency};
use alphaengine_core::units::{NANOS_PER_MILLI, Nanos, Price, Qty, Timestamp};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

use super::account::{self, Account, unreadable};
use super::alarm::Alarm;
use super::call::{Answer, Call, Finished, Purpose};
use super::config::SessionConfig;
use super::depth::Book;
use super::figures::{Figures, Strangers};
use super::history::History;
use super::json::Fields;
use super::line::Line;
use super::listen_key::{Fate, ListenKey};
use super::market::{self, Newest, Said, millis};
use super::orders;
use super::owners::Owners;
use super::query::Query;
use super::sockets::{Change, Sockets};
use super::streams::{self, Directory, Kind};
use super::trades::Trades;
use super::user::{self, Consequence, User};
use crate::wire::{Effect, HttpId, HttpResponse, Method, SocketId, TimerId, TransportError};

/// Calls a method of the account with the parts of the session that it reads and changes.
macro_rules! account_of {
    ($self:ident, $method:ident $(, $argument:expr)*) => {{
        let mut around = account::Around {
            line: &mut $self.line,
            instruments: &$self.config.instruments,
            owners: &mut $self.owners,
            strangers: &mut $self.strangers,
        };
        $self.account.$method(&mut around $(, $argument)*)
    }};
}

/// The same for user events.
macro_rules! user_of {
    ($self:ident, $method:ident $(, $argument:expr)*) => {{
        let newest = &$self.newest;
        let mark = |symbol: SymbolId| newest.get(symbol.index()).and_then(|newest: &Newest| newest.mark_price);
        let mut around = user::Around {
            line: &mut $self.line,
            instruments: &$self.config.instruments,
            owners: &mut $self.owners,
            strangers: &mut $self.strangers,
            mark: &mark,
        };
        $self.user.$method(&mut around $(, $argument)*)
    }};
}

/// The most orders of one batch.
const BATCH: usize = 5;

/// The state machine between the engine and the exchange.
///
/// Each call is told the time and may leave effects, to be taken with [`Session::effects`] and carried out in their order.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    line: Line,
    sockets: Sockets,
    directory: Directory,
    listen_key: ListenKey,
    history: History,
    trades: Trades,
    books: Vec<Book>,
    newest: Vec<Newest>,
    user: User,
    account: Account,
    owners: Owners,
    strangers: Strangers,
    /// Orders of this engine step that wait for `flush`.
    unsent: Vec<(RequestId, ClientOrderId, OrderSpec)>,
    /// Answers of a "cancel all" that are still out, and the worst so far.
    sweeps: BTreeMap<RequestId, (usize, Outcome)>,
    /// Conditional orders whose child is asked about.
    children: BTreeMap<RequestId, (SymbolId, ClientOrderId, u64)>,
    /// Symbols with a dead man's switch.
    guarded: BTreeSet<SymbolId>,
    started: bool,
    warming: bool,
    ready: bool,
    latency: Option<Nanos>,
    frames: u64,
}

impl Session {
    pub fn new(config: SessionConfig) -> Session {
        let streams = streams::wanted(&config.instruments, &config.streams, &config.silence);
        let count = config.instruments.len();
        Session {
            line: Line::new(config.key.as_ref().map(|key| key.signer.clone()), config.limits),
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
            guarded: BTreeSet::new(),
            started: false,
            warming: false,
            ready: false,
            latency: None,
            frames: 0,
            config,
        }
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
            Request::Snapshot => account_of!(self, ask_snapshot, id),
            Request::Trades { symbol, from_id, since } => account_of!(self, ask_trades, at, id, symbol, from_id, since),
            Request::Income { since } => self.account.ask_income(&mut self.line, at, Some(id), since),
            Request::CancelAll { .. } => {
                self.sweeps.insert(id, (2, Outcome::Done));
            }
            _ => {}
        }
        let (recv_window, hedge) = (self.config.recv_window_ms, self.user.hedge);
        // What came before in this step must not be overtaken.
        self.flush_batches(at);
        for call in orders::calls(at, id, &request, &self.config.instruments, recv_window, hedge) {
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
        let (recv_window, hedge) = (self.config.recv_window_ms, self.user.hedge);
        for orders in unsent.chunks(BATCH) {
            match orders {
                [(id, client_order_id, spec)] => {
                    let request = Request::PlaceOrder { client_order_id: *client_order_id, spec: *spec };
                    for call in orders::calls(at, *id, &request, &self.config.instruments, recv_window, hedge) {
                        self.line.call(call);
                    }
                }
                _ => {
                    let worth_until = at.plus(i64::from(recv_window) * NANOS_PER_MILLI);
                    let instruments = &self.config.instruments;
                    self.line.call(orders::batch(orders, instruments, recv_window, hedge, worth_until));
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

    /// One text frame. Frames of sockets that are not ours any more are ignored.
    pub fn on_frame(&mut self, at: Timestamp, socket: SocketId, text: &[u8]) {
        self.frames += 1;
        match self.sockets.route(socket) {
            None => {}
            Some(Route::Private) => self.private_frame(at, text),
            Some(_) => self.market_frame(at, socket, text),
        }
    }

    fn market_frame(&mut self, at: Timestamp, socket: SocketId, text: &[u8]) {
        match market::unwrap(text) {
            Some((name, data)) => self.stream_frame(at, socket, name, data),
            None => self.odd_frame(at, socket, text),
        }
    }

    /// A frame that is not written as usual: other spacing, an answer to a control frame, an announcement.
    fn odd_frame(&mut self, at: Timestamp, socket: SocketId, text: &[u8]) {
        let frame = match serde_json::from_slice::<Value>(text) {
            Ok(frame) => frame,
            Err(error) => return self.strangers.malformed(format_args!("market frame: {error}")),
        };
        if let (Some(name), Some(data)) = (frame.get("stream").and_then(Value::as_str), frame.get("data")) {
            let (name, data) = (name.to_owned(), data.to_string());
            self.stream_frame(at, socket, name.as_bytes(), data.as_bytes());
        } else if frame.get("e").and_then(Value::as_str) == Some("serverShutdown") {
            self.replace(at, socket);
            self.settle(at);
        } else if frame.get("id").is_none() {
            self.strangers.events += 1;
        }
    }

    fn stream_frame(&mut self, at: Timestamp, socket: SocketId, name: &[u8], data: &[u8]) {
        let Some(entry) = self.directory.find(name) else {
            self.strangers.streams += 1;
            return;
        };
        let (kind, symbol, place) = (entry.kind, entry.symbol, entry.place);
        let Some(change) = self.sockets.heard(&mut self.line, at, socket, Some(place)) else {
            return;
        };
        let index = symbol.index();
        let instruments = &self.config.instruments;
        let told = if kind == Kind::Depth {
            let tell = !self.config.streams.book_ticker;
            let name = instruments.get(symbol).symbol.as_str();
            self.books[index].heard(&mut self.line, symbol, name, data, tell).map(|time| (Said::Old, time))
        } else {
            market::decode(kind, symbol, self.config.streams.timeframe, data, &mut self.newest[index])
        };
        let mut may_call = kind == Kind::Depth;
        match told {
            Ok((said, event_time)) => {
                self.latency = Some(self.line.clock.server(at).since(millis(event_time)));
                match said {
                    Said::Update(update) => self.line.market(update),
                    Said::Closed(bar) => {
                        may_call = true;
                        self.history.closed(&mut self.line, symbol, bar);
                    }
                    Said::Forming { open_time } => self.history.forming(&mut self.line, at, symbol, open_time),
                    Said::Trade(update, trade) => {
                        may_call = true;
                        let name = instruments.get(symbol).symbol.as_str();
                        self.trades.heard(&mut self.line, name, update, trade);
                    }
                    Said::Old => {}
                }
            }
            Err(error) => self.strangers.malformed(format_args!("{kind:?}: {error}")),
        }
        if change != Change::None {
            self.changed(at, change);
            may_call = true;
        }
        if may_call {
            self.settle(at);
        }
    }

    fn private_frame(&mut self, at: Timestamp, text: &[u8]) {
        let (consequence, event_time) = user_of!(self, frame, at, text);
        if let Some(event_time) = event_time {
            self.latency = Some(self.line.clock.server(at).since(millis(event_time)));
        }
        match consequence {
            Consequence::None => {}
            Consequence::ListenKeyExpired => {
                let named = serde_json::from_slice::<Value>(text).unwrap_or_default();
                let named = named.get("data").unwrap_or(&named).get("listenKey").and_then(Value::as_str).unwrap_or("");
                if self.listen_key.is_mine(named) {
                    let fate = self.listen_key.expired(&mut self.line);
                    self.key_is(at, fate);
                }
            }
            Consequence::Shutdown => {
                if let Some(socket) = self.sockets.current(Route::Private) {
                    self.replace(at, socket);
                }
            }
        }
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
            Alarm::Measure => self.line.measure(),
            Alarm::LimitOver => self.line.limit_over(at),
            Alarm::KeepAlive if self.listen_key.lives() => self.listen_key.keep(&mut self.line),
            Alarm::KeepAlive => {}
            Alarm::ListenKey => self.connect(at, Route::Private),
            Alarm::Silence(socket) => self.sockets.check_silence(&mut self.line, at, socket),
            Alarm::Reconnect(route) => {
                if self.sockets.lacks(route) || self.sockets.wants_successor(route, at) {
                    self.connect(at, route);
                }
            }
            Alarm::Replace(socket) => self.replace(at, socket),
            Alarm::Retire(socket) => self.sockets.retire(&mut self.line, socket),
            Alarm::BarLate(symbol) => self.history.late(&mut self.line, symbol),
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
            Alarm::Orphans => user_of!(self, release_orphans, at),
        }
        self.settle(at);
    }

    /// Closes the sockets; nothing is sent any more. A dead man's switch is taken back first, so that orders which were meant to
    /// stay do. The listen key is left to live out its hour: another process of the account may use it.
    pub fn stop(&mut self, at: Timestamp) {
        self.flush_batches(at);
        for symbol in std::mem::take(&mut self.guarded) {
            self.countdown(symbol, 0);
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
    fn settle(&mut self, at: Timestamp) {
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
    fn replace(&mut self, at: Timestamp, socket: SocketId) {
        match self.sockets.replace(socket) {
            Some(Route::Private) => match self.listen_key.known().map(str::to_owned) {
                Some(key) => self.sockets.connect_private(&mut self.line, at, &key),
                None => self.connect(at, Route::Private),
            },
            Some(route) => self.sockets.connect(&mut self.line, at, route),
            None => {}
        }
    }

    fn changed(&mut self, at: Timestamp, change: Change) {
        match change {
            Change::Up(Route::Market) if self.ready => self.history.catch_up(&mut self.line, at),
            Change::Up(Route::Public) if self.ready => self.books.iter_mut().for_each(Book::doubt),
            Change::None | Change::Up(_) => {}
        }
    }

    fn key_is(&mut self, at: Timestamp, fate: Fate) {
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

    fn answer(&mut self, id: RequestId, outcome: Outcome) {
        self.line.exchange(ExchangeUpdate::Answer { id, outcome });
    }

    /// Sets the dead man's switch of a symbol with its first order.
    fn guard(&mut self, at: Timestamp, symbol: SymbolId) {
        if let Some(countdown) = self.config.countdown {
            if self.guarded.is_empty() {
                self.line.alarm(at.plus(countdown / 3), Alarm::Countdown);
            }
            if self.guarded.insert(symbol) {
                self.countdown(symbol, countdown / NANOS_PER_MILLI);
            }
        }
    }

    fn refresh_countdown(&mut self, at: Timestamp) {
        let Some(countdown) = self.config.countdown else { return };
        for symbol in self.guarded.clone() {
            self.countdown(symbol, countdown / NANOS_PER_MILLI);
        }
        self.line.alarm(at.plus(countdown / 3), Alarm::Countdown);
    }

    fn countdown(&mut self, symbol: SymbolId, millis: i64) {
        let name = &self.config.instruments.get(symbol).symbol;
        let query = Query::new().with("symbol", name).with("countdownTime", millis);
        let path = "/fapi/v1/countdownCancelAll";
        let call = Call::change(Purpose::Countdown(symbol), Method::Post, path, query, self.config.recv_window_ms);
        self.line.call(call.cost(Cost::weight(10)).urgency(Urgency::Vital));
    }

    fn finished(&mut self, at: Timestamp, finished: Finished) {
        let Finished { purpose, answer, .. } = finished;
        match purpose {
            // Handled by the line itself; a limit may end it here, and it is asked again with the next measurement.
            Purpose::Time | Purpose::Countdown(_) | Purpose::Boot(_) => {}
            Purpose::ListenKey => {
                let fate = self.listen_key.made(&mut self.line, at, &answer, self.config.listen_key_keepalive);
                if let Fate::Fresh(key) = fate {
                    self.sockets.connect_private(&mut self.line, at, &key);
                }
            }
            Purpose::KeepAlive => {
                let fate = self.listen_key.kept(&mut self.line, at, &answer, self.config.listen_key_keepalive);
                self.key_is(at, fate);
            }
            Purpose::Bars(symbol) => self.history.fetched(&mut self.line, at, symbol, &answer),
            Purpose::MarketTrades(symbol) => self.trades.fetched(&mut self.line, symbol, &answer),
            Purpose::Book(symbol) => {
                let tell = !self.config.streams.book_ticker;
                self.books[symbol.index()].fetched(&mut self.line, at, symbol, &answer, tell);
            }
            Purpose::Place { id, symbol, client_order_id, conditional } => {
                let outcome = self.placed(symbol, client_order_id, conditional, &answer);
                self.answer(id, outcome);
            }
            Purpose::Batch(orders) => self.batch_placed(&orders, &answer),
            Purpose::Change(id) => {
                let outcome = done(&answer);
                self.answer(id, outcome);
            }
            Purpose::CancelAll(id) => self.swept(id, &answer),
            Purpose::Query { id, symbol, client_order_id } => {
                let outcome = self.found(symbol, client_order_id, &answer);
                self.answer(id, outcome);
            }
            Purpose::QueryConditional { id, symbol, client_order_id } => {
                if let Some(outcome) = self.found_conditional(id, symbol, client_order_id, &answer) {
                    self.answer(id, outcome);
                }
            }
            Purpose::QueryChild { id, algo_id } => {
                let known = self.children.remove(&id);
                let (symbol, client_order_id) = known.map_or((SymbolId(0), ClientOrderId::default()), |k| (k.0, k.1));
                // Not there yet, or not any more: what became of it is not known.
                let outcome = match self.found(symbol, client_order_id, &answer) {
                    Outcome::Found { filled, standing, .. } => Outcome::Found { order_id: algo_id, filled, standing },
                    Outcome::NotFound => Outcome::Unknown { reason: "the child is not found".to_owned() },
                    other => other,
                };
                self.answer(id, outcome);
            }
            Purpose::Snapshot { id, part } => {
                if let Some(snapshot) = account_of!(self, part, id, part, &answer) {
                    let positions = snapshot.positions.iter().map(|it| (it.symbol, it.position_side, it.qty));
                    self.user.positions_are(positions);
                    for (_, setting) in &snapshot.settings {
                        if let Setting::HedgeMode { hedge } = setting {
                            self.user.hedge = *hedge;
                        }
                    }
                }
            }
            Purpose::Trades(id) => account_of!(self, trades, at, id, &answer),
            Purpose::Owner { id, order_id } => account_of!(self, owner, id, order_id, &answer),
            Purpose::Income(id) => {
                let hedge = self.user.hedge;
                account_of!(self, income, id, hedge, &answer);
            }
        }
    }

    fn placed(&mut self, symbol: SymbolId, name: ClientOrderId, conditional: bool, answer: &Answer) -> Outcome {
        if let Some(outcome) = account::failure(answer) {
            return outcome;
        }
        let field = if conditional { "algoId" } else { "orderId" };
        // A success that cannot be read may still be an order.
        let Some(order_id) = body(answer).and_then(|body| Fields::of(&body).ok()?.whole(field).ok()) else {
            return unreadable();
        };
        if !conditional {
            self.owners.learn(symbol, order_id, name);
        }
        Outcome::Placed { order_id }
    }

    fn batch_placed(&mut self, orders: &[(RequestId, SymbolId, ClientOrderId)], answer: &Answer) {
        let list = body(answer).and_then(|body| body.as_array().cloned()).unwrap_or_default();
        for (place, (id, symbol, client_order_id)) in orders.iter().enumerate() {
            let outcome = account::failure(answer).unwrap_or_else(|| {
                let Some(row) = list.get(place).and_then(|row| Fields::of(row).ok()) else {
                    return unreadable();
                };
                if let Some(error) = account::refusal(row) {
                    return match super::answer::judge_code_of_batch(error) {
                        Ok(error) => Outcome::Rejected(error),
                        Err(reason) => Outcome::Unknown { reason },
                    };
                }
                match row.whole("orderId") {
                    Ok(order_id) => {
                        self.owners.learn(*symbol, order_id, *client_order_id);
                        Outcome::Placed { order_id }
                    }
                    Err(_) => unreadable(),
                }
            });
            self.line.exchange(ExchangeUpdate::Answer { id: *id, outcome });
        }
    }

    /// One of the two halves of "cancel all". The worse outcome counts.
    fn swept(&mut self, id: RequestId, answer: &Answer) {
        let Some((left, worst)) = self.sweeps.get_mut(&id) else { return };
        *left -= 1;
        let outcome = done(answer);
        if *worst == Outcome::Done || matches!(outcome, Outcome::Unknown { .. }) {
            *worst = outcome;
        }
        if *left == 0
            && let Some((_, outcome)) = self.sweeps.remove(&id)
        {
            self.answer(id, outcome);
        }
    }

    fn found(&mut self, symbol: SymbolId, name: ClientOrderId, answer: &Answer) -> Outcome {
        if let Some(outcome) = not_found(answer) {
            return outcome;
        }
        let read = body(answer).and_then(|body| {
            let order = Fields::of(&body).ok()?;
            let order_id = order.whole("orderId").ok()?;
            Some((order_id, order.qty("executedQty").ok()?, orders::standing(order)?))
        });
        let Some((order_id, filled, standing)) = read else { return unreadable() };
        self.owners.learn(symbol, order_id, name);
        Outcome::Found { order_id, filled, standing }
    }

    /// The answer about a conditional order; `None` while its child is asked about.
    fn found_conditional(
        &mut self,
        id: RequestId,
        symbol: SymbolId,
        client_order_id: ClientOrderId,
        answer: &Answer,
    ) -> Option<Outcome> {
        if let Some(outcome) = not_found(answer) {
            return Some(outcome);
        }
        let Some(body) = body(answer) else { return Some(unreadable()) };
        let Ok(order) = Fields::of(&body) else { return Some(unreadable()) };
        let Ok(algo_id) = order.whole("algoId") else { return Some(unreadable()) };
        let standing = match order.text("algoStatus") {
            "NEW" => Standing::Open,
            "CANCELED" => Standing::Canceled,
            "EXPIRED" if order.flag("closePosition") || order.flag("reduceOnly") => {
                Standing::Expired(alphaengine_core::exchange::ExpiryReason::ReduceOnly)
            }
            "EXPIRED" => Standing::Expired(alphaengine_core::exchange::ExpiryReason::GoodTillDate),
            "REJECTED" => Standing::Rejected,
            _ => match order.whole("actualOrderId") {
                Ok(child) => {
                    self.fired(&order, symbol, client_order_id, algo_id, child);
                    let name = &self.config.instruments.get(symbol).symbol;
                    let query = Query::new().with("symbol", name).with("orderId", child);
                    self.children.insert(id, (symbol, client_order_id, algo_id));
                    let call = Call::signed(Purpose::QueryChild { id, algo_id }, "/fapi/v1/order", query, 1);
                    self.line.call(call.urgency(Urgency::Vital).asks_again(0));
                    return None;
                }
                // It fires at this moment.
                Err(_) => Standing::Open,
            },
        };
        Some(Outcome::Found { order_id: algo_id, filled: Qty::ZERO, standing })
    }

    /// A question told of a trigger that the stream may not have told of.
    fn fired(&mut self, order: &Fields<'_>, symbol: SymbolId, name: ClientOrderId, algo_id: u64, child: u64) {
        let read = (order.side("side"), order.position_side("positionSide"));
        let (Ok(side), Ok(position_side)) = read else { return };
        let qty = order.qty("quantity").ok().filter(|qty| qty.is_positive());
        // A quantity that is not known yet comes with the child's own event.
        let Some(qty) = qty.or_else(|| order.qty("actualQty").ok().filter(|qty| qty.is_positive())) else { return };
        if self.owners.learn_child(symbol, child, name) {
            self.line.exchange(ExchangeUpdate::Order(OrderUpdate {
                at: order.time("triggerTime").or_else(|_| order.time("updateTime")).unwrap_or_default(),
                client_order_id: name,
                order_id: algo_id,
                symbol,
                side,
                position_side,
                execution: Execution::Triggered { child, qty },
            }));
        }
    }
}

fn body(answer: &Answer) -> Option<Value> {
    match answer {
        Answer::Accepted(body) => serde_json::from_slice(body).ok(),
        Answer::Refused(_) | Answer::Unknown(_) => None,
    }
}

/// The outcome of a change. What is so already is done (-4046, -4059, -5027; `binance-usdm.md` section 6).
fn done(answer: &Answer) -> Outcome {
    match answer {
        Answer::Refused(error) if matches!(error.code, -4046 | -4059 | -5027) => Outcome::Done,
        Answer::Accepted(_) if body(answer).is_none() => unreadable(),
        _ => account::failure(answer).unwrap_or(Outcome::Done),
    }
}

fn not_found(answer: &Answer) -> Option<Outcome> {
    match answer {
        Answer::Refused(error) if matches!(error.code, -2013) => Some(Outcome::NotFound),
        _ => account::failure(answer),
    }
}
