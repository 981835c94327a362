//! Archive tables into the CSV reader of `datasets`: no panic, and every row that is taken keeps the reader's promises.
//!
//! The first line of an input is the file's name; one that ends in `.zip` or `.gz` is unpacked from what follows it. The reader's
//! own files are compiled here without the rest of their crate: data frames take minutes to build and read no CSV.
#![no_main]
#![allow(dead_code, reason = "the rest of `datasets` is not here to use them")]

#[path = "../../datasets/src/chunk.rs"]
mod chunk;
#[path = "../../datasets/src/error.rs"]
mod error;
#[path = "../../datasets/src/gaps.rs"]
mod gaps;
#[path = "../../datasets/src/kind.rs"]
mod kind;

mod read;

use std::path::{Path, PathBuf};

use alphaengine_core::market::{Bar, Timeframe};
use alphaengine_core::units::Timestamp;
use chunk::{Chunk, ChunkSource};
pub(crate) use error::Error;
use libfuzzer_sys::fuzz_target;
use read::csv::CsvReader;
use read::input::{self, Input};

fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(2, |byte| *byte == b'\n');
    let (name, body) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let Ok(name) = std::str::from_utf8(name) else { return };
    let name = Path::new(name);
    let strict = rows(name, body, Some(Timeframe::M1), false);
    let lenient = rows(name, body, Some(Timeframe::M1), true);
    let unknown = rows(name, body, None, false);
    for chunks in [&strict, &unknown].into_iter().flatten() {
        check(chunks);
    }
    if let Ok(strict) = &strict {
        assert!(lenient.as_ref().is_ok_and(|lenient| lenient == strict), "leniency changes good rows");
    }
});

/// Reads everything.
fn rows(name: &Path, body: &[u8], timeframe: Option<Timeframe>, lenient: bool) -> Result<Vec<Chunk>, Error> {
    let mut reader = CsvReader::open(name, opened(name, body)?, timeframe)??;
    if lenient {
        reader.rows().set_lenient();
    }
    let mut chunks = Vec::new();
    while let Some(chunk) = reader.next_chunk()? {
        assert!(!chunk.is_empty(), "an empty chunk");
        chunks.push(chunk);
    }
    Ok(chunks)
}

fn opened(name: &Path, body: &[u8]) -> Result<Input, Error> {
    if !["zip", "gz"].contains(&input::extension(name).as_str()) {
        return Ok(Box::new(std::io::Cursor::new(body.to_vec())));
    }
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let file = format!("alphaengine-fuzz-archive-{}.{}", std::process::id(), input::extension(name));
    let path: PathBuf = folder.join(file);
    std::fs::write(&path, body).map_err(|error| input::cannot_read(&path, &error))?;
    input::open(&path)
}

fn check(chunks: &[Chunk]) {
    let mut last = Timestamp::MIN;
    for chunk in chunks {
        let (Some(first), Some(end)) = (chunk.first_at(), chunk.last_at()) else { continue };
        assert!(last <= first && first <= end, "times go back from {last} to {first} or to {end}");
        last = end;
        match chunk {
            Chunk::Bars(bars) | Chunk::MarkBars(bars) => bars.iter().for_each(check_bar),
            Chunk::Trades(rows) => {
                assert!(rows.iter().all(|row| row.row.price.is_positive() && !row.row.qty.is_negative()));
            }
            Chunk::Books(rows) => {
                assert!(rows.iter().all(|row| row.row.bid.is_positive() && row.row.ask.is_positive()));
            }
            Chunk::Funding(rows) => {
                assert!(rows.iter().all(|row| row.row.mark.is_none_or(|mark| mark.is_positive())));
            }
            Chunk::Marks(_) => panic!("a table gave marks"),
        }
    }
}

fn check_bar(bar: &Bar) {
    let within = |price| bar.low <= price && price <= bar.high;
    assert!(bar.low.is_positive() && within(bar.open) && within(bar.close) && !bar.volume.is_negative(), "{bar:?}");
}
