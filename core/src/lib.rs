//! The domain and the engine of AlphaEngine. It reads no clock, no environment and no random source, and owns no thread;
//! its only I/O is the event store's SQLite file.

pub mod command;
pub mod event;
pub mod exchange;
pub mod id;
pub mod indicator;
pub mod instrument;
pub mod ledger;
pub mod market;
pub mod order;
pub mod position;
pub mod report;
pub mod store;
pub mod units;
