//! A live session put together: key, rules, store, engine, session, sockets; and run until it is asked to stop.

mod connect;
mod factory;
mod fit;
mod lock;
mod options;
mod outcome;
mod paper;
mod recipe;
mod replay;

pub use options::{LiveOptions, Place};
pub use outcome::LiveOutcome;
pub use recipe::{Paper, Recipe};
pub use replay::{ReplayJob, ReplayOutcome, run_replay};

use std::path::Path;

use alphaengine_core::engine;
use alphaengine_core::instrument::Instruments;
use alphaengine_core::params::Params;
use alphaengine_core::store::{self, SessionRow, StoreReader};
use alphaengine_core::strategy::Strategy;
use alphaengine_core::units::Timestamp;
use alphaengine_live::binance::{ApiKey, BootstrapResult, Signer};
use alphaengine_live::bot::Venue;
use alphaengine_live::clock::now;
use alphaengine_live::runner::{self, Ended, Parts, Runner};
use alphaengine_live::secrets::{self, Credentials, Secrets, Signing};
use alphaengine_live::service::ServiceManager;
use alphaengine_live::status::Status;
use alphaengine_live::stepper::Stepper;
use alphaengine_live::tape::{Begin, Recorder};
use alphaengine_live::trader::{Log, Trader};
use serde_json::json;

use crate::backtest::session_id;
use crate::error::Error;
use crate::registry::Entry;
use crate::runs::store_error;
use connect::Connection;
use factory::LiveFactory;
use lock::AccountLock;
use paper::PaperVenue;

/// A session that is connected and knows the rules, before its strategy is built.
pub struct LiveJob {
    options: LiveOptions,
    recipe: Recipe,
    key: Option<ApiKey>,
    connection: Connection,
    params: Params,
    _lock: Option<AccountLock>,
}

impl LiveJob {
    /// Reads the key, connects, and asks for rules and account.
    pub fn prepare(entry: &Entry, options: LiveOptions) -> Result<LiveJob, Error> {
        let hosts = options.place.hosts().with(options.rest_url.as_deref(), options.ws_url.as_deref());
        let credentials = match options.place.environment() {
            None => None,
            Some(environment) => Some(Secrets::load(&options.secrets, environment).map_err(secrets_error)?),
        };
        let lock = match &credentials {
            None => None,
            Some(credentials) => Some(AccountLock::take(&options.secrets, &hosts.rest, credentials.api_key.reveal())?),
        };
        let key = credentials.as_ref().map(api_key).transpose()?;
        let connection = Connection::open(&hosts, credentials.map(|credentials| credentials.api_key))?;
        let known = connection.bootstrap(&hosts, key.clone(), options.symbols.clone())?;
        let params = entry.params(&options.params, &known.instruments)?;
        let recipe = recipe(entry, &options, &hosts, known, &params);
        Ok(LiveJob { options, recipe, key, connection, params, _lock: lock })
    }

    /// Makes the directory of a new store, and refuses one of another world.
    fn check_store(&self) -> Result<(), Error> {
        let path = &self.options.store;
        if let Some(parent) = path.parent().filter(|parent| *parent != Path::new("")) {
            std::fs::create_dir_all(parent).map_err(|error| {
                Error::new(format!("{}: cannot be made: {error}", parent.display()))
                    .hint("check owner and permissions of the directory above it")
            })?;
        }
        if path.exists() { self.check_kind(path) } else { Ok(()) }
    }

    /// A store belongs to one world: what it remembers is not true in another one.
    fn check_kind(&self, path: &Path) -> Result<(), Error> {
        if !path.is_file() {
            return Err(Error::new(format!("{}: is not a file, and a store is one", path.display()))
                .hint("name a file with --store FILE; one that does not exist is made"));
        }
        if self.recipe.paper.is_some() {
            // The account on paper lives in the process and begins empty; a store that remembers positions contradicts it.
            return Err(Error::new(format!("{}: the store exists, and paper trading begins anew", path.display()))
                .hint("move it away, or name a new one with --store FILE"));
        }
        let sessions = match StoreReader::open(path).and_then(|reader| reader.sessions()) {
            // Whether it can be salvaged, whoever opens it finds out.
            Err(error) if error.is_damage() || matches!(error, store::Error::NotAStore { .. }) => return Ok(()),
            sessions => sessions.map_err(store_error)?,
        };
        let (given, mode) = (self.recipe.mode.name(), |session: SessionRow| session.mode);
        match sessions.into_iter().next_back().map(mode) {
            Some(found) if found != given => {
                Err(Error::new(format!("{}: the store holds a {found} session, not a {given} one", path.display()))
                    .hint("give this session a store of its own with --store FILE"))
            }
            _ => Ok(()),
        }
    }
}

/// Runs a session until it is asked to stop.
pub fn run_live<S: Strategy>(mut job: LiveJob) -> Result<LiveOutcome, Error> {
    let strategy = S::new(&job.params, &job.recipe.instruments).map_err(Error::new)?;
    fit::check(&job, &strategy)?;
    job.recipe.warm_up_bars = strategy.warm_up();
    // Before the store: what is refused should leave no new store behind.
    if let Some(directory) = &job.options.record {
        std::fs::create_dir_all(directory).map_err(|error| tape_error(directory, &error))?;
    }
    job.check_store()?;
    drop(strategy);
    let factory = LiveFactory::<S>::new(job.recipe.clone(), job.params.clone(), job.key.take(), &job.options.store);
    let trader = Trader::new(factory, venue(&job.recipe)).map_err(|error| match error {
        engine::Error::Store(error) => store_error(error),
        error => Error::new(error.to_string()),
    })?;
    trader.engine().state().lost.iter().for_each(runner::tell_loss);
    let (seq, fills) = (trader.engine().state().seq, trader.engine().state().trades);
    let recorder = job.options.record.as_deref().map(|directory| job.recorder(directory, seq)).transpose()?;
    let parts = Parts {
        driver: job.connection.driver,
        inbox: job.connection.inbox,
        recorder,
        stepper: job.options.stepped.then(Stepper::default),
        service: ServiceManager::from_environment(),
        status: Status::new(!job.options.json_log),
        on_stop: job.options.on_stop,
        leverage: job.options.leverage,
    };
    let (trader, ended) = Runner::new(trader, parts).run();
    finish(trader, ended, &job.options.store, fills)
}

fn finish<S: Strategy>(
    trader: Trader<LiveFactory<S>>,
    ended: Result<Ended, runner::Error>,
    path: &Path,
    fills_before: u64,
) -> Result<LiveOutcome, Error> {
    let distrust = trader.last_resort().map(|distrust| distrust.newest.clone());
    let finished = trader.into_bot().into_engine().finish();
    match ended {
        Ok(Ended::InOrder) => {
            let Log::Store(store) = finished.log else {
                let problem = distrust.unwrap_or_default();
                return Err(Error::new(format!("the session ended in order, but without its store: {problem}")).hint(
                    "see to the disk; the next start goes on from what was committed, and asks the exchange for the rest",
                ));
            };
            let (equity, wallet) = (finished.account.equity(), finished.account.wallet());
            let outcome = LiveOutcome::new(&finished.state, path.display().to_string(), fills_before, equity, wallet);
            store.close().map_err(store_error)?;
            Ok(outcome)
        }
        // What is committed is there; the next start goes on from it.
        Ok(Ended::AtOnce) => Err(Error::new("stopped at once: open orders and positions stay as they are")
            .hint("the next start reconciles with the exchange before it trades")),
        // The same, and a restart is the way to know what that is.
        Err(runner::Error::Engine(engine::Error::Store(error))) => {
            let hint =
                "see to the disk and start again: it goes on from what was committed, and asks the exchange first";
            Err(store_error(error).hint(hint))
        }
        Err(error) => Err(Error::new(error.to_string())),
    }
}

/// The exchange inside the process, when trading on paper.
fn venue(recipe: &Recipe) -> Option<Box<dyn Venue>> {
    let paper = recipe.paper?;
    Some(Box::new(PaperVenue::new(paper.sim(), &recipe.instruments)))
}

fn recipe(
    entry: &Entry,
    options: &LiveOptions,
    hosts: &alphaengine_live::binance::Hosts,
    known: BootstrapResult,
    params: &Params,
) -> Recipe {
    let begun = now();
    let paper = match &options.place {
        Place::Paper(paper) => Some(*paper),
        _ => None,
    };
    // A process start is a session of its own: names of orders derive from it and are never given twice.
    let session = session_id(&json!({"begun": begun.nanos(), "process": std::process::id(), "hosts": hosts}));
    Recipe {
        session,
        mode: options.place.mode(),
        strategy: entry.info.name.to_owned(),
        params: params.iter().map(|(name, value)| format!("{name}={value}")).collect(),
        asset: margin_asset(&known.instruments),
        instruments: known.instruments,
        timeframe: options.timeframe,
        limits: options.limits,
        hosts: hosts.clone(),
        streams: options.streams,
        rate_limits: known.limits,
        hedge: known.hedge,
        used_weight: known.used_weight,
        stepped: options.stepped,
        warm_up_bars: 0,
        recv_window_ms: options.recv_window_ms,
        seed: options.seed,
        countdown: options.countdown,
        batch_orders: options.batch_orders,
        paper,
    }
}

fn margin_asset(instruments: &Instruments) -> alphaengine_core::id::Asset {
    let first = instruments.iter().next();
    first.and_then(|(_, instrument)| instrument.margin_asset.parse().ok()).unwrap_or_default()
}

/// What is to be written into a missing file does not fit into a sentence.
fn secrets_error(error: secrets::Error) -> Error {
    match error {
        secrets::Error::Missing { path } => {
            Error::new(format!("{}: there is no such file, and the keys stand in it", path.display()))
                .hint("docs/live.md shows one: mode, testnet.api_key, testnet.api_secret; chmod 600; --secrets FILE names another")
        }
        error => Error::new(error.to_string()),
    }
}

fn api_key(credentials: &Credentials) -> Result<ApiKey, Error> {
    let signer = match &credentials.signing {
        Signing::HmacSecret(secret) => Signer::hmac(secret.reveal()),
        Signing::Ed25519Pem(pem) => Signer::ed25519(pem.reveal()),
    };
    let signer = signer.map_err(|error| Error::new(error.to_string()))?;
    Ok(ApiKey { id: credentials.api_key.reveal().to_owned(), signer })
}

impl LiveJob {
    fn recorder(&self, directory: &Path, seq: u64) -> Result<Recorder, Error> {
        let at: Timestamp = now();
        let begin = Begin {
            program: format!("alphaengine {}", env!("CARGO_PKG_VERSION")),
            store: self.options.store.display().to_string(),
            seq,
            recipe: serde_json::to_value(&self.recipe).unwrap_or_default(),
        };
        Recorder::create(directory, at, &begin).map_err(|error| tape_error(directory, &error))
    }
}

fn tape_error(directory: &Path, error: &std::io::Error) -> Error {
    Error::new(format!("option --record: {}: cannot be written: {error}", directory.display()))
        .hint("name a directory that can be made and written")
}
