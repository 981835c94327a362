//! Named loads for benchmarks: a walk in whole ticks from a fixed seed, as bars, as trades or as book tickers.

use alphaengine_core::market::{Bar, BookTicker, Timeframe, Trade};
use alphaengine_core::units::{NANOS_PER_DAY, NANOS_PER_MILLI, NANOS_PER_MINUTE, Price, Qty, Timestamp};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::chunk::{CHUNK_ROWS, Chunk, Timed};

/// Rows that [`bars`] gives: a year of minutes.
pub const BARS: usize = 525_600;
/// Rows that [`trades`] gives.
pub const TRADES: usize = 5_000_000;
/// Rows that [`books`] gives.
pub const BOOKS: usize = 2_000_000;
/// 2025-01-01T00:00:00Z.
pub const START: Timestamp = Timestamp::from_nanos(20_089 * NANOS_PER_DAY);

const SEED: u64 = 1;
const TICK: i64 = 10_000_000;
const LOT: i64 = 100_000;
/// Milliseconds between trades; two book tickers lie in the time of five trades.
const TRADE_GAP: i64 = 20;
const BOOK_GAP: i64 = 50;

/// A price that walks in ticks and turns back at the ends of its range.
struct Walk {
    dice: ChaCha8Rng,
    ticks: i64,
}

impl Walk {
    fn new() -> Walk {
        Walk { dice: ChaCha8Rng::seed_from_u64(SEED), ticks: 1_000_000 }
    }

    /// Moves by up to `reach` ticks and gives the bits that the move left over.
    fn step(&mut self, reach: u32) -> u32 {
        let bits = self.dice.next_u64();
        let width = 2 * u64::from(reach) + 1;
        let moved = (bits & 0xffff_ffff) % width;
        self.ticks = (self.ticks + moved as i64 - i64::from(reach)).clamp(200_000, 5_000_000);
        (bits >> 32) as u32
    }

    fn price(&self) -> Price {
        Price::from_steps(self.ticks * TICK)
    }
}

/// 525,600 one-minute bars.
pub fn bars() -> Vec<Chunk> {
    let mut walk = Walk::new();
    rows(BARS, Chunk::Bars, |i| {
        let open = walk.price();
        let (mut high, mut low, mut bits) = (open, open, 0);
        for _ in 0..4 {
            bits = walk.step(300);
            high = high.max(walk.price());
            low = low.min(walk.price());
        }
        Bar {
            open_time: START.plus(i * NANOS_PER_MINUTE),
            open,
            high,
            low,
            close: walk.price(),
            volume: qty(bits),
            timeframe: Timeframe::M1,
        }
    })
}

/// 5,000,000 trades, 20 ms apart.
pub fn trades() -> Vec<Chunk> {
    let mut walk = Walk::new();
    rows(TRADES, Chunk::Trades, |i| {
        let bits = walk.step(3);
        let row = Trade { id: i + 1, price: walk.price(), qty: qty(bits), is_buyer_maker: bits & 1 == 0 };
        Timed { at: START.plus(i * TRADE_GAP * NANOS_PER_MILLI), row }
    })
}

/// 2,000,000 book tickers, 50 ms apart, one tick wide around the walk of [`trades`]; never at the time of a trade.
pub fn books() -> Vec<Chunk> {
    let (mut walk, mut walked) = (Walk::new(), 0);
    rows(BOOKS, Chunk::Books, |i| {
        let millis = i * BOOK_GAP + TRADE_GAP / 4;
        let mut bits = 0;
        while walked * TRADE_GAP < millis {
            bits = walk.step(3);
            walked += 1;
        }
        let bid = walk.price();
        let ask = Price::from_steps(bid.steps() + TICK);
        let row = BookTicker { update_id: i + 1, bid, bid_qty: qty(bits), ask, ask_qty: qty(bits.rotate_left(9)) };
        Timed { at: START.plus(millis * NANOS_PER_MILLI), row }
    })
}

fn qty(bits: u32) -> Qty {
    Qty::from_steps((i64::from(bits & 0x3fff) + 1) * LOT)
}

fn rows<T>(count: usize, chunk: impl Fn(Vec<T>) -> Chunk, mut row: impl FnMut(i64) -> T) -> Vec<Chunk> {
    let starts = (0..count).step_by(CHUNK_ROWS);
    starts.map(|from| chunk((from..count.min(from + CHUNK_ROWS)).map(|i| row(i as i64)).collect())).collect()
}
