//! Whose the free prefixes of a pool are: proportional allocation (RFC 8156 §4.2.2).
//!
//! A prefix that is free is the primary's (FREE) or, if its bit here is set, the secondary's
//! (FREE-BACKUP). A delegated one is nobody's; its bit is clear, so that it comes back to the
//! primary.
//!
//! Two things meet here: workers take prefixes while the control thread makes blocks of them change
//! sides. Both act first and look afterwards, in the one order of all SeqCst operations. A claim
//! takes its position and then looks whose it is; who moves a block sets its bits and then looks
//! which positions are taken. So at least one of two that meet sees the other: the claim gives the
//! position back, or the block does not change sides, or both. Never is a prefix delegated here
//! that the partner was told is its own.

use super::bitmap::Bitmap;
use crate::Role;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};

/// The bits of one pool and what a server of one role may take. Bits are numbered as the pool's
/// own bits for "taken" are.
#[derive(Debug)]
pub(super) struct Split {
    role: Role,
    backup: Box<[AtomicU64]>,
    /// Set bits of `backup`: each change of a bit is counted by who made it.
    backups: AtomicU64,
    /// What this server may not take: taken already, or the partner's. Only a guide for searches:
    /// a position that is taken wrongly seems open until the next search passes, and none seems
    /// closed wrongly once [`refresh`](Self::refresh) has run after the last change.
    closed: Bitmap,
}

impl Split {
    /// All free positions the primary's; `taken` are those that nobody may have.
    pub(super) fn new(role: Role, taken: &Bitmap) -> Self {
        let words = taken.words();
        let split = Self {
            role,
            backup: (0..words).map(|_| AtomicU64::new(0)).collect(),
            backups: AtomicU64::new(0),
            closed: Bitmap::new(words * 64),
        };
        for word in 0..words {
            split.refresh(taken, word);
        }
        split
    }

    /// This server's role.
    pub(super) fn role(&self) -> Role {
        self.role
    }

    /// Whether this server may take a position that is free.
    pub(super) fn is_own(&self, bit: usize) -> bool {
        let is_backup = self.backup[bit / 64].load(Ordering::SeqCst) & 1 << (bit % 64) != 0;
        is_backup == (self.role == Role::Secondary)
    }

    /// A position that is probably this server's and free, from `start` on.
    pub(super) fn find(&self, within: &Range<usize>, start: usize) -> Option<usize> {
        self.closed.find(within, start)
    }

    /// As [`find`](Self::find), and looks at every word.
    pub(super) fn scan(&self, within: &Range<usize>) -> Option<usize> {
        self.closed.scan(within)
    }

    /// How many free positions are the secondary's.
    pub(super) fn backups(&self) -> u64 {
        self.backups.load(Ordering::SeqCst)
    }

    /// A taken position is nobody's.
    pub(super) fn note_taken(&self, taken: &Bitmap, bit: usize) {
        self.assign(bit / 64, 1 << (bit % 64), Role::Primary);
        self.refresh(taken, bit / 64);
    }

    /// A position was given back, or not taken after all.
    pub(super) fn note_free(&self, taken: &Bitmap, bit: usize) {
        self.refresh(taken, bit / 64);
    }

    /// Makes all of `bits` the side's, if none of them is taken; whether that was so.
    pub(super) fn give(&self, taken: &Bitmap, bits: Range<usize>, side: Role) -> bool {
        let words = || words_of(bits.clone());
        let changed: Vec<u64> = words()
            .map(|(word, mask)| self.assign(word, mask, side))
            .collect();
        let is_free = words().all(|(word, mask)| taken.word(word) & mask == 0);
        for ((word, mask), changed) in words().zip(changed) {
            if !is_free {
                self.assign(word, changed, side.partner());
                self.assign(word, taken.word(word) & mask, Role::Primary);
            }
            self.refresh(taken, word);
        }
        is_free
    }

    /// Makes those of `bits` that are not taken the side's.
    pub(super) fn give_free(&self, taken: &Bitmap, bits: Range<usize>, side: Role) {
        for (word, mask) in words_of(bits) {
            self.assign(word, mask, side);
            self.assign(word, taken.word(word) & mask, Role::Primary);
            self.refresh(taken, word);
        }
    }

    /// The positions of a word that are free and of this side.
    pub(super) fn free_of(&self, taken: &Bitmap, side: Role, word: usize) -> u64 {
        let backup = self.backup[word].load(Ordering::SeqCst);
        let of_side = match side {
            Role::Primary => !backup,
            Role::Secondary => backup,
        };
        of_side & !taken.word(word)
    }

    /// Makes the bits of `mask` the side's; those that were not.
    fn assign(&self, word: usize, mask: u64, side: Role) -> u64 {
        if mask == 0 {
            return 0;
        }
        match side {
            Role::Primary => {
                let changed = self.backup[word].fetch_and(!mask, Ordering::SeqCst) & mask;
                let count = u64::from(changed.count_ones());
                self.backups.fetch_sub(count, Ordering::SeqCst);
                changed
            }
            Role::Secondary => {
                let changed = !self.backup[word].fetch_or(mask, Ordering::SeqCst) & mask;
                let count = u64::from(changed.count_ones());
                self.backups.fetch_add(count, Ordering::SeqCst);
                changed
            }
        }
    }

    /// Brings `closed` up to date with a word that has changed. Whoever changes it later does the
    /// same after that, and who wrote something older sees so when looking again.
    fn refresh(&self, taken: &Bitmap, word: usize) {
        loop {
            let closed = !self.free_of(taken, self.role, word);
            self.closed.assign(word, closed);
            if closed == !self.free_of(taken, self.role, word) {
                return;
            }
        }
    }
}

/// The words that `bits` lie in, each with those of its bits.
fn words_of(bits: Range<usize>) -> impl Iterator<Item = (usize, u64)> {
    let words = match bits.is_empty() {
        true => 0..0,
        false => bits.start / 64..(bits.end - 1) / 64 + 1,
    };
    words.map(move |word| {
        let from = bits.start.max(word * 64) - word * 64;
        let to = bits.end.min(word * 64 + 64) - word * 64;
        (word, (u64::MAX >> (64 - (to - from))) << from)
    })
}
