//! The whole language between the engine and the world: an [`Input`] comes in, [`Request`]s go out.
//!
//! The same words serve the simulated exchange, which speaks them directly, and the Binance session, which translates them
//! to and from bytes. Nothing here says how long anything takes.

use serde::{Deserialize, Serialize};

use crate::command::{OperatorCommand, StopPolicy};
use crate::id::{Asset, ClientOrderId, RequestId};
use crate::link::LinkUpdate;
use crate::market::{MarketUpdate, SymbolId};
use crate::order::{OrderSpec, PositionSide, Side};
use crate::snapshot::AccountSnapshot;
use crate::units::{Money, Price, Qty, Rate, Timestamp};

/// Everything that can reach the engine. What is large is lent: there are millions of inputs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Input<'a> {
    Market(&'a MarketUpdate),
    Exchange(&'a ExchangeUpdate),
    Operator(&'a OperatorCommand),
    /// The world is connected and what it told so far is complete: the strategy may begin.
    Ready,
    /// The time for which the engine asked with `wake_at` has come.
    Wake,
    /// The process shall stop: cancels and closes leave as the policy says. `End` follows when the engine is done with them.
    Stop {
        policy: StopPolicy,
        reason: &'a str,
    },
    /// There are no more inputs: the tape has ended, or the process ends.
    End,
}

/// What the engine asks of the exchange. Each is one call of its API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// A regular order, or a conditional one when the type says so (the world chooses the endpoint).
    PlaceOrder {
        client_order_id: ClientOrderId,
        spec: OrderSpec,
    },
    /// Changes price and total quantity of a resting limit order. It loses its place in the queue.
    ModifyOrder {
        client_order_id: ClientOrderId,
        symbol: SymbolId,
        side: Side,
        qty: Qty,
        price: Price,
        /// As of `CancelOrder`.
        child: Option<u64>,
    },
    CancelOrder {
        client_order_id: ClientOrderId,
        symbol: SymbolId,
        /// Whether the algo service still has it.
        conditional: bool,
        /// Of a conditional order that fired, the id of its child, as far as it is known: the child may carry a name of its own
        /// (`binance-usdm.md` section 3.4), so this names it and the client order id does not.
        child: Option<u64>,
    },
    /// What became of an order whose answer was lost. Of one that fired, the answer tells the id of its child.
    QueryOrder {
        client_order_id: ClientOrderId,
        symbol: SymbolId,
        conditional: bool,
        /// As of `CancelOrder`.
        child: Option<u64>,
    },
    SetLeverage {
        symbol: SymbolId,
        leverage: u32,
    },
    SetMarginType {
        symbol: SymbolId,
        isolated: bool,
    },
    SetHedgeMode {
        hedge: bool,
    },
    /// Cancels every open order of a symbol, conditional ones and those of others included.
    CancelAll {
        symbol: SymbolId,
    },
    /// What the account is now: open orders of both services, positions, balances, settings.
    Snapshot,
    /// A page of our own trades of a symbol, oldest first: those from this id on, or with id 0 those since this time.
    Trades {
        symbol: SymbolId,
        from_id: u64,
        since: Timestamp,
    },
    /// A page of what moved money without a trade, oldest first: funding, transfers and their like.
    Income {
        since: Timestamp,
    },
}

/// A setting of the account at the exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Setting {
    Leverage { leverage: u32 },
    MarginType { isolated: bool },
    HedgeMode { hedge: bool },
}

/// A request on its way out, with the number that its answer will carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outgoing {
    pub id: RequestId,
    pub request: Request,
}

/// What the exchange says.
#[derive(Debug, Clone, PartialEq)]
pub enum ExchangeUpdate {
    /// The answer to one request.
    Answer { id: RequestId, outcome: Outcome },
    /// Something happened to an order (ORDER_TRADE_UPDATE, ALGO_UPDATE).
    Order(OrderUpdate),
    /// Funding was paid (negative) or received.
    Funding(FundingPayment),
    /// The isolated margin of a position is now `wallet` (ACCOUNT_UPDATE `iw`): absolute, so that hearing it twice changes nothing.
    IsolatedMargin { symbol: SymbolId, position_side: PositionSide, wallet: Money },
    /// A setting of the account is now so (ACCOUNT_CONFIG_UPDATE); of the whole account where no symbol is named.
    Setting { symbol: Option<SymbolId>, setting: Setting },
    /// Money came to the account or left it, `at` the exchange's time. `id` makes it one fact however often it is heard.
    Transfer { at: Timestamp, id: u64, asset: Asset, amount: Money, reason: TransferReason },
    /// The account, or an isolated position, is below its maintenance margin: the exchange has begun to close it.
    Liquidation { symbol: Option<SymbolId>, mark: Price, margin_balance: Money, maintenance: Money },
    /// Something happened on the way to the exchange: a stream was lost, a limit was hit, the clock was off.
    Link(LinkUpdate),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TransferReason {
    Deposit,
    Withdraw,
    /// The insurance fund made up for a negative balance after a liquidation.
    InsuranceClear,
    /// What the account held when a store first met it.
    Opening,
    /// Between the futures wallet and another one.
    Internal,
    /// Kickbacks, rebates, bonuses and rewards.
    Rebate,
    /// An asset was exchanged for another.
    Exchange,
    /// A correction by the exchange, or any other movement.
    Adjustment,
    /// What the reconciler found that nothing had told.
    Reconciled,
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The order is at the exchange under this id.
    Placed {
        order_id: u64,
    },
    /// The modify, cancel or setting took effect. What became of the order follows as an [`OrderUpdate`].
    Done,
    /// The exchange said no. Definitely not executed.
    Rejected(ExchangeError),
    /// Nobody knows: a time-out, a lost connection, "Unknown error". Only a query decides.
    Unknown {
        reason: String,
    },
    /// The answer to a query: what the order is now, or that it is not there.
    Found {
        order_id: u64,
        filled: Qty,
        standing: Standing,
    },
    NotFound,
    Snapshot(Box<AccountSnapshot>),
    /// Each is an [`Execution::Trade`]. With `more` there are further ones after the last. The exchange's list names orders by their
    /// number only (`binance-usdm.md` section 3.3), so the client order id may be empty: the engine finds whose each is.
    Trades {
        trades: Vec<OrderUpdate>,
        more: bool,
    },
    /// Each is an [`ExchangeUpdate::Funding`] or an [`ExchangeUpdate::Transfer`]. `until` is the time of the last.
    Income {
        rows: Vec<ExchangeUpdate>,
        until: Timestamp,
        more: bool,
    },
}

/// Where an order stands that was asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Open,
    Filled,
    Canceled,
    Expired(ExpiryReason),
    /// A conditional order that fired and whose child was refused.
    Rejected,
}

impl Standing {
    pub const fn is_open(self) -> bool {
        matches!(self, Standing::Open)
    }
}

/// A refusal of the exchange with its own code (`binance-usdm.md` section 6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("exchange code {code}: {message}")]
pub struct ExchangeError {
    pub code: i32,
    pub message: std::borrow::Cow<'static, str>,
}

/// Something that happened to one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderUpdate {
    /// When it happened at the exchange.
    pub at: Timestamp,
    pub client_order_id: ClientOrderId,
    pub order_id: u64,
    pub symbol: SymbolId,
    pub side: Side,
    pub position_side: PositionSide,
    pub execution: Execution,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Execution {
    /// The exchange has the order (also pushed before the fills of a market order).
    New,
    Trade(Fill),
    Canceled,
    Expired(ExpiryReason),
    Amended {
        qty: Qty,
        price: Price,
    },
    /// A conditional order fired; its child has this order id and quantity (of a close-position order it is known only
    /// now) and carries the same client order id.
    Triggered {
        child: u64,
        qty: Qty,
    },
    /// A conditional order fired and its child was refused.
    TriggerRejected {
        code: i32,
    },
}

/// Why an order expired (field `er`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ExpiryReason {
    SelfTradePrevention,
    IocRemainder,
    /// Its position was closed, or it would have reversed it.
    ReduceOnly,
    Liquidation,
    GoodTillDate,
    /// A market order found nothing more within the bounds.
    MarketRemainder,
}

/// One execution against an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fill {
    /// Unique per symbol (`binance-usdm.md` section 7.1).
    pub trade_id: u64,
    pub price: Price,
    pub qty: Qty,
    /// Paid positive, a rebate negative.
    pub fee: Money,
    pub fee_asset: Asset,
    pub is_maker: bool,
    /// Made by the exchange to close an account in distress; `fee` is then the liquidation fee.
    pub is_liquidation: bool,
    /// What the position realised by it, before the fee, as the exchange says.
    pub realized: Money,
}

/// One settlement of funding on one position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FundingPayment {
    #[serde(skip, default = "no_symbol")]
    pub symbol: SymbolId,
    pub position_side: PositionSide,
    /// The nominal settlement time.
    pub settled_at: Timestamp,
    /// Left out where the exchange told the amount only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<Price>,
    /// The signed position that was charged, as far as it is known.
    pub position: Qty,
    /// Received positive, paid negative.
    pub amount: Money,
    /// The exchange's number of the payment, where the symbol, its side and the time do not tell it apart from others: in hedge
    /// mode the rows of `income` name no side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
}

const fn no_symbol() -> SymbolId {
    SymbolId(0)
}
