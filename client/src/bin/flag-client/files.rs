//! The files and folders that options name: whether they can be written is known before the work,
//! not after it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use flag_host::{Destination, make_folder, write_document};

use crate::exit::Usage;
use crate::terminal::leave_standard_output;

/// A file that an option names.
pub(crate) struct OutputFile {
    pub(crate) flag: &'static str,
    pub(crate) path: PathBuf,
    destination: Destination,
}

impl OutputFile {
    /// The file of an option that was given.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(crate) fn open(flag: &'static str, path: &Path) -> anyhow::Result<Self> {
        let opened = Destination::new(path).and_then(|destination| {
            destination.check()?;
            Ok(destination)
        });
        let remedy = match opened.as_ref().map_err(io::Error::kind) {
            Err(io::ErrorKind::NotFound) => "name a file in a folder that exists",
            Err(io::ErrorKind::NotConnected) => "start its reader first",
            _ => "name another file",
        };
        let path = path.to_owned();
        match opened {
            Ok(destination) => Ok(Self {
                flag,
                path,
                destination,
            }),
            Err(reason) => bail!(Usage(format!(
                "{flag} {}: cannot be written ({reason}); {remedy}",
                path.display()
            ))),
        }
    }

    /// Whether a document replaces the one before it. To a device or a pipe, only the last is
    /// written.
    pub(crate) fn is_replaced(&self) -> bool {
        self.destination.is_replaced()
    }

    /// Writes a document.
    pub(crate) fn save(&self, document: &[u8]) -> anyhow::Result<()> {
        self.save_with(|out| out.write_all(document))
    }

    /// Writes a document in parts.
    pub(crate) fn save_with(
        &self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> anyhow::Result<()> {
        match self.destination.write_with(write) {
            // A reader of standard output that has closed its end may have read enough.
            Err(error)
                if self.destination.is_standard_output()
                    && error.kind() == io::ErrorKind::BrokenPipe =>
            {
                Ok(())
            }
            written => written.with_context(|| cannot_write(self.flag, &self.path)),
        }
    }
}

/// Leaves standard output to the file that is it, so that what is printed goes to standard error.
/// Refuses two such files, files that would replace each other, and a file beside a document that
/// is printed.
pub(crate) fn share_standard_output<'a>(
    files: impl IntoIterator<Item = &'a OutputFile>,
    prints_document: bool,
) -> anyhow::Result<()> {
    let files: Vec<&OutputFile> = files.into_iter().collect();
    let is_taken = |file: &&&OutputFile| file.destination.is_standard_output();
    for (index, file) in files.iter().enumerate() {
        let is_same = |other: &&&OutputFile| {
            (is_taken(&file) && is_taken(other))
                || (file.destination.file().is_some()
                    && file.destination.file() == other.destination.file())
        };
        if let Some(other) = files[..index].iter().find(is_same) {
            bail!(Usage(format!(
                "{} {}: is what {} writes to; name another file for one of them",
                file.flag,
                file.path.display(),
                other.flag
            )));
        }
    }
    match files.iter().find(is_taken) {
        Some(file) if prints_document => bail!(Usage(format!(
            "{} {}: standard output has what --format asks for; name a file, or leave one of them out",
            file.flag,
            file.path.display()
        ))),
        Some(_) => leave_standard_output(),
        None => {}
    }
    Ok(())
}

/// A folder that an option names.
pub(crate) struct OutputFolder {
    flag: &'static str,
    pub(crate) path: PathBuf,
}

impl OutputFolder {
    /// The folder of an option that was given; it is made if it does not exist.
    ///
    /// # Errors
    /// When nothing can be written to it.
    pub(crate) fn open(flag: &'static str, path: &Path) -> anyhow::Result<Self> {
        match make_folder(path) {
            Ok(()) => Ok(Self {
                flag,
                path: path.to_owned(),
            }),
            Err(reason) => bail!(Usage(format!(
                "{flag} {}: cannot be written to ({reason}); name another folder",
                path.display()
            ))),
        }
    }

    /// Writes a document to a file in it.
    pub(crate) fn save(&self, name: &str, document: &[u8]) -> anyhow::Result<()> {
        let file = self.path.join(name);
        write_document(&file, document).with_context(|| cannot_write(self.flag, &file))
    }
}

/// The text of an error about this file.
fn cannot_write(flag: &str, file: &Path) -> String {
    format!("{flag} {}: cannot be written", file.display())
}
