//! How numbers and texts are written in Binance's JSON: decimals as texts, with at least so many places.

use alphaengine_core::instrument::Instrument;
use alphaengine_core::units::{Money, Price, Qty, Rounding, div_round, format_steps};

/// Decimals of a contract's prices and quantities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Digits {
    pub price: usize,
    pub qty: usize,
}

impl Digits {
    /// The exchange's precision is that of the step; prices have at least two places (BTCUSDT: tick 0.10, precision 2).
    pub fn of(instrument: &Instrument) -> Digits {
        let places = |steps: i64| places(steps).max(usize::from(steps == 0) * 8);
        Digits { price: places(instrument.price.tick.steps()).max(2), qty: places(instrument.lot.step.steps()) }
    }

    pub fn price(self, price: Price) -> String {
        decimal(price.steps(), self.price)
    }

    pub fn qty(self, qty: Qty) -> String {
        decimal(qty.steps(), self.qty)
    }
}

/// How many decimals a value needs.
pub(super) fn places(steps: i64) -> usize {
    let mut buffer = [0; 24];
    format_steps(steps, &mut buffer).split_once('.').map_or(0, |(_, fraction)| fraction.len())
}

/// Steps of 1e-8 with at least `least` decimals, never rounded.
pub(super) fn decimal(steps: i64, least: usize) -> String {
    let mut buffer = [0; 24];
    let mut text = format_steps(steps, &mut buffer).to_owned();
    let mut have = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    if have < least && have == 0 {
        text.push('.');
    }
    while have < least {
        text.push('0');
        have += 1;
    }
    text
}

/// Money with eight decimals.
pub(super) fn amount(money: Money) -> String {
    decimal(money.steps(), 8)
}

/// The average price of `qty` that cost `exact` (steps of 1e-16); zero of nothing.
pub(super) fn average(exact: i128, qty: Qty) -> Price {
    if qty.is_zero() {
        return Price::ZERO;
    }
    let steps = div_round(exact, i128::from(qty.steps()), Rounding::HalfEven);
    Price::from_steps(i64::try_from(steps).unwrap_or(i64::MAX))
}

/// A number of JSON from a decimal, for the few places that are not texts.
pub(super) fn number(steps: i64) -> serde_json::Value {
    const SCALE: i64 = alphaengine_core::units::SCALE;
    if steps % SCALE == 0 {
        return (steps / SCALE).into();
    }
    let mut buffer = [0; 24];
    // The shortest decimal reads back as the nearest float, which prints as the shortest decimal again.
    format_steps(steps, &mut buffer).parse::<f64>().ok().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_filled_up_and_never_cut() {
        let text = |value: &str, least| decimal(value.parse::<Price>().unwrap().steps(), least);
        assert_eq!(text("100", 2), "100.00");
        assert_eq!(text("100.1", 2), "100.10");
        assert_eq!(text("-0.12345678", 2), "-0.12345678");
        assert_eq!(text("5", 0), "5");
    }

    #[test]
    fn bracket_numbers_are_plain() {
        assert_eq!(number("0.0065".parse::<Money>().unwrap().steps()).to_string(), "0.0065");
        assert_eq!(number("300000".parse::<Money>().unwrap().steps()).to_string(), "300000");
    }
}
