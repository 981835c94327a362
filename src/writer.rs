//! The RunLog of a backtest: a file written by a thread of its own, memory, or nothing.
//!
//! A backtest's world is inside the process, so nothing outside can have seen what a crash takes away: the file is committed in
//! batches while the engine goes on. Live, every step is committed before its requests leave.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

use alphaengine_core::event::Recorded;
use alphaengine_core::store::{Error, EventLog, Hash, MemoryLog, NoLog, SqliteStore};

/// Events that travel together.
const BATCH: usize = 1_024;
/// Batches that may wait for the writer: the engine is held back before memory grows.
const WAITING: usize = 64;
/// Events of one transaction.
const COMMIT_EVERY: u64 = 16_384;

/// Where a backtest's events go.
pub enum RunLog {
    None(NoLog),
    Memory(MemoryLog),
    File(FileWriter),
}

/// The engine's end of the thread that writes a file.
pub struct FileWriter {
    batch: Vec<Recorded>,
    to_writer: Option<SyncSender<Message>>,
    thread: Option<JoinHandle<Result<SqliteStore, Failed>>>,
}

/// A store that could not go on, and why. In a box, because a store is large.
type Failed = Box<(SqliteStore, Error)>;

enum Message {
    Append(Vec<Recorded>),
    Contains(String, Sender<Result<bool, Error>>),
}

impl FileWriter {
    /// Starts the thread.
    pub fn start(store: SqliteStore) -> Result<FileWriter, Error> {
        let (to_writer, messages) = sync_channel(WAITING);
        let spawned = std::thread::Builder::new().name("store-writer".into()).spawn(move || write(store, &messages));
        let thread = spawned.map_err(|error| Error::WriterGone(error.to_string()))?;
        Ok(FileWriter { batch: Vec::with_capacity(BATCH), to_writer: Some(to_writer), thread: Some(thread) })
    }

    fn send(&mut self) -> Result<(), Error> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        let sent = self.to_writer.as_ref().is_some_and(|writer| writer.send(Message::Append(batch)).is_ok());
        if sent { Ok(()) } else { Err(self.reason()) }
    }

    /// Why the writer stopped. The file of a run that cannot go on is removed.
    fn reason(&mut self) -> Error {
        self.to_writer = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(Err(failed))) => {
                let (store, error) = *failed;
                store.abandon();
                error
            }
            Some(Err(_)) => Error::WriterGone("its thread panicked, which is a defect".into()),
            _ => Error::WriterGone("it was closed before the run ended".into()),
        }
    }

    /// Waits until everything is written and hands the store back.
    pub fn finish(mut self) -> Result<SqliteStore, Error> {
        self.send()?;
        self.to_writer = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(Ok(store))) => Ok(store),
            Some(Ok(Err(failed))) => {
                let (store, error) = *failed;
                store.abandon();
                Err(error)
            }
            _ => Err(Error::WriterGone("its thread panicked, which is a defect".into())),
        }
    }
}

fn write(mut store: SqliteStore, messages: &Receiver<Message>) -> Result<SqliteStore, Failed> {
    let mut waiting = 0;
    while let Ok(message) = messages.recv() {
        let done = match message {
            Message::Append(events) => {
                waiting += events.len() as u64;
                store.append(&events)
            }
            Message::Contains(key, answer) => {
                let _ = answer.send(store.contains(&key));
                Ok(())
            }
        };
        let done = done.and_then(|()| if waiting >= COMMIT_EVERY { store.commit() } else { Ok(()) });
        if let Err(error) = done {
            return Err(Box::new((store, error)));
        }
        waiting = if waiting >= COMMIT_EVERY { 0 } else { waiting };
    }
    match store.commit() {
        Ok(()) => Ok(store),
        Err(error) => Err(Box::new((store, error))),
    }
}

impl EventLog for FileWriter {
    fn append(&mut self, events: &[Recorded]) -> Result<(), Error> {
        self.batch.extend_from_slice(events);
        if self.batch.len() >= BATCH { self.send() } else { Ok(()) }
    }

    /// The thread commits by itself; a backtest does not wait for it.
    fn commit(&mut self) -> Result<(), Error> {
        Ok(())
    }

    fn contains(&mut self, dedup_key: &str) -> Result<bool, Error> {
        self.send()?;
        let (answer, answered) = channel();
        let asked = Message::Contains(dedup_key.to_owned(), answer);
        let sent = self.to_writer.as_ref().is_some_and(|writer| writer.send(asked).is_ok());
        match sent.then(|| answered.recv()) {
            Some(Ok(result)) => result,
            _ => Err(self.reason()),
        }
    }
}

impl RunLog {
    /// The hash of the last row of a log in memory.
    pub fn memory_hash(&self) -> Option<Hash> {
        match self {
            RunLog::Memory(log) => Some(log.hash()),
            _ => None,
        }
    }

    /// Removes what was written so far.
    pub fn abandon(self) {
        if let RunLog::File(writer) = self
            && let Ok(store) = writer.finish()
        {
            store.abandon();
        }
    }
}

impl EventLog for RunLog {
    fn append(&mut self, events: &[Recorded]) -> Result<(), Error> {
        match self {
            RunLog::None(log) => log.append(events),
            RunLog::Memory(log) => log.append(events),
            RunLog::File(log) => log.append(events),
        }
    }

    fn commit(&mut self) -> Result<(), Error> {
        match self {
            RunLog::None(log) => log.commit(),
            RunLog::Memory(log) => log.commit(),
            RunLog::File(log) => log.commit(),
        }
    }

    fn contains(&mut self, dedup_key: &str) -> Result<bool, Error> {
        match self {
            RunLog::None(log) => log.contains(dedup_key),
            RunLog::Memory(log) => log.contains(dedup_key),
            RunLog::File(log) => log.contains(dedup_key),
        }
    }
}
