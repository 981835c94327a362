//! A SymbolMarket is one contract at the exchange: its newest prices, our orders in it and our positions.

use alphaengine_core::instrument::Instrument;
use alphaengine_core::market::{Bar, BookTicker, SymbolId, Timeframe};
use alphaengine_core::order::{PositionSide, Side};
use alphaengine_core::position::Position;
use alphaengine_core::units::{Money, Price, Qty, Rounding, Timestamp, div_round};

use crate::config::LimitFill;
use crate::margin;
use crate::order::{LiveOrder, Stage};

/// Prices between which nothing can happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Band {
    pub low: Price,
    pub high: Price,
}

impl Band {
    /// Nothing can happen at any price.
    pub const QUIET: Band = Band { low: Price::from_steps(i64::MIN), high: Price::MAX };
    /// Something happens at every price.
    pub const ALERT: Band = Band { low: Price::MAX, high: Price::from_steps(i64::MIN) };

    #[inline]
    pub fn holds(&self, price: Price) -> bool {
        self.low < price && price < self.high
    }

    fn narrow(&mut self, other: Band) {
        self.low = self.low.max(other.low);
        self.high = self.high.min(other.high);
    }
}

/// An order as margin sees it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim {
    pub side: Side,
    pub position_side: PositionSide,
    /// What may still fill.
    pub qty: Qty,
    pub price: Price,
}

/// One contract.
#[derive(Debug)]
pub(crate) struct SymbolMarket {
    pub id: SymbolId,
    pub instrument: Instrument,
    /// The newest price; zero before the first.
    pub last: Price,
    /// The newest mark price of the data; zero while there was none.
    pub mark: Price,
    pub touch: Option<BookTicker>,
    pub has_trades: bool,
    pub orders: Vec<LiveOrder>,
    /// Where resting orders may fill.
    pub limits: Band,
    /// Where conditional orders may fire, or margin may not suffice.
    pub triggers: Band,
    /// Within it no liquidation is possible; kept by the margin check.
    pub safe: Band,
    pub positions: [Position; 3],
    pub margins: [Money; 3],
    pub leverage: u32,
    pub isolated: bool,
    pub last_trade_id: u64,
    /// The bars that the data bring.
    pub bar_timeframe: Option<Timeframe>,
    /// When the newest bar opened.
    pub bar_open: Timestamp,
    /// Until when the last price may be taken although it is from a bar.
    pub fresh_until: Timestamp,
    /// The newest mark price for funding; also from mark bars that are too coarse for anything else.
    pub funding_mark: Price,
    /// A bar of the mark price that waits for the bar of the last price beside it.
    pub pending_mark: Option<Bar>,
    /// When the first price came at which somebody could trade.
    pub first_at: Option<Timestamp>,
    /// When the newest one came.
    pub last_at: Timestamp,
}

impl SymbolMarket {
    pub fn new(id: SymbolId, instrument: Instrument, leverage: u32, isolated: bool) -> SymbolMarket {
        SymbolMarket {
            id,
            leverage: leverage.min(instrument.max_leverage()),
            instrument,
            last: Price::ZERO,
            mark: Price::ZERO,
            touch: None,
            has_trades: false,
            orders: Vec::new(),
            limits: Band::ALERT,
            triggers: Band::QUIET,
            safe: Band::QUIET,
            positions: [Position::FLAT; 3],
            margins: [Money::ZERO; 3],
            isolated,
            last_trade_id: 0,
            bar_timeframe: None,
            bar_open: Timestamp::MIN,
            fresh_until: Timestamp::MIN,
            funding_mark: Price::ZERO,
            pending_mark: None,
            first_at: None,
            last_at: Timestamp::MIN,
        }
    }

    /// The mark price: that of the data, else the last price. Zero before the first.
    #[inline]
    pub fn mark(&self) -> Price {
        if self.mark.is_zero() { self.last } else { self.mark }
    }

    /// The mark of the data where it belongs to the same instant as the last price. Of a bar the two ways are walked one after
    /// the other, and how far they were apart at one moment is not known.
    pub fn mark_beside_last(&self) -> Option<Price> {
        (!self.mark.is_zero() && !self.is_driven_by_bars()).then_some(self.mark)
    }

    /// Whether bars say what fills.
    pub fn is_driven_by_bars(&self) -> bool {
        !self.has_trades && self.touch.is_none()
    }

    pub fn position(&self, side: PositionSide) -> &Position {
        &self.positions[side as usize]
    }

    pub fn is_flat(&self) -> bool {
        self.positions.iter().all(Position::is_flat)
    }

    /// What an order can still reduce: the part of the position against its side.
    pub fn reducible(&self, side: Side, position_side: PositionSide) -> Qty {
        let held = self.position(position_side).qty();
        Qty::from_steps((-side.signed(held).steps()).max(0))
    }

    /// The isolated margin of a position that just changed from `before` by a fill at `price`: what is closed gives back its
    /// share, what is opened brings its initial margin. Zero with cross margin.
    pub fn margin_after(&self, before: &Position, side: PositionSide, price: Price) -> Money {
        if !self.isolated {
            return Money::ZERO;
        }
        let margin = self.margins[side as usize];
        let (held, holds) = (before.qty(), self.position(side).qty());
        let stays = if held.signum() == holds.signum() { held.abs().min(holds.abs()) } else { Qty::ZERO };
        let opened = holds.abs().saturating_sub(stays);
        let kept = if stays == held.abs() {
            margin
        } else {
            let share = i128::from(margin.steps()) * i128::from(stays.steps());
            let steps = div_round(share, i128::from(held.abs().steps().max(1)), Rounding::Ceil);
            Money::from_steps(i64::try_from(steps).unwrap_or(i64::MAX))
        };
        let notional = price.notional(opened, Rounding::Ceil).unwrap_or(Money::MAX);
        kept.saturating_add(margin::initial(notional, self.leverage))
    }

    /// Finds out anew where something can happen. To be called when orders or positions changed.
    pub fn set_bands(&mut self, limit_fill: LimitFill) {
        let inside = match limit_fill {
            LimitFill::Through => 1,
            LimitFill::Touch => 0,
        };
        // The first price is looked at like one that fills, so that the many after it need no question whether they are the first.
        let mut limits = if self.first_at.is_some() { Band::QUIET } else { Band::ALERT };
        let mut triggers = Band::QUIET;
        for order in &self.orders {
            match order.stage {
                Stage::Taking => limits = Band::ALERT,
                Stage::Trailing { .. } => triggers = Band::ALERT,
                Stage::Resting => {
                    let price = order.limit().steps();
                    limits.narrow(match order.spec.side {
                        Side::Buy => Band { low: Price::from_steps(price - inside), ..Band::QUIET },
                        Side::Sell => Band { high: Price::from_steps(price.saturating_add(inside)), ..Band::QUIET },
                    });
                }
                Stage::Watching => {
                    let trigger = order.spec.order_type.trigger().unwrap_or(Price::ZERO);
                    triggers.narrow(if order.fires_downwards() {
                        Band { low: trigger, ..Band::QUIET }
                    } else {
                        Band { high: trigger, ..Band::QUIET }
                    });
                }
            }
        }
        if self.mark.is_zero() {
            triggers.narrow(self.safe);
        }
        self.limits = limits;
        self.triggers = triggers;
    }

    /// Maintenance margin of a position at the mark price, rounded up.
    pub fn maintenance(&self, side: PositionSide) -> Money {
        let notional = self.position(side).notional(self.mark()).unwrap_or(Money::MAX);
        margin::maintenance(&self.instrument, notional)
    }

    /// Unrealised profit at the mark price, rounded down.
    pub fn unrealized(&self, side: PositionSide) -> Money {
        Money::from_exact(self.position(side).exact_unrealized(self.mark()), Rounding::Floor).unwrap_or(Money::ZERO)
    }

    /// Initial margin that positions and open orders need, by the exchange's usual model: of what buying or selling everything
    /// that stands would lead to, the larger. `extra` is one more order; the order numbered `without` is left out.
    pub fn initial_margin(&self, without: Option<u64>, extra: Option<&Claim>) -> Money {
        let mark = self.mark();
        let open = self.orders.iter().filter(|order| Some(order.id) != without);
        let open = open.filter(|order| !order.is_conditional() && !order.spec.only_reduces());
        let open = open.map(|order| Claim {
            side: order.spec.side,
            position_side: order.position_side(),
            qty: order.remaining(),
            price: order.spec.order_type.price().unwrap_or(mark),
        });
        let mut reached = self.positions.map(|position| {
            let held = mark.exact_notional(position.qty());
            (held, held)
        });
        for claim in open.chain(extra.copied()) {
            let (bought, sold) = &mut reached[claim.position_side as usize];
            match claim.side {
                Side::Buy => *bought = bought.saturating_add(claim.price.exact_notional(claim.qty)),
                // Who sells below the mark has sold at the mark, as far as margin goes.
                Side::Sell => *sold = sold.saturating_sub(claim.price.max(mark).exact_notional(claim.qty)),
            }
        }
        let larger = reached.into_iter().map(|(bought, sold)| bought.saturating_abs().max(sold.saturating_abs()));
        let notionals = larger.map(|exact| Money::from_exact(exact, Rounding::Ceil).unwrap_or(Money::MAX));
        notionals.map(|notional| margin::initial(notional, self.leverage)).sum()
    }
}
