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
            limits: Band::QUIET,
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
        }
    }

    /// The mark price: that of the data, else the last price. Zero before the first.
    #[inline]
    pub fn mark(&self) -> Price {
        if self.mark.is_zero() { self.last } else { self.mark }
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
        let (mut limits, mut triggers) = (Band::QUIET, Band::QUIET);
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

    /// Initial margin that positions and open orders need, with one more order of `extra` signed quantity at `price`: the
    /// larger of the two sides that could be reached, by the exchange's usual model. `extra_side` says which position.
    pub fn initial_margin(&self, extra: Qty, extra_side: PositionSide, price: Price) -> Money {
        let mut total = Money::ZERO;
        for side in PositionSide::ALL {
            let held = self.position(side).qty().steps();
            let (mut up, mut down) = (held, held);
            let mut worst = self.mark();
            for order in self.orders.iter().filter(|order| !order.is_conditional() && order.position_side() == side) {
                if order.spec.only_reduces() {
                    continue;
                }
                let rest = order.remaining().steps();
                match order.spec.side {
                    Side::Buy => up = up.saturating_add(rest),
                    Side::Sell => down = down.saturating_sub(rest),
                }
                if let Some(limit) = order.spec.order_type.price() {
                    worst = worst.max(limit);
                }
            }
            if side == extra_side && !extra.is_zero() {
                if extra.is_positive() {
                    up = up.saturating_add(extra.steps());
                } else {
                    down = down.saturating_add(extra.steps());
                }
                worst = worst.max(price);
            }
            let size = Qty::from_steps(up.saturating_abs().max(down.saturating_abs()));
            let notional = worst.notional(size, Rounding::Ceil).unwrap_or(Money::MAX);
            total = total.saturating_add(margin::initial(notional, self.leverage));
        }
        total
    }
}
