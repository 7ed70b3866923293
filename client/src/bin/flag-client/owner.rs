//! Files in a mounted folder that belong to the user who mounted it.
//!
//! A container cannot know who will start it, and files of another user are a nuisance. So it may
//! start as root, with no other capabilities than SETUID and SETGID, and name the folder in
//! `FLAG_CLIENT_AS_OWNER_OF`: the program becomes the owner of that folder before it does anything,
//! and root no more.

use std::io;

use thiserror::Error;

/// Why it remains who it is.
#[derive(Debug, Error)]
#[error(
    "FLAG_CLIENT_AS_OWNER_OF={folder}: cannot become its owner ({reason}); mount a folder there, and grant the capabilities SETUID and SETGID"
)]
pub(crate) struct NotTheOwner {
    folder: String,
    reason: io::Error,
}

/// Becomes the owner of the folder that the environment names, if it names one and the program is
/// root.
#[cfg(target_os = "linux")]
pub(crate) fn become_the_owner() -> Result<(), NotTheOwner> {
    let Some(folder) = std::env::var_os("FLAG_CLIENT_AS_OWNER_OF") else {
        return Ok(());
    };
    become_owner_of(folder.as_ref()).map_err(|reason| NotTheOwner {
        folder: folder.display().to_string(),
        reason,
    })
}

#[cfg(target_os = "linux")]
fn become_owner_of(folder: &std::path::Path) -> io::Result<()> {
    use std::os::unix::fs::MetadataExt;

    use nix::unistd::{Gid, Uid, setgid, setgroups, setuid};

    let owner = std::fs::metadata(folder)?;
    let (user, group) = (Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid()));
    if !Uid::effective().is_root() || user.is_root() {
        return Ok(());
    }
    // SECURITY: in this order, since after the last of them the others are forbidden.
    setgroups(&[])?;
    setgid(group)?;
    setuid(user)?;
    Ok(())
}

/// Containers are Linux.
#[cfg(not(target_os = "linux"))]
#[allow(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
pub(crate) fn become_the_owner() -> Result<(), NotTheOwner> {
    Ok(())
}
