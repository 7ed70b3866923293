//! Files that appear whole or not at all.

use std::io::{self, BufWriter, IntoInnerError, Write};
use std::path::Path;

use tempfile::{Builder, NamedTempFile};

/// Writes `bytes` to `path` through a temporary file in the same folder and a rename. A reader of
/// `path` sees the old file or the new one, never a part of either.
///
/// # Errors
/// When the folder of `path` does not exist or cannot be written to, or the disk is full.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    stream_atomically(path, |file| file.write_all(bytes))
}

/// As [`write_atomically`], for content that is written in parts instead of held in memory.
///
/// # Errors
/// As [`write_atomically`], and those of `write`.
pub fn stream_atomically(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let mut file = BufWriter::new(temporary_in(folder.unwrap_or(Path::new(".")))?);
    write(&mut file)?;
    let file = file.into_inner().map_err(IntoInnerError::into_error)?;
    file.persist(path)?;
    Ok(())
}

fn temporary_in(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = Builder::new();
    be_ordinary(&mut builder);
    builder.prefix(".").suffix(".part").tempfile_in(folder)
}

/// Gives temporary files the permissions of an ordinary new file; by default only their owner can
/// read them.
#[cfg(unix)]
fn be_ordinary(files: &mut tempfile::Builder<'_, '_>) {
    files.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666)); // less the umask
}

/// On other systems the folder decides.
#[cfg(not(unix))]
fn be_ordinary(_: &mut tempfile::Builder<'_, '_>) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_and_no_temporary_file_remains() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for content in ["first", "second, and longer"] {
            write_atomically(&path, content.as_bytes()).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), content);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_new_file_has_ordinary_permissions() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode();
        let (atomic, ordinary) = (folder.path().join("atomic"), folder.path().join("ordinary"));
        write_atomically(&atomic, b"").unwrap();
        std::fs::write(&ordinary, b"").unwrap();
        assert_eq!(mode(&atomic), mode(&ordinary));
    }

    #[test]
    fn a_folder_that_does_not_exist_is_an_error() {
        assert!(write_atomically(Path::new("/no/such/folder/file"), b"").is_err());
    }
}
