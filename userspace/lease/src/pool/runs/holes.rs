//! Where the holes are, by size, so that nobody searches the bits.
//!
//! A *hole* of an order is a free run of it that is no half of a larger free one, as in a buddy
//! system. For each order there is a bit for each place that may hold one, a word below
//! [`WORD_ORDER`] and a run of the order from there on, with summary levels above.
//!
//! They say what the bits of the pool said a moment ago. Invariant: while nobody is changing
//! anything, they are right. Whoever changes bits afterwards writes what follows from them, looks
//! at them again and starts over if they have changed; so of several the last one to write has seen
//! the last change. The same holds of each level for the one below.

use super::super::bitmap::Bitmap;
use super::{FULL, Run, WORD_ORDER};
use core::ops::Range;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// By order: the bits at multiples of a run's size within a word.
const STARTS: [u64; 7] = [
    FULL,
    0x5555_5555_5555_5555,
    0x1111_1111_1111_1111,
    0x0101_0101_0101_0101,
    0x0001_0001_0001_0001,
    0x0000_0001_0000_0001,
    1,
];

/// See the module.
#[derive(Debug)]
pub(super) struct Holes {
    order_max: u32,
    /// By order: set where there is no hole of it.
    none: Vec<Bitmap>,
    /// By order: how many places have one. Raised before a bit of `none` is cleared and lowered after
    /// one is set, so that 0 proves that there is none.
    counts: Box<[AtomicUsize]>,
    /// By order from [`WORD_ORDER`] on: set for each run that is not wholly free.
    broken: Vec<Bitmap>,
}

impl Holes {
    /// Those of so many words without a bit set, which are a multiple of 2^`order_max` units unless
    /// that is less than one word.
    pub(super) fn new(words: usize, order_max: u32) -> Self {
        let places = |order: u32| words >> order.saturating_sub(WORD_ORDER);
        let none = (0..=order_max).map(|order| {
            let mut none = Bitmap::new(places(order));
            if order < order_max {
                none.preset(0..places(order));
            }
            none
        });
        let broken = (WORD_ORDER..=order_max).map(|order| Bitmap::new(places(order)));
        let counts = (0..=order_max).map(|order| match order == order_max {
            true => AtomicUsize::new(places(order)),
            false => AtomicUsize::new(0),
        });
        Self {
            counts: counts.collect(),
            order_max,
            none: none.collect(),
            broken: broken.collect(),
        }
    }

    /// A hole of this order in these units, whole words of them: the first at or after `from`, else
    /// the first of all. `mend` is to [`refresh`](Self::refresh) a word.
    pub(super) fn find(
        &self,
        taken: &[AtomicU64],
        order: u32,
        units: &Range<u64>,
        from: u64,
        mend: impl Fn(usize),
    ) -> Option<Run> {
        if self.counts[order as usize].load(Ordering::SeqCst) == 0 {
            return None;
        }
        let place_order = order.max(WORD_ORDER);
        let place = |unit: u64| (unit >> place_order) as usize;
        let within = place(units.start)..place(units.end).max(place(units.start) + 1);
        let none = &self.none[order as usize];
        loop {
            let place = none.find(&within, place(from))? as u64;
            if order >= WORD_ORDER {
                let start = place << order;
                return Some(Run { start, order });
            }
            let holes = holes_of(load(taken, place as usize), self.order_max)[order as usize];
            if holes != 0 {
                let start = place * 64 + u64::from(holes.trailing_zeros());
                return Some(Run { start, order });
            }
            mend(place as usize);
        }
    }

    /// Whether a run of a whole word or more is free, as far as is known.
    pub(super) fn is_whole(&self, run: Run) -> bool {
        !self.is_broken(run.order, (run.start >> run.order) as usize)
    }

    /// Brings everything up to date with words that have changed.
    pub(super) fn refresh(&self, taken: &[AtomicU64], words: Range<usize>) {
        if words.is_empty() {
            return;
        }
        for word in words.clone() {
            self.refresh_word(taken, word);
        }
        let runs = |order: u32| {
            let shift = order - WORD_ORDER;
            words.start >> shift..=(words.end - 1) >> shift
        };
        // What is above a level that has not changed has not either.
        let changed = |order: &u32| {
            let settled = runs(*order).map(|run| self.settle_broken(taken, *order, run));
            settled.fold(false, |any, changed| any | changed)
        };
        let changed = (WORD_ORDER..=self.order_max).take_while(changed).count() as u32;
        for order in WORD_ORDER..WORD_ORDER + changed {
            let last = (taken.len() >> (order - WORD_ORDER)) - 1;
            // The other half of a larger run is part of a hole with it, or is not any more.
            for run in runs(order).start() & !1..=(runs(order).end() | 1).min(last) {
                self.settle_hole(order, run);
            }
        }
    }

    fn refresh_word(&self, taken: &[AtomicU64], word: usize) {
        loop {
            let bits = load(taken, word);
            let holes = holes_of(bits, self.order_max);
            for (order, holes) in (0..=self.order_max).zip(holes) {
                self.set_none(order, word, holes == 0);
            }
            if load(taken, word) == bits {
                return;
            }
        }
    }

    /// Whether that changed anything.
    fn settle_broken(&self, taken: &[AtomicU64], order: u32, run: usize) -> bool {
        let is_broken = || match order {
            WORD_ORDER => load(taken, run) != 0,
            _ => self.is_broken(order - 1, 2 * run) || self.is_broken(order - 1, 2 * run + 1),
        };
        let bits = &self.broken[(order - WORD_ORDER) as usize];
        let mut changed = false;
        loop {
            let now = is_broken();
            changed |= bits.put(run, now);
            if is_broken() == now {
                return changed;
            }
        }
    }

    fn settle_hole(&self, order: u32, run: usize) {
        let is_none = || {
            self.is_broken(order, run)
                || order < self.order_max && !self.is_broken(order + 1, run / 2)
        };
        loop {
            let now = is_none();
            self.set_none(order, run, now);
            if is_none() == now {
                return;
            }
        }
    }

    fn set_none(&self, order: u32, place: usize, none: bool) {
        let (bits, count) = (&self.none[order as usize], &self.counts[order as usize]);
        if bits.is_taken(place) == none {
            return;
        }
        if !none {
            count.fetch_add(1, Ordering::SeqCst);
        }
        let changed = bits.put(place, none);
        if changed == none {
            count.fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn is_broken(&self, order: u32, run: usize) -> bool {
        self.broken[(order - WORD_ORDER) as usize].is_taken(run)
    }
}

/// By order below [`WORD_ORDER`]: where in a word holes begin.
fn holes_of(bits: u64, order_max: u32) -> [u64; WORD_ORDER as usize] {
    let mut holes = [0; WORD_ORDER as usize];
    let mut runs = !bits;
    for order in 0..WORD_ORDER {
        let half = 1 << order;
        let larger = runs & runs >> half & STARTS[order as usize + 1];
        holes[order as usize] = match order == order_max {
            true => runs,
            false => runs & !(larger | larger << half),
        };
        if order == order_max {
            break;
        }
        runs = larger;
    }
    holes
}

fn load(taken: &[AtomicU64], word: usize) -> u64 {
    taken[word].load(Ordering::SeqCst)
}
