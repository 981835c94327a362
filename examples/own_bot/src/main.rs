//! A program of your own with the complete command line, the built-in strategies and one more.
//!
//! ```text
//! cargo run --release -p own-bot -- backtest --strategy dip_buyer --param drop=0.01
//! cargo run --release -p own-bot -- strategies dip_buyer
//! ```

mod dip_buyer;

use std::process::ExitCode;

use dip_buyer::DipBuyer;

fn main() -> ExitCode {
    alphaengine::run(alphaengine::Strategies::builtin().with::<DipBuyer>())
}
