//! A Book follows the order book of one symbol from a snapshot and differences (`binance-usdm.md` section 4.3).
//!
//! Only `pu` proves that nothing is missing between two differences. After a hole the book is thrown away and built anew.

use std::collections::{BTreeMap, VecDeque};

use alphaengine_core::market::{BookTicker, MarketData, MarketUpdate, SymbolId};
use alphaengine_core::units::{NANOS_PER_SECOND, Nanos, Price, Qty, Timestamp};
use serde::Deserialize;

use super::alarm::Alarm;
use super::call::{Answer, Call, Purpose};
use super::line::Line;
use super::market::millis;
use super::query::Query;

/// Levels of a snapshot; they cost 20.
const LEVELS: usize = 1_000;
/// Differences wait for the snapshot; older ones are dropped.
const MOST_WAITING: usize = 1_000;
/// The pause before a book is asked for again.
const ASK_AGAIN: Nanos = NANOS_PER_SECOND;

#[derive(Debug, Default)]
pub(crate) struct Book {
    bids: BTreeMap<Price, Qty>,
    asks: BTreeMap<Price, Qty>,
    state: State,
    waiting: VecDeque<Diff>,
    best: Option<(Price, Qty, Price, Qty)>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing is known.
    #[default]
    Empty,
    /// A snapshot is asked for; differences wait.
    Asked,
    /// A snapshot of this update is there; the first difference that holds it comes next.
    Snapshot(i64),
    /// Every difference up to this one is in the book.
    Following(i64),
}

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Diff {
    #[serde(rename = "E", default)]
    event_time: i64,
    #[serde(rename = "T", default)]
    time: i64,
    #[serde(rename = "U")]
    first: i64,
    u: i64,
    pu: i64,
    b: Vec<(Price, Qty)>,
    a: Vec<(Price, Qty)>,
}

#[derive(Deserialize)]
struct Snapshot {
    #[serde(rename = "lastUpdateId")]
    last_update_id: i64,
    bids: Vec<(Price, Qty)>,
    asks: Vec<(Price, Qty)>,
}

impl Book {
    /// Takes a difference; the event time in milliseconds comes back. `tell` says whether best prices are passed on.
    pub fn heard(
        &mut self,
        line: &mut Line,
        symbol: SymbolId,
        name: &str,
        data: &[u8],
        tell: bool,
    ) -> Result<i64, serde_json::Error> {
        let diff: Diff = serde_json::from_slice(data)?;
        let event_time = diff.event_time;
        match self.state {
            State::Empty => {
                self.waiting.push_back(diff);
                self.ask(line, symbol, name, Timestamp::MIN);
            }
            State::Asked => {
                if self.waiting.len() == MOST_WAITING {
                    self.waiting.pop_front();
                }
                self.waiting.push_back(diff);
            }
            State::Snapshot(_) | State::Following(_) => {
                if self.apply(&diff) {
                    self.pass_on(line, symbol, &diff, tell);
                } else {
                    self.forget();
                    self.waiting.push_back(diff);
                    self.ask(line, symbol, name, Timestamp::MIN);
                }
            }
        }
        Ok(event_time)
    }

    pub fn ask(&mut self, line: &mut Line, symbol: SymbolId, name: &str, due: Timestamp) {
        self.state = State::Asked;
        let query = Query::new().with("symbol", name).with("limit", LEVELS);
        line.call(Call::get(Purpose::Book(symbol), "/fapi/v1/depth", query, 20).due(due));
    }

    /// A snapshot came, or did not.
    pub fn fetched(&mut self, line: &mut Line, at: Timestamp, symbol: SymbolId, answer: &Answer, tell: bool) {
        if self.state != State::Asked {
            return;
        }
        let snapshot = match answer {
            Answer::Accepted(body) => serde_json::from_slice::<Snapshot>(body).ok(),
            Answer::Refused(_) | Answer::Unknown(_) => None,
        };
        let Some(snapshot) = snapshot else {
            return line.alarm(at.plus(ASK_AGAIN), Alarm::Book(symbol));
        };
        let waiting = std::mem::take(&mut self.waiting);
        self.bids = snapshot.bids.into_iter().filter(|(_, qty)| qty.is_positive()).collect();
        self.asks = snapshot.asks.into_iter().filter(|(_, qty)| qty.is_positive()).collect();
        self.state = State::Snapshot(snapshot.last_update_id);
        let fits = waiting.iter().all(|diff| self.apply(diff));
        if !fits {
            // The snapshot is older than what waited: a newer one is needed, and what waits may still be.
            self.forget();
            self.state = State::Asked;
            self.waiting = waiting;
            return line.alarm(at.plus(ASK_AGAIN), Alarm::Book(symbol));
        }
        if let (Some(last), State::Following(_)) = (waiting.back(), self.state) {
            self.pass_on(line, symbol, last, tell);
        }
    }

    /// Best prices are told again even if they did not change: what was told may be stale.
    pub fn doubt(&mut self) {
        self.best = None;
    }

    /// Begins anew: there may be a hole.
    fn forget(&mut self) {
        *self = Book::default();
    }

    /// Whether a difference continues the book; old ones change nothing.
    fn apply(&mut self, diff: &Diff) -> bool {
        match self.state {
            State::Snapshot(last) if diff.u < last => return true,
            State::Snapshot(last) if diff.first > last => return false,
            // A second connection tells what is known.
            State::Following(last) if diff.u <= last => return true,
            State::Following(last) if diff.pu != last => return false,
            State::Snapshot(_) | State::Following(_) => {}
            State::Empty | State::Asked => return false,
        }
        self.state = State::Following(diff.u);
        put(&mut self.bids, &diff.b);
        put(&mut self.asks, &diff.a);
        true
    }

    fn pass_on(&mut self, line: &mut Line, symbol: SymbolId, diff: &Diff, tell: bool) {
        let (Some((bid, bid_qty)), Some((ask, ask_qty))) = (self.bids.last_key_value(), self.asks.first_key_value())
        else {
            return;
        };
        let best = (*bid, *bid_qty, *ask, *ask_qty);
        if tell && self.best != Some(best) {
            self.best = Some(best);
            let (bid, bid_qty, ask, ask_qty) = best;
            let book = BookTicker { update_id: diff.u, bid, bid_qty, ask, ask_qty };
            let at = millis(if diff.time > 0 { diff.time } else { diff.event_time });
            line.market(MarketUpdate { at, symbol, data: MarketData::BookTicker(book) });
        }
    }

    /// The best `levels` bids and asks, while the book is whole.
    pub fn levels(&self, levels: usize) -> Option<[Vec<(Price, Qty)>; 2]> {
        if !matches!(self.state, State::Following(_)) {
            return None;
        }
        let bids = self.bids.iter().rev().take(levels).map(|(price, qty)| (*price, *qty)).collect();
        let asks = self.asks.iter().take(levels).map(|(price, qty)| (*price, *qty)).collect();
        Some([bids, asks])
    }
}

/// Quantities are absolute; zero removes, also what is not there.
fn put(side: &mut BTreeMap<Price, Qty>, levels: &[(Price, Qty)]) {
    for (price, qty) in levels {
        if qty.is_positive() {
            side.insert(*price, *qty);
        } else {
            side.remove(price);
        }
    }
}
