//! Signals that ask a program to end: which one came, and whether another one is a request of its
//! own or a copy of the first.
//!
//! What a program does about them is for the program to say.

use std::future::pending;
use std::io;
use std::time::{Duration, Instant};

/// Signals that come sooner after the first one are copies of it: `timeout` of coreutils signals
/// its command and then the whole group, a terminal that closes does so by way of the shell too,
/// and nobody is impatient after so short a time.
pub const COPIES: Duration = Duration::from_millis(500);

/// A signal that asks a program to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGHUP; on Windows, the console was closed.
    HangUp,
    /// SIGINT: Ctrl-C.
    Interrupt,
    /// SIGTERM; on Windows, Ctrl-Break or the end of the session.
    Terminate,
}

impl Signal {
    /// The exit code of a program that it has ended, as a shell reports it: 128 and its number.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::HangUp => 129,
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}

/// The signals of this process. None of them ends it any more, also after this is dropped.
#[derive(Debug)]
pub struct Signals(system::Signals);

impl Signals {
    /// Hears them from now on. Has to be called on a tokio runtime, which delivers them.
    ///
    /// `hears_hang_up` is for those that SIGHUP does not end. It is ignored for a program that was
    /// started to ignore it, as `nohup` does.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn listen(hears_hang_up: bool) -> io::Result<Self> {
        system::Signals::listen(hears_hang_up).map(Self)
    }

    /// The next signal. Those that come before it is asked for are not lost, but several of one
    /// kind may be one.
    pub async fn next(&mut self) -> Signal {
        let Self(signals) = self;
        match signals.next().await {
            Some(signal) => signal,
            None => pending().await, // no signal will come
        }
    }
}

/// What a signal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// To end in good order.
    End,
    /// Nothing: it is a copy of the first.
    Copy,
    /// To end at once.
    EndAtOnce,
}

/// The requests to end so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct Requests {
    first: Option<Instant>,
}

impl Requests {
    /// What a signal means that has come at this moment.
    pub fn add(&mut self, now: Instant) -> Request {
        match self.first {
            None => {
                self.first = Some(now);
                Request::End
            }
            Some(first) if now.saturating_duration_since(first) < COPIES => Request::Copy,
            Some(_) => Request::EndAtOnce,
        }
    }
}

#[cfg(unix)]
mod system {
    use std::io;

    use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

    use super::Signal;

    #[derive(Debug)]
    pub(super) struct Signals {
        hang_up: Option<Stream>,
        interrupt: Stream,
        terminate: Stream,
    }

    impl Signals {
        pub(super) fn listen(hears_hang_up: bool) -> io::Result<Self> {
            let hears_hang_up = hears_hang_up || !flag_host::process::ignores_hang_up();
            let hang_up = hears_hang_up.then(|| signal(SignalKind::hangup()));
            Ok(Self {
                hang_up: hang_up.transpose()?,
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
            })
        }

        pub(super) async fn next(&mut self) -> Option<Signal> {
            let hang_up = async {
                match &mut self.hang_up {
                    Some(hang_up) => hang_up.recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                got = self.interrupt.recv() => got.map(|()| Signal::Interrupt),
                got = self.terminate.recv() => got.map(|()| Signal::Terminate),
                got = hang_up => got.map(|()| Signal::HangUp),
            }
        }
    }
}

#[cfg(windows)]
mod system {
    use std::io;

    use tokio::signal::windows::{
        CtrlBreak, CtrlC, CtrlClose, CtrlShutdown, ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown,
    };

    use super::Signal;

    #[derive(Debug)]
    pub(super) struct Signals {
        interrupt: CtrlC,
        terminate: CtrlBreak,
        session_end: CtrlShutdown,
        hang_up: CtrlClose,
    }

    impl Signals {
        pub(super) fn listen(_hears_hang_up: bool) -> io::Result<Self> {
            Ok(Self {
                interrupt: ctrl_c()?,
                terminate: ctrl_break()?,
                session_end: ctrl_shutdown()?,
                hang_up: ctrl_close()?,
            })
        }

        pub(super) async fn next(&mut self) -> Option<Signal> {
            tokio::select! {
                biased;
                got = self.interrupt.recv() => got.map(|()| Signal::Interrupt),
                got = self.terminate.recv() => got.map(|()| Signal::Terminate),
                got = self.session_end.recv() => got.map(|()| Signal::Terminate),
                got = self.hang_up.recv() => got.map(|()| Signal::HangUp),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_request_counts_only_after_the_time_of_copies() {
        let ms = Duration::from_millis;
        let start = Instant::now();
        let mut requests = Requests::default();
        let times = [0, 0, 1, 499, 500, 501, 60_000];
        let meanings = times.map(|time| requests.add(start + ms(time)));
        use Request::{Copy, End, EndAtOnce};
        let expected = [End, Copy, Copy, Copy, EndAtOnce, EndAtOnce, EndAtOnce];
        assert_eq!(meanings, expected);
    }
}
