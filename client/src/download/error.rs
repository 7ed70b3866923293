//! What went wrong, and of which kind: with a job that cannot be done at all, and with an attempt
//! that got no response.

use std::error::Error;
use std::fmt;
use std::io;

use flag_cli::one_line;
use thiserror::Error;

use super::sample::Outcome;

/// The job cannot be done at all.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SetupError {
    /// No HTTP client could be set up.
    #[error("cannot set up the HTTP client ({0})")]
    Http(String),
    /// Anything else that a custom downloader lacks; the text names the remedy.
    #[error("{0}")]
    Other(String),
}

/// Why an attempt got no response, or not all of it.
///
/// Any error becomes one, so `?` does. The kind of failure is read from the error and its causes:
/// an [`io::Error`], and the errors of reqwest, ureq and tokio's time limits. Whatever else it is
/// counts as a broken connection; for the time limit of another library, say
/// [`timeout`](Self::timeout).
///
/// Like `anyhow::Error` it is no [`Error`] itself, or it could not be made of all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptError {
    outcome: Outcome,
    message: String,
}

impl AttemptError {
    /// It took longer than the time limit.
    pub fn timeout(error: impl fmt::Display) -> Self {
        Self::new(Outcome::Timeout, error)
    }

    /// No connection could be made.
    pub fn no_connection(error: impl fmt::Display) -> Self {
        Self::new(Outcome::NoConnection, error)
    }

    /// The connection broke, or carried something other than HTTP.
    pub fn broken(error: impl fmt::Display) -> Self {
        Self::new(Outcome::BrokenConnection, error)
    }

    fn new(outcome: Outcome, message: impl fmt::Display) -> Self {
        // A server, or the URL of a redirect, has a part in it.
        Self {
            outcome,
            message: one_line(&message.to_string()),
        }
    }

    /// How the attempt ended.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// The same in words.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl<E: Error + 'static> From<E> for AttemptError {
    fn from(error: E) -> Self {
        Self::new(kind(&error), error_chain(&error))
    }
}

/// The kind of failure that this error, or the first of its causes that says so, is about.
fn kind(error: &(dyn Error + 'static)) -> Outcome {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(outcome) = kind_of_one(error) {
            return outcome;
        }
        cause = error.source();
    }
    Outcome::BrokenConnection
}

fn kind_of_one(error: &(dyn Error + 'static)) -> Option<Outcome> {
    use io::ErrorKind as Io;
    if let Some(error) = error.downcast_ref::<reqwest::Error>() {
        return match (error.is_timeout(), error.is_connect()) {
            (true, _) => Some(Outcome::Timeout),
            (_, true) => Some(Outcome::NoConnection),
            _ => None,
        };
    }
    if let Some(error) = error.downcast_ref::<ureq::Error>() {
        return match error {
            ureq::Error::Timeout(_) => Some(Outcome::Timeout),
            ureq::Error::HostNotFound | ureq::Error::ConnectionFailed => {
                Some(Outcome::NoConnection)
            }
            ureq::Error::Io(error) => kind_of_one(error), // which it does not name as its source
            _ => None,
        };
    }
    if error.is::<tokio::time::error::Elapsed>() {
        return Some(Outcome::Timeout);
    }
    match error.downcast_ref::<io::Error>()?.kind() {
        Io::TimedOut => Some(Outcome::Timeout),
        Io::ConnectionRefused
        | Io::HostUnreachable
        | Io::NetworkUnreachable
        | Io::AddrNotAvailable => Some(Outcome::NoConnection),
        _ => None,
    }
}

/// The error with all its causes: the outermost alone says only "error sending request".
pub(crate) fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Error)]
    #[error("cannot get it")]
    struct Outer(#[source] io::Error);

    #[test]
    fn the_kind_of_failure_is_that_of_the_first_cause_that_says_so() {
        for (cause, outcome) in [
            (io::ErrorKind::TimedOut, Outcome::Timeout),
            (io::ErrorKind::ConnectionRefused, Outcome::NoConnection),
            (io::ErrorKind::ConnectionReset, Outcome::BrokenConnection),
            (io::ErrorKind::UnexpectedEof, Outcome::BrokenConnection),
        ] {
            assert_eq!(
                AttemptError::from(io::Error::from(cause)).outcome(),
                outcome
            );
            let outer = AttemptError::from(Outer(cause.into()));
            assert_eq!(outer.outcome(), outcome);
            assert!(outer.message().starts_with("cannot get it: "), "{outer:?}");
            let ureq = ureq::Error::from(io::Error::from(cause));
            assert_eq!(AttemptError::from(ureq).outcome(), outcome);
        }
        crate::download::http::exchange::install_crypto();
        let refused = reqwest::blocking::get("http://127.0.0.1:1/").unwrap_err();
        assert_eq!(AttemptError::from(refused).outcome(), Outcome::NoConnection);
        assert_eq!(AttemptError::timeout("late").outcome(), Outcome::Timeout);
    }
}
