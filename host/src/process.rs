//! Starting and ending other programs, where systems differ: one small function for each step, with
//! what is done on systems that lack it. When to end a program is for the caller to say.
//!
//! Written by hand, because process-wrap's children own both the wait and the signal: their `wait`
//! reaps the group without the resource usage that `wait4` returns for a `std` child, and killing
//! a job object needs the child that another thread waits for. win32job, which has job objects
//! alone, needs a second version of the windows crate.

#[cfg(not(unix))]
use std::process::Stdio;
use std::process::{Command, ExitStatus};

/// Keeps the terminal's Ctrl-C from a program that is to be started: it is for the program that
/// starts it.
#[cfg(unix)]
pub fn shield(command: &mut Command) {
    std::os::unix::process::CommandExt::process_group(command, 0);
}

/// Keeps the console's Ctrl-C from a program that is to be started: it is for the program that
/// starts it.
#[cfg(windows)]
pub fn shield(command: &mut Command) {
    const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;
    std::os::windows::process::CommandExt::creation_flags(command, CREATE_NEW_PROCESS_GROUP);
}

/// Asks a [shielded](shield) program and all that it has started to end, or ends them.
#[cfg(unix)]
pub fn end(process: u32, at_once: bool) {
    use nix::sys::signal::{Signal, killpg};
    use nix::unistd::Pid;

    let signal = if at_once {
        Signal::SIGKILL
    } else {
        Signal::SIGTERM
    };
    if let Ok(group) = i32::try_from(process) {
        killpg(Pid::from_raw(group), signal).ok(); // an error: the group is empty
    }
}

/// Ends a program and all that it has started. Here it cannot be asked to end.
#[cfg(not(unix))]
pub fn end(process: u32, _at_once: bool) {
    let mut kill = Command::new("taskkill");
    kill.args(["/T", "/F", "/PID", &process.to_string()]);
    kill.stdout(Stdio::null()).stderr(Stdio::null());
    kill.status().ok();
}

/// The signal that ended a program.
#[cfg(unix)]
pub fn signal(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

/// There are none here.
#[cfg(not(unix))]
pub fn signal(_: ExitStatus) -> Option<i32> {
    None
}

/// Whether this process was started to ignore SIGHUP, as `nohup` does; known on Linux only.
#[must_use]
pub fn ignores_hang_up() -> bool {
    ignores(1) // SIGHUP
}

/// Whether this process was started to ignore the signal of this number.
#[cfg(target_os = "linux")]
#[must_use]
pub fn ignores(signal: u32) -> bool {
    // A handler or a mask can only be asked for with unsafe code.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask & 1 << (signal - 1) != 0)
}

/// Whether this process was started to ignore the signal of this number: not known here.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn ignores(_signal: u32) -> bool {
    false
}
