//! A Macd is the distance between a fast and a slow average, and the average of that distance.

use super::smoother::Smoother;
use super::{Indicator, Period};
use crate::units::Price;

/// Moving average convergence divergence (Appel): `EMA(fast) - EMA(slow)`, its EMA as the signal, and their difference.
///
/// Every average is seeded with the plain mean of its first inputs, so the first value comes after
/// `max(fast, slow) + signal - 1` prices.
#[derive(Debug, Clone)]
pub struct Macd {
    fast: Smoother,
    slow: Smoother,
    signal: Smoother,
    line: f64,
}

/// In units of price.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MacdValue {
    pub line: f64,
    pub signal: f64,
    /// `line - signal`.
    pub histogram: f64,
}

impl Macd {
    /// The usual periods are 12, 26 and 9.
    pub fn new(fast: Period, slow: Period, signal: Period) -> Macd {
        Macd {
            fast: Smoother::exponential(fast),
            slow: Smoother::exponential(slow),
            signal: Smoother::exponential(signal),
            line: 0.0,
        }
    }

    /// The distance of the averages alone, which is there `signal - 1` prices before the whole value.
    pub fn line(&self) -> Option<f64> {
        Some(self.fast.value()? - self.slow.value()?)
    }
}

impl Indicator for Macd {
    type Input = Price;
    type Output = MacdValue;

    #[inline]
    fn update(&mut self, price: Price) -> Option<MacdValue> {
        let price = price.to_f64();
        let (fast, slow) = (self.fast.push(price), self.slow.push(price));
        self.line = fast? - slow?;
        self.signal.push(self.line);
        self.value()
    }

    #[inline]
    fn value(&self) -> Option<MacdValue> {
        let signal = self.signal.value()?;
        Some(MacdValue { line: self.line, signal, histogram: self.line - signal })
    }

    fn warm_up(&self) -> usize {
        self.fast.period().max(self.slow.period()) + self.signal.period() - 1
    }
}
