//! Faults: what goes wrong in a run, as an explicit list that counts. Nothing here is left to chance; a seed may only draw a list.
//!
//! The same [`FaultPlan`] is taken by a campaign, by a backtest and by our own Binance on a port. A world does what it can do: the
//! served exchange has no hand on a bot's disk.

mod answer;
mod draw;
mod due;
mod fault;
mod plan;
mod route;

pub use draw::{Family, Group, Knobs, draw, families, parse_families};
pub use due::Faults;
pub use fault::{Amount, Fault, How, Subject, Way};
pub use plan::{DiskFile, DiskOp, FaultPlan, Format, On, PlanError, Planned};
pub use route::Route;
