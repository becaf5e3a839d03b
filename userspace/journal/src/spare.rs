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
/// Pause after each [`FILL_LEN`]: at most 4 MB/s, so that commits find the disk free.
const FILL_PAUSE: Duration = Duration::from_millis(32);
/// The same while segments fill faster than that: 32 MB/s.
const URGENT_FILL_PAUSE: Duration = Duration::from_millis(4);
/// Octets of one write while somebody waits for the segment.
const HASTY_FILL_LEN: usize = 4 << 20;
/// Length of a segment made while a commit waits: a few milliseconds of writing.
const STARTER_LEN: u64 = 4 << 20;
const RETRY: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_secs(60);

/// How fast a file is filled.
#[derive(Clone, Copy)]
enum Pace<'s> {
    /// Somebody waits for it.
    AtOnce,
    /// Beside the commits, until asked to stop.
    Gently(&'s AtomicBool),
}

pub(crate) struct Spares {
    storage: Arc<dyn Storage>,
    segment_len: u64,
    ready: Mutex<Vec<String>>,
    next: AtomicU64,
    /// A segment was needed before the spare was ready.
    urgent: AtomicBool,
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
            urgent: AtomicBool::new(false),
            bell: Bell::default(),
        }
    }

    /// A file to write over; a short one is made at once if no spare is ready.
    pub fn take(&self) -> io::Result<String> {
        let spare = self.ready().pop();
        self.bell.ring();
        match spare {
            Some(name) => Ok(name),
            None => {
                self.urgent.store(true, Ordering::Relaxed);
                self.make(STARTER_LEN.min(self.segment_len), Pace::AtOnce)
            }
        }
    }

    /// As [`take`](Self::take), before anything is served: a whole one is made if none is ready, at
    /// the disk's full speed.
    pub fn take_first(&self) -> io::Result<String> {
        let spare = self.ready().pop();
        spare.map_or_else(|| self.make(self.segment_len, Pace::AtOnce), Ok)
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
            match self.make(self.segment_len, Pace::Gently(stop)) {
                Ok(name) => {
                    self.ready().push(name);
                    self.urgent.store(false, Ordering::Relaxed);
                }
                Err(_) if stop.load(Ordering::Acquire) => return,
                Err(error) => {
                    tracing::warn!(%error, "cannot prepare a spare journal segment; trying again");
                    std::thread::park_timeout(RETRY);
                }
            }
        }
    }

    fn make(&self, len: u64, pace: Pace<'_>) -> io::Result<String> {
        let temporary = self.name("tmp");
        let name = temporary.replace(".tmp", ".free");
        let made = self.fill(&temporary, len, pace);
        if let Err(error) = made.and_then(|()| self.storage.rename(&temporary, &name)) {
            // What cannot be removed now is removed at the next start.
            let _ = self.storage.remove(&temporary);
            return Err(error);
        }
        Ok(name)
    }

    fn fill(&self, name: &str, len: u64, pace: Pace<'_>) -> io::Result<()> {
        let file = self.storage.open(name, OpenFor::Create)?;
        let at_once = match pace {
            Pace::AtOnce => HASTY_FILL_LEN,
            Pace::Gently(_) => FILL_LEN,
        };
        let zeros = AlignedBuf::zeroed(at_once.min(len as usize));
        let mut at = 0;
        while at < len {
            let part = (len - at).min(at_once as u64) as usize;
            write_whole(&*file, &zeros.bytes()[..part], at)?;
            at += part as u64;
            match pace {
                Pace::AtOnce => {}
                Pace::Gently(stop) if stop.load(Ordering::Acquire) => {
                    return Err(io::ErrorKind::Interrupted.into());
                }
                Pace::Gently(_) if self.urgent.load(Ordering::Relaxed) => {
                    std::thread::sleep(URGENT_FILL_PAUSE);
                }
                Pace::Gently(_) => std::thread::sleep(FILL_PAUSE),
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
