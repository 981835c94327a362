//! Indicators against worked examples that others published, number by number.
//!
//! The ChartSchool tables are the spreadsheets beside the indicator pages of StockCharts
//! (chartschool.stockcharts.com, "Technical Indicators and Overlays"): cs-movavg, cs-rsi, cs-atr, cs-bbands, cs-soo.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

use alphaengine_core::indicator::{
    Atr, Bollinger, Ema, Indicator, Macd, Period, PeriodError, RollingStd, Rsi, Sma, Stochastic, TrueRange, Vwap,
};
use alphaengine_core::market::{Bar, Timeframe};
use alphaengine_core::units::{NANOS_PER_DAY, NANOS_PER_MINUTE, Price, Qty, Timestamp};

fn period(inputs: usize) -> Period {
    Period::new(inputs).unwrap()
}

fn price(value: f64) -> Price {
    Price::nearest_from_f64(value).unwrap()
}

fn bar(high: f64, low: f64, close: f64) -> Bar {
    Bar {
        open_time: Timestamp::ZERO,
        open: price(close),
        high: price(high),
        low: price(low),
        close: price(close),
        volume: Qty::ONE,
        timeframe: Timeframe::M1,
    }
}

/// Feeds everything and compares from the first value on. The first value must come when `warm_up` says.
fn check<I: Indicator>(
    mut indicator: I,
    inputs: impl IntoIterator<Item = I::Input>,
    expected: &[f64],
    tolerance: f64,
    read: impl Fn(I::Output) -> f64,
) {
    let warm_up = indicator.warm_up();
    let mut found = Vec::new();
    for (number, input) in inputs.into_iter().enumerate() {
        let value = indicator.update(input);
        assert_eq!(value.is_some(), number + 1 >= warm_up, "input {number} with a warm-up of {warm_up}");
        assert_eq!(indicator.is_ready(), value.is_some());
        found.extend(value.map(&read));
    }
    assert_eq!(found.len(), expected.len());
    for (number, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert!((found - expected).abs() <= tolerance, "value {number}: found {found}, published {expected}");
    }
}

/// ChartSchool, moving averages: Intel, 24 March to 5 May 2010.
const MOVING_AVERAGE_CLOSES: [f64; 30] = [
    22.2734, 22.1940, 22.0847, 22.1741, 22.1840, 22.1344, 22.2337, 22.4323, 22.2436, 22.2933, 22.1542, 22.3926,
    22.3816, 22.6109, 23.3558, 24.0519, 23.7530, 23.8324, 23.9516, 23.6338, 23.8225, 23.8722, 23.6537, 23.1870,
    23.0976, 23.3260, 22.6805, 23.0976, 22.4025, 22.1725,
];

#[test]
fn sma_10_is_chartschools() {
    let expected = [
        22.22475, 22.21283, 22.23269, 22.26238, 22.30606, 22.42324, 22.61499, 22.76692, 22.90693, 23.07773, 23.21178,
        23.37861, 23.52657, 23.65378, 23.71139, 23.68557, 23.61298, 23.50573, 23.43225, 23.27734, 23.13121,
    ];
    // Ten prices of four decimals have a mean of five: the published figures are exact.
    check(Sma::new(period(10)), MOVING_AVERAGE_CLOSES.map(price), &expected, 1e-12, |value| value);
}

#[test]
fn ema_10_is_chartschools() {
    // The page prints two decimals: 22.22 22.21 22.24 22.27 22.33 22.52 22.80 22.97 23.13 23.28 ... 22.92; these are the same
    // cells to ten.
    let expected = [
        22.2247500000,
        22.2119227273,
        22.2447731405,
        22.2696507513,
        22.3316960693,
        22.5178967839,
        22.7968064596,
        22.9706598306,
        23.1273398614,
        23.2772053411,
        23.3420407336,
        23.4293969639,
        23.5099066068,
        23.5360508601,
        23.4725870674,
        23.4044076006,
        23.3901516732,
        23.2611240963,
        23.2313924424,
        23.0806847256,
        22.9155602300,
    ];
    check(Ema::new(period(10)), MOVING_AVERAGE_CLOSES.map(price), &expected, 1e-9, |value| value);
}

#[test]
fn rsi_14_is_wilders() {
    // ChartSchool, cs-rsi: QQQQ. Its table shows every intermediate mean; the first value is
    // 100 - 100 / (1 + 0.2384 / 0.0996) = 70.53.
    let closes = [
        44.3389, 44.0902, 44.1497, 43.6124, 44.3278, 44.8264, 45.0955, 45.4245, 45.8433, 46.0826, 45.8931, 46.0328,
        45.6140, 46.2820, 46.2820, 46.0028, 46.0328, 46.4116, 46.2222, 45.6439, 46.2122, 46.2521, 45.7137, 46.4515,
        45.7835, 45.3548, 44.0288, 44.1783, 44.2181, 44.5672, 43.4205, 42.6628, 43.1314,
    ];
    let expected = [
        70.5328, 66.3186, 66.5498, 69.4063, 66.3552, 57.9749, 62.9296, 63.2571, 56.0593, 62.3771, 54.7076, 50.4228,
        39.9898, 41.4605, 41.8689, 45.4632, 37.3040, 33.0795, 37.7730,
    ];
    check(Rsi::new(period(14)), closes.map(price), &expected, 5.1e-5, |value| value);
}

/// ChartSchool, cs-atr: QQQQ, April and May 2010; high, low, close.
const ATR_BARS: [(f64, f64, f64); 30] = [
    (48.70, 47.79, 48.16),
    (48.72, 48.14, 48.61),
    (48.90, 48.39, 48.75),
    (48.87, 48.37, 48.63),
    (48.82, 48.24, 48.74),
    (49.05, 48.635, 49.03),
    (49.20, 48.94, 49.07),
    (49.35, 48.86, 49.32),
    (49.92, 49.50, 49.91),
    (50.19, 49.87, 50.13),
    (50.12, 49.20, 49.53),
    (49.66, 48.90, 49.50),
    (49.88, 49.43, 49.75),
    (50.19, 49.725, 50.03),
    (50.36, 49.26, 50.31),
    (50.57, 50.09, 50.52),
    (50.65, 50.30, 50.41),
    (50.43, 49.21, 49.34),
    (49.63, 48.98, 49.37),
    (50.33, 49.61, 50.23),
    (50.29, 49.20, 49.2375),
    (50.17, 49.43, 49.93),
    (49.32, 48.08, 48.43),
    (48.50, 47.64, 48.18),
    (48.3201, 41.55, 46.57),
    (46.80, 44.2833, 45.41),
    (47.80, 47.31, 47.77),
    (48.39, 47.20, 47.72),
    (48.66, 47.90, 48.62),
    (48.79, 47.7301, 47.85),
];

fn atr_bars() -> impl Iterator<Item = Bar> {
    ATR_BARS.into_iter().map(|(high, low, close)| bar(high, low, close))
}

#[test]
fn true_range_is_chartschools() {
    let expected = [
        0.91, 0.58, 0.51, 0.5, 0.58, 0.415, 0.26, 0.49, 0.6, 0.32, 0.93, 0.76, 0.45, 0.465, 1.1, 0.48, 0.35, 1.22,
        0.65, 0.96, 1.09, 0.9325, 1.85, 0.86, 6.7701, 2.5167, 2.39, 1.19, 0.94, 1.0599,
    ];
    check(TrueRange::new(), atr_bars(), &expected, 0.0, Price::to_f64);
}

#[test]
fn atr_14_is_wilders() {
    let expected = [
        0.555, 0.593929, 0.585791, 0.568949, 0.615452, 0.61792, 0.642354, 0.674329, 0.69277, 0.775429, 0.78147,
        1.209229, 1.30262, 1.38029, 1.366698, 1.336219, 1.316482,
    ];
    check(Atr::new(period(14)), atr_bars(), &expected, 5.1e-7, |value| value);
}

#[test]
fn macd_12_26_9_is_investexcels() {
    // investexcel.net, "How to Calculate MACD in Excel": AAPL, February to April 2013.
    let closes = [
        459.99, 448.85, 446.06, 450.81, 442.80, 448.97, 444.57, 441.40, 430.47, 420.05, 431.14, 425.66, 430.58, 431.72,
        437.87, 428.43, 428.35, 432.50, 443.66, 455.72, 454.49, 452.08, 452.73, 461.91, 463.58, 461.14, 452.08, 442.66,
        428.91, 429.79, 431.99, 427.72, 423.20, 426.21, 426.98, 435.69, 434.33, 429.80,
    ];
    let lines = [-2.070558190, -2.621842328, -2.329066740, -2.181632115, -2.402626273];
    let signals = [3.037525869, 1.905652229, 1.058708435, 0.410640325, -0.152012994];
    let macd = || Macd::new(period(12), period(26), period(9));
    check(macd(), closes.map(price), &lines, 1e-9, |value| value.line);
    check(macd(), closes.map(price), &signals, 1e-9, |value| value.signal);
    check(
        macd(),
        closes.map(price),
        &[-5.108084059, -4.527494558, -3.387775176, -2.592272440, -2.250613279],
        1e-9,
        |v| v.histogram,
    );

    let mut early = macd();
    for close in &closes[..26] {
        assert_eq!(early.line(), None);
        assert_eq!(early.update(price(*close)), None);
    }
    assert!((early.line().unwrap() - 8.275269504).abs() < 1e-9);
}

#[test]
fn bollinger_20_2_is_chartschools() {
    // cs-bbands: SPY.
    let closes = [
        86.1557, 89.0867, 88.7829, 90.3228, 89.0671, 91.1453, 89.4397, 89.1750, 86.9302, 87.6752, 86.9596, 89.4299,
        89.3221, 88.7241, 87.4497, 87.2634, 89.4985, 87.9006, 89.1260, 90.7043, 92.9001, 92.9784, 91.8021, 92.6647,
        92.6843, 92.3021, 92.7725, 92.5373, 92.9490, 93.2039, 91.0669, 89.8318, 89.7435, 90.3994, 90.7387, 88.0177,
        88.0867, 88.8439, 90.7781, 90.5416, 91.3894, 90.6500,
    ];
    let deviations = [
        1.291961, 1.452054, 1.686425, 1.771747, 1.902075, 2.019895, 2.076546, 2.176557, 2.241921, 2.202359, 2.192185,
        2.021805, 2.009411, 1.995080, 1.936044, 1.760127, 1.682751, 1.779126, 1.704060, 1.642001, 1.645086, 1.601325,
        1.549162,
    ];
    let middles = [
        88.707940, 89.045160, 89.239745, 89.390705, 89.507800, 89.688660, 89.746500, 89.913140, 90.081255, 90.382195,
        90.658630, 90.863995, 90.884090, 90.905160, 90.988925, 91.153375, 91.191090, 91.120500, 91.167665, 91.250270,
        91.242135, 91.166600, 91.050180,
    ];
    let uppers = [
        91.291862, 91.949268, 92.612595, 92.934200, 93.311950, 93.728450, 93.899592, 94.266255, 94.565096, 94.786912,
        95.043001, 94.907605, 94.902912, 94.895320, 94.861013, 94.673629, 94.556593, 94.678752, 94.575786, 94.534271,
        94.532306, 94.369251, 94.148503,
    ];
    let lowers = [
        86.124018, 86.141052, 85.866895, 85.847210, 85.703650, 85.648870, 85.593408, 85.560025, 85.597414, 85.977478,
        86.274259, 86.820385, 86.865268, 86.915000, 87.116837, 87.633121, 87.825587, 87.562248, 87.759544, 87.966269,
        87.951964, 87.963949, 87.951857,
    ];
    check(RollingStd::new(period(20)), closes.map(price), &deviations, 1e-6, |value| value);
    let bands = || Bollinger::new(period(20), 2.0);
    check(bands(), closes.map(price), &middles, 1e-9, |value| value.middle);
    check(bands(), closes.map(price), &uppers, 1.1e-6, |value| value.upper);
    check(bands(), closes.map(price), &lowers, 1.1e-6, |value| value.lower);
}

#[test]
fn stochastic_14_1_3_is_chartschools() {
    // cs-soo. The table begins its closes with the 14th bar; a close between low and high stands in before.
    let highs = [
        127.0090, 127.6159, 126.5911, 127.3472, 128.1730, 128.4317, 127.3671, 126.4220, 126.8995, 126.8498, 125.6460,
        125.7156, 127.1582, 127.7154, 127.6855, 128.2228, 128.2725, 128.0934, 128.2725, 127.7353, 128.7700, 129.2873,
        130.0633, 129.1182, 129.2873, 128.4715, 128.0934, 128.6506, 129.1381, 128.6406,
    ];
    let lows = [
        125.3574, 126.1633, 124.9296, 126.0937, 126.8199, 126.4817, 126.0340, 124.8301, 126.3921, 125.7156, 124.5615,
        124.5715, 125.0689, 126.8597, 126.6309, 126.8001, 126.7105, 126.8001, 126.1335, 125.9245, 126.9891, 127.8148,
        128.4715, 128.0641, 127.6059, 127.5960, 126.9990, 126.8995, 127.4865, 127.3970,
    ];
    let closes = [
        127.2876, 127.1781, 128.0138, 127.1085, 127.7253, 127.0587, 127.3273, 128.7103, 127.8745, 128.5809, 128.6008,
        127.9342, 128.1133, 127.5960, 127.5960, 128.6904, 128.2725,
    ];
    let close = |number: usize| if number < 13 { lows[number] } else { closes[number - 13] };
    let bars = || (0..30).map(|number| bar(highs[number], lows[number], close(number)));
    let ks = [
        89.2021, 65.8106, 81.7477, 64.5238, 74.5298, 98.5814, 70.1045, 73.0561, 73.4178, 61.2313, 60.9563, 40.3861,
        40.3861, 66.8285, 56.7314,
    ];
    let ds = [
        75.7497, 74.2072, 78.9201, 70.6940, 73.6004, 79.2117, 81.0719, 80.5807, 72.1928, 69.2351, 65.2018, 54.1912,
        47.2428, 49.2003, 54.6487,
    ];
    let fast = || Stochastic::new(period(14), period(1), period(3));
    // The inputs were rounded to four decimals before they were published, the results were computed from longer ones.
    check(fast(), bars(), &ks, 2e-3, |value| value.k);
    check(fast(), bars(), &ds, 2e-3, |value| value.d);
    // The slow %K is the fast %D.
    check(Stochastic::new(period(14), period(3), period(1)), bars(), &ds, 2e-3, |value| value.k);
}

#[test]
fn vwap_begins_anew_each_day_and_rolls_over_a_window() {
    let traded = |minute: i64, typical: i64, volume: i64| Bar {
        open_time: Timestamp::from_nanos(NANOS_PER_DAY - 2 * NANOS_PER_MINUTE + minute * NANOS_PER_MINUTE),
        // High and low three away from the close: the typical price is the close.
        volume: Qty::whole(volume),
        ..bar(typical as f64 + 3.0, typical as f64 - 3.0, typical as f64)
    };
    let bars = || [traded(0, 10, 1), traded(1, 20, 3), traded(2, 40, 0), traded(3, 40, 2), traded(4, 60, 2)];
    // Day 1: 10, then (10 + 3 * 20) / 4 = 17.5. Day 2 begins with a bar without volume, so nothing is known; then 40, then
    // (80 + 120) / 4 = 50.
    let mut daily = Vwap::daily();
    let found: Vec<_> = bars().into_iter().map(|bar| daily.update(bar)).collect();
    assert_eq!(found, [Some(10.0), Some(17.5), None, Some(40.0), Some(50.0)]);
    // Two bars: (10 + 60) / 4, 60 / 3, 80 / 2, 200 / 4.
    check(Vwap::rolling(period(2)), bars(), &[17.5, 20.0, 40.0, 50.0], 1e-12, |value| value);
}

#[test]
fn what_the_formulas_leave_open_is_decided() {
    let mut flat = Rsi::new(period(3));
    let values: Vec<_> = [5.0; 5].into_iter().map(|value| flat.update(price(value))).collect();
    assert_eq!(values, [None, None, None, Some(50.0), Some(50.0)]);
    let mut rising = Rsi::new(period(2));
    assert_eq!([1.0, 2.0, 3.0].map(|value| rising.update(price(value))), [None, None, Some(100.0)]);
    let mut falling = Rsi::new(period(2));
    assert_eq!([3.0, 2.0, 1.0].map(|value| falling.update(price(value))), [None, None, Some(0.0)]);
    let mut still = Stochastic::new(period(1), period(1), period(1));
    assert_eq!(still.update(bar(7.0, 7.0, 7.0)).map(|value| (value.k, value.d)), Some((50.0, 50.0)));
}

#[test]
fn a_period_is_checked_once() {
    assert_eq!(Period::new(0), Err(PeriodError { inputs: 0 }));
    assert!(Period::new(Period::MAX).is_ok());
    assert!(Period::new(Period::MAX + 1).is_err());
    assert!(Period::try_from(usize::MAX).is_err());
}
