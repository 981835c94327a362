//! The strategies that a program knows, each compiled together with the engine: no dynamic call per market event.

use alphaengine_chaos::RunReport;
use alphaengine_core::instrument::Instruments;
use alphaengine_core::params::{self, Params};
use alphaengine_core::strategy::{Strategy, StrategyInfo};

use crate::backtest::{Job, Outcome, run_job};
use crate::chaos::{ChaosJob, run_chaos};
use crate::error::{Error, nearest};
use crate::live::{LiveJob, LiveOutcome, ReplayJob, ReplayOutcome, run_live, run_replay};
use crate::strategies;

/// The strategies of a program, by name.
pub struct Strategies {
    entries: Vec<Entry>,
}

/// One strategy: what it says of itself, and the engine built for it.
pub struct Entry {
    pub info: StrategyInfo,
    pub backtest: fn(Job) -> Result<Outcome, Error>,
    pub live: fn(LiveJob) -> Result<LiveOutcome, Error>,
    pub replay: fn(ReplayJob) -> Result<ReplayOutcome, Error>,
    /// One run through a scenario with a plan of faults.
    pub chaos: fn(ChaosJob<'_>) -> Result<RunReport, Error>,
    needs: fn(&Params, &Instruments) -> Result<Needs, String>,
}

/// What a strategy asks of its data and its account, with given parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// See [`Strategy::warm_up`].
    pub warm_up: usize,
    /// See [`Strategy::knows_hedge_mode`].
    pub knows_hedge_mode: bool,
}

impl Strategies {
    /// No strategies yet.
    pub fn none() -> Strategies {
        Strategies { entries: Vec::new() }
    }

    /// The built-in ones.
    pub fn builtin() -> Strategies {
        Strategies::none()
            .with::<strategies::SmaCross>()
            .with::<strategies::DonchianBreakout>()
            .with::<strategies::AtrRisk>()
            .with::<strategies::Grid>()
            .with::<strategies::MarketMaker>()
            .with::<strategies::BuyAndHold>()
            .with::<strategies::Drill>()
    }

    /// Adds a strategy; one of the same name takes the place of an earlier one.
    #[must_use]
    pub fn with<S: Strategy + 'static>(mut self) -> Strategies {
        let info = S::info();
        self.entries.retain(|entry| entry.info.name != info.name);
        self.entries.push(Entry {
            info,
            backtest: run_job::<S>,
            live: run_live::<S>,
            replay: run_replay::<S>,
            chaos: run_chaos::<S>,
            needs: |params, instruments| {
                let strategy = S::new(params, instruments)?;
                Ok(Needs { warm_up: strategy.warm_up(), knows_hedge_mode: strategy.knows_hedge_mode() })
            },
        });
        self
    }

    pub fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// The strategy of this name, or an error that suggests the nearest one.
    pub fn find(&self, name: &str) -> Result<&Entry, Error> {
        if let Some(entry) = self.entries.iter().find(|entry| entry.info.name == name) {
            return Ok(entry);
        }
        let names: Vec<&str> = self.entries.iter().map(|entry| entry.info.name).collect();
        let error = Error::new(format!("unknown strategy `{name}`; known are {}", names.join(" ")));
        let meant = nearest(name, names.iter().copied());
        Err(error.maybe_hint(meant.map(|name| format!("did you mean `--strategy {name}`?"))))
    }
}

impl Entry {
    /// Reads `name=value` pairs, checked against the declarations and by the strategy itself.
    pub fn params(&self, given: &[String], instruments: &Instruments) -> Result<Params, Error> {
        let name = self.info.name;
        let params = Params::read(name, &self.info.params, given).map_err(|error| {
            let hint = match &error {
                params::Error::Unknown { name: unknown, .. } => {
                    let known = self.info.params.iter().map(|param| param.name);
                    nearest(unknown, known).map(|meant| format!("did you mean `--param {meant}=...`?"))
                }
                _ => None,
            };
            let hint = hint.unwrap_or_else(|| format!("`alphaengine strategies {name}` lists its parameters"));
            Error::new(format!("option --param: {error}")).hint(hint)
        })?;
        self.needs(&params, instruments)?;
        Ok(params)
    }

    /// What the strategy needs, or why it cannot be built with these parameters.
    pub fn needs(&self, params: &Params, instruments: &Instruments) -> Result<Needs, Error> {
        let name = self.info.name;
        (self.needs)(params, instruments).map_err(|sentence| {
            Error::new(format!("strategy {name}: {sentence}"))
                .hint(format!("`alphaengine strategies {name}` lists its parameters"))
        })
    }
}
