//! How precisely the kernel wakes a thread.

/// Asks the kernel to wake this thread when it wanted, not up to 50 µs later together with others.
#[cfg(target_os = "linux")]
pub(super) fn be_precise() {
    // Where that is forbidden the waits are a little later, and still right.
    let _ = rustix::thread::set_current_timer_slack(Some(std::num::NonZeroU64::MIN)); // 1 ns
}

/// No such wish can be uttered here: the waits are as late as the system makes them, and still right.
#[cfg(not(target_os = "linux"))]
pub(super) fn be_precise() {}
