//! Without faults and without delays the world of a campaign gives the orders of a backtest: the same engine meets the same exchange,
//! once by way of bytes and once without.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

mod support;

use alphaengine_chaos::{RunOptions, Scenario, run};
use alphaengine_core::engine::{Config, Engine};
use alphaengine_core::event::Event;
use alphaengine_core::mode::Mode;
use alphaengine_core::order::OrderSpec;
use alphaengine_core::store::{Encoder, MemoryLog, Scope};
use alphaengine_core::strategy::Strategy;
use alphaengine_core::units::NANOS_PER_SECOND;
use alphaengine_live::binance::StreamsWanted;
use alphaengine_sim::SimWorld;
use alphaengine_sim::faults::FaultPlan;
use support::{Drill, scenario, turn};

/// The orders of a plain backtest over the scenario's market, in order.
fn backtest(scenario: &Scenario) -> Vec<OrderSpec> {
    let strategy = Drill::new(&scenario.params, &scenario.instruments).unwrap();
    let scope = Scope::binance_futures(Mode::Backtest, "parity".parse().unwrap(), "main");
    let log = MemoryLog::new(Encoder::new(scope, &scenario.instruments));
    let config = Config {
        session: "parity".parse().unwrap(),
        mode: Mode::Backtest,
        strategy: scenario.strategy.clone(),
        description: serde_json::Value::Null,
        asset: scenario.sim.asset,
        instruments: scenario.instruments.clone(),
        base_timeframes: vec![Some(scenario.timeframe); scenario.instruments.len()],
        trade_bars: scenario.timeframe,
        limits: scenario.limits,
        recv_window: 2 * NANOS_PER_SECOND,
        commit_each_step: false,
        live: None,
    };
    let mut engine = Engine::new(config, strategy, log);
    let mut world = SimWorld::new(scenario.sim.clone(), &scenario.instruments, scenario.market.clone().into_iter());
    loop {
        let requests: Vec<_> = match world.next(engine.wake_at()).unwrap() {
            None => break,
            Some((at, input)) => engine.step(at, input).unwrap().map(|outgoing| (at, outgoing)).collect(),
        };
        requests.into_iter().for_each(|(at, outgoing)| world.submit(at, outgoing));
    }
    let requested = |event: &Event| match event {
        Event::OrderRequested(event) => Some(event.spec),
        _ => None,
    };
    engine.log().events().iter().filter_map(|recorded| requested(&recorded.event)).collect()
}

#[test]
fn an_empty_plan_gives_the_orders_of_a_backtest() {
    let _turn = turn();
    for seed in [1, 2, 3] {
        let scenario = scenario(seed);
        // The data have no marks, so a backtest tells none; the exchange makes some of its own.
        let streams = StreamsWanted { mark_price: false, ..scenario.streams };
        let scenario = Scenario { history: Vec::new(), streams, ..scenario };
        let expected = backtest(&scenario);
        let options = RunOptions { seed, instant: true, ..RunOptions::default() };
        let report = run::<Drill>(&scenario, &FaultPlan::default(), &options).unwrap();
        let found = report.orders;
        assert!(expected.len() > 50, "too few orders to prove anything: {}", expected.len());
        for (index, (expected, found)) in expected.iter().zip(&found).enumerate() {
            assert_eq!(found, expected, "seed {seed}, order {index}");
        }
        assert!(found.len() >= expected.len(), "{} of {} orders", found.len(), expected.len());
        assert_eq!(report.violations, []);
    }
}
