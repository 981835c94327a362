//! Sockets are the open connections and what each has asked for.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use alphaengine_core::units::{NANOS_PER_SECOND, Nanos, Timestamp};

use super::json::JsonText;
use super::topic::{Key, Topic};
use super::{ConnectionId, Frame};

/// Messages of a connection in a second.
const MESSAGES_PER_SECOND: usize = 10;
/// Streams of a connection.
pub(super) const MOST_STREAMS: usize = 1_024;

/// Where a connection came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    Public,
    Market,
    Private,
    /// Without a route: retired by the exchange in April 2026, still used by some clients.
    Legacy,
    /// Request and answer.
    WsApi,
}

impl Door {
    pub const fn name(self) -> &'static str {
        match self {
            Door::Public => "public",
            Door::Market => "market",
            Door::Private => "private",
            Door::Legacy => "legacy",
            Door::WsApi => "ws-api",
        }
    }

    /// Whether the real exchange sends this topic here.
    fn carries(self, topic: Topic) -> bool {
        match self {
            Door::Public | Door::Legacy => topic.is_public(),
            Door::Market => !topic.is_public(),
            Door::Private | Door::WsApi => false,
        }
    }
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub door: Door,
    /// Payloads in a wrapper that names the stream.
    pub combined: bool,
    /// In the order in which they were asked for.
    pub streams: Vec<String>,
    /// Kinds of user events that are wanted; `None`: all.
    pub events: Option<Vec<String>>,
    pub opened: Timestamp,
    pub pinged: Timestamp,
    pub ponged: Timestamp,
    pub wants_limits: bool,
    /// Whose session it is, after `session.logon`.
    pub logged_on: Option<Timestamp>,
    recent: VecDeque<Timestamp>,
}

impl Connection {
    pub fn new(door: Door, combined: bool, now: Timestamp) -> Connection {
        Connection {
            door,
            combined,
            streams: Vec::new(),
            events: None,
            opened: now,
            pinged: now,
            ponged: now,
            wants_limits: true,
            logged_on: None,
            recent: VecDeque::new(),
        }
    }
}

/// All connections, and the frames that wait to be sent.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    connections: BTreeMap<ConnectionId, Connection>,
    /// Who listens to what, under which name.
    listeners: BTreeMap<Key, Vec<(ConnectionId, Arc<str>)>>,
    /// Connections with names that are no market stream: listen keys, perhaps.
    private: BTreeSet<ConnectionId>,
    frames: Vec<(ConnectionId, Frame)>,
}

impl Sockets {
    pub fn frames(&mut self) -> std::vec::Drain<'_, (ConnectionId, Frame)> {
        self.frames.drain(..)
    }

    pub fn open(&mut self, id: ConnectionId, connection: Connection) {
        self.forget(id);
        self.connections.insert(id, connection);
    }

    pub fn get(&self, id: ConnectionId) -> Option<&Connection> {
        self.connections.get(&id)
    }

    pub fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        self.connections.get_mut(&id)
    }

    /// The connection is gone.
    pub fn forget(&mut self, id: ConnectionId) {
        self.private.remove(&id);
        if self.connections.remove(&id).is_some() {
            self.listeners.retain(|_, listeners| {
                listeners.retain(|(listener, _)| *listener != id);
                !listeners.is_empty()
            });
        }
    }

    pub fn close(&mut self, id: ConnectionId, code: u16, reason: &'static str) {
        if self.connections.contains_key(&id) {
            self.forget(id);
            self.frames.push((id, Frame::Close { code, reason }));
        }
    }

    pub fn close_door(&mut self, name: &str) {
        let at_door = self.connections.iter().filter(|(_, connection)| connection.door.name() == name);
        let ids: Vec<ConnectionId> = at_door.map(|(id, _)| *id).collect();
        for id in ids {
            self.close(id, 1001, "the route goes away");
        }
    }

    pub fn send(&mut self, id: ConnectionId, text: String) {
        if self.connections.contains_key(&id) {
            self.frames.push((id, Frame::Text(text.into())));
        }
    }

    /// A message came in; false when there are too many of them and the connection was closed.
    pub fn count_message(&mut self, id: ConnectionId, now: Timestamp) -> bool {
        let Some(connection) = self.connections.get_mut(&id) else {
            return false;
        };
        connection.recent.push_back(now);
        while connection.recent.front().is_some_and(|at| now.since(*at) >= NANOS_PER_SECOND) {
            connection.recent.pop_front();
        }
        if connection.door != Door::WsApi && connection.recent.len() > MESSAGES_PER_SECOND {
            self.close(id, 1008, "too many messages");
            return false;
        }
        true
    }

    /// Adds a stream under its name. `key` is what it is, if it is a market stream.
    pub fn subscribe(&mut self, id: ConnectionId, name: &str, key: Option<Key>, is_strict: bool) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        if connection.streams.iter().any(|stream| stream == name) || connection.streams.len() >= MOST_STREAMS {
            return;
        }
        connection.streams.push(name.to_owned());
        match key {
            Some(key) if !is_strict || connection.door.carries(key.1) => {
                self.listeners.entry(key).or_default().push((id, name.into()));
            }
            Some(_) => {}
            None => {
                self.private.insert(id);
            }
        }
    }

    pub fn unsubscribe(&mut self, id: ConnectionId, name: &str, key: Option<Key>) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.streams.retain(|stream| stream != name);
        }
        if let Some(listeners) = key.and_then(|key| self.listeners.get_mut(&key)) {
            listeners.retain(|(listener, stream)| *listener != id || stream.as_ref() != name);
        }
    }

    pub fn has(&self, key: &Key) -> bool {
        self.listeners.get(key).is_some_and(|listeners| !listeners.is_empty())
    }

    /// Whether somebody follows the book of a symbol by its changes.
    pub fn has_depth(&self, symbol: alphaengine_core::market::SymbolId) -> bool {
        self.has(&(Some(symbol), Topic::Depth))
    }

    /// The topics of a symbol to which somebody listens.
    pub fn topics_of(&self, symbol: Option<alphaengine_core::market::SymbolId>) -> Vec<Topic> {
        let range = (symbol, Topic::AggTrade)..=(symbol, Topic::ContractInfo);
        self.listeners.range(range).filter(|(_, who)| !who.is_empty()).map(|((_, topic), _)| *topic).collect()
    }

    /// Sends a payload to everybody who listens.
    pub fn publish(&mut self, key: &Key, payload: &str) {
        let Some(listeners) = self.listeners.get(key) else {
            return;
        };
        let bare: Arc<str> = payload.into();
        for (id, name) in listeners {
            let Some(connection) = self.connections.get(id) else {
                continue;
            };
            let text = if connection.combined { wrapped(name, payload).into() } else { bare.clone() };
            self.frames.push((*id, Frame::Text(text)));
        }
    }

    /// Whether somebody may listen to user events.
    pub fn has_listeners(&self) -> bool {
        !self.private.is_empty()
    }

    /// Sends a user event to whoever listens to this key.
    pub fn publish_user(&mut self, key: &str, kind: &str, payload: &str, is_strict: bool) {
        let bare: Arc<str> = payload.into();
        for id in &self.private {
            let Some(connection) = self.connections.get(id) else {
                continue;
            };
            let is_here = connection.streams.iter().any(|stream| stream == key);
            // That the key is over is told to everybody.
            let is_selected = |events: &Vec<String>| events.iter().any(|event| event == kind);
            let is_wanted = kind == "listenKeyExpired" || connection.events.as_ref().is_none_or(is_selected);
            if is_here && is_wanted && (!is_strict || connection.door == Door::Private) {
                let text = if connection.combined { wrapped(key, payload).into() } else { bare.clone() };
                self.frames.push((*id, Frame::Text(text)));
            }
        }
    }

    /// Pings whom it is time to ping, and closes what is silent or too old.
    pub fn tick(&mut self, now: Timestamp, ping_every: Nanos, pong_within: Nanos, life: Nanos) {
        let ids: Vec<ConnectionId> = self.connections.keys().copied().collect();
        for id in ids {
            let Some(connection) = self.connections.get_mut(&id) else {
                continue;
            };
            if now >= connection.opened.plus(life) {
                self.close(id, 1001, "the connection has reached its age");
            } else if connection.pinged > connection.ponged && now.since(connection.ponged) >= pong_within {
                self.close(id, 1008, "no pong");
            } else if now >= connection.pinged.plus(ping_every) {
                connection.pinged = now;
                let payload = now.millis().to_string().into_bytes();
                self.frames.push((id, Frame::Ping(payload)));
            }
        }
    }

    /// When [`Sockets::tick`] has something to do next.
    pub fn next_tick(&self, ping_every: Nanos, pong_within: Nanos, life: Nanos) -> Timestamp {
        let times = self.connections.values().map(|connection| {
            let pong = if connection.pinged > connection.ponged {
                connection.ponged.plus(pong_within)
            } else {
                Timestamp::MAX
            };
            connection.opened.plus(life).min(connection.pinged.plus(ping_every)).min(pong)
        });
        times.min().unwrap_or(Timestamp::MAX)
    }
}

fn wrapped(name: &str, payload: &str) -> String {
    let name = JsonText::of(name);
    format!("{{\"stream\":{},\"data\":{payload}}}", name.as_str())
}
