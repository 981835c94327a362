//! A Trader is a bot that outlives its store: while the store cannot be written, a bot of last resort cancels and closes, and opens
//! nothing; when it can be opened again, a bot on the store goes on and tells it what happened.
//!
//! ```text
//! on the store --the store fails--> last resort: SAFE, tries the store after 1, 2, 4 .. 30 s
//!      ^                                 |
//!      +-- another engine, another session, reconciled with the exchange
//! ```
//!
//! A failed store is an unknown outcome: what it holds, only who opens it again knows. Each life has a session of its own, so no
//! order's name is ever given twice, and an engine and a [`Session`] of its own, so nothing of one life is taken for the next one's.

mod log;

pub use self::log::{Disposable, Log};

use alphaengine_core::command::StopPolicy;
use alphaengine_core::engine::{self, Engine};
use alphaengine_core::event::{StorageDistrusted, StorageTrusted};
use alphaengine_core::id::SessionId;
use alphaengine_core::link::LinkUpdate;
use alphaengine_core::mode::EngineMode;
use alphaengine_core::state::State;
use alphaengine_core::store::{self, EventLog};
use alphaengine_core::strategy::Strategy;
use alphaengine_core::units::{NANOS_PER_MINUTE, NANOS_PER_SECOND, Nanos, Timestamp};

use crate::binance::{Session, SessionConfig};
use crate::bot::{Bot, News, Venue};
use crate::wire::Effect;

/// The pause before the first attempt to open the store again. It doubles.
const FIRST_PAUSE: Nanos = NANOS_PER_SECOND;
const LONGEST_PAUSE: Nanos = 30 * NANOS_PER_SECOND;
/// A store that holds for so long is as good as new: the pauses begin at the first one again.
const STEADY_AFTER: Nanos = 10 * NANOS_PER_MINUTE;

/// Makes what a trader is made of, anew for each of its lives.
pub trait Factory {
    type Strategy: Strategy;
    type Log: EventLog;

    /// The name of the session of a life, which are counted from 0. No two are the same, also across processes.
    fn session_id(&self, life: u64) -> SessionId;

    /// Opens the store, or makes it, and tells what it adds up to. The trader asks for it when it begins and after each failure,
    /// and has let go of the store before. With `is_doubtful` it was seen to be damaged: what is checked at every start may show
    /// nothing of that.
    fn open(&mut self, session: SessionId, is_doubtful: bool) -> Result<(Self::Log, State), store::Error>;

    fn strategy(&self) -> Result<Self::Strategy, String>;

    fn engine_config(&self, session: SessionId) -> engine::Config;

    fn session_config(&self) -> SessionConfig;
}

/// Why the trader has no store.
#[derive(Debug, Clone)]
pub struct Distrust {
    /// When the store failed, by the bot's time.
    pub since: Timestamp,
    /// What it said when it failed.
    pub problem: String,
    /// The same of the last attempt to open it again, and what to do about it.
    pub newest: String,
    pub hint: Option<&'static str>,
    /// When it is tried again, on the local clock; [`Timestamp::MAX`] when that is no use.
    pub retry_at: Timestamp,
    pub attempts: u32,
    /// Something in it was seen to be damaged.
    is_doubtful: bool,
}

/// A bot, on its store or without it.
pub struct Trader<F: Factory> {
    factory: F,
    bot: Bot<F::Strategy, Log<F::Log>>,
    session: SessionId,
    life: u64,
    distrust: Option<Distrust>,
    /// Failures since the store was last steady.
    failures: u32,
    trusted_at: Timestamp,
    stop: Option<StopPolicy>,
    /// The stop was asked for while the engine booted, when it lets no close through.
    stop_again: bool,
    now: Timestamp,
}

impl<F: Factory> Trader<F> {
    /// Opens the store for the first time. `venue` is an exchange inside the process; with one, a failure of the store ends the
    /// trader, because such an account is worth nothing without its history.
    pub fn new(mut factory: F, venue: Option<Box<dyn Venue>>) -> Result<Trader<F>, engine::Error> {
        let session = factory.session_id(0);
        let (log, state) = factory.open(session, false)?;
        let engine = engine(&factory, session, Log::Store(log), state)?;
        let bot = Bot::new(engine, Session::new(factory.session_config()), venue);
        Ok(Trader {
            factory,
            bot,
            session,
            life: 0,
            distrust: None,
            failures: 0,
            trusted_at: Timestamp::MIN,
            stop: None,
            stop_again: false,
            now: Timestamp::MIN,
        })
    }

    /// Begins to connect.
    pub fn start(&mut self, at: Timestamp) -> Result<(), engine::Error> {
        self.now = self.now.max(at);
        self.trusted_at = self.now;
        let started = self.bot.start(self.now);
        self.outlive(started)
    }

    /// Takes one piece of news. What comes out as an error is a defect, or cannot be survived.
    pub fn hear(&mut self, at: Timestamp, news: News<'_>) -> Result<(), engine::Error> {
        self.now = self.now.max(at);
        let is_end = matches!(news, News::End);
        if let News::Stop(policy) = news {
            self.stop = Some(policy);
            self.stop_again = self.is_booting();
        }
        let heard = self.bot.hear(self.now, news);
        if is_end {
            return heard;
        }
        self.outlive(heard)?;
        self.reopen_if_due()?;
        self.press_stop()
    }

    /// The driver found by itself that the store cannot be trusted.
    pub fn distrust(&mut self, at: Timestamp, problem: store::Error) -> Result<(), engine::Error> {
        self.now = self.now.max(at);
        self.outlive(Err(problem.into()))
    }

    /// When [`News::Wake`] is due on the local clock.
    pub fn wake_at(&self) -> Timestamp {
        let retry_at = self.distrust.as_ref().filter(|_| self.stop.is_none());
        self.bot.wake_at().min(retry_at.map_or(Timestamp::MAX, |distrust| distrust.retry_at))
    }

    /// What the driver has to carry out, in order: HTTP requests and socket work only.
    pub fn effects(&mut self) -> std::vec::Drain<'_, Effect> {
        self.bot.effects()
    }

    /// What the last news told about the way to the exchange.
    pub fn links(&self) -> &[LinkUpdate] {
        self.bot.links()
    }

    /// The bot of this life.
    pub fn bot(&self) -> &Bot<F::Strategy, Log<F::Log>> {
        &self.bot
    }

    /// The engine of this life. Without a store its numbers are its own: nothing of them is in the log.
    pub fn engine(&self) -> &Engine<F::Strategy, Log<F::Log>> {
        self.bot.engine()
    }

    /// The session of this life.
    pub fn session_id(&self) -> SessionId {
        self.session
    }

    /// How many engines this trader had before this one.
    pub fn life(&self) -> u64 {
        self.life
    }

    pub fn factory(&self) -> &F {
        &self.factory
    }

    /// The store; `None` while it is not trusted.
    pub fn store(&self) -> Option<&F::Log> {
        match self.bot.engine().log() {
            Log::Store(log) => Some(log),
            Log::LastResort(_) => None,
        }
    }

    /// For what a driver asks of the store itself: whether another process handed commands in.
    pub fn store_mut(&mut self) -> Option<&mut F::Log> {
        match self.bot.engine_mut().log_mut() {
            Log::Store(log) => Some(log),
            Log::LastResort(_) => None,
        }
    }

    /// Why there is no store, in a sentence; `None` while it is trusted.
    pub fn is_distrusting(&self) -> Option<&str> {
        self.distrust.as_ref().map(|distrust| distrust.newest.as_str())
    }

    /// The same in full.
    pub fn last_resort(&self) -> Option<&Distrust> {
        self.distrust.as_ref()
    }

    /// The session was asked to stop, by an operator or by the driver.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_some() || self.bot.engine().is_stopping()
    }

    /// It was asked to stop and nothing is left to wait for: the driver may end it.
    pub fn is_stopped(&self) -> bool {
        self.bot.engine().is_stopped()
    }

    pub fn into_bot(self) -> Bot<F::Strategy, Log<F::Log>> {
        self.bot
    }

    fn is_booting(&self) -> bool {
        self.bot.engine().state().mode == EngineMode::Booting
    }

    /// Takes the failure of a store for what it is, an unknown outcome, and goes on without it.
    fn outlive(&mut self, heard: Result<(), engine::Error>) -> Result<(), engine::Error> {
        match heard {
            Err(engine::Error::Store(problem)) if self.may_outlive(&problem) => self.begin_last_resort(&problem),
            heard => heard,
        }
    }

    fn may_outlive(&self, problem: &store::Error) -> bool {
        let is_storage = problem.may_pass() || problem.is_damage();
        is_storage && self.distrust.is_none() && !self.bot.is_on_paper()
    }

    fn begin_last_resort(&mut self, problem: &store::Error) -> Result<(), engine::Error> {
        self.stop = self.stop.or(self.bot.engine().stop_policy());
        if self.now.since(self.trusted_at) >= STEADY_AFTER {
            self.failures = 0;
        }
        let (sentence, since) = (problem.to_string(), self.bot.now());
        let state = self.bot.engine().last_knowledge(&format!("the event store failed: {sentence}"));
        self.distrust = Some(Distrust {
            since,
            problem: sentence.clone(),
            newest: sentence,
            hint: problem.hint(),
            retry_at: self.now.plus(self.next_pause()),
            attempts: 0,
            is_doubtful: problem.is_damage(),
        });
        self.life += 1;
        self.session = self.factory.session_id(self.life);
        let config = self.factory.engine_config(self.session);
        let log = Log::LastResort(Disposable::new(config.mode, self.session, &config.instruments));
        let engine = engine(&self.factory, self.session, log, state)?;
        self.live_on(engine)
    }

    /// Opens the store again when it is time. It is trusted once it has taken the beginning of the next life: until then the bot of
    /// last resort goes on.
    fn reopen_if_due(&mut self) -> Result<(), engine::Error> {
        let is_stopping = self.stop.is_some();
        let Some(distrust) = self.distrust.as_ref().filter(|distrust| !is_stopping && distrust.retry_at <= self.now)
        else {
            return Ok(());
        };
        let (since, problem) = (distrust.since, distrust.problem.clone());
        let is_doubtful = distrust.is_doubtful;
        let session = self.factory.session_id(self.life + 1);
        let (log, state) = match self.factory.open(session, is_doubtful) {
            Ok(opened) => opened,
            Err(error) => {
                self.stay_without(&error, error.may_pass());
                return Ok(());
            }
        };
        // Also where this life fails at its first commit, which may be durable all the same.
        self.life += 1;
        match self.begin_on_store(session, log, state, since, problem) {
            Ok(engine) => {
                (self.session, self.distrust, self.trusted_at) = (session, None, self.now);
                self.live_on(engine)
            }
            Err(engine::Error::Store(error)) if error.may_pass() || error.is_damage() => {
                self.stay_without(&error, true);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// The engine of the next life, after the store has taken its beginning.
    fn begin_on_store(
        &self,
        session: SessionId,
        log: F::Log,
        state: State,
        since: Timestamp,
        problem: String,
    ) -> Result<Engine<F::Strategy, Log<F::Log>>, engine::Error> {
        let last_resort = self.session;
        let orders_given = self.bot.engine().state().last_name(&last_resort);
        let preface = vec![
            StorageDistrusted { since, problem, last_resort }.into(),
            StorageTrusted { since, last_resort, orders_given }.into(),
        ];
        let at = self.bot.now().max(state.at);
        let mut engine = engine(&self.factory, session, Log::Store(log), state)?.with_preface(preface);
        engine.begin_durably(at)?;
        Ok(engine)
    }

    /// The store could not be opened, or not be written.
    fn stay_without(&mut self, error: &store::Error, may_pass: bool) {
        let pause = self.next_pause();
        if let Some(distrust) = &mut self.distrust {
            (distrust.newest, distrust.hint) = (error.to_string(), error.hint());
            distrust.retry_at = if may_pass { self.now.plus(pause) } else { Timestamp::MAX };
            distrust.attempts += 1;
            distrust.is_doubtful |= error.is_damage();
        }
    }

    /// The next life begins: what was to be stopped is stopped by it.
    fn live_on(&mut self, engine: Engine<F::Strategy, Log<F::Log>>) -> Result<(), engine::Error> {
        self.bot.begin_anew(engine, self.factory.session_config());
        let started = self.bot.start(self.now);
        self.outlive(started)?;
        if let Some(policy) = self.stop {
            self.stop_again = true;
            let stopped = self.bot.hear(self.now, News::Stop(policy));
            self.outlive(stopped)?;
        }
        Ok(())
    }

    fn next_pause(&mut self) -> Nanos {
        let pause = (FIRST_PAUSE << self.failures.min(10)).min(LONGEST_PAUSE);
        self.failures = self.failures.saturating_add(1);
        pause
    }

    /// A stop that was asked for during a boot closes what it could not close then.
    fn press_stop(&mut self) -> Result<(), engine::Error> {
        let Some(policy) = self.stop.filter(|_| self.stop_again && !self.is_booting()) else { return Ok(()) };
        self.stop_again = false;
        let heard = self.bot.hear(self.now, News::Stop(policy));
        self.outlive(heard)
    }
}

fn engine<F: Factory>(
    factory: &F,
    session: SessionId,
    log: Log<F::Log>,
    state: State,
) -> Result<Engine<F::Strategy, Log<F::Log>>, engine::Error> {
    let strategy = factory.strategy().map_err(engine::Error::Strategy)?;
    Engine::recover(factory.engine_config(session), strategy, log, Some(state), std::iter::empty())
}
