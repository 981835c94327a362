//! Performance follows what a run comes to: equity, round trips, costs and execution, fed by the engine as it goes.
//!
//! [`Performance::price`] and [`Performance::observe`] stand on the hot path of every market update: two or three comparisons,
//! no allocation. All else is out of line. What is kept does not grow with the length of a run beyond a fixed bound.

use crate::account::Account;
use crate::event::{Event, Recorded, TradeExecuted};
use crate::exchange::TransferReason;
use crate::id::Asset;
use crate::market::SymbolId;
use crate::report::{Costs, EquityCurve, EquityTracker, Execution, RoundTrips};
use crate::state::State;
use crate::units::{Money, Price, Qty, Timestamp};

/// What a run comes to.
#[derive(Debug)]
pub struct Performance {
    /// When `observe` has more to do than compare: the tracker's next boundary, or at once.
    due: Timestamp,
    /// `None` before the first money and after the end.
    tracker: Option<EquityTracker>,
    /// By [`SymbolId`].
    prices: Vec<Prices>,
    /// The magnitude of each symbol's positions, by [`SymbolId`], as of the last observation.
    held: Vec<Qty>,
    /// Magnitudes that changed since.
    changed: Vec<(SymbolId, Qty)>,
    /// Money or positions moved since the last observation.
    moved: bool,
    /// The moved money is capital with which the run begins.
    is_capital: bool,
    wallet: Money,
    asset: Asset,
    trips: RoundTrips,
    costs: Costs,
    execution: Execution,
    /// Deposits less withdrawals after the start.
    transfers: Money,
    insurance: Money,
    ended: Option<Ending>,
    curve: EquityCurve,
}

/// What is left open when a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// What the positions would have realised.
    pub unrealized: Money,
    /// Orders that were not over.
    pub open_orders: u64,
}

/// The first and the newest price of a symbol; zero before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Prices {
    pub first: Price,
    pub last: Price,
}

impl Performance {
    pub fn new(symbols: usize) -> Performance {
        Performance {
            due: Timestamp::MIN,
            tracker: None,
            prices: vec![Prices::default(); symbols],
            held: vec![Qty::ZERO; symbols],
            changed: Vec::with_capacity(4),
            moved: false,
            is_capital: false,
            wallet: Money::ZERO,
            asset: Asset::default(),
            trips: RoundTrips::new(symbols),
            costs: Costs::default(),
            execution: Execution::default(),
            transfers: Money::ZERO,
            insurance: Money::ZERO,
            ended: None,
            curve: EquityCurve::empty(Timestamp::ZERO),
        }
    }

    /// Takes an event that was just folded into the state. Where it moved money or positions, an observation follows.
    pub fn fold(&mut self, recorded: &Recorded, state: &State) {
        let at = recorded.at;
        match &recorded.event {
            Event::OrderRequested(event) => self.execution.requested(event.client_order_id, at),
            Event::OrderPlaced(event) => self.execution.answered(&event.client_order_id, at),
            Event::TradeExecuted(event) => self.trade(recorded, event, state),
            Event::OrderCanceled(event) => {
                self.execution.answered(&event.client_order_id, at);
                self.execution.canceled += 1;
            }
            Event::OrderExpired(event) => {
                self.execution.answered(&event.client_order_id, at);
                self.execution.expired += 1;
            }
            Event::OrderRejected(event) => {
                self.execution.answered(&event.client_order_id, at);
                self.execution.rejected += 1;
                *self.execution.rejects.entry(event.error.code).or_default() += 1;
            }
            Event::OrderProvenAbsent(_) => self.execution.rejected += 1,
            Event::CancelRejected(event) => {
                *self.execution.change_rejects.entry(event.error.code).or_default() += 1;
            }
            Event::ModifyRejected(event) => {
                *self.execution.change_rejects.entry(event.error.code).or_default() += 1;
            }
            Event::CommandRefused(event) => self.execution.refused(&event.refusal),
            Event::PositionAdopted(_) => {
                if let Some(symbol) = recorded.symbol {
                    self.holds(symbol, state);
                }
                self.money_moves();
            }
            Event::LiquidationStarted(_) => self.execution.liquidations += 1,
            Event::FundingApplied(event) => {
                self.costs.fund(event.payment.amount);
                self.trips.fund(&event.payment);
                self.money_moves();
            }
            Event::TransferBooked(event) => {
                match event.reason {
                    // A run begins once, whatever comes later.
                    TransferReason::Deposit if event.id == 0 && self.trips.fills == 0 => self.is_capital = true,
                    TransferReason::Opening if self.trips.fills == 0 => self.is_capital = true,
                    _ if event.asset != self.asset => {}
                    TransferReason::InsuranceClear => self.insurance = self.insurance.saturating_add(event.amount),
                    _ => self.transfers = self.transfers.saturating_add(event.amount),
                }
                self.money_moves();
            }
            _ => {}
        }
    }

    fn trade(&mut self, recorded: &Recorded, event: &TradeExecuted, state: &State) {
        let Some(symbol) = recorded.symbol else {
            return;
        };
        self.execution.answered(&event.client_order_id, recorded.at);
        self.execution.fills += 1;
        self.costs.fill(&event.fill);
        // Fees in another asset have no price here: they are told apart and belong to no trade.
        let is_same_asset = event.fill.fee_asset == state.margin_asset(symbol);
        let fee = if is_same_asset { event.fill.fee } else { Money::ZERO };
        let after = state.position(symbol, event.position_side).qty();
        self.trips.fill(symbol, event, fee, after);
        self.holds(symbol, state);
        self.money_moves();
    }

    fn holds(&mut self, symbol: SymbolId, state: &State) {
        let held = state.positions(symbol).iter().map(|position| position.qty().abs());
        self.changed.push((symbol, held.fold(Qty::ZERO, Qty::saturating_add)));
    }

    fn money_moves(&mut self) {
        self.moved = true;
        self.due = Timestamp::MIN;
    }

    /// A price was said.
    #[inline]
    pub fn price(&mut self, symbol: SymbolId, price: Price) {
        let prices = &mut self.prices[symbol.index()];
        if prices.first.is_zero() {
            prices.first = price;
        }
        prices.last = price;
    }

    /// A price changed the equity.
    #[inline]
    pub fn observe(&mut self, at: Timestamp, account: &Account) {
        if at >= self.due {
            self.observe_due(at, account, |symbol| account.price_before(symbol));
        } else if let Some(tracker) = &mut self.tracker {
            tracker.observe(at, account.equity_exact());
        }
    }

    /// Everything that moved money or positions at one instant has done so, and no price changed with it.
    pub fn observe_moves(&mut self, at: Timestamp, account: &Account) {
        self.observe_due(at, account, |symbol| account.price(symbol));
    }

    /// An observation with which the run begins, a bucket or a day ends, or after which money or positions are different.
    #[cold]
    fn observe_due(&mut self, at: Timestamp, account: &Account, before: impl Fn(SymbolId) -> Option<Price>) {
        if self.ended.is_some() {
            return;
        }
        let is_start = std::mem::take(&mut self.is_capital) || self.tracker.is_none();
        let notional_before = self.notional(before);
        for (symbol, held) in self.changed.drain(..) {
            self.held[symbol.index()] = held;
        }
        if is_start {
            self.asset = account.asset();
            self.tracker = Some(EquityTracker::new(at, account.equity()));
        }
        let notional = self.notional(|symbol| account.price(symbol));
        let Some(tracker) = &mut self.tracker else {
            return;
        };
        // Until now the wallet, the quantities held and their prices were what they were.
        tracker.roll(at, self.wallet, notional_before);
        if self.moved {
            tracker.account_changed(at, account.equity_exact(), notional);
        } else {
            tracker.observe(at, account.equity_exact());
        }
        self.moved = false;
        self.wallet = account.wallet();
        self.due = tracker.next_boundary();
    }

    /// The magnitude of what was held at the last observation, at these prices.
    fn notional(&self, price: impl Fn(SymbolId) -> Option<Price>) -> Money {
        let held = self.held.iter().enumerate().filter(|(_, held)| !held.is_zero());
        held.fold(Money::ZERO, |total, (index, held)| {
            let price = price(SymbolId(index as u16)).unwrap_or(Price::ZERO);
            total.saturating_add(price.notional(*held, crate::units::Rounding::Ceil).unwrap_or(Money::MAX))
        })
    }

    /// The run has ended. What comes after is not counted.
    pub fn finish(&mut self, at: Timestamp, state: &State, account: &Account) {
        if self.ended.is_some() {
            return;
        }
        self.ended = Some(Ending { unrealized: account.unrealized(), open_orders: state.orders.len() as u64 });
        self.due = Timestamp::MAX;
        self.curve = match self.tracker.take() {
            Some(tracker) => tracker.finish(at, account.wallet(), account.notional(state)),
            None => EquityCurve::empty(at),
        };
    }

    /// The equity over time. Empty before [`Performance::finish`].
    pub fn curve(&self) -> &EquityCurve {
        &self.curve
    }

    /// The first and the last price of a symbol.
    pub fn prices(&self, symbol: SymbolId) -> Prices {
        self.prices[symbol.index()]
    }

    /// The asset in which equity is counted.
    pub fn asset(&self) -> Asset {
        self.asset
    }

    pub fn trips(&self) -> &RoundTrips {
        &self.trips
    }

    pub fn costs(&self) -> &Costs {
        &self.costs
    }

    pub fn execution(&self) -> &Execution {
        &self.execution
    }

    /// Deposits less withdrawals after the start.
    pub fn transfers(&self) -> Money {
        self.transfers
    }

    /// What the insurance fund made up for.
    pub fn insurance(&self) -> Money {
        self.insurance
    }

    /// `None` before [`Performance::finish`].
    pub fn ending(&self) -> Option<Ending> {
        self.ended
    }
}
