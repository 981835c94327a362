//! `alphaengine strategies`: which strategies there are, and what can be set.

use clap::Parser;

use super::table::{Form, Table};
use super::{Exit, print};
use crate::Strategies;
use crate::error::Error;

#[derive(Parser)]
pub struct Args {
    /// Show the parameters of this one
    name: Option<String>,
    #[command(flatten)]
    form: Form,
}

pub fn strategies(args: &Args, strategies: &Strategies) -> Result<Exit, Error> {
    match &args.name {
        None => {
            let rows: Vec<Vec<String>> =
                strategies.iter().map(|entry| vec![entry.info.name.into(), entry.info.about.into()]).collect();
            print(&args.form.show(&Table::new(&["STRATEGY", "ABOUT"], &[false, false], rows)))?;
        }
        Some(name) => {
            let info = &strategies.find(name)?.info;
            let row = |param: &alphaengine_core::params::Param| {
                vec![param.name.into(), param.default_text(), param.range(), param.help.into()]
            };
            let rows: Vec<Vec<String>> = info.params.iter().map(row).collect();
            let head = &["PARAMETER", "DEFAULT", "RANGE", "HELP"];
            let params = args.form.show(&Table::new(head, &[false, false, false, false], rows));
            let about = if args.form.json { String::new() } else { format!("{}: {}\n", info.name, info.about) };
            print(&(about + &params))?;
        }
    }
    Ok(Exit::Done)
}
