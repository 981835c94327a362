//! A Command is what someone wants: a strategy, the operator or the system itself. It passes the risk check and becomes a
//! request, or it is refused; either way it leaves a trace.

use serde::{Deserialize, Serialize};

use crate::id::ClientOrderId;
use crate::link::Route;
use crate::market::SymbolId;
use crate::mode::EngineMode;
use crate::order::OrderSpec;
use crate::risk::Limits;
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

/// An operator's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OperatorOrder {
    /// Only cancels and closes may leave, until `Resume`.
    Pause,
    /// Ends a pause and SAFE. The drawdown is counted anew from here.
    Resume,
    /// As if a limit of loss had been met.
    Safe,
    /// Cancels every open order of the symbol that is known, those of others included.
    CancelAll {
        symbol: SymbolId,
    },
    /// Closes every position of the symbol at market.
    Close {
        symbol: SymbolId,
    },
    /// Any order; the limits hold for it as for the strategy's.
    PlaceOrder {
        spec: OrderSpec,
    },
    SetLeverage {
        symbol: SymbolId,
        leverage: u32,
    },
    /// Compares the account with the exchange now.
    Reconcile,
    /// Derives the tables of the store anew from its events.
    RebuildProjection,
    /// Puts other limits in the place of all limits.
    UpdateConfig {
        limits: Limits,
    },
    /// Ends the session in order.
    Stop {
        policy: StopPolicy,
    },
}

/// What becomes of orders and positions when a session is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StopPolicy {
    /// Everything stays as it is at the exchange.
    #[default]
    Keep,
    /// Our orders are cancelled; positions stay.
    Cancel,
    /// Our orders are cancelled and every position is closed at market.
    Close,
}

impl StopPolicy {
    pub const fn name(self) -> &'static str {
        match self {
            StopPolicy::Keep => "keep",
            StopPolicy::Cancel => "cancel",
            StopPolicy::Close => "close",
        }
    }
}

impl OperatorOrder {
    /// One word for the log.
    pub const fn name(&self) -> &'static str {
        match self {
            OperatorOrder::Pause => "PAUSE",
            OperatorOrder::Resume => "RESUME",
            OperatorOrder::Safe => "SAFE",
            OperatorOrder::CancelAll { .. } => "CANCEL_ALL",
            OperatorOrder::Close { .. } => "CLOSE",
            OperatorOrder::PlaceOrder { .. } => "PLACE_ORDER",
            OperatorOrder::SetLeverage { .. } => "SET_LEVERAGE",
            OperatorOrder::Reconcile => "RECONCILE",
            OperatorOrder::RebuildProjection => "REBUILD_PROJECTION",
            OperatorOrder::UpdateConfig { .. } => "UPDATE_CONFIG",
            OperatorOrder::Stop { .. } => "STOP",
        }
    }

    pub const fn priority(&self) -> Priority {
        match self {
            OperatorOrder::CancelAll { .. } | OperatorOrder::Safe | OperatorOrder::Stop { .. } => Priority::Cancel,
            OperatorOrder::Close { .. } => Priority::Reduce,
            OperatorOrder::PlaceOrder { spec } if spec.only_reduces() => Priority::Reduce,
            _ => Priority::Normal,
        }
    }

    /// The symbol that it is about.
    pub const fn symbol(&self) -> Option<SymbolId> {
        match self {
            OperatorOrder::CancelAll { symbol }
            | OperatorOrder::Close { symbol }
            | OperatorOrder::SetLeverage { symbol, .. } => Some(*symbol),
            OperatorOrder::PlaceOrder { spec } => Some(spec.symbol),
            _ => None,
        }
    }

    /// The same order about this symbol, where it is about one.
    #[must_use]
    pub const fn with_symbol(mut self, of: SymbolId) -> OperatorOrder {
        match &mut self {
            OperatorOrder::CancelAll { symbol }
            | OperatorOrder::Close { symbol }
            | OperatorOrder::SetLeverage { symbol, .. } => *symbol = of,
            OperatorOrder::PlaceOrder { spec } => spec.symbol = of,
            _ => {}
        }
        self
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
    #[error("the equity is {drawdown} below its peak, the limit is {limit}")]
    Drawdown { drawdown: Money, limit: Money },
    #[error("the {} streams are down, so what is known may be stale: only cancels and closes may leave", route.name())]
    StaleStreams { route: Route },
    #[error("the {} streams are late, so what is known may be stale: only cancels and closes may leave", route.name())]
    LateStreams { route: Route },
    #[error("the account is being compared with the exchange: only cancels and closes may leave")]
    NotReconciled,
    #[error("the session is being stopped: only cancels and closes may leave")]
    Stopping,
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
