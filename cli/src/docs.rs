//! Completion scripts and manual pages, both generated from the clap command. They are the same on
//! every day and in every environment.
//!
//! The loop over the pages is written by hand, because `clap_mangen::generate_to` can neither leave
//! out the date nor add sections: ENVIRONMENT, EXIT STATUS of each sub-command, SEE ALSO.

use std::io;
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Arg, Command, Subcommand, ValueHint};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};
use flag_host::{make_folder, write_document};
use flag_scenario::profiles::PROFILES;
use thiserror::Error;

/// The sub-commands that print completions and manual pages, the same for every program.
#[derive(Debug, Clone, Subcommand)]
#[non_exhaustive]
pub enum DocsCommand {
    /// Print the script with which a shell completes commands and options.
    Completions {
        /// The shell that is to read it.
        shell: Shell,
    },
    /// Print the manual page, in the format that man reads.
    Man {
        /// Write it to this folder instead, and a page for each sub-command; the folder is made if
        /// it does not exist.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
}

impl DocsCommand {
    /// Runs the sub-command for this program, and returns what to print.
    ///
    /// # Errors
    /// When a page cannot be written.
    pub fn run(&self, program: &Program) -> Result<String, SaveError> {
        match self {
            Self::Completions { shell } => Ok(program.completions(*shell)),
            Self::Man { out: None } => Ok(program.page().roff),
            Self::Man { out: Some(folder) } => program.save_pages(folder).map(|()| String::new()),
        }
    }
}

/// A program: its command line, and what that does not describe.
#[derive(Debug, Clone)]
pub struct Program {
    /// Its command line.
    pub command: Command,
    /// The variables that no option stands for, and what they are for.
    pub environment: &'static [(&'static str, &'static str)],
    /// Its exit codes, each once.
    pub exit_status: &'static [ExitStatus],
    /// The pages that a reader may want next, such as `flag-client(1)`.
    pub see_also: &'static [&'static str],
}

/// An exit code.
#[derive(Debug, Clone, Copy)]
pub struct ExitStatus {
    /// The code.
    pub code: u8,
    /// What it means, as a sentence.
    pub meaning: &'static str,
    /// The sub-commands that can end with it; if empty, all of them.
    pub of: &'static [&'static str],
}

/// The manual pages cannot be written.
#[derive(Debug, Error)]
#[error("--out {folder}: cannot be written to ({reason}); name another folder")]
pub struct SaveError {
    /// The folder for them.
    pub folder: String,
    /// The error of the system.
    pub reason: io::Error,
    /// Whether that was known before anything was written.
    pub is_usage: bool,
}

/// A manual page.
struct Page {
    /// As man looks for it: `flag-client-get.1`.
    file_name: String,
    /// What man reads.
    roff: String,
}

impl Program {
    fn completions(&self, shell: Shell) -> String {
        let mut script = Vec::new();
        let name = self.command.get_name();
        clap_complete::generate(shell, &mut offered(&self.command), name, &mut script);
        // If the name of the program has a hyphen, the script for Bash looks for the options of a
        // sub-command under a label that it never sets: https://github.com/clap-rs/clap/issues/6421
        let (wrong, right) = (name.replace('-', "__subcmd__"), name.replace('-', "__"));
        String::from_utf8_lossy(&script).replace(&wrong, &right)
    }

    fn page(&self) -> Page {
        self.page_of(&self.built())
    }

    /// The page of the program, and of each sub-command that is not hidden.
    fn pages(&self) -> Vec<Page> {
        let command = self.built();
        let subs = command.get_subcommands().filter(|sub| !sub.is_hide_set());
        let commands = std::iter::once(&command).chain(subs);
        commands.map(|command| self.page_of(command)).collect()
    }

    fn save_pages(&self, folder: &Path) -> Result<(), SaveError> {
        let cannot = |is_usage| {
            move |reason| SaveError {
                folder: folder.display().to_string(),
                reason,
                is_usage,
            }
        };
        make_folder(folder).map_err(cannot(true))?;
        let mut pages = self.pages().into_iter();
        let saved = pages.try_for_each(|page| {
            write_document(&folder.join(page.file_name), page.roff.as_bytes())
        });
        saved.map_err(cannot(false))
    }

    /// The command with all that clap adds, except `help`, which has no page.
    fn built(&self) -> Command {
        let mut command = self.command.clone().disable_help_subcommand(true);
        command.build();
        command
    }

    fn page_of(&self, command: &Command) -> Page {
        let (program, name) = (self.command.get_name(), command.get_name());
        let version = self.command.get_version().unwrap_or_default();
        let man = Man::new(command.clone())
            .date(NO_DATE)
            .source(format!("{program} {version}"))
            .manual("Flagbench");
        let mut page = Vec::new();
        man.render(&mut page).ok(); // writing to memory cannot fail

        let mut more = Roff::new();
        if name == program && !self.environment.is_empty() {
            more.control("SH", ["ENVIRONMENT"]);
            for (variable, meaning) in self.environment {
                more.control("TP", []);
                more.text([bold(*variable)]);
                more.text([roman(*meaning)]);
            }
        }
        more.control("SH", ["EXIT STATUS"]);
        for status in self.exit_status {
            if name == program || status.of.is_empty() || status.of.contains(&name) {
                more.control("TP", []);
                more.text([bold(status.code.to_string())]);
                more.text([roman(status.meaning)]);
            }
        }
        more.control("SH", ["SEE ALSO"]);
        let mut see_also = self.see_also.join(", ");
        if name != program {
            see_also = format!("{program}(1), {see_also}");
        }
        more.text([roman(see_also)]);
        Page {
            file_name: man.get_filename(),
            roff: String::from_utf8_lossy(&page).into_owned() + &more.to_roff(),
        }
    }
}

/// An empty argument in roff: without the quotes, the later arguments would move up.
const NO_DATE: &str = "\"\"";

/// The part of a command line that a shell completes. clap_complete would include what is hidden
/// too, and clap cannot remove it, so the rest is put together anew.
fn offered(command: &Command) -> Command {
    let subs = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    // Where any word is allowed, the script for zsh completes nothing else.
    let args = command
        .get_arguments()
        .filter(|arg| !arg.is_positional() || !is_free(arg));
    let known = Command::new(command.get_name().to_owned())
        .about(command.get_about().cloned().unwrap_or_default())
        .args(args.cloned().map(with_values))
        .subcommands(subs.map(offered));
    match command.get_version() {
        Some(version) => known.version(version.to_owned()),
        None => known,
    }
}

/// Whether its values are neither files nor those of a list.
fn is_free(arg: &Arg) -> bool {
    !is_profile(arg)
        && arg.get_possible_values().is_empty()
        && arg.get_value_hint() == ValueHint::Unknown
}

fn is_profile(arg: &Arg) -> bool {
    ["profile", "profiles"].contains(&arg.get_id().as_str())
}

/// Completes the names of the profiles, and files only where the value is a file.
fn with_values(arg: Arg) -> Arg {
    if is_profile(&arg) {
        let values = PROFILES.iter();
        let values = values.map(|profile| PossibleValue::new(profile.name).help(profile.summary()));
        arg.value_parser(PossibleValuesParser::new(values))
    } else if is_free(&arg) && arg.get_action().takes_values() {
        arg.value_hint(ValueHint::Other)
    } else {
        arg
    }
}
