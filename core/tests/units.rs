//! Units against an oracle: every operation on steps of 1e-8 gives what decimals of any length give, or says that it cannot.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

use std::str::FromStr;

use alphaengine_core::units::{
    Error, Money, NANOS_PER_DAY, Price, Qty, Rate, Rounding, SCALE, Timestamp, div_round, parse_steps, steps_from_f64,
};
use bigdecimal::num_bigint::BigInt;
use bigdecimal::{BigDecimal, RoundingMode, ToPrimitive};
use proptest::prelude::*;

const ROUNDINGS: [Rounding; 4] = [Rounding::Floor, Rounding::Ceil, Rounding::Truncate, Rounding::HalfEven];

/// Steps of 1e-8 as a decimal of any length.
fn decimal(steps: i64) -> BigDecimal {
    BigDecimal::new(BigInt::from(steps), 8)
}

/// The oracle: the exact value, brought to eight decimals, if it fits.
fn rounded(exact: &BigDecimal, rounding: Rounding) -> Result<i64, Error> {
    let mode = match rounding {
        Rounding::Floor => RoundingMode::Floor,
        Rounding::Ceil => RoundingMode::Ceiling,
        Rounding::Truncate => RoundingMode::Down,
        Rounding::HalfEven => RoundingMode::HalfEven,
    };
    let (steps, scale) = exact.with_scale_round(8, mode).into_bigint_and_exponent();
    assert_eq!(scale, 8);
    steps.to_i64().ok_or(Error::Overflow)
}

/// Steps of every magnitude: uniform ones would nearly all be close to the end of the range.
fn steps() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => (any::<i64>(), 0u32..64).prop_map(|(value, shift)| value >> shift),
        1 => prop::sample::select(vec![i64::MIN, i64::MIN + 1, -SCALE, -1, 0, 1, SCALE - 1, SCALE, i64::MAX - 1, i64::MAX]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_printed_reads_back_as_the_same_value(steps in steps()) {
        let text = Money::from_steps(steps).to_string();
        prop_assert_eq!(text.parse::<Money>().map(Money::steps), Ok(steps));
        prop_assert_eq!(BigDecimal::from_str(&text).unwrap(), decimal(steps));
        let is_shortest = !text.contains('.') || !text.ends_with(['0', '.']);
        prop_assert!(is_shortest, "{text} could be shorter");
        let json = serde_json::to_string(&Money::from_steps(steps)).unwrap();
        prop_assert_eq!(serde_json::from_str::<Money>(&json).unwrap().steps(), steps);
    }

    #[test]
    fn decimals_are_read_exactly_or_not_at_all(
        text in "[+-]?[0-9]{1,13}(\\.[0-9]{1,9}0{0,30})?([eE][+-]?[0-9]{1,2})?",
    ) {
        let exact = BigDecimal::from_str(&text).unwrap();
        let scaled = exact * BigDecimal::from(SCALE);
        match parse_steps(&text) {
            Ok(steps) => prop_assert_eq!(BigDecimal::from(steps), scaled),
            Err(Error::TooPrecise(_)) => prop_assert!(!scaled.is_integer() || has_wild_exponent(&text), "{text}"),
            Err(Error::OutOfRange(_)) => {
                prop_assert!(scaled.to_i64().is_none() || has_wild_exponent(&text), "{text} fits");
            }
            Err(error) => prop_assert!(false, "{text}: {error}"),
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,24}", wild in "[-+0-9eE. ]{0,24}") {
        for text in [text, wild] {
            let _ = (parse_steps(&text), text.parse::<Timestamp>());
        }
    }

    #[test]
    fn sums_are_exact_or_an_error(a in steps(), b in steps()) {
        let (x, y) = (Money::from_steps(a), Money::from_steps(b));
        let narrow = |wide: i128| i64::try_from(wide).map_err(|_| Error::Overflow);
        let (a, b) = (i128::from(a), i128::from(b));
        prop_assert_eq!(x.checked_add(y).map(Money::steps), narrow(a + b));
        prop_assert_eq!(x.checked_sub(y).map(Money::steps), narrow(a - b));
        prop_assert_eq!(x.checked_neg().map(Money::steps), narrow(-a));
        prop_assert_eq!(i128::from(x.saturating_add(y).steps()), (a + b).clamp(i64::MIN.into(), i64::MAX.into()));
        prop_assert_eq!([x, y].into_iter().sum::<Money>(), x.saturating_add(y));
    }

    #[test]
    fn products_are_rounded_once_and_as_named(price in steps(), qty in steps(), rate in steps()) {
        let (exact_price, exact_qty, exact_rate) = (decimal(price), decimal(qty), decimal(rate));
        let (price, qty, rate) = (Price::from_steps(price), Qty::from_steps(qty), Rate::from_steps(rate));
        let notional = &exact_price * &exact_qty;
        prop_assert_eq!(BigDecimal::new(price.exact_notional(qty).into(), 16), notional.clone());
        for rounding in ROUNDINGS {
            prop_assert_eq!(price.notional(qty, rounding).map(Money::steps), rounded(&notional, rounding));
            prop_assert_eq!(price.times(rate, rounding).map(Price::steps), rounded(&(&exact_price * &exact_rate), rounding));
            // A fee goes through three factors; what 128 bits cannot hold is an error and not another number.
            let fee = price.fee(qty, rate, rounding).map(Money::steps);
            let fits = price.exact_notional(qty).checked_mul(rate.steps().into()).is_some();
            let expected = if fits { rounded(&(&notional * &exact_rate), rounding) } else { Err(Error::Overflow) };
            prop_assert_eq!(fee, expected);
        }
    }

    #[test]
    fn quotients_are_rounded_once_and_as_named(money in steps(), price in 1..i64::MAX) {
        for rounding in ROUNDINGS {
            let expected = div_round(i128::from(money) * i128::from(SCALE), price.into(), rounding);
            let expected = i64::try_from(expected).map_err(|_| Error::Overflow);
            let (money, other) = (Money::from_steps(money), Money::from_steps(price));
            prop_assert_eq!(money.qty_at(Price::from_steps(price), rounding).map(Qty::steps), expected.clone());
            prop_assert_eq!(money.ratio(other, rounding).map(Rate::steps), expected.ok());
        }
    }

    #[test]
    fn a_division_keeps_its_law(n in any::<i128>(), d in 1..i128::MAX) {
        // Of a quotient the two neighbours are known by multiplication alone.
        let floor = BigInt::from(div_round(n, d, Rounding::Floor));
        let rest = BigInt::from(n) - &floor * BigInt::from(d);
        prop_assert!(rest >= BigInt::from(0) && rest < BigInt::from(d));
        let is_exact = rest == BigInt::from(0);
        let ceil = if is_exact { floor.clone() } else { &floor + 1 };
        prop_assert_eq!(BigInt::from(div_round(n, d, Rounding::Ceil)), ceil.clone());
        prop_assert_eq!(BigInt::from(div_round(n, d, Rounding::Truncate)), if n < 0 { ceil.clone() } else { floor.clone() });
        let twice: BigInt = &rest * 2;
        let is_even = &floor % 2 == BigInt::from(0);
        let nearest = match twice.cmp(&BigInt::from(d)) {
            std::cmp::Ordering::Less => floor,
            std::cmp::Ordering::Greater => ceil,
            std::cmp::Ordering::Equal if is_even => floor,
            std::cmp::Ordering::Equal => ceil,
        };
        prop_assert_eq!(BigInt::from(div_round(n, d, Rounding::HalfEven)), nearest);
    }

    #[test]
    fn steps_of_a_grid_enclose_the_value(value in -SCALE * SCALE / 2..SCALE * SCALE / 2, step in 1i64..1_000_000_000) {
        let (qty, grid) = (Qty::from_steps(value).floor_to_step(Qty::from_steps(step)).steps(), step);
        prop_assert!(qty % grid == 0 && qty <= value && value < qty + grid);
        let (price, tick) = (Price::from_steps(value), Price::from_steps(step));
        let (floor, ceil) = (price.floor_to_tick(tick).steps(), price.ceil_to_tick(tick).steps());
        prop_assert_eq!(floor, qty);
        prop_assert!(ceil % grid == 0 && ceil >= value && ceil - floor <= grid);
        prop_assert_eq!(ceil == floor, value % grid == 0);
    }

    #[test]
    fn a_decimal_that_went_through_a_float_comes_back(steps in -1_000_000_000_000_000i64..1_000_000_000_000_000) {
        // Fifteen digits are what a float holds of any decimal.
        let float: f64 = Price::from_steps(steps).to_string().parse().unwrap();
        prop_assert_eq!(steps_from_f64(float), Ok(steps));
        prop_assert_eq!(Price::from_steps(steps).to_f64(), float);
    }

    #[test]
    fn a_float_becomes_the_nearest_step(value in -90_000_000_000.0f64..90_000_000_000.0) {
        let steps = steps_from_f64(value).unwrap();
        let distance = (BigDecimal::try_from(value).unwrap() - decimal(steps)).abs();
        // Half a step, and half of what the float itself cannot tell apart.
        let blur = BigDecimal::try_from(value.abs() * f64::EPSILON).unwrap();
        prop_assert!(distance <= BigDecimal::new(5.into(), 9) + blur, "{value} became {}", decimal(steps));
    }

    #[test]
    fn an_instant_that_is_printed_reads_back(nanos in any::<i64>()) {
        let instant = Timestamp::from_nanos(nanos);
        prop_assert_eq!(instant.to_string().parse::<Timestamp>(), Ok(instant));
        let midnight = instant.floor_to(NANOS_PER_DAY);
        if midnight > Timestamp::MIN {
            let (year, month, day) = instant.date();
            prop_assert_eq!(Timestamp::from_date(year, month, day), Some(midnight));
            prop_assert_eq!(instant.day(), midnight.nanos() / NANOS_PER_DAY);
        }
    }
}

/// Beyond sixty digits an exponent is refused unseen.
fn has_wild_exponent(text: &str) -> bool {
    let exponent = text.split(['e', 'E']).nth(1).and_then(|exponent| exponent.parse::<i32>().ok());
    exponent.is_some_and(|exponent| exponent.abs() > 60)
}

#[test]
fn what_is_no_decimal_is_refused_in_a_sentence() {
    let cases = "
                               | `` is not a decimal number
        -                      | `-` is not a decimal number
        .                      | `.` is not a decimal number
        1.2.3                  | `1.2.3` is not a decimal number
        --1                    | `--1` is not a decimal number
        1,5                    | `1,5` is not a decimal number
        0x10                   | `0x10` is not a decimal number
        1e                     | `1e` is not a decimal number
        1e1.5                  | `1e1.5` is not a decimal number
        e5                     | `e5` is not a decimal number
        NaN                    | `NaN` is not a decimal number
        ١٢                     | `١٢` is not a decimal number
        0.000000001            | `0.000000001` has more than 8 decimals
        1e-9                   | `1e-9` has more than 8 decimals
        1e-2147483648          | `1e-2147483648` has more than 8 decimals
        1e2147483647           | `1e2147483647` is out of range: the largest value is 92233720368.54775807
        92233720368.54775808   | `92233720368.54775808` is out of range: the largest value is 92233720368.54775807
        -92233720368.54775809  | `-92233720368.54775809` is out of range: the largest value is 92233720368.54775807";
    for line in cases.lines().skip(1) {
        let (text, expected) = line.split_once('|').unwrap();
        let refused = text.trim().parse::<Money>().unwrap_err();
        assert_eq!(refused.to_string(), expected.trim());
    }
    let long = "9".repeat(500);
    assert_eq!(parse_steps(&long), Err(Error::OutOfRange("9".repeat(40))), "a sentence stays short");
}

#[test]
fn the_odd_forms_of_a_decimal_are_read() {
    let zeros = "0".repeat(60);
    let cases = [
        ("5.", 5 * SCALE),
        (".5", SCALE / 2),
        (".0", 0),
        ("+1.50", 3 * SCALE / 2),
        ("-0", 0),
        ("1E+2", 100 * SCALE),
        ("12e-1", 6 * SCALE / 5),
        ("92233720368.54775807", i64::MAX),
        ("-92233720368.54775808", i64::MIN),
    ];
    for (text, steps) in cases {
        assert_eq!(parse_steps(text), Ok(steps), "{text}");
    }
    assert_eq!(parse_steps(&format!("1.{zeros}")), Ok(SCALE), "zeros that say nothing");
    assert_eq!(parse_steps(&format!("{zeros}1")), Ok(SCALE), "zeros in front");
}

#[test]
fn json_numbers_are_read_as_the_decimals_that_they_were_written_as() {
    assert_eq!(serde_json::from_str::<Rate>("0.0004").unwrap().to_string(), "0.0004");
    assert_eq!(serde_json::from_str::<Money>("50000").unwrap(), Money::whole(50_000));
    assert_eq!(serde_json::from_str::<Money>("-3").unwrap(), Money::whole(-3));
    for bad in ["92233720369", "1e300", "true", "null", "\"ten\""] {
        assert!(serde_json::from_str::<Money>(bad).is_err(), "{bad}");
    }
}

#[test]
fn roundings_as_a_table() {
    let mut table = format!("\n{:>6}", "n/2");
    ROUNDINGS.iter().for_each(|rounding| table += &format!("{:>10}", format!("{rounding:?}")));
    for n in -3..=5 {
        table += &format!("\n{n:>6}");
        ROUNDINGS.iter().for_each(|rounding| table += &format!("{:>10}", div_round(n, 2, *rounding)));
    }
    let expected = "
   n/2     Floor      Ceil  Truncate  HalfEven
    -3        -2        -1        -1        -2
    -2        -1        -1        -1        -1
    -1        -1         0         0         0
     0         0         0         0         0
     1         0         1         0         0
     2         1         1         1         1
     3         1         2         1         2
     4         2         2         2         2
     5         2         3         2         2";
    assert_eq!(table, expected);
}

#[test]
fn grids_without_a_step_and_ends_of_the_range() {
    let value = Price::from_steps(123);
    assert_eq!((value.floor_to_tick(Price::ZERO), value.ceil_to_tick(Price::ZERO)), (value, value));
    assert_eq!(Price::MAX.ceil_to_tick(Price::whole(10)), Price::MAX);
    assert_eq!(Money::from_steps(i64::MIN).abs(), Money::MAX);
    assert_eq!(Money::ONE.qty_at(Price::ZERO, Rounding::Floor), Err(Error::Overflow));
    assert_eq!(Money::ONE.ratio(Money::ZERO, Rounding::Floor), None);
    assert_eq!(Money::saturating_from_exact(i128::MIN, Rounding::Floor), Money::from_steps(i64::MIN));
    assert_eq!(Money::saturating_from_exact(i128::MAX, Rounding::Floor), Money::MAX);
    for float in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e11, -1e300] {
        assert!(Money::nearest_from_f64(float).is_err(), "{float}");
    }
}

#[test]
fn instants_are_read_in_utc_or_not_at_all() {
    let four = Timestamp::from_nanos(1_746_374_400_000_000_000);
    for text in
        ["2025-05-04T16:00:00.000Z", "2025-05-04T16:00:00Z", "2025-05-04T16:00", "2025-05-04 16:00", "1746374400000"]
    {
        assert_eq!(text.parse(), Ok(four), "{text}");
    }
    assert_eq!("20250504".parse::<Timestamp>(), "2025-05-04".parse());
    let refused = [
        "2025-05-04T16:00:00+02:00",
        "2025-05-04T16:00:00-00:30",
        "2025-05-04T16:00:00[Europe/Berlin]",
        "2025-05-04T16:00:00+02:00[Europe/Berlin]",
        "2025-02-30",
        "20251301",
        "yesterday",
        "",
        "1600-01-01",
    ];
    for text in refused {
        assert_eq!(text.parse::<Timestamp>(), Err(Error::NotATime(text.into())), "{text}");
    }
}
