//! Spare segments: files whose blocks are all written once, so that a commit changes no metadata
//! of the file system. Made in the background, or recycled from segments no longer needed.

use crate::file::{AlignedBuf, OpenFor, Storage, write_whole};
use crate::shared::Bell;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Spares worth keeping when segments are recycled; more only hold disk space.
const SPARES_MAX: usize = 2;
/// Octets of one write in the background: a commit waits behind it for a fraction of a millisecond.
const FILL_LEN: usize = 128 << 10;
/// Pause after each [`FILL_LEN`]: at most 32 MB/s, so that commits find the disk free. A journal
/// that fills a segment faster recycles them.
const FILL_PAUSE: Duration = Duration::from_millis(4);
/// Octets of one write while somebody waits for the segment.
const HASTY_FILL_LEN: usize = 4 << 20;
/// Length of a segment made while a commit waits: a few milliseconds of writing.
const STARTER_LEN: u64 = 4 << 20;
const RETRY: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_secs(60);

pub(crate) struct Spares {
    storage: Arc<dyn Storage>,
    segment_len: u64,
    ready: Mutex<Vec<String>>,
    next: AtomicU64,
    pub bell: Bell,
}

impl Spares {
    /// Takes over the spares already on disk; `next` is above every number in their names.
    pub fn new(storage: Arc<dyn Storage>, segment_len: u64, ready: Vec<String>, next: u64) -> Self {
        Self {
            storage,
            segment_len,
            ready: Mutex::new(ready),
            next: AtomicU64::new(next),
            bell: Bell::default(),
        }
    }

    /// A file to write over; a short one is made at once if no spare is ready.
    pub fn take(&self) -> io::Result<String> {
        let spare = self.ready().pop();
        self.bell.ring();
        match spare {
            Some(name) => Ok(name),
            None => self.make(STARTER_LEN.min(self.segment_len), Duration::ZERO),
        }
    }

    /// As [`take`](Self::take), before anything is served: a whole one is made if none is ready, at
    /// the disk's full speed.
    pub fn take_first(&self) -> io::Result<String> {
        let spare = self.ready().pop();
        spare.map_or_else(|| self.make(self.segment_len, Duration::ZERO), Ok)
    }

    /// Keeps a segment that is no longer needed as a spare, or removes it.
    pub fn recycle(&self, segment: &str) -> io::Result<()> {
        let len = self.storage.open(segment, OpenFor::Read)?.len()?;
        if len != self.segment_len || self.ready().len() >= SPARES_MAX {
            return self.storage.remove(segment);
        }
        let name = self.name("free");
        self.storage.rename(segment, &name)?;
        self.ready().push(name);
        Ok(())
    }

    /// The background thread: keeps one spare ready until `stop`.
    pub fn keep_ready(&self, stop: &AtomicBool) {
        while !stop.load(Ordering::Acquire) {
            if !self.ready().is_empty() {
                self.bell.sleep(IDLE, || {
                    stop.load(Ordering::Acquire) || self.ready().is_empty()
                });
                continue;
            }
            match self.make(self.segment_len, FILL_PAUSE) {
                Ok(name) => self.ready().push(name),
                Err(error) => {
                    tracing::warn!(%error, "cannot prepare a spare journal segment; trying again");
                    std::thread::park_timeout(RETRY);
                }
            }
        }
    }

    fn make(&self, len: u64, pause: Duration) -> io::Result<String> {
        let temporary = self.name("tmp");
        let name = temporary.replace(".tmp", ".free");
        let made = self.fill(&temporary, len, pause);
        if let Err(error) = made.and_then(|()| self.storage.rename(&temporary, &name)) {
            // What cannot be removed now is removed at the next start.
            let _ = self.storage.remove(&temporary);
            return Err(error);
        }
        Ok(name)
    }

    fn fill(&self, name: &str, len: u64, pause: Duration) -> io::Result<()> {
        let file = self.storage.open(name, OpenFor::Create)?;
        let at_once = if pause.is_zero() {
            HASTY_FILL_LEN
        } else {
            FILL_LEN
        };
        let zeros = AlignedBuf::zeroed(at_once.min(len as usize));
        let mut at = 0;
        while at < len {
            let part = (len - at).min(at_once as u64) as usize;
            write_whole(&*file, &zeros.bytes()[..part], at)?;
            at += part as u64;
            if !pause.is_zero() {
                std::thread::sleep(pause);
            }
        }
        file.sync()
    }

    fn name(&self, extension: &str) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        format!("spare-{number:016x}.{extension}")
    }

    fn ready(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
