//! What the journal's threads, the workers and the control thread share: atomics that are read
//! without a lock, and the doorbell.

use crate::group::Lsn;
use crossbeam::utils::CachePadded;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::{Duration, SystemTime};

/// Commit latencies are counted in powers of two of a microsecond; the last bucket has the rest.
pub const LATENCY_BUCKETS: usize = 24;

/// How a worker is told that something it waits for is committed.
pub trait Wake: Send + Sync {
    /// Wakes the worker if it sleeps; cheap if it does not.
    fn wake(&self);
}

/// Whether the journal can write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// The last write succeeded.
    Ok,
    /// Nothing is acknowledged until a write succeeds; it is tried again every second.
    Failing {
        /// When the first of the failed writes was.
        since: SystemTime,
        /// What failed, where, and what to do.
        error: String,
    },
}

/// The latest snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SnapshotState {
    /// One is being written.
    pub running: bool,
    /// When the last one was completed by this process.
    pub completed: Option<SystemTime>,
    /// Size of the last one, octets.
    pub len: u64,
    /// Why the last attempt failed, if it did.
    pub error: Option<String>,
}

/// Counters since the start.
#[derive(Clone, Debug)]
pub struct Stats {
    /// LSN of the last committed record.
    pub committed: Lsn,
    /// Records committed.
    pub records: u64,
    /// Octets of records committed.
    pub bytes: u64,
    /// Writes that committed them.
    pub commits: u64,
    /// Commits whose write took less than 2^i microseconds (and not less than half of it).
    pub latency_us: [u64; LATENCY_BUCKETS],
    /// Segments on disk.
    pub segments: usize,
    /// The latest snapshot.
    pub snapshot: SnapshotState,
}

/// A segment on disk.
#[derive(Clone, Debug)]
pub(crate) struct SegmentInfo {
    pub name: String,
    pub first_lsn: u64,
}

/// What changes rarely and is never touched by a worker.
#[derive(Debug)]
pub(crate) struct Slow {
    pub health: Health,
    /// In ascending order; the last is being written.
    pub segments: Vec<SegmentInfo>,
    /// (LSN, name) of snapshots on disk, ascending.
    pub snapshots: Vec<(u64, String)>,
    pub snapshot: SnapshotState,
    pub snapshot_failed_at: Option<SystemTime>,
}

/// Wakes the journal's thread, at the cost of a fence if it is awake.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    sleeping: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Bell {
    pub fn set_thread(&self, thread: Thread) {
        // A second call would name the same thread.
        let _ = self.thread.set(thread);
    }

    /// Called after something was put where the thread looks.
    pub fn ring(&self) {
        // Pairs with the fence in `sleep`: either this sees the flag, or the sleeper sees the work.
        fence(Ordering::SeqCst);
        if self.sleeping.load(Ordering::Relaxed)
            && self.sleeping.swap(false, Ordering::Relaxed)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    /// Sleeps until rung, unless `has_work`; may return early.
    pub fn sleep(&self, at_most: Duration, has_work: impl FnOnce() -> bool) {
        self.sleeping.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if !has_work() {
            std::thread::park_timeout(at_most);
        }
        self.sleeping.store(false, Ordering::Relaxed);
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Shared {
    pub bell: Bell,
    /// By worker.
    pub committed: Box<[CachePadded<AtomicU64>]>,
    pub failing: AtomicBool,
    pub stop: AtomicBool,
    pub next_lsn: AtomicU64,
    pub records: AtomicU64,
    pub bytes: AtomicU64,
    pub commits: AtomicU64,
    /// Octets of records behind the last snapshot.
    pub bytes_since_snapshot: AtomicU64,
    pub latency: [AtomicU64; LATENCY_BUCKETS],
    slow: Mutex<Slow>,
}

impl Shared {
    pub fn new(workers: usize, next_lsn: u64, log_bytes: u64, slow: Slow) -> Self {
        Self {
            bell: Bell::default(),
            committed: (0..workers).map(|_| CachePadded::default()).collect(),
            failing: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            next_lsn: AtomicU64::new(next_lsn),
            records: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            commits: AtomicU64::new(0),
            bytes_since_snapshot: AtomicU64::new(log_bytes),
            latency: Default::default(),
            slow: Mutex::new(slow),
        }
    }

    pub fn slow(&self) -> MutexGuard<'_, Slow> {
        // Every change under the lock is a single assignment or push: a panic leaves it whole.
        self.slow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn stopping(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    pub fn count_commit(&self, records: u32, bytes: usize, took: Duration) {
        let bucket = (u64::BITS - (took.as_micros() as u64).leading_zeros()) as usize;
        self.latency[bucket.min(LATENCY_BUCKETS - 1)].fetch_add(1, Ordering::Relaxed);
        self.records
            .fetch_add(u64::from(records), Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.bytes_since_snapshot
            .fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub fn stats(&self) -> Stats {
        let slow = self.slow();
        Stats {
            committed: Lsn(self.next_lsn.load(Ordering::Acquire) - 1),
            records: self.records.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            commits: self.commits.load(Ordering::Relaxed),
            latency_us: core::array::from_fn(|i| self.latency[i].load(Ordering::Relaxed)),
            segments: slow.segments.len(),
            snapshot: slow.snapshot.clone(),
        }
    }
}
