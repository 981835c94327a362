//! What is made of a snapshot: which differences are believed, and the events that make the state agree.

use super::reconcile::MET_WITHIN;
use super::{Engine, Error};
use crate::command::Actor;
use crate::event::{
    DriftDetected, MarginMoved, OrderAdopted, OrderAmended, PositionAdopted, SettingRejected, Source, TransferBooked,
};
use crate::exchange::{ExchangeError, Setting, TransferReason};
use crate::id::ClientOrderId;
use crate::link::Route;
use crate::market::SymbolId;
use crate::planted::{self, Bug};
use crate::reconcile::{Drift, DriftKind, Touched, compare};
use crate::snapshot::AccountSnapshot;
use crate::state;
use crate::store::EventLog;
use crate::strategy::{OrderNews, Strategy};

/// Ours, not the exchange's: a request that is proven never to have arrived.
const NEVER_ARRIVED: i32 = 0;

impl<S: Strategy, L: EventLog> Engine<S, L> {
    pub(super) fn drift(
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
    pub(super) fn judge(&mut self, snapshot: &AccountSnapshot) -> Result<(), Error> {
        let reconciler = &mut self.reconciler;
        reconciler.is_watching = false;
        let is_new = self.state.met_at.is_none();
        if is_new && self.state.links_down.contains(&Route::Private) {
            // An account is first met with open ears.
            return Ok(());
        }
        let is_old = self.now.since(reconciler.snapshot_asked_at) > MET_WITHIN;
        if is_new && is_old && !reconciler.is_last_look() {
            // What moved while it was on its way would be neither in the opening nor after it.
            reconciler.again = true;
            return Ok(());
        }
        let mut touched = std::mem::take(&mut reconciler.touched);
        // What cannot be judged now is looked at again where something rests on it.
        reconciler.again |= touched != Touched::default() && (reconciler.is_told || is_new);
        for order in &snapshot.orders {
            let known = self.state.orders.get(&order.client_order_id).copied();
            let Some(known) = known.filter(|known| known.symbol == order.spec.symbol) else {
                continue;
            };
            if known.order_id != order.order_id {
                let is_conditional = known.spec.order_type.is_conditional();
                let has_fired = known.order_id != 0 && is_conditional;
                // Before it fires, the number of a conditional order is not one of those that trades name.
                if has_fired || !is_conditional {
                    self.reconciler.numbers.learn(known.symbol, order.order_id, order.client_order_id);
                }
                if has_fired && !touched.orders.contains(&order.client_order_id) {
                    self.fired(known, order.order_id, order.spec.qty)?;
                }
            }
        }
        // Where fills are known to be on their way, they explain the difference better than an adoption would.
        for id in self.reconciler.closing.keys() {
            touched.money = true;
            touched.positions.extend(self.state.orders.get(id).map(|order| order.symbol));
        }
        let is_crossed = touched.money || !touched.positions.is_empty();
        self.reconciler.crossed = if is_crossed { self.reconciler.crossed.saturating_add(1) } else { 0 };
        // An account on which something always moves is judged all the same: by looks that wait for a pause.
        self.reconciler.again |= self.reconciler.is_always_crossed();
        let before = std::mem::take(&mut self.reconciler.seen);
        // What this snapshot cannot judge, it does not refute either.
        self.reconciler.seen.extend(before.iter().filter(|drift| touched.covers(drift)).cloned());
        let mut settled = Vec::new();
        let mut drifts = compare(&self.state, snapshot, &touched);
        if planted::has(Bug::NoBackfill) && !is_new {
            // Wrong: who fetches no trades has to believe the exchange at least.
            drifts.retain(|drift| !matches!(drift, Drift::Position { .. } | Drift::Balance { .. }));
        }
        if !touched.money {
            self.reconciler.unsettled.keep_only(&drifts);
        }
        let asked_at = self.reconciler.snapshot_asked_at;
        for drift in drifts {
            if let (Drift::Balance { asset, ours, theirs }, false) = (&drift, is_new) {
                let amount = theirs.saturating_sub(*ours);
                if self.reconciler.unsettled.is_settled(*asset, amount, asked_at) {
                    settled.push(drift);
                }
                continue;
            }
            if self.is_known_namesake(&drift) || self.is_known_to_be_over(&drift) {
                continue;
            }
            let is_confirmed = before.iter().any(|seen| seen.is_same(&drift));
            if drift.needs_second_look() && !is_new && !is_confirmed {
                self.reconciler.again = true;
                self.reconciler.seen.push(drift);
            } else {
                settled.push(drift);
            }
        }
        for drift in &settled {
            self.repair(drift, snapshot, is_new)?;
        }
        self.settle_modifies(snapshot, &touched)?;
        self.settle_settings(snapshot, &touched)
    }

    fn repair(&mut self, drift: &Drift, snapshot: &AccountSnapshot, is_new: bool) -> Result<(), Error> {
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
                if self.state.orders.contains_key(&order.client_order_id) {
                    // The state holds one order of a name. This one is told, and adopted when the other is over.
                    self.reconciler.namesakes.insert((spec.symbol, order.client_order_id));
                    let ours = "THE NAME OF ANOTHER SYMBOL'S ORDER";
                    return self.drift(DriftKind::OrderForeign, symbol, &order.client_order_id, ours, "OPEN");
                }
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
                    let found = snapshot.order(order.symbol, id);
                    self.reconciler.behind.extend(found.map(|found| (*id, *found)));
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
                    // Which position mode an account is in, nobody believed before.
                    let is_first = is_new && symbol.is_none();
                    if !asked && !is_first {
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

    /// An order of somebody else that was told and cannot be adopted while another one has its name.
    fn is_known_namesake(&self, drift: &Drift) -> bool {
        let Drift::OrderForeign { order } = drift else {
            return false;
        };
        let (symbol, id) = (order.spec.symbol, order.client_order_id);
        self.state.orders.contains_key(&id) && self.reconciler.namesakes.contains(&(symbol, id))
    }

    /// An open order of which the exchange has said that it is over: the list comes from a replica that is behind.
    fn is_known_to_be_over(&self, drift: &Drift) -> bool {
        let Drift::OrderForeign { order } = drift else {
            return false;
        };
        self.state.has_ended(order.spec.symbol, &order.client_order_id, order.order_id, order.spec.qty)
    }

    /// Trades that the exchange tells no more: how far their orders are filled is taken from the orders themselves.
    pub(super) fn give_up_trades(&mut self) -> Result<(), Error> {
        for (id, found) in std::mem::take(&mut self.reconciler.behind) {
            let Some(order) = self.state.orders.get(&id).copied() else {
                continue;
            };
            if order.filled >= found.filled || found.filled > order.qty {
                continue;
            }
            let symbol = Some(order.symbol);
            self.drift(DriftKind::OrderFilled, symbol, &id, &order.filled, &found.filled)?;
            let adopted = OrderAdopted {
                client_order_id: id,
                order_id: found.order_id,
                actor: Actor::System,
                spec: order.spec,
                filled: found.filled,
                created_at: found.created_at,
            };
            self.record(self.heard(false), None, symbol, adopted)?;
        }
        Ok(())
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
        let is_open = |id: &ClientOrderId| {
            self.state.orders.get(id).is_some_and(|order| snapshot.order(order.symbol, id).is_some())
        };
        let lost = self.state.modifies.iter().filter(|(id, asked)| {
            is_open(id) && !touched.orders.contains(*id) && self.executor.is_long_past(asked.at, asked_at)
        });
        for (id, asked) in lost.map(|(id, asked)| (*id, *asked)).collect::<Vec<_>>() {
            let message = "the modification never arrived: the order stands unchanged".into();
            self.modify_rejected(&id, asked.command, ExchangeError { code: NEVER_ARRIVED, message })?;
            // Whether a cancel of it arrived is another question.
            self.showed_itself(&id);
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
            if tells && self.executor.is_long_past(asked.at, asked_at) {
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
