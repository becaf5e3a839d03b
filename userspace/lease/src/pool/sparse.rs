//! A pool without bits: every shard has its own part, scattered over the whole range.
//!
//! A position is `permute(shard ‖ hash) ‖ low bit`. The shard's number comes back out of any
//! position by the inverse, so two shards cannot draw the same one and uniqueness is a look into
//! the shard's own table. The lowest bit stays outside of the permutation so that a claim from one
//! half of the addresses (RFC 8156 §4.2.1) costs no more than any other.

use super::permutation::Permutation;
use crate::sip::SipKey;
use core::fmt;
use core::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use crossbeam::utils::CachePadded;
use std::collections::BTreeSet;
use std::sync::{Mutex, OnceLock, PoisonError, TryLockError};
use wire::{SHARDS, ShardId};

/// Positions tried before a sparse pool counts as used up. With a share u of the positions used, a
/// claim fails wrongly with probability u^128: 10^-39 at one half, 10^-6 at nine tenths, and more
/// than 2^26 bindings would fill memory before that. A range that is not a power of two wastes
/// fewer than half of the tries.
pub(super) const ATTEMPTS_MAX: u32 = 128;

const SHARD_BITS: u32 = SHARDS.ilog2();

/// See the module.
pub(super) struct Sparse {
    permutation: Permutation,
    /// Bits of a position above its lowest one.
    bits: u32,
    bound: CachePadded<AtomicI64>,
    foreign: Foreign,
}

impl Sparse {
    /// For `count` positions, more than 2^9 and at most 2^64.
    pub(super) fn new(count: u128, key: SipKey) -> Self {
        let bits = (count - 1).ilog2();
        assert!(bits >= SHARD_BITS, "too few positions for every shard");
        Self {
            permutation: Permutation::new(key, bits),
            bits,
            bound: CachePadded::new(AtomicI64::new(0)),
            foreign: Foreign::default(),
        }
    }

    /// The position that `hash` leads to in the part of `shard`; below the next power of two.
    pub(super) fn candidate(&self, shard: ShardId, hash: u64, parity: Option<bool>) -> u64 {
        let own_bits = self.bits - SHARD_BITS;
        let within = hash >> 1 & ((1 << own_bits) - 1);
        let number = u64::from(shard.0) << own_bits | within;
        let low = parity.map_or(hash & 1, u64::from);
        self.permutation.forward(number) << 1 | low
    }

    /// The shard whose part this position is in.
    pub(super) fn owner(&self, position: u64) -> ShardId {
        ShardId((self.permutation.inverse(position >> 1) >> (self.bits - SHARD_BITS)) as u8)
    }

    /// Whether a shard other than `owner` holds this position of `owner`'s part.
    pub(super) fn is_foreign(&self, owner: ShardId, position: u64) -> bool {
        self.foreign.contains(owner, position)
    }

    /// Counts a position that its own shard took.
    pub(super) fn count_bound(&self) {
        self.bound.fetch_add(1, Ordering::Relaxed);
    }

    /// Enters a position that `shard` holds already; `false` if another shard holds it.
    pub(super) fn adopt(&self, shard: ShardId, position: u64) -> bool {
        let owner = self.owner(position);
        let adopted = if owner == shard {
            !self.foreign.contains(owner, position)
        } else {
            self.foreign.insert(owner, position)
        };
        if adopted {
            self.count_bound();
        }
        adopted
    }

    /// Gives a position back.
    pub(super) fn release(&self, position: u64) {
        if !self.foreign.is_empty() {
            self.foreign.remove(self.owner(position), position);
        }
        self.bound.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn bound(&self) -> u64 {
        self.bound.load(Ordering::Relaxed).max(0) as u64
    }
}

impl fmt::Debug for Sparse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sparse")
            .field("bits", &self.bits)
            .field("bound", &self.bound)
            .field("foreign", &self.foreign.len)
            .finish_non_exhaustive()
    }
}

/// Positions held outside of their owner's shard, by owner. Empty, and then one load, unless the
/// key or a range changed under existing bindings.
#[derive(Default)]
struct Foreign {
    len: AtomicUsize,
    by_owner: OnceLock<Box<[Mutex<BTreeSet<u64>>]>>,
}

impl Foreign {
    fn is_empty(&self) -> bool {
        self.len.load(Ordering::Acquire) == 0
    }

    /// Never waits: a part that is being changed right now counts as holding every position,
    /// which costs the claim that asks one of its attempts.
    fn contains(&self, owner: ShardId, position: u64) -> bool {
        if self.is_empty() {
            return false;
        }
        let Some(by_owner) = self.by_owner.get() else {
            return false;
        };
        match by_owner[usize::from(owner.0)].try_lock() {
            Ok(part) => part.contains(&position),
            Err(TryLockError::Poisoned(part)) => part.into_inner().contains(&position),
            Err(TryLockError::WouldBlock) => true,
        }
    }

    fn insert(&self, owner: ShardId, position: u64) -> bool {
        let inserted = self.with(owner, |part| part.insert(position));
        self.len.fetch_add(usize::from(inserted), Ordering::AcqRel);
        inserted
    }

    fn remove(&self, owner: ShardId, position: u64) {
        let removed = self.with(owner, |part| part.remove(&position));
        self.len.fetch_sub(usize::from(removed), Ordering::AcqRel);
    }

    fn with<T>(&self, owner: ShardId, change: impl FnOnce(&mut BTreeSet<u64>) -> T) -> T {
        let by_owner = self
            .by_owner
            .get_or_init(|| (0..SHARDS).map(|_| Mutex::new(BTreeSet::new())).collect());
        change(
            &mut by_owner[usize::from(owner.0)]
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }
}
