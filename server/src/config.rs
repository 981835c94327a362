//! A ServerConfig says where the server listens, what the exchange behind it is like, and how its market runs.

use std::net::{Ipv4Addr, SocketAddr};

use alphaengine_core::units::Nanos;
use alphaengine_sim::SimConfig;
use alphaengine_sim::gateway::GatewayConfig;

use alphaengine_sim::faults::FaultPlan;

/// Everything about a server but its data.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Port 0 asks the system for a free one: [`Server::address`](crate::Server::address) tells which.
    pub address: SocketAddr,
    pub gateway: GatewayConfig,
    pub sim: SimConfig,
    pub speed: Speed,
    pub start: Start,
    /// How much of the data is already past when the market opens, in nanoseconds. It is rounded up to whole bars.
    pub history: Nanos,
    pub faults: FaultPlan,
    /// Keep serving when the data are over: the market stands still. Else the server is over with them.
    pub idle_at_end: bool,
}

impl Default for ServerConfig {
    fn default() -> ServerConfig {
        ServerConfig {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 9001)),
            gateway: GatewayConfig::default(),
            sim: SimConfig::default(),
            speed: Speed::Times(1),
            start: Start::Now,
            history: 0,
            faults: FaultPlan::default(),
            idle_at_end: true,
        }
    }
}

/// How fast the market's time passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speed {
    /// So many times as fast as real time.
    Times(u32),
    /// As fast as stream consumers read: begins with the first stream connection, and waits while a queue is half full, for
    /// at most five seconds.
    Max,
    /// By hand: each `POST /sim/v1/step` is half a step. The first half moves the exchange over all updates of one instant, and
    /// its user events go out; the second half tells the market streams. Where the first half has no user event the second
    /// follows in the same call.
    /// Before the first step there is history and no market: orders are refused.
    Stepped,
}

/// Which time it is when the market opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The wall clock's. The data are shifted by whole bars (of the finest timeframe in them, at least a minute), so that the
    /// first bar after the history is the one that is open now.
    Now,
    /// The data's own.
    Recording,
}
