//! What can be wrong with the secrets file, each with what to do. No message repeats a value of the file.

use std::path::PathBuf;

use super::Environment;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "no file {}: create it (chmod 600) with\nmode: testnet\ntestnet:\n  api_key: YOUR_KEY\n  api_secret: YOUR_SECRET\n(keys for the testnet are made at demo.binance.com)",
        path.display()
    )]
    Missing { path: PathBuf },
    #[error("{} is a directory: give the path of the file in it", path.display())]
    Directory { path: PathBuf },
    #[error("{} cannot be read ({source}): run as its owner, or chown it to the user that runs the program", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("{} may be read by others (mode {mode:03o}): run `chmod 600 {}`", path.display(), path.display())]
    TooOpen { path: PathBuf, mode: u32 },
    #[error("{} is too long or not text: it should be a few lines of UTF-8", path.display())]
    NotText { path: PathBuf },
    #[error("{}: line {line} is not what is expected there: check indentation, colons and quotes, and that each name stands once", path.display())]
    BadYaml { path: PathBuf, line: u64 },
    #[error("{}: `mode` must be `testnet` or `production`", path.display())]
    BadMode { path: PathBuf },
    #[error("{} has no block `{environment}:`: add it with api_key and api_secret, or choose the other mode", path.display())]
    NoBlock { path: PathBuf, environment: Environment },
    #[error("{}: {block}.{name} {flaw}: copy the value from Binance's API management page, in one line", path.display())]
    BadValue { path: PathBuf, block: String, name: &'static str, flaw: &'static str },
    #[error("{}: production and testnet have one key in common, and a key works in one of them only: put each key in its own block", path.display())]
    SameKeyTwice { path: PathBuf },
    #[error("{}: {environment}.api_key and {environment}.api_secret are equal: one was pasted twice", path.display())]
    KeyIsSecret { path: PathBuf, environment: Environment },
    #[error("{}: {environment} has both api_secret and private_key_file: keep the one that belongs to the key", path.display())]
    TwoWaysToSign { path: PathBuf, environment: Environment },
    #[error("no file {}, which {environment}.private_key_file names: give its path, absolute or relative to the secrets file", path.display())]
    NoPrivateKey { path: PathBuf, environment: Environment },
    #[error(
        "{} is not an Ed25519 private key in PKCS#8 PEM without a passphrase: make one with `openssl genpkey -algorithm ed25519 -out {}`",
        path.display(), path.display()
    )]
    BadPrivateKey { path: PathBuf },
}
