//! Margin arithmetic (`binance-usdm.md` sections 8.5 and 8.6), as pure functions.

use alphaengine_core::instrument::Instrument;
use alphaengine_core::order::Side;
use alphaengine_core::units::{Money, Price, Qty, Rate, Rounding, SCALE, div_round};

/// Initial margin: notional by leverage, rounded up.
pub fn initial(notional: Money, leverage: u32) -> Money {
    let steps = div_round(i128::from(notional.steps()), i128::from(leverage.max(1)), Rounding::Ceil);
    Money::from_steps(i64::try_from(steps).unwrap_or(i64::MAX))
}

/// Maintenance margin: `notional * mmr - cum` of the notional's bracket, rounded up.
pub fn maintenance(instrument: &Instrument, notional: Money) -> Money {
    let bracket = instrument.bracket(notional);
    let share = notional.times(bracket.mmr, Rounding::Ceil).unwrap_or(Money::MAX);
    share.saturating_sub(bracket.cum).max(Money::ZERO)
}

/// One position for [`liquidation_price`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exposure {
    pub side: Side,
    /// Positive.
    pub qty: Qty,
    pub entry: Price,
}

/// The mark price at which a position of one-way mode is liquidated, rounded to the nearest 1e-8; `None` when no positive price
/// does.
///
/// `wallet` is the cross wallet (isolated: the position's margin) less the maintenance margin, plus the unrealised profit, of all
/// other cross positions. The bracket depends on the result, so the one is searched in which the notional at the result lies.
///
/// ```
/// use alphaengine_core::instrument::Catalog;
/// use alphaengine_core::order::Side;
/// use alphaengine_sim::margin::{Exposure, liquidation_price};
///
/// let catalog = Catalog::builtin();
/// let bitcoin = catalog.get(&"BTCUSDT".parse()?)?;
/// let long = Exposure { side: Side::Buy, qty: "1".parse()?, entry: "10000".parse()? };
/// let price = liquidation_price(bitcoin, &long, "1000".parse()?).unwrap();
/// assert_eq!(format!("{:.2}", price.to_f64()), "9036.14");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn liquidation_price(instrument: &Instrument, position: &Exposure, wallet: Money) -> Option<Price> {
    let mut in_last = None;
    for bracket in &instrument.brackets {
        let price = price_in_bracket(position, wallet, bracket.mmr, bracket.cum);
        let Some(price) = price.filter(|price| price.is_positive()) else {
            continue;
        };
        let notional = price.notional(position.qty, Rounding::Ceil).ok()?;
        if notional > bracket.floor && notional <= bracket.cap {
            return Some(price);
        }
        in_last = (notional > bracket.cap).then_some(price);
    }
    in_last
}

/// `(wallet + cum - side * qty * entry) / (qty * mmr - side * qty)`.
fn price_in_bracket(position: &Exposure, wallet: Money, mmr: Rate, cum: Money) -> Option<Price> {
    let scale = i128::from(SCALE);
    let sign = if position.side == Side::Buy { 1 } else { -1 };
    let qty = i128::from(position.qty.steps());
    let numerator = wallet.exact() + cum.exact() - sign * position.entry.exact_notional(position.qty);
    // In steps of 1e-16; the quotient of 1e-16 steps times 1e8 gives steps of a price.
    let denominator = qty * (i128::from(mmr.steps()) - sign * scale);
    let (numerator, denominator) = if denominator < 0 { (-numerator, -denominator) } else { (numerator, denominator) };
    if denominator == 0 {
        return None;
    }
    let price = div_round(numerator.checked_mul(scale)?, denominator, Rounding::HalfEven);
    i64::try_from(price).ok().map(Price::from_steps)
}

#[cfg(test)]
mod tests {
    use alphaengine_core::instrument::Catalog;

    use super::*;

    fn bitcoin() -> Instrument {
        Catalog::builtin().get(&"BTCUSDT".parse().unwrap()).unwrap().clone()
    }

    fn at(side: Side, qty: &str, entry: &str, wallet: &str) -> String {
        let position = Exposure { side, qty: qty.parse().unwrap(), entry: entry.parse().unwrap() };
        let price = liquidation_price(&bitcoin(), &position, wallet.parse().unwrap());
        price.map_or("none".into(), |price| format!("{:.2}", price.to_f64()))
    }

    /// The worked examples of `binance-usdm.md` 8.6.
    #[test]
    fn the_documented_liquidation_prices() {
        assert_eq!(at(Side::Buy, "1", "10000", "1000"), "9036.14");
        assert_eq!(at(Side::Sell, "1", "10000", "1000"), "10956.18");
    }

    #[test]
    fn a_long_with_all_its_money_is_never_liquidated() {
        assert_eq!(at(Side::Buy, "1", "10000", "10000"), "none");
    }

    /// In a higher bracket the maintenance margin at the liquidation price equals what is left.
    #[test]
    fn at_the_liquidation_price_the_margin_is_what_is_left() {
        let (qty, entry): (Qty, Price) = ("200".parse().unwrap(), "100000".parse().unwrap());
        let wallet: Money = "1000000".parse().unwrap();
        for side in [Side::Buy, Side::Sell] {
            let price = liquidation_price(&bitcoin(), &Exposure { side, qty, entry }, wallet).unwrap();
            let notional = price.notional(qty, Rounding::HalfEven).unwrap();
            let profit = side.signed(qty);
            let profit =
                Money::from_exact(price.exact_notional(profit) - entry.exact_notional(profit), Rounding::HalfEven);
            let left = wallet.checked_add(profit.unwrap()).unwrap();
            let difference = left.checked_sub(maintenance(&bitcoin(), notional)).unwrap();
            assert!(difference.abs() < "0.00001".parse().unwrap(), "{side:?}: {price}, off by {difference}");
        }
    }

    /// `binance-usdm.md` 8.5: the bracket table is continuous at its floors, and a cap is inclusive.
    #[test]
    fn maintenance_is_continuous_over_the_brackets() {
        let instrument = bitcoin();
        for bracket in &instrument.brackets[..instrument.brackets.len() - 1] {
            let at_cap = maintenance(&instrument, bracket.cap);
            let above = maintenance(&instrument, bracket.cap.saturating_add(Money::STEP));
            assert!(above.saturating_sub(at_cap) <= Money::from_steps(2), "at {}", bracket.cap);
        }
    }

    #[test]
    fn initial_margin_is_rounded_against_the_account() {
        assert_eq!(initial("100".parse().unwrap(), 3).to_string(), "33.33333334");
    }
}
