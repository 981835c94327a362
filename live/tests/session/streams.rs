//! Sockets: deadlines, reconnects, replacement with overlap, and bars and trades without gaps.

use alphaengine_core::exchange::Outcome;
use alphaengine_core::link::{LinkUpdate, Route};
use alphaengine_core::market::MarketData;
use alphaengine_live::binance::Silence;

use crate::world::{MINUTE, MS, SECOND, T0, World, closed_bar, config, frame, kline_rows, trade};

fn downs(world: &World) -> Vec<(Route, String)> {
    let down = |link| match link {
        LinkUpdate::StreamDown { route, reason } => Some((route, reason)),
        _ => None,
    };
    world.links().into_iter().filter_map(down).collect()
}

#[test]
fn a_lost_socket_is_made_again_and_the_gap_in_bars_is_fetched() {
    let mut world = World::ready(config());
    let market = world.socket("/market/");
    world.frame(market, &closed_bar("btcusdt@kline_1m", 0));
    world.frame(market, &closed_bar("ethusdt@kline_1m", 0));
    world.close("/market/");
    assert_eq!(downs(&world), [(Route::Market, "reset".into())]);
    world.pass(SECOND);
    let again = world.socket("/market/");
    assert!(again > market);
    world.at = world.at.plus(3 * MINUTE);
    world.open_all();
    world.deliver_all();
    assert!(world.links().contains(&LinkUpdate::StreamUp { route: Route::Market }));
    // Two bars closed meanwhile; one more closes before the answer.
    world.frame(again, &closed_bar("btcusdt@kline_1m", 3));
    assert_eq!(world.bars(), [(0, 0), (1, 0)]);
    assert!(world.trace("/fapi/v1/klines")[0].contains(&format!("startTime={}", T0 + 60_000)));
    world.answer("/fapi/v1/klines", 200, &kline_rows(1..3));
    assert_eq!(world.bars()[2..], [(0, 1), (0, 2), (0, 3)]);
    world.answer("/fapi/v1/klines", 200, &kline_rows(1..3));
    assert_eq!(world.bars()[5..], [(1, 1), (1, 2)]);
}

#[test]
fn a_hole_that_the_exchange_has_too_holds_nothing_up() {
    let mut world = World::ready(config());
    let market = world.socket("/market/");
    world.frame(market, &closed_bar("btcusdt@kline_1m", 0));
    world.at = world.at.plus(5 * MINUTE);
    world.frame(market, &closed_bar("btcusdt@kline_1m", 4));
    world.answer("/fapi/v1/klines", 400, r#"{"code":-1121,"msg":"Invalid symbol."}"#);
    assert_eq!(world.bars(), [(0, 0), (0, 4)]);
}

#[test]
fn a_bar_is_heard_once_and_a_closing_one_that_stays_away_is_fetched() {
    let mut world = World::ready(config());
    let market = world.socket("/market/");
    world.frame(market, &closed_bar("btcusdt@kline_1m", 0));
    world.frame(market, &closed_bar("btcusdt@kline_1m", 0));
    assert_eq!(world.bars(), [(0, 0)]);
    world.at = world.at.plus(2 * MINUTE);
    world.frame(market, &frame("btcusdt@kline_1m", T0 + 2 * 60_000 + 500));
    assert_eq!(world.trace("/fapi/v1/klines").len(), 0);
    world.pass(2 * SECOND);
    assert_eq!(world.trace("/fapi/v1/klines").len(), 1);
    world.answer("/fapi/v1/klines", 200, &kline_rows(1..3));
    assert_eq!(world.bars(), [(0, 0), (0, 1)], "the bar that forms is none");
}

#[test]
fn a_stream_that_never_delivers_is_found_though_the_socket_lives() {
    let mut world = World::ready(config());
    world.close("/public/");
    world.pass(SECOND);
    let public = world.socket("/public/");
    world.open(public);
    world.heard.clear();
    for _ in 0..30 {
        world.pass(SECOND);
        let at = world.at.millis();
        world.frame(public, &frame("btcusdt@bookTicker", at));
    }
    world.pass(SECOND);
    assert!(!world.sockets.contains_key(&public));
    let public_downs = downs(&world).into_iter().filter(|(route, _)| *route == Route::Public).count();
    assert_eq!(public_downs, 0, "it was told already that the route is down");
    world.pass(3 * SECOND);
    assert!(world.socket("/public/") > public);
}

#[test]
fn silence_takes_a_route_down_with_its_reason() {
    let mut world = World::ready(config());
    world.pass(16 * SECOND);
    assert_eq!(downs(&world), [(Route::Market, "btcusdt@markPrice@1s was silent for 15 s".into())]);
    assert_eq!(world.session.figures().streams_up, [Route::Public, Route::Private]);
}

#[test]
fn pauses_double_up_to_the_most_and_begin_anew_after_success() {
    let mut world = World::ready(config());
    let mut pauses = Vec::new();
    for _ in 0..9 {
        world.close("/public/");
        let lost = world.at;
        while !world.sockets.values().any(|url| url.contains("/public/")) {
            world.pass(10 * MS);
            for stream in ["btcusdt@kline_1m", "ethusdt@kline_1m", "btcusdt@markPrice@1s", "ethusdt@markPrice@1s"] {
                let market = world.socket("/market/");
                let at = world.at.millis();
                world.frame(market, &frame(stream, at));
            }
        }
        pauses.push(world.at.since(lost) / MS);
    }
    for (pause, most) in pauses.iter().zip([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000, 30_000]) {
        assert!((most / 2..=most + 10).contains(pause), "{pauses:?}");
    }
    world.open_all();
    world.deliver_all();
    world.close("/public/");
    world.pass(SECOND);
    assert!(world.socket("/public/").0 > 0);
}

#[test]
fn a_socket_that_does_not_open_is_given_up() {
    let mut world = World::ready(config());
    world.close("/public/");
    world.pass(SECOND);
    let silent = world.socket("/public/");
    world.live(13 * SECOND);
    assert!(world.socket("/public/") > silent);
}

#[test]
fn a_planned_replacement_loses_nothing_and_repeats_nothing() {
    let mut config = config();
    config.streams.agg_trades = true;
    config.connection_life = 10 * MINUTE;
    let mut world = World::ready(config);
    let old = world.socket("/market/");
    world.live(10 * MINUTE);
    let new = world.socket("/market/");
    assert!(new > old);
    world.heard.clear();
    let tell = |world: &mut World, socket, id| {
        let at = world.at.millis();
        world.frame(socket, &format!(r#"{{"stream":"btcusdt@aggTrade","data":{}}}"#, trade("BTCUSDT", id, at)));
    };
    let first = world.at.millis() / 10_000 + 1;
    tell(&mut world, old, first);
    world.open(new);
    tell(&mut world, new, first);
    tell(&mut world, old, first + 1);
    tell(&mut world, new, first + 1);
    world.deliver_all();
    assert!(world.links().contains(&LinkUpdate::StreamReplaced { route: Route::Market }), "{:?}", world.links());
    tell(&mut world, new, first + 2);
    tell(&mut world, old, first + 2);
    tell(&mut world, old, first + 3);
    world.pass(SECOND);
    assert!(!world.sockets.contains_key(&old));
    let ids: Vec<i64> = world
        .market()
        .iter()
        .filter_map(|update| match update.data {
            MarketData::Trade(trade) if update.symbol.0 == 0 => Some(trade.id),
            _ => None,
        })
        .collect();
    assert_eq!(ids, [first, first + 1, first + 2, first + 3]);
    assert_eq!(downs(&world), []);
}

#[test]
fn an_announced_shutdown_begins_the_replacement() {
    let mut world = World::ready(config());
    let old = world.socket("/market/");
    world.frame(old, r#"{"e":"serverShutdown","E":1750003230000}"#);
    assert!(world.socket("/market/") > old);
    assert!(world.sockets.contains_key(&old), "the old one delivers until the new one does");
}

#[test]
fn a_hole_in_trades_is_filled_in_its_place() {
    let mut config = config();
    config.streams.agg_trades = true;
    let mut world = World::ready(config);
    let market = world.socket("/market/");
    let first = T0 / 10_000 + 4;
    // The last one is told twice.
    for id in [first, first + 3, first + 4, first + 4] {
        world
            .frame(market, &format!(r#"{{"stream":"btcusdt@aggTrade","data":{}}}"#, trade("BTCUSDT", id, T0 + 31_000)));
    }
    assert!(world.sent[0].query.ends_with(&format!("fromId={}&limit=2", first + 1)));
    let row = |id| format!(r#"{{"a":{id},"p":"1","q":"1","f":1,"l":1,"T":{},"m":true}}"#, T0 + 31_000);
    world.answer("/fapi/v1/aggTrades", 200, &format!("[{},{}]", row(first + 1), row(first + 2)));
    let ids: Vec<i64> = world
        .market()
        .iter()
        .filter_map(|update| match update.data {
            MarketData::Trade(trade) => Some(trade.id),
            _ => None,
        })
        .collect();
    assert_eq!(ids, (first..first + 5).collect::<Vec<_>>());
}

#[test]
fn frames_in_other_spacing_and_with_unknown_fields_are_read() {
    let mut world = World::ready(config());
    let public = world.socket("/public/");
    world.frame(
        public,
        r#"{ "stream": "btcusdt@bookTicker", "data": {"new":[{}],"u":99999999999999,"E":1,"s":"BTCUSDT","b":"1","B":"1","a":"2","A":"1"} }"#,
    );
    assert_eq!(world.market().len(), 1);
    for (text, of) in
        [("{", "broken"), (r#"{"stream":"xyz@trade","data":{}}"#, "foreign"), (r#"{"result":null,"id":1}"#, "")]
    {
        world.frame(public, text);
        let strangers = world.session.figures().strangers;
        match of {
            "broken" => assert_eq!(strangers.malformed, 1),
            "foreign" => assert_eq!(strangers.streams, 1),
            _ => assert_eq!(strangers.events, 0),
        }
    }
}

#[test]
fn many_streams_are_asked_for_by_frames_beyond_what_an_address_holds() {
    let mut config = config();
    let one = config.instruments.get(alphaengine_core::market::SymbolId(0)).clone();
    let many = (0..150).map(|number| {
        let symbol = format!("S{number}USDT").parse().unwrap();
        alphaengine_core::instrument::Instrument { symbol, ..one.clone() }
    });
    config.instruments = alphaengine_core::instrument::Instruments::new(many.collect()).unwrap();
    let mut world = World::new(config);
    world.session.start(world.at);
    world.take();
    world.open_all();
    // 150 on /public, 300 on /market.
    assert_eq!(world.said.len(), 1 + 2);
    assert!(
        world.said[0].starts_with(r#"{"method":"SUBSCRIBE","params":["s100usdt@bookTicker","#),
        "{}",
        world.said[0]
    );
}

/// A second in which the route of book data tells one event of this age.
fn second_of_book(world: &mut World, age: i64) {
    world.pass(SECOND);
    let socket = world.socket("/public/");
    world.frame(socket, &frame("btcusdt@bookTicker", world.at.plus(world.offset - age * MS).millis()));
}

#[test]
fn data_that_arrive_late_are_told_by_the_exchange_s_clock_and_let_nothing_open() {
    let route = Route::Public;
    for offset in [0, -90 * SECOND, 90 * SECOND] {
        let mut world = World::new(config());
        world.offset = offset;
        world.start();
        world.heard.clear();
        for age in [3_100, 2_000, 3_100, 3_100] {
            second_of_book(&mut world, age);
        }
        assert_eq!(world.links(), [], "not for two seconds on end");
        second_of_book(&mut world, 4_000);
        assert_eq!(world.links(), [LinkUpdate::Late { route, millis: 4_000 }]);
        world.request(crate::orders::place("ae-1"));
        let outcomes = world.outcomes();
        assert!(matches!(&outcomes[..], [(1, Outcome::Rejected(_))]), "{outcomes:?}");
        world.request(crate::orders::cancel("ae-9"));
        assert_eq!(world.trace("/fapi/v1/order").len(), 1, "a cancel leaves");
        for age in [2_900, 1_500] {
            second_of_book(&mut world, age);
        }
        assert_eq!(world.links().len(), 1);
        second_of_book(&mut world, 1_400);
        assert_eq!(world.links()[1..], [LinkUpdate::OnTime { route }]);
        world.request(crate::orders::place("ae-2"));
        assert_eq!(world.trace("/fapi/v1/order").len(), 2);
    }
}

#[test]
fn a_market_that_runs_ahead_or_speaks_when_asked_is_never_late_and_a_new_connection_is_not() {
    let mut world = World::ready(config());
    for second in 0..10 {
        second_of_book(&mut world, -59_000 * second);
    }
    assert_eq!(world.links(), []);
    for _ in 0..3 {
        second_of_book(&mut world, 10_000);
    }
    assert!(matches!(world.links()[..], [LinkUpdate::Late { .. }]));
    world.close("/public/");
    world.pass(SECOND);
    world.open_all();
    world.deliver_all();
    assert_eq!(world.links().last(), Some(&LinkUpdate::StreamUp { route: Route::Public }));
    world.request(crate::orders::place("ae-1"));
    assert_eq!(world.trace("/fapi/v1/order").len(), 1, "what was late is gone with its connection");
    let mut config = config();
    config.silence = Silence::ALLOWED;
    let mut world = World::ready(config);
    for _ in 0..5 {
        second_of_book(&mut world, 10_000);
    }
    assert_eq!(world.links(), []);
}
