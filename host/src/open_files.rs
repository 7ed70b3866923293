//! The limit of open files: raises it as far as the system allows, and says what is missing. How
//! many are needed is for the caller to say.

use std::error::Error;
use std::fmt;

/// What a program has open beside its connections and its runtimes, and more: the standard streams,
/// listeners, documents, and the pipes of signals and of a process that starts.
pub const PROGRAM_FILES: u64 = 24;

/// What a runtime of tokio has open: its selector, that of its registry, what wakes it, and its end
/// of the signals.
pub const RUNTIME_FILES: u64 = 4;

/// The limit of open files is too low, and cannot be raised. The text follows the option that needs
/// them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooFewFiles {
    /// The open files that are needed.
    pub wanted: u64,
    /// The limit.
    pub allowed: u64,
}

impl fmt::Display for TooFewFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wanted, allowed } = self;
        write!(
            f,
            "takes {wanted} open files, and the system allows {allowed}; raise the limit (ulimit -n {wanted})"
        )
    }
}

impl Error for TooFewFiles {}

/// Raises the limit of open files to `wanted` if it is lower.
///
/// # Errors
/// When the system does not allow as many.
pub fn require_files(wanted: u64) -> Result<(), TooFewFiles> {
    match allow_files(wanted) {
        allowed if allowed < wanted => Err(TooFewFiles { wanted, allowed }),
        _ => Ok(()),
    }
}

/// Raises the limit of open files, sockets among them, to `wanted`, or as far as the system allows.
/// Returns the limit that holds afterwards; it is never lowered.
#[cfg(unix)]
fn allow_files(wanted: u64) -> u64 {
    use rlimit::Resource;

    let raised = rlimit::increase_nofile_limit(wanted);
    if raised.is_ok_and(|limit| limit < wanted) {
        // That was the hard limit, which only root may raise; everybody else keeps it.
        let _ = Resource::NOFILE.set(wanted, wanted);
    }
    Resource::NOFILE.get_soft().unwrap_or(wanted)
}

/// Windows has no such limit: memory is the limit there.
#[cfg(not(unix))]
fn allow_files(_: u64) -> u64 {
    u64::MAX
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_never_lowered_and_an_unreachable_one_is_reported() {
        let now = allow_files(1);
        assert_eq!(require_files(now), Ok(()));
        let wanted = u64::MAX / 2;
        let TooFewFiles { allowed, .. } = require_files(wanted).unwrap_err();
        assert!(now <= allowed, "{now} {allowed}");
        assert_eq!(allow_files(1), allowed);
        let error = require_files(wanted).unwrap_err();
        assert_eq!(error, TooFewFiles { wanted, allowed });
        let text = format!("and the system allows {allowed}; raise the limit (ulimit -n {wanted})");
        assert!(error.to_string().ends_with(&text), "{error}");
    }
}
