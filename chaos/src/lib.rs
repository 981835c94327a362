//! World 2: engine, Binance session, gateway and simulated exchange on one virtual clock and one heap, with a wire, a disk and a
//! process that break as a plan says. No sockets, no threads, no real time: a run is a function of its scenario and its plan.

pub mod disk;
mod error;
pub mod market;
mod report;
mod scenario;
mod shrink;
mod world;

pub use error::Error;
pub use report::{Effect, RunReport, StoreFiles};
pub use scenario::{RunOptions, Scenario};
pub use shrink::{Shrunk, shrink};
pub use world::run;

#[cfg(determinism_probe)]
pub mod determinism_probe;
