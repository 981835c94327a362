//! DailyReturns holds what each UTC day of a run earned, and the figures of risk that follow from it.

use serde::Serialize;

use super::equity::EquityCurve;
use crate::units::Timestamp;

/// Crypto trades on every day of a year.
pub const DAYS_PER_YEAR: f64 = 365.0;

/// A deviation below this part of the mean is the noise of floating point: the returns are all the same.
const NOISE: f64 = 1e-12;

/// A day and what it earned: 0.01 is one percent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct DayReturn {
    /// Midnight at which the day began.
    pub day: Timestamp,
    #[serde(rename = "return")]
    pub earned: f64,
}

/// `E_t / E_{t-1} - 1` of all days, flat ones included; the first is measured from the starting balance.
#[derive(Debug, Clone, PartialEq)]
pub struct DailyReturns(Vec<DayReturn>);

impl DailyReturns {
    /// `None` where a day began without positive equity: no return is defined from there.
    pub fn of(curve: &EquityCurve) -> Option<DailyReturns> {
        let mut before = curve.initial;
        let mut returns = Vec::with_capacity(curve.days.len());
        for end in &curve.days {
            if !before.is_positive() {
                return None;
            }
            returns.push(DayReturn { day: end.day, earned: end.equity.to_f64() / before.to_f64() - 1.0 });
            before = end.equity;
        }
        Some(DailyReturns(returns))
    }

    fn count(&self) -> f64 {
        self.0.len() as f64
    }

    fn mean(&self) -> f64 {
        self.0.iter().map(|day| day.earned).sum::<f64>() / self.count()
    }

    /// The sample deviation; `None` for fewer than two days.
    fn deviation(&self) -> Option<f64> {
        let mean = self.mean();
        let squares: f64 = self.0.iter().map(|day| (day.earned - mean) * (day.earned - mean)).sum();
        (self.0.len() > 1).then(|| (squares / (self.count() - 1.0)).sqrt())
    }

    /// The deviation, annualised.
    pub fn volatility(&self) -> Option<f64> {
        self.deviation().map(|deviation| deviation * DAYS_PER_YEAR.sqrt())
    }

    /// Mean by deviation, annualised; `None` for fewer than two days and for returns that are all the same.
    pub fn sharpe(&self) -> Option<f64> {
        let (mean, deviation) = (self.mean(), self.deviation()?);
        (deviation > NOISE * mean.abs()).then(|| mean / deviation * DAYS_PER_YEAR.sqrt())
    }

    /// Mean by downside deviation over all days, annualised; `None` for fewer than two days and without a losing one.
    pub fn sortino(&self) -> Option<f64> {
        let squares: f64 = self.0.iter().map(|day| day.earned.min(0.0) * day.earned.min(0.0)).sum();
        let downside = (squares / self.count()).sqrt();
        (self.0.len() > 1 && downside > 0.0).then(|| self.mean() / downside * DAYS_PER_YEAR.sqrt())
    }

    /// Of equal days the first.
    pub fn best(&self) -> Option<DayReturn> {
        self.0.iter().copied().reduce(|best, day| if day.earned > best.earned { day } else { best })
    }

    /// Of equal days the first.
    pub fn worst(&self) -> Option<DayReturn> {
        self.0.iter().copied().reduce(|worst, day| if day.earned < worst.earned { day } else { worst })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::DayEnd;
    use crate::units::{Money, NANOS_PER_DAY};

    fn returns(initial: i64, days: &[i64]) -> Option<DailyReturns> {
        let mut curve = EquityCurve::empty(Timestamp::ZERO);
        curve.initial = Money::whole(initial);
        let day = |index: usize| Timestamp::from_nanos(index as i64 * NANOS_PER_DAY);
        let ends =
            days.iter().enumerate().map(|(index, equity)| DayEnd { day: day(index), equity: Money::whole(*equity) });
        curve.days = ends.collect();
        DailyReturns::of(&curve)
    }

    fn close(value: Option<f64>, expected: f64) {
        let value = value.unwrap();
        assert!((value - expected).abs() < 1e-9 * expected.abs().max(1.0), "{value} is not {expected}");
    }

    #[test]
    fn of_three_days() {
        // +10 %, -10 %, 0 %: mean 0, deviation 0.1.
        let flat = returns(100, &[110, 99, 99]).unwrap();
        close(flat.volatility(), 0.1 * 365f64.sqrt());
        close(flat.sharpe(), 0.0);
        // +10 %, -5 %, +10 %: mean 0.05, squares 0.0025 + 0.01 + 0.0025, downside sqrt(0.0025 / 3).
        let up = returns(1_000, &[1_100, 1_045, 1_149]).unwrap();
        let third = 1_149.0 / 1_045.0 - 1.0;
        let mean = (0.05 + third) / 3.0;
        let squares = (0.1f64 - mean).powi(2) + (-0.05f64 - mean).powi(2) + (third - mean).powi(2);
        close(up.sharpe(), mean / (squares / 2.0).sqrt() * 365f64.sqrt());
        close(up.sortino(), mean / (0.0025f64 / 3.0).sqrt() * 365f64.sqrt());
        close(up.worst().map(|day| day.earned), -0.05);
        assert_eq!(up.best().unwrap().day, Timestamp::ZERO);
    }

    #[test]
    fn what_has_no_value_is_none() {
        let one = returns(100, &[90]).unwrap();
        assert_eq!((one.volatility(), one.sharpe(), one.sortino()), (None, None, None));
        let never_lost = returns(100, &[110, 120]).unwrap();
        assert_eq!(never_lost.sortino(), None);
        let flat = returns(100, &[100, 100, 100]).unwrap();
        assert_eq!((flat.volatility(), flat.sharpe(), flat.sortino()), (Some(0.0), None, None));
        let same = returns(100, &[110, 121]).unwrap();
        assert_eq!(same.sharpe(), None);
        assert_eq!(returns(100, &[-5, 10]), None);
        assert_eq!(returns(0, &[0]), None);
        assert!(returns(100, &[50, -5]).is_some());
        assert_eq!(returns(100, &[]).unwrap().best(), None);
    }
}
