//! What a campaign came to, for a terminal.

use std::collections::BTreeMap;

use alphaengine_core::units::{NANOS_PER_MINUTE, NANOS_PER_SECOND, Nanos};
use alphaengine_sim::auditor::Invariant;
use alphaengine_sim::faults::families;

use super::effect::{FIGURES, Figures, Spread, Unit};
use super::report::{Failure, Header, Report};
use super::run::CRASH;
use super::tally::Tally;
use crate::cli::Table;

/// Seeds after which a family of faults that never came to pass is worth a word.
const MANY: u64 = 500;

/// A span as `--length` takes it.
pub fn span(length: Nanos) -> String {
    if length % NANOS_PER_MINUTE == 0 {
        format!("{}m", length / NANOS_PER_MINUTE)
    } else {
        format!("{}s", length / NANOS_PER_SECOND)
    }
}

/// What was run besides the seeds.
fn beside(report: &Report) -> String {
    let runs = report.runs();
    if runs == report.tally.seeds {
        return String::new();
    }
    format!(" ({runs} runs, the fault-free and the doubled included)")
}

pub fn report(report: &Report) -> String {
    let (tally, header) = (&report.tally, &report.header);
    let mut text = head(header);
    text += &format!(
        "{} seeds from {}, {} each: {:.1} simulated hours in {:.1} s, {:.1} seeds/s on {} processes{}\n\n",
        tally.seeds,
        header.first_seed,
        span(header.length),
        report.simulated_hours(),
        report.wall.as_secs_f64(),
        report.seeds_per_second(),
        header.jobs,
        beside(report),
    );
    text += &faults(tally);
    text += "\n";
    text += &laws(tally);
    text += "\n";
    text += &effects(tally);
    text += "\n";
    header.notes.iter().for_each(|note| text += &format!("note: {note}\n"));
    report.failures.iter().for_each(|failure| text += &self::failure(failure));
    text += &format!("{}\n", verdict(tally));
    text
}

fn verdict(tally: &Tally) -> String {
    let doubled = format!("{} doubled seeds, {} traces that differ", tally.doubled, tally.mismatches);
    match tally.broken {
        0 => format!("no violation; {doubled}{}", untried(tally)),
        broken => format!("{broken} of {} seeds broke a law; {doubled}{}", tally.seeds, untried(tally)),
    }
}

/// What a campaign says nothing about: laws that were never checked, families of faults that never came to pass.
fn untried(tally: &Tally) -> String {
    let is_checked = |law: &&Invariant| tally.laws.get(law.code()).is_some_and(|law| law.checks > 0);
    let laws: Vec<&str> = Invariant::ALL.iter().filter(|law| !is_checked(law)).map(|law| law.code()).collect();
    let has_fired = |code: &str| tally.fired.keys().any(|(family, _)| family == code);
    let drawn = families().iter().filter(|family| family.is_drawn());
    let silent: Vec<&str> = drawn.map(|family| family.code).filter(|code| !has_fired(code)).collect();
    // A few seeds cannot meet everything.
    let silent = if tally.seeds < MANY { Vec::new() } else { silent };
    let list = |what: &str, names: &[&str]| match names {
        [] => String::new(),
        names => format!("; {what}: {}", names.join(" ")),
    };
    list("never checked", &laws) + &list("never fired", &silent)
}

pub fn head(header: &Header) -> String {
    let params: Vec<String> = header.params.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let synthetic = if header.is_synthetic { " (SYNTHETIC sample)" } else { "" };
    let symbols: Vec<String> = header.symbols.iter().map(|symbol| format!("{symbol} {}", header.timeframe)).collect();
    format!("{}  {}\n{}{synthetic}\n", header.strategy, params.join(" "), symbols.join(", "))
}

/// Families with their kinds, then kinds alone.
fn faults(tally: &Tally) -> String {
    let mut by_family: BTreeMap<usize, (String, u64, Vec<String>)> = BTreeMap::new();
    let mut by_kind: BTreeMap<&str, u64> = BTreeMap::new();
    for ((name, kind), times) in &tally.fired {
        let place = families().iter().position(|family| family.code == name.as_str()).unwrap_or(usize::MAX);
        let row = by_family.entry(place).or_default();
        row.0 = if place == usize::MAX { "other".to_owned() } else { name.clone() };
        row.1 += times;
        row.2.push(format!("{kind} {times}"));
        *by_kind.entry(kind).or_default() += times;
    }
    if by_kind.is_empty() {
        return "No fault came to pass.\n".to_owned();
    }
    let rows = by_family.into_iter().map(|(place, (name, fired, kinds))| {
        let about = families().get(place).map_or("entries of the plan", |family| family.about);
        vec![name, fired.to_string(), kinds.join(", "), about.to_owned()]
    });
    let head = &["FAULTS", "FIRED", "KINDS", "ABOUT"];
    let mut text = Table::new(head, &[false, true, false, false], rows.collect()).to_text();
    text += "\n";
    let rows = by_kind.into_iter().map(|(kind, times)| vec![kind.to_owned(), times.to_string()]);
    text += &Table::new(&["KIND", "FIRED"], &[false, true], rows.collect()).to_text();
    text
}

fn laws(tally: &Tally) -> String {
    let crashes = tally.laws.get(CRASH).map(|law| (CRASH, *law, "The process survives every run."));
    let each = Invariant::ALL.into_iter();
    let known = each.map(|law| (law.code(), tally.laws.get(law.code()).copied().unwrap_or_default(), law.law()));
    let rows = known.chain(crashes).map(|(code, law, sentence)| {
        vec![code.to_owned(), law.checks.to_string(), law.violations.to_string(), sentence.to_owned()]
    });
    let head = &["LAW", "CHECKED", "BROKEN", "ABOUT"];
    Table::new(head, &[false, true, true, false], rows.collect()).to_text()
}

/// What faults did to the strategy: a campaign's distribution.
fn effects(tally: &Tally) -> String {
    let rows = FIGURES.iter().zip(tally.effects()).zip(tally.mean_differences());
    let rows = rows.map(|((figure, [free, with, difference]), mean)| {
        let cell = |spread: Option<Spread>, of: fn(&Spread) -> i64| {
            spread.map_or("n/a".to_owned(), |spread| figure.unit.text(of(&spread)))
        };
        vec![
            figure.name.to_owned(),
            cell(free, |spread| spread.median),
            cell(with, |spread| spread.p5),
            cell(with, |spread| spread.median),
            cell(with, |spread| spread.p95),
            cell(with, |spread| spread.worst),
            cell(difference, |spread| spread.median),
            mean.map_or("n/a".to_owned(), |mean| figure.unit.text(mean)),
            cell(difference, |spread| spread.worst),
        ]
    });
    let head = &["WITH FAULTS", "NONE MEDIAN", "P5", "MEDIAN", "P95", "WORST", "DIFFERENCE MEDIAN", "MEAN", "WORST"];
    let right = &[false, true, true, true, true, true, true, true, true];
    let table = Table::new(head, right, rows.collect()).to_text();
    format!("{table}without faults and the differences: {} pairs of runs of the same window\n", tally.pairs())
}

/// One run with faults beside the one without.
pub fn two(free: &Figures, with: &Figures) -> String {
    let rows = FIGURES.iter().enumerate().map(|(index, figure)| {
        let cell = |value: i64| Unit::text(figure.unit, value);
        vec![
            figure.name.to_owned(),
            cell(free[index]),
            cell(with[index]),
            cell(with[index].saturating_sub(free[index])),
        ]
    });
    Table::new(&["FIGURE", "NO FAULTS", "FAULTS", "DIFFERENCE"], &[false, true, true, true], rows.collect()).to_text()
}

/// What came to pass, a line each.
pub fn fired(fired: &BTreeMap<String, u64>) -> String {
    let rows = fired.iter().map(|(label, times)| {
        let (name, kind) = super::plan::split_label(label);
        vec![name.to_owned(), kind.to_owned(), times.to_string()]
    });
    Table::new(&["NAME", "KIND", "FIRED"], &[false, false, true], rows.collect()).to_text()
}

fn failure(failure: &Failure) -> String {
    let mut text = String::new();
    for broken in &failure.violations {
        let place =
            if broken.at.is_empty() { String::new() } else { format!(" at {}, step {}", broken.at, broken.step) };
        text += &format!("violation: seed {}, {}{place}: {}\n", failure.seed, broken.law, broken.sentence);
    }
    if let Some(shrunk) = &failure.shrunk {
        text += &format!(
            "  shrunk from {} entries to {} in {} runs:\n",
            shrunk.entries_before,
            shrunk.plan.0.len(),
            shrunk.runs
        );
        shrunk.plan.to_json().lines().for_each(|line| text += &format!("  {line}\n"));
    }
    if let Some(file) = &failure.file {
        text += &format!("  plan: {} ({} entries)\n", file.display(), failure.saved().0.len());
    }
    text += &format!("  again: {}\n\n", failure.command);
    text
}

impl Failure {
    /// The plan that was saved.
    pub fn saved(&self) -> &alphaengine_sim::faults::FaultPlan {
        self.shrunk.as_ref().map_or(&self.plan, |shrunk| &shrunk.plan)
    }
}
