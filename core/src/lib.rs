//! The domain and the engine of AlphaEngine. It reads no clock, no environment and no random source, and owns no thread;
//! its only I/O is the event store's SQLite file.

pub mod instrument;
pub mod market;
pub mod units;
