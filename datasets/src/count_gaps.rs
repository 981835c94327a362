//! CountGaps counts what is missing between the bars of a stream while it is decoded.

use alphaengine_core::market::Bar;
use alphaengine_core::units::{NANOS_PER_MILLI, Timestamp};

use crate::Error;
use crate::chunk::{Chunk, ChunkSource};
use crate::gaps::{Gap, Gaps};

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
