//! An Order is a wish at the exchange and what has become of it. Its life is one total match over (status, update).

use serde::{Deserialize, Serialize};

use crate::id::{ClientOrderId, CommandId};
use crate::market::SymbolId;
use crate::units::{Price, Qty, Rate, Timestamp};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Side {
    Buy,
    Sell,
}

impl Side {
    pub const fn opposite(self) -> Side {
        match self {
            Side::Buy => Side::Sell,
            Side::Sell => Side::Buy,
        }
    }

    /// The quantity with the sign of this side: bought positive, sold negative.
    #[inline]
    pub const fn signed(self, qty: Qty) -> Qty {
        match self {
            Side::Buy => qty,
            // Quantities are positive, so the one value without a counterpart does not occur.
            Side::Sell => Qty::from_steps(qty.steps().saturating_neg()),
        }
    }

    /// `BUY` or `SELL`, as on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Side::Buy => "BUY",
            Side::Sell => "SELL",
        }
    }
}

/// Which position an order acts on. `Both` in one-way mode; `Long` or `Short` in hedge mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum PositionSide {
    #[default]
    Both,
    Long,
    Short,
}

impl PositionSide {
    pub const ALL: [PositionSide; 3] = [PositionSide::Both, PositionSide::Long, PositionSide::Short];

    pub const fn name(self) -> &'static str {
        match self {
            PositionSide::Both => "BOTH",
            PositionSide::Long => "LONG",
            PositionSide::Short => "SHORT",
        }
    }
}

/// How long an order stands (`binance-usdm.md` section 8.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum TimeInForce {
    /// Until cancelled, at most a year.
    Gtc,
    /// What cannot be filled at once expires.
    Ioc,
    /// All at once or refused (-5021).
    Fok,
    /// Post only: refused (-5022) when it would take.
    Gtx,
    /// Until a time at least 600 s away, in whole seconds.
    Gtd { until: Timestamp },
}

/// The price that a conditional order watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum WorkingType {
    /// The last trade.
    #[default]
    #[serde(rename = "CONTRACT_PRICE")]
    Contract,
    #[serde(rename = "MARK_PRICE")]
    Mark,
}

/// Which order gives way when an account meets itself; the taker's mode decides (`binance-usdm.md` section 8.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SelfTradePrevention {
    ExpireTaker,
    #[default]
    ExpireMaker,
    ExpireBoth,
    None,
}

/// The order types of USD-M futures. All but `Market` and `Limit` are conditional: they live in the exchange's algo service
/// until their trigger (`binance-usdm.md` section 3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OrderType {
    Market,
    Limit {
        price: Price,
        tif: TimeInForce,
    },
    Stop {
        trigger: Price,
        price: Price,
        tif: TimeInForce,
    },
    StopMarket {
        trigger: Price,
    },
    TakeProfit {
        trigger: Price,
        price: Price,
        tif: TimeInForce,
    },
    TakeProfitMarket {
        trigger: Price,
    },
    /// `callback` is a rate: 0.01 is the exchange's `callbackRate=1`.
    TrailingStopMarket {
        activation: Option<Price>,
        callback: Rate,
    },
}

impl OrderType {
    pub const fn is_conditional(&self) -> bool {
        !matches!(self, OrderType::Market | OrderType::Limit { .. })
    }

    /// The limit price, where the type has one.
    pub const fn price(&self) -> Option<Price> {
        match *self {
            OrderType::Limit { price, .. } | OrderType::Stop { price, .. } | OrderType::TakeProfit { price, .. } => {
                Some(price)
            }
            _ => None,
        }
    }

    pub const fn trigger(&self) -> Option<Price> {
        match *self {
            OrderType::Stop { trigger, .. }
            | OrderType::StopMarket { trigger }
            | OrderType::TakeProfit { trigger, .. }
            | OrderType::TakeProfitMarket { trigger } => Some(trigger),
            OrderType::TrailingStopMarket { activation, .. } => activation,
            _ => None,
        }
    }

    /// Its name on the wire.
    pub const fn name(&self) -> &'static str {
        match self {
            OrderType::Market => "MARKET",
            OrderType::Limit { .. } => "LIMIT",
            OrderType::Stop { .. } => "STOP",
            OrderType::StopMarket { .. } => "STOP_MARKET",
            OrderType::TakeProfit { .. } => "TAKE_PROFIT",
            OrderType::TakeProfitMarket { .. } => "TAKE_PROFIT_MARKET",
            OrderType::TrailingStopMarket { .. } => "TRAILING_STOP_MARKET",
        }
    }
}

/// Everything that an order says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderSpec {
    /// Stands in the event's own column in the store, by name.
    #[serde(skip, default = "no_symbol")]
    pub symbol: SymbolId,
    pub side: Side,
    #[serde(default)]
    pub position_side: PositionSide,
    /// Positive; zero only with `close_position`.
    pub qty: Qty,
    #[serde(flatten)]
    pub order_type: OrderType,
    #[serde(default)]
    pub reduce_only: bool,
    /// Conditional market types only: the quantity is the whole position at the trigger.
    #[serde(default)]
    pub close_position: bool,
    #[serde(default)]
    pub working_type: WorkingType,
    #[serde(default)]
    pub price_protect: bool,
    #[serde(default)]
    pub stp: SelfTradePrevention,
}

const fn no_symbol() -> SymbolId {
    SymbolId(0)
}

impl OrderSpec {
    /// A market order of one-way mode with the defaults of the exchange.
    pub const fn market(symbol: SymbolId, side: Side, qty: Qty) -> OrderSpec {
        OrderSpec {
            symbol,
            side,
            position_side: PositionSide::Both,
            qty,
            order_type: OrderType::Market,
            reduce_only: false,
            close_position: false,
            working_type: WorkingType::Contract,
            price_protect: false,
            stp: SelfTradePrevention::ExpireMaker,
        }
    }

    /// A limit order, good till cancelled.
    pub const fn limit(symbol: SymbolId, side: Side, qty: Qty, price: Price) -> OrderSpec {
        OrderSpec::market(symbol, side, qty).with_type(OrderType::Limit { price, tif: TimeInForce::Gtc })
    }

    pub const fn with_type(mut self, order_type: OrderType) -> OrderSpec {
        self.order_type = order_type;
        self
    }

    pub const fn reduce_only(mut self) -> OrderSpec {
        self.reduce_only = true;
        self
    }

    pub const fn position_side(mut self, position_side: PositionSide) -> OrderSpec {
        self.position_side = position_side;
        self
    }

    /// True when the order can only make a position smaller.
    pub const fn only_reduces(&self) -> bool {
        self.reduce_only
            || self.close_position
            || matches!(
                (self.position_side, self.side),
                (PositionSide::Long, Side::Sell) | (PositionSide::Short, Side::Buy)
            )
    }
}

/// Where an order is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OrderStatus {
    /// The intent is durable; the exchange has not answered yet.
    Requested,
    /// The answer was lost: it may or may not be there. Only a query may end this state.
    Unknown,
    /// The exchange has it; nothing filled.
    New,
    PartiallyFilled,
    /// A conditional order whose child is at the matching engine.
    Triggered,
    Filled,
    Canceled,
    Expired,
    Rejected,
}

impl OrderStatus {
    /// A terminal status is final.
    pub const fn is_terminal(self) -> bool {
        matches!(self, OrderStatus::Filled | OrderStatus::Canceled | OrderStatus::Expired | OrderStatus::Rejected)
    }

    pub const fn name(self) -> &'static str {
        match self {
            OrderStatus::Requested => "REQUESTED",
            OrderStatus::Unknown => "UNKNOWN",
            OrderStatus::New => "NEW",
            OrderStatus::PartiallyFilled => "PARTIALLY_FILLED",
            OrderStatus::Triggered => "TRIGGERED",
            OrderStatus::Filled => "FILLED",
            OrderStatus::Canceled => "CANCELED",
            OrderStatus::Expired => "EXPIRED",
            OrderStatus::Rejected => "REJECTED",
        }
    }

    /// The status after a change, or why there is none. `filled` is the cumulative quantity after the change.
    pub fn after(self, change: OrderChange) -> Result<OrderStatus, IllegalChange> {
        use OrderChange as C;
        use OrderStatus as S;
        match (self, change) {
            (S::Requested | S::Unknown, C::Placed) => Ok(S::New),
            // A fill may overtake the acknowledgement; the acknowledgement then changes nothing.
            (S::New | S::PartiallyFilled | S::Triggered, C::Placed) => Ok(self),
            (S::Requested, C::OutcomeUnknown) => Ok(S::Unknown),
            (S::Requested | S::Unknown, C::Rejected) => Ok(S::Rejected),
            (S::New | S::Triggered, C::Rejected) => Ok(S::Rejected),
            (S::Requested | S::Unknown | S::New | S::Triggered, C::Triggered) => Ok(S::Triggered),
            // Orders and conditional orders come on streams of their own: the child's fill may overtake the trigger.
            (S::PartiallyFilled, C::Triggered) => Ok(self),
            (S::Requested | S::Unknown | S::New | S::PartiallyFilled | S::Triggered, C::Traded { complete }) => {
                Ok(if complete { S::Filled } else { S::PartiallyFilled })
            }
            (S::New | S::PartiallyFilled | S::Triggered, C::Amended) => Ok(self),
            // What could be amended is there.
            (S::Requested | S::Unknown, C::Amended) => Ok(S::New),
            (S::Requested | S::Unknown | S::New | S::PartiallyFilled | S::Triggered, C::Canceled) => Ok(S::Canceled),
            (S::Requested | S::Unknown | S::New | S::PartiallyFilled | S::Triggered, C::Expired) => Ok(S::Expired),
            (status, change) => Err(IllegalChange { status, change }),
        }
    }
}

/// What can happen to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderChange {
    Placed,
    OutcomeUnknown,
    Rejected,
    /// A conditional order's child went to the matching engine.
    Triggered,
    Traded {
        complete: bool,
    },
    Amended,
    Canceled,
    Expired,
}

/// A change that the life of an order does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an order that is {} cannot be {change:?}", status.name())]
pub struct IllegalChange {
    pub status: OrderStatus,
    pub change: OrderChange,
}

/// An order as the engine knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub client_order_id: ClientOrderId,
    pub command: CommandId,
    pub symbol: SymbolId,
    pub spec: OrderSpec,
    pub status: OrderStatus,
    /// The exchange's id; 0 until it is known. Of a triggered conditional order, the algo id.
    pub order_id: u64,
    /// The total quantity now (an amendment changes it).
    pub qty: Qty,
    /// Cumulative filled quantity, never above `qty`.
    pub filled: Qty,
    pub requested_at: Timestamp,
    /// Of a triggered conditional order, the id of its child; 0 until it is known.
    #[serde(default, skip_serializing_if = "is_unknown")]
    pub child: u64,
}

const fn is_unknown(id: &u64) -> bool {
    *id == 0
}

impl Order {
    pub const fn remaining(&self) -> Qty {
        Qty::from_steps(self.qty.steps().saturating_sub(self.filled.steps()))
    }
}
