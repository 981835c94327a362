//! The SYNTHETIC sample: the same bits everywhere, and the habits of a market.

#![allow(clippy::unwrap_used)]

use alphaengine_core::market::{Bar, Funding, Timeframe};
use alphaengine_core::units::{NANOS_PER_MINUTE, Price};
use alphaengine_datasets::chunk::{CHUNK_ROWS, Chunk, Timed};
use alphaengine_datasets::{sample, workload};
use sha2::{Digest, Sha256};

struct Rows {
    bars: Vec<Bar>,
    marks: Vec<Bar>,
    funding: Vec<Timed<Funding>>,
}

fn rows(chunks: &[Chunk]) -> Rows {
    let mut rows = Rows { bars: vec![], marks: vec![], funding: vec![] };
    for chunk in chunks {
        assert!(!chunk.is_empty() && chunk.len() <= CHUNK_ROWS);
        match chunk {
            Chunk::Bars(bars) => rows.bars.extend(bars),
            Chunk::MarkBars(bars) => rows.marks.extend(bars),
            Chunk::Funding(funding) => rows.funding.extend(funding),
            other => panic!("not in the sample: {} rows", other.len()),
        }
    }
    rows
}

fn digest(bars: &[Bar], hash: &mut Sha256) {
    for bar in bars {
        let numbers = [bar.open_time.nanos(), bar.open.steps(), bar.high.steps(), bar.low.steps(), bar.close.steps()];
        numbers.iter().chain(&[bar.volume.steps()]).for_each(|n| hash.update(n.to_le_bytes()));
    }
}

#[test]
fn every_machine_makes_the_same_bits() {
    let mut hash = Sha256::new();
    for (symbol, chunks) in sample::chunks() {
        let rows = rows(&chunks);
        hash.update(symbol);
        digest(&rows.bars, &mut hash);
        digest(&rows.marks, &mut hash);
        for Timed { at, row } in rows.funding {
            let mark = row.mark.map_or(0, Price::steps);
            [at.nanos(), row.rate.steps(), mark].iter().for_each(|n| hash.update(n.to_le_bytes()));
        }
    }
    let hex: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "ec31cbc5c1866a83becca517e477cb402d95d698ecc56ee18bc974becfa3814e");
}

#[test]
fn it_behaves_like_a_market() {
    assert!(sample::describe().contains("SYNTHETIC"));
    let mut returns_of = vec![];
    for ((symbol, chunks), tick) in sample::chunks().into_iter().zip(["0.1", "0.01"]) {
        let rows = rows(&chunks);
        let tick: Price = tick.parse().unwrap();
        assert_eq!(rows.bars.len(), 129_600);
        assert_eq!(rows.marks.len(), 129_600);
        assert_eq!(rows.bars[0].open_time.to_string(), "2025-01-01T00:00:00.000Z");
        for bars in [&rows.bars, &rows.marks] {
            for (i, bar) in bars.iter().enumerate() {
                assert_eq!(bar.open_time, sample::START.plus(i as i64 * NANOS_PER_MINUTE));
                assert_eq!(bar.timeframe, Timeframe::M1);
                assert!(
                    bar.low <= bar.open.min(bar.close) && bar.open.max(bar.close) <= bar.high && bar.low > Price::ZERO
                );
                for price in [bar.open, bar.high, bar.low, bar.close] {
                    assert_eq!(price.steps() % tick.steps(), 0);
                }
            }
        }
        for pair in rows.bars.windows(2) {
            assert!((pair[1].open.steps() - pair[0].close.steps()).abs() <= tick.steps());
        }
        for (bar, mark) in rows.bars.iter().zip(&rows.marks) {
            let basis = mark.close.to_f64() / bar.close.to_f64() - 1.0;
            assert!(basis.abs() < 0.0015, "{symbol} basis {basis}");
            assert!(bar.volume.is_positive() && mark.volume.is_zero());
        }

        let returns: Vec<f64> = rows.bars.windows(2).map(|w| w[1].close.to_f64() / w[0].close.to_f64() - 1.0).collect();
        let n = returns.len() as f64;
        let mean = returns.iter().sum::<f64>() / n;
        let moment = |power| returns.iter().map(|r| (r - mean).powi(power)).sum::<f64>() / n;
        let volatility = (moment(2) * 525_600.0).sqrt();
        let kurtosis = moment(4) / moment(2).powi(2);
        let large = returns.iter().filter(|r| r.abs() > 0.01).count();
        let end = rows.bars[129_599].close;
        println!(
            "{symbol}: volatility {volatility:.3}, kurtosis {kurtosis:.1}, {large} moves above 1 %, ends at {end}"
        );
        assert!((0.4..0.9).contains(&volatility), "{volatility}");
        assert!(kurtosis > 5.0 && (1..100).contains(&large));
        assert!(clusters(&returns) > 0.1, "volatility comes in clusters");

        let volume_of_hour = |hour: usize| -> f64 {
            let bars = rows.bars.iter().enumerate().filter(|(i, _)| i / 60 % 24 == hour);
            bars.map(|(_, bar)| bar.volume.to_f64()).sum()
        };
        assert!(volume_of_hour(14) > 2.0 * volume_of_hour(4));

        assert_eq!(rows.funding.len(), 270);
        let rates: Vec<f64> = rows.funding.iter().map(|f| f.row.rate.to_f64()).collect();
        let mean = rates.iter().sum::<f64>() / 270.0;
        println!("{symbol}: mean funding {mean:.6}");
        assert!((-0.0005..0.0005).contains(&mean));
        assert!(rates.iter().all(|rate| rate.abs() < 0.003) && rates.iter().any(|rate| *rate < 0.0));
        assert!(rows.funding.iter().all(|f| f.row.mark.is_some()));
        returns_of.push(returns);
    }
    let correlation = correlation(&returns_of[0], &returns_of[1]);
    println!("correlation {correlation:.2}");
    assert!((0.6..0.95).contains(&correlation));
}

/// The correlation of neighbouring sizes of returns.
fn clusters(returns: &[f64]) -> f64 {
    let sizes: Vec<f64> = returns.iter().map(|r| r.abs()).collect();
    correlation(&sizes[1..], &sizes[..sizes.len() - 1])
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len() as f64;
    let (ma, mb) = (a.iter().sum::<f64>() / n, b.iter().sum::<f64>() / n);
    let covariance: f64 = a.iter().zip(b).map(|(x, y)| (x - ma) * (y - mb)).sum();
    let square = |v: &[f64], m: f64| v.iter().map(|x| (x - m) * (x - m)).sum::<f64>();
    covariance / (square(a, ma) * square(b, mb)).sqrt()
}

#[test]
fn workloads_have_their_sizes_and_order() {
    let count = |chunks: &[Chunk]| chunks.iter().map(Chunk::len).sum::<usize>();
    let bars = workload::bars();
    assert_eq!(count(&bars), 525_600);
    for chunk in &bars {
        let Chunk::Bars(bars) = chunk else { panic!("bars are bars") };
        assert!(bars.iter().all(|b| b.low <= b.open.min(b.close) && b.open.max(b.close) <= b.high));
    }
    let mut last = None;
    let trades = workload::trades();
    assert_eq!(count(&trades), 5_000_000);
    for chunk in &trades {
        let Chunk::Trades(trades) = chunk else { panic!("trades are trades") };
        for trade in trades {
            assert!(last.is_none_or(|last| last < trade.at));
            last = Some(trade.at);
        }
    }
    let end_of_trades = last;
    last = None;
    let books = workload::books();
    assert_eq!(count(&books), 2_000_000);
    for chunk in &books {
        let Chunk::Books(books) = chunk else { panic!("books are books") };
        for book in books {
            assert!(last.is_none_or(|last| last < book.at) && book.row.bid < book.row.ask);
            assert_ne!(book.at.millis() % 20, 0, "not at the time of a trade");
            last = Some(book.at);
        }
    }
    let apart = end_of_trades.unwrap().millis() - last.unwrap().millis();
    assert!(apart.abs() < 100, "both end together");
}
