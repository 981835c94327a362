//! Recovery: what a new process finds in the store is what the old one wrote. Replaying it gives what the old one had (I12), from a
//! checkpoint too (I13), without a gap and with a chain that holds (I14); what was acknowledged is there (I15), and a commit that
//! failed or was cut off is there wholly or not at all (I16). Source: `simulation.md` sections 3 and 4.
//!
//! One append of the engine is one transaction with everything up to its commit, so a log ends where a commit ended.

use alphaengine_core::event::{Event, Recorded};
use alphaengine_core::state::State;

use super::entry::Entry;
use super::findings::Findings;
use super::invariant::Invariant::{I12, I13, I14, I15, I16};
use super::log::Log;

/// A hash of a state, as [`State::hash`] makes it.
pub type StateHash = [u8; 32];

/// What the world found in the store after a process ended, before the next one wrote anything.
#[derive(Debug, Clone, Copy)]
pub struct Recovery<'a> {
    /// The whole log, as a fresh reader reads it.
    pub log: &'a [Recorded],
    /// The state that the new process recovered.
    pub state: &'a State,
    /// Its hash.
    pub recovered: StateHash,
    /// The hash of a replay of `log` from its first event.
    pub replayed: StateHash,
    /// The hash of the newest checkpoint with the events after it; `None` without a checkpoint.
    pub from_checkpoint: Option<StateHash>,
    /// A state of the process that ended, if one is known that is not ahead of the log.
    pub known: Option<Known>,
    /// How far the mark beside the database says that the log is durable; `None` without one.
    pub head: Option<u64>,
    /// Whether each row's hash follows from the row and the hash before it.
    pub chain_holds: bool,
    /// The disk lost or changed what it had acknowledged (a lie about fsync, a flipped bit, an old backup): no writer can help that,
    /// so only what is left is judged.
    pub damaged: bool,
    /// The store was made anew from what of a damaged one could be trusted.
    pub salvaged: bool,
}

/// What a process had before it ended, and what the log gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// After this event.
    pub seq: u64,
    /// The process's own hash.
    pub live: StateHash,
    /// The hash of a replay of the log up to `seq`.
    pub replayed: StateHash,
}

pub(super) fn judge(log: &Log, recovery: &Recovery<'_>, findings: &mut Findings) {
    let found = recovery.log;
    let last = found.last().map_or(0, |recorded| recorded.seq);
    // What a disk changed before the newest checkpoint no start looks at: until the store is proven there is nothing to hold it to.
    if recovery.damaged && !recovery.chain_holds {
        return;
    }
    let gap = found.iter().zip(1u64..).find(|(recorded, place)| recorded.seq != *place);
    findings.check(I14, gap.is_none(), || {
        let seq = gap.map_or(0, |(recorded, _)| recorded.seq);
        format!("the recovered log has event {seq} at place {}", gap.map_or(0, |(_, place)| place))
    });
    if let Some(known) = recovery.known {
        let Known { seq, live, replayed } = known;
        findings.check(I12, live == replayed, || {
            format!("replaying the log up to event {seq} gives another state than the process had there")
        });
    }
    findings.check(I12, recovery.recovered == recovery.replayed && recovery.state.seq == last, || {
        format!(
            "the recovered state is that after event {}, and a replay of the log up to event {last} differs",
            recovery.state.seq
        )
    });
    if let Some(hash) = recovery.from_checkpoint {
        findings.check(I13, hash == recovery.replayed, || {
            format!("the checkpoint and its tail give another state than the replay up to event {last}")
        });
    }
    if recovery.damaged {
        return;
    }
    findings.check(I14, recovery.chain_holds, || format!("the hash chain of the log up to event {last} is broken"));
    let head = recovery.head.unwrap_or(0);
    findings.check(I14, head <= last, || format!("the head mark names event {head}, and the log ends at {last}"));
    // What a salvage says of itself may have the number of an event that was never acknowledged and is gone.
    let found = if recovery.salvaged { kept(found) } else { found };
    let last = found.last().map_or(0, |recorded| recorded.seq);
    let acknowledged = log.acknowledged;
    findings.check(I15, last >= acknowledged, || {
        format!("event {acknowledged} was acknowledged, and the recovered log ends at {last}")
    });
    let entries = found.iter().map(Entry::of);
    let changed = entries.zip(&log.entries).find(|(found, written)| found != *written);
    findings.check(I15, changed.is_none(), || format!("an event is not as it was written: {changed:?}"));
    // What was appended and never committed was cut off: it may be there only as a whole.
    let is_whole = last == 0 || last == log.written || log.batches.binary_search(&last).is_ok();
    findings.check(I16, is_whole, || {
        format!(
            "the recovered log ends at event {last}, inside of what was committed at once (ends: {:?})",
            tail(&log.batches)
        )
    });
}

/// What a salvage kept.
fn kept(found: &[Recorded]) -> &[Recorded] {
    let said = found.iter().rposition(|recorded| matches!(recorded.event, Event::StoreRecovered(_)));
    &found[..said.unwrap_or(found.len())]
}

/// The last commits, for a sentence.
fn tail(batches: &[u64]) -> &[u64] {
    &batches[batches.len().saturating_sub(5)..]
}
