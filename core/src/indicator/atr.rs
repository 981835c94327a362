//! An Atr is the average length of the way that the price goes in one bar, gaps included.

use super::smoother::Smoother;
use super::{Indicator, Period};
use crate::market::Bar;
use crate::units::{Price, SCALE};

/// The largest of `high - low`, `|high - previous close|` and `|low - previous close|`; of the first bar, `high - low`.
#[derive(Debug, Clone, Default)]
pub struct TrueRange {
    previous_close: Option<Price>,
    range: Option<Price>,
}

impl TrueRange {
    pub fn new() -> TrueRange {
        TrueRange::default()
    }
}

impl Indicator for TrueRange {
    type Input = Bar;
    /// Exact.
    type Output = Price;

    #[inline]
    fn update(&mut self, bar: Bar) -> Option<Price> {
        // The same as the largest of the three distances: the range of the bar, stretched to the previous close.
        let previous = self.previous_close.replace(bar.close).unwrap_or(bar.low);
        let (high, low) = (bar.high.max(previous), bar.low.min(previous));
        self.range = Some(high.saturating_sub(low));
        self.range
    }

    #[inline]
    fn value(&self) -> Option<Price> {
        self.range
    }

    fn warm_up(&self) -> usize {
        1
    }
}

/// Average true range as Wilder defined it (*New Concepts in Technical Trading Systems*, 1978): the plain mean of the first
/// `period` true ranges, then smoothed with weight `1 / period`. In units of price.
#[derive(Debug, Clone)]
pub struct Atr {
    true_range: TrueRange,
    smoother: Smoother,
}

impl Atr {
    /// The usual period is 14.
    pub fn new(period: Period) -> Atr {
        Atr { true_range: TrueRange::new(), smoother: Smoother::wilder(period) }
    }

    /// The value as a price, to the nearest step: to place a stop.
    pub fn price(&self) -> Option<Price> {
        Price::nearest_from_f64(self.value()?).ok()
    }
}

impl Indicator for Atr {
    type Input = Bar;
    type Output = f64;

    #[inline]
    fn update(&mut self, bar: Bar) -> Option<f64> {
        let range = self.true_range.update(bar)?;
        self.smoother.push(range.steps() as f64);
        self.value()
    }

    #[inline]
    fn value(&self) -> Option<f64> {
        self.smoother.value().map(|steps| steps / SCALE as f64)
    }

    fn warm_up(&self) -> usize {
        self.smoother.period()
    }
}
