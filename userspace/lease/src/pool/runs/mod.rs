//! A pool of prefixes of several lengths.
//!
//! Each bit is a *unit*, a prefix of the longest length. A shorter prefix is a *run*: 2^order units
//! from a multiple of that on. One within a word of bits is taken by one compare-and-swap; a longer
//! one word by word, and whoever meets a word that is not free gives back those before. Somebody
//! else may see such a run as taken for a moment, but never as free while it is somebody's.
//!
//! Where a run is looked for: each length has a *home* in the pool, and a client's hash leads to one
//! run of that, which is its prefix even from an empty database. When that is taken, the smallest
//! hole that it fits into is broken, in the home first ([`Holes`]). So prefixes of one length do not
//! break up the homes of others while there is room in their own, and what they do break is used up
//! before more is.

mod holes;
#[cfg(test)]
mod tests;

use self::holes::Holes;
use super::reserved::Reserved;
use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};
use crossbeam::utils::CachePadded;
use zerocopy::FromZeros;

/// As of a dense pool: how often a claim starts over because others first took what it found.
const LOST_MAX: u32 = 1 << 10;

/// How often a claim that finds no hole looks again because others are just changing some.
const MISSED_MAX: u32 = 64;

const FULL: u64 = u64::MAX;

/// An order at which a run is one whole word.
const WORD_ORDER: u32 = 6;

/// An aligned power of two of units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    /// Its first unit: a multiple of its size.
    pub(super) start: u64,
    /// The logarithm of its size.
    pub(super) order: u32,
}

impl Run {
    /// One position.
    pub(super) fn unit(position: u64) -> Self {
        Self {
            start: position,
            order: 0,
        }
    }

    /// Its first position.
    pub(super) fn first(self) -> u64 {
        self.start
    }

    /// Its last position.
    pub(super) fn last(self) -> u64 {
        self.start + (self.units() - 1)
    }

    /// Number of units.
    fn units(self) -> u64 {
        1 << self.order
    }

    /// The words that it has bits of.
    fn words(self) -> Range<usize> {
        let first = (self.start / 64) as usize;
        first..first + (self.units() as usize).div_ceil(64)
    }

    /// Its bits in each of those words.
    fn mask(self) -> u64 {
        match self.order {
            WORD_ORDER.. => FULL,
            _ => ((1 << self.units()) - 1) << (self.start % 64),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Runs {
    /// A bit is set if its unit is taken, reserved, or past the end.
    taken: Box<[AtomicU64]>,
    holes: Holes,
    units: u64,
    /// The order of the shortest length.
    order_max: u32,
    /// The order of the default length.
    order_default: u32,
    capacity: u64,
    /// Free units: lowered after bits are set, raised before they are cleared.
    free: CachePadded<AtomicU64>,
    /// Changes under way in the low half, changes made in the high half.
    changes: CachePadded<AtomicU64>,
}

impl Runs {
    /// A pool of `units`, a power of two and a multiple of 2^`order_max`, with nothing taken.
    pub(super) fn new(units: u64, reserved: &Reserved, order_max: u32, order_default: u32) -> Self {
        let words = units.div_ceil(64) as usize;
        let mut taken = <[AtomicU64]>::new_box_zeroed_with_elems(words)
            .unwrap_or_else(|_| panic!("out of memory for a pool's {words} words of bits"));
        let holes = Holes::new(words, order_max);
        let mut set = |from: u64, to: u64| {
            for word in from / 64..=to / 64 {
                let low = from.max(word * 64) % 64;
                let high = to.min(word * 64 + 63) % 64;
                *taken[word as usize].get_mut() |= (FULL >> (63 - (high - low))) << low;
            }
        };
        if units < 64 {
            set(units, 63);
        }
        for &(from, to) in reserved.blocks() {
            set(from, to);
        }
        let past_end = (units < 64).then_some((units, 63));
        for &(from, to) in reserved.blocks().iter().chain(&past_end) {
            holes.refresh(&taken, (from / 64) as usize..(to / 64 + 1) as usize);
        }
        let capacity = units - reserved.count() as u64;
        Self {
            taken,
            holes,
            units,
            order_max,
            order_default,
            capacity,
            free: CachePadded::new(AtomicU64::new(capacity)),
            changes: CachePadded::new(AtomicU64::new(0)),
        }
    }

    /// The run that [`claim`](Self::claim) would take.
    pub(super) fn offer(&self, order: u32, hash: u64) -> Option<Run> {
        self.draw(order, hash, |run| self.looks_free(run))
    }

    /// Takes a run of this order: that which `hash` leads to in the home of its length, else one in
    /// the smallest hole. `None` if no hole is large enough; one that another thread is just making
    /// may be missed.
    pub(super) fn claim(&self, order: u32, hash: u64) -> Option<Run> {
        self.draw(order, hash, |run| self.take(run))
    }

    /// Takes this run; `false` if any of it is taken.
    pub(super) fn take(&self, run: Run) -> bool {
        let change = self.begin();
        let taken = match run.order {
            0..=WORD_ORDER => self.take_in_word(run),
            _ => self.take_words(run),
        };
        if taken {
            self.free.fetch_sub(run.units(), Ordering::SeqCst);
            self.refresh(run.words());
        }
        drop(change);
        taken
    }

    /// Gives back a run that was taken as a whole, and then not in part. One of which not all is
    /// taken is left alone.
    pub(super) fn release(&self, run: Run) {
        let is_taken = |word: usize| self.load(word) & run.mask() == run.mask();
        if !run.words().all(is_taken) {
            return;
        }
        let change = self.begin();
        self.free.fetch_add(run.units(), Ordering::SeqCst);
        for word in run.words() {
            self.taken[word].fetch_and(!run.mask(), Ordering::SeqCst);
        }
        self.refresh(run.words());
        drop(change);
    }

    /// Whether somebody has any of this run.
    pub(super) fn is_taken(&self, run: Run) -> bool {
        let mut words = run.words();
        words.any(|word| self.load(word) & run.mask() != 0)
    }

    /// Units taken.
    pub(super) fn bound(&self) -> u64 {
        let free = self.free.load(Ordering::SeqCst);
        self.capacity.saturating_sub(free)
    }

    /// Whether there is a hole for a run of this order.
    pub(super) fn has_room(&self, order: u32) -> bool {
        self.hole_within(order, &(0..self.units), 0).is_some()
    }

    /// Asks the memory for a run's first bits.
    pub(super) fn prefetch(&self, run: Run) {
        if let Some(word) = self.taken.get((run.start / 64) as usize) {
            crate::prefetch::value(word);
        }
    }

    /// Asks the memory for where a claim of the default length begins.
    pub(super) fn prefetch_draw(&self, hash: u64) {
        self.prefetch(self.home_run(self.order_default, hash));
    }

    fn draw(&self, order: u32, hash: u64, take: impl Fn(Run) -> bool) -> Option<Run> {
        if order > self.order_max {
            return None;
        }
        let run = self.home_run(order, hash);
        if take(run) {
            return Some(run);
        }
        let home = self.home(order);
        let (mut lost, mut missed) = (0, 0);
        while lost < LOST_MAX && missed < MISSED_MAX {
            let changes = self.changes.load(Ordering::SeqCst);
            let hole = self
                .hole_within(order, &home, hash)
                .or_else(|| self.hole_within(order, &(0..self.units), hash));
            let Some(hole) = hole else {
                let is_still =
                    changes as u32 == 0 && changes == self.changes.load(Ordering::SeqCst);
                if is_still {
                    return None;
                }
                missed += 1;
                core::hint::spin_loop();
                continue;
            };
            // Which part of a larger hole does not matter to what is left of it.
            let part = hash & ((1 << (hole.order - order)) - 1);
            let run = Run {
                start: hole.start + (part << order),
                order,
            };
            if take(run) {
                return Some(run);
            }
            // Who was first may not have said so yet.
            self.mend(run.words());
            lost += 1;
        }
        None
    }

    fn take_in_word(&self, run: Run) -> bool {
        let word = &self.taken[(run.start / 64) as usize];
        let set = |bits: u64| (bits & run.mask() == 0).then_some(bits | run.mask());
        word.fetch_update(Ordering::SeqCst, Ordering::SeqCst, set)
            .is_ok()
    }

    fn take_words(&self, run: Run) -> bool {
        if self.is_taken(run) {
            return false;
        }
        let is_free = |word: &usize| {
            self.taken[*word]
                .compare_exchange(0, FULL, Ordering::SeqCst, Ordering::SeqCst)
                .is_ok()
        };
        let Some(stranger) = run.words().find(|word| !is_free(word)) else {
            return true;
        };
        let ours = run.start as usize / 64..stranger;
        for word in ours.clone() {
            self.taken[word].store(0, Ordering::SeqCst);
        }
        // Somebody may have seen them taken, and said so.
        self.refresh(ours);
        false
    }

    /// Whether a run looks free without a look at each of its words.
    fn looks_free(&self, run: Run) -> bool {
        match run.order {
            0..=WORD_ORDER => !self.is_taken(run),
            _ => self.holes.is_whole(run),
        }
    }

    /// The smallest hole of these units that a run of this order fits into, the first from where
    /// `hash` leads.
    fn hole_within(&self, order: u32, units: &Range<u64>, hash: u64) -> Option<Run> {
        let from = units.start + scaled(hash, units.end - units.start);
        let mut orders = order..=self.order_max;
        let mend = |word: usize| self.mend(word..word + 1);
        orders.find_map(|order| self.holes.find(&self.taken, order, units, from, mend))
    }

    /// Where runs of an order are looked for first. Half of the pool is the default length's, and
    /// each other length has an equal part of the rest. What is smaller than the shortest length or
    /// a word is not divided.
    fn home(&self, order: u32) -> Range<u64> {
        let part_order = self.order_max.max(WORD_ORDER);
        let parts = self.units >> part_order;
        let others = u64::from(self.order_max);
        if parts < 2 || others == 0 {
            return 0..self.units;
        }
        let half = parts / 2;
        let home = if order == self.order_default {
            0..half
        } else {
            let rank = u64::from(order - u32::from(order > self.order_default));
            let start = half + rank * half / others;
            start..(half + (rank + 1) * half / others).max(start + 1)
        };
        home.start << part_order..home.end << part_order
    }

    /// The run that a hash leads to in the home of its order.
    fn home_run(&self, order: u32, hash: u64) -> Run {
        let home = self.home(order);
        let index = scaled(hash, (home.end - home.start) >> order);
        Run {
            start: home.start + (index << order),
            order,
        }
    }

    fn refresh(&self, words: Range<usize>) {
        self.holes.refresh(&self.taken, words);
    }

    /// Says of words what somebody else has not said yet.
    fn mend(&self, words: Range<usize>) {
        let change = self.begin();
        self.holes.refresh(&self.taken, words);
        drop(change);
    }

    fn load(&self, word: usize) -> u64 {
        self.taken[word].load(Ordering::SeqCst)
    }

    fn begin(&self) -> Change<'_> {
        self.changes.fetch_add(1, Ordering::SeqCst);
        Change(&self.changes)
    }
}

/// A change of bits and holes that is under way.
struct Change<'r>(&'r AtomicU64);

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.0.fetch_add((1 << 32) - 1, Ordering::SeqCst);
    }
}

/// The place of a hash among `count`.
fn scaled(hash: u64, count: u64) -> u64 {
    ((u128::from(hash) * u128::from(count)) >> 64) as u64
}
