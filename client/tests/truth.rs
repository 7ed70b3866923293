//! What intervals, stopping rules and winners are worth, by simulation: programs of which the truth
//! is known are measured very often, and the claims are counted.
//!
//! The seeds are fixed, so each result is the same on every machine. What always runs has fewer
//! repetitions and wider bounds; the whole, which prints every figure, is
//! `cargo test --release -p flag-client --test truth -- --ignored --nocapture`.

#![expect(
    clippy::print_stdout,
    reason = "the figures are what the whole run is for"
)]

use std::time::Duration;

use chacha20::ChaCha8Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use flag_client::race::Rounds;
use flag_client::result::Ranking;
use flag_client::result::interval::{Interval, Looks};
use flag_client::result::stats::Growth;

/// The noise of a machine, each around a median of zero with a deviation of about one.
#[derive(Debug, Clone, Copy)]
enum Noise {
    Uniform,
    Normal,
    /// Heavy on both sides.
    Laplace,
    /// Only ever slower.
    Exponential,
    /// The usual shape of times.
    LogNormal,
    /// One round in ten is hit by something.
    Bursts,
}

const FAMILIES: [Noise; 6] = [
    Noise::Uniform,
    Noise::Normal,
    Noise::Laplace,
    Noise::Exponential,
    Noise::LogNormal,
    Noise::Bursts,
];

/// The deviations of a round, as shares of its time.
const LEVELS: [f64; 15] = [
    0.002, 0.003, 0.004, 0.005, 0.006, 0.008, 0.010, 0.012, 0.015, 0.018, 0.022, 0.027, 0.033,
    0.040, 0.050,
];

/// Above 0 and below 1.
fn unit(rng: &mut ChaCha8Rng) -> f64 {
    ((rng.next_u64() >> 12) as f64 + 0.5) / (1_u64 << 52) as f64
}

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    let (radius, angle) = (unit(rng), unit(rng));
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

impl Noise {
    fn draw(self, rng: &mut ChaCha8Rng) -> f64 {
        match self {
            Self::Uniform => (unit(rng) - 0.5) * 12.0_f64.sqrt(),
            Self::Normal => normal(rng),
            Self::Laplace => {
                let place = unit(rng) - 0.5;
                -place.signum() * (1.0 - 2.0 * place.abs()).ln() / 2.0_f64.sqrt()
            }
            Self::Exponential => -unit(rng).ln() - std::f64::consts::LN_2,
            Self::LogNormal => (0.8 * normal(rng)).exp() - 1.0,
            // The median of the mixture is that of the quiet nine tenths' 5/9 quantile.
            Self::Bursts => {
                let hit = if unit(rng) < 0.1 { 5.0 } else { 0.0 };
                normal(rng) + hit - MEDIAN_OF_BURSTS
            }
        }
    }
}

/// Where `0.9 Φ(x) + 0.1 Φ(x − 5)` is a half.
const MEDIAN_OF_BURSTS: f64 = 0.139_709_5;

/// The time of a round whose true median is 100.
fn time(noise: Noise, level: f64, rng: &mut ChaCha8Rng) -> f64 {
    100.0 * (1.0 + level * noise.draw(rng))
}

/// Rounds of contenders whose true median is 100, until the rule says that there are enough.
fn race(
    rule: Rounds,
    contenders: usize,
    noise: Noise,
    level: f64,
    rng: &mut ChaCha8Rng,
) -> Vec<Vec<f64>> {
    let mut times = vec![Vec::new(); contenders];
    while !rule.are_done(&times, Duration::ZERO) {
        for series in &mut times {
            series.push(time(noise, level, rng));
        }
    }
    times
}

fn exactly(rounds: usize) -> Rounds {
    Rounds::Exactly(rounds.try_into().unwrap())
}

fn looks(rule: Rounds) -> Looks {
    match rule {
        Rounds::Exactly(_) => Looks::One,
        Rounds::Enough => Looks::Several,
    }
}

/// The share of races whose interval holds the true median.
fn coverage(rule: Rounds, noise: Noise, level: f64, repetitions: usize, seed: u64) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let holds = |_: &usize| {
        let times = race(rule, 1, noise, level, &mut rng);
        Interval::of(&times[0], looks(rule)).is_some_and(|interval| interval.holds(100.0))
    };
    (0..repetitions).filter(holds).count() as f64 / repetitions as f64
}

/// The share of races of equal contenders that have a winner.
fn winners(rule: Rounds, contenders: usize, noise: Noise, repetitions: usize) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(contenders as u64);
    let names: Vec<String> = (0..contenders).map(|index| index.to_string()).collect();
    let is_won = |_: &usize| {
        let times = race(rule, contenders, noise, 0.01, &mut rng);
        let ranked: Vec<(&str, Vec<f64>)> = names.iter().map(String::as_str).zip(times).collect();
        matches!(Ranking::of(&ranked, looks(rule)), Ranking::Winner { .. })
    };
    (0..repetitions).filter(is_won).count() as f64 / repetitions as f64
}

/// Prints and checks the coverage of every rule, family and level.
fn check_coverage(repetitions: usize, levels: &[f64], bounds: std::ops::RangeInclusive<f64>) {
    for rule in [
        exactly(6),
        exactly(7),
        exactly(10),
        exactly(13),
        exactly(30),
        Rounds::Enough,
    ] {
        for noise in FAMILIES {
            for (index, &level) in levels.iter().enumerate() {
                let found = coverage(rule, noise, level, repetitions, index as u64);
                println!(
                    "{rule:?} {noise:?} {:.1} %: {:.1} %",
                    level * 100.0,
                    found * 100.0
                );
                assert!(
                    bounds.contains(&found),
                    "{rule:?} {noise:?} {level}: {found}"
                );
            }
        }
    }
}

/// Prints and checks how often somebody wins among equals.
fn check_winners(repetitions: usize, most: f64) {
    for rule in [exactly(6), exactly(10), exactly(30), Rounds::Enough] {
        for contenders in [2, 3, 5, 8] {
            for noise in FAMILIES {
                let found = winners(rule, contenders, noise, repetitions);
                println!(
                    "{rule:?} {contenders} equal, {noise:?}: {:.1} %",
                    found * 100.0
                );
                assert!(found <= most, "{rule:?} {contenders} {noise:?}: {found}");
            }
        }
    }
}

#[test]
fn an_interval_holds_the_true_median_as_often_as_it_claims() {
    check_coverage(1_000, &[0.002, 0.01, 0.05], 0.92..=0.98);
}

#[test]
fn of_equal_contenders_hardly_one_wins() {
    check_winners(500, 0.085);
}

#[test]
fn fewer_than_six_rounds_have_the_confidence_that_they_claim() {
    for (rounds, confidence) in [(3, 0.75), (4, 0.875), (5, 0.9375)] {
        let found = coverage(exactly(rounds), Noise::LogNormal, 0.01, 2_000, 1);
        assert!((found - confidence).abs() < 0.02, "{rounds}: {found}");
    }
}

#[test]
#[ignore = "takes minutes, and wants a release build"]
fn whole_an_interval_holds_the_true_median_as_often_as_it_claims() {
    check_coverage(10_000, &LEVELS, 0.93..=0.97);
}

#[test]
#[ignore = "takes minutes, and wants a release build"]
fn whole_of_equal_contenders_hardly_one_wins() {
    check_winners(10_000, 0.06);
}

/// The numbers of workers of a sweep of 20 flags.
const WORKERS: [f64; 5] = [1.0, 2.0, 5.0, 10.0, 20.0];

/// The shares of sweeps whose intervals hold the true σ and κ: each round's ratio of measured to
/// ideal time is what these make of it, times noise.
fn growth(
    (sigma, kappa): (f64, f64),
    rounds: usize,
    noise: Noise,
    level: f64,
    repetitions: usize,
) -> [f64; 2] {
    let mut rng = ChaCha8Rng::seed_from_u64(rounds as u64);
    let mut held = [0_usize; 2];
    for _ in 0..repetitions {
        let levels = WORKERS.map(|n| {
            let true_ratio = 1.02 * (1.0 + sigma * (n - 1.0) + kappa * n * (n - 1.0));
            let ratio = |_| true_ratio * time(noise, level, &mut rng) / 100.0;
            (n, (0..rounds).map(ratio).collect::<Vec<f64>>())
        });
        let found = Growth::per_round(&levels).unwrap();
        let of = |part: fn(&Growth) -> f64| {
            let values: Vec<f64> = found.iter().map(part).collect();
            Interval::of(&values, Looks::One).unwrap()
        };
        held[0] += usize::from(of(|growth| growth.sigma).holds(sigma));
        held[1] += usize::from(of(|growth| growth.kappa).holds(kappa));
    }
    held.map(|held| held as f64 / repetitions as f64)
}

/// Prints and checks how often the intervals of σ and κ hold the truth.
fn check_growth(repetitions: usize, levels: &[f64], bounds: std::ops::RangeInclusive<f64>) {
    for truth in [(0.0, 0.0), (0.01, 0.0), (0.05, 0.002)] {
        for rounds in [6, 10, 30] {
            for noise in FAMILIES {
                for &level in levels {
                    let found = growth(truth, rounds, noise, level, repetitions);
                    println!("{truth:?} {rounds} {noise:?} {level}: {found:?}");
                    for held in found {
                        let case = format!("{truth:?} {rounds} {noise:?} {level}: {held}");
                        assert!(bounds.contains(&held), "{case}");
                    }
                }
            }
        }
    }
}

#[test]
fn the_growth_with_the_workers_is_found_and_that_of_the_ideal_alone_is_none() {
    check_growth(1_000, &[0.02], 0.92..=0.98);
}

#[test]
#[ignore = "takes minutes, and wants a release build"]
fn whole_the_growth_with_the_workers_is_found() {
    check_growth(10_000, &LEVELS, 0.93..=0.97);
}
