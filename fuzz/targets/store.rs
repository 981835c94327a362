//! A damaged store: opening and proving it never panic, and `verify` never calls a store good whose events are not those that
//! were written.
//!
//! The first byte says which store is damaged: one that was closed, one whose process was killed (its rows are still in the
//! write-ahead log), or a file of which the rest of the input is the whole content. Then each six bytes are one damage.
#![no_main]

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use alphaengine_core::engine::{Config, Engine};
use alphaengine_core::exchange::{
    ExchangeUpdate, Execution, Fill, FundingPayment, Input, OrderUpdate, Outcome, Request, TransferReason,
};
use alphaengine_core::id::SessionId;
use alphaengine_core::instrument::Catalog;
use alphaengine_core::market::{MarketData, MarketUpdate};
use alphaengine_core::mode::Mode;
use alphaengine_core::prelude::*;
use alphaengine_core::store::{EventLog, Scope, SqliteStore, StoreReader};
use alphaengine_core::units::NANOS_PER_SECOND;
use libfuzzer_sys::fuzz_target;
use rusqlite::Connection;
use rusqlite::types::Value;

/// The files of a store, in the order in which damages name them.
const SUFFIXES: [&str; 3] = ["", "-wal", ".head"];
const MOST_DAMAGES: usize = 12;
/// The header of a write-ahead log and of each of its frames.
const WAL_FRAME: usize = 4_096 + 24;

fuzz_target!(|data: &[u8]| {
    let originals = originals();
    let Some((which, rest)) = data.split_first() else { return };
    let original = if *which == b'k' { &originals.killed } else { &originals.closed };
    let mut files = original.files.clone();
    let mut statements = Vec::new();
    if *which == b'f' {
        files[0] = rest.to_vec();
    } else {
        for damage in rest.chunks_exact(6).take(MOST_DAMAGES) {
            spoil(&mut files, &mut statements, originals, damage);
        }
    }
    let path = originals.folder.join("damaged.db");
    put(&path, &files);
    for statement in &statements {
        run(&path, statement);
    }
    let is_mark_ours = std::fs::read(beside(&path, ".head")).is_ok_and(|mark| mark == original.files[2]);
    prove(&path, original, is_mark_ours);
    go_on(&path, original, is_mark_ours);
});

/// What was written, and what it says.
struct Original {
    files: [Vec<u8>; 3],
    rows: Vec<Vec<Value>>,
    state_hash: [u8; 32],
}

struct Originals {
    folder: PathBuf,
    closed: Original,
    killed: Original,
    /// The killed store as it was earlier: the backup that somebody puts back.
    older: [Vec<u8>; 3],
}

/// One damage: kind, file, three bytes of place, value.
fn spoil(files: &mut [Vec<u8>; 3], statements: &mut Vec<String>, originals: &Originals, damage: &[u8]) {
    let &[kind, which, high, middle, low, value] = damage else { return };
    let index = usize::from(which) % SUFFIXES.len();
    let older = originals.older[index].clone();
    let file = &mut files[index];
    let place = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
    let at = place % file.len().max(1);
    match kind % 11 {
        0 => file.iter_mut().skip(at).take(1).for_each(|byte| *byte = value),
        1 => file.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << (value & 7)),
        2 => file.truncate(at),
        // A write that went to nowhere or was lost: a sector of zeros.
        3 => file.iter_mut().skip(at / 512 * 512).take(512).for_each(|byte| *byte = 0),
        // A write that went to the wrong place: a page over another one.
        4 => {
            let from = usize::from(value) * 4_096;
            let page: Vec<u8> = file.iter().skip(from).take(4_096).copied().collect();
            file.iter_mut().skip(at / 4_096 * 4_096).zip(page).for_each(|(byte, new)| *byte = new);
        }
        // Frames of the log that never reached the disk.
        5 => {
            let frames = file.len().saturating_sub(32) / WAL_FRAME;
            file.truncate(32 + WAL_FRAME * (usize::from(value) % frames.max(1)));
        }
        6 => *file = older,
        7 => file.clear(),
        8 => file.extend(std::iter::repeat_n(value, place % 5_000)),
        // What only somebody who means it does: rows are changed by SQL, past the triggers.
        9 => {
            const COLUMNS: [&str; 18] = [
                "seq",
                "event_id",
                "event_type",
                "ts",
                "correlation_id",
                "causation_id",
                "command_id",
                "source",
                "entity_kind",
                "entity_id",
                "exchange",
                "venue",
                "account_id",
                "symbol",
                "mode",
                "dedup_key",
                "payload_json",
                "hash",
            ];
            let column = COLUMNS[usize::from(which) % COLUMNS.len()];
            let seq = usize::from(low) % originals.closed.rows.len().max(1) + 1;
            statements.push(match high % 4 {
                0 => format!("DELETE FROM event_store WHERE seq = {seq}"),
                1 => format!("UPDATE event_store SET {column} = {value} WHERE seq = {seq}"),
                2 => format!("UPDATE event_store SET {column} = replace({column}, {}, {}) WHERE seq = {seq}", value % 10, middle % 10),
                _ => format!("UPDATE event_store SET seq = -seq WHERE seq = {seq}; UPDATE event_store SET seq = {seq} WHERE seq = {seq} + 1"),
            });
        }
        _ => {
            const TABLES: [&str; 8] = [
                "checkpoint_store",
                "session",
                "projection_position",
                "projection_balance",
                "projection_order_open",
                "projection_trade",
                "journal_line",
                "command_store",
            ];
            statements.push(format!("DELETE FROM {} WHERE rowid % 7 = {}", TABLES[usize::from(which) % 8], value % 7));
        }
    }
}

/// Changes a store as its owner would, with triggers out of the way. What SQLite refuses is not done.
fn run(path: &Path, statement: &str) {
    let Ok(connection) = Connection::open(path) else { return };
    let triggers =
        connection.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").and_then(|mut found| {
            let rows = found.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
            rows.collect::<rusqlite::Result<Vec<_>>>()
        });
    let Ok(triggers) = triggers else { return };
    for (name, _) in &triggers {
        let _ = connection.execute_batch(&format!("DROP TRIGGER \"{name}\""));
    }
    let _ = connection.execute_batch(statement);
    for (_, sql) in &triggers {
        let _ = connection.execute_batch(sql);
    }
}

/// What `alphaengine store verify` does.
fn prove(path: &Path, original: &Original, is_mark_ours: bool) {
    let Ok(reader) = StoreReader::open(path) else { return };
    let verdict = reader.verify();
    let _ = (
        reader.sessions().map(drop),
        reader.stats().map(drop),
        reader.checkpoint().map(drop),
        reader.curve().map(drop),
    );
    let _ = reader.fold().map(drop);
    let Ok(verdict) = verdict else { return };
    if !verdict.is_good() {
        return;
    }
    drop(reader);
    let rows = Connection::open(path).and_then(|connection| rows_of(&connection));
    let Ok(rows) = rows else { panic!("all is well, but the rows cannot be read: {rows:?}") };
    // With a mark that was put back as well, an older store cannot be told from one that went no further.
    let is_same = if is_mark_ours { rows == original.rows } else { original.rows.starts_with(&rows) };
    assert!(is_same, "all is well, but the rows are others: {} of {}", rows.len(), original.rows.len());
}

/// What a bot that starts again does.
fn go_on(path: &Path, original: &Original, is_mark_ours: bool) {
    let Some(instruments) = instruments() else { return };
    let Ok(mut store) = SqliteStore::open(path, scope(), &instruments) else { return };
    let hash = store.state().hash();
    let _ = store.contains("binance:futures:BTCUSDT:trade:0000000000000000001");
    drop(store);
    // With a mark that was put back as well, an older store cannot be told from one that went no further.
    assert!(!is_mark_ours || hash == original.state_hash, "a bot would go on with what was never written");
}

fn rows_of(connection: &Connection) -> rusqlite::Result<Vec<Vec<Value>>> {
    let mut statement = connection.prepare("SELECT * FROM event_store ORDER BY seq")?;
    let width = statement.column_count();
    let rows = statement.query_map([], |row| (0..width).map(|index| row.get(index)).collect())?;
    rows.collect()
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn put(path: &Path, files: &[Vec<u8>; 3]) {
    let _ = std::fs::remove_file(beside(path, "-shm"));
    let _ = std::fs::remove_file(beside(path, "-journal"));
    for (suffix, bytes) in SUFFIXES.iter().zip(files) {
        let file = beside(path, suffix);
        let is_there = !bytes.is_empty() || suffix.is_empty();
        let done = if is_there { std::fs::write(&file, bytes) } else { std::fs::remove_file(&file).or(Ok(())) };
        assert!(done.is_ok(), "{} cannot be written", file.display());
    }
}

fn take(path: &Path) -> [Vec<u8>; 3] {
    SUFFIXES.map(|suffix| std::fs::read(beside(path, suffix)).unwrap_or_default())
}

fn originals() -> &'static Originals {
    static ORIGINALS: OnceLock<Originals> = OnceLock::new();
    ORIGINALS.get_or_init(|| make().unwrap_or_else(|| panic!("the stores that are to be damaged cannot be made")))
}

fn make() -> Option<Originals> {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let folder = parent.join(format!("alphaengine-fuzz-store-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).ok()?;
    let path = folder.join("made.db");
    let mut bot = Bot::new(SqliteStore::create(&path, scope(), &instruments()?).ok()?)?;
    bot.open()?;
    bot.trade(1)?;
    let older = take(&path);
    for number in 2..6 {
        bot.trade(number)?;
    }
    let killed_files = take(&path);
    let store = bot.engine.finish().log;
    let state_hash = store.state().hash();
    store.close().ok()?;
    let rows = rows_of(&Connection::open(&path).ok()?).ok()?;
    let killed = Original { files: killed_files, rows: rows.clone(), state_hash };
    let closed = Original { files: take(&path), rows, state_hash };
    let originals = Originals { folder, closed, killed, older };
    assert!(originals.killed.files[1].len() > WAL_FRAME, "the killed store has no write-ahead log");
    for original in [&originals.closed, &originals.killed] {
        let path = originals.folder.join("damaged.db");
        put(&path, &original.files);
        let verdict = StoreReader::open(&path).ok()?.verify().ok()?;
        assert!(verdict.is_good(), "an undamaged store is called damaged: {:?}", verdict.findings);
    }
    Some(originals)
}

fn instruments() -> Option<Instruments> {
    Instruments::new(vec![Catalog::builtin().get(&"BTCUSDT".parse().ok()?).ok()?.clone()]).ok()
}

fn session() -> SessionId {
    "0123456789abcdef".parse().unwrap_or_default()
}

fn scope() -> Scope {
    Scope::binance_futures(Mode::Chaos, session(), "sim")
}

/// Buys at each quote.
struct Buyer;

impl Strategy for Buyer {
    fn info() -> StrategyInfo {
        StrategyInfo { name: "buyer", about: "Buys at each quote.", params: vec![] }
    }

    fn new(_: &Params, _: &Instruments) -> Result<Buyer, String> {
        Ok(Buyer)
    }

    fn on_book_ticker(&mut self, ctx: &mut Context<'_>, symbol: SymbolId, _: &BookTicker) {
        ctx.place(OrderSpec::market(symbol, Side::Buy, Qty::ONE));
        ctx.place(OrderSpec::limit(symbol, Side::Buy, Qty::ONE, Price::from_steps(9_000_000_000)));
    }
}

/// An engine whose exchange is played by hand.
struct Bot {
    engine: Engine<Buyer, SqliteStore>,
    at: Timestamp,
}

impl Bot {
    fn new(store: SqliteStore) -> Option<Bot> {
        let instruments = instruments()?;
        let config = Config {
            session: session(),
            mode: Mode::Chaos,
            strategy: "buyer".into(),
            description: serde_json::json!({ "seed": 7 }),
            asset: "USDT".parse().ok()?,
            base_timeframes: vec![None; instruments.len()],
            instruments,
            trade_bars: Timeframe::M1,
            limits: alphaengine_core::risk::Limits::default(),
            recv_window: 2 * NANOS_PER_SECOND,
            commit_each_step: true,
            live: None,
        };
        Some(Bot { engine: Engine::new(config, Buyer, store), at: Timestamp::from_millis(1_750_003_200_000)? })
    }

    fn step(&mut self, input: Input<'_>) -> Option<Vec<alphaengine_core::exchange::Outgoing>> {
        self.at = self.at.plus(NANOS_PER_SECOND);
        self.engine.step(self.at, input).ok().map(Iterator::collect)
    }

    fn open(&mut self) -> Option<()> {
        let (id, reason, amount) = (0, TransferReason::Deposit, Money::from_steps(1_000_000_000_000));
        let asset = "USDT".parse().ok()?;
        let transfer = ExchangeUpdate::Transfer { at: self.at, id, asset, amount, reason };
        self.step(Input::Exchange(&transfer))?;
        self.step(Input::Ready)?;
        let price = Price::from_steps(10_000_000_000);
        let data = MarketData::Trade(Trade { id: 1, price, qty: Qty::ONE, is_buyer_maker: false });
        let update = MarketUpdate { at: self.at, symbol: SymbolId(0), data };
        self.step(Input::Market(&update))?;
        Some(())
    }

    /// A quote, the two orders that answer it, a fill of the first, a settlement.
    fn trade(&mut self, number: u64) -> Option<()> {
        let (bid, ask) = (Price::from_steps(9_900_000_000), Price::from_steps(10_100_000_000));
        let quote = BookTicker { update_id: 1, bid, bid_qty: Qty::ONE, ask, ask_qty: Qty::ONE };
        let update = MarketUpdate { at: self.at, symbol: SymbolId(0), data: MarketData::BookTicker(quote) };
        let sent = self.step(Input::Market(&update))?;
        for (index, outgoing) in sent.iter().enumerate() {
            let Request::PlaceOrder { client_order_id, spec } = outgoing.request else { continue };
            let order_id = number * 10 + index as u64;
            let placed = Outcome::Placed { order_id };
            self.step(Input::Exchange(&ExchangeUpdate::Answer { id: outgoing.id, outcome: placed }))?;
            if index > 0 {
                continue;
            }
            let fill = Fill {
                trade_id: number,
                price: ask,
                qty: spec.qty,
                fee: Money::from_steps(4_040_000),
                fee_asset: "USDT".parse().ok()?,
                is_maker: false,
                is_liquidation: false,
                realized: Money::ZERO,
            };
            let update = OrderUpdate {
                at: self.at,
                client_order_id,
                order_id,
                symbol: SymbolId(0),
                side: spec.side,
                position_side: spec.position_side,
                execution: Execution::Trade(fill),
            };
            self.step(Input::Exchange(&ExchangeUpdate::Order(update)))?;
        }
        let payment = FundingPayment {
            symbol: SymbolId(0),
            position_side: PositionSide::Both,
            settled_at: self.at,
            rate: Some(Rate::ZERO),
            mark: Some(Price::ONE),
            position: Qty::from_steps(number as i64 * 100_000_000),
            amount: Money::from_steps(-50_000_000),
            id: None,
        };
        self.step(Input::Exchange(&ExchangeUpdate::Funding(payment)))?;
        Some(())
    }
}
