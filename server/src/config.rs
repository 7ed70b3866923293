//! From what was typed to what it means: every value checked, every problem reported at once.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use flags_data::{Catalogue, LoadError};
use thiserror::Error;

use crate::args::{Edition, ServeArgs};
use crate::scenario::file::{read_capacity, read_scenario};
use crate::scenario::profiles::{PROFILES, Profile};
use crate::scenario::toml_reader::{Problem, Section, read_text, text, unsigned};
use crate::scenario::{Scenario, ScenarioError};
use crate::{Limits, Tls};

/// All that a [`FlagServer`](crate::FlagServer) needs to know.
#[derive(Debug, Clone)]
pub struct Config {
    /// At least one.
    pub listeners: Vec<Listener>,
    /// The flags that are served.
    pub catalogue: Catalogue,
    /// HTTPS on every listener.
    pub tls: Option<Tls>,
    /// What clients may take, on each listener.
    pub limits: Limits,
    /// A file that gets one JSON line for each request.
    pub decision_log: Option<PathBuf>,
    /// The threads of a server that brings its own.
    pub threads: NonZeroUsize,
    /// Whether the same records are kept in memory for [`FlagServer::records`](crate::FlagServer::records).
    pub keep_records: bool,
}

/// One address and what its clients meet there.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Names it in messages, logs and the ready file.
    pub name: String,
    /// Port 0 stands for any free port.
    pub address: SocketAddr,
    /// What it does to its clients.
    pub scenario: Scenario,
}

/// Everything that is wrong with the configuration; never empty.
#[derive(Debug, Error)]
pub struct ConfigError {
    /// The problems; each names the flag, file or key, and the remedy.
    pub problems: Vec<ConfigProblem>,
}

/// One thing that is wrong with the configuration.
#[derive(Debug, Error)]
pub enum ConfigProblem {
    /// No profile has this name.
    #[error("--profile {0}: there is no such profile; take one of {names}", names = profile_names())]
    UnknownProfile(String),
    /// The scenario file cannot be read.
    #[error("--scenario {path}: cannot be read ({reason}); name a TOML file that exists")]
    UnreadableScenario {
        /// The file.
        path: String,
        /// What the system said.
        reason: std::io::Error,
    },
    /// The scenario file does not describe a scenario.
    #[error("--scenario {path}: is no scenario; correct these lines:\n{reason}")]
    InvalidScenario {
        /// The file.
        path: String,
        /// Every problem in it.
        reason: ScenarioError,
    },
    /// The configuration file cannot be read.
    #[error("--config {path}: cannot be read ({reason}); name a TOML file that exists")]
    UnreadableConfig {
        /// The file.
        path: String,
        /// What the system said.
        reason: std::io::Error,
    },
    /// The configuration file does not describe listeners.
    #[error(
        "--config {path}: is no configuration; correct these lines:\n{}",
        lines(problems)
    )]
    InvalidConfig {
        /// The file.
        path: String,
        /// Every problem in it.
        problems: Vec<Problem>,
    },
    /// The last of the listeners would get a port that does not exist.
    #[error("--port {first}: the {count} listeners take ports {first} and up; choose a port below {limit}",
        limit = 65_537 - u32::try_from(*count).unwrap_or(u32::MAX))]
    PortsExhausted {
        /// The port of the first.
        first: u16,
        /// How many there are.
        count: usize,
    },
    /// The folder of flags cannot be served.
    #[error("--flags: {0}")]
    Flags(LoadError),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.problems.iter().map(ToString::to_string).collect();
        f.write_str(&texts.join("\n"))
    }
}

impl Config {
    /// One listener on a free port of 127.0.0.1, serving the embedded flags.
    pub fn embedded(name: &str, scenario: Scenario) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            listeners: vec![Listener {
                name: name.to_owned(),
                address,
                scenario,
            }],
            catalogue: Catalogue::embedded(),
            tls: None,
            limits: Limits::default(),
            decision_log: None,
            threads: one_for_each_processor(),
            keep_records: false,
        }
    }

    /// What the arguments mean.
    ///
    /// # Errors
    /// With every problem of the arguments and of the files that they name.
    pub fn from_args(args: &ServeArgs) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let listeners = match &args.config {
            Some(path) => configured_listeners(path, args).map_err(|problem| vec![problem]),
            None => listeners(args),
        };
        let listeners = listeners.unwrap_or_else(|found| {
            problems.extend(found);
            Vec::new()
        });
        let catalogue = match &args.flags {
            Some(dir) => Catalogue::load(dir),
            None => Ok(Catalogue::embedded()),
        };
        let catalogue = catalogue.map_err(|error| problems.push(ConfigProblem::Flags(error)));
        let tls = match (&args.tls_cert, &args.tls_key) {
            (Some(certificates), Some(key)) => Some(Tls::Files {
                certificates: certificates.clone(),
                key: key.clone(),
            }),
            _ => args.tls.then_some(Tls::SelfSigned),
        };
        let limits = Limits {
            head_timeout: args.head_timeout,
            max_connections: args.max_connections.get(),
            grace: args.grace,
        };

        match catalogue {
            Ok(catalogue) if problems.is_empty() => Ok(Self {
                listeners,
                catalogue,
                tls,
                limits,
                decision_log: args.decision_log.clone(),
                threads: args.threads.unwrap_or_else(one_for_each_processor),
                keep_records: false,
            }),
            _ => Err(ConfigError { problems }),
        }
    }
}

fn one_for_each_processor() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// The scenario that a client or a server names by profile or by file.
///
/// # Errors
/// When there is no such profile, or the file is missing or wrong.
pub fn named_scenario(source: &ScenarioSource<'_>) -> Result<(String, Scenario), ConfigProblem> {
    let (name, scenario, _) = scenario_and_text(source)?;
    Ok((name, scenario))
}

/// The same, and the text of its file.
///
/// # Errors
/// When there is no such profile, or the file is missing or wrong.
pub fn scenario_and_text(
    source: &ScenarioSource<'_>,
) -> Result<(String, Scenario, String), ConfigProblem> {
    match source {
        ScenarioSource::Profile(name) => {
            let profile = Profile::find(name)
                .ok_or_else(|| ConfigProblem::UnknownProfile((*name).to_owned()))?;
            let scenario = profile
                .scenario()
                .expect("a test reads every embedded profile");
            Ok(((*name).to_owned(), scenario, profile.toml.to_owned()))
        }
        ScenarioSource::File(path) => {
            let shown = path.display().to_string();
            let text = std::fs::read_to_string(path).map_err(|reason| {
                ConfigProblem::UnreadableScenario {
                    path: shown.clone(),
                    reason,
                }
            })?;
            let scenario =
                Scenario::from_toml(&text).map_err(|reason| ConfigProblem::InvalidScenario {
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
}

fn listeners(args: &ServeArgs) -> Result<Vec<Listener>, Vec<ConfigProblem>> {
    /// The names of the book's servers, and the profiles behind them.
    const FIRST_EDITION: [(&str, &str); 3] = [
        ("local", "local"),
        ("delay", "delay-1e"),
        ("error", "error-1e"),
    ];
    const SECOND_EDITION: [(&str, &str); 3] =
        [("local", "local"), ("delay", "delay"), ("error", "error")];

    let one = args.profile.as_deref().map(ScenarioSource::Profile);
    let one = one.or(args.scenario.as_deref().map(ScenarioSource::File));
    let (named, default_port) = match (one, args.edition) {
        (Some(source), _) => (vec![named_scenario(&source)], 8000),
        (None, Edition::First) => (book(FIRST_EDITION), 8001),
        (None, Edition::Second) => (book(SECOND_EDITION), 8000),
    };

    let first = args.port.unwrap_or(default_port);
    let count = named.len();
    let mut problems = Vec::new();
    let mut listeners = Vec::new();
    for (offset, named) in (0..).zip(named) {
        let port = if first == 0 {
            Some(0)
        } else {
            first.checked_add(offset)
        };
        match (named, port) {
            (Ok((name, scenario)), Some(port)) => {
                let scenario = args
                    .seed
                    .map_or(scenario.clone(), |seed| scenario.with_seed(seed));
                listeners.push(Listener {
                    name,
                    address: SocketAddr::new(args.bind, port),
                    scenario,
                });
            }
            (Err(problem), _) => problems.push(problem),
            (Ok(_), None) => {}
        }
    }
    if listeners.len() < count && problems.is_empty() {
        problems.push(ConfigProblem::PortsExhausted { first, count });
    }
    if problems.is_empty() {
        Ok(listeners)
    } else {
        Err(problems)
    }
}

fn configured_listeners(path: &Path, args: &ServeArgs) -> Result<Vec<Listener>, ConfigProblem> {
    let shown = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|reason| ConfigProblem::UnreadableConfig {
        path: shown.clone(),
        reason,
    })?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let listeners = read_listeners(&text, folder, args.bind).map_err(|problems| {
        ConfigProblem::InvalidConfig {
            path: shown,
            problems,
        }
    })?;
    let seeded = listeners.into_iter().map(|listener| match args.seed {
        None => listener,
        Some(seed) => Listener {
            scenario: listener.scenario.with_seed(seed),
            ..listener
        },
    });
    Ok(seeded.collect())
}

/// The listeners of a configuration file: `[[listener]]` tables with a `name`, a `port`, and either a `profile`, or a
/// `scenario` (a file, from the folder of this one), or the keys of a scenario themselves.
pub(crate) fn read_listeners(
    text: &str,
    folder: &Path,
    bind: IpAddr,
) -> Result<Vec<Listener>, Vec<Problem>> {
    read_text(text, |file| {
        let remedy = "write each listener as a table that starts with [[listener]]";
        let mut names: Vec<String> = Vec::new();
        let mut is_empty = true;
        let listeners = file.tables("listener", remedy, |section, _| {
            is_empty = false;
            let listener = configured_listener(section, folder, bind)?;
            if names.contains(&listener.name) {
                section.refuse(
                    "name",
                    &format!("two listeners are named {:?}: rename one", listener.name),
                );
            }
            names.push(listener.name.clone());
            Some(listener)
        });
        file.refuse_the_rest();
        if is_empty {
            file.refuse_missing(
                "listener",
                "there is none: add a table that starts with [[listener]]",
            );
        }
        Some(listeners)
    })
}

fn configured_listener(
    section: &mut Section<'_, '_, '_>,
    folder: &Path,
    bind: IpAddr,
) -> Option<Listener> {
    let name = section.required("name", |value| match text(value)? {
        name if name.is_empty() || name.contains(char::is_whitespace) => {
            Err("give a name without spaces".to_owned())
        }
        name => Ok(name),
    });
    let port = section.required("port", |value| {
        u16::try_from(unsigned(value)?)
            .map_err(|_| "give a port from 0 (any free one) to 65535".to_owned())
    });
    let profile = section.optional("profile", text);
    let file = section.optional("scenario", |value| Ok(folder.join(text(value)?)));
    if [profile.is_some(), file.is_some(), section.has("rule")]
        .iter()
        .filter(|given| **given)
        .count()
        > 1
    {
        section.refuse_table("give a profile, a scenario or rules, and not two of them");
        return None;
    }
    let source = match (&profile, &file) {
        (Some(profile), _) => Some(("profile", ScenarioSource::Profile(profile))),
        (None, Some(file)) => Some(("scenario", ScenarioSource::File(file))),
        (None, None) => None,
    };
    let scenario = match source {
        None => read_scenario(section)?,
        Some((key, source)) => {
            let seed = section.optional("seed", unsigned);
            let capacity = section.table("capacity", read_capacity);
            let named = named_scenario(&source).map_err(|problem| match problem {
                ConfigProblem::InvalidScenario { path, reason } => {
                    for problem in reason.problems {
                        section.refuse(key, &format!("{path}: {problem}"));
                    }
                }
                problem => section.refuse(key, &problem.to_string()),
            });
            let (_, mut scenario) = named.ok()?;
            if let Some(seed) = seed {
                scenario = scenario.with_seed(seed);
            }
            if let Some(capacity) = capacity {
                scenario = scenario.with_capacity(capacity);
            }
            scenario
        }
    };
    Some(Listener {
        name: name?,
        address: SocketAddr::new(bind, port?),
        scenario,
    })
}

/// The servers of the book, each under its own name.
fn book(servers: [(&str, &str); 3]) -> Vec<Result<(String, Scenario), ConfigProblem>> {
    let scenario = |(name, profile): (&str, &str)| {
        named_scenario(&ScenarioSource::Profile(profile))
            .map(|(_, scenario)| (name.to_owned(), scenario))
    };
    servers.map(scenario).into()
}

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

fn profile_names() -> String {
    let names: Vec<&str> = PROFILES.iter().map(|profile| profile.name).collect();
    names.join(", ")
}

/// The address that a client on this machine uses for a listener bound to `address`.
pub fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
