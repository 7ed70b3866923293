//! The effects that break the connection: RST, FIN, and bytes that are not HTTP.
//!
//! A request cannot break its connection itself: hyper owns it. So the socket is wrapped in a [`FaultyStream`],
//! and both sides share a [`ConnectionHandle`]. The request leaves its [`Finale`] there and says no more; when hyper has written
//! all that it has, it flushes, and the wrapper plays the finale: it waits until everything is sent, is silent if it has to be, and fails.
//! hyper drops the connection without another byte, and the wrapper ends it as it was told.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use flag_host::clock::{self, Sleep, sleep_until};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::record::Entry;
use crate::socket::is_sent;

/// How long a closed connection is still listened to, so that the client's last bytes do not turn the FIN into an RST.
const LINGER: Duration = Duration::from_secs(1);

/// How often a silent connection looks whether its client is still there. hyper does not, when it has bytes of the client
/// that nobody wants yet.
const GLANCE: Duration = Duration::from_secs(1);

/// How often a connection that is about to end looks whether the kernel has sent everything.
const DRAIN_PAUSE: Duration = Duration::from_millis(1);

/// How a connection is to end. On HTTP/2 every one of these is an RST_STREAM of one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ConnectionEnd {
    /// With an RST.
    Reset,
    /// With a FIN.
    Close,
    /// With these bytes, and a FIN.
    Garbage(Vec<u8>),
}

/// How long nothing comes; for ever if not told.
pub(crate) type Silence = Option<Duration>;

/// The last that a client meets.
#[derive(Debug)]
pub(crate) struct Finale {
    /// What comes before the end, if anything.
    pub(crate) silence: Option<Silence>,
    pub(crate) end: ConnectionEnd,
    pub(crate) entry: Entry,
}

/// What a service or a body fails with in order to break its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("broken as planned")]
pub(crate) struct Broken;

/// The connection as its request sees it. On HTTP/2, where many requests share one, none may end it: theirs is the
/// default, which does nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConnectionHandle(Option<Arc<Mutex<State>>>);

/// What a request leaves for its socket. HTTP/1 has one request at a time.
#[derive(Debug, Default)]
struct State {
    finale: Option<Finale>,
    /// Whether there is one, or has been.
    is_ending: bool,
}

impl ConnectionHandle {
    fn state(&self) -> Option<MutexGuard<'_, State>> {
        let state = self.0.as_ref()?;
        Some(state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a request has ended this connection, so that those behind it are not to be answered.
    pub(crate) fn is_ending(&self) -> bool {
        self.state().is_some_and(|state| state.is_ending)
    }

    /// Ends the connection like this, once all that hyper holds by then is sent; gives the finale back if there is none to end.
    pub(super) fn end_with(&self, finale: Finale) -> Result<(), Finale> {
        let Some(mut state) = self.state() else {
            return Err(finale);
        };
        state.is_ending = true;
        state.finale = Some(finale);
        Ok(())
    }

    /// Plays the finale, and returns when it is time to fail with [`Broken`]: never, where the socket plays it.
    pub(super) async fn play(&self, finale: Finale) {
        match self.end_with(finale) {
            Ok(()) => std::future::pending().await,
            Err(Finale {
                silence,
                end,
                mut entry,
            }) => {
                match silence {
                    Some(Some(hold)) => drop(clock::hold(Instant::now(), hold).await),
                    Some(None) => std::future::pending().await, // hyper notices when the client gives up
                    None => {}
                }
                entry.broken(&end);
            }
        }
    }
}

/// A socket that ends as its [`ConnectionHandle`] says.
#[derive(Debug)]
pub(crate) struct FaultyStream {
    /// `None` only while it is dropped.
    stream: Option<TcpStream>,
    /// What was read before, and is to be read again.
    before: Bytes,
    handle: ConnectionHandle,
    playing: Option<Playing>,
    /// Until the next look at the socket.
    pause: Option<Sleep>,
    /// How to end, when the finale is over.
    end: Option<ConnectionEnd>,
    /// Whether the client has said its last word.
    has_ended: bool,
}

impl FaultyStream {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            stream: Some(stream),
            before: Bytes::new(),
            handle: ConnectionHandle(Some(Arc::default())),
            playing: None,
            pause: None,
            end: None,
            has_ended: false,
        }
    }

    pub(crate) fn handle(&self) -> ConnectionHandle {
        self.handle.clone()
    }

    /// What the client has sent and nobody has read, from its beginning.
    pub(crate) async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        let stream = self.stream.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        stream.peek(buf).await
    }

    /// Lets these bytes be read again, before all others.
    pub(crate) fn put_back(&mut self, bytes: Bytes) {
        self.before = bytes;
    }

    /// Waits until the client has sent its FIN or RST. What it sends before that stays where it is.
    pub(crate) async fn left(&self) {
        // Not only until the socket is said to be readable: that may be left over from the read before.
        while matches!(self.peek(&mut [0]).await, Ok(1..)) && !self.has_left() {
            sleep_until(Instant::now() + GLANCE).await;
        }
    }

    /// Whether the client has sent its FIN or RST, also if bytes before it have not been read.
    pub(crate) fn has_left(&self) -> bool {
        self.stream.as_ref().is_none_or(has_left)
    }

    /// Plays the finale, if there is one; then it is an error, upon which hyper lets go of the connection.
    fn poll_finale(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.playing.is_none() {
            let finale = self
                .handle
                .state()
                .and_then(|mut state| state.finale.take());
            self.playing = finale.map(|finale| Playing {
                finale,
                silent_until: None,
            });
        }
        while let (Some(playing), Some(stream)) = (&mut self.playing, &self.stream) {
            let Some(next_look) = playing.next_look(stream)? else {
                let Finale { end, entry, .. } = &mut playing.finale;
                entry.broken(end);
                self.end = Some(end.clone());
                return Poll::Ready(Err(io::Error::other(Broken)));
            };
            let pause = self.pause.get_or_insert_with(|| sleep_until(next_look));
            ready!(Pin::new(pause).poll(cx));
            self.pause = None;
        }
        Poll::Ready(Ok(()))
    }

    fn stream(self: Pin<&mut Self>) -> io::Result<Pin<&mut TcpStream>> {
        let stream = self
            .get_mut()
            .stream
            .as_mut()
            .ok_or(io::ErrorKind::NotConnected)?;
        Ok(Pin::new(stream))
    }
}

/// A finale that is being played.
#[derive(Debug)]
struct Playing {
    finale: Finale,
    silent_until: Option<Instant>,
}

impl Playing {
    /// When to look again, or `None` when it is time to end.
    ///
    /// # Errors
    /// When the client has left before that.
    fn next_look(&mut self, stream: &TcpStream) -> io::Result<Option<Instant>> {
        let now = Instant::now();
        if self.silent_until.is_none() && !is_sent(stream)? {
            return Ok(Some(now + DRAIN_PAUSE));
        }
        let Some(hold) = self.finale.silence else {
            return Ok(None);
        };
        if has_left(stream) {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let glance = now + GLANCE;
        let Some(hold) = hold else {
            return Ok(Some(glance));
        };
        let until = *self.silent_until.get_or_insert(now + hold);
        Ok((now < until).then_some(until.min(glance)))
    }
}

impl Drop for FaultyStream {
    fn drop(&mut self) {
        let Some(stream) = self.stream.take() else {
            return;
        };
        match self.end.take() {
            None if self.has_ended => {}
            None => close(stream, Vec::new()),
            // With a linger time of zero, closing discards what is unsent and sends an RST.
            Some(ConnectionEnd::Reset) => drop(stream.set_zero_linger()),
            Some(ConnectionEnd::Close) => close(stream, Vec::new()),
            Some(ConnectionEnd::Garbage(bytes)) => close(stream, bytes),
        }
    }
}

/// Sends these last bytes and a FIN, and then listens for a while.
fn close(mut stream: TcpStream, last: Vec<u8>) {
    // Without a runtime the process is ending, and so is the connection.
    let Ok(runtime) = tokio::runtime::Handle::try_current() else {
        return;
    };
    runtime.spawn(async move {
        let closing = async {
            stream.write_all(&last).await?;
            stream.shutdown().await?;
            let mut unread = [0; 1024];
            while stream.read(&mut unread).await? > 0 {}
            io::Result::Ok(())
        };
        // Whether the client listens or not: it is over.
        drop(tokio::time::timeout(LINGER, closing).await);
    });
}

impl AsyncRead for FaultyStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.before.is_empty() {
            let length = self.before.len().min(buf.remaining());
            buf.put_slice(&self.before.split_to(length));
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let read = ready!(self.as_mut().stream()?.poll_read(cx, buf));
        self.has_ended = buf.filled().len() == before;
        Poll::Ready(read)
    }
}

impl AsyncWrite for FaultyStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream
            .as_ref()
            .is_some_and(TcpStream::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().stream()?.poll_flush(cx))?;
        self.poll_finale(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A FIN now would come before what is planned.
        ready!(self.poll_finale(cx))?;
        self.stream()?.poll_shutdown(cx)
    }
}

/// Whether the client has sent its FIN or RST, also if bytes before it have not been read.
fn has_left(stream: &TcpStream) -> bool {
    let ready = std::pin::pin!(stream.ready(Interest::READABLE));
    match ready.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(ready)) => ready.is_read_closed(),
        Poll::Ready(Err(_)) => true,
        Poll::Pending => false,
    }
}
