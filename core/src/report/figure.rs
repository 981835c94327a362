//! A figure is a number of a report: it has a value or it has none, and never infinity disguised as one.

use crate::units::{Money, NANOS_PER_DAY, Nanos};

/// The value to ten significant digits, so that its text does not show the noise of floating point; `None` where it is not
/// finite.
pub fn figure(value: f64) -> Option<f64> {
    let rounded = format!("{value:.9e}").parse().ok().filter(|rounded: &f64| rounded.is_finite())?;
    // Minus zero is zero.
    Some(rounded + 0.0)
}

/// `part / whole`; `None` where `whole` is not positive.
pub fn ratio(part: f64, whole: f64) -> Option<f64> {
    if whole > 0.0 { figure(part / whole) } else { None }
}

/// `part / whole`; `None` where `whole` is not positive.
pub fn money_ratio(part: Money, whole: Money) -> Option<f64> {
    ratio(part.to_f64(), whole.to_f64())
}

pub fn days(span: Nanos) -> f64 {
    span as f64 / NANOS_PER_DAY as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_ten_digits_or_no_value() {
        assert_eq!(figure(0.1 + 0.2), Some(0.3));
        assert_eq!(figure(-1_234_567.890_123_4), Some(-1_234_567.89));
        assert_eq!(figure(f64::INFINITY), None);
        assert_eq!(figure(f64::NAN), None);
        assert!(figure(-0.0).unwrap().is_sign_positive());
        assert_eq!(ratio(1.0, 0.0), None);
        assert_eq!(ratio(1.0, -2.0), None);
        assert_eq!(money_ratio(Money::whole(1), Money::whole(4)), Some(0.25));
    }
}
