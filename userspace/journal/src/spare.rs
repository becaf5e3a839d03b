//! Spare segments: files whose blocks are all written once, so that a commit changes no metadata
//! of the file system. Made in the background, or recycled from segments no longer needed.
//!
//! The next segment is *prepared* ahead of need: open and linked under its name, its first two
//! blocks blank. To begin it costs one write, no creation, renaming or directory's flush.

use crate::file::{AlignedBuf, File, OpenFor, Storage, write_whole};
use crate::segment::{BATCH_LEN_MAX, BLOCK_LEN};
use crate::shared::Bell;
use crate::writer::segment_name;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Spares worth keeping when segments are recycled; more only hold disk space.
const SPARES_MAX: usize = 8;
/// Octets of one write in the background: a commit waits behind it for a fraction of a millisecond.
const FILL_LEN: usize = 128 << 10;
/// Pause after each [`FILL_LEN`]: at most 4 MB/s, so that commits find the disk free.
const FILL_PAUSE: Duration = Duration::from_millis(32);
/// The same while the filling is behind the log: at most 128 MB/s.
const BEHIND_PAUSE: Duration = Duration::from_millis(1);
/// Octets of one write while somebody waits for the segment.
const HASTY_FILL_LEN: usize = 1 << 20;
/// Length of a segment made while a commit waits: a few milliseconds of writing.
const STARTER_LEN: u64 = 4 << 20;
/// The shortest file that is used: its header and the longest batch.
const USABLE_LEN: u64 = (BLOCK_LEN + BATCH_LEN_MAX) as u64;
/// [`Spares::used`] of a segment that is full.
const FULL: u64 = 1 << 16;
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

/// The next segment, which only lacks its header.
pub(crate) struct Prepared {
    pub number: u64,
    pub name: String,
    pub file: Box<dyn File>,
    pub len: u64,
}

struct Ready {
    /// Number of the segment prepared next: they begin in the order of their numbers.
    next_number: u64,
    prepared: Option<Prepared>,
    /// Names of files to prepare segments from.
    free: Vec<String>,
}

pub(crate) struct Spares {
    storage: Arc<dyn Storage>,
    segment_len: u64,
    ready: Mutex<Ready>,
    /// Number in the next spare's name.
    next_spare: AtomicU64,
    /// How much of the segment being written is used, in parts of [`FULL`].
    used: AtomicU64,
    pub bell: Bell,
}

impl Spares {
    /// Takes over the spares already on disk; `next_spare` and `next_number` are above every number
    /// in the names of spares and segments.
    pub fn new(
        storage: Arc<dyn Storage>,
        segment_len: u64,
        free: Vec<String>,
        next_spare: u64,
        next_number: u64,
    ) -> Self {
        Self {
            storage,
            segment_len,
            ready: Mutex::new(Ready {
                next_number,
                prepared: None,
                free,
            }),
            next_spare: AtomicU64::new(next_spare),
            used: AtomicU64::new(0),
            bell: Bell::default(),
        }
    }

    /// The next segment; a short one is made at once if none is prepared.
    pub fn take(&self) -> io::Result<Prepared> {
        let prepared = self.take_or_make(STARTER_LEN.min(self.segment_len));
        self.bell.ring();
        prepared
    }

    /// As [`take`](Self::take), before anything is served: a whole one is made if none is ready, at
    /// the disk's full speed.
    pub fn take_first(&self) -> io::Result<Prepared> {
        self.take_or_make(self.segment_len)
    }

    fn take_or_make(&self, len: u64) -> io::Result<Prepared> {
        // The lock is free again while the file is made.
        let ready = self.take_ready(&mut self.ready())?;
        if let Some(prepared) = ready {
            return Ok(prepared);
        }
        let name = self.make(len, Pace::AtOnce)?;
        let mut ready = self.ready();
        ready.free.push(name);
        let prepared = self.take_ready(&mut ready)?;
        prepared.ok_or_else(|| io::Error::other("the spare made last is gone"))
    }

    fn take_ready(&self, ready: &mut Ready) -> io::Result<Option<Prepared>> {
        self.prepare(ready)?;
        Ok(ready.prepared.take())
    }

    /// Makes a free file the next segment unless one is prepared or there is none. A file that
    /// cannot be is removed: it holds nothing.
    fn prepare(&self, ready: &mut Ready) -> io::Result<()> {
        while ready.prepared.is_none()
            && let Some(spare) = ready.free.pop()
        {
            let number = ready.next_number;
            ready.next_number += 1;
            let name = segment_name(number);
            match self.link(&spare, &name) {
                Ok((file, len)) if len >= USABLE_LEN => {
                    ready.prepared = Some(Prepared {
                        number,
                        name,
                        file,
                        len,
                    });
                }
                Ok(_) => self.storage.remove(&name)?,
                Err(error) => {
                    // What cannot be removed is blank, or a spare for the next start.
                    let _ = self
                        .storage
                        .remove(&spare)
                        .or_else(|_| self.storage.remove(&name));
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    fn link(&self, spare: &str, name: &str) -> io::Result<(Box<dyn File>, u64)> {
        let file = self.storage.open(spare, OpenFor::Write)?;
        write_whole(&*file, AlignedBuf::zeroed(2 * BLOCK_LEN).bytes(), 0)?;
        self.storage.rename(spare, name)?;
        self.storage.sync_dir()?;
        let len = file.len()?;
        Ok((file, len))
    }

    /// Says how far the segment being written is used, so that the next is filled in time.
    pub fn set_used(&self, octets: u64, of: u64) {
        self.used
            .store(octets * FULL / of.max(1), Ordering::Relaxed);
    }

    /// Keeps a segment that is no longer needed as a spare, or removes it.
    pub fn recycle(&self, segment: &str) -> io::Result<()> {
        let len = self.storage.open(segment, OpenFor::Read)?.len()?;
        if len != self.segment_len || self.ready().free.len() >= SPARES_MAX {
            return self.storage.remove(segment);
        }
        let name = self.name("free");
        self.storage.rename(segment, &name)?;
        self.ready().free.push(name);
        self.bell.ring();
        Ok(())
    }

    /// The background thread: keeps one segment prepared until `stop`.
    pub fn keep_ready(&self, stop: &AtomicBool) {
        while !stop.load(Ordering::Acquire) {
            match self.prepare_one(stop) {
                Ok(()) => self.bell.sleep(IDLE, || {
                    stop.load(Ordering::Acquire) || self.ready().prepared.is_none()
                }),
                Err(_) if stop.load(Ordering::Acquire) => return,
                Err(error) => {
                    tracing::warn!(%error, "cannot prepare a journal segment; trying again");
                    std::thread::park_timeout(RETRY);
                }
            }
        }
    }

    fn prepare_one(&self, stop: &AtomicBool) -> io::Result<()> {
        let none = {
            let mut ready = self.ready();
            self.prepare(&mut ready)?;
            ready.prepared.is_none()
        };
        if none {
            let name = self.make(self.segment_len, Pace::Gently(stop))?;
            let mut ready = self.ready();
            ready.free.push(name);
            self.prepare(&mut ready)?;
        }
        Ok(())
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
                Pace::Gently(_) => std::thread::sleep(self.pause(at, len)),
            }
        }
        file.sync()
    }

    /// Pause of a file filled up to `at`: it is to be ready when the one being written has a
    /// quarter left.
    fn pause(&self, at: u64, len: u64) -> Duration {
        let due = len / 4 + len / FULL * self.used.load(Ordering::Relaxed);
        if at < due { BEHIND_PAUSE } else { FILL_PAUSE }
    }

    fn name(&self, extension: &str) -> String {
        let number = self.next_spare.fetch_add(1, Ordering::Relaxed);
        format!("spare-{number:016x}.{extension}")
    }

    fn ready(&self) -> MutexGuard<'_, Ready> {
        // Every step under the lock leaves it whole: a panic does too.
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
