//! Numbers remember whose order the exchange meant by a number, also when the state does not hold it: children of conditional
//! orders, and orders that are over, whose fills may be told late. Each symbol counts for itself.

use std::collections::{BTreeMap, VecDeque};

use crate::id::ClientOrderId;
use crate::market::SymbolId;
use crate::units::Qty;

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

/// Orders that are over because the exchange said so. A replica that is behind lists them as open (`binance-usdm.md` section 7.4: what
/// has ended stays so). Conditional orders are counted apart from those that trade, so a number counts with its name. One that is
/// filled is over at the size that was known: it may have been made larger.
#[derive(Debug, Default)]
pub(super) struct Ended {
    orders: BTreeMap<(SymbolId, u64, ClientOrderId), Option<Qty>>,
    oldest: VecDeque<(SymbolId, u64, ClientOrderId)>,
}

impl Ended {
    /// One without a number was never seen at the exchange: it may turn out to be there. `filled_at` is the size of one that is filled.
    pub fn learn(&mut self, symbol: SymbolId, number: u64, name: ClientOrderId, filled_at: Option<Qty>) {
        if number == 0 || self.orders.insert((symbol, number, name), filled_at).is_some() {
            return;
        }
        self.oldest.push_back((symbol, number, name));
        if self.oldest.len() > MOST
            && let Some(oldest) = self.oldest.pop_front()
        {
            self.orders.remove(&oldest);
        }
    }

    /// Whether an order that is listed with this size is over.
    pub fn contains(&self, symbol: SymbolId, number: u64, name: ClientOrderId, size: Qty) -> bool {
        let ended = self.orders.get(&(symbol, number, name));
        ended.is_some_and(|filled_at| filled_at.is_none_or(|filled_at| size <= filled_at))
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

    #[test]
    fn an_order_is_over_under_its_own_number_and_the_oldest_is_forgotten_first() {
        let (btc, eth) = (SymbolId(0), SymbolId(1));
        let name = |text: &str| -> ClientOrderId { text.parse().unwrap() };
        let (one, two) = (Qty::whole(1), Qty::whole(2));
        let mut ended = Ended::default();
        ended.learn(btc, 0, name("lost"), None);
        ended.learn(btc, 7, name("a"), None);
        ended.learn(btc, 9, name("filled"), Some(one));
        assert!(!ended.contains(btc, 0, name("lost"), one), "it may turn out to be there");
        assert!(ended.contains(btc, 7, name("a"), two));
        assert!(ended.contains(btc, 9, name("filled"), one) && !ended.contains(btc, 9, name("filled"), two));
        // The name was given again, or another kind of order has the number.
        assert!(!ended.contains(btc, 8, name("a"), one) && !ended.contains(btc, 7, name("b"), one));
        assert!(!ended.contains(eth, 7, name("a"), one));
        (0..MOST as u64 - 2).for_each(|more| ended.learn(btc, 100 + more, name("more"), None));
        assert!(ended.contains(btc, 7, name("a"), one));
        ended.learn(btc, 8, name("a"), None);
        assert!(!ended.contains(btc, 7, name("a"), one) && ended.contains(btc, 8, name("a"), one));
    }
}
