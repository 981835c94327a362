//! The options of a backtest, as read from the command line.

use std::fmt;
use std::path::PathBuf;

use alphaengine_core::instrument::Symbol;
use alphaengine_core::market::Timeframe;
use alphaengine_core::risk::Limits;
use alphaengine_core::units::{Money, Rate, Timestamp};

use super::data::DataArg;

/// Everything that was asked for.
#[derive(Debug, Clone)]
pub struct Options {
    /// `name=value` pairs.
    pub params: Vec<String>,
    pub scene: SceneOptions,
    pub limits: Limits,
    pub store: StoreChoice,
}

/// What a simulated exchange is made of: data, rules, costs and an account.
#[derive(Debug, Clone)]
pub struct SceneOptions {
    pub data: Vec<DataArg>,
    /// None named: all that the data have.
    pub symbols: Vec<Symbol>,
    pub timeframe: Option<Timeframe>,
    pub window: Window,
    pub cash: Money,
    pub leverage: u32,
    pub isolated: bool,
    pub hedge: bool,
    pub costs: Costs,
    pub seed: u64,
    pub require_funding: bool,
    pub exchange_info: Option<PathBuf>,
    pub brackets: Option<PathBuf>,
}

/// What trading costs, and when orders fill.
#[derive(Debug, Clone)]
pub struct Costs {
    pub close_fill: bool,
    pub slippage: Rate,
    pub touch_fill: bool,
    pub volume_cap: Option<Rate>,
    pub taker_fee: Rate,
    pub maker_fee: Rate,
    /// See [`alphaengine_sim::Latency::parse`].
    pub latency: String,
}

/// Where events go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreChoice {
    /// A new numbered file under `data/runs`.
    NewRun,
    /// This file, which must not exist.
    File(PathBuf),
    Memory,
    None,
}

/// A span of time, its end excluded; open where nothing is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Window {
    pub from: Option<Timestamp>,
    pub to: Option<Timestamp>,
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.from, self.to) {
            (Some(from), Some(to)) => write!(f, "between {from} and {to}"),
            (Some(from), None) => write!(f, "from {from} on"),
            (None, Some(to)) => write!(f, "before {to}"),
            (None, None) => f.write_str("in these files"),
        }
    }
}
