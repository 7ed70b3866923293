//! How late delays end: this server's clock beside tokio's timer and a thread that does nothing but
//! sleep.
//!
//! `cargo bench -p flag-host --bench lateness [-- ROUNDS]`; ten rounds take half a minute. Nothing
//! is asserted but that no delay ends early; how late delays end depends on the machine. Under
//! `cargo test` it is a smoke test.
//!
//! Lateness is the time from the deadline until the next thing that the waiting task or thread
//! does. The percentiles are those of the nearest rank: of n values in order, number ⌈p · n⌉.
//!
//! The clocks take turns in short rounds, so that other load on the machine affects them all.
//! Still, one pause of some milliseconds (another process, or the host of a virtual machine) makes
//! a hundred delays late at once, and decides the 99th percentile of all rounds together. So the
//! targets are judged twice: by the percentiles of all rounds together, and by the median of the
//! ratios within each round, which ignores disturbed rounds.

#![expect(clippy::print_stdout, reason = "the table is what it is for")]

use std::future::Future;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use flag_host::clock;
use tokio::runtime::{Builder, Runtime};

/// How much is measured.
struct Size {
    /// Each begins its next delay when one has ended, so this many are waited for at the same time.
    chains: usize,
    delays_per_chain: usize,
    rounds: usize,
    crowd: usize,
    idle: Duration,
}

const BENCH: Size = Size {
    chains: 500,
    delays_per_chain: 2,
    rounds: 10,
    crowd: 20_000,
    idle: Duration::from_secs(2),
};
const SMOKE: Size = Size {
    chains: 10,
    delays_per_chain: 2,
    rounds: 1,
    crowd: 100,
    idle: Duration::from_millis(10),
};

fn main() {
    // `cargo bench` says so; `cargo test` does not.
    let mut size = if std::env::args().any(|arg| arg == "--bench") {
        BENCH
    } else {
        SMOKE
    };
    if let Some(rounds) = std::env::args().find_map(|arg| arg.parse().ok()) {
        size.rounds = std::cmp::max(rounds, 1);
    }
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("threads for a runtime");
    race(&runtime, &size);
    crowd(&runtime, &size);
    idle(&runtime, &size);
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Contestant {
    Clock,
    CoarseThenClock,
    Tokio,
    Thread,
    PreciseThread,
}

use Contestant::{Clock, CoarseThenClock, PreciseThread, Thread, Tokio};

impl Contestant {
    const ALL: [Self; 5] = [Clock, CoarseThenClock, Tokio, Thread, PreciseThread];

    fn name(self) -> &'static str {
        match self {
            Clock => "this clock",
            CoarseThenClock => "tokio until 3 ms before, this clock",
            Tokio => "tokio::time::sleep_until",
            Thread => "thread::sleep, a thread per chain",
            PreciseThread => "the same, timer slack 1 ns",
        }
    }

    /// Goes through all `chains` at the same time.
    fn run(self, runtime: &Runtime, chains: Vec<Vec<Duration>>) -> Vec<Sample> {
        match self {
            Clock => tasks(runtime, chains, clock::sleep_until),
            CoarseThenClock => tasks(runtime, chains, |deadline| async move {
                let coarse = deadline - Duration::from_millis(3);
                tokio::time::sleep_until(coarse.into()).await;
                clock::sleep_until(deadline).await;
            }),
            Tokio => tasks(runtime, chains, |deadline| {
                tokio::time::sleep_until(deadline.into())
            }),
            Thread => threads(chains, || {}),
            PreciseThread => threads(chains, be_precise),
        }
    }
}

/// When a delay should have ended, and when it did.
struct Sample {
    deadline: Instant,
    end: Instant,
}

fn tasks<F: Future<Output = ()> + Send>(
    runtime: &Runtime,
    chains: Vec<Vec<Duration>>,
    sleep_until: impl Fn(Instant) -> F + Copy + Send + 'static,
) -> Vec<Sample> {
    let tasks: Vec<_> = chains
        .into_iter()
        .map(|chain| {
            runtime.spawn(async move {
                let mut samples = Vec::with_capacity(chain.len());
                for delay in chain {
                    let deadline = Instant::now() + delay;
                    sleep_until(deadline).await;
                    let end = Instant::now();
                    samples.push(Sample { deadline, end });
                }
                samples
            })
        })
        .collect();
    let join = |task: tokio::task::JoinHandle<_>| runtime.block_on(task).expect("no chain panics");
    tasks.into_iter().flat_map(join).collect()
}

fn threads(chains: Vec<Vec<Duration>>, prepare: fn()) -> Vec<Sample> {
    // Starting threads is not part of a delay.
    let all_started = Arc::new(Barrier::new(chains.len()));
    let threads: Vec<_> = chains
        .into_iter()
        .map(|chain| {
            let all_started = Arc::clone(&all_started);
            thread::spawn(move || {
                prepare();
                let mut samples = Vec::with_capacity(chain.len());
                all_started.wait();
                for delay in chain {
                    let deadline = Instant::now() + delay;
                    let end = loop {
                        let now = Instant::now();
                        if now >= deadline {
                            break now;
                        }
                        thread::sleep(deadline - now);
                    };
                    samples.push(Sample { deadline, end });
                }
                samples
            })
        })
        .collect();
    let join = |thread: thread::JoinHandle<_>| thread.join().expect("no chain panics");
    threads.into_iter().flat_map(join).collect()
}

/// What was measured of one contestant in all rounds.
#[derive(Default)]
struct Record {
    /// Of each round in order.
    rounds: Vec<Vec<Duration>>,
    early: usize,
    cpu: Duration,
}

impl Record {
    fn add(&mut self, contestant: Contestant, runtime: &Runtime, chains: Vec<Vec<Duration>>) {
        let cpu = cpu_time();
        let samples = contestant.run(runtime, chains);
        self.cpu += cpu_time() - cpu;
        let late = |Sample { deadline, end }| {
            self.early += usize::from(end < deadline);
            end.saturating_duration_since(deadline)
        };
        let mut round: Vec<_> = samples.into_iter().map(late).collect();
        round.sort_unstable();
        self.rounds.push(round);
    }

    fn print(&self, name: &str) {
        let mut all = self.rounds.concat();
        all.sort_unstable();
        let cpu = self.cpu.as_secs_f64() * 1e6 / all.len() as f64;
        println!(
            "{name:36} {:6} {:6} {:>9} {:>9} {:>9} {:>9} {cpu:>9.1}",
            all.len(),
            self.early,
            micros(nearest_rank(&all, 0.5)),
            micros(nearest_rank(&all, 0.9)),
            micros(nearest_rank(&all, 0.99)),
            micros(nearest_rank(&all, 1.0)),
        );
    }
}

/// Of values in ascending order.
fn nearest_rank<T: Copy>(ordered: &[T], p: f64) -> T {
    let rank = (p * ordered.len() as f64).ceil() as usize;
    ordered[rank.max(1) - 1]
}

fn print_head(title: &str) {
    println!("\n{title}\nLateness and CPU time of the process per delay (with its start) in µs:\n");
    println!(
        "{:36} {:>6} {:>6} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "", "delays", "early", "p50", "p90", "p99", "max", "CPU"
    );
}

fn micros(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64() * 1e6)
}

/// The same delays for every contestant, in rounds of which each begins with another of them.
fn race(runtime: &Runtime, size: &Size) {
    let mut chance = Chance(20_150_223);
    let mut records: [Record; Contestant::ALL.len()] = Default::default();
    for round in 0..size.rounds {
        let chains: Vec<Vec<_>> = (0..size.chains)
            .map(|_| {
                let delay = |_| chance.between(1_000_000, 200_000_000);
                (0..size.delays_per_chain).map(delay).collect()
            })
            .collect();
        for turn in 0..records.len() {
            // Backwards in every other round, so that no contestant always follows the same one.
            let turn = if round % 2 == 0 {
                turn
            } else {
                records.len() - 1 - turn
            };
            let which = (round / 2 + turn) % records.len();
            records[which].add(Contestant::ALL[which], runtime, chains.clone());
        }
    }
    print_head(&format!(
        "{} delays of 1 to 200 ms, {} at a time, in {} rounds",
        size.rounds * size.chains * size.delays_per_chain,
        size.chains,
        size.rounds
    ));
    for (contestant, record) in Contestant::ALL.iter().zip(&records) {
        record.print(contestant.name());
    }
    let [clock, _, tokio, thread, _] = &records;
    println!();
    target("p50 ÷ tokio's", clock, tokio, 0.50, 0.15);
    target("p99 ÷ the thread's", clock, thread, 0.99, 1.25);
    println!("early: {} (target: 0)", clock.early);
    assert_eq!(clock.early, 0, "the clock must never be early");
}

fn target(what: &str, record: &Record, other: &Record, p: f64, target: f64) {
    let ratio = |of: &[Duration], to: &[Duration]| {
        nearest_rank(of, p).as_secs_f64() / nearest_rank(to, p).as_secs_f64()
    };
    let [mut all, mut all_other] = [record, other].map(|record| record.rounds.concat());
    all.sort_unstable();
    all_other.sort_unstable();
    let mut by_round: Vec<_> = record
        .rounds
        .iter()
        .zip(&other.rounds)
        .map(|(of, to)| ratio(of, to))
        .collect();
    by_round.sort_unstable_by(f64::total_cmp);
    let judged = |ratio: f64| {
        let verdict = if ratio <= target { "met" } else { "MISSED" };
        format!("{ratio:.3} ({verdict})")
    };
    println!(
        "{what}, at most {target}: all together {}; median of the rounds {}, from {:.3} to {:.3}",
        judged(ratio(&all, &all_other)),
        judged(nearest_rank(&by_round, 0.5)),
        by_round[0],
        nearest_rank(&by_round, 1.0),
    );
}

/// Very many that wait at the same time.
fn crowd(runtime: &Runtime, size: &Size) {
    print_head(&format!(
        "{} delays of 1 to 2000 ms, all at the same time",
        size.crowd
    ));
    let mut chance = Chance(1);
    let chains: Vec<Vec<_>> = (0..size.crowd)
        .map(|_| vec![chance.between(1_000_000, 2_000_000_000)])
        .collect();
    for contestant in [Clock, Tokio] {
        let mut record = Record::default();
        record.add(contestant, runtime, chains.clone());
        record.print(contestant.name());
    }
}

/// One far deadline and nothing to do until then, beside nothing to do at all.
fn idle(runtime: &Runtime, size: &Size) {
    let idle = || {
        thread::sleep(Duration::from_millis(10)); // until everybody sleeps
        let cpu = cpu_time();
        thread::sleep(size.idle);
        cpu_time() - cpu
    };
    let without = idle();
    let hour = Duration::from_secs(3600);
    let far = runtime.spawn(clock::sleep_until(Instant::now() + hour));
    let with = idle();
    assert!(!far.is_finished());
    println!(
        "\nCPU time of the idle process in {:?}: {} µs with a far deadline, {} µs without",
        size.idle,
        micros(with),
        micros(without)
    );
}

/// SplitMix64 (Steele, Lea and Flood, 2014): the delays are the same on every run.
struct Chance(u64);

impl Chance {
    fn between(&mut self, from_nanos: u64, to_nanos: u64) -> Duration {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        Duration::from_nanos(from_nanos + z % (to_nanos - from_nanos + 1))
    }
}

#[cfg(target_os = "linux")]
fn be_precise() {
    let one = Some(std::num::NonZeroU64::MIN);
    rustix::thread::set_current_timer_slack(one).expect("a thread may set its timer slack");
}

#[cfg(not(target_os = "linux"))]
fn be_precise() {}

/// Of all threads of this process so far.
#[cfg(target_os = "linux")]
fn cpu_time() -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).expect("CPU time is not negative")
}

/// Not measured here: it counts as zero.
#[cfg(not(target_os = "linux"))]
fn cpu_time() -> Duration {
    Duration::ZERO
}
