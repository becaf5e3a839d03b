//! The format of segments and snapshots: a header block, then batches, each on a 4 KiB boundary.
//!
//! Every file has a random salt that each of its batch headers repeats, so that neither what an
//! earlier life left in a recycled file nor octets that a client chose can pass for a batch. Each
//! write ends with a block of zeros, which the next write covers: where the log ends is always
//! blank, and anything else there is a torn or damaged batch.

use wire::{SHARDS, ShardId};

/// Unit of every write: what O_DIRECT asks for on every disk in use.
pub(crate) const BLOCK_LEN: usize = 4096;
/// The format this version writes, and the only one that it reads.
pub(crate) const FORMAT_VERSION: u32 = 2;
/// Longest payload of a batch, octets: bounds the time of one write and the memory of recovery.
pub(crate) const PAYLOAD_LEN_MAX: usize = 1 << 20;
/// Octets in front of a payload.
pub(crate) const BATCH_HEADER_LEN: usize = 72;
/// Longest batch with its padding, octets.
pub(crate) const BATCH_LEN_MAX: usize = padded(BATCH_HEADER_LEN + PAYLOAD_LEN_MAX);

const BATCH_MAGIC: u32 = u32::from_le_bytes(*b"tlb1");
const FILE_HEADER_LEN: usize = 48;
const FLAG_FOOTER: u32 = 1;
const FLAG_CONTROL: u32 = 2;

/// `len` rounded up to whole blocks.
pub(crate) const fn padded(len: usize) -> usize {
    len.next_multiple_of(BLOCK_LEN)
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// Changes in the order they were committed.
    Segment,
    /// Every binding at some time.
    Snapshot,
}

impl FileKind {
    fn magic(self) -> [u8; 8] {
        match self {
            Self::Segment => *b"twinlseg",
            Self::Snapshot => *b"twinlsnp",
        }
    }
}

/// Why a file's first block is not a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderFault {
    /// Not the magic or not the checksum.
    Damaged,
    /// Written in another format.
    Version(u32),
}

/// The first block of a segment or snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileHeader {
    pub kind: FileKind,
    /// The segment's number; 0 in a snapshot.
    pub number: u64,
    /// LSN of a segment's first record; a snapshot holds all effects of lower ones.
    pub lsn: u64,
    pub salt: u64,
}

impl FileHeader {
    pub fn encode(&self, block: &mut [u8]) {
        block[..BLOCK_LEN].fill(0);
        block[..8].copy_from_slice(&self.kind.magic());
        block[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        block[16..24].copy_from_slice(&self.number.to_le_bytes());
        block[24..32].copy_from_slice(&self.lsn.to_le_bytes());
        block[32..40].copy_from_slice(&self.salt.to_le_bytes());
        let crc = crc32c::crc32c(&block[..FILE_HEADER_LEN - 4]);
        block[FILE_HEADER_LEN - 4..FILE_HEADER_LEN].copy_from_slice(&crc.to_le_bytes());
    }

    /// Reads the header of a file of this `kind`.
    ///
    /// The version counts before the checksum: a later version may lay out the rest anew.
    pub fn decode(kind: FileKind, block: &[u8]) -> Result<Self, HeaderFault> {
        if block.len() < FILE_HEADER_LEN || block[..8] != kind.magic() {
            return Err(HeaderFault::Damaged);
        }
        let crc = crc32c::crc32c(&block[..FILE_HEADER_LEN - 4]);
        let version = u32_at(block, 8);
        if version > FORMAT_VERSION {
            return Err(HeaderFault::Version(version));
        }
        if crc != u32_at(block, FILE_HEADER_LEN - 4) {
            return Err(HeaderFault::Damaged);
        }
        if version < FORMAT_VERSION {
            return Err(HeaderFault::Version(version));
        }
        Ok(Self {
            kind,
            number: u64_at(block, 16),
            lsn: u64_at(block, 24),
            salt: u64_at(block, 32),
        })
    }
}

/// A set of shards, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ShardSet([u64; SHARDS / 64]);

impl ShardSet {
    pub fn insert(&mut self, shard: ShardId) {
        self.0[usize::from(shard.0 >> 6)] |= 1 << (shard.0 & 63);
    }

    pub fn contains(&self, shard: ShardId) -> bool {
        self.0[usize::from(shard.0 >> 6)] >> (shard.0 & 63) & 1 == 1
    }

    pub fn union(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(other.0) {
            *mine |= theirs;
        }
    }

    pub fn intersects(&self, other: &Self) -> bool {
        self.0
            .iter()
            .zip(other.0)
            .any(|(mine, theirs)| mine & theirs != 0)
    }
}

/// What stands in front of a batch's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BatchHeader {
    pub salt: u64,
    /// LSN of the first record; in a snapshot the records are counted from 0.
    pub first_lsn: u64,
    pub records: u32,
    pub payload_len: u32,
    /// The last batch of a snapshot, which carries no records.
    pub footer: bool,
    /// Whether records are among them that belong to no shard.
    pub control: bool,
    /// Every shard that the records name.
    pub shards: ShardSet,
}

impl BatchHeader {
    /// Writes the header in front of the payload that stands at [`BATCH_HEADER_LEN`] of `batch`.
    pub fn encode(&self, batch: &mut [u8]) {
        let end = BATCH_HEADER_LEN + self.payload_len as usize;
        let payload_crc = crc32c::crc32c(&batch[BATCH_HEADER_LEN..end]);
        batch[..4].copy_from_slice(&BATCH_MAGIC.to_le_bytes());
        batch[8..16].copy_from_slice(&self.salt.to_le_bytes());
        batch[16..24].copy_from_slice(&self.first_lsn.to_le_bytes());
        batch[24..28].copy_from_slice(&self.records.to_le_bytes());
        batch[28..32].copy_from_slice(&self.payload_len.to_le_bytes());
        batch[32..36].copy_from_slice(&payload_crc.to_le_bytes());
        let flags = u32::from(self.footer) * FLAG_FOOTER + u32::from(self.control) * FLAG_CONTROL;
        batch[36..40].copy_from_slice(&flags.to_le_bytes());
        for (slot, word) in batch[40..72].chunks_exact_mut(8).zip(self.shards.0) {
            slot.copy_from_slice(&word.to_le_bytes());
        }
        let crc = crc32c::crc32c(&batch[8..BATCH_HEADER_LEN]);
        batch[4..8].copy_from_slice(&crc.to_le_bytes());
    }

    /// The header of a batch of the file with this `salt`, if that is what stands here.
    pub fn decode(octets: &[u8], salt: u64) -> Option<Self> {
        let octets = octets.first_chunk::<BATCH_HEADER_LEN>()?;
        let whole = u32_at(octets, 0) == BATCH_MAGIC
            && u64_at(octets, 8) == salt
            && u32_at(octets, 4) == crc32c::crc32c(&octets[8..])
            && u32_at(octets, 28) as usize <= PAYLOAD_LEN_MAX;
        whole.then(|| Self {
            salt,
            first_lsn: u64_at(octets, 16),
            records: u32_at(octets, 24),
            payload_len: u32_at(octets, 28),
            footer: u32_at(octets, 36) & FLAG_FOOTER != 0,
            control: u32_at(octets, 36) & FLAG_CONTROL != 0,
            shards: ShardSet(core::array::from_fn(|word| u64_at(octets, 40 + 8 * word))),
        })
    }

    /// As [`decode`](Self::decode) in a file whose salt is not known.
    pub fn decode_any(octets: &[u8]) -> Option<Self> {
        Self::decode(octets, u64_at(octets.first_chunk::<BATCH_HEADER_LEN>()?, 8))
    }

    /// Length of the batch with its padding, octets.
    pub fn batch_len(&self) -> usize {
        padded(BATCH_HEADER_LEN + self.payload_len as usize)
    }
}

/// What stands at a block boundary.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// The batch may be whole, but more octets are needed to tell.
    More,
    /// Zeros: where the log ends.
    Blank,
    /// A whole batch.
    Batch(BatchHeader),
    /// A batch whose payload is not what was written.
    BadPayload(BatchHeader),
    /// Neither blank nor a batch header of this file.
    BadHeader,
}

/// Judges what stands at the start of `octets` in the file with this `salt`; `last` says that the
/// file ends with `octets`.
pub(crate) fn look(octets: &[u8], salt: u64, last: bool) -> Look {
    if octets.len() < BLOCK_LEN {
        return match (last, octets.iter().all(|&octet| octet == 0)) {
            (false, _) => Look::More,
            (true, true) => Look::Blank,
            (true, false) => Look::BadHeader,
        };
    }
    let Some(header) = BatchHeader::decode(octets, salt) else {
        let blank = octets[..BLOCK_LEN].iter().all(|&octet| octet == 0);
        return if blank { Look::Blank } else { Look::BadHeader };
    };
    let end = BATCH_HEADER_LEN + header.payload_len as usize;
    match octets.get(BATCH_HEADER_LEN..end) {
        None if last => Look::BadPayload(header),
        None => Look::More,
        Some(payload) if crc32c::crc32c(payload) == u32_at(octets, 32) => Look::Batch(header),
        Some(_) => Look::BadPayload(header),
    }
}

fn u32_at(octets: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(core::array::from_fn(|index| octets[at + index]))
}

fn u64_at(octets: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(core::array::from_fn(|index| octets[at + index]))
}
