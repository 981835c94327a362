//! How long a killed bot with a long past needs until it connects again.

use std::path::Path;
use std::time::{Duration, Instant};

use alphaengine_core::command::{Actor, OperatorOrder};
use alphaengine_core::engine::Engine;
use alphaengine_core::event::{
    CancelRequested, DayClosed, EngineModeChanged, Event, LinkChanged, OperatorCommandReceived, OrderCanceled,
    OrderPlaced, OrderRequested, ReconcileFinished, ReconcileStarted, Recorded, SessionStarted, SessionStopped, Source,
    StrategyStateSaved, TradeExecuted, TransferBooked,
};
use alphaengine_core::exchange::{Fill, TransferReason};
use alphaengine_core::id::{CommandId, client_order_id};
use alphaengine_core::link::{LinkUpdate, Route};
use alphaengine_core::mode::EngineMode;
use alphaengine_core::prelude::*;
use alphaengine_core::store::{EventLog, SqliteStore, StoreReader};
use alphaengine_core::units::{NANOS_PER_DAY, NANOS_PER_MILLI, NANOS_PER_SECOND};
use alphaengine_live::bot::Bot;
use alphaengine_live::wire::Effect;

use crate::desk::{Probe, engine_config, instruments, scope, session};

/// The word with which the program makes a store and ends without closing it.
pub const MAKE: &str = "make-store";
const EVENTS: u64 = 1_000_000;
/// Divides the events between two checkpoints, so that with a first batch of one event the tail is as long as can be.
const BATCH: u64 = 10_000;
const RESTARTS: usize = 5;

pub fn run() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("live.db");
    let begun = Instant::now();
    let made = std::process::Command::new(std::env::current_exe().unwrap()).arg(MAKE).arg(&path).status().unwrap();
    assert!(made.success(), "the store was not made");
    let (bytes, log) = (size(&path), size(&directory.path().join("live.db-wal")));
    println!(
        "\nrestart: {EVENTS} events, {} MB, of the write-ahead log {} MB, made in {:.0} s",
        bytes >> 20,
        log >> 20,
        begun.elapsed().as_secs_f64()
    );
    println!("  {:<42} {:>9} {:>9} {:>9} {:>9}", "ms", "open", "recover", "session", "together");
    let mut best: Option<[Duration; 3]> = None;
    for number in 0..=RESTARTS {
        let parts = restart(&path);
        if number == 0 {
            line("first, after a kill", parts);
        } else if best.is_none_or(|best| parts.iter().sum::<Duration>() < best.iter().sum()) {
            best = Some(parts);
        }
    }
    line("the fastest of five more", best.unwrap());
    if forget_pages(&path) {
        line("file not in the page cache", restart(&path));
    }
    parts_of_open(&path);
}

/// Takes a file out of the page cache; `false` where that cannot be done.
fn forget_pages(path: &Path) -> bool {
    let mut dd = std::process::Command::new("dd");
    dd.arg(format!("if={}", path.display())).args(["iflag=nocache", "count=0", "status=none"]);
    dd.status().is_ok_and(|status| status.success())
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

fn line(name: &str, parts: [Duration; 3]) {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let [open, recover, session] = parts.map(ms);
    println!("  {name:<42} {open:>9.1} {recover:>9.1} {session:>9.1} {:>9.1}", open + recover + session);
}

/// From the path of a store to the first connection that is asked for.
fn restart(path: &Path) -> [Duration; 3] {
    let begun = Instant::now();
    let store = SqliteStore::open(path, scope(), &instruments()).unwrap();
    let open = begun.elapsed();
    assert_eq!(store.state().seq, EVENTS);
    let state = store.recovered().state;
    let at = state.at.plus(NANOS_PER_SECOND);
    let engine = Engine::recover(engine_config(), Probe::new(false), store, Some(state), []).unwrap();
    let recover = begun.elapsed() - open;
    let mut bot = Bot::new(engine, session(), None);
    bot.start(at).unwrap();
    let effect = bot.effects().next();
    let session = begun.elapsed() - open - recover;
    assert!(matches!(effect, Some(Effect::Open { .. } | Effect::Http(_))), "{effect:?}");
    [open, recover, session]
}

/// What of the opening can be looked at from outside.
fn parts_of_open(path: &Path) {
    let part = |name: &str, begun: Instant| println!("  {name:<42} {:>9.1}", begun.elapsed().as_secs_f64() * 1e3);
    let begun = Instant::now();
    let reader = StoreReader::open(path).unwrap();
    part("of it: the reader's checks", begun);
    let begun = Instant::now();
    let sessions = reader.sessions().unwrap().len();
    part(&format!("of it: {sessions} sessions"), begun);
    let begun = Instant::now();
    let mut state = reader.checkpoint().unwrap().unwrap().state;
    part(&format!("of it: checkpoint, {} bytes", state.to_json().len()), begun);
    let begun = Instant::now();
    let after = state.seq;
    for recorded in reader.events_after(after).unwrap() {
        state.apply(&recorded.unwrap()).unwrap();
    }
    part(&format!("of it: tail of {} events", state.seq - after), begun);
}

/// Writes a store as months of trading leave it, and ends as a killed process does.
pub fn make(path: &Path) {
    let store = SqliteStore::create(path, scope(), &instruments()).unwrap();
    let mut past = Past::new(store);
    past.live();
    std::process::exit(0);
}

fn price(symbol: SymbolId) -> Price {
    ["63943.9", "3424.98"][symbol.index()].parse().unwrap()
}

struct Past {
    store: SqliteStore,
    batch: Vec<Recorded>,
    seq: u64,
    at: Timestamp,
    command: u64,
    orders: u64,
    trades: u64,
}

impl Past {
    fn new(store: SqliteStore) -> Past {
        let at = Timestamp::from_millis(1_750_003_200_000).unwrap();
        Past { store, batch: Vec::new(), seq: 0, at, command: 0, orders: 0, trades: 0 }
    }

    fn live(&mut self) {
        self.begin_session();
        for round in 0u64.. {
            if self.seq >= EVENTS {
                return;
            }
            let symbol = SymbolId((round % 2) as u16);
            let side = if round / 2 % 2 == 0 { Side::Buy } else { Side::Sell };
            if round % 3 == 0 {
                self.fill(symbol, side)
            } else {
                self.cancel(symbol, side, round)
            }
            if round % 200 == 199 {
                self.reconnect();
            }
            if round % 1_000 == 999 {
                self.speak(round);
            }
            if round % 10_000 == 9_999 {
                self.say(Source::Bot, false, None, SessionStopped { reason: "the process was asked to stop".into() });
                self.begin_session();
            }
        }
    }

    /// Records an event, of a command of its own or of the last one.
    fn say(&mut self, source: Source, of_command: bool, symbol: Option<SymbolId>, event: impl Into<Event>) {
        if self.seq >= EVENTS {
            return;
        }
        self.seq += 1;
        self.at = self.at.plus(7 * NANOS_PER_MILLI);
        let command = of_command.then_some(CommandId(self.command));
        let event = event.into();
        self.batch.push(Recorded { seq: self.seq, at: self.at, source, command, causation: 0, symbol, event });
        if self.seq % BATCH == 1 || self.seq == EVENTS {
            self.store.append(&self.batch).unwrap();
            self.store.commit().unwrap();
            self.batch.clear();
        }
    }

    fn begin_session(&mut self) {
        let config = serde_json::json!({
            "strategy": "market_maker", "params": ["qty=0.01", "spread=0.0004", "levels=2", "max_position=1"],
            "symbols": ["BTCUSDT", "ETHUSDT"], "timeframe": "1m", "limits": {"max_position": "100000", "max_order": "10000"},
            "hosts": {"rest": "https://fapi.binance.com", "streams": "wss://fstream.binance.com"}, "recv_window_ms": 2_000,
        });
        let session = scope().session;
        let started = SessionStarted { session, mode: Mode::Testnet, strategy: "market_maker".into(), config };
        let is_first = self.seq == 0;
        self.say(Source::Bot, false, None, started);
        for route in Route::ALL {
            self.say(Source::Bot, false, None, LinkChanged { link: LinkUpdate::StreamUp { route } });
        }
        self.say(Source::Bot, false, None, ReconcileStarted { reason: "the session began".into() });
        if is_first {
            let (asset, amount) = ("USDT".parse().unwrap(), Money::whole(100_000));
            self.say(
                Source::Rest,
                false,
                None,
                TransferBooked { id: 1, asset, amount, reason: TransferReason::Opening },
            );
        }
        let complete_until = self.at;
        self.say(Source::Bot, false, None, ReconcileFinished { drifts: 0, complete_until, trades_known: Vec::new() });
        let (from, to) = (EngineMode::Booting, EngineMode::Running);
        let reason = "the account is what the exchange says".into();
        self.say(Source::Bot, false, None, EngineModeChanged { from, to, reason });
    }

    fn reconnect(&mut self) {
        let (route, reason) = (Route::Public, "connection reset by peer".to_owned());
        self.say(Source::Bot, false, None, LinkChanged { link: LinkUpdate::StreamDown { route, reason } });
        self.say(Source::Bot, false, None, LinkChanged { link: LinkUpdate::StreamUp { route } });
        self.say(Source::Bot, false, None, ReconcileStarted { reason: "the PUBLIC streams are up again".into() });
        let complete_until = self.at;
        self.say(Source::Bot, false, None, ReconcileFinished { drifts: 0, complete_until, trades_known: Vec::new() });
    }

    /// What the operator says and the strategy remembers, and a day's end.
    fn speak(&mut self, round: u64) {
        self.command += 1;
        let received = OperatorCommandReceived {
            key: format!("0190f3c8-7a53-7cc1-9d1e-{round:012}"),
            who: "ada".into(),
            order: OperatorOrder::Resume,
            pending: false,
        };
        self.say(Source::Web, true, None, received);
        let value = serde_json::json!({"inventory": "0.01", "since": round, "quotes": [63_943, 63_944]});
        self.say(Source::Bot, false, None, StrategyStateSaved { key: "quotes".into(), value });
        let (day, equity) = (self.at.floor_to(NANOS_PER_DAY), Money::whole(100_000));
        self.say(Source::Bot, false, None, DayClosed { day, equity, wallet: equity });
    }

    fn place(&mut self, symbol: SymbolId, side: Side) -> (ClientOrderId, u64) {
        self.command += 1;
        self.orders += 1;
        let client_order_id = client_order_id(&scope().session, self.orders);
        let spec = OrderSpec::limit(symbol, side, Qty::from_steps(2_000_000), price(symbol));
        let order_id = 8_389_765_400_000 + self.orders;
        let requested = OrderRequested { client_order_id, actor: Actor::Strategy, spec };
        self.say(Source::Bot, true, Some(symbol), requested);
        self.say(Source::Rest, true, Some(symbol), OrderPlaced { client_order_id, order_id });
        (client_order_id, order_id)
    }

    /// An order that is filled in two parts.
    fn fill(&mut self, symbol: SymbolId, side: Side) {
        let (client_order_id, order_id) = self.place(symbol, side);
        for _ in 0..2 {
            self.trades += 1;
            let fill = Fill {
                trade_id: 5_000_000_000 + self.trades,
                price: price(symbol),
                qty: Qty::from_steps(1_000_000),
                fee: Money::from_steps(12_788_780),
                fee_asset: "USDT".parse().unwrap(),
                is_maker: true,
                is_liquidation: false,
                realized: Money::ZERO,
            };
            let (position_side, traded_at) = (PositionSide::Both, self.at);
            let trade = TradeExecuted { client_order_id, order_id, side, position_side, traded_at, fill };
            self.say(Source::Websocket, true, Some(symbol), trade);
        }
    }

    /// An order that is cancelled; a few stay open.
    fn cancel(&mut self, symbol: SymbolId, side: Side, round: u64) {
        let (client_order_id, _) = self.place(symbol, side);
        if round % 20_000 == 1 {
            return;
        }
        let own = self.command;
        self.command += 1;
        self.say(Source::Bot, true, Some(symbol), CancelRequested { client_order_id, actor: Actor::Strategy });
        let cancel = std::mem::replace(&mut self.command, own);
        self.say(Source::Websocket, true, Some(symbol), OrderCanceled { client_order_id });
        self.command = cancel;
    }
}
