//! Makes the samples of an external program, which makes none itself, from the records of the
//! server.

use std::time::{Duration, Instant};

use flag_scenario::{Content, Ending, RequestKey};
use flag_server::{BlockingFlagServer, End, Record};
use flags_data::{CountryCode, Resource, ResourceKind};

use crate::download::http::exchange::http_error;
use crate::download::{Outcome, Sample};

/// How long the server may take to notice that the program has disconnected.
const RECORDS_GRACE: Duration = Duration::from_secs(1);
/// A client may notice a broken response before the server does, and send its next request. Two
/// requests that overlap for less than this do not indicate a second worker.
const BREAK_LAG: Duration = Duration::from_millis(5);

/// All records of the server. It may take a moment to notice that its client has disconnected.
pub(super) fn records(server: &BlockingFlagServer) -> Vec<Record> {
    let count = usize::try_from(server.received()).unwrap_or(usize::MAX);
    server.wait_for_records("", count, RECORDS_GRACE)
}

/// A request for an image, with the redirects that followed from it.
struct Chain<'r> {
    code: CountryCode,
    first: &'r Record,
    last: &'r Record,
}

impl Chain<'_> {
    /// Whether the body was complete: a reset or a stall may be planned behind its end.
    fn is_whole(&self) -> bool {
        let sent = &self.last.sent;
        let is_image =
            sent.status == Some(200) && sent.bytes == Content::of(&Resource::image(self.code)).len;
        sent.end == End::Whole || (is_image && sent.end != End::Left)
    }

    /// The status of the answer; some garbage begins like an answer.
    fn status(&self) -> Option<u16> {
        let sent = &self.last.sent;
        match &self.last.plan.ending {
            Some(Ending::Garbage {
                after_head: true, ..
            }) if sent.end == End::Garbage => Some(200),
            _ => sent.status,
        }
    }

    /// Whether the last response was one of the ending's own, instead of the flag.
    fn is_replaced(&self, ending: &Ending) -> bool {
        let request = RequestKey {
            run: &self.last.run,
            method: &self.last.method,
            path: &self.last.path,
            attempt: self.last.attempt,
        };
        ending.response(&request, self.last.hop).is_some()
    }

    fn outcome(&self) -> (Outcome, Option<String>) {
        let sent = &self.last.sent;
        let place = match self.status() {
            None => "before it answered".to_owned(),
            Some(_) => format!("after {} bytes of the body", sent.bytes),
        };
        if self.is_whole() {
            let status = sent.status.unwrap_or_default();
            return match (status, &self.last.plan.ending) {
                (200, Some(Ending::Corrupt { draws })) => {
                    let count = draws.len();
                    let error = format!("wrong image: the server had flipped {count} of its bits");
                    (Outcome::WrongBody, Some(error))
                }
                (200, Some(ending)) if self.is_replaced(ending) => {
                    let error = "wrong image: the server had sent another body".to_owned();
                    (Outcome::WrongBody, Some(error))
                }
                (200, _) => (Outcome::Downloaded, None),
                (404, _) => (Outcome::NotFound, None),
                _ => (Outcome::HttpError, Some(http_error(status))),
            };
        }
        let (outcome, what) = match sent.end {
            End::Reset => (Outcome::BrokenConnection, "the server reset the connection"),
            End::Garbage => (
                Outcome::BrokenConnection,
                "the server sent something other than HTTP",
            ),
            End::Closed | End::Whole => (
                Outcome::BrokenConnection,
                "the server closed the connection",
            ),
            End::Left => (Outcome::Timeout, "the program left"),
        };
        (outcome, Some(format!("{what} {place}")))
    }

    /// Its sample without what depends on the other chains: the worker, and whether another attempt
    /// followed.
    fn sample(&self, start: Instant) -> Sample {
        let since_start = |moment: Instant| moment.saturating_duration_since(start);
        let (outcome, error) = self.outcome();
        let (first, last) = (self.first, self.last);
        let delay = first.plan.delay;
        let late = first
            .late_ms
            .map(|late| Duration::from_secs_f64(late.max(0.0) / 1e3));
        Sample {
            code: self.code,
            attempt: first.attempt,
            worker: 0,
            outcome,
            error,
            status: self.status(),
            bytes: if self.is_whole() {
                last.sent.bytes as usize
            } else {
                0
            },
            sent: since_start(first.times.received),
            headers: self.status().and(last.times.begun).map(since_start),
            done: since_start(last.times.ended),
            plan: Some(delay),
            // Without a delay there is no wait, as in `server-timing`.
            wait: late.map(|late| if delay.is_zero() { delay } else { delay + late }),
            body: None,
            capacity: None,
            rules: None,
            retry_in: None,
        }
    }
}

/// A sample for each request for an image that did not follow a redirect, in the order that
/// [`Downloader`] specifies.
///
/// [`Downloader`]: crate::download::Downloader
pub(super) fn samples(records: &[Record], start: Instant) -> Vec<Sample> {
    let mut all = Vec::new();
    let chains = chains(records);
    for (chain, worker) in chains.iter().zip(workers(&chains)) {
        let sample = chain.sample(start);
        all.push(Sample { worker, ..sample });
    }
    // The attempts at one download: failures that were followed by another attempt, and the last.
    let mut downloads: Vec<Vec<Sample>> = Vec::new();
    for sample in all {
        let open = downloads.iter_mut().find(|attempts| {
            let last = attempts.last();
            last.is_some_and(|last| last.code == sample.code && last.outcome.is_error())
        });
        match open {
            Some(attempts) => {
                if let Some(last) = attempts.last_mut() {
                    last.retry_in = Some(sample.sent.saturating_sub(last.done));
                }
                attempts.push(sample);
            }
            None => downloads.push(vec![sample]),
        }
    }
    downloads.sort_by_key(|attempts| attempts.last().map(|last| last.done));
    downloads.into_iter().flatten().collect()
}

/// The requests for images, in the order in which they came.
fn chains(records: &[Record]) -> Vec<Chain<'_>> {
    let mut records: Vec<&Record> = records.iter().collect();
    records.sort_by_key(|record| record.times.received);
    let mut chains: Vec<Chain<'_>> = Vec::new();
    for record in records {
        let Some(code) = image(record) else { continue };
        let leads_here = |chain: &&mut Chain<'_>| {
            let last = chain.last;
            chain.code == code && last.attempt == record.attempt && last.hop + 1 == record.hop
        };
        match chains.iter_mut().rev().find(leads_here) {
            Some(chain) => chain.last = record,
            None => chains.push(Chain {
                code,
                first: record,
                last: record,
            }),
        }
    }
    chains
}

/// The country whose image was requested, if any.
fn image(record: &Record) -> Option<CountryCode> {
    match Resource::parse(&record.path).kind() {
        ResourceKind::Image(code) if record.method == "GET" => Some(code),
        _ => None,
    }
}

/// The worker of each: the first of those that are free when it begins, and a new one if none is.
fn workers(chains: &[Chain<'_>]) -> Vec<usize> {
    let mut busy_until: Vec<Instant> = Vec::new();
    let mut workers = Vec::with_capacity(chains.len());
    for chain in chains {
        let begun = chain.first.times.received;
        let worker = busy_until.iter().position(|until| *until <= begun);
        let worker = worker.unwrap_or(busy_until.len());
        let last = chain.last;
        let until = match last.sent.end {
            End::Whole => last.times.ended,
            _ => last
                .times
                .ended
                .checked_sub(BREAK_LAG)
                .unwrap_or(begun)
                .max(begun),
        };
        if worker == busy_until.len() {
            busy_until.push(until);
        } else {
            busy_until[worker] = until;
        }
        workers.push(worker);
    }
    workers
}
