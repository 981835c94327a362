//! A report says what a run earned, at what risk, by which trades and at what cost.
//!
//! Four things are followed while the run goes on: the [`equity`](EquityTracker), the [`round trips`](RoundTrips), the
//! [`execution`](Execution) of orders and the [`costs`](Costs). When it has ended, [`Report`] computes the figures from them and
//! a table shows them.

mod costs;
mod daily;
mod drawdown;
mod equity;
mod execution;
mod figure;
mod growth;
mod round_trip;
mod round_trips;
mod sections;
mod spans;
mod sparkline;
mod summary;
mod table;
mod text;
mod trade_figures;
mod trip_stats;

pub use costs::{AssetFees, Costs};
pub use daily::DayReturn;
pub use drawdown::Drawdowns;
pub use equity::{DayEnd, EquityCurve, EquityPoint, EquityTracker, Exposure};
pub use execution::Execution;
pub use round_trip::{OpenTrip, RoundTrip};
pub use round_trips::RoundTrips;
pub use sections::{
    CostFigures, Durations, ExecutionFigures, ExposureFigures, Open, Outcome, Risk, Span, SymbolFigures,
};
pub use spans::Spans;
pub use summary::{CONVENTION, Report};
pub use trade_figures::TradeFigures;
pub use trip_stats::TripStats;
