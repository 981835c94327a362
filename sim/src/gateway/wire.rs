//! What goes in and out: configuration, requests, responses, frames.

use std::sync::Arc;

use alphaengine_core::units::{NANOS_PER_MINUTE, Nanos};
use serde_json::Value;

use super::error::ApiError;
use super::json::JsonText;

/// How this Binance behaves. The default is the real one, but for streams on the wrong route, which it serves.
#[derive(Debug, Clone, PartialEq)]
pub struct GatewayConfig {
    /// The one API key that is let in.
    pub key: String,
    /// Its HMAC secret. Without one signatures are taken as good: of keys of another kind nothing is known here.
    pub secret: Option<String>,
    pub listen_key_life: Nanos,
    pub connection_life: Nanos,
    pub ping_every: Nanos,
    pub pong_within: Nanos,
    pub weight_per_minute: u32,
    pub orders_per_10s: u32,
    pub orders_per_minute: u32,
    /// A stream on the wrong route stays silent, as the real one does; else any stream is served on any route.
    pub strict_routes: bool,
    /// The order that a conditional one becomes carries its `clientAlgoId`.
    pub child_keeps_client_id: bool,
    /// What `exchangeInfo` says instead of what is made from the instruments; times and limits are put in.
    pub exchange_info: Option<Value>,
}

impl Default for GatewayConfig {
    fn default() -> GatewayConfig {
        GatewayConfig {
            key: "key".into(),
            secret: Some("secret".into()),
            listen_key_life: 60 * NANOS_PER_MINUTE,
            connection_life: 24 * 60 * NANOS_PER_MINUTE,
            ping_every: 3 * NANOS_PER_MINUTE,
            pong_within: 10 * NANOS_PER_MINUTE,
            weight_per_minute: 2_400,
            orders_per_10s: 300,
            orders_per_minute: 1_200,
            strict_routes: false,
            child_keeps_client_id: true,
            exchange_info: None,
        }
    }
}

/// A request as it came over HTTP. The path has no query, header names are in lower case.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub query: &'a str,
    pub headers: &'a [(String, String)],
    pub body: &'a [u8],
}

impl Request<'_> {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// What goes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    pub(super) fn json(status: u16, body: &JsonText) -> Response {
        let headers = vec![("content-type".into(), "application/json".into())];
        Response { status, headers, body: body.as_str().as_bytes().to_vec() }
    }
}

/// The number that the server gives a WebSocket connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// What is to be sent on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    Text(Arc<str>),
    Ping(Vec<u8>),
    /// The connection is forgotten already.
    Close {
        code: u16,
        reason: &'static str,
    },
}

/// An error as an answer.
pub(super) fn refusal(error: &ApiError) -> Response {
    let mut response = Response::json(error.status, &error.body());
    if let Some(seconds) = error.retry_after {
        response.headers.push(("retry-after".into(), seconds.to_string()));
    }
    response
}
