//! What can go wrong with a store: each a sentence, most with a next step.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path}: the store is in use by another process")]
    InUse { path: PathBuf },
    #[error("{path}: there is no such store")]
    Missing { path: PathBuf },
    #[error("{path}: the file exists already")]
    Exists { path: PathBuf },
    #[error("{path}: is not an event store")]
    NotAStore { path: PathBuf },
    #[error("{path}: the store has schema version {found}, this program knows up to {known}")]
    NewerSchema { path: PathBuf, found: i64, known: i64 },
    #[error("{path}: the database is damaged: {detail}")]
    Damaged { path: PathBuf, detail: String },
    #[error("{path}: the database is damaged, and whose it is cannot be read any more: {detail}")]
    Ownerless { path: PathBuf, detail: String },
    #[error("{path}: the store holds the symbols {found}, not {given}")]
    OtherSymbols { path: PathBuf, found: String, given: String },
    #[error("{path}: the store failed before; what is in it is known only after it is opened again")]
    Distrusted { path: PathBuf },
    #[error("{path}: the disk is full")]
    DiskFull { path: PathBuf },
    #[error("{path}: cannot be written: {detail}")]
    NotWritable { path: PathBuf, detail: String },
    #[error("{path}: {detail}")]
    Sqlite { path: PathBuf, detail: String },
    #[error("the fact `{dedup_key}` is in the log already")]
    Duplicate { dedup_key: String },
    #[error("event {seq} cannot be read back: {problem}")]
    Unreadable { seq: u64, problem: String },
    #[error("event {seq} contradicts the state: {problem}")]
    Contradiction { seq: u64, problem: String },
    #[error("{path}: no session has begun in this store")]
    NoSession { path: PathBuf },
    #[error("the SQL cannot be run: {0}")]
    Query(String),
    #[error("the store's writer stopped: {0}")]
    WriterGone(String),
}

impl Error {
    /// What to do about it, where there is something.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Error::InUse { .. } => Some("stop the other process, or give this one a store of its own"),
            Error::Missing { .. } => Some("`alphaengine runs list` shows the runs there are"),
            Error::Exists { .. } => Some("name a new file, or move this one away"),
            Error::NotAStore { .. } => Some("name a file that `alphaengine backtest --store FILE` wrote"),
            Error::NewerSchema { .. } => Some("use the program that wrote it, or a newer one"),
            Error::Damaged { .. } | Error::Sqlite { .. } | Error::Unreadable { .. } | Error::Contradiction { .. } => {
                Some(
                    "`alphaengine store verify FILE` says how far it can be trusted, `alphaengine store repair FILE` keeps that",
                )
            }
            Error::Ownerless { .. } => Some(
                "start `alphaengine live` on it, which knows whose it is and salvages it; the run of a backtest is made again",
            ),
            Error::NoSession { .. } => Some("start one with `alphaengine live` first"),
            Error::OtherSymbols { .. } => Some("give this session a store of its own"),
            Error::Distrusted { .. } => Some("open it again: what was committed is there"),
            Error::DiskFull { .. } => Some("make room, or put the store on another disk with --store FILE"),
            Error::NotWritable { .. } => Some("check owner, permissions and whether the disk is mounted read-only"),
            _ => None,
        }
    }

    /// Whether it says nothing about what is in the file and may be over when it is tried again: a full disk, a busy file, a cable.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Error::InUse { .. }
                | Error::Missing { .. }
                | Error::Distrusted { .. }
                | Error::DiskFull { .. }
                | Error::NotWritable { .. }
                | Error::Sqlite { .. }
                | Error::WriterGone(_)
        )
    }

    /// Whether the file is not what was written.
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            Error::Damaged { .. } | Error::Ownerless { .. } | Error::Unreadable { .. } | Error::Contradiction { .. }
        )
    }

    pub(super) fn sqlite(path: &Path, error: &rusqlite::Error) -> Error {
        let path = path.to_owned();
        let detail = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::InUse { path },
            Some(ErrorCode::DatabaseCorrupt) => Error::Damaged { path, detail },
            // Our statements fit the tables that we made. Where they do not, or what they write is refused, the definitions are not
            // what was written.
            Some(ErrorCode::ConstraintViolation) => Error::Damaged { path, detail },
            Some(ErrorCode::Unknown) if UNFIT.iter().any(|words| detail.contains(words)) => {
                Error::Damaged { path, detail }
            }
            None if matches!(error, rusqlite::Error::SqlInputError { .. }) => Error::Damaged { path, detail },
            // The tables are STRICT, so a value of another type or range was not written by anyone.
            None if is_unreadable_value(error) => Error::Damaged { path, detail },
            Some(ErrorCode::NotADatabase) => Error::NotAStore { path },
            Some(ErrorCode::DiskFull) => Error::DiskFull { path },
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
                Error::NotWritable { path, detail }
            }
            _ => Error::Sqlite { path, detail },
        }
    }

    pub(super) fn io(path: &Path, error: &std::io::Error) -> Error {
        let path = path.to_owned();
        match error.kind() {
            std::io::ErrorKind::StorageFull => Error::DiskFull { path },
            _ => Error::NotWritable { path, detail: error.to_string() },
        }
    }
}

/// How SQLite says that a statement does not fit the tables.
const UNFIT: [&str; 4] = ["no such table", "no such column", "has no column named", "values were supplied"];

fn is_unreadable_value(error: &rusqlite::Error) -> bool {
    use rusqlite::Error as E;
    matches!(
        error,
        E::FromSqlConversionFailure(..) | E::IntegralValueOutOfRange(..) | E::InvalidColumnType(..) | E::Utf8Error(..)
    )
}
