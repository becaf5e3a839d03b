//! Moving free prefixes between the two servers of a relationship, in aligned blocks (RFC 8156
//! §4.2.2): what the balance of a pair and recovery need of a pool.

use super::bitmap::Bitmap;
use super::runs::Run;
use super::split::Split;
use super::{Pool, PoolError, Store};
use crate::{Lease, Role};
use core::ops::Range;
use wire::IaKind;

/// How many prefixes of a pool are free, by side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sides {
    /// FREE: the primary's.
    pub primary: u64,
    /// FREE-BACKUP: the secondary's.
    pub secondary: u64,
}

impl Sides {
    /// The count of one side.
    pub fn of(self, side: Role) -> u64 {
        match side {
            Role::Primary => self.primary,
            Role::Secondary => self.secondary,
        }
    }
}

impl Pool {
    /// This pool with its prefixes split between two servers, this one of role `role`; all that
    /// are free become the primary's. Address pools stay as they are: their split is static.
    ///
    /// # Errors
    /// [`PoolError::TooLargeToSplit`] for a pool of prefixes that has no bit for each,
    /// [`PoolError::LengthsToSplit`] for one of several lengths.
    pub fn split_for(mut self, role: Role) -> Result<Self, PoolError> {
        match (&mut self.store, self.spec.kind) {
            (_, IaKind::Na) => {}
            (Store::Dense(dense), IaKind::Pd) => dense.split_for(role),
            (Store::Sparse(_), IaKind::Pd) => return Err(PoolError::TooLargeToSplit),
            (Store::Runs(_), IaKind::Pd) => return Err(PoolError::LengthsToSplit),
        }
        Ok(self)
    }

    /// The role that this server has in the pool, if its prefixes are split.
    pub fn side(&self) -> Option<Role> {
        Some(self.split()?.0.role())
    }

    /// Free prefixes by side; `None` if they are not split.
    pub fn sides(&self) -> Option<Sides> {
        let secondary = self.split()?.0.backups();
        let free = u64::try_from(self.counts().free).unwrap_or(u64::MAX);
        Some(Sides {
            primary: free.saturating_sub(secondary),
            secondary,
        })
    }

    /// The largest block of free prefixes of side `from`, at most `max` of them, that begins at a
    /// multiple of its size; `None` if that side has none.
    pub fn find_block(&self, from: Role, max: u64) -> Option<Lease> {
        let (split, taken) = self.split()?;
        let size = self.spec.count as u64;
        let mut block = 1 << max.min(size).checked_ilog2()?;
        loop {
            let mut starts = (0..size).step_by(block as usize);
            let is_free = |start: &u64| {
                all_free(
                    split,
                    taken,
                    from,
                    *start as usize..(start + block) as usize,
                )
            };
            if let Some(start) = starts.find(is_free) {
                return Some(self.block_at(start, block));
            }
            if block == 1 {
                return None;
            }
            block /= 2;
        }
    }

    /// Makes a block of free prefixes the side's, whatever it was before: all of it, or (`false`)
    /// nothing, because a prefix in it is delegated, reserved, or not of this pool.
    #[must_use]
    pub fn give_block(&self, block: Lease, side: Role) -> bool {
        let (Some((split, taken)), Some(bits)) = (self.split(), self.bits_of(block)) else {
            return false;
        };
        split.give(taken, bits, side)
    }

    /// Makes what is free in a block the side's: recovery, which knows no better of what is taken.
    /// `false` if the block is not of this pool or the pool is not split.
    pub fn restore_block(&self, block: Lease, side: Role) -> bool {
        let (Some((split, taken)), Some(bits)) = (self.split(), self.bits_of(block)) else {
            return false;
        };
        split.give_free(taken, bits, side);
        true
    }

    /// The free prefixes of a side, as aligned blocks in order. While others change sides or are
    /// taken a block may be out of date when it comes.
    pub fn blocks_of(&self, side: Role) -> impl Iterator<Item = Lease> {
        self.free_blocks(0..self.spec.count as usize, side)
    }

    /// What of a block is free and the side's, as [`blocks_of`](Self::blocks_of); nothing of a
    /// block that is not of this pool.
    pub fn blocks_within(&self, block: Lease, side: Role) -> impl Iterator<Item = Lease> {
        self.free_blocks(self.bits_of(block).unwrap_or(0..0), side)
    }

    /// Whether all of a block is free and the side's.
    pub fn is_all_free(&self, block: Lease, side: Role) -> bool {
        let (Some((split, taken)), Some(bits)) = (self.split(), self.bits_of(block)) else {
            return false;
        };
        all_free(split, taken, side, bits)
    }

    fn free_blocks(&self, bits: Range<usize>, side: Role) -> impl Iterator<Item = Lease> {
        let Range { start: first, end } = bits;
        let mut next = first;
        core::iter::from_fn(move || {
            let (split, taken) = self.split()?;
            let start = first_free(split, taken, side, next..end)?;
            let mut len = 1;
            while start.is_multiple_of(len * 2)
                && start + len * 2 <= end
                && all_free(split, taken, side, start + len..start + len * 2)
            {
                len *= 2;
            }
            next = start + len;
            Some(self.block_at(start as u64, len as u64))
        })
    }

    fn split(&self) -> Option<(&Split, &Bitmap)> {
        match &self.store {
            Store::Dense(dense) => dense.split(),
            Store::Sparse(_) | Store::Runs(_) => None,
        }
    }

    /// The prefix that consists of `count` (a power of two) of the pool's from a position on.
    pub(super) fn block_at(&self, position: u64, count: u64) -> Lease {
        self.spec.lease_of(Run {
            start: position,
            order: count.ilog2(),
        })
    }

    /// The bits of a block that consists of whole prefixes of this pool.
    fn bits_of(&self, block: Lease) -> Option<Range<usize>> {
        if block.len > self.spec.unit_len {
            return None;
        }
        let first = Lease {
            len: self.spec.unit_len,
            ..block
        };
        let start = self.spec.position_of(first)? as usize;
        let count = 1_usize.checked_shl(u32::from(self.spec.unit_len - block.len))?;
        let end = start.checked_add(count)?;
        let is_block = start.is_multiple_of(count) && end as u128 <= self.spec.count;
        is_block.then_some(start..end)
    }
}

/// Whether all of an aligned power of two of positions are free and of this side.
fn all_free(split: &Split, taken: &Bitmap, side: Role, bits: Range<usize>) -> bool {
    let mut words = bits.start / 64..bits.end.div_ceil(64);
    if bits.len() >= 64 {
        return words.all(|word| split.free_of(taken, side, word) == u64::MAX);
    }
    let mask = (u64::MAX >> (64 - bits.len())) << (bits.start % 64);
    split.free_of(taken, side, bits.start / 64) & mask == mask
}

/// The first position of `bits` that is free and of this side.
fn first_free(split: &Split, taken: &Bitmap, side: Role, bits: Range<usize>) -> Option<usize> {
    let first = bits.start / 64;
    let found = (first..bits.end.div_ceil(64)).find_map(|word| {
        let mask = match word == first {
            true => u64::MAX << (bits.start % 64),
            false => u64::MAX,
        };
        let free = split.free_of(taken, side, word) & mask;
        (free != 0).then(|| word * 64 + free.trailing_zeros() as usize)
    });
    found.filter(|bit| bits.contains(bit))
}
