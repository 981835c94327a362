//! What the names of files and folders say.

use std::path::{Path, PathBuf};

use alphaengine_core::market::Timeframe;

use crate::Error;
use crate::kind::Kind;

/// Assets in which contracts are quoted; a name in lower case that ends in one of them is a symbol.
const QUOTES: [&str; 8] = ["USDT", "USDC", "BUSD", "FDUSD", "TUSD", "USD", "BTC", "ETH"];

/// All files below a folder, in the order of their paths. Hidden files and checksums are left out.
pub(super) fn files_below(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    let unreadable = |error: std::io::Error| Error::new(format!("cannot be read: {error}")).file(folder);
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let is_folder = entry.file_type().map_err(unreadable)?.is_dir();
        paths.push((entry.path(), is_folder));
    }
    paths.sort();
    for (path, is_folder) in paths {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.starts_with('.') || name.ends_with(".CHECKSUM") || name.ends_with(".tmp") {
            continue;
        }
        // A linked folder could lead back here; a linked file is read.
        if is_folder {
            files_below(&path, files)?;
        } else if path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

/// The symbol that a path tells: the beginning of the file's name up to `-`, `_` or `.`, in capitals, else a folder with
/// the name of a symbol. A quarterly contract keeps its date: `BTCUSDT_240628`.
pub(super) fn symbol_in_path(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let folders = path.parent()?.iter().rev().take(3).filter_map(|part| part.to_str());
    symbol_in_name(name).or_else(|| folders.filter_map(symbol_in_name).find(|symbol| is_symbol(symbol)))
}

/// Whether a word in capitals ends like a contract's name: `NOTES` does not.
pub(super) fn is_symbol(word: &str) -> bool {
    has_quote(word.split('_').next().unwrap_or_default())
}

fn symbol_in_name(name: &str) -> Option<String> {
    let token = name.split(['-', '_', '.']).next()?;
    let is_word = token.parse::<Kind>().is_ok() || token.parse::<Timeframe>().is_ok();
    let has_letter = token.chars().any(char::is_alphabetic);
    if is_word || !has_letter || !token.chars().all(char::is_alphanumeric) {
        return None;
    }
    let is_lower = token.chars().any(char::is_lowercase);
    let is_upper = token.chars().any(char::is_uppercase);
    let symbol = token.to_uppercase();
    if is_lower && (is_upper || !has_quote(&symbol)) {
        return None;
    }
    let rest = name.get(token.len()..).unwrap_or_default();
    Some(match delivery_date(rest) {
        Some(date) => format!("{symbol}_{date}"),
        None => symbol,
    })
}

fn has_quote(symbol: &str) -> bool {
    QUOTES.iter().any(|quote| symbol.len() > quote.len() && symbol.ends_with(quote))
}

/// `_240628` at the beginning of what follows a symbol.
fn delivery_date(rest: &str) -> Option<&str> {
    let date = rest.strip_prefix('_')?.split(['-', '_', '.']).next()?;
    (date.len() == 6 && date.bytes().all(|byte| byte.is_ascii_digit())).then_some(date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_symbols() {
        for (path, symbol) in [
            ("BTCUSDT-1m-2024-01.zip", Some("BTCUSDT")),
            ("ticks/btcusdt_20240718.gz", Some("BTCUSDT")),
            ("1000PEPEUSDT.parquet", Some("1000PEPEUSDT")),
            ("币安人生USDT-1m-2025-10.zip", Some("币安人生USDT")),
            ("BTCUSDT_240628-1m-2024-01.zip", Some("BTCUSDT_240628")),
            ("klines/BTCUSDT/1m/2024-01.parquet", Some("BTCUSDT")),
            ("klines/BTCUSDT_240628/1m/2024-01.parquet", Some("BTCUSDT_240628")),
            ("1m.csv", None),
            ("klines.csv", None),
            ("trades-2024-01.csv", None),
            ("my prices.csv", None),
            ("data.csv", None),
        ] {
            assert_eq!(symbol_in_path(Path::new(path)).as_deref(), symbol, "{path}");
        }
    }
}
