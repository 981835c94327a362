//! What the exchange has told of the ends of orders, in answers and on streams, whether or not the bot heard it.
//!
//! A bot can know of an end only what the exchange said of it before, so an end that nobody told is made up.

use std::collections::{BTreeMap, BTreeSet};

use alphaengine_core::id::ClientOrderId;
use alphaengine_core::json::Json;
use alphaengine_core::market::SymbolId;

use super::body::Body;
use super::book::Book;
use super::wire::{self, AlgoNews, Ask, OrderNews};

#[derive(Debug, Default)]
pub(super) struct Told {
    names: BTreeSet<ClientOrderId>,
    /// The child of a conditional order may carry a name of its own: the log knows its number.
    numbers: BTreeSet<u64>,
    /// The conditional orders of children, by the number of the child.
    parents: BTreeMap<u64, ClientOrderId>,
    /// Cancel-alls, by symbol: the last event of the log when they were done.
    sweeps: BTreeMap<SymbolId, u64>,
}

impl Told {
    pub fn order_said(&mut self, news: &OrderNews<'_>) {
        if wire::is_over(news.status) {
            self.number_ended(news.order_id);
            self.names.extend(news.name.parse::<ClientOrderId>());
        }
    }

    pub fn algo_said(&mut self, news: &AlgoNews<'_>) {
        let Ok(name) = news.name.parse::<ClientOrderId>() else {
            return;
        };
        if wire::is_algo_over(news.status) {
            self.names.insert(name);
        }
        if let Ok(child) = news.child.parse::<u64>() {
            self.is_child(child, name);
        }
    }

    fn number_ended(&mut self, number: u64) {
        self.numbers.insert(number);
        self.names.extend(self.parents.get(&number));
    }

    fn is_child(&mut self, child: u64, parent: ClientOrderId) {
        self.parents.insert(child, parent);
        if self.numbers.contains(&child) {
            self.names.insert(parent);
        }
    }

    /// An answer to a question or a change shows orders, one or a list.
    pub fn answered(&mut self, ask: &Ask, status: u16, body: &Body<'_>, book: &Book) {
        if !(200..300).contains(&status) {
            return;
        }
        if let Ask::CancelAll(Some(symbol)) = ask {
            self.sweeps.insert(*symbol, book.seq);
        }
        body.elements().iter().for_each(|order| self.shown(ask, order));
    }

    fn shown(&mut self, ask: &Ask, order: &Json<'_>) {
        let text = |key: &str| order.get(key).and_then(Json::as_str);
        let number = |key: &str| order.get(key).and_then(Json::as_u64);
        let child = number("actualOrderId").or_else(|| text("actualOrderId")?.parse().ok());
        let algo_name = text("clientAlgoId").and_then(|name| name.parse::<ClientOrderId>().ok());
        if let Some((child, name)) = child.zip(algo_name) {
            self.is_child(child, name);
        }
        let is_over = text("status").is_some_and(wire::is_over) || text("algoStatus").is_some_and(wire::is_algo_over);
        // The answer to the cancel of a conditional order says only that it is done.
        let is_canceled = matches!(ask, Ask::Cancel(_)) && number("algoId").is_some();
        if !is_over && !is_canceled {
            return;
        }
        let names = [text("clientOrderId"), text("clientAlgoId")];
        self.names.extend(names.into_iter().flatten().filter_map(|name| name.parse::<ClientOrderId>().ok()));
        if let Some(number) = number("orderId") {
            self.number_ended(number);
        }
        // A question by name may find the order under another one.
        if let Ask::Query(Some(name)) | Ask::Cancel(Some(name)) = ask {
            self.names.insert(*name);
        }
    }

    /// Whether the exchange said that an order is over.
    pub fn has_ended(&self, name: &ClientOrderId, book: &Book) -> bool {
        if self.names.contains(name) {
            return true;
        }
        let Some(life) = book.orders.get(name) else {
            return false;
        };
        let by_number = |number: u64| number != 0 && self.numbers.contains(&number);
        by_number(life.order_id)
            || by_number(life.child)
            || self.sweeps.get(&life.spec.symbol).is_some_and(|swept| life.seq != 0 && life.seq <= *swept)
    }
}
