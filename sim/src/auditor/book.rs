//! A Book is what a reader of the log would write down with pencil and paper: orders, positions and money, added up event by event.
//!
//! It is a fold of its own, written from the meaning of the events and not from the engine's. It judges nothing; the laws ask it.

use std::collections::{BTreeMap, BTreeSet};

use alphaengine_core::exchange::TransferReason;
use alphaengine_core::id::{Asset, ClientOrderId, CommandId};
use alphaengine_core::instrument::Instruments;
use alphaengine_core::link::Route;
use alphaengine_core::market::SymbolId;
use alphaengine_core::mode::EngineMode;
use alphaengine_core::order::{OrderSpec, PositionSide};
use alphaengine_core::risk::Limits;
use alphaengine_core::units::{Qty, Timestamp};

use super::entry::{Entry, Fact, Trade};

/// How an order ended, as far as the log tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Filled,
    Canceled,
    Expired,
    Rejected,
    Absent,
}

/// An order in the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Life {
    /// Where its intent stands; 0 of an order that was adopted.
    pub seq: u64,
    pub at: Timestamp,
    pub command: CommandId,
    pub spec: OrderSpec,
    /// Its size now.
    pub qty: Qty,
    /// The largest size that it may have had: a change that is under way counts.
    pub largest: Qty,
    /// A change of its size that was asked for and not answered.
    pub asked: Option<Qty>,
    /// The sum of its trades, in steps.
    pub filled: i128,
    /// The exchange said how far it is filled, and no trade did.
    pub is_told: bool,
    pub order_id: u64,
    pub child: u64,
    pub end: Option<End>,
}

impl Life {
    fn new(entry: &Entry, spec: OrderSpec) -> Life {
        Life {
            seq: 0,
            at: entry.at,
            command: entry.command,
            spec,
            qty: spec.qty,
            largest: spec.qty,
            asked: None,
            filled: 0,
            is_told: false,
            order_id: 0,
            child: 0,
            end: None,
        }
    }

    /// Whether its size is known: that of an order which closes a position is told when it fires.
    pub fn has_size(&self) -> bool {
        !self.largest.is_zero()
    }

    /// What may still fill of it, in steps.
    pub fn open_steps(&self) -> i128 {
        let size = self.asked.map_or(self.qty, |asked| asked.max(self.qty));
        (i128::from(size.steps()) - self.filled).max(0)
    }
}

/// Sums of one asset, in steps of 1e-8.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub transfers: i128,
    /// Of these, differences that nobody explained.
    pub unexplained: i128,
    pub realized: i128,
    pub taker_fees: i128,
    pub maker_fees: i128,
    pub liquidation_fees: i128,
    pub funding_paid: i128,
    pub funding_received: i128,
    /// Of the total, what lies in isolated margins.
    pub margins: i128,
}

impl Sums {
    pub fn fees(&self) -> i128 {
        self.taker_fees + self.maker_fees + self.liquidation_fees
    }

    pub fn funding(&self) -> i128 {
        self.funding_paid + self.funding_received
    }

    /// What the account holds.
    pub fn total(&self) -> i128 {
        self.transfers + self.realized - self.fees() + self.funding()
    }
}

#[derive(Debug, Clone)]
pub(super) struct Book {
    /// The last event.
    pub seq: u64,
    pub at: Timestamp,
    pub orders: BTreeMap<ClientOrderId, Life>,
    /// Orders that have not ended.
    pub open: BTreeSet<ClientOrderId>,
    /// Orders whose cancelling was asked for.
    pub cancels: BTreeSet<ClientOrderId>,
    pub trades: BTreeSet<(SymbolId, u64)>,
    /// Signed, in steps.
    pub positions: BTreeMap<(SymbolId, PositionSide), i128>,
    pub money: BTreeMap<Asset, Sums>,
    pub mode: EngineMode,
    pub down: BTreeSet<Route>,
    pub late: BTreeSet<Route>,
    /// The account was compared in this session, and since a stream came back.
    pub is_compared: bool,
    /// Those that an operator gave.
    pub limits: Option<Limits>,
    /// What changed since this was last looked at.
    pub moved: Moved,
}

/// What a step touched, so that only that is looked at.
#[derive(Debug, Clone, Default)]
pub(super) struct Moved {
    pub positions: bool,
    pub money: bool,
    pub orders: Vec<ClientOrderId>,
}

impl Moved {
    pub fn clear(&mut self) {
        (self.positions, self.money) = (false, false);
        self.orders.clear();
    }
}

impl Book {
    pub fn new() -> Book {
        Book {
            seq: 0,
            at: Timestamp::MIN,
            orders: BTreeMap::new(),
            open: BTreeSet::new(),
            cancels: BTreeSet::new(),
            trades: BTreeSet::new(),
            positions: BTreeMap::new(),
            money: BTreeMap::new(),
            mode: EngineMode::Booting,
            down: BTreeSet::new(),
            late: BTreeSet::new(),
            is_compared: false,
            limits: None,
            moved: Moved::default(),
        }
    }

    /// The signed position in steps.
    pub fn position(&self, symbol: SymbolId, side: PositionSide) -> i128 {
        self.positions.get(&(symbol, side)).copied().unwrap_or(0)
    }

    /// An order that this log gave, and no other's.
    pub fn own(&self, name: &ClientOrderId) -> Option<&Life> {
        self.orders.get(name).filter(|life| life.seq != 0)
    }

    /// Takes one event, whatever it says.
    pub fn take(&mut self, entry: &Entry, instruments: &Instruments) {
        (self.seq, self.at) = (entry.seq, entry.at);
        match entry.fact {
            Fact::SessionStarted => {
                self.mode = EngineMode::Booting;
                self.down.clear();
                self.late.clear();
                self.is_compared = false;
            }
            Fact::Requested { name, spec } => {
                self.orders.insert(name, Life { seq: entry.seq, ..Life::new(entry, spec) });
                self.open.insert(name);
            }
            Fact::CancelRequested { name } => {
                self.cancels.insert(name);
            }
            Fact::ModifyRequested { name, qty, .. } => self.change(&name, |life| {
                life.asked = Some(life.asked.map_or(qty, |asked| asked.max(qty)));
                life.largest = life.largest.max(qty);
            }),
            Fact::ModifyRejected { name } => self.change(&name, |life| life.asked = None),
            Fact::Placed { name, order_id } => self.change(&name, |life| life.order_id = order_id),
            Fact::Triggered { name, child, qty } => {
                self.change(&name, |life| {
                    life.child = child;
                    life.qty = qty;
                    life.largest = life.largest.max(qty);
                });
                self.end_if_filled(&name);
            }
            Fact::Amended { name, qty } => self.change(&name, |life| {
                life.qty = qty;
                life.asked = None;
                life.largest = life.largest.max(qty);
            }),
            Fact::Canceled { name } => self.end(&name, End::Canceled),
            Fact::Expired { name } => self.end(&name, End::Expired),
            Fact::Rejected { name } => self.end(&name, End::Rejected),
            Fact::Absent { name } => self.end(&name, End::Absent),
            Fact::Adopted { name, order_id, spec, filled } => {
                let is_open = self.open.contains(&name);
                let life = self.orders.entry(name).or_insert_with(|| Life::new(entry, spec));
                if !is_open {
                    life.end = None;
                    life.order_id = order_id;
                    life.qty = spec.qty;
                    life.largest = life.largest.max(spec.qty);
                }
                life.is_told |= i128::from(filled.steps()) != life.filled;
                self.open.insert(name);
            }
            Fact::Traded(trade) => self.trade(entry.symbol, &trade, instruments),
            Fact::Funding { amount, .. } => {
                let sums = self.sums(margin_asset(entry.symbol, instruments));
                let amount = i128::from(amount.steps());
                if amount < 0 {
                    sums.funding_paid += amount;
                } else {
                    sums.funding_received += amount;
                }
            }
            Fact::Transfer { asset, amount, reason } => {
                let sums = self.sums(asset);
                sums.transfers += i128::from(amount.steps());
                if reason == TransferReason::Reconciled {
                    sums.unexplained += i128::from(amount.steps());
                }
            }
            Fact::MarginMoved { amount, .. } => {
                self.sums(margin_asset(entry.symbol, instruments)).margins += i128::from(amount.steps());
            }
            Fact::PositionAdopted { position_side, qty } => {
                if let Some(symbol) = entry.symbol {
                    self.positions.insert((symbol, position_side), i128::from(qty.steps()));
                    self.moved.positions = true;
                }
            }
            Fact::Mode { to } => self.mode = to,
            Fact::StreamDown(route) => {
                self.down.insert(route);
                self.late.remove(&route);
            }
            Fact::StreamUp(route) => {
                // What it missed is not known before the account is compared again.
                self.is_compared &= !self.down.remove(&route);
                self.late.remove(&route);
            }
            Fact::Late(route) => {
                self.late.insert(route);
            }
            Fact::OnTime(route) => {
                self.late.remove(&route);
            }
            Fact::ReconcileFinished => self.is_compared = true,
            Fact::Limits(limits) => self.limits = Some(limits),
            Fact::CancelRejected { .. } | Fact::Unknown { .. } | Fact::Other(_) => {}
        }
    }

    fn trade(&mut self, symbol: Option<SymbolId>, trade: &Trade, instruments: &Instruments) {
        let Some(symbol) = symbol else {
            return;
        };
        self.trades.insert((symbol, trade.trade_id));
        let qty = i128::from(trade.qty.steps());
        let signed = i128::from(trade.side.signed(trade.qty).steps());
        *self.positions.entry((symbol, trade.position_side)).or_default() += signed;
        self.moved.positions = true;
        self.sums(margin_asset(Some(symbol), instruments)).realized += i128::from(trade.realized.steps());
        let fee = i128::from(trade.fee.steps());
        let sums = self.sums(trade.fee_asset);
        match (trade.is_liquidation, trade.is_maker) {
            (true, _) => sums.liquidation_fees += fee,
            (false, true) => sums.maker_fees += fee,
            (false, false) => sums.taker_fees += fee,
        }
        self.change(&trade.name, |life| {
            life.filled += qty;
            // Where nobody told of the trigger, the trades of a conditional order name its child.
            if life.child == 0 && life.spec.order_type.is_conditional() {
                life.child = trade.order_id;
            }
        });
        self.moved.orders.push(trade.name);
        self.end_if_filled(&trade.name);
    }

    fn sums(&mut self, asset: Asset) -> &mut Sums {
        self.moved.money = true;
        self.money.entry(asset).or_default()
    }

    fn change(&mut self, name: &ClientOrderId, change: impl FnOnce(&mut Life)) {
        if let Some(life) = self.orders.get_mut(name) {
            change(life);
        }
    }

    fn end(&mut self, name: &ClientOrderId, end: End) {
        if self.open.remove(name) {
            self.change(name, |life| {
                life.end = Some(end);
                life.asked = None;
            });
        }
    }

    fn end_if_filled(&mut self, name: &ClientOrderId) {
        let is_filled = self.orders.get(name).is_some_and(|life| {
            let size = i128::from(life.qty.steps());
            size > 0 && life.filled >= size
        });
        if is_filled {
            self.end(name, End::Filled);
        }
    }
}

/// The asset in which a symbol settles.
pub(super) fn margin_asset(symbol: Option<SymbolId>, instruments: &Instruments) -> Asset {
    let known = symbol.filter(|symbol| symbol.index() < instruments.len());
    known.map_or_else(Asset::default, |symbol| instruments.get(symbol).margin_asset.parse().unwrap_or_default())
}
