//! How processes share a file: locks of the file, and the shared memory of the write-ahead log with its slots.

use std::sync::atomic::AtomicU64;

use alphaengine_sim::faults::{DiskFile, DiskOp};

use super::super::locks::{Level, Slots};
use super::super::{Failure, directory::FileId};
use super::{Drive, Handle, HandleId};

impl Drive {
    pub fn lock(&mut self, id: HandleId, wanted: Level) -> Result<(), Failure> {
        let (file, kind) = self.live(id)?;
        let own = self.handles.get(&id).map_or(Level::None, |handle| handle.level);
        if own >= wanted {
            return Ok(());
        }
        self.ask(DiskOp::Lock, kind)?.ended()?;
        let others: Vec<Level> = self.beside(file, id).map(|handle| handle.level).collect();
        let (level, ended) = own.climb(wanted, &others);
        if let Some(handle) = self.handles.get_mut(&id) {
            handle.level = level;
        }
        ended
    }

    /// A dead process has no locks, so nothing is left to be done for it.
    pub fn unlock(&mut self, id: HandleId, level: Level) {
        if let Some(handle) = self.handles.get_mut(&id) {
            handle.level = handle.level.min(level);
        }
    }

    /// Whether anybody is about to write.
    pub fn is_reserved(&self, id: HandleId) -> Result<bool, Failure> {
        let (file, _) = self.live(id)?;
        let own = self.handles.get(&id).is_some_and(|handle| handle.level >= Level::Reserved);
        Ok(own || self.beside(file, id).any(|handle| handle.level >= Level::Reserved))
    }

    /// Where a region of the shared memory lies; it is that of the database that is open.
    pub fn shared_region(
        &mut self,
        id: HandleId,
        number: usize,
        bytes: usize,
        extend: bool,
    ) -> Result<Option<*const AtomicU64>, Failure> {
        let (file, _) = self.live(id)?;
        let (Some(file), Some(handle)) = (self.files.get_mut(&file), self.handles.get_mut(&id)) else {
            return Err(Failure::Io);
        };
        let shared = *file.shared.get_or_insert_with(|| self.shared.make());
        if handle.shared.is_none() {
            handle.shared = Some(shared);
            self.shared.join(shared);
        }
        Ok(self.shared.region(shared, number, bytes, extend))
    }

    /// Locks of the shared memory count as those of the write-ahead log.
    pub fn take_slots(&mut self, id: HandleId, mask: u32, is_exclusive: bool) -> Result<(), Failure> {
        let (file, _) = self.live(id)?;
        self.ask(DiskOp::Lock, DiskFile::Wal)?.ended()?;
        let others: Vec<Slots> = self.beside(file, id).map(|handle| handle.slots).collect();
        match self.handles.get_mut(&id) {
            Some(handle) => handle.slots.take(mask, is_exclusive, &others),
            None => Err(Failure::Io),
        }
    }

    pub fn release_slots(&mut self, id: HandleId, mask: u32) {
        if let Some(handle) = self.handles.get_mut(&id) {
            handle.slots.release(mask);
        }
    }

    pub fn leave_shared(&mut self, id: HandleId) {
        let Some(handle) = self.handles.get_mut(&id) else { return };
        handle.slots = Slots::default();
        let Some(shared) = handle.shared.take() else { return };
        if self.shared.leave(shared)
            && let Some(file) = self.files.get_mut(&handle.file)
            && file.shared == Some(shared)
        {
            file.shared = None;
        }
    }

    /// The other handles of a file.
    fn beside(&self, file: FileId, own: HandleId) -> impl Iterator<Item = &Handle> {
        let open = self.files.get(&file).map_or(&[][..], |file| &file.open);
        open.iter().filter(move |id| **id != own).filter_map(|id| self.handles.get(id))
    }
}
