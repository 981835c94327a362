//! SqliteStore writes the event store. It folds what it writes, so a log that does not fold is never written, and its
//! checkpoints need nobody else.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::{Connection, OpenFlags, params, params_from_iter};

use super::disk::Place;
use super::head::HeadFile;
use super::patience::{WAITS_MS, patiently};
use super::projection::Projector;
use super::reader::{self, Checkpoint, StoreReader};
use super::row::{COLUMNS, Column, Encoder, Hash, Scope};
use super::{Error, EventLog, head, schema};
use crate::event::{Event, Recorded};
use crate::instrument::Instruments;
use crate::report::EquityPoint;
use crate::state::State;

/// Events between two checkpoints, unless the writer was told otherwise.
const CHECKPOINT_EVERY: u64 = 50_000;
/// Events after which a rebuild writes what it has.
const REBUILD_BATCH: u64 = 20_000;
const INSERT_EVENT: &str =
    "INSERT INTO event_store VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)";

/// The writer of a store. While it lives, no other process can write.
pub struct SqliteStore {
    connection: Connection,
    place: Place,
    head: HeadFile,
    encoder: Encoder,
    projector: Projector,
    state: State,
    instruments: Instruments,
    in_transaction: bool,
    last_checkpoint: u64,
    checkpoint_every: u64,
    rows: u64,
    /// Removes the files again if they were never finished.
    is_new: bool,
    /// A write failed, so file and memory may differ: only who opens the file again knows what is in it.
    has_failed: bool,
    /// Keys of the operators' commands that were given out.
    pub(super) claimed: BTreeSet<String>,
}

impl SqliteStore {
    /// Makes a new store. The file must not exist. A bare path is on the machine's disk.
    pub fn create(place: impl Into<Place>, scope: Scope, instruments: &Instruments) -> Result<SqliteStore, Error> {
        let place = place.into();
        let path = place.path();
        // Made first and exclusively, so that two processes never share one.
        match place.disk().create_new(path) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(Error::Exists { path: path.to_owned() });
            }
            Err(error) => return Err(Error::io(path, &error)),
        }
        // Whoever has the lock has the files, so without it nothing is taken away.
        let made = match HeadFile::create(&place) {
            Err(error @ Error::InUse { .. }) => return Err(error),
            head => head.and_then(|head| SqliteStore::begin_with(place.clone(), head, scope, instruments)),
        };
        match made {
            Ok(store) => Ok(SqliteStore { is_new: true, ..store }),
            Err(error) => {
                remove(&place);
                Err(error)
            }
        }
    }

    /// Opens the store of a live session, or makes it. One that was made here is never removed again: from its first event on it is
    /// the only record of what was done.
    pub fn open_or_create(
        place: impl Into<Place>,
        scope: Scope,
        instruments: &Instruments,
    ) -> Result<SqliteStore, Error> {
        let place = place.into();
        if !place.disk().is_file(place.path()) {
            if let Some((marked @ 1.., _)) = head::read(&place)? {
                let detail = format!("event {marked} was durable, but the file is not there");
                return Err(Error::Damaged { path: place.path().to_owned(), detail });
            }
            let store = SqliteStore::create(place, scope, instruments)?;
            return Ok(SqliteStore { is_new: false, ..store });
        }
        if is_unfinished(&place)? {
            let head = HeadFile::create(&place)?;
            // Who had the lock until now may have finished it.
            if is_unfinished(&place)? {
                return SqliteStore::begin_with(place, head, scope, instruments);
            }
        }
        SqliteStore::open(place, scope, instruments)
    }

    /// Writes the first mark, which says that there is no event, and opens the store that it is of.
    fn begin_with(
        place: Place,
        mut head: HeadFile,
        scope: Scope,
        instruments: &Instruments,
    ) -> Result<SqliteStore, Error> {
        head.write(0, &[0; 32])?;
        SqliteStore::open_locked(place, head, scope, instruments)
    }

    /// Opens a store to go on with it: checks the head mark, folds checkpoint and tail.
    pub fn open(place: impl Into<Place>, scope: Scope, instruments: &Instruments) -> Result<SqliteStore, Error> {
        let place = place.into();
        // What is no store, or a newer one, is left as it is: nothing is made beside it. One that was begun and never got its
        // tables has a mark that says so.
        match StoreReader::open(&place) {
            Err(Error::NotAStore { .. }) if matches!(head::read(&place)?, Some((0, _))) => {}
            opened => drop(opened?),
        }
        let head = HeadFile::open(&place)?;
        SqliteStore::open_locked(place, head, scope, instruments)
    }

    fn open_locked(
        place: Place,
        head: HeadFile,
        scope: Scope,
        instruments: &Instruments,
    ) -> Result<SqliteStore, Error> {
        let path = place.path();
        let sqlite = |error| Error::sqlite(path, &error);
        // With NORMAL a commit does not wait for the disk, and a power cut takes it back.
        let synchronous = if crate::planted::has(crate::planted::Bug::SynchronousNormal) { "NORMAL" } else { "FULL" };
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = reader::connect(&place, flags)?;
        connection.set_prepared_statement_cache_capacity(64);
        connection
            .execute_batch(&format!(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous}; PRAGMA foreign_keys = ON;
                 PRAGMA recursive_triggers = ON; PRAGMA wal_autocheckpoint = 4000; PRAGMA busy_timeout = {WAITS_MS};"
            ))
            .map_err(sqlite)?;
        schema::migrate(&mut connection, path)?;
        let projector = Projector::load(&connection).map_err(sqlite)?;
        let (last_seq, last_hash) = reader::last_row(&connection).map_err(sqlite)?;
        check_mark(&connection, &place, last_seq)?;
        let checkpoint = reader::last_checkpoint(&connection, path, last_seq)?;
        let mut state = checkpoint.map_or_else(|| State::new(instruments), |checkpoint| checkpoint.state);
        let last_checkpoint = state.seq;
        let reader = StoreReader::over(connection, place.clone());
        check_symbols(&reader, instruments)?;
        // What is folded below was never seen by this process. The head mark knows its last row only.
        reader.check_tail(state.seq)?;
        for recorded in reader.events_after(state.seq)? {
            let recorded = recorded?;
            fold(&mut state, &recorded)?;
        }
        Ok(SqliteStore {
            connection: reader.into_connection(),
            place,
            head,
            encoder: Encoder::after(scope, instruments, last_hash),
            projector,
            state,
            instruments: instruments.clone(),
            in_transaction: false,
            last_checkpoint,
            checkpoint_every: CHECKPOINT_EVERY,
            rows: 0,
            is_new: false,
            has_failed: false,
            claimed: BTreeSet::new(),
        })
    }

    /// What the log adds up to.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The hash of the last row.
    pub fn hash(&self) -> Hash {
        self.encoder.last_hash()
    }

    /// Rows that this writer added, over all tables.
    pub fn rows_written(&self) -> u64 {
        self.rows + self.projector.rows
    }

    pub fn path(&self) -> &Path {
        self.place.path()
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn instruments(&self) -> &Instruments {
        &self.instruments
    }

    /// The state to recover with: what the file adds up to now.
    pub fn recovered(&self) -> Checkpoint {
        Checkpoint { seq: self.state.seq, state: self.state.clone() }
    }

    /// Keeps the folded state after so many events each.
    pub fn checkpoint_every(&mut self, events: u64) {
        self.checkpoint_every = events.max(1);
    }

    /// Keeps the folded state, so that the next recovery begins here.
    pub fn checkpoint(&mut self) -> Result<(), Error> {
        self.trusted(SqliteStore::write_checkpoint)
    }

    fn write_checkpoint(&mut self) -> Result<(), Error> {
        self.begin()?;
        let json = self.state.to_json();
        let at = reader::last_time(&self.connection).map_err(|error| Error::sqlite(self.place.path(), &error))?;
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO checkpoint_store VALUES (?1, ?2, ?3, ?4, ?5)")
            .and_then(|mut statement| {
                let (seq, hash) = (self.state.seq as i64, self.state.hash());
                statement.execute(params![seq, at, self.state.session.as_str(), json, hash.as_slice()])
            })
            .map_err(|error| Error::sqlite(self.place.path(), &error))?;
        self.last_checkpoint = self.state.seq;
        Ok(())
    }

    /// Keeps what a finished run came to.
    pub fn write_report(&mut self, curve: &[EquityPoint], report_json: &str) -> Result<(), Error> {
        self.trusted(|store| store.write_report_rows(curve, report_json))
    }

    fn write_report_rows(&mut self, curve: &[EquityPoint], report_json: &str) -> Result<(), Error> {
        self.begin()?;
        let write = || -> rusqlite::Result<()> {
            let mut statement = self
                .connection
                .prepare_cached("INSERT OR REPLACE INTO equity_curve VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?;
            for point in curve {
                statement.execute([
                    point.at.nanos(),
                    point.equity.steps(),
                    point.wallet.steps(),
                    point.low.steps(),
                    point.drawdown.steps(),
                    point.notional.steps(),
                ])?;
            }
            self.connection
                .prepare_cached("INSERT OR REPLACE INTO session_report VALUES (?1, ?2)")?
                .execute([self.state.session.as_str(), report_json])?;
            Ok(())
        };
        write().map_err(|error| Error::sqlite(self.place.path(), &error))?;
        self.rows += curve.len() as u64 + 1;
        Ok(())
    }

    /// Ends in order: checkpoint, commit, and the write-ahead log folded into the file, so that who reads it later needs no file
    /// beside it. A store that was made here and cannot be ended is removed.
    pub fn close(mut self) -> Result<(), Error> {
        let ended = self.checkpoint().and_then(|()| self.commit()).and_then(|()| self.fold_log());
        match ended {
            Ok(()) => {
                self.is_new = false;
                Ok(())
            }
            Err(error) => {
                self.abandon();
                Err(error)
            }
        }
    }

    /// Folds the write-ahead log into the file. While somebody reads the store, it keeps its log.
    fn fold_log(&mut self) -> Result<(), Error> {
        let folded = self.connection.execute_batch("PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE);");
        let folded = folded.and_then(|()| self.connection.pragma_update(None, "journal_mode", "DELETE"));
        match folded.map_err(|error| Error::sqlite(self.place.path(), &error)) {
            Err(Error::InUse { .. }) => Ok(()),
            folded => folded,
        }
    }

    /// Writes, unless an earlier write failed. A failed one is taken back when the connection closes.
    fn trusted(&mut self, write: impl FnOnce(&mut SqliteStore) -> Result<(), Error>) -> Result<(), Error> {
        if self.has_failed {
            return Err(Error::Distrusted { path: self.place.path().to_owned() });
        }
        let written = write(self);
        self.has_failed = written.is_err();
        written
    }

    /// Runs a statement that is run again and again, so that it is prepared once.
    fn run(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(drop)
    }

    fn begin(&mut self) -> Result<(), Error> {
        if !self.in_transaction {
            // Immediate: one that upgrades later gets BUSY at once, whatever the timeout.
            // Who else writes has to end first; nothing of ours is written yet, so nothing is in doubt meanwhile.
            patiently(|| self.run("BEGIN IMMEDIATE")).map_err(|error| Error::sqlite(self.place.path(), &error))?;
            self.in_transaction = true;
        }
        Ok(())
    }

    /// Ends the transaction, if there is one, and marks how far the log is durable.
    fn end(&mut self) -> Result<(), Error> {
        if !self.in_transaction {
            return Ok(());
        }
        if self.state.seq - self.last_checkpoint >= self.checkpoint_every {
            self.write_checkpoint()?;
        }
        let sqlite = |error| Error::sqlite(self.place.path(), &error);
        self.projector.flush(&self.connection, &self.state, self.encoder.scope()).map_err(sqlite)?;
        self.run("COMMIT").map_err(sqlite)?;
        self.in_transaction = false;
        self.head.write(self.state.seq, &self.encoder.last_hash())
    }

    fn append_one(&mut self, recorded: &Recorded) -> Result<(), Error> {
        fold(&mut self.state, recorded)?;
        let row = self.encoder.encode(recorded)?;
        if let Err(error) = insert(&self.connection, &row.columns(), &row.hash) {
            if error.sqlite_extended_error_code() == Some(rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE) {
                return Err(Error::Duplicate { dedup_key: row.dedup_key.to_owned() });
            }
            return Err(Error::sqlite(self.place.path(), &error));
        }
        self.derive(recorded)
    }

    /// Takes a row of another store as it stands, with its hash, and what it says. It must be the next one.
    pub(super) fn adopt(
        &mut self,
        columns: &[Column<'_>; COLUMNS],
        hash: &Hash,
        recorded: &Recorded,
    ) -> Result<(), Error> {
        self.begin()?;
        // What is constant in a session stands in the rows that are derived from it.
        if let Event::SessionStarted(event) = &recorded.event {
            self.flush()?;
            self.encoder.enter(event.session, event.mode);
        }
        fold(&mut self.state, recorded)?;
        insert(&self.connection, columns, hash).map_err(|error| Error::sqlite(self.place.path(), &error))?;
        self.encoder.follow(*hash);
        self.derive(recorded)?;
        if self.state.seq.is_multiple_of(REBUILD_BATCH) { self.flush() } else { Ok(()) }
    }

    /// Goes on as another session, after what was adopted.
    pub(super) fn enter(&mut self, scope: &Scope) -> Result<(), Error> {
        self.begin()?;
        self.flush()?;
        self.encoder.enter(scope.session, scope.mode);
        Ok(())
    }

    pub(super) fn has_row(&self, seq: u64, hash: &Hash) -> bool {
        has_row(&self.connection, seq, hash).unwrap_or(false)
    }

    fn flush(&mut self) -> Result<(), Error> {
        let flushed = self.projector.flush(&self.connection, &self.state, self.encoder.scope());
        flushed.map_err(|error| Error::sqlite(self.place.path(), &error))
    }

    /// Writes what follows from an event that was folded.
    fn derive(&mut self, recorded: &Recorded) -> Result<(), Error> {
        let sqlite = |error| Error::sqlite(self.place.path(), &error);
        self.rows += 1;
        if let Event::SessionStarted(event) = &recorded.event {
            let write = || -> rusqlite::Result<()> {
                let config = event.config.to_string();
                let instruments = serde_json::to_string(&self.instruments).unwrap_or_default();
                let (session, seq) = (event.session.as_str(), recorded.seq as i64);
                self.connection.execute(
                    "INSERT INTO session VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    params![session, seq, event.mode.name(), event.strategy, config, instruments],
                )?;
                self.connection.execute(
                    "INSERT INTO config_store (ts, session_id, config_json) VALUES (?1, ?2, ?3)",
                    params![recorded.at.nanos(), session, config],
                )?;
                Ok(())
            };
            write().map_err(sqlite)?;
        }
        if let Event::ConfigUpdated(event) = &recorded.event {
            let config = serde_json::json!({ "limits": event.limits }).to_string();
            let (at, session) = (recorded.at.nanos(), self.state.session);
            self.connection
                .execute(
                    "INSERT INTO config_store (ts, session_id, config_json) VALUES (?1, ?2, ?3)",
                    params![at, session.as_str(), config],
                )
                .map_err(sqlite)?;
        }
        self.projector.take(&self.connection, recorded, &self.state).map_err(sqlite)
    }

    /// Folds the whole log once more and writes what is derived from it, in one transaction. Commands that wait to be taken stay:
    /// no event tells of them. The journal, which can only grow, is proven by `verify` and stays too.
    fn rebuild(&mut self) -> Result<(), Error> {
        self.end()?;
        self.begin()?;
        let sqlite = |error| Error::sqlite(self.place.path(), &error);
        self.connection
            .execute_batch(
                "DELETE FROM projection_position; DELETE FROM projection_balance; DELETE FROM projection_order_open;
                 DELETE FROM projection_trade; DELETE FROM command_to_exchange; DELETE FROM command_store WHERE command_id > 0;",
            )
            .map_err(sqlite)?;
        let mut projector = self.projector.again();
        let mut state = State::new(&self.instruments);
        let mut scope = self.encoder.scope().clone();
        for recorded in StoreReader::open(&self.place)?.events()? {
            let recorded = recorded?;
            // What is constant in a session stands in its rows.
            if let Event::SessionStarted(event) = &recorded.event {
                projector.flush(&self.connection, &state, &scope).map_err(sqlite)?;
                (scope.session, scope.mode) = (event.session, event.mode);
            }
            fold(&mut state, &recorded)?;
            projector.take(&self.connection, &recorded, &state).map_err(sqlite)?;
            if state.seq.is_multiple_of(REBUILD_BATCH) {
                projector.flush(&self.connection, &state, &scope).map_err(sqlite)?;
            }
        }
        projector.flush(&self.connection, &state, &scope).map_err(sqlite)?;
        if state != self.state {
            let problem = "the log does not add up to what its writer knows".into();
            return Err(Error::Contradiction { seq: state.seq, problem });
        }
        self.projector = projector.done();
        self.end()
    }

    /// Removes the files of a store that was made here and never finished.
    pub fn abandon(mut self) {
        if std::mem::take(&mut self.is_new) {
            let place = self.place.clone();
            drop(self);
            remove(&place);
        }
    }
}

impl EventLog for SqliteStore {
    fn append(&mut self, events: &[Recorded]) -> Result<(), Error> {
        self.trusted(|store| {
            store.begin()?;
            events.iter().try_for_each(|recorded| store.append_one(recorded))
        })
    }

    fn commit(&mut self) -> Result<(), Error> {
        self.trusted(SqliteStore::end)
    }

    fn contains(&mut self, dedup_key: &str) -> Result<bool, Error> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT 1 FROM event_store WHERE dedup_key = ?1")
            .map_err(|error| Error::sqlite(self.place.path(), &error))?;
        statement.exists([dedup_key]).map_err(|error| Error::sqlite(self.place.path(), &error))
    }

    fn rebuild_projections(&mut self) -> Result<(), Error> {
        self.trusted(SqliteStore::rebuild)
    }
}

fn insert(connection: &Connection, columns: &[Column<'_>; COLUMNS], hash: &Hash) -> rusqlite::Result<usize> {
    let hash = hash.as_slice();
    let values = columns.iter().map(|column| column as &dyn rusqlite::ToSql);
    let values = values.chain([&hash as &dyn rusqlite::ToSql]);
    connection.prepare_cached(INSERT_EVENT)?.execute(params_from_iter(values))
}

fn fold(state: &mut State, recorded: &Recorded) -> Result<(), Error> {
    let seq = recorded.seq;
    state.apply(recorded).map_err(|error| Error::Contradiction { seq, problem: error.to_string() })
}

fn has_row(connection: &Connection, seq: u64, hash: &Hash) -> rusqlite::Result<bool> {
    let mut statement = connection.prepare("SELECT 1 FROM event_store WHERE seq = ?1 AND hash = ?2")?;
    statement.exists(params![seq as i64, hash.as_slice()])
}

/// The head mark must name a row of the log: a log that is shorter has lost committed rows.
fn check_mark(connection: &Connection, place: &Place, last_seq: u64) -> Result<(), Error> {
    let path = place.path();
    let damaged = |detail: String| Err(Error::Damaged { path: path.to_owned(), detail });
    match head::read(place)? {
        None if last_seq > 0 => damaged(format!("its head mark {} says nothing", head::path_of(place).display())),
        None => Ok(()),
        Some((marked, _)) if marked > last_seq => {
            damaged(format!("event {marked} was durable, but the log ends at {last_seq}: its tail is lost"))
        }
        Some((0, _)) => Ok(()),
        Some((marked, hash)) => {
            let is_there = has_row(connection, marked, &hash);
            if is_there.map_err(|error| Error::sqlite(path, &error))? {
                return Ok(());
            }
            damaged(format!("event {marked} is not the one that the head mark names: the file was replaced"))
        }
    }
}

/// Whether its making was cut short before anything was in it. What was acknowledged has left a mark.
fn is_unfinished(place: &Place) -> Result<bool, Error> {
    for path in [place.path().to_owned(), place.beside("-wal")] {
        match place.disk().len(&path) {
            Ok(0) => {}
            Ok(_) => return Ok(false),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io(&path, &error)),
        }
    }
    Ok(matches!(head::read(place)?, None | Some((0, _))))
}

/// A symbol is kept by its place among the instruments, so the sessions of one store have the same.
pub(super) fn check_symbols(reader: &StoreReader, instruments: &Instruments) -> Result<(), Error> {
    let names = |instruments: &Instruments| {
        let names: Vec<String> = instruments.iter().map(|(_, instrument)| instrument.symbol.to_string()).collect();
        names.join(" ")
    };
    let given = names(instruments);
    for session in reader.sessions()? {
        let found = names(&session.instruments);
        if found != given {
            return Err(Error::OtherSymbols { path: reader.path().to_owned(), found, given });
        }
    }
    Ok(())
}

fn remove(place: &Place) {
    for file in [place.path().to_owned(), place.beside("-wal"), place.beside("-shm"), head::path_of(place)] {
        let _ = place.disk().remove(&file);
    }
}
