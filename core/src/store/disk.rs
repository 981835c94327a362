//! A Disk is where the files of stores lie: the machine's, or one in memory that breaks as a campaign says.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the files of stores lie. The machine's disk is the one that everybody uses; a campaign has one of its own.
pub trait Disk: Debug + Send + Sync {
    /// The name of SQLite's file system for it; `None` is the default one.
    fn vfs(&self) -> Option<&str>;

    fn is_file(&self, path: &Path) -> bool;

    /// Makes an empty file. That it is there already is [`io::ErrorKind::AlreadyExists`].
    fn create_new(&self, path: &Path) -> io::Result<()>;

    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// The length of a file in bytes.
    fn len(&self, path: &Path) -> io::Result<u64>;

    /// Opens a mark and locks it; with `make` it is made where it is not there. [`io::ErrorKind::WouldBlock`] when another process
    /// has it.
    fn open_mark(&self, path: &Path, make: bool) -> io::Result<Box<dyn Mark>>;

    /// Moves a file; what was at `to` is gone.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    fn remove(&self, path: &Path) -> io::Result<()>;
}

/// A small file that is locked while it is open.
pub trait Mark: Debug + Send {
    /// Writes from the beginning, and waits until it is on the disk.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// A path on a disk. A bare path is on the machine's.
#[derive(Debug, Clone)]
pub struct Place {
    path: PathBuf,
    disk: Arc<dyn Disk>,
}

impl Place {
    pub fn on(disk: Arc<dyn Disk>, path: impl Into<PathBuf>) -> Place {
        Place { path: path.into(), disk }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn disk(&self) -> &dyn Disk {
        &*self.disk
    }

    /// Another path on the same disk.
    pub(super) fn renamed(&self, path: PathBuf) -> Place {
        Place { path, disk: Arc::clone(&self.disk) }
    }

    /// The file beside it whose name is so much longer.
    pub(super) fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(suffix);
        name.into()
    }
}

impl From<&Path> for Place {
    fn from(path: &Path) -> Place {
        Place::on(Arc::new(Machine), path)
    }
}

impl From<&PathBuf> for Place {
    fn from(path: &PathBuf) -> Place {
        Place::from(path.as_path())
    }
}

impl From<&Place> for Place {
    fn from(place: &Place) -> Place {
        place.clone()
    }
}

/// The machine's disk, under SQLite's default file system.
#[derive(Debug)]
struct Machine;

impl Disk for Machine {
    fn vfs(&self) -> Option<&str> {
        None
    }

    fn is_file(&self, path: &Path) -> bool {
        path.is_file()
    }

    fn create_new(&self, path: &Path) -> io::Result<()> {
        let made = OpenOptions::new().write(true).create_new(true).open(path);
        made.map(drop).map_err(|error| explained(path, error))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        std::fs::metadata(path).map(|metadata| metadata.len()).map_err(|error| explained(path, error))
    }

    fn open_mark(&self, path: &Path, make: bool) -> io::Result<Box<dyn Mark>> {
        let file = OpenOptions::new().read(true).write(true).create(make).truncate(false).open(path);
        let file = file.map_err(|error| explained(path, error))?;
        file.try_lock().map_err(io::Error::from)?;
        Ok(Box::new(MachineMark(file)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }
}

/// "No such file" does not tell that it is the directory.
fn explained(path: &Path, error: io::Error) -> io::Error {
    let has_no_directory = path.parent().is_some_and(|parent| parent != Path::new("") && !parent.is_dir());
    if error.kind() == io::ErrorKind::NotFound && has_no_directory {
        return io::Error::new(io::ErrorKind::NotFound, "the directory does not exist");
    }
    error
}

#[derive(Debug)]
struct MachineMark(File);

impl Mark for MachineMark {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.seek(SeekFrom::Start(0))?;
        self.0.write_all(bytes)?;
        self.0.sync_data()
    }
}
