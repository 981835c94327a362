//! What holds whatever is asked and whatever the market does. Every step of every case goes through the
//! [`Audit`](support::audit::Audit): a position is the sum of its fills, no order fills more than its size, reduce-only never
//! flips, cash is conserved, and no order ends twice.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

mod support;

use std::collections::BTreeSet;

use alphaengine_core::exchange::{ExchangeUpdate, Execution, Input, Outcome, Request};
use alphaengine_core::market::{MarketData, MarketUpdate, SymbolId};
use alphaengine_core::order::{
    OrderSpec, OrderType, PositionSide, SelfTradePrevention, Side, TimeInForce, WorkingType,
};
use alphaengine_core::units::{
    Money, NANOS_PER_MILLI, NANOS_PER_MINUTE, NANOS_PER_SECOND, Price, Qty, Rate, Rounding, Timestamp,
};
use alphaengine_sim::{Delay, Latency, LimitFill, MarketFill, SimConfig, margin};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use support::scenario::Stage;
use support::{A, B, config, contract, contracts, update, world};

/// What drives the fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Driver {
    Bars,
    Trades,
    Books,
    TradesAndBooks,
}

#[derive(Debug, Clone)]
struct Setup {
    driver: Driver,
    has_marks: bool,
    config: SimConfig,
}

/// One thing that happens. Prices are in tenths around the newest one; what a step does not need it ignores.
#[derive(Debug, Clone)]
enum Step {
    Market { symbol: SymbolId, moves: [i64; 3], size: i64 },
    Mark { symbol: SymbolId, distance: i64 },
    Funding { symbol: SymbolId, rate: i64 },
    Place(Wish),
    Cancel { which: usize, conditional: bool },
    Modify { which: usize, size: i64, distance: i64 },
    Leverage { symbol: SymbolId, leverage: u32 },
    MarginType { symbol: SymbolId, isolated: bool },
    HedgeMode { hedge: bool },
}

#[derive(Debug, Clone)]
struct Wish {
    symbol: SymbolId,
    side: Side,
    kind: u8,
    tif: u8,
    /// In hundredths.
    size: i64,
    distance: i64,
    trigger: i64,
    reduces: bool,
    closes: bool,
    protects: bool,
    on_mark: bool,
    opens_long: bool,
    stp: SelfTradePrevention,
}

fn setups() -> impl Strategy<Value = Setup> {
    let driver =
        prop_oneof![Just(Driver::Bars), Just(Driver::Trades), Just(Driver::Books), Just(Driver::TradesAndBooks)];
    let choices = prop::array::uniform6(any::<bool>());
    let numbers =
        (500_i64..20_000, prop_oneof![Just(1_u32), Just(10), Just(50)], prop_oneof![Just(0_i64), Just(50_000)]);
    (driver, choices, numbers).prop_map(
        |(driver, [has_marks, touch, last, isolated, hedge, is_capped], (cash, leverage, slippage))| {
            let config = SimConfig {
                cash: Money::whole(cash),
                leverage,
                isolated,
                hedge,
                slippage: Rate::from_steps(slippage),
                limit_fill: if touch { LimitFill::Touch } else { LimitFill::Through },
                volume_cap: is_capped.then_some(Rate::from_steps(10_000_000)),
                market_fill: if last { MarketFill::LastPrice } else { MarketFill::NextPrice },
                ..config()
            };
            Setup { driver, has_marks, config }
        },
    )
}

fn wishes() -> impl Strategy<Value = Wish> {
    let symbol = prop_oneof![3 => Just(A), 1 => Just(B)];
    let side = prop_oneof![Just(Side::Buy), Just(Side::Sell)];
    let stp = prop_oneof![
        Just(SelfTradePrevention::ExpireMaker),
        Just(SelfTradePrevention::ExpireTaker),
        Just(SelfTradePrevention::ExpireBoth),
        Just(SelfTradePrevention::None),
    ];
    let size = prop_oneof![4 => 1_i64..2_000, 1 => 2_000_i64..20_000];
    let flags = (any::<bool>(), prop::bool::weighted(0.1), prop::bool::weighted(0.1), any::<bool>(), any::<bool>());
    (symbol, side, 0_u8..7, 0_u8..5, size, -30_i64..30, -30_i64..30, flags, stp).prop_map(
        |(symbol, side, kind, tif, size, distance, trigger, (reduces, closes, protects, on_mark, opens_long), stp)| {
            Wish {
                symbol,
                side,
                kind,
                tif,
                size,
                distance,
                trigger,
                reduces,
                closes,
                protects,
                on_mark,
                opens_long,
                stp,
            }
        },
    )
}

fn steps() -> impl Strategy<Value = Step> {
    let symbol = || prop_oneof![3 => Just(A), 1 => Just(B)];
    let distance = || prop_oneof![8 => -25_i64..25, 1 => -200_i64..200];
    prop_oneof![
        8 => (symbol(), [distance(), distance(), distance()], 0_i64..5_000)
            .prop_map(|(symbol, moves, size)| Step::Market { symbol, moves, size }),
        2 => (symbol(), distance()).prop_map(|(symbol, distance)| Step::Mark { symbol, distance }),
        1 => (symbol(), -500_000_i64..500_000).prop_map(|(symbol, rate)| Step::Funding { symbol, rate }),
        8 => wishes().prop_map(Step::Place),
        1 => (any::<usize>(), any::<bool>()).prop_map(|(which, conditional)| Step::Cancel { which, conditional }),
        2 => (any::<usize>(), 1_i64..3_000, -30_i64..30)
            .prop_map(|(which, size, distance)| Step::Modify { which, size, distance }),
        1 => (symbol(), 1_u32..51).prop_map(|(symbol, leverage)| Step::Leverage { symbol, leverage }),
        1 => (symbol(), any::<bool>()).prop_map(|(symbol, isolated)| Step::MarginType { symbol, isolated }),
        1 => any::<bool>().prop_map(|hedge| Step::HedgeMode { hedge }),
    ]
}

/// The exchange under test, and what a bystander knows of it.
struct Play {
    stage: Stage,
    driver: Driver,
    has_marks: bool,
    is_capped: bool,
    now: Timestamp,
    orders: u64,
    hedge: bool,
    /// The newest last price and mark of the two symbols, in tenths.
    last: [i64; 2],
    mark: [Option<i64>; 2],
    /// What was said so far, by kind.
    kinds: BTreeSet<String>,
}

fn tenths(steps: i64) -> Price {
    Price::from_steps(steps * 10_000_000)
}

fn hundredths(steps: i64) -> Qty {
    Qty::from_steps(steps * 1_000_000)
}

impl Play {
    fn new(setup: Setup) -> Play {
        let mut play = Play {
            driver: setup.driver,
            has_marks: setup.has_marks,
            is_capped: setup.config.volume_cap.is_some(),
            hedge: setup.config.hedge,
            stage: Stage::new(setup.config, &contracts()),
            now: Timestamp::ZERO,
            orders: 0,
            last: [1_000; 2],
            mark: [None; 2],
            kinds: BTreeSet::new(),
        };
        for symbol in [A, B] {
            play.market(symbol, [0; 3], 1_000);
        }
        play
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Market { symbol, moves, size } => self.market(symbol, moves, size),
            Step::Mark { symbol, distance } if self.has_marks => {
                let mark = (self.last[symbol.index()] + distance).max(1);
                self.mark[symbol.index()] = Some(mark);
                self.tell(symbol, support::mark(tenths(mark)));
            }
            Step::Mark { .. } => {}
            Step::Funding { symbol, rate } => self.tell(symbol, support::funding(Rate::from_steps(rate), None)),
            Step::Place(ref wish) => self.place(wish),
            Step::Cancel { which, conditional } => {
                if let Some((client_order_id, spec)) = self.pick(which) {
                    self.ask(Request::CancelOrder { client_order_id, symbol: spec.symbol, conditional, child: None });
                }
            }
            Step::Modify { which, size, distance } => {
                if let Some((client_order_id, spec)) = self.pick(which) {
                    let price = tenths((self.last[spec.symbol.index()] + distance).max(1));
                    let (symbol, side, qty) = (spec.symbol, spec.side, hundredths(size));
                    self.ask(Request::ModifyOrder { client_order_id, symbol, side, qty, price, child: None });
                }
            }
            Step::Leverage { symbol, leverage } => self.ask(Request::SetLeverage { symbol, leverage }),
            Step::MarginType { symbol, isolated } => self.ask(Request::SetMarginType { symbol, isolated }),
            Step::HedgeMode { hedge } => {
                let stands = [A, B].into_iter().any(|symbol| {
                    PositionSide::ALL.into_iter().any(|side| !self.stage.exchange.position(symbol, side).is_flat())
                });
                self.ask(Request::SetHedgeMode { hedge });
                if !stands && self.stage.audit.open().is_empty() {
                    self.hedge = hedge;
                }
            }
        }
    }

    fn pick(&self, which: usize) -> Option<(alphaengine_core::id::ClientOrderId, OrderSpec)> {
        let open = self.stage.audit.open();
        let (name, open) = open.iter().nth(which.checked_rem(open.len())?)?;
        Some((*name, open.spec))
    }

    fn ask(&mut self, request: Request) {
        self.stage.request(self.now, request);
        self.listen();
    }

    fn tell(&mut self, symbol: SymbolId, data: MarketData) {
        self.now = self.now.plus(NANOS_PER_SECOND);
        self.stage.market(self.now, symbol, data);
        self.listen();
    }

    fn listen(&mut self) {
        self.kinds.extend(self.stage.said().iter().map(kind));
    }

    /// The market moves three times: as trades, as books, or as the two extremes and the close of a bar.
    fn market(&mut self, symbol: SymbolId, moves: [i64; 3], size: i64) {
        let open = self.last[symbol.index()];
        let prices = moves.map(|by| (open + by).max(20));
        if self.driver == Driver::Bars {
            return self.bar(symbol, open, prices, size);
        }
        for (index, price) in prices.into_iter().enumerate() {
            let is_book = self.driver == Driver::Books || self.driver == Driver::TradesAndBooks && index == 1;
            if is_book {
                // Half of the spread is even, so that the middle is on the grid.
                let spread = 1 + moves[2].abs() % 5;
                let level = |price| (tenths(price), hundredths(size + 1));
                self.tell(symbol, support::book(level(price - spread), level(price + spread)));
                if self.driver == Driver::Books {
                    self.last[symbol.index()] = price;
                }
                self.nothing_is_left_behind(symbol, price + spread, price - spread, None);
            } else {
                self.last[symbol.index()] = price;
                self.tell(symbol, support::trade(tenths(price), hundredths(size + 1)));
                self.nothing_is_left_behind(symbol, price, price, Some(price));
            }
            if self.driver != Driver::TradesAndBooks {
                self.nobody_is_short_of_margin();
            }
        }
    }

    fn bar(&mut self, symbol: SymbolId, before: i64, [one, other, close]: [i64; 3], size: i64) {
        let open = (before + close) / 2;
        let (high, low) = (one.max(other).max(open).max(close), one.min(other).min(open).min(close));
        self.now = self.now.plus(NANOS_PER_MINUTE);
        self.tell(symbol, support::open(tenths(open)));
        self.last[symbol.index()] = open;
        self.nobody_is_short_of_margin();
        let closes_at = self.now.plus(NANOS_PER_MINUTE - 2 * NANOS_PER_SECOND);
        let bar = support::minute(closes_at, [open, high, low, close].map(tenths), hundredths(size * 10));
        self.now = closes_at;
        if self.has_marks {
            let mark = support::minute(closes_at, [open, high + 1, low, close + 1].map(tenths), Qty::ZERO);
            self.tell(symbol, MarketData::MarkBar(mark));
            self.mark[symbol.index()] = Some(close + 1);
        }
        self.tell(symbol, MarketData::Bar(bar));
        if !self.is_capped {
            self.nothing_is_left_behind(symbol, low, high, None);
        }
        self.last[symbol.index()] = close;
        self.nobody_is_short_of_margin();
    }

    fn place(&mut self, wish: &Wish) {
        self.orders += 1;
        let last = self.last[wish.symbol.index()];
        let (price, trigger) = (tenths((last + wish.distance).max(1)), tenths((last + wish.trigger).max(1)));
        let tif = match wish.tif {
            0 => TimeInForce::Gtc,
            1 => TimeInForce::Ioc,
            2 => TimeInForce::Fok,
            3 => TimeInForce::Gtx,
            _ => TimeInForce::Gtd { until: self.now.plus(660 * NANOS_PER_SECOND).floor_to(NANOS_PER_SECOND) },
        };
        let callback = Rate::from_steps(100_000 * (1 + wish.trigger.abs() / 3));
        let order_type = match wish.kind {
            0 => OrderType::Market,
            1 => OrderType::Limit { price, tif },
            2 => OrderType::Stop { trigger, price, tif },
            3 => OrderType::StopMarket { trigger },
            4 => OrderType::TakeProfit { trigger, price, tif },
            5 => OrderType::TakeProfitMarket { trigger },
            _ => OrderType::TrailingStopMarket { activation: (wish.distance > 0).then_some(trigger), callback },
        };
        let closes = wish.closes && matches!(wish.kind, 3 | 5);
        let position_side = match (self.hedge, wish.opens_long) {
            (false, _) => PositionSide::Both,
            (true, true) => PositionSide::Long,
            (true, false) => PositionSide::Short,
        };
        let spec = OrderSpec {
            position_side,
            reduce_only: wish.reduces && !self.hedge && !closes,
            close_position: closes,
            working_type: if wish.on_mark { WorkingType::Mark } else { WorkingType::Contract },
            price_protect: wish.protects,
            stp: wish.stp,
            ..OrderSpec::market(wish.symbol, wish.side, if closes { Qty::ZERO } else { hundredths(wish.size) })
        };
        let client_order_id = format!("o{:06}", self.orders).parse().unwrap();
        self.ask(Request::PlaceOrder { client_order_id, spec: spec.with_type(order_type) });
    }

    /// No limit stands that the market has gone beyond, and no trigger waits that `last` has reached.
    fn nothing_is_left_behind(&self, symbol: SymbolId, ask: i64, bid: i64, last: Option<i64>) {
        for (name, open) in self.stage.audit.open().iter().filter(|(_, open)| open.spec.symbol == symbol) {
            let spec = &open.spec;
            if !open.waits {
                let limit = spec.order_type.price().unwrap_or_else(|| panic!("{name} has no limit and stands"));
                let is_beyond = match spec.side {
                    Side::Buy => limit > tenths(ask),
                    Side::Sell => limit < tenths(bid),
                };
                // What came just now, or took all that the touch held, stands until the market moves again.
                let is_behind = is_beyond && open.changed_at < self.now;
                assert!(!is_behind, "{name} stands at {limit} in a market of {bid} and {ask} tenths");
            } else if let (Some(last), Some(trigger)) = (last.map(tenths), spec.order_type.trigger()) {
                let profits =
                    matches!(spec.order_type, OrderType::TakeProfit { .. } | OrderType::TakeProfitMarket { .. });
                let trails = matches!(spec.order_type, OrderType::TrailingStopMarket { .. });
                let watches_mark = spec.working_type == WorkingType::Mark && self.mark[symbol.index()].is_some();
                let is_reached = if (spec.side == Side::Sell) != profits { last <= trigger } else { last >= trigger };
                let must_fire = is_reached && !trails && !watches_mark && !spec.price_protect;
                assert!(!must_fire, "{name} waits for {trigger}, and the price is {last}");
            }
        }
    }

    /// Whatever is held carries itself, by an arithmetic that looks at everything every time.
    fn nobody_is_short_of_margin(&self) {
        let exchange = &self.stage.exchange;
        let instrument = contract("AUSDT");
        let mut cross = (exchange.wallet(), Money::ZERO, false);
        for symbol in [A, B] {
            let mark = tenths(self.mark[symbol.index()].unwrap_or(self.last[symbol.index()]));
            for side in PositionSide::ALL {
                let position = exchange.position(symbol, side);
                if position.is_flat() {
                    continue;
                }
                let profit = Money::from_exact(position.exact_unrealized(mark), Rounding::Floor).unwrap();
                let needs = margin::maintenance(&instrument, position.notional(mark).unwrap());
                let own = exchange.margin(symbol, side);
                if own.is_zero() {
                    cross = (cross.0.saturating_add(profit), cross.1.saturating_add(needs), true);
                } else {
                    let balance = own.saturating_add(profit);
                    assert!(balance > needs, "isolated: {balance} against {needs} at {mark}");
                }
            }
        }
        let (balance, needs, is_exposed) = cross;
        assert!(!is_exposed || balance > needs, "cross: {balance} against {needs}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_laws_hold_whatever_happens(setup in setups(), steps in prop::collection::vec(steps(), 1..60)) {
        let mut play = Play::new(setup);
        for step in &steps {
            play.step(step);
        }
    }
}

fn kind(update: &ExchangeUpdate) -> String {
    match update {
        ExchangeUpdate::Answer { outcome: Outcome::Rejected(error), .. } => format!("refused {}", error.code),
        ExchangeUpdate::Answer { .. } => "agreed".into(),
        ExchangeUpdate::Order(order) => match order.execution {
            Execution::Trade(fill) if fill.is_liquidation => "liquidated".into(),
            Execution::Trade(fill) => if fill.is_maker { "made" } else { "took" }.into(),
            Execution::Expired(reason) => format!("{reason:?}"),
            Execution::TriggerRejected { code } => format!("refused as it fired {code}"),
            Execution::Triggered { .. } => "fired".into(),
            Execution::Amended { .. } => "amended".into(),
            Execution::Canceled => "canceled".into(),
            Execution::New => "new".into(),
        },
        ExchangeUpdate::Transfer { reason, .. } => format!("{reason:?}"),
        ExchangeUpdate::IsolatedMargin { .. } => "isolated margin".into(),
        ExchangeUpdate::Funding(_) => "funding".into(),
        ExchangeUpdate::Setting { .. } | ExchangeUpdate::Link(_) | ExchangeUpdate::Liquidation { .. } => "other".into(),
    }
}

/// The cases are about something: a few hundred of them, always the same, see almost everything that an exchange can say.
#[test]
fn the_cases_reach_what_the_laws_are_about() {
    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeSet::new();
    for _ in 0..400 {
        let (setup, steps) = (setups(), prop::collection::vec(steps(), 60)).new_tree(&mut runner).unwrap().current();
        let mut play = Play::new(setup);
        steps.iter().for_each(|step| play.step(step));
        seen.append(&mut play.kinds);
    }
    let wanted = "made took liquidated fired amended canceled funding InsuranceClear SelfTradePrevention IocRemainder ReduceOnly \
                  Liquidation GoodTillDate MarketRemainder";
    for kind in wanted.split_whitespace() {
        assert!(seen.contains(kind), "nothing was {kind}: {seen:?}");
    }
    for code in [-2011, -2019, -2021, -2022, -2027, -2028, -4047, -4048, -4067, -4068, -4161, -5021, -5022, -4131] {
        assert!(seen.contains(&format!("refused {code}")), "nothing was refused with {code}: {seen:?}");
    }
    for code in [-2019, -2022, -5021, -5022] {
        assert!(seen.contains(&format!("refused as it fired {code}")), "nothing fired to {code}: {seen:?}");
    }
}

/// A trade or a bar a minute, from the first minute on.
fn tape(is_bars: bool, prices: &[i64]) -> Vec<MarketUpdate> {
    let updates = prices.iter().enumerate().flat_map(|(index, &price)| {
        let at = Timestamp::ZERO.plus(index as i64 * NANOS_PER_MINUTE);
        if !is_bars {
            return vec![update(at, A, support::trade(tenths(price), hundredths(100)))];
        }
        let close = at.plus(NANOS_PER_MINUTE - NANOS_PER_MILLI);
        let bar = [price, price + 7, price - 7, price + index as i64 % 5 - 2].map(tenths);
        let bar = support::minute(close, bar, hundredths(10_000));
        vec![update(at, A, support::open(tenths(price))), update(close, A, MarketData::Bar(bar))]
    });
    updates.collect()
}

/// A trader who acts on all that he hears, in a way that depends on all of it.
fn eager() -> impl FnMut(Timestamp, &Input<'_>) -> Vec<Request> {
    let (mut heard, mut orders) = (17_u64, 0);
    move |at, input| {
        let word = match input {
            Input::Market(update) => match update.data {
                MarketData::Trade(trade) => trade.price.steps() as u64,
                MarketData::Bar(bar) => (bar.high.steps() ^ bar.low.steps() ^ bar.close.steps()) as u64,
                _ => 3,
            },
            Input::Exchange(_) => 5,
            Input::End => return Vec::new(),
            _ => 7,
        };
        heard = (heard ^ word ^ at.nanos() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31);
        if !matches!(input, Input::Market(_)) || heard % 3 == 0 {
            return Vec::new();
        }
        orders += 1;
        let side = if heard & 8 == 0 { Side::Buy } else { Side::Sell };
        let price = tenths(1_000 + (heard >> 8) as i64 % 20 - 10);
        let spec = OrderSpec::limit(A, side, hundredths(10 + (heard >> 20) as i64 % 50), price);
        let spec = if heard & 16 == 0 { spec.with_type(OrderType::Market) } else { spec };
        vec![Request::PlaceOrder { client_order_id: format!("o{orders}").parse().unwrap(), spec }]
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    /// A world without delays has a short way of its own. It must say what the long way says when nothing takes any time.
    #[test]
    fn the_short_way_says_what_the_long_way_says(
        is_bars in any::<bool>(),
        prices in prop::collection::vec(970_i64..1_030, 1..40),
        wakes in prop::collection::btree_set(0_i64..40 * 60, 0..5),
    ) {
        let wakes: Vec<Timestamp> = wakes.into_iter().map(|at| Timestamp::ZERO.plus(at * NANOS_PER_SECOND)).collect();
        let nothing = || Delay::Rows(vec![0]);
        let long = Latency { feed: nothing(), entry: nothing(), answer: nothing() };
        let [short, long] = [Latency::default(), long].map(|latency| {
            world::play(SimConfig { latency, ..config() }, tape(is_bars, &prices), &wakes, eager()).unwrap()
        });
        prop_assert_eq!(short, long);
    }

    /// Nothing from the future reaches a strategy: two tapes that differ only from some moment on say the same until then.
    #[test]
    fn the_future_changes_nothing_that_was_heard(
        is_bars in any::<bool>(),
        past in prop::collection::vec(970_i64..1_030, 1..30),
        futures in [prop::collection::vec(970_i64..1_030, 1..10), prop::collection::vec(970_i64..1_030, 1..10)],
        delays in [0_i64..3_000_000_000, 0_i64..3_000_000_000, 0_i64..3_000_000_000],
    ) {
        let tape = |future: &[i64]| tape(is_bars, &[&past[..], future].concat());
        let [feed, entry, answer] = delays.map(|to| if to < 500_000_000 { Delay::Constant(0) } else { Delay::Uniform { from: 0, to } });
        let config = SimConfig { latency: Latency { feed, entry, answer }, ..config() };
        let split = Timestamp::ZERO.plus(past.len() as i64 * NANOS_PER_MINUTE);
        let heard = futures.each_ref().map(|future| {
            let heard = world::play(config.clone(), tape(future), &[], eager()).unwrap();
            for pair in heard.windows(2) {
                prop_assert!(pair[0].at <= pair[1].at, "time only goes on");
            }
            for heard in &heard {
                prop_assert!(heard.happened <= heard.at, "{} was heard before it happened", heard.text);
            }
            Ok(heard.into_iter().filter(|heard| heard.at < split && heard.text != "end").collect::<Vec<_>>())
        });
        let [one, other] = heard;
        prop_assert_eq!(one?, other?);
    }
}
