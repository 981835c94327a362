//! An EquityTracker follows the equity of a run at full resolution and keeps a bounded curve of it.
//!
//! It is fed in two ways. [`EquityTracker::observe`] takes every change of the equity, on the hot path. Once
//! [`EquityTracker::next_boundary`] is reached, [`EquityTracker::roll`] closes what ends there, a bucket of the curve or a UTC
//! day; the caller compares one timestamp per update and calls it *before* the update counts.

use serde::Serialize;

use super::drawdown::{DrawdownWatch, Drawdowns};
use crate::units::{Money, NANOS_PER_DAY, NANOS_PER_SECOND, Nanos, Rounding, Timestamp};

/// The most points that a curve keeps. When it is full, the span of a bucket doubles until it is at most half full.
pub const MAX_POINTS: usize = 16_384;

/// The equity at the end of a UTC day, or at the end of the run on the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DayEnd {
    /// Midnight at which the day began.
    pub day: Timestamp,
    pub equity: Money,
}

/// The account at one instant, everything before it included, and what happened since the point before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct EquityPoint {
    pub at: Timestamp,
    pub equity: Money,
    pub wallet: Money,
    /// The lowest equity since the point before.
    pub low: Money,
    /// The largest distance below the running peak since the point before.
    pub drawdown: Money,
    /// The magnitude of all positions.
    pub notional: Money,
}

/// How much was at stake.
///
/// Time in the market is exact. Leverage is notional by equity, sampled at fills and at the ends of the curve's buckets and held
/// in between; where the equity is not positive it has no value and does not count.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Exposure {
    /// How long there was a position.
    pub in_market: Nanos,
    /// Over all the time, flat times as 0.
    pub mean_leverage: Option<f64>,
    pub max_leverage: Option<f64>,
}

/// What the tracker knows when the run has ended.
#[derive(Debug, Clone, PartialEq)]
pub struct EquityCurve {
    pub start: Timestamp,
    pub end: Timestamp,
    pub initial: Money,
    /// Marked to market at the end.
    pub last: Money,
    /// Every UTC day that the run touched, days without data included; a day cut off by start or end counts as one.
    pub days: Vec<DayEnd>,
    /// The first point is the start, the last one the end.
    pub points: Vec<EquityPoint>,
    pub drawdowns: Drawdowns,
    pub exposure: Exposure,
}

impl EquityCurve {
    /// The curve of a run without money.
    pub fn empty(at: Timestamp) -> EquityCurve {
        EquityCurve {
            start: at,
            end: at,
            initial: Money::ZERO,
            last: Money::ZERO,
            days: Vec::new(),
            points: Vec::new(),
            drawdowns: Drawdowns::default(),
            exposure: Exposure::default(),
        }
    }

    pub fn duration(&self) -> Nanos {
        self.end.since(self.start)
    }
}

/// Follows the equity.
///
/// ```
/// use alphaengine_core::report::EquityTracker;
/// use alphaengine_core::units::{Money, Timestamp};
///
/// let start: Timestamp = "2025-05-04T00:00:00Z".parse()?;
/// let mut tracker = EquityTracker::new(start, Money::whole(1_000));
/// for (second, equity) in [(1, 1_010), (2, 980), (3, 1_020)] {
///     let at = start.plus(second * 1_000_000_000);
///     if at >= tracker.next_boundary() {
///         tracker.roll(at, Money::whole(1_000), Money::whole(500));
///     }
///     tracker.observe(at, Money::whole(equity).exact());
/// }
/// let curve = tracker.finish(start.plus(4_000_000_000), Money::whole(1_020), Money::ZERO);
/// assert_eq!(curve.drawdowns.max, Money::whole(30));
/// assert_eq!(curve.last, Money::whole(1_020));
/// # Ok::<(), alphaengine_core::units::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct EquityTracker {
    boundary: Timestamp,
    /// In steps of 1e-16.
    equity: i128,
    bucket_low: i128,
    bucket_fall: i128,
    watch: DrawdownWatch,
    span: Nanos,
    bucket_end: Timestamp,
    day_end: Timestamp,
    start: Timestamp,
    initial: Money,
    days: Vec<DayEnd>,
    points: Vec<EquityPoint>,
    stake: Stake,
}

/// Time and leverage of positions, held from sample to sample.
#[derive(Debug, Clone, Default)]
struct Stake {
    since: Timestamp,
    is_open: bool,
    leverage: Option<f64>,
    in_market: Nanos,
    /// Leverage times nanoseconds, and the nanoseconds in which it had a value.
    weighted: f64,
    weight: f64,
    max: Option<f64>,
}

impl Stake {
    /// What was held until `at` ends; from now on `notional` is held.
    fn sample(&mut self, at: Timestamp, equity: i128, notional: Money) {
        let elapsed = at.since(self.since).max(0);
        self.since = self.since.max(at);
        if self.is_open {
            self.in_market = self.in_market.saturating_add(elapsed);
        }
        if let Some(leverage) = self.leverage {
            self.weighted += leverage * elapsed as f64;
            self.weight += elapsed as f64;
        }
        self.is_open = notional.is_positive();
        self.leverage = (equity > 0).then(|| notional.exact() as f64 / equity as f64);
        self.max = match (self.max, self.leverage) {
            (Some(max), Some(now)) => Some(max.max(now)),
            (max, now) => max.or(now),
        };
    }
}

fn money(exact: i128) -> Money {
    let limit = if exact < 0 { Money::from_steps(i64::MIN) } else { Money::MAX };
    Money::from_exact(exact, Rounding::HalfEven).unwrap_or(limit)
}

impl EquityTracker {
    /// Begins at `start` with the equity `initial` and no position.
    pub fn new(start: Timestamp, initial: Money) -> EquityTracker {
        let equity = initial.exact();
        let mut tracker = EquityTracker {
            boundary: start,
            equity,
            bucket_low: equity,
            bucket_fall: 0,
            watch: DrawdownWatch::new(start, equity),
            span: NANOS_PER_SECOND,
            bucket_end: start,
            day_end: start,
            start,
            initial,
            days: Vec::new(),
            points: Vec::with_capacity(MAX_POINTS),
            stake: Stake { since: start, ..Stake::default() },
        };
        tracker.stake.sample(start, equity, Money::ZERO);
        tracker.points.push(tracker.point(start, initial, Money::ZERO));
        tracker.day_end = end_of(start, NANOS_PER_DAY);
        tracker.set_boundary(start);
        tracker
    }

    /// Takes the equity after a change, in steps of 1e-16. Times do not go back.
    #[inline]
    pub fn observe(&mut self, at: Timestamp, equity_exact: i128) {
        self.equity = equity_exact;
        if equity_exact < self.bucket_low {
            self.bucket_low = equity_exact;
        }
        let fall = self.watch.observe(at, equity_exact);
        if fall > self.bucket_fall {
            self.bucket_fall = fall;
        }
    }

    /// A fill, a funding payment or a transfer changed money or positions: the equity, and the magnitude of all positions after it.
    pub fn account_changed(&mut self, at: Timestamp, equity_exact: i128, notional: Money) {
        if !self.stake.is_open {
            self.watch.rest_until(at);
        }
        self.observe(at, equity_exact);
        self.stake.sample(at, equity_exact, notional);
    }

    /// When [`EquityTracker::roll`] is due.
    #[inline]
    pub fn next_boundary(&self) -> Timestamp {
        self.boundary
    }

    /// Closes every bucket and day that ends at or before `at`. To be called before anything that happens at `at` is counted:
    /// `wallet` and `notional` are what they were until then. A call that is not due does nothing.
    #[cold]
    pub fn roll(&mut self, at: Timestamp, wallet: Money, notional: Money) {
        if at < self.boundary {
            return;
        }
        while self.day_end <= at && self.day_end < Timestamp::MAX {
            let day = self.day_end.plus(-1).floor_to(NANOS_PER_DAY);
            self.days.push(DayEnd { day, equity: money(self.equity) });
            self.day_end = end_of(self.day_end, NANOS_PER_DAY);
        }
        if self.bucket_end <= at {
            self.stake.sample(self.bucket_end, self.equity, notional);
            self.push_point(self.bucket_end, wallet, notional);
        }
        self.set_boundary(at);
    }

    /// Closes the run. `wallet` and `notional` are those at the end.
    pub fn finish(mut self, end: Timestamp, wallet: Money, notional: Money) -> EquityCurve {
        let end = end.max(self.start);
        self.roll(end, wallet, notional);
        // A run that ends at midnight has closed its last day; any other has one that is cut off.
        let day = end.floor_to(NANOS_PER_DAY);
        if end > day || self.days.is_empty() {
            self.days.push(DayEnd { day, equity: money(self.equity) });
        }
        if self.points.last().is_some_and(|point| point.at >= end) && self.points.len() > 1 {
            self.points.pop();
        }
        self.stake.sample(end, self.equity, notional);
        self.push_point(end, wallet, notional);
        let stake = &self.stake;
        EquityCurve {
            start: self.start,
            end,
            initial: self.initial,
            last: money(self.equity),
            days: self.days,
            points: self.points,
            drawdowns: self.watch.finish(end),
            exposure: Exposure {
                in_market: stake.in_market,
                mean_leverage: (stake.weight > 0.0).then(|| stake.weighted / stake.weight),
                max_leverage: stake.max,
            },
        }
    }

    fn set_boundary(&mut self, at: Timestamp) {
        self.bucket_end = end_of(at, self.span);
        self.boundary = self.bucket_end.min(self.day_end);
    }

    fn point(&self, at: Timestamp, wallet: Money, notional: Money) -> EquityPoint {
        EquityPoint {
            at,
            equity: money(self.equity),
            wallet,
            low: money(self.bucket_low),
            drawdown: money(self.bucket_fall),
            notional,
        }
    }

    fn push_point(&mut self, at: Timestamp, wallet: Money, notional: Money) {
        if self.points.len() == MAX_POINTS {
            self.thin();
        }
        self.points.push(self.point(at, wallet, notional));
        self.bucket_low = self.equity;
        self.bucket_fall = self.watch.fall(self.equity);
    }

    /// Doubles the span of a bucket until the curve is at most half full. Merging is exact: the later point stays, with the
    /// lower low and the larger drawdown of the two.
    fn thin(&mut self) {
        while self.points.len() > MAX_POINTS / 2 && self.span < i64::MAX / 2 {
            self.span *= 2;
            let span = self.span;
            // The start stays as it is; a point at the end of a bucket belongs to it, not to the next one.
            let bucket = |point: &EquityPoint| point.at.plus(-1).floor_to(span);
            let mut kept = 1;
            for index in 1..self.points.len() {
                let point = self.points[index];
                let last = self.points[kept - 1];
                if kept > 1 && bucket(&last) == bucket(&point) {
                    let (low, drawdown) = (point.low.min(last.low), point.drawdown.max(last.drawdown));
                    self.points[kept - 1] = EquityPoint { low, drawdown, ..point };
                } else {
                    self.points[kept] = point;
                    kept += 1;
                }
            }
            self.points.truncate(kept);
        }
    }
}

/// The end of the span that holds `at`.
fn end_of(at: Timestamp, span: Nanos) -> Timestamp {
    at.floor_to(span).plus(span)
}
