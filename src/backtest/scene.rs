//! A Scene is a simulated exchange before it runs: data that were found, the rules of their symbols, costs and an account.

use std::path::Path;

use alphaengine_core::instrument::{Catalog, Instruments, Symbol};
use alphaengine_core::market::Timeframe;
use alphaengine_datasets::Tape;
use alphaengine_sim::{Latency, LimitFill, MarketFill, SimConfig};
use serde_json::Value;

use super::SceneOptions;
use super::data::{self, Source};
use crate::error::{Error, nearest};

/// Everything that a simulated exchange is made of.
pub struct Scene {
    pub instruments: Instruments,
    /// The bars that the data bring, by symbol.
    pub timeframes: Vec<Option<Timeframe>>,
    pub sim: SimConfig,
    /// What identifies the data.
    pub data: Value,
    pub is_synthetic: bool,
    pub warnings: Vec<String>,
    pub options: SceneOptions,
    source: std::cell::Cell<Option<Source>>,
}

impl Scene {
    /// Finds the data and looks up the symbols' rules.
    pub fn prepare(options: SceneOptions) -> Result<Scene, Error> {
        let found = data::find(&options)?;
        let catalog = catalog(&options)?;
        let (symbols, timeframes): (Vec<Symbol>, Vec<_>) = found.symbols.into_iter().unzip();
        Ok(Scene {
            instruments: instruments(&catalog, &symbols, &options)?,
            timeframes,
            sim: sim_config(&options)?,
            data: found.description,
            is_synthetic: matches!(found.source, Source::Sample),
            warnings: found.warnings,
            source: std::cell::Cell::new(Some(found.source)),
            options,
        })
    }

    /// Opens the data. To be called once.
    pub fn open_data(&self) -> Result<Tape, Error> {
        let source = self.source.take().ok_or_else(|| Error::new("a scene runs once"))?;
        data::open(source, &self.instruments, &self.options)
    }

    pub fn symbols(&self) -> Vec<&str> {
        self.instruments.iter().map(|(_, instrument)| instrument.symbol.as_str()).collect()
    }
}

fn read(option: &str, path: &Path) -> Result<String, Error> {
    alphaengine_datasets::read::text(path)
        .map_err(|error| Error::new(format!("option {option}: {error}")).maybe_hint(error.hint))
}

fn catalog(options: &SceneOptions) -> Result<Catalog, Error> {
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

fn instruments(catalog: &Catalog, symbols: &[Symbol], options: &SceneOptions) -> Result<Instruments, Error> {
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

fn sim_config(options: &SceneOptions) -> Result<SimConfig, Error> {
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
