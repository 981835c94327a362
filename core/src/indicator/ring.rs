//! A Ring holds the last inputs of a window in one block of memory.

use super::Period;

/// The last `period` values.
#[derive(Debug, Clone)]
pub(super) struct Ring<T> {
    values: Vec<T>,
    period: usize,
    /// Where the oldest value is, once the ring is full.
    oldest: usize,
}

impl<T: Copy> Ring<T> {
    pub fn new(period: Period) -> Ring<T> {
        Ring { values: Vec::with_capacity(period.get()), period: period.get(), oldest: 0 }
    }

    /// Takes a value; gives back the one that left the window.
    #[inline]
    pub fn push(&mut self, value: T) -> Option<T> {
        if self.values.len() < self.period {
            self.values.push(value);
            return None;
        }
        let left = std::mem::replace(&mut self.values[self.oldest], value);
        self.oldest += 1;
        if self.oldest == self.period {
            self.oldest = 0;
        }
        Some(left)
    }

    #[inline]
    pub fn is_full(&self) -> bool {
        self.values.len() == self.period
    }

    /// True right after a push that wrote the last cell of the block: once a period.
    #[inline]
    pub fn is_at_end(&self) -> bool {
        self.is_full() && self.oldest == 0
    }

    pub fn period(&self) -> usize {
        self.period
    }

    /// In no particular order.
    pub fn iter(&self) -> impl Iterator<Item = T> + '_ {
        self.values.iter().copied()
    }
}

/// The mean of the last `period` floats. A running sum of floats drifts, so it is summed anew once a period: the same cost on
/// average, and an error that never grows.
#[derive(Debug, Clone)]
pub(super) struct FloatMean {
    window: Ring<f64>,
    sum: f64,
}

impl FloatMean {
    pub fn new(period: Period) -> FloatMean {
        FloatMean { window: Ring::new(period), sum: 0.0 }
    }

    #[inline]
    pub fn push(&mut self, value: f64) -> Option<f64> {
        let left = self.window.push(value).unwrap_or(0.0);
        if self.window.is_at_end() {
            self.sum = self.window.iter().sum();
        } else {
            self.sum += value - left;
        }
        self.value()
    }

    #[inline]
    pub fn value(&self) -> Option<f64> {
        self.window.is_full().then(|| self.sum / self.window.period() as f64)
    }

    pub fn period(&self) -> usize {
        self.window.period()
    }
}
