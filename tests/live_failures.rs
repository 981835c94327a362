//! What fails beside the exchange: the store, the disk, the key while the bot runs, the streams, a command, a tape. Each is told in
//! a sentence, and what was durable is there at the next start.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

#[path = "support/live.rs"]
mod live;
#[path = "support/stage.rs"]
mod stage;
#[path = "support/mod.rs"]
mod support;

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use live::{Exchange, Process, until};
use serde_json::json;
use stage::{Stage, assert_says, free_port, held, runs, url};
use support::Ended;

/// A store that a session has written and left in order.
fn written(stage: &Stage, exchange: &Exchange) {
    let mut bot = stage.calm_bot(exchange, &[]);
    stage.obeyed(&["order", "BTCUSDT", "buy", "0.01"]);
    bot.terminate();
    assert!(bot.wait().success(), "{}", bot.stderr());
}

#[test]
fn a_store_that_is_not_this_sessions_is_left_alone() {
    let stage = Stage::new();
    let exchange = stage.exchange(&["--history", "120", "--speed", "60", "--symbol", "ETHUSDT"]);
    let rest = url(&exchange);
    written(&stage, &exchange);
    let bytes = |name: &str| std::fs::read(stage.desk.path(name)).unwrap();
    // Behind SQLite's header, in which a look at a store may change how its journal is kept.
    let rows = |name: &str| stage.desk.path(name).is_file().then(|| bytes(name).split_off(100.min(bytes(name).len())));
    let copy = |name: &str| {
        for end in ["", ".head"] {
            std::fs::copy(stage.desk.path(&format!("live.db{end}")), stage.desk.path(&format!("{name}{end}"))).unwrap();
        }
    };
    copy("production.db");
    let connection = rusqlite::Connection::open(stage.desk.path("production.db")).unwrap();
    connection.execute_batch("UPDATE session SET mode = 'PRODUCTION'; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    connection.execute_batch("PRAGMA journal_mode = DELETE").unwrap();
    drop(connection);
    stage.desk.write("text.db", "no store at all\n");
    std::fs::create_dir(stage.desk.path("folder")).unwrap();
    for (store, args, sentence) in [
        (
            "live.db",
            "--symbol ETHUSDT",
            "live.db: the store holds the symbols BTCUSDT, not ETHUSDT\nhint: give this session",
        ),
        (
            "production.db",
            "",
            "production.db: the store holds a PRODUCTION session, not a TESTNET one\nhint: give this",
        ),
        ("text.db", "", "text.db: is not an event store\nhint: name a file that"),
        ("folder", "", "folder: is not a file, and a store is one\nhint: "),
        ("secrets.yaml/live.db", "", "secrets.yaml: cannot be made: *\nhint: "),
    ] {
        let before = rows(store);
        let args: Vec<&str> = args.split_whitespace().chain(["--store", store]).collect();
        assert_says(&stage.refused(store, &rest, &args), sentence, store);
        assert!(rows(store) == before, "{store} was changed");
    }
}

#[test]
fn a_strategy_with_too_little_history_is_told_of() {
    let stage = Stage::new();
    let exchange = stage.exchange(&["--speed", "60"]);
    let mut bot = stage.bot(&url(&exchange), "live.db", &["--param", "slow=500"]);
    runs(&mut bot);
    until("the log says so", || {
        bot.stderr().contains("fewer bars than the strategy warms up with symbol=BTCUSDT heard=1").then_some(())
    });
}

#[test]
fn a_second_bot_finds_store_and_account_taken() {
    let stage = Stage::new();
    let exchange = stage.calm_exchange();
    let rest = url(&exchange);
    let mut first = stage.calm_bot(&exchange, &[]);
    let said = stage.refused("the same account", &rest, &["--store", "other.db"]);
    assert_says(&said, "another bot of this machine trades this account: *\nhint: stop the other one", "account");
    // Another name of the host is another account, as far as anybody can tell from here.
    let renamed = rest.replace("127.0.0.1", "localhost");
    let said = stage.refused("the same store", &renamed, &[]);
    assert_says(&said, "live.db: the store is in use by another process\nhint: stop the other process", "store");
    stage.obeyed(&["order", "BTCUSDT", "buy", "0.01"]);
    assert!(first.is_running());
}

#[test]
fn a_key_that_is_revoked_while_it_trades_makes_the_bot_safe_and_it_stays() {
    let stage = Stage::new();
    let exchange = stage.calm_exchange();
    let mut bot = stage.calm_bot(&exchange, &[]);
    stage.obeyed(&["order", "BTCUSDT", "buy", "0.01"]);
    let refused = "Invalid API-key, IP, or permissions for action.";
    let once = json!({"on": {"method": "POST", "path": "/fapi/v1/order", "nth": 1},
                      "fault": {"kind": "error", "code": -2015, "message": refused, "status": 401}});
    assert_eq!(exchange.post("/sim/v1/fault", &once.to_string()), json!({}));
    stage.declined(&["order", "BTCUSDT", "buy", "0.01"]);
    until("it is safe", || (stage.mode() == "SAFE").then_some(()));
    // The key was mended at the exchange, and somebody says so.
    stage.obeyed(&["resume"]);
    stage.obeyed(&["order", "BTCUSDT", "buy", "0.01"]);
    assert_eq!((stage.mode(), held(&exchange)), ("RUNNING".to_owned(), "0.02".to_owned()));
    for path in [
        "/fapi/v1/o*",
        "/fapi/v1/a*",
        "/fapi/v1/l*",
        "/fapi/v2/*",
        "/fapi/v3/*",
        "/fapi/v1/income",
        "/fapi/v1/userTrades",
    ] {
        let fault =
            json!({"on": {"path": path}, "fault": {"kind": "error", "code": -2015, "message": refused, "status": 401}});
        assert_eq!(exchange.post("/sim/v1/fault", &fault.to_string()), json!({}));
    }
    let said = stage.declined(&["order", "BTCUSDT", "buy", "0.01"]);
    assert!(said.contains("FAILED: exchange code -2015: Invalid API-key"), "{said}");
    until("it is safe", || (stage.mode() == "SAFE").then_some(()));
    let lost =
        "SELECT COUNT(*) FROM event_store WHERE event_type = 'LinkChanged' AND payload_json LIKE '%ACCESS_LOST%'";
    assert!(stage.count(lost) > 0);
    let said = stage.declined(&["order", "BTCUSDT", "buy", "0.01"]);
    assert!(said.to_uppercase().contains("SAFE"), "{said}");
    until("the log says so", || bot.stderr().contains("the exchange refuses the key").then_some(()));
    assert_eq!(held(&exchange), "0.02");
    assert!(bot.is_running());
    bot.terminate();
    assert!(bot.wait().success(), "{}", bot.stderr());
}

#[test]
fn streams_that_are_refused_at_the_start_are_told_and_tried_again() {
    let stage = Stage::new();
    let exchange = stage.calm_exchange();
    let port = free_port().to_string();
    let mut command = stage.command(&["live", "--testnet", "--secrets", "secrets.yaml", "--store", "live.db"]);
    command.args(["--timeframe", "1d", "--param", "fast=2", "--param", "slow=3"]);
    command.args(["--rest-url", &url(&exchange), "--ws-url", &format!("ws://127.0.0.1:{port}")]);
    let mut bot = Process::start(&mut command, &stage.desk.path(""), "live");
    until("it says what is the matter", || {
        assert!(bot.is_running(), "{}", bot.stderr());
        let said = bot.stderr();
        let line = said.lines().find(|line| line.contains("streams are down"))?;
        (line.contains("refused the connection") && line.contains("--ws-url")).then_some(())
    });
    until("it says that it does not trade", || bot.stderr().contains("not trading yet").then_some(()));
    assert_eq!(stage.mode(), "BOOTING");
    bot.terminate();
    assert!(bot.wait().success(), "{}", bot.stderr());
}

/// A limit on the size of files stands in for a full disk, because it needs no rights.
fn limited(stage: &Stage, exchange: &Exchange, blocks: u32) -> Process {
    let script = format!("ulimit -f {blocks} && trap '' XFSZ && exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_alphaengine"), "live", "--testnet", "--secrets", "secrets.yaml"]);
    command.args([
        "--store",
        "live.db",
        "--rest-url",
        &url(exchange),
        "--ws-url",
        &format!("ws://{}", exchange.address),
    ]);
    command.args(["--param", "fast=2", "--param", "slow=3"]);
    command.current_dir(stage.desk.path("")).env("XDG_RUNTIME_DIR", stage.locks.path(""));
    Process::start(&mut command, &stage.locks.path(""), "limited")
}

#[test]
fn a_disk_that_fills_up_while_it_trades_leaves_cancels_and_closes_and_loses_nothing() {
    let stage = Stage::new();
    let exchange = stage.exchange(&["--speed", "300"]);
    let mut bot = limited(&stage, &exchange, 800);
    until("the store fails", || {
        assert!(bot.is_running(), "{}", bot.stderr());
        bot.stderr().contains("the event store failed: nothing opens").then_some(())
    });
    let fills = exchange.get("/sim/v1/status")["fills"].as_i64().unwrap();
    assert!(fills > 0, "it failed before it traded: {}", bot.stderr());
    until("it is safe", || bot.stderr().contains("problem=").then_some(()));
    bot.terminate();
    assert_eq!(bot.wait().code(), Some(2), "{}", bot.stderr());
    let said = bot.stderr();
    println!("{said}");
    assert_eq!(said.matches("the event store failed: nothing opens").count(), 1, "{said}");
    assert!(said.contains("error: the session ended in order, but without its store: live.db: "), "{said}");
    let mut bot = stage.bot(&url(&exchange), "live.db", &["--param", "fast=2", "--param", "slow=3"]);
    runs(&mut bot);
    stage.obeyed(&["pause"]);
    let fills = exchange.get("/sim/v1/status")["fills"].as_i64().unwrap();
    stage.obeyed(&["reconcile"]);
    assert_eq!(stage.count("SELECT COUNT(*) FROM projection_trade"), fills);
    bot.terminate();
    assert!(bot.wait().success(), "{}", bot.stderr());
    let verdict = Ended::of(&mut stage.command(&["store", "verify", "live.db"]));
    assert_eq!(verdict.code, 0, "{verdict:?}");
}

/// The real thing: a small file system, mounted in a name space of its own, and made larger under the bot.
#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_named_and_with_more_room_the_bot_goes_on_by_itself() {
    let stage = Stage::new();
    let exchange = stage.exchange(&["--speed", "300"]);
    std::fs::create_dir(stage.desk.path("small")).unwrap();
    let mount = "mount -t tmpfs -o size=400k none small";
    let as_root = |script: &str, args: &[&str]| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, env!("CARGO_BIN_EXE_alphaengine")]);
        unshare.args(args).current_dir(stage.desk.path("")).env("XDG_RUNTIME_DIR", stage.locks.path(""));
        unshare
    };
    if !as_root(mount, &[]).output().is_ok_and(|tried| tried.status.success()) {
        // Past the capture of the test harness: what was not tested is to be seen.
        let _ = writeln!(std::io::stderr(), "a full disk: skipped, no file system can be mounted here");
        return;
    }
    // It waits for the sentence, makes room, waits for the other sentence, and asks it to stop.
    let script = format!(
        "{mount} && {{ \"$0\" live \"$@\" 2>said & bot=$!
         waits() {{ for i in $(seq 300); do grep -q \"$1\" said && return; sleep 0.1; done; cat said >&2; exit 9; }}
         waits 'the event store failed'; mount -o remount,size=50m none small; waits 'the store is open again';
         sleep 5; kill -TERM $bot; wait $bot; code=$?; cat said >&2; test $code = 0 || exit $code;
         \"$0\" store verify small/live.db;
         \"$0\" store sql small/live.db \"SELECT event_type FROM event_store WHERE event_type LIKE 'Storage%'\"; }}"
    );
    let stream = format!("ws://{}", exchange.address);
    let args = [
        "--testnet",
        "--secrets",
        "secrets.yaml",
        "--store",
        "small/live.db",
        "--rest-url",
        &url(&exchange),
        "--ws-url",
        &stream,
    ];
    let ended = Ended::of(&mut as_root(&script, &[&args[..], &["--param", "fast=2", "--param", "slow=3"]].concat()));
    println!("{}", ended.err);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.err.contains("problem=\"small/live.db: the disk is full\" hint="), "{ended:?}");
    assert!(ended.out.contains("good: "), "{ended:?}");
    assert!(ended.out.contains("StorageDistrusted\nStorageTrusted\n"), "{ended:?}");
}

#[test]
fn a_place_that_cannot_be_written_is_named_at_the_start() {
    let stage = Stage::new();
    let exchange = stage.calm_exchange();
    for (case, args, sentence) in [
        ("store", ["--store", "/sys/live.db"], "/sys/live.db: cannot be written: *\nhint: check owner"),
        ("folder", ["--store", "/sys/new/live.db"], "/sys/new: cannot be made: *\nhint: check owner"),
        ("tape", ["--record", "/sys/tape"], "option --record: /sys/tape: cannot be written: *\nhint: name a directory"),
    ] {
        assert_says(&stage.refused(case, &url(&exchange), &args), sentence, case);
    }
    let mut bot = limited(&stage, &exchange, 1);
    assert_eq!(bot.wait().code(), Some(2), "{}", bot.stderr());
    println!("{}", bot.stderr());
    assert_says(&bot.stderr(), "live.db*: *\nhint: ", "a disk that is full");
    assert!(!stage.store().exists(), "a store that could not be made was left");
}

#[test]
fn a_command_that_means_nothing_is_refused() {
    let stage = Stage::new();
    let exchange = stage.calm_exchange();
    written(&stage, &exchange);
    for (args, sentence) in [
        ("pause --store no.db", "no.db: there is no such store\nhint: name the store of the bot with --store FILE"),
        ("pause --store secrets.yaml", "secrets.yaml: is not an event store\nhint: "),
        ("close ETHUSDT", "the bot does not trade ETHUSDT; it trades BTCUSDT"),
        ("order BTCUSDT buy much", "argument QTY: `much` is not a decimal number"),
        ("order BTCUSDT buy 0.01 --price cheap", "option --price: `cheap` is not a decimal number"),
        ("set-leverage BTCUSDT ten", "argument LEVERAGE: `ten` is not a whole number in its range"),
        ("set-limits --max-order 0", "option --max-order: 0 is not positive"),
        ("pause --wait soon", "option --wait: `soon` is not a whole number in its range"),
    ] {
        let args: Vec<&str> = args.split_whitespace().collect();
        let store: &[&str] = if args.contains(&"--store") { &[] } else { &["--store", "live.db"] };
        let said = stage.refusal(&format!("{args:?}"), &[&["command"], &args[..], store].concat());
        assert_says(&said, sentence, &format!("{args:?}"));
    }
    for args in ["command", "command dance", "command order BTCUSDT hold 1", "command stop flee", "command close"] {
        let args: Vec<&str> = args.split_whitespace().collect();
        let ended = Ended::of(&mut stage.command(&args));
        assert_eq!((ended.code, &*ended.out), (2, ""), "{args:?}: {ended:?}");
    }
    let waiting = "SELECT COUNT(*) FROM command_store WHERE status = 'NEW'";
    assert_eq!(stage.count(waiting), 0);
}

#[test]
fn a_tape_is_read_to_its_torn_end_and_what_is_none_is_named() {
    let stage = Stage::new();
    let exchange = stage.exchange(&["--speed", "60"]);
    let args = ["--record", "tape", "--param", "fast=2", "--param", "slow=3"];
    let mut bot = stage.bot(&url(&exchange), "live.db", &args);
    runs(&mut bot);
    stage.obeyed(&["order", "BTCUSDT", "buy", "0.01"]);
    stage.obeyed(&["close", "BTCUSDT"]);
    until("the tape is written as far", || {
        let tape = std::fs::read_dir(stage.desk.path("tape")).unwrap().next().unwrap().unwrap().path();
        std::fs::read_to_string(tape).unwrap().contains("CLOSE").then_some(())
    });
    bot.kill();
    let tape = std::fs::read_dir(stage.desk.path("tape")).unwrap().next().unwrap().unwrap().path();
    let bytes = std::fs::read(&tape).unwrap();
    assert!(bytes.last() != Some(&b'\n') || bytes.len() > 10_000);
    stage.desk.write("torn/tape.jsonl", &bytes[..bytes.len() - 5]);
    let replayed = Ended::of(&mut stage.command(&["replay", "--tape", "torn", "--diff"]));
    assert_eq!(replayed.code, 0, "{replayed:?}");
    assert!(replayed.out.contains("the same ") && !replayed.out.contains("the same 0 "), "{replayed:?}");

    let middle = bytes.iter().skip(bytes.len() / 2).position(|byte| *byte == b'\n').unwrap() + bytes.len() / 2;
    stage.desk.write("bad-line.jsonl", [&bytes[..=middle], b"never\n", &bytes[middle + 1..]].concat());
    std::fs::create_dir(stage.desk.path("empty")).unwrap();
    stage.desk.write("two/a.jsonl", "");
    stage.desk.write("two/b.jsonl", "");
    let locked = stage.desk.write("empty.jsonl", "");
    std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(0o600)).unwrap();
    for (tape, sentence) in [
        ("secrets.yaml", "secrets.yaml: is not a tape: it does not begin with how the bot was made\nhint: "),
        ("live.db", "live.db: is not a tape: it is not text\nhint: "),
        ("empty.jsonl", "empty.jsonl: is not a tape: "),
        ("empty", "empty: there is no tape\nhint: `alphaengine live --record DIR` writes one"),
        ("two", "two: there are 2 tapes\nhint: name one; the newest is two/b.jsonl"),
        ("no.jsonl", "no.jsonl: No such file"),
        ("bad-line.jsonl", "entry * of the tape: *"),
    ] {
        let said = stage.refusal(tape, &["replay", "--tape", tape]);
        if tape == "bad-line.jsonl" {
            assert!(said.contains("bad-line.jsonl: line "), "{said}");
        } else {
            assert_says(&said, sentence, tape);
        }
    }
}
