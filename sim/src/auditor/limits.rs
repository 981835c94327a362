//! Limits: weight and orders as the exchange counts them, and silence while it wants silence (I19); cancels and closes leave although
//! the budget of the rest is used up (I20). Source: `binance-usdm.md` section 5.
//!
//! What is allowed for: a request that leaves together with the one whose answer forbids it; two seconds of disagreement about the
//! time, and as much as the exchange's clock moved since; a new process, which cannot know what the one before was told. A cancel may
//! wait for the answer to its order, for a ban, for a full budget, and until the process has sent its first signed request; after
//! that it has ten seconds.

use std::collections::{BTreeMap, BTreeSet};

use alphaengine_core::id::ClientOrderId;
use alphaengine_core::units::{NANOS_PER_MILLI, NANOS_PER_MINUTE, NANOS_PER_SECOND, Nanos, Timestamp};

use super::body::Body;
use super::book::Book;
use super::entry::{Entry, Fact};
use super::findings::Findings;
use super::intents::Intents;
use super::invariant::Invariant::{I19, I20};
use super::seen::Rules;
use super::wire::{self, Ask, Cost};

/// By so much the times of the two sides may differ.
const CLOCK_MARGIN: Nanos = 2 * NANOS_PER_SECOND;
/// A cancel or a close that nothing hinders leaves within this.
const LEAVES_WITHIN: Nanos = 10 * NANOS_PER_SECOND;
/// A ban without a stated end lasts at least so long.
const SHORTEST_BAN: Nanos = 2 * NANOS_PER_MINUTE;

/// What was counted in one window of a clock.
#[derive(Debug, Clone, Copy)]
struct Window {
    span: Nanos,
    start: Timestamp,
    used: u32,
}

impl Window {
    const fn of(span: Nanos) -> Window {
        Window { span, start: Timestamp::MIN, used: 0 }
    }

    /// The same on true time and on the exchange's clock: the documents do not say on which a clock that is off is counted.
    const fn twice(span: Nanos) -> [Window; 2] {
        [Window::of(span); 2]
    }

    fn used(&mut self, at: Timestamp) -> u32 {
        let start = at.floor_to(self.span);
        if start != self.start {
            (self.start, self.used) = (start, 0);
        }
        self.used
    }

    /// Whether so much more stays within the limit; it counts only if it does or `counts` says so.
    fn takes(&mut self, at: Timestamp, more: u32, most: u32, counts: bool) -> bool {
        let used = self.used(at).saturating_add(more);
        let fits = used <= most;
        if counts || !fits {
            self.used = used;
        }
        fits
    }
}

/// A time before which nothing may be sent, and what the exchange's clock was off then.
#[derive(Debug, Clone, Copy)]
struct Silence {
    since: Timestamp,
    until: Timestamp,
    offset: Nanos,
    status: u16,
}

impl Silence {
    /// Whether a request at `at` breaks it, whoever is right about the time.
    fn is_broken(&self, at: Timestamp, offset: Nanos) -> bool {
        let moved = offset.saturating_sub(self.offset).saturating_abs();
        let margin = CLOCK_MARGIN.min(self.until.since(self.since) / 2).saturating_add(moved);
        at > self.since && at < self.until.plus(-margin)
    }
}

#[derive(Debug)]
pub(super) struct Limits {
    weight: [Window; 2],
    orders_10s: [Window; 2],
    orders_1m: [Window; 2],
    silence: Option<Silence>,
    /// Only no orders.
    order_silence: Option<Silence>,
    /// The exchange's clock minus true time, as its last answer showed it.
    offset: Nanos,
    /// What a header told the bot in this window: weight, and orders of ten seconds and of a minute.
    told: [Window; 3],
    /// The process has sent something signed: it knows the exchange's time.
    is_signing: bool,
    /// Cancels that were wanted and did not leave, and since when nothing hinders them.
    cancels: BTreeMap<ClientOrderId, Timestamp>,
    /// The same of orders that only reduce.
    closes: BTreeMap<ClientOrderId, Timestamp>,
    /// Settings and sweeps without an answer: an order waits for them.
    ahead: BTreeSet<u64>,
    /// When something last hindered everything that leaves.
    hindered: Timestamp,
}

impl Limits {
    pub fn new() -> Limits {
        Limits {
            weight: Window::twice(NANOS_PER_MINUTE),
            orders_10s: Window::twice(10 * NANOS_PER_SECOND),
            orders_1m: Window::twice(NANOS_PER_MINUTE),
            silence: None,
            order_silence: None,
            offset: 0,
            told: [NANOS_PER_MINUTE, 10 * NANOS_PER_SECOND, NANOS_PER_MINUTE].map(Window::of),
            is_signing: false,
            cancels: BTreeMap::new(),
            closes: BTreeMap::new(),
            ahead: BTreeSet::new(),
            hindered: Timestamp::MIN,
        }
    }

    /// Whoever asked for the rules knew the time; whoever trades measures it anew. What another life wanted, also within one process,
    /// this one finds in its log, asks about, and never sends.
    pub fn process_began(&mut self) {
        self.is_signing = false;
        self.cancels.clear();
        self.closes.clear();
    }

    /// The store failed: what was wanted in that step never left, whether or not the store has it.
    pub fn store_failed(&mut self) {
        self.cancels.clear();
        self.closes.clear();
    }

    pub fn process_ended(&mut self) {
        (self.silence, self.order_silence) = (None, None);
        self.is_signing = false;
        self.cancels.clear();
        self.closes.clear();
        self.ahead.clear();
    }

    /// An event of the log.
    pub fn logged(&mut self, at: Timestamp, entry: &Entry) {
        match entry.fact {
            Fact::CancelRequested { name } => {
                self.cancels.insert(name, at);
            }
            Fact::Requested { name, spec } if spec.only_reduces() => {
                self.closes.insert(name, at);
            }
            Fact::Canceled { name } | Fact::Expired { name } | Fact::Rejected { name } | Fact::Absent { name } => {
                self.cancels.remove(&name);
                self.closes.remove(&name);
            }
            Fact::CancelRejected { name } => {
                self.cancels.remove(&name);
            }
            _ => {}
        }
    }

    /// A request leaves.
    pub fn sent(&mut self, at: Timestamp, id: u64, ask: &Ask, query: &str, findings: &mut Findings) {
        if let Ask::Set | Ask::CancelAll(_) = ask {
            self.ahead.insert(id);
        }
        let offset = self.offset;
        if let Some(silence) = &self.silence {
            findings.check(I19, !silence.is_broken(at, offset), || {
                let Silence { status, until, .. } = silence;
                format!("a request left ({ask:?}) although the exchange said {status} and wants nothing before {until}")
            });
        }
        if let Some(silence) = &self.order_silence
            && let Ask::Place(_) | Ask::Modify(_) = ask
        {
            findings.check(I19, !silence.is_broken(at, offset), || {
                let until = silence.until;
                format!("an order left ({ask:?}) although the exchange said -1015 and wants none before {until}")
            });
        }
        self.is_signing |= wire::parameter(query, "signature").is_some();
        match ask {
            Ask::Cancel(Some(name)) => {
                self.cancels.remove(name);
            }
            // The child of a conditional order goes by its number, and a sweep names nobody.
            Ask::Cancel(None) | Ask::CancelAll(_) => self.cancels.clear(),
            Ask::Place(orders) => orders.iter().for_each(|order| {
                self.closes.remove(&order.name);
            }),
            _ => {}
        }
    }

    /// The exchange answered: it has counted.
    pub fn answered(
        &mut self,
        ask: &Ask,
        cost: Cost,
        status: u16,
        body: &Body<'_>,
        rules: &Rules,
        findings: &mut Findings,
    ) {
        let at = findings.at;
        if let Ask::Time = ask
            && let Some(server) = body.server_time()
        {
            self.offset = server.since(at);
        }
        // During a ban nothing is counted, and a 429 may be wanton: then nothing is either.
        if status == 418 {
            return;
        }
        let counts = status != 429;
        let times = [at, at.plus(self.offset)];
        let fits = takes(&mut self.weight, times, cost.weight, rules.weight_per_minute, counts);
        findings.check(I19, fits, || {
            let (used, most) = (self.weight[0].used, rules.weight_per_minute);
            format!("the bot used a weight of {used} in this minute, and the limit is {most}")
        });
        if cost.orders_10s == 0 {
            return;
        }
        // One that fails at the door is no order.
        let code = if status == 400 { body.code() } else { None };
        let counts = counts && !matches!(code, Some(-1021 | -1022 | -2014 | -2015));
        for (windows, orders, most) in [
            (&mut self.orders_10s, cost.orders_10s, rules.orders_per_10s),
            (&mut self.orders_1m, cost.orders_1m, rules.orders_per_minute),
        ] {
            let fits = takes(windows, times, orders, most, counts);
            findings.check(I19, fits, || {
                let (used, seconds) = (windows[0].used, windows[0].span / NANOS_PER_SECOND);
                format!("the bot sent {used} orders in these {seconds} s, and the limit is {most}")
            });
        }
    }

    /// The bot got an answer: from here on it knows.
    pub fn got(&mut self, at: Timestamp, id: u64, status: Option<u16>, headers: &[(String, String)], body: &Body<'_>) {
        self.ahead.remove(&id);
        let number = |name: &str| wire::header(headers, name).and_then(|text| text.trim().parse::<i64>().ok());
        let names = ["x-mbx-used-weight-1m", "x-mbx-order-count-10s", "x-mbx-order-count-1m"];
        for (told, name) in self.told.iter_mut().zip(names) {
            if let Some(used) = number(name) {
                told.used = told.used(at).max(u32::try_from(used).unwrap_or(u32::MAX));
            }
        }
        let Some(status @ (418 | 429)) = status else {
            return;
        };
        let after = number("retry-after").map(|seconds| at.plus(seconds.max(0).saturating_mul(NANOS_PER_SECOND)));
        let stated = body.message().and_then(banned_until);
        let stated = stated.map(|until| until.plus(-self.offset));
        // The earlier of two ends is the one that nobody can argue with.
        let unstated = if status == 418 { at.plus(SHORTEST_BAN) } else { next_minute(at, self.offset) };
        let until = after.into_iter().chain(stated).min().unwrap_or(unstated);
        let silence = Silence { since: at, until, offset: self.offset, status };
        let place = if body.code() == Some(-1015) { &mut self.order_silence } else { &mut self.silence };
        if place.is_none_or(|earlier| earlier.until < until) {
            *place = Some(silence);
        }
    }

    /// After a step: what was wanted to leave and has not.
    pub fn stepped(&mut self, at: Timestamp, book: &Book, intents: &Intents, rules: &Rules, findings: &mut Findings) {
        if self.cancels.is_empty() && self.closes.is_empty() {
            return;
        }
        // Nine tenths of the budget and the last minute's turn are as good as all of it.
        let nearly = |most: u32| most - most / 10;
        let is_silent =
            [self.silence, self.order_silence].iter().flatten().any(|silence| at < silence.until.plus(CLOCK_MARGIN));
        let counted = [&mut self.weight[0], &mut self.orders_10s[0], &mut self.orders_1m[0]];
        let limits = [rules.weight_per_minute, rules.orders_per_10s, rules.orders_per_minute];
        let is_full = counted
            .into_iter()
            .zip(&mut self.told)
            .zip(limits)
            .any(|((counted, told), most)| counted.used(at).max(told.used(at)) >= nearly(most));
        if is_silent || is_full || !self.is_signing || !self.ahead.is_empty() {
            self.hindered = at;
        }
        let hindered = self.hindered;
        self.cancels.retain(|name, since| {
            // Before the exchange can have the order there is nothing to cancel.
            if book.own(name).is_some() && !intents.may_be_there(name) {
                *since = at;
            }
            book.open.contains(name)
        });
        self.closes.retain(|name, _| book.open.contains(name));
        for (what, waiting) in [("the cancel of order", &mut self.cancels), ("the close", &mut self.closes)] {
            waiting.retain(|name, since| {
                let waited = at.since((*since).max(hindered));
                findings.check(I20, waited <= LEAVES_WITHIN, || {
                    format!("{what} {name} was wanted {} ms ago and has not left", waited / NANOS_PER_MILLI)
                });
                waited <= LEAVES_WITHIN
            });
        }
    }
}

/// Whether so much more stays within the limit on one of the clocks.
fn takes(windows: &mut [Window; 2], times: [Timestamp; 2], more: u32, most: u32, counts: bool) -> bool {
    let [true_time, theirs] = windows;
    let fits = [true_time.takes(times[0], more, most, counts), theirs.takes(times[1], more, most, counts)];
    fits.contains(&true)
}

fn next_minute(at: Timestamp, offset: Nanos) -> Timestamp {
    at.plus(offset).floor_to(NANOS_PER_MINUTE).plus(NANOS_PER_MINUTE).plus(-offset)
}

/// "IP banned until 1750000000000".
fn banned_until(text: &str) -> Option<Timestamp> {
    let (_, rest) = text.split_once("until ")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next().filter(|digits| digits.len() >= 13)?;
    Timestamp::from_millis(digits.parse().ok()?)
}
