//! Frames and answers of any content: a session must not panic.
//!
//! The input is cut at each byte 0xff. The first byte of a piece says what it is: a frame of one of the sockets, or the body of an
//! answer with one of the statuses.
#![no_main]

use alphaengine_core::exchange::{Outgoing, Request};
use alphaengine_core::id::RequestId;
use alphaengine_core::instrument::{Catalog, Instruments};
use alphaengine_core::market::SymbolId;
use alphaengine_core::order::{OrderSpec, Side};
use alphaengine_core::units::{Qty, Timestamp};
use alphaengine_live::binance::{ApiKey, Hosts, Session, SessionConfig, Signer};
use alphaengine_live::wire::{Effect, HttpId, HttpResponse, SocketId, TimerId};
use libfuzzer_sys::fuzz_target;

const STATUSES: [u16; 8] = [200, 200, 200, 400, 418, 429, 500, 503];

fuzz_target!(|data: &[u8]| {
    let Some(mut session) = session() else { return };
    let mut at = Timestamp::from_millis(1_750_003_230_000).unwrap_or_default();
    let (mut http, mut sockets, mut timers) = (Vec::new(), Vec::new(), Vec::new());
    session.start(at);
    take(&mut session, &mut http, &mut sockets, &mut timers);
    for (number, piece) in data.split(|byte| *byte == 0xff).enumerate() {
        let Some((kind, rest)) = piece.split_first() else { continue };
        let index = usize::from(kind >> 3);
        match kind & 7 {
            0..=2 => {
                if let Some(socket) = sockets.get(index % sockets.len().max(1)) {
                    session.on_frame(at, *socket, rest);
                }
            }
            3 | 4 => {
                if !http.is_empty() {
                    let id = http.remove(index % http.len());
                    let status = STATUSES[index % STATUSES.len()];
                    session.on_http(at, id, Ok(HttpResponse { status, headers: Vec::new(), body: rest.to_vec() }));
                }
            }
            5 => {
                if let Some(socket) = sockets.get(index % sockets.len().max(1)) {
                    session.on_opened(at, *socket);
                }
            }
            6 => {
                at = at.plus(i64::from(*kind) * 1_000_000_000);
                for timer in std::mem::take(&mut timers) {
                    session.on_timer(at, timer);
                }
            }
            _ => {
                let spec = OrderSpec::market(SymbolId(0), Side::Buy, Qty::from_steps(100_000));
                let Ok(client_order_id) = format!("ae-{number}").parse() else { continue };
                let request = match index % 4 {
                    0 => Request::PlaceOrder { client_order_id, spec },
                    1 => Request::Snapshot,
                    2 => Request::Trades { symbol: SymbolId(0), from_id: 0, since: at },
                    _ => Request::Income { since: at },
                };
                session.on_request(at, &Outgoing { id: RequestId(number as u64), request });
                session.flush(at);
            }
        }
        take(&mut session, &mut http, &mut sockets, &mut timers);
    }
});

fn session() -> Option<Session> {
    let catalog = Catalog::builtin();
    let instrument = catalog.get(&"BTCUSDT".parse().ok()?).ok()?.clone();
    let key = ApiKey { id: "key".into(), signer: Signer::hmac("secret").ok()? };
    let instruments = Instruments::new(vec![instrument]).ok()?;
    let mut config = SessionConfig::new(Hosts::testnet(), Some(key), instruments);
    config.streams.depth = true;
    config.streams.agg_trades = true;
    Some(Session::new(config))
}

fn take(session: &mut Session, http: &mut Vec<HttpId>, sockets: &mut Vec<SocketId>, timers: &mut Vec<TimerId>) {
    for effect in session.effects() {
        match effect {
            Effect::Http(request) => http.push(request.id),
            Effect::Open { socket, .. } => sockets.push(socket),
            Effect::Timer { timer, .. } => timers.push(timer),
            Effect::Send { .. } | Effect::Close { .. } | Effect::Input(_) => {}
        }
    }
}
