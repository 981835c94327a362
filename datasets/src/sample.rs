//! The built-in SYNTHETIC sample: 90 days of one-minute bars of BTCUSDT and ETHUSDT, with mark prices and funding.
//!
//! It is made from a fixed seed with additions, multiplications and square roots only (and `libm` for two tables), so that
//! every machine makes the same bits. Prices are martingales: there is nothing in them that a strategy could learn.

use alphaengine_core::market::{Bar, Funding, Timeframe};
use alphaengine_core::units::{NANOS_PER_DAY, NANOS_PER_MINUTE, Price, Qty, Rate, Timestamp};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::chunk::{CHUNK_ROWS, Chunk, Timed};

/// The symbols of the sample.
pub const SYMBOLS: [&str; 2] = ["BTCUSDT", "ETHUSDT"];
/// Days in the sample.
pub const DAYS: i64 = 90;
/// 2025-01-01T00:00:00Z.
pub const START: Timestamp = Timestamp::from_nanos(20_089 * NANOS_PER_DAY);

const MINUTES: i64 = DAYS * MINUTES_PER_DAY;
const MINUTES_PER_DAY: i64 = 1_440;
const MINUTES_PER_FUNDING: i64 = 480;
const SEED: u64 = 20_250_101;
/// Points of the path inside a minute, the opening not counted.
const SUB_STEPS: usize = 6;
/// One minute in this many has a jump.
const MINUTES_PER_JUMP: u64 = 3_600;

/// What the sample is, in a sentence for people.
pub fn describe() -> String {
    format!(
        "SYNTHETIC sample: {DAYS} days of one-minute bars of {} from {START}, with mark prices and 8-hourly funding, made \
         from a fixed seed. The prices are random and are no market's; results on them mean nothing for trading.",
        SYMBOLS.join(" and "),
    )
}

/// The whole sample: per symbol its bars, mark price bars and funding, in chunks.
pub fn chunks() -> Vec<(&'static str, Vec<Chunk>)> {
    let mut market = Market::new();
    let mut made = [Made::new(), Made::new()];
    for minute in 0..MINUTES {
        market.minute(minute, &mut made);
    }
    SYMBOLS.into_iter().zip(made.map(Made::into_chunks)).collect()
}

/// Random numbers; only integer steps and exact float operations.
struct Dice(ChaCha8Rng);

impl Dice {
    fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Between 0 and 1, from the upper 53 bits.
    fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Mean 0, variance 1 and bell-shaped: the sum of four uniform numbers of 16 bits.
    fn normal(&mut self) -> f64 {
        const MEAN: f64 = 2.0 * 65_535.0;
        /// The square root of three, over 65,536.
        const SCALE: f64 = 1.732_050_807_568_877_2 / 65_536.0;
        let bits = self.bits();
        let sum = (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
        (sum as f64 - MEAN) * SCALE
    }
}

/// What belongs to one symbol only.
struct Coin {
    /// In steps of 1e-8.
    tick: i64,
    lot: i64,
    price: f64,
    /// The usual standard deviation of a minute's return.
    sigma: f64,
    /// How strongly it follows the common factor; the rest is its own.
    beta: f64,
    jump: f64,
    volume: f64,
    basis: f64,
    funding: f64,
    close: i64,
    mark: i64,
}

impl Coin {
    fn new(tick: i64, price: f64, sigma: f64, beta: f64, jump: f64, volume: f64) -> Coin {
        let mut coin =
            Coin { tick, lot: 100_000, price, sigma, beta, jump, volume, basis: 0.0, funding: 0.0, close: 0, mark: 0 };
        coin.close = coin.on_grid(price);
        coin.mark = coin.close;
        coin
    }

    /// A price in steps, on the tick grid.
    fn on_grid(&self, price: f64) -> i64 {
        (price * 1e8 / self.tick as f64 + 0.5) as i64 * self.tick
    }
}

/// The state that both symbols share, and theirs.
struct Market {
    dice: Dice,
    coins: [Coin; 2],
    /// Volatility by minute of the day, 1 on average of its square.
    volatility: Vec<f64>,
    volume: Vec<f64>,
    /// The logarithm of the slow part of volatility: it wanders over hours.
    slow: f64,
    /// The fast part, a variance that follows the squares of recent returns.
    fast: f64,
}

impl Market {
    fn new() -> Market {
        let coins = [
            Coin::new(10_000_000, 93_500.0, 0.000_35, 1.0, 1.0, 110.0),
            Coin::new(1_000_000, 3_340.0, 0.000_46, 0.82, 1.25, 2_100.0),
        ];
        let (volatility, volume) = daily_shape();
        Market { dice: Dice(ChaCha8Rng::seed_from_u64(SEED)), coins, volatility, volume, slow: 0.0, fast: 1.0 }
    }

    fn minute(&mut self, minute: i64, made: &mut [Made; 2]) {
        let of_day = (minute % MINUTES_PER_DAY) as usize;
        self.slow = 0.9985 * self.slow + 0.021 * self.dice.normal();
        let level = libm::exp(self.slow - 0.1) * self.fast.sqrt() * self.volatility[of_day];
        let jump = self.jump();
        // The common path of the minute, drawn once, so that the symbols move together inside it too.
        let common: [f64; SUB_STEPS] = std::array::from_fn(|_| self.dice.normal());
        let step = level / (SUB_STEPS as f64).sqrt();
        let mut moved = 0.0;
        for (coin, made) in self.coins.iter_mut().zip(made) {
            let own = (1.0 - coin.beta * coin.beta).sqrt();
            let (opened_at, mut path) = (coin.price, [0i64; SUB_STEPS]);
            for (i, point) in path.iter_mut().enumerate() {
                let noise = coin.beta * common[i] + if own > 0.0 { own * self.dice.normal() } else { 0.0 };
                let leap = jump.filter(|(at, _)| *at == i).map_or(0.0, |(_, size)| size * coin.jump);
                coin.price *= 1.0 + coin.sigma * step * noise + leap;
                *point = coin.on_grid(coin.price);
            }
            let size = (coin.price / opened_at - 1.0) / coin.sigma;
            moved += 0.5 * size * size;
            let activity = self.volume[of_day] * (0.35 + 0.5 * level + 0.4 * size.abs());
            made.bar(minute, coin, path, activity, &mut self.dice);
        }
        self.fast = 0.06 + 0.9 * self.fast + 0.04 * moved.min(25.0);
    }

    /// Now and then, the sub-step and the size of a jump.
    fn jump(&mut self) -> Option<(usize, f64)> {
        if self.dice.bits() >= u64::MAX / MINUTES_PER_JUMP {
            return None;
        }
        let (at, size) =
            (self.dice.bits() % SUB_STEPS as u64, 0.003 + 0.015 * self.dice.uniform() * self.dice.uniform());
        Some((at as usize, if self.dice.bits() & 1 == 0 { size } else { -size }))
    }
}

/// Volatility and volume by minute of the day: a wave with its low before dawn UTC and a peak when New York opens.
fn daily_shape() -> (Vec<f64>, Vec<f64>) {
    let activity = |minute: i64| {
        let wave = libm::cos(std::f64::consts::TAU * (minute - 900) as f64 / MINUTES_PER_DAY as f64);
        let opening = (minute - 870) as f64 / 45.0;
        1.0 + 0.4 * wave + 0.8 * libm::exp(-0.5 * opening * opening)
    };
    let volume: Vec<f64> = (0..MINUTES_PER_DAY).map(activity).collect();
    let mean = volume.iter().sum::<f64>() / volume.len() as f64;
    (volume.iter().map(|v| (v / mean).sqrt()).collect(), volume.iter().map(|v| v / mean).collect())
}

/// The rows of one symbol.
struct Made {
    bars: Vec<Bar>,
    marks: Vec<Bar>,
    funding: Vec<Timed<Funding>>,
}

impl Made {
    fn new() -> Made {
        let rows = MINUTES as usize;
        Made { bars: Vec::with_capacity(rows), marks: Vec::with_capacity(rows), funding: Vec::new() }
    }

    fn bar(&mut self, minute: i64, coin: &mut Coin, path: [i64; SUB_STEPS], activity: f64, dice: &mut Dice) {
        let open_time = START.plus(minute * NANOS_PER_MINUTE);
        if minute % MINUTES_PER_FUNDING == 0 {
            coin.funding = 0.85 * coin.funding + 0.000_03 * dice.normal();
            let rate = ((0.000_1 + coin.funding) * 1e8) as i64;
            let row = Funding { rate: Rate::from_steps(rate), mark: Some(Price::from_steps(coin.mark)) };
            self.funding.push(Timed { at: open_time, row });
        }
        // The first trade of a minute is a tick or none away from the last one before it.
        let open = coin.close + coin.tick * [-1, 0, 0, 1][(dice.bits() & 3) as usize];
        let (high, low) = path.iter().fold((open, open), |(high, low), p| (high.max(*p), low.min(*p)));
        coin.close = path[SUB_STEPS - 1];
        let crowd = 0.4 + 1.2 * dice.uniform() * dice.uniform() + 0.6 * dice.uniform();
        let lots = (coin.volume * activity * crowd * 1e8 / coin.lot as f64) as i64;
        let volume = Qty::from_steps(lots.max(1) * coin.lot);
        self.bars.push(bar(open_time, [open, high, low, coin.close], volume));

        coin.basis = 0.97 * coin.basis + 0.000_04 * dice.normal();
        let shifted = |price: i64| coin.on_grid(price as f64 / 1e8 * (1.0 + coin.basis));
        let (opening, closing) = (coin.mark, shifted(coin.close));
        let ends = (opening.max(closing), opening.min(closing));
        let range = [opening, shifted(high).max(ends.0), shifted(low).min(ends.1), closing];
        self.marks.push(bar(open_time, range, Qty::ZERO));
        coin.mark = closing;
    }

    fn into_chunks(self) -> Vec<Chunk> {
        let bars = self.bars.chunks(CHUNK_ROWS).map(|rows| Chunk::Bars(rows.to_vec()));
        let marks = self.marks.chunks(CHUNK_ROWS).map(|rows| Chunk::MarkBars(rows.to_vec()));
        let funding = self.funding.chunks(CHUNK_ROWS).map(|rows| Chunk::Funding(rows.to_vec()));
        bars.chain(marks).chain(funding).collect()
    }
}

fn bar(open_time: Timestamp, [open, high, low, close]: [i64; 4], volume: Qty) -> Bar {
    Bar {
        open_time,
        open: Price::from_steps(open),
        high: Price::from_steps(high),
        low: Price::from_steps(low),
        close: Price::from_steps(close),
        volume,
        timeframe: Timeframe::M1,
    }
}
