//! What README shows is what the program prints.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

#[path = "support/live.rs"]
mod live;
mod support;

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use live::until;
use support::Desk;

/// Marks the one line that differs from run to run: how long it took and how much memory.
const MEASURED: &str = " s loading, ";
/// Where the exchange listens in README. The tests let it take a free port.
const ADDRESS: &str = "127.0.0.1:9001";
/// Where the name of a row ends in what a live session came to.
const NAME: usize = 14;

/// The fenced block of README in this language that has a line which begins so.
fn block(language: &str, beginning: &str) -> String {
    let readme = include_str!("../README.md");
    let fence = format!("```{language}\n");
    let mut blocks = readme.split(&fence).skip(1).filter_map(|rest| rest.split("```").next());
    let wanted = blocks.find(|block| block.lines().any(|line| line.starts_with(beginning)));
    wanted.unwrap_or_else(|| panic!("README has no {language} block with `{beginning}`")).to_owned()
}

fn without_measurements(text: &str) -> String {
    text.lines().filter(|line| !line.contains(MEASURED)).map(|line| line.to_owned() + "\n").collect()
}

#[test]
fn the_first_command_prints_what_readme_shows() {
    let printed = Desk::new().ok(&["backtest"]);
    assert!(printed.contains(MEASURED), "the line that is left out has another form: {printed}");
    assert_eq!(without_measurements(&printed), without_measurements(&block("text", "sma_cross  ")));
}

/// The words of a command that README tells to run, without the program, and with this address.
fn command(verb: &str, address: &str) -> Vec<String> {
    let program = "cargo run --release -- ";
    let beginning = format!("{program}{verb}");
    let commands = block("sh", &beginning).replace("\\\n", "");
    let command = commands.lines().find(|line| line.starts_with(&beginning)).unwrap();
    command[program.len()..].replace(ADDRESS, address).split_whitespace().map(str::to_owned).collect()
}

/// A process that writes what it says into two files of the desk, and is ended with its test.
struct Running<'a> {
    child: Child,
    desk: &'a Desk,
    name: &'static str,
}

impl Running<'_> {
    fn start<'a>(desk: &'a Desk, name: &'static str, args: &[String]) -> Running<'a> {
        let file = |ending: &str| File::create(desk.path(&format!("{name}.{ending}"))).unwrap();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut command = desk.command(&args);
        command.env("XDG_RUNTIME_DIR", desk.path("")).stdin(Stdio::null());
        let child = command.stdout(file("out")).stderr(file("err")).spawn().unwrap();
        Running { child, desk, name }
    }

    fn said(&self, ending: &str) -> String {
        std::fs::read_to_string(self.desk.path(&format!("{}.{ending}", self.name))).unwrap()
    }

    fn check_running(&mut self) {
        let ended = self.child.try_wait().unwrap();
        assert!(ended.is_none(), "{} ended: {}{}", self.name, self.said("out"), self.said("err"));
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a session says in every run: the messages of its log, in alphabetical order because streams come up as they like, and the
/// names of the rows of its outcome.
fn frame(said: &str) -> (Vec<&str>, Vec<&str>) {
    let (mut log, mut rows) = (Vec::new(), Vec::new());
    for line in said.lines() {
        match line.split_once("Z INFO  ") {
            Some((_, message)) => log.push(message),
            None => rows.push(line.get(..NAME).unwrap_or(line).trim_end()),
        }
    }
    log.sort_unstable();
    (log, rows)
}

/// The value of a row.
fn value<'a>(said: &'a str, name: &str) -> &'a str {
    let row = said.lines().find(|line| line.get(..NAME).is_some_and(|start| start.trim_end() == name));
    &row.unwrap_or_else(|| panic!("no row `{name}` in {said}"))[NAME..]
}

#[test]
fn the_two_terminals_trade_as_readme_shows() {
    let desk = Desk::new();
    let secrets = desk.write("config/secrets.yaml", block("yaml", "mode: testnet"));
    std::fs::set_permissions(secrets, std::fs::Permissions::from_mode(0o600)).unwrap();

    let serve = [command("exchange serve", ADDRESS), vec!["--port".into(), "0".into()]].concat();
    let mut exchange = Running::start(&desk, "exchange", &serve);
    let address = until("the exchange serves", || {
        exchange.check_running();
        let said = exchange.said("out");
        let (_, rest) = said.split_once(" on http://")?;
        Some(rest.split_once(' ')?.0.to_owned())
    });
    let mut bot = Running::start(&desk, "live", &command("live ", &address));
    let store = desk.path(value(&block("text", "session  "), "store"));
    until("it trades", || {
        bot.check_running();
        exchange.check_running();
        let trades = trades_in(&store)?;
        (trades >= 2).then_some(())
    });
    assert!(Command::new("kill").args(["-TERM", &bot.child.id().to_string()]).status().unwrap().success());
    let status = until("it stops", || bot.child.try_wait().unwrap());
    let said = bot.said("err") + &bot.said("out");
    assert!(status.success(), "{status}: {said}");

    let shown = block("text", "session  ");
    assert_eq!(frame(&said), frame(&shown));
    for name in ["position", "open orders", "store"] {
        assert_eq!(value(&said, name), value(&shown, name), "{name}");
    }
    for name in ["orders given", "fills", "events"] {
        let count = |text: &str| value(text, name).parse::<u64>().unwrap();
        assert!(count(&said) > 1 && count(&shown) > 1, "{name}: {said}");
    }
    assert_eq!(value(&said, "equity"), value(&said, "wallet"), "nothing is held: {said}");
    let served = (exchange.said("out") + &exchange.said("err")).replace(&address, ADDRESS);
    assert_eq!(served, block("text", "serving "));
}

/// How many trades are booked; `None` before the store has its tables.
fn trades_in(store: &std::path::Path) -> Option<i64> {
    let connection = rusqlite::Connection::open_with_flags(store, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
    connection.query_row("SELECT COUNT(*) FROM projection_trade", [], |row| row.get(0)).ok()
}
