//! A backtest with faults: the whole of the data through world 2, once without faults and once with them.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use alphaengine_chaos::{RunOptions, StoreFiles};
use alphaengine_sim::faults::FaultPlan;
use serde_json::{Value, json};

use super::run::{self, SeedRun};
use super::{Data, json as objects, text};
use crate::backtest::Options;
use crate::error::Error;
use crate::faults::check_symbols;
use crate::registry::Entry;

/// What came of it.
pub struct Faulted {
    strategy: String,
    params: Vec<(String, String)>,
    free: SeedRun,
    with: SeedRun,
    plan: FaultPlan,
    /// Of the run with faults; `None` where it ended without a bot.
    store: Option<StoreFiles>,
    kept: Option<PathBuf>,
}

/// Runs it. The wire has no delays but those of the plan, so that a plan without entries gives the orders of the plain backtest.
pub fn run_faulted(entry: &Entry, options: Options, plan: FaultPlan) -> Result<Faulted, Error> {
    let seed = options.scene.seed;
    let data = Data::read(entry, options.scene, &options.params, options.limits)?;
    check_symbols("--faults", &plan, &data.instruments)?;
    let scenario = data.whole()?;
    let watched = RunOptions { seed, instant: true, ..RunOptions::default() };
    let free = SeedRun::of(seed, &run::run(entry, &scenario, &FaultPlan::default(), watched)?);
    let report = run::run(entry, &scenario, &plan, RunOptions { keep_store: true, ..watched })?;
    let with = SeedRun::of(seed, &report);
    let params = data.params.iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Ok(Faulted { strategy: data.strategy, params, free, with, plan, store: report.store, kept: None })
}

impl Faulted {
    /// Keeps the store of the run with faults, with its head mark beside it. The file must not exist.
    pub fn keep(&mut self, path: &Path) -> Result<(), Error> {
        let Some(store) = self.store.take() else {
            return Err(Error::new("the run with faults ended without a store that could be closed")
                .hint("leave --store out, or give the plan fewer faults at its end"));
        };
        let write = |path: &Path, bytes: &[u8]| {
            let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
            file.write_all(bytes)
        };
        let mut head = path.as_os_str().to_owned();
        head.push(".head");
        write(path, &store.database).and_then(|()| write(Path::new(&head), &store.head)).map_err(|error| {
            Error::new(format!("option --store: {}: cannot be written: {error}", path.display()))
                .hint("name a new file in a directory that can be written")
        })?;
        self.kept = Some(path.to_owned());
        Ok(())
    }

    /// Whether no law was broken.
    pub fn is_clean(&self) -> bool {
        self.free.violations.is_empty() && self.with.violations.is_empty()
    }

    pub fn text(&self) -> String {
        let params: Vec<String> = self.params.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut text = format!("{}  {}\n\n", self.strategy, params.join(" "));
        if self.with.fired.is_empty() {
            text += &format!("None of the {} entries of the plan came to pass.\n", self.plan.0.len());
        } else {
            text += &text::fired(&self.with.fired);
        }
        text += &format!("\n{}\n", text::two(&self.free.figures, &self.with.figures));
        for (name, run) in [("without faults", &self.free), ("with faults", &self.with)] {
            for broken in &run.violations {
                text += &format!(
                    "violation: {name}, {} at {}, step {}: {}\n",
                    broken.law, broken.at, broken.step, broken.sentence
                );
            }
        }
        text += &match &self.kept {
            Some(path) => format!("store: {} (the run with faults)\n", path.display()),
            None => "note: the store of the run with faults is kept with --store FILE only\n".to_owned(),
        };
        text
    }

    pub fn json(&self) -> Value {
        let fired = self.with.fired.iter().map(|(label, times)| {
            let (name, kind) = super::plan::split_label(label);
            json!({"name": (!name.is_empty()).then_some(name), "kind": kind, "fired": times})
        });
        let run = |run: &SeedRun| {
            json!({
                "steps": run.steps,
                "trace_hash": run.trace_hash,
                "figures": objects::figures(&run.figures),
                "violations": run.violations,
            })
        };
        let params: serde_json::Map<String, Value> =
            self.params.iter().map(|(name, value)| (name.clone(), Value::String(value.clone()))).collect();
        json!({
            "strategy": self.strategy,
            "params": params,
            "mode": "CHAOS",
            "plan": self.plan,
            "fired": fired.collect::<Vec<_>>(),
            "fault_free": run(&self.free),
            "with_faults": run(&self.with),
            "store": self.kept.as_ref().map_or_else(|| "none".to_owned(), |path| path.display().to_string()),
        })
    }
}

/// The figures of a report without running anything: what a test of the tables needs.
#[cfg(test)]
mod tests {
    use alphaengine_chaos::{Effect, RunReport};
    use alphaengine_core::units::Money;

    use super::*;
    use crate::chaos::effect::figures;

    #[test]
    fn both_runs_stand_side_by_side_with_their_difference() {
        let report = |pnl: i64| {
            let effect = Effect { pnl: Money::whole(pnl), restarts: 2, ..Effect::default() };
            SeedRun { figures: figures(&effect), ..SeedRun::of(1, &RunReport::default()) }
        };
        let faulted = Faulted {
            strategy: "drill".to_owned(),
            params: vec![],
            free: report(5),
            with: report(-3),
            plan: FaultPlan::default(),
            store: None,
            kept: None,
        };
        let line = faulted.text().lines().find(|line| line.starts_with("PnL")).unwrap().to_owned();
        assert_eq!(line.split_whitespace().collect::<Vec<_>>(), ["PnL", "5.00", "-3.00", "-8.00"]);
        assert_eq!(faulted.json()["with_faults"]["figures"]["pnl"], "-3");
    }
}
