//! A RunReport says what came of one run.

use std::collections::BTreeMap;

use alphaengine_core::order::OrderSpec;
use alphaengine_core::units::{Money, Nanos};
use alphaengine_sim::auditor::{Invariant, Violation};

/// What came of one run.
#[derive(Debug, Clone, Default)]
pub struct RunReport {
    /// Steps of the bot: things that it heard.
    pub steps: u64,
    /// From the market's opening to the end.
    pub simulated: Nanos,
    /// Of every event and every byte that was written to the disk, in order.
    pub trace_hash: [u8; 32],
    /// How often each entry of the plan came to pass, by its name or kind.
    pub fired: BTreeMap<String, u64>,
    pub checks: BTreeMap<Invariant, u64>,
    pub violations: Vec<Violation>,
    pub effect: Effect,
    /// What was ordered, in order, over all processes.
    pub orders: Vec<OrderSpec>,
    /// With [`crate::RunOptions::trace`]: what happened, a line each.
    pub trace: Vec<String>,
    /// With [`crate::RunOptions::keep_store`], where the process was alive at the end: its files.
    pub store: Option<StoreFiles>,
}

/// The files of a store that was ended in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreFiles {
    pub database: Vec<u8>,
    /// The head mark, which lies beside it as `FILE.head`.
    pub head: Vec<u8>,
}

/// What a run was for the strategy, judged at the exchange.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effect {
    /// Equity at the end less that of the beginning, transfers left out.
    pub pnl: Money,
    /// The largest fall of the equity from its highest point.
    pub max_drawdown: Money,
    pub orders: u64,
    pub fills: u64,
    /// What market orders lost against the price at which they were decided, in all.
    pub slippage: Money,
    pub fees: Money,
    /// Entries that the engine's own gate refused: SAFE, stale streams, reconciling, limits.
    pub refused_entries: u64,
    /// Time in SAFE.
    pub safe: Nanos,
    /// Time without a process, and in BOOTING.
    pub away: Nanos,
    pub restarts: u64,
}
