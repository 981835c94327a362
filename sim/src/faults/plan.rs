//! A FaultPlan is an explicit list of what goes wrong, and when. It counts; nothing is left to chance.
//!
//! ```json
//! [ {"on": {"method": "POST", "path": "/fapi/v1/order", "nth": 3}, "fault": {"kind": "drop_answer", "how": "reset"}},
//!   {"on": {"path": "/fapi/*", "every": 10},                       "fault": {"kind": "delay", "ms": 250}},
//!   {"on": {"route": "private", "contains": "TRADE", "nth": 2},    "fault": {"kind": "lose_frame"}},
//!   {"on": {"disk": "sync", "file": "wal", "nth": 7},              "fault": {"kind": "power_loss"}},
//!   {"on": {"at_ms": 90000},                                       "fault": {"kind": "ban", "seconds": 60}} ]
//! ```
//!
//! The same in TOML is a list of tables `[[fault]]` with `on` and `fault`.
//!
//! `on` describes requests by `method` and `path` (a last `*` stands for anything), frames by `route` and by a text that they
//! contain, operations of the bot's disk by `disk` and `file`, one step of the bot by `step`, or a moment by `at_ms` since the
//! market opened. Each entry counts what fits its own description, from one: `nth` is that one, `every` each so many, `after` and
//! `until` those with a greater and with a not greater number; all that are given must hold.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::fault::{Fault, Subject};
use super::route::Route;

/// What goes wrong, in the order in which it is looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FaultPlan(pub Vec<Planned>);

/// One entry of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Planned {
    /// What it stands for in a list of faults: `F4`. For the reader, and for counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub on: On,
    pub fault: Fault,
}

/// Which requests, frames, disk operations or steps, or when.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct On {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<Route>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contains: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<DiskOp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<DiskFile>,
    /// The bot's steps count from 1, over all of its processes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
    /// Milliseconds since the market opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nth: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

/// What a disk is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskOp {
    Open,
    Read,
    Write,
    Truncate,
    Sync,
    Lock,
    Remove,
}

impl DiskOp {
    pub const ALL: [DiskOp; 7] =
        [DiskOp::Open, DiskOp::Read, DiskOp::Write, DiskOp::Truncate, DiskOp::Sync, DiskOp::Lock, DiskOp::Remove];
}

/// The files of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskFile {
    /// The database.
    Db,
    /// Its write-ahead log.
    Wal,
    /// Its head mark.
    Head,
    /// A rollback journal or anything else.
    Other,
}

/// How a plan is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Json,
    Toml,
}

/// Why a plan is not understood: a sentence that names the entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the fault plan is not understood: {0}")]
pub struct PlanError(pub String);

const SHAPE: &str = r#"give a list of {"on": {"method", "path", "nth"}, "fault": {"kind": ...}}"#;

impl FaultPlan {
    /// From JSON text.
    ///
    /// # Errors
    /// A sentence that names the entry and what is wrong with it.
    pub fn parse(json: &str) -> Result<FaultPlan, PlanError> {
        FaultPlan::parse_as(Format::Json, json)
    }

    /// From text of either format.
    ///
    /// # Errors
    /// As [`FaultPlan::parse`].
    pub fn parse_as(format: Format, text: &str) -> Result<FaultPlan, PlanError> {
        let wrong = |error: &dyn fmt::Display| PlanError(format!("{}; {SHAPE}", error.to_string().trim_end()));
        let entries: Vec<serde_json::Value> = match format {
            Format::Json => serde_json::from_str(text).map_err(|error| wrong(&error))?,
            Format::Toml => toml::from_str::<TomlPlan>(text).map_err(|error| wrong(&error))?.fault,
        };
        let mut plan = FaultPlan::default();
        for (index, entry) in entries.into_iter().enumerate() {
            let in_entry = |what: String| PlanError(format!("entry {}: {what}", index + 1));
            let planned: Planned =
                serde_json::from_value(entry).map_err(|error| in_entry(format!("{error}; {SHAPE}")))?;
            planned.check().map_err(in_entry)?;
            plan.0.push(planned);
        }
        Ok(plan)
    }

    /// As JSON, one entry a line.
    pub fn to_json(&self) -> String {
        let lines: Vec<String> =
            self.0.iter().map(|planned| serde_json::to_string(planned).unwrap_or_default()).collect();
        if lines.is_empty() { "[]\n".to_owned() } else { format!("[\n  {}\n]\n", lines.join(",\n  ")) }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TomlPlan {
    #[serde(default)]
    fault: Vec<serde_json::Value>,
}

impl On {
    fn is_of_frames(&self) -> bool {
        self.route.is_some() || self.contains.is_some()
    }

    fn is_of_requests(&self) -> bool {
        self.method.is_some() || self.path.is_some()
    }

    fn is_of_disk(&self) -> bool {
        self.disk.is_some() || self.file.is_some()
    }
}

impl Planned {
    pub fn new(on: On, fault: Fault) -> Planned {
        Planned { name: None, on, fault }
    }

    /// Whether the entry can ever do what it says.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        let on = &self.on;
        let described =
            [on.is_of_requests(), on.is_of_frames(), on.is_of_disk(), on.step.is_some(), on.at_ms.is_some()];
        if described.iter().filter(|is| **is).count() > 1 {
            return Err(
                "`on` describes more than one of: a request (method, path), a frame (route, contains), the disk (disk, \
                 file), a step (step), a moment (at_ms): choose one"
                    .to_owned(),
            );
        }
        if on.nth == Some(0) || on.every == Some(0) || on.step == Some(0) {
            return Err("`nth`, `every` and `step` count from 1".to_owned());
        }
        let is_single = on.step.is_some() || on.at_ms.is_some();
        let counts = [on.nth, on.every, on.after, on.until];
        if is_single && counts.iter().any(Option::is_some) {
            return Err("a step and a moment come once: leave `nth`, `every`, `after` and `until` out".to_owned());
        }
        if !on.can_come() {
            return Err("`nth`, `every`, `after` and `until` leave no number for which all of them hold".to_owned());
        }
        match self.fault.subject() {
            Subject::Frame if !on.is_of_frames() => {
                Err("this kind needs frames: give `on` a `route` (public, market, private, other)".to_owned())
            }
            Subject::DiskOp if !on.is_of_disk() => {
                Err("this kind needs the disk: give `on` a `disk` (open, read, write, truncate, sync, lock, remove)"
                    .to_owned())
            }
            Subject::DiskOp if !on.disk.is_none_or(|op| self.fault.can_strike(op)) => {
                Err("no such operation can have this kind: `busy` needs `disk` = lock, `short_write` write, `lying_sync` sync, \
                     and nothing is `full` for a read"
                    .to_owned())
            }
            Subject::Request if on.is_of_frames() || on.is_of_disk() || is_single => {
                Err("this kind needs requests: give `on` a `method` or a `path` and no `route`".to_owned())
            }
            _ => self.fault.check(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::How;

    #[test]
    fn a_bad_plan_is_refused_with_the_entry_and_the_reason() {
        for (json, reason) in [
            ("{}", "give a list"),
            (r#"[{"on": {}, "fault": {"kind": "explode"}}]"#, "entry 1: unknown variant `explode`"),
            (r#"[{"on": {"pth": "x"}, "fault": {"kind": "html"}}]"#, "unknown field `pth`"),
            (r#"[{"on": {"nth": 0}, "fault": {"kind": "html"}}]"#, "count from 1"),
            (r#"[{"on": {"nth": 2, "every": 3}, "fault": {"kind": "html"}}]"#, "leave no number"),
            (r#"[{"on": {"nth": 5, "after": 5}, "fault": {"kind": "html"}}]"#, "leave no number"),
            (r#"[{"on": {"every": 10, "after": 10, "until": 19}, "fault": {"kind": "html"}}]"#, "leave no number"),
            (r#"[{"on": {"at_ms": 5, "nth": 1}, "fault": {"kind": "crash"}}]"#, "come once"),
            (r#"[{"on": {"path": "/x"}, "fault": {"kind": "lose_frame"}}]"#, "needs frames"),
            (r#"[{"on": {"route": "market"}, "fault": {"kind": "html"}}]"#, "needs requests"),
            (r#"[{"on": {"path": "/x", "route": "market"}, "fault": {"kind": "html"}}]"#, "choose one"),
            (r#"[{"on": {"at_ms": 5, "disk": "sync"}, "fault": {"kind": "crash"}}]"#, "choose one"),
            (r#"[{"on": {"at_ms": 5}, "fault": {"kind": "full"}}]"#, "needs the disk"),
            (r#"[{"on": {"disk": "write"}, "fault": {"kind": "busy"}}]"#, "`busy` needs `disk` = lock"),
            (r#"[{"on": {"disk": "read"}, "fault": {"kind": "full"}}]"#, "nothing is `full` for a read"),
            (r#"[{"on": {"disk": "lock"}, "fault": {"kind": "lying_sync"}}]"#, "no such operation"),
            (r#"[{"on": {"at_ms": 5}, "fault": {"kind": "html"}}]"#, "needs requests"),
            (r#"[{"on": {}, "fault": {"kind": "status", "code": 99}}]"#, "99 is not an HTTP status"),
            (r#"[{"on": {}, "fault": {"kind": "truncate", "file": "db", "keep": 1000}}]"#, "in thousandths"),
        ] {
            let error = FaultPlan::parse(json).unwrap_err().to_string();
            assert!(error.contains(reason), "{json}: {error}");
        }
    }

    #[test]
    fn a_plan_is_the_same_in_either_format_and_after_printing() {
        let json = r#"[{"name": "F2", "on": {"path": "/x", "nth": 2}, "fault": {"kind": "drop_request"}},
                       {"on": {"disk": "sync", "file": "wal"}, "fault": {"kind": "power_loss", "down_ms": 5}},
                       {"on": {"at_ms": 7}, "fault": {"kind": "manual_order", "symbol": "BTCUSDT", "qty": "-0.002"}}]"#;
        let toml = "[[fault]]\nname = \"F2\"\non = {path = \"/x\", nth = 2}\nfault = {kind = \"drop_request\"}\n\
                    [[fault]]\non = {disk = \"sync\", file = \"wal\"}\nfault = {kind = \"power_loss\", down_ms = 5}\n\
                    [[fault]]\non = {at_ms = 7}\nfault = {kind = \"manual_order\", symbol = \"BTCUSDT\", qty = \"-0.002\"}\n";
        let plan = FaultPlan::parse(json).unwrap();
        assert_eq!(plan.0[0].fault, Fault::DropRequest { how: How::Eof });
        assert_eq!(FaultPlan::parse_as(Format::Toml, toml).unwrap(), plan);
        assert_eq!(FaultPlan::parse(&plan.to_json()).unwrap(), plan);
        assert_eq!(FaultPlan::parse(&FaultPlan::default().to_json()).unwrap().0, []);
        let wrong = FaultPlan::parse_as(Format::Toml, "[[faults]]").unwrap_err().to_string();
        assert!(wrong.contains("faults"), "{wrong}");
    }
}
