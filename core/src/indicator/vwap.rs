//! A Vwap is the average price weighted by what was traded at it.

use super::ring::Ring;
use super::{Indicator, Period};
use crate::market::Bar;
use crate::units::SCALE;

/// Volume-weighted average of the typical price `(high + low + close) / 3`, over the current UTC day or over a window of bars.
/// In units of price; `None` while nothing was traded.
///
/// Sums are exact integers, modulo 2^128: a window that holds a turnover beyond 5e21 shows nonsense until it has passed, and
/// the right value again afterwards.
#[derive(Debug, Clone)]
pub struct Vwap {
    span: Span,
    /// Sum of (high + low + close) * volume, in steps of 1e-16.
    turnover: i128,
    /// Three times the sum of volumes, in steps of 1e-8.
    volume: i128,
}

#[derive(Debug, Clone)]
enum Span {
    /// The UTC day of the last bar, as days since the epoch.
    Day(Option<i64>),
    Window(Ring<(i128, i128)>),
}

impl Vwap {
    /// Begins anew with the first bar that opens on a new UTC day.
    pub fn daily() -> Vwap {
        Vwap { span: Span::Day(None), turnover: 0, volume: 0 }
    }

    /// Over the last `period` bars.
    pub fn rolling(period: Period) -> Vwap {
        Vwap { span: Span::Window(Ring::new(period)), turnover: 0, volume: 0 }
    }
}

impl Indicator for Vwap {
    type Input = Bar;
    type Output = f64;

    #[inline]
    fn update(&mut self, bar: Bar) -> Option<f64> {
        let prices = i128::from(bar.high.steps()) + i128::from(bar.low.steps()) + i128::from(bar.close.steps());
        let volume = i128::from(bar.volume.steps());
        let added = (prices.wrapping_mul(volume), volume * 3);
        let left = match &mut self.span {
            Span::Window(window) => window.push(added).unwrap_or((0, 0)),
            Span::Day(day) => {
                if day.replace(bar.open_time.day()) == Some(bar.open_time.day()) {
                    (0, 0)
                } else {
                    (self.turnover, self.volume)
                }
            }
        };
        self.turnover = self.turnover.wrapping_sub(left.0).wrapping_add(added.0);
        self.volume = self.volume.wrapping_sub(left.1).wrapping_add(added.1);
        self.value()
    }

    #[inline]
    fn value(&self) -> Option<f64> {
        let is_full = match &self.span {
            Span::Day(_) => true,
            Span::Window(window) => window.is_full(),
        };
        (is_full && self.volume > 0).then(|| self.turnover as f64 / (self.volume as f64 * SCALE as f64))
    }

    fn warm_up(&self) -> usize {
        match &self.span {
            Span::Day(_) => 1,
            Span::Window(window) => window.period(),
        }
    }
}
