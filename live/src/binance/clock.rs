//! A Clock knows how far the exchange's time is from ours, from questions and answers (`binance-usdm.md` section 2.3).
//!
//! Of several samples the one with the shortest round trip counts. The exchange looked at its clock before its answer arrived,
//! so that `serverTime - received` never lies in the future: requests are stamped with that, within bounds.

use alphaengine_core::units::{NANOS_PER_MILLI, NANOS_PER_SECOND, Nanos, Timestamp};

/// Samples of one measurement.
const SAMPLES: u8 = 3;
/// A stamp is at most so much older than the best estimate: it uses up the receive window.
const MOST_BEHIND: Nanos = 250 * NANOS_PER_MILLI;
/// A change beyond the uncertainty of both measurements and this is a step, not drift.
const DRIFT: Nanos = 200 * NANOS_PER_MILLI;
/// A slower answer says too little.
const SLOWEST: Nanos = 10 * NANOS_PER_SECOND;

/// The exchange's clock minus ours.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    known: Option<Sample>,
    best: Option<Sample>,
    taken: u8,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    /// With the answer half-way between sending and receiving.
    offset: Nanos,
    round_trip: Nanos,
}

/// What a finished measurement found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measured {
    /// Ask again: the measurement is not finished.
    More,
    Set,
    /// The offset changed by more than drift explains, in milliseconds.
    Stepped {
        from_ms: i64,
        to_ms: i64,
    },
}

impl Clock {
    pub fn is_set(&self) -> bool {
        self.known.is_some()
    }

    /// Begins a measurement anew.
    pub fn begin(&mut self) {
        self.best = None;
        self.taken = 0;
    }

    /// An answer that was asked for at `sent` and came at `received`.
    pub fn sample(&mut self, sent: Timestamp, received: Timestamp, server: Timestamp) -> Measured {
        let round_trip = received.since(sent);
        // Our own clock stepped while the question was on its way, or the answer is useless.
        if (0..=SLOWEST).contains(&round_trip) {
            let sample = Sample { offset: server.since(sent.plus(round_trip / 2)), round_trip };
            if self.best.is_none_or(|best| sample.round_trip < best.round_trip) {
                self.best = Some(sample);
            }
        }
        self.finish()
    }

    /// A question that got no answer.
    pub fn missed(&mut self) -> Measured {
        self.finish()
    }

    fn finish(&mut self) -> Measured {
        self.taken = self.taken.saturating_add(1);
        if self.taken < SAMPLES {
            return Measured::More;
        }
        let Some(new) = self.best.take() else {
            // Nothing usable: another round.
            self.taken = 0;
            return Measured::More;
        };
        let old = self.known.replace(new);
        self.taken = 0;
        match old {
            Some(old) if (new.offset - old.offset).abs() > DRIFT + (new.round_trip + old.round_trip) / 2 => {
                Measured::Stepped { from_ms: old.offset / NANOS_PER_MILLI, to_ms: new.offset / NANOS_PER_MILLI }
            }
            _ => Measured::Set,
        }
    }

    /// The exchange's clock minus ours; 0 until it is known.
    pub fn offset(&self) -> Nanos {
        self.known.map_or(0, |known| known.offset)
    }

    /// What the exchange's clock shows when ours shows `at`.
    pub fn server(&self, at: Timestamp) -> Timestamp {
        at.plus(self.offset())
    }

    /// What our clock shows when the exchange's shows `server`.
    pub fn local(&self, server: Timestamp) -> Timestamp {
        server.plus(-self.offset())
    }

    /// The time to sign with, in milliseconds: slightly in the past.
    pub fn stamp(&self, at: Timestamp) -> i64 {
        let behind = self.known.map_or(0, |known| (known.round_trip / 2).min(MOST_BEHIND));
        self.server(at).plus(-behind).millis()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_750_000_000_000 + millis).unwrap()
    }

    fn measure(clock: &mut Clock, at: i64, samples: [(i64, i64); 3]) -> Measured {
        clock.begin();
        let mut last = Measured::More;
        for (round_trip, offset) in samples {
            last = clock.sample(millis(at), millis(at + round_trip), millis(at + round_trip / 2 + offset));
        }
        last
    }

    #[test]
    fn the_shortest_round_trip_counts_and_stamps_lie_in_the_past() {
        let mut clock = Clock::default();
        assert_eq!(measure(&mut clock, 0, [(400, 1_500), (40, 1_300), (900, -7_000)]), Measured::Set);
        assert_eq!(clock.offset(), 1_300 * NANOS_PER_MILLI);
        assert_eq!(clock.stamp(millis(1_000)), millis(2_280).millis());
        assert_eq!(clock.local(clock.server(millis(5))), millis(5));
    }

    #[test]
    fn a_step_is_told_and_drift_is_not() {
        let mut clock = Clock::default();
        measure(&mut clock, 0, [(40, 0), (40, 0), (40, 0)]);
        assert_eq!(measure(&mut clock, 10, [(40, 150), (40, 150), (40, 150)]), Measured::Set);
        let stepped = measure(&mut clock, 20, [(40, -1_350), (40, -1_350), (40, -1_350)]);
        assert_eq!(stepped, Measured::Stepped { from_ms: 150, to_ms: -1_350 });
    }

    #[test]
    fn a_sample_during_which_our_clock_stepped_back_is_not_used() {
        let mut clock = Clock::default();
        clock.begin();
        clock.sample(millis(0), millis(-900), millis(5_000));
        clock.missed();
        assert_eq!(clock.sample(millis(0), millis(10), millis(5)), Measured::Set);
        assert_eq!(clock.offset(), 0);
    }
}
