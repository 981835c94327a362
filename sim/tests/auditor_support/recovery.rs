//! The laws of recovery: I12 to I16, and those that the campaign checks itself.

use alphaengine_core::event::{Recorded, StoreRecovered, TimerSet};
use alphaengine_core::state::State;
use alphaengine_sim::auditor::{Invariant, Known, Recovery, Seen};

use super::{Stage, buy};
use crate::gateway_support::{BTC, instruments};

/// What a process left in the store, and what a test changes of it.
struct Found {
    log: Vec<Recorded>,
    live: (u64, [u8; 32]),
    recovered: Option<[u8; 32]>,
    checkpoint: Option<[u8; 32]>,
    head: u64,
    chain_holds: bool,
    damaged: bool,
    salvaged: bool,
}

fn replayed(log: &[Recorded]) -> State {
    let mut state = State::new(&instruments());
    log.iter().for_each(|recorded| state.apply(recorded).unwrap());
    state
}

/// A process that wrote some commits, one of which failed, and died.
fn crashed() -> (Stage, Found) {
    let mut stage = Stage::new();
    stage.trades("ae-1", buy("0.5"));
    let timer = |name: &str| TimerSet { name: name.into(), due: stage.at() };
    let (a, b, c) = (timer("a"), timer("b"), timer("c"));
    stage.logs(None, None, a);
    stage.logs(None, None, b);
    stage.commits();
    let acknowledged = stage.log.len() as u64;
    let live = (acknowledged, stage.state.hash());
    stage.logs(None, None, c.clone());
    stage.logs(None, None, TimerSet { name: "d".into(), ..c });
    stage.see(Seen::Committed { ok: false });
    stage.see(Seen::ProcessEnded);
    let log = stage.log.clone();
    let found = Found {
        log,
        live,
        recovered: None,
        checkpoint: None,
        head: acknowledged,
        chain_holds: true,
        damaged: false,
        salvaged: false,
    };
    (stage, found)
}

fn recover(stage: &mut Stage, found: &Found) {
    let state = replayed(&found.log);
    let (seq, live) = found.live;
    let replay_at = |seq: u64| replayed(&found.log[..(seq as usize).min(found.log.len())]).hash();
    let recovery = Recovery {
        log: &found.log,
        state: &state,
        recovered: found.recovered.unwrap_or_else(|| state.hash()),
        replayed: state.hash(),
        from_checkpoint: found.checkpoint.or_else(|| Some(state.hash())),
        known: Some(Known { seq, live, replayed: replay_at(seq) }),
        head: Some(found.head),
        chain_holds: found.chain_holds,
        damaged: found.damaged,
        salvaged: found.salvaged,
    };
    let at = stage.at();
    stage.auditor.recovered(at, stage.step, recovery);
}

/// The laws that are broken when this is found.
fn verdict(change: impl FnOnce(&mut Found)) -> String {
    let (mut stage, mut found) = crashed();
    change(&mut found);
    recover(&mut stage, &found);
    stage.broken()
}

#[test]
fn a_log_that_is_all_there_or_lacks_the_commit_that_failed_is_clean() {
    for lacks in [0, 2] {
        let (mut stage, mut found) = crashed();
        found.log.truncate(found.log.len() - lacks);
        recover(&mut stage, &found);
        for invariant in [Invariant::I12, Invariant::I13, Invariant::I14, Invariant::I15, Invariant::I16] {
            stage.is_clean(invariant);
        }
        // And whichever it was, the next process goes on from there.
        stage.log = found.log.clone();
        stage.state = replayed(&stage.log);
        stage.began();
        stage.start_session();
        stage.commits();
        stage.steps();
        stage.is_clean(Invariant::I14);
    }
}

#[test]
fn a_process_that_began_before_its_log_was_read_is_judged_the_same() {
    for (lacks, broken) in [(0, ""), (1, "I16"), (2, ""), (3, "I15 I16")] {
        let (mut stage, mut found) = crashed();
        found.log.truncate(found.log.len() - lacks);
        found.head = found.head.min(found.log.len() as u64);
        found.live = (found.log.len() as u64, replayed(&found.log).hash());
        stage.log = found.log.clone();
        stage.began();
        recover(&mut stage, &found);
        assert_eq!(stage.broken(), broken, "{lacks}");
    }
}

#[test]
fn an_event_to_which_a_salvage_gave_the_number_of_a_lost_one_takes_its_place() {
    let mut stage = Stage::new();
    stage.trades("ae-1", buy("0.5"));
    stage.see(Seen::ProcessEnded);
    let trade = stage.log.pop().unwrap().event;
    stage.state = replayed(&stage.log);
    let timer = TimerSet { name: "a".into(), due: stage.at() };
    let salvaged = stage.recorded(None, None, timer.into());
    stage.state.apply(&salvaged).unwrap();
    stage.log.push(salvaged);
    let (log, seq) = (stage.log.clone(), stage.log.len() as u64);
    let live = (seq, stage.state.hash());
    let found = Found {
        log,
        live,
        recovered: None,
        checkpoint: None,
        head: seq,
        chain_holds: true,
        damaged: true,
        salvaged: true,
    };
    recover(&mut stage, &found);
    // The fill that was lost is fetched and booked anew.
    stage.began();
    stage.start_session();
    stage.logs(None, Some(BTC), trade);
    stage.commits();
    stage.steps();
    assert_eq!(stage.broken(), "");
}

#[test]
fn a_salvage_may_give_the_numbers_of_what_was_never_acknowledged_to_what_it_says() {
    for (lacks, broken) in [(0, ""), (2, ""), (3, "I15 I16")] {
        let (mut stage, mut found) = crashed();
        found.log.truncate(found.log.len() - lacks);
        let kept_until_seq = found.log.len() as u64;
        found.head = found.head.min(kept_until_seq);
        found.live = (kept_until_seq, replayed(&found.log).hash());
        stage.log = found.log.clone();
        stage.state = replayed(&stage.log);
        let (problem, moved_to) = ("a read failed".to_owned(), "bot.db.damaged-1".to_owned());
        let said = StoreRecovered { kept_until_seq, marked_seq: Some(found.head), problem, moved_to };
        found.log.push(stage.recorded(None, None, said.into()));
        found.salvaged = true;
        recover(&mut stage, &found);
        assert_eq!(stage.broken(), broken, "{lacks}");
    }
}

#[test]
fn i12_a_replay_that_gives_another_state_is_caught() {
    assert_eq!(verdict(|found| found.live.1 = [7; 32]), "I12");
    assert_eq!(verdict(|found| found.recovered = Some([7; 32])), "I12");
}

#[test]
fn i13_a_checkpoint_that_gives_another_state_is_caught() {
    assert_eq!(verdict(|found| found.checkpoint = Some([7; 32])), "I13");
}

#[test]
fn i14_a_chain_that_breaks_or_a_mark_ahead_of_the_log_is_caught() {
    assert_eq!(verdict(|found| found.chain_holds = false), "I14");
    assert_eq!(verdict(|found| found.head = found.log.len() as u64 + 1), "I14");
}

#[test]
fn i15_an_acknowledged_event_that_is_lost_is_caught() {
    let lose = |found: &mut Found| {
        // Three and four are the commit before the one that failed.
        found.log.truncate(found.log.len() - 4);
        found.live = (found.log.len() as u64, replayed(&found.log).hash());
        found.head = found.log.len() as u64;
    };
    assert_eq!(verdict(lose), "I15");
    let damaged = |found: &mut Found| {
        lose(found);
        found.damaged = true;
    };
    assert_eq!(verdict(damaged), "", "no writer can help what a disk forgets");
}

#[test]
fn i15_an_event_that_is_not_as_it_was_written_is_caught() {
    let broken = verdict(|found| {
        let last = found.log.last_mut().unwrap();
        last.at = last.at.plus(1);
    });
    assert_eq!(broken, "I15");
}

#[test]
fn i16_half_an_append_is_caught() {
    assert_eq!(
        verdict(|found| {
            found.log.pop();
        }),
        "I16"
    );
}

#[test]
fn i24_i25_i27_are_checked_by_the_campaign() {
    for invariant in [Invariant::I24, Invariant::I25, Invariant::I27] {
        let mut stage = Stage::new();
        let at = stage.at();
        stage.auditor.check(invariant, at, 9, true, || unreachable!("it holds"));
        stage.is_clean(invariant);
        stage.auditor.check(invariant, at, 9, false, || "they differ".into());
        stage.breaks(invariant.code());
        let violation = &stage.auditor.violations()[0];
        assert_eq!((violation.step, violation.sentence.as_str()), (9, "they differ"));
    }
}
