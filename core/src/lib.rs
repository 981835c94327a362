//! The domain and the engine of AlphaEngine. It reads no clock, no environment and no random source, and owns no thread;
//! its only I/O is the event store's SQLite file.
//!
//! Data flows down this list: units and instruments, the market, the strategy and its commands, risk and execution, the
//! exchange's answers, events and what they add up to, the store, the report, and the engine that turns the crank.

pub mod json;
pub mod units;

pub mod id;
pub mod instrument;
pub mod link;
pub mod market;
pub mod mode;

pub mod attached;
pub mod bars;
pub mod context;
pub mod indicator;
pub mod market_view;
pub mod params;
pub mod strategy;

pub mod command;
pub mod executor;
pub mod rate_limit;
pub mod risk;

pub mod exchange;

pub mod account;
pub mod event;
pub mod ledger;
pub mod order;
pub mod position;
pub mod reconcile;
pub mod snapshot;
pub mod state;

pub mod store;

pub mod performance;
pub mod report;

pub mod planted;

pub mod engine;
pub mod prelude;

#[cfg(determinism_probe)]
pub mod determinism_probe;
