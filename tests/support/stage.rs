//! A Stage is what the tests of live trading play on: a desk with a good key, bots, an exchange, and an operator.

#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot run should say so at once")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use alphaengine_live::binance::Signer;
use rusqlite::types::Value as Sql;
use serde_json::{Value, json};

use crate::live::{Exchange, KEY, Process, SECRET, until};
use crate::support::{Desk, Ended, rows};

/// A desk with a good key, and a place for the locks of accounts that is not the desk.
pub struct Stage {
    pub desk: Desk,
    pub locks: Desk,
}

impl Stage {
    pub fn new() -> Stage {
        let stage = Stage { desk: Desk::new(), locks: Desk::new() };
        stage.secrets("secrets.yaml", &format!("testnet:\n  api_key: {KEY}\n  api_secret: {SECRET}\n"), 0o600);
        stage
    }

    pub fn secrets(&self, name: &str, yaml: &str, mode: u32) {
        let path = self.desk.write(name, yaml);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A command that is ended when it does not end by itself: what was to be refused must not hang.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command.args(["30", env!("CARGO_BIN_EXE_alphaengine")]).args(args);
        command.current_dir(self.desk.path("")).env("XDG_RUNTIME_DIR", self.locks.path("")).stdin(Stdio::null());
        command
    }

    /// What lies there, but for the locks of accounts: those stay, or a second bot could lock a file that is being removed.
    fn files(&self) -> Vec<String> {
        let files = self.desk.files();
        files.into_iter().filter(|name| !name.ends_with(".lock")).collect()
    }

    /// Runs what has to be refused, and checks that it leaves everything as it was.
    pub fn refusal(&self, case: &str, args: &[&str]) -> String {
        let before = self.files();
        let ended = Ended::of(&mut self.command(args));
        println!("{case}: {}", ended.err);
        ended.check_refusal(case);
        assert_eq!(self.files(), before, "{case} left something behind; it said {:?}", ended.err);
        assert!(!ended.err.contains(SECRET), "{case}: {}", ended.err);
        ended.err
    }

    /// Starts a bot that is refused; later arguments stand for themselves.
    pub fn refused(&self, case: &str, rest: &str, args: &[&str]) -> String {
        let stream = rest.replacen("http", "ws", 1);
        let place = ["live", "--testnet", "--rest-url", rest, "--ws-url", &stream];
        let secrets: &[&str] = if args.contains(&"--secrets") { &[] } else { &["--secrets", "secrets.yaml"] };
        let store: &[&str] = if args.contains(&"--store") { &[] } else { &["--store", "live.db"] };
        self.refusal(case, &[&place, secrets, store, args].concat())
    }

    /// Starts a bot that trades.
    pub fn bot(&self, rest: &str, store: &str, args: &[&str]) -> Process {
        // What an earlier bot said is not what this one says.
        for file in ["live.err", "live.out"] {
            let _ = std::fs::remove_file(self.desk.path(file));
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_alphaengine"));
        command
            .current_dir(self.desk.path(""))
            .env("XDG_RUNTIME_DIR", self.locks.path(""))
            .args(["live", "--testnet", "--secrets", "secrets.yaml", "--store", store])
            .args(["--rest-url", rest, "--ws-url", &rest.replacen("http", "ws", 1)])
            .args(args);
        Process::start(&mut command, &self.desk.path(""), "live")
    }

    pub fn store(&self) -> PathBuf {
        self.desk.path("live.db")
    }

    /// A bot that trades once a day at most, on a market in which a minute passes each second: what happens is what it is told.
    pub fn calm_bot(&self, exchange: &Exchange, args: &[&str]) -> Process {
        let calm = ["--timeframe", "1d", "--param", "fast=2", "--param", "slow=3"];
        let mut bot = self.bot(&url(exchange), "live.db", &[&calm, args].concat());
        runs(&mut bot);
        bot
    }

    pub fn calm_exchange(&self) -> Exchange {
        self.exchange(&["--history", "120", "--speed", "60"])
    }

    /// Says something to the bot and waits until it is done.
    pub fn say(&self, words: &[&str]) -> Ended {
        let said = Ended::of(&mut self.command(&[&["command", "--store", "live.db", "--wait", "20"], words].concat()));
        assert!(said.code == 2 || said.err.is_empty(), "{words:?}: {said:?}");
        said
    }

    /// The same for what has to succeed.
    #[track_caller]
    pub fn obeyed(&self, words: &[&str]) {
        let said = self.say(words);
        assert_eq!(said.code, 0, "{words:?}: {said:?}");
        assert!(said.out.ends_with("ACK: done\n"), "{words:?}: {said:?}");
    }

    /// The same for what the bot refuses to do; gives what it said.
    #[track_caller]
    pub fn declined(&self, words: &[&str]) -> String {
        let said = self.say(words);
        assert_eq!(said.code, 1, "{words:?}: {said:?}");
        said.out
    }

    pub fn count(&self, sql: &str) -> i64 {
        match rows(&self.store(), sql)[0][0] {
            Sql::Integer(count) => count,
            ref other => panic!("{sql}: {other:?}"),
        }
    }

    pub fn events(&self, kind: &str) -> i64 {
        self.count(&format!("SELECT COUNT(*) FROM event_store WHERE event_type = '{kind}'"))
    }

    pub fn mode(&self) -> String {
        let sql =
            "SELECT payload_json FROM event_store WHERE event_type = 'EngineModeChanged' ORDER BY seq DESC LIMIT 1";
        match &rows(&self.store(), sql)[..] {
            [row] => match &row[0] {
                Sql::Text(json) => serde_json::from_str::<Value>(json).unwrap()["to"].as_str().unwrap().to_owned(),
                other => panic!("{other:?}"),
            },
            _ => "BOOTING".to_owned(),
        }
    }

    pub fn exchange(&self, args: &[&str]) -> Exchange {
        // Its own output does not lie on the desk, where every file counts.
        let history: &[&str] = if args.contains(&"--history") { &[] } else { &["--history", "2"] };
        Exchange::start(&self.locks.path(""), &[&["--symbol", "BTCUSDT"], history, args].concat())
    }
}

pub fn url(exchange: &Exchange) -> String {
    format!("http://{}", exchange.address)
}

/// Has the next request on a path answered like this.
pub fn answer_next(exchange: &Exchange, path: &str, fault: &Value) {
    let answer = exchange.post("/sim/v1/fault", &json!({"on": {"path": path, "nth": 1}, "fault": fault}).to_string());
    assert_eq!(answer, json!({}));
}

/// Checks what was said; a `*` stands for anything.
#[track_caller]
pub fn assert_says(said: &str, pattern: &str, case: &str) {
    let mut parts = pattern.split('*');
    let first = format!("error: {}", parts.next().unwrap());
    let mut rest = said.strip_prefix(&first).unwrap_or_else(|| panic!("{case}\nsaid: {said}not: {pattern}"));
    for part in parts {
        let at = rest.find(part).unwrap_or_else(|| panic!("{case}\nsaid: {said}not: {pattern}"));
        rest = &rest[at + part.len()..];
    }
}

/// A port on which nothing listens.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until the strategy of a bot runs.
pub fn runs(bot: &mut Process) {
    until("the strategy runs", || {
        assert!(bot.is_running(), "{}", bot.stderr());
        bot.stderr().contains("the strategy runs").then_some(())
    });
}

/// How many orders rest at the exchange.
pub fn orders(exchange: &Exchange) -> u64 {
    exchange.get("/sim/v1/status")["orders"].as_u64().unwrap()
}

/// What is held at the exchange, as text; empty for nothing.
pub fn held(exchange: &Exchange) -> String {
    let positions = exchange.get("/sim/v1/status")["positions"].clone();
    positions.as_array().unwrap().first().map_or_else(String::new, |held| held["qty"].as_str().unwrap().to_owned())
}

/// A price a tenth below the market's: an order to buy there rests.
pub fn low_price(exchange: &Exchange) -> String {
    let price = exchange.get("/fapi/v1/ticker/price?symbol=BTCUSDT")["price"].as_str().unwrap().parse::<f64>().unwrap();
    format!("{:.0}", price * 0.9)
}

/// Asks the exchange with the key, apart from any bot.
pub fn ask_signed(exchange: &Exchange, path: &str, query: &str) -> Value {
    let time = exchange.get("/fapi/v1/time")["serverTime"].as_i64().unwrap();
    let query = format!("{query}&recvWindow=60000&timestamp={time}");
    let signature = Signer::hmac(SECRET).unwrap().sign(&query);
    let mut stream = TcpStream::connect(&exchange.address).unwrap();
    write!(
        stream,
        "GET {path}?{query}&signature={signature} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-mbx-apikey: {KEY}\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{path}: {error}: {answer}"))
}
