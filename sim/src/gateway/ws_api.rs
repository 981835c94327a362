//! The WebSocket API: the same calls in frames (`binance-usdm.md` sections 2.4 and 4.4).
use serde_json::Value;

use super::error::ApiError;
use super::json::{JsonText, json};
use super::request::Params;
use super::{Call, ConnectionId, Gateway, endpoints, signature};

/// Methods and the endpoints that do the same.
const METHODS: [(&str, &str, &str); 21] = [
    ("order.place", "POST", "/fapi/v1/order"),
    ("order.modify", "PUT", "/fapi/v1/order"),
    ("order.cancel", "DELETE", "/fapi/v1/order"),
    ("order.status", "GET", "/fapi/v1/order"),
    ("algoOrder.place", "POST", "/fapi/v1/algoOrder"),
    ("algoOrder.cancel", "DELETE", "/fapi/v1/algoOrder"),
    ("account.balance", "GET", "/fapi/v2/balance"),
    ("account.status", "GET", "/fapi/v2/account"),
    ("account.position", "GET", "/fapi/v2/positionRisk"),
    ("v2/account.balance", "GET", "/fapi/v3/balance"),
    ("v2/account.status", "GET", "/fapi/v3/account"),
    ("v2/account.position", "GET", "/fapi/v3/positionRisk"),
    ("depth", "GET", "/fapi/v1/depth"),
    ("ticker.price", "GET", "/fapi/v2/ticker/price"),
    ("ticker.book", "GET", "/fapi/v1/ticker/bookTicker"),
    ("userDataStream.start", "POST", "/fapi/v1/listenKey"),
    ("userDataStream.ping", "PUT", "/fapi/v1/listenKey"),
    ("userDataStream.stop", "DELETE", "/fapi/v1/listenKey"),
    ("ping", "GET", "/fapi/v1/ping"),
    ("time", "GET", "/fapi/v1/time"),
    ("exchangeInfo", "GET", "/fapi/v1/exchangeInfo"),
];

impl Gateway {
    /// A request in a frame. The id goes back exactly as it came.
    pub(super) fn ws_api_frame(&mut self, connection: ConnectionId, text: &str) {
        let frame = serde_json::from_str::<Value>(text).unwrap_or(Value::Null);
        let id = frame.get("id").cloned().unwrap_or(Value::Null);
        let method = frame.get("method").and_then(Value::as_str).unwrap_or_default();
        let params = Params::of_json(frame.get("params").unwrap_or(&Value::Null));
        let result = if frame.is_object() && !method.is_empty() {
            self.call_method(connection, method, &params)
        } else {
            Err(ApiError::new(-1135, "Invalid JSON Request"))
        };
        let mut answer = match result {
            Ok(result) => json!({"id": id, "status": 200, "result": result}),
            Err(error) => json!({"id": id, "status": error.status, "error": error.body()}),
        };
        let wants_limits = self.sockets.get(connection).is_some_and(|connection| connection.wants_limits)
            && params.flag("returnRateLimits").ok().flatten() != Some(false);
        if wants_limits {
            let with_orders = matches!(method, "order.place" | "order.modify" | "algoOrder.place");
            let limits = self.limits.counted(self.wall, with_orders);
            answer.append(&json!({"rateLimits": limits}));
        }
        self.sockets.send(connection, answer.into_string());
    }

    fn call_method(&mut self, connection: ConnectionId, method: &str, params: &Params) -> Result<JsonText, ApiError> {
        if let Some(method) = method.strip_prefix("session.") {
            self.limits.ask(self.wall, 2)?;
            return self.session(connection, method, params);
        }
        let found = METHODS.iter().find(|(name, ..)| *name == method);
        let Some((_, verb, path)) = found else {
            let message = format!("Unknown method: {method}");
            return Err(ApiError::new(-1128, message));
        };
        let endpoint = endpoints::find(verb, path)?;
        let wall = self.wall;
        self.limits.ask(wall, endpoint.weight.of(params))?;
        match endpoint.security {
            endpoints::Security::None => {}
            endpoints::Security::Key => self.check_frame_key(connection, params)?,
            endpoints::Security::Signed => self.check_frame(connection, params)?,
        }
        if endpoint.orders > 0 {
            self.limits.order(wall, endpoint.orders, 1)?;
        }
        (endpoint.call)(self, &Call { params })
    }

    /// After a logon neither key nor signature is needed, a timestamp still is.
    fn check_frame(&self, connection: ConnectionId, params: &Params) -> Result<(), ApiError> {
        self.check_frame_key(connection, params)?;
        signature::check_time(self.server_time(), params)?;
        match params.text("signature") {
            None if self.is_logged_on(connection) => Ok(()),
            None => Err(ApiError::missing("signature")),
            Some(sent) => signature::check_signature(self.config.secret.as_deref(), &params.sorted_payload(), sent),
        }
    }

    fn check_frame_key(&self, connection: ConnectionId, params: &Params) -> Result<(), ApiError> {
        match params.text("apiKey") {
            None if self.is_logged_on(connection) => Ok(()),
            sent => signature::check_key(sent, &self.config.key),
        }
    }

    fn is_logged_on(&self, connection: ConnectionId) -> bool {
        self.sockets.get(connection).is_some_and(|connection| connection.logged_on.is_some())
    }

    fn session(&mut self, connection: ConnectionId, method: &str, params: &Params) -> Result<JsonText, ApiError> {
        let now = self.server_time();
        let logged_on = match method {
            "logon" => {
                self.check_frame(connection, params)?;
                Some(now)
            }
            "logout" => None,
            "status" => self.sockets.get(connection).and_then(|connection| connection.logged_on),
            _ => return Err(ApiError::new(-1128, format!("Unknown method: session.{method}"))),
        };
        let mut since = 0;
        if let Some(connection) = self.sockets.get_mut(connection) {
            connection.logged_on = logged_on;
            since = connection.opened.millis();
        }
        let key = logged_on.map(|_| self.config.key.clone());
        Ok(json!({"apiKey": key, "authorizedSince": logged_on.map(|at| at.millis()), "connectedSince": since,
            "returnRateLimits": true, "serverTime": now.millis()}))
    }
}
