//! A Job is a backtest that was checked and can run.

use std::path::Path;

use alphaengine_core::engine;
use alphaengine_core::id::SessionId;
use alphaengine_core::instrument::{Catalog, Instruments, Symbol};
use alphaengine_core::market::Timeframe;
use alphaengine_core::mode::Mode;
use alphaengine_core::params::Params;
use alphaengine_core::units::NANOS_PER_SECOND;
use alphaengine_datasets::Tape;
use alphaengine_sim::{Latency, LimitFill, MarketFill, SimConfig};
use serde_json::{Value, json};

use super::Options;
use super::data::{self, Source};
use super::session::{digest, session_id};
use crate::error::{Error, nearest};
use crate::registry::Entry;

/// Everything that a run needs.
pub struct Job {
    pub strategy: String,
    pub params: Params,
    pub options: Options,
    pub instruments: Instruments,
    pub timeframes: Vec<Option<Timeframe>>,
    pub sim: SimConfig,
    pub session: SessionId,
    /// What determines the run.
    pub description: Value,
    pub is_synthetic: bool,
    pub warnings: Vec<String>,
    source: std::cell::Cell<Option<Source>>,
}

impl Job {
    /// Reads parameters, finds the data and looks up the symbols' rules.
    pub fn prepare(entry: &Entry, options: Options) -> Result<Job, Error> {
        let found = data::find(&options)?;
        let catalog = catalog(&options)?;
        let (symbols, timeframes): (Vec<Symbol>, Vec<_>) = found.symbols.into_iter().unzip();
        let instruments = instruments(&catalog, &symbols, &options)?;
        let params = entry.params(&options.params, &instruments)?;
        let sim = sim_config(&options)?;
        let strategy = entry.info.name.to_owned();
        let description = json!({
            "program": format!("alphaengine {}", env!("CARGO_PKG_VERSION")),
            "strategy": strategy,
            "params": params.iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect::<serde_json::Map<_, _>>(),
            "symbols": symbols.iter().map(Symbol::as_str).collect::<Vec<_>>(),
            "timeframes": timeframes.iter().map(|timeframe| timeframe.map(Timeframe::name)).collect::<Vec<_>>(),
            "trade_bars": options.timeframe.unwrap_or(Timeframe::M1).name(),
            "from": options.window.from.map(|at| at.to_string()),
            "to": options.window.to.map(|at| at.to_string()),
            "data": found.description,
            "exchange": sim,
            "limits": options.limits,
            "instruments": digest(&serde_json::to_string(&instruments).unwrap_or_default()),
        });
        Ok(Job {
            session: session_id(&description),
            is_synthetic: matches!(found.source, Source::Sample),
            strategy,
            params,
            instruments,
            timeframes,
            sim,
            description,
            warnings: found.warnings,
            source: std::cell::Cell::new(Some(found.source)),
            options,
        })
    }

    /// Opens the data. To be called once.
    pub(super) fn open_data(&self) -> Result<Tape, Error> {
        let source = self.source.take().ok_or_else(|| Error::new("a job runs once"))?;
        data::open(source, &self.instruments, &self.options)
    }

    pub(super) fn engine_config(&self) -> engine::Config {
        engine::Config {
            session: self.session,
            mode: Mode::Backtest,
            strategy: self.strategy.clone(),
            description: self.description.clone(),
            asset: self.sim.asset,
            instruments: self.instruments.clone(),
            base_timeframes: self.timeframes.clone(),
            trade_bars: self.options.timeframe.unwrap_or(Timeframe::M1),
            limits: self.options.limits.clone(),
            recv_window: 2 * NANOS_PER_SECOND,
            commit_each_step: false,
        }
    }
}

fn read(option: &str, path: &Path) -> Result<String, Error> {
    alphaengine_datasets::read::text(path)
        .map_err(|error| Error::new(format!("option {option}: {error}")).maybe_hint(error.hint))
}

fn catalog(options: &Options) -> Result<Catalog, Error> {
    let mut catalog = match &options.exchange_info {
        None => Catalog::builtin(),
        Some(path) => Catalog::from_exchange_info(&read("--exchange-info", path)?)
            .map_err(|error| Error::new(format!("option --exchange-info: {}: {error}", path.display())))?,
    };
    if let Some(path) = &options.brackets {
        catalog
            .read_brackets(&read("--brackets", path)?)
            .map_err(|error| Error::new(format!("option --brackets: {}: {error}", path.display())))?;
    }
    Ok(catalog)
}

fn instruments(catalog: &Catalog, symbols: &[Symbol], options: &Options) -> Result<Instruments, Error> {
    let mut chosen = Vec::new();
    for symbol in symbols {
        let instrument = catalog.get(symbol).map_err(|error| {
            let known = catalog.symbols().map(Symbol::as_str);
            let meant = nearest(symbol.as_str(), known).map(|meant| format!("did you mean {meant}?"));
            let hint = "name the exchange's rules with --exchange-info FILE (and --brackets FILE)".to_owned();
            Error::new(error.to_string()).hint(if options.exchange_info.is_some() {
                meant.unwrap_or(hint)
            } else {
                hint
            })
        })?;
        if options.leverage == 0 || options.leverage > instrument.max_leverage() {
            return Err(Error::new(format!(
                "option --leverage: {} is not allowed for {symbol}: give 1 to {}",
                options.leverage,
                instrument.max_leverage()
            )));
        }
        chosen.push(instrument.clone());
    }
    Instruments::new(chosen).map_err(|error| Error::new(error.to_string()))
}

fn sim_config(options: &Options) -> Result<SimConfig, Error> {
    let costs = &options.costs;
    let read = |path: &str| std::fs::read_to_string(path).map_err(|error| format!("{path}: cannot be read: {error}"));
    let latency = Latency::parse(&costs.latency, read).map_err(|problem| {
        Error::new(format!("option --latency: {problem}"))
            .hint("write 5ms, or feed=2ms,entry=lognormal:5ms:0.4,answer=5ms")
    })?;
    Ok(SimConfig {
        cash: options.cash,
        leverage: options.leverage,
        isolated: options.isolated,
        hedge: options.hedge,
        taker_fee: costs.taker_fee,
        maker_fee: costs.maker_fee,
        market_fill: if costs.close_fill { MarketFill::LastPrice } else { MarketFill::NextPrice },
        limit_fill: if costs.touch_fill { LimitFill::Touch } else { LimitFill::Through },
        slippage: costs.slippage,
        volume_cap: costs.volume_cap,
        latency,
        seed: options.seed,
        require_funding: options.require_funding,
        ..SimConfig::default()
    })
}
