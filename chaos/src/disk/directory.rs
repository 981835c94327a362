//! The Directory: which name stands for which file, and what of it a loss of power would take back.
//!
//! As a journalling file system does it: every sync of any file makes all changes of names durable that came before it, and of
//! those since then a loss of power keeps the first so many.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::dice::Dice;

/// Numbers a file, whatever its name.
pub type FileId = u64;

#[derive(Debug)]
enum Change {
    Made(PathBuf),
    Removed(PathBuf, FileId),
    Renamed { from: PathBuf, to: PathBuf, file: FileId, replaced: Option<FileId> },
}

#[derive(Debug, Default)]
pub struct Directory {
    names: BTreeMap<PathBuf, FileId>,
    /// Since the last sync.
    changes: Vec<Change>,
}

impl Directory {
    pub fn get(&self, path: &Path) -> Option<FileId> {
        self.names.get(path).copied()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Path, FileId)> {
        self.names.iter().map(|(path, file)| (path.as_path(), *file))
    }

    pub fn make(&mut self, path: &Path, file: FileId) {
        self.names.insert(path.to_owned(), file);
        self.changes.push(Change::Made(path.to_owned()));
    }

    pub fn remove(&mut self, path: &Path) -> Option<FileId> {
        let file = self.names.remove(path)?;
        self.changes.push(Change::Removed(path.to_owned(), file));
        Some(file)
    }

    /// Whether there was something to move.
    pub fn rename(&mut self, from: &Path, to: &Path) -> bool {
        let Some(file) = self.names.remove(from) else { return false };
        let replaced = self.names.insert(to.to_owned(), file);
        self.changes.push(Change::Renamed { from: from.to_owned(), to: to.to_owned(), file, replaced });
        true
    }

    /// Makes all changes durable.
    pub fn sync(&mut self) {
        self.changes.clear();
    }

    pub fn lose_power(&mut self, dice: &mut Dice) {
        let stand = dice.below(self.changes.len() + 1);
        for change in self.changes.drain(stand..).rev() {
            match change {
                Change::Made(path) => drop(self.names.remove(&path)),
                Change::Removed(path, file) => drop(self.names.insert(path, file)),
                Change::Renamed { from, to, file, replaced } => {
                    self.names.remove(&to);
                    self.names.extend(replaced.map(|replaced| (to, replaced)));
                    self.names.insert(from, file);
                }
            }
        }
        self.changes.clear();
    }

    /// Whether a file has a name, or could have one again.
    pub fn knows(&self, file: FileId) -> bool {
        self.names.values().any(|known| *known == file)
            || self.changes.iter().any(|change| match change {
                Change::Made(_) => false,
                Change::Removed(_, removed) => *removed == file,
                Change::Renamed { replaced, .. } => *replaced == Some(file),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_since_the_last_sync_are_taken_back_from_the_end() {
        let (old, new, other) = (Path::new("old"), Path::new("new"), Path::new("other"));
        let mut seen = std::collections::BTreeSet::new();
        for seed in 0..100 {
            let mut directory = Directory::default();
            directory.make(old, 1);
            directory.make(new, 2);
            directory.sync();
            directory.rename(old, new);
            assert!(directory.knows(2), "it may come back");
            directory.make(other, 3);
            directory.remove(new);
            directory.lose_power(&mut Dice::new(seed));
            seen.insert([old, new, other].map(|path| directory.get(path)));
        }
        let expected =
            [[None, None, Some(3)], [None, Some(1), None], [None, Some(1), Some(3)], [Some(1), Some(2), None]];
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), expected);
    }
}
