//! Secrets are read from one YAML file that nobody else may read, and are checked before anything is signed with them.
//!
//! ```yaml
//! mode: testnet
//! testnet:
//!   api_key: ...
//!   api_secret: ...
//! production:
//!   api_key: ...
//!   private_key_file: binance-ed25519.pem   # PKCS#8; relative to this file
//! web:
//!   secret_key: ...
//! ```
//!
//! No error and no warning of this module repeats a value of the file.

mod check;
mod error;
mod text;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::DecodePrivateKey;
use serde::Deserialize;
use serde::de::IgnoredAny;

pub use self::error::Error;
pub use self::text::SecretText;

/// Which exchange is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    /// Demo trading with play money (`binance-usdm.md` section 1.2).
    Testnet,
    Production,
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Environment::Testnet => "testnet",
            Environment::Production => "production",
        })
    }
}

/// What a session signs with and a driver sends.
#[derive(Debug, Clone)]
pub struct Credentials {
    pub api_key: SecretText,
    pub signing: Signing,
}

/// How requests are signed (`binance-usdm.md` section 2.2).
#[derive(Debug, Clone)]
pub enum Signing {
    /// HMAC-SHA256 with this secret.
    HmacSecret(SecretText),
    /// Ed25519 with this private key: a PKCS#8 PEM that has been decoded once to be sure of it.
    Ed25519Pem(SecretText),
}

/// The file, read but not yet asked for anything.
pub struct Secrets {
    path: PathBuf,
    file: File,
    mode: Option<Environment>,
    warnings: Vec<String>,
}

#[derive(Deserialize)]
struct File {
    mode: Option<String>,
    production: Option<Block>,
    testnet: Option<Block>,
    web: Option<Web>,
    #[serde(flatten)]
    unknown: BTreeMap<String, IgnoredAny>,
}

#[derive(Deserialize)]
struct Block {
    api_key: Option<SecretText>,
    api_secret: Option<SecretText>,
    private_key_file: Option<PathBuf>,
    #[serde(flatten)]
    unknown: BTreeMap<String, IgnoredAny>,
}

#[derive(Deserialize)]
struct Web {
    secret_key: Option<SecretText>,
    #[serde(flatten)]
    unknown: BTreeMap<String, IgnoredAny>,
}

/// Shows no name of the file either: one that is not known may be a value that slipped.
impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Secrets");
        shown.field("path", &self.path).field("mode", &self.mode).field("warnings", &self.warnings);
        shown.finish_non_exhaustive()
    }
}

impl Secrets {
    /// Reads the file and returns what is needed to trade on `environment`. Warnings are logged.
    pub fn load(path: &Path, environment: Environment) -> Result<Credentials, Error> {
        let secrets = Secrets::read(path)?;
        for warning in secrets.warnings() {
            tracing::warn!("{warning}");
        }
        secrets.credentials(environment)
    }

    /// Reads the file. Its values are checked when they are asked for.
    pub fn read(path: &Path) -> Result<Secrets, Error> {
        let text = check::private_file(path)?;
        let file: File = match serde_saphyr::from_str(text.reveal()) {
            Ok(file) => file,
            Err(error) => {
                // The error's own text quotes the file.
                let line = error.locations().map_or(0, |at| at.reference_location.line());
                return Err(Error::BadYaml { path: path.to_owned(), line });
            }
        };
        let mode = match file.mode.as_deref().map(str::trim) {
            None => None,
            Some("testnet") => Some(Environment::Testnet),
            Some("production") => Some(Environment::Production),
            Some(_) => return Err(Error::BadMode { path: path.to_owned() }),
        };
        let warnings = unknown_keys(path, &file);
        Ok(Secrets { path: path.to_owned(), file, mode, warnings })
    }

    /// What the file says under `mode`; the command line may say otherwise.
    pub fn mode(&self) -> Option<Environment> {
        self.mode
    }

    /// What is odd about the file but harmless.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The key pair for `environment`.
    pub fn credentials(&self, environment: Environment) -> Result<Credentials, Error> {
        let (block, other) = match environment {
            Environment::Testnet => (&self.file.testnet, &self.file.production),
            Environment::Production => (&self.file.production, &self.file.testnet),
        };
        let path = || self.path.clone();
        let block = block.as_ref().ok_or_else(|| Error::NoBlock { path: path(), environment })?;
        let api_key = self.value(environment, "api_key", block.api_key.as_ref())?;
        if other.as_ref().and_then(|other| other.api_key.as_ref()) == Some(&api_key) {
            return Err(Error::SameKeyTwice { path: path() });
        }
        let signing = match (&block.api_secret, &block.private_key_file) {
            (Some(_), Some(_)) => return Err(Error::TwoWaysToSign { path: path(), environment }),
            (None, Some(file)) => Signing::Ed25519Pem(self.private_key(environment, file)?),
            (secret, None) => Signing::HmacSecret(self.value(environment, "api_secret", secret.as_ref())?),
        };
        if matches!(&signing, Signing::HmacSecret(secret) if *secret == api_key) {
            return Err(Error::KeyIsSecret { path: path(), environment });
        }
        Ok(Credentials { api_key, signing })
    }

    /// What the dashboard signs its cookies with, if the file says.
    pub fn web_secret_key(&self) -> Result<Option<SecretText>, Error> {
        let Some(key) = self.file.web.as_ref().and_then(|web| web.secret_key.as_ref()) else { return Ok(None) };
        check::value(key).map(|()| Some(key.clone())).map_err(|flaw| Error::BadValue {
            path: self.path.clone(),
            block: "web".to_owned(),
            name: "secret_key",
            flaw,
        })
    }

    fn value(
        &self,
        environment: Environment,
        name: &'static str,
        value: Option<&SecretText>,
    ) -> Result<SecretText, Error> {
        let checked = match value {
            None => Err("is missing"),
            Some(value) => check::value(value).map(|()| value.clone()),
        };
        checked.map_err(|flaw| Error::BadValue { path: self.path.clone(), block: environment.to_string(), name, flaw })
    }

    fn private_key(&self, environment: Environment, file: &Path) -> Result<SecretText, Error> {
        let path = self.path.parent().unwrap_or(Path::new("")).join(file);
        let pem = match check::private_file(&path) {
            Err(Error::Missing { path }) => return Err(Error::NoPrivateKey { path, environment }),
            read => read?,
        };
        match SigningKey::from_pkcs8_pem(pem.reveal().trim()) {
            Ok(_) => Ok(pem),
            Err(_) => Err(Error::BadPrivateKey { path }),
        }
    }
}

fn unknown_keys(path: &Path, file: &File) -> Vec<String> {
    let mut warnings = Vec::new();
    let mut warn = |block: &str, keys: &BTreeMap<String, IgnoredAny>| {
        for key in keys.keys() {
            // A key that is no plain name may be a value that slipped.
            let name =
                if key.len() <= 32 && key.chars().all(|c| c == '_' || c.is_ascii_lowercase()) { key } else { "?" };
            warnings.push(format!("{}: `{block}{name}` is not known and is ignored", path.display()));
        }
    };
    warn("", &file.unknown);
    for (name, block) in [("production.", &file.production), ("testnet.", &file.testnet)] {
        if let Some(block) = block {
            warn(name, &block.unknown);
        }
    }
    if let Some(web) = &file.web {
        warn("web.", &web.unknown);
    }
    warnings
}
