//! `alphaengine store`: prove an event store, mend it, measure it, ask it.

use std::path::{Path, PathBuf};

use alphaengine_core::store::{self, Answer, StoreReader};
use alphaengine_live::clock::now;
use clap::{Parser, Subcommand};
use serde_json::json;

use super::table::{Form, Table, json_text};
use super::{Exit, print};
use crate::error::Error;
use crate::runs::{self, store_error};

#[derive(Subcommand)]
pub enum Verb {
    /// Check the file, the hash chain, the head mark, the fold, the checkpoints, the projections and the journal (exit 1 when
    /// something is wrong)
    Verify(Which),
    /// Make a damaged store anew from what of it is in order, and move the damaged files aside (`live` does it by itself)
    Repair(Which),
    /// Count rows and events
    Stats(Stats),
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

#[derive(Parser)]
pub struct Stats {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    form: Form,
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
    fn path(&self) -> Result<PathBuf, Error> {
        match runs::find(&self.runs, &self.store) {
            Ok(path) => Ok(path),
            // A name that looks like a file is one that is missing.
            Err(_) if self.store.contains(['/', '.']) => Ok(self.store.clone().into()),
            Err(error) => Err(error),
        }
    }

    fn open(&self) -> Result<StoreReader, Error> {
        StoreReader::open(&self.path()?).map_err(store_error)
    }
}

pub fn run(verb: &Verb) -> Result<Exit, Error> {
    match verb {
        Verb::Verify(which) => verify(&which.open()?),
        Verb::Repair(which) => repair(&which.path()?),
        Verb::Stats(Stats { which, form }) => stats(&which.open()?, *form),
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
        text += "  `alphaengine live` on it, or `alphaengine store repair`, keeps what is in order and moves these files aside;\n";
        text += "  what the exchange knows of the rest, a live session reads again.\n";
    }
    text += &format!("log   {}\nstate {}\n", verdict.log_hash, verdict.state_hash);
    print(&text)?;
    Ok(if verdict.is_good() { Exit::Done } else { Exit::No })
}

fn repair(path: &Path) -> Result<Exit, Error> {
    let mut text = format!("{}\n", path.display());
    match store::repair(path, now()).map_err(store_error)? {
        None => text += "good: nothing to repair\n",
        Some(recovered) => {
            text += &format!("damaged: {}\n", recovered.problem);
            text += &format!(
                "kept: events 1 to {}; the damaged files are {}*\n",
                recovered.kept_until_seq, recovered.moved_to
            );
            text += &match recovered.marked_seq {
                Some(marked) if marked > recovered.kept_until_seq => {
                    format!("lost: events {} to {marked}\n", recovered.kept_until_seq + 1)
                }
                Some(_) => "lost: nothing that was durable\n".to_owned(),
                None => "lost: nobody can tell, because the head mark says nothing of it\n".to_owned(),
            };
            if recovered.has_lost() {
                text += "A live session on it reads from the exchange what that knows, and is SAFE until `alphaengine command resume`.\n";
            }
        }
    }
    print(&text)?;
    Ok(Exit::Done)
}

fn stats(reader: &StoreReader, form: Form) -> Result<Exit, Error> {
    let stats = reader.stats().map_err(store_error)?;
    let path = reader.path().display().to_string();
    if form.json {
        let counts = |counts: &[(String, u64)]| counts.iter().cloned().collect::<std::collections::BTreeMap<_, _>>();
        print(&json_text(&json!({
            "store": path,
            "schema_version": stats.schema_version,
            "bytes": stats.bytes,
            "first": stats.first.map(|at| at.to_string()),
            "last": stats.last.map(|at| at.to_string()),
            "tables": counts(&stats.tables),
            "events": counts(&stats.events),
        })))?;
        return Ok(Exit::Done);
    }
    let mut text = format!("{path}  schema {}, {} bytes\n", stats.schema_version, stats.bytes);
    if let (Some(first), Some(last)) = (stats.first, stats.last) {
        text += &format!("{first} to {last}\n");
    }
    for (head, counts) in [(&["TABLE", "ROWS"], &stats.tables), (&["EVENT", "COUNT"], &stats.events)] {
        let rows = counts.iter().map(|(name, count)| vec![name.clone(), count.to_string()]).collect();
        text += &format!("\n{}", Table::new(head, &[false, true], rows).to_text());
    }
    print(&text)?;
    Ok(Exit::Done)
}

/// The way the `sqlite3` shell shows answers: values between bars.
fn show(answer: &Answer) -> String {
    let mut text = answer.columns.join("|") + "\n";
    answer.rows.iter().for_each(|row| text += &(row.join("|") + "\n"));
    text
}
