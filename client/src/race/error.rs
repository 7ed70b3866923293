//! The errors of a contender that cannot take part or cannot continue.

use std::io;

use flag_server::StartError;
use thiserror::Error;

use super::plan_check::OtherPlan;
use crate::download::SetupError;

/// A contender cannot do the job at all.
#[derive(Debug, Error)]
pub enum ContenderError {
    /// Its downloader cannot be set up.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// An external program cannot be run, or its command line is wrong.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// A named server does something else than what was given as its plan.
    #[error(transparent)]
    OtherPlan(#[from] OtherPlan),
}

/// Why an external program cannot take part. The texts name the flag and the remedy.
#[derive(Debug, Error)]
pub enum CommandError {
    /// The line cannot be split into words.
    #[error(
        "--command {0}: a quotation mark or what a backslash stands before is missing; quote the words as for a shell"
    )]
    Quotes(String),
    /// The line is empty.
    #[error(
        "--command {0:?}: names no program; give one, like --command 'python3 my_flags.py {{url}}'"
    )]
    Empty(String),
    /// The line does not tell the program where the server is.
    #[error(
        "--command {0}: does not tell the program where the flags are; put {{url}} where it wants the URL, or give the port that it \
         uses by itself with --port"
    )]
    NoUrl(String),
    /// No program has this name.
    #[error("--command {line}: there is no program {program}; check its name, or give its path")]
    NoProgram {
        /// The command line.
        line: String,
        /// Its first word.
        program: String,
    },
    /// The system cannot start it.
    #[error("--command {line}: cannot be started ({reason}); name a program that may be run")]
    Start {
        /// The command line.
        line: String,
        /// What the system said.
        reason: io::Error,
    },
    /// The port is not free.
    #[error(
        "--port {port}: the server for --command cannot listen there ({reason}); stop the program that has the port, or give another one"
    )]
    Port {
        /// The port.
        port: u16,
        /// What the system said.
        reason: io::Error,
    },
    /// The server cannot be started.
    #[error("no server for --command: {0}")]
    Server(StartError),
    /// It failed although no download had failed.
    #[error(
        "--command {line}: ended with exit code {exit_code} {}; correct the command line or the program{stderr_tail}", after(*downloads)
    )]
    Failed {
        /// The command line.
        line: String,
        /// The exit code, or 128 and its signal.
        exit_code: i32,
        /// The number of its completed downloads.
        downloads: usize,
        /// The end of its standard error, on separate lines; or empty.
        stderr_tail: String,
    },
}

fn after(downloads: usize) -> String {
    match downloads {
        0 => "before it had requested a flag".to_owned(),
        1 => "although its only download had succeeded".to_owned(),
        _ => format!("although all of its {downloads} downloads had succeeded"),
    }
}
