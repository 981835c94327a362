//! The head mark: number and hash of the last durable event, in a small file beside the database.
//!
//! A flipped bit in SQLite's write-ahead log can drop committed rows without any complaint; only something outside the
//! database can tell. The mark is written after each commit, so it never runs ahead of the log. Its file also carries the
//! lock that keeps a second process out.
//!
//! The file has two slots of a sector each, and a mark goes into the older one: one whose writing is cut short leaves the one
//! before it, whose event is the last that was acknowledged. A slot is a line: number, hash, and the beginning of the SHA-256 of
//! both.

use std::io::ErrorKind;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

use super::Error;
use super::disk::{Mark, Place};
use super::row::{Hash, hex, unhex};

/// What disks write as one.
const SLOT: usize = 512;

/// The mark's file, locked while it is open.
#[derive(Debug)]
pub(super) struct HeadFile {
    mark: Box<dyn Mark>,
    path: PathBuf,
    slots: Slots,
}

/// Where the mark of a store lies.
pub(super) fn path_of(store: &Place) -> PathBuf {
    store.beside(".head")
}

impl HeadFile {
    /// Makes the mark of a new store. It is there before the first row, so that a store without one has lost it.
    pub fn create(store: &Place) -> Result<HeadFile, Error> {
        HeadFile::lock(store, true)
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
            // Read only now: who held the lock before may have written.
            Ok(mark) => Ok(HeadFile { mark, slots: Slots::read(store)?, path }),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Err(Error::InUse { path: store.path().to_owned() }),
            Err(error) => Err(Error::io(store.path(), &error)),
        }
    }

    /// Writes the mark and waits until it is on the disk.
    pub fn write(&mut self, seq: u64, hash: &Hash) -> Result<(), Error> {
        let slots = self.slots.with(seq, hash);
        self.mark.write(&slots.to_bytes()).map_err(|error| Error::io(&self.path, &error))?;
        self.slots = slots;
        Ok(())
    }
}

/// Reads a store's mark; `None` where there is none or it says nothing.
pub(super) fn read(store: &Place) -> Result<Option<(u64, Hash)>, Error> {
    Ok(Slots::read(store)?.newest())
}

/// What the slots say.
#[derive(Debug, Clone, Copy, Default)]
struct Slots([Option<(u64, Hash)>; 2]);

impl Slots {
    fn read(store: &Place) -> Result<Slots, Error> {
        let path = path_of(store);
        match store.disk().read(&path) {
            Ok(bytes) => Ok(Slots::from_bytes(&bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Slots::default()),
            Err(error) => Err(Error::io(&path, &error)),
        }
    }

    fn from_bytes(bytes: &[u8]) -> Slots {
        let (first, second) = bytes.split_at(bytes.len().min(SLOT));
        // A mark of an earlier version is one line alone, without its sum.
        Slots([parse(first, bytes.len() < SLOT), parse(second.get(..SLOT).unwrap_or(second), false)])
    }

    fn newest(self) -> Option<(u64, Hash)> {
        self.0.into_iter().flatten().max_by_key(|(seq, _)| *seq)
    }

    /// The older slot gives way.
    fn with(self, seq: u64, hash: &Hash) -> Slots {
        let [first, second] = self.0;
        let is_first_older = first.map(|(seq, _)| seq) <= second.map(|(seq, _)| seq);
        let new = Some((seq, *hash));
        Slots(if is_first_older { [new, second] } else { [first, new] })
    }

    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(2 * SLOT);
        for (index, slot) in self.0.into_iter().enumerate() {
            if let Some((seq, hash)) = slot {
                let line = format!("{seq:020} {}", hex(&hash));
                bytes.extend_from_slice(format!("{line} {}", sum(&line)).as_bytes());
            }
            bytes.resize((index + 1) * SLOT - 1, b' ');
            bytes.push(b'\n');
        }
        bytes
    }
}

fn parse(slot: &[u8], is_alone: bool) -> Option<(u64, Hash)> {
    let line = std::str::from_utf8(slot).ok()?.trim_end();
    let (seq, rest) = line.split_once(' ')?;
    let hash = match rest.rsplit_once(' ') {
        Some((hash, found)) if sum(&format!("{seq} {hash}")) == found => hash,
        None if is_alone => rest,
        _ => return None,
    };
    Some((seq.parse().ok()?, unhex(hash)?))
}

fn sum(line: &str) -> String {
    let hash: Hash = Sha256::digest(line).into();
    hex(&hash).split_at(16).0.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_that_is_cut_short_anywhere_leaves_the_one_before_it() {
        let mut slots = Slots::default();
        for seq in 0..6 {
            let before = slots;
            slots = slots.with(seq, &[seq as u8; 32]);
            let (old, new) = (before.to_bytes(), slots.to_bytes());
            assert_eq!(Slots::from_bytes(&new).newest(), Some((seq, [seq as u8; 32])));
            for cut in 0..new.len() {
                let torn = [&new[..cut], &old[cut..]].concat();
                let found = Slots::from_bytes(&torn).newest();
                assert!(found == before.newest() || found == slots.newest(), "mark {seq}, cut at {cut}");
                let short = Slots::from_bytes(&new[..cut]).newest();
                assert!(short.is_none() || short == before.newest() || short == slots.newest());
            }
        }
    }

    #[test]
    fn a_mark_of_an_earlier_version_is_read_and_gives_way() {
        let line = format!("{:020} {}\n", 7, hex(&[3; 32]));
        let slots = Slots::from_bytes(line.as_bytes());
        assert_eq!(slots.newest(), Some((7, [3; 32])));
        let slots = slots.with(8, &[4; 32]);
        assert_eq!(Slots::from_bytes(&slots.to_bytes()).0, [Some((7, [3; 32])), Some((8, [4; 32]))]);
        assert_eq!(
            Slots::from_bytes(&[line.as_bytes(), &[b' '; 900]].concat()).newest(),
            None,
            "no sum, and not alone"
        );
    }
}
