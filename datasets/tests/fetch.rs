//! Fetching from an archive on 127.0.0.1: the good case, resuming, and everything that goes wrong on a network.

#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use alphaengine_core::market::Timeframe;
use alphaengine_datasets::fetch::{FetchPlan, FetchReport, fetch};
use alphaengine_datasets::kind::Kind;
use support::{Asked, Fault, Server, sha256, zip_of};
use tempfile::TempDir;

const FOLDER: &str = "data/futures/um/monthly/klines/FILUSDT/1m";

fn shared_archive() -> PathBuf {
    let shared = std::env::var_os("ALPHAENGINE_SHARED_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    shared.join("archive")
}

fn plan(server: &Server, directory: &Path, from: &str, to: &str) -> FetchPlan {
    let symbols = vec!["FILUSDT".to_owned()];
    let mut plan =
        FetchPlan::new(symbols, Kind::Klines, Some(Timeframe::M1), from.parse().unwrap(), to.parse().unwrap());
    plan.base_url = server.url.clone();
    plan.directory = directory.to_owned();
    plan.show_progress = false;
    plan.backoff = Duration::from_millis(5);
    plan
}

fn name(month: &str) -> String {
    format!("FILUSDT-1m-{month}.zip")
}

fn path(month: &str) -> String {
    format!("{FOLDER}/{}", name(month))
}

/// A server with one month on it, an empty directory, and the plan that fetches the one into the other.
fn one_month() -> (Server, Vec<u8>, TempDir, FetchPlan) {
    let server = Server::start(None);
    let content = zip_of("FILUSDT-1m-2024-09.csv", 5_000);
    server.put(&path("2024-09"), content.clone());
    let directory = TempDir::new().unwrap();
    let plan = plan(&server, directory.path(), "2024-09", "2024-09");
    (server, content, directory, plan)
}

fn files_in(directory: &Path) -> Vec<String> {
    let folder = directory.join(FOLDER);
    let mut names: Vec<String> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn assert_good(directory: &Path, month: &str, content: &[u8]) {
    let file = directory.join(path(month));
    assert_eq!(sha256(&fs::read(&file).unwrap()), sha256(content));
    let checksum = fs::read_to_string(directory.join(format!("{}.CHECKSUM", path(month)))).unwrap();
    assert!(checksum.starts_with(&sha256(content)));
    assert!(!directory.join(format!("{}.part", path(month))).exists());
}

fn only_failure(report: &FetchReport) -> &str {
    assert_eq!((report.fetched, report.failed.len()), (0, 1), "{report}");
    &report.failed[0].1
}

#[test]
#[cfg_attr(not(shared_data), ignore = "no recordings: set ALPHAENGINE_SHARED_DATA")]
fn real_months_come_in_parallel_and_only_once() {
    let server = Server::start(Some(shared_archive()));
    let directory = TempDir::new().unwrap();
    let plan = plan(&server, directory.path(), "2024-08", "2024-11");

    let report = fetch(&plan).unwrap();
    assert_eq!((report.fetched, report.skipped), (3, 0), "{report}");
    assert_eq!(report.missing, [name("2024-08")]);
    assert_eq!(report.failed, []);
    let mut bytes = 0;
    for month in ["2024-09", "2024-10", "2024-11"] {
        let original = fs::read(shared_archive().join(path(month))).unwrap();
        bytes += original.len() as u64;
        assert_good(directory.path(), month, &original);
    }
    assert_eq!(report.bytes, bytes);

    server.asked();
    let again = fetch(&plan).unwrap();
    assert_eq!((again.fetched, again.skipped, again.bytes), (0, 3, 0));
    assert_eq!(again.missing.len(), 1);
    let asked = server.asked();
    assert!(asked.iter().all(|asked| asked.path.ends_with("2024-08.zip.CHECKSUM")), "{asked:?}");
}

#[test]
fn several_months_arrive_whole() {
    let server = Server::start(None);
    let directory = TempDir::new().unwrap();
    let months = ["2023-11", "2023-12", "2024-01", "2024-02", "2024-03"];
    for (i, month) in months.iter().enumerate() {
        server.put(&path(month), zip_of(&format!("FILUSDT-1m-{month}.csv"), 1_000 + i));
    }
    let report = fetch(&plan(&server, directory.path(), "2023-11", "2024-03")).unwrap();
    assert_eq!(report.fetched, 5, "{report}");
    assert_eq!(files_in(directory.path()).len(), 10);
}

#[test]
fn a_file_without_its_checksum_is_checked_and_kept() {
    let (server, content, directory, plan) = one_month();
    fs::create_dir_all(directory.path().join(FOLDER)).unwrap();
    fs::write(directory.path().join(path("2024-09")), &content).unwrap();
    let report = fetch(&plan).unwrap();
    assert_eq!((report.skipped, report.bytes), (1, 0));
    assert_eq!(server.asked().len(), 1, "the checksum only");
    assert_good(directory.path(), "2024-09", &content);
}

#[test]
fn a_file_that_was_damaged_on_disk_is_fetched_again() {
    let (_server, content, directory, plan) = one_month();
    fetch(&plan).unwrap();
    fs::write(directory.path().join(path("2024-09")), b"damaged").unwrap();
    assert_eq!(fetch(&plan).unwrap().fetched, 1);
    assert_good(directory.path(), "2024-09", &content);
}

#[test]
fn a_cut_download_is_resumed_where_it_stopped() {
    let (server, content, directory, plan) = one_month();
    server.fail(".zip", &[Fault::CutAfter(10_000), Fault::CutAfter(5_000)]);
    let report = fetch(&plan).unwrap();
    assert_eq!(report.fetched, 1, "{report}");
    assert_good(directory.path(), "2024-09", &content);
    let ranges: Vec<_> = server.asked().into_iter().filter(|a| a.path.ends_with(".zip")).map(|a| a.from).collect();
    assert_eq!(ranges, [None, Some(10_000), Some(15_000)]);
    assert_eq!(report.bytes, content.len() as u64, "no byte came twice");
}

#[test]
fn a_later_run_goes_on_from_the_part() {
    let (server, content, directory, plan) = one_month();
    server.fail(".zip", &vec![Fault::CutAfter(7_000); 5]);
    assert!(content.len() > 35_000, "five tries are not enough");
    let first = fetch(&plan).unwrap();
    assert!(only_failure(&first).contains("5 tries"), "{first}");
    assert_eq!(files_in(directory.path()), [format!("{}.part", name("2024-09"))]);
    let second = fetch(&plan).unwrap();
    assert_eq!(second.fetched + second.skipped, 1);
    assert_eq!(first.bytes + second.bytes, content.len() as u64);
    assert_good(directory.path(), "2024-09", &content);
}

#[test]
fn a_part_of_another_version_is_dropped() {
    let (server, content, directory, plan) = one_month();
    fs::create_dir_all(directory.path().join(FOLDER)).unwrap();
    let part = directory.path().join(format!("{}.part", path("2024-09")));
    fs::write(&part, vec![7; 3_000]).unwrap();
    assert_eq!(fetch(&plan).unwrap().fetched, 1);
    assert_good(directory.path(), "2024-09", &content);
    assert_eq!(server.asked().len(), 4, "twice the checksum, the rest of the file, the whole file");
}

#[test]
fn a_part_that_is_already_whole_or_too_long_is_understood() {
    for extra in [0, 100] {
        let (_server, content, directory, plan) = one_month();
        fs::create_dir_all(directory.path().join(FOLDER)).unwrap();
        let mut part = content.clone();
        part.extend(vec![0; extra]);
        fs::write(directory.path().join(format!("{}.part", path("2024-09"))), part).unwrap();
        let report = fetch(&plan).unwrap();
        assert_eq!((report.fetched, report.bytes == 0), (1, extra == 0), "{report}");
        assert_good(directory.path(), "2024-09", &content);
    }
}

#[test]
fn a_server_that_ignores_ranges_sends_the_whole_again() {
    let (server, content, directory, plan) = one_month();
    server.fail(".zip", &[Fault::CutAfter(10_000), Fault::IgnoreRange]);
    assert_eq!(fetch(&plan).unwrap().fetched, 1);
    assert_good(directory.path(), "2024-09", &content);
    assert!(server.asked().contains(&Asked { path: path("2024-09"), from: Some(10_000) }));
}

#[test]
fn a_stalled_download_is_cut_and_resumed() {
    let (server, content, directory, mut plan) = one_month();
    plan.stall = Duration::from_millis(200);
    server.fail(".zip", &[Fault::Stall]);
    assert_eq!(fetch(&plan).unwrap().fetched, 1);
    assert_good(directory.path(), "2024-09", &content);
    assert!(server.asked().contains(&Asked { path: path("2024-09"), from: Some(content.len() / 2) }));
}

#[test]
fn servers_that_are_busy_are_asked_again() {
    let (server, content, directory, plan) = one_month();
    server.fail(".CHECKSUM", &[Fault::Status("503 Service Unavailable", "")]);
    server.fail(
        ".zip",
        &[Fault::Status("503 Service Unavailable", ""), Fault::Status("429 Too Many Requests", "retry-after: 1\r\n")],
    );
    let begun = std::time::Instant::now();
    assert_eq!(fetch(&plan).unwrap().fetched, 1);
    assert!(begun.elapsed() >= Duration::from_secs(1), "the server named a wait");
    assert_good(directory.path(), "2024-09", &content);
}

#[test]
fn a_server_that_stays_busy_is_given_up() {
    let (server, _, _directory, plan) = one_month();
    server.fail(".zip", &vec![Fault::Status("500 Internal Server Error", ""); 9]);
    let report = fetch(&plan).unwrap();
    let why = only_failure(&report);
    assert!(why.contains("500") && why.contains("5 tries"), "{why}");
    assert_eq!(server.asked().len(), 6);
}

#[test]
fn a_refusal_is_not_asked_again() {
    let (server, _, _directory, plan) = one_month();
    server.fail(".zip", &[Fault::Status("403 Forbidden", "")]);
    assert!(only_failure(&fetch(&plan).unwrap()).contains("403"));
    assert_eq!(server.asked().len(), 2);
}

#[test]
fn one_corrupted_download_is_repeated() {
    let (server, content, directory, plan) = one_month();
    let mut damaged = content.clone();
    damaged[5_000] ^= 1;
    server.fail(".zip", &[Fault::Body(damaged)]);
    assert_eq!(fetch(&plan).unwrap().fetched, 1);
    assert_good(directory.path(), "2024-09", &content);
}

#[test]
fn a_file_that_never_matches_its_checksum_is_reported_and_removed() {
    let (server, content, directory, plan) = one_month();
    let wrong = "0".repeat(64);
    server.put_raw(&format!("{}.CHECKSUM", path("2024-09")), &format!("{wrong}  {}\n", name("2024-09")));
    let report = fetch(&plan).unwrap();
    let why = only_failure(&report);
    assert!(why.contains(&wrong) && why.contains(&sha256(&content)), "{why}");
    assert_eq!(files_in(directory.path()), Vec::<String>::new());
    assert_eq!(server.asked().iter().filter(|asked| asked.path.ends_with(".zip")).count(), 2);
}

#[test]
fn a_checksum_for_another_file_or_none_at_all_is_reported() {
    for text in ["<html>".to_owned(), format!("{}  OTHER.zip", "0".repeat(64)), "x".repeat(10_000)] {
        let (server, _, _directory, plan) = one_month();
        server.put_raw(&format!("{}.CHECKSUM", path("2024-09")), &text);
        assert!(only_failure(&fetch(&plan).unwrap()).contains("checksum file"));
    }
}

#[test]
fn a_damaged_zip_with_a_matching_checksum_is_reported_and_removed() {
    let mut crc = zip_of("FILUSDT-1m-2024-09.csv", 5_000);
    crc[3_000] ^= 0x10;
    let two = {
        let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        writer.start_file("a.csv", zip::write::SimpleFileOptions::default()).unwrap();
        writer.start_file("b.csv", zip::write::SimpleFileOptions::default()).unwrap();
        writer.finish().unwrap().into_inner()
    };
    for content in [b"no zip".to_vec(), Vec::new(), crc, two, zip_of("notes.txt", 10)] {
        let (server, _, directory, plan) = one_month();
        server.put(&path("2024-09"), content);
        let report = fetch(&plan).unwrap();
        assert!(only_failure(&report).contains("damaged"), "{report}");
        assert_eq!(files_in(directory.path()), Vec::<String>::new());
    }
}

#[test]
fn one_bad_month_stops_no_other() {
    let (server, _, directory, mut plan) = one_month();
    plan.from = "2024-07".parse().unwrap();
    plan.to = "2024-10".parse().unwrap();
    server.put(&path("2024-08"), b"no zip".to_vec());
    server.put(&path("2024-10"), zip_of("FILUSDT-1m-2024-10.csv", 10));
    let report = fetch(&plan).unwrap();
    assert_eq!((report.fetched, &report.missing[..]), (2, &[name("2024-07")][..]));
    assert_eq!(report.failed[0].0, name("2024-08"));
    assert_eq!(files_in(directory.path()).len(), 4);
    let text = report.to_string();
    assert!(
        text.starts_with("2 files fetched") && text.contains("not in the archive: FILUSDT-1m-2024-07.zip"),
        "{text}"
    );
}

#[test]
fn nobody_at_the_address_is_a_failure_with_a_reason() {
    let (_server, _, _directory, mut plan) = one_month();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    plan.base_url = format!("http://{free}/");
    let report = fetch(&plan).unwrap();
    assert!(only_failure(&report).contains("refused"), "{report}");
    plan.base_url = "no address".to_owned();
    assert!(only_failure(&fetch(&plan).unwrap()).contains("base URL"));
}

#[test]
fn a_place_that_cannot_be_written_is_named() {
    let (_server, _, directory, mut plan) = one_month();
    let file = directory.path().join("a-file");
    fs::write(&file, "").unwrap();
    plan.directory = file.join("below");
    let error = fetch(&plan).unwrap_err();
    assert_eq!(error.file.as_deref(), Some(plan.directory.as_path()));
    assert!(error.hint.is_some());
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_named_and_leaves_no_finished_file() {
    let (_server, _, directory, plan) = one_month();
    fs::create_dir_all(directory.path().join(FOLDER)).unwrap();
    let part = directory.path().join(format!("{}.part", path("2024-09")));
    std::os::unix::fs::symlink("/dev/full", &part).unwrap();
    let error = fetch(&plan).unwrap_err();
    assert_eq!(error.file.as_deref(), Some(part.as_path()));
    assert!(
        error.to_string().contains("cannot be written") && error.hint.unwrap().contains("space"),
        "{}",
        part.display()
    );
    assert!(!directory.path().join(path("2024-09")).exists());
}
