//! A MonthFile is one Parquet file while it is written: a draft beside its place, which takes it when it is complete.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use alphaengine_core::units::{Timestamp, steps_from_f64};
use polars::prelude::{
    BatchedWriter, Column, DataFrame, ParallelStrategy, ParquetReader, ParquetWriter, PolarsError, SerReader,
};

use super::table::{Layout, Table, decimals};
use crate::Error;
use crate::disk::{create_dir, disk};
use crate::month::Month;

/// Rows that are kept before they are written as one row group.
const ROW_GROUP: usize = 262_144;
/// What to do about a damaged file.
pub(super) const AGAIN: &str = "remove the file and import this month again";

pub(super) struct MonthFile {
    /// The first instant that no longer belongs to it.
    pub end: Timestamp,
    path: PathBuf,
    draft: PathBuf,
    /// Rows that are not yet in the draft.
    pub table: Table,
    writer: Option<Writer>,
    /// Decimals are written as text, because one of them is no float.
    text: bool,
    rows: u64,
    done: bool,
}

struct Writer {
    parquet: BatchedWriter<Shared>,
    output: Arc<Mutex<Output>>,
    /// The same file, to bring it to the disk.
    file: File,
}

impl MonthFile {
    pub fn new(path: PathBuf, month: Month, layout: Layout, replace: bool) -> Result<MonthFile, Error> {
        if !replace && path.exists() {
            let problem = format!("the catalogue already has {month}");
            return Err(Error::new(problem).file(&path).hint("leave this month out, or write it anew with --replace"));
        }
        if let Some(folder) = path.parent() {
            create_dir(folder)?;
        }
        let draft = path.with_added_extension("tmp");
        let table = Table::new(layout);
        Ok(MonthFile { end: month.end(), path, draft, table, writer: None, text: false, rows: 0, done: false })
    }

    /// Writes a row group when enough rows are there. Fundings wait for the end of their month: they are few, and only then
    /// it is known whether any has a mark price.
    pub fn flush_if_full(&mut self) -> Result<(), Error> {
        let waits = self.table.layout.is_decimal("mark_price");
        if self.table.len() >= ROW_GROUP && !waits { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Error> {
        if !self.text && !self.table.fits_floats() {
            self.become_text()?;
        }
        let frame = self.table.frame(self.text).map_err(|problem| parquet(&self.draft, &problem))?;
        self.rows += self.table.len() as u64;
        self.table.clear();
        self.write(&frame)
    }

    fn write(&mut self, frame: &DataFrame) -> Result<(), Error> {
        let draft = &self.draft;
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => none.insert(Writer::create(draft, frame)?),
        };
        writer.write(draft, frame)
    }

    /// Writes again as text what the draft holds as floats.
    fn become_text(&mut self) -> Result<(), Error> {
        self.text = true;
        let Some(writer) = self.writer.take() else { return Ok(()) };
        writer.finish(&self.draft)?;
        let floats = std::mem::replace(&mut self.draft, self.path.with_added_extension("text.tmp"));
        let mut rewrite = || {
            let mut from = 0;
            while (from as u64) < self.rows {
                let frame = read_rows(&floats, from, ROW_GROUP)?;
                from += frame.height();
                let columns = frame.columns().iter().map(|column| as_text(column, &self.table.layout));
                let columns = columns.collect::<Result<Vec<_>, PolarsError>>();
                let frame = columns.and_then(|columns| DataFrame::new(frame.height(), columns));
                self.write(&frame.map_err(|problem| parquet(&floats, &problem))?)?;
            }
            Ok(())
        };
        let written = rewrite();
        let _ = fs::remove_file(&floats);
        written
    }

    /// Completes the file and gives it its name: where it is, and how many rows it has.
    pub fn finish(mut self) -> Result<(PathBuf, u64), Error> {
        if self.table.len() > 0 {
            self.flush()?;
        }
        if let Some(writer) = self.writer.take() {
            writer.finish(&self.draft)?;
            let named = fs::rename(&self.draft, &self.path);
            named.map_err(|problem| unwritable(&self.path, &problem))?;
        }
        self.done = true;
        Ok((self.path.clone(), self.rows))
    }
}

impl Drop for MonthFile {
    fn drop(&mut self) {
        if !self.done {
            let _ = fs::remove_file(&self.draft);
        }
    }
}

impl Writer {
    fn create(draft: &Path, frame: &DataFrame) -> Result<Writer, Error> {
        let file = File::create(draft).map_err(|problem| unwritable(draft, &problem))?;
        let output = Output { file: file.try_clone().map_err(|problem| unwritable(draft, &problem))?, failed: None };
        let output = Arc::new(Mutex::new(output));
        let writer = ParquetWriter::new(Shared(output.clone())).batched(frame.schema());
        Ok(Writer { parquet: writer.map_err(|problem| failed(&output, draft, &problem))?, output, file })
    }

    fn write(&mut self, draft: &Path, frame: &DataFrame) -> Result<(), Error> {
        self.parquet.write_batch(frame).map_err(|problem| failed(&self.output, draft, &problem))
    }

    /// Writes the footer and brings all to the disk.
    fn finish(self, draft: &Path) -> Result<(), Error> {
        self.parquet.finish().map_err(|problem| failed(&self.output, draft, &problem))?;
        self.file.sync_all().map_err(|problem| unwritable(draft, &problem))
    }
}

/// A file that remembers why it could not be written: the Parquet library keeps only the words.
struct Output {
    file: File,
    failed: Option<io::Error>,
}

struct Shared(Arc<Mutex<Output>>);

impl io::Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut output = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        output.file.write(bytes).map_err(|problem| {
            let told = io::Error::new(problem.kind(), problem.to_string());
            output.failed = Some(problem);
            told
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn failed(output: &Mutex<Output>, draft: &Path, problem: &PolarsError) -> Error {
    match &output.lock().unwrap_or_else(PoisonError::into_inner).failed {
        Some(cause) => unwritable(draft, cause),
        None => Error::new(format!("this file cannot be written: {problem}")).file(draft),
    }
}

fn unwritable(path: &Path, problem: &io::Error) -> Error {
    disk(path, "this file cannot be written", problem)
}

/// Some rows of a draft.
fn read_rows(path: &Path, from: usize, rows: usize) -> Result<DataFrame, Error> {
    let file = File::open(path).map_err(|problem| disk(path, "this file cannot be read", &problem))?;
    let reader = ParquetReader::new(file).with_slice(Some((from, rows)));
    reader.read_parallel(ParallelStrategy::None).finish().map_err(|problem| parquet(path, &problem))
}

fn as_text(column: &Column, layout: &Layout) -> Result<Column, PolarsError> {
    if !layout.is_decimal(column.name()) {
        return Ok(column.clone());
    }
    // All of them were checked to come back from their floats.
    let floats = column.f64()?;
    Ok(decimals(column.name(), floats.iter().map(|value| steps_from_f64(value?).ok()), true))
}

/// An error of the Parquet library, in our words where the disk is behind it.
pub(super) fn parquet(path: &Path, problem: &PolarsError) -> Error {
    match problem {
        PolarsError::IO { error, .. } => disk(path, "this file cannot be read", error),
        problem => Error::new(format!("this is no good Parquet file: {problem}")).file(path).hint(AGAIN),
    }
}
