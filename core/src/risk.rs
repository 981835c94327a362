//! Risk decides whether a command may leave: it passes, or it gets a [`Refusal`].
//!
//! Cancels always pass. What can only make a position smaller passes every limit on size and loss, and every engine mode but
//! booting: a limit must never keep anyone from getting out.

use serde::{Deserialize, Serialize};

use crate::account::Account;
use crate::command::{Refusal, Wish};
use crate::mode::EngineMode;
use crate::order::OrderSpec;
use crate::state::State;
use crate::units::{Money, Price, Qty, Rounding};

/// Limits of a session; `None` means no limit. All amounts are in the margin asset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// The largest notional of a symbol's position, open orders in its direction included.
    pub max_position: Option<Money>,
    /// The largest notional of one order.
    pub max_order: Option<Money>,
    /// The most open orders, over all symbols.
    pub max_open_orders: Option<u32>,
    /// When the equity has fallen by this much since the last midnight UTC, nothing opens until the next.
    pub max_daily_loss: Option<Money>,
    /// Below this equity nothing opens, and the engine goes to SAFE.
    pub min_balance: Option<Money>,
    /// When the equity has fallen by this much from the highest that the process has seen, nothing opens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_drawdown: Option<Money>,
}

/// The highest equity that a process has seen, what was brought or taken left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Peak(Option<Money>);

impl Peak {
    /// Begins anew: the next equity is the highest.
    pub fn forget(&mut self) {
        self.0 = None;
    }

    #[inline]
    pub fn observe(&mut self, equity: Money) {
        if self.0.is_none_or(|peak| equity > peak) {
            self.0 = Some(equity);
        }
    }

    /// Money was brought, or taken (negative): no profit and no loss.
    pub fn transfer(&mut self, amount: Money) {
        self.0 = self.0.map(|peak| peak.saturating_add(amount));
    }

    /// How far the equity is below the peak.
    pub fn drawdown(&self, equity: Money) -> Money {
        self.0.map_or(Money::ZERO, |peak| peak.saturating_sub(equity).max(Money::ZERO))
    }
}

/// Checks one wish against the limits and the engine's mode.
pub fn check(wish: &Wish, limits: &Limits, state: &State, account: &Account, peak: &Peak) -> Result<(), Refusal> {
    match wish {
        Wish::Cancel { client_order_id } => known(state, client_order_id),
        Wish::Modify { client_order_id, qty, price } => {
            known(state, client_order_id)?;
            let order = &state.orders[client_order_id];
            let more = qty.saturating_sub(order.qty);
            if !qty.is_positive() {
                return Err(Refusal::NoQuantity);
            }
            opening_mode(state.mode, order.spec.only_reduces())?;
            if order.spec.only_reduces() {
                return Ok(());
            }
            if more.is_positive() {
                losses(limits, state, account, peak)?;
            }
            let value = price.notional(*qty, Rounding::Ceil).map_err(|_| Refusal::OutOfRange)?;
            order_size(value, limits)?;
            position_size(&order.spec, more, Some(*price), limits, state)
        }
        Wish::Place(spec) => place(spec, limits, state, account, peak),
        Wish::SetLeverage { .. } | Wish::SetMarginType { .. } | Wish::SetHedgeMode { .. } => Ok(()),
    }
}

fn known(state: &State, id: &crate::id::ClientOrderId) -> Result<(), Refusal> {
    if state.orders.contains_key(id) { Ok(()) } else { Err(Refusal::NoSuchOrder) }
}

fn place(spec: &OrderSpec, limits: &Limits, state: &State, account: &Account, peak: &Peak) -> Result<(), Refusal> {
    if !spec.qty.is_positive() && !spec.close_position {
        return Err(Refusal::NoQuantity);
    }
    opening_mode(state.mode, spec.only_reduces())?;
    if let Some(limit) = limits.max_open_orders {
        let open = u32::try_from(state.orders.len()).unwrap_or(u32::MAX);
        // An exit at market does not rest, so it passes.
        let exits = spec.only_reduces() && spec.order_type == crate::order::OrderType::Market;
        if open >= limit && !exits {
            return Err(Refusal::OpenOrders { open, limit });
        }
    }
    if spec.only_reduces() {
        return Ok(());
    }
    losses(limits, state, account, peak)?;
    // A stop without a limit fills near its trigger, wherever the market is now.
    let own = spec.order_type.price().or(spec.order_type.trigger());
    let price = own.or_else(|| account.price(spec.symbol));
    if limits.max_order.is_some() {
        let price = price.ok_or(Refusal::NoPrice)?;
        order_size(price.notional(spec.qty, Rounding::Ceil).map_err(|_| Refusal::OutOfRange)?, limits)?;
    }
    position_size(spec, spec.qty, price, limits, state)
}

/// What was lost decides whether anything may open.
pub fn losses(limits: &Limits, state: &State, account: &Account, peak: &Peak) -> Result<(), Refusal> {
    if let Some(limit) = limits.min_balance {
        let equity = account.equity();
        if equity < limit {
            return Err(Refusal::MinBalance { equity, limit });
        }
    }
    if let Some(limit) = limits.max_daily_loss {
        let loss = state.day_start_equity.saturating_sub(account.equity());
        if loss >= limit {
            return Err(Refusal::DailyLoss { loss, limit });
        }
    }
    if let Some(limit) = limits.max_drawdown {
        let drawdown = peak.drawdown(account.equity());
        if drawdown >= limit {
            return Err(Refusal::Drawdown { drawdown, limit });
        }
    }
    Ok(())
}

fn opening_mode(mode: EngineMode, only_reduces: bool) -> Result<(), Refusal> {
    match mode {
        EngineMode::Running => Ok(()),
        EngineMode::Paused | EngineMode::Safe if only_reduces => Ok(()),
        mode => Err(Refusal::EngineMode { mode }),
    }
}

fn order_size(notional: Money, limits: &Limits) -> Result<(), Refusal> {
    match limits.max_order {
        Some(limit) if notional > limit => Err(Refusal::OrderNotional { notional, limit }),
        _ => Ok(()),
    }
}

/// The position as it would be if this order and every open order in its direction filled, at the price of this order.
fn position_size(
    spec: &OrderSpec,
    more: Qty,
    price: Option<Price>,
    limits: &Limits,
    state: &State,
) -> Result<(), Refusal> {
    let Some(limit) = limits.max_position else {
        return Ok(());
    };
    let price = price.ok_or(Refusal::NoPrice)?;
    let held = state.position(spec.symbol, spec.position_side).qty();
    let towards = spec.side.signed(held).steps();
    let resting = state
        .open_orders(spec.symbol)
        .filter(|order| order.spec.side == spec.side && order.spec.position_side == spec.position_side)
        .filter(|order| !order.spec.only_reduces())
        .fold(0i64, |sum, order| sum.saturating_add(order.remaining().steps()));
    let qty = Qty::from_steps(towards.saturating_add(resting).saturating_add(more.steps()).max(0));
    let would_be = price.notional(qty, Rounding::Ceil).map_err(|_| Refusal::OutOfRange)?;
    if would_be > limit { Err(Refusal::PositionSize { would_be, limit }) } else { Ok(()) }
}
