//! The command line: one verb, one file, one function. Results go to stdout, progress and errors to stderr.
//!
//! Exit 0: done. Exit 1: the run answered "no" (a damaged store, findings in data, a broken law). Exit 2: it could not run.

mod args;
mod backtest;
mod chaos;
mod command;
mod data;
mod exchange;
mod export;
mod live;
mod replay;
mod runs;
mod store;
mod strategies;
mod table;

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use table::Table;

use crate::Strategies;
use crate::error::Error;

/// How a verb ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Done,
    /// The answer is "no".
    No,
    /// It could not run, and has said so in a way of its own.
    Told,
}

#[derive(Parser)]
#[command(
    name = "alphaengine",
    version,
    about = "One strategy, the same engine: against recordings, and live against Binance USD-M Futures.",
    arg_required_else_help = true,
    max_term_width = 110
)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run a strategy over recorded data (or the built-in SYNTHETIC sample) and report
    Backtest(Box<backtest::Args>),
    /// Break everything around a strategy, seed after seed, and check that nothing is lost
    Chaos(Box<chaos::Args>),
    /// Say something to a running bot: pause, resume, cancel, close, order
    Command(command::Args),
    /// Fetch, import, list and check market data
    #[command(subcommand)]
    Data(data::Verb),
    /// Serve recorded data as a Binance exchange of our own
    #[command(subcommand)]
    Exchange(exchange::Verb),
    /// Write a run's tables as CSV or Parquet
    Export(export::Args),
    /// Run a strategy against Binance USD-M Futures, its testnet, or on paper
    Live(Box<live::Args>),
    /// Run a tape of a live session again and compare the events
    Replay(replay::Args),
    /// List and show runs
    #[command(subcommand)]
    Runs(runs::Verb),
    /// Verify, measure and query an event store
    #[command(subcommand)]
    Store(store::Verb),
    /// List the strategies, or the parameters of one
    Strategies(strategies::Args),
}

/// Runs the command line with these strategies. A program of your own calls this from `main`.
pub fn run(strategies: Strategies) -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are results; everything else is a usage error.
            let code = u8::try_from(error.exit_code()).unwrap_or(2);
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let result = match cli.verb {
        Verb::Backtest(args) => backtest::backtest(*args, &strategies),
        Verb::Chaos(args) => chaos::chaos(*args, &strategies),
        Verb::Command(args) => command::command(args),
        Verb::Data(verb) => data::data(verb),
        Verb::Exchange(verb) => exchange::exchange(verb),
        Verb::Export(args) => export::export(&args),
        Verb::Live(args) => live::live(*args, &strategies),
        Verb::Replay(args) => replay::replay(args, &strategies),
        Verb::Runs(verb) => runs::runs(&verb),
        Verb::Store(verb) => store::run(&verb),
        Verb::Strategies(args) => strategies::strategies(&args, &strategies),
    };
    match result {
        Ok(Exit::Done) => ExitCode::SUCCESS,
        Ok(Exit::No) => ExitCode::from(1),
        Ok(Exit::Told) => ExitCode::from(2),
        Err(error) => {
            complain(&error);
            ExitCode::from(2)
        }
    }
}

fn complain(error: &Error) {
    say(&format!("error: {error}"));
    if let Some(hint) = error.next_step() {
        say(&format!("hint: {hint}"));
    }
}

/// Prints a result. A reader that went away (`| head`) is no error; a result that reached nobody otherwise is.
pub fn print(text: &str) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::new(format!("the result cannot be written to the standard output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Tells a person something beside the result. Nobody need be there to hear it, which is why this is not `eprintln!`: that
/// one panics.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_command_line_does_not_contradict_itself() {
        Cli::command().debug_assert();
    }
}
