//! What goes to the disk: names that may become parts of paths, and errors of a disk that say what to do.

use std::io::{self, ErrorKind};
use std::path::Path;

use crate::Error;

/// Symbols become parts of paths. Some have letters beyond ASCII; none has a dot or a slash.
pub(crate) fn check_symbol(symbol: &str) -> Result<(), Error> {
    let good = !symbol.is_empty() && symbol.len() <= 64 && symbol.chars().all(|c| c.is_alphanumeric() || c == '_');
    if good {
        return Ok(());
    }
    let shown: String = symbol.chars().take(64).flat_map(char::escape_default).collect();
    Err(Error::new(format!("`{shown}` is not a symbol")).hint("symbols look like BTCUSDT or BTCUSDT_250328"))
}

/// A disk that did not do what it should.
pub(crate) fn disk(path: &Path, what: &str, problem: &io::Error) -> Error {
    let hint = match problem.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "free some space and run the same command again",
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => "choose a directory that you may write to",
        _ => "check the directory and run the same command again",
    };
    Error::new(format!("{what}: {problem}")).file(path).hint(hint)
}

pub(crate) fn create_dir(directory: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(directory).map_err(|problem| disk(directory, "this folder cannot be made", &problem))
}
