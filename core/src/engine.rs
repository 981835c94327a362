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
mod exchange;
mod market;

use crate::account::Account;
use crate::context::{Context, Outbox};
use crate::event::{
    DayClosed, EngineMode, EngineModeChanged, Event, Mode, Recorded, SessionStarted, SessionStopped, Source, TimerFired,
};
use crate::exchange::{Input, Outgoing};
use crate::executor::Executor;
use crate::id::{Asset, CommandId, SessionId};
use crate::instrument::Instruments;
use crate::market::{Bar, SymbolId, Timeframe};
use crate::market_view::MarketView;
use crate::performance::Performance;
use crate::risk::Limits;
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
    /// Commands since `now` last changed, to stop a strategy that never stops.
    commands_now: u32,
}

/// More commands than this at one instant are a strategy that answers itself.
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
        let mut last = Timestamp::MIN;
        for recorded in tail {
            let recorded = recorded?;
            last = last.max(recorded.at);
            state.apply(&recorded)?;
        }
        let mut engine = Engine::with_state(config, strategy, log, state);
        engine.now = last;
        for symbol in 0..engine.config.instruments.len() {
            engine.account.refresh(&engine.state, Some(SymbolId(symbol as u16)));
        }
        for order in engine.state.orders.values() {
            let unanswered = order.order_id == 0
                || engine.state.cancels.contains(&order.client_order_id)
                || engine.state.modifies.contains(&order.client_order_id);
            if unanswered {
                engine.executor.doubt(order.client_order_id, order.requested_at, last.max(order.requested_at));
            }
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
        let outbox = Outbox { session: config.session, orders_given: state.orders_given, ..Outbox::default() };
        Engine {
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
            commands_now: 0,
        }
    }

    /// Takes one input and returns the requests that it led to. What they rest on is in the log when this returns.
    #[inline]
    pub fn step<'a>(&'a mut self, at: Timestamp, input: Input<'_>) -> Result<std::vec::Drain<'a, Outgoing>, Error> {
        if at != self.now {
            self.advance(at)?;
        }
        match input {
            Input::Market(update) => self.on_market(update)?,
            Input::Exchange(update) => self.on_exchange(update)?,
            Input::Operator(command) => self.on_operator(command)?,
            Input::Ready => self.on_ready()?,
            Input::Wake => {}
            Input::End => self.on_end()?,
        }
        if !self.recorded.is_empty() {
            self.persist()?;
        }
        Ok(self.outgoing.drain(..))
    }

    /// When the engine wants to be woken although nothing happens.
    #[inline]
    pub fn wake_at(&self) -> Timestamp {
        self.due
    }

    pub fn state(&self) -> &State {
        &self.state
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

    /// Ends the session and hands back the log and what the run came to.
    pub fn finish(self) -> Finished<L> {
        Finished { log: self.log, state: self.state, account: self.account, performance: self.performance }
    }

    #[inline]
    fn advance(&mut self, at: Timestamp) -> Result<(), Error> {
        if at < self.now {
            return Err(Error::TimeWentBack { from: self.now, to: at });
        }
        self.now = at;
        self.commands_now = 0;
        if at >= self.due { self.on_due() } else { Ok(()) }
    }

    /// A day ended, a timer is due, or an order is in doubt.
    #[cold]
    fn on_due(&mut self) -> Result<(), Error> {
        if self.state.session != self.config.session || self.state.seq == 0 {
            self.begin()?;
        }
        while self.now >= self.day_end {
            self.close_day()?;
        }
        for order in self.executor.due(self.now) {
            self.ask_about(order);
        }
        self.fire_timers()?;
        self.schedule();
        Ok(())
    }

    /// The session's first instant.
    fn begin(&mut self) -> Result<(), Error> {
        self.day_end = self.now.floor_to(NANOS_PER_DAY).plus(NANOS_PER_DAY);
        let started = SessionStarted {
            session: self.config.session,
            mode: self.config.mode,
            strategy: self.config.strategy.clone(),
            config: self.config.description.clone(),
        };
        self.record(Source::Bot, None, None, started)
    }

    fn close_day(&mut self) -> Result<(), Error> {
        if self.day_end == Timestamp::MIN {
            // A recovered session begins in the middle of a day.
            self.day_end = self.now.floor_to(NANOS_PER_DAY).plus(NANOS_PER_DAY);
            return Ok(());
        }
        let day = self.day_end.plus(-NANOS_PER_DAY);
        self.day_end = self.day_end.plus(NANOS_PER_DAY);
        let closed = DayClosed { day, equity: self.account.equity(), wallet: self.account.wallet() };
        self.record(Source::Bot, None, None, closed)
    }

    fn fire_timers(&mut self) -> Result<(), Error> {
        loop {
            let timers = self.state.timers.iter().map(|(name, due)| (*due, name));
            let Some((_, name)) = timers.filter(|(due, _)| *due <= self.now).min() else {
                return Ok(());
            };
            let name = name.clone();
            self.record(Source::Bot, None, None, TimerFired { name: name.clone() })?;
            self.call(|strategy, ctx| strategy.on_timer(ctx, &name))?;
        }
    }

    fn schedule(&mut self) {
        let timer = self.state.timers.values().copied().min().unwrap_or(Timestamp::MAX);
        self.due = self.day_end.min(timer).min(self.executor.wake_at());
    }

    fn on_ready(&mut self) -> Result<(), Error> {
        if self.state.mode == EngineMode::Booting {
            self.change_mode(self.state.lasting_mode, "the world is ready")?;
            self.call(|strategy, ctx| strategy.on_start(ctx))?;
        }
        Ok(())
    }

    fn on_end(&mut self) -> Result<(), Error> {
        self.call(|strategy, ctx| strategy.on_stop(ctx))?;
        self.performance.finish(self.now, &self.state, &self.account);
        self.record(Source::Bot, None, None, SessionStopped { reason: "the inputs ended".into() })
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
        if self.outbox.is_empty() { Ok(()) } else { self.take_commands() }
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
        self.log.append(&self.recorded)?;
        self.recorded.clear();
        if self.config.commit_each_step {
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
