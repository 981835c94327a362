//! What happens to the process, F42 to F45.

use alphaengine_core::units::Money;

use super::hand::{At, Hand, SYNCS, WRITES};
use crate::faults::{Amount, DiskFile, DiskOp, Fault, On};

/// Any operation of the disk. Those of which a run has few are asked for without a file, so that some fit.
fn any_operation(hand: &mut Hand<'_>) -> On {
    match hand.below(8) {
        0 | 1 => hand.wal(DiskOp::Write),
        2 | 3 => hand.wal(DiskOp::Sync),
        4 => {
            let op = hand.pick(&[DiskOp::Write, DiskOp::Sync]);
            hand.disk(op, Some(DiskFile::Head), SYNCS)
        }
        5 => {
            let op = hand.pick(&[DiskOp::Write, DiskOp::Read]);
            hand.disk(op, Some(DiskFile::Db), 40)
        }
        6 => {
            let op = hand.pick(&[DiskOp::Lock, DiskOp::Read]);
            hand.disk(op, None, WRITES / 2)
        }
        _ => {
            let op = hand.pick(&[DiskOp::Open, DiskOp::Truncate, DiskOp::Remove]);
            hand.disk(op, None, 8)
        }
    }
}

pub(super) fn crash(hand: &mut Hand<'_>) {
    let down_ms = hand.between(100, 5_000);
    if hand.once_in(3) {
        let step = hand.step();
        hand.add(At::step(step), Fault::Crash { down_ms });
        if hand.once_in(2) {
            // Steps count over all processes: these are the first of the next one.
            let soon = (step + hand.between(1, 40)).min((hand.knobs.steps * 4 / 5).max(step));
            hand.add(At::step(soon), Fault::Crash { down_ms });
        }
        return;
    }
    let on = any_operation(hand);
    hand.add(on.clone(), Fault::Crash { down_ms });
    if hand.once_in(2) {
        // The next operations of the kind are those of the recovery.
        let nth = on.nth.unwrap_or(1) + hand.between(1, 12);
        let again = if hand.once_in(3) { On { disk: Some(DiskOp::Read), file: None, ..on } } else { on };
        hand.add(On { nth: Some(nth), ..again }, Fault::Crash { down_ms });
    }
}

pub(super) fn second_instance(hand: &mut Hand<'_>) {
    let on = if hand.once_in(3) { At::step(hand.step()) } else { hand.at() };
    hand.add(on, Fault::SecondInstance);
}

pub(super) fn old_or_damaged_store(hand: &mut Hand<'_>) {
    let on = hand.at();
    let file = hand.pick(&[DiskFile::Wal, DiskFile::Db, DiskFile::Head]);
    let fault = match hand.below(3) {
        0 => Fault::OldBackup,
        1 => Fault::Truncate { file, keep: hand.pick(&[0, 1, 500, 900, 999]) },
        _ => Fault::Remove { file },
    };
    hand.add(on, fault);
}

pub(super) fn moved_while_away(hand: &mut Hand<'_>) {
    let (at, away) = hand.span(10_000, 60_000);
    hand.add(At::ms(at), Fault::Crash { down_ms: away });
    for _ in 0..hand.between(1, 4) {
        let meanwhile = At::ms((at + hand.between(1, away)).min(hand.scaled(240_000).max(at)));
        let fault = if hand.once_in(3) {
            let amount = hand.money(1, 20);
            Fault::Transfer { amount: if hand.once_in(2) { amount } else { Money::ZERO.saturating_sub(amount) } }
        } else {
            Fault::ManualOrder { amount: Amount { symbol: hand.symbol(), qty: hand.qty() } }
        };
        hand.add(meanwhile, fault);
    }
}
