//! What the store's planted mistake does cannot be seen from outside while the power stays on: so it is proven here.

#![cfg(feature = "planted-bugs")]

use std::path::Path;

use super::{Scope, SqliteStore};
use crate::instrument::{Catalog, Instruments};
use crate::mode::Mode;
use crate::planted::{Bug, plant};

/// How long a commit waits: 2 is FULL, 1 is NORMAL.
fn synchronous(path: &Path) -> i64 {
    let bitcoin = Catalog::builtin().get(&"BTCUSDT".parse().unwrap()).unwrap().clone();
    let instruments = Instruments::new(vec![bitcoin]).unwrap();
    let scope = Scope::binance_futures(Mode::Chaos, "0123456789abcdef".parse().unwrap(), "sim");
    let store = SqliteStore::create(path, scope, &instruments).unwrap();
    store.connection().query_row("PRAGMA synchronous", [], |row| row.get(0)).unwrap()
}

/// The only unit test that plants, so it needs no turn.
#[test]
fn synchronous_normal_commits_without_waiting_for_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let as_it_should_be = synchronous(&folder.path().join("full.db"));
    plant(Some(Bug::SynchronousNormal));
    let planted = synchronous(&folder.path().join("normal.db"));
    plant(None);
    assert_eq!([as_it_should_be, planted], [2, 1]);
}
