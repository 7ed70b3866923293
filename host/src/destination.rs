//! Where a document goes: a file that appears whole or not at all, a stream, or standard output.
//!
//! It decides how each of them is written, and whether that can succeed before there is anything
//! to write. What a path names is decided in `place`.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, BufWriter, Seek, Write};
use std::path::Path;
use std::sync::Mutex;

use tempfile::{Builder, NamedTempFile};

use crate::lock::lock;
use crate::place::{Place, folder_of, open_stream};

/// Where a document goes.
///
/// - `-` and `/dev/stdout` are standard output.
/// - Devices, pipes and sockets are written to, and so are descriptors such as `/dev/fd/3`.
/// - A file is replaced through a temporary file in its folder and a rename: a reader sees the old
///   file or the new one, never a part of either, and a full disk leaves the old one. Symbolic
///   links are followed, and mode and owner are kept. Other hard links to an old file keep the old
///   content. Only where a file cannot be replaced by one of the same owner, or is mounted, is it
///   written in place.
#[derive(Debug)]
pub struct Destination {
    place: Place,
    /// What was there at first: its mode and owner are kept.
    old: Option<Metadata>,
    /// A stream that was opened by the check.
    stream: Mutex<Option<File>>,
}

impl Destination {
    /// What this path names.
    ///
    /// # Errors
    /// When it can be no document, as a folder.
    pub fn new(path: &Path) -> io::Result<Self> {
        let place = Place::of(path)?;
        let old = match &place {
            Place::File(file) => fs::metadata(file).ok(),
            _ => None,
        };
        Ok(Self {
            place,
            old,
            stream: Mutex::new(None),
        })
    }

    /// Whether it is standard output.
    #[must_use]
    pub fn is_standard_output(&self) -> bool {
        self.place == Place::StandardOutput
    }

    /// Whether a document replaces the one before it. To a stream it would be added.
    #[must_use]
    pub fn is_replaced(&self) -> bool {
        matches!(self.place, Place::File(_))
    }

    /// The file behind all links, if it is one.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        match &self.place {
            Place::File(file) => Some(file),
            _ => None,
        }
    }

    /// Finds out whether it can be written, and changes nothing. Opens a stream, so that its reader
    /// waits for the document.
    ///
    /// # Errors
    /// When a file cannot be written to, nothing can be made in its folder, or a named pipe has no
    /// reader within some seconds.
    pub fn check(&self) -> io::Result<()> {
        match &self.place {
            Place::StandardOutput | Place::StandardError => Ok(()),
            Place::Stream(path) => {
                *lock(&self.stream) = Some(open_stream(path)?);
                Ok(())
            }
            Place::File(path) => {
                if self.old.is_some() {
                    OpenOptions::new().write(true).open(path)?;
                }
                check_folder(folder_of(path))
            }
        }
    }

    /// Removes a file that an earlier run has left; what its mode and owner were is remembered.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(&self) -> io::Result<()> {
        match &self.place {
            Place::File(path) => match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Writes a document that is held in memory.
    ///
    /// # Errors
    /// When it cannot be written, or the disk is full.
    pub fn write(&self, bytes: &[u8]) -> io::Result<()> {
        self.write_with(|out| out.write_all(bytes))
    }

    /// As [`write`](Self::write), for a document that is written in parts.
    ///
    /// # Errors
    /// As [`write`](Self::write), and those of `write`.
    pub fn write_with(
        &self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        match &self.place {
            Place::StandardOutput => to_stream(io::stdout().lock(), write),
            Place::StandardError => to_stream(io::stderr().lock(), write),
            Place::Stream(path) => {
                let checked = lock(&self.stream).take();
                let stream = checked.map_or_else(|| open_stream(path), Ok)?;
                to_stream(stream, write)
            }
            Place::File(path) => self.replace(path, write),
        }
    }

    fn replace(
        &self,
        path: &Path,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let now = fs::metadata(path).ok();
        let exists = now.is_some();
        let old = now.as_ref().or(self.old.as_ref());
        if exists {
            // A file that may only be read is not replaced, though its folder would permit it.
            OpenOptions::new().write(true).open(path)?;
        }
        let mut file = temporary_in(folder_of(path), old.is_some())?;
        to_stream(file.as_file_mut(), write)?;
        if let Some(old) = old
            && let Err(error) = resemble(file.as_file(), old)
        {
            return if exists {
                copy_over(file, path)
            } else {
                Err(error)
            };
        }
        match file.persist(path) {
            Ok(_) => Ok(()),
            // It is a mount point, or in a folder where only its owner may replace it.
            Err(refused) if exists => copy_over(refused.file, path).map_err(|_| refused.error),
            Err(refused) => Err(refused.error),
        }
    }
}

/// Writes `bytes` to `path`, as [`Destination`] describes.
///
/// # Errors
/// When the folder of `path` does not exist or cannot be written to, or the disk is full.
pub fn write_document(path: &Path, bytes: &[u8]) -> io::Result<()> {
    Destination::new(path)?.write(bytes)
}

/// Makes a folder if it does not exist, and finds out whether a file can be made in it.
///
/// # Errors
/// When that is not so. `-` is standard output elsewhere, and no folder here.
pub fn make_folder(folder: &Path) -> io::Result<()> {
    if folder == Path::new("-") {
        let text = "standard output is no folder; ./- would be one";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    fs::create_dir_all(folder)?;
    check_folder(folder)
}

fn check_folder(folder: &Path) -> io::Result<()> {
    temporary_in(folder, true).map(drop)
}

fn to_stream(
    stream: impl Write,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut stream = BufWriter::new(stream);
    let written = write(&mut stream).and_then(|()| stream.flush());
    if written.is_err() {
        // Without its last bytes, which would fail again.
        drop(stream.into_parts());
    }
    written
}

/// A new file with the permissions of an ordinary one, or with none for others where those of an
/// older one will be given to it. No error names it.
fn temporary_in(folder: &Path, is_private: bool) -> io::Result<NamedTempFile> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    {
        let mode = if is_private { 0o600 } else { 0o666 };
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    }
    #[cfg(not(unix))]
    let _ = is_private;
    let mut reason = None;
    let made = Builder::new()
        .prefix(".")
        .suffix(".part")
        .make_in(folder, |path| {
            options
                .open(path)
                .inspect_err(|error| reason = error.raw_os_error())
        });
    made.map_err(|error| reason.map_or(error, io::Error::from_raw_os_error))
}

/// Gives a file the owner and the mode of an older one.
#[cfg(unix)]
fn resemble(file: &File, old: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};

    let new = file.metadata()?;
    if (new.uid(), new.gid()) != (old.uid(), old.gid()) {
        fchown(file, Some(old.uid()), Some(old.gid()))?;
    }
    file.set_permissions(fs::Permissions::from_mode(old.mode() & 0o7777))
}

#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
fn resemble(_: &File, _: &Metadata) -> io::Result<()> {
    Ok(())
}

/// Writes in place what cannot replace the file.
fn copy_over(mut new: NamedTempFile, path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).open(path)?;
    let new = new.as_file_mut();
    new.rewind()?;
    let length = io::copy(new, &mut file)?;
    file.set_len(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_no_temporary_file_remains() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for content in ["first", "second, and longer"] {
            write_document(&path, content.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_new_file_has_ordinary_permissions() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        let (ours, ordinary) = (folder.path().join("ours"), folder.path().join("ordinary"));
        write_document(&ours, b"").unwrap();
        fs::write(&ordinary, b"").unwrap();
        assert_eq!(mode(&ours), mode(&ordinary));
    }

    #[test]
    fn a_folder_that_does_not_exist_is_an_error() {
        assert!(write_document(Path::new("/no/such/folder/file"), b"").is_err());
    }

    #[test]
    fn a_file_that_cannot_be_replaced_is_written_in_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "older, and longer").unwrap();
        let mut new = temporary_in(folder.path(), true).unwrap();
        new.write_all(b"newer").unwrap();
        copy_over(new, &path).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "newer");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_loop_of_links_and_a_name_that_is_a_folders_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name| folder.path().join(name);
        std::os::unix::fs::symlink("two", path("one")).unwrap();
        std::os::unix::fs::symlink("one", path("two")).unwrap();
        for name in ["one", "none/", "."] {
            assert!(Destination::new(&path(name)).is_err(), "{name}");
        }
    }
}
