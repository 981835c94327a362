//! A damaged store under the program: the next start of `live` salvages it, says what was lost, reads the rest from the exchange and
//! waits for an operator; `store repair` does the same by hand.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

#[path = "support/live.rs"]
mod live;
#[path = "support/stage.rs"]
mod stage;
#[path = "support/mod.rs"]
mod support;

use stage::{Stage, held};
use support::Ended;

const PAGE: usize = 4_096;

/// A damage, and whether it takes durable events along.
struct Case {
    name: &'static str,
    damage: fn(&Stage),
    has_lost: bool,
}

fn change(stage: &Stage, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(stage.store()).unwrap();
    change(&mut bytes);
    std::fs::write(stage.store(), bytes).unwrap();
}

fn remove(stage: &Stage, name: &str) {
    std::fs::remove_file(stage.desk.path(name)).unwrap();
}

const CASES: [Case; 6] = [
    Case { name: "no head mark", damage: |stage| remove(stage, "live.db.head"), has_lost: true },
    Case { name: "no database", damage: |stage| remove(stage, "live.db"), has_lost: true },
    Case {
        name: "flipped",
        // Every page but the first, which says what the file is.
        damage: |stage| change(stage, |bytes| bytes.iter_mut().skip(PAGE).step_by(64).for_each(|byte| *byte ^= 0x55)),
        has_lost: true,
    },
    Case {
        name: "cut off",
        damage: |stage| change(stage, |bytes| bytes.truncate(bytes.len() * 3 / 4 / PAGE * PAGE)),
        has_lost: true,
    },
    Case { name: "emptied", damage: |stage| change(stage, Vec::clear), has_lost: true },
    Case {
        name: "an old backup",
        damage: |stage| {
            std::fs::copy(stage.desk.path("backup.db"), stage.store()).unwrap();
        },
        has_lost: true,
    },
];

#[test]
fn the_next_start_salvages_a_damaged_store_and_the_exchange_tells_the_rest() {
    for case in CASES {
        let name = case.name;
        let stage = Stage::new();
        let exchange = stage.calm_exchange();
        let mut bot = stage.calm_bot(&exchange, &[]);
        stage.obeyed(&["order", "BTCUSDT", "buy", "0.01"]);
        bot.terminate();
        assert!(bot.wait().success(), "{name}: {}", bot.stderr());
        std::fs::copy(stage.store(), stage.desk.path("backup.db")).unwrap();
        let mut bot = stage.calm_bot(&exchange, &[]);
        stage.obeyed(&["order", "BTCUSDT", "buy", "0.02"]);
        bot.terminate();
        assert!(bot.wait().success(), "{name}: {}", bot.stderr());
        (case.damage)(&stage);
        let mut bot = stage.calm_bot(&exchange, &[]);
        let said = bot.stderr();
        println!("{name}:\n{said}");
        assert!(said.contains("was damaged and was made anew"), "{name}: {said}");
        assert_eq!(said.contains("until somebody has looked"), case.has_lost, "{name}: {said}");
        assert_eq!(stage.events("StoreRecovered"), 1, "{name}");
        assert!(stage.desk.path("live.db.damaged-1").is_file(), "{name}");
        // Position and wallet are the exchange's.
        let e8 = "SELECT COALESCE(SUM(qty_e8), 0) FROM projection_position";
        assert_eq!((stage.count(e8), held(&exchange)), (3_000_000, "0.03".to_owned()), "{name}");
        let refused = stage.declined(&["order", "BTCUSDT", "buy", "0.01"]);
        assert!(refused.to_uppercase().contains("SAFE"), "{name}: {refused}");
        stage.obeyed(&["resume"]);
        stage.obeyed(&["close", "BTCUSDT"]);
        stage.obeyed(&["order", "BTCUSDT", "buy", "0.01"]);
        bot.terminate();
        assert!(bot.wait().success(), "{name}: {}", bot.stderr());
        assert_eq!(held(&exchange), "0.01", "{name}");
        let verdict = Ended::of(&mut stage.command(&["store", "verify", "live.db"]));
        assert_eq!(verdict.code, 0, "{name}: {verdict:?}");
    }
}

#[test]
fn a_store_is_repaired_by_hand() {
    let stage = Stage::new();
    let exchange = stage.calm_exchange();
    let mut bot = stage.calm_bot(&exchange, &[]);
    stage.obeyed(&["order", "BTCUSDT", "buy", "0.01"]);
    bot.terminate();
    assert!(bot.wait().success(), "{}", bot.stderr());
    let repair = |what: &str| Ended::of(&mut stage.command(&["store", "repair", what]));
    let good = repair("live.db");
    assert_eq!((good.code, good.out.as_str()), (0, "live.db\ngood: nothing to repair\n"), "{good:?}");
    let index = "SELECT rootpage FROM sqlite_schema WHERE name LIKE 'sqlite_autoindex_event_store%'";
    let root = stage.count(index) as usize;
    change(&stage, |bytes| bytes[(root - 1) * PAGE..root * PAGE].fill(0xa5));
    let mended = repair("live.db");
    println!("{}", mended.out);
    assert_eq!(mended.code, 0, "{mended:?}");
    assert!(mended.out.contains("lost: nothing that was durable"), "{mended:?}");
    remove(&stage, "live.db.head");
    let mended = repair("live.db");
    println!("{}", mended.out);
    assert!(mended.out.contains("lost: nobody can tell") && mended.out.contains("live.db.damaged-2*"), "{mended:?}");
    stage.desk.write("text.db", "no store at all\n");
    for what in ["none.db", "text.db"] {
        let refused = repair(what);
        refused.check_refusal(what);
    }
}
