//! Values of single cells: numbers, times and flags, read exactly or refused with a sentence.

use alphaengine_core::units::{NANOS_PER_MINUTE, NANOS_PER_SECOND, Timestamp, parse_steps, steps_from_f64};

use crate::Error;

/// What is wrong with a cell or a row, and what to do about it. Boxed, so that the good case stays in registers.
#[derive(Debug)]
pub(crate) struct Flaw {
    pub problem: String,
    pub hint: Option<String>,
}

pub(crate) type Checked<T> = Result<T, Box<Flaw>>;

#[cold]
pub(crate) fn flaw<T>(problem: impl Into<String>) -> Checked<T> {
    Err(Box::new(Flaw { problem: problem.into(), hint: None }))
}

#[cold]
pub(crate) fn flaw_with_hint<T>(problem: impl Into<String>, hint: impl Into<String>) -> Checked<T> {
    Err(Box::new(Flaw { problem: problem.into(), hint: Some(hint.into()) }))
}

/// The flaw with the name of the cell that has it.
#[cold]
pub(crate) fn named(name: &str, mut flaw: Box<Flaw>) -> Box<Flaw> {
    flaw.problem = format!("`{name}`: {}", flaw.problem);
    flaw
}

impl From<Box<Flaw>> for Error {
    fn from(flaw: Box<Flaw>) -> Error {
        let error = Error::new(flaw.problem);
        match flaw.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

/// The cells of one row, by column number. A CSV record and a row of a Parquet table are such.
pub(crate) trait Cells {
    /// A decimal number in steps of 1e-8.
    fn number(&self, column: usize) -> Checked<i64>;
    fn integer(&self, column: usize) -> Checked<i64>;
    fn flag(&self, column: usize) -> Checked<bool>;
    /// Whether the cell holds nothing.
    fn is_blank(&self, column: usize) -> bool;
}

/// What a file calls its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeUnit {
    /// 13 digits are milliseconds, 16 microseconds.
    ByDigits,
    Millis,
    Micros,
    Nanos,
}

impl TimeUnit {
    pub fn timestamp(self, value: i64) -> Checked<Timestamp> {
        const MILLIS_13: std::ops::RangeInclusive<i64> = 1_000_000_000_000..=9_999_999_999_999;
        const MICROS_16: std::ops::RangeInclusive<i64> = 1_000_000_000_000_000..=9_999_999_999_999_999;
        let nanos = match self {
            TimeUnit::ByDigits if MILLIS_13.contains(&value) => value.checked_mul(1_000_000),
            TimeUnit::ByDigits if MICROS_16.contains(&value) => value.checked_mul(1_000),
            TimeUnit::ByDigits => return Err(odd_time(value)),
            TimeUnit::Millis => value.checked_mul(1_000_000),
            TimeUnit::Micros => value.checked_mul(1_000),
            TimeUnit::Nanos => Some(value),
        };
        match nanos {
            Some(nanos) => Ok(Timestamp::from_nanos(nanos)),
            None => flaw(format!("the time {value} is out of range: the last year is 2262")),
        }
    }
}

#[cold]
fn odd_time(value: i64) -> Box<Flaw> {
    let digits = value.unsigned_abs().to_string().len();
    let hint = match digits {
        _ if value < 0 => "times count from 1970-01-01",
        9..=11 => "these look like seconds: multiply them by 1000",
        18..=19 => "these look like nanoseconds: divide them by 1000000, or name the column `time_ns`",
        _ => "name the unit in the header, as in `open_time_us`, or convert the times to milliseconds",
    };
    let problem = format!(
        "the time {value} has {digits} digits: known are milliseconds (13 digits) and microseconds (16 digits)"
    );
    Box::new(Flaw { problem, hint: Some(hint.to_owned()) })
}

/// A funding time without the few milliseconds that the exchange adds: rounded to the minute where one is within a second.
pub(crate) fn without_jitter(at: Timestamp) -> Timestamp {
    let nearest = at.plus(NANOS_PER_MINUTE / 2).floor_to(NANOS_PER_MINUTE);
    if nearest.since(at).abs() <= NANOS_PER_SECOND { nearest } else { at }
}

fn quoted(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().take(40).collect()
}

/// A decimal number in steps of 1e-8, exactly.
#[inline]
pub(crate) fn number_from_bytes(text: &[u8]) -> Checked<i64> {
    match plain_decimal(text) {
        Some(steps) => Ok(steps),
        None => odd_number(text.trim_ascii()),
    }
}

/// The usual case: digits with at most one point, at most eight decimals and 18 digits in all.
#[inline]
fn plain_decimal(text: &[u8]) -> Option<i64> {
    const POWERS: [i64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    if digits.len() > 18 || digits.is_empty() {
        return None;
    }
    let mut value: i64 = 0;
    let mut point = None;
    for (index, &byte) in digits.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            value = value * 10 + i64::from(digit);
        } else if byte == b'.' && point.is_none() {
            point = Some(index);
        } else {
            return None;
        }
    }
    let decimals = match point {
        Some(_) if digits.len() == 1 => return None,
        Some(index) => digits.len() - index - 1,
        None => 0,
    };
    let steps = value.checked_mul(*POWERS.get(8usize.checked_sub(decimals)?)?)?;
    Some(if negative { -steps } else { steps })
}

#[cold]
fn odd_number(text: &[u8]) -> Checked<i64> {
    let Ok(text) = std::str::from_utf8(text) else {
        return flaw(format!("`{}` is not a number", quoted(text)));
    };
    if text.is_empty() {
        return flaw("the cell is empty");
    }
    let bare = text.trim_start_matches(['+', '-']).to_ascii_lowercase();
    if matches!(bare.as_str(), "nan" | "inf" | "infinity" | "null" | "none") {
        return not_finite(text);
    }
    parse_steps(text).or_else(|error| flaw(error.to_string()))
}

#[cold]
fn not_finite<T>(text: &str) -> Checked<T> {
    flaw_with_hint(format!("`{text}` is not a number"), "remove the row or fill it from another source")
}

#[inline]
pub(crate) fn number_from_f64(value: f64) -> Checked<i64> {
    if !value.is_finite() {
        return not_finite(&value.to_string());
    }
    steps_from_f64(value).or_else(|error| flaw(error.to_string()))
}

#[inline]
pub(crate) fn integer_from_bytes(text: &[u8]) -> Checked<i64> {
    let digits = text;
    if !digits.is_empty() && digits.len() <= 18 {
        let mut value = 0i64;
        for &byte in digits {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return odd_integer(text.trim_ascii());
            }
            value = value * 10 + i64::from(digit);
        }
        return Ok(value);
    }
    odd_integer(text.trim_ascii())
}

#[cold]
fn odd_integer(text: &[u8]) -> Checked<i64> {
    let parsed = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    parsed.map_or_else(|| flaw(format!("`{}` is not a whole number", quoted(text))), Ok)
}

#[inline]
pub(crate) fn integer_from_f64(value: f64) -> Checked<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.fract() == 0.0 && value.abs() <= EXACT {
        return Ok(value as i64);
    }
    flaw(format!("`{value}` is not a whole number"))
}

#[inline]
pub(crate) fn flag_from_bytes(text: &[u8]) -> Checked<bool> {
    match flag(text.trim_ascii()) {
        Some(flag) => Ok(flag),
        None => flaw(format!("`{}` is neither true nor false", quoted(text))),
    }
}

/// `true` and `false` in any case, `1` and `0`.
pub(crate) fn flag(text: &[u8]) -> Option<bool> {
    match text {
        b"1" => Some(true),
        b"0" => Some(false),
        _ if text.eq_ignore_ascii_case(b"true") => Some(true),
        _ if text.eq_ignore_ascii_case(b"false") => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact() {
        assert_eq!(number_from_bytes(b"63943.90").unwrap(), 6_394_390_000_000);
        assert_eq!(number_from_bytes(b"-0.00000001").unwrap(), -1);
        assert_eq!(number_from_bytes(b" 1.5 ").unwrap(), 150_000_000);
        assert_eq!(number_from_bytes(b"1e-5").unwrap(), 1_000);
        assert_eq!(number_from_bytes(b"0.100000000").unwrap(), 10_000_000);
        assert_eq!(number_from_bytes(b".5").unwrap(), 50_000_000);
        for text in ["92233720368.54775807", "12345678901", "0.12345678", "7"] {
            assert_eq!(number_from_bytes(text.as_bytes()).unwrap(), parse_steps(text).unwrap(), "{text}");
        }
        for (text, sentence) in [
            ("0.123456789", "`0.123456789` has more than 8 decimals"),
            ("nan", "`nan` is not a number"),
            ("-Inf", "`-Inf` is not a number"),
            ("", "the cell is empty"),
            (".", "`.` is not a decimal number"),
            ("1,5", "`1,5` is not a decimal number"),
        ] {
            assert_eq!(number_from_bytes(text.as_bytes()).unwrap_err().problem, sentence);
        }
    }

    #[test]
    fn times_are_told_by_their_digits() {
        let millis = TimeUnit::ByDigits.timestamp(1_714_000_000_000).unwrap();
        assert_eq!(TimeUnit::ByDigits.timestamp(1_714_000_000_000_000).unwrap(), millis);
        assert_eq!(TimeUnit::Micros.timestamp(1_714_000_000_000_000).unwrap(), millis);
        let seconds = TimeUnit::ByDigits.timestamp(1_714_000_000).unwrap_err();
        assert!(seconds.problem.contains("10 digits"), "{}", seconds.problem);
        assert_eq!(seconds.hint.as_deref(), Some("these look like seconds: multiply them by 1000"));
    }

    #[test]
    fn funding_times_lose_their_jitter() {
        let at = |millis| Timestamp::from_millis(millis).unwrap();
        assert_eq!(without_jitter(at(1_569_974_400_005)), at(1_569_974_400_000));
        assert_eq!(without_jitter(at(1_569_974_399_998)), at(1_569_974_400_000));
        assert_eq!(without_jitter(at(1_569_974_415_000)), at(1_569_974_415_000));
    }
}
