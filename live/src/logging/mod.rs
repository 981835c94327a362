//! Logs go to standard error, one line an event: for people on a terminal, as JSON for machines.
//!
//! A log never stops the program: lines are written by a thread of their own, and when that thread cannot keep up or cannot write
//! (a closed pipe, a full disk, a stopped terminal) lines are left out and counted. The same
//! line is said once in ten seconds and then counted, and what looks like a key or a signature is never written ([`redact()`]).

#![allow(clippy::disallowed_methods, reason = "a log lives in real time")]

mod layer;
mod redact;
mod repeats;
mod writer;

use std::io::Write;

pub use tracing::Level;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub use self::layer::LogLayer;
pub use self::redact::redact;
pub use self::writer::LogGuard;

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `2026-11-25T12:00:00.000Z WARN  message  field=value`.
    Human {
        /// Whether the level is coloured: on a terminal, unless `NO_COLOR` is set.
        colour: bool,
        /// Whether a status line may stand where the next line comes.
        over_status: bool,
    },
    /// One object a line: `time`, `level`, `target`, `message`, then the fields.
    Json,
}

/// What is logged and how.
#[derive(Debug, Clone, Copy)]
pub struct LogConfig {
    pub format: Format,
    /// For the program's own crates; libraries are heard from WARN on.
    pub level: Level,
}

/// Why logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the log's thread cannot start ({0}): check the limit on processes (ulimit -u)")]
    Thread(std::io::Error),
    #[error("logging was set up twice: call it once, at the start of the program")]
    Twice,
}

/// Sends the logs of the whole process to standard error. Keep the guard until the end: dropping it waits a moment for the last
/// lines.
pub fn init(config: LogConfig) -> Result<LogGuard, Error> {
    let (layer, guard) = layer(config, Box::new(std::io::stderr()))?;
    tracing_subscriber::registry().with(layer).try_init().map_err(|_| Error::Twice)?;
    Ok(guard)
}

/// Says why the program ends, as a line of the log, where nothing but the log may be written.
pub fn last_words(sentence: &str, hint: Option<&str>) {
    match hint {
        Some(hint) => tracing::error!(hint, "{sentence}"),
        None => tracing::error!("{sentence}"),
    }
}

/// The same as a layer that writes elsewhere.
pub fn layer(config: LogConfig, out: Box<dyn Write + Send>) -> Result<(LogLayer, LogGuard), Error> {
    LogLayer::start(config, out).map_err(Error::Thread)
}
