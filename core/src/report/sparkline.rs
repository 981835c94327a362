//! A sparkline draws the equity as one line of blocks.

use super::equity::EquityCurve;

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The equity over time in `width` columns. Each shows the equity at the end of its share of the time. Empty for a run
/// without duration.
pub fn of_curve(curve: &EquityCurve, width: usize) -> String {
    if curve.duration() <= 0 || curve.points.is_empty() || width == 0 {
        return String::new();
    }
    let mut values = Vec::with_capacity(width);
    let mut next = 0;
    let mut value = curve.initial.to_f64();
    for column in 1..=width {
        let elapsed = i128::from(curve.duration()) * column as i128 / width as i128;
        while let Some(point) =
            curve.points.get(next).filter(|point| i128::from(point.at.since(curve.start)) <= elapsed)
        {
            value = point.equity.to_f64();
            next += 1;
        }
        values.push(value);
    }
    sparkline(&values)
}

/// One block a value, from the lowest to the highest; the same in the middle when all are equal.
fn sparkline(values: &[f64]) -> String {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let block = |value: f64| {
        if high <= low {
            return BLOCKS[3];
        }
        let level = (value - low) / (high - low) * BLOCKS.len() as f64;
        BLOCKS[(level as usize).min(BLOCKS.len() - 1)]
    };
    values.iter().map(|value| block(*value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::EquityTracker;
    use crate::units::{Money, Timestamp};

    #[test]
    fn from_the_lowest_to_the_highest() {
        assert_eq!(sparkline(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]), "▁▂▃▄▅▆▇█");
        assert_eq!(sparkline(&[5.0, 5.0]), "▄▄");
        assert_eq!(sparkline(&[-10.0, 10.0, -10.0]), "▁█▁");
    }

    #[test]
    fn a_column_shows_the_end_of_its_time() {
        let second = |n: i64| Timestamp::from_nanos(n * 1_000_000_000);
        let mut tracker = EquityTracker::new(second(0), Money::whole(100));
        for (at, equity) in [(2, 100), (4, 170), (6, 135)] {
            tracker.roll(second(at), Money::ZERO, Money::ZERO);
            tracker.observe(second(at), Money::whole(equity).exact());
        }
        let curve = tracker.finish(second(8), Money::ZERO, Money::ZERO);
        let drawn = of_curve(&curve, 4);
        assert_eq!(drawn.chars().count(), 4);
        assert!(drawn.starts_with('▁'), "{drawn}");
        assert_eq!(of_curve(&EquityCurve::empty(second(0)), 4), "");
    }
}
