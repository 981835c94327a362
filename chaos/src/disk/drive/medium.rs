//! What is done to the medium itself, by nobody's operation.

use std::path::Path;

use super::super::Image;
use super::super::content::Content;
use super::Drive;

impl Drive {
    pub fn bytes(&self, path: &Path) -> Option<&[u8]> {
        let file = self.files.get(&self.directory.get(path)?)?;
        Some(file.content.bytes())
    }

    pub fn has_unsynced(&self, path: &Path) -> bool {
        let file = self.directory.get(path).and_then(|id| self.files.get(&id));
        file.is_some_and(|file| file.content.has_unsynced())
    }

    pub fn flip_bit(&mut self, path: &Path, bit: u64) {
        let Some(id) = self.directory.get(path) else { return };
        self.note(5, id, bit as usize);
        let Some(file) = self.files.get_mut(&id) else { return };
        let bytes = file.content.bytes_mut();
        let bit = bit % (bytes.len() as u64 * 8).max(1);
        if let Some(byte) = bytes.get_mut((bit / 8) as usize) {
            *byte ^= 1 << (bit % 8);
        }
    }

    /// Puts a durable file where a name is, or takes it away.
    pub fn put(&mut self, path: &Path, bytes: Option<Vec<u8>>) {
        let Some(bytes) = bytes else {
            self.directory.remove(path);
            return self.directory.sync();
        };
        let content = Content::durable(bytes);
        match self.directory.get(path).and_then(|id| self.files.get_mut(&id)) {
            Some(file) => file.content = content,
            None => drop(self.make(Some(path), content)),
        }
        self.directory.sync();
    }

    pub fn image(&self) -> Image {
        let bytes = |id| self.files.get(&id).map_or_else(Vec::new, |file| file.content.bytes().to_vec());
        Image(self.directory.iter().map(|(path, id)| (path.to_owned(), bytes(id))).collect())
    }
}
