//! A Donchian channel is spanned by the highest high and the lowest low of the last bars.

use super::extreme::Extreme;
use super::{Indicator, Period};
use crate::market::Bar;
use crate::units::Price;

/// Donchian channel of the last `period` bars, the newest included.
///
/// A close is never above a channel that contains its own high: to find a breakout, take [`Indicator::value`] before the
/// update with the new bar.
///
/// ```
/// # use alphaengine_core::indicator::{Donchian, Indicator, Period};
/// # use alphaengine_core::market::{Bar, Timeframe};
/// # use alphaengine_core::units::{Price, Qty, Timestamp};
/// # let bar = |high, low, close| Bar { open_time: Timestamp::ZERO, open: Price::whole(close), high: Price::whole(high),
/// #     low: Price::whole(low), close: Price::whole(close), volume: Qty::ONE, timeframe: Timeframe::M1 };
/// let mut channel = Donchian::new(Period::new(2)?);
/// channel.update(bar(11, 9, 10));
/// channel.update(bar(12, 10, 11));
/// let newest = bar(15, 11, 14);
/// let is_breakout = channel.value().is_some_and(|before| newest.close > before.upper);
/// channel.update(newest);
/// assert!(is_breakout);
/// # Ok::<(), alphaengine_core::indicator::PeriodError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Donchian {
    highs: Extreme,
    lows: Extreme,
}

/// Exact prices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Channel {
    pub upper: Price,
    pub lower: Price,
}

impl Channel {
    /// Halfway between, in units of price.
    pub fn middle(&self) -> f64 {
        (self.upper.to_f64() + self.lower.to_f64()) / 2.0
    }
}

impl Donchian {
    pub fn new(period: Period) -> Donchian {
        Donchian { highs: Extreme::highest(period), lows: Extreme::lowest(period) }
    }
}

impl Indicator for Donchian {
    type Input = Bar;
    type Output = Channel;

    #[inline]
    fn update(&mut self, bar: Bar) -> Option<Channel> {
        self.highs.push(bar.high);
        self.lows.push(bar.low);
        self.value()
    }

    #[inline]
    fn value(&self) -> Option<Channel> {
        Some(Channel { upper: self.highs.value()?, lower: self.lows.value()? })
    }

    fn warm_up(&self) -> usize {
        self.highs.period()
    }
}
