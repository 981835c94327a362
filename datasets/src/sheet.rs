//! A Sheet is a table on its way to a file, row by row: CSV for people and notebooks, Parquet for large ones.
//!
//! It is written to a draft beside its place and takes the place when it is complete, so that no half-written file is ever
//! mistaken for a whole one.

use std::borrow::Cow;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use polars::prelude::{BatchedWriter, Column, DataFrame, ParquetWriter, PolarsError};

use crate::Error;
use crate::disk::disk;

/// Rows that become one row group.
const ROW_GROUP: usize = 65_536;

/// What files a table is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Csv,
    Parquet,
}

impl Format {
    /// The ending of its files.
    pub const fn extension(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Parquet => "parquet",
        }
    }
}

/// One value of a row; an empty text is no value.
pub type Cell<'a> = Cow<'a, str>;

/// A table that is being written.
pub struct Sheet {
    path: PathBuf,
    draft: PathBuf,
    names: &'static [&'static str],
    body: Option<Body>,
    rows: u64,
}

enum Body {
    Csv(Box<csv::Writer<BufWriter<File>>>),
    Parquet { writer: Box<BatchedWriter<BufWriter<File>>>, columns: Vec<Vec<Option<String>>> },
}

impl Sheet {
    /// Begins `directory/name.csv` (or `.parquet`) with these columns. All columns are text, so that decimals stay exact.
    pub fn create(
        directory: &Path,
        name: &str,
        format: Format,
        names: &'static [&'static str],
    ) -> Result<Sheet, Error> {
        let path = directory.join(format!("{name}.{}", format.extension()));
        let draft = path.with_added_extension("tmp");
        let file = File::create(&draft).map_err(|problem| disk(&draft, "this file cannot be written", &problem))?;
        let file = BufWriter::with_capacity(1 << 16, file);
        let mut sheet = Sheet { path, draft, names, body: None, rows: 0 };
        sheet.body = Some(match format {
            Format::Csv => {
                let mut writer = csv::Writer::from_writer(file);
                writer.write_record(names).map_err(|problem| sheet.csv(&problem))?;
                Body::Csv(Box::new(writer))
            }
            Format::Parquet => {
                let columns = vec![Vec::new(); names.len()];
                let empty = frame(names, &columns).map_err(|problem| sheet.parquet(&problem))?;
                let writer = ParquetWriter::new(file).batched(empty.schema());
                Body::Parquet { writer: Box::new(writer.map_err(|problem| sheet.parquet(&problem))?), columns }
            }
        });
        Ok(sheet)
    }

    /// Writes a row: as many cells as there are columns.
    pub fn row<'a>(&mut self, cells: impl IntoIterator<Item = Cell<'a>>) -> Result<(), Error> {
        self.rows += 1;
        match &mut self.body {
            Some(Body::Csv(writer)) => {
                let written = cells.into_iter().try_for_each(|cell| writer.write_field(cell.as_bytes()));
                let written = written.and_then(|()| writer.write_record(None::<&[u8]>));
                written.map_err(|problem| self.csv(&problem))
            }
            Some(Body::Parquet { columns, .. }) => {
                for (column, cell) in columns.iter_mut().zip(cells) {
                    column.push((!cell.is_empty()).then(|| cell.into_owned()));
                }
                if columns.first().is_some_and(|column| column.len() >= ROW_GROUP) { self.flush() } else { Ok(()) }
            }
            None => Ok(()),
        }
    }

    fn flush(&mut self) -> Result<(), Error> {
        let written = match &mut self.body {
            Some(Body::Parquet { writer, columns }) => frame(self.names, columns).and_then(|frame| {
                columns.iter_mut().for_each(Vec::clear);
                writer.write_batch(&frame)
            }),
            _ => Ok(()),
        };
        written.map_err(|problem| self.parquet(&problem))
    }

    /// Brings everything to the disk, still under the draft's name: what fails for want of room fails here. Who writes several
    /// sheets seals them all before the first takes its place.
    pub fn seal(&mut self) -> Result<(), Error> {
        self.flush()?;
        let file = match self.body.take() {
            Some(Body::Csv(writer)) => {
                let buffer = writer.into_inner().map_err(|problem| problem.into_error());
                buffer.and_then(|buffer| buffer.into_inner().map_err(std::io::IntoInnerError::into_error))
            }
            Some(Body::Parquet { writer, .. }) => {
                writer.finish().map_err(|problem| self.parquet(&problem))?;
                drop(writer);
                File::open(&self.draft)
            }
            None => return Ok(()),
        };
        let sealed = file.and_then(|file| file.sync_all());
        sealed.map_err(|problem| disk(&self.path, "this file cannot be written", &problem))
    }

    /// Completes the file and gives it its name. How many rows it has.
    pub fn finish(mut self) -> Result<(PathBuf, u64), Error> {
        self.seal()?;
        let placed = std::fs::rename(&self.draft, &self.path);
        placed.map_err(|problem| disk(&self.path, "this file cannot be written", &problem))?;
        Ok((self.path.clone(), self.rows))
    }

    fn csv(&self, problem: &csv::Error) -> Error {
        match problem.kind() {
            csv::ErrorKind::Io(problem) => disk(&self.draft, "this file cannot be written", problem),
            _ => Error::new(format!("this file cannot be written: {problem}")).file(&self.draft),
        }
    }

    fn parquet(&self, problem: &PolarsError) -> Error {
        Error::new(format!("this file cannot be written: {problem}"))
            .file(&self.draft)
            .hint("check that there is room and that you may write there")
    }
}

impl Drop for Sheet {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.draft);
    }
}

fn frame(names: &[&str], columns: &[Vec<Option<String>>]) -> Result<DataFrame, PolarsError> {
    let height = columns.first().map_or(0, Vec::len);
    let columns = names.iter().zip(columns).map(|(name, cells)| Column::new((*name).into(), cells.as_slice()));
    DataFrame::new(height, columns.collect())
}

#[cfg(test)]
mod tests {
    use polars::prelude::{ParquetReader, SerReader};

    use super::*;

    fn write(format: Format, directory: &Path) -> PathBuf {
        let mut sheet = Sheet::create(directory, "table", format, &["name", "amount"]).unwrap();
        sheet.row(["a, \"b\"".into(), "0.00000001".into()]).unwrap();
        sheet.row(["".into(), String::from("2").into()]).unwrap();
        let (path, rows) = sheet.finish().unwrap();
        assert_eq!(rows, 2);
        path
    }

    #[test]
    fn both_formats_hold_the_rows() {
        let directory = tempfile::tempdir().unwrap();
        let csv = write(Format::Csv, directory.path());
        assert_eq!(std::fs::read_to_string(csv).unwrap(), "name,amount\n\"a, \"\"b\"\"\",0.00000001\n,2\n");
        let parquet = write(Format::Parquet, directory.path());
        let frame = ParquetReader::new(File::open(parquet).unwrap()).finish().unwrap();
        assert_eq!(frame.shape(), (2, 2));
        assert_eq!(frame.column("amount").unwrap().str().unwrap().get(0), Some("0.00000001"));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2, "no draft is left");
    }

    #[test]
    fn an_unfinished_sheet_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        drop(Sheet::create(directory.path(), "table", Format::Csv, &["name"]).unwrap());
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let error = Sheet::create(Path::new("/nonexistent"), "table", Format::Csv, &["name"]).map(drop).unwrap_err();
        assert!(error.to_string().starts_with("/nonexistent/table.csv.tmp: this file cannot be written"), "{error}");
    }
}
