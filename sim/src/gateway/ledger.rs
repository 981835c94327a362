//! The Ledger is the account as its events tell it, event by event: what ACCOUNT_UPDATE and `income` say.
//!
//! The exchange has done everything that a request caused before its events are told. What an event says of wallet and position
//! must be that of its own moment, so it is kept here, from the events alone; a test holds it against the exchange.

use std::collections::{BTreeMap, VecDeque};

use alphaengine_core::exchange::{Fill, FundingPayment};
use alphaengine_core::id::{Asset, ClientOrderId};
use alphaengine_core::instrument::Symbol;
use alphaengine_core::market::SymbolId;
use alphaengine_core::order::{PositionSide, Side};
use alphaengine_core::position::Position;
use alphaengine_core::units::{Money, Price, Qty, Rounding, Timestamp, div_round};

/// Rows of `income` that are kept.
const KEPT: usize = 100_000;

/// A trade of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnTrade {
    /// Market time.
    pub at: Timestamp,
    pub symbol: Symbol,
    /// Unique per symbol.
    pub id: u64,
    pub order_id: u64,
    pub client_order_id: ClientOrderId,
    pub side: Side,
    pub position_side: PositionSide,
    pub price: Price,
    pub qty: Qty,
    /// Paid positive.
    pub fee: Money,
    pub fee_asset: Asset,
    /// Before the fee.
    pub realized: Money,
    pub is_maker: bool,
}

/// A row of `income`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Income {
    pub at: Timestamp,
    /// In protocol time.
    pub heard: Timestamp,
    pub symbol: Option<SymbolId>,
    pub kind: &'static str,
    pub amount: Money,
    pub tran_id: u64,
    pub trade_id: Option<u64>,
}

/// A position and what it has brought so far.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Holding {
    pub position: Position,
    pub margin: Money,
    /// Realised over all time, before fees (`cr`).
    pub realized: Money,
    /// Fees of what is held, for the break-even price.
    pub fees: Money,
    pub updated: Timestamp,
}

impl Holding {
    /// The price at which closing would pay the fees so far back.
    pub fn break_even(&self) -> Price {
        let qty = i128::from(self.position.qty().steps());
        if qty == 0 {
            return Price::ZERO;
        }
        let cost = self.position.exact_cost().saturating_add(self.fees.exact());
        let price = div_round(cost.saturating_mul(qty.signum()), qty.abs(), Rounding::HalfEven);
        Price::from_steps(i64::try_from(price).unwrap_or(i64::MAX))
    }
}

/// The account of the events.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Isolated margins included.
    wallet: Money,
    holdings: BTreeMap<(SymbolId, PositionSide), Holding>,
    pub trades: Vec<OwnTrade>,
    /// When each trade was, in protocol time.
    heard: Vec<Timestamp>,
    pub income: VecDeque<Income>,
    transactions: u64,
    pub updated: Timestamp,
    /// Protocol time.
    pub wall: Timestamp,
}

impl Ledger {
    pub fn wallet(&self) -> Money {
        self.wallet
    }

    pub fn cross_wallet(&self) -> Money {
        self.holdings.values().fold(self.wallet, |rest, holding| rest.saturating_sub(holding.margin))
    }

    pub fn holding(&self, symbol: SymbolId, side: PositionSide) -> Holding {
        self.holdings.get(&(symbol, side)).copied().unwrap_or_default()
    }

    pub fn set_margin(&mut self, symbol: SymbolId, side: PositionSide, margin: Money) {
        self.holdings.entry((symbol, side)).or_default().margin = margin;
    }

    /// The account was opened before any time was known.
    pub fn opened_at(&mut self, at: Timestamp) {
        self.income.iter_mut().for_each(|row| row.at = row.at.max(at));
        self.updated = at;
    }

    /// A trade happened.
    pub fn trade(&mut self, symbol: SymbolId, trade: OwnTrade, fill: &Fill) {
        let holding = self.holdings.entry((symbol, trade.position_side)).or_default();
        let before = holding.position.qty();
        // What the exchange says it realised counts.
        let _ = holding.position.fill(trade.side.signed(fill.qty), fill.price);
        holding.realized = holding.realized.saturating_add(fill.realized);
        let holds_on = before.signum() == holding.position.qty().signum();
        holding.fees = if holds_on { holding.fees.saturating_add(fill.fee) } else { fill.fee };
        holding.updated = trade.at;
        self.wallet = self.wallet.saturating_add(fill.realized).saturating_sub(fill.fee);
        let fee = Money::ZERO.saturating_sub(fill.fee);
        self.earn(trade.at, Some(symbol), "COMMISSION", fee, Some(fill.trade_id));
        if !fill.realized.is_zero() {
            self.earn(trade.at, Some(symbol), "REALIZED_PNL", fill.realized, Some(fill.trade_id));
        }
        self.trades.push(trade);
        self.heard.push(self.wall);
    }

    /// The trades that had been made then, in protocol time.
    pub fn trades_at(&self, wall: Timestamp) -> &[OwnTrade] {
        let made = self.heard.partition_point(|heard| *heard <= wall);
        &self.trades[..made.min(self.trades.len())]
    }

    pub fn funding(&mut self, at: Timestamp, payment: &FundingPayment) {
        self.wallet = self.wallet.saturating_add(payment.amount);
        self.earn(at, Some(payment.symbol), "FUNDING_FEE", payment.amount, None);
    }

    pub fn transfer(&mut self, at: Timestamp, kind: &'static str, amount: Money) {
        self.wallet = self.wallet.saturating_add(amount);
        self.earn(at, None, kind, amount, None);
    }

    fn earn(
        &mut self,
        at: Timestamp,
        symbol: Option<SymbolId>,
        kind: &'static str,
        amount: Money,
        trade_id: Option<u64>,
    ) {
        self.updated = at;
        self.transactions += 1;
        if self.income.len() == KEPT {
            self.income.pop_front();
        }
        let heard = self.wall;
        self.income.push_back(Income { at, heard, symbol, kind, amount, tran_id: self.transactions, trade_id });
    }
}
