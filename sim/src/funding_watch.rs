//! A FundingWatch makes sure that missing funding rates are never taken for free ones.
//!
//! It judges the time in which a symbol is traded, from its first price to its last: only there a position can be opened. Between
//! two settlements none may be missing. Where the data begin late or end early nothing says whether there were more, so that is
//! told and not judged here.

use alphaengine_core::units::{NANOS_PER_MINUTE, Nanos, Timestamp};

/// The longest interval between two settlements that the exchange has (`binance-usdm.md` section 8.2), and a minute.
const LONGEST: Nanos = (8 * 60 + 1) * NANOS_PER_MINUTE;

/// From the first price of a symbol to its newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Traded {
    pub from: Timestamp,
    pub to: Timestamp,
}

impl Traded {
    /// How long the symbol was traded between two times; negative where it was not.
    fn between(self, from: Timestamp, to: Timestamp) -> Nanos {
        self.to.min(to).since(self.from.max(from))
    }
}

/// A span between two settlements in which others are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hole {
    pub from: Timestamp,
    pub to: Timestamp,
}

/// Follows the settlements of one symbol.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct FundingWatch {
    /// The first settlement and the newest.
    settled: Option<(Timestamp, Timestamp)>,
    /// Two settlements that are too far apart if the symbol is still traded after the first. Of several the oldest suffices: it
    /// ends before the next one begins.
    doubt: Option<Hole>,
}

impl FundingWatch {
    /// A settlement came. `traded` is what is known of the prices so far.
    pub fn settled(&mut self, at: Timestamp, traded: Option<Traded>) -> Result<(), Hole> {
        let Some((first, from)) = self.settled.replace((at, at)) else {
            return Ok(());
        };
        self.settled = Some((first, at));
        let is_apart = traded.is_some_and(|traded| at.since(from.max(traded.from)) > LONGEST);
        if is_apart && self.doubt.is_none() {
            self.doubt = Some(Hole { from, to: at });
        }
        self.judge(traded)
    }

    /// Whether what is known of the prices makes a hole of a doubt.
    pub fn judge(&self, traded: Option<Traded>) -> Result<(), Hole> {
        match (self.doubt, traded) {
            (Some(hole), Some(traded)) if traded.between(hole.from, hole.to) > LONGEST => Err(hole),
            _ => Ok(()),
        }
    }

    /// Whether there was no settlement at all, at any time.
    pub fn is_empty(&self) -> bool {
        self.settled.is_none()
    }

    /// The first settlement, where the symbol was traded before it for longer than settlements are apart.
    pub fn begins_late(&self, traded: Option<Traded>) -> Option<Timestamp> {
        let (first, _) = self.settled?;
        (traded?.between(Timestamp::MIN, first) > LONGEST).then_some(first)
    }

    /// The last settlement, where the symbol was traded after it for longer than settlements are apart.
    pub fn ends_early(&self, traded: Option<Traded>) -> Option<Timestamp> {
        let (_, last) = self.settled?;
        (traded?.between(last, Timestamp::MAX) > LONGEST).then_some(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(hours: i64) -> Timestamp {
        Timestamp::from_nanos(hours * 60 * NANOS_PER_MINUTE)
    }

    fn traded(from: i64, to: i64) -> Option<Traded> {
        Some(Traded { from: hours(from), to: hours(to) })
    }

    /// Settlements of a symbol that is traded from one hour to another: the hole, the late beginning, the early end.
    #[track_caller]
    fn check(from: i64, to: i64, settlements: &[i64], expected: (Option<(i64, i64)>, Option<i64>, Option<i64>)) {
        let mut watch = FundingWatch::default();
        let mut hole = None;
        for at in settlements {
            let so_far = if *at <= from { None } else { traded(from, to.min(*at)) };
            hole = hole.or(watch.settled(hours(*at), so_far).err());
        }
        let whole = traded(from, to);
        hole = hole.or(watch.judge(whole).err());
        let (missing, begins, ends) = expected;
        assert_eq!(hole, missing.map(|(from, to)| Hole { from: hours(from), to: hours(to) }), "the hole");
        assert_eq!(watch.begins_late(whole), begins.map(hours), "the beginning");
        assert_eq!(watch.ends_early(whole), ends.map(hours), "the end");
    }

    #[test]
    fn every_interval_of_the_exchange_is_whole() {
        check(3, 42, &[8, 16, 20, 21, 29, 37], (None, None, None));
        check(0, 8, &[8], (None, None, None));
    }

    #[test]
    fn a_hole_is_between_two_settlements_of_the_traded_time() {
        check(0, 50, &[8, 24, 32, 40, 48], (Some((8, 24)), None, None));
        check(10, 50, &[0, 16, 32, 40, 48], (Some((16, 32)), None, None));
        check(10, 22, &[0, 16, 32, 48], (None, None, None));
        // The settlement before the first price says that the data had begun.
        check(7, 30, &[0, 16, 24], (Some((0, 16)), None, None));
        check(9, 30, &[0, 16, 24], (None, None, None));
        check(0, 25, &[8, 16, 32], (Some((16, 32)), None, None));
        check(0, 24, &[8, 16, 32], (None, None, None));
    }

    #[test]
    fn a_doubt_before_the_first_price_hides_no_hole_after_it() {
        check(50, 90, &[0, 48, 56, 80, 88], (Some((56, 80)), None, None));
    }

    #[test]
    fn data_that_begin_late_or_end_early_have_no_hole() {
        check(0, 50, &[9, 17, 25, 33, 41, 49], (None, Some(9), None));
        check(0, 50, &[8, 16], (None, None, Some(16)));
        check(0, 90, &[40, 48], (None, Some(40), Some(48)));
        check(20, 50, &[0, 8], (None, None, Some(8)));
        check(0, 20, &[30, 60], (None, Some(30), None));
        check(0, 50, &[], (None, None, None));
    }

    #[test]
    fn a_symbol_that_is_not_traded_is_not_judged() {
        let mut watch = FundingWatch::default();
        assert!(watch.is_empty());
        for at in [8, 80] {
            assert_eq!(watch.settled(hours(at), None), Ok(()));
        }
        assert!(!watch.is_empty());
        assert_eq!((watch.judge(None), watch.begins_late(None), watch.ends_early(None)), (Ok(()), None, None));
    }
}
