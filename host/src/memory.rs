//! The resident memory of a process, as Linux reports it in `/proc`. Elsewhere nothing is known.

use std::fs;

/// The most bytes of this process that were resident at one time.
pub fn peak() -> Option<u64> {
    line_of("/proc/self/status", "VmHWM:")
}

/// The most bytes of another process that were resident at one time, so far.
pub fn peak_of(process: u32) -> Option<u64> {
    line_of(&format!("/proc/{process}/status"), "VmHWM:")
}

/// The bytes of this process that are resident now.
pub fn resident() -> Option<u64> {
    line_of("/proc/self/status", "VmRSS:")
}

/// A line of such a file, which gives KiB.
fn line_of(file: &str, key: &str) -> Option<u64> {
    let status = fs::read_to_string(file).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(key))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// From here on the peak is a new one, where the system allows that. Else the start of the process,
/// which needs less than any round, is part of it.
pub fn reset_peak() {
    fs::write("/proc/self/clear_refs", "5").ok();
}
