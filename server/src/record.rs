//! The record log: what was decided and what was sent, request by request, for tests and as a file
//! of JSON lines.
//!
//! All that a request does is hand its record over. A record is written when its response is over,
//! also when the client has left before that. How lines get into a file is decided in `json_lines`.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use flag_host::{clock, lock};
use lru::LruCache;
use serde::Serialize;
use tracing::warn;

use crate::changes::Changes;
use crate::json_lines::LineSender;
use crate::scenario::{ConnectionFaultKind, Ending, Plan, RequestKey};

/// The most runs that are remembered, with their records and their attempts. The least recently
/// used one is forgotten, and starts again at attempt 1.
pub const MAX_RUNS: NonZeroUsize = NonZeroUsize::new(16_384).unwrap();

/// The most records that are kept of one run; the oldest are forgotten first.
pub const MAX_RECORDS_PER_RUN: usize = 10_000;

/// The most bytes that the records of a listener take. Beyond it the least recently used run is
/// forgotten, and of a run that is alone, its oldest records.
pub const MAX_RECORD_BYTES: usize = 256 * 1024 * 1024;

/// One request: what was decided, and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record {
    /// The run.
    pub run: String,
    /// The method.
    pub method: String,
    /// The path in its canonical form.
    pub path: String,
    /// The attempt, as the client or the server counted it.
    pub attempt: u32,
    /// 0, or the place in a chain of redirects.
    pub hop: u32,
    /// What was decided.
    pub plan: Plan,
    /// What was sent.
    pub sent: Sent,
    /// How much later than planned the response began, in milliseconds; none if it never began.
    pub late_ms: Option<f64>,
    /// When things happened; not in a file, whose lines are the same in every run but for the
    /// lateness.
    #[serde(skip)]
    pub times: Times,
}

/// When things happened to a request, by the clock of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Its head had arrived.
    pub received: Instant,
    /// The response began; none if it never did.
    pub begun: Option<Instant>,
    /// All was over.
    pub ended: Instant,
}

/// What was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Sent {
    /// The status, if there was a head.
    pub status: Option<u16>,
    /// The bytes of the body that were handed to the connection. A client that leaves in the middle
    /// may not have got them all.
    pub bytes: u64,
    /// How it ended.
    pub end: End,
}

/// How a response ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// All of it was handed to the connection.
    Whole,
    /// With a TCP RST (on HTTP/2: with an RST_STREAM).
    Reset,
    /// With a FIN (on HTTP/2: with an RST_STREAM).
    Closed,
    /// With bytes that are not HTTP.
    Garbage,
    /// The client left before that, or the server stopped.
    Left,
}

/// Where the records of one listener go.
#[derive(Debug, Default)]
pub(crate) struct RecordLog {
    received: AtomicU64,
    /// Those whose record has been written.
    written: AtomicU64,
    unrecorded: AtomicU64,
    kept: Option<Mutex<Kept>>,
    file: Option<LineSender<Record>>,
    /// Told of each record, and of each request that has none.
    changes: Arc<Changes>,
}

/// The records in memory.
#[derive(Debug)]
struct Kept {
    runs: LruCache<String, RunRecords>,
    /// How many responses of a run are under way, where there are any.
    under_way: HashMap<String, usize>,
    /// Of all runs.
    bytes: usize,
    max_bytes: usize,
    has_warned: bool,
}

/// Those of one run.
#[derive(Debug, Default)]
struct RunRecords {
    records: VecDeque<Record>,
    bytes: usize,
}

impl Kept {
    fn new(max_bytes: usize) -> Self {
        Self {
            runs: LruCache::unbounded(),
            under_way: HashMap::new(),
            bytes: 0,
            max_bytes,
            has_warned: false,
        }
    }

    fn begin(&mut self, run: &str) {
        match self.under_way.get_mut(run) {
            Some(under_way) => *under_way += 1,
            None => drop(self.under_way.insert(run.to_owned(), 1)),
        }
    }

    /// Keeps a record, and returns a run that had to be forgotten for it, if it is the first one.
    fn push(&mut self, record: Record) -> Option<String> {
        if let Some(under_way) = self.under_way.get_mut(&record.run) {
            *under_way -= 1;
            if *under_way == 0 {
                self.under_way.remove(&record.run);
            }
        }
        let bytes = record.bytes();
        let run = self
            .runs
            .get_or_insert_mut_ref(record.run.as_str(), RunRecords::default);
        if run.records.len() == MAX_RECORDS_PER_RUN {
            self.bytes -= run.pop();
        }
        run.records.push_back(record);
        run.bytes += bytes;
        self.bytes += bytes;
        let mut first = None;
        while self.runs.len() > MAX_RUNS.get() || self.bytes > self.max_bytes {
            if self.runs.len() == 1 {
                let runs = self.runs.iter_mut();
                self.bytes -= runs.map(|(_, run)| run.pop()).sum::<usize>();
            } else if let Some((run, records)) = self.runs.pop_lru() {
                self.bytes -= records.bytes;
                if !std::mem::replace(&mut self.has_warned, true) {
                    first = Some(run);
                }
            }
        }
        first
    }
}

impl Kept {
    fn forget(&mut self, run: &str) {
        let records = self.runs.pop(run);
        self.bytes -= records.map_or(0, |records| records.bytes);
    }
}

impl RunRecords {
    /// Forgets the oldest record, and returns its size.
    fn pop(&mut self) -> usize {
        let bytes = self.records.pop_front().map_or(0, |record| record.bytes());
        self.bytes -= bytes;
        bytes
    }
}

impl Record {
    /// That of a request of which nothing has been sent.
    fn begun(request: &RequestKey<'_>, hop: u32, plan: Plan, received: Instant) -> Self {
        Self {
            run: request.run.to_owned(),
            method: request.method.to_owned(),
            path: request.path.to_owned(),
            attempt: request.attempt,
            hop,
            plan,
            sent: Sent {
                status: None,
                bytes: 0,
                end: End::Left,
            },
            late_ms: None,
            times: Times {
                received,
                begun: None,
                ended: received,
            },
        }
    }

    /// The memory that it takes where it is kept, in bytes. A queue may have as much room again.
    fn bytes(&self) -> usize {
        let drawn = match &self.plan.ending {
            Some(Ending::Corrupt { draws }) => size_of_val(&draws[..]),
            Some(Ending::Garbage { bytes, .. }) => bytes.len(),
            _ => 0,
        };
        let texts = self.run.len() + self.method.len() + self.path.len();
        2 * size_of::<Self>() + texts + drawn + size_of_val(&self.plan.rules[..])
    }
}

impl RecordLog {
    /// A log that keeps its records if `keep`, and sends them to `file` if there is one.
    pub(crate) fn new(keep: bool, file: Option<LineSender<Record>>, changes: Arc<Changes>) -> Self {
        Self {
            received: AtomicU64::new(0),
            written: AtomicU64::new(0),
            unrecorded: AtomicU64::new(0),
            kept: keep.then(|| Mutex::new(Kept::new(MAX_RECORD_BYTES))),
            file,
            changes,
        }
    }

    /// Counts a request.
    pub(crate) fn count(&self) {
        self.received.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request that is neither decided nor recorded.
    pub(crate) fn count_unrecorded(&self) {
        self.unrecorded.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether records are kept or written.
    pub(crate) fn is_kept(&self) -> bool {
        self.kept.is_some() || self.file.is_some()
    }

    /// Opens the record of a request that was there at this moment.
    pub(crate) fn begin(
        self: &Arc<Self>,
        request: &RequestKey<'_>,
        hop: u32,
        plan: &Plan,
        received: Instant,
    ) -> RecordGuard {
        if !self.is_kept() {
            return RecordGuard(None);
        }
        if let Some(kept) = &self.kept {
            lock(kept).begin(request.run);
        }
        let record = Record::begun(request, hop, plan.clone(), received);
        RecordGuard(Some(Box::new((record, Arc::clone(self)))))
    }

    /// How many requests have come.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// How many requests came that were neither decided nor recorded.
    pub(crate) fn unrecorded(&self) -> u64 {
        self.unrecorded.load(Ordering::Relaxed)
    }

    /// Whether every request that was counted has its record.
    pub(crate) fn is_settled(&self) -> bool {
        !self.is_kept() || self.written.load(Ordering::SeqCst) >= self.received()
    }

    /// The records of all runs that are remembered.
    pub(crate) fn all_records(&self) -> Vec<Record> {
        let Some(kept) = &self.kept else {
            return Vec::new();
        };
        let kept = lock(kept);
        let runs = kept.runs.iter();
        runs.flat_map(|(_, run)| run.records.iter().cloned())
            .collect()
    }

    /// Whether no response of this run is under way.
    #[cfg(feature = "control")]
    pub(crate) fn is_settled_for(&self, run: &str) -> bool {
        let kept = self.kept.as_ref();
        kept.is_none_or(|kept| !lock(kept).under_way.contains_key(run))
    }

    /// How many records there are of a run.
    pub(crate) fn count_of(&self, run: &str) -> usize {
        let Some(kept) = &self.kept else {
            return 0;
        };
        let kept = lock(kept);
        kept.runs.peek(run).map_or(0, |run| run.records.len())
    }

    /// The records of a run, oldest first.
    pub(crate) fn records(&self, run: &str) -> Vec<Record> {
        let Some(kept) = &self.kept else {
            return Vec::new();
        };
        let mut kept = lock(kept);
        let run = kept.runs.get(run);
        run.map(|run| run.records.iter().cloned().collect())
            .unwrap_or_default()
    }

    /// Forgets the records of a run.
    pub(crate) fn forget(&self, run: &str) {
        if let Some(kept) = &self.kept {
            lock(kept).forget(run);
        }
    }

    fn write(&self, record: Record) {
        if let Some(kept) = &self.kept {
            let forgotten = lock(kept).push(record.clone());
            if let Some(run) = forgotten {
                warn!(
                    %run,
                    "too many records to keep: those of the run used last longest ago are forgotten, and so will be others. A listener \
                     keeps the records of {MAX_RUNS} runs, in at most {MAX_RECORD_BYTES} bytes"
                );
            }
        }
        self.written.fetch_add(1, Ordering::SeqCst);
        self.changes.tell();
        if let Some(file) = &self.file {
            let bytes = record.bytes();
            file.send(record, bytes);
        }
    }
}

/// One request's entry, written when it is dropped. Until somebody says otherwise the client has
/// left.
#[derive(Debug, Default)]
pub(crate) struct RecordGuard(Option<Box<(Record, Arc<RecordLog>)>>);

impl RecordGuard {
    /// Whether anything is recorded.
    pub(crate) fn is_kept(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn begun(&mut self, late: Duration) {
        if let Some(entry) = &mut self.0 {
            entry.0.late_ms = Some(late.as_micros() as f64 / 1e3);
            entry.0.times.begun = Some(clock::now());
        }
    }

    pub(crate) fn status(&mut self, status: StatusCode) {
        if let Some(entry) = &mut self.0 {
            entry.0.sent.status = Some(status.as_u16());
        }
    }

    pub(crate) fn sent(&mut self, bytes: usize) {
        if let Some(entry) = &mut self.0 {
            entry.0.sent.bytes += bytes as u64;
        }
    }

    pub(crate) fn whole(&mut self) {
        self.end(End::Whole);
    }

    pub(crate) fn broken(&mut self, end: &ConnectionFaultKind) {
        self.end(match end {
            ConnectionFaultKind::Reset => End::Reset,
            ConnectionFaultKind::Garbage { .. } => End::Garbage,
            _ => End::Closed,
        });
    }

    fn end(&mut self, end: End) {
        if let Some(entry) = &mut self.0 {
            entry.0.sent.end = end;
        }
    }
}

impl Drop for RecordGuard {
    fn drop(&mut self) {
        if let Some(entry) = self.0.take() {
            let (mut record, log) = *entry;
            record.times.ended = clock::now();
            log.write(record);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(run: &str, path: &str) -> Record {
        let request = RequestKey {
            run,
            method: "GET",
            path,
            attempt: 1,
        };
        Record::begun(&request, 0, Plan::default(), clock::now())
    }

    fn counts(kept: &Kept) -> Vec<(&str, usize)> {
        let runs = kept.runs.iter();
        runs.map(|(name, run)| (name.as_str(), run.records.len()))
            .collect()
    }

    #[test]
    fn beyond_the_bytes_the_least_recently_used_run_is_forgotten_and_the_first_is_reported() {
        let path = "/".repeat(10_000);
        let room = 4 * record("a", &path).bytes();
        let mut kept = Kept::new(room);
        for run in ["a", "b", "c", "a"] {
            assert_eq!(kept.push(record(run, &path)), None);
        }
        assert_eq!(kept.push(record("d", &path)), Some("b".to_owned()));
        assert_eq!(kept.push(record("d", &path)), None); // c is forgotten, and not reported
        assert_eq!(counts(&kept), [("d", 2), ("a", 2)]);
        assert_eq!(kept.bytes, room);
        // A run that is alone, because the others were forgotten for it, loses its oldest records.
        for number in 0..10 {
            let path = format!("{number}{}", &path[1..]);
            assert_eq!(kept.push(record("e", &path)), None);
        }
        assert_eq!(counts(&kept), [("e", 4)]);
        let oldest = &kept.runs.get("e").unwrap().records[0];
        assert!(oldest.path.starts_with('6'), "{}", &oldest.path[..1]);
        assert_eq!(kept.bytes, room);
    }

    #[test]
    fn the_records_of_a_run_and_the_runs_are_bounded() {
        let mut kept = Kept::new(usize::MAX);
        for _ in 0..=MAX_RECORDS_PER_RUN {
            kept.push(record("", "/"));
        }
        assert_eq!(counts(&kept), [("", MAX_RECORDS_PER_RUN)]);
        for run in 1..MAX_RUNS.get() {
            assert_eq!(kept.push(record(&run.to_string(), "/")), None);
        }
        assert_eq!(kept.push(record("more", "/")), Some(String::new()));
        assert_eq!(kept.runs.len(), MAX_RUNS.get());
    }
}
