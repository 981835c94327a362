//! What faults do to a strategy: figures of runs, sorted, and of pairs of runs with and without faults.

use alphaengine_chaos::Effect;
use alphaengine_core::units::{Money, NANOS_PER_SECOND};

/// In what a figure is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Steps of 1e-8 of the margin asset.
    Money,
    Count,
    /// Nanoseconds.
    Span,
}

/// One figure of a run.
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    /// As the table and the object name it.
    pub name: &'static str,
    pub key: &'static str,
    pub unit: Unit,
    /// More of it is better.
    pub is_good: bool,
    of: fn(&Effect) -> i64,
}

/// The figures of a run, in the order in which they are told.
pub const FIGURES: [Figure; 10] = {
    const fn figure(name: &'static str, key: &'static str, unit: Unit, of: fn(&Effect) -> i64) -> Figure {
        Figure { name, key, unit, is_good: false, of }
    }
    const fn count(number: u64) -> i64 {
        if number > i64::MAX as u64 { i64::MAX } else { number as i64 }
    }
    [
        Figure { is_good: true, ..figure("PnL", "pnl", Unit::Money, |effect| effect.pnl.steps()) },
        figure("Largest drawdown", "max_drawdown", Unit::Money, |effect| effect.max_drawdown.steps()),
        figure("Slippage", "slippage", Unit::Money, |effect| effect.slippage.steps()),
        figure("Fees", "fees", Unit::Money, |effect| effect.fees.steps()),
        Figure { is_good: true, ..figure("Orders", "orders", Unit::Count, |effect| count(effect.orders)) },
        Figure { is_good: true, ..figure("Fills", "fills", Unit::Count, |effect| count(effect.fills)) },
        figure("Refused entries", "refused_entries", Unit::Count, |effect| count(effect.refused_entries)),
        figure("Time in SAFE", "safe_s", Unit::Span, |effect| effect.safe),
        figure("Time away", "away_s", Unit::Span, |effect| effect.away),
        figure("Restarts", "restarts", Unit::Count, |effect| count(effect.restarts)),
    ]
};

/// The figures of one run.
pub type Figures = [i64; FIGURES.len()];

pub fn figures(effect: &Effect) -> Figures {
    FIGURES.map(|figure| (figure.of)(effect))
}

/// Where values lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spread {
    pub p5: i64,
    pub median: i64,
    pub p95: i64,
    pub worst: i64,
}

impl Spread {
    /// Nearest ranks; `None` of nothing.
    pub fn of(mut values: Vec<i64>, more_is_better: bool) -> Option<Spread> {
        values.sort_unstable();
        let (least, most) = (*values.first()?, *values.last()?);
        let rank = |percent: usize| values[(values.len() * percent).div_ceil(100).max(1) - 1];
        let worst = if more_is_better { least } else { most };
        Some(Spread { p5: rank(5), median: rank(50), p95: rank(95), worst })
    }
}

impl Unit {
    /// For a table.
    pub fn text(self, value: i64) -> String {
        match self {
            Unit::Money => {
                let cents = (i128::from(value) + if value < 0 { -500_000 } else { 500_000 }) / 1_000_000;
                let sign = if cents < 0 { "-" } else { "" };
                format!("{sign}{}.{:02}", cents.abs() / 100, cents.abs() % 100)
            }
            Unit::Count => value.to_string(),
            Unit::Span => {
                let tenths = value / (NANOS_PER_SECOND / 10);
                let sign = if tenths < 0 { "-" } else { "" };
                format!("{sign}{}.{} s", tenths.abs() / 10, tenths.abs() % 10)
            }
        }
    }

    /// For a program: exact decimals as text, counts as numbers, spans in seconds as text.
    pub fn json(self, value: i64) -> serde_json::Value {
        match self {
            Unit::Money => serde_json::json!(Money::from_steps(value)),
            Unit::Count => serde_json::json!(value),
            // A nanosecond is a tenth of a step of 1e-8: nothing that is measured in runs is as short.
            Unit::Span => serde_json::json!(Money::from_steps(value / 10)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_values_that_were_seen_and_the_worst_is_the_bad_end() {
        let values: Vec<i64> = (1..=100).rev().collect();
        let spread = Spread::of(values.clone(), true).unwrap();
        assert_eq!(spread, Spread { p5: 5, median: 50, p95: 95, worst: 1 });
        assert_eq!(Spread::of(values, false).unwrap().worst, 100);
        assert_eq!(Spread::of(vec![7], true).unwrap(), Spread { p5: 7, median: 7, p95: 7, worst: 7 });
        assert_eq!(Spread::of(vec![], true), None);
    }

    #[test]
    fn figures_are_readable_and_exact() {
        assert_eq!(Unit::Money.text(-123_456_789_000), "-1234.57");
        assert_eq!(Unit::Money.text(-1), "0.00");
        assert_eq!(Unit::Money.json(-123_456_789), serde_json::json!("-1.23456789"));
        assert_eq!(Unit::Span.text(1_550_000_000), "1.5 s");
        assert_eq!(Unit::Span.json(1_550_000_000), serde_json::json!("1.55"));
    }
}
