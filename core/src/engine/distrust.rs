//! What is left of an engine whose log failed: enough for another one to cancel and close without a store, and to tell the store
//! afterwards what happened.

use super::{Engine, Error};
use crate::command::StopPolicy;
use crate::event::{
    CancelRejected, EngineModeChanged, Event, ModifyRejected, OrderProvenAbsent, Recorded, SettingRejected, Source,
};
use crate::exchange::{ExchangeError, Outgoing, Request, Setting};
use crate::mode::EngineMode;
use crate::state::State;
use crate::store::{EventLog, storage_key};
use crate::strategy::Strategy;

/// Ours, not the exchange's: a request that never left.
const NEVER_LEFT: i32 = 0;

impl<S: Strategy, L: EventLog> Engine<S, L> {
    /// How the session is being stopped, if it is.
    pub fn stop_policy(&self) -> Option<StopPolicy> {
        self.stop.as_ref().map(|(policy, _)| *policy)
    }

    /// Has these events recorded when the engine begins, those left out that the log has already: what this process has to tell of
    /// the time in which it had no store.
    #[must_use]
    pub fn with_preface(self, preface: Vec<Event>) -> Engine<S, L> {
        Engine { preface, ..self }
    }

    pub(super) fn record_preface(&mut self) -> Result<(), Error> {
        for event in std::mem::take(&mut self.preface) {
            let is_told = match storage_key(&event) {
                Some(key) => self.log.contains(&key)?,
                None => false,
            };
            if !is_told {
                self.record(Source::Bot, None, None, event)?;
            }
        }
        Ok(())
    }

    /// What this engine knew when its log failed, for one that goes on without a store: SAFE for this reason, and rid of what the
    /// failed step wanted to send, because none of it left.
    ///
    /// What such an engine is told of the time before this is in the state already, or in the snapshot that it compares first: it
    /// books no trade and no payment of that time.
    pub fn last_knowledge(&self, reason: &str) -> State {
        let mut state = self.state.clone();
        for outgoing in &self.outgoing {
            if let Some(event) = never_left(&state, outgoing) {
                fold(&mut state, self.now, outgoing, event);
            }
        }
        let mode = EngineModeChanged { from: state.mode, to: EngineMode::Safe, reason: reason.into() };
        let (seq, at) = (state.seq + 1, self.now);
        let recorded =
            Recorded { seq, at, source: Source::Bot, command: None, causation: 0, symbol: None, event: mode.into() };
        // A change of mode follows on anything.
        let _ = state.apply(&recorded);
        if state.met_at.is_some() {
            (state.met_at, state.complete_until) = (Some(self.now), Some(self.now));
        }
        for symbol in &mut state.symbols {
            symbol.trades_known = symbol.trades_known.map(|_| symbol.last_trade_id);
        }
        state
    }
}

/// What the state is to know of a request that never left.
fn never_left(state: &State, outgoing: &Outgoing) -> Option<Event> {
    let error = || ExchangeError { code: NEVER_LEFT, message: "not sent: the event store failed".into() };
    Some(match outgoing.request {
        Request::PlaceOrder { client_order_id, .. } => OrderProvenAbsent { client_order_id }.into(),
        Request::CancelOrder { client_order_id, .. } => CancelRejected { client_order_id, error: error() }.into(),
        Request::ModifyOrder { client_order_id, .. } => ModifyRejected { client_order_id, error: error() }.into(),
        Request::SetLeverage { .. } | Request::SetMarginType { .. } | Request::SetHedgeMode { .. } => {
            let (_, setting, _) = state.settings_asked.last()?;
            let setting: Setting = *setting;
            SettingRejected { setting, error: error() }.into()
        }
        Request::QueryOrder { .. }
        | Request::CancelAll { .. }
        | Request::Snapshot
        | Request::Trades { .. }
        | Request::Income { .. } => return None,
    })
}

fn fold(state: &mut State, at: crate::units::Timestamp, outgoing: &Outgoing, event: Event) {
    let symbol = match outgoing.request {
        Request::SetLeverage { symbol, .. } | Request::SetMarginType { symbol, .. } => Some(symbol),
        _ => None,
    };
    let seq = state.seq + 1;
    let before = state.clone();
    let recorded = Recorded { seq, at, source: Source::Bot, command: None, causation: 0, symbol, event };
    // An order that showed itself although its request never left is another defect's trace; it stays as it is.
    if state.apply(&recorded).is_err() {
        *state = before;
    }
}
