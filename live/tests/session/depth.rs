//! The local book: synchronised by the rules of `binance-usdm.md` section 4.3, rebuilt after a hole.

use alphaengine_core::market::MarketData;
use alphaengine_live::binance::SessionConfig;

use crate::world::{BTC, SECOND, World, config};

fn with_depth() -> SessionConfig {
    let mut config = config();
    config.streams.book_ticker = false;
    config.streams.depth = true;
    config
}

/// A world whose market delivers; nothing of depth was heard.
fn world() -> World {
    let mut world = World::new(with_depth());
    world.session.start(world.at);
    world.take();
    for _ in 0..3 {
        world.answer_time();
    }
    world.answer("/fapi/v1/listenKey", 200, r#"{"listenKey":"K1"}"#);
    world.open_all();
    world
}

fn diff(world: &mut World, first: i64, last: i64, previous: i64, bids: &str) {
    let public = world.socket("/public/");
    world.frame(
        public,
        &format!(
            r#"{{"stream":"btcusdt@depth@100ms","data":{{"e":"depthUpdate","E":1750003230000,"T":1750003230000,"s":"BTCUSDT","U":{first},"u":{last},"pu":{previous},"b":[{bids}],"a":[]}}}}"#
        ),
    );
}

fn snapshot(world: &mut World, last: i64) {
    let body = format!(r#"{{"lastUpdateId":{last},"E":1,"T":1,"bids":[["100","1"],["99","2"]],"asks":[["101","3"]]}}"#);
    world.answer("/fapi/v1/depth", 200, &body);
}

fn best(world: &World) -> Vec<String> {
    world
        .market()
        .iter()
        .filter_map(|update| match update.data {
            MarketData::BookTicker(book) => {
                Some(format!("{}x{} {}x{}", book.bid, book.bid_qty, book.ask, book.ask_qty))
            }
            _ => None,
        })
        .collect()
}

#[test]
fn a_book_is_a_snapshot_and_every_difference_after_it() {
    let mut world = world();
    diff(&mut world, 90, 95, 89, r#"["100","9"]"#);
    diff(&mut world, 96, 105, 95, r#"["100","5"]"#);
    assert_eq!(best(&world), [] as [&str; 0]);
    snapshot(&mut world, 100);
    assert_eq!(best(&world), ["100x5 101x3"]);
    diff(&mut world, 107, 110, 105, r#"["100","0"],["98.5","7"]"#);
    diff(&mut world, 107, 110, 105, r#"["100","4"]"#);
    assert_eq!(best(&world), ["100x5 101x3", "99x2 101x3"], "what is known already changes nothing");
    let [bids, asks] = world.session.book(BTC, 10).unwrap();
    assert_eq!((bids.len(), asks.len()), (2, 1));
}

#[test]
fn a_hole_throws_the_book_away_and_builds_another() {
    let mut world = world();
    diff(&mut world, 96, 105, 95, r#"["100","5"]"#);
    snapshot(&mut world, 100);
    diff(&mut world, 112, 115, 111, r#"["100","6"]"#);
    assert!(world.session.book(BTC, 1).is_none());
    assert_eq!(world.asked.iter().filter(|request| request.path == "/fapi/v1/depth").count(), 1);
    snapshot(&mut world, 113);
    assert_eq!(best(&world), ["100x5 101x3", "100x6 101x3"]);
}

#[test]
fn a_snapshot_that_is_too_old_is_asked_for_again() {
    let mut world = world();
    diff(&mut world, 96, 105, 95, r#"["100","5"]"#);
    snapshot(&mut world, 90);
    assert!(world.session.book(BTC, 1).is_none());
    assert_eq!(world.trace("/fapi/v1/depth").len(), 1);
    world.pass(SECOND);
    assert_eq!(world.trace("/fapi/v1/depth").len(), 2);
    snapshot(&mut world, 100);
    assert_eq!(best(&world), ["100x5 101x3"]);
}
