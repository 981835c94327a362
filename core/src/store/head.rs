//! The head mark: number and hash of the last durable event, in a small file beside the database.
//!
//! A flipped bit in SQLite's write-ahead log can drop committed rows without any complaint; only something outside the
//! database can tell. The mark is written after each commit, so it never runs ahead of the log. Its file also carries the
//! lock that keeps a second process out.

use std::io::ErrorKind;
use std::path::PathBuf;

use super::Error;
use super::disk::{Mark, Place};
use super::row::{Hash, hex, unhex};

/// The mark's file, locked while it is open.
#[derive(Debug)]
pub(super) struct HeadFile {
    mark: Box<dyn Mark>,
    path: PathBuf,
}

/// Where the mark of a store lies.
pub(super) fn path_of(store: &Place) -> PathBuf {
    store.beside(".head")
}

impl HeadFile {
    /// Makes the mark of a new store. It is there before the first row, so that a store without one has lost it.
    pub fn create(store: &Place) -> Result<HeadFile, Error> {
        let mut head = HeadFile::lock(store, true)?;
        head.write(0, &[0; 32])?;
        Ok(head)
    }

    /// Opens the mark of a store.
    pub fn open(store: &Place) -> Result<HeadFile, Error> {
        if !store.disk().is_file(&path_of(store)) {
            let detail = "its head mark (FILE.head) is missing: a lost tail could not be noticed".into();
            return Err(Error::Damaged { path: store.path().to_owned(), detail });
        }
        HeadFile::lock(store, false)
    }

    /// Takes the lock, or says that another process has it.
    fn lock(store: &Place, make: bool) -> Result<HeadFile, Error> {
        let path = path_of(store);
        match store.disk().open_mark(&path, make) {
            Ok(mark) => Ok(HeadFile { mark, path }),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Err(Error::InUse { path: store.path().to_owned() }),
            Err(error) => Err(Error::io(store.path(), &error)),
        }
    }

    /// Writes the mark and waits until it is on the disk.
    pub fn write(&mut self, seq: u64, hash: &Hash) -> Result<(), Error> {
        let line = format!("{seq:020} {}\n", hex(hash));
        self.mark.write(line.as_bytes()).map_err(|error| Error::io(&self.path, &error))
    }
}

/// Reads a store's mark; `None` where there is none or it cannot be read.
pub(super) fn read(store: &Place) -> Option<(u64, Hash)> {
    let text = String::from_utf8(store.disk().read(&path_of(store)).ok()?).ok()?;
    let (seq, hash) = text.trim_end().split_once(' ')?;
    Some((seq.parse().ok()?, unhex(hash)?))
}
