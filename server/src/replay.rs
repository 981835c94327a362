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
