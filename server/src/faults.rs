//! What of a fault plan a served exchange can do: it has no hand on a bot's disk, steps or process.

use alphaengine_core::instrument::Instruments;
use alphaengine_sim::faults::{FaultPlan, Planned, Subject};

/// The part of a plan that a served exchange plays, and a sentence about what it leaves out, if anything.
///
/// ```
/// use alphaengine_core::instrument::{Catalog, Instruments};
/// use alphaengine_server::{FaultPlan, playable};
///
/// let instruments = Instruments::new(vec![Catalog::builtin().get(&"BTCUSDT".parse()?)?.clone()])?;
/// let plan = FaultPlan::parse(
///     r#"[{"on": {"at_ms": 60000}, "fault": {"kind": "ban", "seconds": 30}},
///         {"on": {"step": 12}, "fault": {"kind": "crash"}}]"#,
/// )?;
/// let (ours, note) = playable(plan, &instruments);
/// assert_eq!(ours.0.len(), 1);
/// assert_eq!(note.as_deref(), Some("1 of 2 faults is left out: it concerns the bot's own disk, steps or process, which an exchange does not reach"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn playable(plan: FaultPlan, instruments: &Instruments) -> (FaultPlan, Option<String>) {
    let all = plan.0.len();
    let (ours, theirs): (Vec<Planned>, Vec<Planned>) = plan.0.into_iter().partition(is_ours);
    let (ours, unknown): (Vec<Planned>, Vec<Planned>) =
        ours.into_iter().partition(|planned| planned.fault.unknown_symbol(instruments).is_none());
    let mut reasons = Vec::new();
    if !theirs.is_empty() {
        let (it, concerns) = if theirs.len() == 1 { ("it", "concerns") } else { ("they", "concern") };
        reasons.push(format!("{it} {concerns} the bot's own disk, steps or process, which an exchange does not reach"));
    }
    if let Some(name) = unknown.iter().find_map(|planned| planned.fault.unknown_symbol(instruments)) {
        reasons.push(format!("{} of a contract that is not served: {name}", count(unknown.len(), "is", "are")));
    }
    let left_out = all - ours.len();
    let note = (left_out > 0).then(|| {
        let verb = if left_out == 1 { "is" } else { "are" };
        format!("{left_out} of {all} faults {verb} left out: {}", reasons.join("; "))
    });
    (FaultPlan(ours), note)
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// Whether an entry is about what this side of the wire sees.
pub(crate) fn is_ours(planned: &Planned) -> bool {
    let on = &planned.on;
    let is_of_the_bot = on.disk.is_some() || on.file.is_some() || on.step.is_some();
    !is_of_the_bot && !matches!(planned.fault.subject(), Subject::DiskOp | Subject::Process)
}

#[cfg(test)]
mod tests {
    use alphaengine_core::instrument::Catalog;

    use super::*;

    #[test]
    fn what_is_left_out_is_told_with_the_reason() {
        let bitcoin = Catalog::builtin().get(&"BTCUSDT".parse().unwrap()).unwrap().clone();
        let instruments = Instruments::new(vec![bitcoin]).unwrap();
        let told = |json: &str| playable(FaultPlan::parse(json).unwrap(), &instruments);
        let html = r#"{"on": {"path": "/fapi/*", "nth": 1}, "fault": {"kind": "html"}}"#;
        assert_eq!(told(&format!("[{html}]")).1, None);
        let (ours, note) = told(&format!(
            r#"[{html}, {{"on": {{"disk": "sync", "nth": 2}}, "fault": {{"kind": "io_error"}}}},
                {{"on": {{"step": 3}}, "fault": {{"kind": "ban", "seconds": 5}}}},
                {{"on": {{"at_ms": 3}}, "fault": {{"kind": "old_backup"}}}},
                {{"on": {{"at_ms": 5}}, "fault": {{"kind": "manual_order", "symbol": "ETHUSDT", "qty": "1"}}}},
                {{"on": {{"at_ms": 5}}, "fault": {{"kind": "filters", "symbol": "BTCUSDT", "times": 2}}}}]"#
        ));
        assert_eq!(ours.0.len(), 2);
        let note = note.unwrap();
        assert!(note.starts_with("4 of 6 faults are left out: they concern the bot's own disk"), "{note}");
        assert!(note.ends_with("1 is of a contract that is not served: ETHUSDT"), "{note}");
    }
}
