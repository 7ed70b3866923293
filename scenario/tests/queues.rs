//! Drawn service times behave as queueing theory says: requests at a steady rate, or at random,
//! meet a server of limited capacity, and the percentiles of the response times are those of the
//! closed formulas.
//!
//! No socket, no clock, fixed seeds. What always runs is short and has wider bounds; the whole is
//! `cargo test --release -p flag-scenario --test queues -- --ignored --nocapture`.

#![expect(
    clippy::print_stdout,
    reason = "the figures are what the whole run is for"
)]

use std::num::NonZeroU32;
use std::time::Duration;

use chacha20::ChaCha8Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use flag_scenario::{Capacity, Distribution, Planner, RequestKey, Scenario};

/// The mean service time.
const SERVICE: Duration = Duration::from_millis(20);

/// When requests come.
#[derive(Debug, Clone, Copy)]
enum Arrivals {
    /// One after each interval: D/M/c.
    Steady,
    /// A Poisson process: M/M/c.
    Random,
}

/// Service times of a mean of one, as a server draws them.
struct Services(Planner);

impl Services {
    fn new(servers: u32) -> Self {
        let capacity = Capacity {
            workers: NonZeroU32::new(servers).unwrap(),
            service_time: Distribution::exponential(SERVICE).unwrap(),
            queue: u32::MAX,
        };
        let scenario = Scenario::faultless().with_capacity(capacity);
        Self(Planner::new(&scenario))
    }

    fn of(&self, attempt: u32) -> f64 {
        let request = RequestKey {
            run: "",
            method: "GET",
            path: "/flags/br/br.gif",
            attempt,
        };
        self.0.service_time(&request).as_secs_f64() / SERVICE.as_secs_f64()
    }
}

/// The response times of the requests, in the order of their arrival: each goes to the server that
/// is free first (J. Kiefer and J. Wolfowitz, "On the theory of queues with many servers", 1955).
fn simulated(arrivals: Arrivals, servers: u32, load: f64, count: u32) -> Vec<f32> {
    let services = Services::new(servers);
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mean = 1.0 / (load * f64::from(servers));
    let mut free = vec![0.0_f64; servers as usize];
    let mut now = 0.0;
    let mut response = |attempt| {
        now += match arrivals {
            Arrivals::Steady => mean,
            Arrivals::Random => {
                let unit = ((rng.next_u64() >> 12) as f64 + 0.5) / (1_u64 << 52) as f64;
                -mean * unit.ln()
            }
        };
        let first = free.iter_mut().min_by(|a, b| a.total_cmp(b)).unwrap();
        *first = first.max(now) + services.of(attempt);
        (*first - now) as f32
    };
    (1..=count).map(&mut response).collect()
}

/// A queue in which a request waits with some probability, and then exponentially; its service is
/// exponential with a mean of one.
struct Theory {
    /// The probability that a request waits.
    waits: f64,
    /// The rate at which waits end.
    rate: f64,
}

impl Theory {
    fn new(arrivals: Arrivals, servers: u32, load: f64) -> Self {
        match arrivals {
            Arrivals::Steady => Self::steady(servers, load),
            Arrivals::Random => Self::random(servers, load),
        }
    }

    /// M/M/c: A. K. Erlang's formula of 1917.
    fn random(servers: u32, load: f64) -> Self {
        let c = f64::from(servers);
        let (mut term, mut sum) = (1.0, 0.0);
        for n in 1..=servers {
            sum += term;
            term *= load * c / f64::from(n);
        }
        let all_busy = term / (1.0 - load);
        Self {
            waits: all_busy / (sum + all_busy),
            rate: c * (1.0 - load),
        }
    }

    /// D/M/c, as a case of GI/M/c (L. Takács, *Introduction to the Theory of Queues*, 1962,
    /// chapter 2).
    fn steady(servers: u32, load: f64) -> Self {
        let c = f64::from(servers);
        // The Laplace transform of the time between two arrivals.
        let transform = |s: f64| (-s / (load * c)).exp();
        // The root below one of σ = transform(c (1 − σ)).
        let mut sigma = 0.5;
        for _ in 0..10_000 {
            sigma = transform(c * (1.0 - sigma));
        }
        let (mut binomial, mut product, mut sum) = (1.0, 1.0, 1.0 / (1.0 - sigma));
        for j in 1..=servers {
            let j = f64::from(j);
            let phi = transform(j);
            binomial *= (c - j + 1.0) / j;
            product *= phi / (1.0 - phi);
            let ratio = (c * (1.0 - phi) - j) / (c * (1.0 - sigma) - j);
            sum += binomial / (product * (1.0 - phi)) * ratio;
        }
        Self {
            waits: 1.0 / (sum * (1.0 - sigma)),
            rate: c * (1.0 - sigma),
        }
    }

    /// The probability that a response takes longer.
    fn above(&self, time: f64) -> f64 {
        let Self { waits, rate } = self;
        let served = (-time).exp();
        let both = if (rate - 1.0).abs() < 1e-9 {
            served * (1.0 + time)
        } else {
            (rate * served - (-rate * time).exp()) / (rate - 1.0)
        };
        (1.0 - waits) * served + waits * both
    }

    fn percentile(&self, percent: f64) -> f64 {
        let (mut low, mut high) = (0.0, 1e4);
        for _ in 0..100 {
            let middle = f64::midpoint(low, high);
            if self.above(middle) > 1.0 - percent / 100.0 {
                low = middle;
            } else {
                high = middle;
            }
        }
        low
    }
}

fn check(servers: u32, load: f64, count: u32, percents: &[f64], most: f64) {
    for arrivals in [Arrivals::Steady, Arrivals::Random] {
        let mut times = simulated(arrivals, servers, load, count);
        times.sort_unstable_by(f32::total_cmp);
        let theory = Theory::new(arrivals, servers, load);
        for &percent in percents {
            let rank = (percent / 100.0 * times.len() as f64).ceil() as usize;
            let (found, expected) = (f64::from(times[rank - 1]), theory.percentile(percent));
            let off = found / expected - 1.0;
            println!(
                "{arrivals:?}, {servers} servers, load {load}: p{percent} {:.3} ms, in theory {:.3} ms, {:+.2} %",
                found * 20.0,
                expected * 20.0,
                off * 100.0
            );
            assert!(
                off.abs() <= most,
                "{arrivals:?} {servers} {load} p{percent}: {found} {expected}"
            );
        }
    }
}

/// The probability to wait is known by itself: a third, and the root of σ = exp(−2 (1 − σ)).
#[test]
fn the_theory_has_its_known_values() {
    let erlang = Theory::new(Arrivals::Random, 2, 0.5);
    assert!((erlang.waits - 1.0 / 3.0).abs() < 1e-9, "{}", erlang.waits);
    let steady = Theory::new(Arrivals::Steady, 1, 0.5);
    assert!(
        (steady.waits - 0.203_187_87).abs() < 1e-8,
        "{}",
        steady.waits
    );
}

#[test]
fn response_times_are_those_of_queueing_theory() {
    for servers in [1, 2, 4] {
        check(servers, 0.5, 40_000, &[50.0, 99.0], 0.06);
    }
}

#[test]
#[ignore = "takes minutes, and wants a release build"]
fn whole_response_times_are_those_of_queueing_theory() {
    for servers in [1, 2, 4] {
        for load in [0.5, 0.8] {
            check(servers, load, 10_000_000, &[50.0, 99.0], 0.03);
        }
        check(servers, 0.9, 30_000_000, &[50.0, 99.0], 0.03);
        check(servers, 0.95, 30_000_000, &[50.0], 0.03);
    }
}
