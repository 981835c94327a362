//! The Outcome of a backtest: its figures as JSON and as a table.

use std::path::{Path, PathBuf};
use std::time::Duration;

use alphaengine_core::market::Timeframe;
use alphaengine_core::report::Report;
use alphaengine_core::units::Money;
use alphaengine_datasets::tape::Counts;
use serde_json::{Map, Value, json};

use super::{Job, StoreChoice};
use crate::error::Error;

/// What a run came to.
pub struct Outcome {
    /// The file that holds its events, where there is one.
    pub store: Option<PathBuf>,
    json: Value,
    table: String,
    is_numbered: bool,
}

/// How long the parts took.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    /// Opening data and store.
    pub load: Duration,
    /// The loop, the store's writer beside it.
    pub run: Duration,
    /// What the writer still had to do when the loop had ended, and the report.
    pub store: Duration,
    pub inputs: u64,
}

impl Timing {
    fn inputs_per_second(&self) -> u64 {
        (self.inputs as f64 / self.run.as_secs_f64().max(1e-9)) as u64
    }
}

/// What is known when the loop has ended.
#[derive(Debug)]
pub struct Figures {
    pub counts: Counts,
    pub final_wallet: Money,
    pub without_funding: Vec<String>,
    pub notes: Vec<String>,
    pub events: u64,
    pub log_hash: Option<String>,
    pub state_hash: Option<String>,
    pub report: Report,
}

/// A ratio as decimal text, so that every decimal of the object is one.
fn decimal(ratio: Option<f64>) -> Value {
    ratio.map_or(Value::Null, |ratio| Value::String(format!("{ratio}")))
}

/// What determines a run and what it came to: the part that is the same on every machine, kept in the store.
pub fn kept_json(job: &Job, figures: &Figures) -> Value {
    let report = &figures.report;
    let params: Map<String, Value> =
        job.params.iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect();
    json!({
        "session_id": job.session.as_str(),
        "strategy": job.strategy,
        "params": params,
        "symbols": job.scene.instruments.iter().map(|(_, instrument)| instrument.symbol.as_str()).collect::<Vec<_>>(),
        "timeframes": job.scene.timeframes.iter().map(|timeframe| timeframe.map(Timeframe::name)).collect::<Vec<_>>(),
        "data": if job.scene.is_synthetic { "SYNTHETIC" } else { "files" },
        "mode": "BACKTEST",
        "from": report.start.to_string(),
        "to": report.end.to_string(),
        "bars": figures.counts.bars,
        "ticks": figures.counts.trades + figures.counts.books,
        "orders": report.execution.orders,
        "fills": report.execution.fills,
        "trades": report.trades.trades,
        "initial_equity": report.result.initial_equity,
        "final_equity": report.final_equity(),
        "final_wallet": figures.final_wallet,
        "total_return": decimal(report.total_return()),
        "max_drawdown": decimal(report.max_drawdown()),
        "sharpe": decimal(report.sharpe()),
        "fees": report.fees(),
        "funding": report.funding(),
        "without_funding": figures.without_funding,
        "events": figures.events,
        "log_hash": figures.log_hash,
        "state_hash": figures.state_hash,
        "notes": notes(job, figures),
        "config": job.description,
        "report": as_text(json!(report)),
    })
}

/// The value with its fractions as decimal text, like every decimal of the object.
fn as_text(value: Value) -> Value {
    match value {
        Value::Number(number) if number.is_f64() => Value::String(number.to_string()),
        Value::Array(values) => values.into_iter().map(as_text).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, as_text(value))).collect(),
        other => other,
    }
}

/// What a reader of the figures must know about them.
fn notes(job: &Job, figures: &Figures) -> Vec<String> {
    let mut notes = Vec::new();
    if job.scene.is_synthetic {
        notes.push("the data are SYNTHETIC: they show how the program works, not how a strategy does".to_owned());
    }
    if job.scene.options.costs.close_fill {
        notes.push(
            "--fill close fills at the price that decided: optimistic, for comparison with other tools".to_owned(),
        );
    }
    if job.scene.options.costs.touch_fill {
        notes.push("--limit-fill touch fills resting orders that the market only touched: optimistic".to_owned());
    }
    if figures.report.execution.orders == 0 {
        notes.push("the strategy placed no order that left for the exchange".to_owned());
    }
    if !figures.without_funding.is_empty() {
        let symbols = figures.without_funding.join(" ");
        notes.push(format!("no funding rates in the data of {symbols}: positions paid and received none"));
    }
    notes.extend(job.scene.warnings.iter().cloned());
    notes.extend(figures.notes.iter().cloned());
    notes
}

impl Outcome {
    pub(super) fn new(job: &Job, figures: Figures, store: Option<PathBuf>, timing: Timing) -> Outcome {
        let mut json = kept_json(job, &figures);
        let place = match (&job.store, &store) {
            (_, Some(path)) => Value::String(path.display().to_string()),
            (StoreChoice::Memory, None) => json!("memory"),
            _ => json!("none"),
        };
        let table = table(job, &figures, &timing, store.as_deref());
        if let Value::Object(fields) = &mut json {
            fields.insert("store".into(), place);
            fields.insert(
                "timing".into(),
                json!({
                    "load_s": seconds(timing.load),
                    "run_s": seconds(timing.run),
                    "store_s": seconds(timing.store),
                    "inputs": timing.inputs,
                    "inputs_per_s": timing.inputs_per_second(),
                }),
            );
            fields.insert("peak_rss_mb".into(), json!(peak_rss_mb()));
        }
        Outcome { is_numbered: job.store == StoreChoice::NewRun, store, json, table }
    }

    /// The object of `--json`, on one line.
    pub fn json(&self) -> Result<String, Error> {
        let text = serde_json::to_string(&self.json).map_err(|error| Error::new(error.to_string()))?;
        Ok(text + "\n")
    }

    /// The figures as values.
    pub fn figures(&self) -> &Value {
        &self.json
    }

    /// The report for a terminal.
    pub fn table(&self) -> String {
        self.table.clone()
    }

    /// Where the export of a numbered run goes: beside its store.
    pub fn default_export(&self) -> Option<PathBuf> {
        let store = self.store.as_ref().filter(|_| self.is_numbered)?;
        Some(store.with_extension(""))
    }
}

fn seconds(span: Duration) -> f64 {
    (span.as_secs_f64() * 1e6).round() / 1e6
}

fn table(job: &Job, figures: &Figures, timing: &Timing, store: Option<&Path>) -> String {
    let params: Vec<String> = job.params.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let symbols = job.scene.instruments.iter().zip(&job.scene.timeframes).map(|((_, instrument), timeframe)| {
        timeframe.map_or(instrument.symbol.to_string(), |timeframe| format!("{} {timeframe}", instrument.symbol))
    });
    let synthetic = if job.scene.is_synthetic { " (SYNTHETIC sample)" } else { "" };
    let counts = &figures.counts;
    let mut text = format!("{}  {}\n", job.strategy, params.join(" "));
    text += &format!("{}{synthetic}\n", symbols.collect::<Vec<_>>().join(", "));
    text += &format!(
        "{} to {}, {} bars, {} ticks\n\n",
        figures.report.start,
        figures.report.end,
        counts.bars,
        counts.trades + counts.books
    );
    text += figures.report.table().trim_end();
    text += "\n\n";
    for note in notes(job, figures) {
        text += &format!("note: {note}\n");
    }
    let place = store.map_or_else(
        || if job.store == StoreChoice::Memory { "kept in memory".into() } else { "not kept".into() },
        |path| format!("in {}", path.display()),
    );
    text += &format!("session {}: {} events {place}\n", job.session, figures.events);
    if let Some(hash) = &figures.log_hash {
        text += &format!("log {}...\n", &hash[..16]);
    }
    text += &format!(
        "{:.3} s loading, {:.3} s running ({:.1} M inputs/s), {:.3} s storing and reporting, {} MB at most\n",
        timing.load.as_secs_f64(),
        timing.run.as_secs_f64(),
        timing.inputs_per_second() as f64 / 1e6,
        timing.store.as_secs_f64(),
        peak_rss_mb().map_or("?".into(), |megabytes| megabytes.to_string()),
    );
    text
}

/// The most memory that the process held, in MB; `None` where the system does not tell.
fn peak_rss_mb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes / 1024)
}
