//! A pool with a bit for each position.

use super::bitmap::Bitmap;
use super::reserved::Reserved;
use core::ops::Range;
use core::sync::atomic::{AtomicI64, Ordering};
use crossbeam::utils::CachePadded;

/// How often a claim starts over because positions it found were taken by others first, or were
/// counted free but found taken (another thread between the two). Each round means that others
/// made progress, so this many in a row need hundreds of claims in a microsecond.
const ROUNDS_MAX: u32 = 1 << 10;

/// Even positions first, then the odd ones from a word of their own, so that either half of the
/// addresses (RFC 8156 §4.2.1) is one run of bits and is searched without passing the other.
#[derive(Debug)]
pub(super) struct Dense {
    bits: Bitmap,
    size: u64,
    odd_base: usize,
    capacity: i64,
    /// Never more than the bits that are set and not reserved: raised after a bit is set, lowered
    /// before one is cleared. So `bound == capacity` proves that there was no free position.
    bound: CachePadded<AtomicI64>,
}

impl Dense {
    pub(super) fn new(size: u64, reserved: &Reserved) -> Self {
        let evens = size.div_ceil(2) as usize;
        let odds = (size / 2) as usize;
        let odd_base = evens.next_multiple_of(64);
        let mut bits = Bitmap::new(odd_base + odds);
        bits.preset(evens..odd_base);
        for &(from, to) in reserved.blocks() {
            bits.preset(from.div_ceil(2) as usize..(to / 2 + 1) as usize);
            let odd = |position: u64| odd_base + position as usize;
            bits.preset(odd(from / 2)..odd(to.div_ceil(2)));
        }
        Self {
            bits,
            size,
            odd_base,
            capacity: i64::try_from(u128::from(size) - reserved.count())
                .expect("a dense pool has at most DENSE_POSITIONS_MAX positions"),
            bound: CachePadded::new(AtomicI64::new(0)),
        }
    }

    /// The position that [`claim`](Self::claim) would take.
    pub(super) fn offer(&self, hash: u64, parity: Option<bool>) -> Option<u64> {
        let (within, start) = self.search(hash, parity);
        let bit = self
            .bits
            .find(&within, start)
            .or_else(|| self.may_have_room().then(|| self.bits.scan(&within))?)?;
        Some(self.position(bit))
    }

    /// Takes the first free position from where `hash` leads; `None` if all are taken.
    pub(super) fn claim(&self, hash: u64, parity: Option<bool>) -> Option<u64> {
        let (within, start) = self.search(hash, parity);
        for _ in 0..ROUNDS_MAX {
            let found = self.bits.find(&within, start);
            let bit = match found {
                Some(bit) => bit,
                None if !self.may_have_room() => return None,
                None => match self.bits.scan(&within) {
                    Some(bit) => bit,
                    // One half may be full while the other is not.
                    None if parity.is_some() || !self.may_have_room() => return None,
                    None => continue,
                },
            };
            if self.bits.take(bit) {
                self.bound.fetch_add(1, Ordering::SeqCst);
                return Some(self.position(bit));
            }
        }
        None
    }

    /// Takes this position; `false` if it is taken.
    pub(super) fn take(&self, position: u64) -> bool {
        let taken = self.bits.take(self.bit(position));
        if taken {
            self.bound.fetch_add(1, Ordering::SeqCst);
        }
        taken
    }

    /// Gives back a position that is not reserved.
    pub(super) fn release(&self, position: u64) {
        let bit = self.bit(position);
        if !self.bits.is_taken(bit) {
            return;
        }
        self.bound.fetch_sub(1, Ordering::SeqCst);
        if !self.bits.give(bit) {
            self.bound.fetch_add(1, Ordering::SeqCst);
        }
    }

    pub(super) fn bound(&self) -> u64 {
        self.bound.load(Ordering::SeqCst).max(0) as u64
    }

    fn may_have_room(&self) -> bool {
        self.bound.load(Ordering::SeqCst) < self.capacity
    }

    /// Which bits to search, and from where.
    fn search(&self, hash: u64, parity: Option<bool>) -> (Range<usize>, usize) {
        let (evens, end) = (
            self.size.div_ceil(2) as usize,
            self.odd_base + (self.size / 2) as usize,
        );
        let scaled = |count: u64| ((u128::from(hash) * u128::from(count)) >> 64) as u64;
        match parity {
            None => (0..end, self.bit(scaled(self.size))),
            Some(false) => (0..evens, scaled(evens as u64) as usize),
            Some(true) => (
                self.odd_base..end,
                self.odd_base + scaled(self.size / 2) as usize,
            ),
        }
    }

    fn bit(&self, position: u64) -> usize {
        let half = (position / 2) as usize;
        if position % 2 == 1 {
            self.odd_base + half
        } else {
            half
        }
    }

    fn position(&self, bit: usize) -> u64 {
        match bit.checked_sub(self.odd_base) {
            Some(half) => half as u64 * 2 + 1,
            None => bit as u64 * 2,
        }
    }
}
