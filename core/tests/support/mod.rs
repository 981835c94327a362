//! What the tests of the engine share: a strategy that says what it is told to say, and a desk that plays the world by hand.

#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot run should say so at once")]

pub mod script;
pub mod venue;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use alphaengine_core::command::{OperatorCommand, OperatorOrder};
use alphaengine_core::engine::{Config, Engine, Error};
use alphaengine_core::event::Recorded;
use alphaengine_core::exchange::{
    ExchangeUpdate, Execution, Fill, FundingPayment, Input, OrderUpdate, Outcome, Outgoing, Request, TransferReason,
};
use alphaengine_core::id::{RequestId, SessionId};
use alphaengine_core::instrument::Catalog;
use alphaengine_core::market::{MarketData, MarketUpdate};
use alphaengine_core::mode::Mode;
use alphaengine_core::prelude::*;
use alphaengine_core::state::State;
use alphaengine_core::store::{Encoder, EventLog, MemoryLog, Scope};
use alphaengine_core::units::{NANOS_PER_MILLI, NANOS_PER_SECOND, Nanos};

pub const BTC: SymbolId = SymbolId(0);
pub const ETH: SymbolId = SymbolId(1);

/// Two contracts of the built-in table.
pub fn instruments() -> Instruments {
    of(&["BTCUSDT", "ETHUSDT"])
}

pub fn of(symbols: &[&str]) -> Instruments {
    let catalog = Catalog::builtin();
    let named = symbols.iter().map(|symbol| catalog.get(&symbol.parse().unwrap()).unwrap().clone());
    Instruments::new(named.collect()).unwrap()
}

pub fn session() -> SessionId {
    "0123456789abcdef".parse().unwrap()
}

pub fn scope() -> Scope {
    Scope::binance_futures(Mode::Chaos, session(), "sim")
}

/// Noon of the day on which every test begins.
pub fn noon() -> Timestamp {
    "2025-05-04T12:00:00Z".parse().unwrap()
}

pub fn config() -> Config {
    let instruments = instruments();
    Config {
        session: session(),
        mode: Mode::Chaos,
        strategy: "puppet".into(),
        description: serde_json::json!({ "seed": 7 }),
        asset: "USDT".parse().unwrap(),
        base_timeframes: vec![None; instruments.len()],
        instruments,
        trade_bars: Timeframe::M1,
        limits: alphaengine_core::risk::Limits::default(),
        recv_window: 2 * NANOS_PER_SECOND,
        commit_each_step: true,
        live: None,
    }
}

pub fn qty(text: &str) -> Qty {
    text.parse().unwrap()
}

pub fn price(text: &str) -> Price {
    text.parse().unwrap()
}

pub fn money(text: &str) -> Money {
    text.parse().unwrap()
}

type Words = Box<dyn FnOnce(&mut Context<'_>)>;
type Reflex = Box<dyn FnMut(&mut Context<'_>, &str)>;

/// A strategy that speaks on a cue, which is a quote, and writes down what it hears. It may have a reflex, which answers
/// every callback.
#[derive(Clone, Default)]
pub struct Puppet {
    words: Rc<RefCell<VecDeque<Words>>>,
    reflex: Rc<RefCell<Option<Reflex>>>,
    heard: Rc<RefCell<Vec<String>>>,
}

impl Puppet {
    pub fn with_reflex(reflex: impl FnMut(&mut Context<'_>, &str) + 'static) -> Puppet {
        Puppet { reflex: Rc::new(RefCell::new(Some(Box::new(reflex)))), ..Puppet::default() }
    }

    /// What was heard since this was last asked.
    pub fn heard(&self) -> Vec<String> {
        std::mem::take(&mut self.heard.borrow_mut())
    }

    fn hear(&self, ctx: &mut Context<'_>, what: String) {
        if let Some(reflex) = &mut *self.reflex.borrow_mut() {
            reflex(ctx, &what);
        }
        self.heard.borrow_mut().push(what);
    }
}

impl Strategy for Puppet {
    fn info() -> StrategyInfo {
        StrategyInfo { name: "puppet", about: "Says what it is told to say.", params: vec![] }
    }

    fn new(_: &Params, _: &Instruments) -> Result<Puppet, String> {
        Ok(Puppet::default())
    }

    fn on_start(&mut self, ctx: &mut Context<'_>) {
        self.hear(ctx, "start".into());
    }

    fn on_book_ticker(&mut self, ctx: &mut Context<'_>, _: SymbolId, _: &BookTicker) {
        let words = self.words.borrow_mut().pop_front();
        if let Some(words) = words {
            words(ctx);
        }
    }

    fn on_mark_price(&mut self, ctx: &mut Context<'_>, _: SymbolId, mark: Price) {
        self.hear(ctx, format!("mark {mark}"));
    }

    fn on_fill(&mut self, ctx: &mut Context<'_>, _: SymbolId, trade: &TradeExecuted) {
        self.hear(ctx, format!("fill {} at {}", trade.fill.qty, trade.fill.price));
    }

    fn on_order_update(&mut self, ctx: &mut Context<'_>, order: &Order, news: OrderNews<'_>) {
        let news = format!("{news:?}");
        let news = news.split(['(', ' ']).next().unwrap_or("");
        self.hear(ctx, format!("{} {news}", order.status.name()));
    }

    fn on_refusal(
        &mut self,
        ctx: &mut Context<'_>,
        wish: &alphaengine_core::command::Wish,
        _: Option<ClientOrderId>,
        refusal: &alphaengine_core::command::Refusal,
    ) {
        self.hear(ctx, format!("refused {}: {refusal}", wish.name()));
    }

    fn on_timer(&mut self, ctx: &mut Context<'_>, name: &str) {
        self.hear(ctx, format!("timer {name}"));
    }

    fn on_stop(&mut self, ctx: &mut Context<'_>) {
        self.hear(ctx, "stop".into());
    }
}

/// An engine with its puppet, and a hand that plays the world.
pub struct Desk<L> {
    pub engine: Engine<Puppet, L>,
    pub puppet: Puppet,
    pub now: Timestamp,
    /// Every request that ever left.
    pub sent: Vec<Outgoing>,
    last_id: u64,
}

impl Desk<MemoryLog> {
    /// An engine at noon, with 10,000 USDT, BTCUSDT at 100 and ETHUSDT at 10.
    pub fn new() -> Desk<MemoryLog> {
        Desk::with(config())
    }

    pub fn with(config: Config) -> Desk<MemoryLog> {
        Desk::of(config, Puppet::default())
    }

    pub fn of(config: Config, puppet: Puppet) -> Desk<MemoryLog> {
        let log = MemoryLog::new(Encoder::new(scope(), &config.instruments));
        let mut desk = Desk::over(Engine::new(config, puppet.clone(), log), puppet, noon());
        desk.open();
        desk
    }

    pub fn events(&self) -> &[Recorded] {
        self.engine.log().events()
    }

    /// What is in the log, one word an event.
    pub fn types(&self) -> Vec<&'static str> {
        self.events().iter().map(|recorded| recorded.event.event_type()).collect()
    }

    /// Ends the process, and begins another one over the same log.
    pub fn restart(self, config: Config) -> Desk<MemoryLog> {
        let events = self.events().to_vec();
        recovered(config, Puppet::default(), &events, self.now)
    }
}

/// An engine that recovered from these events.
pub fn recovered(config: Config, puppet: Puppet, events: &[Recorded], now: Timestamp) -> Desk<MemoryLog> {
    let mut log = MemoryLog::new(Encoder::new(scope(), &config.instruments));
    log.append(events).unwrap();
    let tail = events.iter().cloned().map(Ok);
    let engine = Engine::recover(config, puppet.clone(), log, None, tail).unwrap();
    Desk::over(engine, puppet, now)
}

impl<L: EventLog> Desk<L> {
    pub fn over(engine: Engine<Puppet, L>, puppet: Puppet, now: Timestamp) -> Desk<L> {
        Desk { engine, puppet, now, sent: Vec::new(), last_id: 1_000 }
    }

    pub fn open(&mut self) {
        self.transfer(0, "10000", TransferReason::Deposit);
        self.step(Input::Ready);
        self.price(BTC, "100");
        self.price(ETH, "10");
    }

    pub fn state(&self) -> &State {
        self.engine.state()
    }

    /// One step, and the requests that left with it.
    pub fn step(&mut self, input: Input<'_>) -> Vec<Outgoing> {
        self.try_step(input).unwrap()
    }

    pub fn try_step(&mut self, input: Input<'_>) -> Result<Vec<Outgoing>, Error> {
        let sent: Vec<Outgoing> = self.engine.step(self.now, input)?.collect();
        self.sent.extend(&sent);
        Ok(sent)
    }

    pub fn market(&mut self, symbol: SymbolId, data: MarketData) -> Vec<Outgoing> {
        let update = MarketUpdate { at: self.now, symbol, data };
        self.step(Input::Market(&update))
    }

    pub fn price(&mut self, symbol: SymbolId, text: &str) -> Vec<Outgoing> {
        let trade = Trade { id: 1, price: price(text), qty: Qty::ONE, is_buyer_maker: false };
        self.market(symbol, MarketData::Trade(trade))
    }

    /// Gives the puppet its cue.
    pub fn say(&mut self, words: impl FnOnce(&mut Context<'_>) + 'static) -> Vec<Outgoing> {
        self.try_say(words).unwrap()
    }

    pub fn try_say(&mut self, words: impl FnOnce(&mut Context<'_>) + 'static) -> Result<Vec<Outgoing>, Error> {
        self.puppet.words.borrow_mut().push_back(Box::new(words));
        let (bid, ask) = (price("99"), price("101"));
        let book = BookTicker { update_id: 1, bid, bid_qty: Qty::ONE, ask, ask_qty: Qty::ONE };
        let quote = MarketUpdate { at: self.now, symbol: BTC, data: MarketData::BookTicker(book) };
        self.try_step(Input::Market(&quote))
    }

    /// Has the puppet place an order: its name and its request, if it was not refused.
    pub fn place(&mut self, spec: OrderSpec) -> (ClientOrderId, Option<RequestId>) {
        let name = Rc::new(Cell::new(ClientOrderId::default()));
        let given = Rc::clone(&name);
        let sent = self.say(move |ctx| given.set(ctx.place(spec)));
        (name.get(), sent.first().map(|outgoing| outgoing.id))
    }

    /// An order that the exchange has.
    pub fn placed(&mut self, spec: OrderSpec) -> ClientOrderId {
        let (name, id) = self.place(spec);
        let order_id = self.next_id();
        self.answer(id.expect("the order was not refused"), Outcome::Placed { order_id });
        name
    }

    pub fn cancel(&mut self, name: ClientOrderId) -> Vec<Outgoing> {
        self.say(move |ctx| ctx.cancel(name))
    }

    /// Lets time pass, wakes the engine whenever it wants to be, and collects what it asked meanwhile.
    pub fn wait(&mut self, span: Nanos) -> Vec<Outgoing> {
        let until = self.now.plus(span);
        let mut sent = Vec::new();
        while self.engine.wake_at() < until {
            self.now = self.engine.wake_at().max(self.now.plus(1));
            sent.extend(self.step(Input::Wake));
        }
        self.now = until;
        sent.extend(self.step(Input::Wake));
        sent
    }

    pub fn hear(&mut self, update: &ExchangeUpdate) -> Vec<Outgoing> {
        self.step(Input::Exchange(update))
    }

    pub fn answer(&mut self, id: RequestId, outcome: Outcome) -> Vec<Outgoing> {
        self.hear(&ExchangeUpdate::Answer { id, outcome })
    }

    pub fn lost(&mut self, id: RequestId) -> Vec<Outgoing> {
        self.answer(id, Outcome::Unknown { reason: "no answer within 10 s".into() })
    }

    pub fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// An update of an order that is open.
    pub fn update(&mut self, name: ClientOrderId, execution: Execution) -> Vec<Outgoing> {
        let order = self.state().orders[&name];
        let order_id = if order.order_id == 0 { self.next_id() } else { order.order_id };
        let (side, position_side) = (order.spec.side, order.spec.position_side);
        let update = OrderUpdate {
            at: self.now,
            client_order_id: name,
            order_id,
            symbol: order.symbol,
            side,
            position_side,
            execution,
        };
        self.hear(&ExchangeUpdate::Order(update))
    }

    /// A fill of an open order with the numbers of the exchange: what the position realises, and four basis points.
    pub fn fill_of(&mut self, name: ClientOrderId, quantity: Qty, at: Price) -> Fill {
        let order = self.state().orders[&name];
        let mut position = *self.state().position(order.symbol, order.spec.position_side);
        let realized = position.fill(order.spec.side.signed(quantity), at).unwrap();
        let fee = at.fee(quantity, "0.0004".parse().unwrap(), Rounding::HalfEven).unwrap();
        let fee_asset = "USDT".parse().unwrap();
        let trade_id = self.next_id();
        Fill { trade_id, price: at, qty: quantity, fee, fee_asset, is_maker: false, is_liquidation: false, realized }
    }

    pub fn fill(&mut self, name: ClientOrderId, quantity: &str, at: &str) -> Vec<Outgoing> {
        let fill = self.fill_of(name, qty(quantity), price(at));
        self.update(name, Execution::Trade(fill))
    }

    /// Buys or sells (a negative quantity) at market and has it filled.
    pub fn trade(&mut self, signed: &str, at: &str) {
        let signed = qty(signed);
        let side = if signed.is_negative() { Side::Sell } else { Side::Buy };
        let name = self.placed(OrderSpec::market(BTC, side, signed.abs()));
        self.fill(name, &signed.abs().to_string(), at);
    }

    pub fn fund(&mut self, amount: &str, settled_at: Timestamp) {
        let payment = FundingPayment {
            symbol: BTC,
            position_side: PositionSide::Both,
            settled_at,
            rate: Some(Rate::ZERO),
            mark: Some(Price::ONE),
            position: self.state().position(BTC, PositionSide::Both).qty(),
            amount: money(amount),
            id: None,
        };
        self.hear(&ExchangeUpdate::Funding(payment));
    }

    pub fn transfer(&mut self, id: u64, amount: &str, reason: TransferReason) {
        let asset = "USDT".parse().unwrap();
        self.hear(&ExchangeUpdate::Transfer { at: self.now, id, asset, amount: money(amount), reason });
    }

    pub fn operator(&mut self, key: &str, order: OperatorOrder) -> Vec<Outgoing> {
        self.step(Input::Operator(&OperatorCommand { key: key.into(), who: "ada".into(), order }))
    }

    pub fn balance(&self, account: alphaengine_core::ledger::Account) -> String {
        self.state().ledger.balance("USDT".parse().unwrap(), account).to_string()
    }
}

/// What requests ask for, one line each.
pub fn words(sent: &[Outgoing]) -> Vec<String> {
    let word = |outgoing: &Outgoing| match outgoing.request {
        Request::PlaceOrder { spec, .. } => {
            let reduce = if spec.only_reduces() { " reduce-only" } else { "" };
            format!("place {} {} {}{reduce}", spec.side.name(), spec.order_type.name(), spec.qty)
        }
        Request::ModifyOrder { qty, price, .. } => format!("modify to {qty} at {price}"),
        Request::CancelOrder { conditional, .. } => format!("cancel{}", if conditional { " conditional" } else { "" }),
        Request::QueryOrder { conditional, .. } => format!("query{}", if conditional { " conditional" } else { "" }),
        Request::SetLeverage { leverage, .. } => format!("leverage {leverage}"),
        Request::SetMarginType { isolated, .. } => format!("isolated {isolated}"),
        Request::SetHedgeMode { hedge } => format!("hedge {hedge}"),
        Request::CancelAll { symbol } => format!("cancel all {}", symbol.0),
        Request::Snapshot => "snapshot".into(),
        Request::Trades { symbol, from_id: 0, .. } => format!("trades {} since", symbol.0),
        Request::Trades { symbol, from_id, .. } => format!("trades {} from {from_id}", symbol.0),
        Request::Income { .. } => "income".into(),
    };
    sent.iter().map(word).collect()
}

pub const SECOND: Nanos = NANOS_PER_SECOND;
pub const MILLI: Nanos = NANOS_PER_MILLI;
