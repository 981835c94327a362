//! The schema and its versions.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;

use super::Error;
use crate::ledger::Account;

/// The version that this program writes, in SQLite's `user_version`.
pub const VERSION: i64 = 1 + MIGRATIONS.len() as i64;

/// `AlEn`: marks the file as ours in SQLite's `application_id`.
pub(super) const APPLICATION_ID: i64 = 0x416c_456e;

/// What a new file gets. Whoever changes it adds a migration that makes the same of the version before.
const NEW: &str = include_str!("schema.sql");

/// What leads from each version to the next, from the first on. Never edit one that was released: add another.
const MIGRATIONS: &[&str] = &[UNANSWERED, include_str!("schema-2-to-3.sql")];

const UNANSWERED: &str = "CREATE INDEX command_unanswered ON command_store (command_id) WHERE status = 'SENT';";

/// SQLite up to 3.51.2 can lose a committed WAL when two connections meet its reset.
const OLDEST_SAFE_SQLITE: i32 = 3_051_003;

/// Brings a database to the current version, in one transaction. A new file gets everything.
pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), Error> {
    let sqlite = |error| Error::sqlite(path, &error);
    assert!(rusqlite::version_number() >= OLDEST_SAFE_SQLITE, "this build bundles an SQLite with a WAL defect");
    let found = check(connection, path)?;
    if found == VERSION {
        return add_accounts(connection).map_err(sqlite);
    }
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(sqlite)?;
    let missing = usize::try_from(found - 1).ok().and_then(|done| MIGRATIONS.get(done..));
    for sql in missing.unwrap_or(&[NEW]) {
        transaction.execute_batch(sql).map_err(sqlite)?;
    }
    add_accounts(&transaction).map_err(sqlite)?;
    if found == 0 {
        transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(sqlite)?;
    }
    transaction.pragma_update(None, "user_version", VERSION).map_err(sqlite)?;
    transaction.commit().map_err(sqlite)
}

/// The ledger's accounts that a database does not name yet. New ones come at the end, so their numbers are free.
fn add_accounts(connection: &Connection) -> rusqlite::Result<()> {
    let known: i64 = connection.query_row("SELECT COUNT(*) FROM account", [], |row| row.get(0))?;
    for account in Account::ALL.into_iter().skip(usize::try_from(known).unwrap_or(0)) {
        let row = (account as i64, account.name());
        connection.execute("INSERT INTO account (account_id, name) VALUES (?1, ?2)", row)?;
    }
    Ok(())
}

/// The version of a database, 0 for an empty one; an error for a stranger's or a newer one.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<i64, Error> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let found = pragma("user_version").map_err(|error| Error::sqlite(path, &error))?;
    let application = pragma("application_id").map_err(|error| Error::sqlite(path, &error))?;
    if found > VERSION && application == APPLICATION_ID {
        return Err(Error::NewerSchema { path: path.to_owned(), found, known: VERSION });
    }
    let tables: i64 = connection
        .query_row("SELECT COUNT(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(|error| Error::sqlite(path, &error))?;
    if application != APPLICATION_ID && (found != 0 || tables != 0) {
        return Err(Error::NotAStore { path: path.to_owned() });
    }
    Ok(found)
}

/// What is defined otherwise than in a new file. Nothing is said of what somebody added, nor of files of older versions.
pub(super) fn strangeness(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    if connection.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))? != VERSION {
        return Ok(Vec::new());
    }
    let new = Connection::open_in_memory()?;
    new.execute_batch(NEW)?;
    let (ours, found) = (definitions(&new)?, definitions(connection)?);
    let strange = ours.iter().filter(|(name, sql)| found.get(*name) != Some(sql));
    Ok(strange.map(|(name, _)| format!("`{name}` is not defined as it was written")).collect())
}

/// By name. A table that a migration renamed has its name in quotes.
fn definitions(connection: &Connection) -> rusqlite::Result<BTreeMap<String, String>> {
    let sql = "SELECT name, replace(sql, '\"', '') FROM sqlite_schema WHERE sql IS NOT NULL";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rows.collect()
}
