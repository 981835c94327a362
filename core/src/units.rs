//! Units are fixed-point integers: a price, a quantity, an amount of money and a rate each count steps of 1e-8.
//!
//! Nothing here rounds in silence. Sums are checked, products go through 128 bits, and every operation that can lose a
//! digit takes a [`Rounding`] or carries it in its name (`floor_to_step`). `f64` appears only in conversions whose name
//! says so; indicators may use it, decisions about money may not.
//!
//! ```
//! use alphaengine_core::units::{Price, Qty, Rate, Rounding};
//! let price: Price = "109000.1".parse()?;
//! let qty: Qty = "0.002".parse()?;
//! let taker: Rate = "0.0005".parse()?;
//! assert_eq!(price.notional(qty, Rounding::HalfEven)?.to_string(), "218.0002");
//! assert_eq!(price.fee(qty, taker, Rounding::HalfEven)?.to_string(), "0.1090001");
//! # Ok::<(), alphaengine_core::units::Error>(())
//! ```

use std::fmt;
use std::str::FromStr;

/// Steps in one unit: values are integers of 1e-8.
pub const SCALE: i64 = 100_000_000;
/// Decimals that a value carries.
pub const DECIMALS: u32 = 8;

/// What can go wrong with a number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("`{0}` is not a decimal number")]
    NotADecimal(String),
    #[error("`{0}` has more than {DECIMALS} decimals")]
    TooPrecise(String),
    #[error("`{0}` is out of range: the largest value is 92233720368.54775807")]
    OutOfRange(String),
    #[error("arithmetic overflow: a result is larger than 92233720368.54775807")]
    Overflow,
    #[error("`{0}` is not a UTC time: write 20250504, 2025-05-04 or 2025-05-04T16:00:00Z")]
    NotATime(String),
}

/// How a result that lies between two steps is brought to one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// Toward minus infinity.
    Floor,
    /// Toward plus infinity.
    Ceil,
    /// Toward zero.
    Truncate,
    /// To the nearest step; a tie goes to the even one, so that many roundings do not drift.
    HalfEven,
}

/// `n / d`, brought to an integer as `rounding` says. `d` must be positive.
///
/// ```
/// use alphaengine_core::units::{Rounding, div_round};
/// assert_eq!(div_round(-7, 2, Rounding::Floor), -4);
/// assert_eq!(div_round(-7, 2, Rounding::HalfEven), -4);
/// assert_eq!(div_round(5, 2, Rounding::HalfEven), 2);
/// ```
#[inline]
pub fn div_round(n: i128, d: i128, rounding: Rounding) -> i128 {
    assert!(d > 0, "a divisor is positive");
    // Most products of prices and quantities fit 64 bits, where a division costs a tenth.
    let (q, r) = match (i64::try_from(n), i64::try_from(d)) {
        (Ok(n), Ok(d)) => (i128::from(n.div_euclid(d)), i128::from(n.rem_euclid(d))),
        _ => (n.div_euclid(d), n.rem_euclid(d)),
    };
    let up = match rounding {
        Rounding::Floor => false,
        Rounding::Ceil => r != 0,
        Rounding::Truncate => r != 0 && n < 0,
        Rounding::HalfEven => r > d - r || (r == d - r && q & 1 != 0),
    };
    if up { q + 1 } else { q }
}

#[inline]
fn narrow(n: i128) -> Result<i64, Error> {
    i64::try_from(n).map_err(|_| Error::Overflow)
}

/// Reads a decimal number into steps of 1e-8, exactly: digits beyond the eighth decimal must be zero.
/// An exponent is accepted (`1e-5`), because notebooks write one.
pub fn parse_steps(text: &str) -> Result<i64, Error> {
    parse_steps_bytes(text.as_bytes()).map_err(|fault| fault.of(text))
}

#[derive(Debug, Clone, Copy)]
enum Fault {
    NotADecimal,
    TooPrecise,
    OutOfRange,
}

impl Fault {
    fn of(self, text: &str) -> Error {
        let text = text.chars().take(40).collect();
        match self {
            Fault::NotADecimal => Error::NotADecimal(text),
            Fault::TooPrecise => Error::TooPrecise(text),
            Fault::OutOfRange => Error::OutOfRange(text),
        }
    }
}

fn parse_steps_bytes(text: &[u8]) -> Result<i64, Fault> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let (mantissa, exponent) = split_exponent(digits)?;
    let mantissa = without_idle_zeros(mantissa);
    let mut value: i128 = 0;
    let mut seen = false;
    let mut decimals: Option<i32> = None;
    for &byte in mantissa {
        match byte {
            b'0'..=b'9' => {
                seen = true;
                if value > i128::MAX / 100 {
                    return Err(if decimals.is_some() { Fault::TooPrecise } else { Fault::OutOfRange });
                }
                value = value * 10 + i128::from(byte - b'0');
                if let Some(count) = &mut decimals {
                    *count += 1;
                }
            }
            b'.' if decimals.is_none() => decimals = Some(0),
            _ => return Err(Fault::NotADecimal),
        }
    }
    if !seen {
        return Err(Fault::NotADecimal);
    }
    let shift = DECIMALS as i32 + exponent - decimals.unwrap_or(0);
    let steps = shift_decimal(value, shift)?;
    let steps = if negative { -steps } else { steps };
    i64::try_from(steps).map_err(|_| Fault::OutOfRange)
}

fn split_exponent(digits: &[u8]) -> Result<(&[u8], i32), Fault> {
    let Some(at) = digits.iter().position(|byte| matches!(byte, b'e' | b'E')) else {
        return Ok((digits, 0));
    };
    let text = std::str::from_utf8(&digits[at + 1..]).map_err(|_| Fault::NotADecimal)?;
    let exponent: i32 = text.parse().map_err(|_| Fault::NotADecimal)?;
    match exponent {
        61.. => Err(Fault::OutOfRange),
        ..-60 => Err(Fault::TooPrecise),
        _ => Ok((&digits[..at], exponent)),
    }
}

/// Cuts zeros from the end of a fraction: they say nothing, and there may be more of them than 128 bits hold digits.
fn without_idle_zeros(mantissa: &[u8]) -> &[u8] {
    let Some(point) = mantissa.iter().position(|byte| *byte == b'.') else {
        return mantissa;
    };
    let idle = mantissa[point + 1..].iter().rev().take_while(|byte| **byte == b'0').count();
    // One is kept where nothing else stands before it: `.0` is a number, `.` is none.
    &mantissa[..mantissa.len() - idle + usize::from(idle > 0 && idle + 1 == mantissa.len())]
}

/// `value * 10^shift`, exactly.
fn shift_decimal(value: i128, shift: i32) -> Result<i128, Fault> {
    if value == 0 || shift == 0 {
        return Ok(value);
    }
    let Some(power) = 10i128.checked_pow(shift.unsigned_abs()) else {
        return Err(if shift > 0 { Fault::OutOfRange } else { Fault::TooPrecise });
    };
    if shift > 0 {
        value.checked_mul(power).ok_or(Fault::OutOfRange)
    } else if value % power == 0 {
        Ok(value / power)
    } else {
        Err(Fault::TooPrecise)
    }
}

/// Prints steps of 1e-8 as the shortest exact decimal: `1.5`, `-0.00000001`, `109000`.
fn write_steps(steps: i64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut buffer = [0u8; 24];
    f.write_str(format_steps(steps, &mut buffer))
}

/// The shortest exact decimal of `steps`, written into `buffer`.
pub fn format_steps(steps: i64, buffer: &mut [u8; 24]) -> &str {
    let mut end = buffer.len();
    let magnitude = steps.unsigned_abs();
    let (mut whole, mut fraction) = (magnitude / SCALE as u64, magnitude % SCALE as u64);
    if fraction != 0 {
        let mut decimals = DECIMALS;
        while fraction.is_multiple_of(10) {
            fraction /= 10;
            decimals -= 1;
        }
        for _ in 0..decimals {
            end -= 1;
            buffer[end] = b'0' + (fraction % 10) as u8;
            fraction /= 10;
        }
        end -= 1;
        buffer[end] = b'.';
    }
    loop {
        end -= 1;
        buffer[end] = b'0' + (whole % 10) as u8;
        whole /= 10;
        if whole == 0 {
            break;
        }
    }
    if steps < 0 {
        end -= 1;
        buffer[end] = b'-';
    }
    std::str::from_utf8(&buffer[end..]).unwrap_or("")
}

/// The decimal nearest to `value` with at most eight decimals, through the shortest text that reads back as the same
/// float. A value that was written as a decimal and stored as a float comes back as that decimal.
pub fn steps_from_f64(value: f64) -> Result<i64, Error> {
    /// Up to here a product with 1e8 is exact enough to round to the one right step.
    const EXACT: f64 = 9_007_199_254_740_992.0 / SCALE as f64 / 4.0;
    if !value.is_finite() {
        return Err(Error::NotADecimal(value.to_string()));
    }
    if value.abs() <= EXACT {
        return Ok((value * SCALE as f64).round() as i64);
    }
    let text = value.to_string();
    match text.split_once('.') {
        Some((_, fraction)) if fraction.len() > DECIMALS as usize => parse_steps(&format!("{value:.8}")),
        _ => parse_steps(&text),
    }
}

macro_rules! fixed_point {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        #[repr(transparent)]
        pub struct $name(i64);

        impl $name {
            pub const ZERO: Self = Self(0);
            pub const ONE: Self = Self(SCALE);
            pub const MAX: Self = Self(i64::MAX);
            /// One step, 0.00000001.
            pub const STEP: Self = Self(1);

            /// From steps of 1e-8.
            #[inline]
            pub const fn from_steps(steps: i64) -> Self {
                Self(steps)
            }

            /// In steps of 1e-8.
            #[inline]
            pub const fn steps(self) -> i64 {
                self.0
            }

            /// A whole number of units. Overflow is a programming error: use it for constants.
            pub const fn whole(units: i64) -> Self {
                Self(units * SCALE)
            }

            /// The nearest value to a float; an error when it is not finite or does not fit.
            pub fn nearest_from_f64(value: f64) -> Result<Self, Error> {
                steps_from_f64(value).map(Self)
            }

            /// The nearest float. For indicators and charts, never for a decision about money.
            #[inline]
            pub fn to_f64(self) -> f64 {
                self.0 as f64 / SCALE as f64
            }

            #[inline]
            pub const fn is_zero(self) -> bool {
                self.0 == 0
            }

            #[inline]
            pub const fn is_positive(self) -> bool {
                self.0 > 0
            }

            #[inline]
            pub const fn is_negative(self) -> bool {
                self.0 < 0
            }

            #[inline]
            pub fn checked_add(self, other: Self) -> Result<Self, Error> {
                self.0.checked_add(other.0).map(Self).ok_or(Error::Overflow)
            }

            #[inline]
            pub fn checked_sub(self, other: Self) -> Result<Self, Error> {
                self.0.checked_sub(other.0).map(Self).ok_or(Error::Overflow)
            }

            #[inline]
            pub fn checked_neg(self) -> Result<Self, Error> {
                self.0.checked_neg().map(Self).ok_or(Error::Overflow)
            }

            #[inline]
            pub const fn saturating_add(self, other: Self) -> Self {
                Self(self.0.saturating_add(other.0))
            }

            #[inline]
            pub const fn saturating_sub(self, other: Self) -> Self {
                Self(self.0.saturating_sub(other.0))
            }

            /// The magnitude; the most negative value saturates.
            #[inline]
            pub const fn abs(self) -> Self {
                Self(self.0.saturating_abs())
            }

            /// This value times a rate, brought to a step as `rounding` says.
            #[inline]
            pub fn times(self, rate: Rate, rounding: Rounding) -> Result<Self, Error> {
                let product = i128::from(self.0) * i128::from(rate.0);
                narrow(div_round(product, i128::from(SCALE), rounding)).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_steps(self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_steps(self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                parse_steps(text).map(Self)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(format_steps(self.0, &mut [0; 24]))
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(DecimalVisitor).map(Self)
            }
        }
    };
}

fixed_point!(
    /// A price in the quote asset for one unit of the base asset.
    Price
);
fixed_point!(
    /// A quantity of the base asset. Where it stands for a position it is signed: long positive, short negative.
    Qty
);
fixed_point!(
    /// An amount of the margin asset.
    Money
);
fixed_point!(
    /// A dimensionless rate: a fee, a funding rate, a margin ratio. 0.0005 is five basis points.
    Rate
);

impl Price {
    /// `price * qty`, brought to a step of money.
    #[inline]
    pub fn notional(self, qty: Qty, rounding: Rounding) -> Result<Money, Error> {
        narrow(div_round(self.exact_notional(qty), i128::from(SCALE), rounding)).map(Money)
    }

    /// `price * qty` in steps of 1e-16, without rounding.
    #[inline]
    pub fn exact_notional(self, qty: Qty) -> i128 {
        i128::from(self.0) * i128::from(qty.0)
    }

    /// `price * qty * rate`, rounded once.
    #[inline]
    pub fn fee(self, qty: Qty, rate: Rate, rounding: Rounding) -> Result<Money, Error> {
        let product = self.exact_notional(qty).checked_mul(i128::from(rate.0)).ok_or(Error::Overflow)?;
        narrow(div_round(product, i128::from(SCALE) * i128::from(SCALE), rounding)).map(Money)
    }

    /// The nearest multiple of `tick` that is not above this price. A zero tick changes nothing.
    pub fn floor_to_tick(self, tick: Price) -> Price {
        Price(floor_to(self.0, tick.0))
    }

    /// The nearest multiple of `tick` that is not below this price; saturates at the end of the range.
    pub fn ceil_to_tick(self, tick: Price) -> Price {
        let floor = floor_to(self.0, tick.0);
        Price(if floor == self.0 { floor } else { floor.saturating_add(tick.0) })
    }
}

impl Qty {
    /// The nearest multiple of `step` that is not above this quantity. A zero step changes nothing.
    pub fn floor_to_step(self, step: Qty) -> Qty {
        Qty(floor_to(self.0, step.0))
    }

    /// +1, 0 or -1: long, flat or short.
    #[inline]
    pub const fn signum(self) -> i64 {
        self.0.signum()
    }
}

impl Money {
    /// `self / price` as a quantity.
    pub fn qty_at(self, price: Price, rounding: Rounding) -> Result<Qty, Error> {
        if price.0 <= 0 {
            return Err(Error::Overflow);
        }
        narrow(div_round(i128::from(self.0) * i128::from(SCALE), i128::from(price.0), rounding)).map(Qty)
    }

    /// From steps of 1e-16 (what [`Price::exact_notional`] gives).
    #[inline]
    pub fn from_exact(exact: i128, rounding: Rounding) -> Result<Money, Error> {
        narrow(div_round(exact, i128::from(SCALE), rounding)).map(Money)
    }

    /// From steps of 1e-16; what does not fit becomes the end of the range on its side.
    pub fn saturating_from_exact(exact: i128, rounding: Rounding) -> Money {
        let end = if exact < 0 { i64::MIN } else { i64::MAX };
        Money::from_exact(exact, rounding).unwrap_or(Money(end))
    }

    /// In steps of 1e-16.
    #[inline]
    pub const fn exact(self) -> i128 {
        self.0 as i128 * SCALE as i128
    }

    /// `self / other` as a rate; `None` when `other` is not positive or the result does not fit.
    pub fn ratio(self, other: Money, rounding: Rounding) -> Option<Rate> {
        if other.0 <= 0 {
            return None;
        }
        narrow(div_round(i128::from(self.0) * i128::from(SCALE), i128::from(other.0), rounding)).ok().map(Rate)
    }
}

impl std::iter::Sum for Money {
    /// Saturates: a total of margins or volumes that does not fit is above every limit.
    fn sum<I: Iterator<Item = Money>>(iter: I) -> Money {
        iter.fold(Money::ZERO, Money::saturating_add)
    }
}

#[inline]
fn floor_to(value: i64, step: i64) -> i64 {
    if step <= 0 { value } else { value.saturating_sub(value.rem_euclid(step)) }
}

struct DecimalVisitor;

impl serde::de::Visitor<'_> for DecimalVisitor {
    type Value = i64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a decimal number, as text or as a number")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<i64, E> {
        parse_steps(text).map_err(E::custom)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<i64, E> {
        steps_from_f64(value).map_err(E::custom)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<i64, E> {
        i64::try_from(value).ok().and_then(|n| n.checked_mul(SCALE)).ok_or_else(|| E::custom(Error::Overflow))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<i64, E> {
        value.checked_mul(SCALE).ok_or_else(|| E::custom(Error::Overflow))
    }
}

/// An instant: nanoseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
#[repr(transparent)]
pub struct Timestamp(i64);

/// A span of time in nanoseconds.
pub type Nanos = i64;

pub const NANOS_PER_MILLI: Nanos = 1_000_000;
pub const NANOS_PER_SECOND: Nanos = 1_000_000_000;
pub const NANOS_PER_MINUTE: Nanos = 60 * NANOS_PER_SECOND;
pub const NANOS_PER_DAY: Nanos = 86_400 * NANOS_PER_SECOND;

impl Timestamp {
    pub const MIN: Timestamp = Timestamp(i64::MIN);
    pub const MAX: Timestamp = Timestamp(i64::MAX);
    pub const ZERO: Timestamp = Timestamp(0);

    #[inline]
    pub const fn from_nanos(nanos: i64) -> Timestamp {
        Timestamp(nanos)
    }

    #[inline]
    pub const fn nanos(self) -> i64 {
        self.0
    }

    /// From milliseconds since the epoch, as Binance writes times; `None` outside the years 1677 to 2262.
    #[inline]
    pub fn from_millis(millis: i64) -> Option<Timestamp> {
        millis.checked_mul(NANOS_PER_MILLI).map(Timestamp)
    }

    /// Milliseconds since the epoch, rounded down.
    #[inline]
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(NANOS_PER_MILLI)
    }

    #[inline]
    pub const fn plus(self, span: Nanos) -> Timestamp {
        Timestamp(self.0.saturating_add(span))
    }

    #[inline]
    pub const fn since(self, earlier: Timestamp) -> Nanos {
        self.0.saturating_sub(earlier.0)
    }

    /// The start of the span of length `span` that holds this instant, counted from the epoch.
    #[inline]
    pub const fn floor_to(self, span: Nanos) -> Timestamp {
        Timestamp(self.0.saturating_sub(self.0.rem_euclid(span)))
    }

    /// Days since the epoch, UTC.
    #[inline]
    pub const fn day(self) -> i64 {
        self.0.div_euclid(NANOS_PER_DAY)
    }

    /// Year, month (1 to 12) and day of the month, UTC.
    pub fn date(self) -> (i16, i8, i8) {
        let date = jiff::tz::Offset::UTC.to_datetime(self.to_jiff()).date();
        (date.year(), date.month(), date.day())
    }

    /// Midnight UTC of a date, or `None` where there is no such date.
    pub fn from_date(year: i16, month: i8, day: i8) -> Option<Timestamp> {
        let date = jiff::civil::Date::new(year, month, day).ok()?;
        let nanos = jiff::tz::Offset::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()?.as_nanosecond();
        i64::try_from(nanos).ok().map(Timestamp)
    }

    fn to_jiff(self) -> jiff::Timestamp {
        jiff::Timestamp::from_nanosecond(i128::from(self.0)).unwrap_or_default()
    }
}

impl fmt::Display for Timestamp {
    /// ISO 8601 in UTC, to the millisecond, or to the nanosecond where there is more: `2025-05-04T16:00:00.000Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let precision = if self.0 % NANOS_PER_MILLI == 0 { 3 } else { 9 };
        write!(f, "{:.precision$}", self.to_jiff())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = Error;

    /// Reads `20250504`, `2025-05-04`, an ISO 8601 time in UTC (`2025-05-04T16:00:00Z`, seconds and `Z` optional), or
    /// 13 digits of milliseconds.
    fn from_str(text: &str) -> Result<Timestamp, Error> {
        let bad = || Error::NotATime(text.chars().take(40).collect());
        if text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let iso = format!("{}-{}-{}", &text[..4], &text[4..6], &text[6..]);
            return iso.parse().map_err(|_| bad());
        }
        if text.len() == 13 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().ok().and_then(Timestamp::from_millis).ok_or_else(bad);
        }
        let civil = text.strip_suffix('Z').unwrap_or(text);
        // A civil time may carry an offset or a zone, which its parser passes over: an hour that was meant would be lost.
        let (_, time) = civil.split_once(['T', 't', ' ']).unwrap_or(("", ""));
        if !time.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b':' | b'.' | b',')) {
            return Err(bad());
        }
        let moment: jiff::civil::DateTime = civil.parse().map_err(|_| bad())?;
        let instant = jiff::tz::Offset::UTC.to_timestamp(moment).map_err(|_| bad())?;
        i64::try_from(instant.as_nanosecond()).map(Timestamp).map_err(|_| bad())
    }
}
