//! A Job is a backtest that was checked and can run.

use alphaengine_core::engine;
use alphaengine_core::id::SessionId;
use alphaengine_core::market::Timeframe;
use alphaengine_core::mode::Mode;
use alphaengine_core::params::Params;
use alphaengine_core::units::NANOS_PER_SECOND;
use serde_json::{Value, json};

use super::session::{digest, session_id};
use super::{Options, Scene, StoreChoice};
use crate::error::Error;
use crate::registry::Entry;

/// Everything that a run needs.
pub struct Job {
    pub strategy: String,
    pub params: Params,
    pub scene: Scene,
    pub limits: alphaengine_core::risk::Limits,
    pub store: StoreChoice,
    pub session: SessionId,
    /// What determines the run.
    pub description: Value,
}

impl Job {
    /// Reads parameters, finds the data and looks up the symbols' rules.
    pub fn prepare(entry: &Entry, options: Options) -> Result<Job, Error> {
        let scene = Scene::prepare(options.scene)?;
        let params = entry.params(&options.params, &scene.instruments)?;
        let strategy = entry.info.name.to_owned();
        let asked = &scene.options;
        let description = json!({
            "program": format!("alphaengine {}", env!("CARGO_PKG_VERSION")),
            "strategy": strategy,
            "params": params.iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect::<serde_json::Map<_, _>>(),
            "symbols": scene.symbols(),
            "timeframes": scene.timeframes.iter().map(|timeframe| timeframe.map(Timeframe::name)).collect::<Vec<_>>(),
            "trade_bars": asked.timeframe.unwrap_or(Timeframe::M1).name(),
            "from": asked.window.from.map(|at| at.to_string()),
            "to": asked.window.to.map(|at| at.to_string()),
            "data": scene.data,
            "exchange": scene.sim,
            "limits": options.limits,
            "instruments": digest(&serde_json::to_string(&scene.instruments).unwrap_or_default()),
        });
        Ok(Job {
            session: session_id(&description),
            strategy,
            params,
            description,
            limits: options.limits,
            store: options.store,
            scene,
        })
    }

    pub(super) fn engine_config(&self) -> engine::Config {
        engine::Config {
            session: self.session,
            mode: Mode::Backtest,
            strategy: self.strategy.clone(),
            description: self.description.clone(),
            asset: self.scene.sim.asset,
            instruments: self.scene.instruments.clone(),
            base_timeframes: self.scene.timeframes.clone(),
            trade_bars: self.scene.options.timeframe.unwrap_or(Timeframe::M1),
            limits: self.limits,
            recv_window: 2 * NANOS_PER_SECOND,
            commit_each_step: false,
            live: None,
        }
    }
}
