//! Quiet: nothing goes wrong any more, and bot and exchange must come to agree within the time that the scenario gives them.

use alphaengine_core::command::StopPolicy;
use alphaengine_core::strategy::Strategy;
use alphaengine_core::units::{NANOS_PER_SECOND, Nanos};
use alphaengine_live::bot::News;
use alphaengine_sim::auditor::{Invariant, Seen};

use super::agenda::Happening;
use super::{Phase, World};

/// Two rounds of the reconciler and a little: what the streams lost is found by then.
const SETTLE: Nanos = 70 * NANOS_PER_SECOND;
/// How long after the last fault the operator looks after a store that may be damaged.
const PROOF_AFTER: Nanos = 5 * NANOS_PER_SECOND;
/// What is still on its way when the strategy was told to stop.
const LAST_WORDS: Nanos = 5 * NANOS_PER_SECOND;

impl<S: Strategy> World<'_, S> {
    /// The market has ended; the plan is not in force any more.
    pub(super) fn end_faults(&mut self) {
        self.faults.lock().end();
        self.disk.set_faults(None);
        self.process.reader = None;
        self.venue.outage_until = self.now;
        self.venue.gateway.shift_clock(-self.clock_shift_ms);
        self.clock_shift_ms = 0;
        self.auditor.see(self.now, self.steps, Seen::FaultsOver);
        self.trace.note(self.now, || "nothing goes wrong any more".to_owned());
        self.phase = Phase::Quiet(self.now);
        if self.options.instant {
            // Each second from here on: in an instant world nobody else keeps the time.
            self.agenda.put(self.now.plus(NANOS_PER_SECOND), Happening::Second);
        }
    }

    /// Each second: is everything settled?
    pub(super) fn look_for_quiet(&mut self) {
        let (since, is_stopping) = match self.phase {
            Phase::Quiet(since) => (since, false),
            Phase::Stopping(since) => (since, true),
            Phase::Faults | Phase::Over => return,
        };
        let waited = self.now.since(since);
        if !is_stopping && waited >= PROOF_AFTER && self.is_disk_doubtful() && !self.is_proven {
            return self.prove_store();
        }
        if waited > self.scenario.converge_within {
            let why = self.what_is_open();
            self.auditor.check(Invariant::I22, self.now, self.steps, false, || {
                format!("{} s after the last fault {why}", waited / NANOS_PER_SECOND)
            });
            return self.compare();
        }
        if is_stopping {
            let is_done = self.process.trader().is_some_and(|trader| trader.is_stopped());
            if is_done && waited >= LAST_WORDS {
                self.auditor.check(Invariant::I22, self.now, self.steps, true, String::new);
                self.compare();
            }
        } else if waited >= SETTLE && self.is_settled() {
            self.phase = Phase::Stopping(self.now);
            self.hear(News::Stop(StopPolicy::Keep));
        }
    }

    /// The disk changed what it had acknowledged, perhaps where no start looks. An operator who knows that has the store proven, and
    /// from what is good in it the bot goes on.
    fn prove_store(&mut self) {
        self.is_proven = true;
        self.phase = Phase::Quiet(self.now);
        self.trace.note(self.now, || "the operator has the store proven".to_owned());
        self.watch.borrow_mut().is_doubtful = true;
        self.crash(NANOS_PER_SECOND);
    }

    fn is_settled(&self) -> bool {
        self.process.trader().is_some_and(|trader| {
            let engine = trader.engine();
            let streams = trader.bot().session().figures().streams_up;
            trader.store().is_some()
                && engine.is_reconciled()
                && streams.len() == self.routes_wanted()
                && !engine.is_comparing()
        })
    }

    /// The account's and the market's routes always, the public one where a stream on it is wanted.
    fn routes_wanted(&self) -> usize {
        let streams = &self.scenario.streams;
        if streams.book_ticker || streams.depth { 3 } else { 2 }
    }

    fn what_is_open(&self) -> String {
        let Some(trader) = self.process.trader() else { return "there is no bot".to_owned() };
        let (engine, streams) = (trader.engine(), trader.bot().session().figures().streams_up);
        format!(
            "the engine is {:?}, reconciled: {}, something open: {}, streams up: {streams:?}",
            engine.state().mode,
            engine.is_reconciled(),
            engine.has_open_business(),
        )
    }

    /// Puts the two accounts side by side, and ends the run.
    fn compare(&mut self) {
        self.phase = Phase::Over;
        let log = self.reader().and_then(|reader| reader.events()?.collect::<Result<Vec<_>, _>>());
        let Some(trader) = self.process.trader() else { return };
        match log {
            Ok(log) => {
                let state = trader.engine().state();
                self.auditor.quiet(self.now, self.steps, &log, state, &self.venue.gateway);
            }
            Err(error) => {
                let sentence = format!("the store cannot be read at the end: {error}");
                self.auditor.check(Invariant::I15, self.now, self.steps, false, || sentence);
            }
        }
    }
}
