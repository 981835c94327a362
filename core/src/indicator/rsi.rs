//! An Rsi tells how much of the recent movement was upward, from 0 to 100.

use super::smoother::Smoother;
use super::{Indicator, Period};
use crate::units::Price;

/// Relative strength index as Wilder defined it (*New Concepts in Technical Trading Systems*, 1978): the averages of gains
/// and losses begin as plain means of the first `period` changes and are then smoothed with weight `1 / period`.
///
/// 100 where there were no losses, 0 where there were no gains, and 50 where the price did not move at all: the formula is
/// undefined there, and 50 is what "neither" looks like to a strategy with two thresholds.
#[derive(Debug, Clone)]
pub struct Rsi {
    gains: Smoother,
    losses: Smoother,
    previous: Option<Price>,
}

impl Rsi {
    pub fn new(period: Period) -> Rsi {
        Rsi { gains: Smoother::wilder(period), losses: Smoother::wilder(period), previous: None }
    }
}

impl Indicator for Rsi {
    type Input = Price;
    type Output = f64;

    #[inline]
    fn update(&mut self, price: Price) -> Option<f64> {
        let previous = self.previous.replace(price)?;
        // The difference of two steps is exact; only then is it a float.
        let change = (i128::from(price.steps()) - i128::from(previous.steps())) as f64;
        self.gains.push(change.max(0.0));
        self.losses.push((-change).max(0.0));
        self.value()
    }

    #[inline]
    fn value(&self) -> Option<f64> {
        let (gain, loss) = (self.gains.value()?, self.losses.value()?);
        let movement = gain + loss;
        Some(if movement > 0.0 { 100.0 * gain / movement } else { 50.0 })
    }

    /// One more than the period: the first price has no change.
    fn warm_up(&self) -> usize {
        self.gains.period() + 1
    }
}
