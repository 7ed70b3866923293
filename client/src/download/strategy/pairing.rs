//! Which strategies work with which HTTP libraries. It sets nothing up.

use thiserror::Error;

use super::kind::{RuntimeFlavor, Strategy};
use crate::download::error::SetupError;
use crate::download::http::library::Http;

/// Why a strategy and a library do not work together. The texts name the flags and the remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NoSuchRunner {
    /// Tasks need a library that does not block.
    #[error("--strategy {s} --http {h}: {h} only blocks; take --http reqwest or hyper", s = .0.name(), h = .1.name())]
    Blocks(Strategy, Http),
    /// Threads need a library that blocks.
    #[error("--strategy {s} --http {h}: {h} never blocks; take --http reqwest or ureq", s = .0.name(), h = .1.name())]
    NeverBlocks(Strategy, Http),
    /// Only tasks have a runtime to choose.
    #[error("--strategy {s} --runtime multi-thread: only async has a runtime; leave --runtime out", s = .0.name())]
    NoRuntime(Strategy),
    /// The library supports HTTP/1.1 only.
    #[error("--http {h} --http2: {h} has no HTTP/2; take --http reqwest or hyper", h = .0.name())]
    NoHttp2(Http),
}

impl From<NoSuchRunner> for SetupError {
    fn from(error: NoSuchRunner) -> Self {
        Self::Http(error.to_string())
    }
}

/// Whether this strategy works with this library, and has such a runtime.
///
/// # Errors
/// When they do not work together, or a runtime is chosen for a strategy without one.
pub(crate) fn check(
    strategy: Strategy,
    http: Http,
    runtime: RuntimeFlavor,
) -> Result<(), NoSuchRunner> {
    let works = match http {
        Http::Reqwest => true,
        Http::Ureq => strategy != Strategy::Async,
        Http::Hyper => strategy == Strategy::Async,
    };
    match strategy {
        Strategy::Async if !works => Err(NoSuchRunner::Blocks(strategy, http)),
        _ if !works => Err(NoSuchRunner::NeverBlocks(strategy, http)),
        Strategy::Async => Ok(()),
        _ if runtime != RuntimeFlavor::CurrentThread => Err(NoSuchRunner::NoRuntime(strategy)),
        _ => Ok(()),
    }
}
