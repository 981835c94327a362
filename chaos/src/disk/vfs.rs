//! The disk as SQLite sees it: a file system behind SQLite's C interface. This is the only unsafe code of the house; all it does is
//! to turn SQLite's pointers into numbers and slices, and results into its codes. <https://sqlite.org/vfs.html>
#![allow(unsafe_code, reason = "SQLite's interface to file systems is one of C")]
#![deny(clippy::undocumented_unsafe_blocks)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::atomic::{Ordering, fence};
use std::sync::{MutexGuard, OnceLock};

use rusqlite::ffi;

use super::drive::{Drive, HandleId, Opening};
use super::locks::Level;
use super::{Failure, SimDisk};

const NAME: &CStr = c"alphaengine-sim";

/// The disk that the file system was registered for.
static DISK: OnceLock<SimDisk> = OnceLock::new();

/// An open file in the memory that SQLite gives for it.
#[repr(C)]
struct OpenFile {
    base: ffi::sqlite3_file,
    handle: HandleId,
}

/// Makes the disk SQLite's default file system, for good. A build whose SQLite refuses finds no file system of this name.
pub fn register(disk: &SimDisk) {
    if DISK.set(disk.clone()).is_err() {
        return;
    }
    let vfs = Box::new(ffi::sqlite3_vfs {
        iVersion: 2,
        szOsFile: size_of::<OpenFile>() as c_int,
        mxPathname: 1_024,
        pNext: std::ptr::null_mut(),
        zName: NAME.as_ptr(),
        pAppData: std::ptr::null_mut(),
        xOpen: Some(open),
        xDelete: Some(delete),
        xAccess: Some(access),
        xFullPathname: Some(full_pathname),
        xDlOpen: None,
        xDlError: None,
        xDlSym: None,
        xDlClose: None,
        xRandomness: Some(randomness),
        xSleep: Some(sleep),
        xCurrentTime: Some(current_time),
        xGetLastError: Some(last_error),
        xCurrentTimeInt64: Some(current_time_millis),
        xSetSystemCall: None,
        xGetSystemCall: None,
        xNextSystemCall: None,
    });
    // SAFETY: the table is leaked, so it lives as long as the process, as SQLite demands, and nobody else changes it.
    let _ = unsafe { ffi::sqlite3_vfs_register(Box::leak(vfs), 1) };
}

/// Lets SQLite draw its randomness anew, from the disk, when it next needs some.
pub fn forget_randomness() {
    // SAFETY: zero bytes into no buffer is how SQLite's interface asks for this; it takes its own lock.
    unsafe { ffi::sqlite3_randomness(0, std::ptr::null_mut()) };
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// The drive. SQLite calls nothing here before [`register`] has set it.
fn drive() -> Option<MutexGuard<'static, Drive>> {
    DISK.get().map(SimDisk::drive)
}

/// What an operation came to, as a code; `io` is the one for a failure of the device.
fn code(result: Result<(), Failure>, io: c_int) -> c_int {
    match result {
        Ok(()) => ffi::SQLITE_OK,
        Err(Failure::Io) => io,
        Err(Failure::Full) => ffi::SQLITE_FULL,
        Err(Failure::Busy) => ffi::SQLITE_BUSY,
        Err(Failure::Missing | Failure::Exists) => ffi::SQLITE_CANTOPEN,
    }
}

/// Does something with the drive and a handle. Only the methods below call it, each with the file that SQLite passed.
fn with<T>(
    file: *mut ffi::sqlite3_file,
    act: impl FnOnce(&mut Drive, HandleId) -> Result<T, Failure>,
) -> Result<T, Failure> {
    // SAFETY: SQLite passes the files that `open` filled, and none that is closed.
    let handle = unsafe { (*file.cast::<OpenFile>()).handle };
    drive().map_or(Err(Failure::Io), |mut drive| act(&mut drive, handle))
}

/// # Safety
/// `name` is null or a C string.
unsafe fn path_of(name: *const c_char) -> Option<PathBuf> {
    if name.is_null() {
        return None;
    }
    // SAFETY: as this function's caller promises.
    let name = unsafe { CStr::from_ptr(name) };
    Some(PathBuf::from(name.to_string_lossy().into_owned()))
}

// The file system.

unsafe extern "C" fn open(
    _: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives memory of the size that `register` asked for. Without methods it does not close what was not opened.
    unsafe { (*file).pMethods = std::ptr::null() };
    // SAFETY: a name from SQLite is a C string, or null for a temporary file.
    let path = unsafe { path_of(name) };
    let has = |flag: c_int| flags & flag != 0;
    let opening = Opening {
        create: has(ffi::SQLITE_OPEN_CREATE),
        exclusive: has(ffi::SQLITE_OPEN_EXCLUSIVE),
        is_temporary: has(ffi::SQLITE_OPEN_DELETEONCLOSE),
    };
    let Some(mut drive) = drive() else { return ffi::SQLITE_CANTOPEN };
    match drive.open(path.as_deref(), opening) {
        Ok(handle) => {
            // SAFETY: as above; the whole file is written, and nothing in it needs to be dropped.
            unsafe {
                file.cast::<OpenFile>().write(OpenFile { base: ffi::sqlite3_file { pMethods: &METHODS }, handle })
            };
            if !out_flags.is_null() {
                // SAFETY: it is not null, so SQLite wants the flags there.
                unsafe { *out_flags = flags };
            }
            ffi::SQLITE_OK
        }
        Err(failure) => code(Err(failure), ffi::SQLITE_CANTOPEN),
    }
}

unsafe extern "C" fn delete(_: *mut ffi::sqlite3_vfs, name: *const c_char, sync_directory: c_int) -> c_int {
    // SAFETY: a name from SQLite is a C string.
    let Some(path) = (unsafe { path_of(name) }) else { return ffi::SQLITE_IOERR_DELETE };
    let Some(mut drive) = drive() else { return ffi::SQLITE_IOERR_DELETE };
    match drive.remove(&path, sync_directory != 0) {
        Err(Failure::Missing) => ffi::SQLITE_IOERR_DELETE_NOENT,
        removed => code(removed, ffi::SQLITE_IOERR_DELETE),
    }
}

unsafe extern "C" fn access(_: *mut ffi::sqlite3_vfs, name: *const c_char, flags: c_int, result: *mut c_int) -> c_int {
    // SAFETY: a name from SQLite is a C string.
    let path = unsafe { path_of(name) };
    let found = drive().map_or(Err(Failure::Io), |drive| drive.find(path.as_deref().unwrap_or(Path::new(""))));
    let Ok(found) = found else { return ffi::SQLITE_IOERR_ACCESS };
    // As on Unix: who asks whether it exists means a file with something in it.
    let is_there = if flags == ffi::SQLITE_ACCESS_EXISTS { found.is_some_and(|len| len > 0) } else { found.is_some() };
    // SAFETY: SQLite gives a place for the answer.
    unsafe { *result = c_int::from(is_there) };
    ffi::SQLITE_OK
}

/// Names are taken as they are: there are no directories and no links.
unsafe extern "C" fn full_pathname(
    _: *mut ffi::sqlite3_vfs,
    name: *const c_char,
    len: c_int,
    out: *mut c_char,
) -> c_int {
    // SAFETY: a name from SQLite is a C string.
    let bytes = unsafe { CStr::from_ptr(name) }.to_bytes_with_nul();
    if bytes.len() > usize::try_from(len).unwrap_or(0) {
        return ffi::SQLITE_CANTOPEN;
    }
    // SAFETY: the buffer is `len` bytes long, which was checked, and is not the name itself.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr().cast(), out, bytes.len()) };
    ffi::SQLITE_OK
}

unsafe extern "C" fn randomness(_: *mut ffi::sqlite3_vfs, len: c_int, out: *mut c_char) -> c_int {
    // SAFETY: the buffer is `len` bytes long, and SQLite has initialised it.
    let bytes = unsafe { std::slice::from_raw_parts_mut(out.cast::<u8>(), usize::try_from(len).unwrap_or(0)) };
    if let Some(mut drive) = drive() {
        drive.randomness(bytes);
    }
    len
}

/// Nobody sleeps: the wait is counted.
unsafe extern "C" fn sleep(_: *mut ffi::sqlite3_vfs, micros: c_int) -> c_int {
    if let Some(mut drive) = drive() {
        drive.slept_micros += u64::try_from(micros).unwrap_or(0);
    }
    micros
}

/// Milliseconds of the Julian day, as SQLite counts time.
fn now_millis() -> i64 {
    const UNIX_EPOCH: i64 = 210_866_760_000_000;
    UNIX_EPOCH + drive().map_or(0, |drive| drive.now.millis())
}

unsafe extern "C" fn current_time(_: *mut ffi::sqlite3_vfs, days: *mut f64) -> c_int {
    // SAFETY: SQLite gives a place for the answer.
    unsafe { *days = now_millis() as f64 / 86_400_000.0 };
    ffi::SQLITE_OK
}

unsafe extern "C" fn current_time_millis(_: *mut ffi::sqlite3_vfs, millis: *mut ffi::sqlite3_int64) -> c_int {
    // SAFETY: SQLite gives a place for the answer.
    unsafe { *millis = now_millis() };
    ffi::SQLITE_OK
}

unsafe extern "C" fn last_error(_: *mut ffi::sqlite3_vfs, _: c_int, _: *mut c_char) -> c_int {
    0
}

// Files.

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    let _ = with(file, |drive, handle| {
        drive.close(handle);
        Ok(())
    });
    ffi::SQLITE_OK
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    buffer: *mut c_void,
    amount: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    let (offset, amount) = (usize::try_from(offset).unwrap_or(usize::MAX), usize::try_from(amount).unwrap_or(0));
    let buffer = buffer.cast::<u8>();
    let read = with(file, |drive, handle| {
        let bytes = drive.read(handle, offset, amount)?;
        // SAFETY: the buffer is `amount` bytes long and SQLite's alone; no more bytes than that were given.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), buffer, bytes.len()) };
        Ok(bytes.len())
    });
    match read {
        Ok(len) if len == amount => ffi::SQLITE_OK,
        Ok(len) => {
            // SAFETY: the rest of the same buffer. SQLite demands zeros there.
            unsafe { buffer.add(len).write_bytes(0, amount - len) };
            ffi::SQLITE_IOERR_SHORT_READ
        }
        Err(failure) => code(Err(failure), ffi::SQLITE_IOERR_READ),
    }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    data: *const c_void,
    amount: c_int,
    offset: ffi::sqlite3_int64,
) -> c_int {
    // SAFETY: SQLite gives `amount` bytes that it does not change meanwhile.
    let data = unsafe { std::slice::from_raw_parts(data.cast::<u8>(), usize::try_from(amount).unwrap_or(0)) };
    let Ok(offset) = usize::try_from(offset) else { return ffi::SQLITE_IOERR_WRITE };
    code(with(file, |drive, handle| drive.write(handle, offset, data)), ffi::SQLITE_IOERR_WRITE)
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, len: ffi::sqlite3_int64) -> c_int {
    let Ok(len) = usize::try_from(len) else { return ffi::SQLITE_IOERR_TRUNCATE };
    code(with(file, |drive, handle| drive.truncate(handle, len)), ffi::SQLITE_IOERR_TRUNCATE)
}

unsafe extern "C" fn sync(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    code(with(file, |drive, handle| drive.sync(handle)), ffi::SQLITE_IOERR_FSYNC)
}

unsafe extern "C" fn file_size(file: *mut ffi::sqlite3_file, len: *mut ffi::sqlite3_int64) -> c_int {
    match with(file, |drive, handle| drive.len(handle)) {
        Ok(found) => {
            // SAFETY: SQLite gives a place for the answer.
            unsafe { *len = found as ffi::sqlite3_int64 };
            ffi::SQLITE_OK
        }
        Err(failure) => code(Err(failure), ffi::SQLITE_IOERR_FSTAT),
    }
}

fn level_of(number: c_int) -> Level {
    usize::try_from(number).ok().and_then(|number| Level::ALL.get(number).copied()).unwrap_or_default()
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    code(with(file, |drive, handle| drive.lock(handle, level_of(level))), ffi::SQLITE_IOERR_LOCK)
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    let _ = with(file, |drive, handle| {
        drive.unlock(handle, level_of(level));
        Ok(())
    });
    ffi::SQLITE_OK
}

unsafe extern "C" fn check_reserved_lock(file: *mut ffi::sqlite3_file, result: *mut c_int) -> c_int {
    match with(file, |drive, handle| drive.is_reserved(handle)) {
        Ok(is_reserved) => {
            // SAFETY: SQLite gives a place for the answer.
            unsafe { *result = c_int::from(is_reserved) };
            ffi::SQLITE_OK
        }
        Err(failure) => code(Err(failure), ffi::SQLITE_IOERR_CHECKRESERVEDLOCK),
    }
}

unsafe extern "C" fn file_control(_: *mut ffi::sqlite3_file, _: c_int, _: *mut c_void) -> c_int {
    ffi::SQLITE_NOTFOUND
}

/// What SQLite takes for it on Unix.
unsafe extern "C" fn sector_size(_: *mut ffi::sqlite3_file) -> c_int {
    4_096
}

/// What SQLite takes for granted on Unix: a write changes nothing beside it, also when the power fails.
unsafe extern "C" fn device_characteristics(_: *mut ffi::sqlite3_file) -> c_int {
    ffi::SQLITE_IOCAP_POWERSAFE_OVERWRITE | ffi::SQLITE_IOCAP_SUBPAGE_READ
}

// Shared memory.

unsafe extern "C" fn shm_map(
    file: *mut ffi::sqlite3_file,
    region: c_int,
    len: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    let (number, len) = (usize::try_from(region).unwrap_or(0), usize::try_from(len).unwrap_or(0));
    match with(file, |drive, handle| drive.shared_region(handle, number, len, extend != 0)) {
        Ok(found) => {
            let place = found.map_or(std::ptr::null_mut(), |place| place.cast_mut().cast());
            // SAFETY: SQLite gives a place for the answer. The region it points to stays until this file leaves the shared memory.
            unsafe { *out = place };
            ffi::SQLITE_OK
        }
        Err(failure) => code(Err(failure), ffi::SQLITE_IOERR_SHMMAP),
    }
}

unsafe extern "C" fn shm_lock(file: *mut ffi::sqlite3_file, first: c_int, count: c_int, flags: c_int) -> c_int {
    let mask = u32::try_from(first).ok().zip(u32::try_from(count).ok());
    let mask = mask.filter(|(first, count)| first + count <= ffi::SQLITE_SHM_NLOCK as u32);
    let Some(mask) = mask.map(|(first, count)| ((1 << count) - 1) << first) else { return ffi::SQLITE_IOERR_SHMLOCK };
    let done = with(file, |drive, handle| {
        if flags & ffi::SQLITE_SHM_UNLOCK != 0 {
            drive.release_slots(handle, mask);
            return Ok(());
        }
        drive.take_slots(handle, mask, flags & ffi::SQLITE_SHM_EXCLUSIVE != 0)
    });
    code(done, ffi::SQLITE_IOERR_SHMLOCK)
}

unsafe extern "C" fn shm_barrier(_: *mut ffi::sqlite3_file) {
    fence(Ordering::SeqCst);
}

unsafe extern "C" fn shm_unmap(file: *mut ffi::sqlite3_file, _: c_int) -> c_int {
    let _ = with(file, |drive, handle| {
        drive.leave_shared(handle);
        Ok(())
    });
    ffi::SQLITE_OK
}
