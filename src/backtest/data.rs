//! The data of a backtest: the built-in sample, or what files and directories hold.

use std::path::PathBuf;

use alphaengine_core::instrument::{Instruments, Symbol};
use alphaengine_core::market::{Bar, SymbolId, Timeframe};
use alphaengine_core::units::Timestamp;
use alphaengine_datasets::chunk::{Chunk, ChunkSource};
use alphaengine_datasets::discover::{Discovery, OpenOptions, discover};
use alphaengine_datasets::kind::Kind;
use alphaengine_datasets::resample::Resample;
use alphaengine_datasets::{Tape, sample};
use serde_json::{Value, json};

use super::session::file_identity;
use super::{SceneOptions, Window, data_error};
use crate::error::Error;

/// What `--data` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataArg {
    /// The built-in SYNTHETIC sample.
    Sample,
    Path(PathBuf),
}

impl DataArg {
    pub fn read(text: &str) -> DataArg {
        if text == "sample" { DataArg::Sample } else { DataArg::Path(text.into()) }
    }
}

/// Data that were found and are not opened yet.
#[derive(Debug)]
pub enum Source {
    Sample,
    Files(Discovery),
}

/// What was found.
#[derive(Debug)]
pub struct Found {
    pub source: Source,
    /// Symbols in the order in which they were named or found, each with the bars that the data bring.
    pub symbols: Vec<(Symbol, Option<Timeframe>)>,
    /// What identifies the data.
    pub description: Value,
    pub warnings: Vec<String>,
}

/// Looks for what the options name.
pub fn find(options: &SceneOptions) -> Result<Found, Error> {
    let paths: Vec<PathBuf> = options
        .data
        .iter()
        .filter_map(|data| match data {
            DataArg::Path(path) => Some(path.clone()),
            DataArg::Sample => None,
        })
        .collect();
    if paths.is_empty() {
        return find_in_sample(options);
    }
    if paths.len() < options.data.len() {
        return Err(Error::new("option --data: the SYNTHETIC sample cannot be mixed with files")
            .hint("name only files, or only `sample`"));
    }
    let open = OpenOptions {
        symbols: options.symbols.iter().map(Symbol::to_string).collect(),
        timeframe: options.timeframe,
        from: options.window.from,
        to: options.window.to,
    };
    let discovery = discover(&paths, &open).map_err(|error| data_error(&error))?;
    let names: Vec<String> = discovery.symbols().into_iter().map(str::to_owned).collect();
    let mut warnings = discovery.warnings.clone();
    let mut symbols = Vec::new();
    for name in wanted(options, &names) {
        if let Err(error) = check_tradable(&discovery, &name, &options.window) {
            // Funding and mark prices may come for more symbols than anybody trades, as long as nobody named one of those.
            let others = names.iter().any(|other| check_tradable(&discovery, other, &options.window).is_ok());
            if !options.symbols.is_empty() || !others {
                return Err(error);
            }
            warnings.push(format!("{name} is left out: {error}"));
            continue;
        }
        let klines = discovery.streams.iter().find(|stream| stream.symbol == name && stream.kind == Kind::Klines);
        let timeframe = klines.and_then(|stream| stream.timeframe);
        symbols.push((name.parse().map_err(|error| Error::new(format!("{error}")))?, timeframe));
    }
    let files = discovery.streams.iter().flat_map(|stream| &stream.files);
    let files = files.map(|file| file_identity(file)).collect::<Result<Vec<_>, _>>()?;
    Ok(Found { source: Source::Files(discovery), symbols, description: Value::Array(files), warnings })
}

/// The symbols that were named; without any, all that there are.
fn wanted(options: &SceneOptions, known: &[String]) -> Vec<String> {
    match options.symbols.as_slice() {
        [] => known.to_vec(),
        named => named.iter().map(Symbol::to_string).collect(),
    }
}

/// Refuses a symbol that never has a price to trade at: prices of trades come from klines, trades and book tickers only.
fn check_tradable(discovery: &Discovery, name: &str, window: &Window) -> Result<(), Error> {
    let mut streams = discovery.streams.iter().filter(|stream| stream.symbol == name).peekable();
    if streams.peek().is_none() {
        return Err(Error::new(format!("there are no data of {name} {window}"))
            .hint("`alphaengine data list FILE` says from when to when they are"));
    }
    if streams.all(|stream| matches!(stream.kind, Kind::MarkPriceKlines | Kind::FundingRate)) {
        let problem = format!("there is nothing to trade {name} on {window}: no klines, trades or book tickers");
        return Err(Error::new(problem).hint("add such with --data, or name the symbols to trade with --symbol"));
    }
    Ok(())
}

fn find_in_sample(options: &SceneOptions) -> Result<Found, Error> {
    let known: Vec<String> = sample::SYMBOLS.iter().map(|name| (*name).to_owned()).collect();
    let mut symbols = Vec::new();
    for name in wanted(options, &known) {
        if !known.contains(&name) {
            return Err(no_data(&name, &known));
        }
        let symbol = name.parse().map_err(|error| Error::new(format!("{error}")))?;
        symbols.push((symbol, Some(options.timeframe.unwrap_or(Timeframe::M1))));
    }
    let description = json!("SYNTHETIC sample, version 1");
    Ok(Found { source: Source::Sample, symbols, description, warnings: Vec::new() })
}

/// The sentence for a symbol that was asked for and is not there.
pub fn no_data(name: &str, known: &[String]) -> Error {
    let meant = crate::error::nearest(name, known.iter().map(String::as_str));
    Error::new(format!("option --symbol: there are no data of {name}; the data have {}", known.join(" ")))
        .maybe_hint(meant.map(|meant| format!("did you mean `--symbol {meant}`?")))
}

/// Opens what was found.
pub fn open(source: Source, instruments: &Instruments, options: &SceneOptions) -> Result<Tape, Error> {
    match source {
        Source::Files(discovery) => discovery.open(|symbol| instruments.id(symbol)).map_err(|error| data_error(&error)),
        Source::Sample => Ok(Tape::from_chunks(open_sample(instruments, options)?)),
    }
}

fn open_sample(instruments: &Instruments, options: &SceneOptions) -> Result<Vec<(SymbolId, Vec<Chunk>)>, Error> {
    let timeframe = options.timeframe.unwrap_or(Timeframe::M1);
    let mut streams = Vec::new();
    for (name, chunks) in sample::chunks() {
        if let Some(symbol) = instruments.id(name) {
            let (bars, rest) = cut(chunks, &options.window).into_iter().partition(is_bars);
            let (marks, funding) = Vec::into_iter(rest).partition(|chunk| matches!(chunk, Chunk::MarkBars(_)));
            let bars = if timeframe == Timeframe::M1 { bars } else { resample(bars, timeframe)? };
            streams.extend([(symbol, bars), (symbol, marks), (symbol, funding)]);
        }
    }
    Ok(streams)
}

fn is_bars(chunk: &Chunk) -> bool {
    matches!(chunk, Chunk::Bars(_))
}

/// The part of the sample inside a window.
fn cut(chunks: Vec<Chunk>, window: &Window) -> Vec<Chunk> {
    let (from, to) = (window.from.unwrap_or(Timestamp::MIN), window.to.unwrap_or(Timestamp::MAX));
    let holds_bar = |bar: &Bar| from <= bar.open_time && bar.close_time() < to;
    let cut = chunks.into_iter().map(|chunk| match chunk {
        Chunk::Bars(mut bars) => {
            bars.retain(holds_bar);
            Chunk::Bars(bars)
        }
        Chunk::MarkBars(mut bars) => {
            bars.retain(holds_bar);
            Chunk::MarkBars(bars)
        }
        Chunk::Funding(mut rows) => {
            rows.retain(|row| from <= row.at && row.at < to);
            Chunk::Funding(rows)
        }
        other => other,
    });
    cut.filter(|chunk| !chunk.is_empty()).collect()
}

/// Makes coarser bars by the rules that hold for files: spans that the data do not hold whole are left out.
fn resample(bars: Vec<Chunk>, timeframe: Timeframe) -> Result<Vec<Chunk>, Error> {
    struct InMemory(std::vec::IntoIter<Chunk>);
    impl ChunkSource for InMemory {
        fn next_chunk(&mut self) -> Result<Option<Chunk>, alphaengine_datasets::Error> {
            Ok(self.0.next())
        }
    }
    let mut coarser = Resample::new(Box::new(InMemory(bars.into_iter())), timeframe);
    std::iter::from_fn(|| coarser.next_chunk().transpose())
        .collect::<Result<_, _>>()
        .map_err(|error| data_error(&error))
}
