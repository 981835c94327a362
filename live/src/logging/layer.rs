//! The log layer turns an event into one redacted line, unless the same was just said.

use std::fmt::{self, Write as _};
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use alphaengine_core::units::Timestamp;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use super::repeats::{Repeats, SPAN};
use super::writer::{self, Lines, LogGuard};
use super::{Format, LogConfig, redact};
use crate::clock::now;

/// Every crate and program of this house begins with it.
const OWN: &str = "alphaengine";

/// A `tracing` layer; see [`layer`](super::layer()).
pub struct LogLayer {
    config: LogConfig,
    repeats: Arc<Mutex<Repeats>>,
    lines: Lines,
}

impl LogLayer {
    pub(crate) fn start(config: LogConfig, out: Box<dyn Write + Send>) -> io::Result<(LogLayer, LogGuard)> {
        let repeats = Arc::new(Mutex::new(Repeats::default()));
        let note = move |lost| {
            let text = format!("{lost} log lines were left out: standard error is read too slowly");
            Line::new(Level::WARN, "alphaengine_live::logging", text).show(config.format)
        };
        let shared = Arc::clone(&repeats);
        let held = move |all| held_lines(&shared, config.format, all);
        let (lines, guard) = writer::start(out, note, held)?;
        Ok((LogLayer { config, repeats, lines }, guard))
    }
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        let own = metadata.target().starts_with(OWN);
        *metadata.level() <= if own { self.config.level } else { Level::WARN.min(self.config.level) }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::from_level(self.config.level))
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let about = event.metadata();
        let mut line = Line::new(*about.level(), about.target(), String::new());
        event.record(&mut line);
        for told in held_lines(&self.repeats, self.config.format, false) {
            self.lines.write(told);
        }
        let said = {
            let mut repeats = self.repeats.lock().unwrap_or_else(PoisonError::into_inner);
            let (message, whole) = line.keys();
            repeats.say(Instant::now(), &message, &whole)
        };
        if said {
            self.lines.write(line.show(self.config.format));
        }
    }
}

fn held_lines(repeats: &Mutex<Repeats>, format: Format, all: bool) -> Vec<String> {
    let held = repeats.lock().unwrap_or_else(PoisonError::into_inner).held(Instant::now(), all);
    held.into_iter().map(|(key, more)| Line::repeated(&key, more).show(format)).collect()
}

/// One event on its way to a line.
struct Line {
    at: Timestamp,
    level: Level,
    target: String,
    message: String,
    fields: Map<String, Value>,
}

/// Between the parts of a key; no level, target or message holds it once control characters are escaped.
const PART: char = '\u{1f}';

impl Line {
    fn new(level: Level, target: &str, message: String) -> Line {
        // Milliseconds are enough for people.
        let at = Timestamp::from_millis(now().millis()).unwrap_or(Timestamp::ZERO);
        Line { at, level, target: target.to_owned(), message, fields: Map::new() }
    }

    /// What says that a line was held back so many times.
    fn repeated(key: &str, more: u64) -> Line {
        let mut parts = key.splitn(4, PART);
        let level = parts.next().and_then(|level| level.parse().ok()).unwrap_or(Level::INFO);
        let target = parts.next().unwrap_or_default().to_owned();
        let message = parts.next().unwrap_or_default();
        let fields = parts.next().unwrap_or_default();
        let text = format!("{message}{fields} (and {more} more in the last {} s)", SPAN.as_secs());
        let mut line = Line::new(level, &target, text);
        line.fields.insert("repeated".to_owned(), more.into());
        line
    }

    /// The keys under which a repetition is recognised: without and with the fields.
    fn keys(&self) -> (String, String) {
        let message = format!("{}{PART}{}{PART}{}{PART}", self.level, self.target, plain(&self.message));
        let whole = format!("{message}{}", self.pairs());
        (message, whole)
    }

    fn show(&self, format: Format) -> String {
        let mut text = match format {
            Format::Human { colour, over_status } => {
                // The status line makes room; it comes back with its next second.
                let clear = if over_status { "\r\u{1b}[2K" } else { "" };
                clear.to_owned() + &self.human(colour)
            }
            Format::Json => self.json(),
        };
        if let std::borrow::Cow::Owned(redacted) = redact(&text) {
            text = redacted;
        }
        text.push('\n');
        text
    }

    fn human(&self, colour: bool) -> String {
        let (on, off) = match (colour, self.level) {
            (false, _) => ("", ""),
            (true, Level::ERROR) => ("\u{1b}[31m", "\u{1b}[0m"),
            (true, Level::WARN) => ("\u{1b}[33m", "\u{1b}[0m"),
            (true, Level::INFO) => ("\u{1b}[32m", "\u{1b}[0m"),
            (true, _) => ("\u{1b}[2m", "\u{1b}[0m"),
        };
        format!("{} {on}{:<5}{off} {}{}", self.at, self.level.as_str(), plain(&self.message), self.pairs())
    }

    fn pairs(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.fields {
            let shown = match value {
                Value::String(value) if !value.is_empty() && !value.contains([' ', '"', '=']) => plain(value),
                other => plain(&other.to_string()),
            };
            // Writing to a String does not fail.
            let _ = write!(text, " {name}={shown}");
        }
        text
    }

    fn json(&self) -> String {
        let mut object = Map::new();
        object.insert("time".to_owned(), self.at.to_string().into());
        object.insert("level".to_owned(), self.level.as_str().into());
        object.insert("target".to_owned(), self.target.clone().into());
        object.insert("message".to_owned(), self.message.clone().into());
        for (name, value) in &self.fields {
            let taken = object.contains_key(name);
            object.insert(if taken { format!("field_{name}") } else { name.clone() }, value.clone());
        }
        Value::Object(object).to_string()
    }

    fn field(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            ("message", other) => self.message = other.to_string(),
            (name, value) => {
                self.fields.insert(name.to_owned(), value);
            }
        }
    }
}

/// On one line and without anything that steers a terminal.
fn plain(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.field(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.field(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.field(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.field(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.field(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.field(field, value.into());
    }
}
