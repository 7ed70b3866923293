//! From what was typed to what it means: every value checked, every problem reported at once.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::Path;

use flag_scenario::file::{
    MAX_TOML, Problem, Section, read_capacity, read_limited, read_scenario, read_text, remedy,
    text, unsigned,
};
use flag_scenario::{Scenario, ScenarioSource, ShortScenario, SourceError, named_scenario};
use flag_server::{Config, Control, Limits, Listener, Tls};
use flags_data::{Catalogue, LoadError};
use thiserror::Error;

use crate::args::{Edition, ServeArgs, Switch, socket_address};
use crate::bind::Bind;

/// Everything that is wrong with the configuration; never empty.
#[derive(Debug, Error)]
pub(crate) struct ConfigError {
    /// The problems; each names the flag, file or key, and the remedy.
    pub(crate) problems: Vec<ConfigProblem>,
}

/// One thing that is wrong with the configuration.
#[derive(Debug, Error)]
pub(crate) enum ConfigProblem {
    /// No scenario by this name.
    #[error(transparent)]
    Scenario(#[from] SourceError),
    /// The configuration file cannot be read.
    #[error("--config {path}: cannot be read ({reason}); {}", remedy(reason))]
    UnreadableConfig {
        /// The file.
        path: String,
        /// What the system said.
        reason: std::io::Error,
    },
    /// The configuration file does not describe listeners.
    #[error(
        "--config {path}: invalid configuration; correct these lines:\n{}",
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
    /// No addresses to listen on.
    #[error("--bind: {0}")]
    Bind(String),
    /// An address that others can reach, and no token.
    #[error(
        "--control: others can reach this address; give a --control-token too, or a loopback address"
    )]
    NoToken,
    /// A token, and nothing that needs it.
    #[error("--control-token: there is no control plane; add --control, or leave it out")]
    NoControl,
    /// Two things of one name.
    #[error("--control: a listener is named control too; rename it, or the file of --scenario")]
    NamedControl,
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

/// What the arguments mean.
///
/// # Errors
/// With every problem of the arguments and of the files that they name.
pub(crate) fn from_args(args: &ServeArgs) -> Result<Config, ConfigError> {
    let (ConfigFile { listeners, control }, mut problems) = match configured(args) {
        Ok(configured) => (configured, Vec::new()),
        Err(ConfigError { problems }) => (ConfigFile::default(), problems),
    };
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
    let default = Limits::default();
    let limits = Limits {
        head_timeout: args.head_timeout,
        send_timeout: args.send_timeout,
        max_connections: (args.max_connections).map_or(default.max_connections, NonZeroUsize::get),
        grace: args.grace,
    };

    let control = args.control.or(control).map(|address| Control {
        address,
        token: args.control_token.clone(),
    });
    if control.is_none() && args.control_token.is_some() && problems.is_empty() {
        problems.push(ConfigProblem::NoControl);
    }
    let has_control = control.is_some();
    let keeps_records = has_control && args.control_records == Switch::On;
    if control.as_ref().is_some_and(Control::needs_token) {
        problems.push(ConfigProblem::NoToken);
    }
    if has_control && listeners.iter().any(|listener| listener.name == "control") {
        problems.push(ConfigProblem::NamedControl);
    }

    match catalogue {
        Ok(catalogue) if problems.is_empty() => Ok(Config {
            listeners,
            catalogue,
            tls,
            limits,
            fast_path: true,
            answers_half_closed: true,
            cors: args.cors,
            control,
            decision_log: args.decision_log.clone(),
            threads: args
                .threads
                .unwrap_or_else(Config::one_thread_per_processor),
            keep_records: keeps_records,
            scenarios_change: has_control || args.scenario.is_some() || args.config.is_some(),
        }),
        _ => Err(ConfigError { problems }),
    }
}

/// What a configuration file says.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConfigFile {
    pub(crate) listeners: Vec<Listener>,
    /// The address of the control plane.
    pub(crate) control: Option<SocketAddr>,
}

impl From<Vec<Listener>> for ConfigFile {
    fn from(listeners: Vec<Listener>) -> Self {
        Self {
            listeners,
            control: None,
        }
    }
}

/// The listeners and their scenarios, from the files that are named.
///
/// # Errors
/// With every problem of them.
pub(crate) fn configured(args: &ServeArgs) -> Result<ConfigFile, ConfigError> {
    let mut problems = Vec::new();
    let bind = Bind::read(&args.bind).unwrap_or_else(|reason| {
        problems.push(ConfigProblem::Bind(reason));
        Bind::default()
    });
    let configured = match &args.config {
        Some(path) => read_config(path, args, &bind).map_err(|problem| vec![problem]),
        None => described_listeners(args, &bind).map(ConfigFile::from),
    };
    match configured {
        Ok(configured) if problems.is_empty() => Ok(configured),
        Ok(_) => Err(ConfigError { problems }),
        Err(more) => {
            problems.extend(more);
            Err(ConfigError { problems })
        }
    }
}

fn described_listeners(args: &ServeArgs, bind: &Bind) -> Result<Vec<Listener>, Vec<ConfigProblem>> {
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
    let short = ShortScenario::of(args.delay, args.errors);
    let one = one.or(short.map(ScenarioSource::Short));
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
                listeners.push(bind.listener(name, port, scenario));
            }
            (Err(problem), _) => problems.push(problem.into()),
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

fn read_config(path: &Path, args: &ServeArgs, bind: &Bind) -> Result<ConfigFile, ConfigProblem> {
    let shown = path.display().to_string();
    let text = read_limited(path, MAX_TOML).map_err(|reason| ConfigProblem::UnreadableConfig {
        path: shown.clone(),
        reason,
    })?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut config =
        parse_config(&text, folder, bind).map_err(|problems| ConfigProblem::InvalidConfig {
            path: shown,
            problems,
        })?;
    if let Some(seed) = args.seed {
        for listener in &mut config.listeners {
            listener.scenario = listener.scenario.clone().with_seed(seed);
        }
    }
    Ok(config)
}

/// What a configuration file says: `[[listener]]` tables with a `name`, a `port`, and either a
/// `profile`, or a `scenario` (a file, from the folder of this one), or the keys of a scenario
/// themselves; and the address of the control plane, if there is to be one.
pub(crate) fn parse_config(
    toml: &str,
    folder: &Path,
    bind: &Bind,
) -> Result<ConfigFile, Vec<Problem>> {
    read_text(toml, |file| {
        let control = file.optional("control", |value| socket_address(&text(value)?));
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
            if control.is_some() && listener.name == "control" {
                section.refuse(
                    "name",
                    "the control plane has this name: rename the listener",
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
        Some(ConfigFile { listeners, control })
    })
}

fn configured_listener(
    section: &mut Section<'_, '_>,
    folder: &Path,
    bind: &Bind,
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
                SourceError::Invalid { path, reason } => {
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
    Some(bind.listener(name?, port?, scenario))
}

/// The servers of the book, each under its own name.
fn book(servers: [(&str, &str); 3]) -> Vec<Result<(String, Scenario), SourceError>> {
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
