//! The effects that break the connection: RST, FIN, and bytes that are not HTTP.
//!
//! A request cannot break its connection itself: hyper owns it. So the socket is wrapped in a [`FaultyStream`],
//! and both sides share a [`ConnectionHandle`]. The request says how the connection is to end, and then fails (as a service, or in its
//! body); hyper drops the connection without another byte, and the wrapper ends it as it was told.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

/// How long a closed connection is still listened to, so that the client's last bytes do not turn the FIN into an RST.
const LINGER: Duration = Duration::from_secs(1);

/// How a connection is to end. On HTTP/2 every one of these is an RST_STREAM of one stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) enum ConnectionEnd {
    /// As hyper ends it.
    #[default]
    Ordinary,
    /// With an RST.
    Reset,
    /// With a FIN.
    Close,
    /// With these bytes, and a FIN.
    Garbage(Vec<u8>),
}

/// What a service or a body fails with in order to break its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("broken as planned")]
pub(crate) struct Broken;

/// The connection as its requests see it.
#[derive(Debug, Clone, Default)]
pub(crate) struct ConnectionHandle(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    end: Mutex<ConnectionEnd>,
    /// How often everything that was written has been handed to the kernel.
    flushes: AtomicU64,
    waiting: Mutex<Vec<Waker>>,
}

impl ConnectionHandle {
    /// Says how the connection is to end.
    pub(crate) fn end_with(&self, end: ConnectionEnd) {
        *self.0.end.lock().unwrap_or_else(PoisonError::into_inner) = end;
    }

    fn take_end(&self) -> ConnectionEnd {
        std::mem::take(&mut *self.0.end.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How often the connection has been flushed.
    pub(crate) fn flushes(&self) -> u64 {
        self.0.flushes.load(Ordering::SeqCst)
    }

    /// Ready once the connection has been flushed more often than this.
    pub(crate) fn poll_flushed(&self, before: u64, cx: &mut Context<'_>) -> Poll<()> {
        // Registered first, asked afterwards, so that no flush falls between.
        self.0
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(cx.waker().clone());
        if self.flushes() > before {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    }

    fn flushed(&self) {
        self.0.flushes.fetch_add(1, Ordering::SeqCst);
        let waiting = std::mem::take(
            &mut *self
                .0
                .waiting
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        waiting.into_iter().for_each(Waker::wake);
    }
}

/// A socket that ends as its [`ConnectionHandle`] says.
#[derive(Debug)]
pub(crate) struct FaultyStream {
    /// `None` only while it is dropped.
    stream: Option<TcpStream>,
    handle: ConnectionHandle,
}

impl FaultyStream {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            stream: Some(stream),
            handle: ConnectionHandle::default(),
        }
    }

    pub(crate) fn handle(&self) -> ConnectionHandle {
        self.handle.clone()
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

impl Drop for FaultyStream {
    fn drop(&mut self) {
        let Some(stream) = self.stream.take() else {
            return;
        };
        match self.handle.take_end() {
            ConnectionEnd::Ordinary => {}
            // With a linger time of zero, closing discards what is unsent and sends an RST.
            ConnectionEnd::Reset => drop(stream.set_zero_linger()),
            ConnectionEnd::Close => close(stream, Vec::new()),
            ConnectionEnd::Garbage(bytes) => close(stream, bytes),
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
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream()?.poll_read(cx, buf)
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
        self.handle.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let end = self
            .handle
            .0
            .end
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        match end {
            ConnectionEnd::Ordinary => self.stream()?.poll_shutdown(cx),
            // A FIN now would come before what is planned.
            _ => Poll::Ready(Ok(())),
        }
    }
}
