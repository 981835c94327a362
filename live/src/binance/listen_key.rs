//! A ListenKey opens the account's stream. It is made, kept alive, and made anew when it dies (`binance-usdm.md` section 3.5).
//!
//! It is never deleted: the exchange gives every process of an account the same key, and a DELETE would end the stream of others.

use alphaengine_core::link::LinkUpdate;
use alphaengine_core::units::{NANOS_PER_MINUTE, NANOS_PER_SECOND, Nanos, Timestamp};
use serde::Deserialize;

use super::alarm::Alarm;
use super::call::{Answer, Call, Purpose};
use super::line::Line;
use crate::wire::Method;

const PATH: &str = "/fapi/v1/listenKey";
/// A key that was touched this recently is still good when another cannot be asked for.
const TRUSTED_FOR: Nanos = 45 * NANOS_PER_MINUTE;
const ASK_AGAIN: Nanos = 5 * NANOS_PER_SECOND;
const KEEP_AGAIN: Nanos = 60 * NANOS_PER_SECOND;

#[derive(Debug, Default)]
pub(crate) struct ListenKey {
    key: Option<String>,
    touched_at: Timestamp,
    asking: bool,
    /// A keep-alive is due at some time, or on its way: one at a time, however many keys come and go.
    keeping: bool,
}

#[derive(Deserialize)]
struct Reply {
    #[serde(rename = "listenKey")]
    listen_key: String,
}

/// What became of the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Connect with this key.
    Fresh(String),
    /// Nothing changed.
    Kept,
    /// It is gone: another one is asked for, and the connection is worth nothing.
    Gone,
}

impl ListenKey {
    /// Asks for a key, unless that is under way. While the exchange lets nothing through, a key that was good lately is
    /// answered at once.
    pub fn ask(&mut self, line: &mut Line, at: Timestamp) -> Option<String> {
        let banned = line.limiter.forbidden_until(line.clock.server(at)).is_some();
        if banned && at.since(self.touched_at) < TRUSTED_FOR && self.key.is_some() {
            return self.key.clone();
        }
        if !self.asking {
            self.asking = true;
            line.call(Call::keyed(Purpose::ListenKey, Method::Post, PATH));
        }
        None
    }

    /// The key as it is, for a second connection beside the first.
    pub fn known(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// The answer to a POST.
    pub fn made(&mut self, line: &mut Line, at: Timestamp, answer: &Answer, keepalive: Nanos) -> Fate {
        self.asking = false;
        let reply = match answer {
            Answer::Accepted(body) => serde_json::from_slice::<Reply>(body).ok().filter(|it| !it.listen_key.is_empty()),
            Answer::Refused(_) | Answer::Unknown(_) => None,
        };
        let Some(reply) = reply else {
            line.alarm(at.plus(ASK_AGAIN), Alarm::ListenKey);
            return Fate::Kept;
        };
        self.key = Some(reply.listen_key.clone());
        self.touched_at = at;
        if !self.keeping {
            self.keeping = true;
            line.alarm(at.plus(keepalive), Alarm::KeepAlive);
        }
        Fate::Fresh(reply.listen_key)
    }

    /// It is time to extend the key's life.
    pub fn keep(&mut self, line: &mut Line) {
        line.call(Call::keyed(Purpose::KeepAlive, Method::Put, PATH));
    }

    /// The answer to a PUT.
    pub fn kept(&mut self, line: &mut Line, at: Timestamp, answer: &Answer, keepalive: Nanos) -> Fate {
        match answer {
            Answer::Accepted(body) => {
                line.alarm(at.plus(keepalive), Alarm::KeepAlive);
                self.touched_at = at;
                // Older servers answer `{}`.
                let reply = serde_json::from_slice::<Reply>(body).ok().map(|reply| reply.listen_key);
                match reply.filter(|key| !key.is_empty() && Some(key) != self.key.as_ref()) {
                    Some(other) => {
                        self.key = Some(other.clone());
                        Fate::Fresh(other)
                    }
                    None => Fate::Kept,
                }
            }
            Answer::Refused(error) if error.code == -1125 => {
                self.rest();
                self.expired(line)
            }
            Answer::Refused(_) | Answer::Unknown(_) => {
                line.alarm(at.plus(KEEP_AGAIN.min(keepalive)), Alarm::KeepAlive);
                Fate::Kept
            }
        }
    }

    /// Nobody will ask for the next keep-alive until there is another key.
    pub fn rest(&mut self) {
        self.keeping = false;
    }

    /// The key is dead. Should there be another one when the next keep-alive is due, that is its own.
    pub fn expired(&mut self, line: &mut Line) -> Fate {
        if self.key.take().is_none() {
            return Fate::Kept;
        }
        line.link(LinkUpdate::ListenKeyExpired);
        Fate::Gone
    }

    /// Whether there is a key to keep alive.
    pub fn lives(&self) -> bool {
        self.key.is_some()
    }

    /// Whether an event speaks of the key that is in use, or names none.
    pub fn is_mine(&self, named: &str) -> bool {
        named.is_empty() || self.key.as_deref() == Some(named)
    }
}
