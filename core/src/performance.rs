//! Performance follows what a run comes to: equity, round trips, costs and execution, fed by the engine as it goes.

use crate::account::Account;
use crate::event::Recorded;
use crate::market::SymbolId;
use crate::state::State;
use crate::units::{Price, Timestamp};

/// What a run comes to.
#[derive(Debug)]
pub struct Performance {}

impl Performance {
    pub fn new(_symbols: usize) -> Performance {
        Performance {}
    }

    /// Takes an event that was just folded into the state.
    pub fn fold(&mut self, _recorded: &Recorded, _state: &State) {}

    /// A price was said.
    #[inline]
    pub fn price(&mut self, _symbol: SymbolId, _price: Price) {}

    /// The equity changed.
    #[inline]
    pub fn observe(&mut self, _at: Timestamp, _account: &Account) {}

    /// The run has ended.
    pub fn finish(&mut self, _at: Timestamp, _state: &State, _account: &Account) {}
}
