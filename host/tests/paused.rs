//! Time that is stopped and advanced by hand: exact, and without waiting.

use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use flag_host::clock::{self, hold, pause};

const HOUR: Duration = Duration::from_secs(3600);
const MS: Duration = Duration::from_millis(1);

/// Longer than anything here lasts on any machine.
const SAFETY: Duration = Duration::from_secs(60);

/// Holds this delay on a thread of its own, which sends how long it was.
fn holding(delay: Duration) -> Receiver<Duration> {
    let (sender, held) = mpsc::channel();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let held = { runtime }
            .build()
            .unwrap()
            .block_on(hold(clock::now(), delay));
        sender.send(held)
    });
    held
}

#[test]
fn time_stands_still_until_it_is_advanced_and_goes_on_in_the_end() {
    let real = Instant::now();
    let time = pause();
    let start = clock::now();
    thread::sleep(MS);
    assert_eq!(clock::now(), start);
    time.advance(HOUR);
    assert_eq!(clock::now(), start + HOUR);
    drop(time);
    assert!(clock::now() < real + HOUR);
}

#[test]
fn a_wait_ends_at_its_deadline_and_not_a_nanosecond_earlier() {
    let time = pause();
    let held = holding(HOUR);
    time.wait_for(&[HOUR]);
    time.advance(HOUR - Duration::from_nanos(1));
    time.wait_for(&[Duration::from_nanos(1)]);
    assert_eq!(held.try_recv(), Err(TryRecvError::Empty));
    time.advance(Duration::from_nanos(1));
    assert_eq!(held.recv_timeout(SAFETY), Ok(HOUR));
}

#[test]
fn waits_end_one_after_another_however_they_began() {
    let time = pause();
    let held = [3 * MS, MS, 2 * MS].map(holding);
    time.wait_for(&[MS, 2 * MS, 3 * MS]);
    for (number, expected) in [(1, MS), (2, 2 * MS), (0, 3 * MS)] {
        assert_eq!(time.advance_to_next(1), MS);
        assert_eq!(held[number].recv_timeout(SAFETY), Ok(expected));
    }
}

#[test]
fn who_is_late_notices() {
    let time = pause();
    let held = holding(MS);
    time.wait_for(&[MS]);
    time.advance(HOUR);
    assert_eq!(held.recv_timeout(SAFETY), Ok(HOUR));
}

/// What was stopped in a test is not stopped in the next.
#[test]
fn a_wait_from_before_the_pause_is_stopped_and_goes_on_after_it() {
    let held = {
        let time = pause();
        let held = holding(20 * MS);
        time.wait_for(&[20 * MS]);
        thread::sleep(40 * MS);
        assert_eq!(held.try_recv(), Err(TryRecvError::Empty));
        held
    };
    assert!(held.recv_timeout(SAFETY).unwrap() >= 20 * MS);
}
