//! A LiveFactory makes what a live trader is made of: at the start, and again after each failure of the store.

use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use alphaengine_core::engine;
use alphaengine_core::id::SessionId;
use alphaengine_core::params::Params;
use alphaengine_core::state::State;
use alphaengine_core::store::{self, Scope, SqliteStore};
use alphaengine_core::strategy::Strategy;
use alphaengine_live::binance::{ApiKey, SessionConfig};
use alphaengine_live::clock::now;
use alphaengine_live::runner;
use alphaengine_live::trader::Factory;
use serde_json::json;

use super::Recipe;
use crate::backtest::session_id;

/// Strategy, rules, key and the store's place.
pub struct LiveFactory<S> {
    recipe: Recipe,
    params: Params,
    key: Option<ApiKey>,
    path: PathBuf,
    /// The store was open before: it is there, and what operators said since is meant.
    was_open: bool,
    strategy: PhantomData<S>,
}

impl<S> LiveFactory<S> {
    pub fn new(recipe: Recipe, params: Params, key: Option<ApiKey>, path: &Path) -> LiveFactory<S> {
        LiveFactory { recipe, params, key, path: path.to_owned(), was_open: false, strategy: PhantomData }
    }
}

impl<S: Strategy> Factory for LiveFactory<S> {
    type Strategy = S;
    type Log = SqliteStore;

    fn session_id(&self, life: u64) -> SessionId {
        match life {
            0 => self.recipe.session,
            life => session_id(&json!({"process": self.recipe.session, "life": life})),
        }
    }

    fn open(&mut self, session: SessionId, is_doubtful: bool) -> Result<(SqliteStore, State), store::Error> {
        let account = if self.recipe.paper.is_some() { "paper" } else { "main" };
        let scope = Scope::binance_futures(self.recipe.mode, session, account);
        let (path, instruments) = (&self.path, &self.recipe.instruments);
        if self.was_open && !path.is_file() {
            // One that vanished is not made anew under a bot that runs: a disk may come back.
            return Err(store::Error::Missing { path: path.clone() });
        }
        let (mut store, recovered) = SqliteStore::open_or_salvage(path, scope, instruments, now(), is_doubtful)?;
        recovered.iter().for_each(runner::tell_recovery);
        if !self.was_open {
            store.turn_away_before(now())?;
        }
        self.was_open = true;
        let state = store.recovered().state;
        Ok((store, state))
    }

    fn strategy(&self) -> Result<S, String> {
        S::new(&self.params, &self.recipe.instruments)
    }

    fn engine_config(&self, session: SessionId) -> engine::Config {
        engine::Config { session, ..self.recipe.engine_config() }
    }

    fn session_config(&self) -> SessionConfig {
        self.recipe.session_config(self.key.clone())
    }
}
