//! What nobody may read stands nowhere but in the file of keys: not in logs, stores, tapes, exports, answers or errors.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

#[path = "support/live.rs"]
mod live;
#[path = "support/stage.rs"]
mod stage;
#[path = "support/mod.rs"]
mod support;

use live::{Exchange, Process, until};
use serde_json::{Value, json};
use stage::{Stage, runs, url};
use support::Ended;

/// The secret that signs; live::SECRET is the one that the exchange knows.
const SECRET: &str = live::SECRET;
const WRONG: &str = "canary-wrong-55aa11";

/// Every file on the desk whose bytes hold this text.
fn files_with(stage: &Stage, text: &str) -> Vec<String> {
    let holds = |file: &String| {
        let bytes = std::fs::read(stage.desk.path(file)).unwrap();
        bytes.windows(text.len()).any(|window| window.eq_ignore_ascii_case(text.as_bytes()))
    };
    stage.desk.files().into_iter().filter(holds).collect()
}

fn trading(stage: &Stage, exchange: &Exchange, args: &[&str]) -> Process {
    let fast = ["--param", "fast=2", "--param", "slow=3", "--recv-window", "500", "--log-format", "json"];
    let mut bot = stage.bot(&url(exchange), "live.db", &[&fast, args].concat());
    runs(&mut bot);
    bot
}

/// Each line of a log is one object with a time, a level and a message.
fn lines(log: &str) -> Vec<Value> {
    let read = |line: &str| -> Value { serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")) };
    let lines: Vec<Value> = log.lines().map(read).collect();
    for line in &lines {
        let has = |field: &str| line[field].as_str().is_some_and(|text| !text.is_empty());
        assert!(has("time") && has("level") && has("message"), "{line}");
    }
    lines
}

#[test]
fn secrets_and_signatures_stand_in_no_other_file() {
    let stage = Stage::new();
    let exchange = stage.exchange(&["--speed", "60"]);
    // Trouble of every kind is told somewhere, and what is told may quote.
    for (path, fault) in [
        ("/fapi/v1/order", json!({"kind": "drop_answer", "how": "reset"})),
        ("/fapi/v3/positionRisk", json!({"kind": "html", "status": 502})),
        ("/fapi/v1/openOrders", json!({"kind": "redirect", "location": "https://elsewhere.test/?signature=abc"})),
    ] {
        let fault = json!({"on": {"path": path, "nth": 2}, "fault": fault}).to_string();
        assert_eq!(exchange.post("/sim/v1/fault", &fault), json!({}));
    }
    let mut bot = trading(&stage, &exchange, &["--record", "tape"]);
    for _ in 0..3 {
        // Some of them fail, and why is told.
        stage.say(&["order", "BTCUSDT", "buy", "0.01"]);
    }
    assert!(stage.events("TradeExecuted") > 0);
    exchange.post("/sim/v1/expire-listen-keys", "");
    until("the listen key expired", || bot.stderr().contains("the listen key expired").then_some(()));
    bot.kill();
    std::fs::copy(&bot.err, stage.desk.path("killed.err")).unwrap();
    let mut bot = trading(&stage, &exchange, &["--record", "tape"]);
    bot.terminate();
    assert!(bot.wait().success(), "{}", bot.stderr());
    lines(&bot.stderr());
    assert!(lines(&std::fs::read_to_string(stage.desk.path("killed.err")).unwrap()).len() > 5);

    let tape = stage.desk.files().into_iter().find(|file| file.starts_with("tape/")).unwrap();
    for (words, name) in [
        (&["export", "--run", "live.db", "--out", "csv"][..], "export"),
        (&["store", "verify", "live.db"], "verify"),
        (&["replay", "--tape", &tape], "replay"),
    ] {
        let ended = Ended::of(&mut stage.command(words));
        assert_eq!(ended.code, 0, "{words:?}: {ended:?}");
        stage.desk.write(&format!("{name}.said"), format!("{}{}", ended.out, ended.err));
    }
    stage.secrets("wrong.yaml", &format!("testnet:\n  api_key: {}\n  api_secret: {WRONG}\n", live::KEY), 0o600);
    for format in ["text", "json"] {
        let args = ["live", "--testnet", "--store", "wrong.db", "--secrets", "wrong.yaml", "--log-format", format];
        let mut command = stage.command(&[&args[..], &["--rest-url", &url(&exchange)]].concat());
        let ended = Ended::of(&mut command);
        assert_eq!(ended.code, 2, "{ended:?}");
        assert!(ended.err.contains("-1022"), "{ended:?}");
        stage.desk.write(&format!("wrong-{format}.said"), ended.out + &ended.err);
    }

    let files = stage.desk.files();
    for expected in ["live.db", "killed.err", "live.err", "csv/events.csv", "replay.said"] {
        assert!(files.iter().any(|file| file == expected), "{expected} is not among {files:?}");
    }
    assert!(files.iter().any(|file| file.starts_with("tape/")), "{files:?}");
    assert_eq!(files_with(&stage, SECRET), ["secrets.yaml"]);
    assert_eq!(files_with(&stage, live::KEY), ["secrets.yaml", "wrong.yaml"]);
    assert_eq!(files_with(&stage, WRONG), ["wrong.yaml"]);
    // The one file that quotes a redirect of the exchange quotes it without what stands behind the word.
    for file in files_with(&stage, "signature=") {
        let text = String::from_utf8_lossy(&std::fs::read(stage.desk.path(&file)).unwrap()).into_owned();
        for (_, value) in text.match_indices("signature=").map(|(at, name)| (at, &text[at + name.len()..])) {
            let value: String = value.chars().take(10).collect();
            assert!(value.starts_with("[redacted]") || value.starts_with("abc"), "{file}: signature={value}");
        }
    }
    // The exchange logs nothing of it either.
    for said in [exchange.process.stderr(), exchange.process.stdout()] {
        assert!(!said.contains(SECRET) && !said.contains("signature="), "{said}");
    }
}

#[test]
fn a_log_as_json_is_json_to_the_last_word() {
    let stage = Stage::new();
    let nowhere = format!("http://127.0.0.1:{}", stage::free_port());
    for (case, args, sentence, hint) in [
        ("no host", &["--secrets", "secrets.yaml"][..], "is not reachable", "--rest-url"),
        ("no key", &["--secrets", "no.yaml"], "no.yaml: there is no such file", "chmod 600"),
        ("no number", &["--seed", "x"], "option --seed: `x` is not", ""),
    ] {
        let args = [&["live", "--testnet", "--log-format", "json", "--rest-url", &nowhere], args].concat();
        let ended = Ended::of(&mut stage.command(&args));
        assert_eq!((ended.code, &*ended.out), (2, ""), "{case}: {ended:?}");
        let told = lines(&ended.err);
        let last = told.last().unwrap();
        assert_eq!(last["level"], "ERROR", "{case}: {ended:?}");
        assert!(last["message"].as_str().unwrap().contains(sentence), "{case}: {last}");
        assert!(last["hint"].as_str().unwrap_or("").contains(hint), "{case}: {last}");
    }
}
