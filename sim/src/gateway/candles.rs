//! Candles of one contract: kept in the finest timeframe that the data bring, aggregated to whatever is asked.

use std::collections::VecDeque;

use alphaengine_core::market::{Bar, Timeframe, Trade};
use alphaengine_core::units::{Money, NANOS_PER_MILLI, Price, Qty, Rate, Rounding, Timestamp};

/// Candles that are kept: about two years of minutes.
const KEPT: usize = 1_000_000;
/// Minutes without a trade that are filled with flat candles, as the exchange does.
const LONGEST_GAP: usize = 1_500;

/// An interval of the exchange. `1s` is none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Interval {
    Fixed(Timeframe),
    Month,
}

impl Interval {
    pub fn parse(name: &str) -> Option<Interval> {
        if name == "1M" { Some(Interval::Month) } else { name.parse().ok().map(Interval::Fixed) }
    }

    pub fn name(self) -> &'static str {
        match self {
            Interval::Fixed(timeframe) => timeframe.name(),
            Interval::Month => "1M",
        }
    }

    /// The opening time of the candle that holds `at`.
    pub fn open_time(self, at: Timestamp) -> Timestamp {
        match self {
            Interval::Fixed(timeframe) => timeframe.open_time(at),
            Interval::Month => {
                let (year, month, _) = at.date();
                Timestamp::from_date(year, month, 1).unwrap_or(at)
            }
        }
    }

    /// When the next candle opens.
    pub fn end(self, open_time: Timestamp) -> Timestamp {
        match self {
            Interval::Fixed(timeframe) => open_time.plus(timeframe.nanos()),
            Interval::Month => {
                let (year, month, _) = open_time.date();
                let (year, month) = if month == 12 { (year.saturating_add(1), 1) } else { (year, month + 1) };
                Timestamp::from_date(year, month, 1).unwrap_or(Timestamp::MAX)
            }
        }
    }

    /// The last millisecond of the candle.
    pub fn close_time(self, open_time: Timestamp) -> Timestamp {
        self.end(open_time).plus(-NANOS_PER_MILLI)
    }
}

/// One candle with all that the exchange says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candle {
    pub open_time: Timestamp,
    pub open: Price,
    pub high: Price,
    pub low: Price,
    pub close: Price,
    pub volume: Qty,
    pub quote: Money,
    /// Bought by takers.
    pub taken: Qty,
    pub taken_quote: Money,
    pub trades: i64,
    pub first_trade: i64,
    pub last_trade: i64,
}

impl Candle {
    pub fn flat(open_time: Timestamp, price: Price) -> Candle {
        Candle {
            open_time,
            open: price,
            high: price,
            low: price,
            close: price,
            volume: Qty::ZERO,
            quote: Money::ZERO,
            taken: Qty::ZERO,
            taken_quote: Money::ZERO,
            trades: 0,
            first_trade: -1,
            last_trade: -1,
        }
    }

    /// Of a bar neither the quote volume nor the takers are known: its middle price and one half stand for them.
    pub fn of_bar(bar: &Bar) -> Candle {
        let middle = [bar.open, bar.high, bar.low, bar.close].iter().map(|price| price.steps() / 4).sum();
        let half = Rate::from_steps(Rate::ONE.steps() / 2);
        let taken = bar.volume.times(half, Rounding::Floor).unwrap_or_default();
        let quote = |qty: Qty| Price::from_steps(middle).notional(qty, Rounding::HalfEven).unwrap_or(Money::MAX);
        Candle {
            open: bar.open,
            high: bar.high,
            low: bar.low,
            close: bar.close,
            volume: bar.volume,
            quote: quote(bar.volume),
            taken,
            taken_quote: quote(taken),
            ..Candle::flat(bar.open_time, bar.open)
        }
    }

    fn price(&mut self, price: Price) {
        self.high = self.high.max(price);
        self.low = self.low.min(price);
        self.close = price;
    }

    fn trade(&mut self, trade: &Trade) {
        let quote = trade.price.notional(trade.qty, Rounding::HalfEven).unwrap_or(Money::MAX);
        self.price(trade.price);
        self.volume = self.volume.saturating_add(trade.qty);
        self.quote = self.quote.saturating_add(quote);
        if !trade.is_buyer_maker {
            self.taken = self.taken.saturating_add(trade.qty);
            self.taken_quote = self.taken_quote.saturating_add(quote);
        }
        self.count(trade.id);
    }

    /// A trade with this number belongs to it.
    pub fn count(&mut self, id: i64) {
        self.trades += 1;
        self.last_trade = id;
        if self.first_trade < 0 {
            self.first_trade = id;
        }
    }

    /// Takes a later candle in.
    fn extend(&mut self, later: &Candle) {
        self.high = self.high.max(later.high);
        self.low = self.low.min(later.low);
        self.close = later.close;
        self.volume = self.volume.saturating_add(later.volume);
        self.quote = self.quote.saturating_add(later.quote);
        self.taken = self.taken.saturating_add(later.taken);
        self.taken_quote = self.taken_quote.saturating_add(later.taken_quote);
        self.trades += later.trades;
        if self.first_trade < 0 {
            self.first_trade = later.first_trade;
        }
        self.last_trade = self.last_trade.max(later.last_trade);
    }
}

/// The candles of one price.
#[derive(Debug, Default)]
pub(super) struct Candles {
    rows: VecDeque<Candle>,
    base: Option<Timeframe>,
    /// Whether the newest one is over.
    is_closed: bool,
}

impl Candles {
    pub fn base(&self) -> Timeframe {
        self.base.unwrap_or(Timeframe::M1)
    }

    pub fn last(&self) -> Option<&Candle> {
        self.rows.back()
    }

    pub fn last_mut(&mut self) -> Option<&mut Candle> {
        self.rows.back_mut()
    }

    /// A candle begins at `price`. One that has begun is not touched.
    pub fn open(&mut self, open_time: Timestamp, price: Price, timeframe: Timeframe) {
        self.base = Some(self.base.map_or(timeframe, |base| base.min(timeframe)));
        if self.rows.back().is_none_or(|last| last.open_time < open_time) {
            self.push(Candle::flat(open_time, price));
        }
    }

    /// A whole candle. Of one that is running it takes the place; one that is older than the newest comes too late.
    pub fn close(&mut self, candle: Candle, timeframe: Timeframe) {
        self.base = Some(self.base.map_or(timeframe, |base| base.min(timeframe)));
        match self.rows.back_mut() {
            Some(last) if last.open_time == candle.open_time => {
                let (trades, first_trade, last_trade) = (last.trades, last.first_trade, last.last_trade);
                *last = Candle { trades, first_trade, last_trade, ..candle };
            }
            Some(last) if last.open_time > candle.open_time => return,
            _ => self.push(candle),
        }
        self.is_closed = true;
    }

    fn push(&mut self, candle: Candle) {
        if self.rows.len() == KEPT {
            self.rows.pop_front();
        }
        self.rows.push_back(candle);
        self.is_closed = false;
    }

    /// Time has come to `at`: whether the running candle is over by that, once.
    pub fn is_over(&mut self, at: Timestamp) -> bool {
        let base = Interval::Fixed(self.base());
        let is_over = self.rows.back().is_some_and(|last| at >= base.end(last.open_time));
        let news = is_over && !self.is_closed;
        self.is_closed |= is_over;
        news
    }

    /// The candle of `at`, begun at `price` if there is none, after flat ones for a span without trades.
    fn running(&mut self, at: Timestamp, price: Price) -> Option<&mut Candle> {
        let base = Interval::Fixed(self.base());
        let open_time = base.open_time(at);
        if let Some(last) = self.rows.back().copied() {
            let mut next = base.end(last.open_time);
            for _ in 0..LONGEST_GAP {
                if next >= open_time {
                    break;
                }
                self.push(Candle::flat(next, last.close));
                next = base.end(next);
            }
        }
        if self.rows.back().is_none_or(|last| last.open_time < open_time) {
            self.push(Candle::flat(open_time, price));
        }
        self.rows.back_mut()
    }

    pub fn trade(&mut self, at: Timestamp, trade: &Trade) {
        if let Some(candle) = self.running(at, trade.price) {
            candle.trade(trade);
        }
    }

    /// A price without a trade: a mark, or the middle of the book.
    pub fn price(&mut self, at: Timestamp, price: Price) {
        if let Some(candle) = self.running(at, price) {
            candle.price(price);
        }
    }

    /// The candle of this interval that holds the newest base candle, as far as it has come.
    pub fn running_of(&self, interval: Interval) -> Option<Candle> {
        let last = self.rows.back()?;
        let open_time = interval.open_time(last.open_time);
        let from = self.rows.partition_point(|row| row.open_time < open_time);
        fold(self.rows.range(from..))
    }

    /// Candles that open in `from..=to`: with a start the first `limit` of them, without one the last.
    pub fn select(
        &self,
        interval: Interval,
        from: Option<Timestamp>,
        to: Option<Timestamp>,
        limit: usize,
    ) -> Vec<Candle> {
        let Some(newest) = self.rows.back() else {
            return Vec::new();
        };
        let until = to.unwrap_or(Timestamp::MAX);
        let mut selected = Vec::new();
        if let Some(from) = from {
            // The first candle that opens at or after the start, of whose rows the first must be there.
            let first = interval.open_time(from);
            let first = if first < from { interval.end(first) } else { first };
            let mut at = self.rows.partition_point(|row| row.open_time < first);
            while selected.len() < limit && at < self.rows.len() {
                let open_time = interval.open_time(self.rows[at].open_time);
                if open_time > until {
                    break;
                }
                let end = interval.end(open_time);
                let next = at + self.rows.range(at..).take_while(|row| row.open_time < end).count();
                selected.extend(fold(self.rows.range(at..next)).map(|candle| Candle { open_time, ..candle }));
                at = next;
            }
            return selected;
        }
        let mut open_time = interval.open_time(newest.open_time.min(until));
        let mut end = self.rows.partition_point(|row| row.open_time < interval.end(open_time));
        while selected.len() < limit && end > 0 {
            let begin = end - self.rows.range(..end).rev().take_while(|row| row.open_time >= open_time).count();
            selected.extend(fold(self.rows.range(begin..end)).map(|candle| Candle { open_time, ..candle }));
            end = begin;
            if let Some(row) = end.checked_sub(1).and_then(|last| self.rows.get(last)) {
                open_time = interval.open_time(row.open_time);
            }
        }
        selected.reverse();
        selected
    }

    /// What came since `from`, as one candle.
    pub fn since(&self, from: Timestamp) -> Option<Candle> {
        let first = self.rows.partition_point(|row| row.open_time < from);
        fold(self.rows.range(first..))
    }
}

fn fold<'a>(rows: impl Iterator<Item = &'a Candle>) -> Option<Candle> {
    rows.copied().reduce(|mut whole, row| {
        whole.extend(&row);
        whole
    })
}

#[cfg(test)]
mod tests {
    use alphaengine_core::units::NANOS_PER_MINUTE;

    use super::*;

    fn minute(number: i64) -> Timestamp {
        Timestamp::from_nanos(number * NANOS_PER_MINUTE)
    }

    fn bar(number: i64, close: i64) -> Candle {
        let price = Price::whole;
        Candle::of_bar(&Bar {
            open_time: minute(number),
            open: price(close - 1),
            high: price(close + 1),
            low: price(close - 2),
            close: price(close),
            volume: Qty::whole(2),
            timeframe: Timeframe::M1,
        })
    }

    fn ten() -> Candles {
        let mut candles = Candles::default();
        (0..10).for_each(|number| candles.close(bar(number, 100 + number), Timeframe::M1));
        candles
    }

    #[test]
    fn higher_intervals_are_the_sum_of_their_minutes() {
        let candles = ten();
        let five = candles.select(Interval::Fixed(Timeframe::M5), None, None, 10);
        assert_eq!(five.len(), 2);
        let [first, second] = five[..] else { unreachable!() };
        assert_eq!((first.open_time, first.open, first.close), (minute(0), Price::whole(99), Price::whole(104)));
        assert_eq!((first.high, first.low, first.volume), (Price::whole(105), Price::whole(98), Qty::whole(10)));
        assert_eq!(second.open_time, minute(5));
        assert_eq!(candles.running_of(Interval::Fixed(Timeframe::M5)), Some(second));
        assert_eq!(candles.running_of(Interval::Month).unwrap().volume, Qty::whole(20));
    }

    #[test]
    fn a_start_selects_forwards_and_none_backwards() {
        let candles = ten();
        let opens = |from, to, limit| -> Vec<i64> {
            let rows = candles.select(Interval::Fixed(Timeframe::M1), from, to, limit);
            rows.iter().map(|row| row.open_time.nanos() / NANOS_PER_MINUTE).collect()
        };
        assert_eq!(opens(Some(minute(0)), None, 1), [0]);
        assert_eq!(opens(Some(minute(3)), Some(minute(5)), 10), [3, 4, 5]);
        assert_eq!(opens(Some(minute(3).plus(1)), None, 2), [4, 5]);
        assert_eq!(opens(None, None, 3), [7, 8, 9]);
        assert_eq!(opens(None, Some(minute(4)), 2), [3, 4]);
        assert!(opens(Some(minute(99)), None, 2).is_empty());
        assert!(opens(None, Some(minute(-5)), 2).is_empty());
    }

    #[test]
    fn trades_make_candles_and_silence_makes_flat_ones() {
        let mut candles = Candles::default();
        let trade =
            |id, price| Trade { id, price: Price::whole(price), qty: Qty::whole(1), is_buyer_maker: id % 2 == 0 };
        candles.trade(minute(0), &trade(1, 10));
        candles.trade(minute(0).plus(5), &trade(2, 12));
        assert!(!candles.is_over(minute(0).plus(9)));
        assert!(candles.is_over(minute(1)));
        assert!(!candles.is_over(minute(1)));
        candles.trade(minute(3), &trade(3, 11));
        let rows = candles.select(Interval::Fixed(Timeframe::M1), None, None, 9);
        let closes: Vec<i64> = rows.iter().map(|row| row.close.steps() / Price::whole(1).steps()).collect();
        assert_eq!(closes, [12, 12, 12, 11]);
        assert_eq!((rows[0].trades, rows[0].first_trade, rows[0].last_trade), (2, 1, 2));
        assert_eq!((rows[0].taken, rows[1].trades, rows[1].first_trade), (Qty::whole(1), 0, -1));
    }

    #[test]
    fn months_differ_in_length() {
        let february = Timestamp::from_date(2026, 2, 1).unwrap();
        assert_eq!(Interval::Month.open_time(february.plus(NANOS_PER_MINUTE)), february);
        assert_eq!(Interval::Month.end(february), Timestamp::from_date(2026, 3, 1).unwrap());
        let december = Timestamp::from_date(2026, 12, 1).unwrap();
        assert_eq!(Interval::Month.end(december), Timestamp::from_date(2027, 1, 1).unwrap());
    }
}
