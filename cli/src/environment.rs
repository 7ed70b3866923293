//! Environment variables that stand for options: what is typed beats them, an empty one counts as
//! unset, and one that stands for no option is a slip.

use std::ffi::OsString;

use clap::builder::Resettable;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, Id};
use flags_data::did_you_mean;

/// The command with the variables that count for these words: not the empty ones, and not those of
/// options that exclude one that was typed.
pub(crate) fn with_variables_that_count(command: Command, words: &[OsString]) -> Command {
    let command = without_variables(command, &has_no_value);
    let mut bare = without_variables(command.clone(), &|_| true);
    bare.build();
    // What is wrong with the words is said when they are parsed in earnest.
    match bare.clone().ignore_errors(true).try_get_matches_from(words) {
        Ok(matches) => beaten_by_words(command, &bare, &matches),
        Err(_) => command,
    }
}

/// Clears the variables of options that exclude one that was typed, for the command and the
/// sub-command of these matches.
fn beaten_by_words(mut command: Command, bare: &Command, matches: &ArgMatches) -> Command {
    let typed = |id: &Id| matches.value_source(id.as_str()) == Some(ValueSource::CommandLine);
    let options = || bare.get_arguments();
    let mut beaten: Vec<Id> = Vec::new();
    for option in options().filter(|option| typed(option.get_id())) {
        let excluded = bare.get_arg_conflicts_with(option).into_iter();
        let excluding = options().filter(|other| {
            let mut conflicts = bare.get_arg_conflicts_with(other).into_iter();
            conflicts.any(|excluded| excluded.get_id() == option.get_id())
        });
        beaten.extend(
            excluded
                .chain(excluding)
                .map(|other| other.get_id().clone()),
        );
    }
    // A sub-command has options of its own.
    let has_command =
        matches.subcommand().is_some() && bare.is_args_conflicts_with_subcommands_set();
    command = without_own_variables(command, &|option| {
        has_command || beaten.contains(option.get_id())
    });
    match matches.subcommand() {
        Some((name, matches)) => {
            let bare = bare.find_subcommand(name);
            let Some(bare) = bare else { return command };
            command.mut_subcommand(name, |command| beaten_by_words(command, bare, matches))
        }
        None => command,
    }
}

/// The command and its sub-commands without the variables of these options.
fn without_variables(command: Command, of: &dyn Fn(&Arg) -> bool) -> Command {
    let command = without_own_variables(command, of);
    command.mut_subcommands(|command| without_variables(command, of))
}

/// The same for the command alone.
fn without_own_variables(command: Command, of: &dyn Fn(&Arg) -> bool) -> Command {
    command.mut_args(|option| {
        if of(&option) {
            option.env(Resettable::Reset)
        } else {
            option
        }
    })
}

/// Whether the option's variable is set and says nothing about it.
fn has_no_value(option: &Arg) -> bool {
    let value = option.get_env().and_then(std::env::var_os);
    value.is_some_and(|value| {
        value.is_empty() || value.to_str().is_some_and(is_address_of_a_service)
    })
}

/// Kubernetes and old links of containers describe a service `flag-server` to its neighbours with
/// variables like `FLAG_SERVER_PORT=tcp://10.0.0.7:8000`.
fn is_address_of_a_service(value: &str) -> bool {
    value.starts_with("tcp://") || value.starts_with("udp://")
}

/// A sentence for each variable that begins with `prefix` and stands for no option of the command.
pub fn unknown_variables(command: &Command, prefix: &str) -> Vec<String> {
    let mut known = Vec::new();
    collect_variables(command, &mut known);
    let set = std::env::vars_os().filter_map(|(name, value)| {
        let value = value.into_string().unwrap_or_default();
        Some((name.into_string().ok()?, value))
    });
    let unknown = set.filter(|(name, value)| {
        let of_a_service = ["SERVICE_", "PORT_"].iter().any(|part| {
            let rest = name.strip_prefix(prefix);
            rest.is_some_and(|rest| rest.starts_with(part))
        });
        let is_known = known.contains(name) || of_a_service || is_address_of_a_service(value);
        name.starts_with(prefix) && !value.is_empty() && !is_known
    });
    let mut sentences: Vec<String> = unknown
        .map(|(name, _)| {
            let hint = did_you_mean(&name, known.iter().map(String::as_str));
            format!("{name}: no option has this variable{hint}; it changes nothing")
        })
        .collect();
    sentences.sort();
    sentences
}

fn collect_variables(command: &Command, names: &mut Vec<String>) {
    let variables = command.get_arguments().filter_map(Arg::get_env);
    names.extend(variables.filter_map(|name| name.to_str().map(str::to_owned)));
    for command in command.get_subcommands() {
        collect_variables(command, names);
    }
}
