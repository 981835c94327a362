//! A damaged store is salvaged: what can be trusted is kept, what is gone is named, nothing is deleted, and the exchange tells the
//! rest.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot run should say so at once")]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use alphaengine_core::command::OperatorOrder;
use alphaengine_core::engine::{Config, Engine};
use alphaengine_core::event::{Event, Recorded, StoreRecovered};
use alphaengine_core::exchange::{Execution, OrderUpdate};
use alphaengine_core::id::SessionId;
use alphaengine_core::mode::{EngineMode, Mode};
use alphaengine_core::prelude::*;
use alphaengine_core::snapshot::OrderSnapshot;
use alphaengine_core::state::State;
use alphaengine_core::store::{Error, Scope, SqliteStore, StoreReader, repair};
use support::venue::{Venue, live};
use support::{BTC, Desk, Puppet, SECOND, instruments, noon, price, qty};
use tempfile::TempDir;

/// What a session that was killed has left, and the exchange as it is then.
struct Left {
    folder: TempDir,
    events: Vec<Recorded>,
    /// The store as it was in the middle of the session.
    backup: PathBuf,
    position: Qty,
    wallet: Money,
}

fn scope(session: &str) -> Scope {
    Scope::binance_futures(Mode::Chaos, session.parse().unwrap(), "sim")
}

fn first() -> &'static str {
    "0123456789abcdef"
}

fn usdt() -> alphaengine_core::id::Asset {
    "USDT".parse().unwrap()
}

fn copy(from: &Path, to: &Path) {
    for part in ["", "-wal", ".head"] {
        let (from, to) = (with(from, part), with(to, part));
        if from.is_file() {
            fs::copy(&from, &to).unwrap();
        }
    }
}

fn with(path: &Path, part: &str) -> PathBuf {
    format!("{}{part}", path.display()).into()
}

impl Left {
    /// A session trades, and its process ends without a word.
    fn behind() -> Left {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("running.db");
        let store = SqliteStore::create(&path, scope(first()), &instruments()).unwrap();
        let puppet = Puppet::default();
        let mut desk = Desk::over(Engine::new(live(), puppet.clone(), store), puppet, noon());
        let mut venue = Venue::new();
        venue.begin(&mut desk);
        let backup = folder.path().join("backup.db");
        for round in 0..12 {
            desk.wait(SECOND);
            desk.trade(if round % 3 == 2 { "-1" } else { "1" }, if round % 2 == 0 { "100" } else { "102" });
            if round == 4 {
                desk.engine.log_mut().checkpoint().unwrap();
            }
            if round == 7 {
                copy(&path, &backup);
            }
        }
        desk.placed(OrderSpec::limit(BTC, Side::Buy, qty("3"), price("90")));
        desk.wait(SECOND);
        copy(&path, &folder.path().join("killed.db"));
        let events = StoreReader::open(&path).unwrap().events().unwrap().collect::<Result<Vec<_>, _>>().unwrap();
        let position = desk.state().position(BTC, PositionSide::Both).qty();
        let wallet = desk.state().ledger.holdings(usdt());
        Left { folder, events, backup, position, wallet }
    }

    /// The same files under another name, with the log folded into the database.
    fn folded(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        copy(&self.folder.path().join("killed.db"), &path);
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE").unwrap();
        path
    }

    /// The same files under another name, with the log beside the database.
    fn with_log(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        copy(&self.folder.path().join("killed.db"), &path);
        assert!(fs::metadata(with(&path, "-wal")).unwrap().len() > 0);
        path
    }

    /// The exchange, which knows everything: all trades, the order that is open, the position, the wallet.
    fn venue(&self) -> Venue {
        let mut venue = Venue::new();
        let mut open = State::new(&instruments());
        for recorded in &self.events {
            open.apply(recorded).unwrap();
            if let Event::TradeExecuted(trade) = &recorded.event {
                let update = OrderUpdate {
                    at: trade.traded_at,
                    client_order_id: ClientOrderId::default(),
                    order_id: trade.order_id,
                    symbol: BTC,
                    side: trade.side,
                    position_side: trade.position_side,
                    execution: Execution::Trade(trade.fill),
                };
                venue.trades.push((BTC, update));
            }
        }
        for order in open.orders.values() {
            let (client_order_id, order_id, spec) = (order.client_order_id, order.order_id, order.spec);
            let (filled, created_at) = (order.filled, order.requested_at);
            venue.account.orders.push(OrderSnapshot { client_order_id, order_id, spec, filled, created_at });
        }
        let entry = open.position(BTC, PositionSide::Both).entry_price();
        venue.position(&self.position.to_string(), &entry.to_string());
        venue.holds(&self.wallet.to_string());
        venue
    }

    fn last(&self) -> u64 {
        self.events.len() as u64
    }
}

fn second() -> Config {
    Config { session: "fedcba9876543210".parse::<SessionId>().unwrap(), ..live() }
}

fn open(path: &Path, is_doubtful: bool) -> Result<(SqliteStore, Option<StoreRecovered>), Error> {
    let at = noon().plus(3_600 * SECOND);
    SqliteStore::open_or_salvage(path, scope("fedcba9876543210"), &instruments(), at, is_doubtful)
}

fn events(path: &Path) -> Vec<Recorded> {
    StoreReader::open(path).unwrap().events().unwrap().collect::<Result<_, _>>().unwrap()
}

/// A bot goes on from the store at the exchange, and everything that the exchange knows is in it again.
fn go_on(left: &Left, path: &Path, store: SqliteStore, has_lost: bool, case: &str) {
    let state = store.recovered().state;
    let puppet = Puppet::default();
    let met = state.met_at.is_some();
    let at = state.at.max(noon().plus(600 * SECOND));
    let engine = Engine::recover(second(), puppet.clone(), store, Some(state), std::iter::empty()).unwrap();
    let mut desk = Desk::over(engine, puppet, at);
    let mut venue = left.venue();
    venue.begin(&mut desk);
    venue.wait(&mut desk, 30);
    let expected = if has_lost { EngineMode::Safe } else { EngineMode::Running };
    assert_eq!(desk.state().mode, expected, "{case}");
    assert_eq!(desk.state().position(BTC, PositionSide::Both).qty(), left.position, "{case}");
    assert_eq!(desk.state().ledger.holdings(usdt()), left.wallet, "{case}");
    assert_eq!(desk.state().orders.len(), 1, "{case}: the order that is open was found");
    // What its name says it is, it is; of a session that is lost altogether, nobody here knows that it was ours.
    let knows = events(path).iter().any(|recorded| {
        matches!(&recorded.event, Event::OrderRequested(order) if order.client_order_id.as_str().contains(first()))
    });
    let name = *desk.state().orders.keys().next().unwrap();
    assert_eq!(desk.state().is_ours(&name), knows, "{case}");
    // The trades of the lost tail are back, each once; a store that lost all of them begins with the balances.
    if met {
        let trades = |events: &[Recorded]| -> BTreeSet<u64> {
            let id = |recorded: &Recorded| match &recorded.event {
                Event::TradeExecuted(trade) => Some(trade.fill.trade_id),
                _ => None,
            };
            events.iter().filter_map(id).collect()
        };
        assert_eq!(trades(&events(path)), trades(&left.events), "{case}");
    }
    // Entries wait for an operator where something was lost.
    let (_, sent) = desk.place(OrderSpec::limit(BTC, Side::Buy, qty("1"), price("91")));
    assert_eq!(sent.is_none(), has_lost, "{case}");
    assert_eq!(desk.state().lost.is_some(), has_lost, "{case}");
    if has_lost {
        desk.operator("looked", OperatorOrder::Resume);
        let (_, sent) = desk.place(OrderSpec::limit(BTC, Side::Buy, qty("1"), price("91")));
        assert!(sent.is_some() && desk.state().lost.is_none(), "{case}");
    }
    let log = desk.engine.finish().log;
    log.close().unwrap();
    let verdict = StoreReader::open(path).unwrap().verify().unwrap();
    assert_eq!(verdict.findings, [""; 0], "{case}");
}

/// Salvages, and checks what holds for every kind of damage.
fn salvaged(left: &Left, path: &Path, is_doubtful: bool, case: &str) -> StoreRecovered {
    let (store, recovered) = open(path, is_doubtful).unwrap_or_else(|error| panic!("{case}: {error}"));
    let recovered = recovered.unwrap_or_else(|| panic!("{case}: nothing was noticed"));
    let kept = recovered.kept_until_seq as usize;
    let now = events(path);
    assert_eq!(now[..kept], left.events[..kept], "{case}");
    assert_eq!(now.len(), kept + 1, "{case}");
    assert!(matches!(&now[kept].event, Event::StoreRecovered(told) if *told == recovered), "{case}");
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    assert_eq!(recovered.moved_to, format!("{name}.damaged-1"), "{case}");
    assert!(path.with_file_name(&recovered.moved_to).is_file(), "{case}");
    assert!(!with(path, ".salvaged").exists() && !with(path, ".salvaging").exists(), "{case}");
    println!("{case}: {recovered:?}");
    go_on(left, path, store, recovered.has_lost(), case);
    // The next start finds nothing to mend.
    let (store, again) = open(path, true).unwrap();
    assert_eq!(again, None, "{case}");
    drop(store);
    recovered
}

fn change(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(path).unwrap();
    change(&mut bytes);
    fs::write(path, bytes).unwrap();
}

/// Flips a bit in each copy of an event's row, those in the unused parts of pages included.
fn spoil(bytes: &mut [u8], seq: u64, bit: u8) {
    let id = format!("{}-{seq:012}", first());
    // The names of orders look alike.
    let is_id = |at: &usize| &bytes[*at..*at + id.len()] == id.as_bytes() && &bytes[*at - 3..*at] != b"ae-";
    let copies: Vec<usize> = (3..bytes.len() - id.len()).filter(is_id).collect();
    assert!(!copies.is_empty());
    copies.into_iter().for_each(|at| bytes[at] ^= bit);
}

/// Where an event's row lies in a file.
fn place_of(bytes: &[u8], seq: u64) -> usize {
    let id = format!("{}-{seq:012}", first());
    bytes.windows(id.len()).position(|window| window == id.as_bytes()).unwrap()
}

const PAGE: usize = 4_096;

#[test]
fn a_flipped_bit_in_a_row_of_the_tail_ends_what_is_kept_before_it() {
    let left = Left::behind();
    let path = left.folded("bit.db");
    let seq = left.last() - 5;
    change(&path, |bytes| spoil(bytes, seq, 1));
    let recovered = salvaged(&left, &path, false, "a bit in a row");
    assert_eq!((recovered.kept_until_seq, recovered.marked_seq), (seq - 1, Some(left.last())));
    assert!(recovered.problem.contains("was changed"), "{}", recovered.problem);
}

#[test]
fn a_flipped_bit_before_the_checkpoint_is_found_by_the_proof_and_by_a_start_in_doubt() {
    let left = Left::behind();
    let path = left.folded("early.db");
    change(&path, |bytes| spoil(bytes, 9, 4));
    assert_eq!(open(&path, false).unwrap().1, None, "it lies before what a start folds");
    let recovered = salvaged(&left, &path, true, "an early bit");
    assert_eq!(recovered.kept_until_seq, 8);
    assert!(recovered.has_lost());
}

#[test]
fn a_destroyed_page_of_the_log_ends_what_is_kept_before_it() {
    let left = Left::behind();
    let path = left.folded("page.db");
    change(&path, |bytes| {
        let page = place_of(bytes, left.last() - 3) / PAGE;
        bytes[page * PAGE..(page + 1) * PAGE].fill(0xa5);
    });
    let recovered = salvaged(&left, &path, false, "a page of the log");
    assert!(recovered.has_lost() && recovered.kept_until_seq > 0, "{recovered:?}");
}

#[test]
fn a_destroyed_index_costs_nothing() {
    let left = Left::behind();
    let path = left.folded("index.db");
    let root: usize = rusqlite::Connection::open(&path)
        .unwrap()
        .query_row("SELECT rootpage FROM sqlite_schema WHERE name LIKE 'sqlite_autoindex_event_store%'", [], |row| {
            row.get::<_, i64>(0)
        })
        .unwrap() as usize;
    change(&path, |bytes| bytes[(root - 1) * PAGE..root * PAGE].fill(0xa5));
    let recovered = salvaged(&left, &path, true, "an index");
    assert_eq!((recovered.kept_until_seq, recovered.has_lost()), (left.last(), false));
}

#[test]
fn a_flipped_bit_in_the_write_ahead_log_drops_its_end_and_the_head_mark_tells() {
    let left = Left::behind();
    let path = left.with_log("wal.db");
    change(&with(&path, "-wal"), |bytes| {
        let at = bytes.len() * 9 / 10;
        bytes[at] ^= 1;
    });
    let recovered = salvaged(&left, &path, false, "a bit in the WAL");
    assert!(recovered.problem.contains("its tail is lost"), "{}", recovered.problem);
    assert!(recovered.kept_until_seq < left.last() && recovered.marked_seq == Some(left.last()));
}

#[test]
fn a_removed_write_ahead_log_is_noticed_by_the_head_mark() {
    let left = Left::behind();
    let path = left.with_log("no-wal.db");
    fs::remove_file(with(&path, "-wal")).unwrap();
    let recovered = salvaged(&left, &path, false, "no WAL");
    assert!(recovered.has_lost());
    assert_eq!(recovered.marked_seq, Some(left.last()));
}

#[test]
fn a_changed_row_is_not_believed() {
    let left = Left::behind();
    let path = left.folded("changed.db");
    let seq = left.events.iter().rev().find(|event| event.event.event_type() == "TradeExecuted").unwrap().seq;
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection
        .execute_batch(&format!(
            "DROP TRIGGER event_store_is_append_only_update;
             UPDATE event_store SET payload_json = replace(payload_json, '\"price\":\"', '\"price\":\"9') WHERE seq = {seq}"
        ))
        .unwrap();
    drop(connection);
    let recovered = salvaged(&left, &path, false, "a changed row");
    assert_eq!(recovered.kept_until_seq, seq - 1);
}

#[test]
fn a_removed_row_ends_what_is_kept_before_it() {
    let left = Left::behind();
    let path = left.folded("removed.db");
    let seq = left.last() - 4;
    let connection = rusqlite::Connection::open(&path).unwrap();
    let remove = format!("DROP TRIGGER event_store_is_append_only_delete; DELETE FROM event_store WHERE seq = {seq}");
    connection.execute_batch(&remove).unwrap();
    drop(connection);
    let recovered = salvaged(&left, &path, false, "a removed row");
    assert_eq!(recovered.kept_until_seq, seq - 1);
}

#[test]
fn a_truncated_file_keeps_what_is_left_of_it() {
    let left = Left::behind();
    let whole = fs::metadata(left.folded("whole.db")).unwrap().len() as usize;
    let three_quarters = whole * 3 / 4 + 1_000;
    for (name, length) in
        [("three quarters", three_quarters), ("whole pages", three_quarters / PAGE * PAGE), ("nothing", 0)]
    {
        let path = left.folded(&format!("{name}.db"));
        change(&path, |bytes| bytes.truncate(length));
        let recovered = salvaged(&left, &path, false, name);
        assert!(recovered.has_lost(), "{name}");
        assert_eq!(recovered.marked_seq, Some(left.last()), "{name}");
    }
}

#[test]
fn without_its_head_mark_nobody_knows_what_was_lost() {
    let left = Left::behind();
    for (name, text) in [("gone", None), ("empty", Some("")), ("scribbled", Some("00000000000000000012 zz\n"))] {
        let path = left.folded(&format!("{name}-head.db"));
        match text {
            None => fs::remove_file(with(&path, ".head")).unwrap(),
            Some(text) => fs::write(with(&path, ".head"), text).unwrap(),
        }
        let recovered = salvaged(&left, &path, false, name);
        assert_eq!((recovered.kept_until_seq, recovered.marked_seq), (left.last(), None), "{name}");
        assert!(recovered.has_lost(), "{name}");
    }
}

#[test]
fn an_old_backup_under_a_newer_mark_counts_as_a_loss() {
    let left = Left::behind();
    let path = left.folder.path().join("restored.db");
    copy(&left.backup, &path);
    fs::copy(left.folder.path().join("killed.db.head"), with(&path, ".head")).unwrap();
    let recovered = salvaged(&left, &path, false, "an old backup");
    assert!(recovered.kept_until_seq < left.last() && recovered.has_lost(), "{recovered:?}");
    assert_eq!(recovered.marked_seq, Some(left.last()));
}

#[test]
fn a_database_that_is_gone_while_its_mark_is_there_was_lost() {
    let left = Left::behind();
    let path = left.folded("gone.db");
    fs::remove_file(&path).unwrap();
    let recovered = salvaged(&left, &path, false, "no database");
    assert_eq!((recovered.kept_until_seq, recovered.marked_seq), (0, Some(left.last())));
}

#[test]
fn a_schema_that_cannot_be_read_loses_the_history_and_not_the_account() {
    let left = Left::behind();
    for (name, range) in [("schema", 100..PAGE), ("first page", 0..PAGE)] {
        let path = left.folded(&format!("{name}.db"));
        change(&path, |bytes| bytes[range].fill(0x5a));
        let recovered = salvaged(&left, &path, false, name);
        assert_eq!(recovered.kept_until_seq, 0, "{name}");
        assert!(recovered.has_lost(), "{name}");
    }
}

#[test]
fn what_is_no_store_or_a_newer_one_or_of_other_symbols_is_left_alone() {
    let left = Left::behind();
    let text = left.folder.path().join("text.db");
    fs::write(&text, "no store at all\n").unwrap();
    assert!(matches!(open(&text, false), Err(Error::NotAStore { .. })));
    // Somebody else's database, whatever lies beside it.
    let other = left.folded("other.db");
    fs::remove_file(&other).unwrap();
    rusqlite::Connection::open(&other).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
    assert!(matches!(open(&other, true), Err(Error::NotAStore { .. })));
    let newer = left.folded("newer.db");
    rusqlite::Connection::open(&newer).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(open(&newer, false), Err(Error::NewerSchema { .. })));
    // A damaged store of other symbols is not cut to nothing.
    let damaged = left.folded("symbols.db");
    change(&damaged, |bytes| {
        spoil(bytes, left.last() - 2, 1);
    });
    let of = support::of(&["ETHUSDT", "BTCUSDT"]);
    let opened = SqliteStore::open_or_salvage(&damaged, scope("fedcba9876543210"), &of, noon(), true);
    assert!(matches!(opened, Err(Error::OtherSymbols { .. })));
    for path in [&text, &other, &newer, &damaged] {
        assert!(!with(path, ".damaged-1").exists(), "{}", path.display());
    }
}

#[test]
fn a_store_in_use_is_not_salvaged() {
    let left = Left::behind();
    let path = left.folded("used.db");
    let holder = SqliteStore::open(&path, scope(first()), &instruments()).unwrap();
    change(&path, |bytes| {
        spoil(bytes, left.last() - 2, 1);
    });
    assert!(matches!(open(&path, true), Err(Error::InUse { .. })));
    assert!(!with(&path, ".damaged-1").exists());
    drop(holder);
}

#[test]
fn a_salvage_that_is_interrupted_anywhere_is_finished_by_the_next_start() {
    let left = Left::behind();
    let whole = left.folded("interrupted.db");
    let damage = |path: &Path| {
        change(path, |bytes| {
            spoil(bytes, left.last() - 5, 1);
        });
    };
    damage(&whole);
    let done = left.folder.path().join("done.db");
    copy(&whole, &done);
    open(&done, false).unwrap();
    // What each step of the moving leaves; the last one is the end.
    let aside = |path: &Path, part: &str| with(path, &format!(".damaged-1{part}"));
    for step in 0..=5 {
        let path = left.folder.path().join(format!("step-{step}.db"));
        copy(&whole, &path);
        if step == 0 {
            // It was not yet whole.
            fs::write(with(&path, ".salvaging"), "half").unwrap();
            fs::write(with(&path, ".salvaging.head"), "").unwrap();
        } else {
            fs::copy(&done, with(&path, ".salvaged")).unwrap();
            fs::copy(with(&done, ".head"), with(&path, ".salvaged.head")).unwrap();
        }
        if step >= 2 {
            fs::rename(with(&path, ".head"), aside(&path, ".head")).unwrap();
        }
        if step >= 3 {
            fs::rename(&path, aside(&path, "")).unwrap();
        }
        if step >= 4 {
            fs::rename(with(&path, ".salvaged"), &path).unwrap();
        }
        if step >= 5 {
            fs::rename(with(&path, ".salvaged.head"), with(&path, ".head")).unwrap();
        }
        let (store, _) = open(&path, true).unwrap_or_else(|error| panic!("step {step}: {error}"));
        assert_eq!(store.state().lost.map(|lost| lost.kept_until_seq), Some(left.last() - 6), "step {step}");
        drop(store);
        assert!(aside(&path, "").is_file() && aside(&path, ".head").is_file(), "step {step}");
        assert!(!aside(&path, "").with_extension("damaged-2").exists(), "step {step}");
        for part in [".salvaged", ".salvaged.head", ".salvaging", ".salvaging.head"] {
            assert!(!with(&path, part).exists(), "step {step}: {part}");
        }
    }
}

#[test]
fn a_second_salvage_keeps_the_files_of_the_first() {
    let left = Left::behind();
    let path = left.folded("twice.db");
    for number in 1..=3 {
        fs::remove_file(&path).unwrap();
        let (_, recovered) = open(&path, false).unwrap();
        assert_eq!(recovered.unwrap().moved_to, format!("twice.db.damaged-{number}"));
    }
    assert!(with(&path, ".damaged-1.head").is_file() && with(&path, ".damaged-3.head").is_file());
}

#[test]
fn a_store_is_repaired_by_hand_where_it_says_itself_whose_it_is() {
    let left = Left::behind();
    let path = left.folded("by-hand.db");
    assert_eq!(repair(&path, noon()).unwrap(), None);
    change(&path, |bytes| spoil(bytes, 9, 4));
    let recovered = repair(&path, noon()).unwrap().unwrap();
    assert_eq!(recovered.kept_until_seq, 8);
    assert_eq!(StoreReader::open(&path).unwrap().verify().unwrap().findings, [""; 0]);
    let nothing = left.folded("nothing.db");
    fs::write(&nothing, "").unwrap();
    let problem = repair(&nothing, noon()).unwrap_err().to_string();
    assert!(problem.contains("whose it is cannot be read any more"), "{problem}");
    assert!(matches!(repair(left.folder.path().join("none.db").as_path(), noon()), Err(Error::Missing { .. })));
}

/// One flipped bit in the page of the definitions names a column otherwise, and no statement of ours fits any more.
#[test]
fn definitions_that_were_changed_are_damage_and_lose_nothing() {
    let changes = [
        ("projection_order_open", "client_order_id", "client_orler_id", false),
        ("event_store", "payload_json", "payload_jsoo", false),
        ("command_store", "'SENT'", "'SEOT'", true),
    ];
    for (table, from, to, is_doubtful) in changes {
        let left = Left::behind();
        let path = left.folded("definitions.db");
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection.pragma_update(None, "writable_schema", true).unwrap();
        let sql = "UPDATE sqlite_schema SET sql = replace(sql, ?2, ?3) WHERE name = ?1";
        assert_eq!(connection.execute(sql, [table, from, to]).unwrap(), 1);
        drop(connection);
        let recovered = salvaged(&left, &path, is_doubtful, table);
        assert_eq!(recovered.kept_until_seq, left.last(), "{table}");
    }
}
