//! How a report writes numbers: thousands apart, as many decimals as say something, `n/a` for what has no value.

use crate::units::{Money, NANOS_PER_MILLI, NANOS_PER_SECOND, Nanos, Rounding, SCALE, div_round};

const NOTHING: &str = "n/a";

/// Money with two decimals; four below 1, eight below 0.01 and none from ten millions.
pub fn money(value: Money) -> String {
    let magnitude = value.steps().unsigned_abs();
    let decimals = match magnitude {
        0 => 2,
        1..1_000_000 => 8,
        1_000_000..100_000_000 => 4,
        100_000_000..1_000_000_000_000_000 => 2,
        _ => 0,
    };
    let unit = 10i128.pow(decimals);
    let scaled = div_round(i128::from(magnitude) * unit, i128::from(SCALE), Rounding::HalfEven);
    let sign = if value.is_negative() { "-" } else { "" };
    let (whole, fraction) = (scaled / unit, scaled % unit);
    let whole = thousands(whole.unsigned_abs());
    match decimals {
        0 => format!("{sign}{whole}"),
        decimals => format!("{sign}{whole}.{fraction:0width$}", width = decimals as usize),
    }
}

/// Money with its sign: `+12.00`, `-3.50`, `0.00`.
pub fn signed(value: Money) -> String {
    plus(money(value), value.is_positive())
}

/// An amount of money that is a mean, with its sign.
pub fn signed_mean(value: Option<f64>) -> String {
    value.map_or(NOTHING.into(), |value| Money::nearest_from_f64(value).map_or(NOTHING.into(), signed))
}

/// A ratio as percent: 0.25 is `25.00 %`.
pub fn percent(value: Option<f64>) -> String {
    value.map_or(NOTHING.into(), |value| fixed(value * 100.0, 2) + " %")
}

/// A ratio as percent with its sign.
pub fn signed_percent(value: Option<f64>) -> String {
    plus(percent(value), value.is_some_and(|value| value > 0.0))
}

/// A number with two decimals.
pub fn number(value: Option<f64>) -> String {
    value.map_or(NOTHING.into(), |value| fixed(value, 2))
}

/// A factor: `1.50 x`.
pub fn times(value: Option<f64>) -> String {
    value.map_or(NOTHING.into(), |value| fixed(value, 2) + " x")
}

pub fn count(value: u64) -> String {
    thousands(value.into())
}

/// The two largest units of a duration: `3d 4h`, `12m 30s`, `45.2 s`, `3.1 ms`.
pub fn duration(span: Option<Nanos>) -> String {
    let Some(span) = span else {
        return NOTHING.into();
    };
    let seconds = span / NANOS_PER_SECOND;
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    if days > 0 {
        format!("{}d {}h", thousands(u128::from(days.unsigned_abs())), hours % 24)
    } else if hours > 0 {
        format!("{hours}h {}m", minutes % 60)
    } else if minutes > 0 {
        format!("{minutes}m {}s", seconds % 60)
    } else if seconds > 0 {
        format!("{:.1} s", span as f64 / NANOS_PER_SECOND as f64)
    } else if span >= NANOS_PER_MILLI {
        format!("{:.1} ms", span as f64 / NANOS_PER_MILLI as f64)
    } else if span > 0 {
        format!("{:.1} us", span as f64 / 1_000.0)
    } else {
        "0 s".into()
    }
}

/// The digits of a float with `decimals` decimals and thousands apart; with an exponent from 1e15.
fn fixed(value: f64, decimals: usize) -> String {
    if value.abs() >= 1e15 {
        return format!("{value:.3e}");
    }
    let text = format!("{:.decimals$}", value.abs());
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let is_zero = text.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    let sign = if value < 0.0 && !is_zero { "-" } else { "" };
    let whole = whole.parse().map_or_else(|_| whole.to_owned(), thousands);
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

fn thousands(value: u128) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn plus(text: String, is_positive: bool) -> String {
    let is_zero = text.chars().all(|char| !char.is_ascii_digit() || char == '0');
    if is_positive && !is_zero { format!("+{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::NANOS_PER_DAY;

    #[test]
    fn numbers() {
        let written = |text: &str| money(text.parse().unwrap());
        assert_eq!(written("0"), "0.00");
        assert_eq!(written("1234567.891"), "1,234,567.89");
        assert_eq!(written("-999.995"), "-1,000.00");
        assert_eq!(written("0.12345678"), "0.1235");
        assert_eq!(written("-0.00000001"), "-0.00000001");
        assert_eq!(written("12345678.9"), "12,345,679");
        assert_eq!(signed(Money::whole(3)), "+3.00");
        assert_eq!(signed(Money::whole(-3)), "-3.00");
        assert_eq!(signed(Money::ZERO), "0.00");
        assert_eq!(signed_mean(Some(-1.25)), "-1.25");
        assert_eq!(percent(Some(0.12345)), "12.35 %");
        assert_eq!(signed_percent(Some(12.5)), "+1,250.00 %");
        assert_eq!(signed_percent(Some(-0.000001)), "0.00 %");
        assert_eq!(number(Some(-1_234.567)), "-1,234.57");
        assert_eq!(count(1_000_000), "1,000,000");
        assert_eq!([percent(None), number(None), duration(None), signed_mean(None)], ["n/a"; 4]);
    }

    #[test]
    fn durations() {
        let written = |span| duration(Some(span));
        assert_eq!(written(3 * NANOS_PER_DAY + 5 * 3_600 * NANOS_PER_SECOND), "3d 5h");
        assert_eq!(written(3_660 * NANOS_PER_SECOND), "1h 1m");
        assert_eq!(written(750 * NANOS_PER_SECOND), "12m 30s");
        assert_eq!(written(45_230 * NANOS_PER_MILLI), "45.2 s");
        assert_eq!(written(3_100_000), "3.1 ms");
        assert_eq!(written(1_500), "1.5 us");
        assert_eq!(written(0), "0 s");
    }
}
