//! Checks on files and values, before they are trusted.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use super::{Error, SecretText};

/// No secrets file and no key is longer than this.
const LONGEST: u64 = 64 * 1024;

/// Reads a file that only its owner may read.
pub(super) fn private_file(path: &Path) -> Result<SecretText, Error> {
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Error::Missing { path: path.to_owned() },
        _ => Error::Unreadable { path: path.to_owned(), source },
    };
    let about = fs::metadata(path).map_err(unreadable)?;
    if about.is_dir() {
        return Err(Error::Directory { path: path.to_owned() });
    }
    // A pipe or device would have to be waited for.
    if !about.is_file() || about.len() > LONGEST {
        return Err(Error::NotText { path: path.to_owned() });
    }
    only_owner(path, &about)?;
    let mut text = String::new();
    let opened = fs::File::open(path).map_err(unreadable)?;
    match opened.take(LONGEST).read_to_string(&mut text) {
        Ok(_) => Ok(SecretText::new(text)),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(Error::NotText { path: path.to_owned() }),
        Err(error) => Err(unreadable(error)),
    }
}

#[cfg(unix)]
fn only_owner(path: &Path, about: &fs::Metadata) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;
    let mode = about.permissions().mode() & 0o777;
    if mode & !0o600 != 0 { Err(Error::TooOpen { path: path.to_owned(), mode }) } else { Ok(()) }
}

#[cfg(not(unix))]
fn only_owner(_: &Path, _: &fs::Metadata) -> Result<(), Error> {
    Ok(())
}

/// What is wrong with a key or secret, if anything.
pub(super) fn value(value: &SecretText) -> Result<(), &'static str> {
    let text = value.reveal();
    if text.trim().is_empty() {
        return Err("is empty");
    }
    if is_placeholder(text) {
        return Err("is still a placeholder");
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("holds a space or a line break");
    }
    if !text.is_ascii() {
        return Err("holds characters that no key has");
    }
    Ok(())
}

fn is_placeholder(text: &str) -> bool {
    let lower = text.trim().to_ascii_lowercase();
    let plain: String = lower.chars().filter(char::is_ascii_alphanumeric).collect();
    // Binance's keys are 64 letters and digits; one may well begin with `xxx`.
    if plain.len() == lower.len() && plain.len() == 64 && plain.chars().any(|c| c != 'x') {
        return false;
    }
    let filler = plain.chars().all(|c| c == 'x') || plain.starts_with("xxx");
    let bracketed =
        [('<', '>'), ('{', '}'), ('[', ']')].iter().any(|&(a, b)| lower.starts_with(a) && lower.ends_with(b));
    let told = ["your", "changeme", "replaceme", "replacewith", "placeholder", "todo", "fillme", "insert", "paste"];
    filler || bracketed || lower.starts_with('$') || told.iter().any(|word| plain.starts_with(word))
}
