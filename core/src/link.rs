//! A LinkUpdate tells what happened on the way between us and the exchange. It changes no money, but what may be trusted.

use serde::{Deserialize, Serialize};

use crate::units::Timestamp;

/// The three stream routes of Binance (`binance-usdm.md` section 1.1). Each has its own socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Route {
    /// Book data.
    Public,
    /// Trades, bars, mark prices.
    Market,
    /// The account's own events.
    Private,
}

impl Route {
    pub const ALL: [Route; 3] = [Route::Public, Route::Market, Route::Private];

    pub const fn name(self) -> &'static str {
        match self {
            Route::Public => "PUBLIC",
            Route::Market => "MARKET",
            Route::Private => "PRIVATE",
        }
    }
}

/// What happened on the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum LinkUpdate {
    /// Everything that was subscribed on this route delivers.
    StreamUp {
        route: Route,
    },
    /// A socket was lost, refused or silent: what is known from this route is stale until it is up again.
    StreamDown {
        route: Route,
        reason: String,
    },
    /// The socket of this route was replaced before its time without losing a message.
    StreamReplaced {
        route: Route,
    },
    /// The events of this route have been too old for seconds when they arrived, by the exchange's clock: nothing opens on them.
    Late {
        route: Route,
        /// The age of the last one, in milliseconds.
        millis: i64,
    },
    /// The events of this route arrive in time again.
    OnTime {
        route: Route,
    },
    /// The listen key died; another one is fetched and the private stream begins anew.
    ListenKeyExpired,
    /// The exchange's clock minus ours changed by more than drift explains.
    ClockStepped {
        from_ms: i64,
        to_ms: i64,
    },
    /// The exchange said 429 or 418, or the used weight leaves only the reserve: nothing but what may leave leaves until then.
    RateLimited {
        status: u16,
        until: Timestamp,
    },
    RateLimitOver,
    /// Market data came faster than they were taken: only the newest of each stream was kept. Account data are never left out.
    Conflated {
        left_out: u64,
    },
    /// The key is not accepted any more, or the account may not trade.
    AccessLost {
        code: i32,
        message: String,
    },
}

impl LinkUpdate {
    /// What it is about, in one word.
    pub fn subject(&self) -> &str {
        match self {
            LinkUpdate::StreamUp { route }
            | LinkUpdate::StreamDown { route, .. }
            | LinkUpdate::StreamReplaced { route }
            | LinkUpdate::Late { route, .. }
            | LinkUpdate::OnTime { route } => route.name(),
            LinkUpdate::ListenKeyExpired => Route::Private.name(),
            LinkUpdate::ClockStepped { .. } => "CLOCK",
            LinkUpdate::RateLimited { .. } | LinkUpdate::RateLimitOver => "RATE_LIMIT",
            LinkUpdate::Conflated { .. } => "MARKET_DATA",
            LinkUpdate::AccessLost { .. } => "ACCESS",
        }
    }
}
