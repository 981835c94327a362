//! Bollinger bands stand a number of standard deviations above and below the mean.

use super::rolling_std::RollingStd;
use super::{Indicator, Period};
use crate::units::Price;

/// Bollinger bands: the mean of the last `period` prices, plus and minus `width` population standard deviations (divisor `n`,
/// as Bollinger uses; the sample deviation would put the bands of 20 bars 2.6 % further out).
#[derive(Debug, Clone)]
pub struct Bollinger {
    deviation: RollingStd,
    width: f64,
}

/// In units of price.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bands {
    pub upper: f64,
    pub middle: f64,
    pub lower: f64,
}

impl Bollinger {
    /// The usual parameters are 20 bars and a width of 2.
    pub fn new(period: Period, width: f64) -> Bollinger {
        Bollinger { deviation: RollingStd::new(period), width }
    }

    /// The standard deviation alone, in units of price.
    pub fn std(&self) -> Option<f64> {
        self.deviation.value()
    }
}

impl Indicator for Bollinger {
    type Input = Price;
    type Output = Bands;

    #[inline]
    fn update(&mut self, price: Price) -> Option<Bands> {
        self.deviation.update(price);
        self.value()
    }

    #[inline]
    fn value(&self) -> Option<Bands> {
        let middle = self.deviation.mean()?;
        let reach = self.width * self.deviation.value()?;
        Some(Bands { upper: middle + reach, middle, lower: middle - reach })
    }

    fn warm_up(&self) -> usize {
        self.deviation.warm_up()
    }
}
