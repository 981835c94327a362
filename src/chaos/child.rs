//! A Child is a worker seen from the campaign: asked for one seed at a time, and replaced when it dies.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::run::{SeedRun, Task};
use super::worker::{Answer, READY};
use crate::error::Error;

/// How a worker is started, and how long one waits for it.
#[derive(Debug, Clone)]
pub struct Recipe {
    /// What comes after the program's name.
    pub args: Vec<OsString>,
    /// After which a run counts as one that never ends.
    pub patience: Duration,
}

/// Lines of its standard error that are kept: the last ones say why it died.
const KEPT_LINES: usize = 5;

pub struct Child {
    process: std::process::Child,
    tasks: ChildStdin,
    answers: Receiver<String>,
    said: Arc<Mutex<VecDeque<String>>>,
    patience: Duration,
}

impl Child {
    /// Starts a worker and waits until it has its data.
    pub fn start(recipe: &Recipe) -> Result<Child, Error> {
        let failed = |error: std::io::Error| Error::new(format!("no worker could be started: {error}"));
        let program = std::env::current_exe().map_err(failed)?;
        let mut process = Command::new(program)
            .args(&recipe.args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        let (Some(tasks), Some(out), Some(err)) = (process.stdin.take(), process.stdout.take(), process.stderr.take())
        else {
            return Err(Error::new("a worker has no pipes"));
        };
        let said = Arc::new(Mutex::new(VecDeque::new()));
        let mut child = Child { process, tasks, answers: lines(out), said: said.clone(), patience: recipe.patience };
        keep_last(err, said);
        match child.hear() {
            Ok(line) if line == READY => Ok(child),
            Ok(line) => Err(Error::new(format!("a worker said `{line}` where it should be ready"))),
            Err(how) => Err(Error::new(format!("a worker could not begin: {how}"))),
        }
    }

    /// Has a seed run. A worker that dies over it has broken a law; it is to be replaced.
    pub fn ask(&mut self, task: &Task) -> Result<SeedRun, Error> {
        let text = serde_json::to_string(task).map_err(|error| Error::new(error.to_string()))?;
        // Where the pipe is broken, hearing says why.
        let _ = writeln!(self.tasks, "{text}").and_then(|()| self.tasks.flush());
        let line = match self.hear() {
            Ok(line) => line,
            Err(how) => return Ok(SeedRun::crashed(task.seed, &how)),
        };
        match serde_json::from_str(&line) {
            Ok(Answer::Ran(run)) => Ok(run),
            Ok(Answer::Failed { error, hint }) => {
                Err(Error::new(format!("seed {}: {error}", task.seed)).maybe_hint(hint))
            }
            Err(error) => Err(Error::new(format!("seed {}: a worker's answer is not understood: {error}", task.seed))),
        }
    }

    /// The next line, or in a sentence why there is none.
    fn hear(&mut self) -> Result<String, String> {
        match self.answers.recv_timeout(self.patience) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => {
                let _ = self.process.kill();
                Err(format!("the run did not end within {} s and its process was killed", self.patience.as_secs()))
            }
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.process.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
                let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
                let said: Vec<&str> = said.iter().map(String::as_str).collect();
                let colon = if said.is_empty() { "" } else { ": " };
                Err(format!("the process ended ({status}){colon}{}", said.join(" / ")))
            }
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // It may be in the middle of a run that nobody waits for.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn lines(out: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

fn keep_last(err: impl Read + Send + 'static, kept: Arc<Mutex<VecDeque<String>>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(err).lines().map_while(Result::ok) {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.push_back(line);
            if kept.len() > KEPT_LINES {
                kept.pop_front();
            }
        }
    });
}
