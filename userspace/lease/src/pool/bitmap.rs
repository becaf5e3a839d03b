//! One bit for each position, taken and given back by any number of threads without a lock.
//!
//! Above the bits stand summary levels: a bit of level n + 1 says that a word of level n is full.
//! So the next free bit of a nearly full map of 2^26 is one or two words of each level away.
//!
//! Invariant: while no operation is in flight, a summary bit is set only if its word is full. The
//! thread whose operation makes a word full sets the bit above and then looks again; the one whose
//! operation makes it not full clears the bit above afterwards. Whichever comes last leaves the
//! bit clear if the word has room. The opposite, a full word whose bit is clear, costs a look at
//! the word and is mended by the next search that passes.

use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};
use zerocopy::FromZeros;

const FULL: u64 = u64::MAX;
/// The topmost level has at most this many words: one cache line.
const TOP_WORDS_MAX: usize = 8;

/// The bits; `levels[0]` are the positions themselves.
#[derive(Debug)]
pub(super) struct Bitmap {
    levels: Vec<Box<[AtomicU64]>>,
}

impl Bitmap {
    /// `len` clear bits, rounded up to whole words by bits that are set for ever.
    pub(super) fn new(len: usize) -> Self {
        let mut levels = Vec::new();
        let mut bits = len;
        loop {
            let mut words = zeroed(bits.div_ceil(64));
            if !bits.is_multiple_of(64)
                && let Some(last) = words.last_mut()
            {
                *last.get_mut() = FULL << (bits % 64);
            }
            bits = words.len();
            levels.push(words);
            if bits <= TOP_WORDS_MAX {
                return Self { levels };
            }
        }
    }

    /// Sets the bit; whether it was clear.
    pub(super) fn take(&self, bit: usize) -> bool {
        let mask = 1 << (bit % 64);
        let before = self.levels[0][bit / 64].fetch_or(mask, Ordering::SeqCst);
        if before & mask != 0 {
            return false;
        }
        if before | mask == FULL {
            self.mark_full(1, bit / 64);
        }
        true
    }

    /// Clears the bit; whether it was set.
    pub(super) fn give(&self, bit: usize) -> bool {
        let mask = 1 << (bit % 64);
        let before = self.levels[0][bit / 64].fetch_and(!mask, Ordering::SeqCst);
        if before == FULL {
            self.mark_free(1, bit / 64);
        }
        before & mask != 0
    }

    /// Sets or clears the bit; whether that changed it.
    pub(super) fn put(&self, bit: usize, set: bool) -> bool {
        self.is_taken(bit) != set
            && match set {
                true => self.take(bit),
                false => self.give(bit),
            }
    }

    /// Words of 64 bits.
    pub(super) fn words(&self) -> usize {
        self.levels[0].len()
    }

    /// All bits of a word.
    pub(super) fn word(&self, word: usize) -> u64 {
        self.levels[0][word].load(Ordering::SeqCst)
    }

    /// Sets and clears the bits of a word.
    pub(super) fn assign(&self, word: usize, bits: u64) {
        if self.word(word) == bits {
            return;
        }
        let before = self.levels[0][word].swap(bits, Ordering::SeqCst);
        if bits == FULL {
            self.mark_full(1, word);
        } else if before == FULL {
            self.mark_free(1, word);
        }
    }

    /// Asks the memory for the bit.
    pub(super) fn prefetch(&self, bit: usize) {
        if let Some(word) = self.levels[0].get(bit / 64) {
            crate::prefetch::value(word);
        }
    }

    /// Whether the bit is set.
    pub(super) fn is_taken(&self, bit: usize) -> bool {
        self.levels[0][bit / 64].load(Ordering::SeqCst) & 1 << (bit % 64) != 0
    }

    /// The first clear bit of `within` at or after `start`, else the first from its beginning.
    /// Another thread's operation in flight can hide a bit; [`scan`](Self::scan) cannot miss it.
    pub(super) fn find(&self, within: &Range<usize>, start: usize) -> Option<usize> {
        self.next_clear(0, start)
            .filter(|bit| *bit < within.end)
            .or_else(|| {
                self.next_clear(0, within.start)
                    .filter(|bit| *bit < within.end)
            })
    }

    /// The first clear bit of `within`, looking at every word.
    pub(super) fn scan(&self, within: &Range<usize>) -> Option<usize> {
        if within.is_empty() {
            return None;
        }
        let first = within.start / 64;
        (first..=(within.end - 1) / 64)
            .find_map(|word| {
                let mask = match word == first {
                    true => FULL << (within.start % 64),
                    false => FULL,
                };
                self.clear_in(0, word, mask)
            })
            .filter(|bit| *bit < within.end)
    }

    /// Sets the bits of `bits` before anyone else sees the map.
    pub(super) fn preset(&mut self, bits: Range<usize>) {
        let mut bit = bits.start;
        while bit < bits.end {
            let (word, offset) = (bit / 64, bit % 64);
            let count = (64 - offset).min(bits.end - bit);
            let mask = (FULL >> (64 - count)) << offset;
            *self.levels[0][word].get_mut() |= mask;
            if *self.levels[0][word].get_mut() == FULL {
                self.mark_full(1, word);
            }
            bit += count;
        }
    }

    /// The first clear bit of this level at or after `from`.
    fn next_clear(&self, level: usize, from: usize) -> Option<usize> {
        let words = self.levels[level].len();
        let mut word = from / 64;
        if word >= words {
            return None;
        }
        if let Some(bit) = self.clear_in(level, word, FULL << (from % 64)) {
            return Some(bit);
        }
        if level + 1 == self.levels.len() {
            return (word + 1..words).find_map(|word| self.clear_in(level, word, FULL));
        }
        loop {
            word = self.next_clear(level + 1, word + 1)?;
            if let Some(bit) = self.clear_in(level, word, FULL) {
                return Some(bit);
            }
            self.mark_full(level + 1, word);
        }
    }

    fn clear_in(&self, level: usize, word: usize, mask: u64) -> Option<usize> {
        let clear = !self.levels[level][word].load(Ordering::SeqCst) & mask;
        (clear != 0).then(|| word * 64 + clear.trailing_zeros() as usize)
    }

    /// A word below became full.
    fn mark_full(&self, level: usize, bit: usize) {
        let (mut level, mut bit) = (level, bit);
        while let Some(words) = self.levels.get(level) {
            let mask = 1 << (bit % 64);
            let before = words[bit / 64].fetch_or(mask, Ordering::SeqCst);
            if self.levels[level - 1][bit].load(Ordering::SeqCst) != FULL {
                self.mark_free(level, bit);
                return;
            }
            if before | mask != FULL {
                return;
            }
            (level, bit) = (level + 1, bit / 64);
        }
    }

    /// A word below has room again.
    fn mark_free(&self, level: usize, bit: usize) {
        let (mut level, mut bit) = (level, bit);
        while let Some(words) = self.levels.get(level) {
            let mask = 1_u64 << (bit % 64);
            if words[bit / 64].fetch_and(!mask, Ordering::SeqCst) != FULL {
                return;
            }
            (level, bit) = (level + 1, bit / 64);
        }
    }
}

/// Words from the allocator's zeroed pages, which take no memory until they are written.
fn zeroed(words: usize) -> Box<[AtomicU64]> {
    <[AtomicU64]>::new_box_zeroed_with_elems(words)
        .unwrap_or_else(|_| panic!("out of memory for a pool's {words} words of bits"))
}
