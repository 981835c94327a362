//! Clock: requests are signed with a time that the exchange takes (I23), and the strategy hears nothing that has not happened (I24).
//! Source: `binance-usdm.md` section 2.3.
//!
//! A -1021 is nobody's mistake when the request was under way for longer than its window, and none of the bot's when a clock stepped
//! since it was measured. So one is a mistake only if one before it was answered by measuring the clock (within a second there and
//! back, so that it is known to half of that), and the exchange's clock did not step between the two: the next answer to a question
//! after the time shows whether it did. That does not show a step that is undone by then. But what was signed by the clock that was
//! measured, well inside the window, is refused only after a step.

use std::collections::BTreeMap;

use alphaengine_core::units::{NANOS_PER_MILLI, NANOS_PER_SECOND, Nanos, Timestamp};

use super::body::Body;
use super::findings::Findings;
use super::invariant::Invariant::{I23, I24};
use super::wire::{self, Ask};

/// A measurement that took longer says little.
const MEASURED_WITHIN: Nanos = NANOS_PER_SECOND;
/// The exchange's clock stepped when it moved by more than drift explains.
const STEP: Nanos = 500 * NANOS_PER_MILLI;
/// The exchange takes a time that is so far ahead of its own.
const AHEAD: Nanos = NANOS_PER_SECOND;

/// A request on its way.
#[derive(Debug, Clone, Copy)]
struct Flight {
    sent: Timestamp,
    /// The time that it was signed with.
    stamp: Option<Timestamp>,
    window: Nanos,
    is_time: bool,
    /// It was refused for its time although it was not slow.
    is_ill_timed: bool,
}

impl Flight {
    /// Whether only a step of the exchange's clock, which was off by so much, explains that it is refused, if it was not slow.
    fn is_signed_by(&self, offset: Nanos) -> bool {
        let is_inside = |stamp: Timestamp| {
            let ahead = stamp.since(self.sent.plus(offset));
            (STEP - self.window / 2..=AHEAD - STEP).contains(&ahead)
        };
        self.stamp.is_some_and(is_inside)
    }
}

/// A -1021 that may be a mistake.
#[derive(Debug, Clone)]
struct Suspicion {
    /// What the exchange's clock was off when the bot measured it.
    offset: Nanos,
    sentence: String,
}

#[derive(Debug, Default)]
pub(super) struct Clock {
    flights: BTreeMap<u64, Flight>,
    /// The bot got a -1021 that no delay explains.
    refused: Option<Timestamp>,
    /// After that it measured the clock, done then, and how far the exchange's was off true time.
    measured: Option<(Timestamp, Nanos)>,
    /// The exchange's clock minus true time in its answers that are on their way.
    offsets: BTreeMap<u64, Nanos>,
    suspicion: Option<Suspicion>,
    newest_market: Option<Timestamp>,
}

impl Clock {
    pub fn process_ended(&mut self) {
        self.flights.clear();
        self.offsets.clear();
        (self.refused, self.measured) = (None, None);
    }

    pub fn sent(&mut self, at: Timestamp, id: u64, ask: &Ask, query: &str) {
        let is_time = *ask == Ask::Time;
        let stamp = wire::parameter(query, "timestamp");
        if is_time || stamp.is_some() {
            let stamp = stamp.and_then(|millis| Timestamp::from_millis(millis.parse().ok()?));
            let window = wire::recv_window(query);
            self.flights.insert(id, Flight { sent: at, stamp, window, is_time, is_ill_timed: false });
        }
    }

    /// The exchange answered.
    pub fn answered(&mut self, at: Timestamp, id: u64, status: u16, body: &Body<'_>, findings: &mut Findings) {
        let Some(flight) = self.flights.get_mut(&id) else {
            return;
        };
        if flight.is_time {
            if let Some(server) = body.server_time() {
                let offset = server.since(at);
                self.offsets.insert(id, offset);
                self.settle(offset, findings);
            }
            return;
        }
        let is_refused = status == 400 && body.bytes.windows(5).any(|text| text == b"-1021");
        // Half of the window is left to whoever stamps a little in the past.
        let is_slow = at.since(flight.sent) > flight.window / 2;
        if !is_refused {
            findings.check(I23, true, String::new);
            return;
        }
        if is_slow {
            return;
        }
        flight.is_ill_timed = true;
        let is_mistaken = |(done, offset): &(Timestamp, Nanos)| flight.sent >= *done && !flight.is_signed_by(*offset);
        if let Some((done, offset)) = self.measured.filter(is_mistaken) {
            let sentence = format!(
                "request {id} was signed with a time outside its window (-1021), although the clock had been measured at {done} after \
                 one before"
            );
            self.suspicion.get_or_insert(Suspicion { offset, sentence });
        }
    }

    /// What the bot got.
    pub fn got(&mut self, at: Timestamp, id: u64, status: Option<u16>) {
        let Some(flight) = self.flights.remove(&id) else {
            return;
        };
        let offset = self.offsets.remove(&id);
        if flight.is_time {
            let is_good = status == Some(200) && at.since(flight.sent) <= MEASURED_WITHIN;
            let since = self.refused.filter(|refused| is_good && flight.sent >= *refused);
            if let Some(offset) = offset.filter(|_| since.is_some()) {
                self.measured = Some((at, offset));
            }
        } else if flight.is_ill_timed && status == Some(400) && self.measured.is_none() {
            self.refused.get_or_insert(at);
        } else if status == Some(200) {
            // Its time is good again.
            (self.refused, self.measured) = (None, None);
        }
    }

    /// Judges a suspicion, now that it is known where the exchange's clock stands.
    fn settle(&mut self, offset: Nanos, findings: &mut Findings) {
        if let Some(Suspicion { offset: then, sentence }) = self.suspicion.take() {
            let has_stepped = offset.saturating_sub(then).saturating_abs() > STEP;
            findings.check(I23, has_stepped, || sentence);
        }
    }

    pub fn market(&mut self, at: Timestamp) {
        self.newest_market = self.newest_market.max(Some(at));
    }

    /// The strategy was called.
    pub fn strategy_heard(&self, at: Timestamp, until: Timestamp, findings: &mut Findings) {
        findings.check(I24, until <= at, || format!("the strategy heard of {until}, and it is {at}"));
        let newest = self.newest_market;
        findings.check(I24, newest.is_none_or(|newest| until <= newest), || {
            format!("the strategy heard of {until}, and the market is at {newest:?}")
        });
    }
}
