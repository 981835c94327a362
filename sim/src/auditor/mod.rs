//! The Auditor judges a run of the fault campaign from the exchange's side and from the documents, never from the engine's code.
//!
//! The world tells it everything that passes ([`Seen`]); it adds up the log with a book of its own, reads requests and answers from
//! their bytes, and holds both against the laws I1 to I27 ([`Invariant`]). It reads no clock, keeps no copy of the state, and looks
//! only at what a step touched.
//!
//! Where a law could be broken by a race that nobody can avoid, the file of the law says what is allowed for: a false alarm costs as
//! much as a missed bug.

mod book;
mod entry;
mod fills;
mod findings;
mod intents;
mod invariant;
mod log;
mod money;
mod seen;
mod told;
mod wire;

use std::collections::BTreeMap;

use alphaengine_core::event::Recorded;
use alphaengine_core::state::State;
use alphaengine_core::units::Timestamp;

pub use self::invariant::{Invariant, Violation};
pub use self::seen::{Rules, Seen};

use self::book::Book;
use self::entry::Entry;
use self::fills::Fills;
use self::findings::Findings;
use self::intents::Intents;
use self::log::Log;
use self::told::Told;
use self::wire::Ask;
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
            asks: BTreeMap::new(),
        }
    }

    /// Takes in one thing that happened.
    pub fn see(&mut self, at: Timestamp, step: u64, seen: Seen<'_>) {
        self.turn(at, step);
        match seen {
            Seen::ProcessBegan { seq, .. } => self.rewind(seq),
            Seen::ProcessEnded => self.intents.process_ended(),
            Seen::Sent { id, method, path, query, durable } => {
                let ask = wire::ask(method, path, query, &self.rules.instruments);
                self.intents.sent(at, id, &ask, query, durable, &self.book, &mut self.findings);
                self.asks.insert(id, ask);
            }
            Seen::NotSent { id } => self.intents.not_sent(id),
            Seen::Answered { id, method, path, query, status, body, .. } => {
                let ask = self.asks.remove(&id);
                let ask = ask.unwrap_or_else(|| wire::ask(method, path, query, &self.rules.instruments));
                if !matches!(ask, Ask::Time | Ask::Other) {
                    let body = serde_json::from_slice(body).unwrap_or_default();
                    self.told.answered(&ask, status, &body, &self.book);
                    self.intents.answered(&ask, status, &body, &mut self.findings);
                }
            }
            Seen::Got { id, status, body, .. } => self.intents.got(id, status, body),
            Seen::Said { text, .. } => self.said(text),
            Seen::Logged { events } => events.iter().for_each(|recorded| self.logged(&Entry::of(recorded))),
            Seen::Committed { ok } => self.log.commit(ok),
            Seen::Stepped { state, .. } => self.stepped(state),
            _ => {}
        }
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
        let Auditor { rules, findings, book, fills, intents, .. } = self;
        let mut whole = Book::new();
        for entry in log.iter().map(Entry::of) {
            whole.take(&entry, &rules.instruments);
        }
        findings.check(Invariant::I14, whole.seq == book.seq, || {
            format!("the store ends at event {}, and event {} was written", whole.seq, book.seq)
        });
        intents.quiet(&whole, gateway, findings);
        fills.quiet(&whole, log, state, gateway, &rules.instruments, findings);
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

    fn said(&mut self, text: &str) {
        if text.contains("\"ORDER_TRADE_UPDATE\"") {
            if let Some(frame) = wire::order_frame(text) {
                self.told.order_said(&frame.o);
                self.fills.said(&frame.o, &mut self.findings);
            }
        } else if text.contains("\"ALGO_UPDATE\"")
            && let Some(frame) = wire::algo_frame(text)
        {
            self.told.algo_said(&frame.o);
        }
    }

    fn logged(&mut self, entry: &Entry) {
        let Auditor { rules, findings, log, book, told, fills, intents, .. } = self;
        log.append(*entry, findings);
        intents.logged(book, entry, told, findings);
        fills.logged(book, entry, findings);
        book.take(entry, &rules.instruments);
    }

    fn stepped(&mut self, state: &State) {
        let Auditor { rules, findings, book, fills, .. } = self;
        // A step that failed has a state that is ahead of the log, or behind it.
        if state.seq != book.seq {
            return;
        }
        fills.stepped(book, state, &rules.instruments, findings);
        money::stepped(book, state, findings);
        book.moved.clear();
    }

    /// The store holds the log up to this event only: what came after it never was.
    fn rewind(&mut self, seq: u64) {
        if self.log.rewind(seq) {
            self.book = Book::new();
            for entry in &self.log.entries {
                self.book.take(entry, &self.rules.instruments);
            }
        }
    }
}
