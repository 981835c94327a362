//! Fills: each is booked once and changes the position once (I6), an order's add up (I7), and in the end log and exchange hold the
//! same ones (I5) and the same positions (I8). Source: `binance-usdm.md` sections 7.1 (ids), 7.4 (duplicates), 8.4 (positions).

use std::collections::BTreeMap;

use alphaengine_core::event::Recorded;
use alphaengine_core::instrument::Instruments;
use alphaengine_core::market::SymbolId;
use alphaengine_core::order::PositionSide;
use alphaengine_core::state::State;
use alphaengine_core::units::Qty;

use super::book::Book;
use super::entry::{Entry, Fact, Trade};
use super::findings::Findings;
use super::invariant::Invariant::{I5, I6, I7, I8};
use super::wire::OrderNews;
use crate::gateway::Gateway;
use alphaengine_core::units::Timestamp;

/// What the exchange said of an order's fills, by the order's number.
#[derive(Debug, Default)]
pub(super) struct Fills {
    said: BTreeMap<u64, Qty>,
    /// Since when the store knows of the account: one that was lost with all that was in it meets the account anew.
    anew_since: Option<Timestamp>,
}

impl Fills {
    /// The store has lost everything, and books what the account holds as its opening.
    pub fn begin_anew(&mut self, at: Timestamp) {
        self.anew_since = Some(at);
    }

    /// An event of the log, before the book takes it.
    pub fn logged(&self, book: &Book, entry: &Entry, findings: &mut Findings) {
        let Fact::Traded(trade) = entry.fact else {
            return;
        };
        let (seq, name, id) = (entry.seq, trade.name, trade.trade_id);
        findings.check(I6, entry.symbol.is_some(), || format!("event {seq} books trade {id} of no symbol"));
        let Some(symbol) = entry.symbol else {
            return;
        };
        let is_new = !book.trades.contains(&(symbol, id));
        findings.check(I6, is_new, || format!("event {seq} books trade {id} of {name} a second time"));
        let Some(life) = book.orders.get(&name).filter(|life| life.has_size()) else {
            return;
        };
        let (filled, size) = (life.filled + i128::from(trade.qty.steps()), life.largest);
        findings.check(I7, trade.qty.is_positive() && filled <= i128::from(size.steps()), || {
            let filled = Qty::from_steps(i64::try_from(filled).unwrap_or(i64::MAX));
            format!("with trade {id} in event {seq}, {filled} of order {name} are filled, and its size is {size}")
        });
    }

    /// The exchange told of an order: what is filled of it never falls and is never more than there is.
    pub fn said(&mut self, news: &OrderNews<'_>, findings: &mut Findings) {
        let (Ok(filled), Ok(size)) = (news.filled.parse::<Qty>(), news.qty.parse::<Qty>()) else {
            return;
        };
        let before = self.said.entry(news.order_id).or_insert(Qty::ZERO);
        let last = *before;
        *before = last.max(filled);
        let (name, id) = (&news.name, news.order_id);
        // A frame may be said once more on a second connection, so the same value is as good as a larger one.
        findings.check(I7, filled >= last, || {
            format!("the exchange told {filled} filled of order {id} ({name}) after it told {last}")
        });
        findings.check(I7, filled <= size, || {
            format!("the exchange told {filled} filled of order {id} ({name}) of {size}")
        });
    }

    /// What the step touched, in the state as the process holds it.
    pub fn stepped(&self, book: &Book, state: &State, instruments: &Instruments, findings: &mut Findings) {
        if book.moved.positions {
            positions_agree(I6, book, state, instruments, findings);
        }
        for name in &book.moved.orders {
            let Some((order, life)) = state.orders.get(name).zip(book.orders.get(name)) else {
                continue;
            };
            if life.is_told {
                continue;
            }
            let holds = i128::from(order.filled.steps()) == life.filled;
            findings.check(I6, holds, || {
                format!(
                    "order {name} is filled by {} in the state, and its trades sum to {} steps",
                    order.filled, life.filled
                )
            });
        }
    }

    /// The end: log, state and exchange side by side.
    pub fn quiet(
        &self,
        book: &Book,
        log: &[Recorded],
        state: &State,
        gateway: &Gateway,
        instruments: &Instruments,
        findings: &mut Findings,
    ) {
        let mut logged: BTreeMap<(SymbolId, u64), Trade> = BTreeMap::new();
        for entry in log.iter().map(Entry::of) {
            if let (Some(symbol), Fact::Traded(trade)) = (entry.symbol, entry.fact) {
                logged.insert((symbol, trade.trade_id), trade);
            }
        }
        let mut by_order: BTreeMap<u64, i128> = BTreeMap::new();
        let mut positions: BTreeMap<(SymbolId, PositionSide), i128> = BTreeMap::new();
        let mut known = 0;
        for fill in gateway.fills() {
            let Some(symbol) = instruments.id(fill.symbol.as_str()) else {
                continue;
            };
            *by_order.entry(fill.order_id).or_default() += i128::from(fill.qty.steps());
            *positions.entry((symbol, fill.position_side)).or_default() +=
                i128::from(fill.side.signed(fill.qty).steps());
            let (name, id) = (&fill.symbol, fill.id);
            let Some(trade) = logged.get(&(symbol, id)) else {
                if self.anew_since.is_some_and(|since| fill.at < since) {
                    continue;
                }
                let (qty, price, order) = (fill.qty, fill.price, fill.client_order_id);
                findings.check(I5, false, || {
                    format!("the exchange filled {qty} {name} at {price} of order {order} (trade {id}), and the log does not know it")
                });
                continue;
            };
            known += 1;
            let same = (trade.side, trade.position_side, trade.price, trade.qty, trade.fee, trade.realized)
                == (fill.side, fill.position_side, fill.price, fill.qty, fill.fee, fill.realized)
                && trade.fee_asset == fill.fee_asset;
            findings.check(I5, same, || {
                format!("trade {id} of {name} is {trade:?} in the log and {fill:?} at the exchange")
            });
        }
        findings.check(I5, known == logged.len(), || {
            let of_exchange = gateway.fills();
            let is_there = |symbol: SymbolId, id: u64| {
                of_exchange.iter().any(|fill| fill.id == id && instruments.id(fill.symbol.as_str()) == Some(symbol))
            };
            let stray = logged.keys().find(|(symbol, id)| !is_there(*symbol, *id));
            format!("the log books {} trades and {known} of them happened; one that did not: {stray:?}", logged.len())
        });
        for (name, life) in &book.orders {
            let number = if life.child != 0 { life.child } else { life.order_id };
            if life.filled == 0 || number == 0 || life.is_told {
                continue;
            }
            let filled = by_order.get(&number).copied().unwrap_or(0);
            findings.check(I7, life.filled == filled, || {
                format!(
                    "order {name} ({number}) is filled by {filled} steps at the exchange and by {} in the log",
                    life.filled
                )
            });
        }
        for (symbol, instrument) in instruments.iter() {
            for side in PositionSide::ALL {
                let theirs = i128::from(gateway.exchange().position_figures(symbol, side).position.qty().steps());
                let ours = book.position(symbol, side);
                findings.check(I8, ours == theirs, || {
                    let (name, side) = (&instrument.symbol, side.name());
                    format!("the position {name} {side} is {theirs} steps at the exchange and {ours} in the log")
                });
            }
        }
        positions_agree(I8, book, state, instruments, findings);
    }
}

fn positions_agree(
    invariant: super::invariant::Invariant,
    book: &Book,
    state: &State,
    instruments: &Instruments,
    findings: &mut Findings,
) {
    for (symbol, instrument) in instruments.iter() {
        for side in PositionSide::ALL {
            let (held, ours) = (state.position(symbol, side).qty(), book.position(symbol, side));
            findings.check(invariant, i128::from(held.steps()) == ours, || {
                let (name, side) = (&instrument.symbol, side.name());
                format!("the position {name} {side} is {held} in the state, and the log's trades sum to {ours} steps")
            });
        }
    }
}
