//! Owners tell which of our names an order number belongs to: trades come with numbers only, and the child of a conditional
//! order may carry a name of its own (`binance-usdm.md` section 3.4).

use std::collections::{BTreeMap, VecDeque};

use alphaengine_core::id::{ClientOrderId, order_sequence};
use alphaengine_core::market::SymbolId;

/// So many names are kept; older ones are asked for again.
const MOST: usize = 20_000;

type Number = (SymbolId, u64);

#[derive(Debug, Default)]
pub(crate) struct Owners {
    names: BTreeMap<Number, ClientOrderId>,
    oldest: VecDeque<Number>,
    children: BTreeMap<Number, ClientOrderId>,
    oldest_children: VecDeque<Number>,
    foreign: BTreeMap<Number, ClientOrderId>,
    oldest_foreign: VecDeque<Number>,
}

impl Owners {
    pub fn learn(&mut self, symbol: SymbolId, order_id: u64, name: ClientOrderId) {
        keep(&mut self.names, &mut self.oldest, (symbol, order_id), name);
    }

    /// The order that a conditional one became. True when that is news.
    pub fn learn_child(&mut self, symbol: SymbolId, child: u64, parent: ClientOrderId) -> bool {
        keep(&mut self.children, &mut self.oldest_children, (symbol, child), parent)
    }

    /// The list of conditional orders names no parent of this order.
    pub fn learn_foreign(&mut self, symbol: SymbolId, order_id: u64, name: ClientOrderId) {
        keep(&mut self.foreign, &mut self.oldest_foreign, (symbol, order_id), name);
    }

    /// Whether an order with this name may be the child of one of ours, as far as was asked.
    pub fn may_be_child(&self, symbol: SymbolId, order_id: u64, name: &ClientOrderId) -> bool {
        let number = (symbol, order_id);
        order_sequence(name).is_none() && !self.children.contains_key(&number) && !self.foreign.contains_key(&number)
    }

    /// The name under which we know an order: of a child that of its parent.
    pub fn name(&self, symbol: SymbolId, order_id: u64) -> Option<ClientOrderId> {
        let number = (symbol, order_id);
        self.children.get(&number).or_else(|| self.names.get(&number)).copied()
    }

    /// The name of the conditional order of which this is the child.
    pub fn parent(&self, symbol: SymbolId, order_id: u64) -> Option<ClientOrderId> {
        self.children.get(&(symbol, order_id)).copied()
    }
}

fn keep(
    names: &mut BTreeMap<Number, ClientOrderId>,
    oldest: &mut VecDeque<Number>,
    number: Number,
    name: ClientOrderId,
) -> bool {
    if names.insert(number, name).is_some() {
        return false;
    }
    oldest.push_back(number);
    if oldest.len() > MOST
        && let Some(old) = oldest.pop_front()
    {
        names.remove(&old);
    }
    true
}

/// Whether the exchange made this order itself to close a position in distress (section 4.5).
pub(crate) fn is_liquidation(name: &str) -> bool {
    name.starts_with("autoclose-") || name.starts_with("adl_autoclose")
}
