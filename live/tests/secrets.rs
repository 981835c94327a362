//! Secrets: one sentence with a next step for each flaw of the file, and no value of the file in anything anyone sees.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot run should say so at once")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use alphaengine_live::driver::{Driver, DriverConfig};
use alphaengine_live::logging::{Format, LogConfig, layer};
use alphaengine_live::secrets::{Credentials, Environment, Secrets, Signing};
use tempfile::TempDir;
use tracing::Level;
use tracing_subscriber::layer::SubscriberExt;

/// As long as a real key, and easy to search for.
const CANARY_KEY: &str = "CANARYkeyCANARYkeyCANARYkeyCANARYkeyCANARYkeyCANARYkeyCANARYkey1";
const CANARY_SECRET: &str = "CANARYsecretCANARYsecretCANARYsecretCANARYsecretCANARYsecretCAN2";

/// RFC 8410 section 10.3.
const ED25519: &str = "-----BEGIN PRIVATE KEY-----\n\
    MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
    -----END PRIVATE KEY-----\n";

struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Place {
        Place { dir: TempDir::new().unwrap() }
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.dir.path().join(name);
        let _ = fs::remove_file(&path); // It may not be writable any more.
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn secrets(&self, text: &str) -> PathBuf {
        self.write("secrets.yaml", text, 0o600)
    }
}

fn refusal(path: &Path) -> String {
    Secrets::load(path, Environment::Testnet).map(|_| ()).unwrap_err().to_string()
}

/// A file with this text is refused for the testnet with all of these words, and repeats no canary.
#[track_caller]
fn refused(text: &str, words: &[&str]) {
    let place = Place::new();
    let error = refusal(&place.secrets(text));
    for word in words {
        assert!(error.contains(word), "`{word}` is missing in: {error}");
    }
    assert!(error.contains("secrets.yaml"), "no path in: {error}");
    assert!(!error.contains("CANARY"), "{error}");
}

fn pair(key: &str, secret: &str) -> String {
    format!("testnet:\n  api_key: {key}\n  api_secret: {secret}\n")
}

#[test]
fn a_good_file_gives_the_pair_of_the_chosen_environment_only() {
    let place = Place::new();
    let path = place.secrets(&format!(
        "mode: testnet\n{}production:\n  api_key: prodkey\n  api_secret: prodsecret\nweb:\n  secret_key: cookie\n",
        pair(CANARY_KEY, CANARY_SECRET)
    ));
    let secrets = Secrets::read(&path).unwrap();
    assert_eq!(secrets.mode(), Some(Environment::Testnet));
    assert!(secrets.warnings().is_empty());
    assert_eq!(secrets.web_secret_key().unwrap().unwrap().reveal(), "cookie");
    let testnet = secrets.credentials(Environment::Testnet).unwrap();
    assert_eq!(testnet.api_key.reveal(), CANARY_KEY);
    assert!(matches!(&testnet.signing, Signing::HmacSecret(secret) if secret.reveal() == CANARY_SECRET));
    assert_eq!(secrets.credentials(Environment::Production).unwrap().api_key.reveal(), "prodkey");
}

#[test]
fn a_key_of_digits_stays_a_text() {
    let place = Place::new();
    let credentials = Secrets::load(&place.secrets(&pair("0123", "\"0456\"")), Environment::Testnet).unwrap();
    assert_eq!(credentials.api_key.reveal(), "0123");
}

#[test]
fn an_ed25519_key_file_is_found_beside_the_secrets_file() {
    let place = Place::new();
    place.write("key.pem", ED25519, 0o400);
    let path = place.secrets("testnet:\n  api_key: k1\n  private_key_file: key.pem\n");
    let credentials = Secrets::load(&path, Environment::Testnet).unwrap();
    assert!(matches!(&credentials.signing, Signing::Ed25519Pem(pem) if pem.reveal() == ED25519));
}

#[test]
fn a_missing_file_is_shown_with_its_path_and_an_example() {
    let place = Place::new();
    let error = refusal(&place.dir.path().join("config/secrets.yaml"));
    for word in ["config/secrets.yaml", "mode: testnet", "api_key:", "api_secret:", "chmod 600"] {
        assert!(error.contains(word), "{error}");
    }
}

#[test]
fn a_directory_is_named_as_one() {
    assert!(refusal(Place::new().dir.path()).contains("is a directory"));
}

#[test]
fn a_file_that_others_may_read_is_refused_with_the_command_that_helps() {
    let place = Place::new();
    for mode in [0o644, 0o640, 0o604, 0o660, 0o700, 0o602] {
        let path = place.write("secrets.yaml", &pair("k1", "s1"), mode);
        let error = refusal(&path);
        assert!(error.contains(&format!("chmod 600 {}", path.display())), "{error}");
        assert!(error.contains(&format!("{mode:o}")), "{error}");
    }
    for mode in [0o600, 0o400] {
        Secrets::load(&place.write("good.yaml", &pair("k1", "s1"), mode), Environment::Testnet).unwrap();
    }
}

#[test]
fn a_file_that_cannot_be_read_says_whose_it_must_be() {
    let place = Place::new();
    let path = place.write("secrets.yaml", &pair("k1", "s1"), 0o000);
    // The superuser reads everything.
    if fs::read(&path).is_err() {
        assert!(refusal(&path).contains("chown"));
    }
}

#[test]
fn bad_yaml_is_refused_with_its_line() {
    for (text, line) in [
        (format!("mode: testnet\ntestnet:\n  api_key: {CANARY_KEY}\n api_secret: [\n"), "line "),
        (format!("mode: testnet\ntestnet: {CANARY_KEY}\n"), "line 2"),
        (format!("testnet:\n  api_key: [{CANARY_KEY}]\n"), "line 2"),
        (format!("testnet:\n  api_key: {CANARY_KEY}\n  api_key: {CANARY_SECRET}\n"), "line 3"),
        (format!("testnet:\n  api_key: \"{CANARY_KEY}\n"), "line "),
        (CANARY_KEY.to_owned(), "line 1"),
    ] {
        refused(&text, &[line, "check indentation"]);
    }
}

#[test]
fn a_file_that_is_no_text_or_far_too_long_is_refused() {
    let place = Place::new();
    let path = place.secrets(&"# long\n".repeat(20_000));
    assert!(refusal(&path).contains("too long or not text"));
    fs::write(&path, [0xff, 0xfe, 0x00]).unwrap();
    assert!(refusal(&path).contains("too long or not text"));
}

#[test]
fn placeholders_are_told_from_keys() {
    for value in [
        "YOUR_API_KEY",
        "your-key-here",
        "<key>",
        "\"<your key>\"",
        "xxx",
        "XXXXXXXX",
        "changeme",
        "CHANGE_ME",
        "replace_me",
        "\"...\"",
        "${KEY}",
        "\"[key]\"",
        "todo",
    ] {
        refused(&pair(value, CANARY_SECRET), &["testnet.api_key is still a placeholder", "API management"]);
        refused(&pair(CANARY_KEY, value), &["testnet.api_secret is still a placeholder"]);
    }
    let real = format!("xxx{}", &CANARY_KEY[3..]);
    let place = Place::new();
    Secrets::load(&place.secrets(&pair(&real, CANARY_SECRET)), Environment::Testnet).unwrap();
}

#[test]
fn empty_missing_and_broken_values_are_refused() {
    refused(&pair("\"\"", CANARY_SECRET), &["testnet.api_key is empty"]);
    refused(&pair("\"  \"", CANARY_SECRET), &["testnet.api_key is empty"]);
    refused(&pair("", CANARY_SECRET), &["testnet.api_key is"]);
    refused("testnet:\n  api_key: k1\n", &["testnet.api_secret is missing"]);
    refused(&format!("testnet:\n  api_secret: {CANARY_SECRET}\n"), &["testnet.api_key is missing"]);
    refused(&pair("\"CANARY key\"", CANARY_SECRET), &["testnet.api_key holds a space or a line break"]);
    refused(&pair("\"CANARY\\n\"", CANARY_SECRET), &["testnet.api_key holds a space or a line break"]);
    refused(&pair("CANARYé", CANARY_SECRET), &["testnet.api_key holds characters that no key has"]);
}

#[test]
fn the_block_of_the_chosen_environment_must_be_there() {
    refused("mode: testnet\nproduction:\n  api_key: k\n  api_secret: s\n", &["no block `testnet:`", "other mode"]);
    refused("mode: testnet\ntestnet:\n", &["no block `testnet:`"]);
    refused("", &["no block `testnet:`"]);
    refused("mode: live\n", &["`mode` must be `testnet` or `production`"]);
}

#[test]
fn one_key_in_both_blocks_is_refused() {
    let text = format!("{}production:\n  api_key: {CANARY_KEY}\n  api_secret: s2\n", pair(CANARY_KEY, CANARY_SECRET));
    refused(&text, &["key in common"]);
}

#[test]
fn a_key_that_is_its_own_secret_is_refused() {
    refused(&pair(CANARY_KEY, CANARY_KEY), &["pasted twice"]);
}

#[test]
fn a_private_key_file_must_be_there_private_and_ed25519() {
    let place = Place::new();
    let path = place.secrets("testnet:\n  api_key: k1\n  private_key_file: key.pem\n");
    assert!(refusal(&path).contains("testnet.private_key_file names"));
    place.write("key.pem", ED25519, 0o644);
    assert!(refusal(&path).contains("chmod 600"));
    for bad in [
        "",
        CANARY_SECRET,
        &ED25519.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY"),
        &ED25519.replace("PRIVATE KEY", "RSA PRIVATE KEY"),
        &ED25519[..60],
    ] {
        place.write("key.pem", bad, 0o600);
        let error = refusal(&path);
        assert!(error.contains("openssl genpkey -algorithm ed25519") && !error.contains("CANARY"), "{error}");
    }
    let both = format!("testnet:\n  api_key: k1\n  api_secret: {CANARY_SECRET}\n  private_key_file: key.pem\n");
    refused(&both, &["both api_secret and private_key_file"]);
}

#[test]
fn unknown_names_are_tolerated_with_a_warning() {
    let place = Place::new();
    let text = format!(
        "{}  api_kye: {CANARY_KEY}\nnotes: {{a: [1, 2]}}\nweb:\n  port: 80\n{CANARY_SECRET}: 1\n",
        pair(CANARY_KEY, CANARY_SECRET)
    );
    let secrets = Secrets::read(&place.secrets(&text)).unwrap();
    secrets.credentials(Environment::Testnet).unwrap();
    let warnings = secrets.warnings().join("\n");
    for name in ["`testnet.api_kye`", "`notes`", "`web.port`"] {
        assert!(warnings.contains(name), "{warnings}");
    }
    assert!(!warnings.contains("CANARY"), "{warnings}");
}

/// A log that can be read back.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<Vec<u8>>>);

impl Write for Memory {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_value_that_slipped_into_a_name_is_shown_by_nothing() {
    let place = Place::new();
    let secrets = Secrets::read(&place.secrets(&format!("testnet:\n  {CANARY_KEY}: 1\n{CANARY_SECRET}: 1\n"))).unwrap();
    let shown = format!("{secrets:?} {}", secrets.warnings().join(" "));
    assert!(!shown.contains("CANARY") && shown.contains("`testnet.?` is not known"), "{shown}");
}

fn canaries() -> Credentials {
    let place = Place::new();
    Secrets::load(&place.secrets(&pair(CANARY_KEY, CANARY_SECRET)), Environment::Testnet).unwrap()
}

#[test]
fn a_canary_is_found_in_no_debug_display_or_log() {
    let credentials = canaries();
    let mut config = DriverConfig::new("http://127.0.0.1:9");
    config.api_key = Some(credentials.api_key.clone());
    let shown = format!("{credentials:?} {:#?} {} {config:?}", credentials, credentials.api_key);
    let (driver, _inbox) = Driver::start(config).unwrap();
    let shown = format!("{shown} {driver:?}");
    assert!(shown.contains("[secret]") && !shown.contains("CANARY"), "{shown}");
    for format in [Format::Json, Format::Human { colour: true, over_status: false }] {
        let memory = Memory::default();
        let (layer, guard) = layer(LogConfig { format, level: Level::TRACE }, Box::new(memory.clone())).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            tracing::info!(target: "alphaengine", ?credentials, key = %credentials.api_key, "loaded");
            // Even who reveals a key by mistake does not get it into the log.
            tracing::warn!(key = credentials.api_key.reveal(), "bare");
            tracing::warn!("GET /fapi/v1/order?a=1&signature={CANARY_SECRET}&b=2");
            tracing::warn!(url = format!("wss://x/private/ws/{}", &CANARY_KEY[..20]), "listen key");
            tracing::warn!(body = format!(r#"{{"listenKey":"{}"}}"#, &CANARY_KEY[..20]), "listen key");
        });
        drop(guard);
        let log = String::from_utf8(memory.0.lock().unwrap().clone()).unwrap();
        assert_eq!(log.lines().count(), 5, "{log}");
        assert!(log.contains("[redacted]") && !log.contains("CANARY"), "{log}");
    }
}
