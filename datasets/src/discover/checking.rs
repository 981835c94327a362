//! What a checker looks at: file by file, without the strictness of a run.

use std::path::{Path, PathBuf};

use alphaengine_core::market::Timeframe;

use super::{OpenOptions, names};
use crate::Error;
use crate::chunk::ChunkSource;
use crate::kind::Kind;
use crate::read::{self, Look};

/// A file, or a stream of a recording, that can be checked.
pub struct Candidate {
    pub path: PathBuf,
    pub symbol: String,
    pub kind: Kind,
    pub timeframe: Option<Timeframe>,
    pub source: Box<dyn ChunkSource>,
}

/// Opens every file for a check. Nothing is compared between files, and rows may contradict each other. A file that cannot even
/// be begun to read is a finding of the check, not the end of it: the error inside says what is wrong with it.
pub fn to_check(inputs: &[PathBuf], options: &OpenOptions) -> Result<Vec<Result<Candidate, Error>>, Error> {
    let mut candidates = Vec::new();
    let mut files = Vec::new();
    for input in inputs {
        if input.is_dir() { names::files_below(input, &mut files)? } else { files.push(input.clone()) }
    }
    for path in files {
        let look = match read::look_leniently(&path) {
            Err(error) if path.is_file() => {
                candidates.push(Err(error));
                continue;
            }
            look => look?,
        };
        match look {
            Look::Unknown(error) if inputs.contains(&path) => return Err(error),
            Look::Unknown(_) => {}
            Look::Table(head) => {
                let symbol = symbol_of(&path, options)?;
                let source = read::open_lenient(&path, head.timeframe)?;
                let (kind, timeframe) = (head.kind, head.timeframe);
                candidates.push(Ok(Candidate { path, symbol, kind, timeframe, source }));
            }
            Look::Recording(_) => {
                let discovery = super::discover(std::slice::from_ref(&path), options)?;
                for (stream, source) in discovery.sources() {
                    let (path, symbol) = (path.clone(), stream.symbol);
                    let (kind, timeframe) = (stream.kind, stream.timeframe);
                    candidates.push(Ok(Candidate { path, symbol, kind, timeframe, source }));
                }
            }
        }
    }
    if candidates.is_empty() {
        return Err(Error::new("there are no data to check").hint("name files, or directories that hold some"));
    }
    Ok(candidates)
}

fn symbol_of(path: &Path, options: &OpenOptions) -> Result<String, Error> {
    if let [only] = options.symbols.as_slice() {
        return Ok(only.clone());
    }
    names::symbol_in_path(path).ok_or_else(|| {
        Error::new("the file's name does not tell its symbol").file(path).hint("name its symbol with --symbol")
    })
}
