//! An Input is the bytes of a file, unpacked: plain, from the one file in a zip, or from gzip, streamed in each case.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::read::{DeflateDecoder, MultiGzDecoder};

use crate::Error;

/// Unpacked bytes.
pub(crate) type Input = Box<dyn Read + Send>;

const BUFFER: usize = 1 << 16;

pub(crate) fn cannot_read(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::new(format!("cannot be read: {error}")).file(path)
}

pub(crate) fn extension(path: &Path) -> String {
    path.extension().and_then(|text| text.to_str()).unwrap_or_default().to_ascii_lowercase()
}

/// Opens a file; what it is packed in is told by its ending.
pub(crate) fn open(path: &Path) -> Result<Input, Error> {
    let file = File::open(path).map_err(|error| cannot_read(path, &error))?;
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(cannot_read(path, &"it is a folder"));
    }
    match extension(path).as_str() {
        "zip" => open_zip(path, file),
        "gz" => Ok(Box::new(MultiGzDecoder::new(BufReader::with_capacity(BUFFER, file)))),
        _ => Ok(Box::new(BufReader::with_capacity(BUFFER, file))),
    }
}

/// The sentence for an error of reading: a packed file that ends too early says so.
pub(crate) fn read_failed(path: &Path, error: &io::Error) -> Error {
    let again = "download it again";
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Error::new("the packed file ends too early").file(path).hint(again),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
            Error::new(format!("the packed file is damaged: {error}")).file(path).hint(again)
        }
        _ => cannot_read(path, error),
    }
}

/// The one file of a zip. The archive's index is read by the zip crate; the bytes are then unpacked straight from the
/// file, so that nothing borrows the archive.
fn open_zip(path: &Path, file: File) -> Result<Input, Error> {
    let unreadable = |error: &dyn std::fmt::Display| {
        Error::new(format!("the zip cannot be read: {error}")).file(path).hint("download it again")
    };
    let mut archive = zip::ZipArchive::new(BufReader::new(file)).map_err(|error| unreadable(&error))?;
    let mut wanted = Vec::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(|error| unreadable(&error))?;
        let name = entry.name().map_err(|error| unreadable(&error))?.into_owned();
        if !entry.is_dir() && !name.starts_with("__MACOSX") {
            wanted.push((index, name));
        }
    }
    let [(index, _)] = wanted.as_slice() else {
        let problem = format!("the zip holds {} files where one is expected", wanted.len());
        return Err(Error::new(problem).file(path).hint("unpack it and name the folder"));
    };
    let entry = archive.by_index_raw(*index).map_err(|error| unreadable(&error))?;
    if entry.encrypted() {
        return Err(Error::new("the zip is encrypted").file(path).hint("unpack it first"));
    }
    let (method, crc, packed) = (entry.compression(), entry.crc32(), entry.compressed_size());
    let start = entry.data_start().ok_or_else(|| unreadable(&"its index is damaged"))?;
    drop(entry);
    let mut file = archive.into_inner();
    file.seek(SeekFrom::Start(start)).map_err(|error| cannot_read(path, &error))?;
    let bytes = file.take(packed);
    match method {
        zip::CompressionMethod::Stored => Ok(Box::new(Verified::new(bytes, crc))),
        zip::CompressionMethod::Deflated => Ok(Box::new(Verified::new(DeflateDecoder::new(bytes), crc))),
        other => Err(Error::new(format!("the zip is packed with {other}; known is deflate")).file(path)),
    }
}

/// Passes bytes on and compares their checksum at the end.
struct Verified<R> {
    inner: R,
    sum: flate2::Crc,
    expected: u32,
}

impl<R> Verified<R> {
    fn new(inner: R, expected: u32) -> Verified<R> {
        Verified { inner, sum: flate2::Crc::new(), expected }
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if count == 0 && !buffer.is_empty() && self.sum.sum() != self.expected {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its checksum differs"));
        }
        self.sum.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}
