//! Live trading: the Binance session, the bot that joins it with the engine, and what gives them sockets and a process.
//!
//! ```text
//! driver --Arrival--> Runner --News--> Trader( Bot( Session -> Engine ) ) --Effect--> Runner --> driver
//!                        |
//!                        +--> tape
//! ```
//!
//! [`binance::Session`], [`bot::Bot`] and [`trader::Trader`], which goes on without its store when that fails, decide and do no
//! I/O; [`driver`] does I/O and decides nothing.

pub mod binance;
pub mod bot;
pub mod tape;
pub mod trader;
pub mod wire;

pub mod clock;
pub mod driver;
pub mod runner;
pub mod status;
pub mod stepper;

pub mod logging;
pub mod secrets;
pub mod service;

#[cfg(determinism_probe)]
pub mod determinism_probe;
