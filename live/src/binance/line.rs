//! A Line carries calls to the exchange and back: in order, within the limits, signed with the exchange's time. It repeats what
//! was definitely not executed and nothing else.

use std::collections::{BTreeMap, VecDeque};

use alphaengine_core::exchange::{ExchangeError, ExchangeUpdate};
use alphaengine_core::link::LinkUpdate;
use alphaengine_core::market::MarketUpdate;
use alphaengine_core::planted::{self, Bug};
use alphaengine_core::rate_limit::{Level, Limits, RateLimiter, Report, Verdict as Leave};
use alphaengine_core::units::{NANOS_PER_DAY, NANOS_PER_MILLI, NANOS_PER_MINUTE, NANOS_PER_SECOND, Nanos, Timestamp};

use super::alarm::Alarm;
use super::answer::{self, Because, Verdict};
use super::call::{Answer, Call, Finished, Lane, ORDER_TIMEOUT, Purpose, Security};
use super::clock::{Clock, Step};
use super::freshness::Freshness;
use super::query::Query;
use super::sign::Signer;
use crate::wire::{Effect, Heard, HttpId, HttpRequest, HttpResponse, Method, SocketId, TimerId, TransportError};

/// How often a call is repeated that was not executed, after 200, 400 and 800 ms (`binance-usdm.md` section 5).
const REPEATS: u8 = 3;
const FIRST_PAUSE: Nanos = 200 * NANOS_PER_MILLI;
/// The clock is measured again so often.
const MEASURE_EVERY: Nanos = 30 * NANOS_PER_SECOND;
/// Without a stated end, a 418 is at least so long (section 5).
const SHORTEST_BAN: Nanos = 120 * NANOS_PER_SECOND;

const LONGEST_BAN: Nanos = 3 * NANOS_PER_DAY + NANOS_PER_MINUTE;

#[derive(Debug)]
struct InFlight {
    call: Call,
    sent_at: Timestamp,
    /// What the exchange's clock was taken to be off when it left.
    offset: Nanos,
}

#[derive(Debug)]
pub(crate) struct Line {
    effects: Vec<Effect>,
    signer: Option<Signer>,
    pub clock: Clock,
    pub limiter: RateLimiter,
    pub freshness: Freshness,
    last_http: u64,
    last_socket: u64,
    last_timer: u64,
    pending: BTreeMap<HttpId, InFlight>,
    queue: VecDeque<Call>,
    pub finished: VecDeque<Finished>,
    alarms: BTreeMap<TimerId, Alarm>,
    measuring: bool,
    /// An answer about the time to a question up to this one may be of before the clock was doubted.
    asked_before_doubt: HttpId,
    measure_due: Timestamp,
    missed_measures: u32,
    pump_at: Timestamp,
    limit_told: Option<Timestamp>,
    access_lost: bool,
    stopped: bool,
}

impl Line {
    pub fn new(signer: Option<Signer>, limits: Limits) -> Line {
        Line {
            effects: Vec::new(),
            signer,
            clock: Clock::default(),
            limiter: RateLimiter::new(limits),
            freshness: Freshness::default(),
            last_http: 0,
            last_socket: 0,
            last_timer: 0,
            pending: BTreeMap::new(),
            queue: VecDeque::new(),
            finished: VecDeque::new(),
            alarms: BTreeMap::new(),
            measuring: false,
            asked_before_doubt: HttpId(0),
            measure_due: Timestamp::MIN,
            missed_measures: 0,
            pump_at: Timestamp::MAX,
            limit_told: None,
            access_lost: false,
            stopped: false,
        }
    }

    /// Goes on where the line of an earlier session ended: with its numbers, so that a late answer to one is not taken for one to
    /// the other, and with the exchange's clock and limits. What that one still had to close is closed.
    pub fn go_on_from(&mut self, earlier: Line) {
        (self.last_http, self.last_socket, self.last_timer) =
            (earlier.last_http, earlier.last_socket, earlier.last_timer);
        (self.clock, self.limiter) = (earlier.clock, earlier.limiter);
        self.effects.extend(earlier.effects.into_iter().filter(|effect| matches!(effect, Effect::Close { .. })));
    }

    pub fn effects(&mut self) -> std::vec::Drain<'_, Effect> {
        self.effects.drain(..)
    }

    /// Nothing leaves any more; what waits was definitely not executed.
    pub fn stop(&mut self) {
        self.stopped = true;
        for call in std::mem::take(&mut self.queue) {
            let error = answer::error(0, "the session stopped before this was sent");
            self.end(call.purpose, Answer::Refused(error), Timestamp::MIN);
        }
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    #[inline]
    pub fn market(&mut self, update: MarketUpdate) {
        self.effects.push(Effect::Input(Heard::Market(update)));
    }

    pub fn exchange(&mut self, update: ExchangeUpdate) {
        self.effects.push(Effect::Input(Heard::Exchange(update)));
    }

    pub fn link(&mut self, update: LinkUpdate) {
        self.freshness.told(&update);
        self.exchange(ExchangeUpdate::Link(update));
    }

    pub fn ready(&mut self) {
        self.effects.push(Effect::Input(Heard::Ready));
    }

    pub fn open(&mut self, url: String) -> SocketId {
        self.last_socket += 1;
        let socket = SocketId(self.last_socket);
        self.effects.push(Effect::Open { socket, url });
        socket
    }

    pub fn say(&mut self, socket: SocketId, text: String) {
        self.effects.push(Effect::Send { socket, text });
    }

    pub fn close(&mut self, socket: SocketId) {
        self.effects.push(Effect::Close { socket });
    }

    pub fn alarm(&mut self, at: Timestamp, alarm: Alarm) {
        self.last_timer += 1;
        let timer = TimerId(self.last_timer);
        self.alarms.insert(timer, alarm);
        self.effects.push(Effect::Timer { timer, at });
    }

    /// What a timer was for; `None` when it fired before.
    pub fn alarmed(&mut self, timer: TimerId) -> Option<Alarm> {
        self.alarms.remove(&timer)
    }

    /// Gives a call its place in the queue. `pump` sends it.
    pub fn call(&mut self, call: Call) {
        self.queue.push_back(call);
    }

    /// Begins to measure the exchange's clock, unless that is under way.
    pub fn measure(&mut self) {
        if !self.measuring {
            self.measuring = true;
            self.clock.begin();
            self.ask_time(Timestamp::MIN);
        }
    }

    /// It is time to measure again, unless that was done meanwhile.
    pub fn measure_due(&mut self, at: Timestamp) {
        if self.measure_due <= at {
            self.measure();
        }
    }

    fn ask_time(&mut self, due: Timestamp) {
        let call = Call::get(Purpose::Time, "/fapi/v1/time", Query::new(), 1);
        let urgency = alphaengine_core::rate_limit::Urgency::Vital;
        self.queue.push_front(Call { timeout: ORDER_TIMEOUT, ..call.asks_again(0).urgency(urgency).due(due) });
    }

    /// Sends what may leave now, in the order of the queue.
    pub fn pump(&mut self, at: Timestamp) {
        if self.stopped || self.queue.is_empty() {
            return;
        }
        let mut next = Timestamp::MAX;
        let mut held: Vec<Lane> = Vec::new();
        let stale = self.freshness.stale();
        for call in std::mem::take(&mut self.queue) {
            // It was decided on what is stale now, and has not left: that is certain.
            if let Some(route) = stale.filter(|_| call.opens()) {
                let error = answer::error(0, &format!("not sent: the {} stream is stale", route.name()));
                self.end(call.purpose, Answer::Refused(error), at);
                continue;
            }
            if call.useless_after < at {
                let late = || answer::error(-1003, "not sent: it waited longer than it was of use");
                let error = call.last_error.clone().unwrap_or_else(late);
                self.end(call.purpose, Answer::Refused(error), at);
                continue;
            }
            match self.hindrance(at, &call, &held) {
                None => self.send(at, call),
                Some(until) => {
                    next = next.min(until).min(call.useless_after.plus(1));
                    if call.lane != Lane::Free {
                        held.push(call.lane.clone());
                    }
                    self.queue.push_back(call);
                }
            }
        }
        if next < Timestamp::MAX && (next < self.pump_at || self.pump_at <= at) {
            self.pump_at = next;
            self.alarm(next, Alarm::Pump);
        }
    }

    /// When a call may be tried again; `None` when it may leave now. What waits for an answer waits for no time.
    fn hindrance(&mut self, at: Timestamp, call: &Call, held: &[Lane]) -> Option<Timestamp> {
        if call.due > at {
            return Some(call.due);
        }
        let waits_for_clock = !self.clock.is_set() || (call.clock_repaired && self.clock.is_doubted());
        if call.security == Security::Signed && waits_for_clock {
            return Some(Timestamp::MAX);
        }
        let in_flight = self.pending.values().map(|flight| &flight.call.lane);
        if held.iter().chain(in_flight).any(|earlier| call.lane.must_follow(earlier)) {
            return Some(Timestamp::MAX);
        }
        match self.limiter.verdict(self.clock.server(at), call.cost, call.urgency) {
            Leave::Now => None,
            Leave::At(until) => Some(self.clock.local(until)),
        }
    }

    fn send(&mut self, at: Timestamp, call: Call) {
        let mut query = call.query.clone();
        if call.security == Security::Signed {
            query.put("recvWindow", call.recv_window_ms);
            query.put("timestamp", self.clock.stamp(at));
            if let Some(signer) = &self.signer {
                // Encoded already, and the last of all.
                let signature = signer.sign(query.as_str());
                query.put_encoded("signature", &signature);
            }
        }
        self.last_http += 1;
        let id = HttpId(self.last_http);
        self.limiter.sent(self.clock.server(at), call.cost, call.urgency);
        self.effects.push(Effect::Http(HttpRequest {
            id,
            method: call.method,
            path: call.path,
            query: query.into_string(),
            with_key: call.security != Security::Open,
            timeout: call.timeout,
        }));
        self.pending.insert(id, InFlight { call, sent_at: at, offset: self.clock.offset() });
    }

    /// The path of a request that is on its way.
    pub fn path(&self, id: HttpId) -> Option<&'static str> {
        self.pending.get(&id).map(|flight| flight.call.path)
    }

    /// Judges an answer. What ends a call comes out in `finished`.
    pub fn answered(&mut self, at: Timestamp, id: HttpId, answer: Result<HttpResponse, TransportError>) {
        let Some(InFlight { mut call, sent_at, offset }) = self.pending.remove(&id) else {
            return;
        };
        let report = answer.as_ref().map_or_else(|_| Report::default(), answer::report);
        // The weight header of the book ticker is wrong (section 3.1), but nobody asks for it here.
        self.limiter.answered(self.clock.server(sent_at), self.clock.server(at), call.cost, report);
        self.watch_reserve(at);
        let verdict = answer::judge(&answer);
        if call.purpose == Purpose::Time
            && !matches!(verdict, Verdict::NotExecuted { because: Because::Limit { .. }, .. })
        {
            return self.timed(at, id, sent_at, answer);
        }
        match verdict {
            Verdict::Accepted => {
                self.access_lost &= call.security == Security::Open;
                let body = answer.map(|response| response.body).unwrap_or_default();
                self.end(call.purpose, Answer::Accepted(body), sent_at);
            }
            Verdict::Refused(error) => {
                self.watch_access(&error, call.security);
                self.end(call.purpose, Answer::Refused(error), sent_at);
            }
            Verdict::Unknown(_) if call.method == Method::Get && call.attempts < call.asks_again => {
                self.repeat(at, call, 5 * FIRST_PAUSE);
            }
            Verdict::Unknown(reason) => self.end(call.purpose, Answer::Unknown(reason), sent_at),
            Verdict::NotExecuted { error, .. } if self.stopped => {
                self.end(call.purpose, Answer::Refused(error), sent_at)
            }
            Verdict::NotExecuted { error, because } => {
                call.last_error = Some(error.clone());
                match because {
                    Because::Clock => self.ill_timed(InFlight { call, sent_at, offset }, error),
                    Because::OrderLimit => {
                        self.limiter.forbid_orders(self.clock.server(at));
                        self.queue.push_front(call);
                    }
                    // Wrong: it is the exchange's to say when, and whoever goes on is banned for longer.
                    Because::Limit { .. } if planted::has(Bug::RetryAfterIgnored) => {
                        call.due = at.plus(FIRST_PAUSE);
                        self.queue.push_front(call);
                    }
                    Because::Limit { status, until_ms, after_s } => {
                        self.limited(at, status, until_ms, after_s);
                        self.queue.push_front(call);
                    }
                    Because::Overload if call.attempts < REPEATS => self.repeat(at, call, FIRST_PAUSE),
                    Because::Overload => self.end(call.purpose, Answer::Refused(error), sent_at),
                }
            }
        }
    }

    /// The exchange did not take the time of a call. It is signed anew, once, when the clock was measured. What the clock as it is
    /// now did not sign says nothing about it, and only has to be signed by it.
    fn ill_timed(&mut self, flight: InFlight, error: ExchangeError) {
        let InFlight { mut call, sent_at, offset } = flight;
        let is_news = !self.clock.has_left(offset);
        if is_news && call.clock_repaired {
            self.end(call.purpose, Answer::Refused(error), sent_at);
        } else {
            call.clock_repaired |= is_news;
            self.queue.push_front(call);
        }
        if is_news && !self.clock.is_doubted() {
            self.doubt_clock();
        }
    }

    fn doubt_clock(&mut self) {
        self.clock.doubt();
        self.asked_before_doubt = HttpId(self.last_http);
        // A question that waits because the one before it had no answer waits no longer.
        let waiting = self.queue.iter_mut().filter(|call| call.purpose == Purpose::Time);
        waiting.for_each(|call| call.due = Timestamp::MIN);
        self.measure();
    }

    /// Puts a call back at its place, to be sent again after a pause that doubles.
    fn repeat(&mut self, at: Timestamp, mut call: Call, pause: Nanos) {
        call.due = at.plus(pause << call.attempts.min(6));
        call.attempts += 1;
        if self.stopped {
            let error = call.last_error.unwrap_or_else(|| answer::error(0, "the session stopped"));
            return self.end(call.purpose, Answer::Refused(error), at);
        }
        self.queue.push_front(call);
    }

    fn end(&mut self, purpose: Purpose, answer: Answer, sent_at: Timestamp) {
        self.finished.push_back(Finished { purpose, answer, sent_at });
    }

    /// An answer to the question after the exchange's time, or none.
    fn timed(&mut self, at: Timestamp, id: HttpId, sent_at: Timestamp, answer: Result<HttpResponse, TransportError>) {
        if id <= self.asked_before_doubt {
            return self.ask_time(Timestamp::MIN);
        }
        let measured = match answer.ok().and_then(|response| server_time(&response)) {
            Some(server) => {
                self.missed_measures = 0;
                self.clock.sample(sent_at, at, server)
            }
            None => {
                self.missed_measures = self.missed_measures.saturating_add(1);
                self.clock.missed()
            }
        };
        if let Some(Step { from_ms, to_ms }) = measured.step {
            self.link(LinkUpdate::ClockStepped { from_ms, to_ms });
        }
        if measured.finished {
            self.measured(at);
        } else {
            let pause = i64::from(self.missed_measures.min(30)) * NANOS_PER_SECOND;
            self.ask_time(at.plus(pause));
        }
    }

    fn measured(&mut self, at: Timestamp) {
        self.measuring = false;
        self.measure_due = at.plus(MEASURE_EVERY);
        self.alarm(self.measure_due, Alarm::Measure);
    }

    fn limited(&mut self, at: Timestamp, status: u16, until_ms: Option<i64>, after_s: Option<i64>) {
        let server = self.clock.server(at);
        let stated = until_ms.and_then(Timestamp::from_millis);
        let after = after_s.map(|seconds| server.plus(seconds.saturating_mul(NANOS_PER_SECOND)));
        let unstated = if status == 418 { server.plus(SHORTEST_BAN) } else { self.limiter.next_minute(server) };
        // A ban lasts three days at most (section 5): no text may silence us for longer.
        let until = stated.max(after).unwrap_or(unstated).min(server.plus(LONGEST_BAN));
        self.limiter.forbid(until);
        self.tell_limit(status, self.clock.local(until));
    }

    fn tell_limit(&mut self, status: u16, until: Timestamp) {
        if self.limit_told.is_none_or(|told| told < until) {
            self.limit_told = Some(until);
            self.link(LinkUpdate::RateLimited { status, until });
            self.alarm(until, Alarm::LimitOver);
        }
    }

    /// Tells when our own budget leaves only the reserve: status 0, because the exchange said nothing.
    fn watch_reserve(&mut self, at: Timestamp) {
        let server = self.clock.server(at);
        if self.limiter.level(server) == Level::Reserve && self.limit_told.is_none() {
            let until = self.clock.local(self.limiter.next_minute(server));
            self.tell_limit(0, until);
        }
    }

    /// The end of a limit has come, unless it was moved.
    pub fn limit_over(&mut self, at: Timestamp) {
        if self.limit_told.take_if(|until| *until <= at).is_some() {
            self.link(LinkUpdate::RateLimitOver);
        }
    }

    fn watch_access(&mut self, error: &ExchangeError, security: Security) {
        if security != Security::Open && answer::is_access_lost(error.code) && !self.access_lost {
            self.access_lost = true;
            self.link(LinkUpdate::AccessLost { code: error.code, message: error.message.to_string() });
        }
    }
}

fn server_time(response: &HttpResponse) -> Option<Timestamp> {
    if response.status != 200 {
        return None;
    }
    let time: super::json::ServerTime = serde_json::from_slice(&response.body).ok()?;
    Timestamp::from_millis(time.server_time)
}
