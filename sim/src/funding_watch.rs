//! A FundingWatch makes sure that missing funding rates are never taken for free ones.

use alphaengine_core::units::{NANOS_PER_MINUTE, Nanos, Timestamp};

/// The longest interval between two settlements that the exchange has (`binance-usdm.md` section 8.2), and a minute.
const LONGEST: Nanos = (8 * 60 + 1) * NANOS_PER_MINUTE;

/// Follows the settlements of one symbol.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct FundingWatch {
    last: Option<Timestamp>,
    pub settlements: u64,
}

/// A span without settlements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hole {
    pub from: Timestamp,
    pub to: Timestamp,
}

impl FundingWatch {
    /// A settlement came. `start` is when the run began.
    pub fn settled(&mut self, at: Timestamp, start: Timestamp) -> Result<(), Hole> {
        let from = self.last.unwrap_or(start);
        self.last = Some(at);
        self.settlements += 1;
        if at.since(from) > LONGEST { Err(Hole { from, to: at }) } else { Ok(()) }
    }

    /// The run is over. A symbol without any settlement has no hole: it has no funding at all.
    pub fn ended(&self, end: Timestamp) -> Result<(), Hole> {
        match self.last {
            Some(from) if end.since(from) > LONGEST => Err(Hole { from, to: end }),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(hours: i64) -> Timestamp {
        Timestamp::from_nanos(hours * 60 * NANOS_PER_MINUTE)
    }

    #[test]
    fn a_hole_is_found_wherever_it_is() {
        let mut watch = FundingWatch::default();
        assert!(watch.ended(hours(1_000)).is_ok(), "no funding at all is not a hole");
        assert_eq!(watch.settled(hours(9), hours(0)), Err(Hole { from: hours(0), to: hours(9) }));
        let mut watch = FundingWatch::default();
        for at in [8, 16, 20, 21, 29] {
            assert!(watch.settled(hours(at), hours(3)).is_ok());
        }
        assert_eq!(watch.settled(hours(45), hours(3)), Err(Hole { from: hours(29), to: hours(45) }));
        assert!(watch.ended(hours(50)).is_ok());
        assert_eq!(watch.ended(hours(54)), Err(Hole { from: hours(45), to: hours(54) }));
    }
}
