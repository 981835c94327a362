//! Listing says what the catalogue holds, from the names of its files, their footers, and a first and a last row.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use alphaengine_core::market::Timeframe;
use alphaengine_core::units::Timestamp;
use polars::prelude::{ParquetReader, SerReader};

use super::folder;
use super::month_file::{parquet, read_rows};
use super::table::Layout;
use crate::Error;
use crate::disk::disk;
use crate::kind::Kind;
use crate::month::Month;

/// One stream of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub symbol: String,
    pub kind: Kind,
    pub timeframe: Option<Timeframe>,
    /// `YYYY-MM`, in order. There may be gaps between them.
    pub months: Vec<String>,
    pub rows: u64,
    pub bytes: u64,
    /// The time of the first row.
    pub first: Timestamp,
    /// The time of the last row.
    pub last: Timestamp,
}

/// What the catalogue below `root` holds, by symbol and kind. Files that do not belong to it are passed over; a root that is
/// not there holds nothing.
pub fn list(root: &Path) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    for symbol in names(root)? {
        if !root.join(&symbol).is_dir() {
            continue;
        }
        for name in names(&root.join(&symbol))? {
            let Some((kind, timeframe)) = parse_folder(&name) else { continue };
            let Some(layout) = Layout::of(kind) else { continue };
            entries.extend(entry(root, &symbol, kind, timeframe, &layout)?);
        }
    }
    entries.sort_by(|a, b| (&a.symbol, a.kind, a.timeframe).cmp(&(&b.symbol, b.kind, b.timeframe)));
    Ok(entries)
}

fn entry(
    root: &Path,
    symbol: &str,
    kind: Kind,
    timeframe: Option<Timeframe>,
    layout: &Layout,
) -> Result<Option<Entry>, Error> {
    let folder = folder(root, symbol, kind, timeframe);
    if !folder.is_dir() {
        return Ok(None);
    }
    let start = format!("{symbol}-{}-", timeframe.map_or(kind.name(), Timeframe::name));
    let mut months: BTreeMap<Month, (PathBuf, u64)> = BTreeMap::new();
    let mut bytes = 0;
    for name in names(&folder)? {
        let month = name.strip_prefix(&start).and_then(|rest| rest.strip_suffix(".parquet"));
        let Some(month) = month.and_then(|month| month.parse::<Month>().ok()) else { continue };
        let path = folder.join(&name);
        bytes += fs::metadata(&path).map_err(|problem| disk(&path, "this file cannot be read", &problem))?.len();
        let rows = count_rows(&path)?;
        if rows > 0 {
            months.insert(month, (path, rows));
        }
    }
    let (Some((first_path, _)), Some((last_path, last_rows))) = (months.values().next(), months.values().next_back())
    else {
        return Ok(None);
    };
    Ok(Some(Entry {
        symbol: symbol.to_owned(),
        kind,
        timeframe,
        first: time_of_row(first_path, layout, 0)?,
        last: time_of_row(last_path, layout, *last_rows as usize - 1)?,
        rows: months.values().map(|(_, rows)| rows).sum(),
        months: months.keys().map(Month::to_string).collect(),
        bytes,
    }))
}

/// `klines-1m`, `trades`.
fn parse_folder(name: &str) -> Option<(Kind, Option<Timeframe>)> {
    let (kind, timeframe) = match name.split_once('-') {
        Some((kind, timeframe)) => (kind, Some(timeframe.parse().ok()?)),
        None => (name, None),
    };
    let kind = Kind::ALL.into_iter().find(|known| known.name() == kind)?;
    (kind.has_timeframe() == timeframe.is_some()).then_some((kind, timeframe))
}

/// The names in a folder, sorted; those that are not text are none of the catalogue's.
fn names(folder: &Path) -> Result<Vec<String>, Error> {
    let unreadable = |problem| disk(folder, "this folder cannot be read", &problem);
    let mut names = Vec::new();
    match fs::read_dir(folder) {
        Err(problem) if problem.kind() == ErrorKind::NotFound => {}
        found => {
            for entry in found.map_err(unreadable)? {
                names.extend(entry.map_err(unreadable)?.file_name().into_string().ok());
            }
        }
    }
    names.sort();
    Ok(names)
}

/// From the footer.
fn count_rows(path: &Path) -> Result<u64, Error> {
    let file = File::open(path).map_err(|problem| disk(path, "this file cannot be read", &problem))?;
    let rows = ParquetReader::new(file).num_rows().map_err(|problem| parquet(path, &problem))?;
    Ok(rows as u64)
}

fn time_of_row(path: &Path, layout: &Layout, row: usize) -> Result<Timestamp, Error> {
    let frame = read_rows(path, Some(&[layout.time]), row, 1)?;
    let times = frame.column(layout.time).and_then(|column| column.i64());
    let time = times.map_err(|problem| parquet(path, &problem))?.get(0).and_then(Timestamp::from_millis);
    time.ok_or_else(|| Error::new(format!("`{}` holds no time", layout.time)).file(path))
}
