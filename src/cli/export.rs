//! `alphaengine export`: a run as tables.

use std::path::PathBuf;

use clap::Parser;

use super::{Exit, print};
use crate::error::Error;
use crate::{export, runs};

#[derive(Parser)]
pub struct Args {
    /// Which run: latest, a number, a session id, or a store file
    #[arg(long, default_value = "latest")]
    run: String,
    /// Where the files go; made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[arg(long, default_value = "csv", value_parser = ["csv", "parquet"])]
    format: String,
    /// Where runs are kept
    #[arg(long, default_value = runs::DIRECTORY, value_name = "DIR")]
    runs: PathBuf,
}

pub fn export(args: &Args) -> Result<Exit, Error> {
    let store = runs::find(&args.runs, &args.run)?;
    let format = if args.format == "parquet" { export::Format::Parquet } else { export::Format::Csv };
    let written = export::export(&store, &args.out, format)?;
    for path in written {
        print(&format!("{}\n", path.display()))?;
    }
    Ok(Exit::Done)
}
