//! Fetching downloads files of the public Binance archive, checks them against the archive's checksums and keeps them below
//! a directory, under the archive's own paths. What is there already is not asked for again; what was cut is resumed.

mod download;
mod plan;
mod progress;
mod verify;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use plan::FetchPlan;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::Error;
use crate::disk::create_dir;
use download::{Downloader, Outcome};
use progress::Progress;

/// Where the archive is.
pub const ARCHIVE: &str = "https://data.binance.vision";

/// What a fetch did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FetchReport {
    /// Files that were downloaded and are good.
    pub fetched: u64,
    /// Files that were there already, with a matching checksum.
    pub skipped: u64,
    /// Names of files that the archive does not have.
    pub missing: Vec<String>,
    /// Names of files that could not be had, and why.
    pub failed: Vec<(String, String)>,
    /// Bytes of zip files that came over the network.
    pub bytes: u64,
}

impl fmt::Display for FetchReport {
    /// A summary for people: one line, and one more for each file that is missing or failed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FetchReport { fetched, skipped, missing, failed, bytes } = self;
        let files = |n: u64| if n == 1 { "1 file".to_owned() } else { format!("{n} files") };
        write!(f, "{} fetched ({}), {skipped} already there", files(*fetched), indicatif::DecimalBytes(*bytes))?;
        write!(f, ", {} not in the archive, {} failed", missing.len(), failed.len())?;
        for name in missing {
            write!(f, "\nnot in the archive: {name}")?;
        }
        for (name, why) in failed {
            write!(f, "\nfailed: {name}: {why}")?;
        }
        Ok(())
    }
}

/// Fetches what `plan` names. A file that is missing or fails is in the report and stops no other; only a plan that makes no
/// sense and a disk that cannot be written end the whole.
pub fn fetch(plan: &FetchPlan) -> Result<FetchReport, Error> {
    let files = plan.files()?;
    create_dir(&plan.directory)?;
    let downloader = Arc::new(Downloader::new(plan)?);
    let progress = Progress::new(files.len(), plan.show_progress);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|problem| Error::new(format!("the network cannot be set up: {problem}")))?;

    runtime.block_on(async {
        let turns = Arc::new(Semaphore::new(plan.jobs.max(1)));
        let mut tasks = JoinSet::new();
        for (index, file) in files.into_iter().enumerate() {
            let (turns, downloader, progress) = (turns.clone(), downloader.clone(), progress.clone());
            tasks.spawn(async move {
                let _turn = turns.acquire().await;
                let outcome = downloader.file(&file, &progress).await;
                progress.file_done();
                (index, file, outcome)
            });
        }
        let mut report = FetchReport::default();
        let (mut missing, mut failed) = (Vec::new(), Vec::new());
        while let Some(done) = tasks.join_next().await {
            let (index, file, outcome) =
                done.map_err(|problem| Error::new(format!("a download broke off: {problem}")))?;
            match outcome? {
                Outcome::Fetched => report.fetched += 1,
                Outcome::Skipped => report.skipped += 1,
                Outcome::Missing => missing.push((index, file.name)),
                Outcome::Failed(why) => failed.push((index, (file.name, why))),
            }
        }
        report.bytes = downloader.bytes();
        report.missing = in_order(missing);
        report.failed = in_order(failed);
        progress.finish();
        Ok(report)
    })
}

/// In the order of the plan, whatever finished first.
fn in_order<T>(mut items: Vec<(usize, T)>) -> Vec<T> {
    items.sort_by_key(|(index, _)| *index);
    items.into_iter().map(|(_, item)| item).collect()
}

/// Waits between tries grow up to this; the archive cannot ask for more.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
