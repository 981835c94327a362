//! The account: margin checks, liquidation, funding, transfers.

use alphaengine_core::exchange::{ExchangeUpdate, Execution, ExpiryReason, FundingPayment, TransferReason};
use alphaengine_core::id::ClientOrderId;
use alphaengine_core::market::{Funding, SymbolId};
use alphaengine_core::order::{OrderSpec, PositionSide, Side};
use alphaengine_core::units::{Money, Price, Qty, Rounding, SCALE};

use super::SimExchange;
use crate::order::{LiveOrder, Stage};
use crate::symbol::{Band, Claim, SymbolMarket};

/// Profit and maintenance margin of what is margined together.
#[derive(Debug, Clone, Copy, Default)]
struct Standing {
    balance: Money,
    maintenance: Money,
}

impl Standing {
    fn add(&mut self, unrealized: Money, maintenance: Money) {
        self.balance = self.balance.saturating_add(unrealized);
        self.maintenance = self.maintenance.saturating_add(maintenance);
    }

    fn excess(&self) -> Money {
        self.balance.saturating_sub(self.maintenance)
    }

    fn is_short(&self) -> bool {
        self.balance <= self.maintenance
    }
}

impl SimExchange {
    /// What is free for new positions: cross wallet and profit, less what positions and open orders need. May be negative.
    pub(super) fn available(&self) -> Money {
        let mut free = self.wallet;
        for market in &self.symbols {
            for side in PositionSide::ALL.into_iter().filter(|_| !market.isolated) {
                free = free.saturating_add(market.unrealized(side));
            }
            free = free.saturating_sub(needed(market, None, None));
        }
        free
    }

    /// Whether the account can carry an order of this size, which takes the place of the order numbered `without`.
    pub(super) fn can_afford(&self, spec: &OrderSpec, qty: Qty, without: Option<u64>) -> bool {
        let market = self.market(spec.symbol);
        let price = spec.order_type.price().unwrap_or_else(|| {
            let book = market.touch.map(|book| if spec.side == Side::Buy { book.ask } else { book.bid });
            book.unwrap_or(market.last)
        });
        let claim = Claim { side: spec.side, position_side: spec.position_side, qty, price };
        let more = needed(market, without, Some(&claim)).saturating_sub(needed(market, None, None));
        if !more.is_positive() {
            return true;
        }
        // A limit beyond the mark loses at once what lies between.
        let loss = match spec.side {
            Side::Buy => price.saturating_sub(market.mark()),
            Side::Sell => market.mark().saturating_sub(price),
        };
        let loss = loss.max(Price::ZERO).notional(qty, Rounding::Ceil).unwrap_or(Money::MAX);
        more.saturating_add(loss) <= self.available()
    }

    /// Looks at the margin only if the price has left the band in which it must suffice.
    pub(super) fn check_margin_at(&mut self, symbol: SymbolId) {
        let market = self.market(symbol);
        if !market.is_flat() && !market.safe.holds(market.mark()) {
            self.check_margin(symbol);
        }
    }

    /// Liquidates what does not carry itself any more, and finds out how far prices may go before the next look. Margin that is
    /// set aside for an isolated position leaves the cross positions with less, so these are looked at in either case.
    pub(super) fn check_margin(&mut self, symbol: SymbolId) {
        if self.market(symbol).isolated {
            for side in PositionSide::ALL {
                let standing = self.isolated_standing(symbol, side);
                if !self.market(symbol).position(side).is_flat() && standing.is_short() {
                    self.liquidate(symbol, Some(side), standing);
                }
            }
            self.set_isolated_band(symbol);
        }
        let standing = self.cross_standing();
        let exposed = self.cross_symbols().find(|exposed| *exposed == symbol).or(self.cross_symbols().next());
        if let Some(exposed) = exposed
            && standing.is_short()
        {
            self.liquidate(exposed, None, standing);
        }
        self.set_cross_bands();
    }

    fn cross_symbols(&self) -> impl Iterator<Item = SymbolId> {
        let held = self.symbols.iter().filter(|market| !market.isolated && !market.is_flat());
        held.map(|market| market.id)
    }

    fn cross_standing(&self) -> Standing {
        let mut standing = Standing { balance: self.wallet, maintenance: Money::ZERO };
        for market in self.symbols.iter().filter(|market| !market.isolated && !market.is_flat()) {
            for side in PositionSide::ALL {
                standing.add(market.unrealized(side), market.maintenance(side));
            }
        }
        standing
    }

    fn isolated_standing(&self, symbol: SymbolId, side: PositionSide) -> Standing {
        let market = self.market(symbol);
        let mut standing = Standing { balance: market.margins[side as usize], maintenance: Money::ZERO };
        standing.add(market.unrealized(side), market.maintenance(side));
        standing
    }

    /// While every cross symbol stays in its band, each has used at most its share of the excess: a price that moves by d
    /// costs at most 2 |qty| d, profit and maintenance together (no bracket asks for more than the whole notional).
    pub(super) fn set_cross_bands(&mut self) {
        let excess = self.cross_standing().excess();
        let held: Vec<SymbolId> = self.cross_symbols().collect();
        let limit_fill = self.config.limit_fill;
        for symbol in &held {
            let market = self.market_mut(*symbol);
            let qty = market.positions.iter().map(|position| i128::from(position.qty().steps()).abs()).sum();
            market.safe = band(market.mark(), excess, qty, held.len() as i128);
            market.set_bands(limit_fill);
        }
        for market in self.symbols.iter_mut().filter(|market| !market.isolated && market.is_flat()) {
            market.safe = Band::QUIET;
        }
    }

    fn set_isolated_band(&mut self, symbol: SymbolId) {
        let mut safe = Band::QUIET;
        for side in PositionSide::ALL {
            let position = *self.market(symbol).position(side);
            if !position.is_flat() {
                let excess = self.isolated_standing(symbol, side).excess();
                let qty = i128::from(position.qty().steps()).abs();
                let own = band(self.market(symbol).mark(), excess, qty, 1);
                safe = Band { low: safe.low.max(own.low), high: safe.high.min(own.high) };
            }
        }
        let limit_fill = self.config.limit_fill;
        let market = self.market_mut(symbol);
        market.safe = safe;
        market.set_bands(limit_fill);
    }

    /// Closes what is short of margin at the mark price: one isolated position, or with `None` all cross positions.
    fn liquidate(&mut self, symbol: SymbolId, side: Option<PositionSide>, standing: Standing) {
        let scope: Vec<SymbolId> = match side {
            Some(_) => vec![symbol],
            None => self.cross_symbols().collect(),
        };
        self.out.push(ExchangeUpdate::Liquidation {
            symbol: Some(symbol),
            mark: self.market(symbol).mark(),
            margin_balance: standing.balance,
            maintenance: standing.maintenance,
        });
        // Isolated margins are not the cross account's, and what protects them stays; what would open more lives on its wallet.
        let markets: Vec<SymbolId> = match side {
            Some(_) => scope.clone(),
            None => self.symbols.iter().map(|market| market.id).collect(),
        };
        for symbol in markets {
            let is_isolated = self.market(symbol).isolated;
            let goes = |order: &LiveOrder| match side {
                Some(side) => order.spec.position_side == side,
                None => !is_isolated || !order.spec.only_reduces(),
            };
            while let Some(index) = self.find(symbol, goes) {
                self.remove(symbol, index, Execution::Expired(ExpiryReason::Liquidation));
            }
        }
        let before = self.wallet;
        for symbol in scope {
            for one in PositionSide::ALL {
                if side.is_none_or(|side| side == one) {
                    self.close_by_force(symbol, one);
                }
            }
        }
        // What was lost beyond the margin is the insurance fund's.
        let floor = if side.is_some() { before } else { Money::ZERO };
        let missing = floor.saturating_sub(self.wallet);
        if missing.is_positive() {
            self.transfer(missing, TransferReason::InsuranceClear);
        }
    }

    fn close_by_force(&mut self, symbol: SymbolId, side: PositionSide) {
        let market = self.market(symbol);
        let (held, price) = (market.position(side).qty(), market.mark());
        let rate = market.instrument.liquidation_fee;
        if held.is_zero() {
            return;
        }
        self.liquidations += 1;
        let name = format!("autoclose-{:012}", self.liquidations);
        let client_order_id: ClientOrderId = name.parse().unwrap_or_default();
        let order_side = if held.is_positive() { Side::Sell } else { Side::Buy };
        let spec = OrderSpec::market(symbol, order_side, held.abs()).position_side(side);
        let id = self.next_order_id();
        let order = LiveOrder::new(id, client_order_id, spec, self.now, Stage::Taking);
        let fee = price.fee(order.qty, rate, Rounding::HalfEven).unwrap_or_default();
        let fill = self.book_fill(symbol, &order, order.qty, price, fee, false, true);
        self.tell(&order, Execution::Trade(fill));
        self.tell_margin(symbol, side);
    }

    /// A settlement: each position pays or receives `position * mark * rate`.
    pub(super) fn on_funding(&mut self, symbol: SymbolId, funding: &Funding) {
        self.settle_mark_bar(symbol);
        for side in PositionSide::ALL {
            let market = self.market(symbol);
            let position = market.position(side).qty();
            if position.is_zero() {
                continue;
            }
            let own = if market.funding_mark.is_zero() { market.mark() } else { market.funding_mark };
            let mark = funding.mark.unwrap_or(own);
            let charged = mark.fee(position, funding.rate, Rounding::HalfEven).unwrap_or_default();
            let amount = Money::from_steps(-charged.steps());
            let missing = charged.saturating_sub(self.available().max(Money::ZERO)).max(Money::ZERO);
            self.wallet = self.wallet.saturating_add(amount);
            let (settled_at, rate) = (self.now, funding.rate);
            let (rate, mark) = (Some(rate), Some(mark));
            let payment =
                FundingPayment { symbol, position_side: side, settled_at, rate, mark, position, amount, id: None };
            self.history.funded(self.now, payment);
            self.out.push(ExchangeUpdate::Funding(payment));
            self.pay_from_margin(symbol, side, missing);
            self.check_margin(symbol);
        }
    }

    /// Funding for which the free balance does not suffice is taken from the margin of the isolated position.
    fn pay_from_margin(&mut self, symbol: SymbolId, side: PositionSide, missing: Money) {
        let market = self.market_mut(symbol);
        let margin = &mut market.margins[side as usize];
        let taken = missing.min(*margin);
        if market.isolated && taken.is_positive() {
            *margin = margin.saturating_sub(taken);
            self.wallet = self.wallet.saturating_add(taken);
            self.tell_margin(symbol, side);
        }
    }

    pub(super) fn transfer(&mut self, amount: Money, reason: TransferReason) {
        let (id, asset) = (self.transfers, self.config.asset);
        self.transfers += 1;
        self.wallet = self.wallet.saturating_add(amount);
        self.history.transferred(self.now, id, asset, amount, reason);
        self.out.push(ExchangeUpdate::Transfer { at: self.now, id, asset, amount, reason });
    }
}

/// Initial margin of a symbol's positions and orders, see [`SymbolMarket::initial_margin`]. Of an isolated position it is already
/// set aside.
fn needed(market: &SymbolMarket, without: Option<u64>, extra: Option<&Claim>) -> Money {
    let all = market.initial_margin(without, extra);
    if !market.isolated {
        return all;
    }
    let notionals = market.positions.iter().map(|position| position.notional(market.mark()).unwrap_or(Money::MAX));
    let held: Money = notionals.map(|notional| crate::margin::initial(notional, market.leverage)).sum();
    all.saturating_sub(held).max(Money::ZERO)
}

/// How far a price may go while the excess cannot be used up: `excess / (2 * qty * share)` to either side.
fn band(mark: Price, excess: Money, qty: i128, share: i128) -> Band {
    if qty == 0 || mark.is_zero() {
        return Band::QUIET;
    }
    let room = i128::from(excess.steps().max(0)) * i128::from(SCALE) / (2 * qty * share.max(1));
    let room = Price::from_steps(i64::try_from(room).unwrap_or(i64::MAX));
    Band { low: mark.saturating_sub(room), high: mark.saturating_add(room) }
}
