//! The record log: the records of one listener, for tests and as a file of JSON lines.
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
use tracing::warn;

use crate::changes::Changes;
use crate::counts::Counts;
use crate::json_lines::LineSender;
use crate::record::{End, ReceivedBody, ReceivedRequest, Record};
use crate::scenario::{ConnectionFaultKind, Plan, RequestKey, RuleName};

/// The most runs that are remembered, with their records and their attempts. The least recently
/// used one is forgotten, and starts again at attempt 1.
pub const MAX_RUNS: NonZeroUsize = NonZeroUsize::new(16_384).unwrap();

/// The most records that are kept of one run; the oldest are forgotten first.
pub const MAX_RECORDS_PER_RUN: usize = 10_000;

/// The most bytes that the records of a listener take. Beyond it the least recently used run is
/// forgotten, and of a run that is alone, its oldest records.
pub const MAX_RECORD_BYTES: usize = 256 * 1024 * 1024;

/// How many records are copied while a request that ends may have to wait.
const AT_A_TIME: usize = 32;

/// Where the records of one listener go.
#[derive(Debug, Default)]
pub(crate) struct RecordLog {
    received: AtomicU64,
    /// Records that have been begun, and those that have been written.
    begun: AtomicU64,
    written: AtomicU64,
    unrecorded: AtomicU64,
    kept: Option<Mutex<Kept>>,
    file: Option<LineSender<Record>>,
    counts: Arc<Counts>,
    /// Told of each record.
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
}

/// Those of one run.
#[derive(Debug, Default)]
struct RunRecords {
    records: VecDeque<Arc<Record>>,
    /// How many are forgotten; those that are left have the numbers from there.
    forgotten: u64,
    bytes: usize,
    /// Until then the run has a scenario of its own.
    needed_until: Option<Instant>,
}

impl Kept {
    fn new(max_bytes: usize) -> Self {
        Self {
            runs: LruCache::unbounded(),
            under_way: HashMap::new(),
            bytes: 0,
            max_bytes,
        }
    }

    fn begin(&mut self, run: &str) {
        match self.under_way.get_mut(run) {
            Some(under_way) => *under_way += 1,
            None => drop(self.under_way.insert(run.to_owned(), 1)),
        }
    }

    /// Keeps a record, and returns the runs that had to be forgotten for it.
    fn push(&mut self, record: Arc<Record>, needed_until: Option<Instant>) -> Vec<String> {
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
        run.needed_until = run.needed_until.max(needed_until);
        self.bytes += bytes;
        let mut forgotten = Vec::new();
        while self.runs.len() > MAX_RUNS.get() || self.bytes > self.max_bytes {
            if self.runs.len() == 1 {
                let runs = self.runs.iter_mut();
                self.bytes -= runs.map(|(_, run)| run.pop()).sum::<usize>();
            } else if let Some((run, records)) =
                pop_least_needed(&mut self.runs, |run| run.needed_until)
            {
                self.bytes -= records.bytes;
                forgotten.push(run);
            }
        }
        forgotten
    }

    fn forget(&mut self, run: &str) -> Option<RunRecords> {
        let records = self.runs.pop(run)?;
        self.bytes -= records.bytes;
        Some(records)
    }
}

/// Takes the run out that was used last longest ago; one with a scenario of its own only if all
/// have one.
pub(crate) fn pop_least_needed<T>(
    runs: &mut LruCache<String, T>,
    needed_until: impl Fn(&T) -> Option<Instant>,
) -> Option<(String, T)> {
    let now = clock::now();
    for _ in 0..runs.len() {
        let (run, least) = runs.peek_lru()?;
        if needed_until(least).is_none_or(|until| until <= now) {
            break;
        }
        let run = run.clone();
        runs.promote(&run);
    }
    runs.pop_lru()
}

impl RunRecords {
    /// Forgets the oldest record, and returns its size.
    fn pop(&mut self) -> usize {
        self.forgotten += 1;
        let bytes = self.records.pop_front().map_or(0, |record| record.bytes());
        self.bytes -= bytes;
        bytes
    }
}

impl RecordLog {
    /// A log that keeps its records if `keep`, and sends them to `file` if there is one.
    pub(crate) fn new(
        keep: bool,
        file: Option<LineSender<Record>>,
        counts: Arc<Counts>,
        changes: Arc<Changes>,
    ) -> Self {
        Self {
            received: AtomicU64::new(0),
            begun: AtomicU64::new(0),
            written: AtomicU64::new(0),
            unrecorded: AtomicU64::new(0),
            kept: keep.then(|| Mutex::new(Kept::new(MAX_RECORD_BYTES))),
            file,
            counts,
            changes,
        }
    }

    /// Counts a request that has no record.
    pub(crate) fn count_unrecorded(&self) {
        self.unrecorded.fetch_add(1, Ordering::Relaxed);
    }

    /// What the log counts beside its records.
    pub(crate) fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// Whether records are kept or written.
    pub(crate) fn is_kept(&self) -> bool {
        self.kept.is_some() || self.file.is_some()
    }

    /// Opens the record of a request that meets faults, and was there at this moment.
    /// `needed_until`: until then its run has a scenario of its own.
    pub(crate) fn begin(
        self: &Arc<Self>,
        key: &RequestKey<'_>,
        hop: u32,
        plan: &Plan,
        received: Instant,
        needed_until: Option<Instant>,
        request: impl FnOnce() -> ReceivedRequest,
    ) -> RecordGuard {
        self.received.fetch_add(1, Ordering::Relaxed);
        if self.is_kept() {
            let request = match &self.kept {
                Some(_) => request(),
                None => ReceivedRequest::default(),
            };
            let record = Record::begun(key, hop, plan.clone(), received, request);
            self.open(record, needed_until, true)
        } else if self.counts.has_requests() {
            RecordGuard(Watched::Counted(Box::new(Counted {
                rules: plan.rules.clone(),
                end: End::Left,
                late: None,
                counts: Arc::clone(&self.counts),
            })))
        } else {
            RecordGuard::default()
        }
    }

    /// Opens the record of a request that meets no faults.
    pub(crate) fn begin_undecided(
        self: &Arc<Self>,
        key: &RequestKey<'_>,
        received: Instant,
        request: impl FnOnce() -> ReceivedRequest,
    ) -> RecordGuard {
        if self.kept.is_none() {
            self.count_unrecorded();
            return RecordGuard::default();
        }
        let record = Record::begun(key, 0, Plan::default(), received, request());
        self.open(record, None, false)
    }

    fn open(
        self: &Arc<Self>,
        record: Record,
        needed_until: Option<Instant>,
        is_decided: bool,
    ) -> RecordGuard {
        if let Some(kept) = &self.kept {
            lock(kept).begin(&record.run);
        }
        self.begun.fetch_add(1, Ordering::SeqCst);
        RecordGuard(Watched::Open(Box::new(Open {
            record,
            needed_until,
            is_decided,
            log: Arc::clone(self),
        })))
    }

    /// How many requests have come that meet faults.
    pub(crate) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// How many other requests have come that have no record.
    pub(crate) fn unrecorded(&self) -> u64 {
        self.unrecorded.load(Ordering::Relaxed)
    }

    /// Whether every record that was begun is written.
    pub(crate) fn is_settled(&self) -> bool {
        self.written.load(Ordering::SeqCst) >= self.begun.load(Ordering::SeqCst)
    }

    /// The records of all runs that are remembered.
    pub(crate) fn all_records(&self) -> Vec<Record> {
        let Some(kept) = &self.kept else {
            return Vec::new();
        };
        let kept = lock(kept);
        let runs = kept.runs.iter();
        let records = runs.flat_map(|(_, run)| run.records.iter().cloned());
        let records: Vec<Arc<Record>> = records.collect();
        drop(kept);
        records.into_iter().map(Arc::unwrap_or_clone).collect()
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

    /// The records of a run, oldest first. They are looked up a few at a time, so that no request
    /// waits for this.
    pub(crate) fn records(&self, run: &str) -> Vec<Arc<Record>> {
        let mut records = Vec::new();
        let Some(kept) = &self.kept else {
            return records;
        };
        let mut next = 0_u64;
        loop {
            let mut kept = lock(kept);
            let Some(of_run) = kept.runs.get(run) else {
                return records;
            };
            // Those that were forgotten meanwhile are missing.
            let start =
                usize::try_from(next.saturating_sub(of_run.forgotten)).unwrap_or(usize::MAX);
            let start = start.min(of_run.records.len());
            let end = (start + AT_A_TIME).min(of_run.records.len());
            records.extend(of_run.records.range(start..end).cloned());
            if end == of_run.records.len() {
                return records;
            }
            next = of_run.forgotten + end as u64;
        }
    }

    /// Forgets the records of a run.
    pub(crate) fn forget(&self, run: &str) {
        if let Some(kept) = &self.kept {
            let forgotten = lock(kept).forget(run);
            drop(forgotten); // when requests need not wait for it
        }
    }

    fn write(&self, open: Open) {
        let Open {
            record,
            needed_until,
            is_decided,
            ..
        } = open;
        let record = Arc::new(record);
        if let Some(kept) = &self.kept {
            let forgotten = lock(kept).push(Arc::clone(&record), needed_until);
            for run in forgotten {
                if self.counts.forget_records() {
                    warn!(
                        %run,
                        "too many records to keep: those of the run used last longest ago are forgotten, and so will be others. A \
                         listener keeps the records of {MAX_RUNS} runs, in at most {MAX_RECORD_BYTES} bytes"
                    );
                }
            }
        }
        self.written.fetch_add(1, Ordering::SeqCst);
        self.changes.tell(&record.run);
        // In the file, only what is the same in every run.
        if let Some(file) = self.file.as_ref().filter(|_| is_decided) {
            let bytes = record.bytes();
            file.send(Arc::unwrap_or_clone(record), bytes);
        }
    }
}

/// A record that is not yet complete.
#[derive(Debug)]
struct Open {
    record: Record,
    needed_until: Option<Instant>,
    is_decided: bool,
    log: Arc<RecordLog>,
}

/// A request that is only counted.
#[derive(Debug)]
struct Counted {
    rules: Vec<RuleName>,
    end: End,
    late: Option<Duration>,
    counts: Arc<Counts>,
}

/// What becomes of one request, written when it is dropped. Until somebody says otherwise the
/// client has left.
#[derive(Debug, Default)]
pub(crate) struct RecordGuard(Watched);

#[derive(Debug, Default)]
enum Watched {
    /// Nobody wants to know.
    #[default]
    None,
    /// It is counted.
    Counted(Box<Counted>),
    /// It has a record, and is counted too.
    Open(Box<Open>),
}

impl RecordGuard {
    /// Whether anybody wants to know what becomes of the request.
    pub(crate) fn is_kept(&self) -> bool {
        !matches!(self.0, Watched::None)
    }

    fn record(&mut self) -> Option<&mut Record> {
        match &mut self.0 {
            Watched::Open(open) => Some(&mut open.record),
            Watched::None | Watched::Counted(_) => None,
        }
    }

    /// The body has been read.
    pub(crate) fn read(&mut self, body: ReceivedBody) {
        if let Some(record) = self.record() {
            record.request.body = Some(Box::new(body));
        }
    }

    pub(crate) fn begun(&mut self, late: Duration) {
        match &mut self.0 {
            Watched::None => {}
            Watched::Counted(counted) => counted.late = Some(late),
            Watched::Open(open) => {
                open.record.late_ms = Some(late.as_micros() as f64 / 1e3);
                open.record.times.begun = Some(clock::now());
            }
        }
    }

    pub(crate) fn status(&mut self, status: StatusCode) {
        if let Some(record) = self.record() {
            record.sent.status = Some(status.as_u16());
        }
    }

    pub(crate) fn sent(&mut self, bytes: usize) {
        if let Some(record) = self.record() {
            record.sent.bytes += bytes as u64;
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
        match &mut self.0 {
            Watched::None => {}
            Watched::Counted(counted) => counted.end = end,
            Watched::Open(open) => open.record.sent.end = end,
        }
    }
}

impl Drop for RecordGuard {
    fn drop(&mut self) {
        match std::mem::take(&mut self.0) {
            Watched::None => {}
            Watched::Counted(counted) => {
                let Counted {
                    rules,
                    end,
                    late,
                    counts,
                } = *counted;
                counts.end(&rules, end, late);
            }
            Watched::Open(mut open) => {
                let record = &mut open.record;
                record.times.ended = clock::now();
                let log = Arc::clone(&open.log);
                if open.is_decided {
                    let late = record
                        .late_ms
                        .map(|late| Duration::from_secs_f64(late / 1e3));
                    log.counts.end(&record.plan.rules, record.sent.end, late);
                }
                log.write(*open);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(run: &str, path: &str) -> Arc<Record> {
        let request = RequestKey {
            run,
            method: "GET",
            path,
            attempt: 1,
        };
        let now = clock::now();
        let received = ReceivedRequest::default();
        Record::begun(&request, 0, Plan::default(), now, received).into()
    }

    fn counts(kept: &Kept) -> Vec<(&str, usize)> {
        let runs = kept.runs.iter();
        runs.map(|(name, run)| (name.as_str(), run.records.len()))
            .collect()
    }

    #[test]
    fn beyond_the_bytes_the_least_recently_used_run_is_forgotten() {
        let path = "/".repeat(10_000);
        let room = 4 * record("a", &path).bytes();
        let mut kept = Kept::new(room);
        let mut push = |run, path: &str| kept.push(record(run, path), None);
        for run in ["a", "b", "c", "a"] {
            assert_eq!(push(run, &path), [""; 0]);
        }
        assert_eq!(push("d", &path), ["b"]);
        assert_eq!(push("d", &path), ["c"]);
        assert_eq!(counts(&kept), [("d", 2), ("a", 2)]);
        assert_eq!(kept.bytes, room);
        // A run that is alone, because the others were forgotten for it, loses its oldest records.
        for number in 0..10 {
            let path = format!("{number}{}", &path[1..]);
            kept.push(record("e", &path), None);
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
            kept.push(record("", "/"), None);
        }
        assert_eq!(counts(&kept), [("", MAX_RECORDS_PER_RUN)]);
        for run in 1..MAX_RUNS.get() {
            assert_eq!(kept.push(record(&run.to_string(), "/"), None), [""; 0]);
        }
        assert_eq!(kept.push(record("more", "/"), None), [""]);
        assert_eq!(kept.runs.len(), MAX_RUNS.get());
    }

    #[test]
    fn a_run_with_a_scenario_is_forgotten_last() {
        let room = 3 * record("a", "/").bytes();
        let mut kept = Kept::new(room);
        let later = clock::now() + Duration::from_secs(3600);
        let mut push = |run, needed_until| kept.push(record(run, "/"), needed_until);
        push("a", Some(later));
        push("b", Some(clock::now())); // over
        push("c", None);
        assert_eq!(push("d", Some(later)), ["b"]);
        assert_eq!(push("e", Some(later)), ["c"]);
        assert_eq!(push("f", Some(later)), ["d"]);
        // What a request for the list says of it is not known.
        assert_eq!(push("a", None), ["e"]);
        assert_eq!(push("g", None), ["g"]);
        assert_eq!(counts(&kept), [("a", 2), ("f", 1)]);
    }
}
