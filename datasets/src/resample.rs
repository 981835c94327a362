//! Makes coarser bars from finer ones.
//!
//! A span begins where the exchange's bars of that timeframe begin. The first span is dropped where the data do not hold
//! its first bar, and the last one where they do not hold its last bar; a span in between is made of the bars that there
//! are, and one without any bar gives none. Volumes are summed and saturate.

use alphaengine_core::market::{Bar, Timeframe};
use alphaengine_core::units::Timestamp;

use crate::Error;
use crate::chunk::{Chunk, ChunkSource};
use crate::gaps::Gaps;

/// Bars of `timeframe` from a source of finer bars. Other chunks pass through.
pub struct Resample {
    source: Box<dyn ChunkSource>,
    timeframe: Timeframe,
    span: Option<Span>,
    any: bool,
}

struct Span {
    bar: Bar,
    /// Where the bars that were taken in end.
    end: Timestamp,
    /// Whether it may be given out although it might lack its beginning.
    is_first: bool,
    begins: bool,
}

impl Resample {
    pub fn new(source: Box<dyn ChunkSource>, timeframe: Timeframe) -> Resample {
        Resample { source, timeframe, span: None, any: false }
    }

    /// Whether bars of `to` can be made from bars of `from`.
    pub fn is_possible(from: Timeframe, to: Timeframe) -> bool {
        to.minutes() >= from.minutes() && to.minutes() % from.minutes() == 0
    }

    fn take_in(&mut self, bars: &[Bar], out: &mut Vec<Bar>) {
        for bar in bars {
            let open_time = self.timeframe.open_time(bar.open_time);
            let end = bar.open_time.plus(bar.timeframe.nanos());
            match &mut self.span {
                Some(span) if span.bar.open_time == open_time => {
                    span.bar.high = span.bar.high.max(bar.high);
                    span.bar.low = span.bar.low.min(bar.low);
                    span.bar.close = bar.close;
                    span.bar.volume = span.bar.volume.saturating_add(bar.volume);
                    span.end = end;
                }
                _ => {
                    out.extend(self.span.take().filter(|span| span.begins || !span.is_first).map(|span| span.bar));
                    let begins = bar.open_time == open_time;
                    let bar = Bar { open_time, timeframe: self.timeframe, ..*bar };
                    self.span = Some(Span { bar, end, is_first: !self.any, begins });
                    self.any = true;
                }
            }
        }
    }

    /// The last span, where it is whole.
    fn last(&mut self) -> Option<Bar> {
        let span = self.span.take()?;
        let reaches_end = span.end == span.bar.open_time.plus(self.timeframe.nanos());
        ((span.begins || !span.is_first) && reaches_end).then_some(span.bar)
    }
}

impl ChunkSource for Resample {
    fn next_chunk(&mut self) -> Result<Option<Chunk>, Error> {
        let mut out = Vec::new();
        loop {
            match self.source.next_chunk()? {
                Some(Chunk::Bars(bars)) => {
                    self.take_in(&bars, &mut out);
                    if !out.is_empty() {
                        return Ok(Some(Chunk::Bars(out)));
                    }
                }
                None => {
                    out.extend(self.last());
                    return Ok((!out.is_empty()).then_some(Chunk::Bars(out)));
                }
                other => return Ok(other),
            }
        }
    }

    /// Of the finer bars: a coarser one is made even where some of its bars are missing.
    fn gaps(&self) -> Gaps {
        self.source.gaps()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use alphaengine_core::units::{NANOS_PER_MINUTE, Price, Qty};
    use proptest::prelude::*;

    use super::*;

    struct Given(std::vec::IntoIter<Chunk>);

    impl ChunkSource for Given {
        fn next_chunk(&mut self) -> Result<Option<Chunk>, Error> {
            Ok(self.0.next())
        }
    }

    fn bar(minute: i64, seed: i64) -> Bar {
        let open = 1_000 + seed % 97;
        let close = 1_000 + seed % 89;
        Bar {
            open_time: Timestamp::ZERO.plus(minute * NANOS_PER_MINUTE),
            open: Price::from_steps(open),
            high: Price::from_steps(open.max(close) + seed % 7),
            low: Price::from_steps(open.min(close) - seed % 5),
            close: Price::from_steps(close),
            volume: Qty::from_steps(seed),
            timeframe: Timeframe::M1,
        }
    }

    fn resampled(bars: &[Bar], chunk: usize, timeframe: Timeframe) -> Vec<Bar> {
        let chunks: Vec<Chunk> = bars.chunks(chunk).map(|bars| Chunk::Bars(bars.to_vec())).collect();
        let mut source = Resample::new(Box::new(Given(chunks.into_iter())), timeframe);
        let mut out = Vec::new();
        while let Some(Chunk::Bars(bars)) = source.next_chunk().unwrap() {
            out.extend(bars);
        }
        out
    }

    /// All bars of a span at once.
    fn naive(bars: &[Bar], timeframe: Timeframe) -> Vec<Bar> {
        let mut spans: BTreeMap<Timestamp, Vec<Bar>> = BTreeMap::new();
        for bar in bars {
            spans.entry(timeframe.open_time(bar.open_time)).or_default().push(*bar);
        }
        let (first, last) = (*spans.keys().next().unwrap(), *spans.keys().last().unwrap());
        let whole = spans.into_iter().filter(|(open_time, bars)| {
            let begins = bars[0].open_time == *open_time;
            let reaches = bars[bars.len() - 1].close_time() == timeframe.close_time(*open_time);
            (*open_time != first || begins) && (*open_time != last || reaches)
        });
        let sum = |(open_time, bars): (Timestamp, Vec<Bar>)| Bar {
            open_time,
            open: bars[0].open,
            high: bars.iter().map(|bar| bar.high).max().unwrap(),
            low: bars.iter().map(|bar| bar.low).min().unwrap(),
            close: bars[bars.len() - 1].close,
            volume: Qty::from_steps(bars.iter().map(|bar| bar.volume.steps()).sum()),
            timeframe,
        };
        whole.map(sum).collect()
    }

    proptest! {
        #[test]
        fn bars_are_those_of_a_naive_computation(
            start in 0i64..20,
            steps in prop::collection::vec((1i64..4, 0i64..100_000), 1..200),
            chunk in 1usize..50,
            timeframe in prop::sample::select(vec![Timeframe::M1, Timeframe::M3, Timeframe::M5, Timeframe::M15, Timeframe::H1]),
        ) {
            let mut minute = start;
            let bars: Vec<Bar> = steps
                .iter()
                .map(|&(step, seed)| {
                    minute += step;
                    bar(minute, seed)
                })
                .collect();
            prop_assert_eq!(resampled(&bars, chunk, timeframe), naive(&bars, timeframe));
        }
    }

    #[test]
    fn volumes_saturate() {
        let bars: Vec<Bar> = (0..5).map(|minute| Bar { volume: Qty::MAX, ..bar(minute, 1) }).collect();
        let five = resampled(&bars, 2, Timeframe::M5);
        assert_eq!((five.len(), five[0].volume), (1, Qty::MAX));
    }
}
