//! RoundTrips turns fills and funding into trades, from flat to flat, per symbol and position side.

use super::round_trip::{OpenTrip, RoundTrip};
use super::spans::Spans;
use super::trip_stats::TripStats;
use crate::event::TradeExecuted;
use crate::exchange::{Fill, FundingPayment};
use crate::market::SymbolId;
use crate::order::PositionSide;
use crate::units::{Money, Qty, Rounding, div_round};

/// The trades of a run: what the closed ones add up to, and those that are open. Closed ones are not kept.
#[derive(Debug, Clone, Default)]
pub struct RoundTrips {
    /// By [`SymbolId`] and [`PositionSide`].
    open: Vec<[Option<OpenTrip>; 3]>,
    pub all: TripStats,
    pub long: TripStats,
    pub short: TripStats,
    /// By [`SymbolId`].
    pub by_symbol: Vec<TripStats>,
    /// From the first fill to flat.
    pub held: Spans,
    pub held_by_winners: Spans,
    pub held_by_losers: Spans,
    /// What the fills realised, of open trades too, before fees and funding.
    pub realized: Money,
    /// Funding that arrived when no trade was open.
    pub unattributed_funding: Money,
    pub fills: u64,
}

impl RoundTrips {
    pub fn new(symbols: usize) -> RoundTrips {
        RoundTrips {
            open: vec![[None; 3]; symbols],
            by_symbol: vec![TripStats::default(); symbols],
            ..RoundTrips::default()
        }
    }

    /// Books a fill after which the position is `after`. `fee` is what of its fee counts in the contract's asset. A fill that
    /// goes through flat is split by quantity: what it realised belongs to the trade that it closes. Returns that trade.
    pub fn fill(&mut self, symbol: SymbolId, trade: &TradeExecuted, fee: Money, after: Qty) -> Option<RoundTrip> {
        let (fill, at) = (&trade.fill, trade.traded_at);
        let signed = trade.side.signed(fill.qty);
        if signed.is_zero() {
            return None;
        }
        self.fills += 1;
        self.realized = self.realized.saturating_add(fill.realized);
        let before = after.saturating_sub(signed);
        let slot = &mut self.open[symbol.index()][trade.position_side as usize];
        if slot.is_none_or(|open| open.qty != before) {
            // A recovered session begins with positions whose fills it has not seen.
            *slot = (!before.is_zero()).then(|| OpenTrip::adopt(at, before, fill.price));
        }
        let Some(open) = slot else {
            *slot = Some(OpenTrip::begin(at, signed, fill, fee));
            return None;
        };
        let is_reversal = before.signum() * after.signum() < 0;
        let closing = if is_reversal { Qty::ZERO.saturating_sub(before) } else { signed };
        let closing_fee = if is_reversal { share(fee, closing, signed) } else { fee };
        open.fill(closing, fill, closing_fee);
        if !open.qty.is_zero() {
            return None;
        }
        let trip = open.close(symbol, before.signum() > 0, at);
        *slot = is_reversal.then(|| {
            let rest = Fill { realized: Money::ZERO, ..*fill };
            OpenTrip::begin(at, after, &rest, fee.saturating_sub(closing_fee))
        });
        self.add(&trip);
        Some(trip)
    }

    /// Books funding on the trade that is open.
    pub fn fund(&mut self, payment: &FundingPayment) {
        match &mut self.open[payment.symbol.index()][payment.position_side as usize] {
            Some(open) => open.funding = open.funding.saturating_add(payment.amount),
            None => self.unattributed_funding = self.unattributed_funding.saturating_add(payment.amount),
        }
    }

    fn add(&mut self, trip: &RoundTrip) {
        self.all.add(trip);
        let side = if trip.is_long { &mut self.long } else { &mut self.short };
        side.add(trip);
        self.by_symbol[trip.symbol.index()].add(trip);
        let held = trip.closed_at.since(trip.opened_at);
        self.held.push(held);
        if trip.pnl().is_positive() {
            self.held_by_winners.push(held);
        } else if trip.pnl().is_negative() {
            self.held_by_losers.push(held);
        }
    }

    /// The trades that are not over.
    pub fn open(&self) -> impl Iterator<Item = (SymbolId, PositionSide, &OpenTrip)> {
        self.open.iter().enumerate().flat_map(|(index, sides)| {
            let trips = PositionSide::ALL.into_iter().zip(sides);
            trips.filter_map(move |(side, trip)| Some((SymbolId(index as u16), side, trip.as_ref()?)))
        })
    }
}

/// The share of a fee that falls to `part` of `whole`, to the nearest 1e-8.
fn share(fee: Money, part: Qty, whole: Qty) -> Money {
    let (part, whole) = (i128::from(part.abs().steps()), i128::from(whole.abs().steps()));
    let steps = div_round(i128::from(fee.steps()) * part, whole, Rounding::HalfEven);
    Money::from_steps(i64::try_from(steps).unwrap_or(fee.steps()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::order::Side;
    use crate::units::{Price, Timestamp};

    fn sell(qty: i64, realized: i64) -> TradeExecuted {
        TradeExecuted {
            client_order_id: Default::default(),
            order_id: 1,
            side: Side::Sell,
            position_side: PositionSide::Both,
            traded_at: Timestamp::ZERO,
            fill: Fill {
                trade_id: 1,
                price: Price::whole(100),
                qty: Qty::whole(qty),
                fee: Money::ZERO,
                fee_asset: Default::default(),
                is_maker: false,
                is_liquidation: false,
                realized: Money::whole(realized),
            },
        }
    }

    #[test]
    fn a_position_from_before_is_a_trade_too() {
        let mut trips = RoundTrips::new(1);
        let symbol = SymbolId(0);
        assert_eq!(trips.fill(symbol, &sell(1, 5), Money::ZERO, Qty::whole(2)), None);
        let closed = trips.fill(symbol, &sell(2, 10), Money::ZERO, Qty::ZERO).unwrap();
        assert_eq!((closed.is_long, closed.qty, closed.pnl()), (true, Qty::whole(3), Money::whole(15)));
        assert_eq!(trips.open().count(), 0);
    }

    #[test]
    fn the_parts_of_a_fee_are_the_whole() {
        let (fee, whole) = (Money::from_steps(100), Qty::whole(3));
        assert_eq!(share(fee, Qty::whole(-1), whole), Money::from_steps(33));
        assert_eq!(share(fee, whole, whole), fee);
        let mut trips = RoundTrips::new(1);
        trips.fill(SymbolId(0), &sell(3, 0), fee, Qty::whole(-2));
        let (_, _, open) = trips.open().next().unwrap();
        assert_eq!((trips.all.fees, open.fees), (Money::from_steps(33), Money::from_steps(67)));
    }
}
