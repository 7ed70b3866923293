//! What a path names that is to be written: standard output, a stream that stays what it is, or a
//! file.
//!
//! Links are followed. How a file is replaced is decided in `destination`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
#[cfg(unix)]
use std::time::{Duration, Instant};

/// As Linux limits it.
const MAX_LINKS: usize = 40;
/// How long a named pipe may be without a reader: the reader may have been started just now.
#[cfg(unix)]
const READER_WAIT: Duration = Duration::from_secs(3);
/// How often it is tried again.
#[cfg(unix)]
const READER_POLL: Duration = Duration::from_millis(20);

/// What a path names that is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// `-`, or a name of the descriptor.
    StandardOutput,
    /// A name of the descriptor.
    StandardError,
    /// A device, a pipe or a socket, or a descriptor that the shell has opened. It is written to,
    /// and never replaced.
    Stream(PathBuf),
    /// A file that exists or can be made, behind all links.
    File(PathBuf),
}

impl Place {
    /// What `path` names.
    ///
    /// # Errors
    /// When it can be none of them, as a folder.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::StandardOutput);
        }
        let mut path = path.to_owned();
        for _ in 0..MAX_LINKS {
            if let Some(descriptor) = descriptor(&path) {
                return Ok(descriptor);
            }
            match fs::symlink_metadata(&path) {
                Ok(found) if found.is_symlink() => {
                    let target = fs::read_link(&path)?;
                    path = folder_of(&path).join(target);
                }
                Ok(found) if found.is_dir() => return Err(is_a_folder()),
                Ok(found) => return existing(path, found.file_type()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return new(&path),
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("its symbolic links form a loop"))
    }
}

/// Whether a path names standard output.
#[must_use]
pub fn is_standard_output(path: &Path) -> bool {
    Place::of(path).is_ok_and(|place| place == Place::StandardOutput)
}

/// The folder of a file, which may be the current one.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn is_a_folder() -> io::Error {
    io::Error::new(io::ErrorKind::IsADirectory, "it is a folder")
}

/// A file that does not exist yet.
fn new(path: &Path) -> io::Result<Place> {
    let text = path.as_os_str().as_encoded_bytes();
    match path.file_name() {
        Some(_) if !text.ends_with(b"/") => file(path),
        _ => Err(is_a_folder()),
    }
}

/// The same file has the same path, however it was spelled.
fn file(path: &Path) -> io::Result<Place> {
    let folder = fs::canonicalize(folder_of(path))?;
    let name = path.file_name().ok_or_else(is_a_folder)?;
    Ok(Place::File(folder.join(name)))
}

/// Something that is neither a link nor a folder.
#[cfg(unix)]
fn existing(path: PathBuf, kind: fs::FileType) -> io::Result<Place> {
    use std::os::unix::fs::FileTypeExt;

    if kind.is_block_device() {
        // A result would overwrite what the disk holds.
        let text = "it is a block device";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    if kind.is_file() {
        file(&path)
    } else {
        Ok(Place::Stream(path))
    }
}

#[cfg(not(unix))]
fn existing(path: PathBuf, _: fs::FileType) -> io::Result<Place> {
    file(&path)
}

/// The descriptor of this process that a path names, as `/dev/fd/63` of a shell's `>(command)`.
/// Even a file is not replaced behind it: the shell would keep the old one.
#[cfg(unix)]
fn descriptor(path: &Path) -> Option<Place> {
    let folder = fs::canonicalize(folder_of(path)).ok()?;
    let own = ["/dev/fd", "/proc/self/fd", "/proc/thread-self/fd"];
    let is_own = |name: &str| fs::canonicalize(name).is_ok_and(|own| own == folder);
    if !own.into_iter().any(is_own) {
        return None;
    }
    match path.file_name()?.to_str()? {
        "1" => Some(Place::StandardOutput),
        "2" => Some(Place::StandardError),
        _ => Some(Place::Stream(path.to_owned())),
    }
}

#[cfg(not(unix))]
fn descriptor(_: &Path) -> Option<Place> {
    None
}

/// Opens a stream for writing. A named pipe without a reader is an error after some seconds.
#[cfg(unix)]
pub(crate) fn open_stream(path: &Path) -> io::Result<File> {
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
    use std::os::unix::net::UnixStream;

    use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
    use rustix::io::Errno;

    let kind = fs::metadata(path)?.file_type();
    if kind.is_socket() {
        let stream = UnixStream::connect(path)?;
        return Ok(File::from(OwnedFd::from(stream)));
    }
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let mut options = OpenOptions::new();
    options
        .append(true)
        .custom_flags(flags.bits().cast_signed());
    let deadline = Instant::now() + READER_WAIT;
    let has_no_reader = |error: &io::Error| {
        kind.is_fifo() && error.raw_os_error() == Some(Errno::NXIO.raw_os_error())
    };
    loop {
        match options.open(path) {
            Err(error) if has_no_reader(&error) && Instant::now() < deadline => {
                std::thread::sleep(READER_POLL);
            }
            Err(error) if has_no_reader(&error) => {
                let text = "it is a named pipe, and no program reads it";
                return Err(io::Error::new(io::ErrorKind::NotConnected, text));
            }
            Err(error) => return Err(error),
            Ok(file) => {
                // Only opening must not wait for ever: writing waits for the reader.
                let flags = fcntl_getfl(&file)?;
                fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
                return Ok(file);
            }
        }
    }
}

#[cfg(not(unix))]
pub(crate) fn open_stream(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).open(path)
}

/// Opens a log, which grows while it is written: a file is emptied and appended to where it is, and
/// keeps its links, mode and owner; `-` is standard output.
///
/// # Errors
/// When it cannot be written to, or is a named pipe that no program reads.
pub fn open_log(path: &Path) -> io::Result<Box<dyn Write + Send>> {
    if let Place::File(path) = Place::of(path)? {
        File::create(path)?;
    }
    reopen_log(path)
}

/// The same for a log that was open before, and may have been renamed: a file is made if there is
/// none, and not emptied.
///
/// # Errors
/// As [`open_log`].
pub fn reopen_log(path: &Path) -> io::Result<Box<dyn Write + Send>> {
    Ok(match Place::of(path)? {
        Place::StandardOutput => Box::new(io::stdout()),
        Place::StandardError => Box::new(io::stderr()),
        Place::Stream(path) => Box::new(open_stream(&path)?),
        Place::File(path) => Box::new(OpenOptions::new().append(true).create(true).open(path)?),
    })
}
