//! A command line becomes arguments, or an error that says what was meant.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error, Parser};
use flags_data::closest;

use crate::environment::with_variables_that_count;
use crate::text::printable;

/// The arguments of this program.
///
/// # Errors
/// Clap's own, with what was probably meant where a sub-command is misspelt.
pub fn parse<A: Parser>() -> Result<A, Error> {
    let words: Vec<OsString> = std::env::args_os().collect();
    parse_words(&words).map_err(|mut error| {
        let first = words.get(1).and_then(|word| word.to_str());
        suggest_command(&mut error, first.unwrap_or_default(), &A::command());
        hide_header(&mut error);
        error
    })
}

/// The arguments that these words stand for, the name of the program first, with the variables of
/// the environment that count beside them.
///
/// # Errors
/// Clap's own.
pub fn parse_words<A: Parser>(words: &[OsString]) -> Result<A, Error> {
    let mut command = with_variables_that_count(A::command(), words);
    let mut matches = command.try_get_matches_from_mut(words)?;
    A::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

/// The error, with its colours, as it may be printed on a terminal.
pub fn shown(error: &Error) -> String {
    printable(&error.render().ansi().to_string())
}

/// Clap finds misspelt sub-commands only where nothing else can be in their place.
fn suggest_command(error: &mut Error, first: &str, program: &Command) {
    let commands = program
        .get_subcommands()
        .filter(|command| !command.is_hide_set());
    let names: Vec<&str> = commands.map(Command::get_name).collect();
    if error.kind() == ErrorKind::ValueValidation
        && !names.contains(&first)
        && let Some(ContextValue::String(value)) = error.get(ContextKind::InvalidValue)
        && value == first
        && let Some(closest) = closest(first, names)
    {
        let closest = ContextValue::Strings(vec![closest.to_owned()]);
        error.insert(ContextKind::SuggestedSubcommand, closest);
    }
}

/// What is no header may be a secret all the same.
fn hide_header(error: &mut Error) {
    let argument = error.get(ContextKind::InvalidArg).map(ToString::to_string);
    if argument.is_some_and(|argument| argument.starts_with("--header")) {
        let hidden = ContextValue::String("…".to_owned());
        error.insert(ContextKind::InvalidValue, hidden);
    }
}
