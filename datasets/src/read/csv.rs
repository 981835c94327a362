//! Reads CSV tables, with or without a header, plain or packed.

use std::io::Read;
use std::path::{Path, PathBuf};

use alphaengine_core::market::Timeframe;
use csv::ByteRecord;

use super::Known;
use super::input::{self, Input};
use super::layout::Layout;
use super::rows::Rows;
use super::value::{Cells, Checked, flag_from_bytes, integer_from_bytes, number_from_bytes};
use crate::Error;
use crate::chunk::{Chunk, ChunkSource};

/// The rows of one CSV file.
pub(crate) struct CsvReader {
    path: PathBuf,
    reader: csv::Reader<Input>,
    record: ByteRecord,
    /// The first row, where it is not a header.
    first: Option<ByteRecord>,
    width: usize,
    rows: Rows,
}

impl CsvReader {
    pub fn open(path: &Path, input: Input, timeframe: Option<Timeframe>) -> Result<Known<CsvReader>, Error> {
        let mut reader =
            csv::ReaderBuilder::new().has_headers(false).flexible(true).buffer_capacity(1 << 16).from_reader(input);
        let mut first = ByteRecord::new();
        if !reader.read_byte_record(&mut first).map_err(|error| csv_failed(path, &error))? {
            return Err(Error::new("the file is empty").file(path));
        }
        let width = first.len();
        let starts_with_number = first
            .get(0)
            .is_some_and(|cell| cell.trim_ascii().first().is_some_and(|c| c.is_ascii_digit() || *c == b'-'));
        let layout = if starts_with_number {
            let cells: Vec<&[u8]> = first.iter().collect();
            Layout::from_shape(&cells, path)
        } else {
            let names: Vec<_> = first.iter().map(String::from_utf8_lossy).collect();
            Layout::from_header(&names, path)
        };
        let layout = match layout {
            Ok(layout) => layout,
            Err(flaw) => return Ok(Err(Error::from(flaw).file(path))),
        };
        let rows = Rows::new(path, layout, timeframe);
        let first = starts_with_number.then_some(first);
        Ok(Ok(CsvReader { path: path.to_owned(), reader, record: ByteRecord::new(), first, width, rows }))
    }

    pub fn rows(&mut self) -> &mut Rows {
        &mut self.rows
    }
}

impl ChunkSource for CsvReader {
    fn next_chunk(&mut self) -> Result<Option<Chunk>, Error> {
        self.read_chunk().map_err(|error| self.damage().unwrap_or(error))
    }
}

impl CsvReader {
    /// What is wrong with a packed file itself. Damage often shows as an odd row first, and as damage only at the end.
    fn damage(&mut self) -> Option<Error> {
        let mut buffer = [0; 4_096];
        loop {
            match self.reader.get_mut().read(&mut buffer) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) => return Some(input::read_failed(&self.path, &error)),
            }
        }
    }

    fn read_chunk(&mut self) -> Result<Option<Chunk>, Error> {
        if let Some(first) = self.first.take() {
            self.rows.push(&Record(&first), 1)?;
        }
        while !self.rows.is_full() {
            if !self.reader.read_byte_record(&mut self.record).map_err(|error| csv_failed(&self.path, &error))? {
                break;
            }
            let line = || self.record.position().map_or(0, csv::Position::line);
            if self.record.len() != self.width {
                let problem = format!("{} columns where the first row has {}", self.record.len(), self.width);
                return Err(Error::new(problem).file(&self.path).row(line()).hint("the file may be cut off"));
            }
            self.rows.push(&Record(&self.record), line())?;
        }
        self.rows.take()
    }
}

fn csv_failed(path: &Path, error: &csv::Error) -> Error {
    match error.kind() {
        csv::ErrorKind::Io(error) => input::read_failed(path, error),
        _ => input::cannot_read(path, error),
    }
}

/// A record as cells.
struct Record<'a>(&'a ByteRecord);

impl Record<'_> {
    #[inline]
    fn cell(&self, column: usize) -> &[u8] {
        self.0.get(column).unwrap_or_default()
    }
}

impl Cells for Record<'_> {
    #[inline]
    fn number(&self, column: usize) -> Checked<i64> {
        number_from_bytes(self.cell(column))
    }

    #[inline]
    fn integer(&self, column: usize) -> Checked<i64> {
        integer_from_bytes(self.cell(column))
    }

    #[inline]
    fn flag(&self, column: usize) -> Checked<bool> {
        flag_from_bytes(self.cell(column))
    }

    fn is_blank(&self, column: usize) -> bool {
        self.cell(column).trim_ascii().is_empty()
    }
}
