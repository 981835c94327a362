//! The simulated disk as a store sees it beside SQLite. A mark is written in two operations, and either can fail.

use std::io;
use std::path::Path;

use alphaengine_core::store::{Disk, Mark};

use super::drive::{HandleId, Opening};
use super::locks::Level;
use super::{Failure, SimDisk, VFS};

impl Disk for SimDisk {
    fn vfs(&self) -> Option<&str> {
        Some(VFS)
    }

    fn is_file(&self, path: &Path) -> bool {
        self.drive().find(path).is_ok_and(|found| found.is_some())
    }

    fn create_new(&self, path: &Path) -> io::Result<()> {
        let mut drive = self.drive();
        let made = drive.open(Some(path), Opening { create: true, exclusive: true, ..Opening::default() })?;
        drive.close(made);
        Ok(())
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let mut drive = self.drive();
        let handle = drive.open(Some(path), Opening::default())?;
        let read = drive.read(handle, 0, usize::MAX).map(<[u8]>::to_vec);
        drive.close(handle);
        Ok(read?)
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        let found = self.drive().find(path)?;
        Ok(found.ok_or(Failure::Missing)? as u64)
    }

    fn open_mark(&self, path: &Path, make: bool) -> io::Result<Box<dyn Mark>> {
        let handle = self.drive().open(Some(path), Opening { create: make, ..Opening::default() })?;
        let mark = SimMark { disk: self.clone(), handle };
        self.drive().lock(handle, Level::Exclusive)?;
        Ok(Box::new(mark))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Ok(self.drive().rename(from, to)?)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        Ok(self.drive().remove(path, false)?)
    }
}

/// Gives its lock back when it is dropped.
#[derive(Debug)]
struct SimMark {
    disk: SimDisk,
    handle: HandleId,
}

impl Mark for SimMark {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut drive = self.disk.drive();
        drive.write(self.handle, 0, bytes)?;
        Ok(drive.sync(self.handle)?)
    }
}

impl Drop for SimMark {
    fn drop(&mut self) {
        self.disk.drive().close(self.handle);
    }
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> io::Error {
        match failure {
            Failure::Io => io::Error::other("input/output error"),
            Failure::Full => io::ErrorKind::StorageFull.into(),
            Failure::Busy => io::ErrorKind::WouldBlock.into(),
            Failure::Missing => io::ErrorKind::NotFound.into(),
            Failure::Exists => io::ErrorKind::AlreadyExists.into(),
        }
    }
}
