//! What the documents point at is there: links lead somewhere, options exist, and errors read as quoted.

#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

mod support;

use std::path::{Path, PathBuf};

use support::Desk;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Markdown document, with its text.
fn documents() -> Vec<(PathBuf, String)> {
    let names = ["README.md", "ARCHITECTURE.md", "CHANGELOG.md"].map(|name| root().join(name));
    let docs = std::fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let paths = names.into_iter().chain(docs).filter(|path| path.extension().is_some_and(|ending| ending == "md"));
    paths.map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

/// The text of every source file below a folder.
fn sources(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            *text += &std::fs::read_to_string(path).unwrap();
        }
    }
}

/// What stands between backticks, outside of fenced blocks.
fn quoted(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|prose| prose.lines().flat_map(|line| line.split('`').skip(1).step_by(2))).collect()
}

#[test]
fn links_lead_somewhere() {
    let mut links = 0;
    for (path, text) in documents() {
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            links += 1;
            assert!(path.parent().unwrap().join(link).exists(), "{}: {link}", path.display());
        }
    }
    assert!(links > 15, "{links} links");
}

#[test]
fn options_exist() {
    let desk = Desk::new();
    let verbs: &[&[&str]] = &[
        &["backtest"],
        &["data", "fetch"],
        &["data", "import"],
        &["data", "list"],
        &["data", "check"],
        &["export"],
        &["runs", "list"],
        &["store", "verify"],
    ];
    let help: String = verbs.iter().map(|verb| desk.ok(&[*verb, &["--help"]].concat())).collect();
    let mut options = 0;
    for (path, text) in documents() {
        for option in quoted(&text).into_iter().filter(|quoted| quoted.starts_with("--")) {
            let name = option.split([' ', '=']).next().unwrap();
            options += 1;
            assert!(help.contains(name), "{}: {name}", path.display());
        }
    }
    assert!(options > 20, "{options} options");
}

#[test]
fn errors_read_as_quoted() {
    let mut program = String::new();
    for folder in ["src", "core/src", "sim/src", "datasets/src"] {
        sources(&root().join(folder), &mut program);
    }
    let text = std::fs::read_to_string(root().join("docs/troubleshooting.md")).unwrap();
    let mut sentences = 0;
    for row in text.lines().filter(|line| line.starts_with("| `")) {
        let said = row.split('|').nth(1).unwrap();
        for part in quoted(said).into_iter().flat_map(|sentence| sentence.split(" ... ")) {
            sentences += 1;
            assert!(program.contains(part.trim()), "nobody says `{part}`");
        }
    }
    assert!(sentences > 15, "{sentences} sentences");
}
