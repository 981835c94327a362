//! The State is what the log of events adds up to: orders, positions, money, settings, timers and what the strategy remembers.
//!
//! [`State::apply`] is a total fold: every event is taken or named as one that cannot follow. Prices are not part of it, so a
//! replay needs no market data, and the same log gives the same [`State::hash`] on every machine.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::command::OperatorOrder;
use crate::event::{Event, OrderAdopted, Recorded, TradeExecuted};
use crate::exchange::{Setting, TransferReason};
use crate::id::{Asset, ClientOrderId, CommandId, SessionId, order_sequence};
use crate::instrument::Instruments;
use crate::ledger::{self, Ledger};
use crate::link::{LinkUpdate, Route};
use crate::market::SymbolId;
use crate::mode::{EngineMode, Mode};
use crate::order::{IllegalChange, Order, OrderChange, OrderStatus, OrderType, PositionSide};
use crate::position::Position;
use crate::risk::Limits;
use crate::units::{Money, Qty, Timestamp};

/// So many orders that ended are remembered: more than end while a replica catches up.
const MOST_ENDED: usize = 256;

/// Everything that the events say, folded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The last event applied; 0 before the first.
    pub seq: u64,
    /// When it was recorded.
    pub at: Timestamp,
    pub session: SessionId,
    pub mode: EngineMode,
    /// The mode to which a restart returns: an operator's pause outlives the process.
    pub lasting_mode: EngineMode,
    /// The last command that was numbered.
    pub last_command: CommandId,
    /// The highest order name that each session has given, to derive the next one. A session may come back after another.
    pub names_given: BTreeMap<SessionId, u64>,
    /// Orders that are not in a terminal status.
    pub orders: BTreeMap<ClientOrderId, Order>,
    /// Cancels that left and are not answered, by their order.
    pub cancels: BTreeMap<ClientOrderId, Asked>,
    /// Modifications that left and are not answered, by their order: the last of each.
    pub modifies: BTreeMap<ClientOrderId, Asked>,
    /// By [`SymbolId`].
    pub symbols: Vec<SymbolState>,
    pub hedge: bool,
    pub ledger: Ledger,
    pub timers: BTreeMap<String, Timestamp>,
    /// What the strategy saved.
    pub memory: BTreeMap<String, Value>,
    /// The equity at the last day's end and what was transferred since: less than this is a loss.
    pub day_start_equity: Money,
    /// Keys of operator commands that were received.
    pub operator_keys: BTreeSet<String>,
    pub trades: u64,
    /// Stream routes that are down. What they told is stale.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub links_down: BTreeSet<Route>,
    /// Stream routes whose events arrive too late to act upon.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub links_late: BTreeSet<Route>,
    /// When the account was first compared with the exchange. What happened before is in the opening balances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub met_at: Option<Timestamp>,
    /// What happened at the exchange before this is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complete_until: Option<Timestamp>,
    /// Operator commands that are not done, by their key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub operator_pending: BTreeMap<String, CommandId>,
    /// Settings that were asked for and not answered.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings_asked: Vec<(Option<SymbolId>, Setting, Asked)>,
    /// The limits that an operator gave, and those of the configuration in whose place they stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits_given: Option<(Limits, Limits)>,
    /// The orders that ended last at the exchange, the newest at the end: a replica that is behind goes on listing them as open. Kept
    /// once an account was compared; in a backtest nothing is behind.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    pub ended: VecDeque<EndedOrder>,
    /// What the store lost, until an operator has looked and said resume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<StoreLoss>,
}

/// An order that is over because the exchange said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedOrder {
    pub symbol: SymbolId,
    pub client_order_id: ClientOrderId,
    /// Its own number and that under which it traded. Conditional orders are counted apart from those that trade, so a number counts
    /// with its name.
    pub numbers: [u64; 2],
    /// Its size, if it ended because it was filled: it may have been made larger.
    pub filled_at: Option<Qty>,
}

/// Events that were durable and are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreLoss {
    pub kept_until_seq: u64,
    /// The last one that was durable; `None` where nothing tells.
    pub marked_seq: Option<u64>,
}

impl std::fmt::Display for StoreLoss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let first = self.kept_until_seq + 1;
        match self.marked_seq {
            Some(marked) => write!(f, "the store lost its events {first} to {marked}"),
            None => write!(f, "the store may have lost events from {first} on"),
        }
    }
}

/// A request about an order that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    pub command: CommandId,
    pub at: Timestamp,
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
    /// The newest funding settlement that was booked, by position.
    pub last_funding: [Timestamp; 3],
    /// Open orders of the symbol.
    pub open_orders: u32,
    /// The last trade up to which the exchange's own list was read to the end, as far as the log tells: after it the stream may
    /// have missed some. `None` in backtests, where nothing is missed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trades_known: Option<u64>,
}

/// An event that cannot follow on the ones before it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("event {seq} does not follow on event {last}")]
    Gap { seq: u64, last: u64 },
    #[error("event {seq} ({event_type}): no order {client_order_id} is open")]
    NoSuchOrder { seq: u64, event_type: &'static str, client_order_id: ClientOrderId },
    #[error("event {seq}: the name {client_order_id} belongs to another order")]
    NameTaken { seq: u64, client_order_id: ClientOrderId },
    #[error("event {seq}: {source}")]
    Illegal { seq: u64, source: IllegalChange },
    #[error("event {seq}: an order of {qty} is filled by {filled}")]
    Overfilled { seq: u64, qty: Qty, filled: Qty },
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
            last_funding: [Timestamp::MIN; 3],
            open_orders: 0,
            trades_known: None,
        });
        State {
            seq: 0,
            at: Timestamp::MIN,
            session: SessionId::default(),
            mode: EngineMode::Booting,
            lasting_mode: EngineMode::Running,
            last_command: CommandId(0),
            names_given: BTreeMap::new(),
            orders: BTreeMap::new(),
            cancels: BTreeMap::new(),
            modifies: BTreeMap::new(),
            symbols: symbols.collect(),
            hedge: false,
            ledger: Ledger::default(),
            timers: BTreeMap::new(),
            memory: BTreeMap::new(),
            day_start_equity: Money::ZERO,
            operator_keys: BTreeSet::new(),
            trades: 0,
            links_down: BTreeSet::new(),
            links_late: BTreeSet::new(),
            met_at: None,
            complete_until: None,
            operator_pending: BTreeMap::new(),
            settings_asked: Vec::new(),
            limits_given: None,
            ended: VecDeque::new(),
            lost: None,
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

    /// The highest order name that a session has given; 0 before its first.
    pub fn last_name(&self, session: &SessionId) -> u64 {
        self.names_given.get(session).copied().unwrap_or(0)
    }

    /// Whether an order with this name was given by this store.
    pub fn is_ours(&self, id: &ClientOrderId) -> bool {
        order_sequence(id).is_some_and(|(session, sequence)| sequence > 0 && sequence <= self.last_name(&session))
    }

    /// Whether the exchange has said that the order of this name and number, listed with this size, is over
    /// (`binance-usdm.md` section 7.4: what has ended stays so).
    pub fn has_ended(&self, symbol: SymbolId, id: &ClientOrderId, order_id: u64, size: Qty) -> bool {
        self.ended.iter().any(|ended| {
            // Of one whose placing was never answered the number may not have been told.
            let is_numbered = ended.numbers.contains(&order_id) || ended.numbers.iter().all(|number| *number == 0);
            let is_it = ended.symbol == symbol && ended.client_order_id == *id && is_numbered;
            order_id != 0 && is_it && ended.filled_at.is_none_or(|filled_at| size <= filled_at)
        })
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
        self.at = recorded.at;
        if let Some(command) = recorded.command {
            self.last_command = self.last_command.max(command);
        }
        self.post(recorded)?;
        match &recorded.event {
            Event::SessionStarted(event) => {
                self.session = event.session;
                self.mode = EngineMode::Booting;
                self.links_down.clear();
                self.links_late.clear();
                if event.mode != Mode::Backtest {
                    for symbol in &mut self.symbols {
                        symbol.trades_known.get_or_insert(symbol.last_trade_id);
                    }
                }
            }
            Event::EngineModeChanged(event) => {
                self.mode = event.to;
                if event.to != EngineMode::Booting {
                    self.lasting_mode = event.to;
                }
                if event.to == EngineMode::Running {
                    self.lost = None;
                }
            }
            Event::OrderRequested(event) => {
                let client_order_id = event.client_order_id;
                if self.orders.contains_key(&client_order_id) {
                    return Err(Error::NameTaken { seq, client_order_id });
                }
                self.symbol_mut(recorded)?.open_orders += 1;
                let order = Order {
                    client_order_id,
                    command: recorded.command.unwrap_or_default(),
                    symbol: recorded.symbol.unwrap_or(event.spec.symbol),
                    spec: event.spec,
                    status: OrderStatus::Requested,
                    order_id: 0,
                    qty: event.spec.qty,
                    filled: Qty::ZERO,
                    requested_at: recorded.at,
                    child: 0,
                };
                self.name_given(&client_order_id);
                self.orders.insert(client_order_id, order);
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
                // A close-position order learns its quantity only now; its fills may have come first.
                order.qty = event.qty;
                order.child = event.child;
                if order.filled > event.qty {
                    return Err(Error::Overfilled { seq, qty: event.qty, filled: order.filled });
                }
                if order.filled == event.qty {
                    self.finish(recorded, &event.client_order_id, OrderChange::Traded { complete: true })?;
                }
            }
            Event::TradeExecuted(event) => self.trade(recorded, event)?,
            Event::OrderAmended(event) => {
                let order = self.change(recorded, &event.client_order_id, OrderChange::Amended)?;
                order.qty = event.qty;
                if let OrderType::Limit { price, .. }
                | OrderType::Stop { price, .. }
                | OrderType::TakeProfit { price, .. } = &mut order.spec.order_type
                {
                    *price = event.price;
                }
                self.modifies.remove(&event.client_order_id);
            }
            Event::OrderCanceled(event) => self.finish(recorded, &event.client_order_id, OrderChange::Canceled)?,
            Event::OrderExpired(event) => self.finish(recorded, &event.client_order_id, OrderChange::Expired)?,
            // A refused order used up its name: names are never given twice.
            Event::CommandRefused(event) => {
                if let Some(id) = &event.client_order_id {
                    self.name_given(id);
                }
            }
            Event::CancelRequested(event) => {
                self.cancels.insert(event.client_order_id, asked(recorded));
            }
            Event::CancelRejected(event) => {
                self.cancels.remove(&event.client_order_id);
            }
            Event::ModifyRequested(event) => {
                self.modifies.insert(event.client_order_id, asked(recorded));
            }
            Event::ModifyRejected(event) => {
                self.modifies.remove(&event.client_order_id);
            }
            Event::MarginMoved(event) => {
                self.symbol_mut(recorded)?.margins[event.position_side as usize] = event.margin;
            }
            Event::LeverageSet(event) => {
                self.symbol_mut(recorded)?.leverage = Some(event.leverage);
                self.setting_answered(recorded.symbol, Setting::Leverage { leverage: event.leverage });
            }
            Event::MarginTypeSet(event) => {
                self.symbol_mut(recorded)?.isolated = Some(event.isolated);
                self.setting_answered(recorded.symbol, Setting::MarginType { isolated: event.isolated });
            }
            Event::HedgeModeSet(event) => {
                self.hedge = event.hedge;
                self.setting_answered(None, Setting::HedgeMode { hedge: event.hedge });
            }
            Event::SettingRequested(event) => {
                self.settings_asked.push((recorded.symbol, event.setting, asked(recorded)));
            }
            Event::SettingRejected(event) => self.setting_answered(recorded.symbol, event.setting),
            Event::TransferBooked(event) => {
                // What was brought or taken is no profit and no loss. Money that nothing is margined in is not equity.
                // A difference that nobody explained may well be a loss.
                let is_brought = event.reason != TransferReason::Reconciled;
                if is_brought && self.symbols.iter().any(|symbol| symbol.margin_asset == event.asset) {
                    self.day_start_equity = self.day_start_equity.saturating_add(event.amount);
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
                if event.pending {
                    self.operator_pending.insert(event.key.clone(), recorded.command.unwrap_or_default());
                }
                // While the engine boots, the operator's word is kept for when it runs.
                if self.mode == EngineMode::Booting {
                    match event.order {
                        OperatorOrder::Pause => self.lasting_mode = EngineMode::Paused,
                        OperatorOrder::Resume => self.lasting_mode = EngineMode::Running,
                        OperatorOrder::Safe => self.lasting_mode = EngineMode::Safe,
                        _ => {}
                    }
                }
            }
            Event::FundingApplied(event) => {
                let last = &mut self.symbol_mut(recorded)?.last_funding[event.payment.position_side as usize];
                *last = event.payment.settled_at.max(*last);
            }
            Event::OperatorCommandFinished(event) => {
                self.operator_pending.remove(&event.key);
            }
            Event::ConfigUpdated(event) => self.limits_given = Some((event.limits, event.configured)),
            Event::LinkChanged(event) => match event.link {
                LinkUpdate::StreamDown { route, .. } => {
                    self.links_down.insert(route);
                    self.links_late.remove(&route);
                }
                LinkUpdate::StreamUp { route } => {
                    self.links_down.remove(&route);
                    self.links_late.remove(&route);
                }
                LinkUpdate::Late { route, .. } => {
                    self.links_late.insert(route);
                }
                LinkUpdate::OnTime { route } => {
                    self.links_late.remove(&route);
                }
                _ => {}
            },
            Event::ReconcileFinished(event) => {
                self.met_at.get_or_insert(recorded.at);
                self.complete_until = Some(event.complete_until);
                for (index, symbol) in self.symbols.iter_mut().enumerate() {
                    // Logs of earlier versions do not say it.
                    let known = event.trades_known.get(index).copied();
                    symbol.trades_known = Some(known.unwrap_or(symbol.last_trade_id));
                }
            }
            Event::OrderAdopted(event) => self.adopt(recorded, event)?,
            Event::PositionAdopted(event) => {
                let position = Position::of(event.qty, event.entry_price);
                self.symbol_mut(recorded)?.positions[event.position_side as usize] = position;
            }
            // Its orders were ours.
            Event::StorageTrusted(event) => {
                let given = self.names_given.entry(event.last_resort).or_default();
                *given = event.orders_given.max(*given);
            }
            // What was lost nobody knows, so an operator looks before anything opens again.
            Event::StoreRecovered(event) => {
                if event.has_lost() {
                    (self.mode, self.lasting_mode) = (EngineMode::Safe, EngineMode::Safe);
                    let (kept_until_seq, marked_seq) = (event.kept_until_seq, event.marked_seq);
                    self.lost = Some(StoreLoss { kept_until_seq, marked_seq });
                }
            }
            Event::StorageDistrusted(_)
            | Event::LiquidationStarted(_)
            | Event::ReconcileStarted(_)
            | Event::DriftDetected(_)
            | Event::SessionStopped(_) => {}
        }
        Ok(())
    }

    fn adopt(&mut self, recorded: &Recorded, event: &OrderAdopted) -> Result<(), Error> {
        let (seq, client_order_id) = (recorded.seq, event.client_order_id);
        if let Some(order) = self.orders.get_mut(&client_order_id) {
            // One that is known, further filled than its trades say.
            if event.filled < order.filled || event.filled > order.qty {
                return Err(Error::Overfilled { seq, qty: order.qty, filled: event.filled });
            }
            order.filled = event.filled;
            let change = OrderChange::Traded { complete: false };
            order.status = order.status.after(change).map_err(|source| Error::Illegal { seq, source })?;
            return Ok(());
        }
        self.symbol_mut(recorded)?.open_orders += 1;
        // A name that only one of our sessions can have given, although the store does not know it: its end was lost.
        if order_sequence(&client_order_id).is_some_and(|(session, _)| self.names_given.contains_key(&session)) {
            self.name_given(&client_order_id);
        }
        let status = if event.filled.is_zero() { OrderStatus::New } else { OrderStatus::PartiallyFilled };
        let order = Order {
            client_order_id,
            command: CommandId(0),
            symbol: recorded.symbol.unwrap_or(event.spec.symbol),
            spec: event.spec,
            status,
            order_id: event.order_id,
            qty: event.spec.qty,
            filled: event.filled,
            requested_at: event.created_at,
            child: 0,
        };
        self.orders.insert(client_order_id, order);
        Ok(())
    }

    /// A setting of this kind was answered, or found to be so: whoever asked for it waits no longer.
    fn setting_answered(&mut self, symbol: Option<SymbolId>, setting: Setting) {
        if !self.settings_asked.is_empty() {
            let kind = std::mem::discriminant(&setting);
            self.settings_asked.retain(|(of, asked, _)| *of != symbol || std::mem::discriminant(asked) != kind);
        }
    }

    /// Books what the event does to the money.
    fn post(&mut self, recorded: &Recorded) -> Result<(), Error> {
        let asset = match recorded.symbol {
            Some(_) => self.symbol_mut(recorded)?.margin_asset,
            None => Asset::default(),
        };
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
        // How large a close-position order is, nobody says before it fires.
        let has_size = !order.qty.is_zero() || !order.spec.close_position;
        if filled > order.qty && has_size {
            return Err(Error::Overfilled { seq, qty: order.qty, filled });
        }
        let complete = filled == order.qty && has_size;
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

    /// One without a number was never seen at the exchange and may turn out to be there, unless it was the exchange that ended it.
    fn remember(&mut self, recorded: &Recorded, order: &Order) {
        let traded_as = match &recorded.event {
            Event::TradeExecuted(trade) => trade.order_id,
            _ => order.child,
        };
        let numbers = [order.order_id, traded_as];
        let was_seen = matches!(recorded.event, Event::OrderCanceled(_) | Event::OrderExpired(_));
        if numbers == [0, 0] && !was_seen {
            return;
        }
        if self.ended.len() >= MOST_ENDED {
            self.ended.pop_front();
        }
        let filled_at = (order.status == OrderStatus::Filled).then_some(order.qty);
        let (symbol, client_order_id) = (order.symbol, order.client_order_id);
        self.ended.push_back(EndedOrder { symbol, client_order_id, numbers, filled_at });
    }

    /// A change to a terminal status: the order leaves the state.
    fn finish(&mut self, recorded: &Recorded, id: &ClientOrderId, change: OrderChange) -> Result<(), Error> {
        let order = *self.change(recorded, id, change)?;
        self.orders.remove(id);
        self.symbols[order.symbol.index()].open_orders -= 1;
        if self.met_at.is_some() {
            self.remember(recorded, &order);
        }
        if !self.cancels.is_empty() {
            self.cancels.remove(id);
        }
        if !self.modifies.is_empty() {
            self.modifies.remove(id);
        }
        Ok(())
    }

    /// Names are never given twice, those of refused orders included.
    fn name_given(&mut self, id: &ClientOrderId) {
        if let Some((session, sequence)) = order_sequence(id) {
            let given = self.names_given.entry(session).or_default();
            *given = sequence.max(*given);
        }
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
        let mut state: State = serde_json::from_str(json)?;
        // What an order says leaves its symbol to whoever carries it: in the log an event, here the order.
        state.orders.values_mut().for_each(|order| order.spec.symbol = order.symbol);
        Ok(state)
    }
}

fn asked(recorded: &Recorded) -> Asked {
    Asked { command: recorded.command.unwrap_or_default(), at: recorded.at }
}

/// Which setting an event of the exchange's yes would record.
pub(crate) fn setting_event(setting: Setting) -> Event {
    match setting {
        Setting::Leverage { leverage } => crate::event::LeverageSet { leverage }.into(),
        Setting::MarginType { isolated } => crate::event::MarginTypeSet { isolated }.into(),
        Setting::HedgeMode { hedge } => crate::event::HedgeModeSet { hedge }.into(),
    }
}
