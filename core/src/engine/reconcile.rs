//! The reconciler: when the account is compared with the exchange, what is asked for it, and what is believed.
//!
//! A round asks for our trades and what moved money since what is known, then for a snapshot, compares, and follows up on what it
//! cannot explain: orders that are gone are asked about, fills that nobody told are fetched. Differences in positions and margins,
//! and orders that nobody here gave, are believed when a second look shows them too, because stream, trades and snapshot race each
//! other; those in balances when they have lasted, because what explains them may be told later. Nothing is sent that changes anything: what is found is recorded, never undone.

use std::collections::{BTreeMap, BTreeSet};

use super::numbers::Numbers;
use super::resolve::is_traded_as;
use super::{Engine, Error};
use crate::event::{Event, ReconcileFinished, ReconcileStarted, Recorded, Source, TransferBooked};
use crate::exchange::{ExchangeUpdate, Execution, OrderUpdate, Outcome, Request, Standing};
use crate::executor::{Asked, Sent};
use crate::id::ClientOrderId;
use crate::link::Route;
use crate::market::SymbolId;
use crate::mode::EngineMode;
use crate::order::{Order, OrderStatus};
use crate::planted::{self, Bug};
use crate::reconcile::{Drift, Touched, Unsettled};
use crate::snapshot::OrderSnapshot;
use crate::store::EventLog;
use crate::strategy::Strategy;
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
/// The account is first met by a snapshot that came within this.
pub(super) const MET_WITHIN: Nanos = 2 * NANOS_PER_SECOND;
/// What moved money may be told late, so each question reaches back a little; what is known already is left out.
const OVERLAP: Nanos = 10 * NANOS_PER_MINUTE;
/// The same at boot and after a gap: what another process took for the time may have been its clock's.
const OVERLAP_AFTER_GAP: Nanos = 60 * NANOS_PER_MINUTE;

/// Snapshots in a row that something crossed, after which a look waits for a pause in what moves.
const MOST_CROSSED: u32 = 5;
/// How long it waits for one at most.
const PAUSE_AT_MOST: Nanos = 10 * NANOS_PER_SECOND;

/// Trades after which the end of a round is recorded although nothing differed.
const TELL_AFTER_TRADES: u64 = 500;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
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
    pub(super) config: LiveConfig,
    pub(super) stage: Stage,
    /// When the next round or look begins, or this one has failed.
    pub(super) due: Timestamp,
    pub(super) round: u64,
    /// When this round began, by the exchange's clock as far as it was heard.
    pub(super) began: Timestamp,
    pub(super) snapshot_asked_at: Timestamp,
    pub(super) looks: u32,
    pub(super) drifts: u64,
    /// The beginning of the round is in the log, so its end will be.
    pub(super) is_told: bool,
    /// Something has to be looked at again.
    pub(super) again: bool,
    /// Questions of this round without an answer.
    pub(super) waiting: u32,
    pub(super) queries: BTreeSet<ClientOrderId>,
    /// Orders that this round asked about, answered or not.
    pub(super) queried: BTreeSet<ClientOrderId>,
    /// Of them, those that a snapshot lacked.
    pub(super) missing: BTreeSet<ClientOrderId>,
    /// Orders that are over at the exchange and wait here for the rest of their fills.
    pub(super) closing: BTreeMap<ClientOrderId, (Qty, Standing)>,
    /// Orders that are filled further than their trades say, as this look found them.
    pub(super) behind: BTreeMap<ClientOrderId, OrderSnapshot>,
    pub(super) numbers: Numbers,
    /// Symbols of which a trade waits until it is known whose it is.
    pub(super) held: BTreeSet<SymbolId>,
    /// The last trade that the exchange itself listed, by symbol; what the stream told since may have gaps.
    pub(super) listed: Vec<Option<u64>>,
    pub(super) income_since: Option<Timestamp>,
    /// Trades that were booked when the end of a round was last recorded.
    pub(super) trades_told: u64,
    pub(super) seen: Vec<Drift>,
    /// Kept from round to round: what explains a balance may take longer than a round.
    pub(super) unsettled: Unsettled,
    /// Snapshots in a row that could not judge everything, because money or positions moved meanwhile.
    pub(super) crossed: u32,
    pub(super) moved_at: Timestamp,
    pub(super) paused_at: Timestamp,
    pub(super) is_watching: bool,
    pub(super) touched: Touched,
    pub(super) elsewhere: BTreeSet<String>,
    /// Orders of somebody else that were told, and that have the name of an order of another symbol.
    pub(super) namesakes: BTreeSet<(SymbolId, ClientOrderId)>,
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
            behind: BTreeMap::new(),
            numbers: Numbers::default(),
            held: BTreeSet::new(),
            listed: vec![None; symbols],
            income_since: None,
            trades_told: 0,
            seen: Vec::new(),
            unsettled: Unsettled::default(),
            crossed: 0,
            moved_at: Timestamp::MIN,
            paused_at: Timestamp::MIN,
            is_watching: false,
            touched: Touched::default(),
            elsewhere: BTreeSet::new(),
            namesakes: BTreeSet::new(),
        }
    }

    pub fn due(&self) -> Timestamp {
        self.due
    }

    pub fn is_idle(&self) -> bool {
        self.stage == Stage::Idle
    }

    /// Whether a look is under way, so that one more question belongs to it.
    pub fn is_asking(&self) -> bool {
        !matches!(self.stage, Stage::Idle | Stage::Pause)
    }

    /// An order is over.
    pub fn remember(&mut self, order: &Order) {
        if self.is_on {
            self.numbers.learn(order.symbol, order.child, order.client_order_id);
            if is_traded_as(order, order.order_id) {
                self.numbers.learn(order.symbol, order.order_id, order.client_order_id);
            }
        }
    }

    /// Whether what is unclear after this look waits for the next round.
    pub fn is_last_look(&self) -> bool {
        self.looks + 1 >= MOST_LOOKS
    }

    pub fn is_always_crossed(&self) -> bool {
        self.crossed >= MOST_CROSSED
    }

    /// Whether the next look had better wait a little longer.
    fn is_waiting_for_quiet(&self, now: Timestamp) -> bool {
        let is_quiet = now.since(self.moved_at) >= self.config.second_look_after;
        self.is_always_crossed() && !is_quiet && now.since(self.paused_at) < PAUSE_AT_MOST
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
        // Between two looks it only matters when something moved.
        if self.is_watching || self.stage == Stage::Pause {
            self.touch(recorded);
        }
    }

    #[cold]
    fn touch(&mut self, recorded: &Recorded) {
        self.touched.orders.extend(recorded.event.client_order_id());
        match &recorded.event {
            Event::TradeExecuted(_) | Event::PositionAdopted(_) => {
                self.touched.positions.extend(recorded.symbol);
                self.money_moved(recorded.at);
            }
            Event::FundingApplied(_) | Event::TransferBooked(_) | Event::MarginMoved(_) => {
                self.money_moved(recorded.at);
            }
            Event::LeverageSet(_) | Event::MarginTypeSet(_) | Event::HedgeModeSet(_) | Event::SettingRequested(_) => {
                self.touched.settings = true;
            }
            _ => {}
        }
    }

    /// Money moved that is not booked: a balance that is on its way now cannot be judged.
    pub fn money_moved(&mut self, now: Timestamp) {
        if self.is_watching || self.stage == Stage::Pause {
            (self.touched.money, self.moved_at) = (true, now);
        }
    }

    pub fn answered(&mut self, id: &ClientOrderId) {
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
            Stage::Pause if self.reconciler.is_waiting_for_quiet(self.now) => {
                self.reconciler.due = self.now.plus(self.reconciler.config.second_look_after);
                self.schedule();
                Ok(())
            }
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
        let began = self.exchange_time();
        let reconciler = &mut self.reconciler;
        // What was told to begin is told to end, also when it has to begin anew.
        reconciler.is_told |= reason.is_some();
        (reconciler.began, reconciler.looks, reconciler.drifts) = (began, 0, 0);
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
        reconciler.behind.clear();
        reconciler.held.clear();
        reconciler.due = self.now.plus(ROUND_TIMEOUT);
        if self.state.met_at.is_none() {
            for (listed, symbol) in self.reconciler.listed.iter_mut().zip(&self.state.symbols) {
                listed.get_or_insert(symbol.last_trade_id);
            }
            self.ask_snapshot();
        } else if planted::has(Bug::NoBackfill) {
            // Wrong: what happened while nobody listened is in no snapshot.
            self.ask_snapshot();
        } else {
            self.reconciler.stage = Stage::Trades;
            for symbol in (0..self.state.symbols.len()).map(|index| SymbolId(index as u16)) {
                let from_id = self.trades_from(symbol);
                self.reconciler.listed[symbol.index()].get_or_insert(from_id.saturating_sub(1));
                self.ask_trades(symbol, from_id, self.complete_until(), false);
            }
        }
        self.schedule();
    }

    /// The first trade that may not be known; 0 where there has never been one.
    fn trades_from(&self, symbol: SymbolId) -> u64 {
        let listed = self.last_listed(symbol);
        if listed == 0 { 0 } else { listed + 1 }
    }

    /// The last trade up to which the exchange's own list was read.
    fn last_listed(&self, symbol: SymbolId) -> u64 {
        let of = &self.state.symbols[symbol.index()];
        self.reconciler.listed[symbol.index()].or(of.trades_known).unwrap_or(of.last_trade_id)
    }

    /// From when on something may not be known.
    fn complete_until(&self) -> Timestamp {
        let met_at = self.state.met_at.unwrap_or(self.now);
        let known = self.reconciler.income_since.or(self.state.complete_until).unwrap_or(met_at);
        let overlap = if self.reconciler.is_complete { OVERLAP } else { OVERLAP_AFTER_GAP };
        known.plus(-overlap).max(met_at)
    }

    /// The exchange's time, by the last that its market said: what is asked for is bounded by its clock, and ours may be ahead. Before
    /// it says anything, no more than is known already.
    fn exchange_time(&self) -> Timestamp {
        match self.heard_until {
            Timestamp::MIN => self.reconciler.income_since.or(self.state.complete_until).unwrap_or(self.now),
            heard => heard.min(self.now),
        }
    }

    fn inquire(&mut self, what: Asked, request: Request) {
        self.reconciler.waiting += 1;
        let round = self.reconciler.round;
        self.send(Sent::Reconcile { round, what }, request);
    }

    pub(super) fn ask_trades(&mut self, symbol: SymbolId, from_id: u64, since: Timestamp, is_backfill: bool) {
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
        if round != self.reconciler.round || !self.reconciler.is_asking() {
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
                        ExchangeUpdate::Transfer { at, id, asset, amount, reason } => {
                            let booked = TransferBooked { id: *id, asset: *asset, amount: *amount, reason: *reason };
                            self.on_transfer(*at, booked, false)?;
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
        let is_last = self.reconciler.is_last_look();
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
        if is_last {
            self.give_up_trades()?;
        }
        if (self.reconciler.again || !self.reconciler.closing.is_empty()) && !is_last {
            self.reconciler.looks += 1;
            self.reconciler.stage = Stage::Pause;
            self.reconciler.paused_at = self.now;
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
        let unsettled = reconciler.unsettled.due();
        if let Some(settles_at) = unsettled {
            // Never at once: money that moves all the time is no reason to ask all the time.
            let soonest = self.now.plus(reconciler.config.reconcile_every_while_down);
            reconciler.due = reconciler.due.min(settles_at.max(soonest));
        }
        // While the account's stream is down, facts go on passing unheard.
        if !is_private_down {
            reconciler.income_since = Some(reconciler.began);
            // After a gap entries wait until every balance is explained or believed; what differs later does not stop them.
            reconciler.is_complete |= unsettled.is_none();
            let (drifts, complete_until) = (reconciler.drifts, reconciler.began);
            // So that the next process need not read further back than this.
            let is_long = self.state.trades.saturating_sub(reconciler.trades_told) >= TELL_AFTER_TRADES;
            let is_told = reconciler.is_complete && std::mem::take(&mut reconciler.is_told);
            if is_told || drifts > 0 || is_long {
                reconciler.trades_told = self.state.trades;
                let symbols = (0..self.state.symbols.len()).map(|index| SymbolId(index as u16));
                let trades_known = symbols.map(|symbol| self.last_listed(symbol)).collect();
                self.record(Source::Bot, None, None, ReconcileFinished { drifts, complete_until, trades_known })?;
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
            let is_after = self.state.met_at.is_some_and(|met_at| update.at >= met_at);
            if is_after || self.is_of_our_order(update) {
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
}
