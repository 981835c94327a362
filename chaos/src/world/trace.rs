//! The Trace is what two runs of the same must have in common: a hash of every event, every request and every byte on the disk.
//! On demand it is readable as well.

use alphaengine_core::event::Recorded;
use alphaengine_core::units::{NANOS_PER_MILLI, Timestamp};
use sha2::{Digest, Sha256};

#[derive(Debug)]
pub(super) struct Trace {
    hash: Sha256,
    buffer: Vec<u8>,
    lines: Option<Vec<String>>,
    opening: Timestamp,
}

impl Trace {
    pub fn new(is_readable: bool, opening: Timestamp) -> Trace {
        Trace { hash: Sha256::new(), buffer: Vec::new(), lines: is_readable.then(Vec::new), opening }
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
    }

    pub fn event(&mut self, at: Timestamp, recorded: &Recorded) {
        self.buffer.clear();
        self.buffer.extend_from_slice(&recorded.seq.to_le_bytes());
        self.buffer.extend_from_slice(&recorded.at.nanos().to_le_bytes());
        self.buffer.extend_from_slice(recorded.event.event_type().as_bytes());
        let _ = recorded.event.write_payload(&mut self.buffer);
        self.hash.update(&self.buffer);
        if self.lines.is_some() {
            let (seq, kind) = (recorded.seq, recorded.event.event_type());
            let payload = String::from_utf8_lossy(self.buffer.get(16 + kind.len()..).unwrap_or_default()).into_owned();
            self.note(at, || format!("   event {seq} {kind} {payload}"));
        }
    }

    /// A line for the reader, in milliseconds since the opening.
    pub fn note(&mut self, at: Timestamp, line: impl FnOnce() -> String) {
        let since = at.since(self.opening) / NANOS_PER_MILLI;
        if let Some(lines) = &mut self.lines {
            lines.push(format!("{since:>9} {}", line()));
        }
    }

    /// Of everything so far and what stands on the disk.
    pub fn hash(&self, disk: &[u8; 32]) -> [u8; 32] {
        let mut hash = self.hash.clone();
        hash.update(disk);
        hash.finalize().into()
    }

    pub fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }
}
