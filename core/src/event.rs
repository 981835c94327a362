//! An Event is a fact, in the past tense. The log of events is the truth of a session: folding it gives the state, bit for bit.
//!
//! An event says nothing about the market: recordings hold that. It says what was wanted, what the exchange answered and what
//! it did to orders, positions and money.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::command::{Actor, Refusal};
use crate::exchange::{ExchangeError, ExpiryReason, Fill, FundingPayment, Setting, TransferReason};
use crate::id::{Asset, ClientOrderId, CommandId};
use crate::link::LinkUpdate;
use crate::market::SymbolId;
use crate::mode::{EngineMode, Mode};
use crate::order::{OrderSpec, PositionSide, Side};
use crate::reconcile::DriftKind;
use crate::risk::Limits;
use crate::units::{Money, Price, Qty, Timestamp};

/// An event with its place in the log. The names are the columns of `event_store`.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// From 1, without gaps, across the sessions of a store.
    pub seq: u64,
    /// When the engine learned of it.
    pub at: Timestamp,
    pub source: Source,
    /// The command that it belongs to.
    pub command: Option<CommandId>,
    /// The event that led to it; 0 where an input did.
    pub causation: u64,
    pub symbol: Option<SymbolId>,
    pub event: Event,
}

/// Where a fact was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Source {
    Websocket,
    Rest,
    Bot,
    Web,
    Sim,
}

impl Source {
    pub const fn name(self) -> &'static str {
        match self {
            Source::Websocket => "WEBSOCKET",
            Source::Rest => "REST",
            Source::Bot => "BOT",
            Source::Web => "WEB",
            Source::Sim => "SIM",
        }
    }

    pub fn from_name(name: &str) -> Option<Source> {
        let all = [Source::Websocket, Source::Rest, Source::Bot, Source::Web, Source::Sim];
        all.into_iter().find(|source| source.name() == name)
    }
}

/// Defines the events, their names in the column `event_type` and their JSON form in one place.
macro_rules! events {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $kind:ty),* $(,)? })*) => {
        /// A fact.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Event {
            $($(#[$doc])* $name($name),)*
        }

        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
            pub struct $name {
                $($(#[$field_meta])* pub $field: $kind,)*
            }

            impl From<$name> for Event {
                fn from(event: $name) -> Event {
                    Event::$name(event)
                }
            }
        )*

        impl Event {
            /// The name in the column `event_type`.
            pub const fn event_type(&self) -> &'static str {
                match self {
                    $(Event::$name(_) => stringify!($name),)*
                }
            }

            /// Writes the payload, without the envelope, as JSON.
            pub fn write_payload(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
                match self {
                    $(Event::$name(event) => serde_json::to_writer(out, event),)*
                }
            }

            /// Reads an event back from the columns `event_type` and `payload_json`. Symbols inside the payload are in the
            /// envelope; see [`Event::with_symbol`].
            pub fn from_payload(event_type: &str, payload: &str) -> Result<Event, PayloadError> {
                match event_type {
                    $(stringify!($name) => Ok(Event::$name(serde_json::from_str(payload)?)),)*
                    other => Err(PayloadError::UnknownType(other.to_owned())),
                }
            }
        }
    };
}

/// A row of the store that this version cannot read.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    #[error("unknown event type `{0}`")]
    UnknownType(String),
    #[error("payload: {0}")]
    Json(#[from] serde_json::Error),
}

events! {
    /// A run began. `config` is all that determines it.
    SessionStarted { session: crate::id::SessionId, mode: Mode, strategy: String, config: Value }
    /// A run ended in order.
    SessionStopped { reason: String }
    /// Money came to the account or left it.
    TransferBooked { id: u64, asset: Asset, amount: Money, reason: TransferReason }
    EngineModeChanged { from: EngineMode, to: EngineMode, reason: String }
    /// The exchange confirmed a leverage, or it was found so.
    LeverageSet { leverage: u32 }
    MarginTypeSet { isolated: bool }
    HedgeModeSet { hedge: bool }
    /// The intent to change a setting, before it leaves.
    SettingRequested { setting: Setting }
    SettingRejected { setting: Setting, error: ExchangeError }
    /// The intent to place an order, before it leaves.
    OrderRequested { client_order_id: ClientOrderId, actor: Actor, spec: OrderSpec }
    /// The intent to cancel, before it leaves.
    CancelRequested { client_order_id: ClientOrderId, actor: Actor }
    CancelRejected { client_order_id: ClientOrderId, error: ExchangeError }
    /// The intent to change price or quantity, before it leaves.
    ModifyRequested { client_order_id: ClientOrderId, actor: Actor, qty: Qty, price: Price }
    ModifyRejected { client_order_id: ClientOrderId, error: ExchangeError }
    /// Our own no.
    CommandRefused { actor: Actor, wish: String, client_order_id: Option<ClientOrderId>, refusal: Refusal }
    /// The exchange has the order.
    OrderPlaced { client_order_id: ClientOrderId, order_id: u64 }
    /// The exchange said no.
    OrderRejected { client_order_id: ClientOrderId, error: ExchangeError }
    /// The answer to an order was lost.
    OrderOutcomeUnknown { client_order_id: ClientOrderId, reason: String }
    /// A query found nothing, and the request can no longer arrive: the order does not exist.
    OrderProvenAbsent { client_order_id: ClientOrderId }
    /// A conditional order fired.
    OrderTriggered { client_order_id: ClientOrderId, child: u64, qty: Qty }
    /// An order was executed, wholly or in part.
    TradeExecuted {
        client_order_id: ClientOrderId,
        order_id: u64,
        side: Side,
        position_side: PositionSide,
        /// When it happened at the exchange.
        traded_at: Timestamp,
        #[serde(flatten)]
        fill: Fill,
    }
    OrderAmended { client_order_id: ClientOrderId, qty: Qty, price: Price, amended_at: Timestamp }
    OrderCanceled { client_order_id: ClientOrderId }
    OrderExpired { client_order_id: ClientOrderId, reason: ExpiryReason }
    FundingApplied {
        #[serde(flatten)]
        payment: FundingPayment,
    }
    /// Money moved between the wallet and a position's isolated margin (into the margin positive).
    MarginMoved { position_side: PositionSide, amount: Money, margin: Money }
    /// The exchange began to close a position or the account.
    LiquidationStarted { mark: Price, margin_balance: Money, maintenance: Money }
    TimerSet { name: String, due: Timestamp }
    TimerFired { name: String }
    /// The strategy remembered something that shall survive a restart.
    StrategyStateSaved { key: String, value: Value }
    /// A UTC day ended with this equity, marked to market.
    DayClosed { day: Timestamp, equity: Money, wallet: Money }
    /// An operator's word. What is `pending` ends with an [`OperatorCommandFinished`]; all else is done with the event itself.
    OperatorCommandReceived {
        key: String,
        who: String,
        order: crate::command::OperatorOrder,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        pending: bool,
    }
    /// What an operator wanted is done, or could not be.
    OperatorCommandFinished { key: String, error: Option<String>, result: Value }
    /// An operator changed the limits. `configured` are those with which the process was started: as long as a restart brings
    /// the same, the operator's word stands.
    ConfigUpdated { limits: Limits, configured: Limits }
    /// Something happened on the way to the exchange.
    LinkChanged {
        #[serde(flatten)]
        link: LinkUpdate,
    }
    /// The account is being compared with what the exchange says it is.
    ReconcileStarted { reason: String }
    /// They agree, or were made to. What happened at the exchange before `complete_until` is known, and of each symbol, by its number,
    /// the trades up to the one of `trades_known`: the stream may have told younger ones and passed over some between.
    ReconcileFinished {
        drifts: u64,
        complete_until: Timestamp,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        trades_known: Vec<u64>,
    }
    /// State and exchange say different things about something. What repairs it follows.
    DriftDetected { kind: DriftKind, subject: String, ours: String, theirs: String }
    /// An open order at the exchange that this store did not know: somebody else's, or one that was believed absent. Of one that is
    /// known, how far it is filled, when no trade tells it.
    OrderAdopted {
        client_order_id: ClientOrderId,
        order_id: u64,
        actor: Actor,
        spec: OrderSpec,
        filled: Qty,
        created_at: Timestamp,
    }
    /// A position is now what the exchange says, although no trade told it.
    PositionAdopted { position_side: PositionSide, qty: Qty, entry_price: Price }
    /// This store failed while a session ran. From `since` on the session had none and let only cancels and closes leave, under the
    /// name `last_resort`. Told when the store could be opened again.
    StorageDistrusted { since: Timestamp, problem: String, last_resort: crate::id::SessionId }
    /// It was opened again and is trusted. The session without a store had named so many orders.
    StorageTrusted { since: Timestamp, last_resort: crate::id::SessionId, orders_given: u64 }
    /// The store was found damaged, and made anew from the events of it that could be trusted. `marked_seq` is the last event that
    /// the head mark said was durable, where it said anything; the damaged files are beside the store under the name `moved_to`.
    StoreRecovered { kept_until_seq: u64, marked_seq: Option<u64>, problem: String, moved_to: String }
}

impl StoreRecovered {
    /// Whether events that were durable are gone, or may be: without a head mark nobody knows.
    pub fn has_lost(&self) -> bool {
        self.marked_seq.is_none_or(|marked| marked > self.kept_until_seq)
    }
}

impl Event {
    /// Puts the symbol of the envelope back where the payload leaves it out.
    pub fn with_symbol(mut self, symbol: Option<SymbolId>) -> Event {
        if let Some(symbol) = symbol {
            match &mut self {
                Event::OrderRequested(event) => event.spec.symbol = symbol,
                Event::OrderAdopted(event) => event.spec.symbol = symbol,
                Event::FundingApplied(event) => event.payment.symbol = symbol,
                Event::OperatorCommandReceived(event) => event.order = event.order.with_symbol(symbol),
                _ => {}
            }
        }
        self
    }

    /// The order that the event is about.
    pub fn client_order_id(&self) -> Option<&ClientOrderId> {
        match self {
            Event::OrderRequested(event) => Some(&event.client_order_id),
            Event::CancelRequested(event) => Some(&event.client_order_id),
            Event::CancelRejected(event) => Some(&event.client_order_id),
            Event::ModifyRequested(event) => Some(&event.client_order_id),
            Event::ModifyRejected(event) => Some(&event.client_order_id),
            Event::CommandRefused(event) => event.client_order_id.as_ref(),
            Event::OrderPlaced(event) => Some(&event.client_order_id),
            Event::OrderRejected(event) => Some(&event.client_order_id),
            Event::OrderOutcomeUnknown(event) => Some(&event.client_order_id),
            Event::OrderProvenAbsent(event) => Some(&event.client_order_id),
            Event::OrderTriggered(event) => Some(&event.client_order_id),
            Event::TradeExecuted(event) => Some(&event.client_order_id),
            Event::OrderAmended(event) => Some(&event.client_order_id),
            Event::OrderCanceled(event) => Some(&event.client_order_id),
            Event::OrderExpired(event) => Some(&event.client_order_id),
            Event::OrderAdopted(event) => Some(&event.client_order_id),
            _ => None,
        }
    }
}
