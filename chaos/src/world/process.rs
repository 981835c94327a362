//! The Process of the bot: it asks for the rules, opens its store, trades, and dies. A supervisor starts it again.

use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use alphaengine_core::engine;
use alphaengine_core::id::session_id;
use alphaengine_core::mode::{EngineMode, Mode};
use alphaengine_core::store::{self, Place, Scope, SqliteStore, StoreReader};
use alphaengine_core::strategy::Strategy;
use alphaengine_core::units::{NANOS_PER_MILLI, NANOS_PER_SECOND, Nanos, Timestamp};
use alphaengine_live::binance::{Bootstrap, BootstrapResult};
use alphaengine_live::bot::News;
use alphaengine_live::trader::{Log, Trader};
use alphaengine_live::wire::{Effect, TimerId};
use alphaengine_sim::auditor::Seen;
use alphaengine_sim::faults::Fault;

use super::aftermath::is_defect;
use super::agenda::{Happening, Life};
use super::maker::{Maker, hosts};
use super::{Phase, World};
use crate::disk::{Image, SimDisk};
use crate::report::StoreFiles;

/// How long the supervisor waits before it starts a process again that ended by itself.
const RESTART_AFTER: Nanos = 5 * NANOS_PER_SECOND;

const STORE: &str = "bot.db";
const WAL: &str = "bot.db-wal";
const HEAD: &str = "bot.db.head";

/// What the process is at.
pub(super) enum Stage<'a, S: Strategy> {
    Down,
    /// It asks for the rules and the account.
    Boot {
        bootstrap: Box<Bootstrap>,
        timers: BTreeSet<(Timestamp, TimerId)>,
    },
    Trade(Box<Trader<Maker<'a, S>>>),
}

pub(super) struct Process<'a, S: Strategy> {
    pub life: Life,
    pub stage: Stage<'a, S>,
    /// Since when there is no engine that trades.
    pub away_since: Option<Timestamp>,
    /// Whether any life of it has come so far that its strategy ran.
    pub was_ready: bool,
    pub is_distrusting: bool,
    /// Somebody who reads the store and keeps its log from being folded in.
    pub reader: Option<rusqlite::Connection>,
    /// The disk as it was when the process last opened its store.
    pub backup: Option<Image>,
    pub mode: EngineMode,
}

impl<'a, S: Strategy> Process<'a, S> {
    pub fn down(at: Timestamp) -> Process<'a, S> {
        Process {
            life: Life::default(),
            stage: Stage::Down,
            away_since: Some(at),
            was_ready: false,
            is_distrusting: false,
            reader: None,
            backup: None,
            mode: EngineMode::Booting,
        }
    }

    pub fn is_down(&self) -> bool {
        matches!(self.stage, Stage::Down)
    }

    pub fn wal(&self) -> &'static Path {
        Path::new(WAL)
    }

    pub fn trader(&self) -> Option<&Trader<Maker<'a, S>>> {
        match &self.stage {
            Stage::Trade(trader) => Some(trader),
            _ => None,
        }
    }

    pub fn wake_at(&self) -> Timestamp {
        match &self.stage {
            Stage::Down => Timestamp::MAX,
            Stage::Boot { timers, .. } => timers.first().map_or(Timestamp::MAX, |(at, _)| *at),
            Stage::Trade(trader) => trader.wake_at(),
        }
    }

    /// Ends the process at once. What its handles do from now on changes nothing.
    pub fn kill(&mut self, disk: &SimDisk) {
        disk.kill();
        self.reader = None;
        self.stage = Stage::Down;
        self.is_distrusting = false;
        self.life = Life(self.life.0 + 1);
    }
}

impl<'a, S: Strategy> World<'a, S> {
    /// The supervisor starts the process.
    pub(super) fn begin_process(&mut self) {
        if !self.process.is_down() {
            return;
        }
        self.process.life = Life(self.process.life.0 + 1);
        self.trace.note(self.now, || "the process begins".to_owned());
        let symbols = self.scenario.instruments.iter().map(|(_, instrument)| instrument.symbol.clone()).collect();
        let mut bootstrap = Box::new(Bootstrap::new(hosts(), Some(self.key.clone()), symbols));
        bootstrap.start(self.now);
        self.process.stage = Stage::Boot { bootstrap, timers: BTreeSet::new() };
        self.after_boot_step();
    }

    /// Something reaches the bot.
    pub(super) fn hear(&mut self, news: News<'_>) {
        match &mut self.process.stage {
            Stage::Down => {}
            Stage::Boot { bootstrap, .. } => {
                if let News::Http { id, answer } = news {
                    bootstrap.on_http(self.now, id, answer);
                }
                self.after_boot_step();
            }
            Stage::Trade(trader) => {
                let heard = trader.hear(self.now, news);
                self.after_step(heard);
            }
        }
    }

    /// The bot's alarm is due.
    pub(super) fn wake(&mut self) {
        match &mut self.process.stage {
            Stage::Down => {}
            Stage::Boot { bootstrap, timers } => {
                if let Some((_, timer)) = timers.pop_first() {
                    bootstrap.on_timer(self.now, timer);
                }
                self.after_boot_step();
            }
            Stage::Trade(trader) => {
                let heard = trader.hear(self.now, News::Wake);
                self.after_step(heard);
            }
        }
    }

    fn after_boot_step(&mut self) {
        let Stage::Boot { bootstrap, timers } = &mut self.process.stage else { return };
        let mut wires = Vec::new();
        for effect in bootstrap.effects() {
            match effect {
                Effect::Timer { timer, at } => drop(timers.insert((at, timer))),
                other => wires.push(other),
            }
        }
        let result = bootstrap.result().cloned();
        self.carry_out(wires);
        match result {
            None => {}
            Some(Ok(known)) => self.begin_trading(known),
            Some(Err(problem)) => {
                self.trace.note(self.now, || format!("the process gives up: {problem}"));
                self.exit();
            }
        }
    }

    /// The process ended by itself; the supervisor waits and starts it again.
    pub(super) fn exit(&mut self) {
        self.die();
        self.agenda.put(self.now.plus(RESTART_AFTER), Happening::Begin);
    }

    fn die(&mut self) {
        self.auditor.see(self.now, self.steps, Seen::ProcessEnded);
        let life = self.process.life;
        self.remember_last_words();
        self.process.kill(&self.disk);
        let mut watch = self.watch.borrow_mut();
        watch.news.clear();
        watch.uncommitted = 0;
        drop(watch);
        self.process.away_since.get_or_insert(self.now);
        self.meter.restarted();
        let lost: Vec<_> =
            self.venue.connections.iter().filter(|(_, known)| known.life == life).map(|(id, _)| *id).collect();
        for connection in lost {
            let at = self.now.plus(self.delays.frame());
            self.agenda.put(at, Happening::HangUp { connection });
        }
    }

    /// The process is killed, and started again after a while.
    pub(super) fn crash(&mut self, down: Nanos) {
        if self.process.is_down() {
            return;
        }
        self.trace.note(self.now, || "the process is killed".to_owned());
        self.die();
        self.agenda.put(self.now.plus(down), Happening::Begin);
    }

    /// What the process knew last, if all of it is committed: a later one must recover the same.
    fn remember_last_words(&mut self) {
        let Some(trader) = self.process.trader() else { return };
        let mut watch = self.watch.borrow_mut();
        if watch.uncommitted == 0 && trader.store().is_some() {
            let state = trader.engine().state();
            watch.last_words = Some((state.seq, state.hash()));
        }
    }

    /// Rules and account are known: the store is opened and the engine goes on from it.
    fn begin_trading(&mut self, known: BootstrapResult) {
        let session = session_id(&format!("{} {} {}", self.options.seed, self.process.life.0, self.now.nanos()));
        let maker = Maker {
            scenario: self.scenario,
            known,
            key: self.key.clone(),
            seed: self.options.seed,
            is_instant: self.options.instant,
            session,
            place: self.place(),
            disk: self.disk.clone(),
            faults: self.faults.clone(),
            watch: Rc::clone(&self.watch),
            strategy: PhantomData,
        };
        match Trader::new(maker, None) {
            Ok(mut trader) => {
                let started = trader.start(self.now);
                self.process.backup = Some(self.disk.snapshot());
                self.process.stage = Stage::Trade(Box::new(trader));
                self.after_step(started);
            }
            Err(error) => {
                self.trace.note(self.now, || format!("the store does not open: {error}"));
                self.tell_log();
                if self.crash_at_disk() {
                    return;
                }
                if !matches!(&error, engine::Error::Store(error) if !is_defect(error)) {
                    self.defect(&error);
                }
                self.exit();
            }
        }
    }

    fn place(&self) -> Place {
        Place::on(Arc::new(self.disk.clone()), Path::new(STORE))
    }

    pub(super) fn open_second(&self) -> Result<SqliteStore, store::Error> {
        let scope = Scope::binance_futures(Mode::Chaos, session_id("second"), "main");
        SqliteStore::open_or_create(self.place(), scope, &self.scenario.instruments)
    }

    pub(super) fn reader(&self) -> Result<StoreReader, store::Error> {
        StoreReader::open(self.place())
    }

    /// Ends the process as a signal would, and hands out its store.
    pub(super) fn end_in_order(&mut self) -> Option<StoreFiles> {
        self.hear(News::End);
        let Stage::Trade(trader) = std::mem::replace(&mut self.process.stage, Stage::Down) else { return None };
        let Log::Store(log) = trader.into_bot().into_engine().finish().log else { return None };
        let closed = log.into_inner().close();
        if let Err(error) = closed {
            self.trace.note(self.now, || format!("the store cannot be closed: {error}"));
            return None;
        }
        let place = self.place();
        let read = |path: &Path| place.disk().read(path).ok();
        Some(StoreFiles { database: read(Path::new(STORE))?, head: read(Path::new(HEAD))? })
    }

    /// Whether there is a bot with a store of its own.
    pub(super) fn is_trading(&self) -> bool {
        self.process.trader().is_some_and(|trader| trader.store().is_some()) && self.phase != Phase::Over
    }
}

/// What happens to the process as the plan says.
pub(super) fn down_for(fault: &Fault) -> Nanos {
    let ms = match fault {
        Fault::Crash { down_ms } | Fault::PowerLoss { down_ms, .. } => *down_ms,
        _ => 1_000,
    };
    i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(NANOS_PER_MILLI)
}
