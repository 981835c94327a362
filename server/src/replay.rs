//! A Replay hands out recorded market updates one instant at a time, shifted to the time that the server pretends it is.

use alphaengine_core::market::{Bar, Feed, MarketData, MarketUpdate};
use alphaengine_core::units::{NANOS_PER_MINUTE, Nanos, Timestamp};

use crate::config::Start;
use crate::error::Error;

/// A feed of whatever type.
trait Source: Send {
    fn next(&mut self) -> Result<Option<MarketUpdate>, Error>;
}

impl<F: Feed + Send> Source for F {
    fn next(&mut self) -> Result<Option<MarketUpdate>, Error> {
        self.next_update().map_err(|error| Error::Feed(error.to_string()))
    }
}

/// The data behind the history, and where we are in them.
pub(crate) struct Replay {
    source: Box<dyn Source>,
    /// The next update, its time shifted.
    ahead: Option<MarketUpdate>,
    shift: Nanos,
    opening: Timestamp,
    /// The newest instant that was taken.
    at: Timestamp,
}

impl Replay {
    /// Reads the history and tells it. The market opens at the first whole bar behind it.
    ///
    /// # Errors
    /// Where the data end before the market opens, or cannot be read.
    pub(crate) fn open(
        feed: impl Feed + Send + 'static,
        history: Nanos,
        start: Start,
        wall: Timestamp,
        mut tell: impl FnMut(&MarketUpdate),
    ) -> Result<Replay, Error> {
        let mut source: Box<dyn Source> = Box::new(feed);
        let first = source.next()?.ok_or(Error::NoData)?;
        let earliest = first.at.plus(history.max(0)).floor_to(NANOS_PER_MINUTE);
        let mut past = Vec::new();
        let mut span = timeframe(&first);
        let mut next = Some(first);
        while let Some(update) = next.filter(|update| update.at < earliest) {
            span = shorter(span, timeframe(&update));
            past.push(update);
            next = source.next()?;
        }
        let unit = shorter(span, next.as_ref().and_then(timeframe)).unwrap_or(NANOS_PER_MINUTE);
        // Without history the market opens with the first bar that is there; else with the first one that is not past.
        let opened = earliest.floor_to(unit);
        let opening = if opened < earliest && history > 0 { opened.plus(unit) } else { opened };
        while let Some(update) = next.filter(|update| update.at < opening) {
            past.push(update);
            next = source.next()?;
        }
        let last = past.last().map_or(first.at, |update| update.at);
        let next = next.ok_or(Error::AllHistory { last })?;
        let shift = match start {
            Start::Now => wall.floor_to(unit).since(opening),
            Start::Recording => 0,
        };
        past.iter().for_each(|update| tell(&shifted(*update, shift)));
        let opening = opening.plus(shift);
        Ok(Replay { source, ahead: Some(shifted(next, shift)), shift, opening, at: opening })
    }

    /// When the market opened, in its own time.
    pub(crate) fn opening(&self) -> Timestamp {
        self.opening
    }

    /// The newest instant that was taken; before the first one, the opening.
    pub(crate) fn at(&self) -> Timestamp {
        self.at
    }

    /// When the next update happens; `None` when the data are over.
    pub(crate) fn next_at(&self) -> Option<Timestamp> {
        self.ahead.as_ref().map(|update| update.at)
    }

    /// Moves all updates of the next instant into `instant`.
    ///
    /// # Errors
    /// When the data cannot be read on. What was read of the instant stands, and the data count as over.
    pub(crate) fn take_instant(&mut self, instant: &mut Vec<MarketUpdate>) -> Result<(), Error> {
        instant.clear();
        let Some(first) = self.ahead.take() else { return Ok(()) };
        self.at = first.at;
        instant.push(first);
        loop {
            let next = self.source.next()?.map(|update| shifted(update, self.shift));
            match next {
                Some(update) if update.at <= first.at => instant.push(update),
                later => {
                    self.ahead = later;
                    return Ok(());
                }
            }
        }
    }
}

fn timeframe(update: &MarketUpdate) -> Option<Nanos> {
    match &update.data {
        MarketData::Bar(bar) => Some(bar.timeframe.nanos()),
        MarketData::BarOpen(open) => Some(open.timeframe.nanos()),
        _ => None,
    }
}

fn shorter(one: Option<Nanos>, other: Option<Nanos>) -> Option<Nanos> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

fn shifted(update: MarketUpdate, shift: Nanos) -> MarketUpdate {
    let moved = |bar: Bar| Bar { open_time: bar.open_time.plus(shift), ..bar };
    let data = match update.data {
        MarketData::Bar(bar) => MarketData::Bar(moved(bar)),
        MarketData::MarkBar(bar) => MarketData::MarkBar(moved(bar)),
        other => other,
    };
    MarketUpdate { at: update.at.plus(shift), data, ..update }
}

#[cfg(test)]
mod tests {
    use alphaengine_core::market::{BarOpen, MarkPrice, SymbolId, Timeframe};
    use alphaengine_core::units::{NANOS_PER_SECOND, Price, Qty};

    use super::*;

    /// Openings and ends of `count` bars from a whole day on.
    fn bars(timeframe: Timeframe, count: i64) -> Vec<MarketUpdate> {
        let price = Price::from_steps(1);
        let of = |n: i64| {
            let open_time = Timestamp::from_nanos(n * timeframe.nanos());
            let bar =
                Bar { open_time, open: price, high: price, low: price, close: price, volume: Qty::ZERO, timeframe };
            let say = |at, data| MarketUpdate { at, symbol: SymbolId(0), data };
            let open = say(open_time, MarketData::BarOpen(BarOpen { price, timeframe }));
            [open, say(bar.close_time(), MarketData::Bar(bar))]
        };
        (0..count).flat_map(of).collect()
    }

    fn at(minutes: i64, seconds: i64) -> Timestamp {
        Timestamp::from_nanos(minutes * NANOS_PER_MINUTE + seconds * NANOS_PER_SECOND)
    }

    fn open(feed: Vec<MarketUpdate>, minutes: i64, start: Start, wall: Timestamp) -> (Replay, Vec<MarketUpdate>) {
        let mut past = Vec::new();
        let history = minutes * NANOS_PER_MINUTE;
        let replay = Replay::open(feed.into_iter(), history, start, wall, |update| past.push(*update)).unwrap();
        (replay, past)
    }

    #[test]
    fn the_first_live_bar_is_the_one_that_is_open_at_the_wall_clock() {
        let wall = at(1_000_000, 25);
        let (replay, past) = open(bars(Timeframe::M1, 10), 3, Start::Now, wall);
        assert_eq!((replay.opening(), replay.next_at()), (at(1_000_000, 0), Some(at(1_000_000, 0))));
        assert_eq!(past.len(), 6);
        let MarketData::Bar(last) = past[5].data else { panic!("{:?}", past[5]) };
        assert_eq!((last.open_time, past[5].at), (at(999_999, 0), last.close_time()));
    }

    #[test]
    fn hourly_bars_stay_at_whole_hours() {
        let (replay, past) = open(bars(Timeframe::H1, 10), 90, Start::Now, at(600_059, 0));
        assert_eq!(replay.opening(), at(600_000, 0));
        assert_eq!(past.len(), 4, "an hour and a half of history is two whole bars");
        let MarketData::Bar(first) = past[1].data else { panic!("{:?}", past[1]) };
        assert_eq!(first.open_time, at(600_000 - 120, 0));
    }

    #[test]
    fn a_recording_is_not_shifted() {
        let (replay, past) = open(bars(Timeframe::M1, 10), 3, Start::Recording, at(1_000_000, 0));
        assert_eq!((replay.opening(), past[0].at), (at(3, 0), at(0, 0)));
    }

    #[test]
    fn an_instant_is_everything_of_one_time() {
        let mark = |at| MarketUpdate {
            at,
            symbol: SymbolId(0),
            data: MarketData::MarkPrice(MarkPrice { price: Price::from_steps(1) }),
        };
        let feed = vec![mark(at(0, 1)), mark(at(0, 1)), mark(at(0, 2))];
        let (mut replay, _) = open(feed, 0, Start::Recording, at(0, 0));
        let mut instant = Vec::new();
        let mut sizes = Vec::new();
        while replay.next_at().is_some() {
            replay.take_instant(&mut instant).unwrap();
            sizes.push((replay.at(), instant.len()));
        }
        assert_eq!(sizes, [(at(0, 1), 2), (at(0, 2), 1)]);
    }
}
