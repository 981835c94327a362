//! Drawdowns watches how far the equity falls below its highest value, and for how long.
//!
//! It sees every change of the equity, so it must cost nearly nothing: while nothing notable happens an update is two or three
//! comparisons. Divisions wait until a drawdown that could be the deepest has ended.

use serde::Serialize;

use crate::units::{Money, Nanos, Rounding, Timestamp};

/// The drawdowns of a run. A drawdown lasts from the last moment at a peak to the first moment back at it.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Drawdowns {
    /// The largest fall below a peak, in money.
    pub max: Money,
    /// The largest fall in proportion to its peak: 0.25 is a quarter. Not necessarily the same one. `None` where the peak was
    /// never positive.
    pub max_ratio: Option<f64>,
    /// How many there were, the ongoing one included.
    pub count: u64,
    pub longest: Nanos,
    /// True when the longest one had not ended.
    pub longest_is_ongoing: bool,
    /// All of them together.
    pub under_water: Nanos,
}

impl Drawdowns {
    /// How long one lasted on average; `None` without any.
    pub fn mean_duration(&self) -> Option<Nanos> {
        i64::try_from(self.count).ok().filter(|count| *count > 0).map(|count| self.under_water / count)
    }
}

/// The peak so far and the fall from it.
#[derive(Debug, Clone)]
pub(super) struct DrawdownWatch {
    /// In steps of 1e-16, like all equities here.
    peak: i128,
    /// When the equity last was at the peak, as far as changes tell.
    peak_at: Timestamp,
    /// The lowest equity since the peak; the peak itself while there is no drawdown.
    trough: i128,
    deepest: i128,
    /// The fall and the peak of the drawdown with the largest ratio.
    steepest: (i128, i128),
    ended: Drawdowns,
}

impl DrawdownWatch {
    pub fn new(at: Timestamp, equity: i128) -> DrawdownWatch {
        DrawdownWatch {
            peak: equity,
            peak_at: at,
            trough: equity,
            deepest: 0,
            steepest: (0, 0),
            ended: Drawdowns::default(),
        }
    }

    /// Takes a change of the equity and tells how far it is below the peak.
    #[inline]
    pub fn observe(&mut self, at: Timestamp, equity: i128) -> i128 {
        if equity >= self.peak {
            if self.trough < self.peak {
                self.recover(at);
            }
            self.peak = equity;
            self.peak_at = at;
            self.trough = equity;
            return 0;
        }
        if equity < self.trough {
            self.trough = equity;
        }
        self.peak.saturating_sub(equity)
    }

    /// The equity did not change until `at`: nothing was at stake. A drawdown that begins now did not begin earlier.
    pub fn rest_until(&mut self, at: Timestamp) {
        if self.trough == self.peak {
            self.peak_at = self.peak_at.max(at);
        }
    }

    /// How far the last observed equity is below the peak.
    pub fn fall(&self, equity: i128) -> i128 {
        self.peak.saturating_sub(equity)
    }

    #[cold]
    fn recover(&mut self, at: Timestamp) {
        self.note_depth();
        self.note_duration(at, false);
    }

    fn note_depth(&mut self) {
        let fall = self.peak.saturating_sub(self.trough);
        self.deepest = self.deepest.max(fall);
        // Peaks only rise, so a fall with a larger ratio than the steepest is larger in money too. That spares the division
        // for nearly every drawdown.
        let (steepest_fall, steepest_peak) = self.steepest;
        if fall > steepest_fall && self.peak > 0 {
            let is_steeper = steepest_peak == 0 || ratio(fall, self.peak) > ratio(steepest_fall, steepest_peak);
            if is_steeper {
                self.steepest = (fall, self.peak);
            }
        }
    }

    fn note_duration(&mut self, end: Timestamp, is_ongoing: bool) {
        let duration = end.since(self.peak_at).max(0);
        self.ended.count += 1;
        self.ended.under_water = self.ended.under_water.saturating_add(duration);
        if duration > self.ended.longest {
            self.ended.longest = duration;
            self.ended.longest_is_ongoing = is_ongoing;
        }
    }

    /// All drawdowns, the ongoing one counted until `end`.
    pub fn finish(mut self, end: Timestamp) -> Drawdowns {
        if self.trough < self.peak {
            self.note_depth();
            self.note_duration(end, true);
        }
        let (fall, peak) = self.steepest;
        let max_ratio = if peak > 0 { Some(ratio(fall, peak)) } else { (self.peak > 0).then_some(0.0) };
        let max = Money::from_exact(self.deepest, Rounding::HalfEven).unwrap_or(Money::MAX);
        Drawdowns { max, max_ratio, ..self.ended }
    }
}

fn ratio(fall: i128, peak: i128) -> f64 {
    fall as f64 / peak as f64
}
