//! Scripts of what may happen, drawn at random and played by hand: a strategy, an operator and an exchange that mixes up the
//! order of its news, loses answers and says things twice.

#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

use alphaengine_core::command::OperatorOrder;
use alphaengine_core::engine::Config;
use alphaengine_core::exchange::{
    ExchangeError, ExchangeUpdate, Execution, ExpiryReason, Fill, FundingPayment, OrderUpdate, Outcome, Request,
    Setting, Standing, TransferReason,
};
use alphaengine_core::prelude::*;
use alphaengine_core::risk::Limits;
use alphaengine_core::store::MemoryLog;
use alphaengine_core::units::{NANOS_PER_MINUTE, Nanos};
use proptest::prelude::{Just, any, prop, prop_oneof};
use proptest::sample::Index;
use proptest::strategy::Strategy;

use super::{BTC, Desk, ETH, SECOND, config, money};

/// One thing that happens. Indices choose among what there is; where there is nothing, nothing happens.
#[derive(Debug, Clone)]
pub enum Act {
    Price {
        symbol: SymbolId,
        cents: i64,
    },
    Place {
        symbol: SymbolId,
        side: Side,
        spec: Spec,
        qty: i64,
    },
    Cancel(Index),
    Modify {
        order: Index,
        qty: i64,
        price: i64,
    },
    Leverage(u32),
    Timer(Nanos),
    Save(i64),
    Answer {
        request: Index,
        with: Answer,
    },
    News {
        order: Index,
        news: News,
    },
    Fund {
        symbol: SymbolId,
        amount: i64,
    },
    Transfer {
        id: u64,
        amount: i64,
    },
    Margin {
        symbol: SymbolId,
        wallet: i64,
    },
    Hedge(bool),
    /// The exchange says something again that it said before.
    Echo(Index),
    Operator {
        key: u8,
        order: OperatorOrder,
    },
    Wait(Nanos),
}

#[derive(Debug, Clone, Copy)]
pub enum Spec {
    Market,
    Limit,
    Stop,
    Close,
}

#[derive(Debug, Clone, Copy)]
pub enum Answer {
    Good,
    Rejected,
    Duplicate,
    Lost,
}

#[derive(Debug, Clone, Copy)]
pub enum News {
    New,
    Part(u8),
    Full,
    Canceled,
    Expired,
    Amended(i64),
    Triggered,
    TriggerRejected,
}

pub fn act() -> impl Strategy<Value = Act> {
    let symbol = || prop::sample::select(vec![BTC, ETH]);
    let index = any::<Index>;
    let news = prop_oneof![
        1 => Just(News::New),
        1 => (1u8..100).prop_map(News::Part),
        3 => Just(News::Full),
        1 => Just(News::Canceled),
        1 => Just(News::Expired),
        1 => (50i64..150).prop_map(News::Amended),
        1 => Just(News::Triggered),
        1 => Just(News::TriggerRejected),
    ];
    let answer = prop_oneof![5 => Just(Answer::Good), 1 => Just(Answer::Rejected), 1 => Just(Answer::Duplicate), 2 => Just(Answer::Lost)];
    let spec =
        prop_oneof![2 => Just(Spec::Market), 3 => Just(Spec::Limit), 1 => Just(Spec::Stop), 1 => Just(Spec::Close)];
    let side = prop::sample::select(vec![Side::Buy, Side::Sell]);
    let operator = prop_oneof![
        1 => Just(OperatorOrder::Pause),
        2 => Just(OperatorOrder::Resume),
        1 => symbol().prop_map(|symbol| OperatorOrder::CancelAll { symbol }),
        1 => symbol().prop_map(|symbol| OperatorOrder::Close { symbol }),
    ];
    prop_oneof![
        4 => (symbol(), 5_000i64..15_000).prop_map(|(symbol, cents)| Act::Price { symbol, cents }),
        8 => (symbol(), side, spec, -20_000_000i64..900_000_000)
            .prop_map(|(symbol, side, spec, qty)| Act::Place { symbol, side, spec, qty }),
        2 => index().prop_map(Act::Cancel),
        1 => (index(), -20_000_000i64..900_000_000, 50i64..150).prop_map(|(order, qty, price)| Act::Modify { order, qty, price }),
        1 => (1u32..20).prop_map(Act::Leverage),
        1 => (0..100 * SECOND).prop_map(Act::Timer),
        1 => any::<i64>().prop_map(Act::Save),
        9 => (index(), answer).prop_map(|(request, with)| Act::Answer { request, with }),
        9 => (index(), news).prop_map(|(order, news)| Act::News { order, news }),
        1 => (symbol(), -50_000_000_000i64..50_000_000_000).prop_map(|(symbol, amount)| Act::Fund { symbol, amount }),
        1 => (1u64..5, -50_000_000_000i64..50_000_000_000).prop_map(|(id, amount)| Act::Transfer { id, amount }),
        1 => (symbol(), 0i64..50_000_000_000).prop_map(|(symbol, wallet)| Act::Margin { symbol, wallet }),
        1 => any::<bool>().prop_map(Act::Hedge),
        2 => index().prop_map(Act::Echo),
        1 => (any::<u8>(), operator).prop_map(|(key, order)| Act::Operator { key: key % 16, order }),
        4 => (1..20 * SECOND).prop_map(Act::Wait),
        1 => (1..600 * NANOS_PER_MINUTE).prop_map(Act::Wait),
    ]
}

pub fn script() -> impl Strategy<Value = Vec<Act>> {
    prop::collection::vec(act(), 1..80)
}

/// Limits that a script meets now and then.
pub fn limits() -> Limits {
    Limits {
        max_position: Some(money("3000")),
        max_open_orders: Some(20),
        max_daily_loss: Some(money("4000")),
        ..Limits::default()
    }
}

pub fn limited() -> Config {
    Config { limits: limits(), ..config() }
}

/// A desk at which a script is played.
pub struct World {
    pub desk: Desk<MemoryLog>,
    /// Updates that the exchange sent, for echoes.
    said: Vec<ExchangeUpdate>,
}

impl World {
    pub fn over(desk: Desk<MemoryLog>) -> World {
        World { desk, said: Vec::new() }
    }

    /// What a script leads to.
    pub fn after(script: &[Act]) -> World {
        let mut world = World::over(Desk::with(limited()));
        script.iter().for_each(|act| world.perform(act));
        world
    }

    fn order(&self, index: &Index) -> Option<Order> {
        let orders: Vec<&Order> = self.desk.state().orders.values().collect();
        (!orders.is_empty()).then(|| **index.get(&orders))
    }

    pub fn perform(&mut self, act: &Act) {
        match act.clone() {
            Act::Price { symbol, cents } => {
                self.desk.price(symbol, &Price::from_steps(cents * 1_000_000).to_string());
            }
            Act::Place { symbol, side, spec, qty } => {
                let spec = self.spec(symbol, side, spec, qty);
                self.desk.place(spec);
            }
            Act::Cancel(order) => {
                if let Some(order) = self.order(&order) {
                    self.desk.cancel(order.client_order_id);
                }
            }
            Act::Modify { order, qty, price } => {
                if let Some(order) = self.order(&order) {
                    let (qty, price) = (Qty::from_steps(qty), Price::whole(price));
                    self.desk.say(move |ctx| ctx.modify(order.client_order_id, qty, price));
                }
            }
            Act::Leverage(leverage) => drop(self.desk.say(move |ctx| ctx.set_leverage(BTC, leverage))),
            Act::Timer(span) => drop(self.desk.say(move |ctx| ctx.set_timer_in("alarm", span))),
            Act::Save(value) => drop(self.desk.say(move |ctx| assert!(ctx.save("memory", &value)))),
            Act::Answer { request, with } => self.answer(&request, with),
            Act::News { order, news } => self.news(&order, news),
            Act::Fund { symbol, amount } => {
                let payment = FundingPayment {
                    symbol,
                    position_side: PositionSide::Both,
                    settled_at: self.desk.now,
                    rate: Some(Rate::ZERO),
                    mark: Some(Price::ONE),
                    position: self.desk.state().position(symbol, PositionSide::Both).qty(),
                    amount: Money::from_steps(amount),
                    id: None,
                };
                self.hear(ExchangeUpdate::Funding(payment));
            }
            Act::Transfer { id, amount } => {
                let (asset, amount, reason) =
                    ("USDT".parse().unwrap(), Money::from_steps(amount), TransferReason::Deposit);
                self.hear(ExchangeUpdate::Transfer { at: self.desk.now, id, asset, amount, reason });
            }
            Act::Margin { symbol, wallet } => {
                let (position_side, wallet) = (PositionSide::Both, Money::from_steps(wallet));
                self.hear(ExchangeUpdate::IsolatedMargin { symbol, position_side, wallet });
            }
            Act::Hedge(hedge) => {
                self.hear(ExchangeUpdate::Setting { symbol: None, setting: Setting::HedgeMode { hedge } });
            }
            Act::Echo(index) => {
                if !self.said.is_empty() {
                    let said = index.get(&self.said).clone();
                    self.desk.hear(&said);
                }
            }
            Act::Operator { key, order } => drop(self.desk.operator(&format!("key-{key}"), order)),
            Act::Wait(span) => drop(self.desk.wait(span)),
        }
    }

    fn hear(&mut self, update: ExchangeUpdate) {
        self.desk.hear(&update);
        self.said.push(update);
    }

    fn spec(&self, symbol: SymbolId, side: Side, spec: Spec, steps: i64) -> OrderSpec {
        let market = OrderSpec::market(symbol, side, Qty::from_steps(steps));
        let trigger = Price::whole(if side == Side::Buy { 120 } else { 80 });
        match spec {
            Spec::Market => market,
            Spec::Limit => OrderSpec::limit(symbol, side, Qty::from_steps(steps), Price::whole(100)),
            Spec::Stop => market.with_type(OrderType::StopMarket { trigger }).reduce_only(),
            Spec::Close => OrderSpec { qty: Qty::ZERO, close_position: true, ..market }
                .with_type(OrderType::StopMarket { trigger }),
        }
    }

    fn answer(&mut self, request: &Index, with: Answer) {
        if self.desk.sent.is_empty() {
            return;
        }
        // Most answers are to what was sent last; some come late, and some twice.
        let late = self.desk.sent.len().saturating_sub(6);
        let outgoing = *request.get(&self.desk.sent[late..]);
        let rejected = |code| Outcome::Rejected(ExchangeError { code, message: "no".into() });
        let order_id = self.desk.next_id();
        let outcome = match (with, outgoing.request) {
            (Answer::Lost, _) => Outcome::Unknown { reason: "silence".into() },
            (Answer::Rejected, Request::QueryOrder { .. }) => Outcome::NotFound,
            (Answer::Rejected, _) => rejected(-2010),
            (Answer::Duplicate, Request::QueryOrder { .. }) => {
                Outcome::Found { order_id, filled: Qty::ZERO, standing: Standing::Filled }
            }
            (Answer::Duplicate, _) => rejected(-4116),
            (Answer::Good, Request::PlaceOrder { .. }) => Outcome::Placed { order_id },
            (Answer::Good, Request::QueryOrder { .. }) => {
                Outcome::Found { order_id, filled: Qty::ZERO, standing: Standing::Open }
            }
            (Answer::Good, _) => Outcome::Done,
        };
        self.hear(ExchangeUpdate::Answer { id: outgoing.id, outcome });
    }

    fn news(&mut self, order: &Index, news: News) {
        let Some(order) = self.order(order) else { return };
        let name = order.client_order_id;
        let held = self.desk.state().position(order.symbol, order.spec.position_side).qty();
        // The exchange fills what reduces no further than to flat, and of a close-position order the whole position.
        let can_reduce = if order.spec.side.signed(held).is_negative() { held.abs() } else { Qty::ZERO };
        let is_sizeless = order.spec.close_position && order.qty.is_zero();
        let most = if is_sizeless { can_reduce } else { order.remaining() };
        let most = if order.spec.only_reduces() { most.min(can_reduce) } else { most };
        let price = self.desk.engine.account().price(order.symbol).unwrap();
        let mut fill = |qty: Qty| self.desk.fill_of(name, qty, price);
        let execution = match news {
            News::New => Execution::New,
            News::Full if most.is_positive() => Execution::Trade(fill(most)),
            News::Part(percent) if most.steps() > 1 => {
                let part = (most.steps() * i64::from(percent) / 100).max(1);
                Execution::Trade(fill(Qty::from_steps(part)))
            }
            News::Full | News::Part(_) => return,
            News::Canceled => Execution::Canceled,
            News::Expired => Execution::Expired(ExpiryReason::ReduceOnly),
            News::Amended(price) if matches!(order.spec.order_type, OrderType::Limit { .. }) => {
                let qty = Qty::from_steps(order.qty.steps().max(order.filled.steps() + 1));
                Execution::Amended { qty, price: Price::whole(price) }
            }
            News::Triggered if order.spec.order_type.is_conditional() => {
                // Of a close-position order the size is the position at the trigger, what was filled since included.
                let qty = if is_sizeless { can_reduce.checked_add(order.filled).unwrap() } else { order.qty };
                if qty.is_zero() {
                    return;
                }
                Execution::Triggered { child: 5, qty }
            }
            News::TriggerRejected if order.spec.order_type.is_conditional() => {
                Execution::TriggerRejected { code: -2022 }
            }
            News::Amended(_) | News::Triggered | News::TriggerRejected => return,
        };
        let sign = held.signum();
        self.desk.update(name, execution);
        let after = self.desk.state().position(order.symbol, order.spec.position_side).qty().signum();
        assert!(!order.spec.only_reduces() || after == sign || after == 0, "what only reduces has turned a position");
        if let Execution::Trade(fill) = execution {
            self.said.push(again(&order, self.desk.now, fill));
        }
    }
}

/// The update that told of a fill.
fn again(order: &Order, at: Timestamp, fill: Fill) -> ExchangeUpdate {
    ExchangeUpdate::Order(OrderUpdate {
        at,
        client_order_id: order.client_order_id,
        order_id: 1,
        symbol: order.symbol,
        side: order.spec.side,
        position_side: order.spec.position_side,
        execution: Execution::Trade(fill),
    })
}
