//! What live trading says at the start to what it cannot use: one sentence, a hint, exit 2, and nothing lost.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

#[path = "support/live.rs"]
mod live;
#[path = "support/stage.rs"]
mod stage;
#[path = "support/mod.rs"]
mod support;

use std::io::Write;
use std::net::TcpListener;
use std::process::Command;

use live::{KEY, SECRET};
use serde_json::{Value, json};
use stage::{Stage, answer_next, assert_says, free_port, url};
use support::Ended;

#[test]
fn what_the_exchange_says_at_the_start_is_a_sentence() {
    let stage = Stage::new();
    let exchange = stage.exchange(&[]);
    let rest = url(&exchange);
    stage.secrets("other-key.yaml", "testnet:\n  api_key: otherkey\n  api_secret: canary-secret-7c1f\n", 0o600);
    stage.secrets("other-secret.yaml", &format!("testnet:\n  api_key: {KEY}\n  api_secret: canary-other\n"), 0o600);
    let account = "/fapi/v1/accountConfig";
    let refused = |code: i32, text: &str| json!({"kind": "error", "code": code, "message": text, "status": 401});
    let says = |body: Value| json!({"kind": "status", "code": 200, "body": body.to_string()});
    let status = |code: u16, name: &str, value: &str, body: &str| json!({"kind": "status", "code": code, "headers": {name: value}, "body": body});
    let mut settling = exchange.get("/fapi/v1/exchangeInfo");
    for symbol in settling["symbols"].as_array_mut().unwrap() {
        symbol["status"] = json!("SETTLING");
    }
    let key_hint = "\nhint: usually a testnet key is used on production *IP address *permit it futures trading";
    let banned = r#"{"code":-1003,"msg":"Way too many requests; IP(1.2.3.4) banned until 4000000000000."}"#;
    let nothing: (&str, Value) = ("", Value::Null);
    for (case, (path, fault), args, sentence) in [
        (
            "another key",
            nothing.clone(),
            "--secrets other-key.yaml",
            &*format!(
                "{rest} refused the key (exchange code -2015: Invalid API-key, IP, or permissions for action.){key_hint}"
            ),
        ),
        (
            "another secret",
            nothing.clone(),
            "--secrets other-secret.yaml",
            &format!(
                "{rest} refused the key (exchange code -1022: *)\nhint: the signature does not fit: compare the secret"
            ),
        ),
        (
            "no such key",
            (account, refused(-2014, "API-key format invalid.")),
            "",
            &format!("{rest} refused the key (exchange code -2014: API-key format invalid.){key_hint}"),
        ),
        (
            "no futures permission, or another address",
            ("/fapi/v1/leverageBracket", refused(-2015, "Invalid API-key, IP, or permissions for action.")),
            "",
            &format!("{rest} refused the key (exchange code -2015: Invalid API-key, IP, or permissions *{key_hint}"),
        ),
        (
            "may not trade",
            (account, says(json!({"canTrade": false, "dualSidePosition": false, "multiAssetsMargin": false}))),
            "",
            "the account may not trade\nhint: look for a notice on the exchange's account page",
        ),
        (
            "hedge mode",
            (account, says(json!({"canTrade": true, "dualSidePosition": true, "multiAssetsMargin": false}))),
            "",
            "the account is in hedge mode, and sma_cross trades one position a symbol\nhint: switch the account to one-way",
        ),
        (
            "multi-assets mode",
            (account, says(json!({"canTrade": true, "dualSidePosition": false, "multiAssetsMargin": true}))),
            "",
            "the account is in multi-assets mode, *\nhint: switch the futures account to single-asset mode",
        ),
        (
            "a symbol that nobody lists",
            nothing.clone(),
            "--symbol BTCUSD",
            &format!("{rest} does not list the symbol BTCUSD\nhint: did you mean BTCUSDT?"),
        ),
        (
            "a symbol like no other",
            nothing.clone(),
            "--symbol QXZJKWV",
            &format!("{rest} does not list the symbol QXZJKWV\nhint: symbols are written like BTCUSDT"),
        ),
        (
            "a symbol that does not trade",
            ("/fapi/v1/exchangeInfo", says(settling)),
            "",
            "BTCUSDT cannot be traded now: its status is SETTLING\nhint: choose another symbol",
        ),
        (
            "a limit",
            ("/fapi/v1/exchangeInfo", status(429, "retry-after", "7", r#"{"code":-1003,"msg":"Too many requests."}"#)),
            "",
            &format!("{rest} lets nothing through (HTTP 429) until 20*Z\nhint: wait until then"),
        ),
        (
            "a ban",
            ("/fapi/v1/exchangeInfo", status(418, "retry-after", "600", banned)),
            "",
            &format!("{rest} lets nothing through (HTTP 418) until 2096-10-02T*Z\nhint: wait until then"),
        ),
        (
            "a firewall",
            ("/fapi/v1/exchangeInfo", json!({"kind": "html", "status": 403})),
            "",
            &format!("the firewall of {rest} blocked the request (HTTP 403)\nhint: wait some minutes"),
        ),
        (
            "a page",
            ("/fapi/v1/exchangeInfo", json!({"kind": "html", "status": 200})),
            "",
            &format!("/fapi/v1/exchangeInfo of {rest} did not answer in the exchange's language: <*\nhint: check that"),
        ),
        (
            "a redirect",
            ("/fapi/v1/exchangeInfo", json!({"kind": "redirect", "location": "https://elsewhere.test/"})),
            "",
            &format!("{rest} redirects to https://elsewhere.test/\nhint: use the address"),
        ),
        (
            "rules without symbols",
            ("/fapi/v1/exchangeInfo", says(json!({"rateLimits": []}))),
            "",
            &format!("/fapi/v1/exchangeInfo of {rest} says what cannot be used: there is no list `symbols`\nhint: *"),
        ),
        (
            "a parameter that the strategy does not have",
            nothing.clone(),
            "--param fats=5",
            "option --param: unknown parameter `fats` of sma_cross; it has *\nhint: did you mean `--param fast=...`?",
        ),
        (
            "a leverage that no bracket allows",
            nothing.clone(),
            "--leverage 151",
            "option --leverage: 151 is not allowed for BTCUSDT: give 1 to 150",
        ),
        (
            "no leverage",
            nothing.clone(),
            "--leverage 0",
            "option --leverage: 0 is not allowed for BTCUSDT: give 1 to 150",
        ),
        (
            "a strategy that would hear nothing",
            nothing.clone(),
            "--strategy market_maker --streams bars",
            "option --streams: market_maker follows the book ticker, and `book` is not listened to\nhint: add book",
        ),
        (
            "parameters that contradict each other",
            nothing.clone(),
            "--param fast=40",
            "strategy sma_cross: fast=40 must be less than slow=30",
        ),
    ] {
        if !path.is_empty() {
            answer_next(&exchange, path, &fault);
        }
        let args: Vec<&str> = args.split_whitespace().collect();
        assert_says(&stage.refused(case, &rest, &args), sentence, case);
    }
    // A clock that is an hour away is no drift: orders of such a machine would carry times that mean nothing.
    exchange.post("/sim/v1/clock?shift_ms=3600000", "");
    let said = stage.refused("an hour ahead", &rest, &[]);
    assert_says(&said, "our clock is 3* ms away from the exchange's\nhint: set the clock", "an hour ahead");
    exchange.post("/sim/v1/clock?shift_ms=-7200000", "");
    let said = stage.refused("an hour behind", &rest, &[]);
    assert_says(&said, "our clock is -3* ms away from the exchange's\nhint: set the clock", "an hour behind");
    exchange.post("/sim/v1/clock?shift_ms=3600000", "");
    // From now on it is down.
    let down = json!({"on": {"path": "/fapi/v1/exchangeInfo"}, "fault": {"kind": "status", "code": 503, "body": "Service Unavailable."}});
    assert_eq!(exchange.post("/sim/v1/fault", &down.to_string()), json!({}));
    let said = stage.refused("down", &rest, &[]);
    let sentence =
        format!("{rest} did not answer /fapi/v1/exchangeInfo: HTTP 503: Service Unavailable.\nhint: try again");
    assert_says(&said, &sentence, "down");
    assert_eq!(exchange.get("/sim/v1/status")["orders"], 0);
}

#[test]
fn a_host_that_is_not_there_is_named() {
    let stage = Stage::new();
    let port = free_port();
    let refused = format!("http://127.0.0.1:{port}");
    let plain = stage.exchange(&[]);
    let encrypted = format!("https://{}", plain.address);
    for (case, rest, sentence) in [
        (
            "refused",
            &*refused,
            &*format!(
                "{refused} is not reachable: 127.0.0.1:{port} refused the connection: nothing listens there; *\nhint: "
            ),
        ),
        (
            "no such name",
            "http://no-such-host.invalid:9001",
            "http://no-such-host.invalid:9001 is not reachable: the name of no-such-host.invalid:9001 did not resolve *\nhint: check the network",
        ),
        ("no TLS", &encrypted, &format!("no encrypted connection to {encrypted}: TLS with * failed *\nhint: ")),
    ] {
        assert_says(&stage.refused(case, rest, &[]), sentence, case);
    }
}

#[test]
fn a_host_that_is_silent_is_waited_for_until_somebody_asks_to_stop() {
    let stage = Stage::new();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let rest = format!("http://{}", silent.local_addr().unwrap());
    let mut bot = stage.bot(&rest, "live.db", &[]);
    // Whoever sends requests has caught the signals.
    let _connection = silent.accept().unwrap();
    bot.terminate();
    assert_eq!(bot.wait().code(), Some(2));
    assert_says(&bot.stderr(), "stopped before it was connected", "a signal");
    std::fs::remove_file(&bot.err).unwrap();
    std::fs::remove_file(&bot.out).unwrap();
    let said = stage.refused("silence", &rest, &[]);
    assert_says(
        &said,
        &format!("{rest} did not answer /fapi/v1/*: no complete answer within *\nhint: try again"),
        "silence",
    );
}

#[test]
fn options_that_cannot_be_are_refused_before_anything_is_connected() {
    let stage = Stage::new();
    let nowhere = format!("http://127.0.0.1:{}", free_port());
    for (args, sentence) in [
        (
            "--testnet --rest-url ftp://x",
            "option --rest-url: `ftp://x` does not begin with http:// or https://\nhint: ",
        ),
        ("--testnet --rest-url http://", "option --rest-url: `http://` does not begin with "),
        ("--testnet --ws-url http://x", "option --ws-url: `http://x` does not begin with ws:// or wss://\nhint: "),
        ("--testnet --streams bars,tick", "option --streams: `tick` is not a stream\nhint: write some of bars,mark"),
        ("--testnet --recv-window 0", "option --recv-window: 0 is not between 1 and 60000\nhint: 1000 to 5000"),
        ("--testnet --recv-window 60001", "option --recv-window: 60001 is not between 1 and 60000"),
        ("--testnet --recv-window soon", "option --recv-window: `soon` is not a whole number in its range"),
        ("--testnet --countdown 1", "option --countdown: 1 s is too short: *\nhint: give 5 or more"),
        ("--testnet --leverage ten", "option --leverage: `ten` is not a whole number in its range"),
        ("--testnet --seed x", "option --seed: `x` is not a whole number in its range"),
        ("--testnet --timeframe 7m", "option --timeframe: `7m` is not a timeframe: "),
        ("--testnet --symbol BTC/USDT", "option --symbol: `BTC/USDT` is not a symbol: "),
        ("--testnet --strategy sma_cros", "unknown strategy `sma_cros`; *\nhint: did you mean `--strategy sma_cross`?"),
        ("--testnet --max-daily-loss -1", "option --max-daily-loss: -1 is not positive"),
        ("--paper --cash 0", "option --cash: 0 is not positive"),
        ("--production", "production trades real money, and nobody said yes\nhint: answer yes, or pass --yes"),
    ] {
        let args: Vec<&str> = args.split_whitespace().collect();
        let case = format!("{args:?}");
        // No case may reach a host; if one does, it is one where nobody is.
        let rest: &[&str] = if args.contains(&"--rest-url") { &[] } else { &["--rest-url", &nowhere] };
        let said = stage.refusal(&case, &[&["live", "--secrets", "secrets.yaml"], &args[..], rest].concat());
        assert_says(&said, sentence, &case);
    }
    for args in
        ["live", "live --testnet --production", "live --testnet --on-stop flee", "live --testnet --log-format xml"]
    {
        let args: Vec<&str> = args.split_whitespace().collect();
        let ended = Ended::of(&mut stage.command(&args));
        assert_eq!((ended.code, &*ended.out), (2, ""), "{args:?}: {ended:?}");
        assert!(ended.err.starts_with("error: "), "{args:?}: {ended:?}");
    }
}

#[test]
fn secrets_that_cannot_be_used_are_named_and_not_repeated() {
    let stage = Stage::new();
    let nowhere = format!("http://127.0.0.1:{}", free_port());
    let key = "Q7wZp3mX9rT2vN8kL4jH6gF1dS5aY0cBQ7wZp3mX9rT2vN8kL4jH6gF1dS5aY0cB";
    for (case, yaml, mode, sentence) in [
        (
            "open",
            format!("testnet:\n  api_key: {key}\n"),
            0o644,
            "file.yaml may be read by others (mode 644): run `chmod 600 file.yaml`",
        ),
        ("group", format!("testnet:\n  api_key: {key}\n"), 0o640, "file.yaml may be read by others (mode 640): *"),
        (
            "bad YAML",
            format!("testnet:\n  api_key: \"{key}\n  x: ["),
            0o600,
            "file.yaml: line * is not what is expected there: ",
        ),
        ("a list", "- a\n".to_owned(), 0o600, "file.yaml: line 1 is not what is expected there: "),
        (
            "bad mode",
            format!("mode: live\ntestnet:\n  api_key: {key}\n"),
            0o600,
            "file.yaml: `mode` must be `testnet` or `production`",
        ),
        ("no block", format!("production:\n  api_key: {key}\n"), 0o600, "file.yaml has no block `testnet:`: add it "),
        (
            "no secret",
            format!("testnet:\n  api_key: {key}\n"),
            0o600,
            "file.yaml: testnet.api_secret is missing: copy ",
        ),
        (
            "placeholder",
            format!("testnet:\n  api_key: {key}\n  api_secret: YOUR_SECRET\n"),
            0o600,
            "file.yaml: testnet.api_secret is still a placeholder: ",
        ),
        (
            "empty",
            format!("testnet:\n  api_key: \"\"\n  api_secret: {SECRET}\n"),
            0o600,
            "file.yaml: testnet.api_key is empty: ",
        ),
        (
            "torn",
            format!("testnet:\n  api_key: {key}\n  api_secret: \"{SECRET} x\"\n"),
            0o600,
            "file.yaml: testnet.api_secret holds a space ",
        ),
        (
            "twice",
            format!("testnet:\n  api_key: {SECRET}\n  api_secret: {SECRET}\n"),
            0o600,
            "file.yaml: testnet.api_key and testnet.api_secret are equal",
        ),
        (
            "production key pasted into testnet",
            format!(
                "production:\n  api_key: {key}\n  api_secret: a{SECRET}\ntestnet:\n  api_key: {key}\n  api_secret: {SECRET}\n"
            ),
            0o600,
            "file.yaml: production and testnet have one key in common, ",
        ),
        (
            "no private key",
            format!("testnet:\n  api_key: {key}\n  private_key_file: no.pem\n"),
            0o600,
            "no file no.pem, which testnet.private_key_file names: ",
        ),
    ] {
        stage.secrets("file.yaml", &yaml, mode);
        let said = stage.refused(case, &nowhere, &["--secrets", "file.yaml"]);
        assert_says(&said, sentence, case);
        assert!(!said.contains(key), "{case}: {said}");
    }
    let said = stage.refused("missing", &nowhere, &["--secrets", "no/secrets.yaml"]);
    assert_says(
        &said,
        "no/secrets.yaml: there is no such file, and the keys stand in it\nhint: *chmod 600*",
        "missing",
    );
    let said = stage.refused("a directory", &nowhere, &["--secrets", "."]);
    assert_says(&said, ". is a directory: give the path of the file in it", "a directory");
}

#[test]
fn ports_that_cannot_be_listened_on_are_named() {
    let stage = Stage::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    stage.desk.write("plan.json", r#"[{"on": {}, "fault": {"kind": "explode"}}]"#);
    for (args, sentence) in [
        (["--port", &port], format!("127.0.0.1:{port} is in use by another program: stop it, or choose another port")),
        (["--listen", "192.0.2.1"], "192.0.2.1:9001 is not an address of this machine: use 127.0.0.1".to_owned()),
        (["--listen", "here"], "option --listen: `here` is not an IP address\nhint: write 127.0.0.1".to_owned()),
        (["--speed", "0"], "option --speed: `0` is not a speed\nhint: write a whole number from 1".to_owned()),
        (
            ["--history", "100000"],
            "the data end at 20*, inside the history that was asked for: ask for less".to_owned(),
        ),
        (
            ["--faults", "plan.json"],
            "option --faults: plan.json: *entry 1: unknown variant `explode`*\nhint: docs/faults.md".to_owned(),
        ),
        (
            ["--faults", "no.json"],
            "option --faults: no.json: cannot be read: No such file*\nhint: name a file".to_owned(),
        ),
        (["--symbol", "BTCUSD"], "option --symbol: there are no data of BTCUSD; *\nhint: did you mean".to_owned()),
    ] {
        let free: &[&str] = if args.contains(&"--port") || args.contains(&"--listen") { &[] } else { &["--port", "0"] };
        let said = stage.refusal(&format!("{args:?}"), &[&["exchange", "serve"], &args[..], free].concat());
        assert_says(&said, &sentence, &format!("{args:?}"));
    }
}

/// A user who is root in a name space of its own has no rights over the network outside.
#[test]
#[cfg(target_os = "linux")]
fn a_port_that_needs_rights_is_named() {
    let stage = Stage::new();
    let first_free = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap_or_default();
    let as_nobody = |args: &[&str]| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--user", "--map-root-user", "timeout", "20"]).args(args).current_dir(stage.desk.path(""));
        unshare
    };
    let is_possible = as_nobody(&["true"]).output().is_ok_and(|tried| tried.status.success());
    if !is_possible || first_free.trim().parse::<u32>().unwrap_or(1_024) <= 87 {
        // Past the capture of the test harness: what was not tested is to be seen.
        let _ = writeln!(std::io::stderr(), "a port that needs rights: skipped, every port is free here");
        return;
    }
    let ended = Ended::of(&mut as_nobody(&[env!("CARGO_BIN_EXE_alphaengine"), "exchange", "serve", "--port", "87"]));
    ended.check_refusal("a port that needs rights");
    assert_says(&ended.err, "127.0.0.1:87 needs rights that this user does not have: choose a port above 1023", "87");
}
