//! A worker is a child of a campaign: it reads tasks from its standard input, a line each, and answers each with a line of JSON.

use std::io::{BufRead, Write};

use serde::{Deserialize, Serialize};

use super::run::{SeedRun, Task};
use super::{Data, Plans};
use crate::error::Error;
use crate::registry::Entry;

/// What a worker says when it has read its data.
pub const READY: &str = "ready";

/// What a worker answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    Ran(SeedRun),
    /// It could not run.
    Failed {
        error: String,
        hint: Option<String>,
    },
}

/// Works until there is nothing more to do.
pub fn work(entry: &Entry, data: &Data, plans: &Plans) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    let mut say = |line: &str| writeln!(out, "{line}").and_then(|()| out.flush());
    // A parent that went away wants nothing more.
    if say(READY).is_err() {
        return Ok(());
    }
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        let task: Task = serde_json::from_str(&line).map_err(|error| Error::new(format!("a task is none: {error}")))?;
        let answer = match task.run(entry, data, plans) {
            Ok(run) => Answer::Ran(run),
            Err(error) => {
                Answer::Failed { error: error.message().to_owned(), hint: error.next_step().map(str::to_owned) }
            }
        };
        let text = serde_json::to_string(&answer).map_err(|error| Error::new(error.to_string()))?;
        if say(&text).is_err() {
            break;
        }
    }
    Ok(())
}
