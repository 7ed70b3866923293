//! The exit codes, and which errors are bad usage. Those after signals are `flag_cli::Signal`'s.

use flag_cli::SaveError;
use flag_client::download::NoSuchRunner;
use flag_client::race::{CommandError, ContenderError, OtherPlan, TargetError};
use flag_client::report::json::ReadError;
use flag_client::result::threshold::NotMeasured;
use thiserror::Error;

/// Some download went wrong.
pub(crate) const FAILED: u8 = 1;
/// Bad usage or configuration.
pub(crate) const USAGE: u8 = 2;
/// A threshold is not met, or something has become slower: k6's code for it.
pub(crate) const REGRESSED: u8 = 99;

/// The options contradict each other or cannot be followed. The text names the flag and the remedy.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct Usage(pub(crate) String);

/// The exit code for an error: whether the command line or a file that it names is to blame.
pub(crate) fn code_of(error: &anyhow::Error) -> u8 {
    let target = error.downcast_ref::<TargetError>();
    let pages: Option<&SaveError> = error.downcast_ref();
    let is_usage = target.is_some_and(TargetError::is_usage)
        || pages.is_some_and(|error| error.is_usage)
        || error.is::<NoSuchRunner>()
        || error.is::<CommandError>()
        || matches!(
            error.downcast_ref(),
            Some(ContenderError::Command(_) | ContenderError::OtherPlan(_))
        )
        || error.is::<OtherPlan>()
        || error.is::<NotMeasured>()
        || error.is::<ReadError>()
        || error.is::<Usage>();
    if is_usage { USAGE } else { FAILED }
}
