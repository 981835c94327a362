//! A RoundTrip leads from flat to flat: the fills of one symbol and position side, and what they earned.

use serde::Serialize;

use crate::exchange::Fill;
use crate::market::SymbolId;
use crate::units::{Money, Price, Qty, Rounding, Timestamp, div_round};

/// A closed trade. A reversal ends one and begins the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RoundTrip {
    #[serde(skip)]
    pub symbol: SymbolId,
    pub is_long: bool,
    /// Times of fills at the exchange.
    pub opened_at: Timestamp,
    pub closed_at: Timestamp,
    /// The largest position, as a magnitude.
    pub qty: Qty,
    /// Average prices, to the nearest 1e-8.
    pub entry_price: Price,
    pub exit_price: Price,
    /// What the fills realised, before fees and funding.
    pub gross: Money,
    /// Paid positive; fees in another asset than the contract's are not in it.
    pub fees: Money,
    /// Received positive.
    pub funding: Money,
    pub fills: u64,
}

impl RoundTrip {
    /// What it earned: `gross - fees + funding`.
    pub fn pnl(&self) -> Money {
        self.gross.saturating_sub(self.fees).saturating_add(self.funding)
    }
}

/// A trade that is not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenTrip {
    /// Signed: long positive.
    pub qty: Qty,
    most: Qty,
    opened_at: Timestamp,
    entered: Side,
    left: Side,
    pub gross: Money,
    pub fees: Money,
    pub funding: Money,
    pub fills: u64,
}

/// What was traded in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Side {
    qty: i128,
    /// In steps of 1e-16.
    notional: i128,
}

impl Side {
    fn add(&mut self, qty: Qty, price: Price) {
        self.qty = self.qty.saturating_add(i128::from(qty.steps()));
        self.notional = self.notional.saturating_add(price.exact_notional(qty));
    }

    fn price(&self) -> Price {
        if self.qty <= 0 {
            return Price::ZERO;
        }
        Price::from_steps(i64::try_from(div_round(self.notional, self.qty, Rounding::HalfEven)).unwrap_or(i64::MAX))
    }
}

impl OpenTrip {
    /// A position that was already there; its entry is valued at `price`.
    pub fn adopt(at: Timestamp, qty: Qty, price: Price) -> OpenTrip {
        let mut entered = Side::default();
        entered.add(qty.abs(), price);
        OpenTrip {
            qty,
            most: qty.abs(),
            opened_at: at,
            entered,
            left: Side::default(),
            gross: Money::ZERO,
            fees: Money::ZERO,
            funding: Money::ZERO,
            fills: 0,
        }
    }

    /// Begins with a fill of `signed`; `fee` is its fee, or the share of it that falls to this part.
    pub fn begin(at: Timestamp, signed: Qty, fill: &Fill, fee: Money) -> OpenTrip {
        OpenTrip { fees: fee, fills: 1, gross: fill.realized, ..OpenTrip::adopt(at, signed, fill.price) }
    }

    /// A fill that does not go beyond flat.
    pub fn fill(&mut self, signed: Qty, fill: &Fill, fee: Money) {
        let side = if signed.signum() == self.qty.signum() { &mut self.entered } else { &mut self.left };
        side.add(signed.abs(), fill.price);
        self.qty = self.qty.saturating_add(signed);
        self.most = self.most.max(self.qty.abs());
        self.gross = self.gross.saturating_add(fill.realized);
        self.fees = self.fees.saturating_add(fee);
        self.fills += 1;
    }

    /// What it earned so far, without what the open position would realise.
    pub fn pnl(&self) -> Money {
        self.gross.saturating_sub(self.fees).saturating_add(self.funding)
    }

    pub fn close(&self, symbol: SymbolId, is_long: bool, at: Timestamp) -> RoundTrip {
        RoundTrip {
            symbol,
            is_long,
            opened_at: self.opened_at,
            closed_at: at,
            qty: self.most,
            entry_price: self.entered.price(),
            exit_price: self.left.price(),
            gross: self.gross,
            fees: self.fees,
            funding: self.funding,
            fills: self.fills,
        }
    }
}
