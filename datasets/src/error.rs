//! What can be wrong with data: each error is a sentence with the place and, where there is one, a next step.

use std::path::{Path, PathBuf};

/// What went wrong, where, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{}{problem}", place(.file.as_deref(), *.row))]
pub struct Error {
    pub file: Option<PathBuf>,
    /// Counted from 1, a header included: the line of a CSV file.
    pub row: Option<u64>,
    pub problem: String,
    pub hint: Option<String>,
}

impl Error {
    pub fn new(problem: impl Into<String>) -> Error {
        Error { file: None, row: None, problem: problem.into(), hint: None }
    }

    #[must_use]
    pub fn file(mut self, file: &Path) -> Error {
        self.file = Some(file.to_owned());
        self
    }

    #[must_use]
    pub fn row(mut self, row: u64) -> Error {
        self.row = Some(row);
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.hint = Some(hint.into());
        self
    }
}

fn place(file: Option<&Path>, row: Option<u64>) -> String {
    match (file, row) {
        (Some(file), Some(row)) => format!("{}: row {row}: ", file.display()),
        (Some(file), None) => format!("{}: ", file.display()),
        (None, Some(row)) => format!("row {row}: "),
        (None, None) => String::new(),
    }
}
