//! A RollingStd is the standard deviation of the last prices around their own mean.

use super::ring::Ring;
use super::{Indicator, Period};
use crate::units::{Price, SCALE};

/// Population standard deviation (divisor `n`) of a window of prices, in units of price.
///
/// Sums are integers: what entered leaves again to the last bit, so a spike of the past cannot linger as rounding error, and
/// a window of equal prices gives exactly 0. The sum of squares is kept modulo 2^128, which is enough, because the deviation
/// is taken from sums around the mean and those fit. Prices beyond 90 million count as 90 million.
#[derive(Debug, Clone)]
pub struct RollingStd {
    window: Ring<i64>,
    sum: i128,
    /// Modulo 2^128.
    squares: u128,
}

impl RollingStd {
    /// 2^53 steps. With it, 2^20 squared deviations of at most 2^54 steps stay below 2^128.
    const LIMIT: i64 = 1 << 53;

    pub fn new(period: Period) -> RollingStd {
        RollingStd { window: Ring::new(period), sum: 0, squares: 0 }
    }

    /// The mean of the window, in units of price.
    #[inline]
    pub fn mean(&self) -> Option<f64> {
        self.window.is_full().then(|| self.sum as f64 / (self.window.period() as f64 * SCALE as f64))
    }
}

#[inline]
fn square(steps: i64) -> u128 {
    let magnitude = u128::from(steps.unsigned_abs());
    magnitude * magnitude
}

impl Indicator for RollingStd {
    type Input = Price;
    type Output = f64;

    #[inline]
    fn update(&mut self, price: Price) -> Option<f64> {
        let steps = price.steps().clamp(-RollingStd::LIMIT, RollingStd::LIMIT);
        let left = self.window.push(steps).unwrap_or(0);
        self.sum += i128::from(steps) - i128::from(left);
        self.squares = self.squares.wrapping_add(square(steps)).wrapping_sub(square(left));
        self.value()
    }

    #[inline]
    fn value(&self) -> Option<f64> {
        if !self.window.is_full() {
            return None;
        }
        let n = self.window.period() as i128;
        // With a whole number m next to the mean, the sum of (x - m)^2 is squares - 2 m sum + n m^2: exact modulo 2^128, and
        // known to be smaller. The rest r = sum - n m moves the centre from m to the mean.
        let m = self.sum.div_euclid(n);
        let rest = (self.sum - n * m) as f64;
        let around_m = (self.squares as i128)
            .wrapping_sub(m.wrapping_mul(2).wrapping_mul(self.sum))
            .wrapping_add(n.wrapping_mul(m).wrapping_mul(m)) as u128;
        let n = n as f64;
        let variance = (around_m as f64 - rest * rest / n) / n;
        Some(variance.max(0.0).sqrt() / SCALE as f64)
    }

    fn warm_up(&self) -> usize {
        self.window.period()
    }

    #[inline]
    fn is_ready(&self) -> bool {
        self.window.is_full()
    }
}
