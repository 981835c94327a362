//! The Runner drives a trader with real sockets: it waits for what arrives or is due, writes it to the tape, hands it to the trader
//! and carries out what the trader says. It decides nothing about trading.

use std::time::Duration;

use alphaengine_core::command::{OperatorCommand, OperatorOrder, StopPolicy};
use alphaengine_core::engine;
use alphaengine_core::event::StoreRecovered;
use alphaengine_core::link::LinkUpdate;
use alphaengine_core::market::SymbolId;
use alphaengine_core::mode::EngineMode;
use alphaengine_core::state::StoreLoss;
use alphaengine_core::store::SqliteStore;
use alphaengine_core::strategy::Strategy;
use alphaengine_core::units::{NANOS_PER_MILLI, NANOS_PER_SECOND, Nanos, Timestamp};

use crate::bot::News;
use crate::clock::{deadline, instant, now};
use crate::driver::{Arrival, Driver, Inbox, Received, Stop};
use crate::service::ServiceManager;
use crate::status::{self, Status};
use crate::stepper::Stepper;
use crate::tape::Recorder;
use crate::trader::{Factory, Trader};
use crate::wire::Effect;

/// How often the store is asked for operators' commands.
const ASK_OPERATORS_EVERY: Nanos = 200 * NANOS_PER_MILLI;
const SHOW_STATUS_EVERY: Nanos = NANOS_PER_SECOND;
/// A boot that takes longer is told of, again and again.
const BOOT_WITHIN: Nanos = 10 * NANOS_PER_SECOND;
/// A stop that was asked for ends after this, whatever is still open.
const STOP_WITHIN: Nanos = 8 * NANOS_PER_SECOND;

/// Then this long for what was said last: a dead man's switch that is taken back, or orders that were to stay are cancelled.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a runner needs beside the trader.
pub struct Parts {
    pub driver: Driver,
    pub inbox: Inbox,
    pub recorder: Option<Recorder>,
    pub stepper: Option<Stepper>,
    pub service: ServiceManager,
    pub status: Status,
    pub on_stop: StopPolicy,
    /// Set on every symbol when the engine first runs, where given.
    pub leverage: Option<u32>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// In order: on a signal, or because a stepped exchange has no more data.
    InOrder,
    /// Asked twice: at once.
    AtOnce,
}

/// Why a run ended out of order.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Engine(#[from] engine::Error),
    #[error("the network's threads ended, which is a defect")]
    DriverGone,
}

/// A trader at work.
pub struct Runner<F: Factory> {
    trader: Trader<F>,
    parts: Parts,
    /// When a stop must be over; `None` while none was asked for.
    stop_by: Option<Timestamp>,
    operators_due: Timestamp,
    status_due: Timestamp,
    /// When it is said that the boot is not over.
    boot_due: Timestamp,
    is_running: bool,
    /// As it was last logged.
    mode: EngineMode,
    /// What the log said of the store: `None` while all is well, otherwise whether it is being tried again.
    told_distrust: Option<bool>,
}

impl<F: Factory<Log = SqliteStore>> Runner<F> {
    pub fn new(trader: Trader<F>, parts: Parts) -> Runner<F> {
        Runner {
            trader,
            parts,
            stop_by: None,
            operators_due: Timestamp::MIN,
            status_due: Timestamp::MIN,
            boot_due: Timestamp::MAX,
            is_running: false,
            mode: EngineMode::Booting,
            told_distrust: None,
        }
    }

    /// Runs until it is asked to stop. Hands the trader back, also when it failed.
    pub fn run(mut self) -> (Trader<F>, Result<Ended, Error>) {
        let ended = self.work();
        if let Some(recorder) = &mut self.parts.recorder {
            recorder.flush();
        }
        self.parts.status.clear();
        if matches!(ended, Ok(Ended::InOrder)) {
            self.parts.driver.farewell(FAREWELL);
        }
        (self.trader, ended)
    }

    fn work(&mut self) -> Result<Ended, Error> {
        let at = now();
        self.boot_due = at.plus(BOOT_WITHIN);
        self.trader.start(at)?;
        self.carry_out();
        loop {
            let now = now();
            if self.trader.wake_at() <= now {
                self.hear(now, News::Wake)?;
            }
            if let Some(ended) = self.look_around(now)? {
                return Ok(ended);
            }
            let due = self.trader.wake_at().min(self.operators_due).min(self.status_due);
            match self.parts.inbox.recv_until(deadline(now, due)) {
                Received::Arrival(at, arrival) => {
                    if let Some(ended) = self.take(at, arrival)? {
                        return Ok(ended);
                    }
                }
                Received::Deadline => {}
                Received::Gone => return Err(Error::DriverGone),
            }
        }
    }

    fn take(&mut self, at: Timestamp, arrival: Arrival) -> Result<Option<Ended>, Error> {
        match arrival {
            Arrival::Http { id, answer } => {
                if let Some(stepper) = &mut self.parts.stepper
                    && stepper.is_own(id)
                {
                    stepper.answered(answer);
                } else {
                    if let Some(stepper) = &mut self.parts.stepper {
                        stepper.http_answered();
                    }
                    self.hear(at, News::Http { id, answer })?;
                }
            }
            Arrival::Opened { socket } => self.hear(at, News::Opened { socket })?,
            Arrival::Frame { socket, text } => {
                if let Some(stepper) = &mut self.parts.stepper {
                    stepper.frame_received(socket);
                }
                self.hear(at, News::Frame { socket, text: &text })?;
            }
            Arrival::Closed { socket, why } => self.hear(at, News::Closed { socket, why: &why })?,
            Arrival::Conflated { left_out } => self.hear(at, News::Link(LinkUpdate::Conflated { left_out }))?,
            Arrival::Signal(Stop::InOrder) => self.begin_stop(at)?,
            Arrival::Signal(Stop::AtOnce) => return Ok(Some(Ended::AtOnce)),
        }
        Ok(None)
    }

    /// What is due between arrivals: operators, the status line, the watchdog, the end of a stop, the next step.
    fn look_around(&mut self, now: Timestamp) -> Result<Option<Ended>, Error> {
        if now >= self.operators_due {
            self.operators_due = now.plus(ASK_OPERATORS_EVERY);
            self.take_operators(now)?;
        }
        if now >= self.status_due {
            self.status_due = now.plus(SHOW_STATUS_EVERY);
            self.parts.service.pet(instant());
            let trader = &self.trader;
            self.parts.status.show(|| status::line(trader));
            self.parts.service.status(&status::line(trader));
            if let Some(recorder) = &mut self.parts.recorder {
                recorder.flush();
            }
        }
        if self.stop_by.is_none() && self.trader.is_stopping() {
            self.expect_stop(now);
        }
        if let Some(by) = self.stop_by {
            if now >= by || self.trader.is_stopped() {
                self.hear(now, News::End)?;
                return Ok(Some(Ended::InOrder));
            }
            return Ok(None);
        }
        let is_running = self.trader.engine().state().mode != EngineMode::Booting;
        if is_running && !std::mem::replace(&mut self.is_running, true) {
            self.first_running(now)?;
        }
        if !is_running && now >= self.boot_due {
            self.boot_due = now.plus(BOOT_WITHIN);
            let state = status::line(&self.trader);
            tracing::warn!(state, "not trading yet: it waits for the streams, for bars or for what the account holds");
        }
        if let Some(stepper) = &mut self.parts.stepper {
            if stepper.is_done() {
                self.begin_stop(now)?;
            } else if is_running && let Some(request) = stepper.next_step() {
                let _ = self.parts.driver.carry_out(Effect::Http(request));
            }
        }
        Ok(None)
    }

    /// Everything is connected and reconciled: the strategy runs.
    fn first_running(&mut self, now: Timestamp) -> Result<(), Error> {
        self.parts.service.ready();
        tracing::info!("reconciled with the exchange; the strategy runs");
        self.tell_warm_up();
        let Some(leverage) = self.parts.leverage else { return Ok(()) };
        let state = self.trader.engine().state();
        let (session, symbols) = (state.session, state.symbols.len());
        for symbol in (0..symbols).map(|index| SymbolId(index as u16)) {
            let key = format!("start-{session}-leverage-{}", symbol.0);
            let order = OperatorOrder::SetLeverage { symbol, leverage };
            self.hear(now, News::Operator(&OperatorCommand { key, who: "--leverage".into(), order }))?;
        }
        Ok(())
    }

    /// A backtest refuses to run with too few bars. Live they come with time.
    fn tell_warm_up(&self) {
        let engine = self.trader.engine();
        let wanted = engine.strategy().warm_up() as u64;
        for symbol in (0..engine.state().symbols.len()).map(|index| SymbolId(index as u16)) {
            let (name, heard) = (engine.state().symbol_name(symbol), engine.market().bars_heard(symbol));
            // The strategy decides at the end of a bar: with the one that is open there are enough.
            if heard + 1 < wanted {
                tracing::warn!(
                    symbol = name,
                    heard,
                    wanted,
                    "the exchange has fewer bars than the strategy warms up with"
                );
            }
        }
    }

    fn take_operators(&mut self, now: Timestamp) -> Result<(), Error> {
        let claimed = match self.trader.store_mut().map(SqliteStore::claim) {
            // The inbox is in the store: without it, only a signal reaches the bot.
            None => return Ok(()),
            Some(Ok(claimed)) => claimed,
            Some(Err(problem)) => {
                let outlived = self.trader.distrust(now, problem);
                self.tell_distrust();
                self.carry_out();
                return Ok(outlived?);
            }
        };
        for command in claimed {
            tracing::info!(who = command.who, order = command.order.name(), "operator's command");
            self.hear(now, News::Operator(&command))?;
        }
        Ok(())
    }

    fn begin_stop(&mut self, at: Timestamp) -> Result<(), Error> {
        if self.stop_by.is_some() {
            return Ok(());
        }
        self.expect_stop(at);
        self.hear(at, News::Stop(self.parts.on_stop))
    }

    fn expect_stop(&mut self, at: Timestamp) {
        tracing::info!("stopping in order; a second signal stops at once");
        self.parts.service.stopping();
        self.stop_by = Some(at.plus(STOP_WITHIN));
    }

    fn hear(&mut self, at: Timestamp, news: News<'_>) -> Result<(), Error> {
        if let Some(recorder) = &mut self.parts.recorder {
            recorder.write(at, &news);
            if let Some(problem) = recorder.problem() {
                tracing::error!(%problem, "the tape cannot be written and ends here; trading goes on");
                self.parts.recorder = None;
            }
        }
        let heard = self.trader.hear(at, news);
        self.trader.links().iter().for_each(tell_link);
        self.tell_distrust();
        self.tell_mode();
        self.carry_out();
        Ok(heard?)
    }

    /// Says once what happened to the store, what still works and what to do; and when it is over.
    fn tell_distrust(&mut self) {
        let is_new = self.told_distrust.is_none();
        match self.trader.last_resort() {
            None if is_new => return,
            None => {
                self.told_distrust = None;
                tracing::info!("the store is open again; comparing with the exchange, then trading goes on");
                return;
            }
            Some(distrust) => {
                let is_tried = distrust.retry_at < Timestamp::MAX;
                if self.told_distrust.replace(is_tried) == Some(is_tried) {
                    return;
                }
                let (problem, hint) = (&distrust.newest, distrust.hint.unwrap_or("look at the disk"));
                if is_tried {
                    tracing::error!(
                        %problem,
                        hint,
                        "the event store failed: nothing opens, only cancels and closes leave, operators' commands do not arrive; \
                         SIGTERM with --on-stop works. The store is tried again and again, and when it can be opened trading goes on"
                    );
                } else {
                    tracing::error!(
                        %problem,
                        hint,
                        "the event store cannot be opened and is not tried again: only cancels and closes leave; stop the bot"
                    );
                }
            }
        }
        if is_new {
            if self.stop_by.is_some() {
                // What was cancelled and closed so far has to be found out anew.
                self.stop_by = Some(now().plus(STOP_WITHIN));
            }
            if let Some(mut recorder) = self.parts.recorder.take() {
                recorder.flush();
                tracing::warn!("the tape ends here: it is of the time with the store");
            }
        }
    }

    fn tell_mode(&mut self) {
        let mode = self.trader.engine().state().mode;
        match std::mem::replace(&mut self.mode, mode) {
            was if was == mode => {}
            // Why it is safe then, is said already.
            _ if mode == EngineMode::Safe && self.trader.is_distrusting().is_some() => {}
            _ if mode == EngineMode::Safe => {
                tracing::error!("SAFE: only cancels and closes leave until an operator says resume")
            }
            _ if mode == EngineMode::Paused => {
                tracing::warn!("PAUSED: only cancels and closes leave until an operator says resume")
            }
            EngineMode::Safe | EngineMode::Paused if mode == EngineMode::Running => tracing::info!("RUNNING again"),
            _ => {}
        }
    }

    fn carry_out(&mut self) {
        for effect in self.trader.effects() {
            if let Some(stepper) = &mut self.parts.stepper {
                stepper.sends(&effect);
            }
            // The trader keeps timers and inputs to itself.
            let _ = self.parts.driver.carry_out(effect);
        }
    }
}

/// Says that a damaged store was salvaged.
pub fn tell_recovery(recovered: &StoreRecovered) {
    let StoreRecovered { problem, kept_until_seq, moved_to, .. } = recovered;
    tracing::error!(
        %problem,
        kept_until = kept_until_seq,
        %moved_to,
        "the event store was damaged and was made anew from what is in order"
    );
}

/// Says what is lost, and what becomes of it.
pub fn tell_loss(lost: &StoreLoss) {
    tracing::error!(
        "{lost}: fetching from the exchange what it knows; then SAFE, only cancels and closes leave, until somebody has looked \
         and says `alphaengine command resume`"
    );
}

/// Says in the log what an operator at the terminal would want to know about the way to the exchange.
fn tell_link(link: &LinkUpdate) {
    match link {
        LinkUpdate::StreamUp { route } => tracing::info!(route = route.name(), "the streams deliver"),
        LinkUpdate::StreamDown { route, reason } => {
            tracing::warn!(route = route.name(), %reason, "the streams are down, nothing opens until they are back; connecting again");
        }
        LinkUpdate::StreamReplaced { route } => tracing::info!(route = route.name(), "the connection was renewed"),
        LinkUpdate::Late { route, millis } => {
            tracing::warn!(
                route = route.name(),
                millis,
                "the data arrive late, nothing opens until they are on time; check the network and this machine's load"
            );
        }
        LinkUpdate::OnTime { route } => tracing::info!(route = route.name(), "the data are on time again"),
        LinkUpdate::ListenKeyExpired => tracing::warn!("the listen key expired; another one is fetched"),
        LinkUpdate::ClockStepped { from_ms, to_ms } => {
            tracing::warn!(
                from_ms,
                to_ms,
                "the exchange's clock, seen from ours, stepped; check this machine's time service"
            );
        }
        LinkUpdate::RateLimited { status, until } => {
            tracing::warn!(status, %until, "the exchange's limits are used up, requests wait");
        }
        LinkUpdate::RateLimitOver => tracing::info!("requests leave again"),
        LinkUpdate::Conflated { left_out } => {
            tracing::warn!(left_out, "market data came too fast; only the newest was kept")
        }
        LinkUpdate::AccessLost { code, message } => {
            tracing::error!(code, said = %message, "the exchange refuses the key; nothing opens; check the key, its permissions and its IP list");
        }
    }
}
