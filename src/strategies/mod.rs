//! The built-in strategies, one file each. They are written as a user would write them, against the prelude alone.

mod atr_risk;
mod buy_and_hold;
mod donchian_breakout;
mod drill;
mod grid;
mod market_maker;
mod sizing;
mod sma_cross;

pub use atr_risk::AtrRisk;
pub use buy_and_hold::BuyAndHold;
pub use donchian_breakout::DonchianBreakout;
pub use drill::Drill;
pub use grid::Grid;
pub use market_maker::MarketMaker;
pub use sizing::Sizing;
pub use sma_cross::SmaCross;
