//! The State is what the log of events adds up to: orders, positions, money, settings, timers and what the strategy remembers.
//!
//! [`State::apply`] is a total fold: every event is taken or named as one that cannot follow. Prices are not part of it, so a
//! replay needs no market data, and the same log gives the same [`State::hash`] on every machine.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::event::{EngineMode, Event, Recorded, Setting, TradeExecuted};
use crate::id::{Asset, ClientOrderId, CommandId, SessionId};
use crate::instrument::Instruments;
use crate::ledger::{self, Ledger};
use crate::market::SymbolId;
use crate::order::{IllegalChange, Order, OrderChange, OrderStatus, PositionSide};
use crate::position::Position;
use crate::units::{Money, Timestamp};

/// Everything that the events say, folded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The last event applied; 0 before the first.
    pub seq: u64,
    pub session: SessionId,
    pub mode: EngineMode,
    /// The mode to which a restart returns: an operator's pause outlives the process.
    pub lasting_mode: EngineMode,
    /// The last command that was numbered.
    pub last_command: CommandId,
    /// Names of orders that this session has given, to derive the next one.
    pub orders_given: u64,
    /// Orders that are not in a terminal status.
    pub orders: BTreeMap<ClientOrderId, Order>,
    /// Cancels that left and are not answered.
    pub cancels: BTreeSet<ClientOrderId>,
    /// Modifications that left and are not answered.
    pub modifies: BTreeSet<ClientOrderId>,
    /// By [`SymbolId`].
    pub symbols: Vec<SymbolState>,
    pub hedge: bool,
    pub ledger: Ledger,
    pub timers: BTreeMap<String, Timestamp>,
    /// What the strategy saved.
    pub memory: BTreeMap<String, Value>,
    /// The equity at the last day's end; the initial capital on the first day.
    pub day_start_equity: Money,
    /// Keys of operator commands that were received.
    pub operator_keys: BTreeSet<String>,
    pub trades: u64,
}

/// What is known of one symbol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SymbolState {
    name: crate::instrument::Symbol,
    margin_asset: Asset,
    /// One-way, long and short.
    positions: [Position; 3],
    /// Isolated margins of the three.
    margins: [Money; 3],
    /// `None` until the exchange said it.
    pub leverage: Option<u32>,
    pub isolated: Option<bool>,
    /// The highest trade id that was booked.
    pub last_trade_id: u64,
    /// Open orders of the symbol.
    pub open_orders: u32,
}

/// An event that cannot follow on the ones before it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("event {seq} does not follow on event {last}")]
    Gap { seq: u64, last: u64 },
    #[error("event {seq} ({event_type}): no order {client_order_id} is open")]
    NoSuchOrder { seq: u64, event_type: &'static str, client_order_id: ClientOrderId },
    #[error("event {seq}: {source}")]
    Illegal { seq: u64, source: IllegalChange },
    #[error("event {seq}: an order of {qty} is filled by {filled}")]
    Overfilled { seq: u64, qty: crate::units::Qty, filled: crate::units::Qty },
    #[error("event {seq} ({event_type}) names no known symbol")]
    NoSymbol { seq: u64, event_type: &'static str },
    #[error("event {seq}: {source}")]
    Number { seq: u64, source: crate::units::Error },
}

impl State {
    /// The state before the first event.
    pub fn new(instruments: &Instruments) -> State {
        let symbols = instruments.iter().map(|(_, instrument)| SymbolState {
            name: instrument.symbol.clone(),
            margin_asset: instrument.margin_asset.parse().unwrap_or_default(),
            positions: [Position::FLAT; 3],
            margins: [Money::ZERO; 3],
            leverage: None,
            isolated: None,
            last_trade_id: 0,
            open_orders: 0,
        });
        State {
            seq: 0,
            session: SessionId::default(),
            mode: EngineMode::Booting,
            lasting_mode: EngineMode::Running,
            last_command: CommandId(0),
            orders_given: 0,
            orders: BTreeMap::new(),
            cancels: BTreeSet::new(),
            modifies: BTreeSet::new(),
            symbols: symbols.collect(),
            hedge: false,
            ledger: Ledger::default(),
            timers: BTreeMap::new(),
            memory: BTreeMap::new(),
            day_start_equity: Money::ZERO,
            operator_keys: BTreeSet::new(),
            trades: 0,
        }
    }

    #[inline]
    pub fn position(&self, symbol: SymbolId, side: PositionSide) -> &Position {
        &self.symbols[symbol.index()].positions[side as usize]
    }

    /// The isolated margin of a position; zero with cross margin.
    pub fn margin(&self, symbol: SymbolId, side: PositionSide) -> Money {
        self.symbols[symbol.index()].margins[side as usize]
    }

    /// The three positions of a symbol.
    #[inline]
    pub fn positions(&self, symbol: SymbolId) -> &[Position; 3] {
        &self.symbols[symbol.index()].positions
    }

    pub fn symbol_name(&self, symbol: SymbolId) -> &str {
        self.symbols[symbol.index()].name.as_str()
    }

    pub fn margin_asset(&self, symbol: SymbolId) -> Asset {
        self.symbols[symbol.index()].margin_asset
    }

    /// Whether a setting is known to be so.
    pub fn has_setting(&self, symbol: Option<SymbolId>, setting: Setting) -> bool {
        let of = |symbol: SymbolId| &self.symbols[symbol.index()];
        match setting {
            Setting::Leverage { leverage } => symbol.is_some_and(|symbol| of(symbol).leverage == Some(leverage)),
            Setting::MarginType { isolated } => symbol.is_some_and(|symbol| of(symbol).isolated == Some(isolated)),
            Setting::HedgeMode { hedge } => self.hedge == hedge,
        }
    }

    /// Open orders of a symbol, oldest first.
    pub fn open_orders(&self, symbol: SymbolId) -> impl Iterator<Item = &Order> {
        self.orders.values().filter(move |order| order.symbol == symbol)
    }

    /// Folds one event in.
    pub fn apply(&mut self, recorded: &Recorded) -> Result<(), Error> {
        let seq = recorded.seq;
        if seq != self.seq + 1 {
            return Err(Error::Gap { seq, last: self.seq });
        }
        self.seq = seq;
        if let Some(command) = recorded.command {
            self.last_command = self.last_command.max(command);
        }
        self.post(recorded)?;
        match &recorded.event {
            Event::SessionStarted(event) => {
                if self.session != event.session {
                    self.session = event.session;
                    self.orders_given = 0;
                }
                self.mode = EngineMode::Booting;
            }
            Event::EngineModeChanged(event) => {
                self.mode = event.to;
                if event.to != EngineMode::Booting {
                    self.lasting_mode = event.to;
                }
            }
            Event::OrderRequested(event) => {
                let order = Order {
                    client_order_id: event.client_order_id,
                    command: recorded.command.unwrap_or_default(),
                    symbol: event.spec.symbol,
                    spec: event.spec,
                    status: OrderStatus::Requested,
                    order_id: 0,
                    qty: event.spec.qty,
                    filled: crate::units::Qty::ZERO,
                    requested_at: recorded.at,
                };
                self.orders_given += 1;
                self.symbol_mut(recorded)?.open_orders += 1;
                self.orders.insert(event.client_order_id, order);
            }
            Event::OrderPlaced(event) => {
                let order = self.change(recorded, &event.client_order_id, OrderChange::Placed)?;
                order.order_id = event.order_id;
            }
            Event::OrderRejected(event) => self.finish(recorded, &event.client_order_id, OrderChange::Rejected)?,
            Event::OrderProvenAbsent(event) => self.finish(recorded, &event.client_order_id, OrderChange::Rejected)?,
            Event::OrderOutcomeUnknown(event) => {
                self.change(recorded, &event.client_order_id, OrderChange::OutcomeUnknown)?;
            }
            Event::OrderTriggered(event) => {
                let order = self.change(recorded, &event.client_order_id, OrderChange::Triggered)?;
                // A close-position order learns its quantity only now.
                order.qty = event.qty;
            }
            Event::TradeExecuted(event) => self.trade(recorded, event)?,
            Event::OrderAmended(event) => {
                let order = self.change(recorded, &event.client_order_id, OrderChange::Amended)?;
                order.qty = event.qty;
                if let crate::order::OrderType::Limit { price, .. } = &mut order.spec.order_type {
                    *price = event.price;
                }
                self.modifies.remove(&event.client_order_id);
            }
            Event::OrderCanceled(event) => self.finish(recorded, &event.client_order_id, OrderChange::Canceled)?,
            Event::OrderExpired(event) => self.finish(recorded, &event.client_order_id, OrderChange::Expired)?,
            // A refused order used up its name: names are never given twice.
            Event::CommandRefused(event) => self.orders_given += u64::from(event.client_order_id.is_some()),
            Event::CancelRequested(event) => {
                self.cancels.insert(event.client_order_id);
            }
            Event::CancelRejected(event) => {
                self.cancels.remove(&event.client_order_id);
            }
            Event::ModifyRequested(event) => {
                self.modifies.insert(event.client_order_id);
            }
            Event::ModifyRejected(event) => {
                self.modifies.remove(&event.client_order_id);
            }
            Event::MarginMoved(event) => {
                self.symbol_mut(recorded)?.margins[event.position_side as usize] = event.margin;
            }
            Event::LeverageSet(event) => self.symbol_mut(recorded)?.leverage = Some(event.leverage),
            Event::MarginTypeSet(event) => self.symbol_mut(recorded)?.isolated = Some(event.isolated),
            Event::HedgeModeSet(event) => self.hedge = event.hedge,
            Event::TransferBooked(event) => {
                if self.day_start_equity.is_zero() {
                    self.day_start_equity = event.amount;
                }
            }
            Event::DayClosed(event) => self.day_start_equity = event.equity,
            Event::TimerSet(event) => {
                self.timers.insert(event.name.clone(), event.due);
            }
            Event::TimerFired(event) => {
                self.timers.remove(&event.name);
            }
            Event::StrategyStateSaved(event) => {
                self.memory.insert(event.key.clone(), event.value.clone());
            }
            Event::OperatorCommandReceived(event) => {
                self.operator_keys.insert(event.key.clone());
            }
            Event::FundingApplied(_)
            | Event::LiquidationStarted(_)
            | Event::SettingRequested(_)
            | Event::SettingRejected(_)
            | Event::SessionStopped(_) => {}
        }
        Ok(())
    }

    /// Books what the event does to the money.
    fn post(&mut self, recorded: &Recorded) -> Result<(), Error> {
        let asset = recorded.symbol.map_or(Asset::default(), |symbol| self.margin_asset(symbol));
        let number = |source| Error::Number { seq: recorded.seq, source };
        let entry = ledger::entry(&recorded.event, asset).map_err(number)?;
        self.ledger.post(&entry).map_err(number)
    }

    fn trade(&mut self, recorded: &Recorded, event: &TradeExecuted) -> Result<(), Error> {
        let seq = recorded.seq;
        let symbol = self.symbol_mut(recorded)?;
        let position = &mut symbol.positions[event.position_side as usize];
        position
            .fill(event.side.signed(event.fill.qty), event.fill.price)
            .map_err(|source| Error::Number { seq, source })?;
        symbol.last_trade_id = symbol.last_trade_id.max(event.fill.trade_id);
        self.trades += 1;
        // Orders that the exchange makes itself, to liquidate, were never requested.
        let Some(order) = self.orders.get_mut(&event.client_order_id) else {
            return Ok(());
        };
        let filled = order.filled.checked_add(event.fill.qty).map_err(|source| Error::Number { seq, source })?;
        if filled > order.qty {
            return Err(Error::Overfilled { seq, qty: order.qty, filled });
        }
        let complete = filled == order.qty;
        order.filled = filled;
        if complete {
            self.finish(recorded, &event.client_order_id, OrderChange::Traded { complete })
        } else {
            self.change(recorded, &event.client_order_id, OrderChange::Traded { complete }).map(|_| ())
        }
    }

    fn change(&mut self, recorded: &Recorded, id: &ClientOrderId, change: OrderChange) -> Result<&mut Order, Error> {
        let seq = recorded.seq;
        let order = self.orders.get_mut(id).ok_or_else(|| Error::NoSuchOrder {
            seq,
            event_type: recorded.event.event_type(),
            client_order_id: *id,
        })?;
        order.status = order.status.after(change).map_err(|source| Error::Illegal { seq, source })?;
        Ok(order)
    }

    /// A change to a terminal status: the order leaves the state.
    fn finish(&mut self, recorded: &Recorded, id: &ClientOrderId, change: OrderChange) -> Result<(), Error> {
        let symbol = self.change(recorded, id, change)?.symbol;
        self.orders.remove(id);
        self.symbols[symbol.index()].open_orders -= 1;
        if !self.cancels.is_empty() {
            self.cancels.remove(id);
        }
        if !self.modifies.is_empty() {
            self.modifies.remove(id);
        }
        Ok(())
    }

    fn symbol_mut(&mut self, recorded: &Recorded) -> Result<&mut SymbolState, Error> {
        let missing = Error::NoSymbol { seq: recorded.seq, event_type: recorded.event.event_type() };
        let symbol = recorded.symbol.and_then(|symbol| self.symbols.get_mut(symbol.index()));
        symbol.ok_or(missing)
    }

    /// SHA-256 over the canonical JSON of the state: fields in the order of declaration, maps in the order of their keys.
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.to_json().as_bytes()).into()
    }

    /// The canonical JSON, as kept in a checkpoint.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|error| unreachable!("a state is plain data: {error}"))
    }

    /// Reads a checkpoint back.
    pub fn from_json(json: &str) -> Result<State, serde_json::Error> {
        serde_json::from_str(json)
    }
}

/// Which setting an event of the exchange's yes would record.
pub(crate) fn setting_event(setting: Setting) -> Event {
    match setting {
        Setting::Leverage { leverage } => crate::event::LeverageSet { leverage }.into(),
        Setting::MarginType { isolated } => crate::event::MarginTypeSet { isolated }.into(),
        Setting::HedgeMode { hedge } => crate::event::HedgeModeSet { hedge }.into(),
    }
}
