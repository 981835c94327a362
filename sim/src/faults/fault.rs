//! A Fault is one thing that goes wrong: on the wire, at the exchange, on the disk, or with the process.

use std::collections::BTreeMap;

use alphaengine_core::instrument::Instruments;
use alphaengine_core::units::{Money, Qty};
use serde::{Deserialize, Serialize};

use super::plan::{DiskFile, DiskOp};
use super::route::Route;

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

/// A quantity of a contract that somebody else trades on the account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    pub symbol: String,
    /// Bought where positive, sold where negative.
    pub qty: Qty,
}

/// What goes wrong. With `executed` the request is carried out nevertheless and only its answer is replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Fault {
    // Requests and their answers.
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

    // Frames.
    LoseFrame,
    DuplicateFrame,
    /// The frame comes after the next one of its connection.
    Reorder,
    /// The frame comes so much later, and what its connection says after it waits behind it.
    DelayFrame {
        ms: u64,
    },

    // The exchange and the way to it.
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
    /// For so long queries are answered by a replica that is `ms` behind: younger orders and trades are not there.
    Lag {
        ms: u64,
        seconds: u64,
    },
    /// Somebody else trades on the account, at the market.
    ManualOrder {
        #[serde(flatten)]
        amount: Amount,
    },
    /// Money comes to the account, or with a minus leaves it.
    Transfer {
        amount: Money,
    },
    /// Ticks and steps of the symbol become so many times as coarse.
    Filters {
        symbol: String,
        times: u32,
    },

    // The disk, where an operation says so.
    /// Another connection holds the lock.
    Busy,
    /// There is no room for what is written.
    Full,
    /// The operation fails and changes nothing. A sync that fails drops what it was to make durable.
    IoError,
    /// A half of what is written is, then the operation fails.
    ShortWrite,
    /// The sync says yes and makes nothing durable.
    LyingSync,
    /// The sync makes everything durable and says no.
    ErrsButDurable,

    // The disk, at any moment.
    /// One bit of a file is another one. The position counts in bits from the beginning, modulo the file's length.
    BitFlip {
        file: DiskFile,
        bit: u64,
    },
    /// The process is killed, and its file has lost its end: so many of a thousand parts are left.
    Truncate {
        file: DiskFile,
        keep: u32,
    },
    /// The process is killed, and the file is not there any more.
    Remove {
        file: DiskFile,
    },
    /// The process is killed, and a copy of the database from its last start takes its place.
    OldBackup,
    /// Somebody reads the store for so long and keeps its write-ahead log from being folded in.
    StuckReader {
        seconds: u64,
    },
    /// A second process opens the same store.
    SecondInstance,

    // The process.
    /// It is killed and started again after so long; what it wrote stands.
    Crash {
        #[serde(default = "soon")]
        down_ms: u64,
    },
    /// The machine loses its power: of what was not synced, a part stands, torn anywhere.
    PowerLoss {
        #[serde(default = "soon")]
        down_ms: u64,
        /// Chooses the part.
        #[serde(default)]
        seed: u64,
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

fn soon() -> u64 {
    1_000
}

/// What a kind of fault happens to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// One HTTP request, or an upgrade to a stream connection.
    Request,
    /// One text frame of the exchange.
    Frame,
    /// The exchange as a whole.
    World,
    /// One operation of the disk under the bot's store.
    DiskOp,
    /// The bot's disk or process as a whole.
    Process,
}

impl Fault {
    pub fn subject(&self) -> Subject {
        match self {
            Fault::Status { .. }
            | Fault::Error { .. }
            | Fault::Html { .. }
            | Fault::Redirect { .. }
            | Fault::Delay { .. }
            | Fault::DropRequest { .. }
            | Fault::DropAnswer { .. }
            | Fault::TruncateBody { .. }
            | Fault::StallBody { .. }
            | Fault::SlowBody { .. }
            | Fault::Headers { .. } => Subject::Request,
            Fault::LoseFrame | Fault::DuplicateFrame | Fault::Reorder | Fault::DelayFrame { .. } => Subject::Frame,
            Fault::CloseSocket { .. }
            | Fault::HalfOpen { .. }
            | Fault::Say { .. }
            | Fault::Outage { .. }
            | Fault::ExpireListenKeys
            | Fault::Ban { .. }
            | Fault::Throttle { .. }
            | Fault::Clock { .. }
            | Fault::Lag { .. }
            | Fault::ManualOrder { .. }
            | Fault::Transfer { .. }
            | Fault::Filters { .. } => Subject::World,
            Fault::Busy
            | Fault::Full
            | Fault::IoError
            | Fault::ShortWrite
            | Fault::LyingSync
            | Fault::ErrsButDurable => Subject::DiskOp,
            Fault::BitFlip { .. }
            | Fault::Truncate { .. }
            | Fault::Remove { .. }
            | Fault::OldBackup
            | Fault::StuckReader { .. }
            | Fault::SecondInstance
            | Fault::Crash { .. }
            | Fault::PowerLoss { .. } => Subject::Process,
        }
    }

    /// Whether an operation of the disk can fail in this way.
    pub fn can_strike(&self, op: DiskOp) -> bool {
        match self {
            Fault::Busy => op == DiskOp::Lock,
            Fault::Full => op != DiskOp::Read,
            Fault::ShortWrite => op == DiskOp::Write,
            Fault::LyingSync => op == DiskOp::Sync,
            Fault::IoError | Fault::ErrsButDurable | Fault::Crash { .. } | Fault::PowerLoss { .. } => true,
            _ => false,
        }
    }

    /// The words of all kinds, as plans write them.
    pub const KINDS: [&'static str; 41] = [
        "status",
        "error",
        "html",
        "redirect",
        "delay",
        "drop_request",
        "drop_answer",
        "truncate_body",
        "stall_body",
        "slow_body",
        "headers",
        "lose_frame",
        "duplicate_frame",
        "reorder",
        "delay_frame",
        "close_socket",
        "half_open",
        "say",
        "outage",
        "expire_listen_keys",
        "ban",
        "throttle",
        "clock",
        "lag",
        "manual_order",
        "transfer",
        "filters",
        "busy",
        "full",
        "io_error",
        "short_write",
        "lying_sync",
        "errs_but_durable",
        "bit_flip",
        "truncate",
        "remove",
        "old_backup",
        "stuck_reader",
        "second_instance",
        "crash",
        "power_loss",
    ];

    /// The contract that it names and that is not among these: with such a one nothing would happen.
    pub fn unknown_symbol(&self, instruments: &Instruments) -> Option<&str> {
        let named = match self {
            Fault::ManualOrder { amount } => &amount.symbol,
            Fault::Filters { symbol, .. } => symbol,
            _ => return None,
        };
        instruments.id(named).is_none().then_some(named)
    }

    /// The word of its kind, as a plan writes it.
    pub const fn kind(&self) -> &'static str {
        match self {
            Fault::Status { .. } => "status",
            Fault::Error { .. } => "error",
            Fault::Html { .. } => "html",
            Fault::Redirect { .. } => "redirect",
            Fault::Delay { .. } => "delay",
            Fault::DropRequest { .. } => "drop_request",
            Fault::DropAnswer { .. } => "drop_answer",
            Fault::TruncateBody { .. } => "truncate_body",
            Fault::StallBody { .. } => "stall_body",
            Fault::SlowBody { .. } => "slow_body",
            Fault::Headers { .. } => "headers",
            Fault::LoseFrame => "lose_frame",
            Fault::DuplicateFrame => "duplicate_frame",
            Fault::Reorder => "reorder",
            Fault::DelayFrame { .. } => "delay_frame",
            Fault::CloseSocket { .. } => "close_socket",
            Fault::HalfOpen { .. } => "half_open",
            Fault::Say { .. } => "say",
            Fault::Outage { .. } => "outage",
            Fault::ExpireListenKeys => "expire_listen_keys",
            Fault::Ban { .. } => "ban",
            Fault::Throttle { .. } => "throttle",
            Fault::Clock { .. } => "clock",
            Fault::Lag { .. } => "lag",
            Fault::ManualOrder { .. } => "manual_order",
            Fault::Transfer { .. } => "transfer",
            Fault::Filters { .. } => "filters",
            Fault::Busy => "busy",
            Fault::Full => "full",
            Fault::IoError => "io_error",
            Fault::ShortWrite => "short_write",
            Fault::LyingSync => "lying_sync",
            Fault::ErrsButDurable => "errs_but_durable",
            Fault::BitFlip { .. } => "bit_flip",
            Fault::Truncate { .. } => "truncate",
            Fault::Remove { .. } => "remove",
            Fault::OldBackup => "old_backup",
            Fault::StuckReader { .. } => "stuck_reader",
            Fault::SecondInstance => "second_instance",
            Fault::Crash { .. } => "crash",
            Fault::PowerLoss { .. } => "power_loss",
        }
    }

    pub(super) fn check(&self) -> Result<(), String> {
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
            Fault::Truncate { keep, .. } if *keep >= 1_000 => {
                Err("`keep` is what is left, in thousandths: use 0 to 999".to_owned())
            }
            Fault::Filters { times: 0, .. } => Err("`times` is at least 1".to_owned()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_kinds_is_what_a_plan_takes() {
        // The parser names every kind that it knows when it meets another.
        let error = serde_json::from_str::<Fault>(r#"{"kind": "explode"}"#).unwrap_err().to_string();
        let known = error.split_once("expected one of").map_or("", |(_, known)| known);
        let mut known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
        known.retain(|kind| *kind != "delay_ms");
        assert_eq!(known, Fault::KINDS);
    }
}
