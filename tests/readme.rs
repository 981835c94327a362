//! What README shows is what the program prints.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

mod support;

use support::Desk;

/// Marks the one line that differs from run to run: how long it took and how much memory.
const MEASURED: &str = " s loading, ";

/// The fenced block of README that begins with this line.
fn shown(first: &str) -> String {
    let readme = include_str!("../README.md");
    let block = readme.split("```text\n").skip(1).find(|block| block.starts_with(first));
    block.and_then(|block| block.split("```").next()).unwrap().to_owned()
}

fn without_measurements(text: &str) -> String {
    text.lines().filter(|line| !line.contains(MEASURED)).map(|line| line.to_owned() + "\n").collect()
}

#[test]
fn the_first_command_prints_what_readme_shows() {
    let printed = Desk::new().ok(&["backtest"]);
    assert!(printed.contains(MEASURED), "the line that is left out has another form: {printed}");
    assert_eq!(without_measurements(&printed), without_measurements(&shown("sma_cross  ")));
}
