//! A RateLimiter tells whether a request may leave now, or when. It counts as the exchange counts and never sleeps.
//!
//! The exchange says in the headers of each answer what it has counted in the minute (`binance-usdm.md` section 5). Headers
//! may be missing, late or jump down; what we sent ourselves is therefore the floor of every count, and within a minute a count
//! never falls. All times here are exchange times.

use serde::{Deserialize, Serialize};

use crate::units::{NANOS_PER_MINUTE, NANOS_PER_SECOND, Nanos, Timestamp};

/// What may be used, from `exchangeInfo.rateLimits`. The defaults are those of production.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Request weight per minute, of one IP.
    pub weight_1m: u32,
    /// Orders per ten seconds, of one account.
    pub orders_10s: u32,
    /// Orders per minute, of one account.
    pub orders_1m: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { weight_1m: 2_400, orders_10s: 300, orders_1m: 1_200 }
    }
}

/// What one request uses up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cost {
    pub weight: u32,
    pub orders_10s: u32,
    pub orders_1m: u32,
}

impl Cost {
    pub const fn weight(weight: u32) -> Cost {
        Cost { weight, orders_10s: 0, orders_1m: 0 }
    }

    /// Of placing or modifying one order.
    pub const ORDER: Cost = Cost { weight: 0, orders_10s: 1, orders_1m: 1 };
}

/// What a request is for. Later ones may use more of the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Snapshots, history, income: can wait.
    Poll,
    /// Orders that open or change.
    Order,
    /// Cancels, orders that only reduce, questions about lost answers, the listen key: lives from a reserve of its own.
    Vital,
}

/// Whether a request may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Now,
    /// Ask again then.
    At(Timestamp),
}

/// What an answer says that the exchange has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Report {
    pub weight_1m: Option<u32>,
    pub orders_10s: Option<u32>,
    pub orders_1m: Option<u32>,
}

/// How much of the weight of this minute is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Calm,
    /// From 60 %.
    Warm,
    /// From 80 %: polls leave one by one.
    Slow,
    /// From 95 %: only what lives from the reserve.
    Reserve,
}

/// Polls are at least this far apart at [`Level::Slow`].
const SLOW_POLLS: Nanos = 2 * NANOS_PER_SECOND;
/// For this long into a window the count of the one before still holds: our idea of the exchange's clock is not exact.
const TURN_MARGIN: Nanos = NANOS_PER_SECOND;

/// Weight and order counts of one account behind one address, and bans.
#[derive(Debug, Clone)]
pub struct RateLimiter {
    limits: Limits,
    weight: Window,
    orders_10s: Window,
    orders_1m: Window,
    /// Nothing leaves before.
    forbidden_until: Timestamp,
    /// No order leaves before.
    orders_until: Timestamp,
    last_poll: Timestamp,
}

impl RateLimiter {
    pub fn new(limits: Limits) -> RateLimiter {
        RateLimiter {
            limits,
            weight: Window::new(NANOS_PER_MINUTE),
            orders_10s: Window::new(10 * NANOS_PER_SECOND),
            orders_1m: Window::new(NANOS_PER_MINUTE),
            forbidden_until: Timestamp::MIN,
            orders_until: Timestamp::MIN,
            last_poll: Timestamp::MIN,
        }
    }

    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Whether a request may leave at `at`. The answer promises nothing: `sent` counts.
    pub fn verdict(&mut self, at: Timestamp, cost: Cost, urgency: Urgency) -> Verdict {
        if at < self.forbidden_until {
            return Verdict::At(self.forbidden_until);
        }
        let takes_order = cost.orders_10s > 0 || cost.orders_1m > 0;
        if takes_order && at < self.orders_until {
            return Verdict::At(self.orders_until);
        }
        // Of a hundred parts: what a request of this urgency may leave used.
        let most = match urgency {
            Urgency::Poll | Urgency::Order => 95,
            Urgency::Vital => 100,
        };
        let windows = [
            (&mut self.weight, cost.weight, self.limits.weight_1m),
            (&mut self.orders_10s, cost.orders_10s, self.limits.orders_10s),
            (&mut self.orders_1m, cost.orders_1m, self.limits.orders_1m),
        ];
        for (window, wanted, limit) in windows {
            if wanted == 0 {
                continue;
            }
            let used = window.used(at);
            // A request that is larger than the whole allowance may leave when nothing else did.
            if used > 0 && u64::from(used) + u64::from(wanted) > u64::from(limit) * most / 100 {
                return Verdict::At(window.next(at));
            }
        }
        if urgency == Urgency::Poll && self.level(at) >= Level::Slow {
            let free = self.last_poll.plus(SLOW_POLLS);
            if self.last_poll <= at && at < free {
                return Verdict::At(free);
            }
        }
        Verdict::Now
    }

    /// A request leaves.
    pub fn sent(&mut self, at: Timestamp, cost: Cost, urgency: Urgency) {
        self.weight.send(at, cost.weight);
        self.orders_10s.send(at, cost.orders_10s);
        self.orders_1m.send(at, cost.orders_1m);
        if urgency == Urgency::Poll {
            self.last_poll = at;
        }
    }

    /// The answer to a request that left at `sent_at` came, or will not come.
    pub fn answered(&mut self, sent_at: Timestamp, at: Timestamp, cost: Cost, report: Report) {
        self.weight.answer(sent_at, at, cost.weight, report.weight_1m);
        self.orders_10s.answer(sent_at, at, cost.orders_10s, report.orders_10s);
        self.orders_1m.answer(sent_at, at, cost.orders_1m, report.orders_1m);
    }

    /// The exchange said 429 or 418: nothing leaves before `until`. A later end is never replaced by an earlier one.
    pub fn forbid(&mut self, until: Timestamp) {
        self.forbidden_until = self.forbidden_until.max(until);
    }

    /// The exchange said that there were too many orders: none leaves before the next ten seconds begin.
    pub fn forbid_orders(&mut self, at: Timestamp) {
        self.orders_until = self.orders_until.max(self.orders_10s.end(at));
    }

    /// The end of the ban, while there is one.
    pub fn forbidden_until(&self, at: Timestamp) -> Option<Timestamp> {
        (at < self.forbidden_until).then_some(self.forbidden_until)
    }

    /// When the weight of the running minute is forgotten.
    pub fn next_minute(&self, at: Timestamp) -> Timestamp {
        self.weight.end(at)
    }

    pub fn level(&mut self, at: Timestamp) -> Level {
        let percent = u64::from(self.weight.used(at)) * 100 / u64::from(self.limits.weight_1m.max(1));
        match percent {
            0..60 => Level::Calm,
            60..80 => Level::Warm,
            80..95 => Level::Slow,
            _ => Level::Reserve,
        }
    }

    /// Weight used in this minute, as the exchange counts as far as we know.
    pub fn used_weight(&mut self, at: Timestamp) -> u32 {
        self.weight.used(at)
    }

    /// Weight of the minute, and orders of the ten seconds and of the minute, in which something was last sent or answered.
    pub fn last_seen(&self) -> (u32, u32, u32) {
        (self.weight.count(), self.orders_10s.count(), self.orders_1m.count())
    }

    /// Orders used in these ten seconds and in this minute.
    pub fn used_orders(&mut self, at: Timestamp) -> (u32, u32) {
        (self.orders_10s.used(at), self.orders_1m.used(at))
    }
}

/// One wall-clock window of the exchange.
#[derive(Debug, Clone)]
struct Window {
    length: Nanos,
    opened: Timestamp,
    /// What we sent in this window.
    own: u32,
    /// The most that the exchange said in this window.
    reported: u32,
    /// What is on its way and may not be in `reported`.
    in_flight: u32,
    /// What was used in the window before.
    before: u32,
}

impl Window {
    fn new(length: Nanos) -> Window {
        Window { length, opened: Timestamp::MIN, own: 0, reported: 0, in_flight: 0, before: 0 }
    }

    fn turn(&mut self, at: Timestamp) {
        let opened = at.floor_to(self.length);
        // A clock that steps back does not open an old window again.
        if opened > self.opened {
            let follows = opened.since(self.opened) == self.length;
            self.before = if follows { self.count() } else { 0 };
            self.opened = opened;
            self.own = 0;
            self.reported = 0;
        }
    }

    fn count(&self) -> u32 {
        self.own.max(self.reported.saturating_add(self.in_flight))
    }

    fn used(&mut self, at: Timestamp) -> u32 {
        self.turn(at);
        if at.since(self.opened) < TURN_MARGIN { self.count().max(self.before) } else { self.count() }
    }

    /// When the count is lower for certain: just after a turn that is when the one before is forgotten.
    fn next(&self, at: Timestamp) -> Timestamp {
        let opened = at.max(self.opened).floor_to(self.length);
        let turned = opened.plus(TURN_MARGIN);
        if opened <= at && at < turned { turned } else { self.end(at) }
    }

    /// When the count of the running window is forgotten for certain.
    fn end(&self, at: Timestamp) -> Timestamp {
        at.max(self.opened).floor_to(self.length).plus(self.length + TURN_MARGIN)
    }

    fn send(&mut self, at: Timestamp, cost: u32) {
        self.turn(at);
        self.own = self.own.saturating_add(cost);
        self.in_flight = self.in_flight.saturating_add(cost);
    }

    fn answer(&mut self, sent_at: Timestamp, at: Timestamp, cost: u32, reported: Option<u32>) {
        self.turn(at);
        self.in_flight = self.in_flight.saturating_sub(cost);
        // An answer that crossed the turn may speak of either window: it is not used.
        if let Some(reported) = reported.filter(|_| sent_at.floor_to(self.length) == self.opened) {
            self.reported = self.reported.max(reported);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn second(second: i64) -> Timestamp {
        Timestamp::from_nanos(1_750_000_020 * NANOS_PER_SECOND).plus(second * NANOS_PER_SECOND)
    }

    fn limiter(weight: u32) -> RateLimiter {
        RateLimiter::new(Limits { weight_1m: weight, orders_10s: 10, orders_1m: 20 })
    }

    fn reported(weight: u32) -> Report {
        Report { weight_1m: Some(weight), ..Report::default() }
    }

    #[test]
    fn the_exchange_s_count_rules_and_our_own_is_its_floor() {
        let mut limiter = limiter(100);
        limiter.sent(second(10), Cost::weight(10), Urgency::Poll);
        limiter.answered(second(10), second(11), Cost::weight(10), reported(70));
        assert_eq!(limiter.used_weight(second(11)), 70, "another process behind the same address counts");
        limiter.sent(second(12), Cost::weight(5), Urgency::Poll);
        assert_eq!(limiter.used_weight(second(12)), 75, "what is on its way is not in the last report");
        limiter.answered(second(12), second(13), Cost::weight(5), reported(3));
        assert_eq!(limiter.used_weight(second(13)), 70, "a count does not fall within a minute");
        limiter.sent(second(14), Cost::weight(80), Urgency::Vital);
        limiter.answered(second(14), second(15), Cost::weight(80), Report::default());
        assert_eq!(limiter.used_weight(second(15)), 95, "without headers our own count remains");
        assert_eq!(limiter.used_weight(second(62)), 0, "a new minute forgets");
    }

    #[test]
    fn a_report_from_the_minute_before_does_not_count_in_this_one() {
        let mut limiter = limiter(100);
        limiter.sent(second(59), Cost::weight(1), Urgency::Poll);
        limiter.answered(second(59), second(63), Cost::weight(1), reported(99));
        assert_eq!(limiter.used_weight(second(63)), 0);
    }

    #[test]
    fn at_the_turn_of_the_minute_the_old_count_still_holds() {
        let mut limiter = limiter(100);
        limiter.sent(second(30), Cost::weight(90), Urgency::Poll);
        limiter.answered(second(30), second(31), Cost::weight(90), Report::default());
        assert_eq!(limiter.used_weight(Timestamp::from_nanos(second(60).nanos() + 1)), 90);
        assert_eq!(limiter.verdict(second(60), Cost::weight(20), Urgency::Poll), Verdict::At(second(61)));
        assert_eq!(limiter.verdict(second(61), Cost::weight(20), Urgency::Poll), Verdict::Now);
    }

    #[test]
    fn what_is_on_its_way_at_the_turn_may_count_in_the_new_minute() {
        let mut limiter = limiter(100);
        limiter.sent(second(59), Cost::weight(90), Urgency::Poll);
        assert_eq!(limiter.used_weight(second(62)), 90);
        limiter.answered(second(59), second(63), Cost::weight(90), Report::default());
        assert_eq!(limiter.used_weight(second(63)), 0);
    }

    #[test]
    fn polls_slow_down_at_eighty_percent_and_stop_at_ninety_five_while_cancels_have_a_reserve() {
        let mut limiter = limiter(100);
        limiter.sent(second(1), Cost::weight(80), Urgency::Poll);
        assert_eq!(limiter.level(second(2)), Level::Slow);
        assert_eq!(limiter.verdict(second(2), Cost::weight(1), Urgency::Poll), Verdict::At(second(3)));
        assert_eq!(limiter.verdict(second(3), Cost::weight(1), Urgency::Poll), Verdict::Now);
        limiter.sent(second(3), Cost::weight(15), Urgency::Poll);
        assert_eq!(limiter.level(second(9)), Level::Reserve);
        assert_eq!(limiter.verdict(second(9), Cost::weight(1), Urgency::Poll), Verdict::At(second(61)));
        assert_eq!(limiter.verdict(second(9), Cost::weight(1), Urgency::Vital), Verdict::Now);
        limiter.sent(second(9), Cost::weight(5), Urgency::Vital);
        assert_eq!(limiter.verdict(second(9), Cost::weight(1), Urgency::Vital), Verdict::At(second(61)));
        assert_eq!(limiter.verdict(second(9), Cost::ORDER, Urgency::Order), Verdict::Now, "orders weigh nothing");
    }

    #[test]
    fn entries_leave_the_last_order_slots_to_closing_orders() {
        let mut limiter = limiter(100);
        for _ in 0..9 {
            assert_eq!(limiter.verdict(second(1), Cost::ORDER, Urgency::Order), Verdict::Now);
            limiter.sent(second(1), Cost::ORDER, Urgency::Order);
            limiter.answered(second(1), second(1), Cost::ORDER, Report::default());
        }
        assert_eq!(limiter.verdict(second(2), Cost::ORDER, Urgency::Order), Verdict::At(second(11)));
        assert_eq!(limiter.verdict(second(2), Cost::ORDER, Urgency::Vital), Verdict::Now);
        limiter.sent(second(2), Cost::ORDER, Urgency::Vital);
        limiter.answered(second(2), second(2), Cost::ORDER, Report::default());
        assert_eq!(limiter.verdict(second(2), Cost::ORDER, Urgency::Vital), Verdict::At(second(11)));
        assert_eq!(limiter.verdict(second(11), Cost::ORDER, Urgency::Order), Verdict::Now);
    }

    #[test]
    fn nothing_at_all_leaves_during_a_ban() {
        let mut limiter = limiter(100);
        limiter.forbid(second(200));
        limiter.forbid(second(100));
        for urgency in [Urgency::Poll, Urgency::Order, Urgency::Vital] {
            assert_eq!(limiter.verdict(second(199), Cost::default(), urgency), Verdict::At(second(200)));
            assert_eq!(limiter.verdict(second(200), Cost::default(), urgency), Verdict::Now);
        }
        assert_eq!(limiter.forbidden_until(second(150)), Some(second(200)));
        assert_eq!(limiter.forbidden_until(second(200)), None);
    }

    #[test]
    fn too_many_orders_holds_orders_and_nothing_else() {
        let mut limiter = limiter(100);
        limiter.forbid_orders(second(3));
        assert_eq!(limiter.verdict(second(4), Cost::ORDER, Urgency::Vital), Verdict::At(second(11)));
        assert_eq!(limiter.verdict(second(4), Cost::weight(1), Urgency::Poll), Verdict::Now);
    }

    #[test]
    fn a_clock_that_steps_back_frees_nothing() {
        let mut limiter = limiter(100);
        limiter.sent(second(65), Cost::weight(95), Urgency::Poll);
        assert_eq!(limiter.used_weight(second(5)), 95);
        assert_eq!(limiter.verdict(second(5), Cost::weight(5), Urgency::Poll), Verdict::At(second(121)));
    }
}
