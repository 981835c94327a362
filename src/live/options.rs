//! The options of a live session, as read from the command line.

use std::path::PathBuf;

use alphaengine_core::command::StopPolicy;
use alphaengine_core::instrument::Symbol;
use alphaengine_core::market::Timeframe;
use alphaengine_core::mode::Mode;
use alphaengine_core::risk::Limits;
use alphaengine_core::units::Nanos;
use alphaengine_live::binance::{Hosts, StreamsWanted};
use alphaengine_live::clock::now;
use alphaengine_live::secrets::Environment;

use super::recipe::Paper;

/// Where orders go.
#[derive(Debug, Clone)]
pub enum Place {
    Testnet,
    Production,
    /// Nowhere: this exchange inside the process takes them.
    Paper(Paper),
}

impl Place {
    /// Whose key is needed; `None` for none.
    pub fn environment(&self) -> Option<Environment> {
        match self {
            Place::Testnet => Some(Environment::Testnet),
            Place::Production => Some(Environment::Production),
            Place::Paper(_) => None,
        }
    }

    pub fn mode(&self) -> Mode {
        match self {
            Place::Testnet => Mode::Testnet,
            Place::Production => Mode::Production,
            Place::Paper(_) => Mode::Backtest,
        }
    }

    /// Paper follows the real market.
    pub fn hosts(&self) -> Hosts {
        match self {
            Place::Testnet => Hosts::testnet(),
            Place::Production | Place::Paper(_) => Hosts::production(),
        }
    }

    /// The store of a session here, where none is named.
    pub fn default_store(&self) -> PathBuf {
        match self {
            Place::Testnet => "data/alphaengine_test.db".into(),
            Place::Production => "data/alphaengine_prod.db".into(),
            // An account on paper lives as long as its process: each session has a store of its own.
            Place::Paper(_) => format!("data/alphaengine_paper_{}.db", now().millis()).into(),
        }
    }
}

/// Everything that was asked for.
#[derive(Debug, Clone)]
pub struct LiveOptions {
    pub place: Place,
    /// `name=value` pairs.
    pub params: Vec<String>,
    pub symbols: Vec<Symbol>,
    pub timeframe: Timeframe,
    pub streams: StreamsWanted,
    pub limits: Limits,
    /// Set on every symbol at the start, where given.
    pub leverage: Option<u32>,
    pub store: PathBuf,
    pub secrets: PathBuf,
    pub rest_url: Option<String>,
    pub ws_url: Option<String>,
    pub recv_window_ms: u32,
    pub countdown: Option<Nanos>,
    pub batch_orders: bool,
    pub record: Option<PathBuf>,
    pub on_stop: StopPolicy,
    /// Drive a stepped exchange (`alphaengine exchange serve --speed step`).
    pub stepped: bool,
    pub seed: u64,
    pub json_log: bool,
}
