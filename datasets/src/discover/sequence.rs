//! A Sequence gives the files of one stream one after the other; a Window leaves out what is not wanted of it.

use std::path::{Path, PathBuf};

use alphaengine_core::market::Timeframe;
use alphaengine_core::units::Timestamp;

use super::Part;
use crate::Error;
use crate::chunk::{Chunk, ChunkSource};
use crate::gaps::Gaps;
use crate::kind::Kind;
use crate::read;
use crate::read::recording::{self, MOST_BACK};

/// The sentence for two files of one stream that do not follow each other.
pub(super) fn overlap(earlier: &Path, later: &Path, at: Timestamp) -> Error {
    let problem = format!("overlaps with {}, which begins at {at}", later.display());
    Error::new(problem).file(earlier).hint("leave out one of the two files")
}

/// The files of one stream. Each is opened when the one before it has ended.
pub(super) struct Sequence {
    parts: std::vec::IntoIter<Part>,
    kind: Kind,
    timeframe: Option<Timeframe>,
    open: Option<Open>,
    /// The file before, and its last row.
    before: Option<(PathBuf, Timestamp)>,
}

struct Open {
    source: Box<dyn ChunkSource>,
    part: Part,
    last: Timestamp,
    any: bool,
}

impl Sequence {
    pub fn new(parts: Vec<Part>, kind: Kind, timeframe: Option<Timeframe>) -> Sequence {
        Sequence { parts: parts.into_iter(), kind, timeframe, open: None, before: None }
    }

    /// Checks that a file follows the one before it, and closes the small gaps back that recordings have.
    fn join(&self, chunk: &mut Chunk, part: &Part) -> Result<(), Error> {
        let (Some((earlier, last)), Some(first)) = (&self.before, chunk.first_at()) else { return Ok(()) };
        let span = self.timeframe.map_or(0, Timeframe::nanos);
        let follows = match self.kind {
            Kind::Klines | Kind::MarkPriceKlines if span > 0 => first.since(*last) >= span,
            Kind::FundingRate => first > *last,
            _ if part.recorded.is_some() => last.since(first) <= MOST_BACK,
            _ => first >= *last,
        };
        if !follows {
            return Err(overlap(earlier, &part.path, first));
        }
        chunk.not_before(*last);
        Ok(())
    }
}

impl ChunkSource for Sequence {
    fn next_chunk(&mut self) -> Result<Option<Chunk>, Error> {
        loop {
            let Some(mut open) = self.open.take() else {
                let Some(part) = self.parts.next() else { return Ok(None) };
                let source = match &part.recorded {
                    Some((symbol, frames)) => recording::open(&part.path, symbol, *frames)?,
                    None => read::open(&part.path, self.timeframe)?,
                };
                self.open = Some(Open { source, part, last: Timestamp::MIN, any: false });
                continue;
            };
            let Some(mut chunk) = open.source.next_chunk()? else {
                if open.any {
                    self.before = Some((open.part.path, open.last));
                }
                continue;
            };
            // A recording's rows may lie before the end of the file before it for more than one chunk.
            if !open.any || open.part.recorded.is_some() {
                self.join(&mut chunk, &open.part)?;
            }
            open.last = chunk.last_at().unwrap_or(open.last);
            open.any = true;
            self.open = Some(open);
            return Ok(Some(chunk));
        }
    }
}

/// The rows of a source from one time to another.
pub(super) struct Window {
    source: Box<dyn ChunkSource>,
    from: Timestamp,
    to: Timestamp,
    is_over: bool,
}

impl Window {
    pub fn new(source: Box<dyn ChunkSource>, from: Timestamp, to: Timestamp) -> Window {
        Window { source, from, to, is_over: false }
    }
}

impl ChunkSource for Window {
    fn next_chunk(&mut self) -> Result<Option<Chunk>, Error> {
        while !self.is_over {
            let Some(mut chunk) = self.source.next_chunk()? else { break };
            self.is_over = chunk.last_at().is_some_and(|last| last >= self.to);
            chunk.keep_within(self.from, self.to);
            if !chunk.is_empty() {
                return Ok(Some(chunk));
            }
        }
        Ok(None)
    }

    fn gaps(&self) -> Gaps {
        self.source.gaps()
    }
}
