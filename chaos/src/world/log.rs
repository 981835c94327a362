//! A WatchedLog is the bot's own log with somebody looking over its shoulder.

use std::cell::RefCell;
use std::rc::Rc;

use alphaengine_core::event::Recorded;
use alphaengine_core::store::{Error, EventLog};
use alphaengine_core::units::Timestamp;

use super::opening::Opening;

/// What the log did.
#[derive(Debug)]
pub(crate) enum LogNews {
    Opened(Box<Opening>),
    Appended(Vec<Recorded>),
    Committed { ok: bool },
}

/// What was seen and nobody has told yet.
#[derive(Debug, Default)]
pub(crate) struct Watch {
    pub news: Vec<LogNews>,
    /// Events that were appended and not committed since.
    pub uncommitted: usize,
    /// The next opening of the store proves all of it first.
    pub is_doubtful: bool,
    /// The world's time.
    pub now: Timestamp,
    /// What the last process knew when it ended: the number of its last event, all of them committed, and the hash of its state.
    pub last_words: Option<(u64, [u8; 32])>,
}

/// A log under watch.
#[derive(Debug)]
pub(crate) struct WatchedLog<L> {
    log: L,
    watch: Rc<RefCell<Watch>>,
}

impl<L> WatchedLog<L> {
    pub fn new(log: L, watch: Rc<RefCell<Watch>>) -> WatchedLog<L> {
        WatchedLog { log, watch }
    }

    pub fn into_inner(self) -> L {
        self.log
    }
}

impl<L: EventLog> EventLog for WatchedLog<L> {
    fn append(&mut self, events: &[Recorded]) -> Result<(), Error> {
        let appended = self.log.append(events);
        let mut watch = self.watch.borrow_mut();
        watch.uncommitted += events.len();
        if appended.is_ok() {
            watch.news.push(LogNews::Appended(events.to_vec()));
        }
        appended
    }

    fn commit(&mut self) -> Result<(), Error> {
        let committed = self.log.commit();
        let mut watch = self.watch.borrow_mut();
        if committed.is_ok() {
            watch.uncommitted = 0;
        }
        watch.news.push(LogNews::Committed { ok: committed.is_ok() });
        committed
    }

    fn contains(&mut self, dedup_key: &str) -> Result<bool, Error> {
        self.log.contains(dedup_key)
    }

    fn rebuild_projections(&mut self) -> Result<(), Error> {
        self.log.rebuild_projections()
    }
}
