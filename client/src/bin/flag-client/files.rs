//! Whether files can be written: better known before the work than after it.

use std::path::Path;

use anyhow::{Context, bail};

use crate::exit::Usage;

/// Creates the folder if it does not exist, and tries to write to it.
pub(crate) fn make_writable(flag: &str, folder: &Path) -> anyhow::Result<()> {
    let remedy = || {
        format!(
            "{flag} {}: cannot be written to; name another folder",
            folder.display()
        )
    };
    std::fs::create_dir_all(folder).with_context(remedy)?;
    let probe = folder.join(".flag-client");
    std::fs::write(&probe, b"").with_context(remedy)?;
    std::fs::remove_file(&probe).with_context(remedy)
}

/// Refuses a file that is a folder, or that is in a folder that does not exist.
pub(crate) fn check_file(flag: &str, file: &Path) -> anyhow::Result<()> {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_some_and(|folder| !folder.is_dir()) || file.is_dir() {
        bail!(Usage(format!(
            "{flag} {}: name a file in a folder that exists",
            file.display()
        )));
    }
    Ok(())
}

/// The text of an error about this file.
pub(crate) fn cannot_write(flag: &str, file: &Path) -> String {
    format!(
        "{flag} {}: cannot be written; name another file",
        file.display()
    )
}
