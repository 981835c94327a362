//! An Sma is the plain mean of the last prices, kept as an exact sum.

use std::cmp::Ordering;

use super::ring::Ring;
use super::{Indicator, Period};
use crate::units::{Price, SCALE};

/// Simple moving average. The sum is an integer, so it never drifts and two averages can be compared exactly.
#[derive(Debug, Clone)]
pub struct Sma {
    window: Ring<Price>,
    /// In steps of price. A full window of the largest prices fits with room to spare: 2^63 * 2^20.
    sum: i128,
}

impl Sma {
    pub fn new(period: Period) -> Sma {
        Sma { window: Ring::new(period), sum: 0 }
    }

    /// Which of two averages is higher, without rounding: `sum / n` against `other sum / m` by cross-multiplication.
    /// `None` while either warms up.
    ///
    /// A crossing found this way is the same on every machine and after any number of bars; one found by comparing floats may
    /// appear or vanish where the averages touch.
    ///
    /// ```
    /// use std::cmp::Ordering;
    /// use alphaengine_core::indicator::{Indicator, Period, Sma};
    /// let (mut fast, mut slow) = (Sma::new(Period::new(1)?), Sma::new(Period::new(3)?));
    /// for price in ["0.1", "0.3", "0.2"] {
    ///     fast.update(price.parse()?);
    ///     slow.update(price.parse()?);
    /// }
    /// // 0.2 against (0.1 + 0.3 + 0.2) / 3: equal. In floats the second is 0.20000000000000004.
    /// assert_eq!(fast.compare(&slow), Some(Ordering::Equal));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn compare(&self, other: &Sma) -> Option<Ordering> {
        if !self.window.is_full() || !other.window.is_full() {
            return None;
        }
        let (n, m) = (self.window.period() as i128, other.window.period() as i128);
        Some((self.sum * m).cmp(&(other.sum * n)))
    }

    /// The sum of the window in steps of 1e-8; `None` while warming up.
    pub fn sum(&self) -> Option<i128> {
        self.window.is_full().then_some(self.sum)
    }

    pub fn period(&self) -> usize {
        self.window.period()
    }
}

impl Indicator for Sma {
    type Input = Price;
    type Output = f64;

    #[inline]
    fn update(&mut self, price: Price) -> Option<f64> {
        let left = self.window.push(price).unwrap_or(Price::ZERO);
        self.sum += i128::from(price.steps()) - i128::from(left.steps());
        self.value()
    }

    #[inline]
    fn value(&self) -> Option<f64> {
        self.window.is_full().then(|| self.sum as f64 / (self.window.period() as f64 * SCALE as f64))
    }

    fn warm_up(&self) -> usize {
        self.window.period()
    }

    #[inline]
    fn is_ready(&self) -> bool {
        self.window.is_full()
    }
}
