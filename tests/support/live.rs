//! What the tests of live trading share: our own exchange and a bot, each a process.

#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot run should say so at once")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// Long enough for a loaded machine; nothing here waits so long unless something is broken.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub const KEY: &str = "testkey";
pub const SECRET: &str = "canary-secret-7c1f";

/// The program under test; another one where the environment names it.
fn binary() -> PathBuf {
    std::env::var_os("ALPHAENGINE_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_alphaengine").into(), PathBuf::from)
}

/// A process that is ended with its test.
pub struct Process {
    child: Child,
    pub out: PathBuf,
    pub err: PathBuf,
}

impl Process {
    pub fn start(command: &mut Command, folder: &Path, name: &str) -> Process {
        let (out, err) = (folder.join(format!("{name}.out")), folder.join(format!("{name}.err")));
        let open = |path: &Path| std::fs::File::options().create(true).append(true).open(path).unwrap();
        let child = command.stdin(Stdio::null()).stdout(open(&out)).stderr(open(&err)).spawn().unwrap();
        Process { child, out, err }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL, and wait until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        let status = Command::new("kill").args(["-TERM", &self.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        until("the process ends", || self.child.try_wait().unwrap())
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub fn stderr(&self) -> String {
        std::fs::read_to_string(&self.err).unwrap()
    }

    pub fn stdout(&self) -> String {
        std::fs::read_to_string(&self.out).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks again and again until there is an answer.
pub fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "waited {PATIENCE:?} until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Our own exchange.
pub struct Exchange {
    pub process: Process,
    pub address: String,
}

impl Exchange {
    /// Starts it on a free port with these arguments beside the key.
    pub fn start(folder: &Path, args: &[&str]) -> Exchange {
        Exchange::start_at(folder, "0", args)
    }

    pub fn start_at(folder: &Path, port: &str, args: &[&str]) -> Exchange {
        let mut command = Command::new(binary());
        command.current_dir(folder).args(["exchange", "serve", "--port", port, "--key", KEY, "--secret", SECRET]);
        let mut process = Process::start(command.args(args), folder, "exchange");
        let address = until("the exchange serves", || {
            assert!(process.is_running(), "{}", process.stderr());
            let line = process.stdout();
            let (_, rest) = line.split_once("http://")?;
            Some(rest.split_whitespace().next()?.to_owned())
        });
        Exchange { process, address }
    }

    pub fn get(&self, path: &str) -> Value {
        self.call("GET", path, "")
    }

    pub fn post(&self, path: &str, body: &str) -> Value {
        self.call("POST", path, body)
    }

    /// One request by hand.
    fn call(&self, method: &str, path: &str, body: &str) -> Value {
        let mut stream = until("the exchange answers", || TcpStream::connect(&self.address).ok());
        let host = &self.address;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut reader = BufReader::new(stream);
        let mut length = None;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = text.trim().parse::<usize>().ok();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let mut body = Vec::new();
        match length {
            Some(length) => {
                body.resize(length, 0);
                reader.read_exact(&mut body).unwrap();
            }
            None => {
                reader.read_to_end(&mut body).unwrap();
            }
        }
        serde_json::from_slice(&body)
            .unwrap_or_else(|error| panic!("{path}: {error}: {}", String::from_utf8_lossy(&body)))
    }
}

/// Writes the keys that the exchange accepts.
pub fn write_secrets(folder: &Path) -> PathBuf {
    let path = folder.join("secrets.yaml");
    let yaml = format!("mode: testnet\ntestnet:\n  api_key: {KEY}\n  api_secret: {SECRET}\n");
    std::fs::write(&path, yaml).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// Starts a bot against this exchange.
pub fn live(folder: &Path, exchange: &Exchange, args: &[&str]) -> Process {
    let secrets = write_secrets(folder);
    let mut command = Command::new(binary());
    command
        .current_dir(folder)
        .env("XDG_RUNTIME_DIR", folder)
        .args(["live", "--testnet", "--secrets"])
        .arg(secrets)
        .args(["--store", "live.db"])
        .args(["--rest-url", &format!("http://{}", exchange.address)])
        .args(["--ws-url", &format!("ws://{}", exchange.address)]);
    Process::start(command.args(args), folder, "live")
}

/// A generator of numbers that are the same in every run.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}
