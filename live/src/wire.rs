//! The wire: what a session asks of sockets, and what sockets tell it, as plain values.
//!
//! The session returns [`Effect`]s and is told what became of them; a driver (real sockets) or a link (simulated ones) carries
//! them out. No effect waits.

use alphaengine_core::exchange::ExchangeUpdate;
use alphaengine_core::market::MarketUpdate;
use alphaengine_core::units::{Nanos, Timestamp};

/// Numbers the HTTP requests of a session, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HttpId(pub u64);

/// Numbers the sockets of a session, from 1; a new connection is a new socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub u64);

/// Numbers the timers of a session, from 1; each fires once. One that lost its meaning fires and is ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerId(pub u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    Get,
    Post,
    Put,
    Delete,
}

impl Method {
    pub const fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
        }
    }
}

/// One HTTP request. Everything that Binance takes stands in the query; there is no body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    pub id: HttpId,
    pub method: Method,
    /// `/fapi/v1/order`.
    pub path: &'static str,
    /// Percent-encoded and, where needed, signed; without the question mark. May be empty.
    pub query: String,
    /// Whether the header `X-MBX-APIKEY` goes with it. The driver knows the key.
    pub with_key: bool,
    /// From sending to the last byte of the answer.
    pub timeout: Nanos,
}

/// An answer as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl HttpResponse {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// No byte of the request left: the name did not resolve, the connection was refused, TLS failed. Definitely not executed.
    #[error("not sent: {0}")]
    NotSent(String),
    /// The request left, or may have left: a time-out, a reset, an end in the middle of the answer. Nobody knows.
    #[error("answer lost: {0}")]
    Lost(String),
}

/// What a session asks its world to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    Http(HttpRequest),
    /// Connect a WebSocket. Answered by `on_opened` or `on_closed`.
    Open {
        socket: SocketId,
        url: String,
    },
    /// One text frame.
    Send {
        socket: SocketId,
        text: String,
    },
    Close {
        socket: SocketId,
    },
    /// Call `on_timer` at this time.
    Timer {
        timer: TimerId,
        at: Timestamp,
    },
    /// Something for the engine, in the order in which it was heard.
    Input(Heard),
}

/// What a session hears for the engine: an [`Input`](alphaengine_core::exchange::Input) that owns itself.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    Market(MarketUpdate),
    Exchange(ExchangeUpdate),
    /// All routes deliver for the first time and the history that the strategy warms up with was heard.
    Ready,
}
