//! A plan of faults from a file, and whether it fits a run.

use std::path::Path;

use alphaengine_core::instrument::Instruments;
use alphaengine_sim::faults::{FaultPlan, Format};

use crate::error::Error;

/// Reads a plan; TOML where the file's name ends so, else JSON.
pub fn read_plan(option: &str, path: &Path) -> Result<FaultPlan, Error> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::new(format!("option {option}: {}: cannot be read: {error}", path.display())))
        .map_err(|error| error.hint("name a file with a plan in JSON, or in TOML where its name ends so"))?;
    let is_toml = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
    FaultPlan::parse_as(if is_toml { Format::Toml } else { Format::Json }, &text).map_err(|error| {
        Error::new(format!("option {option}: {}: {error}", path.display()))
            .hint("docs/faults.md lists the kinds and shows plans")
    })
}

/// Refuses a plan of which an entry could do nothing, because the run has no such contract.
pub fn check_symbols(option: &str, plan: &FaultPlan, instruments: &Instruments) -> Result<(), Error> {
    let unknown =
        plan.0.iter().enumerate().find_map(|(at, planned)| Some((at, planned.fault.unknown_symbol(instruments)?)));
    let Some((at, name)) = unknown else { return Ok(()) };
    let known: Vec<&str> = instruments.iter().map(|(_, instrument)| instrument.symbol.as_str()).collect();
    let error = Error::new(format!("option {option}: entry {} names {name}, which is not traded here", at + 1));
    Err(error.hint(format!("the data have {}; name it, or add its data", known.join(" "))))
}
