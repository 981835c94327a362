//! A Command is what someone wants: a strategy, the operator or the system itself. It passes the risk check and becomes a
//! request, or it is refused; either way it leaves a trace.

use serde::{Deserialize, Serialize};

use crate::id::{ClientOrderId, CommandId};
use crate::market::SymbolId;
use crate::order::{OrderSpec, PositionSide};
use crate::units::{Price, Qty};

/// Who wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Actor {
    Strategy,
    User,
    System,
}

impl Actor {
    pub const fn name(self) -> &'static str {
        match self {
            Actor::Strategy => "STRATEGY",
            Actor::User => "USER",
            Actor::System => "SYSTEM",
        }
    }
}

/// What goes first when not everything can go: the commands of one step leave in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Priority {
    /// Cancels.
    Cancel = 0,
    /// Orders that can only make a position smaller.
    Reduce = 1,
    Normal = 2,
}

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    Place(OrderSpec),
    Modify { client_order_id: ClientOrderId, qty: Qty, price: Price },
    Cancel { client_order_id: ClientOrderId },
    /// All open orders of the symbol, conditional ones included.
    CancelAll { symbol: SymbolId },
    /// The whole position at market, reduce-only.
    Close { symbol: SymbolId, position_side: PositionSide },
    SetLeverage { symbol: SymbolId, leverage: u32 },
    SetMarginType { symbol: SymbolId, isolated: bool },
    SetHedgeMode { hedge: bool },
}

/// A wish with the one who has it. `client_order_id` is given when the wish is spoken, so that the caller can name the order
/// at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command {
    pub id: CommandId,
    pub actor: Actor,
    /// Of a placing wish, the name of the order to be.
    pub client_order_id: Option<ClientOrderId>,
    pub wish: Wish,
}

impl Command {
    pub const fn priority(&self) -> Priority {
        match &self.wish {
            Wish::Cancel { .. } | Wish::CancelAll { .. } => Priority::Cancel,
            Wish::Close { .. } => Priority::Reduce,
            Wish::Place(spec) if spec.only_reduces() => Priority::Reduce,
            _ => Priority::Normal,
        }
    }
}

/// What an operator may say to a running engine. `key` makes a repeated command one command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorCommand {
    pub key: String,
    pub who: String,
    pub order: OperatorOrder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OperatorOrder {
    Pause,
    Resume,
    CancelAll { symbol: SymbolId },
    Close { symbol: SymbolId },
}

/// Our own no, before anything was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "reason", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Refusal {
    #[error("the engine is {mode:?}: only cancels and closes may leave")]
    EngineMode { mode: crate::event::EngineMode },
    #[error("the position would be {would_be}, above the limit of {limit}")]
    PositionSize { would_be: Qty, limit: Qty },
    #[error("the order is worth {notional}, above the limit of {limit}")]
    OrderNotional { notional: crate::units::Money, limit: crate::units::Money },
    #[error("{open} orders are open, the limit is {limit}")]
    OpenOrders { open: u32, limit: u32 },
    #[error("today's loss is {loss}, the limit is {limit}")]
    DailyLoss { loss: crate::units::Money, limit: crate::units::Money },
    #[error("the equity is {equity}, below the minimum of {limit}")]
    MinBalance { equity: crate::units::Money, limit: crate::units::Money },
    #[error("the quantity is not positive")]
    NoQuantity,
    #[error("no price is known yet, so the order cannot be valued")]
    NoPrice,
    #[error("there is no such open order")]
    NoSuchOrder,
    #[error("there is no position to close")]
    NoPosition,
    #[error("the order, its position or its value does not fit the number range")]
    OutOfRange,
}
