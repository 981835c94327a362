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

/// The commands of this program in fenced blocks, without it and without what follows a `#`.
fn commands(text: &str) -> Vec<String> {
    let program = ["alphaengine ", "cargo run --release -- ", "/usr/local/bin/alphaengine "];
    let blocks = text.replace("\\\n", " ");
    let fenced: Vec<&str> = blocks.split("```").skip(1).step_by(2).collect();
    let lines = fenced.iter().flat_map(|block| block.lines());
    let command = |line: &str| {
        let rest = program.iter().find_map(|program| line.trim_start().strip_prefix(program))?;
        Some(rest.split(" #").next().unwrap().to_owned())
    };
    lines.filter_map(command).collect()
}

/// Whether a help text has this option, and not only a longer one.
fn names_option(help: &str, name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let mut ends = help.match_indices(name).map(|(at, _)| help[at + name.len()..].chars().next());
    ends.any(|next| next.is_none_or(|next| !is_part(next)))
}

fn document(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap()
}

/// The variants of an enum in a source file.
fn variants(file: &str, name: &str) -> Vec<String> {
    let source = document(file);
    let body =
        source.split(&format!("pub enum {name} {{\n")).nth(1).and_then(|rest| rest.split("\n}\n").next()).unwrap();
    let variant = |line: &str| {
        let rest = line.strip_prefix("    ").filter(|rest| rest.starts_with(|c: char| c.is_ascii_uppercase()))?;
        Some(rest.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap().to_owned())
    };
    body.lines().filter_map(variant).collect()
}

/// `StreamUp` as `stream_up`.
fn snake(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
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
        &["chaos"],
        &["data", "fetch"],
        &["data", "import"],
        &["data", "list"],
        &["data", "check"],
        &["export"],
        &["runs", "list"],
        &["store", "verify"],
        &["store", "repair"],
        &["live"],
        &["exchange", "serve"],
        &["command"],
        &["command", "order"],
        &["command", "set-limits"],
        &["replay"],
    ];
    let help: String = verbs.iter().map(|verb| desk.ok(&[*verb, &["--help"]].concat())).collect();
    let mut options = 0;
    for (path, text) in documents() {
        for command in commands(&text) {
            for word in command.split_whitespace().filter(|word| word.starts_with("--") && word.len() > 2) {
                let name = word.split('=').next().unwrap();
                options += 1;
                assert!(names_option(&help, name), "{}: {name} in `{command}`", path.display());
            }
        }
    }
    assert!(options > 40, "{options} options in commands");
    let mut options = 0;
    for (path, text) in documents() {
        for option in quoted(&text).into_iter().filter(|quoted| quoted.starts_with("--") && !quoted.starts_with("-- "))
        {
            let name = option.split([' ', '=']).next().unwrap();
            options += 1;
            assert!(names_option(&help, name), "{}: {name}", path.display());
        }
    }
    assert!(options > 20, "{options} options");
}

#[test]
fn errors_read_as_quoted() {
    let mut program = String::new();
    for folder in ["src", "core/src", "sim/src", "datasets/src", "live/src", "server/src"] {
        sources(&root().join(folder), &mut program);
    }
    let text = document("docs/troubleshooting.md");
    let mut sentences = 0;
    for row in text.lines().filter(|line| line.starts_with("| `")) {
        let said = row.split('|').nth(1).unwrap();
        for part in quoted(said).into_iter().flat_map(|sentence| sentence.split(" ... ")) {
            sentences += 1;
            assert!(program.contains(part.trim()), "nobody says `{part}`");
        }
    }
    assert!(sentences > 40, "{sentences} sentences");
}

#[test]
fn every_option_of_live_and_of_the_exchange_is_explained() {
    let desk = Desk::new();
    let pages: [(&[&str], &str); 3] = [
        (&["live", "--help"], "docs/live.md"),
        (&["command", "order", "--help"], "docs/live.md"),
        (&["exchange", "serve", "--help"], "docs/exchange.md"),
    ];
    for (args, page) in pages {
        let (help, text) = (desk.ok(args), document(page));
        let options = help.lines().filter_map(|line| {
            let (_, rest) = line.trim_start().split_at_checked(line.trim_start().find("--")?)?;
            let name = rest.split([' ', ',']).next()?;
            line.trim_start().starts_with('-').then_some(name)
        });
        let options: Vec<&str> = options.filter(|name| *name != "--help").collect();
        assert!(options.len() > 5, "{options:?}");
        for name in options {
            assert!(names_option(&text, name), "{page} does not say what {name} is");
        }
    }
}

#[test]
fn every_event_of_the_way_and_every_refusal_is_explained() {
    let text = document("docs/live.md");
    let mut names = 0;
    for (file, name) in [
        ("core/src/link.rs", "LinkUpdate"),
        ("core/src/command.rs", "Refusal"),
        ("core/src/reconcile.rs", "DriftKind"),
        ("core/src/mode.rs", "EngineMode"),
    ] {
        for variant in variants(file, name) {
            let wire = snake(&variant).to_uppercase();
            names += 1;
            assert!(
                quoted(&text).contains(&wire.as_str()),
                "docs/live.md does not say what {name}::{variant} is: {wire}"
            );
        }
    }
    assert!(names > 35, "{names} names");
}

#[test]
fn every_event_of_the_log_is_listed() {
    let source = document("core/src/event.rs");
    let rows = source.split("\nevents! {\n").nth(1).unwrap().lines();
    let name = |line: &str| {
        let (name, _) = line.strip_prefix("    ")?.split_once(" {")?;
        name.starts_with(|c: char| c.is_ascii_uppercase()).then(|| name.to_owned())
    };
    let names: Vec<String> = rows.take_while(|line| *line != "}").filter_map(name).collect();
    assert!(names.len() > 35, "{names:?}");
    let text = document("docs/store.md");
    for name in names {
        assert!(quoted(&text).contains(&name.as_str()), "docs/store.md does not list {name}");
    }
}

#[test]
fn what_our_exchange_answers_is_what_its_page_lists() {
    let page = document("docs/exchange.md");
    let listed = |file: &str, beginning: &str| -> Vec<String> {
        let source = document(file);
        let program = source.split("#[cfg(test)]").next().unwrap();
        let parts = program.split('"').skip(1).step_by(2).filter(|text| text.starts_with(beginning));
        parts.map(str::to_owned).collect()
    };
    let mut count = 0;
    for api in ["/fapi/", "/futures/", "/api/", "/dapi/", "/eapi/", "/sapi/"] {
        for path in listed("sim/src/gateway/endpoints.rs", api) {
            count += 1;
            let name = path.rsplit_once("/v").map_or(path.as_str(), |(_, rest)| rest.split_once('/').unwrap().1);
            assert!(page.contains(name), "docs/exchange.md does not list {path}");
        }
    }
    assert!(count > 90, "{count} endpoints");

    let socket = document("sim/src/gateway/ws_api.rs");
    let methods = socket.split("METHODS").nth(1).and_then(|rest| rest.split("];").next()).unwrap();
    let methods: Vec<&str> = methods.lines().filter_map(|line| line.split('"').nth(1)).collect();
    assert!(methods.len() > 20, "{methods:?}");
    for method in methods {
        let bare = method.strip_prefix("v2/").unwrap_or(method);
        assert!(page.contains(bare), "docs/exchange.md does not list the method {method}");
    }

    let control = document("server/src/control.rs");
    let calls = control.lines().filter_map(|line| {
        let (method, rest) = line.trim_start().strip_prefix("(\"")?.split_once("\", \"")?;
        Some(format!("`{method} {}", rest.split('"').next()?))
    });
    let calls: Vec<String> = calls.collect();
    assert!(calls.len() > 9, "{calls:?}");
    for call in calls {
        assert!(page.contains(&call), "docs/exchange.md does not list {call}`");
    }
    let page = document("docs/faults.md");
    for kind in variants("sim/src/faults/fault.rs", "Fault") {
        let kind = snake(&kind);
        assert!(quoted(&page).iter().any(|quoted| *quoted == kind), "docs/faults.md does not list the fault {kind}");
    }
}

#[test]
fn fault_plans_in_the_documents_are_taken() {
    let desk = Desk::new();
    let page = document("docs/exchange.md");
    let plans: Vec<&str> = page.split("```json\n[").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(plans.len() > 1, "{} plans", plans.len());
    for (index, plan) in plans.into_iter().enumerate() {
        let file = desk.write(&format!("plan-{index}.json"), format!("[{plan}"));
        let file = file.to_str().unwrap();
        // The plan is read before the data, which end inside the history: nothing is served.
        let ended = desk.run(&["exchange", "serve", "--port", "0", "--history", "1000000", "--faults", file]);
        assert_eq!(ended.code, 2, "{ended:?}");
        assert!(ended.err.contains("inside the history"), "plan {index}: {}", ended.err);
    }
    let file = desk.write("bad.json", "[{\"on\": {}, \"fault\": {\"kind\": \"explode\"}}]");
    let said = desk.run(&["exchange", "serve", "--port", "0", "--faults", file.to_str().unwrap()]).err;
    assert!(said.contains("the fault plan is not understood"), "{said}");
}

#[test]
fn the_service_unit_starts_what_there_is() {
    let unit = document("deploy/alphaengine@.service");
    let start = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/alphaengine ")).unwrap();
    let help = Desk::new().ok(&["live", "--help"]);
    for place in ["testnet", "production"] {
        let words: Vec<String> = start.split_whitespace().map(|word| word.replace("%i", place)).collect();
        assert_eq!(words[0], "live");
        for option in words.iter().filter(|word| word.starts_with("--")) {
            assert!(names_option(&help, option), "{option}");
        }
    }
    for line in ["Type=notify", "MemoryMax=512M", "Restart=on-failure", "NoNewPrivileges=yes", "ProtectSystem=strict"] {
        assert!(unit.lines().any(|of| of == line), "{line}");
    }
    assert!(unit.contains("WatchdogSec="), "{unit}");
}
