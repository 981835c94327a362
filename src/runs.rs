//! Runs are the stores under `data/runs`, numbered in the order in which they were made.

use std::path::{Path, PathBuf};

use alphaengine_core::store::{self, SqliteStore, StoreReader};

use crate::error::Error;

/// Where runs are kept, below the working directory.
pub const DIRECTORY: &str = "data/runs";

/// A run that is kept.
#[derive(Debug, Clone)]
pub struct Run {
    pub number: u64,
    pub path: PathBuf,
    /// The report that it ended with; `None` while it runs, or when it broke off.
    pub report: Option<serde_json::Value>,
    /// What is wrong with the file, where it cannot be read.
    pub problem: Option<String>,
}

/// The runs of a directory by number. A directory that does not exist has none.
pub fn list(directory: &Path) -> Result<Vec<Run>, Error> {
    let mut runs: Vec<Run> = stores(directory)?
        .into_iter()
        .map(|(number, path)| {
            let read = StoreReader::open(&path).and_then(|reader| reader.report());
            let problem = read.as_ref().err().map(store::Error::to_string);
            Run { number, path, report: read.ok().flatten(), problem }
        })
        .collect();
    runs.sort_by_key(|run| run.number);
    Ok(runs)
}

/// Finds a store: `latest`, a number, a session id (or its beginning), or a file.
pub fn find(directory: &Path, run: &str) -> Result<PathBuf, Error> {
    let mut stores = stores(directory)?;
    stores.sort();
    let hint = "`alphaengine runs list` shows the runs there are";
    if run == "latest" {
        let none = || {
            Error::new(format!("there are no runs under {}", directory.display()))
                .hint("run `alphaengine backtest` first, or name a store file")
        };
        return stores.pop().map(|(_, path)| path).ok_or_else(none);
    }
    let as_file = Path::new(run);
    if as_file.is_file() {
        return Ok(as_file.to_owned());
    }
    if let Ok(number) = run.parse::<u64>()
        && let Some((_, path)) = stores.iter().find(|(known, _)| *known == number)
    {
        return Ok(path.clone());
    }
    let is_meant = |path: &Path| {
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("");
        let hash = stem.rsplit('-').next().unwrap_or("");
        !run.is_empty() && (stem == run || (run.len() >= 4 && (hash.starts_with(run) || run.starts_with(hash))))
    };
    let found: Vec<&PathBuf> = stores.iter().map(|(_, path)| path).filter(|path| is_meant(path)).collect();
    match found.last() {
        Some(path) => Ok((*path).clone()),
        None => Err(Error::new(format!("there is no run `{run}` under {}", directory.display())).hint(hint)),
    }
}

/// The next free name of a run.
pub fn next_path(directory: &Path, strategy: &str, session: &str) -> Result<PathBuf, Error> {
    std::fs::create_dir_all(directory).map_err(|error| {
        Error::new(format!("{}: cannot be made: {error}", directory.display()))
            .hint("run it where you may write, or use --store FILE, --store memory or --store none")
    })?;
    let last = stores(directory)?.into_iter().map(|(number, _)| number).max().unwrap_or(0);
    let hash = session.get(..8).unwrap_or(session);
    Ok(directory.join(format!("{:04}-{strategy}-{hash}.db", last + 1)))
}

/// Numbered stores of a directory.
fn stores(directory: &Path) -> Result<Vec<(u64, PathBuf)>, Error> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::new(format!("{}: cannot be read: {error}", directory.display()))),
    };
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let stores = paths.filter(|path| path.extension().is_some_and(|extension| extension == "db"));
    Ok(stores.filter_map(|path| Some((number(&path)?, path))).collect())
}

fn number(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.split('-').next()?.parse().ok()
}

/// Says what the store could not do, with its next step.
pub fn store_error(error: store::Error) -> Error {
    let missing = match &error {
        store::Error::NotWritable { path, .. } => path.parent().filter(|folder| !folder.as_os_str().is_empty()),
        _ => None,
    };
    let hint = match missing.filter(|folder| !folder.exists()) {
        Some(folder) => Some(format!("make the directory {} first", folder.display())),
        None => error.hint().map(str::to_owned),
    };
    Error::new(error.to_string()).maybe_hint(hint)
}

/// Ends a store that a finished run wrote.
pub fn close(store: SqliteStore) -> Result<(), Error> {
    store.close().map_err(store_error)
}
