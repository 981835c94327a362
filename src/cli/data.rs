//! `alphaengine data`: fetch, import, list and check market data.

use std::path::PathBuf;

use alphaengine_core::instrument::Catalog;
use alphaengine_core::market::Timeframe;
use alphaengine_datasets::catalog::{self, Importer};
use alphaengine_datasets::check::{Between, CheckReport, Checker};
use alphaengine_datasets::chunk::ChunkSource;
use alphaengine_datasets::discover::{OpenOptions, discover};
use alphaengine_datasets::fetch::{self, FetchPlan};
use alphaengine_datasets::kind::Kind;
use alphaengine_datasets::month::Month;
use clap::{Parser, Subcommand};

use super::table::{Form, Table};
use super::{Exit, print, say};
use crate::backtest::{data_error, no_data};
use crate::error::{Error, nearest};

/// Where imported data are kept, below the working directory.
const CATALOG: &str = "data/catalog";

#[derive(Subcommand)]
pub enum Verb {
    /// Download files of the public archive, verified and resumable
    Fetch(Fetch),
    /// Read files into the catalogue: Parquet, one file per symbol, kind and month
    Import(Import),
    /// Say what the catalogue, or files, hold
    List(List),
    /// Look for gaps, duplicates, contradictions and odd prices (exit 1 when something is wrong)
    Check(Check),
}

#[derive(Parser)]
pub struct Fetch {
    /// A contract, e.g. BTCUSDT; repeatable
    #[arg(long, required = true)]
    symbol: Vec<String>,
    /// klines, markPriceKlines, fundingRate, aggTrades, trades or bookTicker
    #[arg(long, default_value = "klines")]
    kind: String,
    /// The bars' length, for klines and markPriceKlines
    #[arg(long, default_value = "1m")]
    timeframe: String,
    /// The first month, YYYY-MM
    #[arg(long, value_name = "YYYY-MM")]
    from: String,
    /// The last month, which is fetched too [default: the first]
    #[arg(long, value_name = "YYYY-MM")]
    to: Option<String>,
    /// One file a day instead of one a month
    #[arg(long)]
    daily: bool,
    /// Where the files go, under the archive's own paths
    #[arg(long, default_value = "data/archive", value_name = "DIR")]
    out: PathBuf,
    /// Downloads at a time
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=32))]
    jobs: u8,
    /// Another server with the archive's paths
    #[arg(long, default_value = fetch::ARCHIVE, value_name = "URL")]
    base_url: String,
}

#[derive(Parser)]
pub struct Import {
    /// Files and directories: CSV, zip, Parquet, recordings
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Only this symbol; names the symbol of a file whose name does not
    #[arg(long)]
    symbol: Vec<String>,
    /// Write the months anew that are there already
    #[arg(long)]
    replace: bool,
    #[arg(long, default_value = CATALOG, value_name = "DIR")]
    catalog: PathBuf,
}

#[derive(Parser)]
pub struct List {
    /// Files and directories [default: the catalogue]
    files: Vec<PathBuf>,
    /// Only this symbol; names the symbol of a file whose name does not
    #[arg(long)]
    symbol: Vec<String>,
    /// Another catalogue than data/catalog
    #[arg(long, value_name = "DIR", conflicts_with = "files")]
    catalog: Option<PathBuf>,
    #[command(flatten)]
    form: Form,
}

#[derive(Parser)]
pub struct Check {
    /// Files and directories
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Names the symbol of a file whose name does not
    #[arg(long)]
    symbol: Vec<String>,
}

pub fn data(verb: Verb) -> Result<Exit, Error> {
    match verb {
        Verb::Fetch(args) => fetch(args),
        Verb::Import(args) => import(&args),
        Verb::List(args) => list(&args),
        Verb::Check(args) => check(&args),
    }
}

fn kind(text: &str) -> Result<Kind, Error> {
    text.parse().map_err(|problem: String| {
        let meant = nearest(text, Kind::ARCHIVED.map(Kind::name));
        Error::new(format!("option --kind: {problem}")).maybe_hint(meant.map(|meant| format!("did you mean {meant}?")))
    })
}

fn month(option: &str, text: &str) -> Result<Month, Error> {
    text.parse()
        .map_err(|_| Error::new(format!("option {option}: `{text}` is not a month")).hint("write it as 2024-09"))
}

/// Symbols as the exchange writes them.
fn capitals(symbols: &[String]) -> Vec<String> {
    symbols.iter().map(|symbol| symbol.to_uppercase()).collect()
}

fn fetch(args: Fetch) -> Result<Exit, Error> {
    let kind = kind(&args.kind)?;
    let timeframe: Timeframe =
        args.timeframe.parse().map_err(|error| Error::new(format!("option --timeframe: {error}")))?;
    let from = month("--from", &args.from)?;
    let to = args.to.as_deref().map_or(Ok(from), |text| month("--to", text))?;
    let mut plan = FetchPlan::new(capitals(&args.symbol), kind, kind.has_timeframe().then_some(timeframe), from, to);
    plan.base_url = args.base_url;
    plan.daily = args.daily;
    plan.directory = args.out;
    plan.jobs = usize::from(args.jobs);
    let report = fetch::fetch(&plan).map_err(|error| data_error(&error))?;
    print(&format!("{report}\n"))?;
    let has_some = report.fetched + report.skipped > 0;
    if has_some {
        say(&format!("hint: alphaengine backtest --data {}", plan.directory.display()));
    }
    Ok(if has_some && report.failed.is_empty() { Exit::Done } else { Exit::No })
}

fn import(args: &Import) -> Result<Exit, Error> {
    let options = OpenOptions { symbols: capitals(&args.symbol), ..OpenOptions::default() };
    let discovery = discover(&args.files, &options).map_err(|error| data_error(&error))?;
    discovery.warnings.iter().chain(&discovery.skipped).for_each(|warning| say(&format!("note: {warning}")));
    let mut importer = Importer::new(&args.catalog).replace(args.replace);
    let mut rows = Vec::new();
    for (stream, mut source) in discovery.sources() {
        if stream.kind == Kind::MarkPriceKlines && stream.timeframe.is_none() {
            say(&format!("note: mark prices of the recording of {} are not kept in the catalogue", stream.symbol));
            continue;
        }
        let mut count = 0u64;
        while let Some(chunk) = source.next_chunk().map_err(|error| data_error(&error))? {
            importer.push(&stream.symbol, stream.kind, stream.timeframe, &chunk).map_err(|error| data_error(&error))?;
            count += chunk.len() as u64;
        }
        rows.push(stream_row(&stream.symbol, stream.kind, stream.timeframe, &count.to_string()));
    }
    let report = importer.finish().map_err(|error| data_error(&error))?;
    print(&Table::new(&["SYMBOL", "KIND", "TIMEFRAME", "ROWS"], &[false, false, false, true], rows).to_text())?;
    print(&format!("{} files under {}, {} rows\n", report.files.len(), args.catalog.display(), report.rows))?;
    Ok(Exit::Done)
}

fn stream_row(symbol: &str, kind: Kind, timeframe: Option<Timeframe>, last: &str) -> Vec<String> {
    vec![
        symbol.into(),
        kind.to_string(),
        timeframe.map_or(String::new(), |timeframe| timeframe.to_string()),
        last.into(),
    ]
}

fn list(args: &List) -> Result<Exit, Error> {
    let symbols = capitals(&args.symbol);
    if args.files.is_empty() {
        let root = args.catalog.as_deref().unwrap_or(CATALOG.as_ref());
        // The usual one is made by the first import, while a name that was given and leads nowhere is a slip.
        if args.catalog.is_some() && !root.exists() {
            let shown = root.display();
            return Err(Error::new(format!("option --catalog: there is no folder {shown}"))
                .hint(format!("`alphaengine data import FILE --catalog {shown}` makes it")));
        }
        let mut entries = catalog::list(root).map_err(|error| data_error(&error))?;
        if entries.is_empty() && !args.form.json {
            say(&format!("the catalogue {} holds nothing", root.display()));
            say("hint: `alphaengine data import FILE` fills it");
            return Ok(Exit::Done);
        }
        if let Some(missing) = symbols.iter().find(|symbol| entries.iter().all(|entry| entry.symbol != **symbol)) {
            let mut known: Vec<String> = entries.iter().map(|entry| entry.symbol.clone()).collect();
            known.dedup();
            return Err(no_data(missing, &known));
        }
        entries.retain(|entry| symbols.is_empty() || symbols.contains(&entry.symbol));
        let rows: Vec<Vec<String>> = entries
            .iter()
            .map(|entry| {
                let mut row = stream_row(&entry.symbol, entry.kind, entry.timeframe, &entry.rows.to_string());
                row.push(entry.first.to_string());
                row.push(entry.last.to_string());
                row.push(entry.months.len().to_string());
                row.push(format!("{:.1}", entry.bytes as f64 / 1e6));
                row
            })
            .collect();
        let head = &["SYMBOL", "KIND", "TIMEFRAME", "ROWS", "FROM", "TO", "MONTHS", "MB"];
        let right = &[false, false, false, true, false, false, true, true];
        print(&args.form.show(&Table::new(head, right, rows)))?;
        return Ok(Exit::Done);
    }
    let options = OpenOptions { symbols, ..OpenOptions::default() };
    let discovery = discover(&args.files, &options).map_err(|error| data_error(&error))?;
    discovery.warnings.iter().chain(&discovery.skipped).for_each(|warning| say(&format!("note: {warning}")));
    let rows: Vec<Vec<String>> = discovery
        .streams
        .iter()
        .map(|stream| {
            let files = stream.files.len().to_string();
            let mut row = stream_row(&stream.symbol, stream.kind, stream.timeframe, &files);
            row.push(stream.first.to_string());
            row.push(stream.last.map_or(String::new(), |last| last.to_string()));
            row
        })
        .collect();
    let head = &["SYMBOL", "KIND", "TIMEFRAME", "FILES", "FROM", "TO"];
    print(&args.form.show(&Table::new(head, &[false, false, false, true, false, false], rows)))?;
    Ok(Exit::Done)
}

fn check(args: &Check) -> Result<Exit, Error> {
    let options = OpenOptions { symbols: capitals(&args.symbol), ..OpenOptions::default() };
    let found = alphaengine_datasets::discover::to_check(&args.files, &options).map_err(|error| data_error(&error))?;
    let catalog = Catalog::builtin();
    let mut is_clean = true;
    let mut reports = Vec::new();
    for candidate in found {
        let candidate = match candidate {
            Ok(candidate) => candidate,
            Err(mut problem) => {
                let path = problem.file.take().unwrap_or_default();
                print(&format!("{}\n  problem: unreadable: {problem}\n", path.display()))?;
                is_clean = false;
                continue;
            }
        };
        let tick = candidate.symbol.parse().ok().and_then(|symbol| catalog.get(&symbol).ok().map(|it| it.price.tick));
        let checker = Checker::new(candidate.kind, candidate.timeframe, &candidate.symbol, tick);
        let (report, problem) = run_check(checker, candidate.source);
        print(&format!("{}\n{report}\n", candidate.path.display()))?;
        if let Some(problem) = &problem {
            print(&format!("  problem: unreadable from here on: {problem}\n"))?;
        }
        is_clean &= report.is_clean() && problem.is_none();
        reports.push(report);
    }
    for between in Between::files(&reports) {
        print(&format!("{between}\n"))?;
        is_clean &= between.is_clean();
    }
    Ok(if is_clean { Exit::Done } else { Exit::No })
}

fn run_check(mut checker: Checker, mut source: Box<dyn ChunkSource>) -> (CheckReport, Option<String>) {
    loop {
        match source.next_chunk() {
            Ok(Some(chunk)) => checker.push(&chunk),
            Ok(None) => return (checker.finish(), None),
            Err(error) => return (checker.finish(), Some(error.to_string())),
        }
    }
}
