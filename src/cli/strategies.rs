//! `alphaengine strategies`: which strategies there are, and what can be set.

use clap::Parser;

use super::{Exit, print, table};
use crate::Strategies;
use crate::error::Error;

#[derive(Parser)]
pub struct Args {
    /// Show the parameters of this one
    name: Option<String>,
}

pub fn strategies(args: &Args, strategies: &Strategies) -> Result<Exit, Error> {
    match &args.name {
        None => {
            let rows: Vec<Vec<String>> =
                strategies.iter().map(|entry| vec![entry.info.name.into(), entry.info.about.into()]).collect();
            print(&table(&["STRATEGY", "WHAT IT DOES"], &[false, false], &rows))?;
        }
        Some(name) => {
            let info = &strategies.find(name)?.info;
            let row = |param: &alphaengine_core::params::Param| {
                vec![param.name.into(), param.default_text(), param.range(), param.help.into()]
            };
            let rows: Vec<Vec<String>> = info.params.iter().map(row).collect();
            let head = ["PARAMETER", "DEFAULT", "RANGE", "WHAT IT IS"];
            let mut text = format!("{}: {}\n", info.name, info.about);
            text += &table(&head, &[false, true, false, false], &rows);
            print(&text)?;
        }
    }
    Ok(Exit::Done)
}
