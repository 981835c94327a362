//! A Tape is what the public has heard of one contract: candles, trades, the book, marks, funding.
//!
//! The recorded data seldom hold everything that the exchange shows. What they lack is made of what they have, by rules without
//! chance: of bars one trade at the open and one at the close, a quote one tick around the price, a mark that is the last price.

use std::collections::VecDeque;

use alphaengine_core::instrument::Instrument;
use alphaengine_core::market::{Bar, BookTicker, Funding, MarketData, MarketUpdate, Trade};
use alphaengine_core::units::{NANOS_PER_MINUTE, Nanos, Price, Qty, Rate, SCALE, Timestamp};

use super::candles::{Candle, Candles};

/// Trades that are kept.
const KEPT_TRADES: usize = 20_000;
/// Settlements that are kept.
const KEPT_SETTLEMENTS: usize = 20_000;
/// Levels of the book on each side: as many as the deepest partial stream shows.
pub(super) const LEVELS: usize = 20;
/// Where the data have no settlements.
const STANDARD_INTERVAL: Nanos = 8 * 60 * NANOS_PER_MINUTE;
/// Interest alone, as while mark and index agree.
const STANDARD_RATE: Rate = Rate::from_steps(10_000);

/// A trade of the public tape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Print {
    pub at: Timestamp,
    pub trade: Trade,
}

/// A settlement of funding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Settlement {
    pub at: Timestamp,
    pub rate: Rate,
    pub mark: Price,
}

/// What an update changed for the public.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct News {
    /// The candle that ran before is over: when it opened.
    pub closed_before: Option<Timestamp>,
    pub print: Option<Print>,
    pub book: bool,
    pub candle: bool,
    /// The candle is over with this update.
    pub closed: bool,
    pub mark: bool,
}

/// One contract.
#[derive(Debug, Default)]
pub(super) struct Tape {
    pub candles: Candles,
    pub marks: Candles,
    pub prints: VecDeque<Print>,
    pub settlements: VecDeque<Settlement>,
    pub book: Option<BookTicker>,
    /// Numbers the states of the book.
    book_id: i64,
    pub last: Price,
    pub mark: Price,
    /// The newest thing heard.
    pub at: Timestamp,
    has_trades: bool,
    has_quotes: bool,
    has_bars: bool,
    last_print: i64,
}

impl Tape {
    /// Hears an update.
    pub fn hear(&mut self, update: &MarketUpdate, instrument: &Instrument) -> News {
        self.at = self.at.max(update.at);
        let mut news = News { closed_before: self.roll(update.at), ..News::default() };
        match &update.data {
            MarketData::Trade(trade) => {
                self.has_trades = true;
                self.last = trade.price;
                self.candles.trade(update.at, trade);
                news.print = Some(self.print(update.at, *trade));
                news.candle = true;
                news.book = self.quote_around(trade.price, instrument);
            }
            MarketData::BookTicker(book) => {
                self.has_quotes = true;
                news.book = self.quote(*book);
                if !self.has_trades && !self.has_bars {
                    // Quotes alone: their middle is the only price there is.
                    self.last = book.mid();
                    self.candles.price(update.at, self.last);
                    news.candle = true;
                }
            }
            MarketData::BarOpen(open) if self.follows(open.timeframe) => {
                self.has_bars = true;
                self.last = open.price;
                self.candles.open(open.timeframe.open_time(update.at), open.price, open.timeframe);
                news.print = Some(self.make_print(update.at, open.price, instrument.lot.min));
                news.candle = true;
                news.book = self.quote_around(open.price, instrument);
                news.mark = self.marks.last().is_none();
            }
            MarketData::Bar(bar) if self.follows(bar.timeframe) => {
                self.has_bars = true;
                let rest = bar.volume.saturating_sub(instrument.lot.min).max(instrument.lot.min);
                self.last = bar.close;
                news.print = Some(self.make_print(update.at, bar.close, rest));
                self.candles.close(Candle::of_bar(bar), bar.timeframe);
                news.candle = true;
                news.closed = true;
                news.book = self.quote_around(bar.close, instrument);
                news.mark = self.marks.last().is_none();
            }
            MarketData::BarOpen(_) | MarketData::Bar(_) => {}
            MarketData::MarkPrice(mark) => {
                self.mark = mark.price;
                self.marks.price(update.at, mark.price);
                news.mark = true;
            }
            MarketData::MarkBar(bar) => {
                self.mark = bar.close;
                // Coarser ones than before are there for funding only.
                if self.marks.last().is_none() || bar.timeframe <= self.marks.base() {
                    self.marks.close(Candle::of_bar(&Bar { volume: Qty::ZERO, ..*bar }), bar.timeframe);
                }
                news.mark = true;
            }
            MarketData::Funding(funding) => self.settle(update.at, funding),
        }
        news
    }

    /// Whether bars of this length make the candles: the finest ones do, where there are no trades.
    fn follows(&self, timeframe: alphaengine_core::market::Timeframe) -> bool {
        !self.has_trades && (!self.has_bars || timeframe <= self.candles.base())
    }

    /// Candles of trades end with their time; bars say themselves when they are over.
    fn roll(&mut self, at: Timestamp) -> Option<Timestamp> {
        let running = self.candles.last().filter(|_| self.is_driven_by_trades())?.open_time;
        self.candles.is_over(at).then_some(running)
    }

    fn settle(&mut self, at: Timestamp, funding: &Funding) {
        if self.settlements.len() == KEPT_SETTLEMENTS {
            self.settlements.pop_front();
        }
        let mark = funding.mark.unwrap_or(self.mark_price());
        self.settlements.push_back(Settlement { at, rate: funding.rate, mark });
    }

    fn print(&mut self, at: Timestamp, mut trade: Trade) -> Print {
        // Numbers are consecutive, also where the data begin to bring their own.
        self.last_print = trade.id.max(self.last_print.saturating_add(1));
        trade.id = self.last_print;
        let print = Print { at, trade };
        if self.prints.len() == KEPT_TRADES {
            self.prints.pop_front();
        }
        self.prints.push_back(print);
        print
    }

    /// A trade that stands for those which the data do not have.
    fn make_print(&mut self, at: Timestamp, price: Price, qty: Qty) -> Print {
        let before = self.prints.back().map_or(price, |print| print.trade.price);
        let trade = Trade { id: self.last_print.saturating_add(1), price, qty, is_buyer_maker: price < before };
        let print = self.print(at, trade);
        if let Some(candle) = self.candles.last_mut() {
            candle.count(print.trade.id);
        }
        print
    }

    fn quote(&mut self, book: BookTicker) -> bool {
        self.book = Some(book);
        self.book_id += 1;
        true
    }

    /// The number of the newest change of the book.
    pub fn change_id(&self) -> i64 {
        self.book_id * 10
    }

    /// The number of a snapshot: between the newest change and the next, so that it lies inside the chain.
    pub fn snapshot_id(&self) -> i64 {
        self.book_id * 10 + 5
    }

    /// A quote one tick around the price, where the data have none.
    fn quote_around(&mut self, price: Price, instrument: &Instrument) -> bool {
        if self.has_quotes {
            return false;
        }
        let tick = step_of(instrument);
        let bid = price.saturating_sub(tick).floor_to_tick(tick).max(tick);
        let ask = price.saturating_add(tick).ceil_to_tick(tick);
        let (bid_qty, ask_qty) = (size_at(bid, instrument), size_at(ask, instrument));
        let book = BookTicker { update_id: self.book_id + 1, bid, bid_qty, ask, ask_qty };
        self.book.is_none_or(|old| (old.bid, old.ask) != (bid, ask)) && self.quote(book)
    }

    /// Whether its candles are made of trades or quotes, many to a candle.
    pub fn is_driven_by_trades(&self) -> bool {
        self.has_trades || !self.has_bars
    }

    /// The mark price; without marks the last price.
    pub fn mark_price(&self) -> Price {
        if self.mark.is_zero() { self.last } else { self.mark }
    }

    /// Candles of the mark price; without marks those of the last price.
    pub fn mark_candles(&self) -> &Candles {
        if self.marks.last().is_some() { &self.marks } else { &self.candles }
    }

    /// Between the two newest settlements, or eight hours.
    pub fn funding_interval(&self) -> Nanos {
        let mut newest = self.settlements.iter().rev();
        let span = newest.next().zip(newest.next()).map(|(last, before)| last.at.since(before.at));
        let hour = 60 * NANOS_PER_MINUTE;
        let hours = span.map_or(8, |span| (span + hour / 2) / hour);
        if (1..=8).contains(&hours) { hours * hour } else { STANDARD_INTERVAL }
    }

    /// The rate that is expected next: that of the newest settlement.
    pub fn funding_rate(&self) -> Rate {
        self.settlements.back().map_or(STANDARD_RATE, |settlement| settlement.rate)
    }

    /// The next settlement after `now`.
    pub fn next_funding(&self, now: Timestamp) -> Timestamp {
        let interval = self.funding_interval();
        now.floor_to(interval).plus(interval)
    }

    /// The book before a change, if somebody wants to know the change.
    pub fn ladder_if(&self, is_wanted: bool, instrument: &Instrument) -> Option<Ladder> {
        is_wanted.then(|| self.ladder(instrument))
    }

    /// The levels of both sides, best first. Away from the touch their sizes depend on their price alone, so that a book which
    /// moves changes at its ends only.
    pub fn ladder(&self, instrument: &Instrument) -> Ladder {
        let Some(book) = self.book else {
            return Ladder::default();
        };
        let tick = step_of(instrument);
        let level = |best: Price, size: Qty, number: usize, sign: i64| {
            let price = best.saturating_add(Price::from_steps(sign * tick.steps() * number as i64));
            (price, if number == 0 { size } else { size_at(price, instrument) })
        };
        let side = |best, size, sign| {
            (0..LEVELS).map(|number| level(best, size, number, sign)).filter(|(price, _)| price.is_positive()).collect()
        };
        Ladder { bids: side(book.bid, book.bid_qty, -1), asks: side(book.ask, book.ask_qty, 1) }
    }
}

/// Price and quantity of each level, best first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Ladder {
    pub bids: Vec<(Price, Qty)>,
    pub asks: Vec<(Price, Qty)>,
}

impl Ladder {
    /// What has to be set (or with zero taken away) to come from `before` to here.
    pub fn changes_from(&self, before: &Ladder) -> Ladder {
        Ladder { bids: changes(&before.bids, &self.bids), asks: changes(&before.asks, &self.asks) }
    }
}

fn changes(before: &[(Price, Qty)], now: &[(Price, Qty)]) -> Vec<(Price, Qty)> {
    let set = now.iter().filter(|level| !before.contains(level)).copied();
    let is_gone = |price: &Price| now.iter().all(|(other, _)| other != price);
    let gone = before.iter().filter(|(price, _)| is_gone(price)).map(|(price, _)| (*price, Qty::ZERO));
    set.chain(gone).collect()
}

/// The tick, or a cent where there is no grid.
fn step_of(instrument: &Instrument) -> Price {
    if instrument.price.tick.is_positive() { instrument.price.tick } else { Price::from_steps(SCALE / 100) }
}

/// The made-up size of a level.
fn size_at(price: Price, instrument: &Instrument) -> Qty {
    let step = instrument.lot.step.steps().max(1);
    let number = price.steps() / step_of(instrument).steps();
    Qty::from_steps(step.saturating_mul(1_000 + number.rem_euclid(97) * 53))
}
