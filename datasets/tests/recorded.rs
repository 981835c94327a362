//! Reads the real recordings, where they are at hand.

use std::path::PathBuf;

use alphaengine_core::market::{Feed, MarketData, MarketUpdate, SymbolId};
use alphaengine_datasets::Error;
use alphaengine_datasets::read;
use alphaengine_datasets::tape::Tape;

fn shared(path: &str) -> PathBuf {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    std::env::var_os("ALPHAENGINE_SHARED_DATA").map_or_else(beside, PathBuf::from).join(path)
}

fn all(mut tape: Tape) -> Result<Vec<MarketUpdate>, Error> {
    let mut updates = Vec::new();
    while let Some(update) = tape.next_update()? {
        updates.push(update);
    }
    Ok(updates)
}

#[test]
#[cfg_attr(not(shared_data), ignore = "no recordings: set ALPHAENGINE_SHARED_DATA")]
fn one_file_of_klines_becomes_a_tape() {
    let source = read::open(&shared("klines-1m/BTCUSDT.parquet"), None).unwrap();
    let updates = all(Tape::new(vec![(SymbolId(0), source)]).unwrap()).unwrap();
    assert_eq!(updates.len(), 2 * 73_080);
    assert!(updates.is_sorted_by_key(|update| update.at));
    let MarketData::BarOpen(first) = updates[0].data else { panic!("a bar opens first") };
    assert_eq!(first.timeframe.name(), "1m");
    assert_eq!(updates[0].at.to_string(), "2025-05-04T16:00:00.000Z");
}
