//! Loads a scenario that a command line or a file names: an embedded profile, another file, or
//! short options.

use std::path::Path;

use thiserror::Error;

use crate::file::{MAX_TOML, read_limited, remedy};
use crate::profiles::{PROFILES, Profile};
use crate::{Scenario, ScenarioError, ShortScenario};

/// A scenario cannot be loaded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SourceError {
    /// No profile has this name.
    #[error("--profile {0}: there is no such profile{hint}; take one of {names}", hint = Profile::hint(.0), names = profile_names())]
    UnknownProfile(String),
    /// The scenario file cannot be read.
    #[error("--scenario {path}: cannot be read ({reason}); {}", remedy(reason))]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        reason: std::io::Error,
    },
    /// The scenario file has errors.
    #[error("--scenario {path}: has errors; correct these lines:\n{reason}")]
    Invalid {
        /// The file.
        path: String,
        /// Every problem in it.
        reason: ScenarioError,
    },
}

/// The scenario that a client or a server names.
///
/// # Errors
/// When there is no such profile, or the file is missing or wrong.
pub fn named_scenario(source: &ScenarioSource<'_>) -> Result<(String, Scenario), SourceError> {
    let (name, scenario, _) = scenario_and_text(source)?;
    Ok((name, scenario))
}

/// The same, and the text of its file.
///
/// # Errors
/// When there is no such profile, or the file is missing or wrong.
pub fn scenario_and_text(
    source: &ScenarioSource<'_>,
) -> Result<(String, Scenario, String), SourceError> {
    match source {
        ScenarioSource::Profile(name) => {
            let profile = Profile::find(name)
                .ok_or_else(|| SourceError::UnknownProfile((*name).to_owned()))?;
            let scenario = profile
                .scenario()
                .expect("a test reads every embedded profile");
            Ok(((*name).to_owned(), scenario, profile.toml.to_owned()))
        }
        ScenarioSource::Short(short) => {
            Ok((short.name().to_owned(), short.scenario(), short.toml()))
        }
        ScenarioSource::File(path) => {
            let shown = path.display().to_string();
            let text = read_limited(path, MAX_TOML).map_err(|reason| SourceError::Unreadable {
                path: shown.clone(),
                reason,
            })?;
            let scenario = Scenario::from_toml(&text).map_err(|reason| SourceError::Invalid {
                path: shown.clone(),
                reason,
            })?;
            let stem = path
                .file_stem()
                .map_or(shown, |stem| stem.to_string_lossy().into_owned());
            Ok((stem, scenario, text))
        }
    }
}

/// Where a scenario comes from.
#[derive(Debug, Clone, Copy)]
pub enum ScenarioSource<'a> {
    /// An embedded profile.
    Profile(&'a str),
    /// A TOML file.
    File(&'a Path),
    /// What short options say.
    Short(ShortScenario),
}

fn profile_names() -> String {
    let names: Vec<&str> = PROFILES.iter().map(|profile| profile.name).collect();
    names.join(", ")
}
