//! An Importer writes chunks into the catalogue, month by month.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use alphaengine_core::market::Timeframe;
use alphaengine_core::units::{NANOS_PER_MILLI, Timestamp};

use super::month_file::MonthFile;
use super::path;
use super::table::{Layout, Table};
use crate::Error;
use crate::chunk::Chunk;
use crate::disk::check_symbol;
use crate::kind::Kind;
use crate::month::Month;

/// What an import wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImportReport {
    pub files: Vec<PathBuf>,
    pub rows: u64,
}

/// Writes chunks into the catalogue. Streams may come one after the other or mixed; within a stream times do not go back.
/// A month is complete, and takes its place, when a later one begins or with [`Importer::finish`]; what is dropped before
/// leaves nothing of an unfinished month.
pub struct Importer {
    root: PathBuf,
    replace: bool,
    streams: BTreeMap<(String, Kind, Option<Timeframe>), Stream>,
    report: ImportReport,
}

/// One stream: its last time, and the month that is being written.
#[derive(Default)]
struct Stream {
    last: Option<Timestamp>,
    file: Option<MonthFile>,
}

/// Which stream, and where it goes.
struct Target<'a> {
    root: &'a Path,
    replace: bool,
    symbol: &'a str,
    kind: Kind,
    timeframe: Option<Timeframe>,
}

impl Importer {
    pub fn new(root: impl Into<PathBuf>) -> Importer {
        Importer { root: root.into(), replace: false, streams: BTreeMap::new(), report: ImportReport::default() }
    }

    /// Months that the catalogue already has are replaced as a whole. Without this they are an error.
    #[must_use]
    pub fn replace(mut self, replace: bool) -> Importer {
        self.replace = replace;
        self
    }

    /// Takes the next rows of a stream.
    pub fn push(&mut self, symbol: &str, kind: Kind, timeframe: Option<Timeframe>, chunk: &Chunk) -> Result<(), Error> {
        check_symbol(symbol)?;
        if timeframe.is_some() != kind.has_timeframe() {
            let verb = if kind.has_timeframe() { "need a" } else { "has no" };
            return Err(Error::new(format!("{kind} {verb} timeframe")));
        }
        let stream = self.streams.entry((symbol.to_owned(), kind, timeframe)).or_default();
        let target = Target { root: &self.root, replace: self.replace, symbol, kind, timeframe };
        let report = &mut self.report;
        match (chunk, kind) {
            (Chunk::Bars(bars), Kind::Klines) | (Chunk::MarkBars(bars), Kind::MarkPriceKlines) => {
                bars.iter().try_for_each(|bar| {
                    if Some(bar.timeframe) != timeframe {
                        let problem = format!("a bar of {} does not belong among others", bar.timeframe);
                        return Err(Error::new(problem));
                    }
                    stream.row(&target, bar.open_time, report, |table| table.bar(bar))
                })
            }
            (Chunk::Funding(rows), Kind::FundingRate) => {
                rows.iter().try_for_each(|row| stream.row(&target, row.at, report, |table| table.funding(row)))
            }
            (Chunk::Books(rows), Kind::BookTicker) => {
                rows.iter().try_for_each(|row| stream.row(&target, row.at, report, |table| table.book(row)))
            }
            (Chunk::Trades(rows), Kind::Trades | Kind::AggTrades) => {
                rows.iter().try_for_each(|row| stream.row(&target, row.at, report, |table| table.trade(row)))
            }
            (_, Kind::Recording) => {
                Err(Error::new("a recording holds several streams and has no place in the catalogue")
                    .hint("use the recording as it is, or import its streams one by one"))
            }
            _ => Err(Error::new(format!("these rows are not {kind}"))),
        }
    }

    /// Completes the months that are being written.
    pub fn finish(mut self) -> Result<ImportReport, Error> {
        for stream in std::mem::take(&mut self.streams).into_values() {
            if let Some(file) = stream.file {
                complete(file, &mut self.report)?;
            }
        }
        Ok(self.report)
    }
}

impl Stream {
    fn row(
        &mut self,
        target: &Target<'_>,
        at: Timestamp,
        report: &mut ImportReport,
        add: impl FnOnce(&mut Table),
    ) -> Result<(), Error> {
        let Target { symbol, kind, .. } = target;
        if let Some(last) = self.last
            && (at < last || (at == last && kind.has_timeframe()))
        {
            let problem = format!("{symbol} {kind}: the row of {at} comes after the one of {last}");
            return Err(Error::new(problem).hint("sort the rows by time, or use the daily files"));
        }
        if at.nanos() % NANOS_PER_MILLI != 0 {
            return Err(Error::new(format!("{symbol} {kind}: {at} is not a whole millisecond")));
        }
        self.last = Some(at);
        if self.file.as_ref().is_none_or(|file| at >= file.end) {
            if let Some(file) = self.file.take() {
                complete(file, report)?;
            }
            self.file = Some(target.month_file(at)?);
        }
        match &mut self.file {
            Some(file) => {
                add(&mut file.table);
                file.flush_if_full()
            }
            None => Ok(()),
        }
    }
}

impl Target<'_> {
    fn month_file(&self, at: Timestamp) -> Result<MonthFile, Error> {
        let Target { root, replace, symbol, kind, timeframe } = *self;
        let month = Month::of(at);
        if !month.contains(at) {
            return Err(Error::new(format!("{symbol} {kind}: {at} is no time of an exchange")));
        }
        let layout = Layout::of(kind).ok_or_else(|| Error::new(format!("{kind} has no place in the catalogue")))?;
        MonthFile::new(path(root, symbol, kind, timeframe, month), month, layout, replace)
    }
}

fn complete(file: MonthFile, report: &mut ImportReport) -> Result<(), Error> {
    let (path, rows) = file.finish()?;
    report.files.push(path);
    report.rows += rows;
    Ok(())
}
