//! Freshness tells of each route whether what it delivers is of now: a route that is down, or whose data are late, lets nothing open.
//!
//! A backlog between the exchange and us looks like a living stream whose events are old (`binance-usdm.md` section 1.1: a connection
//! with healthy pings proves nothing). The account's stream is not judged by its events: it may be quiet for days, and as nothing
//! opens while it counts as late, nothing would show that it is on time again.

use alphaengine_core::link::{LinkUpdate, Route};
use alphaengine_core::planted::{self, Bug};
use alphaengine_core::units::{NANOS_PER_MILLI, NANOS_PER_MINUTE, NANOS_PER_SECOND, Nanos, Timestamp};

/// Data are late when they have been so for this long.
const LATE_FOR: Nanos = 2 * NANOS_PER_SECOND;
/// What is older than this from the start on is not late: it is a recording that is told in its own time.
const OTHER_TIMES: Nanos = 60 * NANOS_PER_MINUTE;

#[derive(Debug, Default)]
pub(crate) struct Freshness {
    /// From which age on an event is late; `None` is never.
    late_after: Option<Nanos>,
    routes: [State; Route::ALL.len()],
}

#[derive(Debug, Default, Clone, Copy)]
struct State {
    is_down: bool,
    is_late: bool,
    late_since: Option<Timestamp>,
}

impl Freshness {
    pub fn new(late_after: Option<Nanos>) -> Freshness {
        Freshness { late_after, ..Freshness::default() }
    }

    /// The session tells the engine of this. Whatever was late, is forgotten with its connection.
    pub fn told(&mut self, update: &LinkUpdate) {
        match update {
            LinkUpdate::StreamDown { route, .. } => {
                self.routes[*route as usize] = State { is_down: true, ..State::default() };
            }
            LinkUpdate::StreamUp { route } => self.routes[*route as usize] = State::default(),
            _ => {}
        }
    }

    /// A route that is down or late.
    pub fn stale(&self) -> Option<Route> {
        Route::ALL.into_iter().find(|route| {
            let state = &self.routes[*route as usize];
            state.is_down || state.is_late
        })
    }

    /// An event of a route was `lag` old when it was heard at `at`: what that changes. A market that runs ahead of the clock has a
    /// negative lag and is never late.
    #[inline]
    pub fn heard(&mut self, at: Timestamp, route: Route, lag: Nanos) -> Option<LinkUpdate> {
        if planted::has(Bug::StaleStreamUnnoticed) {
            // Wrong: what is told late is told of another market than the one that an order meets.
            return None;
        }
        let late_after = self.late_after?;
        let state = &mut self.routes[route as usize];
        if state.is_late {
            if lag >= late_after / 2 {
                return None;
            }
            (state.is_late, state.late_since) = (false, None);
            return Some(LinkUpdate::OnTime { route });
        }
        if lag <= late_after || lag > OTHER_TIMES {
            state.late_since = None;
            return None;
        }
        let since = *state.late_since.get_or_insert(at);
        if at.since(since) < LATE_FOR {
            return None;
        }
        state.is_late = true;
        Some(LinkUpdate::Late { route, millis: lag / NANOS_PER_MILLI })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_nanos(1_750_000_020 * NANOS_PER_SECOND).plus(second * NANOS_PER_SECOND)
    }

    fn news(lags_ms: &[i64]) -> Vec<(usize, LinkUpdate)> {
        let mut freshness = Freshness::new(Some(3 * NANOS_PER_SECOND));
        let told = lags_ms.iter().enumerate().filter_map(|(place, lag)| {
            let update = freshness.heard(second(place as i64), Route::Public, lag * NANOS_PER_MILLI)?;
            Some((place, update))
        });
        told.collect()
    }

    #[test]
    fn two_seconds_of_old_events_are_late_and_half_the_age_is_on_time_again() {
        let route = Route::Public;
        assert_eq!(
            news(&[10, 3_001, 4_000, 5_000, 6_000, 2_900, 1_500, 1_499, 3_500]),
            [(3, LinkUpdate::Late { route, millis: 5_000 }), (7, LinkUpdate::OnTime { route })]
        );
    }

    #[test]
    fn one_event_on_time_begins_the_count_anew() {
        assert_eq!(news(&[3_001, 3_001, 3_000, 3_001, 3_001, 10]), []);
    }

    #[test]
    fn a_market_ahead_of_the_clock_and_one_of_another_year_are_never_late() {
        assert_eq!(news(&[-60_000; 6]), []);
        assert_eq!(news(&[31_536_000_000; 6]), []);
    }
}
