//! The rate limiter tells what was last counted, as the exchange counts.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

use alphaengine_core::rate_limit::{Cost, Limits, RateLimiter, Report, Urgency};
use alphaengine_core::units::{NANOS_PER_SECOND, Timestamp};

#[test]
fn what_was_last_seen_is_weight_orders_of_ten_seconds_and_orders_of_the_minute() {
    let at: Timestamp = "2025-05-04T12:00:05Z".parse().unwrap();
    let mut limiter = RateLimiter::new(Limits::default());
    assert_eq!(limiter.last_seen(), (0, 0, 0));
    let cost = Cost { weight: 5, ..Cost::ORDER };
    limiter.sent(at, cost, Urgency::Order);
    limiter.sent(at, Cost::ORDER, Urgency::Order);
    assert_eq!(limiter.last_seen(), (5, 2, 2));
    for cost in [cost, Cost::ORDER] {
        limiter.answered(at, at, cost, Report::default());
    }
    // Ten seconds later the short window begins anew.
    let later = at.plus(10 * NANOS_PER_SECOND);
    limiter.sent(later, Cost::ORDER, Urgency::Order);
    assert_eq!(limiter.last_seen(), (5, 1, 3));
    // The exchange counted somebody else too.
    let report = Report { weight_1m: Some(40), orders_10s: Some(7), orders_1m: Some(9) };
    limiter.answered(later, later, Cost::ORDER, report);
    assert_eq!(limiter.last_seen(), (40, 7, 9));
}
