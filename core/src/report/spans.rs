//! Spans keeps durations for their mean, median and quantiles in bounded memory.

use crate::units::Nanos;

/// Up to here every duration is kept and quantiles are exact.
const MOST_EXACT: usize = 1_000_000;

/// Each power of two is divided into this many classes: a quantile from classes is at most 1/128 too low.
const CLASSES: usize = 128;
const CLASS_BITS: u32 = CLASSES.trailing_zeros();

/// Durations in nanoseconds. Negative ones count as zero.
///
/// Beyond a million durations only their classes are kept: 58 kB, with a resolution of 1/128. The mean stays exact.
#[derive(Debug, Clone, Default)]
pub struct Spans {
    count: u64,
    sum: i128,
    exact: Vec<Nanos>,
    /// Counts by class; empty while all are kept exactly.
    classes: Vec<u64>,
}

impl Spans {
    #[inline]
    pub fn push(&mut self, span: Nanos) {
        let span = span.max(0);
        self.count += 1;
        self.sum += i128::from(span);
        if self.classes.is_empty() && self.exact.len() < MOST_EXACT {
            self.exact.push(span);
        } else {
            self.push_class(span);
        }
    }

    #[cold]
    fn push_class(&mut self, span: Nanos) {
        if self.classes.is_empty() {
            self.classes = vec![0; class_of(Nanos::MAX) + 1];
            for span in std::mem::take(&mut self.exact) {
                self.classes[class_of(span)] += 1;
            }
        }
        self.classes[class_of(span)] += 1;
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    /// Rounded down; `None` without any.
    pub fn mean(&self) -> Option<Nanos> {
        (self.count > 0).then(|| Nanos::try_from(self.sum / i128::from(self.count)).unwrap_or(Nanos::MAX))
    }

    /// The middle one, or the mean of the two in the middle.
    pub fn median(&self) -> Option<Nanos> {
        let [low, high] = self.of_ranks([self.count.checked_sub(1)? / 2, self.count / 2]);
        Some(low + (high - low) / 2)
    }

    /// The smallest duration that at least the share `numerator / denominator` of all do not exceed (nearest rank).
    pub fn quantile(&self, numerator: u64, denominator: u64) -> Option<Nanos> {
        if self.count == 0 {
            return None;
        }
        let rank = (u128::from(self.count) * u128::from(numerator)).div_ceil(u128::from(denominator.max(1)));
        let index = u64::try_from(rank).unwrap_or(u64::MAX).clamp(1, self.count) - 1;
        Some(self.of_ranks([index])[0])
    }

    /// The durations at these places of the ascending order, from 0. The places ascend and exist.
    fn of_ranks<const N: usize>(&self, ranks: [u64; N]) -> [Nanos; N] {
        if self.classes.is_empty() {
            let mut sorted = self.exact.clone();
            return ranks.map(|rank| *sorted.select_nth_unstable(rank as usize).1);
        }
        ranks.map(|rank| {
            let mut below = 0;
            let class = self.classes.iter().position(|count| {
                below += count;
                below > rank
            });
            class.map_or(0, lowest_of)
        })
    }
}

/// Below 128 each value is a class of its own; above, the seven bits after the leading one decide.
fn class_of(span: Nanos) -> usize {
    let span = span.max(0) as u64;
    let Some(shift) = (u64::BITS - span.leading_zeros()).checked_sub(CLASS_BITS + 1) else {
        return span as usize;
    };
    (shift as usize + 1) * CLASSES + ((span >> shift) as usize - CLASSES)
}

/// The lowest duration of a class.
fn lowest_of(class: usize) -> Nanos {
    match (class / CLASSES).checked_sub(1) {
        None => class as Nanos,
        Some(shift) => ((CLASSES + class % CLASSES) as Nanos) << shift,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spans(values: impl IntoIterator<Item = Nanos>) -> Spans {
        let mut spans = Spans::default();
        values.into_iter().for_each(|value| spans.push(value));
        spans
    }

    #[test]
    fn quantiles_of_a_few_are_exact() {
        let odd = spans([5, 1, 9]);
        assert_eq!((odd.mean(), odd.median()), (Some(5), Some(5)));
        let even = spans([40, 10, 30, 20]);
        assert_eq!((even.mean(), even.median()), (Some(25), Some(25)));
        assert_eq!(even.quantile(1, 2), Some(20));
        let hundred = spans(1..=100);
        assert_eq!((hundred.quantile(1, 2), hundred.quantile(99, 100)), (Some(50), Some(99)));
        assert_eq!(hundred.quantile(1, 1), Some(100));
        assert_eq!(spans([-3]).median(), Some(0));
    }

    #[test]
    fn of_none_nothing_is_known() {
        let none = Spans::default();
        assert_eq!((none.mean(), none.median(), none.quantile(99, 100)), (None, None, None));
    }

    #[test]
    fn a_class_holds_its_lowest_value() {
        for value in [0, 1, 127, 128, 129, 255, 256, 1_000, 1_000_000, 5_000_000_123, Nanos::MAX] {
            let lowest = lowest_of(class_of(value));
            assert!(lowest <= value && value - lowest <= value / 128, "{value} {lowest}");
            assert_eq!(class_of(lowest), class_of(value));
        }
        assert!(class_of(255) < class_of(256) && class_of(256) < class_of(258));
    }

    #[test]
    fn beyond_the_exact_ones_memory_stays_and_quantiles_are_close() {
        let many = spans((0..MOST_EXACT as Nanos + 100_001).map(|n| n * 1_000));
        assert!(many.exact.is_empty());
        let (median, expected) = (many.median().unwrap(), 550_000_000);
        assert!((expected - median).abs() <= expected / 128, "{median}");
        assert_eq!(many.mean(), Some(550_000_000));
    }
}
