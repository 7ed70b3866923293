//! The other end of `--strategy processes`: a process that makes attempts as it is told, one at a time.
//!
//! # What is said
//!
//! All of it is lines of JSON. The process reads a [`WorkOrder`] and then one [`Task`] after the other; it answers
//! each with a [`Sample`](crate::download::Sample), whose times count from the moment at which it read the task, and the end of its input
//! with a [`Farewell`]. It makes single attempts: which attempt is next, the pauses before it and the stop are the
//! business of whoever sends the tasks. So a worker whose parent is gone, however that came about, has at most
//! one attempt to finish.
//!
//! This module knows nothing of pools, and does not start processes.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use flags_data::{CountryCode, Digest};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::download::http::exchange::{BlockingHttp, Download, SetupError};
use crate::download::job::{Images, Job, Wire};
use crate::download::retry::RetryPolicy;
use crate::download::runner::Http;
use crate::race::memory_probe;

/// What is the same for all attempts.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WorkOrder {
    base_url: String,
    timeout: Duration,
    retry: RetryPolicy,
    wire: Wire,
    http: Http,
    images: ImagesOrder,
}

/// [`Images`] as they are told: a catalogue is its digests.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ImagesOrder {
    Compare(BTreeMap<CountryCode, [u8; 32]>),
    Save(PathBuf),
}

/// One attempt to make.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) code: CountryCode,
    pub(crate) attempt: u32,
}

/// The last line.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Farewell {
    /// The most memory that was resident, where the system tells.
    pub(crate) peak_bytes: Option<u64>,
}

impl WorkOrder {
    pub(crate) fn new(http: Http, job: &Job) -> Self {
        let digest = |&code: &CountryCode| Some((code, *job.images.expected(code)?.as_bytes()));
        Self {
            base_url: job.base_url.clone(),
            timeout: job.timeout,
            retry: job.retry,
            wire: job.wire,
            http,
            images: match &job.images {
                Images::Save(folder) => ImagesOrder::Save(folder.clone()),
                Images::Verify(_) | Images::Compare(_) => {
                    ImagesOrder::Compare(job.codes.iter().filter_map(digest).collect())
                }
            },
        }
    }

    /// The library that the worker uses.
    pub(crate) fn http(&self) -> Http {
        self.http
    }

    /// The job that is described, with these codes.
    pub(crate) fn job(self, codes: Vec<CountryCode>) -> Job {
        let images = match self.images {
            ImagesOrder::Save(folder) => Images::Save(folder),
            ImagesOrder::Compare(digests) => {
                let digests = digests.into_iter();
                let digests = digests.map(|(code, digest)| (code, Digest::from_bytes(digest)));
                Images::Compare(Arc::new(digests.collect()))
            }
        };
        Job {
            timeout: self.timeout,
            retry: self.retry,
            wire: self.wire,
            images,
            ..Job::new(self.base_url, codes)
        }
    }
}

/// Why a worker ended before the end of its input.
#[derive(Debug, Error)]
pub enum WorkerError {
    /// The standard streams, or what came through them.
    #[error(
        "a worker process reads its work from the flag-client that started it ({0}); use `flag-client get`"
    )]
    Input(io::Error),
    /// Nobody reads the answers.
    #[error("nobody reads what a worker process answers ({0})")]
    Output(io::Error),
    /// No HTTP client.
    #[error(transparent)]
    Setup(#[from] SetupError),
}

/// Makes the attempts that `input` names, and writes what came of them to `output`.
///
/// # Errors
/// When there is no order, or nobody to answer to.
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
    let farewell = Farewell {
        peak_bytes: memory_probe::peak(),
    };
    write_line(&mut output, &farewell).map_err(WorkerError::Output)
}

/// The next value; `None` at the end.
pub(crate) fn read_line<T: for<'de> Deserialize<'de>>(
    input: &mut impl BufRead,
) -> io::Result<Option<T>> {
    let mut line = String::new();
    if input.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    Ok(Some(serde_json::from_str(&line)?))
}

/// One value, in one piece.
pub(crate) fn write_line(output: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    output.write_all(&line)?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::download::sample::{Outcome, Sample};

    fn code(text: &str) -> CountryCode {
        text.parse().unwrap()
    }

    #[test]
    fn an_order_says_all_that_an_attempt_depends_on() {
        let job = Job {
            timeout: Duration::from_millis(1500),
            retry: RetryPolicy {
                retries: 3,
                seed: u64::MAX,
                ..RetryPolicy::default()
            },
            wire: Wire {
                keep_alive: false,
                http2: true,
            },
            ..Job::new("http://localhost:8000/flags", vec![code("BR"), code("XX")])
        };
        let text = serde_json::to_string(&WorkOrder::new(Http::Reqwest, &job)).unwrap();
        let order: WorkOrder = serde_json::from_str(&text).unwrap();
        assert_eq!(order.http(), Http::Reqwest);
        let told = order.job(job.codes.clone());
        assert_eq!(told.base_url, job.base_url);
        assert_eq!((told.timeout, told.retry), (job.timeout, job.retry));
        assert_eq!(told.wire, job.wire);

        // What it says of an image is the same, word for word.
        let brazil = flags_data::Catalogue::embedded()
            .get(code("BR"))
            .unwrap()
            .image
            .bytes
            .clone();
        assert_eq!(told.images.accept(code("BR"), &brazil), Ok(()));
        for wrong in ["BR", "XX"] {
            assert_eq!(
                told.images.accept(code(wrong), b"GIF89a"),
                job.images.accept(code(wrong), b"GIF89a")
            );
        }
    }

    #[test]
    fn a_worker_answers_each_task_and_bids_farewell_at_the_end() {
        // Port 1 of this machine: nobody listens there.
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
        let farewell: Farewell = read_line(&mut answers).unwrap().unwrap();
        assert_eq!(farewell.peak_bytes.is_some(), cfg!(target_os = "linux"));
        assert!(answers.is_empty());
    }

    #[test]
    fn a_worker_that_is_told_nothing_or_nonsense_says_what_it_is_for() {
        for input in ["", "\n", "{}\n", "BR\n"] {
            let error = run(input.as_bytes(), io::sink()).unwrap_err();
            let text = error.to_string();
            assert!(text.ends_with("; use `flag-client get`"), "{text}");
        }
    }
}
