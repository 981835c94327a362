//! Attached indicators follow the bars of a symbol and timeframe for the strategy: one closed set, no dynamic call per bar.

use crate::indicator::{Atr, Bollinger, Donchian, Ema, Indicator, Macd, Period, Rsi, Sma, Stochastic, Vwap};
use crate::market::Bar;

/// Names an attached indicator. Given by `ctx.attach`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IndicatorId(pub(crate) usize);

/// Which indicator to attach. Where it has several values, they come in the order named here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum IndicatorKind {
    /// Of closes.
    Sma(Period),
    /// Of closes.
    Ema(Period),
    /// Of closes: line, signal, histogram.
    Macd { fast: Period, slow: Period, signal: Period },
    /// Wilder's, of closes, 0 to 100.
    Rsi(Period),
    /// Wilder's.
    Atr(Period),
    /// Of closes: middle, upper, lower.
    Bollinger { period: Period, width: f64 },
    /// %K, %D.
    Stochastic { period: Period, smoothing: Period, signal: Period },
    /// Upper, lower, middle.
    Donchian(Period),
    /// Since midnight UTC.
    Vwap,
}

/// An indicator of any kind.
#[derive(Debug)]
pub(crate) enum AnyIndicator {
    Sma(Sma),
    Ema(Ema),
    Macd(Macd),
    Rsi(Rsi),
    Atr(Atr),
    Bollinger(Bollinger),
    Stochastic(Stochastic),
    Donchian(Donchian),
    Vwap(Vwap),
}

impl AnyIndicator {
    pub fn new(kind: &IndicatorKind) -> AnyIndicator {
        match *kind {
            IndicatorKind::Sma(period) => AnyIndicator::Sma(Sma::new(period)),
            IndicatorKind::Ema(period) => AnyIndicator::Ema(Ema::new(period)),
            IndicatorKind::Macd { fast, slow, signal } => AnyIndicator::Macd(Macd::new(fast, slow, signal)),
            IndicatorKind::Rsi(period) => AnyIndicator::Rsi(Rsi::new(period)),
            IndicatorKind::Atr(period) => AnyIndicator::Atr(Atr::new(period)),
            IndicatorKind::Bollinger { period, width } => AnyIndicator::Bollinger(Bollinger::new(period, width)),
            IndicatorKind::Stochastic { period, smoothing, signal } => {
                AnyIndicator::Stochastic(Stochastic::new(period, smoothing, signal))
            }
            IndicatorKind::Donchian(period) => AnyIndicator::Donchian(Donchian::new(period)),
            IndicatorKind::Vwap => AnyIndicator::Vwap(Vwap::daily()),
        }
    }

    pub fn update(&mut self, bar: &Bar) {
        match self {
            AnyIndicator::Sma(it) => drop(it.update(bar.close)),
            AnyIndicator::Ema(it) => drop(it.update(bar.close)),
            AnyIndicator::Macd(it) => drop(it.update(bar.close)),
            AnyIndicator::Rsi(it) => drop(it.update(bar.close)),
            AnyIndicator::Atr(it) => drop(it.update(*bar)),
            AnyIndicator::Bollinger(it) => drop(it.update(bar.close)),
            AnyIndicator::Stochastic(it) => drop(it.update(*bar)),
            AnyIndicator::Donchian(it) => drop(it.update(*bar)),
            AnyIndicator::Vwap(it) => drop(it.update(*bar)),
        }
    }

    pub fn values(&self) -> Option<[f64; 3]> {
        let one = |value: f64| [value, 0.0, 0.0];
        match self {
            AnyIndicator::Sma(it) => it.value().map(one),
            AnyIndicator::Ema(it) => it.value().map(one),
            AnyIndicator::Rsi(it) => it.value().map(one),
            AnyIndicator::Atr(it) => it.value().map(one),
            AnyIndicator::Vwap(it) => it.value().map(one),
            AnyIndicator::Macd(it) => it.value().map(|value| [value.line, value.signal, value.histogram]),
            AnyIndicator::Bollinger(it) => it.value().map(|bands| [bands.middle, bands.upper, bands.lower]),
            AnyIndicator::Stochastic(it) => it.value().map(|value| [value.k, value.d, 0.0]),
            AnyIndicator::Donchian(it) => it.value().map(|channel| {
                let (upper, lower) = (channel.upper.to_f64(), channel.lower.to_f64());
                [upper, lower, (upper + lower) / 2.0]
            }),
        }
    }
}
