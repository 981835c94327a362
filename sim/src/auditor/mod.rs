//! The Auditor judges a run of the fault campaign from the exchange's side and from the documents, never from the engine's code.
//!
//! The world tells it everything that passes ([`Seen`]); it adds up the log with a book of its own, reads requests and answers from
//! their bytes, and holds both against the laws I1 to I27 ([`Invariant`]). It reads no clock, keeps no copy of the state, and looks
//! only at what a step touched.
//!
//! Where a law could be broken by a race that nobody can avoid, the file of the law says what is allowed for: a false alarm costs as
//! much as a missed bug.

mod body;
mod book;
mod clock;
mod entry;
mod exposure;
mod fills;
mod findings;
mod freshness;
mod intents;
mod invariant;
mod limits;
mod log;
mod money;
mod orders;
mod recovery;
mod seen;
mod told;
mod wire;

use std::collections::BTreeMap;

use alphaengine_core::event::Recorded;
use alphaengine_core::state::State;
use alphaengine_core::units::Timestamp;

pub use self::invariant::{Invariant, Violation};
pub use self::recovery::{Known, Recovery, StateHash};
pub use self::seen::{Rules, Seen};

use self::body::Body;
use self::book::Book;
use self::clock::Clock;
use self::entry::Entry;
use self::exposure::Exposure;
use self::fills::Fills;
use self::findings::Findings;
use self::freshness::Freshness;
use self::intents::Intents;
use self::limits::Limits;
use self::log::Log;
use self::told::Told;
use self::wire::{Ask, Cost};
use crate::gateway::Gateway;

/// Watches a run and judges it.
#[derive(Debug)]
pub struct Auditor {
    rules: Rules,
    findings: Findings,
    log: Log,
    book: Book,
    told: Told,
    fills: Fills,
    intents: Intents,
    exposure: Exposure,
    limits: Limits,
    freshness: Freshness,
    clock: Clock,
    /// What the requests want that the bot awaits an answer to, or the exchange has not answered.
    asks: BTreeMap<u64, Ask>,
}

impl Auditor {
    pub fn new(rules: Rules) -> Auditor {
        Auditor {
            rules,
            findings: Findings::new(),
            log: Log::default(),
            book: Book::new(),
            told: Told::default(),
            fills: Fills::default(),
            intents: Intents::default(),
            exposure: Exposure::default(),
            limits: Limits::new(),
            freshness: Freshness::new(),
            clock: Clock::default(),
            asks: BTreeMap::new(),
        }
    }

    /// Takes in one thing that happened.
    pub fn see(&mut self, at: Timestamp, step: u64, seen: Seen<'_>) {
        self.turn(at, step);
        match seen {
            Seen::ProcessBegan { seq, .. } => {
                self.rewind(seq);
                self.intents.recovered(&self.book);
                self.freshness.process_began();
                self.limits.process_began();
            }
            // What is sent from here on is the next process's, whether or not it has begun to trade: first it asks for the rules.
            Seen::ProcessEnded => {
                self.intents.process_ended();
                self.freshness.process_ended();
                self.limits.process_ended();
                self.clock.process_ended();
            }
            Seen::Sent { id, method, path, query, durable } => self.sent(id, method, path, query, durable),
            Seen::NotSent { id } => self.intents.not_sent(id),
            Seen::Answered { id, method, path, query, status, body, .. } => {
                let ask = self.asks.remove(&id);
                let ask = ask.unwrap_or_else(|| wire::ask(method, path, query, &self.rules.instruments));
                self.answered(id, &ask, wire::cost(method, path, query), status, &Body::of(body));
            }
            Seen::Got { id, status, headers, body } => {
                let body = Body::of(body);
                let taken = self.intents.got(id, status, &body);
                self.freshness.orders_taken(at, &taken);
                self.limits.got(at, id, status, headers, &body);
                self.clock.got(at, id, status);
            }
            Seen::Said { route, text } => {
                self.freshness.said(route, text);
                // Only the account's stream tells of orders.
                if route.eq_ignore_ascii_case("private") {
                    self.said(text);
                }
            }
            Seen::Delivered { route, text } => self.freshness.delivered(at, route, text),
            Seen::Logged { events } => events.iter().for_each(|recorded| self.logged(&Entry::of(recorded))),
            Seen::Committed { ok } => self.log.commit(ok),
            Seen::StreamTruth { route, fresh } => self.freshness.truth(at, route, fresh),
            Seen::Stepped { reconciled, state, .. } => self.stepped(reconciled, state),
            Seen::MarketStands => self.clock.market(at),
            Seen::Market(update) => {
                self.exposure.market(update);
                self.clock.market(update.at);
            }
            Seen::StrategyHeard { until } => self.clock.strategy_heard(at, until, &mut self.findings),
            Seen::StorageDistrusted => {
                self.freshness.distrusted(at);
                self.intents.distrusted(true);
                self.limits.store_failed();
            }
            Seen::StorageTrusted => {
                self.freshness.trusted();
                self.intents.distrusted(false);
            }
            Seen::FaultsOver => self.freshness.faults_over(at),
        }
    }

    /// A process ended, and this is what the next one found.
    pub fn recovered(&mut self, at: Timestamp, step: u64, recovery: Recovery<'_>) {
        self.turn(at, step);
        recovery::judge(&self.log, &recovery, &mut self.findings);
        let last = recovery.log.last().map_or(0, |recorded| recorded.seq);
        if recovery.salvaged || recovery.damaged && last < self.log.written {
            // The numbers of commands that are gone are given again.
            self.intents.forget_commands();
        }
        // From here on the store is what was found in it, also where a salvage gave a number to another event.
        self.log.found(recovery.log);
        self.book = self.added_up();
    }

    /// A deliberate check by the campaign: a trace hash (I27), a second instance (I25), the orders of a plain backtest (I24).
    pub fn check(
        &mut self,
        invariant: Invariant,
        at: Timestamp,
        step: u64,
        holds: bool,
        sentence: impl FnOnce() -> String,
    ) {
        self.turn(at, step);
        self.findings.check(invariant, holds, sentence);
    }

    /// Nothing is under way any more: log and state against the exchange. `log` is the whole log as a reader reads it.
    pub fn quiet(&mut self, at: Timestamp, step: u64, log: &[Recorded], state: &State, gateway: &Gateway) {
        self.turn(at, step);
        let Auditor { rules, findings, book, fills, intents, freshness, .. } = self;
        let mut whole = Book::new();
        for entry in log.iter().map(Entry::of) {
            whole.take(&entry, &rules.instruments);
        }
        findings.check(Invariant::I14, whole.seq == book.seq, || {
            format!("the store ends at event {}, and event {} was written", whole.seq, book.seq)
        });
        intents.quiet(&whole, gateway, findings);
        fills.quiet(&whole, log, state, gateway, &rules.instruments, findings);
        orders::quiet(&whole, gateway, findings);
        exposure::quiet(&whole, gateway, &rules.instruments, findings);
        freshness.quiet(state, findings);
        money::quiet(&whole, gateway, rules.opening_wallet, &rules.instruments, findings);
    }

    pub fn violations(&self) -> &[Violation] {
        &self.findings.violations
    }

    /// How often each law was checked.
    pub fn checks(&self) -> &BTreeMap<Invariant, u64> {
        &self.findings.checks
    }

    fn turn(&mut self, at: Timestamp, step: u64) {
        let last = self.findings.at;
        (self.findings.at, self.findings.step) = (at.max(last), step);
        self.findings.check(Invariant::I23, at >= last, || format!("time went back from {last} to {at}"));
    }

    fn sent(&mut self, id: u64, method: &str, path: &str, query: &str, durable: Option<bool>) {
        let Auditor { rules, findings, book, intents, limits, freshness, clock, .. } = self;
        let at = findings.at;
        let ask = wire::ask(method, path, query, &rules.instruments);
        limits.sent(at, id, &ask, query, findings);
        clock.sent(at, id, &ask, query);
        if !matches!(ask, Ask::Time | Ask::Other) {
            exposure::sent(&ask, book, findings);
            freshness.sent(at, &ask, book, rules, findings);
            intents.sent(id, &ask, query, durable, book, findings);
        }
        self.asks.insert(id, ask);
    }

    fn answered(&mut self, id: u64, ask: &Ask, cost: Cost, status: u16, body: &Body<'_>) {
        let Auditor { rules, findings, book, told, intents, limits, clock, .. } = self;
        let at = findings.at;
        limits.answered(ask, cost, status, body, rules, findings);
        clock.answered(at, id, status, body, findings);
        if !matches!(ask, Ask::Time | Ask::Other) {
            told.answered(ask, status, body, book);
            intents.answered(ask, status, body, findings);
        }
    }

    fn said(&mut self, text: &str) {
        if text.contains("\"ORDER_TRADE_UPDATE\"") {
            if let Some(frame) = wire::order_frame(text) {
                self.told.order_said(&frame.o);
                self.fills.said(&frame.o, &mut self.findings);
                exposure::said(&frame.o, &self.book, &mut self.findings);
            }
        } else if text.contains("\"ALGO_UPDATE\"")
            && let Some(frame) = wire::algo_frame(text)
        {
            self.told.algo_said(&frame.o);
        }
    }

    fn logged(&mut self, entry: &Entry) {
        let Auditor { rules, findings, log, book, told, fills, intents, exposure, limits, freshness, .. } = self;
        let at = findings.at;
        log.append(*entry, findings);
        intents.logged(book, entry, told, findings);
        fills.logged(book, entry, findings);
        orders::logged(book, entry, told, findings);
        exposure.logged(book, entry, &rules.limits, findings);
        limits.logged(at, entry);
        freshness.logged(at, book, entry, findings);
        book.take(entry, &rules.instruments);
    }

    fn stepped(&mut self, reconciled: bool, state: &State) {
        let Auditor { rules, findings, book, fills, intents, limits, freshness, .. } = self;
        let at = findings.at;
        freshness.stepped(at, reconciled, state, rules, findings);
        limits.stepped(at, book, intents, rules, findings);
        // A step that failed has a state that is ahead of the log, or behind it.
        if state.seq == book.seq {
            fills.stepped(book, state, &rules.instruments, findings);
            money::stepped(book, state, findings);
            book.moved.clear();
        }
    }

    /// The store holds the log up to this event only: what came after it never was.
    fn rewind(&mut self, seq: u64) {
        if self.log.rewind(seq) {
            self.book = self.added_up();
        }
    }

    /// What the whole log adds up to.
    fn added_up(&self) -> Book {
        let mut book = Book::new();
        for entry in &self.log.entries {
            book.take(entry, &self.rules.instruments);
        }
        book
    }
}
