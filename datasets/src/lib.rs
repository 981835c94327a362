//! Market data in and out: the Binance archive, a Parquet catalogue, recordings, checks, resampling and the built-in
//! SYNTHETIC sample.

pub mod chunk;
pub mod discover;
mod error;
pub mod frame;
pub mod kind;
pub mod read;
pub mod resample;
pub mod tape;

pub use error::Error;
