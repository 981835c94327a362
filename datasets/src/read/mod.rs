//! Readers turn files into chunks: CSV (plain, zip, gzip), Parquet, and raw recordings. Every row is checked; what is
//! wrong is an [`Error`] that names the file, the row and, where there is one, the next step.

mod csv;
mod input;
mod layout;
mod parquet;
pub mod recording;
mod rows;
mod value;

use std::io::Read;
use std::path::Path;

use alphaengine_core::market::{Bar, Timeframe};
use alphaengine_core::units::{NANOS_PER_SECOND, Timestamp};

use crate::Error;
use crate::chunk::{Chunk, ChunkSource};
use crate::kind::Kind;

/// Rows that are read to learn what a file is.
const HEAD_ROWS: usize = 1_024;

/// What the beginning of a table says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub kind: Kind,
    /// Of klines: from the file's name, else the smallest step between the opening times of the first rows.
    pub timeframe: Option<Timeframe>,
    pub first: Timestamp,
    /// Where it is cheap to know.
    pub last: Option<Timestamp>,
}

/// A file that is of a known kind, or why it is of none.
type Known<T> = Result<T, Error>;

/// What a file turned out to be.
#[derive(Debug)]
pub(crate) enum Look {
    Table(Head),
    Recording(recording::Contents),
    /// Nothing that is known, and why.
    Unknown(Error),
}

enum Table {
    Csv(csv::CsvReader),
    Parquet(parquet::ParquetReader),
}

impl Table {
    fn open(path: &Path, timeframe: Option<Timeframe>) -> Result<Known<Table>, Error> {
        if input::extension(path) == "parquet" {
            return Ok(parquet::ParquetReader::open(path, timeframe)?.map(Table::Parquet));
        }
        Ok(csv::CsvReader::open(path, input::open(path)?, timeframe)?.map(Table::Csv))
    }

    fn rows(&mut self) -> &mut rows::Rows {
        match self {
            Table::Csv(reader) => reader.rows(),
            Table::Parquet(reader) => reader.rows(),
        }
    }
}

impl ChunkSource for Table {
    fn next_chunk(&mut self) -> Result<Option<Chunk>, Error> {
        match self {
            Table::Csv(reader) => reader.next_chunk(),
            Table::Parquet(reader) => reader.next_chunk(),
        }
    }
}

/// Opens a table of any known kind. The timeframe of klines is told as [`head`] does where none is given.
pub fn open(path: &Path, timeframe: Option<Timeframe>) -> Result<Box<dyn ChunkSource>, Error> {
    let mut table = Table::open(path, timeframe)??;
    if timeframe.is_none() && table.rows().kind().has_timeframe() {
        table = Table::open(path, head(path, None)?.timeframe)??;
    }
    Ok(Box::new(table))
}

/// Opens a table as [`open`] does, but takes rows that contradict themselves or each other, for a checker to count.
pub fn open_lenient(path: &Path, timeframe: Option<Timeframe>) -> Result<Box<dyn ChunkSource>, Error> {
    let mut table = Table::open(path, timeframe)??;
    table.rows().set_lenient();
    Ok(Box::new(table))
}

/// Reads the beginning of a table. `fallback` is the timeframe of klines that do not tell theirs, because there is only
/// one row.
pub fn head(path: &Path, fallback: Option<Timeframe>) -> Result<Head, Error> {
    head_of(path, Table::open(path, None)??, fallback)
}

/// Finds out what a file is. Damage is an error; a file of no known kind is not.
pub(crate) fn look(path: &Path, fallback: Option<Timeframe>) -> Result<Look, Error> {
    look_at(path, fallback, false)
}

/// The same for a checker: rows may contradict each other.
pub(crate) fn look_leniently(path: &Path) -> Result<Look, Error> {
    look_at(path, Some(Timeframe::M1), true)
}

fn look_at(path: &Path, fallback: Option<Timeframe>, is_lenient: bool) -> Result<Look, Error> {
    const ENDINGS: [&str; 4] = ["csv", "zip", "gz", "parquet"];
    let extension = input::extension(path);
    if extension != "parquet" && is_recording(path)? {
        return recording::contents(path).map(Look::Recording);
    }
    if !ENDINGS.contains(&extension.as_str()) {
        let problem = format!("a file that ends in `.{extension}` is of no known kind");
        return Ok(Look::Unknown(
            Error::new(problem).file(path).hint("known are csv, zip, gz, parquet and recordings"),
        ));
    }
    match Table::open(path, None)? {
        Ok(mut table) => {
            if is_lenient {
                table.rows().set_lenient();
            }
            head_of(path, table, fallback).map(Look::Table)
        }
        Err(unknown) => Ok(Look::Unknown(unknown)),
    }
}

/// The text of a small file, which may be packed like data.
pub fn text(path: &Path) -> Result<String, Error> {
    let mut text = String::new();
    let read = input::open(path)?.read_to_string(&mut text);
    read.map_err(|error| input::read_failed(path, &error))?;
    Ok(text)
}

fn is_recording(path: &Path) -> Result<bool, Error> {
    let mut start = Vec::new();
    let read = input::open(path)?.take(64).read_to_end(&mut start);
    read.map_err(|error| input::read_failed(path, &error))?;
    Ok(recording::is_recording_line(&start))
}

fn head_of(path: &Path, mut table: Table, fallback: Option<Timeframe>) -> Result<Head, Error> {
    let kind = table.rows().kind();
    table.rows().set_capacity(HEAD_ROWS);
    if let Table::Parquet(reader) = &mut table {
        reader.only_start(HEAD_ROWS);
    }
    let empty = || Error::new("the file holds no rows").file(path);
    let chunk = table.next_chunk()?.ok_or_else(empty)?;
    let first = chunk.first_at().ok_or_else(empty)?;
    let timeframe = match &chunk {
        Chunk::Bars(bars) | Chunk::MarkBars(bars) => Some(timeframe_of(path, bars, fallback)?),
        _ => None,
    };
    let last = match table {
        Table::Parquet(_) => {
            let mut reader = parquet::ParquetReader::open(path, None)??;
            reader.only_end();
            reader.next_chunk()?.unwrap_or(chunk).last_at()
        }
        Table::Csv(_) => None,
    };
    Ok(Head { kind, timeframe, first, last })
}

fn timeframe_of(path: &Path, bars: &[Bar], fallback: Option<Timeframe>) -> Result<Timeframe, Error> {
    if let Some(named) = layout::timeframe_in_path(path) {
        return Ok(named);
    }
    let steps = bars.windows(2).filter_map(|pair| match pair {
        [earlier, later] => Some(later.open_time.since(earlier.open_time)),
        _ => None,
    });
    let Some(step) = steps.filter(|step| *step > 0).min() else {
        let hint = "name it in the file's name, as in BTCUSDT-1m.csv, or in the folder's";
        return fallback.ok_or_else(|| Error::new("one bar does not tell its timeframe").file(path).hint(hint));
    };
    let found = Timeframe::ALL.into_iter().find(|timeframe| timeframe.nanos() == step);
    found.ok_or_else(|| {
        let known = Timeframe::ALL.map(Timeframe::name).join(" ");
        Error::new(format!("the bars are {} s apart, which is no timeframe", step / NANOS_PER_SECOND))
            .file(path)
            .hint(format!("timeframes are {known}"))
    })
}

/// Whether the path says that the file holds data, so that it is an error when it does not.
pub(crate) fn names_a_kind(path: &Path) -> bool {
    let is_table = ["csv", "zip", "parquet"].contains(&input::extension(path).as_str());
    is_table && layout::kind_in_path(path).is_ok_and(|kind| kind.is_some())
}
