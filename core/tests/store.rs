//! The event store: one contract for every log, the schema that operators and notebooks rely on, and what becomes of a file that
//! was cut, flipped, lost or opened twice.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

mod support;

use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use alphaengine_core::command::OperatorOrder;
use alphaengine_core::engine::Engine;
use alphaengine_core::event::{Recorded, TransferBooked};
use alphaengine_core::exchange::{
    ExchangeError, ExchangeUpdate, Execution, ExpiryReason, FundingPayment, Outcome, Setting, TransferReason,
};
use alphaengine_core::ledger::Account;
use alphaengine_core::prelude::*;
use alphaengine_core::report::EquityPoint;
use alphaengine_core::state::State;
use alphaengine_core::store::{
    CurveRow, Encoder, Error, EventLog, MemoryLog, SqliteStore, StoreReader, VERSION, funding_key, hex, trade_key,
    transfer_key,
};
use proptest::prelude::{ProptestConfig, prop, proptest};
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use sha2::{Digest, Sha256};
use support::script::{World, script};
use support::{BTC, Desk, ETH, Puppet, config, instruments, noon, price, qty, scope};
use tempfile::TempDir;

/// A folder with one store.
struct Shelf {
    folder: TempDir,
}

impl Shelf {
    fn new() -> Shelf {
        Shelf { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("run.db")
    }

    fn head(&self) -> PathBuf {
        self.folder.path().join("run.db.head")
    }

    fn create(&self) -> SqliteStore {
        SqliteStore::create(&self.path(), scope(), &instruments()).unwrap()
    }

    fn open(&self) -> Result<SqliteStore, Error> {
        SqliteStore::open(&self.path(), scope(), &instruments())
    }

    fn reader(&self) -> StoreReader {
        StoreReader::open(&self.path()).unwrap()
    }

    /// A connection as a stranger has it: SQLite, and nothing of ours.
    fn sql(&self) -> Connection {
        Connection::open(self.path()).unwrap()
    }

    /// A store with these events, closed in order.
    fn holding(events: &[Recorded]) -> Shelf {
        let shelf = Shelf::new();
        let mut store = shelf.create();
        store.append(events).unwrap();
        store.close().unwrap();
        shelf
    }
}

/// A day on which nearly everything happens.
fn usdt() -> alphaengine_core::id::Asset {
    "USDT".parse().unwrap()
}

fn busy<L: EventLog>(desk: &mut Desk<L>) {
    let sell = |quantity: &str| OrderSpec::market(BTC, Side::Sell, qty(quantity));
    desk.open();
    desk.trade("3", "100");
    desk.trade("-1", "110.7");
    desk.fund("-0.5", noon());
    desk.transfer(1, "-100", TransferReason::Withdraw);
    let resting = desk.placed(OrderSpec::limit(BTC, Side::Buy, qty("2"), price("90")));
    desk.fill(resting, "0.5", "90");
    let stop = desk.placed(sell("1").with_type(OrderType::StopMarket { trigger: price("80") }).reduce_only());
    desk.placed(OrderSpec::limit(ETH, Side::Sell, qty("4"), price("12")));
    desk.update(stop, Execution::Triggered { child: 3, qty: qty("1") });
    desk.fill(stop, "1", "79.9");
    desk.hear(&ExchangeUpdate::IsolatedMargin {
        symbol: BTC,
        position_side: PositionSide::Both,
        wallet: support::money("25"),
    });
    desk.say(|ctx| {
        ctx.buy(BTC, Qty::ZERO);
        ctx.set_timer_in("soon", support::SECOND);
        assert!(ctx.save("plan", &[1, 2, 3]));
    });
    desk.operator("pause", OperatorOrder::Pause);
    desk.operator("resume", OperatorOrder::Resume);
    desk.wait(13 * 3_600 * support::SECOND);
}

/// The events of such a day.
fn day() -> Vec<Recorded> {
    let puppet = Puppet::default();
    let log = MemoryLog::new(Encoder::new(scope(), &instruments()));
    let mut desk = Desk::over(Engine::new(config(), puppet.clone(), log), puppet, noon());
    busy(&mut desk);
    desk.events().to_vec()
}

/// The settlement of noon.
fn payment(position_side: PositionSide) -> FundingPayment {
    let (position, amount) = (Qty::ONE, Money::ZERO);
    FundingPayment {
        symbol: BTC,
        position_side,
        settled_at: noon(),
        rate: None,
        mark: None,
        position,
        amount,
        id: None,
    }
}

fn fold(events: &[Recorded]) -> State {
    let mut state = State::new(&instruments());
    events.iter().for_each(|recorded| state.apply(recorded).unwrap());
    state
}

/// The rows of a query, values between bars.
fn rows(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection.prepare(sql).unwrap();
    let columns = statement.column_count();
    let text = |value: ValueRef<'_>| match value {
        ValueRef::Null => String::new(),
        ValueRef::Integer(int) => int.to_string(),
        ValueRef::Real(real) => real.to_string(),
        ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
        ValueRef::Blob(bytes) => hex(bytes),
    };
    let rows = statement.query_map([], |row| {
        let values = (0..columns).map(|index| row.get_ref(index).map(text));
        values.collect::<rusqlite::Result<Vec<String>>>()
    });
    rows.unwrap().map(|row| row.unwrap().join("|")).collect()
}

/// An error as the user sees it.
fn said(error: &Error) -> String {
    format!("{error}. {}", error.hint().unwrap_or("NO NEXT STEP"))
}

mod contract {
    use super::*;

    /// What every log owes its caller, whatever keeps the events.
    fn check(log: &mut impl EventLog, events: &[Recorded]) {
        let key = trade_key("BTCUSDT", 1_002);
        assert!(!log.contains(&key).unwrap());
        for recorded in events {
            log.append(std::slice::from_ref(recorded)).unwrap();
        }
        assert!(log.contains(&key).unwrap(), "a fact is known at once");
        log.commit().unwrap();
        log.commit().unwrap();
        let known = [
            key,
            funding_key("BTCUSDT", &payment(PositionSide::Both)),
            transfer_key(TransferReason::Deposit, usdt(), 0),
            transfer_key(TransferReason::Withdraw, usdt(), 1),
            "order:ae-0123456789abcdef-000000000001".to_owned(),
            "operator:pause".to_owned(),
        ];
        for key in known {
            assert!(log.contains(&key).unwrap(), "{key}");
        }
        let unknown = [
            trade_key("BTCUSDT", 7),
            trade_key("ETHUSDT", 1_002),
            funding_key("BTCUSDT", &payment(PositionSide::Long)),
            transfer_key(TransferReason::Deposit, usdt(), 1),
            // The other side of a conversion.
            transfer_key(TransferReason::Deposit, "BNB".parse().unwrap(), 0),
            "operator:stop".to_owned(),
        ];
        for key in unknown {
            assert!(!log.contains(&key).unwrap(), "{key}");
        }
        // A fact that is in the log already is refused, however it is numbered.
        let transfer = events.iter().find(|recorded| recorded.event.event_type() == "TransferBooked").unwrap();
        let again = Recorded { seq: events.len() as u64 + 1, ..transfer.clone() };
        let refused = log.append(&[again]).unwrap_err();
        assert_eq!(
            refused.to_string(),
            format!("the fact `{}` is in the log already", transfer_key(TransferReason::Deposit, usdt(), 0))
        );
    }

    #[test]
    fn every_log_keeps_the_contract_and_chains_alike() {
        let events = day();
        let mut memory = MemoryLog::new(Encoder::new(scope(), &instruments()));
        check(&mut memory, &events);
        let shelf = Shelf::new();
        let mut store = shelf.create();
        check(&mut store, &events);
        drop(store);
        let mut boxed: Box<dyn EventLog> = Box::new(MemoryLog::new(Encoder::new(scope(), &instruments())));
        check(&mut boxed, &events);

        let mut plain = MemoryLog::new(Encoder::new(scope(), &instruments()));
        plain.append(&events).unwrap();
        assert_eq!(plain.events(), events);
        assert_eq!(shelf.open().unwrap().hash(), plain.hash());
        let read: Vec<Recorded> = shelf.reader().events().unwrap().map(Result::unwrap).collect();
        assert_eq!(read, events, "what is read back is what was written");
    }

    #[test]
    fn a_log_cut_after_any_commit_recovers_and_goes_on() {
        let events = day();
        let shelf = Shelf::new();
        drop(shelf.create());
        for (index, recorded) in events.iter().enumerate() {
            let mut store = shelf.open().unwrap();
            assert_eq!(store.state(), &fold(&events[..index]));
            store.append(std::slice::from_ref(recorded)).unwrap();
            // What is not committed was not promised.
            if index % 3 == 1 {
                drop(store);
                store = shelf.open().unwrap();
                assert_eq!(store.state().seq, index as u64);
                store.append(std::slice::from_ref(recorded)).unwrap();
            }
            if index % 5 == 2 {
                store.checkpoint().unwrap();
            }
            store.commit().unwrap();
        }
        let verdict = shelf.reader().verify().unwrap();
        assert_eq!(verdict.findings, [""; 0]);
        assert_eq!((verdict.good_until, verdict.has_head_mark), (events.len() as u64, true));
        assert_eq!(verdict.state_hash, hex(&fold(&events).hash()));
    }

    #[test]
    fn an_engine_recovers_from_a_file_and_goes_on_in_it() {
        let shelf = Shelf::new();
        let puppet = Puppet::default();
        let mut desk = Desk::over(Engine::new(config(), puppet.clone(), shelf.create()), puppet, noon());
        busy(&mut desk);
        let (now, before) = (desk.now, desk.engine.finish());
        drop(before.log);
        let store = shelf.open().unwrap();
        let checkpoint = store.recovered();
        assert_eq!((checkpoint.seq, checkpoint.state.hash()), (before.state.seq, before.state.hash()));
        let puppet = Puppet::default();
        let engine = Engine::recover(config(), puppet.clone(), store, Some(checkpoint.state), []).unwrap();
        let mut desk = Desk::over(engine, puppet, now.plus(support::SECOND));
        desk.step(alphaengine_core::exchange::Input::Ready);
        desk.trade("1", "100");
        let state = desk.engine.finish().state;
        assert_eq!(shelf.reader().fold().unwrap(), state);
        assert_eq!(shelf.reader().sessions().unwrap().len(), 2, "one for each process");
        assert_eq!(shelf.reader().verify().unwrap().findings, [""; 0]);
    }

    #[test]
    fn a_log_that_does_not_fold_or_repeats_itself_is_never_written() {
        let events = day();
        let gap = Recorded { seq: 9, ..events[0].clone() };
        let transfer = events.iter().find(|recorded| recorded.event.event_type() == "TransferBooked").unwrap();
        let twice = Recorded { seq: 4, ..transfer.clone() };
        for (bad, expected) in [
            (gap, "event 9 contradicts the state: event 9 does not follow on event 3"),
            (twice, "the fact `binance:futures:deposit:USDT:00000000000000000000` is in the log already"),
        ] {
            let shelf = Shelf::new();
            let mut store = shelf.create();
            store.append(&events[..2]).unwrap();
            store.commit().unwrap();
            store.append(&events[2..3]).unwrap();
            assert_eq!(store.append(&[bad]).unwrap_err().to_string(), expected);
            // Memory is ahead of the file now, so nothing more may be written with it.
            for refused in [store.commit(), store.append(&events[3..4]), store.checkpoint()] {
                let refused = said(&refused.unwrap_err());
                assert!(
                    refused.ends_with(
                        "is known only after it is opened again. open it again: what was committed is there"
                    )
                );
            }
            drop(store);
            let mut store = shelf.open().unwrap();
            assert_eq!(store.state(), &fold(&events[..2]));
            store.append(&events[2..]).unwrap();
            store.close().unwrap();
            assert!(shelf.reader().verify().unwrap().is_good());
        }
    }
}

mod schema {
    use super::*;

    #[test]
    fn tables_and_columns_are_those_that_notebooks_name() {
        let shelf = Shelf::holding(&day());
        let sql = shelf.sql();
        let tables =
            "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%' ORDER BY name";
        let mut schema = String::new();
        for table in rows(&sql, tables) {
            let columns = rows(&sql, &format!("SELECT name FROM pragma_table_info('{table}')"));
            schema += &format!("\n{table}: {}", columns.join(" "));
        }
        let expected = "
account: account_id name
checkpoint_store: seq ts session_id state_json state_hash
command_store: seq command_id command_type ts actor_kind actor_id exchange venue account_id symbol mode idempotency_key status priority payload_json result_json last_error sent_at finished_at
command_to_exchange: command_id client_order_id exchange_order_id
config_store: version ts session_id config_json
equity_curve: ts equity_e8 wallet_e8 low_e8 drawdown_e8 notional_e8
event_store: seq event_id event_type ts correlation_id causation_id command_id source entity_kind entity_id exchange venue account_id symbol mode dedup_key payload_json hash
journal_entry: entry_id ts event_type symbol
journal_line: line_id entry_id account_id asset amount_e8
ledger: line_id entry_id ts event_type symbol account asset amount_e8
projection_balance: asset account balance_e8 as_of_seq
projection_order_open: client_order_id symbol side type status price_e8 trigger_e8 qty_e8 filled_e8 as_of_seq
projection_position: symbol position_side qty_e8 entry_price_e8 isolated_margin_e8 as_of_seq
projection_trade: seq symbol trade_id traded_at client_order_id side position_side price_e8 qty_e8 fee_e8 fee_asset realized_e8 is_maker is_liquidation
session: session_id first_seq mode strategy config_json instruments_json
session_report: session_id report_json";
        assert_eq!(schema, expected);
        let loose = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND NOT strict AND name NOT LIKE 'sqlite_%'";
        assert_eq!(rows(&sql, loose), [""; 0], "every table is STRICT");
        let unique = "SELECT m.name || '.' || i.name FROM sqlite_schema m, pragma_index_list(m.name) l, pragma_index_info(l.name) i
                      WHERE m.type = 'table' AND l.origin = 'u' ORDER BY 1";
        let expected = [
            "account.name",
            "command_store.command_id",
            "command_store.idempotency_key",
            "command_to_exchange.client_order_id",
            "event_store.dedup_key",
        ];
        assert_eq!(rows(&sql, unique), expected);
        assert_eq!(rows(&sql, "PRAGMA user_version"), [VERSION.to_string()]);
        assert_eq!(
            rows(&sql, "SELECT DISTINCT exchange, venue, account_id, mode FROM event_store"),
            ["binance|futures|sim|CHAOS"]
        );
        assert_eq!(rows(&sql, "SELECT name FROM account ORDER BY account_id").len(), Account::ALL.len());
    }

    #[test]
    fn the_log_and_the_journal_can_only_grow() {
        let shelf = Shelf::holding(&day());
        let sql = shelf.sql();
        for table in ["event_store", "journal_entry", "journal_line"] {
            let before = rows(&sql, &format!("SELECT * FROM {table}"));
            let column = if table == "journal_line" { "amount_e8" } else { "ts" };
            let attempts = [
                format!("UPDATE {table} SET {column} = 1"),
                format!("DELETE FROM {table}"),
                format!("DELETE FROM {table} WHERE rowid = (SELECT MAX(rowid) FROM {table})"),
                format!("UPDATE OR REPLACE {table} SET rowid = 2 WHERE rowid = (SELECT MAX(rowid) FROM {table})"),
                format!("UPDATE OR IGNORE {table} SET {column} = 1"),
            ];
            for attempt in attempts {
                let refused = sql.execute_batch(&attempt).unwrap_err().to_string();
                assert!(refused.contains(&format!("{table} is append-only")), "{attempt}: {refused}");
            }
            assert_eq!(rows(&sql, &format!("SELECT * FROM {table}")), before);
        }
        let twice = "INSERT INTO event_store SELECT seq + 1000, event_id, event_type, ts, correlation_id, causation_id, command_id,
                     source, entity_kind, entity_id, exchange, venue, account_id, symbol, mode, dedup_key, payload_json, hash
                     FROM event_store WHERE event_type = 'TradeExecuted'";
        let refused = sql.execute_batch(twice).unwrap_err().to_string();
        assert_eq!(refused, "UNIQUE constraint failed: event_store.dedup_key");
    }

    #[test]
    fn dedup_keys_say_what_a_fact_is() {
        let shelf = Shelf::holding(&day());
        let sql = "SELECT dedup_key FROM event_store WHERE dedup_key NOT LIKE 'event:%' AND symbol IS NOT 'ETHUSDT'
                   GROUP BY event_type ORDER BY seq";
        let expected = [
            "binance:futures:deposit:USDT:00000000000000000000",
            "order:ae-0123456789abcdef-000000000001",
            "binance:futures:BTCUSDT:trade:00000000000000001002",
            "binance:futures:BTCUSDT:funding:BOTH:00000001746360000000",
            "operator:pause",
        ];
        assert_eq!(rows(&shelf.sql(), sql), expected);
    }

    /// The statements of the design, in the shell where there is one and through SQLite alone everywhere.
    #[test]
    fn the_statements_of_the_design_run_unchanged() {
        let events = day();
        let shelf = Shelf::holding(&events);
        let commands = rows(&shelf.sql(), "SELECT COUNT(*) FROM command_store").remove(0);
        // A store that was closed in order has no log beside it that a checkpoint could fold in, which SQLite calls -1.
        let expected = format!("event_store|{}\ncommand_store|{commands}\nok\n0|-1|-1\n", events.len());
        let mut answers = String::new();
        for statement in DESIGN.split_inclusive(';') {
            let statement = statement.trim_start_matches(|c: char| c != 'S' && c != 'P');
            if !statement.is_empty() {
                rows(&shelf.sql(), statement).iter().for_each(|row| answers += &format!("{row}\n"));
            }
        }
        assert_eq!(answers, expected);
        let asked = shelf.reader().query(DESIGN.split("PRAGMA wal").next().unwrap()).unwrap();
        let asked: Vec<String> = asked.iter().flat_map(|answer| &answer.rows).map(|row| row.join("|") + "\n").collect();
        assert!(expected.starts_with(&asked.concat()) && asked.len() == 3, "{asked:?}");
        let shell = std::process::Command::new("sqlite3").arg(shelf.path()).arg(DESIGN).output();
        if let Ok(shell) = shell {
            assert_eq!(String::from_utf8_lossy(&shell.stdout), expected, "{}", String::from_utf8_lossy(&shell.stderr));
        }
    }

    const DESIGN: &str = "
SELECT dedup_key, COUNT(*) AS cnt FROM event_store GROUP BY dedup_key HAVING cnt > 1;      -- always empty
SELECT 'event_store' AS table_name, COUNT(*) AS row_count FROM event_store
UNION ALL SELECT 'command_store', COUNT(*) FROM command_store;
PRAGMA integrity_check;  PRAGMA wal_checkpoint(TRUNCATE);
";

    #[test]
    fn opening_a_store_changes_nothing_in_it() {
        let shelf = Shelf::holding(&day());
        let dump = || {
            let tables = rows(
                &shelf.sql(),
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'checkpoint_store'",
            );
            tables
                .iter()
                .flat_map(|table| rows(&shelf.sql(), &format!("SELECT * FROM \"{table}\"")))
                .collect::<Vec<_>>()
        };
        let before = dump();
        for _ in 0..2 {
            shelf.open().unwrap().close().unwrap();
        }
        assert_eq!(dump(), before, "migrations run once");
    }

    const SCHEMA_1: &str = include_str!("data/schema-v1.sql");
    const UNANSWERED: &str = "CREATE INDEX command_unanswered ON command_store (command_id) WHERE status = 'SENT';";

    /// Puts the rows of a store into one of an earlier version, which takes its place.
    fn make_older(shelf: &Shelf, version: i64) {
        let older = shelf.folder.path().join("older.db");
        let mut schema = SCHEMA_1.to_owned();
        if version == 2 {
            schema += UNANSWERED;
        }
        let sql = Connection::open(&older).unwrap();
        sql.execute_batch(&schema).unwrap();
        sql.execute("ATTACH ?1 AS newest", [shelf.path().to_str()]).unwrap();
        for table in rows(&sql, "SELECT name FROM main.sqlite_schema WHERE type = 'table'") {
            sql.execute_batch(&format!("INSERT INTO main.{table} SELECT * FROM newest.{table}")).unwrap();
        }
        sql.pragma_update(None, "application_id", 0x416c_456e).unwrap();
        sql.pragma_update(None, "user_version", version).unwrap();
        drop(sql);
        std::fs::rename(older, shelf.path()).unwrap();
    }

    /// Tables with their columns, keys and kinds, and indexes, whatever the words of their definitions.
    fn anatomy(sql: &Connection) -> Vec<String> {
        let tables = "SELECT t.name, t.type, t.strict, t.wr, x.* FROM pragma_table_list t, pragma_table_xinfo(t.name) x
                      WHERE t.schema = 'main' ORDER BY t.name, x.cid";
        let indexes =
            "SELECT m.name, l.[unique], l.origin, l.partial, x.* FROM sqlite_schema m, pragma_index_list(m.name) l,
                       pragma_index_xinfo(l.name) x WHERE m.type = 'table' ORDER BY m.name, l.origin, l.name, x.seqno";
        let named = "SELECT type, name, sql FROM sqlite_schema WHERE type IN ('trigger', 'view', 'index') AND sql <> '' ORDER BY 2";
        [tables, indexes, named].iter().flat_map(|query| rows(sql, query)).collect()
    }

    #[test]
    fn an_older_store_is_read_as_it_is_and_brought_up_when_it_goes_on() {
        for version in [1, 2] {
            let events = day();
            let shelf = Shelf::holding(&events);
            let found = || rows(&shelf.sql(), "PRAGMA user_version").remove(0);
            let content = || {
                let tables = rows(&shelf.sql(), "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY 1");
                let rows = |table| rows(&shelf.sql(), &format!("SELECT * FROM {table} ORDER BY 1, 2"));
                tables.iter().filter(|table| *table != "checkpoint_store").flat_map(rows).collect::<Vec<String>>()
            };
            let (newest, before) = (anatomy(&shelf.sql()), content());
            make_older(&shelf, version);
            assert_ne!(anatomy(&shelf.sql()), newest);
            let read: Vec<Recorded> = shelf.reader().events().unwrap().map(Result::unwrap).collect();
            assert_eq!((&read, found()), (&events, version.to_string()));
            assert!(shelf.reader().verify().unwrap().is_good());
            shelf.open().unwrap().close().unwrap();
            assert_eq!((anatomy(&shelf.sql()), found()), (newest, VERSION.to_string()));
            assert_eq!(content(), before);
            assert!(shelf.reader().verify().unwrap().is_good());
        }
    }

    #[test]
    fn a_command_finds_its_order_without_reading_the_others() {
        let shelf = Shelf::holding(&day());
        let plan = "EXPLAIN QUERY PLAN UPDATE command_to_exchange SET exchange_order_id = 1 WHERE command_id = 2";
        let plan: String = shelf.sql().query_row(plan, [], |row| row.get(3)).unwrap();
        assert!(plan.starts_with("SEARCH") && plan.contains("PRIMARY KEY"), "{plan}");
    }
}

mod chain {
    use super::*;

    /// The chain again, from the words of the documentation.
    #[test]
    fn the_hash_of_a_row_is_what_the_documentation_says() {
        let shelf = Shelf::holding(&day());
        let sql = shelf.sql();
        let mut statement = sql.prepare("SELECT * FROM event_store ORDER BY seq").unwrap();
        let mut rows = statement.query([]).unwrap();
        let mut previous = vec![0; 32];
        while let Some(row) = rows.next().unwrap() {
            let mut bytes = previous;
            for column in 0..17 {
                match row.get_ref(column).unwrap() {
                    ValueRef::Null => bytes.push(0),
                    ValueRef::Integer(int) => bytes.extend(int.to_string().bytes()),
                    ValueRef::Text(text) => bytes.extend(text),
                    other => panic!("{other:?} in column {column}"),
                }
                bytes.push(0x1f);
            }
            previous = Sha256::digest(&bytes).to_vec();
            assert_eq!(row.get::<_, Vec<u8>>(17).unwrap(), previous);
        }
        assert_eq!(shelf.reader().verify().unwrap().log_hash, hex(&previous));
    }

    #[test]
    fn the_head_mark_names_the_last_durable_row() {
        let events = day();
        let shelf = Shelf::new();
        let mut store = shelf.create();
        let mark = || std::fs::read_to_string(shelf.head()).unwrap();
        let none = mark();
        assert!(none.starts_with("00000000000000000000 0000"), "{none}");
        store.append(&events).unwrap();
        assert_eq!(mark(), none, "before the commit nothing is durable");
        store.commit().unwrap();
        let (earlier, latest) = (mark(), format!("{:020} {} ", events.len(), hex(&store.hash())));
        let lines: Vec<&str> = earlier.lines().collect();
        assert_eq!((lines[0], lines.len()), (none.lines().next().unwrap(), 2), "the one before stays");
        assert!(lines[1].starts_with(&latest), "{earlier}");
    }
}

mod projections {
    use super::*;

    /// Every projection as lines of text, from the tables.
    fn shown(sql: &Connection) -> Vec<String> {
        let queries = [
            "SELECT 'position', symbol, position_side, qty_e8, entry_price_e8, isolated_margin_e8 FROM projection_position
             WHERE qty_e8 <> 0 OR isolated_margin_e8 <> 0 ORDER BY symbol, position_side",
            "SELECT 'balance', asset, account, balance_e8 FROM projection_balance WHERE balance_e8 <> 0 ORDER BY asset, account",
            "SELECT 'journal', asset, account, SUM(amount_e8) FROM ledger GROUP BY asset, account HAVING SUM(amount_e8) <> 0
             ORDER BY asset, account",
            "SELECT 'order', client_order_id, symbol, side, type, status, price_e8, trigger_e8, qty_e8, filled_e8
             FROM projection_order_open ORDER BY client_order_id",
            "SELECT 'trades', COUNT(*) FROM projection_trade",
        ];
        queries.iter().flat_map(|query| rows(sql, query)).collect()
    }

    /// The same lines, from a folded state.
    fn expected(state: &State) -> Vec<String> {
        let mut lines = Vec::new();
        for symbol in [BTC, ETH] {
            for side in PositionSide::ALL {
                let (position, margin) = (state.position(symbol, side), state.margin(symbol, side).steps());
                if !position.is_flat() || margin != 0 {
                    let (qty, entry) = (position.qty().steps(), position.entry_price().steps());
                    let name = state.symbol_name(symbol);
                    lines.push(format!("position|{name}|{}|{qty}|{entry}|{margin}", side.name()));
                }
            }
        }
        for table in ["balance", "journal"] {
            let mut accounts = Vec::new();
            for asset in state.ledger.assets() {
                let balances = Account::ALL.map(|account| (account.name(), state.ledger.balance(asset, account)));
                let some = balances.into_iter().filter(|(_, balance)| !balance.is_zero());
                accounts.extend(some.map(|(name, balance)| format!("{table}|{asset}|{name}|{}", balance.steps())));
            }
            accounts.sort();
            lines.extend(accounts);
        }
        for order in state.orders.values() {
            let steps = |price: Option<Price>| price.map_or_else(String::new, |price| price.steps().to_string());
            let (kind, spec) = (order.spec.order_type, order.spec);
            lines.push(format!(
                "order|{}|{}|{}|{}|{}|{}|{}|{}|{}",
                order.client_order_id,
                state.symbol_name(order.symbol),
                spec.side.name(),
                kind.name(),
                order.status.name(),
                steps(kind.price()),
                steps(kind.trigger()),
                order.qty.steps(),
                order.filled.steps()
            ));
        }
        lines.push(format!("trades|{}", state.trades));
        lines
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn the_tables_are_the_state_after_every_commit(script in script(), sizes in prop::collection::vec(1usize..40, 1..20)) {
            let world = World::after(&script);
            let shelf = Shelf::new();
            let mut store = shelf.create();
            let mut rest = world.desk.events();
            for (index, size) in sizes.iter().cycle().enumerate() {
                let (now, later) = rest.split_at(rest.len().min(*size));
                store.append(now).unwrap();
                store.commit().unwrap();
                assert_eq!(shown(&shelf.sql()), expected(store.state()));
                if index % 4 == 3 {
                    drop(store);
                    store = shelf.open().unwrap();
                }
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            assert_eq!(store.state(), world.desk.state());
            drop(store);
            assert_eq!(shelf.reader().verify().unwrap().findings, [""; 0]);
        }
    }

    #[test]
    fn a_hedge_position_leaves_the_table_when_it_is_closed_in_one_way_mode() {
        let shelf = Shelf::new();
        let puppet = Puppet::default();
        let mut desk = Desk::over(Engine::new(config(), puppet.clone(), shelf.create()), puppet, noon());
        desk.open();
        let long = |side| OrderSpec::market(BTC, side, qty("1")).position_side(PositionSide::Long);
        let hedge = |desk: &mut Desk<SqliteStore>, hedge| {
            desk.hear(&ExchangeUpdate::Setting { symbol: None, setting: Setting::HedgeMode { hedge } });
        };
        hedge(&mut desk, true);
        let name = desk.placed(long(Side::Buy));
        desk.fill(name, "1", "100");
        hedge(&mut desk, false);
        let name = desk.placed(long(Side::Sell));
        desk.fill(name, "1", "101");
        assert_eq!(shown(&shelf.sql()), expected(desk.state()));
    }
}

mod commands {
    use super::*;

    /// Commands as `type status priority actor: error`.
    fn commands(shelf: &Shelf) -> Vec<String> {
        let sql = "SELECT command_type || ' ' || status || ' ' || priority || ' ' || actor_kind || COALESCE(': ' || last_error, '')
                   FROM command_store ORDER BY command_id";
        rows(&shelf.sql(), sql)
    }

    fn desk(shelf: &Shelf) -> Desk<SqliteStore> {
        let puppet = Puppet::default();
        let mut desk = Desk::over(Engine::new(config(), puppet.clone(), shelf.create()), puppet, noon());
        desk.open();
        desk
    }

    #[test]
    fn an_order_is_sent_and_then_acknowledged_or_failed() {
        let shelf = Shelf::new();
        let mut desk = desk(&shelf);
        let buy = || OrderSpec::market(BTC, Side::Buy, qty("1"));
        let no = || Outcome::Rejected(ExchangeError { code: -2019, message: "Margin is insufficient.".into() });
        let (_, placed) = desk.place(buy());
        let (_, refused) = desk.place(buy());
        let (overtaken, _) = desk.place(buy());
        let (expired, _) = desk.place(OrderSpec::limit(BTC, Side::Buy, qty("1"), price("90")));
        let (_, lost) = desk.place(OrderSpec::market(BTC, Side::Sell, qty("1")).reduce_only());
        desk.place(OrderSpec::market(BTC, Side::Buy, Qty::ZERO));
        let sent = "PLACE SENT 2 STRATEGY";
        let waiting = [sent, sent, sent, sent, "PLACE SENT 1 STRATEGY"];
        let unspoken = "PLACE FAILED 2 STRATEGY: the quantity is not positive";
        assert_eq!(commands(&shelf), [&waiting[..], &[unspoken]].concat());
        desk.answer(placed.unwrap(), Outcome::Placed { order_id: 77 });
        desk.answer(refused.unwrap(), no());
        desk.fill(overtaken, "1", "100");
        desk.update(expired, Execution::Expired(ExpiryReason::GoodTillDate));
        desk.lost(lost.unwrap());
        for outgoing in desk.wait(20 * support::SECOND) {
            desk.answer(outgoing.id, Outcome::NotFound);
        }
        let ended = [
            "PLACE ACK 2 STRATEGY",
            "PLACE FAILED 2 STRATEGY: exchange code -2019: Margin is insufficient.",
            "PLACE ACK 2 STRATEGY",
            "PLACE ACK 2 STRATEGY",
            "PLACE FAILED 1 STRATEGY: the order never reached the exchange",
            unspoken,
        ];
        assert_eq!(commands(&shelf), ended);
        let exchange = "SELECT client_order_id, exchange_order_id FROM command_to_exchange ORDER BY command_id LIMIT 2";
        let names = ["ae-0123456789abcdef-000000000001|77", "ae-0123456789abcdef-000000000002|"];
        assert_eq!(rows(&shelf.sql(), exchange), names);
        assert_eq!(
            rows(&shelf.sql(), "SELECT result_json FROM command_store WHERE command_id = 1"),
            ["{\"order_id\":77}"]
        );
        let times =
            "SELECT COUNT(*) FROM command_store WHERE (sent_at IS NULL) <> (command_id = 6) OR finished_at < ts";
        assert_eq!(rows(&shelf.sql(), times), ["0"]);
        let keys = rows(&shelf.sql(), "SELECT idempotency_key FROM command_store WHERE command_id IN (1, 6)");
        assert_eq!(keys, ["ae-0123456789abcdef-000000000001", "ae-0123456789abcdef-000000000006"]);
    }

    #[test]
    fn cancels_changes_and_settings_end_too() {
        let shelf = Shelf::new();
        let mut desk = desk(&shelf);
        let limit = || OrderSpec::limit(BTC, Side::Buy, qty("1"), price("90"));
        let no = |code| Outcome::Rejected(ExchangeError { code, message: "no".into() });
        let names: Vec<ClientOrderId> = (0..3).map(|_| desk.placed(limit())).collect();
        let [first, second, third] = names[..] else { unreachable!() };
        let cancel = desk.cancel(first);
        desk.answer(cancel[0].id, Outcome::Done);
        desk.update(first, Execution::Canceled);
        let cancel = desk.cancel(second);
        desk.answer(cancel[0].id, no(-2011));
        desk.cancel(second);
        desk.fill(second, "1", "90");
        desk.say(move |ctx| ctx.modify(third, qty("2"), price("91")));
        desk.update(third, Execution::Amended { qty: qty("2"), price: price("91") });
        let modify = desk.say(move |ctx| ctx.modify(third, qty("3"), price("91")));
        desk.answer(modify[0].id, no(-5027));
        desk.say(move |ctx| {
            ctx.modify(third, qty("4"), price("91"));
            ctx.cancel(third);
        });
        desk.update(third, Execution::Canceled);
        for (leverage, outcome) in [(5, Outcome::Done), (500, no(-4028))] {
            let sent = desk.say(move |ctx| ctx.set_leverage(ETH, leverage));
            desk.answer(sent[0].id, outcome);
        }
        desk.say(|ctx| ctx.set_leverage(BTC, 7));
        let expected = [
            "CANCEL ACK 0 STRATEGY",
            "CANCEL FAILED 0 STRATEGY: exchange code -2011: no",
            "CANCEL FAILED 0 STRATEGY: the order was over before",
            "MODIFY ACK 2 STRATEGY",
            "MODIFY FAILED 2 STRATEGY: exchange code -5027: no",
            "CANCEL ACK 0 STRATEGY",
            "MODIFY FAILED 2 STRATEGY: the order was over before",
            "SET_LEVERAGE ACK 2 STRATEGY",
            "SET_LEVERAGE FAILED 2 STRATEGY: exchange code -4028: no",
            "SET_LEVERAGE SENT 2 STRATEGY",
        ];
        assert_eq!(commands(&shelf)[3..], expected);
    }

    #[test]
    fn an_answer_that_comes_to_the_next_process_is_taken_all_the_same() {
        let shelf = Shelf::new();
        let mut desk = desk(&shelf);
        let limit = || OrderSpec::limit(BTC, Side::Buy, qty("1"), price("90"));
        let (waiting, _) = desk.place(limit());
        let name = desk.placed(limit());
        desk.say(move |ctx| {
            ctx.modify(name, qty("2"), price("91"));
            ctx.cancel(name);
            ctx.set_leverage(BTC, 7);
        });
        let now = desk.now;
        drop(desk.engine.finish());
        let store = shelf.open().unwrap();
        let state = store.recovered().state;
        let puppet = Puppet::default();
        let engine = Engine::recover(config(), puppet.clone(), store, Some(state), []).unwrap();
        let mut desk = Desk::over(engine, puppet, now.plus(support::SECOND));
        desk.update(waiting, Execution::New);
        desk.update(name, Execution::Amended { qty: qty("2"), price: price("91") });
        desk.update(name, Execution::Canceled);
        desk.hear(&ExchangeUpdate::Setting { symbol: Some(BTC), setting: Setting::Leverage { leverage: 7 } });
        let ended = [
            "PLACE ACK 2 STRATEGY",
            "PLACE ACK 2 STRATEGY",
            "CANCEL ACK 0 STRATEGY",
            "MODIFY ACK 2 STRATEGY",
            "SET_LEVERAGE ACK 2 STRATEGY",
        ];
        assert_eq!(commands(&shelf), ended);
    }

    #[test]
    fn an_operators_word_is_a_command_with_its_key() {
        let shelf = Shelf::new();
        let mut desk = desk(&shelf);
        desk.trade("1", "100");
        for key in ["k1", "k1", "k2"] {
            desk.operator(key, OperatorOrder::Pause);
        }
        desk.operator("k3", OperatorOrder::Close { symbol: BTC });
        let expected = ["PAUSE ACK 2 USER", "PAUSE ACK 2 USER", "CLOSE ACK 1 USER", "PLACE SENT 1 USER"];
        assert_eq!(commands(&shelf)[1..], expected);
        let who = "SELECT idempotency_key, actor_id, symbol FROM command_store WHERE command_type = 'CLOSE'";
        assert_eq!(rows(&shelf.sql(), who), ["operator:k3|ada|BTCUSDT"]);
    }
}

#[test]
fn the_store_of_a_live_session_is_made_once_and_never_removed() {
    let shelf = Shelf::new();
    let events = day();
    let mut store = SqliteStore::open_or_create(&shelf.path(), scope(), &instruments()).unwrap();
    let second = SqliteStore::open_or_create(&shelf.path(), scope(), &instruments()).err().unwrap();
    assert!(said(&second).contains("in use by another process"), "{}", said(&second));
    store.append(&events[..4]).unwrap();
    store.commit().unwrap();
    store.abandon();
    let store = SqliteStore::open_or_create(&shelf.path(), scope(), &instruments()).unwrap();
    assert_eq!(store.state().seq, 4);
}

/// Another process hands commands in while the writer is live.
mod inbox {
    use super::*;
    use alphaengine_core::command::OperatorCommand;
    use alphaengine_core::store::commands::{CommandStatus, Ticket, submit, symbols};
    use support::venue::{Venue, live};

    fn commands(shelf: &Shelf) -> Vec<String> {
        let sql = "SELECT idempotency_key || ' ' || status || ' ' || (command_id < 0) FROM command_store
                   WHERE actor_kind = 'USER' AND idempotency_key LIKE 'operator:%' ORDER BY ts, seq";
        rows(&shelf.sql(), sql)
    }

    fn desk(shelf: &Shelf) -> (Desk<SqliteStore>, Venue) {
        let puppet = Puppet::default();
        let mut desk = Desk::over(Engine::new(live(), puppet.clone(), shelf.create()), puppet, noon());
        let mut venue = Venue::new();
        venue.begin(&mut desk);
        (desk, venue)
    }

    fn hand_in(shelf: &Shelf, key: &str, order: OperatorOrder) -> Ticket {
        submit(&shelf.path(), &OperatorCommand { key: key.into(), who: "ada".into(), order }, noon()).unwrap()
    }

    fn status(shelf: &Shelf, ticket: &Ticket) -> (CommandStatus, Option<String>, Option<String>) {
        let outcome = shelf.reader().outcome(ticket).unwrap().unwrap();
        (outcome.status, outcome.result_json, outcome.error)
    }

    /// What a driver does now and then.
    fn poll(desk: &mut Desk<SqliteStore>) -> usize {
        let claimed = desk.engine.log_mut().claim().unwrap();
        for command in &claimed {
            desk.step(alphaengine_core::exchange::Input::Operator(command));
        }
        claimed.len()
    }

    #[test]
    fn a_command_goes_from_new_to_sent_to_its_end() {
        let shelf = Shelf::new();
        let (mut desk, _) = desk(&shelf);
        assert_eq!(symbols(&shelf.path()).unwrap(), instruments());
        let spec = OrderSpec::limit(ETH, Side::Buy, qty("1"), price("9"));
        let ticket = hand_in(&shelf, "k1", OperatorOrder::PlaceOrder { spec });
        assert_eq!(hand_in(&shelf, "k1", OperatorOrder::Pause), ticket, "the same key is the same command");
        assert_eq!(commands(&shelf), ["operator:k1 NEW 1"]);
        assert_eq!(status(&shelf, &ticket), (CommandStatus::New, None, None));
        assert_eq!(poll(&mut desk), 1);
        assert_eq!(poll(&mut desk), 0, "a command is given out once");
        assert_eq!(commands(&shelf), ["operator:k1 SENT 0"]);
        let sent = *desk.sent.last().unwrap();
        let alphaengine_core::exchange::Request::PlaceOrder { client_order_id, spec } = sent.request else { panic!() };
        assert_eq!(spec.symbol, ETH);
        desk.answer(sent.id, Outcome::Placed { order_id: 9 });
        let result = format!("{{\"orders\":[\"{client_order_id}\"]}}");
        assert_eq!(status(&shelf, &ticket), (CommandStatus::Ack, Some(result), None));
        assert_eq!(hand_in(&shelf, "k1", OperatorOrder::Pause), ticket);
        assert_eq!(poll(&mut desk), 0, "not even after its end");
        let never = Ticket { key: "k2".into() };
        assert_eq!(shelf.reader().outcome(&never).unwrap(), None);
        assert!(shelf.reader().verify().unwrap().is_good());
    }

    /// Everything that only a live session records.
    #[test]
    fn what_a_live_session_records_is_read_back_as_it_was() {
        let shelf = Shelf::new();
        let (mut desk, mut venue) = desk(&shelf);
        let spec = OrderSpec::limit(BTC, Side::Buy, qty("2"), price("80"));
        venue.open_order("web_1".parse().unwrap(), 5, spec);
        venue.position("-3", "101");
        venue.holds("9000");
        venue.account.elsewhere = vec!["DOGEUSDT".into()];
        support::venue::down(&mut desk, alphaengine_core::link::Route::Private);
        support::venue::up(&mut desk, alphaengine_core::link::Route::Private);
        venue.wait(&mut desk, 20);
        let limits =
            alphaengine_core::risk::Limits { max_drawdown: Some(support::money("5000")), ..Default::default() };
        desk.operator("limits", OperatorOrder::UpdateConfig { limits });
        let newest = "SELECT config_json ->> '$.limits.max_drawdown' FROM config_store ORDER BY version DESC LIMIT 1";
        assert_eq!(rows(&shelf.sql(), newest), ["5000"]);
        let types: std::collections::BTreeSet<String> =
            rows(&shelf.sql(), "SELECT DISTINCT event_type FROM event_store").into_iter().collect();
        for kind in [
            "LinkChanged",
            "ReconcileStarted",
            "ReconcileFinished",
            "DriftDetected",
            "OrderAdopted",
            "PositionAdopted",
            "ConfigUpdated",
            "TransferBooked",
        ] {
            assert!(types.contains(kind), "{kind}: {types:?}");
        }
        let verdict = shelf.reader().verify().unwrap();
        assert!(verdict.is_good(), "{:?}", verdict.findings);
        assert_eq!(shelf.reader().fold().unwrap(), *desk.state());
        let entities = "SELECT DISTINCT event_type || ' ' || entity_kind || ' ' || entity_id FROM event_store
                        WHERE event_type IN ('DriftDetected', 'OrderAdopted', 'PositionAdopted') ORDER BY seq";
        let expected = [
            "DriftDetected ACCOUNT DOGEUSDT",
            "DriftDetected ORDER web_1",
            "OrderAdopted ORDER web_1",
            "DriftDetected POSITION BTCUSDT:BOTH",
            "PositionAdopted POSITION BTCUSDT:BOTH",
            "DriftDetected BALANCE USDT",
        ];
        assert_eq!(rows(&shelf.sql(), entities), expected);
    }

    #[test]
    fn what_is_urgent_goes_first_and_then_what_came_first() {
        let shelf = Shelf::new();
        let (mut desk, _) = desk(&shelf);
        for (key, order) in [
            ("resume", OperatorOrder::Resume),
            ("pause", OperatorOrder::Pause),
            ("close", OperatorOrder::Close { symbol: BTC }),
            ("cancel", OperatorOrder::CancelAll { symbol: ETH }),
        ] {
            hand_in(&shelf, key, order);
        }
        let claimed = desk.engine.log_mut().claim().unwrap();
        let keys: Vec<&str> = claimed.iter().map(|command| command.key.as_str()).collect();
        assert_eq!(keys, ["cancel", "close", "resume", "pause"]);
        assert_eq!(claimed[0].order, OperatorOrder::CancelAll { symbol: ETH });
    }

    #[test]
    fn a_command_is_neither_lost_nor_carried_out_twice_when_the_process_ends() {
        let shelf = Shelf::new();
        let (mut desk, mut venue) = desk(&shelf);
        let ticket = hand_in(&shelf, "k1", OperatorOrder::Pause);
        assert_eq!(desk.engine.log_mut().claim().unwrap().len(), 1, "taken, and then the process dies");
        drop(desk);
        let store = shelf.open().unwrap();
        let recovered = store.recovered().state;
        let puppet = Puppet::default();
        let engine = Engine::recover(live(), puppet.clone(), store, Some(recovered), []).unwrap();
        let mut desk = Desk::over(engine, puppet, noon().plus(60 * support::SECOND));
        venue.begin(&mut desk);
        assert_eq!(poll(&mut desk), 1);
        assert_eq!(status(&shelf, &ticket).0, CommandStatus::Ack);
        let stale = hand_in(&shelf, "k2", OperatorOrder::Resume);
        desk.engine.log_mut().turn_away_before(noon().plus(1)).unwrap();
        assert_eq!(poll(&mut desk), 0);
        let (status, _, error) = status(&shelf, &stale);
        assert_eq!(status, CommandStatus::Failed);
        assert!(error.unwrap().contains("give it again"));
    }

    #[test]
    fn rows_that_cannot_be_read_end_as_failed() {
        let shelf = Shelf::new();
        let (mut desk, _) = desk(&shelf);
        let spec = OrderSpec::limit(ETH, Side::Buy, qty("1"), price("9"));
        hand_in(&shelf, "a", OperatorOrder::Pause);
        hand_in(&shelf, "b", OperatorOrder::PlaceOrder { spec });
        let sql = shelf.sql();
        sql.execute("UPDATE command_store SET payload_json = '{' WHERE idempotency_key = 'operator:a'", []).unwrap();
        sql.execute("UPDATE command_store SET symbol = 'DOGEUSDT' WHERE idempotency_key = 'operator:b'", []).unwrap();
        assert_eq!(poll(&mut desk), 0);
        assert_eq!(commands(&shelf), ["operator:b FAILED 1", "operator:a FAILED 1"]);
        let error = status(&shelf, &Ticket { key: "b".into() }).2.unwrap();
        assert_eq!(error, "this session does not trade DOGEUSDT");
        let nowhere = submit(
            &shelf.path(),
            &OperatorCommand {
                key: "c".into(),
                who: "ada".into(),
                order: OperatorOrder::Close { symbol: SymbolId(9) },
            },
            noon(),
        );
        assert!(nowhere.unwrap_err().to_string().contains("no symbol with the number 9"));
    }

    #[test]
    fn the_tables_can_be_derived_anew_while_the_session_runs() {
        let shelf = Shelf::new();
        let (mut desk, _) = desk(&shelf);
        desk.trade("3", "100");
        desk.trade("-1", "110");
        desk.placed(OrderSpec::limit(ETH, Side::Buy, qty("1"), price("9")));
        hand_in(&shelf, "waits", OperatorOrder::Pause);
        let all = |shelf: &Shelf| {
            let tables = [
                "projection_position WHERE qty_e8 <> 0",
                "projection_balance WHERE balance_e8 <> 0",
                "projection_order_open",
                "projection_trade",
                "command_store WHERE command_type NOT LIKE 'REBUILD%'",
                "command_to_exchange",
                "ledger",
            ];
            let sql = shelf.sql();
            let columns = |table: &str| {
                let name = table.split(' ').next().unwrap();
                let names =
                    rows(&sql, &format!("SELECT name FROM pragma_table_info('{name}') WHERE name <> 'as_of_seq'"));
                names.join(", ")
            };
            let read = |table: &&str| rows(&sql, &format!("SELECT {} FROM {table}", columns(table)));
            tables.iter().map(read).collect::<Vec<_>>()
        };
        let before = all(&shelf);
        shelf
            .sql()
            .execute_batch("DELETE FROM projection_trade; UPDATE command_store SET last_error = 'x' WHERE seq = 2;")
            .unwrap();
        assert_ne!(all(&shelf), before);
        desk.operator("rebuild", OperatorOrder::RebuildProjection);
        assert_eq!(all(&shelf), before);
        desk.trade("-1", "100");
        assert!(shelf.reader().verify().unwrap().is_good(), "{:?}", shelf.reader().verify().unwrap().findings);
    }
}

mod damage {
    use super::*;

    /// What a damaged store says when it is opened to be written, and what the proof finds.
    struct Seen {
        open: String,
        verify: String,
    }

    fn look(shelf: &Shelf) -> Seen {
        let open = shelf.open().map_or_else(|error| said(&error), |store| format!("open at {}", store.state().seq));
        let verdict = StoreReader::open(&shelf.path()).and_then(|reader| reader.verify());
        let verify = verdict.map_or_else(|error| said(&error), |verdict| verdict.findings.join("; "));
        let name = |text: String| text.replace(shelf.folder.path().to_str().unwrap(), "");
        Seen { open: name(open), verify: name(verify) }
    }

    const NEXT: &str =
        "`alphaengine store verify FILE` says how far it can be trusted, `alphaengine store repair FILE` keeps that";

    /// Changes rows as no program should, and nothing else.
    fn tamper(shelf: &Shelf, sql: &str) {
        let connection = shelf.sql();
        let triggers = rows(&connection, "SELECT name FROM sqlite_schema WHERE type = 'trigger'");
        let again = rows(&connection, "SELECT sql FROM sqlite_schema WHERE type = 'trigger'");
        triggers.iter().for_each(|name| connection.execute_batch(&format!("DROP TRIGGER {name}")).unwrap());
        connection.execute_batch(sql).unwrap();
        again.iter().for_each(|trigger| connection.execute_batch(trigger).unwrap());
    }

    #[test]
    fn a_changed_row_breaks_the_chain() {
        let changes = [
            "UPDATE event_store SET payload_json = replace(payload_json, '{', '{ ') WHERE seq = 13",
            "UPDATE event_store SET ts = ts + 1 WHERE seq = 13",
            "UPDATE event_store SET symbol = NULL WHERE seq = 13",
            "UPDATE event_store SET hash = zeroblob(32) WHERE seq = 13",
        ];
        for change in changes {
            let shelf = Shelf::holding(&day());
            tamper(&shelf, change);
            let found = shelf.reader().verify().unwrap();
            assert_eq!(found.good_until, 12, "{change}");
            assert_eq!(
                found.findings[0], "event 13 was changed: its hash does not follow from the row before it",
                "{change}"
            );
        }
    }

    #[test]
    fn a_store_whose_tail_was_changed_is_not_gone_on_with() {
        let changes = [
            "UPDATE event_store SET payload_json = replace(payload_json, '1', '2') WHERE seq = 13",
            "UPDATE event_store SET ts = ts + 1 WHERE seq = 13",
            "UPDATE event_store SET hash = zeroblob(32) WHERE seq = 13",
        ];
        for change in changes {
            let shelf = Shelf::holding(&day());
            // Without a checkpoint every event is folded again.
            tamper(&shelf, "DELETE FROM checkpoint_store");
            drop(shelf.open().unwrap());
            tamper(&shelf, change);
            let refused = said(&shelf.open().map(drop).unwrap_err());
            assert!(
                refused.contains("event 13 was changed") && refused.contains("store verify"),
                "{change}: {refused}"
            );
        }
        // What a checkpoint stands for is not folded again: `verify` names it.
        let shelf = Shelf::holding(&day());
        tamper(&shelf, changes[0]);
        drop(shelf.open().unwrap());
    }

    #[test]
    fn lost_rows_are_missed() {
        let last = day().len();
        let shelf = Shelf::holding(&day());
        tamper(&shelf, "DELETE FROM event_store WHERE seq = 9");
        let found = shelf.reader().verify().unwrap().findings;
        assert_eq!(found[0], "event 8 is followed by 10: rows are missing");

        let shelf = Shelf::holding(&day());
        tamper(&shelf, &format!("DELETE FROM event_store WHERE seq > {}", last - 2));
        let seen = look(&shelf);
        let expected = format!(
            "/run.db: the database is damaged: event {last} was durable, but the log ends at {}: its tail is lost. {NEXT}",
            last - 2
        );
        assert_eq!(seen.open, expected);
        assert!(
            seen.verify
                .starts_with(&format!("event {last} was durable, but the log is in order only up to {}", last - 2))
        );
    }

    #[test]
    fn a_head_mark_that_is_lost_or_names_another_log_is_noticed() {
        let shelf = Shelf::holding(&day());
        std::fs::remove_file(shelf.head()).unwrap();
        let seen = look(&shelf);
        let missing = "its head mark (FILE.head) is missing: a lost tail could not be noticed";
        assert_eq!(seen.open, format!("/run.db: the database is damaged: {missing}. {NEXT}"));
        assert_eq!(seen.verify, "the head mark (FILE.head) is missing or unreadable: a lost tail could not be noticed");
        assert!(!shelf.head().exists(), "looking made none");

        for garbled in ["", "garbage", "12 zz", "99999999999999999999999 00"] {
            let shelf = Shelf::holding(&day());
            std::fs::write(shelf.head(), garbled).unwrap();
            let expected = format!("/run.db: the database is damaged: its head mark /run.db.head says nothing. {NEXT}");
            assert_eq!(look(&shelf).open, expected);
        }

        let shelf = Shelf::holding(&day());
        let other = Shelf::holding(&day()[..5]);
        std::fs::write(shelf.head(), format!("{:020} {}\n", 4, "ab".repeat(32))).unwrap();
        let replaced = "event 4 is not the one that the head mark names: the file was replaced";
        let seen = look(&shelf);
        assert_eq!(seen.open, format!("/run.db: the database is damaged: {replaced}. {NEXT}"));
        assert_eq!(seen.verify, replaced);
        // The mark of an older state of the same log is what a crash between commit and mark leaves.
        std::fs::copy(other.head(), shelf.head()).unwrap();
        let seen = look(&shelf);
        assert_eq!((seen.open, seen.verify), (format!("open at {}", day().len()), String::new()));
    }

    #[test]
    fn a_live_store_whose_making_was_cut_short_is_made_and_one_that_is_gone_is_not() {
        let open = |shelf: &Shelf| SqliteStore::open_or_create(&shelf.path(), scope(), &instruments());
        let mut made = day();
        made.truncate(5);
        let mark_of_none = {
            let shelf = Shelf::new();
            drop(shelf.create());
            std::fs::read(shelf.head()).unwrap()
        };
        for mark in [None, Some(&b""[..]), Some(&mark_of_none[..40]), Some(&mark_of_none[..])] {
            let shelf = Shelf::new();
            std::fs::write(shelf.path(), "").unwrap();
            mark.into_iter().for_each(|mark| std::fs::write(shelf.head(), mark).unwrap());
            let mut store = open(&shelf).unwrap();
            store.append(&made).unwrap();
            store.close().unwrap();
            assert_eq!((look(&shelf).open, look(&shelf).verify), ("open at 5".to_owned(), String::new()));
            // From then on something was acknowledged.
            std::fs::write(shelf.path(), "").unwrap();
            assert!(open(&shelf).is_err(), "the file is empty, and its mark knows better");
            std::fs::remove_file(shelf.path()).unwrap();
            let expected = "/run.db: the database is damaged: event 5 was durable, but the file is not there";
            assert!(said(&open(&shelf).err().unwrap()).contains(expected));
            assert!(!shelf.path().exists());
        }
    }

    #[test]
    fn a_damaged_checkpoint_is_passed_over_and_named() {
        let events = day();
        let shelf = Shelf::new();
        let mut store = shelf.create();
        store.append(&events[..10]).unwrap();
        store.checkpoint().unwrap();
        store.append(&events[10..]).unwrap();
        store.close().unwrap();
        let whole = fold(&events);
        assert_eq!(shelf.reader().checkpoint().unwrap().unwrap().seq, events.len() as u64);
        let damage = [
            "UPDATE checkpoint_store SET state_json = replace(state_json, 'RUNNING', 'PAUSED') WHERE seq > 10",
            "UPDATE checkpoint_store SET state_json = 'garbage' WHERE seq > 10",
            "UPDATE checkpoint_store SET state_hash = zeroblob(3)",
        ];
        for damage in damage {
            tamper(&shelf, damage);
            assert_eq!(shelf.open().unwrap().state(), &whole, "{damage}");
        }
        assert_eq!(shelf.reader().checkpoint().unwrap().map(|checkpoint| checkpoint.seq), None);
        let found = shelf.reader().verify().unwrap().findings;
        assert_eq!(found[0], "the checkpoint at event 10 is not what the log adds up to");
    }

    #[test]
    fn a_checkpoint_of_a_tail_that_is_gone_is_passed_over() {
        let events = day();
        let shelf = Shelf::holding(&events);
        let older = Shelf::holding(&events[..5]);
        tamper(&shelf, "DELETE FROM event_store WHERE seq > 5");
        std::fs::copy(older.head(), shelf.head()).unwrap();
        assert_eq!(shelf.open().unwrap().state(), &fold(&events[..5]));
    }

    #[test]
    fn a_changed_journal_does_not_add_up() {
        let shelf = Shelf::holding(&day());
        tamper(&shelf, "UPDATE journal_line SET amount_e8 = amount_e8 + 1 WHERE line_id = 1");
        let found = shelf.reader().verify().unwrap().findings;
        let expected = [
            "1 journal entries do not sum to zero",
            "the journal of wallet in USDT does not add up to the ledger's balance",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_projection_that_shows_something_else_is_named() {
        let changes = [
            ("projection_position", "UPDATE projection_position SET qty_e8 = qty_e8 + 1"),
            ("projection_position", "DELETE FROM projection_position"),
            ("projection_balance", "UPDATE projection_balance SET balance_e8 = 7 WHERE account = 'taker_fee'"),
            ("projection_order_open", "DELETE FROM projection_order_open"),
            ("projection_order_open", "UPDATE projection_order_open SET status = 'FILLED'"),
            ("projection_trade", "DELETE FROM projection_trade WHERE trade_id = 1002"),
        ];
        for (table, change) in changes {
            let shelf = Shelf::holding(&day());
            tamper(&shelf, change);
            let found = shelf.reader().verify().unwrap().findings;
            assert_eq!(found, [format!("{table} does not show what the log adds up to")], "{change}");
        }
    }

    #[test]
    fn what_is_no_store_is_left_as_it_is() {
        let garbage = Shelf::new();
        std::fs::write(
            garbage.path(),
            "not a database, only some text that is longer than a header of SQLite".repeat(99),
        )
        .unwrap();
        let stranger = Shelf::new();
        stranger.sql().execute_batch("CREATE TABLE recipes (name TEXT); INSERT INTO recipes VALUES ('bread')").unwrap();
        let empty = Shelf::new();
        std::fs::write(empty.path(), "").unwrap();
        for shelf in [&garbage, &stranger, &empty] {
            let before = std::fs::read(shelf.path()).unwrap();
            let expected = "/run.db: is not an event store. name a file that `alphaengine backtest --store FILE` wrote";
            let seen = look(shelf);
            assert_eq!((seen.open.as_str(), seen.verify.as_str()), (expected, expected));
            assert_eq!(std::fs::read(shelf.path()).unwrap(), before);
            assert!(!shelf.head().exists(), "nothing was made beside it");
            let exists = SqliteStore::create(&shelf.path(), scope(), &instruments()).err().unwrap();
            assert!(said(&exists).ends_with("the file exists already. name a new file, or move this one away"));
        }
        let missing = Shelf::new();
        let expected = "/run.db: there is no such store. `alphaengine runs list` shows the runs there are";
        assert_eq!(look(&missing).open, expected);
        let nowhere = missing.folder.path().join("no/such/folder/run.db");
        let error = SqliteStore::create(&nowhere, scope(), &instruments()).err().unwrap();
        assert!(
            said(&error).contains("cannot be written: the directory does not exist. check owner"),
            "{}",
            said(&error)
        );
        assert!(StoreReader::open(missing.folder.path()).is_err(), "a folder is no store");
    }

    #[test]
    fn a_store_of_a_newer_program_is_left_to_it() {
        let shelf = Shelf::holding(&day());
        shelf.sql().pragma_update(None, "user_version", VERSION + 1).unwrap();
        let (found, known) = (VERSION + 1, VERSION);
        let expected = format!(
            "/run.db: the store has schema version {found}, this program knows up to {known}. use the program that wrote it, or a newer one"
        );
        let seen = look(&shelf);
        assert_eq!((seen.open, seen.verify), (expected.clone(), expected));
    }

    #[test]
    fn other_symbols_need_another_store() {
        let shelf = Shelf::holding(&day());
        let other = support::of(&["ETHUSDT", "BTCUSDT"]);
        let error = SqliteStore::open(&shelf.path(), scope(), &other).err().unwrap();
        assert!(said(&error).ends_with(
            "the store holds the symbols BTCUSDT ETHUSDT, not ETHUSDT BTCUSDT. give this session a store of its own"
        ));
    }

    #[test]
    fn only_one_writes_and_others_may_read() {
        let events = day();
        let shelf = Shelf::new();
        let mut store = shelf.create();
        store.append(&events[..10]).unwrap();
        store.commit().unwrap();
        let error = shelf.open().err().unwrap();
        assert!(said(&error).ends_with(
            "the store is in use by another process. stop the other process, or give this one a store of its own"
        ));
        let reader = shelf.reader();
        store.append(&events[10..]).unwrap();
        assert_eq!(reader.events().unwrap().count(), 10, "what is not committed is not seen");
        store.commit().unwrap();
        assert_eq!(reader.events().unwrap().count(), events.len());
        assert!(reader.verify().unwrap().is_good(), "also while another writes");
        // Someone who holds the database but not the mark: an SQL shell in the middle of a change.
        let shell = shelf.sql();
        shell.execute_batch("BEGIN IMMEDIATE").unwrap();
        shell.execute_batch("ROLLBACK").unwrap();
        drop(store);
        assert!(shelf.open().is_ok());
    }

    #[test]
    fn a_reader_cannot_write() {
        let shelf = Shelf::holding(&day());
        let reader = shelf.reader();
        for sql in
            ["DELETE FROM projection_trade", "DROP TABLE account", "PRAGMA user_version = 9", "CREATE TABLE x (y)"]
        {
            let refused = reader.query(sql).unwrap_err().to_string();
            assert!(refused.starts_with("the SQL cannot be run: "), "{refused}");
        }
        assert!(reader.query("SELECT no_such_column FROM event_store").is_err());
        assert!(reader.verify().unwrap().is_good());
    }

    fn flip(path: &Path, byte: u64, bit: u8) {
        let mut file = OpenOptions::new().read(true).write(true).open(path).unwrap();
        let mut value = [0];
        file.seek(SeekFrom::Start(byte)).unwrap();
        file.read_exact(&mut value).unwrap();
        file.seek(SeekFrom::Start(byte)).unwrap();
        file.write_all(&[value[0] ^ (1 << bit)]).unwrap();
    }

    /// Bits all over the file: nothing may panic, an error must be a sentence with a next step, and no changed event may pass.
    #[test]
    fn a_flipped_bit_is_an_error_or_a_finding_and_never_a_panic() {
        let events = day();
        let shelf = Shelf::holding(&events);
        let whole = std::fs::read(shelf.path()).unwrap();
        let mut noticed = 0;
        let step = 367;
        for (count, byte) in (0..whole.len() as u64).step_by(step).enumerate() {
            std::fs::write(shelf.path(), &whole).unwrap();
            let _ = std::fs::remove_file(shelf.folder.path().join("run.db-wal"));
            let _ = std::fs::remove_file(shelf.folder.path().join("run.db-shm"));
            flip(&shelf.path(), byte, (count % 8) as u8);
            let read = StoreReader::open(&shelf.path()).and_then(|reader| {
                let read = reader.events()?.collect::<Result<Vec<Recorded>, Error>>();
                Ok((read, reader.verify()?))
            });
            match read {
                Err(error) => {
                    assert_is_a_sentence(&error);
                    noticed += 1;
                }
                Ok((read, verdict)) => {
                    let is_same = read.is_ok_and(|read| read == events);
                    assert!(is_same || !verdict.is_good(), "byte {byte}: a changed log passes");
                    noticed += u32::from(!verdict.is_good());
                }
            }
            if let Err(error) = shelf.open() {
                assert_is_a_sentence(&error);
            }
        }
        assert!(noticed > 0, "no bit mattered");
    }

    fn assert_is_a_sentence(error: &Error) {
        assert!(error.hint().is_some(), "no next step: {error}");
    }

    #[test]
    fn a_truncated_database_is_an_error_and_never_a_panic() {
        let shelf = Shelf::holding(&day());
        let whole = std::fs::read(shelf.path()).unwrap();
        for part in [1, 50, 99, 100, 512, 4_096, 5_000, whole.len() / 2, whole.len() - 4_096, whole.len() - 1] {
            std::fs::write(shelf.path(), &whole[..part]).unwrap();
            let seen = StoreReader::open(&shelf.path()).and_then(|reader| reader.verify());
            match seen {
                Err(error) => assert_is_a_sentence(&error),
                Ok(verdict) => assert!(!verdict.is_good(), "{part} bytes pass"),
            }
            let error = shelf.open().err();
            assert!(error.is_some(), "{part} bytes can be gone on with");
            error.iter().for_each(assert_is_a_sentence);
        }
    }

    #[test]
    fn a_write_ahead_log_that_lost_its_tail_is_noticed() {
        let events = day();
        let shelf = Shelf::new();
        let mut store = shelf.create();
        store.append(&events[..10]).unwrap();
        store.commit().unwrap();
        let wal = shelf.folder.path().join("run.db-wal");
        let early = std::fs::read(&wal).unwrap();
        store.append(&events[10..]).unwrap();
        store.commit().unwrap();
        let mark = std::fs::read(shelf.head()).unwrap();
        let database = std::fs::read(shelf.path()).unwrap();
        drop(store);
        // The files as a crash leaves them, with a bit flipped in the log: SQLite drops the rows without a word.
        let crashed = Shelf::new();
        std::fs::write(crashed.path(), &database).unwrap();
        std::fs::write(crashed.folder.path().join("run.db-wal"), &early).unwrap();
        std::fs::write(crashed.head(), &mark).unwrap();
        let seen = look(&crashed);
        let last = events.len();
        assert!(
            seen.open.contains(&format!("event {last} was durable, but the log ends at 10: its tail is lost")),
            "{}",
            seen.open
        );
        assert!(seen.verify.contains(&format!("event {last} was durable")), "{}", seen.verify);
    }
}

#[test]
fn every_row_that_a_writer_adds_is_counted() {
    let shelf = Shelf::new();
    let mut store = shelf.create();
    for recorded in day() {
        let before = store.rows_written();
        store.append(&[recorded]).unwrap();
        assert!(store.rows_written() > before);
    }
    store.commit().unwrap();
    let before = store.rows_written();
    store.write_report(&curve(), "{}").unwrap();
    assert_eq!(store.rows_written() - before, 3, "two points and a report");
}

fn curve() -> [EquityPoint; 2] {
    let point = |at, equity| {
        let [low, drawdown, notional] = ["90", "7", "150"].map(support::money);
        EquityPoint { at, equity: support::money(equity), wallet: support::money("100"), low, drawdown, notional }
    };
    [point(noon(), "97"), point(noon().plus(support::SECOND), "104")]
}

#[test]
fn the_report_and_the_curve_of_a_run_are_read_back_as_they_were_kept() {
    let shelf = Shelf::holding(&day());
    assert_eq!((shelf.reader().report().unwrap(), shelf.reader().curve().unwrap().len()), (None, 0));
    let mut store = shelf.open().unwrap();
    store.write_report(&curve(), r#"{"net_profit": "4"}"#).unwrap();
    store.close().unwrap();
    assert_eq!(shelf.reader().report().unwrap(), Some(serde_json::json!({ "net_profit": "4" })));
    let kept: Vec<EquityPoint> = shelf
        .reader()
        .curve()
        .unwrap()
        .into_iter()
        .map(|row| {
            let CurveRow { at, equity, wallet, low, drawdown, notional } = row;
            EquityPoint { at, equity, wallet, low, drawdown, notional }
        })
        .collect();
    assert_eq!(kept, curve());
}

#[test]
fn a_store_that_was_never_finished_can_be_abandoned() {
    let shelf = Shelf::new();
    let mut store = shelf.create();
    store.append(&day()).unwrap();
    store.commit().unwrap();
    store.abandon();
    assert_eq!(std::fs::read_dir(shelf.folder.path()).unwrap().count(), 0, "nothing is left of it");
    let shelf = Shelf::holding(&day());
    shelf.open().unwrap().abandon();
    assert!(shelf.path().exists(), "a store that was there before stays");
}

#[test]
fn figures_of_a_store() {
    let events = day();
    let shelf = Shelf::holding(&events);
    let stats = shelf.reader().stats().unwrap();
    assert_eq!((stats.first, stats.last), (Some(noon()), events.last().map(|recorded| recorded.at)));
    assert_eq!(stats.events.iter().map(|(_, count)| count).sum::<u64>(), events.len() as u64);
    assert!(stats.tables.contains(&("event_store".to_owned(), events.len() as u64)));
    let session = &shelf.reader().sessions().unwrap()[0];
    assert_eq!((session.strategy.as_str(), session.mode.as_str(), session.first_seq), ("puppet", "CHAOS", 1));
    assert_eq!(session.instruments, instruments());
    assert_eq!(session.config, config().description);
    let after: Vec<u64> = shelf.reader().events_after(7).unwrap().map(|recorded| recorded.unwrap().seq).collect();
    assert_eq!(after, (8..=events.len() as u64).collect::<Vec<_>>());
}

/// More rows than the reader takes at once.
#[test]
fn a_long_log_is_read_in_pages() {
    let asset = "USDT".parse().unwrap();
    let template = day()[0].clone();
    let transfer = |id: u64| {
        let booked = TransferBooked { id, asset, amount: Money::ONE, reason: TransferReason::Deposit };
        Recorded { seq: id + 1, event: booked.into(), ..template.clone() }
    };
    let mut events = vec![template.clone()];
    events.extend((1..9_000).map(transfer));
    let shelf = Shelf::holding(&events);
    assert!(shelf.reader().events().unwrap().map(Result::unwrap).eq(events.iter().cloned()));
    assert_eq!(shelf.reader().fold().unwrap(), fold(&events));
}

/// A backup, a shell or a command that writes holds the writer up, and no more.
#[test]
#[expect(clippy::disallowed_methods, reason = "only time itself ends the first attempt")]
fn a_writer_waits_for_somebody_else_who_writes() {
    let shelf = Shelf::new();
    let mut store = shelf.create();
    let events = day();
    let other = shelf.sql();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // Longer than SQLite waits in one attempt.
    let holder = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(2_500));
        other.execute_batch("COMMIT").unwrap();
    });
    store.append(&events).unwrap();
    store.commit().unwrap();
    holder.join().unwrap();
    store.close().unwrap();
    assert_eq!(shelf.reader().events().unwrap().count(), events.len());
}
