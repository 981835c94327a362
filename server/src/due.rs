//! Faults are a plan under way: each entry with the number of requests or frames that have fitted it so far.

use crate::faults::{Fault, FaultPlan, On, Planned};
use crate::route::Route;

/// A plan with its counts.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    planned: Vec<(Planned, u64)>,
    on_frames: bool,
}

impl Faults {
    pub(crate) fn new(plan: FaultPlan) -> Faults {
        let mut faults = Faults::default();
        plan.0.into_iter().for_each(|planned| faults.add(planned));
        faults
    }

    /// From now on, counting from one.
    pub(crate) fn add(&mut self, planned: Planned) {
        self.on_frames |= planned.on.route.is_some() || planned.on.contains.is_some();
        self.planned.push((planned, 0));
    }

    /// What goes wrong with this request.
    pub(crate) fn on_request(&mut self, method: &str, path: &str) -> Vec<Fault> {
        self.due(|on| on.fits_request(method, path))
    }

    /// What goes wrong with this frame.
    pub(crate) fn on_frame(&mut self, route: Route, text: &str) -> Vec<Fault> {
        if !self.on_frames {
            return Vec::new();
        }
        self.due(|on| on.fits_frame(route, text))
    }

    fn due(&mut self, fits: impl Fn(&On) -> bool) -> Vec<Fault> {
        let mut due = Vec::new();
        for (planned, count) in self.planned.iter_mut().filter(|(planned, _)| fits(&planned.on)) {
            *count += 1;
            if planned.on.counts(*count) {
                due.push(planned.fault.clone());
            }
        }
        due
    }
}

impl On {
    fn counts(&self, count: u64) -> bool {
        self.nth.is_none_or(|nth| count == nth)
            && self.every.is_none_or(|every| count.is_multiple_of(every.max(1)))
            && self.after.is_none_or(|after| count > after)
            && self.until.is_none_or(|until| count <= until)
    }

    fn fits_request(&self, method: &str, path: &str) -> bool {
        self.route.is_none()
            && self.contains.is_none()
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
}
