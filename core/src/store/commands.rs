//! The hand-over of operators' commands. Another process puts a row with status NEW into `command_store`; the writer takes it,
//! says SENT when it is at work and ACK or FAILED when it is done.
//!
//! A row that waits has a negative number: the numbers of commands belong to the events, which only the writer gives. With the
//! step that takes the command its row gets its number, in the same transaction as the event, so a command is neither lost nor
//! carried out twice, whenever a process ends.

use rusqlite::{OpenFlags, OptionalExtension, TransactionBehavior, params};

use super::disk::Place;
use super::patience::patiently;
use super::reader::{self, StoreReader};
use super::{Error, SqliteStore, schema};
use crate::command::OperatorCommand;
use crate::instrument::Instruments;
use crate::market::SymbolId;
use crate::units::Timestamp;

/// Names a command that was handed in: its key. The same key again is the same command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ticket {
    pub key: String,
}

/// Where a command stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandStatus {
    /// Nobody has taken it yet.
    New,
    /// The engine is at work on it.
    Sent,
    Ack,
    Failed,
}

impl CommandStatus {
    pub const fn name(self) -> &'static str {
        match self {
            CommandStatus::New => "NEW",
            CommandStatus::Sent => "SENT",
            CommandStatus::Ack => "ACK",
            CommandStatus::Failed => "FAILED",
        }
    }

    fn from_name(name: &str) -> CommandStatus {
        let all = [CommandStatus::New, CommandStatus::Sent, CommandStatus::Ack];
        all.into_iter().find(|status| status.name() == name).unwrap_or(CommandStatus::Failed)
    }

    /// Whether nothing more will become of it.
    pub const fn is_final(self) -> bool {
        matches!(self, CommandStatus::Ack | CommandStatus::Failed)
    }
}

/// What became of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandOutcome {
    pub status: CommandStatus,
    /// What it led to, as JSON: the names of its orders.
    pub result_json: Option<String>,
    pub error: Option<String>,
}

/// A row that waits.
struct Waiting {
    number: i64,
    symbol: Option<String>,
    key: String,
    payload: String,
}

/// How long a hand-over waits for the writer, whose transactions last a step.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(3);

/// The symbols that a command may name: those of the store's last session, by their [`SymbolId`].
pub fn symbols(place: impl Into<Place>) -> Result<Instruments, Error> {
    let reader = StoreReader::open(place)?;
    let last = reader.sessions()?.into_iter().next_back();
    let last = last.ok_or_else(|| Error::NoSession { path: reader.path().to_owned() })?;
    Ok(last.instruments)
}

/// Hands a command in. It needs no lock of the writer but SQLite's own, for the length of one insert. `at` is now, for the record.
///
/// Symbols in the command are those that [`symbols`] tells.
pub fn submit(place: impl Into<Place>, command: &OperatorCommand, at: Timestamp) -> Result<Ticket, Error> {
    let place = place.into();
    let path = place.path();
    let sqlite = |error: rusqlite::Error| Error::sqlite(path, &error);
    let instruments = symbols(&place)?;
    let symbol = match command.order.symbol() {
        None => None,
        Some(symbol) if symbol.index() < instruments.len() => Some(instruments.get(symbol).symbol.to_string()),
        Some(symbol) => {
            return Err(Error::Query(format!("the store's session has no symbol with the number {}", symbol.0)));
        }
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = reader::connect(&place, flags)?;
    connection.busy_timeout(PATIENCE).map_err(sqlite)?;
    schema::check(&connection, path)?;
    let payload = serde_json::to_string(command).map_err(|error| Error::Query(error.to_string()))?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)?;
    transaction
        .execute(
            "INSERT INTO command_store
             SELECT MIN(0, (SELECT COALESCE(MIN(seq), 0) FROM command_store)) - 1,
                    MIN(0, (SELECT COALESCE(MIN(seq), 0) FROM command_store)) - 1,
                    ?1, ?2, 'USER', ?3, exchange, venue, account_id, ?4, mode, ?5, 'NEW', ?6, ?7, NULL, NULL, NULL, NULL
             FROM event_store WHERE seq = (SELECT MAX(seq) FROM event_store)
             ON CONFLICT (idempotency_key) DO NOTHING",
            params![
                command.order.name(),
                at.nanos(),
                command.who,
                symbol,
                row_key(&command.key),
                command.order.priority() as i64,
                payload
            ],
        )
        .map_err(sqlite)?;
    transaction.commit().map_err(sqlite)?;
    Ok(Ticket { key: command.key.clone() })
}

fn row_key(key: &str) -> String {
    format!("operator:{key}")
}

impl StoreReader {
    /// What became of a command; `None` where nobody handed it in.
    pub fn outcome(&self, ticket: &Ticket) -> Result<Option<CommandOutcome>, Error> {
        let sql = "SELECT status, result_json, last_error FROM command_store WHERE idempotency_key = ?1";
        let row = self.connection().query_row(sql, [row_key(&ticket.key)], |row| {
            let status = CommandStatus::from_name(&row.get::<_, String>(0)?);
            Ok(CommandOutcome { status, result_json: row.get(1)?, error: row.get(2)? })
        });
        row.optional().map_err(|error| self.sqlite(&error))
    }
}

impl SqliteStore {
    /// The commands that were handed in and not given out yet, what is urgent first. Each is given out once by a process; one
    /// whose event is not in the log when the process ends waits for the next. One that cannot be read ends as FAILED.
    pub fn claim(&mut self) -> Result<Vec<OperatorCommand>, Error> {
        let waiting = self.waiting().map_err(|error| Error::sqlite(self.path(), &error))?;
        let mut claimed = Vec::new();
        for Waiting { number, symbol, key, payload } in waiting {
            if self.claimed.contains(&key) {
                continue;
            }
            match self.read_command(symbol.as_deref(), &key, &payload) {
                Ok(command) => {
                    self.claimed.insert(key);
                    claimed.push(command);
                }
                Err(problem) => self.turn_away("command_id = ?2", number, &problem)?,
            }
        }
        Ok(claimed)
    }

    /// Turns away what was handed in before a time, when nobody was there to take it: it may not be meant any more.
    pub fn turn_away_before(&mut self, at: Timestamp) -> Result<(), Error> {
        let problem = "no session was running when it was given: give it again if it is still meant";
        self.turn_away("command_id < 0 AND ts < ?2", at.nanos(), problem)
    }

    fn turn_away(&mut self, which: &str, value: i64, problem: &str) -> Result<(), Error> {
        let sql =
            format!("UPDATE command_store SET status = 'FAILED', last_error = ?1 WHERE status = 'NEW' AND {which}");
        let turned = patiently(|| self.connection().execute(&sql, params![problem, value]));
        turned.map(drop).map_err(|error| Error::sqlite(self.path(), &error))
    }

    fn waiting(&self) -> rusqlite::Result<Vec<Waiting>> {
        let sql = "SELECT command_id, symbol, idempotency_key, payload_json FROM command_store
                   WHERE seq < 0 AND status = 'NEW' ORDER BY priority, seq DESC";
        let mut statement = self.connection().prepare_cached(sql)?;
        let rows = statement.query_map([], |row| {
            Ok(Waiting { number: row.get(0)?, symbol: row.get(1)?, key: row.get(2)?, payload: row.get(3)? })
        })?;
        rows.collect()
    }

    fn read_command(&self, symbol: Option<&str>, key: &str, payload: &str) -> Result<OperatorCommand, String> {
        let mut command: OperatorCommand =
            serde_json::from_str(payload).map_err(|error| format!("it cannot be read: {error}"))?;
        if row_key(&command.key) != key {
            return Err(format!("its payload has the key `{}`, its row `{key}`", command.key));
        }
        if command.order.symbol().is_some() {
            let name = symbol.ok_or("it names no symbol")?;
            let found = self.instruments().iter().find(|(_, instrument)| instrument.symbol.as_str() == name);
            let (symbol, _): (SymbolId, _) = found.ok_or_else(|| format!("this session does not trade {name}"))?;
            command.order = command.order.with_symbol(symbol);
        }
        Ok(command)
    }
}
