//! The Agenda is the one heap of the world: what will happen, in the order of time, and at one time in the order in which it was
//! put there.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::sync::Arc;

use alphaengine_core::units::Timestamp;
use alphaengine_live::wire::{HttpId, HttpRequest, HttpResponse, SocketId, TransportError};
use alphaengine_sim::faults::Fault;
use alphaengine_sim::gateway::ConnectionId;

/// Numbers the lives of the bot: whatever was meant for an earlier one is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Life(pub u64);

/// Something that will happen.
#[derive(Debug)]
pub(crate) enum Happening {
    /// A request reaches the exchange.
    Request {
        life: Life,
        request: Box<HttpRequest>,
        deadline: Timestamp,
        is_given_up: bool,
        faults: Vec<Fault>,
    },
    /// An answer, or the certainty that there is none, reaches the bot.
    Answer {
        life: Life,
        id: HttpId,
        answer: Result<HttpResponse, TransportError>,
    },
    /// A request for a stream connection reaches the exchange.
    Connect {
        life: Life,
        socket: SocketId,
        url: String,
        faults: Vec<Fault>,
    },
    Opened {
        life: Life,
        socket: SocketId,
    },
    Closed {
        life: Life,
        socket: SocketId,
        why: String,
    },
    Frame {
        life: Life,
        socket: SocketId,
        text: Arc<str>,
    },
    /// A text of the bot reaches the exchange.
    Text {
        connection: ConnectionId,
        text: String,
    },
    Pong {
        connection: ConnectionId,
    },
    /// The bot's end of a connection is gone, and the exchange learns of it.
    HangUp {
        connection: ConnectionId,
    },
    /// The supervisor starts the process.
    Begin,
    /// A moment of the plan.
    Moment,
    /// A second passed: what is told each second is told.
    Second,
    /// Whoever kept the store's log from being folded in lets go.
    ReaderLeaves,
}

#[derive(Debug)]
struct Entry {
    at: Timestamp,
    number: u64,
    what: Happening,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// The heap gives the greatest first, which is to be the earliest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

/// What will happen.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    heap: BinaryHeap<Entry>,
    number: u64,
}

impl Agenda {
    pub fn put(&mut self, at: Timestamp, what: Happening) {
        self.number += 1;
        self.heap.push(Entry { at, number: self.number, what });
    }

    /// When the next thing happens; at the end of time when nothing will.
    pub fn next_at(&self) -> Timestamp {
        self.heap.peek().map_or(Timestamp::MAX, |entry| entry.at)
    }

    pub fn take(&mut self) -> Option<Happening> {
        self.heap.pop().map(|entry| entry.what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_comes_first_and_then_the_order_of_asking() {
        let mut agenda = Agenda::default();
        let at = Timestamp::from_nanos;
        agenda.put(at(2), Happening::Second);
        agenda.put(at(1), Happening::Begin);
        agenda.put(at(1), Happening::Moment);
        assert_eq!(agenda.next_at(), at(1));
        assert!(matches!(agenda.take(), Some(Happening::Begin)));
        assert!(matches!(agenda.take(), Some(Happening::Moment)));
        assert!(matches!(agenda.take(), Some(Happening::Second)));
        assert_eq!(agenda.next_at(), Timestamp::MAX);
    }
}
