//! The other end of `--strategy processes`: a process that makes attempts on request, one at a
//! time.
//!
//! # The protocol
//!
//! All of it is lines of JSON. The process reads a [`WorkOrder`] and then one [`Task`] after the
//! other; it answers each with a [`Sample`](crate::download::Sample), whose times count from the
//! moment at which it read the task, and ends with its input. It makes single attempts: the sender
//! of the tasks decides about retries, pauses and the stop. So a worker whose parent has ended, for
//! any reason, has at most one attempt to finish.
//!
//! This module knows nothing of pools, and does not start processes.

use std::io::{self, BufRead, Write};
use std::time::Instant;

use thiserror::Error;

use super::protocol::{Task, WorkOrder, read_line, write_line};
use crate::download::attempt::Download;
use crate::download::error::SetupError;
use crate::download::http::client::BlockingHttp;

/// Why a worker ended before its input did.
#[derive(Debug, Error)]
pub enum WorkerError {
    /// Its input cannot be read or parsed.
    #[error(
        "a worker process reads its work from the flag-client that started it ({0}); use `flag-client get`"
    )]
    Input(io::Error),
    /// The answers cannot be written.
    #[error("cannot write the answer of a worker process ({0})")]
    Output(io::Error),
    /// No HTTP client.
    #[error(transparent)]
    Setup(#[from] SetupError),
}

/// Makes the attempts that `input` names, and writes their samples to `output`.
///
/// # Errors
/// When there is no valid order, or the answers cannot be written.
pub fn run(mut input: impl BufRead, mut output: impl Write) -> Result<(), WorkerError> {
    let order: WorkOrder = read_line(&mut input)
        .and_then(|order| order.ok_or_else(|| io::ErrorKind::UnexpectedEof.into()))
        .map_err(WorkerError::Input)?;
    let http = order.http();
    let job = order.job(Vec::new());
    let http = BlockingHttp::new(http, &job)?;
    while let Some(Task { code, attempt }) = read_line(&mut input).map_err(WorkerError::Input)? {
        let taken = Instant::now();
        let sample = Download::new(taken, code, 0).attempt(&job, &http, attempt);
        write_line(&mut output, &sample).map_err(WorkerError::Output)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use flags_data::CountryCode;

    use super::*;
    use crate::download::http::library::Http;
    use crate::download::job::Job;
    use crate::download::sample::{Outcome, Sample};

    fn code(text: &str) -> CountryCode {
        text.parse().unwrap()
    }

    #[test]
    fn a_worker_answers_each_task_and_ends_with_its_input() {
        // Port 1 of this machine: no server listens there.
        let job = Job::new("http://127.0.0.1:1/flags", vec![code("BR")]);
        let mut input = Vec::new();
        write_line(&mut input, &WorkOrder::new(Http::Ureq, &job)).unwrap();
        for attempt in [1, 2] {
            let code = code("BR");
            write_line(&mut input, &Task { code, attempt }).unwrap();
        }
        let mut output = Vec::new();
        run(&input[..], &mut output).unwrap();
        let mut answers = &output[..];
        for attempt in [1, 2] {
            let sample: Sample = read_line(&mut answers).unwrap().unwrap();
            assert_eq!((sample.code, sample.attempt), (code("BR"), attempt));
            assert_eq!(sample.outcome, Outcome::NoConnection);
        }
        assert!(answers.is_empty());
    }

    #[test]
    fn a_worker_without_a_valid_order_says_what_it_is_for() {
        for input in ["", "\n", "{}\n", "BR\n"] {
            let error = run(input.as_bytes(), io::sink()).unwrap_err();
            let text = error.to_string();
            assert!(text.ends_with("; use `flag-client get`"), "{text}");
        }
    }
}
