//! The manual page and the completions: what they say beside the options.

use clap::CommandFactory;
use flag_cli::{DocsCommand, ExitStatus, Program};

use crate::args::Args;
use crate::exit::{FAILED, REGRESSED, USAGE};
use crate::terminal::say;

/// What the manual says of the environment.
const ENVIRONMENT: &[(&str, &str)] = &[
    (
        "FLAG_CLIENT_SERVER_LABEL",
        "The URL of the flags that --server LABEL stands for. A hyphen of the LABEL is an underscore here.",
    ),
    (
        "FLAG_CLIENT_AS_OWNER_OF",
        "A folder. Started by root, the program becomes the owner of that folder before it does anything.",
    ),
    ("NO_COLOR", "Unless it is empty, there are no colours."),
];

/// What the manual says of the exit codes.
const EXIT_STATUS: &[ExitStatus] = &[
    ExitStatus {
        code: 0,
        meaning: "Success.",
        of: &[],
    },
    ExitStatus {
        code: FAILED,
        meaning: "A failure. For get: some download was an error, and not found is none. For bench and sweep: some download went wrong that the plan wanted to go well. For load: no request succeeded. For all: a result that could not be written, as on a full disk.",
        of: &[],
    },
    ExitStatus {
        code: USAGE,
        meaning: "Bad usage or configuration, or a file that cannot be written.",
        of: &[],
    },
    ExitStatus {
        code: REGRESSED,
        meaning: "A threshold is not met, or something has become slower than it was.",
        of: &["bench", "sweep", "load", "compare", "report"],
    },
    ExitStatus {
        code: 129,
        meaning: "Ended by SIGHUP, as of a terminal that was closed; what was measured until then was reported.",
        of: &[],
    },
    ExitStatus {
        code: 130,
        meaning: "Ended by Ctrl-C (SIGINT); what was measured until then was reported.",
        of: &[],
    },
    ExitStatus {
        code: 143,
        meaning: "Ended by SIGTERM; what was measured until then was reported.",
        of: &[],
    },
];

/// Prints or writes what is asked for.
pub(crate) fn docs(command: &DocsCommand) -> anyhow::Result<u8> {
    let program = Program {
        command: Args::command(),
        environment: ENVIRONMENT,
        exit_status: EXIT_STATUS,
        see_also: &["flag-server(1)"],
    };
    say(&command.run(&program)?);
    Ok(0)
}
