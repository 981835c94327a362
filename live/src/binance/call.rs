//! A Call is one REST request with what it is for: what it costs, what it must not overtake, and how long it is worth sending.

use alphaengine_core::exchange::ExchangeError;
use alphaengine_core::id::{ClientOrderId, RequestId};
use alphaengine_core::market::SymbolId;
use alphaengine_core::rate_limit::{Cost, Urgency};
use alphaengine_core::units::{NANOS_PER_SECOND, Nanos, Timestamp};

use super::query::Query;
use crate::wire::Method;

pub(crate) const POLL_TIMEOUT: Nanos = 10 * NANOS_PER_SECOND;
pub(crate) const ORDER_TIMEOUT: Nanos = 5 * NANOS_PER_SECOND;
/// The receive window of polls; orders have a smaller one from the configuration.
pub(crate) const POLL_RECV_WINDOW_MS: u32 = 5_000;

/// The engine gives up a round of its reconciler after a minute, and asks about an order in doubt every five seconds: a question
/// that waited longer, through a ban, was asked again.
pub(crate) const ROUND_WORTH: Nanos = 60 * NANOS_PER_SECOND;
pub(crate) const QUERY_WORTH: Nanos = 5 * NANOS_PER_SECOND;

/// What a call is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Purpose {
    Time,
    ListenKey,
    KeepAlive,
    /// Closed bars: the warm-up or what is missing.
    Bars(SymbolId),
    /// Aggregated trades that the stream left out.
    MarketTrades(SymbolId),
    Book(SymbolId),
    Place {
        id: RequestId,
        symbol: SymbolId,
        client_order_id: ClientOrderId,
        conditional: bool,
    },
    Batch(Vec<(RequestId, SymbolId, ClientOrderId)>),
    /// A modify, cancel or setting: the answer is that it was done.
    Change(RequestId),
    CancelAll(RequestId),
    Query {
        id: RequestId,
        symbol: SymbolId,
        client_order_id: ClientOrderId,
    },
    QueryConditional {
        id: RequestId,
        symbol: SymbolId,
        client_order_id: ClientOrderId,
    },
    /// The order that a conditional one became.
    QueryChild {
        id: RequestId,
        algo_id: u64,
    },
    Snapshot {
        id: RequestId,
        part: Part,
    },
    Trades(RequestId),
    /// Whose order a trade belongs to.
    Owner {
        id: RequestId,
        order_id: u64,
    },
    /// Which conditional orders became which orders.
    Parents(RequestId),
    /// Asked for by the engine, or by ourselves when the stream told of money without a number.
    Income(Option<RequestId>),
    Countdown(SymbolId),
    /// Before there is an engine.
    Boot(Boot),
}

/// What a bootstrap asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Boot {
    Rules,
    Account,
    Brackets,
    Settings,
    Commission(SymbolId),
}

impl Boot {
    pub const fn path(self) -> &'static str {
        match self {
            Boot::Rules => "/fapi/v1/exchangeInfo",
            Boot::Account => "/fapi/v1/accountConfig",
            Boot::Brackets => "/fapi/v1/leverageBracket",
            Boot::Settings => "/fapi/v1/symbolConfig",
            Boot::Commission(_) => "/fapi/v1/commissionRate",
        }
    }
}

/// The parts of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Orders,
    Conditional,
    Account,
    Positions,
    Settings,
    Mode,
}

/// What a call shows of us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Security {
    Open,
    Key,
    Signed,
}

/// What a call belongs to, so that nothing about one order overtakes another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lane {
    Free,
    Order {
        id: ClientOrderId,
        symbol: SymbolId,
        places: bool,
    },
    Orders(Vec<ClientOrderId>),
    /// A setting of a symbol or of the account.
    Setting(Option<SymbolId>),
    /// Cancels everything of a symbol.
    Sweep(SymbolId),
}

impl Lane {
    /// Whether a call in this lane waits until an earlier one in that lane is answered.
    pub fn must_follow(&self, earlier: &Lane) -> bool {
        match (self, earlier) {
            (Lane::Order { id, .. }, Lane::Order { id: other, .. }) => id == other,
            (Lane::Order { id, .. }, Lane::Orders(others)) => others.contains(id),
            (Lane::Order { symbol, places: true, .. }, Lane::Setting(of)) => of.is_none_or(|of| of == *symbol),
            // What is placed after "cancel all" shall not be cancelled by it.
            (Lane::Order { symbol, places: true, .. }, Lane::Sweep(of)) => symbol == of,
            (Lane::Orders(_), Lane::Setting(_) | Lane::Sweep(_)) => true,
            (Lane::Setting(one), Lane::Setting(other)) => one.is_none() || other.is_none() || one == other,
            _ => false,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub purpose: Purpose,
    pub method: Method,
    pub path: &'static str,
    pub query: Query,
    pub security: Security,
    pub cost: Cost,
    pub urgency: Urgency,
    pub lane: Lane,
    pub timeout: Nanos,
    pub recv_window_ms: u32,
    /// How often it is sent again after an answer that says nothing; only for questions.
    pub asks_again: u8,
    /// How often it was sent again already.
    pub attempts: u8,
    pub clock_repaired: bool,
    /// Not before.
    pub due: Timestamp,
    /// Not after: an entry that waited longer is not what was decided any more.
    pub useless_after: Timestamp,
    pub last_error: Option<ExchangeError>,
}

impl Call {
    /// A poll without signature.
    pub fn get(purpose: Purpose, path: &'static str, query: Query, weight: u32) -> Call {
        Call {
            purpose,
            method: Method::Get,
            path,
            query,
            security: Security::Open,
            cost: Cost::weight(weight),
            urgency: Urgency::Poll,
            lane: Lane::Free,
            timeout: POLL_TIMEOUT,
            recv_window_ms: POLL_RECV_WINDOW_MS,
            asks_again: 4,
            attempts: 0,
            clock_repaired: false,
            due: Timestamp::MIN,
            useless_after: Timestamp::MAX,
            last_error: None,
        }
    }

    /// A signed poll.
    pub fn signed(purpose: Purpose, path: &'static str, query: Query, weight: u32) -> Call {
        Call { security: Security::Signed, ..Call::get(purpose, path, query, weight) }
    }

    /// A signed call that changes something.
    pub fn change(purpose: Purpose, method: Method, path: &'static str, query: Query, recv_window_ms: u32) -> Call {
        Call {
            method,
            urgency: Urgency::Vital,
            timeout: ORDER_TIMEOUT,
            recv_window_ms,
            asks_again: 0,
            ..Call::signed(purpose, path, query, 1)
        }
    }

    /// A call about the listen key: it shows the key and signs nothing.
    pub fn keyed(purpose: Purpose, method: Method, path: &'static str) -> Call {
        Call {
            method,
            security: Security::Key,
            urgency: Urgency::Vital,
            asks_again: 0,
            ..Call::get(purpose, path, Query::new(), 1)
        }
    }

    pub fn cost(self, cost: Cost) -> Call {
        Call { cost, ..self }
    }

    pub fn urgency(self, urgency: Urgency) -> Call {
        Call { urgency, ..self }
    }

    pub fn lane(self, lane: Lane) -> Call {
        Call { lane, ..self }
    }

    pub fn due(self, due: Timestamp) -> Call {
        Call { due, ..self }
    }

    pub fn useless_after(self, useless_after: Timestamp) -> Call {
        Call { useless_after, ..self }
    }

    pub fn asks_again(self, asks_again: u8) -> Call {
        Call { asks_again, ..self }
    }
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finished {
    pub purpose: Purpose,
    pub answer: Answer,
    pub sent_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Accepted(Vec<u8>),
    /// Definitely not executed.
    Refused(ExchangeError),
    Unknown(String),
}
