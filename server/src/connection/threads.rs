//! The threads of a server, each with a runtime of its own: a connection stays on one of them, and
//! nothing that it needs has to cross over to another processor.
//!
//! What runs on them is the business of others.

use std::io;
use std::num::NonZeroUsize;
use std::thread::{self, JoinHandle};

use flag_host::cpu;
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

/// Threads that end when this is dropped.
#[derive(Debug)]
pub(crate) struct Threads(Vec<Thread>);

#[derive(Debug)]
struct Thread {
    runtime: Handle,
    /// Dropped to end it.
    stay: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Threads {
    /// Starts `count` threads.
    ///
    /// # Errors
    /// When the system gives no thread, or no means to wait for sockets.
    pub(crate) fn start(count: NonZeroUsize) -> io::Result<Self> {
        let threads: io::Result<_> = (0..count.get()).map(|_| Thread::start()).collect();
        Ok(Self(threads?))
    }

    /// Their runtimes.
    pub(crate) fn runtimes(&self) -> Vec<Handle> {
        self.0.iter().map(|thread| thread.runtime.clone()).collect()
    }

    /// The runtime of the first.
    pub(crate) fn first(&self) -> &Handle {
        &self.0[0].runtime
    }
}

impl Thread {
    fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stay, ends) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("flag-server".to_owned())
            .spawn(move || {
                cpu::enter();
                // An error: the sender is gone, and that is what it was waiting for.
                runtime.block_on(ends).ok();
                drop(runtime);
                cpu::leave();
            })?;
        Ok(Self {
            runtime: handle,
            stay: Some(stay),
            thread: Some(thread),
        })
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // All are asked to end before the first is joined.
        for thread in &mut self.0 {
            drop(thread.stay.take());
        }
        for thread in &mut self.0 {
            if let Some(thread) = thread.thread.take() {
                thread.join().ok(); // a panic has been printed by then
            }
        }
    }
}
