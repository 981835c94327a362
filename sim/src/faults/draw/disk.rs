//! What goes wrong with the disk under the store, F35 to F41.

use super::hand::{At, Hand, SYNCS, WRITES};
use crate::faults::{DiskFile, DiskOp, Fault, On};

/// The files of a store that are written.
const FILES: [DiskFile; 5] = [DiskFile::Wal, DiskFile::Wal, DiskFile::Wal, DiskFile::Db, DiskFile::Head];

/// Operations of a kind that a run has for each of the files.
fn typical(op: DiskOp, file: DiskFile) -> u64 {
    match (op, file) {
        (DiskOp::Write, DiskFile::Wal) => WRITES,
        (DiskOp::Sync, DiskFile::Wal | DiskFile::Head) | (DiskOp::Write, DiskFile::Head) => SYNCS,
        (DiskOp::Write | DiskOp::Read, _) => 60,
        _ => 8,
    }
}

fn some(hand: &mut Hand<'_>, ops: &[DiskOp]) -> On {
    let (op, file) = (hand.pick(ops), hand.pick(&FILES));
    hand.disk(op, Some(file), typical(op, file))
}

pub(super) fn busy(hand: &mut Hand<'_>) {
    // Locks are the database's own, whatever is written.
    let on = On { disk: Some(DiskOp::Lock), ..On::default() };
    let longest = hand.pick(&[1, 5, 40]);
    let on = hand.for_a_while(on, 2 * SYNCS, longest);
    hand.add(on, Fault::Busy);
}

pub(super) fn full(hand: &mut Hand<'_>) {
    let file = hand.pick(&FILES);
    let on = On { disk: Some(DiskOp::Write), file: Some(file), ..On::default() };
    let longest = hand.pick(&[1, 8, 60]);
    let on = hand.for_a_while(on, typical(DiskOp::Write, file), longest);
    hand.add(on, Fault::Full);
}

pub(super) fn io_error(hand: &mut Hand<'_>) {
    for _ in 0..hand.between(1, 2) {
        if hand.once_in(4) {
            let on = some(hand, &[DiskOp::Write]);
            hand.add(on, Fault::ShortWrite);
        } else {
            let on =
                some(hand, &[DiskOp::Sync, DiskOp::Sync, DiskOp::Write, DiskOp::Read, DiskOp::Open, DiskOp::Truncate]);
            hand.add(on, Fault::IoError);
        }
    }
}

pub(super) fn errs_but_durable(hand: &mut Hand<'_>) {
    let on = if hand.once_in(4) { some(hand, &[DiskOp::Sync]) } else { hand.wal(DiskOp::Sync) };
    hand.add(on, Fault::ErrsButDurable);
}

pub(super) fn power_loss(hand: &mut Hand<'_>) {
    let (down_ms, seed) = (hand.between(500, 10_000), hand.below(1 << 32));
    let loss = Fault::PowerLoss { down_ms, seed };
    if hand.once_in(3) {
        // A disk that lies for a while, and is found out.
        let after = hand.nth(SYNCS);
        let lies = hand.between(1, 20);
        let on = On { disk: Some(DiskOp::Sync), file: Some(DiskFile::Wal), ..On::default() };
        hand.add(On { after: Some(after), until: Some(after + lies), ..on.clone() }, Fault::LyingSync);
        let found = after + lies + hand.between(0, 3);
        hand.add(On { nth: Some(found), ..on }, loss);
        return;
    }
    let on = match hand.below(4) {
        0 => hand.wal(DiskOp::Sync),
        1 => hand.wal(DiskOp::Write),
        2 => some(hand, &[DiskOp::Sync, DiskOp::Write]),
        _ => At::step(hand.step()),
    };
    hand.add(on, loss);
}

pub(super) fn bit_flip(hand: &mut Hand<'_>) {
    let file = hand.pick(&FILES);
    // Anywhere: the position counts modulo the file's length.
    let bit = hand.below(1 << 24);
    let step = hand.step();
    hand.add(At::step(step), Fault::BitFlip { file, bit });
    if !hand.once_in(4) {
        // It is found out when the store is read again.
        let down_ms = hand.between(200, 5_000);
        let last = hand.knobs.steps * 4 / 5;
        let soon = (step + hand.between(0, 30)).min(last.max(step));
        hand.add(At::step(soon), Fault::Crash { down_ms });
    }
}

pub(super) fn stuck_reader(hand: &mut Hand<'_>) {
    let (at, lasts) = hand.span(10_000, 200_000);
    hand.add(At::ms(at), Fault::StuckReader { seconds: lasts / 1_000 });
}
