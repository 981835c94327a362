//! The Log of one of a trader's lives: the store's, or one that is thrown away.

use std::collections::BTreeSet;

use alphaengine_core::event::{Event, Recorded};
use alphaengine_core::id::SessionId;
use alphaengine_core::instrument::Instruments;
use alphaengine_core::mode::Mode;
use alphaengine_core::store::{self, Encoder, EventLog, Scope};

/// The log of one life: the store's, or one that is thrown away.
pub enum Log<L> {
    Store(L),
    LastResort(Disposable),
}

/// Recognises what is told twice and keeps nothing else: the exchange has the truth.
pub struct Disposable {
    encoder: Encoder,
    /// Dedup keys of trades, payments and transfers.
    keys: BTreeSet<Box<str>>,
}

impl Disposable {
    pub(super) fn new(mode: Mode, session: SessionId, instruments: &Instruments) -> Disposable {
        let scope = Scope::binance_futures(mode, session, "last-resort");
        Disposable { encoder: Encoder::new(scope, instruments), keys: BTreeSet::new() }
    }
}

impl EventLog for Disposable {
    fn append(&mut self, events: &[Recorded]) -> Result<(), store::Error> {
        let is_told_by_others = |event: &Event| {
            matches!(event, Event::TradeExecuted(_) | Event::FundingApplied(_) | Event::TransferBooked(_))
        };
        for recorded in events.iter().filter(|recorded| is_told_by_others(&recorded.event)) {
            self.keys.insert(self.encoder.encode(recorded)?.dedup_key.into());
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), store::Error> {
        Ok(())
    }

    fn contains(&mut self, dedup_key: &str) -> Result<bool, store::Error> {
        Ok(self.keys.contains(dedup_key))
    }
}

impl<L: EventLog> EventLog for Log<L> {
    fn append(&mut self, events: &[Recorded]) -> Result<(), store::Error> {
        match self {
            Log::Store(log) => log.append(events),
            Log::LastResort(log) => log.append(events),
        }
    }

    fn commit(&mut self) -> Result<(), store::Error> {
        match self {
            Log::Store(log) => log.commit(),
            Log::LastResort(log) => log.commit(),
        }
    }

    fn contains(&mut self, dedup_key: &str) -> Result<bool, store::Error> {
        match self {
            Log::Store(log) => log.contains(dedup_key),
            Log::LastResort(log) => log.contains(dedup_key),
        }
    }

    fn rebuild_projections(&mut self) -> Result<(), store::Error> {
        match self {
            Log::Store(log) => log.rebuild_projections(),
            Log::LastResort(_) => Ok(()),
        }
    }
}
