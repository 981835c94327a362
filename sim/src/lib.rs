//! The simulated exchange: typed requests in, typed updates out, one thread, virtual time, no I/O.
//!
//! [`SimExchange`] is the exchange: matching, margin, funding, liquidation, with the exchange's own error codes. [`SimWorld`]
//! puts it behind a feed and delays and speaks with the engine.
//!
//! # How orders fill
//!
//! What drives a symbol's fills is the finest kind of data that it has: book ticker, else trades, else bars.
//!
//! | data | a market order | a resting limit order |
//! |---|---|---|
//! | bars | at the next price after it arrived, in practice the next bar's open, plus slippage ([`MarketFill::NextPrice`]); or at once at the last close ([`MarketFill::LastPrice`], optimistic) | when a later price goes *through* its price ([`LimitFill::Through`]), or touches it ([`LimitFill::Touch`], optimistic); at its own price; at most `volume_cap` of a bar's volume |
//! | trades | at the next trade's price plus slippage; or at once at the last one's | when a trade goes through (or touches, then at most the trade's quantity) |
//! | book ticker | at once, at the touch up to its size, the rest one slippage worse | when the other side of the book goes through (or touches, then at most its size), and as with trades |
//!
//! **Inside a bar** the order of prices is not known. It is declared: open, then the extreme that hurts, then the other one, then
//! the close. For a symbol with a position the low hurts a long and the high a short; without a position a rising bar goes low
//! first and a falling one high first. Orders act along that path in the order in which it reaches their prices. An order
//! that arrives more than a second after the bar opened sees only its close.
//!
//! A price is rounded to the tick only by slippage; recorded prices are taken as they are.
//!
//! # What is not modelled
//!
//! - Our orders do not move the market, and do not wait in a queue: trade-through stands for the queue.
//! - Liquidation closes the whole position (with cross margin: all cross positions) at the mark price with the liquidation fee, where the exchange may close only a part. No auto-deleveraging: the insurance fund makes up for what is missing.
//! - One margin asset. Multi-assets mode, BNB fees, portfolio margin, rebates paid later.
//! - Price match, RPI orders, iceberg orders, self trades with [`SelfTradePrevention::None`](alphaengine_core::order::SelfTradePrevention): both orders stand.
//! - Rate limits, maintenance, symbol status changes during a run: the next floors of the house.
//! - Settlement jitter of funding: it is charged at the time in the data.

pub mod config;
mod exchange;
mod filters;
mod funding_watch;
pub mod latency;
pub mod margin;
mod order;
mod symbol;
mod world;

pub use config::{LimitFill, MarketFill, SimConfig};
pub use exchange::SimExchange;
pub use latency::{Delay, Latency};
pub use world::{Error, SimWorld};

#[cfg(determinism_probe)]
pub mod determinism_probe;
