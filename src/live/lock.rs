//! An AccountLock keeps a second bot of this machine off an account, whatever store it names.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::backtest::digest;
use crate::error::Error;

/// Held while a session runs.
#[derive(Debug)]
pub struct AccountLock {
    _files: Vec<File>,
}

impl AccountLock {
    /// Takes the lock of the account that this key belongs to, at this host: a file beside the one with the key, which a service and
    /// a shell both see, and one in the directory for such files, which bots with copies of the key share. Where one of the two
    /// cannot be made, the other has to do.
    pub fn take(secrets: &Path, host: &str, api_key: &str) -> Result<AccountLock, Error> {
        let account = &digest(&format!("{host} {api_key}"))[..16];
        let shared = directory().join(format!("alphaengine-{account}.lock"));
        let paths = [beside(secrets, account), shared];
        let mut files = Vec::with_capacity(paths.len());
        let mut problem = None;
        for path in &paths {
            match try_take(path) {
                Ok(Some(file)) => files.push(file),
                Ok(None) => {
                    let problem = "another bot of this machine trades this account: two would fight over its orders";
                    return Err(
                        Error::new(problem).hint("stop the other one, or give this one a key of another account")
                    );
                }
                Err(error) => problem = Some((path, error)),
            }
        }
        match problem {
            Some((path, error)) if files.is_empty() => {
                Err(Error::new(format!("{}: the account's lock cannot be made: {error}", path.display()))
                    .hint("check that the directory exists and can be written"))
            }
            _ => Ok(AccountLock { _files: files }),
        }
    }
}

/// The lock of a file; `None` where somebody else has it.
fn try_take(path: &Path) -> io::Result<Option<File>> {
    let mut options = File::options();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let made = options.open(path);
    // A service may see a directory that it cannot write, and in it the file that a shell made: reading is enough to lock it.
    let file = match made {
        Ok(file) => file,
        Err(error) => File::open(path).map_err(|_| error)?,
    };
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Beside the file itself, not beside a link to it. One file may hold the keys of several accounts, so each has a lock of its own.
fn beside(secrets: &Path, account: &str) -> PathBuf {
    let mut name = std::fs::canonicalize(secrets).unwrap_or_else(|_| secrets.to_owned()).into_os_string();
    name.push(format!(".{account}.lock"));
    name.into()
}

fn directory() -> PathBuf {
    std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::AccountLock;
    #[cfg(unix)]
    use super::{beside, try_take};

    #[test]
    fn an_account_is_traded_by_one_bot() {
        let folder = tempfile::tempdir().unwrap();
        let (secrets, copy) = (folder.path().join("secrets.yaml"), folder.path().join("copy.yaml"));
        let first = AccountLock::take(&secrets, "https://host.test", "lock-test-key").unwrap();
        for file in [&secrets, &copy] {
            let refused = AccountLock::take(file, "https://host.test", "lock-test-key").unwrap_err();
            assert!(refused.message().contains("another bot"), "{refused}");
        }
        let other = AccountLock::take(&secrets, "https://other.test", "lock-test-key");
        assert!(other.is_ok(), "another host is another account");
        drop(first);
        assert!(AccountLock::take(&secrets, "https://host.test", "lock-test-key").is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn a_bot_that_has_another_directory_for_locks_is_seen_beside_the_key() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let (secrets, link) = (folder.path().join("secrets.yaml"), folder.path().join("link.yaml"));
        std::fs::write(&secrets, "").unwrap();
        std::os::unix::fs::symlink(&secrets, &link).unwrap();
        let account = &crate::backtest::digest("https://host.test lock-beside-key")[..16];
        // What a service holds whose temporary directory is its own.
        let path = beside(&secrets, account);
        let held = try_take(&path).unwrap().unwrap();
        assert_eq!(held.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        for file in [&secrets, &link] {
            let refused = AccountLock::take(file, "https://host.test", "lock-beside-key").unwrap_err();
            assert!(refused.message().contains("another bot"), "{refused}");
        }
        drop(held);
        assert!(AccountLock::take(&secrets, "https://host.test", "lock-beside-key").is_ok());
    }

    #[test]
    fn where_nothing_can_be_made_beside_the_key_the_other_directory_does() {
        let nowhere = Path::new("/nowhere/at/all/secrets.yaml");
        let first = AccountLock::take(nowhere, "https://host.test", "lock-nowhere-key").unwrap();
        assert!(AccountLock::take(nowhere, "https://host.test", "lock-nowhere-key").is_err());
        drop(first);
    }
}
