//! Growth is what capital came to: in total, at a pace of a year, and by doing nothing.

use super::daily::DAYS_PER_YEAR;
use super::equity::EquityCurve;
use super::figure::{days, figure, money_ratio};
use crate::units::Rate;

/// `E_end / E_0 - 1`; `None` where the run did not begin with positive equity.
pub fn total_return(curve: &EquityCurve) -> Option<f64> {
    money_ratio(curve.last.saturating_sub(curve.initial), curve.initial)
}

/// The mean of the starting balance and all day ends.
pub fn mean_equity(curve: &EquityCurve) -> f64 {
    let sum: f64 = curve.days.iter().map(|day| day.equity.to_f64()).sum();
    (sum + curve.initial.to_f64()) / (curve.days.len() + 1) as f64
}

/// What a year at this pace would earn; `None` under 30 days, -1 where all is lost.
pub fn cagr(curve: &EquityCurve) -> Option<f64> {
    let days = days(curve.duration());
    if days < 30.0 || !curve.initial.is_positive() {
        return None;
    }
    if !curve.last.is_positive() {
        return Some(-1.0);
    }
    let growth = curve.last.to_f64() / curve.initial.to_f64();
    figure(libm::pow(growth, DAYS_PER_YEAR / days) - 1.0)
}

/// What all capital, put into the contract at the first price and held to the last, earns after the fee of the entry.
pub fn buy_and_hold(first: f64, last: f64, taker_fee: Rate) -> Option<f64> {
    figure(last / (first * (1.0 + taker_fee.to_f64())) - 1.0)
}
