//! Frames into a stream: many in one write, stamped when they are written.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lease::AbsTime;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;
use wire::failover::stamp;

use super::error::Lost;

/// Octets gathered into one write, about.
const WRITE_MAX: usize = 64 * 1024;

/// Writes what is queued until nobody can queue any more, then closes the stream. What is written
/// is taken off `queued`.
pub async fn write_all(
    mut stream: impl AsyncWrite + Unpin,
    mut frames: UnboundedReceiver<Vec<u8>>,
    queued: Arc<AtomicUsize>,
    stall: Duration,
    now: fn() -> AbsTime,
) -> Result<(), Lost> {
    while let Some(mut buffer) = frames.recv().await {
        while buffer.len() < WRITE_MAX {
            let Ok(next) = frames.try_recv() else { break };
            buffer.extend(next);
        }
        stamp(&mut buffer, now().0);
        let write = async {
            stream.write_all(&buffer).await?;
            stream.flush().await
        };
        timeout(stall, write)
            .await
            .map_err(|_| Lost::Stalled(stall))??;
        queued.fetch_sub(buffer.len(), Ordering::Relaxed);
    }
    timeout(stall, stream.shutdown())
        .await
        .map_err(|_| Lost::Stalled(stall))??;
    Ok(())
}
