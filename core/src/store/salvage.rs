//! Salvage makes a store anew from what of a damaged one can be trusted: the longest beginning of its log that has no gap, whose
//! hash chain is whole and that folds.
//!
//! Nothing is deleted. The damaged files are moved aside as `FILE.damaged-N`, and the new store begins with what was kept and says
//! in a [`StoreRecovered`] what was lost: what the head mark says was durable and is not there. The exchange knows the rest.
//!
//! A process may end at any step. `FILE.salvaging` is thrown away by the next attempt; once it is called `FILE.salvaged` it is whole,
//! and the next start only finishes moving.

use std::path::PathBuf;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::disk::Place;
use super::head::{self, HeadFile};
use super::reader::{self, StoreReader};
use super::row::{COLUMNS, Column, Hash, Scope, StoredRow, chain};
use super::sqlite::check_symbols;
use super::{Error, EventLog, SqliteStore, schema};
use crate::event::{Recorded, Source, StoreRecovered};
use crate::instrument::Instruments;
use crate::mode::Mode;
use crate::units::Timestamp;

/// What lies beside a database, in the order in which it is moved: the database itself last, so that its name tells whether all of
/// it was moved.
const PARTS: [&str; 4] = ["-wal", "-shm", ".head", ""];

/// The place of `symbol` among the columns.
const SYMBOL: usize = 13;

impl SqliteStore {
    /// Opens the store of a live session, or makes it; one that is damaged is salvaged first. `at` is now, for the record. With
    /// `is_doubtful` everything is proven before it is trusted.
    ///
    /// What is no store, or a newer one, is an error as with [`SqliteStore::open`] and is left as it is.
    pub fn open_or_salvage(
        place: impl Into<Place>,
        scope: Scope,
        instruments: &Instruments,
        at: Timestamp,
        is_doubtful: bool,
    ) -> Result<(SqliteStore, Option<StoreRecovered>), Error> {
        let place = place.into();
        finish_moving(&place)?;
        let opened = if is_doubtful { prove(&place) } else { Ok(()) };
        let opened = opened.and_then(|()| SqliteStore::open_or_create(&place, scope.clone(), instruments));
        match opened {
            Ok(store) => Ok((store, None)),
            Err(error) if is_damage(&place, &error) => {
                let recovered = salvage(&place, &scope, instruments, at, &error)?;
                Ok((SqliteStore::open(&place, scope, instruments)?, Some(recovered)))
            }
            Err(error) => Err(error),
        }
    }
}

/// Proves a store and salvages it when it is damaged; `None` when it is good. `at` is now, for the record.
pub fn repair(place: impl Into<Place>, at: Timestamp) -> Result<Option<StoreRecovered>, Error> {
    let place = place.into();
    finish_moving(&place)?;
    match prove(&place) {
        Ok(()) => Ok(None),
        Err(error) if is_damage(&place, &error) => {
            let (scope, instruments) = owner(&place)?;
            salvage(&place, &scope, &instruments, at, &error).map(Some)
        }
        Err(error) => Err(error),
    }
}

fn prove(place: &Place) -> Result<(), Error> {
    let findings = StoreReader::open(place)?.verify()?.findings;
    match findings.into_iter().next() {
        None => Ok(()),
        Some(detail) => Err(Error::Damaged { path: place.path().to_owned(), detail }),
    }
}

/// Whose store it is, from what can still be read of its sessions.
fn owner(place: &Place) -> Result<(Scope, Instruments), Error> {
    let unknown = |detail: String| Error::Ownerless { path: place.path().to_owned(), detail };
    if !place.disk().is_file(place.path()) {
        return Err(unknown("the database is gone".into()));
    }
    let reader = StoreReader::over(connect(place)?, place.clone());
    let sessions = reader.sessions().map_err(|error| unknown(error.to_string()))?;
    let last = sessions.into_iter().next_back().ok_or_else(|| unknown("it names no session".into()))?;
    let sql = "SELECT account_id FROM event_store LIMIT 1";
    let account = reader.connection().query_row(sql, [], |row| row.get::<_, String>(0));
    let account = account.unwrap_or_else(|_| "main".into());
    let all = [Mode::Production, Mode::Testnet, Mode::Backtest, Mode::Chaos];
    let mode = all.into_iter().find(|mode| mode.name() == last.mode).unwrap_or(Mode::Testnet);
    Ok((Scope::binance_futures(mode, last.session, &account), last.instruments))
}

/// Whether an error means that a store is not what was written. A mark beside it tells that there was one.
fn is_damage(place: &Place, error: &Error) -> bool {
    let has_mark = || place.disk().is_file(&head::path_of(place));
    match error {
        Error::NotAStore { .. } => has_mark() && is_emptied(place),
        Error::Missing { .. } => has_mark(),
        error => error.is_damage(),
    }
}

/// Whether nothing of a database is left, so that it is not somebody else's.
fn is_emptied(place: &Place) -> bool {
    let tables = connect(place)
        .and_then(|connection| {
            let count = connection.query_row("SELECT COUNT(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0));
            count.map_err(|error| Error::sqlite(place.path(), &error))
        })
        .unwrap_or(0);
    tables == 0
}

fn connect(place: &Place) -> Result<Connection, Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    reader::connect(place, flags)
}

fn salvage(
    place: &Place,
    scope: &Scope,
    instruments: &Instruments,
    at: Timestamp,
    problem: &Error,
) -> Result<StoreRecovered, Error> {
    // Nobody else writes it meanwhile.
    let has_mark = place.disk().is_file(&head::path_of(place));
    let _lock = if has_mark { Some(HeadFile::open(place)?) } else { None };
    let made = beside(place, ".salvaging");
    clear(&made)?;
    let mut store = SqliteStore::create(&made, scope.clone(), instruments)?;
    let mut copied = copy(place, &mut store, instruments, u64::MAX);
    if let Err(Error::Contradiction { seq, .. }) = copied {
        // The new store has taken part of what does not fold: once more, up to there.
        store.abandon();
        store = SqliteStore::create(&made, scope.clone(), instruments)?;
        copied = copy(place, &mut store, instruments, seq - 1);
    }
    let copied = copied.and_then(|reason| {
        store.enter(scope)?;
        let kept_until_seq = store.state().seq;
        let moved_to = free_name(place);
        let name = moved_to.path().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let problem = match reason {
            Some(reason) if !sentence(problem).contains(&reason) => format!("{}; {reason}", sentence(problem)),
            _ => sentence(problem),
        };
        let marked_seq = trusted_mark(place, &store);
        let recovered = StoreRecovered { kept_until_seq, marked_seq, problem, moved_to: name };
        let (seq, at) = (kept_until_seq + 1, store.state().at.max(at));
        let event = recovered.clone().into();
        store.append(&[Recorded { seq, at, source: Source::Bot, command: None, causation: 0, symbol: None, event }])?;
        store.commit()?;
        Ok(recovered)
    });
    let recovered = match copied {
        Ok(recovered) => recovered,
        Err(error) => {
            store.abandon();
            return Err(error);
        }
    };
    store.close()?;
    let whole = beside(place, ".salvaged");
    rename(&made, ".head", &whole)?;
    rename(&made, "", &whole)?;
    finish_moving(place)?;
    Ok(recovered)
}

/// What an error says, without the path, which the files' names tell.
fn sentence(error: &Error) -> String {
    match error {
        Error::Damaged { detail, .. } => detail.clone(),
        Error::Missing { .. } => "the database was gone, and its head mark was there".into(),
        Error::NotAStore { .. } => "nothing of the database could be read".into(),
        error => error.to_string(),
    }
}

/// The last durable event that the head mark names; `None` where it says nothing, or names another one than the log has.
fn trusted_mark(place: &Place, store: &SqliteStore) -> Option<u64> {
    let (marked, hash) = head::read(place).ok().flatten()?;
    let is_within = marked > 0 && marked <= store.state().seq;
    (!is_within || store.has_row(marked, &hash)).then_some(marked)
}

/// Copies row by row what is in order, up to this event, and says why it ended before the log did. An event that does not fold is
/// an error.
fn copy(
    place: &Place,
    store: &mut SqliteStore,
    instruments: &Instruments,
    until: u64,
) -> Result<Option<String>, Error> {
    if !place.disk().is_file(place.path()) {
        return Ok(None);
    }
    let connection = connect(place)?;
    if let Err(error @ Error::NewerSchema { .. }) = schema::check(&connection, place.path()) {
        return Err(error);
    }
    let reader = StoreReader::over(connection, place.clone());
    if let Err(error @ Error::OtherSymbols { .. }) = check_symbols(&reader, instruments) {
        return Err(error);
    }
    let symbols: Vec<String> = instruments.iter().map(|(_, instrument)| instrument.symbol.to_string()).collect();
    let mut last: Hash = [0; 32];
    loop {
        let before = store.state().seq;
        match copy_on(&reader, store, &symbols, until, &mut last) {
            Ok(()) => return Ok(None),
            Err(Stop::Failed(error)) => return Err(error),
            Err(Stop::Row(reason)) => return Ok(Some(reason)),
            Err(Stop::Read(error)) if is_about_the_disk(&error) => return Err(reader.sqlite(&error)),
            // A page that a walk cannot pass, another way may lead around.
            Err(Stop::Read(_)) if store.state().seq > before => {}
            Err(Stop::Read(error)) => return Ok(Some(format!("the log cannot be read after event {before}: {error}"))),
        }
    }
}

/// Whether it says nothing about what is in the file.
fn is_about_the_disk(error: &rusqlite::Error) -> bool {
    use ErrorCode as E;
    matches!(
        error.sqlite_error_code(),
        Some(
            E::SystemIoFailure
                | E::DatabaseBusy
                | E::DatabaseLocked
                | E::DiskFull
                | E::OutOfMemory
                | E::CannotOpen
                | E::PermissionDenied
                | E::ReadOnly
        )
    )
}

/// Why copying stopped.
enum Stop {
    /// SQLite could not read on.
    Read(rusqlite::Error),
    /// The next row is not in order.
    Row(String),
    /// The new store could not be written, or the old one is somebody else's.
    Failed(Error),
}

impl From<rusqlite::Error> for Stop {
    fn from(error: rusqlite::Error) -> Stop {
        Stop::Read(error)
    }
}

fn copy_on(
    reader: &StoreReader,
    store: &mut SqliteStore,
    symbols: &[String],
    until: u64,
    last: &mut Hash,
) -> Result<(), Stop> {
    let mut statement = reader.connection().prepare("SELECT * FROM event_store WHERE seq > ?1 ORDER BY seq")?;
    let mut rows = statement.query([store.state().seq as i64])?;
    let mut bytes = Vec::new();
    while let Some(row) = rows.next()? {
        let expected = store.state().seq + 1;
        let seq = row.get::<_, i64>(0)? as u64;
        if expected > until {
            return Err(Stop::Row(format!("event {expected} does not follow on those before it")));
        }
        if seq != expected {
            return Err(Stop::Row(format!("event {expected} is missing")));
        }
        let mut columns = [Column::Null; COLUMNS];
        for (index, column) in columns.iter_mut().enumerate() {
            *column = match row.get_ref(index)? {
                ValueRef::Integer(int) => Column::Int(int),
                ValueRef::Text(text) => Column::Text(std::str::from_utf8(text).map_err(rusqlite::Error::from)?),
                _ => Column::Null,
            };
        }
        let hash: Hash = row.get(COLUMNS)?;
        if chain(last, &columns, &mut bytes) != hash {
            return Err(Stop::Row(format!("event {seq} was changed: its hash does not follow from the row before it")));
        }
        if let Column::Text(found) = columns[SYMBOL]
            && !symbols.iter().any(|symbol| symbol == found)
        {
            let (path, found, given) = (reader.path().to_owned(), found.to_owned(), symbols.join(" "));
            return Err(Stop::Failed(Error::OtherSymbols { path, found, given }));
        }
        let recorded = decode(&columns, symbols).map_err(Stop::Row)?;
        store.adopt(&columns, &hash, &recorded).map_err(Stop::Failed)?;
        *last = hash;
    }
    Ok(())
}

fn decode(columns: &[Column<'_>; COLUMNS], symbols: &[String]) -> Result<Recorded, String> {
    let text = |index: usize| match columns[index] {
        Column::Text(text) => Some(text),
        _ => None,
    };
    let int = |index: usize| match columns[index] {
        Column::Int(int) => Some(int),
        _ => None,
    };
    let stored = StoredRow {
        seq: int(0).unwrap_or(0) as u64,
        event_type: text(2).unwrap_or(""),
        at: Timestamp::from_nanos(int(3).unwrap_or(0)),
        source: text(7).unwrap_or(""),
        causation_id: int(5).map(|id| id as u64),
        command_id: int(6).map(|id| id as u64),
        symbol: text(SYMBOL),
        payload_json: text(16).unwrap_or(""),
    };
    stored.decode(symbols).map_err(|error| error.to_string())
}

/// Moves a whole salvaged store to where the damaged one is, if there is one, and the damaged one aside.
fn finish_moving(place: &Place) -> Result<(), Error> {
    let whole = beside(place, ".salvaged");
    if place.disk().is_file(whole.path()) {
        let aside = free_name(place);
        let is_there = |part: &str| place.disk().is_file(&part_of(place, part));
        if PARTS.iter().any(|part| is_there(part)) && !is_there("") {
            // The database is lost. An empty one takes its name, so that what is moved aside has one.
            place.disk().create_new(place.path()).map_err(|error| Error::io(place.path(), &error))?;
        }
        PARTS.iter().try_for_each(|part| rename(place, part, &aside))?;
        rename(&whole, "", place)?;
    }
    if !place.disk().is_file(&head::path_of(place)) {
        rename(&whole, ".head", place)?;
    }
    Ok(())
}

/// The first `FILE.damaged-N` that is free.
fn free_name(place: &Place) -> Place {
    let name = |number: u32| beside(place, &format!(".damaged-{number}"));
    // One without its database is one whose moving was interrupted: the database goes last.
    let found = (1..=u32::MAX).map(name).find(|named| !place.disk().is_file(named.path()));
    found.unwrap_or_else(|| name(0))
}

/// Throws away what an interrupted salvage left. One that is under way holds its mark.
fn clear(made: &Place) -> Result<(), Error> {
    if made.disk().is_file(&head::path_of(made)) {
        drop(HeadFile::open(made)?);
    }
    for part in PARTS {
        let path = part_of(made, part);
        if made.disk().is_file(&path) {
            made.disk().remove(&path).map_err(|error| Error::io(&path, &error))?;
        }
    }
    Ok(())
}

fn rename(from: &Place, part: &str, to: &Place) -> Result<(), Error> {
    let (old, new) = (part_of(from, part), part_of(to, part));
    if !from.disk().is_file(&old) {
        return Ok(());
    }
    from.disk().rename(&old, &new).map_err(|error| Error::io(&old, &error))
}

fn part_of(place: &Place, part: &str) -> PathBuf {
    place.beside(part)
}

fn beside(place: &Place, suffix: &str) -> Place {
    place.renamed(place.beside(suffix))
}
