//! A Position is a signed quantity and what it cost, exactly: its average entry price is never rounded into the money.

use serde::{Deserialize, Serialize};

use crate::units::{Error, Money, Price, Qty, Rounding, SCALE, div_round};

/// A position of one symbol and side. Flat is the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Position {
    /// Long positive, short negative.
    qty: Qty,
    /// The sum of signed quantity times price over what is held, in steps of 1e-16; of a short it is negative.
    #[serde(with = "exact_text")]
    cost: i128,
}

impl Position {
    pub const FLAT: Position = Position { qty: Qty::ZERO, cost: 0 };

    #[inline]
    pub const fn qty(&self) -> Qty {
        self.qty
    }

    #[inline]
    pub const fn is_flat(&self) -> bool {
        self.qty.is_zero()
    }

    /// The average entry price, to the nearest 1e-8; zero when flat. For display and for the exchange's messages: the
    /// arithmetic uses the exact cost.
    pub fn entry_price(&self) -> Price {
        if self.is_flat() {
            return Price::ZERO;
        }
        let (cost, qty) = (self.cost.abs(), i128::from(self.qty.steps()).abs());
        Price::from_steps(i64::try_from(div_round(cost, qty, Rounding::HalfEven)).unwrap_or(i64::MAX))
    }

    /// What was paid for a long, or minus what was received for a short, in steps of 1e-16.
    #[inline]
    pub const fn exact_cost(&self) -> i128 {
        self.cost
    }

    /// What the position would realise at `price`, in steps of 1e-16, without rounding.
    #[inline]
    pub fn exact_unrealized(&self, price: Price) -> i128 {
        price.exact_notional(self.qty) - self.cost
    }

    /// What the position would realise at `price`, to the nearest 1e-8.
    pub fn unrealized(&self, price: Price) -> Result<Money, Error> {
        Money::from_exact(self.exact_unrealized(price), Rounding::HalfEven)
    }

    /// The magnitude of quantity times `price`, rounded up: what limits and brackets look at.
    pub fn notional(&self, price: Price) -> Result<Money, Error> {
        price.notional(self.qty.abs(), Rounding::Ceil)
    }

    /// Books a fill of `signed` quantity (bought positive) and tells what it realises, before fees.
    ///
    /// A fill against the position closes first and opens the rest at its price. Realised money is rounded to the nearest
    /// 1e-8; what the rounding leaves stays in the cost of the rest, so that many partial closes add up to one whole close.
    ///
    /// ```
    /// use alphaengine_core::position::Position;
    /// let mut position = Position::FLAT;
    /// position.fill("2".parse()?, "100".parse()?)?;
    /// assert_eq!(position.fill("-3".parse()?, "110".parse()?)?.to_string(), "20");
    /// assert_eq!((position.qty().to_string(), position.entry_price().to_string()), ("-1".into(), "110".into()));
    /// # Ok::<(), alphaengine_core::units::Error>(())
    /// ```
    pub fn fill(&mut self, signed: Qty, price: Price) -> Result<Money, Error> {
        if self.qty.signum() * signed.signum() >= 0 {
            self.qty = self.qty.checked_add(signed)?;
            self.cost = self.cost.checked_add(price.exact_notional(signed)).ok_or(Error::Overflow)?;
            return Ok(Money::ZERO);
        }
        let closing = if signed.abs() <= self.qty.abs() { signed } else { self.qty.checked_neg()? };
        let opening = signed.checked_sub(closing)?;
        let proceeds = -price.exact_notional(closing);
        let realized = Money::from_exact(proceeds - self.cost_of(closing.abs()), Rounding::HalfEven)?;
        self.qty = self.qty.checked_add(closing)?;
        self.cost = if self.qty.is_zero() { 0 } else { self.cost - (proceeds - realized.exact()) };
        if !opening.is_zero() {
            self.qty = opening;
            self.cost = price.exact_notional(opening);
        }
        Ok(realized)
    }

    /// A position as the exchange describes it.
    pub fn of(qty: Qty, entry_price: Price) -> Position {
        Position { qty, cost: entry_price.exact_notional(qty) }
    }

    /// The share of the cost that belongs to `part` of the quantity. The division is split so that nothing exceeds 128 bits.
    fn cost_of(&self, part: Qty) -> i128 {
        let (part, whole) = (i128::from(part.steps()), i128::from(self.qty.steps()).abs());
        if part == whole {
            return self.cost;
        }
        let (quotient, remainder) = (self.cost / whole, self.cost % whole);
        quotient * part + remainder * part / whole
    }

    /// The cost in money, to the nearest 1e-8: of a long what was paid, of a short minus what was received.
    pub fn cost(&self) -> Result<Money, Error> {
        Money::from_exact(self.cost, Rounding::HalfEven)
    }
}

const _: () = assert!(SCALE == 100_000_000, "the cost is kept at the square of the scale");

/// 128-bit integers as text: JSON numbers do not hold them.
mod exact_text {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(value: &i128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i128, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
