//! An Opening is what a process found when it opened its store: proof for the auditor, taken before anything is written again.

use alphaengine_core::event::{Recorded, StoreRecovered};
use alphaengine_core::id::SessionId;
use alphaengine_core::instrument::Instruments;
use alphaengine_core::state::State;
use alphaengine_core::store::{self, Place, SqliteStore, StoreReader};

/// What a store held when it was opened.
#[derive(Debug)]
pub(super) struct Opening {
    pub session: SessionId,
    pub log: Vec<Recorded>,
    /// What the writer recovered.
    pub state: State,
    /// What all events add up to, and what the newest checkpoint and those after it do.
    pub replayed: [u8; 32],
    pub from_checkpoint: Option<[u8; 32]>,
    /// The hash after the event that a dead process knew last.
    pub at_last_words: Option<[u8; 32]>,
    pub head: Option<u64>,
    /// What a proof of the whole store found wrong.
    pub findings: Vec<String>,
    pub salvaged: Option<StoreRecovered>,
}

impl Opening {
    /// Reads the store with a reader of its own.
    pub fn look(
        place: &Place,
        store: &SqliteStore,
        session: SessionId,
        instruments: &Instruments,
        last_words: Option<u64>,
        salvaged: Option<StoreRecovered>,
    ) -> Result<Opening, store::Error> {
        let reader = StoreReader::open(place)?;
        let log = reader.events()?.collect::<Result<Vec<_>, _>>()?;
        let mut state = State::new(instruments);
        let mut at_last_words = None;
        let mut from_checkpoint = reader.checkpoint()?.map(|checkpoint| checkpoint.state);
        let mut findings = reader.verify()?.findings;
        for recorded in &log {
            let seq = recorded.seq;
            let applied = state.apply(recorded).and_then(|()| match &mut from_checkpoint {
                Some(from) if from.seq < seq => from.apply(recorded),
                _ => Ok(()),
            });
            // A start folds what comes after the checkpoint; what a disk did to the rows before it shows here only.
            if let Err(error) = applied {
                findings.push(format!("event {seq} contradicts the state: {error}"));
                break;
            }
            if Some(seq) == last_words {
                at_last_words = Some(state.hash());
            }
        }
        Ok(Opening {
            session,
            state: store.state().clone(),
            replayed: state.hash(),
            from_checkpoint: from_checkpoint.map(|state| state.hash()),
            at_last_words,
            head: reader.marked()?,
            findings,
            salvaged,
            log,
        })
    }
}
