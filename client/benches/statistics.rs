//! What it takes to say what samples mean, and to keep the times of a load:
//! `cargo bench -p flag-client --bench statistics`.

use std::time::Duration;

use divan::{Bencher, black_box};
use flag_client::load::recorder::{Exchange, Recorder, RequestOutcome};
use flag_client::result::interval::{Interval, Looks};
use flag_client::result::stats;

fn main() {
    divan::main();
}

/// Times that are neither equal nor in order.
fn times(count: usize) -> Vec<f64> {
    let mixed = |index: usize| (index * 7919 % 1009) as f64 + 100.0;
    (0..count).map(mixed).collect()
}

#[divan::bench(args = [194, 5820])]
fn sort_and_take_percentiles(bencher: Bencher<'_, '_>, count: usize) {
    bencher.with_inputs(|| times(count)).bench_values(|times| {
        let sorted = stats::sorted(times);
        [50.0, 90.0, 99.0].map(|percent| stats::percentile(&sorted, percent))
    });
}

#[divan::bench(args = [5, 30, 300])]
fn interval_of_a_median(bencher: Bencher<'_, '_>, rounds: usize) {
    let times = times(rounds);
    bencher.bench(|| Interval::of(black_box(&times), Looks::One));
}

#[divan::bench]
fn record_one_request_of_a_load(bencher: Bencher<'_, '_>) {
    let mut recorder = Recorder::default();
    let mut micros = 0;
    bencher.bench_local(|| {
        micros = (micros + 7919) % 100_000;
        let service = Duration::from_micros(micros);
        recorder.record(black_box(&Exchange {
            outcome: RequestOutcome::Status(200),
            service,
            response: service,
            lag: Duration::ZERO,
            wait: Duration::ZERO,
            ended: service,
            is_early: true,
            bytes: 11_600,
        }));
    });
}
