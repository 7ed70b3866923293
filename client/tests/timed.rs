//! When things happen: delays, pauses before retries, and loads. Each test stops the time and
//! advances it by hand.

mod support;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use flag_client::download::{Outcome, Runner, Sample, Strategy, sent_headers};
use flag_client::load::recorder::Recorder;
use flag_client::load::{End, Load, Pace};
use flag_client::race::{Contender, Race, Rounds, Target, plan};
use flag_client::result::Analysis;
use flag_host::clock::{Paused, pause};
use flag_scenario::ScenarioSource;
use flags_data::{Catalogue, CountryCode};
use support::{
    TEN, TestServer, assert_three_attempts_at_ten, done, eventually, job, load, run, serve, server,
    unavailable_at_first, with_retries,
};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Runs `work` without real delays and pauses: as soon as anything waits, time advances to its end.
fn passing<T: Send>(time: &Paused, work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let working = scope.spawn(work);
        while !working.is_finished() {
            if let Some(next) = time.waits().first() {
                time.advance(*next);
            }
            thread::sleep(Duration::from_micros(50));
        }
        working.join().unwrap()
    })
}

/// The decision about each flag: (status, delay planned by the server).
type Decisions = BTreeMap<CountryCode, (Option<u16>, Option<Duration>)>;

fn decisions(time: &Paused, runner: &Runner, workers: usize, seed: u64) -> Decisions {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chaos.toml");
    let text = r#"
        rule = [
            { name = "teapot", fault = "status", probability = 0.25, status = 418 },
            { name = "delay", fault = "latency", distribution = { uniform = { lower = "1ms", upper = "5ms" } } },
        ]"#;
    std::fs::write(&file, text).unwrap();
    let target = Target::embedded(&ScenarioSource::File(&file), Some(seed)).unwrap();
    let codes: Vec<String> = Catalogue::embedded()
        .codes()
        .map(|code| code.to_string())
        .collect();
    let job = job(&target.base_url, &codes.join(" "), workers);
    let samples = passing(time, || run(runner, &job));

    // The embedded server planned all of it before the first request.
    let server = target.plan.as_ref().unwrap();
    let client = sent_headers(Some(&target.base_url), false);
    for sample in &samples {
        let plan = server.foresee(sample.code, sample.attempt, &client).plan;
        let micros = |duration: Duration| duration.as_micros(); // as precise as the header
        assert_eq!(
            sample.plan.map(micros),
            Some(micros(plan.delay)),
            "{}",
            sample.code
        );
        assert_eq!(
            sample.status,
            Some(if plan.ending.is_some() { 418 } else { 200 }),
            "{}",
            sample.code
        );
    }
    samples
        .into_iter()
        .map(|sample| (sample.code, (sample.status, sample.plan)))
        .collect()
}

#[test]
fn a_seed_gives_each_flag_the_same_decision_in_every_runner_at_any_concurrency() {
    let time = pause();
    let expected = decisions(&time, &Strategy::Sequential.into(), 1, 7);
    assert_eq!(expected.len(), 194);
    let teapots = expected
        .values()
        .filter(|(status, _)| *status == Some(418))
        .count();
    assert!((30..70).contains(&teapots), "about a quarter: {teapots}");
    for runner in Runner::all() {
        let concurrencies: &[usize] = match runner.strategy() {
            Strategy::Sequential => &[1],
            Strategy::Processes => &[1, 8],
            Strategy::Threaded | Strategy::Async => &[1, 30, 194],
        };
        for &workers in concurrencies {
            assert_eq!(
                decisions(&time, &runner, workers, 7),
                expected,
                "{runner:?} with {workers}"
            );
        }
    }
    assert_ne!(
        decisions(&time, &Runner::default(), 194, 8),
        expected,
        "another seed"
    );
}

#[test]
fn each_attempt_has_its_own_plan_and_the_ideal_time_includes_them_all() {
    let time = pause();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("shaky.toml");
    let text = r#"
        rule = [
            { name = "busy", fault = "status", probability = 0.5, status = 503 },
            { name = "delay", fault = "latency", distribution = { uniform = { lower = "1ms", upper = "5ms" } } },
        ]"#;
    std::fs::write(&file, text).unwrap();
    let target = Target::embedded(&ScenarioSource::File(&file), None).unwrap();
    let job = with_retries(2, job(&target.base_url, TEN, 10));
    let measurement = passing(&time, || {
        let contenders = Runner::all().into_iter();
        let contenders = contenders.map(|runner| Box::new(runner) as Box<dyn Contender>);
        let race = Race::bench(contenders.collect(), job.clone())
            .rounds(Rounds::Exactly(NonZeroUsize::MIN))
            .warmup(0);
        race.run_on(&target).unwrap()
    });
    let planned = measurement.planned_times().unwrap();
    let analysis = Analysis::of(&measurement);
    assert!(
        analysis
            .series
            .iter()
            .all(|series| series.unplanned_errors == 0)
    );

    let server = target.plan.as_ref().unwrap();
    let client = sent_headers(Some(&target.base_url), false);
    let plan = |sample: &Sample| server.foresee(sample.code, sample.attempt, &client).plan;
    for series in &measurement.series {
        assert!(series.retries() > 0, "otherwise nothing is tested");
        assert_eq!(series.endings().count(), 10);
        for sample in series.samples() {
            let plan = plan(sample);
            let expected = if plan.ending.is_some() { 503 } else { 200 };
            assert_eq!(sample.status, Some(expected), "{sample:?}");
        }
        for (code, planned) in job.codes.iter().zip(&planned) {
            let time: Duration = series
                .samples()
                .filter(|sample| sample.code == *code)
                .map(|sample| plan(sample).delay + sample.retry_in.unwrap_or_default())
                .sum();
            assert_eq!(time, *planned, "{code}");
        }
    }
    // From a named server, times have the precision of the header.
    let reported = plan::reported(&job, &measurement.series).unwrap();
    for (reported, planned) in reported.iter().zip(&planned) {
        assert!(reported.time().abs_diff(*planned) < Duration::from_micros(5));
    }
}

#[test]
fn the_pauses_are_the_same_in_every_runner() {
    let time = pause();
    let pauses = |runner: &Runner| -> BTreeMap<_, _> {
        let server = unavailable_at_first(1, "");
        let samples = passing(&time, || {
            run(runner, &with_retries(1, job(&server.base_url, TEN, 4)))
        });
        let pauses = samples
            .iter()
            .map(|sample| ((sample.code, sample.attempt), sample.retry_in));
        pauses.collect()
    };
    let expected = pauses(&Strategy::Sequential.into());
    assert_eq!(expected.len(), 20);
    for runner in Runner::all() {
        assert_eq!(pauses(&runner), expected, "{runner:?}");
    }
}

#[test]
fn without_enough_retries_the_last_attempt_is_the_outcome() {
    let time = pause();
    for runner in Runner::all() {
        let server = unavailable_at_first(2, "");
        let samples = passing(&time, || {
            run(&runner, &with_retries(1, job(&server.base_url, TEN, 4)))
        });
        let endings: Vec<&Sample> = samples.iter().filter(|sample| sample.is_last()).collect();
        assert_eq!((samples.len(), endings.len()), (20, 10), "{runner:?}");
        for ending in endings {
            assert_eq!(
                (ending.attempt, ending.outcome),
                (2, Outcome::HttpError),
                "{runner:?}"
            );
        }
    }
}

/// No library repeats a request that the server saw: each number comes once.
#[test]
fn a_broken_connection_is_one_attempt_and_is_never_repeated_silently() {
    let time = pause();
    for runner in Runner::all() {
        let server = TestServer::start(|_, _| false);
        let samples = passing(&time, || {
            run(&runner, &with_retries(2, job(&server.base_url, TEN, 4)))
        });
        assert!(
            samples
                .iter()
                .all(|sample| sample.outcome == Outcome::BrokenConnection),
            "{samples:?}"
        );
        assert_three_attempts_at_ten(&server, &runner);
    }
}

#[test]
fn a_pause_is_exactly_the_retry_after_of_the_server() {
    let time = pause();
    for runner in Runner::all() {
        let server = unavailable_at_first(1, "retry-after: 1\r\n");
        let job = with_retries(1, job(&server.base_url, "BR", 1));
        let samples = thread::scope(|scope| {
            let running = scope.spawn(|| run(&runner, &job));
            time.wait_for(&[SECOND]);
            assert_eq!(server.requests().len(), 1, "{runner:?}");
            time.advance(SECOND);
            running.join().unwrap()
        });
        assert_eq!(samples[0].retry_in, Some(SECOND), "{runner:?}");
        assert_eq!(samples[1].outcome, Outcome::Downloaded, "{runner:?}");
        assert_eq!(server.requests().len(), 2, "{runner:?}");
    }
}

/// A server may close an idle connection: no request was in flight, so none has failed.
#[test]
fn a_connection_that_the_server_closed_while_idle_is_reopened() {
    let time = pause();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/x", listener.local_addr().unwrap());
    let closed = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&closed);
    thread::spawn(move || {
        for stream in listener.incoming() {
            serve(&stream.unwrap(), &AtomicUsize::new(0), &|_| true);
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    let load = Load {
        connections: NonZeroUsize::MIN,
        end: End::After(5),
        pace: Pace::Open { rate: 5.0 },
        ..load(&url)
    };
    let outcome = thread::scope(|scope| {
        let loading = scope.spawn(|| done(&load));
        for count in 1..5 {
            eventually(|| (closed.load(Ordering::SeqCst) == count).then_some(()));
            assert_eq!(time.advance_to_next(1), 200 * MS);
        }
        loading.join().unwrap()
    });
    assert_eq!(outcome.recorder.failures, [].into());
    assert_eq!(
        (outcome.recorder.requests(), outcome.recorder.connections),
        (5, 5)
    );
}

#[test]
fn unsent_requests_count_for_as_long_as_they_waited() {
    let time = pause();
    // The only connection waits for its answer past the end.
    let (answer, answered) = mpsc::channel();
    let answered = Mutex::new(answered);
    let (url, seen) = server(move |_| {
        answered.lock().unwrap().recv().ok();
        false
    });
    let load = Load {
        connections: NonZeroUsize::MIN,
        end: End::Within(200 * MS),
        pace: Pace::Open { rate: 100.0 },
        ..load(&url)
    };
    let outcome = thread::scope(|scope| {
        let loading = scope.spawn(|| done(&load));
        eventually(|| (seen.load(Ordering::SeqCst) == 1).then_some(()));
        time.advance(200 * MS);
        answer.send(()).unwrap();
        loading.join().unwrap()
    });
    assert_eq!(
        (outcome.recorder.requests(), outcome.recorder.unsent),
        (1, 19)
    );
    assert_eq!(seen.load(Ordering::SeqCst), 1);
    // The first was intended at once and answered after 200 ms. The others were intended every 10
    // ms after it, and given up at 200 ms.
    let times = outcome.recorder.response();
    for (percent, millis) in [(50.0, 100), (90.0, 180), (95.0, 190)] {
        let bounds = times.percentile(percent).unwrap();
        let (lower, at_least) = (bounds.lower.unwrap(), millis * MS);
        assert!(
            lower.abs_diff(at_least) <= at_least / 500,
            "p{percent}: {bounds:?}"
        );
        assert_eq!(bounds.upper, None, "p{percent}");
    }
}

/// What coordinated omission hides: a server stalls for 2 s in the middle of 6 s at 200 requests/s,
/// and every request that should have been sent meanwhile has waited, whether sent or not.
///
/// The expected values, for a server that otherwise takes no time: a request intended `t` after the
/// stall began is answered when the stall ends, so its response time is `stall − t`. One third of
/// all requests is intended during the stall, evenly, so that the share of requests slower than `r`
/// is `(stall − r) / all`: the percentile `p` is at `stall − (1 − p) · all`, or zero where that is
/// negative. This is what wrk2 reports, and what it names *corrected latency*.
#[test]
fn a_stall_counts_for_every_request_that_should_have_been_sent_meanwhile() {
    const CONNECTIONS: usize = 16;
    const INTERVAL: Duration = Duration::from_millis(5);
    const STALL: Duration = Duration::from_secs(2);
    const ALL: Duration = Duration::from_secs(6);
    let time = pause();
    let is_over = Arc::new((Mutex::new(false), Condvar::new()));
    let (url, seen) = {
        let is_over = Arc::clone(&is_over);
        server(move |before| {
            if before >= 400 {
                let (is_over, changed) = &*is_over;
                let guard = is_over.lock().unwrap();
                drop(changed.wait_while(guard, |is_over| !*is_over).unwrap());
            }
            false
        })
    };
    let load = Load {
        connections: NonZeroUsize::new(CONNECTIONS).unwrap(),
        end: End::Within(ALL),
        pace: Pace::Open { rate: 200.0 },
        ..load(&url)
    };
    let sent = |count: usize| eventually(|| (seen.load(Ordering::SeqCst) == count).then_some(()));
    let outcome = thread::scope(|scope| {
        let loading = scope.spawn(|| done(&load));
        // Each connection that is not busy waits for its next request; the last are the last.
        let idle = |sent: usize| CONNECTIONS.min(1200 - sent);
        for number in 1..=400 {
            sent(number);
            assert_eq!(time.advance_to_next(idle(number)), INTERVAL);
        }
        for stalled in 1..CONNECTIONS {
            sent(400 + stalled);
            assert_eq!(time.advance_to_next(CONNECTIONS - stalled), INTERVAL);
        }
        sent(400 + CONNECTIONS);
        assert!(time.waits().is_empty(), "nothing else is sent");
        time.advance(STALL - (CONNECTIONS as u32 - 1) * INTERVAL);
        *is_over.0.lock().unwrap() = true;
        is_over.1.notify_all();
        // What waited is sent now, and the one that is intended now.
        for number in 801..1200 {
            sent(number);
            assert_eq!(time.advance_to_next(idle(number)), INTERVAL);
        }
        loading.join().unwrap()
    });
    let Recorder {
        succeeded,
        lag,
        unsent,
        ..
    } = outcome.recorder;
    assert_eq!((succeeded.response.len(), unsent), (1200, 0));
    assert_eq!(lag.max(), 0, "nothing but the server was late");
    for percent in [75.0, 90.0, 99.0, 99.9] {
        let expected = STALL.as_secs_f64() - (1.0 - percent / 100.0) * ALL.as_secs_f64();
        let found = succeeded.response.value_at_percentile(percent) as f64 / 1e9;
        // A request more or less, and the precision of the histogram.
        let allowed = INTERVAL.as_secs_f64() + 0.002 * expected;
        assert!(
            (found - expected).abs() <= allowed,
            "p{percent}: {found} s, by hand {expected} s ± {allowed} s"
        );
    }
    // Counted from when they were sent, only 16 of 1200 requests are slow, and 98 % are quick.
    let slow = succeeded.service.count_between(1_000_000_000, u64::MAX);
    assert_eq!(slow, 16, "each connection had one request in the stall");
}
