//! Frames: each goes to those who understand its stream.

use alphaengine_core::link::Route;
use alphaengine_core::units::Timestamp;
use serde_json::Value;

use super::market::{self, Said, millis};
use super::session::Session;
use super::sockets::Change;
use super::streams::Kind;
use super::user::Consequence;
use crate::wire::SocketId;

impl Session {
    /// One text frame. Frames of sockets that are not ours any more are ignored.
    pub fn on_frame(&mut self, at: Timestamp, socket: SocketId, text: &[u8]) {
        self.frames += 1;
        match self.sockets.route(socket) {
            None => {}
            Some(Route::Private) => self.private_frame(at, text),
            Some(route) => self.market_frame(at, route, socket, text),
        }
    }

    fn market_frame(&mut self, at: Timestamp, route: Route, socket: SocketId, text: &[u8]) {
        match market::unwrap(text) {
            Some((name, data)) => self.stream_frame(at, route, socket, name, data),
            None => self.odd_frame(at, route, socket, text),
        }
    }

    /// A frame that is not written as usual: other spacing, an answer to a control frame, an announcement.
    fn odd_frame(&mut self, at: Timestamp, route: Route, socket: SocketId, text: &[u8]) {
        let frame = match serde_json::from_slice::<Value>(text) {
            Ok(frame) => frame,
            Err(error) => return self.strangers.malformed(format_args!("market frame: {error}")),
        };
        if let (Some(name), Some(data)) = (frame.get("stream").and_then(Value::as_str), frame.get("data")) {
            let (name, data) = (name.to_owned(), data.to_string());
            self.stream_frame(at, route, socket, name.as_bytes(), data.as_bytes());
        } else if frame.get("e").and_then(Value::as_str) == Some("serverShutdown") {
            self.replace(at, socket);
            self.settle(at);
        } else if frame.get("id").is_none() {
            self.strangers.events += 1;
        }
    }

    fn stream_frame(&mut self, at: Timestamp, route: Route, socket: SocketId, name: &[u8], data: &[u8]) {
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
                let lag = self.line.clock.server(at).since(millis(event_time));
                self.latency = Some(lag);
                // An old connection that its successor has overtaken is no measure, nor is a clock that is not known yet.
                if event_time > 0
                    && self.line.clock.is_set()
                    && self.sockets.current(route) == Some(socket)
                    && let Some(update) = self.line.freshness.heard(at, route, lag)
                {
                    self.line.link(update);
                    may_call = true;
                }
                match said {
                    Said::Update(update) => self.line.market(update),
                    Said::Closed(bar) => {
                        may_call = true;
                        self.history.closed(&mut self.line, at, symbol, bar);
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
}
