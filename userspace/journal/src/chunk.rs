//! The way of records from a worker to the journal: chunks of encoded records over a
//! single-producer ring, and the emptied chunks back over a second one, so that nothing is
//! allocated once running.

use crate::control::{self, ControlDelta};
use crate::record::{RECORD_LEN_MAX, encode};
use crate::segment::{PAYLOAD_LEN_MAX, ShardSet};
use crate::shared::Shared;
use lease::BindingDelta;
use rtrb::{Consumer, Producer, RingBuffer};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// Octets that a chunk is meant to hold.
const CHUNK_LEN: usize = 76 << 10;
/// Room that `has_room` promises: 64 of the longest records, more than one message changes.
const ROOM_LEN: usize = 64 * RECORD_LEN_MAX;
/// Octets of records that nobody waits for, from which on they are sent all the same.
const LAZY_LEN_MAX: usize = 16 << 10;
/// Chunks between a worker and the journal: 2.4 MiB, some 30,000 records.
const CHUNKS: usize = 32;
/// Chunks on their way from which on a worker fills one before it sends it: while the disk stalls, a
/// chunk for each turn of its loop would use all of them up in microseconds.
const FILLED_FROM: usize = 4;

/// How many records a worker has appended: a reply may leave when its ticket is committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Encoded records on their way.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub bytes: Vec<u8>,
    pub records: u32,
    /// Ticket of the last record.
    pub ticket: u64,
    /// Whether records are among them that belong to no shard.
    pub control: bool,
    pub shards: ShardSet,
}

/// The worker's end of a lane.
#[derive(Debug)]
pub(crate) struct LaneIn {
    full: Producer<Chunk>,
    empty: Consumer<Chunk>,
    current: Chunk,
    ticket: u64,
    /// Whether the current chunk holds what somebody waits for.
    is_awaited: Cell<bool>,
    /// Whether a chunk went to the journal that it has not been told of.
    is_unannounced: bool,
}

/// The journal's end of a lane.
#[derive(Debug)]
pub(crate) struct LaneOut {
    pub full: Consumer<Chunk>,
    empty: Producer<Chunk>,
}

pub(crate) fn lane() -> (LaneIn, LaneOut) {
    let (full_in, full_out) = RingBuffer::new(CHUNKS);
    let (mut empty_in, empty_out) = RingBuffer::new(CHUNKS);
    let fresh = || Chunk {
        bytes: Vec::with_capacity(CHUNK_LEN + ROOM_LEN),
        ..Chunk::default()
    };
    for _ in 1..CHUNKS {
        empty_in
            .push(fresh())
            .expect("the ring has a slot for every chunk");
    }
    let lane_in = LaneIn {
        full: full_in,
        empty: empty_out,
        current: fresh(),
        ticket: 0,
        is_awaited: Cell::new(false),
        is_unannounced: false,
    };
    let lane_out = LaneOut {
        full: full_out,
        empty: empty_in,
    };
    (lane_in, lane_out)
}

impl LaneIn {
    fn append(&mut self, delta: &BindingDelta<'_>) {
        self.make_room();
        encode(delta, &mut self.current.bytes);
        self.current.shards.insert(delta.shard());
        self.count();
    }

    fn append_control(&mut self, delta: &ControlDelta<'_>) {
        self.make_room();
        control::encode(delta, &mut self.current.bytes);
        self.current.control = true;
        self.count();
    }

    fn make_room(&mut self) {
        if self.current.bytes.len() + RECORD_LEN_MAX > CHUNK_LEN {
            self.flush();
        }
        assert!(
            self.current.bytes.len() + RECORD_LEN_MAX <= PAYLOAD_LEN_MAX,
            "append only while has_room"
        );
    }

    fn count(&mut self) {
        self.ticket += 1;
        self.current.records += 1;
        self.current.ticket = self.ticket;
    }

    fn has_room(&self) -> bool {
        self.current.bytes.len() + ROOM_LEN <= CHUNK_LEN || !self.empty.is_empty()
    }

    /// Sends what is gathered unless the journal is busy and there is room for more, or there is no
    /// chunk to go on with. The commit of what is on its way is when to try again.
    fn flush(&mut self) -> bool {
        let on_their_way = CHUNKS - self.full.slots();
        let has_room = self.current.bytes.len() + ROOM_LEN <= CHUNK_LEN;
        if self.current.records == 0 || on_their_way >= FILLED_FROM && has_room {
            return false;
        }
        let Ok(next) = self.empty.pop() else {
            return false;
        };
        let full = core::mem::replace(&mut self.current, next);
        self.full
            .push(full)
            .expect("the ring has a slot for every chunk");
        self.is_awaited.set(false);
        self.is_unannounced = true;
        true
    }

    /// Whether the journal is to be told that there is work: chunks went there since it was asked
    /// last.
    fn announces(&mut self) -> bool {
        core::mem::take(&mut self.is_unannounced)
    }

    /// Whether what is gathered is to be sent, or was sent to make room and the journal not told of
    /// it: somebody waits for it, or it is much.
    fn is_due(&self) -> bool {
        self.is_unannounced || self.is_awaited.get() || self.current.bytes.len() >= LAZY_LEN_MAX
    }

    /// Somebody waits for all that was appended.
    fn await_all(&self) -> Ticket {
        self.is_awaited.set(!self.is_flushed());
        Ticket(self.ticket)
    }

    fn is_flushed(&self) -> bool {
        self.current.records == 0
    }
}

impl LaneOut {
    /// Gives an emptied chunk back.
    pub fn recycle(&mut self, mut chunk: Chunk) {
        chunk.bytes.clear();
        chunk.records = 0;
        chunk.control = false;
        chunk.shards = ShardSet::default();
        // A ring whose other end is gone takes chunks all the same; the last owner frees them.
        self.empty
            .push(chunk)
            .expect("the ring has a slot for every chunk");
    }
}

/// A worker's way into the journal.
#[derive(Debug)]
pub struct Appender {
    lane: LaneIn,
    worker: usize,
    shared: Arc<Shared>,
}

impl Appender {
    pub(crate) fn new(lane: LaneIn, worker: usize, shared: Arc<Shared>) -> Self {
        Self {
            lane,
            worker,
            shared,
        }
    }

    /// Appends a change; it is on its way to disk after [`Self::submit`].
    ///
    /// # Panics
    ///
    /// If a megabyte was appended against [`Self::has_room`].
    pub fn append(&mut self, delta: &BindingDelta<'_>) {
        self.lane.append(delta);
        self.lane.is_awaited.set(true);
    }

    /// As [`Self::append`], of a change that nobody waits for and whose loss costs little: it goes to
    /// disk with the next record that somebody does wait for, when many of its kind are together,
    /// or by [`Self::submit_all`].
    ///
    /// # Panics
    ///
    /// As [`Self::append`].
    pub fn append_lazily(&mut self, delta: &BindingDelta<'_>) {
        self.lane.append(delta);
    }

    /// As [`Self::append`], of what belongs to no shard; on any lane.
    ///
    /// # Panics
    ///
    /// As [`Self::append`], or if a relationship's state is longer than
    /// [`RELATIONSHIP_STATE_LEN_MAX`](crate::RELATIONSHIP_STATE_LEN_MAX).
    pub fn append_control(&mut self, delta: &ControlDelta<'_>) {
        self.lane.append_control(delta);
        self.lane.is_awaited.set(true);
    }

    /// Whether 64 records can be appended now: ask before each message that may change a binding.
    pub fn has_room(&self) -> bool {
        self.lane.has_room()
    }

    /// Hands over what was appended. Call it in every turn of the worker's loop: while the journal
    /// has all chunks, records stay with the worker until a later call.
    pub fn submit(&mut self) {
        if self.lane.is_due() {
            self.submit_all();
        }
    }

    /// As [`Self::submit`], also what nobody waits for.
    pub fn submit_all(&mut self) {
        self.lane.flush();
        if self.lane.announces() {
            self.shared.bell.ring();
        }
    }

    /// Ticket of the record appended last. Who asks for it is taken to wait for it.
    pub fn ticket(&self) -> Ticket {
        self.lane.await_all()
    }

    /// Every record up to this ticket is on disk.
    pub fn committed(&self) -> Ticket {
        Ticket(self.shared.committed[self.worker].load(Ordering::Acquire))
    }

    /// Whether the last write failed, so that nothing is being committed.
    pub fn is_failing(&self) -> bool {
        self.shared.failing.load(Ordering::Relaxed)
    }
}

/// How far a worker is with its part of a snapshot.
#[derive(Debug, Default)]
pub(crate) struct FeedState {
    stage: AtomicU8,
    /// Of the last record whose effect may be in the snapshot.
    ticket: AtomicU64,
}

const FINISHED: u8 = 1;
const ABANDONED: u8 = 2;

impl FeedState {
    pub fn is_finished(&self) -> bool {
        self.stage.load(Ordering::Acquire) == FINISHED
    }

    /// Of a finished feed: the snapshot counts only when this is committed.
    pub fn ticket(&self) -> u64 {
        self.ticket.load(Ordering::Relaxed)
    }

    pub fn is_abandoned(&self) -> bool {
        self.stage.load(Ordering::Acquire) == ABANDONED
    }
}

/// A worker's way into a snapshot: it walks its shards slice by slice and pushes a `Put` for every
/// binding. Dropped before [`Self::finish`] has returned true, it aborts the snapshot.
#[derive(Debug)]
pub struct SnapshotFeed {
    lane: LaneIn,
    state: Arc<FeedState>,
}

/// The snapshot's end of a feed.
#[derive(Debug)]
pub(crate) struct FeedOut {
    pub lane: LaneOut,
    pub state: Arc<FeedState>,
}

impl SnapshotFeed {
    pub(crate) fn new() -> (Self, FeedOut) {
        let (lane_in, lane_out) = lane();
        let state = Arc::new(FeedState::default());
        let feed = Self {
            lane: lane_in,
            state: Arc::clone(&state),
        };
        (
            feed,
            FeedOut {
                lane: lane_out,
                state,
            },
        )
    }

    /// Adds a binding.
    ///
    /// # Panics
    ///
    /// If a megabyte was pushed against [`Self::has_room`].
    pub fn push(&mut self, delta: &BindingDelta<'_>) {
        self.lane.append(delta);
    }

    /// Adds the state of a relationship or the ownership of a block.
    ///
    /// # Panics
    ///
    /// As [`Appender::append_control`].
    pub fn push_control(&mut self, delta: &ControlDelta<'_>) {
        self.lane.append_control(delta);
    }

    /// Whether 64 records can be pushed now.
    pub fn has_room(&self) -> bool {
        self.lane.has_room()
    }

    /// Says that every binding has been pushed; false if there is no room yet: call again later.
    /// `ticket` is that of the worker's appender now: what was walked holds the effects of records
    /// up to there, and the snapshot is not used before they are committed.
    pub fn finish(&mut self, ticket: Ticket) -> bool {
        self.lane.flush();
        if !self.lane.is_flushed() {
            return false;
        }
        self.state.ticket.store(ticket.0, Ordering::Relaxed);
        self.state.stage.store(FINISHED, Ordering::Release);
        true
    }
}

impl Drop for SnapshotFeed {
    fn drop(&mut self) {
        if !self.state.is_finished() {
            self.state.stage.store(ABANDONED, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lease::Lease;
    use wire::ShardId;

    fn append(lane: &mut LaneIn) {
        let lease = Lease { addr: 1, len: 128 };
        let shard = ShardId(0);
        lane.append(&BindingDelta::Remove { shard, lease });
    }

    #[test]
    fn records_sent_one_by_one_while_the_disk_stalls_fill_the_chunks() {
        let (mut lane, _out) = lane();
        let mut records = 0;
        while lane.has_room() {
            append(&mut lane);
            lane.flush();
            records += 1;
        }
        assert!(records > 25_000, "{records}");
    }

    #[test]
    fn what_nobody_waits_for_is_due_when_somebody_does_or_when_it_is_much() {
        let (mut lane, _out) = lane();
        append(&mut lane);
        assert!(!lane.is_due());
        assert_eq!(lane.await_all(), Ticket(1));
        assert!(lane.is_due() && lane.flush() && lane.announces());
        assert_eq!(lane.await_all(), Ticket(1));
        assert!(!lane.is_due(), "that is on its way");
        let mut records = 0;
        while !lane.is_due() {
            append(&mut lane);
            records += 1;
        }
        assert!(records > 100, "{records}");
    }

    #[test]
    fn a_chunk_sent_to_make_room_is_announced_at_the_next_call() {
        let (mut lane, mut out) = lane();
        append(&mut lane);
        lane.await_all();
        while out.full.is_empty() {
            append(&mut lane);
        }
        assert!(lane.is_due(), "its records are awaited");
        assert!(lane.announces() && !lane.announces());
        assert!(out.full.pop().is_ok());
    }

    #[test]
    fn the_first_records_are_sent_at_once_and_the_last_ones_when_the_journal_is_free() {
        let (mut lane, mut out) = lane();
        for _ in 0..FILLED_FROM {
            append(&mut lane);
            assert!(lane.flush());
        }
        append(&mut lane);
        assert!(!lane.flush());
        let chunk = out.full.pop().unwrap();
        out.recycle(chunk);
        assert!(lane.flush() && lane.is_flushed());
    }
}
