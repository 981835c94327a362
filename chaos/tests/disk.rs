//! The disk in memory: SQLite works on it as on another, each fault takes effect, and nothing is left to chance.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

mod shelf;

use std::process::Command;

use alphaengine_chaos::disk::SimDisk;
use alphaengine_core::store::{Disk, Error, EventLog, hex};
use alphaengine_core::units::Timestamp;
use alphaengine_sim::faults::DiskFile;
use rusqlite::{Connection, ErrorCode};
use shelf::{DB, HEAD, Shelf, WAL, event, path, raw};

fn code(error: rusqlite::Error) -> ErrorCode {
    error.sqlite_error_code().unwrap()
}

/// A table with some rows, in a write-ahead log.
fn table() -> Connection {
    let sql = raw().unwrap();
    sql.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE told (row INTEGER PRIMARY KEY, text TEXT);
         INSERT INTO told VALUES (1, 'one'), (2, 'two')",
    )
    .unwrap();
    sql
}

fn rows(sql: &Connection) -> i64 {
    sql.query_row("SELECT COUNT(*) FROM told", [], |row| row.get(0)).unwrap()
}

mod locks {
    use super::*;

    #[test]
    fn one_connection_writes_and_others_read_what_was_committed() {
        let shelf = Shelf::new(1);
        let (writer, reader) = (table(), raw().unwrap());
        writer.execute_batch("BEGIN IMMEDIATE; INSERT INTO told VALUES (3, 'three')").unwrap();
        assert_eq!((rows(&writer), rows(&reader)), (3, 2));
        let second = raw().unwrap();
        second.pragma_update(None, "busy_timeout", 2_000).unwrap();
        assert_eq!(code(second.execute_batch("BEGIN IMMEDIATE").unwrap_err()), ErrorCode::DatabaseBusy);
        assert!(shelf.disk.slept_micros() >= 1_900_000, "it waited, and in no time");
        writer.execute_batch("COMMIT").unwrap();
        assert_eq!(rows(&reader), 3);
        second.execute_batch("BEGIN IMMEDIATE; INSERT INTO told VALUES (4, 'four'); COMMIT").unwrap();
        assert_eq!(rows(&writer), 4);
    }

    #[test]
    fn a_reader_in_a_transaction_keeps_the_log_from_being_folded_in() {
        let _shelf = Shelf::new(1);
        let (writer, reader) = (table(), raw().unwrap());
        reader.execute_batch("BEGIN; SELECT COUNT(*) FROM told").unwrap();
        let fold = || writer.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, i64>(0)).unwrap();
        writer.execute_batch("INSERT INTO told VALUES (3, 'three')").unwrap();
        assert_eq!(fold(), 1, "it is busy");
        reader.execute_batch("COMMIT").unwrap();
        assert_eq!(fold(), 0);
    }

    #[test]
    fn without_a_log_a_writer_waits_for_the_readers() {
        let _shelf = Shelf::new(1);
        let (writer, reader) = (raw().unwrap(), raw().unwrap());
        writer.execute_batch("CREATE TABLE told (row INTEGER PRIMARY KEY)").unwrap();
        [&writer, &reader].into_iter().for_each(|sql| sql.pragma_update(None, "busy_timeout", 0).unwrap());
        reader.execute_batch("BEGIN; SELECT COUNT(*) FROM told").unwrap();
        writer.execute_batch("BEGIN IMMEDIATE; INSERT INTO told VALUES (1)").unwrap();
        assert_eq!(code(writer.execute_batch("COMMIT").unwrap_err()), ErrorCode::DatabaseBusy);
        let late = raw().unwrap();
        late.pragma_update(None, "busy_timeout", 0).unwrap();
        let read = late.query_row("SELECT COUNT(*) FROM told", [], |_| Ok(()));
        assert_eq!(code(read.unwrap_err()), ErrorCode::DatabaseBusy, "the writer is pending");
        reader.execute_batch("COMMIT").unwrap();
        writer.execute_batch("COMMIT").unwrap();
        assert_eq!(rows(&late), 1);
    }

    #[test]
    fn a_second_process_does_not_get_the_store_and_after_a_kill_it_does() {
        let shelf = Shelf::new(1);
        let first = shelf.open().unwrap();
        assert!(matches!(shelf.open().err().unwrap(), Error::InUse { .. }));
        assert_eq!(shelf.reader().unwrap().sessions().unwrap().len(), 0, "a reader does");
        shelf.disk.kill();
        let second = shelf.open().unwrap();
        drop(first);
        assert!(
            matches!(shelf.open().err().unwrap(), Error::InUse { .. }),
            "the dead one gave back no lock of the living"
        );
        drop(second);
        shelf.open().unwrap();
    }
}

mod lives {
    use super::*;

    #[test]
    fn a_dead_handle_fails_and_changes_nothing() {
        let shelf = Shelf::new(1);
        let mut store = shelf.open().unwrap();
        store.append(&[event(1)]).unwrap();
        store.commit().unwrap();
        store.append(&[event(2)]).unwrap();
        shelf.disk.kill();
        let (before, hash) = (shelf.disk.snapshot(), shelf.disk.hash());
        assert!(store.commit().is_err());
        assert!(store.close().is_err());
        assert_eq!((shelf.disk.snapshot(), shelf.disk.hash()), (before, hash));
        assert_eq!(shelf.check(1, "after the kill"), 1);
    }

    #[test]
    fn a_run_begins_with_nothing_of_the_one_before() {
        let shelf = Shelf::new(1);
        let old = table();
        shelf.plan(r#"[{"on": {"disk": "open", "every": 1}, "fault": {"kind": "io_error"}}]"#);
        shelf.disk.begin_run(1);
        assert_eq!(shelf.disk.operations(), 0);
        assert!(shelf.disk.image(path("raw.db")).is_none());
        let new = table();
        assert!(old.execute_batch("INSERT INTO told VALUES (9, 'nine')").is_err());
        drop(old);
        assert_eq!(rows(&new), 2);
    }

    #[test]
    fn an_operation_in_which_the_process_ends_is_the_last_one() {
        let shelf = Shelf::new(1);
        let sql = table();
        shelf.plan(r#"[{"on": {"disk": "sync", "file": "wal", "nth": 1}, "fault": {"kind": "crash"}}]"#);
        assert!(shelf.disk.crash_requested().is_none());
        assert!(sql.execute_batch("INSERT INTO told VALUES (3, 'three')").is_err());
        assert_eq!(shelf.disk.crash_requested(), Some(alphaengine_sim::faults::Fault::Crash { down_ms: 1_000 }));
        let operations = shelf.disk.operations();
        assert!(raw().and_then(|sql| sql.query_row("SELECT COUNT(*) FROM told", [], |_| Ok(()))).is_err());
        assert!(sql.execute_batch("INSERT INTO told VALUES (3, 'three')").is_err());
        assert_eq!(shelf.disk.operations(), operations, "nothing is carried out any more");
        shelf.disk.kill();
        assert!(shelf.disk.crash_requested().is_none());
        assert_eq!(rows(&raw().unwrap()), 3, "what was written stands");
    }
}

mod faults {
    use super::*;

    /// What SQLite says to an insert under a fault, and the rows that a new process finds afterwards.
    fn insert(op: &str, file: &str, kind: &str) -> (Option<ErrorCode>, i64) {
        let shelf = Shelf::new(1);
        let sql = table();
        sql.pragma_update(None, "busy_timeout", 10).unwrap();
        shelf.plan(&format!(
            r#"[{{"on": {{"disk": "{op}", "file": "{file}", "every": 1}}, "fault": {{"kind": "{kind}"}}}}]"#
        ));
        let said = sql.execute_batch("BEGIN IMMEDIATE; INSERT INTO told VALUES (3, 'three'); COMMIT").err().map(code);
        shelf.disk.kill();
        shelf.well();
        (said, rows(&raw().unwrap()))
    }

    #[test]
    fn each_kind_fails_in_its_own_way() {
        assert_eq!(insert("lock", "wal", "busy"), (Some(ErrorCode::FileLockingProtocolFailed), 2));
        assert_eq!(insert("write", "wal", "full"), (Some(ErrorCode::DiskFull), 2));
        assert_eq!(insert("write", "wal", "io_error"), (Some(ErrorCode::SystemIoFailure), 2));
        assert_eq!(insert("write", "wal", "short_write"), (Some(ErrorCode::SystemIoFailure), 2));
        assert_eq!(insert("sync", "wal", "io_error"), (Some(ErrorCode::SystemIoFailure), 2));
        assert_eq!(insert("sync", "wal", "errs_but_durable"), (Some(ErrorCode::SystemIoFailure), 3));
        assert_eq!(insert("sync", "wal", "lying_sync"), (None, 3));
        // What an operation cannot have is passed over.
        assert_eq!(insert("sync", "wal", "short_write"), (None, 3));
    }

    #[test]
    fn a_lying_sync_makes_nothing_durable() {
        let shelf = Shelf::new(1);
        let sql = table();
        assert!(!shelf.disk.has_unsynced(path("raw.db-wal")));
        shelf.plan(r#"[{"on": {"disk": "sync", "file": "wal", "every": 1}, "fault": {"kind": "lying_sync"}}]"#);
        sql.execute_batch("INSERT INTO told VALUES (3, 'three')").unwrap();
        assert!(shelf.disk.has_unsynced(path("raw.db-wal")));
        let before = shelf.disk.snapshot();
        let lost = (0..20).filter(|seed| {
            shelf.disk.begin_run(1);
            let sql = table();
            shelf.plan(r#"[{"on": {"disk": "sync", "file": "wal", "every": 1}, "fault": {"kind": "lying_sync"}}]"#);
            sql.execute_batch("INSERT INTO told VALUES (3, 'three')").unwrap();
            assert_eq!(shelf.disk.snapshot(), before, "the same run");
            shelf.disk.lose_power(*seed);
            shelf.well();
            rows(&raw().unwrap()) == 2
        });
        assert!((1..20).contains(&lost.count()), "some lose it and some do not");
    }

    #[test]
    fn a_failed_sync_gives_its_pages_up() {
        let shelf = Shelf::new(1);
        let sql = table();
        shelf.plan(r#"[{"on": {"disk": "sync", "file": "wal", "nth": 1}, "fault": {"kind": "io_error"}}]"#);
        let length = |shelf: &Shelf| shelf.disk.image(path("raw.db-wal")).unwrap().len();
        let before = length(&shelf);
        assert!(sql.execute_batch("INSERT INTO told VALUES (3, 'three')").is_err());
        assert!(length(&shelf) > before, "it is shown");
        let reader = raw().unwrap();
        assert_eq!(rows(&reader), 2);
        assert_eq!(length(&shelf), before, "it is not, once somebody opens the file again");
    }

    #[test]
    fn a_mark_is_written_in_two_operations_that_fail_apart() {
        for (op, kind, said) in [
            ("write", "full", "bot.db.head: the disk is full"),
            ("write", "io_error", "bot.db.head: cannot be written: input/output error"),
            ("sync", "io_error", "bot.db.head: cannot be written: input/output error"),
            ("lock", "busy", "bot.db: the store is in use by another process"),
            ("open", "io_error", "bot.db: cannot be written: input/output error"),
        ] {
            let shelf = Shelf::new(1);
            shelf.work(&mut 0, 2, false).unwrap();
            let before = shelf.disk.image(path(HEAD)).unwrap();
            shelf.plan(&format!(
                r#"[{{"on": {{"disk": "{op}", "file": "head", "after": 1}}, "fault": {{"kind": "{kind}"}}}},
                    {{"on": {{"disk": "{op}", "file": "head", "nth": 1}}, "fault": {{"kind": "{kind}"}}}}]"#
            ));
            let mut acknowledged = 0;
            let error = shelf.work(&mut acknowledged, 3, false).unwrap_err().to_string();
            if op != "open" {
                assert_eq!(error, said);
            }
            shelf.disk.kill();
            shelf.well();
            let there = shelf.check(2, &error);
            assert_eq!(there, if matches!(op, "write" | "sync") { 3 } else { 2 }, "the log is ahead of its mark");
            if op != "sync" {
                assert_eq!(shelf.disk.image(path(HEAD)).unwrap(), before);
            }
        }
    }

    #[test]
    fn a_mark_that_cannot_be_read_is_no_damage() {
        let shelf = Shelf::new(1);
        shelf.work(&mut 0, 2, true).unwrap();
        for nth in 1..=3 {
            shelf.plan(&format!(
                r#"[{{"on": {{"disk": "read", "file": "head", "nth": {nth}}}, "fault": {{"kind": "io_error"}}}}]"#
            ));
            if let Err(error) = shelf.open() {
                assert!(matches!(error, Error::NotWritable { .. }), "{error}");
                assert!(nth < 3, "it is read twice");
            } else {
                assert_eq!(nth, 3);
            }
            shelf.well();
            assert_eq!(shelf.check(2, "the fault is over"), 2);
        }
    }

    #[test]
    fn files_are_cut_flipped_taken_away_and_put_back() {
        let shelf = Shelf::new(1);
        let disk = &shelf.disk;
        disk.put(path("a"), vec![0; 1_000]);
        let image = disk.snapshot();
        disk.flip_bit(path("a"), 8_000 + 17);
        assert_eq!(disk.image(path("a")).unwrap()[2], 2, "modulo the length");
        disk.truncate(path("a"), 250);
        assert_eq!(disk.image(path("a")).unwrap().len(), 250);
        disk.copy_file(path("a"), path("b"));
        assert_eq!(disk.image(path("b")), disk.image(path("a")));
        disk.remove_file(path("a"));
        assert!(!disk.is_file(path("a")));
        disk.restore(&image, &[path("a"), path("b")]);
        assert_eq!((disk.image(path("a")), disk.image(path("b"))), (Some(vec![0; 1_000]), None));
        disk.rename(path("a"), path("c")).unwrap();
        assert_eq!((disk.is_file(path("a")), disk.read(path("c")).unwrap().len()), (false, 1_000));
        assert!(disk.create_new(path("c")).is_err());
        disk.lose_power(1);
        assert!(disk.is_file(path("a")) != disk.is_file(path("c")));
    }

    #[test]
    fn an_old_backup_is_noticed() {
        let shelf = Shelf::new(1);
        shelf.work(&mut 0, 3, true).unwrap();
        let backup = shelf.disk.snapshot();
        shelf.work(&mut 0, 6, true).unwrap();
        shelf.disk.restore(&backup, &[path(DB), path(WAL)]);
        let said = shelf.open().err().unwrap().to_string();
        assert!(said.contains("event 6 was durable, but the log ends at 3"), "{said}");
    }

    #[test]
    fn names_tell_the_files() {
        let kinds =
            ["x/bot.db", "bot.db-wal", "bot.db.head", "bot.db-journal"].map(|name| SimDisk::file_of(path(name)));
        assert_eq!(kinds, [DiskFile::Db, DiskFile::Wal, DiskFile::Head, DiskFile::Other]);
    }
}

mod chance {
    use super::*;

    /// A run with a bit of everything.
    fn run(seed: u64) -> [u8; 32] {
        let shelf = Shelf::new(seed);
        shelf.disk.set_time(Timestamp::from_millis(1_746_360_000_000).unwrap());
        let mut acknowledged = 0;
        shelf.work(&mut acknowledged, 20, false).unwrap();
        shelf.plan(r#"[{"on": {"disk": "write", "file": "wal", "nth": 30}, "fault": {"kind": "power_loss"}}]"#);
        assert!(shelf.work(&mut acknowledged, 60, false).is_err());
        shelf.disk.lose_power(seed);
        shelf.well();
        shelf.work(&mut acknowledged, 60, true).unwrap();
        shelf.disk.hash()
    }

    #[test]
    fn one_seed_writes_the_same_bytes_in_each_run_and_in_each_process() {
        let hash = run(7);
        assert_eq!(run(7), hash);
        assert_ne!(run(8), hash);
        let tell = || {
            let program = std::env::current_exe().unwrap();
            let told =
                Command::new(program).args(["--exact", "chance::a_process_tells_its_hash", "--nocapture"]).output();
            String::from_utf8(told.unwrap().stdout).unwrap()
        };
        for told in [tell(), tell()] {
            assert!(told.contains(&format!("hash {}", hex(&hash))), "{told}");
        }
    }

    #[test]
    fn a_process_tells_its_hash() {
        let hash = run(7);
        assert_ne!(hash, [0; 32]);
        println!("hash {}", hex(&hash));
    }

    #[test]
    fn time_and_randomness_are_the_runs() {
        let shelf = Shelf::new(3);
        shelf.disk.set_time("2026-11-25T12:34:56Z".parse().unwrap());
        let sql = raw().unwrap();
        let now: String = sql.query_row("SELECT datetime('now')", [], |row| row.get(0)).unwrap();
        assert_eq!(now, "2026-11-25 12:34:56");
        let draw = |sql: &Connection| sql.query_row("SELECT hex(randomblob(16))", [], |row| row.get::<_, String>(0));
        let first = draw(&sql).unwrap();
        assert_ne!(draw(&sql).unwrap(), first);
        shelf.disk.begin_run(3);
        assert_eq!(draw(&raw().unwrap()).unwrap(), first);
        shelf.disk.begin_run(4);
        assert_ne!(draw(&raw().unwrap()).unwrap(), first);
    }
}
