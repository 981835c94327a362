//! What the exchange remembers and tells when it is asked: our own trades, what moved money without one, and the account now.

use std::collections::VecDeque;

use alphaengine_core::exchange::{ExchangeUpdate, FundingPayment, OrderUpdate, Outcome, Setting, TransferReason};
use alphaengine_core::id::{Asset, RequestId};
use alphaengine_core::market::SymbolId;
use alphaengine_core::order::PositionSide;
use alphaengine_core::snapshot::{AccountSnapshot, BalanceSnapshot, OrderSnapshot, PositionSnapshot};
use alphaengine_core::units::{Money, Timestamp};

use super::SimExchange;
use crate::order::LiveOrder;

/// Rows of one answer, as on the wire (`binance-usdm.md` sections 3.3 and 3.5).
const PAGE: usize = 1_000;
/// Rows that are kept of each kind. The exchange forgets after three months; we after so many.
const KEPT: usize = 100_000;

/// Own trades and income, oldest first. It grows with fills only, so that a backtest does not notice it.
#[derive(Debug, Default)]
pub(super) struct History {
    trades: VecDeque<OrderUpdate>,
    income: VecDeque<(Timestamp, Moved)>,
}

/// Money that moved without a trade.
#[derive(Debug, Clone, Copy)]
enum Moved {
    Funding(FundingPayment),
    Transfer { id: u64, asset: Asset, amount: Money, reason: TransferReason },
}

impl Moved {
    fn told(self, at: Timestamp) -> ExchangeUpdate {
        match self {
            Moved::Funding(payment) => ExchangeUpdate::Funding(payment),
            Moved::Transfer { id, asset, amount, reason } => ExchangeUpdate::Transfer { at, id, asset, amount, reason },
        }
    }
}

impl History {
    pub fn traded(&mut self, trade: OrderUpdate) {
        keep(&mut self.trades, trade);
    }

    pub fn funded(&mut self, at: Timestamp, payment: FundingPayment) {
        keep(&mut self.income, (at, Moved::Funding(payment)));
    }

    pub fn transferred(&mut self, at: Timestamp, id: u64, asset: Asset, amount: Money, reason: TransferReason) {
        keep(&mut self.income, (at, Moved::Transfer { id, asset, amount, reason }));
    }
}

fn keep<T>(rows: &mut VecDeque<T>, row: T) {
    if rows.len() == KEPT {
        rows.pop_front();
    }
    rows.push_back(row);
}

impl SimExchange {
    /// Own trades of a symbol: from this id on, or with id 0 since this time.
    pub(super) fn tell_trades(&mut self, id: RequestId, symbol: SymbolId, from_id: u64, since: Timestamp) {
        let is_asked = |trade: &&OrderUpdate| {
            trade.symbol == symbol
                && match trade.execution {
                    alphaengine_core::exchange::Execution::Trade(fill) if from_id > 0 => fill.trade_id >= from_id,
                    _ => trade.at >= since,
                }
        };
        let mut trades: Vec<OrderUpdate> =
            self.history.trades.iter().filter(is_asked).take(PAGE + 1).copied().collect();
        let more = trades.len() > PAGE;
        trades.truncate(PAGE);
        self.answer(id, Outcome::Trades { trades, more });
    }

    /// A page never ends inside an instant: who asks on from `until` must not miss the rest of it.
    pub(super) fn tell_income(&mut self, id: RequestId, since: Timestamp) {
        let mut asked = self.history.income.iter().filter(|(at, _)| *at >= since).peekable();
        let (mut rows, mut until) = (Vec::new(), since);
        while let Some((at, moved)) = asked.next_if(|(at, _)| rows.len() < PAGE || *at == until) {
            until = *at;
            rows.push(moved.told(*at));
        }
        let more = asked.peek().is_some();
        self.answer(id, Outcome::Income { rows, until, more });
    }

    pub(super) fn tell_snapshot(&mut self, id: RequestId) {
        let snapshot = self.snapshot();
        self.answer(id, Outcome::Snapshot(Box::new(snapshot)));
    }

    /// The account as it is now: open orders of both services, positions, the balance, settings.
    pub fn snapshot(&self) -> AccountSnapshot {
        let mut snapshot = AccountSnapshot::default();
        let hedge = Setting::HedgeMode { hedge: self.hedge };
        snapshot.settings.push((None, hedge));
        for market in &self.symbols {
            snapshot.orders.extend(market.orders.iter().map(order_snapshot));
            snapshot.settings.push((Some(market.id), Setting::Leverage { leverage: market.leverage }));
            snapshot.settings.push((Some(market.id), Setting::MarginType { isolated: market.isolated }));
            for position_side in PositionSide::ALL {
                let position = market.position(position_side);
                if !position.is_flat() {
                    snapshot.positions.push(PositionSnapshot {
                        symbol: market.id,
                        position_side,
                        qty: position.qty(),
                        entry_price: position.entry_price(),
                        margin: market.margins[position_side as usize],
                    });
                }
            }
        }
        snapshot.balances.push(BalanceSnapshot { asset: self.config.asset, wallet: self.wallet_total() });
        snapshot
    }
}

fn order_snapshot(order: &LiveOrder) -> OrderSnapshot {
    OrderSnapshot {
        client_order_id: order.client_order_id,
        order_id: order.id,
        spec: alphaengine_core::order::OrderSpec { qty: order.qty, ..order.spec },
        filled: order.filled,
        created_at: order.arrived,
    }
}
