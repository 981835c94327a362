//! StoreReader reads a store without writing to it, also while another process writes.

use std::path::Path;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

use super::disk::Place;
use super::row::{Hash, StoredRow};
use super::{Error, schema};
use crate::event::Recorded;
use crate::id::SessionId;
use crate::instrument::Instruments;
use crate::state::State;
use crate::units::{Money, Timestamp};

/// A store, opened for reading.
pub struct StoreReader {
    connection: Connection,
    place: Place,
}

/// A folded state that was kept.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    pub seq: u64,
    pub state: State,
}

/// A run in a store.
#[derive(Debug, Clone)]
pub struct SessionRow {
    pub session: SessionId,
    pub first_seq: u64,
    pub mode: String,
    pub strategy: String,
    pub config: serde_json::Value,
    pub instruments: Instruments,
}

/// What a store holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// Rows by table, in the order of the schema.
    pub tables: Vec<(String, u64)>,
    /// Events by type, most frequent first.
    pub events: Vec<(String, u64)>,
    pub first: Option<Timestamp>,
    pub last: Option<Timestamp>,
    pub bytes: u64,
    pub schema_version: i64,
}

/// A point of the curve of equity that a run kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CurveRow {
    pub at: Timestamp,
    pub equity: Money,
    pub wallet: Money,
    pub low: Money,
    pub drawdown: Money,
    pub notional: Money,
}

/// The answer to a query: names and rows, as text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

impl StoreReader {
    /// A bare path is on the machine's disk.
    pub fn open(place: impl Into<Place>) -> Result<StoreReader, Error> {
        StoreReader::open_at(place.into())
    }

    fn open_at(place: Place) -> Result<StoreReader, Error> {
        let path = place.path();
        if !place.disk().is_file(path) {
            return Err(Error::Missing { path: path.to_owned() });
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = connect(&place, flags)?;
        connection.busy_timeout(std::time::Duration::from_secs(2)).map_err(|error| Error::sqlite(path, &error))?;
        let connection = match schema::check(&connection, path) {
            Err(Error::NotWritable { .. }) if was_cut_short(&connection) => {
                take_back(&place)?;
                connection
            }
            // A directory that cannot be written has no place for the shared memory of the write-ahead log.
            Err(Error::NotWritable { .. }) if place.disk().vfs().is_none() => open_immutable(path)?,
            _ => connection,
        };
        if schema::check(&connection, path)? == 0 {
            return Err(Error::NotAStore { path: path.to_owned() });
        }
        check_length(&connection, &place)?;
        Ok(StoreReader { connection, place })
    }

    pub(super) fn over(connection: Connection, place: Place) -> StoreReader {
        StoreReader { connection, place }
    }

    pub(super) fn into_connection(self) -> Connection {
        self.connection
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub fn path(&self) -> &Path {
        self.place.path()
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    pub(super) fn sqlite(&self, error: &rusqlite::Error) -> Error {
        Error::sqlite(self.path(), error)
    }

    /// The runs in the store, oldest first.
    pub fn sessions(&self) -> Result<Vec<SessionRow>, Error> {
        let sql = "SELECT session_id, first_seq, mode, strategy, config_json, instruments_json FROM session ORDER BY first_seq";
        let mut statement = self.connection.prepare(sql).map_err(|error| self.sqlite(&error))?;
        let rows = statement.query_map([], |row| {
            let text = |index| row.get::<_, String>(index);
            Ok((text(0)?, row.get::<_, i64>(1)?, text(2)?, text(3)?, text(4)?, text(5)?))
        });
        let rows = rows.map_err(|error| self.sqlite(&error))?;
        rows.map(|row| {
            let (session, first_seq, mode, strategy, config, instruments) = row.map_err(|error| self.sqlite(&error))?;
            let unreadable = |problem: String| Error::Unreadable { seq: first_seq as u64, problem };
            Ok(SessionRow {
                session: session.parse().map_err(|error: crate::id::TooLong| unreadable(error.to_string()))?,
                first_seq: first_seq as u64,
                mode,
                strategy,
                config: serde_json::from_str(&config).map_err(|error| unreadable(error.to_string()))?,
                instruments: serde_json::from_str(&instruments).map_err(|error| unreadable(error.to_string()))?,
            })
        })
        .collect()
    }

    /// All events.
    pub fn events(&self) -> Result<impl Iterator<Item = Result<Recorded, Error>> + '_, Error> {
        self.events_after(0)
    }

    /// The events after a number, read in pages so that memory stays flat.
    pub fn events_after(&self, seq: u64) -> Result<impl Iterator<Item = Result<Recorded, Error>> + '_, Error> {
        let sessions = self.sessions()?;
        let sessions: Vec<(u64, Vec<String>)> = sessions
            .iter()
            .map(|session| {
                let names = session.instruments.iter().map(|(_, instrument)| instrument.symbol.to_string());
                (session.first_seq, names.collect())
            })
            .collect();
        Ok(Events { reader: self, sessions, page: Vec::new().into_iter(), after: seq, is_over: false })
    }

    /// The last kept state.
    pub fn checkpoint(&self) -> Result<Option<Checkpoint>, Error> {
        let (last_seq, _) = last_row(&self.connection).map_err(|error| self.sqlite(&error))?;
        last_checkpoint(&self.connection, self.path(), last_seq)
    }

    /// The state that all events add up to, without the help of checkpoints.
    pub fn fold(&self) -> Result<State, Error> {
        let sessions = self.sessions()?;
        let instruments = sessions.last().map(|session| session.instruments.clone()).unwrap_or_default();
        let mut state = State::new(&instruments);
        for recorded in self.events()? {
            let recorded = recorded?;
            let problem = |error: crate::state::Error| error.to_string();
            state
                .apply(&recorded)
                .map_err(|error| Error::Contradiction { seq: recorded.seq, problem: problem(error) })?;
        }
        Ok(state)
    }

    /// The curve of equity that a finished run kept.
    pub fn curve(&self) -> Result<Vec<CurveRow>, Error> {
        let sql = "SELECT ts, equity_e8, wallet_e8, low_e8, drawdown_e8, notional_e8 FROM equity_curve ORDER BY ts";
        let mut statement = self.connection.prepare(sql).map_err(|error| self.sqlite(&error))?;
        let rows = statement.query_map([], |row| {
            let money = |index| row.get(index).map(Money::from_steps);
            Ok(CurveRow {
                at: Timestamp::from_nanos(row.get(0)?),
                equity: money(1)?,
                wallet: money(2)?,
                low: money(3)?,
                drawdown: money(4)?,
                notional: money(5)?,
            })
        });
        rows.and_then(Iterator::collect).map_err(|error| self.sqlite(&error))
    }

    /// The report that a finished run kept, as JSON.
    pub fn report(&self) -> Result<Option<serde_json::Value>, Error> {
        use rusqlite::OptionalExtension;
        let sql = "SELECT report_json FROM session_report LIMIT 1";
        let json = self.connection.query_row(sql, [], |row| row.get::<_, String>(0)).optional();
        let json = json.map_err(|error| self.sqlite(&error))?;
        let unreadable = |error: serde_json::Error| Error::Unreadable { seq: 0, problem: error.to_string() };
        json.map(|json| serde_json::from_str(&json).map_err(unreadable)).transpose()
    }

    pub fn stats(&self) -> Result<Stats, Error> {
        let sqlite = |error: rusqlite::Error| self.sqlite(&error);
        let names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY rowid";
        let mut statement = self.connection.prepare(names).map_err(sqlite)?;
        let names: Vec<String> =
            statement.query_map([], |row| row.get(0)).and_then(Iterator::collect).map_err(sqlite)?;
        let mut tables = Vec::new();
        for name in names {
            let count: i64 = self
                .connection
                .query_row(&format!("SELECT COUNT(*) FROM \"{name}\""), [], |row| row.get(0))
                .map_err(sqlite)?;
            tables.push((name, count as u64));
        }
        let by_type = "SELECT event_type, COUNT(*) FROM event_store GROUP BY event_type ORDER BY 2 DESC, 1";
        let mut statement = self.connection.prepare(by_type).map_err(sqlite)?;
        let events = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)));
        let events = events.and_then(Iterator::collect).map_err(sqlite)?;
        let span = "SELECT MIN(ts), MAX(ts) FROM event_store";
        let (first, last): (Option<i64>, Option<i64>) =
            self.connection.query_row(span, [], |row| Ok((row.get(0)?, row.get(1)?))).map_err(sqlite)?;
        Ok(Stats {
            tables,
            events,
            first: first.map(Timestamp::from_nanos),
            last: last.map(Timestamp::from_nanos),
            bytes: self.place.disk().len(self.path()).unwrap_or(0),
            schema_version: schema::check(&self.connection, self.path())?,
        })
    }

    /// Runs statements that only read, one after the other, and gives the answer of each.
    pub fn query(&self, sql: &str) -> Result<Vec<Answer>, Error> {
        let problem = |error: rusqlite::Error| Error::Query(error.to_string());
        let mut answers = Vec::new();
        use rusqlite::fallible_iterator::FallibleIterator;
        let mut batch = rusqlite::Batch::new(&self.connection, sql);
        while let Some(mut statement) = batch.next().map_err(problem)? {
            let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
            let width = columns.len();
            let mut rows = statement.raw_query();
            let mut answer = Answer { columns, rows: Vec::new() };
            while let Some(row) = rows.next().map_err(problem)? {
                let cells = (0..width).map(|index| row.get_ref(index).map(text_of));
                answer.rows.push(cells.collect::<rusqlite::Result<_>>().map_err(problem)?);
            }
            answers.push(answer);
        }
        Ok(answers)
    }
}

fn text_of(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => String::new(),
        ValueRef::Integer(int) => int.to_string(),
        ValueRef::Real(real) => real.to_string(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        ValueRef::Blob(bytes) => super::row::hex(bytes),
    }
}

/// SQLite takes what is missing of the last page for zeros and says nothing.
fn check_length(connection: &Connection, place: &Place) -> Result<(), Error> {
    let path = place.path();
    let page = connection.pragma_query_value(None, "page_size", |row| row.get::<_, i64>(0));
    let page = page.map_err(|error| Error::sqlite(path, &error))?;
    // What is not whole here is in the write-ahead log, for as long as there is one: it was about to be folded in.
    if place.disk().len(&place.beside("-wal")).is_ok_and(|len| len > 0) {
        return Ok(());
    }
    let bytes = place.disk().len(path).map_err(|error| Error::io(path, &error))?;
    if bytes.is_multiple_of(u64::try_from(page).unwrap_or(1).max(1)) {
        return Ok(());
    }
    Err(Error::Damaged { path: path.to_owned(), detail: "the file ends in the middle of a page".into() })
}

/// Opens a file under the file system of its disk.
pub(super) fn connect(place: &Place, flags: OpenFlags) -> Result<Connection, Error> {
    let opened = match place.disk().vfs() {
        None => Connection::open_with_flags(place.path(), flags),
        Some(vfs) => Connection::open_with_flags_and_vfs(place.path(), flags, vfs),
    };
    opened.map_err(|error| Error::sqlite(place.path(), &error))
}

/// Whether a writer died in the middle of a change that only a writer can take back.
fn was_cut_short(connection: &Connection) -> bool {
    let read = connection.pragma_query_value(None, "user_version", |_| Ok(()));
    read.is_err_and(|error| {
        error.sqlite_error().is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_READONLY_ROLLBACK)
    })
}

/// Takes such a change back, as every connection does that may write.
fn take_back(place: &Place) -> Result<(), Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = connect(place, flags)?;
    connection.pragma_query_value(None, "user_version", |_| Ok(())).map_err(|error| Error::sqlite(place.path(), &error))
}

fn open_immutable(path: &Path) -> Result<Connection, Error> {
    let escaped = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(format!("file:{escaped}?immutable=1"), flags)
        .map_err(|error| Error::sqlite(path, &error))
}

/// Rows that are read at once.
const PAGE: usize = 4_096;

/// Reads events page by page.
struct Events<'a> {
    reader: &'a StoreReader,
    /// First event and symbols of each session.
    sessions: Vec<(u64, Vec<String>)>,
    page: std::vec::IntoIter<Result<Recorded, Error>>,
    after: u64,
    is_over: bool,
}

impl Iterator for Events<'_> {
    type Item = Result<Recorded, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(item) = self.page.next() {
            return Some(item);
        }
        if self.is_over {
            return None;
        }
        match self.read_page() {
            Ok(page) => {
                self.is_over = page.len() < PAGE;
                self.page = page.into_iter();
                self.page.next()
            }
            Err(error) => {
                self.is_over = true;
                Some(Err(self.reader.sqlite(&error)))
            }
        }
    }
}

impl Events<'_> {
    fn read_page(&mut self) -> rusqlite::Result<Vec<Result<Recorded, Error>>> {
        let sql = "SELECT seq, event_type, ts, source, causation_id, command_id, symbol, payload_json
                   FROM event_store WHERE seq > ?1 ORDER BY seq LIMIT ?2";
        let mut statement = self.reader.connection.prepare_cached(sql)?;
        let mut rows = statement.query([self.after as i64, PAGE as i64])?;
        let mut page = Vec::with_capacity(PAGE);
        while let Some(row) = rows.next()? {
            let seq = row.get::<_, i64>(0)? as u64;
            self.after = seq;
            let stored = StoredRow {
                seq,
                event_type: row.get_ref(1)?.as_str()?,
                at: Timestamp::from_nanos(row.get(2)?),
                source: row.get_ref(3)?.as_str()?,
                causation_id: row.get::<_, Option<i64>>(4)?.map(|id| id as u64),
                command_id: row.get::<_, Option<i64>>(5)?.map(|id| id as u64),
                symbol: row.get_ref(6)?.as_str_or_null()?,
                payload_json: row.get_ref(7)?.as_str()?,
            };
            // The event that begins a session comes before its row is known to readers of an older page.
            let session = self.sessions.iter().rev().find(|(first, _)| *first <= seq);
            page.push(stored.decode(session.map_or(&[], |(_, symbols)| symbols.as_slice())));
        }
        Ok(page)
    }
}

/// Number and hash of the last row; 0 and zeros for an empty log.
pub(super) fn last_row(connection: &Connection) -> rusqlite::Result<(u64, Hash)> {
    use rusqlite::OptionalExtension;
    let sql = "SELECT seq, hash FROM event_store ORDER BY seq DESC LIMIT 1";
    let last = connection
        .query_row(sql, [], |row| {
            let hash: [u8; 32] = row.get(1)?;
            Ok((row.get::<_, i64>(0)? as u64, hash))
        })
        .optional()?;
    Ok(last.unwrap_or((0, [0; 32])))
}

pub(super) fn last_time(connection: &Connection) -> rusqlite::Result<i64> {
    use rusqlite::OptionalExtension;
    let sql = "SELECT ts FROM event_store ORDER BY seq DESC LIMIT 1";
    Ok(connection.query_row(sql, [], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// The newest checkpoint that can be trusted: a damaged one, or one of a tail that is not in the log, is passed over.
pub(super) fn last_checkpoint(
    connection: &Connection,
    path: &Path,
    last_seq: u64,
) -> Result<Option<Checkpoint>, Error> {
    let sqlite = |error: rusqlite::Error| Error::sqlite(path, &error);
    let sql = "SELECT seq, state_json, state_hash FROM checkpoint_store WHERE seq <= ?1 ORDER BY seq DESC";
    let mut statement = connection.prepare(sql).map_err(sqlite)?;
    let mut rows = statement.query([last_seq as i64]).map_err(sqlite)?;
    while let Some(row) = rows.next().map_err(sqlite)? {
        let seq = row.get::<_, i64>(0).map_err(sqlite)? as u64;
        let json: String = row.get(1).map_err(sqlite)?;
        let hash: Vec<u8> = row.get(2).map_err(sqlite)?;
        if let Ok(state) = State::from_json(&json)
            && state.hash().as_slice() == hash.as_slice()
            && state.seq == seq
        {
            return Ok(Some(Checkpoint { seq, state }));
        }
    }
    Ok(None)
}
