//! Files of any packing give the same rows, and the tape merges streams in the documented order without losing any.

#![allow(clippy::unwrap_used)]

#[path = "support/parquet.rs"]
mod parquet;

use std::fs;
use std::io::Write;
use std::path::Path;

use alphaengine_core::market::{Bar, BookTicker, Feed, Funding, MarketData, MarketUpdate, SymbolId, Timeframe, Trade};
use alphaengine_core::units::{NANOS_PER_MINUTE, Price, Qty, Rate, Timestamp};
use alphaengine_datasets::chunk::{Chunk, ChunkSource, Timed};
use alphaengine_datasets::read;
use alphaengine_datasets::tape::Tape;
use polars::prelude::Column;
use proptest::prelude::*;

fn all(mut tape: Tape) -> Vec<MarketUpdate> {
    std::iter::from_fn(|| tape.next_update().unwrap()).collect()
}

fn chunks(path: &Path) -> Vec<Chunk> {
    let mut source = read::open(path, None).unwrap();
    std::iter::from_fn(|| source.next_chunk().unwrap()).collect()
}

/// A table of the archive and what its rows are.
struct Sample {
    kind: &'static str,
    header: &'static str,
    rows: &'static str,
}

const SAMPLES: [Sample; 6] = [
    Sample {
        kind: "1m",
        header: "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore",
        rows: "1714003200000,10,12.5,9,11,5,1714003259999,1,1,1,1,0\n1714003260000,11,11,11,11,0,1714003319999,0,0,0,0,0\n",
    },
    Sample {
        kind: "trades",
        header: "id,price,qty,quote_qty,time,is_buyer_maker",
        rows: "7,10.5,2,21,1714003200000,true\n8,10.25,0.001,0.01025,1714003200000,false\n",
    },
    Sample {
        kind: "aggTrades",
        header: "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker",
        rows: "70,10.5,2,1,2,1714003200000,true\n71,10.25,0.001,3,3,1714003200005,false\n",
    },
    Sample {
        kind: "bookTicker",
        header: "update_id,best_bid_price,best_bid_qty,best_ask_price,best_ask_qty,transaction_time,event_time",
        rows: "5,10,1,10.5,2,1714003200000,1714003200003\n6,10.25,1.5,10.5,0,1714003200007,1714003200009\n",
    },
    Sample {
        kind: "fundingRate",
        header: "calc_time,funding_interval_hours,last_funding_rate",
        rows: "1714003200004,8,0.0001\n1714031999998,8,-0.00002\n",
    },
    Sample {
        kind: "markPriceKlines",
        header: "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore",
        rows: "1714003200000,10,12.5,9,11,0,1714003259999,0,60,0,0,0\n1714003260000,11,11,11,11,0,1714003319999,0,60,0,0,0\n",
    },
];

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zipped(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    writer.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap().into_inner()
}

/// The same table as Parquet: whole numbers as Int64, flags as text, others as Float64.
fn columns(sample: &Sample) -> Vec<Column> {
    let rows: Vec<Vec<&str>> = sample.rows.lines().map(|line| line.split(',').collect()).collect();
    let column = |(index, name): (usize, &str)| {
        let cells = || rows.iter().map(move |row| row[index]);
        if cells().all(|cell| cell.parse::<i64>().is_ok()) {
            Column::new(name.into(), cells().map(|cell| cell.parse().unwrap()).collect::<Vec<i64>>())
        } else if cells().all(|cell| cell.parse::<f64>().is_ok()) {
            Column::new(name.into(), cells().map(|cell| cell.parse().unwrap()).collect::<Vec<f64>>())
        } else {
            Column::new(name.into(), cells().collect::<Vec<&str>>())
        }
    };
    sample.header.split(',').enumerate().map(column).collect()
}

#[test]
fn header_headerless_zip_gzip_and_parquet_give_identical_rows() {
    for sample in &SAMPLES {
        let folder = tempfile::tempdir().unwrap();
        let file = |ending: &str| folder.path().join(format!("BTCUSDT-{}-2024-04.{ending}", sample.kind));
        let (plain, bare) = (file("csv"), file("bare.csv"));
        let (zip, gz, parquet) = (file("zip"), file("csv.gz"), file("parquet"));
        let text = format!("{}\n{}", sample.header, sample.rows);
        fs::write(&plain, &text).unwrap();
        fs::write(&bare, sample.rows).unwrap();
        fs::write(&zip, zipped("inner.csv", text.as_bytes())).unwrap();
        fs::write(&gz, gzip(text.as_bytes())).unwrap();
        parquet::write(&parquet, columns(sample));
        let expected = chunks(&plain);
        assert_eq!(expected.iter().map(Chunk::len).sum::<usize>(), 2, "{}", sample.kind);
        for path in [bare, zip, gz, parquet] {
            assert_eq!(chunks(&path), expected, "{}", path.display());
        }
    }
}

#[test]
fn headerless_files_are_told_by_their_shape() {
    let folder = tempfile::tempdir().unwrap();
    for sample in SAMPLES.iter().filter(|sample| sample.kind != "markPriceKlines") {
        let named = folder.path().join(format!("BTCUSDT-{}-2024-04.csv", sample.kind));
        let nameless = folder.path().join("nameless.csv");
        fs::write(&named, sample.rows).unwrap();
        fs::write(&nameless, sample.rows).unwrap();
        assert_eq!(chunks(&named), chunks(&nameless), "{}", sample.kind);
    }
}

#[test]
fn cells_are_read_exactly() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("BTCUSDT.csv");
    let time = 1_714_003_200_123_456i64;
    fs::write(
        &path,
        format!("is_buyer_maker,time_us,qty,price,id\nTRUE,{time},0.00000001,63943.9,1\n0,{time},1e-5,1,2\n"),
    )
    .unwrap();
    let at = Timestamp::from_nanos(time * 1_000);
    let trade = |id, price, qty, is_buyer_maker| {
        let row = Trade { id, price: Price::from_steps(price), qty: Qty::from_steps(qty), is_buyer_maker };
        Timed { at, row }
    };
    let expected = vec![trade(1, 6_394_390_000_000, 1, true), trade(2, 100_000_000, 1_000, false)];
    assert_eq!(chunks(&path), [Chunk::Trades(expected)]);

    let path = folder.path().join("funding.csv");
    fs::write(&path, "funding_time,funding_rate,mark_price\n1714003200004,0.0001,64000.5\n1714032000000,-0.0001,\n")
        .unwrap();
    let settled = |millis, rate, mark: Option<&str>| Timed {
        at: Timestamp::from_millis(millis).unwrap(),
        row: Funding { rate: Rate::from_steps(rate), mark: mark.map(|mark| mark.parse().unwrap()) },
    };
    let expected = vec![settled(1_714_003_200_000, 10_000, Some("64000.5")), settled(1_714_032_000_000, -10_000, None)];
    assert_eq!(chunks(&path), [Chunk::Funding(expected)]);
}

const PRICE: Price = Price::ONE;

fn bar(open_time: Timestamp) -> Bar {
    let (open, high, low, close) = (PRICE, PRICE, PRICE, PRICE);
    Bar { open_time, open, high, low, close, volume: Qty::ZERO, timeframe: Timeframe::M1 }
}

fn trade(at: Timestamp, id: i64) -> Timed<Trade> {
    Timed { at, row: Trade { id, price: PRICE, qty: Qty::ONE, is_buyer_maker: false } }
}

fn book(at: Timestamp, update_id: i64) -> Timed<BookTicker> {
    Timed { at, row: BookTicker { update_id, bid: PRICE, bid_qty: Qty::ONE, ask: PRICE, ask_qty: Qty::ONE } }
}

fn name(data: &MarketData) -> &'static str {
    match data {
        MarketData::MarkPrice(_) => "mark",
        MarketData::MarkBar(_) => "mark bar",
        MarketData::Funding(_) => "funding",
        MarketData::Bar(_) => "bar",
        MarketData::BarOpen(_) => "open",
        MarketData::BookTicker(_) => "book",
        MarketData::Trade(_) => "trade",
    }
}

#[test]
fn updates_of_one_time_come_in_the_documented_order() {
    let open = Timestamp::from_nanos(100 * NANOS_PER_MINUTE);
    let close = bar(open).close_time();
    let funding = |at| Timed { at, row: Funding { rate: Rate::ZERO, mark: None } };
    for reverse in [false, true] {
        let mut streams = vec![
            (SymbolId(1), vec![Chunk::Trades(vec![trade(open, 1), trade(close, 2)])]),
            (SymbolId(0), vec![Chunk::Trades(vec![trade(open, 3)]), Chunk::Trades(vec![trade(close, 4)])]),
            (SymbolId(0), vec![Chunk::Books(vec![book(open, 1), book(close, 2)])]),
            (SymbolId(0), vec![Chunk::Bars(vec![bar(open)])]),
            (SymbolId(0), vec![Chunk::Funding(vec![funding(open), funding(close)])]),
            (SymbolId(0), vec![Chunk::MarkBars(vec![bar(open)])]),
            (SymbolId(0), vec![Chunk::Marks(vec![Timed { at: open, row: PRICE }, Timed { at: close, row: PRICE }])]),
        ];
        if reverse {
            streams.reverse();
        }
        let updates = all(Tape::from_chunks(streams));
        let named: Vec<_> = updates.iter().map(|update| (name(&update.data), update.symbol.0)).collect();
        let opening = [("mark", 0), ("funding", 0), ("open", 0), ("book", 0), ("trade", 0), ("trade", 1)];
        let closing =
            [("mark", 0), ("mark bar", 0), ("funding", 0), ("bar", 0), ("book", 0), ("trade", 0), ("trade", 1)];
        assert_eq!(named, [opening.as_slice(), closing.as_slice()].concat());
    }
}

#[test]
fn what_is_delivered_is_counted() {
    let at = Timestamp::ZERO;
    let bars = Chunk::Bars(vec![bar(at), bar(at.plus(NANOS_PER_MINUTE))]);
    let mut tape =
        Tape::from_chunks(vec![(SymbolId(0), vec![bars]), (SymbolId(0), vec![Chunk::Trades(vec![trade(at, 1)])])]);
    assert_eq!(tape.counts().total(), 0);
    tape.next_update().unwrap();
    assert_eq!((tape.counts().bars, tape.counts().trades), (0, 0), "a bar counts when it has closed");
    tape.next_update().unwrap();
    tape.next_update().unwrap();
    assert_eq!((tape.counts().bars, tape.counts().trades), (1, 1));
    while tape.next_update().unwrap().is_some() {}
    assert_eq!((tape.counts().bars, tape.counts().trades), (2, 1));
    assert!(tape.next_update().unwrap().is_none());
}

/// Fails after some chunks, and tells when it is dropped.
struct Failing {
    left: usize,
    dropped: std::sync::mpsc::Sender<()>,
}

impl ChunkSource for Failing {
    fn next_chunk(&mut self) -> Result<Option<Chunk>, alphaengine_datasets::Error> {
        if self.left == 0 {
            return Err(alphaengine_datasets::Error::new("broken"));
        }
        self.left -= 1;
        Ok(Some(Chunk::Trades(vec![trade(Timestamp::ZERO, 0)])))
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        let _ = self.dropped.send(());
    }
}

#[test]
fn an_error_comes_after_what_was_good() {
    let (dropped, _receiver) = std::sync::mpsc::channel();
    let mut tape = Tape::new(vec![(SymbolId(0), Box::new(Failing { left: 3, dropped }))]).unwrap();
    for _ in 0..3 {
        assert!(tape.next_update().unwrap().is_some());
    }
    assert_eq!(tape.next_update().unwrap_err().problem, "broken");
    assert!(tape.next_update().unwrap().is_none());
}

#[test]
fn threads_end_with_the_tape() {
    let (dropped, receiver) = std::sync::mpsc::channel();
    let mut tape = Tape::new(vec![(SymbolId(0), Box::new(Failing { left: usize::MAX, dropped }))]).unwrap();
    assert!(tape.next_update().unwrap().is_some());
    drop(tape);
    receiver.recv_timeout(std::time::Duration::from_secs(10)).unwrap();
}

/// A stream of one kind with these gaps between its times, cut into chunks.
fn stream(kind: u8, symbol: u16, gaps: &[i64], cut: usize, first_id: i64) -> (SymbolId, Vec<Chunk>) {
    let mut at = 0;
    let times: Vec<(Timestamp, i64)> = (first_id..)
        .zip(gaps)
        .map(|(id, gap)| {
            at += gap;
            (Timestamp::from_nanos(at), id)
        })
        .collect();
    let chunk = |times: &[(Timestamp, i64)]| match kind {
        0 => Chunk::Trades(times.iter().map(|&(at, id)| trade(at, id)).collect()),
        1 => Chunk::Books(times.iter().map(|&(at, id)| book(at, id)).collect()),
        2 => Chunk::Marks(times.iter().map(|&(at, _)| Timed { at, row: PRICE }).collect()),
        _ => {
            let bar_of = |&(at, id): &(Timestamp, i64)| {
                bar(Timestamp::from_nanos((id - first_id) * 7 * NANOS_PER_MINUTE + at.nanos()))
            };
            Chunk::Bars(times.iter().map(bar_of).collect())
        }
    };
    (SymbolId(symbol), times.chunks(cut).map(chunk).collect())
}

/// The updates of a stream, one by one.
fn flat(symbol: SymbolId, chunks: &[Chunk]) -> Vec<MarketUpdate> {
    chunks.iter().flat_map(|chunk| all(Tape::from_chunks(vec![(symbol, vec![chunk.clone()])]))).collect()
}

proptest! {
    #[test]
    fn a_merge_is_a_stable_sort(
        streams in prop::collection::vec(
            (0u8..4, 0u16..3, prop::collection::vec(0i64..3, 0..120), 1usize..40),
            0..6,
        ),
    ) {
        let streams: Vec<_> = streams
            .iter()
            .enumerate()
            .map(|(index, (kind, symbol, gaps, cut))| stream(*kind, *symbol, gaps, *cut, index as i64 * 1_000))
            .collect();
        let mut expected: Vec<MarketUpdate> = streams.iter().flat_map(|(symbol, chunks)| flat(*symbol, chunks)).collect();
        let order = ["mark", "mark bar", "funding", "bar", "open", "book", "trade"];
        let rank = |data: &MarketData| order.iter().position(|other| *other == name(data));
        expected.sort_by_key(|update| (update.at, rank(&update.data), update.symbol));
        prop_assert_eq!(all(Tape::from_chunks(streams)), expected);
    }
}
