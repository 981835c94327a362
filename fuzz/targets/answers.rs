//! HTTP answers of any status and content, from the first request on: into a session (`S` on the first line), into a bootstrap
//! with a key (`K`) or without one (anything else).
#![no_main]

use alphaengine_core::units::Timestamp;
use alphaengine_fuzz::binance::{ApiKey, Bootstrap, Hosts, Signer};
use alphaengine_fuzz::desk::{Desk, response};
use alphaengine_fuzz::say::T0;
use alphaengine_fuzz::wire::{Effect, TransportError};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else { return };
    match first {
        b'S' => {
            let Some(mut desk) = Desk::new() else { return };
            desk.play(rest);
        }
        kind => {
            let _ = bootstrap(*kind == b'K', rest);
        }
    }
});

/// Answers request after request with line after line.
fn bootstrap(has_key: bool, script: &[u8]) -> Option<()> {
    let key = ApiKey { id: "key".into(), signer: Signer::hmac("secret").ok()? };
    let symbols = vec!["BTCUSDT".parse().ok()?, "ETHUSDT".parse().ok()?];
    let mut boot = Bootstrap::new(Hosts::testnet(), has_key.then_some(key), symbols);
    let mut at = Timestamp::from_millis(T0)?;
    let (mut asked, mut timers) = (Vec::new(), Vec::new());
    boot.start(at);
    let mut lines = script.split(|byte| *byte == b'\n');
    loop {
        for effect in boot.effects() {
            match effect {
                Effect::Http(request) => asked.push(request.id),
                Effect::Timer { timer, at } => timers.push((at, timer)),
                other => panic!("a bootstrap asks for nothing but requests and timers: {other:?}"),
            }
        }
        if boot.result().is_some() {
            return Some(());
        }
        let line = lines.next()?;
        if asked.is_empty() {
            // What waits for a time waits for the nearest one.
            let index = (0..timers.len()).min_by_key(|index| timers[*index].0)?;
            let (due, timer) = timers.remove(index);
            at = at.max(due);
            boot.on_timer(at, timer);
            continue;
        }
        let which = usize::from(line.get(1).copied().unwrap_or(b'0').wrapping_sub(b'0')) % asked.len();
        let id = asked.remove(which);
        let answer = match line.first() {
            Some(b'L') => Err(TransportError::Lost("reset".into())),
            Some(b'N') => Err(TransportError::NotSent("refused".into())),
            Some(b'X') => Err(TransportError::NotSent("bad certificate".into())),
            _ => Ok(response(line.get(2..).unwrap_or_default())),
        };
        boot.on_http(at, id, answer);
    }
}
