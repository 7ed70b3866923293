//! Which waits end when: the pure part of the clock. Its caller passes the current time.

use std::collections::BTreeMap;
use std::time::Instant;

/// The number of waits that are taken at a time, which limits how long the lock is held.
pub(super) const BATCH: usize = 64;

/// One wait: its deadline, and a number that makes it unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ticket {
    deadline: Instant,
    number: u64,
}

/// When the timer thread looks at the deadlines again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TimerThread {
    /// Awake, or notified: it looks before it falls asleep.
    Awake,
    /// Asleep until then.
    Until(Instant),
    /// Asleep until it is notified.
    UntilNotified,
}

/// All waits, the earliest first.
///
/// A tree and not a heap: a wait that ends early is removed at once, so the memory is that of the
/// current waits.
#[derive(Debug)]
pub(super) struct Deadlines<W> {
    waiting: BTreeMap<Ticket, W>,
    next_number: u64,
    timer_thread: TimerThread,
}

impl<W> Deadlines<W> {
    pub(super) const fn new() -> Self {
        Self {
            waiting: BTreeMap::new(),
            next_number: 0,
            timer_thread: TimerThread::Awake,
        }
    }

    /// Adds a wait. Returns also whether to notify the timer thread, because it would sleep too
    /// long.
    pub(super) fn insert(&mut self, deadline: Instant, waiter: W) -> (Ticket, bool) {
        let ticket = Ticket {
            deadline,
            number: self.next_number,
        };
        self.next_number += 1;
        self.waiting.insert(ticket, waiter);
        let notify = match self.timer_thread {
            TimerThread::Awake => false,
            TimerThread::Until(look) => deadline < look,
            TimerThread::UntilNotified => true,
        };
        if notify {
            self.timer_thread = TimerThread::Awake; // once is enough
        }
        (ticket, notify)
    }

    /// The waiter with this ticket, unless it was taken or removed.
    pub(super) fn get_mut(&mut self, ticket: Ticket) -> Option<&mut W> {
        self.waiting.get_mut(&ticket)
    }

    /// Removes the wait with this ticket, unless it is gone already.
    ///
    /// The timer thread is not notified: at worst it looks once in vain, which is cheaper.
    pub(super) fn remove(&mut self, ticket: Ticket) -> Option<W> {
        self.waiting.remove(&ticket)
    }

    /// Moves the first waits whose deadline has come to `due`, at most [`BATCH`] of them.
    pub(super) fn take_due(&mut self, now: Instant, due: &mut Vec<W>) {
        for _ in 0..BATCH {
            match self.waiting.first_entry() {
                Some(first) if first.key().deadline <= now => due.push(first.remove()),
                _ => break,
            }
        }
    }

    /// Notes that the timer thread falls asleep, and returns until when; `None`: until it is
    /// notified.
    pub(super) fn fall_asleep(&mut self) -> Option<Instant> {
        let next = self.waiting.first_key_value();
        let next = next.map(|(ticket, _)| ticket.deadline);
        self.timer_thread = next.map_or(TimerThread::UntilNotified, TimerThread::Until);
        next
    }

    /// Notes that the timer thread is awake, for any reason.
    pub(super) fn wake_up(&mut self) {
        self.timer_thread = TimerThread::Awake;
    }

    /// The number of waits.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn due<W>(deadlines: &mut Deadlines<W>, now: Instant) -> Vec<W> {
        let mut all = Vec::new();
        loop {
            let before = all.len();
            deadlines.take_due(now, &mut all);
            if all.len() == before {
                return all;
            }
        }
    }

    #[test]
    fn the_earliest_comes_first_and_none_before_its_deadline() {
        let start = Instant::now();
        let mut deadlines = Deadlines::new();
        for delay in [30, 10, 20] {
            deadlines.insert(start + ms(delay), delay);
        }
        let just_before = start + ms(10) - Duration::from_nanos(1);
        assert!(due(&mut deadlines, just_before).is_empty());
        assert_eq!(due(&mut deadlines, start + ms(10)), [10]);
        assert_eq!(due(&mut deadlines, start + ms(99)), [20, 30]);
        assert_eq!(deadlines.len(), 0);
    }

    #[test]
    fn waits_with_the_same_deadline_are_woken_in_order_of_arrival() {
        let start = Instant::now();
        let mut deadlines = Deadlines::new();
        let everybody: Vec<_> = (0..1000).collect();
        for who in &everybody {
            deadlines.insert(start, *who);
        }
        assert_eq!(due(&mut deadlines, start), everybody);
    }

    #[test]
    fn a_batch_is_bounded() {
        let start = Instant::now();
        let mut deadlines = Deadlines::new();
        for who in 0..=BATCH {
            deadlines.insert(start, who);
        }
        let mut batch = Vec::new();
        deadlines.take_due(start, &mut batch);
        assert_eq!(batch.len(), BATCH);
        assert_eq!(deadlines.len(), 1);
    }

    #[test]
    fn a_removed_wait_does_not_affect_the_others() {
        let start = Instant::now();
        let mut deadlines = Deadlines::new();
        let (stays, _) = deadlines.insert(start, "stays");
        let (leaves, _) = deadlines.insert(start, "leaves");
        assert_eq!(deadlines.remove(leaves), Some("leaves"));
        assert_eq!(deadlines.remove(leaves), None);
        assert_eq!(deadlines.get_mut(leaves), None);
        assert_eq!(deadlines.get_mut(stays), Some(&mut "stays"));
        assert_eq!(due(&mut deadlines, start), ["stays"]);
        assert_eq!(deadlines.remove(stays), None, "a taken wait is removed too");
    }

    #[test]
    fn the_timer_thread_is_notified_only_of_earlier_deadlines() {
        let start = Instant::now();
        let mut deadlines = Deadlines::new();
        let notify = |deadlines: &mut Deadlines<()>, delay| {
            let (_, notify) = deadlines.insert(start + ms(delay), ());
            notify
        };
        assert!(!notify(&mut deadlines, 50), "it has not slept yet");

        assert_eq!(deadlines.fall_asleep(), Some(start + ms(50)));
        assert!(!notify(&mut deadlines, 60));
        assert!(!notify(&mut deadlines, 50));
        assert!(notify(&mut deadlines, 40));
        assert!(!notify(&mut deadlines, 30), "it has been notified");

        deadlines.wake_up();
        assert_eq!(due(&mut deadlines, start + ms(60)).len(), 5);
        assert_eq!(deadlines.fall_asleep(), None);
        assert!(notify(&mut deadlines, 1_000_000));
    }

    #[test]
    fn a_later_wait_does_not_notify_the_timer_thread_after_a_removal() {
        let start = Instant::now();
        let mut deadlines = Deadlines::new();
        let (first, _) = deadlines.insert(start + ms(10), ());
        deadlines.fall_asleep();
        deadlines.remove(first);
        assert!(!deadlines.insert(start + ms(20), ()).1);
        deadlines.wake_up(); // at 10 ms, for nothing
        assert!(due(&mut deadlines, start + ms(10)).is_empty());
        assert_eq!(deadlines.fall_asleep(), Some(start + ms(20)));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Insert(u64),
        Remove(usize),
        Pass(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => (0..50_u64).prop_map(Step::Insert),
            1 => any::<usize>().prop_map(Step::Remove),
            1 => (0..20_u64).prop_map(Step::Pass),
        ];
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        /// Compared with a simple model: a list with linear search.
        #[test]
        fn every_wait_ends_once_unless_removed_and_none_is_late(steps in steps()) {
            let start = Instant::now();
            let mut deadlines = Deadlines::new();
            let mut model: Vec<(u64, usize, Ticket)> = Vec::new();
            let mut now = 0;
            let mut asleep_until = None;
            for (who, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Insert(delay) => {
                        let (ticket, notify) = deadlines.insert(start + ms(now + delay), who);
                        model.push((now + delay, who, ticket));
                        if notify {
                            deadlines.wake_up();
                            asleep_until = deadlines.fall_asleep();
                        }
                    }
                    Step::Remove(which) if !model.is_empty() => {
                        let (_, who, ticket) = model.remove(which % model.len());
                        prop_assert_eq!(deadlines.remove(ticket), Some(who));
                    }
                    Step::Remove(_) => {}
                    Step::Pass(time) => {
                        now += time;
                        model.sort_by_key(|(deadline, who, _)| (*deadline, *who));
                        let split = model.partition_point(|(deadline, ..)| *deadline <= now);
                        let expected: Vec<_> = model.drain(..split).map(|(_, who, _)| who).collect();
                        prop_assert_eq!(due(&mut deadlines, start + ms(now)), expected);
                        deadlines.wake_up();
                        asleep_until = deadlines.fall_asleep();
                    }
                }
                prop_assert_eq!(deadlines.len(), model.len());
                if let (Some(look), Some(first)) = (asleep_until, model.iter().map(|(deadline, ..)| deadline).min()) {
                    prop_assert!(look <= start + ms(*first));
                }
            }
        }
    }
}
