//! A Stepper asks a stepped exchange for its next half step when everything that the last one brought was taken: so a run against
//! a server is as repeatable as a backtest.

use std::collections::BTreeMap;

use alphaengine_core::link::Route;
use alphaengine_core::units::NANOS_PER_SECOND;
use serde::Deserialize;

use crate::wire::{Effect, HttpId, HttpRequest, HttpResponse, Method, SocketId, TransportError};

/// Its requests are numbered from here, far from those of the session.
const FIRST: u64 = 1 << 62;

/// What the exchange says after half a step.
#[derive(Debug, Clone, Default, Deserialize)]
struct Stepped {
    done: bool,
    /// Frames sent so far, by route.
    frames: Frames,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct Frames {
    public: u64,
    market: u64,
    private: u64,
}

/// Counts what was sent and heard.
#[derive(Debug, Default)]
pub struct Stepper {
    asked: u64,
    is_waiting: bool,
    last: Stepped,
    /// Requests of the session without an answer.
    in_flight: u64,
    routes: BTreeMap<SocketId, Route>,
    heard: [u64; 3],
}

impl Stepper {
    /// Whether an answer is to one of its own questions.
    pub fn is_own(&self, id: HttpId) -> bool {
        id.0 >= FIRST
    }

    /// Notes what the session sends.
    pub fn sends(&mut self, effect: &Effect) {
        match effect {
            Effect::Http(_) => self.in_flight += 1,
            Effect::Open { socket, url } => {
                let route = if url.contains("/private") {
                    Route::Private
                } else if url.contains("/market") {
                    Route::Market
                } else {
                    Route::Public
                };
                self.routes.insert(*socket, route);
            }
            _ => {}
        }
    }

    pub fn http_answered(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    pub fn frame_received(&mut self, socket: SocketId) {
        if let Some(route) = self.routes.get(&socket) {
            self.heard[*route as usize] += 1;
        }
    }

    /// The answer to a step. One that failed is asked again.
    pub fn answered(&mut self, answer: Result<HttpResponse, TransportError>) {
        self.is_waiting = false;
        match answer.map(|response| serde_json::from_slice(&response.body)) {
            Ok(Ok(stepped)) => self.last = stepped,
            Ok(Err(error)) => tracing::error!(%error, "the exchange's step is not understood"),
            Err(error) => tracing::error!(%error, "the exchange's step failed"),
        }
    }

    /// The exchange has no more data, and all of them were heard.
    pub fn is_done(&self) -> bool {
        self.last.done && self.is_quiet()
    }

    /// The request for the next half step, when it is time.
    pub fn next_step(&mut self) -> Option<HttpRequest> {
        if self.last.done || !self.is_quiet() {
            return None;
        }
        self.asked += 1;
        self.is_waiting = true;
        Some(HttpRequest {
            id: HttpId(FIRST + self.asked),
            method: Method::Post,
            path: "/sim/v1/step",
            query: String::new(),
            with_key: false,
            timeout: 10 * NANOS_PER_SECOND,
        })
    }

    fn is_quiet(&self) -> bool {
        let Frames { public, market, private } = self.last.frames;
        let told = [public, market, private];
        !self.is_waiting && self.in_flight == 0 && self.heard.iter().zip(told).all(|(heard, told)| *heard >= told)
    }
}
