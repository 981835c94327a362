//! The SimWorld is the world of a backtest: a feed, the exchange, and the ways between them and the engine.
//!
//! Time is that of the data. What happens at one instant happens in this order: requests arrive at the exchange, its answers
//! reach the engine, market data reach the engine, the engine is woken, the market moves on. What the exchange did because of a
//! market update is told before the update itself.
//!
//! The run begins with the first price at which somebody could trade: a bar, a trade or a quote, of any symbol. Mark prices and
//! funding rates before it are passed over, so that what a run comes to does not depend on how far back they go, and no mark is
//! older than the run.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use alphaengine_core::exchange::{ExchangeUpdate, Input, Outgoing};
use alphaengine_core::instrument::Instruments;
use alphaengine_core::market::{Feed, MarketData, MarketUpdate, SymbolId};
use alphaengine_core::units::Timestamp;

use crate::config::SimConfig;
use crate::exchange::SimExchange;
use crate::funding_watch::{FundingWatch, Hole};
use crate::latency::Delays;

/// Why a world cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error<F: std::error::Error> {
    #[error(transparent)]
    Feed(F),
    #[error("funding rates of {symbol} are missing between {from} and {to}")]
    FundingHole { symbol: String, from: Timestamp, to: Timestamp },
    #[error("there are no funding rates of {symbol}")]
    NoFunding { symbol: String },
    /// Only where funding is required; else a note says it.
    #[error("funding rates of {symbol} begin at {at}: there are none before that, and it is traded")]
    FundingBeginsLate { symbol: String, at: Timestamp },
    /// Only where funding is required; else a note says it.
    #[error("funding rates of {symbol} end at {at}: there are none after that, and it is traded")]
    FundingEndsEarly { symbol: String, at: Timestamp },
    #[error("the data go back in time: from {from} to {to}")]
    TimeWentBack { from: Timestamp, to: Timestamp },
}

/// Feed, exchange and delays.
pub struct SimWorld<F> {
    feed: F,
    exchange: SimExchange,
    names: Vec<String>,
    watches: Vec<FundingWatch>,
    require_funding: bool,
    /// Nothing takes any time, so nothing is ever on its way.
    is_instant: bool,
    delays: Option<Ways>,
    start: Timestamp,
    now: Timestamp,
    stage: Stage,
    /// The last update of the feed; it has not happened yet where `is_ahead`.
    latest: MarketUpdate,
    is_ahead: bool,
    /// What the engine is told now, where it was on its way.
    heard: MarketUpdate,
    said: Option<ExchangeUpdate>,
    /// On the way to the exchange, by time of arrival and then order of sending.
    requests: BinaryHeap<Reverse<Arrival>>,
    sent: u64,
    answers: VecDeque<(Timestamp, ExchangeUpdate)>,
    market: VecDeque<(Timestamp, MarketUpdate)>,
}

struct Ways {
    feed: Delays,
    entry: Delays,
    answer: Delays,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Fresh,
    /// The account is open; the engine is not told yet that it may begin.
    Opened,
    Running,
    /// The feed has ended.
    Draining,
    Over,
}

/// A request on its way.
struct Arrival {
    at: Timestamp,
    number: u64,
    outgoing: Outgoing,
}

impl PartialEq for Arrival {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Arrival {}

impl PartialOrd for Arrival {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Arrival {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl<F: Feed> SimWorld<F> {
    pub fn new(config: SimConfig, instruments: &Instruments, feed: F) -> SimWorld<F> {
        let latency = config.latency.clone();
        let ways = || Ways {
            feed: Delays::new(latency.feed.clone(), config.seed, 1),
            entry: Delays::new(latency.entry.clone(), config.seed, 2),
            answer: Delays::new(latency.answer.clone(), config.seed, 3),
        };
        let is_instant = latency.is_zero();
        SimWorld {
            feed,
            delays: (!is_instant).then(ways),
            is_instant,
            require_funding: config.require_funding,
            exchange: SimExchange::new(config, instruments),
            names: instruments.iter().map(|(_, instrument)| instrument.symbol.to_string()).collect(),
            watches: vec![FundingWatch::default(); instruments.len()],
            start: Timestamp::MIN,
            now: Timestamp::MIN,
            stage: Stage::Fresh,
            latest: MarketUpdate::NOTHING,
            is_ahead: false,
            heard: MarketUpdate::NOTHING,
            said: None,
            requests: BinaryHeap::new(),
            sent: 0,
            answers: VecDeque::new(),
            market: VecDeque::new(),
        }
    }

    /// The next thing that reaches the engine, and when. `wake_at` is when the engine wants to be woken.
    #[inline]
    pub fn next(&mut self, wake_at: Timestamp) -> Result<Option<(Timestamp, Input<'_>)>, Error<F::Error>> {
        let is_waiting = !self.answers.is_empty() || !self.market.is_empty();
        if self.is_instant && self.stage == Stage::Running && !is_waiting {
            return self.next_instant(wake_at);
        }
        self.next_queued(wake_at)
    }

    /// Takes a request of the engine. Never waits: the answer comes back as an input.
    #[inline]
    pub fn submit(&mut self, at: Timestamp, outgoing: Outgoing) {
        match &mut self.delays {
            None => {
                self.exchange.submit(at, &outgoing);
                self.answers.extend(self.exchange.said().map(|update| (at, update)));
            }
            Some(ways) => {
                self.sent += 1;
                let at = at.plus(ways.entry.draw());
                self.requests.push(Reverse(Arrival { at, number: self.sent, outgoing }));
            }
        }
    }

    pub fn exchange(&self) -> &SimExchange {
        &self.exchange
    }

    pub fn feed(&self) -> &F {
        &self.feed
    }

    /// Symbols for which the data had no funding rates at all.
    pub fn without_funding(&self) -> impl Iterator<Item = &str> {
        self.names.iter().zip(&self.watches).filter(|(_, watch)| watch.is_empty()).map(|(name, _)| name.as_str())
    }

    /// Where the data have funding rates for a part of the time only in which a symbol was traded so far, in sentences.
    pub fn funding_notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        for (symbol, name, watch) in self.watched() {
            let traded = self.exchange.traded(symbol);
            if let Some(at) = watch.begins_late(traded) {
                notes.push(format!(
                    "funding rates of {name} begin at {at}: before that positions paid and received none"
                ));
            }
            if let Some(at) = watch.ends_early(traded) {
                notes.push(format!("funding rates of {name} end at {at}: after that positions paid and received none"));
            }
        }
        notes
    }

    fn watched(&self) -> impl Iterator<Item = (SymbolId, &str, &FundingWatch)> {
        let watched = self.names.iter().zip(&self.watches).enumerate();
        watched.map(|(index, (name, watch))| (SymbolId(index as u16), name.as_str(), watch))
    }

    /// The time of the first price at which somebody could trade.
    pub fn start(&self) -> Timestamp {
        self.start
    }

    /// The hot path: nothing is on its way, so the market moves on, or the engine is woken before it does.
    #[inline]
    fn next_instant(&mut self, wake_at: Timestamp) -> Result<Option<(Timestamp, Input<'_>)>, Error<F::Error>> {
        if !self.is_ahead && !self.feed.next_into(&mut self.latest).map_err(Error::Feed)? {
            self.stage = Stage::Draining;
            return self.next_queued(wake_at);
        }
        let at = self.latest.at;
        self.is_ahead = wake_at <= at && wake_at > self.now;
        if self.is_ahead {
            self.now = wake_at;
            return Ok(Some((wake_at, Input::Wake)));
        }
        self.happen()?;
        if self.exchange.has_said() {
            return Ok(self.told_before());
        }
        Ok(Some((at, Input::Market(&self.latest))))
    }

    /// What the exchange said because of an update comes before it.
    #[cold]
    fn told_before(&mut self) -> Option<(Timestamp, Input<'_>)> {
        let at = self.latest.at;
        self.answers.extend(self.exchange.said().map(|said| (at, said)));
        self.market.push_back((at, self.latest));
        self.next_answer().map(|said| (at, Input::Exchange(said)))
    }

    /// The answer that has waited longest.
    fn next_answer(&mut self) -> Option<&ExchangeUpdate> {
        self.said = self.answers.pop_front().map(|(_, said)| said);
        self.said.as_ref()
    }

    /// The market moves: the latest update happens.
    #[inline]
    fn happen(&mut self) -> Result<(), Error<F::Error>> {
        let at = self.latest.at;
        if at < self.now {
            return Err(Error::TimeWentBack { from: self.now, to: at });
        }
        self.now = at;
        self.is_ahead = false;
        if let MarketData::Funding(_) = self.latest.data {
            let symbol = self.latest.symbol;
            let watched = self.watches[symbol.index()].settled(at, self.exchange.traded(symbol));
            watched.map_err(|hole| self.hole(symbol, hole))?;
        }
        self.exchange.on_market(&self.latest);
        Ok(())
    }

    #[cold]
    fn hole(&self, symbol: SymbolId, hole: Hole) -> Error<F::Error> {
        Error::FundingHole { symbol: self.names[symbol.index()].clone(), from: hole.from, to: hole.to }
    }

    /// The general case: whatever comes first.
    #[inline(never)]
    fn next_queued(&mut self, wake_at: Timestamp) -> Result<Option<(Timestamp, Input<'_>)>, Error<F::Error>> {
        loop {
            if self.stage == Stage::Fresh {
                if !self.open()? {
                    self.stage = Stage::Over;
                    return Ok(None);
                }
                continue;
            }
            if matches!(self.stage, Stage::Opened | Stage::Running) && !self.is_ahead {
                self.is_ahead = self.feed.next_into(&mut self.latest).map_err(Error::Feed)?;
                if !self.is_ahead {
                    self.stage = Stage::Draining;
                }
            }
            let arrival = self.requests.peek().map_or(Timestamp::MAX, |Reverse(arrival)| arrival.at);
            let answer = self.answers.front().map_or(Timestamp::MAX, |(at, _)| *at);
            let heard = self.market.front().map_or(Timestamp::MAX, |(at, _)| *at);
            let ahead = if self.is_ahead { self.latest.at } else { Timestamp::MAX };
            let is_over = [arrival, answer, heard, ahead].iter().all(|at| *at == Timestamp::MAX);
            if is_over {
                return self.end();
            }
            let wake = if wake_at > self.now { wake_at } else { Timestamp::MAX };
            if arrival <= answer && arrival <= heard && arrival <= ahead && arrival <= wake {
                if let Some(Reverse(arrival)) = self.requests.pop() {
                    self.exchange.submit(arrival.at, &arrival.outgoing);
                    self.queue_answers(arrival.at);
                }
            } else if answer <= heard && answer <= ahead && answer <= wake {
                self.now = self.now.max(answer);
                let now = self.now;
                return Ok(self.next_answer().map(|said| (now, Input::Exchange(said))));
            } else if heard <= ahead && heard <= wake {
                if self.stage == Stage::Opened {
                    self.stage = Stage::Running;
                    return Ok(Some((self.now, Input::Ready)));
                }
                if let Some((at, update)) = self.market.pop_front() {
                    self.now = self.now.max(at);
                    self.heard = update;
                    return Ok(Some((self.now, Input::Market(&self.heard))));
                }
            } else if wake <= ahead {
                self.now = wake;
                return Ok(Some((wake, Input::Wake)));
            } else if self.stage == Stage::Opened {
                self.stage = Stage::Running;
                return Ok(Some((self.now, Input::Ready)));
            } else {
                self.happen()?;
                let update = self.latest;
                self.queue_answers(update.at);
                let delay = self.delays.as_mut().map_or(0, |ways| ways.feed.draw());
                // One stream keeps its order, whatever each message took.
                let earliest = self.market.back().map_or(Timestamp::MIN, |(at, _)| *at);
                self.market.push_back((update.at.plus(delay).max(earliest), update));
            }
        }
    }

    fn queue_answers(&mut self, at: Timestamp) {
        if !self.exchange.has_said() {
            return;
        }
        for update in self.exchange.said() {
            let delay = self.delays.as_mut().map_or(0, |ways| ways.answer.draw());
            let earliest = self.answers.back().map_or(Timestamp::MIN, |(at, _)| *at);
            self.answers.push_back((at.plus(delay).max(earliest), update));
        }
    }

    /// The first price says when the run begins. False when there is none.
    fn open(&mut self) -> Result<bool, Error<F::Error>> {
        loop {
            self.is_ahead = self.feed.next_into(&mut self.latest).map_err(Error::Feed)?;
            if !self.is_ahead {
                return Ok(false);
            }
            let MarketUpdate { at, symbol, data } = self.latest;
            if at < self.now {
                return Err(Error::TimeWentBack { from: self.now, to: at });
            }
            self.now = at;
            match data {
                MarketData::MarkPrice(_) | MarketData::MarkBar(_) => {}
                MarketData::Funding(_) => {
                    // Nobody can hold a position yet, but that the data have begun is worth knowing.
                    let watched = self.watches[symbol.index()].settled(at, None);
                    watched.map_err(|hole| self.hole(symbol, hole))?;
                }
                MarketData::Bar(_) | MarketData::BarOpen(_) | MarketData::BookTicker(_) | MarketData::Trade(_) => break,
            }
        }
        self.start = self.now;
        self.exchange.open_account(self.start);
        let said: Vec<ExchangeUpdate> = self.exchange.said().collect();
        self.answers.extend(said.into_iter().map(|update| (self.start, update)));
        self.stage = Stage::Opened;
        Ok(true)
    }

    fn end(&mut self) -> Result<Option<(Timestamp, Input<'_>)>, Error<F::Error>> {
        if self.stage == Stage::Over {
            return Ok(None);
        }
        self.stage = Stage::Over;
        for (symbol, name, watch) in self.watched() {
            let traded = self.exchange.traded(symbol);
            watch.judge(traded).map_err(|hole| self.hole(symbol, hole))?;
            if !self.require_funding {
                continue;
            }
            let symbol = name.to_owned();
            if watch.is_empty() {
                return Err(Error::NoFunding { symbol });
            }
            if let Some(at) = watch.begins_late(traded) {
                return Err(Error::FundingBeginsLate { symbol, at });
            }
            if let Some(at) = watch.ends_early(traded) {
                return Err(Error::FundingEndsEarly { symbol, at });
            }
        }
        Ok(Some((self.now, Input::End)))
    }
}
