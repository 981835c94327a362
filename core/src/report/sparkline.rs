//! A sparkline draws the equity as one line of blocks.

use super::equity::EquityCurve;
use crate::units::Money;

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The equity of a run, drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sparkline {
    pub blocks: String,
    /// The lowest equity, between the points of the curve too.
    pub low: Money,
    /// The highest of the points.
    pub high: Money,
}

/// The equity over time in `width` columns. Each shows the equity at the end of its share of the time. `None` for a run without
/// duration.
pub fn of_curve(curve: &EquityCurve, width: usize) -> Option<Sparkline> {
    let low = curve.points.iter().map(|point| point.low).min()?;
    let high = curve.points.iter().map(|point| point.equity).max()?;
    if curve.duration() <= 0 || width == 0 {
        return None;
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
    Some(Sparkline { blocks: blocks(&values), low, high })
}

/// One block a value, from the lowest to the highest; the same in the middle when all are equal.
fn blocks(values: &[f64]) -> String {
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
    use crate::units::Timestamp;

    #[test]
    fn from_the_lowest_to_the_highest() {
        assert_eq!(blocks(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]), "▁▂▃▄▅▆▇█");
        assert_eq!(blocks(&[5.0, 5.0]), "▄▄");
        assert_eq!(blocks(&[-10.0, 10.0, -10.0]), "▁█▁");
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
        let Sparkline { blocks: drawn, low, high } = of_curve(&curve, 4).unwrap();
        assert_eq!((low, high), (Money::whole(100), Money::whole(170)));
        assert_eq!(drawn, "▁▁█▅");
        assert_eq!(of_curve(&EquityCurve::empty(second(0)), 4), None);
    }
}
