//! Streams: how a connection says what it wants to hear, in its address and in frames (`binance-usdm.md` sections 1.3 and 4.1).

use alphaengine_core::units::Timestamp;
use serde_json::Value;

use super::error::ApiError;
use super::json::{JsonText, json};
use super::request::{decode, decode_pairs};
use super::sockets::{Connection, Door};
use super::topic::{Key, Topic};
use super::wire::refusal;
use super::{ConnectionId, Gateway, Response};

/// Length of a listen key: no market stream is that long without an `@`.
const SHORTEST_KEY: usize = 20;

impl Gateway {
    /// A connection comes in at an address. What it names there it is subscribed to.
    pub(super) fn open_connection(
        &mut self,
        now: Timestamp,
        id: ConnectionId,
        path: &str,
        query: &str,
    ) -> Result<(), Response> {
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        let (door, form, rest) = match segments.as_slice() {
            ["ws-fapi", "v1"] => (Door::WsApi, "ws", &[][..]),
            ["public", form, rest @ ..] => (Door::Public, *form, rest),
            ["market", form, rest @ ..] => (Door::Market, *form, rest),
            ["private", form, rest @ ..] => (Door::Private, *form, rest),
            [form, rest @ ..] => (Door::Legacy, *form, rest),
            [] => return Err(no_such_place()),
        };
        if !matches!(form, "ws" | "stream") {
            return Err(no_such_place());
        }
        let pairs = decode_pairs(query);
        let mut connection = Connection::new(door, form == "stream", now);
        let events: Vec<String> = pairs
            .iter()
            .filter(|(name, _)| name == "events")
            .flat_map(|(_, value)| value.split('/').map(str::to_owned).collect::<Vec<String>>())
            .filter(|event| !event.is_empty())
            .collect();
        connection.events = (!events.is_empty()).then_some(events);
        connection.wants_limits = !pairs.iter().any(|(name, value)| name == "returnRateLimits" && value == "false");
        self.sockets.open(id, connection);
        if door == Door::WsApi {
            // The handshake weighs 5.
            return self.limits.ask(now, 5).map_err(|error| refusal(&error));
        }
        let named = rest.iter().map(|segment| decode(segment));
        let asked = pairs.iter().filter(|(name, _)| name == "streams" || name == "listenKey");
        let asked = asked.flat_map(|(_, value)| value.split('/').map(str::to_owned).collect::<Vec<String>>());
        let names: Vec<String> = named.chain(asked).collect();
        for name in names {
            self.subscribe(id, &name);
        }
        Ok(())
    }

    fn subscribe(&mut self, id: ConnectionId, name: &str) {
        // A number where a name would be, or nothing, is a place to subscribe later.
        if name.is_empty() || name.bytes().all(|byte| byte.is_ascii_digit()) {
            return;
        }
        let key = self.topic(name);
        let is_key = key.is_none() && !name.contains('@') && name.len() >= SHORTEST_KEY;
        if key.is_some() || is_key {
            self.sockets.subscribe(id, name, key, self.config.strict_routes);
        } else if let Some(connection) = self.sockets.get_mut(id)
            && connection.streams.len() < super::sockets::MOST_STREAMS
            && !connection.streams.iter().any(|stream| stream == name)
        {
            // Taken note of, and silent.
            connection.streams.push(name.to_owned());
        }
    }

    fn topic(&self, name: &str) -> Option<Key> {
        // Streams are named in lower case only: any other name is silent.
        let find = |symbol: &str| self.symbols.get(symbol).copied().filter(|_| !symbol.contains(char::is_uppercase));
        Topic::parse(name, find)
    }

    /// A frame of a stream connection.
    pub(super) fn stream_frame(&mut self, id: ConnectionId, text: &str) {
        let answer = match serde_json::from_str::<Value>(text) {
            Err(error) => json!({"code": 3, "msg": format!("Invalid JSON: {error}")}),
            Ok(frame) => {
                // The id goes back exactly as it came.
                let number = frame.get("id").cloned().unwrap_or(Value::Null);
                match self.control(id, &frame) {
                    Ok(result) => json!({"result": result, "id": number}),
                    Err((code, message)) => json!({"error": {"code": code, "msg": message}, "code": code,
                        "msg": message, "id": number}),
                }
            }
        };
        self.sockets.send(id, answer.into_string());
    }

    fn control(&mut self, id: ConnectionId, frame: &Value) -> Result<JsonText, (i32, String)> {
        let method = frame.get("method").and_then(Value::as_str).unwrap_or_default();
        let params = frame.get("params").and_then(Value::as_array);
        let names = || -> Result<Vec<String>, (i32, String)> {
            let params = params.ok_or((2, "Invalid request: params must be an array of strings".to_owned()))?;
            let names = params.iter().map(|name| name.as_str().map(str::to_owned));
            names.collect::<Option<Vec<String>>>().ok_or((1, "Invalid value type: expected a string".to_owned()))
        };
        match method {
            "SUBSCRIBE" => {
                for name in names()? {
                    self.subscribe(id, &name);
                }
                Ok(JsonText::null())
            }
            "UNSUBSCRIBE" => {
                for name in names()? {
                    let key = self.topic(&name);
                    self.sockets.unsubscribe(id, &name, key);
                }
                Ok(JsonText::null())
            }
            "LIST_SUBSCRIPTIONS" => Ok(json!(self.sockets.get(id).map(|connection| connection.streams.clone()))),
            "SET_PROPERTY" => {
                let combined = params.and_then(|params| params.get(1)).and_then(Value::as_bool);
                let is_known = params.and_then(|params| params.first()).and_then(Value::as_str) == Some("combined");
                match (self.sockets.get_mut(id), combined) {
                    _ if !is_known => Err((0, "Unknown property".to_owned())),
                    (_, None) => Err((1, "Invalid value type: expected a boolean".to_owned())),
                    (Some(connection), Some(combined)) => {
                        connection.combined = combined;
                        Ok(JsonText::null())
                    }
                    (None, _) => Ok(JsonText::null()),
                }
            }
            "GET_PROPERTY" => Ok(json!(self.sockets.get(id).is_some_and(|connection| connection.combined))),
            method => Err((2, format!("Invalid request: unknown method `{method}`"))),
        }
    }
}

fn no_such_place() -> Response {
    let error = ApiError { status: 404, ..ApiError::new(-5000, "There is no stream at this path.") };
    Response::json(404, &error.body())
}
