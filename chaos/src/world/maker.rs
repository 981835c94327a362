//! A Maker is what one process makes its bot of, anew for each of its lives: as `live` does, with a disk that breaks and somebody who
//! looks on.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::rc::Rc;

use alphaengine_core::engine::{self, LiveConfig};
use alphaengine_core::id::{SessionId, session_id};
use alphaengine_core::mode::Mode;
use alphaengine_core::state::State;
use alphaengine_core::store::{self, Place, Scope, SqliteStore};
use alphaengine_core::strategy::Strategy;
use alphaengine_core::units::{NANOS_PER_MILLI, NANOS_PER_SECOND, Nanos};
use alphaengine_live::binance::{ApiKey, BootstrapResult, Hosts, SessionConfig, Silence};
use alphaengine_live::trader::Factory;

use super::SharedFaults;
use super::log::{LogNews, Watch, WatchedLog};
use super::opening::Opening;
use crate::disk::SimDisk;
use crate::scenario::Scenario;

pub(super) const RECV_WINDOW: Nanos = RECV_WINDOW_MS as Nanos * NANOS_PER_MILLI;
const RECV_WINDOW_MS: u32 = 2_000;
/// The dead man's switch, where it is set.
const COUNTDOWN: Nanos = 120 * NANOS_PER_SECOND;
/// Events between two checkpoints of the store.
const CHECKPOINT_EVERY: u64 = 60;
/// So often a listen key is kept alive, so that a run of minutes sees it.
const KEEPALIVE: Nanos = 60 * NANOS_PER_SECOND;

/// What one process makes its bot of, anew for each of its lives.
pub(super) struct Maker<'a, S> {
    pub scenario: &'a Scenario,
    pub known: BootstrapResult,
    pub key: ApiKey,
    pub seed: u64,
    pub is_instant: bool,
    /// Of the process; those of its lives derive from it.
    pub session: SessionId,
    pub place: Place,
    pub disk: SimDisk,
    pub faults: SharedFaults,
    pub watch: Rc<RefCell<Watch>>,
    pub strategy: PhantomData<S>,
}

impl<S: Strategy> Factory for Maker<'_, S> {
    type Strategy = S;
    type Log = WatchedLog<SqliteStore>;

    fn session_id(&self, life: u64) -> SessionId {
        if life == 0 { self.session } else { session_id(&format!("{} {life}", self.session.as_str())) }
    }

    fn open(&mut self, session: SessionId, is_doubtful: bool) -> Result<(Self::Log, State), store::Error> {
        let scope = Scope::binance_futures(Mode::Chaos, session, "main");
        let instruments = &self.known.instruments;
        let (now, last_words, is_to_be_proven) = {
            let mut watch = self.watch.borrow_mut();
            (watch.now, watch.last_words, std::mem::take(&mut watch.is_doubtful))
        };
        let is_doubtful = is_doubtful || is_to_be_proven;
        let (mut store, salvaged) = SqliteStore::open_or_salvage(&self.place, scope, instruments, now, is_doubtful)?;
        // Whoever looks on has good eyes, and does not use up what the plan has for the bot.
        self.disk.set_faults(None);
        let last_seq = last_words.map(|(seq, _)| seq);
        let opening = Opening::look(&self.place, &store, session, instruments, last_seq, salvaged);
        self.disk.set_faults(self.faults.in_force());
        let opening = opening?;
        // A run is short: else it would never recover from one.
        store.checkpoint_every(CHECKPOINT_EVERY);
        let state = store.recovered().state;
        let mut watch = self.watch.borrow_mut();
        watch.uncommitted = 0;
        watch.news.push(LogNews::Opened(Box::new(opening)));
        Ok((WatchedLog::new(store, Rc::clone(&self.watch)), state))
    }

    fn strategy(&self) -> Result<S, String> {
        S::new(&self.scenario.params, &self.known.instruments)
    }

    fn engine_config(&self, session: SessionId) -> engine::Config {
        let (scenario, instruments) = (self.scenario, &self.known.instruments);
        engine::Config {
            session,
            mode: Mode::Chaos,
            strategy: scenario.strategy.clone(),
            description: serde_json::json!({"chaos": self.seed}),
            asset: scenario.sim.asset,
            instruments: instruments.clone(),
            base_timeframes: vec![Some(scenario.timeframe); instruments.len()],
            trade_bars: scenario.timeframe,
            limits: scenario.limits,
            recv_window: RECV_WINDOW,
            commit_each_step: true,
            live: Some(LiveConfig::default()),
        }
    }

    fn session_config(&self) -> SessionConfig {
        SessionConfig {
            streams: self.scenario.streams,
            warm_up_bars: self.strategy().map_or(0, |strategy| strategy.warm_up()),
            recv_window_ms: RECV_WINDOW_MS,
            seed: self.seed,
            limits: self.known.limits,
            hedge: self.known.hedge,
            used_weight: self.known.used_weight,
            silence: if self.is_instant { Silence::ALLOWED } else { Silence::default() },
            listen_key_keepalive: KEEPALIVE,
            // Two ways in which a session may be run, each in some of the runs.
            batch_orders: !self.is_instant && self.seed.is_multiple_of(4),
            countdown: (!self.is_instant && self.seed % 4 == 1).then_some(COUNTDOWN),
            ..SessionConfig::new(hosts(), Some(self.key.clone()), self.known.instruments.clone())
        }
    }
}

pub(super) fn hosts() -> Hosts {
    Hosts { rest: "https://sim".to_owned(), stream: "wss://sim".to_owned() }
}
