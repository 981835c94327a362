//! The reconciler: when the account is compared with the exchange, what is asked for it, and what is believed.
//!
//! A round asks for our trades and what moved money since what is known, then for a snapshot, compares, and follows up on what it
//! cannot explain: orders that are gone are asked about, fills that nobody told are fetched. Differences in positions, margins
//! and balances, and orders that nobody here gave, are believed when a second look shows them too, because stream, trades and
//! snapshot race each other. Nothing is sent that changes anything: what is found is recorded, never undone.

use std::collections::{BTreeMap, BTreeSet};

use super::{Engine, Error};
use crate::command::Actor;
use crate::event::{
    DriftDetected, Event, MarginMoved, OrderAdopted, OrderAmended, OrderCanceled, OrderExpired, OrderTriggered,
    PositionAdopted, ReconcileFinished, ReconcileStarted, Recorded, SettingRejected, Source, TradeExecuted,
    TransferBooked,
};
use crate::exchange::{
    ExchangeError, ExchangeUpdate, Execution, ExpiryReason, OrderUpdate, Outcome, Request, Setting, Standing,
    TransferReason,
};
use crate::executor::{Asked, Sent};
use crate::id::{ClientOrderId, order_by_number};
use crate::link::Route;
use crate::market::SymbolId;
use crate::mode::EngineMode;
use crate::order::{Order, OrderStatus};
use crate::reconcile::{Drift, DriftKind, Touched, compare};
use crate::snapshot::AccountSnapshot;
use crate::state;
use crate::store::EventLog;
use crate::strategy::{OrderNews, Strategy};
use crate::units::{NANOS_PER_MILLI, NANOS_PER_MINUTE, NANOS_PER_SECOND, Nanos, Qty, Timestamp};

/// How a live session keeps itself true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveConfig {
    /// Between two rounds of the reconciler.
    pub reconcile_every: Nanos,
    /// The same while a stream is down, or after a round that failed.
    pub reconcile_every_while_down: Nanos,
    /// Between a difference and the second look at it.
    pub second_look_after: Nanos,
}

impl Default for LiveConfig {
    fn default() -> LiveConfig {
        LiveConfig {
            reconcile_every: 30 * NANOS_PER_SECOND,
            reconcile_every_while_down: 5 * NANOS_PER_SECOND,
            second_look_after: NANOS_PER_SECOND,
        }
    }
}

/// A round that has no answer for so long has failed.
const ROUND_TIMEOUT: Nanos = NANOS_PER_MINUTE;
/// Looks of one round; what is still unclear then is looked at in the next.
const MOST_LOOKS: u32 = 6;
/// What moved money may be told late, so each question reaches back a little; what is known already is left out.
const OVERLAP: Nanos = 10 * NANOS_PER_MINUTE;
/// The exchange's clock and ours may differ by so much when an order is looked for by time.
const CLOCK_MARGIN: Nanos = NANOS_PER_MINUTE;
/// An order that ended without a fill is forgotten by the exchange after three days (`binance-usdm.md` section 7.2).
const FORGOTTEN_AFTER: Nanos = 72 * 60 * NANOS_PER_MINUTE;
/// Ours, not the exchange's: a request that is proven never to have arrived.
const NEVER_ARRIVED: i32 = 0;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Idle,
    Trades,
    Income,
    Snapshot,
    FollowUp,
    /// Waiting for the second look.
    Pause,
}

/// What one engine knows about its comparison with the exchange.
#[derive(Debug)]
pub(super) struct Reconciler {
    /// False in a backtest, where nothing can differ.
    pub is_on: bool,
    /// Whether the account is known to be what the exchange says, gaps included: entries may leave.
    pub is_complete: bool,
    /// The world said that it is connected.
    pub is_ready: bool,
    config: LiveConfig,
    stage: Stage,
    /// When the next round or look begins, or this one has failed.
    due: Timestamp,
    round: u64,
    began: Timestamp,
    snapshot_asked_at: Timestamp,
    looks: u32,
    drifts: u64,
    /// The beginning of the round is in the log, so its end will be.
    is_told: bool,
    /// Something has to be looked at again.
    again: bool,
    /// Questions of this round without an answer.
    waiting: u32,
    queries: BTreeSet<ClientOrderId>,
    /// Orders that this round asked about, answered or not.
    queried: BTreeSet<ClientOrderId>,
    /// Of them, those that a snapshot lacked.
    missing: BTreeSet<ClientOrderId>,
    /// Orders that are over at the exchange and wait here for the rest of their fills.
    closing: BTreeMap<ClientOrderId, (Qty, Standing)>,
    /// Numbers of orders that the state does not hold: children of conditional orders.
    numbers: BTreeMap<u64, ClientOrderId>,
    /// Symbols of which a trade waits until it is known whose it is.
    held: BTreeSet<SymbolId>,
    /// The last trade that the exchange itself listed, by symbol; what the stream told since may have gaps.
    listed: Vec<Option<u64>>,
    income_since: Option<Timestamp>,
    seen: Vec<Drift>,
    is_watching: bool,
    touched: Touched,
    elsewhere: BTreeSet<String>,
}

impl Reconciler {
    pub fn new(config: Option<LiveConfig>, symbols: usize) -> Reconciler {
        Reconciler {
            is_on: config.is_some(),
            is_complete: config.is_none(),
            is_ready: false,
            config: config.unwrap_or_default(),
            stage: Stage::Idle,
            due: Timestamp::MAX,
            round: 0,
            began: Timestamp::MIN,
            snapshot_asked_at: Timestamp::MIN,
            looks: 0,
            drifts: 0,
            is_told: false,
            again: false,
            waiting: 0,
            queries: BTreeSet::new(),
            queried: BTreeSet::new(),
            missing: BTreeSet::new(),
            closing: BTreeMap::new(),
            numbers: BTreeMap::new(),
            held: BTreeSet::new(),
            listed: vec![None; symbols],
            income_since: None,
            seen: Vec::new(),
            is_watching: false,
            touched: Touched::default(),
            elsewhere: BTreeSet::new(),
        }
    }

    pub fn due(&self) -> Timestamp {
        self.due
    }

    pub fn is_idle(&self) -> bool {
        self.stage == Stage::Idle
    }

    /// A stream was lost: the next round comes sooner.
    pub fn hurry(&mut self, now: Timestamp) {
        if self.stage == Stage::Idle && self.is_ready {
            self.due = self.due.min(now.plus(self.config.reconcile_every_while_down));
        }
    }

    /// Notes what moves while a snapshot is on its way.
    #[inline]
    pub fn watch(&mut self, recorded: &Recorded) {
        if self.is_watching {
            self.touch(recorded);
        }
    }

    #[cold]
    fn touch(&mut self, recorded: &Recorded) {
        self.touched.orders.extend(recorded.event.client_order_id());
        match &recorded.event {
            Event::TradeExecuted(_) | Event::PositionAdopted(_) => {
                self.touched.positions.extend(recorded.symbol);
                self.touched.money = true;
            }
            Event::FundingApplied(_) | Event::TransferBooked(_) | Event::MarginMoved(_) => self.touched.money = true,
            Event::LeverageSet(_) | Event::MarginTypeSet(_) | Event::HedgeModeSet(_) | Event::SettingRequested(_) => {
                self.touched.settings = true;
            }
            _ => {}
        }
    }

    fn answered(&mut self, id: &ClientOrderId) {
        self.queries.remove(id);
    }
}

impl<S: Strategy, L: EventLog> Engine<S, L> {
    /// Begins a round, or the next look of one, or finds that one has failed.
    pub(super) fn reconcile_due(&mut self) -> Result<(), Error> {
        if self.now < self.reconciler.due {
            return Ok(());
        }
        match self.reconciler.stage {
            Stage::Idle => self.begin_round(None),
            Stage::Pause => {
                self.look();
                Ok(())
            }
            _ => {
                self.fail_round();
                Ok(())
            }
        }
    }

    /// Begins a round now; one that is under way begins anew. With a reason its begin and end are recorded.
    pub(super) fn begin_round(&mut self, reason: Option<&str>) -> Result<(), Error> {
        let reconciler = &mut self.reconciler;
        // What was told to begin is told to end, also when it has to begin anew.
        reconciler.is_told |= reason.is_some();
        (reconciler.began, reconciler.looks, reconciler.drifts) = (self.now, 0, 0);
        reconciler.seen.clear();
        reconciler.closing.clear();
        reconciler.queries.clear();
        if let Some(reason) = reason {
            self.record(Source::Bot, None, None, ReconcileStarted { reason: reason.into() })?;
        }
        self.look();
        Ok(())
    }

    /// Asks for everything that a comparison needs. A store that never met the account begins with what it holds now: older
    /// trades and payments are in the balances already.
    fn look(&mut self) {
        let reconciler = &mut self.reconciler;
        reconciler.round += 1;
        reconciler.again = false;
        reconciler.waiting = 0;
        reconciler.is_watching = false;
        reconciler.queried.clear();
        reconciler.missing.clear();
        reconciler.held.clear();
        reconciler.due = self.now.plus(ROUND_TIMEOUT);
        if self.state.met_at.is_none() {
            self.ask_snapshot();
        } else {
            self.reconciler.stage = Stage::Trades;
            for symbol in (0..self.state.symbols.len()).map(|index| SymbolId(index as u16)) {
                let from_id = self.trades_from(symbol);
                self.ask_trades(symbol, from_id, self.complete_until(), false);
            }
        }
        self.schedule();
    }

    /// The first trade that may not be known; 0 where there has never been one.
    fn trades_from(&self, symbol: SymbolId) -> u64 {
        let of = &self.state.symbols[symbol.index()];
        let listed = self.reconciler.listed[symbol.index()];
        let known = listed.into_iter().chain(of.trades_known).min().unwrap_or(of.last_trade_id);
        if known == 0 { 0 } else { known + 1 }
    }

    /// From when on something may not be known.
    fn complete_until(&self) -> Timestamp {
        let met_at = self.state.met_at.unwrap_or(self.now);
        let known = self.reconciler.income_since.or(self.state.complete_until).unwrap_or(met_at);
        known.plus(-OVERLAP).max(met_at)
    }

    fn inquire(&mut self, what: Asked, request: Request) {
        self.reconciler.waiting += 1;
        let round = self.reconciler.round;
        self.send(Sent::Reconcile { round, what }, request);
    }

    fn ask_trades(&mut self, symbol: SymbolId, from_id: u64, since: Timestamp, is_backfill: bool) {
        self.inquire(Asked::Trades { symbol, since, is_backfill }, Request::Trades { symbol, from_id, since });
    }

    fn ask_snapshot(&mut self) {
        let touched = &mut self.reconciler.touched;
        *touched = Touched::default();
        for sent in self.executor.in_flight() {
            match sent {
                Sent::Place(order) | Sent::Cancel { order, .. } | Sent::Modify { order, .. } => {
                    touched.orders.insert(*order);
                }
                Sent::Set { .. } => touched.settings = true,
                Sent::Query { .. } | Sent::Reconcile { .. } => {}
            }
        }
        self.reconciler.is_watching = true;
        self.reconciler.snapshot_asked_at = self.now;
        self.reconciler.stage = Stage::Snapshot;
        self.inquire(Asked::Snapshot, Request::Snapshot);
    }

    pub(super) fn on_reconcile_answer(&mut self, round: u64, what: Asked, outcome: Outcome) -> Result<(), Error> {
        // An answer to a round that was given up says nothing that will not be asked again.
        if round != self.reconciler.round || matches!(self.reconciler.stage, Stage::Idle | Stage::Pause) {
            return Ok(());
        }
        self.reconciler.waiting -= 1;
        match (what, outcome) {
            (Asked::Trades { symbol, since, is_backfill }, Outcome::Trades { trades, more }) => {
                self.take_trades(symbol, since, is_backfill, &trades, more)
            }
            (Asked::Income { since }, Outcome::Income { rows, until, more }) => {
                for row in &rows {
                    match row {
                        ExchangeUpdate::Funding(payment) => self.on_funding_payment(*payment, false)?,
                        ExchangeUpdate::Transfer { id, asset, amount, reason } => {
                            let booked = TransferBooked { id: *id, asset: *asset, amount: *amount, reason: *reason };
                            self.on_transfer(booked, false)?;
                        }
                        _ => {}
                    }
                }
                if more {
                    // A page that ends where it began would be asked for for ever.
                    let since = until.max(since.plus(NANOS_PER_MILLI));
                    self.inquire(Asked::Income { since }, Request::Income { since });
                }
                Ok(())
            }
            (Asked::Snapshot, Outcome::Snapshot(snapshot)) => self.judge(&snapshot),
            _ => {
                self.fail_round();
                Ok(())
            }
        }
    }

    /// Goes on when everything that was asked is answered.
    pub(super) fn reconcile_further(&mut self) -> Result<(), Error> {
        while self.reconciler.waiting == 0 && self.reconciler.queries.is_empty() {
            match self.reconciler.stage {
                Stage::Idle | Stage::Pause => return Ok(()),
                Stage::Trades if !self.reconciler.held.is_empty() => {
                    for symbol in std::mem::take(&mut self.reconciler.held) {
                        let from_id = self.trades_from(symbol);
                        self.ask_trades(symbol, from_id, self.complete_until(), false);
                    }
                }
                Stage::Trades => {
                    self.reconciler.stage = Stage::Income;
                    let since = self.complete_until();
                    self.inquire(Asked::Income { since }, Request::Income { since });
                }
                Stage::Income => self.ask_snapshot(),
                Stage::Snapshot => self.reconciler.stage = Stage::FollowUp,
                Stage::FollowUp => return self.conclude(),
            }
        }
        Ok(())
    }

    /// A question found no answer. It is asked again soon.
    fn fail_round(&mut self) {
        let reconciler = &mut self.reconciler;
        reconciler.stage = Stage::Idle;
        reconciler.is_watching = false;
        reconciler.queries.clear();
        reconciler.due = self.now.plus(reconciler.config.reconcile_every_while_down);
        self.schedule();
    }

    fn conclude(&mut self) -> Result<(), Error> {
        let is_last = self.reconciler.looks + 1 >= MOST_LOOKS;
        for (id, (filled, standing)) in self.reconciler.closing.clone() {
            let Some(order) = self.state.orders.get(&id).copied() else {
                self.reconciler.closing.remove(&id);
                continue;
            };
            if order.filled >= filled || is_last {
                self.reconciler.closing.remove(&id);
                self.close_as(order, standing)?;
            }
        }
        if (self.reconciler.again || !self.reconciler.closing.is_empty()) && !is_last {
            self.reconciler.looks += 1;
            self.reconciler.stage = Stage::Pause;
            self.reconciler.due = self.now.plus(self.reconciler.config.second_look_after);
            self.schedule();
            return Ok(());
        }
        self.finish_round()
    }

    fn finish_round(&mut self) -> Result<(), Error> {
        let is_private_down = self.state.links_down.contains(&Route::Private);
        let reconciler = &mut self.reconciler;
        reconciler.stage = Stage::Idle;
        let every = match self.state.links_down.is_empty() {
            true => reconciler.config.reconcile_every,
            false => reconciler.config.reconcile_every_while_down,
        };
        reconciler.due = self.now.plus(every);
        // While the account's stream is down, facts go on passing unheard.
        if !is_private_down {
            reconciler.income_since = Some(reconciler.began);
            reconciler.is_complete = true;
            let (drifts, complete_until) = (reconciler.drifts, reconciler.began);
            if std::mem::take(&mut reconciler.is_told) || drifts > 0 {
                self.record(Source::Bot, None, None, ReconcileFinished { drifts, complete_until })?;
            }
        }
        self.schedule();
        self.try_start()
    }

    /// Ends the boot, once the account is known and no order is in doubt.
    pub(super) fn try_start(&mut self) -> Result<(), Error> {
        let is_booting = self.state.mode == EngineMode::Booting;
        if !is_booting || !self.reconciler.is_ready || !self.reconciler.is_complete {
            return Ok(());
        }
        let in_doubt = |order: &Order| matches!(order.status, OrderStatus::Requested | OrderStatus::Unknown);
        if self.state.orders.values().any(in_doubt) {
            return Ok(());
        }
        self.start("the account is what the exchange says")
    }

    /// Books a page of trades. One whose order is not known yet holds up those after it, so that none is passed over.
    fn take_trades(
        &mut self,
        symbol: SymbolId,
        since: Timestamp,
        is_backfill: bool,
        trades: &[OrderUpdate],
        more: bool,
    ) -> Result<(), Error> {
        let mut last = None;
        for update in trades {
            let Execution::Trade(fill) = update.execution else {
                continue;
            };
            // What the account did before this store met it is in its opening balances.
            if self.state.met_at.is_none_or(|met_at| update.at >= met_at) {
                let Some(client_order_id) = self.owner_of(update) else {
                    self.reconciler.held.insert(symbol);
                    self.reconciler.again = true;
                    return Ok(());
                };
                self.on_order(&OrderUpdate { client_order_id, ..*update }, false)?;
            }
            last = Some(fill.trade_id);
            if !is_backfill {
                let listed = &mut self.reconciler.listed[symbol.index()];
                *listed = (*listed).max(last);
            }
        }
        if let (true, Some(last)) = (more, last) {
            self.ask_trades(symbol, last + 1, since, is_backfill);
        }
        Ok(())
    }

    /// Whose trade it is: the exchange's list of trades names the order by its number only. `None` while an order is being asked
    /// about that it may belong to.
    fn owner_of(&mut self, update: &OrderUpdate) -> Option<ClientOrderId> {
        if !update.client_order_id.is_empty() {
            return Some(update.client_order_id);
        }
        let number = update.order_id;
        let is_it =
            |order: &&Order| order.symbol == update.symbol && (order.order_id == number || order.child == number);
        if let Some(order) = self.state.orders.values().find(is_it) {
            return Some(order.client_order_id);
        }
        if let Some(id) = self.reconciler.numbers.get(&number) {
            return Some(*id);
        }
        let may_be_its = |order: &&Order| {
            let has_no_number = order.order_id == 0 || (order.spec.order_type.is_conditional() && order.child == 0);
            order.symbol == update.symbol && order.spec.side == update.side && has_no_number
        };
        let suspects: Vec<ClientOrderId> =
            self.state.orders.values().filter(may_be_its).map(|order| order.client_order_id).collect();
        let mut is_open = false;
        for suspect in suspects {
            is_open |= self.query(suspect);
        }
        if is_open { None } else { Some(order_by_number(number)) }
    }

    /// Asks about an order, once a look. Whether its answer is awaited.
    fn query(&mut self, id: ClientOrderId) -> bool {
        if self.reconciler.queried.insert(id) {
            self.reconciler.queries.insert(id);
            self.ask_about(id);
        }
        self.reconciler.queries.contains(&id)
    }

    /// A question about an order found no answer.
    pub(super) fn query_failed(&mut self, id: &ClientOrderId) {
        if self.reconciler.queries.remove(id) {
            self.reconciler.again = true;
        }
    }

    /// A question found the order over, or filled further than is booked. True where that settles what it was about.
    pub(super) fn found_to_be(
        &mut self,
        id: &ClientOrderId,
        order_id: u64,
        filled: Qty,
        standing: Standing,
    ) -> Result<bool, Error> {
        self.reconciler.answered(id);
        let Some(order) = self.state.orders.get(id).copied() else {
            return Ok(false);
        };
        if order.order_id != order_id {
            self.reconciler.numbers.insert(order_id, *id);
        }
        if self.reconciler.missing.remove(id) && !standing.is_open() {
            let theirs = format!("{standing:?}").to_uppercase();
            self.drift(DriftKind::OrderMissing, Some(order.symbol), id, order.status.name(), &theirs)?;
        }
        if !standing.is_open() && order.spec.order_type.is_conditional() && filled.is_positive() {
            self.fired(order, order_id, filled)?;
        }
        let is_behind = self.state.orders.get(id).is_some_and(|order| filled > order.filled);
        if is_behind {
            self.backfill(&order);
        }
        if standing.is_open() {
            return Ok(false);
        }
        self.settled(id);
        if !is_behind {
            if let Some(order) = self.state.orders.get(id).copied() {
                self.close_as(order, standing)?;
            }
        } else if self.reconciler.is_idle() {
            // Its fills come with a round; that it is over, the round finds again.
            if self.reconciler.is_ready {
                self.begin_round(None)?;
            }
        } else {
            self.reconciler.closing.insert(*id, (filled, standing));
        }
        Ok(true)
    }

    /// A conditional order was filled, so it has fired, and its size is known.
    fn fired(&mut self, order: Order, order_id: u64, filled: Qty) -> Result<(), Error> {
        let has_fired = matches!(order.status, OrderStatus::Triggered | OrderStatus::PartiallyFilled);
        if has_fired && !order.qty.is_zero() {
            return Ok(());
        }
        let child = if order_id == order.order_id { 0 } else { order_id };
        let qty = if order.qty.is_zero() { filled.max(order.filled) } else { order.qty };
        let triggered = OrderTriggered { client_order_id: order.client_order_id, child, qty };
        self.record(self.heard(false), Some(order.command), Some(order.symbol), triggered)?;
        self.tell(&order.client_order_id, OrderNews::Triggered)
    }

    /// Fetches the trades of an order again, wherever they lie.
    fn backfill(&mut self, order: &Order) {
        if !self.reconciler.is_idle() && self.reconciler.stage != Stage::Pause {
            let since = order.requested_at.plus(-CLOCK_MARGIN);
            self.ask_trades(order.symbol, 0, since, true);
        }
    }

    /// Before a trade is booked that an order has no room for: the order was made larger, and nobody told.
    pub(super) fn make_room(&mut self, trade: &TradeExecuted, stream: bool) -> Result<(), Error> {
        if !stream {
            self.reconciler.drifts += 1;
        }
        let Some(order) = self.state.orders.get(&trade.client_order_id).copied() else {
            return Ok(());
        };
        let filled = order.filled.saturating_add(trade.fill.qty);
        if filled <= order.qty || (order.qty.is_zero() && order.spec.close_position) {
            return Ok(());
        }
        let (client_order_id, amended_at) = (order.client_order_id, self.now);
        self.drift(DriftKind::OrderChanged, Some(order.symbol), &client_order_id, &order.qty, &filled)?;
        let price = order.spec.order_type.price().unwrap_or_default();
        let amended = OrderAmended { client_order_id, qty: filled, price, amended_at };
        self.record(self.heard(stream), Some(order.command), Some(order.symbol), amended)
    }

    /// Ends an order of which nothing more will be heard.
    fn close_as(&mut self, order: Order, standing: Standing) -> Result<(), Error> {
        let client_order_id = order.client_order_id;
        let (source, command, symbol) = (self.heard(false), Some(order.command), Some(order.symbol));
        match standing {
            Standing::Open => Ok(()),
            // Fewer fills than the order's size, and no more to come: it was made smaller, or they are lost to the exchange too.
            Standing::Canceled | Standing::Filled => {
                self.record(source, command, symbol, OrderCanceled { client_order_id })?;
                self.over(order, OrderStatus::Canceled, OrderNews::Canceled)
            }
            Standing::Rejected if order.status != OrderStatus::PartiallyFilled => {
                let message = "the order was refused when it fired".into();
                self.rejected(&client_order_id, ExchangeError { code: NEVER_ARRIVED, message })
            }
            Standing::Expired(_) | Standing::Rejected => {
                let reason = match standing {
                    Standing::Expired(reason) => reason,
                    _ => ExpiryReason::MarketRemainder,
                };
                let expired = OrderExpired { client_order_id, reason };
                self.record(source, command, symbol, expired.clone())?;
                self.over(order, OrderStatus::Expired, OrderNews::Expired(&expired))
            }
        }
    }

    /// A question says that an order which was at the exchange is not there. After three days it forgets those without a fill.
    pub(super) fn forgotten(&mut self, id: &ClientOrderId) -> Result<(), Error> {
        self.reconciler.answered(id);
        let Some(order) = self.state.orders.get(id).copied() else {
            return Ok(());
        };
        let is_missing = self.reconciler.missing.remove(id);
        let is_old = self.now.since(order.requested_at) > FORGOTTEN_AFTER;
        if is_missing && is_old && order.order_id != 0 && order.filled.is_zero() {
            self.drift(DriftKind::OrderMissing, Some(order.symbol), id, order.status.name(), "NOT THERE")?;
            self.close_as(order, Standing::Canceled)?;
        }
        Ok(())
    }

    fn drift(
        &mut self,
        kind: DriftKind,
        symbol: Option<SymbolId>,
        subject: &(impl ToString + ?Sized),
        ours: &(impl ToString + ?Sized),
        theirs: &(impl ToString + ?Sized),
    ) -> Result<(), Error> {
        self.reconciler.drifts += 1;
        let (subject, ours, theirs) = (subject.to_string(), ours.to_string(), theirs.to_string());
        self.record(Source::Bot, None, symbol, DriftDetected { kind, subject, ours, theirs })
    }

    /// Compares the state with a snapshot, and makes it agree where the snapshot may be believed.
    fn judge(&mut self, snapshot: &AccountSnapshot) -> Result<(), Error> {
        let reconciler = &mut self.reconciler;
        reconciler.is_watching = false;
        let touched = std::mem::take(&mut reconciler.touched);
        let is_new = self.state.met_at.is_none();
        // What cannot be judged now is looked at again where something rests on it.
        reconciler.again |= touched != Touched::default() && (reconciler.is_told || is_new);
        for order in &snapshot.orders {
            let known = self.state.orders.get(&order.client_order_id);
            if known.is_some_and(|known| known.order_id != order.order_id) {
                reconciler.numbers.insert(order.order_id, order.client_order_id);
            }
        }
        let before = std::mem::take(&mut reconciler.seen);
        let mut settled = Vec::new();
        for drift in compare(&self.state, snapshot, &touched) {
            let is_confirmed = before.iter().any(|seen| seen.is_same(&drift));
            if drift.needs_second_look() && !is_new && !is_confirmed {
                self.reconciler.again = true;
                self.reconciler.seen.push(drift);
            } else {
                settled.push(drift);
            }
        }
        for drift in &settled {
            self.repair(drift, is_new)?;
        }
        self.settle_modifies(snapshot, &touched)?;
        self.settle_settings(snapshot, &touched)
    }

    fn repair(&mut self, drift: &Drift, is_new: bool) -> Result<(), Error> {
        let heard = self.heard(false);
        match drift {
            Drift::OrderMissing { id } => {
                // One in doubt is being asked about already.
                self.reconciler.missing.insert(*id);
                self.query(*id);
                Ok(())
            }
            Drift::OrderForeign { order } => {
                let spec = order.spec;
                let whose = if self.state.is_ours(&order.client_order_id) { "NOT OPEN" } else { "UNKNOWN" };
                let symbol = Some(spec.symbol);
                self.drift(DriftKind::OrderForeign, symbol, &order.client_order_id, whose, "OPEN")?;
                let adopted = OrderAdopted {
                    client_order_id: order.client_order_id,
                    order_id: order.order_id,
                    actor: Actor::System,
                    spec,
                    filled: order.filled,
                    created_at: order.created_at,
                };
                self.record(heard, None, symbol, adopted)
            }
            // The trades that are fetched say it themselves.
            Drift::OrderFilled { id, .. } => {
                if let Some(order) = self.state.orders.get(id).copied() {
                    self.reconciler.again = true;
                    self.backfill(&order);
                }
                Ok(())
            }
            Drift::OrderChanged { id, qty, price } => {
                let Some(order) = self.state.orders.get(id).copied() else {
                    return Ok(());
                };
                if *qty < order.filled || qty.is_zero() {
                    return Ok(());
                }
                // A change that we asked for is no surprise: only its answer was lost.
                if !self.state.modifies.contains_key(id) {
                    let ours = format!("{} at {}", order.qty, order.spec.order_type.price().unwrap_or_default());
                    let theirs = format!("{qty} at {price}");
                    self.drift(DriftKind::OrderChanged, Some(order.symbol), id, &ours, &theirs)?;
                }
                let (client_order_id, qty, price, amended_at) = (*id, *qty, *price, self.now);
                let amended = OrderAmended { client_order_id, qty, price, amended_at };
                self.record(heard, Some(order.command), Some(order.symbol), amended)?;
                self.tell(id, OrderNews::Amended)
            }
            Drift::Position { symbol, position_side, ours, theirs, entry_price } => {
                let subject = format!("{}:{}", self.state.symbol_name(*symbol), position_side.name());
                self.drift(DriftKind::Position, Some(*symbol), &subject, ours, theirs)?;
                let (position_side, qty, entry_price) = (*position_side, *theirs, *entry_price);
                self.record(heard, None, Some(*symbol), PositionAdopted { position_side, qty, entry_price })?;
                self.money_moved(Some(*symbol));
                Ok(())
            }
            Drift::Margin { symbol, position_side, ours, theirs } => {
                if !is_new {
                    let subject = format!("{}:{}", self.state.symbol_name(*symbol), position_side.name());
                    self.drift(DriftKind::Margin, Some(*symbol), &subject, ours, theirs)?;
                }
                let amount = theirs.saturating_sub(*ours);
                let moved = MarginMoved { position_side: *position_side, amount, margin: *theirs };
                self.record(heard, None, Some(*symbol), moved)
            }
            Drift::Balance { asset, ours, theirs } => {
                if !is_new {
                    self.drift(DriftKind::Balance, None, asset, ours, theirs)?;
                }
                let reason = if is_new { TransferReason::Opening } else { TransferReason::Reconciled };
                // Numbered by its place: nobody else tells it.
                let (id, amount) = (self.state.seq + 1, theirs.saturating_sub(*ours));
                self.book_transfer(TransferBooked { id, asset: *asset, amount, reason }, false)
            }
            Drift::Setting { symbol, setting } => {
                if let Some(ours) = self.known_setting(*symbol, *setting) {
                    let asked = self.state.settings_asked.iter().any(|(of, asked, _)| of == symbol && asked == setting);
                    let name = symbol.map_or("ACCOUNT".to_owned(), |symbol| self.state.symbol_name(symbol).to_owned());
                    if !asked && !(is_new && symbol.is_none()) {
                        self.drift(DriftKind::Setting, *symbol, &name, &ours, &words(*setting))?;
                    }
                }
                self.record(heard, None, *symbol, state::setting_event(*setting))
            }
            Drift::Elsewhere { symbol } => {
                if self.reconciler.elsewhere.insert(symbol.clone()) {
                    let theirs = "positions or open orders";
                    self.drift(DriftKind::Elsewhere, None, symbol, "not traded by this session", theirs)?;
                }
                Ok(())
            }
        }
    }

    /// What is believed of a setting of this kind, in words; `None` where nothing is.
    fn known_setting(&self, symbol: Option<SymbolId>, setting: Setting) -> Option<String> {
        let of = symbol.map(|symbol| &self.state.symbols[symbol.index()]);
        let known = match setting {
            Setting::Leverage { .. } => Setting::Leverage { leverage: of?.leverage? },
            Setting::MarginType { .. } => Setting::MarginType { isolated: of?.isolated? },
            Setting::HedgeMode { .. } => Setting::HedgeMode { hedge: self.state.hedge },
        };
        Some(words(known))
    }

    /// A modification whose answer is lost did not arrive, if the order stands unchanged when it could no longer arrive.
    fn settle_modifies(&mut self, snapshot: &AccountSnapshot, touched: &Touched) -> Result<(), Error> {
        let asked_at = self.reconciler.snapshot_asked_at;
        let is_open = |id: &ClientOrderId| snapshot.orders.iter().any(|order| order.client_order_id == *id);
        let lost = self.state.modifies.iter().filter(|(id, asked)| {
            is_open(id) && !touched.orders.contains(*id) && self.executor.proves_absence(asked.at, asked_at)
        });
        for (id, asked) in lost.map(|(id, asked)| (*id, *asked)).collect::<Vec<_>>() {
            let message = "the modification never arrived: the order stands unchanged".into();
            self.modify_rejected(&id, asked.command, ExchangeError { code: NEVER_ARRIVED, message })?;
            self.settled(&id);
        }
        Ok(())
    }

    /// The same for settings.
    fn settle_settings(&mut self, snapshot: &AccountSnapshot, touched: &Touched) -> Result<(), Error> {
        if touched.settings {
            return Ok(());
        }
        let asked_at = self.reconciler.snapshot_asked_at;
        let kind = std::mem::discriminant::<Setting>;
        for (symbol, setting, asked) in self.state.settings_asked.clone() {
            let tells = snapshot.settings.iter().any(|(of, told)| *of == symbol && kind(told) == kind(&setting));
            if tells && self.executor.proves_absence(asked.at, asked_at) {
                let message = "the setting never arrived: the account stands unchanged".into();
                let rejected = SettingRejected { setting, error: ExchangeError { code: NEVER_ARRIVED, message } };
                self.record(self.heard(false), Some(asked.command), symbol, rejected)?;
            }
        }
        Ok(())
    }
}

fn words(setting: Setting) -> String {
    match setting {
        Setting::Leverage { leverage } => format!("leverage {leverage}"),
        Setting::MarginType { isolated: true } => "isolated margin".into(),
        Setting::MarginType { isolated: false } => "cross margin".into(),
        Setting::HedgeMode { hedge: true } => "hedge mode".into(),
        Setting::HedgeMode { hedge: false } => "one-way mode".into(),
    }
}
