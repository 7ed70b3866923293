//! How many files a job has open at one time: connections, files that are written, pipes, and what
//! the embedded server has in the same process. A job that the system does not allow is refused
//! before it starts: it would lose downloads.

use std::num::NonZeroUsize;

use flag_client::download::{Job, Runner, Strategy};
use flag_host::{PROGRAM_FILES, RUNTIME_FILES, require_files};
use flag_server::Config;

use crate::exit::Usage;

/// The runtimes of the client in a race: one for tasks, and one behind blocking reqwest.
const CLIENT_RUNTIMES: u64 = 2;

/// The pipes of a worker process, while it starts: two, with both ends, and the one by which the
/// system reports that it has started.
const FILES_OF_A_PROCESS: u64 = 5;

/// The files that a job has open at one time, at most.
pub(crate) struct OpenFiles {
    /// The option that decides, and its value.
    option: (&'static str, NonZeroUsize),
    /// What has connections: workers, or the connections themselves. Idle connections are of the
    /// same number, as no pool keeps more of them.
    count: u64,
    /// Of each of them, the server's end of its connection left out.
    each: u64,
    runtimes: u64,
    /// Embedded servers at one time, if there are any.
    servers: u64,
}

impl OpenFiles {
    /// Those of the runner that needs most of them. `saves` is whether each worker also writes a
    /// file; `has_commands` is whether external programs get a server of their own.
    pub(crate) fn of_downloads(
        runners: &[Runner],
        job: &Job,
        saves: bool,
        has_commands: bool,
    ) -> Self {
        let of_runner = |runner: &Runner| {
            let each = match runner.strategy() {
                Strategy::Processes => FILES_OF_A_PROCESS,
                _ => 1 + u64::from(saves),
            };
            (runner.workers(job).get() as u64, each)
        };
        let of_command = has_commands.then(|| (job.workers().get() as u64, 1));
        let all = runners.iter().map(of_runner).chain(of_command);
        let most = all.max_by_key(|(count, each)| count.saturating_mul(each + 1));
        let (count, each) = most.unwrap_or((1, 1));
        Self {
            option: ("--max-req", job.max_workers),
            count,
            each,
            runtimes: CLIENT_RUNTIMES,
            servers: 1 + u64::from(has_commands),
        }
    }

    /// Those of a load.
    pub(crate) fn of_load(connections: NonZeroUsize, threads: NonZeroUsize) -> Self {
        Self {
            option: ("--connections", connections),
            count: connections.get() as u64,
            each: 1,
            runtimes: threads.get() as u64,
            servers: 1,
        }
    }

    /// Lets the program have them open.
    ///
    /// # Errors
    /// When the system does not.
    pub(crate) fn require(&self, is_embedded: bool) -> Result<(), Usage> {
        let (each, servers) = match is_embedded {
            true => (self.each + 1, self.servers),
            false => (self.each, 0),
        };
        let of_a_server = Config::one_thread_per_processor().get() as u64 * RUNTIME_FILES + 1;
        let own = PROGRAM_FILES + self.runtimes * RUNTIME_FILES + servers * of_a_server;
        let (option, value) = self.option;
        require_files(self.count.saturating_mul(each).saturating_add(own)).map_err(|few| {
            let remedy = match few.allowed.saturating_sub(own) / each {
                0 => String::new(),
                fewer => format!(", or take {option} {fewer}"),
            };
            Usage(format!("{option} {value}: {few}{remedy}"))
        })
    }
}
