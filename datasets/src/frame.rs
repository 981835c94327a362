//! A Table is columns of equal length, for exports to Parquet and CSV.
//!
//! A file appears whole or not at all: it is written beside its place, brought to the disk, and then renamed.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use polars::prelude::{Column as PolarsColumn, DataFrame, ParquetWriter};

use crate::Error;

/// Values of one column.
#[derive(Debug, Clone, PartialEq)]
pub enum Column {
    Text(Vec<Option<String>>),
    Int(Vec<i64>),
    Float(Vec<f64>),
}

impl Column {
    pub fn len(&self) -> usize {
        match self {
            Column::Text(values) => values.len(),
            Column::Int(values) => values.len(),
            Column::Float(values) => values.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Named columns of equal length.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table {
    pub columns: Vec<(String, Column)>,
}

impl Table {
    /// The number of rows.
    pub fn height(&self) -> usize {
        self.columns.first().map_or(0, |(_, column)| column.len())
    }

    /// Writes a Parquet file: text as strings, whole numbers as Int64, others as Float64.
    pub fn write_parquet(&self, path: &Path) -> Result<(), Error> {
        self.check(path)?;
        let columns = self.columns.iter().map(|(name, column)| {
            let name = name.as_str().into();
            match column {
                Column::Text(values) => PolarsColumn::new(name, values),
                Column::Int(values) => PolarsColumn::new(name, values),
                Column::Float(values) => PolarsColumn::new(name, values),
            }
        });
        let failed = |error: &dyn std::fmt::Display| cannot_write(path, error);
        let mut frame = DataFrame::new(self.height(), columns.collect()).map_err(|error| failed(&error))?;
        write_atomically(path, |file| {
            ParquetWriter::new(file).finish(&mut frame).map(|_| ()).map_err(|error| failed(&error))
        })
    }

    /// Writes a CSV file with a header, in UTF-8. A text that is missing is an empty cell.
    pub fn write_csv(&self, path: &Path) -> Result<(), Error> {
        self.check(path)?;
        write_atomically(path, |file| {
            let mut writer = csv::Writer::from_writer(file);
            self.write_rows(&mut writer).map_err(|error| cannot_write(path, &error))
        })
    }

    fn write_rows<W: Write>(&self, writer: &mut csv::Writer<W>) -> Result<(), csv::Error> {
        writer.write_record(self.columns.iter().map(|(name, _)| name.as_str()))?;
        for row in 0..self.height() {
            for (_, column) in &self.columns {
                match column {
                    Column::Text(values) => {
                        writer.write_field(values.get(row).and_then(Option::as_deref).unwrap_or_default())?;
                    }
                    Column::Int(values) => {
                        writer.write_field(values.get(row).map(i64::to_string).unwrap_or_default())?;
                    }
                    Column::Float(values) => {
                        writer.write_field(values.get(row).map(f64::to_string).unwrap_or_default())?;
                    }
                }
            }
            writer.write_record(None::<&[u8]>)?;
        }
        writer.flush()?;
        Ok(())
    }

    fn check(&self, path: &Path) -> Result<(), Error> {
        let height = self.height();
        match self.columns.iter().find(|(_, column)| column.len() != height) {
            None => Ok(()),
            Some((name, column)) => {
                let problem = format!("the column `{name}` has {} rows where the first has {height}", column.len());
                Err(Error::new(problem).file(path))
            }
        }
    }
}

fn cannot_write(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::new(format!("cannot be written: {error}")).file(path)
}

/// Writes beside the place of a file and renames, so that nobody ever sees half of it.
fn write_atomically(path: &Path, write: impl FnOnce(&mut BufWriter<&File>) -> Result<(), Error>) -> Result<(), Error> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".tmp");
    let beside = PathBuf::from(beside);
    let written = write_beside(path, &beside, write);
    if written.is_err() {
        // What is left of a failed attempt helps nobody; that it cannot be removed does not add to the error.
        let _ = std::fs::remove_file(&beside);
    }
    written
}

fn write_beside(
    path: &Path,
    beside: &Path,
    write: impl FnOnce(&mut BufWriter<&File>) -> Result<(), Error>,
) -> Result<(), Error> {
    let failed = |error: std::io::Error| cannot_write(path, &error);
    let file = File::create(beside).map_err(failed)?;
    let mut buffered = BufWriter::with_capacity(1 << 16, &file);
    write(&mut buffered)?;
    buffered.flush().map_err(failed)?;
    drop(buffered);
    file.sync_all().map_err(failed)?;
    std::fs::rename(beside, path).map_err(failed)?;
    // The name itself lasts when the folder is on the disk; not every file system can say so.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        Table {
            columns: vec![
                ("note".to_owned(), Column::Text(vec![Some("a, \"b\"".to_owned()), None])),
                ("count".to_owned(), Column::Int(vec![1, -2])),
                ("价格".to_owned(), Column::Float(vec![0.1, 3.0])),
            ],
        }
    }

    #[test]
    fn csv_is_quoted_and_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        table().write_csv(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "note,count,价格\n\"a, \"\"b\"\"\",1,0.1\n,-2,3\n");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn parquet_reads_back() {
        use polars::prelude::{ParquetReader, SerReader};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.parquet");
        table().write_parquet(&path).unwrap();
        let frame = ParquetReader::new(File::open(&path).unwrap()).finish().unwrap();
        assert_eq!(frame.shape(), (2, 3));
        assert_eq!(frame.column("count").unwrap().i64().unwrap().get(1), Some(-2));
        assert_eq!(frame.column("note").unwrap().str().unwrap().get(1), None);
        assert_eq!(frame.column("价格").unwrap().f64().unwrap().get(0), Some(0.1));
    }

    #[test]
    fn failures_name_the_file_and_leave_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing").join("out.csv");
        let error = table().write_csv(&path).unwrap_err();
        assert_eq!(error.file.as_deref(), Some(path.as_path()));
        let mut uneven = table();
        uneven.columns.push(("more".to_owned(), Column::Int(vec![1])));
        let path = folder.path().join("out.csv");
        let error = uneven.write_csv(&path).unwrap_err();
        assert_eq!(error.problem, "the column `more` has 1 rows where the first has 2");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
