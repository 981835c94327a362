//! Live trading: the Binance session and the drivers that give it sockets, secrets and a process.
//!
//! [`binance::Session`] decides and does no I/O; [`driver`] does I/O and decides nothing.

pub mod binance;
pub mod driver;
pub mod logging;
pub mod secrets;
pub mod service;
pub mod wire;

#[cfg(determinism_probe)]
pub mod determinism_probe;
