//! The Account marks the state to market: equity is what is held plus what the positions would realise now.
//!
//! It is kept exactly (steps of 1e-16) and updated in a few additions a price, because it is asked at every market update.

use crate::id::Asset;
use crate::market::SymbolId;
use crate::position::Position;
use crate::state::State;
use crate::units::{Money, Price, Qty, Rounding};

/// The account at the newest prices.
#[derive(Debug, Clone)]
pub struct Account {
    asset: Asset,
    /// Wallet and isolated margins, in steps of 1e-16.
    holdings: i128,
    /// The sum of `symbols[..].unrealized`.
    unrealized: i128,
    symbols: Vec<Valuation>,
    /// The symbol whose price last changed the equity, and its price before that.
    before: (SymbolId, Price),
}

/// One symbol's part.
#[derive(Debug, Clone, Copy, Default)]
struct Valuation {
    /// The newest mark price, bars too coarse to value anything left out; while there has never been one, the last price. Zero
    /// before the first.
    price: Price,
    has_mark: bool,
    is_held: bool,
    /// The positions together: their signed quantity and their cost. In hedge mode a long and a short offset each other.
    qty: Qty,
    cost: i128,
    unrealized: i128,
}

impl Valuation {
    /// What the positions would realise at the price, in steps of 1e-16; nothing before the first price.
    #[inline]
    fn exact_unrealized(&self) -> i128 {
        if self.price.is_zero() { 0 } else { self.price.exact_notional(self.qty) - self.cost }
    }
}

impl Account {
    pub fn new(asset: Asset, symbols: usize) -> Account {
        Account {
            asset,
            holdings: 0,
            unrealized: 0,
            symbols: vec![Valuation::default(); symbols],
            before: (SymbolId(0), Price::ZERO),
        }
    }

    /// The asset in which equity is counted; what is held in others is left out.
    pub fn asset(&self) -> Asset {
        self.asset
    }

    /// A trade or a quote moved the price. Does nothing for symbols that have mark prices. True when the equity changed.
    #[inline]
    pub fn last_price(&mut self, symbol: SymbolId, price: Price) -> bool {
        !self.symbols[symbol.index()].has_mark && self.value_at(symbol, price)
    }

    /// The mark price moved. True when the equity changed.
    pub fn mark_price(&mut self, symbol: SymbolId, price: Price) -> bool {
        self.symbols[symbol.index()].has_mark = true;
        self.value_at(symbol, price)
    }

    #[inline]
    fn value_at(&mut self, symbol: SymbolId, price: Price) -> bool {
        let valuation = &mut self.symbols[symbol.index()];
        if valuation.price == price {
            return false;
        }
        let before = std::mem::replace(&mut valuation.price, price);
        if !valuation.is_held {
            return false;
        }
        self.before = (symbol, before);
        let unrealized = valuation.exact_unrealized();
        self.unrealized += unrealized - valuation.unrealized;
        valuation.unrealized = unrealized;
        true
    }

    /// The state's money or the symbol's positions changed.
    pub fn refresh(&mut self, state: &State, symbol: Option<SymbolId>) {
        self.holdings = state.ledger.holdings(self.asset).exact();
        if let Some(symbol) = symbol {
            let valuation = &mut self.symbols[symbol.index()];
            let positions = state.positions(symbol);
            valuation.is_held = positions.iter().any(|position| !position.is_flat());
            valuation.qty = positions.iter().fold(Qty::ZERO, |sum, position| sum.saturating_add(position.qty()));
            valuation.cost = positions.iter().map(Position::exact_cost).sum();
            let unrealized = valuation.exact_unrealized();
            self.unrealized += unrealized - valuation.unrealized;
            valuation.unrealized = unrealized;
        }
    }

    /// Holdings plus unrealised profit, in steps of 1e-16.
    #[inline]
    pub fn equity_exact(&self) -> i128 {
        self.holdings + self.unrealized
    }

    /// Holdings plus unrealised profit, to the nearest 1e-8; saturates.
    pub fn equity(&self) -> Money {
        Money::saturating_from_exact(self.equity_exact(), Rounding::HalfEven)
    }

    /// What is held, profit not counted.
    pub fn wallet(&self) -> Money {
        Money::saturating_from_exact(self.holdings, Rounding::HalfEven)
    }

    pub fn unrealized(&self) -> Money {
        Money::saturating_from_exact(self.unrealized, Rounding::HalfEven)
    }

    /// The price at which the symbol's positions are valued: its mark, else its last price; `None` before the first.
    #[inline]
    pub fn price(&self, symbol: SymbolId) -> Option<Price> {
        let price = self.symbols[symbol.index()].price;
        price.is_positive().then_some(price)
    }

    /// The price at which the symbol's positions were valued before the equity last changed by a price.
    pub fn price_before(&self, symbol: SymbolId) -> Option<Price> {
        let (moved, before) = self.before;
        if moved == symbol && before.is_positive() { Some(before) } else { self.price(symbol) }
    }

    /// The sum of the magnitudes of all positions at their prices, rounded up; saturates.
    pub fn notional(&self, state: &State) -> Money {
        let mut total = Money::ZERO;
        for (index, valuation) in self.symbols.iter().enumerate().filter(|(_, valuation)| valuation.is_held) {
            for position in state.positions(SymbolId(index as u16)) {
                total = total.saturating_add(position.notional(valuation.price).unwrap_or(Money::MAX));
            }
        }
        total
    }

    /// Whether everything that is held has a price: before that the equity says nothing.
    pub fn is_valued(&self) -> bool {
        self.symbols.iter().all(|valuation| !valuation.is_held || valuation.price.is_positive())
    }

    /// Whether any position is held.
    pub fn is_exposed(&self) -> bool {
        self.symbols.iter().any(|valuation| valuation.is_held)
    }
}
