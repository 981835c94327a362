//! The Exchange is everything that one lock guards: the gateway, its market, and the connections that hear of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use alphaengine_core::instrument::Instruments;
use alphaengine_core::market::MarketUpdate;
use alphaengine_core::units::{NANOS_PER_MILLI, NANOS_PER_SECOND, Nanos, Timestamp};
use alphaengine_sim::faults::{Fault, Faults, How, Route};
use alphaengine_sim::gateway::{ConnectionId, Frame, Gateway, Request, Response};
use serde::Serialize;
use tokio::sync::{Notify, mpsc};

use crate::error::Error;
use crate::replay::Replay;
use crate::wire::Wire;

/// Frames that may wait for a connection. One more, and it is cut off.
pub const QUEUE: usize = 4_096;

/// What a connection's task is asked to send.
pub(crate) enum Outgoing {
    /// Not before `due`, where that is given. What is queued behind it waits with it.
    Text {
        text: Arc<str>,
        due: Option<Instant>,
    },
    Ping(Vec<u8>),
    Close {
        code: u16,
        reason: &'static str,
    },
}

/// A stream connection.
struct Socket {
    route: Route,
    queue: mpsc::Sender<Outgoing>,
    wire: Arc<Wire>,
    is_silent: bool,
    /// A frame that waits for the next one to go first.
    held: Option<Arc<str>>,
}

/// Text frames that were handed to the connections of each route since the server started.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Sent {
    public: u64,
    market: u64,
    private: u64,
    other: u64,
}

impl Sent {
    fn total(self) -> u64 {
        self.public + self.market + self.private + self.other
    }

    fn count(&mut self, route: Route) {
        match route {
            Route::Public => self.public += 1,
            Route::Market => self.market += 1,
            Route::Private => self.private += 1,
            Route::Other => self.other += 1,
        }
    }
}

/// Which half of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Half {
    Exchange,
    Market,
}

pub(crate) struct Exchange {
    pub(crate) gateway: Gateway,
    pub(crate) instruments: Instruments,
    pub(crate) replay: Replay,
    pub(crate) faults: Faults,
    /// The half that was done last.
    pub(crate) half: Half,
    pub(crate) sent: Sent,
    pub(crate) outage_until: Option<Instant>,
    /// The timer, the accept loop and the market look again.
    pub(crate) changed: Arc<Notify>,
    instant: Vec<MarketUpdate>,
    sockets: BTreeMap<u64, Socket>,
    wires: BTreeMap<u64, Arc<Wire>>,
    last_connection: u64,
    next_tick: Timestamp,
}

impl Exchange {
    pub(crate) fn new(gateway: Gateway, instruments: Instruments, replay: Replay, faults: Faults) -> Exchange {
        Exchange {
            gateway,
            instruments,
            replay,
            faults,
            half: Half::Market,
            sent: Sent::default(),
            outage_until: None,
            changed: Arc::new(Notify::new()),
            instant: Vec::new(),
            sockets: BTreeMap::new(),
            wires: BTreeMap::new(),
            last_connection: 0,
            next_tick: Timestamp::MIN,
        }
    }

    // Requests and connections.

    pub(crate) fn handle(&mut self, request: &Request<'_>) -> Response {
        let response = self.gateway.handle(wall(), request);
        self.flush();
        response
    }

    /// A stream connection, if the gateway takes it: its number and its queue.
    pub(crate) fn connect(
        &mut self,
        path: &str,
        query: &str,
        wire: &Arc<Wire>,
    ) -> Result<(u64, mpsc::Receiver<Outgoing>), Response> {
        self.last_connection += 1;
        let id = self.last_connection;
        let (queue, frames) = mpsc::channel(QUEUE);
        let socket =
            Socket { route: Route::of_path(path), queue, wire: Arc::clone(wire), is_silent: false, held: None };
        self.sockets.insert(id, socket);
        let answer = self.gateway.connect(wall(), ConnectionId(id), path, query);
        if let Err(response) = answer {
            self.sockets.remove(&id);
            self.flush();
            return Err(response);
        }
        self.flush();
        self.changed.notify_waiters();
        Ok((id, frames))
    }

    pub(crate) fn text(&mut self, id: u64, text: &str) {
        self.gateway.text(wall(), ConnectionId(id), text);
        self.flush();
    }

    pub(crate) fn pong(&mut self, id: u64) {
        self.gateway.pong(wall(), ConnectionId(id));
        self.flush();
    }

    pub(crate) fn disconnect(&mut self, id: u64) {
        if self.sockets.remove(&id).is_some() {
            self.gateway.disconnect(ConnectionId(id));
            self.flush();
        }
    }

    pub(crate) fn tick(&mut self) {
        self.gateway.tick(wall());
        self.flush();
    }

    // The market.

    /// Moves the exchange over the next instant. True when a user event came of it.
    ///
    /// # Errors
    /// When the data cannot be read on.
    pub(crate) fn market_moves(&mut self) -> Result<bool, Error> {
        let read = self.replay.take_instant(&mut self.instant);
        // Whatever is said in this half is said to the user.
        let before = self.sent.total();
        self.moments_until(self.replay.at());
        for update in &self.instant {
            self.gateway.market_moves(wall(), update);
        }
        self.half = Half::Exchange;
        self.flush();
        read.map(|()| self.sent.total() > before)
    }

    /// Tells the streams of the instant over which the exchange moved.
    pub(crate) fn market_is_told(&mut self) {
        for update in &self.instant {
            self.gateway.market_is_told(wall(), update);
        }
        self.half = Half::Market;
        self.flush();
    }

    /// Both halves.
    pub(crate) fn market_passes(&mut self) -> Result<(), Error> {
        let moved = self.market_moves();
        self.market_is_told();
        moved.map(|_| ())
    }

    /// When the next moment of the plan is, in market time.
    pub(crate) fn next_moment(&self) -> Option<Timestamp> {
        self.faults.next_at().map(|since| self.replay.opening().plus(since))
    }

    /// What the plan has for moments up to this time of the market happens.
    pub(crate) fn moments_until(&mut self, at: Timestamp) {
        if self.next_moment().is_none_or(|moment| moment > at) {
            return;
        }
        for fault in self.faults.at(at.since(self.replay.opening())) {
            self.happen(&fault);
        }
        self.flush();
    }

    /// No update is due: what is told each second is told again, at this time of the market.
    pub(crate) fn market_stands(&mut self, at: Timestamp) {
        self.gateway.market_stands(wall(), at);
        self.flush();
    }

    /// One half; where the first one has no user event, the second follows.
    pub(crate) fn step(&mut self) -> Result<(), Error> {
        if self.half == Half::Exchange {
            self.market_is_told();
            return Ok(());
        }
        if self.is_done() {
            return Ok(());
        }
        let moved = self.market_moves();
        if !matches!(moved, Ok(true)) {
            self.market_is_told();
        }
        moved.map(|_| ())
    }

    pub(crate) fn is_done(&self) -> bool {
        self.half == Half::Market && self.replay.next_at().is_none()
    }

    // Frames.

    /// Hands what the gateway has to say to the connections.
    pub(crate) fn flush(&mut self) {
        loop {
            // A fault on a frame can make the gateway say more.
            let frames: Vec<(ConnectionId, Frame)> = self.gateway.frames().collect();
            if frames.is_empty() {
                break;
            }
            for (ConnectionId(id), frame) in frames {
                match frame {
                    Frame::Text(text) => self.send_text(id, text),
                    Frame::Ping(payload) => self.send(id, Outgoing::Ping(payload)),
                    Frame::Close { code, reason } => self.send(id, Outgoing::Close { code, reason }),
                }
            }
        }
        let next_tick = self.gateway.next_tick();
        if next_tick < self.next_tick {
            self.changed.notify_waiters();
        }
        self.next_tick = next_tick;
    }

    fn send_text(&mut self, id: u64, text: Arc<str>) {
        let Some(socket) = self.sockets.get(&id) else { return };
        let mut copies = 1;
        let mut later = false;
        let mut delay = Duration::ZERO;
        for fault in self.faults.on_frame(socket.route, &text) {
            match fault {
                Fault::LoseFrame => copies = 0,
                Fault::DuplicateFrame => copies *= 2,
                Fault::Reorder => later = true,
                Fault::DelayFrame { ms } => delay += Duration::from_millis(ms),
                world => self.happen(&world),
            }
        }
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        if later && copies > 0 && socket.held.is_none() {
            socket.held = Some(text);
            return;
        }
        let held = socket.held.take();
        let due = (!delay.is_zero()).then(|| Instant::now() + delay);
        for text in std::iter::repeat_n(text, copies).chain(held) {
            self.send(id, Outgoing::Text { text, due });
        }
    }

    fn send(&mut self, id: u64, outgoing: Outgoing) {
        let Some(socket) = self.sockets.get(&id) else { return };
        // A silent connection takes nothing but what ends it.
        if socket.is_silent && !matches!(outgoing, Outgoing::Close { .. }) {
            return;
        }
        let is_text = matches!(outgoing, Outgoing::Text { .. });
        if socket.queue.try_send(outgoing).is_ok() {
            if is_text {
                self.sent.count(socket.route);
            }
            return;
        }
        // It does not read what it asked for.
        if let Some(socket) = self.sockets.remove(&id) {
            socket.wire.end_with_reset();
            socket.wire.cut();
            self.gateway.disconnect(ConnectionId(id));
        }
    }

    /// The least room in any connection's queue.
    pub(crate) fn room(&self) -> usize {
        self.sockets.values().map(|socket| socket.queue.capacity()).min().unwrap_or(QUEUE)
    }

    pub(crate) fn connections(&self, route: Route) -> usize {
        self.sockets.values().filter(|socket| socket.route == route).count()
    }

    pub(crate) fn has_connections(&self) -> bool {
        !self.sockets.is_empty()
    }

    // What may happen to the world.

    /// A fault that concerns no single request or frame.
    pub(crate) fn happen(&mut self, fault: &Fault) {
        match fault {
            Fault::CloseSocket { route, how } => self.close(*route, *how),
            Fault::HalfOpen { route } => {
                for socket in self.sockets.values_mut().filter(|socket| socket.route == *route) {
                    socket.is_silent = true;
                    socket.wire.fall_silent();
                }
            }
            Fault::Say { route, text } => {
                let of_route = self.sockets.iter().filter(|(_, socket)| socket.route == *route);
                let ids: Vec<u64> = of_route.map(|(id, _)| *id).collect();
                let text: Arc<str> = text.as_str().into();
                ids.into_iter().for_each(|id| self.send(id, Outgoing::Text { text: Arc::clone(&text), due: None }));
            }
            Fault::Outage { seconds } => self.outage(Duration::from_secs(*seconds)),
            Fault::ExpireListenKeys => self.gateway.expire_listen_keys(wall()),
            Fault::Ban { seconds } => self.gateway.ban(wall().plus(nanos(*seconds))),
            Fault::Throttle { seconds } => self.gateway.throttle(wall().plus(nanos(*seconds))),
            Fault::Clock { shift_ms } => self.gateway.shift_clock(*shift_ms),
            Fault::Lag { ms, seconds } => {
                let by = i64::try_from(*ms).unwrap_or(i64::MAX).saturating_mul(NANOS_PER_MILLI);
                self.gateway.lag_queries(wall(), by, wall().plus(nanos(*seconds)));
            }
            Fault::Transfer { amount } => {
                self.gateway.transfer(wall(), *amount);
            }
            Fault::ManualOrder { amount } => {
                if let Some(symbol) = self.instruments.id(&amount.symbol) {
                    // What the exchange refuses somebody else has no consequence for anybody here.
                    let _ = self.gateway.manual_order(wall(), symbol, amount.qty);
                }
            }
            Fault::Filters { symbol, times } => {
                if let Some(symbol) = self.instruments.id(symbol) {
                    self.gateway.filters(wall(), symbol, *times);
                }
            }
            _ => {}
        }
    }

    fn close(&mut self, route: Route, how: How) {
        if how == How::Close {
            let named = match route {
                Route::Other => vec!["legacy", "ws-api"],
                routed => vec![routed.name()],
            };
            return named.into_iter().for_each(|name| self.gateway.close_route(name));
        }
        for socket in self.sockets.values().filter(|socket| socket.route == route) {
            if how == How::Reset {
                socket.wire.end_with_reset();
            }
            socket.wire.cut();
        }
    }

    fn outage(&mut self, length: Duration) {
        self.outage_until = Some(Instant::now() + length);
        self.reset_all();
        self.changed.notify_waiters();
    }

    /// Resets every connection.
    pub(crate) fn reset_all(&mut self) {
        // An upgraded connection has left the one list for the other.
        let upgraded = self.sockets.values().map(|socket| &socket.wire);
        for wire in self.wires.values().chain(upgraded) {
            wire.end_with_reset();
            wire.cut();
        }
    }

    /// A TCP connection came in: its number and its wire.
    pub(crate) fn accepted(&mut self) -> (u64, Arc<Wire>) {
        self.last_connection += 1;
        let wire = Arc::new(Wire::default());
        self.wires.insert(self.last_connection, Arc::clone(&wire));
        (self.last_connection, wire)
    }

    pub(crate) fn is_gone(&mut self, connection: u64) {
        self.wires.remove(&connection);
    }

    /// The server stops; connections of the old one are gone.
    pub(crate) fn forget_connections(&mut self) {
        for id in std::mem::take(&mut self.sockets).into_keys() {
            self.gateway.disconnect(ConnectionId(id));
        }
        self.wires.clear();
        self.gateway.frames().for_each(drop);
    }
}

/// The wall clock.
pub(crate) fn wall() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX))
}

fn nanos(seconds: u64) -> Nanos {
    i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(NANOS_PER_SECOND)
}
