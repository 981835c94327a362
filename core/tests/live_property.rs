//! Whatever is lost on the way, in whatever order: once the world is quiet, the session knows the account to the last unit, and the
//! exchange never got an order twice.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use alphaengine_core::event::{Event, Recorded};
use alphaengine_core::exchange::{
    ExchangeError, ExchangeUpdate, Execution, Fill, FundingPayment, Input, OrderUpdate, Outcome, Outgoing, Request,
    Standing, TransferReason,
};
use alphaengine_core::id::Asset;
use alphaengine_core::link::{LinkUpdate, Route};
use alphaengine_core::mode::EngineMode;
use alphaengine_core::position::Position;
use alphaengine_core::prelude::*;
use alphaengine_core::reconcile::DriftKind;
use alphaengine_core::snapshot::{AccountSnapshot, BalanceSnapshot, OrderSnapshot, PositionSnapshot};
use alphaengine_core::state::State;
use alphaengine_core::store::{Encoder, MemoryLog};
use proptest::prelude::{Just, ProptestConfig, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::sample::Index;
use proptest::strategy::Strategy as _;
use proptest::test_runner::TestCaseError;
use support::venue::live;
use support::{BTC, Desk, ETH, Puppet, SECOND, instruments, money, noon, price, qty, recovered, scope};

#[derive(Debug, Clone)]
enum Act {
    Place {
        buys: bool,
        kind: Kind,
        qty: i64,
    },
    Cancel(Index),
    Modify {
        order: Index,
        qty: i64,
        price: i64,
    },
    /// The next request meets its fate.
    Deliver(Fate),
    Fill {
        order: Index,
        percent: u8,
        heard: bool,
    },
    End {
        order: Index,
        heard: bool,
    },
    Fund {
        cents: i64,
        heard: bool,
    },
    Deposit {
        cents: i64,
        heard: bool,
    },
    /// Somebody else trades on the account.
    Meddle {
        buys: bool,
        heard: bool,
    },
    Down,
    Up,
    Wait(i64),
    Kill,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Market,
    Limit,
    Stop,
}

#[derive(Debug, Clone, Copy)]
enum Fate {
    Good,
    /// It arrives, and its answer is lost; whether the stream tells.
    AnswerLost {
        heard: bool,
    },
    /// It never arrives.
    Lost,
    /// Its answer is given up, and it arrives a little later.
    Late {
        heard: bool,
    },
}

fn act() -> impl proptest::strategy::Strategy<Value = Act> {
    let index = any::<Index>;
    let kind = prop::sample::select(vec![Kind::Market, Kind::Limit, Kind::Limit, Kind::Stop]);
    let fate = prop_oneof![
        6 => Just(Fate::Good),
        2 => any::<bool>().prop_map(|heard| Fate::AnswerLost { heard }),
        1 => Just(Fate::Lost),
        1 => any::<bool>().prop_map(|heard| Fate::Late { heard }),
    ];
    prop_oneof![
        5 => (any::<bool>(), kind, 1i64..5).prop_map(|(buys, kind, qty)| Act::Place { buys, kind, qty }),
        1 => index().prop_map(Act::Cancel),
        1 => (index(), 1i64..6, 90i64..96).prop_map(|(order, qty, price)| Act::Modify { order, qty, price }),
        10 => fate.prop_map(Act::Deliver),
        5 => (index(), 1u8..=100, any::<bool>()).prop_map(|(order, percent, heard)| Act::Fill { order, percent, heard }),
        1 => (index(), any::<bool>()).prop_map(|(order, heard)| Act::End { order, heard }),
        1 => (-500i64..500, any::<bool>()).prop_map(|(cents, heard)| Act::Fund { cents, heard }),
        1 => (-500i64..500, any::<bool>()).prop_map(|(cents, heard)| Act::Deposit { cents, heard }),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(buys, heard)| Act::Meddle { buys, heard }),
        1 => Just(Act::Down),
        2 => Just(Act::Up),
        3 => (1i64..12).prop_map(Act::Wait),
        1 => Just(Act::Kill),
    ]
}

#[derive(Debug, Clone, Copy)]
struct Held {
    order_id: u64,
    spec: OrderSpec,
    filled: Qty,
    standing: Standing,
    /// Of a conditional order that fired.
    child: u64,
}

/// The exchange: what is so, whoever hears of it.
struct Bourse {
    orders: BTreeMap<ClientOrderId, Held>,
    position: Position,
    wallet: Money,
    trades: Vec<OrderUpdate>,
    income: Vec<(Timestamp, ExchangeUpdate)>,
    arrived: BTreeSet<ClientOrderId>,
    last_id: u64,
}

struct World {
    desk: Desk<MemoryLog>,
    bourse: Bourse,
    waiting: Vec<Outgoing>,
    late: Vec<(Outgoing, bool)>,
    seen: usize,
    is_up: bool,
    /// Answers to questions say what was so when they were asked, and come only after something else has happened.
    is_slow: bool,
    answers: Vec<(Outgoing, Outcome)>,
}

impl World {
    fn new(is_slow: bool) -> World {
        let puppet = Puppet::default();
        let log = MemoryLog::new(Encoder::new(scope(), &instruments()));
        let bourse = Bourse {
            orders: BTreeMap::new(),
            position: Position::FLAT,
            wallet: money("10000"),
            trades: Vec::new(),
            income: Vec::new(),
            arrived: BTreeSet::new(),
            last_id: 100,
        };
        let engine = alphaengine_core::engine::Engine::new(live(), puppet.clone(), log);
        let desk = Desk::over(engine, puppet, noon());
        let (waiting, late, answers) = (Vec::new(), Vec::new(), Vec::new());
        let mut world = World { desk, bourse, waiting, late, seen: 0, is_up: true, is_slow, answers };
        world.begin();
        world
    }

    fn begin(&mut self) {
        self.is_up = true;
        for route in Route::ALL {
            self.desk.hear(&ExchangeUpdate::Link(LinkUpdate::StreamUp { route }));
        }
        self.desk.price(BTC, "100");
        self.desk.price(ETH, "10");
        self.desk.step(Input::Ready);
        self.serve();
    }

    fn id(&mut self) -> u64 {
        self.bourse.last_id += 1;
        self.bourse.last_id
    }

    /// Questions are answered at once; orders and changes wait for their fate.
    fn serve(&mut self) {
        while self.seen < self.desk.sent.len() {
            let outgoing = self.desk.sent[self.seen];
            self.seen += 1;
            match self.bourse.answer(&outgoing.request) {
                Some(outcome) if self.is_slow => self.answers.push((outgoing, outcome)),
                Some(outcome) => {
                    self.desk.answer(outgoing.id, outcome);
                }
                None => self.waiting.push(outgoing),
            }
        }
    }

    /// What was asked before the last thing happened is answered now.
    fn answer_late(&mut self) {
        for (outgoing, outcome) in std::mem::take(&mut self.answers) {
            self.desk.answer(outgoing.id, outcome);
        }
        self.serve();
    }

    fn hear(&mut self, update: ExchangeUpdate, heard: bool) {
        if heard && self.is_up {
            self.desk.hear(&update);
            self.serve();
        }
    }

    fn order_update(&mut self, name: ClientOrderId, execution: Execution, heard: bool) {
        let held = self.bourse.orders[&name];
        let update = OrderUpdate {
            at: self.desk.now,
            client_order_id: name,
            order_id: if held.child == 0 { held.order_id } else { held.child },
            symbol: BTC,
            side: held.spec.side,
            position_side: PositionSide::Both,
            execution,
        };
        if matches!(execution, Execution::Trade(_)) {
            // The list of trades knows numbers only.
            self.bourse.trades.push(OrderUpdate { client_order_id: ClientOrderId::default(), ..update });
        }
        self.hear(ExchangeUpdate::Order(update), heard);
    }

    fn fill(&mut self, name: ClientOrderId, quantity: Qty, heard: bool) {
        let held = self.bourse.orders[&name];
        if held.spec.order_type.is_conditional() && held.child == 0 {
            let child = self.id();
            self.bourse.orders.get_mut(&name).unwrap().child = child;
            let update = Execution::Triggered { child, qty: held.spec.qty };
            let algo = OrderUpdate { order_id: held.order_id, ..self.bare(name, update) };
            self.hear(ExchangeUpdate::Order(algo), heard);
        }
        let at = held.spec.order_type.price().unwrap_or(price("100"));
        let fill = self.book(held.spec.side, quantity, at);
        let held = self.bourse.orders.get_mut(&name).unwrap();
        held.filled = held.filled.checked_add(quantity).unwrap();
        if held.filled == held.spec.qty {
            held.standing = Standing::Filled;
        }
        self.order_update(name, Execution::Trade(fill), heard);
    }

    fn bare(&self, name: ClientOrderId, execution: Execution) -> OrderUpdate {
        let held = self.bourse.orders[&name];
        let (side, position_side) = (held.spec.side, PositionSide::Both);
        let (at, order_id) = (self.desk.now, held.order_id);
        OrderUpdate { at, client_order_id: name, order_id, symbol: BTC, side, position_side, execution }
    }

    fn book(&mut self, side: Side, quantity: Qty, at: Price) -> Fill {
        let realized = self.bourse.position.fill(side.signed(quantity), at).unwrap();
        let fee = at.fee(quantity, "0.0004".parse().unwrap(), Rounding::HalfEven).unwrap();
        let wallet = &mut self.bourse.wallet;
        *wallet = wallet.saturating_add(realized).saturating_sub(fee);
        let (trade_id, fee_asset) = (self.id(), "USDT".parse().unwrap());
        Fill { trade_id, price: at, qty: quantity, fee, fee_asset, is_maker: false, is_liquidation: false, realized }
    }

    /// A request arrives: its answer, and what the stream tells.
    fn arrive(&mut self, outgoing: Outgoing, heard: bool) -> Outcome {
        let no = |code| Outcome::Rejected(ExchangeError { code, message: "no".into() });
        match outgoing.request {
            Request::PlaceOrder { client_order_id: name, spec } => {
                assert!(self.bourse.arrived.insert(name), "{name} was sent twice");
                let order_id = self.id();
                let standing = Standing::Open;
                let held = Held { order_id, spec, filled: Qty::ZERO, standing, child: 0 };
                self.bourse.orders.insert(name, held);
                self.order_update(name, Execution::New, heard);
                if spec.order_type == OrderType::Market {
                    self.fill(name, spec.qty, heard);
                }
                Outcome::Placed { order_id }
            }
            Request::CancelOrder { client_order_id: name, conditional, .. } => {
                let Some(held) = self.bourse.orders.get_mut(&name).filter(|held| held.standing.is_open()) else {
                    return no(-2011);
                };
                if conditional != (held.spec.order_type.is_conditional() && held.child == 0) {
                    return no(-2011);
                }
                held.standing = Standing::Canceled;
                self.order_update(name, Execution::Canceled, heard);
                Outcome::Done
            }
            Request::ModifyOrder { client_order_id: name, qty, price, .. } => {
                let Some(held) = self.bourse.orders.get_mut(&name).filter(|held| held.standing.is_open()) else {
                    return no(-2013);
                };
                if qty <= held.filled {
                    return no(-4003);
                }
                held.spec = OrderSpec { qty, ..held.spec }.with_type(OrderType::Limit { price, tif: TimeInForce::Gtc });
                self.order_update(name, Execution::Amended { qty, price }, heard);
                Outcome::Done
            }
            _ => Outcome::Done,
        }
    }

    fn deliver(&mut self, fate: Fate) {
        if self.waiting.is_empty() {
            return;
        }
        let outgoing = self.waiting.remove(0);
        let lost = Outcome::Unknown { reason: "silence".into() };
        let outcome = match fate {
            Fate::Good => self.arrive(outgoing, true),
            Fate::AnswerLost { heard } => {
                self.arrive(outgoing, heard);
                lost
            }
            Fate::Lost => lost,
            Fate::Late { heard } => {
                self.late.push((outgoing, heard));
                lost
            }
        };
        self.desk.answer(outgoing.id, outcome);
        self.serve();
    }

    fn wait(&mut self, seconds: i64) {
        for _ in 0..seconds {
            // The exchange takes nothing that is older than its window.
            for (outgoing, heard) in std::mem::take(&mut self.late) {
                self.arrive(outgoing, heard);
            }
            self.desk.wait(SECOND);
            self.serve();
            self.answer_late();
        }
    }

    fn open(&self, index: &Index) -> Option<(ClientOrderId, Held)> {
        let open: Vec<_> = self.bourse.orders.iter().filter(|(_, held)| held.standing.is_open()).collect();
        (!open.is_empty()).then(|| {
            let (name, held) = index.get(&open);
            (**name, **held)
        })
    }

    fn known(&self, index: &Index) -> Option<Order> {
        let orders: Vec<&Order> = self.desk.state().orders.values().collect();
        (!orders.is_empty()).then(|| **index.get(&orders))
    }

    fn perform(&mut self, act: &Act) {
        self.desk.now = self.desk.now.plus(support::MILLI);
        match act.clone() {
            Act::Place { buys, kind, qty } => {
                let side = if buys { Side::Buy } else { Side::Sell };
                let market = OrderSpec::market(BTC, side, Qty::whole(qty));
                let spec = match kind {
                    Kind::Market => market,
                    Kind::Limit => OrderSpec::limit(BTC, side, Qty::whole(qty), price("95")),
                    Kind::Stop => market.with_type(OrderType::StopMarket { trigger: price("100") }),
                };
                self.desk.place(spec);
            }
            Act::Cancel(order) => {
                if let Some(order) = self.known(&order) {
                    self.desk.cancel(order.client_order_id);
                }
            }
            Act::Modify { order, qty, price } => {
                if let Some(order) = self.known(&order)
                    && matches!(order.spec.order_type, OrderType::Limit { .. })
                {
                    let name = order.client_order_id;
                    self.desk.say(move |ctx| ctx.modify(name, Qty::whole(qty), Price::whole(price)));
                }
            }
            Act::Deliver(fate) => self.deliver(fate),
            Act::Fill { order, percent, heard } => {
                if let Some((name, held)) = self.open(&order) {
                    let rest = held.spec.qty.steps() - held.filled.steps();
                    let part = (rest / 100 * i64::from(percent)).max(1);
                    self.fill(name, Qty::from_steps(if percent > 60 { rest } else { part }), heard);
                }
            }
            Act::End { order, heard } => {
                if let Some((name, _)) = self.open(&order) {
                    self.bourse.orders.get_mut(&name).unwrap().standing = Standing::Canceled;
                    self.order_update(name, Execution::Canceled, heard);
                }
            }
            Act::Fund { cents, heard } => {
                let amount = Money::from_steps(cents * 1_000_000);
                self.bourse.wallet = self.bourse.wallet.saturating_add(amount);
                let payment = FundingPayment {
                    symbol: BTC,
                    position_side: PositionSide::Both,
                    settled_at: self.desk.now,
                    rate: None,
                    mark: None,
                    position: Qty::ZERO,
                    amount,
                    id: Some(self.id()),
                };
                self.income(ExchangeUpdate::Funding(payment), heard);
            }
            Act::Deposit { cents, heard } => {
                let (id, asset, amount) = (self.id(), "USDT".parse().unwrap(), Money::from_steps(cents * 1_000_000));
                self.bourse.wallet = self.bourse.wallet.saturating_add(amount);
                let reason = TransferReason::Internal;
                self.income(ExchangeUpdate::Transfer { at: self.desk.now, id, asset, amount, reason }, heard);
            }
            Act::Meddle { buys, heard } => {
                let name: ClientOrderId = format!("web_{}", self.id()).parse().unwrap();
                let side = if buys { Side::Buy } else { Side::Sell };
                let order_id = self.id();
                let spec = OrderSpec::limit(BTC, side, Qty::ONE, price("100"));
                let held = Held { order_id, spec, filled: Qty::ZERO, standing: Standing::Open, child: 0 };
                self.bourse.orders.insert(name, held);
                if heard {
                    self.fill(name, qty("0.5"), false);
                }
            }
            Act::Down => {
                self.is_up = false;
                let link = LinkUpdate::StreamDown { route: Route::Private, reason: "closed".into() };
                self.desk.hear(&ExchangeUpdate::Link(link));
            }
            Act::Up => self.up(),
            Act::Wait(seconds) => self.wait(seconds),
            Act::Kill => {
                let events: Vec<Recorded> = self.desk.events().to_vec();
                let next = recovered(live(), Puppet::default(), &events, self.desk.now.plus(SECOND));
                // What was on its way arrives, or does not.
                let waiting = std::mem::take(&mut self.waiting);
                self.is_up = false;
                for (index, outgoing) in waiting.into_iter().enumerate() {
                    if index % 2 == 0 {
                        self.arrive(outgoing, false);
                    }
                }
                self.desk = next;
                self.answers.clear();
                self.seen = 0;
                self.begin();
            }
        }
        self.serve();
        self.answer_late();
    }

    fn income(&mut self, update: ExchangeUpdate, heard: bool) {
        self.bourse.income.push((self.desk.now, update.clone()));
        self.hear(update, heard);
    }

    fn up(&mut self) {
        self.is_up = true;
        self.desk.hear(&ExchangeUpdate::Link(LinkUpdate::StreamUp { route: Route::Private }));
        self.serve();
    }

    /// The world becomes quiet, and everything must be known.
    fn settle(&mut self) -> Result<(), TestCaseError> {
        self.up();
        for _ in 0..120 {
            while !self.waiting.is_empty() {
                self.deliver(Fate::Good);
            }
            self.wait(2);
        }
        let state = self.desk.state();
        prop_assert_eq!(state.mode, EngineMode::Running);
        let usdt: Asset = "USDT".parse().unwrap();
        prop_assert_eq!(state.position(BTC, PositionSide::Both).qty(), self.bourse.position.qty());
        prop_assert_eq!(state.ledger.holdings(usdt), self.bourse.wallet);
        let line =
            |name: &ClientOrderId, qty: Qty, filled: Qty, at: Option<Price>| format!("{name} {qty} {filled} {at:?}");
        let ours = state.orders.values();
        let ours: Vec<_> = ours
            .map(|order| line(&order.client_order_id, order.qty, order.filled, order.spec.order_type.price()))
            .collect();
        let theirs = self.bourse.orders.iter().filter(|(_, held)| held.standing.is_open());
        let theirs: Vec<_> =
            theirs.map(|(name, held)| line(name, held.spec.qty, held.filled, held.spec.order_type.price())).collect();
        prop_assert_eq!(ours, theirs);
        prop_assert!(state.cancels.is_empty() && state.modifies.is_empty());
        let mut folded = State::new(&instruments());
        self.desk.events().iter().for_each(|recorded| folded.apply(recorded).unwrap());
        prop_assert_eq!(&folded, state);
        // What trades and income tell is never put right by force.
        let is_met = |recorded: &&Recorded| matches!(recorded.event, Event::ReconcileFinished(_));
        let forced = self.desk.events().iter().skip_while(|recorded| !is_met(recorded)).filter(|recorded| {
            match &recorded.event {
                Event::DriftDetected(drift) => matches!(drift.kind, DriftKind::Position | DriftKind::Balance),
                _ => false,
            }
        });
        prop_assert_eq!(forced.count(), 0);
        Ok(())
    }
}

impl Bourse {
    fn answer(&self, request: &Request) -> Option<Outcome> {
        Some(match request {
            Request::Snapshot => Outcome::Snapshot(Box::new(self.snapshot())),
            Request::Trades { symbol, from_id, since } => {
                let is_asked = |update: &&OrderUpdate| {
                    let Execution::Trade(fill) = update.execution else { return false };
                    *symbol == BTC && if *from_id == 0 { update.at >= *since } else { fill.trade_id >= *from_id }
                };
                let all: Vec<OrderUpdate> = self.trades.iter().filter(is_asked).copied().collect();
                let more = all.len() > 3;
                Outcome::Trades { trades: all.into_iter().take(3).collect(), more }
            }
            Request::Income { since } => {
                let rows: Vec<_> = self.income.iter().filter(|(at, _)| at >= since).collect();
                let until = rows.last().map_or(*since, |(at, _)| *at);
                Outcome::Income { rows: rows.into_iter().map(|(_, row)| row.clone()).collect(), until, more: false }
            }
            Request::QueryOrder { client_order_id, .. } => match self.orders.get(client_order_id) {
                Some(held) => Outcome::Found {
                    order_id: if held.child == 0 { held.order_id } else { held.child },
                    filled: held.filled,
                    standing: held.standing,
                },
                None => Outcome::NotFound,
            },
            _ => return None,
        })
    }

    fn snapshot(&self) -> AccountSnapshot {
        let open = self.orders.iter().filter(|(_, held)| held.standing.is_open());
        let orders = open.map(|(name, held)| OrderSnapshot {
            client_order_id: *name,
            order_id: if held.child == 0 { held.order_id } else { held.child },
            spec: held.spec,
            filled: held.filled,
            created_at: noon(),
        });
        let (qty, entry_price) = (self.position.qty(), self.position.entry_price());
        let (symbol, position_side, margin) = (BTC, PositionSide::Both, Money::ZERO);
        let position = PositionSnapshot { symbol, position_side, qty, entry_price, margin };
        AccountSnapshot {
            orders: orders.collect(),
            positions: if qty.is_zero() { vec![] } else { vec![position] },
            balances: vec![BalanceSnapshot { asset: "USDT".parse().unwrap(), wallet: self.wallet }],
            settings: vec![],
            elsewhere: vec![],
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn once_the_world_is_quiet_the_account_is_known_to_the_last_unit(is_slow in any::<bool>(), acts in prop::collection::vec(act(), 1..60)) {
        let mut world = World::new(is_slow);
        acts.iter().for_each(|act| world.perform(act));
        world.settle()?;
    }
}
