//! An Entry is what the auditor reads of one event of the log: small, without text, comparable with what a reader reads back.

use alphaengine_core::event::{Event, Recorded};
use alphaengine_core::exchange::TransferReason;
use alphaengine_core::id::{Asset, ClientOrderId, CommandId};
use alphaengine_core::link::{LinkUpdate, Route};
use alphaengine_core::market::SymbolId;
use alphaengine_core::mode::EngineMode;
use alphaengine_core::order::{OrderSpec, PositionSide, Side};
use alphaengine_core::risk::Limits;
use alphaengine_core::units::{Money, Price, Qty, Timestamp};

/// An event with its place in the log.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Entry {
    pub seq: u64,
    pub at: Timestamp,
    /// 0 without one.
    pub command: CommandId,
    pub symbol: Option<SymbolId>,
    pub fact: Fact,
}

/// A trade as the log books it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Trade {
    pub name: ClientOrderId,
    pub order_id: u64,
    pub side: Side,
    pub position_side: PositionSide,
    pub trade_id: u64,
    pub price: Price,
    pub qty: Qty,
    pub fee: Money,
    pub fee_asset: Asset,
    pub is_maker: bool,
    pub is_liquidation: bool,
    pub realized: Money,
}

/// What an event says, as far as a law asks for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fact {
    SessionStarted,
    Requested {
        name: ClientOrderId,
        spec: OrderSpec,
    },
    CancelRequested {
        name: ClientOrderId,
    },
    CancelRejected {
        name: ClientOrderId,
    },
    ModifyRequested {
        name: ClientOrderId,
        qty: Qty,
        price: Price,
    },
    ModifyRejected {
        name: ClientOrderId,
    },
    Placed {
        name: ClientOrderId,
        order_id: u64,
    },
    Rejected {
        name: ClientOrderId,
    },
    Unknown {
        name: ClientOrderId,
    },
    Absent {
        name: ClientOrderId,
    },
    Triggered {
        name: ClientOrderId,
        child: u64,
        qty: Qty,
    },
    Traded(Trade),
    Amended {
        name: ClientOrderId,
        qty: Qty,
    },
    Canceled {
        name: ClientOrderId,
    },
    Expired {
        name: ClientOrderId,
    },
    Adopted {
        name: ClientOrderId,
        order_id: u64,
        spec: OrderSpec,
        filled: Qty,
    },
    Funding {
        position_side: PositionSide,
        amount: Money,
    },
    Transfer {
        asset: Asset,
        amount: Money,
        reason: TransferReason,
    },
    MarginMoved {
        position_side: PositionSide,
        amount: Money,
    },
    PositionAdopted {
        position_side: PositionSide,
        qty: Qty,
    },
    Mode {
        to: EngineMode,
    },
    StreamDown(Route),
    StreamUp(Route),
    Late(Route),
    OnTime(Route),
    ReconcileFinished,
    Limits(Limits),
    /// Nothing that a law asks for, by its name.
    Other(&'static str),
}

impl Entry {
    pub fn of(recorded: &Recorded) -> Entry {
        Entry {
            seq: recorded.seq,
            at: recorded.at,
            command: recorded.command.unwrap_or_default(),
            symbol: recorded.symbol,
            fact: Fact::of(recorded),
        }
    }
}

impl Fact {
    fn of(recorded: &Recorded) -> Fact {
        match &recorded.event {
            Event::SessionStarted(_) => Fact::SessionStarted,
            Event::OrderRequested(event) => {
                // The envelope names the symbol; a payload that was read back may not.
                let symbol = recorded.symbol.unwrap_or(event.spec.symbol);
                Fact::Requested { name: event.client_order_id, spec: OrderSpec { symbol, ..event.spec } }
            }
            Event::CancelRequested(event) => Fact::CancelRequested { name: event.client_order_id },
            Event::CancelRejected(event) => Fact::CancelRejected { name: event.client_order_id },
            Event::ModifyRequested(event) => {
                Fact::ModifyRequested { name: event.client_order_id, qty: event.qty, price: event.price }
            }
            Event::ModifyRejected(event) => Fact::ModifyRejected { name: event.client_order_id },
            Event::OrderPlaced(event) => Fact::Placed { name: event.client_order_id, order_id: event.order_id },
            Event::OrderRejected(event) => Fact::Rejected { name: event.client_order_id },
            Event::OrderOutcomeUnknown(event) => Fact::Unknown { name: event.client_order_id },
            Event::OrderProvenAbsent(event) => Fact::Absent { name: event.client_order_id },
            Event::OrderTriggered(event) => {
                Fact::Triggered { name: event.client_order_id, child: event.child, qty: event.qty }
            }
            Event::TradeExecuted(event) => Fact::Traded(Trade {
                name: event.client_order_id,
                order_id: event.order_id,
                side: event.side,
                position_side: event.position_side,
                trade_id: event.fill.trade_id,
                price: event.fill.price,
                qty: event.fill.qty,
                fee: event.fill.fee,
                fee_asset: event.fill.fee_asset,
                is_maker: event.fill.is_maker,
                is_liquidation: event.fill.is_liquidation,
                realized: event.fill.realized,
            }),
            Event::OrderAmended(event) => Fact::Amended { name: event.client_order_id, qty: event.qty },
            Event::OrderCanceled(event) => Fact::Canceled { name: event.client_order_id },
            Event::OrderExpired(event) => Fact::Expired { name: event.client_order_id },
            Event::OrderAdopted(event) => {
                let symbol = recorded.symbol.unwrap_or(event.spec.symbol);
                let spec = OrderSpec { symbol, ..event.spec };
                Fact::Adopted { name: event.client_order_id, order_id: event.order_id, spec, filled: event.filled }
            }
            Event::FundingApplied(event) => {
                Fact::Funding { position_side: event.payment.position_side, amount: event.payment.amount }
            }
            Event::TransferBooked(event) => {
                Fact::Transfer { asset: event.asset, amount: event.amount, reason: event.reason }
            }
            Event::MarginMoved(event) => Fact::MarginMoved { position_side: event.position_side, amount: event.amount },
            Event::PositionAdopted(event) => {
                Fact::PositionAdopted { position_side: event.position_side, qty: event.qty }
            }
            Event::EngineModeChanged(event) => Fact::Mode { to: event.to },
            Event::LinkChanged(event) => match event.link {
                LinkUpdate::StreamDown { route, .. } => Fact::StreamDown(route),
                LinkUpdate::StreamUp { route } => Fact::StreamUp(route),
                LinkUpdate::Late { route, .. } => Fact::Late(route),
                LinkUpdate::OnTime { route } => Fact::OnTime(route),
                _ => Fact::Other("LinkChanged"),
            },
            Event::ReconcileFinished(_) => Fact::ReconcileFinished,
            Event::ConfigUpdated(event) => Fact::Limits(event.limits),
            other => Fact::Other(other.event_type()),
        }
    }
}
