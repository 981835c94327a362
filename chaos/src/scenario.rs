//! A Scenario is an experiment: a strategy's market, rules, account and limits. What goes wrong in it stands in a plan.

use alphaengine_core::instrument::Instruments;
use alphaengine_core::market::{MarketUpdate, Timeframe};
use alphaengine_core::params::Params;
use alphaengine_core::risk::Limits;
use alphaengine_core::units::Nanos;
use alphaengine_live::binance::StreamsWanted;
use alphaengine_sim::SimConfig;

/// Everything about an experiment but its faults.
#[derive(Debug, Clone)]
pub struct Scenario {
    pub strategy: String,
    pub params: Params,
    pub instruments: Instruments,
    /// The bars that the strategy sees; all symbols have the same.
    pub timeframe: Timeframe,
    pub streams: StreamsWanted,
    pub sim: SimConfig,
    pub limits: Limits,
    /// What the market said before the run, oldest first: candles and trades that a client can ask for.
    pub history: Vec<MarketUpdate>,
    /// What it says during the run, oldest first. Its times are those of the virtual clock.
    pub market: Vec<MarketUpdate>,
    /// How long the run goes on without faults after the market's last update, until the bot and the exchange must agree.
    pub converge_within: Nanos,
}

/// How a run is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RunOptions {
    /// Of what is drawn beside the plan: jitter of reconnects, the small delays of the wire.
    pub seed: u64,
    /// Stop after this step of the bot.
    pub until: Option<u64>,
    /// Keep a readable trace of what happened.
    pub trace: bool,
    /// End the session in order and hand its store out.
    pub keep_store: bool,
    /// No delays on the wire: each answer and frame arrives at the instant at which it was said, as in a backtest.
    pub instant: bool,
}
