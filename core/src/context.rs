//! A Context is a strategy's view of the world and its voice: what is known now, and the commands that it gives.
//!
//! Commands are collected and leave after the callback, cancels first. Nothing here shows anything from the future: bars are
//! closed ones, prices have been said.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::account::Account;
use crate::attached::{IndicatorId, IndicatorKind};
use crate::bars::BarSeries;
use crate::command::{Actor, Command, Wish};
use crate::id::{ClientOrderId, SessionId, client_order_id};
use crate::instrument::{Instrument, Instruments};
use crate::ledger;
use crate::market::{BookTicker, SymbolId, Timeframe};
use crate::market_view::MarketView;
use crate::mode::{EngineMode, Mode};
use crate::order::{Order, OrderSpec, OrderType, PositionSide, Side, TimeInForce};
use crate::position::Position;
use crate::state::State;
use crate::units::{Money, Nanos, Price, Qty, Rate, Rounding, Timestamp};

/// What a strategy sees and says during one callback.
pub struct Context<'a> {
    pub(crate) now: Timestamp,
    pub(crate) mode: Mode,
    pub(crate) instruments: &'a Instruments,
    pub(crate) state: &'a State,
    pub(crate) account: &'a Account,
    pub(crate) market: &'a MarketView,
    pub(crate) outbox: &'a mut Outbox,
}

/// What a strategy said, until the engine takes it.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub commands: Vec<Command>,
    pub timers: Vec<(String, Timestamp)>,
    pub saved: Vec<(String, serde_json::Value)>,
    pub subscriptions: Vec<(SymbolId, Timeframe, usize)>,
    pub indicators: Vec<(SymbolId, Timeframe, IndicatorKind)>,
    pub session: SessionId,
    /// Names of orders that were given out, spoken ones included.
    pub orders_given: u64,
}

impl Outbox {
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
            && self.timers.is_empty()
            && self.saved.is_empty()
            && self.subscriptions.is_empty()
            && self.indicators.is_empty()
    }
}

/// What the strategy sees.
impl<'a> Context<'a> {
    /// The time at which what is being told became known.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// Backtest, chaos, testnet or production. A strategy that asks trades differently in each: log with it, do not decide.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Running, or only cancels and closes pass.
    pub fn engine_mode(&self) -> EngineMode {
        self.state.mode
    }

    pub fn instruments(&self) -> &'a Instruments {
        self.instruments
    }

    /// All subscribed symbols.
    pub fn symbols(&self) -> impl Iterator<Item = SymbolId> + use<> {
        (0..self.instruments.len()).map(|index| SymbolId(index as u16))
    }

    pub fn instrument(&self, symbol: SymbolId) -> &'a Instrument {
        self.instruments.get(symbol)
    }

    /// The one-way position of a symbol.
    #[inline]
    pub fn position(&self, symbol: SymbolId) -> &'a Position {
        self.state.position(symbol, PositionSide::Both)
    }

    /// A position in hedge mode.
    pub fn position_of(&self, symbol: SymbolId, side: PositionSide) -> &'a Position {
        self.state.position(symbol, side)
    }

    /// The profit that the symbol's positions would realise now; zero before the first price.
    pub fn unrealized(&self, symbol: SymbolId) -> Money {
        let Some(price) = self.account.price(symbol) else {
            return Money::ZERO;
        };
        let exact = self.state.positions(symbol).iter().map(|position| position.exact_unrealized(price)).sum();
        Money::from_exact(exact, Rounding::HalfEven).unwrap_or(Money::ZERO)
    }

    /// Wallet plus unrealised profit.
    pub fn equity(&self) -> Money {
        self.account.equity()
    }

    /// What is held, profit not counted.
    pub fn wallet(&self) -> Money {
        self.account.wallet()
    }

    /// The balance of one account of the ledger: fees paid so far, funding received, ... Expenses are positive, income is
    /// negative, as in the books.
    pub fn balance(&self, account: ledger::Account) -> Money {
        self.state.ledger.balance(self.account.asset(), account)
    }

    /// An estimate of what is free for new positions: equity less the initial margin of positions at their leverage. The
    /// exchange has the last word.
    pub fn available(&self) -> Money {
        let mut used = Money::ZERO;
        for symbol in self.symbols() {
            let leverage = i64::from(self.state.symbols[symbol.index()].leverage.unwrap_or(1).max(1));
            if let Some(price) = self.account.price(symbol) {
                for position in self.state.positions(symbol) {
                    let notional = position.notional(price).unwrap_or(Money::MAX);
                    used = used.saturating_add(Money::from_steps(notional.steps() / leverage));
                }
            }
        }
        self.equity().saturating_sub(used).max(Money::ZERO)
    }

    /// Open orders of a symbol, oldest first, those not yet acknowledged included.
    pub fn open_orders(&self, symbol: SymbolId) -> impl Iterator<Item = &'a Order> + use<'a> {
        self.state.open_orders(symbol)
    }

    /// An open order.
    pub fn order(&self, id: &ClientOrderId) -> Option<&'a Order> {
        self.state.orders.get(id)
    }

    pub fn last_price(&self, symbol: SymbolId) -> Option<Price> {
        self.market.last_price(symbol)
    }

    pub fn mark_price(&self, symbol: SymbolId) -> Option<Price> {
        self.market.mark_price(symbol)
    }

    pub fn book(&self, symbol: SymbolId) -> Option<&'a BookTicker> {
        self.market.book(symbol)
    }

    /// Closed bars of a timeframe that the data bring or that was subscribed to.
    pub fn bars(&self, symbol: SymbolId, timeframe: Timeframe) -> Option<&'a BarSeries> {
        self.market.bars(symbol, timeframe)
    }

    /// The newest value of an attached indicator; `None` while it warms up.
    pub fn indicator(&self, id: IndicatorId) -> Option<f64> {
        self.market.indicator(id).map(|values| values[0])
    }

    /// All values of an indicator that has several, in the order that [`IndicatorKind`] names.
    pub fn indicator_values(&self, id: IndicatorId) -> Option<[f64; 3]> {
        self.market.indicator(id)
    }

    /// What was saved under this key, in this run or before a restart. A value of another shape is as if there were none.
    pub fn load<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        let unsaved = self.outbox.saved.iter().rev().find(|(saved, _)| saved == key).map(|(_, value)| value);
        unsaved.or_else(|| self.state.memory.get(key)).and_then(|value| T::deserialize(value).ok())
    }
}

/// What the strategy says.
impl Context<'_> {
    /// Builds bars of this timeframe from now on (from finer bars or trades) and keeps the last `keep`.
    pub fn subscribe(&mut self, symbol: SymbolId, timeframe: Timeframe, keep: usize) {
        self.outbox.subscriptions.push((symbol, timeframe, keep));
    }

    /// Attaches an indicator to the bars of a timeframe; it is up to date when `on_bar` of that timeframe is called.
    pub fn attach(&mut self, symbol: SymbolId, timeframe: Timeframe, kind: IndicatorKind) -> IndicatorId {
        self.outbox.indicators.push((symbol, timeframe, kind));
        IndicatorId(self.market.indicators() + self.outbox.indicators.len() - 1)
    }

    /// Buys at market.
    pub fn buy(&mut self, symbol: SymbolId, qty: Qty) -> ClientOrderId {
        self.place(OrderSpec::market(symbol, Side::Buy, qty))
    }

    /// Sells at market.
    pub fn sell(&mut self, symbol: SymbolId, qty: Qty) -> ClientOrderId {
        self.place(OrderSpec::market(symbol, Side::Sell, qty))
    }

    /// A limit order, good till cancelled.
    pub fn limit(&mut self, symbol: SymbolId, side: Side, qty: Qty, price: Price) -> ClientOrderId {
        self.place(OrderSpec::limit(symbol, side, qty, price))
    }

    /// A limit order that never takes: it is rejected (-5022) when it would.
    pub fn post_only(&mut self, symbol: SymbolId, side: Side, qty: Qty, price: Price) -> ClientOrderId {
        let order_type = OrderType::Limit { price, tif: TimeInForce::Gtx };
        self.place(OrderSpec::market(symbol, side, qty).with_type(order_type))
    }

    /// A reduce-only stop: goes to market when the last price reaches `trigger` against the position.
    pub fn stop(&mut self, symbol: SymbolId, side: Side, qty: Qty, trigger: Price) -> ClientOrderId {
        self.place(OrderSpec::market(symbol, side, qty).with_type(OrderType::StopMarket { trigger }).reduce_only())
    }

    /// A reduce-only take profit: goes to market when the last price reaches `trigger` in the position's favour.
    pub fn take_profit(&mut self, symbol: SymbolId, side: Side, qty: Qty, trigger: Price) -> ClientOrderId {
        self.place(
            OrderSpec::market(symbol, side, qty).with_type(OrderType::TakeProfitMarket { trigger }).reduce_only(),
        )
    }

    /// A reduce-only trailing stop. `callback` is a rate: 0.01 follows at one percent.
    pub fn trailing(&mut self, symbol: SymbolId, side: Side, qty: Qty, callback: Rate) -> ClientOrderId {
        let order_type = OrderType::TrailingStopMarket { activation: None, callback };
        self.place(OrderSpec::market(symbol, side, qty).with_type(order_type).reduce_only())
    }

    /// Any order. The name is given at once; the order is at the exchange when its update says so.
    pub fn place(&mut self, spec: OrderSpec) -> ClientOrderId {
        self.outbox.orders_given += 1;
        let id = client_order_id(&self.outbox.session, self.outbox.orders_given);
        self.command(Wish::Place(spec), Some(id));
        id
    }

    /// Changes price and total quantity of a resting limit order; it loses its place in the queue.
    pub fn modify(&mut self, id: ClientOrderId, qty: Qty, price: Price) {
        self.command(Wish::Modify { client_order_id: id, qty, price }, None);
    }

    pub fn cancel(&mut self, id: ClientOrderId) {
        self.command(Wish::Cancel { client_order_id: id }, None);
    }

    /// Cancels every open order of the symbol, conditional ones included, that is not being cancelled already.
    pub fn cancel_all(&mut self, symbol: SymbolId) {
        self.outbox.commands.extend(cancels(self.state, symbol, Actor::Strategy));
    }

    /// Closes every position of the symbol at market.
    pub fn close(&mut self, symbol: SymbolId) {
        for spec in closes(self.state, self.instruments, symbol) {
            self.place(spec);
        }
    }

    /// Calls `on_timer` with this name at `due`, also after a restart. Setting a name again moves it.
    pub fn set_timer(&mut self, name: &str, due: Timestamp) {
        self.outbox.timers.push((name.to_owned(), due));
    }

    /// Calls `on_timer` after a span of time.
    pub fn set_timer_in(&mut self, name: &str, span: Nanos) {
        self.set_timer(name, self.now.plus(span));
    }

    /// Remembers a value across restarts. What cannot be written as JSON is not saved, and `false` says so.
    pub fn save<T: Serialize>(&mut self, key: &str, value: &T) -> bool {
        let Ok(value) = serde_json::to_value(value) else {
            return false;
        };
        self.outbox.saved.push((key.to_owned(), value));
        true
    }

    pub fn set_leverage(&mut self, symbol: SymbolId, leverage: u32) {
        self.command(Wish::SetLeverage { symbol, leverage }, None);
    }

    /// The quantity that `money` buys at the last price, floored to the symbol's step; zero before the first price.
    pub fn qty_for(&self, symbol: SymbolId, money: Money) -> Qty {
        let price = self.last_price(symbol).unwrap_or(Price::ZERO);
        let qty = money.qty_at(price, Rounding::Floor).unwrap_or(Qty::ZERO);
        qty.max(Qty::ZERO).floor_to_step(self.instrument(symbol).market_lot.step)
    }

    fn command(&mut self, wish: Wish, client_order_id: Option<ClientOrderId>) {
        self.outbox.commands.push(Command { actor: Actor::Strategy, client_order_id, wish });
    }
}

/// The cancels of every open order of a symbol that is not being cancelled already.
pub(crate) fn cancels(state: &State, symbol: SymbolId, actor: Actor) -> impl Iterator<Item = Command> {
    // Orders of others are the operator's business.
    let may =
        move |order: &&Order| actor == Actor::User || order.command.0 != 0 || state.is_ours(&order.client_order_id);
    let open =
        state.open_orders(symbol).filter(|order| !state.cancels.contains_key(&order.client_order_id)).filter(may);
    open.map(move |order| {
        let wish = Wish::Cancel { client_order_id: order.client_order_id };
        Command { actor, client_order_id: None, wish }
    })
}

/// The market orders that close every position of a symbol, in pieces that the market lot allows.
pub(crate) fn closes(state: &State, instruments: &Instruments, symbol: SymbolId) -> Vec<OrderSpec> {
    let most = instruments.get(symbol).market_lot.max;
    let mut specs = Vec::new();
    for position_side in PositionSide::ALL {
        let held = state.position(symbol, position_side).qty();
        let side = if held.is_positive() { Side::Sell } else { Side::Buy };
        let mut rest = held.abs();
        while rest.is_positive() {
            let piece = if most.is_positive() { rest.min(most) } else { rest };
            let spec = OrderSpec::market(symbol, side, piece).position_side(position_side);
            // Hedge mode has no reduce-only: the pair of sides says it.
            specs.push(if position_side == PositionSide::Both { spec.reduce_only() } else { spec });
            rest = rest.saturating_sub(piece);
        }
    }
    specs
}
