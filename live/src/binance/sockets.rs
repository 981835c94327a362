//! Sockets live and die here: one per route, each stream with its own deadlines, replaced before the exchange drops them.
//!
//! Silence is how a stream fails (`binance-usdm.md` section 1.1): a subscription on the wrong route is accepted and never
//! delivers. So a route is up when each of its streams has delivered, and down when one of them is silent for too long.

use alphaengine_core::link::{LinkUpdate, Route};
use alphaengine_core::planted::{self, Bug};
use alphaengine_core::units::{NANOS_PER_SECOND, Nanos, Timestamp};

use super::alarm::Alarm;
use super::config::{Backoff, SessionConfig};
use super::hosts::Hosts;
use super::line::Line;
use super::streams::Stream;
use crate::wire::SocketId;

/// A connection opens within this time or is given up.
const OPENS_WITHIN: Nanos = 10 * NANOS_PER_SECOND;
/// An old socket is heard for so long after its successor delivers.
const OVERLAP: Nanos = NANOS_PER_SECOND;
/// So many streams stand in the address; further ones are asked for by frames, because addresses have a longest length.
const IN_ADDRESS: usize = 100;

#[derive(Debug)]
pub(crate) struct Sockets {
    hosts: Hosts,
    routes: [RouteState; 3],
    backoff: Backoff,
    life: Nanos,
    /// State of the jitter's generator.
    random: u64,
}

#[derive(Debug)]
struct RouteState {
    route: Route,
    streams: Vec<Stream>,
    current: Option<Connection>,
    successor: Option<Connection>,
    retiring: Vec<SocketId>,
    failures: u32,
    is_up: bool,
    was_up: bool,
    told_down: bool,
}

#[derive(Debug)]
struct Connection {
    socket: SocketId,
    asked_at: Timestamp,
    opened_at: Option<Timestamp>,
    /// When each stream was heard last.
    heard: Vec<Option<Timestamp>>,
    missing: usize,
}

/// What a change of sockets means for the rest of the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    None,
    /// The route delivers; there was a gap before, or it is the first time.
    Up(Route),
}

impl Sockets {
    /// `streams` are sorted into their routes; `private` says whether there is a private route.
    pub fn new(config: &SessionConfig, streams: Vec<Stream>) -> Sockets {
        let routes = Route::ALL.map(|route| RouteState {
            route,
            streams: streams.iter().filter(|stream| stream.route == route).cloned().collect(),
            current: None,
            successor: None,
            retiring: Vec::new(),
            failures: 0,
            is_up: false,
            was_up: false,
            told_down: false,
        });
        let life = config.connection_life;
        Sockets { hosts: config.hosts.clone(), routes, backoff: config.backoff, life, random: config.seed }
    }

    pub fn has_streams(&self, route: Route) -> bool {
        !self.state(route).streams.is_empty()
    }

    pub fn was_up(&self, route: Route) -> bool {
        self.state(route).was_up
    }

    pub fn up(&self) -> impl Iterator<Item = Route> {
        self.routes.iter().filter(|state| state.is_up).map(|state| state.route)
    }

    fn state(&self, route: Route) -> &RouteState {
        &self.routes[route as usize]
    }

    /// Connects a route of market data.
    pub fn connect(&mut self, line: &mut Line, at: Timestamp, route: Route) {
        let state = self.state(route);
        if state.streams.is_empty() {
            return;
        }
        let names: Vec<String> = state.streams.iter().take(IN_ADDRESS).map(|stream| stream.encoded.clone()).collect();
        let url = self.hosts.streams_url(route, &names);
        self.connect_to(line, at, route, url);
    }

    /// Connects the route of the account's events.
    pub fn connect_private(&mut self, line: &mut Line, at: Timestamp, listen_key: &str) {
        let url = self.hosts.private_url(listen_key);
        self.connect_to(line, at, Route::Private, url);
    }

    fn connect_to(&mut self, line: &mut Line, at: Timestamp, route: Route, url: String) {
        let state = &mut self.routes[route as usize];
        let socket = line.open(url);
        let count = state.streams.len();
        let missing = state.streams.iter().filter(|stream| stream.must_speak).count();
        let new = Connection { socket, asked_at: at, opened_at: None, heard: vec![None; count], missing };
        let place = if state.current.is_some() { &mut state.successor } else { &mut state.current };
        if let Some(left) = place.replace(new) {
            line.close(left.socket);
        }
        line.alarm(at.plus(OPENS_WITHIN), Alarm::Silence(socket));
    }

    /// Lets go of the connection of a route without counting it as a failure: it is to be made anew.
    pub fn drop_route(&mut self, line: &mut Line, route: Route, reason: &str) {
        let state = &mut self.routes[route as usize];
        for left in [state.current.take(), state.successor.take()].into_iter().flatten() {
            line.close(left.socket);
        }
        state.down(line, reason);
    }

    pub fn opened(&mut self, line: &mut Line, at: Timestamp, socket: SocketId) -> Change {
        let Some(state) = self.routes.iter_mut().find(|state| state.knows(socket)) else {
            return Change::None;
        };
        let more: Vec<String> = state.streams.iter().skip(IN_ADDRESS).map(|stream| stream.name.clone()).collect();
        let Some(connection) = state.connection(socket) else {
            return Change::None;
        };
        connection.opened_at = Some(at);
        for (number, names) in more.chunks(IN_ADDRESS).enumerate() {
            let params = serde_json::json!({"method": "SUBSCRIBE", "params": names, "id": number + 1});
            line.say(socket, params.to_string());
        }
        line.alarm(at.plus(self.life), Alarm::Replace(socket));
        let complete = connection.missing == 0;
        let deadline = state.deadline(socket);
        if deadline < Timestamp::MAX {
            line.alarm(deadline, Alarm::Silence(socket));
        }
        if complete { state.complete(line, at, socket) } else { Change::None }
    }

    /// Notes that a stream delivered. `None` when the socket is not ours any more.
    #[inline]
    pub fn heard(&mut self, line: &mut Line, at: Timestamp, socket: SocketId, stream: Option<usize>) -> Option<Change> {
        for state in &mut self.routes {
            let must_speak = stream.and_then(|place| state.streams.get(place)).is_some_and(|stream| stream.must_speak);
            let Some(connection) = state.connection(socket) else {
                if state.retiring.contains(&socket) {
                    return Some(Change::None);
                }
                continue;
            };
            let Some(last) = stream.and_then(|stream| connection.heard.get_mut(stream)) else {
                return Some(Change::None);
            };
            if last.replace(at).is_none() && must_speak {
                connection.missing = connection.missing.saturating_sub(1);
                if connection.missing == 0 {
                    return Some(state.complete(line, at, socket));
                }
            }
            return Some(Change::None);
        }
        None
    }

    /// The route of a socket that is still heard.
    pub fn route(&self, socket: SocketId) -> Option<Route> {
        let found = self.routes.iter().find(|state| state.owns(socket));
        found.map(|state| state.route)
    }

    /// A socket was lost, or never opened.
    pub fn closed(&mut self, line: &mut Line, at: Timestamp, socket: SocketId, why: &str) {
        let Some(state) = self.routes.iter_mut().find(|state| state.owns(socket)) else {
            return;
        };
        state.retiring.retain(|old| *old != socket);
        let is = |connection: &mut Connection| connection.socket == socket;
        if state.successor.take_if(is).is_some() {
            // The old one still delivers: try again.
            state.failures += 1;
            let route = state.route;
            let pause = self.pause(route);
            return line.alarm(at.plus(pause), Alarm::Reconnect(route));
        }
        if state.current.take_if(is).is_none() {
            return;
        }
        state.down(line, why);
        state.failures += 1;
        state.current = state.successor.take();
        if state.current.is_none() {
            let route = state.route;
            let pause = self.pause(route);
            line.alarm(at.plus(pause), Alarm::Reconnect(route));
        }
    }

    /// Looks at the deadlines of a socket.
    pub fn check_silence(&mut self, line: &mut Line, at: Timestamp, socket: SocketId) {
        let Some(state) = self.routes.iter_mut().find(|state| state.knows(socket)) else {
            return;
        };
        let deadline = state.deadline(socket);
        if deadline > at {
            if deadline < Timestamp::MAX {
                line.alarm(deadline, Alarm::Silence(socket));
            }
            return;
        }
        let why = state.silent(socket, at);
        self.give_up(line, at, socket, &why);
    }

    /// A connection that stands and is worth nothing.
    pub fn give_up(&mut self, line: &mut Line, at: Timestamp, socket: SocketId, why: &str) {
        if self.routes.iter().any(|state| state.knows(socket)) {
            line.close(socket);
            self.closed(line, at, socket, why);
        }
    }

    /// The connection of a route that delivers, and when it opened.
    pub fn up_since(&self, route: Route) -> Option<(SocketId, Timestamp)> {
        let current = self.state(route).current.as_ref().filter(|_| self.state(route).is_up)?;
        Some((current.socket, current.opened_at?))
    }

    /// A reconnect is due: whether the route still lacks a connection.
    pub fn lacks(&self, route: Route) -> bool {
        self.state(route).current.is_none()
    }

    /// Whether a planned replacement of this socket is to be begun; the route then.
    pub fn replace(&mut self, socket: SocketId) -> Option<Route> {
        let state = self.routes.iter_mut().find(|state| state.knows(socket))?;
        let is_current = state.current.as_ref().is_some_and(|current| current.socket == socket);
        (is_current && state.successor.is_none()).then_some(state.route)
    }

    /// A route whose successor failed is to be given another one.
    pub fn wants_successor(&self, route: Route, at: Timestamp) -> bool {
        let state = self.state(route);
        let old = state.current.as_ref().and_then(|current| current.opened_at);
        state.successor.is_none() && old.is_some_and(|opened| at.since(opened) >= self.life)
    }

    pub fn current(&self, route: Route) -> Option<SocketId> {
        self.state(route).current.as_ref().map(|current| current.socket)
    }

    pub fn retire(&mut self, line: &mut Line, socket: SocketId) {
        for state in &mut self.routes {
            if state.retiring.contains(&socket) {
                state.retiring.retain(|old| *old != socket);
                line.close(socket);
            }
        }
    }

    pub fn stop(&mut self, line: &mut Line) {
        for state in &mut self.routes {
            let left = [state.current.take(), state.successor.take()].into_iter().flatten();
            for socket in left.map(|connection| connection.socket).chain(std::mem::take(&mut state.retiring)) {
                line.close(socket);
            }
            state.is_up = false;
        }
    }

    /// How long to wait before the next attempt: doubling, and between half and all of it by chance.
    pub fn pause(&mut self, route: Route) -> Nanos {
        let doublings = self.routes[route as usize].failures.saturating_sub(1).min(20);
        let most = self.backoff.most.max(1);
        let full = self.backoff.first.max(1).saturating_mul(1 << doublings).min(most);
        // SplitMix64: enough to spread reconnects.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let share = ((z ^ (z >> 31)) >> 1) as i64;
        full - share % (full / 2 + 1)
    }
}

impl RouteState {
    #[inline]
    fn connection(&mut self, socket: SocketId) -> Option<&mut Connection> {
        let known = self.current.as_mut().filter(|connection| connection.socket == socket);
        known.or(self.successor.as_mut().filter(|connection| connection.socket == socket))
    }

    fn knows(&self, socket: SocketId) -> bool {
        let is = |connection: &Option<Connection>| connection.as_ref().is_some_and(|known| known.socket == socket);
        is(&self.current) || is(&self.successor)
    }

    fn owns(&self, socket: SocketId) -> bool {
        self.knows(socket) || self.retiring.contains(&socket)
    }

    fn down(&mut self, line: &mut Line, reason: &str) {
        if self.is_up || !self.told_down {
            self.told_down = true;
            let reason = reason.chars().take(200).collect();
            line.link(LinkUpdate::StreamDown { route: self.route, reason });
        }
        self.is_up = false;
    }

    /// Every stream of this connection has delivered.
    fn complete(&mut self, line: &mut Line, at: Timestamp, socket: SocketId) -> Change {
        self.failures = 0;
        if let Some(new) = self.successor.take_if(|successor| successor.socket == socket)
            && let Some(old) = self.current.replace(new)
        {
            self.retiring.push(old.socket);
            line.alarm(at.plus(OVERLAP), Alarm::Retire(old.socket));
            if self.is_up {
                line.link(LinkUpdate::StreamReplaced { route: self.route });
                return Change::None;
            }
        }
        if self.is_up {
            return Change::None;
        }
        self.is_up = true;
        self.was_up = true;
        self.told_down = false;
        line.link(LinkUpdate::StreamUp { route: self.route });
        Change::Up(self.route)
    }

    /// When a stream of this socket is silent for too long, if nothing is heard.
    fn deadline(&mut self, socket: SocketId) -> Timestamp {
        let Some(connection) = self.connection(socket) else {
            return Timestamp::MAX;
        };
        let Some(opened) = connection.opened_at else {
            return connection.asked_at.plus(OPENS_WITHIN);
        };
        if planted::has(Bug::StaleStreamUnnoticed) {
            // Wrong: an open socket proves nothing.
            return Timestamp::MAX;
        }
        let heard = connection.heard.clone();
        let deadlines = self.streams.iter().zip(heard).map(|(stream, heard)| stream.deadline(opened, heard));
        deadlines.min().unwrap_or(Timestamp::MAX)
    }

    fn silent(&mut self, socket: SocketId, at: Timestamp) -> String {
        let Some(connection) = self.connection(socket) else {
            return String::new();
        };
        let Some(opened) = connection.opened_at else {
            return "it did not open in time".to_owned();
        };
        let heard = connection.heard.clone();
        let found = self.streams.iter().zip(heard).find(|(stream, heard)| stream.deadline(opened, *heard) <= at);
        found.map_or_else(String::new, |(stream, heard)| match heard {
            None => format!("{} never delivered", stream.name),
            Some(heard) => format!("{} was silent for {} s", stream.name, at.since(heard) / NANOS_PER_SECOND),
        })
    }
}
