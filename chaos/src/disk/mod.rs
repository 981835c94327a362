//! A disk in memory under SQLite and the head mark, which breaks as it is told: the only way to see a loss of power inside a write,
//! a sync that lies or a commit that fails and is there nevertheless, as often as one likes and each time in the same way.
//!
//! What is modelled:
//!
//! - A write is seen by everybody at once and is durable after the file's next sync. Of the sectors (512 bytes) that were written
//!   since then a loss of power keeps some, whatever their order, and tears others in two. Of a sector that was written twice the
//!   last version stands, or the durable one. A changed length is kept, taken back, or for a file that grew kept in part.
//! - Names are as on a journalling file system: the sync of any file makes all makings, removals and renamings before it durable, and
//!   a loss of power keeps the first so many of those after it.
//! - A sync that fails gives up what it was to make durable, as Linux does: readers see it until somebody opens the file again, and
//!   no later sync brings it back.
//! - Locks are held by open files against each other, so two connections of one process stand for two processes. Who waits for a
//!   lock waits in no time.
//! - After [`SimDisk::kill`] handles that were open are dead: all they do fails and changes nothing. What was written stands.

mod content;
mod course;
mod dice;
mod digest;
mod directory;
mod drive;
mod locks;
mod mark;
mod shared;
mod vfs;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use alphaengine_core::units::Timestamp;
use alphaengine_sim::faults::{DiskFile, DiskOp, Fault};

use drive::Drive;

/// The name of SQLite's file system over this disk.
pub const VFS: &str = "alphaengine-sim";

/// What goes wrong with a disk.
pub trait DiskFaults: Send {
    /// What goes wrong with this operation, which is about to be carried out; the first that such an operation can have is taken.
    ///
    /// The disk is busy meanwhile: who asks it anything from in here waits for ever.
    fn on(&mut self, op: DiskOp, file: DiskFile) -> Vec<Fault>;
}

/// Why an operation failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failure {
    Io,
    Full,
    Busy,
    Missing,
    Exists,
}

/// The bytes of all files, as readers saw them at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image(BTreeMap<PathBuf, Vec<u8>>);

/// A disk in memory. Clones share it. There is one a process, because SQLite's file systems and its randomness are the process's: one
/// simulation at a time.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<Drive>>);

impl SimDisk {
    /// The process's disk. From the first call on it is what SQLite takes for its own, also for a bare path: its randomness, which
    /// is written into every log, comes from there and from nowhere else.
    pub fn get() -> SimDisk {
        static DISK: OnceLock<SimDisk> = OnceLock::new();
        static REGISTERED: OnceLock<()> = OnceLock::new();
        let disk = DISK.get_or_init(|| SimDisk(Arc::new(Mutex::new(Drive::new()))));
        REGISTERED.get_or_init(|| vfs::register(disk));
        disk.clone()
    }

    /// An empty disk without faults, and all that is left to chance set by a seed. Two runs with one seed that do the same write
    /// the same.
    pub fn begin_run(&self, seed: u64) {
        self.drive().begin_run(seed);
        vfs::forget_randomness();
    }

    /// Whom to ask at each operation.
    pub fn set_faults(&self, faults: Option<Box<dyn DiskFaults>>) {
        self.drive().set_faults(faults);
    }

    /// Ends every process at once, as `kill -9` does: what was written stands, and what its handles do from now on fails and
    /// changes nothing.
    pub fn kill(&self) {
        self.drive().kill();
    }

    /// [`SimDisk::kill`] by a loss of power: of what was not synced a part stands, as the seed says.
    pub fn lose_power(&self, seed: u64) {
        self.drive().lose_power(seed);
    }

    /// The crash or the loss of power that came to pass in an operation. The operation was carried out in part, and it and all
    /// later ones failed; who sees this ends the process, with [`SimDisk::kill`] or [`SimDisk::lose_power`].
    pub fn crash_requested(&self) -> Option<Fault> {
        self.drive().ends().cloned()
    }

    /// Whether a loss of power could take something of this file back.
    pub fn has_unsynced(&self, path: &Path) -> bool {
        self.drive().has_unsynced(path)
    }

    /// Operations in this run that a fault could have hit.
    pub fn operations(&self) -> u64 {
        self.drive().operations()
    }

    /// How long SQLite would have slept, waiting for locks, in microseconds.
    pub fn slept_micros(&self) -> u64 {
        self.drive().slept_micros
    }

    /// Of every byte that was written in this run, in order, with its file and place.
    pub fn hash(&self) -> [u8; 32] {
        self.drive().hash()
    }

    /// What SQLite takes for now.
    pub fn set_time(&self, at: Timestamp) {
        self.drive().now = at;
    }

    /// Changes one bit on the medium. The position is counted from the beginning, modulo the file's length.
    pub fn flip_bit(&self, path: &Path, bit: u64) {
        self.drive().flip_bit(path, bit);
    }

    /// Leaves so many of a thousand parts of a file.
    pub fn truncate(&self, path: &Path, keep_permille: u32) {
        if let Some(mut bytes) = self.image(path) {
            let kept = bytes.len() as u64 * u64::from(keep_permille) / 1_000;
            bytes.truncate(kept as usize);
            self.put(path, bytes);
        }
    }

    pub fn remove_file(&self, path: &Path) {
        self.drive().put(path, None);
    }

    /// Copies a file over another one; without the first there is no second.
    pub fn copy_file(&self, from: &Path, to: &Path) {
        let bytes = self.image(from);
        self.drive().put(to, bytes);
    }

    /// Puts a durable file there.
    pub fn put(&self, path: &Path, bytes: Vec<u8>) {
        self.drive().put(path, Some(bytes));
    }

    /// A file as readers see it.
    pub fn image(&self, path: &Path) -> Option<Vec<u8>> {
        self.drive().bytes(path).map(<[u8]>::to_vec)
    }

    pub fn snapshot(&self) -> Image {
        self.drive().image()
    }

    /// Makes these files what they were; one that was not there is gone.
    pub fn restore(&self, image: &Image, files: &[&Path]) {
        files.iter().for_each(|path| self.drive().put(path, image.0.get(*path).cloned()));
    }

    /// What a name stands for beside a database of any name.
    pub fn file_of(path: &Path) -> DiskFile {
        let name = path.to_string_lossy();
        let ends = |suffix: &str| name.ends_with(suffix);
        match () {
            () if ends("-wal") => DiskFile::Wal,
            () if ends(".head") => DiskFile::Head,
            () if ends("-journal") || ends("-shm") || ends(".tmp") => DiskFile::Other,
            () => DiskFile::Db,
        }
    }

    fn drive(&self) -> MutexGuard<'_, Drive> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SimDisk")
    }
}
