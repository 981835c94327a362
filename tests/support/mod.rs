//! What the tests of the command share: a folder of its own, and the command in it.

#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot run should say so at once")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// Recordings for tests, or nothing where they are not.
pub fn shared_data(path: &str) -> PathBuf {
    let root = std::env::var_os("ALPHAENGINE_SHARED_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    root.join(path)
}

/// A folder in which the command runs.
pub struct Desk {
    folder: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ended {
    pub fn of(command: &mut Command) -> Ended {
        let Output { status, stdout, stderr } = command.output().unwrap();
        Ended {
            code: status.code().unwrap_or_else(|| panic!("{command:?} was ended by a signal: {status}")),
            out: String::from_utf8(stdout).unwrap(),
            err: String::from_utf8(stderr).unwrap(),
        }
    }

    /// Whether this is how the command says that it could not do something.
    pub fn check_refusal(&self, case: &str) {
        assert_eq!((self.code, self.out.as_str()), (2, ""), "{case}: {self:?}");
        let lines: Vec<&str> = self.err.lines().collect();
        let is_sentence = match lines.as_slice() {
            [error] => error.starts_with("error: "),
            [error, hint] => error.starts_with("error: ") && hint.starts_with("hint: "),
            _ => false,
        };
        assert!(is_sentence, "{case}: not a sentence and perhaps a hint:\n{}", self.err);
        let is_plain = self.err.chars().all(|c| c == '\n' || !c.is_control());
        assert!(is_plain, "{case}: control characters in {:?}", self.err);
    }
}

/// A row of a database.
pub type Row = Vec<rusqlite::types::Value>;

/// The rows of a query, read without the code under test.
pub fn rows(store: &Path, sql: &str) -> Vec<Row> {
    let connection = rusqlite::Connection::open(store).unwrap();
    let mut statement = connection.prepare(sql).unwrap();
    let width = statement.column_count();
    let rows = statement.query_map([], |row| (0..width).map(|index| row.get(index)).collect()).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

impl Desk {
    pub fn new() -> Desk {
        Desk { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file and the folders that it needs.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_alphaengine"));
        command.args(args).current_dir(self.folder.path()).env_remove("RUST_BACKTRACE");
        command
    }

    pub fn run(&self, args: &[&str]) -> Ended {
        Ended::of(&mut self.command(args))
    }

    /// Runs what has to succeed and returns what it printed.
    pub fn ok(&self, args: &[&str]) -> String {
        let ended = self.run(args);
        assert_eq!(ended.code, 0, "{args:?}: {ended:?}");
        ended.out
    }

    /// Runs what cannot be done, and gives what it said. However it fails: it exits with 2, says one sentence and at most one
    /// hint, prints no result, and leaves the files as they were.
    pub fn refusal(&self, args: &[&str]) -> String {
        let before = self.files();
        let ended = self.run(args);
        ended.check_refusal(&format!("{args:?}"));
        assert_eq!(self.files(), before, "{args:?} left something behind; it said {:?}", ended.err);
        ended.err
    }

    /// Runs a backtest with `--json`.
    pub fn json(&self, args: &[&str]) -> Value {
        let args = [&["backtest", "--json"], args].concat();
        serde_json::from_str(&self.ok(&args)).unwrap()
    }

    /// The files in the folder and below it, by name. Empty folders are no trace of anything.
    pub fn files(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                names.push(path.strip_prefix(self.folder.path()).unwrap().display().to_string());
            }
        }
        names.sort();
        names
    }
}
