//! A Downloader gets one file of the archive: its checksum, then the zip, resumed where it was cut.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::ProgressBar;
use reqwest::header::{CONTENT_RANGE, RANGE, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode};

use super::plan::{ArchiveFile, FetchPlan};
use super::progress::Progress;
use super::{LONGEST_WAIT, verify};
use crate::Error;
use crate::disk::{create_dir, disk};

const TRIES: u32 = 5;
const CONNECT: Duration = Duration::from_secs(10);
/// A checksum file has about 100 bytes; what is much longer is none.
const LONGEST_CHECKSUM: usize = 4_096;

/// How it ended for one file.
pub(super) enum Outcome {
    Fetched,
    Skipped,
    /// The archive has no such file.
    Missing,
    Failed(String),
}

/// Why one request, or one file, did not work out.
enum Trouble {
    /// Worth another try, after this wait if the server named one.
    Passing(String, Option<Duration>),
    Lasting(String),
    Missing,
    /// The disk: nothing else of the plan will work either.
    Disk(Error),
}

pub(super) struct Downloader {
    client: Client,
    base_url: String,
    directory: PathBuf,
    backoff: Duration,
    bytes: AtomicU64,
}

/// Where one file goes.
struct Paths {
    done: PathBuf,
    part: PathBuf,
    checksum: PathBuf,
}

impl Downloader {
    pub fn new(plan: &FetchPlan) -> Result<Downloader, Error> {
        let client = Client::builder()
            .no_proxy()
            .connect_timeout(CONNECT)
            .read_timeout(plan.stall)
            .user_agent(concat!("alphaengine/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|problem| Error::new(format!("the network cannot be set up: {}", chain(&problem))))?;
        Ok(Downloader {
            client,
            base_url: plan.base_url.trim_end_matches('/').to_owned(),
            directory: plan.directory.clone(),
            backoff: plan.backoff,
            bytes: AtomicU64::new(0),
        })
    }

    /// Bytes of zip files that came so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Gets one file. An error is a disk that cannot be written.
    pub async fn file(&self, file: &ArchiveFile, progress: &Progress) -> Result<Outcome, Error> {
        match self.attempt(file, progress).await {
            Ok(outcome) => Ok(outcome),
            Err(Trouble::Missing) => Ok(Outcome::Missing),
            Err(Trouble::Lasting(why)) => Ok(Outcome::Failed(why)),
            Err(Trouble::Passing(why, _)) => {
                Ok(Outcome::Failed(format!("{why}; {TRIES} tries, run the same command again to go on from here")))
            }
            Err(Trouble::Disk(error)) => Err(error),
        }
    }

    async fn attempt(&self, file: &ArchiveFile, progress: &Progress) -> Result<Outcome, Trouble> {
        let folder = self.directory.join(&file.folder);
        let paths = Paths {
            done: folder.join(&file.name),
            part: folder.join(format!("{}.part", file.name)),
            checksum: folder.join(format!("{}.CHECKSUM", file.name)),
        };
        let present = if paths.done.is_file() { Some(hash(&paths.done).await?) } else { None };
        if let Some(present) = &present {
            let stated = fs::read_to_string(&paths.checksum).ok();
            if stated.and_then(|text| verify::parse_checksum(&text, &file.name).ok()).as_ref() == Some(present) {
                return Ok(Outcome::Skipped);
            }
        }
        let url = format!("{}/{}/{}", self.base_url, file.folder, file.name);
        let mut stated = self.checksum(&url, file).await?;
        create_dir(&folder).map_err(Trouble::Disk)?;
        if present == Some(stated.1.clone()) {
            replace(&paths.checksum, stated.0.as_bytes())?;
            return Ok(Outcome::Skipped);
        }

        let bar = progress.download(&file.name);
        let mut again = true;
        loop {
            let got = self.zip(&url, &paths.part, &stated.1, &bar).await;
            let got = got.inspect_err(|_| bar.finish_and_clear())?;
            if got == stated.1 {
                break;
            }
            remove(&paths.part)?;
            if !again {
                bar.finish_and_clear();
                let why = format!("its SHA-256 is {got}, the archive says {}", stated.1);
                return Err(Trouble::Lasting(format!("{why}; it was removed, try again later")));
            }
            // The archive may have replaced both files a moment ago.
            again = false;
            stated = self.checksum(&url, file).await?;
        }
        bar.finish_and_clear();

        let part = paths.part.clone();
        if let Err(why) = blocking(move || verify::check_zip(&part)).await? {
            remove(&paths.part)?;
            let why = format!("it is damaged although its checksum matches, and was removed: {why}");
            return Err(Trouble::Lasting(format!("{why}; try the daily files, or again later")));
        }
        fs::rename(&paths.part, &paths.done).map_err(|problem| full(&paths.done, &problem))?;
        replace(&paths.checksum, stated.0.as_bytes())?;
        Ok(Outcome::Fetched)
    }

    /// The text of the `.CHECKSUM` file, and the SHA-256 in it.
    async fn checksum(&self, url: &str, file: &ArchiveFile) -> Result<(String, String), Trouble> {
        let url = format!("{url}.CHECKSUM");
        let mut tries = Tries::new(self.backoff);
        loop {
            match self.small(&url).await {
                Ok(text) => {
                    let stated = verify::parse_checksum(&text, &file.name).map_err(Trouble::Lasting)?;
                    return Ok((text, stated));
                }
                Err(trouble) => tries.wait(trouble).await?,
            }
        }
    }

    async fn small(&self, url: &str) -> Result<String, Trouble> {
        let mut response = good(self.client.get(url).send().await.map_err(|problem| passing(&problem))?)?;
        let mut text = Vec::new();
        while let Some(bytes) = response.chunk().await.map_err(|problem| passing(&problem))? {
            text.extend_from_slice(&bytes);
            if text.len() > LONGEST_CHECKSUM {
                return Err(Trouble::Lasting("its checksum file is too long to be one".to_owned()));
            }
        }
        String::from_utf8(text).map_err(|_| Trouble::Lasting("its checksum file is not text".to_owned()))
    }

    /// Downloads to `part`, going on from what is there, and gives the SHA-256 of the whole.
    async fn zip(&self, url: &str, part: &Path, expected: &str, bar: &ProgressBar) -> Result<String, Trouble> {
        let mut tries = Tries::new(self.backoff);
        loop {
            match self.body(url, part, expected, bar).await {
                Ok(()) => return hash(part).await,
                Err(trouble) => tries.wait(trouble).await?,
            }
        }
    }

    async fn body(&self, url: &str, part: &Path, expected: &str, bar: &ProgressBar) -> Result<(), Trouble> {
        let have = fs::metadata(part).map_or(0, |data| data.len());
        let mut request = self.client.get(url);
        if have > 0 {
            request = request.header(RANGE, format!("bytes={have}-"));
        }
        let response = request.send().await.map_err(|problem| passing(&problem))?;
        if have > 0 && response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            // Either the part is the whole already, or it belongs to another version of the file.
            if hash(part).await? == expected {
                return Ok(());
            }
            remove(part)?;
            return Err(Trouble::Passing("the archive refused to resume".to_owned(), Some(Duration::ZERO)));
        }
        let mut response = good(response)?;
        let resumed = response.status() == StatusCode::PARTIAL_CONTENT;
        if resumed && range_start(&response) != Some(have) {
            remove(part)?;
            return Err(Trouble::Passing("the archive resumed at another place".to_owned(), Some(Duration::ZERO)));
        }
        let from = if resumed { have } else { 0 };
        bar.set_length(from + response.content_length().unwrap_or(0));
        bar.set_position(from);

        let mut file = OpenOptions::new();
        let file = if resumed { file.append(true) } else { file.write(true).create(true).truncate(true) };
        let mut file = file.open(part).map_err(|problem| full(part, &problem))?;
        while let Some(bytes) = response.chunk().await.map_err(|problem| passing(&problem))? {
            file.write_all(&bytes).map_err(|problem| full(part, &problem))?;
            self.bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
            bar.inc(bytes.len() as u64);
        }
        // On disk before it gets its final name.
        file.sync_all().map_err(|problem| full(part, &problem))
    }
}

/// Counts tries and waits between them.
struct Tries {
    left: u32,
    wait: Duration,
}

impl Tries {
    fn new(backoff: Duration) -> Tries {
        Tries { left: TRIES - 1, wait: backoff }
    }

    /// Waits before another try, or hands the trouble back when no try would help or none is left.
    async fn wait(&mut self, trouble: Trouble) -> Result<(), Trouble> {
        match trouble {
            Trouble::Passing(_, named) if self.left > 0 => {
                self.left -= 1;
                let wait = named.unwrap_or(self.wait).min(LONGEST_WAIT);
                self.wait = (self.wait * 2).min(LONGEST_WAIT);
                tokio::time::sleep(wait).await;
                Ok(())
            }
            trouble => Err(trouble),
        }
    }
}

/// A response that has what was asked for.
fn good(response: Response) -> Result<Response, Trouble> {
    let status = response.status();
    if status == StatusCode::OK || status == StatusCode::PARTIAL_CONTENT {
        return Ok(response);
    }
    let why = format!("the archive answered {status}");
    if status == StatusCode::NOT_FOUND {
        Err(Trouble::Missing)
    } else if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        let named = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        Err(Trouble::Passing(why, named.map(Duration::from_secs)))
    } else {
        Err(Trouble::Lasting(format!("{why}; check the base URL")))
    }
}

/// Where a partial response begins.
fn range_start(response: &Response) -> Option<u64> {
    let range = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    range.trim().strip_prefix("bytes")?.trim_start().split('-').next()?.parse().ok()
}

fn passing(problem: &reqwest::Error) -> Trouble {
    if problem.is_builder() {
        return Trouble::Lasting(format!("{}; check the base URL", chain(problem)));
    }
    let what = if problem.is_timeout() { "the archive did not answer in time: " } else { "" };
    Trouble::Passing(format!("{what}{}", chain(problem)), None)
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn full(path: &Path, problem: &io::Error) -> Trouble {
    Trouble::Disk(disk(path, "this file cannot be written", problem))
}

fn remove(path: &Path) -> Result<(), Trouble> {
    match fs::remove_file(path) {
        Err(problem) if problem.kind() != io::ErrorKind::NotFound => Err(full(path, &problem)),
        _ => Ok(()),
    }
}

/// Writes a small file so that it is there as a whole or not at all.
fn replace(path: &Path, content: &[u8]) -> Result<(), Trouble> {
    let draft = path.with_added_extension("tmp");
    let written = File::create(&draft).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()
    });
    written.and_then(|()| fs::rename(&draft, path)).map_err(|problem| {
        let _ = fs::remove_file(&draft);
        full(path, &problem)
    })
}

/// The SHA-256 of a file, worked out beside the downloads.
async fn hash(path: &Path) -> Result<String, Trouble> {
    let owned = path.to_owned();
    let hashed = blocking(move || verify::sha256(&owned)).await?;
    hashed.map_err(|problem| Trouble::Disk(disk(path, "this file cannot be read", &problem)))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Trouble> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|problem| Trouble::Lasting(format!("checking it broke off: {problem}")))
}
