//! Whole messages out of a stream.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use wire::failover::Frames;

use super::error::{Lost, SetupError};

/// Octets asked for at once, at least.
const READ_MIN: usize = 16 * 1024;
/// Octets gathered into one batch, at most; more than the longest frame.
const BATCH_MAX: usize = 256 * 1024;

/// Reads exactly one frame and not an octet of what follows, so that a TLS handshake can.
pub async fn read_frame(
    stream: &mut (impl AsyncRead + Unpin),
    longest: usize,
) -> Result<Vec<u8>, SetupError> {
    let mut size = [0; 2];
    read_exact(stream, &mut size, Lost::Closed).await?;
    let len = usize::from(u16::from_be_bytes(size));
    if len > longest {
        return Err(SetupError::TooLong { size: len, longest });
    }
    let mut frame = size.to_vec();
    frame.resize(size.len() + len, 0);
    read_exact(stream, &mut frame[size.len()..], Lost::CutOff).await?;
    match Frames::new(&frame).next() {
        Some(Err(error)) => Err(Lost::Framing(error).into()),
        _ => Ok(frame),
    }
}

async fn read_exact(
    stream: &mut (impl AsyncRead + Unpin),
    octets: &mut [u8],
    at_end: Lost,
) -> Result<(), Lost> {
    match stream.read_exact(octets).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(at_end),
        Err(error) => Err(error.into()),
    }
}

/// Gathers what has arrived into batches of whole frames.
pub struct BatchReader<R> {
    stream: R,
    buffer: BytesMut,
    /// How the stream ended, once it has.
    ended: Option<io::Result<()>>,
}

impl<R: AsyncRead + Unpin> BatchReader<R> {
    pub fn new(stream: R) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
            ended: None,
        }
    }

    /// Waits for one frame; gives all frames that have arrived by then.
    ///
    /// # Errors
    /// The connection ended, or what follows is no frame; everything before has been given out.
    pub async fn batch(&mut self) -> Result<Bytes, Lost> {
        loop {
            let whole = whole_len(&self.buffer)?;
            if whole > 0 {
                return Ok(self.buffer.split_to(whole).freeze());
            }
            match self.ended.take() {
                Some(Ok(())) if self.buffer.is_empty() => return Err(Lost::Closed),
                Some(Ok(())) => return Err(Lost::CutOff),
                Some(Err(error)) => return Err(error.into()),
                None => self.fill().await,
            }
        }
    }

    /// Waits for octets, then takes all there are.
    async fn fill(&mut self) {
        let mut any = false;
        poll_fn(|context| {
            while self.buffer.len() < BATCH_MAX {
                self.buffer.reserve(READ_MIN);
                let read = pin!(self.stream.read_buf(&mut self.buffer)).poll(context);
                match read {
                    Poll::Ready(Ok(0)) => self.ended = Some(Ok(())),
                    Poll::Ready(Ok(_)) => {
                        any = true;
                        continue;
                    }
                    Poll::Ready(Err(error)) => self.ended = Some(Err(error)),
                    Poll::Pending if any => {}
                    Poll::Pending => return Poll::Pending,
                }
                break;
            }
            Poll::Ready(())
        })
        .await;
    }
}

/// Octets of the whole frames at the start of `buffer`.
fn whole_len(buffer: &[u8]) -> Result<usize, Lost> {
    let mut frames = Frames::new(buffer);
    loop {
        let done = buffer.len() - frames.rest().len();
        match frames.next() {
            Some(Ok(_)) => {}
            Some(Err(error)) if done == 0 => return Err(error.into()),
            Some(Err(_)) | None => return Ok(done),
        }
    }
}
