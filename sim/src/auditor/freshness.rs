//! Freshness: nothing opens on what is stale (I21) or while the storage is not trusted (I26), and when the faults are over the bot
//! comes back (I22). Source: `binance-usdm.md` sections 1.1 (silence is the failure mode), 4.1, 12.8 and `simulation.md` section 3.
//!
//! What the bot wrote down binds it at once: an order that opens is not decided while its log says that a stream is down or late, that
//! the account is not compared, or that only closes may leave. What it could not know binds it after a deadline: a route that is dead
//! and delivers nothing in time must be noticed after 30 s (book), 15 s (marks, and where there are none 300 s), and the account's
//! stream, which may be quiet for days, 10 s after an order was taken of which it tells nothing. Quotes and marks that are more than 3 s
//! old for 2 s are noticed with the next of them. Five seconds are given for the noticing. An order that was decided before may leave for one receive window more.

use std::collections::BTreeSet;

use alphaengine_core::id::ClientOrderId;
use alphaengine_core::link::Route;
use alphaengine_core::mode::EngineMode;
use alphaengine_core::order::OrderStatus;
use alphaengine_core::state::State;
use alphaengine_core::units::{NANOS_PER_MILLI, NANOS_PER_MINUTE, NANOS_PER_SECOND, Nanos, Timestamp};

use super::book::Book;
use super::entry::{Entry, Fact};
use super::findings::Findings;
use super::invariant::Invariant::{I21, I22, I26};
use super::seen::Rules;
use super::wire::{self, Ask};

const NOTICED_WITHIN: Nanos = 5 * NANOS_PER_SECOND;
/// An event that is older when it arrives is late: three seconds, and one for two clocks that disagree.
const LATE_AFTER: Nanos = 4 * NANOS_PER_SECOND;
/// When events have been late for so long, the route is.
const LATE_FOR: Nanos = 2 * NANOS_PER_SECOND;
/// What is older than this is told in a time of its own.
const OTHER_TIMES: Nanos = 60 * NANOS_PER_MINUTE;

/// What the world knows of a route, and what the bot could know.
#[derive(Debug, Clone, Copy)]
struct Truth {
    is_fresh: bool,
    /// Since when nothing came in time although the route is dead.
    silent_since: Timestamp,
    /// Since when marks or quotes are late, and when that had lasted long enough to be known.
    late_since: Option<Timestamp>,
    known_late: Option<Timestamp>,
    /// Marks or quotes were said on it: its silence is noticed early.
    is_talkative: bool,
}

#[derive(Debug)]
pub(super) struct Freshness {
    routes: [Truth; 3],
    /// An order was taken of which the account's stream, which is dead, had not told.
    untold_since: Option<Timestamp>,
    /// Orders of which the bot heard on the account's stream. What comes before the answer may be the last that the stream says.
    told: BTreeSet<ClientOrderId>,
    /// The step before said that the account is compared.
    is_reconciled: bool,
    distrusted: Option<Timestamp>,
    faults_over: Option<Timestamp>,
    has_converged: bool,
}

fn route(name: &str) -> Option<Route> {
    Route::ALL.into_iter().find(|route| route.name().eq_ignore_ascii_case(name))
}

impl Freshness {
    pub fn new() -> Freshness {
        let truth = Truth {
            is_fresh: true,
            silent_since: Timestamp::MIN,
            late_since: None,
            known_late: None,
            is_talkative: false,
        };
        Freshness {
            routes: [truth; 3],
            untold_since: None,
            told: BTreeSet::new(),
            is_reconciled: false,
            distrusted: None,
            faults_over: None,
            has_converged: false,
        }
    }

    /// A store was opened. It is not trusted for that, where the one before failed.
    pub fn process_began(&mut self) {
        self.is_reconciled = false;
        self.untold_since = None;
    }

    /// The next process knows nothing of the distrust of this one.
    pub fn process_ended(&mut self) {
        self.distrusted = None;
    }

    pub fn distrusted(&mut self, at: Timestamp) {
        self.distrusted.get_or_insert(at);
    }

    pub fn trusted(&mut self) {
        self.distrusted = None;
    }

    pub fn faults_over(&mut self, at: Timestamp) {
        self.faults_over.get_or_insert(at);
    }

    pub fn truth(&mut self, at: Timestamp, name: &str, fresh: bool) {
        let Some(route) = route(name) else {
            return;
        };
        let truth = &mut self.routes[route as usize];
        if truth.is_fresh && !fresh {
            (truth.late_since, truth.known_late) = (None, None);
            truth.silent_since = at;
            if route == Route::Private {
                self.untold_since = None;
            }
        }
        truth.is_fresh = fresh;
    }

    pub fn said(&mut self, name: &str, text: &str) {
        if let Some(route) = route(name) {
            let truth = &mut self.routes[route as usize];
            // Looked for until it is found: marks come each second.
            truth.is_talkative = truth.is_talkative || route == Route::Public || text.contains("\"markPriceUpdate\"");
        }
    }

    /// A frame on a dead route that is not old keeps the bot in the belief that the route lives.
    pub fn delivered(&mut self, at: Timestamp, name: &str, text: &str) {
        let Some(route) = route(name) else {
            return;
        };
        if route == Route::Private {
            self.told.extend(order_of(text));
        }
        let truth = &mut self.routes[route as usize];
        if truth.is_fresh {
            return;
        }
        let lag = event_time(text).map_or(0, |event| at.since(event));
        let is_dated = text.contains("\"markPriceUpdate\"") || text.contains("\"bookTicker\"");
        if is_dated && (LATE_AFTER..OTHER_TIMES).contains(&lag) {
            let since = *truth.late_since.get_or_insert(at);
            if at.since(since) >= LATE_FOR {
                truth.known_late.get_or_insert(at);
            }
        }
        if lag <= LATE_AFTER {
            (truth.late_since, truth.known_late) = (None, None);
            truth.silent_since = at;
            if route == Route::Private {
                self.untold_since = None;
            }
        }
    }

    /// The bot got the answer that its orders were taken.
    pub fn orders_taken(&mut self, at: Timestamp, orders: &[ClientOrderId]) {
        let is_untold = orders.iter().any(|order| !self.told.contains(order));
        if is_untold && !self.routes[Route::Private as usize].is_fresh {
            self.untold_since.get_or_insert(at);
        }
    }

    /// Since when the bot must have noticed that a route is dead.
    fn overdue(&self, route: Route) -> Option<Timestamp> {
        let truth = &self.routes[route as usize];
        if truth.is_fresh {
            return None;
        }
        let seconds = |seconds: i64| seconds * NANOS_PER_SECOND + NOTICED_WITHIN;
        let silent = match (route, truth.is_talkative) {
            (Route::Public, _) => truth.silent_since.plus(seconds(30)),
            (Route::Market, true) => truth.silent_since.plus(seconds(15)),
            (Route::Market, false) => truth.silent_since.plus(seconds(300)),
            (Route::Private, _) => return self.untold_since.map(|since| since.plus(seconds(10))),
        };
        Some(truth.known_late.map_or(silent, |known| known.plus(NOTICED_WITHIN).min(silent)))
    }

    /// An event of the log, before the book takes it.
    pub fn logged(&mut self, at: Timestamp, book: &Book, entry: &Entry, findings: &mut Findings) {
        // Newer than what the last step said; and while it boots, the engine says no whatever it knows.
        if let Fact::ReconcileFinished | Fact::Mode { to: EngineMode::Running } = entry.fact {
            self.is_reconciled = true;
        }
        let (name, opens) = match entry.fact {
            Fact::Requested { name, spec } => (name, !spec.only_reduces()),
            Fact::ModifyRequested { name, .. } => {
                (name, book.orders.get(&name).is_some_and(|life| !life.spec.only_reduces()))
            }
            _ => return,
        };
        if !opens {
            return;
        }
        let seq = entry.seq;
        findings.check(I21, book.mode == EngineMode::Running, || {
            format!("event {seq} opens with order {name}, and the engine is {:?}", book.mode)
        });
        let is_stale = book.down.first().or(book.late.first());
        findings.check(I21, is_stale.is_none(), || {
            format!("event {seq} opens with order {name}, and the log says that a stream is down or late: {is_stale:?}")
        });
        findings.check(I21, book.is_compared && self.is_reconciled, || {
            format!("event {seq} opens with order {name}, and the account is not compared")
        });
        for route in Route::ALL {
            let overdue = self.overdue(route);
            findings.check(I21, overdue.is_none_or(|overdue| at <= overdue), || {
                format!(
                    "event {seq} opens with order {name}, and the {} stream is dead since {:?}",
                    route.name(),
                    self.routes
                )
            });
        }
        findings.check(I26, self.distrusted.is_none(), || {
            format!("event {seq} opens with order {name}, and the storage is not trusted since {:?}", self.distrusted)
        });
    }

    /// A request leaves.
    pub fn sent(&self, at: Timestamp, ask: &Ask, book: &Book, rules: &Rules, findings: &mut Findings) {
        // What an order does, its own words say; what a change does, only the order that is changed.
        let opening = match ask {
            Ask::Place(orders) => orders.iter().find(|order| !order.only_reduces()).map(|order| order.name),
            Ask::Modify(name) => {
                name.filter(|name| book.orders.get(name).is_some_and(|life| !life.spec.only_reduces()))
            }
            _ => None,
        };
        let Some(name) = opening else {
            return;
        };
        let grace = rules.recv_window.saturating_add(NANOS_PER_SECOND);
        for route in Route::ALL {
            let overdue = self.overdue(route);
            findings.check(I21, overdue.is_none_or(|overdue| at <= overdue.plus(grace)), || {
                format!("order {name} opens and left, and the {} stream is dead: {:?}", route.name(), self.routes)
            });
        }
        findings.check(I26, self.distrusted.is_none_or(|since| at <= since.plus(grace)), || {
            format!("order {name} opens and left, and the storage is not trusted since {:?}", self.distrusted)
        });
    }

    /// After a step. `reconciled` is what the engine says of itself.
    pub fn stepped(&mut self, at: Timestamp, reconciled: bool, state: &State, rules: &Rules, findings: &mut Findings) {
        self.is_reconciled = reconciled;
        let is_due = self.faults_over.is_some_and(|over| at.since(over) > rules.converge_within);
        if is_due && !self.has_converged {
            self.has_converged = true;
            self.converged(reconciled, state, findings);
        }
    }

    /// Everything is well again.
    fn converged(&self, reconciled: bool, state: &State, findings: &mut Findings) {
        let over = self.faults_over;
        let doubt = state.orders.values().find(|order| order.status == OrderStatus::Unknown);
        findings.check(I22, doubt.is_none(), || {
            format!("faults were over at {over:?}, and this order is still in doubt: {doubt:?}")
        });
        let stale = state.links_down.first().or(state.links_late.first());
        findings
            .check(I22, stale.is_none(), || format!("faults were over at {over:?}, and a stream is down: {stale:?}"));
        findings.check(I22, reconciled, || format!("faults were over at {over:?}, and the account is not compared"));
    }

    /// The end: nothing is asked for any more.
    pub fn quiet(&self, state: &State, findings: &mut Findings) {
        self.converged(self.is_reconciled, state, findings);
        let waiting = state.orders.values().find(|order| order.status == OrderStatus::Requested);
        findings
            .check(I22, waiting.is_none(), || format!("the end is quiet, and this order has no answer: {waiting:?}"));
        let asked = state.cancels.first_key_value().or(state.modifies.first_key_value());
        findings.check(I22, asked.is_none(), || {
            format!("the end is quiet, and a cancel or a change has no answer: {asked:?}")
        });
        for route in Route::ALL {
            // The account's stream may be quiet for days: that it is dead shows only when it should tell of an order.
            let is_unknown =
                route == Route::Private && self.overdue(route).is_none_or(|overdue| findings.at <= overdue);
            let is_fresh = self.routes[route as usize].is_fresh || is_unknown;
            findings.check(I22, is_fresh, || format!("the end is quiet, and the {} stream is dead", route.name()));
        }
    }
}

/// The order that a frame of the account's stream tells of.
fn order_of(text: &str) -> Option<ClientOrderId> {
    let name = if text.contains("\"ORDER_TRADE_UPDATE\"") {
        wire::order_frame(text)?.o.name
    } else if text.contains("\"ALGO_UPDATE\"") {
        wire::algo_frame(text)?.o.name
    } else {
        return None;
    };
    name.parse().ok()
}

/// The event time of a frame, in the exchange's milliseconds.
fn event_time(text: &str) -> Option<Timestamp> {
    let (_, rest) = text.split_once("\"E\":")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Some(Timestamp::from_nanos(digits.parse::<i64>().ok()?.checked_mul(NANOS_PER_MILLI)?))
}
