//! A Recipe is all that a bot is made of, secrets left out: it stands at the beginning of a tape, and making the bot again from it
//! and hearing the tape gives the same events.

use alphaengine_core::engine::{self, LiveConfig};
use alphaengine_core::id::{Asset, SessionId};
use alphaengine_core::instrument::Instruments;
use alphaengine_core::market::Timeframe;
use alphaengine_core::mode::Mode;
use alphaengine_core::rate_limit;
use alphaengine_core::risk::Limits;
use alphaengine_core::units::{Money, NANOS_PER_MILLI, Nanos};
use alphaengine_live::binance::{ApiKey, Hosts, SessionConfig, Silence, StreamsWanted, UsedWeight};
use alphaengine_sim::SimConfig;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Everything that determines a bot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Recipe {
    pub session: SessionId,
    pub mode: Mode,
    pub strategy: String,
    /// As `NAME=VALUE`.
    pub params: Vec<String>,
    pub asset: Asset,
    pub instruments: Instruments,
    pub timeframe: Timeframe,
    pub limits: Limits,
    pub hosts: Hosts,
    pub streams: StreamsWanted,
    pub rate_limits: rate_limit::Limits,
    pub warm_up_bars: usize,
    pub recv_window_ms: u32,
    pub seed: u64,
    pub countdown: Option<Nanos>,
    pub batch_orders: bool,
    /// Hedge mode, as it was found.
    pub hedge: bool,
    /// Request weight that was used before the session.
    pub used_weight: Option<UsedWeight>,
    /// The exchange speaks when it is asked to.
    pub stepped: bool,
    /// Of the exchange inside the process, when trading on paper.
    pub paper: Option<Paper>,
}

/// An account on paper.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Paper {
    pub cash: Money,
    pub leverage: u32,
}

impl Paper {
    /// Fees and fills are the pessimistic ones of a backtest.
    pub fn sim(&self) -> SimConfig {
        SimConfig { cash: self.cash, leverage: self.leverage, ..SimConfig::default() }
    }
}

impl Recipe {
    /// What the store keeps of it as the session's configuration.
    pub fn description(&self) -> Value {
        let mut description = serde_json::to_value(self).unwrap_or_default();
        if let Some(fields) = description.as_object_mut() {
            // The store has a column of its own for them.
            fields.remove("instruments");
        }
        description
    }

    pub fn engine_config(&self) -> engine::Config {
        engine::Config {
            session: self.session,
            mode: self.mode,
            strategy: self.strategy.clone(),
            description: self.description(),
            asset: self.asset,
            instruments: self.instruments.clone(),
            base_timeframes: vec![Some(self.timeframe); self.instruments.len()],
            trade_bars: self.timeframe,
            limits: self.limits,
            recv_window: i64::from(self.recv_window_ms) * NANOS_PER_MILLI,
            commit_each_step: true,
            live: self.paper.is_none().then(LiveConfig::default),
        }
    }

    /// The session's part. Without a key it hears public data only.
    pub fn session_config(&self, key: Option<ApiKey>) -> SessionConfig {
        SessionConfig {
            streams: self.streams,
            warm_up_bars: self.warm_up_bars,
            recv_window_ms: self.recv_window_ms,
            seed: self.seed,
            countdown: self.countdown,
            batch_orders: self.batch_orders,
            limits: self.rate_limits,
            hedge: self.hedge,
            used_weight: self.used_weight,
            silence: if self.stepped { Silence::ALLOWED } else { Silence::default() },
            ..SessionConfig::new(self.hosts.clone(), key, self.instruments.clone())
        }
    }
}
