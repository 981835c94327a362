//! What the tests of the disk share: a store on it, and faults that come when they are told to.

#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alphaengine_chaos::disk::{DiskFaults, SimDisk};
use alphaengine_core::event::{Recorded, SessionStarted, Source, TransferBooked};
use alphaengine_core::exchange::TransferReason;
use alphaengine_core::instrument::{Catalog, Instruments};
use alphaengine_core::mode::Mode;
use alphaengine_core::store::{Error, EventLog, Place, Scope, SqliteStore, StoreReader};
use alphaengine_core::units::Timestamp;
use alphaengine_sim::faults::{DiskFile, DiskOp, Fault, FaultPlan, Faults};

pub const DB: &str = "bot.db";
pub const WAL: &str = "bot.db-wal";
pub const HEAD: &str = "bot.db.head";

/// The disk of the process, for one test at a time.
pub struct Shelf {
    pub disk: SimDisk,
    _alone: MutexGuard<'static, ()>,
}

impl Shelf {
    pub fn new(seed: u64) -> Shelf {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let disk = SimDisk::get();
        disk.begin_run(seed);
        Shelf { disk, _alone: alone }
    }

    pub fn place(&self) -> Place {
        Place::on(Arc::new(self.disk.clone()), DB)
    }

    pub fn open(&self) -> Result<SqliteStore, Error> {
        SqliteStore::open_or_create(self.place(), scope(), &instruments())
    }

    pub fn reader(&self) -> Result<StoreReader, Error> {
        StoreReader::open(self.place())
    }

    /// From now on goes wrong what the plan says. It is not checked: what an operation cannot have is passed over.
    pub fn plan(&self, json: &str) {
        let faults = Faults::new(FaultPlan(serde_json::from_str(json).unwrap()));
        self.disk.set_faults(Some(Box::new(Planned(faults))));
    }

    /// At the operation with this number, counted from now on.
    pub fn at(&self, operation: u64, fault: Fault) {
        self.disk.set_faults(Some(Box::new(At { operation, fault })));
    }

    pub fn well(&self) {
        self.disk.set_faults(None);
    }

    /// Starts the bot's store, and writes an event a commit up to this number; with `close` it ends in order. The last number that
    /// was acknowledged in any life, and what it came to.
    pub fn work(&self, acknowledged: &mut u64, until: u64, close: bool) -> Result<(), Error> {
        let mut store = self.open()?;
        // It was durable when it was read, whoever wrote it.
        *acknowledged = store.state().seq.max(*acknowledged);
        for seq in store.state().seq + 1..=until {
            store.append(&[event(seq)])?;
            store.commit()?;
            *acknowledged = seq;
        }
        if close {
            return store.close();
        }
        // The process ends before the store does.
        self.disk.kill();
        Ok(())
    }

    /// The store holds what was acknowledged and is in order.
    pub fn check(&self, acknowledged: u64, what: &str) -> u64 {
        let store = self.open().unwrap_or_else(|error| panic!("{what}: {acknowledged} were acknowledged: {error}"));
        let seq = store.state().seq;
        assert!(seq >= acknowledged, "{what}: {acknowledged} were acknowledged, {seq} are there");
        drop(store);
        if seq > 0 {
            let verdict = self.reader().and_then(|reader| reader.verify()).unwrap();
            assert!(verdict.is_good(), "{what}: {:?}", verdict.findings);
            assert_eq!(verdict.events, seq, "{what}");
        }
        seq
    }
}

struct Planned(Faults);

impl DiskFaults for Planned {
    fn on(&mut self, op: DiskOp, file: DiskFile) -> Vec<Fault> {
        self.0.on_disk(op, file)
    }
}

struct At {
    operation: u64,
    fault: Fault,
}

impl DiskFaults for At {
    fn on(&mut self, _: DiskOp, _: DiskFile) -> Vec<Fault> {
        self.operation = self.operation.saturating_sub(1);
        if self.operation == 0 { vec![self.fault.clone()] } else { Vec::new() }
    }
}

pub fn crash() -> Fault {
    Fault::Crash { down_ms: 1 }
}

pub fn power_loss() -> Fault {
    Fault::PowerLoss { down_ms: 1, seed: 0 }
}

pub fn instruments() -> Instruments {
    let catalog = Catalog::builtin();
    Instruments::new(vec![catalog.get(&"BTCUSDT".parse().unwrap()).unwrap().clone()]).unwrap()
}

pub fn scope() -> Scope {
    Scope::binance_futures(Mode::Chaos, "0123456789abcdef".parse().unwrap(), "main")
}

/// The session's beginning and then a transfer a minute.
pub fn event(seq: u64) -> Recorded {
    let event = match seq {
        1 => SessionStarted {
            session: "0123456789abcdef".parse().unwrap(),
            mode: Mode::Chaos,
            strategy: "none".into(),
            config: serde_json::json!({ "a": "configuration" }),
        }
        .into(),
        id => TransferBooked {
            id,
            asset: "USDT".parse().unwrap(),
            amount: format!("{id}.5").parse().unwrap(),
            reason: TransferReason::Deposit,
        }
        .into(),
    };
    let at = Timestamp::from_nanos(1_746_360_000_000_000_000 + seq as i64 * 60_000_000_000);
    Recorded { seq, at, source: Source::Sim, command: None, causation: 0, symbol: None, event }
}

pub fn path(name: &str) -> &Path {
    Path::new(name)
}

/// SQLite on the disk, and nothing of ours.
pub fn raw() -> rusqlite::Result<rusqlite::Connection> {
    rusqlite::Connection::open("raw.db")
}
