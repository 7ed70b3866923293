//! How many files a job has open at one time: connections, files that are written, pipes, and what
//! the embedded server has in the same process. A job that the system does not allow is refused
//! before it starts: it would lose downloads.

use std::num::NonZeroUsize;

use flag_client::download::{Http, Job, Runner, Strategy};
use flag_host::{PROGRAM_FILES, RUNTIME_FILES, require_files};
use flag_server::Config;

use crate::exit::Usage;

/// The runtimes of the client in a race: one for tasks, and one behind blocking reqwest.
const CLIENT_RUNTIMES: u64 = 2;

/// The pipes of a worker process, while it starts: two, with both ends, and the one by which the
/// system reports that it has started.
const FILES_OF_A_PROCESS: u64 = 5;

const ONE_CONNECTION: Each = Each {
    connections: 1,
    others: 0,
};

/// The files of one worker.
#[derive(Clone, Copy)]
struct Each {
    connections: u64,
    others: u64,
}

impl Each {
    /// An embedded server has the other end of each connection.
    fn files(self, is_embedded: bool) -> u64 {
        let ends = if is_embedded { 2 } else { 1 };
        self.connections * ends + self.others
    }
}

/// The files that a job has open at one time, at most.
pub(crate) struct OpenFiles {
    /// The option that decides, and its value.
    option: (&'static str, NonZeroUsize),
    /// What has them: workers, or the connections themselves.
    count: u64,
    each: Each,
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
            let each = match (runner.strategy(), runner.http()) {
                // Its own connections are another process's. The server's are here.
                (Strategy::Processes, _) => Each {
                    connections: 1,
                    others: FILES_OF_A_PROCESS,
                },
                (_, Http::Ureq) => Each {
                    connections: 1,
                    others: saves.into(),
                },
                // A request that finds none makes one, and may get another's that is free first: as
                // many idle ones as workers, and as many busy ones.
                (_, Http::Reqwest | Http::Hyper) => Each {
                    connections: 2,
                    others: saves.into(),
                },
            };
            (runner.workers(job).get() as u64, each)
        };
        let of_command = has_commands.then(|| (job.workers().get() as u64, ONE_CONNECTION));
        let all = runners.iter().map(of_runner).chain(of_command);
        let most = all.max_by_key(|(count, each)| count.saturating_mul(each.files(true)));
        let (count, each) = most.unwrap_or((1, ONE_CONNECTION));
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
            each: ONE_CONNECTION,
            runtimes: threads.get() as u64,
            servers: 1,
        }
    }

    /// Lets the program have them open.
    ///
    /// # Errors
    /// When the system does not.
    pub(crate) fn require(&self, is_embedded: bool) -> Result<(), Usage> {
        let each = self.each.files(is_embedded);
        let servers = if is_embedded { self.servers } else { 0 };
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
