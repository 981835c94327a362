//! An Ema weighs recent prices more: each new price pulls it by `2 / (period + 1)` of the distance.

use super::smoother::Smoother;
use super::{Indicator, Period};
use crate::units::Price;

/// Exponential moving average, seeded with the plain mean of the first `period` prices.
///
/// Some tools seed with the first price instead and show values from the first bar on; the two converge after a few periods.
#[derive(Debug, Clone)]
pub struct Ema {
    smoother: Smoother,
}

impl Ema {
    pub fn new(period: Period) -> Ema {
        Ema { smoother: Smoother::exponential(period) }
    }

    pub fn period(&self) -> usize {
        self.smoother.period()
    }
}

impl Indicator for Ema {
    type Input = Price;
    type Output = f64;

    #[inline]
    fn update(&mut self, price: Price) -> Option<f64> {
        self.smoother.push(price.to_f64())
    }

    #[inline]
    fn value(&self) -> Option<f64> {
        self.smoother.value()
    }

    fn warm_up(&self) -> usize {
        self.smoother.period()
    }
}
