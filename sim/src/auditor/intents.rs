//! Intents: an intent is durable before its request leaves (I2), becomes at most one order (I1) under a name of its own (I4), and
//! what is in doubt stays in doubt until it is proven absent (I3). Source: `binance-usdm.md` sections 7.1 and 7.3.

use std::collections::BTreeMap;

use alphaengine_core::id::{ClientOrderId, CommandId};
use alphaengine_core::market::SymbolId;
use alphaengine_core::order::{PositionSide, Side};
use alphaengine_core::units::{NANOS_PER_MILLI, Nanos, Timestamp};

use super::body::Body;
use super::book::{Book, Life};
use super::entry::{Entry, Fact};
use super::findings::Findings;
use super::invariant::Invariant::{I1, I2, I3, I4};
use super::told::Told;
use super::wire::{self, Ask, Outcome, Placing};
use crate::gateway::Gateway;

/// The order does not exist.
const NO_SUCH_ORDER: i64 = -2013;

/// Orders with one command, symbol, side and position side are one wish. A command that closes a long and a short is two.
type Wish = (CommandId, SymbolId, PositionSide, Side);

/// What is known of the sendings of one name.
#[derive(Debug, Clone, Copy)]
struct Sending {
    /// Which intent was sent: its place in the log and its time.
    intent: Option<(u64, Timestamp)>,
    wish: Option<Wish>,
    last_sent: Timestamp,
    window: Nanos,
    outcome: Outcome,
    /// A question that was asked when it could no longer arrive found nothing.
    is_absent: bool,
    /// The exchange took it, whatever the bot was told.
    is_there: bool,
}

#[derive(Debug, Default)]
pub(super) struct Intents {
    sendings: BTreeMap<ClientOrderId, Sending>,
    wishes: BTreeMap<Wish, Vec<ClientOrderId>>,
    /// Requests that place and have no answer.
    placing: BTreeMap<u64, Vec<ClientOrderId>>,
    /// Questions without an answer, and when they were asked.
    asking: BTreeMap<u64, (ClientOrderId, Timestamp)>,
    /// The number under which the exchange has an order of this name.
    numbers: BTreeMap<ClientOrderId, u64>,
    /// There is no store that could hold an intent.
    is_without_store: bool,
}

impl Intents {
    /// The store lost events: the numbers of commands begin anew.
    pub fn forget_commands(&mut self) {
        self.wishes.clear();
        self.sendings.values_mut().for_each(|sending| sending.wish = None);
    }

    /// An event of the log, before the book takes it.
    pub fn logged(&self, book: &Book, entry: &Entry, told: &Told, findings: &mut Findings) {
        let seq = entry.seq;
        match entry.fact {
            Fact::Requested { name, .. } => {
                let taken = book.own(&name).map(|life| life.seq);
                findings.check(I4, taken.is_none(), || {
                    format!("event {seq} gives the name {name} that event {} had given", taken.unwrap_or_default())
                });
            }
            Fact::Absent { name } => {
                let Some(sending) = self.sendings.get(&name) else {
                    return;
                };
                let is_proven = sending.is_absent || sending.outcome == Outcome::Refused;
                findings.check(I3, is_proven, || {
                    format!(
                        "event {seq} says that order {name} does not exist, but it was sent at {}, could arrive for {} ms, and no \
                         question after that found nothing",
                        sending.last_sent,
                        sending.window / NANOS_PER_MILLI
                    )
                });
            }
            Fact::Rejected { name } => {
                let Some(sending) = self.sendings.get(&name) else {
                    return;
                };
                let in_doubt = matches!(sending.outcome, Outcome::Unknown | Outcome::Pending) && !sending.is_absent;
                findings.check(I3, !in_doubt || told.has_ended(&name, book), || {
                    format!(
                        "event {seq} says that order {name} was refused, and the answer to it was {:?}",
                        sending.outcome
                    )
                });
            }
            _ => {}
        }
    }

    /// A request leaves. `durable` is what the world saw of its intent in the store; without a store what closes needs none.
    pub fn sent(
        &mut self,
        id: u64,
        ask: &Ask,
        query: &str,
        durable: Option<bool>,
        book: &Book,
        findings: &mut Findings,
    ) {
        let at = findings.at;
        if let Some(durable) = durable
            && ask.rests_on_an_intent()
        {
            findings.check(I2, durable, || format!("request {id} left before its intent was durable: {ask:?}"));
        }
        match ask {
            Ask::Place(orders) => {
                let window = wire::recv_window(query);
                for order in orders {
                    self.place(at, window, order, book, findings);
                }
                self.placing.insert(id, orders.iter().map(|order| order.name).collect());
            }
            Ask::Cancel(Some(name)) if durable.is_some() && book.orders.contains_key(name) => {
                findings.check(I2, book.cancels.contains(name), || {
                    format!("request {id} cancels order {name}, and no event of the log wants that")
                });
            }
            Ask::Query(Some(name)) => {
                self.asking.insert(id, (*name, at));
            }
            _ => {}
        }
    }

    fn place(&mut self, at: Timestamp, window: Nanos, order: &Placing, book: &Book, findings: &mut Findings) {
        let name = order.name;
        let life = book.own(&name);
        let needs_intent = !self.is_without_store || !order.only_reduces();
        findings.check(I2, life.is_some() || !needs_intent, || {
            format!("order {name} left, and no intent in the log has this name")
        });
        if let Some(life) = life {
            findings.check(I2, is_as_wanted(order, life), || {
                format!("order {name} left as {order:?}, and its intent in the log is {:?}", life.spec)
            });
        }
        let wish = life.filter(|life| life.command != CommandId::default()).map(|life| {
            let spec = &life.spec;
            (life.command, spec.symbol, spec.position_side, spec.side)
        });
        let intent = life.map(|life| (life.seq, life.at));
        if let Some(earlier) = self.sendings.get(&name) {
            findings.check(I4, earlier.intent == intent, || {
                format!(
                    "the name {name} left at {} for the intent {:?} and now for another one, {intent:?}",
                    earlier.last_sent, earlier.intent
                )
            });
        }
        let mates = wish.and_then(|wish| self.wishes.get(&wish)).map_or(&[][..], Vec::as_slice);
        for mate in mates.iter().chain([&name].into_iter().filter(|name| !mates.contains(name))) {
            let Some(sending) = self.sendings.get(mate) else {
                continue;
            };
            let may_be_there = match sending.outcome {
                Outcome::Pending | Outcome::Unknown => !sending.is_absent,
                Outcome::Unclear => sending.is_there,
                Outcome::Accepted | Outcome::Refused => false,
            };
            findings.check(I3, !may_be_there, || {
                format!(
                    "order {name} left although order {mate} of the same command, sent at {}, may be at the exchange ({:?})",
                    sending.last_sent, sending.outcome
                )
            });
        }
        let is_there = self.sendings.get(&name).is_some_and(|sending| sending.is_there);
        let outcome = Outcome::Pending;
        let sending = Sending { intent, wish, last_sent: at, window, outcome, is_absent: false, is_there };
        self.sendings.insert(name, sending);
        if let Some(wish) = wish {
            let mates = self.wishes.entry(wish).or_default();
            if !mates.contains(&name) {
                mates.push(name);
            }
        }
    }

    /// The exchange answered, whatever the bot will hear of it.
    pub fn answered(&mut self, ask: &Ask, status: u16, body: &Body<'_>, findings: &mut Findings) {
        let Ask::Place(orders) = ask else {
            return;
        };
        if !(200..300).contains(&status) {
            return;
        }
        for (index, order) in orders.iter().enumerate() {
            let element = body.json().and_then(|json| json.as_list().map_or(Some(json), |list| list.get(index)));
            let number = |key: &str| element?.get(key)?.as_u64();
            if let Some(number) = number("orderId").or_else(|| number("algoId")) {
                self.is_taken(order.name, number, findings);
            }
        }
    }

    fn is_taken(&mut self, name: ClientOrderId, number: u64, findings: &mut Findings) {
        let earlier = self.numbers.insert(name, number).filter(|earlier| *earlier != number);
        findings.check(I1, earlier.is_none(), || {
            let earlier = earlier.unwrap_or_default();
            format!("the exchange has the order {name} twice, as {earlier} and as {number}")
        });
        let Some(sending) = self.sendings.get_mut(&name) else {
            return;
        };
        sending.is_there = true;
        let mates = sending.wish.and_then(|wish| self.wishes.get(&wish)).map_or(&[][..], Vec::as_slice);
        let twin = mates.iter().find(|mate| **mate != name && self.numbers.contains_key(mate));
        findings.check(I1, twin.is_none(), || {
            format!("the exchange has two orders of one command, {} and {name}", twin.copied().unwrap_or_default())
        });
    }

    /// What the bot got of the answer, and may act on: the orders that were taken.
    pub fn got(&mut self, id: u64, status: Option<u16>, body: &Body<'_>) -> Vec<ClientOrderId> {
        if let Some((name, asked_at)) = self.asking.remove(&id) {
            self.heard_of(&name, asked_at, status, body);
        }
        let names = self.placing.remove(&id).unwrap_or_default();
        let outcomes = wire::outcomes(status, body, names.len());
        names.iter().zip(&outcomes).for_each(|(name, outcome)| self.learn(name, *outcome));
        let taken = names.into_iter().zip(outcomes).filter(|(_, outcome)| *outcome == Outcome::Accepted);
        taken.map(|(name, _)| name).collect()
    }

    /// The bot got the answer to a question about an order.
    fn heard_of(&mut self, name: &ClientOrderId, asked_at: Timestamp, status: Option<u16>, body: &Body<'_>) {
        let is_missing =
            status.is_some_and(|status| (400..500).contains(&status)) && body.code() == Some(NO_SUCH_ORDER);
        if let Some(sending) = self.sendings.get_mut(name) {
            sending.is_absent |= is_missing && asked_at > sending.last_sent.plus(sending.window);
        }
    }

    /// The bot was told that a request never left: it may send it again.
    pub fn not_sent(&mut self, id: u64) {
        self.asking.remove(&id);
        for name in self.placing.remove(&id).unwrap_or_default() {
            self.learn(&name, Outcome::Refused);
        }
    }

    fn learn(&mut self, name: &ClientOrderId, outcome: Outcome) {
        if let Some(sending) = self.sendings.get_mut(name) {
            sending.outcome = outcome;
        }
    }

    pub fn distrusted(&mut self, is_without_store: bool) {
        self.is_without_store = is_without_store;
    }

    /// The process ended: nobody will ever hear the answers that were on their way.
    pub fn process_ended(&mut self) {
        self.is_without_store = false;
        self.asking.clear();
        for name in std::mem::take(&mut self.placing).into_values().flatten() {
            self.learn(&name, Outcome::Unknown);
        }
    }

    /// A store was opened, and the log is what was found in it. Intents that were lost with their disk are nobody's wish any more: the
    /// numbers of their commands are given again.
    pub fn recovered(&mut self, book: &Book) {
        for (name, sending) in &mut self.sendings {
            let is_kept = book.own(name).is_some_and(|life| Some((life.seq, life.at)) == sending.intent);
            if !is_kept && let Some(wish) = sending.wish.take() {
                let mates = self.wishes.entry(wish).or_default();
                mates.retain(|mate| mate != name);
            }
        }
    }

    /// Whether an order was sent, and the exchange may have it for all that the bot knows.
    pub fn may_be_there(&self, name: &ClientOrderId) -> bool {
        let sending = self.sendings.get(name);
        sending.is_some_and(|sending| !matches!(sending.outcome, Outcome::Pending | Outcome::Refused))
    }

    /// The end: names under which the exchange took more than one order.
    pub fn quiet(&self, book: &Book, gateway: &Gateway, findings: &mut Findings) {
        let twice: Vec<_> =
            gateway.duplicate_client_ids().into_iter().filter(|(name, _)| book.own(name).is_some()).collect();
        findings.check(I1, twice.is_empty(), || format!("the exchange took more than one order of a name: {twice:?}"));
    }
}

/// Whether an order leaves as its intent says. A price may be written in more than one way, so it is not compared.
fn is_as_wanted(order: &Placing, life: &Life) -> bool {
    let spec = &life.spec;
    order.symbol == Some(spec.symbol)
        && order.side == Some(spec.side)
        && order.close_position == spec.close_position
        && (spec.close_position || order.qty == spec.qty)
}
