//! An Extreme knows the highest (or lowest) of the last inputs, by keeping only those that can still become it.

use std::collections::VecDeque;

use super::Period;
use crate::units::Price;

/// The highest price of a window. For the lowest, feed and read through [`Extreme::lowest`].
///
/// Candidates stand in falling order: a new price removes all that it exceeds, because they leave the window before it does.
/// Each price enters and leaves once, so an update costs two steps on average.
#[derive(Debug, Clone)]
pub(super) struct Extreme {
    period: u64,
    seen: u64,
    /// -1 turns the order around.
    sign: i64,
    /// (number of the input, price times sign), prices falling.
    candidates: VecDeque<(u64, i64)>,
}

impl Extreme {
    pub fn highest(period: Period) -> Extreme {
        Extreme::new(period, 1)
    }

    pub fn lowest(period: Period) -> Extreme {
        Extreme::new(period, -1)
    }

    fn new(period: Period, sign: i64) -> Extreme {
        let candidates = VecDeque::with_capacity(period.get() + 1);
        Extreme { period: period.get() as u64, seen: 0, sign, candidates }
    }

    #[inline]
    pub fn push(&mut self, price: Price) {
        let key = price.steps().saturating_mul(self.sign);
        while self.candidates.back().is_some_and(|&(_, candidate)| candidate <= key) {
            self.candidates.pop_back();
        }
        self.candidates.push_back((self.seen, key));
        self.seen += 1;
        if self.candidates.front().is_some_and(|&(number, _)| number + self.period < self.seen) {
            self.candidates.pop_front();
        }
    }

    /// `None` until the window is full.
    #[inline]
    pub fn value(&self) -> Option<Price> {
        let &(_, key) = self.candidates.front()?;
        (self.seen >= self.period).then(|| Price::from_steps(key.saturating_mul(self.sign)))
    }

    pub fn period(&self) -> usize {
        self.period as usize
    }
}
