//! `alphaengine runs`: which runs there are, and what one came to.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use serde_json::{Value, json};

use super::table::{Form, Table, json_text};
use super::{Exit, print, say};
use crate::error::Error;
use crate::runs::{self, Run};

#[derive(Subcommand)]
pub enum Verb {
    /// List the runs under data/runs
    List(List),
    /// Show what a run came to, as JSON
    Show(Show),
}

#[derive(Parser)]
pub struct Place {
    /// Where runs are kept
    #[arg(long, default_value = runs::DIRECTORY, value_name = "DIR")]
    runs: PathBuf,
}

#[derive(Parser)]
pub struct List {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    form: Form,
}

#[derive(Parser)]
pub struct Show {
    /// Which run: latest, a number, a session id, or a store file
    #[arg(default_value = "latest")]
    run: String,
    #[command(flatten)]
    place: Place,
}

pub fn runs(verb: &Verb) -> Result<Exit, Error> {
    match verb {
        Verb::List(List { place, form }) => {
            let runs = runs::list(&place.runs)?;
            if form.json {
                print(&json_text(&runs.iter().map(object).collect()))?;
            } else if runs.is_empty() {
                say(&format!("there are no runs under {}", place.runs.display()));
            } else {
                let head =
                    &["RUN", "STRATEGY", "SYMBOLS", "FROM", "TO", "FINAL EQUITY", "RETURN %", "TRADES", "SESSION"];
                let right = &[true, false, false, false, false, true, true, true, false];
                print(&Table::new(head, right, runs.iter().map(row).collect()).to_text())?;
            }
        }
        Verb::Show(show) => {
            let path = runs::find(&show.place.runs, &show.run)?;
            let reader = alphaengine_core::store::StoreReader::open(&path).map_err(runs::store_error)?;
            let report = reader.report().map_err(runs::store_error)?;
            let report = report.ok_or_else(|| {
                Error::new(format!("{}: the run did not come to an end", path.display()))
                    .hint("`alphaengine store verify` says how far its log goes")
            })?;
            let text = serde_json::to_string_pretty(&report).map_err(|error| Error::new(error.to_string()))?;
            print(&(text + "\n"))?;
        }
    }
    Ok(Exit::Done)
}

/// What a program wants of a run: the report's own names and values, without the details.
fn object(run: &Run) -> Value {
    let names =
        ["session_id", "strategy", "symbols", "from", "to", "final_equity", "total_return", "max_drawdown", "trades"];
    let mut object = json!({"run": run.number, "store": run.path.display().to_string(), "problem": run.problem});
    if let (Value::Object(object), Some(report)) = (&mut object, &run.report) {
        object.extend(names.map(|name| (name.to_owned(), report.get(name).cloned().unwrap_or_default())));
    }
    object
}

fn row(run: &Run) -> Vec<String> {
    let number = format!("{:04}", run.number);
    let Some(report) = &run.report else {
        let why = run.problem.clone().unwrap_or_else(|| "did not end".into());
        let name = run.path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        return vec![number, name, why];
    };
    let text = |name: &str| report.get(name).and_then(Value::as_str).unwrap_or("").to_owned();
    let day = |name: &str| text(name).chars().take(10).collect::<String>();
    let symbols = report.get("symbols").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let symbols: Vec<&str> = symbols.iter().filter_map(Value::as_str).collect();
    let percent = text("total_return").parse::<f64>().map_or("n/a".into(), |ratio| format!("{:.2}", 100.0 * ratio));
    let trades = report.get("trades").map_or(String::new(), Value::to_string);
    vec![
        number,
        text("strategy"),
        symbols.join(" "),
        day("from"),
        day("to"),
        text("final_equity"),
        percent,
        trades,
        text("session_id"),
    ]
}
