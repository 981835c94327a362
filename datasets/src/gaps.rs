//! Gaps are the bars that a stream lacks between its first and its last one.

use alphaengine_core::market::Bar;
use alphaengine_core::units::{NANOS_PER_MILLI, Timestamp};

use crate::Error;
use crate::chunk::{Chunk, ChunkSource};

/// Bars that are missing in one stream. What it lacks before its first bar and after its last one is no gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gaps {
    /// Spans of missing bars that follow each other.
    pub spans: u64,
    /// Bars that are missing in all of them.
    pub missing: u64,
    /// The first one of the greatest length.
    pub longest: Option<Gap>,
}

/// Missing bars that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    pub missing: u64,
    /// When the bar before them closed.
    pub from: Timestamp,
    /// When the bar after them opens.
    pub to: Timestamp,
}

impl Gaps {
    /// What is missing in the stream of this name, in a sentence; nothing where it is whole.
    pub fn sentence(&self, name: &str) -> Option<String> {
        let Gap { from, to, .. } = self.longest?;
        let bars = if self.missing == 1 { "1 bar is".to_owned() } else { format!("{} bars are", self.missing) };
        Some(match self.spans {
            1 => format!("{name}: {bars} missing, from {from} to {to}"),
            spans => format!("{name}: {bars} missing in {spans} spans, the longest from {from} to {to}"),
        })
    }

    fn add(&mut self, gap: Gap) {
        self.spans += 1;
        self.missing = self.missing.saturating_add(gap.missing);
        if self.longest.is_none_or(|longest| longest.missing < gap.missing) {
            self.longest = Some(gap);
        }
    }
}

/// Passes on the chunks of a stream and counts the gaps between the bars of the time that is wanted.
pub(crate) struct CountGaps {
    source: Box<dyn ChunkSource>,
    from: Timestamp,
    to: Timestamp,
    /// When the bar after the latest one opens, were there no gap.
    expected: Option<Timestamp>,
    gaps: Gaps,
}

impl CountGaps {
    pub fn new(source: Box<dyn ChunkSource>, from: Timestamp, to: Timestamp) -> CountGaps {
        CountGaps { source, from, to, expected: None, gaps: Gaps::default() }
    }

    fn follow(&mut self, bar: &Bar) {
        let span = bar.timeframe.nanos();
        let end = bar.open_time.plus(span);
        if bar.open_time < self.from || end > self.to {
            return;
        }
        if let Some(expected) = self.expected {
            let missing = bar.open_time.since(expected) / span;
            if missing > 0 {
                let from = expected.plus(-NANOS_PER_MILLI);
                self.gaps.add(Gap { missing: missing.unsigned_abs(), from, to: bar.open_time });
            }
        }
        self.expected = Some(end);
    }
}

impl ChunkSource for CountGaps {
    fn next_chunk(&mut self) -> Result<Option<Chunk>, Error> {
        let chunk = self.source.next_chunk()?;
        if let Some(Chunk::Bars(bars) | Chunk::MarkBars(bars)) = &chunk {
            bars.iter().for_each(|bar| self.follow(bar));
        }
        Ok(chunk)
    }

    fn gaps(&self) -> Gaps {
        self.gaps
    }
}
