//! Whatever comes over the wire: no panic, and no order is ever sent a second time because of it.

use alphaengine_core::exchange::Request;
use alphaengine_live::wire::{HttpResponse, Method, TransportError};
use proptest::prelude::*;

use crate::orders::{cancel, place};
use crate::user::{FILL, algo, order};
use crate::world::{BTC, SECOND, World, closed_bar, config, frame};

const BODIES: &[&str] = &[
    r#"{"orderId":22542179,"clientOrderId":"ae-1","status":"NEW","executedQty":"0.1","type":"LIMIT"}"#,
    r#"{"code":-1021,"msg":"Timestamp for this request was 1000ms ahead of the server's time."}"#,
    r#"{"code":-1003,"msg":"Way too many requests; IP(1.2.3.4) banned until 1750003260000."}"#,
    r#"{"code":-1007,"msg":"Timeout waiting for response from backend server."}"#,
    r#"{"serverTime":1750003230000}"#,
    r#"{"listenKey":"K1"}"#,
    r#"[[1750003200000,"1","2","0.5","1","9",1750003259999,"1",2,"1","1","0"]]"#,
    r#"[{"symbol":"BTCUSDT","incomeType":"FUNDING_FEE","income":"-0.25","asset":"USDT","time":1750003200000,"tranId":2}]"#,
    r#"{"lastUpdateId":100,"bids":[["100","1"]],"asks":[["101","3"]]}"#,
    "<html>503</html>",
    "",
];

fn frames() -> Vec<String> {
    let at = crate::world::T0 + 30_500;
    let mut frames: Vec<String> =
        ["btcusdt@bookTicker", "btcusdt@markPrice@1s", "btcusdt@aggTrade", "btcusdt@kline_1m", "btcusdt@depth@100ms"]
            .iter()
            .map(|stream| frame(stream, at))
            .collect();
    frames.push(closed_bar("btcusdt@kline_1m", 3));
    frames.push(order(7, "ae-1", FILL));
    frames.push(algo("TRIGGERED", r#""q":"0.01","ai":"99""#));
    frames.push(r#"{"e":"listenKeyExpired","E":"1736996475556","listenKey":"K1"}"#.to_owned());
    frames.push(r#"{"e":"serverShutdown","E":1}"#.to_owned());
    frames
}

/// One thing that happens.
#[derive(Debug, Clone)]
enum Step {
    Frame { socket: usize, bytes: Vec<u8> },
    Answer { which: usize, status: u16, body: Vec<u8> },
    Lost { which: usize, sent: bool },
    Request(u8),
    Close(usize),
    Open(usize),
    Pass(u32),
}

/// A text with some bytes changed, cut out or doubled.
fn damaged(text: String) -> impl Strategy<Value = Vec<u8>> {
    let bytes = text.into_bytes();
    proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 0..4).prop_map(move |changes| {
        let mut bytes = bytes.clone();
        for (index, byte, kind) in changes {
            if bytes.is_empty() {
                break;
            }
            let place = index.index(bytes.len());
            match kind {
                0 => bytes[place] = byte,
                1 => drop(bytes.remove(place)),
                _ => bytes.truncate(place),
            }
        }
        bytes
    })
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let texts: Vec<String> = frames().into_iter().chain(BODIES.iter().map(|body| (*body).to_owned())).collect();
    prop_oneof![
        1 => proptest::collection::vec(any::<u8>(), 0..60),
        5 => proptest::sample::select(texts).prop_flat_map(damaged),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let status = prop_oneof![4 => Just(200_u16), 1 => proptest::sample::select(vec![307_u16, 400, 401, 403, 408, 418, 429, 500, 503])];
    prop_oneof![
        4 => (0..6_usize, bytes()).prop_map(|(socket, bytes)| Step::Frame { socket, bytes }),
        4 => (0..9_usize, status, bytes()).prop_map(|(which, status, body)| Step::Answer { which, status, body }),
        1 => (0..9_usize, any::<bool>()).prop_map(|(which, sent)| Step::Lost { which, sent }),
        2 => (0..9_u8).prop_map(Step::Request),
        1 => (0..6_usize).prop_map(Step::Close),
        1 => (0..6_usize).prop_map(Step::Open),
        2 => (1..120_000_u32).prop_map(Step::Pass),
    ]
}

fn run(world: &mut World, steps: Vec<Step>) {
    let mut orders = 0;
    // Orders whose answer was lost, with the number of requests that had left by then.
    let mut lost: Vec<(String, usize)> = Vec::new();
    for step in steps {
        match step {
            Step::Frame { socket, bytes } => {
                if let Some(socket) = world.sockets.keys().nth(socket).copied() {
                    world.session.on_frame(world.at, socket, &bytes);
                    world.take();
                }
            }
            Step::Answer { which, status, body } => {
                if !world.asked.is_empty() {
                    let request = world.asked.remove(which % world.asked.len());
                    world.session.on_http(world.at, request.id, Ok(HttpResponse { status, headers: Vec::new(), body }));
                    world.take();
                }
            }
            Step::Lost { which, sent } => {
                if !world.asked.is_empty() {
                    let request = world.asked.remove(which % world.asked.len());
                    let why = "gone".to_owned();
                    if sent && request.method == Method::Post && request.path == "/fapi/v1/order" {
                        let name = request.query.split("newClientOrderId=").nth(1).unwrap_or("");
                        lost.push((name.split('&').next().unwrap_or("").to_owned(), world.sent.len()));
                    }
                    let error = if sent { TransportError::Lost(why) } else { TransportError::NotSent(why) };
                    world.session.on_http(world.at, request.id, Err(error));
                    world.take();
                }
            }
            Step::Request(kind) => {
                orders += 1;
                let name = format!("ae-{orders}");
                let client_order_id = name.parse().unwrap();
                world.request(match kind {
                    0..=2 => place(&name),
                    3 => cancel(&name),
                    4 => Request::Snapshot,
                    5 => Request::Trades { symbol: BTC, from_id: 0, since: world.at },
                    6 => Request::Income { since: world.at },
                    7 => Request::CancelAll { symbol: BTC },
                    _ => Request::QueryOrder { client_order_id, symbol: BTC, conditional: true, child: None },
                });
            }
            Step::Close(which) => {
                if let Some(socket) = world.sockets.keys().nth(which).copied() {
                    world.sockets.remove(&socket);
                    world.session.on_closed(world.at, socket, "gone");
                    world.take();
                }
            }
            Step::Open(which) => {
                if let Some(socket) = world.sockets.keys().nth(which).copied() {
                    world.session.on_opened(world.at, socket);
                    world.take();
                }
            }
            Step::Pass(millis) => world.pass(i64::from(millis) * SECOND / 1_000),
        }
    }
    for (name, before) in lost {
        let parameter = format!("newClientOrderId={name}&");
        assert!(
            !world.sent[before..].iter().any(|request| request.query.contains(&parameter)),
            "{name} was sent again"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_comes_over_the_wire_makes_a_session_panic(steps in proptest::collection::vec(step(), 0..60)) {
        let mut config = config();
        config.streams.agg_trades = true;
        config.streams.depth = true;
        config.warm_up_bars = 5;
        config.batch_orders = true;
        config.countdown = Some(60 * SECOND);
        let mut world = World::new(config);
        world.session.start(world.at);
        world.take();
        run(&mut world, steps.clone());
        // The same from a session that is up.
        let mut world = World::ready(crate::world::config());
        run(&mut world, steps);
        // Every request of the engine is answered at most once.
        let mut answered: Vec<u64> = world.outcomes().into_iter().map(|(id, _)| id).collect();
        let all = answered.len();
        answered.sort_unstable();
        answered.dedup();
        prop_assert_eq!(all, answered.len());
    }
}
