//! The Venue is the exchange's side of the wire: the gateway, and who is connected to it.

use std::collections::BTreeMap;

use alphaengine_core::units::Timestamp;
use alphaengine_live::wire::SocketId;
use alphaengine_sim::faults::Route;
use alphaengine_sim::gateway::{ConnectionId, Gateway};

use super::agenda::Life;

/// A stream connection, as the wire knows it.
#[derive(Debug)]
pub(crate) struct Connection {
    pub life: Life,
    pub socket: SocketId,
    pub route: Route,
    /// Half open: neither side hears the other any more.
    pub is_silent: bool,
    /// A frame that waits for the next one to go first.
    pub held: Option<std::sync::Arc<str>>,
    /// When the last frame arrives: the next one does not overtake it.
    pub last_arrival: Timestamp,
}

/// The exchange and its connections.
#[derive(Debug)]
pub(crate) struct Venue {
    pub gateway: Gateway,
    pub connections: BTreeMap<ConnectionId, Connection>,
    last: u64,
    /// Nobody gets through until then.
    pub outage_until: Timestamp,
}

impl Venue {
    pub fn new(gateway: Gateway) -> Venue {
        Venue { gateway, connections: BTreeMap::new(), last: 0, outage_until: Timestamp::MIN }
    }

    /// The number of a new connection.
    pub fn number(&mut self) -> ConnectionId {
        self.last += 1;
        ConnectionId(self.last)
    }

    pub fn is_out(&self, at: Timestamp) -> bool {
        at < self.outage_until
    }

    pub fn of_route(&self, route: Route) -> Vec<ConnectionId> {
        self.connections.iter().filter(|(_, connection)| connection.route == route).map(|(id, _)| *id).collect()
    }

    pub fn of_socket(&self, life: Life, socket: SocketId) -> Option<ConnectionId> {
        let mut found = self.connections.iter();
        found.find(|(_, connection)| connection.life == life && connection.socket == socket).map(|(id, _)| *id)
    }

    /// Whether this life of the bot hears what is said on a route.
    pub fn is_heard(&self, route: Route, life: Life) -> bool {
        self.connections.values().any(|known| known.route == route && known.life == life && !known.is_silent)
    }

    /// Forgets a connection on both sides.
    pub fn drop_connection(&mut self, id: ConnectionId) -> Option<Connection> {
        self.gateway.disconnect(id);
        self.connections.remove(&id)
    }
}
