//! Our own Binance on a socket: the simulated exchange's gateway behind HTTP and WebSocket.
//!
//! The [`Gateway`](alphaengine_sim::gateway::Gateway) decides everything and does no I/O; a [`Server`] carries its bytes, moves its
//! market and can do to a connection what networks do ([`FaultPlan`]).
//!
//! ```text
//! client --TCP--> accept loop --HTTP/1.1--> faults --> Gateway.handle -----> answer
//!                                  `--upgrade--> queue of a connection <--- Gateway.frames
//! Feed --shifted in time--> market clock --> Gateway.market_moves, market_is_told
//! ```
//!
//! One thread runs all of it, so requests reach the gateway in the order in which they arrive.
//!
//! ```
//! use alphaengine_core::instrument::{Catalog, Instruments};
//! use alphaengine_core::market::{MarkPrice, MarketData, MarketUpdate, SymbolId};
//! use alphaengine_core::units::Timestamp;
//! use alphaengine_server::{Server, ServerConfig};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let instruments = Instruments::new(vec![Catalog::builtin().get(&"BTCUSDT".parse()?)?.clone()])?;
//! let mark = MarketData::MarkPrice(MarkPrice { price: "60000".parse()? });
//! let feed = vec![MarketUpdate { at: Timestamp::ZERO, symbol: SymbolId(0), data: mark }];
//!
//! let config = ServerConfig { address: "127.0.0.1:0".parse()?, ..ServerConfig::default() };
//! let server = Server::start(config, &instruments, feed.into_iter())?;
//! println!("--rest-url http://{0} --ws-url ws://{0}", server.address());
//! # Ok(())
//! # }
//! ```
//!
//! # Streams
//!
//! A WebSocket upgrade is answered on every path that the gateway knows: `/ws`, `/stream`, `/public`, `/market`, `/private`,
//! `/ws-fapi/v1`. Each connection has a queue of [`QUEUE`] frames. A consumer that lets it run full is cut off, as the real
//! exchange does.
//!
//! # Control
//!
//! For tests and operators, unsigned, below `/sim/v1/`. Answers are JSON, times are milliseconds, amounts decimal strings.
//!
//! | call | what it does |
//! |---|---|
//! | `GET status` | market time, wall clock, speed, connections by route, frames by route, open orders, fills, wallet, positions |
//! | `POST step` | with [`Speed::Stepped`] one half step of the market, see there; answers `at`, `done`, `phase`, `frames` |
//! | `POST fault` | body `{"on": ..., "fault": ...}`: adds to the fault plan; without `on` at once, or for the next request |
//! | `POST expire-listen-keys` | all listen keys are over, their sockets stay open and silent |
//! | `POST close?route=private` | closes the route's connections with a close frame |
//! | `POST ban?seconds=60` | HTTP 418 until then |
//! | `POST throttle?seconds=60` | HTTP 429 until then |
//! | `POST clock?shift_ms=1500` | steps the exchange's clock against the true one |
//! | `POST outage?seconds=5` | resets every connection and refuses new ones until then; the market goes on |
//! | `GET fills` | every trade of the account, oldest first |
//! | `GET wallet` | what the account holds |

mod body;
mod config;
mod control;
mod error;
mod exchange;
mod faults;
mod http;
mod market;
mod replay;
mod server;
mod socket;
mod wire;

pub use alphaengine_sim::faults::{Fault, FaultPlan, Route};
pub use config::{ServerConfig, Speed, Start};
pub use error::Error;
pub use exchange::QUEUE;
pub use faults::playable;
pub use server::{Parts, Server};
