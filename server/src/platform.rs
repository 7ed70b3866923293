//! What not every system can do: each such thing is one small function here, and beside it what is done where it is missing.
//!
//! It decides nothing, and knows nothing of flags. The rest of the library is the same everywhere; only the program asks which system
//! it is on, for its signals.

use std::io;
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream};

/// Asks the kernel to wake this thread when it wanted, not up to 50 µs later together with others.
#[cfg(target_os = "linux")]
pub(crate) fn be_precise() {
    // Where that is forbidden the waits are a little later, and still right.
    let _ = rustix::thread::set_current_timer_slack(Some(std::num::NonZeroU64::MIN)); // 1 ns
}

/// No such wish can be uttered here: the waits are as late as the system makes them, and still right.
#[cfg(not(target_os = "linux"))]
pub(crate) fn be_precise() {}

/// Whether the kernel has sent all that it was given. A client that reads slowly makes it keep megabytes back.
/// An RST discards what has not been sent.
///
/// With this option, Linux calls a socket writable only when nothing of it is unsent (tcp(7) does not say so, but
/// `tcp_poll` does).
#[cfg(target_os = "linux")]
pub(crate) fn is_sent(stream: &TcpStream) -> io::Result<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    socket2::SockRef::from(stream).set_tcp_notsent_lowat(1)?;
    let events = poll(
        &mut [PollFd::new(stream, PollFlags::OUT)],
        Some(&Timespec::default()),
    )?;
    Ok(events > 0) // an error is an event too, and then nothing will ever be sent
}

/// Other systems are not asked: there a client that reads slowly may meet a planned RST before the last bytes that were planned.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
pub(crate) fn is_sent(_: &TcpStream) -> io::Result<bool> {
    Ok(true)
}

/// Lets the socket have an address that was in use a moment ago.
#[cfg(unix)]
pub(crate) fn reuse_address(socket: &TcpSocket) -> io::Result<()> {
    socket.set_reuseaddr(true)
}

/// Here that needs no asking; asked for, it would let two servers have the same address.
#[cfg(not(unix))]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
pub(crate) fn reuse_address(_: &TcpSocket) -> io::Result<()> {
    Ok(())
}

/// Keeps a connection from the processes that this one starts. On Windows they inherit what a listener accepts, and hold it open: a
/// planned RST would come only when the last of them ends.
#[cfg(windows)]
pub(crate) fn keep_from_children(stream: &TcpStream) -> io::Result<()> {
    socket2::SockRef::from(stream).set_no_inherit(true)
}

/// Nobody inherits it here.
#[cfg(not(windows))]
#[expect(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
pub(crate) fn keep_from_children(_: &TcpStream) -> io::Result<()> {
    Ok(())
}

/// Lets this process have so many files and sockets open at one time, or as many as the system allows it. Returns how many that is: no
/// fewer than before.
#[cfg(unix)]
pub fn allow_files(wanted: u64) -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let allows = |limit: Option<u64>| limit.is_none_or(|limit| limit >= wanted);
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if !allows(current) {
        let to = |current, maximum| {
            let limit = Rlimit { current, maximum };
            setrlimit(Resource::Nofile, limit)
        };
        // Only root may raise the maximum; everybody else can go up to it.
        let raised = if allows(maximum) {
            to(Some(wanted), maximum)
        } else {
            to(Some(wanted), Some(wanted)).or_else(|_| to(maximum, maximum))
        };
        raised.ok(); // what it has come to is seen next
    }
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Here the memory is the limit.
#[cfg(not(unix))]
pub fn allow_files(_: u64) -> u64 {
    u64::MAX
}

/// Temporary files get the permissions that an ordinary new file has; they are their owner's secret by default.
#[cfg(unix)]
pub(crate) fn be_ordinary(files: &mut tempfile::Builder<'_, '_>) {
    files.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666)); // less the umask
}

/// Here the folder decides.
#[cfg(not(unix))]
pub(crate) fn be_ordinary(_: &mut tempfile::Builder<'_, '_>) {}

/// The clock of a thread's processor time, user and system, for any thread of the process to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ThreadClock {
    #[cfg(target_os = "linux")]
    tid: i32,
}

#[cfg(target_os = "linux")]
impl ThreadClock {
    /// That of the calling thread.
    pub(crate) fn own() -> Self {
        Self {
            tid: rustix::thread::gettid().as_raw_nonzero().get(),
        }
    }

    /// None when the thread is gone.
    ///
    /// The clock has the number `~tid << 3 | 6`: 4 for a thread and not a process, 2 for what the scheduler counted, in nanoseconds
    /// (Linux, `include/linux/posix-timers.h`).
    pub(crate) fn read(self) -> Option<Duration> {
        let clock = nix::time::ClockId::from_raw((!self.tid << 3) | 6);
        nix::time::clock_gettime(clock).ok().map(Duration::from)
    }
}

/// No thread can ask for another's: nothing is known, and nothing is guessed.
#[cfg(not(target_os = "linux"))]
impl ThreadClock {
    pub(crate) fn own() -> Self {
        Self {}
    }

    #[expect(clippy::unused_self, reason = "elsewhere there is something to read")]
    pub(crate) fn read(self) -> Option<Duration> {
        None
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    /// What this process has is not taken from it: other tests need it.
    #[test]
    fn what_is_allowed_already_needs_no_raising_and_what_cannot_be_is_told() {
        let now = allow_files(1);
        assert_eq!(allow_files(now), now);
        let most = allow_files(u64::MAX / 2);
        assert!(now <= most, "{now} {most}");
        assert_eq!(allow_files(1), most);
    }
}
