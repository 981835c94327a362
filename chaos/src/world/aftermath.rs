//! What follows from a step of the bot: what its log took, whom it trusts, what it sends.

use alphaengine_core::engine;
use alphaengine_core::mode::EngineMode;
use alphaengine_core::store;
use alphaengine_core::strategy::Strategy;
use alphaengine_live::wire::Effect;
use alphaengine_sim::auditor::{Invariant, Known, Recovery, Seen};

use super::World;
use super::log::LogNews;
use super::opening::Opening;
use super::process::Stage;

impl<S: Strategy> World<'_, S> {
    /// What follows from one step of the bot.
    pub(super) fn after_step(&mut self, heard: Result<(), engine::Error>) {
        self.steps += 1;
        self.tell_log();
        let due = self.faults.lock().on_step();
        if self.crash_at_disk() {
            return;
        }
        if let Err(error) = heard {
            due.iter().for_each(|fault| self.mishap(fault));
            return self.step_failed(&error);
        }
        let Stage::Trade(trader) = &mut self.process.stage else { return };
        let wires: Vec<Effect> = trader.effects().collect();
        let engine = trader.engine();
        let (mode, reconciled) = (engine.state().mode, engine.is_reconciled());
        let problem = trader.is_distrusting().map(str::to_owned);
        if problem.is_none() {
            let seen = Seen::Stepped { mode, reconciled, state: engine.state() };
            self.auditor.see(self.now, self.steps, seen);
        }
        // To a bot that goes by a clock which is ahead, bars have ended that have not.
        if self.clock_shift_ms <= 0 {
            let until = engine.heard_until();
            self.auditor.see(self.now, self.steps, Seen::StrategyHeard { until });
        }
        self.note_trust(problem);
        self.note_mode(mode);
        let life = self.process.life;
        due.iter().for_each(|fault| self.mishap(fault));
        if self.process.life == life {
            self.carry_out(wires);
        }
    }

    fn step_failed(&mut self, error: &engine::Error) {
        if self.process.is_down() {
            return;
        }
        match error {
            engine::Error::Store(error) if !is_defect(error) => {
                self.trace.note(self.now, || format!("the store failed: {error}"));
            }
            error => self.defect(error),
        }
        self.exit();
    }

    fn note_trust(&mut self, problem: Option<String>) {
        let is_distrusting = problem.is_some();
        if std::mem::replace(&mut self.process.is_distrusting, is_distrusting) == is_distrusting {
            return;
        }
        let seen = if is_distrusting { Seen::StorageDistrusted } else { Seen::StorageTrusted };
        self.auditor.see(self.now, self.steps, seen);
        self.trace.note(self.now, || match problem {
            Some(problem) => format!("without a store: {problem}"),
            None => "the store is trusted again".to_owned(),
        });
    }

    /// Tells the auditor what the log took.
    pub(super) fn tell_log(&mut self) {
        let news = std::mem::take(&mut self.watch.borrow_mut().news);
        for news in news {
            match news {
                LogNews::Opened(opening) => self.opened_store(&opening),
                LogNews::Appended(events) => {
                    for recorded in &events {
                        self.meter.recorded(recorded, &self.venue.gateway);
                        self.trace.event(self.now, recorded);
                    }
                    self.auditor.see(self.now, self.steps, Seen::Logged { events: &events });
                }
                LogNews::Committed { ok } => self.auditor.see(self.now, self.steps, Seen::Committed { ok }),
            }
        }
    }

    /// Whether the plan ended the process inside an operation of its disk.
    pub(super) fn crash_at_disk(&mut self) -> bool {
        match self.disk.crash_requested() {
            None => false,
            Some(fault) => {
                self.mishap(&fault);
                true
            }
        }
    }

    fn note_mode(&mut self, mode: EngineMode) {
        if mode != EngineMode::Booting {
            self.process.was_ready = true;
            if let Some(since) = self.process.away_since.take() {
                self.meter.was_away(self.now.since(since));
            }
        }
        self.meter.mode(self.now, mode);
        if std::mem::replace(&mut self.process.mode, mode) != mode {
            self.trace.note(self.now, || format!("the engine is {mode:?}"));
        }
    }

    /// The engine contradicted itself.
    pub(super) fn defect(&mut self, error: &engine::Error) {
        let sentence = format!("a defect: {error}");
        self.trace.note(self.now, || sentence.clone());
        self.auditor.check(Invariant::I6, self.now, self.steps, false, || sentence);
    }

    /// The store was opened: compares what was recovered with what a fresh reader of the log adds up to, and with what the dead
    /// process knew.
    fn opened_store(&mut self, opening: &Opening) {
        let last_words = self.watch.borrow().last_words;
        let known = last_words.zip(opening.at_last_words).map(|((seq, live), replayed)| Known { seq, live, replayed });
        let recovery = Recovery {
            log: &opening.log,
            state: &opening.state,
            recovered: opening.state.hash(),
            replayed: opening.replayed,
            from_checkpoint: opening.from_checkpoint,
            known: known.filter(|_| !self.is_disk_doubtful()),
            head: opening.head,
            chain_holds: opening.findings.is_empty(),
            damaged: self.is_disk_doubtful(),
            salvaged: opening.salvaged.is_some(),
        };
        let seq = opening.state.seq;
        self.trace.note(self.now, || match &opening.salvaged {
            None => format!("the store is open at event {seq}"),
            Some(salvaged) => format!("the store is salvaged: {salvaged:?}"),
        });
        opening.findings.iter().for_each(|finding| self.trace.note(self.now, || format!("   {finding}")));
        self.auditor.recovered(self.now, self.steps, recovery);
        self.auditor.see(self.now, self.steps, Seen::ProcessBegan { session: opening.session, seq });
    }
}

/// Whether an error of the store is the program's own mistake, and not the disk's.
pub(super) fn is_defect(error: &store::Error) -> bool {
    matches!(error, store::Error::Duplicate { .. } | store::Error::Contradiction { .. } | store::Error::Query(_))
}
