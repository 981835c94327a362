//! A Tape keeps everything that reached a bot, in order, so that the same can be run again.
//!
//! Its lines are those of a recording: the local time in nanoseconds, a space, and the raw JSON frame. What is no frame (answers,
//! sockets, operators, the moments at which the bot was woken) stands between them as an object with the key `ae`, which a reader
//! of market data passes over. A frame belongs to the socket that the last `frames` line named.
//!
//! A listen key lets whoever has it read along, for as long as the bot keeps it alive. On the tape it has another name, the same
//! everywhere, so that the bot which hears the tape finds it again. And only the owner can read a tape: it tells of an account.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use alphaengine_core::command::{OperatorCommand, StopPolicy};
use alphaengine_core::link::LinkUpdate;
use alphaengine_core::units::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::bot::News;
use crate::logging::redact;
use crate::wire::{HttpId, HttpResponse, SocketId, TransportError};

/// What a tape begins with: all that the bot was made of, secrets left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Begin {
    pub program: String,
    /// The store, and the number of the last event that was in it.
    pub store: String,
    pub seq: u64,
    /// Engine, session and strategy, as the program that wrote it describes them.
    pub recipe: Value,
}

/// A line that is no frame.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "ae", rename_all = "snake_case")]
enum Mark {
    Begin(Box<Begin>),
    Start,
    Http {
        id: u64,
        status: u16,
        headers: Vec<(String, String)>,
        body: String,
    },
    Lost {
        id: u64,
        sent: bool,
        why: String,
    },
    Opened {
        socket: u64,
    },
    Closed {
        socket: u64,
        why: String,
    },
    /// The frames that follow came on this socket.
    Frames {
        socket: u64,
    },
    /// A frame that is not one line of JSON.
    Odd {
        socket: u64,
        text: String,
    },
    Link {
        update: LinkUpdate,
    },
    Operator {
        command: OperatorCommand,
    },
    Stop {
        policy: StopPolicy,
    },
    Wake,
    End,
}

/// Writes a tape. A disk that fails ends the recording, not the bot: [`Recorder::problem`] tells.
#[derive(Debug)]
pub struct Recorder {
    out: BufWriter<File>,
    path: PathBuf,
    socket: Option<SocketId>,
    /// The listen keys that the exchange gave, the newest last.
    listen_keys: Vec<String>,
    keys_given: u64,
    problem: Option<io::Error>,
}

/// So many listen keys are known at a time: events of older ones are long over.
const LISTEN_KEYS: usize = 4;

impl Recorder {
    /// Begins a tape in this directory, named by the time.
    pub fn create(directory: &Path, at: Timestamp, begin: &Begin) -> io::Result<Recorder> {
        std::fs::create_dir_all(directory)?;
        let path = directory.join(format!("tape-{}.jsonl", at.millis()));
        let out = BufWriter::new(private(&path)?);
        let listen_keys = Vec::new();
        let mut recorder = Recorder { out, path, socket: None, listen_keys, keys_given: 0, problem: None };
        recorder.mark(at, &Mark::Begin(Box::new(begin.clone())));
        recorder.mark(at, &Mark::Start);
        match recorder.problem.take() {
            Some(error) => Err(error),
            None => Ok(recorder),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why nothing is written any more.
    pub fn problem(&self) -> Option<&io::Error> {
        self.problem.as_ref()
    }

    /// Writes what the bot is about to hear.
    pub fn write(&mut self, at: Timestamp, news: &News<'_>) {
        match news {
            News::Frame { socket, text } => self.frame(at, *socket, text),
            News::Http { id, answer: Ok(response) } => {
                // A redirect may quote the signed query.
                let shown = |(name, value): &(String, String)| (name.clone(), redact(value).into_owned());
                let (status, headers) = (response.status, response.headers.iter().map(shown).collect());
                let body = String::from_utf8_lossy(&response.body);
                self.learn_listen_key(&body);
                let body = if body.contains("listenKey") { self.without_listen_keys(&body) } else { body.into_owned() };
                self.mark(at, &Mark::Http { id: id.0, status, headers, body });
            }
            News::Http { id, answer: Err(error) } => {
                let (sent, why) = match error {
                    TransportError::NotSent(why) => (false, why.clone()),
                    TransportError::Lost(why) => (true, why.clone()),
                };
                self.mark(at, &Mark::Lost { id: id.0, sent, why });
            }
            News::Opened { socket } => self.mark(at, &Mark::Opened { socket: socket.0 }),
            News::Closed { socket, why } => self.mark(at, &Mark::Closed { socket: socket.0, why: (*why).into() }),
            News::Link(update) => self.mark(at, &Mark::Link { update: update.clone() }),
            News::Operator(command) => self.mark(at, &Mark::Operator { command: (*command).clone() }),
            News::Stop(policy) => self.mark(at, &Mark::Stop { policy: *policy }),
            News::Wake => self.mark(at, &Mark::Wake),
            News::End => self.mark(at, &Mark::End),
        }
    }

    /// Hands everything to the operating system.
    pub fn flush(&mut self) {
        if let Err(error) = self.out.flush() {
            self.problem.get_or_insert(error);
        }
    }

    /// The answer that gives a listen key has nothing else in it.
    fn learn_listen_key(&mut self, body: &str) {
        let value = body.trim_start().starts_with(r#"{"listenKey""#).then(|| serde_json::from_str::<Value>(body));
        let Some(Ok(value)) = value else { return };
        let Some(key) = value.get("listenKey").and_then(Value::as_str).filter(|key| !key.is_empty()) else { return };
        if self.listen_keys.iter().any(|known| known == key) {
            return;
        }
        if self.listen_keys.len() == LISTEN_KEYS {
            self.listen_keys.remove(0);
        }
        self.listen_keys.push(key.to_owned());
        self.keys_given += 1;
    }

    fn without_listen_keys(&self, text: &str) -> String {
        let first = self.keys_given - self.listen_keys.len() as u64;
        let name = |(place, key): (u64, &String)| (format!("listen-key-{}", first + place), key.clone());
        let names: Vec<(String, String)> = (1..).zip(&self.listen_keys).map(name).collect();
        names.iter().fold(text.to_owned(), |text, (name, key)| text.replace(key, name))
    }

    fn frame(&mut self, at: Timestamp, socket: SocketId, text: &[u8]) {
        if text.windows(LISTEN_KEY.len()).any(|part| part == LISTEN_KEY) {
            let text = self.without_listen_keys(&String::from_utf8_lossy(text));
            return self.plain_frame(at, socket, text.as_bytes());
        }
        self.plain_frame(at, socket, text);
    }

    fn plain_frame(&mut self, at: Timestamp, socket: SocketId, text: &[u8]) {
        let is_line = text.starts_with(b"{") && !text.contains(&b'\n') && std::str::from_utf8(text).is_ok();
        if !is_line {
            let text = String::from_utf8_lossy(text).into_owned();
            return self.mark(at, &Mark::Odd { socket: socket.0, text });
        }
        if self.socket != Some(socket) {
            self.socket = Some(socket);
            self.mark(at, &Mark::Frames { socket: socket.0 });
        }
        self.line(at, text);
    }

    fn mark(&mut self, at: Timestamp, mark: &Mark) {
        match serde_json::to_vec(mark) {
            Ok(json) => self.line(at, &json),
            Err(error) => {
                self.problem.get_or_insert(io::Error::other(error));
            }
        }
    }

    fn line(&mut self, at: Timestamp, json: &[u8]) {
        if self.problem.is_some() {
            return;
        }
        let written = write!(self.out, "{} ", at.nanos())
            .and_then(|()| self.out.write_all(json))
            .and_then(|()| self.out.write_all(b"\n"));
        if let Err(error) = written {
            self.problem = Some(error);
        }
    }
}

/// What the frames have in them that name a listen key.
const LISTEN_KEY: &[u8] = b"listenKey";

/// A new file that its owner alone can read.
fn private(path: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// One thing on a tape.
#[derive(Debug)]
pub enum Entry {
    Start,
    Http { id: HttpId, answer: Result<HttpResponse, TransportError> },
    Opened { socket: SocketId },
    Closed { socket: SocketId, why: String },
    Frame { socket: SocketId, text: Vec<u8> },
    Link(LinkUpdate),
    Operator(OperatorCommand),
    Stop(StopPolicy),
    Wake,
    End,
}

impl Entry {
    /// As the bot hears it; `None` for the start.
    pub fn news(&self) -> Option<News<'_>> {
        Some(match self {
            Entry::Start => return None,
            Entry::Http { id, answer } => News::Http { id: *id, answer: answer.clone() },
            Entry::Opened { socket } => News::Opened { socket: *socket },
            Entry::Closed { socket, why } => News::Closed { socket: *socket, why },
            Entry::Frame { socket, text } => News::Frame { socket: *socket, text },
            Entry::Link(update) => News::Link(update.clone()),
            Entry::Operator(command) => News::Operator(command),
            Entry::Stop(policy) => News::Stop(*policy),
            Entry::Wake => News::Wake,
            Entry::End => News::End,
        })
    }
}

/// Why a tape cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path}: line {line}: {problem}")]
    Line { path: PathBuf, line: u64, problem: String },
    #[error("{path}: is not a tape: it does not begin with how the bot was made")]
    NoBegin { path: PathBuf },
}

/// Reads a tape. A last line that is cut off, as a killed process leaves it, ends it.
pub struct Reader {
    lines: BufReader<File>,
    path: PathBuf,
    number: u64,
    socket: SocketId,
    begin: Begin,
}

impl Reader {
    pub fn open(path: &Path) -> Result<Reader, Error> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        let file = File::open(path).map_err(io)?;
        let mut lines = BufReader::new(file);
        let mut first = String::new();
        lines.read_line(&mut first).map_err(io)?;
        let json = first.split_once(' ').map_or("", |(_, json)| json);
        match serde_json::from_str(json) {
            Ok(Mark::Begin(begin)) => {
                Ok(Reader { lines, path: path.to_owned(), number: 1, socket: SocketId(0), begin: *begin })
            }
            _ => Err(Error::NoBegin { path: path.to_owned() }),
        }
    }

    pub fn begin(&self) -> &Begin {
        &self.begin
    }

    /// The next entry with its time.
    pub fn next_entry(&mut self) -> Result<Option<(Timestamp, Entry)>, Error> {
        loop {
            let mut line = Vec::new();
            let read = self.lines.read_until(b'\n', &mut line);
            let read = read.map_err(|source| Error::Io { path: self.path.clone(), source })?;
            if read == 0 || line.last() != Some(&b'\n') {
                return Ok(None);
            }
            line.pop();
            self.number += 1;
            if let Some(entry) = self.entry(&line)? {
                return Ok(Some(entry));
            }
        }
    }

    fn entry(&mut self, line: &[u8]) -> Result<Option<(Timestamp, Entry)>, Error> {
        let bad = |problem: String| Error::Line { path: self.path.clone(), line: self.number, problem };
        let space = line.iter().position(|byte| *byte == b' ').ok_or_else(|| bad("it has no time".into()))?;
        let (time, json) = (&line[..space], &line[space + 1..]);
        let time: Option<i64> = std::str::from_utf8(time).ok().and_then(|time| time.parse().ok());
        let at = Timestamp::from_nanos(time.ok_or_else(|| bad("its time is not a number".into()))?);
        if !json.starts_with(br#"{"ae":"#) {
            return Ok(Some((at, Entry::Frame { socket: self.socket, text: json.to_vec() })));
        }
        let mark = serde_json::from_slice(json).map_err(|error| bad(error.to_string()))?;
        let entry = match mark {
            Mark::Begin(_) => return Err(bad("a second beginning".into())),
            Mark::Start => Entry::Start,
            Mark::Http { id, status, headers, body } => {
                Entry::Http { id: HttpId(id), answer: Ok(HttpResponse { status, headers, body: body.into_bytes() }) }
            }
            Mark::Lost { id, sent, why } => {
                let error = if sent { TransportError::Lost(why) } else { TransportError::NotSent(why) };
                Entry::Http { id: HttpId(id), answer: Err(error) }
            }
            Mark::Opened { socket } => Entry::Opened { socket: SocketId(socket) },
            Mark::Closed { socket, why } => Entry::Closed { socket: SocketId(socket), why },
            Mark::Frames { socket } => {
                self.socket = SocketId(socket);
                return Ok(None);
            }
            Mark::Odd { socket, text } => Entry::Frame { socket: SocketId(socket), text: text.into_bytes() },
            Mark::Link { update } => Entry::Link(update),
            Mark::Operator { command } => Entry::Operator(command),
            Mark::Stop { policy } => Entry::Stop(policy),
            Mark::Wake => Entry::Wake,
            Mark::End => Entry::End,
        };
        Ok(Some((at, entry)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_listen_key_is_on_a_tape_and_the_bot_that_hears_it_finds_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let begin = Begin { program: String::new(), store: String::new(), seq: 0, recipe: Value::Null };
        let mut recorder = Recorder::create(folder.path(), Timestamp::ZERO, &begin).unwrap();
        let answer = |body: &str| News::Http {
            id: HttpId(1),
            answer: Ok(HttpResponse {
                status: 200,
                headers: vec![("location".into(), "https://h/?signature=canary".into())],
                body: body.as_bytes().to_vec(),
            }),
        };
        let expired = |key: &str| format!(r#"{{"e":"listenKeyExpired","E":1,"listenKey":"{key}"}}"#);
        let socket = SocketId(1);
        recorder.write(Timestamp::ZERO, &answer(r#"{"listenKey":"canary-one"}"#));
        recorder.write(Timestamp::ZERO, &answer(r#"{"listenKey":"canary-two"}"#));
        recorder.write(Timestamp::ZERO, &answer(r#"{"listenKey":"canary-two"}"#));
        recorder.write(Timestamp::ZERO, &News::Frame { socket, text: expired("canary-one").as_bytes() });
        recorder.write(Timestamp::ZERO, &News::Frame { socket, text: expired("canary-two").as_bytes() });
        recorder.flush();
        let text = std::fs::read_to_string(recorder.path()).unwrap();
        assert!(!text.contains("canary"), "{text}");
        let mut reader = Reader::open(recorder.path()).unwrap();
        let mut told = Vec::new();
        while let Some((_, entry)) = reader.next_entry().unwrap() {
            match entry {
                Entry::Http { answer: Ok(response), .. } => told.push(String::from_utf8(response.body).unwrap()),
                Entry::Frame { text, .. } => told.push(String::from_utf8(text).unwrap()),
                _ => {}
            }
        }
        let given = |number: u32| format!(r#"{{"listenKey":"listen-key-{number}"}}"#);
        assert_eq!(told, [given(1), given(2), given(2), expired("listen-key-1"), expired("listen-key-2")]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(recorder.path()).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }
}
