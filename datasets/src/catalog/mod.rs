//! The catalogue keeps market data as Parquet files on disk, one for each symbol, kind and UTC month:
//! `<root>/<SYMBOL>/<kind>[-<timeframe>]/<SYMBOL>-<kind or timeframe>-YYYY-MM.parquet`.
//!
//! Columns have the archive's names, so that the files read well elsewhere. Times are milliseconds; prices and quantities are
//! floats that come back as the same decimals, and text in a file that has a decimal for which that does not hold.

mod import;
mod list;
mod month_file;
mod table;

use std::path::{Path, PathBuf};

use alphaengine_core::market::Timeframe;

use crate::kind::Kind;
use crate::month::Month;

pub use import::{ImportReport, Importer};
pub use list::{Entry, list};

/// Where the file of a month is, or would be.
pub fn path(root: &Path, symbol: &str, kind: Kind, timeframe: Option<Timeframe>, month: Month) -> PathBuf {
    let stem = timeframe.map_or(kind.name(), Timeframe::name);
    folder(root, symbol, kind, timeframe).join(format!("{symbol}-{stem}-{month}.parquet"))
}

/// Where the months of a stream are.
pub fn folder(root: &Path, symbol: &str, kind: Kind, timeframe: Option<Timeframe>) -> PathBuf {
    let name = timeframe.map_or(kind.name().to_owned(), |timeframe| format!("{kind}-{timeframe}"));
    root.join(symbol).join(name)
}
