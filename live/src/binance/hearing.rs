//! Hearing tells a quiet account from a deaf stream: what REST knows, the account's stream must have told soon after.
//!
//! The private stream has no deadline of its own, because an account may be quiet for days. A connection that is half open, or whose
//! listen key is dead, looks the same. Numbers of orders and trades grow with each symbol, so the newest that was told is enough: a
//! single message that was left out is the reconciler's business.

use std::collections::BTreeMap;

use alphaengine_core::link::Route;
use alphaengine_core::market::SymbolId;
use alphaengine_core::planted::{self, Bug};
use alphaengine_core::units::{NANOS_PER_SECOND, Nanos, Timestamp};

use super::alarm::Alarm;
use super::session::Session;
use crate::wire::SocketId;

/// In busy minutes the exchange's own events are late by seconds.
const TOLD_WITHIN: Nanos = 10 * NANOS_PER_SECOND;
/// A trade that is no younger than the connection may have been told before it.
const OPENING: Nanos = NANOS_PER_SECOND;

/// What the stream should have told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Untold {
    Order(u64),
    Trade(u64),
    /// Conditional orders are counted apart.
    Conditional(u64),
}

/// The newest order and trade of each symbol that the stream told of.
#[derive(Debug, Default)]
pub(crate) struct Hearing {
    newest: BTreeMap<SymbolId, (u64, u64)>,
    conditional: BTreeMap<SymbolId, u64>,
}

impl Hearing {
    /// The stream told of an order; `trade` is 0 where nothing was traded.
    pub fn heard(&mut self, symbol: SymbolId, order: u64, trade: u64) {
        let (orders, trades) = self.newest.entry(symbol).or_default();
        (*orders, *trades) = ((*orders).max(order), (*trades).max(trade));
    }

    pub fn heard_conditional(&mut self, symbol: SymbolId, order: u64) {
        let newest = self.conditional.entry(symbol).or_default();
        *newest = (*newest).max(order);
    }

    fn has_told(&self, symbol: SymbolId, untold: Untold) -> bool {
        let (order, trade) = self.newest.get(&symbol).copied().unwrap_or_default();
        match untold {
            Untold::Order(number) => order >= number,
            Untold::Trade(number) => trade >= number,
            Untold::Conditional(number) => self.conditional.get(&symbol).is_some_and(|newest| *newest >= number),
        }
    }
}

impl Session {
    /// An order that was sent at `sent_at` stands.
    pub(super) fn expect_order(&mut self, at: Timestamp, sent_at: Timestamp, symbol: SymbolId, order: Untold) {
        let Some((socket, opened)) = self.sockets.up_since(Route::Private) else { return };
        if sent_at > opened {
            self.expect(at, socket, symbol, order);
        }
    }

    /// REST lists a trade of `time`, on the exchange's clock.
    pub(super) fn expect_trade(&mut self, at: Timestamp, symbol: SymbolId, trade: u64, time: Timestamp) {
        let Some((socket, opened)) = self.sockets.up_since(Route::Private) else { return };
        if time > self.line.clock.server(opened).plus(OPENING) {
            self.expect(at, socket, symbol, Untold::Trade(trade));
        }
    }

    fn expect(&mut self, at: Timestamp, socket: SocketId, symbol: SymbolId, untold: Untold) {
        if !self.user.hearing.has_told(symbol, untold) {
            self.line.alarm(at.plus(TOLD_WITHIN), Alarm::Untold { socket, symbol, untold });
        }
    }

    /// The time is over in which the stream should have told.
    pub(super) fn check_hearing(&mut self, at: Timestamp, socket: SocketId, symbol: SymbolId, untold: Untold) {
        // Wrong where it is planted: a stream that did not tell of what REST knows will not tell of the next either.
        if self.user.hearing.has_told(symbol, untold) || planted::has(Bug::StaleStreamUnnoticed) {
            return;
        }
        let name = &self.config.instruments.get(symbol).symbol;
        let what = match untold {
            Untold::Order(number) => format!("order {number}"),
            Untold::Trade(number) => format!("trade {number}"),
            Untold::Conditional(number) => format!("conditional order {number}"),
        };
        let why = format!("the account's stream is deaf: it did not tell of {what} of {name}");
        self.sockets.give_up(&mut self.line, at, socket, &why);
    }
}
