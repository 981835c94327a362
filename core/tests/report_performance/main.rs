//! The report, from events to figures.

#![allow(clippy::unwrap_used)] // the harness is test code too

mod figures;
mod page;
mod property;
mod run;
