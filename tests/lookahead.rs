//! Nothing from the future reaches a strategy: on data that end at some time, a run does up to then exactly what it does on the
//! whole data.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

mod support;

use std::cell::RefCell;
use std::path::Path;

use alphaengine::Strategies;
use alphaengine::backtest::{Costs, DataArg, Options, SceneOptions, StoreChoice, Window};
use alphaengine::core::attached::IndicatorKind;
use alphaengine::core::units::NANOS_PER_MINUTE;
use alphaengine::datasets::chunk::Chunk;
use alphaengine::datasets::sample;
use alphaengine::prelude::*;
use rusqlite::types::Value;
use support::{Desk, Row, rows};

const MINUTE: i64 = 60_000;
/// 2025-01-01T00:00:00Z in milliseconds, where all data here begin.
const START: i64 = 1_735_689_600_000;

/// One file: its lines, each with the moment (in milliseconds) from which it belongs to the past.
struct File {
    name: &'static str,
    header: &'static str,
    lines: Vec<(i64, String)>,
}

impl File {
    /// What was known before `end`.
    fn write(&self, desk: &Desk, end: i64) {
        let known = self.lines.iter().take_while(|(at, _)| *at <= end).map(|(_, line)| line.as_str());
        let lines: Vec<&str> = [self.header].into_iter().chain(known).collect();
        desk.write(self.name, lines.join("\n") + "\n");
    }
}

/// Two days of bars, mark prices and funding of two symbols: the beginning of the sample, as files.
fn bars() -> Vec<File> {
    const HEADER: &str = "open_time,open,high,low,close,volume";
    let last = START + 2 * 1_440 * MINUTE;
    let mut files = Vec::new();
    for (symbol, chunks) in sample::chunks() {
        let is_first = symbol == "BTCUSDT";
        let (mut klines, mut marks, mut funding) = (Vec::new(), Vec::new(), Vec::new());
        for chunk in &chunks {
            match chunk {
                Chunk::Bars(bars) | Chunk::MarkBars(bars) => {
                    let lines = if matches!(chunk, Chunk::Bars(_)) { &mut klines } else { &mut marks };
                    for bar in bars.iter().take_while(|bar| bar.open_time.millis() < last) {
                        let Bar { open, high, low, close, volume, .. } = bar;
                        let at = bar.open_time.millis();
                        lines.push((at + MINUTE, format!("{at},{open},{high},{low},{close},{volume}")));
                    }
                }
                Chunk::Funding(rows) => {
                    let rows = rows.iter().take_while(|row| row.at.millis() < last);
                    funding
                        .extend(rows.map(|row| (row.at.millis() + 1, format!("{},{}", row.at.millis(), row.row.rate))));
                }
                other => panic!("the sample has no {other:?}"),
            }
        }
        let names = if is_first {
            ["BTCUSDT-1m.csv", "mark/BTCUSDT-1m.csv", "BTCUSDT-fundingRate.csv"]
        } else {
            ["ETHUSDT-1m.csv", "mark/ETHUSDT-1m.csv", "ETHUSDT-fundingRate.csv"]
        };
        let headers = [HEADER, HEADER, "calc_time,last_funding_rate"];
        let lines = [klines, marks, funding];
        files.extend(names.into_iter().zip(headers).zip(lines).map(|((name, header), lines)| File {
            name,
            header,
            lines,
        }));
    }
    files
}

/// Two hours of trades and book tickers around a price that walks, from a fixed seed.
fn ticks() -> Vec<File> {
    // The price is in tenths.
    let (mut state, mut price) = (7u64, 600_000i64);
    let mut dice = |sides: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % sides
    };
    let decimal = |tenths: i64| format!("{}.{}", tenths / 10, tenths % 10);
    let (mut trades, mut books) = (Vec::new(), Vec::new());
    let mut at = START;
    for id in 1..=20_000 {
        at += dice(720) as i64;
        price += dice(81) as i64 - 40;
        let (qty, is_maker) = (1 + dice(900), dice(2) == 0);
        let (bid, ask) = (decimal(price - 1), decimal(price));
        books.push((at + 1, format!("{id},{bid},{qty},{ask},{qty},{at},{at}")));
        if dice(3) == 0 {
            let traded = if is_maker { &bid } else { &ask };
            trades.push((at + 1, format!("{id},{traded},0.{qty:03},1,{at},{is_maker}")));
        }
    }
    let header = "update_id,best_bid_price,best_bid_qty,best_ask_price,best_ask_qty,transaction_time,event_time";
    vec![
        File { name: "BTCUSDT-trades.csv", header: "id,price,qty,quote_qty,time,is_buyer_maker", lines: trades },
        File { name: "BTCUSDT-bookTicker.csv", header, lines: books },
    ]
}

/// The events of a run over what is known before `end`, without those that come at `end` or later, and without the one that says
/// that the data ended. The session's id, which depends on the length of the files, is taken out.
fn events(files: &[File], scenario: &[&str], data_end: i64, end: i64) -> Vec<Row> {
    let desk = Desk::new();
    let mut args = vec!["--store", "run.db"];
    for file in files {
        file.write(&desk, data_end);
        args.extend(["--data", file.name]);
    }
    let report = desk.json(&[&args, scenario].concat());
    let session = report["session_id"].as_str().unwrap();
    // The description of the run, which is in the first event, has the sizes of the files.
    let sql = format!(
        "SELECT seq, event_type, ts, event_id, correlation_id, causation_id, command_id, source, entity_kind, entity_id, symbol,
                dedup_key, CASE event_type WHEN 'SessionStarted' THEN '' ELSE payload_json END
         FROM event_store WHERE ts < {end} * 1000000 AND event_type <> 'SessionStopped' ORDER BY seq"
    );
    let anonymous = |value| match value {
        Value::Text(text) => Value::Text(text.replace(session, "SESSION")),
        other => other,
    };
    rows(&desk.path("run.db"), &sql).into_iter().map(|row| row.into_iter().map(anonymous).collect()).collect()
}

/// Compares the run over all data with runs over the data of so many minutes. They are the same up to the last whole bar of
/// `span` minutes: one that the data do not hold to its end is not told, its opening neither.
fn check(files: &[File], scenario: &str, span: i64, minutes: &[i64]) {
    let scenario: &[&str] = &scenario.split(' ').collect::<Vec<_>>();
    let forever = i64::MAX / 2_000_000;
    let whole = events(files, scenario, forever, forever);
    for minute in minutes {
        let end = START + minute / span * span * MINUTE;
        let cut = events(files, scenario, START + minute * MINUTE, end);
        let same: Vec<&Row> =
            whole.iter().filter(|row| matches!(row[2], Value::Integer(at) if at < end * 1_000_000)).collect();
        // A comparison of nothing, or with nothing left to foresee, would show nothing.
        assert!(same.len() > 10 && same.len() + 5 < whole.len(), "{scenario:?}: {} of {}", same.len(), whole.len());
        for (is, should) in cut.iter().zip(&same) {
            assert_eq!(is, *should, "{scenario:?}, data of {minute} minutes");
        }
        assert_eq!(cut.len(), same.len(), "{scenario:?}, data of {minute} minutes");
    }
}

#[test]
fn bars_tell_nothing_of_later_ones() {
    let files = bars();
    for scenario in [
        "--strategy sma_cross --param mode=long_short",
        "--strategy sma_cross --param fast=5 --param slow=20 --fill close",
        "--strategy donchian_breakout --param entry=60 --param exit=30 --param mode=long_short",
        "--strategy atr_risk --param trend=60 --latency feed=30ms,entry=lognormal:40ms:0.5,answer=20ms",
        "--strategy grid --param spacing=0.002 --limit-fill touch",
    ] {
        check(&files, scenario, 1, &[607, 1_440, 2_111]);
    }
}

/// A coarser bar is not known before its last minute is, and its opening not before its first.
#[test]
fn resampled_bars_tell_nothing_of_later_ones() {
    let files = bars();
    for (span, scenario) in [
        (5, "--strategy sma_cross --timeframe 5m --param fast=3 --param slow=8 --param mode=long_short"),
        (15, "--strategy donchian_breakout --timeframe 15m --param entry=8 --param exit=4 --param mode=long_short"),
    ] {
        check(&files, scenario, span, &[1_201, 1_440, 1_513, 1_514]);
    }
}

#[test]
fn trades_and_book_tickers_tell_nothing_of_later_ones() {
    let files = ticks();
    let (trades, all) = (&files[..1], &files[..]);
    for (files, scenario) in [
        (trades, "--strategy sma_cross --param fast=2 --param slow=5 --param mode=long_short"),
        (trades, "--strategy grid --param spacing=0.0003 --param levels=30 --limit-fill touch"),
        (all, "--strategy market_maker"),
        (all, "--strategy market_maker --latency feed=3ms,entry=uniform:1ms:9ms,answer=4ms --seed 3"),
        (all, "--strategy sma_cross --param fast=2 --param slow=5 --param mode=long_short --latency 40ms"),
    ] {
        check(files, scenario, 1, &[41, 77, 90]);
    }
}

thread_local! {
    /// What a [`Witness`] saw, in the order in which it saw it.
    static SEEN: RefCell<Vec<(Timestamp, String)>> = const { RefCell::new(Vec::new()) };
}

/// A strategy that writes down all that it can see whenever it is told anything, and trades a little so that there is an account
/// to look at.
struct Witness {
    averages: Vec<alphaengine::core::attached::IndicatorId>,
}

const COARSER: [Timeframe; 2] = [Timeframe::M5, Timeframe::H1];

impl Witness {
    fn look(&self, ctx: &Context<'_>, what: String) {
        let mut seen = what;
        for symbol in ctx.symbols() {
            let position = ctx.position(symbol).qty();
            seen += &format!(" {:?} {:?} {position}", ctx.last_price(symbol), ctx.mark_price(symbol));
            for timeframe in [Timeframe::M1].into_iter().chain(COARSER) {
                let newest = ctx.bars(symbol, timeframe).and_then(|bars| bars.last());
                if let Some(bar) = newest {
                    assert!(bar.close_time() <= ctx.now(), "at {} there is a bar that ends later: {bar:?}", ctx.now());
                }
                seen += &format!(" {newest:?}");
            }
        }
        let averages: Vec<Option<f64>> = self.averages.iter().map(|id| ctx.indicator(*id)).collect();
        seen += &format!(" {averages:?} {} {} {}", ctx.equity(), ctx.wallet(), ctx.available());
        SEEN.with_borrow_mut(|all| all.push((ctx.now(), seen)));
    }
}

impl Strategy for Witness {
    fn info() -> StrategyInfo {
        StrategyInfo { name: "witness", about: "Writes down what it sees.", params: vec![] }
    }

    fn new(_: &Params, _: &Instruments) -> Result<Self, String> {
        Ok(Witness { averages: Vec::new() })
    }

    fn on_start(&mut self, ctx: &mut Context<'_>) {
        for symbol in ctx.symbols() {
            for timeframe in COARSER {
                ctx.subscribe(symbol, timeframe, 3);
                self.averages.push(ctx.attach(symbol, timeframe, IndicatorKind::Sma(Period::new(2).unwrap())));
            }
        }
        ctx.set_timer_in("half past", NANOS_PER_MINUTE / 2);
    }

    fn on_bar(&mut self, ctx: &mut Context<'_>, symbol: SymbolId, bar: &Bar) {
        self.look(ctx, format!("bar {symbol:?} {bar:?}"));
        if bar.timeframe == Timeframe::M5 {
            let side = if ctx.position(symbol).qty().is_positive() { Side::Sell } else { Side::Buy };
            ctx.place(OrderSpec::market(symbol, side, "0.1".parse().unwrap()));
        }
    }

    fn on_mark_price(&mut self, ctx: &mut Context<'_>, symbol: SymbolId, mark: Price) {
        self.look(ctx, format!("mark {symbol:?} {mark}"));
    }

    fn on_funding(&mut self, ctx: &mut Context<'_>, symbol: SymbolId, funding: &Funding) {
        self.look(ctx, format!("funding {symbol:?} {funding:?}"));
    }

    fn on_fill(&mut self, ctx: &mut Context<'_>, symbol: SymbolId, fill: &TradeExecuted) {
        // The name of an order has the session's id in it.
        self.look(ctx, format!("fill {symbol:?} {} {:?}", fill.traded_at, fill.fill));
    }

    fn on_timer(&mut self, ctx: &mut Context<'_>, name: &str) {
        self.look(ctx, format!("timer {name}"));
        ctx.set_timer_in(name, NANOS_PER_MINUTE);
    }
}

/// What the witness sees of data that end at `end`, in milliseconds.
fn seen(files: &[File], end: i64) -> Vec<(Timestamp, String)> {
    let desk = Desk::new();
    files.iter().for_each(|file| file.write(&desk, end));
    let data = |file: &File| DataArg::Path(desk.path(file.name));
    let strategies = Strategies::none().with::<Witness>();
    let entry = strategies.find("witness").unwrap();
    let options = options(files.iter().map(data).collect());
    SEEN.take();
    let job = alphaengine::backtest::Job::prepare(entry, options).unwrap();
    (entry.backtest)(job).unwrap();
    SEEN.take()
}

/// The defaults of the command, with nothing kept.
fn options(data: Vec<DataArg>) -> Options {
    let rate = |text: &str| text.parse::<Rate>().unwrap();
    let scene = SceneOptions {
        data,
        symbols: Vec::new(),
        timeframe: None,
        window: Window::default(),
        cash: "10000".parse().unwrap(),
        leverage: 20,
        isolated: false,
        hedge: false,
        costs: Costs {
            close_fill: false,
            slippage: rate("0.0001"),
            touch_fill: false,
            volume_cap: Some(rate("0.1")),
            taker_fee: rate("0.0005"),
            maker_fee: rate("0.0002"),
            latency: "0".to_owned(),
        },
        seed: 1,
        require_funding: false,
        exchange_info: None::<&Path>.map(Path::to_owned),
        brackets: None,
    };
    Options { params: Vec::new(), scene, limits: Default::default(), store: StoreChoice::None }
}

/// The log shows what a strategy did; this shows what it could see, whether it used it or not.
#[test]
fn a_witness_sees_only_the_past() {
    let files = bars();
    let whole = seen(&files, START + 800 * MINUTE);
    for minutes in [1, 60, 481, 640] {
        let end = START + minutes * MINUTE;
        let until = |seen: Vec<(Timestamp, String)>| {
            let before = seen.into_iter().take_while(|(at, _)| at.millis() < end);
            before.collect::<Vec<_>>()
        };
        let (is, should) = (until(seen(&files, end)), until(whole.clone()));
        assert!(should.len() as i64 > 4 * minutes, "{}", should.len());
        for (is, should) in is.iter().zip(&should) {
            assert_eq!(is, should, "data of {minutes} minutes");
        }
        assert_eq!(is.len(), should.len(), "data of {minutes} minutes");
    }
}
