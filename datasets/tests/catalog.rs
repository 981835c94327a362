//! The catalogue: what is imported comes back as it was, months are whole or not there, and the list tells what is there.

#![allow(clippy::unwrap_used)]

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use alphaengine_core::market::{Bar, BookTicker, Funding, Timeframe, Trade};
use alphaengine_core::units::{NANOS_PER_DAY, NANOS_PER_MILLI, NANOS_PER_MINUTE, Price, Qty, Rate, Timestamp};
use alphaengine_core::units::{parse_steps, steps_from_f64};
use alphaengine_datasets::catalog::{self, ImportReport, Importer};
use alphaengine_datasets::chunk::{Chunk, Timed};
use alphaengine_datasets::kind::Kind;
use alphaengine_datasets::{sample, workload};
use polars::prelude::{Column, DataFrame, DataType, ParquetReader, SerReader};
use tempfile::TempDir;

const M1: Option<Timeframe> = Some(Timeframe::M1);

fn frame(path: &Path) -> DataFrame {
    ParquetReader::new(File::open(path).unwrap()).finish().unwrap()
}

/// A column of decimals, in steps, whether it is of floats or of text.
fn steps(column: &Column) -> Vec<i64> {
    if column.dtype() == &DataType::String {
        return column.str().unwrap().iter().map(|text| parse_steps(text.unwrap()).unwrap()).collect();
    }
    column.f64().unwrap().iter().map(|value| steps_from_f64(value.unwrap()).unwrap()).collect()
}

fn ints(column: &Column) -> Vec<i64> {
    column.i64().unwrap().iter().map(Option::unwrap).collect()
}

fn names(frame: &DataFrame) -> Vec<&str> {
    frame.get_column_names().into_iter().map(|name| name.as_str()).collect()
}

fn import(root: &Path, symbol: &str, kind: Kind, timeframe: Option<Timeframe>, chunks: &[Chunk]) -> ImportReport {
    let mut importer = Importer::new(root);
    chunks.iter().for_each(|chunk| importer.push(symbol, kind, timeframe, chunk).unwrap());
    importer.finish().unwrap()
}

fn all_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { all_files(&path) } else { vec![path] }).collect()
}

fn bar(at: Timestamp, volume: Qty) -> Bar {
    let [open, high, low, close] = [100, 102, 99, 101].map(Price::whole);
    Bar { open_time: at, open, high, low, close, volume, timeframe: Timeframe::M1 }
}

fn trades(count: usize, price: impl Fn(i64) -> i64) -> Vec<Chunk> {
    let row = |i: i64| Timed {
        at: sample::START.plus(i * NANOS_PER_MILLI),
        row: Trade { id: i, price: Price::from_steps(price(i)), qty: Qty::ONE, is_buyer_maker: i % 2 == 0 },
    };
    let rows: Vec<_> = (0..count as i64).map(row).collect();
    rows.chunks(65_536).map(|rows| Chunk::Trades(rows.to_vec())).collect()
}

#[test]
fn the_sample_goes_in_and_comes_out_as_it_was() {
    let root = TempDir::new().unwrap();
    let mut importer = Importer::new(root.path());
    let sample = sample::chunks();
    for (symbol, chunks) in &sample {
        for chunk in chunks {
            let (kind, timeframe) = match chunk {
                Chunk::Bars(_) => (Kind::Klines, M1),
                Chunk::MarkBars(_) => (Kind::MarkPriceKlines, M1),
                _ => (Kind::FundingRate, None),
            };
            importer.push(symbol, kind, timeframe, chunk).unwrap();
        }
    }
    let report = importer.finish().unwrap();
    // 90 days from the first of January end with March, 31st excluded.
    assert_eq!(report.files.len(), 2 * 3 * 3);
    assert_eq!(report.rows, 2 * (2 * 129_600 + 270));
    assert!(all_files(root.path()).iter().all(|path| path.extension().unwrap() == "parquet"));

    let bars = sample[1].1.iter().flat_map(|chunk| if let Chunk::Bars(bars) = chunk { bars.as_slice() } else { &[] });
    let february = frame(&root.path().join("ETHUSDT/klines-1m/ETHUSDT-1m-2025-02.parquet"));
    assert_eq!(names(&february), ["open_time", "open", "high", "low", "close", "volume"]);
    let (times, closes) = (ints(&february.columns()[0]), steps(february.column("close").unwrap()));
    let volumes = steps(february.column("volume").unwrap());
    let bars: Vec<&Bar> = bars.skip(31 * 1_440).take(28 * 1_440).collect();
    assert_eq!(times.len(), bars.len());
    for (i, bar) in bars.iter().enumerate() {
        let row = (times[i], closes[i], volumes[i]);
        assert_eq!(row, (bar.open_time.millis(), bar.close.steps(), bar.volume.steps()));
    }

    let entries = catalog::list(root.path()).unwrap();
    assert_eq!(entries.len(), 6);
    let entry = &entries[0];
    assert_eq!((entry.symbol.as_str(), entry.kind, entry.timeframe), ("BTCUSDT", Kind::Klines, M1));
    assert_eq!((entry.months.join(" "), entry.rows), ("2025-01 2025-02 2025-03".to_owned(), 129_600));
    assert_eq!((entry.first, entry.last), (sample::START, sample::START.plus(90 * NANOS_PER_DAY - NANOS_PER_MINUTE)));
    assert!(entry.bytes > 100_000);
    assert_eq!(entries[2].kind, Kind::FundingRate);
}

#[test]
fn trades_books_and_fundings_have_the_archives_columns() {
    let root = TempDir::new().unwrap();
    let trade =
        Trade { id: 7, price: "109000.1".parse().unwrap(), qty: "0.002".parse().unwrap(), is_buyer_maker: true };
    let at = sample::START;
    let trades = Chunk::Trades(vec![Timed { at, row: trade }, Timed { at, row: Trade { id: 8, ..trade } }]);
    let file = import(root.path(), "BTCUSDT", Kind::Trades, None, std::slice::from_ref(&trades)).files.remove(0);
    assert_eq!(file, root.path().join("BTCUSDT/trades/BTCUSDT-trades-2025-01.parquet"));
    let read = frame(&file);
    assert_eq!(names(&read), ["id", "price", "qty", "quote_qty", "time", "is_buyer_maker"]);
    assert_eq!(ints(read.column("id").unwrap()), [7, 8]);
    assert_eq!(read.column("quote_qty").unwrap().f64().unwrap().get(0), Some(218.0002));
    assert_eq!(read.column("is_buyer_maker").unwrap().bool().unwrap().get(0), Some(true));

    let file = import(root.path(), "BTCUSDT", Kind::AggTrades, None, &[trades]).files.remove(0);
    assert_eq!(names(&frame(&file)), ["agg_trade_id", "price", "quantity", "transact_time", "is_buyer_maker"]);

    let row = BookTicker { update_id: 1, bid: Price::ONE, bid_qty: Qty::ONE, ask: Price::whole(2), ask_qty: Qty::ONE };
    let books = Chunk::Books(vec![Timed { at, row }]);
    let file = import(root.path(), "BTCUSDT", Kind::BookTicker, None, &[books]).files.remove(0);
    let expected =
        ["update_id", "best_bid_price", "best_bid_qty", "best_ask_price", "best_ask_qty", "transaction_time"];
    assert_eq!(names(&frame(&file)), expected);

    let funding = |mark| Timed { at, row: Funding { rate: Rate::from_steps(-1_234), mark } };
    let with_mark = Timed { at: at.plus(NANOS_PER_DAY), ..funding(Some(Price::ONE)) };
    let bare = import(root.path(), "BTCUSDT", Kind::FundingRate, None, &[Chunk::Funding(vec![funding(None)])]);
    assert_eq!(names(&frame(&bare.files[0])), ["calc_time", "last_funding_rate"]);
    assert_eq!(steps(frame(&bare.files[0]).column("last_funding_rate").unwrap()), [-1_234]);
    let mixed = Chunk::Funding(vec![funding(None), with_mark]);
    let mixed = import(root.path(), "ETHUSDT", Kind::FundingRate, None, &[mixed]);
    let mixed = frame(&mixed.files[0]);
    let marks = mixed.column("mark_price").unwrap().f64().unwrap();
    assert_eq!((marks.get(0), marks.get(1)), (None, Some(1.0)));
    assert_eq!(catalog::list(root.path()).unwrap().len(), 5);
}

#[test]
fn decimals_that_are_no_floats_are_kept_as_text() {
    let root = TempDir::new().unwrap();
    // 17 digits: the float nearest to it reads back as another decimal.
    let odd: i64 = 900_719_925_474_099_317;
    assert_ne!(steps_from_f64(odd as f64 / 1e8), Ok(odd));
    let bars = vec![bar(sample::START, Qty::from_steps(odd)), bar(sample::START.plus(NANOS_PER_MINUTE), Qty::ONE)];
    let small = import(root.path(), "BTCUSDT", Kind::Klines, M1, &[Chunk::Bars(bars)]);
    let read = frame(&small.files[0]);
    assert_eq!(read.column("open").unwrap().dtype(), &DataType::String, "all decimals of the file");
    assert_eq!(steps(read.column("volume").unwrap()), [odd, Qty::ONE.steps()]);
    assert_eq!(ints(read.column("open_time").unwrap())[0], sample::START.millis());

    // The same after row groups of floats are already written.
    let count = 600_000;
    let price = move |i: i64| if i == count - 1 { odd } else { 100_000_000 + i };
    let large = import(root.path(), "ETHUSDT", Kind::Trades, None, &trades(count as usize, price));
    assert_eq!(large.rows, count as u64);
    let read = frame(&large.files[0]);
    assert_eq!(read.column("price").unwrap().dtype(), &DataType::String);
    let prices = steps(read.column("price").unwrap());
    assert!(prices.iter().enumerate().all(|(i, steps)| *steps == price(i as i64)));
    assert_eq!(ints(read.column("id").unwrap())[599_999], count - 1);
    assert!(all_files(root.path()).iter().all(|path| path.extension().unwrap() == "parquet"));
}

#[test]
fn months_that_exist_are_replaced_only_on_purpose() {
    let root = TempDir::new().unwrap();
    let one = Chunk::Bars(vec![bar(sample::START, Qty::ONE)]);
    let file = import(root.path(), "BTCUSDT", Kind::Klines, M1, std::slice::from_ref(&one)).files.remove(0);

    let error = Importer::new(root.path()).push("BTCUSDT", Kind::Klines, M1, &one).unwrap_err();
    assert_eq!(error.file.as_ref(), Some(&file));
    assert!(error.to_string().contains("already has 2025-01") && error.hint.unwrap().contains("--replace"));

    let two = Chunk::Bars(vec![bar(sample::START, Qty::ONE), bar(sample::START.plus(NANOS_PER_MINUTE), Qty::ONE)]);
    let mut importer = Importer::new(root.path()).replace(true);
    importer.push("BTCUSDT", Kind::Klines, M1, &two).unwrap();
    assert_eq!(frame(&file).height(), 1, "the old month stays until the new one is complete");
    importer.finish().unwrap();
    assert_eq!(frame(&file).height(), 2);
}

#[test]
fn an_import_that_breaks_off_leaves_no_month() {
    let root = TempDir::new().unwrap();
    let mut importer = Importer::new(root.path());
    for chunk in trades(300_000, |i| 100_000_000 + i) {
        importer.push("BTCUSDT", Kind::Trades, None, &chunk).unwrap();
    }
    assert_eq!(all_files(root.path()).len(), 1, "a draft");
    drop(importer);
    assert_eq!(all_files(root.path()), Vec::<PathBuf>::new());
    assert_eq!(catalog::list(root.path()).unwrap(), []);
}

#[test]
fn rows_that_do_not_fit_are_refused() {
    let root = TempDir::new().unwrap();
    let late = Chunk::Bars(vec![bar(sample::START.plus(NANOS_PER_MINUTE), Qty::ONE), bar(sample::START, Qty::ONE)]);
    let twice = Chunk::Bars(vec![bar(sample::START, Qty::ONE); 2]);
    let nanos = Chunk::Bars(vec![bar(sample::START.plus(1), Qty::ONE)]);
    let ancient = Chunk::Bars(vec![bar(Timestamp::from_nanos(-NANOS_PER_DAY), Qty::ONE)]);
    let push = |symbol: &str, kind, timeframe, chunk: &Chunk| {
        Importer::new(root.path()).push(symbol, kind, timeframe, chunk).unwrap_err().to_string()
    };
    assert!(push("BTCUSDT", Kind::Klines, M1, &late).contains("comes after"));
    assert!(push("BTCUSDT", Kind::Klines, M1, &twice).contains("comes after"));
    assert!(push("BTCUSDT", Kind::Klines, M1, &nanos).contains("millisecond"));
    assert!(push("BTCUSDT", Kind::Klines, M1, &ancient).contains("no time of an exchange"));
    assert!(push("BTCUSDT", Kind::Klines, Some(Timeframe::M5), &twice).contains("1m"));
    assert!(push("BTCUSDT", Kind::Klines, None, &twice).contains("timeframe"));
    assert!(push("BTCUSDT", Kind::Trades, None, &twice).contains("not trades"));
    assert!(push("BTCUSDT", Kind::Recording, None, &twice).contains("recording"));
    assert!(push("../BTCUSDT", Kind::Klines, M1, &twice).contains("not a symbol"));
}

#[test]
fn the_list_passes_over_what_is_not_the_catalogues_and_names_what_is_broken() {
    let root = TempDir::new().unwrap();
    assert_eq!(catalog::list(&root.path().join("nowhere")).unwrap(), []);
    let one = Chunk::Bars(vec![bar(sample::START, Qty::ONE)]);
    let good = import(root.path(), "BTCUSDT", Kind::Klines, M1, &[one]).files.remove(0);
    let folder = good.parent().unwrap();
    fs::write(root.path().join("notes.txt"), "x").unwrap();
    fs::write(folder.join("notes.txt"), "x").unwrap();
    fs::write(folder.join("BTCUSDT-1m-2025-02.parquet.tmp"), "x").unwrap();
    fs::create_dir_all(root.path().join("BTCUSDT/klines-7m")).unwrap();
    assert_eq!(catalog::list(root.path()).unwrap()[0].months, ["2025-01"]);

    let content = fs::read(&good).unwrap();
    for length in 0..content.len() {
        let broken = folder.join("BTCUSDT-1m-2025-03.parquet");
        fs::write(&broken, &content[..length]).unwrap();
        let error = catalog::list(root.path()).unwrap_err();
        assert_eq!(error.file, Some(broken), "cut to {length} bytes");
    }
    // Some changes cannot be noticed, some can; none stops the program.
    for (at, bits) in (0..content.len()).flat_map(|at| [0x01, 0x41, 0xff].map(|bits| (at, bits))) {
        let mut changed = content.clone();
        changed[at] ^= bits;
        fs::write(folder.join("BTCUSDT-1m-2025-03.parquet"), changed).unwrap();
        let _ = catalog::list(root.path());
    }
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let root = TempDir::new().unwrap();
    let file = root.path().join("a-file");
    fs::write(&file, "").unwrap();
    let error = Importer::new(&file).push("BTCUSDT", Kind::Klines, M1, &workload::bars()[0]).unwrap_err();
    assert!(error.file.unwrap().starts_with(&file) && error.hint.is_some());
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_named() {
    let root = TempDir::new().unwrap();
    let folder = root.path().join("BTCUSDT/klines-1m");
    fs::create_dir_all(&folder).unwrap();
    let draft = folder.join("BTCUSDT-1m-2025-01.parquet.tmp");
    std::os::unix::fs::symlink("/dev/full", &draft).unwrap();
    let mut importer = Importer::new(root.path());
    importer.push("BTCUSDT", Kind::Klines, M1, &Chunk::Bars(vec![bar(sample::START, Qty::ONE)])).unwrap();
    let error = importer.finish().unwrap_err();
    assert_eq!(error.file, Some(draft));
    assert!(error.hint.unwrap().contains("space"));
    assert_eq!(all_files(root.path()), Vec::<PathBuf>::new());
}
