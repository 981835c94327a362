//! Log: the numbers of the events have no gap (I14) and their times never go back (I23). It keeps what was logged, to hold it against
//! what a reader finds after a crash.

use alphaengine_core::event::Recorded;
use alphaengine_core::units::Timestamp;

use super::entry::Entry;
use super::findings::Findings;
use super::invariant::Invariant::{I14, I23};

/// The log as it was written, and how far it was acknowledged.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub entries: Vec<Entry>,
    /// The last event of each commit, acknowledged or not.
    pub batches: Vec<u64>,
    /// The last event whose commit was acknowledged.
    pub acknowledged: u64,
    /// The last event that the process appended, whether or not it was found again.
    pub written: u64,
}

impl Log {
    pub fn last(&self) -> u64 {
        self.entries.last().map_or(0, |entry| entry.seq)
    }

    fn last_at(&self) -> Timestamp {
        self.entries.last().map_or(Timestamp::MIN, |entry| entry.at)
    }

    /// The engine appended an event.
    pub fn append(&mut self, entry: Entry, findings: &mut Findings) {
        let (last, last_at) = (self.last(), self.last_at());
        findings.check(I14, entry.seq == last + 1, || format!("event {} was appended after event {last}", entry.seq));
        findings.check(I23, entry.at >= last_at, || {
            format!("event {} is of {}, and the event before it of {last_at}", entry.seq, entry.at)
        });
        if entry.seq <= self.written {
            // Another process writes what the one before had written and lost.
            let kept = self.batches.partition_point(|end| *end < entry.seq);
            self.batches.truncate(kept);
            self.acknowledged = self.acknowledged.min(last);
        }
        self.written = entry.seq;
        self.entries.push(entry);
    }

    /// What was appended since the last commit was committed, or nobody knows.
    pub fn commit(&mut self, ok: bool) {
        let last = self.last();
        if self.batches.last() != Some(&last) {
            self.batches.push(last);
        }
        if ok {
            self.acknowledged = self.acknowledged.max(last);
        }
    }

    /// A reader found the log so: what it has beyond what was written is taken as it is, and all of it is durable.
    pub fn found(&mut self, log: &[Recorded]) {
        let known = self.last();
        self.entries.extend(log.iter().filter(|recorded| recorded.seq > known).map(Entry::of));
        self.acknowledged = self.last();
        self.written = self.acknowledged;
        self.batches.clear();
        self.batches.push(self.acknowledged);
    }

    /// The store is another one, whatever was written before.
    pub fn replace(&mut self, log: &[Recorded]) {
        self.entries.clear();
        self.found(log);
    }

    /// A process went on after this event: what came later is not in its store. True where something was taken away.
    pub fn rewind(&mut self, seq: u64) -> bool {
        let kept = self.entries.partition_point(|entry| entry.seq <= seq);
        let is_shorter = kept < self.entries.len();
        self.entries.truncate(kept);
        is_shorter
    }
}
