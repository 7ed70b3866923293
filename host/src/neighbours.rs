//! What other processes do meanwhile: who measures beside busy neighbours should know.
//!
//! Only on Linux, which counts in ticks of a hundredth of a second: of less than half a second
//! nothing can be said.

use std::time::{Duration, Instant};

#[cfg(all(target_os = "linux", feature = "cpu"))]
use crate::cpu;

/// A shorter time has too few ticks.
const SHORTEST: Duration = Duration::from_millis(500);

/// What the machine had done when a measurement began.
#[derive(Debug, Clone, Copy)]
pub struct Neighbours {
    begun: Instant,
    machine: MachineTime,
    own: Duration,
}

/// How busy the rest of the machine was, on average.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Busy {
    /// The processors that other processes kept busy.
    pub others: f64,
    /// Those that the host of this virtual machine gave to others.
    pub stolen: f64,
    /// Those that the machine has.
    pub processors: usize,
}

/// What all processors did since the machine started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct MachineTime {
    used: Duration,
    stolen: Duration,
    processors: usize,
}

impl Neighbours {
    /// Begins to look at them. `None` where it is unknown.
    pub fn watch() -> Option<Self> {
        let (machine, own) = now()?;
        Some(Self {
            begun: Instant::now(),
            machine,
            own,
        })
    }

    /// What they did so far, without this process and the children that it has waited for.
    pub fn so_far(&self) -> Option<Busy> {
        let (machine, own) = now()?;
        let elapsed = self.begun.elapsed();
        let used = machine.used.saturating_sub(self.machine.used);
        let others = used.saturating_sub(own.saturating_sub(self.own));
        let stolen = machine.stolen.saturating_sub(self.machine.stolen);
        let processors = |time: Duration| time.as_secs_f64() / elapsed.as_secs_f64();
        (elapsed >= SHORTEST).then(|| Busy {
            others: processors(others),
            stolen: processors(stolen),
            processors: machine.processors,
        })
    }
}

#[cfg(all(target_os = "linux", feature = "cpu"))]
fn now() -> Option<(MachineTime, Duration)> {
    let stat = std::fs::read_to_string("/proc/stat").ok()?;
    let ticks = rustix::param::clock_ticks_per_second();
    Some((MachineTime::read(&stat, ticks)?, cpu::process_time()?))
}

#[cfg(not(all(target_os = "linux", feature = "cpu")))]
fn now() -> Option<(MachineTime, Duration)> {
    None
}

#[cfg(all(target_os = "linux", feature = "cpu"))]
impl MachineTime {
    /// From the lines of `/proc/stat` (see `proc_stat(5)`). Interrupts do not count: on a loopback
    /// they are mostly this process's own packets.
    fn read(stat: &str, ticks_per_second: u64) -> Option<Self> {
        let cpus = stat.lines().take_while(|line| line.starts_with("cpu"));
        let mut all = stat
            .lines()
            .next()?
            .strip_prefix("cpu ")?
            .split_whitespace();
        let mut next = || all.next()?.parse::<u64>().ok();
        let [user, nice, system] = [next()?, next()?, next()?];
        let [_idle, _iowait, _irq, _softirq] = [next()?, next()?, next()?, next()?];
        let stolen = next()?;
        let time = |ticks: u64| Duration::from_secs_f64(ticks as f64 / ticks_per_second as f64);
        Some(Self {
            used: time(user + nice + system),
            stolen: time(stolen),
            processors: cpus.count() - 1,
        })
    }
}

#[cfg(all(test, target_os = "linux", feature = "cpu"))]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn the_time_of_all_processors_is_read() {
        let stat = "cpu  100 50 25 900 7 3 9 40 0 0\n\
                    cpu0 50 25 13 450 4 2 5 20 0 0\n\
                    cpu1 50 25 12 450 3 1 4 20 0 0\n\
                    intr 1 2 3\n";
        let expected = MachineTime {
            used: Duration::from_millis(1750),
            stolen: Duration::from_millis(400),
            processors: 2,
        };
        assert_eq!(MachineTime::read(stat, 100), Some(expected));
        assert_eq!(MachineTime::read("cpu  1 2\n", 100), None);
        assert_eq!(MachineTime::read("", 100), None);
    }

    /// A child that has not been waited for is another process, and then it is one's own.
    #[test]
    fn a_busy_neighbour_is_seen() {
        let neighbours = Neighbours::watch().unwrap();
        let busy = "trap 'exit 0' TERM; while :; do :; done";
        let mut child = Command::new("sh").args(["-c", busy]).spawn().unwrap();
        let mut others = 0.0;
        while others * neighbours.begun.elapsed().as_secs_f64() < 0.3 {
            std::thread::sleep(Duration::from_millis(100));
            others = neighbours.so_far().map_or(0.0, |busy| busy.others);
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
