//! The Process of the bot: it asks for the rules, opens its store, trades, and dies. A supervisor starts it again.

use std::collections::BTreeSet;
use std::path::Path;

use alphaengine_core::engine::{self, Engine, LiveConfig};
use alphaengine_core::id::SessionId;
use alphaengine_core::mode::{EngineMode, Mode};
use alphaengine_core::store::{self, Place, Scope, SqliteStore, StoreReader};
use alphaengine_core::strategy::Strategy;
use alphaengine_core::units::{NANOS_PER_MILLI, NANOS_PER_SECOND, Nanos, Timestamp};
use alphaengine_live::binance::{Bootstrap, BootstrapResult, Hosts, Session, SessionConfig, Silence};
use alphaengine_live::bot::{Bot, News};
use alphaengine_live::wire::{Effect, TimerId};
use alphaengine_sim::auditor::{Invariant, Recovery, Seen};
use alphaengine_sim::faults::Fault;
use sha2::{Digest, Sha256};

use super::agenda::{Happening, Life};
use super::log::{LogNews, WatchedLog};
use super::{Phase, World};
use crate::disk::{Image, SimDisk};
use crate::report::StoreFiles;

pub(super) const RECV_WINDOW: Nanos = RECV_WINDOW_MS as Nanos * NANOS_PER_MILLI;
const RECV_WINDOW_MS: u32 = 2_000;
/// How long the supervisor waits before it starts a process again that ended by itself.
const RESTART_AFTER: Nanos = 5 * NANOS_PER_SECOND;

const STORE: &str = "bot.db";
const WAL: &str = "bot.db-wal";
const HEAD: &str = "bot.db.head";

pub(super) type Log = WatchedLog<SqliteStore>;

/// What the process is at.
pub(super) enum Stage<S> {
    Down,
    /// It asks for the rules and the account.
    Boot { bootstrap: Box<Bootstrap>, timers: BTreeSet<(Timestamp, TimerId)> },
    Trade(Box<Bot<S, Log>>),
}

pub(super) struct Process<S> {
    pub life: Life,
    pub stage: Stage<S>,
    /// Since when there is no engine that trades.
    pub away_since: Option<Timestamp>,
    /// Whether any life of it has come so far that its strategy ran.
    was_ready: bool,
    /// Somebody who reads the store and keeps its log from being folded in.
    pub reader: Option<rusqlite::Connection>,
    /// The disk as it was when the process last opened its store.
    pub backup: Option<Image>,
    /// What the dead process knew last: the number of its last durable event and the state at it.
    last_words: Option<(u64, [u8; 32])>,
    pub mode: EngineMode,
}

impl<S: Strategy> Process<S> {
    pub fn down(at: Timestamp) -> Process<S> {
        Process {
            life: Life::default(),
            stage: Stage::Down,
            away_since: Some(at),
            was_ready: false,
            reader: None,
            backup: None,
            last_words: None,
            mode: EngineMode::Booting,
        }
    }

    pub fn is_down(&self) -> bool {
        matches!(self.stage, Stage::Down)
    }

    pub fn was_ready(&self) -> bool {
        self.was_ready
    }

    pub fn wal(&self) -> &'static Path {
        Path::new(WAL)
    }

    pub fn bot(&self) -> Option<&Bot<S, Log>> {
        match &self.stage {
            Stage::Trade(bot) => Some(bot),
            _ => None,
        }
    }

    pub fn wake_at(&self) -> Timestamp {
        match &self.stage {
            Stage::Down => Timestamp::MAX,
            Stage::Boot { timers, .. } => timers.first().map_or(Timestamp::MAX, |(at, _)| *at),
            Stage::Trade(bot) => bot.wake_at(),
        }
    }

    /// Ends the process at once. What its handles do from now on changes nothing.
    pub fn kill(&mut self, disk: &SimDisk) {
        if let Some(bot) = self.bot()
            && bot.engine().state().seq > 0
        {
            let state = bot.engine().state();
            self.last_words = Some((state.seq, state.hash()));
        }
        disk.kill();
        self.reader = None;
        self.stage = Stage::Down;
        self.life = Life(self.life.0 + 1);
    }
}

impl<S: Strategy> World<'_, S> {
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
            Stage::Trade(bot) => {
                let heard = bot.hear(self.now, news);
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
            Stage::Trade(bot) => {
                let heard = bot.hear(self.now, News::Wake);
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
    fn exit(&mut self) {
        self.die();
        self.agenda.put(self.now.plus(RESTART_AFTER), Happening::Begin);
    }

    fn die(&mut self) {
        self.auditor.see(self.now, self.steps, Seen::ProcessEnded);
        let life = self.process.life;
        self.process.kill(&self.disk);
        self.watch.borrow_mut().news.clear();
        self.watch.borrow_mut().uncommitted = 0;
        self.process.away_since.get_or_insert(self.now);
        self.meter.restarted();
        let lost: Vec<_> =
            self.venue.connections.iter().filter(|(_, known)| known.life == life).map(|(id, _)| *id).collect();
        for connection in lost {
            let at = self.now.plus(self.dice.frame());
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

    /// Rules and account are known: the store is opened and the engine goes on from it.
    fn begin_trading(&mut self, known: BootstrapResult) {
        let session = self.session_id();
        let store = match self.open_store(session, &known) {
            Ok(store) => store,
            Err(error) => {
                self.trace.note(self.now, || format!("the store does not open: {error}"));
                if self.crash_at_disk() {
                    return;
                }
                return self.exit();
            }
        };
        self.process.backup = Some(self.disk.snapshot());
        self.recovered(&store);
        let seq = store.state().seq;
        match self.bot(session, known, store) {
            Ok(mut bot) => {
                self.auditor.see(self.now, self.steps, Seen::ProcessBegan { session, seq });
                let started = bot.start(self.now);
                self.process.stage = Stage::Trade(Box::new(bot));
                self.after_step(started);
            }
            Err(error) => {
                self.defect(&error);
                self.exit();
            }
        }
    }

    fn session_id(&self) -> SessionId {
        let digest = Sha256::digest(format!("{} {} {}", self.options.seed, self.process.life.0, self.now.nanos()));
        let hex: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        hex.parse().unwrap_or_default()
    }

    fn place(&self) -> Place {
        Place::on(std::sync::Arc::new(self.disk.clone()), Path::new(STORE))
    }

    fn open_store(&self, session: SessionId, known: &BootstrapResult) -> Result<SqliteStore, store::Error> {
        let scope = Scope::binance_futures(Mode::Chaos, session, "main");
        SqliteStore::open_or_create(self.place(), scope, &known.instruments)
    }

    pub(super) fn open_second(&self) -> Result<SqliteStore, store::Error> {
        let scope = Scope::binance_futures(Mode::Chaos, self.session_id(), "main");
        SqliteStore::open_or_create(self.place(), scope, &self.scenario.instruments)
    }

    pub(super) fn reader(&self) -> Result<StoreReader, store::Error> {
        StoreReader::open(self.place())
    }

    fn bot(&self, session: SessionId, known: BootstrapResult, store: SqliteStore) -> Result<Bot<S, Log>, engine::Error> {
        let scenario = self.scenario;
        // It was built before, from the same.
        let strategy = S::new(&scenario.params, &scenario.instruments)
            .map_err(|problem| engine::Error::Store(store::Error::Query(problem)))?;
        let config = engine::Config {
            session,
            mode: Mode::Chaos,
            strategy: scenario.strategy.clone(),
            description: serde_json::json!({"chaos": self.options.seed}),
            asset: scenario.sim.asset,
            instruments: known.instruments.clone(),
            base_timeframes: vec![Some(scenario.timeframe); known.instruments.len()],
            trade_bars: scenario.timeframe,
            limits: scenario.limits,
            recv_window: RECV_WINDOW,
            commit_each_step: true,
            live: Some(LiveConfig::default()),
        };
        let session_config = SessionConfig {
            streams: scenario.streams,
            warm_up_bars: strategy.warm_up(),
            recv_window_ms: RECV_WINDOW_MS,
            seed: self.options.seed ^ self.process.life.0,
            limits: known.limits,
            hedge: known.hedge,
            used_weight: known.used_weight,
            silence: if self.options.instant { Silence::ALLOWED } else { Silence::default() },
            ..SessionConfig::new(hosts(), Some(self.key.clone()), known.instruments)
        };
        let state = store.recovered().state;
        let log = WatchedLog::new(store, std::rc::Rc::clone(&self.watch));
        let engine = Engine::recover(config, strategy, log, Some(state), std::iter::empty())?;
        Ok(Bot::new(engine, Session::new(session_config), None))
    }

    /// Compares what was recovered with what a fresh reader of the log adds up to, and with what the dead process knew.
    fn recovered(&mut self, store: &SqliteStore) {
        let Ok(reader) = self.reader() else { return };
        let read = reader.events().and_then(|events| events.collect::<Result<Vec<_>, _>>());
        let Ok(log) = read else { return };
        let recovery = Recovery { log: &log, state: store.state(), last_words: self.process.last_words };
        self.auditor.recovered(self.now, self.steps, recovery);
    }

    /// What follows from one step of the bot.
    fn after_step(&mut self, heard: Result<(), engine::Error>) {
        self.steps += 1;
        self.tell_log();
        let due = self.faults.lock().on_step();
        if self.crash_at_disk() {
            return;
        }
        let Stage::Trade(bot) = &mut self.process.stage else { return };
        match heard {
            Ok(()) => {
                let wires: Vec<Effect> = bot.effects().collect();
                let (mode, reconciled) = (bot.engine().state().mode, bot.engine().is_reconciled());
                let seen = Seen::Stepped { mode, reconciled, state: bot.engine().state() };
                self.auditor.see(self.now, self.steps, seen);
                self.note_mode(mode);
                let life = self.process.life;
                due.iter().for_each(|fault| self.mishap(fault));
                if self.process.life == life {
                    self.carry_out(wires);
                }
            }
            Err(engine::Error::Store(error)) if !is_defect(&error) => {
                self.trace.note(self.now, || format!("the store failed: {error}"));
                due.iter().for_each(|fault| self.mishap(fault));
                if !self.process.is_down() {
                    self.exit();
                }
            }
            Err(error) => {
                self.defect(&error);
                self.exit();
            }
        }
    }

    /// Tells the auditor what the log took.
    fn tell_log(&mut self) {
        let news = std::mem::take(&mut self.watch.borrow_mut().news);
        for news in news {
            match news {
                LogNews::Appended(events) => {
                    for recorded in &events {
                        self.meter.recorded(recorded);
                        self.trace.event(self.now, recorded);
                    }
                    self.auditor.see(self.now, self.steps, Seen::Logged { events: &events });
                }
                LogNews::Committed { ok } => self.auditor.see(self.now, self.steps, Seen::Committed { ok }),
            }
        }
    }

    /// Whether the plan ended the process inside an operation of its disk.
    fn crash_at_disk(&mut self) -> bool {
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
    fn defect(&mut self, error: &engine::Error) {
        let sentence = error.to_string();
        self.auditor.check(Invariant::I6, self.now, self.steps, false, || sentence);
    }

    /// Ends the process as a signal would, and hands out its store.
    pub(super) fn end_in_order(&mut self) -> Option<StoreFiles> {
        self.hear(News::End);
        let Stage::Trade(bot) = std::mem::replace(&mut self.process.stage, Stage::Down) else { return None };
        let closed = bot.into_engine().finish().log.into_inner().close();
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
        self.process.bot().is_some() && self.phase != Phase::Over
    }
}

fn hosts() -> Hosts {
    Hosts { rest: "https://sim".to_owned(), stream: "wss://sim".to_owned() }
}

/// Whether an error of the store is the program's own mistake, and not the disk's.
fn is_defect(error: &store::Error) -> bool {
    matches!(error, store::Error::Duplicate { .. } | store::Error::Contradiction { .. } | store::Error::Query(_))
}

/// What happens to the process as the plan says.
pub(super) fn down_for(fault: &Fault) -> Nanos {
    let ms = match fault {
        Fault::Crash { down_ms } | Fault::PowerLoss { down_ms, .. } => *down_ms,
        _ => 1_000,
    };
    i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(NANOS_PER_MILLI)
}
