//! How much memory a runner needs: one round in a separate process, so that nothing else is
//! measured.
//!
//! Memory comes from Linux; on other systems it is unknown. A probe that fails never fails the
//! race.

use std::io::{self, BufRead, Write};
use std::num::NonZeroUsize;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use flags_data::CountryCode;
use serde::{Deserialize, Serialize};

use super::peak_memory::PeakMemory;
use crate::download::worker::WorkerError;
use crate::download::worker::protocol::{WorkOrder, read_line, write_line};
use crate::download::{Job, Runner, RuntimeFlavor, SetupError, Strategy};

/// How often to check whether the round is over: a probe is not timed.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A round to run.
#[derive(Debug, Serialize, Deserialize)]
struct ProbeOrder {
    work: WorkOrder,
    strategy: Strategy,
    runtime: RuntimeFlavor,
    max_workers: NonZeroUsize,
    codes: Vec<CountryCode>,
}

/// The result of the round.
#[derive(Debug, Serialize, Deserialize)]
struct ProbeResult {
    grown_bytes: Option<u64>,
}

/// Runs the job once in a fresh process, and returns the growth of the memory of that process and
/// of its workers in bytes, from before the HTTP client was set up to the peak. The images go where
/// those of the job go. `None` where it cannot be measured: not on Linux, or the job was stopped.
pub fn probe(runner: &Runner, job: &Job) -> Option<u64> {
    let mut command = Command::new(&job.worker_program);
    command.arg("probe");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().ok()?;
    let mut input = child.stdin.take()?;
    let order = ProbeOrder {
        work: WorkOrder::new(runner.http(), job),
        strategy: runner.strategy(),
        runtime: runner.runtime(),
        max_workers: job.max_workers,
        codes: job.codes.clone(),
    };
    write_line(&mut input, &order).ok();
    // The answer is one line, which fits into the pipe. The end of the input stops the other
    // process.
    while let Ok(None) = child.try_wait() {
        if !job.cancel.pause(POLL_INTERVAL) {
            break;
        }
    }
    drop(input);
    let output = child.wait_with_output().ok()?;
    let result: Option<ProbeResult> = read_line(&mut &output.stdout[..]).ok()?;
    result?.grown_bytes.filter(|_| !job.cancel.is_requested())
}

/// The other side of [`probe`]: runs the round that `input` describes, and writes the result to
/// `output`.
///
/// # Errors
/// When there is no valid order, the round cannot be set up, or the result cannot be written.
pub fn run(
    mut input: impl BufRead + Send + 'static,
    mut output: impl Write,
) -> Result<(), WorkerError> {
    let order: Option<ProbeOrder> = read_line(&mut input).map_err(WorkerError::Input)?;
    let order = order.ok_or_else(|| WorkerError::Input(io::ErrorKind::UnexpectedEof.into()))?;
    let http = order.work.http();
    let job = Job {
        max_workers: order.max_workers,
        // The running program can also be a worker.
        worker_program: std::env::current_exe().unwrap_or_else(|_| "flag-client".into()),
        ..order.work.job(order.codes)
    };
    let cancel = job.cancel.clone();
    thread::spawn(move || {
        io::copy(&mut input, &mut io::sink()).ok();
        cancel.request();
    });

    let memory = PeakMemory::watch(std::process::id()).map_err(WorkerError::Input)?;
    let runner = Runner::try_new(order.strategy, http, order.runtime).map_err(SetupError::from)?;
    let downloader = runner.prepare(&job)?;
    downloader.download_many(&job);
    let peak = memory.stop();
    drop(downloader); // its memory counts until here
    let result = ProbeResult {
        grown_bytes: peak.map(|peak| peak.most - peak.first),
    };
    write_line(&mut output, &result).map_err(WorkerError::Output)
}
