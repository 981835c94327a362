//! What stands in the way of a start: one sentence and a hint for each.

use std::collections::BTreeMap;

use alphaengine_core::units::Timestamp;
use alphaengine_live::binance::{ApiKey, Bootstrap, BootstrapResult, Hosts, Problem, Signer};
use alphaengine_live::wire::{Effect, HttpResponse, TransportError};

use crate::payloads::exchange_info;
use crate::world::T0;

type Reply = Result<(u16, String), TransportError>;

fn usual() -> BTreeMap<&'static str, Reply> {
    let ok = |body: &str| Ok((200, body.to_owned()));
    BTreeMap::from([
        ("/fapi/v1/time", ok(&format!(r#"{{"serverTime":{}}}"#, T0 + 700))),
        ("/fapi/v1/exchangeInfo", Ok((200, exchange_info("BTCUSDT")))),
        ("/fapi/v1/accountConfig", ok(r#"{"canTrade":true,"dualSidePosition":true,"multiAssetsMargin":false}"#)),
        (
            "/fapi/v1/leverageBracket",
            ok(
                r#"[{"symbol":"BTCUSDT","brackets":[{"bracket":1,"initialLeverage":75,"notionalCap":10000,"notionalFloor":0,"maintMarginRatio":0.0065,"cum":0}]},{"symbol":"测试USDT","brackets":[{}]}]"#,
            ),
        ),
        ("/fapi/v1/symbolConfig", ok(r#"[{"symbol":"BTCUSDT","marginType":"ISOLATED","leverage":21}]"#)),
        (
            "/fapi/v1/commissionRate",
            ok(r#"{"symbol":"BTCUSDT","makerCommissionRate":"0.0002","takerCommissionRate":"0.0004"}"#),
        ),
    ])
}

fn run(symbol: &str, with_key: bool, replies: &BTreeMap<&'static str, Reply>) -> Result<BootstrapResult, Problem> {
    let key = with_key.then(|| ApiKey { id: "key".into(), signer: Signer::hmac("secret").unwrap() });
    let mut boot = Bootstrap::new(Hosts::testnet(), key, vec![symbol.parse().unwrap()]);
    let mut at = Timestamp::from_millis(T0).unwrap();
    boot.start(at);
    for _ in 0..60 {
        let mut timers = Vec::new();
        let effects: Vec<Effect> = boot.effects().collect();
        for effect in effects {
            match effect {
                Effect::Http(request) => {
                    assert!(with_key || !request.with_key);
                    let answer = replies[request.path].clone().map(|(status, body)| HttpResponse {
                        status,
                        headers: vec![
                            ("location".into(), "https://elsewhere.example/".into()),
                            ("x-mbx-used-weight-1m".into(), "1234".into()),
                        ],
                        body: body.into_bytes(),
                    });
                    boot.on_http(at, request.id, answer);
                }
                Effect::Timer { timer, at } => timers.push((at, timer)),
                other => panic!("{other:?}"),
            }
        }
        for (due, timer) in timers {
            // Far timers, such as the next measurement, are not waited for.
            if due.since(at) < 10_000_000_000 {
                at = at.max(due);
                boot.on_timer(at, timer);
            }
        }
        if let Some(result) = boot.result() {
            return result.clone();
        }
    }
    panic!("no result");
}

#[test]
fn rules_and_account_are_read() {
    let found = run("BTCUSDT", true, &usual()).unwrap();
    assert_eq!(found.instruments.len(), 1);
    assert_eq!(found.instruments.iter().next().unwrap().1.max_leverage(), 75);
    assert_eq!((found.limits.weight_1m, found.limits.orders_10s), (6_000, 300));
    assert_eq!(found.clock_offset, 700_000_000);
    assert_eq!((found.hedge, found.can_trade, found.multi_assets), (true, true, false));
    assert_eq!(found.commissions[0].taker.to_string(), "0.0004");
    assert_eq!(found.settings.len(), 1);
    let used = found.used_weight.unwrap();
    assert_eq!(used.weight, 1_234, "what the headers said, of this and of other processes");
    assert!(used.at.millis() >= T0 + 700, "on the exchange's clock");
}

#[test]
fn without_a_key_only_public_questions_are_asked() {
    let found = run("BTCUSDT", false, &usual()).unwrap();
    assert!(found.commissions.is_empty());
    assert_eq!(found.instruments.iter().next().unwrap().1.max_leverage(), 150, "the built-in brackets stand in");
}

#[test]
fn every_obstacle_has_its_sentence_and_its_hint() {
    let refused = |status, code, message: &str| Ok((status, format!(r#"{{"code":{code},"msg":"{message}"}}"#)));
    let text = |status, body: &str| Ok((status, body.to_owned()));
    let not_sent = |why: &str| Err(TransportError::NotSent(why.into()));
    let info = "/fapi/v1/exchangeInfo";
    let account = "/fapi/v1/accountConfig";
    let brackets = "/fapi/v1/leverageBracket";
    let halted = exchange_info("BTCUSDT").replacen("TRADING", "TRADING_HALT", 1);
    let banned = "Way too many requests; IP(1.2.3.4) banned until 1750003260000.";
    let table: Vec<(&str, &str, Reply, &str, &str)> = vec![
        (
            "BTCUSDT",
            brackets,
            refused(401, -2015, "Invalid API-key, IP, or permissions for action."),
            "refused the key",
            "testnet key",
        ),
        ("BTCUSDT", brackets, refused(400, -2014, "API-key format invalid."), "refused the key", "testnet key"),
        (
            "BTCUSDT",
            brackets,
            refused(400, -1022, "Signature for this request is not valid."),
            "refused the key",
            "secret",
        ),
        ("BTCUSDT", "/fapi/v1/time", text(200, r#"{"serverTime":1750006800000}"#), "our clock is 3600000 ms", "NTP"),
        ("BTCUSTD", info, text(200, &exchange_info("BTCUSDT")), "does not list the symbol BTCUSTD", "BTCUSDT?"),
        ("BTCUSDT", info, text(200, &halted), "its status is TRADING_HALT", "another symbol"),
        ("BTCUSDT", info, not_sent("connection refused"), "not reachable: connection refused", "--rest-url"),
        (
            "BTCUSDT",
            info,
            not_sent("invalid peer certificate: UnknownIssuer"),
            "no encrypted connection",
            "certificates",
        ),
        ("BTCUSDT", info, Err(TransportError::Lost("time-out".into())), "did not answer", "again"),
        ("BTCUSDT", account, text(200, r#"{"canTrade":false}"#), "may not trade", "account page"),
        (
            "BTCUSDT",
            account,
            text(200, r#"{"canTrade":true,"multiAssetsMargin":true}"#),
            "multi-assets mode",
            "single-asset",
        ),
        ("BTCUSDT", info, refused(429, -1003, "Too many requests."), "HTTP 429", "wait"),
        ("BTCUSDT", info, refused(418, -1003, banned), "HTTP 418) until 2025-06-15T16:01:00", "wait"),
        ("BTCUSDT", info, text(403, "<html>403 Forbidden</html>"), "firewall", "country"),
        ("BTCUSDT", info, text(200, "<html>hello</html>"), "exchange's language: <html>hello</html>", "address"),
        ("BTCUSDT", info, text(307, ""), "redirects to https://elsewhere.example/", "redirects"),
        ("BTCUSDT", info, text(200, "{}"), "cannot be used", "newer version"),
    ];
    for (symbol, path, reply, sentence, hint) in table {
        let mut replies = usual();
        replies.insert(path, reply);
        let problem = run(symbol, true, &replies).expect_err(sentence);
        assert!(problem.to_string().contains(sentence), "{sentence}: {problem}");
        assert!(problem.hint().contains(hint), "{hint}: {}", problem.hint());
    }
}
