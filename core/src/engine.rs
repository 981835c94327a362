//! The Engine is the one loop body of every world: an input comes in, facts are recorded and folded, the strategy is asked,
//! its commands pass the risk check, and requests go out.
//!
//! It does no I/O but through its [`EventLog`]. Requests leave `step` only after the events that caused them are in the log:
//! an intent that is not durable is never sent.
//!
//! ```text
//! while let Some((at, input)) = world.next(engine.wake_at())? {
//!     for outgoing in engine.step(at, input)? {
//!         world.submit(at, outgoing);
//!     }
//! }
//! ```

mod commands;
mod distrust;
mod exchange;
mod link;
mod market;
mod numbers;
mod operator;
mod reconcile;
mod rehearsal;
mod repair;
mod resolve;

pub use reconcile::LiveConfig;

use std::collections::VecDeque;

use crate::account::Account;
use crate::command::StopPolicy;
use crate::context::{Context, Outbox};
use crate::event::{DayClosed, EngineModeChanged, Event, Recorded, SessionStarted, SessionStopped, Source, TimerFired};
use crate::exchange::{Input, Outgoing};
use crate::executor::Executor;
use crate::id::{Asset, CommandId, SessionId};
use crate::instrument::Instruments;
use crate::market::{Bar, SymbolId, Timeframe};
use crate::market_view::MarketView;
use crate::mode::{EngineMode, Mode};
use crate::performance::Performance;
use crate::planted::{self, Bug};
use crate::risk::{self, Limits, Peak};
use crate::state::{self, State};
use crate::store::{self, EventLog};
use crate::strategy::Strategy;
use crate::units::{NANOS_PER_DAY, NANOS_PER_SECOND, Nanos, Timestamp};

/// Everything about a session that the engine must know.
#[derive(Debug, Clone)]
pub struct Config {
    pub session: SessionId,
    pub mode: Mode,
    pub strategy: String,
    /// What determines the run, for the record.
    pub description: serde_json::Value,
    pub asset: Asset,
    pub instruments: Instruments,
    /// The bars that the data bring, by symbol.
    pub base_timeframes: Vec<Option<Timeframe>>,
    /// Where the data bring no bars, bars of this timeframe are built from trades.
    pub trade_bars: Timeframe,
    pub limits: Limits,
    /// How long the exchange accepts a signed request.
    pub recv_window: Nanos,
    /// Commit after each step that recorded something, before its requests leave. A backtest leaves it to the log's batches.
    pub commit_each_step: bool,
    /// What a session at an exchange does besides; `None` in a backtest, where nothing can be stale or differ.
    pub live: Option<LiveConfig>,
}

/// What stops an engine.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the event store failed: {0}")]
    Store(#[from] store::Error),
    #[error("an event contradicts the state, which is a defect: {0}")]
    Contradiction(#[from] state::Error),
    #[error("time went back: from {from} to {to}")]
    TimeWentBack { from: Timestamp, to: Timestamp },
    #[error("the engine stopped at an earlier error: recover another one from its store")]
    Stopped,
    #[error("the strategy cannot be made anew: {0}")]
    Strategy(String),
}

/// The engine with its strategy and its log.
pub struct Engine<S, L> {
    config: Config,
    strategy: S,
    log: L,
    state: State,
    account: Account,
    market: MarketView,
    executor: Executor,
    performance: Performance,
    now: Timestamp,
    /// The next time at which something other than an input is due: a day's end, a timer, a question to the exchange.
    due: Timestamp,
    day_end: Timestamp,
    outbox: Outbox,
    recorded: Vec<Recorded>,
    outgoing: Vec<Outgoing>,
    closed_bars: Vec<Bar>,
    /// Bars that were heard before the strategy started.
    rehearsal: VecDeque<(SymbolId, Bar)>,
    /// Money or positions moved at this instant, and the equity after it is not observed yet.
    is_unobserved: bool,
    /// The exchange's time of the newest market update that was heard.
    heard_until: Timestamp,
    /// Commands and timers since `now` last changed, to stop a strategy that never stops.
    commands_now: u32,
    life: Life,
    reconciler: reconcile::Reconciler,
    link: link::LinkWatch,
    /// Whether losses are looked at with every input.
    watches_losses: bool,
    peak: Peak,
    /// The limits with which the process was started, an operator's left out.
    configured_limits: Limits,
    pending: Vec<operator::Pending>,
    /// How, and why, the session is being stopped.
    stop: Option<(StopPolicy, String)>,
    /// An operator wants the projections derived anew.
    rebuild: bool,
    /// What is recorded when the engine begins.
    preface: Vec<Event>,
}

/// Where an engine is in its own life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// Before its first input.
    Fresh,
    Begun,
    /// After an error nobody knows what is durable, so nothing may leave.
    Stopped,
}

/// More commands and timers than this at one instant are a strategy that answers itself.
const MOST_COMMANDS_AT_ONCE: u32 = 10_000;
/// Added to the receive window before "not there" is believed: clocks and queues.
const ACCEPTANCE_MARGIN: Nanos = 5 * NANOS_PER_SECOND;

impl<S: Strategy, L: EventLog> Engine<S, L> {
    /// A new session with nothing behind it.
    pub fn new(config: Config, strategy: S, log: L) -> Engine<S, L> {
        let state = State::new(&config.instruments);
        Engine::with_state(config, strategy, log, state)
    }

    /// Folds a checkpoint and the events after it, and goes on from there. Orders whose answer is missing are in doubt and
    /// will be asked about; nothing is sent again.
    pub fn recover(
        config: Config,
        strategy: S,
        log: L,
        checkpoint: Option<State>,
        tail: impl IntoIterator<Item = Result<Recorded, store::Error>>,
    ) -> Result<Engine<S, L>, Error> {
        let mut state = checkpoint.unwrap_or_else(|| State::new(&config.instruments));
        for recorded in tail {
            state.apply(&recorded?)?;
        }
        let mut engine = Engine::with_state(config, strategy, log, state);
        engine.now = engine.state.at;
        for symbol in 0..engine.config.instruments.len() {
            engine.account.refresh(&engine.state, Some(SymbolId(symbol as u16)));
        }
        for order in engine.state.orders.values() {
            let unanswered = order.order_id == 0
                || engine.state.cancels.contains_key(&order.client_order_id)
                || engine.state.modifies.contains_key(&order.client_order_id);
            if unanswered {
                engine.executor.doubt(order.client_order_id, engine.now);
            }
        }
        if let Some((limits, configured)) = engine.state.limits_given
            && configured == engine.configured_limits
        {
            engine.config.limits = limits;
        }
        Ok(engine)
    }

    fn with_state(config: Config, strategy: S, log: L, state: State) -> Engine<S, L> {
        let symbols = config.instruments.len();
        let mut market = MarketView::new(symbols);
        for (index, timeframe) in config.base_timeframes.iter().enumerate() {
            let symbol = SymbolId(index as u16);
            match timeframe {
                Some(timeframe) => market.brings_bars(symbol, *timeframe),
                None => market.brings_trades_only(symbol, config.trade_bars),
            }
        }
        let orders_given = state.last_name(&config.session);
        let outbox = Outbox { session: config.session, orders_given, ..Outbox::default() };
        Engine {
            reconciler: reconcile::Reconciler::new(config.live, symbols),
            link: link::LinkWatch::default(),
            watches_losses: config.live.is_some() || config.limits.max_drawdown.is_some(),
            peak: Peak::default(),
            configured_limits: config.limits,
            pending: Vec::new(),
            stop: None,
            rebuild: false,
            preface: Vec::new(),
            account: Account::new(config.asset, symbols),
            executor: Executor::new(config.recv_window, ACCEPTANCE_MARGIN),
            performance: Performance::new(symbols),
            market,
            config,
            strategy,
            log,
            state,
            now: Timestamp::MIN,
            due: Timestamp::MIN,
            day_end: Timestamp::MIN,
            outbox,
            recorded: Vec::with_capacity(16),
            outgoing: Vec::with_capacity(16),
            closed_bars: Vec::new(),
            rehearsal: VecDeque::new(),
            is_unobserved: false,
            heard_until: Timestamp::MIN,
            commands_now: 0,
            life: Life::Fresh,
        }
    }

    /// Takes one input and returns the requests that it led to. What they rest on is in the log when this returns. After an
    /// error there are no more steps: what is durable is known only to who opens the store again.
    #[inline]
    pub fn step<'a>(&'a mut self, at: Timestamp, input: Input<'_>) -> Result<std::vec::Drain<'a, Outgoing>, Error> {
        match self.take(at, input) {
            Ok(()) => Ok(self.outgoing.drain(..)),
            Err(error) => {
                self.life = Life::Stopped;
                Err(error)
            }
        }
    }

    /// Begins before the first input, so that the beginning is durable when this returns: whether a store that failed can be written
    /// again is known only then. What is due at `at` waits for the first step.
    pub fn begin_durably(&mut self, at: Timestamp) -> Result<(), Error> {
        let begun = self.begin(at).and_then(|()| self.persist());
        if begun.is_err() {
            self.life = Life::Stopped;
        }
        begun
    }

    #[inline]
    fn take(&mut self, at: Timestamp, input: Input<'_>) -> Result<(), Error> {
        if planted::has(Bug::SendBeforePersist) {
            // Wrong: what the step before recorded becomes durable only now, and its requests have left.
            self.log.commit()?;
        }
        if self.life != Life::Begun {
            self.begin(at)?;
            self.on_due()?;
        }
        if at != self.now {
            self.advance(at)?;
        }
        match input {
            Input::Market(update) => self.on_market(update)?,
            Input::Exchange(update) => self.on_exchange(update)?,
            Input::Operator(command) => self.on_operator(command)?,
            Input::Ready => self.on_ready()?,
            // What fell due at this very instant, after it began.
            Input::Wake if at >= self.due => self.on_due()?,
            Input::Wake => {}
            Input::Stop { policy, reason } => self.on_stop(policy, reason)?,
            Input::End => self.on_end()?,
        }
        if self.watches_losses {
            self.watch_losses()?;
        }
        if !self.pending.is_empty() {
            self.finish_pending()?;
        }
        if self.recorded.is_empty() { Ok(()) } else { self.persist() }
    }

    /// When the engine wants to be woken although nothing happens.
    #[inline]
    pub fn wake_at(&self) -> Timestamp {
        self.due
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    /// The session was asked to stop, by an operator or by the driver.
    pub fn is_stopping(&self) -> bool {
        self.stop.is_some()
    }

    /// The session was asked to stop and nothing of it is left to wait for: the driver may end it.
    pub fn is_stopped(&self) -> bool {
        self.is_stopping() && !self.has_open_business()
    }

    /// Whether an answer is awaited, or something is open that the way in which the session is stopped shall end.
    pub fn has_open_business(&self) -> bool {
        let policy = self.stop.as_ref().map_or(StopPolicy::Keep, |(policy, _)| *policy);
        let has_orders = || self.state.orders.values().any(|order| self.state.is_ours(&order.client_order_id));
        self.executor.is_busy()
            || (policy != StopPolicy::Keep && has_orders())
            || (policy == StopPolicy::Close && self.account.is_exposed())
    }

    /// Whether the session is booted and knows the account.
    pub fn is_reconciled(&self) -> bool {
        self.reconciler.is_complete && self.state.mode != EngineMode::Booting
    }

    /// The exchange's time of the newest thing about the market that was heard.
    pub fn heard_until(&self) -> Timestamp {
        self.heard_until
    }

    /// Whether a round of the reconciler is under way.
    pub fn is_comparing(&self) -> bool {
        self.reconciler.stage != reconcile::Stage::Idle
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.config.limits
    }

    pub fn account(&self) -> &Account {
        &self.account
    }

    pub fn market(&self) -> &MarketView {
        &self.market
    }

    pub fn performance(&self) -> &Performance {
        &self.performance
    }

    pub fn strategy(&self) -> &S {
        &self.strategy
    }

    pub fn log(&self) -> &L {
        &self.log
    }

    /// For what a driver asks of the log itself: whether another process handed commands in.
    pub fn log_mut(&mut self) -> &mut L {
        &mut self.log
    }

    /// Ends the session and hands back the log and what the run came to.
    pub fn finish(self) -> Finished<L> {
        Finished { log: self.log, state: self.state, account: self.account, performance: self.performance }
    }

    #[inline]
    fn advance(&mut self, at: Timestamp) -> Result<(), Error> {
        if at < self.now {
            return Err(Error::TimeWentBack { from: self.now, to: at });
        }
        if self.is_unobserved {
            self.observe_moves();
        }
        self.now = at;
        self.commands_now = 0;
        if at >= self.due { self.on_due() } else { Ok(()) }
    }

    /// Looks at the equity after everything that moved money at one instant: between a liquidation and what the insurance fund
    /// makes up for, or between a fill and its price, there is none that ever was.
    #[cold]
    fn observe_moves(&mut self) {
        self.is_unobserved = false;
        self.performance.observe_moves(self.now, &self.account);
    }

    /// A day ended, a timer is due, or an order is in doubt.
    #[cold]
    fn on_due(&mut self) -> Result<(), Error> {
        while self.now >= self.day_end {
            self.close_day()?;
        }
        for order in self.executor.due(self.now) {
            self.ask_about(order);
        }
        self.reconcile_due()?;
        self.fire_timers()?;
        self.schedule();
        Ok(())
    }

    /// The first instant of the session, or of its next process.
    #[cold]
    fn begin(&mut self, at: Timestamp) -> Result<(), Error> {
        if self.life == Life::Stopped {
            return Err(Error::Stopped);
        }
        if at < self.now {
            return Err(Error::TimeWentBack { from: self.now, to: at });
        }
        self.life = Life::Begun;
        self.now = at;
        self.executor.begin(at);
        let today = self.now.floor_to(NANOS_PER_DAY);
        // Of the days that passed while nothing ran, only the last midnight is told.
        let passed = self.state.seq > 0 && self.state.at < today;
        self.day_end = if passed { today } else { today.plus(NANOS_PER_DAY) };
        let started = SessionStarted {
            session: self.config.session,
            mode: self.config.mode,
            strategy: self.config.strategy.clone(),
            config: self.config.description.clone(),
        };
        self.record(Source::Bot, None, None, started)?;
        self.record_preface()
    }

    /// A recovered engine has not heard any price yet, so it counts what it holds at cost.
    fn close_day(&mut self) -> Result<(), Error> {
        let day = self.day_end.plus(-NANOS_PER_DAY);
        self.day_end = self.day_end.plus(NANOS_PER_DAY);
        let closed = DayClosed { day, equity: self.account.equity(), wallet: self.account.wallet() };
        self.record(Source::Bot, None, None, closed)
    }

    /// Timers wait while the engine boots: the strategy does not run yet.
    fn fire_timers(&mut self) -> Result<(), Error> {
        while self.state.mode != EngineMode::Booting {
            let timers = self.state.timers.iter().map(|(name, due)| (*due, name));
            let Some((_, name)) = timers.filter(|(due, _)| *due <= self.now).min() else {
                return Ok(());
            };
            let name = name.clone();
            self.record(Source::Bot, None, None, TimerFired { name: name.clone() })?;
            self.call(|strategy, ctx| strategy.on_timer(ctx, &name))?;
        }
        Ok(())
    }

    fn schedule(&mut self) {
        let is_running = self.state.mode != EngineMode::Booting;
        let timer = self.state.timers.values().copied().filter(|_| is_running).min().unwrap_or(Timestamp::MAX);
        self.due = self.day_end.min(timer).min(self.executor.wake_at()).min(self.reconciler.due());
    }

    fn on_ready(&mut self) -> Result<(), Error> {
        if self.state.mode != EngineMode::Booting {
            return Ok(());
        }
        if !self.reconciler.is_on {
            return self.start("the world is ready");
        }
        if std::mem::replace(&mut self.reconciler.is_ready, true) {
            return Ok(());
        }
        self.begin_round(Some("the session began"))
    }

    /// From here on the strategy is called.
    fn start(&mut self, reason: &str) -> Result<(), Error> {
        self.change_mode(self.state.lasting_mode, reason)?;
        if self.reconciler.is_on {
            self.finish_inherited()?;
        }
        self.call(|strategy, ctx| strategy.on_start(ctx))?;
        self.rehearse()?;
        self.fire_timers()?;
        self.schedule();
        Ok(())
    }

    /// Follows the peak of the equity. In a live session what was lost does not wait for an order to be noticed.
    fn watch_losses(&mut self) -> Result<(), Error> {
        if self.state.mode == EngineMode::Booting || !self.account.is_valued() {
            return Ok(());
        }
        self.peak.observe(self.account.equity());
        if !self.reconciler.is_on || self.state.mode != EngineMode::Running {
            return Ok(());
        }
        match risk::losses(&self.config.limits, &self.state, &self.account, &self.peak) {
            Ok(()) => Ok(()),
            Err(refusal) => self.change_mode(EngineMode::Safe, &refusal.to_string()),
        }
    }

    fn on_end(&mut self) -> Result<(), Error> {
        self.call(|strategy, ctx| strategy.on_stop(ctx))?;
        self.observe_moves();
        self.performance.finish(self.now, &self.state, &self.account);
        let reason = self.stop.take().map_or_else(|| "the inputs ended".into(), |(_, reason)| reason);
        self.record(Source::Bot, None, None, SessionStopped { reason })
    }

    fn change_mode(&mut self, to: EngineMode, reason: &str) -> Result<(), Error> {
        let from = self.state.mode;
        if from == to {
            return Ok(());
        }
        self.record(Source::Bot, None, None, EngineModeChanged { from, to, reason: reason.into() })
    }

    /// Calls the strategy and takes what it said.
    #[inline]
    fn call(&mut self, callback: impl FnOnce(&mut S, &mut Context<'_>)) -> Result<(), Error> {
        self.ask(callback);
        if self.outbox.is_empty() { Ok(()) } else { self.take_commands() }
    }

    /// Calls the strategy and leaves what it says in the outbox. While the engine boots it is not called: what happens until
    /// it starts, it finds in its context.
    #[inline]
    fn ask(&mut self, callback: impl FnOnce(&mut S, &mut Context<'_>)) {
        if self.state.mode == EngineMode::Booting {
            return;
        }
        let mut context = Context {
            now: self.now,
            mode: self.config.mode,
            instruments: &self.config.instruments,
            state: &self.state,
            account: &self.account,
            market: &self.market,
            outbox: &mut self.outbox,
        };
        callback(&mut self.strategy, &mut context);
    }

    /// Gives an event its number, folds it in and keeps it for the log.
    fn record(
        &mut self,
        source: Source,
        command: Option<CommandId>,
        symbol: Option<SymbolId>,
        event: impl Into<Event>,
    ) -> Result<(), Error> {
        let recorded = Recorded {
            seq: self.state.seq + 1,
            at: self.now,
            source,
            command,
            causation: self.recorded.last().map_or(0, |cause| cause.seq),
            symbol,
            event: event.into(),
        };
        self.state.apply(&recorded)?;
        self.performance.fold(&recorded, &self.state);
        self.reconciler.watch(&recorded);
        for pending in &mut self.pending {
            pending.hear(&recorded);
        }
        self.recorded.push(recorded);
        Ok(())
    }

    /// Where a fact of the exchange was heard.
    fn heard(&self, stream: bool) -> Source {
        match (self.config.mode, stream) {
            (Mode::Backtest, _) => Source::Sim,
            (_, true) => Source::Websocket,
            (_, false) => Source::Rest,
        }
    }

    fn persist(&mut self) -> Result<(), Error> {
        // Before the answer that it was done, so that who reads the answer finds it done.
        if std::mem::take(&mut self.rebuild) {
            self.log.rebuild_projections()?;
        }
        self.log.append(&self.recorded)?;
        self.recorded.clear();
        if self.config.commit_each_step && !planted::has(Bug::SendBeforePersist) {
            self.log.commit()?;
        }
        Ok(())
    }
}

/// What is left when a session is over.
pub struct Finished<L> {
    pub log: L,
    pub state: State,
    pub account: Account,
    pub performance: Performance,
}
