//! The SimExchange: what the exchange knows and decides.

mod account;
mod bar_path;
mod conditional;
mod figures;
mod history;
mod matching;
mod outside;
mod requests;

use std::collections::VecDeque;

use alphaengine_core::exchange::{
    ExchangeUpdate, Execution, ExpiryReason, OrderUpdate, Outgoing, Request, Setting, Standing, TransferReason,
};
use alphaengine_core::instrument::Instruments;
use alphaengine_core::market::{Bar, BookTicker, MarketData, MarketUpdate, SymbolId, Timeframe, Trade};
use alphaengine_core::order::{PositionSide, Side, TimeInForce};
use alphaengine_core::position::Position;
use alphaengine_core::units::{Money, NANOS_PER_SECOND, Nanos, Price, Timestamp};

use crate::config::SimConfig;
use crate::funding_watch::Traded;
use crate::order::LiveOrder;
use crate::symbol::SymbolMarket;
pub use figures::{AccountFigures, PositionFigures};
use history::History;

/// A bar's open stands as the market's price for this long; who comes later waits for the next price.
const FRESH: Nanos = NANOS_PER_SECOND;
/// Orders that are over and can still be asked about.
const REMEMBERED: usize = 4_096;

/// The exchange: our account, our orders, the newest prices.
///
/// It is told what the market does ([`SimExchange::on_market`]) and what we ask ([`SimExchange::submit`]); what it has to say
/// collects until it is taken ([`SimExchange::said`]).
#[derive(Debug)]
pub struct SimExchange {
    config: SimConfig,
    symbols: Vec<SymbolMarket>,
    /// Isolated margins left out.
    wallet: Money,
    hedge: bool,
    now: Timestamp,
    last_order_id: u64,
    transfers: u64,
    liquidations: u64,
    /// When the next good-till-date order ends.
    next_expiry: Timestamp,
    /// Orders that are over and how they ended, the newest last.
    over: VecDeque<(LiveOrder, Standing)>,
    history: History,
    out: Vec<ExchangeUpdate>,
}

impl SimExchange {
    /// An exchange with an empty account.
    pub fn new(config: SimConfig, instruments: &Instruments) -> SimExchange {
        let market = |(id, instrument): (SymbolId, &alphaengine_core::instrument::Instrument)| {
            SymbolMarket::new(id, instrument.clone(), config.leverage, config.isolated)
        };
        SimExchange {
            symbols: instruments.iter().map(market).collect(),
            wallet: Money::ZERO,
            hedge: config.hedge,
            config,
            now: Timestamp::MIN,
            last_order_id: 0,
            transfers: 0,
            liquidations: 0,
            next_expiry: Timestamp::MAX,
            over: VecDeque::new(),
            history: History::default(),
            out: Vec::new(),
        }
    }

    /// The account is opened: money comes in and the settings are told.
    pub fn open_account(&mut self, at: Timestamp) {
        self.now = at;
        self.transfer(self.config.cash, TransferReason::Deposit);
        self.out.push(ExchangeUpdate::Setting { symbol: None, setting: Setting::HedgeMode { hedge: self.hedge } });
        for market in &self.symbols {
            let symbol = Some(market.id);
            let leverage = Setting::Leverage { leverage: market.leverage };
            self.out.push(ExchangeUpdate::Setting { symbol, setting: leverage });
            let margin = Setting::MarginType { isolated: market.isolated };
            self.out.push(ExchangeUpdate::Setting { symbol, setting: margin });
        }
    }

    /// What the exchange has said since this was last asked, in order.
    pub fn said(&mut self) -> std::vec::Drain<'_, ExchangeUpdate> {
        self.out.drain(..)
    }

    /// Whether there is something to take.
    #[inline]
    pub fn has_said(&self) -> bool {
        !self.out.is_empty()
    }

    /// The market moved.
    #[inline]
    pub fn on_market(&mut self, update: &MarketUpdate) {
        self.now = update.at;
        if update.at >= self.next_expiry {
            self.expire_dated();
        }
        let market = &mut self.symbols[update.symbol.index()];
        match &update.data {
            MarketData::Trade(trade) => {
                market.has_trades = true;
                market.last = trade.price;
                market.last_at = update.at;
                if !(market.limits.holds(trade.price) && market.triggers.holds(trade.price)) {
                    self.on_trade(update.symbol, trade);
                }
            }
            MarketData::BookTicker(book) => {
                market.touch = Some(*book);
                market.last_at = update.at;
                let mut is_quiet = market.limits.low < book.ask && book.bid < market.limits.high;
                if !market.has_trades {
                    market.last = book.mid();
                    is_quiet &= market.triggers.holds(market.last);
                }
                if !is_quiet {
                    self.on_book(update.symbol, book);
                }
            }
            MarketData::BarOpen(open) => self.on_bar_open(update.symbol, open.price, open.timeframe),
            MarketData::Bar(bar) => self.on_bar(update.symbol, bar),
            MarketData::MarkPrice(mark) => self.on_mark(update.symbol, mark.price),
            MarketData::MarkBar(bar) => self.on_mark_bar(update.symbol, bar),
            MarketData::Funding(funding) => self.on_funding(update.symbol, funding),
        }
    }

    #[cold]
    #[inline(never)]
    fn on_trade(&mut self, symbol: SymbolId, trade: &Trade) {
        self.begin_trading(symbol);
        self.check_margin_at(symbol);
        self.take_waiting(symbol);
        self.fill_resting(symbol, |_| (trade.price, trade.qty));
        self.fire_at(symbol, trade.price, false);
        self.settle(symbol);
    }

    #[cold]
    #[inline(never)]
    fn on_book(&mut self, symbol: SymbolId, book: &BookTicker) {
        self.begin_trading(symbol);
        self.check_margin_at(symbol);
        self.take_waiting(symbol);
        self.fill_resting(symbol, |side| match side {
            Side::Buy => (book.ask, book.ask_qty),
            Side::Sell => (book.bid, book.bid_qty),
        });
        if !self.market(symbol).has_trades {
            self.fire_at(symbol, book.mid(), false);
        }
        self.settle(symbol);
    }

    fn on_bar_open(&mut self, symbol: SymbolId, price: Price, timeframe: Timeframe) {
        self.settle_mark_bar(symbol);
        let now = self.now;
        let market = self.market_mut(symbol);
        market.bar_timeframe = Some(timeframe);
        market.last_at = now;
        if !market.is_driven_by_bars() {
            return;
        }
        market.bar_open = now;
        market.fresh_until = now.plus(FRESH);
        market.last = price;
        if !(market.limits.holds(price) && market.triggers.holds(price)) {
            self.begin_trading(symbol);
            // What rests or watches acts in the walk through the bar, when its volume is known.
            self.check_margin_at(symbol);
            self.take_waiting(symbol);
            self.settle(symbol);
        }
    }

    fn on_bar(&mut self, symbol: SymbolId, bar: &Bar) {
        let now = self.now;
        let market = self.market_mut(symbol);
        market.last_at = now;
        if market.is_driven_by_bars() {
            let is_quiet = |price| market.limits.holds(price) && market.triggers.holds(price);
            if !(is_quiet(bar.low) && is_quiet(bar.high)) {
                self.begin_trading(symbol);
                self.walk_bar(symbol, bar);
            }
            let market = self.market_mut(symbol);
            market.last = bar.close;
            market.fresh_until = Timestamp::MIN;
        }
        self.settle_mark_bar(symbol);
    }

    fn on_mark(&mut self, symbol: SymbolId, price: Price) {
        self.settle_mark_bar(symbol);
        self.mark_is(symbol, price);
    }

    /// The mark bar and the bar of one minute are told one after the other, but happened together: what the mark did is
    /// looked at after what the last price did.
    fn on_mark_bar(&mut self, symbol: SymbolId, bar: &Bar) {
        self.settle_mark_bar(symbol);
        let market = self.market_mut(symbol);
        let base = market.bar_timeframe.unwrap_or(Timeframe::M1);
        market.funding_mark = bar.close;
        if bar.timeframe > base {
            return;
        }
        if market.is_driven_by_bars() {
            market.pending_mark = Some(*bar);
        } else {
            self.walk_mark_bar(symbol, bar);
        }
    }

    fn settle_mark_bar(&mut self, symbol: SymbolId) {
        if let Some(bar) = self.market_mut(symbol).pending_mark.take() {
            self.walk_mark_bar(symbol, &bar);
        }
    }

    /// A price came at which somebody can trade. The first one of a symbol always leads here, see [`SymbolMarket::set_bands`].
    fn begin_trading(&mut self, symbol: SymbolId) {
        let now = self.now;
        self.market_mut(symbol).first_at.get_or_insert(now);
    }

    /// From the first to the newest price at which somebody could trade the symbol; `None` before the first.
    pub(crate) fn traded(&self, symbol: SymbolId) -> Option<Traded> {
        let market = self.market(symbol);
        market.first_at.map(|from| Traded { from, to: market.last_at })
    }

    /// A request arrives.
    pub fn submit(&mut self, at: Timestamp, outgoing: &Outgoing) {
        self.now = self.now.max(at);
        if self.now >= self.next_expiry {
            self.expire_dated();
        }
        let id = outgoing.id;
        match outgoing.request {
            Request::PlaceOrder { client_order_id, spec } => self.place(id, client_order_id, &spec),
            Request::ModifyOrder { client_order_id, symbol, qty, price, .. } => {
                self.modify(id, client_order_id, symbol, qty, price);
            }
            Request::CancelOrder { client_order_id, symbol, conditional, .. } => {
                self.cancel(id, client_order_id, symbol, conditional);
            }
            Request::QueryOrder { client_order_id, symbol, conditional, .. } => {
                self.query(id, client_order_id, symbol, conditional);
            }
            Request::SetLeverage { symbol, leverage } => self.set_leverage(id, symbol, leverage),
            Request::SetMarginType { symbol, isolated } => self.set_margin_type(id, symbol, isolated),
            Request::SetHedgeMode { hedge } => self.set_hedge_mode(id, hedge),
            Request::CancelAll { symbol } => self.cancel_all(id, symbol),
            Request::Snapshot => self.tell_snapshot(id),
            Request::Trades { symbol, from_id, since } => self.tell_trades(id, symbol, from_id, since),
            Request::Income { since } => self.tell_income(id, since),
        }
    }

    /// The cross wallet: isolated margins are left out.
    pub fn wallet(&self) -> Money {
        self.wallet
    }

    pub fn position(&self, symbol: SymbolId, side: PositionSide) -> &Position {
        self.market(symbol).position(side)
    }

    /// The isolated margin of a position.
    pub fn margin(&self, symbol: SymbolId, side: PositionSide) -> Money {
        self.market(symbol).margins[side as usize]
    }

    /// How many orders are open, conditional ones included.
    pub fn open_orders(&self) -> usize {
        self.symbols.iter().map(|market| market.orders.len()).sum()
    }

    pub fn config(&self) -> &SimConfig {
        &self.config
    }

    fn market(&self, symbol: SymbolId) -> &SymbolMarket {
        &self.symbols[symbol.index()]
    }

    fn market_mut(&mut self, symbol: SymbolId) -> &mut SymbolMarket {
        &mut self.symbols[symbol.index()]
    }

    /// Good-till-date orders whose time has come.
    #[cold]
    fn expire_dated(&mut self) {
        let now = self.now;
        let mut next = Timestamp::MAX;
        for symbol in 0..self.symbols.len() {
            let symbol = SymbolId(symbol as u16);
            let mut index = 0;
            while index < self.market(symbol).orders.len() {
                match self.market(symbol).orders[index].tif() {
                    TimeInForce::Gtd { until } if until <= now => {
                        self.remove(symbol, index, Execution::Expired(ExpiryReason::GoodTillDate));
                        continue;
                    }
                    TimeInForce::Gtd { until } => next = next.min(until),
                    _ => {}
                }
                index += 1;
            }
            self.settle(symbol);
        }
        self.next_expiry = next;
    }

    /// Takes an order out and says why.
    fn remove(&mut self, symbol: SymbolId, index: usize, why: Execution) -> LiveOrder {
        let order = self.market_mut(symbol).orders.remove(index);
        self.tell(&order, why);
        self.forget(&order, ending(why));
        order
    }

    fn forget(&mut self, order: &LiveOrder, how: Standing) {
        if self.over.len() == REMEMBERED {
            self.over.pop_front();
        }
        self.over.push_back((*order, how));
    }

    fn tell(&mut self, order: &LiveOrder, execution: Execution) {
        let update = OrderUpdate {
            at: self.now,
            client_order_id: order.client_order_id,
            order_id: order.id,
            symbol: order.spec.symbol,
            side: order.spec.side,
            position_side: order.spec.position_side,
            execution,
        };
        if let Execution::Trade(_) = execution {
            self.history.traded(update);
        }
        self.out.push(ExchangeUpdate::Order(update));
    }

    fn next_order_id(&mut self) -> u64 {
        self.last_order_id += 1;
        self.last_order_id
    }

    /// Orders or positions of the symbol changed: find out anew what to watch.
    fn settle(&mut self, symbol: SymbolId) {
        let limit_fill = self.config.limit_fill;
        self.market_mut(symbol).set_bands(limit_fill);
    }
}

/// Where an order stands that left the book for this reason.
const fn ending(why: Execution) -> Standing {
    match why {
        Execution::Expired(reason) => Standing::Expired(reason),
        Execution::TriggerRejected { .. } => Standing::Rejected,
        Execution::Trade(_) => Standing::Filled,
        Execution::New | Execution::Canceled | Execution::Amended { .. } | Execution::Triggered { .. } => {
            Standing::Canceled
        }
    }
}
