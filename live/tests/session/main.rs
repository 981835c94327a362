//! The Binance session told what happens, step by step, as a driver would tell it.

mod boot;
mod depth;
mod limits;
mod orders;
mod streams;
mod unknown;
mod user;
mod world;
