//! AlphaEngine runs one strategy trait against a simulated Binance USD-M Futures exchange, and writes every decision, fill and
//! movement of money to an event store that can be replayed bit for bit.
//!
//! A program of your own is a crate that calls [`run`] with its strategies and gets the complete command line:
//!
//! ```no_run
//! use alphaengine::prelude::*;
//!
//! struct Patience;
//!
//! impl Strategy for Patience {
//!     fn info() -> StrategyInfo {
//!         StrategyInfo { name: "patience", about: "Buys one lot of everything and waits.", params: vec![] }
//!     }
//!     fn new(_: &Params, _: &Instruments) -> Result<Self, String> {
//!         Ok(Patience)
//!     }
//!     fn on_bar(&mut self, ctx: &mut Context, symbol: SymbolId, _: &Bar) {
//!         if ctx.position(symbol).is_flat() {
//!             ctx.buy(symbol, "0.01".parse().unwrap());
//!         }
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     alphaengine::run(alphaengine::Strategies::builtin().with::<Patience>())
//! }
//! ```

pub mod backtest;
pub mod chaos;
mod cli;
mod error;
pub mod export;
mod faults;
pub mod live;
mod registry;
pub mod runs;
pub mod strategies;
pub mod writer;

pub use alphaengine_core as core;
pub use alphaengine_core::prelude;
pub use alphaengine_datasets as datasets;
pub use alphaengine_sim as sim;

pub use cli::run;
pub use error::Error;
pub use registry::Strategies;

/// The program in README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
