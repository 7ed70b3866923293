//! How long a perfect client takes for a job whose every attempt is planned, and what no client can
//! beat.
//!
//! Pure arithmetic. Without a capacity, or with no more workers than the server has, nobody waits
//! for anybody: the downloads are handed out in their order (list scheduling). Otherwise the queue
//! of the server is replayed, event by event. Who is where in that queue can depend on less than
//! any client controls, so it is replayed again with requests that come a little later: where that
//! changes the result, there is no ideal.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::num::NonZeroUsize;
use std::time::Duration;

use chacha20::ChaCha8Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use thiserror::Error;

use crate::wording::counted;
use crate::{Capacity, Doubt};

/// How often the queue is replayed with requests that come later.
const REPLAYS: usize = 100;
/// How much later each of them comes at most.
const LATEST: Duration = Duration::from_micros(500);
/// How far the results may be apart, as a share of the least.
const SPREAD: f64 = 0.01;
/// Of how much later each request comes.
const SEED: u64 = 1;

/// What is planned for the downloads of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// The attempts of each download, in the order in which the downloads are handed out.
    pub downloads: Vec<Vec<Step>>,
    /// The client's time limit of an attempt.
    pub time_limit: Duration,
    /// The requests that the server works on at one time; none for any number.
    pub capacity: Option<Slots>,
}

/// How many requests a server works on at one time, and how many may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slots {
    /// At one time.
    pub workers: usize,
    /// The requests that may wait.
    pub queue: usize,
}

/// What is planned for an attempt, from the moment that its request has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Its requests: one, and one for each redirect.
    pub requests: u32,
    /// How long a server with a capacity works on each of them.
    pub service: Duration,
    /// The delay of the first request, after the server has worked on it.
    pub delay: Duration,
    /// The paced body or the silence after the last; [`Duration::MAX`] if it never ends.
    pub body: Duration,
    /// The pause before the next attempt.
    pub pause: Duration,
}

/// Two times of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    /// The time of a perfect client that takes the downloads in their order.
    pub ideal: Result<Duration, NoIdeal>,
    /// What no client can beat, in whatever order: less is not possible. None where even that is
    /// not known.
    pub bound: Option<Duration>,
}

/// Why there is no ideal time.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NoIdeal {
    /// The server refuses requests.
    #[error(
        "{workers} workers are more than the server's capacity and its queue hold, so it refuses requests"
    )]
    Queue {
        /// The workers of the client.
        workers: usize,
    },
    /// Requests wait for the server beyond the time limit of the client.
    #[error("requests wait for the server's capacity until the client's time limit is over")]
    TimeLimit,
    /// Who waits for whom depends on less than a millisecond.
    #[error(
        "who waits for the server's capacity depends on fractions of a millisecond, and the time depends on that"
    )]
    Unstable,
    /// It is not known whether a rule fires.
    #[error(transparent)]
    Doubt(#[from] Doubt),
    /// Some attempts never end.
    #[error("{} would last for ever", counted(*attempts as u64, "first attempt"))]
    Endless {
        /// How many.
        attempts: usize,
    },
}

impl From<&Capacity> for Slots {
    fn from(capacity: &Capacity) -> Self {
        Self {
            workers: capacity.workers.get() as usize,
            queue: capacity.queue as usize,
        }
    }
}

impl Step {
    /// How long it takes if nobody else is there.
    fn time(&self, time_limit: Duration) -> Duration {
        let service = self.service.saturating_mul(self.requests);
        let time = service.saturating_add(self.delay);
        time.saturating_add(self.body).min(time_limit)
    }

    /// How long it takes after the server has worked on its last request, at least: where the time
    /// limit ends it, that may be over at once.
    fn rest(&self, time_limit: Duration) -> Duration {
        if self.time(time_limit) >= time_limit {
            Duration::ZERO
        } else if self.requests > 1 {
            self.body
        } else {
            self.delay.saturating_add(self.body)
        }
    }
}

impl Schedule {
    /// Both times with this many workers.
    pub fn times(&self, workers: NonZeroUsize) -> Times {
        let workers = workers.get().min(self.downloads.len());
        let ideal = self.ideal(workers);
        let is_known = !matches!(ideal, Err(NoIdeal::Queue { .. } | NoIdeal::TimeLimit));
        Times {
            bound: is_known.then(|| self.bound(workers)),
            ideal,
        }
    }

    fn ideal(&self, workers: usize) -> Result<Duration, NoIdeal> {
        match self.capacity {
            Some(slots) if slots.workers < workers => {
                if slots.queue < workers - slots.workers {
                    return Err(NoIdeal::Queue { workers });
                }
                let exact = Replay::new(self, slots, None).run(workers)?;
                let mut random = ChaCha8Rng::seed_from_u64(SEED);
                let (mut least, mut most) = (exact, exact);
                for _ in 0..REPLAYS {
                    let time = Replay::new(self, slots, Some(&mut random)).run(workers)?;
                    (least, most) = (least.min(time), most.max(time));
                }
                if (most - least).as_secs_f64() > SPREAD * least.as_secs_f64() {
                    return Err(NoIdeal::Unstable);
                }
                Ok(exact)
            }
            _ => Ok(list_schedule(self.download_times(), workers)),
        }
    }

    fn bound(&self, workers: usize) -> Duration {
        let longest = self.download_times().max().unwrap_or_default();
        let work: Duration = self.download_times().fold(Duration::ZERO, saturating_sum);
        let share = work / u32::try_from(workers.max(1)).unwrap_or(u32::MAX);
        let bound = longest.max(share);
        let Some(slots) = self.capacity else {
            return bound;
        };
        // After the last request that the server works on comes the rest of that download.
        let steps = self.downloads.iter().flatten();
        let services = steps.map(|step| step.service.saturating_mul(step.requests));
        let service: Duration = services.fold(Duration::ZERO, saturating_sum);
        let last = self.downloads.iter().filter_map(|steps| steps.last());
        let rest = last.map(|step| step.rest(self.time_limit)).min();
        let served = service / u32::try_from(slots.workers.max(1)).unwrap_or(u32::MAX);
        bound.max(rest.unwrap_or_default().saturating_add(served))
    }

    /// How long each download takes if nobody else is there, pauses included.
    fn download_times(&self) -> impl Iterator<Item = Duration> {
        self.downloads.iter().map(|steps| {
            let times = steps.iter();
            let times = times.map(|step| step.time(self.time_limit).saturating_add(step.pause));
            times.fold(Duration::ZERO, saturating_sum)
        })
    }
}

fn saturating_sum(sum: Duration, time: Duration) -> Duration {
    sum.saturating_add(time)
}

/// The *makespan* when each time, in the given order, goes to the first worker that is free, and
/// nothing else takes any time.
///
/// This is list scheduling (R. L. Graham, "Bounds for certain multiprocessing anomalies", 1966) in
/// the order of the job, as all the strategies take the codes. Another order might be faster still.
fn list_schedule(times: impl IntoIterator<Item = Duration>, workers: usize) -> Duration {
    let mut free_at: BinaryHeap<Reverse<Duration>> =
        std::iter::repeat_n(Reverse(Duration::ZERO), workers).collect();
    let mut makespan = Duration::ZERO;
    for time in times {
        let Some(Reverse(start)) = free_at.pop() else {
            break;
        };
        let end = start.saturating_add(time);
        makespan = makespan.max(end);
        free_at.push(Reverse(end));
    }
    makespan
}

/// The queue of a server with a capacity, and the workers of a client in front of it.
struct Replay<'s> {
    schedule: &'s Schedule,
    /// How much later requests come.
    random: Option<&'s mut ChaCha8Rng>,
    /// What happens when, and after what else that happens then.
    events: BinaryHeap<Reverse<(Duration, u64, Event)>>,
    next_event: u64,
    next_download: usize,
    workers: Vec<Worker>,
    /// The requests that the server could begin to work on.
    free: usize,
    queue: VecDeque<usize>,
}

/// Of one worker of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// Its request comes.
    Comes(usize),
    /// The server has worked on its request.
    Served(usize),
}

/// A worker of the client.
#[derive(Debug, Clone, Copy, Default)]
struct Worker {
    download: usize,
    attempt: usize,
    /// The requests of the attempt that the server has worked on.
    served: u32,
    /// When the attempt began.
    sent: Duration,
}

impl<'s> Replay<'s> {
    fn new(schedule: &'s Schedule, slots: Slots, random: Option<&'s mut ChaCha8Rng>) -> Self {
        Self {
            schedule,
            random,
            events: BinaryHeap::new(),
            next_event: 0,
            next_download: 0,
            workers: Vec::new(),
            free: slots.workers,
            queue: VecDeque::new(),
        }
    }

    /// The time until the last worker is done.
    fn run(mut self, workers: usize) -> Result<Duration, NoIdeal> {
        self.workers = vec![Worker::default(); workers];
        let mut makespan = Duration::ZERO;
        for worker in 0..workers {
            self.take_download(worker, Duration::ZERO);
        }
        while let Some(Reverse((now, _, event))) = self.events.pop() {
            match event {
                Event::Comes(worker) => {
                    self.queue.push_back(worker);
                    self.serve(now);
                }
                Event::Served(worker) => {
                    self.free += 1;
                    self.serve(now);
                    makespan = makespan.max(self.go_on(worker, now)?);
                }
            }
        }
        Ok(makespan)
    }

    fn add(&mut self, at: Duration, event: Event) {
        self.events.push(Reverse((at, self.next_event, event)));
        self.next_event += 1;
    }

    fn step(&self, worker: usize) -> Step {
        let Worker {
            download, attempt, ..
        } = self.workers[worker];
        self.schedule.downloads[download][attempt]
    }

    /// The server begins to work on the requests that it can.
    fn serve(&mut self, now: Duration) {
        while self.free > 0
            && let Some(worker) = self.queue.pop_front()
        {
            self.free -= 1;
            let end = now.saturating_add(self.step(worker).service);
            self.add(end, Event::Served(worker));
        }
    }

    /// The worker takes the next download, if there is one.
    fn take_download(&mut self, worker: usize, now: Duration) {
        while let Some(steps) = self.schedule.downloads.get(self.next_download) {
            self.workers[worker] = Worker {
                download: self.next_download,
                ..Worker::default()
            };
            self.next_download += 1;
            if !steps.is_empty() {
                self.workers[worker].sent = now;
                self.send(worker, now);
                break;
            }
        }
    }

    fn send(&mut self, worker: usize, now: Duration) {
        let later = self.random.as_mut().map_or(Duration::ZERO, |random| {
            let nanos = (u64::from(random.next_u32()) * LATEST.as_nanos() as u64) >> 32;
            Duration::from_nanos(nanos)
        });
        self.add(now.saturating_add(later), Event::Comes(worker));
    }

    /// What the worker does after the server has worked on its request, and until when.
    fn go_on(&mut self, worker: usize, now: Duration) -> Result<Duration, NoIdeal> {
        let step = self.step(worker);
        let limit = self.schedule.time_limit;
        let Worker { served, sent, .. } = self.workers[worker];
        let time_out = sent.saturating_add(limit);
        let is_first = served == 0;
        let is_last = served + 1 >= step.requests;
        let mut next = now;
        if is_first {
            next = next.saturating_add(step.delay);
        }
        if is_last {
            next = next.saturating_add(step.body);
        }
        if next >= time_out {
            // It was to time out, but while it is served and waits for nothing else.
            if step.time(limit) < limit || now >= time_out {
                return Err(NoIdeal::TimeLimit);
            }
            next = time_out;
        } else if !is_last {
            self.workers[worker].served += 1;
            self.send(worker, next);
            return Ok(next);
        }
        let next = next.saturating_add(step.pause);
        let Worker {
            download, attempt, ..
        } = self.workers[worker];
        if attempt + 1 < self.schedule.downloads[download].len() {
            self.workers[worker] = Worker {
                download,
                attempt: attempt + 1,
                served: 0,
                sent: next,
            };
            self.send(worker, next);
        } else {
            self.take_download(worker, next);
        }
        Ok(next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn step(service: u64, delay: u64) -> Step {
        Step {
            requests: 1,
            service: ms(service),
            delay: ms(delay),
            body: Duration::ZERO,
            pause: Duration::ZERO,
        }
    }

    fn schedule(downloads: Vec<Vec<Step>>, capacity: Option<(usize, usize)>) -> Schedule {
        Schedule {
            downloads,
            time_limit: Duration::from_secs(10),
            capacity: capacity.map(|(workers, queue)| Slots { workers, queue }),
        }
    }

    fn delays(millis: &[u64]) -> Schedule {
        schedule(
            millis.iter().map(|millis| vec![step(0, *millis)]).collect(),
            None,
        )
    }

    fn times(schedule: &Schedule, workers: usize) -> Times {
        schedule.times(NonZeroUsize::new(workers).unwrap())
    }

    fn ideal(schedule: &Schedule, workers: usize) -> Result<Duration, NoIdeal> {
        times(schedule, workers).ideal
    }

    /// By hand, two workers: 3→A (0–3), 1→B (0–1), 4→B (1–5), 1→A (3–4), 5→A (4–9), 2→B (5–7).
    #[test]
    fn without_a_capacity_the_ideal_is_that_of_a_schedule_made_by_hand() {
        let schedule = delays(&[3, 1, 4, 1, 5, 2]);
        for (workers, expected) in [(1, 16), (2, 9), (6, 5), (1000, 5)] {
            assert_eq!(ideal(&schedule, workers), Ok(ms(expected)));
        }
        assert_eq!(ideal(&delays(&[]), 3), Ok(Duration::ZERO));
    }

    #[test]
    fn the_bound_is_the_longest_download_or_the_share_of_each_worker() {
        let schedule = delays(&[1, 1, 1, 1, 4]);
        // 1, 2, 3, 4 and then the longest: another order would take 4.
        assert_eq!(ideal(&schedule, 2), Ok(ms(6)));
        assert_eq!(times(&schedule, 2).bound, Some(ms(4)));
        assert_eq!(times(&schedule, 1).bound, Some(ms(8)));
        assert_eq!(times(&schedule, 9).bound, Some(ms(4)));
    }

    #[test]
    fn a_capacity_of_two_takes_twenty_flags_in_ten_turns_and_a_delay() {
        let schedule = schedule(vec![vec![step(40, 20)]; 20], Some((2, usize::MAX)));
        for workers in [4, 10, 20, 30] {
            assert_eq!(ideal(&schedule, workers), Ok(ms(420)), "{workers}");
            assert_eq!(times(&schedule, workers).bound, Some(ms(420)), "{workers}");
        }
        // Nobody waits: 60 ms for each.
        assert_eq!(ideal(&schedule, 1), Ok(ms(1200)));
        assert_eq!(ideal(&schedule, 2), Ok(ms(600)));
    }

    #[test]
    fn a_queue_that_is_too_short_for_the_workers_has_no_ideal() {
        let schedule = schedule(vec![vec![step(40, 0)]; 20], Some((2, 3)));
        assert_eq!(ideal(&schedule, 5), Ok(ms(400)));
        assert_eq!(ideal(&schedule, 6), Err(NoIdeal::Queue { workers: 6 }));
        assert_eq!(times(&schedule, 6).bound, None);
        // No more than there are downloads.
        let two = Schedule {
            downloads: vec![vec![step(40, 0)]; 2],
            ..schedule
        };
        assert_eq!(ideal(&two, 6), Ok(ms(40)));
    }

    #[test]
    fn waiting_that_reaches_the_time_limit_has_no_ideal() {
        let limited = |millis| Schedule {
            time_limit: ms(millis),
            ..schedule(vec![vec![step(40, 20)]; 3], Some((1, 9)))
        };
        // The third waits for two others: 80 + 40 + 20.
        assert_eq!(ideal(&limited(142), 3), Ok(ms(140)));
        assert_eq!(ideal(&limited(140), 3), Err(NoIdeal::TimeLimit));
        assert_eq!(times(&limited(140), 3).bound, None);
        assert_eq!(ideal(&limited(140), 1), Ok(ms(180)));
    }

    #[test]
    fn an_attempt_that_is_planned_to_time_out_takes_its_limit_and_its_wait_is_part_of_it() {
        let endless = Step {
            body: Duration::MAX,
            ..step(40, 0)
        };
        let schedule = Schedule {
            time_limit: ms(100),
            ..schedule(vec![vec![endless], vec![endless]], Some((1, 9)))
        };
        assert_eq!(ideal(&schedule, 2), Ok(ms(100)));
        assert_eq!(ideal(&schedule, 1), Ok(ms(200)));
    }

    #[test]
    fn each_attempt_queues_anew_and_its_worker_waits_in_the_pause() {
        let failed = Step {
            pause: ms(100),
            ..step(10, 0)
        };
        let schedule = schedule(
            vec![
                vec![failed, step(10, 5)],
                vec![step(50, 0)],
                vec![step(200, 0)],
            ],
            Some((1, 9)),
        );
        // The first attempt 0–10, the second download 10–60, the third 60–260; the retry comes at
        // 110, and waits for it.
        assert_eq!(ideal(&schedule, 2), Ok(ms(275)));
    }

    #[test]
    fn each_request_of_a_chain_of_redirects_queues_and_only_the_first_is_delayed() {
        let chain = Step {
            requests: 3,
            body: ms(7),
            ..step(10, 2000)
        };
        let schedule = schedule(vec![vec![chain], vec![step(10, 0)]], Some((1, 9)));
        // The chain 0–10, its delay until 2010, 2010–2020, 2020–2030, and its body.
        assert_eq!(ideal(&schedule, 2), Ok(ms(2037)));
        assert_eq!(ideal(&schedule, 1), Ok(ms(2037 + 10)));
    }

    #[test]
    fn a_time_that_depends_on_fractions_of_a_millisecond_is_no_ideal() {
        // Both come at once, and only one of them has a long way after it.
        let schedule = schedule(
            vec![vec![step(10, 10)], vec![step(10, 0)]],
            Some((1, usize::MAX)),
        );
        assert_eq!(ideal(&schedule, 2), Err(NoIdeal::Unstable));
        assert_eq!(times(&schedule, 2).bound, Some(ms(20)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_schedule_beats_its_bound(
            millis in proptest::collection::vec((0_u64..50, 0_u64..5000), 1..40),
            workers in 1_usize..64,
            slots in 1_usize..8,
        ) {
            let steps = |&(service, delay): &(u64, u64)| vec![step(service, delay)];
            let downloads: Vec<_> = millis.iter().map(steps).collect();
            for capacity in [None, Some((slots, usize::MAX))] {
                let schedule = schedule(downloads.clone(), capacity);
                let times = times(&schedule, workers);
                if let Ok(ideal) = times.ideal {
                    prop_assert!(ideal >= times.bound.unwrap());
                    if capacity.is_none() {
                        let longest = millis.iter().map(|(service, delay)| service + delay).max();
                        let bound = times.bound.unwrap() + ms(longest.unwrap());
                        prop_assert!(ideal <= bound, "Graham's bound");
                    }
                }
            }
        }
    }
}
