//! The precision with which the kernel wakes a thread.

/// Asks the kernel to wake this thread in time, not up to 50 µs later together with others.
#[cfg(target_os = "linux")]
pub(super) fn be_precise() {
    // If that is forbidden, waits end a little later, and are still correct.
    let _ = rustix::thread::set_current_timer_slack(Some(std::num::NonZeroU64::MIN)); // 1 ns
}

/// Other systems have no such call: waits end as late as the system makes them, and are still
/// correct.
#[cfg(not(target_os = "linux"))]
pub(super) fn be_precise() {}
