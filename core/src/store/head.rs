//! The head mark: number and hash of the last durable event, in a small file beside the database.
//!
//! A flipped bit in SQLite's write-ahead log can drop committed rows without any complaint; only something outside the
//! database can tell. The mark is written after each commit, so it never runs ahead of the log. Its file also carries the
//! lock that keeps a second process out.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::Error;
use super::row::{Hash, hex, unhex};

/// The mark's file, locked while it is open.
#[derive(Debug)]
pub(super) struct HeadFile {
    file: File,
    path: PathBuf,
}

/// Where the mark of a store lies.
pub(super) fn path_of(store: &Path) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(".head");
    name.into()
}

impl HeadFile {
    /// Makes the mark of a new store. It is there before the first row, so that a store without one has lost it.
    pub fn create(store: &Path) -> Result<HeadFile, Error> {
        let mut head = HeadFile::lock(store, OpenOptions::new().create(true).truncate(true))?;
        head.write(0, &[0; 32])?;
        Ok(head)
    }

    /// Opens the mark of a store.
    pub fn open(store: &Path) -> Result<HeadFile, Error> {
        if !path_of(store).exists() {
            let detail = "its head mark (FILE.head) is missing: a lost tail could not be noticed".into();
            return Err(Error::Damaged { path: store.to_owned(), detail });
        }
        HeadFile::lock(store, &mut OpenOptions::new())
    }

    /// Takes the lock, or says that another process has it.
    fn lock(store: &Path, options: &mut OpenOptions) -> Result<HeadFile, Error> {
        let path = path_of(store);
        let file = options.read(true).write(true).open(&path).map_err(|error| Error::io(store, &error))?;
        match file.try_lock() {
            Ok(()) => Ok(HeadFile { file, path }),
            Err(std::fs::TryLockError::WouldBlock) => Err(Error::InUse { path: store.to_owned() }),
            Err(std::fs::TryLockError::Error(error)) => Err(Error::io(store, &error)),
        }
    }

    /// Writes the mark and waits until it is on the disk.
    pub fn write(&mut self, seq: u64, hash: &Hash) -> Result<(), Error> {
        let line = format!("{seq:020} {}\n", hex(hash));
        let write = |file: &mut File| {
            file.seek(SeekFrom::Start(0))?;
            file.write_all(line.as_bytes())?;
            file.sync_data()
        };
        write(&mut self.file).map_err(|error| Error::io(&self.path, &error))
    }
}

/// Reads a store's mark; `None` where there is none or it cannot be read.
pub(super) fn read(store: &Path) -> Option<(u64, Hash)> {
    let mut text = String::new();
    File::open(path_of(store)).ok()?.take(200).read_to_string(&mut text).ok()?;
    let (seq, hash) = text.trim_end().split_once(' ')?;
    Some((seq.parse().ok()?, unhex(hash)?))
}
