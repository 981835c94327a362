//! A Stochastic tells where the close stands within the range of the last bars, from 0 (at the low) to 100 (at the high).

use super::extreme::Extreme;
use super::ring::FloatMean;
use super::{Indicator, Period};
use crate::market::Bar;

/// Stochastic oscillator (Lane). %K is `100 * (close - lowest low) / (highest high - lowest low)` over `period` bars, averaged
/// over `smoothing`; %D is the plain mean of the last `signal` %K.
///
/// With a smoothing of 1 it is the "fast" stochastic, with 3 the "slow" one. Where the range is empty, 50.
#[derive(Debug, Clone)]
pub struct Stochastic {
    highs: Extreme,
    lows: Extreme,
    k: FloatMean,
    d: FloatMean,
}

/// Both from 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StochasticValue {
    pub k: f64,
    pub d: f64,
}

impl Stochastic {
    /// The usual parameters are 14, 1 (fast) or 3 (slow), and 3.
    pub fn new(period: Period, smoothing: Period, signal: Period) -> Stochastic {
        Stochastic {
            highs: Extreme::highest(period),
            lows: Extreme::lowest(period),
            k: FloatMean::new(smoothing),
            d: FloatMean::new(signal),
        }
    }

    /// %K alone, which is there `signal - 1` bars before the whole value.
    pub fn k(&self) -> Option<f64> {
        self.k.value()
    }
}

impl Indicator for Stochastic {
    type Input = Bar;
    type Output = StochasticValue;

    #[inline]
    fn update(&mut self, bar: Bar) -> Option<StochasticValue> {
        self.highs.push(bar.high);
        self.lows.push(bar.low);
        let (high, low) = (i128::from(self.highs.value()?.steps()), i128::from(self.lows.value()?.steps()));
        let above = i128::from(bar.close.steps()) - low;
        let raw = if high > low { 100.0 * above as f64 / (high - low) as f64 } else { 50.0 };
        let k = self.k.push(raw)?;
        self.d.push(k);
        self.value()
    }

    #[inline]
    fn value(&self) -> Option<StochasticValue> {
        Some(StochasticValue { k: self.k.value()?, d: self.d.value()? })
    }

    fn warm_up(&self) -> usize {
        self.highs.period() + self.k.period() + self.d.period() - 2
    }
}
