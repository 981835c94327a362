//! A backtest: data, a simulated exchange and the engine, put together and run to the end.

mod data;
mod job;
mod options;
mod outcome;
mod scene;
mod session;

pub use data::{DataArg, no_data};
pub use job::Job;
pub use options::{Costs, Options, SceneOptions, StoreChoice, Window};
pub use outcome::Outcome;
pub use scene::Scene;
pub use session::{digest, session_id};

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use alphaengine_core::engine::{self, Engine, Finished};
use alphaengine_core::mode::Mode;
use alphaengine_core::report::Report;
use alphaengine_core::store::{self, Encoder, EventLog, MemoryLog, NoLog, Scope, SqliteStore, hex};
use alphaengine_core::strategy::Strategy;
use alphaengine_core::units::Timestamp;
use alphaengine_datasets::Tape;
use alphaengine_sim::SimWorld;

use crate::error::Error;
use crate::runs::{self, store_error};
use crate::writer::{FileWriter, RunLog};
use outcome::{Figures, Timing};

/// Runs a job to its end. What it wrote is removed if it cannot end.
pub fn run_job<S: Strategy>(job: Job) -> Result<Outcome, Error> {
    let begun = Instant::now();
    let strategy = S::new(&job.params, &job.scene.instruments).map_err(Error::new)?;
    if job.scene.options.hedge && !strategy.knows_hedge_mode() {
        let problem =
            format!("option --hedge: {} trades one position a symbol, not a long and a short one", job.strategy);
        return Err(Error::new(problem).hint("leave --hedge out; a strategy that names position sides says so itself"));
    }
    let tape = job.scene.open_data()?;
    let (log, path) = job.open_log()?;
    let mut world = SimWorld::new(job.scene.sim.clone(), &job.scene.instruments, tape);
    let mut engine = Engine::new(job.engine_config(), strategy, log);
    let load = begun.elapsed();

    let begun = Instant::now();
    let ran = run(&mut engine, &mut world).and_then(|inputs| {
        job.check_enough(&engine, inputs)?;
        Ok(inputs)
    });
    let run = begun.elapsed();
    let finished = engine.finish();
    let inputs = match ran {
        Ok(inputs) => inputs,
        Err(error) => {
            finished.log.abandon();
            return Err(error);
        }
    };
    let timing = Timing { load, run, store: Duration::ZERO, inputs };
    conclude(&job, &world, finished, path, timing)
}

/// The loop. It exists once; live has the same with another world.
fn run<S: Strategy, L: EventLog>(engine: &mut Engine<S, L>, world: &mut SimWorld<Tape>) -> Result<u64, Error> {
    let mut progress = Progress::new();
    let mut inputs = 0;
    while let Some((at, input)) = world.next(engine.wake_at()).map_err(world_error)? {
        for outgoing in engine.step(at, input).map_err(engine_error)? {
            world.submit(at, outgoing);
        }
        inputs += 1;
        if inputs & Progress::MASK == 0 {
            progress.show(at, inputs);
        }
    }
    progress.clear();
    Ok(inputs)
}

/// Turns what is left into figures, and closes the store with them.
fn conclude(
    job: &Job,
    world: &SimWorld<Tape>,
    finished: Finished<RunLog>,
    path: Option<PathBuf>,
    mut timing: Timing,
) -> Result<Outcome, Error> {
    let begun = Instant::now();
    let Finished { log, state, account, performance } = finished;
    let report = Report::new(&performance, &job.scene.instruments, job.scene.sim.taker_fee);
    let has_log = !matches!(log, RunLog::None(_));
    let mut figures = Figures {
        counts: world.feed().counts(),
        final_wallet: account.wallet(),
        without_funding: world.without_funding().map(str::to_owned).collect(),
        notes: world.feed().notes().into_iter().chain(world.funding_notes()).collect(),
        events: state.seq,
        log_hash: log.memory_hash().map(|hash| hex(&hash)),
        state_hash: has_log.then(|| hex(&state.hash())),
        report,
    };
    if let RunLog::File(writer) = log {
        let mut store = writer.finish().map_err(store_error)?;
        figures.log_hash = Some(hex(&store.hash()));
        let kept = outcome::kept_json(job, &figures).to_string();
        if let Err(error) = store.write_report(&performance.curve().points, &kept) {
            store.abandon();
            return Err(store_error(error));
        }
        runs::close(store)?;
    }
    timing.store = begun.elapsed();
    Ok(Outcome::new(job, figures, path, timing))
}

impl Job {
    /// Opens where the events go, and says which file that is.
    fn open_log(&self) -> Result<(RunLog, Option<PathBuf>), Error> {
        let scope = Scope::binance_futures(Mode::Backtest, self.session, "sim");
        let create = |path: &Path| SqliteStore::create(path, scope.clone(), &self.scene.instruments);
        let (store, path) = match &self.store {
            StoreChoice::None => return Ok((RunLog::None(NoLog), None)),
            StoreChoice::Memory => {
                return Ok((
                    RunLog::Memory(MemoryLog::new(Encoder::new(scope.clone(), &self.scene.instruments))),
                    None,
                ));
            }
            StoreChoice::File(path) => (create(path).map_err(store_error)?, path.clone()),
            // Where another process was faster, the next number is free.
            StoreChoice::NewRun => loop {
                let path = runs::next_path(runs::DIRECTORY.as_ref(), &self.strategy, self.session.as_str())?;
                match create(&path) {
                    Err(store::Error::Exists { .. }) => {}
                    made => break (made.map_err(store_error)?, path),
                }
            },
        };
        Ok((RunLog::File(FileWriter::start(store).map_err(store_error)?), Some(path)))
    }

    /// A run without data, or with too few for the strategy to decide even once, is a mistake.
    fn check_enough<S: Strategy, L: EventLog>(&self, engine: &Engine<S, L>, inputs: u64) -> Result<(), Error> {
        if inputs == 0 {
            return Err(Error::new(format!("there are no data {}", self.scene.options.window))
                .hint("`alphaengine data check FILE` says what a file holds"));
        }
        let strategy = &self.strategy;
        let warm_up = engine.strategy().warm_up();
        for (symbol, instrument) in self.scene.instruments.iter() {
            let name = &instrument.symbol;
            if engine.strategy().follows_book() && engine.market().book(symbol).is_none() {
                return Err(Error::new(format!(
                    "{strategy} follows the book ticker, and the data of {name} have none"
                ))
                .hint("give it bookTicker files or recordings with --data, or leave the symbol out with --symbol"));
            }
            let heard = engine.market().bars_heard(symbol);
            if heard < warm_up as u64 {
                return Err(Error::new(format!(
                    "not enough warm-up: {strategy} needs {warm_up} bars before its first decision, {name} has {heard}"
                ))
                .hint("use more data, a finer --timeframe, or smaller periods"));
            }
        }
        Ok(())
    }
}

fn world_error(error: alphaengine_sim::Error<alphaengine_datasets::Error>) -> Error {
    use alphaengine_sim::Error as World;
    let hint = match &error {
        World::Feed(error) => return data_error(error),
        World::FundingHole { .. } => {
            "fetch what is missing (`alphaengine data fetch --kind fundingRate`), choose a --timerange without it, or leave the funding files out to run without"
        }
        World::FundingBeginsLate { .. } | World::FundingEndsEarly { .. } => {
            "fetch what is missing (`alphaengine data fetch --kind fundingRate`), choose a --timerange that it covers, or leave --require-funding out"
        }
        World::NoFunding { .. } => "add its funding file with --data, or leave --require-funding out",
        World::TimeWentBack { .. } => "`alphaengine data check` names the rows",
    };
    Error::new(error.to_string()).hint(hint)
}

/// Says what is wrong with data, with its next step.
pub fn data_error(error: &alphaengine_datasets::Error) -> Error {
    Error::new(error.to_string()).maybe_hint(error.hint.clone())
}

fn engine_error(error: engine::Error) -> Error {
    match error {
        engine::Error::Store(error) => store_error(error),
        error => Error::new(error.to_string()),
    }
}

/// One line that says how far a long run is, on a terminal only.
struct Progress {
    begun: Instant,
    is_terminal: bool,
    is_shown: bool,
}

impl Progress {
    /// How often to look at the clock, in inputs.
    const MASK: u64 = (1 << 20) - 1;

    fn new() -> Progress {
        Progress { begun: Instant::now(), is_terminal: std::io::stderr().is_terminal(), is_shown: false }
    }

    #[cold]
    fn show(&mut self, at: Timestamp, inputs: u64) {
        if self.is_terminal && self.begun.elapsed() > Duration::from_secs(1) {
            let (year, month, day) = at.date();
            eprint!("\r{year:04}-{month:02}-{day:02}  {} M inputs", inputs >> 20);
            self.is_shown = true;
        }
    }

    fn clear(&self) {
        if self.is_shown {
            eprint!("\r{:40}\r", "");
        }
    }
}
