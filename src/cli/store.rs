//! `alphaengine store`: prove an event store, measure it, ask it.

use std::path::PathBuf;

use alphaengine_core::store::{Answer, StoreReader};
use clap::{Parser, Subcommand};

use super::{Exit, print, table};
use crate::error::Error;
use crate::runs::{self, store_error};

#[derive(Subcommand)]
pub enum Verb {
    /// Check the file, the hash chain, the head mark, the fold, the checkpoints, the projections and the journal (exit 1 when
    /// something is wrong)
    Verify(Which),
    /// Count rows and events
    Stats(Which),
    /// Run SQL that only reads
    Sql(Sql),
}

#[derive(Parser)]
pub struct Which {
    /// A store file, or a run: latest, a number, a session id
    #[arg(default_value = "latest")]
    store: String,
    /// Where runs are kept
    #[arg(long, default_value = runs::DIRECTORY, value_name = "DIR")]
    runs: PathBuf,
}

/// `store sql SQL` asks the latest run, `store sql STORE SQL` another.
#[derive(Parser)]
#[command(allow_missing_positional = true)]
pub struct Sql {
    #[command(flatten)]
    which: Which,
    /// One or more statements, separated by semicolons
    sql: String,
}

impl Which {
    fn open(&self) -> Result<StoreReader, Error> {
        let path = match runs::find(&self.runs, &self.store) {
            Ok(path) => path,
            // A name that looks like a file is one that is missing.
            Err(_) if self.store.contains(['/', '.']) => self.store.clone().into(),
            Err(error) => return Err(error),
        };
        StoreReader::open(&path).map_err(store_error)
    }
}

pub fn store(verb: &Verb) -> Result<Exit, Error> {
    match verb {
        Verb::Verify(which) => verify(&which.open()?),
        Verb::Stats(which) => stats(&which.open()?),
        Verb::Sql(sql) => {
            let answers = sql.which.open()?.query(&sql.sql).map_err(store_error)?;
            answers.iter().filter(|answer| !answer.columns.is_empty()).try_for_each(|answer| print(&show(answer)))?;
            Ok(Exit::Done)
        }
    }
}

fn verify(reader: &StoreReader) -> Result<Exit, Error> {
    let verdict = reader.verify().map_err(store_error)?;
    let mut text = format!("{}\n", reader.path().display());
    if verdict.is_good() {
        text += &format!(
            "good: {} events; hash chain and head mark are whole; {} agrees; projections and journal add up\n",
            verdict.events,
            match verdict.checkpoints {
                1 => "1 checkpoint".to_owned(),
                count => format!("each of {count} checkpoints"),
            }
        );
    } else {
        text += &format!("DAMAGED: {} events, in order up to event {}\n", verdict.events, verdict.good_until);
        verdict.findings.iter().for_each(|finding| text += &format!("  - {finding}\n"));
        text += "  Do not trade on it: restore a backup, or begin a new store; what the exchange knows can be read again.\n";
    }
    text += &format!("log   {}\nstate {}\n", verdict.log_hash, verdict.state_hash);
    print(&text)?;
    Ok(if verdict.is_good() { Exit::Done } else { Exit::No })
}

fn stats(reader: &StoreReader) -> Result<Exit, Error> {
    let stats = reader.stats().map_err(store_error)?;
    let mut text = format!("{}  schema {}, {} bytes\n", reader.path().display(), stats.schema_version, stats.bytes);
    if let (Some(first), Some(last)) = (stats.first, stats.last) {
        text += &format!("{first} to {last}\n");
    }
    let rows = |counts: &[(String, u64)]| {
        counts.iter().map(|(name, count)| vec![name.clone(), count.to_string()]).collect::<Vec<_>>()
    };
    text += "\n";
    text += &table(&["TABLE", "ROWS"], &[false, true], &rows(&stats.tables));
    text += "\n";
    text += &table(&["EVENT", "COUNT"], &[false, true], &rows(&stats.events));
    print(&text)?;
    Ok(Exit::Done)
}

/// The way the `sqlite3` shell shows answers: values between bars.
fn show(answer: &Answer) -> String {
    let mut text = answer.columns.join("|") + "\n";
    answer.rows.iter().for_each(|row| text += &(row.join("|") + "\n"));
    text
}
