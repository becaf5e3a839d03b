//! A pool with a bit for each position.

use super::bitmap::Bitmap;
use super::reserved::Reserved;
use super::split::Split;
use crate::Role;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};
use crossbeam::utils::CachePadded;

/// How often a claim starts over because others first took what it found. Each round one of them
/// made progress, so this many in a row need as many claims of others within some microseconds.
const LOST_MAX: u32 = 1 << 10;

/// How often a claim looks through all bits for a position that is counted free: its holder may be
/// just giving it back, or it is taken in front of the search while another comes free behind it.
const MISSED_MAX: u32 = 64;

/// How many hashes a client is given in a pool of which a part is the partner's: a server with a
/// tenth of it misses all of them once in thirty times.
const REHASH_MAX: usize = 32;

/// Which positions a search is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// Every position.
    Any,
    /// Odd ones, or even ones.
    Parity(bool),
    /// Those of this server's side; in a pool that is not split every one is the primary's.
    Own(Role),
    /// The same, and when there is none left those of the other side.
    OwnThenPartners(Role),
}

impl Wanted {
    /// Whether a position of a pool that is not split is one of those.
    pub(super) fn admits(self, position: u64) -> bool {
        match self {
            Self::Any | Self::Own(Role::Primary) | Self::OwnThenPartners(_) => true,
            Self::Parity(odd) => odd == (position % 2 == 1),
            Self::Own(Role::Secondary) => false,
        }
    }
}

/// Of addresses the even positions come first, then the odd ones from a word of their own, so that
/// either half (RFC 8156 §4.2.1) is one run of bits and is searched without passing the other.
/// Prefixes are in order, so that a block of them is one run.
#[derive(Debug)]
pub(super) struct Dense {
    bits: Bitmap,
    size: u64,
    /// First bit of the odd positions; `None`: a position is its bit.
    odd_base: Option<usize>,
    /// Whose the free prefixes are, if that matters.
    split: Option<Box<Split>>,
    capacity: u64,
    /// Free positions: even ones in the low half, odd ones in the high half. Never fewer than the
    /// bits that are clear: lowered after a bit is set, raised before one is cleared. So 0 proves
    /// that there was no free position, and nothing less makes a claim fail.
    free: CachePadded<AtomicU64>,
}

impl Dense {
    /// A pool with nothing taken; `in_halves` for addresses.
    pub(super) fn new(size: u64, reserved: &Reserved, in_halves: bool) -> Self {
        let (evens, odds) = (size.div_ceil(2), size / 2);
        let base = evens.next_multiple_of(64) as usize;
        let odd_base = in_halves.then_some(base);
        let mut bits = match in_halves {
            true => Bitmap::new(base + odds as usize),
            false => Bitmap::new(size as usize),
        };
        if in_halves {
            bits.preset(evens as usize..base);
        }
        let mut free = [evens, odds];
        for &(from, to) in reserved.blocks() {
            let even = from.div_ceil(2) as usize..(to / 2 + 1) as usize;
            let odd = (from / 2) as usize..to.div_ceil(2) as usize;
            free[0] -= even.len() as u64;
            free[1] -= odd.len() as u64;
            if in_halves {
                bits.preset(even);
                bits.preset(base + odd.start..base + odd.end);
            } else {
                bits.preset(from as usize..to as usize + 1);
            }
        }
        let [free_evens, free_odds] = free;
        Self {
            bits,
            size,
            odd_base,
            split: None,
            capacity: free_evens + free_odds,
            free: CachePadded::new(AtomicU64::new(free_odds << 32 | free_evens)),
        }
    }

    /// Every prefix that is not taken becomes the primary's, and this server has this role.
    pub(super) fn split_for(&mut self, role: Role) {
        self.split = Some(Box::new(Split::new(role, &self.bits)));
    }

    /// Whose the free positions are, and which are taken.
    pub(super) fn split(&self) -> Option<(&Split, &Bitmap)> {
        Some((self.split.as_deref()?, &self.bits))
    }

    /// The position that [`claim`](Self::claim) would take.
    pub(super) fn offer(&self, hash: u64, wanted: Wanted) -> Option<u64> {
        match (wanted, &self.split) {
            (Wanted::Own(_), Some(split)) => self.offer_own(split, hash),
            (Wanted::OwnThenPartners(_), Some(split)) => self
                .offer_own(split, hash)
                .or_else(|| self.offer_any(hash, None)),
            (Wanted::Own(Role::Secondary), None) => None,
            (Wanted::Parity(odd), _) => self.offer_any(hash, Some(odd)),
            _ => self.offer_any(hash, None),
        }
    }

    /// Takes the first free position from where `hash` leads; `None` if all are taken.
    pub(super) fn claim(&self, hash: u64, wanted: Wanted) -> Option<u64> {
        match (wanted, &self.split) {
            (Wanted::Own(_), Some(split)) => self.claim_own(split, hash),
            (Wanted::OwnThenPartners(_), Some(split)) => self
                .claim_own(split, hash)
                .or_else(|| self.claim_any(hash, None)),
            (Wanted::Own(Role::Secondary), None) => None,
            (Wanted::Parity(odd), _) => self.claim_any(hash, Some(odd)),
            _ => self.claim_any(hash, None),
        }
    }

    /// Takes this position if it is one of those wanted; `false` if it is taken or is not.
    pub(super) fn take_if(&self, position: u64, wanted: Wanted) -> bool {
        match (wanted, &self.split) {
            (Wanted::Own(_), Some(split)) => self.take_own(split, self.bit(position)),
            _ => wanted.admits(position) && self.take(position),
        }
    }

    /// Where a search for a position of this server's begins: where the hash leads to, or if that is
    /// the partner's where a hash of it does. From the partner's half it would be the first one
    /// behind it for every client, and each prefix the successor of the one before.
    fn search_own(&self, split: &Split, hash: u64) -> (Range<usize>, usize) {
        let hashes = core::iter::successors(Some(hash), |hash| Some(mix(*hash)));
        let mut starts = hashes
            .take(REHASH_MAX)
            .map(|hash| self.search(hash, None).1);
        let own = starts.find(|start| split.is_own(*start));
        let (within, start) = self.search(hash, None);
        (within, own.unwrap_or(start))
    }

    fn offer_own(&self, split: &Split, hash: u64) -> Option<u64> {
        let (within, start) = self.search_own(split, hash);
        split.find(&within, start).map(|bit| self.position(bit))
    }

    fn claim_own(&self, split: &Split, hash: u64) -> Option<u64> {
        let (within, start) = self.search_own(split, hash);
        for _ in 0..LOST_MAX {
            let found = split.find(&within, start);
            let found = found.or_else(|| match self.own_free(split) {
                0 => None,
                _ => split.scan(&within),
            });
            let bit = found?;
            if self.take_own(split, bit) {
                return Some(self.position(bit));
            }
        }
        None
    }

    /// Takes a position and then looks whose it is: see [`split`](super::split).
    fn take_own(&self, split: &Split, bit: usize) -> bool {
        let mut taken = self.bits.take(bit);
        if taken && !split.is_own(bit) {
            self.bits.give(bit);
            taken = false;
        }
        if taken {
            let position = self.position(bit);
            self.free.fetch_sub(one(position), Ordering::SeqCst);
            split.note_taken(&self.bits, bit);
        } else {
            split.note_free(&self.bits, bit);
        }
        taken
    }

    fn own_free(&self, split: &Split) -> u64 {
        let backups = split.backups();
        match split.role() {
            Role::Primary => (self.capacity - self.bound()).saturating_sub(backups),
            Role::Secondary => backups,
        }
    }

    fn offer_any(&self, hash: u64, parity: Option<bool>) -> Option<u64> {
        if !self.may_have_room(parity) {
            return None;
        }
        let (within, start) = self.search(hash, parity);
        self.find(&within, start).map(|bit| self.position(bit))
    }

    fn claim_any(&self, hash: u64, parity: Option<bool>) -> Option<u64> {
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
        let bit = self.bit(position);
        let taken = self.bits.take(bit);
        if taken {
            self.free.fetch_sub(one(position), Ordering::SeqCst);
            if let Some(split) = &self.split {
                split.note_taken(&self.bits, bit);
            }
        }
        taken
    }

    /// Whether somebody has this position.
    pub(super) fn is_taken(&self, position: u64) -> bool {
        self.bits.is_taken(self.bit(position))
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
        } else if let Some(split) = &self.split {
            split.note_free(&self.bits, bit);
        }
    }

    /// Asks the memory for this position's bit.
    pub(super) fn prefetch(&self, position: u64) {
        self.bits.prefetch(self.bit(position));
    }

    /// Asks the memory for where a draw from any position begins.
    pub(super) fn prefetch_draw(&self, hash: u64) {
        let (_, start) = self.search(hash, None);
        self.bits.prefetch(start);
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
        let scaled = |count: u64| ((u128::from(hash) * u128::from(count)) >> 64) as u64;
        let Some(odd_base) = self.odd_base else {
            return (0..self.size as usize, scaled(self.size) as usize);
        };
        let (evens, odds) = (self.size.div_ceil(2), self.size / 2);
        let end = odd_base + odds as usize;
        match parity {
            None => (0..end, self.bit(scaled(self.size))),
            Some(false) => (0..evens as usize, scaled(evens) as usize),
            Some(true) => (odd_base..end, odd_base + scaled(odds) as usize),
        }
    }

    fn bit(&self, position: u64) -> usize {
        let half = (position / 2) as usize;
        match self.odd_base {
            None => position as usize,
            Some(odd_base) if position % 2 == 1 => odd_base + half,
            Some(_) => half,
        }
    }

    fn position(&self, bit: usize) -> u64 {
        match self.odd_base {
            None => bit as u64,
            Some(odd_base) => match bit.checked_sub(odd_base) {
                Some(half) => half as u64 * 2 + 1,
                None => bit as u64 * 2,
            },
        }
    }
}

/// A permutation of 64 bits without visible pattern (the finalizer of SplitMix64); what goes in is
/// secret already.
fn mix(hash: u64) -> u64 {
    let hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ hash >> 31
}

/// One position of this parity in the count of free ones.
fn one(position: u64) -> u64 {
    1 << (32 * (position % 2))
}
