//! A Report holds the figures of a run. What has no value is `None`, never a number in disguise.
//!
//! As JSON, money is decimal text, a ratio is a number (0.25 is 25 %; the command prints it as text), a span is whole
//! nanoseconds (names end in `_ns`), and a time is nanoseconds since 1970.

use serde::Serialize;

use super::daily::DailyReturns;
use super::figure::{days, figure};
use super::sections::{CostFigures, Durations, ExecutionFigures, ExposureFigures, Open, Outcome, Risk, SymbolFigures};
use super::sparkline::{self, Sparkline};
use super::trade_figures::TradeFigures;
use crate::id::Asset;
use crate::instrument::Instruments;
use crate::performance::Performance;
use crate::units::{Money, Rate, Timestamp};

/// How the figures are meant; printed below them.
pub const CONVENTION: &str = "daily returns, 365 days a year, risk-free rate 0, marked to market; undefined = n/a";

/// The sparkline's width.
const WIDTH: usize = 60;

/// Every figure of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    pub start: Timestamp,
    pub end: Timestamp,
    /// Fractional.
    pub days: f64,
    /// In which equity is counted, and so is all money without an asset of its own. Trades and funding of contracts with
    /// another margin asset are added one to one.
    pub asset: Asset,
    pub result: Outcome,
    pub risk: Risk,
    pub exposure: ExposureFigures,
    pub trades: TradeFigures,
    pub long: TradeFigures,
    pub short: TradeFigures,
    pub by_symbol: Vec<SymbolFigures>,
    pub durations: Durations,
    pub open: Open,
    pub costs: CostFigures,
    pub execution: ExecutionFigures,
    pub convention: &'static str,
    #[serde(skip)]
    pub(super) sparkline: Option<Sparkline>,
}

impl Report {
    /// The figures of a run that has ended. `taker_fee` is what buy and hold pays for its one entry.
    pub fn new(performance: &Performance, instruments: &Instruments, taker_fee: Rate) -> Report {
        let curve = performance.curve();
        let returns = DailyReturns::of(curve);
        let by_symbol: Vec<SymbolFigures> = instruments
            .iter()
            .map(|(id, instrument)| SymbolFigures::of(performance, id, instrument, taker_fee))
            .collect();
        let result = Outcome::of(performance, returns.as_ref(), &by_symbol);
        Report {
            start: curve.start,
            end: curve.end,
            days: figure(days(curve.duration())).unwrap_or(0.0),
            asset: performance.asset(),
            risk: Risk::of(curve, returns.as_ref(), result.cagr),
            exposure: ExposureFigures::of(curve, performance.costs().traded()),
            trades: TradeFigures::of(&performance.trips().all),
            long: TradeFigures::of(&performance.trips().long),
            short: TradeFigures::of(&performance.trips().short),
            by_symbol,
            durations: Durations::of(performance.trips()),
            open: Open::of(performance),
            costs: CostFigures::of(performance, result.gross_pnl),
            execution: ExecutionFigures::of(performance),
            result,
            convention: CONVENTION,
            sparkline: sparkline::of_curve(curve, WIDTH),
        }
    }

    /// Marked to market at the end.
    pub fn final_equity(&self) -> Money {
        self.result.final_equity
    }

    /// `E_end / E_0 - 1`.
    pub fn total_return(&self) -> Option<f64> {
        self.result.total_return
    }

    /// The largest fall in proportion to its peak, positive: 0.25 is a quarter.
    pub fn max_drawdown(&self) -> Option<f64> {
        self.risk.max_drawdown_ratio
    }

    pub fn sharpe(&self) -> Option<f64> {
        self.risk.sharpe
    }

    /// All fees in the account's asset, paid positive.
    pub fn fees(&self) -> Money {
        self.costs.fees
    }

    /// Received less paid.
    pub fn funding(&self) -> Money {
        self.costs.funding
    }
}
