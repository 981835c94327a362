//! A Smoother is the recursion behind EMA, RSI and ATR: it starts as a plain mean, then moves a fixed share toward each input.

use super::Period;

/// `value += weight * (input - value)`, seeded with the mean of the first `period` inputs.
#[derive(Debug, Clone)]
pub(super) struct Smoother {
    period: usize,
    weight: f64,
    seen: usize,
    /// The sum while warming up, the value afterwards.
    state: f64,
}

impl Smoother {
    /// The exponential average: weight `2 / (period + 1)`.
    pub fn exponential(period: Period) -> Smoother {
        Smoother::new(period, 2.0 / (period.get() as f64 + 1.0))
    }

    /// Wilder's average: weight `1 / period`, the same as `(previous * (period - 1) + input) / period`.
    pub fn wilder(period: Period) -> Smoother {
        Smoother::new(period, 1.0 / period.get() as f64)
    }

    fn new(period: Period, weight: f64) -> Smoother {
        Smoother { period: period.get(), weight, seen: 0, state: 0.0 }
    }

    #[inline]
    pub fn push(&mut self, input: f64) -> Option<f64> {
        if self.seen >= self.period {
            self.state += self.weight * (input - self.state);
        } else {
            self.seen += 1;
            self.state += input;
            if self.seen == self.period {
                self.state /= self.period as f64;
            }
        }
        self.value()
    }

    #[inline]
    pub fn value(&self) -> Option<f64> {
        (self.seen >= self.period).then_some(self.state)
    }

    pub fn period(&self) -> usize {
        self.period
    }
}
