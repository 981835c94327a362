//! Verify proves a store: the file, the numbering, the hash chain, the head mark, the fold, the checkpoints, the journal and the
//! projections.

use std::collections::BTreeSet;

use rusqlite::types::ValueRef;

use super::Error;
use super::head;
use super::reader::StoreReader;
use super::row::{COLUMNS, Column, Hash, chain, hex};
use super::schema;
use crate::ledger::Account;
use crate::market::SymbolId;
use crate::order::PositionSide;
use crate::state::State;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    pub events: u64,
    /// The hash of the last row that is in order.
    pub log_hash: String,
    /// The hash of the state that they add up to.
    pub state_hash: String,
    /// What is wrong, in sentences; empty when all is well.
    pub findings: Vec<String>,
    /// Everything up to this event is in order.
    pub good_until: u64,
    pub checkpoints: u64,
    pub has_head_mark: bool,
}

impl Verdict {
    pub fn is_good(&self) -> bool {
        self.findings.is_empty()
    }
}

impl StoreReader {
    /// Checks everything that can be checked from the file alone.
    pub fn verify(&self) -> Result<Verdict, Error> {
        // Everything is read as of one instant, because another process may be writing; the mark first, because it never runs
        // ahead of the log.
        let mark = head::read(self.place()).ok().flatten();
        self.connection().execute_batch("BEGIN").map_err(|error| self.sqlite(&error))?;
        let verdict = self.check_all(mark);
        self.connection().execute_batch("ROLLBACK").map_err(|error| self.sqlite(&error))?;
        verdict
    }

    fn check_all(&self, mark: Option<(u64, Hash)>) -> Result<Verdict, Error> {
        let mut findings = Vec::new();
        self.check_file(&mut findings);
        let (good_until, last_hash) = self.check_chain(&mut findings);
        self.check_mark(mark, good_until, &mut findings)?;
        let (state, checkpoints) = self.check_fold(&mut findings)?;
        self.check_journal(&state, &mut findings)?;
        self.check_projections(&state, &mut findings)?;
        self.check_definitions(&mut findings);
        Ok(Verdict {
            events: self.count("SELECT COUNT(*) FROM event_store")?,
            log_hash: hex(&last_hash),
            state_hash: hex(&state.hash()),
            findings,
            good_until,
            checkpoints,
            has_head_mark: mark.is_some(),
        })
    }

    fn check_file(&self, findings: &mut Vec<String>) {
        let check = || -> rusqlite::Result<Vec<String>> {
            let mut statement = self.connection().prepare("PRAGMA integrity_check(5)")?;
            let rows = statement.query_map([], |row| row.get(0))?;
            rows.collect()
        };
        match check() {
            Ok(lines) if lines == ["ok"] => {}
            Ok(lines) => findings.extend(lines.into_iter().map(|line| format!("SQLite's integrity check: {line}"))),
            Err(error) => findings.push(format!("SQLite's integrity check cannot run: {error}")),
        }
    }

    /// Tables, triggers and indexes must be those that we made: a bit that flips in their definitions damages no row.
    fn check_definitions(&self, findings: &mut Vec<String>) {
        match schema::strangeness(self.connection()) {
            Ok(strange) => findings.extend(strange),
            Err(error) => findings.push(format!("the definitions of the tables cannot be read: {error}")),
        }
    }

    /// The number of the last event that the head mark says is durable; `None` where there is no mark.
    pub fn marked(&self) -> Result<Option<u64>, Error> {
        Ok(head::read(self.place())?.map(|(seq, _)| seq))
    }

    /// Walks the hash chain. The last event in order, and its hash.
    fn check_chain(&self, findings: &mut Vec<String>) -> (u64, Hash) {
        let (last, finding) = self.walk_chain((0, [0; 32]));
        findings.extend(finding);
        last
    }

    /// Proves that the events after this one are those that were written.
    pub(super) fn check_tail(&self, seq: u64) -> Result<(), Error> {
        use rusqlite::OptionalExtension;
        let hash = match seq {
            0 => [0; 32],
            seq => {
                let sql = "SELECT hash FROM event_store WHERE seq = ?1";
                let read = self.connection().query_row(sql, [seq as i64], |row| row.get::<_, Hash>(0)).optional();
                read.map_err(|error| self.sqlite(&error))?.unwrap_or_default()
            }
        };
        match self.walk_chain((seq, hash)) {
            (_, None) => Ok(()),
            (_, Some(detail)) => Err(Error::Damaged { path: self.path().to_owned(), detail }),
        }
    }

    /// Walks the hash chain from an event that is known and its hash. The last event in order with its hash, and what is wrong with
    /// the next one.
    fn walk_chain(&self, mut last: (u64, Hash)) -> ((u64, Hash), Option<String>) {
        let first = last.0;
        let mut walk = || -> rusqlite::Result<Option<String>> {
            let mut statement = self.connection().prepare("SELECT * FROM event_store WHERE seq > ?1 ORDER BY seq")?;
            let mut rows = statement.query([first as i64])?;
            let mut bytes = Vec::new();
            while let Some(row) = rows.next()? {
                let seq = row.get::<_, i64>(0)? as u64;
                if seq != last.0 + 1 {
                    return Ok(Some(format!("event {} is followed by {seq}: rows are missing", last.0)));
                }
                let mut columns = [Column::Null; COLUMNS];
                for (index, column) in columns.iter_mut().enumerate() {
                    *column = match row.get_ref(index)? {
                        ValueRef::Integer(int) => Column::Int(int),
                        ValueRef::Text(text) => Column::Text(std::str::from_utf8(text)?),
                        _ => Column::Null,
                    };
                }
                let hash: Hash = row.get(COLUMNS)?;
                if chain(&last.1, &columns, &mut bytes) != hash {
                    return Ok(Some(format!(
                        "event {seq} was changed: its hash does not follow from the row before it"
                    )));
                }
                last = (seq, hash);
            }
            Ok(None)
        };
        let walked = walk();
        let finding =
            walked.unwrap_or_else(|error| Some(format!("the log cannot be read after event {}: {error}", last.0)));
        (last, finding)
    }

    fn check_mark(&self, mark: Option<(u64, Hash)>, good_until: u64, findings: &mut Vec<String>) -> Result<(), Error> {
        let Some((seq, hash)) = mark else {
            findings
                .push("the head mark (FILE.head) is missing or unreadable: a lost tail could not be noticed".into());
            return Ok(());
        };
        if seq > good_until {
            findings.push(format!("event {seq} was durable, but the log is in order only up to {good_until}"));
            return Ok(());
        }
        let sql = format!("SELECT COUNT(*) FROM event_store WHERE seq = {seq} AND hash = x'{}'", hex(&hash));
        if seq > 0 && self.count(&sql)? == 0 {
            findings.push(format!("event {seq} is not the one that the head mark names: the file was replaced"));
        }
        Ok(())
    }

    /// Folds the log again and compares it with every checkpoint on the way.
    fn check_fold(&self, findings: &mut Vec<String>) -> Result<(State, u64), Error> {
        let mut checkpoints = self.checkpoints()?.into_iter().peekable();
        let count = checkpoints.len() as u64;
        let sessions = self.sessions()?;
        let instruments = sessions.last().map(|session| session.instruments.clone()).unwrap_or_default();
        let mut state = State::new(&instruments);
        for recorded in self.events()? {
            let recorded = match recorded {
                Ok(recorded) => recorded,
                Err(error) => {
                    findings.push(error.to_string());
                    break;
                }
            };
            if let Err(error) = state.apply(&recorded) {
                findings.push(format!("the log does not add up: {error}"));
                break;
            }
            if let Some((_, json, hash)) = checkpoints.next_if(|(seq, ..)| *seq == state.seq)
                && (state.to_json() != json || state.hash().as_slice() != hash.as_slice())
            {
                findings.push(format!("the checkpoint at event {} is not what the log adds up to", state.seq));
            }
        }
        for asset in state.ledger.assets() {
            let imbalance = state.ledger.imbalance(asset);
            if imbalance != 0 {
                findings.push(format!("the ledger of {asset} is off by {imbalance}e-8"));
            }
        }
        Ok((state, count))
    }

    /// The number of the event, the state as JSON and its hash.
    fn checkpoints(&self) -> Result<Vec<(u64, String, Vec<u8>)>, Error> {
        let read = || {
            let sql = "SELECT seq, state_json, state_hash FROM checkpoint_store ORDER BY seq";
            let mut statement = self.connection().prepare(sql)?;
            let rows = statement.query_map([], |row| Ok((row.get::<_, i64>(0)? as u64, row.get(1)?, row.get(2)?)))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        read().map_err(|error| self.sqlite(&error))
    }

    /// The journal's lines sum to zero, entry by entry, and to the balances of the folded ledger.
    fn check_journal(&self, state: &State, findings: &mut Vec<String>) -> Result<(), Error> {
        let unbalanced = self.count(
            "SELECT COUNT(*) FROM (SELECT 1 FROM journal_line GROUP BY entry_id, asset HAVING SUM(amount_e8) <> 0)",
        )?;
        if unbalanced > 0 {
            findings.push(format!("{unbalanced} journal entries do not sum to zero"));
        }
        let read = || {
            let sql = "SELECT account, asset, SUM(amount_e8) FROM ledger GROUP BY account, asset";
            let mut statement = self.connection().prepare(sql)?;
            let rows = statement
                .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, i64>(2)?)))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        };
        for (name, asset, sum) in read().map_err(|error| self.sqlite(&error))? {
            let account = Account::ALL.into_iter().find(|account| account.name() == name);
            let booked = account.zip(asset.parse().ok()).map(|(account, asset)| state.ledger.balance(asset, account));
            if booked.map(|balance| balance.steps()) != Some(sum) {
                findings.push(format!("the journal of {name} in {asset} does not add up to the ledger's balance"));
            }
        }
        Ok(())
    }

    /// The projections show the folded state.
    fn check_projections(&self, state: &State, findings: &mut Vec<String>) -> Result<(), Error> {
        let shown = |sql: &str| -> rusqlite::Result<BTreeSet<String>> {
            let mut statement = self.connection().prepare(sql)?;
            let lines = statement.query_map([], |row| row.get(0))?;
            lines.collect()
        };
        for (table, sql, expected) in expected_projections(state) {
            if shown(sql).map_err(|error| self.sqlite(&error))? != expected {
                findings.push(format!("{table} does not show what the log adds up to"));
            }
        }
        Ok(())
    }

    fn count(&self, sql: &str) -> Result<u64, Error> {
        let count = self.connection().query_row(sql, [], |row| row.get::<_, i64>(0));
        count.map(|count| count as u64).map_err(|error| self.sqlite(&error))
    }
}

/// Each projection with the query that shows it as lines, and the lines that a state asks for. Zeros may be shown or left out.
fn expected_projections(state: &State) -> [(&'static str, &'static str, BTreeSet<String>); 4] {
    let mut positions = BTreeSet::new();
    for symbol in (0..state.symbols.len()).map(|index| SymbolId(index as u16)) {
        for side in PositionSide::ALL {
            let (position, margin) = (state.position(symbol, side), state.margin(symbol, side).steps());
            if !position.is_flat() || margin != 0 {
                let (name, qty, entry) = (state.symbol_name(symbol), position.qty().steps(), position.entry_price());
                positions.insert(format!("{name}|{}|{qty}|{}|{margin}", side.name(), entry.steps()));
            }
        }
    }
    let mut balances = BTreeSet::new();
    for asset in state.ledger.assets() {
        for account in Account::ALL {
            let balance = state.ledger.balance(asset, account).steps();
            if balance != 0 {
                balances.insert(format!("{asset}|{}|{balance}", account.name()));
            }
        }
    }
    let orders = state.orders.values().map(|order| {
        let (symbol, side, status) = (state.symbol_name(order.symbol), order.spec.side.name(), order.status.name());
        let (qty, filled) = (order.qty.steps(), order.filled.steps());
        format!("{}|{symbol}|{side}|{status}|{qty}|{filled}", order.client_order_id)
    });
    [
        (
            "projection_position",
            "SELECT concat_ws('|', symbol, position_side, qty_e8, entry_price_e8, isolated_margin_e8) FROM projection_position
             WHERE qty_e8 <> 0 OR isolated_margin_e8 <> 0",
            positions,
        ),
        (
            "projection_balance",
            "SELECT concat_ws('|', asset, account, balance_e8) FROM projection_balance WHERE balance_e8 <> 0",
            balances,
        ),
        (
            "projection_order_open",
            "SELECT concat_ws('|', client_order_id, symbol, side, status, qty_e8, filled_e8) FROM projection_order_open",
            orders.collect(),
        ),
        (
            "projection_trade",
            "SELECT CAST(COUNT(*) AS TEXT) FROM projection_trade",
            BTreeSet::from([state.trades.to_string()]),
        ),
    ]
}
