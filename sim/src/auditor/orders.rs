//! Orders: what has ended stays so, and it ends only when the exchange said so (I11). Source: `binance-usdm.md` section 7.4, life
//! cycle and monotonic guard.
//!
//! A fill that is heard of after the end of its order is no change of its status: it happened before, and must be booked. An order
//! that was proven absent may turn out to be there: replicas lag, and no rule of the documents excludes it.

use alphaengine_core::id::ClientOrderId;

use super::book::{Book, End};
use super::entry::{Entry, Fact};
use super::findings::Findings;
use super::invariant::Invariant::I11;
use super::told::Told;
use crate::gateway::Gateway;

/// An event of the log, before the book takes it.
pub(super) fn logged(book: &Book, entry: &Entry, told: &Told, findings: &mut Findings) {
    let seq = entry.seq;
    let (name, what) = match entry.fact {
        Fact::Placed { name, .. } => (name, "was placed"),
        Fact::Rejected { name } => (name, "was refused"),
        Fact::Unknown { name } => (name, "is of unknown outcome"),
        Fact::Absent { name } => (name, "does not exist"),
        Fact::Triggered { name, .. } => (name, "fired"),
        Fact::Amended { name, .. } => (name, "was changed"),
        Fact::Canceled { name } => (name, "was cancelled"),
        Fact::Expired { name } => (name, "expired"),
        Fact::Adopted { name, .. } => (name, "is open"),
        _ => return,
    };
    let life = book.own(&name);
    if let Some(life) = life {
        let has_ended = life.end.is_some_and(|end| end != End::Absent || !matches!(entry.fact, Fact::Adopted { .. }));
        findings.check(I11, !has_ended, || {
            format!("event {seq} says that order {name} {what}, and it had ended: {:?}", life.end)
        });
    }
    if let Fact::Canceled { .. } | Fact::Expired { .. } = entry.fact {
        findings.check(I11, life.is_none() || told.has_ended(&name, book), || {
            format!("event {seq} says that order {name} {what}, and the exchange never said that it was over")
        });
    }
    if let Fact::Absent { .. } | Fact::Rejected { .. } = entry.fact {
        let was_there = life.is_some_and(|life| life.filled > 0);
        findings
            .check(I11, !was_there, || format!("event {seq} says that order {name} {what}, and it was filled before"));
    }
}

/// The end: who is open on one side is open on the other.
pub(super) fn quiet(book: &Book, gateway: &Gateway, findings: &mut Findings) {
    let theirs = gateway.open_names();
    let is_ours = |name: &ClientOrderId| book.own(name).is_some();
    for name in theirs.iter().filter(|name| is_ours(name)) {
        findings.check(I11, book.open.contains(name), || {
            format!(
                "order {name} is open at the exchange, and in the log it ended: {:?}",
                book.own(name).and_then(|life| life.end)
            )
        });
    }
    for name in &book.open {
        let is_alone = book.own(name).is_some_and(|life| life.child == 0);
        findings.check(I11, !is_alone || theirs.contains(name), || {
            format!("order {name} is open in the log, and the exchange has no open order of this name")
        });
    }
}
