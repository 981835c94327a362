//! Verifying compares a file with the archive's checksum, and reads a zip through to its end.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};
use zip::ZipArchive;

/// The SHA-256 of a file, in small hexadecimal letters.
pub(super) fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The SHA-256 that a `.CHECKSUM` file states for `name`, or what is wrong with it.
pub(super) fn parse_checksum(text: &str, name: &str) -> Result<String, String> {
    let mut words = text.split_whitespace();
    let hash = words.next().unwrap_or("");
    if hash.len() != 64 || !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err("its checksum file does not begin with 64 hexadecimal digits".to_owned());
    }
    match words.next() {
        // `sha256sum --binary` puts a star before the name.
        Some(stated) if stated.trim_start_matches('*') != name => {
            let stated: String = stated.chars().take(80).flat_map(char::escape_default).collect();
            Err(format!("its checksum file is for another file: {stated}"))
        }
        _ => Ok(hash.to_ascii_lowercase()),
    }
}

/// Whether a zip opens, holds one CSV and can be read to its end; else what is wrong with it.
pub(super) fn check_zip(path: &Path) -> Result<(), String> {
    let file = File::open(path).map_err(|problem| format!("it cannot be opened: {problem}"))?;
    let mut archive = ZipArchive::new(file).map_err(|problem| format!("it is no zip file: {problem}"))?;
    if archive.len() != 1 {
        return Err(format!("it holds {} files instead of one CSV", archive.len()));
    }
    let mut entry = archive.by_index(0).map_err(|problem| format!("its content cannot be read: {problem}"))?;
    let named_csv = entry.name().is_ok_and(|name| name.to_ascii_lowercase().ends_with(".csv"));
    if !entry.is_file() || !named_csv {
        return Err("it holds no CSV".to_owned());
    }
    // Reading to the end checks the CRC.
    io::copy(&mut entry, &mut io::sink()).map(|_| ()).map_err(|problem| format!("its content is damaged: {problem}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_files_are_read() {
        let hash = "AB".repeat(32);
        assert_eq!(parse_checksum(&format!("{hash}  a.zip\n"), "a.zip").unwrap(), "ab".repeat(32));
        assert!(parse_checksum(&hash, "a.zip").is_ok());
        assert!(parse_checksum(&format!("{hash} *a.zip"), "a.zip").is_ok());
        assert!(parse_checksum(&format!("{hash}  b.zip"), "a.zip").is_err());
        assert!(parse_checksum("<html>", "a.zip").is_err());
        assert!(parse_checksum("", "a.zip").is_err());
    }
}
