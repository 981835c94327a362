//! The session id of a run: the first digits of a hash over everything that determines it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use alphaengine_core::id::{self, SessionId};
use alphaengine_core::store::hex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::error::Error;

/// How much is read at each place of a large file.
const SAMPLE: u64 = 1 << 16;

/// The id of a run with this description. The same run has the same id, on every machine.
pub fn session_id(description: &Value) -> SessionId {
    id::session_id(&description.to_string())
}

/// SHA-256 of a text, in hexadecimal.
pub fn digest(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

/// What identifies a file of data: its name, its size and a digest of its beginning, middle and end. The whole of a year of
/// quotes would take longer to hash than to run.
pub fn file_identity(path: &Path) -> Result<Value, Error> {
    let read = || {
        let mut file = File::open(path)?;
        let bytes = file.metadata()?.len();
        let mut digest = Sha256::new();
        let last = bytes.saturating_sub(SAMPLE);
        for place in [0, last / 2, last] {
            file.seek(SeekFrom::Start(place))?;
            let mut sample = Vec::new();
            (&mut file).take(SAMPLE).read_to_end(&mut sample)?;
            digest.update(&sample);
        }
        Ok((bytes, hex(&digest.finalize())))
    };
    let (bytes, digest) =
        read().map_err(|error: std::io::Error| Error::new(format!("{}: cannot be read: {error}", path.display())))?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok(json!({"file": name, "bytes": bytes, "digest": digest}))
}

#[cfg(test)]
mod tests {
    use super::file_identity;

    #[test]
    fn a_change_in_a_file_of_any_size_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("BTCUSDT-1m.csv");
        for size in [1, 70_000, 200_000, 1_000_000] {
            let mut bytes = vec![7_u8; size];
            std::fs::write(&path, &bytes).unwrap();
            let before = file_identity(&path).unwrap();
            for place in [0, size / 2, size - 1] {
                bytes[place] ^= 1;
                std::fs::write(&path, &bytes).unwrap();
                assert_ne!(file_identity(&path).unwrap(), before, "size {size}, place {place}");
                bytes[place] ^= 1;
            }
        }
    }
}
