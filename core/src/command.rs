//! A Command is what someone wants: a strategy, the operator or the system itself. It passes the risk check and becomes a
//! request, or it is refused; either way it leaves a trace.

use serde::{Deserialize, Serialize};

use crate::id::ClientOrderId;
use crate::market::SymbolId;
use crate::mode::EngineMode;
use crate::order::OrderSpec;
use crate::units::{Money, Price, Qty};

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
    SetLeverage { symbol: SymbolId, leverage: u32 },
    SetMarginType { symbol: SymbolId, isolated: bool },
    SetHedgeMode { hedge: bool },
}

impl Wish {
    /// One word for the log.
    pub const fn name(&self) -> &'static str {
        match self {
            Wish::Place(_) => "PLACE",
            Wish::Modify { .. } => "MODIFY",
            Wish::Cancel { .. } => "CANCEL",
            Wish::SetLeverage { .. } => "SET_LEVERAGE",
            Wish::SetMarginType { .. } => "SET_MARGIN_TYPE",
            Wish::SetHedgeMode { .. } => "SET_HEDGE_MODE",
        }
    }
}

/// A wish with the one who has it. It gets its [`CommandId`](crate::id::CommandId) when it is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Command {
    pub actor: Actor,
    /// Of a placing wish, the name of the order to be: given when the wish is spoken, so that the caller can use it at once.
    pub client_order_id: Option<ClientOrderId>,
    pub wish: Wish,
}

impl Command {
    pub const fn priority(&self) -> Priority {
        match &self.wish {
            Wish::Cancel { .. } => Priority::Cancel,
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

impl OperatorOrder {
    /// One word for the log.
    pub const fn name(&self) -> &'static str {
        match self {
            OperatorOrder::Pause => "PAUSE",
            OperatorOrder::Resume => "RESUME",
            OperatorOrder::CancelAll { .. } => "CANCEL_ALL",
            OperatorOrder::Close { .. } => "CLOSE",
        }
    }

    pub const fn priority(&self) -> Priority {
        match self {
            OperatorOrder::CancelAll { .. } => Priority::Cancel,
            OperatorOrder::Close { .. } => Priority::Reduce,
            OperatorOrder::Pause | OperatorOrder::Resume => Priority::Normal,
        }
    }

    /// The same order about this symbol, where it is about one.
    #[must_use]
    pub const fn with_symbol(self, symbol: SymbolId) -> OperatorOrder {
        match self {
            OperatorOrder::CancelAll { .. } => OperatorOrder::CancelAll { symbol },
            OperatorOrder::Close { .. } => OperatorOrder::Close { symbol },
            OperatorOrder::Pause | OperatorOrder::Resume => self,
        }
    }
}

/// Our own no, before anything was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "reason", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Refusal {
    #[error("the engine is {mode:?}: only cancels and closes may leave")]
    EngineMode { mode: EngineMode },
    #[error("the position would be worth {would_be}, above the limit of {limit}")]
    PositionSize { would_be: Money, limit: Money },
    #[error("the order is worth {notional}, above the limit of {limit}")]
    OrderNotional { notional: Money, limit: Money },
    #[error("{open} orders are open, the limit is {limit}")]
    OpenOrders { open: u32, limit: u32 },
    #[error("today's loss is {loss}, the limit is {limit}")]
    DailyLoss { loss: Money, limit: Money },
    #[error("the equity is {equity}, below the minimum of {limit}")]
    MinBalance { equity: Money, limit: Money },
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
