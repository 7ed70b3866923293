//! The processor time of the client: this process and its children, without the servers that it
//! embeds.

use std::time::Duration;

use crate::{cpu, process};

/// The processor time, user and system, that the client has used so far. Children count when they
/// have been waited for. None where the embedded servers' share is not known.
pub fn client_time() -> Option<Duration> {
    let servers = cpu::cpu_time()?;
    Some(process::cpu_time()?.saturating_sub(servers))
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
