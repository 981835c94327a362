//! Execution counts what became of orders, and how long the exchange took to answer.

use std::collections::{BTreeMap, VecDeque};

use super::spans::Spans;
use crate::command::Refusal;
use crate::id::ClientOrderId;
use crate::units::Timestamp;

/// More orders than this without an answer are not timed.
const MOST_UNANSWERED: usize = 4_096;

/// What became of orders.
#[derive(Debug, Clone, Default)]
pub struct Execution {
    /// Requests that left for the exchange.
    pub orders: u64,
    pub fills: u64,
    /// Orders that the exchange refused, or that were proven not to exist.
    pub rejected: u64,
    pub canceled: u64,
    /// Remainders of immediate-or-cancel orders among them.
    pub expired: u64,
    /// Times at which the exchange began to close a position or the account.
    pub liquidations: u64,
    /// Refused orders by the exchange's code.
    pub rejects: BTreeMap<i32, u64>,
    /// Refused cancels and modifications by the exchange's code.
    pub change_rejects: BTreeMap<i32, u64>,
    /// Our own refusals by their reason.
    pub refusals: BTreeMap<&'static str, u64>,
    /// From an order's request to the first answer of any kind.
    pub latency: Spans,
    /// Requests without an answer, oldest first. Answers come nearly in the same order.
    unanswered: VecDeque<(ClientOrderId, Timestamp)>,
}

impl Execution {
    pub fn requested(&mut self, id: ClientOrderId, at: Timestamp) {
        self.orders += 1;
        if self.unanswered.len() == MOST_UNANSWERED {
            self.unanswered.pop_front();
        }
        self.unanswered.push_back((id, at));
    }

    /// The exchange said something about an order; the first time counts.
    #[inline]
    pub fn answered(&mut self, id: &ClientOrderId, at: Timestamp) {
        if self.unanswered.is_empty() {
            return;
        }
        if let Some(index) = self.unanswered.iter().position(|(unanswered, _)| unanswered == id)
            && let Some((_, requested_at)) = self.unanswered.remove(index)
        {
            self.latency.push(at.since(requested_at));
        }
    }

    pub fn refused(&mut self, refusal: &Refusal) {
        *self.refusals.entry(reason(refusal)).or_default() += 1;
    }

    /// Orders that were filled completely; `open` are those that are not over.
    pub fn filled(&self, open: u64) -> u64 {
        let unfilled = self.rejected + self.canceled + self.expired + open;
        self.orders.saturating_sub(unfilled)
    }
}

/// The name of a refusal, as in its JSON.
fn reason(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::EngineMode { .. } => "ENGINE_MODE",
        Refusal::PositionSize { .. } => "POSITION_SIZE",
        Refusal::OrderNotional { .. } => "ORDER_NOTIONAL",
        Refusal::OpenOrders { .. } => "OPEN_ORDERS",
        Refusal::DailyLoss { .. } => "DAILY_LOSS",
        Refusal::MinBalance { .. } => "MIN_BALANCE",
        Refusal::Drawdown { .. } => "DRAWDOWN",
        Refusal::StaleStreams { .. } => "STALE_STREAMS",
        Refusal::LateStreams { .. } => "LATE_STREAMS",
        Refusal::NotReconciled => "NOT_RECONCILED",
        Refusal::Stopping => "STOPPING",
        Refusal::NoQuantity => "NO_QUANTITY",
        Refusal::NoPrice => "NO_PRICE",
        Refusal::NoSuchOrder => "NO_SUCH_ORDER",
        Refusal::NoPosition => "NO_POSITION",
        Refusal::OutOfRange => "OUT_OF_RANGE",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ClientOrderId {
        text.parse().unwrap()
    }

    #[test]
    fn only_the_first_answer_is_timed() {
        let mut execution = Execution::default();
        let at = Timestamp::from_nanos;
        execution.requested(id("a"), at(100));
        execution.requested(id("b"), at(100));
        execution.answered(&id("b"), at(130));
        execution.answered(&id("b"), at(900));
        execution.answered(&id("a"), at(110));
        execution.answered(&id("autoclose-1"), at(110));
        assert_eq!(execution.latency.count(), 2);
        assert_eq!(execution.latency.quantile(1, 2), Some(10));
        assert_eq!(execution.latency.quantile(99, 100), Some(30));
    }

    #[test]
    fn requests_that_are_never_answered_do_not_pile_up() {
        let mut execution = Execution::default();
        for number in 0..10_000 {
            execution.requested(id(&number.to_string()), Timestamp::ZERO);
        }
        assert_eq!(execution.unanswered.len(), MOST_UNANSWERED);
    }

    #[test]
    fn refusals_have_the_names_of_their_json() {
        let refusals = [Refusal::NoPrice, Refusal::NoSuchOrder, Refusal::OpenOrders { open: 1, limit: 1 }];
        for refusal in refusals {
            assert_eq!(serde_json::to_value(refusal).unwrap()["reason"], reason(&refusal));
        }
    }
}
