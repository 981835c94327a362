//! States are what orders were a while ago: what a replica that lags behind still shows.

use std::collections::VecDeque;

use alphaengine_core::units::Timestamp;

/// How many are kept. A replica that lags by more changes than this shows the older orders as not there.
const KEPT: usize = 4_096;

/// What each order was, and from when on in protocol time, oldest first.
#[derive(Debug)]
pub(super) struct States<T>(VecDeque<(Timestamp, u64, T)>);

impl<T> Default for States<T> {
    fn default() -> States<T> {
        States(VecDeque::new())
    }
}

impl<T: Copy> States<T> {
    pub fn note(&mut self, at: Timestamp, id: u64, state: T) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back((at, id, state));
    }

    /// What it was then, by what it is `now`; `None` when it was not there yet.
    pub fn at(&self, at: Timestamp, id: u64, now: T) -> Option<T> {
        let mut own = self.0.iter().rev().filter(|(_, of, _)| *of == id).peekable();
        if own.peek().is_none() {
            // It has not changed for longer than anything is kept.
            return Some(now);
        }
        own.find(|(from, ..)| *from <= at).map(|(.., state)| *state)
    }
}
