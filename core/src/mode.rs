//! Modes: in which world a session runs, and what its engine lets through.

use serde::{Deserialize, Serialize};

/// In which world a session runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Mode {
    Production,
    Testnet,
    Backtest,
    Chaos,
}

impl Mode {
    pub const fn name(self) -> &'static str {
        match self {
            Mode::Production => "PRODUCTION",
            Mode::Testnet => "TESTNET",
            Mode::Backtest => "BACKTEST",
            Mode::Chaos => "CHAOS",
        }
    }
}

/// What the engine lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum EngineMode {
    /// Recovering and reconciling: nothing leaves but queries.
    #[default]
    Booting,
    Running,
    /// By the operator: only cancels and closes.
    Paused,
    /// By the engine itself: only cancels and closes.
    Safe,
}
