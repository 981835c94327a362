//! A secrets file of any content: no panic, and no error and no warning repeats a key.
#![no_main]

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use alphaengine_fuzz::secrets::{Environment, Secrets, Signing};
use libfuzzer_sys::fuzz_target;

/// Marks the values of the seeds: a text that holds it and is told to the user gave a secret away.
const MARK: &str = "Zq7Zq7";

fuzz_target!(|data: &[u8]| {
    let path = path();
    if write(path, data).is_err() {
        return;
    }
    let secrets = match Secrets::read(path) {
        Ok(secrets) => secrets,
        Err(error) => return told(&error.to_string()),
    };
    secrets.warnings().iter().for_each(|warning| told(warning));
    told(&format!("{secrets:?}"));
    // Where the private key was looked for is told, and has to be.
    let names_a_file = String::from_utf8_lossy(data).contains("private_key_file");
    for environment in [Environment::Testnet, Environment::Production] {
        match secrets.credentials(environment) {
            Ok(credentials) => {
                told(&format!("{credentials:?}"));
                let key = credentials.api_key.reveal();
                assert!(!key.is_empty() && key.is_ascii() && !key.contains(char::is_whitespace), "a key of blanks");
                if let Signing::HmacSecret(secret) = credentials.signing {
                    assert_ne!(secret.reveal(), key, "the key was taken for the secret");
                }
            }
            Err(error) if names_a_file => drop(error),
            Err(error) => told(&error.to_string()),
        }
    }
    if let Err(error) = secrets.web_secret_key() {
        told(&error.to_string());
    }
});

fn told(text: &str) {
    assert!(!text.contains(MARK), "a secret was told: {text}");
}

fn path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        folder.join(format!("alphaengine-fuzz-secrets-{}.yaml", std::process::id()))
    })
}

fn write(path: &Path, data: &[u8]) -> std::io::Result<()> {
    std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?.write_all(data)
}
