//! The Binance session told what happens, step by step, as a driver would tell it.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]
#![allow(clippy::disallowed_methods, reason = "where the recordings are is told by the environment")]

mod boot;
mod bootstrap;
mod depth;
mod garbage;
mod hearing;
mod limits;
mod orders;
mod payloads;
mod streams;
mod unknown;
mod user;
mod verdict;
mod world;
