//! Every sentence about bad input: the file, the row, what is wrong, and what to do.

#![allow(clippy::unwrap_used)]

#[path = "support/parquet.rs"]
mod parquet;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use alphaengine_core::market::Timeframe;
use alphaengine_datasets::Error;
use alphaengine_datasets::chunk::ChunkSource;
use alphaengine_datasets::discover::{OpenOptions, discover};
use alphaengine_datasets::read;
use polars::prelude::{Column, NamedFrom, Series};

const KLINES: &str = "open_time,open,high,low,close,volume\n";
const GOOD: &str = "1714000000000,10,12,9,11,5\n";

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }
}

fn drain(mut source: Box<dyn ChunkSource>) -> Result<(), Error> {
    while source.next_chunk()?.is_some() {}
    Ok(())
}

fn error_of(path: &Path) -> Error {
    let error = read::open(path, Some(Timeframe::M1)).and_then(drain).unwrap_err();
    assert_eq!(error.file.as_deref(), Some(path));
    error
}

#[test]
fn rows_that_cannot_be() {
    let folder = Folder::new();
    for (row, sentence) in [
        ("1714000060000,NaN,12,9,11,5", "`open`: `NaN` is not a number"),
        ("1714000060000,10,inf,9,11,5", "`high`: `inf` is not a number"),
        ("1714000060000,10,12,0,11,5", "`low` is 0: a price must be positive"),
        ("1714000060000,10,12,-1,11,5", "`low` is -1: a price must be positive"),
        ("1714000060000,10,12,9,11,-5", "`volume` is -5: it must not be negative"),
        ("1714000060000,10,10.5,9,11,5", "`high` 10.5 is below open 10 or close 11"),
        ("1714000060000,10,12,10.5,11,5", "`low` 10.5 is above open 10 or close 11"),
        ("1714000060000,10.000000001,12,9,11,5", "`open`: `10.000000001` has more than 8 decimals"),
        ("1714000060000,10,12,9,,5", "`close`: the cell is empty"),
        ("1714000060000,10,12,9,eleven,5", "`close`: `eleven` is not a decimal number"),
        ("1714000060000,10,12,9,11", "5 columns where the first row has 6"),
        ("1713999940000,10,12,9,11,5", "the time goes back from 2024-04-24T23:06:40.000Z to 2024-04-24T23:05:40.000Z"),
        ("1714000000000,10,12,9,11,5", "the opening time 2024-04-24T23:06:40.000Z comes twice"),
        (
            "1714000030000,10,12,9,11,5",
            "the bar of 2024-04-24T23:07:10.000Z opens before the 1m bar of 2024-04-24T23:06:40.000Z has closed",
        ),
        (
            "1714000060,10,12,9,11,5",
            "the time 1714000060 has 10 digits: known are milliseconds (13 digits) and microseconds (16 digits)",
        ),
        ("noon,10,12,9,11,5", "`open_time`: `noon` is not a whole number"),
    ] {
        let path = folder.write("BTCUSDT-1m.csv", format!("{KLINES}{GOOD}{row}\n"));
        let error = error_of(&path);
        assert_eq!((error.row, error.problem.as_str()), (Some(3), sentence), "{row}");
        assert!(error.to_string().ends_with(&format!("BTCUSDT-1m.csv: row 3: {sentence}")), "{error}");
    }
    let path = folder.write("seconds.csv", format!("{KLINES}1714000060,10,12,9,11,5\n"));
    assert_eq!(error_of(&path).hint.as_deref(), Some("these look like seconds: multiply them by 1000"));
}

#[test]
fn zero_volume_and_a_zero_side_and_a_crossed_book_are_data() {
    let folder = Folder::new();
    let path = folder.write("BTCUSDT-1m.csv", format!("{KLINES}1714000000000,10,10,10,10,0\n"));
    read::open(&path, None).and_then(drain).unwrap();
    let book = "update_id,best_bid_price,best_bid_qty,best_ask_price,best_ask_qty,transaction_time,event_time\n\
                8,11,0,10,1,1714000000000,1714000000001\n7,11,1,10,1,1714000000000,1714000000000\n";
    let path = folder.write("BTCUSDT-bookTicker.csv", book);
    read::open(&path, None).and_then(drain).unwrap();
}

#[test]
fn files_that_cannot_be() {
    let folder = Folder::new();
    let path = folder.write("BTCUSDT-1m.csv", "");
    assert_eq!(error_of(&path).problem, "the file is empty");
    let path = folder.write("BTCUSDT-1m.csv", KLINES);
    assert_eq!(error_of(&path).problem, "the file holds no rows");
    let path = folder.write("BTCUSDT.csv", "open_time,open,high,low\n1714000000000,1,1,1\n");
    let error = error_of(&path);
    assert_eq!(error.problem, "the column `close` of klines is missing; the columns are open_time, open, high, low");
    assert!(error.hint.unwrap().starts_with("known are aggTrades (transact_time, price, quantity"));
    let path = folder.write("BTCUSDT.csv", "1,2,3,4\n");
    let error = error_of(&path);
    assert_eq!(error.problem, "the file has no header, and 4 columns are of no known kind of file");
    let path = folder.write("BTCUSDT-trades.csv", "1,2,3\n");
    let error = error_of(&path);
    assert_eq!(error.problem, "the file has no header, and 3 columns are too few for trades");
    let path = folder.write("BTCUSDT-1m.zip", "no zip at all");
    let error = error_of(&path);
    assert!(error.problem.starts_with("the zip cannot be read: "), "{error}");
    let path = folder.write("BTCUSDT-1m.parquet", "no parquet at all");
    assert!(error_of(&path).problem.starts_with("cannot be read: "));
    let path = folder.0.path().join("missing.csv");
    assert!(error_of(&path).problem.starts_with("cannot be read: "));
    let path = folder.write("BTCUSDT-trades.csv", "id,price,qty,time,is_buyer_maker\n1,1,1,1714000000000,maybe\n");
    assert_eq!(error_of(&path).problem, "`is_buyer_maker`: `maybe` is neither true nor false");
    let path = folder.write("BTCUSDT.csv", "open_time,open,high,low,close,volume\n1714000000000,1,1,1,1,1\n");
    let error = read::open(&path, None).and_then(drain).unwrap_err();
    assert_eq!(error.problem, "one bar does not tell its timeframe");
    let rows = "1714000000000,1,1,1,1,1\n1714000007000,1,1,1,1,1\n";
    let path = folder.write("BTCUSDT.csv", format!("{KLINES}{rows}"));
    let error = read::open(&path, None).and_then(drain).unwrap_err();
    assert_eq!(error.problem, "the bars are 7 s apart, which is no timeframe");
    let funding = "calc_time,last_funding_rate\n1714003200001,0.0001\n1714003200003,0.0001\n";
    let path = folder.write("BTCUSDT-fundingRate.csv", funding);
    assert_eq!(error_of(&path).problem, "the settlement of 2024-04-25T00:00:00.000Z comes twice");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in files {
        let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        writer.start_file(*name, options).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

fn many_rows() -> String {
    let row = |minute: i64| format!("{},10,12,9,11,{}\n", 1_714_000_000_000 + minute * 60_000, minute * 7_919 % 1_000);
    KLINES.to_owned() + &(0..20_000).map(row).collect::<String>()
}

#[test]
fn packed_files_that_are_damaged() {
    let folder = Folder::new();
    let packed = gzip(many_rows().as_bytes());
    let path = folder.write("BTCUSDT-1m.csv.gz", &packed[..packed.len() / 2]);
    let error = error_of(&path);
    assert_eq!(error.problem, "the packed file ends too early");
    assert_eq!(error.hint.as_deref(), Some("download it again"));

    let mut packed = zipped(&[("BTCUSDT-1m.csv", many_rows().as_bytes())]);
    let path = folder.write("BTCUSDT-1m.zip", &packed[..packed.len() / 2]);
    assert!(error_of(&path).problem.starts_with("the zip cannot be read: "));
    let middle = packed.len() / 2;
    packed[middle] ^= 0x55;
    let path = folder.write("BTCUSDT-1m.zip", &packed);
    assert!(error_of(&path).problem.starts_with("the packed file is damaged: "));
    let path = folder.write("BTCUSDT-1m.zip", zipped(&[("a.csv", b"1"), ("b.csv", b"2")]));
    assert_eq!(error_of(&path).problem, "the zip holds 2 files where one is expected");
}

#[test]
fn parquet_of_other_types_is_refused() {
    let folder = Folder::new();
    let path = folder.0.path().join("BTCUSDT-1m.parquet");
    let write = |open: Series| {
        let time = Column::new("open_time".into(), [1_714_000_000_000_i64]);
        let rest = [("high", 12.0), ("low", 9.0), ("close", 11.0), ("volume", 0.0)];
        let rest = rest.map(|(name, value)| Column::new(name.into(), [value]));
        parquet::write(&path, [time, open.into()].into_iter().chain(rest).collect());
    };
    write(Series::new("open".into(), [f64::NAN]));
    let error = error_of(&path);
    assert_eq!((error.row, error.problem.as_str()), (Some(1), "`open`: `NaN` is not a number"));
    write(Series::new("open".into(), [None::<&str>]));
    assert_eq!(error_of(&path).problem, "`open`: the cell is empty");
    write(Series::new("open".into(), ["10"]));
    read::open(&path, Some(Timeframe::M1)).and_then(drain).unwrap();
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 9]).unwrap();
    error_of(&path);
}

fn find(inputs: &[PathBuf], options: &OpenOptions) -> Result<alphaengine_datasets::discover::Discovery, Error> {
    discover(inputs, options)
}

#[test]
fn sentences_of_discovery() {
    let folder = Folder::new();
    let none = OpenOptions::default();
    let empty = folder.0.path().to_path_buf();
    assert!(find(&[empty], &none).unwrap_err().problem.starts_with("no data found in "));
    let missing = folder.0.path().join("BTCUSDT.csv");
    assert!(find(&[missing], &none).unwrap_err().problem.starts_with("cannot be read: "));

    let named = folder.write("NOTES.txt", "hello");
    let error = find(&[named], &none).unwrap_err();
    assert_eq!(error.problem, "a file that ends in `.txt` is of no known kind");

    let data = folder.write("data.csv", format!("{KLINES}{GOOD}1714000060000,10,12,9,11,5\n"));
    let error = find(std::slice::from_ref(&data), &none).unwrap_err();
    assert_eq!(error.problem, "the name of the file does not tell its symbol");
    assert!(error.hint.unwrap().contains("--symbol"));
    let one = OpenOptions { symbols: vec!["ethusdt".to_owned()], ..none.clone() };
    assert_eq!(find(&[data], &one).unwrap().symbols(), ["ETHUSDT"]);
    fs::remove_file(folder.0.path().join("data.csv")).unwrap();

    folder.write("BTCUSDT-1m-2024-04.csv", format!("{KLINES}{GOOD}"));
    folder.write("BTCUSDT-1m-2024-04.zip.CHECKSUM", "0");
    let all = [folder.0.path().to_path_buf()];
    let found = find(&all, &none).unwrap();
    assert_eq!(found.warnings, ["1 file that is no data left out"]);
    let error = find(&all, &OpenOptions { symbols: vec!["SOLUSDT".to_owned()], ..none.clone() }).unwrap_err();
    assert_eq!(error.problem, "option --symbol: there are no data of SOLUSDT; the data have BTCUSDT");

    folder.write("copy/BTCUSDT-1m-2024-04.csv", format!("{KLINES}{GOOD}"));
    let error = find(&all, &none).unwrap_err();
    assert!(error.problem.starts_with("overlaps with ") && error.problem.contains("BTCUSDT-1m-2024-04.csv"), "{error}");
    assert!(error.file.unwrap().ends_with("BTCUSDT-1m-2024-04.csv"));
}

#[test]
fn an_overlap_that_shows_late_names_both_files() {
    use alphaengine_core::market::{Feed, SymbolId};
    let folder = Folder::new();
    let rows = |from: i64, count: i64| {
        let row = |minute: i64| format!("{},10,12,9,11,5\n", 1_714_000_000_000 + minute * 60_000);
        KLINES.to_owned() + &(from..from + count).map(row).collect::<String>()
    };
    folder.write("BTCUSDT-1m-2024-04.csv", rows(0, 100));
    folder.write("BTCUSDT-1m-2024-05.csv", rows(99, 100));
    let found = find(&[folder.0.path().to_path_buf()], &OpenOptions::default()).unwrap();
    let mut tape = found.open(|_| Some(SymbolId(0))).unwrap();
    let mut count = 0;
    let error = loop {
        match tape.next_update() {
            Ok(update) => count += i32::from(update.is_some()),
            Err(error) => break error,
        }
    };
    assert_eq!(count, 200, "what comes before the error is delivered");
    assert!(error.file.unwrap().ends_with("BTCUSDT-1m-2024-04.csv"));
    assert!(error.problem.contains("BTCUSDT-1m-2024-05.csv"));
    assert!(tape.next_update().unwrap().is_none());
}
