//! A replay makes the bot of a tape again and lets it hear the tape: the events must be those of the store.

use std::path::{Path, PathBuf};

use alphaengine_core::engine::Engine;
use alphaengine_core::event::Recorded;
use alphaengine_core::state::State;
use alphaengine_core::store::{Encoder, MemoryLog, Scope, StoreReader};
use alphaengine_core::strategy::Strategy;
use alphaengine_live::binance::{ApiKey, Session, Signer};
use alphaengine_live::bot::Bot;
use alphaengine_live::tape;

use super::Recipe;
use crate::error::Error;
use crate::registry::Entry;
use crate::runs::store_error;

/// A tape that was read far enough to know what made it.
pub struct ReplayJob {
    tape: tape::Reader,
    recipe: Recipe,
    /// The store that the tape's session wrote, where it is to be compared or was not empty.
    store: Option<PathBuf>,
    params: alphaengine_core::params::Params,
}

/// What a replay came to.
#[derive(Debug)]
pub struct ReplayOutcome {
    pub entries: u64,
    pub events: u64,
    /// The first event that differs from the store's: number, the store's, the replay's.
    pub difference: Option<(u64, String, String)>,
    /// Whether there was a store to compare with.
    pub compared: bool,
    /// How many events both have.
    pub compared_events: u64,
}

impl ReplayJob {
    /// The name of the strategy that a tape was made with.
    pub fn strategy_of(tape: &Path) -> Result<String, Error> {
        let reader = tape::Reader::open(tape).map_err(tape_error)?;
        Ok(recipe_of(&reader)?.strategy)
    }

    pub fn prepare(entry: &Entry, tape: &Path, store: Option<PathBuf>, compare: bool) -> Result<ReplayJob, Error> {
        let tape = tape::Reader::open(tape).map_err(tape_error)?;
        let recipe = recipe_of(&tape)?;
        let params = entry.params(&recipe.params, &recipe.instruments)?;
        let store = match store {
            None if compare || tape.begin().seq > 0 => Some(PathBuf::from(&tape.begin().store)),
            store => store,
        };
        Ok(ReplayJob { tape, recipe, store, params })
    }
}

/// Runs the tape through.
pub fn run_replay<S: Strategy>(job: ReplayJob) -> Result<ReplayOutcome, Error> {
    let ReplayJob { mut tape, recipe, store, params } = job;
    let reader = store.as_deref().map(StoreReader::open).transpose().map_err(store_error)?;
    let begun = tape.begin().seq;
    let strategy = S::new(&params, &recipe.instruments).map_err(Error::new)?;
    let state = match &reader {
        Some(reader) if begun > 0 => Some(state_at(reader, &recipe, begun)?),
        _ => None,
    };
    let scope = Scope::binance_futures(recipe.mode, recipe.session, "replay");
    let log = MemoryLog::new(Encoder::new(scope, &recipe.instruments));
    let no_tail = std::iter::empty();
    let engine = Engine::recover(recipe.engine_config(), strategy, log, state, no_tail)
        .map_err(|error| Error::new(error.to_string()))?;
    let session = Session::new(recipe.session_config(key(&recipe)?));
    let venue = super::venue(&recipe);
    let mut bot = Bot::new(engine, session, venue);
    let mut entries = 0;
    while let Some((at, entry)) = tape.next_entry().map_err(tape_error)? {
        let heard = match entry.news() {
            Some(news) => bot.hear(at, news),
            None => bot.start(at),
        };
        heard.map_err(|error| Error::new(format!("entry {entries} of the tape: {error}")))?;
        // Nobody carries them out: what became of them is on the tape.
        bot.effects();
        entries += 1;
    }
    let events = bot.into_engine().finish().log;
    let (compared_events, difference) = match &reader {
        Some(reader) => first_difference(reader, begun, events.events())?,
        None => (0, None),
    };
    let events = events.events().len() as u64;
    Ok(ReplayOutcome { entries, events, difference, compared: reader.is_some(), compared_events })
}

/// Folds what the store held when the tape began.
fn state_at(reader: &StoreReader, recipe: &Recipe, seq: u64) -> Result<State, Error> {
    let mut state = State::new(&recipe.instruments);
    for recorded in reader.events_after(0).map_err(store_error)? {
        let recorded = recorded.map_err(store_error)?;
        if recorded.seq > seq {
            break;
        }
        state.apply(&recorded).map_err(|error| Error::new(error.to_string()))?;
    }
    Ok(state)
}

/// An event of both logs that is not the same: its number, the store's, the replay's.
type Difference = (u64, String, String);

/// Compares event by event and says how many were the same. A tape of a process that was killed may end before its store does,
/// or after.
fn first_difference(
    reader: &StoreReader,
    begun: u64,
    replayed: &[Recorded],
) -> Result<(u64, Option<Difference>), Error> {
    let stored = reader.events_after(begun).map_err(store_error)?;
    let mut same = 0;
    for (stored, replayed) in stored.zip(replayed) {
        let stored = stored.map_err(store_error)?;
        if stored != *replayed {
            return Ok((same, Some((stored.seq, format!("{stored:?}"), format!("{replayed:?}")))));
        }
        same += 1;
    }
    Ok((same, None))
}

fn recipe_of(tape: &tape::Reader) -> Result<Recipe, Error> {
    serde_json::from_value(tape.begin().recipe.clone()).map_err(|error| {
        Error::new(format!("the tape's beginning is not understood: {error}"))
            .hint("replay it with the program that wrote it")
    })
}

/// A key in place of the one that is not on the tape: signatures go nowhere.
fn key(recipe: &Recipe) -> Result<Option<ApiKey>, Error> {
    if recipe.paper.is_some() {
        return Ok(None);
    }
    let signer = Signer::hmac("replayed").map_err(|error| Error::new(error.to_string()))?;
    Ok(Some(ApiKey { id: "replayed".into(), signer }))
}

fn tape_error(error: tape::Error) -> Error {
    let sentence = match &error {
        tape::Error::Io { path, source } if source.kind() == std::io::ErrorKind::InvalidData => {
            format!("{}: is not a tape: it is not text", path.display())
        }
        error => error.to_string(),
    };
    Error::new(sentence).hint("`alphaengine live --record DIR` writes tapes")
}
