//! A pool with a bit for each position.

use super::bitmap::Bitmap;
use super::reserved::Reserved;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};
use crossbeam::utils::CachePadded;

/// How often a claim starts over because others first took what it found. Each round one of them
/// made progress, so this many in a row need as many claims of others within some microseconds.
const LOST_MAX: u32 = 1 << 10;

/// How often a claim looks through all bits for a position that is counted free: its holder may be
/// just giving it back, or it is taken in front of the search while another comes free behind it.
const MISSED_MAX: u32 = 64;

/// Even positions first, then the odd ones from a word of their own, so that either half of the
/// addresses (RFC 8156 §4.2.1) is one run of bits and is searched without passing the other.
#[derive(Debug)]
pub(super) struct Dense {
    bits: Bitmap,
    size: u64,
    odd_base: usize,
    capacity: u64,
    /// Free positions: even ones in the low half, odd ones in the high half. Never fewer than the
    /// bits that are clear: lowered after a bit is set, raised before one is cleared. So 0 proves
    /// that there was no free position, and nothing less makes a claim fail.
    free: CachePadded<AtomicU64>,
}

impl Dense {
    pub(super) fn new(size: u64, reserved: &Reserved) -> Self {
        let (evens, odds) = (size.div_ceil(2), size / 2);
        let odd_base = evens.next_multiple_of(64) as usize;
        let mut bits = Bitmap::new(odd_base + odds as usize);
        bits.preset(evens as usize..odd_base);
        let mut free = [evens, odds];
        for &(from, to) in reserved.blocks() {
            let even = from.div_ceil(2) as usize..(to / 2 + 1) as usize;
            let odd = odd_base + (from / 2) as usize..odd_base + to.div_ceil(2) as usize;
            free[0] -= even.len() as u64;
            free[1] -= odd.len() as u64;
            bits.preset(even);
            bits.preset(odd);
        }
        let [free_evens, free_odds] = free;
        Self {
            bits,
            size,
            odd_base,
            capacity: free_evens + free_odds,
            free: CachePadded::new(AtomicU64::new(free_odds << 32 | free_evens)),
        }
    }

    /// The position that [`claim`](Self::claim) would take.
    pub(super) fn offer(&self, hash: u64, parity: Option<bool>) -> Option<u64> {
        if !self.may_have_room(parity) {
            return None;
        }
        let (within, start) = self.search(hash, parity);
        self.find(&within, start).map(|bit| self.position(bit))
    }

    /// Takes the first free position from where `hash` leads; `None` if all are taken.
    pub(super) fn claim(&self, hash: u64, parity: Option<bool>) -> Option<u64> {
        let (within, start) = self.search(hash, parity);
        let (mut lost, mut missed) = (0, 0);
        while lost < LOST_MAX && missed < MISSED_MAX && self.may_have_room(parity) {
            let Some(bit) = self.find(&within, start) else {
                missed += 1;
                continue;
            };
            let position = self.position(bit);
            if self.take(position) {
                return Some(position);
            }
            lost += 1;
        }
        None
    }

    /// Takes this position; `false` if it is taken.
    pub(super) fn take(&self, position: u64) -> bool {
        let taken = self.bits.take(self.bit(position));
        if taken {
            self.free.fetch_sub(one(position), Ordering::SeqCst);
        }
        taken
    }

    /// Gives back a position that is not reserved.
    pub(super) fn release(&self, position: u64) {
        let bit = self.bit(position);
        if !self.bits.is_taken(bit) {
            return;
        }
        self.free.fetch_add(one(position), Ordering::SeqCst);
        if !self.bits.give(bit) {
            self.free.fetch_sub(one(position), Ordering::SeqCst);
        }
    }

    pub(super) fn bound(&self) -> u64 {
        let free = self.free.load(Ordering::SeqCst);
        self.capacity
            .saturating_sub((free >> 32) + (free & u64::from(u32::MAX)))
    }

    fn may_have_room(&self, parity: Option<bool>) -> bool {
        let free = self.free.load(Ordering::SeqCst);
        match parity {
            None => free != 0,
            Some(false) => free as u32 != 0,
            Some(true) => free >> 32 != 0,
        }
    }

    fn find(&self, within: &Range<usize>, start: usize) -> Option<usize> {
        self.bits
            .find(within, start)
            .or_else(|| self.bits.scan(within))
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

/// One position of this parity in the count of free ones.
fn one(position: u64) -> u64 {
    1 << (32 * (position % 2))
}
