//! Every kind of finding, on rows that are wrong in one way each; and none on rows that are good.

#![allow(clippy::unwrap_used)]

use alphaengine_core::market::{Bar, BookTicker, Funding, Timeframe, Trade};
use alphaengine_core::units::{NANOS_PER_MILLI, NANOS_PER_MINUTE, Price, Qty, Rate, Timestamp};
use alphaengine_datasets::check::{Between, CheckReport, Checker, EXAMPLES, FindingKind, check_ohlc};
use alphaengine_datasets::chunk::{Chunk, Timed};
use alphaengine_datasets::kind::Kind;
use alphaengine_datasets::{sample, workload};
use proptest::prelude::*;

const START: Timestamp = sample::START;

fn bar(minute: i64) -> Bar {
    let [open, high, low, close] = [100, 102, 99, 101].map(Price::whole);
    let open_time = START.plus(minute * NANOS_PER_MINUTE);
    Bar { open_time, open, high, low, close, volume: Qty::ONE, timeframe: Timeframe::M1 }
}

fn check_bars(bars: Vec<Bar>) -> CheckReport {
    let mut checker = Checker::new(Kind::Klines, Some(Timeframe::M1), "BTCUSDT", Some("0.1".parse().unwrap()));
    checker.push(&Chunk::Bars(bars));
    checker.finish()
}

/// What was found, with counts.
fn found(report: &CheckReport) -> Vec<(FindingKind, u64)> {
    report.findings.iter().map(|finding| (finding.kind, finding.count)).collect()
}

#[test]
fn good_data_are_clean() {
    for (symbol, chunks) in sample::chunks() {
        for kind in [Kind::Klines, Kind::MarkPriceKlines, Kind::FundingRate] {
            let timeframe = kind.has_timeframe().then_some(Timeframe::M1);
            let mut checker = Checker::new(kind, timeframe, symbol, Some("0.01".parse().unwrap()));
            let of_kind = |chunk: &&Chunk| match chunk {
                Chunk::Bars(_) => kind == Kind::Klines,
                Chunk::MarkBars(_) => kind == Kind::MarkPriceKlines,
                _ => kind == Kind::FundingRate,
            };
            chunks.iter().filter(of_kind).for_each(|chunk| checker.push(chunk));
            let report = checker.finish();
            assert_eq!(report.findings, [], "{report}");
            assert_eq!(report.first, Some(START));
        }
    }
    let mut trades = Checker::new(Kind::Trades, None, "BTCUSDT", Some("0.1".parse().unwrap()));
    trades.push(&workload::trades()[0]);
    assert_eq!(trades.finish().findings, []);
}

#[test]
fn missing_repeated_and_late_bars_are_counted() {
    let report = check_bars([0, 1, 5, 6, 6, 3, 7].map(bar).to_vec());
    assert_eq!(
        found(&report),
        [(FindingKind::Gap, 2), (FindingKind::Duplicate, 1), (FindingKind::TimeBack, 1)],
        "{report}"
    );
    assert!(!report.is_clean());
    let places: Vec<_> = report.findings[0].examples.iter().map(|example| example.at).collect();
    assert_eq!(places, [bar(2).open_time, bar(4).open_time]);
    assert_eq!((report.rows, report.last), (7, Some(bar(7).open_time)));
}

/// A row in the wrong place is one problem, not two.
#[test]
fn bars_that_come_late_are_not_missing() {
    for (minutes, expected) in [
        (&[0, 2, 1, 3][..], &[(FindingKind::TimeBack, 1)][..]),
        (&[0, 3, 2, 1, 4], &[(FindingKind::TimeBack, 2)]),
        (&[0, 4, 1, 2, 3, 5], &[(FindingKind::TimeBack, 1)]),
        (&[0, 1, 1, 2], &[(FindingKind::Duplicate, 1)]),
        (&[0, 3, 1, 1, 4], &[(FindingKind::Gap, 1), (FindingKind::Duplicate, 1), (FindingKind::TimeBack, 1)]),
        (&[0, 2, 0, 3], &[(FindingKind::Gap, 1), (FindingKind::TimeBack, 1)]),
    ] {
        let report = check_bars(minutes.iter().copied().map(bar).collect());
        assert_eq!(found(&report), expected, "{minutes:?}");
    }
}

#[test]
fn mark_prices_have_no_grid() {
    let mut checker = Checker::new(Kind::MarkPriceKlines, Some(Timeframe::M1), "BTCUSDT", Some(Price::whole(5)));
    checker.push(&Chunk::MarkBars((0..3).map(bar).collect()));
    assert_eq!(checker.finish().findings, []);
    let mark =
        |second: i64, price: i64| Timed { at: START.plus(second * 1_000 * NANOS_PER_MILLI), row: Price::whole(price) };
    // Those of a recording have no timeframe; they are rows of their kind all the same.
    for (kind, expected) in [
        (Kind::MarkPriceKlines, &[(FindingKind::TimeBack, 1), (FindingKind::BadValue, 1)][..]),
        (Kind::Recording, &[(FindingKind::BadValue, 1)]),
    ] {
        let mut checker = Checker::new(kind, None, "BTCUSDT", Some(Price::whole(5)));
        checker.push(&Chunk::Marks(vec![mark(0, 101), mark(1, 102), mark(9, 0), mark(8, 103)]));
        assert_eq!(found(&checker.finish()), expected, "{kind}");
    }
}

#[test]
fn holes_between_files_are_counted() {
    let klines = |symbol: &str, from: i64, to: i64| {
        let mut checker = Checker::new(Kind::Klines, Some(Timeframe::M1), symbol, None);
        checker.push(&Chunk::Bars((from..to).map(bar).collect()));
        checker.finish()
    };
    let funding = |hours: &[i64]| {
        let mut checker = Checker::new(Kind::FundingRate, None, "BTCUSDT", None);
        let row = Funding { rate: Rate::ZERO, mark: None };
        let at = |hour: &i64| START.plus(hour * 60 * NANOS_PER_MINUTE + hour % 3 * NANOS_PER_MILLI);
        checker.push(&Chunk::Funding(hours.iter().map(|hour| Timed { at: at(hour), row }).collect()));
        checker.finish()
    };
    let trades = |id: i64| {
        let mut checker = Checker::new(Kind::Trades, None, "BTCUSDT", None);
        let row = Trade { id, price: Price::ONE, qty: Qty::ONE, is_buyer_maker: true };
        checker.push(&Chunk::Trades(vec![Timed { at: START.plus(id * NANOS_PER_MINUTE), row }]));
        checker.finish()
    };
    let between = |reports: &[CheckReport]| Between::files(reports).iter().map(Between::to_string).collect::<Vec<_>>();

    let whole = [klines("BTCUSDT", 5, 9), klines("BTCUSDT", 0, 5), klines("ETHUSDT", 20, 30)];
    assert_eq!(between(&whole), ["BTCUSDT klines 1m: 2 files, nothing missing between them"]);
    assert!(Between::files(&whole)[0].is_clean());
    // A file within another one hides nothing and makes nothing up; neither does one without rows.
    let files = [(0, 5), (5, 20), (7, 9), (21, 25), (30, 31), (40, 40)].map(|(from, to)| klines("BTCUSDT", from, to));
    assert_eq!(
        between(&files),
        ["BTCUSDT klines 1m: 5 files, problems\n  problem: missing between files: 6\n    \
          2025-01-01T00:20:00.000Z: 1 rows up to 2025-01-01T00:21:00.000Z\n    \
          2025-01-01T00:25:00.000Z: 5 rows up to 2025-01-01T00:30:00.000Z"]
    );
    assert!(!Between::files(&files)[0].is_clean());

    assert!(Between::files(&[funding(&[0, 8, 16]), funding(&[24, 28, 32]), funding(&[36])])[0].is_clean());
    assert_eq!(Between::files(&[funding(&[0, 8, 16]), funding(&[40, 48])])[0].missing, 2);
    assert_eq!(between(&[trades(0), trades(1_000_000)]), [""; 0], "nothing says when the next trade should come");
}

#[test]
fn bars_off_their_timeframe_are_counted() {
    let mut odd = bar(1);
    odd.open_time = odd.open_time.plus(NANOS_PER_MILLI);
    let mut other = bar(2);
    other.timeframe = Timeframe::M5;
    assert_eq!(check_bars(vec![bar(0), odd, other]).count(FindingKind::Misaligned), 2);
}

#[test]
fn contradictory_bars_are_counted() {
    let low = |bar: &mut Bar| bar.low = "100.5".parse().unwrap();
    let high = |bar: &mut Bar| bar.high = "100.5".parse().unwrap();
    let turned = |bar: &mut Bar| bar.high = Price::ONE;
    let zero = |bar: &mut Bar| bar.low = Price::ZERO;
    let volume = |bar: &mut Bar| bar.volume = Qty::whole(-1);
    let breaks: [fn(&mut Bar); 5] = [low, high, turned, zero, volume];
    let bars: Vec<Bar> = (0..)
        .zip(breaks)
        .map(|(i, spoil)| {
            let mut bar = bar(i);
            spoil(&mut bar);
            assert!(check_ohlc(&bar).is_some());
            bar
        })
        .collect();
    let report = check_bars(bars);
    assert_eq!(report.count(FindingKind::Ohlc), 5, "{report}");
    assert_eq!(check_ohlc(&bar(0)), None);
}

#[test]
fn odd_bars_are_information() {
    let mut bars: Vec<Bar> = (0..10).map(bar).collect();
    bars[1].volume = Qty::ZERO;
    bars[2].close = "101.05".parse().unwrap();
    bars[4].high = "110.1".parse().unwrap();
    let report = check_bars(bars);
    assert_eq!(
        found(&report),
        [(FindingKind::OffGrid, 1), (FindingKind::ZeroVolume, 1), (FindingKind::LargeMove, 1)],
        "{report}"
    );
    assert!(report.is_clean());
}

#[test]
fn examples_are_few_and_counts_complete() {
    let mut bars: Vec<Bar> = (0..100).map(bar).collect();
    bars.iter_mut().for_each(|bar| bar.volume = Qty::ZERO);
    let report = check_bars(bars);
    assert_eq!((report.findings[0].count, report.findings[0].examples.len()), (100, EXAMPLES));
    assert!(report.to_string().contains("bars without volume: 100"));
}

#[test]
fn missing_settlements_are_measured_by_the_usual_time_between() {
    let check = |hours: &[i64]| {
        let mut checker = Checker::new(Kind::FundingRate, None, "BTCUSDT", None);
        let row = Funding { rate: Rate::ZERO, mark: None };
        let rows = hours.iter().enumerate().map(|(jitter, hour)| Timed {
            at: START.plus(hour * 60 * NANOS_PER_MINUTE + jitter as i64 % 3 * NANOS_PER_MILLI),
            row,
        });
        checker.push(&Chunk::Funding(rows.collect()));
        checker.finish()
    };
    assert_eq!(check(&[0, 8, 16, 24, 32]).findings, []);
    assert_eq!(check(&[0, 4, 8, 12, 16]).findings, []);
    assert_eq!(found(&check(&[0, 8, 16, 40, 48, 56])), [(FindingKind::Gap, 2)]);
    assert_eq!(found(&check(&[0, 8, 24, 32, 40])), [(FindingKind::Gap, 1)]);
    assert_eq!(check(&[0]).findings, []);
    assert_eq!(check(&[]).rows, 0);
}

#[test]
fn trades_with_wrong_ids_and_values_are_counted() {
    let trade = |at: i64, id: i64, price: &str, qty: &str| {
        let row = Trade { id, price: price.parse().unwrap(), qty: qty.parse().unwrap(), is_buyer_maker: false };
        Timed { at: START.plus(at * NANOS_PER_MILLI), row }
    };
    let mut checker = Checker::new(Kind::Trades, None, "BTCUSDT", Some("0.1".parse().unwrap()));
    checker.push(&Chunk::Trades(vec![
        trade(0, 10, "100", "1"),
        trade(0, 11, "100", "1"),
        trade(1, 11, "100", "1"),
        trade(1, 9, "100", "1"),
        trade(0, 15, "100", "0"),
        trade(2, 16, "-1", "1"),
        trade(3, 17, "100.05", "1"),
        trade(4, 18, "120", "1"),
    ]));
    let report = checker.finish();
    let expected = [
        (FindingKind::Duplicate, 1),
        (FindingKind::TimeBack, 1),
        (FindingKind::BadValue, 2),
        (FindingKind::IdBack, 1),
        (FindingKind::OffGrid, 1),
        (FindingKind::IdGap, 5),
        (FindingKind::LargeMove, 1),
    ];
    assert_eq!(found(&report), expected, "{report}");
}

#[test]
fn crossed_books_and_foreign_rows_are_counted() {
    let book = |bid: i64, ask: i64| BookTicker {
        update_id: bid,
        bid: Price::whole(bid),
        bid_qty: Qty::ONE,
        ask: Price::whole(ask),
        ask_qty: Qty::ONE,
    };
    let mut checker = Checker::new(Kind::BookTicker, None, "BTCUSDT", None);
    let rows = [book(100, 101), book(101, 101), book(102, 101)];
    checker.push(&Chunk::Books(rows.into_iter().map(|row| Timed { at: START, row }).collect()));
    checker.push(&Chunk::Bars(vec![bar(0), bar(1)]));
    assert_eq!(found(&checker.finish()), [(FindingKind::CrossedBook, 2), (FindingKind::WrongKind, 2)]);
}

proptest! {
    /// No rows, however strange, stop a check.
    #[test]
    fn no_bars_stop_a_check(rows in proptest::collection::vec(any::<[i64; 6]>(), 0..20)) {
        let bars = rows.into_iter().map(|[time, a, b, c, d, volume]| Bar {
            open_time: Timestamp::from_nanos(time),
            open: Price::from_steps(a),
            high: Price::from_steps(b),
            low: Price::from_steps(c),
            close: Price::from_steps(d),
            volume: Qty::from_steps(volume),
            timeframe: Timeframe::M1,
        });
        let bars: Vec<Bar> = bars.collect();
        let count = bars.len() as u64;
        let report = check_bars(bars);
        prop_assert_eq!(report.rows, count);
        prop_assert!(!report.to_string().is_empty());
    }

    #[test]
    fn no_fundings_or_trades_stop_a_check(rows in proptest::collection::vec(any::<[i64; 3]>(), 0..20)) {
        let mut checker = Checker::new(Kind::FundingRate, None, "X", None);
        let mut trades = Checker::new(Kind::Trades, None, "X", Some(Price::ONE));
        for [time, a, b] in rows {
            let at = Timestamp::from_nanos(time);
            checker.push(&Chunk::Funding(vec![Timed { at, row: Funding { rate: Rate::ZERO, mark: Some(Price::from_steps(a)) } }]));
            let row = Trade { id: a, price: Price::from_steps(b), qty: Qty::from_steps(a), is_buyer_maker: true };
            trades.push(&Chunk::Trades(vec![Timed { at, row }]));
        }
        checker.finish();
        trades.finish();
    }
}
