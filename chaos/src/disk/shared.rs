//! Shared memory that the connections to one database have in common: the index of its write-ahead log.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

/// Numbers a shared memory.
pub type SharedId = u64;

#[derive(Debug, Default)]
pub struct SharedMemories {
    all: BTreeMap<SharedId, Shared>,
    made: SharedId,
}

#[derive(Debug, Default)]
struct Shared {
    /// SQLite keeps pointers into them, so they stay where they are until the last user is gone. They are atomics because SQLite
    /// writes through those pointers while they are shared.
    regions: Vec<Box<[AtomicU64]>>,
    users: usize,
}

impl SharedMemories {
    pub fn make(&mut self) -> SharedId {
        self.made += 1;
        self.all.insert(self.made, Shared::default());
        self.made
    }

    pub fn join(&mut self, id: SharedId) {
        if let Some(shared) = self.all.get_mut(&id) {
            shared.users += 1;
        }
    }

    /// Whether it was the last user.
    pub fn leave(&mut self, id: SharedId) -> bool {
        let Some(shared) = self.all.get_mut(&id) else { return false };
        shared.users = shared.users.saturating_sub(1);
        if shared.users > 0 {
            return false;
        }
        self.all.remove(&id);
        true
    }

    /// Where a region lies. One that is not there is made with `extend`.
    pub fn region(&mut self, id: SharedId, number: usize, bytes: usize, extend: bool) -> Option<*const AtomicU64> {
        let regions = &mut self.all.get_mut(&id)?.regions;
        while extend && regions.len() <= number {
            regions.push((0..bytes.div_ceil(8)).map(|_| AtomicU64::new(0)).collect());
        }
        regions.get(number).map(|region| region.as_ptr())
    }
}
