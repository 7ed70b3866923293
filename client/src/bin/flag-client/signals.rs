//! Signals that ask the program to end: the first ends the work in good order, and a second one at
//! once.
//!
//! A thread waits for them, so that they are heard whatever the others wait for.

use std::io;
use std::sync::{Mutex, OnceLock};
use std::thread;
use std::time::Instant;

use anyhow::Context;
use flag_cli::{Request, Requests, Signal, Signals};
use flag_client::download::CancelToken;
use flag_host::lock;
use tokio::runtime::{Builder, Runtime};

/// The first signal.
static RECEIVED: OnceLock<Signal> = OnceLock::new();
/// What ends the work in good order.
static WORK: Mutex<Option<CancelToken>> = Mutex::new(None);

/// Hears signals from now on. Until there is [work](cancel_on_signal), the first one ends the
/// program at once.
pub(crate) fn listen() -> anyhow::Result<()> {
    let (runtime, signals) = hear().context("cannot listen for signals")?;
    let waiting = thread::Builder::new().name("signals".to_owned());
    let waiting = waiting.spawn(move || runtime.block_on(obey(signals)));
    waiting.context("cannot listen for signals")?;
    Ok(())
}

/// What the first signal asks to end.
pub(crate) fn cancel_on_signal() -> CancelToken {
    lock(&WORK).get_or_insert_default().clone()
}

/// The first signal that came.
pub(crate) fn received() -> Option<Signal> {
    RECEIVED.get().copied()
}

/// Lets a worker process survive them: the process that feeds it ends the work in good order.
pub(crate) fn ignore() -> anyhow::Result<()> {
    hear().map(drop).context("cannot listen for signals")
}

fn hear() -> io::Result<(Runtime, Signals)> {
    let runtime = Builder::new_current_thread().enable_io().build()?;
    let signals = {
        let _context = runtime.enter();
        Signals::listen(false)?
    };
    Ok((runtime, signals))
}

async fn obey(mut signals: Signals) {
    let mut requests = Requests::default();
    loop {
        let signal = signals.next().await;
        match requests.add(Instant::now()) {
            Request::End => {
                RECEIVED.get_or_init(|| signal);
                match &*lock(&WORK) {
                    Some(work) => work.request(),
                    None => end(),
                }
            }
            Request::Copy => {}
            Request::EndAtOnce => end(),
        }
    }
}

/// Ends the program, which the main thread cannot do: it may be waiting for a server that never
/// answers, or for a reader of what it prints.
fn end() {
    #[cfg(feature = "terminal")]
    flag_client::report::live::restore();
    let code = received().map_or(0, Signal::exit_code);
    #[allow(clippy::exit, reason = "the main thread may be waiting")]
    std::process::exit(code.into());
}
