//! A runner: a strategy with an HTTP library. It decides which pairs exist, and downloads nothing.

use std::num::NonZeroUsize;

use super::downloader::Downloader;
use super::error::SetupError;
use super::http::library::Http;
use super::job::{ConnectionOptions, Job};
use super::strategy::kind::{RuntimeFlavor, Strategy};
use super::strategy::pairing::{self, NoSuchRunner};
use super::strategy::{Asynchronous, Processes, Sequential, Threaded};

/// A strategy, the HTTP library that it uses, and the runtime of its tasks.
///
/// ```
/// use flag_client::download::{Http, Runner, RuntimeFlavor, Strategy};
///
/// let runner = Runner::try_new(Strategy::Async, Http::Hyper, RuntimeFlavor::CurrentThread)?;
/// assert_eq!(runner.name(), "async-hyper");
/// assert!(Runner::try_new(Strategy::Async, Http::Ureq, RuntimeFlavor::CurrentThread).is_err());
/// assert_eq!(Runner::from(Strategy::Threaded).name(), "threaded"); // with reqwest
/// # Ok::<(), flag_client::download::NoSuchRunner>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Runner {
    strategy: Strategy,
    http: Http,
    runtime: RuntimeFlavor,
}

impl Runner {
    /// This strategy with this library.
    ///
    /// # Errors
    /// When they do not work together, or a runtime is chosen for a strategy without one.
    pub fn try_new(
        strategy: Strategy,
        http: Http,
        runtime: RuntimeFlavor,
    ) -> Result<Self, NoSuchRunner> {
        pairing::check(strategy, http, runtime)?;
        Ok(Self {
            strategy,
            http,
            runtime,
        })
    }

    /// Every strategy with every library that it works with, on a runtime of one thread.
    pub fn all() -> Vec<Self> {
        pairs(&Strategy::ALL, &Http::ALL, RuntimeFlavor::CurrentThread).collect()
    }

    /// Each of the strategies (by default those of the default race that fit) with each of the
    /// libraries (by default reqwest). A multi-threaded runtime applies to those that have one.
    ///
    /// # Errors
    /// When a named strategy or library fits no other, or lacks what the options need.
    pub fn select(
        strategies: &[Strategy],
        https: &[Http],
        runtime: RuntimeFlavor,
        connection: ConnectionOptions,
    ) -> Result<Vec<Self>, NoSuchRunner> {
        let https = match https {
            [] => &[Http::Reqwest],
            named => named,
        };
        let candidates = match strategies {
            [] => &Strategy::DEFAULT,
            named => named,
        };
        let runners: Vec<Self> = pairs(candidates, https, runtime).collect();
        // A strategy or library that fits no other is refused with the error of its first pair.
        for &strategy in strategies {
            if !runners.iter().any(|runner| runner.strategy == strategy) {
                Self::try_new(strategy, https[0], RuntimeFlavor::CurrentThread)?;
            }
        }
        for &http in https {
            if !runners.iter().any(|runner| runner.http == http) {
                Self::try_new(candidates[0], http, RuntimeFlavor::CurrentThread)?;
            }
        }
        if let Some(first) = runners.first()
            && !runners.iter().any(|runner| runner.runtime == runtime)
        {
            return Err(NoSuchRunner::NoRuntime(first.strategy));
        }
        for runner in &runners {
            runner.check(connection)?;
        }
        Ok(runners)
    }

    /// How the downloads share time.
    pub fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// The HTTP library.
    pub fn http(&self) -> Http {
        self.http
    }

    /// The runtime of the tasks; that of one thread where there are no tasks.
    pub fn runtime(&self) -> RuntimeFlavor {
        self.runtime
    }

    /// Its name in reports: the strategy, and what differs from the default.
    pub fn name(&self) -> String {
        let mut name = self.strategy.name().to_owned();
        if self.http != Http::default() {
            name = format!("{name}-{}", self.http.name());
        }
        if self.runtime == RuntimeFlavor::MultiThread {
            name += "-multi-thread";
        }
        name
    }

    /// The most downloads that it has in flight.
    pub fn workers(&self, job: &Job) -> NonZeroUsize {
        self.strategy.workers(job)
    }

    /// A downloader with its own HTTP client and no connection yet. Its setup is not part of what a
    /// round measures; connections, threads and worker processes are.
    ///
    /// # Errors
    /// When the HTTP client or the runtime cannot be set up, or the library lacks a feature that
    /// the job needs.
    pub fn prepare(&self, job: &Job) -> Result<Box<dyn Downloader>, SetupError> {
        self.check(job.connection)?;
        Ok(match self.strategy {
            Strategy::Sequential => Box::new(Sequential::new(self.http, job)?),
            Strategy::Threaded => Box::new(Threaded::new(self.http, job)?),
            Strategy::Async => Box::new(Asynchronous::new(self.http, self.runtime, job)?),
            Strategy::Processes => Box::new(Processes::new(self.http, job)?),
        })
    }

    fn check(self, connection: ConnectionOptions) -> Result<(), NoSuchRunner> {
        if connection.http2 && !self.http.has_http2() {
            return Err(NoSuchRunner::NoHttp2(self.http));
        }
        Ok(())
    }
}

/// With reqwest, on a runtime of one thread.
impl From<Strategy> for Runner {
    fn from(strategy: Strategy) -> Self {
        Self {
            strategy,
            http: Http::default(),
            runtime: RuntimeFlavor::default(),
        }
    }
}

/// `async` with reqwest, on a runtime of one thread.
impl Default for Runner {
    fn default() -> Self {
        Self::from(Strategy::Async)
    }
}

/// The pairs that exist; the runtime applies to those that have one.
fn pairs(
    strategies: &[Strategy],
    https: &[Http],
    runtime: RuntimeFlavor,
) -> impl Iterator<Item = Runner> {
    strategies.iter().flat_map(move |&strategy| {
        let runtime = match strategy {
            Strategy::Async => runtime,
            _ => RuntimeFlavor::CurrentThread,
        };
        https
            .iter()
            .filter_map(move |&http| Runner::try_new(strategy, http, runtime).ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIRE: ConnectionOptions = ConnectionOptions {
        keep_alive: true,
        http2: false,
    };

    fn names(strategies: &[Strategy], https: &[Http], runtime: RuntimeFlavor) -> Vec<String> {
        let runners = Runner::select(strategies, https, runtime, WIRE).unwrap();
        runners.iter().map(Runner::name).collect()
    }

    #[test]
    fn strategies_are_paired_with_the_libraries_they_work_with() {
        let one = RuntimeFlavor::CurrentThread;
        assert_eq!(names(&[], &[], one), ["sequential", "threaded", "async"]);
        assert_eq!(names(&[], &[Http::Hyper], one), ["async-hyper"]);
        assert_eq!(
            names(&[], &[Http::Ureq], one),
            ["sequential-ureq", "threaded-ureq"]
        );
        let both = [Strategy::Async, Strategy::Threaded];
        assert_eq!(
            names(&both, &Http::ALL, one),
            ["async", "async-hyper", "threaded", "threaded-ureq"]
        );
        assert_eq!(
            names(&both, &[], RuntimeFlavor::MultiThread),
            ["async-multi-thread", "threaded"]
        );
    }

    #[test]
    fn a_choice_without_a_valid_pair_is_refused_with_the_flag_to_change() {
        let refusal = |strategies: &[Strategy], https: &[Http], runtime, http2| {
            let connection = ConnectionOptions { http2, ..WIRE };
            let error = Runner::select(strategies, https, runtime, connection).unwrap_err();
            error.to_string()
        };
        let one = RuntimeFlavor::CurrentThread;
        assert_eq!(
            refusal(&[Strategy::Async], &[Http::Ureq], one, false),
            "--strategy async --http ureq: ureq only blocks; take --http reqwest or hyper"
        );
        assert_eq!(
            refusal(
                &[Strategy::Async, Strategy::Threaded],
                &[Http::Hyper],
                one,
                false
            ),
            "--strategy threaded --http hyper: hyper never blocks; take --http reqwest or ureq"
        );
        assert_eq!(
            refusal(
                &[Strategy::Sequential],
                &[Http::Ureq, Http::Hyper],
                one,
                false
            ),
            "--strategy sequential --http hyper: hyper never blocks; take --http reqwest or ureq"
        );
        assert_eq!(
            refusal(
                &[Strategy::Threaded],
                &[],
                RuntimeFlavor::MultiThread,
                false
            ),
            "--strategy threaded --runtime multi-thread: only async has a runtime; leave --runtime out"
        );
        assert_eq!(
            refusal(&[], &[Http::Ureq], one, true),
            "--http ureq --http2: ureq has no HTTP/2; take --http reqwest or hyper"
        );
    }
}
