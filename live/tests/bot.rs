//! Engine and session side by side, without a world around them.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

use alphaengine_core::engine::{Config, Engine, LiveConfig};
use alphaengine_core::id::SessionId;
use alphaengine_core::instrument::{Catalog, Instruments};
use alphaengine_core::market::Timeframe;
use alphaengine_core::mode::Mode;
use alphaengine_core::params::Params;
use alphaengine_core::risk::Limits;
use alphaengine_core::state::State;
use alphaengine_core::store::{Encoder, MemoryLog, Scope};
use alphaengine_core::strategy::{Strategy, StrategyInfo};
use alphaengine_core::units::{NANOS_PER_MINUTE, NANOS_PER_SECOND, Timestamp};
use alphaengine_live::binance::{Hosts, Session, SessionConfig};
use alphaengine_live::bot::{Bot, News};
use alphaengine_live::wire::{Effect, TransportError};

struct Idle;

impl Strategy for Idle {
    fn info() -> StrategyInfo {
        StrategyInfo { name: "idle", about: "Does nothing.", params: vec![] }
    }

    fn new(_: &Params, _: &Instruments) -> Result<Idle, String> {
        Ok(Idle)
    }
}

/// A bot whose store was last written at this time.
fn bot(written_at: Timestamp) -> Bot<Idle, MemoryLog> {
    let instruments = Instruments::new(vec![Catalog::builtin().get(&"BTCUSDT".parse().unwrap()).unwrap().clone()]);
    let instruments = instruments.unwrap();
    let session: SessionId = "0123456789abcdef".parse().unwrap();
    let log = MemoryLog::new(Encoder::new(Scope::binance_futures(Mode::Testnet, session, "main"), &instruments));
    let config = Config {
        session,
        mode: Mode::Testnet,
        strategy: "idle".into(),
        description: serde_json::json!({}),
        asset: "USDT".parse().unwrap(),
        base_timeframes: vec![Some(Timeframe::M1)],
        instruments: instruments.clone(),
        trade_bars: Timeframe::M1,
        limits: Limits::default(),
        recv_window: 2 * NANOS_PER_SECOND,
        commit_each_step: true,
        live: Some(LiveConfig::default()),
    };
    let state = State { at: written_at, ..State::new(&instruments) };
    let engine = Engine::recover(config, Idle, log, Some(state), std::iter::empty()).unwrap();
    Bot::new(engine, Session::new(SessionConfig::new(Hosts::testnet(), None, instruments)), None)
}

#[test]
fn time_goes_on_although_the_process_before_had_a_clock_that_was_ahead() {
    let begun = Timestamp::from_millis(1_750_003_200_000).unwrap();
    let ahead = begun.plus(60 * NANOS_PER_MINUTE);
    let mut bot = bot(ahead);
    bot.start(begun).unwrap();
    assert_eq!(bot.now(), ahead);
    let asked: Vec<Effect> = bot.effects().collect();
    let Some(Effect::Http(request)) = asked.iter().find(|effect| matches!(effect, Effect::Http(_))) else {
        panic!("{asked:?}")
    };
    bot.hear(begun, News::Wake).unwrap();
    // An opening that is too slow is noticed when it should be, not an hour later.
    let due = bot.wake_at();
    assert!(due > begun && due.since(begun) <= 10 * NANOS_PER_SECOND, "{}", due.since(begun));
    let lost = Err(TransportError::Lost("reset".into()));
    bot.hear(begun.plus(NANOS_PER_SECOND), News::Http { id: request.id, answer: lost }).unwrap();
    assert_eq!(bot.now(), ahead.plus(NANOS_PER_SECOND));
    bot.hear(begun.plus(11 * NANOS_PER_SECOND), News::Wake).unwrap();
    assert!(bot.effects().any(|effect| matches!(effect, Effect::Close { .. })), "a socket that never opened");
}
