//! BarSeries keeps the last closed bars of one symbol and timeframe, and builds them from finer bars or from trades.

use std::collections::VecDeque;

use crate::market::{Bar, Timeframe};
use crate::units::{NANOS_PER_MILLI, Price, Qty, Timestamp};

/// Closed bars, oldest first, at most `keep` of them.
#[derive(Debug, Clone)]
pub struct BarSeries {
    timeframe: Timeframe,
    keep: usize,
    bars: VecDeque<Bar>,
    forming: Option<Bar>,
    /// The last instant that belongs to the bar that forms from trades.
    forms_until: Timestamp,
}

impl BarSeries {
    pub fn new(timeframe: Timeframe, keep: usize) -> BarSeries {
        let keep = keep.max(1);
        BarSeries { timeframe, keep, bars: VecDeque::with_capacity(keep), forming: None, forms_until: Timestamp::MIN }
    }

    pub fn timeframe(&self) -> Timeframe {
        self.timeframe
    }

    /// Makes room for at least `keep` bars.
    pub fn keep_at_least(&mut self, keep: usize) {
        self.keep = self.keep.max(keep);
    }

    /// Closed bars that are kept.
    pub fn len(&self) -> usize {
        self.bars.len()
    }

    pub fn is_empty(&self) -> bool {
        self.bars.is_empty()
    }

    /// The `back`-th closed bar from the end: 0 is the last one.
    pub fn back(&self, back: usize) -> Option<&Bar> {
        self.bars.len().checked_sub(back + 1).and_then(|index| self.bars.get(index))
    }

    /// The last closed bar.
    pub fn last(&self) -> Option<&Bar> {
        self.bars.back()
    }

    /// Oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Bar> + ExactSizeIterator {
        self.bars.iter()
    }

    /// Takes a closed bar of this very timeframe.
    #[inline]
    pub fn push(&mut self, bar: Bar) {
        if self.bars.len() == self.keep {
            self.bars.pop_front();
        }
        self.bars.push_back(bar);
    }

    /// Takes a closed bar of a finer timeframe. A span closes with its last finer bar; where that one is missing, with the
    /// first bar of a later span. Closed bars are kept and given to `closed`.
    pub fn push_finer(&mut self, bar: &Bar, mut closed: impl FnMut(Bar)) {
        let open_time = self.timeframe.open_time(bar.open_time);
        if let Some(late) = self.forming.take_if(|forming| forming.open_time != open_time) {
            self.push(late);
            closed(late);
        }
        let merged = match self.forming.take() {
            None => Bar { open_time, timeframe: self.timeframe, ..*bar },
            Some(forming) => extend(forming, bar.high, bar.low, bar.close, bar.volume),
        };
        if bar.close_time() >= merged.close_time() {
            self.push(merged);
            closed(merged);
        } else {
            self.forming = Some(merged);
        }
    }

    /// Takes a trade. A span closes with the first trade of a later one: without trades there is no bar.
    #[inline]
    pub fn push_trade(&mut self, at: Timestamp, price: Price, qty: Qty) -> Option<Bar> {
        match &mut self.forming {
            Some(forming) if at <= self.forms_until => {
                forming.high = forming.high.max(price);
                forming.low = forming.low.min(price);
                forming.close = price;
                forming.volume = forming.volume.saturating_add(qty);
                None
            }
            _ => self.begin(at, price, qty),
        }
    }

    /// The first trade of a span. The bar before it, if there is one, has closed.
    #[cold]
    fn begin(&mut self, at: Timestamp, price: Price, qty: Qty) -> Option<Bar> {
        let timeframe = self.timeframe;
        let open_time = timeframe.open_time(at);
        self.forms_until = timeframe.close_time(open_time).plus(NANOS_PER_MILLI - 1);
        let bar = Bar { open_time, open: price, high: price, low: price, close: price, volume: qty, timeframe };
        let closed = self.forming.replace(bar);
        if let Some(bar) = closed {
            self.push(bar);
        }
        closed
    }
}

fn extend(forming: Bar, high: Price, low: Price, close: Price, volume: Qty) -> Bar {
    Bar {
        high: forming.high.max(high),
        low: forming.low.min(low),
        close,
        volume: forming.volume.saturating_add(volume),
        ..forming
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::NANOS_PER_MINUTE;

    fn minute(number: i64, close: i64) -> Bar {
        let price = Price::whole(close);
        Bar {
            open_time: Timestamp::from_nanos(number * NANOS_PER_MINUTE),
            open: Price::whole(close - 1),
            high: Price::whole(close + 2),
            low: Price::whole(close - 2),
            close: price,
            volume: Qty::ONE,
            timeframe: Timeframe::M1,
        }
    }

    #[test]
    fn a_span_closes_with_its_last_minute_or_late() {
        let mut series = BarSeries::new(Timeframe::M5, 10);
        let mut closed = Vec::new();
        for number in [0, 1, 2, 3, 4, 5, 6, 10] {
            series.push_finer(&minute(number, 100 + number), |bar| closed.push((number, bar)));
        }
        // Minutes 0 to 4 close at minute 4; 5 and 6 close late, when minute 10 shows that nothing more will come.
        assert_eq!(closed.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [4, 10]);
        let first = closed[0].1;
        assert_eq!(
            (first.open, first.high, first.low, first.close),
            (Price::whole(99), Price::whole(106), Price::whole(98), Price::whole(104))
        );
        assert_eq!(first.volume, Qty::whole(5));
        assert_eq!(closed[1].1.close, Price::whole(106));
        assert_eq!(series.back(0), Some(&closed[1].1));
        assert_eq!(series.back(2), None);
    }

    #[test]
    fn trades_of_the_last_millisecond_belong_to_the_bar() {
        let mut series = BarSeries::new(Timeframe::M1, 2);
        let end = NANOS_PER_MINUTE - 1;
        assert_eq!(series.push_trade(Timestamp::from_nanos(0), Price::whole(10), Qty::ONE), None);
        assert_eq!(series.push_trade(Timestamp::from_nanos(end), Price::whole(12), Qty::ONE), None);
        let closed = series.push_trade(Timestamp::from_nanos(end + 1), Price::whole(9), Qty::ONE).unwrap();
        assert_eq!((closed.open, closed.close, closed.volume), (Price::whole(10), Price::whole(12), Qty::whole(2)));
    }

    #[test]
    fn only_so_many_are_kept() {
        let mut series = BarSeries::new(Timeframe::M1, 2);
        for number in 0..5 {
            series.push(minute(number, 100 + number));
        }
        assert_eq!(series.len(), 2);
        assert_eq!(series.iter().map(|bar| bar.close).collect::<Vec<_>>(), [Price::whole(103), Price::whole(104)]);
    }
}
