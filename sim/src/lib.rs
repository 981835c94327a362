//! The simulated exchange: typed requests in, typed updates out, one thread, virtual time, no I/O.
//!
//! [`SimExchange`] is the exchange: matching, margin, funding, liquidation, with the exchange's own error codes. [`SimWorld`]
//! puts it behind a feed and delays and speaks with the engine. [`gateway`] puts it behind Binance's protocol, byte for byte.
//!
//! # How orders fill
//!
//! What drives a symbol's fills is the finest kind of data that it has: book ticker, else trades, else bars.
//!
//! | data | a market order | a resting limit order |
//! |---|---|---|
//! | bars | at the next price after it arrived, in practice the next bar's open, plus slippage ([`MarketFill::NextPrice`]); or at once at the last close ([`MarketFill::LastPrice`], optimistic) | when a bar's way goes *through* its price ([`LimitFill::Through`]), or touches it ([`LimitFill::Touch`], optimistic); at its own price; all of them together at most `volume_cap` of the bar's volume |
//! | trades | at the next trade's price plus slippage; or at once at the last one's | when a trade goes through (or touches, then at most the trade's quantity) |
//! | book ticker | at once, at the touch up to its size, the rest one slippage worse | when the other side of the book goes through (or touches, then at most its size), and as with trades |
//!
//! A limit order that crosses takes like a market order, and never beyond its limit.
//!
//! **Inside a bar** the order of prices is not known. It is declared: open, then the extreme that hurts, then the other one, then
//! the close. For a symbol with a position the low hurts a long and the high a short; without a position a rising bar goes low
//! first and a falling one high first. What rests or watches acts along that path in the order in which it reaches the prices, and
//! is told when the bar has closed; only who takes is served at the open. An order that rests or watches and arrives more than a second after the
//! bar opened sees only its close; one that takes waits for the next price. Margins are looked at wherever an order acts and at the corners of the path, so a liquidation
//! happens at a corner, not at its own price before it.
//!
//! A bar of the mark price is walked in the same way, after the bar of the last price beside it. An order that it fires takes at
//! the worse of its trigger and the bar's close. How far mark and last were apart inside a bar is not known, so nothing is refused
//! for it there: no `market_take_bound`, no `priceProtect`, and the PERCENT_PRICE band of a fired order is that of the last price.
//!
//! A price is rounded to the tick only by slippage; recorded prices are taken as they are.
//!
//! # When a run begins, and what it knows of marks and funding
//!
//! The account opens with the first price at which somebody could trade: a bar, a trade or a quote, of any symbol. Mark prices and
//! funding rates that come before it, or at its very instant but in front of it, are passed over: nobody can hold a position then,
//! and until the first mark of the run the last price stands for it, as where the data have no marks at all. A mark that was kept
//! from before could be of any age.
//!
//! A bar of the mark price that is coarser than the symbol's bars is taken for funding only: between two of them the last price is
//! the newer one. Funding is charged at the mark of the settlement, else at the newest mark, else at the last price.
//!
//! Funding rates are judged in the time in which their symbol is traded, from its first price to its last. A gap of more than eight
//! hours between two settlements, that long of it in the traded time, ends the run ([`Error::FundingHole`]). Where the data begin
//! later or end earlier than that, or have no rates, nothing is charged and it is told ([`SimWorld::funding_notes`],
//! [`SimWorld::without_funding`]); with [`SimConfig::require_funding`] it is an error as well.
//!
//! # What is not modelled
//!
//! - Our orders do not move the market, and do not wait in a queue: trade-through stands for the queue. A touch that is chosen
//!   fills at every touch, as if its size were new each time.
//! - Liquidation closes the whole position (with cross margin: all cross positions) at the mark price with the liquidation fee,
//!   where the exchange may close only a part. No auto-deleveraging: the insurance fund makes up for what is missing.
//! - One margin asset. Multi-assets mode, BNB fees, portfolio margin, rebates paid later, transfers to and from isolated margins.
//! - Price match, RPI orders, iceberg orders, self trades with [`SelfTradePrevention::None`](alphaengine_core::order::SelfTradePrevention): both orders stand.
//! - A good-till-cancelled order does not end after a year, and a good-till-date order ends with the first thing that is heard of
//!   the market, or of us, after its date.
//! - Position risk control (-4105 to -4107), stop price multipliers (-4210, -4211), the limit of modifications (-5026).
//! - Rate limits, maintenance, symbol status changes during a run: the next floors of the house.
//! - Settlement jitter of funding: it is charged at the nominal time, not the few milliseconds later that data may say.
//! - A fee that has to be affordable besides the margin: an order passes when its initial margin does.

pub mod auditor;
pub mod config;
mod exchange;
pub mod faults;
mod filters;
mod funding_watch;
pub mod gateway;
pub mod latency;
pub mod margin;
mod order;
mod symbol;
mod world;

pub use config::{LimitFill, MarketFill, SimConfig};
pub use exchange::{AccountFigures, PositionFigures, SimExchange};
pub use latency::{Delay, Latency};
pub use world::{Error, SimWorld};

#[cfg(determinism_probe)]
pub mod determinism_probe;
