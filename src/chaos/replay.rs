//! The command that runs a seed again: the one that was typed, with another seed and plan.

use std::path::Path;

/// Options of a campaign that are another matter than what is run, with whether a value follows.
const DROPPED: [(&str, bool); 12] = [
    ("--seed", true),
    ("--seeds", true),
    ("--plan", true),
    ("--faults", true),
    ("--jobs", true),
    ("--double", true),
    ("--pairs", true),
    ("--save", true),
    ("--until", true),
    ("--shrink", false),
    ("--json", false),
    ("--trace", false),
];

/// The command line for one seed with a plan from a file. `typed` begins with the program.
pub fn command(typed: &[String], seed: u64, plan: Option<&Path>) -> String {
    let mut words = Vec::new();
    let mut typed = typed.iter();
    while let Some(word) = typed.next() {
        let (name, has_value) = word.split_once('=').map_or((word.as_str(), false), |(name, _)| (name, true));
        match DROPPED.iter().find(|(dropped, _)| *dropped == name) {
            Some((_, takes_value)) => {
                if *takes_value && !has_value {
                    typed.next();
                }
            }
            None => words.push(word.clone()),
        }
    }
    words.extend(["--seed".to_owned(), seed.to_string(), "--seeds".to_owned(), "1".to_owned()]);
    if let Some(plan) = plan {
        words.extend(["--plan".to_owned(), plan.display().to_string()]);
    }
    let quoted: Vec<String> = words.iter().map(|word| quote(word)).collect();
    quoted.join(" ")
}

/// As a shell takes it for one word.
fn quote(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,%+@".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_run_stays_and_how_it_was_looked_for_goes() {
        let typed = [
            "alphaengine",
            "chaos",
            "--strategy",
            "grid",
            "--seeds=500",
            "--seed",
            "7",
            "--param",
            "levels=3",
            "--shrink",
            "--data",
            "my data/b.csv",
            "--json",
            "--faults",
            "wire,F4",
            "--length",
            "2m",
        ];
        let typed = typed.map(str::to_owned);
        assert_eq!(
            command(&typed, 31, Some(Path::new("chaos-31.json"))),
            "alphaengine chaos --strategy grid --param levels=3 --data 'my data/b.csv' --length 2m --seed 31 --seeds 1 \
             --plan chaos-31.json"
        );
        assert_eq!(quote("it's"), r"'it'\''s'");
    }
}
