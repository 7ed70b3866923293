//! Every option of a program, from its own definition, with values that it has to refuse. Both
//! programs' tests of their messages are made of it.

use std::process::Output;

use clap::{Arg, Command, Error, Parser};

/// What an option refuses unless it takes any text.
const ANY_TEXT: &str = "no such thing";

/// What no number, name, time, address or file is.
const WRONG: [&str; 7] = [
    "",
    ANY_TEXT,
    "-1",
    "1e99",
    "99999999999999999999",
    "NaN",
    "\u{1b}[2J",
];

/// The words of parsers that know neither the option nor the remedy.
const RAW: [&str; 14] = [
    "invalid digit",
    "is not in ",
    "too large to fit",
    "too small to fit",
    "would be zero",
    "cannot parse",
    "invalid float",
    "invalid IP",
    "invalid port",
    "relative URL",
    "empty host",
    "ParseError",
    "os error 22",
    "InvalidHeader",
];

/// What a message begins with that says what to write instead.
const REMEDIES: [&str; 11] = [
    "check ",
    "give ",
    "take ",
    "write ",
    "name ",
    "use ",
    "possible values",
    "must be",
    "such as",
    " lists them",
    "a value is required",
];

/// An option with a value, or a positional argument.
pub(crate) struct Place {
    /// The sub-commands before it.
    pub(crate) path: Vec<String>,
    /// `--seed`, or `CC` of a positional one.
    pub(crate) name: String,
    pub(crate) is_positional: bool,
}

impl Place {
    /// The command line with this value in this place.
    pub(crate) fn words(&self, value: &str) -> Vec<String> {
        let mut words = self.path.clone();
        if self.is_positional {
            // Some values look like options.
            words.extend(["--".to_owned(), value.to_owned()]);
        } else {
            words.push(format!("{}={value}", self.name));
        }
        words
    }
}

/// All places of a program for values.
pub(crate) fn places(program: &Command) -> Vec<Place> {
    let mut places = Vec::new();
    collect(program, &[], &mut places);
    places
}

fn collect(command: &Command, path: &[String], places: &mut Vec<Place>) {
    let takes_value = |arg: &&Arg| arg.get_action().takes_values();
    for arg in command.get_arguments().filter(takes_value) {
        let name = match arg.get_long() {
            Some(long) => format!("--{long}"),
            None => arg.get_value_names().unwrap()[0].to_string(),
        };
        places.push(Place {
            path: path.to_vec(),
            name,
            is_positional: arg.is_positional(),
        });
    }
    for command in command.get_subcommands() {
        let path = [path, &[command.get_name().to_owned()]].concat();
        collect(command, &path, places);
    }
}

/// What is wrong with a message: it names the option and the remedy, in our words.
fn faults(place: &Place, message: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut require = |holds: bool, otherwise: String| {
        if !holds {
            faults.push(format!("{:?}: {otherwise}: {message:?}", place.words("…")));
        }
    };
    require(message.contains(&place.name), format!("no {}", place.name));
    for raw in RAW {
        require(!message.contains(raw), format!("{raw:?}"));
    }
    let has_remedy = REMEDIES.iter().any(|remedy| message.contains(remedy));
    require(has_remedy, "no remedy".to_owned());
    let is_safe = |c: char| !c.is_control() || c == '\n';
    require(
        message.chars().all(is_safe),
        "control characters".to_owned(),
    );
    faults
}

/// What is wrong with the messages about wrong values of every option; and the options that take
/// any text, of which the wrong ones are known only later.
pub(crate) fn refused_by_definition<A: Parser>() -> (Vec<Place>, Vec<String>) {
    let program = A::command().get_name().to_owned();
    let mut lenient = places(&A::command());
    let mut all_faults = Vec::new();
    lenient.retain(|place| {
        let mut is_refused = false;
        for value in WRONG {
            let words = [vec![program.clone()], place.words(value)].concat();
            let Err(error) = A::try_parse_from(words) else {
                continue;
            };
            if is_about_a_value(&error) {
                is_refused |= value == ANY_TEXT;
                assert_eq!(error.exit_code(), 2);
                let message = without_colours(&flag_cli::shown(&error));
                all_faults.extend(faults(place, &message));
            }
        }
        !is_refused
    });
    (lenient, all_faults)
}

fn is_about_a_value(error: &Error) -> bool {
    use clap::error::ErrorKind as Kind;
    matches!(error.kind(), Kind::ValueValidation | Kind::InvalidValue)
}

fn without_colours(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.map(|part| part.split_once('m').unwrap_or((part, "")).1);
    first + &rest.collect::<String>()
}

/// What is wrong with how the built program refuses these options with something that is no file.
/// `run` runs it, `context` is what an option needs beside it, and `called` the name by which a
/// message may call a place, where that is not its own.
pub(crate) fn refused_by_program(
    places: Vec<Place>,
    run: impl Fn(&[String]) -> Output,
    context: impl Fn(&Place) -> &'static [&'static str],
    called: impl Fn(Place) -> Place,
) -> Vec<String> {
    let check = |place: Place| {
        let mut words = place.words("blocked/x\u{1b}[2J");
        words.extend(context(&place).iter().map(|word| (*word).to_owned()));
        let (output, place) = (run(&words), called(place));
        let message = String::from_utf8_lossy(&output.stderr);
        let mut faults = faults(&place, &message);
        if output.status.code() != Some(2) {
            faults.push(format!("{:?}: {output:?}", place.words("…")));
        }
        faults
    };
    places.into_iter().flat_map(check).collect()
}
