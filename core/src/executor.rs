//! The Executor numbers requests, remembers what each was about, and decides what an answer that never came means.
//!
//! A lost answer is a state of its own. It is asked about after 0.25, 1, 2 and 5 seconds and then every 5; only an answer that
//! says "not there", to a question asked when the request could no longer arrive, proves that an order does not exist
//! (`binance-usdm.md` section 7.3). A request may have waited for a limit before it left, a close even through a ban of minutes: so
//! the time counts from its loss, and one without an answer proves nothing. Nothing is ever sent a second time.

use crate::exchange::Setting;
use crate::id::{ClientOrderId, CommandId, RequestId};
use crate::market::SymbolId;
use crate::units::{NANOS_PER_MILLI, Nanos, Timestamp};

/// When to ask about an order whose answer was lost, counted from the loss; the last step repeats.
const ASK_AFTER: [Nanos; 4] =
    [250 * NANOS_PER_MILLI, 1_000 * NANOS_PER_MILLI, 2_000 * NANOS_PER_MILLI, 5_000 * NANOS_PER_MILLI];

/// What a request was about, and of which command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    Place(ClientOrderId),
    Cancel {
        order: ClientOrderId,
        command: CommandId,
    },
    Modify {
        order: ClientOrderId,
        command: CommandId,
    },
    /// A question is about the instant at which it was asked: its answer may come after the next one was asked.
    Query {
        order: ClientOrderId,
        asked_at: Timestamp,
    },
    Set {
        symbol: Option<SymbolId>,
        setting: Setting,
        command: CommandId,
    },
    /// A question of the reconciler, of its so-manieth round.
    Reconcile {
        round: u64,
        what: Asked,
    },
}

/// What the reconciler asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// With `is_backfill` of an order, otherwise what is not known yet.
    Trades {
        symbol: SymbolId,
        since: Timestamp,
        is_backfill: bool,
    },
    Income {
        since: Timestamp,
    },
    Snapshot,
}

/// Requests on their way and orders in doubt.
#[derive(Debug)]
pub struct Executor {
    last_request: u64,
    /// Few at any time, so a scan beats a map.
    in_flight: Vec<(RequestId, Sent)>,
    doubts: Vec<Doubt>,
    recv_window: Nanos,
    /// How long after leaving a request can still be accepted: the receive window and a margin.
    acceptance: Nanos,
}

/// An order of which nobody knows whether a request about it arrived.
#[derive(Debug, Clone, Copy)]
struct Doubt {
    order: ClientOrderId,
    lost_at: Timestamp,
    /// Nothing about the order left after this.
    left_by: Timestamp,
    asked: usize,
    due: Timestamp,
}

impl Executor {
    pub fn new(recv_window: Nanos, margin: Nanos) -> Executor {
        Executor {
            last_request: 0,
            in_flight: Vec::new(),
            doubts: Vec::new(),
            recv_window,
            acceptance: recv_window + margin,
        }
    }

    /// Numbers a request.
    #[inline]
    pub fn send(&mut self, sent: Sent) -> RequestId {
        self.last_request += 1;
        let id = RequestId(self.last_request);
        self.in_flight.push((id, sent));
        id
    }

    /// What an answer is about; `None` when it was answered before.
    #[inline]
    pub fn answered(&mut self, id: RequestId) -> Option<Sent> {
        let index = self.in_flight.iter().position(|(sent, _)| *sent == id)?;
        Some(self.in_flight.swap_remove(index).1)
    }

    /// Whether anything but questions is on its way, or in doubt.
    pub fn is_busy(&self) -> bool {
        let asks = |sent: &Sent| matches!(sent, Sent::Query { .. } | Sent::Reconcile { .. });
        !self.doubts.is_empty() || self.in_flight.iter().any(|(_, sent)| !asks(sent))
    }

    /// What is on its way.
    pub fn in_flight(&self) -> impl Iterator<Item = &Sent> {
        self.in_flight.iter().map(|(_, sent)| sent)
    }

    /// The answer to a request about this order is lost. After a second loss the questions go on as they were.
    pub fn doubt(&mut self, order: ClientOrderId, at: Timestamp) {
        match self.doubts.iter_mut().find(|doubt| doubt.order == order) {
            Some(doubt) => doubt.left_by = doubt.left_by.max(at),
            None => self.doubts.push(Doubt { order, lost_at: at, left_by: at, asked: 0, due: at.plus(ASK_AFTER[0]) }),
        }
    }

    /// A new process begins. What the one before had not sent when it wrote its last event, it may have sent until it ended.
    pub fn begin(&mut self, at: Timestamp) {
        for doubt in &mut self.doubts {
            doubt.left_by = doubt.left_by.max(at);
        }
    }

    /// The order showed itself, or is proven absent.
    pub fn settled(&mut self, order: &ClientOrderId) {
        if !self.doubts.is_empty() {
            self.doubts.retain(|doubt| doubt.order != *order);
        }
    }

    /// When the next question is due.
    pub fn wake_at(&self) -> Timestamp {
        self.doubts.iter().map(|doubt| doubt.due).min().unwrap_or(Timestamp::MAX)
    }

    /// Orders about which to ask now.
    pub fn due(&mut self, at: Timestamp) -> Vec<ClientOrderId> {
        let mut due = Vec::new();
        for doubt in self.doubts.iter_mut().filter(|doubt| doubt.due <= at) {
            due.push(doubt.order);
            doubt.asked += 1;
            let last = ASK_AFTER.len() - 1;
            let next = doubt.lost_at.plus(ASK_AFTER[doubt.asked.min(last)]);
            doubt.due = if doubt.asked > last { at.plus(ASK_AFTER[last]) } else { next };
        }
        due
    }

    /// Whether the answer to a question proves that a request about an order of which it shows nothing never arrived: the question
    /// was asked when the request could no longer be accepted.
    pub fn proves_absence(&self, order: &ClientOrderId, sent_at: Timestamp, asked_at: Timestamp) -> bool {
        let concerns = |sent: &Sent| match sent {
            Sent::Place(of) | Sent::Cancel { order: of, .. } | Sent::Modify { order: of, .. } => of == order,
            Sent::Query { .. } | Sent::Set { .. } | Sent::Reconcile { .. } => false,
        };
        if self.in_flight().any(concerns) {
            return false;
        }
        let left_by = self.doubts.iter().find(|doubt| doubt.order == *order).map_or(sent_at, |doubt| doubt.left_by);
        asked_at > left_by.max(sent_at).plus(self.acceptance)
    }

    /// The same for a change that is not given up for lost anywhere. It may wait for a limit as long as it may be on its way.
    pub fn is_long_past(&self, sent_at: Timestamp, asked_at: Timestamp) -> bool {
        asked_at > sent_at.plus(self.recv_window + self.acceptance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::NANOS_PER_SECOND;

    fn seconds(seconds: i64) -> Timestamp {
        Timestamp::from_nanos(seconds * NANOS_PER_SECOND)
    }

    #[test]
    fn not_there_is_believed_only_after_the_request_could_no_longer_arrive() {
        let mut executor = Executor::new(2 * NANOS_PER_SECOND, NANOS_PER_SECOND);
        let order: ClientOrderId = "ae-1".parse().unwrap();
        executor.doubt(order, seconds(100));
        let mut asked = Vec::new();
        let mut proven = Vec::new();
        for _ in 0..6 {
            let at = executor.wake_at();
            assert_eq!(executor.due(at), [order]);
            asked.push(at.since(seconds(100)) / NANOS_PER_MILLI);
            proven.push(executor.proves_absence(&order, seconds(100), at));
        }
        assert_eq!(asked, [250, 1_000, 2_000, 5_000, 10_000, 15_000]);
        assert_eq!(proven, [false, false, false, true, true, true]);
        // A second loss begins nothing anew.
        executor.doubt(order, seconds(116));
        assert_eq!(executor.wake_at(), seconds(120));
        executor.settled(&order);
        assert_eq!(executor.wake_at(), Timestamp::MAX);
    }

    #[test]
    fn what_may_have_left_late_is_not_proven_absent_early() {
        let mut executor = Executor::new(2 * NANOS_PER_SECOND, NANOS_PER_SECOND);
        let order: ClientOrderId = "ae-1".parse().unwrap();
        let id = executor.send(Sent::Place(order));
        assert!(!executor.proves_absence(&order, seconds(100), seconds(400)), "it waits for the end of a ban");
        executor.answered(id);
        executor.doubt(order, seconds(400));
        assert!(!executor.proves_absence(&order, seconds(100), seconds(403)));
        assert!(executor.proves_absence(&order, seconds(100), seconds(404)));
        executor.begin(seconds(410));
        assert!(!executor.proves_absence(&order, seconds(100), seconds(413)));
        assert!(executor.proves_absence(&order, seconds(100), seconds(414)));
        assert!(
            !executor.is_long_past(seconds(100), seconds(105)) && executor.is_long_past(seconds(100), seconds(106))
        );
    }

    #[test]
    fn an_answer_counts_once() {
        let mut executor = Executor::new(0, 0);
        let sent = Sent::Cancel { order: "ae-7".parse().unwrap(), command: CommandId(3) };
        let id = executor.send(sent);
        assert_eq!(executor.answered(id), Some(sent));
        assert_eq!(executor.answered(id), None);
    }
}
