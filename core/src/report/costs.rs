//! Costs adds up fees and funding.

use serde::Serialize;

use crate::exchange::Fill;
use crate::id::Asset;
use crate::units::{Money, Rounding};

/// Fees of one asset, paid positive; rebates lower them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct AssetFees {
    pub asset: Asset,
    pub taker: Money,
    pub maker: Money,
    pub liquidation: Money,
}

impl AssetFees {
    pub fn none(asset: Asset) -> AssetFees {
        AssetFees { asset, taker: Money::ZERO, maker: Money::ZERO, liquidation: Money::ZERO }
    }

    pub fn total(&self) -> Money {
        self.taker.saturating_add(self.maker).saturating_add(self.liquidation)
    }
}

/// What trading cost.
#[derive(Debug, Clone, Default)]
pub struct Costs {
    /// In the order of first use.
    fees: Vec<AssetFees>,
    /// Not negative.
    pub funding_paid: Money,
    pub funding_received: Money,
    /// The magnitude of all fills in steps of 1e-16: bought plus sold.
    traded: i128,
    /// The part of it that rested in the book.
    made: i128,
}

impl Costs {
    pub fn fill(&mut self, fill: &Fill) {
        let notional = fill.price.exact_notional(fill.qty);
        self.traded = self.traded.saturating_add(notional);
        if fill.is_maker {
            self.made = self.made.saturating_add(notional);
        }
        if fill.fee.is_zero() {
            return;
        }
        let index = self.fees.iter().position(|fees| fees.asset == fill.fee_asset).unwrap_or_else(|| {
            self.fees.push(AssetFees::none(fill.fee_asset));
            self.fees.len() - 1
        });
        let fees = &mut self.fees[index];
        let kind = match (fill.is_liquidation, fill.is_maker) {
            (true, _) => &mut fees.liquidation,
            (false, true) => &mut fees.maker,
            (false, false) => &mut fees.taker,
        };
        *kind = kind.saturating_add(fill.fee);
    }

    /// `amount` is received positive, paid negative.
    pub fn fund(&mut self, amount: Money) {
        if amount.is_negative() {
            self.funding_paid = self.funding_paid.saturating_sub(amount);
        } else {
            self.funding_received = self.funding_received.saturating_add(amount);
        }
    }

    /// Received less paid.
    pub fn funding(&self) -> Money {
        self.funding_received.saturating_sub(self.funding_paid)
    }

    /// The fees paid in `asset`.
    pub fn fees(&self, asset: Asset) -> AssetFees {
        let fees = self.fees.iter().find(|fees| fees.asset == asset);
        fees.copied().unwrap_or(AssetFees::none(asset))
    }

    /// Fees by asset, in the order of first use.
    pub fn all_fees(&self) -> &[AssetFees] {
        &self.fees
    }

    /// The magnitude of all fills, bought plus sold.
    pub fn traded(&self) -> Money {
        Money::from_exact(self.traded, Rounding::HalfEven).unwrap_or(Money::MAX)
    }

    /// How much of what was traded rested in the book, by notional.
    pub fn maker_ratio(&self) -> Option<f64> {
        (self.traded > 0).then(|| self.made as f64 / self.traded as f64)
    }
}
