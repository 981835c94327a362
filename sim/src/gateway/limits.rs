//! Limits count what is asked and placed in windows of the wall clock, and shut the door on who asks too much
//! (`binance-usdm.md` section 5).

use alphaengine_core::units::{NANOS_PER_MINUTE, NANOS_PER_SECOND, Nanos, Timestamp};
use serde_json::{Value, json};

use super::error::ApiError;

/// Requests that may come while the weight is used up, before the ban.
const PATIENCE: u32 = 20;
/// The first ban; each further one is twice as long.
const FIRST_BAN: Nanos = 2 * NANOS_PER_MINUTE;
/// Of `fundingRate` and `fundingInfo` together.
const FUNDING_PER_5M: u32 = 500;

/// The windows of one account behind one address.
#[derive(Debug)]
pub(super) struct Limits {
    weight: Window,
    orders_10s: Window,
    orders_1m: Window,
    funding: Window,
    /// Requests since the weight was used up.
    insisted: u32,
    bans: u32,
    banned_until: Timestamp,
    throttled_until: Timestamp,
}

/// So much in a span of the clock.
#[derive(Debug)]
struct Window {
    span: Nanos,
    most: u32,
    start: Timestamp,
    used: u32,
}

impl Window {
    fn new(span: Nanos, most: u32) -> Window {
        Window { span, most, start: Timestamp::MIN, used: 0 }
    }

    fn turn(&mut self, now: Timestamp) {
        let start = now.floor_to(self.span);
        if start != self.start {
            self.start = start;
            self.used = 0;
        }
    }

    fn seconds_left(&self, now: Timestamp) -> i64 {
        seconds_until(now, self.start.plus(self.span))
    }
}

impl Limits {
    pub fn new(weight_per_minute: u32, orders_per_10s: u32, orders_per_minute: u32) -> Limits {
        Limits {
            weight: Window::new(NANOS_PER_MINUTE, weight_per_minute),
            orders_10s: Window::new(10 * NANOS_PER_SECOND, orders_per_10s),
            orders_1m: Window::new(NANOS_PER_MINUTE, orders_per_minute),
            funding: Window::new(5 * NANOS_PER_MINUTE, FUNDING_PER_5M),
            insisted: 0,
            bans: 0,
            banned_until: Timestamp::MIN,
            throttled_until: Timestamp::MIN,
        }
    }

    pub fn ban(&mut self, until: Timestamp) {
        self.banned_until = until;
    }

    pub fn throttle(&mut self, until: Timestamp) {
        self.throttled_until = until;
    }

    /// A request of this weight comes.
    pub fn ask(&mut self, now: Timestamp, weight: u32) -> Result<(), ApiError> {
        if now < self.banned_until {
            return Err(self.banned(now));
        }
        self.weight.turn(now);
        if now < self.throttled_until {
            return Err(too_many(self.weight.most, seconds_until(now, self.throttled_until)));
        }
        self.weight.used = self.weight.used.saturating_add(weight);
        if self.weight.used <= self.weight.most {
            self.insisted = 0;
            return Ok(());
        }
        self.insisted += 1;
        if self.insisted > PATIENCE {
            self.banned_until = now.plus(FIRST_BAN.saturating_mul(1 << self.bans.min(10)));
            self.bans += 1;
            self.insisted = 0;
            return Err(self.banned(now));
        }
        Err(too_many(self.weight.most, self.weight.seconds_left(now)))
    }

    /// A request to the bucket of the funding endpoints.
    pub fn ask_funding(&mut self, now: Timestamp) -> Result<(), ApiError> {
        self.funding.turn(now);
        self.funding.used = self.funding.used.saturating_add(1);
        if self.funding.used <= self.funding.most { Ok(()) } else { Err(too_many(500, self.funding.seconds_left(now))) }
    }

    /// So many orders come.
    pub fn order(&mut self, now: Timestamp, in_10s: u32, in_1m: u32) -> Result<(), ApiError> {
        for (window, orders, name) in
            [(&mut self.orders_10s, in_10s, "TEN_SECONDS"), (&mut self.orders_1m, in_1m, "ONE_MINUTE")]
        {
            window.turn(now);
            if window.used.saturating_add(orders) > window.most {
                let message = format!("Too many new orders; current limit is {} orders per {name}.", window.most);
                let retry_after = Some(window.seconds_left(now));
                return Err(ApiError { status: 429, retry_after, ..ApiError::new(-1015, message) });
            }
        }
        self.orders_10s.used += in_10s;
        self.orders_1m.used += in_1m;
        Ok(())
    }

    fn banned(&self, now: Timestamp) -> ApiError {
        let until = self.banned_until.millis();
        let message = format!(
            "Way too many requests; IP banned until {until}. Please use the websocket for live updates to avoid bans."
        );
        let retry_after = Some(seconds_until(now, self.banned_until));
        ApiError { status: 418, retry_after, ..ApiError::new(-1003, message) }
    }

    /// The used weight of this minute.
    pub fn used_weight(&mut self, now: Timestamp) -> u32 {
        self.weight.turn(now);
        self.weight.used
    }

    /// Orders of these 10 seconds and of this minute.
    pub fn order_counts(&mut self, now: Timestamp) -> (u32, u32) {
        self.orders_10s.turn(now);
        self.orders_1m.turn(now);
        (self.orders_10s.used, self.orders_1m.used)
    }

    /// As `exchangeInfo` lists them.
    pub fn listed(&self) -> Value {
        json!([
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": self.weight.most},
            {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": self.orders_1m.most},
            {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": self.orders_10s.most},
        ])
    }

    /// As a frame's answer lists them.
    pub fn counted(&mut self, now: Timestamp, with_orders: bool) -> Value {
        let weight = self.used_weight(now);
        let (in_10s, in_1m) = self.order_counts(now);
        let mut counts = vec![json!({"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1,
            "limit": self.weight.most, "count": weight})];
        if with_orders {
            counts.push(json!({"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10,
                "limit": self.orders_10s.most, "count": in_10s}));
            counts.push(json!({"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1,
                "limit": self.orders_1m.most, "count": in_1m}));
        }
        Value::Array(counts)
    }
}

fn too_many(most: u32, retry_after: i64) -> ApiError {
    let message = format!(
        "Too many requests; current limit is {most} requests per minute. Please use the websocket for live updates to avoid \
         polling the API."
    );
    ApiError { status: 429, retry_after: Some(retry_after), ..ApiError::new(-1003, message) }
}

/// Whole seconds, at least one.
fn seconds_until(now: Timestamp, then: Timestamp) -> i64 {
    (then.since(now).saturating_add(NANOS_PER_SECOND - 1) / NANOS_PER_SECOND).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_nanos(seconds * NANOS_PER_SECOND)
    }

    #[test]
    fn weight_is_counted_in_minutes_of_the_clock_and_insisting_is_banned() {
        let mut limits = Limits::new(10, 3, 5);
        assert_eq!(limits.ask(at(50), 10), Ok(()));
        let refused = limits.ask(at(50), 1).unwrap_err();
        assert_eq!((refused.status, refused.code, refused.retry_after), (429, -1003, Some(10)));
        assert_eq!(limits.ask(at(60), 1), Ok(()));
        assert_eq!(limits.used_weight(at(60)), 1);
        let last = (0..=PATIENCE + 1).map(|_| limits.ask(at(61), 10)).last().unwrap().unwrap_err();
        assert_eq!((last.status, last.code, last.retry_after), (418, -1003, Some(120)));
        assert!(last.message.contains("banned until 181000"), "{}", last.message);
        assert_eq!(limits.ask(at(180), 1).unwrap_err().status, 418);
        assert_eq!(limits.ask(at(181), 1), Ok(()));
    }

    #[test]
    fn orders_have_two_windows() {
        let mut limits = Limits::new(10, 3, 5);
        assert_eq!(limits.order(at(0), 3, 3), Ok(()));
        assert_eq!(limits.order(at(9), 1, 1).unwrap_err().code, -1015);
        assert_eq!(limits.order(at(10), 2, 2), Ok(()));
        assert_eq!(limits.order_counts(at(10)), (2, 5));
        assert_eq!(limits.order(at(20), 1, 1).unwrap_err().code, -1015);
        assert_eq!(limits.order(at(60), 1, 1), Ok(()));
    }
}
