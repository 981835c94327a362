//! A report says what a run earned, at what risk, by which trades and at what cost.
//!
//! Four things are followed while the run goes on: the [`equity`](EquityTracker), the [`round trips`](RoundTrips), the
//! [`execution`](Execution) of orders and the [`costs`](Costs). When it has ended, [`Report`] computes the figures from them and
//! a table shows them.

mod drawdown;
mod equity;

pub use drawdown::Drawdowns;
pub use equity::{DayEnd, EquityCurve, EquityPoint, EquityTracker, Exposure};
