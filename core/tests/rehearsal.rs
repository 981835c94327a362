//! Bars that are heard before a session starts warm its strategy up, and what the strategy says to them goes nowhere.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

mod support;

use alphaengine_core::attached::{IndicatorId, IndicatorKind};
use alphaengine_core::engine::Engine;
use alphaengine_core::event::Event;
use alphaengine_core::exchange::Input;
use alphaengine_core::market::{MarketData, MarketUpdate};
use alphaengine_core::prelude::*;
use alphaengine_core::store::{Encoder, MemoryLog};
use alphaengine_core::units::NANOS_PER_MINUTE;
use support::{BTC, config, noon, qty, scope};

/// Buys on every bar, and notes what it saw.
#[derive(Default)]
struct Eager {
    average: Option<IndicatorId>,
    seen: Vec<String>,
}

impl Strategy for Eager {
    fn info() -> StrategyInfo {
        StrategyInfo { name: "eager", about: "Buys on every bar.", params: vec![] }
    }

    fn new(_: &Params, _: &Instruments) -> Result<Eager, String> {
        Ok(Eager::default())
    }

    fn warm_up(&self) -> usize {
        5
    }

    fn on_start(&mut self, ctx: &mut Context<'_>) {
        let kind = IndicatorKind::Sma(alphaengine_core::indicator::Period::new(3).unwrap());
        self.average = Some(ctx.attach(BTC, Timeframe::M1, kind));
        ctx.subscribe(BTC, Timeframe::M3, 2);
        self.seen.push("start".into());
    }

    fn on_bar(&mut self, ctx: &mut Context<'_>, symbol: SymbolId, bar: &Bar) {
        let average = ctx.indicator(self.average.unwrap());
        self.seen.push(format!("{} {} {average:?}", bar.timeframe, bar.close));
        ctx.buy(symbol, qty("1"));
        ctx.set_timer_in("later", NANOS_PER_MINUTE);
        ctx.save("bars", &self.seen.len());
    }
}

fn bar(minute: i64) -> MarketUpdate {
    let open_time = noon().plus(minute * NANOS_PER_MINUTE);
    let price = Price::whole(100 + minute);
    let bar = Bar {
        open_time,
        open: price,
        high: price,
        low: price,
        close: price,
        volume: qty("1"),
        timeframe: Timeframe::M1,
    };
    MarketUpdate { at: bar.close_time(), symbol: BTC, data: MarketData::Bar(bar) }
}

#[test]
fn history_warms_up_in_the_order_of_time_and_nothing_that_is_said_to_it_leaves() {
    let mut config = config();
    config.base_timeframes[0] = Some(Timeframe::M1);
    let log = MemoryLog::new(Encoder::new(scope(), &config.instruments));
    let mut engine = Engine::new(config, Eager::default(), log);
    let now = noon().plus(6 * NANOS_PER_MINUTE);
    // Six bars are told, the strategy needs five: the last four, and one of the present.
    for minute in 0..6 {
        assert_eq!(engine.step(now, Input::Market(&bar(minute))).unwrap().count(), 0);
    }
    assert_eq!(engine.step(now, Input::Ready).unwrap().count(), 0, "an order to the past left");
    assert_eq!(
        engine.strategy().seen,
        [
            "start",
            "1m 102 None",
            // The first span is known in part only, as at the start of any data.
            "3m 102 None",
            "1m 103 None",
            "1m 104 Some(103.0)",
            "1m 105 Some(104.0)",
            "3m 105 Some(104.0)",
        ]
    );
    assert!(engine.state().timers.is_empty() && engine.state().memory.is_empty());
    let types: Vec<&str> = engine.log().events().iter().map(|recorded| recorded.event.event_type()).collect();
    assert_eq!(types, ["SessionStarted", "EngineModeChanged"]);

    let sent = engine.step(now.plus(NANOS_PER_MINUTE), Input::Market(&bar(6))).unwrap().count();
    assert_eq!(sent, 1, "the present is answered");
    assert_eq!(engine.strategy().seen.last().unwrap(), "1m 106 Some(105.0)");
    assert!(engine.log().events().iter().any(|recorded| matches!(recorded.event, Event::OrderRequested(_))));
}
