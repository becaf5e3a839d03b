//! A listener that keeps strangers from exhausting the process: a bound on connections, and an end
//! to those on which nothing comes.
//!
//! Over the bound new connections wait in the kernel's backlog until an old one ends.

use axum::serve::Listener;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep, sleep};

/// Connections at the same time: some operators and scrapers, far below the limit on open files.
const CONNECTIONS_MAX: usize = 64;
/// A connection on which nothing came for so long is closed; longer than any answer takes.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// `inner` with the bounds of this module.
pub(super) struct Limited<L> {
    inner: L,
    free: Arc<Semaphore>,
}

impl<L> Limited<L> {
    pub(super) fn new(inner: L) -> Self {
        Self {
            inner,
            free: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
        }
    }
}

impl<L: Listener> Listener for Limited<L> {
    type Io = Bounded<L::Io>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        let free = Arc::clone(&self.free).acquire_owned().await;
        let permit = free.expect("the semaphore is never closed");
        let (io, addr) = self.inner.accept().await;
        let bounded = Bounded {
            io,
            silence: Box::pin(sleep(SILENCE_MAX)),
            _permit: permit,
        };
        (bounded, addr)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.inner.local_addr()
    }
}

/// A connection that counts against the bound as long as it lives.
pub(super) struct Bounded<Io> {
    io: Io,
    silence: Pin<Box<Sleep>>,
    _permit: OwnedSemaphorePermit,
}

impl<Io: AsyncRead + Unpin> AsyncRead for Bounded<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.io).poll_read(cx, buf) {
            Poll::Ready(read) => {
                self.silence.as_mut().reset(Instant::now() + SILENCE_MAX);
                Poll::Ready(read)
            }
            Poll::Pending => self
                .silence
                .as_mut()
                .poll(cx)
                .map(|()| Err(io::ErrorKind::TimedOut.into())),
        }
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Bounded<Io> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        // An answer that goes on and on is no silence.
        if matches!(written, Poll::Ready(Ok(_))) {
            self.silence.as_mut().reset(Instant::now() + SILENCE_MAX);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
