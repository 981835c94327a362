//! The Binance session: bytes in, bytes out. It owns no socket, no clock, no thread and no source of chance.
//!
//! [`Session`] runs while a strategy trades; [`Bootstrap`] asks, before there is an engine, for the rules and the account.
//! Everything follows `binance-usdm.md`; the sections are named where they matter.

#[macro_use]
mod parts;

mod account;
mod alarm;
mod answer;
mod bootstrap;
mod call;
mod clock;
mod config;
mod depth;
mod figures;
mod frames;
mod hearing;
mod history;
pub mod hosts;
mod json;
mod line;
mod listen_key;
mod market;
mod money;
mod orders;
mod outcomes;
mod owners;
mod problem;
mod query;
mod rows;
mod session;
pub mod sign;
mod sockets;
mod streams;
mod trades;
mod user;

pub use bootstrap::{Bootstrap, BootstrapResult, CommissionRate, Problem};
pub use config::{Backoff, Deadline, SessionConfig, Silence, StreamsWanted};
pub use figures::{Figures, Strangers};
pub use hosts::Hosts;
pub use session::Session;
pub use sign::{ApiKey, Signer};
