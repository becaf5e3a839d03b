//! A body that goes on as long as lines are put into it.

use axum::body::Body;
use hyper::body::{Body as HttpBody, Bytes, Frame};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

use crate::control::reconfigured::ReconfigureLine;

/// Lines that may wait for a reader before the writer does.
const WAITING_MAX: usize = 256;

/// Where lines are put in.
pub(super) struct Lines(mpsc::Sender<Bytes>);

struct Read(mpsc::Receiver<Bytes>);

impl HttpBody for Read {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let line = self.0.poll_recv(cx);
        line.map(|line| line.map(|line| Ok(Frame::data(line))))
    }
}

/// A body, and where its lines are put in.
pub(super) fn channel() -> (Lines, Body) {
    let (writer, reader) = mpsc::channel(WAITING_MAX);
    (Lines(writer), Body::new(Read(reader)))
}

/// The reader has gone away.
pub(super) struct Closed;

impl Lines {
    /// Puts in a line, when the reader has room for it.
    pub(super) async fn put(&self, line: &ReconfigureLine) -> Result<(), Closed> {
        let mut octets = serde_json::to_vec(line).map_err(|_| Closed)?;
        octets.push(b'\n');
        self.0.send(octets.into()).await.map_err(|_| Closed)
    }

    /// Ready when the reader has gone away.
    pub(super) async fn closed(&self) {
        self.0.closed().await;
    }
}
