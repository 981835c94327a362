//! The parts of `live` that read foreign bytes, compiled without its sockets.
//!
//! The same files as in `alphaengine-live`. TLS and an asynchronous runtime would take minutes to build with coverage counters,
//! and no target reaches them.

#![allow(dead_code, unused_imports, reason = "the rest of `live` is not here to use them")]

#[path = "../../live/src/binance/mod.rs"]
#[macro_use]
pub mod binance;
#[path = "../../live/src/secrets/mod.rs"]
pub mod secrets;
#[path = "../../live/src/wire.rs"]
pub mod wire;

pub mod logging;

pub mod desk;
pub mod say;
