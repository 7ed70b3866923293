//! The machine that a measurement ran on: all that a reader needs to know whether two results can
//! be compared, and nothing that says whose machine it is.

use std::num::NonZeroUsize;

use flag_host::{Busy, cgroup};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

/// The machine, as its system describes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// The version of `flag-client` (and of the server and the flags that are built into it).
    pub flag_client: String,
    /// How it was built: `release`, or `debug`, whose figures mean little.
    pub build: String,
    /// The model of the processor.
    pub cpu: Option<String>,
    /// The logical processors that this process may use: its affinity and the quota of its control
    /// group (a container) count.
    pub cores: Option<NonZeroUsize>,
    /// The main memory that this process may use: that of the machine, or the limit of its control
    /// group if that is less.
    pub memory_bytes: Option<u64>,
    /// `linux`, `macos`, `windows`, …
    pub os: String,
    /// Its version, in its own words.
    pub os_version: Option<String>,
    /// The kernel.
    pub kernel: Option<String>,
    /// `x86_64`, `aarch64`, …
    pub arch: String,
    /// The load average over one minute when the measurement began; none where the system has no
    /// such thing.
    pub load: Option<f64>,
}

/// What else the machine did during a measurement, in processors, on average.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Neighbourhood {
    /// Those that other processes kept busy.
    pub others: f64,
    /// Those that the host of a virtual machine gave to others.
    pub stolen: f64,
    /// Those that there are.
    pub processors: usize,
}

impl From<Busy> for Neighbourhood {
    fn from(busy: Busy) -> Self {
        // The system counts in hundredths of a second, so more digits mean nothing.
        let rounded = |processors: f64| (processors * 1e3).round() / 1e3;
        Self {
            others: rounded(busy.others),
            stolen: rounded(busy.stolen),
            processors: busy.processors,
        }
    }
}

impl Neighbourhood {
    /// The share of the processors from which on times are not those of a quiet machine.
    const BUSY: f64 = 0.1;

    /// Whether that much was taken that times may be longer for it.
    pub fn is_busy(&self) -> bool {
        self.others + self.stolen > Self::BUSY * self.processors as f64
    }
}

impl Environment {
    /// This machine, now.
    pub fn here() -> Self {
        let wanted = RefreshKind::nothing()
            .with_cpu(CpuRefreshKind::nothing())
            .with_memory(MemoryRefreshKind::nothing().with_ram());
        let system = System::new_with_specifics(wanted).ok();
        let cpu = system.as_ref().and_then(|system| system.cpus().first());
        let cpu = cpu.map(|cpu| cpu.brand().trim().to_owned());
        Self {
            flag_client: env!("CARGO_PKG_VERSION").to_owned(),
            build: if cfg!(debug_assertions) {
                "debug"
            } else {
                "release"
            }
            .to_owned(),
            cpu: cpu.filter(|brand| !brand.is_empty()),
            cores: std::thread::available_parallelism().ok(),
            memory_bytes: smaller(
                system.map(|system| system.total_memory()),
                cgroup::memory_limit(),
            ),
            os: std::env::consts::OS.to_owned(),
            os_version: System::long_os_version().ok(),
            kernel: System::kernel_version().ok(),
            arch: std::env::consts::ARCH.to_owned(),
            load: System::load_average().ok().map(|load| load.one),
        }
    }
}

/// The smaller of what is known.
fn smaller(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    one.into_iter().chain(other).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_counts_only_if_it_is_less_than_what_there_is() {
        let no_limit = Some(i64::MAX as u64);
        for (machine, limit, expected) in [
            (Some(8), Some(2), Some(2)),
            (Some(8), no_limit, Some(8)),
            (Some(8), None, Some(8)),
            (None, Some(2), Some(2)),
            (None, None, None),
        ] {
            assert_eq!(smaller(machine, limit), expected);
        }
    }
}
