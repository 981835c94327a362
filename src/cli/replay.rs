//! `alphaengine replay`: run a tape again and compare.

use std::path::PathBuf;

use clap::Parser;

use super::{Exit, print};
use crate::Strategies;
use crate::error::Error;
use crate::live::ReplayJob;

#[derive(Parser)]
pub struct Args {
    /// The tape, or a directory with one
    #[arg(long, value_name = "FILE|DIR")]
    tape: PathBuf,
    /// Compare with the store that the session wrote and print the first difference (exit 1)
    #[arg(long)]
    diff: bool,
    /// That store, where it is not where the tape says
    #[arg(long, value_name = "FILE")]
    store: Option<PathBuf>,
}

pub fn replay(args: Args, strategies: &Strategies) -> Result<Exit, Error> {
    let tape = find(&args.tape)?;
    let entry = strategies.find(&ReplayJob::strategy_of(&tape)?)?;
    let job = ReplayJob::prepare(entry, &tape, args.store, args.diff)?;
    let outcome = (entry.replay)(job)?;
    let mut text = format!("{} entries, {} events\n", outcome.entries, outcome.events);
    match &outcome.difference {
        Some((seq, stored, replayed)) => {
            text += &format!("event {seq} differs\n  store   {stored}\n  replay  {replayed}\n");
        }
        None if outcome.compared => text += &format!("the same {} events as in the store\n", outcome.compared_events),
        None => {}
    }
    print(&text)?;
    Ok(if outcome.difference.is_some() { Exit::No } else { Exit::Done })
}

/// A directory stands for its only tape.
fn find(path: &std::path::Path) -> Result<PathBuf, Error> {
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let unreadable = |error: std::io::Error| Error::new(format!("{}: cannot be read: {error}", path.display()));
    let mut tapes = Vec::new();
    for file in std::fs::read_dir(path).map_err(unreadable)? {
        let file = file.map_err(unreadable)?.path();
        if file.extension().is_some_and(|extension| extension == "jsonl") {
            tapes.push(file);
        }
    }
    tapes.sort();
    match tapes.as_slice() {
        [] => Err(Error::new(format!("{}: there is no tape", path.display()))
            .hint("`alphaengine live --record DIR` writes one")),
        [one] => Ok(one.clone()),
        [.., last] => Err(Error::new(format!("{}: there are {} tapes", path.display(), tapes.len()))
            .hint(format!("name one; the newest is {}", last.display()))),
    }
}
