//! Listing says what the catalogue holds, from the names of its files and their footers.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::ErrorKind;
use std::panic::catch_unwind;
use std::path::Path;

use alphaengine_core::market::Timeframe;
use alphaengine_core::units::Timestamp;
use polars::prelude::{ParquetReader, SerReader};

use super::folder;
use super::month_file::{AGAIN, parquet};
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
    let mut months: BTreeMap<Month, Footer> = BTreeMap::new();
    let mut bytes = 0;
    for name in names(&folder)? {
        let month = name.strip_prefix(&start).and_then(|rest| rest.strip_suffix(".parquet"));
        let Some(month) = month.and_then(|month| month.parse::<Month>().ok()) else { continue };
        let path = folder.join(&name);
        bytes += fs::metadata(&path).map_err(|problem| disk(&path, "this file cannot be read", &problem))?.len();
        // The Parquet library panics on some damaged footers.
        let footer = catch_unwind(|| Footer::read(&path, layout)).unwrap_or_else(|_| Err(strange(&path)))?;
        if !month.contains(footer.first) || !month.contains(footer.last) {
            let problem = format!("this file has rows from {} to {}, not of {month}", footer.first, footer.last);
            return Err(Error::new(problem).file(&path).hint(AGAIN));
        }
        months.insert(month, footer);
    }
    let (Some(first), Some(last)) = (months.values().next(), months.values().next_back()) else { return Ok(None) };
    Ok(Some(Entry {
        symbol: symbol.to_owned(),
        kind,
        timeframe,
        first: first.first,
        last: last.last,
        rows: months.values().map(|footer| footer.rows).sum(),
        months: months.keys().map(Month::to_string).collect(),
        bytes,
    }))
}

fn strange(path: &Path) -> Error {
    Error::new("the footer of this file does not tell its rows and times").file(path).hint(AGAIN)
}

/// What the footer of a file tells. The rows are left alone: a damaged file may hold any length in them.
struct Footer {
    rows: u64,
    first: Timestamp,
    last: Timestamp,
}

impl Footer {
    fn read(path: &Path, layout: &Layout) -> Result<Footer, Error> {
        let file = File::open(path).map_err(|problem| disk(path, "this file cannot be read", &problem))?;
        let mut reader = ParquetReader::new(file);
        let footer = reader.get_metadata().map_err(|problem| parquet(path, &problem))?;
        let strange = || strange(path);

        let mut span: Option<(i64, i64)> = None;
        let mut rows = 0;
        for group in &footer.row_groups {
            let columns = group.parquet_columns().iter();
            let mut times = columns.filter(|column| column.descriptor().path_in_schema.iter().eq([layout.time]));
            let time = times.next().ok_or_else(strange)?;
            let statistics = time.statistics(&footer.footer_buf).and_then(Result::ok).ok_or_else(strange)?;
            let statistics = statistics.as_int64().ok_or_else(strange)?;
            let (Some(first), Some(last)) = (statistics.min_value, statistics.max_value) else { return Err(strange()) };
            span = Some(span.map_or((first, last), |(min, max)| (min.min(first), max.max(last))));
            rows +=
                u64::try_from(time.num_values()).ok().filter(|rows| *rows < u64::from(u32::MAX)).ok_or_else(strange)?;
        }
        let (first, last) = span.ok_or_else(strange)?;
        let time = |millis| Timestamp::from_millis(millis).ok_or_else(strange);
        if rows != footer.num_rows as u64 || first > last {
            return Err(strange());
        }
        Ok(Footer { rows, first: time(first)?, last: time(last)? })
    }
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
