//! A Clock knows how far the exchange's time is from ours, from questions and answers (`binance-usdm.md` section 2.3).
//!
//! Of several samples the one with the shortest round trip counts. The exchange looked at its clock before its answer arrived,
//! so that `serverTime - received` never lies in the future: requests are stamped with that, within bounds.
//!
//! The samples of a measurement can lie minutes apart, when limits hold the questions back, and a clock can step between two of
//! them: a sample that cannot be of the same clock as an earlier one takes its place at once.

use alphaengine_core::units::{NANOS_PER_MILLI, NANOS_PER_SECOND, Nanos, Timestamp};

/// Samples of one measurement.
const SAMPLES: u8 = 3;
/// A stamp is at most so much older than the best estimate: it uses up the receive window.
const MOST_BEHIND: Nanos = 250 * NANOS_PER_MILLI;
/// A change beyond the uncertainty of both measurements and this is a step, not drift.
const DRIFT: Nanos = 200 * NANOS_PER_MILLI;
/// A slower answer says too little.
const SLOWEST: Nanos = 10 * NANOS_PER_SECOND;
/// One answer within this is enough to sign with: it is off by half of it at most, which a receive window of a second takes.
const CLOSE: Nanos = NANOS_PER_SECOND;

/// The exchange's clock minus ours.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    known: Option<Sample>,
    best: Option<Sample>,
    taken: u8,
    /// The exchange refused a time that `known` gave.
    doubted: bool,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    /// With the answer half-way between sending and receiving.
    offset: Nanos,
    round_trip: Nanos,
}

impl Sample {
    /// Whether a clock stepped between the two.
    fn contradicts(self, earlier: Sample) -> bool {
        (self.offset - earlier.offset).abs() > DRIFT + (self.round_trip + earlier.round_trip) / 2
    }
}

/// What an answer, or none, made of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Measured {
    /// Otherwise the question is to be asked again.
    pub finished: bool,
    pub step: Option<Step>,
}

/// The offset changed by more than drift explains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    pub from_ms: i64,
    pub to_ms: i64,
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

    /// The exchange refused a time of this clock: what was measured so far may be of before a step.
    pub fn doubt(&mut self) {
        self.doubted = true;
        self.begin();
    }

    pub fn is_doubted(&self) -> bool {
        self.doubted
    }

    /// An answer that was asked for at `sent` and came at `received`.
    pub fn sample(&mut self, sent: Timestamp, received: Timestamp, server: Timestamp) -> Measured {
        let round_trip = received.since(sent);
        // Our own clock stepped while the question was on its way, or the answer is useless.
        if (0..=SLOWEST).contains(&round_trip) {
            let sample = Sample { offset: server.since(sent.plus(round_trip / 2)), round_trip };
            if self.best.is_none_or(|best| round_trip < best.round_trip || sample.contradicts(best)) {
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
        let is_last = self.taken >= SAMPLES;
        let new = self.best.filter(|best| is_last || self.is_wanted_now(*best));
        let step = new.and_then(|new| self.set(new));
        if is_last {
            // Without anything usable that is another round.
            self.begin();
        }
        Measured { finished: is_last && new.is_some(), step }
    }

    /// Whether a sample is better than the clock as it is, without waiting for more of them.
    fn is_wanted_now(&self, sample: Sample) -> bool {
        let is_wrong = self.doubted || self.known.is_some_and(|known| sample.contradicts(known));
        is_wrong && sample.round_trip <= CLOSE
    }

    fn set(&mut self, new: Sample) -> Option<Step> {
        self.doubted = false;
        let old = self.known.replace(new)?;
        let step = Step { from_ms: old.offset / NANOS_PER_MILLI, to_ms: new.offset / NANOS_PER_MILLI };
        new.contradicts(old).then_some(step)
    }

    /// Whether what was signed with that offset would be signed with another time now.
    pub fn has_left(&self, offset: Nanos) -> bool {
        (self.offset() - offset).abs() > DRIFT
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

    const MORE: Measured = Measured { finished: false, step: None };
    const SET: Measured = Measured { finished: true, step: None };

    fn stepped(from_ms: i64, to_ms: i64) -> Measured {
        Measured { finished: false, step: Some(Step { from_ms, to_ms }) }
    }

    /// A sample whose answer is half-way there.
    fn sample(clock: &mut Clock, at: i64, (round_trip, offset): (i64, i64)) -> Measured {
        clock.sample(millis(at), millis(at + round_trip), millis(at + round_trip / 2 + offset))
    }

    fn measure(clock: &mut Clock, at: i64, samples: [(i64, i64); 3]) -> [Measured; 3] {
        clock.begin();
        samples.map(|of| sample(clock, at, of))
    }

    #[test]
    fn the_shortest_round_trip_counts_and_stamps_lie_in_the_past() {
        let mut clock = Clock::default();
        assert_eq!(measure(&mut clock, 0, [(400, 1_500), (40, 1_300), (900, 1_900)]), [MORE, MORE, SET]);
        assert_eq!(clock.offset(), 1_300 * NANOS_PER_MILLI);
        assert_eq!(clock.stamp(millis(1_000)), millis(2_280).millis());
        assert_eq!(clock.local(clock.server(millis(5))), millis(5));
    }

    #[test]
    fn a_step_is_told_and_drift_is_not() {
        let mut clock = Clock::default();
        measure(&mut clock, 0, [(40, 0), (40, 0), (40, 0)]);
        assert_eq!(measure(&mut clock, 10, [(40, 150), (40, 150), (40, 150)]), [MORE, MORE, SET]);
        let told = measure(&mut clock, 20, [(40, -1_350), (40, -1_350), (40, -1_350)]);
        assert_eq!(told, [stepped(150, -1_350), MORE, SET], "nobody waits for the rest of the measurement");
    }

    #[test]
    fn a_sample_of_before_a_step_does_not_count_however_short_its_way_was() {
        let mut clock = Clock::default();
        assert_eq!(measure(&mut clock, 0, [(40, 0), (60, 0), (900, -7_000)]), [MORE, MORE, SET]);
        assert_eq!(clock.offset(), -7_000 * NANOS_PER_MILLI);
        let told = measure(&mut clock, 10, [(10, -7_000), (90, 500), (50, 510)]);
        assert_eq!(told, [MORE, stepped(-7_000, 500), SET]);
        assert_eq!(clock.offset(), 510 * NANOS_PER_MILLI);
    }

    #[test]
    fn a_doubted_clock_is_set_by_one_close_answer_that_was_asked_for_after_the_doubt() {
        let mut clock = Clock::default();
        measure(&mut clock, 0, [(40, 0), (40, 0), (40, 0)]);
        sample(&mut clock, 10, (5, 0));
        clock.doubt();
        assert_eq!(sample(&mut clock, 20, (2_000, 900)), MORE);
        assert!(clock.is_doubted(), "the answer was too slow to sign with");
        assert_eq!((sample(&mut clock, 30, (900, 180)), clock.is_doubted()), (MORE, false));
        assert_eq!(clock.offset(), 180 * NANOS_PER_MILLI);
        assert_eq!(sample(&mut clock, 40, (30, 150)), SET, "the measurement goes on");
        assert_eq!(clock.offset(), 150 * NANOS_PER_MILLI);
    }

    #[test]
    fn slow_answers_set_a_doubted_clock_together() {
        let mut clock = Clock::default();
        measure(&mut clock, 0, [(40, 0), (40, 0), (40, 0)]);
        clock.doubt();
        for _ in 0..2 {
            assert_eq!((sample(&mut clock, 20, (4_000, 6_000)), clock.is_doubted()), (MORE, true));
        }
        let told = Measured { finished: true, ..stepped(0, 6_000) };
        assert_eq!((sample(&mut clock, 20, (3_000, 6_000)), clock.is_doubted()), (told, false));
    }

    #[test]
    fn a_sample_during_which_our_clock_stepped_back_is_not_used() {
        let mut clock = Clock::default();
        clock.begin();
        clock.sample(millis(0), millis(-900), millis(5_000));
        clock.missed();
        assert_eq!(clock.sample(millis(0), millis(10), millis(5)), SET);
        assert_eq!(clock.offset(), 0);
    }
}
