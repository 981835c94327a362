//! The process around the driver: signals, the service manager, and logs that never stop the program.
//!
//! What concerns a whole process runs in a child: this test program again, with the same test, which then plays the child.
#![cfg(unix)]
#![allow(clippy::disallowed_methods, reason = "sockets and processes live in real time")]
#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixDatagram;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use alphaengine_live::driver::{Arrival, Driver, DriverConfig, Received, Stop};
use alphaengine_live::logging::{Format, LogConfig, LogGuard, LogLayer, init, layer};
use alphaengine_live::service::ServiceManager;
use serde_json::Value;
use tracing::Level;
use tracing_subscriber::layer::SubscriberExt;

const PATIENCE: Duration = Duration::from_secs(20);

/// Whether this process was started by a test to be looked at.
fn is_child() -> bool {
    std::env::var_os("ALPHAENGINE_TEST_CHILD").is_some()
}

fn child(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]);
    command.env("ALPHAENGINE_TEST_CHILD", "1").stdout(Stdio::piped()).stderr(Stdio::null()).stdin(Stdio::null());
    command
}

/// A running child whose lines can be waited for.
struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(mut command: Command) -> Running {
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Running { child, lines }
    }

    /// Reads until the child says `word`.
    fn wait_for(&mut self, word: &str) {
        for line in &mut self.lines {
            if line.unwrap().contains(word) {
                return;
            }
        }
        panic!("the child ended without saying `{word}`");
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.child.id())]).status().unwrap();
        assert!(sent.success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn child_that_tells_signals() {
    let mut config = DriverConfig::new("http://127.0.0.1:1");
    config.signals = true;
    let (_driver, inbox) = Driver::start(config).unwrap();
    println!("signals are caught");
    loop {
        match inbox.recv_until(Some(Instant::now() + PATIENCE)) {
            Received::Arrival(_, Arrival::Signal(Stop::InOrder)) => println!("stop in order"),
            Received::Arrival(_, Arrival::Signal(Stop::AtOnce)) => println!("stop at once"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_first_signal_stops_in_order_the_second_at_once_and_the_third_ends_the_process() {
    if is_child() {
        return child_that_tells_signals();
    }
    for [first, second, third] in [["TERM", "TERM", "TERM"], ["INT", "TERM", "INT"]] {
        let mut running =
            Running::start(child("the_first_signal_stops_in_order_the_second_at_once_and_the_third_ends_the_process"));
        running.wait_for("signals are caught");
        running.signal(first);
        running.wait_for("stop in order");
        running.signal(second);
        running.wait_for("stop at once");
        running.signal(third);
        assert_eq!(running.child.wait().unwrap().code(), Some(130));
    }
}

fn child_that_notifies() {
    let mut manager = ServiceManager::from_environment();
    manager.ready();
    manager.status("streams connected");
    let mut pets = 0;
    while pets < 3 {
        let before = manager.next_pet();
        manager.pet(Instant::now());
        if manager.next_pet() == before {
            std::thread::sleep(before.unwrap().saturating_duration_since(Instant::now()));
        } else {
            pets += 1;
        }
    }
    manager.stopping();
}

#[test]
fn the_service_manager_hears_of_readiness_status_life_and_the_stop() {
    if is_child() {
        return child_that_notifies();
    }
    let dir = tempfile::TempDir::new().unwrap();
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = child("the_service_manager_hears_of_readiness_status_life_and_the_stop");
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "100000").env_remove("WATCHDOG_PID");
    let start = Instant::now();
    let mut running = Running::start(command);
    let next = || {
        let mut bytes = [0; 256];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..length].to_vec()).unwrap().trim().to_owned()
    };
    assert_eq!(next(), "READY=1");
    assert_eq!(next(), "STATUS=streams connected");
    for _ in 0..3 {
        assert_eq!(next(), "WATCHDOG=1");
    }
    assert!(start.elapsed() >= Duration::from_millis(100), "petted more often than at half of 100 ms");
    assert_eq!(next(), "STOPPING=1");
    assert!(running.child.wait().unwrap().success());
}

#[test]
fn without_a_service_manager_nothing_happens() {
    if is_child() {
        return child_that_is_watched_by_nobody();
    }
    let mut running = Running::start({
        let mut command = child("without_a_service_manager_nothing_happens");
        command.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC");
        command
    });
    running.wait_for("nobody watches");
    assert!(running.child.wait().unwrap().success());
}

fn child_that_is_watched_by_nobody() {
    let mut manager = ServiceManager::from_environment();
    manager.ready();
    manager.pet(Instant::now());
    manager.stopping();
    assert_eq!(manager.next_pet(), None);
    println!("nobody watches");
}

fn child_that_logs_a_lot() {
    let guard = init(LogConfig { format: Format::Json, level: Level::INFO }).unwrap();
    for n in 0..10_000 {
        tracing::warn!("line {n}");
    }
    drop(guard);
    println!("the work is done");
}

#[test]
fn a_standard_error_that_is_closed_or_full_does_not_stop_the_program() {
    if is_child() {
        return child_that_logs_a_lot();
    }
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let full = File::options().write(true).open("/dev/full").unwrap();
    for stderr in [Stdio::from(writer), Stdio::from(full)] {
        let mut command = child("a_standard_error_that_is_closed_or_full_does_not_stop_the_program");
        command.stderr(stderr);
        let mut running = Running::start(command);
        running.wait_for("the work is done");
        assert!(running.child.wait().unwrap().success());
    }
}

/// A log that can be read back.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Memory {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn logged(format: Format, level: Level, what: impl FnOnce()) -> String {
    let memory = Memory::default();
    let (layer, guard): (LogLayer, LogGuard) = layer(LogConfig { format, level }, Box::new(memory.clone())).unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), what);
    drop(guard);
    memory.text()
}

#[test]
fn a_line_for_people_has_time_level_message_and_fields() {
    let text = logged(Format::Human { colour: false, over_status: false }, Level::INFO, || {
        tracing::warn!(target: "alphaengine", socket = 3, why = "closed by the server", ok = true, "a stream is down");
    });
    let (time, rest) = text.split_once(' ').unwrap();
    assert_eq!((time.len(), &time[10..11], &time[23..]), (24, "T", "Z"), "{text}");
    assert_eq!(rest, "WARN  a stream is down socket=3 why=\"closed by the server\" ok=true\n");
}

#[test]
fn a_line_takes_the_place_of_the_status_line() {
    let text = logged(Format::Human { colour: false, over_status: true }, Level::INFO, || {
        tracing::info!(target: "alphaengine", "ready");
    });
    assert!(text.starts_with("\r\u{1b}[2K20"), "{text:?}");
}

#[test]
fn a_line_for_machines_is_one_object() {
    let text = logged(Format::Json, Level::INFO, || {
        tracing::info!(target: "alphaengine", socket = 3u64, n = -1, ok = true, x = 0.5, time = "t", "two\nlines \"quoted\"");
    });
    assert_eq!(text.lines().count(), 1);
    let object: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(object["level"], "INFO");
    assert_eq!(object["target"], "alphaengine");
    assert_eq!(object["message"], "two\nlines \"quoted\"");
    assert_eq!(
        (&object["socket"], &object["n"], &object["ok"], &object["x"]),
        (&3.into(), &(-1).into(), &true.into(), &0.5.into())
    );
    assert_eq!(object["field_time"], "t");
    assert!(object["time"].as_str().unwrap().ends_with('Z'));
}

#[test]
fn what_steers_a_terminal_or_feigns_a_line_is_escaped() {
    let text = logged(Format::Human { colour: false, over_status: false }, Level::INFO, || {
        tracing::warn!(body = "\u{1b}[2J", "first\n2026-01-01T00:00:00.000Z ERROR feigned");
    });
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(!text.contains('\u{1b}') && text.contains("first\\n2026"), "{text}");
}

#[test]
fn libraries_are_heard_from_warn_on_and_the_house_from_the_chosen_level() {
    let text = logged(Format::Human { colour: false, over_status: false }, Level::DEBUG, || {
        tracing::debug!(target: "hyper_util::client", "library detail");
        tracing::info!(target: "hyper_util::client", "library news");
        tracing::warn!(target: "hyper_util::client", "library warning");
        tracing::debug!(target: "alphaengine_live::driver", "own detail");
        tracing::trace!(target: "alphaengine_live::driver", "own trace");
    });
    let said: Vec<&str> = text.lines().map(|line| &line[31..]).collect();
    assert_eq!(said, ["library warning", "own detail"]);
}

#[test]
fn repeats_are_said_once_with_how_many_more_there_were() {
    for format in [Format::Human { colour: false, over_status: false }, Format::Json] {
        let text = logged(format, Level::INFO, || {
            for _ in 0..1_000 {
                tracing::warn!(socket = 1, "the stream is down");
            }
            tracing::warn!(socket = 2, "the stream is down");
        });
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(
            text.lines().last().unwrap().contains("the stream is down socket=1 (and 999 more in the last 10 s)"),
            "{text}"
        );
    }
}

#[test]
fn a_reader_that_stopped_holds_nobody_up_and_what_is_left_out_is_counted() {
    /// Writes nothing until it is let go.
    struct Stuck(Receiver<()>, Memory);
    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _ = self.0.recv();
            self.1.write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let (let_go, stuck) = channel();
    let memory = Memory::default();
    let config = LogConfig { format: Format::Json, level: Level::INFO };
    let (layer, guard) = layer(config, Box::new(Stuck(stuck, memory.clone()))).unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
        for n in 0..10_000 {
            tracing::warn!("line {n}");
        }
    });
    drop(let_go); // From here on nothing sticks.
    drop(guard);
    let text = memory.text();
    let note = text.lines().find(|line| line.contains("log lines were left out")).unwrap();
    let note: Value = serde_json::from_str(note).unwrap();
    let left_out: usize = note["message"].as_str().unwrap().split(' ').next().unwrap().parse().unwrap();
    let said = text.lines().filter(|line| line.contains("\"line ")).count();
    assert_eq!(said + left_out, 10_000);
}
