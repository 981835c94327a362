//! What a store keeps when its process is killed or its machine loses power, at any operation of its disk.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

mod shelf;

use std::collections::BTreeSet;

use alphaengine_core::store::{Error, EventLog};
use shelf::{Shelf, WAL, crash, event, path, power_loss, raw};

/// Events of the small scenario.
const EVENTS: u64 = 4;

/// Operations of a first life that ends in order.
fn operations() -> u64 {
    let shelf = Shelf::new(0);
    shelf.work(&mut 0, EVENTS, true).unwrap();
    shelf.disk.operations()
}

#[test]
fn what_was_acknowledged_survives_a_loss_of_power_at_every_operation() {
    let last = operations();
    let mut ahead = 0;
    for operation in 1..=last {
        let what = format!("power lost at operation {operation} of {last}");
        let shelf = Shelf::new(operation);
        shelf.at(operation, power_loss());
        let mut acknowledged = 0;
        let _ = shelf.work(&mut acknowledged, EVENTS, true);
        assert!(shelf.disk.crash_requested().is_some(), "{what}");
        shelf.disk.lose_power(operation);
        shelf.well();
        ahead += shelf.check(acknowledged, &what) - acknowledged;
        shelf.work(&mut acknowledged, EVENTS + 2, true).unwrap();
        assert_eq!(shelf.check(acknowledged, &what), EVENTS + 2);
    }
    assert!(ahead > 0, "now and then a commit is durable that was not acknowledged");
}

#[test]
fn a_killed_process_loses_nothing_and_one_that_is_killed_while_it_recovers_neither() {
    let last = operations();
    let mut recoveries = 0;
    for operation in (1..=last).step_by(2) {
        // Another part of the recovery each time, or the test would take minutes.
        for second in (1 + operation * 7 % 32..).step_by(32) {
            let what = format!("killed at operation {operation} of {last}, and at {second} of the recovery");
            let shelf = Shelf::new(operation);
            shelf.at(operation, crash());
            let mut acknowledged = 0;
            let _ = shelf.work(&mut acknowledged, EVENTS, true);
            assert!(shelf.disk.crash_requested().is_some(), "{what}");
            shelf.disk.kill();
            shelf.at(second, crash());
            let opened = shelf.open();
            let was_hit = shelf.disk.crash_requested().is_some();
            drop(opened);
            shelf.disk.kill();
            shelf.well();
            shelf.check(acknowledged, &what);
            recoveries += u64::from(was_hit);
            if !was_hit {
                break;
            }
        }
    }
    assert!(recoveries > 100, "{recoveries} recoveries were cut short");
}

/// How many of the rows that were acknowledged are lost, run by run, when the power fails at one operation after the other.
fn rows_lost(synchronous: &str) -> Vec<i64> {
    let write = |rows: &mut i64| -> rusqlite::Result<()> {
        let sql = raw()?;
        sql.execute_batch("PRAGMA journal_mode = WAL; PRAGMA wal_autocheckpoint = 12;")?;
        sql.pragma_update(None, "synchronous", synchronous)?;
        sql.execute_batch("CREATE TABLE IF NOT EXISTS told (row INTEGER PRIMARY KEY, text TEXT NOT NULL)")?;
        for row in 1..=20 {
            sql.execute("INSERT INTO told VALUES (?1, ?2)", (row, "x".repeat(300)))?;
            *rows = row;
        }
        Ok(())
    };
    let mut lost = Vec::new();
    for operation in (20..).step_by(3) {
        let shelf = Shelf::new(operation);
        shelf.at(operation, power_loss());
        let mut told = 0;
        let _ = write(&mut told);
        if shelf.disk.crash_requested().is_none() {
            break;
        }
        shelf.disk.lose_power(operation);
        shelf.well();
        let sql = raw().unwrap();
        let count = sql.query_row("SELECT COUNT(*) FROM told", [], |row| row.get::<_, i64>(0));
        lost.push(told - count.unwrap_or(0));
    }
    assert!(lost.len() > 50, "{}", lost.len());
    lost
}

#[test]
fn full_synchronisation_loses_no_row_and_normal_loses_some_in_many_runs() {
    assert!(rows_lost("FULL").into_iter().all(|lost| lost <= 0));
    let lost = rows_lost("NORMAL");
    let with_a_loss = lost.iter().filter(|lost| **lost > 0).count();
    assert!(with_a_loss * 4 > lost.len(), "{with_a_loss} of {}: the disk does not show it", lost.len());
}

#[test]
fn a_commit_that_failed_is_wholly_there_or_wholly_absent() {
    let mut seen = BTreeSet::new();
    for kind in ["io_error", "errs_but_durable", "short_write", "full"] {
        for (op, file) in [("write", "wal"), ("sync", "wal"), ("write", "head"), ("sync", "head")] {
            for nth in 1..=6 {
                for is_closed in [false, true] {
                    let shelf = Shelf::new(nth);
                    let mut store = shelf.open().unwrap();
                    store.append(&[event(1)]).unwrap();
                    store.commit().unwrap();
                    shelf.plan(&format!(
                        r#"[{{"on": {{"disk": "{op}", "file": "{file}", "nth": {nth}}}, "fault": {{"kind": "{kind}"}}}}]"#
                    ));
                    let mut acknowledged = 1;
                    let mut failed = None;
                    // Several events a commit, so that a half of it would show.
                    for first in [2, 5, 8] {
                        let events = [event(first), event(first + 1), event(first + 2)];
                        match store.append(&events).and_then(|()| store.commit()) {
                            Ok(()) => acknowledged = first + 2,
                            Err(error) => {
                                failed = Some(error);
                                break;
                            }
                        }
                    }
                    let Some(error) = failed else { continue };
                    assert!(!error.to_string().is_empty());
                    let again = store.append(&[event(acknowledged + 1)]).err().unwrap();
                    assert!(matches!(again, Error::Distrusted { .. }), "{again}");
                    if is_closed {
                        drop(store);
                    }
                    shelf.disk.kill();
                    shelf.well();
                    let what = format!("{kind} at {op} {nth} of {file}, closed: {is_closed}");
                    let there = shelf.check(acknowledged, &what);
                    assert!([acknowledged, acknowledged + 3].contains(&there), "{what}: {there} after {acknowledged}");
                    seen.insert((kind, op, file, there > acknowledged));
                }
            }
        }
    }
    for expected in [
        ("io_error", "sync", "wal", false),
        ("errs_but_durable", "sync", "wal", true),
        ("short_write", "write", "head", true),
        ("full", "write", "wal", false),
    ] {
        assert!(seen.contains(&expected), "{expected:?} of {seen:?}");
    }
}

#[test]
fn a_flipped_bit_in_the_log_drops_the_tail_and_the_head_mark_tells() {
    let (mut noticed, mut harmless) = (0, 0);
    for seed in 0..100 {
        let shelf = Shelf::new(seed);
        let mut acknowledged = 0;
        shelf.work(&mut acknowledged, 6, false).unwrap();
        shelf.disk.flip_bit(path(WAL), seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 8);
        match shelf.open() {
            Ok(store) => {
                assert_eq!(store.state().seq, acknowledged, "nothing may be lost in silence");
                harmless += 1;
            }
            Err(Error::Damaged { .. } | Error::NotAStore { .. }) => noticed += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(noticed > 50, "{noticed} were noticed, {harmless} were harmless");
}

/// Draws numbers.
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}

#[test]
fn whatever_goes_wrong_together_the_store_opens_again_with_all_that_was_acknowledged() {
    let kinds = ["busy", "full", "io_error", "short_write", "errs_but_durable", "crash", "power_loss"];
    let ops = ["open", "read", "write", "truncate", "sync", "lock", "remove"];
    let mut said = std::collections::BTreeMap::<String, u64>::new();
    for seed in 0..150 {
        let mut draw = Draw(seed);
        let shelf = Shelf::new(seed);
        let mut acknowledged = 0;
        let mut story = Vec::new();
        for life in 1..=4 {
            let entries: Vec<String> = (0..1 + draw.below(3))
                .map(|_| {
                    let (op, file) = (ops[draw.below(7)], ["db", "wal", "head", "other"][draw.below(4)]);
                    let (kind, nth) = (kinds[draw.below(7)], 1 + draw.below(20));
                    format!(
                        r#"{{"on": {{"disk": "{op}", "file": "{file}", "nth": {nth}}}, "fault": {{"kind": "{kind}"}}}}"#
                    )
                })
                .collect();
            shelf.plan(&format!("[{}]", entries.join(", ")));
            let ended = shelf.work(&mut acknowledged, life * 5, draw.below(2) == 0);
            let lost_power = draw.below(2) == 0;
            if lost_power {
                shelf.disk.lose_power(seed);
            } else {
                shelf.disk.kill();
            }
            shelf.well();
            *said.entry(ended.as_ref().err().map_or_else(String::new, ToString::to_string)).or_default() += 1;
            story.push(format!("{entries:?}: {ended:?}, power lost: {lost_power}"));
            shelf.check(acknowledged, &format!("seed {seed}: {story:#?}"));
        }
    }
    let failed: u64 = said.iter().filter(|(said, _)| !said.is_empty()).map(|(_, times)| times).sum();
    assert!(failed > 150, "{said:#?}");
}
