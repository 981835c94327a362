//! What the world tells the auditor: everything that passes between the bot, its store and the exchange.

use alphaengine_core::event::Recorded;
use alphaengine_core::id::SessionId;
use alphaengine_core::instrument::Instruments;
use alphaengine_core::market::MarketUpdate;
use alphaengine_core::mode::EngineMode;
use alphaengine_core::risk::Limits;
use alphaengine_core::state::State;
use alphaengine_core::units::{Money, Nanos, Timestamp};

/// What the auditor is told of the experiment.
#[derive(Debug, Clone)]
pub struct Rules {
    pub instruments: Instruments,
    /// Of orders.
    pub recv_window: Nanos,
    pub weight_per_minute: u32,
    pub orders_per_10s: u32,
    pub orders_per_minute: u32,
    /// Those with which the process is started.
    pub limits: Limits,
    /// From the last fault on, until then everything must be well again (I22).
    pub converge_within: Nanos,
    /// What the account holds at the beginning.
    pub opening_wallet: Money,
}

/// One thing that happened.
#[derive(Debug, Clone, Copy)]
pub enum Seen<'a> {
    /// A process of the bot began; with the id of its session and the highest number found in its store.
    ProcessBegan {
        session: SessionId,
        seq: u64,
    },
    /// It ended: killed, power lost, or in order.
    ProcessEnded,
    /// The bot handed a request to the network, before any fault. `durable`: whether all that the bot wanted so far stood in the store
    /// in a form that survives a power loss at this instant (the world looked); `None` where nobody can say.
    Sent {
        id: u64,
        method: &'a str,
        path: &'a str,
        query: &'a str,
        durable: Option<bool>,
    },
    /// The bot was told that a request never left this machine: no connection was made. It may be sent again.
    NotSent {
        id: u64,
    },
    /// The request reached the exchange, and this is what the exchange answered, before any fault on the way back.
    Answered {
        id: u64,
        method: &'a str,
        path: &'a str,
        query: &'a str,
        status: u16,
        headers: &'a [(String, String)],
        body: &'a [u8],
    },
    /// What the bot got in the end; `None` is nothing, or an error of transport after the request left. This is what it may act on.
    Got {
        id: u64,
        status: Option<u16>,
        headers: &'a [(String, String)],
        body: &'a [u8],
    },
    /// A frame that the exchange said on a stream connection, before faults. The route is its name in any case: `private`.
    Said {
        route: &'a str,
        text: &'a str,
    },
    /// A frame that reached the bot.
    Delivered {
        route: &'a str,
        text: &'a str,
    },
    /// What the engine's log took, in order: after each append, before its commit.
    Logged {
        events: &'a [Recorded],
    },
    /// The result of the commit.
    Committed {
        ok: bool,
    },
    /// A stream connection of the bot is really up or really dead: half-open, deaf, gapped and late streams are not fresh.
    StreamTruth {
        route: &'a str,
        fresh: bool,
    },
    /// After each step of the bot.
    Stepped {
        mode: EngineMode,
        reconciled: bool,
        state: &'a State,
    },
    /// The market as the exchange sees it.
    Market(&'a MarketUpdate),
    /// The market said nothing new, and the exchange told once more what stands.
    MarketStands,
    /// The newest market time with which the strategy was called.
    StrategyHeard {
        until: Timestamp,
    },
    StorageDistrusted,
    StorageTrusted,
    FaultsOver,
}
