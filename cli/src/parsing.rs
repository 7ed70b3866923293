//! A command line becomes arguments, or an error that says what was meant.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error, Parser};
use flags_data::closest;

use crate::text::printable;

/// The arguments of this program.
///
/// # Errors
/// Clap's own, with what was probably meant where a sub-command is misspelt.
pub fn parse<A: Parser>() -> Result<A, Error> {
    let words: Vec<OsString> = std::env::args_os().collect();
    A::try_parse_from(&words).map_err(|mut error| {
        let first = words.get(1).and_then(|word| word.to_str());
        suggest_command(&mut error, first.unwrap_or_default(), &A::command());
        hide_header(&mut error);
        error
    })
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
