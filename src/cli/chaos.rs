//! `alphaengine chaos`: a strategy through many short windows of data, each with faults of its own.

use std::path::PathBuf;

use alphaengine_core::risk::Limits;
use alphaengine_core::units::Money;
use clap::Parser;

use super::args::{DataArgs, ExchangeArgs, LimitArgs, whole};
use super::{Exit, print};
use crate::Strategies;
use crate::backtest::SceneOptions;
use crate::chaos::{Campaign, Options, campaign, length, save_plan, show_one, work};
use crate::error::Error;
use crate::faults::read_plan;

/// Data that have bars only are walked second by second: a quote one tick wide goes from the open to the nearer extreme, to the other
/// one and to the close, so that within a window of minutes there is something to trade. Orders fill against these quotes.
#[derive(Parser)]
#[command(mut_arg("seed", |arg| arg.help("The first seed. A seed chooses the window of the data and draws what goes wrong in it")))]
#[command(mut_arg("latency", |arg| arg.hide(true)))]
pub struct Args {
    /// The strategy (`alphaengine strategies` lists them)
    #[arg(long, default_value = "drill")]
    strategy: String,
    /// A parameter of the strategy, e.g. fast=10; repeatable
    #[arg(long, value_name = "NAME=VALUE")]
    param: Vec<String>,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    exchange: ExchangeArgs,
    #[command(flatten)]
    limits: LimitArgs,
    /// How many seeds to run [default: 1000; with --trace or --until 1]
    #[arg(long, value_name = "N", allow_negative_numbers = true, help_heading = "Campaign")]
    seeds: Option<String>,
    /// What goes wrong, from a file (docs/faults.md), for every seed, instead of what each draws
    #[arg(long, value_name = "FILE", conflicts_with = "faults", help_heading = "Campaign")]
    plan: Option<PathBuf>,
    /// Which faults may be drawn: `all`, or codes and groups of docs/faults.md, e.g. wire,F36
    #[arg(long, value_name = "all|LIST", default_value = "all", help_heading = "Campaign")]
    faults: String,
    /// How long the market of a run is
    #[arg(long, value_name = "SPAN", default_value = "5m", help_heading = "Campaign")]
    length: String,
    /// Processes at once
    #[arg(long, value_name = "N", default_value = "2", allow_negative_numbers = true, help_heading = "Campaign")]
    jobs: String,
    /// Of a hundred seeds, how many run again, in the same process and in another one: the trace must be the same
    #[arg(long, value_name = "N", default_value = "1", allow_negative_numbers = true, help_heading = "Campaign")]
    double: String,
    /// How many seeds run without faults as well, for comparison
    #[arg(long, value_name = "N", default_value = "200", allow_negative_numbers = true, help_heading = "Campaign")]
    pairs: String,
    /// Find the least plan with which the first seed that broke a law still breaks it
    #[arg(long, help_heading = "Campaign")]
    shrink: bool,
    /// Save the plan of the first violation, or of a single seed, to this file [default: chaos-SEED.json]
    #[arg(long, value_name = "FILE", help_heading = "Campaign")]
    save: Option<PathBuf>,
    /// Stop after this step of a single seed
    #[arg(
        long,
        value_name = "STEP",
        allow_negative_numbers = true,
        conflicts_with = "json",
        help_heading = "Campaign"
    )]
    until: Option<String>,
    /// Print what happens in a single seed
    #[arg(long, conflicts_with = "json", help_heading = "Campaign")]
    trace: bool,
    /// Print one JSON object instead of tables
    #[arg(long)]
    json: bool,
    /// Work for a campaign: tasks come on the standard input
    #[arg(long, hide = true)]
    worker: bool,
    /// Make this mistake on purpose
    #[cfg(feature = "planted-bugs")]
    #[arg(long, hide = true, value_name = "NAME")]
    planted: Option<String>,
}

pub fn chaos(args: Args, strategies: &Strategies) -> Result<Exit, Error> {
    #[cfg(feature = "planted-bugs")]
    plant(args.planted.as_deref())?;
    let entry = strategies.find(&args.strategy)?;
    let (json, trace, worker) = (args.json, args.trace, args.worker);
    let until: Option<u64> = args.until.as_deref().map(|text| whole("--until", text)).transpose()?;
    let options = args.options()?;
    let is_single = trace || until.is_some();
    if is_single && options.seeds != 1 {
        return Err(Error::new("options --trace and --until show a single seed").hint("add --seed N --seeds 1"));
    }
    let typed = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let prepared = Campaign::prepare(entry, &options, typed)?;
    if worker {
        work(entry, &prepared.data, &prepared.plans)?;
        return Ok(Exit::Done);
    }
    if is_single {
        let (text, is_clean) = show_one(&prepared, until, trace)?;
        print(&text)?;
        return Ok(if is_clean { Exit::Done } else { Exit::No });
    }
    let report = campaign(&prepared)?;
    let saved = match &options.save {
        Some(file) if report.is_clean() && options.seeds == 1 => {
            save_plan(&prepared, file)?;
            format!("plan: {}\n", file.display())
        }
        Some(_) if report.is_clean() => {
            "nothing is saved: no law was broken; with --seeds 1 the plan of that seed is\n".to_owned()
        }
        _ => String::new(),
    };
    print(&if json { report.json()? } else { report.text() + &saved })?;
    Ok(if report.is_clean() { Exit::Done } else { Exit::No })
}

impl Args {
    fn options(self) -> Result<Options, Error> {
        let is_single = self.trace || self.until.is_some();
        let scene = self.exchange.scene(self.data)?;
        let (seeds, jobs) = (self.seeds.as_deref(), whole::<usize>("--jobs", &self.jobs)?);
        let seeds: u64 = seeds.map_or(Ok(if is_single { 1 } else { 1_000 }), |text| whole("--seeds", text))?;
        let double: u64 = whole("--double", self.double.trim_end_matches('%'))?;
        for (option, is_right, hint) in [
            ("--seeds", seeds > 0, "give 1 or more"),
            ("--jobs", (1..=256).contains(&jobs), "give 1 to 256"),
            ("--double", double <= 100, "give 0 to 100: it is a share in percent"),
        ] {
            if !is_right {
                return Err(Error::new(format!("option {option}: the number is out of its range")).hint(hint));
            }
        }
        let families = alphaengine_sim::faults::parse_families(&self.faults).map_err(|error| {
            Error::new(format!("option --faults: {error}")).hint("docs/faults.md lists the families")
        })?;
        Ok(Options {
            params: self.param,
            limits: held_to_its_money(self.limits.limits()?, &scene),
            first_seed: scene.seed,
            scene,
            seeds,
            plan: self.plan.as_deref().map(|file| read_plan("--plan", file)).transpose()?,
            families,
            length: length(&self.length)?,
            jobs,
            double,
            pairs: whole("--pairs", &self.pairs)?,
            shrink: self.shrink,
            save: self.save,
        })
    }
}

/// Without a limit for positions there would be nothing to hold the strategy to: then it is what money and leverage allow.
fn held_to_its_money(limits: Limits, scene: &SceneOptions) -> Limits {
    let most = Money::from_steps(scene.cash.steps().saturating_mul(i64::from(scene.leverage)));
    Limits { max_position: limits.max_position.or(Some(most)), ..limits }
}

/// Chooses the mistake that this process makes.
#[cfg(feature = "planted-bugs")]
fn plant(name: Option<&str>) -> Result<(), Error> {
    use alphaengine_core::planted::{Bug, plant};
    let Some(name) = name else { return Ok(()) };
    let known = || Bug::ALL.map(Bug::name).join(" ");
    let bug = Bug::from_name(name)
        .ok_or_else(|| Error::new(format!("option --planted: there is no `{name}`")).hint(known()))?;
    plant(Some(bug));
    Ok(())
}
