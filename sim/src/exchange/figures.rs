//! The figures of the account as the exchange shows them: margins, profits, what is free (`binance-usdm.md` section 8.5).

use alphaengine_core::exchange::ExchangeError;
use alphaengine_core::market::SymbolId;
use alphaengine_core::order::{PositionSide, Side};
use alphaengine_core::position::Position;
use alphaengine_core::units::{Money, Price, Rounding};

use super::SimExchange;
use crate::filters::refuse;
use crate::margin;

/// One position in the exchange's words. Flat ones have figures too: their open orders may need margin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PositionFigures {
    pub position: Position,
    /// Zero before the first price.
    pub mark: Price,
    pub unrealized: Money,
    /// Signed: of a short negative.
    pub notional: Money,
    pub initial_margin: Money,
    pub maintenance: Money,
    /// The isolated margin; zero with cross margin.
    pub isolated_wallet: Money,
}

/// The account in the exchange's words. One margin asset, so that the totals are those of the asset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AccountFigures {
    /// Isolated margins included, unrealised profit not.
    pub wallet: Money,
    pub cross_wallet: Money,
    pub unrealized: Money,
    pub cross_unrealized: Money,
    pub position_initial: Money,
    pub order_initial: Money,
    pub maintenance: Money,
    /// Free for new positions, not below zero.
    pub available: Money,
}

impl AccountFigures {
    pub fn margin_balance(&self) -> Money {
        self.wallet.saturating_add(self.unrealized)
    }

    pub fn initial(&self) -> Money {
        self.position_initial.saturating_add(self.order_initial)
    }
}

impl SimExchange {
    /// Cross wallet and isolated margins.
    pub fn wallet_total(&self) -> Money {
        self.symbols.iter().flat_map(|market| market.margins).fold(self.wallet, Money::saturating_add)
    }

    pub fn is_hedged(&self) -> bool {
        self.hedge
    }

    pub fn leverage(&self, symbol: SymbolId) -> u32 {
        self.market(symbol).leverage
    }

    pub fn is_isolated(&self, symbol: SymbolId) -> bool {
        self.market(symbol).isolated
    }

    /// The newest price at which somebody could trade; zero before the first.
    pub fn last_price(&self, symbol: SymbolId) -> Price {
        self.market(symbol).last
    }

    /// The mark price, or without marks in the data the last price; zero before the first.
    pub fn mark_price(&self, symbol: SymbolId) -> Price {
        self.market(symbol).mark()
    }

    pub fn has_orders(&self, symbol: SymbolId) -> bool {
        !self.market(symbol).orders.is_empty()
    }

    pub fn position_figures(&self, symbol: SymbolId, side: PositionSide) -> PositionFigures {
        let market = self.market(symbol);
        let position = *market.position(side);
        let mark = market.mark();
        let notional = position.notional(mark).unwrap_or(Money::MAX);
        let signed = if position.qty().is_negative() { Money::ZERO.saturating_sub(notional) } else { notional };
        PositionFigures {
            position,
            mark,
            unrealized: market.unrealized(side),
            notional: signed,
            initial_margin: margin::initial(notional, market.leverage),
            maintenance: market.maintenance(side),
            isolated_wallet: market.margins[side as usize],
        }
    }

    /// What the open orders of a symbol need beyond its positions.
    pub fn order_margin(&self, symbol: SymbolId) -> Money {
        let held = PositionSide::ALL.into_iter().map(|side| self.position_figures(symbol, side).initial_margin).sum();
        self.market(symbol).initial_margin(None, None).saturating_sub(held).max(Money::ZERO)
    }

    /// Notional of the open orders of one side (`bidNotional`, `askNotional`).
    pub fn order_notional(&self, symbol: SymbolId, side: Side) -> Money {
        let market = self.market(symbol);
        let orders = market.orders.iter().filter(|order| !order.is_conditional() && order.spec.side == side);
        let notional = orders.map(|order| {
            let price = order.spec.order_type.price().unwrap_or(market.mark());
            price.notional(order.remaining(), Rounding::Ceil).unwrap_or(Money::MAX)
        });
        notional.fold(Money::ZERO, Money::saturating_add)
    }

    pub fn account_figures(&self) -> AccountFigures {
        let mut account = AccountFigures {
            wallet: self.wallet_total(),
            cross_wallet: self.wallet,
            available: self.available().max(Money::ZERO),
            ..AccountFigures::default()
        };
        for market in &self.symbols {
            for side in PositionSide::ALL {
                let figures = self.position_figures(market.id, side);
                account.unrealized = account.unrealized.saturating_add(figures.unrealized);
                account.position_initial = account.position_initial.saturating_add(figures.initial_margin);
                account.maintenance = account.maintenance.saturating_add(figures.maintenance);
                if !market.isolated {
                    account.cross_unrealized = account.cross_unrealized.saturating_add(figures.unrealized);
                }
            }
            account.order_initial = account.order_initial.saturating_add(self.order_margin(market.id));
        }
        account
    }

    /// Moves money between the wallet and the margin of an isolated position; a negative amount takes some back.
    pub fn move_margin(&mut self, symbol: SymbolId, side: PositionSide, amount: Money) -> Result<(), ExchangeError> {
        let market = self.market(symbol);
        if !market.isolated || market.position(side).is_flat() {
            return Err(refuse(-4054, "Cannot add position margin: position is 0."));
        }
        let figures = self.position_figures(symbol, side);
        let spare = figures.isolated_wallet.saturating_add(figures.unrealized.min(Money::ZERO));
        let spare = spare.saturating_sub(figures.initial_margin.max(figures.maintenance));
        if amount.is_positive() && amount > self.available() {
            return Err(refuse(-4050, "Cross balance insufficient."));
        }
        if amount.is_negative() && amount.abs() > spare {
            return Err(refuse(-4051, "Isolated balance insufficient."));
        }
        let margin = &mut self.market_mut(symbol).margins[side as usize];
        *margin = margin.saturating_add(amount);
        self.wallet = self.wallet.saturating_sub(amount);
        self.tell_margin(symbol, side);
        self.check_margin(symbol);
        self.settle(symbol);
        Ok(())
    }
}
