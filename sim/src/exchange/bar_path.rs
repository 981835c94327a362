//! Walking through a bar: the order in which its prices are taken to have come, and what acts on the way.

use alphaengine_core::market::{Bar, SymbolId};
use alphaengine_core::order::{PositionSide, Side};
use alphaengine_core::units::{Price, Qty, Rounding, Timestamp};

use super::SimExchange;
use super::conditional::trigger_of;
use super::matching::worse_of;
use crate::config::LimitFill;
use crate::order::{LiveOrder, Stage};

/// What happens next on the way to a price.
#[derive(Debug, Clone, Copy)]
struct Action {
    price: Price,
    order: u64,
    fires: bool,
}

/// Whose way through a bar is walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Track {
    Last,
    Mark,
}

impl SimExchange {
    /// Walks from the open over both extremes to the close. Orders that came too late for the open see only the close.
    pub(super) fn walk_bar(&mut self, symbol: SymbolId, bar: &Bar) {
        let late = self.market(symbol).bar_open.plus(super::FRESH);
        let mut left = self.volume_for_us(bar);
        self.walk_way(symbol, Track::Last, bar, late, &mut left);
        self.settle(symbol);
    }

    /// The same for a bar of the mark price: it fires orders that watch it, and it decides on liquidation.
    pub(super) fn walk_mark_bar(&mut self, symbol: SymbolId, bar: &Bar) {
        let market = self.market_mut(symbol);
        if market.orders.is_empty() && market.is_flat() {
            market.mark = bar.close;
            return;
        }
        let late = bar.open_time.plus(super::FRESH);
        let mut no_volume = Qty::ZERO;
        self.walk_way(symbol, Track::Mark, bar, late, &mut no_volume);
        self.settle(symbol);
    }

    fn walk_way(&mut self, symbol: SymbolId, track: Track, bar: &Bar, late: Timestamp, left: &mut Qty) {
        let [first, second, last] = path(bar, self.direction(symbol));
        for (from, to) in [(bar.open, bar.open), (bar.open, first), (first, second), (second, last)] {
            self.walk(symbol, track, from, to, left, |order| order.arrived <= late);
        }
        self.walk(symbol, track, last, last, left, |order| order.arrived > late);
    }

    /// The mark price is now `price`. Whoever is liquidated at it has no orders left to fire.
    pub(super) fn mark_is(&mut self, symbol: SymbolId, price: Price) {
        let market = self.market_mut(symbol);
        market.mark = price;
        market.funding_mark = price;
        self.check_margin_at(symbol);
        if !self.market(symbol).orders.is_empty() {
            self.fire_at(symbol, price, true);
        }
        self.settle(symbol);
    }

    /// +1 with a long, -1 with a short, 0 without a position or with both.
    fn direction(&self, symbol: SymbolId) -> i64 {
        PositionSide::ALL
            .into_iter()
            .map(|side| self.market(symbol).position(side).qty().signum())
            .sum::<i64>()
            .signum()
    }

    /// What resting orders may take of a bar's volume.
    fn volume_for_us(&self, bar: &Bar) -> Qty {
        self.config.volume_cap.map_or(Qty::MAX, |cap| bar.volume.times(cap, Rounding::Floor).unwrap_or(Qty::MAX))
    }

    /// The price goes from `from` to `to`; orders act in the order in which it reaches them.
    fn walk(
        &mut self,
        symbol: SymbolId,
        track: Track,
        mut from: Price,
        to: Price,
        left: &mut Qty,
        is_eligible: impl Fn(&LiveOrder) -> bool,
    ) {
        // A partly filled order stays where it is: it acts once on each way.
        let mut acted = Vec::new();
        loop {
            let can_act = |order: &LiveOrder| is_eligible(order) && !acted.contains(&order.id);
            let Some(action) = self.next_action(symbol, track, from, to, can_act) else {
                break;
            };
            from = action.price;
            self.move_to(symbol, track, from);
            let Some(index) = self.find(symbol, |order| order.id == action.order) else {
                continue;
            };
            acted.push(action.order);
            if action.fires {
                let market = self.market(symbol);
                let price = worse_of(market.orders[index].spec.side, market.last, from);
                self.fire(symbol, index, price);
            } else {
                let order = self.market(symbol).orders[index];
                let qty = self.on_step(symbol, order.remaining().min(*left), order.remaining());
                if qty.is_positive() {
                    *left = left.saturating_sub(qty);
                    self.execute(symbol, index, qty, order.limit(), true);
                }
            }
        }
        self.trail(symbol, to, track == Track::Mark, is_eligible);
        self.move_to(symbol, track, to);
    }

    /// The price of this kind is there, and margins are looked at.
    fn move_to(&mut self, symbol: SymbolId, track: Track, price: Price) {
        let market = self.market_mut(symbol);
        match track {
            Track::Last => market.last = price,
            Track::Mark => market.mark = price,
        }
        self.check_margin_at(symbol);
    }

    /// The first order that acts between `from` and `to`.
    fn next_action(
        &self,
        symbol: SymbolId,
        track: Track,
        from: Price,
        to: Price,
        is_eligible: impl Fn(&LiveOrder) -> bool,
    ) -> Option<Action> {
        let touch = self.config.limit_fill == LimitFill::Touch;
        let mut first: Option<Action> = None;
        for order in self.market(symbol).orders.iter().filter(|order| is_eligible(order)) {
            let is_down = order_acts_down(order);
            let (trigger, fires) = match order.stage {
                Stage::Resting if track == Track::Last => (Some(order.limit()), false),
                _ if self.watches(symbol, order, track == Track::Mark) => (trigger_of(order), true),
                _ => (None, false),
            };
            let Some(level) = trigger else {
                continue;
            };
            let reached = match (is_down, fires || touch) {
                (true, true) => to <= level,
                (true, false) => to < level,
                (false, true) => to >= level,
                (false, false) => to > level,
            };
            // What stands beyond the way's beginning acts at its beginning.
            let price = if is_down { level.min(from) } else { level.max(from) };
            let price = if to == from { to } else { price };
            // At one price, trades with what rests come before what they fire.
            let when = |action: &Action| (action.price.saturating_sub(from).abs(), action.fires);
            let action = Action { price, order: order.id, fires };
            if reached && first.as_ref().is_none_or(|other| when(&action) < when(other)) {
                first = Some(action);
            }
        }
        first
    }
}

fn order_acts_down(order: &LiveOrder) -> bool {
    if order.stage == Stage::Resting { order.spec.side == Side::Buy } else { order.fires_downwards() }
}

/// The declared way through a bar after its open: the extreme that hurts first, then the other, then the close.
fn path(bar: &Bar, direction: i64) -> [Price; 3] {
    let low_first = match direction {
        0 => bar.close >= bar.open,
        direction => direction > 0,
    };
    if low_first { [bar.low, bar.high, bar.close] } else { [bar.high, bar.low, bar.close] }
}
