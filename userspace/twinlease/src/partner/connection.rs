//! A connection that is set up, as an endpoint holds it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use lease::AbsTime;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::AbortHandle;
use wire::failover::Frames;

use super::error::{Lost, NotSent};
use super::reader::BatchReader;
use super::writer::write_all;

/// Octets received and not yet done with, at most; a window of 4096 updates of 1 KiB has 4 MiB.
pub const RECEIVED_OCTETS_MAX: usize = 64 << 20;
/// Octets queued and not yet written, at most.
pub const QUEUED_OCTETS_MAX: usize = 64 << 20;

/// One connection with a partner. To end it, drop it: what is queued is still written (a
/// DISCONNECT, for one), as far as the partner takes it, and then the connection closes.
#[derive(Debug)]
pub struct Connection {
    /// The partner's end.
    pub peer: SocketAddr,
    /// Whether it is protected by TLS.
    pub is_tls: bool,
    /// What the partner sends.
    pub received: Received,
    /// Takes what is to be sent.
    pub sender: Sender,
    /// Counts it among its partner's until dropped.
    pub(super) permit: Option<OwnedSemaphorePermit>,
}

/// Messages as they came, whole ones only.
#[derive(Debug)]
pub struct Batch {
    frames: Bytes,
    /// By the wall clock, when they were read from the socket: to be compared with their sent-time.
    pub received_time: AbsTime,
    /// By the monotonic clock.
    pub received_at: Instant,
    _held: Held,
}

impl Batch {
    /// The messages, without their size fields; at least one. They share the memory of the batch.
    pub fn messages(&self) -> impl Iterator<Item = Bytes> {
        let messages = Frames::new(&self.frames).map_while(Result::ok);
        messages.map(move |message| self.frames.slice_ref(message))
    }
}

/// The end of a connection that gives what the partner sends. Dropping it stops the reading.
#[derive(Debug)]
pub struct Received {
    batches: UnboundedReceiver<Result<Batch, Lost>>,
    has_ended: bool,
    reader: AbortHandle,
}

impl Received {
    /// The next batch. Cancel-safe. Batches count against a limit (`RECEIVED_OCTETS_MAX`) until
    /// they are dropped.
    ///
    /// # Errors
    /// Why the connection has ended; all that came before has been given out. Whoever asks again
    /// is told [`Lost::Closed`].
    pub async fn recv(&mut self) -> Result<Batch, Lost> {
        if self.has_ended {
            return Err(Lost::Closed);
        }
        let next = self.batches.recv().await.unwrap_or(Err(Lost::Closed));
        self.has_ended = next.is_err();
        next
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

/// The end of a connection that takes what is to be sent.
#[derive(Clone, Debug)]
pub struct Sender {
    frames: UnboundedSender<Vec<u8>>,
    queued: Arc<AtomicUsize>,
}

impl Sender {
    /// Queues whole frames, one or many in one buffer. Their sent-time is set when they are
    /// written. Never waits.
    ///
    /// # Errors
    /// [`NotSent`] if the connection has ended or more than `QUEUED_OCTETS_MAX` wait: it is then
    /// to be given up.
    pub fn send(&self, frames: Vec<u8>) -> Result<(), NotSent> {
        let len = frames.len();
        let queued = self.queued.fetch_add(len, Ordering::Relaxed);
        if queued + len <= QUEUED_OCTETS_MAX && self.frames.send(frames).is_ok() {
            return Ok(());
        }
        self.queued.fetch_sub(len, Ordering::Relaxed);
        Err(NotSent)
    }

    /// Octets queued and not yet written: what an endpoint looks at before it queues more updates.
    pub fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }
}

/// Octets counted as received until dropped.
#[derive(Debug)]
struct Held {
    octets: usize,
    sum: Arc<AtomicUsize>,
}

impl Held {
    fn new(octets: usize, sum: &Arc<AtomicUsize>) -> Self {
        sum.fetch_add(octets, Ordering::Relaxed);
        Self {
            octets,
            sum: Arc::clone(sum),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.sum.fetch_sub(self.octets, Ordering::Relaxed);
    }
}

/// Starts reading and writing. `first` are frames that were read during the set-up.
pub(super) fn start(
    stream: impl AsyncRead + AsyncWrite + Send + 'static,
    peer: SocketAddr,
    is_tls: bool,
    first: Option<Vec<u8>>,
    stall: Duration,
    permit: Option<OwnedSemaphorePermit>,
) -> Connection {
    let (reading, writing) = tokio::io::split(stream);
    let (give, batches) = unbounded_channel();
    let held = Arc::new(AtomicUsize::new(0));
    if let Some(frames) = first {
        let _ = give.send(Ok(batch(frames.into(), &held)));
    }
    let writer_failed = give.clone();
    let reader = tokio::spawn(read(BatchReader::new(reading), give, held)).abort_handle();
    let (frames, queue) = unbounded_channel();
    let queued = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&queued);
    tokio::spawn(async move {
        if let Err(lost) = write_all(writing, queue, counted, stall, crate::worker::now).await {
            let _ = writer_failed.send(Err(lost));
        }
    });
    Connection {
        peer,
        is_tls,
        received: Received {
            batches,
            has_ended: false,
            reader,
        },
        sender: Sender { frames, queued },
        permit,
    }
}

fn batch(frames: Bytes, held: &Arc<AtomicUsize>) -> Batch {
    Batch {
        received_time: crate::worker::now(),
        received_at: Instant::now(),
        _held: Held::new(frames.len(), held),
        frames,
    }
}

async fn read(
    mut reader: BatchReader<impl AsyncRead + Unpin>,
    give: UnboundedSender<Result<Batch, Lost>>,
    held: Arc<AtomicUsize>,
) {
    loop {
        let frames = reader.batch().await;
        let octets = held.load(Ordering::Relaxed);
        let batch = match frames {
            Ok(_) if octets > RECEIVED_OCTETS_MAX => Err(Lost::Backlog { octets }),
            Ok(frames) => Ok(batch(frames, &held)),
            Err(lost) => Err(lost),
        };
        let ended = batch.is_err();
        if give.send(batch).is_err() || ended {
            return;
        }
    }
}
