//! Discovery finds out what files and folders hold, which streams they make, and opens these as one tape.

mod checking;
mod names;
mod sequence;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use alphaengine_core::market::{SymbolId, Timeframe};
use alphaengine_core::units::Timestamp;

use crate::Error;
use crate::chunk::ChunkSource;
use crate::count_gaps::CountGaps;
use crate::kind::Kind;
use crate::read::recording::{Contents, Frames, MOST_BACK};
use crate::read::{self, Look};
use crate::resample::Resample;
use crate::tape::Tape;
pub use checking::{Candidate, to_check};
use sequence::{Sequence, Window};

/// What is wanted of the data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// Only these; all where it is empty. One symbol alone also names files whose names do not tell theirs.
    pub symbols: Vec<String>,
    /// Of klines: coarser than the data, bars are resampled. Mark price klines stay as they are.
    pub timeframe: Option<Timeframe>,
    pub from: Option<Timestamp>,
    /// Not included.
    pub to: Option<Timestamp>,
}

/// The files of one symbol and kind, in the order of their times.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamInfo {
    pub symbol: String,
    /// Mark price frames of a recording are [`Kind::MarkPriceKlines`] without a timeframe.
    pub kind: Kind,
    /// In which the stream is given; the files may be finer.
    pub timeframe: Option<Timeframe>,
    pub files: Vec<PathBuf>,
    pub first: Timestamp,
    /// Where it is cheap to know. Of bars, when the last one opens.
    pub last: Option<Timestamp>,
    parts: Vec<Part>,
    stored: Option<Timeframe>,
}

impl StreamInfo {
    /// What its gaps are told of: `BTCUSDT klines`, with the timeframe of the files where it is not the one that is given.
    fn name(&self) -> String {
        match self.stored.filter(|_| self.stored != self.timeframe) {
            Some(stored) => format!("{} {} of {stored}", self.symbol, self.kind),
            None => format!("{} {}", self.symbol, self.kind),
        }
    }
}

/// What one file gives to a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    pub path: PathBuf,
    pub first: Timestamp,
    pub last: Option<Timestamp>,
    /// Of a recording: which of its streams.
    pub recorded: Option<(String, Frames)>,
}

/// What was found.
#[derive(Debug)]
pub struct Discovery {
    pub streams: Vec<StreamInfo>,
    /// What a user should know: files that are not used and why.
    pub warnings: Vec<String>,
    /// What recordings hold that is not used, in sentences.
    pub skipped: Vec<String>,
    options: OpenOptions,
}

/// What tells streams apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct StreamKey {
    /// Index into the symbols, in the order in which they appeared.
    symbol: usize,
    kind: Kind,
    timeframe: Option<Timeframe>,
}

/// Finds the streams of files and folders. Folders are searched whole, in the order of their paths; files in them that are
/// no data are left out, while a file that is named itself must be of a known kind.
pub fn discover(inputs: &[PathBuf], options: &OpenOptions) -> Result<Discovery, Error> {
    let mut search = Search { options: normal(options), ..Search::default() };
    for input in inputs {
        if input.is_dir() {
            let mut files = Vec::new();
            names::files_below(input, &mut files)?;
            for file in files {
                search.look_at(&file, false)?;
            }
        } else {
            search.look_at(input, true)?;
        }
    }
    search.finish(inputs)
}

fn normal(options: &OpenOptions) -> OpenOptions {
    let symbols = options.symbols.iter().map(|symbol| symbol.to_uppercase()).collect();
    OpenOptions { symbols, ..options.clone() }
}

#[derive(Default)]
struct Search {
    options: OpenOptions,
    symbols: Vec<String>,
    parts: BTreeMap<StreamKey, Vec<Part>>,
    seen: Vec<PathBuf>,
    /// Symbols that are there and not wanted.
    others: BTreeSet<String>,
    ignored: usize,
    warnings: Vec<String>,
    /// What recordings hold that is not used: how much of it, in how many files.
    skipped: BTreeMap<&'static str, (u64, u64)>,
}

impl Search {
    fn look_at(&mut self, path: &Path, is_named: bool) -> Result<(), Error> {
        let identity =
            path.canonicalize().map_err(|error| Error::new(format!("cannot be read: {error}")).file(path))?;
        if self.seen.contains(&identity) {
            return Ok(());
        }
        self.seen.push(identity);
        let told = names::symbol_in_path(path);
        if let Some(symbol) = &told
            && !self.is_wanted(symbol)
        {
            self.others.extend(names::is_symbol(symbol).then(|| symbol.clone()));
            return Ok(());
        }
        // A file of a folder whose name promises a symbol's data must hold them; any other may be anything.
        let is_promised = is_named || (told.is_some() && read::names_a_kind(path));
        match read::look(path, self.options.timeframe)? {
            Look::Table(head) => {
                let symbol = self.symbol_of(path, told)?;
                let part = Part { path: path.to_owned(), first: head.first, last: head.last, recorded: None };
                self.add(symbol, head.kind, head.timeframe, part);
            }
            Look::Recording(contents) => self.add_recording(path, contents, is_named)?,
            Look::Unknown(error) if is_promised => return Err(error),
            Look::Unknown(error) => {
                self.ignored += 1;
                if path.extension().is_some_and(|extension| extension == "csv" || extension == "parquet") {
                    self.warnings.push(format!("left out: {error}"));
                }
            }
        }
        Ok(())
    }

    fn is_wanted(&self, symbol: &String) -> bool {
        self.options.symbols.is_empty() || self.options.symbols.contains(symbol)
    }

    fn symbol_of(&self, path: &Path, told: Option<String>) -> Result<String, Error> {
        match (told, self.options.symbols.as_slice()) {
            (Some(symbol), _) => Ok(symbol),
            (None, [only]) => Ok(only.clone()),
            (None, _) => Err(Error::new("the name of the file does not tell its symbol")
                .file(path)
                .hint("name it like BTCUSDT-1m.csv, or name its symbol with --symbol")),
        }
    }

    fn add(&mut self, symbol: String, kind: Kind, timeframe: Option<Timeframe>, part: Part) {
        let known = self.symbols.iter().position(|other| *other == symbol);
        let symbol = known.unwrap_or_else(|| {
            self.symbols.push(symbol);
            self.symbols.len() - 1
        });
        self.parts.entry(StreamKey { symbol, kind, timeframe }).or_default().push(part);
    }

    fn add_recording(&mut self, path: &Path, contents: Contents, is_named: bool) -> Result<(), Error> {
        let shown = path.display();
        if contents.streams.is_empty() && is_named {
            let hint = "known are bookTicker, trade, aggTrade and markPriceUpdate";
            return Err(Error::new("the recording holds no frames that are used").file(path).hint(hint));
        }
        if let Some(line) = contents.torn {
            self.warnings.push(format!("{shown}: the last line, {line}, is cut off and left out"));
        }
        let moved = contents.streams.iter().map(|stream| stream.moved).sum();
        for (count, what) in [
            (contents.depth_updates, "depth updates left out"),
            (contents.snapshots, "snapshots left out"),
            (contents.other_trades, "trades outside of the book left out"),
            (contents.unknown, "unknown lines left out"),
            (moved, "rows moved by some milliseconds, because times stepped back"),
        ] {
            if count > 0 {
                let (rows, files) = self.skipped.entry(what).or_default();
                *rows += count;
                *files += 1;
            }
        }
        for stream in contents.streams {
            let symbol = stream.symbol.to_uppercase();
            if !self.is_wanted(&symbol) {
                self.others.insert(symbol);
                continue;
            }
            let kind = match stream.frames {
                Frames::MarkPrices => Kind::MarkPriceKlines,
                Frames::BookTickers => Kind::BookTicker,
                Frames::Trades => Kind::Trades,
                Frames::AggTrades => Kind::AggTrades,
            };
            let recorded = Some((stream.symbol, stream.frames));
            let part = Part { path: path.to_owned(), first: stream.first, last: Some(stream.last), recorded };
            self.add(symbol, kind, None, part);
        }
        Ok(())
    }

    fn finish(mut self, inputs: &[PathBuf]) -> Result<Discovery, Error> {
        if self.ignored > 0 {
            let files = if self.ignored == 1 { "file that is" } else { "files that are" };
            self.warnings.push(format!("{} {files} no data left out", self.ignored));
        }
        if self.symbols.is_empty() && self.options.symbols.is_empty() {
            let shown: Vec<String> = inputs.iter().map(|input| input.display().to_string()).collect();
            return Err(Error::new(format!("no data found in {}", shown.join(", ")))
                .hint("name CSV, zip, gz or Parquet files, or a folder with such"));
        }
        if let Some(missing) = self.options.symbols.iter().find(|symbol| !self.symbols.contains(symbol)) {
            let there: Vec<&str> = self.symbols.iter().chain(&self.others).map(String::as_str).take(20).collect();
            let there = if there.is_empty() { "none at all".to_owned() } else { there.join(" ") };
            return Err(Error::new(format!("option --symbol: there are no data of {missing}; the data have {there}"))
                .hint("the symbol is told by the beginning of the file's name"));
        }
        for (key, parts) in &mut self.parts {
            parts.sort_by(|a, b| (a.first, &a.path).cmp(&(b.first, &b.path)));
            refuse_overlap(key, parts)?;
        }
        let mut streams = Vec::new();
        for symbol in 0..self.symbols.len() {
            self.choose(symbol, &mut streams)?;
        }
        let Search { options, warnings, skipped, .. } = self;
        let skipped = skipped.into_iter().map(|(what, (rows, files))| match files {
            1 => format!("one recording: {rows} {what}"),
            _ => format!("{files} recordings: {rows} {what}"),
        });
        let skipped = skipped.collect();
        Ok(Discovery { streams, warnings, skipped, options })
    }

    /// Chooses the streams of a symbol: one timeframe of each kind of klines, and trades rather than aggregated ones.
    fn choose(&mut self, symbol: usize, streams: &mut Vec<StreamInfo>) -> Result<(), Error> {
        let name = self.symbols.get(symbol).cloned().unwrap_or_default();
        let keys: Vec<StreamKey> = self.parts.keys().filter(|key| key.symbol == symbol).copied().collect();
        let has_trades = keys.iter().any(|key| key.kind == Kind::Trades);
        for key in &keys {
            let same = keys.iter().filter(|other| other.kind == key.kind);
            let timeframes: Vec<Timeframe> = same.filter_map(|other| other.timeframe).collect();
            let wanted = self.options.timeframe.filter(|_| key.kind == Kind::Klines);
            let chosen = match wanted {
                Some(wanted) => choose_timeframe(&name, wanted, &timeframes)?,
                None => timeframes.iter().min().copied(),
            };
            if key.timeframe.is_some() && key.timeframe != chosen {
                let (of, used) = (key.timeframe.map_or("", Timeframe::name), chosen.map_or("", Timeframe::name));
                self.warnings.push(format!("{name}: {} of {of} are not used, those of {used} are", key.kind));
                continue;
            }
            if key.kind == Kind::AggTrades && has_trades {
                self.warnings.push(format!("{name}: aggTrades are not used, because there are trades"));
                continue;
            }
            let parts = self.parts.remove(key).unwrap_or_default();
            let parts = within(parts, key.timeframe, &self.options);
            let Some(first) = parts.first().map(|part| part.first) else {
                self.warnings.push(format!("{name}: no {} in the time that is wanted", key.kind));
                continue;
            };
            streams.push(StreamInfo {
                symbol: name.clone(),
                kind: key.kind,
                timeframe: key.timeframe.map(|stored| wanted.unwrap_or(stored)),
                files: parts.iter().map(|part| part.path.clone()).collect(),
                first,
                last: parts.last().and_then(|part| part.last),
                parts,
                stored: key.timeframe,
            });
        }
        Ok(())
    }
}

/// The stored timeframe from which bars of the wanted one are made: itself, else the finest that divides it.
fn choose_timeframe(symbol: &str, wanted: Timeframe, stored: &[Timeframe]) -> Result<Option<Timeframe>, Error> {
    if stored.contains(&wanted) || stored.is_empty() {
        return Ok(Some(wanted).filter(|_| !stored.is_empty()));
    }
    let fitting = stored.iter().copied().filter(|&from| Resample::is_possible(from, wanted)).min();
    if fitting.is_some() {
        return Ok(fitting);
    }
    let shown: Vec<&str> = stored.iter().map(|timeframe| timeframe.name()).collect();
    let shown = shown.join(" ");
    Err(Error::new(format!("{symbol}: bars of {wanted} cannot be made from klines of {shown}"))
        .hint(format!("use a multiple of {shown}, or get finer klines")))
}

/// Files of one stream follow each other.
fn refuse_overlap(key: &StreamKey, parts: &[Part]) -> Result<(), Error> {
    for pair in parts.windows(2) {
        let [earlier, later] = pair else { continue };
        let slack = if earlier.recorded.is_some() && later.recorded.is_some() { MOST_BACK } else { 0 };
        let one_row_a_time = key.kind.has_timeframe() && key.timeframe.is_some() || key.kind == Kind::FundingRate;
        let overlaps =
            earlier.last.is_some_and(|last| later.first.plus(slack) < last || (one_row_a_time && later.first == last));
        if overlaps || earlier.first == later.first {
            return Err(sequence::overlap(&earlier.path, &later.path, later.first));
        }
    }
    Ok(())
}

/// The parts that hold something of the wanted time.
fn within(parts: Vec<Part>, timeframe: Option<Timeframe>, options: &OpenOptions) -> Vec<Part> {
    let from = options.from.unwrap_or(Timestamp::MIN);
    let to = options.to.unwrap_or(Timestamp::MAX);
    // A coarser bar is made of bars that open up to its length earlier.
    let slack = options.timeframe.or(timeframe).map_or(0, Timeframe::nanos);
    let begins: Vec<Timestamp> = parts.iter().map(|part| part.first).collect();
    let is_early = |index: usize, part: &Part| {
        let is_over = |at: Timestamp| at.plus(MOST_BACK.max(slack)) < from;
        part.last.is_some_and(is_over) || begins.get(index + 1).copied().is_some_and(is_over)
    };
    let kept = parts.into_iter().enumerate().filter(|(index, part)| part.first < to && !is_early(*index, part));
    kept.map(|(_, part)| part).collect()
}

impl Discovery {
    /// The symbols that have streams, in the order in which they appeared.
    pub fn symbols(&self) -> Vec<&str> {
        let mut symbols: Vec<&str> = self.streams.iter().map(|stream| stream.symbol.as_str()).collect();
        symbols.dedup();
        symbols
    }

    /// Opens the streams as one tape. Those of symbols that `symbol_id` does not know are left out.
    pub fn open(mut self, symbol_id: impl Fn(&str) -> Option<SymbolId>) -> Result<Tape, Error> {
        let skipped = std::mem::take(&mut self.skipped);
        let mut names = Vec::new();
        let mut sources = Vec::new();
        for (stream, source) in self.sources() {
            let Some(symbol) = symbol_id(&stream.symbol) else { continue };
            names.push(stream.name());
            sources.push((symbol, source));
        }
        Ok(Tape::new(sources)?.with_names(names).with_skipped(skipped))
    }

    /// The streams one by one, each with what it gives.
    pub fn sources(self) -> impl Iterator<Item = (StreamInfo, Box<dyn ChunkSource>)> {
        let from = self.options.from.unwrap_or(Timestamp::MIN);
        let to = self.options.to.unwrap_or(Timestamp::MAX);
        self.streams.into_iter().map(move |stream| {
            let source = Sequence::new(stream.parts.clone(), stream.kind, stream.stored);
            // Gaps are counted in the bars of the files, because coarser bars hide them.
            let mut source: Box<dyn ChunkSource> = Box::new(CountGaps::new(Box::new(source), from, to));
            if let (Some(wanted), true) = (stream.timeframe, stream.timeframe != stream.stored) {
                source = Box::new(Resample::new(source, wanted));
            }
            (stream, Box::new(Window::new(source, from, to)) as Box<dyn ChunkSource>)
        })
    }
}
