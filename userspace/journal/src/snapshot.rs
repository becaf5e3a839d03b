//! Snapshots while serving: every binding, gathered slice by slice from the workers.
//!
//! A snapshot named after LSN S holds the effects of all records below S, and of some at or above
//! it; replaying from S makes it exact, because a later change to a lease replaces an earlier one.
//! It counts once it is renamed from its temporary name, which waits until every record whose
//! effect it may hold is committed: without that, a crash would leave the removal of a binding in
//! the snapshot that no record tells of. The one before it stays, with the
//! segments it needs, so that a damaged snapshot costs nothing.

use crate::chunk::{Chunk, FeedOut};
use crate::file::{AlignedBuf, File, OpenFor, Storage, write_whole};
use crate::segment::{
    BATCH_HEADER_LEN, BATCH_LEN_MAX, BLOCK_LEN, BatchHeader, FileHeader, FileKind, ShardSet,
};
use crate::shared::Shared;
use crate::spare::Spares;
use crate::writer::fresh_salt;
use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Most octets written a second: leaves the disk to the commits, 10 M bindings take 6 s.
const BYTES_PER_SECOND: u64 = 128 << 20;
const FEED_PAUSE: Duration = Duration::from_millis(1);
const TEMPORARY: &str = "snapshot.tmp";
/// Snapshots that stay on disk.
const KEPT: usize = 2;

pub(crate) fn snapshot_name(lsn: u64) -> String {
    format!("snapshot-{lsn:016x}.snap")
}

/// What a batch of a snapshot is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holds {
    Records { control: bool },
    Footer,
}

struct Output {
    file: Box<dyn File>,
    buf: AlignedBuf,
    at: u64,
    records: u64,
    salt: u64,
}

/// Writes the snapshot of `lsn` from `feeds` and removes what it makes needless; its length.
pub(crate) fn write(
    shared: &Shared,
    storage: &dyn Storage,
    spares: &Spares,
    feeds: &mut [FeedOut],
    lsn: u64,
) -> io::Result<u64> {
    let written = write_temporary(shared, storage, feeds, lsn)
        .and_then(|len| wait_for_commits(shared, feeds).map(|()| len));
    let len = written.inspect_err(|_| {
        // What cannot be removed now is removed at the next start.
        let _ = storage.remove(TEMPORARY);
    })?;
    let name = snapshot_name(lsn);
    storage.rename(TEMPORARY, &name)?;
    storage.sync_dir()?;
    {
        let mut slow = shared.slow();
        slow.snapshots.retain(|(known, _)| *known != lsn);
        slow.snapshots.push((lsn, name));
    }
    trim(shared, storage, spares)?;
    Ok(len)
}

fn write_temporary(
    shared: &Shared,
    storage: &dyn Storage,
    feeds: &mut [FeedOut],
    lsn: u64,
) -> io::Result<u64> {
    let mut output = Output {
        file: storage.open(TEMPORARY, OpenFor::Create)?,
        buf: AlignedBuf::zeroed(BATCH_LEN_MAX),
        at: 0,
        records: 0,
        salt: fresh_salt(),
    };
    output.begin(lsn)?;
    let began = Instant::now();
    loop {
        if shared.stopping() || feeds.iter().any(|feed| feed.state.is_abandoned()) {
            return Err(abandoned());
        }
        // Asked before the rings are looked at: what was pushed before finishing is then in them.
        let finished = feeds.iter().all(|feed| feed.state.is_finished());
        let mut idle = true;
        for feed in feeds.iter_mut() {
            if let Ok(chunk) = feed.lane.full.pop() {
                output.add(&chunk)?;
                feed.lane.recycle(chunk);
                idle = false;
            }
        }
        if idle && finished {
            break;
        }
        let due = Duration::from_micros(output.at * 1_000_000 / BYTES_PER_SECOND);
        let pause = due.saturating_sub(began.elapsed());
        if idle || !pause.is_zero() {
            std::thread::sleep(pause.max(FEED_PAUSE));
        }
    }
    output.end(lsn)?;
    output.file.sync()?;
    Ok(output.at)
}

/// Waits until every worker's records up to the end of its walk are committed.
fn wait_for_commits(shared: &Shared, feeds: &[FeedOut]) -> io::Result<()> {
    for (committed, feed) in shared.committed.iter().zip(feeds) {
        while committed.load(Ordering::Acquire) < feed.state.ticket() {
            if shared.stopping() {
                return Err(abandoned());
            }
            std::thread::sleep(FEED_PAUSE);
        }
    }
    Ok(())
}

fn abandoned() -> io::Error {
    io::Error::other("the snapshot was abandoned")
}

impl Output {
    fn begin(&mut self, lsn: u64) -> io::Result<()> {
        let header = FileHeader {
            kind: FileKind::Snapshot,
            number: 0,
            lsn,
            salt: self.salt,
        };
        header.encode(self.buf.bytes_mut());
        self.put(BLOCK_LEN)
    }

    fn add(&mut self, chunk: &Chunk) -> io::Result<()> {
        self.put_batch(
            &chunk.bytes,
            chunk.records,
            chunk.shards,
            Holds::Records {
                control: chunk.control,
            },
        )
    }

    fn end(&mut self, lsn: u64) -> io::Result<()> {
        let mut footer = [0; 16];
        footer[..8].copy_from_slice(&lsn.to_le_bytes());
        footer[8..].copy_from_slice(&self.records.to_le_bytes());
        self.put_batch(&footer, 0, ShardSet::default(), Holds::Footer)
    }

    fn put_batch(
        &mut self,
        payload: &[u8],
        records: u32,
        shards: ShardSet,
        holds: Holds,
    ) -> io::Result<()> {
        let header = BatchHeader {
            salt: self.salt,
            first_lsn: self.records,
            records,
            payload_len: payload.len() as u32,
            footer: holds == Holds::Footer,
            control: holds == Holds::Records { control: true },
            shards,
        };
        let (len, end) = (header.batch_len(), BATCH_HEADER_LEN + payload.len());
        let buf = self.buf.bytes_mut();
        buf[BATCH_HEADER_LEN..end].copy_from_slice(payload);
        buf[end..len].fill(0);
        header.encode(buf);
        self.records += u64::from(records);
        self.put(len)
    }

    fn put(&mut self, len: usize) -> io::Result<()> {
        write_whole(&*self.file, &self.buf.bytes()[..len], self.at)?;
        self.at += len as u64;
        Ok(())
    }
}

/// Removes the snapshots before the last two, then, oldest first, the segments below both.
fn trim(shared: &Shared, storage: &dyn Storage, spares: &Spares) -> io::Result<()> {
    let (old, keep_lsn) = {
        let mut slow = shared.slow();
        let kept = slow.snapshots.len().saturating_sub(KEPT);
        let old: Vec<_> = slow.snapshots.drain(..kept).collect();
        let keep_lsn = match slow.snapshots.as_slice() {
            [(lsn, _), _, ..] => *lsn,
            _ => 0,
        };
        (old, keep_lsn)
    };
    for (_, name) in old {
        storage.remove(&name)?;
    }
    loop {
        let obsolete = {
            let mut slow = shared.slow();
            match slow.segments.as_slice() {
                [_, next, ..] if next.first_lsn <= keep_lsn => slow.segments.remove(0),
                _ => break,
            }
        };
        spares.recycle(&obsolete.name)?;
    }
    storage.sync_dir()
}
