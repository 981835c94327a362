//! Why a run could not be made. What goes wrong inside a run is a violation, not an error.

/// A sentence with a next step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("the scenario has no market data: choose a window in which there are some")]
    NoMarket,
    #[error("the market data go back in time at {0}: `alphaengine data check` names the rows")]
    TimeWentBack(alphaengine_core::units::Timestamp),
    #[error("the strategy cannot be built: {0}")]
    Strategy(String),
    #[error("the session cannot be made: {0}")]
    Session(String),
}
