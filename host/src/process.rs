//! What not every system can do with processes: each such thing is one small function here, and
//! beside it what is done where it is missing.
//!
//! It decides nothing, and knows nothing of downloads. The rest of the client is the same
//! everywhere.

#[cfg(not(unix))]
use std::process::Stdio;
use std::process::{Command, ExitStatus};
use std::time::Duration;

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

/// Whether the system would find such a program.
#[cfg(unix)]
pub fn is_program(name: &str) -> bool {
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    let may_run = |path: &Path| {
        let about = path.metadata();
        about.is_ok_and(|about| about.is_file() && about.permissions().mode() & 0o111 != 0)
    };
    if name.contains('/') {
        return may_run(Path::new(name));
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).any(|folder| may_run(&folder.join(name)))
}

/// The rules differ here: it may be one, and starting it shows whether it is.
#[cfg(not(unix))]
pub fn is_program(_name: &str) -> bool {
    true
}

/// The processor time, user and system, of this process so far, and of those children that have
/// been waited for.
#[cfg(target_os = "linux")]
pub fn cpu_time() -> Option<Duration> {
    use nix::sys::resource::{UsageWho, getrusage};
    use nix::sys::time::TimeVal;
    use nix::time::{ClockId, clock_gettime};

    let process = Duration::from(clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).ok()?);
    let children = getrusage(UsageWho::RUSAGE_CHILDREN).ok()?;
    let time = |time: TimeVal| {
        let secs = Duration::from_secs(time.tv_sec().try_into().unwrap_or(0));
        secs + Duration::from_micros(time.tv_usec().try_into().unwrap_or(0))
    };
    Some(process + time(children.user_time()) + time(children.system_time()))
}

/// Without the embedded servers' share, which no other system reports, it would say nothing of the
/// client.
#[cfg(not(target_os = "linux"))]
pub fn cpu_time() -> Option<Duration> {
    None
}
