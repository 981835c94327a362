//! A campaign: one strategy through many short windows of data, each with faults of its own, and an auditor that looks on.
//!
//! A seed chooses the window and draws the plan of what goes wrong in it. The runs themselves are world 2
//! ([`alphaengine_chaos`]); here are what needs data, processes and a terminal. One process runs one simulation at a time, because
//! SQLite's file system is the process's, so a campaign is cut over children of the same program.

mod campaign;
mod child;
mod data;
mod effect;
mod faulted;
mod job;
mod json;
mod options;
mod plan;
mod pool;
mod replay;
mod report;
mod run;
mod tally;
mod text;
mod worker;

pub use campaign::{Campaign, campaign, save_plan, show_one};
pub use data::Data;
pub use faulted::{Faulted, run_faulted};
pub use job::{ChaosJob, run_chaos};
pub use options::{Options, length};
pub use plan::Plans;
pub use report::Report;
pub use worker::work;
