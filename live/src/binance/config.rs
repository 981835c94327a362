//! A SessionConfig says what a session is to hear and how patient it is.

use alphaengine_core::instrument::Instruments;
use alphaengine_core::market::Timeframe;
use alphaengine_core::rate_limit::Limits;
use alphaengine_core::units::{NANOS_PER_MINUTE, NANOS_PER_SECOND, Nanos, Timestamp};
use serde::{Deserialize, Serialize};

use super::hosts::Hosts;
use super::sign::ApiKey;

/// Everything a session is told before it starts. [`SessionConfig::new`] has the defaults.
#[derive(Debug, Clone)]
pub struct SessionConfig {
    pub hosts: Hosts,
    /// Without a key there is no private route and no signed call: public data only, for paper trading.
    pub key: Option<ApiKey>,
    pub instruments: Instruments,
    pub streams: StreamsWanted,
    /// Closed bars per symbol that are fetched and heard before `Ready`.
    pub warm_up_bars: usize,
    /// How long an order may be on its way, in milliseconds; also how long an entry may wait for a limit.
    pub recv_window_ms: u32,
    /// Of the jitter of reconnects, and of nothing else.
    pub seed: u64,
    pub backoff: Backoff,
    pub silence: Silence,
    /// A connection is replaced at this age; the exchange drops it at 24 h.
    pub connection_life: Nanos,
    pub listen_key_keepalive: Nanos,
    /// The dead man's switch: the exchange cancels the regular orders of a symbol when it hears nothing for so long.
    /// Set for each symbol from its first order on, and refreshed at a third.
    pub countdown: Option<Nanos>,
    /// Whether the regular orders of one engine step leave in one request. An unknown outcome then concerns all of them.
    pub batch_orders: bool,
    pub limits: Limits,
    /// What the bootstrap has used of the running minute; [`super::BootstrapResult::used_weight`] tells it.
    pub used_weight: Option<UsedWeight>,
    /// Whether the account is in hedge mode, as far as is known at the start.
    pub hedge: bool,
}

impl SessionConfig {
    pub fn new(hosts: Hosts, key: Option<ApiKey>, instruments: Instruments) -> SessionConfig {
        SessionConfig {
            hosts,
            key,
            instruments,
            streams: StreamsWanted::default(),
            warm_up_bars: 0,
            recv_window_ms: 2_000,
            seed: 0,
            backoff: Backoff::default(),
            silence: Silence::default(),
            connection_life: 23 * 60 * NANOS_PER_MINUTE,
            listen_key_keepalive: 30 * NANOS_PER_MINUTE,
            countdown: None,
            batch_orders: false,
            limits: Limits::default(),
            used_weight: None,
            hedge: false,
        }
    }
}

/// Request weight of one minute, as the exchange counts it for our address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedWeight {
    pub weight: u32,
    /// In the minute of this time, on the exchange's clock.
    pub at: Timestamp,
}

/// Which streams are subscribed for every symbol. Bars always are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamsWanted {
    pub timeframe: Timeframe,
    pub mark_price: bool,
    pub book_ticker: bool,
    pub agg_trades: bool,
    /// Keeps a local book. Where `book_ticker` is not wanted, its best prices are told as book tickers.
    pub depth: bool,
}

impl Default for StreamsWanted {
    fn default() -> StreamsWanted {
        StreamsWanted { timeframe: Timeframe::M1, mark_price: true, book_ticker: true, agg_trades: false, depth: false }
    }
}

/// The pause before a reconnect doubles from `first` to `most`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    pub first: Nanos,
    pub most: Nanos,
}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff { first: NANOS_PER_SECOND, most: 30 * NANOS_PER_SECOND }
    }
}

/// When a stream that says nothing counts as dead; `None` is never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// The first message, from the opening on.
    pub first_by: Option<Nanos>,
    /// Between two messages.
    pub silent_for: Option<Nanos>,
}

impl Deadline {
    pub const fn seconds(first_by: i64, silent_for: i64) -> Deadline {
        Deadline { first_by: Some(first_by * NANOS_PER_SECOND), silent_for: Some(silent_for * NANOS_PER_SECOND) }
    }
}

/// The deadlines of each kind of stream. The private stream has none: an account may be quiet for days. It is deaf when it does not
/// tell within ten seconds of an order that was taken or a trade that REST lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    pub book_ticker: Deadline,
    pub depth: Deadline,
    pub mark_price: Deadline,
    pub bars: Deadline,
    pub agg_trades: Deadline,
    /// Events of the market that are older than this when they arrive, for two seconds on end, are late: nothing opens until they are
    /// younger than half of it. `None` is never.
    pub late_after: Option<Nanos>,
}

impl Silence {
    /// Any stream may be silent for any time, is up as soon as it is open and never late: for an exchange that speaks when it is asked to.
    pub const ALLOWED: Silence = {
        let any = Deadline { first_by: None, silent_for: None };
        Silence { book_ticker: any, depth: any, mark_price: any, bars: any, agg_trades: any, late_after: None }
    };
}

impl Default for Silence {
    fn default() -> Silence {
        Silence {
            book_ticker: Deadline::seconds(30, 30),
            depth: Deadline::seconds(30, 30),
            mark_price: Deadline::seconds(15, 15),
            // A symbol that nobody trades says nothing of bars and trades.
            bars: Deadline::seconds(300, 300),
            agg_trades: Deadline::seconds(900, 900),
            late_after: Some(3 * NANOS_PER_SECOND),
        }
    }
}
