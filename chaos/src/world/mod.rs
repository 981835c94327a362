//! The World: one clock, one heap, a bot, an exchange, and between them a wire and a disk that break as a plan says.
//!
//! At one time things happen in this order: what arrives, the exchange's own business, the bot's alarms, the market's first half
//! (the exchange trades), everything that follows from it, and the market's second half (the public is told). With no delays that
//! is the order of a backtest.

mod aftermath;
mod agenda;
mod delays;
mod log;
mod maker;
mod meter;
mod mishap;
mod opening;
mod process;
mod quiet;
mod trace;
mod venue;
mod wire;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alphaengine_core::market::MarketUpdate;
use alphaengine_core::strategy::Strategy;
use alphaengine_core::units::{NANOS_PER_SECOND, Timestamp};
use alphaengine_live::binance::ApiKey;
use alphaengine_sim::auditor::{Auditor, Invariant, Rules, Seen};
use alphaengine_sim::faults::{DiskFile, DiskOp, Fault, FaultPlan, Faults};
use alphaengine_sim::gateway::{Gateway, GatewayConfig};

use self::agenda::{Agenda, Happening};
use self::delays::Delays;
use self::log::Watch;
use self::meter::Meter;
use self::process::Process;
use self::trace::Trace;
use self::venue::Venue;
use crate::disk::{DiskFaults, SimDisk};
use crate::error::Error;
use crate::report::RunReport;
use crate::scenario::{RunOptions, Scenario};

const MOST_WAKES_AT_ONCE: u32 = 1_000;
const KEY: &str = "key";
const SECRET: &str = "secret";

/// Runs a strategy through a scenario while a plan goes wrong. One run at a time in a process: SQLite's file system is the process's.
///
/// # Errors
/// When the scenario cannot be played at all.
pub fn run<S: Strategy>(scenario: &Scenario, plan: &FaultPlan, options: &RunOptions) -> Result<RunReport, Error> {
    Ok(World::<S>::new(scenario, plan, options)?.run())
}

/// A plan under way, shared with the disk.
#[derive(Debug, Clone)]
struct SharedFaults {
    faults: Arc<Mutex<Faults>>,
    /// A sync said yes and made nothing durable.
    lied: Arc<AtomicBool>,
}

impl SharedFaults {
    fn new(plan: FaultPlan) -> SharedFaults {
        SharedFaults { faults: Arc::new(Mutex::new(Faults::new(plan))), lied: Arc::default() }
    }

    /// For a disk.
    fn in_force(&self) -> Option<Box<dyn DiskFaults>> {
        Some(Box::new(self.clone()))
    }

    fn lock(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DiskFaults for SharedFaults {
    fn on(&mut self, op: DiskOp, file: DiskFile) -> Vec<Fault> {
        let due = self.lock().on_disk(op, file);
        if due.contains(&Fault::LyingSync) {
            self.lied.store(true, Ordering::Relaxed);
        }
        due
    }
}

/// Where a run is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The market runs and the plan is in force.
    Faults,
    /// Nothing goes wrong any more since this time; bot and exchange must come to agree.
    Quiet(Timestamp),
    /// The strategy was told to stop, since this time.
    Stopping(Timestamp),
    Over,
}

struct World<'a, S: Strategy> {
    scenario: &'a Scenario,
    options: RunOptions,
    key: ApiKey,
    now: Timestamp,
    opening: Timestamp,
    agenda: Agenda,
    faults: SharedFaults,
    delays: Delays,
    disk: SimDisk,
    venue: Venue,
    process: Process<'a, S>,
    watch: Rc<RefCell<Watch>>,
    auditor: Auditor,
    meter: Meter,
    trace: Trace,
    /// The next update of the scenario's market.
    next_update: usize,
    /// The updates of this instant that the exchange has seen and the public has not.
    untold: Vec<MarketUpdate>,
    phase: Phase,
    steps: u64,
    woken_at: Timestamp,
    wakes_now: u32,
    /// The disk lost or changed what it had acknowledged, or may still: a sync that lied, a bit that flipped, an old copy.
    disk_lied: bool,
    /// The store was proven after the last fault.
    is_proven: bool,
    /// How far the exchange's clock is ahead of the true one.
    clock_shift_ms: i64,
}

impl<'a, S: Strategy> World<'a, S> {
    fn new(scenario: &'a Scenario, plan: &FaultPlan, options: &RunOptions) -> Result<World<'a, S>, Error> {
        let opening = scenario.market.first().ok_or(Error::NoMarket)?.at;
        if let Some(pair) = scenario.market.windows(2).find(|pair| pair[1].at < pair[0].at) {
            return Err(Error::TimeWentBack(pair[1].at));
        }
        S::new(&scenario.params, &scenario.instruments).map_err(Error::Strategy)?;
        let signer =
            alphaengine_live::binance::Signer::hmac(SECRET).map_err(|error| Error::Session(error.to_string()))?;
        let config = GatewayConfig {
            key: KEY.into(),
            secret: Some(SECRET.into()),
            strict_routes: true,
            ..GatewayConfig::default()
        };
        let rules = Rules {
            instruments: scenario.instruments.clone(),
            recv_window: maker::RECV_WINDOW,
            weight_per_minute: config.weight_per_minute,
            orders_per_10s: config.orders_per_10s,
            orders_per_minute: config.orders_per_minute,
            limits: scenario.limits,
            converge_within: scenario.converge_within,
            opening_wallet: scenario.sim.cash,
        };
        let mut gateway = Gateway::new(config, scenario.sim.clone(), &scenario.instruments);
        scenario.history.iter().for_each(|update| gateway.history(update));
        let disk = SimDisk::get();
        disk.begin_run(options.seed);
        let faults = SharedFaults::new(plan.clone());
        disk.set_faults(faults.in_force());
        Ok(World {
            scenario,
            options: *options,
            key: ApiKey { id: KEY.into(), signer },
            now: opening,
            opening,
            agenda: Agenda::default(),
            faults,
            delays: Delays::new(options.seed, options.instant),
            disk,
            venue: Venue::new(gateway),
            process: Process::down(opening),
            watch: Rc::default(),
            auditor: Auditor::new(rules),
            meter: Meter::new(scenario.sim.cash, opening),
            trace: Trace::new(options.trace, opening),
            next_update: 0,
            untold: Vec::new(),
            phase: Phase::Faults,
            steps: 0,
            woken_at: Timestamp::MIN,
            wakes_now: 0,
            disk_lied: false,
            is_proven: false,
            clock_shift_ms: 0,
        })
    }

    fn run(mut self) -> RunReport {
        self.agenda.put(self.opening, Happening::Begin);
        if !self.options.instant {
            self.agenda.put(self.opening.plus(NANOS_PER_SECOND), Happening::Second);
        }
        self.expect_moment();
        while self.phase != Phase::Over && self.options.until.is_none_or(|until| self.steps < until) {
            self.happen_next();
        }
        self.report()
    }

    /// Lets the next thing happen.
    fn happen_next(&mut self) {
        let arrival = self.agenda.next_at();
        let tick = self.venue.gateway.next_tick().max(self.now);
        let wake = self.process.wake_at().max(self.now);
        let market = self.market_at();
        let at = arrival.min(tick).min(wake).min(market);
        if at == Timestamp::MAX {
            self.phase = Phase::Over;
            return;
        }
        self.now = self.now.max(at);
        self.disk.set_time(self.now);
        self.watch.borrow_mut().now = self.now;
        if !self.options.instant {
            self.venue.gateway.market_time_is(self.now);
        }
        if arrival <= at {
            if let Some(what) = self.agenda.take() {
                self.happen(what);
            }
        } else if tick <= at {
            self.venue.gateway.tick(self.now);
            self.flush_frames();
        } else if wake <= at {
            self.wake();
            self.count_wakes();
        } else {
            self.market_goes_on();
        }
    }

    /// A bot that wants to be woken again and again at one time makes no headway.
    fn count_wakes(&mut self) {
        self.wakes_now = if self.woken_at == self.now { self.wakes_now + 1 } else { 0 };
        self.woken_at = self.now;
        if self.wakes_now > MOST_WAKES_AT_ONCE {
            let sentence = || format!("the bot was woken {MOST_WAKES_AT_ONCE} times at one moment and wants more");
            self.auditor.check(Invariant::I22, self.now, self.steps, false, sentence);
            self.phase = Phase::Over;
        }
    }

    /// When the market's next half is due.
    fn market_at(&self) -> Timestamp {
        if !self.untold.is_empty() {
            return self.now;
        }
        // A backtest's market waits until its strategy is there.
        if self.options.instant && !self.process.was_ready {
            return Timestamp::MAX;
        }
        self.scenario.market.get(self.next_update).map_or(Timestamp::MAX, |update| update.at.max(self.now))
    }

    /// One half of an instant of the market.
    fn market_goes_on(&mut self) {
        let (now, market) = (self.now, &self.scenario.market);
        if self.untold.is_empty() {
            let instant = market[self.next_update].at;
            while let Some(update) = market.get(self.next_update).filter(|update| update.at == instant) {
                self.next_update += 1;
                self.auditor.see(now, self.steps, Seen::Market(update));
                self.venue.gateway.market_moves(now, update);
                self.untold.push(*update);
                // Where nothing takes any time, each update is answered before the next one, as in a backtest.
                if self.options.instant {
                    break;
                }
            }
            self.meter.moved(&self.venue.gateway);
        } else {
            for update in std::mem::take(&mut self.untold) {
                self.venue.gateway.market_is_told(now, &update);
            }
            if self.next_update == market.len() {
                self.flush_frames();
                return self.end_faults();
            }
        }
        self.flush_frames();
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Request { life, request, deadline, is_given_up, faults } => {
                self.request_arrives(life, *request, deadline, is_given_up, &faults);
            }
            Happening::Answer { life, id, answer } => self.answer_arrives(life, id, answer),
            Happening::Connect { life, socket, url, faults } => self.connect_arrives(life, socket, &url, &faults),
            Happening::Opened { life, socket } => self.opened(life, socket),
            Happening::Closed { life, socket, why } => self.closed(life, socket, &why),
            Happening::Frame { life, socket, text } => self.frame_arrives(life, socket, &text),
            Happening::Text { connection, text } => {
                let is_heard = self.venue.connections.get(&connection).is_some_and(|known| !known.is_silent);
                if is_heard {
                    self.venue.gateway.text(self.now, connection, &text);
                    self.flush_frames();
                }
            }
            Happening::Pong { connection } => {
                if self.venue.connections.get(&connection).is_some_and(|known| !known.is_silent) {
                    self.venue.gateway.pong(self.now, connection);
                }
            }
            Happening::HangUp { connection } => {
                if self.venue.connections.get(&connection).is_none_or(|known| !known.is_silent) {
                    self.venue.drop_connection(connection);
                    self.flush_frames();
                }
            }
            Happening::Begin => self.begin_process(),
            Happening::Moment => self.moment(),
            Happening::Second => self.second(),
            Happening::ReaderLeaves => self.process.reader = None,
        }
    }

    /// What the plan has for this moment.
    fn moment(&mut self) {
        let due = self.faults.lock().at(self.now.since(self.opening));
        due.iter().for_each(|fault| self.mishap(fault));
        self.expect_moment();
    }

    fn expect_moment(&mut self) {
        let next = self.faults.lock().next_at();
        if let Some(next) = next {
            self.agenda.put(self.opening.plus(next).max(self.now), Happening::Moment);
        }
    }

    /// Marks and quotes are told each second although nothing moves.
    fn second(&mut self) {
        self.auditor.see(self.now, self.steps, Seen::MarketStands);
        self.venue.gateway.market_stands(self.now, self.now);
        self.flush_frames();
        self.look_for_quiet();
        if self.phase != Phase::Over {
            self.agenda.put(self.now.plus(NANOS_PER_SECOND), Happening::Second);
        }
    }

    /// Whether what the disk acknowledged may be gone or changed, through no fault of who writes.
    fn is_disk_doubtful(&self) -> bool {
        self.disk_lied || self.faults.lied.load(Ordering::Relaxed)
    }

    fn report(mut self) -> RunReport {
        self.disk.set_faults(None);
        // Before the end, which is not a part of what two runs must have in common.
        let trace_hash = self.trace.hash(&self.disk.hash());
        let store = if self.options.keep_store { self.end_in_order() } else { None };
        self.process.kill(&self.disk);
        let fired = self.faults.lock().fired().clone();
        let effect = self.meter.effect(self.now, &self.venue.gateway);
        RunReport {
            steps: self.steps,
            simulated: self.now.since(self.opening),
            trace_hash,
            fired,
            checks: self.auditor.checks().clone(),
            violations: self.auditor.violations().to_vec(),
            effect,
            orders: self.meter.take_orders(),
            trace: self.trace.into_lines(),
            store,
        }
    }
}
