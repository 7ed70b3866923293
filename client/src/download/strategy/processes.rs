//! A pool of worker processes that are fed from a queue, each with one blocking request at a time.
//!
//! The round starts the processes and ends them, as it does threads: their cost is part of what is
//! measured. A thread feeds each of them, attempt by attempt, so retries, pauses, the stop and the
//! watcher stay on this side of the pipe. The times of a sample are the worker's own, shifted by
//! the time at which the attempt was handed over: they are too early by the latency of the pipe,
//! tens of microseconds.
//!
//! If a worker dies or its answer is invalid, its current attempt fails, and another worker
//! replaces it.

use std::io::{self, BufReader};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use flag_host::{lock, process};

use super::kind::{RuntimeFlavor, Strategy};
use super::pairing;
use crate::download::attempt::Download;
use crate::download::downloader::Downloader;
use crate::download::error::SetupError;
use crate::download::http::library::Http;
use crate::download::job::Job;
use crate::download::sample::Sample;
use crate::download::worker::protocol::{Task, WorkOrder, read_line, write_line};
/// Downloads as many flags at a time as the pool has processes.
#[derive(Debug)]
pub struct Processes {
    http: Http,
}

impl Processes {
    /// Sets nothing up: each process will have an HTTP client of its own.
    ///
    /// # Errors
    /// When the library does not block.
    pub fn new(http: Http, _job: &Job) -> Result<Self, SetupError> {
        pairing::check(Strategy::Processes, http, RuntimeFlavor::default())?;
        Ok(Self { http })
    }
}

impl Downloader for Processes {
    fn download_many(&self, job: &Job) -> Vec<Sample> {
        let round = Instant::now();
        let queue = Mutex::new(job.codes.iter().take_while(|_| !job.cancel.is_requested()));
        let samples = Mutex::new(Vec::with_capacity(job.codes.len()));
        let order = WorkOrder::new(self.http, job);
        let work = |worker| -> io::Result<()> {
            let mut process = Process::start(job, &order)?;
            // The lock is released before the download begins, not after it.
            while let Some(&code) = { lock(&queue).next() } {
                let download = Download::new(round, code, worker);
                let attempts = download.run_with(job, |number| process.attempt(download, number));
                lock(&samples).extend(attempts);
                if process.is_dead {
                    process = Process::start(job, &order)?;
                }
            }
            process.finish();
            Ok(())
        };
        let mut failure = None;
        thread::scope(|scope| {
            // If the system allows no more threads or processes, the existing ones do the work.
            for worker in 1..job.workers().get() {
                if thread::Builder::new()
                    .spawn_scoped(scope, move || work(worker).ok())
                    .is_err()
                {
                    break;
                }
            }
            failure = work(0).err();
        });
        let mut samples = samples.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = failure {
            let error = format!("cannot start {} ({error})", job.worker_program.display());
            for &code in queue.into_inner().unwrap_or_else(PoisonError::into_inner) {
                let download = Download::new(round, code, 0);
                let lost = |number| download.lost(number, Instant::now(), error.clone());
                samples.extend(download.run_with(job, lost));
            }
        }
        samples
    }
}

/// A worker process. Dropping this ends it.
#[derive(Debug)]
struct Process {
    child: Child,
    /// Dropping it tells the worker to end.
    tasks: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    is_dead: bool,
}

impl Process {
    fn start(job: &Job, order: &WorkOrder) -> io::Result<Self> {
        let mut command = Command::new(&job.worker_program);
        command.arg("worker");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        // Ctrl-C is for the parent process. The worker ignores it too, but only once it runs.
        process::shield(&mut command);
        let mut child = command.spawn()?;
        let (tasks, answers) = (child.stdin.take(), child.stdout.take());
        let mut process = Self {
            child,
            tasks,
            answers: BufReader::new(answers.expect("it is piped")),
            is_dead: false,
        };
        // If it died already, its first task fails.
        process.send(order).ok();
        Ok(process)
    }

    /// One attempt. The worker makes it while this thread waits.
    fn attempt(&mut self, download: Download, number: u32) -> Sample {
        let handed_over = Instant::now();
        match self.request(download, number) {
            Ok(sample) => download.moved(sample, handed_over),
            Err(error) => {
                self.is_dead = true;
                let ended = self.end();
                let error = format!("a worker process failed ({error}; {ended})");
                download.lost(number, handed_over, error)
            }
        }
    }

    fn request(&mut self, download: Download, attempt: u32) -> io::Result<Sample> {
        let code = download.code();
        self.send(&Task { code, attempt })?;
        let sample: Sample = read_line(&mut self.answers)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        if sample.code == code && sample.attempt == attempt {
            Ok(sample)
        } else {
            Err(io::Error::other("an answer to another task"))
        }
    }

    fn send(&mut self, value: &impl serde::Serialize) -> io::Result<()> {
        let tasks = self.tasks.as_mut().expect("it is dropped only at the end");
        write_line(tasks, value)
    }

    /// Lets it end by itself.
    fn finish(mut self) {
        drop(self.tasks.take());
        self.child.wait().ok();
    }

    /// Ends it if it is still running, and describes how it ended.
    fn end(&mut self) -> String {
        // Killing a process that has ended fails; it must be waited for anyway.
        self.child.kill().ok();
        match self.child.wait() {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}
