//! The page about faults says what there is: its plans are taken, and every kind and family stands on it.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

use alphaengine_sim::faults::{Fault, FaultPlan, Format, families};

const PAGE: &str = include_str!("../../docs/faults.md");

/// The fenced blocks of a language.
fn blocks(language: &str) -> Vec<&'static str> {
    let begin = format!("```{language}\n");
    PAGE.split(begin.as_str()).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

#[test]
fn every_plan_of_the_page_is_taken_and_both_formats_say_the_same() {
    let parse = |format| move |text: &&str| FaultPlan::parse_as(format, text).unwrap();
    let json: Vec<FaultPlan> = blocks("json").iter().map(parse(Format::Json)).collect();
    let toml: Vec<FaultPlan> = blocks("toml").iter().map(parse(Format::Toml)).collect();
    assert!(json.len() >= 3 && !toml.is_empty(), "{} and {} plans", json.len(), toml.len());
    assert_eq!(json[0], toml[0]);
}

#[test]
fn every_kind_is_explained() {
    for kind in Fault::KINDS {
        assert!(PAGE.contains(&format!("`{kind}`")), "docs/faults.md does not explain {kind}");
    }
}

#[test]
fn every_family_and_every_law_has_its_row() {
    for family in families() {
        let row = format!("| {} | {} | {} | ", family.code, family.group.name(), family.about);
        assert!(PAGE.contains(&row), "docs/faults.md has no row `{row}`");
    }
    for number in 1..=27 {
        assert!(PAGE.contains(&format!("\n| I{number} | ")), "docs/faults.md has no row for I{number}");
    }
}
