//! Numbers remember whose order the exchange meant by a number, also when the state does not hold it: children of conditional
//! orders, and orders that are over, whose fills may be told late. Each symbol counts for itself.

use std::collections::{BTreeMap, VecDeque};

use crate::id::ClientOrderId;
use crate::market::SymbolId;

/// So many are remembered; what was learned first goes first.
const MOST: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Numbers {
    names: BTreeMap<(SymbolId, u64), ClientOrderId>,
    oldest: VecDeque<(SymbolId, u64)>,
}

impl Numbers {
    /// Zero is no number: the exchange has not given one.
    pub fn learn(&mut self, symbol: SymbolId, number: u64, name: ClientOrderId) {
        if number == 0 || self.names.insert((symbol, number), name).is_some() {
            return;
        }
        self.oldest.push_back((symbol, number));
        if self.oldest.len() > MOST
            && let Some(oldest) = self.oldest.pop_front()
        {
            self.names.remove(&oldest);
        }
    }

    pub fn name(&self, symbol: SymbolId, number: u64) -> Option<ClientOrderId> {
        self.names.get(&(symbol, number)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_symbols_may_give_the_same_number_and_the_oldest_is_forgotten_first() {
        let (btc, eth) = (SymbolId(0), SymbolId(1));
        let name = |text: &str| -> ClientOrderId { text.parse().unwrap() };
        let mut numbers = Numbers::default();
        numbers.learn(btc, 0, name("none"));
        numbers.learn(eth, 7, name("eth"));
        numbers.learn(btc, 7, name("btc"));
        assert_eq!((numbers.name(btc, 0), numbers.name(btc, 7)), (None, Some(name("btc"))));
        assert_eq!(numbers.name(eth, 7), Some(name("eth")));
        // A symbol that counts from far above does not push out one that counts from below.
        (0..MOST as u64 - 1).for_each(|more| numbers.learn(eth, 1_000_000 + more, name("more")));
        assert_eq!((numbers.name(eth, 7), numbers.name(btc, 7)), (None, Some(name("btc"))));
    }
}
