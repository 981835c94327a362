//! What the disk in memory costs: small commits of a store and of a bare table, and a life from the empty disk to the end.
//!
//! `cargo bench -p alphaengine-chaos --bench disk`

#![allow(clippy::unwrap_used, reason = "a bench that cannot run should say so at once")]
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

#[path = "../tests/shelf/mod.rs"]
mod shelf;

use std::time::{Duration, Instant};

use alphaengine_core::store::EventLog;
use shelf::{Shelf, event, raw};

const COMMITS: u64 = 300;
const RUNS: u64 = 30;

fn main() {
    let (mut opening, mut commits, mut bare) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    let mut operations = 0;
    for seed in 0..RUNS {
        let shelf = Shelf::new(seed);
        let begun = Instant::now();
        let mut store = shelf.open().unwrap();
        opening += begun.elapsed();
        let before = shelf.disk.operations();
        let begun = Instant::now();
        for seq in 1..=COMMITS {
            store.append(&[event(seq)]).unwrap();
            store.commit().unwrap();
        }
        commits += begun.elapsed();
        operations += shelf.disk.operations() - before;
        drop(store);
        shelf.disk.begin_run(seed);
        let sql = raw().unwrap();
        sql.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE told (row INTEGER PRIMARY KEY, text TEXT)").unwrap();
        let mut insert = sql.prepare("INSERT INTO told VALUES (?1, ?2)").unwrap();
        let text = "x".repeat(300);
        let begun = Instant::now();
        for row in 0..COMMITS as i64 {
            insert.execute((row, &text)).unwrap();
        }
        bare += begun.elapsed();
    }
    let micros = |time: Duration, count: u64| time.as_secs_f64() * 1e6 / count as f64;
    println!("making a store                {:>9.1} us", micros(opening, RUNS));
    println!("commit of one event           {:>9.1} us", micros(commits, RUNS * COMMITS));
    println!("operations a commit           {:>9.1}", operations as f64 / (RUNS * COMMITS) as f64);
    println!("commit of one row, SQLite only{:>9.1} us", micros(bare, RUNS * COMMITS));
    println!("a run of {COMMITS} commits          {:>9.1} ms", (opening + commits).as_secs_f64() * 1e3 / RUNS as f64);
}
