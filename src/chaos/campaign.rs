//! A campaign from its first seed to its report.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use alphaengine_chaos::RunOptions;
use alphaengine_core::units::NANOS_PER_SECOND;
use alphaengine_sim::faults::FaultPlan;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::child::{Child, Recipe};
use super::report::{Failure, Header, Report, Shrunk};
use super::run::{self, SeedRun, Task};
use super::tally::Tally;
use super::{Data, Options, Plans, pool, replay, text};
use crate::error::Error;
use crate::faults::check_symbols;
use crate::registry::Entry;

/// Said where there are no finer data.
const WALKED: &str = "the data have bars only: each is walked second by second into quotes one tick wide, on which --fill, \
                      --slippage-bps and --volume-cap do not act";

/// Runs that shrinking a plan may take.
const SHRINK_BUDGET: usize = 300;

/// What a campaign is made of.
pub struct Campaign<'a> {
    pub entry: &'a Entry,
    pub options: &'a Options,
    pub data: Data,
    pub plans: Plans,
    /// What was typed, the program first.
    pub typed: Vec<String>,
}

impl<'a> Campaign<'a> {
    /// Reads the data and knows where plans come from.
    pub fn prepare(entry: &'a Entry, options: &'a Options, typed: Vec<String>) -> Result<Campaign<'a>, Error> {
        let data = Data::prepare(entry, options.scene.clone(), &options.params, options.limits, options.length)?;
        let plans = match &options.plan {
            Some(plan) => {
                check_symbols("--plan", plan, &data.instruments)?;
                Plans::One(plan.clone())
            }
            None => Plans::Drawn { families: options.families.clone(), length: options.length },
        };
        Ok(Campaign { entry, options, data, plans, typed })
    }

    fn plan(&self, seed: u64) -> Result<FaultPlan, Error> {
        Ok(self.plans.of(seed, &self.data.scenario(seed)?))
    }

    fn header(&self) -> Header {
        let mut notes = self.data.warnings.clone();
        if self.data.is_walked() {
            notes.push(WALKED.to_owned());
        }
        Header {
            strategy: self.data.strategy.clone(),
            params: self.data.params.iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            symbols: self.data.symbols(),
            timeframe: self.data.timeframe.to_string(),
            first_seed: self.options.first_seed,
            length: self.options.length,
            jobs: self.options.jobs,
            is_synthetic: self.data.is_synthetic,
            notes,
        }
    }

    fn recipe(&self) -> Recipe {
        let args = self.typed.iter().skip(1).map(Into::into).chain(["--worker".into()]);
        let seconds = u64::try_from(self.options.length / NANOS_PER_SECOND).unwrap_or(0);
        Recipe { args: args.collect(), patience: Duration::from_secs(180 + seconds) }
    }
}

/// Runs all seeds and says what came of them.
pub fn campaign(campaign: &Campaign<'_>) -> Result<Report, Error> {
    let (options, recipe) = (campaign.options, campaign.recipe());
    let begun = Instant::now();
    let mut tally = Tally::default();
    let bar = progress(options.seeds);
    let place = |place: u64| Task {
        seed: options.first_seed.wrapping_add(place),
        pair: options.is_paired(place),
        twice: options.is_doubled(place),
        plan: None,
    };
    pool::run(&recipe, options.jobs, (0..options.seeds).map(place), |run: SeedRun| {
        tally.add(run);
        bar.set_message(format!("{} violations", tally.broken));
        bar.inc(1);
    })?;
    // Once more in processes of their own, of which none has run any of them.
    let again = tally.to_run_again();
    if !again.is_empty() {
        let again = again.into_iter().map(|seed| Task { seed, ..Task::default() });
        pool::run(&recipe, options.jobs, again, |run| tally.add_again(run))?;
    }
    bar.finish_and_clear();
    let wall = begun.elapsed();
    let failures = failures(campaign, &tally, &recipe)?;
    Ok(Report { header: campaign.header(), tally, wall, failures })
}

/// Tells how each broken seed is seen again, with its plan in a file.
fn failures(campaign: &Campaign<'_>, tally: &Tally, recipe: &Recipe) -> Result<Vec<Failure>, Error> {
    let mut failures = Vec::new();
    for (index, (seed, violations)) in tally.stories.iter().enumerate() {
        let plan = campaign.plan(*seed)?;
        let mut failure = Failure {
            seed: *seed,
            violations: violations.clone(),
            plan,
            file: None,
            command: String::new(),
            shrunk: None,
        };
        if index == 0 && campaign.options.shrink {
            failure.shrunk = Some(shrink(recipe, &failure)?);
        }
        let file = match (&campaign.options.save, index) {
            (Some(file), 0) => file.clone(),
            _ => PathBuf::from(format!("chaos-{seed}.json")),
        };
        save(&file, failure.saved())?;
        failure.command = replay::command(&campaign.typed, *seed, Some(&file));
        failure.file = Some(file);
        failures.push(failure);
    }
    Ok(failures)
}

/// Looks for the least plan that breaks the same law, in a process that may die of it.
fn shrink(recipe: &Recipe, failure: &Failure) -> Result<Shrunk, Error> {
    let law = failure.violations.first().map_or("", |broken| broken.law.as_str());
    let bar = progress(SHRINK_BUDGET as u64);
    bar.set_message(format!("shrinking the plan of seed {}", failure.seed));
    let mut child = None;
    let mut problem = None;
    let found = alphaengine_chaos::shrink(&failure.plan, SHRINK_BUDGET, |plan| {
        bar.inc(1);
        let pair = failure.violations.first().is_some_and(|broken| broken.sentence.starts_with("without any fault"));
        let task = Task { seed: failure.seed, pair, twice: law == "I27", plan: Some(plan.clone()) };
        let running = child.take().map_or_else(|| Child::start(recipe), Ok);
        let run = running.and_then(|mut running| {
            let run = running.ask(&task)?;
            if !run.has_crashed() {
                child = Some(running);
            }
            Ok(run)
        });
        match run {
            Ok(run) => run.breaks(law),
            Err(error) => {
                problem.get_or_insert(error);
                false
            }
        }
    });
    bar.finish_and_clear();
    match problem {
        Some(error) => Err(error),
        None => Ok(Shrunk { plan: found.plan, runs: found.runs, entries_before: failure.plan.0.len() }),
    }
}

/// Writes the plan of the first seed to a file.
pub fn save_plan(campaign: &Campaign<'_>, file: &Path) -> Result<(), Error> {
    save(file, &campaign.plan(campaign.options.first_seed)?)
}

fn save(file: &Path, plan: &FaultPlan) -> Result<(), Error> {
    std::fs::write(file, plan.to_json()).map_err(|error| {
        Error::new(format!("option --save: {}: the plan cannot be written: {error}", file.display()))
            .hint("name a file that can be written with --save FILE")
    })
}

/// Runs the one seed in this process and shows it, up to a step if one is given. True where no law was broken.
pub fn show_one(campaign: &Campaign<'_>, until: Option<u64>, trace: bool) -> Result<(String, bool), Error> {
    let seed = campaign.options.first_seed;
    let scenario = campaign.data.scenario(seed)?;
    let plan = campaign.plans.of(seed, &scenario);
    let options = RunOptions { seed, until, trace, ..RunOptions::default() };
    let report = run::run(campaign.entry, &scenario, &plan, options)?;
    let mut text = text::head(&campaign.header());
    text += &format!("seed {seed}, {} entries in its plan:\n{}\n", plan.0.len(), plan.to_json());
    report.trace.iter().for_each(|line| text += &format!("{line}\n"));
    if !report.fired.is_empty() {
        text += &format!("\n{}", text::fired(&report.fired));
    }
    text += &format!("\n{} steps\n", report.steps);
    report.violations.iter().for_each(|violation| text += &format!("violation: {violation}\n"));
    if let Some(file) = &campaign.options.save {
        save(file, &plan)?;
    }
    Ok((text, report.violations.is_empty()))
}

/// Seeds and their pace, on a terminal.
fn progress(length: u64) -> ProgressBar {
    let is_terminal = std::io::stderr().is_terminal();
    let target = if is_terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(length), target);
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len}  {per_sec}  {msg}  {eta} left") {
        bar.set_style(style);
    }
    bar.set_message("0 violations");
    bar
}
