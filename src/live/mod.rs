//! A live session put together: key, rules, store, engine, session, sockets; and run until it is asked to stop.

mod connect;
mod lock;
mod options;
mod outcome;
mod paper;
mod replay;

pub use options::{LiveOptions, Place};
pub use outcome::LiveOutcome;
pub use replay::{ReplayJob, ReplayOutcome, run_replay};

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alphaengine_core::command::{OperatorCommand, OperatorOrder};
use alphaengine_core::engine::{self, Engine, LiveConfig};
use alphaengine_core::id::SessionId;
use alphaengine_core::instrument::Instruments;
use alphaengine_core::params::Params;
use alphaengine_core::store::{Scope, SqliteStore};
use alphaengine_core::strategy::Strategy;
use alphaengine_core::units::{NANOS_PER_MILLI, Timestamp};
use alphaengine_live::binance::{ApiKey, BootstrapResult, Session, SessionConfig};
use alphaengine_live::bot::{Bot, Venue};
use alphaengine_live::runner::{Ended, Parts, Runner};
use alphaengine_live::service::Service;
use alphaengine_live::status::Status;
use alphaengine_live::stepper::Stepper;
use alphaengine_live::tape::{Begin, Recorder};
use serde_json::{Value, json};

use crate::backtest::session_id;
use crate::error::Error;
use crate::registry::Entry;
use crate::runs::store_error;
use connect::Connection;
use lock::AccountLock;
use paper::PaperVenue;
