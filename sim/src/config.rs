//! What an experiment assumes about the exchange. Defaults are pessimistic.

use alphaengine_core::id::Asset;
use alphaengine_core::units::{Money, Rate};
use serde::Serialize;

use crate::latency::Latency;

/// When a market order fills where no book says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MarketFill {
    /// At the next price after it arrived: the next bar's open, the next trade.
    #[default]
    NextPrice,
    /// At once, at the last price: the close on which it was decided. Optimistic; exists to compare with other tools.
    LastPrice,
}

/// When a resting limit order fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LimitFill {
    /// When the market goes beyond its price: everyone before it in the queue was served.
    #[default]
    Through,
    /// When the market touches its price. Optimistic.
    Touch,
}

/// Everything that is assumed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SimConfig {
    pub asset: Asset,
    /// The deposit at the start.
    pub cash: Money,
    /// Of every symbol.
    pub leverage: u32,
    pub isolated: bool,
    pub hedge: bool,
    pub taker_fee: Rate,
    pub maker_fee: Rate,
    pub market_fill: MarketFill,
    pub limit_fill: LimitFill,
    /// What a market order loses to spread and depth, as a share of the price.
    pub slippage: Rate,
    /// The share of a bar's volume that resting orders may take together; `None`: all of it and more.
    pub volume_cap: Option<Rate>,
    pub latency: Latency,
    pub seed: u64,
    /// Refuse to end well where a symbol has no funding rates, or has them for a part only of the time in which it is traded.
    pub require_funding: bool,
}

impl Default for SimConfig {
    fn default() -> SimConfig {
        SimConfig {
            asset: "USDT".parse().unwrap_or_default(),
            cash: Money::whole(10_000),
            leverage: 20,
            isolated: false,
            hedge: false,
            taker_fee: Rate::from_steps(50_000),
            maker_fee: Rate::from_steps(20_000),
            market_fill: MarketFill::NextPrice,
            limit_fill: LimitFill::Through,
            slippage: Rate::from_steps(10_000),
            volume_cap: Some(Rate::from_steps(10_000_000)),
            latency: Latency::default(),
            seed: 1,
            require_funding: false,
        }
    }
}
