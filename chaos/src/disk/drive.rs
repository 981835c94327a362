//! The Drive: all files, who has them open, and what goes wrong with each operation.

use std::collections::BTreeMap;
use std::path::Path;

use alphaengine_core::units::Timestamp;
use alphaengine_sim::faults::{DiskFile, DiskOp, Fault};

use super::content::Content;
use super::course::Course;
use super::dice::Dice;
use super::digest::Digest;
use super::directory::{Directory, FileId};
use super::locks::{Level, Slots};
use super::shared::{SharedId, SharedMemories};
use super::{DiskFaults, Failure, SimDisk};

mod medium;
mod sharing;

/// Numbers an open file.
pub type HandleId = u64;

/// How a file is opened.
#[derive(Debug, Clone, Copy, Default)]
pub struct Opening {
    pub create: bool,
    pub exclusive: bool,
    /// The file goes when it is closed.
    pub is_temporary: bool,
}

#[derive(Debug)]
struct File {
    content: Content,
    shared: Option<SharedId>,
    open: Vec<HandleId>,
}

#[derive(Debug)]
struct Handle {
    file: FileId,
    kind: DiskFile,
    /// Which process has it.
    life: u64,
    level: Level,
    shared: Option<SharedId>,
    slots: Slots,
    is_temporary: bool,
}

pub struct Drive {
    files: BTreeMap<FileId, File>,
    directory: Directory,
    handles: BTreeMap<HandleId, Handle>,
    shared: SharedMemories,
    /// Handles of earlier lives are dead.
    life: u64,
    /// Counts files of this run.
    made: FileId,
    /// Counts handles of all runs, so that an old one never means a new file.
    opened: HandleId,
    faults: Option<Box<dyn DiskFaults>>,
    ends: Option<Fault>,
    operations: u64,
    /// For SQLite.
    randomness: Dice,
    /// For what a torn operation leaves.
    tears: Dice,
    digest: Digest,
    pub now: Timestamp,
    pub slept_micros: u64,
}

impl Drive {
    pub fn new() -> Drive {
        Drive {
            files: BTreeMap::new(),
            directory: Directory::default(),
            handles: BTreeMap::new(),
            shared: SharedMemories::default(),
            life: 0,
            made: 0,
            opened: 0,
            faults: None,
            ends: None,
            operations: 0,
            randomness: Dice::new(0),
            tears: Dice::new(0),
            digest: Digest::new(),
            now: Timestamp::ZERO,
            slept_micros: 0,
        }
    }

    /// As new. Handles and shared memory that somebody still has are kept until he gives them back.
    pub fn begin_run(&mut self, seed: u64) {
        self.kill();
        let (handles, shared) = (std::mem::take(&mut self.handles), std::mem::take(&mut self.shared));
        let (randomness, tears) = (Dice::new(seed), Dice::new(!seed));
        *self = Drive { handles, shared, life: self.life, opened: self.opened, randomness, tears, ..Drive::new() };
    }

    pub fn set_faults(&mut self, faults: Option<Box<dyn DiskFaults>>) {
        self.faults = faults;
    }

    pub fn operations(&self) -> u64 {
        self.operations
    }

    pub fn ends(&self) -> Option<&Fault> {
        self.ends.as_ref()
    }

    pub fn hash(&self) -> [u8; 32] {
        self.digest.finish()
    }

    pub fn randomness(&mut self, bytes: &mut [u8]) {
        self.randomness.fill(bytes);
    }

    /// Every process ends. Its handles are dead, its locks and its shared memory are gone.
    pub fn kill(&mut self) {
        self.life += 1;
        self.ends = None;
        for file in self.files.values_mut() {
            file.shared = None;
            file.open.clear();
        }
        let Drive { files, directory, .. } = self;
        files.retain(|id, _| directory.knows(*id));
    }

    pub fn lose_power(&mut self, seed: u64) {
        let mut dice = Dice::new(seed);
        self.files.values_mut().for_each(|file| file.content.lose_power(&mut dice));
        self.directory.lose_power(&mut dice);
        self.kill();
    }

    // Operations of processes.

    pub fn open(&mut self, path: Option<&Path>, opening: Opening) -> Result<HandleId, Failure> {
        let kind = path.map_or(DiskFile::Other, SimDisk::file_of);
        let course = self.ask(DiskOp::Open, kind)?;
        let found = path.and_then(|path| self.directory.get(path));
        let is_done = self.is_done(course);
        let id = match found {
            Some(_) if opening.exclusive => return Err(Failure::Exists),
            Some(id) => id,
            None if !opening.create => return Err(Failure::Missing),
            None if !is_done => return Err(Failure::Io),
            None => self.make(path, Content::default()),
        };
        if course == Course::Ends || course == Course::DoneButFails {
            return Err(Failure::Io);
        }
        self.opened += 1;
        let handle = self.opened;
        if let Some(file) = self.files.get_mut(&id) {
            file.content.forget_lost();
            file.open.push(handle);
        }
        let is_temporary = opening.is_temporary;
        let (level, slots) = (Level::None, Slots::default());
        self.handles
            .insert(handle, Handle { file: id, kind, life: self.life, level, shared: None, slots, is_temporary });
        Ok(handle)
    }

    pub fn close(&mut self, id: HandleId) {
        self.leave_shared(id);
        let Some(handle) = self.handles.remove(&id) else { return };
        if handle.life != self.life {
            return;
        }
        let Some(file) = self.files.get_mut(&handle.file) else { return };
        file.open.retain(|open| *open != id);
        if file.open.is_empty() && (handle.is_temporary || !self.directory.knows(handle.file)) {
            self.files.remove(&handle.file);
        }
    }

    /// So many bytes, or those that are there.
    pub fn read(&mut self, id: HandleId, offset: usize, len: usize) -> Result<&[u8], Failure> {
        let (file, kind) = self.live(id)?;
        self.ask(DiskOp::Read, kind)?.ended()?;
        let bytes = self.files.get(&file).map_or(&[][..], |file| file.content.bytes());
        let there = bytes.get(offset..).unwrap_or_default();
        Ok(there.get(..len).unwrap_or(there))
    }

    pub fn write(&mut self, id: HandleId, offset: usize, data: &[u8]) -> Result<(), Failure> {
        let (file, kind) = self.live(id)?;
        let (part, ended) = match self.ask(DiskOp::Write, kind)? {
            Course::Well | Course::Lie => (data, Ok(())),
            Course::Half => (&data[..data.len() / 2], Err(Failure::Io)),
            Course::DoneButFails => (data, Err(Failure::Io)),
            Course::Ends => (&data[..self.tears.below(data.len() + 1)], Err(Failure::Io)),
        };
        if let Some(file) = self.files.get_mut(&file).filter(|_| !part.is_empty()) {
            file.content.write(offset, part);
        }
        self.note(1, file, offset);
        self.digest.bytes(part);
        ended
    }

    pub fn truncate(&mut self, id: HandleId, len: usize) -> Result<(), Failure> {
        let (file, kind) = self.live(id)?;
        let course = self.ask(DiskOp::Truncate, kind)?;
        if self.is_done(course) {
            self.note(2, file, len);
            if let Some(file) = self.files.get_mut(&file) {
                file.content.truncate(len);
            }
        }
        course.ended()
    }

    pub fn sync(&mut self, id: HandleId) -> Result<(), Failure> {
        let (file, kind) = self.live(id)?;
        let course = self.ask(DiskOp::Sync, kind);
        let is_done = course.is_ok_and(|course| course != Course::Lie && self.is_done(course));
        if let Some(file) = self.files.get_mut(&file) {
            match course {
                _ if is_done => file.content.sync(),
                Err(_) => file.content.fail_sync(),
                _ => {}
            }
        }
        if is_done {
            self.directory.sync();
        }
        course?.ended()
    }

    /// Length in bytes.
    pub fn len(&self, id: HandleId) -> Result<usize, Failure> {
        let (file, _) = self.live(id)?;
        Ok(self.files.get(&file).map_or(0, |file| file.content.bytes().len()))
    }

    /// With `sync` the removal is durable, and all changes of names before it.
    pub fn remove(&mut self, path: &Path, sync: bool) -> Result<(), Failure> {
        let course = self.ask(DiskOp::Remove, SimDisk::file_of(path))?;
        if self.directory.get(path).is_none() {
            return Err(Failure::Missing);
        }
        if self.is_done(course)
            && let Some(file) = self.directory.remove(path)
        {
            self.note(3, file, 0);
            if sync && course == Course::Well {
                self.directory.sync();
            }
        }
        course.ended()
    }

    /// Counts as the removal of the old name.
    pub fn rename(&mut self, from: &Path, to: &Path) -> Result<(), Failure> {
        let course = self.ask(DiskOp::Remove, SimDisk::file_of(from))?;
        let Some(file) = self.directory.get(from) else { return Err(Failure::Missing) };
        if self.is_done(course) {
            self.note(4, file, 0);
            self.directory.rename(from, to);
        }
        course.ended()
    }

    /// The length of a file, where there is one.
    pub fn find(&self, path: &Path) -> Result<Option<usize>, Failure> {
        if self.ends.is_some() {
            return Err(Failure::Io);
        }
        Ok(self.bytes(path).map(<[u8]>::len))
    }

    fn make(&mut self, path: Option<&Path>, content: Content) -> FileId {
        self.made += 1;
        let id = self.made;
        self.note(6, id, 0);
        self.files.insert(id, File { content, shared: None, open: Vec::new() });
        if let Some(path) = path {
            self.directory.make(path, id);
        }
        id
    }

    /// The file of a handle of the living process.
    fn live(&self, id: HandleId) -> Result<(FileId, DiskFile), Failure> {
        let handle = self.handles.get(&id).filter(|handle| handle.life == self.life && self.ends.is_none());
        handle.map(|handle| (handle.file, handle.kind)).ok_or(Failure::Io)
    }

    fn note(&mut self, what: u64, file: FileId, at: usize) {
        self.digest.number(what);
        self.digest.number(file);
        self.digest.number(at as u64);
    }

    /// Lets an operation through, or says why it fails and changes nothing.
    fn ask(&mut self, op: DiskOp, file: DiskFile) -> Result<Course, Failure> {
        if self.ends.is_some() {
            return Err(Failure::Io);
        }
        self.operations += 1;
        let due = self.faults.as_mut().map_or_else(Vec::new, |faults| faults.on(op, file));
        for fault in due {
            if let Some(course) = Course::under(&fault, op) {
                if course == Ok(Course::Ends) {
                    self.ends = Some(fault);
                }
                return course;
            }
        }
        Ok(Course::Well)
    }

    /// Whether an operation comes to pass that is done or not done. Where the process ends in it, either may be.
    fn is_done(&mut self, course: Course) -> bool {
        match course {
            Course::Well | Course::Lie | Course::DoneButFails => true,
            Course::Half => false,
            Course::Ends => self.tears.below(2) == 0,
        }
    }
}
