//! Records are orders as Binance shows them: more than the matching engine needs, and longer than it keeps them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use alphaengine_core::id::ClientOrderId;
use alphaengine_core::market::SymbolId;
use alphaengine_core::order::{OrderSpec, TimeInForce};
use alphaengine_core::units::{NANOS_PER_DAY, Price, Qty, Timestamp};

use super::encode::average;
use super::states::States;

/// Orders of each service that are over and still shown.
const KEPT: usize = 20_000;

/// Where a regular order stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    New,
    PartiallyFilled,
    Filled,
    Canceled,
    Expired,
    ExpiredInMatch,
}

impl Status {
    pub const fn name(self) -> &'static str {
        match self {
            Status::New => "NEW",
            Status::PartiallyFilled => "PARTIALLY_FILLED",
            Status::Filled => "FILLED",
            Status::Canceled => "CANCELED",
            Status::Expired => "EXPIRED",
            Status::ExpiredInMatch => "EXPIRED_IN_MATCH",
        }
    }

    pub const fn is_open(self) -> bool {
        matches!(self, Status::New | Status::PartiallyFilled)
    }
}

/// Where a conditional order stands (`binance-usdm.md` section 3.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AlgoStatus {
    New,
    Canceled,
    Expired,
    Triggering,
    Triggered,
    Finished,
    Rejected,
}

impl AlgoStatus {
    pub const fn name(self) -> &'static str {
        match self {
            AlgoStatus::New => "NEW",
            AlgoStatus::Canceled => "CANCELED",
            AlgoStatus::Expired => "EXPIRED",
            AlgoStatus::Triggering => "TRIGGERING",
            AlgoStatus::Triggered => "TRIGGERED",
            AlgoStatus::Finished => "FINISHED",
            AlgoStatus::Rejected => "REJECTED",
        }
    }
}

/// A regular order.
#[derive(Debug, Clone, Copy)]
pub(super) struct OrderRecord {
    pub order_id: u64,
    /// As shown.
    pub client_order_id: ClientOrderId,
    /// As the matching engine knows it; another one only for children that get a name of their own.
    pub exchange_name: ClientOrderId,
    pub spec: OrderSpec,
    pub qty: Qty,
    pub filled: Qty,
    /// What was paid or received for it, in steps of 1e-16.
    pub quote: i128,
    pub status: Status,
    pub created: Timestamp,
    pub updated: Timestamp,
    pub price_match: &'static str,
    /// The conditional order whose child it is.
    pub algo_id: Option<u64>,
    pub modify_id: i64,
    pub is_liquidation: bool,
}

impl OrderRecord {
    /// The exchange forgets what ended without a fill after three days, everything else after ninety (`binance-usdm.md` section 7.2).
    pub fn is_remembered(&self, now: Timestamp) -> bool {
        let days = if self.filled.is_zero() { 3 } else { 90 };
        self.status.is_open() || now.since(self.created) <= days * NANOS_PER_DAY
    }

    pub fn average_price(&self) -> Price {
        average(self.quote, self.filled)
    }
}

/// A conditional order.
#[derive(Debug, Clone, Copy)]
pub(super) struct AlgoRecord {
    pub algo_id: u64,
    pub client_algo_id: ClientOrderId,
    pub spec: OrderSpec,
    pub status: AlgoStatus,
    pub created: Timestamp,
    pub updated: Timestamp,
    pub triggered: Option<Timestamp>,
    /// The order in the book.
    pub child: Option<u64>,
    /// Why the child was refused.
    pub reason: i32,
}

/// The time in force of an order's type.
pub(super) fn tif_of(spec: &OrderSpec) -> TimeInForce {
    use alphaengine_core::order::OrderType;
    match spec.order_type {
        OrderType::Limit { tif, .. } | OrderType::Stop { tif, .. } | OrderType::TakeProfit { tif, .. } => tif,
        _ => TimeInForce::Gtc,
    }
}

/// All of an account's orders.
#[derive(Debug, Default)]
pub(super) struct Records {
    orders: BTreeMap<u64, OrderRecord>,
    open: BTreeSet<u64>,
    names: BTreeMap<(SymbolId, ClientOrderId), u64>,
    over: VecDeque<u64>,
    algos: BTreeMap<u64, AlgoRecord>,
    open_algos: BTreeSet<u64>,
    algo_names: BTreeMap<ClientOrderId, u64>,
    over_algos: VecDeque<u64>,
    /// How many orders were placed under each name.
    uses: BTreeMap<ClientOrderId, u32>,
    /// Protocol time.
    pub wall: Timestamp,
    states: States<OrderRecord>,
    algo_states: States<AlgoRecord>,
}

impl Records {
    pub fn add(&mut self, order: OrderRecord) {
        if order.algo_id.is_none() && !order.is_liquidation {
            *self.uses.entry(order.client_order_id).or_default() += 1;
        }
        self.names.insert((order.spec.symbol, order.client_order_id), order.order_id);
        self.open.insert(order.order_id);
        self.states.note(self.wall, order.order_id, order);
        self.orders.insert(order.order_id, order);
    }

    pub fn add_algo(&mut self, algo: AlgoRecord) {
        *self.uses.entry(algo.client_algo_id).or_default() += 1;
        self.algo_names.insert(algo.client_algo_id, algo.algo_id);
        self.open_algos.insert(algo.algo_id);
        self.algo_states.note(self.wall, algo.algo_id, algo);
        self.algos.insert(algo.algo_id, algo);
    }

    /// Changes an order; what is over is forgotten after a while.
    pub fn change(&mut self, order_id: u64, change: impl FnOnce(&mut OrderRecord)) -> Option<OrderRecord> {
        let order = self.orders.get_mut(&order_id)?;
        change(order);
        let order = *order;
        self.states.note(self.wall, order_id, order);
        if !order.status.is_open() && self.open.remove(&order_id) {
            self.over.push_back(order_id);
            if self.over.len() > KEPT
                && let Some(oldest) = self.over.pop_front().and_then(|oldest| self.orders.remove(&oldest))
            {
                let name = (oldest.spec.symbol, oldest.client_order_id);
                if self.names.get(&name) == Some(&oldest.order_id) {
                    self.names.remove(&name);
                }
            }
        }
        Some(order)
    }

    pub fn change_algo(&mut self, algo_id: u64, change: impl FnOnce(&mut AlgoRecord)) -> Option<AlgoRecord> {
        let algo = self.algos.get_mut(&algo_id)?;
        change(algo);
        let algo = *algo;
        self.algo_states.note(self.wall, algo_id, algo);
        if algo.status != AlgoStatus::New && self.open_algos.remove(&algo_id) {
            self.over_algos.push_back(algo_id);
            if self.over_algos.len() > KEPT
                && let Some(oldest) = self.over_algos.pop_front().and_then(|oldest| self.algos.remove(&oldest))
                && self.algo_names.get(&oldest.client_algo_id) == Some(&oldest.algo_id)
            {
                self.algo_names.remove(&oldest.client_algo_id);
            }
        }
        Some(algo)
    }

    pub fn get(&self, order_id: u64) -> Option<&OrderRecord> {
        self.orders.get(&order_id)
    }

    /// The newest order of this name.
    pub fn named(&self, symbol: SymbolId, name: &ClientOrderId) -> Option<&OrderRecord> {
        self.names.get(&(symbol, *name)).and_then(|order_id| self.orders.get(order_id))
    }

    pub fn algo(&self, algo_id: u64) -> Option<&AlgoRecord> {
        self.algos.get(&algo_id)
    }

    pub fn algo_named(&self, name: &ClientOrderId) -> Option<&AlgoRecord> {
        self.algo_names.get(name).and_then(|algo_id| self.algos.get(algo_id))
    }

    /// Oldest first.
    pub fn open(&self) -> impl Iterator<Item = &OrderRecord> {
        self.open.iter().filter_map(|order_id| self.orders.get(order_id))
    }

    pub fn all(&self) -> impl DoubleEndedIterator<Item = &OrderRecord> {
        self.orders.values()
    }

    /// Untriggered ones, oldest first.
    pub fn open_algos(&self) -> impl Iterator<Item = &AlgoRecord> {
        self.open_algos.iter().filter_map(|algo_id| self.algos.get(algo_id))
    }

    pub fn all_algos(&self) -> impl Iterator<Item = &AlgoRecord> {
        self.algos.values()
    }

    /// An order as it was then, in protocol time; `None` when it was not there yet.
    pub fn order_at(&self, at: Timestamp, order: &OrderRecord) -> Option<OrderRecord> {
        self.states.at(at, order.order_id, *order)
    }

    /// The same of a conditional order.
    pub fn algo_at(&self, at: Timestamp, algo: &AlgoRecord) -> Option<AlgoRecord> {
        self.algo_states.at(at, algo.algo_id, *algo)
    }

    /// Names under which more than one order was placed, and how many.
    pub fn reused_names(&self) -> Vec<(ClientOrderId, u32)> {
        self.uses.iter().filter(|(_, uses)| **uses > 1).map(|(name, uses)| (*name, *uses)).collect()
    }
}
