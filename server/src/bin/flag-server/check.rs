//! What a file means, in words, or all that is wrong with it.

use std::fmt;
use std::path::Path;

use flag_scenario::Scenario;
use flag_scenario::file::{MAX_TOML, Problem, has_key, read_limited, remedy};
use flag_scenario::wording::counted;
use thiserror::Error;

use crate::bind::Bind;
use crate::config::{ConfigFile, parse_config};

/// Why a file has no meaning.
#[derive(Debug, Error)]
pub(crate) enum CheckError {
    /// It cannot be read.
    #[error("{path}: cannot be read ({reason}); {}", remedy(reason))]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        reason: std::io::Error,
    },
    /// It is wrong.
    #[error("{path} has {}", told(path, problems))]
    Wrong {
        /// The file.
        path: String,
        /// Every problem in it; never empty.
        problems: Vec<Problem>,
    },
}

/// The first problem's line begins like a compiler's, for editors that can jump there.
fn told(path: &str, problems: &[Problem]) -> String {
    let mut text = counted(problems.len() as u64, "problem");
    for Problem { line, key, message } in problems {
        let key = if key.is_empty() {
            String::new()
        } else {
            format!(" {key}:")
        };
        text += &format!("\n{path}:{line}:{key} {message}");
    }
    text
}

/// What a file means.
#[derive(Debug, Clone)]
pub(crate) enum Meaning {
    /// What `--scenario` reads.
    Scenario(Scenario),
    /// What `--config` reads: it has the key `listener`.
    Config(ConfigFile),
}

/// Reads a file as `--config` does if it has the key `listener`, and as `--scenario` does if not.
///
/// # Errors
/// When it cannot be read, and with every problem in it.
pub(crate) fn check(path: &Path) -> Result<Meaning, CheckError> {
    let shown = path.display().to_string();
    let text = read_limited(path, MAX_TOML).map_err(|reason| CheckError::Unreadable {
        path: shown.clone(),
        reason,
    })?;
    let meaning = if has_key(&text, "listener") {
        let folder = path.parent().unwrap_or(Path::new("."));
        parse_config(&text, folder, &Bind::default()).map(Meaning::Config)
    } else {
        let scenario = Scenario::from_toml(&text).map(Meaning::Scenario);
        scenario.map_err(|error| error.problems)
    };
    meaning.map_err(|problems| CheckError::Wrong {
        path: shown,
        problems,
    })
}

impl fmt::Display for Meaning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Scenario(scenario) => {
                writeln!(f, "a scenario with seed {}", scenario.seed())?;
                indented(f, scenario)
            }
            Self::Config(ConfigFile { listeners, control }) => {
                let count = counted(listeners.len() as u64, "listener");
                writeln!(f, "a configuration of {count}")?;
                if let Some(address) = control {
                    writeln!(f, "the control plane on {address}")?;
                }
                listeners.iter().try_for_each(|listener| {
                    let port = match listener.address.port() {
                        0 => "any free port".to_owned(),
                        port => format!("port {port}"),
                    };
                    let (name, seed) = (&listener.name, listener.scenario.seed());
                    writeln!(f, "{name} on {port}, with seed {seed}")?;
                    indented(f, &listener.scenario)
                })
            }
        }
    }
}

/// Its meaning, and what can never happen.
fn indented(f: &mut fmt::Formatter<'_>, scenario: &Scenario) -> fmt::Result {
    let text = scenario.to_string();
    text.lines().try_for_each(|line| writeln!(f, "  {line}"))?;
    let mut findings = scenario.findings().into_iter();
    findings.try_for_each(|finding| writeln!(f, "  warning: {finding}"))
}
