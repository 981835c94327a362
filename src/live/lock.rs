//! An AccountLock keeps a second bot of this machine off an account, whatever store it names.

use std::fs::{File, TryLockError};
use std::path::PathBuf;

use crate::backtest::digest;
use crate::error::Error;

/// Held while a session runs.
#[derive(Debug)]
pub struct AccountLock {
    _file: File,
}

impl AccountLock {
    /// Takes the lock of the account that this key belongs to, at this host.
    pub fn take(host: &str, api_key: &str) -> Result<AccountLock, Error> {
        let name = format!("alphaengine-{}.lock", &digest(&format!("{host} {api_key}"))[..16]);
        let path = directory().join(name);
        let problem = |error: std::io::Error| {
            Error::new(format!("{}: the account's lock cannot be made: {error}", path.display()))
                .hint("check that the directory exists and can be written")
        };
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(problem)?;
        match file.try_lock() {
            Ok(()) => Ok(AccountLock { _file: file }),
            Err(TryLockError::WouldBlock) => {
                Err(Error::new("another bot of this machine trades this account: two would fight over its orders")
                    .hint("stop the other one, or give this one a key of another account"))
            }
            Err(TryLockError::Error(error)) => Err(problem(error)),
        }
    }
}

fn directory() -> PathBuf {
    std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::AccountLock;

    #[test]
    fn an_account_is_traded_by_one_bot() {
        let first = AccountLock::take("https://host.test", "lock-test-key").unwrap();
        let refused = AccountLock::take("https://host.test", "lock-test-key").unwrap_err();
        assert!(refused.message().contains("another bot"), "{refused}");
        assert!(AccountLock::take("https://other.test", "lock-test-key").is_ok(), "another host is another account");
        drop(first);
        assert!(AccountLock::take("https://host.test", "lock-test-key").is_ok());
    }
}
