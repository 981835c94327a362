//! Latency: how long market data, orders and answers are on their way.
//!
//! A delay is constant, drawn from a seeded distribution, or taken row by row from a list of measured ones (which begins again
//! at its end).
//!
//! The feed and the answers are streams: they keep their order, so a slow message holds up those behind it. Requests travel apart,
//! as calls over HTTP do: a fast one may arrive before a slow one that was sent earlier.

use std::str::FromStr;

use alphaengine_core::units::{NANOS_PER_MILLI, NANOS_PER_SECOND, Nanos};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::Serialize;

/// How long one kind of message takes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Delay {
    Constant(Nanos),
    /// Between two spans, both possible.
    Uniform {
        from: Nanos,
        to: Nanos,
    },
    /// Log-normal: `median`, and the standard deviation `sigma` of its logarithm (0.4 is a typical home line).
    LogNormal {
        median: Nanos,
        sigma: f64,
    },
    /// Measured ones, one after the other.
    Rows(Vec<Nanos>),
}

impl Default for Delay {
    fn default() -> Delay {
        Delay::Constant(0)
    }
}

/// The delays of the three ways.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Latency {
    /// From the exchange's matching to our ear.
    pub feed: Delay,
    /// From us to the exchange's matching.
    pub entry: Delay,
    /// From the exchange's matching back: answers, fills, funding.
    pub answer: Delay,
}

impl Latency {
    /// Nothing takes any time.
    pub fn is_zero(&self) -> bool {
        [&self.feed, &self.entry, &self.answer].into_iter().all(|delay| *delay == Delay::Constant(0))
    }

    /// Reads `0`, `5ms` (all three) or `feed=2ms,entry=lognormal:5ms:0.4,answer=uniform:1ms:9ms`. `rows:FILE` is read with
    /// `read`, one delay a line; a line without a unit is in milliseconds.
    pub fn parse(text: &str, read: impl Fn(&str) -> Result<String, String>) -> Result<Latency, String> {
        if !text.contains('=') {
            let delay = parse_delay(text, &read)?;
            return Ok(Latency { feed: delay.clone(), entry: delay.clone(), answer: delay });
        }
        let mut latency = Latency::default();
        for part in text.split(',') {
            let (way, delay) = part.split_once('=').ok_or_else(|| format!("`{part}` is not WAY=DELAY"))?;
            let delay = parse_delay(delay, &read)?;
            match way.trim() {
                "feed" => latency.feed = delay,
                "entry" => latency.entry = delay,
                "answer" => latency.answer = delay,
                other => return Err(format!("`{other}` is not one of feed, entry, answer")),
            }
        }
        Ok(latency)
    }
}

fn parse_delay(text: &str, read: &impl Fn(&str) -> Result<String, String>) -> Result<Delay, String> {
    let text = text.trim();
    let Some((kind, rest)) = text.split_once(':') else {
        return parse_span(text).map(Delay::Constant);
    };
    let two = || rest.split_once(':').ok_or_else(|| format!("`{text}` needs two values: {kind}:A:B"));
    match kind {
        "uniform" => {
            let (from, to) = two()?;
            let (from, to) = (parse_span(from)?, parse_span(to)?);
            if from > to {
                return Err(format!("`{text}`: {from} ns is more than {to} ns"));
            }
            Ok(Delay::Uniform { from, to })
        }
        "lognormal" => {
            let (median, sigma) = two()?;
            let sigma = f64::from_str(sigma).ok().filter(|sigma| (0.0..=5.0).contains(sigma));
            let sigma = sigma.ok_or_else(|| format!("`{text}`: sigma is a number from 0 to 5"))?;
            Ok(Delay::LogNormal { median: parse_span(median)?, sigma })
        }
        "rows" => {
            let lines = read(rest)?;
            let rows = lines.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty());
            let rows = rows.map(|(number, line)| {
                parse_span(line).map_err(|problem| format!("{rest}: row {}: {problem}", number + 1))
            });
            let rows = rows.collect::<Result<Vec<_>, _>>()?;
            if rows.is_empty() {
                return Err(format!("{rest}: no delays"));
            }
            Ok(Delay::Rows(rows))
        }
        other => Err(format!("`{other}` is not one of uniform, lognormal, rows")),
    }
}

/// Reads `0`, `250us`, `5ms`, `1.5s`; a number alone is in milliseconds.
fn parse_span(text: &str) -> Result<Nanos, String> {
    let units = [("ns", 1), ("us", 1_000), ("ms", NANOS_PER_MILLI), ("s", NANOS_PER_SECOND)];
    let (number, unit) = units
        .into_iter()
        .find_map(|(suffix, unit)| text.strip_suffix(suffix).map(|number| (number, unit)))
        .unwrap_or((text, NANOS_PER_MILLI));
    let bad = || format!("`{text}` is not a span of time from 0 to 1 hour: write 250us, 5ms or 1.5s");
    let value: f64 = number.trim().parse().map_err(|_| bad())?;
    let nanos = value * unit as f64;
    if (0.0..=3_600.0 * NANOS_PER_SECOND as f64).contains(&nanos) { Ok(nanos as Nanos) } else { Err(bad()) }
}

/// Gives the delays of one way, one after the other.
#[derive(Debug, Clone)]
pub struct Delays {
    delay: Delay,
    random: ChaCha8Rng,
    row: usize,
}

impl Delays {
    /// `way` keeps the draws of different ways apart.
    pub fn new(delay: Delay, seed: u64, way: u64) -> Delays {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(way);
        Delays { delay, random, row: 0 }
    }

    /// The next delay, in nanoseconds; never negative.
    pub fn draw(&mut self) -> Nanos {
        match &self.delay {
            Delay::Constant(nanos) => *nanos,
            Delay::Uniform { from, to } => {
                let span = (*to - *from) as u64 + 1;
                // The high half of a 128-bit product maps 64 random bits onto the span.
                from + ((u128::from(self.random.next_u64()) * u128::from(span)) >> 64) as Nanos
            }
            Delay::LogNormal { median, sigma } => {
                let (sigma, median) = (*sigma, *median as f64);
                let drawn = median * libm::exp(sigma * self.normal());
                drawn.min(3_600.0 * NANOS_PER_SECOND as f64) as Nanos
            }
            Delay::Rows(rows) => {
                let nanos = rows[self.row];
                self.row = (self.row + 1) % rows.len();
                nanos
            }
        }
    }

    /// A standard normal number (Box-Muller).
    fn normal(&mut self) -> f64 {
        let unit = |bits: u64| ((bits >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        let (u, v) = (unit(self.random.next_u64()), unit(self.random.next_u64()));
        libm::sqrt(-2.0 * libm::log(u)) * libm::cos(2.0 * std::f64::consts::PI * v)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Latency, String> {
        Latency::parse(
            text,
            |name| if name == "measured.txt" { Ok("1.5\n2ms\n\n".into()) } else { Err("no file".into()) },
        )
    }

    #[test]
    fn specs_are_read_and_wrong_ones_are_named() {
        assert!(parse("0").unwrap().is_zero());
        assert_eq!(parse("5ms").unwrap().entry, Delay::Constant(5_000_000));
        let mixed = parse("feed=250us,entry=lognormal:5ms:0.4,answer=rows:measured.txt").unwrap();
        assert_eq!(mixed.feed, Delay::Constant(250_000));
        assert_eq!(mixed.answer, Delay::Rows(vec![1_500_000, 2_000_000]));
        for wrong in
            ["fast", "-5ms", "entry=gauss:1:2", "exit=5ms", "uniform:9ms:1ms", "rows:none", "nan", "uniform:3ms"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn drawn_delays_follow_their_distribution_and_their_seed() {
        let draws = |seed| {
            let mut delays = Delays::new(Delay::LogNormal { median: 5_000_000, sigma: 0.4 }, seed, 1);
            (0..10_000).map(|_| delays.draw()).collect::<Vec<_>>()
        };
        let mut sorted = draws(7);
        sorted.sort_unstable();
        assert!((4_900_000..5_100_000).contains(&sorted[5_000]), "median {}", sorted[5_000]);
        assert_eq!(draws(7), draws(7));
        assert_ne!(draws(7), draws(8));
        let mut uniform = Delays::new(Delay::Uniform { from: 3, to: 5 }, 1, 1);
        let drawn: std::collections::BTreeSet<_> = (0..100).map(|_| uniform.draw()).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [3, 4, 5]);
    }
}
