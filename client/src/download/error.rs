//! The errors that keep a job from starting.

use thiserror::Error;

/// The job cannot be done at all.
#[derive(Debug, Error)]
pub enum SetupError {
    /// No HTTP client could be set up.
    #[error("cannot set up the HTTP client ({0})")]
    Http(String),
    /// Anything else that a custom downloader lacks; the text names the remedy.
    #[error("{0}")]
    Other(String),
}
