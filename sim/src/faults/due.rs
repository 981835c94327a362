//! Faults are a plan under way: each entry with the number of requests, frames or operations that have fitted it so far.

use std::collections::BTreeMap;

use alphaengine_core::units::{NANOS_PER_MILLI, Nanos};

use super::fault::Fault;
use super::plan::{DiskFile, DiskOp, FaultPlan, On, Planned};
use super::route::Route;

/// A plan with its counts.
#[derive(Debug, Default)]
pub struct Faults {
    planned: Vec<Entry>,
    on_frames: bool,
    on_disk: bool,
    on_steps: bool,
    /// Steps of the bot so far.
    steps: u64,
    fired: BTreeMap<String, u64>,
}

#[derive(Debug)]
struct Entry {
    planned: Planned,
    /// What fitted so far.
    count: u64,
}

impl Faults {
    pub fn new(plan: FaultPlan) -> Faults {
        let mut faults = Faults::default();
        plan.0.into_iter().for_each(|planned| faults.add(planned));
        faults
    }

    /// From now on, counting from one.
    pub fn add(&mut self, planned: Planned) {
        let on = &planned.on;
        self.on_frames |= on.route.is_some() || on.contains.is_some();
        self.on_disk |= on.disk.is_some() || on.file.is_some();
        self.on_steps |= on.step.is_some();
        self.planned.push(Entry { planned, count: 0 });
    }

    /// What goes wrong with this request, or with this upgrade to a stream connection.
    pub fn on_request(&mut self, method: &str, path: &str) -> Vec<Fault> {
        self.due(|on| on.fits_request(method, path))
    }

    /// What goes wrong with this frame.
    pub fn on_frame(&mut self, route: Route, text: &str) -> Vec<Fault> {
        if self.on_frames { self.due(|on| on.fits_frame(route, text)) } else { Vec::new() }
    }

    /// What goes wrong with this operation of the disk.
    pub fn on_disk(&mut self, op: DiskOp, file: DiskFile) -> Vec<Fault> {
        if self.on_disk { self.due(|on| on.fits_disk(op, file)) } else { Vec::new() }
    }

    /// What goes wrong at the bot's next step.
    pub fn on_step(&mut self) -> Vec<Fault> {
        self.steps += 1;
        let step = self.steps;
        if self.on_steps { self.due(|on| on.step == Some(step)) } else { Vec::new() }
    }

    /// When the next moment of the plan is, since the market opened; `None` when there is none.
    pub fn next_at(&self) -> Option<Nanos> {
        let waiting = self.planned.iter().filter(|entry| entry.count == 0);
        waiting.filter_map(|entry| entry.planned.on.at()).min()
    }

    /// What goes wrong at this moment since the market opened, or should have before it.
    pub fn at(&mut self, since_opening: Nanos) -> Vec<Fault> {
        let mut due = Vec::new();
        for entry in &mut self.planned {
            if entry.count == 0 && entry.planned.on.at().is_some_and(|at| at <= since_opening) {
                entry.count = 1;
                note(&mut self.fired, &entry.planned);
                due.push(entry.planned.fault.clone());
            }
        }
        due
    }

    /// How often each entry's name, or where it has none its kind, has come to pass.
    pub fn fired(&self) -> &BTreeMap<String, u64> {
        &self.fired
    }

    /// Nothing goes wrong any more.
    pub fn end(&mut self) {
        self.planned.clear();
        (self.on_frames, self.on_disk, self.on_steps) = (false, false, false);
    }

    fn due(&mut self, fits: impl Fn(&On) -> bool) -> Vec<Fault> {
        let mut due = Vec::new();
        for Entry { planned, count } in self.planned.iter_mut().filter(|entry| fits(&entry.planned.on)) {
            *count += 1;
            if planned.on.counts(*count) {
                note(&mut self.fired, planned);
                due.push(planned.fault.clone());
            }
        }
        due
    }
}

fn note(fired: &mut BTreeMap<String, u64>, planned: &Planned) {
    let name = planned.name.as_deref().unwrap_or(planned.fault.kind());
    match fired.get_mut(name) {
        Some(times) => *times += 1,
        None => drop(fired.insert(name.to_owned(), 1)),
    }
}

impl On {
    fn at(&self) -> Option<Nanos> {
        let millis = i64::try_from(self.at_ms?).unwrap_or(i64::MAX);
        Some(millis.saturating_mul(NANOS_PER_MILLI))
    }

    /// Whether there is a number for which it comes to pass.
    pub(super) fn can_come(&self) -> bool {
        // The first one behind `after` that `every` allows.
        let every = self.every.unwrap_or(1).max(1);
        let first = (self.after.unwrap_or(0) / every).saturating_add(1).saturating_mul(every);
        self.counts(self.nth.unwrap_or(first))
    }

    fn counts(&self, count: u64) -> bool {
        self.nth.is_none_or(|nth| count == nth)
            && self.every.is_none_or(|every| count.is_multiple_of(every.max(1)))
            && self.after.is_none_or(|after| count > after)
            && self.until.is_none_or(|until| count <= until)
    }

    fn fits_request(&self, method: &str, path: &str) -> bool {
        let is_other = self.route.is_some()
            || self.contains.is_some()
            || self.disk.is_some()
            || self.file.is_some()
            || self.step.is_some()
            || self.at_ms.is_some();
        !is_other
            && self.method.as_deref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
            && self.path.as_deref().is_none_or(|wanted| match wanted.strip_suffix('*') {
                Some(start) => path.starts_with(start),
                None => path == wanted,
            })
    }

    fn fits_frame(&self, route: Route, text: &str) -> bool {
        (self.route.is_some() || self.contains.is_some())
            && self.route.is_none_or(|wanted| wanted == route)
            && self.contains.as_deref().is_none_or(|wanted| text.contains(wanted))
    }

    fn fits_disk(&self, op: DiskOp, file: DiskFile) -> bool {
        (self.disk.is_some() || self.file.is_some())
            && self.disk.is_none_or(|wanted| wanted == op)
            && self.file.is_none_or(|wanted| wanted == file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_counts_only_what_fits_it_and_fires_by_its_numbers() {
        let plan = FaultPlan::parse(
            r#"[{"on": {"method": "post", "path": "/fapi/v1/order", "nth": 2}, "fault": {"kind": "drop_answer"}},
                {"on": {"path": "/fapi/*", "every": 3}, "fault": {"kind": "delay_ms", "ms": 5}},
                {"on": {"path": "/fapi/*", "after": 3, "until": 4}, "fault": {"kind": "html"}}]"#,
        );
        let mut faults = Faults::new(plan.unwrap());
        let asked = [
            ("GET", "/fapi/v1/order"),
            ("POST", "/fapi/v1/order"),
            ("POST", "/fapi/v1/order"),
            ("GET", "/fapi/v1/time"),
            ("GET", "/other"),
        ];
        let due: Vec<Vec<&str>> = asked
            .iter()
            .map(|(method, path)| {
                let named = |fault: &Fault| match fault {
                    Fault::DropAnswer { .. } => "drop",
                    Fault::Delay { .. } => "delay",
                    _ => "html",
                };
                faults.on_request(method, path).iter().map(named).collect()
            })
            .collect();
        assert_eq!(due, [vec![], vec![], vec!["drop", "delay"], vec!["html"], vec![]]);
    }

    #[test]
    fn moments_steps_and_disk_operations_come_to_pass_once_each_and_are_counted() {
        let plan = FaultPlan::parse(
            r#"[{"name": "F9", "on": {"at_ms": 20}, "fault": {"kind": "ban", "seconds": 5}},
                {"on": {"at_ms": 10}, "fault": {"kind": "crash"}},
                {"on": {"step": 2}, "fault": {"kind": "crash"}},
                {"on": {"disk": "sync", "file": "wal", "nth": 2}, "fault": {"kind": "lying_sync"}}]"#,
        );
        let mut faults = Faults::new(plan.unwrap());
        assert_eq!(faults.next_at(), Some(10 * NANOS_PER_MILLI));
        assert_eq!(faults.at(15 * NANOS_PER_MILLI).len(), 1);
        assert_eq!(faults.next_at(), Some(20 * NANOS_PER_MILLI));
        assert_eq!((faults.at(25 * NANOS_PER_MILLI).len(), faults.next_at()), (1, None));
        assert_eq!((faults.on_step().len(), faults.on_step().len(), faults.on_step().len()), (0, 1, 0));
        let ops = [(DiskOp::Sync, DiskFile::Wal), (DiskOp::Sync, DiskFile::Db), (DiskOp::Sync, DiskFile::Wal)];
        assert_eq!(ops.map(|(op, file)| faults.on_disk(op, file).len()), [0, 0, 1]);
        assert!(faults.on_request("GET", "/x").is_empty());
        let fired: Vec<(&str, u64)> = faults.fired().iter().map(|(name, times)| (name.as_str(), *times)).collect();
        assert_eq!(fired, [("F9", 1), ("crash", 2), ("lying_sync", 1)]);
        faults.end();
        assert!(faults.on_disk(DiskOp::Sync, DiskFile::Wal).is_empty());
    }
}
