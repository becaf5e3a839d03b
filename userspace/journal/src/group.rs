//! Group commit as a state machine: which records are in the batch being made or written, and up
//! to which ticket every worker is committed. It touches no octets, clock or file.
//!
//! ```text
//! gathering ──seal──▶ in flight ──committed──▶ gathering
//!                        │  ▲
//!                        └──┘ failed: the same records with the same LSNs are written again
//! ```

use crate::segment::{PAYLOAD_LEN_MAX, ShardSet};

/// Log sequence number: position of a record in the journal. The first is 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

/// What a submitted chunk adds to a batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub worker: usize,
    /// Tickets of the worker up to and with this one are in the chunk or before it.
    pub ticket: u64,
    pub records: u32,
    pub len: usize,
    /// Whether records are among them that belong to no shard.
    pub control: bool,
    pub shards: ShardSet,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Group {
    next_lsn: u64,
    records: u32,
    len: usize,
    control: bool,
    shards: ShardSet,
    in_flight: bool,
    /// The ticket each worker has reached with the present batch, if it has any part in it.
    reached: Vec<Option<u64>>,
}

impl Group {
    pub fn new(workers: usize, next_lsn: Lsn) -> Self {
        Self {
            next_lsn: next_lsn.0,
            records: 0,
            len: 0,
            control: false,
            shards: ShardSet::default(),
            in_flight: false,
            reached: vec![None; workers],
        }
    }

    /// Whether a chunk of `len` octets may still be added.
    pub fn fits(&self, len: usize) -> bool {
        !self.in_flight && self.len + len <= PAYLOAD_LEN_MAX
    }

    /// Adds a chunk behind those already in the batch.
    pub fn add(&mut self, part: &Part) {
        assert!(
            self.fits(part.len),
            "a batch in flight or full takes no more"
        );
        let reached = &mut self.reached[part.worker];
        assert!(
            reached.is_none_or(|before| before < part.ticket),
            "tickets only rise"
        );
        *reached = Some(part.ticket);
        self.records += part.records;
        self.len += part.len;
        self.control |= part.control;
        self.shards.union(&part.shards);
    }

    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// No more is added until this batch is committed.
    pub fn seal(&mut self) {
        self.in_flight = true;
    }

    /// LSN of the batch's first record.
    pub fn first_lsn(&self) -> u64 {
        self.next_lsn
    }

    pub fn records(&self) -> u32 {
        self.records
    }

    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether a record in it belongs to no shard.
    pub fn control(&self) -> bool {
        self.control
    }

    pub fn shards(&self) -> ShardSet {
        self.shards
    }

    /// The batch is durable: tells each worker's new ticket to `publish` and starts the next.
    pub fn committed(&mut self, mut publish: impl FnMut(usize, u64)) {
        assert!(self.in_flight, "only what was sealed can be committed");
        self.next_lsn += u64::from(self.records);
        for (worker, reached) in self.reached.iter_mut().enumerate() {
            if let Some(ticket) = reached.take() {
                publish(worker, ticket);
            }
        }
        self.records = 0;
        self.len = 0;
        self.control = false;
        self.shards = ShardSet::default();
        self.in_flight = false;
    }
}
