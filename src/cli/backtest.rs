//! `alphaengine backtest`: one strategy over recorded data.

use std::path::PathBuf;

use clap::Parser;

use super::args::{DataArgs, ExchangeArgs, LimitArgs, named};
use super::{Exit, print, say};
use crate::Strategies;
use crate::backtest::{Job, Options, StoreChoice};
use crate::chaos::run_faulted;
use crate::error::Error;
use crate::export;
use crate::faults::read_plan;

#[derive(Parser)]
pub struct Args {
    /// The strategy (`alphaengine strategies` lists them)
    #[arg(long, default_value = "sma_cross")]
    strategy: String,
    /// A parameter of the strategy, e.g. fast=10; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    param: Vec<String>,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    exchange: ExchangeArgs,
    #[command(flatten)]
    limits: LimitArgs,
    /// Where the events go: a new file, `memory` or `none` [default: a new file under data/runs]
    #[arg(long, value_name = "FILE|memory|none")]
    store: Option<String>,
    /// Write the export to this directory [default: beside the store, when that is under data/runs]
    #[arg(long, value_name = "DIR")]
    export: Option<PathBuf>,
    /// Write no export
    #[arg(long, conflicts_with = "export")]
    no_export: bool,
    /// Run beside it a second time with the faults of this plan (docs/faults.md), and compare; --store FILE keeps that run's store
    #[arg(long, value_name = "FILE", conflicts_with_all = ["export", "no_export"])]
    faults: Option<PathBuf>,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
}

pub fn backtest(args: Args, strategies: &Strategies) -> Result<Exit, Error> {
    let entry = strategies.find(&args.strategy)?;
    let json = args.json;
    let export_choice = (args.export.clone(), args.no_export);
    if let Some(file) = &args.faults {
        let plan = read_plan("--faults", file)?;
        let options = args.options()?;
        let store = match &options.store {
            StoreChoice::File(path) if path.exists() => {
                return Err(Error::new(format!("option --store: {}: the file exists already", path.display()))
                    .hint("name a new file, or move this one away"));
            }
            StoreChoice::File(path) => Some(path.clone()),
            _ => None,
        };
        let mut faulted = run_faulted(entry, options, plan)?;
        if let Some(path) = store {
            faulted.keep(&path)?;
        }
        print(&if json { format!("{}\n", faulted.json()) } else { faulted.text() })?;
        return Ok(if faulted.is_clean() { Exit::Done } else { Exit::No });
    }
    let options = args.options()?;
    if export_choice.0.is_some() && matches!(options.store, StoreChoice::None | StoreChoice::Memory) {
        return Err(Error::new("option --export: there is no store to export from")
            .hint("use --store FILE, or leave --store out"));
    }
    let job = Job::prepare(entry, options)?;
    let outcome = (entry.backtest)(job)?;
    print(&if json { outcome.json()? } else { outcome.table() })?;
    let target = match export_choice {
        (Some(directory), _) => Some(directory),
        (None, true) => None,
        (None, false) => outcome.default_export(),
    };
    if let (Some(directory), Some(store)) = (target, outcome.store.as_deref()) {
        let written = export::export(store, &directory, export::Format::Csv)?;
        if !json {
            say(&format!("export: {} ({} files)", directory.display(), written.len()));
        }
    }
    Ok(Exit::Done)
}

impl Args {
    fn options(self) -> Result<Options, Error> {
        Ok(Options {
            params: self.param,
            limits: self.limits.limits()?,
            scene: self.exchange.scene(self.data)?,
            store: match self.store.as_deref() {
                None => StoreChoice::NewRun,
                Some("memory") => StoreChoice::Memory,
                Some("none") => StoreChoice::None,
                Some(path) => StoreChoice::File(named("--store", path)?.into()),
            },
        })
    }
}
