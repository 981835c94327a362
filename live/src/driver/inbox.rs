//! An inbox is the one queue from the driver's threads to the engine's thread, with the overflow policy built in.
//!
//! The policy stands in the documentation of [`driver`](super).

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use alphaengine_core::units::Timestamp;
use tokio::sync::{Semaphore, TryAcquireError};
use tokio_tungstenite::tungstenite::Bytes;

use super::stream_key::StreamKey;
use crate::clock::now;
use crate::wire::{HttpId, HttpResponse, SocketId, TransportError};

/// What the engine's thread receives.
#[derive(Debug, Clone, PartialEq)]
pub enum Arrival {
    /// The answer to [`Effect::Http`](crate::wire::Effect::Http); exactly one for each.
    Http { id: HttpId, answer: Result<HttpResponse, TransportError> },
    /// The WebSocket stands.
    Opened { socket: SocketId },
    /// The WebSocket is gone or was never there; exactly one for each [`Effect::Open`](crate::wire::Effect::Open), and nothing
    /// of this socket after it.
    Closed { socket: SocketId, why: String },
    /// One message.
    Frame { socket: SocketId, text: Bytes },
    /// So many market frames were left out since this was last told, each because a newer one of its stream came.
    Conflated { left_out: u64 },
    /// The operator or the service manager wants an end. Overtakes everything that waits.
    Signal(Stop),
}

/// How urgent the end is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The first SIGINT or SIGTERM: stop in order.
    InOrder,
    /// The second: stop at once.
    AtOnce,
}

/// What became of waiting.
#[derive(Debug, Clone, PartialEq)]
pub enum Received {
    /// Something arrived, with the local time at which it joined the queue.
    Arrival(Timestamp, Arrival),
    /// The deadline has come.
    Deadline,
    /// The driver ended and everything it had received was told.
    Gone,
}

/// The engine's end of the queue.
pub struct Inbox {
    queue: Arc<Queue>,
}

impl Inbox {
    pub(crate) fn new(queue: Arc<Queue>) -> Inbox {
        Inbox { queue }
    }

    /// Waits for the next arrival, or until `deadline`; without one, as long as it takes. A deadline that has passed is told
    /// before anything that waits, so that a busy market starves no timer; to look without waiting there is
    /// [`try_recv`](Inbox::try_recv).
    pub fn recv_until(&self, deadline: Option<Instant>) -> Received {
        let mut state = self.queue.lock();
        loop {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return Received::Deadline;
            }
            if let Some((at, arrival)) = self.queue.take(&mut state) {
                return Received::Arrival(at, arrival);
            }
            if !state.driver_runs {
                return Received::Gone;
            }
            state = match left {
                None => self.queue.news.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(left) => self.queue.news.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }

    /// The next arrival, if one waits.
    pub fn try_recv(&self) -> Option<(Timestamp, Arrival)> {
        self.queue.take(&mut self.queue.lock())
    }

    /// How many arrivals wait.
    pub fn len(&self) -> usize {
        self.queue.lock().slots.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("waiting", &self.len()).finish_non_exhaustive()
    }
}

impl Drop for Inbox {
    /// Whoever waits for room learns that nobody reads any more.
    fn drop(&mut self) {
        self.queue.market.close();
        self.queue.account.close();
    }
}

/// The engine's thread is gone: nobody wants what arrives.
#[derive(Debug)]
pub(crate) struct NobodyReads;

/// Why a market frame could not be handed over.
#[derive(Debug)]
pub(crate) enum MarketRefusal {
    NobodyReads,
    /// No room for the whole of the allowed time.
    Stalled,
}

/// The queue itself, shared by the engine's thread and the driver's tasks.
pub(crate) struct Queue {
    state: Mutex<State>,
    news: Condvar,
    /// Room for market frames.
    market: Semaphore,
    /// Room for account frames and HTTP answers.
    account: Semaphore,
}

struct State {
    slots: VecDeque<Slot>,
    left_out: u64,
    told_left_out: Option<Instant>,
    driver_runs: bool,
}

struct Slot {
    at: Timestamp,
    arrival: Arrival,
    takes: Room,
    key: Option<StreamKey>,
}

/// Whose room a slot takes up.
#[derive(Clone, Copy)]
enum Room {
    Market,
    Account,
    /// Openings, closings and signals: there are only as many as the session and the operator ask for.
    Free,
}

/// Under lasting overload, what was left out is told once in this time.
const TELL_LEFT_OUT_EVERY: Duration = Duration::from_secs(1);

impl Queue {
    pub(crate) fn new(market: usize, account: usize) -> Arc<Queue> {
        let state = State { slots: VecDeque::new(), left_out: 0, told_left_out: None, driver_runs: true };
        Arc::new(Queue {
            state: Mutex::new(state),
            news: Condvar::new(),
            market: Semaphore::new(market.clamp(1, Semaphore::MAX_PERMITS)),
            account: Semaphore::new(account.clamp(1, Semaphore::MAX_PERMITS)),
        })
    }

    /// Hands over what is never left out and takes no room: an opening or a closing.
    pub(crate) fn tell(&self, arrival: Arrival) {
        self.push(arrival, Room::Free, None);
    }

    /// Hands over a signal, before everything else.
    pub(crate) fn interrupt(&self, stop: Stop) {
        let slot = Slot { at: now(), arrival: Arrival::Signal(stop), takes: Room::Free, key: None };
        self.lock().slots.push_front(slot);
        self.news.notify_one();
    }

    /// Hands over an account frame or an HTTP answer as soon as there is room.
    pub(crate) async fn account(&self, arrival: Arrival) -> Result<(), NobodyReads> {
        self.account.acquire().await.map_err(|_| NobodyReads)?.forget();
        self.push(arrival, Room::Account, None);
        Ok(())
    }

    /// Hands over a market frame: at once if there is room, in the place of an older frame of its stream if there is one that may
    /// go, else as soon as there is room within `patience`.
    pub(crate) async fn market(&self, socket: SocketId, text: Bytes, patience: Duration) -> Result<(), MarketRefusal> {
        let key = StreamKey::of(&text);
        match self.market.try_acquire() {
            Ok(room) => room.forget(),
            Err(TryAcquireError::Closed) => return Err(MarketRefusal::NobodyReads),
            Err(TryAcquireError::NoPermits) => {
                // The older frame's room passes to the newer one.
                let freed = key.as_ref().is_some_and(|key| self.leave_out_older(socket, key, &text));
                if !freed {
                    match tokio::time::timeout(patience, self.market.acquire()).await {
                        Ok(Ok(room)) => room.forget(),
                        Ok(Err(_)) => return Err(MarketRefusal::NobodyReads),
                        Err(_) => return Err(MarketRefusal::Stalled),
                    }
                }
            }
        }
        self.push(Arrival::Frame { socket, text }, Room::Market, key);
        Ok(())
    }

    /// No more arrivals will come.
    pub(crate) fn end(&self) {
        self.lock().driver_runs = false;
        self.news.notify_all();
    }

    /// Takes the newest waiting frame of this stream out of the queue. The newer frame then joins at the end: were it put in the
    /// older one's place, it would overtake what its socket sent between them.
    fn leave_out_older(&self, socket: SocketId, key: &StreamKey, text: &[u8]) -> bool {
        let mut state = self.lock();
        let older = state.slots.iter().rposition(|slot| match (&slot.key, &slot.arrival) {
            (Some(known), Arrival::Frame { socket: from, text: older }) => {
                *from == socket && known.same(older, key, text)
            }
            _ => false,
        });
        let Some(older) = older else { return false };
        state.slots.remove(older);
        state.left_out += 1;
        true
    }

    fn push(&self, arrival: Arrival, takes: Room, key: Option<StreamKey>) {
        let mut state = self.lock();
        // Read under the lock, so that times in the queue never go back.
        state.slots.push_back(Slot { at: now(), arrival, takes, key });
        drop(state);
        self.news.notify_one();
    }

    fn take(&self, state: &mut State) -> Option<(Timestamp, Arrival)> {
        let before_market = state.slots.front().is_none_or(|slot| matches!(slot.takes, Room::Market));
        if state.left_out > 0 && before_market {
            let mono = Instant::now();
            let due = state.told_left_out.is_none_or(|told| mono.duration_since(told) >= TELL_LEFT_OUT_EVERY);
            if due || state.slots.is_empty() {
                state.told_left_out = Some(mono);
                return Some((now(), Arrival::Conflated { left_out: std::mem::take(&mut state.left_out) }));
            }
        }
        let slot = state.slots.pop_front()?;
        match slot.takes {
            Room::Market => self.market.add_permits(1),
            Room::Account => self.account.add_permits(1),
            Room::Free => {}
        }
        Some((slot.at, slot.arrival))
    }

    /// A thread that panicked while it held the lock left the queue whole: every change is one push or one removal.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        /// A frame of one of a few streams on one of two sockets.
        Market {
            socket: u64,
            stream: &'static str,
        },
        Account,
        Closing,
        Interrupt,
        Take,
    }

    fn step() -> impl Strategy<Value = Step> {
        let streams =
            prop::sample::select(vec!["a@bookTicker", "b@bookTicker", "a@markPrice@1s", "a@aggTrade", "a@depth"]);
        prop_oneof![
            6 => (1..3u64, streams).prop_map(|(socket, stream)| Step::Market { socket, stream }),
            2 => Just(Step::Account),
            1 => Just(Step::Closing),
            1 => Just(Step::Interrupt),
            4 => Just(Step::Take),
        ]
    }

    fn frame(stream: &str, number: usize) -> Bytes {
        Bytes::from(format!(r#"{{"stream":"{stream}","data":{{"n":{number}}}}}"#))
    }

    /// The number that `frame` wrote, and its stream.
    fn read(text: &Bytes) -> (String, usize) {
        let text = String::from_utf8(text.to_vec()).unwrap();
        let stream = text.split('"').nth(3).unwrap().to_owned();
        let number = text.rsplit(':').next().unwrap().trim_end_matches('}').parse().unwrap();
        (stream, number)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))] // Each refusal waits for a tick of the timer.

        /// Whatever the order of events: what was accepted is delivered or, if it may be, counted as left out; what one socket
        /// sent stays in order; the newest of each stream is never the one that is left out; nobody takes more room than there is.
        #[test]
        fn nothing_vanishes_and_nothing_overtakes(steps in prop::collection::vec(step(), 0..200), room in 1..6usize) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            let queue = Queue::new(room, 1_000);
            let inbox = Inbox::new(Arc::clone(&queue));
            let (mut sent, mut newest) = (BTreeMap::<usize, bool>::new(), BTreeMap::new());
            let mut accounts = Vec::new();
            let mut told = Vec::new();
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Market { socket, stream } => {
                        let handed = queue.market(SocketId(socket), frame(stream, number), Duration::ZERO);
                        if runtime.block_on(handed).is_ok() {
                            sent.insert(number, StreamKey::of(&frame(stream, number)).is_some());
                            newest.insert((socket, stream), number);
                        }
                    }
                    Step::Account => {
                        let arrival = Arrival::Frame { socket: SocketId(9), text: frame("account", number) };
                        runtime.block_on(queue.account(arrival)).unwrap();
                        accounts.push(number);
                    }
                    Step::Closing => queue.tell(Arrival::Opened { socket: SocketId(7) }),
                    Step::Interrupt => {
                        queue.interrupt(Stop::InOrder);
                        let (_, first) = inbox.try_recv().unwrap();
                        prop_assert_eq!(first, Arrival::Signal(Stop::InOrder));
                    }
                    Step::Take => told.extend(inbox.try_recv()),
                }
                let market = queue.lock().slots.iter().filter(|slot| matches!(slot.takes, Room::Market)).count();
                prop_assert!(market <= room);
                prop_assert_eq!(queue.market.available_permits(), room - market);
            }
            told.extend(std::iter::from_fn(|| inbox.try_recv()));
            prop_assert_eq!(queue.account.available_permits(), 1_000);

            let (mut left_out, mut last) = (0, BTreeMap::new());
            let mut heard_accounts = Vec::new();
            for (_, arrival) in &told {
                match arrival {
                    Arrival::Conflated { left_out: more } => left_out += more,
                    Arrival::Frame { socket: SocketId(9), text } => heard_accounts.push(read(text).1),
                    Arrival::Frame { socket, text } => {
                        let (stream, number) = read(text);
                        prop_assert!(last.insert(*socket, number).is_none_or(|before| before < number), "overtaken");
                        prop_assert!(sent.remove(&number).is_some(), "twice or never sent");
                        newest.retain(|(from, name), n| !(SocketId(*from) == *socket && *name == stream && *n == number));
                    }
                    _ => {}
                }
            }
            prop_assert_eq!(heard_accounts, accounts);
            prop_assert!(newest.is_empty(), "the newest of a stream was left out: {:?}", newest);
            prop_assert!(sent.values().all(|may_go| *may_go), "what may not be left out was");
            prop_assert_eq!(left_out, sent.len() as u64);
        }
    }
}
