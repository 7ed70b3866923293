//! The processor time of the client: this process and its children, without the servers that it embeds.

use std::time::Duration;

/// The processor time, user and system, that the client has used so far. Children count when they have been waited for. None where
/// the embedded servers' share is not known.
#[cfg(target_os = "linux")]
pub(crate) fn client_time() -> Option<Duration> {
    use nix::sys::resource::{UsageWho, getrusage};
    use nix::sys::time::TimeVal;
    use nix::time::{ClockId, clock_gettime};

    let servers = flag_server::cpu_time()?;
    let process = Duration::from(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).ok()?);
    let children = getrusage(UsageWho::RUSAGE_CHILDREN).ok()?;
    let time = |time: TimeVal| {
        let secs = Duration::from_secs(time.tv_sec().try_into().unwrap_or(0));
        secs + Duration::from_micros(time.tv_usec().try_into().unwrap_or(0))
    };
    let all = process + time(children.user_time()) + time(children.system_time());
    Some(all.saturating_sub(servers))
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn client_time() -> Option<Duration> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn work_is_counted_and_that_of_a_child_too() {
        let before = client_time().unwrap();
        let script = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done";
        let status = std::process::Command::new("sh")
            .args(["-c", script])
            .status();
        assert!(status.unwrap().success());
        let with_child = client_time().unwrap();
        assert!(with_child > before + Duration::from_millis(1));
    }
}
