//! The effects that break the connection: RST, FIN, and bytes that are not HTTP.
//!
//! A request cannot break its connection itself: hyper owns it. So the socket is wrapped in a
//! [`FaultyStream`], and both sides share a [`ConnectionHandle`]. The request leaves its
//! [`Injection`] there and writes no more. When everything before it is written, the stream is
//! flushed; the wrapper waits until the kernel has sent everything, holds the silence, and fails.
//! The owner of the stream drops it without another byte, and the wrapper breaks the connection as
//! planned.
//!
//! A client that has sent its FIN may still wait for its answer (`nc -N`), so only an RST or a
//! failed write says that it has left. One that has left with no more than a FIN answers the next
//! byte with an RST, and so it answers TCP's keep-alive probes once its system has forgotten it.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use flag_host::clock::{self, Sleep, sleep_until};
use flag_host::{is_sent, lock};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest, ReadBuf, Ready};
use tokio::net::TcpStream;

use crate::record_log::RecordGuard;
use crate::scenario::{ConnectionFault, ConnectionFaultKind};
use crate::socket;

/// How long a closed connection is still listened to, so that the client's last bytes do not turn
/// the FIN into an RST.
const LINGER: Duration = Duration::from_secs(1);

/// How often a silent connection checks whether its client is still there. hyper does not: while it
/// answers a request, it reads nothing.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// What WireMock's `MALFORMED_RESPONSE_CHUNK` sends before its garbage.
const CHUNKED_HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

/// How often a connection that is about to break checks whether the kernel has sent everything.
const DRAIN_INTERVAL: Duration = Duration::from_millis(1);

/// A planned break, and the record that it completes.
#[derive(Debug)]
pub(crate) struct Injection {
    pub(crate) fault: ConnectionFault,
    pub(crate) record: RecordGuard,
}

/// What a service or a body fails with in order to break its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("broken as planned")]
pub(crate) struct Broken;

/// The connection as its request sees it.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionHandle {
    /// None on HTTP/2, where many requests share one connection, and none may end it.
    socket: Option<Arc<Shared>>,
    /// From 1, in the order in which its listener accepted connections.
    number: u64,
    requests: Arc<Requests>,
}

/// The requests of a connection.
#[derive(Debug, Default)]
struct Requests {
    /// How many have a record.
    recorded: AtomicU32,
    /// How many are in a planned silence.
    silent: AtomicUsize,
}

/// What both sides of a connection share.
#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Whether the state has a record: most writes need not look there.
    has_record: AtomicBool,
    /// Whether it is time to check that the client is still there.
    is_check_due: AtomicBool,
}

/// What a request leaves for its socket. HTTP/1 has one request at a time.
#[derive(Debug, Default)]
struct State {
    injection: Option<Injection>,
    /// Whether there is one, or has been.
    is_ending: bool,
    /// Of the response whose last byte is to be written.
    record: Option<RecordGuard>,
}

/// A planned silence, as long as it lives.
#[derive(Debug)]
struct Silence(Arc<Requests>);

impl Silence {
    fn of(connection: &ConnectionHandle) -> Self {
        connection.requests.silent.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(&connection.requests))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        self.0.silent.fetch_sub(1, Ordering::Relaxed);
    }
}

impl ConnectionHandle {
    pub(crate) fn new(number: u64) -> Self {
        Self {
            socket: Some(Arc::default()),
            number,
            requests: Arc::default(),
        }
    }

    /// From 1, in the order in which its listener accepted connections.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Counts a request that has a record, and returns its number, from 1. Where records are kept,
    /// every request has one but health checks.
    pub(super) fn count_request(&self) -> u32 {
        self.requests.recorded.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The same connection for requests that share it: none of them may end it.
    #[cfg(feature = "http2")]
    pub(crate) fn shared(&self) -> Self {
        Self {
            socket: None,
            number: self.number,
            requests: Arc::clone(&self.requests),
        }
    }

    /// Whether a request is in a planned silence.
    pub(crate) fn is_silent(&self) -> bool {
        self.requests.silent.load(Ordering::Relaxed) > 0
    }

    fn state(&self) -> Option<MutexGuard<'_, State>> {
        let shared = self.socket.as_ref()?;
        Some(lock(&shared.state))
    }

    /// Completes the record of a response all of which is handed over: before its last byte is
    /// sent, so that a client that has the answer may read the record at once. A client that has
    /// sent its FIN may be gone, which is known only after that byte.
    pub(crate) fn complete(&self, mut record: RecordGuard) {
        let shared = self.socket.as_deref().filter(|_| record.is_kept());
        let Some(shared) = shared else {
            return record.whole();
        };
        let earlier = lock(&shared.state).record.replace(record);
        shared.has_record.store(true, Ordering::Release);
        if let Some(mut earlier) = earlier {
            earlier.whole();
        }
    }

    fn has_record(&self) -> bool {
        let shared = self.socket.as_ref();
        shared.is_some_and(|shared| shared.has_record.load(Ordering::Acquire))
    }

    fn take_record(&self) -> Option<RecordGuard> {
        let shared = self.socket.as_ref()?;
        shared.has_record.store(false, Ordering::Relaxed);
        lock(&shared.state).record.take()
    }

    /// Whether the client is to be checked now.
    fn takes_check(&self) -> bool {
        let shared = self.socket.as_ref();
        shared.is_some_and(|shared| shared.is_check_due.swap(false, Ordering::Relaxed))
    }

    /// Waits, and lets the connection check now and then whether its client is still there. If it
    /// is not, the connection drops what waits.
    pub(crate) async fn watch<F: Future>(&self, future: F) -> F::Output {
        let (mut future, mut pulse) = (std::pin::pin!(future), Pulse::default());
        std::future::poll_fn(|cx| {
            let ready = future.as_mut().poll(cx);
            if ready.is_pending() {
                pulse.poll(self, cx);
            }
            ready
        })
        .await
    }

    /// Whether a request has ended this connection, so that those behind it are not to be answered.
    pub(crate) fn is_ending(&self) -> bool {
        self.state().is_some_and(|state| state.is_ending)
    }

    /// Breaks the connection once everything that is written by then is sent.
    ///
    /// # Errors
    /// With the injection, if no connection may be broken.
    pub(crate) fn schedule(&self, injection: Injection) -> Result<(), Injection> {
        let Some(mut state) = self.state() else {
            return Err(injection);
        };
        state.is_ending = true;
        state.injection = Some(injection);
        Ok(())
    }

    /// Breaks the connection, and returns when it is time to fail with [`Broken`]: never, if the
    /// stream does it.
    pub(crate) async fn inject(&self, injection: Injection) {
        match self.schedule(injection) {
            Ok(()) => std::future::pending().await,
            Err(Injection { fault, mut record }) => {
                let _silence = fault.hold.is_some().then(|| Silence::of(self));
                match fault.hold {
                    Some(Some(hold)) => drop(clock::hold(clock::now(), hold).await),
                    Some(None) => std::future::pending().await, // hyper notices when the client gives up
                    None => {}
                }
                record.broken(&fault.kind);
            }
        }
    }
}

/// Wakes the task of a connection on which nothing happens, so that the client is checked. On
/// HTTP/2, hyper always reads, and notices by itself when the client has left.
#[derive(Default)]
pub(super) struct Pulse(Option<Pin<Box<tokio::time::Sleep>>>);

impl Pulse {
    pub(super) fn poll(&mut self, connection: &ConnectionHandle, cx: &mut Context<'_>) {
        let Some(shared) = &connection.socket else {
            return;
        };
        let new = || Box::pin(tokio::time::sleep(POLL_INTERVAL));
        let sleep = self.0.get_or_insert_with(new);
        while sleep.as_mut().poll(cx).is_ready() {
            shared.is_check_due.store(true, Ordering::Relaxed);
            sleep
                .as_mut()
                .reset(tokio::time::Instant::now() + POLL_INTERVAL);
        }
    }
}

/// A socket that breaks as its [`ConnectionHandle`] says.
#[derive(Debug)]
pub(crate) struct FaultyStream {
    /// `None` only while it is dropped.
    stream: Option<TcpStream>,
    /// What was read before, and is to be read again.
    before: Bytes,
    handle: ConnectionHandle,
    running: Option<Running>,
    /// Until the next check of the socket.
    pause: Option<Sleep>,
    /// How long a write may wait while the client takes nothing.
    send_timeout: Duration,
    /// The end of that time, while a write waits. One of tokio's timers, as for the other limits:
    /// it need not be precise.
    blocked: Option<Pin<Box<tokio::time::Sleep>>>,
    /// How to break, when it is time.
    end: Option<ConnectionFaultKind>,
    /// Whether the client has sent its FIN.
    has_ended: bool,
    /// Whether it may still wait for its answer then.
    answers_half_closed: bool,
}

impl FaultyStream {
    /// A stream that fails if a write waits for `send_timeout` and the client takes nothing.
    pub(crate) fn new(
        stream: TcpStream,
        handle: ConnectionHandle,
        send_timeout: Duration,
        answers_half_closed: bool,
    ) -> Self {
        Self {
            stream: Some(stream),
            before: Bytes::new(),
            handle,
            running: None,
            pause: None,
            send_timeout,
            blocked: None,
            end: None,
            has_ended: false,
            answers_half_closed,
        }
    }

    pub(crate) fn handle(&self) -> &ConnectionHandle {
        &self.handle
    }

    /// The unread bytes of the client, from the first one. They stay unread.
    pub(crate) async fn peek(&self, buf: &mut [u8]) -> io::Result<usize> {
        let stream = self.stream.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        stream.peek(buf).await
    }

    /// Lets these bytes be read again, before all others.
    pub(crate) fn put_back(&mut self, bytes: Bytes) {
        self.before = bytes;
    }

    /// Waits until the client has left. What it has sent stays where it is.
    pub(crate) async fn left(&self) {
        let Some(stream) = &self.stream else {
            return;
        };
        // Not only until the socket is said to be readable: that may be left over from the read
        // before.
        loop {
            match stream.peek(&mut [0]).await {
                Ok(0) => break,
                Ok(_) if has_reset(stream) => return,
                Ok(_) if has_finished(stream) => break,
                Ok(_) => sleep_until(clock::now() + POLL_INTERVAL).await,
                Err(_) => return,
            }
        }
        if self.answers_half_closed && socket::probe(stream).is_ok() {
            // Whatever comes of it, the client will not get its answer.
            drop(stream.ready(Interest::ERROR).await);
        }
    }

    /// Whether the client has sent its FIN or RST, also if bytes before it have not been read.
    pub(crate) fn has_finished(&self) -> bool {
        self.stream.as_ref().is_none_or(has_finished)
    }

    /// Completes the record of a response that is written, for a client that has sent its FIN.
    ///
    /// # Errors
    /// When the client had left. On one machine its RST is there when the last byte is written.
    pub(crate) fn complete(&self, mut record: RecordGuard) -> io::Result<()> {
        let stream = self.stream.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        if has_reset(stream) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
        record.whole();
        Ok(())
    }

    /// Completes a record that is left, if it is known already that the client is there.
    fn complete_before_write(&self) {
        if self.handle.has_record()
            && !self.has_finished()
            && let Some(mut record) = self.handle.take_record()
        {
            record.whole();
        }
    }

    /// Completes a record that is left, now that everything is written.
    fn complete_after_write(&self) -> io::Result<()> {
        if self.handle.has_record()
            && let Some(record) = self.handle.take_record()
        {
            return self.complete(record);
        }
        Ok(())
    }

    /// Runs the injection, if there is one, up to the break; then it is an error, upon which the
    /// owner drops the stream.
    fn poll_injection(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.running.is_none() {
            let injection = self
                .handle
                .state()
                .and_then(|mut state| state.injection.take());
            let drained_by = clock::now().checked_add(self.send_timeout);
            self.running = injection.map(|injection| Running {
                injection,
                drained_by,
                silence: None,
                silent_until: None,
            });
        }
        while let (Some(running), Some(stream)) = (&mut self.running, &self.stream) {
            let next_check = running.next_check(stream, &self.handle, self.answers_half_closed);
            let next_check = match next_check {
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    return Poll::Ready(Err(self.give_up()));
                }
                next_check => next_check?,
            };
            let Some(next_check) = next_check else {
                let Injection { fault, record } = &mut running.injection;
                record.broken(&fault.kind);
                self.end = Some(fault.kind.clone());
                return Poll::Ready(Err(io::Error::other(Broken)));
            };
            let pause = self.pause.get_or_insert_with(|| sleep_until(next_check));
            ready!(Pin::new(pause).poll(cx));
            self.pause = None;
        }
        Poll::Ready(Ok(()))
    }

    /// What a write returns, or an error if it has waited for too long.
    fn poll_send_timeout(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.blocked = None;
            return written;
        }
        let timeout = self.send_timeout;
        let blocked = self
            .blocked
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        ready!(blocked.as_mut().poll(cx));
        Poll::Ready(Err(self.give_up()))
    }

    /// The error for a client that takes nothing. The end is an RST, so that the kernel does not go
    /// on offering it the rest.
    fn give_up(&mut self) -> io::Error {
        self.end = Some(ConnectionFaultKind::Reset);
        let timeout = self.send_timeout;
        let text = format!("the client has taken nothing for {timeout:?} (--send-timeout)");
        io::Error::new(io::ErrorKind::TimedOut, text)
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

/// An injection under way.
#[derive(Debug)]
struct Running {
    injection: Injection,
    /// When everything has to be sent. Nobody can know when the client takes a part of it, and
    /// there is little of it.
    drained_by: Option<Instant>,
    silence: Option<Silence>,
    silent_until: Option<Instant>,
}

impl Running {
    /// When to check again, or `None` when it is time to break.
    ///
    /// # Errors
    /// When the client has left before that, or takes nothing.
    fn next_check(
        &mut self,
        stream: &TcpStream,
        connection: &ConnectionHandle,
        answers_half_closed: bool,
    ) -> io::Result<Option<Instant>> {
        let now = clock::now();
        if self.silent_until.is_none() && !is_sent(stream)? {
            if self.drained_by.is_some_and(|end| now >= end) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            return Ok(Some(now + DRAIN_INTERVAL));
        }
        let Some(hold) = self.injection.fault.hold else {
            return Ok(None);
        };
        // In a silence without an end nothing more is sent, so a FIN ends it.
        check_client(stream, answers_half_closed && hold.is_some())?;
        self.silence.get_or_insert_with(|| Silence::of(connection));
        let next = now + POLL_INTERVAL;
        let Some(hold) = hold else {
            return Ok(Some(next));
        };
        let until = *self.silent_until.get_or_insert(now + hold);
        Ok((now < until).then_some(until.min(next)))
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
            Some(ConnectionFaultKind::Reset) => drop(stream.set_zero_linger()),
            Some(ConnectionFaultKind::Garbage { bytes, after_head }) => {
                let head = if after_head { CHUNKED_HEAD } else { b"" };
                close(stream, [head, &bytes].concat());
            }
            Some(_) => close(stream, Vec::new()),
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
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.complete_before_write();
        let written = self.as_mut().stream()?.poll_write(cx, buf);
        self.poll_send_timeout(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.complete_before_write();
        let written = self.as_mut().stream()?.poll_write_vectored(cx, bufs);
        self.poll_send_timeout(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream
            .as_ref()
            .is_some_and(TcpStream::is_write_vectored)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().stream()?.poll_flush(cx))?;
        self.complete_after_write()?;
        if self.handle.takes_check()
            && let Some(stream) = &self.stream
        {
            check_client(stream, self.answers_half_closed)?;
        }
        self.poll_injection(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A FIN now would come before what is planned.
        ready!(self.poll_injection(cx))?;
        self.stream()?.poll_shutdown(cx)
    }
}

/// Whether the client has sent its FIN or RST, also if bytes before it have not been read.
fn has_finished(stream: &TcpStream) -> bool {
    readiness(stream, Interest::READABLE).is_none_or(|ready| ready.is_read_closed())
}

/// Whether the client has sent its RST.
fn has_reset(stream: &TcpStream) -> bool {
    let interest = Interest::WRITABLE | Interest::ERROR;
    readiness(stream, interest).is_none_or(|ready| ready.is_error() || ready.is_write_closed())
}

/// What is known of the socket without asking the system; none if nothing will ever be.
fn readiness(stream: &TcpStream, interest: Interest) -> Option<Ready> {
    let ready = std::pin::pin!(stream.ready(interest));
    match ready.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(ready) => ready.ok(),
        Poll::Pending => Some(Ready::EMPTY),
    }
}

/// Checks a client, and asks one that sends no more whether it is still there.
///
/// # Errors
/// When it has left.
fn check_client(stream: &TcpStream, answers_half_closed: bool) -> io::Result<()> {
    if has_reset(stream) {
        return Err(io::ErrorKind::ConnectionReset.into());
    }
    match (has_finished(stream), answers_half_closed) {
        (false, _) => Ok(()),
        (true, true) => socket::probe(stream),
        (true, false) => Err(io::ErrorKind::ConnectionAborted.into()),
    }
}
