//! Market data in and out: the Binance archive, a Parquet catalogue, recordings, checks, resampling and the built-in
//! SYNTHETIC sample.

pub mod catalog;
pub mod check;
pub mod chunk;
mod count_gaps;
pub mod discover;
mod disk;
mod error;
pub mod fetch;
pub mod gaps;
pub mod kind;
pub mod month;
pub mod read;
pub mod resample;
pub mod sample;
pub mod sheet;
pub mod tape;
pub mod workload;

pub use error::Error;
pub use tape::Tape;
