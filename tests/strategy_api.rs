//! Everything that a strategy can say reaches the exchange as what it means, and what it asks is answered by the same books.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

use alphaengine::core::attached::IndicatorKind;
use alphaengine::core::engine::{Config, Engine};
use alphaengine::core::event::OrderExpired;
use alphaengine::core::indicator::{Bollinger, Donchian, Indicator, Macd, Stochastic};
use alphaengine::core::instrument::Catalog;
use alphaengine::core::ledger::Account;
use alphaengine::core::mode::{EngineMode, Mode};
use alphaengine::core::risk::Limits;
use alphaengine::core::store::NoLog;
use alphaengine::datasets::chunk::{Chunk, Timed};
use alphaengine::datasets::{Tape, sample, workload};
use alphaengine::prelude::*;
use alphaengine::sim::{SimConfig, SimWorld};

const BTC: SymbolId = SymbolId(0);

fn qty(text: &str) -> Qty {
    text.parse().unwrap()
}

fn price(whole: i64) -> Price {
    Price::whole(whole)
}

/// Runs a strategy over chunks of BTCUSDT, without fees and slippage, and hands it back.
fn run<S: Strategy + Clone>(strategy: S, base: Option<Timeframe>, hedge: bool, chunks: Vec<Chunk>) -> S {
    let instruments = Instruments::new(vec![Catalog::builtin().get(&"BTCUSDT".parse().unwrap()).unwrap().clone()]);
    let instruments = instruments.unwrap();
    let none = Rate::ZERO;
    let sim = SimConfig { hedge, taker_fee: none, maker_fee: none, slippage: none, ..SimConfig::default() };
    let mut world = SimWorld::new(sim, &instruments, Tape::from_chunks(vec![(BTC, chunks)]));
    let config = Config {
        session: "0123456789abcdef".parse().unwrap(),
        mode: Mode::Backtest,
        strategy: S::info().name.into(),
        description: serde_json::Value::Null,
        asset: "USDT".parse().unwrap(),
        instruments,
        base_timeframes: vec![base],
        trade_bars: Timeframe::M1,
        limits: Limits::default(),
        recv_window: 2_000_000_000,
        commit_each_step: false,
        live: None,
    };
    let mut engine = Engine::new(config, strategy, NoLog);
    while let Some((at, input)) = world.next(engine.wake_at()).unwrap() {
        for outgoing in engine.step(at, input).unwrap() {
            world.submit(at, outgoing);
        }
    }
    engine.strategy().clone()
}

/// One trade a second at these prices.
fn trades(prices: &[i64]) -> Vec<Chunk> {
    let trade = |(second, whole): (usize, &i64)| Timed {
        at: workload::START.plus(second as i64 * 1_000_000_000),
        row: Trade { id: second as i64, price: price(*whole), qty: qty("10"), is_buyer_maker: false },
    };
    vec![Chunk::Trades(prices.iter().enumerate().map(trade).collect())]
}

/// Says one thing at each trade and writes down what became of it.
#[derive(Clone)]
struct Script {
    say: fn(&mut Script, &mut Context<'_>, i64),
    orders: Vec<ClientOrderId>,
    news: Vec<String>,
}

impl Script {
    fn new(say: fn(&mut Script, &mut Context<'_>, i64)) -> Script {
        Script { say, orders: Vec::new(), news: Vec::new() }
    }
}

impl Strategy for Script {
    fn info() -> StrategyInfo {
        StrategyInfo { name: "script", about: "Says what it is told to.", params: vec![] }
    }

    fn new(_: &Params, _: &Instruments) -> Result<Self, String> {
        Ok(Script::new(|_, _, _| ()))
    }

    fn on_trade(&mut self, ctx: &mut Context<'_>, _: SymbolId, trade: &Trade) {
        (self.say)(self, ctx, trade.id);
    }

    fn on_order_update(&mut self, ctx: &mut Context<'_>, order: &Order, news: OrderNews<'_>) {
        let what = match news {
            OrderNews::Placed => "placed".to_owned(),
            OrderNews::Traded(trade) => format!("traded at {}", trade.fill.price),
            OrderNews::Triggered => "triggered".to_owned(),
            OrderNews::Amended => format!("amended to {}", order.spec.order_type.price().unwrap()),
            OrderNews::Canceled => "canceled".to_owned(),
            OrderNews::Expired(OrderExpired { reason, .. }) => format!("expired {reason:?}"),
            OrderNews::Rejected(error) | OrderNews::ChangeRejected(error) => format!("rejected {}", error.code),
            OrderNews::OutcomeUnknown | OrderNews::ProvenAbsent => "lost".to_owned(),
        };
        let second = ctx.now().since(workload::START) / 1_000_000_000;
        let (side, name) = (order.spec.side.name(), order.spec.order_type.name());
        self.news.push(format!("{second} {side} {name} {} {what}", order.qty));
    }
}

#[test]
fn every_voice_becomes_its_order() {
    let ended = run(
        Script::new(|script, ctx, second| match second {
            0 => drop(ctx.buy(BTC, qty("0.04"))),
            2 => {
                assert_eq!((ctx.mode(), ctx.engine_mode()), (Mode::Backtest, EngineMode::Running));
                assert_eq!(ctx.position(BTC).entry_price(), price(50_000));
                // 0.04 gained 100 each.
                assert_eq!((ctx.unrealized(BTC), ctx.wallet()), (Money::whole(4), Money::whole(10_000)));
                assert_eq!(ctx.equity(), Money::whole(10_004));
                // A twentieth of 0.04 at 50,100 is set aside.
                assert_eq!(ctx.available().to_string(), "9903.8");
                ctx.stop(BTC, Side::Sell, qty("0.01"), price(49_900));
                ctx.take_profit(BTC, Side::Sell, qty("0.01"), price(50_300));
                ctx.trailing(BTC, Side::Sell, qty("0.01"), "0.01".parse().unwrap());
                ctx.post_only(BTC, Side::Buy, qty("0.01"), price(50_500));
                let rests = ctx.limit(BTC, Side::Buy, qty("0.02"), price(49_000));
                script.orders.push(rests);
            }
            3 => {
                assert_eq!(ctx.open_orders(BTC).count(), 4, "the post-only order would have taken");
                assert_eq!(ctx.order(&script.orders[0]).unwrap().remaining(), qty("0.02"));
                ctx.modify(script.orders[0], qty("0.02"), price(49_100));
            }
            // The take profit is reached at second 4; at second 5 the stop, and the trailing one a percent below 50,400.
            7 => {
                assert_eq!(ctx.position(BTC).qty(), qty("0.01"));
                // 0.01 each: 4 at 50,400, and twice -1.5 at 49,850. The ledger keeps income negative.
                assert_eq!(ctx.balance(Account::RealizedPnl), Money::whole(-1));
                ctx.cancel(script.orders[0]);
                ctx.sell(BTC, qty("0.005"));
                ctx.limit(BTC, Side::Buy, qty("0.02"), price(48_000));
                ctx.limit(BTC, Side::Sell, qty("0.02"), price(52_000));
            }
            8 => {
                ctx.cancel_all(BTC);
                ctx.close(BTC);
            }
            9 => assert!(ctx.position(BTC).is_flat() && ctx.open_orders(BTC).count() == 0),
            _ => {}
        }),
        None,
        false,
        trades(&[50_000, 50_000, 50_100, 50_200, 50_400, 49_850, 49_800, 49_800, 49_800, 49_800, 49_800]),
    );
    assert_eq!(ended.news.join("\n"), EXPECTED.trim());
}

/// The second, the order, and what became of it.
const EXPECTED: &str = "
0 BUY MARKET 0.04 placed
1 BUY MARKET 0.04 traded at 50000
2 SELL STOP_MARKET 0.01 placed
2 SELL TAKE_PROFIT_MARKET 0.01 placed
2 SELL TRAILING_STOP_MARKET 0.01 placed
2 BUY LIMIT 0.01 rejected -5022
2 BUY LIMIT 0.02 placed
3 BUY LIMIT 0.02 amended to 49100
4 SELL TAKE_PROFIT_MARKET 0.01 triggered
4 SELL TAKE_PROFIT_MARKET 0.01 traded at 50400
5 SELL STOP_MARKET 0.01 triggered
5 SELL STOP_MARKET 0.01 traded at 49850
5 SELL TRAILING_STOP_MARKET 0.01 triggered
5 SELL TRAILING_STOP_MARKET 0.01 traded at 49850
7 BUY LIMIT 0.02 canceled
7 SELL MARKET 0.005 placed
7 BUY LIMIT 0.02 placed
7 SELL LIMIT 0.02 placed
8 SELL MARKET 0.005 traded at 49800
8 BUY LIMIT 0.02 canceled
8 SELL LIMIT 0.02 canceled
8 SELL MARKET 0.005 placed
9 SELL MARKET 0.005 traded at 49800
";

#[test]
fn hedge_mode_has_two_positions() {
    let ended = run(
        Script::new(|_, ctx, second| {
            let place = |ctx: &mut Context<'_>, side, position, text| {
                ctx.place(OrderSpec::market(BTC, side, qty(text)).position_side(position));
            };
            match second {
                0 => {
                    place(ctx, Side::Buy, PositionSide::Long, "0.03");
                    place(ctx, Side::Sell, PositionSide::Short, "0.02");
                }
                2 => {
                    assert_eq!(ctx.position_of(BTC, PositionSide::Long).qty(), qty("0.03"));
                    assert_eq!(ctx.position_of(BTC, PositionSide::Short).qty(), qty("-0.02"));
                    // The long gained 30, the short lost 20.
                    assert_eq!(ctx.unrealized(BTC), Money::whole(10));
                    ctx.close(BTC);
                }
                4 => {
                    assert!(ctx.position_of(BTC, PositionSide::Long).is_flat() && ctx.wallet() == Money::whole(10_010))
                }
                _ => {}
            }
        }),
        None,
        true,
        trades(&[50_000, 50_000, 51_000, 51_000, 51_000]),
    );
    assert_eq!(ended.news.iter().filter(|news| news.contains("traded")).count(), 4, "{:?}", ended.news);
}

/// Attaches indicators and feeds others of the same kind by hand.
#[derive(Clone)]
struct Twins {
    ids: Vec<IndicatorId>,
    compared: u32,
}

impl Strategy for Twins {
    fn info() -> StrategyInfo {
        StrategyInfo { name: "twins", about: "Attaches indicators.", params: vec![] }
    }

    fn new(_: &Params, _: &Instruments) -> Result<Self, String> {
        Ok(Twins { ids: Vec::new(), compared: 0 })
    }

    fn on_start(&mut self, ctx: &mut Context<'_>) {
        ctx.subscribe(BTC, Timeframe::M15, 100);
        let period = |inputs| Period::new(inputs).unwrap();
        let kinds = [
            IndicatorKind::Macd { fast: period(3), slow: period(6), signal: period(4) },
            IndicatorKind::Bollinger { period: period(5), width: 2.0 },
            IndicatorKind::Stochastic { period: period(5), smoothing: period(3), signal: period(3) },
            IndicatorKind::Donchian(period(7)),
        ];
        self.ids = kinds.into_iter().map(|kind| ctx.attach(BTC, Timeframe::M15, kind)).collect();
    }

    fn on_bar(&mut self, ctx: &mut Context<'_>, symbol: SymbolId, bar: &Bar) {
        let series = ctx.bars(symbol, Timeframe::M15).unwrap();
        if bar.timeframe != Timeframe::M15 || series.len() == 100 {
            return;
        }
        assert_eq!(series.last(), Some(bar), "the series holds the bar of which is told");
        let period = |inputs| Period::new(inputs).unwrap();
        let mut macd = Macd::new(period(3), period(6), period(4));
        let mut bollinger = Bollinger::new(period(5), 2.0);
        let mut stochastic = Stochastic::new(period(5), period(3), period(3));
        let mut donchian = Donchian::new(period(7));
        for bar in series.iter() {
            macd.update(bar.close);
            bollinger.update(bar.close);
            stochastic.update(*bar);
            donchian.update(*bar);
        }
        let expected = [
            macd.value().map(|it| [it.line, it.signal, it.histogram]),
            bollinger.value().map(|it| [it.middle, it.upper, it.lower]),
            stochastic.value().map(|it| [it.k, it.d, 0.0]),
            donchian.value().map(|it| {
                let (upper, lower) = (it.upper.to_f64(), it.lower.to_f64());
                [upper, lower, (upper + lower) / 2.0]
            }),
        ];
        for (id, expected) in self.ids.iter().zip(expected) {
            assert_eq!(ctx.indicator_values(*id), expected);
            assert_eq!(ctx.indicator(*id), expected.map(|values| values[0]));
            self.compared += u32::from(expected.is_some());
        }
    }
}

#[test]
fn attached_indicators_are_those_fed_by_hand() {
    let (_, chunks) = sample::chunks().into_iter().next().unwrap();
    let bars = chunks.into_iter().filter(|chunk| matches!(chunk, Chunk::Bars(_))).take(1).collect();
    let twins = Twins { ids: Vec::new(), compared: 0 };
    let ended = run(twins, Some(Timeframe::M1), false, bars);
    assert!(ended.compared > 300, "{} values compared", ended.compared);
}
