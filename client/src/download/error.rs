//! Why a job cannot be done at all.

use thiserror::Error;

/// The job cannot be done at all.
#[derive(Debug, Error)]
pub enum SetupError {
    /// No HTTP client could be set up.
    #[error("cannot set up the HTTP client ({0})")]
    Http(String),
    /// Anything else that a downloader of the user's own needs, in words that name the remedy.
    #[error("{0}")]
    Other(String),
}
