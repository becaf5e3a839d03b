//! The journal's thread: gathers what the workers submitted, writes it, tells them.
//!
//! A failed write may have left anything in its segment, so the segment is given up and the same
//! records go into a new one, which says at which LSN it takes over.

use crate::chunk::LaneOut;
use crate::file::{AlignedBuf, File, Storage, write_whole};
use crate::group::{Group, Lsn, Part};
use crate::pace::Pace;
use crate::segment::{
    BATCH_HEADER_LEN, BATCH_LEN_MAX, BLOCK_LEN, BatchHeader, FileHeader, FileKind, padded,
};
use crate::shared::{Health, SegmentInfo, Shared, Wake};
use crate::spare::{Prepared, Spares};
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

/// Pause between two attempts to write while the disk fails.
const RETRY: Duration = Duration::from_secs(1);
/// Longest sleep without work; being rung ends it.
const IDLE: Duration = Duration::from_secs(1);

fn has_work(lanes: &[LaneOut]) -> bool {
    lanes.iter().any(|lane| !lane.full.is_empty())
}

pub(crate) fn segment_name(number: u64) -> String {
    format!("segment-{number:016x}.log")
}

/// A number that neither an earlier file has nor a client can guess.
pub(crate) fn fresh_salt() -> u64 {
    RandomState::new().build_hasher().finish()
}

struct Open {
    file: Box<dyn File>,
    name: String,
    len: u64,
    at: u64,
    salt: u64,
    committed_any: bool,
}

pub(crate) struct Writer {
    shared: Arc<Shared>,
    storage: Arc<dyn Storage>,
    spares: Arc<Spares>,
    lanes: Vec<LaneOut>,
    wakers: Vec<Arc<dyn Wake>>,
    group: Group,
    buf: AlignedBuf,
    segment: Option<Open>,
    /// The lane that is looked at first: it rotates, so that none waits behind a busy one.
    first_lane: usize,
}

impl Writer {
    pub fn new(
        shared: Arc<Shared>,
        storage: Arc<dyn Storage>,
        spares: Arc<Spares>,
        lanes: Vec<LaneOut>,
        wakers: Vec<Arc<dyn Wake>>,
        next: Lsn,
    ) -> Self {
        Self {
            group: Group::new(lanes.len(), next),
            shared,
            storage,
            spares,
            lanes,
            wakers,
            buf: AlignedBuf::zeroed(BATCH_LEN_MAX + BLOCK_LEN),
            segment: None,
            first_lane: 0,
        }
    }

    /// Until asked to stop and nothing submitted is left, or the disk fails while stopping.
    pub fn run(mut self) {
        self.shared.bell.set_thread(std::thread::current());
        // Where the kernel does not know it, pauses are 50 µs longer.
        let _ = rustix::thread::set_current_timer_slack(Some(NonZeroU64::MIN));
        let mut pace = Pace::default();
        loop {
            let stopping = self.shared.stopping();
            self.gather();
            if !self.group.is_empty() {
                let left = pace.left(Instant::now());
                if !left.is_zero() {
                    std::thread::sleep(left);
                    self.gather();
                }
                let began = Instant::now();
                if !self.commit() {
                    return;
                }
                pace.committed(began, has_work(&self.lanes));
            } else if stopping {
                return;
            } else {
                let (shared, lanes) = (&self.shared, &self.lanes);
                shared
                    .bell
                    .sleep(IDLE, || shared.stopping() || has_work(lanes));
            }
        }
    }

    /// Makes the first segment, so that a start on a disk that cannot be written fails at once.
    pub fn open_first(&mut self) -> io::Result<()> {
        let prepared = self.spares.take_first()?;
        self.begin(prepared)
    }

    fn gather(&mut self) {
        let lanes = self.lanes.len();
        for turn in 0..lanes {
            let worker = (self.first_lane + turn) % lanes;
            let lane = &mut self.lanes[worker];
            while let Ok(chunk) = lane.full.peek() {
                let len = chunk.bytes.len();
                if !self.group.fits(len) {
                    break;
                }
                let at = BATCH_HEADER_LEN + self.group.len();
                self.buf.bytes_mut()[at..at + len].copy_from_slice(&chunk.bytes);
                self.group.add(&Part {
                    worker,
                    ticket: chunk.ticket,
                    records: chunk.records,
                    len,
                    control: chunk.control,
                    shards: chunk.shards,
                });
                if let Ok(chunk) = lane.full.pop() {
                    lane.recycle(chunk);
                }
            }
        }
        self.first_lane = (self.first_lane + 1) % lanes.max(1);
    }

    /// Writes the batch until that succeeds; false if it fails while stopping.
    fn commit(&mut self) -> bool {
        self.group.seal();
        let began = Instant::now();
        while let Err(error) = self.write_batch() {
            self.give_up_segment();
            self.fail(&error);
            let retry_at = Instant::now() + RETRY;
            while let Some(left) = retry_at.checked_duration_since(Instant::now()) {
                if self.shared.stopping() {
                    return false;
                }
                std::thread::park_timeout(left.max(Duration::from_millis(1)));
            }
        }
        if self.shared.failing.swap(false, Ordering::Relaxed) {
            self.shared.slow().health = Health::Ok;
            tracing::info!("the journal can write again; held replies leave now");
        }
        let (records, len) = (self.group.records(), self.group.len());
        self.shared.count_commit(records, len, began.elapsed());
        let Self {
            group,
            shared,
            wakers,
            ..
        } = self;
        let next_lsn = group.first_lsn() + u64::from(records);
        shared.next_lsn.store(next_lsn, Ordering::Release);
        group.committed(|worker, ticket| {
            shared.committed[worker].store(ticket, Ordering::Release);
            wakers[worker].wake();
        });
        true
    }

    fn write_batch(&mut self) -> io::Result<()> {
        let len = padded(BATCH_HEADER_LEN + self.group.len());
        if self
            .segment
            .as_ref()
            .is_none_or(|open| open.at + len as u64 > open.len)
        {
            self.open_segment()?;
        }
        let Some(open) = &mut self.segment else {
            return Err(io::Error::other("no segment is open"));
        };
        let header = BatchHeader {
            salt: open.salt,
            first_lsn: self.group.first_lsn(),
            records: self.group.records(),
            payload_len: self.group.len() as u32,
            footer: false,
            control: self.group.control(),
            shards: self.group.shards(),
        };
        let room = (open.len - open.at - len as u64).min(BLOCK_LEN as u64) as usize;
        let buf = self.buf.bytes_mut();
        buf[BATCH_HEADER_LEN + self.group.len()..len + BLOCK_LEN].fill(0);
        header.encode(buf);
        write_whole(&*open.file, &buf[..len + room], open.at)?;
        open.at += len as u64;
        open.committed_any = true;
        self.spares.set_used(open.at, open.len);
        Ok(())
    }

    fn open_segment(&mut self) -> io::Result<()> {
        self.segment = None;
        let prepared = self.spares.take()?;
        self.begin(prepared)
    }

    /// Makes the prepared segment the one that is written.
    fn begin(&mut self, prepared: Prepared) -> io::Result<()> {
        let Prepared {
            number,
            name,
            file,
            len,
        } = prepared;
        let header = FileHeader {
            kind: FileKind::Segment,
            number,
            lsn: self.group.first_lsn(),
            salt: fresh_salt(),
        };
        let mut first = AlignedBuf::zeroed(BLOCK_LEN);
        header.encode(first.bytes_mut());
        if let Err(error) = write_whole(&*file, first.bytes(), 0) {
            // Without its header it is nothing; recovery passes over what cannot be removed.
            let _ = self.storage.remove(&name);
            return Err(error);
        }
        self.shared.slow().segments.push(SegmentInfo {
            name: name.clone(),
            first_lsn: header.lsn,
        });
        self.segment = Some(Open {
            file,
            name,
            len,
            at: BLOCK_LEN as u64,
            salt: header.salt,
            committed_any: false,
        });
        Ok(())
    }

    /// Never writes to the segment again; one that holds nothing committed is removed, so that
    /// attempts on a failing disk do not fill it.
    fn give_up_segment(&mut self) {
        let Some(open) = self.segment.take() else {
            return;
        };
        if !open.committed_any && self.storage.remove(&open.name).is_ok() {
            self.shared
                .slow()
                .segments
                .retain(|segment| segment.name != open.name);
        }
    }

    fn fail(&self, error: &io::Error) {
        let remedy = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "free space on its disk",
            io::ErrorKind::ReadOnlyFilesystem => "remount its file system for writing",
            _ => "check its disk and the kernel's log",
        };
        let path = self.storage.path().display();
        let text = format!("cannot write the journal in {path}: {error}; {remedy}");
        let mut slow = self.shared.slow();
        let since = match &slow.health {
            Health::Failing { since, .. } => *since,
            Health::Ok => {
                tracing::error!(
                    error = text,
                    "no change is acknowledged until the journal can write"
                );
                SystemTime::now()
            }
        };
        slow.health = Health::Failing { since, error: text };
        drop(slow);
        self.shared.failing.store(true, Ordering::Relaxed);
    }
}
