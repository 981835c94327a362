//! Exposure: position, open, unknown and in-flight orders together stay within the limits (I17), and what may only reduce does not
//! turn a position (I18). Source: `binance-usdm.md` section 8.8 (reduceOnly) and the limits of the experiment.
//!
//! Limits are judged where an order is decided, at its event, with what the log tells then. An order is valued at its own price or
//! trigger; without one at the lowest price of the last two to four minutes, because the bot may know an older price than the
//! exchange's. What an order would reduce does not count against it, and what only reduces counts against no limit but that of
//! orders which rest.

use std::collections::BTreeMap;

use alphaengine_core::market::{MarketData, MarketUpdate, SymbolId};
use alphaengine_core::order::{OrderSpec, OrderType, PositionSide, Side};
use alphaengine_core::risk::Limits;
use alphaengine_core::units::{NANOS_PER_MINUTE, Price, SCALE, Timestamp};

use super::book::Book;
use super::entry::{Entry, Fact};
use super::findings::Findings;
use super::invariant::Invariant::{I17, I18};
use super::wire::{Ask, OrderNews};
use crate::gateway::Gateway;

/// The lowest prices of so long are kept, and those of as long before.
const SPAN: i64 = 2 * NANOS_PER_MINUTE;

/// The lowest prices of a symbol.
#[derive(Debug, Clone, Copy)]
struct Lows {
    span: Timestamp,
    now: Price,
    before: Price,
}

#[derive(Debug, Default)]
pub(super) struct Exposure {
    lows: BTreeMap<SymbolId, Lows>,
}

impl Exposure {
    pub fn market(&mut self, update: &MarketUpdate) {
        let price = match update.data {
            MarketData::Trade(trade) => trade.price,
            MarketData::BookTicker(book) => book.bid,
            MarketData::Bar(bar) | MarketData::MarkBar(bar) => bar.low,
            MarketData::BarOpen(open) => open.price,
            MarketData::MarkPrice(mark) => mark.price,
            MarketData::Funding(_) => return,
        };
        self.hear(update.at, update.symbol, price);
    }

    /// A price that the bot may go by.
    fn hear(&mut self, at: Timestamp, symbol: SymbolId, price: Price) {
        let span = at.floor_to(SPAN);
        let lows = self.lows.entry(symbol).or_insert(Lows { span, now: price, before: price });
        if lows.span != span {
            *lows = Lows { span, now: price, before: lows.now };
        }
        lows.now = lows.now.min(price);
    }

    /// The least that an order may be worth by the piece.
    fn price(&self, spec: &OrderSpec) -> Option<Price> {
        let own = spec.order_type.price().or(spec.order_type.trigger());
        own.or_else(|| self.lows.get(&spec.symbol).map(|lows| lows.now.min(lows.before)))
    }

    /// An event of the log, before the book takes it.
    pub fn logged(&mut self, book: &Book, entry: &Entry, given: &Limits, findings: &mut Findings) {
        let limits = book.limits.as_ref().unwrap_or(given);
        match entry.fact {
            Fact::Requested { name, spec } => {
                let exits = spec.only_reduces() && spec.order_type == OrderType::Market;
                if let Some(most) = limits.max_open_orders.filter(|_| !exits) {
                    let open = book.open.len();
                    findings.check(I17, open < most as usize, || {
                        format!("order {name} was wanted when {open} orders were open, and the limit is {most}")
                    });
                }
                if !spec.only_reduces() {
                    let steps = i128::from(spec.qty.steps());
                    self.judge(book, entry, &spec, [steps, steps], limits, findings);
                }
            }
            Fact::ModifyRequested { name, qty, price } => {
                let Some(life) = book.orders.get(&name).filter(|life| !life.spec.only_reduces()) else {
                    return;
                };
                let wanted = i128::from(qty.steps());
                let more = (wanted - life.filled).max(0) - life.open_steps();
                if more > 0 {
                    let spec =
                        life.spec.with_type(OrderType::Limit { price, tif: alphaengine_core::order::TimeInForce::Gtc });
                    self.judge(book, entry, &spec, [wanted, more], limits, findings);
                }
            }
            // A fill is a price too, and slippage may have put it below the market's.
            Fact::Traded(trade) => {
                if let Some(symbol) = entry.symbol {
                    self.hear(entry.at, symbol, trade.price);
                }
            }
            _ => {}
        }
    }

    /// `size` is the order's, `more` what it adds to what is open.
    fn judge(
        &self,
        book: &Book,
        entry: &Entry,
        spec: &OrderSpec,
        [size, more]: [i128; 2],
        limits: &Limits,
        findings: &mut Findings,
    ) {
        let Some(price) = self.price(spec) else {
            return;
        };
        // Rounded down: who rounded up had a larger one.
        let worth = |steps: i128| steps.saturating_mul(i128::from(price.steps())) / i128::from(SCALE);
        if let Some(most) = limits.max_order {
            let value = worth(size);
            findings.check(I17, value <= i128::from(most.steps()), || {
                format!("event {} wants an order worth {value} steps, and the limit is {most}", entry.seq)
            });
        }
        if let Some(most) = limits.max_position {
            let held = book.position(spec.symbol, spec.position_side);
            let towards = if spec.side == Side::Buy { held } else { -held };
            let is_like = |other: &OrderSpec| {
                (other.symbol, other.side, other.position_side) == (spec.symbol, spec.side, spec.position_side)
                    && !other.only_reduces()
            };
            let open = book.open.iter().filter_map(|name| book.orders.get(name)).filter(|life| is_like(&life.spec));
            let open: i128 = open.map(|life| life.open_steps()).sum();
            let value = worth((towards + open + more).max(0));
            findings.check(I17, value <= i128::from(most.steps()), || {
                format!(
                    "event {} may bring the position to a worth of {value} steps ({towards} held, {open} open, {more} more), and the \
                     limit is {most}",
                    entry.seq
                )
            });
        }
    }
}

/// A request leaves: what may only reduce must say so, or the exchange lets it turn the position. In hedge mode the side of the
/// position says it (-4062), and an order that closes a position has no size to turn it with (-1106).
pub(super) fn sent(ask: &Ask, book: &Book, findings: &mut Findings) {
    let Ask::Place(orders) = ask else {
        return;
    };
    for order in orders {
        let Some(spec) = book.own(&order.name).map(|life| life.spec).filter(|spec| spec.reduce_only) else {
            continue;
        };
        if spec.position_side == PositionSide::Both {
            findings.check(I18, order.reduce_only || order.close_position, || {
                format!("order {} may only reduce, and leaves without reduceOnly", order.name)
            });
        }
    }
}

/// The exchange tells of an order that may only reduce.
pub(super) fn said(news: &OrderNews<'_>, book: &Book, findings: &mut Findings) {
    let spec = news.name.parse().ok().and_then(|name| book.own(&name)).map(|life| life.spec);
    if spec.is_some_and(|spec| spec.reduce_only && !spec.close_position) && news.position_side == "BOTH" {
        findings.check(I18, news.reduce_only, || {
            format!("order {} may only reduce, and the exchange has it without reduceOnly", news.name)
        });
    }
}

/// The end, in the order in which the exchange filled: an order that may only reduce made its position smaller each time.
pub(super) fn quiet(
    book: &Book,
    gateway: &Gateway,
    instruments: &alphaengine_core::instrument::Instruments,
    findings: &mut Findings,
) {
    let mut positions: BTreeMap<(SymbolId, PositionSide), i128> = BTreeMap::new();
    for fill in gateway.fills() {
        let Some(symbol) = instruments.id(fill.symbol.as_str()) else {
            continue;
        };
        let position = positions.entry((symbol, fill.position_side)).or_default();
        let before = *position;
        *position += i128::from(fill.side.signed(fill.qty).steps());
        let after = *position;
        if book.own(&fill.client_order_id).is_some_and(|life| life.spec.only_reduces()) {
            let reduces = before.signum() * after.signum() >= 0 && after.abs() < before.abs();
            findings.check(I18, reduces, || {
                let (id, name) = (fill.id, fill.client_order_id);
                format!("trade {id} of order {name}, which may only reduce, took the position from {before} to {after} steps")
            });
        }
    }
}
