//! Reads Parquet tables a slice at a time, so that memory stays flat whatever the length of the file.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use alphaengine_core::market::Timeframe;
use polars::prelude::{
    ArrowDataType, BooleanChunked, Column, DataFrame, DataType, Float64Chunked, Int32Chunked, Int64Chunked,
    ParallelStrategy, ParquetReader as PolarsReader, PolarsResult, SerReader, StringChunked, UInt64Chunked,
};

use super::Known;
use super::input::cannot_read;
use super::layout::Layout;
use super::rows::Rows;
use super::value::{
    Cells, Checked, flag_from_bytes, flaw, integer_from_bytes, integer_from_f64, number_from_bytes, number_from_f64,
};
use crate::Error;
use crate::chunk::{Chunk, ChunkSource};

/// Row groups longer than this are read in parts.
const SLICE_ROWS: usize = 1 << 20;

/// The rows of one Parquet file.
pub(crate) struct ParquetReader {
    path: PathBuf,
    /// Offset and length of the row groups that are yet to be read, the next one last.
    groups: Vec<(usize, usize)>,
    columns: Vec<String>,
    rows: Rows,
    table: Option<Table>,
}

/// A decoded slice and the next row of it.
struct Table {
    columns: Vec<Cellular>,
    offset: usize,
    next: usize,
    len: usize,
}

impl ParquetReader {
    pub fn open(path: &Path, timeframe: Option<Timeframe>) -> Result<Known<ParquetReader>, Error> {
        let (fields, groups) = metadata(path)?;
        let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
        let layout = match Layout::from_header(&names, path) {
            Ok(layout) => layout,
            Err(flaw) => return Ok(Err(Error::from(flaw).file(path))),
        };
        let kept: Vec<usize> = layout.columns().collect();
        let mut columns = Vec::with_capacity(kept.len());
        for (name, dtype) in kept.iter().filter_map(|&column| fields.get(column)) {
            if !is_readable(dtype) {
                return Err(refuse_type(path, name, dtype));
            }
            columns.push(name.clone());
        }
        let layout = layout.narrowed(&kept);
        let mut groups_left = Vec::with_capacity(groups.len());
        let mut offset: usize = 0;
        for rows in groups.into_iter().filter(|&rows| rows > 0) {
            groups_left.push((offset, rows));
            offset = offset.saturating_add(rows);
        }
        groups_left.reverse();
        let rows = Rows::new(path, layout, timeframe);
        Ok(Ok(ParquetReader { path: path.to_owned(), groups: groups_left, columns, rows, table: None }))
    }

    pub fn rows(&mut self) -> &mut Rows {
        &mut self.rows
    }

    /// Leaves out all rows but the first ones.
    pub fn only_start(&mut self, rows: usize) {
        if let Some((offset, len)) = self.groups.last().copied() {
            self.groups = vec![(offset, len.min(rows))];
        }
    }

    /// Leaves out all rows but the last one.
    pub fn only_end(&mut self) {
        if let Some((offset, len)) = self.groups.first().copied() {
            self.groups = vec![(offset.saturating_add(len).saturating_sub(1), 1)];
        }
    }

    fn read_slice(&mut self, offset: usize, len: usize) -> Result<Table, Error> {
        let frame = guarded(&self.path, || {
            PolarsReader::new(File::open(&self.path)?)
                .with_columns(Some(self.columns.clone()))
                .with_slice(Some((offset, len)))
                .read_parallel(ParallelStrategy::None)
                .set_rechunk(true)
                .finish()
        })?;
        if frame.height() != len {
            let problem = format!("the Parquet file is damaged: {} rows where {len} are said to be", frame.height());
            return Err(Error::new(problem).file(&self.path));
        }
        // The frame has the columns in the order of the file; the layout counts them in that of its slots.
        let columns =
            self.columns.iter().map(|name| cellular(&self.path, &frame, name)).collect::<Result<_, Error>>()?;
        Ok(Table { columns, offset, next: 0, len: frame.height() })
    }
}

fn cellular(path: &Path, frame: &DataFrame, name: &str) -> Result<Cellular, Error> {
    let column: &Column = frame.column(name).map_err(|error| cannot_read(path, &error))?;
    let cellular = match column.dtype() {
        DataType::Int64 => column.i64().map(|values| Cellular::Int64(values.clone())),
        DataType::UInt64 => column.u64().map(|values| Cellular::UInt64(values.clone())),
        DataType::Int32 => column.i32().map(|values| Cellular::Int32(values.clone())),
        DataType::Float64 => column.f64().map(|values| Cellular::Float64(values.clone())),
        DataType::String => column.str().map(|values| Cellular::Text(values.clone())),
        DataType::Boolean => column.bool().map(|values| Cellular::Flag(values.clone())),
        other => return Err(cannot_read(path, &format!("the column `{name}` came as {other}"))),
    };
    cellular.map_err(|error| cannot_read(path, &error))
}

fn is_readable(dtype: &ArrowDataType) -> bool {
    use ArrowDataType as T;
    matches!(dtype, T::Int64 | T::UInt64 | T::Int32 | T::Float64 | T::Utf8 | T::LargeUtf8 | T::Utf8View | T::Boolean)
}

fn refuse_type(path: &Path, name: &str, dtype: &ArrowDataType) -> Error {
    let known = "known are Int64, UInt64, Int32, Float64, text and Boolean";
    Error::new(format!("the column `{name}` is of type {dtype:?}; {known}"))
        .file(path)
        .hint("write times as whole milliseconds and numbers as Float64 or text")
}

/// A column that is read.
enum Cellular {
    Int64(Int64Chunked),
    UInt64(UInt64Chunked),
    Int32(Int32Chunked),
    Float64(Float64Chunked),
    Text(StringChunked),
    Flag(BooleanChunked),
}

impl ChunkSource for ParquetReader {
    fn next_chunk(&mut self) -> Result<Option<Chunk>, Error> {
        while !self.rows.is_full() {
            let Some(table) = &mut self.table else {
                let Some((offset, rows)) = self.groups.pop() else { break };
                let len = rows.min(SLICE_ROWS);
                if len < rows {
                    self.groups.push((offset.saturating_add(len), rows - len));
                }
                self.table = Some(self.read_slice(offset, len)?);
                continue;
            };
            if table.next == table.len {
                self.table = None;
                continue;
            }
            let row = TableRow { columns: &table.columns, row: table.next };
            self.rows.push(&row, (table.offset + table.next) as u64 + 1)?;
            table.next += 1;
        }
        self.rows.take()
    }
}

/// Runs a reader of untrusted bytes: damage is an error, even where the decoder panics at it.
fn guarded<T>(path: &Path, read: impl FnOnce() -> PolarsResult<T>) -> Result<T, Error> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(cannot_read(path, &error)),
        Err(_) => Err(cannot_read(path, &"the Parquet file is damaged")),
    }
}

/// The columns with their types, and the lengths of the row groups.
#[expect(clippy::type_complexity, reason = "used once")]
fn metadata(path: &Path) -> Result<(Vec<(String, ArrowDataType)>, Vec<usize>), Error> {
    guarded(path, || {
        let mut reader = PolarsReader::new(File::open(path)?);
        let schema = reader.schema()?;
        let fields = schema.iter_values().map(|field| (field.name.to_string(), field.dtype.clone())).collect();
        let groups = reader.get_metadata()?.row_groups.iter().map(|group| group.num_rows()).collect();
        Ok((fields, groups))
    })
}

/// A row of a decoded slice as cells.
struct TableRow<'a> {
    columns: &'a [Cellular],
    row: usize,
}

impl TableRow<'_> {
    #[inline]
    fn cell<T>(
        &self,
        column: usize,
        int: impl FnOnce(i64) -> Checked<T>,
        float: impl FnOnce(f64) -> Checked<T>,
        text: impl FnOnce(&[u8]) -> Checked<T>,
        flag: impl FnOnce(bool) -> Checked<T>,
    ) -> Checked<T> {
        let value = match self.columns.get(column) {
            Some(Cellular::Int64(values)) => values.get(self.row).map(int),
            Some(Cellular::UInt64(values)) => values.get(self.row).map(|value| match i64::try_from(value) {
                Ok(value) => int(value),
                Err(_) => flaw(format!("{value} is out of range")),
            }),
            Some(Cellular::Int32(values)) => values.get(self.row).map(|value| int(i64::from(value))),
            Some(Cellular::Float64(values)) => values.get(self.row).map(float),
            Some(Cellular::Text(values)) => values.get(self.row).map(|value| text(value.as_bytes())),
            Some(Cellular::Flag(values)) => values.get(self.row).map(flag),
            None => None,
        };
        value.unwrap_or_else(|| flaw("the cell is empty"))
    }
}

impl Cells for TableRow<'_> {
    #[inline]
    fn number(&self, column: usize) -> Checked<i64> {
        const SCALE: i64 = alphaengine_core::units::SCALE;
        self.cell(
            column,
            |value| value.checked_mul(SCALE).map_or_else(|| flaw(format!("{value} is out of range")), Ok),
            number_from_f64,
            number_from_bytes,
            |_| flaw("a number is expected, not true or false"),
        )
    }

    #[inline]
    fn integer(&self, column: usize) -> Checked<i64> {
        let no_flag = |_| flaw("a whole number is expected, not true or false");
        self.cell(column, Ok, integer_from_f64, integer_from_bytes, no_flag)
    }

    #[inline]
    fn flag(&self, column: usize) -> Checked<bool> {
        let by_number = |value: i64| match value {
            0 => Ok(false),
            1 => Ok(true),
            _ => flaw(format!("`{value}` is neither true nor false")),
        };
        self.cell(column, by_number, |value| by_number(integer_from_f64(value)?), flag_from_bytes, Ok)
    }

    fn is_blank(&self, column: usize) -> bool {
        match self.columns.get(column) {
            Some(Cellular::Int64(values)) => values.get(self.row).is_none(),
            Some(Cellular::UInt64(values)) => values.get(self.row).is_none(),
            Some(Cellular::Int32(values)) => values.get(self.row).is_none(),
            Some(Cellular::Float64(values)) => values.get(self.row).is_none_or(f64::is_nan),
            Some(Cellular::Text(values)) => values.get(self.row).is_none_or(str::is_empty),
            Some(Cellular::Flag(values)) => values.get(self.row).is_none(),
            None => true,
        }
    }
}
