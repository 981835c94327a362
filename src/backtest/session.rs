//! The session id of a run: the first digits of a hash over everything that determines it.

use alphaengine_core::id::SessionId;
use alphaengine_core::store::hex;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The id of a run with this description. The same run has the same id, on every machine.
pub fn session_id(description: &Value) -> SessionId {
    let digest = Sha256::digest(description.to_string().as_bytes());
    hex(&digest[..8]).parse().unwrap_or_default()
}

/// SHA-256 of a text, in hexadecimal.
pub fn digest(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}
