//! A FaultPlan is an explicit list of what goes wrong, and at which request or frame. It counts; nothing is left to chance.
//!
//! ```json
//! [ {"on": {"method": "POST", "path": "/fapi/v1/order", "nth": 3}, "fault": {"kind": "drop_answer", "how": "reset"}},
//!   {"on": {"path": "/fapi/*", "every": 10},                       "fault": {"kind": "delay", "ms": 250}},
//!   {"on": {"route": "private", "contains": "TRADE", "nth": 2},    "fault": {"kind": "lose_frame"}} ]
//! ```
//!
//! `on` describes requests by `method` and `path` (a last `*` stands for anything), or frames by `route` and by a text that they
//! contain. Each entry counts what fits its own description, from one: `nth` is that one, `every` each so many, `after` and
//! `until` those with a greater and with a not greater number; all that are given must hold.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::route::Route;

/// What goes wrong, in the order in which it is looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FaultPlan(pub Vec<Planned>);

/// One entry of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Planned {
    pub on: On,
    pub fault: Fault,
}

/// Which requests or frames.
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
    pub nth: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub every: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

/// How a connection ends, or does not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// A TCP reset.
    Reset,
    /// The stream ends early and in order.
    #[default]
    Eof,
    /// Nothing more comes, and the connection stays.
    Timeout,
    /// With a close frame. For stream connections only.
    Close,
}

/// Which way of an exchange is slow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    #[default]
    Request,
    Answer,
}

/// What goes wrong. With `executed` the request is carried out nevertheless and only its answer is replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    /// Another answer.
    Status {
        code: u16,
        #[serde(default)]
        headers: BTreeMap<String, String>,
        #[serde(default)]
        body: String,
        #[serde(default)]
        executed: bool,
    },
    /// An error of the exchange's own shape: `{"code": -1021, "msg": ...}`.
    Error {
        code: i64,
        #[serde(default)]
        message: String,
        #[serde(default = "bad_request")]
        status: u16,
        #[serde(default)]
        executed: bool,
    },
    /// A gateway's page where JSON is due.
    Html {
        #[serde(default = "bad_gateway")]
        status: u16,
        #[serde(default)]
        executed: bool,
    },
    Redirect {
        #[serde(default = "temporary_redirect")]
        status: u16,
        location: String,
    },
    #[serde(alias = "delay_ms")]
    Delay {
        ms: u64,
        #[serde(default)]
        of: Way,
    },
    /// The exchange never sees it.
    DropRequest {
        #[serde(default)]
        how: How,
    },
    /// Executed, and the client does not learn of it.
    DropAnswer {
        #[serde(default)]
        how: How,
    },
    /// The full length is announced and `keep` bytes come, by default half.
    TruncateBody {
        #[serde(default)]
        keep: Option<usize>,
        #[serde(default)]
        how: How,
    },
    /// As before, and then nothing.
    StallBody {
        #[serde(default)]
        keep: Option<usize>,
    },
    /// The body comes in ten pieces, over this time in all.
    SlowBody {
        ms: u64,
    },
    /// Headers of the answer are replaced or left out.
    Headers {
        #[serde(default)]
        set: BTreeMap<String, String>,
        #[serde(default)]
        remove: Vec<String>,
    },
    CloseSocket {
        route: Route,
        #[serde(default = "in_order")]
        how: How,
    },
    /// The route's connections stay open and neither hear nor say anything any more.
    HalfOpen {
        route: Route,
    },
    /// A text frame of ours to each of the route's connections: an event that nobody knows, say.
    Say {
        route: Route,
        text: String,
    },
    LoseFrame,
    DuplicateFrame,
    /// The frame comes after the next one of its connection.
    Reorder,
    Outage {
        seconds: u64,
    },
    ExpireListenKeys,
    Ban {
        seconds: u64,
    },
    Throttle {
        seconds: u64,
    },
    /// The exchange's clock steps by so much.
    Clock {
        shift_ms: i64,
    },
}

fn bad_request() -> u16 {
    400
}

fn bad_gateway() -> u16 {
    502
}

fn temporary_redirect() -> u16 {
    307
}

fn in_order() -> How {
    How::Close
}

impl FaultPlan {
    /// From JSON text.
    ///
    /// # Errors
    /// A sentence that names the entry and what is wrong with it.
    pub fn parse(json: &str) -> Result<FaultPlan, Error> {
        const SHAPE: &str = r#"give a list of {"on": {"method", "path", "nth"}, "fault": {"kind": ...}}"#;
        let entries: Vec<serde_json::Value> =
            serde_json::from_str(json).map_err(|error| Error::FaultPlan(format!("{error}; {SHAPE}")))?;
        let mut plan = FaultPlan::default();
        for (index, entry) in entries.into_iter().enumerate() {
            let in_entry = |what: String| Error::FaultPlan(format!("entry {}: {what}", index + 1));
            let planned: Planned =
                serde_json::from_value(entry).map_err(|error| in_entry(format!("{error}; {SHAPE}")))?;
            planned.check().map_err(in_entry)?;
            plan.0.push(planned);
        }
        Ok(plan)
    }

    /// From a JSON file.
    ///
    /// # Errors
    /// As [`FaultPlan::parse`], and when the file cannot be read.
    pub fn read(path: &Path) -> Result<FaultPlan, Error> {
        let text =
            std::fs::read_to_string(path).map_err(|source| Error::FaultFile { path: path.to_owned(), source })?;
        FaultPlan::parse(&text)
    }
}

impl Planned {
    /// Whether the entry can ever do what it says.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        let on = &self.on;
        let on_frames = on.route.is_some() || on.contains.is_some();
        if on_frames && (on.method.is_some() || on.path.is_some()) {
            return Err("`on` describes a request (method, path) and a frame (route, contains): choose one".to_owned());
        }
        if on.nth == Some(0) || on.every == Some(0) {
            return Err("`nth` and `every` count from 1".to_owned());
        }
        match self.fault.subject() {
            Subject::Frame if !on_frames => {
                Err("this kind needs frames: give `on` a `route` (public, market, private, other)".to_owned())
            }
            Subject::Request if on_frames => {
                Err("this kind needs requests: give `on` a `method` or a `path` and no `route`".to_owned())
            }
            _ => self.fault.check(),
        }
    }
}

/// What a kind of fault happens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    Request,
    Frame,
    World,
}

impl Fault {
    pub(crate) fn subject(&self) -> Subject {
        match self {
            Fault::LoseFrame | Fault::DuplicateFrame | Fault::Reorder => Subject::Frame,
            Fault::CloseSocket { .. }
            | Fault::HalfOpen { .. }
            | Fault::Say { .. }
            | Fault::Outage { .. }
            | Fault::ExpireListenKeys
            | Fault::Ban { .. }
            | Fault::Throttle { .. }
            | Fault::Clock { .. } => Subject::World,
            _ => Subject::Request,
        }
    }

    fn check(&self) -> Result<(), String> {
        match self {
            Fault::Status { code, .. }
            | Fault::Error { status: code, .. }
            | Fault::Html { status: code, .. }
            | Fault::Redirect { status: code, .. }
                if !(200..=599).contains(code) =>
            {
                Err(format!("{code} is not an HTTP status that can be answered: use 200 to 599"))
            }
            Fault::DropRequest { how: How::Close }
            | Fault::DropAnswer { how: How::Close }
            | Fault::TruncateBody { how: How::Close, .. } => {
                Err("`close` is for sockets: use reset, eof or timeout".to_owned())
            }
            Fault::CloseSocket { how: How::Timeout, .. } => {
                Err("a socket that stays open and silent is the kind `half_open`".to_owned())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_plan_is_refused_with_the_entry_and_the_reason() {
        for (json, reason) in [
            ("{}", "give a list"),
            (r#"[{"on": {}, "fault": {"kind": "explode"}}]"#, "entry 1: unknown variant `explode`"),
            (r#"[{"on": {"pth": "x"}, "fault": {"kind": "html"}}]"#, "unknown field `pth`"),
            (r#"[{"on": {"nth": 0}, "fault": {"kind": "html"}}]"#, "count from 1"),
            (r#"[{"on": {"path": "/x"}, "fault": {"kind": "lose_frame"}}]"#, "needs frames"),
            (r#"[{"on": {"route": "market"}, "fault": {"kind": "html"}}]"#, "needs requests"),
            (r#"[{"on": {"path": "/x", "route": "market"}, "fault": {"kind": "html"}}]"#, "choose one"),
            (r#"[{"on": {}, "fault": {"kind": "status", "code": 99}}]"#, "99 is not an HTTP status"),
        ] {
            let error = FaultPlan::parse(json).unwrap_err().to_string();
            assert!(error.contains(reason), "{json}: {error}");
        }
    }

    #[test]
    fn a_plan_comes_from_a_file_and_a_missing_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan.json");
        let missing = FaultPlan::read(&path).unwrap_err().to_string();
        assert!(missing.contains("plan.json") && missing.contains("No such file"), "{missing}");
        std::fs::write(&path, r#"[{"on": {"path": "/x"}, "fault": {"kind": "drop_request"}}]"#).unwrap();
        let plan = FaultPlan::read(&path).unwrap();
        assert_eq!(plan.0[0].fault, Fault::DropRequest { how: How::Eof });
        assert_eq!(FaultPlan::parse(&serde_json::to_string(&plan).unwrap()).unwrap(), plan);
    }
}
