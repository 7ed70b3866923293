//! Makes the samples of an external program, which makes none itself, from the records of the
//! server, and lists its other requests. All of them are the program's, whatever run, method or
//! resource they name: no one else knows the server.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use flag_scenario::{Content, Ending, RequestKey, RuleName};
use flag_server::{AttemptFrom, BlockingFlagServer, End, Record};
use flags_data::{CountryCode, Resource, ResourceKind};

use crate::download::http::exchange::http_error;
use crate::download::{Outcome, Sample};
use crate::result::{CommandRequests, OtherRequest};

/// How long the server may take to notice that the program has disconnected.
const RECORDS_GRACE: Duration = Duration::from_secs(1);
/// A client may notice a broken response before the server does, and send its next request. Two
/// requests that overlap for less than this do not indicate a second worker.
const BREAK_LAG: Duration = Duration::from_millis(5);

/// How much of a path is kept.
const PATH_LEN: usize = 200;

/// What a program requested.
#[derive(Debug)]
pub(super) struct Seen {
    /// In the order that [`Downloader`](crate::download::Downloader) specifies.
    pub(super) samples: Vec<Sample>,
    pub(super) requests: CommandRequests,
}

impl Seen {
    /// All that came to the server of a program between its start and its end. The server may take
    /// a moment to notice that the program has disconnected.
    pub(super) fn by(server: &BlockingFlagServer, start: Instant, end: Instant) -> Self {
        let records = server.settled_records(RECORDS_GRACE).into_iter();
        // Those that meet no faults are no downloads, and are only counted.
        let (mut records, mut faultless): (Vec<_>, Vec<_>) = records.partition(is_decided);
        let count = |count: u64| usize::try_from(count).unwrap_or(usize::MAX);
        let forgotten = count(server.received()).saturating_sub(records.len());
        let is_in_time = |record: &Record| record.times.received <= end;
        records.retain(is_in_time);
        faultless.retain(is_in_time);
        let unrecorded = [count(server.unrecorded()), forgotten, faultless.len()];
        let unrecorded = unrecorded.into_iter().fold(0, usize::saturating_add);
        let chains = chains(&records);
        let workers = workers(&chains);
        let (mut samples, mut others) = (Vec::new(), Vec::new());
        for (chain, worker) in chains.iter().zip(workers) {
            match chain.code {
                Some(code) => samples.push(chain.sample(code, worker, start)),
                None => others.push(chain.other_request(worker, start)),
            }
        }
        Self {
            samples: in_order(samples),
            requests: CommandRequests {
                received: records.len().saturating_add(unrecorded),
                own_run: records
                    .iter()
                    .filter(|record| !record.run.is_empty())
                    .count(),
                unrecorded,
                others,
            },
        }
    }
}

/// Whether the request meets faults.
fn is_decided(record: &Record) -> bool {
    record.request.attempt_from != AttemptFrom::None
}

/// A request, with the redirects that followed from it.
struct Chain<'r> {
    /// The country whose image was requested, if any.
    code: Option<CountryCode>,
    first: &'r Record,
    last: &'r Record,
}

impl Chain<'_> {
    /// Whether the body was complete: a reset or a stall may be planned behind its end.
    fn is_whole(&self, code: CountryCode) -> bool {
        let sent = &self.last.sent;
        let is_image =
            sent.status == Some(200) && sent.bytes == Content::of(&Resource::image(code)).len;
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

    fn outcome(&self, is_whole: bool) -> (Outcome, Option<String>) {
        let sent = &self.last.sent;
        let place = match self.status() {
            None => "before it answered".to_owned(),
            Some(_) => format!("after {} bytes of the body", sent.bytes),
        };
        if is_whole {
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

    /// Its sample, but for whether another attempt followed.
    fn sample(&self, code: CountryCode, worker: usize, start: Instant) -> Sample {
        let since_start = |moment: Instant| moment.saturating_duration_since(start);
        let is_whole = self.is_whole(code);
        let (outcome, error) = self.outcome(is_whole);
        let (first, last) = (self.first, self.last);
        let delay = first.plan.delay;
        let late = first
            .late_ms
            .map(|late| Duration::from_secs_f64(late.max(0.0) / 1e3));
        Sample {
            code,
            attempt: first.attempt,
            worker,
            outcome,
            error,
            status: self.status(),
            bytes: if is_whole {
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
            // As the header `flag-plan` has them.
            rules: RuleName::list(&first.plan.rules).map(Cow::into_owned),
            retry_in: None,
        }
    }

    /// The request, where it was for no image.
    fn other_request(&self, worker: usize, start: Instant) -> OtherRequest {
        let since_start = |moment: Instant| moment.saturating_duration_since(start);
        OtherRequest {
            method: self.first.method.clone(),
            path: self.first.path.chars().take(PATH_LEN).collect(),
            worker,
            status: self.status(),
            sent: since_start(self.first.times.received),
            done: since_start(self.last.times.ended),
            plan: self.first.plan.delay,
        }
    }
}

/// The samples grouped by download, with what links its attempts; the download that ended first
/// comes first.
fn in_order(all: Vec<Sample>) -> Vec<Sample> {
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

/// The requests that no redirect led to, in the order in which they came.
fn chains(records: &[Record]) -> Vec<Chain<'_>> {
    let mut records: Vec<&Record> = records.iter().collect();
    records.sort_by_key(|record| record.times.received);
    let mut chains: Vec<Chain<'_>> = Vec::new();
    for record in records {
        let leads_here = |chain: &&mut Chain<'_>| {
            let last = chain.last;
            last.hop + 1 == record.hop
                && (last.attempt, &last.run) == (record.attempt, &record.run)
                && (&last.method, &last.path) == (&record.method, &record.path)
        };
        let chain = (record.hop > 0)
            .then(|| chains.iter_mut().rev().find(leads_here))
            .flatten();
        match chain {
            Some(chain) => chain.last = record,
            None => chains.push(Chain {
                code: image(record),
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
